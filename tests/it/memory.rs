//! The memory account: what a context holds stays within one number, whatever comes, and what
//! passes it ends in an error that says who holds most.

use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ErrorKind, Metrics};

use crate::feed::wait_until;

fn context(bytes: usize) -> TestContext {
    let builder = StreamingContext::builder("memory").batch_interval(Duration::from_millis(1));
    TestContext::with(builder.memory(bytes).threads(2)).unwrap()
}

fn held(t: &TestContext) -> usize {
    let Metrics { memory, .. } = t.context().metrics();
    assert!(memory.held <= memory.peak && memory.held <= memory.max, "{memory:?}");
    memory.held
}

/// Words of so many bytes, all different.
fn words(numbers: std::ops::Range<usize>, bytes: usize) -> impl Iterator<Item = String> {
    numbers.map(move |number| format!("{number:0>bytes$}"))
}

#[test]
fn the_default_is_a_part_of_what_there_is() {
    let ssc = StreamingContext::builder("default").build().unwrap();
    let max = ssc.metrics().memory.max;
    let status = std::fs::read_to_string("/proc/meminfo");
    if cfg!(target_os = "linux") {
        let status = status.expect("the system says how much memory it has");
        let total = status.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let total: usize = total.trim().trim_end_matches("kB").trim().parse().unwrap();
        assert!((16 << 20..=total * 1024 / 2).contains(&max), "{max} of {total} KiB");
    }
    assert!(max >= 16 << 20);
}

#[test]
fn memory_outside_of_its_range_is_refused_with_the_range() {
    for bytes in [0, 1, (16 << 20) - 1, usize::MAX] {
        let error = StreamingContext::builder("range").memory(bytes).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let message = error.to_string();
        assert!(message.contains(&format!("memory is {bytes} bytes")), "{message}");
        assert!(message.contains("between 16777216 and"), "{message}");
    }
    StreamingContext::builder("range").memory(16 << 20).build().unwrap();
    StreamingContext::builder("range").memory(isize::MAX as usize).build().unwrap();
}

#[test]
fn limits_that_are_not_set_are_parts_of_the_memory() {
    let limits = Limits::for_memory(64 << 20);
    assert_eq!((limits.key_bytes, limits.retained_bytes), (32 << 20, (64 << 20) / 6));
    assert_eq!((limits.blocks, limits.unfinished_bytes), (4, 4 << 20));
    assert_eq!((limits.queued_bytes, limits.joined_rows), (8 << 20, 1 << 20));
    assert_eq!(Limits::default(), Limits::for_memory(12 << 30));
    assert_eq!(Limits::default().blocks, 64);
    let builder = StreamingContext::builder("parts").memory(64 << 20);
    assert_eq!(builder.derived_limits(), limits);
    for bytes in [16 << 20, 1 << 40, isize::MAX as usize] {
        let limits = Limits::for_memory(bytes);
        StreamingContext::builder("parts").memory(bytes).limits(limits).build().unwrap();
    }
}

/// The batch fails, those who hold most are named, and the engine goes on.
#[test]
fn a_batch_that_needs_more_fails_and_the_next_one_runs() {
    let mut t = context(16 << 20);
    let input = t.input::<String>();
    let counts = t.output(&input.stream().count_by_value());
    for _ in 0..2 {
        input.push(words(0..200, 100)).unwrap();
        t.tick().unwrap();
        assert_eq!(counts.take().len(), 200);
        // The program has most of it.
        let charge = t.context().charge_memory("the program's own");
        charge.set(15 << 20).unwrap();
        input.push(words(0..3_000, 300)).unwrap();
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let message = error.to_string();
        for part in ["16777216", "ContextBuilder::memory", "the program's own (15728640 bytes)"] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(counts.take().is_empty());
    }
    // With the program's part given back the same batch has room.
    input.push(words(0..3_000, 300)).unwrap();
    t.tick().unwrap();
    assert_eq!(counts.take().len(), 3_000);
}

