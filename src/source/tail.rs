//! One name that is followed, and the files that it leads to, one after another.
//!
//! Invariant: files are read in the order in which they had the name, each to its end before the
//! next one is begun. One that has lost the name is read on beside the others until it has been
//! quiet for a while, since its writer may not have opened its successor yet.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::BlockWriter;
use super::carry::Standing;
use super::first_line::Asks;
use super::identity::{FileId, Verdict};
use super::open_file::{OpenFile, Place, is_passing, regular, unless_passing};
use super::picks::name_of;
use super::read::Taken;
use super::rotation::{self, Age, Log, Point, Sibling, begins_with, siblings};
use super::status::Looked;
use crate::config::ROTATED_FILES_MAX;
use crate::error::Result;
use crate::record::saved::{push_bytes, push_varint, take_byte, take_bytes, take_varint};

const COPIED: &str = "a file was copied and emptied: the copy is read on";

/// A file that begins with all of another one, of so many bytes, is a copy of that: more than a
/// word or two that a new log may begin with as well.
const REWRITTEN_BYTES_MIN: u64 = 16;

/// A name, and what is read of it.
pub(super) struct Tail {
    // Fixed.
    path: PathBuf,
    /// The absolute path, by which it is known in checkpoints.
    absolute: PathBuf,
    /// Who decides about first lines.
    pub(super) asks: Asks,
    /// How many rotated files are open at most.
    pub(super) rotated_max: usize,
    // Changing.
    /// The file that the name leads to, or led to until it was lost.
    current: Option<Followed>,
    /// Files that had the name before, the oldest first.
    rotated: VecDeque<Followed>,
    /// Rotated files are being read once more, and then the current one, however long that takes:
    /// many of them shall not keep it from being read.
    is_in_round: bool,
    /// Places in files that were not seen yet since the start, the oldest first.
    kept: Vec<Kept>,
    /// The name has led to a file, in this process or in the one before it.
    was_there: bool,
    /// Files that were given up, at least in part, and are not counted yet.
    lost: usize,
    /// What is wrong with the name; warned of once.
    trouble: Option<Trouble>,
    /// What the file holds once it can be looked at is passed over: it was there before.
    skips: bool,
}

/// Why a name cannot be followed.
struct Trouble {
    kind: io::ErrorKind,
    message: String,
    since: Instant,
}

struct Followed {
    file: OpenFile,
    /// The path that it had when its name was the one that is followed, links resolved.
    real: PathBuf,
    /// Nothing more to read until the next look.
    is_at_end: bool,
    /// It was found in this look.
    is_new: bool,
    /// Length and time at which the file was found to hold what was read.
    checked: Option<(u64, SystemTime)>,
    /// When something was read of it last.
    active: Instant,
    /// It could not be read at the last try, and is tried again.
    is_failing: bool,
    /// When it was last modified, as far as that is known.
    modified: SystemTime,
}

/// A place in a file, and where the file was.
struct Kept {
    place: Place,
    /// As in [`Followed`].
    real: PathBuf,
    /// When the file was last modified.
    modified: SystemTime,
    /// It was read to its end.
    is_read: bool,
    /// It had the name last, and others before it are being read.
    is_newest: bool,
}

/// Where a file is that was read before, and what came between it and the one that is named now.
enum Found {
    /// Under the name that is followed.
    Named,
    /// Under another name, opened where it was read before.
    Beside(PathBuf, Box<OpenFile>, Between),
    Nowhere(Between),
}

/// Files that had the name after the one that was followed.
#[derive(Default)]
struct Between {
    /// The number of one that is missing.
    missing: Option<u64>,
    /// The path that all of them had.
    real: PathBuf,
    files: Vec<(PathBuf, io::Result<OpenFile>)>,
}

/// How a file is looked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum By {
    /// Its device and inode; then it has to hold what was read, too.
    Id,
    /// What was read of it, under a name that logs are given when they are rotated. A file that has
    /// a place of its own is not it, however much the logs begin alike.
    Content,
}

