//! Files, each read whole, one after another: a source with an end.
//!
//! Invariant: a line never spans two files; the last line of a file counts with or without its
//! line end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encoding::Encoding;
use super::first_line::{Asks, Look};
use super::open_file::{OpenFile, Place, cannot_read, is_passing};
use super::pipe::{Pipes, UNTIL_MORE, rest_of_stdin};
use super::read::Taken;
use super::stdin::STDIN;
use super::whole_file::{WholeFile, plain};
use super::{BlockWriter, FirstLine, Received, Receiver, Stdin, Waiter};
use crate::config::{FILES_A_CALL_MAX, FOLLOWED_NAMES_KEPT_MAX, READ_NAMES_KEPT_MAX};
use crate::error::{Result, io_within};
use crate::record::saved::{push_bytes, push_varint, take_byte, take_bytes, take_varint};

/// What stands before a name in a position: its file was read, and its length then follows, or it
/// was begun and its place follows.
const READ: u8 = 1;
const BEGUN: u8 = 2;

/// Reads files from their starts to their ends, in the order given, and then ends.
///
/// Bounded: the threads that process the lines read them, too, as fast as they can. What is
/// appended to a file while it is being read is read as well; what comes later is for
/// [`Follow`](super::Follow).
///
/// With checkpoints a file is known again by its name, by whatever path: one that was read is not
/// read again, whatever becomes of it, and one that was begun is gone on with. So it is also when
/// it was out of the list for a while.
///
/// A named pipe or a device is a file like any other, but read once, as it comes: it is opened when
/// its turn comes, and ends when nobody has it open for writing any more. With one in the list the
/// source is not bounded, nor can it go on from a checkpoint: what was read of a pipe is gone.
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
    inputs: Vec<Input>,
    /// If there are any.
    pipes: Option<Pipes>,
    is_bounded: bool,
    bytes_read: Arc<AtomicU64>,
    // Changing.
    /// The file that is being read, or comes next.
    current: usize,
    /// Sizes of the files before it.
    bytes_before: u64,
    file: WholeFile,
    /// What was read before, and is not in the list now.
    others: Others,
    /// Files that were read and are others by now, and are not counted yet.
    changed: u64,
}

/// Files of an earlier list: in a later one they are known again.
#[derive(Default)]
struct Others {
    /// Names of those that were read, and how long they were.
    read: Vec<(Vec<u8>, u64)>,
    /// Names of those that were begun, and how far.
    begun: Vec<(Vec<u8>, Place)>,
}

/// One of the files, or what is read like one.
struct Input {
    path: PathBuf,
    /// Its path in checkpoints.
    saved_name: Vec<u8>,
    kind: Kind,
    /// Its size when it was looked at first; nothing is known of a pipe's.
    bytes: Option<u64>,
    /// A pipe that was looked at before its turn.
    opened: Option<OpenFile>,
    /// How far an earlier process has read it.
    place: Option<Place>,
    /// How long it was when it was read.
    read_bytes: u64,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Pipe,
    Stdin,
}

impl Input {
    fn new(path: PathBuf, has_stdin: bool) -> Result<Input> {
        if has_stdin && Stdin::is_called(&path) {
            let bytes = rest_of_stdin();
            return Ok(Input::of(PathBuf::from(STDIN), Vec::new(), Kind::Stdin, bytes));
        }
        let looked_at = match is_pipe(&path) {
            true => check_readable(&path).map(|()| (Kind::Pipe, None)),
            false => byte_len(&path).map(|bytes| (Kind::File, Some(bytes))),
        };
        match looked_at {
            Ok((kind, bytes)) => {
                let saved_name = saved_name(&path);
                Ok(Input::of(path, saved_name, kind, bytes))
            }
            Err(error) => Err(cannot_read(&path, error)),
        }
    }

    fn of(path: PathBuf, saved_name: Vec<u8>, kind: Kind, bytes: Option<u64>) -> Input {
        Input { path, saved_name, kind, bytes, opened: None, place: None, read_bytes: 0 }
    }

