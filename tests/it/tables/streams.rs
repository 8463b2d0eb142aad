//! Streams of tables: the same as on each batch, windows against recomputation, and errors.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::table::{AggExpr, count, max, mean, quantile, sum};
use tidemill::{ErrorKind, Limits, Output};

use super::grouping::{KEYS, aggregates, assert_alike, by_key};
use super::naive::Sample;
use crate::random::{Random, seeds};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Collects the tables that a stream gives.
fn tables_of(stream: &TableStream) -> Arc<Mutex<Vec<Table>>> {
    let tables: Arc<Mutex<Vec<Table>>> = Arc::default();
    let collected = tables.clone();
    stream.foreach_batch(move |table, _| {
        collected.lock().unwrap().push(table.clone());
        Ok(())
    });
    tables
}

fn last(tables: &Arc<Mutex<Vec<Table>>>) -> Table {
    tables.lock().unwrap().last().unwrap().clone()
}

/// Rows whose sums fit, so that a batch never fails.
fn small(random: &mut Random) -> Sample {
    let mut row = Sample::random(random);
    row.b = row.b.map(|b| b.clamp(-100, 100));
    row
}

/// Without what a window keeps the rows for.
fn without_quantiles() -> Vec<AggExpr> {
    aggregates().into_iter().filter(|agg| !agg.to_string().starts_with("quantile")).collect()
}

#[test]
fn streams_against_recomputation() {
    for seed in seeds(40) {
        let random = &mut Random::new(seed);
        let keys = KEYS[random.below(KEYS.len())];
        let aggs = if random.below(2) == 0 { aggregates() } else { without_quantiles() };
        let invertible = vec![count(), sum("b"), mean("b").alias("mean")];
        let aggs = if random.below(3) == 0 { invertible } else { aggs };
        let (window, slide) = (random.between(1, 6), random.between(1, 3));
        let text = format!("seed {seed}: by {keys:?}, window {window}, slide {slide}");

        let mut t = TestContext::new().unwrap();
        let input = t.input::<Sample>();
        let table = input.stream().to_table().filter(col("a").gt(-3));
        let table = table.with_column("a", col("a").is_null());
        let batches = tables_of(&table.group_by(keys.iter().copied()).agg(aggs.clone()));
        let windowed = table.window(secs(window as u64), secs(slide as u64));
        let all_rows = tables_of(&windowed);
        let windows = tables_of(&windowed.group_by(keys.iter().copied()).agg(aggs.clone()));
        let totals = tables_of(&windowed.agg(aggs.clone()));

        for tick in 1..=10 {
            let parts = random.below(4);
            let part = |random: &mut Random| -> Vec<Sample> {
                (0..random.below(30)).map(|_| small(random)).collect()
            };
            let parts: Vec<Vec<Sample>> = (0..parts).map(|_| part(random)).collect();
            let rows: Vec<Sample> = parts.iter().flatten().cloned().collect();
            input.push_batch(Batch::from_partitions(parts)).unwrap();
            t.tick().unwrap();

            let text = format!("{text}, tick {tick}");
            let rows = Table::from_records(rows).unwrap().filter(col("a").gt(-3)).unwrap();
            let rows = rows.with_column("a", col("a").is_null()).unwrap();
            let expected = rows.group_by(keys.iter().copied()).unwrap().agg(aggs.clone());
            assert_same(&last(&batches), &expected.unwrap(), keys.len(), &text);
            if tick % slide == 0 {
                let rows = last(&all_rows);
                let expected = rows.group_by(keys.iter().copied()).unwrap().agg(aggs.clone());
                assert_same(&last(&windows), &expected.unwrap(), keys.len(), &text);
                assert_same(&last(&totals), &rows.agg(aggs.clone()).unwrap(), 0, &text);
            }
        }
    }
}

fn assert_same(given: &Table, expected: &Table, keys: usize, text: &str) {
    assert_eq!(given.schema(), expected.schema(), "{text}");
    let (given, expected) = (by_key(given, keys), by_key(expected, keys));
    assert!(given.keys().eq(expected.keys()), "{text}");
    for (key, given) in &given {
        assert_alike(given, &expected[key], &format!("{text}, key {key}"));
    }
}

#[test]
fn a_window_is_of_rows_where_nobody_aggregates() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<(String, i64)>();
    let table = input.stream().to_table().window(secs(2), secs(1));
    let filtered = tables_of(&table.filter(col("_2").gt(1)).select(["_2"]));
    let doubled = tables_of(&table.union(&table));
    for number in 1..=3 {
        input.push([("a".to_owned(), number)]).unwrap();
        t.tick().unwrap();
    }
    assert_eq!(last(&filtered).column("_2").unwrap().i64s().unwrap(), [2, 3]);
    assert_eq!(last(&doubled).column("_2").unwrap().i64s().unwrap(), [2, 3, 2, 3]);
}

