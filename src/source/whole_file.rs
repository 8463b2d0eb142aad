//! One file that is read from its start to its end, by sources that read several in turn.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::BlockWriter;
use super::first_line::Asks;
use super::identity::Verdict;
use super::links::Links;
use super::open_file::{OpenFile, Place};
use super::read::Taken;

/// A file that is being read, or that comes next and is not open yet.
#[derive(Default)]
pub(super) struct WholeFile {
    file: Option<OpenFile>,
    /// Who decides about first lines.
    pub(super) asks: Asks,
    /// Whether files are opened by links.
    pub(super) links: Links,
}

impl WholeFile {
    /// Reads once, after opening the file if that was not done yet.
    pub(super) fn read(&mut self, path: &Path, into: &mut BlockWriter) -> io::Result<Taken> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenFile::open_by(&self.links, path)?),
        };
        self.asks.of(file, path, false);
        file.read(into)
    }

    /// Reads this one next, which is open already.
    pub(super) fn begin(&mut self, file: OpenFile) {
        self.file = Some(file);
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Takes in the last line, if it has no end; what is read next is another file.
    pub(super) fn finish(&mut self, path: &Path, into: &mut BlockWriter) {
        if let Some(mut file) = self.file.take() {
            file.finish(into, &path.display());
        }
    }

    /// Forgets the file, and what of its last line has come; what is read next is another one.
    pub(super) fn leave(&mut self) {
        self.file = None;
    }

    /// Whether the file is open and compressed.
    pub(super) fn is_packed(&self) -> bool {
        self.file.as_ref().is_some_and(OpenFile::is_packed)
    }

    /// Bytes of its content that were read, if it is open.
    pub(super) fn offset(&self) -> Option<u64> {
        self.file.as_ref().map(OpenFile::offset)
    }

    /// Bytes of the file itself, compressed or not, that were read.
    pub(super) fn consumed(&self) -> u64 {
        self.file.as_ref().map_or(0, OpenFile::consumed)
    }

    /// The length of the file itself, once it is open; if that is not known, what was read of it.
    pub(super) fn len(&self) -> Option<u64> {
        let file = self.file.as_ref()?;
        Some(file.metadata().map_or(file.consumed(), |metadata| metadata.len()))
    }

    /// Where the reading stands, once the file is open.
    pub(super) fn place(&self) -> Option<Place> {
        self.file.as_ref().map(OpenFile::place)
    }

    /// Goes on from a place, and says how many bytes were read before. An error if the file is not
    /// what it was.
    pub(super) fn go_on(&mut self, path: &Path, place: Place) -> io::Result<u64> {
        let mut file = OpenFile::open_by(&self.links, path)?;
        match file.check(&place.proof)? {
            Verdict::Same => {}
            Verdict::Shorter if file.is_packed() => {
                let offset = place.proof.offset;
                let message = format!("it has fewer bytes than the {offset} that were read");
                return Err(io::Error::other(message));
            }
            Verdict::Shorter => {
                let (len, offset) = (file.metadata()?.len(), place.proof.offset);
                let message = format!("it has {len} bytes, of which {offset} were read");
                return Err(io::Error::other(message));
            }
            Verdict::Rewritten => {
                let message = "it holds other bytes than those that were read";
                return Err(io::Error::other(message));
            }
        }
        file.resume(place.standing)?;
        let offset = file.offset();
        self.file = Some(file);
        Ok(offset)
    }
}

/// A path without each `.` in it: so it is the same one in checkpoints.
pub(super) fn plain(path: PathBuf) -> PathBuf {
    let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if plain.as_os_str().is_empty() { path } else { plain }
}
