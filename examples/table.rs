//! cargo run --release --example table
//!
//! Readings of a few stations as a table: first of one batch, then over a window of a stream, each
//! second. It makes its own readings and ends by itself.

#![expect(clippy::print_stdout, reason = "tables on standard output are what it is for")]

use std::time::Duration;

use tidemill::prelude::*;
use tidemill::table::{count, max, mean, quantile, std};

#[derive(Record)]
struct Reading {
    station: String,
    place: Place,
    /// None where the sensor did not answer.
    celsius: Option<f64>,
}

#[derive(Record)]
struct Place {
    country: String,
    altitude: i32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // One table: what does not fit is an error of the call.
    let table = Table::from_records((0..1_000).map(reading))?;
    println!("{}", table.shown(3));
    let table = table
        .filter(col("celsius").between(-50, 60).and(!col("station").starts_with("test")))?
        .with_column("fahrenheit", col("celsius") * 1.8 + 32.0)?
        .group_by(["place.country"])?
        .agg([mean("fahrenheit").alias("mean"), std("fahrenheit").alias("std"), count()])?;
    println!("{table}");
    if let Err(error) = table.filter(col("median").gt(0)) {
        println!("As it should: {error}\n");
    }

    // A stream of tables: the same, for each batch or over a window. What does not fit is an error
    // of the start.
    let ssc =
        StreamingContext::builder("table").batch_interval(Duration::from_millis(200)).build()?;
    let (readings, queue) = ssc.queue_stream::<Reading>()?;
    let (window, slide) = (Duration::from_secs(2), Duration::from_secs(1));
    readings
        .to_table()
        .filter(col("celsius").is_not_null())
        .window(window, slide)
        .group_by([col("station"), (col("place.altitude") / 1000).gt(1).alias("is_high")])
        .agg([
            mean("celsius").alias("mean"),
            max("celsius").alias("max"),
            quantile("celsius", 0.9).alias("p90"),
            count(),
        ])
        .show(20);

    println!("{}", ssc.explain());
    for batch in 0..20 {
        queue.push((0..100).map(|number| reading(batch * 100 + number)))?;
    }
    drop(queue);
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

/// Readings that look like weather.
fn reading(number: u32) -> Reading {
    let stations = [("oslo", "NO", 23), ("finse", "NO", 1222), ("bernina", "CH", 2253)];
    let (station, country, altitude) = stations[number as usize % stations.len()];
    let wave = f64::from(number % 97) / 9.7 - 5.0;
    let celsius = 15.0 - f64::from(altitude) * 0.0065 + wave;
    Reading {
        station: if number % 50 == 49 { "test".into() } else { station.into() },
        place: Place { country: country.into(), altitude },
        celsius: (number % 7 != 3).then_some(celsius),
    }
}
