//! Files that others append to, as `tail -F` follows them: through rotation, by their names.
//!
//! Invariant: a file that its name no longer leads to is read to its end before its successor is
//! begun, and a line never spans the two.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::carry::Standing;
use super::identity::{FileId, Verdict};
use super::open_file::{OpenFile, Place, regular};
use super::read::Taken;
use super::whole_file::plain;
use super::{BlockWriter, Received, Receiver};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, take_bytes};

/// How often files are looked at: a system call or two for each, and the latency of a line.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Reads what is appended to files, for ever.
///
/// A file that is renamed, deleted or replaced is read to its end, then the one that now has its
/// name is read from the start; one that has become shorter is read from its start again. Both are
/// found by looking now and then, so what happens twice between two looks is seen as far as size
/// and identity tell: a file that was emptied and has grown past its old length since is taken for
/// one that was appended to. A file may come later, and come back.
///
/// A line waits until its end is written, or its file is replaced or emptied.
///
/// A file that gzip or Zstandard have compressed is unpacked, once: nobody appends to it.
///
/// With checkpoints a restart goes on in the file that was followed, also where it was renamed
/// meanwhile, and then in the one that has its name. What was renamed in between, where that
/// happened more than once while nothing ran, is not read, and a warning says so; and what was
/// renamed before the first checkpoint is not known to a restart.
///
/// ```no_run
/// use tidemill::Follow;
///
/// let follow = Follow::new(["/var/log/syslog"])?.from_end();
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Follow {
    // Fixed.
    poll_every: Duration,
    // Changing.
    tails: Vec<Tail>,
    poll_at: Instant,
    /// Who was read last.
    current: usize,
}

/// One name, and the file that it led to.
struct Tail {
    path: PathBuf,
    open: Option<Open>,
    /// What is wrong with the name, said once.
    trouble: Option<io::ErrorKind>,
}

struct Open {
    file: OpenFile,
    /// Nothing more to read until the next look.
    is_at_end: bool,
    leaving: Leaving,
}

/// Whether the name leads elsewhere by now. The file is left one look later, since its writer may
/// have gone on with it until told to open its successor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Noticed,
    AtEnd,
}

impl Follow {
    /// Follows the files with these names, each from its start, and one that is named twice once.
    /// Those that do not exist yet are waited for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path, if one is a directory or anything else that is no
    /// regular file.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Follow> {
        let mut tails: Vec<Tail> = Vec::new();
        for path in paths {
            let path = plain(path.into());
            if tails.iter().any(|tail| tail.path == path) {
                continue;
            }
            let mut tail = Tail { path, open: None, trouble: None };
            match tail.reopen() {
                Err(error) if is_other_kind(&error) => {
                    let message = format!("cannot follow {}", tail.path.display());
                    return Err(Error::caused(ErrorKind::Source, message, error));
                }
                opened => tail.note(opened),
            }
            tails.push(tail);
        }
        Ok(Follow { poll_every: POLL_EVERY, tails, poll_at: Instant::now(), current: 0 })
    }

    /// Skips what is in the files now. Files that come later are read from their starts.
    pub fn from_end(mut self) -> Follow {
        for tail in &mut self.tails {
            let skipped = tail.skip_to_end();
            tail.note(skipped);
        }
        self
    }

    /// Looks at the files this often (default 100 ms).
    pub fn poll_every(mut self, interval: Duration) -> Follow {
        self.poll_every = interval;
        self
    }
}

impl Receiver for Follow {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let now = Instant::now();
        if now >= self.poll_at {
            self.poll_at = now + self.poll_every;
            for tail in &mut self.tails {
                if into.is_full() {
                    // Looking may finish a line; the rest is for the next call.
                    self.poll_at = now;
                    return Ok(Received::More);
                }
                let looked = tail.look(into);
                tail.note(looked);
            }
        }
        let mut may_have_more = false;
        for _ in 0..self.tails.len() {
            if into.is_full() {
                return Ok(Received::More);
            }
            self.current = (self.current + 1) % self.tails.len();
            let tail = &mut self.tails[self.current];
            match tail.read(into) {
                Ok(has_more) => may_have_more |= has_more,
                Err(error) => tail.note(Err(error)),
            }
        }
        Ok(match self.poll_at.checked_duration_since(Instant::now()) {
            Some(pause) if !may_have_more => Received::Later(pause),
            _ => Received::More,
        })
    }

    /// Of each name the file that it led to, and how far that was read.
    fn position(&self) -> Option<Vec<u8>> {
        let mut position = Vec::new();
        for tail in &self.tails {
            if let Some(open) = &tail.open {
                push_bytes(tail.path.as_os_str().as_encoded_bytes(), &mut position);
                open.file.place().save(&mut position);
            }
        }
        Some(position)
    }

    /// A file that was renamed meanwhile, in its directory, is read to its end before the one that
    /// has its name now.
    fn resume(&mut self, mut position: &[u8]) -> io::Result<()> {
        let position = &mut position;
        while !position.is_empty() {
            let path = take_bytes(position).map_err(io::Error::other)?;
            let place = Place::load(position).map_err(io::Error::other)?;
            let mut tails = self.tails.iter_mut();
            match tails.find(|tail| tail.path.as_os_str().as_encoded_bytes() == path) {
                Some(tail) => tail.resume(place)?,
                None => {
                    let path = String::from_utf8_lossy(path);
                    tracing::warn!(%path, "a file that was followed no longer is");
                }
            }
        }
        Ok(())
    }

    fn saved_name(&self) -> String {
        "follow".to_owned()
    }

    fn name(&self) -> String {
        match self.tails.as_slice() {
            [] => "no files".to_owned(),
            [tail] => format!("follow {}", tail.path.display()),
            [first, others @ ..] => {
                format!("follow {} and {} more", first.path.display(), others.len())
            }
        }
    }
}

