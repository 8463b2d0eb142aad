//! cargo run --release --example log_wordcount -- FILE [--batches N]
//!
//! Follows a log as `tail -F` does, also through its rotation, and prints the running totals of
//! the words in lines that speak of an error. With `--batches` it ends by itself.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill::Follow;
use tidemill::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "/var/log/syslog".to_owned());
    let batches: Option<u64> = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--batches"), Some(n)) => Some(n.parse()?),
        _ => None,
    };

    let ssc = StreamingContext::builder("log_wordcount")
        .batch_interval(Duration::from_millis(500))
        .build()?;
    let lines = ssc.receiver_stream(Follow::new([file])?)?;
    let counts = lines
        .filter(|line| line.to_ascii_lowercase().contains("error"))
        .split_whitespace()
        .count_by_value();

    let (context, mut seen) = (ssc.clone(), 0);
    let mut totals: BTreeMap<String, i64> = BTreeMap::new();
    counts.foreach_batch(move |batch, time| {
        for (word, count) in batch.iter() {
            *totals.entry(word.to_owned()).or_default() += count;
        }
        let mut most: Vec<_> = totals.iter().collect();
        most.sort_by_key(|(_, count)| -**count);
        println!("{time}: {} words so far, most often {:?}", totals.len(), most.first());
        seen += 1;
        if Some(seen) == batches {
            context.stop();
        }
        Ok(())
    });

    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
