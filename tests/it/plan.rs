//! What `explain` says: which way each node runs.

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
#0 feed  [blocks, taken in as they arrive]
#2 split_whitespace + count_by_value [fused]  <- #0
output foreach_batch  <- #2
",
    );
    check(
        |lines| ignore(&lines.split(b' ').pair_with(1i64).aggregate_by_key(Sum)),
        "\
#0 feed  [blocks, taken in as they arrive]
#3 split(' ') + pair_with + aggregate_by_key(Sum) [fused]  <- #0
output foreach_batch  <- #3
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
#0 feed  [blocks]
#4 split(' ') [vectorised] -> filter [row closure] -> pair_with [vectorised] -> \
reduce_by_key [row closure]  <- #0
output foreach_batch  <- #4
",
    );
}

/// Nothing of the user's runs before the batch is cut.
#[test]
fn a_closure_before_an_aggregate_waits_for_the_batch() {
    check(
        |lines| ignore(&lines.map(|line| line.to_owned()).count_by_value()),
        "\
#0 feed  [blocks]
#2 map [row closure] -> count_by_value [vectorised]  <- #0
output foreach_batch  <- #2
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
#0 feed  [blocks]
#1 split(' ') [vectorised]  <- #0
#4 transform [batch closure]  <- #0
#5 union  <- #1, #4
output foreach_batch  <- #5
",
    );
    check(|lines| drop(lines.count()), "");
}

#[test]
fn other_sources() {
    let ssc = StreamingContext::builder("plan").build().unwrap();
    let (feed, _feeder) = Feed::bounded();
    ignore(&ssc.receiver_stream(feed).unwrap().count());
    let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
    numbers.print(3);
    let expected = "\
#0 feed  [bounded blocks, taken in as they arrive]
#1 count [vectorised]  <- #0
#2 queue  [queued batches]
output foreach_batch  <- #1
output print(3)  <- #2
";
    assert_eq!(ssc.explain(), expected);
}
