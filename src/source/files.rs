//! Files, each read whole, one after another: a source with an end.
//!
//! Invariant: a line never spans two files; the last line of a file counts with or without its
//! line end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::first_line::Asks;
use super::open_file::{OpenFile, Place};
use super::read::Taken;
use super::whole_file::WholeFile;
use super::{BlockWriter, FirstLine, Received, Receiver};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};

/// Reads files from their starts to their ends, in the order given, and then ends.
///
/// Bounded: the threads that process the lines read them, too, as fast as they can. What is
/// appended to a file while it is being read is read as well; what comes later is for
/// [`Follow`](super::Follow).
///
/// A file that begins as those of gzip or Zstandard do is unpacked while it is read, whatever its
/// name (feature `compression`). Of a truncated or damaged one that is read which came before; it
/// is [counted](crate::SourceCounts::files_unread) and warned of, and the next one is read.
///
/// ```no_run
/// use tidemill::Files;
///
/// let files = Files::open(["january.log", "february.log"])?;
/// println!("{} bytes to go", files.bytes_total());
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Files {
    // Fixed.
    paths: Vec<PathBuf>,
    /// Their sizes when they were opened first.
    sizes: Vec<u64>,
    bytes_read: Arc<AtomicU64>,
    // Changing.
    /// The file that is being read, or comes next.
    current: usize,
    /// Sizes of the files before it.
    bytes_before: u64,
    file: WholeFile,
}

impl Files {
    /// A source of the lines of these files.
    ///
    /// Each is opened here once, so that a wrong name is found before the stream runs, and again
    /// when its turn comes, so that their number is not limited by the system's open files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path and the cause, if one is missing, cannot be read, or is
    /// no regular file. A file that is gone when its turn comes ends the source with an error.
    pub fn open<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Files> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let sizes = paths.iter().map(|path| {
            byte_len(path).map_err(|error| {
                Error::caused(ErrorKind::Source, format!("cannot read {}", path.display()), error)
            })
        });
        let sizes = sizes.collect::<Result<Vec<u64>>>()?;
        let (bytes_read, file) = (Arc::default(), WholeFile::default());
        Ok(Files { paths, sizes, bytes_read, current: 0, bytes_before: 0, file })
    }

    /// Has the closure decide about each file by its path and first line, before anything of the
    /// file is counted: whether the line is skipped, as a header, or the file is left out. It gets
    /// the line without its end and without a byte-order mark.
    #[must_use]
    pub fn first_line(
        mut self,
        ask: impl Fn(&Path, &str) -> FirstLine + Send + Sync + 'static,
    ) -> Files {
        self.file.asks = Asks::by(ask);
        self
    }

    /// The first line of a file, unpacked if it is compressed, with its line end if that has come;
    /// `None` of an empty file. Lines are added while `goes_on` says so of what there is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path and the cause, if it cannot be read.
    pub fn first_line_of(
        path: impl AsRef<Path>,
        goes_on: impl Fn(&str) -> bool,
    ) -> Result<Option<String>> {
        let path = path.as_ref();
        let line = OpenFile::open(path).and_then(|file| file.first_line(goes_on));
        line.map_err(|error| {
            Error::caused(ErrorKind::Source, format!("cannot read {}", path.display()), error)
        })
    }

    /// Bytes of all files together, as they were when opened; of compressed ones those on the disk.
    pub fn bytes_total(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// How many of these bytes were read so far: to be kept and looked at while the stream runs.
    /// They are all of them when all files were read to their ends.
    pub fn progress(&self) -> Arc<AtomicU64> {
        self.bytes_read.clone()
    }

    /// Has the file with this name read next; false if it is not in the list, or was read.
    fn put_next(&mut self, path: &[u8]) -> bool {
        let rest = &mut self.paths[self.current..];
        let found = rest.iter().position(|own| own.as_os_str().as_encoded_bytes() == path);
        if let Some(found) = found {
            rest[..=found].rotate_right(1);
            self.sizes[self.current..][..=found].rotate_right(1);
        }
        found.is_some()
    }

    /// The current file was read, or as much of it as can be.
    fn next(&mut self) {
        self.bytes_before += self.sizes[self.current];
        self.current += 1;
        self.note_progress();
    }

    fn note_progress(&self) {
        let size = self.sizes.get(self.current).copied().unwrap_or(0);
        // It may have grown since it was looked at.
        let read = self.bytes_before + self.file.consumed().min(size);
        self.bytes_read.store(read, Ordering::Relaxed);
    }
}

impl Receiver for Files {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while let Some(path) = self.paths.get(self.current).cloned() {
            match self.file.read(&path, into) {
                Ok(Taken::Bytes(_)) => self.note_progress(),
                Ok(Taken::End) => {
                    self.file.finish(&path, into);
                    self.next();
                }
                Ok(Taken::NoRoom | Taken::Nothing) => return Ok(Received::More),
                Err(error) if self.file.is_packed() => {
                    let name = path.display();
                    tracing::warn!(path = %name, %error, "a file cannot be read to its end");
                    into.count_unread_file();
                    self.file.finish(&path, into);
                    self.next();
                }
                Err(error) => {
                    let message = format!("cannot read {}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        }
        Ok(Received::End)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    /// The files that were read, and how far the one is that is being read.
    fn position(&self) -> Option<Vec<u8>> {
        let mut position = Vec::new();
        push_varint(self.current as u64, &mut position);
        for path in self.paths.iter().take(self.current + 1) {
            push_bytes(path.as_os_str().as_encoded_bytes(), &mut position);
        }
        if let Some(place) = self.file.place() {
            place.save(&mut position);
        }
        Some(position)
    }

    /// Files that were read are not read again, also where they stand elsewhere in the list by now;
    /// those that are new in it are.
    fn resume(&mut self, mut position: &[u8]) -> io::Result<()> {
        let position = &mut position;
        let read = take_varint(position).map_err(io::Error::other)?;
        for index in 0..read {
            let path = take_bytes(position).map_err(io::Error::other)?;
            if self.put_next(path) {
                self.next();
            } else {
                tracing::warn!(index, "a file that was read is no longer in the list");
            }
        }
        if position.is_empty() {
            return Ok(());
        }
        let path = take_bytes(position).map_err(io::Error::other)?;
        if !self.put_next(path) || position.is_empty() {
            return Ok(());
        }
        let place = Place::load(position).map_err(io::Error::other)?;
        let path = &self.paths[self.current];
        self.file.go_on(path, place).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot go on in {}: {error}", path.display()))
        })?;
        self.note_progress();
        Ok(())
    }

    fn saved_name(&self) -> String {
        "files".to_owned()
    }

    fn name(&self) -> String {
        match self.paths.as_slice() {
            [] => "no files".to_owned(),
            [path] => format!("file {}", path.display()),
            [first, others @ ..] => {
                format!("files {} and {} more", first.display(), others.len())
            }
        }
    }
}

/// Length of a file, after a look whether it can be read.
fn byte_len(path: &Path) -> io::Result<u64> {
    let file = OpenFile::open(path)?;
    Ok(file.metadata()?.len())
}
