//! cargo run --release --example embed -- [--batches N]
//!
//! An engine inside of another program: the program pushes rows as it has them, and gets each
//! batch's result over a channel, at most 16 of which wait. After `--batches` (default 5) it ends.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tidemill::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let batches = std::env::args().skip_while(|a| a != "--batches").nth(1);
    let batches: usize = batches.map_or(Ok(5), |n| n.parse())?;

    let ssc = StreamingContext::builder("embed")
        .batch_interval(Duration::from_millis(20))
        .threads(1)
        .build()?;
    let (orders, queue) = ssc.queue_stream::<(String, i64)>()?;

    // A full channel holds up the batches, and in the end the pushes: nothing grows without bound.
    let (results, received) = sync_channel(16);
    orders.aggregate_by_key(Sum).foreach_batch(move |batch, time| {
        results.send((time, batch.to_vec()))?;
        Ok(())
    });
    ssc.start()?;

    for batch in 0..batches as i64 {
        let rows = (0..1000).map(|order| (format!("customer {}", order % 3), order * batch));
        queue.push(rows)?;
    }
    // Without a handle nobody can push any more: the stream ends when it is empty.
    drop(queue);

    for (time, mut totals) in received.iter().take(batches) {
        totals.sort();
        println!("{time}: {totals:?}");
    }
    ssc.await_termination()?;
    Ok(())
}
