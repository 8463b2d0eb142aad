//! A disk in memory for tests: any operation may fail, and a crash forgets what was not synced.
//!
//! A file's bytes are safe up to its last sync; its name is once its directory was synced. A crash
//! keeps all that is safe, and of the rest what the seed says: names come and go one by one, and of
//! bytes some head is kept, possibly with noise at its end, as after a torn write.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Storage, StorageFile};

#[derive(Clone, Debug)]
pub(crate) struct FaultyDisk {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// Files by their numbers; names lead to numbers.
    files: BTreeMap<u64, FileBytes>,
    names: BTreeMap<PathBuf, u64>,
    /// The names that a crash leaves.
    safe_names: BTreeMap<PathBuf, u64>,
    next: u64,
    random: u64,
    /// Of a thousand operations so many fail.
    faults: u64,
    /// The operation after so many fails, and all after it with it.
    fails_at: Option<u64>,
    operations: u64,
}

#[derive(Clone, Debug, Default)]
struct FileBytes {
    bytes: Vec<u8>,
    safe: usize,
}

impl FaultyDisk {
    pub(crate) fn new(seed: u64) -> FaultyDisk {
        let shared = Shared {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            next: 0,
            random: seed | 1,
            faults: 0,
            fails_at: None,
            operations: 0,
        };
        FaultyDisk { shared: Arc::new(Mutex::new(shared)) }
    }

    /// From now on so many of a thousand operations fail.
    pub(crate) fn fail(&self, of_a_thousand: u64) {
        self.lock().faults = of_a_thousand;
    }

    /// Forgets what was not synced, as far as the seed says.
    pub(crate) fn crash(&self) {
        let mut shared = self.lock();
        let all: Vec<PathBuf> =
            shared.names.keys().chain(shared.safe_names.keys()).cloned().collect();
        for path in all {
            let (now, safe) = (shared.names.get(&path), shared.safe_names.get(&path));
            if now != safe && shared.random() % 2 == 0 {
                match shared.safe_names.get(&path).copied() {
                    Some(number) => shared.names.insert(path, number),
                    None => shared.names.remove(&path),
                };
            }
        }
        shared.safe_names = shared.names.clone();
        let numbers: Vec<u64> = shared.files.keys().copied().collect();
        for number in numbers {
            let random = shared.random();
            let file = shared.files.get_mut(&number).expect("it is one of the files");
            let unsafe_len = file.bytes.len() - file.safe;
            let kept = file.safe + (random % (unsafe_len as u64 + 1)) as usize;
            file.bytes.truncate(kept);
            if random % 3 == 0 && kept > file.safe {
                file.bytes[kept - 1] ^= 0x55;
            }
            file.safe = file.bytes.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shared {
    fn random(&mut self) -> u64 {
        // Xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Fails if it is this operation's turn.
    fn begin(&mut self) -> io::Result<()> {
        self.operations += 1;
        let is_turn = self.fails_at.is_some_and(|at| self.operations > at)
            || self.random() % 1000 < self.faults;
        if !is_turn {
            return Ok(());
        }
        let is_full = self.random() % 2 == 0;
        Err(if is_full { io::ErrorKind::StorageFull.into() } else { io::Error::other("EIO") })
    }

    fn number(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut shared = self.lock();
        shared.begin()?;
        let number = shared.next;
        shared.next += 1;
        shared.files.insert(number, FileBytes::default());
        shared.names.insert(path.to_owned(), number);
        Ok(Box::new(Open { disk: self.clone(), number }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut shared = self.lock();
        shared.begin()?;
        let number = shared.number(path)?;
        Ok(shared.files[&number].bytes.clone())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut shared = self.lock();
        shared.begin()?;
        let number = shared.number(from)?;
        shared.names.remove(from);
        shared.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut shared = self.lock();
        shared.begin()?;
        shared.number(path)?;
        shared.names.remove(path);
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut shared = self.lock();
        shared.begin()?;
        let names = shared.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(names.cloned().collect())
    }

    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        self.lock().begin()
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut shared = self.lock();
        shared.begin()?;
        let is_in = |path: &PathBuf| path.parent() == Some(directory);
        let safe: Vec<_> = shared
            .names
            .iter()
            .filter(|(path, _)| is_in(path))
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        shared.safe_names.retain(|path, _| !is_in(path));
        shared.safe_names.extend(safe);
        Ok(())
    }
}

#[derive(Debug)]
struct Open {
    disk: FaultyDisk,
    number: u64,
}

impl StorageFile for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.disk.lock();
        let failed = shared.begin();
        let random = shared.random();
        let file = shared.files.get_mut(&self.number).expect("an open file is one of the files");
        // A failed write may have written something, and one that succeeds not all.
        let is_short = failed.is_err() || random % 8 == 0;
        let least = usize::from(failed.is_ok() && !bytes.is_empty());
        let len = bytes.len().max(1) as u64;
        let count = if is_short { ((random % len) as usize).max(least) } else { bytes.len() };
        file.bytes.extend_from_slice(&bytes[..count.min(bytes.len())]);
        failed.map(|()| count.min(bytes.len()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut shared = self.disk.lock();
        shared.begin()?;
        let file = shared.files.get_mut(&self.number).expect("an open file is one of the files");
        file.safe = file.bytes.len();
        Ok(())
    }
}
