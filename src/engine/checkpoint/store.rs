//! The files of a directory: which of them a checkpoint stands on, and which are still needed.
//!
//! A file is written under another name, synced and renamed, and then its directory is synced. So
//! its name stands for all of it, and a file that is damaged all the same was damaged later.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use std::{io, mem};

use super::format::{self, Decoded, HEADER_BYTES, Header, Positions, Predecessor, Stamp};
use super::{Checkpoint, Section};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Storage, StorageLock, made_up, write_all};

/// Checkpoints that stand on one that stands by itself: a restart reads them all.
const DELTAS_MAX: usize = 256;

/// What the changes may come to before all is written again: as much as all of it, so that what
/// is written twice is as much as what is written once; but at least so many bytes.
const DELTA_BYTES_MIN: u64 = 1 << 20;

/// The checkpoints of a directory.
pub(in crate::engine) struct Store {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    /// Held for as long as they may change.
    _lock: Option<StorageLock>,
    /// The newest one that is whole, with all that it stands on.
    chain: Vec<Link>,
    /// Where sources stand in the last of them.
    positions: Positions,
    /// What is newer than the chain is damaged, and was removed.
    is_clean: bool,
    /// The directory's, once that is known.
    life: Cell<Option<u64>>,
}

/// What is wrong with a checkpoint that another program has made, or this one elsewhere.
pub(super) const OTHER_LIFE: &str = "it is of another directory than the newest one";

/// Why a checkpoint was not read.
enum Unread {
    /// Something is missing or is not what was written.
    Damaged(Error),
    /// The disk failed: what was written may be there.
    Disk(Error),
}

/// One file of a chain.
#[derive(Clone, Debug)]
struct Link {
    number: u64,
    id: u64,
    bytes: u64,
}

impl Store {
    /// The checkpoints of this directory, which is made if it is not there. What was begun and not
    /// finished is removed.
    pub(in crate::engine) fn open(storage: Arc<dyn Storage>, directory: &Path) -> Result<Store> {
        let mut store = Store::at(storage, directory);
        store
            .storage
            .create_directory(&store.directory)
            .map_err(|error| store.cannot("make", error))?;
        store._lock = Some(store.locked()?);
        for path in store.list()? {
            if number_in(&path, BEGUN).is_some() {
                store.storage.remove(&path).map_err(|error| store.cannot("clean", error))?;
            }
        }
        Ok(store)
    }

