//! Windows of all kinds that crash and go on from a checkpoint: every batch gives what it gives
//! without a crash, also when it comes again.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ContextState, ErrorKind, Number, Stats};

use crate::random::{Random, seeds};
use crate::replay::Tape;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Record)]
struct Visit {
    page: String,
    tags: Vec<Option<i64>>,
}

/// What each output gave at each batch time.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<BTreeMap<(&'static str, Time), Vec<String>>>>);

impl Seen {
    /// Watches a stream, whose batches are the same each time that they come.
    fn watch<T: Record + Debug>(&self, name: &'static str, stream: &DStream<T>) {
        let seen = self.0.clone();
        stream.foreach_batch(move |batch, time| {
            let mut rows: Vec<String> =
                batch.to_vec().iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            let before = seen.lock().unwrap().insert((name, time), rows.clone());
            match before {
                Some(before) if before != rows => {
                    Err(format!("{name}, {time}: {before:?} became {rows:?}").into())
                }
                _ => Ok(()),
            }
        });
    }
}

fn program(tape: &Tape, directory: Option<(&Path, u32)>, seen: &Seen) -> TestContext {
    let t = TestContext::new().unwrap();
    if let Some((directory, every)) = directory {
        t.context().checkpoint(directory, every);
    }
    let lines = t.context().receiver_stream(tape.player()).unwrap();
    let numbers = lines.map(|line| (line[..1].to_owned(), line[1..].parse::<i64>().unwrap()));
    seen.watch("rows", &lines.window(3 * SECOND, 2 * SECOND));
    let visit = |line: &str| Visit { page: line.to_owned(), tags: vec![Some(1), None] };
    seen.watch("visits", &lines.map(visit).window(4 * SECOND, SECOND));
    seen.watch("count", &lines.count_by_window(2 * SECOND, SECOND));
    seen.watch("values", &lines.count_by_value_and_window(4 * SECOND, 2 * SECOND));
    let joined = lines.reduce_by_window(|a, b| format!("{a} {b}"), 3 * SECOND, SECOND);
    seen.watch("joined", &joined.map(|joined| joined.len() as i64));
    let sums = numbers.reduce_by_key_and_window_with_inverse(
        |a, b| a + b,
        |all, first| all - first,
        5 * SECOND,
        SECOND,
    );
    seen.watch("sums", &sums.keep_empty_keys().named("sums.v1"));
    let floats = numbers.map_values(|value| value as f64 / 7.0);
    seen.watch("floats", &floats.aggregate_by_key_and_window(Mean, 5 * SECOND, SECOND));
    let floats = floats.aggregate_by_key_and_window((Sum, Variance), 4 * SECOND, SECOND);
    seen.watch("kept", &floats.keep_empty_keys().retain(|key, _| key < "e"));
    let stats = numbers.map_values(|value| Number::decimal(value, 2)).aggregate_by_key_and_window(
        Stats,
        6 * SECOND,
        3 * SECOND,
    );
    seen.watch("stats", &stats);
    let tops = numbers
        .map(|(key, value)| (Saved(key.to_owned()), value))
        .aggregate_by_key_and_window((TopK(2), DistinctCount::new(), Last), 4 * SECOND, SECOND);
    seen.watch("tops", &tops);
    seen.watch("groups", &numbers.group_by_key_and_window(2 * SECOND, 2 * SECOND));
    t
}