impl Tail {
    /// Follows a name, from the start of the file that it leads to now, if any.
    ///
    /// # Errors
    ///
    /// Those of a name that leads to something that is no regular file.
    pub(super) fn new(path: PathBuf) -> Result<Tail, (PathBuf, io::Error)> {
        let mut tail = Tail {
            absolute: std::path::absolute(&path).unwrap_or_else(|_| path.clone()),
            path,
            current: None,
            rotated: VecDeque::new(),
            is_in_round: false,
            kept: Vec::new(),
            was_there: false,
            lost: 0,
            trouble: None,
            skips: false,
            asks: Asks::default(),
            rotated_max: ROTATED_FILES_MAX,
        };
        match tail.open_named() {
            Err(error) if is_other_kind(&error) => return Err((tail.path, error)),
            opened => tail.note(opened),
        }
        Ok(tail)
    }

    /// Whether two names lead to one file, whatever becomes of it.
    pub(super) fn is_same_name(&self, other: &Tail) -> bool {
        let real = |tail: &Tail| real_path(&tail.absolute);
        self.absolute == other.absolute || real(self) == real(other)
    }

    pub(super) fn saved_name(&self) -> &[u8] {
        self.absolute.as_os_str().as_encoded_bytes()
    }

    /// Whether a name in a checkpoint is this one, if by another path to its directory.
    pub(super) fn is_saved_as(&self, name: &[u8]) -> bool {
        let saved = PathBuf::from(name_of(name));
        let directory = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
        self.absolute == saved
            || self.absolute.file_name() == saved.file_name()
                && directory(&self.absolute).is_some_and(|own| directory(&saved) == Some(own))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Passes over what the file holds now, or once it can be looked at if it is there.
    pub(super) fn skip_to_end(&mut self) {
        let is_there = self.trouble.as_ref().is_none_or(|it| it.kind != io::ErrorKind::NotFound);
        self.skips = is_there;
        let skipped = self.skip();
        self.note(skipped);
    }

    fn skip(&mut self) -> io::Result<()> {
        let Some(open) = self.current.as_mut().filter(|_| self.skips) else { return Ok(()) };
        // Nothing of it is read until this is done.
        open.is_at_end = true;
        let metadata = open.file.metadata()?;
        let offset = if open.file.is_packed() { u64::MAX } else { metadata.len() };
        open.file.resume(Standing { offset, is_skipping: false })?;
        open.is_at_end = false;
        self.skips = false;
        Ok(())
    }

    /// Finds out what has become of the files and of the name.
    pub(super) fn look(&mut self, now: Instant, quiet: Duration, into: &mut BlockWriter) {
        if !self.is_in_round {
            self.leave_quiet(now, quiet, into);
            self.is_in_round = true;
        }
        let looked = self.check_current(into).and_then(|()| self.check_name());
        let looked = looked.and_then(|()| self.skip());
        self.skips &= !looked.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::NotFound);
        self.note(looked);
        for _ in 0..std::mem::take(&mut self.lost) {
            into.count_unread_file();
        }
    }

    /// A file that the name leads to since the last look, of which nothing was read.
    pub(super) fn new_current(&self) -> Option<FileId> {
        let new = self.current.as_ref().filter(|open| open.is_new && open.file.offset() == 0);
        new.map(|open| open.file.id())
    }

    /// Gives the file with these numbers to who follows its name of now, if it is one that was read
    /// here, and this name leads to it no more.
    pub(super) fn let_go(&mut self, id: FileId) -> Option<OpenFile> {
        let is_it = |open: &Followed| open.file.id() == id && open.file.offset() > 0;
        if let Some(number) = self.rotated.iter().position(is_it) {
            return self.rotated.remove(number).map(|open| open.file);
        }
        self.current.as_ref().filter(|open| is_it(open))?;
        // Where nobody knows for now, it is as it was.
        let named = unless_passing(regular(&self.path)).ok()?;
        let is_named = named.is_some_and(|named| FileId::of(&named) == id);
        if is_named { None } else { self.current.take().map(|open| open.file) }
    }

