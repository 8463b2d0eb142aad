//! The operators with state against a map, batch by batch, where batches fail, keys time out, come
//! and go, and all is saved and loaded. Segments are short here, so that they are emptied often.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::changed::{Changed, changed_slots};
use super::table::{ROWS, Slot};
use super::{Keyed, MapWithState, SharedTable, State, Step, UpdateState};
use crate::config::Limits;
use crate::error::{ErrorKind, Result};
use crate::memory::Memory;
use crate::ops::{Changes, Emitter, Stateful, Turn};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Batch, Columns, Key, List, Record, Row, Saved};
use crate::time::Time;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// A pair of these goes through the operator under test.
type Pairs<K, V> = Vec<(K, V)>;

fn chunks<K: Record, V: Record>(pairs: Pairs<K, V>) -> Vec<AnyChunk> {
    pairs.into_iter().collect::<Batch<(K, V)>>().into_chunks()
}

/// A batch up to its end, which is the caller's.
fn turn<K: Key, S: Record, D: Step<K, S>>(
    operator: &Keyed<K, S, D>,
    now: u64,
    chunks: Option<&[AnyChunk]>,
) -> Result<Option<AnyChunk>> {
    let (mut out, mut is_absent) = (Vec::new(), false);
    let time = Time::from_millis(now * 10);
    let is_absent = &mut is_absent;
    let memory = &Memory::unlimited().charge("keyed");
    let turn = Turn { now, time, chunks, out: Some(&mut out), is_absent, last: None, memory };
    operator.take_turn(&mut (), turn)?;
    assert_eq!(*is_absent, out.is_empty());
    Ok(out.pop())
}

fn snapshot<K: Key + Ord, S: Record>(table: &SharedTable<K, S>) -> BTreeMap<K, S> {
    let chunk = table.snapshot();
    let pairs = columns::<(K, S)>(&chunk);
    let rows = (0..pairs.len()).map(|row| <(K, S)>::from_ref(pairs.get(row)));
    let all: BTreeMap<K, S> = rows.collect();
    assert_eq!(all.len(), pairs.len(), "a key is there once");
    all
}

/// An operator made anew of what another one has saved.
fn loaded<K: Key, S: Record, D: Step<K, S>>(
    make: impl Fn() -> Keyed<K, S, D>,
    saved: &Changes,
) -> Keyed<K, S, D> {
    let operator = make();
    operator.state();
    let mut whole = Changes::default();
    let mut entries: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (number, bytes) in saved.iter() {
        match bytes {
            Some(bytes) => drop(entries.insert(number, bytes.to_vec())),
            None => drop(entries.remove(&number)),
        }
    }
    for (number, bytes) in entries {
        whole.put(number, |out| out.extend(bytes));
    }
    operator.load(&mut (), &whole).unwrap();
    operator.track_changes(&mut ());
    operator
}

const TIMEOUT: u64 = 70;

/// What the values of the mapped stream mean.
fn map(
    _: Time,
    key: &str,
    value: Option<i64>,
    state: &mut State<'_, i64>,
    out: &mut Emitter<'_, (String, i64)>,
) {
    let old = state.get_option();
    match value {
        None => assert!(state.is_timing_out()),
        Some(0) => state.remove(),
        Some(1) => {}
        Some(-1) => resume_unwind(Box::new("on purpose")),
        Some(value) => state.update(old.unwrap_or(0) + value),
    }
    out.push((key, old.unwrap_or(-1)));
}

/// The same on a map: states, and the times at which they were touched.
fn model(
    states: &mut BTreeMap<String, (i64, u64)>,
    pairs: &Pairs<String, i64>,
    now: u64,
    scan_every: u64,
) -> Option<Vec<(String, i64)>> {
    let (before, time) = (states.clone(), now * 10);
    let mut out = Vec::new();
    for (key, value) in pairs {
        let old = states.get(key).map(|(state, _)| *state);
        match value {
            -1 => {
                *states = before;
                return None;
            }
            0 => drop(states.remove(key)),
            1 => {
                states.entry(key.clone()).and_modify(|(_, last)| *last = time);
            }
            value => drop(states.insert(key.clone(), (old.unwrap_or(0) + value, time))),
        }
        out.push((key.clone(), old.unwrap_or(-1)));
    }
    if now.is_multiple_of(scan_every) && time >= TIMEOUT {
        let is_due = |last: u64| last < time - TIMEOUT;
        let due = states.iter().filter(|(_, (_, last))| is_due(*last));
        out.extend(due.map(|(key, (state, _))| (key.clone(), *state)));
        states.retain(|_, (_, last)| !is_due(*last));
    }
    Some(out)
}

