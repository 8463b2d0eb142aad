//! Windows that are saved, dropped and loaded at random moments give what they would have given,
//! and a save is no larger than what has changed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::memory::Memory;
use crate::ops::window::Window;
use crate::ops::{
    Aggregate, Changes, Count, DistinctCount, First, Fold, Last, Max, Mean, Min, Stats, Sum, TopK,
    Variance,
};
use crate::record::{Number, Saved};
use crate::time::Time;

/// Xorshift: any numbers will do.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn is_one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}

/// What a checkpoint store makes of changes.
#[derive(Default)]
struct Store {
    entries: BTreeMap<u64, Vec<u8>>,
}

impl Store {
    /// Takes in what has changed, and says how many bytes that is.
    fn take<S: Stateful>(&mut self, operator: &S, state: &mut S::State) -> usize {
        let mut changes = Changes::default();
        operator.save(state, &mut changes).unwrap();
        self.put(&changes);
        changes.bytes().len()
    }

    /// Takes in all there is, whatever was saved before, and after batches that came meanwhile.
    fn take_all<S: Stateful>(&mut self, operator: &S, state: &mut S::State) {
        let all = operator.save_all(state).unwrap()().unwrap();
        assert!(all.is_whole());
        self.entries.clear();
        self.put(&all);
    }

    fn put(&mut self, changes: &Changes) {
        for (number, bytes) in changes.iter() {
            match bytes {
                Some(bytes) => self.entries.insert(number, bytes.to_vec()),
                None => self.entries.remove(&number),
            };
        }
    }

    fn bytes(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    fn load<S: Stateful>(&self, operator: &S) -> S::State {
        let mut changes = Changes::default();
        changes.forget_all();
        for (&number, bytes) in &self.entries {
            changes.put(number, |out| out.extend_from_slice(bytes));
        }
        let mut state = operator.state();
        operator.load(&mut state, &changes).unwrap();
        operator.track_changes(&mut state);
        state
    }
}

fn turn<S: Stateful>(
    operator: &S,
    state: &mut S::State,
    now: u64,
    slide: u64,
    chunks: &[AnyChunk],
) -> Option<AnyChunk> {
    let mut out = Vec::new();
    let is_due = now.is_multiple_of(slide);
    let (chunks, time) = (Some(chunks), Time::from_millis(now));
    let turn = Turn {
        now,
        time,
        chunks,
        out: is_due.then_some(&mut out),
        last: None,
        is_absent: &mut false,
        memory: &Memory::unlimited().charge("window"),
    };
    operator.take_turn(state, turn).unwrap();
    out.pop()
}

type Window64<V, A> = WindowByKey<i64, V, A>;

struct Case<'a, V: Record, A: Aggregate<V>> {
    aggregate: &'a dyn Fn() -> A,
    value: &'a dyn Fn(&mut Random) -> V,
    /// Shows all there is to a result.
    show: &'a dyn Fn(&A::Output) -> String,
    keeps_empty: bool,
    retain: Option<fn(i64) -> bool>,
}

fn case<'a, V: Record, A: Aggregate<V>>(
    aggregate: &'a dyn Fn() -> A,
    value: &'a dyn Fn(&mut Random) -> V,
    show: &'a dyn Fn(&A::Output) -> String,
) -> Case<'a, V, A> {
    let (keeps_empty, retain) = (false, None);
    Case { aggregate, value, show, keeps_empty, retain }
}

