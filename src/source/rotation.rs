//! Files beside a log that had its name before: `log.1`, `log-20260131`, `log.2.gz`, `log.old`.
//!
//! Invariant: a name alone never makes a file one that is read. It has to be later than a file
//! that was followed, by its number, its date or its time, or hold what was read of that file.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::identity::FileId;
#[cfg(test)]
use super::open_file::faults;
use super::open_file::{open_regular, regular, unless_passing};

/// A regular file in the directory of a log.
#[derive(Clone, Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) id: FileId,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

/// The part of a rotated file's name that tells its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// `log.1` is the newest.
    Number(u64),
    /// The digits of a date or time, the greatest of which is the newest.
    Date(String),
    /// `log.old` and the like.
    Unknown,
}

/// Endings of compressed files; the first two are read.
const PACKED: [&str; 7] = [".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip", ".Z"];

/// Bytes of the beginning of a file, and of its end, that are compared with another one: as much as
/// is read in a moment.
const COMPARED_BYTES_MAX: u64 = 64 << 20;

/// Names without a number or date that programs give to the log before.
const UNNUMBERED: [&str; 6] = ["", ".old", ".bak", ".prev", "~", ".0"];

/// Numbers of rotated files have fewer digits than dates.
const NUMBER_DIGITS_MAX: usize = 6;

/// Listings of a directory in one look until two in a row have the same files.
const LISTINGS_MAX: usize = 8;

/// The regular files beside these ones, as far as their directories can be listed, by their paths.
///
/// Names are listed one after the other: while a log is rotated, a file may be seen under none of
/// its names, or under the old one. So a listing counts when the one before has the same files with
/// names of these logs.
///
/// # Errors
///
/// Those that are passing: what is there is not known by then.
pub(super) fn siblings(paths: &[&Path]) -> io::Result<Vec<Sibling>> {
    let is_of_log = |it: &&Sibling| {
        let is_of =
            |&path: &&Path| it.path == path || Log { path, named: path }.age(&it.path).is_some();
        paths.iter().any(is_of)
    };
    let mut before = None;
    for _ in 0..LISTINGS_MAX {
        let found = list(paths)?;
        let logs = found.iter().filter(is_of_log).map(|it| (it.path.clone(), it.id));
        let logs = Some(logs.collect::<Vec<_>>());
        if logs == before {
            return Ok(found);
        }
        before = logs;
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "the log is being rotated"))
}

fn list(paths: &[&Path]) -> io::Result<Vec<Sibling>> {
    let mut directories: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    directories.dedup();
    // By two paths of a directory, or by two links, a file is found once.
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for directory in directories {
        let here = directory.as_os_str().is_empty();
        let directory = if here { Path::new(".") } else { directory };
        #[cfg(test)]
        faults::check(faults::Op::List)?;
        let Some(entries) = unless_passing(std::fs::read_dir(directory))? else { continue };
        for entry in entries {
            let Some(entry) = unless_passing(entry)? else { continue };
            let path = entry.path();
            let Some(metadata) = unless_passing(regular(&path))? else { continue };
            let Ok(modified) = metadata.modified() else { continue };
            let (id, bytes) = (FileId::of(&metadata), metadata.len());
            if known.insert(id) {
                found.push(Sibling { path, id, bytes, modified });
            }
        }
    }
    found.sort_by(|one: &Sibling, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Whether a file has a name that editors, and `sed -i.bak`, give to what was there before.
pub(super) fn is_backup(path: &Path) -> bool {
    let name = path.as_os_str().to_string_lossy();
    [".bak", "~", ".orig"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a file begins with all that another one holds; of a long one its beginning and its end
/// are compared.
pub(super) fn begins_with(path: &Path, other: &Path) -> io::Result<bool> {
    let [file, other] = [open_regular(path)?, open_regular(other)?];
    let len = other.metadata()?.len();
    let head = len.min(COMPARED_BYTES_MAX);
    let tail = head.max(len.saturating_sub(COMPARED_BYTES_MAX));
    Ok(is_same(&file, &other, 0, head)? && is_same(&file, &other, tail, len)?)
}

fn is_same(mut file: &File, mut other: &File, from: u64, to: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(from))?;
    other.seek(SeekFrom::Start(from))?;
    let [mut file, mut other] = [file, other].map(|it| BufReader::new(it.take(to - from)));
    loop {
        let (own, expected) = (file.fill_buf()?, other.fill_buf()?);
        let len = own.len().min(expected.len());
        if len == 0 {
            return Ok(expected.is_empty());
        }
        if own[..len] != expected[..len] {
            return Ok(false);
        }
        file.consume(len);
        other.consume(len);
    }
}

/// Whether a file is compressed in a way that cannot be read here, by its name.
pub(super) fn is_packed_otherwise(path: &Path) -> bool {
    let name = path.as_os_str().to_string_lossy();
    PACKED[2..].iter().any(|ending| name.ends_with(ending))
}

/// A log that is rotated: the file that was read, and the one that has the log's name now. They are
/// the same path, unless a link was set from one to the other.
pub(super) struct Log<'a> {
    pub(super) path: &'a Path,
    pub(super) named: &'a Path,
}

impl Log<'_> {
    /// The age of a file that has a name which the log is given when it is rotated; `None` for all
    /// other names.
    pub(super) fn age(&self, other: &Path) -> Option<Age> {
        let [log, named, other] =
            [self.path, self.named, other].map(|path| path.file_name().and_then(OsStr::to_str));
        let (log, named, other) = (log?, named?, other?);
        let without_digits = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "#");
        // A link that leads to `app-20260131.log` today, and to the next day's tomorrow.
        if log != named && without_digits(log) == without_digits(named) {
            let is_one = without_digits(other) == without_digits(log);
            return is_one
                .then(|| Age::Date(other.matches(|c: char| c.is_ascii_digit()).collect()));
        }
        if log == other {
            return None;
        }
        let other = PACKED.iter().find_map(|ending| other.strip_suffix(ending)).unwrap_or(other);
        if let Some(rest) = other.strip_prefix(log) {
            return if UNNUMBERED.contains(&rest) { Some(Age::Unknown) } else { age_of(rest) };
        }
        // `app.log` is rotated to `app.1.log` and `app-2026-01-31.log`, too.
        let (stem, ending) = log.rsplit_once('.')?;
        let rest = other.strip_prefix(stem)?.strip_suffix(ending)?.strip_suffix('.')?;
        age_of(rest)
    }
}

