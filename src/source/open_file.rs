//! A file that is being read, compressed or not: where it stands, and by what it is known again.
//!
//! Invariant: a place is the end of a line or record that was given, so nothing is given twice and
//! nothing is left out.

use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::carry::Standing;
use super::encoding::Encoding;
use super::first_line::{Ask, Look, Start, judge, look};
use super::holes::Holes;
use super::identity::{FileId, Proof, Verdict, Witness};
use super::links::Links;
use super::pipe::Pipe;
use super::read::{Taken, read_once};
use super::unpack::Input;
use super::{BlockWriter, Carry};
use crate::config::READ_BYTES;
use crate::error::{self, Error, Result};

/// An open file, read up to its witness's offset. Offsets are those of its content: of what is
/// compressed they are as if it had been unpacked before.
pub(super) struct OpenFile {
    input: Input,
    id: FileId,
    path: PathBuf,
    witness: Witness,
    pub(super) carry: Carry,
    holes: Holes,
    /// Who decides about the first line, while that was not decided yet.
    asking: Option<Asking>,
}

/// A question about the first line of a file.
struct Asking {
    ask: Ask,
    path: PathBuf,
    may_grow: bool,
    state: Asked,
    /// Why it was refused last, which is said once.
    reason: Option<String>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Asked {
    NotYet,
    Done,
    /// Before an earlier process read some of it: what is asked for may be another thing by now.
    Before,
    /// Nothing of the file is read, as it was then: one that may grow may be written anew.
    Refused(Option<Stamp>),
}

/// Length of a file, and the time of its last change.
type Stamp = (u64, SystemTime);

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

/// Passes over holes of what is read.
struct WithoutHoles<'a> {
    input: Watched<'a>,
    /// None where NUL bytes are parts of characters.
    holes: Option<&'a mut Holes>,
    is_line_start: bool,
}

