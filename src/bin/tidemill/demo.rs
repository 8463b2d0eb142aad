//! `tidemill demo`: a word count of made-up words over a loopback socket, with its throughput and
//! its latency.
//!
//! The latency is that of a user: from the batch's nominal time to the counts in the hands of an
//! output operation.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use tidemill::{Batch, Limits, Socket, StreamingContext, Time};

use crate::corpus::{Corpus, Kind};
use crate::failure::Failure;
use crate::generate::{self, Flow};
use crate::output::{print, time_of_day};
use crate::parse;
use crate::terminal::{Bytes, Interrupt};

/// How often the main thread looks for Ctrl-C.
const POLL: Duration = Duration::from_millis(25);

/// Blocks in the receiver's pool. At full speed all but a few wait to be counted, so they are the
/// latency, and past a few they add nothing to the throughput.
const BLOCKS: usize = 4;

/// The longest latency that the histogram tells from longer ones, in microseconds.
const LATENCY_MICROS_MAX: u64 = 3_600_000_000;

/// Counts made-up words from a loopback socket for ten seconds, and says how fast that was.
///
/// The words come from a thread of the same process, as fast as they are taken. Latency is the
/// time from a batch's nominal end until its counts are at hand.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// How long to count
    #[arg(long, value_name = "N", default_value = "10", value_parser = parse::seconds)]
    seconds: Duration,

    /// Time between two batches, from 1ms to 24h
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse::interval)]
    interval: Duration,

    /// Lines per second, such as 500 or 10k [default: as fast as they are taken]
    #[arg(long, value_name = "N", value_parser = parse::count)]
    rate: Option<u64>,

    /// Threads that count [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

const AFTER_HELP: &str = "\
Examples:
  tidemill demo
  tidemill demo --seconds 3 --interval 100ms --rate 100k";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let refused = |error| Failure::Input(format!("cannot listen on a loopback port: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?.to_string();
    let flow = Flow { rate: args.rate, ..Flow::default() };
    let corpus = Corpus::new(Kind::Words, 10_000, 1, None);
    // It serves until the end of the process.
    std::thread::spawn(move || generate::serve(&listener, corpus, flow));

    let limits = Limits { blocks: BLOCKS, ..Limits::default() };
    let mut builder =
        StreamingContext::builder("demo").batch_interval(args.interval).limits(limits);
    if let Some(threads) = args.threads {
        builder = builder.threads(usize::from(threads));
    }
    let ssc = builder.build()?;
    let lines = ssc.receiver_stream(Socket::connect(&address)?)?;
    let measured = Arc::new(Mutex::new(Measured::new()?));
    let (watch, handle) = (measured.clone(), ssc.clone());
    lines.split_whitespace().count_by_value().foreach_batch(move |batch, time| {
        let bytes = handle.source_counts().iter().map(|counts| counts.bytes).sum();
        if lock(&watch).take(batch, time, bytes).is_break() {
            handle.stop();
        }
        Ok(())
    });
    lock(&measured).begin(&address, args)?;
    ssc.start()?;
    let start = Instant::now();
    while !interrupt.is_wanted() && start.elapsed() < args.seconds {
        if ssc.await_termination_timeout(POLL.min(args.seconds))? {
            break;
        }
    }
    ssc.stop();
    lock(&measured).finish()
}

/// What the batches came to so far.
struct Measured {
    latencies: Histogram<u64>,
    since: Instant,
    until: Instant,
    bytes: u64,
    words: i64,
    failure: Option<Failure>,
}

impl Measured {
    fn new() -> Result<Measured, Failure> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3)
            .map_err(|error| Failure::Run(format!("cannot make a histogram: {error}")))?;
        let now = Instant::now();
        Ok(Measured { latencies, since: now, until: now, bytes: 0, words: 0, failure: None })
    }

    fn begin(&mut self, address: &str, args: &Args) -> Result<(), Failure> {
        let (seconds, interval) = (args.seconds, args.interval);
        self.since = Instant::now();
        self.until = self.since;
        print(&format!(
            "Counting words from {address} for {seconds:?}, one batch every {interval:?}.\n\n\
             {:<16}  {:>12}  {:>8}  {:>12}  {:>10}\n",
            "batch time", "words", "distinct", "throughput", "latency"
        ))
    }

    /// Takes a batch in, given the bytes that were read up to now.
    fn take(
        &mut self,
        batch: &Batch<(String, i64)>,
        time: Time,
        bytes: u64,
    ) -> std::ops::ControlFlow<()> {
        let words: i64 = batch.iter().map(|(_, count)| count).sum();
        let nominal = Duration::from_millis(time.millis());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let latency = now.saturating_sub(nominal);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros.max(1));
        let per_second = (bytes - self.bytes) as f64 / self.until.elapsed().as_secs_f64();
        (self.until, self.bytes) = (Instant::now(), bytes);
        self.words += words;
        let printed = print(&format!(
            "{:<16}  {words:>12}  {:>8}  {:>10}/s  {:>7.2} ms\n",
            time_of_day(time),
            batch.len(),
            Bytes(per_second).to_string(),
            micros as f64 / 1e3,
        ));
        match printed {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(failure) => {
                self.failure = Some(failure);
                std::ops::ControlFlow::Break(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.latencies.is_empty() {
            return print("\nNo batch was complete: try more --seconds or a shorter --interval.\n");
        }
        let seconds = (self.until - self.since).as_secs_f64();
        let mut text = format!(
            "\nthroughput  {}/s, {:.1} million words/s: {} in {seconds:.1} s\nlatency   ",
            Bytes(self.bytes as f64 / seconds),
            self.words as f64 / seconds / 1e6,
            Bytes(self.bytes as f64),
        );
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
            let millis = self.latencies.value_at_quantile(quantile) as f64 / 1e3;
            // Writing to a string does not fail.
            let _ = write!(text, "  {name} {millis:.2} ms");
        }
        let _ = writeln!(text, "  of {} batches", self.latencies.len());
        print(&text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