impl<V: Record, A: Aggregate<V>> Case<'_, V, A> {
    fn check(&self) {
        for span in [(1, 1), (4, 1), (7, 1), (6, 2), (6, 4), (12, 12), (2, 5)] {
            let span = Span { window: span.0, slide: span.1 };
            (1..=6).for_each(|seed| self.check_seed(span, seed));
        }
    }

    fn operator(&self, span: Span) -> Window64<V, A> {
        let kept = KeptKeys::new(|| Ok(()));
        kept.are_empty_kept.store(self.keeps_empty, Ordering::Relaxed);
        if let Some(retain) = self.retain {
            assert!(kept.retain.set(Box::new(move |key, _| retain(key))).is_ok());
        }
        Window64::new(Arc::new((self.aggregate)()), span, 1 << 20, 1 << 30, Arc::new(kept))
    }

    fn check_seed(&self, span: Span, seed: u64) {
        let mut random = Random(seed * 0x9E37_79B9 + 1);
        let operator = self.operator(span);
        let keys = [3, 30, 200][random.below(3) as usize];
        let mut expected = operator.state();
        let (mut actual, mut store) = (operator.state(), Store::default());
        operator.track_changes(&mut actual);
        let mut now = 0;
        for _ in 0..80 {
            now += 1;
            let is_idle = random.is_one_in(4);
            let chunks: Vec<AnyChunk> = (0..if is_idle { 0 } else { random.below(3) })
                .map(|_| {
                    let first = now as i64 / 20;
                    let mut pairs = <(i64, V) as Record>::Columns::default();
                    for key in first..first + keys {
                        if !random.is_one_in(3) {
                            continue;
                        }
                        pairs.push_owned((key, (self.value)(&mut random)));
                    }
                    Arc::new(pairs) as AnyChunk
                })
                .collect();
            let [left, right] = [&mut expected, &mut actual].map(|state| {
                let out = turn(&operator, state, now, span.slide, &chunks);
                out.map(|chunk| self.shown(&chunk))
            });
            assert_eq!(left, right, "{span:?}, seed {seed}, batch {now}");
            if random.is_one_in(6) {
                operator.roll_back(&mut expected);
                operator.roll_back(&mut actual);
            } else {
                operator.commit(&mut expected);
                operator.commit(&mut actual);
            }
            if random.is_one_in(3) {
                store.take(&operator, &mut actual);
            }
            if random.is_one_in(5) {
                store.take_all(&operator, &mut actual);
            }
            if random.is_one_in(7) {
                store.take(&operator, &mut actual);
                actual = store.load(&operator);
                // Batches that were missed may be left out.
                now += if random.is_one_in(3) { random.below(2 * span.window) } else { 0 };
            }
        }
    }

    fn shown(&self, chunk: &AnyChunk) -> Vec<(i64, String)> {
        let pairs = columns::<(i64, A::Output)>(chunk);
        let rows = (0..pairs.len()).map(|row| pairs.get(row));
        let rows = rows.map(|(key, result)| (key, (self.show)(&A::Output::from_ref(result))));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows
    }
}

fn debug<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}

fn bits(value: &f64) -> String {
    format!("{:x}", value.to_bits())
}

fn small(random: &mut Random) -> i64 {
    random.below(100) as i64 - 50
}

fn float(random: &mut Random) -> f64 {
    (random.below(2_000) as f64 - 1_000.0) / 7.0
}

fn number(random: &mut Random) -> Number {
    match random.below(20) {
        0 => Number::from_f64(float(random) * 1e200).unwrap(),
        scale => Number::decimal(small(random), (scale % 4) as u8),
    }
}

fn text(random: &mut Random) -> String {
    "abc"[..random.below(4) as usize].to_owned()
}

#[test]
fn by_inverse() {
    case(&|| Count, &text, &debug).check();
    case(&|| Sum, &small, &debug).check();
    case(&|| Mean, &small, &bits).check();
    case(&|| Sum, &number, &debug).check();
    case(&|| (Count, Mean), &number, &debug).check();
}

#[test]
fn by_two_stacks() {
    case(&|| Min, &small, &debug).check();
    case(&|| (Min, Max, Count), &small, &debug).check();
    case(&|| First, &text, &debug).check();
    case(&|| Last, &text, &debug).check();
    case(&|| DistinctCount::new(), &text, &debug).check();
    case(&|| TopK(3), &small, &debug).check();
    case(&|| Stats, &number, &debug).check();
    let saved = |random: &mut Random| Saved((random.below(9) as u16, text(random)));
    case(&|| Max, &saved, &debug).check();
}

#[test]
fn floats_keep_their_bits() {
    case(&|| Sum, &float, &bits).check();
    case(&|| Mean, &float, &bits).check();
    case(&|| Variance, &float, &bits).check();
    Case { keeps_empty: true, ..case(&|| Sum, &float, &bits) }.check();
}

type Add = fn(i64, i64) -> i64;

fn fold(inverse: Option<Add>) -> Fold<i64, Add> {
    let inverse = inverse.map(|inverse| Box::new(inverse) as crate::ops::partials::Inverse<i64>);
    Fold { reduce: Arc::new(|left, right| left + right), inverse }
}

#[test]
fn closures() {
    case(&|| fold(None), &small, &debug).check();
    case(&|| fold(Some(|all, first| all - first)), &small, &debug).check();
    let joined = |left: &str, right: &str| format!("{left}{right}");
    case(&|| Fold { reduce: Arc::new(joined), inverse: None }, &text, &debug).check();
}

