//! A panic in each function of the user's that state by key calls: the batch fails alone, with an
//! error that says where, states are as before it, and what comes after it is right, also after a
//! restart.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidemill::prelude::*;
use tidemill::{ErrorKind, List};

use crate::panics::panic_on_purpose;
use crate::replay::Tape;

/// What is called of the user's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Call {
    Clone,
    Drop,
    Eq,
    Hash,
    Serialize,
    Update,
    UpdateTouched,
    Map,
    TimeOut,
    Snapshot,
    Output,
    Deserialize,
}

/// The call that panics, once, after so many that do not.
static FUSE: Mutex<Option<(Call, usize)>> = Mutex::new(None);

/// Held by a test, as there is one fuse.
static TURN: Mutex<()> = Mutex::new(());

fn set_fuse(fuse: Option<(Call, usize)>) -> Option<(Call, usize)> {
    std::mem::replace(&mut *FUSE.lock().unwrap_or_else(PoisonError::into_inner), fuse)
}

fn called(call: Call) {
    let mut fuse = FUSE.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *fuse {
        Some((this, left)) if *this == call && *left > 0 => *left -= 1,
        Some((this, _)) if *this == call && !std::thread::panicking() => {
            *fuse = None;
            drop(fuse);
            panic_on_purpose();
        }
        _ => {}
    }
}

/// A key or a state, of which everything is the user's.
#[derive(Debug)]
struct Touchy(i64);

impl Clone for Touchy {
    fn clone(&self) -> Touchy {
        called(Call::Clone);
        Touchy(self.0)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        called(Call::Drop);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Touchy) -> bool {
        called(Call::Eq);
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        called(Call::Hash);
        self.0.hash(hasher);
    }
}

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        called(Call::Serialize);
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Touchy, D::Error> {
        called(Call::Deserialize);
        i64::deserialize(deserializer).map(Touchy)
    }
}

type Value = Saved<Touchy>;

const STATES: [&str; 3] = ["totals.v1", "touched.v1", "counts.v1"];

/// The keys of each batch, whose values are 1. The last key of the first one is idle in the third
/// for longer than the timeout.
const BATCHES: [&[i64]; 5] = [&[0, 1, 2, 2, 5], &[0, 2, 3], &[0, 1, 1, 4], &[2, 3], &[0, 4]];

/// The batch in which something panics.
const FAILING: usize = 3;

fn program(tape: &Tape, directory: &Path) -> TestContext {
    program_with(tape, directory, 1)
}

/// With checkpoints after every so many batches.
fn program_with(tape: &Tape, directory: &Path, every: u32) -> TestContext {
    let t = TestContext::with(StreamingContext::builder("touchy").threads(1)).unwrap();
    t.context().checkpoint(directory, every);
    let lines = t.context().receiver_stream(tape.player()).unwrap();
    let pairs = lines.map(|line| (Saved(Touchy(line.parse().unwrap())), 1i64));
    let sum = |call: Call| {
        move |values: List<'_, i64>, sum: Option<&Touchy>| {
            called(call);
            Some(Saved(Touchy(sum.map_or(0, |sum| sum.0) + values.iter().sum::<i64>())))
        }
    };
    let totals = pairs.update_state_by_key(STATES[0], sum(Call::Update));
    totals.foreach_batch(|_, _| {
        called(Call::Output);
        Ok(())
    });
    let touched = pairs.update_state_by_key(STATES[1], sum(Call::UpdateTouched));
    touched.touched_only().foreach_batch(|_, _| Ok(()));
    let counts =
        pairs.map_with_state::<i64, Value, _>(STATES[2], |_, value, state, _| match value {
            Some(value) => {
                called(Call::Map);
                let count = state.get_option().map_or(0, |count| count.0);
                state.update(Saved(Touchy(count + value)));
            }
            None => called(Call::TimeOut),
        });
    let counts = counts.timeout(Duration::from_secs(1));
    counts.foreach_batch(|_, _| Ok(()));
    counts.snapshots().foreach_batch(|_, _| {
        called(Call::Snapshot);
        Ok(())
    });
    t
}

fn tape() -> Tape {
    Tape::new(BATCHES.map(|keys| keys.iter().map(i64::to_string)))
}

/// What a program remembers under a name.
fn remembered(t: &TestContext, name: &str) -> BTreeMap<i64, i64> {
    let states = t.context().state_by_key::<Value, Value>(name).unwrap();
    let state = |key: i64| states.get(&Touchy(key)).unwrap().map(|state| (key, state.0.0));
    (0..7).filter_map(state).collect()
}

/// What it should remember after so many batches, maybe without the one that has failed.
fn expected(name: &str, batches: usize, has_failed: bool) -> BTreeMap<i64, i64> {
    let mut states = BTreeMap::new();
    for (now, keys) in (1..).zip(BATCHES).take(batches) {
        if now == FAILING && has_failed {
            continue;
        }
        for key in keys {
            let (count, last) = states.entry(*key).or_insert((0, now));
            (*count, *last) = (*count + 1, now);
        }
        if name == STATES[2] {
            states.retain(|_, (_, last)| *last + 1 >= now);
        }
    }
    states.into_iter().map(|(key, (count, _))| (key, count)).collect()
}