#[test]
fn crashes() {
    for seed in seeds(6) {
        let mut random = Random::new(seed);
        let batch = |random: &mut Random| -> Vec<String> {
            let line = |random: &mut Random| {
                let key = (b'a' + random.below(9) as u8) as char;
                format!("{key}{}", random.below(1_000))
            };
            (0..random.below(2) * random.below(30)).map(|_| line(random)).collect()
        };
        const BATCHES: usize = 40;
        let tape = Tape::new((0..BATCHES).map(|_| batch(&mut random)));

        let (expected, seen) = (Seen::default(), Seen::default());
        let mut t = program(&tape, None, &expected);
        (0..BATCHES).for_each(|_| t.tick().unwrap());

        let directory = tempfile::tempdir().unwrap();
        let checkpoints = Some((directory.path(), random.between(1, 4) as u32));
        let (mut done, mut restarts) = (0, 0);
        while done < BATCHES {
            let mut t = program(&tape, checkpoints, &seen);
            for _ in 0..random.between(1, 9) {
                t.tick().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
            drop(t);
            let first = expected.0.lock().unwrap().keys().next().unwrap().1;
            let last = seen.0.lock().unwrap().keys().map(|(_, time)| *time).max().unwrap();
            done = first.to(last, SECOND).count();
            restarts += 1;
            assert!(restarts < 200, "seed {seed}: it does not come ahead: {done} batches");
        }
        let (expected, seen) = (expected.0.lock().unwrap(), seen.0.lock().unwrap());
        let last = expected.keys().map(|(_, time)| *time).max().unwrap();
        let seen = seen.iter().filter(|((_, time), _)| *time <= last);
        for (expected, seen) in expected.iter().zip(seen) {
            assert_eq!(expected, seen, "seed {seed}");
        }
    }
}

/// A window by its name, with another length.
#[test]
fn named_windows() {
    let tape = Tape::new([["a1"], ["b1"], ["c1"], ["d1"], ["e1"]]);
    let directory = tempfile::tempdir().unwrap();
    let run = |batches: u32, pane: u32| {
        let mut t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), 1);
        let lines = t.context().receiver_stream(tape.player()).unwrap();
        let (window, slide) = (batches * SECOND, pane * SECOND);
        let counts = lines.pair_with(1i64).aggregate_by_key_and_window(Sum, window, slide);
        let counts = t.output(&counts.named("counts.v1").map(|(key, _)| key.to_owned()));
        t.tick().map(|()| {
            assert_eq!(t.context().metrics().states[0].name, "counts.v1");
            counts.take_sorted()
        })
    };
    assert_eq!(run(2, 1).unwrap(), ["a1"]);
    assert_eq!(run(2, 1).unwrap(), ["a1", "b1"]);
    assert_eq!(run(4, 1).unwrap(), ["a1", "b1", "c1"]);
    assert_eq!(run(1, 1).unwrap(), ["d1"]);
    // Its panes are others.
    let error = run(2, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let text = error.to_string();
    for part in ["counts.v1", "panes of 1 batch", "panes of 2 batches by text"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// What keeps a window out of a checkpoint, and what to do about it.
#[test]
fn refusals() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |build: &dyn Fn(&DStream<(String, i64)>)| {
        let t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), 1);
        build(t.input::<(String, i64)>().stream());
        let error = t.context().start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        error.to_string()
    };
    struct Own;
    impl Aggregate<i64> for Own {
        type Partial = i64;
        type Output = i64;

        fn identity(&self) -> i64 {
            0
        }

        fn add(&self, _: &mut i64, _: i64) -> tidemill::Result<()> {
            Ok(())
        }

        fn merge(&self, _: &mut i64, _: &i64) -> tidemill::Result<()> {
            Ok(())
        }

        fn finish(&self, partial: &i64) -> tidemill::Result<i64> {
            Ok(*partial)
        }
    }
    let text = refused(&|pairs| {
        pairs.aggregate_by_key_and_window(Own, 2 * SECOND, SECOND).foreach_batch(|_, _| Ok(()));
    });
    assert!(text.contains("Own") && text.contains("partial_saved_as"), "{text}");
    let text = refused(&|pairs| {
        let rows = pairs.map(|(key, value)| (Row(key.to_owned()), value));
        rows.count_by_value_and_window(2 * SECOND, SECOND).foreach_batch(|_, _| Ok(()));
    });
    for part in ["(Row<String>, i64)", "derive `Record`", "Saved<T>"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Panics from so many calls on, also where a batch is undone.
#[derive(Clone)]
struct Fragile(Arc<AtomicU64>);

impl Aggregate<i64> for Fragile {
    type Partial = i64;
    type Output = i64;

    fn identity(&self) -> i64 {
        let left = self.0.load(Ordering::SeqCst).checked_sub(1).expect("on purpose");
        self.0.store(left, Ordering::SeqCst);
        0
    }

    fn add(&self, sum: &mut i64, value: i64) -> tidemill::Result<()> {
        *sum += value;
        Ok(())
    }

    fn merge(&self, sum: &mut i64, other: &i64) -> tidemill::Result<()> {
        *sum += other;
        Ok(())
    }

    fn finish(&self, sum: &i64) -> tidemill::Result<i64> {
        Ok(*sum)
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some("fragile sum".to_owned())
    }

    fn save_partial(&self, sum: &i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&sum.to_le_bytes());
    }

    fn load_partial(&self, from: &mut &[u8]) -> tidemill::Result<i64> {
        let (bytes, rest) = from.split_first_chunk().expect("what was saved");
        *from = rest;
        Ok(i64::from_le_bytes(*bytes))
    }
}

/// What can be neither done nor undone ends the program, as a crash does: what it remembers is in
/// the checkpoint, and nothing worse takes its place.
#[test]
fn memory_that_is_lost() {
    let mut lost = 0;
    for calls in 0..40 {
        let directory = tempfile::tempdir().unwrap();
        let tape = Tape::new(vec![["a"]; 30]);
        let fragile = Fragile(Arc::new(AtomicU64::new(u64::MAX)));
        let start = || {
            let t = TestContext::new().unwrap();
            t.context().checkpoint(directory.path(), 1);
            let ones = t.context().receiver_stream(tape.player()).unwrap().pair_with(1i64);
            let (window, slide) = (4 * SECOND, SECOND);
            let sums = ones.aggregate_by_key_and_window(fragile.clone(), window, slide);
            let sums = t.output(&sums);
            (t, sums)
        };
        let (mut t, sums) = start();
        for _ in 0..4 {
            t.tick().unwrap();
        }
        assert_eq!(sums.take_batches().pop().unwrap(), [("a".to_owned(), 4)]);
        fragile.0.store(calls, Ordering::SeqCst);
        let ticks = (0..8).map_while(|_| {
            let is_over = t.context().state() == ContextState::Stopped;
            (!is_over).then(|| t.tick().map_err(|error| error.to_string()))
        });
        assert!(ticks.filter_map(Result::err).all(|error| error.contains("on purpose")));
        lost += usize::from(t.context().state() == ContextState::Stopped);
        drop(t);
        fragile.0.store(u64::MAX, Ordering::SeqCst);
        let (mut t, sums) = start();
        t.tick().unwrap();
        assert_eq!(sums.take_batches().pop().unwrap(), [("a".to_owned(), 4)], "{calls}");
    }
    assert!(lost > 0, "no call was one of a batch that is undone");
}
