//! Batches as text files: one for each, which is there as a whole or not at all.
//!
//! A file is written under a name that begins with a dot, synced, and then renamed, so whoever
//! looks for the final name never finds half of it; writing it again replaces it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::record::{Batch, Show, shown};
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

    /// Batches without rows are saved too, as empty files; otherwise nothing is written for them.
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

    /// Fails if there is no directory to write to.
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.path(Time::from_millis(0));
        let directory = directory_of(&path);
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

    /// Writes the batch, unless it is empty and empty ones are not kept.
    pub(crate) fn save<T: Show>(&self, batch: &Batch<T>, time: Time) -> Result<()> {
        if batch.is_empty() && !self.keeps_empty {
            return Ok(());
        }
        let path = self.path(time);
        write_at_once(&path, |out| {
            batch.iter().try_for_each(|row| writeln!(out, "{}", shown::<T>(row)))
        })
        .map_err(|error| {
            Error::caused(ErrorKind::Sink, format!("cannot save text file {path:?}"), error)
        })
    }
}

/// The directory that a file is in; a name alone is in the working directory.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a file so that it has its name only when all of it is on disk.
fn write_at_once(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let directory = directory_of(path);
    let mut hidden = OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(".tmp");
    // Always the same name, so that what a crash left behind is written over.
    let hidden = Hidden(directory.join(hidden));
    write_synced(&hidden.0, write)?;
    fs::rename(&hidden.0, path)?;
    sync_directory(directory)
}

/// A file that is gone, if it is still there, when this is dropped: after errors and panics, too.
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        // It mostly has another name by now; and where it cannot be removed, the error is known.
        let _ = fs::remove_file(&self.0);
    }
}

fn write_synced(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, File::create(path)?);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The new name is on disk, too.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
