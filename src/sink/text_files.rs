//! Batches as text files: one for each, which is there as a whole or not at all.
//!
//! A file is written under a name that begins with a dot, synced, and then renamed, so whoever
//! looks for the final name never finds half of it; writing it again replaces it. A start removes
//! the files of batches that come again.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Sink;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::record::{Batch, Show, shown};
use crate::storage::{Disk, Storage, write_all};
use crate::time::Time;

/// Where batches are saved, and how their files are called: `prefix-TIME_IN_MS[.suffix]`.
///
/// ```
/// use tidemill::TextFiles;
///
/// // out/words-1700000000000.txt and so on, also for batches without rows.
/// let files = TextFiles::new("out/words").suffix("txt").keep_empty();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFiles {
    prefix: PathBuf,
    suffix: String,
    keeps_empty: bool,
}

impl TextFiles {
    /// Files whose names begin so; what comes before the last `/` is a directory that is there.
    pub fn new(prefix: impl Into<PathBuf>) -> TextFiles {
        TextFiles { prefix: prefix.into(), suffix: String::new(), keeps_empty: false }
    }

    /// What the names end in after a dot; an empty text is none. A dot that the suffix begins with
    /// is that dot.
    pub fn suffix(self, suffix: impl Into<String>) -> TextFiles {
        let suffix = suffix.into();
        let suffix = suffix.strip_prefix('.').map(str::to_owned).unwrap_or(suffix);
        TextFiles { suffix, ..self }
    }

    /// Batches without rows are saved too, as empty files; otherwise they have none.
    pub fn keep_empty(self) -> TextFiles {
        TextFiles { keeps_empty: true, ..self }
    }

    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    pub(super) fn keeps_empty(&self) -> bool {
        self.keeps_empty
    }

    pub(super) fn path(&self, time: Time) -> PathBuf {
        let mut path = OsString::from(&self.prefix);
        path.push(format!("-{}", time.millis()));
        if !self.suffix.is_empty() {
            path.push(format!(".{}", self.suffix));
        }
        PathBuf::from(path)
    }

    /// The time of a batch by the name of its file, if it is a name of these files.
    pub(super) fn time_of(&self, name: &[u8]) -> Option<Time> {
        // The time, and the suffix of these files and no others.
        let (path, zero) = (self.path(Time::from_millis(0)), b"0");
        let first = path.file_name()?.as_encoded_bytes();
        let suffix_len = if self.suffix.is_empty() { 0 } else { 1 + self.suffix.len() };
        let prefix = &first[..first.len().checked_sub(suffix_len + zero.len())?];
        let rest = name.strip_prefix(prefix)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let millis = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let time = Time::from_millis(millis);
        (self.path(time).file_name()?.as_encoded_bytes() == name).then_some(time)
    }

    /// The directory of the files.
    pub(super) fn directory(&self) -> PathBuf {
        directory_of(&self.path(Time::from_millis(0))).to_owned()
    }

    /// The files of batches later than this one.
    pub(super) fn later_than(
        &self,
        storage: &dyn Storage,
        after: Time,
    ) -> io::Result<Vec<PathBuf>> {
        let mut paths = storage.list(&self.directory())?;
        paths.retain(|path| self.time_of(name_of(path)) > Some(after));
        Ok(paths)
    }

    /// Fails if there is no directory to write to.
    pub(crate) fn check(&self) -> Result<()> {
        let directory = &*self.directory();
        let metadata = fs::metadata(directory);
        let is_directory = metadata.and_then(|metadata| match metadata.is_dir() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        });
        is_directory.map_err(|error| {
            let message = format!("cannot save text files in directory {directory:?}");
            Error::caused(ErrorKind::Sink, message, error)
        })
    }

    fn save_on<T: Show>(&self, storage: &dyn Storage, batch: &Batch<T>, time: Time) -> Result<()> {
        let path = self.path(time);
        if batch.is_empty() && !self.keeps_empty {
            // After a crash a batch may come again without rows: they are in one after it.
            let removed = match storage.remove(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => removed.and_then(|()| storage.sync_directory(directory_of(&path))),
            };
            return removed.map_err(|error| {
                Error::caused(ErrorKind::Sink, format!("cannot remove text file {path:?}"), error)
            });
        }
        // Always the same name, so that what a crash left behind is written over.
        let hidden = hidden(&path, UNFINISHED);
        let written = write_rows(storage, &hidden, batch).and_then(|()| {
            storage.rename(&hidden, &path).inspect_err(|_| {
                // Where it cannot be removed, the error is known.
                let _ = storage.remove(&hidden);
            })?;
            storage.sync_directory(directory_of(&path))
        });
        written.map_err(|error| {
            Error::caused(ErrorKind::Sink, format!("cannot save text file {path:?}"), error)
        })
    }
}

impl<T: Show> Sink<T> for TextFiles {
    /// Saves the batch, or removes its file if it is empty and empty ones are not kept.
    fn write(&mut self, batch: &Batch<T>, time: Time) -> Result<(), BoxError> {
        Ok(self.save_on(&Disk::Shared, batch, time)?)
    }

    /// Removes the files of later batches, and what a crash has left unfinished. Without a batch to
    /// go on after, all files stay, as nobody knows whose they are.
    fn recover(&mut self, after: Option<Time>) -> Result<(), BoxError> {
        Ok(self.recover_on(&Disk::Shared, after)?)
    }
}

