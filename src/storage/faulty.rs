//! A disk in memory for tests: any operation may fail, and a crash forgets what was not synced.
//!
//! A file's bytes are safe up to its last sync; its name is once its directory was synced. A crash
//! keeps all that is safe, and of the rest what the seed says: of what was done to names the first
//! few, as file systems with a journal do, and of bytes some head, possibly with noise at its end,
//! as after a torn write.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Storage, StorageFile, StorageLock};

#[derive(Clone, Debug)]
pub(crate) struct FaultyDisk {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Clone, Debug)]
struct Shared {
    /// Files by their numbers; names lead to numbers.
    files: BTreeMap<u64, FileBytes>,
    names: BTreeMap<PathBuf, u64>,
    /// The names that a crash leaves, and what was done to names since.
    safe_names: BTreeMap<PathBuf, u64>,
    journal: Vec<Naming>,
    next: u64,
    random: u64,
    /// Of a thousand operations so many fail.
    faults: u64,
    /// The operation after so many fails, and maybe all after it.
    fails_at: Option<(u64, Fault)>,
    fails_after: bool,
    /// Nothing can be opened.
    is_out: bool,
    operations: u64,
    /// What has failed first.
    failed: Option<&'static str>,
}

/// What checkpoints, sinks and the intake log do to a disk, by the names of the methods.
pub(crate) const OPERATIONS: [&str; 11] = [
    "byte_len",
    "create",
    "create_directory",
    "list",
    "lock",
    "read",
    "remove",
    "rename",
    "sync",
    "sync_directory",
    "write",
];

/// How an operation fails.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device gives an error.
    Io,
    /// There is no room.
    Full,
    /// A write takes half of what it is given, and what comes next finds no room; a read gives half
    /// of what there is. Whatever else it is succeeds.
    Short,
    /// Too many files are open: what opens one fails, and all else succeeds.
    TooMany,
    /// A signal comes first.
    Interrupted,
    /// What is there is not found where it is read or looked at; all else succeeds.
    Missing,
}

impl Fault {
    pub(crate) const ALL: [Fault; 6] =
        [Fault::Io, Fault::Full, Fault::Short, Fault::TooMany, Fault::Interrupted, Fault::Missing];

    /// Whether this may become of an operation.
    fn is_of(self, operation: &str) -> bool {
        let opens = ["create", "create_directory", "list", "lock", "read", "sync_directory"];
        match self {
            Fault::Io | Fault::Interrupted => true,
            Fault::Full => !["byte_len", "list", "read"].contains(&operation),
            Fault::Short => ["read", "write"].contains(&operation),
            Fault::TooMany => opens.contains(&operation),
            Fault::Missing => ["byte_len", "read"].contains(&operation),
        }
    }

    /// Each of them with whether all that comes after it fails, too.
    pub(crate) fn each_way() -> impl Iterator<Item = (Fault, bool)> {
        Fault::ALL.into_iter().flat_map(|fault| [(fault, false), (fault, true)])
    }

    fn error(self) -> io::Error {
        match self {
            Fault::Io => io::Error::other("EIO"),
            Fault::Full | Fault::Short => io::ErrorKind::StorageFull.into(),
            Fault::TooMany => io::Error::other("EMFILE"),
            Fault::Interrupted => io::ErrorKind::Interrupted.into(),
            Fault::Missing => io::ErrorKind::NotFound.into(),
        }
    }
}

