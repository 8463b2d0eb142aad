//! The files of one source's log: appended to, closed when they are large, and removed when all
//! checkpoints that are kept have all that is in them.
//!
//! Invariant: after an error nothing more is appended to a file, and what was not acknowledged of
//! it is written again to the next. So all that was acknowledged from the first block of a file on
//! is in that file and those after it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::replay::Replay;
use super::segment::{PREFIX_BYTES, header, mark, prefix};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Storage, StorageFile, made_up, write_all};

/// Bytes after which a file is closed: few enough to be read at once, and that little is kept in
/// vain.
pub(super) const SEGMENT_BYTES: u64 = if cfg!(test) { 4 << 10 } else { 16 << 20 };

/// Bytes of a source's name in the names of its files: systems allow 255 in all.
const STEM_BYTES_MAX: usize = 180;

/// The digits in the name of a file: of its own number, and of its first block's, and those to base
/// 16 of its salt.
const DIGITS: [usize; 3] = [10, 20, 16];

/// The files of a log.
#[derive(Debug)]
pub(crate) struct LogFiles {
    // Fixed.
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    source: String,
    stem: String,
    /// That of the directory: what another directory's log has is not this one's.
    life: u64,
    // Changing.
    /// Files that nothing is appended to, oldest first.
    closed: Vec<Segment>,
    open: Option<Open>,
    /// The files beside them, which say what was synced.
    marks: Vec<PathBuf>,
    /// The number of the next file.
    next: u64,
}

#[derive(Clone, Debug)]
struct Segment {
    path: PathBuf,
    number: u64,
    /// The number of its first block.
    first: u64,
    salt: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Open {
    segment: Segment,
    file: Box<dyn StorageFile>,
    /// What is said of syncs a second time, beside the file: where that is cut short, nothing in it
    /// tells. `None` where that could not be written, and only the file itself says so.
    marks: Option<Box<dyn StorageFile>>,
    /// Its last block.
    last: u64,
    /// Its name may not outlive a crash yet.
    is_new: bool,
}

impl LogFiles {
    /// The log of a source in this directory, of which there need be none yet.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        directory: &Path,
        source: &str,
        life: u64,
    ) -> Result<LogFiles> {
        let failed = |error| {
            let message =
                format!("cannot open the intake log of {source:?} in {}", directory.display());
            Error::caused(ErrorKind::Checkpoint, message, error)
        };
        let stem = stem_of(source);
        let (mut closed, mut marks, mut next) = (Vec::new(), Vec::new(), 0);
        let paths = match storage.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(failed)?,
        };
        for path in paths {
            if let Some(of) = marked_by(&path) {
                let numbers = numbers_in(&of);
                if numbers.is_some_and(|numbers| numbers.stem == stem && numbers.is_of(life)) {
                    marks.push(path);
                }
                continue;
            }
            if let Some(numbers) = numbers_in(&path).filter(|numbers| numbers.stem == stem) {
                let Numbers { number, first, salt, .. } = numbers;
                next = next.max(number + 1);
                if !numbers.is_of(life) {
                    let path = path.display();
                    tracing::warn!(%path, "a file of another directory's intake log is not read");
                    continue;
                }
                let bytes = storage.byte_len(&path).map_err(failed)?;
                closed.push(Segment { path, number, first, salt, bytes });
            }
        }
        closed.sort_by_key(|segment| segment.number);
        retain_marks(&mut marks, closed.first().map(|first: &Segment| first.number));
        let (directory, source) = (directory.to_owned(), source.to_owned());
        Ok(LogFiles { storage, directory, source, stem, life, closed, open: None, marks, next })
    }

    /// Makes the directory. To be called before anything is appended.
    pub(crate) fn make_directory(&self) -> Result<()> {
        self.storage.create_directory(&self.directory).map_err(|error| {
            let message = format!("cannot make {} for the intake log", self.directory.display());
            Error::caused(ErrorKind::Checkpoint, message, error)
        })
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.segment.bytes);
        self.closed.iter().map(|segment| segment.bytes).sum::<u64>() + open
    }

    /// Whether nothing is there that was written before this process. Once a block was, there is
    /// always a file: what is needless is removed only up to the last one.
    pub(crate) fn is_empty(&self) -> bool {
        self.closed.is_empty()
    }

    /// What was written before this process and comes after a block; to be asked before anything is
    /// appended.
    pub(crate) fn replay_after(&self, number: u64) -> Replay {
        let from = self.first_needed(number);
        let paths = self.closed[from..].iter().map(|segment| segment.path.clone()).collect();
        let marks = self.marks.clone();
        Replay::new(self.storage.clone(), self.source.clone(), (paths, marks), number)
    }

    /// The first of the closed files that has something after a block: the last one that begins
    /// with it, or before.
    fn first_needed(&self, number: u64) -> usize {
        self.closed
            .iter()
            .rposition(|segment| segment.first <= number.saturating_add(1))
            .unwrap_or(0)
    }

    /// Appends a block, its head and its rows. After an error, [`abandon`](Self::abandon).
    pub(super) fn append(
        &mut self,
        number: u64,
        before: u64,
        head: &[u8],
        rows: &[u8],
    ) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.segment.bytes >= SEGMENT_BYTES) {
            self.sync()?;
            self.abandon();
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.begin(number)?,
        };
        write_all(&mut *open.file, &prefix(open.segment.salt, number, before, head, rows))?;
        write_all(&mut *open.file, head)?;
        write_all(&mut *open.file, rows)?;
        open.segment.bytes += (PREFIX_BYTES + head.len() + rows.len()) as u64;
        open.last = number;
        Ok(())
    }

    /// Makes what was appended last.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.sync()?;
        if open.is_new {
            self.storage.sync_directory(&self.directory)?;
            open.is_new = false;
        }
        Ok(())
    }

    /// Says, after a sync, that all up to its last block was synced.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        write_all(&mut *open.file, &mark(open.segment.salt, open.last))?;
        open.segment.bytes += PREFIX_BYTES as u64;
        // After one that failed nobody knows what is there: the file itself has them all.
        let mark = mark(open.segment.salt, open.last);
        if let Some(marks) = &mut open.marks
            && write_all(&mut **marks, &mark).is_err()
        {
            open.marks = None;
        }
        Ok(())
    }

    /// Appends nothing more to the file that is open.
    pub(super) fn abandon(&mut self) {
        self.closed.extend(self.open.take().map(|open| open.segment));
    }

    /// Removes files of which every block is up to this one. Of the one that is open, once it is
    /// worth a new one.
    pub(super) fn prune(&mut self, needless: u64) -> io::Result<()> {
        if let Some(open) = &self.open
            && open.last <= needless
            && open.segment.bytes >= SEGMENT_BYTES / 4
        {
            // Nobody reads it, and so nothing of it has to be last. But it stays until there is
            // another one: where there is none, nobody knows that blocks are gone.
            self.abandon();
            return self.remove(self.closed.len() - 1);
        }
        match &self.open {
            Some(open) if open.segment.first <= needless + 1 => self.remove(self.closed.len()),
            _ => self.remove(self.first_needed(needless)),
        }
    }

    /// Removes the oldest files.
    fn remove(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            match self.storage.remove(&self.closed[0].path) {
                // It was removed before something failed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            let removed = self.closed.remove(0);
            // One that is left says nothing of what is needed.
            let _ = self.storage.remove(&marks_beside(&removed.path));
        }
        Ok(())
    }

    fn begin(&mut self, first: u64) -> io::Result<&mut Open> {
        let (number, [own, of_first, of_salt]) = (self.next, DIGITS);
        let salt = made_up() & !TAG_BITS;
        let salt = salt | tag(self.life, &self.stem, number, first, salt);
        self.next += 1;
        let name = format!("{}-{number:0own$}-{first:0of_first$}-{salt:0of_salt$x}", self.stem);
        let path = self.directory.join(name);
        let mut file = self.storage.create(&path)?;
        let header = header(&self.source);
        let bytes = header.len() as u64;
        let segment = Segment { path, number, first, salt, bytes };
        if let Err(error) = write_all(&mut *file, &header) {
            self.closed.push(segment);
            return Err(error);
        }
        let marks = self.storage.create(&marks_beside(&segment.path));
        let marks = marks.and_then(|mut marks| {
            write_all(&mut *marks, &header)?;
            Ok(marks)
        });
        let marks = marks.ok();
        Ok(self.open.insert(Open { segment, file, marks, last: first, is_new: true }))
    }
}

