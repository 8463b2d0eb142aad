//! How operators are tested: batches in, batches out, the same for every number of threads.

use std::fmt::Debug;

use tidemill::prelude::*;

/// What goes into a stream for one interval.
#[derive(Clone, Debug)]
pub(crate) enum In<T> {
    /// A batch of these partitions; without any it is an empty one.
    Partitions(Vec<Vec<T>>),
    /// No batch.
    Absent,
}

/// What comes out for one interval.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Out<U> {
    /// A batch with these rows.
    Rows(Vec<U>),
    /// No batch.
    Absent,
    /// An error that says all of this.
    Fails(&'static [&'static str]),
}

/// A batch for one interval, cut into two partitions as Spark's own tests do it.
pub(crate) fn halves<T: Clone>(rows: &[T]) -> In<T> {
    let (first, second) = rows.split_at(rows.len() / 2);
    In::Partitions(vec![first.to_vec(), second.to_vec()])
}

/// Runs `build` over the batches, on 1, 2 and 4 threads, and compares rows and their order.
#[track_caller]
pub(crate) fn check<T, U>(
    build: impl Fn(&DStream<T>) -> DStream<U>,
    input: &[In<T>],
    expected: &[Out<U>],
) where
    T: Record + Clone,
    U: Record + PartialEq + Debug,
{
    for threads in [1, 2, 4] {
        assert_eq!(run(&build, input, expected, threads), expected, "{threads} threads");
    }
}

/// As [`check`], for operators that give their rows in any order.
#[track_caller]
pub(crate) fn check_bag<T, U>(
    build: impl Fn(&DStream<T>) -> DStream<U>,
    input: &[In<T>],
    expected: &[Out<U>],
) where
    T: Record + Clone,
    U: Record + PartialEq + Debug + Clone,
{
    let sorted = |mut outs: Vec<Out<U>>| {
        for out in &mut outs {
            if let Out::Rows(rows) = out {
                rows.sort_by_cached_key(|row| format!("{row:?}"));
            }
        }
        outs
    };
    for threads in [1, 2, 4] {
        let outs = sorted(run(&build, input, expected, threads));
        assert_eq!(outs, sorted(expected.to_vec()), "{threads} threads");
    }
}

/// Runs the batches; an error that says what is expected counts as what is expected.
#[track_caller]
fn run<T, U>(
    build: impl Fn(&DStream<T>) -> DStream<U>,
    input: &[In<T>],
    expected: &[Out<U>],
    threads: usize,
) -> Vec<Out<U>>
where
    T: Record + Clone,
    U: Record + PartialEq + Debug,
{
    let builder = StreamingContext::builder("check").threads(threads);
    let limits = Limits { distinct_keys: 1_000, ..Limits::default() };
    let mut t = TestContext::with(builder.limits(limits)).unwrap();
    let source = t.input::<T>();
    let output = t.output(&build(source.stream()));
    let mut outs = Vec::new();
    for (index, batch) in input.iter().enumerate() {
        match batch {
            In::Absent => source.push_absent().unwrap(),
            In::Partitions(partitions) if partitions.is_empty() => {}
            In::Partitions(partitions) => source.push_batch(batch_of(partitions)).unwrap(),
        }
        let ticked = t.tick();
        let mut batches = output.take_batches();
        assert!(batches.len() <= 1, "one batch for each interval");
        outs.push(match (ticked, batches.pop(), expected.get(index)) {
            (Err(error), _, Some(Out::Fails(texts))) => {
                let message = error.to_string();
                let missing = texts.iter().find(|&&text| !message.contains(text));
                assert_eq!(missing, None, "the message is: {message}");
                Out::Fails(texts)
            }
            (Err(error), ..) => panic!("batch {index} failed: {error}"),
            (Ok(()), Some(rows), _) => Out::Rows(rows),
            (Ok(()), None, _) => Out::Absent,
        });
    }
    outs
}

/// A batch of several partitions.
pub(crate) fn batch_of<T: Record + Clone>(partitions: &[Vec<T>]) -> Batch<T> {
    Batch::from_partitions(partitions.iter().cloned())
}

/// Rows as a stream carries them: `owned(["a"])` for `vec!["a".to_string()]`.
pub(crate) fn owned<T, R: Into<T>>(rows: impl IntoIterator<Item = R>) -> Vec<T> {
    rows.into_iter().map(Into::into).collect()
}

/// Pairs with text for keys.
pub(crate) fn pairs<V>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> Vec<(String, V)> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
