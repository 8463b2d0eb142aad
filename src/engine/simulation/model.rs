//! What has to come of all lines: worked out anew for each batch, from the lines that all of them
//! had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::program::{Part, TIMEOUT_MILLIS, WINDOW_MILLIS, initial};
use super::source::{Position, key_of};
use crate::storage::Storage;
use crate::time::Time;

/// What outputs were given, and what failed on purpose.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) rows: BTreeMap<Time, Vec<u64>>,
    pub(super) outputs: BTreeMap<(Part, Time), Vec<(String, i64)>>,
    pub(super) failed: BTreeSet<(Part, Time)>,
    /// Outputs that failed: nothing that remembers knows of it.
    pub(super) unseen: BTreeSet<(Part, Time)>,
}

#[derive(Clone)]
struct Batch {
    rows: Vec<u64>,
    /// What the program had.
    parts: BTreeSet<Part>,
    /// What of it failed, and is as if the batch had not been.
    failed: BTreeSet<Part>,
}

/// The batches that a restart has not taken back.
#[derive(Default)]
pub(super) struct Model {
    batches: BTreeMap<Time, Batch>,
    /// What the program of this life has.
    parts: BTreeSet<Part>,
    acknowledged: Position,
    /// The first batch that failed since the program last awaited.
    failed: Option<Time>,
    /// A batch of which the program was told that it failed, and then ended.
    again: Option<Time>,
}

impl Model {
    /// A program with these parts goes on from here: what came after it comes again.
    pub(super) fn begin(&mut self, parts: &[Part], from: Position) {
        let acknowledged = self.acknowledged;
        assert!(from >= acknowledged, "it goes on from {from:?}, though {acknowledged:?} was safe");
        let again = self.again.take();
        assert!(again.is_none_or(|failed| from.time < failed.millis()), "{again:?} comes again");
        self.batches.retain(|time, _| time.millis() <= from.time);
        assert_eq!(from.next, self.next(), "the lines up to {from:?}");
        self.parts = parts.iter().copied().collect();
    }

    /// Another course, the same up to now. Nobody has said yet what of it is safe.
    pub(super) fn fork(&self) -> Model {
        Model { batches: self.batches.clone(), ..Model::default() }
    }

    /// The program ends without having awaited again: a batch that has failed comes again.
    pub(super) fn end(&mut self) {
        self.again = self.failed;
    }

    /// How many batches there are.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Compares all outputs of some batches with what they should be.
    pub(super) fn check(&mut self, mut seen: Seen, acknowledged: Position) {
        self.acknowledged = self.acknowledged.max(acknowledged);
        let failed = seen.failed.iter().chain(&seen.unseen);
        self.failed = failed.map(|(_, time)| *time).min();
        for (&time, rows) in &seen.rows {
            let next = self.next();
            let expected: Vec<u64> = (next..next + rows.len() as u64).collect();
            assert_eq!(rows, &expected, "{time}: each line comes once, in order");
            let last = self.batches.last_key_value().map(|(time, _)| *time);
            assert!(last < Some(time), "{time} comes after {last:?}");
            let parts = self.parts.clone();
            let has_failed = |part: &Part| seen.failed.contains(&(*part, time));
            let failed: BTreeSet<Part> = parts.iter().copied().filter(has_failed).collect();
            let well: Vec<Part> = parts.difference(&failed).copied().collect();
            self.batches.insert(time, Batch { rows: rows.clone(), parts, failed });
            let is_seen = |&part: &Part| part != Part::Rows && !seen.unseen.contains(&(part, time));
            for part in well.into_iter().filter(is_seen) {
                let mut given = seen.outputs.remove(&(part, time)).unwrap_or_default();
                given.sort();
                assert_eq!(given, self.output_of(part), "{time}: {part:?}");
            }
        }
    }

