//! What is in a directory of checkpoints, for whoever wants to know, without changing it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::format::Decoded;
use super::store::OTHER_LIFE;
use super::{Store, delta};
use crate::error::Result;
use crate::record::saved::torn;
use crate::source::IntakeLogInfo;
use crate::source::log;
use crate::storage::Disk;
use crate::time::Time;

/// A checkpoint in its directory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The number of its batch, from 1.
    pub number: u64,
    /// The time of its batch; `None` if it cannot be read.
    pub time: Option<Time>,
    /// The checkpoint whose changes it has; `None` if it stands by itself, or cannot be read.
    pub stands_on: Option<u64>,
    /// The length of its file.
    pub bytes: u64,
    /// What keeps a program from starting from it; `None` if it is whole, and so is all that it
    /// stands on.
    pub damage: Option<String>,
    /// Its file is damaged, and all that is said here is of its copy, which a start uses. There are
    /// copies as long as there is one checkpoint that stands by itself and no other.
    pub is_from_copy: bool,
    /// What is remembered, or how that has changed.
    pub sections: Vec<SectionInfo>,
    /// Where sources stand.
    pub sources: Vec<SourceInfo>,
}

/// What a checkpoint has of one operator or sink.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SectionInfo {
    /// The name under which the program finds it again.
    pub name: String,
    /// What its entries look like, in words.
    pub form: String,
    /// Whether it is all that is remembered, rather than what has changed.
    pub is_whole: bool,
    /// Entries, those among them that say that one is gone.
    pub entries: u64,
    /// The length of the entries.
    pub bytes: u64,
}

/// What a checkpoint has of a source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The name of the source.
    pub name: String,
    /// The length of its position, of which the file has what has changed.
    pub position_bytes: u64,
}

/// The intake logs of a directory of checkpoints, by the names of their sources. All of each is
/// read and checked, and nothing is changed.
///
/// # Errors
///
/// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a file cannot be read.
pub fn intake_logs(directory: impl AsRef<Path>) -> Result<Vec<IntakeLogInfo>> {
    let life = Store::at(Arc::new(Disk::Private), directory.as_ref())?.life;
    log::inspect(&directory.as_ref().join(log::DIRECTORY), life)
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Checkpoints in the directory.
    pub checkpoints: u64,
    /// How many of them no program can start from, or only by their copies.
    pub damaged: u64,
    /// The one that a program would start from: the newest that is whole.
    pub start: Option<u64>,
}

/// The checkpoints of a directory, from the oldest to the newest. All of each is read and checked,
/// and nothing is changed: a program may be using the directory.
///
/// # Errors
///
/// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if the directory or a file in it cannot
/// be read. A file that can be read and is damaged is no error: its
/// [`damage`](CheckpointInfo::damage) says so.
pub fn inspect(directory: impl AsRef<Path>) -> Result<Vec<CheckpointInfo>> {
    let store = Store::at(Arc::new(Disk::Private), directory.as_ref())?;
    let mut checkpoints: Vec<CheckpointInfo> = Vec::new();
    let mut whole: BTreeMap<u64, Whole> = BTreeMap::new();
    let mut lives: BTreeMap<u64, u64> = BTreeMap::new();
    for number in store.numbers()? {
        // A program that uses the directory may have removed it by now.
        let (own, copy) = (store.look_at(number)?, store.look_at_copy(number)?);
        let is_from_copy = !matches!(own, Some((_, Ok(_)))) && matches!(copy, Some((_, Ok(_))));
        let Some((bytes, decoded)) = (if is_from_copy { copy } else { own }) else { continue };
        let mut info = CheckpointInfo {
            number,
            time: None,
            stands_on: None,
            bytes,
            damage: None,
            is_from_copy,
            sections: Vec::new(),
            sources: Vec::new(),
        };
        match decoded {
            Err(error) => info.damage = Some(error.to_string()),
            Ok(Decoded { header, checkpoint, deltas }) => {
                info.time = Some(header.time);
                lives.insert(number, header.stamp.life);
                info.stands_on = header.predecessor.map(|(number, _)| number);
                let before = header.predecessor.map(|(number, _)| whole.get(&number));
                let lens = lens(&deltas, before.flatten());
                info.damage = match (header.predecessor, before.flatten()) {
                    (Some((number, _)), None) => {
                        Some(format!("checkpoint {number}, on which it stands, is not whole"))
                    }
                    (Some((number, id)), Some(before)) if before.id != id => {
                        Some(format!("checkpoint {number} is not the one on which it stands"))
                    }
                    _ => lens.as_ref().err().map(|_| {
                        "where its sources stand does not fit to what it stands on".to_owned()
                    }),
                };
                let lens = lens.unwrap_or_default();
                if info.damage.is_none() {
                    whole.insert(number, Whole { id: header.stamp.id, lens: lens.clone() });
                }
                info.sections = checkpoint
                    .sections
                    .into_iter()
                    .map(|section| SectionInfo {
                        is_whole: info.stands_on.is_none() || section.changes.is_whole(),
                        entries: section.changes.len(),
                        bytes: section.changes.bytes().len() as u64,
                        name: section.name,
                        form: section.form,
                    })
                    .collect();
                info.sources = lens
                    .into_iter()
                    .map(|(name, position_bytes)| SourceInfo { name, position_bytes })
                    .collect();
            }
        }
        checkpoints.push(info);
    }
    let life = store.life.or(lives.values().next_back().copied());
    for info in &mut checkpoints {
        if info.damage.is_none() && lives.get(&info.number).copied() != life {
            info.damage = Some(OTHER_LIFE.to_owned());
        }
    }
    Ok(checkpoints)
}

/// A checkpoint that is whole, as one that stands on it has to know it.
struct Whole {
    id: u64,
    lens: Vec<(String, u64)>,
}

/// How long the positions of sources are, if they fit to those that they stand on.
fn lens(deltas: &[(String, Vec<u8>)], before: Option<&Whole>) -> Result<Vec<(String, u64)>> {
    let len_before = |name: &str| {
        let mut lens = before.into_iter().flat_map(|before| &before.lens);
        lens.find(|(known, _)| known == name).map_or(0, |(_, len)| *len)
    };
    let len = |(name, delta): &(String, Vec<u8>)| {
        let (before, len) = delta::lens(delta)?;
        if before == len_before(name) { Ok((name.clone(), len)) } else { Err(torn()) }
    };
    deltas.iter().map(len).collect()
}

/// Reads and checks all checkpoints of a directory, changes nothing, and says which one a program
/// would start from.
///
/// # Errors
///
/// As with [`inspect`].
pub fn verify(directory: impl AsRef<Path>) -> Result<Verified> {
    let checkpoints = inspect(directory)?;
    let is_whole = |info: &&CheckpointInfo| info.damage.is_none();
    let damaged = checkpoints.iter().filter(|info| info.damage.is_some() || info.is_from_copy);
    Ok(Verified {
        checkpoints: checkpoints.len() as u64,
        damaged: damaged.count() as u64,
        start: checkpoints.iter().rfind(is_whole).map(|info| info.number),
    })
}