#[test]
fn misuse_fails_the_start() {
    let check = |build: fn(TableStream) -> Output, expected: &str| {
        let mut t = TestContext::new().unwrap();
        let input = t.input::<(String, i64)>();
        build(input.stream().to_table());
        let error = t.tick().unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Schema, expected.to_owned()));
    };
    check(
        |table| table.filter(col("word").eq("a")).show(20),
        "there is no column \"word\"; the columns are _1, _2",
    );
    check(
        |table| table.select([col("_1") + col("_2")]).show(20),
        "_1 + _2: that cannot be done with text and i64",
    );
    check(
        |table| table.group_by(["_1"]).agg([mean("_1")]).show(20),
        "mean(_1): that cannot be done with text",
    );
    check(
        |table| table.union(&table.select(["_1"])).show(20),
        "union of tables of (_1: text, _2: i64) and (_1: text)",
    );
    check(
        |table| table.group_by(["_1"]).agg([max("_2"), max("_2")]).show(20),
        "two columns are named \"max(_2)\"",
    );
}

#[test]
fn overflow_fails_the_batch() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<(String, i64)>();
    let table = input.stream().to_table();
    let sums = tables_of(&table.group_by(["_1"]).agg([sum("_2")]));
    let windows = table.window(secs(3), secs(1)).group_by(["_1"]).agg([sum("_2")]);
    let windows = tables_of(&windows);
    input.push([("a".to_owned(), i64::MAX), ("a".to_owned(), 1)]).unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overflow);
    assert!(error.to_string().contains("sum(_2)"), "{error}");
    input.push([("a".to_owned(), 5)]).unwrap();
    t.tick().unwrap();
    assert_eq!(last(&sums).column("sum(_2)").unwrap().i64s().unwrap(), [5]);
    assert_eq!(last(&windows).column("sum(_2)").unwrap().i64s().unwrap(), [5]);
}

#[test]
fn limits_hold() {
    let limits = Limits { distinct_keys: 2, retained_bytes: 4096, ..Limits::default() };
    let builder = StreamingContext::builder("limits").batch_interval(secs(1)).limits(limits);
    let mut t = TestContext::with(builder).unwrap();
    let input = t.input::<(i64, f64)>();
    let table = input.stream().to_table();
    let counts = tables_of(&table.group_by(["_1"]).agg([count()]));
    let medians = table.window(secs(60), secs(1)).agg([quantile("_2", 0.5)]);
    let medians = tables_of(&medians);
    input.push([(1, 1.0), (2, 2.0), (3, 3.0)]).unwrap();
    assert_eq!(t.tick().unwrap_err().kind(), ErrorKind::Limit);
    input.push((0..1_000).map(|row| (1, f64::from(row)))).unwrap();
    assert_eq!(t.tick().unwrap_err().kind(), ErrorKind::Limit);
    input.push([(1, 1.0), (2, 2.0)]).unwrap();
    t.tick().unwrap();
    assert_eq!(last(&counts).len(), 2);
    assert_eq!(last(&medians).columns()[0].len(), 1);
}

/// A row of a table is a record: it can be a key, shown, and kept.
#[test]
fn rows_as_records() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<(String, Option<i64>)>();
    let table = input.stream().to_table();
    let counts = t.output(&table.stream().count_by_value());
    let rows = t.output(&table.stream());
    input
        .push([("a".to_owned(), Some(1)), ("a".to_owned(), None), ("a".to_owned(), None)])
        .unwrap();
    t.tick().unwrap();
    let counts: Vec<String> = counts.take().iter().map(|pair| format!("{pair:?}")).collect();
    assert_eq!(counts, ["([a,1], 1)", "([a,NULL], 2)"]);
    let rows = rows.take();
    assert_eq!(rows[1], rows[2]);
    assert_ne!(rows[0], rows[1]);
}

#[test]
fn explained() {
    let ssc = StreamingContext::builder("explained").batch_interval(secs(1)).build().unwrap();
    let (stream, _queue) = ssc.queue_stream::<(String, f64)>().unwrap();
    let table = stream.to_table().filter(col("_2").gt(0.5));
    table.window(secs(5), secs(1)).group_by(["_1"]).agg([mean("_2")]).show(20);
    assert_eq!(
        ssc.explain(),
        "\
show(20)
└─ #5 table [vectorised]
   └─ #4 window(5s, 1s) [panes, by two stacks]
      └─ #3 group_by(_1).agg(mean(_2)) [vectorised]
         └─ filter(_2 > 0.5) [vectorised]
            └─ to_table [vectorised]
               └─ #0 queue [queued batches]
"
    );
}
