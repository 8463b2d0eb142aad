//! The log on a disk that fails and forgets: what was acknowledged comes back, once, in order and
//! as it was.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill_kernels::TextBuffer;

use super::files::{SEGMENT_BYTES, numbers_in};
use super::segment::{Header, header, next_block, prefix, read_header};
use super::{Counted, IntakeLog, Log, LogFiles, number_at, position_of};
use crate::error::Error;
use crate::record::block::SharedText;
use crate::storage::Storage;
use crate::storage::faulty::{Fault, FaultyDisk};

const DIRECTORY: &str = "/state/intake";
const SOURCE: &str = "listen :9999";
const LIFE: u64 = 7;

/// The lines of the block with this number; lengths differ.
fn text_of(number: u64) -> String {
    let lines = 1 + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 40;
    (0..lines).map(|line| format!("{number} {line} é\n")).collect()
}

fn block(number: u64) -> SharedText {
    let text = text_of(number);
    let mut buffer = TextBuffer::with_capacity(text.len());
    buffer.spare()[..text.len()].copy_from_slice(text.as_bytes());
    buffer.advance(text.len());
    SharedText::from(Arc::new(buffer))
}

/// The files with blocks.
fn paths_of(disk: &FaultyDisk) -> Vec<PathBuf> {
    let mut paths = disk.list(Path::new(DIRECTORY)).unwrap();
    paths.retain(|path| numbers_in(path).is_some());
    paths
}

fn open(disk: &FaultyDisk) -> Result<LogFiles, Error> {
    LogFiles::open(Arc::new(disk.clone()), Path::new(DIRECTORY), SOURCE, LIFE)
}

/// What a log and those who use it know.
#[derive(Default)]
struct Course {
    /// The last block that was sealed, and the last that is in the log.
    last: u64,
    logged: u64,
    /// The blocks of which their sender was told that they are safe.
    acknowledged: BTreeSet<u64>,
    /// The last blocks of the two newest checkpoints.
    saved: [u64; 2],
}

impl Course {
    /// One process: goes on after what is there, and logs `blocks` more, with checkpoints between.
    /// False if it could not begin.
    fn live(&mut self, disk: &FaultyDisk, settings: IntakeLog, blocks: u64) -> bool {
        let Ok(files) = open(disk) else { return false };
        if self.replay(&files).is_err() || files.make_directory().is_err() {
            return false;
        }
        let log = Log::new(settings, 64 << 20, files);
        let acknowledged = Mutex::new(self.last);
        let mut sealed = BTreeSet::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                log.run(
                    &|position| {
                        let number = u64::from_le_bytes(position.try_into().unwrap());
                        let before = std::mem::replace(&mut *acknowledged.lock().unwrap(), number);
                        assert!(number > before, "{number} is acknowledged after {before}");
                    },
                    &|_| {},
                );
            });
            for count in 0..blocks {
                self.last = self.last.max(self.logged) + 1;
                let position = Some(self.last.to_le_bytes().to_vec());
                log.push(self.last, self.logged, vec![], Some(block(self.last)), position);
                self.logged = self.last;
                sealed.insert(self.last);
                sealed.insert(self.last);
                if count % 5 == 4 {
                    let number = self.last - 2;
                    self.saved = [self.saved[1], number];
                    log.saved(self.saved[0]);
                }
                if count % 3 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            assert!(log.finish(Duration::from_secs(30)));
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        self.acknowledged.extend(sealed.range(..=acknowledged));
        true
    }

    /// What comes again after the newest checkpoint, or the one before: all that was acknowledged.
    fn replay(&mut self, files: &LogFiles) -> Result<(), Error> {
        for saved in self.saved {
            let mut replay = files.replay_after(saved);
            let mut last = saved;
            while let Some(found) = replay.next()? {
                assert_eq!(found.lost, 0, "before {}", found.number);
                assert_eq!(found.bytes, text_of(found.number).as_bytes());
                for number in last + 1..found.number {
                    // It came into a checkpoint and never into the log.
                    let is_safe = self.acknowledged.contains(&number);
                    assert!(!is_safe, "{number} is lost, of those after {saved}");
                }
                last = found.number;
            }
            let acknowledged = self.acknowledged.last().copied().unwrap_or(0);
            assert!(last >= acknowledged, "{last} is the last, and {acknowledged} is lost");
            // What was not acknowledged is sent again, under numbers that are free.
            (self.last, self.logged) = (last, replay.greatest());
        }
        Ok(())
    }

    fn check(&mut self, disk: &FaultyDisk) {
        disk.fail(0);
        let files = open(disk).expect("nothing fails now");
        self.replay(&files).expect("nothing fails now");
    }
}

