//! cargo run --release --example network_wordcount -- [HOST:PORT] [--batches N]
//!
//! Counts the words that a server sends, batch by batch. Feed it with `nc -lk 9999` and type, or
//! with `tidemill generate words --listen 127.0.0.1:9999`. With `--batches` it ends by itself.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::time::Duration;

use tidemill::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let (address, batches) = arguments();

    let ssc = StreamingContext::builder("network_wordcount")
        .batch_interval(Duration::from_secs(1))
        .build()?;
    let lines = ssc.socket_text_stream(&address)?;

    // Vectorised: the two run as one kernel.
    let counts = lines.split_whitespace().count_by_value();
    counts.print(10);

    // The same with closures: rows come by reference, and no word is allocated.
    let by_length = lines
        .flat_map::<i64, _>(|line, out| {
            for word in line.split_whitespace() {
                out.push(word.len() as i64);
            }
        })
        .pair_with(1i64)
        .reduce_by_key(|a, b| a + b);

    let (context, mut seen) = (ssc.clone(), 0);
    by_length.foreach_batch(move |batch, time| {
        println!("{time}: words of {} different lengths", batch.len());
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

/// The address, and after how many batches to stop.
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