#[test]
fn keys_without_values() {
    let odd: fn(i64) -> bool = |key| key % 2 == 1;
    for retain in [None, Some(odd)] {
        Case { keeps_empty: true, retain, ..case(&|| Sum, &small, &debug) }.check();
        let variances = case(&|| Variance, &small, &bits);
        Case { keeps_empty: true, retain, ..variances }.check();
        let inverse: Add = |all, first| all - first;
        Case { keeps_empty: true, retain, ..case(&|| fold(Some(inverse)), &small, &debug) }.check();
        Case { retain, ..case(&|| Min, &small, &debug) }.check();
    }
}

fn pairs(keys: impl Iterator<Item = i64>) -> AnyChunk {
    let mut pairs = <(i64, i64) as Record>::Columns::default();
    keys.for_each(|key| pairs.push_owned((key, 1)));
    Arc::new(pairs)
}

#[test]
fn a_save_is_about_what_has_changed() {
    for span in [Span { window: 100, slide: 1 }, Span { window: 1_000, slide: 1_000 }] {
        let case = case(&|| Max, &small, &debug);
        let (operator, mut store) = (case.operator(span), Store::default());
        let mut state = operator.state();
        operator.track_changes(&mut state);
        let mut run = |now, keys| {
            turn(&operator, &mut state, now, span.slide, &[pairs(keys)]);
            operator.commit(&mut state);
            store.take(&operator, &mut state)
        };
        assert!(run(1, 0..20_000) > 60_000);
        let mut all = 0;
        for now in 2..=90 {
            all += run(now, 0..100);
        }
        assert!(all < 90 * 1_500, "{all} bytes for 90 batches of 100 keys");
        assert!(store.bytes() < 300_000, "{} bytes are kept", store.bytes());
        // A save without a batch, and one without rows.
        assert!(store.take(&operator, &mut state) < 5);
    }
}

#[test]
fn what_one_pane_supersedes_is_written_anew() {
    let span = Span { window: 10_000, slide: 10_000 };
    let case = case(&|| Sum, &small, &debug);
    let (operator, mut store) = (case.operator(span), Store::default());
    let mut state = operator.state();
    operator.track_changes(&mut state);
    for now in 1..500 {
        turn(&operator, &mut state, now, span.slide, &[pairs(0..1_000)]);
        operator.commit(&mut state);
        store.take(&operator, &mut state);
        assert!(store.entries.len() < 8 && store.bytes() < 40_000, "{}", store.bytes());
    }
}

#[test]
fn nothing_piles_up_while_nobody_saves() {
    let span = Span { window: 10, slide: 1 };
    let keeps = Case { keeps_empty: true, ..case(&|| Sum, &small, &debug) };
    let operator = Case { retain: Some(|key| key < 300), ..keeps }.operator(span);
    let mut state = operator.state();
    operator.track_changes(&mut state);
    for now in 1..20_000i64 {
        turn(&operator, &mut state, now as u64, 1, &[pairs(now..now + 5)]);
        operator.commit(&mut state);
    }
    let mut store = Store::default();
    let bytes = store.take(&operator, &mut state);
    assert!(bytes < 15_000, "{bytes} bytes");
    let loaded = store.load(&operator);
    assert_eq!(loaded.shown, state.shown);
}

