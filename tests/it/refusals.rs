//! What windows and streams refuse, with the values in the message, and numbers at their ends.

use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ErrorKind, KeyWindow};

type Pair = (String, i64);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What `start` says of a stream that is built wrongly.
#[track_caller]
fn check<U: Record>(build: impl Fn(&DStream<Pair>) -> DStream<U>, kind: ErrorKind, says: &[&str]) {
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<Pair>();
    t.output(&build(pairs.stream()));
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), kind);
    let message = error.to_string();
    for text in says {
        assert!(message.contains(text), "{text:?} is not in: {message}");
    }
}

#[test]
fn windows_that_are_no_multiples() {
    let config = ErrorKind::Config;
    let says = ["window is 2.5s", "multiple of the slide", "1s"];
    check(|pairs| pairs.window(millis(2_500), millis(1_000)), config, &says);
    check(|pairs| pairs.count_by_window(millis(2_500), millis(1_000)), config, &says);
    check(
        |pairs| pairs.reduce_by_key_and_window(|a, b| a + b, millis(2_500), millis(1_000)),
        config,
        &says,
    );
    check(
        |pairs| pairs.count_by_value_and_window(millis(2_000), millis(1_500)),
        config,
        &["count_by_value_and_window", "slide is 1.5s", "1s"],
    );
    check(|pairs| pairs.window(millis(0), millis(1_000)), config, &["window is 0ns", "1s"]);
    check(|pairs| pairs.window(millis(2_000), millis(0)), config, &["slide is 0ns", "1s"]);
    let nanos = Duration::new(1, 1);
    check(move |pairs| pairs.window(nanos, nanos), config, &["1.000000001s", "1s"]);
    check(
        |pairs| pairs.window(Duration::from_secs(u64::MAX), millis(1_000)),
        config,
        &["window is 18446744073709551615s", "18446744073709551615 batches", "4294967295"],
    );
    // The longest.
    let longest = Duration::from_secs(u64::from(u32::MAX));
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<Pair>();
    let counts = t.output(&pairs.stream().count_by_window(longest, millis(1_000)));
    let never = t.output(&pairs.stream().window(longest, longest));
    pairs.push([("a".to_owned(), 1)]).unwrap();
    t.tick().unwrap();
    assert_eq!(counts.take(), [1]);
    assert!(never.take_batches().is_empty());
    // The unit of a window over a window is the inner one's slide.
    check(
        |pairs| pairs.window(millis(4_000), millis(2_000)).window(millis(4_000), millis(3_000)),
        config,
        &["slide is 3s", "2s"],
    );
}

#[test]
fn streams_with_different_slides() {
    let state = ErrorKind::State;
    let slow = |pairs: &DStream<Pair>| pairs.window(millis(6_000), millis(3_000));
    check(|pairs| pairs.union(&slow(pairs)), state, &["union", "1s and 3s"]);
    check(|pairs| slow(pairs).join(pairs), state, &["join", "3s and 1s"]);
    check(
        |pairs| pairs.transform_with(&slow(pairs), |left, _, _| Ok(left)),
        state,
        &["transform_with", "1s and 3s"],
    );
    check(
        |pairs| {
            pairs
                .context()
                .transform(&[slow(pairs), pairs.clone()], |_, _| Ok(Batch::from_iter([0i64])))
        },
        state,
        &["transform", "3s and 1s"],
    );
    assert_eq!(TestContext::new().unwrap().input::<Pair>().stream().slide(), millis(1_000));
}

#[test]
fn streams_of_two_contexts() {
    let (t, other) = (TestContext::new().unwrap(), TestContext::new().unwrap());
    let (pairs, strangers) = (t.input::<Pair>(), other.input::<Pair>());
    t.output(&t.context().union(&[strangers.stream().clone(), pairs.stream().clone()]));
    let error = t.context().start().unwrap_err().to_string();
    assert!(error.contains("union in context \"test\" of a stream of context"), "{error}");
    type Combine = fn(&DStream<Pair>, &DStream<Pair>) -> DStream<i64>;
    let combine: [Combine; 4] = [
        |left, right| left.union(right).count(),
        |left, right| left.transform_with(right, |left, _, _| Ok(left)).count(),
        |left, right| left.join(right).count(),
        |left, right| {
            left.context()
                .transform(&[left.clone(), right.clone()], |_, _| Ok(Batch::from_iter([0i64])))
        },
    ];
    for combine in combine {
        let t = TestContext::new().unwrap();
        let pairs = t.input::<Pair>();
        t.output(&combine(pairs.stream(), strangers.stream()));
        let error = t.context().start().unwrap_err().to_string();
        assert!(error.contains("of two contexts"), "{error}");
    }
}

/// After the start and after the stop nothing is added; what runs goes on.
#[test]
fn windows_on_a_context_that_runs_or_has_stopped() {
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<Pair>();
    let (window, slide) = (millis(2_000), millis(1_000));
    let sums = |pairs: &DStream<Pair>| -> KeyWindow<String, i64> {
        pairs.aggregate_by_key_and_window(Sum, window, slide)
    };
    let built = sums(pairs.stream());
    let output = t.output(&built);
    t.tick().unwrap();
    pairs.stream().window(window, slide);
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("add a stream after its start"), "{error}");
    drop(built.keep_empty_keys());
    let error = t.tick().unwrap_err().to_string();
    assert!(error.contains("after its start"), "{error}");
    pairs.stream().cache();
    assert!(t.tick().unwrap_err().to_string().contains("cache a stream after its start"));
    t.context().remember(window);
    assert!(t.tick().unwrap_err().to_string().contains("remember batches after its start"));
    pairs.push([("a".to_owned(), 1)]).unwrap();
    t.tick().unwrap();
    assert_eq!(output.take_batches().pop().unwrap(), [("a".to_owned(), 1)]);

    t.context().stop();
    sums(pairs.stream());
    let error = t.context().await_termination().unwrap_err().to_string();
    assert!(error.contains("add a stream after its stop"), "{error}");
}

