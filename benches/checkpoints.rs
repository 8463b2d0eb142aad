//! cargo bench --bench checkpoints [-- --test] [steady] [restart]
//!
//! What checkpoints of keyed state cost, with one key in a hundred changed by a batch:
//!
//! * `steady`: a program that makes one every batch beside the same one that makes none, batches of
//!   the two in turn, an interval apart. A batch's time is its processing delay and what the loop
//!   takes to gather what has changed, until that is on disk; the thread that writes works beside
//!   it. Pairs of the same programs differ by a tenth and more, so there are several.
//! * `restart`: from the call of `start` to the end of the first batch, from one whole checkpoint
//!   and from one with changes on top; and how much more memory that takes on its way.
//!
//! `KEYS` sets the number of keys (10 million), `ROUNDS` the batches of each program (20), `PAIRS`
//! the pairs of programs (4), `INTERVAL` milliseconds between batches (500, so that each program
//! has one a second); names of sections choose among them.

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
        rounds: arguments.number("ROUNDS", 3, 20),
        pairs: arguments.number("PAIRS", 2, 4),
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
    pairs: usize,
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
    is_saved: bool,
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
        Program { ssc, input, is_saved: directory.is_some() }
    }

    /// Seconds of the loop that a batch takes, with what comes after it until it is in a checkpoint
    /// on disk, where there are any: batches without rows, which cost next to nothing.
    fn run(&self, batch: Batch<(K, i64)>) -> f64 {
        let busy = || {
            let metrics = self.ssc.metrics();
            metrics.processing.total + metrics.checkpoints.gathering.total
        };
        let before = busy();
        // The batch that is cut just now may come without it.
        let last = self.ssc.metrics().batches_completed + 2;
        self.input.push_batch(batch).expect("the queue is empty");
        loop {
            std::thread::sleep(Duration::from_millis(1));
            let metrics = self.ssc.metrics();
            assert_eq!(metrics.checkpoints.failed, 0);
            let has_saved = !self.is_saved || metrics.checkpoints.last_batch >= last;
            if metrics.batches_completed >= last && has_saved {
                return (busy() - before).as_secs_f64();
            }
        }
    }
}

fn steady<K: Key>(name: &str, size: &Size, key: impl Fn(usize) -> K + Copy) {
    println!(
        "\n{} {name}, {} touched by a batch, {} batches of each of {} pairs",
        size.keys,
        size.keys / 100,
        size.rounds,
        size.pairs
    );
    let mut all = Vec::new();
    for pair in 0..size.pairs {
        let rounds = steady_pair(pair, size, key);
        report("", &rounds);
        all.extend(rounds);
    }
    report("all pairs", &all);
}

/// Seconds of the loop for each batch, without checkpoints and with them.
fn steady_pair<K: Key>(pair: usize, size: &Size, key: impl Fn(usize) -> K + Copy) -> Vec<[f64; 2]> {
    let directory = tempfile::tempdir().expect("a place for files");
    // Two batches of a program are for one of the bench.
    let interval = size.interval / 2;
    // Which is the first, in memory and with its batches, is not always the same one.
    let order = |turn: usize| if (pair + turn).is_multiple_of(2) { [0, 1] } else { [1, 0] };
    let start = |at: usize| Program::start(interval, (at == 1).then(|| directory.path()));
    let mut programs = order(0).map(start);
    programs.sort_by_key(|program| program.is_saved);
    let run = |turn: usize, batch: &Batch<(K, i64)>| {
        let mut seconds = [0.0; 2];
        for at in order(turn) {
            seconds[at] = programs[at].run(batch.clone());
        }
        seconds
    };
    for (turn, batch) in every_key(size, key).enumerate() {
        run(turn, &batch);
    }
    let rounds = (0..size.rounds).map(|round| run(round, &some_keys(size, round, key))).collect();
    assert!(!tidemill::checkpoint::inspect(directory.path()).expect("it is read").is_empty());
    programs.iter().for_each(|program| program.ssc.stop());
    rounds
}

fn report(name: &str, rounds: &[[f64; 2]]) {
    let millis = |at: usize| rounds.iter().map(|seconds| seconds[at] * 1e3).collect::<Vec<_>>();
    let sum = |at: usize| millis(at).iter().sum::<f64>();
    let max = |at: usize| millis(at).into_iter().fold(0.0, f64::max);
    println!(
        "{name:10} without {:.2} ms, at most {:.2}; with {:.2} ms, at most {:.2}: {:.2} x, \
         by means {:.2} x",
        median(millis(0)),
        max(0),
        median(millis(1)),
        max(1),
        median(rounds.iter().map(|[plain, saved]| saved / plain).collect()),
        sum(1) / sum(0)
    );
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
