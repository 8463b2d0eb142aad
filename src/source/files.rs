//! Files, each read whole, one after another: a source with an end.
//!
//! Invariant: a line never spans two files; the last line of a file counts with or without its
//! line end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::carry::Standing;
use super::read::{Taken, read_once};
use super::{BlockWriter, Carry, Received, Receiver};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};

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
    /// Bytes of it that were read.
    offset: u64,
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
        Ok(Files { paths, bytes_total, bytes_read, current: 0, file: None, offset: 0, carry })
    }

    /// Bytes of all files together, as they were when opened.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// How many bytes were read so far: to be kept and looked at while the stream runs.
    pub fn progress(&self) -> Arc<AtomicU64> {
        self.bytes_read.clone()
    }

    /// Has the file with this name read next; false if it is not in the list, or was read.
    fn put_next(&mut self, path: &[u8]) -> bool {
        let rest = &mut self.paths[self.current..];
        let found = rest.iter().position(|own| own.as_os_str().as_encoded_bytes() == path);
        if let Some(found) = found {
            rest[..=found].rotate_right(1);
        }
        found.is_some()
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
                    self.offset += count as u64;
                }
                Taken::End => {
                    into.finish(&mut self.carry);
                    (self.file, self.offset) = (None, 0);
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

    /// The files that were read, and how far the one is that is being read.
    fn position(&self) -> Option<Vec<u8>> {
        let mut position = Vec::new();
        push_varint(self.current as u64, &mut position);
        for path in self.paths.iter().take(self.current + 1) {
            push_bytes(path.as_os_str().as_encoded_bytes(), &mut position);
        }
        if let Some(file) = &self.file {
            let standing = self.carry.standing(self.offset);
            standing.save(&mut position);
            // What cannot be read now cannot be compared later.
            push_varint(head_checksum(file, standing.offset).unwrap_or(0).into(), &mut position);
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
                self.current += 1;
                let bytes = byte_len(&self.paths[self.current - 1]).unwrap_or(0);
                self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
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
        let standing = Standing::load(position).map_err(io::Error::other)?;
        let checksum = take_varint(position).map_err(io::Error::other)?;
        let path = self.paths[self.current].clone();
        let within = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot go on in {}: {error}", path.display()))
        };
        let mut file = File::open(&path).map_err(within)?;
        let len = file.metadata().map_err(within)?.len();
        let offset = standing.offset;
        if len < offset {
            let message = format!("it has {len} bytes, of which {offset} were read");
            return Err(within(io::Error::other(message)));
        }
        if u64::from(head_checksum(&file, offset).map_err(within)?) != checksum {
            return Err(within(io::Error::other("it begins with other bytes than it did")));
        }
        file.seek(SeekFrom::Start(offset)).map_err(within)?;
        self.carry.resume(standing);
        self.bytes_read.fetch_add(offset, Ordering::Relaxed);
        (self.file, self.offset) = (Some(file), offset);
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

/// Bytes at the beginning of a file by which it is known again.
const HEAD_BYTES: u64 = 256;

/// A checksum of the first bytes of a file, as far as they were read.
pub(super) fn head_checksum(mut file: &File, read: u64) -> io::Result<u32> {
    let at = file.stream_position()?;
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    let taken = file.take(read.min(HEAD_BYTES)).read_to_end(&mut head);
    file.seek(SeekFrom::Start(at))?;
    taken.map(|_| crc32fast::hash(&head))
}