/// The age that a part of a name says: digits, and what stands between those of dates.
fn age_of(part: &str) -> Option<Age> {
    let is_separator = |c: char| matches!(c, '.' | '-' | '_' | ':' | 'T' | 'Z' | '+');
    let digits: String = part.chars().filter(char::is_ascii_digit).collect();
    let is_age = part.chars().all(|c| c.is_ascii_digit() || is_separator(c));
    // A separator stands before: `log2` is another log than `log`.
    if !is_age || digits.is_empty() || !part.starts_with(is_separator) {
        return None;
    }
    let is_number = digits.len() <= NUMBER_DIGITS_MAX && part[1..] == digits;
    Some(match digits.parse() {
        Ok(number) if is_number => Age::Number(number),
        _ => Age::Date(digits),
    })
}

/// A point in the rotation of a log: a file's age by its name, and when it was last modified.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) age: Option<Age>,
    pub(super) modified: SystemTime,
}

impl Point {
    /// Whether this file had the name later than the other: by their names, or else by their times.
    fn is_after(&self, other: &Point) -> bool {
        match (&self.age, &other.age) {
            (Some(Age::Number(own)), Some(Age::Number(other))) => own < other,
            (Some(Age::Date(own)), Some(Age::Date(other))) if own.len() == other.len() => {
                own > other
            }
            _ => self.modified > other.modified,
        }
    }
}

/// The files that had the log's name after the file at `point` and before the one that has it now,
/// the oldest first. Empty ones are left out.
pub(super) fn between<'a>(
    siblings: &'a [Sibling],
    log: &Log<'_>,
    point: &Point,
    is_known: impl Fn(FileId) -> bool,
) -> Vec<&'a Sibling> {
    let mut found: Vec<(Age, &Sibling)> = siblings
        .iter()
        .filter(|sibling| sibling.bytes > 0 && !is_known(sibling.id))
        .filter_map(|sibling| Some((log.age(&sibling.path)?, sibling)))
        .filter(|(age, sibling)| {
            let own = Point { age: Some(age.clone()), modified: sibling.modified };
            own.is_after(point)
        })
        .collect();
    // One order for all of them: by their names if these are of one kind, or else by their times.
    found.sort_by_key(|(_, sibling)| sibling.modified);
    if found.iter().all(|(age, _)| matches!(age, Age::Number(_))) {
        found.sort_by_key(|(age, _)| match age {
            Age::Number(number) => Reverse(*number),
            _ => Reverse(0),
        });
    } else if found.iter().all(|(age, _)| matches!(age, Age::Date(_))) {
        found.sort_by_key(|(age, _)| match age {
            Age::Date(digits) => digits.clone(),
            _ => String::new(),
        });
    }
    found.into_iter().map(|(_, sibling)| sibling).collect()
}