/// A key that fits the slot, or one that does not.
fn name(number: u64) -> String {
    let rest = if number % 4 == 3 { " and a longer name" } else { "" };
    format!("k{number}{rest}")
}

#[test]
fn mapped_states_against_a_map() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let scan_every = [1, 1, 10][seed as usize % 3];
        let make = || {
            let state = Arc::new(SharedTable::new("states", &Limits::default()));
            state.settings.timeout_millis.store(TIMEOUT, Ordering::Relaxed);
            state.settings.scan_every.store(scan_every, Ordering::Relaxed);
            state.add_initial([("k5".to_owned(), 7), ("first".to_owned(), 9)]);
            Keyed { state, step: MapWithState::<i64, (String, i64), _>::new(map) }
        };
        let mut operator = make();
        operator.state();
        operator.track_changes(&mut ());
        let mut states: BTreeMap<String, (i64, u64)> = BTreeMap::new();
        states.insert("k5".into(), (7, 10));
        states.insert("first".into(), (9, 10));
        let (mut saved, mut since) = (Changes::default(), Changes::default());
        let mut scanning: Option<std::thread::JoinHandle<Result<Changes>>> = None;
        for now in 1..400 {
            // The keys move on, so that all go; in between hardly any come.
            let (first, many) = (now * 3, if now / 60 % 2 == 0 { 200 } else { 6 });
            let count = random.below(many);
            let mut pairs: Pairs<String, i64> = (0..count)
                .map(|_| (name(first + random.below(500)), random.below(9) as i64))
                .collect();
            if random.below(5) == 0 && !pairs.is_empty() {
                let at = random.below(pairs.len() as u64) as usize;
                pairs[at].1 = -1;
            }
            let is_absent = random.below(7) == 0;
            let given = if is_absent { Vec::new() } else { pairs };
            let chunks = (!is_absent).then(|| chunks(given.clone()));
            let expected = model(&mut states, &given, now, scan_every);
            let before: BTreeMap<String, i64> = snapshot(&operator.state);
            let ran = catch_unwind(AssertUnwindSafe(|| turn(&operator, now, chunks.as_deref())));
            let all: BTreeMap<String, i64> =
                states.iter().map(|(key, (state, _))| (key.clone(), *state)).collect();
            // Nobody else sees what is not committed.
            let committed = |operator: &Keyed<String, i64, _>, all: &BTreeMap<String, i64>| {
                assert_eq!(operator.state.len(), all.len());
                for (key, state) in all {
                    assert_eq!(operator.state.get(key), Some(*state), "{key}");
                }
            };
            if now > 1 {
                committed(&operator, &before);
            }
            match (expected, ran) {
                (None, Err(_)) => operator.roll_back(&mut ()),
                (Some(mut expected), Ok(out)) => {
                    let out = out.unwrap().unwrap();
                    let out = columns::<(String, i64)>(&out);
                    let rows = (0..out.len()).map(|row| <(String, i64)>::from_ref(out.get(row)));
                    let mut rows: Vec<(String, i64)> = rows.collect();
                    assert_eq!(rows[..given.len()], expected[..given.len()], "in their order");
                    rows.sort();
                    expected.sort();
                    assert_eq!(rows, expected, "seed {seed}, batch {now}");
                    assert_eq!(snapshot(&operator.state), all);
                    // An output may still fail.
                    if random.below(9) == 0 {
                        operator.roll_back(&mut ());
                        assert_eq!(snapshot(&operator.state), before);
                        turn(&operator, now, chunks.as_deref()).unwrap();
                    }
                    operator.commit(&mut ());
                }
                (expected, ran) => panic!("{expected:?}, but it has failed: {}", ran.is_err()),
            }
            assert_eq!(snapshot(&operator.state), all, "seed {seed}, batch {now}");
            committed(&operator, &all);
            let mut changes = Changes::default();
            operator.save(&mut (), &mut changes).unwrap();
            saved = saved.then(&changes);
            // All may be read beside the batches: what changed meanwhile is put over it.
            since = since.then(&changes);
            scanning = match scanning.take() {
                None if random.below(4) == 0 => {
                    since = Changes::default();
                    operator.scan(&mut ()).map(std::thread::spawn)
                }
                Some(thread) if random.below(3) == 0 => {
                    saved = thread.join().unwrap().unwrap().then(&since);
                    assert!(saved.is_whole());
                    None
                }
                as_it_was => as_it_was,
            };
            if random.below(20) == 0 {
                drop(scanning.take().map(|thread| thread.join().unwrap()));
                operator = loaded(make, &saved);
                committed(&operator, &all);
            }
        }
        let slots = operator.state.read().slots_len();
        assert!(slots < 20 * ROWS, "seed {seed}: {slots} slots of keys that went");
        assert!(operator.state.read().is_consistent());
    }
}