    /// Keeps other processes from the directory, once one that is about to end has left it.
    fn locked(&self) -> Result<StorageLock> {
        for attempt in 0..LOCK_TRIES {
            let lock = self.storage.lock(&self.directory);
            if let Some(lock) = lock.map_err(|error| self.cannot("lock", error))? {
                return Ok(lock);
            }
            if attempt == 0 {
                let path = self.directory.display();
                tracing::warn!(%path, "another context uses these checkpoints: waiting for it");
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        let directory = self.directory.display();
        let by = match self.storage.locked_by(&self.directory) {
            Some(id) if id == std::process::id() => "by another context of this process".to_owned(),
            Some(id) => format!("by process {id}"),
            None => "by another context".to_owned(),
        };
        let message = format!("the checkpoints in {directory} are in use {by}");
        Err(Error::new(ErrorKind::Checkpoint, message))
    }

    /// The same, to look at what is there and leave it as it is.
    pub(super) fn at(storage: Arc<dyn Storage>, directory: &Path) -> Store {
        let directory = directory.to_owned();
        let (chain, positions) = (Vec::new(), Vec::new());
        let life = Cell::new(None);
        Store { storage, directory, _lock: None, chain, positions, is_clean: false, life }
    }

    /// The newest checkpoint that is whole, if there is any, put together from all that it stands
    /// on. What is damaged is passed over, with a warning.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if there are checkpoints and none of them is whole, and if the
    /// disk does not give what it has: to go on from an earlier one would be to lose what is there.
    pub(in crate::engine) fn latest(&mut self) -> Result<Option<Checkpoint>> {
        let (mut damage, mut useless) = (Vec::new(), BTreeSet::new());
        let numbers: Vec<u64> = self.numbers()?.into_iter().rev().collect();
        for &number in &numbers {
            match self.read_chain(number, &mut useless) {
                Ok((chain, checkpoint)) => {
                    (self.chain, self.positions) = (chain, checkpoint.sources.clone());
                    return Ok(Some(checkpoint));
                }
                Err(Unread::Disk(error)) => return Err(error),
                Err(Unread::Damaged(error)) => {
                    tracing::warn!(%error, number, "a checkpoint is damaged: one before is used");
                    damage.push(error.to_string());
                }
            }
        }
        match damage.first() {
            None => Ok(None),
            Some(newest) => {
                let (count, directory) = (damage.len(), self.directory.display());
                let message =
                    format!("none of the {count} checkpoints in {directory} is whole: {newest}");
                Err(Error::new(ErrorKind::Checkpoint, message))
            }
        }
    }

    /// What the checkpoints of this directory have in common.
    fn life(&self) -> u64 {
        let life = self.life.get().unwrap_or_else(made_up);
        self.life.set(Some(life));
        life
    }

    /// Writes a checkpoint, and returns when it is on disk. After an error the same one may be
    /// written again.
    pub(in crate::engine) fn write(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let last = self.chain.last();
        if !self.is_clean {
            // Nothing of another course of events may seem to stand on what comes now.
            let last = last.map_or(0, |link| link.number);
            self.remove(|number| number > last)?;
            self.is_clean = true;
        }
        let predecessor = self.chain.last().map(|&Link { number, id, .. }| Predecessor {
            number,
            id,
            positions: &self.positions,
        });
        let stamp = Stamp { life: self.life(), id: made_up() };
        let bytes = format::encode(checkpoint, stamp, predecessor.as_ref());
        let path = self.path(checkpoint.number);
        self.write_file(&path, &bytes)?;
        let link = Link { number: checkpoint.number, id: stamp.id, bytes: bytes.len() as u64 };
        self.chain.push(link);
        self.positions.clone_from(&checkpoint.sources);
        Ok(())
    }

    /// Whether the chain has become long enough for [`merge`](Self::merge).
    pub(super) fn is_long(&self) -> bool {
        let Some((first, deltas)) = self.chain.split_first() else { return false };
        let bytes: u64 = deltas.iter().map(|delta| delta.bytes).sum();
        deltas.len() >= DELTAS_MAX || bytes > first.bytes.max(DELTA_BYTES_MIN)
    }

    /// Writes the last checkpoint again, so that it stands by itself, and removes what nobody needs
    /// any more.
    pub(super) fn merge(&mut self) -> Result<()> {
        let Some(last) = self.chain.last().cloned() else { return Ok(()) };
        let read = self.read_chain(last.number, &mut BTreeSet::new());
        let (_, checkpoint) =
            read.map_err(|(Unread::Damaged(error) | Unread::Disk(error))| error)?;
        let stamp = Stamp { life: self.life(), id: last.id };
        let bytes = format::encode(&checkpoint, stamp, None);
        let path = self.path(last.number);
        self.write_file(&path, &bytes)?;
        let link = Link { bytes: bytes.len() as u64, ..last };
        let before = mem::replace(&mut self.chain, vec![link]);
        // Should this one be damaged, the one before it still stands on what was there.
        self.remove(|number| number < before[0].number)
    }

    fn remove(&self, is_needless: impl Fn(u64) -> bool) -> Result<()> {
        for number in self.numbers()?.into_iter().filter(|&number| is_needless(number)) {
            let removed = self.storage.remove(&self.path(number));
            removed.map_err(|error| self.cannot("remove an old checkpoint in", error))?;
        }
        Ok(())
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let begun = path.with_extension(BEGUN);
        let written = self.storage.create(&begun).and_then(|mut file| {
            write_all(&mut *file, bytes)?;
            file.sync()
        });
        let renamed = written.and_then(|()| self.storage.rename(&begun, path));
        let synced = renamed.and_then(|()| self.storage.sync_directory(&self.directory));
        synced.map_err(|error| self.cannot("write a checkpoint in", error))
    }

    /// A checkpoint, put together, and all that it stands on. A thread of its own puts what was
    /// read together while the next one is read, and the last of them is by far the largest.
    ///
    /// Those that stand on what is damaged come to the `useless`, so that nobody reads on there.
    fn read_chain(
        &self,
        number: u64,
        useless: &mut BTreeSet<(u64, u64)>,
    ) -> Result<(Vec<Link>, Checkpoint), Unread> {
        let mut links: Vec<Link> = Vec::new();
        let mut deltas = Vec::new();
        let read = std::thread::scope(|scope| {
            let (is_read, read) = sync_channel(DELTAS_MAX);
            let thread = std::thread::Builder::new().name("checkpoints".to_owned());
            let later = thread.spawn_scoped(scope, move || together(read)).map_err(|error| {
                Unread::Disk(self.cannot("start a thread for the checkpoints in", error))
            })?;
            let (mut next, mut id) = (number, None);
            loop {
                let Decoded { header, checkpoint, deltas: own } = self.read(next, id)?;
                if links.last().is_some_and(|later| next >= later.number) {
                    return Err(Unread::Damaged(self.damaged(next, "what stands on it is older")));
                }
                let link = link(&header);
                if useless.contains(&(link.number, link.id)) {
                    return Err(Unread::Damaged(
                        self.damaged(next, "what it stands on is not whole"),
                    ));
                }
                links.push(link);
                deltas.push(own);
                let Some((predecessor, its_id)) = header.predecessor else {
                    drop(is_read);
                    let later = later.join().expect("what was read is in order");
                    return Ok((checkpoint, later));
                };
                is_read.send(checkpoint).expect("it takes all until there are no more");
                (next, id) = (predecessor, Some(its_id));
            }
        });
        // From the first on, as each stands on the one before.
        let mut positions = deltas.into_iter().rev();
        let positions = positions.try_fold(Vec::new(), |before, own| format::apply(&before, own));
        let read = read.and_then(|read| {
            let what = "where its sources stand does not fit to what it stands on";
            let positions = positions.map_err(|_| Unread::Damaged(self.damaged(number, what)))?;
            Ok((read, positions))
        });
        if let Err(Unread::Damaged(_)) = read {
            useless.extend(links.iter().map(|link| (link.number, link.id)));
        }
        let ((first, later), positions) = read?;
        let mut whole = match later {
            Some(changes) => then(first, changes),
            None => first,
        };
        for section in &mut whole.sections {
            section.changes = mem::take(&mut section.changes).without_removed();
        }
        whole.sources = positions;
        links.reverse();
        Ok((links, whole))
    }

    fn read(&self, number: u64, id: Option<u64>) -> Result<Decoded, Unread> {
        let path = self.path(number);
        let bytes = self.storage.read(&path).map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let message = format!("cannot read checkpoint {}", path.display());
            let error = Error::caused(ErrorKind::Checkpoint, message, error);
            if is_missing { Unread::Damaged(error) } else { Unread::Disk(error) }
        })?;
        let decoded = format::decode(bytes)
            .map_err(|error| Unread::Damaged(self.damaged(number, &error.to_string())))?;
        let header = &decoded.header;
        // The newest is read first, and says what the others have to say.
        let life = self.life.get().unwrap_or(header.stamp.life);
        self.life.set(Some(life));
        if header.stamp.life != life {
            return Err(Unread::Damaged(self.damaged(number, OTHER_LIFE)));
        }
        if header.number != number || id.is_some_and(|id| id != header.stamp.id) {
            return Err(Unread::Damaged(self.damaged(number, "it is another one")));
        }
        Ok(decoded)
    }