#[test]
fn keys_are_bounded_in_bytes() {
    let limits = Limits { key_bytes: 1 << 20, ..Limits::for_memory(64 << 20) };
    let builder = StreamingContext::builder("keys").memory(64 << 20).limits(limits);
    let mut t = TestContext::with(builder).unwrap();
    let texts = t.input::<String>();
    let pairs = t.input::<(String, String)>();
    let numbers = t.input::<(i64, i64)>();
    let (texts_out, sets, sums) = (
        t.output(&texts.stream().count_by_value()),
        t.output(&pairs.stream().aggregate_by_key(DistinctCount::new())),
        t.output(&numbers.stream().group_by_key()),
    );
    let check = |t: &mut TestContext, is_within: bool| match t.tick() {
        Ok(()) => assert!(is_within),
        Err(error) => {
            assert!(!is_within, "{error}");
            assert_eq!(error.kind(), ErrorKind::Limit);
            assert!(error.to_string().contains("1048576 (Limits::key_bytes)"), "{error}");
        }
    };
    for count in [100, 2_000, 100] {
        texts.push(words(0..count, 1_000)).unwrap();
        check(&mut t, count == 100);
        // One key, with many values.
        pairs.push(words(0..count, 1_000).map(|word| ("key".to_owned(), word))).unwrap();
        check(&mut t, count == 100);
        numbers.push((0..100 * count as i64).map(|number| (number, 1))).unwrap();
        check(&mut t, count == 100);
    }
    assert_eq!((texts_out.take().len(), sets.take().len(), sums.take().len()), (200, 2, 20_000));
}

#[test]
fn sorted_grouped_and_joined_rows_are_bounded_in_bytes() {
    let limits = Limits { key_bytes: 1 << 20, ..Limits::for_memory(64 << 20) };
    for operator in ["sort", "group", "join"] {
        let builder = StreamingContext::builder("rows").memory(64 << 20).limits(limits);
        let mut t = TestContext::with(builder).unwrap();
        let input = t.input::<(String, i64)>();
        let rows = input.stream().clone();
        let count = match operator {
            "sort" => t.output(&rows.sort_by(|a, b| a.cmp(&b)).count()),
            "group" => t.output(&rows.group_by_key().count()),
            _ => t.output(&rows.join(&rows.map(|(key, n)| (key.to_owned(), n))).count()),
        };
        for rows in [100, 3_000, 100] {
            input.push(words(0..rows, 1_000).map(|word| (word, 1))).unwrap();
            match t.tick() {
                Ok(()) => assert_eq!((rows, count.take()), (100, vec![100]), "{operator}"),
                Err(error) => {
                    assert_eq!(rows, 3_000, "{operator}: {error}");
                    assert!(error.to_string().contains("Limits::key_bytes"), "{error}");
                }
            }
        }
    }
}

/// Panes of many slides, with what is noted of each.
#[test]
fn a_long_window_of_short_slides_is_bounded() {
    let mut t = context(16 << 20);
    let input = t.input::<i64>();
    let slide = Duration::from_millis(1);
    let pairs = input.stream().map(|number| (number, number as f64));
    let sums = pairs.reduce_by_key_and_window(|a, b| a + b, Duration::from_secs(3_600), slide);
    let sums = t.output(&sums);
    let mut failed = None;
    for batch in 0..400_000i64 {
        input.push([batch % 10]).unwrap();
        if let Err(error) = t.tick() {
            failed = Some((batch, error));
            break;
        }
        sums.take();
        assert!(t.context().metrics().memory.held <= 16 << 20);
    }
    let (batch, error) = failed.expect("a window of an hour does not fit");
    assert!(batch > 1_000, "{batch}");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.to_string().contains("retained_bytes"), "{error}");
}

