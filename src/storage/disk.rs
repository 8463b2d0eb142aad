//! The files of the machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Storage, StorageFile, StorageLock};

/// The file system as it is.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Disk {
    /// What is written is for whoever the system's mask lets read it.
    Shared,
    /// What is written is for the process's own user: state and what sources received. A name that
    /// is a link is refused, as it may lead to what somebody else wants overwritten.
    Private,
}

impl Disk {
    /// How a file is opened to be written.
    fn options(self) -> OpenOptions {
        let mut options = File::options();
        options.write(true).create(true);
        #[cfg(unix)]
        if let Disk::Private = self {
            use std::os::unix::fs::OpenOptionsExt;
            let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
            options.mode(0o600).custom_flags(no_follow);
        }
        options
    }

    fn make_directory(self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        if let Disk::Private = self {
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        }
        builder.create(path)
    }
}

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(self.options().truncate(true).open(path)?))
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
            match self.make_directory(path) {
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
        // What another process has written there is for others to read.
        let mut file = self.options().truncate(false).open(directory.join(LOCK))?;
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
    use crate::storage::write_all;

    #[test]
    fn directories_are_made_with_those_that_they_are_in() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b/c");
        for _ in 0..2 {
            Disk::Private.create_directory(&inner).unwrap();
            assert!(inner.is_dir());
        }
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(Disk::Private.create_directory(&file).is_err());
        assert!(Disk::Private.create_directory(&file.join("d")).is_err());
        // Where the program runs.
        Disk::Private.create_directory(Path::new("src")).unwrap();
    }

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Disk::Private.lock(directory.path()).unwrap();
        assert!(lock.is_some());
        assert!(Disk::Private.lock(directory.path()).unwrap().is_none());
        assert_eq!(Disk::Private.locked_by(directory.path()), Some(std::process::id()));
        drop(lock);
        assert!(Disk::Private.lock(directory.path()).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_private_is_for_nobody_else_and_never_behind_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
        Disk::Private.create_directory(&path("a/b")).unwrap();
        drop(Disk::Private.create(&path("a/file")).unwrap());
        drop(Disk::Private.lock(&path("a")).unwrap().unwrap());
        assert_eq!(["a", "a/b", "a/file", "a/lock"].map(mode), [0o700, 0o700, 0o600, 0o600]);
        // What others wait for is as the mask has it.
        drop(Disk::Shared.create(&path("shared")).unwrap());
        drop(File::create(path("usual")).unwrap());
        assert_eq!(mode("shared"), mode("usual"));

        fs::write(path("precious"), "kept").unwrap();
        for name in ["file", "lock"] {
            let link = path("a/b").join(name);
            symlink(path("precious"), &link).unwrap();
            match name {
                "file" => drop(Disk::Private.create(&link).unwrap_err()),
                _ => drop(Disk::Private.lock(&path("a/b")).unwrap_err()),
            }
            assert_eq!(fs::read_to_string(path("precious")).unwrap(), "kept");
        }
    }

    /// Writes a byte at a time, and is interrupted before each.
    #[derive(Debug, Default)]
    struct Interrupted {
        written: Vec<u8>,
        is_next: bool,
    }

    impl StorageFile for Interrupted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_next = !self.is_next;
            if self.is_next {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.written.push(bytes[0]);
            Ok(1)
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_write_that_was_interrupted_goes_on() {
        let mut file = Interrupted::default();
        write_all(&mut file, b"all of it").unwrap();
        assert_eq!(file.written, b"all of it");
    }
}