/// A state after values, whose order shows.
fn after(state: i64, values: impl Iterator<Item = i64>) -> i64 {
    values.fold(state, |state, value| (3 * state + value) % 1009) + 1
}

#[test]
fn updated_states_against_a_map() {
    for seed in 0..6u64 {
        let mut random = Random(seed);
        let is_touched_only = seed % 2 == 0;
        let step = |_: Time, key: i64, values: List<'_, i64>, old: Option<i64>| {
            if values.iter().any(|value| value == -1) {
                resume_unwind(Box::new("on purpose"));
            }
            let new = after(old.unwrap_or(key), values.iter());
            (new % 11 != 0).then_some(new)
        };
        let make = || {
            let state = Arc::new(SharedTable::new("states", &Limits::default()));
            state.settings.is_touched_only.store(is_touched_only, Ordering::Relaxed);
            state.add_initial((0..90).map(|key| (key, 3)));
            Keyed { state, step: UpdateState::<i64, _>::new(step) }
        };
        let mut operator = make();
        operator.state();
        operator.track_changes(&mut ());
        assert!(turn(&operator, 0, None).unwrap().is_none(), "nothing has begun");
        operator.commit(&mut ());
        let mut states: BTreeMap<i64, i64> = (0..90).map(|key| (key, 3)).collect();
        let mut saved = Changes::default();
        for now in 1..200 {
            let keys = if now / 40 % 2 == 0 { 600 } else { 5 };
            // Some keys come again, with further values.
            let mut lists: Pairs<i64, Vec<i64>> = Vec::new();
            for _ in 0..random.below(150) {
                let (key, count) = (random.below(keys) as i64, 1 + random.below(3));
                lists.push((key, (0..count).map(|_| random.below(10) as i64).collect()));
            }
            let fails = random.below(5) == 0 && !lists.is_empty();
            if fails {
                let at = random.below(lists.len() as u64) as usize;
                lists[at].1.push(-1);
            }
            let (mut batch, mut in_order) = (BTreeMap::<i64, Vec<i64>>::new(), Vec::new());
            for (key, values) in &lists {
                if !batch.contains_key(key) {
                    in_order.push(*key);
                }
                batch.entry(*key).or_default().extend(values);
            }
            let count: usize = batch.values().map(Vec::len).sum();
            let chunks = chunks(lists);
            let ran = catch_unwind(AssertUnwindSafe(|| turn(&operator, now, Some(&chunks))));
            if fails {
                assert!(ran.is_err());
                operator.roll_back(&mut ());
                assert_eq!(operator.state.len(), states.len());
                continue;
            }
            let empty = Vec::new();
            let mut all: Vec<i64> = batch.keys().copied().collect();
            if !is_touched_only {
                all.extend(states.keys());
            }
            all.sort();
            all.dedup();
            let mut expected = Vec::new();
            for key in all {
                let values = batch.get(&key).unwrap_or(&empty);
                let old = states.remove(&key);
                let new = after(old.unwrap_or(key), values.iter().copied());
                if new % 11 != 0 {
                    states.insert(key, new);
                    expected.push((key, new));
                }
            }
            let out = ran.unwrap().unwrap().unwrap();
            let out = columns::<(i64, i64)>(&out);
            let mut rows: Vec<(i64, i64)> = (0..out.len()).map(|row| out.get(row)).collect();
            in_order.retain(|key| states.contains_key(key));
            let touched = rows[..in_order.len()].iter().map(|(key, _)| key);
            assert!(touched.eq(&in_order), "keys with data first, as they came first");
            rows.sort();
            assert_eq!(rows, expected, "seed {seed}, batch {now}");
            if !batch.is_empty() {
                let come_once = operator.step.keys_come_once().load(Ordering::Relaxed);
                assert_eq!(come_once, count < 2 * batch.len());
            }
            operator.commit(&mut ());
            assert_eq!(snapshot(&operator.state), states);
            let mut changes = Changes::default();
            operator.save(&mut (), &mut changes).unwrap();
            saved = saved.then(&changes);
            if random.below(20) == 0 {
                operator = loaded(make, &saved);
                assert_eq!(snapshot(&operator.state), states);
            }
        }
        assert!(operator.state.read().is_consistent());
    }
}