/// What is appended to a file's name for the one beside it.
const MARKS: &str = ".marks";

/// The file beside this one, with the marks of its syncs and no blocks.
pub(super) fn marks_beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(MARKS);
    PathBuf::from(beside)
}

/// The file that this one has marks of, if it has.
pub(super) fn marked_by(path: &Path) -> Option<PathBuf> {
    Some(PathBuf::from(path.to_str()?.strip_suffix(MARKS)?))
}

/// Keeps those of files from this one on: of older ones nothing is needed.
pub(super) fn retain_marks(marks: &mut Vec<PathBuf>, first: Option<u64>) {
    marks.retain(|path| {
        let of = marked_by(path);
        let number = of.as_deref().and_then(numbers_in).map(|numbers| numbers.number);
        first.is_some_and(|first| number >= Some(first))
    });
}

/// What the names of a source's files begin with: its name, as far as every system takes it.
fn stem_of(source: &str) -> String {
    let mut stem = String::new();
    for byte in source.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' => stem.push(byte.into()),
            _ => stem.push_str(&format!("%{byte:02x}")),
        }
    }
    if stem.len() > STEM_BYTES_MAX {
        stem.truncate(STEM_BYTES_MAX);
        stem.push_str(&format!("%{:08x}", crc32fast::hash(source.as_bytes())));
    }
    stem
}

/// What is in the name of a file.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbers<'a> {
    /// What stands for the source.
    pub(super) stem: &'a str,
    /// The file's own number.
    pub(super) number: u64,
    /// That of its first block.
    pub(super) first: u64,
    pub(super) salt: u64,
}

impl Numbers<'_> {
    /// Whether it is a file of the directory with this life.
    pub(super) fn is_of(&self, life: u64) -> bool {
        let salt = self.salt & !TAG_BITS;
        self.salt == salt | tag(life, self.stem, self.number, self.first, salt)
    }
}

/// The bits of a salt that say whose it is; the others are made up.
const TAG_BITS: u64 = 0xFFFF_FFFF;

/// What they say: so a file's name is enough to know it by.
fn tag(life: u64, stem: &str, number: u64, first: u64, salt: u64) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    [life, number, first, salt].iter().for_each(|part| hasher.update(&part.to_le_bytes()));
    hasher.update(stem.as_bytes());
    hasher.finalize().into()
}

pub(super) fn numbers_in(path: &Path) -> Option<Numbers<'_>> {
    let mut parts = path.file_name()?.to_str()?.rsplitn(4, '-');
    let (salt, first, number) = (parts.next()?, parts.next()?, parts.next()?);
    let stem = parts.next()?;
    if [number.len(), first.len(), salt.len()] != DIGITS {
        return None;
    }
    let (number, first) = (number.parse().ok()?, first.parse().ok()?);
    Some(Numbers { stem, number, first, salt: u64::from_str_radix(salt, 16).ok()? })
}