    /// A checkpoint's length, and it or what is wrong with its file; `None` if there is no such.
    pub(super) fn look_at(&self, number: u64) -> Result<Option<(u64, Result<Decoded>)>> {
        let bytes = match self.storage.read(&self.path(number)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.cannot("read a checkpoint in", error)),
        };
        let len = bytes.len() as u64;
        let is_it = |decoded: &Decoded| decoded.header.number == number;
        let decoded = format::decode(bytes).and_then(|decoded| match is_it(&decoded) {
            true => Ok(decoded),
            false => Err(Error::new(ErrorKind::Checkpoint, "it is another one")),
        });
        Ok(Some((len, decoded)))
    }

    fn damaged(&self, number: u64, what: &str) -> Error {
        let path = self.path(number);
        Error::new(ErrorKind::Checkpoint, format!("checkpoint {}: {what}", path.display()))
    }

    fn cannot(&self, what: &str, error: io::Error) -> Error {
        let message = format!("cannot {what} directory {}", self.directory.display());
        Error::caused(ErrorKind::Checkpoint, message, error)
    }

    pub(super) fn numbers(&self) -> Result<BTreeSet<u64>> {
        Ok(self.list()?.iter().filter_map(|path| number_in(path, "")).collect())
    }

    fn list(&self) -> Result<Vec<PathBuf>> {
        self.storage.list(&self.directory).map_err(|error| self.cannot("read", error))
    }

    fn path(&self, number: u64) -> PathBuf {
        // Names in the order of the numbers.
        self.directory.join(format!("{PREFIX}{number:0DIGITS$}"))
    }
}

const PREFIX: &str = "checkpoint-";

/// Digits of a number in a name.
const DIGITS: usize = 20;

/// The extension of a file that is not whole yet.
const BEGUN: &str = "tmp";

/// How often, and how long after each other, the lock is tried: a program that has been told to end
/// may still be there for a moment.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The number in the name of a file of ours with this extension.
fn number_in(path: &Path, extension: &str) -> Option<u64> {
    let is_of_it = path.extension().unwrap_or_default() == extension;
    let digits = path.file_stem()?.to_str()?.strip_prefix(PREFIX)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_of_it && is_number).then(|| digits.parse().ok())?
}

fn link(header: &Header) -> Link {
    let bytes = HEADER_BYTES as u64 + header.body_len;
    Link { number: header.number, id: header.stamp.id, bytes }
}

/// Checkpoints that come with the newest first, as one: those of as many are put together, so that
/// a change is copied once for each time that the number of them doubles.
fn together(newest_first: Receiver<Checkpoint>) -> Option<Checkpoint> {
    let mut runs: Vec<(usize, Checkpoint)> = Vec::new();
    for checkpoint in newest_first {
        let mut run = (1, checkpoint);
        while let Some((count, later)) = runs.pop_if(|(count, _)| *count == run.0) {
            run = (count + run.0, then(run.1, later));
        }
        runs.push(run);
    }
    runs.into_iter().map(|(_, run)| run).rev().reduce(then)
}

/// A checkpoint and the next one as one.
fn then(earlier: Checkpoint, mut later: Checkpoint) -> Checkpoint {
    let mut before: BTreeMap<String, Section> =
        earlier.sections.into_iter().map(|section| (section.name.clone(), section)).collect();
    for section in &mut later.sections {
        if let Some(before) = before.remove(&section.name)
            && before.form == section.form
        {
            section.changes = before.changes.then(&section.changes);
        } else {
            // What an older one may have of it was gone in between.
            section.changes.be_whole();
        }
    }
    later
}