impl Read for WithoutHoles<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.holes {
            Some(holes) => holes.read(&mut self.input, into, self.is_line_start),
            None => self.input.read(into),
        }
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
        OpenFile::open_by(&Links::Followed, path)
    }

    /// Opens a file at its start, by links in its path only where they are followed.
    pub(super) fn open_by(links: &Links, path: &Path) -> io::Result<OpenFile> {
        #[cfg(test)]
        faults::check(faults::Op::Open)?;
        if let Links::Followed = links {
            regular(path)?;
        }
        let input = Input::open(links, path)?;
        let id = FileId::of(&input.metadata()?);
        Ok(OpenFile::over(input, id, path))
    }

    /// What comes through a pipe, under the name that it has in messages. It has no place.
    pub(super) fn of_pipe(pipe: Pipe, path: &Path) -> OpenFile {
        OpenFile::over(Input::Pipe(pipe), FileId::UNKNOWN, path)
    }

    fn over(input: Input, id: FileId, path: &Path) -> OpenFile {
        let (witness, carry, holes) = (Witness::default(), Carry::default(), Holes::default());
        OpenFile { input, id, path: path.to_owned(), witness, carry, holes, asking: None }
    }

    /// Has somebody decide about the first line before anything is read, unless that was done; one
    /// without an end is waited for in a file that may grow. What is refused seems empty.
    pub(super) fn ask(&mut self, ask: &Ask, path: &Path, may_grow: bool) {
        if self.asking.is_none() {
            let (ask, path) = (ask.clone(), path.to_owned());
            let may_grow = may_grow && !self.is_packed();
            let state = if self.offset() > 0 { Asked::Before } else { Asked::NotYet };
            self.asking = Some(Asking { ask, path, may_grow, state, reason: None });
        }
    }

    /// The file will not grow: returns whether that makes a first line whole that was waited for.
    pub(super) fn has_ended(&mut self) -> bool {
        let waiting = self.asking.as_mut().filter(|asking| asking.may_grow);
        waiting.is_some_and(|asking| {
            asking.may_grow = false;
            asking.state == Asked::NotYet
        })
    }

    /// Looks at the first line, and the next ones while `goes_on` says so of what there is. Nothing
    /// is taken: all of it is read as if nobody had looked.
    pub(super) fn first_line(
        &mut self,
        encoding: Encoding,
        may_grow: bool,
        goes_on: impl Fn(&str) -> bool,
    ) -> io::Result<Look> {
        let may_grow = may_grow && !self.is_packed();
        if !self.input.check_pipe()? {
            return Ok(Look::Later);
        }
        self.input.look();
        let line = look(&mut self.input, &self.path, encoding, may_grow, goes_on);
        self.input.restart()?;
        line
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
        self.input.metadata()
    }

    /// Compares the file with what was read at a place in it.
    pub(super) fn check(&mut self, proof: &Proof) -> io::Result<Verdict> {
        match &self.input {
            Input::Plain(file) => proof.check(file),
            Input::Packed(_) => {
                self.unpack_to(proof.offset)?;
                Ok(proof.compare(&self.witness))
            }
            Input::Pipe(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the file, which stands at its start and stays there, holds what was read.
    ///
    /// # Errors
    ///
    /// Those that are [passing](is_passing): then nobody knows. What cannot be read otherwise, as
    /// an archive that is damaged, does not hold it.
    pub(super) fn holds(&mut self, proof: &Proof) -> io::Result<bool> {
        let holds = unless_passing(self.check(proof).map(|verdict| verdict == Verdict::Same))?;
        // The comparison has unpacked it.
        let is_at_start = match self.is_packed() {
            true => unless_passing(self.resume(Standing::default()))?.is_some(),
            false => true,
        };
        Ok(holds == Some(true) && is_at_start)
    }

    /// Unpacks anew up to an offset, or the end.
    fn unpack_to(&mut self, offset: u64) -> io::Result<()> {
        self.input.restart()?;
        self.witness = Witness::of_reader(&mut self.input, offset)?;
        Ok(())
    }

    /// Goes to a place that was found to be in the file.
    pub(super) fn resume(&mut self, standing: Standing) -> io::Result<()> {
        let is_there = standing.offset > 0 && self.witness.offset() == standing.offset;
        match &mut self.input {
            Input::Plain(file) => {
                self.witness = Witness::at(file, standing.offset)?;
                file.seek(SeekFrom::Start(standing.offset))?;
            }
            // A comparison may have unpacked it up to there.
            Input::Packed(_) if is_there => {}
            Input::Packed(_) => self.unpack_to(standing.offset)?,
            Input::Pipe(_) => return Err(ErrorKind::Unsupported.into()),
        }
        self.carry.resume(standing, self.witness.head());
        self.holes.forget();
        if let Some(asking) = &mut self.asking {
            asking.state = if standing.offset > 0 { Asked::Before } else { Asked::NotYet };
        }
        Ok(())
    }

    /// Goes to where the file begins after its first line was decided on; false while there is no
    /// first line, and if it was refused, until the file is another one.
    fn begin(&mut self, into: &mut BlockWriter) -> io::Result<bool> {
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.state != Asked::Done) else {
            return Ok(true);
        };
        let stamp = |input: &Input| {
            let metadata = input.metadata().ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        let before = (asking.state == Asked::Before).then(|| self.witness.offset());
        // Nothing of a file that was read to its end can be left out.
        if let (Input::Plain(file), Some(offset)) = (&self.input, before)
            && file.metadata()?.len() <= offset
        {
            return Ok(false);
        }
        if before.is_some() {
            self.input.restart()?;
        }
        let now = if asking.may_grow { stamp(&self.input) } else { None };
        if matches!(asking.state, Asked::Refused(then) if then == now) {
            return Ok(false);
        }
        self.input.look();
        let start =
            judge(&mut self.input, &asking.path, into.encoding(), &*asking.ask, asking.may_grow);
        self.input.restart()?;
        match start? {
            Start::Whole => {}
            Start::Later => return Ok(false),
            Start::Refused(error) => {
                asking.state = Asked::Refused(now);
                if asking.reason.as_ref() != Some(&error) {
                    let path = asking.path.display();
                    tracing::warn!(%path, %error, "a file is left out for its first line");
                    into.count_unread_file();
                    asking.reason = Some(error);
                }
                return Ok(false);
            }
            Start::After { .. } if before.is_some() => {}
            Start::After { bytes, is_within } => {
                let watched = Watched { input: &mut self.input, witness: &mut self.witness };
                let offset = io::copy(&mut watched.take(bytes), &mut io::sink())?;
                let standing = Standing { offset, is_skipping: is_within };
                self.carry.resume(standing, self.witness.head());
            }
        }
        asking.state = Asked::Done;
        match (&mut self.input, before) {
            (Input::Plain(file), Some(offset)) => file.seek(SeekFrom::Start(offset)).map(drop)?,
            (Input::Packed(_), Some(offset)) => self.unpack_to(offset)?,
            _ => {}
        }
        Ok(true)
    }

    /// Reads once. Holes in text are passed over, which is said once.
    pub(super) fn read(&mut self, into: &mut BlockWriter) -> io::Result<Taken> {
        if into.is_full() || !into.may_pass_over() {
            return Ok(Taken::NoRoom);
        }
        if into.is_text() && !self.input.check_pipe()? {
            return Ok(Taken::Nothing);
        }
        if !self.begin(into)? {
            let state = self.asking.as_ref().map(|asking| asking.state);
            let is_refused = matches!(state, Some(Asked::Refused(_)));
            let may_come = matches!(self.input, Input::Pipe(_)) && !is_refused;
            return Ok(if may_come { Taken::Nothing } else { Taken::End });
        }
        let mut input = Watched { input: &mut self.input, witness: &mut self.witness };
        if !into.is_text() {
            return read_once(&mut input, &mut self.carry, into);
        }
        let is_line_start = self.carry.is_empty();
        let holes = Some(&mut self.holes).filter(|_| !into.encoding().is_wide());
        let mut input = WithoutHoles { input, holes, is_line_start };
        let taken = read_once(&mut input, &mut self.carry, into);
        if let Ok(Taken::Bytes(0)) = taken {
            into.pass_over(READ_BYTES);
            if self.holes.is_within() {
                self.skip_hole()?;
            }
        }
        let has_ended = matches!(taken, Ok(Taken::End));
        if let Some(bytes) = self.holes.take_told(has_ended) {
            let path = self.path.display();
            tracing::warn!(%path, bytes, "a hole of NUL bytes is passed over");
        }
        taken
    }

    /// Passes over the rest of a hole without reading it, where the file system knows of it: it
    /// would take a day for some.
    fn skip_hole(&mut self) -> io::Result<()> {
        let bytes = self.input.skip_hole()?;
        self.witness.saw_hole(bytes);
        self.holes.skipped(bytes);
        Ok(())
    }

    /// Takes in the last line, if it has no end.
    pub(super) fn finish(&mut self, into: &mut BlockWriter, name: &dyn Display) {
        let run = self.holes.take_run();
        self.carry.bytes.resize(self.carry.bytes.len() + run, 0);
        into.finish_as(&mut self.carry, name);
    }

    pub(super) fn place(&self) -> Place {
        let standing = self.carry.standing(self.offset() - self.holes.held() as u64);
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
    #[cfg(test)]
    faults::check(faults::Op::Stat)?;
    // Before it is opened: who writes to a named pipe would take it for being read.
    let metadata = std::fs::metadata(path)?;
    check_regular(&metadata)?;
    Ok(metadata)
}

pub(super) fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(())
}

/// Opens a regular file. What has its name by now, and is none, is refused without waiting for
/// anybody, as for who writes to a named pipe.
///
/// # Errors
///
/// As of [`regular`].
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        let no_wait = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_wait);
    }
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Whether an error says how it stands with the machine, and nothing of the file: it may be read
/// later. Such are too many open files, and a device that fails for a moment.
pub(super) fn is_passing(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(errno) = rustix::io::Errno::from_io_error(error) {
        use rustix::io::Errno;
        let machine = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN];
        let device = [Errno::IO, Errno::INTR, Errno::BUSY, Errno::STALE, Errno::TIMEDOUT];
        return machine.contains(&errno) || device.contains(&errno);
    }
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::ResourceBusy)
}

