//! A file that is being read, compressed or not: where it stands, and by what it is known again.
//!
//! Invariant: a place is the end of a line or record that was given, so nothing is given twice and
//! nothing is left out.

use std::fs::Metadata;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::carry::Standing;
use super::identity::{FileId, Proof, Verdict, Witness};
use super::read::{Taken, read_once};
use super::unpack::Input;
use super::{BlockWriter, Carry};
use crate::error::Result;

/// An open file, read up to its witness's offset. Offsets are those of its content: of what is
/// compressed they are as if it had been unpacked before.
pub(super) struct OpenFile {
    input: Input,
    id: FileId,
    witness: Witness,
    pub(super) carry: Carry,
}

/// How far a file was read, and by what it is known again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: FileId,
    pub(super) proof: Proof,
    pub(super) standing: Standing,
}

impl Place {
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.id.save(out);
        self.proof.save(out);
        self.standing.save(out);
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<Place> {
        Ok(Place {
            id: FileId::load(from)?,
            proof: Proof::load(from)?,
            standing: Standing::load(from)?,
        })
    }
}

/// Keeps the witness of what is read.
struct Watched<'a> {
    input: &'a mut Input,
    witness: &'a mut Witness,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        self.witness.saw(&into[..count]);
        Ok(count)
    }
}

impl OpenFile {
    /// Opens a file at its start.
    pub(super) fn open(path: &Path) -> io::Result<OpenFile> {
        regular(path)?;
        let input = Input::open(path)?;
        let id = FileId::of(&input.file().metadata()?);
        Ok(OpenFile { input, id, witness: Witness::default(), carry: Carry::default() })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Bytes that were read.
    pub(super) fn offset(&self) -> u64 {
        self.witness.offset()
    }

    /// Whether it is compressed: it is read once then, since nobody appends to it.
    pub(super) fn is_packed(&self) -> bool {
        self.input.is_packed()
    }

    /// Bytes of the file itself that were read.
    pub(super) fn consumed(&self) -> u64 {
        self.input.consumed(self.offset())
    }

    /// Whether the file has no name any more.
    #[cfg(unix)]
    pub(super) fn is_deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    #[cfg(not(unix))]
    pub(super) fn is_deleted(&self) -> bool {
        true
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.input.file().metadata()
    }

    /// Compares the file with what was read at a place in it.
    pub(super) fn check(&mut self, proof: &Proof) -> io::Result<Verdict> {
        match &self.input {
            Input::Plain(file) => proof.check(file),
            Input::Packed(_) => {
                self.unpack_to(proof.offset)?;
                Ok(proof.compare(&self.witness))
            }
        }
    }

    /// Unpacks anew up to an offset, or the end.
    fn unpack_to(&mut self, offset: u64) -> io::Result<()> {
        self.input.restart()?;
        self.witness = Witness::of_reader(&mut self.input, offset)?;
        Ok(())
    }

    /// Goes to a place that was found to be in the file.
    pub(super) fn resume(&mut self, standing: Standing) -> io::Result<()> {
        match &mut self.input {
            Input::Plain(file) => {
                self.witness = Witness::at(file, standing.offset)?;
                file.seek(SeekFrom::Start(standing.offset))?;
            }
            Input::Packed(_) => self.unpack_to(standing.offset)?,
        }
        self.carry.resume(standing);
        Ok(())
    }

    /// Reads once.
    pub(super) fn read(&mut self, into: &mut BlockWriter) -> io::Result<Taken> {
        let mut watched = Watched { input: &mut self.input, witness: &mut self.witness };
        read_once(&mut watched, &mut self.carry, into)
    }

    pub(super) fn place(&self) -> Place {
        let standing = self.carry.standing(self.offset());
        Place { id: self.id, proof: self.witness.proof(), standing }
    }
}

/// The metadata of a regular file.
///
/// # Errors
///
/// Those of the system, and [`ErrorKind::IsADirectory`] or [`ErrorKind::InvalidInput`] for a name
/// that leads to anything else.
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