/// The number of a file that is missing between the one at `point` and the log.
pub(super) fn missing(siblings: &[Sibling], log: &Log<'_>, point: &Point) -> Option<u64> {
    let Some(Age::Number(number)) = point.age else { return None };
    let is_there = |wanted: u64| {
        siblings.iter().any(|sibling| log.age(&sibling.path) == Some(Age::Number(wanted)))
    };
    (1..number).rev().find(|&number| !is_there(number))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::source::open_file::is_passing;

    fn age_among(log: &str, other: &str) -> Option<Age> {
        Log { path: Path::new(log), named: Path::new(log) }.age(Path::new(other))
    }

    #[test]
    fn names_of_rotated_logs() {
        let number = |number| Some(Age::Number(number));
        let date = |digits: &str| Some(Age::Date(digits.to_owned()));
        for (name, expected) in [
            ("log.1", number(1)),
            ("log.12.gz", number(12)),
            ("log-3.zst", number(3)),
            ("log-20260131", date("20260131")),
            ("log.2026-01-31", date("20260131")),
            ("log.2026-01-31T10:00:00Z.xz", date("20260131100000")),
            ("log-1769850000", date("1769850000")),
            ("log.old", Some(Age::Unknown)),
            ("log.gz", Some(Age::Unknown)),
            ("log", None),
            ("log2", None),
            ("log.err", None),
            ("log.err.1", None),
            ("catalog.1", None),
            ("other", None),
        ] {
            assert_eq!(age_among("dir/log", name), expected, "{name}");
        }
        assert_eq!(age_among("app.log", "app.2.log"), number(2));
        assert_eq!(age_among("app.log", "app-2026-01-31.log.gz"), date("20260131"));
        assert_eq!(age_among("app.log", "app.log.2"), number(2));
        assert_eq!(age_among("app.log", "app2.log"), None);
        assert_eq!(age_among("app.log", "app-web.log"), None);
    }

    /// However many files a rotation renames, and whenever they are looked for.
    #[test]
    fn none_is_missed_while_files_are_renamed() {
        const FILES: usize = 300;
        let folder = tempfile::tempdir().unwrap();
        let name = |number: usize| folder.path().join(format!("log.{number}"));
        for number in 1..=FILES {
            std::fs::write(name(number), "x").unwrap();
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut first = 1;
                while !is_over.load(Ordering::Relaxed) {
                    for number in (first..first + FILES).rev() {
                        std::fs::rename(name(number), name(number + 1)).unwrap();
                    }
                    first += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let log = folder.path().join("log");
            let counts: Vec<_> = (0..100).map(|_| siblings(&[&log]).map(|it| it.len())).collect();
            is_over.store(true, Ordering::Relaxed);
            assert!(counts.iter().any(Result::is_ok));
            for count in counts {
                match count {
                    Ok(count) => assert_eq!(count, FILES),
                    Err(error) => assert!(is_passing(&error), "{error}"),
                }
            }
        });
    }

    /// Files with these names, each modified a second after the one before.
    fn files(names: &[&str]) -> Vec<Sibling> {
        let metadata = std::fs::metadata(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = |(second, name): (u64, &&str)| Sibling {
            path: Path::new("dir").join(name),
            id: FileId::of(&metadata),
            bytes: 1,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        };
        (0..).zip(names).map(file).collect()
    }

    #[test]
    fn files_between_a_rotated_one_and_the_log() {
        let check = |names: &[&str], ours: &str, expected: &[&str], gap: Option<u64>| {
            let files = files(names);
            let log = Log { path: Path::new("dir/log"), named: Path::new("dir/log") };
            let own = files.iter().find(|file| file.path.ends_with(ours)).unwrap();
            let point = Point { age: log.age(&own.path), modified: own.modified };
            let found = between(&files, &log, &point, |_| false);
            let found: Vec<_> = found.iter().map(|file| file.path.file_name().unwrap()).collect();
            assert_eq!(found, expected, "{names:?} after {ours}");
            assert_eq!(missing(&files, &log, &point), gap, "{names:?} after {ours}");
        };
        check(&["log.3", "log.2", "log.1", "log"], "log.3", &["log.2", "log.1"], None);
        check(&["log.3.gz", "log.2", "log.1", "log"], "log.2", &["log.1"], None);
        // By their numbers, whatever was modified since.
        check(&["log.1", "log.2", "log.3", "log"], "log.1", &[], None);
        check(&["log.4", "log.3", "log.1"], "log.4", &["log.3", "log.1"], Some(2));
        check(
            &["log-20260103", "log-20260102", "log-20260101"],
            "log-20260102",
            &["log-20260103"],
            None,
        );
        // Where the names do not tell, the times do.
        check(
            &["log.old", "renamed", "log.1", "log-20260101"],
            "renamed",
            &["log.1", "log-20260101"],
            None,
        );
    }
}
