//! What has to come of all lines: counted anew for each batch, from the lines that it had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::program::{OUT, WINDOW};
use super::source::key_of;
use crate::storage::Storage;
use crate::storage::faulty::FaultyDisk;
use crate::time::Time;

type ByKey = BTreeMap<String, i64>;

/// What outputs were given, by the time of the batch.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) rows: BTreeMap<Time, Vec<u64>>,
    pub(super) sums: BTreeMap<Time, ByKey>,
    pub(super) counts: BTreeMap<Time, ByKey>,
    pub(super) window: BTreeMap<Time, ByKey>,
}

/// The lines of each batch, of those that a restart has not taken back.
#[derive(Default)]
pub(super) struct Model {
    batches: BTreeMap<Time, Vec<u64>>,
    /// A life has begun, and its first batch says where.
    is_beginning: bool,
}

impl Model {
    pub(super) fn begin(&mut self) {
        self.is_beginning = true;
    }

    /// Compares all outputs of some batches with what they should be.
    pub(super) fn check(&mut self, seen: Seen, is_well: bool) {
        for (&time, rows) in &seen.rows {
            if std::mem::take(&mut self.is_beginning) {
                self.take_back(time, rows);
            }
            let next = self.next();
            let expected: Vec<u64> = (next..next + rows.len() as u64).collect();
            assert_eq!(rows, &expected, "{time}: each line comes once, in order");
            self.batches.insert(time, rows.clone());
            let numbers = || self.batches.values().flatten().copied();
            if is_well {
                let sums = by_key(numbers(), |number| number as i64);
                assert_eq!(seen.sums.get(&time), Some(&sums), "{time}: sums");
                let counts = by_key(numbers(), |_| 1);
                assert_eq!(seen.counts.get(&time), Some(&counts), "{time}: counts");
                let start = Time::from_millis(time.millis().saturating_sub(WINDOW * 1000));
                let last = self.batches.range(start..=time).filter(|(batch, _)| **batch > start);
                let window = by_key(last.flat_map(|(_, rows)| rows.iter().copied()), |_| 1);
                assert_eq!(seen.window.get(&time), Some(&window), "{time}: window");
            }
        }
    }

    /// What comes again was not in the checkpoint.
    fn take_back(&mut self, first: Time, rows: &[u64]) {
        self.batches.split_off(&first);
        if let Some(&number) = rows.first() {
            assert!(number <= self.next(), "{first}: lines up to {number} are lost");
        }
    }

    fn next(&self) -> u64 {
        self.batches.values().flatten().next_back().map_or(0, |number| number + 1)
    }

    /// Every line is in one file, once.
    pub(super) fn check_files(&self, disk: &FaultyDisk) {
        let directory = Path::new(OUT).parent().expect("it is in a directory");
        let mut found = BTreeSet::new();
        for path in disk.list(directory).expect("nothing fails now") {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            assert!(!name.starts_with('.'), "{name} is left over");
            let text = disk.read(&path).expect("nothing fails now");
            for line in String::from_utf8(text).expect("it is text").lines() {
                let number = line.split(' ').next().and_then(|number| number.parse().ok());
                let number: u64 = number.unwrap_or_else(|| panic!("{line:?} in {name}"));
                assert_eq!(line, format!("{number} {}", key_of(number)), "{name}");
                assert!(found.insert(number), "line {number} is there twice, and in {name}");
            }
        }
        let expected: BTreeSet<u64> = (0..self.next()).collect();
        assert_eq!(found, expected, "the lines in files");
    }
}

fn by_key(numbers: impl Iterator<Item = u64>, value: impl Fn(u64) -> i64) -> ByKey {
    let mut all = ByKey::new();
    for number in numbers {
        *all.entry(key_of(number)).or_default() += value(number);
    }
    all
}
