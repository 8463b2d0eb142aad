//! A closure that panics, in every kind of operator: the batch fails with an error that names the
//! operator, and the next batch is as if the failed one had not been.

use std::time::Duration;

use tidemill::Aggregate;
use tidemill::prelude::*;

use crate::check::batch_of;
use crate::panics::panic_on_purpose;

type Pairs = DStream<(i64, i64)>;

/// A value that closures panic at.
const POISON: i64 = -1;

fn sip(value: i64) -> i64 {
    if value == POISON { panic_on_purpose() } else { value }
}

/// Builds an operator with a closure that panics at the poison, and then makes it comparable.
type Build = fn(&Pairs) -> DStream<String>;

fn text<T: Record>(stream: &DStream<T>) -> DStream<String>
where
    for<'a> T::Ref<'a>: std::fmt::Debug,
{
    stream.map(|row| format!("{row:?}"))
}

const WINDOW: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));

#[derive(Copy, Clone)]
struct Sipping;

impl Aggregate<i64> for Sipping {
    type Partial = i64;
    type Output = i64;

    fn identity(&self) -> i64 {
        0
    }

    fn add(&self, partial: &mut i64, value: i64) -> tidemill::Result<()> {
        *partial += sip(value);
        Ok(())
    }

    fn merge(&self, into: &mut i64, later: &i64) -> tidemill::Result<()> {
        *into += later;
        Ok(())
    }

    fn finish(&self, partial: &i64) -> tidemill::Result<i64> {
        Ok(*partial)
    }
}

/// The operator's name in the error, whether it remembers batches, and the operator.
const OPERATORS: [(&str, bool, Build); 26] = [
    ("map", false, |pairs| text(&pairs.map(|(_, value)| sip(value)))),
    ("flat_map", false, |pairs| {
        text(&pairs.flat_map::<i64, _>(|(_, value), out| out.push(sip(value))))
    }),
    ("filter", false, |pairs| text(&pairs.filter(|(_, value)| sip(value) > 0))),
    ("map_values", false, |pairs| text(&pairs.map_values(sip))),
    ("flat_map_values", false, |pairs| {
        text(&pairs.flat_map_values::<i64, _>(|value, out| out.push(sip(value))))
    }),
    ("map_partitions", false, |pairs| {
        text(&pairs.map_partitions::<i64, _>(|rows, out| {
            out.push(rows.iter().map(|(_, value)| sip(value)).sum());
        }))
    }),
    ("transform", false, |pairs| {
        text(&pairs.transform(|batch, _| Ok(batch.iter().map(|(_, value)| sip(value)).collect())))
    }),
    ("transform_with", false, |pairs| {
        text(&pairs.transform_with(&pairs.count(), |batch, _, _| {
            Ok(batch.iter().map(|(_, value)| sip(value)).collect::<Batch<i64>>())
        }))
    }),
    ("transform", false, |pairs| {
        text(&pairs.context().transform(&[pairs.clone(), pairs.clone()], |batches, _| {
            Ok(batches[1].iter().map(|(_, value)| sip(value)).collect::<Batch<i64>>())
        }))
    }),
    ("reduce", false, |pairs| {
        text(&pairs.map(|(_, value)| value).reduce(|left, right| sip(left) + sip(right)))
    }),
    ("reduce_by_key", false, |pairs| {
        text(&pairs.reduce_by_key(|left, right| sip(left) + sip(right)))
    }),
    ("combine_by_key", false, |pairs| {
        let sum = |left: i64, right: i64| left + right;
        text(&pairs.combine_by_key::<i64, _, _, _>(sip, move |left, right| left + sip(right), sum))
    }),
    ("aggregate_by_key(Sipping)", false, |pairs| text(&pairs.aggregate_by_key(Sipping))),
    ("sort_by", false, |pairs| text(&pairs.sort_by(|left, right| sip(left.1).cmp(&sip(right.1))))),
    ("top_by(2)", false, |pairs| {
        text(&pairs.top_by(2, |left, right| sip(left.1).cmp(&sip(right.1))))
    }),
    // The panic comes before or after the join.
    ("map_values", false, |pairs| text(&pairs.map_values(sip).join(pairs))),
    ("map", false, |pairs| text(&pairs.join(pairs).map(|(_, (left, _))| sip(left)))),
    ("map", false, |pairs| {
        let lookup = Lookup::new([(1i64, 5i64)]);
        text(&pairs.join_lookup(&lookup).map(|(_, (left, _))| sip(left)))
    }),
    // Windows: what is before them, in them, or after them.
    ("map", true, |pairs| text(&pairs.map(|(_, value)| sip(value)).window(WINDOW.0, WINDOW.1))),
    ("map", true, |pairs| text(&pairs.window(WINDOW.0, WINDOW.1).map(|(_, value)| sip(value)))),
    ("reduce_by_key", true, |pairs| {
        let sum = |left, right| sip(left) + sip(right);
        text(&pairs.reduce_by_key_and_window(sum, WINDOW.0, WINDOW.1))
    }),
    ("map", true, |pairs| {
        let inverse = |left, right| left - right;
        let sums = pairs.reduce_by_key_and_window_with_inverse(
            |left, right| left + right,
            inverse,
            WINDOW.0,
            WINDOW.1,
        );
        let maxima =
            pairs.map_values(|value| -value).aggregate_by_key_and_window(Max, WINDOW.0, WINDOW.1);
        // The poison is the greatest of its key there.
        text(&sums.join(&maxima).map(|(key, (sum, max))| (key, (sum, sip(-max)))))
    }),
    ("aggregate_by_key(Sipping)", true, |pairs| {
        text(&pairs.aggregate_by_key_and_window(Sipping, WINDOW.0, WINDOW.1))
    }),
    ("reduce", true, |pairs| {
        let values = pairs.map(|(_, value)| value);
        text(&values.reduce_by_window(|left, right| sip(left) + sip(right), WINDOW.0, WINDOW.1))
    }),
    ("filter", true, |pairs| {
        let counts = pairs.map(|(_, value)| value);
        text(
            &counts
                .count_by_value_and_window(WINDOW.0, WINDOW.1)
                .filter(|(value, _)| sip(value) > 0),
        )
    }),
    ("aggregate_by_key_and_window(Max, 3s, 1s)", true, |pairs| {
        let maxima = pairs.map_values(|value| if value == POISON { 99 } else { value });
        let maxima = maxima.aggregate_by_key_and_window(Max, WINDOW.0, WINDOW.1);
        text(&maxima.retain(|_, max| if max == 99 { panic_on_purpose() } else { true }))
    }),
];

