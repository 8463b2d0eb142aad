//! Text files that are seen exactly once: those of the batches between two checkpoints get their
//! names together with the later one.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::text_files::{directory_of, write_rows};
use super::{TextFiles, TransactionalSink};
use crate::error::BoxError;
use crate::record::saved::{push_varint, take_varint};
use crate::record::{Batch, Show};
use crate::storage::{Disk, Storage};
use crate::time::Time;

/// What a name ends in until the file is committed; it begins with a dot.
const PENDING: &str = ".pending";

/// A [`TransactionalSink`] of text files, called as [`TextFiles`] are.
///
/// A batch is written and synced under a hidden name when it comes, and gets its name once a
/// checkpoint that has the batch is on disk. After a crash, files that no checkpoint names are
/// removed, and their batches come again: whoever reads the directory finds each row in one file,
/// as often as it came.
///
/// ```
/// # use std::time::Duration;
/// use tidemill::prelude::*;
/// use tidemill::{TextFiles, TransactionalFiles};
///
/// # let directory = tempfile::tempdir()?;
/// # let (out, state) = (directory.path().join("out"), directory.path().join("state"));
/// # std::fs::create_dir(&out)?;
/// let mut t = TestContext::new()?;
/// let words = t.input::<String>();
/// let files = TransactionalFiles::new(TextFiles::new(out.join("words")).suffix("txt"));
/// words.stream().count_by_value().save_with("words.v1", files);
/// t.context().checkpoint(&state, 2);
/// words.push(["a", "a"])?;
/// t.tick()?;
/// assert!(!out.join("words-1000.txt").exists());
/// t.tick()?; // and a checkpoint
/// assert_eq!(std::fs::read_to_string(out.join("words-1000.txt"))?, "(a,2)\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TransactionalFiles {
    // Fixed.
    files: TextFiles,
    storage: Arc<dyn Storage>,
    // Changing.
    /// The batches that the open transaction has files of.
    open: Vec<Time>,
}

impl TransactionalFiles {
    /// Files with these names; their directory has to be there.
    pub fn new(files: TextFiles) -> TransactionalFiles {
        TransactionalFiles::on(Arc::new(Disk::Shared), files)
    }

    pub(crate) fn on(storage: Arc<dyn Storage>, files: TextFiles) -> TransactionalFiles {
        TransactionalFiles { files, storage, open: Vec::new() }
    }

    fn directory(&self) -> PathBuf {
        directory_of(self.files.prefix()).to_owned()
    }

    fn commit_batch(&self, time: Time) -> io::Result<()> {
        let path = self.files.path(time);
        match self.storage.rename(&pending(&path), &path) {
            // It was committed before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    fn commit_all(&self, prepared: &[u8]) -> Result<(), BoxError> {
        for time in times_of(prepared)? {
            self.commit_batch(time)?;
        }
        Ok(self.storage.sync_directory(&self.directory())?)
    }

    /// Whether a name in the directory is that of a file that was never committed.
    fn is_pending(&self, name: &OsStr) -> bool {
        let prefix = self.files.prefix().file_name().unwrap_or_default();
        let name = name.as_encoded_bytes();
        let inner = name.strip_prefix(b".").and_then(|n| n.strip_suffix(PENDING.as_bytes()));
        let rest = inner.and_then(|inner| inner.strip_prefix(prefix.as_encoded_bytes()));
        // The time, and the suffix of these files and no others.
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"-")) else { return false };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let time = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok());
        let path = time.map(|millis| pending(&self.files.path(Time::from_millis(millis))));
        path.is_some_and(|path| path.file_name().map(OsStr::as_encoded_bytes) == Some(name))
    }
}

impl<T: Show> TransactionalSink<T> for TransactionalFiles {
    fn write(&mut self, batch: &Batch<T>, time: Time) -> Result<(), BoxError> {
        if batch.is_empty() && !self.files.keeps_empty() {
            return Ok(());
        }
        let path = pending(&self.files.path(time));
        write_rows(&*self.storage, &path, batch)
            .map_err(|error| format!("cannot write {path:?}: {error}"))?;
        self.open.push(time);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<u8>, BoxError> {
        self.storage.sync_directory(&self.directory())?;
        let mut prepared = Vec::new();
        for time in self.open.drain(..) {
            push_varint(time.millis(), &mut prepared);
        }
        Ok(prepared)
    }

    fn commit(&mut self, prepared: &[u8]) -> Result<(), BoxError> {
        self.commit_all(prepared)
    }

    fn recover(&mut self, prepared: &[Vec<u8>]) -> Result<(), BoxError> {
        for prepared in prepared {
            self.commit_all(prepared)?;
        }
        let directory = self.directory();
        for path in self.storage.list(&directory)? {
            if path.file_name().is_some_and(|name| self.is_pending(name)) {
                self.storage.remove(&path)?;
            }
        }
        Ok(())
    }
}

/// The name until the file is committed.
fn pending(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(PENDING);
    path.with_file_name(name)
}

fn times_of(mut prepared: &[u8]) -> Result<Vec<Time>, BoxError> {
    let mut times = Vec::new();
    while !prepared.is_empty() {
        times.push(Time::from_millis(take_varint(&mut prepared)?));
    }
    Ok(times)
}