    /// Opens it as a pipe, unless it is none.
    fn open(&mut self, pipes: Option<&Pipes>) -> io::Result<Option<OpenFile>> {
        if self.opened.is_some() {
            return Ok(self.opened.take());
        }
        let Some(pipes) = pipes else { return Ok(None) };
        let pipe = match self.kind {
            Kind::File => return Ok(None),
            Kind::Pipe => pipes.open(&self.path)?,
            Kind::Stdin => pipes.stdin()?,
        };
        Ok(Some(OpenFile::of_pipe(pipe, &self.path)))
    }
}

impl Files {
    /// A source of the lines of these files.
    ///
    /// Each is opened here once, so that a wrong name is found before the stream runs, and again
    /// when its turn comes, so that their number is not limited by the system's open files.
    ///
    /// # Errors
    ///
    /// [`Source`](crate::ErrorKind::Source), with the path and the cause, if one is missing, cannot
    /// be read, or is a directory. A file that is gone when its turn comes ends the source with an
    /// error.
    pub fn open<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Files> {
        Files::of(paths.into_iter().map(|path| Input::new(path.into(), false)))
    }

    /// As [`open`](Self::open), where `-` and `/dev/stdin` are the process's standard input, from
    /// where it stands.
    pub fn open_or_stdin<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Files> {
        Files::of(paths.into_iter().map(|path| Input::new(path.into(), true)))
    }

    fn of(inputs: impl Iterator<Item = Result<Input>>) -> Result<Files> {
        let inputs = inputs.collect::<Result<Vec<Input>>>()?;
        let pipes = match inputs.iter().any(|input| input.kind != Kind::File) {
            true => Some(Pipes::new().map_err(|error| cannot_read(Path::new("pipes"), error))?),
            false => None,
        };
        let is_bounded = inputs.iter().all(|input| input.bytes.is_some());
        Ok(Files {
            inputs,
            pipes,
            is_bounded,
            bytes_read: Arc::default(),
            current: 0,
            bytes_before: 0,
            file: WholeFile::default(),
            others: Others::default(),
            changed: 0,
        })
    }

