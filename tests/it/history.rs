//! What streams remember for the program: slices of their batches, and for how long.

use std::time::Duration;

use tidemill::DistinctCount;
use tidemill::prelude::*;

use crate::feed::Feed;

fn times(times: &[Time]) -> Vec<u64> {
    times.iter().map(|time| time.millis()).collect()
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn slices() {
    let mut t = TestContext::new().unwrap();
    t.context().remember(Duration::from_millis(2_500));
    let numbers = t.input::<i64>();
    let doubled = numbers.stream().map(|number| 2 * number);
    t.output(&doubled);
    let error = doubled.slice(at(0), at(1_000)).unwrap_err().to_string();
    assert!(error.contains("before its start"), "{error}");
    for number in 1..=5i64 {
        if number == 4 {
            numbers.push_absent().unwrap();
        } else {
            numbers.push([number]).unwrap();
        }
        t.tick().unwrap();
    }
    // Rounded up to three batches, of which one is absent.
    assert_eq!(times(&doubled.remembered()), [3_000, 5_000]);
    assert_eq!(times(&numbers.stream().remembered()), [3_000, 5_000]);
    let slice = |from, to| -> Vec<Vec<i64>> {
        doubled.slice(at(from), at(to)).unwrap().iter().map(Batch::to_vec).collect()
    };
    assert_eq!(slice(0, 10_000), [[6], [10]]);
    assert_eq!(slice(3_000, 3_000), [[6]]);
    // Both ends stand for the batch before.
    assert_eq!(slice(3_999, 4_999), [[6]]);
    assert_eq!(slice(5_500, 5_600), [[10]]);
    assert_eq!(slice(5_000, 3_000), [[0i64; 0]; 0]);
}

/// A parent remembers what its child does, and as much as the child looks back over.
#[test]
fn windows_make_their_parents_remember() {
    let secs = Duration::from_secs;
    let mut t = TestContext::new().unwrap();
    t.context().remember(secs(3));
    let numbers = t.input::<i64>();
    let mapped = numbers.stream().map(|number| number + 1);
    let inner = mapped.window(secs(2), secs(1));
    let outer = inner.window(secs(4), secs(2));
    t.output(&outer);
    for number in 1..=10i64 {
        numbers.push([number]).unwrap();
        t.tick().unwrap();
    }
    assert_eq!(times(&outer.remembered()), [8_000, 10_000]);
    assert_eq!(times(&inner.remembered()).first(), Some(&4_000));
    assert_eq!(times(&mapped.remembered()).first(), Some(&2_000));
    assert_eq!(times(&mapped.remembered()).len(), 9);
}

/// Nothing is kept unless somebody asked for it, nor of what no output needs.
#[test]
fn nothing_is_remembered_unasked() {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    t.output(numbers.stream());
    t.tick().unwrap();
    assert!(numbers.stream().remembered().is_empty());
    assert!(numbers.stream().slice(at(0), at(9_000)).unwrap().is_empty());

    let mut t = TestContext::new().unwrap();
    t.context().remember(Duration::from_secs(9));
    let numbers = t.input::<i64>();
    let unused = numbers.stream().map(|number| number + 1);
    t.output(numbers.stream());
    t.tick().unwrap();
    assert_eq!(numbers.stream().remembered().len(), 1);
    assert!(unused.remembered().is_empty());
}

/// What is kept lies outside of the source's blocks, of which there are only two.
#[test]
fn kept_rows_hold_no_blocks() {
    let limits = Limits { blocks: 2, ..Limits::default() };
    let builder = StreamingContext::builder("kept").limits(limits);
    let mut t = TestContext::with(builder).unwrap();
    t.context().remember(Duration::from_secs(100));
    let (feed, feeder) = Feed::new();
    let lines = t.context().receiver_stream(feed).unwrap();
    let windowed =
        t.output(&lines.split(b' ').window(Duration::from_secs(50), Duration::from_secs(1)));
    let mut expected = Vec::new();
    // The feed is read only once the context runs.
    t.tick().unwrap();
    for batch in 0..20 {
        feeder.deliver([format!("batch {batch}\n")]);
        t.tick().unwrap();
        expected.extend(["batch".to_owned(), batch.to_string()]);
        assert_eq!(windowed.take_batches().pop().unwrap(), expected);
    }
    let slices = lines.slice(at(0), at(100_000)).unwrap();
    let kept: Vec<String> = slices.iter().flat_map(Batch::to_vec).collect();
    assert_eq!(kept.len(), 20);
    assert_eq!(kept[7], "batch 7");
}

/// The maximum is named; the batch that would pass it fails, and what was kept stays.
#[test]
fn more_than_may_be_kept() {
    let secs = Duration::from_secs;
    let limits = Limits { retained_bytes: 1_000, ..Limits::default() };
    type Build = fn(&DStream<(i64, i64)>) -> DStream<i64>;
    let builds: [(&str, Build); 3] = [
        ("window", |pairs| pairs.window(Duration::from_secs(9), Duration::from_secs(1)).count()),
        ("aggregate_by_key_and_window", |pairs| {
            let (window, slide) = (Duration::from_secs(9), Duration::from_secs(1));
            pairs.aggregate_by_key_and_window(Max, window, slide).count()
        }),
        ("reduce_by_key_and_window", |pairs| {
            let (window, slide) = (Duration::from_secs(9), Duration::from_secs(1));
            pairs.reduce_by_key_and_window(|left, _| left, window, slide).count()
        }),
    ];
    for (name, build) in builds {
        let builder = StreamingContext::builder("kept").limits(limits);
        let mut t = TestContext::with(builder).unwrap();
        let pairs = t.input::<(i64, i64)>();
        let counts = t.output(&build(pairs.stream()));
        pairs.push((0..30).map(|key| (key, key))).unwrap();
        t.tick().unwrap();
        pairs.push((100..200).map(|key| (key, key))).unwrap();
        let error = t.tick().unwrap_err().to_string();
        let says = |text: &str| assert!(error.contains(text), "{name}: {error}");
        says(name);
        says("1000");
        says("Limits::retained_bytes");
        pairs.push([(0, 0)]).unwrap();
        t.tick().unwrap();
        let expected = if name == "window" { 31 } else { 30 };
        assert_eq!(counts.take(), [30, expected], "{name}");
    }

    let mut t = TestContext::with(StreamingContext::builder("kept").limits(limits)).unwrap();
    t.context().remember(secs(9));
    let numbers = t.input::<i64>();
    let output = t.output(numbers.stream());
    for _ in 0..2 {
        numbers.push(0..100i64).unwrap();
        let ticked = t.tick();
        if let Err(error) = ticked {
            let error = error.to_string();
            assert!(error.contains("stream queue"), "{error}");
            assert!(error.contains("800 bytes are kept already"), "{error}");
        }
    }
    assert_eq!(times(&numbers.stream().remembered()), [1_000]);
    // The outputs have had it.
    assert_eq!(output.take().len(), 200);
}

/// Nothing is kept of batches without rows, also where a hundred years are remembered.
#[test]
fn idle_windows_keep_nothing() {
    let mut t = TestContext::new().unwrap();
    t.context().remember(Duration::from_secs(100 * 365 * 86_400));
    let numbers = t.input::<i64>();
    let windowed = numbers.stream().window(Duration::from_secs(1_000), Duration::from_secs(1));
    let partitions = t.output(&windowed.glom());
    numbers.push_batch(Batch::from_partitions([vec![1i64], vec![]])).unwrap();
    for _ in 0..20 {
        t.tick().unwrap();
    }
    assert_eq!(partitions.take_batches().pop().unwrap(), [[1]]);
    assert_eq!(windowed.remembered().len(), 20);
}

/// What merges into rows that are there already counts, too, and what windows make of their panes.
#[test]
fn partials_that_grow_are_counted() {
    type Texts = DStream<(i64, String)>;
    type Build = fn(&Texts) -> DStream<i64>;
    let builds: [(&str, Build); 3] = [
        ("one pane", |texts| {
            let hour = Duration::from_secs(3_600);
            texts.aggregate_by_key_and_window(DistinctCount::new(), hour, hour).count()
        }),
        ("many panes", |texts| {
            let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
            texts.aggregate_by_key_and_window(DistinctCount::new(), hour, second).count()
        }),
        ("a closure", |texts| {
            let (window, slide) = (Duration::from_secs(30), Duration::from_secs(1));
            let join = |a: &str, b: &str| format!("{a}{b}");
            texts.reduce_by_key_and_window(join, window, slide).count()
        }),
    ];
    for (name, build) in builds {
        let limits = Limits { retained_bytes: 100_000, ..Limits::default() };
        let builder = StreamingContext::builder("grow").limits(limits);
        let mut t = TestContext::with(builder).unwrap();
        let texts = t.input::<(i64, String)>();
        t.output(&build(texts.stream()));
        let fails = |batch: usize| {
            texts.push((0..50).map(|row| (7i64, format!("{row} of batch {batch:010}")))).unwrap();
            t.tick().err()
        };
        let error = (0..100).find_map(fails).unwrap_or_else(|| panic!("{name}: no batch fails"));
        assert!(error.to_string().contains("Limits::retained_bytes"), "{name}: {error}");
    }
}
