//! The few things that are done to a disk by whatever has to survive: checkpoints, the intake log
//! and files that are saved. All of it goes through one trait, so that tests can make any of it
//! fail.

mod disk;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(all(test, unix, feature = "signals"))]
pub(crate) mod killing;
mod machine;
#[cfg(all(unix, feature = "signals"))]
mod process_status;

use std::fmt::Debug;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use disk::Disk;
pub(crate) use machine::memory_bytes;
#[cfg(all(unix, feature = "signals"))]
pub(crate) use process_status::ignored_signals;

/// A place for files.
///
/// A name leads to a new file for good only after [`sync_directory`](Self::sync_directory).
pub(crate) trait Storage: Debug + Send + Sync + 'static {
    /// Makes an empty file, in place of one with this name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;

    /// All of a file, or what the disk gives of it.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// All of a file.
    ///
    /// # Errors
    ///
    /// Those of the disk, and [`io::ErrorKind::UnexpectedEof`] where it gives less than the file
    /// has: that is not damage of what was written.
    fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>> {
        let len = self.byte_len(path)?;
        let bytes = self.read(path)?;
        if (bytes.len() as u64) < len {
            let message = format!("it gives {} bytes, of {len} that it has", bytes.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(bytes)
    }

    /// How long a file is.
    fn byte_len(&self, path: &Path) -> io::Result<u64>;

    /// Gives a file another name in the same directory, in place of the one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes a directory, and those that it is in, if they are not there, and makes them last: what
    /// is synced in it would otherwise be gone with it.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes what was created, renamed and removed in a directory last.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Keeps others from a directory until what is given is dropped, or the process ends. `None` if
    /// another one does.
    fn lock(&self, directory: &Path) -> io::Result<Option<StorageLock>>;

    /// The process that keeps others from a directory, if that is known.
    fn locked_by(&self, _directory: &Path) -> Option<u32> {
        None
    }
}

/// What keeps others from a directory.
pub(crate) type StorageLock = Box<dyn Debug + Send + Sync>;

/// A file that is being written, from its start to its end.
pub(crate) trait StorageFile: Debug + Send + 'static {
    /// Appends some of the bytes, at least one unless there is none, and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written last.
    fn sync(&mut self) -> io::Result<()>;
}

/// Replaces the file with this name, if there is one. The new one is durable when this returns;
/// after a crash on the way one of the two is there, and maybe `begun`.
pub(crate) fn replace(
    storage: &dyn Storage,
    begun: &Path,
    path: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    let mut file = storage.create(begun)?;
    write_all(&mut *file, bytes)?;
    file.sync()?;
    drop(file);
    storage.rename(begun, path)?;
    storage.sync_directory(path.parent().unwrap_or(Path::new("")))
}

/// A number that nobody else has made up, by which what is alike is told apart.
pub(crate) fn made_up() -> u64 {
    // The seeds of hash maps are the randomness that there is without a crate for it.
    RandomState::new().build_hasher().finish()
}

/// Appends all of the bytes, however often a signal comes in between.
pub(crate) fn write_all(file: &mut dyn StorageFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
