//! One file that is read from its start to its end, and a place in it to go on from.
//!
//! Invariant: a place is the end of a line or record that was given, so nothing is given twice and
//! nothing is left out.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::carry::Standing;
use super::read::{Taken, read_once};
use super::{BlockWriter, Carry};
use crate::error::Result;
use crate::record::saved::{push_varint, take_varint};

/// A file that is being read, or that comes next and is not open yet.
#[derive(Default)]
pub(super) struct WholeFile {
    file: Option<File>,
    /// Bytes of it that were read.
    offset: u64,
    carry: Carry,
}

/// How far a file was read, and by what it is known again.
#[derive(Copy, Clone, Debug)]
pub(super) struct Place {
    standing: Standing,
    head: u64,
}

impl Place {
    pub(super) fn save(self, out: &mut Vec<u8>) {
        self.standing.save(out);
        push_varint(self.head, out);
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<Place> {
        Ok(Place { standing: Standing::load(from)?, head: take_varint(from)? })
    }
}

impl WholeFile {
    /// Reads once, after opening the file if that was not done yet.
    pub(super) fn read(&mut self, path: &Path, into: &mut BlockWriter) -> io::Result<Taken> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open(path)?),
        };
        let taken = read_once(file, &mut self.carry, into)?;
        if let Taken::Bytes(count) = taken {
            self.offset += count as u64;
        }
        Ok(taken)
    }

    /// Takes in the last line, if it has no end; what is read next is another file.
    pub(super) fn finish(&mut self, path: &Path, into: &mut BlockWriter) {
        into.finish_as(&mut self.carry, &path.display());
        self.leave();
    }

    /// Forgets the file, and what of its last line has come; what is read next is another one.
    pub(super) fn leave(&mut self) {
        self.carry.clear();
        (self.file, self.offset) = (None, 0);
    }

    /// Where the reading stands, once the file is open.
    pub(super) fn place(&self) -> Option<Place> {
        let file = self.file.as_ref()?;
        let standing = self.carry.standing(self.offset);
        // What cannot be read now cannot be compared later.
        let head = head_checksum(file, standing.offset).unwrap_or(0).into();
        Some(Place { standing, head })
    }

    /// Goes on from a place, and says how many bytes were read before. An error if the file is not
    /// what it was.
    pub(super) fn go_on(&mut self, path: &Path, place: Place) -> io::Result<u64> {
        let mut file = open(path)?;
        let (len, offset) = (file.metadata()?.len(), place.standing.offset);
        if len < offset {
            let message = format!("it has {len} bytes, of which {offset} were read");
            return Err(io::Error::other(message));
        }
        if u64::from(head_checksum(&file, offset)?) != place.head {
            return Err(io::Error::other("it begins with other bytes than it did"));
        }
        file.seek(SeekFrom::Start(offset))?;
        self.carry.resume(place.standing);
        (self.file, self.offset) = (Some(file), offset);
        Ok(offset)
    }
}

fn open(path: &Path) -> io::Result<File> {
    regular(path)?;
    File::open(path)
}

/// A path without each `.` in it: so it is the same one in checkpoints.
pub(super) fn plain(path: PathBuf) -> PathBuf {
    let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if plain.as_os_str().is_empty() { path } else { plain }
}

/// What a name leads to, if that is a regular file.
pub(super) fn regular(path: &Path) -> io::Result<Metadata> {
    // Before it is opened: to open a named pipe waits for its writer.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        let message = "not a regular file; standard input takes pipes and devices";
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(metadata)
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