/// What is noted of changes, as a list, as bits, and as both.
#[test]
fn changed_slots_against_a_set() {
    let mut random = Random(7);
    let (mut changed, mut set) = (Changed::default(), BTreeSet::new());
    assert!(!changed.has_room());
    for round in 0..200 {
        changed.reach(changed.segments() + random.below(3) as usize);
        let slots = (changed.segments() * ROWS) as u64;
        for _ in 0..random.below(1 + slots / 8) {
            let slot = random.below(slots) as Slot;
            changed.prefetch(slot);
            changed.add(slot);
            set.insert(slot);
        }
        let most = 2 * changed.segments() * size_of::<u64>();
        assert!(changed.memory_bytes() <= 2 * most + 64, "{} bytes", changed.memory_bytes());
        if round % 3 == 0 {
            // What was not saved after all comes back to one that may have grown since.
            let mut other = std::mem::take(&mut changed);
            changed.reach(other.segments() + random.below(2) as usize);
            changed.add_all(&mut other);
            other.clear();
            assert_eq!(changed_slots(0, other.bits()).count(), 0);
        }
        if round % 5 == 0 {
            let words = changed.bits();
            let (first, second) = words.split_at(words.len() / 2);
            let slots = changed_slots(0, first).chain(changed_slots(first.len(), second));
            assert!(slots.eq(set.iter().copied()));
            changed.clear();
            set.clear();
        }
    }
}

/// Segments that are emptied more slowly than others become sparse, and are filled again before it
/// is their turn: by a course that is known to do so, and by courses at random.
#[test]
fn segments_that_are_sparse_again() {
    let rows = ROWS as i64;
    let of =
        |segment: i64, rows_in: std::ops::Range<i64>| rows_in.map(move |row| segment * rows + row);
    let some = |count: i64| (1_000 * rows..).take(count as usize);
    let known: [(Vec<i64>, Vec<i64>); 6] = [
        (vec![], (0..20 * rows).collect()),
        ((0..10).flat_map(|segment| of(segment, 0..rows / 2 - 1)).collect(), vec![]),
        ((0..10).flat_map(|segment| of(segment, rows / 2 - 1..rows / 2)).collect(), vec![]),
        // Of the new ones as many as fill it again, beside those that move.
        (of(9, rows / 2..rows).collect(), some(rows - 14).collect()),
        (some(rows / 2 + 1).chain(10 * rows..20 * rows).collect(), vec![]),
        (vec![], vec![7_000 * rows]),
    ];
    let random = (0..12).map(|seed| {
        let mut random = Random(seed);
        let mut live: Vec<i64> = Vec::new();
        let mut next = 0;
        let mut course = Vec::new();
        for batch in 0..150 {
            let (removed, added) = match random.below(6) {
                _ if batch == 0 => (0, 30 * ROWS),
                0 => (random.below(10 * ROWS as u64) as usize, 0),
                1 => (0, random.below(10 * ROWS as u64) as usize),
                _ => (random.below(ROWS as u64) as usize, random.below(ROWS as u64 / 2) as usize),
            };
            // In the order in which they came, from somewhere on, or here and there.
            let from = random.below(live.len() as u64 + 1) as usize;
            let is_run = random.below(2) == 0;
            let gone: Vec<i64> = (0..removed.min(live.len()))
                .map(|_| match is_run {
                    true => live.remove(from.min(live.len() - 1)),
                    false => live.remove(random.below(live.len() as u64) as usize),
                })
                .collect();
            let new: Vec<i64> = (next..).take(added).collect();
            next += added as i64;
            live.extend(&new);
            course.push((gone, new));
        }
        course
    });
    for (number, course) in std::iter::once(known.to_vec()).chain(random).enumerate() {
        let f = |_: Time,
                 _: i64,
                 value: Option<i64>,
                 state: &mut State<'_, i64>,
                 _: &mut Emitter<'_, ()>| match value {
            Some(-1) => state.remove(),
            value => state.update(value.unwrap()),
        };
        let state = Arc::new(SharedTable::<i64, i64>::new("sparse", &Limits::default()));
        let operator = Keyed { state, step: MapWithState::<i64, (), _>::new(f) };
        operator.state();
        let mut states: BTreeMap<i64, i64> = BTreeMap::new();
        for (now, (gone, new)) in (1..).zip(course) {
            gone.iter().for_each(|key| assert!(states.remove(key).is_some()));
            states.extend(new.iter().map(|&key| (key, key + 1)));
            let gone = gone.into_iter().map(|key| (key, -1));
            let pairs = gone.chain(new.into_iter().map(|key| (key, key + 1)));
            turn(&operator, now, Some(&chunks(pairs.collect()))).unwrap();
            operator.commit(&mut ());
            assert_eq!(snapshot(&operator.state), states, "course {number}, batch {now}");
            assert!(operator.state.read().is_consistent(), "course {number}, batch {now}");
        }
        // Nothing stays half empty for ever.
        for now in 1_000..3_000 {
            turn(&operator, now, None).unwrap();
            operator.commit(&mut ());
        }
        let slots = operator.state.read().slots_in_use();
        assert!(slots <= 2 * states.len() + ROWS, "{slots} slots for {} keys", states.len());
    }
}

