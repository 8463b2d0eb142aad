//! cargo run --release --example temperature -- [HOST:PORT] [--batches N]
//!
//! The mean temperature of the last minute, by station, each second, of lines `oslo;-3.5` from a
//! socket, and beside it the lines that are none. Feed it with `nc -lk 9999`, or with `tidemill
//! generate measurements --listen 127.0.0.1:9999`. With `--batches` it ends by itself after so many
//! results.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::time::Duration;

use tidemill::prelude::*;

/// A line of the stream: each field is a column.
#[derive(Record)]
struct Reading {
    station: String,
    celsius: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let (address, batches) = arguments();
    let (window, slide) = (Duration::from_secs(60), Duration::from_secs(1));

    let ssc = StreamingContext::builder("temperature").batch_interval(slide).build()?;
    let readings = ssc.socket_text_stream(&address)?.decode::<Reading>(Delimited::new(b';'));

    // Three aggregates in one pass. What a slide costs does not depend on the window.
    let by_station = readings.pairs(Reading::STATION, Reading::CELSIUS);
    let ranges = by_station.aggregate_by_key_and_window((Min, Mean, Max), window, slide);

    let (context, mut seen) = (ssc.clone(), 0);
    ranges.foreach_batch(move |batch, time| {
        let mut rows: Vec<_> = batch.iter().collect();
        rows.sort_by_key(|(station, _)| *station);
        println!("{time}: {} stations in the last {window:?}", rows.len());
        for (station, (min, mean, max)) in rows.into_iter().take(20) {
            println!("{station:>20}  {min:6.1} {mean:6.1} {max:6.1}");
        }
        seen += 1;
        if Some(seen) == batches {
            context.stop();
        }
        Ok(())
    });

    // A line that is no reading is told of, and counted.
    readings.rejects().foreach_batch(|rejects, _| {
        for reject in rejects.iter().take(3) {
            println!("{}: {:?} {}", reject.reason, reject.line, reject.field);
        }
        Ok(())
    });

    println!("{}", ssc.explain());
    ssc.start()?;
    ssc.await_termination()?;
    let counts = readings.counts();
    let rejected: u64 = counts.rejected.iter().map(|count| count.lines).sum();
    println!("{} readings, {rejected} other lines", counts.rows);
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