#[test]
fn in_every_operator() {
    let batch = |base: i64, poison: Option<i64>| {
        let values: Vec<i64> = [base, base + 1, base].into_iter().chain(poison).collect();
        let rows: Vec<(i64, i64)> =
            values.iter().map(|&value| (value.rem_euclid(2), value)).collect();
        vec![rows[..2].to_vec(), rows[2..].to_vec()]
    };
    for (name, remembers, build) in OPERATORS {
        for threads in [1, 2] {
            let run = |is_poisoned: bool| {
                let builder = StreamingContext::builder("closures").threads(threads);
                let mut t = TestContext::with(builder).unwrap();
                let pairs = t.input::<(i64, i64)>();
                let output = t.output(&build(pairs.stream()));
                let mut batches = Vec::new();
                for number in 0..6 {
                    let is_bad = number == 2 || number == 4;
                    match is_bad {
                        false => pairs.push_batch(batch_of(&batch(10 * number, None))).unwrap(),
                        // Without the poison: as if it had not been.
                        true if !is_poisoned => {}
                        true => {
                            let poisoned = batch(10 * number, Some(POISON));
                            pairs.push_batch(batch_of(&poisoned)).unwrap();
                        }
                    }
                    let ticked = t.tick();
                    if is_bad && is_poisoned {
                        let error = ticked.expect_err(name).to_string();
                        let expected = format!("operator {name} panicked");
                        assert!(error.contains(&expected), "{name}: {error}");
                        assert!(error.contains(&format!("batch {} ms", 1_000 * (number + 1))));
                        assert!(output.take_batches().is_empty(), "{name}");
                    } else {
                        ticked.unwrap();
                    }
                    let mut rows = output.take();
                    rows.sort();
                    if !is_bad {
                        batches.push(rows);
                    }
                }
                batches
            };
            let (poisoned, clean) = (run(true), run(false));
            assert_eq!(poisoned, clean, "{name}, {threads} threads");
            assert!(!remembers || clean[2] != clean[0], "{name} looks back");
        }
    }
}

/// In an output: windows have the batch all the same.
#[test]
fn in_an_output() {
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(i64, i64)>();
    let counts = pairs.stream().count_by_window(WINDOW.0, WINDOW.1);
    let before = t.output(&counts);
    counts.foreach_batch(|batch, _| {
        if batch.iter().any(|count| count == 6) {
            panic_on_purpose();
        }
        Ok(())
    });
    let others = t.output(&pairs.stream().map(|(_, value)| value).window(WINDOW.0, WINDOW.1));
    for rows in [1, 2, 3, 2] {
        pairs.push((0..rows).map(|row| (row, row))).unwrap();
        let ticked = t.tick();
        assert_eq!(ticked.is_err(), rows == 3);
        if let Err(error) = ticked {
            assert!(error.to_string().contains("operator foreach_batch panicked"), "{error}");
        }
    }
    assert_eq!(before.take(), [1, 3, 6, 7]);
    // The failure is that output's alone.
    assert_eq!(others.take_batches().pop().unwrap(), [0, 1, 0, 1, 2, 0, 1]);
}