thread_local! {
    /// How many more calls of a key's or a state's own functions succeed before one panics.
    static CALLS_LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Panics once, when its time has come.
fn called() {
    let left = CALLS_LEFT.get();
    CALLS_LEFT.set(left.and_then(|left| left.checked_sub(1)));
    if left == Some(0) && !std::thread::panicking() {
        resume_unwind(Box::new("on purpose"));
    }
}

/// A value of which everything is the user's.
#[derive(Debug)]
struct Touchy(i64);

impl Clone for Touchy {
    fn clone(&self) -> Touchy {
        called();
        Touchy(self.0)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        called();
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Touchy) -> bool {
        called();
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        called();
        self.0.hash(state);
    }
}

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        called();
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Touchy, D::Error> {
        called();
        i64::deserialize(deserializer).map(Touchy)
    }
}

fn touchy_states(table: &SharedTable<Row<Touchy>, Row<Touchy>>) -> BTreeMap<i64, i64> {
    let chunk = table.snapshot();
    let pairs = columns::<(Row<Touchy>, Row<Touchy>)>(&chunk);
    (0..pairs.len()).map(|row| pairs.get(row)).map(|(key, state)| (key.0, state.0)).collect()
}

/// Wherever something of the user's panics, the batch fails and all is as before, or it has
/// succeeded and all is as after it.
#[test]
fn a_panic_in_every_call() {
    type Touched = Row<Touchy>;
    let pair = |key: i64, value: i64| (Row(Touchy(key)), value);
    let f = |_: Time,
             _: &Touchy,
             value: Option<i64>,
             state: &mut State<'_, Touched>,
             out: &mut Emitter<'_, i64>| {
        called();
        let old = state.get_option().map_or(0, |old| old.0);
        match value {
            None => {}
            Some(0) => state.remove(),
            Some(value) => state.update(Row(Touchy(old + value))),
        }
        out.push(old);
    };
    let make = || {
        let state = Arc::new(SharedTable::<Touched, Touched>::new("touchy", &Limits::default()));
        state.settings.timeout_millis.store(10, Ordering::Relaxed);
        state.add_initial([(Row(Touchy(1)), Row(Touchy(100))), (Row(Touchy(2)), Row(Touchy(9)))]);
        Keyed { state, step: MapWithState::<i64, i64, _>::new(f) }
    };
    let rows = ROWS as i64;
    let removals: Vec<i64> = (0..rows * 3 / 4).collect();
    // Keys that come, are changed and removed, and a segment that is emptied; the rest times out.
    let batches = [
        vec![pair(1, 1), pair(2, 0), pair(3, 1), pair(3, 5)],
        (0..2 * rows).map(|key| pair(key, 1)).collect(),
        removals.iter().map(|&key| pair(key, 0)).collect(),
        vec![pair(500, 1), pair(1, 1)],
        vec![pair(500, 2)],
        vec![],
    ];
    let mut failed = [0, 0];
    for calls in (0..60).chain((60..2_000).step_by(7)) {
        let operator = make();
        operator.state();
        for (now, batch) in (1..).zip(&batches) {
            let chunks = chunks(batch.clone());
            let before = touchy_states(&operator.state);
            CALLS_LEFT.set(Some(calls));
            let ran = catch_unwind(AssertUnwindSafe(|| turn(&operator, now, Some(&chunks))));
            if ran.is_err() {
                operator.roll_back(&mut ());
                CALLS_LEFT.set(None);
                let after = touchy_states(&operator.state);
                let is_first = now == 1;
                assert!(after == before || is_first, "batch {now} after {calls} calls");
                turn(&operator, now, Some(&chunks)).unwrap();
            }
            failed[usize::from(ran.is_ok())] += 1;
            drop(ran);
            let left = CALLS_LEFT.take();
            let expected = touchy_states(&operator.state);
            CALLS_LEFT.set(left);
            operator.commit(&mut ());
            CALLS_LEFT.set(None);
            assert_eq!(touchy_states(&operator.state), expected, "batch {now}, {calls} calls");
            let table = operator.state.read();
            assert!(table.is_consistent(), "batch {now} after {calls} calls");
            for (&key, &state) in &expected {
                let key = Touchy(key);
                let found = table.find(crate::record::hash_of::<Touched>(&key), &key);
                assert_eq!(found.unwrap().1.value().state.0.0, state);
            }
        }
        let expected = [(500, 3)];
        assert!(touchy_states(&operator.state).into_iter().eq(expected));
    }
    assert!(failed[0] > 200 && failed[1] > 200, "{failed:?}");
}