    /// Goes on with a file that was read under another name.
    pub(super) fn take_over(&mut self, file: OpenFile) {
        self.current = Some(Followed::over(file, real_path(&self.path)));
    }

    /// Leaves rotated files to others who follow their names.
    pub(super) fn leave_to(&mut self, others: &[FileId]) {
        self.rotated.retain(|open| {
            let is_begun = !open.is_new || open.file.offset() > 0;
            is_begun || !others.contains(&open.file.id())
        });
    }

    /// The file that the name leads to.
    pub(super) fn current_id(&self) -> Option<FileId> {
        self.current.as_ref().map(|open| open.file.id())
    }

    /// Whether files were found in the last look.
    pub(super) fn has_new(&self) -> bool {
        self.rotated.iter().chain(&self.current).any(|open| open.is_new)
    }

    /// What was found is settled.
    pub(super) fn settle(&mut self) {
        self.rotated.iter_mut().chain(&mut self.current).for_each(|open| open.is_new = false);
    }

    /// What the last look at the name has come to. A rotated log is without its name for a moment,
    /// and longer if its writer goes on with the renamed file, so that is trouble only when it has
    /// lasted for as long as a rotated file has to be quiet.
    pub(super) fn looked(&self, now: Instant, quiet: Duration) -> Looked {
        let Some(trouble) = &self.trouble else { return Looked::Well };
        let is_missing = trouble.kind == io::ErrorKind::NotFound;
        if is_missing && !self.was_there {
            return Looked::Awaited;
        }
        let active = self.current.as_ref().map(|open| open.active);
        let since = trouble.since.max(active.unwrap_or(trouble.since));
        if is_missing && now.saturating_duration_since(since) < quiet {
            return Looked::Well;
        }
        Looked::Trouble(trouble.message.clone())
    }

