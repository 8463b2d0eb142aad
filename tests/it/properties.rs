//! Every operator against a naive model of it, over random batches and by any number of threads.

use std::collections::BTreeMap;
use std::fmt::Debug;

use tidemill::prelude::*;

use crate::batches::{Input, Pair, random_inputs};
use crate::check::batch_of;
use crate::random::{Random, seeds};

/// What becomes of an operator whose parent has no batch.
#[derive(Copy, Clone, PartialEq, Eq)]
enum WithoutBatch {
    HasNone,
    Fails,
}

use WithoutBatch::{Fails, HasNone};

/// Runs an operator over random batches, by 1 to 4 threads, and compares its rows in their order.
#[track_caller]
fn check<U>(
    build: impl Fn(&DStream<Pair>) -> DStream<U>,
    without_batch: WithoutBatch,
    model: impl Fn(&[Vec<Pair>]) -> Vec<U>,
) where
    U: Record + Clone + Debug + PartialEq,
{
    check_sorted(build, without_batch, model, |_| {});
}

/// As [`check`], for operators that give their rows in any order.
#[track_caller]
fn check_bag<U>(
    build: impl Fn(&DStream<Pair>) -> DStream<U>,
    without_batch: WithoutBatch,
    model: impl Fn(&[Vec<Pair>]) -> Vec<U>,
) where
    U: Record + Clone + Debug + PartialEq + PartialOrd,
{
    let sort = |rows: &mut Vec<U>| rows.sort_by(|a, b| a.partial_cmp(b).expect("no NaN here"));
    check_sorted(build, without_batch, model, sort);
}

#[track_caller]
fn check_sorted<U>(
    build: impl Fn(&DStream<Pair>) -> DStream<U>,
    without_batch: WithoutBatch,
    model: impl Fn(&[Vec<Pair>]) -> Vec<U>,
    sort: impl Fn(&mut Vec<U>),
) where
    U: Record + Clone + Debug + PartialEq,
{
    for seed in seeds(25) {
        let mut random = Random::new(seed);
        let inputs: Vec<Input> = random_inputs(&mut random);
        let threads = random.between(1, 4);
        let builder = StreamingContext::builder("properties").threads(threads);
        let mut t = TestContext::with(builder).unwrap();
        let source = t.input::<Pair>();
        let output = t.output(&build(source.stream()));
        for (batch, input) in inputs.iter().enumerate() {
            let what = format!("TIDEMILL_SEED={seed}, batch {batch}, {threads} threads");
            let Some(partitions) = input else {
                source.push_absent().unwrap();
                assert_eq!(t.tick().is_err(), without_batch == Fails, "{what}");
                assert!(output.take_batches().is_empty(), "{what}");
                continue;
            };
            source.push_batch(batch_of(partitions)).unwrap();
            t.tick().unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut batches = output.take_batches();
            assert_eq!(batches.len(), 1, "{what}");
            let (mut rows, mut expected) = (batches.remove(0), model(partitions));
            sort(&mut rows);
            sort(&mut expected);
            assert_eq!(rows, expected, "{what}");
        }
    }
}

/// The values of each key, in the order of their arrival.
fn by_key(partitions: &[Vec<Pair>]) -> BTreeMap<i64, Vec<i64>> {
    let mut by_key: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for &(key, value) in partitions.iter().flatten() {
        by_key.entry(key).or_default().push(value);
    }
    by_key
}

fn each<U>(partitions: &[Vec<Pair>], of_key: impl Fn(&[i64]) -> U) -> Vec<(i64, U)> {
    by_key(partitions).into_iter().map(|(key, values)| (key, of_key(&values))).collect()
}

fn joined(values: &[i64]) -> String {
    values.iter().map(|value| format!("{value} ")).collect()
}

#[test]
fn map() {
    check(
        |pairs| pairs.map(|(key, value)| format!("{key} {value}")),
        HasNone,
        |rows| rows.concat().iter().map(|(key, value)| format!("{key} {value}")).collect(),
    );
}

#[test]
fn flat_map() {
    check(
        |pairs| {
            pairs.flat_map::<i64, _>(|(key, value), out| {
                (0..key % 3).for_each(|times| out.push(value + times));
            })
        },
        HasNone,
        |rows| {
            let rows = rows.concat().into_iter();
            rows.flat_map(|(key, value)| (0..key % 3).map(move |times| value + times)).collect()
        },
    );
}

#[test]
fn filter() {
    check(
        |pairs| pairs.filter(|(key, value)| (key + value) % 3 == 0),
        HasNone,
        |rows| {
            let mut rows = rows.concat();
            rows.retain(|(key, value)| (key + value) % 3 == 0);
            rows
        },
    );
}

#[test]
fn map_values() {
    check(
        |pairs| pairs.map_values(|value| value * 2),
        HasNone,
        |rows| rows.concat().iter().map(|&(key, value)| (key, value * 2)).collect(),
    );
}

#[test]
fn flat_map_values() {
    check(
        |pairs| {
            pairs.flat_map_values::<i64, _>(|value, out| {
                (0..value % 3).for_each(|times| out.push(times));
            })
        },
        HasNone,
        |rows| {
            let rows = rows.concat().into_iter();
            rows.flat_map(|(key, value)| (0..value % 3).map(move |times| (key, times))).collect()
        },
    );
}

#[test]
fn map_partitions() {
    // Each partition's sum and number of rows, also of empty ones.
    check(
        |pairs| {
            pairs.map_partitions::<(i64, i64), _>(|rows, out| {
                out.push((rows.iter().map(|(_, value)| value).sum(), rows.len() as i64));
            })
        },
        HasNone,
        |rows| {
            let sum = |rows: &[Pair]| rows.iter().map(|(_, value)| value).sum();
            rows.iter().map(|rows| (sum(rows), rows.len() as i64)).collect()
        },
    );
}