/// What is gathered beside the batches is the state of when that was asked for.
#[test]
fn a_commit_waits_for_what_is_gathered() {
    let f = |_: Time,
             _: i64,
             value: Option<i64>,
             state: &mut State<'_, i64>,
             _: &mut Emitter<'_, ()>| {
        if !state.is_timing_out() {
            state.update(state.get_option().unwrap_or(0) + value.unwrap_or(0));
        }
    };
    let make = || {
        let state = Arc::new(SharedTable::<i64, i64>::new("beside", &Limits::default()));
        state.settings.timeout_millis.store(25, Ordering::Relaxed);
        let operator = Keyed { state, step: MapWithState::<i64, (), _>::new(f) };
        operator.state();
        operator.track_changes(&mut ());
        operator
    };
    let (operator, twin) = (make(), make());
    let run = |operator: &Keyed<i64, i64, _>, now: u64| {
        // Some keys stay idle and time out.
        let keys = (0..9 * ROWS as i64).filter(|key| (*key as u64).is_multiple_of(now * now));
        turn(operator, now, Some(&chunks(keys.map(|key| (key, 1i64)).collect()))).unwrap();
    };
    let save = |operator: &Keyed<i64, i64, _>| {
        let mut changes = Changes::default();
        operator.save(&mut (), &mut changes).unwrap();
        changes
    };
    for now in (1..12).step_by(2) {
        for operator in [&operator, &twin] {
            run(operator, now);
            operator.commit(&mut ());
        }
        let expected = save(&twin);
        // One that is not gathered after all changes nothing.
        drop(operator.save_beside(&mut ()));
        let Some(gather) = operator.save_beside(&mut ()) else {
            assert!(now == 1, "the header is saved once");
            assert_eq!(save(&operator).bytes(), expected.bytes());
            continue;
        };
        // The next batch runs, is forgotten, runs again, and is not committed before.
        for has_failed in [true, false] {
            run(&operator, now + 1);
            if has_failed {
                operator.roll_back(&mut ());
            }
        }
        let is_committed = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                operator.commit(&mut ());
                is_committed.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!is_committed.load(Ordering::SeqCst), "batch {now}");
            assert_eq!(gather().unwrap().bytes(), expected.bytes(), "batch {now}");
        });
        assert!(is_committed.load(Ordering::SeqCst));
        // The twin comes after.
        run(&twin, now + 1);
        twin.commit(&mut ());
        assert_eq!(save(&operator).bytes(), save(&twin).bytes(), "batch {now}");
    }
}

