//! The files of a directory: which of them a checkpoint stands on, and which are still needed.
//!
//! A file is written under another name, synced and renamed, and then its directory is synced. So
//! its name stands for all of it, and a file that is damaged all the same was damaged later.
//!
//! Several chains are kept, each of a checkpoint that stands by itself and those that stand on it.
//! No file is of two, so that damage is that of one chain, and the newest whole point before it is
//! a start.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Checkpoint;
use super::chain::{Chain, Link};
use super::format::{self, Decoded, Positions, Predecessor, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Storage, StorageLock, made_up, replace};

/// Chains that are kept unless told otherwise: with one, a single damaged file may be all there is.
pub(in crate::engine) const CHAINS_KEPT: usize = 2;

/// The checkpoints of a directory.
pub(in crate::engine) struct Store {
    // Fixed.
    pub(super) storage: Arc<dyn Storage>,
    directory: PathBuf,
    /// Held for as long as they may change.
    _lock: Option<StorageLock>,
    /// What the files of this directory have in common, if that is known.
    pub(super) life: Option<u64>,
    /// Chains that are kept.
    kept: usize,
    // Changing.
    /// Oldest first. The newest one is written on.
    pub(super) chains: Vec<Chain>,
    /// Where sources stand in the last checkpoint.
    positions: Positions,
    /// What is newer than the chains is damaged, and was removed.
    is_clean: bool,
    /// What is older than the chains was removed.
    is_tidy: bool,
    /// The newest checkpoint that was passed over at the start, as it is damaged.
    passed_over: Option<u64>,
    /// How many files were written and read back.
    turns: u64,
}

/// What is wrong with a checkpoint that another program has made, or this one elsewhere.
pub(super) const OTHER_LIFE: &str = "it is of another directory";

/// Why a checkpoint was not read.
pub(super) enum Unread {
    /// Something is missing or is not what was written.
    Damaged(Error),
    /// The disk failed: what was written may be there.
    Disk(Error),
}

