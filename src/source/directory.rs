//! Directories: files that come to one, each read once and whole, in the batch of the time at which
//! it came.
//!
//! Invariant: a file that was picked is read to its end before the next one is begun, however many
//! batches that takes.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::first_line::Asks;
use super::open_file::{Place, regular};
use super::picks::{Picks, name_of};
use super::read::Taken;
use super::whole_file::{WholeFile, plain};
use super::{BlockWriter, FirstLine, Received, Receiver};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};
use crate::time::Time;

/// Reads the files that come to a directory, as Spark's file streams do.
///
/// At each batch time T the directory is listed, without those in it, and a file is read if
///
/// * it passes the [filter](Self::filter): if its name does not begin with a dot;
/// * it was last modified after the stream was made, unless
///   [all files](Self::new_files_only) are wanted;
/// * it was last modified at T or before, and after T - 60 s, or what else is
///   [remembered](Self::remember);
/// * it was not read before.
///
/// So a file is to be written elsewhere, or under a name with a dot, and then moved in: what is
/// appended later is not read. A file with an old time that is moved in never is, and one that is
/// changed after its time has left the window is read again, as a new one. Each listing looks at
/// each file, so what was read long ago had better be moved away.
///
/// A file's lines belong to the batch of the time at which it was picked. Where all blocks are in
/// use before its end, or a rate forbids more, the rest belongs to the next batches: nothing is
/// lost and nothing comes twice. A line never spans two files; the last one of a file counts with
/// or without its end.
///
/// Files that gzip or Zstandard have compressed are unpacked, as by [`Files`](super::Files).
///
/// A file that cannot be read, or not to its end, is [counted](crate::SourceCounts::files_unread)
/// and warned of. So is a directory that cannot be listed: it is tried again at the next time, and
/// its window then reaches back to the last listing.
///
/// In a checkpoint stands which files were picked, and how far they were read. So after a crash
/// each line of each file is in a state exactly once, and what came while nothing ran is read then.
/// A directory is known by its path, as it was given.
///
/// ```
/// use std::time::Duration;
/// use tidemill::Directory;
/// use tidemill::prelude::*;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let ssc = StreamingContext::builder("logs").build()?;
/// let logs = Directory::new(directory)?
///     .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
///     .new_files_only(false)
///     .remember(Duration::from_secs(3_600));
/// ssc.receiver_stream(logs)?.count().print(10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Directory {
    // Fixed.
    path: PathBuf,
    filter: Filter,
    // Changing.
    picks: Picks,
    /// Files that were picked and not read to their ends, in their order.
    pending: VecDeque<OsString>,
    /// The first of them, once it is being read.
    file: WholeFile,
    /// Where to go on in it, if an earlier process has begun it.
    place: Option<Place>,
    /// What is wrong with the directory, said once.
    trouble: Option<io::ErrorKind>,
}

/// Whether a file is to be read.
type Filter = Box<dyn Fn(&Path) -> bool + Send>;

impl Directory {
    /// A source of the files that come to this directory from now on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path, if it is no directory that can be listed.
    pub fn new(path: impl Into<PathBuf>) -> Result<Directory> {
        let path = plain(path.into());
        std::fs::read_dir(&path).map_err(|error| {
            let message = format!("cannot list directory {}", path.display());
            Error::caused(ErrorKind::Source, message, error)
        })?;
        Ok(Directory {
            path,
            filter: Box::new(|path| !is_hidden(path)),
            picks: Picks::default(),
            pending: VecDeque::new(),
            file: WholeFile::default(),
            place: None,
            trouble: None,
        })
    }

    /// Reads the files for whose paths the closure says so, in the place of those whose names do
    /// not begin with a dot.
    pub fn filter(mut self, filter: impl Fn(&Path) -> bool + Send + 'static) -> Directory {
        self.filter = Box::new(filter);
        self
    }

    /// Has the closure decide about each file by its path and first line, as that of
    /// [`Files::first_line`](super::Files::first_line).
    #[must_use]
    pub fn first_line(
        mut self,
        ask: impl Fn(&Path, &str) -> FirstLine + Send + Sync + 'static,
    ) -> Directory {
        self.file.asks = Asks::by(ask);
        self
    }

    /// Whether files that were last modified before the stream was made are left out (default:
    /// true).
    #[doc(alias = "newFilesOnly")]
    pub fn new_files_only(mut self, new_files_only: bool) -> Directory {
        self.picks.new_files_only = new_files_only;
        self
    }

