//! The machine's disk for tests that end the process at a chosen operation: before it, in the
//! middle of it, or after it.
//!
//! What a killed process has written is there, synced or not, and a sync takes longer than all
//! else: so it is only a point to be killed at.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Disk, Storage, StorageFile, StorageLock};

/// Where in an operation a process ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    /// Of a write half is on the disk; other operations have no middle.
    Amid,
    After,
}

/// A point at which a process may be killed; its number is how many come before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) when: When,
    /// What is done to which file: numbers in its name are left out.
    pub(crate) name: String,
}

/// Notes all points that it comes by, and kills the process at one of them.
#[derive(Clone, Debug)]
pub(crate) struct KillingDisk {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    points: Vec<Point>,
    kill_at: Option<usize>,
}

impl KillingDisk {
    /// A disk that kills at the point with this number, if at any.
    pub(crate) fn new(kill_at: Option<usize>) -> KillingDisk {
        let shared = Shared { points: Vec::new(), kill_at };
        KillingDisk { shared: Arc::new(Mutex::new(shared)) }
    }

    /// The points that it has come by.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.shared.lock().unwrap().points.clone()
    }

    /// Does something to a file, unless this is where it all ends; `half` does half of it.
    fn run<T>(
        &self,
        what: &str,
        path: &Path,
        half: Option<&dyn Fn()>,
        run: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let is_end = |when: When| {
            let mut shared = self.shared.lock().unwrap();
            let name = format!("{what} {}", without_numbers(path));
            shared.points.push(Point { when, name });
            shared.kill_at == Some(shared.points.len() - 1)
        };
        if is_end(When::Before) {
            die();
        }
        if let Some(half) = half
            && is_end(When::Amid)
        {
            half();
            die();
        }
        let result = run();
        if is_end(When::After) {
            die();
        }
        result
    }
}

/// As by `kill -9`: nothing of the process runs any more.
fn die() -> ! {
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
    unreachable!("nobody survives SIGKILL");
}

fn without_numbers(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

impl Storage for KillingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let file = self.run("create", path, None, || File::create(path))?;
        let (disk, path) = (self.clone(), path.to_owned());
        Ok(Box::new(Open { disk, path, file }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.run("read", path, None, || Disk::Private.read(path))
    }

    fn byte_len(&self, path: &Path) -> io::Result<u64> {
        self.run("measure", path, None, || Disk::Private.byte_len(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run("rename to", to, None, || Disk::Private.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run("remove", path, None, || Disk::Private.remove(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.run("list", directory, None, || Disk::Private.list(directory))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.run("create directory", path, None, || Disk::Private.create_directory(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.run("sync directory", path, None, || Ok(()))
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<StorageLock>> {
        Disk::Private.lock(directory)
    }
}

#[derive(Debug)]
struct Open {
    disk: KillingDisk,
    path: PathBuf,
    file: File,
}

impl StorageFile for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let half = || {
            let _ = io::Write::write_all(&mut &self.file, &bytes[..bytes.len() / 2]);
        };
        let write = || io::Write::write(&mut &self.file, bytes);
        self.disk.run("write", &self.path, Some(&half), write)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.run("sync", &self.path, None, || Ok(()))
    }
}
