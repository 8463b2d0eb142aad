//! What is in a directory of logs, for whoever wants to know, without changing it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Numbers, marked_by, numbers_in, retain_marks};
use super::replay::{Counted, Replay};
use super::segment::{Header, read_header};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Disk, Storage};

/// The intake log of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntakeLogInfo {
    /// The name of the source.
    pub source: String,
    /// Its files.
    pub files: u64,
    /// The length of all of them.
    pub bytes: u64,
    /// Blocks that are whole.
    pub blocks: u64,
    /// The number of the last one that is whole, 0 if there is none.
    pub last: u64,
    /// Blocks that should be between them or after them, and are damaged.
    pub lost: u64,
    /// Files of another directory's log, which are not counted, and which no start reads.
    pub foreign: u64,
}

/// The logs in this directory, by the names of their sources. All of each is read and checked.
/// Those of another life are none of these, if the directory's is known.
pub(crate) fn inspect(directory: &Path, life: Option<u64>) -> Result<Vec<IntakeLogInfo>> {
    let failed = |error| {
        let message = format!("cannot read the intake log in {}", directory.display());
        Error::caused(ErrorKind::Checkpoint, message, error)
    };
    let paths = match Disk::Private.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(failed)?,
    };
    let mut logs = BTreeMap::<String, (Vec<_>, u64)>::new();
    let mut marks = BTreeMap::<String, Vec<PathBuf>>::new();
    for path in paths {
        if let Some(of) = marked_by(&path) {
            let numbers = numbers_in(&of);
            if let Some(numbers) = numbers.filter(|it| life.is_none_or(|life| it.is_of(life))) {
                marks.entry(numbers.stem.to_owned()).or_default().push(path);
            }
            continue;
        }
        if let Some(numbers) = numbers_in(&path) {
            let Numbers { stem, number, first, .. } = numbers;
            let (own, foreign) = logs.entry(stem.to_owned()).or_default();
            match life.is_none_or(|life| numbers.is_of(life)) {
                true => own.push((number, first, path.clone())),
                false => *foreign += 1,
            }
        }
    }
    let mut infos = Vec::new();
    for (stem, (mut files, foreign)) in logs {
        files.sort();
        let mut marks = marks.remove(&stem).unwrap_or_default();
        retain_marks(&mut marks, files.first().map(|(number, ..)| *number));
        let mut info = IntakeLogInfo { source: stem, foreign, ..IntakeLogInfo::default() };
        for (_, _, path) in &files {
            let bytes = Disk::Private.read_whole(path).map_err(failed)?;
            if let (Header::Source(source), _) = read_header(&bytes) {
                info.source = source.to_owned();
            }
            info.files += 1;
            info.bytes += bytes.len() as u64;
        }
        let before = files.first().map_or(0, |(_, first, _)| first.saturating_sub(1));
        let paths = files.into_iter().map(|(_, _, path)| path).collect();
        let (disk, source) = (Arc::new(Disk::Private), info.source.clone());
        let mut replay = Replay::new(disk, source, (paths, marks), before);
        Counted { blocks: info.blocks, lost: info.lost, .. } = replay.count()?;
        info.last = if info.blocks > 0 { replay.last() } else { 0 };
        infos.push(info);
    }
    infos.sort_by(|one, other| one.source.cmp(&other.source));
    Ok(infos)
}
