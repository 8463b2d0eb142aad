//! Symbolic links in a followed directory: whether they are followed, and how a file is opened
//! where they are not.
//!
//! Whoever may write to the directory may put a link there, to a file that this process may read
//! and they may not. Invariant: where links are refused, a file is opened name by name from the
//! directory on, and no name on the way may be one, so a link that takes the place of a file
//! between the look and the opening is refused, too. The directory itself may be a link.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::open_file::open_regular;

/// How the names of files lead to them.
#[derive(Clone, Debug, Default)]
pub(super) enum Links {
    #[default]
    Followed,
    /// Not below this directory.
    RefusedBelow(PathBuf),
}

impl Links {
    /// Opens a regular file.
    ///
    /// # Errors
    ///
    /// As of [`open_regular`], and an error that says so for a link that is refused.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        match self {
            Links::Followed => open_regular(path),
            Links::RefusedBelow(root) => open_below(root, path),
        }
    }

    /// The metadata of what has this name: of the link itself, where it is one that is refused.
    pub(super) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        match self {
            Links::RefusedBelow(root) if path != root => std::fs::symlink_metadata(path),
            _ => std::fs::metadata(path),
        }
    }
}

#[cfg(unix)]
fn open_below(root: &Path, path: &Path) -> io::Result<File> {
    use std::path::Component;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, openat, statat};
    use rustix::io::Errno;

    use super::open_file::check_regular;

    let Ok(name) = path.strip_prefix(root) else { return open_regular(path) };
    let refused = |error: Errno| match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::new(
            io::ErrorKind::InvalidInput,
            "a symbolic link leads there, and those in the directory are not followed",
        ),
        error => error.into(),
    };
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = open(root, folder, Mode::empty())?;
    let mut parts = name.components().peekable();
    while let Some(Component::Normal(part)) = parts.next() {
        if parts.peek().is_some() {
            at = openat(&at, part, folder | OFlags::NOFOLLOW, Mode::empty()).map_err(refused)?;
            continue;
        }
        // Before it is opened: who writes to a named pipe would take it for being read.
        let found = statat(&at, part, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Fifo {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&at, part, file, Mode::empty()).map_err(refused)?);
        check_regular(&file.metadata()?)?;
        return Ok(file);
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Elsewhere only the last name is looked at, before the opening.
#[cfg(not(unix))]
fn open_below(_: &Path, path: &Path) -> io::Result<File> {
    if std::fs::symlink_metadata(path)?.is_symlink() {
        let message = "a symbolic link, and those in the directory are not followed";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    open_regular(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_name_on_the_way_may_be_a_link() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "own").unwrap();
        fs::create_dir(other.path().join("b")).unwrap();
        for secret in ["secret", "b/file"] {
            fs::write(other.path().join(secret), "secret").unwrap();
        }
        let linked = folder.path().join("linked");
        symlink(&root, &linked).unwrap();
        let read = |name: &str| {
            let mut text = String::new();
            let links = Links::RefusedBelow(linked.clone());
            links.open(&linked.join(name))?.read_to_string(&mut text).map(|_| text)
        };
        // The directory itself is one.
        assert_eq!(read("a/b/file").unwrap(), "own");
        symlink(other.path().join("secret"), root.join("outside")).unwrap();
        symlink("a/b/file", root.join("inside")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("a", root.join("c")).unwrap();
        symlink(other.path(), root.join("d")).unwrap();
        for name in ["outside", "inside", "dangling", "c/b/file", "d/b/file", "d/secret"] {
            let error = read(name).unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{name}: {error}");
        }
        // One takes the place of a folder that was listed.
        fs::rename(root.join("a"), root.join("was")).unwrap();
        symlink(other.path(), root.join("a")).unwrap();
        assert!(read("a/b/file").unwrap_err().to_string().contains("symbolic link"));
        let pipe = root.join("was/pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read("was/pipe").unwrap_err().to_string(), "not a regular file");
        assert_eq!(read("was/none").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read("was").unwrap_err().kind(), io::ErrorKind::IsADirectory);
        // Who asks for it has all.
        assert!(Links::Followed.open(&root.join("outside")).is_ok());
    }
}