/// Each operation once in each way, and a crash that forgets what was not synced.
#[test]
fn every_operation_fails_in_turn() {
    for (fault, and_after) in Fault::each_way() {
        for operation in 0.. {
            let disk = FaultyDisk::new(operation + 1);
            let mut course = Course::default();
            assert!(course.live(&disk, IntakeLog::synced(), 12));
            disk.fail_at(operation, and_after, fault);
            course.live(&disk, IntakeLog::synced(), 20);
            if disk.failed().is_none() {
                assert!(operation > 20, "only {operation} operations");
                break;
            }
            disk.fail(0);
            disk.crash();
            course.check(&disk);
            assert!(course.live(&disk, IntakeLog::synced(), 7));
            course.check(&disk);
        }
    }
}

#[test]
fn long_courses() {
    for seed in 0..if cfg!(debug_assertions) { 60 } else { 600 } {
        let disk = FaultyDisk::new(seed);
        let mut course = Course::default();
        for life in 0..6 {
            disk.fail([0, 20, 200][((seed + life) % 3) as usize]);
            course.live(&disk, IntakeLog::synced(), (seed * 7 + life * 11) % 30);
            disk.fail(0);
            disk.crash();
        }
        course.check(&disk);
    }
}

/// A crash of the process alone loses nothing that was written.
#[test]
fn group_commit() {
    let window = IntakeLog::group_commit(Duration::from_millis(2));
    for seed in 0..20 {
        let disk = FaultyDisk::new(seed);
        let mut course = Course::default();
        for _ in 0..4 {
            disk.fail(20 * (seed % 2));
            course.live(&disk, window, 15);
            course.check(&disk);
        }
        // At its end it is synced, so that a machine that crashes then loses nothing either.
        if seed % 2 == 0 {
            disk.crash();
            course.check(&disk);
        }
    }
    assert!(IntakeLog::group_commit(Duration::ZERO).check().is_err());
    assert!(IntakeLog::group_commit(Duration::from_secs(61)).check().is_err());
}

/// Files go when two checkpoints have what is in them, and only then.
#[test]
fn old_files_are_removed() {
    let disk = FaultyDisk::new(1);
    let mut course = Course::default();
    for _ in 0..10 {
        assert!(course.live(&disk, IntakeLog::synced(), 40));
    }
    let files = open(&disk).unwrap();
    let bytes: usize = (course.saved[0]..=course.last).map(|n| text_of(n).len() + 28).sum();
    assert!(files.bytes() < bytes as u64 + 2 * SEGMENT_BYTES, "{} bytes", files.bytes());
    // What is gone is asked for in vain.
    let counted = files.replay_after(1).count().unwrap();
    assert!(counted.lost > 0, "{counted:?}");
    assert_eq!(counted.first_lost, Some((2, 1 + counted.lost)));
}

