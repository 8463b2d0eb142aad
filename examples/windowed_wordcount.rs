//! cargo run --release --example windowed_wordcount -- [HOST:PORT] [--batches N]
//!
//! The most frequent words of the last minute, every two seconds, and beside them how fast words
//! come. Feed it with `nc -lk 9999`, or with `tidemill generate words --listen 127.0.0.1:9999`.
//! With `--batches` it ends by itself after so many results.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::time::Duration;

use tidemill::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let (address, batches) = arguments();
    let (window, slide) = (Duration::from_secs(60), Duration::from_secs(2));

    let ssc = StreamingContext::builder("windowed_wordcount")
        .batch_interval(Duration::from_millis(500))
        .build()?;
    let words = ssc.socket_text_stream(&address)?.split_whitespace();

    // Each batch is counted once. A slide adds its batches to the window's counts, and takes out
    // those that leave it: the rows are not kept, and the length of the window does not matter.
    let counts = words.count_by_value_and_window(window, slide);

    // Windows over windows: how many words came in each slide, and the most of them in a minute.
    let rate = words.count_by_window(slide, slide);
    let peak = rate.reduce_by_window(i64::max, window, slide);

    // Streams with the same slide go together.
    let report = counts.transform_with(&peak, |counts, peak, _| {
        let mut rows: Vec<(String, i64)> = counts.to_vec();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows.truncate(10);
        let peak = peak.iter().next().unwrap_or(0);
        Ok([(rows, peak)].into_iter().collect::<Batch<(Vec<(String, i64)>, i64)>>())
    });

    let (context, mut seen) = (ssc.clone(), 0);
    report.foreach_batch(move |batch, time| {
        for (rows, peak) in batch.iter() {
            println!("{time}: at most {peak} words in {slide:?}; in the last {window:?}:");
            for (word, count) in rows.iter() {
                println!("{count:>10}  {word}");
            }
        }
        seen += 1;
        if Some(seen) == batches {
            context.stop();
        }
        Ok(())
    });

    println!("{}", ssc.explain());
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

/// The address, and after how many results to stop.
fn arguments() -> (String, Option<u64>) {
    let (mut address, mut batches) = ("127.0.0.1:9999".to_owned(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--batches" => batches = arguments.next().and_then(|n| n.parse().ok()),
            _ => address = argument,
        }
    }
    (address, batches)
}
