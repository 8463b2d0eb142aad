//! cargo bench --bench state [-- --test] [touched] [map] [memory]
//!
//! Keyed state, each figure as a ratio within one run or as bytes of memory:
//!
//! * `touched`: `update_state_by_key` for the keys with data alone, beside the form that calls for
//!   every key, with one key in a hundred touched by a batch.
//! * `map`: `map_with_state` beside `reduce_by_key` on the same rows, whose keys all have a state.
//! * `memory`: bytes of a key beside its state, by the process's pages and by the metrics, and the
//!   longest batch while keys come ten thousand at a time.
//!
//! Times are those of processors, so that a machine that others use, too, gives the same; the
//! longest batch is also given by the clock.
//!
//! `KEYS` sets the keys of `touched` and `memory` (1 and 10 million), `ROWS` the rows of a batch of
//! `map` (1 million), `ROUNDS` how often `map` and a third of `touched` are measured (7); names of
//! sections choose among them.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use corpus::{median, mixed};
use tidemill::prelude::*;
use tidemill::{Key, Limits, TestInput};

/// Batches of `touched` that one program has before it is the other's turn.
const IN_A_ROW: usize = 16;

/// New keys of a batch of `memory`.
const BATCH: usize = 10_000;

fn main() {
    let arguments = corpus::Arguments::new();
    let is_test = arguments.is_test;
    let rounds = arguments.number("ROUNDS", 1, 7);
    if let Some(kind) = arguments.option("--alone=") {
        return memory(kind, arguments.number("KEYS", 50_000, 10_000_000));
    }
    println!("{}", corpus::machine());
    if arguments.is_on("memory") {
        for kind in ["i64", "12 bytes", "16 bytes"] {
            for tracked in ["", " tracked"] {
                // A process for each, as another one's pages would be used again.
                let own = std::env::current_exe().expect("it runs");
                let mut alone = std::process::Command::new(own);
                alone.arg(format!("--alone={kind}{tracked}")).args(is_test.then_some("--test"));
                assert!(alone.status().expect("it starts").success());
            }
        }
    }
    if arguments.is_on("touched") {
        let keys = arguments.number("KEYS", 10_000, 1_000_000);
        touched("i64 keys", keys, 3 * rounds, |key| key as i64);
        touched("keys of 16 bytes", keys, 3 * rounds, |key| format!("station-{key:08}"));
    }
    if arguments.is_on("map") {
        let rows = arguments.number("ROWS", 10_000, 1_000_000);
        for keys in [rows / 100, rows / 10] {
            println!("\nmap_with_state beside reduce_by_key, {rows} rows a batch of {keys} keys");
            println!("{:40} reduce_by_key      state   + timeout   + rows out", "");
            for threads in [1, 2] {
                let name = |of: &str| format!("{of}, {threads} threads");
                map(&name("i64 keys"), keys, rows, rounds, threads, |key| key as i64);
                let text = |key| format!("station-{key:08}");
                map(&name("keys of 16 bytes"), keys, rows, rounds, threads, text);
            }
        }
    }
}

/// A program that runs a batch when told.
struct Program<T: Record> {
    context: TestContext,
    input: TestInput<T>,
    /// The sum of what came out of the last batch.
    total: Arc<AtomicI64>,
}

type Pairs<K> = DStream<(K, i64)>;

impl<K: Key> Program<(K, i64)> {
    fn new(threads: usize, build: impl FnOnce(&Pairs<K>) -> Pairs<K>) -> Self {
        let limits = Limits { retained_bytes: 8 << 30, ..Limits::default() };
        let builder = StreamingContext::builder("state").threads(threads).limits(limits);
        let context = TestContext::with(builder).expect("valid settings");
        let input = context.input::<(K, i64)>();
        let total: Arc<AtomicI64> = Arc::default();
        let sum = total.clone();
        build(input.stream()).foreach_batch(move |batch, _| {
            sum.store(batch.iter().map(|(_, value)| value).sum(), Ordering::Relaxed);
            Ok(())
        });
        Program { context, input, total }
    }

