//! What has changed in a directory since the last look, at the cost of what has changed.
//!
//! A directory's modification time says whether names came, went or were moved, and the number that
//! stands beside a name whether it is still that of the same file. What is changed in place shows
//! in neither, so now and then all files are looked at, and in small directories always.
//!
//! Invariants: what cannot be looked at is as it was, so nothing is gone that is only away; and a
//! file that is renamed amid a look is not there under both names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;

use super::identity::FileId;
use super::links::Links;
use crate::config::{DIRECTORY_FILES_LOOKED_AT, DIRECTORY_LOOK_EVERY, SKIPPED_NAMES_SAID_MAX};
use crate::error::Result;
use crate::record::saved::{push_varint, take_varint};

/// A modification time this long before a look is that of the last change: file systems count in
/// steps of two seconds at most.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Whether a file is to be read.
pub(super) type Filter = Box<dyn Fn(&Path) -> bool + Send>;

/// What says that a file has not been touched, as long as it is the same.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) id: FileId,
    pub(super) len: u64,
    /// Since the epoch.
    pub(super) modified: Duration,
    /// When its content, name or owner changed last, which nobody can set; zero elsewhere than on
    /// Unix.
    changed: Duration,
}

impl Hint {
    /// Whether these are of one file, which may have been renamed in between: that sets `changed`
    /// on most file systems.
    pub(super) fn is_same_but_renamed(self, before: Hint) -> bool {
        (self.id, self.len, self.modified) == (before.id, before.len, before.modified)
    }

