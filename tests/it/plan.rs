//! What `explain` says: which way each node runs.

use std::time::Duration;

use tidemill::prelude::*;

use crate::feed::Feed;

#[track_caller]
fn check(build: impl Fn(&DStream<String>), expected: &str) {
    let ssc = StreamingContext::builder("plan").build().unwrap();
    let (feed, _feeder) = Feed::new();
    build(&ssc.receiver_stream(feed).unwrap());
    assert_eq!(ssc.explain(), expected);
}

fn ignore<T: Record>(stream: &DStream<T>) {
    stream.foreach_batch(|_, _| Ok(()));
}

#[test]
fn named_chains_fuse() {
    check(
        |lines| ignore(&lines.split_whitespace().count_by_value()),
        "\
foreach_batch
└─ #2 split_whitespace + count_by_value [fused]
   └─ #0 feed [blocks, taken in as they arrive]
",
    );
    check(
        |lines| ignore(&lines.split(b' ').pair_with(1i64).aggregate_by_key(Sum)),
        "\
foreach_batch
└─ #3 split(' ') + pair_with + aggregate_by_key(Sum) [fused]
   └─ #0 feed [blocks, taken in as they arrive]
",
    );
}

#[test]
fn closures_run_row_by_row() {
    check(
        |lines| {
            let words = lines.split(b' ').filter(|word| !word.is_empty());
            ignore(&words.pair_with(1i64).reduce_by_key(|left, right| left + right));
        },
        "\
foreach_batch
└─ #4 reduce_by_key [row closure]
   └─ pair_with [vectorised]
      └─ filter [row closure]
         └─ split(' ') [vectorised]
            └─ #0 feed [blocks]
",
    );
}

/// Nothing of the user's runs before the batch is cut.
#[test]
fn a_closure_before_an_aggregate_waits_for_the_batch() {
    check(
        |lines| ignore(&lines.map(|line| line.to_owned()).count_by_value()),
        "\
foreach_batch
└─ #2 count_by_value [vectorised]
   └─ map [row closure]
      └─ #0 feed [blocks]
",
    );
}

#[test]
fn what_no_output_needs_does_not_run() {
    check(
        |lines| {
            let words = lines.split(b' ');
            let _unused = words.map(|word| word.len() as i64).reduce(|left, right| left + right);
            ignore(&words.union(&lines.transform(|batch, _| Ok(batch))));
        },
        "\
foreach_batch
└─ #5 union
   ├─ #1 split(' ') [vectorised]
   │  └─ #0 feed [blocks]
   └─ #4 transform [batch closure]
      └─ #0 feed, as above
",
    );
    check(|lines| drop(lines.count()), "");
}

/// Windows and joins: each side in order, and what is used twice drawn once.
#[test]
fn windows_and_joins() {
    let secs = Duration::from_secs;
    check(
        |lines| {
            let words = lines.split_whitespace();
            ignore(&words.count_by_value_and_window(secs(60), secs(2)));
            let lengths = words.map(|word| (word.len() as i64, 1.0));
            let means = lengths.aggregate_by_key_and_window((Mean, Max), secs(60), secs(2));
            let rows = lengths.map_values(|value| value + 1.0).window(secs(4), secs(2));
            ignore(&means.join(&rows.map_values(|value| value)));
        },
        "\
foreach_batch
└─ #3 count_by_value_and_window(60s, 2s) [panes, by inverse]
   └─ #2 count_by_value [vectorised]
      └─ #1 split_whitespace [vectorised]
         └─ #0 feed [blocks]
foreach_batch
└─ #11 pairs [vectorised]
   └─ #10 join [vectorised]
      ├─ #6 aggregate_by_key_and_window((Mean, Max), 60s, 2s) [panes, by two stacks]
      │  └─ #5 aggregate_by_key((Mean, Max)) [vectorised]
      │     └─ #4 map [row closure]
      │        └─ #1 split_whitespace, as above
      └─ map_values [row closure]
         └─ #8 window(4s, 2s) [rows kept]
            └─ #7 map_values [row closure]
               └─ #4 map, as above
",
    );
}

#[test]
fn other_sources() {
    let ssc = StreamingContext::builder("plan").build().unwrap();
    let (feed, _feeder) = Feed::bounded();
    ignore(&ssc.receiver_stream(feed).unwrap().count());
    let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
    numbers.print(3);
    let expected = "\
foreach_batch
└─ #1 count [vectorised]
   └─ #0 feed [bounded blocks, taken in as they arrive]
print(3)
└─ #2 queue [queued batches]
";
    assert_eq!(ssc.explain(), expected);
}
