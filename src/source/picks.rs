//! Which files of a directory a batch reads: Spark's rules, and what has to be remembered for them.
//!
//! Invariant: what a listing could pick again is remembered. Below the floor nothing is picked, and
//! the floor never goes down, so what is forgotten below it never comes twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::carry::Standing;
use super::identity::{FileId, Proof, Verdict};
use super::links::Links;
use super::listing::{Hint, Listing, nanos};
use super::open_file::{OpenFile, Place, is_passing, unless_passing};
use crate::config::DIRECTORY_FILES_MAX;
use crate::error::Result;
use crate::record::saved::{push_bytes, push_varint, take_byte, take_bytes, take_varint};
use crate::time::Time;

/// Spark's `spark.streaming.fileStream.minRememberDuration`.
const REMEMBER: Duration = Duration::from_secs(60);

/// A file that is gone from the directory is forgotten after this time, however long the window: a
/// directory may be away for a moment, and each of its files with it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Batches that a file waits for its time; one whose time is still ahead then is read.
const WAITING_BATCHES_MAX: u32 = 2;

pub(super) struct Picks {
    // Fixed.
    pub(super) root: PathBuf,
    pub(super) new_files_only: bool,
    pub(super) remember: Duration,
    pub(super) files_max: usize,
    /// Whether files are opened by links.
    pub(super) links: Links,
    interval: Duration,
    own_output: Vec<FileId>,
    // Changing.
    /// Files that were last modified then or before are not picked any more, if there are any such.
    floor: Option<Duration>,
    /// When the directory was listed last, or the stream was made.
    listed: Time,
    /// The directory in which files were found last. What its name leads to now may be another one:
    /// the place where a volume is mounted.
    home: Option<FileId>,
    /// In the order in which they were picked, so that what is saved of them grows at its end.
    picked: BTreeMap<u64, Picked>,
    numbers: HashMap<OsString, u64>,
    next: u64,
    /// Those that are gone from the directory, and the last listing that had them.
    gone: BTreeMap<u64, Time>,
    /// Its name leads to another one, in which none of them is.
    is_away: bool,
    /// What has been listed was compared with what is remembered.
    is_compared: bool,
    /// Files whose times are ahead.
    waiting: BTreeMap<OsString, Waiting>,
    has_said_ahead: bool,
    /// Files that could not be compared at the last look with what was read.
    unknown: BTreeSet<OsString>,
    /// Files that have grown after they were read, and are not counted yet.
    grown: usize,
    /// What is saved of the files, unless they have changed since.
    saved: RefCell<Vec<u8>>,
}

/// A file that waits for its time, since it was seen so for the first time.
#[derive(Copy, Clone)]
struct Waiting {
    hint: Hint,
    batches: u32,
    since: Instant,
}

struct Picked {
    name: OsString,
    hint: Hint,
    state: State,
    /// It was said that more came to it after it was read. Not saved.
    has_grown: bool,
    /// It could not be read before, under what its name led to then.
    was_unread: bool,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum State {
    /// It still has to be read, at least in part.
    Pending,
    /// It could not be read.
    Unread,
    /// It is what this process, or one before it, has written.
    Output,
    /// What was read of it.
    Read(Proof),
}

/// A file that is to be read, by its number, and from where on.
pub(super) struct Fresh {
    pub(super) number: u64,
    pub(super) place: Option<Place>,
}

/// What is to be done with a file that was seen.
enum Choice {
    /// It waits for its time.
    Wait,
    /// It cannot be read now, and is looked at again at the next time.
    Later,
    Leave,
    Read(Option<Place>),
}

impl Picks {
    pub(super) fn new(root: PathBuf, own_output: Vec<FileId>) -> Picks {
        Picks {
            root,
            new_files_only: true,
            remember: REMEMBER,
            files_max: DIRECTORY_FILES_MAX,
            links: Links::default(),
            interval: Duration::ZERO,
            own_output,
            floor: None,
            listed: Time::from_millis(0),
            home: None,
            picked: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
            gone: BTreeMap::new(),
            is_away: false,
            is_compared: false,
            waiting: BTreeMap::new(),
            has_said_ahead: false,
            unknown: BTreeSet::new(),
            grown: 0,
            saved: RefCell::default(),
        }
    }

