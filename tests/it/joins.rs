//! Two streams brought together by key, and a stream with a table, against naive models: random
//! batches with repeated keys, skewed ones, empty and absent batches, by any number of threads.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use tidemill::prelude::*;

use crate::check::batch_of;
use crate::random::{Random, seeds};

type Left = (String, i64);
type Right = (String, String);

/// Both sides of each key, in the order of their arrival.
type Sides = BTreeMap<String, (Vec<i64>, Vec<String>)>;

/// A batch: its partitions, or none.
type Input<T> = Option<Vec<Vec<T>>>;

fn random_input<T>(random: &mut Random, row: impl Fn(&mut Random) -> T) -> Input<T> {
    if random.below(8) == 0 {
        return None;
    }
    let rows = [0, 3, 40][random.below(3)];
    let partition =
        |random: &mut Random| (0..random.below(rows + 1)).map(|_| row(random)).collect();
    Some((0..random.between(1, 3)).map(|_| partition(random)).collect())
}

/// Few keys that come often, some that come seldom, the empty one and a long one.
fn random_key(random: &mut Random) -> String {
    match random.below(10) {
        0 => String::new(),
        1 => "a key of more than forty-eight bytes, which is kept apart".to_owned(),
        2..7 => format!("k{}", random.below(3)),
        _ => format!("key {}", random.below(50)),
    }
}

fn sides(left: &Input<Left>, right: &Input<Right>) -> Sides {
    let mut sides = Sides::new();
    for (key, value) in left.iter().flatten().flatten().cloned() {
        sides.entry(key).or_default().0.push(value);
    }
    for (key, value) in right.iter().flatten().flatten().cloned() {
        sides.entry(key).or_default().1.push(value);
    }
    sides
}

#[track_caller]
fn check<U>(
    build: impl Fn(&DStream<Left>, &DStream<Right>) -> DStream<U>,
    model: impl Fn(&str, &[i64], &[String]) -> Vec<U>,
) where
    U: Record + Clone + Debug + PartialEq,
{
    for seed in seeds(40) {
        let mut random = Random::new(seed);
        let threads = random.between(1, 3);
        let mut t = TestContext::with(StreamingContext::builder("joins").threads(threads)).unwrap();
        let (left, right) = (t.input::<Left>(), t.input::<Right>());
        let output = t.output(&build(left.stream(), right.stream()));
        for batch in 0..8 {
            let lefts =
                random_input(&mut random, |random| (random_key(random), random.below(9) as i64));
            let rights =
                random_input(&mut random, |random| (random_key(random), random_key(random)));
            match &lefts {
                Some(partitions) => left.push_batch(batch_of(partitions)).unwrap(),
                None => left.push_absent().unwrap(),
            }
            match &rights {
                Some(partitions) => right.push_batch(batch_of(partitions)).unwrap(),
                None => right.push_absent().unwrap(),
            }
            let ticked = t.tick();
            let batches = output.take_batches();
            if lefts.is_none() || rights.is_none() {
                let error = ticked.expect_err("a batch of each side is needed").to_string();
                assert!(error.contains("got no batch from its parent"), "{error}");
                assert!(batches.is_empty());
                continue;
            }
            ticked.unwrap();
            let mut expected = Vec::new();
            for (key, (left, right)) in &sides(&lefts, &rights) {
                expected.extend(model(key, left, right));
            }
            let mut rows = batches.concat();
            for rows in [&mut expected, &mut rows] {
                rows.sort_by_cached_key(|row| format!("{row:?}"));
            }
            assert_eq!(rows, expected, "seed {seed}, batch {batch}");
        }
    }
}

#[test]
fn cogroup() {
    check(
        |left, right| left.cogroup(right),
        |key, left, right| vec![(key.to_owned(), (left.to_vec(), right.to_vec()))],
    );
}

#[test]
fn join() {
    check(
        |left, right| left.join(right),
        |key, left, right| {
            let pairs = left.iter().flat_map(|&left| right.iter().map(move |right| (left, right)));
            pairs.map(|(left, right)| (key.to_owned(), (left, right.clone()))).collect()
        },
    );
}

/// `None` once where a side is missing.
fn or_none<T: Clone>(values: &[T]) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.iter().cloned().map(Some).collect() }
}

#[test]
fn left_outer_join() {
    check(
        |left, right| left.left_outer_join(right),
        |key, left, right| {
            let mut rows = Vec::new();
            for &left in left {
                rows.extend(
                    or_none(right).into_iter().map(|right| (key.to_owned(), (left, right))),
                );
            }
            rows
        },
    );
}