/// What could not be saved is with what is saved next.
#[test]
fn a_panic_in_every_call_of_a_save() {
    type Touched = Saved<Touchy>;
    let f = |_: Time, _: &Touchy, values: List<'_, i64>, _: Option<&Touchy>| {
        let sum: i64 = values.iter().sum();
        (sum > 0).then_some(Saved(Touchy(sum)))
    };
    let make = || {
        let state = Arc::new(SharedTable::<Touched, Touched>::new("touchy", &Limits::default()));
        state.settings.is_touched_only.store(true, Ordering::Relaxed);
        Keyed { state, step: UpdateState::<i64, _>::new(f) }
    };
    let states = |operator: &Keyed<Touched, Touched, _>| -> Vec<(i64, i64)> {
        let chunk = operator.state.snapshot();
        let pairs = columns::<(Touched, Touched)>(&chunk);
        let pairs = (0..pairs.len()).map(|row| pairs.get(row));
        pairs.map(|(key, state)| (key.0, state.0)).collect()
    };
    let rows = ROWS as i64;
    // More than a segment, then few of each, some of which go.
    let batches = [(0..rows + 9, 1i64), (rows - 2..rows + 2, 2), (rows..rows + 3, 0)];
    for calls in (0..60).chain((60..3 * rows as u64).step_by(41)) {
        let operator = make();
        operator.state();
        operator.track_changes(&mut ());
        let mut saved = Changes::default();
        for (now, (keys, value)) in (1..).zip(batches.clone()) {
            let pairs = keys.map(|key| (Saved(Touchy(key)), vec![value])).collect();
            turn(&operator, now, Some(&chunks(pairs))).unwrap();
            operator.commit(&mut ());
            CALLS_LEFT.set(Some(calls));
            let ran = catch_unwind(AssertUnwindSafe(|| {
                // The first time there is the header, too.
                if let Some(gather) = operator.save_beside(&mut ()) {
                    return gather();
                }
                let mut changes = Changes::default();
                operator.save(&mut (), &mut changes).map(|()| changes)
            }));
            CALLS_LEFT.set(None);
            if let Ok(changes) = ran {
                saved = saved.then(&changes.unwrap());
            }
        }
        let mut changes = Changes::default();
        operator.save(&mut (), &mut changes).unwrap();
        saved = saved.then(&changes);
        assert_eq!(states(&loaded(make, &saved)), states(&operator), "after {calls} calls");
        // One that cannot be loaded is none, and comes to nothing.
        let other = make();
        other.state();
        CALLS_LEFT.set(Some(calls));
        let ran = catch_unwind(AssertUnwindSafe(|| other.load(&mut (), &saved.without_removed())));
        CALLS_LEFT.set(None);
        let expected = if ran.is_ok() { operator.state.len() } else { 0 };
        assert_eq!(other.state.len(), expected, "after {calls} calls");
    }
}