    /// Seconds that a batch takes: of processors, and by the clock.
    fn times(&mut self, batch: &Batch<(K, i64)>) -> (f64, f64) {
        self.input.push_batch(batch.clone()).expect("the queue is empty");
        let (start, processor) = (Instant::now(), corpus::processor_seconds());
        self.context.tick().expect("no batch fails");
        (corpus::processor_seconds() - processor, start.elapsed().as_secs_f64())
    }

    fn run(&mut self, batch: &Batch<(K, i64)>) -> f64 {
        self.times(batch).0
    }

    fn total(&self) -> i64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Each value is added to the state of its key; what comes out is the state, if all are wanted.
fn counted<K: Key>(
    pairs: &Pairs<K>,
    name: &str,
    timeout: Option<Duration>,
    emits: bool,
) -> Pairs<K> {
    let state = pairs.map_with_state::<(K, i64), i64, _>(name, move |key, value, state, out| {
        let total = state.get_option().unwrap_or(0) + value.unwrap_or(0);
        if !state.is_timing_out() {
            state.update(total);
        }
        if emits {
            out.push((key, total));
        }
    });
    let state = match timeout {
        Some(timeout) => state.timeout(timeout),
        None => state,
    };
    DStream::clone(&state)
}

fn touched<K: Key>(name: &str, keys: usize, rounds: usize, key: impl Fn(usize) -> K) {
    let updated = |is_touched_only: bool| {
        move |pairs: &Pairs<K>| {
            let state = pairs.update_state_by_key("totals", |values, total| {
                Some(total.unwrap_or(0) + values.iter().sum::<i64>())
            });
            let state = if is_touched_only { state.touched_only() } else { state };
            DStream::clone(&state)
        }
    };
    let mut all = Program::new(1, updated(false));
    let mut touched = Program::new(1, updated(true));
    // In batches as small as later ones, which is what tables that live for a batch fit then.
    let some = keys / 100;
    for first in (0..keys).step_by(some) {
        let batch: Batch<(K, i64)> = (first..first + some).map(|number| (key(number), 1)).collect();
        all.run(&batch);
        touched.run(&batch);
    }
    let mut ratios = Vec::new();
    let mut of_touched = Vec::new();
    let mut batches = 0;
    for round in 0..=rounds {
        // Some in a row: what the other one leaves in the caches is not what a program finds there.
        let of_round: Vec<Batch<(K, i64)>> = (IN_A_ROW * round..IN_A_ROW * (round + 1))
            .map(|number| (number * some..(number + 1) * some).map(|n| mixed(n as u64) as usize))
            .map(|numbers| numbers.map(|number| (key(number % keys), 1)).collect())
            .collect();
        let seconds_of_all: f64 = of_round.iter().map(|batch| all.run(batch)).sum();
        let seconds: f64 = of_round.iter().map(|batch| touched.run(batch)).sum();
        batches += of_round.len();
        assert_eq!(all.total() as usize, keys + batches * some, "each row counts once");
        if round > 0 {
            ratios.push(seconds_of_all / seconds);
            of_touched.push(seconds * 1e3 / of_round.len() as f64);
        }
    }
    println!("\ntouched_only(), {some} of {keys} {name}: {:.2} ms", median(of_touched));
    println!("all keys take {:.1} x that", median(ratios));
}

fn map<K: Key>(
    name: &str,
    keys: usize,
    rows: usize,
    rounds: usize,
    threads: usize,
    key: impl Fn(usize) -> K,
) {
    let mut reduced =
        Program::new(threads, |pairs: &Pairs<K>| pairs.reduce_by_key(|left, right| left + right));
    let long = Duration::from_secs(3600);
    let mut ways = [(None, false), (Some(long), false), (None, true)].map(|(timeout, emits)| {
        Program::new(threads, move |pairs: &Pairs<K>| counted(pairs, "totals", timeout, emits))
    });
    let batch = |number: usize| {
        let row = |row: usize| {
            let at = mixed((number * rows + row) as u64);
            // Once each key, and then any.
            (key(if row < keys { row } else { (at >> 8) as usize % keys }), (at >> 50) as i64)
        };
        // As many rows as a block of text has.
        let partitions = (0..rows).step_by(1 << 16);
        Batch::from_partitions(
            partitions.map(|first| (first..rows.min(first + (1 << 16))).map(row)),
        )
    };
    let batches: Vec<Batch<(K, i64)>> = (0..4).map(batch).collect();
    let mut ratios = [vec![], vec![], vec![]];
    let mut of_reduced = Vec::new();
    for (round, batch) in batches.iter().cycle().take(2 * rounds + 4).enumerate() {
        let base = reduced.run(batch);
        for (way, ratios) in ways.iter_mut().zip(&mut ratios) {
            let seconds = way.run(batch);
            if round >= 4 {
                ratios.push(seconds / base);
            }
        }
        if round >= 4 {
            of_reduced.push(base * 1e9 / rows as f64);
        }
        if round == 0 {
            // A row for each state that there was: all but that of the last row are too low.
            assert!(ways[2].total() >= reduced.total() || rows > keys);
        }
    }
    let [state, timeout, out] = ratios.map(median);
    let base = median(of_reduced);
    println!("{name:40} {base:6.1} ns a row {state:8.2} x {timeout:9.2} x {out:10.2} x");
}

/// Bytes of memory that the process has pages for.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn memory(kind: &str, keys: usize) {
    let is_tracking = kind.ends_with("tracked");
    match kind.trim_end_matches(" tracked") {
        "i64" => memory_of("i64 keys", keys, is_tracking, |key| key as i64),
        "12 bytes" => {
            memory_of("keys of 12 bytes", keys, is_tracking, |key| format!("key-{key:08}"));
        }
        _ => memory_of("keys of 16 bytes", keys, is_tracking, |key| format!("station-{key:08}")),
    }
}