#[test]
fn state_by_key_is_bounded_with_what_it_owns() {
    let mut t = context(16 << 20);
    let input = t.input::<(String, String)>();
    let texts = input.stream().update_state_by_key("texts", |values, before: Option<&str>| {
        let mut text = before.unwrap_or_default().to_owned();
        values.iter().for_each(|value| text.push_str(value));
        Some(text)
    });
    let texts = t.output(&texts.count());
    let mut failed = None;
    for batch in 0..1_000 {
        // Few keys, whose states grow.
        input.push(words(0..10, 20).map(|key| (key, "x".repeat(10_000)))).unwrap();
        if let Err(error) = t.tick() {
            failed = Some((batch, error));
            break;
        }
        assert_eq!(texts.take(), [10]);
        let state = &t.context().metrics().states[0];
        assert!(state.bytes > batch * 10 * 10_000, "{state:?} after {batch}");
        held(&t);
    }
    let (batch, error) = failed.expect("states that grow for ever do not fit");
    assert!(batch > 10 && error.kind() == ErrorKind::Limit, "{batch}: {error}");
    // What was there before is still there.
    let state = t.context().state_by_key::<String, String>("texts").unwrap();
    let key = words(0..1, 20).next().unwrap();
    assert_eq!(state.get(&key).unwrap().unwrap().len(), batch * 10_000);
}

#[test]
fn queues_are_bounded_in_bytes_and_refuse() {
    let limits = Limits { queued_bytes: 100_000, ..Limits::for_memory(64 << 20) };
    let builder = StreamingContext::builder("queue").memory(64 << 20).limits(limits);
    let mut t = TestContext::with(builder).unwrap();
    let input = t.input::<String>();
    let counts = t.output(&input.stream().count());
    input.push(words(0..90, 1_000)).unwrap();
    let error = input.push(words(0..10, 1_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let message = error.to_string();
    assert!(message.contains("the maximum is 100000 (Limits::queued_bytes)"), "{message}");
    assert!(held(&t) >= 90_000);
    t.tick().unwrap();
    assert_eq!(counts.take(), [90]);
    input.push(words(0..10, 1_000)).unwrap();
    t.tick().unwrap();
    assert_eq!(counts.take(), [10]);
    // Batches without rows take memory, too.
    let refused = (0..100_000).find_map(|_| input.push(Vec::<String>::new()).err());
    assert!(refused.unwrap().to_string().contains("queued_bytes"));
}

#[test]
fn remembered_batches_are_charged_and_given_back() {
    let mut t = context(16 << 20);
    let input = t.input::<String>();
    t.context().remember(Duration::from_millis(2));
    let lengths = t.output(&input.stream().count());
    input.push(words(0..1_000, 1_000)).unwrap();
    t.tick().unwrap();
    assert!(held(&t) > 1_000_000, "{} bytes", held(&t));
    for _ in 0..5 {
        input.push(words(0..1, 10)).unwrap();
        t.tick().unwrap();
    }
    assert!(held(&t) < 1_000_000, "{} bytes", held(&t));
    assert_eq!(lengths.take().len(), 6);
}

/// Tables, their arenas of long keys and results, but not with the first small batch.
#[test]
fn memory_of_a_large_batch_is_given_back_after_some_small_ones() {
    let mut t = context(256 << 20);
    let input = t.input::<String>();
    let counts = t.output(&input.stream().count_by_value());
    let mut after = Vec::new();
    for batch in 0..30 {
        let count = if batch == 3 { 5_000 } else { 50 };
        input.push(words(0..count, 4_096)).unwrap();
        t.tick().unwrap();
        assert_eq!(counts.take().len(), count);
        after.push(held(&t));
    }
    assert!(after[2] < 4 << 20, "{after:?}");
    // The table, and its result.
    assert!(after[3] > 40 << 20, "{after:?}");
    assert!(after[4] > 20 << 20, "{after:?}");
    assert!(after[29] < 4 << 20, "{after:?}");
}

/// The account is empty once the context is gone.
#[test]
fn everything_is_given_back_at_the_end() {
    let mut t = context(64 << 20);
    let ssc = t.context().clone();
    let input = t.input::<(String, i64)>();
    let totals = input.stream().update_state_by_key("totals", |values, total| {
        Some(total.unwrap_or(0) + values.iter().sum::<i64>())
    });
    let totals = t.output(&totals);
    input.push(words(0..1_000, 100).map(|word| (word, 1))).unwrap();
    t.tick().unwrap();
    assert_eq!(totals.take().len(), 1_000);
    assert!(held(&t) > 100_000);
    drop((t, input, totals));
    ssc.stop();
    // The threads end soon after.
    wait_until("everything is given back", || ssc.metrics().memory.held == 0);
}