impl Tail {
    /// Goes on in the file that was followed, wherever it is now.
    fn resume(&mut self, place: Place) -> io::Result<()> {
        let path = self.path.clone();
        let is_named = self.open.as_ref().is_some_and(|open| open.file.id() == place.id);
        if !is_named {
            let Some(file) = renamed(&path, place.id) else {
                let path = path.display();
                tracing::warn!(%path, "what was followed is gone: its successor is read whole");
                return Ok(());
            };
            if let Some(between) = renamed_since(&path, &file) {
                let path = between.display();
                tracing::warn!(%path, "rotated more than once while nothing ran: this is not read");
            }
            let leaving = Leaving::AtEnd;
            self.open = Some(Open { file, is_at_end: false, leaving });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        // What has its number may be another file by now, or the same one written anew.
        if open.file.check(&place.proof)? != Verdict::Same {
            tracing::warn!(path = %path.display(), "a file is not what it was, and is read whole");
            return Ok(());
        }
        open.file.resume(place.standing)
    }

    /// Finds out what has become of the file and of its name.
    fn look(&mut self, into: &mut BlockWriter) -> io::Result<()> {
        let Some(open) = &mut self.open else { return self.reopen() };
        let metadata = open.file.metadata()?;
        if !open.file.is_packed() && metadata.len() < open.file.offset() {
            into.finish(&mut open.file.carry);
            open.file.resume(Standing::default())?;
        }
        open.is_at_end = false;
        let named = regular(&self.path);
        let is_named = match &named {
            Ok(named) => FileId::of(named) == open.file.id(),
            // A renamed file may be written to until there is a new one; a deleted one is over.
            Err(_) => !is_deleted(&metadata),
        };
        open.leaving = match open.leaving {
            _ if is_named => Leaving::No,
            Leaving::No => Leaving::Noticed,
            Leaving::Noticed | Leaving::AtEnd => Leaving::AtEnd,
        };
        named.map(|_| ())
    }

    /// Reads once; returns whether there may be more.
    fn read(&mut self, into: &mut BlockWriter) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        if open.is_at_end {
            return Ok(false);
        }
        let taken = open.file.read(into).inspect_err(|_| {
            // It is tried again after the next look; what is unpacked has come to its end.
            open.is_at_end = true;
            if open.file.is_packed() {
                into.count_unread_file();
            }
        })?;
        match taken {
            Taken::Bytes(_) | Taken::NoRoom => {}
            Taken::Nothing | Taken::End => {
                open.is_at_end = true;
                if open.leaving == Leaving::AtEnd {
                    into.finish(&mut open.file.carry);
                    self.open = None;
                    self.reopen()?;
                }
            }
        }
        Ok(self.open.as_ref().is_some_and(|open| !open.is_at_end))
    }

    /// Opens the file that has the name now.
    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenFile::open(&self.path)?;
        self.open = Some(Open { file, is_at_end: false, leaving: Leaving::No });
        Ok(())
    }

    fn skip_to_end(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let offset = if open.file.is_packed() { u64::MAX } else { open.file.metadata()?.len() };
        open.file.resume(Standing { offset, is_skipping: false })
    }

    /// Says what is wrong with the name, or that nothing is any more, when it has changed.
    fn note(&mut self, outcome: io::Result<()>) {
        let path = self.path.display();
        match outcome {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!(%path, "a followed file is there");
                }
            }
            Err(error) => {
                if self.trouble.replace(error.kind()) != Some(error.kind()) {
                    tracing::warn!(%path, %error, "cannot follow a file; waiting for it");
                }
            }
        }
    }
}

fn is_other_kind(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput)
}

/// The file of this identity, under another name in the same directory.
fn renamed(path: &Path, id: FileId) -> Option<OpenFile> {
    let is_it = |path: &PathBuf| regular(path).is_ok_and(|metadata| FileId::of(&metadata) == id);
    OpenFile::open(&siblings(path).find(is_it)?).ok()
}

/// A file next to a name that seems to have had it after this one.
fn renamed_since(path: &Path, file: &OpenFile) -> Option<PathBuf> {
    let (last, name) = (file.metadata().ok()?.modified().ok()?, path.file_name()?);
    let is_later = |other: &PathBuf| {
        let own = other.file_name().unwrap_or_default();
        let had_it = own != name && own.as_encoded_bytes().starts_with(name.as_encoded_bytes());
        let modified = regular(other).and_then(|metadata| metadata.modified());
        had_it && modified.is_ok_and(|modified| modified > last)
    };
    siblings(path).find(is_later)
}

/// What is in the directory of a path.
fn siblings(path: &Path) -> impl Iterator<Item = PathBuf> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(directory.unwrap_or(Path::new(".")));
    entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// Whether an open file has no name any more.
#[cfg(unix)]
fn is_deleted(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

#[cfg(not(unix))]
fn is_deleted(_: &Metadata) -> bool {
    true
}
