//! What a log has that the checkpoint has not: block by block, a file in memory at a time.
//!
//! Invariant: numbers ascend, and each block is what was written. One that is damaged is passed
//! over and counted; those after it come all the same.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{marked_by, numbers_in};
use super::segment::{Block, Header, next_block, read_header};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// Blocks that are given again.
pub(crate) struct Replay {
    // Fixed.
    storage: Arc<dyn Storage>,
    source: String,
    // Changing.
    /// Files that were not read yet.
    paths: VecDeque<PathBuf>,
    /// Files beside them, which say what was synced.
    marks: Vec<PathBuf>,
    bytes: Vec<u8>,
    salt: u64,
    at: usize,
    /// The number of the last block that was given, or is in the checkpoint.
    last: u64,
    /// The greatest number in the log.
    greatest: u64,
    /// The last block that was synced, as far as that is known.
    synced: u64,
}

/// What a log has after a checkpoint.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) blocks: u64,
    /// Blocks that should be there.
    pub(crate) lost: u64,
    /// The first and last of the first of these.
    pub(crate) first_lost: Option<(u64, u64)>,
}

/// A block of a log.
pub(crate) struct Replayed<'a> {
    pub(crate) number: u64,
    pub(crate) bytes: &'a [u8],
    /// Blocks before it that should be there.
    pub(crate) lost: u64,
}

impl Counted {
    /// So many blocks after this one are not there.
    fn lose(&mut self, after: u64, lost: u64) {
        self.lost += lost;
        if lost > 0 {
            self.first_lost.get_or_insert((after + 1, after + lost));
        }
    }
}

impl Replay {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        source: String,
        (paths, marks): (VecDeque<PathBuf>, Vec<PathBuf>),
        last: u64,
    ) -> Replay {
        let (bytes, salt, at, greatest, synced) = Default::default();
        Replay { storage, source, paths, marks, bytes, salt, at, last, greatest, synced }
    }

    /// Reads the rest, and says how many blocks there are and how many are lost.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    pub(crate) fn count(&mut self) -> Result<Counted> {
        let mut counted = Counted::default();
        let mut last = self.last;
        while let Some(block) = self.next()? {
            counted.blocks += 1;
            counted.lose(last, block.lost);
            last = block.number;
        }
        counted.lose(last, self.lost_at_end());
        Ok(counted)
    }

    /// The number of the last block that was given, or that is in the checkpoint.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The next block.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if the disk does not give a file that is there, or the file is not
    /// one of this log's.
    pub(crate) fn next(&mut self) -> Result<Option<Replayed<'_>>> {
        loop {
            let Some(found) = next_block(self.salt, &self.bytes, self.at) else {
                let Some(path) = self.paths.pop_front() else {
                    self.read_marks()?;
                    return Ok(None);
                };
                self.open(path)?;
                continue;
            };
            let is_mark = found.is_mark();
            let Block { number, before, range } = found;
            self.at = range.end;
            if is_mark {
                self.synced = self.synced.max(number);
                continue;
            }
            self.greatest = self.greatest.max(number);
            // What was written twice is the same.
            if number > self.last {
                let lost = before.saturating_sub(self.last);
                self.last = number;
                return Ok(Some(Replayed { number, bytes: &self.bytes[range], lost }));
            }
        }
    }

    /// Blocks at its end that were synced and are not there, once all blocks were given.
    pub(crate) fn lost_at_end(&self) -> u64 {
        self.synced.saturating_sub(self.last)
    }

    /// The greatest number in the log, once all blocks were given; 0 if it has none.
    pub(crate) fn greatest(&self) -> u64 {
        // Numbers of blocks that are gone are not given again.
        self.greatest.max(self.synced)
    }

    /// Takes in what the files beside the log say of syncs.
    fn read_marks(&mut self) -> Result<()> {
        for path in std::mem::take(&mut self.marks) {
            let Some(salt) =
                marked_by(&path).and_then(|of| numbers_in(&of).map(|numbers| numbers.salt))
            else {
                continue;
            };
            let bytes = match self.storage.read_whole(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(|error| {
                    let message = format!("cannot read {}", path.display());
                    Error::caused(ErrorKind::Checkpoint, message, error)
                })?,
            };
            let mut at = 0;
            while let Some(found) = next_block(salt, &bytes, at) {
                at = found.range.end;
                if found.is_mark() {
                    self.synced = self.synced.max(found.number);
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, path: PathBuf) -> Result<()> {
        let failed = |what: &str| {
            let message = format!("the intake log's {}: {what}", path.display());
            Error::new(ErrorKind::Checkpoint, message)
        };
        self.bytes = self.storage.read_whole(&path).map_err(|error| {
            Error::caused(ErrorKind::Checkpoint, format!("cannot read {}", path.display()), error)
        })?;
        self.salt = numbers_in(&path).map_or(0, |numbers| numbers.salt);
        let (header, at) = read_header(&self.bytes);
        self.at = at;
        match header {
            Header::Source(source) if source != self.source => {
                Err(failed(&format!("it is that of source {source:?}, and not {:?}", self.source)))
            }
            Header::Version(version) => Err(failed(&format!("it is of version {version}"))),
            Header::Source(_) | Header::Unreadable => Ok(()),
        }
    }
}
