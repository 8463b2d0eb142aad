//! cargo bench --bench latency [-- --seconds N]
//!
//! The latency of each batch, honestly. Tick k is due at k × interval; a batch's latency is the
//! time at which its result is visible less that, so a batch that overruns is charged to those
//! behind it. End to end is the time at which a result is visible less the time at which its rows
//! should have been sent: the generator is open-loop, it never waits for the engine, and it
//! carries its schedule in the rows. Beside them stands the lateness of a bare timer in the same
//! run: less than that no engine here can have.
//!
//! The load is words of 10,000 distinct ones, at shares of the capacity that is measured first.
//! criterion hides tails, so it is not used here.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use tidemill::Carry;
use tidemill::prelude::*;

const KEYS: u64 = 10_000;

/// An open-loop source: at each point of its schedule, every [`PULSE`], so many bytes are due.
struct OpenLoop {
    text: Arc<Vec<u8>>,
    bytes_per_s: f64,
    started: Instant,
    /// The same point in time since the epoch, to carry in the rows.
    started_at: Duration,
    sent: usize,
    pulses: u32,
    carry: Carry,
}

const PULSE: Duration = Duration::from_micros(250);

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Receiver for OpenLoop {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        loop {
            let due = PULSE * (self.pulses + 1);
            let until = due.saturating_sub(self.started.elapsed());
            if !until.is_zero() {
                return Ok(Received::Later(until));
            }
            let mut left = (due.as_secs_f64() * self.bytes_per_s) as usize - self.sent;
            while left > 0 {
                let start = self.sent % self.text.len();
                let slice = &self.text[start..self.text.len().min(start + left)];
                let filled = into.fill(&mut self.carry, |room| {
                    let count = room.len().min(slice.len());
                    room[..count].copy_from_slice(&slice[..count]);
                    Ok(count)
                })?;
                let Some(filled) = filled else { return Ok(Received::More) };
                self.sent += filled;
                left -= filled;
            }
            if self.carry.is_empty() || self.bytes_per_s.is_finite() {
                // When this pulse should have been sent: between whole lines of the text.
                let intended = (self.started_at + due).as_nanos();
                into.push_line(format!("@{intended}").as_bytes());
            }
            self.pulses += 1;
        }
    }
}

/// As fast as blocks are free.
struct Flood {
    text: Arc<Vec<u8>>,
    position: usize,
    carry: Carry,
}

impl Receiver for Flood {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let rest = &self.text[self.position..];
        let count = into.fill(&mut self.carry, |room| {
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })?;
        self.position = (self.position + count.unwrap_or(0)) % self.text.len();
        Ok(Received::More)
    }
}

/// Bytes a second that the engine counts when it always has more to do.
fn capacity(text: &Arc<Vec<u8>>, interval: Duration, run: Duration) -> f64 {
    let ssc =
        StreamingContext::builder("capacity").batch_interval(interval).build().expect("valid");
    let flood = Flood { text: text.clone(), position: 0, carry: Carry::default() };
    let lines = ssc.receiver_stream(flood).expect("not started");
    lines.split(b' ').count_by_value().foreach_batch(|_, _| Ok(()));
    ssc.start().expect("starts");
    std::thread::sleep(run / 4);
    let (start, before) = (Instant::now(), ssc.source_counts()[0].bytes);
    std::thread::sleep(run);
    let bytes = ssc.source_counts()[0].bytes - before;
    let seconds = start.elapsed().as_secs_f64();
    ssc.stop();
    bytes as f64 / seconds
}

/// Nanoseconds up to ten minutes, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("bounds that fit")
}

struct Latencies {
    tick: Histogram<u64>,
    end_to_end: Histogram<u64>,
}