/// None for what cannot be done and never will be; an error that is [passing](is_passing) stays
/// one, as nobody knows by it.
pub(super) fn unless_passing<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_passing(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// An error of a source that names the file.
pub(super) fn cannot_read(path: &Path, cause: io::Error) -> Error {
    Error::caused(error::ErrorKind::Source, format!("cannot read {}", path.display()), cause)
}

/// Files that cannot be opened, looked at or read for a moment, for tests on the same thread.
#[cfg(test)]
pub(super) mod faults {
    use std::cell::Cell;
    use std::io;

    /// What is done to a file.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub(crate) enum Op {
        Open,
        Stat,
        List,
        /// The head and the tail of what was read are read again.
        Compare,
        Read,
    }

    impl Op {
        pub(crate) const ALL: [Op; 5] = [Op::Open, Op::Stat, Op::List, Op::Compare, Op::Read];
    }

    thread_local! {
        /// What fails, how often that is done before, how often it fails, and how.
        static NEXT: Cell<Option<(Op, u32, u32, i32)>> = const { Cell::new(None) };
    }

    /// After so many times something fails so often, with this error of the system.
    pub(crate) fn fail(op: Op, after: u32, times: u32, error: i32) {
        NEXT.set(Some((op, after, times, error)));
    }

    /// Nothing fails any more; returns whether all has failed that was to.
    pub(crate) fn end() -> bool {
        NEXT.take().is_none()
    }

    /// So many of the next files cannot be opened, as where too many are open.
    pub(crate) fn fail_opens(count: u32) {
        // EMFILE of all systems that there is a test on.
        fail(Op::Open, 0, count, 24);
    }

    pub(in crate::source) fn check(op: Op) -> io::Result<()> {
        match NEXT.get() {
            Some((next, after, times, error)) if next == op => {
                let is_due = after == 0;
                let left = if is_due { times - 1 } else { times };
                NEXT.set((left > 0).then_some((next, after.saturating_sub(1), left, error)));
                if is_due { Err(io::Error::from_raw_os_error(error)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}