/// Whatever is done to a file, each block that comes is one that was written, all that are whole
/// come, and what is missing between them is counted.
#[test]
fn damage() {
    let disk = FaultyDisk::new(3);
    let mut course = Course { saved: [0, 0], ..Course::default() };
    assert!(course.live(&disk, IntakeLog::synced(), 4));
    let paths = paths_of(&disk);
    let [path] = paths.as_slice() else { panic!("the log is in one file: {paths:?}") };
    let whole = disk.read(path).unwrap();
    // What the file itself tells.
    disk.remove(&super::files::marks_beside(path)).unwrap();
    let salt = numbers_in(path).unwrap().salt;
    let (_, mut at) = read_header(&whole);
    let header = 0..at;
    let (mut blocks, mut marks) = (vec![header], Vec::new());
    while let Some(found) = next_block(salt, &whole, at) {
        match found.is_mark() {
            true => marks.push((at..found.range.end, found.number)),
            false => blocks.push(at..found.range.end),
        }
        at = found.range.end;
    }
    assert_eq!((blocks.len(), at), (5, whole.len()));
    assert_eq!(marks.last().map(|(_, number)| *number), Some(4));
    // What is whole of it is what a part of the file says.
    let check = |bytes: Vec<u8>, is_whole: &dyn Fn(&Range<usize>) -> bool| {
        disk.overwrite(path, bytes);
        let replay = || open(&disk).unwrap().replay_after(0);
        let (mut replayed, mut found, mut lost) = (replay(), Vec::new(), 0);
        while let Some(block) = replayed.next().unwrap() {
            assert_eq!(block.bytes, text_of(block.number).as_bytes());
            found.push(block.number);
            lost += block.lost;
        }
        lost += replayed.lost_at_end();
        let expected: Vec<u64> =
            (1..=4).filter(|&number| is_whole(&blocks[number as usize])).collect();
        assert_eq!(found, expected);
        // What was synced is missed wherever it was, also at the end.
        let synced = marks.iter().filter(|(range, _)| is_whole(range)).map(|(_, number)| *number);
        let last = synced.max().max(found.last().copied()).unwrap_or(0);
        assert_eq!(lost + found.len() as u64, last);
        let Counted { blocks, lost: counted, first_lost } = replay().count().unwrap();
        assert_eq!((blocks, counted), (found.len() as u64, lost));
        let first = (1..=last).find(|number| !found.contains(number));
        assert_eq!(first_lost.map(|(first, _)| first), first);
    };
    for len in 0..whole.len() {
        check(whole[..len].to_vec(), &|range| range.end <= len);
    }
    for bit in 0..8 * whole.len() {
        // All of what is not text, and some of what is.
        if bit % 7 != 0 && whole[bit / 8].is_ascii_alphanumeric() {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        check(bytes, &|range| !range.contains(&(bit / 8)));
    }
}

/// Data may hold whatever it likes: what begins as a block in it is none, since nobody knows the
/// salt of the file that it comes to.
#[test]
fn data_forges_no_block() {
    let disk = FaultyDisk::new(9);
    let mut files = open(&disk).unwrap();
    let forged: Vec<u8> = [0, 1, u64::MAX]
        .into_iter()
        .flat_map(|salt| [&prefix(salt, 7, 1, b"", b"forged\n")[..], b"forged\n"].concat())
        .collect();
    files.append(1, 0, &[], &forged).unwrap();
    files.append(2, 1, &[], b"honest\n").unwrap();
    files.sync().unwrap();
    let path = &paths_of(&disk)[0];
    // Its length is wrong, so that what comes next is looked for within it.
    let mut bytes = disk.read(path).unwrap();
    let at = read_header(&bytes).1;
    bytes[at + 4] ^= 1;
    disk.overwrite(path, bytes);
    let mut replay = open(&disk).unwrap().replay_after(0);
    let found = replay.next().unwrap().unwrap();
    assert_eq!((found.number, found.bytes, found.lost), (2, &b"honest\n"[..], 1));
    assert!(replay.next().unwrap().is_none());
}

/// The next number would be none.
#[test]
fn numbers_do_not_wrap() {
    for (number, is_one) in [(1 << 62, true), ((1 << 62) + 1, false), (u64::MAX, false)] {
        let block = [&prefix(3, number, 1, b"", b"x\n")[..], b"x\n"].concat();
        assert_eq!(next_block(3, &block, 0).is_some(), is_one, "{number}");
    }
}

/// Where all that was logged is in a checkpoint, and that is damaged, what it had is gone: the one
/// before it cannot be gone on from in silence.
#[test]
fn what_is_gone_is_known_also_of_an_empty_log() {
    let disk = FaultyDisk::new(11);
    let mut files = open(&disk).unwrap();
    let lines = vec![b'x'; SEGMENT_BYTES as usize];
    for number in 1..=6 {
        files.append(number, number - 1, &[], &lines).unwrap();
        files.sync().unwrap();
        files.prune(number).unwrap();
        // What a restart finds, whatever was removed.
        let found = open(&disk).unwrap();
        assert!(found.replay_after(number).next().unwrap().is_none());
        let before = found.replay_after(number.saturating_sub(3)).count().unwrap();
        let first = number.saturating_sub(3) + 1;
        let gone = (number > 1).then_some((first, number - 1));
        assert_eq!(before.first_lost, gone, "{number}");
    }
}

/// What says so beside a file is enough, and where that is damaged, too, nothing else is.
#[test]
fn a_file_that_is_cut_short_is_known_by_the_one_beside_it() {
    let disk = FaultyDisk::new(13);
    let mut course = Course::default();
    assert!(course.live(&disk, IntakeLog::synced(), 4));
    let path = &paths_of(&disk)[0];
    let whole = disk.read(path).unwrap();
    let lost = || open(&disk).unwrap().replay_after(0).count().unwrap();
    assert_eq!(lost(), Counted { blocks: 4, ..Counted::default() });
    for len in 0..whole.len() {
        disk.overwrite(path, whole[..len].to_vec());
        let counted = lost();
        assert_eq!(counted.blocks + counted.lost, 4, "{len} bytes");
    }
    disk.overwrite(path, whole);
    let beside = super::files::marks_beside(path);
    let marks = disk.read(&beside).unwrap();
    for at in 0..marks.len() {
        let mut bytes = marks.clone();
        bytes[at] ^= 1;
        disk.overwrite(&beside, bytes);
        assert_eq!((lost().blocks, lost().lost), (4, 0), "byte {at}");
        disk.overwrite(&beside, marks[..at].to_vec());
        assert_eq!((lost().blocks, lost().lost), (4, 0), "{at} bytes");
    }
}

/// A log with the same numbers, of the same source and from elsewhere, is none of this one's.
#[test]
fn the_log_of_another_life_is_not_replayed() {
    let disk = FaultyDisk::new(12);
    let open_as = |life| LogFiles::open(Arc::new(disk.clone()), Path::new(DIRECTORY), SOURCE, life);
    for (life, line) in [(LIFE, "own\n"), (LIFE + 1, "alien\n")] {
        let mut files = open_as(life).unwrap();
        assert!(files.is_empty());
        files.append(1, 0, &[], line.as_bytes()).unwrap();
        files.sync().unwrap();
    }
    for (life, line) in [(LIFE, "own\n"), (LIFE + 1, "alien\n")] {
        let mut replay = open_as(life).unwrap().replay_after(0);
        let found = replay.next().unwrap().unwrap();
        assert_eq!((found.number, found.bytes), (1, line.as_bytes()));
        assert!(replay.next().unwrap().is_none());
    }
    let third = open_as(LIFE + 2).unwrap();
    assert!(third.is_empty() && third.bytes() == 0);
    // A name with other numbers is none of ours either.
    let path = &paths_of(&disk)[0];
    let numbers = numbers_in(path).unwrap();
    assert!(numbers.is_of(LIFE) && !numbers.is_of(LIFE + 1));
    assert!(!super::files::Numbers { first: 2, ..numbers }.is_of(LIFE));
}

#[test]
fn another_log() {
    let disk = FaultyDisk::new(5);
    let mut course = Course::default();
    assert!(course.live(&disk, IntakeLog::synced(), 3));
    let path = &paths_of(&disk)[0];
    let mut bytes = header("listen :8888");
    bytes.extend(prefix(numbers_in(path).unwrap().salt, 1, 0, b"", b"x\n"));
    bytes.extend(b"x\n");
    disk.overwrite(path, bytes);
    let mut replay = open(&disk).unwrap().replay_after(0);
    let error = replay.next().map(drop).unwrap_err();
    assert!(error.to_string().contains("it is that of source \"listen :8888\""), "{error}");

    let mut bytes = header(SOURCE);
    bytes[8] = 1;
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(read_header(&bytes), (Header::Version(1), bytes.len()));
}

#[test]
fn positions() {
    for number in [0, 1, 127, 128, u64::MAX] {
        assert_eq!(number_at(&position_of(number, b"senders")), number);
    }
    // That of a source before it had a log.
    assert_eq!(number_at(b"\x01\x02\x03"), 0);
}

/// Names of sources that no system takes, and such that differ at their ends.
#[test]
fn names_of_files() {
    let disk = FaultyDisk::new(7);
    let names = ["a/b", "a%2fb", "..", "é".repeat(300).as_str(), &("é".repeat(299) + "x")]
        .map(str::to_owned);
    for (number, name) in (1..).zip(&names) {
        let storage = Arc::new(disk.clone());
        let mut files = LogFiles::open(storage, Path::new(DIRECTORY), name, LIFE).unwrap();
        files.append(number, number - 1, &[], b"x\n").unwrap();
        files.sync().unwrap();
    }
    for (number, name) in (1..).zip(&names) {
        let storage = Arc::new(disk.clone());
        let files = LogFiles::open(storage, Path::new(DIRECTORY), name, LIFE).unwrap();
        let mut replay = files.replay_after(number - 1);
        assert_eq!(replay.next().unwrap().map(|block| block.number), Some(number), "{name}");
        assert!(replay.next().unwrap().is_none());
    }
    for path in paths_of(&disk) {
        assert!(path.file_name().unwrap().len() < 255);
    }
}
