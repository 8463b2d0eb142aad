//! Checkpoints on a disk: what operators remember, where sources stand, and under which names.
//!
//! A checkpoint is one file, complete or not there. Most have only what has changed since the one
//! before, of operators and of where sources stand, and stand on it; now and then one is written
//! that stands by itself, from memory, and begins another chain. Several chains are kept.

mod chain;
mod check;
mod delta;
mod format;
mod inspect;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::time::Duration;

use crate::ops::Changes;
use crate::time::Time;

pub(super) use format::position_of;
pub use inspect::{
    CheckpointInfo, SectionInfo, SourceInfo, Verified, inspect, intake_logs, verify,
};
pub(super) use store::{CHAINS_KEPT, Store};
pub(super) use writer::{Beside, Scanned, Tried, Writer};

/// All that it takes to go on after a batch.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    /// The number of the batch, from 1.
    pub(super) number: u64,
    /// Its time.
    pub(super) time: Time,
    /// The time before the first batch of all.
    pub(super) zero: Time,
    pub(super) interval: Duration,
    /// Where sources stand, by name.
    pub(super) sources: Vec<(String, Vec<u8>)>,
    /// What is remembered, each with its changes since the checkpoint before. One that is missing
    /// is gone.
    pub(super) sections: Vec<Section>,
    /// It has all there is, and stands by itself.
    pub(super) is_whole: bool,
}

impl Checkpoint {
    /// About how many bytes of memory it takes.
    fn byte_len(&self) -> usize {
        let sources = self.sources.iter().map(|(name, position)| name.len() + position.len());
        let sections = self.sections.iter().map(|section| section.changes.bytes().len());
        sources.sum::<usize>() + sections.sum::<usize>()
    }
}

/// What one operator or sink remembers.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The name under which the program finds it again.
    pub(super) name: String,
    /// What its entries look like, in words: what is of another form is not loaded.
    pub(super) form: String,
    pub(super) changes: Changes,
}
