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
use super::open_file::{OpenFile, Place, regular};
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
}

/// Where a file is that was read before.
enum Found<'a> {
    /// Under the name that is followed.
    Named,
    /// Under another name, opened where it was read before.
    Beside(&'a Sibling, Box<OpenFile>),
    Nowhere,
}

/// How a file is looked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum By {
    /// Its device and inode; then it has to hold what was read, too.
    Id,
    /// What was read of it, under a name that logs are given when they are rotated.
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

    /// Passes over what the file holds now.
    pub(super) fn skip_to_end(&mut self) {
        let Some(open) = &mut self.current else { return };
        let skipped = open.file.metadata().and_then(|metadata| {
            let offset = if open.file.is_packed() { u64::MAX } else { metadata.len() };
            open.file.resume(Standing { offset, is_skipping: false })
        });
        self.note(skipped);
    }

    /// Finds out what has become of the files and of the name.
    pub(super) fn look(&mut self, now: Instant, quiet: Duration, into: &mut BlockWriter) {
        if !self.is_in_round {
            self.leave_quiet(now, quiet, into);
            self.is_in_round = true;
        }
        let looked = self.check_current(into).and_then(|()| self.check_name());
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
        let is_named = regular(&self.path).is_ok_and(|named| FileId::of(&named) == id);
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

    /// Whether the name leads to something that cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.kind != io::ErrorKind::NotFound)
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
            if let Err(error) = open.read(into)
                && let Some(mut open) = self.rotated.remove(number)
            {
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
            if open.file.is_packed() {
                let path = self.path.display();
                tracing::warn!(%path, %error, "a file cannot be read to its end");
                into.status().failed(format!("cannot read {path} to its end: {error}"));
                return into.count_unread_file();
            }
            // It may be there again under other numbers, as on a volume that comes back.
            self.kept.extend(self.current.take().map(|open| open.kept()));
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
            let is_over = open.is_at_end && (is_quiet || excess > 0);
            excess -= usize::from(is_over && excess > 0);
            if is_over && open.file.has_ended() {
                // What it has is a whole first line now.
                open.is_at_end = false;
                return true;
            }
            if is_over {
                open.file.finish(into, &open.real.display());
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
        let found = siblings(&[&self.path, &kept.real]);
        if let Some((copy, file)) = beside(&found, &kept, By::Content, Some(id)) {
            let copied = copy.path.display();
            tracing::warn!(%path, %copied, "{COPIED}");
            open.file.carry.clear();
            self.rotated.push_back(Followed::over(file, kept.real.clone()));
            self.read_between(&found, &kept, Some(copy), Some(id));
        } else {
            open.file.finish(into, &path);
            let (read, verdict) = (kept.place.proof.offset, in_words(verdict));
            tracing::warn!(%path, read, verdict, "a file was written anew: read from its start");
        }
        let Some(open) = &mut self.current else { return Ok(()) };
        open.file.resume(Standing::default())?;
        open.active = Instant::now();
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
            Err(error) => (None, Some(error)),
        };
        let kept = std::mem::take(&mut self.kept);
        let count = kept.len();
        for (number, kept) in (1..).zip(kept) {
            self.go_on(kept, number == count, &mut named);
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

    /// Goes on in a file where it was read before, wherever it is now. `is_last` says that it is
    /// the one that had the name last.
    fn go_on(&mut self, kept: Kept, is_last: bool, named: &mut Option<Followed>) {
        let path = self.path.display();
        let found = siblings(&[&self.path, &kept.real, &real_path(&self.path)]);
        let named_id = named.as_ref().map(|open| open.file.id());
        let is_held = named.as_mut().is_some_and(|open| open.file.holds(&kept.place.proof));
        let by = |by| {
            let found = beside(&found, &kept, by, named_id);
            found.map(|(sibling, file)| Found::Beside(sibling, Box::new(file)))
        };
        let is_held = is_held && kept.place.proof.offset > 0;
        let file = match named_id {
            Some(id) if id == kept.place.id && (is_held || kept.place.proof.offset == 0) => {
                Found::Named
            }
            _ => match by(By::Id) {
                // The same bytes under another inode, as after `sed -i` and `rsync`, and on a
                // volume that was mounted again.
                None if is_held => Found::Named,
                Some(Found::Beside(sibling, _)) if is_held && self.is_rewritten(&kept, sibling) => {
                    Found::Named
                }
                None => by(By::Content).unwrap_or(Found::Nowhere),
                Some(beside) => beside,
            },
        };
        let offset = kept.place.proof.offset;
        match file {
            Found::Named => {
                let Some(open) = named else { return };
                if let Err(error) = open.file.resume(kept.place.standing) {
                    tracing::warn!(%path, %error, "a file cannot be gone on with: read whole");
                }
            }
            Found::Beside(sibling, file) => {
                let file = *file;
                let rotated = sibling.path.display();
                tracing::info!(%path, %rotated, "a file was rotated while nothing ran: read on");
                self.rotated.push_back(Followed::over(file, kept.real.clone()));
                if is_last {
                    self.read_between(&found, &kept, Some(sibling), named_id);
                }
            }
            // Its volume may not be there yet.
            Found::Nowhere if named.is_none() => {
                tracing::warn!(%path, offset, "a file is not there yet: its place is kept");
                self.kept.push(kept);
            }
            Found::Nowhere if !is_last && kept.is_read => {
                let path = kept.real.display();
                tracing::info!(%path, offset, "a rotated file that was read to its end is gone");
            }
            Found::Nowhere if !is_last => {
                let path = kept.real.display();
                tracing::warn!(%path, offset, "a rotated file is gone: it is not read to its end");
                self.lost += 1;
            }
            // One with the same inode may be another file all the same.
            Found::Nowhere => {
                let what = if named_id == Some(kept.place.id) {
                    "a file does not hold what was read of it"
                } else {
                    "the file that was read is gone, and another one has its name"
                };
                tracing::warn!(%path, offset, "{what}: it is read from its start");
                self.read_between(&found, &kept, None, named_id);
            }
        }
    }

    /// Leaves the current file for the one that has its name by now.
    fn succeed(&mut self) -> io::Result<()> {
        let mut new = Followed::open(&self.path)?;
        let Some(old) = self.current.take() else { return Ok(()) };
        let kept = old.kept();
        let found = siblings(&[&self.path, &kept.real, &new.real]);
        let old_name = found.iter().find(|sibling| sibling.id == kept.place.id);
        // The same bytes under another inode, as after `sed -i` and `rsync`.
        if kept.place.proof.offset > 0
            && new.file.holds(&kept.place.proof)
            && old_name.is_none_or(|sibling| self.is_rewritten(&kept, sibling))
        {
            new.file.resume(kept.place.standing)?;
            self.current = Some(new);
            return Ok(());
        }
        let new_id = new.file.id();
        let copy = || beside(&found, &kept, By::Content, Some(new_id));
        let rotated = beside(&found, &kept, By::Id, Some(new_id)).or_else(copy);
        let (point, rotated) = match rotated {
            // A copy of what followed the file, before that was emptied: it has what that had.
            Some((sibling, copy))
                if sibling.id != kept.place.id && copy_has_more(sibling, &copy, &old) =>
            {
                let (path, copied) = (self.path.display(), sibling.path.display());
                tracing::warn!(%path, %copied, "{COPIED}");
                (Some(sibling), Followed::over(copy, kept.real.clone()))
            }
            rotated => (rotated.map(|(sibling, _)| sibling), old.left()),
        };
        self.rotated.push_back(rotated);
        self.read_between(&found, &kept, point, Some(new_id));
        self.current = Some(new);
        Ok(())
    }

    /// Whether the file that has the name now is the one that was read, written again, of which
    /// what was read stands beside it under another name: a backup, as by `sed -i.bak` and editors.
    /// A new log may begin as the rotated one did, so all of that has to be in it, and be much, or
    /// the name be one of backups; and a log that has a number or date was rotated.
    fn is_rewritten(&self, kept: &Kept, sibling: &Sibling) -> bool {
        let log = Log { path: &kept.real, named: &kept.real };
        let bytes_min = match log.age(&sibling.path) {
            Some(Age::Number(_) | Age::Date(_)) => u64::MAX,
            _ if rotation::is_backup(&sibling.path) => 1,
            _ => REWRITTEN_BYTES_MIN,
        };
        let is_rewritten =
            sibling.bytes >= bytes_min && begins_with(&self.path, &sibling.path).unwrap_or(false);
        let what = match is_rewritten {
            true => "a log was written again, and the one before is there: its rest is read",
            false => "a new log begins as the one did that was rotated: it is read from its start",
        };
        let (path, before) = (self.path.display(), sibling.path.display());
        tracing::warn!(%path, %before, "{what}");
        is_rewritten
    }

    /// Has the files read, each from its start, that had the name after the one that was followed,
    /// which is `rotated` by now if it is still there, and before the one that is `named` now.
    fn read_between(
        &mut self,
        found: &[Sibling],
        kept: &Kept,
        rotated: Option<&Sibling>,
        named: Option<FileId>,
    ) {
        let log = Log { path: &kept.real, named: &real_path(&self.path) };
        let point = match rotated {
            Some(sibling) => Point { age: log.age(&sibling.path), modified: sibling.modified },
            None => Point { age: log.age(&kept.real), modified: kept.modified },
        };
        if let Some(number) = rotation::missing(found, &log, &point) {
            let path = self.path.display();
            tracing::warn!(%path, number, "a rotated file is missing: what it held is not read");
            self.lost += 1;
        }
        let is_known = |id| {
            let mut others = self.rotated.iter().chain(&self.current);
            Some(id) == named || others.any(|open| open.file.id() == id)
        };
        let between: Vec<PathBuf> = rotation::between(found, &log, &point, is_known)
            .into_iter()
            .map(|sibling| sibling.path.clone())
            .collect();
        for between in between {
            let path = between.display();
            if self.rotated.len() >= self.rotated_max {
                let max = self.rotated_max;
                tracing::warn!(%path, max, "more rotated files than the maximum: not read");
                self.lost += 1;
                continue;
            }
            match OpenFile::open(&between) {
                Ok(_) if rotation::is_packed_otherwise(&between) => {
                    tracing::warn!(%path, "a rotated file is compressed in a way that is not read");
                    self.lost += 1;
                }
                Ok(file) => {
                    tracing::warn!(%path, "a log was rotated more than once: this is read, too");
                    self.rotated.push_back(Followed::over(file, kept.real.clone()));
                }
                Err(error) => {
                    tracing::warn!(%path, %error, "a rotated file cannot be read");
                    self.lost += 1;
                }
            }
        }
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
        let open: Vec<Kept> =
            self.rotated.iter().chain(&self.current).map(Followed::kept).collect();
        push_varint((self.kept.len() + open.len()) as u64, out);
        for Kept { place, real, modified, is_read } in self.kept.iter().chain(&open) {
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
            self.kept.push(Kept { place, real, modified, is_read });
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
        Followed {
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
        self.is_at_end = false;
        match self.file.check(&self.file.place().proof)? {
            Verdict::Same => {
                self.checked = Some(state);
                Ok(None)
            }
            verdict => Ok(Some(verdict)),
        }
    }

    fn read(&mut self, into: &mut BlockWriter) -> io::Result<()> {
        match self.file.read(into) {
            Ok(Taken::Bytes(_)) => self.active = Instant::now(),
            Ok(Taken::NoRoom) => {}
            Ok(Taken::Nothing | Taken::End) => self.is_at_end = true,
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
        let is_read = self.is_at_end && self.file.carry.is_empty();
        Kept { place, real, modified: modified.unwrap_or(UNIX_EPOCH), is_read }
    }
}

/// The file in which a place is, among those beside the log, but for the one that is `named`.
fn beside<'a>(
    found: &'a [Sibling],
    kept: &Kept,
    by: By,
    named: Option<FileId>,
) -> Option<(&'a Sibling, OpenFile)> {
    let log = Log { path: &kept.real, named: &kept.real };
    let Place { id, proof, standing } = kept.place;
    found.iter().filter(|sibling| Some(sibling.id) != named).find_map(|sibling| {
        let is_wanted = match by {
            // Of a file of which nothing was read there is no proof but its name.
            By::Id => sibling.id == id && (proof.offset > 0 || log.age(&sibling.path).is_some()),
            By::Content => proof.offset > 0 && log.age(&sibling.path).is_some(),
        };
        if !is_wanted {
            return None;
        }
        let mut file = OpenFile::open(&sibling.path).ok()?;
        (file.holds(&proof) && file.resume(standing).is_ok()).then_some((sibling, file))
    })
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