    /// What a part gives at the last batch.
    fn output_of(&self, part: Part) -> Vec<(String, i64)> {
        // What was not in the program for a while begins anew.
        let mut batches: Vec<(u64, &Batch)> = Vec::new();
        for (time, batch) in self.batches.iter().rev().map(|(time, batch)| (time.millis(), batch)) {
            if !batch.parts.contains(&part) {
                break;
            }
            batches.push((time, batch));
        }
        batches.reverse();
        let began = batches[0].0;
        let states = initial(part).into_iter().map(|(key, state)| (key, (state, began)));
        let mut memory = Memory { states: states.collect(), rows: BTreeMap::new() };
        let mut output = Vec::new();
        for (time, batch) in batches {
            if !batch.failed.contains(&part) {
                output = memory.step(part, time, &batch.rows);
            }
        }
        output.sort();
        output
    }

    fn next(&self) -> u64 {
        self.batches.values().flat_map(|batch| &batch.rows).next_back().map_or(0, |last| last + 1)
    }

    /// Every line is in one file, once.
    pub(super) fn check_files(&self, storage: &dyn Storage, directory: &Path) {
        let mut found = BTreeSet::new();
        for path in storage.list(directory).expect("nothing fails now") {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".taken-back") {
                // Of a course that a damaged checkpoint has ended.
                continue;
            }
            assert!(!name.starts_with('.'), "{name} is left over");
            let text = storage.read(&path).expect("nothing fails now");
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

/// What a part remembers.
struct Memory {
    /// States, and when they were last touched.
    states: BTreeMap<String, (i64, u64)>,
    /// The rows of each batch.
    rows: BTreeMap<u64, Vec<u64>>,
}

impl Memory {
    /// Takes a batch in, and says what comes out.
    fn step(&mut self, part: Part, time: u64, rows: &[u64]) -> Vec<(String, i64)> {
        match part {
            Part::Rows => unreachable!("its output is the lines"),
            Part::Sums => {
                let idle = self.states.keys().map(|key| (key.clone(), 0));
                let values = rows.iter().map(|&number| (key_of(number), number as i64));
                let sums = by_key(idle.chain(values));
                self.update(sums, |sum| sum % 7 != 0)
            }
            Part::Touched => {
                let counts = by_key(rows.iter().map(|&number| (key_of(number), 1)));
                self.update(counts, |count| count % 5 != 0)
            }
            Part::Counts => self.count(time, rows),
            Part::Window => {
                self.rows.insert(time, rows.to_vec());
                let start = (time + 1).saturating_sub(WINDOW_MILLIS);
                let last = self.rows.range(start..).flat_map(|(_, rows)| rows);
                by_key(last.map(|&number| (key_of(number), 1))).into_iter().collect()
            }
            Part::Bulk => {
                let counts = BTreeMap::from([(String::new(), rows.len() as i64)]);
                if rows.is_empty() { Vec::new() } else { self.update(counts, |_| true) }
            }
        }
    }

    fn update(
        &mut self,
        added: BTreeMap<String, i64>,
        stays: impl Fn(i64) -> bool,
    ) -> Vec<(String, i64)> {
        let mut output = Vec::new();
        for (key, added) in added {
            let new = self.states.remove(&key).map_or(0, |(old, _)| old) + added;
            if stays(new) {
                self.states.insert(key.clone(), (new, 0));
                output.push((key, new));
            }
        }
        output
    }

    /// What each row gives, then what times out, and all that there is afterwards.
    fn count(&mut self, time: u64, rows: &[u64]) -> Vec<(String, i64)> {
        let mut output = Vec::new();
        for key in rows.iter().map(|&number| key_of(number)) {
            let count = self.states.remove(&key).map_or(0, |(count, _)| count) + 1;
            if count % 9 != 0 {
                self.states.insert(key.clone(), (count, time));
            }
            output.push((key, count));
        }
        let is_due = |last: u64| last + TIMEOUT_MILLIS < time;
        let due = self.states.iter().filter(|(_, (_, last))| is_due(*last));
        output.extend(due.map(|(key, (count, _))| (key.clone(), -count)));
        self.states.retain(|_, (_, last)| !is_due(*last));
        output.extend(self.states.iter().map(|(key, (count, _))| (format!("all {key}"), *count)));
        output
    }
}

fn by_key(values: impl Iterator<Item = (String, i64)>) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for (key, value) in values {
        *all.entry(key).or_default() += value;
    }
    all
}