    /// How long before a batch's time a file may have been modified last (default: 60 s), rounded
    /// up to whole intervals; with [`Duration::MAX`] at any time.
    ///
    /// The names of files that were read are remembered for so long, while they are there and for a
    /// minute after.
    #[doc(alias = "spark.streaming.fileStream.minRememberDuration")]
    pub fn remember(mut self, duration: Duration) -> Directory {
        self.picks.remember = duration;
        self
    }

    /// How many files may be in the directory, or remembered (default: 1 Mi); one more ends the
    /// source with an error.
    pub fn files_max(mut self, files: usize) -> Directory {
        self.picks.files_max = files;
        self
    }

    /// The files that are there now, and when they were last modified, since the epoch.
    fn list(&self) -> io::Result<Vec<(OsString, Duration)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            if !(self.filter)(&path) {
                continue;
            }
            // What is gone again by now was never there.
            let Ok(metadata) = regular(&path) else { continue };
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            files.push((entry.file_name(), modified));
            if files.len() > self.picks.files_max {
                break;
            }
        }
        Ok(files)
    }

    /// Reads once from the first of the pending files.
    fn read(&mut self, path: &Path, into: &mut BlockWriter) -> io::Result<Taken> {
        if let Some(place) = self.place.take() {
            self.file.go_on(path, place)?;
        }
        self.file.read(path, into)
    }

    /// The first of the pending files was read, or cannot be.
    fn next(&mut self) {
        if let Some(name) = self.pending.pop_front() {
            self.picks.done(&name);
        }
    }

    /// Says what is wrong with the directory, or that nothing is any more, when it has changed.
    fn note(&mut self, trouble: Option<io::Error>) {
        let path = self.path.display();
        let before = std::mem::replace(&mut self.trouble, trouble.as_ref().map(io::Error::kind));
        match trouble {
            Some(error) if before != Some(error.kind()) => {
                tracing::warn!(%path, %error, "cannot list a directory; it is tried again");
            }
            None if before.is_some() => tracing::info!(%path, "a directory can be listed again"),
            _ => {}
        }
    }
}

impl Receiver for Directory {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while let Some(name) = self.pending.front() {
            let path = self.path.join(name);
            match self.read(&path, into) {
                Ok(Taken::Bytes(_)) => {}
                Ok(Taken::End) => {
                    self.file.finish(&path, into);
                    self.next();
                }
                Ok(Taken::NoRoom | Taken::Nothing) => return Ok(Received::More),
                Err(error) => {
                    let name = path.display();
                    if self.file.is_packed() {
                        tracing::warn!(path = %name, %error, "a file cannot be read to its end");
                        self.file.finish(&path, into);
                    } else {
                        tracing::warn!(path = %name, %error, "a file cannot be read: left out");
                        self.file.leave();
                    }
                    into.count_unread_file();
                    self.next();
                }
            }
        }
        // Before the next listing there is nothing to do.
        Ok(Received::Later(Duration::MAX))
    }

    fn attach(&mut self, now: Time, interval: Duration) {
        self.picks.begin(now, interval);
    }

    fn tick(&mut self, time: Time) -> io::Result<bool> {
        match self.list() {
            Ok(files) => {
                self.note(None);
                self.picks.check_max(files.len())?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.pending.extend(self.picks.pick(time, now, files)?);
            }
            Err(error) => self.note(Some(error)),
        }
        Ok(!self.pending.is_empty())
    }

    /// The files that were picked, those of them that are to be read, and how far the first of
    /// those is.
    fn position(&self) -> Option<Vec<u8>> {
        let mut position = Vec::new();
        self.picks.save(&mut position);
        push_varint(self.pending.len() as u64, &mut position);
        for name in &self.pending {
            push_bytes(name.as_encoded_bytes(), &mut position);
        }
        if let Some(place) = self.file.place().or(self.place) {
            place.save(&mut position);
        }
        Some(position)
    }

    /// Whether the file that was being read still is what it was shows when it is opened: another
    /// one is left out as one that cannot be read.
    fn resume(&mut self, mut position: &[u8]) -> io::Result<()> {
        let position = &mut position;
        self.picks.load(position).map_err(io::Error::other)?;
        for _ in 0..take_varint(position).map_err(io::Error::other)? {
            let name = take_bytes(position).map_err(io::Error::other)?;
            self.pending.push_back(name_of(name));
        }
        if !position.is_empty() {
            self.place = Some(Place::load(position).map_err(io::Error::other)?);
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("directory {}", self.path.display())
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
