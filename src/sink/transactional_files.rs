//! Text files that are seen exactly once: those of the batches between two checkpoints get their
//! names together with the later one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::text_files::{hidden, shown_name, write_rows};
use super::{TextFiles, TransactionalSink};
use crate::error::{BoxError, io_within};
use crate::record::saved::{push_varint, take_varint};
use crate::record::{Batch, Show};
use crate::storage::{Disk, Storage};
use crate::time::Time;

/// What a name ends in until the file is committed; it begins with a dot.
const PENDING: &str = ".pending";

/// What it ends in once a committed file was taken back.
const TAKEN_BACK: &str = ".taken-back";

/// Names of files that an error or a warning tells; of the others it tells how many there are.
const NAMES_TOLD: usize = 10;

/// A [`TransactionalSink`] of text files, called as [`TextFiles`] are.
///
/// A batch is written and synced under a hidden name when it comes, and gets its name once a
/// checkpoint that has the batch is on disk. After a crash, files that no checkpoint names are
/// removed, and their batches come again: whoever reads the directory finds each row in one file,
/// as often as it came.
///
/// Where the newest checkpoint is damaged and an older one is gone on from, the batches after that
/// one come again. Files that were committed of them are taken back, with a warning that has their
/// names: a file gets a hidden name, `.NAME.taken-back`, and is kept. So the directory has each row
/// once again without anybody's help, and nothing is destroyed. Whoever had read such a file before
/// has its rows a second time, under the same name or another one. If a file cannot be taken back,
/// `start` fails with the names of those that are left.
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

    fn commit_batch(&self, time: Time) -> io::Result<()> {
        let path = self.files.path(time);
        match self.storage.rename(&hidden(&path, PENDING), &path) {
            // It was committed before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    fn commit_all(&self, prepared: &[u8]) -> Result<(), BoxError> {
        for time in times_of(prepared)? {
            self.commit_batch(time)?;
        }
        Ok(self.storage.sync_directory(&self.files.directory())?)
    }

    /// Hides the committed files of batches later than this one.
    fn hide_later(&self, after: Time) -> Result<(), BoxError> {
        let later = self.files.later_than(&*self.storage, after)?;
        if later.is_empty() {
            return Ok(());
        }
        for (index, path) in later.iter().enumerate() {
            self.storage.rename(path, &hidden(path, TAKEN_BACK)).map_err(|error| {
                let names = names(&later[index..]);
                io_within(
                    format!("these were committed after batch {after} and are left: {names}"),
                    error,
                )
            })?;
        }
        self.storage.sync_directory(&self.files.directory())?;
        let files = names(&later);
        tracing::warn!(%after, files, "committed files were taken back: their batches come again");
        Ok(())
    }
}

/// Names of files, to tell them.
fn names(paths: &[PathBuf]) -> String {
    let told: Vec<String> =
        paths.iter().take(NAMES_TOLD).map(|path| path.display().to_string()).collect();
    let (told, more) = (told.join(", "), paths.len().saturating_sub(NAMES_TOLD));
    if more > 0 { format!("{told} and {more} more") } else { told }
}

impl<T: Show> TransactionalSink<T> for TransactionalFiles {
    fn write(&mut self, batch: &Batch<T>, time: Time) -> Result<(), BoxError> {
        if batch.is_empty() && !self.files.keeps_empty() {
            return Ok(());
        }
        let path = hidden(&self.files.path(time), PENDING);
        write_rows(&*self.storage, &path, batch)
            .map_err(|error| io_within(format!("cannot write {path:?}"), error))?;
        self.open.push(time);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<u8>, BoxError> {
        self.storage.sync_directory(&self.files.directory())?;
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
        for path in self.storage.list(&self.files.directory())? {
            let name = shown_name(&path, PENDING);
            if name.is_some_and(|name| self.files.time_of(name).is_some()) {
                self.storage.remove(&path)?;
            }
        }
        Ok(())
    }

    fn take_back(&mut self, after: Time) -> Result<bool, BoxError> {
        self.hide_later(after)?;
        Ok(true)
    }
}

fn times_of(mut prepared: &[u8]) -> Result<Vec<Time>, BoxError> {
    let mut times = Vec::new();
    while !prepared.is_empty() {
        times.push(Time::from_millis(take_varint(&mut prepared)?));
    }
    Ok(times)
}