    /// The name, if it leads to something that cannot be read, and rotated files that cannot.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = PathBuf> {
        let is_there = |trouble: &&Trouble| trouble.kind != io::ErrorKind::NotFound;
        let named = self.trouble.as_ref().filter(is_there).map(|_| self.path.clone());
        let rotated = self.rotated.iter().filter(|open| open.is_failing);
        named.into_iter().chain(rotated.map(|open| open.real.clone()))
    }

    /// Reads once; returns whether there may be more at once.
    pub(super) fn read(&mut self, into: &mut BlockWriter) -> bool {
        self.read_once(into);
        let has_more = self.has_more();
        self.is_in_round &= has_more;
        has_more
    }

    fn read_once(&mut self, into: &mut BlockWriter) {
        if let Some(number) = self.rotated.iter().position(|open| !open.is_at_end) {
            let open = &mut self.rotated[number];
            self.asks.of(&mut open.file, &open.real, true);
            let Err(error) = open.read(into) else { return };
            if is_passing(&error) && !open.file.is_packed() {
                let path = open.real.display();
                if !std::mem::replace(&mut open.is_failing, true) {
                    tracing::warn!(%path, %error, "a rotated file cannot be read: tried again");
                }
                into.status().trouble(&format!("cannot read {path}: {error}"));
                return;
            }
            if let Some(mut open) = self.rotated.remove(number) {
                let path = open.real.display();
                tracing::warn!(%path, %error, "a rotated file cannot be read to its end");
                into.status().failed(format!("cannot read {path} to its end: {error}"));
                open.file.finish(into, &path);
                into.count_unread_file();
            }
            return;
        }
        self.is_in_round = false;
        if let Some(open) = self.current.as_mut().filter(|open| !open.is_at_end) {
            self.asks.of(&mut open.file, &self.path, true);
            let Err(error) = open.read(into) else { return };
            if open.file.is_packed() && !is_passing(&error) {
                let path = self.path.display();
                tracing::warn!(%path, %error, "a file cannot be read to its end");
                into.status().failed(format!("cannot read {path} to its end: {error}"));
                return into.count_unread_file();
            }
            // It may be there again under other numbers, as on a volume that comes back.
            let kept = self.current.take().map(|open| Kept { is_newest: true, ..open.kept() });
            self.kept.extend(kept);
            self.note(Err(error));
            if let Some(trouble) = &self.trouble {
                into.status().trouble(&trouble.message);
            }
        }
    }

    fn has_more(&self) -> bool {
        self.rotated.iter().chain(&self.current).any(|open| !open.is_at_end)
    }

    /// Ends rotated files that have been quiet, and the oldest ones beyond the maximum of them; the
    /// others may have more.
    fn leave_quiet(&mut self, now: Instant, quiet: Duration, into: &mut BlockWriter) {
        let mut excess = self.rotated.len().saturating_sub(self.rotated_max);
        self.rotated.retain_mut(|open| {
            let is_quiet = now.saturating_duration_since(open.active) >= quiet;
            let is_over = open.is_at_end && (is_quiet && !open.is_failing || excess > 0);
            excess -= usize::from(is_over && excess > 0);
            if is_over && open.file.has_ended() {
                // What it has is a whole first line now.
                open.is_at_end = false;
                return true;
            }
            if is_over {
                open.file.finish(into, &open.real.display());
                self.lost += usize::from(open.is_failing);
            }
            open.is_at_end &= open.file.is_packed();
            !is_over
        });
    }

    /// Looks whether the file still holds what was read of it.
    fn check_current(&mut self, into: &mut BlockWriter) -> io::Result<()> {
        let Some(open) = &mut self.current else { return Ok(()) };
        let Some(verdict) = open.look()? else { return Ok(()) };
        let (path, kept, id) = (self.path.display(), open.kept(), open.file.id());
        // Until all of this is known nothing is changed: it is tried again.
        open.is_at_end = true;
        let found = siblings(&[&self.path, &kept.real])?;
        let copy = self.beside(&found, &kept, By::Content, Some(id))?;
        let between = match &copy {
            Some((copy, _)) => self.find_between(&found, &kept, Some(copy), Some(id))?,
            None => Between::default(),
        };
        let Some(open) = &mut self.current else { return Ok(()) };
        if copy.is_none() {
            open.file.finish(into, &path);
        }
        open.file.resume(Standing::default())?;
        (open.active, open.is_at_end) = (Instant::now(), false);
        if let Some((copy, file)) = copy {
            let copied = copy.path.display();
            tracing::warn!(%path, %copied, "{COPIED}");
            self.rotated.push_back(Followed::over(file, kept.real.clone()));
        } else {
            let (read, verdict) = (kept.place.proof.offset, in_words(verdict));
            tracing::warn!(%path, read, verdict, "a file was written anew: read from its start");
        }
        self.read_between(between);
        Ok(())
    }

    /// Looks where the name leads.
    fn check_name(&mut self) -> io::Result<()> {
        let named = match regular(&self.path) {
            Ok(named) => FileId::of(&named),
            Err(error) => {
                // A renamed file may be written to until there is a new one; a deleted one is over.
                if self.current.as_ref().is_some_and(|open| open.file.is_deleted()) {
                    self.rotated.extend(self.current.take().map(Followed::left));
                }
                return Err(error);
            }
        };
        match &self.current {
            Some(open) if open.file.id() == named => Ok(()),
            Some(_) => self.succeed(),
            None => self.open_named(),
        }
    }

    /// Opens the file that the name leads to, and goes on in it where it was read before.
    fn open_named(&mut self) -> io::Result<()> {
        let opened = Followed::open(&self.path);
        if self.kept.is_empty() {
            self.current = Some(opened?);
            return Ok(());
        }
        let (mut named, trouble) = match opened {
            Ok(named) => (Some(named), None),
            // Whether it is one that was read before is not known: all places are kept.
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) => (None, Some(error)),
        };
        // All of them are looked for before any is gone on with: where one cannot be for now, no
        // place is given up, and none is read twice.
        let mut found = Vec::new();
        for (number, kept) in (1..).zip(&self.kept) {
            found.push(self.find(kept, number == self.kept.len(), &mut named)?);
        }
        let kept = std::mem::take(&mut self.kept);
        let named_id = named.as_ref().map(|open| open.file.id());
        let count = kept.len();
        for (number, (kept, found)) in (1..).zip(kept.into_iter().zip(found)) {
            self.go_on(kept, found, number == count, named_id);
        }
        // A file that was renamed, and has no successor yet, stays the current one.
        if named.is_none() && self.current.is_none() && self.kept.is_empty() {
            self.current = self.rotated.pop_back();
        }
        if named.is_some() {
            self.current = named;
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Finds the file of a place, wherever it is now, and goes there in it. `is_last` says that it
    /// is the one that had the name last.
    ///
    /// # Errors
    ///
    /// Those that are passing: where it is is not known by then.
    fn find(&self, kept: &Kept, is_last: bool, named: &mut Option<Followed>) -> io::Result<Found> {
        let path = self.path.display();
        let siblings = siblings(&[&self.path, &kept.real, &real_path(&self.path)])?;
        let named_id = named.as_ref().map(|open| open.file.id());
        let is_begun = kept.place.proof.offset > 0;
        let is_held = match named {
            Some(open) if is_begun => open.file.holds(&kept.place.proof)?,
            _ => false,
        };
        let by = |by| self.beside(&siblings, kept, by, named_id);
        let is_it = named_id == Some(kept.place.id) && (is_held || !is_begun);
        // The same bytes under another inode, as after `sed -i` and `rsync`, and on a volume that
        // was mounted again. Of a file that had the name before, the log is none, if it begins as
        // that did.
        let (is_named, other) = match if is_it { None } else { by(By::Id)? } {
            None if is_it || is_held && is_last => (true, None),
            Some((sibling, _)) if is_held && self.is_rewritten(kept, sibling)? => (true, None),
            None => (false, by(By::Content)?),
            other => (false, other),
        };
        if is_named && let Some(open) = named {
            if unless_passing(open.file.resume(kept.place.standing))?.is_none() {
                tracing::warn!(%path, "a file cannot be gone on with: read whole");
            }
            return Ok(Found::Named);
        }
        let sibling = other.as_ref().map(|(sibling, _)| *sibling);
        let may_have_followers = match sibling {
            Some(_) => is_last,
            None => is_last && named_id.is_some(),
        };
        let between = match may_have_followers {
            true => self.find_between(&siblings, kept, sibling, named_id)?,
            false => Between::default(),
        };
        Ok(match other {
            Some((sibling, file)) => Found::Beside(sibling.path.clone(), Box::new(file), between),
            None => Found::Nowhere(between),
        })
    }

    /// Goes on in a file where it was read before, as it was found.
    fn go_on(&mut self, kept: Kept, found: Found, is_last: bool, named: Option<FileId>) {
        let (path, offset) = (self.path.display(), kept.place.proof.offset);
        match found {
            Found::Named => {}
            Found::Beside(rotated, file, between) => {
                let rotated = rotated.display();
                tracing::info!(%path, %rotated, "a file was rotated while nothing ran: read on");
                self.rotated.push_back(Followed::over(*file, kept.real));
                self.read_between(between);
            }
            // Its volume may not be there yet.
            Found::Nowhere(_) if named.is_none() => {
                tracing::warn!(%path, offset, "a file is not there yet: its place is kept");
                self.kept.push(kept);
            }
            Found::Nowhere(_) if !is_last && kept.is_read => {
                let path = kept.real.display();
                tracing::info!(%path, offset, "a rotated file that was read to its end is gone");
            }
            Found::Nowhere(_) if !is_last => {
                let path = kept.real.display();
                tracing::warn!(%path, offset, "a rotated file is gone: it is not read to its end");
                self.lost += 1;
            }
            // One with the same inode may be another file all the same.
            Found::Nowhere(between) => {
                let what = if named == Some(kept.place.id) {
                    "a file does not hold what was read of it"
                } else {
                    "the file that was read is gone, and another one has its name"
                };
                tracing::warn!(%path, offset, "{what}: it is read from its start");
                self.read_between(between);
            }
        }
    }

    /// Leaves the current file for the one that has its name by now. Nothing is changed before all
    /// of it is known.
    fn succeed(&mut self) -> io::Result<()> {
        let mut new = Followed::open(&self.path)?;
        let Some(old) = &self.current else { return Ok(()) };
        let kept = old.kept();
        let found = siblings(&[&self.path, &kept.real, &new.real])?;
        let old_name = found.iter().find(|sibling| sibling.id == kept.place.id);
        // The same bytes under another inode, as after `sed -i` and `rsync`.
        let is_same = kept.place.proof.offset > 0
            && new.file.holds(&kept.place.proof)?
            && match old_name {
                Some(sibling) => self.is_rewritten(&kept, sibling)?,
                None => true,
            };
        if is_same {
            new.file.resume(kept.place.standing)?;
            self.current = Some(new);
            return Ok(());
        }
        let new_id = new.file.id();
        let rotated = match self.beside(&found, &kept, By::Id, Some(new_id))? {
            None => self.beside(&found, &kept, By::Content, Some(new_id))?,
            rotated => rotated,
        };
        let point = rotated.as_ref().map(|(sibling, _)| *sibling);
        // A copy of what followed the file, before that was emptied: it has what that had.
        let copy = rotated.filter(|(sibling, copy)| {
            sibling.id != kept.place.id && copy_has_more(sibling, copy, old)
        });
        let between = self.find_between(&found, &kept, point, Some(new_id))?;
        let Some(old) = self.current.replace(new) else { return Ok(()) };
        let left = match copy {
            Some((sibling, copy)) => {
                let (path, copied) = (self.path.display(), sibling.path.display());
                tracing::warn!(%path, %copied, "{COPIED}");
                Followed::over(copy, kept.real.clone())
            }
            None => old.left(),
        };
        self.rotated.push_back(left);
        self.read_between(between);
        Ok(())
    }

    /// Whether the file that has the name now is the one that was read, written again, of which
    /// what was read stands beside it under another name: a backup, as by `sed -i.bak` and editors.
    /// A new log may begin as the rotated one did, so all of that has to be in it, and be much, or
    /// the name be one of backups; and a log that has a number or date was rotated.
    fn is_rewritten(&self, kept: &Kept, sibling: &Sibling) -> io::Result<bool> {
        let log = Log { path: &kept.real, named: &kept.real };
        let bytes_min = match log.age(&sibling.path) {
            Some(Age::Number(_) | Age::Date(_)) => u64::MAX,
            _ if rotation::is_backup(&sibling.path) => 1,
            _ => REWRITTEN_BYTES_MIN,
        };
        let is_rewritten = sibling.bytes >= bytes_min
            && unless_passing(begins_with(&self.path, &sibling.path))? == Some(true);
        let what = match is_rewritten {
            true => "a log was written again, and the one before is there: its rest is read",
            false => "a new log begins as the one did that was rotated: it is read from its start",
        };
        let (path, before) = (self.path.display(), sibling.path.display());
        tracing::warn!(%path, %before, "{what}");
        Ok(is_rewritten)
    }

    /// Finds the files that had the name after the one that was followed, which is `rotated` by now
    /// if it is still there, and before the one that is `named` now.
    ///
    /// # Errors
    ///
    /// Those that are passing.
    fn find_between(
        &self,
        found: &[Sibling],
        kept: &Kept,
        rotated: Option<&Sibling>,
        named: Option<FileId>,
    ) -> io::Result<Between> {
        let log = Log { path: &kept.real, named: &real_path(&self.path) };
        let point = match rotated {
            Some(sibling) => Point { age: log.age(&sibling.path), modified: sibling.modified },
            None => Point { age: log.age(&kept.real), modified: kept.modified },
        };
        let is_known = |id| {
            let mut others = self.rotated.iter().chain(&self.current);
            Some(id) == named || others.any(|open| open.file.id() == id)
        };
        let missing = rotation::missing(found, &log, &point);
        let mut between = Between { missing, real: kept.real.clone(), files: Vec::new() };
        for sibling in rotation::between(found, &log, &point, is_known) {
            let opened = match OpenFile::open(&sibling.path) {
                Err(error) if is_passing(&error) => return Err(error),
                opened => opened,
            };
            between.files.push((sibling.path.clone(), opened));
        }
        Ok(between)
    }

    /// Has these files read, each from its start.
    fn read_between(&mut self, between: Between) {
        if let Some(number) = between.missing {
            let path = self.path.display();
            tracing::warn!(%path, number, "a rotated file is missing: what it held is not read");
            self.lost += 1;
        }
        for (path, opened) in between.files {
            let packed_otherwise = rotation::is_packed_otherwise(&path);
            let path = path.display();
            if self.rotated.len() >= self.rotated_max {
                let max = self.rotated_max;
                tracing::warn!(%path, max, "more rotated files than the maximum: not read");
                self.lost += 1;
                continue;
            }
            match opened {
                Ok(_) if packed_otherwise => {
                    tracing::warn!(%path, "a rotated file is compressed in a way that is not read");
                    self.lost += 1;
                }
                Ok(file) => {
                    tracing::warn!(%path, "a log was rotated more than once: this is read, too");
                    self.rotated.push_back(Followed::over(file, between.real.clone()));
                }
                Err(error) => {
                    tracing::warn!(%path, %error, "a rotated file cannot be read");
                    self.lost += 1;
                }
            }
        }
    }

    /// The file in which a place is, among those beside the log, but for the one that is `named`.
    ///
    /// # Errors
    ///
    /// Those that are passing.
    fn beside<'a>(
        &self,
        found: &'a [Sibling],
        kept: &Kept,
        by: By,
        named: Option<FileId>,
    ) -> io::Result<Option<(&'a Sibling, OpenFile)>> {
        let log = Log { path: &kept.real, named: &kept.real };
        let Place { id, proof, standing } = kept.place;
        for sibling in found.iter().filter(|sibling| Some(sibling.id) != named) {
            let is_wanted = match by {
                // Of a file of which nothing was read there is no proof but its name.
                By::Id => {
                    sibling.id == id && (proof.offset > 0 || log.age(&sibling.path).is_some())
                }
                By::Content => proof.offset > 0 && log.age(&sibling.path).is_some(),
            };
            if !is_wanted {
                continue;
            }
            let Some(mut file) = unless_passing(OpenFile::open(&sibling.path))? else { continue };
            if by == By::Content && self.has_place(sibling.id, &mut file)? {
                continue;
            }
            if file.holds(&proof)? && unless_passing(file.resume(standing))?.is_some() {
                return Ok(Some((sibling, file)));
            }
        }
        Ok(None)
    }

    /// Whether a file is one that is followed or was: by its numbers, and what was read of it, as
    /// the numbers of one that is gone may be another's by now.
    fn has_place(&self, id: FileId, file: &mut OpenFile) -> io::Result<bool> {
        let followed = self.rotated.iter().chain(&self.current).map(|open| open.file.place());
        let places = self.kept.iter().map(|kept| kept.place).chain(followed);
        for place in places.filter(|place| place.id == id) {
            if file.holds(&place.proof)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says what is wrong with the name, or that nothing is any more, when it has changed.
    fn note(&mut self, outcome: io::Result<()>) {
        let path = self.path.display();
        self.was_there |= self.current.is_some() || !self.kept.is_empty();
        match outcome {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!(%path, "a followed file is there");
                }
            }
            Err(error) => {
                let (kind, message) = (error.kind(), format!("cannot follow {path}: {error}"));
                let before = self.trouble.take().filter(|before| before.kind == kind);
                if before.is_none() {
                    tracing::warn!(%path, %error, "cannot follow a file; waiting for it");
                }
                let since = before.map_or_else(Instant::now, |before| before.since);
                self.trouble = Some(Trouble { kind, message, since });
            }
        }
    }

    /// Appends how far each file was read, the oldest first.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let [rotated, current]: [Vec<Kept>; 2] = [
            self.rotated.iter().map(Followed::kept).collect(),
            self.current.iter().map(Followed::kept).collect(),
        ];
        push_varint((self.kept.len() + rotated.len() + current.len()) as u64, out);
        let before = self.kept.iter().filter(|kept| !kept.is_newest).chain(&rotated);
        let after = self.kept.iter().filter(|kept| kept.is_newest).chain(&current);
        for Kept { place, real, modified, is_read, .. } in before.chain(after) {
            place.save(out);
            out.push(u8::from(*is_read));
            push_bytes(real.as_os_str().as_encoded_bytes(), out);
            let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
            push_varint(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), out);
        }
    }

    /// Goes on where an earlier process stood.
    pub(super) fn resume(&mut self, from: &mut &[u8]) -> Result<()> {
        for _ in 0..take_varint(from)? {
            let place = Place::load(from)?;
            let is_read = take_byte(from)? != 0;
            let real = PathBuf::from(name_of(take_bytes(from)?));
            let modified = UNIX_EPOCH + Duration::from_nanos(take_varint(from)?);
            self.kept.push(Kept { place, real, modified, is_read, is_newest: false });
        }
        self.current = None;
        let opened = self.open_named();
        self.note(opened);
        Ok(())
    }
}