/// Runs the load for a while, and gives the latencies in nanoseconds.
fn measure(text: &Arc<Vec<u8>>, bytes_per_s: f64, interval: Duration, run: Duration) -> Latencies {
    let ssc = StreamingContext::builder("latency").batch_interval(interval).build().expect("valid");
    let source = OpenLoop {
        text: text.clone(),
        bytes_per_s,
        started: Instant::now(),
        started_at: since_epoch(),
        sent: 0,
        pulses: 0,
        carry: Carry::default(),
    };
    let lines = ssc.receiver_stream(source).expect("not started");
    let latencies = Latencies { tick: histogram(), end_to_end: histogram() };
    let latencies = Arc::new(Mutex::new(latencies));
    let (shared, warm) = (latencies.clone(), Instant::now() + run / 10);
    lines.split(b' ').count_by_value().foreach_batch(move |batch, time| {
        // To look at every row is what makes the result visible.
        let intended: Vec<u64> =
            batch.iter().filter_map(|(word, _)| word.strip_prefix('@')?.parse().ok()).collect();
        let visible = since_epoch();
        if Instant::now() < warm {
            return Ok(());
        }
        let mut latencies = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let tick = Duration::from_millis(time.millis());
        latencies.tick.saturating_record(visible.saturating_sub(tick).as_nanos() as u64);
        for intended in intended {
            let took = (visible.as_nanos() as u64).saturating_sub(intended);
            latencies.end_to_end.saturating_record(took);
        }
        Ok(())
    });
    ssc.start().expect("starts");
    std::thread::sleep(run + run / 10);
    ssc.stop();
    let latencies = latencies.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Latencies { tick: latencies.tick.clone(), end_to_end: latencies.end_to_end.clone() }
}

/// How late a thread wakes that does nothing but sleep until each tick.
fn bare_timer(interval: Duration, run: Duration) -> Histogram<u64> {
    let mut lateness = histogram();
    let (start, mut ticks) = (Instant::now(), 1);
    while start.elapsed() < run {
        let due = interval * ticks;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        lateness.saturating_record(start.elapsed().saturating_sub(due).as_nanos() as u64);
        ticks += 1;
    }
    lateness
}

fn row(name: &str, histogram: &Histogram<u64>) {
    print!("{name:34} {:>7}", histogram.len());
    for (quantile, needed) in [(0.5, 1), (0.9, 10), (0.99, 100), (0.999, 9_000)] {
        if histogram.len() < needed {
            print!(" {:>9}", "-");
        } else {
            print!(" {:>9.3}", histogram.value_at_quantile(quantile) as f64 / 1e6);
        }
    }
    println!(" {:>9.3}", histogram.max() as f64 / 1e6);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut seconds: Option<f64> = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--test" => seconds = Some(0.2),
            "--seconds" => seconds = arguments.next().and_then(|text| text.parse().ok()),
            _ => {}
        }
    }
    let text = corpus::words(16 << 20, KEYS);
    println!("{}", corpus::machine());
    println!("# {KEYS} keys; times in milliseconds; load as a share of the interval's capacity");
    print!("{:34} {:>7} {:>9} {:>9}", "interval, load", "count", "p50", "p90");
    println!(" {:>9} {:>9} {:>9}", "p99", "p99.9", "max");
    for (millis, default_s) in [(1, 12.0), (10, 12.0), (100, 20.0), (1000, 20.0)] {
        let interval = Duration::from_millis(millis);
        let run = seconds.unwrap_or(default_s).max(3.0 * interval.as_secs_f64());
        let run = Duration::from_secs_f64(run);
        row(&format!("{millis} ms, bare timer"), &bare_timer(interval, run / 4));
        let capacity = capacity(&text, interval, run / 4);
        println!("{:34} {:.3} GB/s", format!("{millis} ms, capacity"), capacity / 1e9);
        for load in [0.1, 0.5, 0.8] {
            let latencies = measure(&text, capacity * load, interval, run);
            let name = format!("{millis} ms, {:.0} %", load * 100.0);
            row(&format!("{name}, after the tick"), &latencies.tick);
            row(&format!("{name}, end to end"), &latencies.end_to_end);
        }
    }
}