#[test]
fn torn_entries_are_refused() {
    let span = Span { window: 4, slide: 1 };
    let case = case(&|| DistinctCount::new(), &small, &debug);
    let (operator, mut store) = (case.operator(span), Store::default());
    let mut state = operator.state();
    operator.track_changes(&mut state);
    for now in 1..6 {
        turn(&operator, &mut state, now, 1, &[pairs(0..3)]);
        operator.commit(&mut state);
        store.take(&operator, &mut state);
    }
    let (mut random, mut refused) = (Random(3), 0);
    for _ in 0..2_000 {
        let mut changes = Changes::default();
        for (&number, bytes) in &store.entries {
            let mut bytes = bytes.clone();
            if random.is_one_in(2) {
                bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            } else if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }
            changes.put(number, |out| out.extend_from_slice(&bytes));
        }
        if let Err(error) = operator.load(&mut operator.state(), &changes) {
            assert_eq!(error.kind(), ErrorKind::Checkpoint);
            refused += 1;
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn windows_of_rows() {
    for (window, slide) in [(1, 1), (5, 1), (6, 4), (2, 5)] {
        for seed in 1..30 {
            let operator = Window::<(String, f64)>::new(Span { window, slide }, 1 << 30);
            let mut random = Random(seed);
            let mut expected = operator.state();
            let (mut actual, mut store) = (operator.state(), Store::default());
            operator.track_changes(&mut actual);
            let mut now = 0;
            for _ in 0..60 {
                now += 1;
                let batch: Vec<AnyChunk> = (0..random.below(3))
                    .map(|_| {
                        let mut rows = <(String, f64) as Record>::Columns::default();
                        (0..random.below(4))
                            .for_each(|_| rows.push_owned((text(&mut random), float(&mut random))));
                        Arc::new(rows) as AnyChunk
                    })
                    .collect();
                let [left, right] = [&mut expected, &mut actual].map(|state| {
                    let mut out = Vec::new();
                    let chunks = Some(batch.as_slice());
                    let time = Time::from_millis(now);
                    let is_due = now.is_multiple_of(slide);
                    let due = is_due.then_some(&mut out);
                    let turn = Turn {
                        now,
                        time,
                        chunks,
                        out: due,
                        last: None,
                        is_absent: &mut false,
                        memory: &Memory::unlimited().charge("window"),
                    };
                    operator.take_turn(state, turn).unwrap();
                    let partition = |chunk| {
                        let rows = columns::<(String, f64)>(chunk);
                        (0..rows.len()).map(|row| debug(&rows.get(row))).collect::<Vec<_>>()
                    };
                    out.iter().map(partition).collect::<Vec<_>>()
                });
                assert_eq!(left, right, "({window}, {slide}), seed {seed}, batch {now}");
                let is_failed = random.is_one_in(6);
                for state in [&mut expected, &mut actual] {
                    if is_failed { operator.roll_back(state) } else { operator.commit(state) }
                }
                if random.is_one_in(3) {
                    store.take(&operator, &mut actual);
                }
                if random.is_one_in(7) {
                    store.take(&operator, &mut actual);
                    actual = store.load(&operator);
                    now += if random.is_one_in(3) { random.below(2 * window) } else { 0 };
                }
            }
        }
    }
}

/// Cannot save one value after all.
struct Poisoned;

impl Aggregate<i64> for Poisoned {
    type Partial = i64;
    type Output = i64;

    fn identity(&self) -> i64 {
        0
    }

    fn add(&self, partial: &mut i64, value: i64) -> Result<()> {
        *partial += value;
        Ok(())
    }

    fn merge(&self, into: &mut i64, later: &i64) -> Result<()> {
        *into += later;
        Ok(())
    }

    fn finish(&self, partial: &i64) -> Result<i64> {
        Ok(*partial)
    }

    fn save_partial(&self, partial: &i64, out: &mut Vec<u8>) {
        assert_ne!(*partial, 5, "on purpose");
        i64::save(*partial, out);
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<i64> {
        i64::load(from)
    }
}

#[test]
fn what_cannot_be_saved_fails_once() {
    for is_saved_first in [true, false] {
        let case = case(&|| Poisoned, &small, &debug);
        let operator = case.operator(Span { window: 3, slide: 1 });
        let (mut state, mut store) = (operator.state(), Store::default());
        operator.track_changes(&mut state);
        let (mut failed_batches, mut failed_saves) = (Vec::new(), Vec::new());
        for now in 1..=5 {
            let mut pair = <(i64, i64) as Record>::Columns::default();
            pair.push_owned((0, if now == 2 { 5 } else { 3 }));
            let chunk: AnyChunk = Arc::new(pair);
            let caught = |run: &mut dyn FnMut() -> Result<()>| {
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                caught.is_ok_and(|ran| ran.is_ok())
            };
            let is_taken = caught(&mut || {
                turn(&operator, &mut state, now, 1, std::slice::from_ref(&chunk));
                Ok(())
            });
            if is_taken {
                operator.commit(&mut state);
            } else {
                operator.roll_back(&mut state);
                failed_batches.push(now);
            }
            if now != 2 || is_saved_first {
                let mut changes = Changes::default();
                if caught(&mut || operator.save(&mut state, &mut changes)) {
                    store.put(&changes);
                } else {
                    failed_saves.push(now);
                }
            }
        }
        let batches: &[u64] = if is_saved_first { &[] } else { &[3] };
        assert_eq!(failed_batches, batches);
        // Once what it was in has left, all is as if nothing had been.
        assert_eq!(failed_saves, if is_saved_first { vec![2, 3, 4] } else { vec![3, 4] });
        let mut loaded = store.load(&operator);
        for now in 6..9 {
            let [left, right] = [&mut state, &mut loaded].map(|state| {
                let out = turn(&operator, state, now, 1, &[pairs(0..1)]).unwrap();
                operator.commit(state);
                case.shown(&out)
            });
            assert_eq!(left, right);
        }
    }
}