    /// Whether [`open_or_stdin`](Self::open_or_stdin) reads what has this path once, as it comes,
    /// to its end: standard input, a named pipe or a device.
    pub fn is_pipe(path: impl AsRef<Path>) -> bool {
        Stdin::is_called(&path) || is_pipe(path.as_ref())
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

    /// The first line of a file that is no pipe, unpacked if it is compressed, as
    /// [`first_line`](Self::first_line) has it; `None` of an empty file. Lines are added while
    /// `goes_on` says so of what there is.
    ///
    /// # Errors
    ///
    /// [`Source`](crate::ErrorKind::Source), with the path and the cause, if it cannot be read, or
    /// its first line is longer than any may be.
    pub fn first_line_of(
        path: impl AsRef<Path>,
        encoding: Encoding,
        goes_on: impl Fn(&str) -> bool,
    ) -> Result<Option<String>> {
        Look::at(path.as_ref(), encoding, false, goes_on)
    }

    /// Waits for the first line that comes through any pipe in the list, where the pipes take turns
    /// as they do when they are read: of one that ends without a line the next one is waited for.
    /// Gives its name, too; `None` if none has a line. What was looked at is read all the same.
    ///
    /// # Errors
    ///
    /// As of [`first_line_of`](Self::first_line_of).
    pub fn wait_for_first_line(
        &mut self,
        encoding: Encoding,
        goes_on: impl Fn(&str) -> bool,
    ) -> Result<Option<(PathBuf, String)>> {
        let mut waiter = self.pipes.as_ref().and_then(Pipes::waiter);
        for input in &mut self.inputs[self.current..] {
            let path = input.path.clone();
            let failed = |error| cannot_read(&path, error);
            let opened = input.open(self.pipes.as_ref()).map_err(failed)?;
            let Some(file) = opened.map(|file| input.opened.insert(file)) else { continue };
            loop {
                match file.first_line(encoding, false, &goes_on).map_err(failed)? {
                    Look::Line(line) => return Ok(Some((path, line))),
                    Look::Empty => break,
                    Look::Later => match &mut waiter {
                        Some(waiter) => waiter.wait(UNTIL_MORE).map_err(failed)?,
                        None => std::thread::sleep(UNTIL_MORE),
                    },
                }
            }
        }
        Ok(None)
    }

    /// Bytes of all files together, as they were when opened; of compressed ones those on the disk,
    /// and of pipes none.
    pub fn bytes_total(&self) -> u64 {
        self.inputs.iter().filter_map(|input| input.bytes).sum()
    }

    /// How many of these bytes were read so far: to be kept and looked at while the stream runs.
    /// They are all of them when all files were read to their ends.
    pub fn progress(&self) -> Arc<AtomicU64> {
        self.bytes_read.clone()
    }

    /// The next file with this name that was not begun, if there is one.
    fn find(&self, saved_name: &[u8]) -> Option<usize> {
        let is_it = |input: &Input| input.saved_name == saved_name && input.place.is_none();
        (self.current..self.inputs.len()).find(|index| is_it(&self.inputs[*index]))
    }

    /// Has this file read next.
    fn put_next(&mut self, index: usize) {
        self.inputs[self.current..=index].rotate_right(1);
    }

    /// The current file was read, or as much of it as can be.
    fn finish(&mut self, path: &Path, into: &mut BlockWriter) {
        // It may have grown while it was read.
        let len = self.file.len().unwrap_or(0);
        self.file.finish(path, into);
        self.pass(len);
    }

    /// The current file was read when it was so long.
    fn pass(&mut self, read_bytes: u64) {
        self.inputs[self.current].read_bytes = read_bytes;
        self.bytes_before += self.inputs[self.current].bytes.unwrap_or(0);
        self.current += 1;
        self.note_progress();
    }

    /// Goes on in the current file, which an earlier process has begun.
    fn go_on(&mut self) -> io::Result<()> {
        let Input { path, place, .. } = &mut self.inputs[self.current];
        let Some(place) = place.take() else { return Ok(()) };
        self.file
            .go_on(path, place)
            .map_err(|error| io_within(format!("cannot go on in {}", path.display()), error))?;
        self.note_progress();
        Ok(())
    }

    fn note_progress(&self) {
        let size = self.inputs.get(self.current).and_then(|input| input.bytes).unwrap_or(0);
        // It may have grown since it was looked at.
        let read = self.bytes_before + self.file.consumed().min(size);
        self.bytes_read.store(read, Ordering::Relaxed);
    }

    /// The current file was read by an earlier process, when it was so long.
    fn pass_read(&mut self, bytes: u64) {
        let Input { path, bytes: now, .. } = &self.inputs[self.current];
        let (path, now) = (path.display(), now.unwrap_or(bytes));
        if now != bytes {
            tracing::warn!(%path, bytes, now, "a file that was read has another length: not read");
            self.changed += 1;
        }
        self.pass(now);
    }

    /// Reads the current file once, after opening it if that was not done yet.
    fn read(&mut self, path: &Path, into: &mut BlockWriter) -> io::Result<Taken> {
        if !self.file.is_open() {
            if let Some(opened) = self.inputs[self.current].open(self.pipes.as_ref())? {
                self.file.begin(opened);
            }
            self.go_on()?;
        }
        self.file.read(path, into)
    }
}

impl Receiver for Files {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        for _ in 0..std::mem::take(&mut self.changed) {
            into.count_unread_file();
        }
        let mut ended = 0;
        while let Some(path) = self.inputs.get(self.current).map(|input| input.path.clone()) {
            if ended == FILES_A_CALL_MAX {
                return Ok(Received::More);
            }
            match self.read(&path, into) {
                Ok(Taken::Bytes(_)) => self.note_progress(),
                Ok(Taken::End) => {
                    self.finish(&path, into);
                    ended += 1;
                }
                Ok(Taken::Nothing) if !self.is_bounded => return Ok(Received::Later(UNTIL_MORE)),
                Ok(Taken::NoRoom | Taken::Nothing) => return Ok(Received::More),
                Err(error) if self.file.is_packed() && !is_passing(&error) => {
                    let name = path.display();
                    tracing::warn!(path = %name, %error, "a file cannot be read to its end");
                    into.count_unread_file();
                    self.finish(&path, into);
                }
                Err(error) => {
                    return Err(io_within(format!("cannot read {}", path.display()), error));
                }
            }
        }
        Ok(Received::End)
    }

    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        if self.is_bounded { None } else { self.pipes.as_ref()?.waiter() }
    }

    fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    /// The files that were read, and how far those are that were begun.
    fn position(&self) -> Option<Vec<u8>> {
        if self.pipes.is_some() {
            return None;
        }
        let mut position = Vec::new();
        let own = self.inputs.iter().take(self.current);
        let own = own.map(|input| (&input.saved_name, input.read_bytes));
        let others = self.others.read.iter().map(|(name, bytes)| (name, *bytes));
        for (name, bytes) in others.chain(own) {
            position.push(READ);
            push_bytes(name, &mut position);
            push_varint(bytes, &mut position);
        }
        let open = self.file.place();
        let own = self.inputs[self.current..].iter().enumerate().filter_map(|(ahead, input)| {
            Some((&input.saved_name, input.place.or(open.filter(|_| ahead == 0))?))
        });
        let others = self.others.begun.iter().map(|(name, place)| (name, *place));
        for (name, place) in others.chain(own) {
            position.push(BEGUN);
            push_bytes(name, &mut position);
            place.save(&mut position);
        }
        Some(position)
    }

    /// Files that were read are not read again, also where they stand elsewhere in the list by now,
    /// or not in it, and in a later one again; those that are new in it are.
    fn resume(&mut self, mut position: &[u8]) -> io::Result<()> {
        let position = &mut position;
        let mut has_begun = false;
        while !position.is_empty() {
            let state = take_byte(position).map_err(io::Error::other)?;
            let name = take_bytes(position).map_err(io::Error::other)?;
            let found = self.find(name);
            if state == READ {
                let bytes = take_varint(position).map_err(io::Error::other)?;
                match found {
                    Some(index) => {
                        self.put_next(index);
                        self.pass_read(bytes);
                    }
                    None => self.others.read.push((name.to_owned(), bytes)),
                }
                continue;
            }
            let place = Place::load(position).map_err(io::Error::other)?;
            match found {
                Some(index) => {
                    self.inputs[index].place = Some(place);
                    if !std::mem::replace(&mut has_begun, true) {
                        self.put_next(index);
                    }
                }
                None if self.others.begun.len() < FOLLOWED_NAMES_KEPT_MAX => {
                    let path = String::from_utf8_lossy(name);
                    tracing::info!(%path, "not to be read now: how far it was read is kept");
                    self.others.begun.push((name.to_owned(), place));
                }
                None => {
                    let path = String::from_utf8_lossy(name);
                    tracing::warn!(%path, "not to be read now: how far it was read is given up");
                }
            }
        }
        if has_begun {
            self.go_on()?;
        }
        let excess = self.others.read.len().saturating_sub(READ_NAMES_KEPT_MAX);
        if excess > 0 {
            let max = READ_NAMES_KEPT_MAX;
            tracing::warn!(excess, max, "more files were read than names are kept: the oldest go");
            self.others.read.drain(..excess);
        }
        Ok(())
    }

    fn saved_name(&self) -> String {
        "files".to_owned()
    }

    fn name(&self) -> String {
        match self.inputs.as_slice() {
            [] => "no files".to_owned(),
            [only] if only.kind == Kind::Stdin => STDIN.to_owned(),
            [only] => format!("file {}", only.path.display()),
            [first, others @ ..] => {
                format!("files {} and {} more", first.path.display(), others.len())
            }
        }
    }
}

/// Length of a file, after a look whether it can be read.
fn byte_len(path: &Path) -> io::Result<u64> {
    let file = OpenFile::open(path)?;
    Ok(file.metadata()?.len())
}

/// Whether it is read once, as it comes.
fn is_pipe(path: &Path) -> bool {
    cfg!(unix) && path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// A look whether a pipe can be read, which does not open it: whoever writes to it would be told
/// that somebody reads, and then that nobody does.
#[cfg(unix)]
fn check_readable(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::READ_OK)?)
}

#[cfg(not(unix))]
fn check_readable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A path from the root on, through no link but its last part: so a file is known again from
/// wherever it is named.
fn saved_name(path: &Path) -> Vec<u8> {
    let whole = plain(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let name =
        match (whole.parent().and_then(|parent| parent.canonicalize().ok()), whole.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            _ => whole,
        };
    name.into_os_string().into_encoded_bytes()
}