/// A key whose hash or equality panics.
#[test]
fn in_a_key() {
    #[derive(Clone, Debug, Eq)]
    struct Touchy(i64);

    impl std::hash::Hash for Touchy {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            sip(self.0).hash(state);
        }
    }

    impl PartialEq for Touchy {
        fn eq(&self, other: &Touchy) -> bool {
            self.0 == other.0
        }
    }

    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let keys = numbers.stream().map(|number| Row(Touchy(number)));
    let windowed = keys.count_by_value_and_window(WINDOW.0, WINDOW.1);
    let counts = t.output(&windowed.map(|(key, count)| (key.0, count)));
    for batch in [vec![1i64, 2], vec![3, POISON, 4], vec![1, 3]] {
        let is_bad = batch.contains(&POISON);
        numbers.push(batch).unwrap();
        assert_eq!(t.tick().is_err(), is_bad);
    }
    let batches = counts.take_batches();
    let mut last = batches.last().unwrap().clone();
    last.sort();
    assert_eq!(last, [(1, 2), (2, 1), (3, 1)]);
}

/// Keys whose hash or equality panicked in the middle of a batch: the table goes on with the ids
/// that it gave out before, whichever comparison it was.
#[test]
fn in_a_table_of_keys() {
    use std::sync::atomic::{AtomicI64, Ordering};
    use tidemill::{Groups, HashGroups, RowColumn};

    static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

    fn step() {
        if LEFT.fetch_sub(1, Ordering::Relaxed) == 0 {
            panic_on_purpose();
        }
    }

    #[derive(Clone, Debug, Eq)]
    struct Touchy(u64);

    impl std::hash::Hash for Touchy {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            step();
            // Some keys collide.
            (self.0 / 2).hash(state);
        }
    }

    impl PartialEq for Touchy {
        fn eq(&self, other: &Touchy) -> bool {
            step();
            self.0 == other.0
        }
    }

    let column = |numbers: std::ops::Range<u64>| {
        let mut keys = RowColumn::<Touchy>::default();
        numbers.for_each(|number| keys.push(&Touchy(number)));
        keys
    };
    for fails_after in 0..300 {
        let mut groups = HashGroups::<Row<Touchy>>::new(1_000);
        let mut ids = Vec::new();
        groups.ids(&column(0..50), &mut ids).unwrap();
        LEFT.store(fails_after, Ordering::Relaxed);
        let fails = std::panic::AssertUnwindSafe(|| groups.ids(&column(0..200), &mut Vec::new()));
        let failed = std::panic::catch_unwind(fails).is_err();
        LEFT.store(i64::MAX, Ordering::Relaxed);
        assert!(failed);
        ids.clear();
        groups.ids(&column(0..200), &mut ids).unwrap();
        assert_eq!(ids, (0..200).collect::<Vec<u32>>(), "after {fails_after}");
        let mut keys = RowColumn::default();
        groups.keys(&mut keys);
        ids.clear();
        groups.ids(&keys, &mut ids).unwrap();
        assert_eq!(ids, (0..200).collect::<Vec<u32>>(), "after {fails_after}");
    }
}

/// A panic where the engine only measures or undoes: the window may be lost, the engine goes on.
#[test]
fn in_what_measures_a_partial() {
    #[derive(Copy, Clone)]
    struct Unmeasurable;

    impl Aggregate<i64> for Unmeasurable {
        type Partial = i64;
        type Output = i64;

        fn identity(&self) -> i64 {
            0
        }

        fn add(&self, partial: &mut i64, value: i64) -> tidemill::Result<()> {
            *partial += value;
            Ok(())
        }

        fn merge(&self, into: &mut i64, later: &i64) -> tidemill::Result<()> {
            *into += later;
            Ok(())
        }

        fn finish(&self, partial: &i64) -> tidemill::Result<i64> {
            Ok(sip(*partial))
        }

        fn byte_len(&self, partial: &i64) -> usize {
            sip(*partial);
            8
        }
    }

    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(i64, i64)>();
    let windowed = pairs.stream().aggregate_by_key_and_window(Unmeasurable, WINDOW.0, WINDOW.1);
    let output = t.output(&windowed);
    for (value, fails) in [(1, false), (POISON, true), (2, false), (3, false)] {
        pairs.push([(7i64, value)]).unwrap();
        assert_eq!(t.tick().is_err(), fails, "{value}");
    }
    assert_eq!(output.take().last(), Some(&(7, 5)));
    t.context().stop();
}