#[test]
fn limits_hold() {
    let sum = |_: Time, _: &str, values: List<'_, i64>, old: Option<&str>| {
        let digits = values.iter().sum::<i64>() as usize;
        (digits > 0).then(|| format!("{}{}", old.unwrap_or(""), "x".repeat(digits)))
    };
    let limits = Limits { distinct_keys: 3, retained_bytes: 700, ..Limits::default() };
    let state = Arc::new(SharedTable::<String, String>::new("limited", &limits));
    let operator = Keyed { state, step: UpdateState::<i64, _>::new(sum) };
    operator.state.settings.is_touched_only.store(true, Ordering::Relaxed);
    operator.state();
    let run = |now: u64, pairs: &[(&str, i64)]| {
        let pairs = pairs.iter().map(|&(key, value)| (key.to_owned(), vec![value]));
        let ran = turn(&operator, now, Some(&chunks(pairs.collect())));
        match &ran {
            Ok(_) => operator.commit(&mut ()),
            Err(_) => operator.roll_back(&mut ()),
        }
        ran.map(drop)
    };
    run(1, &[("a", 1), ("b", 1), ("c", 1)]).unwrap();
    let error = run(2, &[("d", 1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("Limits::distinct_keys"), "{error}");
    // One for another.
    run(3, &[("d", 1), ("a", 0)]).unwrap();
    let error = run(4, &[("b", 600)]).unwrap_err();
    assert!(error.to_string().contains("Limits::retained_bytes"), "{error}");
    // As many as a batch may have that is grouped first, whatever they leave.
    let pairs = [("a", 0), ("b", 0), ("c", 0), ("e", 0)];
    assert!(run(4, &pairs).unwrap_err().to_string().contains("Limits::distinct_keys"));
    // What goes makes room.
    run(5, &[("b", 400)]).unwrap();
    run(6, &[("b", 0)]).unwrap();
    run(7, &[("c", 400)]).unwrap();
    assert_eq!(operator.state.get("c").unwrap().len(), 401);
    assert_eq!((operator.state.len(), operator.state.get("b")), (2, None));
}

/// A name that is the same in small letters and in capitals.
#[derive(Clone, Debug, Eq)]
struct Name(&'static str);

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

#[test]
fn a_key_stays_what_it_was_first() {
    let sum = |_: Time, _: &Name, values: List<'_, i64>, old: Option<i64>| {
        Some(old.unwrap_or(0) + values.iter().sum::<i64>())
    };
    let state = Arc::new(SharedTable::<Row<Name>, i64>::new("names", &Limits::default()));
    let operator = Keyed { state, step: UpdateState::<i64, _>::new(sum) };
    operator.state();
    let run = |now: u64, names: &[&'static str]| -> Vec<(&'static str, i64)> {
        let pairs = names.iter().map(|name| (Row(Name(name)), vec![1i64]));
        let out = turn(&operator, now, Some(&chunks(pairs.collect()))).unwrap().unwrap();
        operator.commit(&mut ());
        let out = columns::<(Row<Name>, i64)>(&out);
        (0..out.len()).map(|row| out.get(row)).map(|(name, total)| (name.0, total)).collect()
    };
    assert_eq!(run(1, &["Ebb", "flow", "EBB"]), [("Ebb", 2), ("flow", 1)]);
    assert_eq!(run(2, &["FLOW", "EBB"]), [("flow", 2), ("Ebb", 3)]);
    assert_eq!(run(3, &["ebb", "EBB"]), [("Ebb", 5), ("flow", 2)]);
    assert_eq!(operator.state.get(&Name("ebb")), Some(5));
}

#[test]
fn what_cannot_be_saved_is_named() {
    let f = |_: Time, _: &str, _: List<'_, i64>, _: Option<&Touchy>| None;
    let state = Arc::new(SharedTable::<String, Row<Touchy>>::new("rows", &Limits::default()));
    let operator = Keyed { state, step: UpdateState::<i64, _>::new(f) };
    let error = operator.saved_as().unwrap_err();
    assert!(error.to_string().contains("its state of type"), "{error}");
    assert!(error.to_string().contains("Touchy"), "{error}");
}

#[test]
fn torn_entries_are_refused() {
    let f = |_: Time, _: &str, values: List<'_, i64>, _: Option<i64>| values.iter().next();
    let make = || {
        let state = Arc::new(SharedTable::<String, i64>::new("torn", &Limits::default()));
        Keyed { state, step: UpdateState::<i64, _>::new(f) }
    };
    let operator = make();
    operator.state();
    operator.track_changes(&mut ());
    let pairs = vec![("a".to_owned(), vec![1i64]), ("b".to_owned(), vec![300])];
    turn(&operator, 1, Some(&chunks(pairs))).unwrap();
    operator.commit(&mut ());
    let mut changes = Changes::default();
    operator.save(&mut (), &mut changes).unwrap();
    for (cut_number, bytes) in changes.iter() {
        let bytes = bytes.unwrap();
        for cut in 0..bytes.len() {
            let mut torn = Changes::default();
            torn.put(cut_number, |out| out.extend(&bytes[..cut]));
            let other = make();
            other.state();
            let error = other.load(&mut (), &torn).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint);
        }
    }
}