    /// The stream is made now; what it remembers is whole intervals.
    pub(super) fn begin(&mut self, now: Time, interval: Duration) {
        let intervals = self.remember.as_nanos().div_ceil(interval.as_nanos());
        let millis = u64::try_from(intervals.saturating_mul(interval.as_millis()));
        self.remember = millis.map_or(Duration::MAX, Duration::from_millis);
        (self.interval, self.listed) = (interval, now);
        self.floor = self.new_files_only.then(|| since_epoch(now));
    }

    /// Whether the directory was listed, in this process or in the one before it.
    pub(super) fn was_listed(&self) -> bool {
        self.home.is_some()
    }

    /// How long a file was when it was looked at last.
    pub(super) fn byte_len(&self, number: u64) -> u64 {
        self.picked.get(&number).map_or(0, |picked| picked.hint.len)
    }

    pub(super) fn name(&self, number: u64) -> Option<&OsStr> {
        self.picked.get(&number).map(|picked| picked.name.as_os_str())
    }

    /// Files that could not be compared at the last look with what was read.
    pub(super) fn unknown(&self) -> impl Iterator<Item = PathBuf> {
        self.unknown.iter().map(|name| self.root.join(name))
    }

    /// The files that wait for their times.
    pub(super) fn waiting(&self) -> BTreeSet<OsString> {
        self.waiting.keys().cloned().collect()
    }

