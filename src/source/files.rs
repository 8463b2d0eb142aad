//! Files, each read whole, one after another: a source with an end.
//!
//! Invariant: a line never spans two files; the last line of a file counts with or without its
//! line end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::read::{Taken, read_once};
use super::{BlockWriter, Carry, Received, Receiver};
use crate::error::{Error, ErrorKind, Result};

/// Reads files from their starts to their ends, in the order given, and then ends.
///
/// Bounded: the threads that process the lines read them, too, as fast as they can. What is
/// appended to a file while it is being read is read as well; what comes later is for
/// [`Follow`](super::Follow).
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
    bytes_total: u64,
    bytes_read: Arc<AtomicU64>,
    // Changing.
    /// The file that is being read, or comes next.
    current: usize,
    file: Option<File>,
    carry: Carry,
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
        let mut bytes_total = 0;
        for path in &paths {
            bytes_total += byte_len(path).map_err(|error| {
                Error::caused(ErrorKind::Source, format!("cannot read {}", path.display()), error)
            })?;
        }
        let (bytes_read, carry) = (Arc::default(), Carry::default());
        Ok(Files { paths, bytes_total, bytes_read, current: 0, file: None, carry })
    }

    /// Bytes of all files together, as they were when opened.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// How many bytes were read so far: to be kept and looked at while the stream runs.
    pub fn progress(&self) -> Arc<AtomicU64> {
        self.bytes_read.clone()
    }

    /// Reads once from the current file, and opens it first if need be.
    fn read(&mut self, path: &Path, into: &mut BlockWriter) -> io::Result<Taken> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(path)?),
        };
        read_once(file, &mut self.carry, into)
    }
}

impl Receiver for Files {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while let Some(path) = self.paths.get(self.current).cloned() {
            let taken = self.read(&path, into).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
            })?;
            match taken {
                Taken::Bytes(count) => {
                    self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
                }
                Taken::End => {
                    into.finish(&mut self.carry);
                    self.file = None;
                    self.current += 1;
                }
                Taken::NoRoom | Taken::Nothing => return Ok(Received::More),
            }
        }
        Ok(Received::End)
    }

    fn is_bounded(&self) -> bool {
        true
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
    // Before it is opened: to open a named pipe waits for its writer.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file; standard input takes pipes and devices"));
    }
    File::open(path)?;
    Ok(metadata.len())
}