fn memory_of<K: Key>(name: &str, keys: usize, is_tracking: bool, key: impl Fn(usize) -> K) {
    let batch_of = |first: usize| -> Batch<(K, i64)> {
        let last = keys.min(first + BATCH);
        (first..last).map(|number| (key(number), number as i64)).collect()
    };
    let before = resident();
    let directory = tempfile::tempdir().expect("a place for files");
    let timeout = Some(Duration::from_secs(24 * 3600));
    let mut program =
        Program::new(1, move |pairs: &Pairs<K>| counted(pairs, "totals", timeout, false));
    if is_tracking {
        // Kept track of, and never written but at the end.
        program.context.context().checkpoint(directory.path(), 1 << 20);
    }
    let (mut times, mut by_clock): (Vec<f64>, Vec<f64>) =
        (0..keys).step_by(BATCH).map(|first| program.times(&batch_of(first))).unzip();
    // What a batch needs goes back bit by bit.
    (0..64).for_each(|_| {
        program.run(&std::iter::empty().collect());
    });
    let grown = resident().saturating_sub(before);
    let metrics = program.context.context().metrics();
    let state = &metrics.states[0];
    assert_eq!(state.keys, keys);
    let of_key = |bytes: usize| bytes as f64 / keys as f64 - size_of::<i64>() as f64;
    let own: usize = (0..1000).map(|number| key(number * (keys / 1000))).map(own_bytes).sum();
    times.sort_by(f64::total_cmp);
    by_clock.sort_by(f64::total_cmp);
    println!(
        "\n{keys} {name}, timeout set, {}; bytes of a key beside its state, itself among them",
        if is_tracking { "changes tracked" } else { "nothing saved" }
    );
    println!("by pages {:.1}, by metrics {:.1}", of_key(grown), of_key(state.bytes));
    println!("of which the key {:.1}", own as f64 / 1000.0);
    println!(
        "batches of {BATCH} new keys: {:.2} ms, {:.2} in 99 of 100, at most {:.2}; by the clock \
         {:.2}, at most {:.2}",
        times[times.len() / 2] * 1e3,
        times[times.len() * 99 / 100] * 1e3,
        times[times.len() - 1] * 1e3,
        by_clock[times.len() / 2] * 1e3,
        by_clock[times.len() - 1] * 1e3
    );
}

/// Bytes of a key alone, without where it is.
fn own_bytes<K: Key>(key: K) -> usize {
    let bytes = K::byte_len(key.to_ref());
    // Text owns what it is made of.
    if bytes > size_of::<K>() { bytes - size_of::<K>() } else { bytes }
}