/// The batch fails, with the sum; the window is as before it.
#[test]
fn sums_past_the_range() {
    let (window, slide) = (millis(2_000), millis(1_000));
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<Pair>();
    let windowed = t.output(&pairs.stream().aggregate_by_key_and_window(Sum, window, slide));
    let sums = t.output(&pairs.stream().aggregate_by_key(Sum));
    let row = |value: i64| [("a".to_owned(), value)];
    pairs.push(row(i64::MAX)).unwrap();
    t.tick().unwrap();
    // Too much in the window only.
    pairs.push(row(1)).unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overflow);
    let message = error.to_string();
    assert!(message.contains("9223372036854775808") && message.contains("window"), "{message}");
    // What failed is not in the window, and what came before it has left.
    pairs.push(row(-5)).unwrap();
    t.tick().unwrap();
    assert_eq!(windowed.take(), [("a".to_owned(), i64::MAX), ("a".to_owned(), -5)]);
    assert_eq!(sums.take().iter().map(|(_, sum)| *sum).collect::<Vec<_>>(), [i64::MAX, 1, -5]);
}

/// NaN is the greatest float, and leaves the window as any value does.
#[test]
fn nan_among_floats() {
    let (window, slide) = (millis(2_000), millis(1_000));
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(i64, f64)>();
    let stream = pairs.stream();
    let least = t.output(&stream.aggregate_by_key_and_window(Min, window, slide));
    let greatest = t.output(&stream.aggregate_by_key_and_window(Max, window, slide));
    let sums = t.output(&stream.aggregate_by_key_and_window(Sum, window, slide));
    let sorted = t.output(&stream.map(|(_, value)| value).sorted());
    for values in [[1.0, -f64::NAN], [3.0, f64::NEG_INFINITY], [2.0, -0.0], [0.0, 4.0]] {
        pairs.push(values.map(|value| (7i64, value))).unwrap();
        t.tick().unwrap();
    }
    let texts = |rows: Vec<(i64, f64)>| -> Vec<String> {
        rows.iter().map(|(_, value)| format!("{value:?}")).collect()
    };
    assert_eq!(texts(least.take()), ["1.0", "-inf", "-inf", "-0.0"]);
    assert_eq!(texts(greatest.take()), ["NaN", "NaN", "3.0", "4.0"]);
    // Nothing is ever subtracted: when NaN has left, the sum is a number again.
    assert_eq!(texts(sums.take()), ["NaN", "NaN", "-inf", "6.0"]);
    let sorted: Vec<String> = sorted.take().iter().map(|value| format!("{value:?}")).collect();
    assert_eq!(sorted, ["1.0", "NaN", "-inf", "3.0", "-0.0", "2.0", "0.0", "4.0"]);
}

/// A key's rows on both sides multiply: outside data could ask for any number of them.
#[test]
fn joins_of_more_rows_than_the_maximum() {
    let limits = Limits { joined_rows: 100, ..Limits::default() };
    type Numbers = DStream<(i64, i64)>;
    type Build = fn(&Numbers) -> DStream<i64>;
    let builds: [Build; 4] = [
        |pairs| pairs.join(pairs).count(),
        |pairs| pairs.full_outer_join(pairs).count(),
        |pairs| {
            let lookup = Lookup::new((0..10).map(|value| (7i64, value)));
            pairs.join_lookup(&lookup).count()
        },
        |pairs| {
            let lookup = Lookup::new((0..10).map(|value| (7i64, value)));
            pairs.left_join_lookup(&lookup).count()
        },
    ];
    for build in builds {
        let builder = StreamingContext::builder("joins").limits(limits);
        let mut t = TestContext::with(builder).unwrap();
        let pairs = t.input::<(i64, i64)>();
        let counts = t.output(&build(pairs.stream()));
        let rows = |count: i64| (0..count).map(|value| (7i64, value));
        pairs.push(rows(10)).unwrap();
        t.tick().unwrap();
        pairs.push(rows(11)).unwrap();
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let message = error.to_string();
        assert!(message.contains("of 100 (Limits::joined_rows)"), "{message}");
        pairs.push(rows(2)).unwrap();
        t.tick().unwrap();
        assert_eq!(counts.take().first(), Some(&100));
    }
}

#[test]
fn empty_keys_without_a_result() {
    let secs = (millis(2_000), millis(1_000));
    let least = |pairs: &DStream<Pair>| pairs.aggregate_by_key_and_window(Min, secs.0, secs.1);
    check(
        move |pairs| DStream::clone(&least(pairs).keep_empty_keys()),
        ErrorKind::State,
        &["keep_empty_keys", "a key without values has no least one"],
    );
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<Pair>();
    let stream = pairs.stream();
    let kept = stream.aggregate_by_key_and_window((Count, Sum, Mean), secs.0, secs.1);
    let output = t.output(&kept.keep_empty_keys());
    pairs.push([("a".to_owned(), 5)]).unwrap();
    for _ in 0..3 {
        t.tick().unwrap();
    }
    let (_, (count, sum, mean)) = output.take().pop().unwrap();
    assert!(count == 0 && sum == 0 && mean.is_nan());
}