    /// Of the files that came or were changed, those that belong to the batch of `time`, the oldest
    /// first. `now` is what the clock shows that files have their times from, `begun` the file that
    /// is being read.
    pub(super) fn pick(
        &mut self,
        time: Time,
        now: Duration,
        changed: Vec<(OsString, Hint)>,
        has_gone: bool,
        listing: &Listing,
        begun: Option<(u64, Place)>,
    ) -> io::Result<Vec<Fresh>> {
        self.raise_floor(time, now);
        self.note_gone(has_gone, listing);
        // All of them first: what has lost its name may be under any of the others.
        let (mut displaced, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for (name, hint) in &changed {
            match self.displace(name, *hint, begun) {
                Ok(true) => {
                    displaced.insert(name.clone());
                }
                Ok(false) => {}
                Err(_) => {
                    unknown.insert(name.clone());
                }
            }
        }
        let gone = self.gone_by_look();
        let (mut fresh, mut moved) = (Vec::new(), 0);
        self.unknown.clear();
        let mut waiting = BTreeMap::new();
        for (name, hint) in changed {
            let known = self.numbers.get(&name).copied();
            let found = match known {
                // Under this name may be one that another one has displaced, which is not known.
                None if !unknown.is_empty() => Err(io::ErrorKind::ResourceBusy.into()),
                None => self.find_moved(&name, hint, &gone, begun),
                Some(_) => Ok(false),
            };
            if let Ok(true) = found {
                moved += 1;
                continue;
            }
            let choice = match known {
                _ if found.is_err() || unknown.contains(&name) => Choice::Later,
                Some(number) => self.choose_known(number, hint, time),
                None => self.choose_new(&name, hint, time),
            };
            if matches!(choice, Choice::Read(_)) && displaced.contains(&name) {
                say(&self.root.join(&name), OTHER);
            }
            match choice {
                Choice::Wait => {
                    let new = Waiting { hint, batches: 0, since: Instant::now() };
                    let before = self.waiting.get(&name).filter(|before| before.hint == hint);
                    let before = *before.unwrap_or(&new);
                    // Where missed batches are made up for, many come at once.
                    let has_waited = before.batches >= WAITING_BATCHES_MAX
                        && before.since.elapsed() >= self.interval * 3 / 2;
                    if has_waited {
                        self.say_ahead(&name);
                        fresh.push((hint, name, None));
                    } else {
                        waiting.insert(name, Waiting { batches: before.batches + 1, ..before });
                    }
                }
                Choice::Later => {
                    self.unknown.insert(name.clone());
                    waiting.insert(name, Waiting { hint, batches: 0, since: Instant::now() });
                }
                Choice::Leave => {}
                Choice::Read(place) => fresh.push((hint, name, place)),
            }
        }
        self.waiting = waiting;
        if moved > 0 {
            let (path, files) = (self.root.display(), moved);
            tracing::warn!(%path, files, "files are known by what they hold, under other names");
        }
        self.listed = time;
        self.forget(time);
        self.check_max(self.picked.len() + fresh.len())?;
        fresh.sort_by(|(one, name, _), (other, other_name, _)| {
            (one.modified, name).cmp(&(other.modified, other_name))
        });
        let picked = fresh.into_iter().map(|(hint, name, place)| {
            let number = self.insert(Picked::new(name, hint, State::Pending));
            Fresh { number, place }
        });
        Ok(picked.collect())
    }

    /// A file that was seen under a name that nobody has read.
    fn choose_new(&mut self, name: &OsStr, hint: Hint, time: Time) -> Choice {
        if self.own_output.contains(&hint.id) {
            let path = self.root.join(name);
            let path = path.display();
            tracing::warn!(%path, "what this process writes is in a followed directory: not read");
            self.insert(Picked::new(name.to_owned(), hint, State::Output));
            return Choice::Leave;
        }
        self.choose(hint, time, None)
    }

    /// A file under a name that was read.
    fn choose_known(&mut self, number: u64, hint: Hint, time: Time) -> Choice {
        let Some(picked) = self.picked.get_mut(&number) else { return Choice::Leave };
        let before = picked.hint;
        if before == hint {
            return Choice::Leave;
        }
        let path = self.root.join(&picked.name);
        let is_same_file = before.id == hint.id;
        let (proof, verdict) = match picked.state {
            State::Pending => (None, Some(Verdict::Same)),
            State::Output if is_same_file => (None, Some(Verdict::Same)),
            State::Output | State::Unread => (None, Some(Verdict::Rewritten)),
            State::Read(proof) => {
                let checked =
                    OpenFile::open_by(&self.links, &path).and_then(|mut file| file.check(&proof));
                if checked.as_ref().is_err_and(is_passing) {
                    return Choice::Later;
                }
                (Some(proof), checked.ok())
            }
        };
        match verdict {
            // It is compared when it changes again, as one that can be opened does.
            None => Choice::Leave,
            Some(Verdict::Same) if proof.is_none() || hint.len <= before.len => {
                (picked.hint, self.saved) = (hint, RefCell::default());
                Choice::Leave
            }
            Some(Verdict::Same) if is_same_file => {
                (picked.hint, self.saved) = (hint, RefCell::default());
                self.grown += usize::from(picked.say_grown(&path));
                Choice::Leave
            }
            Some(Verdict::Same) => {
                let standing =
                    Standing { offset: proof.map_or(0, |proof| proof.offset), is_skipping: false };
                let place = proof.map(|proof| Place { id: hint.id, proof, standing });
                let choice = self.choose(hint, time, place);
                if let Choice::Read(_) = choice {
                    say(&path, "a file came again with more in it: the rest is read");
                }
                choice
            }
            Some(Verdict::Shorter | Verdict::Rewritten) => {
                let is_read = proof.is_some();
                let choice = self.choose(hint, time, None);
                if matches!(choice, Choice::Read(_)) && is_read {
                    say(&path, OTHER);
                }
                choice
            }
        }
    }

    /// Spark's rules, but that a file without a byte is none yet.
    fn choose(&self, hint: Hint, time: Time, place: Option<Place>) -> Choice {
        let is_in_window = self.floor < Some(hint.modified);
        if hint.len == 0 || !is_in_window {
            Choice::Leave
        } else if hint.modified <= since_epoch(time) {
            Choice::Read(place)
        } else {
            Choice::Wait
        }
    }

    /// Whether another file has taken the name of one that was read, at least in part, which may
    /// have another name by now: it is looked for like one that is gone.
    ///
    /// # Errors
    ///
    /// Those that are passing.
    fn displace(
        &mut self,
        name: &OsStr,
        hint: Hint,
        begun: Option<(u64, Place)>,
    ) -> io::Result<bool> {
        let Some(&number) = self.numbers.get(name) else { return Ok(false) };
        if self.picked.get(&number).is_none_or(|picked| picked.hint.id == hint.id) {
            return Ok(false);
        }
        let Some(proof) = self.proof_of(number, begun) else { return Ok(false) };
        let path = self.root.join(name);
        let checked = OpenFile::open_by(&self.links, &path).and_then(|mut file| file.check(&proof));
        if !matches!(unless_passing(checked)?, Some(Verdict::Shorter | Verdict::Rewritten)) {
            return Ok(false);
        }
        self.numbers.remove(name);
        self.gone.insert(number, self.listed);
        self.saved = RefCell::default();
        Ok(true)
    }

    /// The proof of what was read of a file that was picked; `begun` is being read.
    fn proof_of(&self, number: u64, begun: Option<(u64, Place)>) -> Option<Proof> {
        match (self.picked.get(&number)?.state, begun) {
            (State::Read(proof), _) => Some(proof),
            (State::Pending, Some((begun, Place { proof, .. }))) if begun == number => {
                Some(proof).filter(|proof| proof.offset > 0)
            }
            _ => None,
        }
    }

    /// Whether a file that was picked still has its name, which no other one has taken.
    fn has_name(&self, number: u64, picked: &Picked) -> bool {
        self.numbers.get(&picked.name) == Some(&number)
    }

    fn say_ahead(&mut self, name: &OsStr) {
        if !self.has_said_ahead {
            let path = self.root.join(name);
            let path = path.display();
            tracing::warn!(%path, "a file's time is ahead of the batches': read all the same");
            self.has_said_ahead = true;
        }
    }

    /// Finds out which of the files are gone. Where the name of the directory leads to another one
    /// by now, and none of them is in that, they are only away.
    fn note_gone(&mut self, has_gone: bool, listing: &Listing) {
        let root = listing.root_id();
        if self.is_compared && !has_gone && self.home == root {
            return;
        }
        self.is_away = self.home.is_some()
            && self.home != root
            && !self.picked.is_empty()
            && !self.picked.values().any(|picked| listing.contains(&picked.name));
        if !self.is_away {
            self.home = root;
        }
        for (number, picked) in &self.picked {
            if self.has_name(*number, picked) && listing.contains(&picked.name) {
                self.gone.remove(number);
            } else {
                // Those that are away are looked for under other names, too.
                self.gone.entry(*number).or_insert(self.listed);
            }
        }
        self.is_compared = true;
    }

    /// The files that are gone, by what tells to look at them.
    fn gone_by_look(&self) -> HashMap<Sign, Vec<u64>> {
        let mut gone = HashMap::<_, Vec<u64>>::new();
        for number in self.gone.keys() {
            if let Some(Picked { hint, .. }) = self.picked.get(number) {
                for sign in Sign::all(*hint) {
                    gone.entry(sign).or_default().push(*number);
                }
            }
        }
        gone
    }

    /// Whether a file with a new name is one that was picked under another one, which is gone.
    ///
    /// # Errors
    ///
    /// Those that are passing.
    fn find_moved(
        &mut self,
        name: &OsStr,
        hint: Hint,
        gone: &HashMap<Sign, Vec<u64>>,
        begun: Option<(u64, Place)>,
    ) -> io::Result<bool> {
        let signs = Sign::all(hint);
        let candidates = signs.iter().filter_map(|sign| gone.get(sign)).flatten();
        let path = self.root.join(name);
        let is_it = |number: u64| {
            let Some(picked) = self.picked.get(&number) else { return Ok(false) };
            match self.proof_of(number, begun) {
                _ if !self.gone.contains_key(&number) => Ok(false),
                Some(proof) => is_renamed(&self.links, &path, hint, picked.hint, &proof),
                // Its numbers may be another file's by now, but hardly with its time.
                None => Ok(hint.is_same_but_renamed(picked.hint)),
            }
        };
        let mut found = None;
        for &number in candidates {
            if is_it(number)? {
                found = Some(number);
                break;
            }
        }
        let Some(number) = found else { return Ok(false) };
        self.gone.remove(&number);
        if let Some(picked) = self.picked.get_mut(&number) {
            if picked.hint.id == hint.id && hint.len > picked.hint.len {
                self.grown += usize::from(picked.say_grown(&path));
            }
            if self.numbers.get(&picked.name) == Some(&number) {
                self.numbers.remove(&picked.name);
            }
            self.numbers.insert(name.to_owned(), number);
            (picked.name, picked.hint) = (name.to_owned(), hint);
            self.saved = RefCell::default();
            if picked.state == State::Unread {
                // The file of this name is chosen as any other, also at a later look, and is no
                // longer missing once it was read: what is known here is of no file that is seen.
                picked.hint.id = FileId::UNKNOWN;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Files that have grown after they were read, since the last call.
    pub(super) fn take_grown(&mut self) -> usize {
        std::mem::take(&mut self.grown)
    }

    fn insert(&mut self, mut picked: Picked) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some(before) = self.numbers.insert(picked.name.clone(), number) {
            let before_it = self.picked.remove(&before);
            picked.was_unread = before_it.is_some_and(|before| before.is_unread());
            self.gone.remove(&before);
        }
        self.picked.insert(number, picked);
        self.saved = RefCell::default();
        number
    }

    fn forget(&mut self, time: Time) {
        if self.floor.is_none() && self.gone.is_empty() {
            return;
        }
        let (floor, gone, is_away) = (self.floor, &self.gone, self.is_away);
        let forgotten: Vec<u64> = self
            .picked
            .iter()
            .filter(|(number, picked)| {
                let is_gone = !is_away
                    && gone.get(number).is_some_and(|&seen| seen + FORGOTTEN_AFTER <= time);
                let may_come_again = floor < Some(picked.hint.modified) && !is_gone;
                picked.state != State::Pending && !may_come_again
            })
            .map(|(&number, _)| number)
            .collect();
        for number in forgotten {
            if let Some(picked) = self.picked.remove(&number)
                && self.has_name(number, &picked)
            {
                self.numbers.remove(&picked.name);
            }
            self.gone.remove(&number);
            self.saved = RefCell::default();
        }
    }

    /// The window that is looked back over begins before `time`; earlier after times at which
    /// nothing was listed, and where batches run ahead of the clock.
    fn raise_floor(&mut self, time: Time, now: Duration) {
        let end = since_epoch(time.min(self.listed + self.interval)).min(now);
        self.floor = self.floor.max(end.checked_sub(self.remember));
    }

    /// # Errors
    ///
    /// More files than the maximum.
    pub(super) fn check_max(&self, files: usize) -> io::Result<()> {
        let max = self.files_max;
        if files <= max {
            return Ok(());
        }
        let message = format!("more files than the maximum of {max} (Directory::files_max)");
        Err(io::Error::other(message))
    }

    /// Whether a file that is to be read could not be before, and was counted so.
    pub(super) fn was_unread(&self, number: u64) -> bool {
        self.picked.get(&number).is_some_and(Picked::is_unread)
    }

    /// A file that was picked was read to its end, with the proof of that and its length, or cannot
    /// be read.
    pub(super) fn done(&mut self, number: u64, read: Option<(Proof, u64)>) {
        if let Some(picked) = self.picked.get_mut(&number) {
            let proof = read.map(|(proof, len)| {
                // It may have grown since it was picked.
                picked.hint.len = len;
                proof
            });
            // Of one that was empty by then anything may come.
            let proof = proof.filter(|proof| proof.offset > 0);
            picked.state = proof.map_or(State::Unread, State::Read);
            self.saved = RefCell::default();
        }
    }

    /// What only grows comes first, and what is another at each listing last.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let saved = &mut *self.saved.borrow_mut();
        if saved.is_empty() {
            // One that has lost its name to another one comes before that.
            self.picked.values().for_each(|picked| picked.save(saved));
            push_bytes(&[], saved);
        }
        out.extend_from_slice(saved);
        push_varint(self.floor.map_or(0, |floor| nanos(floor).saturating_add(1)), out);
        push_varint(self.listed.millis(), out);
        out.push(u8::from(self.home.is_some()));
        if let Some(home) = self.home {
            home.save(out);
        }
    }

    pub(super) fn load(&mut self, from: &mut &[u8]) -> Result<()> {
        let mut displaced = Vec::new();
        loop {
            let name = take_bytes(from)?;
            if name.is_empty() {
                break;
            }
            let picked = Picked::load(name_of(name), from)?;
            displaced.extend(self.numbers.remove(&picked.name));
            self.insert(picked);
        }
        self.floor = take_varint(from)?.checked_sub(1).map(Duration::from_nanos);
        self.listed = Time::from_millis(take_varint(from)?);
        self.home = (take_byte(from)? != 0).then(|| FileId::load(from)).transpose()?;
        self.gone.extend(displaced.into_iter().map(|number| (number, self.listed)));
        Ok(())
    }

    /// The number of the file that was picked under this name.
    pub(super) fn number_of(&self, name: &[u8]) -> Option<u64> {
        self.numbers.get(&name_of(name)).copied()
    }
}

impl Picked {
    fn new(name: OsString, hint: Hint, state: State) -> Picked {
        Picked { name, hint, state, has_grown: false, was_unread: false }
    }

    /// Whether it was counted as one that could not be read, and was not read since.
    fn is_unread(&self) -> bool {
        match self.state {
            State::Pending => self.was_unread,
            State::Unread => true,
            State::Output | State::Read(_) => false,
        }
    }

    /// Says, once, that what came to it since it was read is not. Returns whether it was said now.
    fn say_grown(&mut self, path: &Path) -> bool {
        if !self.has_grown {
            say(path, "a file that was read has grown: what is new is not read");
        }
        !std::mem::replace(&mut self.has_grown, true)
    }

    fn save(&self, out: &mut Vec<u8>) {
        push_bytes(self.name.as_encoded_bytes(), out);
        self.hint.save(out);
        match &self.state {
            State::Pending => out.push(if self.was_unread { 4 } else { 0 }),
            State::Unread => out.push(1),
            State::Output => out.push(2),
            State::Read(proof) => {
                out.push(3);
                proof.save(out);
            }
        }
    }

    fn load(name: OsString, from: &mut &[u8]) -> Result<Picked> {
        let hint = Hint::load(from)?;
        let state = take_byte(from)?;
        let was_unread = state == 4;
        let state = match state {
            0 | 4 => State::Pending,
            1 => State::Unread,
            2 => State::Output,
            _ => State::Read(Proof::load(from)?),
        };
        Ok(Picked { was_unread, ..Picked::new(name, hint, state) })
    }
}

const OTHER: &str = "another file under a name that was read: it is read";

fn say(path: &Path, what: &str) {
    tracing::warn!(path = %path.display(), "{what}");
}

/// What tells that a file may be one that is gone: that stays as it is when it is renamed, or
/// compressed.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
enum Sign {
    Id(FileId),
    /// The second of its last change.
    Modified(u64),
}

impl Sign {
    fn all(hint: Hint) -> [Sign; 2] {
        [Sign::Id(hint.id), Sign::Modified(hint.modified.as_secs())]
    }
}

/// Whether a file is one that was read under another name: it holds what was read, and has its
/// length and time, or its numbers and more in it, or one of the two is compressed.
fn is_renamed(
    links: &Links,
    path: &Path,
    hint: Hint,
    before: Hint,
    proof: &Proof,
) -> io::Result<bool> {
    let has_grown = hint.id == before.id && hint.len > before.len;
    let is_like_it = has_grown || (hint.len, hint.modified) == (before.len, before.modified);
    // What was read of a compressed file is more or less than its length.
    let was_packed = proof.offset != before.len;
    let opened = OpenFile::open_by(links, path);
    let Some(mut file) = unless_passing(opened)? else { return Ok(false) };
    let may_be = is_like_it || file.is_packed() || was_packed && hint.len == proof.offset;
    if may_be { file.holds(proof) } else { Ok(false) }
}

fn since_epoch(time: Time) -> Duration {
    Duration::from_millis(time.millis())
}

/// The name that has these bytes.
#[cfg(unix)]
pub(super) fn name_of(bytes: &[u8]) -> OsString {
    <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes).to_owned()
}

/// Elsewhere a name that is not Unicode is not found again.
#[cfg(not(unix))]
pub(super) fn name_of(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
