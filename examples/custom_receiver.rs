//! cargo run --release --example custom_receiver -- [--batches N]
//!
//! A source of one's own: a receiver that is polled and never blocks. This one is a thermometer
//! that has a reading every 10 ms. With `--batches` it ends by itself.

use std::io;
use std::time::{Duration, Instant};

use tidemill::prelude::*;

/// A reading of one of three stations, every 10 ms.
struct Thermometers {
    next: Instant,
    readings: u32,
}

const EVERY: Duration = Duration::from_millis(10);

impl Receiver for Thermometers {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while self.next <= Instant::now() {
            if into.is_full() {
                return Ok(Received::More);
            }
            let station = ["harbour", "mill", "lock"][self.readings as usize % 3];
            let degrees = 12.0 + f64::from(self.readings % 70) / 10.0;
            into.push_line(format!("{station};{degrees:.1}").as_bytes());
            self.next += EVERY;
            self.readings += 1;
        }
        // Nothing until then: the engine sleeps, and cuts batches in the meantime.
        Ok(Received::Later(EVERY))
    }

    fn name(&self) -> String {
        "thermometers".to_owned()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let batches = std::env::args().skip_while(|a| a != "--batches").nth(1);
    let batches: Option<u64> = batches.map(|n| n.parse()).transpose()?;

    let ssc = StreamingContext::builder("custom_receiver")
        .batch_interval(Duration::from_millis(500))
        .build()?;
    let lines = ssc.receiver_stream(Thermometers { next: Instant::now(), readings: 0 })?;
    let readings = lines.flat_map::<(String, f64), _>(|line, out| {
        if let Some((station, degrees)) = line.split_once(';')
            && let Ok(degrees) = degrees.parse()
        {
            out.push((station, degrees));
        }
    });
    readings.aggregate_by_key(Mean).print(10);

    let (context, mut seen) = (ssc.clone(), 0);
    readings.count().foreach_batch(move |_, _| {
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