/// What is done to names.
#[derive(Clone, Debug)]
enum Naming {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Naming {
    fn is_in(&self, directory: &Path) -> bool {
        let (Naming::Create(path, _) | Naming::Rename(path, _) | Naming::Remove(path)) = self;
        path.parent() == Some(directory)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Naming::Create(path, number) => {
                names.insert(path.clone(), *number);
            }
            Naming::Rename(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
            Naming::Remove(path) => {
                names.remove(path);
            }
        }
    }
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
            journal: Vec::new(),
            next: 0,
            random: seed | 1,
            faults: 0,
            fails_at: None,
            fails_after: false,
            is_out: false,
            operations: 0,
            failed: None,
        };
        FaultyDisk { shared: Arc::new(Mutex::new(shared)) }
    }

    /// From now on so many of a thousand operations fail.
    pub(crate) fn fail(&self, of_a_thousand: u64) {
        let mut shared = self.lock();
        (shared.faults, shared.failed) = (of_a_thousand, None);
        (shared.fails_at, shared.is_out) = (None, false);
    }

    /// The process is out of descriptors from now on, or is not any more.
    pub(crate) fn run_out(&self, is_out: bool) {
        self.lock().is_out = is_out;
    }

    /// From now on the operation after so many fails, alone or with all after it.
    pub(crate) fn fail_at(&self, operation: u64, and_after: bool, fault: Fault) {
        let mut shared = self.lock();
        (shared.fails_at, shared.fails_after) = (Some((operation, fault)), and_after);
        (shared.operations, shared.failed) = (0, None);
    }

    /// Another disk with the same files.
    pub(crate) fn copy(&self) -> FaultyDisk {
        FaultyDisk { shared: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Damages a file: from now on it has these bytes, and a crash leaves them.
    pub(crate) fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let mut shared = self.lock();
        let number = shared.number(path).expect("there is such a file");
        let safe = bytes.len();
        shared.files.insert(number, FileBytes { bytes, safe });
    }

    /// The operation that has failed first since [`fail`](Self::fail) or
    /// [`fail_at`](Self::fail_at) was called, by the name of its method.
    pub(crate) fn failed(&self) -> Option<&'static str> {
        self.lock().failed
    }

    /// Forgets what was not synced, as far as the seed says.
    pub(crate) fn crash(&self) {
        let shared = &mut *self.lock();
        let kept = shared.random() as usize % (shared.journal.len() + 1);
        let journal = std::mem::take(&mut shared.journal);
        for naming in &journal[..kept] {
            naming.apply(&mut shared.safe_names);
        }
        shared.names = shared.safe_names.clone();
        let numbers: Vec<u64> = shared.files.keys().copied().collect();
        for number in numbers {
            let random = shared.random();
            let file = shared.files.get_mut(&number).expect("it is one of the files");
            let unsafe_len = file.bytes.len() - file.safe;
            let kept = file.safe + (random % (unsafe_len as u64 + 1)) as usize;
            file.bytes.truncate(kept);
            if random.is_multiple_of(3) && kept > file.safe {
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

    /// Fails if it is this operation's turn; a write or a read may have to be short instead.
    fn begin(&mut self, name: &'static str) -> io::Result<Option<Fault>> {
        let operation = self.operations;
        self.operations += 1;
        let is_unlucky = self.random() % 1000 < self.faults;
        if self.is_out && Fault::TooMany.is_of(name) {
            self.failed.get_or_insert(name);
            return Err(Fault::TooMany.error());
        }
        let fault = match self.fails_at {
            Some((at, Fault::Short)) if operation > at && self.fails_after => Some(Fault::Full),
            // No signal comes for ever.
            Some((at, Fault::Interrupted)) if operation > at && self.fails_after => Some(Fault::Io),
            Some((at, fault)) if operation == at => Some(fault),
            Some((at, fault)) if self.fails_after && operation > at => Some(fault),
            _ if is_unlucky => {
                let fault = Fault::ALL[self.random() as usize % Fault::ALL.len()];
                Some(if fault.is_of(name) { fault } else { Fault::Io })
            }
            _ => None,
        };
        match fault {
            None => Ok(None),
            Some(fault) if !fault.is_of(name) => {
                // It was its turn all the same.
                if self.fails_at.is_some_and(|(at, _)| at == operation) {
                    self.failed.get_or_insert(name);
                }
                Ok(None)
            }
            Some(Fault::Short) => {
                self.failed.get_or_insert(name);
                Ok(Some(Fault::Short))
            }
            Some(fault) => {
                self.failed.get_or_insert(name);
                Err(fault.error())
            }
        }
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.journal.push(naming);
    }

    fn number(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut shared = self.lock();
        shared.begin("create")?;
        let number = shared.next;
        shared.next += 1;
        shared.files.insert(number, FileBytes::default());
        shared.name(Naming::Create(path.to_owned(), number));
        Ok(Box::new(Open { disk: self.clone(), number }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut shared = self.lock();
        let number = shared.number(path)?;
        let fault = shared.begin("read")?;
        let bytes = &shared.files[&number].bytes;
        let len = if fault.is_some() { bytes.len() / 2 } else { bytes.len() };
        Ok(bytes[..len].to_vec())
    }

    fn byte_len(&self, path: &Path) -> io::Result<u64> {
        let mut shared = self.lock();
        shared.begin("byte_len")?;
        let number = shared.number(path)?;
        Ok(shared.files[&number].bytes.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut shared = self.lock();
        shared.begin("rename")?;
        shared.number(from)?;
        shared.name(Naming::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut shared = self.lock();
        shared.begin("remove")?;
        shared.number(path)?;
        shared.name(Naming::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut shared = self.lock();
        shared.begin("list")?;
        let names = shared.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(names.cloned().collect())
    }

    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        self.lock().begin("create_directory").map(drop)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let shared = &mut *self.lock();
        shared.begin("sync_directory")?;
        let (safe, rest) = std::mem::take(&mut shared.journal)
            .into_iter()
            .partition::<Vec<_>, _>(|naming| naming.is_in(directory));
        safe.iter().for_each(|naming| naming.apply(&mut shared.safe_names));
        shared.journal = rest;
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<StorageLock>> {
        FaultyDisk::lock(self).begin("lock")?;
        Ok(Some(Box::new(())))
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
        let begun = shared.begin("write");
        let random = shared.random();
        if let Err(error) = &begun
            && error.kind() == io::ErrorKind::Interrupted
        {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let file = shared.files.get_mut(&self.number).expect("an open file is one of the files");
        // A failed write may have written something, and one that succeeds not all.
        let least = usize::from(begun.is_ok() && !bytes.is_empty());
        let len = bytes.len().max(1) as u64;
        let is_short = begun.is_err() || random.is_multiple_of(8);
        let count = match begun {
            Ok(Some(_)) => bytes.len() / 2,
            _ if is_short => (random % len) as usize,
            _ => bytes.len(),
        };
        let count = count.max(least);
        file.bytes.extend_from_slice(&bytes[..count]);
        begun.map(|_| count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut shared = self.disk.lock();
        shared.begin("sync")?;
        let file = shared.files.get_mut(&self.number).expect("an open file is one of the files");
        file.safe = file.bytes.len();
        Ok(())
    }
}