impl Followed {
    fn open(path: &Path) -> io::Result<Followed> {
        Ok(Followed::over(OpenFile::open(path)?, real_path(path)))
    }

    fn over(file: OpenFile, real: PathBuf) -> Followed {
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        Followed {
            is_failing: false,
            modified: modified.unwrap_or_else(|_| SystemTime::now()),
            file,
            real,
            is_at_end: false,
            is_new: true,
            checked: None,
            active: Instant::now(),
        }
    }

    /// It has lost its name by now: from here on it has to be quiet.
    fn left(self) -> Followed {
        Followed { active: Instant::now(), ..self }
    }

    /// Looks whether there is more to read. Gives a verdict where the file does not hold what was
    /// read of it.
    fn look(&mut self) -> io::Result<Option<Verdict>> {
        if self.file.is_packed() {
            return Ok(None);
        }
        let metadata = self.file.metadata()?;
        let state = (metadata.len(), metadata.modified()?);
        if self.checked == Some(state) {
            return Ok(None);
        }
        // What may be other bytes by now is not read on.
        (self.is_at_end, self.is_failing) = (true, true);
        let verdict = self.file.check(&self.file.place().proof)?;
        self.is_failing = false;
        if verdict != Verdict::Same {
            return Ok(Some(verdict));
        }
        (self.checked, self.modified) = (Some(state), state.1);
        self.is_at_end = false;
        Ok(None)
    }