/// Runs all batches and a restart, with a panic in this call; false if it was not reached.
fn check(call: Call, calls_before: usize) -> bool {
    let what = format!("{call:?} after {calls_before}");
    let (directory, tape) = (tempfile::tempdir().unwrap(), tape());
    let mut t = program(&tape, directory.path());
    (1..FAILING).for_each(|_| t.tick().unwrap());
    set_fuse(Some((call, calls_before)));
    let ticked = t.tick();
    if set_fuse(None).is_some() {
        ticked.unwrap();
        return false;
    }
    let have_failed = STATES.map(|name| {
        let found = remembered(&t, name);
        let has_failed = found == expected(name, FAILING, true);
        assert!(has_failed || found == expected(name, FAILING, false), "{what}: {found:?}");
        has_failed
    });
    match &ticked {
        // What panics when it is dropped has done its work.
        Ok(()) => assert!(call == Call::Drop && have_failed == [false; 3], "{what}"),
        Err(error) => {
            let text = error.to_string();
            let is_named = ["operator ", "output "].iter().any(|name| text.contains(name));
            assert!(error.kind() == ErrorKind::Closure && is_named, "{what}: {text}");
            // A checkpoint is not part of its batch, and what fails in an output touches no state.
            let is_of_state = !matches!(call, Call::Serialize | Call::Output | Call::Snapshot);
            assert_eq!(have_failed.contains(&true), is_of_state, "{what}: {text}");
        }
    }
    for batches in FAILING + 1..=BATCHES.len() {
        t.tick().unwrap_or_else(|error| panic!("{what}: {error}"));
        for (name, has_failed) in STATES.into_iter().zip(have_failed) {
            assert_eq!(remembered(&t, name), expected(name, batches, has_failed), "{what}");
        }
    }
    drop(t);
    let t = program(&tape, directory.path());
    t.context().start().unwrap();
    for (name, has_failed) in STATES.into_iter().zip(have_failed) {
        let expected = expected(name, BATCHES.len(), has_failed);
        assert_eq!(remembered(&t, name), expected, "{what}, and a restart");
    }
    true
}

#[test]
fn a_panic_in_each_function() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    use Call::*;
    for call in
        [Clone, Drop, Eq, Hash, Serialize, Update, UpdateTouched, Map, TimeOut, Snapshot, Output]
    {
        assert!(check(call, 0), "{call:?} is never called");
        let _ = [1, 3, 8, 20].into_iter().all(|calls_before| check(call, calls_before));
    }
    // And one that keeps a program from its start, once. The first calls are of who asks what the
    // types look like, a key and a state of each operator.
    let (directory, tape) = (tempfile::tempdir().unwrap(), tape());
    let mut t = program(&tape, directory.path());
    t.tick().unwrap();
    drop(t);
    for calls_before in [6, 9] {
        let t = program(&tape, directory.path());
        set_fuse(Some((Call::Deserialize, calls_before)));
        let error = t.context().start().unwrap_err();
        assert_eq!((error.kind(), set_fuse(None)), (ErrorKind::Closure, None), "{error}");
        assert!(error.to_string().contains(".v1"), "{error}");
    }
    let t = program(&tape, directory.path());
    t.context().start().unwrap();
    assert_eq!(remembered(&t, STATES[0]), expected(STATES[0], 1, false));
}

/// What a state begins with is asked for while the program is built, and a panic is the builder's.
#[test]
fn a_panic_in_what_a_state_begins_with() {
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(String, i64)>();
    let totals = pairs.stream().update_state_by_key("totals.v1", |values, total| {
        Some(total.unwrap_or(0) + values.iter().sum::<i64>())
    });
    let states = std::iter::from_fn(|| -> Option<(String, i64)> { panic_on_purpose() });
    catch_unwind(AssertUnwindSafe(|| totals.initial(states))).unwrap_err();
    let other = pairs.stream().map_with_state::<i64, i64, _>("counts.v1", |_, _, _, _| {});
    let other = other.initial([("a".to_owned(), 1)]);
    let snapshots = t.output(&other.snapshots());
    pairs.push([("b".to_owned(), 1)]).unwrap();
    t.tick().unwrap();
    assert_eq!(snapshots.take(), [("a".to_owned(), 1)]);
}

/// A checkpoint that could not be made comes after the next batch, and has what was gathered for
/// the first one.
#[test]
fn a_checkpoint_that_fails_is_made_after_the_next_batch() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failed = 0;
    for calls_before in 0.. {
        let what = format!("after {calls_before} calls");
        let (directory, tape) = (tempfile::tempdir().unwrap(), tape());
        let mut t = program_with(&tape, directory.path(), 2);
        (1..=3).for_each(|_| t.tick().unwrap());
        set_fuse(Some((Call::Serialize, calls_before)));
        let ticked = t.tick();
        if set_fuse(None).is_some() {
            ticked.unwrap();
            break;
        }
        assert_eq!(ticked.unwrap_err().kind(), ErrorKind::Closure, "{what}");
        failed += 1;
        t.tick().unwrap();
        drop(t);
        let t = program_with(&tape, directory.path(), 2);
        t.context().start().unwrap();
        for name in STATES {
            assert_eq!(remembered(&t, name), expected(name, 5, false), "{what}");
        }
    }
    assert!(failed > 15, "{failed} calls");
}