impl Store {
    /// The checkpoints of this directory, which is made if it is not there. What was begun and not
    /// finished is removed.
    pub(in crate::engine) fn open(storage: Arc<dyn Storage>, directory: &Path) -> Result<Store> {
        let mut store = Store::at(storage, directory)?;
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
        if store.life.is_none() {
            // Lost, or never written: what the newest one says.
            let life = store.life_of_newest()?.unwrap_or_else(made_up);
            store.write_file(&store.directory.join(LIFE), &life_file(life))?;
            store.life = Some(life);
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
    pub(super) fn at(storage: Arc<dyn Storage>, directory: &Path) -> Result<Store> {
        let mut store = Store {
            storage,
            directory: directory.to_owned(),
            _lock: None,
            life: None,
            kept: CHAINS_KEPT,
            chains: Vec::new(),
            positions: Vec::new(),
            is_clean: false,
            is_tidy: false,
            passed_over: None,
            turns: 0,
        };
        let path = store.directory.join(LIFE);
        store.life = match store.storage.read_whole(&path) {
            Ok(bytes) => life_in(&bytes),
            Err(error) if is_absent(&error) && !store.lists(&path) => None,
            Err(error) => return Err(store.cannot("read a file of", error)),
        };
        Ok(store)
    }

    /// Whether a file is in the directory's list: then it is there, whatever else the disk says.
    fn lists(&self, path: &Path) -> bool {
        match self.storage.list(&self.directory) {
            Ok(paths) => paths.iter().any(|listed| listed == path),
            Err(error) => !is_absent(&error),
        }
    }

    /// How many chains are to be kept, at least one.
    pub(in crate::engine) fn keep(&mut self, chains: usize) {
        self.kept = chains.max(1);
    }

    /// What all that belongs to this directory has in common, so that nothing else is taken for it.
    pub(in crate::engine) fn life(&self) -> u64 {
        self.life.expect("it is known once the directory is open")
    }

    fn life_of_newest(&self) -> Result<Option<u64>> {
        for number in self.numbers()?.into_iter().rev() {
            if let Some((_, Ok(decoded))) = self.look_at(number)? {
                return Ok(Some(decoded.header.stamp.life));
            }
        }
        Ok(None)
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
        for number in self.numbers()?.into_iter().rev() {
            match self.read_chain(number, &mut useless) {
                Ok((chain, checkpoint)) => {
                    (self.chains, self.positions) = (vec![chain], checkpoint.sources.clone());
                    return Ok(Some(checkpoint));
                }
                Err(Unread::Disk(error)) => return Err(error),
                Err(Unread::Damaged(error)) => {
                    tracing::warn!(%error, number, "a checkpoint is damaged: one before is used");
                    self.passed_over.get_or_insert(number);
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

    /// The newest checkpoint that was passed over, as it is damaged: what senders were told after
    /// the one that is used may be gone.
    pub(in crate::engine) fn passed_over(&self) -> Option<u64> {
        self.passed_over
    }

    /// Whether the next checkpoint is to stand by itself: the chain is long or damaged, or there
    /// are too few that are whole.
    pub(super) fn wants_whole(&self) -> bool {
        let newest = self.chains.last();
        let is_done = newest.is_none_or(|newest| newest.is_damaged || newest.is_long());
        is_done || self.passed_over.is_some() || self.whole_chains() < self.kept
    }

    fn whole_chains(&self) -> usize {
        self.chains.iter().filter(|chain| !chain.is_damaged).count()
    }

    /// Where sources stand in the oldest checkpoint that a start may have to use.
    pub(super) fn oldest_positions(&self) -> &Positions {
        self.chains.first().map_or(&self.positions, |oldest| &oldest.positions)
    }

    /// Writes a checkpoint, and returns when it is on disk. After an error the same one may be
    /// written again.
    pub(in crate::engine) fn write(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let last = self.chains.last().and_then(|chain| chain.links.last());
        if !self.is_clean {
            // Nothing of another course of events may seem to stand on what comes now.
            let last = last.map_or(0, |link| link.number);
            self.remove(|number| number > last)?;
            self.is_clean = true;
        }
        let last = last.filter(|_| !checkpoint.is_whole);
        let predecessor = last.map(|&Link { number, id, .. }| Predecessor {
            number,
            id,
            positions: &self.positions,
        });
        let stamp = Stamp { life: self.life(), id: made_up() };
        let bytes = format::encode(checkpoint, stamp, predecessor.as_ref());
        let (number, stands_alone) = (checkpoint.number, predecessor.is_none());
        self.write_file(&self.path(number), &bytes)?;
        // Until there is another chain, one file more is all that keeps this one from being lost.
        let has_copy = stands_alone && self.kept > 1 && self.whole_chains() == 0;
        if has_copy {
            self.write_file(&self.copy_path(number), &bytes)?;
        }
        let (id, bytes, turn) = (stamp.id, bytes.len() as u64, self.next_turn());
        let link = Link { number, id, bytes, has_copy, turn };
        if stands_alone {
            // It may stand in the place of the last one.
            self.chains.iter_mut().for_each(|chain| chain.links.retain(|it| it.number != number));
            self.chains.retain(|chain| !chain.links.is_empty());
            self.chains.push(Chain::new(link, checkpoint.sources.clone()));
            (self.passed_over, self.is_tidy) = (None, false);
        } else if let Some(chain) = self.chains.last_mut() {
            chain.links.push(link);
        }
        self.positions.clone_from(&checkpoint.sources);
        Ok(())
    }

    pub(super) fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Removes the chains that are too many, once so many are whole as are to be kept.
    pub(super) fn tidy(&mut self) -> Result<()> {
        if self.is_tidy || !self.is_clean || self.whole_chains() < self.kept {
            return Ok(());
        }
        let newest = self.chains.len() - 1;
        let mut whole = 0;
        let mut is_kept: Vec<bool> = Vec::new();
        for (at, chain) in self.chains.iter().enumerate().rev() {
            is_kept.push(at == newest || (!chain.is_damaged && whole < self.kept));
            whole += usize::from(!chain.is_damaged);
        }
        let mut is_kept = is_kept.into_iter().rev();
        self.chains.retain(|_| is_kept.next().unwrap_or(true));
        let links = self.chains.iter().flat_map(|chain| &chain.links);
        let numbers: BTreeSet<u64> = links.map(|link| link.number).collect();
        if self.kept > 1 {
            self.remove_copies()?;
        }
        self.remove(|number| !numbers.contains(&number))?;
        self.is_tidy = true;
        Ok(())
    }

    fn remove(&self, is_needless: impl Fn(u64) -> bool) -> Result<()> {
        for path in self.list()? {
            let number = number_in(&path, "").or_else(|| number_in(&path, COPY));
            if number.is_some_and(&is_needless) {
                self.remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn remove_copies(&mut self) -> Result<()> {
        for path in self.list()?.iter().filter(|path| number_in(path, COPY).is_some()) {
            self.remove_file(path)?;
        }
        let links = self.chains.iter_mut().flat_map(|chain| &mut chain.links);
        links.for_each(|link| link.has_copy = false);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let removed = self.storage.remove(path);
        removed.map_err(|error| self.cannot("remove an old checkpoint in", error))
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let written = replace(&*self.storage, &path.with_extension(BEGUN), path, bytes);
        written.map_err(|error| self.cannot("write a checkpoint in", error))
    }

    /// What is in a checkpoint's file, or else in its copy.
    pub(super) fn read(&self, number: u64, id: Option<u64>) -> Result<Decoded, Unread> {
        let own = self.read_at(&self.path(number), number, id);
        let Err(Unread::Damaged(error)) = own else { return own };
        match self.read_at(&self.copy_path(number), number, id) {
            Ok(copied) => {
                tracing::warn!(%error, number, "a checkpoint is damaged: its copy is used");
                let bytes = self.storage.read_whole(&self.copy_path(number));
                let healed = bytes.map(|bytes| self.write_file(&self.path(number), &bytes));
                if let Ok(Err(error)) = healed {
                    tracing::warn!(%error, number, "the copy is not in its place");
                }
                Ok(copied)
            }
            Err(_) => Err(Unread::Damaged(error)),
        }
    }

    fn read_at(&self, path: &Path, number: u64, id: Option<u64>) -> Result<Decoded, Unread> {
        let bytes = self.storage.read_whole(path).map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound && !self.lists(path);
            let message = format!("cannot read checkpoint {}", path.display());
            let error = Error::caused(ErrorKind::Checkpoint, message, error);
            if is_missing { Unread::Damaged(error) } else { Unread::Disk(error) }
        })?;
        let decoded = format::decode(bytes)
            .map_err(|error| Unread::Damaged(self.damaged(number, &error.to_string())))?;
        let header = &decoded.header;
        if self.life.is_some_and(|life| life != header.stamp.life) {
            return Err(Unread::Damaged(self.damaged(number, OTHER_LIFE)));
        }
        if header.number != number || id.is_some_and(|id| id != header.stamp.id) {
            return Err(Unread::Damaged(self.damaged(number, "it is another one")));
        }
        Ok(decoded)
    }

    /// A checkpoint's length, and it or what is wrong with its file; `None` if there is no such.
    pub(super) fn look_at(&self, number: u64) -> Result<Option<(u64, Result<Decoded>)>> {
        self.look_in(&self.path(number), number)
    }

    /// The same of its copy.
    pub(super) fn look_at_copy(&self, number: u64) -> Result<Option<(u64, Result<Decoded>)>> {
        self.look_in(&self.copy_path(number), number)
    }

    fn look_in(&self, path: &Path, number: u64) -> Result<Option<(u64, Result<Decoded>)>> {
        let bytes = match self.storage.read_whole(path) {
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

    /// The checkpoints that are newer than this one, and damaged if it is the latest that is whole.
    pub(in crate::engine) fn newer_than(&self, number: u64) -> Result<Vec<u64>> {
        Ok(self.numbers()?.split_off(&(number + 1)).into_iter().collect())
    }

    pub(super) fn damaged(&self, number: u64, what: &str) -> Error {
        let path = self.path(number);
        Error::new(ErrorKind::Checkpoint, format!("checkpoint {}: {what}", path.display()))
    }

    pub(super) fn cannot(&self, what: &str, error: io::Error) -> Error {
        let message = format!("cannot {what} directory {}", self.directory.display());
        Error::caused(ErrorKind::Checkpoint, message, error)
    }

    /// The numbers of all checkpoints that have a file, or a copy of it.
    pub(super) fn numbers(&self) -> Result<BTreeSet<u64>> {
        let number = |path: &PathBuf| number_in(path, "").or_else(|| number_in(path, COPY));
        Ok(self.list()?.iter().filter_map(number).collect())
    }

    fn list(&self) -> Result<Vec<PathBuf>> {
        self.storage.list(&self.directory).map_err(|error| self.cannot("read", error))
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        // Names in the order of the numbers.
        self.directory.join(format!("{PREFIX}{number:0DIGITS$}"))
    }

    pub(super) fn copy_path(&self, number: u64) -> PathBuf {
        self.path(number).with_extension(COPY)
    }
}

const PREFIX: &str = "checkpoint-";

/// Digits of a number in a name.
const DIGITS: usize = 20;

/// The extension of a file that is not whole yet.
const BEGUN: &str = "tmp";

/// The extension of a second file of the same.
const COPY: &str = "copy";

/// The file that says what the directory's files have in common.
const LIFE: &str = "life";

/// How often, and how long after each other, the lock is tried: a program that has been told to end
/// may still be there for a moment.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

fn life_file(life: u64) -> Vec<u8> {
    format!("{life:016x} {:08x}\n", crc32fast::hash(&life.to_le_bytes())).into_bytes()
}

/// What the file says, unless it is damaged.
fn life_in(bytes: &[u8]) -> Option<u64> {
    let life = u64::from_str_radix(std::str::from_utf8(bytes.get(..16)?).ok()?, 16).ok()?;
    (bytes == life_file(life)).then_some(life)
}

/// Whether there is no such file, or not even its directory.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The number in the name of a file of ours with this extension.
fn number_in(path: &Path, extension: &str) -> Option<u64> {
    let is_of_it = path.extension().unwrap_or_default() == extension;
    let digits = path.file_stem()?.to_str()?.strip_prefix(PREFIX)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_of_it && is_number).then(|| digits.parse().ok())?
}
