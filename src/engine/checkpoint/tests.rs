//! Checkpoints held against a model: disks that fail, files that are damaged, and long courses of
//! writes and restarts. `TIDEMILL_SEEDS=n` runs more of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::format::{self, HEADER_BYTES};
use super::{Checkpoint, Section, Store, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Memory;
use crate::ops::Changes;
use crate::storage::Storage;
use crate::storage::faulty::{Fault, FaultyDisk, OPERATIONS};
use crate::time::Time;

const DIRECTORY: &str = "/checkpoints";

/// What is remembered: entries by section and number.
type Remembered = BTreeMap<String, BTreeMap<u64, Vec<u8>>>;

/// A program that remembers, and what it remembered after each of its batches.
struct Course {
    random: u64,
    number: u64,
    remembered: Remembered,
    history: BTreeMap<u64, Remembered>,
    /// The last batch whose checkpoint was said to be on disk.
    acknowledged: u64,
}

impl Course {
    fn new(seed: u64) -> Course {
        let random = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let (remembered, history) = Default::default();
        Course { random, number: 0, remembered, history, acknowledged: 0 }
    }

    fn random(&mut self, end: u64) -> u64 {
        // Xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    /// The next batch, and what of it is to be written.
    fn next(&mut self) -> Checkpoint {
        self.number += 1;
        let mut sections = Vec::new();
        for name in ["a", "b", "c"] {
            if self.random(7) == 0 {
                // Gone, whether or not it was there.
                self.remembered.remove(name);
            } else {
                let mut entries = self.remembered.remove(name).unwrap_or_default();
                let changes = self.change(&mut entries);
                self.remembered.insert(name.to_owned(), entries);
                sections.push(Section { name: name.to_owned(), form: "bytes".to_owned(), changes });
            }
        }
        self.history.insert(self.number, self.remembered.clone());
        Checkpoint {
            number: self.number,
            time: Time::from_millis(1_000 * self.number),
            zero: Time::from_millis(0),
            interval: Duration::from_secs(1),
            sources: positions(self.number),
            sections,
            is_whole: false,
        }
    }

    /// The same of all there is.
    fn whole(&mut self) -> Checkpoint {
        let checkpoint = self.next();
        let all = |section: Section| {
            let mut changes = Changes::whole();
            for (&number, bytes) in &self.remembered[&section.name] {
                changes.put(number, |out| out.extend_from_slice(bytes));
            }
            Section { changes, ..section }
        };
        let sections = checkpoint.sections.into_iter().map(all).collect();
        Checkpoint { sections, is_whole: true, ..checkpoint }
    }

    fn change(&mut self, entries: &mut BTreeMap<u64, Vec<u8>>) -> Changes {
        let mut changes = Changes::default();
        if self.random(8) == 0 {
            changes.forget_all();
            entries.clear();
        }
        let mut number = self.random(5);
        while number < 40 {
            if self.random(3) == 0 {
                changes.remove(number);
                entries.remove(&number);
            } else {
                let len = if self.random(20) == 0 { 200 } else { self.random(6) };
                let bytes = vec![self.random(256) as u8; len as usize];
                changes.put(number, |out| out.extend_from_slice(&bytes));
                entries.insert(number, bytes);
            }
            number += 1 + self.random(12);
        }
        changes
    }

    /// Goes on from what a restart found, of which it checks that it is what was there.
    #[track_caller]
    fn go_on_from(&mut self, found: Option<Checkpoint>) {
        let number = found.as_ref().map_or(0, |found| found.number);
        self.remembered = self.history.get(&number).cloned().unwrap_or_default();
        if let Some(found) = found {
            assert_eq!(found.time, Time::from_millis(1_000 * number));
            assert_eq!(found.sources, positions(number));
            assert_eq!(content(found), self.remembered, "checkpoint {number}");
        }
        (self.number, self.acknowledged) = (number, number);
    }

    /// Batches and restarts. Stops at the first error unless it is to try again.
    fn run(&mut self, disk: &FaultyDisk, steps: u64, is_tried_again: bool) -> Result<()> {
        let mut store = open(disk)?;
        let found = store.latest()?;
        self.go_on_from(found);
        store.find_older()?;
        for _ in 0..steps {
            let is_whole = store.wants_whole() || self.random(7) == 0;
            let checkpoint = if is_whole { self.whole() } else { self.next() };
            match store.write(&checkpoint) {
                Err(_) if is_tried_again => store.write(&checkpoint)?,
                written => written?,
            }
            self.acknowledged = self.number;
            match store.tidy() {
                // What failed is tried again after the next checkpoint.
                Err(_) if is_tried_again => {}
                tidied => tidied?,
            }
            if let Some(checked) = store.check_next() {
                // Only what fails here seems damaged.
                checked.or_else(|error| if is_tried_again { Ok(()) } else { Err(error) })?;
            }
            if self.random(9) == 0 {
                drop(store);
                store = open(disk)?;
                let found = store.latest()?;
                assert_eq!(found.as_ref().map(|found| found.number), Some(self.acknowledged));
                self.go_on_from(found);
                store.find_older()?;
            }
        }
        Ok(())
    }
}

/// Where sources stand after a batch: one that grows and shrinks as a directory's does, and one
/// that is not always there.
fn positions(number: u64) -> Vec<(String, Vec<u8>)> {
    let files = number / 2..number + 2;
    let files = files.flat_map(|file| format!("{file:>20}{:>13}\n", file * file).into_bytes());
    let files = ("files".to_owned(), files.chain(number.to_le_bytes()).collect());
    let lines = ("lines".to_owned(), number.to_le_bytes().to_vec());
    if number.is_multiple_of(5) { vec![files] } else { vec![lines, files] }
}

fn content(checkpoint: Checkpoint) -> Remembered {
    let entries = |changes: &Changes| {
        let put = changes.iter().map(|(number, bytes)| (number, bytes.expect("put").to_vec()));
        put.collect()
    };
    let sections = checkpoint.sections.into_iter();
    sections.map(|section| (section.name, entries(&section.changes))).collect()
}

fn open(disk: &FaultyDisk) -> Result<Store> {
    Store::open(Arc::new(disk.clone()), Path::new(DIRECTORY))
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let seeds = std::env::var("TIDEMILL_SEEDS").ok();
    0..seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn every_operation_fails_in_turn() {
    let mut failed = BTreeSet::new();
    let ways = |seed| Fault::each_way().map(move |way| (seed, way));
    // Each seed is a thousand courses: with many seeds one in eight is enough.
    for (seed, (fault, and_after)) in seeds(1).step_by(8).flat_map(ways) {
        for at in 0.. {
            let (mut course, disk) = (Course::new(seed), FaultyDisk::new(seed));
            disk.fail_at(at, and_after, fault);
            let ran = course.run(&disk, 12, !and_after);
            let Some(operation) = disk.failed() else {
                ran.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                break;
            };
            failed.insert(operation);
            let acknowledged = course.acknowledged;
            disk.fail(0);
            disk.crash();
            let found = open(&disk).unwrap().latest().unwrap();
            let number = found.as_ref().map_or(0, |found| found.number);
            let what = format!("seed {seed}, {operation} {at}: {fault:?}");
            assert!(number >= acknowledged, "{what}: {number}, not {acknowledged}");
            course.go_on_from(found);
            // What comes after stands on what was found, and on nothing else.
            course.run(&disk, 3, false).unwrap();
            course.go_on_from(open(&disk).unwrap().latest().unwrap());
        }
    }
    assert!(failed.into_iter().eq(OPERATIONS));
}

/// Whoever stops does not wait for a disk that is full.
#[test]
fn what_fails_time_and_again_is_given_up_by_a_stop() {
    let disk = FaultyDisk::new(1);
    let store = open(&disk).unwrap();
    disk.fail(1000);
    let writer = Writer::start(store, Memory::unlimited().charge("a checkpoint"), |_| {}).unwrap();
    assert!(writer.wait_idle(Duration::from_secs(24 * 3600)));
    writer.submit(Course::new(1).next(), Vec::new(), Vec::new());
    writer.wake();
    // The test would not end.
    let for_ever = Duration::from_secs(24 * 3600);
    assert!(!writer.wait_idle(for_ever));
    let error = writer.finish(for_ever).unwrap_err();
    assert!(error.to_string().contains(DIRECTORY), "{error}");
}

#[test]
fn long_courses_come_back() {
    for seed in seeds(8) {
        let (mut course, disk) = (Course::new(seed), FaultyDisk::new(seed));
        for _ in 0..5 {
            course.run(&disk, 60, false).unwrap();
            disk.crash();
        }
        let found = open(&disk).unwrap().latest().unwrap();
        assert_eq!(found.as_ref().map(|found| found.number), Some(300));
        course.go_on_from(found);
        let files = paths_of(&disk).len();
        assert!(files < 100, "seed {seed}: {files} files are left");
    }
}

fn paths_of(disk: &FaultyDisk) -> Vec<PathBuf> {
    let mut paths = disk.list(Path::new(DIRECTORY)).unwrap();
    paths.retain(|path| path.to_string_lossy().contains("checkpoint-"));
    paths
}

/// Six checkpoints, of which the first and these stand by themselves. All of them are kept.
fn chain(seed: u64, whole: &[u64]) -> (Course, FaultyDisk, Vec<PathBuf>) {
    let (mut course, disk) = (Course::new(seed), FaultyDisk::new(seed));
    let mut store = open(&disk).unwrap();
    store.keep(whole.len() + 1);
    for number in 1..=6 {
        let is_whole = whole.contains(&number);
        let checkpoint = if is_whole { course.whole() } else { course.next() };
        store.write(&checkpoint).unwrap();
        store.tidy().unwrap();
    }
    let paths = paths_of(&disk);
    (course, disk, paths)
}

/// Why a file was refused, whatever its length.
fn reason(error: &Error) -> String {
    error.to_string().replace(|digit: char| digit.is_ascii_digit(), "")
}

/// Whatever becomes of one file, a start goes on from the newest point before it, and where there
/// is another chain, there is one.
#[test]
fn what_is_damaged_is_never_taken_for_whole() {
    for seed in seeds(1) {
        for whole in [&[][..], &[3], &[2, 5], &[6]] {
            let (mut course, disk, paths) = chain(seed, whole);
            for (index, path) in paths.iter().enumerate() {
                let good = disk.read(path).unwrap();
                let number = index as u64 + 1;
                // Those that stand on it end where the next one stands by itself.
                let is_in_newest = whole.iter().all(|&base| base <= number);
                let expected = if is_in_newest { number - 1 } else { 6 };
                let mut refusals = BTreeSet::new();
                let mut check = |bytes: Vec<u8>| {
                    // All that is refused for one reason is passed over alike, so the rest of the
                    // directory is read again for the first of them, and for what is not refused.
                    if let Err(error) = format::decode(bytes.clone())
                        && !refusals.insert(reason(&error))
                    {
                        return;
                    }
                    disk.overwrite(path, bytes);
                    match open(&disk).unwrap().latest() {
                        Ok(found) => {
                            let number = found.as_ref().expect("a checkpoint").number;
                            assert_eq!(number, expected, "damaged {}", path.display());
                            course.go_on_from(found);
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Checkpoint);
                            assert_eq!((index, whole), (0, &[][..]), "{error}");
                            assert!(error.to_string().contains(DIRECTORY), "{error}");
                        }
                    }
                };
                for len in 0..good.len() {
                    check(good[..len].to_vec());
                }
                for bit in 0..good.len() * 8 {
                    let mut bytes = good.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    check(bytes);
                }
                check([&good[..], &[0]].concat());
                let expected = ["it is no checkpoint", "its body has", "its checksum is wrong"];
                for expected in expected {
                    assert!(refusals.iter().any(|is| is.contains(expected)), "{refusals:?}");
                }
                disk.overwrite(path, good);
            }
            course.go_on_from(open(&disk).unwrap().latest().unwrap());
            assert_eq!(course.number, 6);
        }
    }
}

/// With nothing else to fall back to there are two files of the first, and either is enough.
#[test]
fn the_first_checkpoint_has_a_copy_until_there_is_another_chain() {
    for damaged in 0..2 {
        let (mut course, disk) = (Course::new(1), FaultyDisk::new(1));
        let mut store = open(&disk).unwrap();
        let checkpoint = course.next();
        store.write(&checkpoint).unwrap();
        let paths = paths_of(&disk);
        assert_eq!(paths.len(), 2, "{paths:?}");
        disk.overwrite(&paths[damaged], b"tide".to_vec());
        assert!(store.check_next().unwrap().is_err());
        drop(store);
        let mut store = open(&disk).unwrap();
        course.go_on_from(store.latest().unwrap());
        assert_eq!(course.number, 1);
        // The next one is another chain.
        assert!(store.wants_whole());
        store.find_older().unwrap();
        let checkpoint = course.whole();
        store.write(&checkpoint).unwrap();
        store.tidy().unwrap();
        assert_eq!(paths_of(&disk).len(), 2, "no copies any more");
        course.go_on_from(open(&disk).unwrap().latest().unwrap());
    }
}

/// What is found damaged while it runs is not stood on, and is gone once so many are whole again.
#[test]
fn damage_while_it_runs_begins_another_chain() {
    for seed in seeds(3) {
        // The base and a change of the older chain, and of the newer one.
        for damaged in 0..5 {
            let (mut course, disk, paths) = chain(seed, &[3]);
            let mut store = open(&disk).unwrap();
            course.go_on_from(store.latest().unwrap());
            store.find_older().unwrap();
            assert!(!store.wants_whole());
            disk.overwrite(&paths[damaged], b"tide".to_vec());
            let found = (0..6).find(|_| store.check_next().is_some_and(|it| it.is_err()));
            assert!(found.is_some() && store.wants_whole(), "{damaged}");
            for _ in 0..3 {
                let checkpoint = if store.wants_whole() { course.whole() } else { course.next() };
                store.write(&checkpoint).unwrap();
                store.tidy().unwrap();
            }
            assert!(!store.wants_whole());
            drop(store);
            for path in paths_of(&disk) {
                let good = disk.read(&path).unwrap();
                format::decode(good.clone()).expect("what is damaged is gone");
                // Another one, later, leaves a whole one, too.
                disk.overwrite(&path, b"tide".to_vec());
                let found = open(&disk).unwrap().latest().unwrap();
                assert!(found.is_some(), "{}", path.display());
                disk.overwrite(&path, good);
            }
            course.go_on_from(open(&disk).unwrap().latest().unwrap());
            assert_eq!(course.number, 9);
        }
    }
}

/// Chains are short, by files and by bytes.
#[test]
fn chains_end() {
    let (mut course, disk) = (Course::new(1), FaultyDisk::new(1));
    let mut store = open(&disk).unwrap();
    let (mut bases, mut most) = (0, 0);
    for _ in 0..400 {
        let is_whole = store.wants_whole();
        bases += u32::from(is_whole);
        let checkpoint = if is_whole { course.whole() } else { course.next() };
        store.write(&checkpoint).unwrap();
        store.tidy().unwrap();
        most = most.max(paths_of(&disk).len());
    }
    assert!(bases > 6 && most <= 2 * 65 + 1, "{bases} chains, {most} files");
    let large = |number: u64, is_whole| {
        let mut changes = Changes::default();
        changes.put(number % 5, |out| out.resize(600 << 10, 1));
        let section = Section { name: "a".to_owned(), form: "bytes".to_owned(), changes };
        (vec![section], is_whole)
    };
    let mut wholes = 0;
    for _ in 0..30 {
        let (sections, is_whole) = large(course.number, store.wants_whole());
        wholes += u32::from(is_whole);
        let checkpoint = Checkpoint { sections, is_whole, ..course.next() };
        store.write(&checkpoint).unwrap();
    }
    assert!(wholes >= 10, "{wholes}");
}

/// The header of a file with another field, and its checksum right.
fn with_field(good: &[u8], field: std::ops::Range<usize>, value: u64) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let len = field.len();
    bytes[field].copy_from_slice(&value.to_le_bytes()[..len]);
    let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Nobody may have written it, whatever its checksum says: nothing of it is taken for granted.
#[test]
fn impossible_headers_are_errors() {
    let (_, disk, paths) = chain(1, &[]);
    let good = disk.read(paths.last().unwrap()).unwrap();
    let known = format::decode(good.clone()).unwrap().header;
    // The version, the kind, the number, life and id, the predecessor's, time, zero and interval,
    // and the body's length and checksum.
    let starts = [8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, HEADER_BYTES - 4];
    let (mut refused, mut values) = (0, vec![0, 1, 2, 6, 1_000, 5_999, 6_001]);
    values.extend((0..64).map(|bit| u64::MAX >> bit));
    for field in starts.windows(2).map(|ends| ends[0]..ends[1]) {
        for &value in &values {
            let Ok(decoded) = format::decode(with_field(&good, field.clone(), value)) else {
                refused += 1;
                continue;
            };
            // What it stands on is found out when that is read; all else is as it was.
            let header = decoded.header;
            let is_free = matches!(field.start, 12 | 40 | 48);
            let rest = (header.number, header.time, header.zero, header.interval);
            assert_eq!(rest, (known.number, known.time, known.zero, known.interval));
            assert!(is_free || header.predecessor == known.predecessor, "{field:?}: {value}");
        }
    }
    assert!(refused > 8 * values.len() / 2, "{refused}");
}

#[test]
fn what_follows_damage_is_one_history() {
    for seed in seeds(10) {
        for whole in [&[][..], &[3], &[2, 5], &[6]] {
            let (_, _, paths) = chain(seed, whole);
            for path in &paths[1..] {
                let (mut course, disk, _) = chain(seed, whole);
                let mut bytes = disk.read(path).unwrap();
                bytes[HEADER_BYTES - 1] ^= 1;
                disk.overwrite(path, bytes);
                let mut store = open(&disk).unwrap();
                course.go_on_from(store.latest().unwrap());
                drop(store);
                // Another course from here, with the same numbers as the one before.
                course.random = seed.wrapping_mul(77) | 1;
                course.run(&disk, 8, false).unwrap();
                disk.crash();
                let found = open(&disk).unwrap().latest().unwrap();
                assert_eq!(found.as_ref().map(|found| found.number), Some(course.acknowledged));
                course.go_on_from(found);
            }
        }
    }
}

/// A file that came from elsewhere is none of these, though it is whole and has the number.
#[test]
fn a_checkpoint_of_another_life_is_none_of_these() {
    // One that stands by itself: the first, and a later one. Also the newest.
    for (whole, number) in [(&[][..], 1), (&[4], 4), (&[6], 6)] {
        let (_, elsewhere, paths) = chain(2, whole);
        let alien = elsewhere.read(&paths[number - 1]).unwrap();
        let (mut course, disk, paths) = chain(1, whole);
        disk.overwrite(&paths[number - 1], alien);
        match open(&disk).unwrap().latest() {
            // What stood on it is gone, and what came before it is not.
            Ok(found) => {
                assert_eq!(found.as_ref().map(|found| found.number), Some(number as u64 - 1));
                course.go_on_from(found);
            }
            Err(error) => {
                assert_eq!(number, 1, "{error}");
                let message = error.to_string();
                assert!(message.contains("none of the 6 checkpoints"), "{message}");
            }
        }
    }
}

#[test]
fn a_section_of_another_form_begins_anew() {
    let (mut course, disk) = (Course::new(1), FaultyDisk::new(1));
    let mut store = open(&disk).unwrap();
    for form in ["old", "new"] {
        let mut changes = Changes::default();
        changes.put(u64::from(form == "new"), |out| out.push(1));
        let section = Section { name: "a".to_owned(), form: form.to_owned(), changes };
        store.write(&Checkpoint { sections: vec![section], ..course.next() }).unwrap();
    }
    let found = store.latest().unwrap().unwrap();
    assert_eq!(found.sections[0].form, "new");
    assert_eq!(content(found)["a"].keys().copied().collect::<Vec<_>>(), [1]);
}

/// 20,000 names stand in the first checkpoint, and after it only what has changed.
#[test]
fn a_large_position_is_written_once_and_then_what_has_changed() {
    let (mut course, disk) = (Course::new(1), FaultyDisk::new(1));
    let mut store = open(&disk).unwrap();
    let files = |numbers: std::ops::Range<u64>, tail: u64| {
        let files = numbers.flat_map(|file| format!("{file:>50}{file:>20}").into_bytes());
        files.chain(tail.to_le_bytes()).collect::<Vec<u8>>()
    };
    let mut write = |position: Vec<u8>| {
        let sources = vec![("directory".to_owned(), position)];
        let number = course.number + 1;
        let checkpoint = Checkpoint { sources, sections: Vec::new(), ..course.next() };
        store.write(&checkpoint).unwrap();
        assert_eq!(store.latest().unwrap().unwrap().sources, checkpoint.sources);
        let path = format!("{DIRECTORY}/checkpoint-{number:020}");
        disk.read(Path::new(&path)).unwrap().len()
    };
    let all = files(0..20_000, 1);
    assert!(write(all.clone()) > all.len());
    assert!(write(all.clone()) < 200);
    assert!(write(files(0..20_000, 2)) < 200);
    assert!(write(files(0..20_001, 3)) < 300);
    assert!(write(files(5..20_001, 4)) < 200);
}