#[test]
fn right_outer_join() {
    check(
        |left, right| left.right_outer_join(right),
        |key, left, right| {
            let mut rows = Vec::new();
            for right in right {
                let pair = |left| (key.to_owned(), (left, right.clone()));
                rows.extend(or_none(left).into_iter().map(pair));
            }
            rows
        },
    );
}

#[test]
fn full_outer_join() {
    check(
        |left, right| left.full_outer_join(right),
        |key, left, right| {
            let mut rows = Vec::new();
            for left in or_none(left) {
                let pair = |right| (key.to_owned(), (left, right));
                rows.extend(or_none(right).into_iter().map(pair));
            }
            rows
        },
    );
}

/// A stream with itself.
#[test]
fn join_with_itself() {
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(i64, i64)>();
    let output = t.output(&pairs.stream().join(pairs.stream()));
    pairs.push([(1i64, 10i64), (1, 20), (2, 30)]).unwrap();
    t.tick().unwrap();
    let expected = [(1, (10, 10)), (1, (10, 20)), (1, (20, 10)), (1, (20, 20)), (2, (30, 30))];
    assert_eq!(output.take_sorted(), expected);
}

/// Over time: what came in the last three batches here with what came in the last two there.
#[test]
fn join_of_windows() {
    let secs = Duration::from_secs;
    let mut t = TestContext::new().unwrap();
    let (left, right) = (t.input::<(i64, i64)>(), t.input::<(i64, i64)>());
    let windows = (left.stream().window(secs(3), secs(1)), right.stream().window(secs(2), secs(1)));
    let output = t.output(&windows.0.join(&windows.1));
    for batch in 1..=4i64 {
        left.push([(7, batch)]).unwrap();
        right.push([(7, 10 * batch)]).unwrap();
        t.tick().unwrap();
    }
    let last = output.take_batches().pop().unwrap();
    let values: Vec<(i64, i64)> = last.into_iter().map(|(_, values)| values).collect();
    assert_eq!(values, [(2, 30), (2, 40), (3, 30), (3, 40), (4, 30), (4, 40)]);
}

#[test]
fn streams_that_do_not_fit() {
    let secs = Duration::from_secs;
    let t = TestContext::new().unwrap();
    let pairs = t.input::<(i64, i64)>();
    t.output(&pairs.stream().join(&pairs.stream().window(secs(6), secs(3))));
    let error = t.context().start().unwrap_err().to_string();
    assert!(error.contains("join of streams with different slides, 1s and 3s"), "{error}");

    let (t, other) = (TestContext::new().unwrap(), TestContext::new().unwrap());
    let (pairs, strangers) = (t.input::<(i64, i64)>(), other.input::<(i64, i64)>());
    t.output(&pairs.stream().cogroup(strangers.stream()));
    let error = t.context().start().unwrap_err().to_string();
    assert!(error.contains("cogroup of streams of two contexts"), "{error}");
}

#[test]
fn lookup() {
    for threads in [1, 2] {
        let builder = StreamingContext::builder("lookup").threads(threads);
        let mut t = TestContext::with(builder).unwrap();
        let pairs = t.input::<(String, i64)>();
        let text = |text: &str| text.to_owned();
        let colours = Lookup::new([
            (text("sky"), text("blue")),
            (text("sea"), text("green")),
            (text("sky"), text("red")),
        ]);
        let joined = t.output(&pairs.stream().join_lookup(&colours));
        let all = t.output(&pairs.stream().left_join_lookup(&colours));
        let rows = [vec![(text("sky"), 1)], vec![(text("sand"), 2), (text("sea"), 3)]];
        pairs.push_batch(batch_of(&rows)).unwrap();
        t.tick().unwrap();
        let expected = [
            (text("sky"), (1, text("blue"))),
            (text("sky"), (1, text("red"))),
            (text("sea"), (3, text("green"))),
        ];
        assert_eq!(joined.take(), expected);
        let some =
            |row: &(String, (i64, String))| (row.0.clone(), (row.1.0, Some(row.1.1.clone())));
        let mut expected: Vec<_> = expected.iter().map(some).collect();
        expected.insert(2, (text("sand"), (2, None)));
        assert_eq!(all.take(), expected);

        colours.clone().replace([(text("sand"), text("yellow"))]);
        pairs.push_batch(batch_of(&rows)).unwrap();
        t.tick().unwrap();
        assert_eq!(joined.take(), [(text("sand"), (2, text("yellow")))]);
        assert_eq!(all.take().len(), 3);

        colours.replace([]);
        pairs.push_batch(batch_of(&rows)).unwrap();
        t.tick().unwrap();
        assert_eq!(joined.take_batches(), [vec![]]);
        pairs.push_absent().unwrap();
        assert!(t.tick().unwrap_err().to_string().contains("operator join_lookup"));
    }
}
