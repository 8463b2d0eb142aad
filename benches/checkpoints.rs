//! cargo bench --bench checkpoints [-- --test] [steady] [restart]
//!
//! What checkpoints of keyed state cost, with one key in a hundred changed by a batch:
//!
//! * `steady`: a program that makes one every batch beside the same one that makes none, batches of
//!   the two in turn, an interval apart. A batch's time is its processing delay and what the loop
//!   takes to gather what has changed; the thread that writes works beside it.
//! * `restart`: from the call of `start` to the end of the first batch, from one whole checkpoint
//!   and from one with changes on top; and how much more memory that takes on its way.
//!
//! `KEYS` sets the number of keys (10 million), `ROUNDS` the batches of each program (60),
//! `INTERVAL` milliseconds between batches (500, so that each program has one a second); names of
//! sections choose among them.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::path::Path;
use std::time::{Duration, Instant};

use corpus::{median, mixed};
use tidemill::prelude::*;
use tidemill::{Key, Limits, QueueHandle};

/// Keys of a batch while a program is filled.
const FILL: usize = 250_000;

fn main() {
    let arguments = corpus::Arguments::new();
    let size = Size {
        keys: arguments.number("KEYS", 20_000, 10_000_000),
        rounds: arguments.number("ROUNDS", 3, 60),
        interval: Duration::from_millis(arguments.number("INTERVAL", 20, 500) as u64),
    };
    println!("{}", corpus::machine());
    if arguments.is_on("restart") {
        restart("i64 keys", &size, |key| key as i64);
        restart("keys of 16 bytes", &size, |key| format!("station-{key:08}"));
    }
    if arguments.is_on("steady") {
        steady("i64 keys", &size, |key| key as i64);
        steady("keys of 16 bytes", &size, |key| format!("station-{key:08}"));
    }
}

struct Size {
    keys: usize,
    rounds: usize,
    interval: Duration,
}

fn limits() -> Limits {
    Limits {
        retained_bytes: 8 << 30,
        missed_batches: 0,
        queued_batches: 1 << 10,
        ..Limits::default()
    }
}

/// Adds each value to the state of its key.
fn totals<K: Key>(pairs: &DStream<(K, i64)>) {
    let state = pairs.map_with_state::<i64, i64, _>("totals", |_, value, state, _| {
        let total = state.get_option().unwrap_or(0) + value.unwrap_or(0);
        if !state.is_timing_out() {
            state.update(total);
        }
    });
    state.timeout(Duration::from_secs(24 * 3600)).foreach_batch(|_, _| Ok(()));
}

/// All keys, some at a time.
fn every_key<K: Key>(
    size: &Size,
    key: impl Fn(usize) -> K,
) -> impl Iterator<Item = Batch<(K, i64)>> {
    let keys = size.keys;
    (0..keys)
        .step_by(FILL)
        .map(move |first| (first..keys.min(first + FILL)).map(|number| (key(number), 1)).collect())
}

/// One key in a hundred.
fn some_keys<K: Key>(size: &Size, round: usize, key: impl Fn(usize) -> K) -> Batch<(K, i64)> {
    let some = size.keys / 100;
    let number = |row| mixed((round * some + row) as u64) as usize % size.keys;
    (0..some).map(|row| (key(number(row)), 1)).collect()
}

/// A program on the machine's clock.
struct Program<K: Key> {
    ssc: StreamingContext,
    input: QueueHandle<(K, i64)>,
}

impl<K: Key> Program<K> {
    fn start(interval: Duration, directory: Option<&Path>) -> Program<K> {
        let builder = StreamingContext::builder("checkpoints").batch_interval(interval);
        let ssc = builder.threads(2).limits(limits()).build().expect("valid settings");
        if let Some(directory) = directory {
            ssc.checkpoint(directory, 1);
        }
        let (pairs, input) = ssc.queue_stream::<(K, i64)>().expect("not started");
        totals(&pairs);
        ssc.start().expect("it starts");
        Program { ssc, input }
    }

    /// Seconds of the loop that a batch takes, with what comes after it.
    fn run(&self, batch: Batch<(K, i64)>) -> f64 {
        let busy = || {
            let metrics = self.ssc.metrics();
            metrics.processing.total + metrics.checkpoints.gathering.total
        };
        let before = busy();
        self.input.push_batch(batch).expect("the queue is empty");
        // Until a batch after this one has ended: an empty one, which costs nothing.
        let completed = self.ssc.metrics().batches_completed;
        while self.ssc.metrics().batches_completed < completed + 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        (busy() - before).as_secs_f64()
    }
}