impl TextFiles {
    fn recover_on(&self, storage: &dyn Storage, after: Option<Time>) -> Result<()> {
        let Some(after) = after else { return Ok(()) };
        let directory = self.directory();
        let is_unfinished = |path: &PathBuf| {
            shown_name(path, UNFINISHED).is_some_and(|name| self.time_of(name).is_some())
        };
        let removed = self.later_than(storage, after).and_then(|later| {
            let unfinished = storage.list(&directory)?.into_iter().filter(is_unfinished);
            for path in later.into_iter().chain(unfinished) {
                storage.remove(&path)?;
            }
            storage.sync_directory(&directory)
        });
        removed.map_err(|error| {
            let message =
                format!("cannot remove text files of batches after {after} from {directory:?}");
            Error::caused(ErrorKind::Sink, message, error)
        })
    }
}

/// The extension of a file that is not whole yet.
const UNFINISHED: &str = ".tmp";

/// A name in the same directory that begins with a dot, for what is not to be read.
pub(super) fn hidden(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(extension);
    path.with_file_name(name)
}

/// The name that such a file is to get.
pub(super) fn shown_name<'a>(path: &'a Path, extension: &str) -> Option<&'a [u8]> {
    name_of(path).strip_prefix(b".")?.strip_suffix(extension.as_bytes())
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

/// The directory that a file is in; a name alone is in the working directory.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Bytes that are written at once.
const WRITE_BYTES: usize = 64 << 10;

/// Writes the rows to a new file, and makes them last; after an error or a panic there is none.
pub(super) fn write_rows<T: Show>(
    storage: &dyn Storage,
    path: &Path,
    batch: &Batch<T>,
) -> io::Result<()> {
    let mut file = storage.create(path)?;
    let mut unfinished = Unfinished { storage, path, is_whole: false };
    let mut text = String::new();
    for row in batch.iter() {
        let _ = writeln!(text, "{}", shown::<T>(row));
        if text.len() >= WRITE_BYTES {
            write_all(&mut *file, text.as_bytes())?;
            text.clear();
        }
    }
    write_all(&mut *file, text.as_bytes())?;
    file.sync()?;
    unfinished.is_whole = true;
    Ok(())
}

/// A file that is gone when this is dropped, unless it is whole.
struct Unfinished<'a> {
    storage: &'a dyn Storage,
    path: &'a Path,
    is_whole: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // What cannot be removed now is written over, or removed at the next start.
            let _ = self.storage.remove(self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::faulty::{Fault, FaultyDisk};

    fn batch(text: &str) -> Batch<String> {
        [text.repeat(50_000), text.to_owned()].into_iter().collect()
    }

    /// Whoever reads the file finds the old one or the new one, and after a success the new one.
    #[test]
    fn every_operation_fails_in_turn() {
        let (files, time) = (TextFiles::new("/out/words"), Time::from_millis(1_000));
        let text =
            |text: &str| batch(text).iter().map(|row| format!("{row}\n")).collect::<String>();
        let mut failed = Vec::new();
        for (fault, and_after) in Fault::each_way() {
            for at in 0.. {
                // The same each time, so that the operations are.
                let disk = FaultyDisk::new(7);
                files.save_on(&disk, &batch("old"), time).unwrap();
                disk.fail_at(at, and_after, fault);
                let saved = files.save_on(&disk, &batch("new"), time);
                let operation = disk.failed();
                disk.fail(0);
                let check = || {
                    let found = String::from_utf8(disk.read(&files.path(time)).unwrap()).unwrap();
                    let is_old = saved.is_err() && found == text("old");
                    assert!(is_old || found == text("new"), "{operation:?}, {fault:?}: {saved:?}");
                };
                check();
                if !and_after {
                    assert_eq!(disk.list(Path::new("/out")).unwrap().len(), 1, "{operation:?}");
                }
                disk.crash();
                check();
                files.save_on(&disk, &batch("new"), time).unwrap();
                assert_eq!(disk.read(&files.path(time)).unwrap(), text("new").into_bytes());
                let Some(operation) = operation else { break };
                failed.push(operation);
            }
        }
        for operation in ["create", "write", "sync", "rename", "sync_directory"] {
            assert!(failed.contains(&operation), "{operation}");
        }
    }

    /// What came before is there as a whole until it is removed, and after a success it is gone.
    #[test]
    fn every_operation_of_a_removal_fails_in_turn() {
        let (files, time) = (TextFiles::new("/out/words"), Time::from_millis(1_000));
        let none: Batch<String> = Vec::new().into_iter().collect();
        let mut failed = Vec::new();
        for (fault, and_after) in Fault::each_way() {
            for at in 0.. {
                let disk = FaultyDisk::new(7);
                files.save_on(&disk, &batch("old"), time).unwrap();
                let old = disk.read(&files.path(time)).unwrap();
                disk.fail_at(at, and_after, fault);
                let removed = files.save_on(&disk, &none, time);
                let operation = disk.failed();
                disk.fail(0);
                let check = || match disk.read(&files.path(time)) {
                    Ok(found) => assert!(removed.is_err() && found == old, "{operation:?}"),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
                };
                check();
                disk.crash();
                check();
                // Also where there is none any more.
                files.save_on(&disk, &none, time).unwrap();
                assert!(disk.read(&files.path(time)).is_err(), "{operation:?}");
                let Some(operation) = operation else { break };
                failed.push(operation);
            }
        }
        for operation in ["remove", "sync_directory"] {
            assert!(failed.contains(&operation), "{operation}");
        }
    }
}
