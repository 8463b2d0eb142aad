//! cargo run --release --example join_streams -- [--batches N]
//!
//! Clicks meet the advertisements that were shown up to ten seconds before, and a table of prices
//! that the program replaces while the stream runs. After `--batches` (default 5) it ends.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::time::Duration;

use tidemill::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let batches = std::env::args().skip_while(|a| a != "--batches").nth(1);
    let batches: i64 = batches.map_or(Ok(5), |n| n.parse())?;

    let interval = Duration::from_millis(100);
    let ssc = StreamingContext::builder("join_streams").batch_interval(interval).build()?;
    // (visitor, advertisement) and (visitor, page).
    let (shown, show) = ssc.queue_stream::<(i64, String)>()?;
    let (clicks, click) = ssc.queue_stream::<(i64, String)>()?;

    // Batches join those of the same time; a window brings earlier ones into it.
    let shown = shown.window(100 * interval, interval);
    let led = shown.join(&clicks).map(|(_, (advert, _))| (advert.to_owned(), 1i64));

    // A table by key, which other threads may replace at any time. Each batch sees one state.
    let prices = Lookup::new([("tide tables".to_owned(), 20i64)]);
    let earned = led
        .aggregate_by_key(Sum)
        .left_join_lookup(&prices)
        .map_values(|(clicks, price)| (clicks, clicks * price.unwrap_or(1)));
    let context = ssc.clone();
    let mut seen = 0;
    earned.foreach_batch(move |batch, time| {
        for (advert, (clicks, cents)) in batch.iter() {
            println!("{time}: {advert} led to {clicks} clicks, for {cents} cents");
        }
        seen += 1;
        if seen == batches {
            context.stop();
        }
        Ok(())
    });
    println!("{}", ssc.explain());

    for batch in 0..batches {
        let advert = if batch % 2 == 0 { "tide tables" } else { "mill stones" };
        show.push((0..100).map(|visitor| (visitor, advert.to_owned())))?;
        click.push([(batch, "/buy".to_owned()), (1_000, "/help".to_owned())])?;
    }
    ssc.start()?;
    std::thread::sleep(2 * interval);
    prices.replace([("tide tables".to_owned(), 25), ("mill stones".to_owned(), 40)]);
    ssc.await_termination()?;
    Ok(())
}