    fn of(metadata: &Metadata) -> io::Result<Hint> {
        Ok(Hint {
            id: FileId::of(metadata),
            len: metadata.len(),
            modified: metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default(),
            changed: changed(metadata),
        })
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.id.save(out);
        push_varint(self.len, out);
        push_varint(nanos(self.modified), out);
        push_varint(nanos(self.changed), out);
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<Hint> {
        Ok(Hint {
            id: FileId::load(from)?,
            len: take_varint(from)?,
            modified: Duration::from_nanos(take_varint(from)?),
            changed: Duration::from_nanos(take_varint(from)?),
        })
    }
}

/// 64 bits last until 2554; what claims to be later is as good as that.
pub(super) fn nanos(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> Duration {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    Duration::new(seconds, metadata.ctime_nsec() as u32)
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> Duration {
    Duration::ZERO
}

/// The number beside a name in its directory.
#[cfg(unix)]
fn number(entry: &DirEntry) -> u64 {
    std::os::unix::fs::DirEntryExt::ino(entry)
}

#[cfg(not(unix))]
fn number(_: &DirEntry) -> u64 {
    0
}

pub(super) struct Listing {
    // Fixed.
    root: PathBuf,
    pub(super) is_recursive: bool,
    pub(super) links: Links,
    pub(super) files_max: usize,
    // Changing.
    /// By their paths from the root, which is the empty one.
    folders: BTreeMap<PathBuf, Folder>,
    files: usize,
    /// Links in all of them that are not followed.
    links_skipped: usize,
    /// The number of this look.
    look: u64,
    /// When all files were looked at last.
    looked_at_all: Option<Instant>,
    said: Said,
    /// Files and directories that were looked at, each a system call.
    looks: u64,
}

/// One directory, as it was found at the last look.
struct Folder {
    id: FileId,
    modified: SystemTime,
    /// What changes it now gives it another modification time.
    is_settled: bool,
    files: HashMap<OsString, Seen>,
    folders: BTreeSet<OsString>,
    /// Links in it that are not followed.
    links: usize,
    /// Why one of its files could not be looked at when it was read.
    trouble: Option<String>,
}

struct Seen {
    number: u64,
    hint: Hint,
    /// The last look that saw its name.
    look: u64,
}

/// Files that came or were changed, by their names, and whether any are gone.
#[derive(Default)]
pub(super) struct News {
    pub(super) changed: Vec<(OsString, Hint)>,
    pub(super) has_gone: bool,
    /// The files of names that were not there before.
    came: Vec<FileId>,
    /// Why a file, or a directory below, could not be looked at.
    pub(super) trouble: Option<String>,
}

/// What was said of what is not read, so that it is said once.
#[derive(Default)]
struct Said(BTreeSet<PathBuf>);

impl Said {
    fn skipped(&mut self, path: &Path, what: &'static str) {
        if self.0.len() >= SKIPPED_NAMES_SAID_MAX || self.0.contains(path) {
            return;
        }
        self.0.insert(path.to_owned());
        tracing::warn!(path = %path.display(), "{what}");
        if self.0.len() == SKIPPED_NAMES_SAID_MAX {
            tracing::warn!("what else is left out in this directory is not named any more");
        }
    }
}

impl Listing {
    pub(super) fn new(root: PathBuf, files_max: usize) -> Listing {
        Listing {
            links: Links::RefusedBelow(root.clone()),
            root,
            is_recursive: false,
            files_max,
            folders: BTreeMap::new(),
            files: 0,
            links_skipped: 0,
            look: 0,
            looked_at_all: None,
            said: Said::default(),
            looks: 0,
        }
    }

    /// How many files and directories were found.
    pub(super) fn len(&self) -> usize {
        self.files + self.folders.len().saturating_sub(1)
    }

    /// How many links were found that are not followed.
    pub(super) fn links_skipped(&self) -> usize {
        self.links_skipped
    }

    /// The directory itself, once it was looked at.
    pub(super) fn root_id(&self) -> Option<FileId> {
        self.folders.get(Path::new("")).map(|folder| folder.id)
    }

    pub(super) fn contains(&self, name: &OsStr) -> bool {
        let path = Path::new(name);
        let folder = path.parent().and_then(|parent| self.folders.get(parent));
        let name = path.file_name().unwrap_or_default();
        folder.is_some_and(|folder| folder.files.contains_key(name))
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Looks what has changed. With more files than the maximum it stops.
    ///
    /// # Errors
    ///
    /// What keeps it from looking into the directory itself; all stays as it was.
    pub(super) fn look(&mut self, filter: &Filter) -> io::Result<News> {
        self.look += 1;
        let is_due = |at: Instant| at.elapsed() >= DIRECTORY_LOOK_EVERY;
        let looks_at_all =
            self.files <= DIRECTORY_FILES_LOOKED_AT || self.looked_at_all.is_none_or(is_due);
        let (mut news, mut visited, mut found) =
            (News::default(), BTreeSet::new(), BTreeSet::new());
        let mut next = vec![PathBuf::new()];
        while let Some(folder) = next.pop() {
            match self.look_into(&folder, looks_at_all, filter, &mut visited, &mut news) {
                Ok(()) => {
                    let own = &self.folders[&folder];
                    // From the first on, so that of two ways to a directory it is always the same.
                    next.extend(own.folders.iter().rev().map(|name| folder.join(name)));
                    found.insert(folder);
                }
                Err(error) if folder.as_os_str().is_empty() => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let path = self.root.join(&folder);
                    self.said.skipped(&path, "a directory below a followed one cannot be listed");
                    let message = format!("cannot list directory {}: {error}", path.display());
                    news.trouble.get_or_insert(message);
                    found.insert(folder);
                }
            }
            if self.len() > self.files_max {
                return Ok(news);
            }
        }
        self.folders.retain(|path, folder| {
            let is_there = found.contains(path);
            if !is_there {
                self.files -= folder.files.len();
                self.links_skipped -= folder.links;
                news.has_gone |= !folder.files.is_empty();
            }
            is_there
        });
        self.drop_old_names(&mut news);
        if looks_at_all {
            self.looked_at_all = Some(Instant::now());
        }
        if news.trouble.is_none() {
            news.trouble = self.folders.values().find_map(|folder| folder.trouble.clone());
        }
        Ok(news)
    }

    /// Drops the old names of files that came and were there under two names: names are listed one
    /// after the other, so that one that is renamed meanwhile may be seen under both. A file with
    /// two names for good, by a hard link, keeps them.
    fn drop_old_names(&mut self, news: &mut News) {
        let mut names: HashMap<FileId, usize> = news.came.drain(..).map(|came| (came, 0)).collect();
        if names.is_empty() {
            return;
        }
        for seen in self.folders.values().flat_map(|folder| folder.files.values()) {
            if let Some(names) = names.get_mut(&seen.hint.id) {
                *names += 1;
            }
        }
        let Listing { folders, files, links, root, looks, .. } = self;
        for (folder, own) in folders {
            let before = own.files.len();
            own.files.retain(|name, seen| {
                if names.get(&seen.hint.id).is_none_or(|&names| names < 2) {
                    return true;
                }
                *looks += 1;
                let path = folder.join(name);
                let is_it = match links.metadata(&root.join(&path)) {
                    Ok(metadata) => FileId::of(&metadata) == seen.hint.id,
                    Err(error) => error.kind() != io::ErrorKind::NotFound,
                };
                if !is_it {
                    news.changed.retain(|(changed, _)| Path::new(changed) != path);
                }
                is_it
            });
            *files -= before - own.files.len();
            news.has_gone |= before > own.files.len();
        }
    }

    /// Looks at one file again, and says what it is if that can be seen.
    pub(super) fn look_again(&mut self, name: &OsStr) -> Option<Hint> {
        let path = Path::new(name);
        let folder = self.folders.get_mut(path.parent()?)?;
        let seen = folder.files.get_mut(path.file_name()?)?;
        self.looks += 1;
        let metadata = self.links.metadata(&self.root.join(path)).ok()?;
        seen.hint = Hint::of(&metadata).ok().filter(|_| metadata.is_file())?;
        Some(seen.hint)
    }

    fn look_into(
        &mut self,
        name: &Path,
        looks_at_all: bool,
        filter: &Filter,
        visited: &mut BTreeSet<FileId>,
        news: &mut News,
    ) -> io::Result<()> {
        let path =
            if name.as_os_str().is_empty() { self.root.clone() } else { self.root.join(name) };
        let now = SystemTime::now();
        self.looks += 1;
        let metadata = self.links.metadata(&path)?;
        if !metadata.is_dir() && !name.as_os_str().is_empty() {
            // A link has taken its place since it was seen.
            return Err(io::ErrorKind::NotFound.into());
        }
        let (id, modified) = (FileId::of(&metadata), metadata.modified()?);
        if !visited.insert(id) {
            // A link to a directory that it is in, or that is read by another name.
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Some(known) = self.folders.get(name)
            && (known.id, known.modified) == (id, modified)
            && known.is_settled
            && !looks_at_all
        {
            return Ok(());
        }
        let entries = std::fs::read_dir(&path)?;
        let Listing { folders, files, links_skipped, said, looks, links, .. } = self;
        let folder = folders.entry(name.to_owned()).or_insert_with(|| Folder {
            id,
            modified,
            is_settled: false,
            files: HashMap::new(),
            folders: BTreeSet::new(),
            links: 0,
            trouble: None,
        });
        // Until it was read to its end.
        folder.is_settled = false;
        let (mut below, mut trouble, mut links_here) = (BTreeSet::new(), None, 0);
        for entry in entries {
            let entry = entry?;
            let (own, number) = (entry.file_name(), number(&entry));
            if let Some(seen) = folder.files.get_mut(&own)
                && seen.number == number
                && !looks_at_all
            {
                seen.look = self.look;
                continue;
            }
            let path = path.join(&own);
            let kind = entry.file_type()?;
            let mut metadata = None;
            if kind.is_file() || kind.is_symlink() {
                *looks += 1;
                match links.metadata(&path) {
                    Ok(found) => metadata = Some(found),
                    // What is gone again by now was never there.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        if let Some(seen) = folder.files.get_mut(&own) {
                            seen.look = self.look;
                        }
                        if filter(&path) {
                            said.skipped(&path, "a file cannot be looked at; it is tried again");
                            let path = path.display();
                            trouble.get_or_insert(format!("cannot look at {path}: {error}"));
                        }
                        continue;
                    }
                }
            }
            if metadata.as_ref().is_some_and(Metadata::is_symlink) {
                if filter(&path) {
                    said.skipped(&path, "a symbolic link in a followed directory is not followed");
                    links_here += 1;
                }
                continue;
            }
            if metadata.as_ref().map_or(kind.is_dir(), Metadata::is_dir) {
                if is_hidden(&path) {
                } else if self.is_recursive {
                    below.insert(own);
                } else {
                    said.skipped(&path, "a directory below a followed one is not read");
                }
                continue;
            }
            if !filter(&path) {
                continue;
            }
            let Some(metadata) = metadata.filter(Metadata::is_file) else {
                said.skipped(&path, "neither a file nor a directory, and not read");
                continue;
            };
            let hint = Hint::of(&metadata)?;
            let seen = Seen { number, hint, look: self.look };
            let before = folder.files.insert(own.clone(), seen);
            if before.is_none() {
                *files += 1;
                news.came.push(hint.id);
            }
            if before.is_none_or(|before| before.hint != hint) {
                news.changed.push((name.join(own).into_os_string(), hint));
            }
            if *files > self.files_max {
                return Ok(());
            }
        }
        let before = folder.files.len();
        folder.files.retain(|_, seen| seen.look == self.look);
        *files -= before - folder.files.len();
        news.has_gone |= before > folder.files.len();
        let age = now.duration_since(modified).unwrap_or_default();
        (folder.id, folder.modified, folder.is_settled) = (id, modified, age >= SETTLED_AFTER);
        *links_skipped = *links_skipped - folder.links + links_here;
        (folder.folders, folder.trouble, folder.links) = (below, trouble, links_here);
        Ok(())
    }
}

pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn all() -> Filter {
        Box::new(|path| !is_hidden(path))
    }

    /// A directory with so many files, none of which has changed for long.
    fn settled(files: usize) -> (tempfile::TempDir, Listing) {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..files {
            fs::write(folder.path().join(format!("{number}")), "x").unwrap();
        }
        settle(folder.path());
        let mut listing = Listing::new(folder.path().to_owned(), 1 << 20);
        assert_eq!(listing.look(&all()).unwrap().changed.len(), files);
        (folder, listing)
    }

    fn settle(path: &Path) {
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        File::open(path).unwrap().set_modified(long_ago).unwrap();
    }

    #[track_caller]
    fn looks(listing: &mut Listing) -> (Vec<OsString>, u64) {
        let before = listing.looks();
        let news = listing.look(&all()).unwrap();
        let names = news.changed.into_iter().map(|(name, _)| name).collect();
        (names, listing.looks() - before)
    }

    #[test]
    fn a_look_costs_what_has_changed() {
        let (folder, mut listing) = settled(2_000);
        assert_eq!(looks(&mut listing), (vec![], 1));
        // A file that comes, one that is replaced and one that goes: each is looked at, once.
        fs::write(folder.path().join("new"), "x").unwrap();
        fs::write(folder.path().join(".other"), "y").unwrap();
        fs::rename(folder.path().join(".other"), folder.path().join("7")).unwrap();
        fs::remove_file(folder.path().join("8")).unwrap();
        let (mut names, count) = looks(&mut listing);
        names.sort();
        assert_eq!((names, count), (vec!["7".into(), "new".into()], 3));
        assert!(!listing.contains(OsStr::new("8")));
        assert_eq!(listing.len(), 2_000);
        // Not settled yet: the names are read again, and no file is looked at.
        assert_eq!(looks(&mut listing), (vec![], 1));
    }

    #[test]
    fn files_that_are_changed_in_place_are_noticed() {
        let (folder, mut listing) = settled(10);
        fs::write(folder.path().join("3"), "longer").unwrap();
        assert_eq!(looks(&mut listing), (vec!["3".into()], 11));
        // In a large directory within a time.
        let (folder, mut listing) = settled(1_000);
        fs::write(folder.path().join("3"), "longer").unwrap();
        assert_eq!(looks(&mut listing), (vec![], 1));
        listing.looked_at_all = Instant::now().checked_sub(DIRECTORY_LOOK_EVERY);
        assert_eq!(looks(&mut listing), (vec!["3".into()], 1_001));
    }

    /// The names of a large directory are listed in several calls of the system.
    #[cfg(unix)]
    #[test]
    fn a_file_that_is_renamed_amid_a_look_is_seen_once() {
        let (folder, mut listing) = settled(4_000);
        fs::hard_link(folder.path().join("1"), folder.path().join("link")).unwrap();
        listing.look(&all()).unwrap();
        let (path, mut renamed) = (folder.path().to_owned(), 0);
        let rename = std::cell::RefCell::new(move |seen: &Path| {
            let is_link = ["1", "link"].iter().any(|name| seen.ends_with(name));
            if renamed < 100 && !is_link {
                let to = path.join(format!("renamed-{renamed}"));
                fs::rename(seen, to).unwrap();
                renamed += 1;
            }
        });
        let filter: Filter = Box::new(move |path| {
            rename.borrow_mut()(path);
            true
        });
        listing.looked_at_all = None;
        listing.look(&filter).unwrap();
        let seen = || listing.folders.values().flat_map(|folder| &folder.files);
        let is_renamed = |name: &OsStr| name.as_encoded_bytes().starts_with(b"renamed");
        let came = seen().filter(|(name, _)| is_renamed(name)).count();
        assert!(came > 0, "none of them was seen under its new name");
        let twice: BTreeSet<u64> = seen().map(|(_, seen)| seen.number).collect();
        assert_eq!(seen().count(), twice.len() + 1, "only the link has two names");
        assert_eq!(listing.len(), seen().count());
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        let (folder, mut listing) = settled(1);
        (listing.is_recursive, listing.links) = (true, Links::Followed);
        let below = folder.path().join("below/deeper");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(folder.path().join(".hidden")).unwrap();
        fs::write(folder.path().join(".hidden/file"), "x").unwrap();
        fs::write(below.join("file"), "x").unwrap();
        for (target, link) in [("..", "up"), ("../..", "top"), (".", "self")] {
            std::os::unix::fs::symlink(target, below.join(link)).unwrap();
        }
        let (names, _) = looks(&mut listing);
        assert_eq!(names, ["below/deeper/file"]);
        fs::rename(folder.path().join("below"), folder.path().join("moved")).unwrap();
        let news = listing.look(&all()).unwrap();
        assert_eq!(news.changed[0].0, "moved/deeper/file");
        assert!(news.has_gone && !listing.contains(OsStr::new("below/deeper/file")));
    }

    #[test]
    fn what_is_away_is_not_gone() {
        let (folder, mut listing) = settled(3);
        let away = folder.path().with_extension("away");
        fs::rename(folder.path(), &away).unwrap();
        assert!(listing.look(&all()).is_err());
        assert!(listing.contains(OsStr::new("1")));
        fs::rename(&away, folder.path()).unwrap();
        assert_eq!(looks(&mut listing).0, Vec::<OsString>::new());
    }
}
