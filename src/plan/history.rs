//! The batches that a stream keeps after their time, for a program that asks for them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use crate::config::check_retained;
use crate::error::Result;
use crate::record::batch::AnyChunk;
use crate::time::Time;

/// A stream's batches of the last so many batch times.
pub(crate) struct History {
    batches_max: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    batches: VecDeque<Batch>,
    bytes: usize,
}

struct Batch {
    number: u64,
    time: Time,
    chunks: Vec<AnyChunk>,
    bytes: usize,
}

impl History {
    pub(crate) fn new(batches_max: u64) -> History {
        History { batches_max, kept: Mutex::default() }
    }

    /// Drops the batches that are too old by now, and keeps this one, if there is one: its chunks
    /// with the bytes of each.
    pub(crate) fn keep(
        &self,
        now: u64,
        batch: Option<(Time, Vec<(AnyChunk, usize)>)>,
        bytes_max: usize,
    ) -> Result<()> {
        let mut kept = self.lock();
        while let Some(first) = kept.batches.front()
            && first.number + self.batches_max <= now
        {
            kept.bytes -= first.bytes;
            kept.batches.pop_front();
        }
        let Some((time, chunks)) = batch else { return Ok(()) };
        let bytes = chunks.iter().map(|(_, bytes)| bytes).sum();
        check_retained(kept.bytes, bytes, bytes_max)?;
        kept.bytes += bytes;
        let chunks = chunks.into_iter().map(|(chunk, _)| chunk).collect();
        kept.batches.push_back(Batch { number: now, time, chunks, bytes });
        Ok(())
    }

    /// Bytes of all batches that are kept.
    pub(crate) fn byte_len(&self) -> usize {
        self.lock().bytes
    }

    /// Does not keep the last batch after all; returns the bytes of the others.
    pub(crate) fn forget_last(&self) -> usize {
        let mut kept = self.lock();
        kept.bytes -= kept.batches.pop_back().map_or(0, |batch| batch.bytes);
        kept.bytes
    }

    /// The batches from one time to another, both inclusive, oldest first.
    pub(crate) fn slice(&self, from: Time, to: Time) -> Vec<Vec<AnyChunk>> {
        let kept = self.lock();
        let asked = kept.batches.iter().filter(|batch| (from..=to).contains(&batch.time));
        asked.map(|batch| batch.chunks.clone()).collect()
    }

    /// The times of all batches that are kept, oldest first.
    pub(crate) fn times(&self) -> Vec<Time> {
        self.lock().batches.iter().map(|batch| batch.time).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
