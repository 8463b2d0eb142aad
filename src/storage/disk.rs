//! The files of the machine.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Storage, StorageFile, StorageLock};

/// The file system as it is.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Disk;

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn byte_len(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().map(|parent| match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        });
        let Some(parent) = parent else { return Ok(()) };
        if !path.is_dir() {
            if !parent.is_dir() {
                self.create_directory(parent)?;
            }
            match fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                made => made?,
            }
        }
        // Also of one that is there: who made it may have been killed before it came to this.
        match self.sync_directory(parent) {
            // Who may not even read it did not make it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        }
    }

    #[cfg(unix)]
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Elsewhere a directory cannot be opened as a file.
    #[cfg(not(unix))]
    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<StorageLock>> {
        let mut options = File::options();
        // What another process has written there is for others to read.
        let mut file =
            options.create(true).truncate(false).write(true).open(directory.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {
                // A full disk keeps nobody from the lock: it then goes without the name.
                let _ = file.set_len(0);
                let _ = write!(file, "{}", std::process::id());
                Ok(Some(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            // Not every file system can: there nobody is kept out.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Box::new(file)))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn locked_by(&self, directory: &Path) -> Option<u32> {
        fs::read_to_string(directory.join(LOCK)).ok()?.parse().ok()
    }
}

/// The file that is locked; what counts is the lock and not the file, which stays.
const LOCK: &str = "lock";

impl StorageFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_with_those_that_they_are_in() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b/c");
        for _ in 0..2 {
            Disk.create_directory(&inner).unwrap();
            assert!(inner.is_dir());
        }
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(Disk.create_directory(&file).is_err());
        assert!(Disk.create_directory(&file.join("d")).is_err());
        // Where the program runs.
        Disk.create_directory(Path::new("src")).unwrap();
    }

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Disk.lock(directory.path()).unwrap();
        assert!(lock.is_some());
        assert!(Disk.lock(directory.path()).unwrap().is_none());
        assert_eq!(Disk.locked_by(directory.path()), Some(std::process::id()));
        drop(lock);
        assert!(Disk.lock(directory.path()).unwrap().is_some());
    }
}