    fn read(&mut self, into: &mut BlockWriter) -> io::Result<()> {
        match self.file.read(into) {
            Ok(Taken::Bytes(_)) => (self.active, self.is_failing) = (Instant::now(), false),
            Ok(Taken::NoRoom) => {}
            Ok(Taken::Nothing | Taken::End) => (self.is_at_end, self.is_failing) = (true, false),
            Err(error) => {
                self.is_at_end = true;
                return Err(error);
            }
        }
        Ok(())
    }

    fn kept(&self) -> Kept {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified());
        let (place, real) = (self.file.place(), self.real.clone());
        let is_read = self.is_at_end && !self.is_failing && self.file.carry.is_empty();
        let modified = modified.unwrap_or(self.modified);
        Kept { place, real, modified, is_read, is_newest: false }
    }
}

/// Whether a copy has more than the file with what was read, which has no name any more.
fn copy_has_more(sibling: &Sibling, copy: &OpenFile, old: &Followed) -> bool {
    let len = old.file.metadata().map_or(u64::MAX, |metadata| metadata.len());
    old.file.is_deleted() && !copy.is_packed() && sibling.bytes > len
}

/// A path without links, as far as it is there.
fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

fn is_other_kind(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput)
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "the same",
        Verdict::Shorter => "shorter than what was read",
        Verdict::Rewritten => "other bytes than those that were read",
    }
}