#[test]
fn glom() {
    check(|pairs| pairs.glom(), HasNone, <[Vec<Pair>]>::to_vec);
}

#[test]
fn repartition() {
    for partitions in [1, 2, 7] {
        check(
            |pairs| pairs.repartition(partitions).glom(),
            Fails,
            |rows| {
                let rows = rows.concat();
                let bound = |part: usize| part * rows.len() / partitions;
                (0..partitions).map(|part| rows[bound(part)..bound(part + 1)].to_vec()).collect()
            },
        );
    }
}

#[test]
fn union() {
    check(
        |pairs| {
            let negated = pairs.map_values(|value: i64| -value);
            pairs.context().union(&[pairs.clone(), negated, pairs.clone()])
        },
        Fails,
        |rows| {
            let rows = rows.concat();
            let negated = rows.iter().map(|&(key, value)| (key, -value)).collect();
            [rows.clone(), negated, rows].concat()
        },
    );
}

#[test]
fn transforms_of_several_streams() {
    let firsts = |batch: &Batch<Pair>| -> Vec<Pair> {
        let firsts = batch.partitions().map(|rows| (0..rows.len().min(1)).map(|row| rows.get(row)));
        firsts.flatten().collect()
    };
    let model = |rows: &[Vec<Pair>]| -> Vec<Pair> {
        rows.iter().filter_map(|rows| rows.first().copied()).collect()
    };
    check(
        |pairs| pairs.transform(move |batch, _| Ok(firsts(&batch).into_iter().collect())),
        Fails,
        model,
    );
    check(
        |pairs| {
            let negated = pairs.map_values(|value: i64| -value);
            pairs.transform_with(&negated, move |left, right, _| {
                Ok(firsts(&left).into_iter().chain(firsts(&right)).collect())
            })
        },
        Fails,
        |rows| {
            let firsts = model(rows);
            let negated = firsts.iter().map(|&(key, value)| (key, -value)).collect();
            [firsts, negated].concat()
        },
    );
    check(
        |pairs| {
            let negated = pairs.map_values(|value: i64| -value);
            let streams = [negated, pairs.clone()];
            pairs.context().transform(&streams, move |batches, _| {
                Ok(batches.iter().flat_map(firsts).collect())
            })
        },
        Fails,
        |rows| {
            let firsts = model(rows);
            let negated = firsts.iter().map(|&(key, value)| (key, -value)).collect();
            [negated, firsts].concat()
        },
    );
}

#[test]
fn count() {
    check(|pairs| pairs.count(), Fails, |rows| vec![rows.concat().len() as i64]);
}

#[test]
fn reduce() {
    check(
        |pairs| pairs.map(|(_, value)| format!("{value} ")).reduce(|a, b| format!("{a}{b}")),
        HasNone,
        |rows| {
            let values: Vec<i64> = rows.concat().iter().map(|&(_, value)| value).collect();
            if values.is_empty() { vec![] } else { vec![joined(&values)] }
        },
    );
}

#[test]
fn count_by_value() {
    check_bag(
        |pairs| pairs.map(|(key, _)| key).count_by_value(),
        HasNone,
        |rows| each(rows, |values| values.len() as i64),
    );
    check_bag(
        |pairs| pairs.map(|(key, _)| format!("a rather long key {key}")).count_by_value(),
        HasNone,
        |rows| {
            let counts = each(rows, |values| values.len() as i64).into_iter();
            counts.map(|(key, count)| (format!("a rather long key {key}"), count)).collect()
        },
    );
}

#[test]
fn reduce_by_key() {
    check_bag(
        |pairs| {
            let texts = pairs.map_values(|value| format!("{value} "));
            texts.reduce_by_key(|left, right| format!("{left}{right}"))
        },
        HasNone,
        |rows| each(rows, joined),
    );
}

#[test]
fn group_by_key() {
    check_bag(|pairs| pairs.group_by_key(), HasNone, |rows| each(rows, <[i64]>::to_vec));
}

/// The same bits for any number of threads, also where floats round.
#[test]
fn threads_do_not_show() {
    type Build = fn(&DStream<Pair>) -> DStream<(i64, f64)>;
    let builds: [Build; 3] = [
        |pairs| pairs.map_values(|value| 0.1 * value as f64).aggregate_by_key(Sum),
        |pairs| pairs.map_values(|value| 0.1 * value as f64).reduce_by_key(|a, b| a + b),
        |pairs| {
            let (window, slide) =
                (std::time::Duration::from_secs(5), std::time::Duration::from_secs(1));
            let tenths = pairs.map_values(|value| 0.1 * value as f64);
            DStream::clone(&tenths.aggregate_by_key_and_window(Sum, window, slide))
        },
    ];
    for (build, seed) in
        builds.into_iter().flat_map(|build| seeds(10).map(move |seed| (build, seed)))
    {
        let bits = |threads| {
            let mut random = Random::new(seed);
            let builder = StreamingContext::builder("threads").threads(threads);
            let mut t = TestContext::with(builder).unwrap();
            let source = t.input::<Pair>();
            let output = t.output(&build(source.stream()));
            for input in random_inputs(&mut random).iter().flatten() {
                source.push_batch(batch_of(input)).unwrap();
                t.tick().unwrap();
            }
            let rows = output.take().into_iter();
            rows.map(|(key, sum)| (key, sum.to_bits())).collect::<Vec<_>>()
        };
        let alone = bits(1);
        assert!((2..=4).all(|threads| bits(threads) == alone), "seed {seed}");
    }
}