fn steady<K: Key>(name: &str, size: &Size, key: impl Fn(usize) -> K + Copy) {
    let directory = tempfile::tempdir().expect("a place for files");
    // Two batches of a program are for one of the bench.
    let interval = size.interval / 2;
    let plain = Program::start(interval, None);
    let saved = Program::start(interval, Some(directory.path()));
    for batch in every_key(size, key) {
        plain.run(batch.clone());
        saved.run(batch);
    }
    let (mut ratios, mut of_plain, mut of_saved) = (Vec::new(), Vec::new(), Vec::new());
    let filled = saved.ssc.metrics().checkpoints.gathering.total;
    for round in 0..size.rounds {
        let batch = some_keys(size, round, key);
        let (base, seconds) = (plain.run(batch.clone()), saved.run(batch));
        ratios.push(seconds / base);
        of_plain.push(base * 1e3);
        of_saved.push(seconds * 1e3);
    }
    let metrics = saved.ssc.metrics().checkpoints;
    assert!(metrics.written > 0 && metrics.failed == 0);
    assert!(!tidemill::checkpoint::inspect(directory.path()).expect("it is read").is_empty());
    let max = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    println!(
        "\n{} {name}, {} touched by a batch, {} batches, {} checkpoints",
        size.keys,
        size.keys / 100,
        size.rounds,
        metrics.written
    );
    println!(
        "without checkpoints {:.2} ms, at most {:.2}; with them {:.2} ms, at most {:.2}",
        median(of_plain.clone()),
        max(&of_plain),
        median(of_saved.clone()),
        max(&of_saved)
    );
    println!(
        "{:.2} x, by means {:.2} x; gathering {:.2} ms on average",
        median(ratios),
        mean(&of_saved) / mean(&of_plain),
        (metrics.gathering.total - filled).as_secs_f64() * 1e3 / size.rounds as f64
    );
    plain.ssc.stop();
    saved.ssc.stop();
}

/// Bytes of memory that the process has pages for, now and at most since the last reset.
fn resident() -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        1024 * number.unwrap_or(0)
    };
    (kilobytes("VmRSS:"), kilobytes("VmHWM:"))
}

/// A program under the test's clock, whose checkpoints are on disk when a batch has ended.
fn manual<K: Key>(directory: &Path, every: u32) -> (TestContext, tidemill::TestInput<(K, i64)>) {
    let builder = StreamingContext::builder("checkpoints").limits(limits());
    let context = TestContext::with(builder).expect("valid settings");
    context.context().checkpoint(directory, every);
    let input = context.input::<(K, i64)>();
    totals(input.stream());
    (context, input)
}

fn restart<K: Key>(name: &str, size: &Size, key: impl Fn(usize) -> K + Copy) {
    let directory = tempfile::tempdir().expect("a place for files");
    let fills = size.keys.div_ceil(FILL) as u32;
    {
        let (mut context, input) = manual::<K>(directory.path(), fills);
        for batch in every_key(size, key) {
            input.push_batch(batch).expect("the queue is empty");
            context.tick().expect("no batch fails");
        }
    }
    timed_restarts::<K>(&format!("{} {name}, one whole checkpoint", size.keys), directory.path());
    let changes = 20;
    {
        let (mut context, input) = manual::<K>(directory.path(), 1);
        for round in 0..changes {
            input.push_batch(some_keys(size, round, key)).expect("the queue is empty");
            context.tick().expect("no batch fails");
        }
    }
    let files = tidemill::checkpoint::inspect(directory.path()).expect("it is read");
    assert_eq!(files.len(), changes + 1);
    timed_restarts::<K>(&format!("and {changes} with changes of 1 %"), directory.path());
}

fn timed_restarts<K: Key>(name: &str, directory: &Path) {
    let (mut times, mut peaks, mut kept, mut reads) = (vec![], vec![], vec![], vec![]);
    let mut processors = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let files = std::fs::read_dir(directory).expect("it is there");
        let bytes: usize = files
            .map(|file| std::fs::read(file.expect("it is there").path()).expect("read").len())
            .sum();
        reads.push((start.elapsed().as_secs_f64(), bytes));
        let (before, _) = resident();
        // The peak is counted from here on, where the system lets it be.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        // Nothing is written but at the end, which is as a crash.
        let (mut context, _input) = manual::<K>(directory, 1 << 20);
        let (start, processor) = (Instant::now(), corpus::processor_seconds());
        context.context().start().expect("it starts");
        context.tick().expect("no batch fails");
        times.push(start.elapsed().as_secs_f64());
        processors.push(corpus::processor_seconds() - processor);
        let (now, peak) = resident();
        peaks.push(peak.saturating_sub(before) as f64 / 1e6);
        kept.push(now.saturating_sub(before) as f64 / 1e6);
    }
    let bytes = reads[0].1 as f64 / 1e6;
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{name:50} {:.2} s, at best {least:.2}, {:.2} of processors; \
         {bytes:.0} MB of files, in {:.2} s when only read; {:.0} MB at the peak, {:.0} MB \
         afterwards",
        median(times),
        median(processors),
        median(reads.into_iter().map(|(seconds, _)| seconds).collect()),
        median(peaks),
        median(kept)
    );
}
