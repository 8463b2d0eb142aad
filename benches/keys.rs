//! cargo bench --bench keys [-- --test]
//!
//! Grouping by many keys, each figure as a ratio within one run:
//!
//! * `scale`: new and known keys of 16 bytes beside one random access each to as much memory; the
//!   memory of a key; the longest batch while the table grows.
//! * `skew`: rows whose keys are Zipf-distributed beside uniform ones, as many of as many keys.
//! * `closure`: `reduce_by_key` with a closure beside the named forms.
//!
//! `KEYS` sets the number of keys of `scale` (20 million takes 4 GB and some minutes), and names
//! of sections choose among them.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use corpus::{median, mixed};
use tidemill::prelude::*;
use tidemill::{Groups, HashGroups, ScalarColumn};
use tidemill_kernels::{Span, TextTable, grouped};

/// Rows of a batch.
const BATCH: usize = 10_000;

/// Bytes of a key.
const KEY: usize = 16;

fn main() {
    let arguments = corpus::Arguments::new();
    let is_test = arguments.is_test;
    let (keys, rounds) = (arguments.number("KEYS", 20_000, 4_000_000), if is_test { 1 } else { 5 });
    println!("{}", corpus::machine());
    if arguments.is_on("scale") {
        scale(keys, rounds);
        growth(keys.min(2_000_000), rounds);
    }
    let (rows, distinct) = if is_test { (20_000, [1_000, 2_000]) } else { (4 << 20, SKEWED) };
    for distinct in distinct {
        if arguments.is_on("skew") {
            skew(rows, distinct, rounds.div_ceil(2));
        }
        if arguments.is_on("closure") {
            closure(rows, distinct, rounds);
        }
    }
}

/// Distinct keys of the rows that are skewed: within the L2 cache, and past all.
const SKEWED: [usize; 2] = [10_000, 1_000_000];

/// The key of a number: 16 hexadecimal digits.
fn push_key(text: &mut Vec<u8>, number: usize) {
    let bits = mixed(number as u64);
    text.extend((0..KEY).map(|digit| b"0123456789abcdef"[(bits >> (4 * digit)) as usize % 16]));
}

/// Nanoseconds a row.
fn timed(rows: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / rows as f64
}

/// Bytes of memory that the process has pages for.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// The bound: 16 bytes of key, a hash, and one access to memory as large as the table's, to slots
/// of as many bytes as a key has in there.
fn random_accesses(slots: &mut [[u64; 4]], text: &[u8], spans: &[Span]) {
    for span in spans {
        let key = text[span.start as usize..].first_chunk().expect("16 bytes");
        let words = u128::from_le_bytes(*key);
        let low = words as u64 ^ 0x9E37_79B9_7F4A_7C15;
        let high = (words >> 64) as u64 ^ 0xBF58_476D_1CE4_E5B9;
        let product = u128::from(low) * u128::from(high);
        let hash = product as u64 ^ (product >> 64) as u64;
        let slot = (u128::from(hash) * slots.len() as u128) >> 64;
        slots[slot as usize][0] += 1;
    }
}

fn scale(keys: usize, rounds: usize) {
    let mut text = Vec::with_capacity(KEY * keys);
    (0..keys).for_each(|number| push_key(&mut text, number));
    let spans: Vec<Span> =
        (0..keys).map(|row| Span { start: (KEY * row) as u32, len: KEY as u32 }).collect();
    let batches = || spans.chunks(BATCH);
    let mut ratios: [Vec<f64>; 3] = [vec![], vec![], vec![]];
    let (mut bound, mut memory, mut pages) = (vec![], vec![], None);
    // A first round is not timed, as the machine may have to find the memory; later ones are given
    // pages that were kept, so that only the first tells how many a table needs.
    for round in 0..=rounds {
        let before = resident();
        let mut table = TextTable::new(keys);
        let mut count_all =
            || timed(keys, || batches().for_each(|batch| table.count(&text, batch).expect("room")));
        let (new, known) = (count_all(), count_all());
        let grown = resident().saturating_sub(before);
        pages.get_or_insert(grown as f64 / keys as f64);
        assert_eq!(table.len(), keys);
        let bytes = table.memory_bytes();
        table.clear();
        let again = timed(keys, || {
            batches().for_each(|batch| table.count(&text, batch).expect("room"));
        });
        drop(table);
        let mut slots = vec![[1; 4]; bytes / size_of::<[u64; 4]>()];
        let access =
            timed(keys, || batches().for_each(|batch| random_accesses(&mut slots, &text, batch)));
        if round > 0 || rounds == 1 {
            for (ratios, cost) in ratios.iter_mut().zip([new, again, known]) {
                ratios.push(cost / access);
            }
            bound.push(access);
            memory.push(bytes as f64 / keys as f64);
        }
    }
    let [new, again, known] = ratios.map(median);
    println!("\n{keys} keys of {KEY} bytes; a random access each takes {:.1} ns", median(bound));
    println!("known keys                             {known:.2} x that");
    println!("new keys, table emptied                {again:.2} x");
    println!("new keys, new table                    {new:.2} x");
    println!("memory of a key                        {:.1} bytes", median(memory));
    println!("pages of the process for a key         {:.1} bytes", pages.unwrap_or(0.0));
}

/// The longest batch of new keys, up to and past a million: what a table's growth costs at once.
fn growth(keys: usize, rounds: usize) {
    let mut text = Vec::with_capacity(KEY * keys);
    (0..keys).for_each(|number| push_key(&mut text, number));
    let spans: Vec<Span> =
        (0..keys).map(|row| Span { start: (KEY * row) as u32, len: KEY as u32 }).collect();
    let numbers: Vec<ScalarColumn<u64>> = (0..keys)
        .step_by(BATCH)
        .map(|first| (first..first + BATCH).map(|number| mixed(number as u64)).collect())
        .map(|numbers: Vec<u64>| numbers.into())
        .collect();
    println!("\nbatches of {BATCH} new keys, up to {keys}, in ms   p50     p99     max");
    let rounds_of = |name: &str, run: &mut dyn FnMut() -> Vec<f64>| {
        let [mut p50, mut p99, mut max] = [vec![], vec![], vec![]];
        for round in 0..=rounds {
            let mut times = run();
            times.sort_by(f64::total_cmp);
            if round > 0 {
                p50.push(times[times.len() / 2]);
                p99.push(times[times.len() * 99 / 100]);
                max.push(times[times.len() - 1]);
            }
        }
        let [p50, p99, max] = [p50, p99, max].map(median);
        println!("{name:40} {p50:7.2} {p99:7.2} {max:7.2}");
    };
    let ms = |work: &mut dyn FnMut()| timed(1, work) / 1e6;
    rounds_of("text", &mut || {
        let mut table = TextTable::new(keys);
        let batches = spans.chunks(BATCH);
        batches.map(|batch| ms(&mut || table.count(&text, batch).expect("room"))).collect()
    });
    rounds_of("u64", &mut || {
        let (mut groups, mut ids) = (HashGroups::<u64>::new(2 * keys), Vec::new());
        let batches = numbers.iter();
        let times = batches.map(|batch| {
            ids.clear();
            ms(&mut || groups.ids(batch, &mut ids).expect("room"))
        });
        times.collect()
    });
}

/// Keys of rows: each of them once, the others drawn by `draw` from 0..1, in an order that is
/// random.
fn drawn(rows: usize, distinct: usize, draw: impl Fn(f64) -> usize) -> Vec<usize> {
    let uniform = |row: usize| (mixed(!row as u64) >> 11) as f64 / (1u64 << 53) as f64;
    let mut keys: Vec<usize> =
        (0..rows).map(|row| if row < distinct { row } else { draw(uniform(row)) }).collect();
    for row in (1..rows).rev() {
        keys.swap(row, mixed(row as u64) as usize % (row + 1));
    }
    keys
}

/// Uniform keys, and Zipf-distributed ones with exponent 1.
fn distributions(rows: usize, distinct: usize) -> [Vec<usize>; 2] {
    let uniform = drawn(rows, distinct, |x| ((x * distinct as f64) as usize).min(distinct - 1));
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=distinct)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let zipf =
        drawn(rows, distinct, |x| sums.partition_point(|up_to| *up_to < x * sum).min(distinct - 1));
    [uniform, zipf]
}

fn text_of(keys: &[usize], separator: impl Fn(usize) -> u8) -> (Vec<u8>, Vec<Span>) {
    let mut text = Vec::with_capacity((KEY + 1) * keys.len());
    let spans = keys.iter().enumerate().map(|(row, &key)| {
        let start = text.len() as u32;
        push_key(&mut text, key);
        text.push(separator(row));
        Span { start, len: KEY as u32 }
    });
    let spans = spans.collect();
    (text, spans)
}

type Pipeline = fn(&DStream<String>) -> DStream<(String, i64)>;

const FUSED: (&str, Pipeline) =
    ("aggregate_by_key(Sum), fused", |words| words.pair_with(1i64).aggregate_by_key(Sum));
const NAMED: (&str, Pipeline) = ("aggregate_by_key(Sum)", |words| {
    words.pair_with(1i64).map_values(|one| one).aggregate_by_key(Sum)
});
const CLOSURE: (&str, Pipeline) =
    ("reduce_by_key(closure)", |words| words.pair_with(1i64).reduce_by_key(|a, b| a + b));

/// Seconds that the pipeline takes for the whole text.
fn run(text: &Arc<Vec<u8>>, pipeline: Pipeline, threads: usize, rows: usize) -> f64 {
    let ssc = corpus::bounded_context(threads).expect("valid settings");
    let lines = ssc.receiver_stream(corpus::Memory::new(text.clone())).expect("not started");
    let total = Arc::new(AtomicI64::new(0));
    let sum = total.clone();
    pipeline(&lines.split(b' ')).foreach_batch(move |batch, _| {
        sum.fetch_add(batch.iter().map(|(_, count)| count).sum(), Ordering::Relaxed);
        Ok(())
    });
    let start = Instant::now();
    ssc.start().expect("starts");
    ssc.await_termination().expect("no batch fails");
    assert_eq!(total.load(Ordering::Relaxed), rows as i64);
    start.elapsed().as_secs_f64()
}

/// Lines of eight words.
fn lines_of(keys: &[usize]) -> Arc<Vec<u8>> {
    Arc::new(text_of(keys, |row| if row % 8 == 7 { b'\n' } else { b' ' }).0)
}

fn skew(rows: usize, distinct: usize, rounds: usize) {
    let keys = distributions(rows, distinct);
    println!("\nZipf beside uniform, {rows} rows of {distinct} keys");
    let report = |name: &str, run: &mut dyn FnMut(usize) -> f64| {
        let mut ratios = Vec::new();
        for round in 0..=rounds {
            // In an order that a drift of the machine's speed does not show in.
            let [uniform, zipf, zipf_again, uniform_again] = [run(0), run(1), run(1), run(0)];
            if round > 0 {
                ratios.push((zipf + zipf_again) / (uniform + uniform_again));
            }
        }
        println!("{name:40} {:.2} x the time", median(ratios));
    };
    let texts = [0, 1].map(|kind| text_of(&keys[kind], |_| b' '));
    report("kernel count", &mut |kind| {
        let (text, spans) = &texts[kind];
        let mut table = TextTable::new(distinct);
        timed(rows, || {
            spans.chunks(BATCH).for_each(|batch| table.count(text, batch).expect("room"));
        })
    });
    report("kernel ids and grouped sums", &mut |kind| {
        let (text, spans) = &texts[kind];
        let (mut table, mut ids, mut sums) = (TextTable::new(distinct), vec![], vec![]);
        let values = [1; BATCH];
        timed(rows, || {
            for batch in spans.chunks(BATCH) {
                ids.clear();
                table.ids(text, batch, &mut ids).expect("room");
                sums.resize(table.len(), 0);
                assert!(!grouped::add_i64(&mut sums, &ids, &values[..ids.len()]));
            }
        })
    });
    drop(texts);
    let texts = [0, 1].map(|kind| lines_of(&keys[kind]));
    for (name, pipeline) in [FUSED, NAMED, CLOSURE] {
        for threads in [1, 2] {
            report(&format!("{name}, {threads} threads"), &mut |kind| {
                run(&texts[kind], pipeline, threads, rows)
            });
        }
    }
}

fn closure(rows: usize, distinct: usize, rounds: usize) {
    let [uniform, _] = distributions(rows, distinct);
    let text = lines_of(&uniform);
    println!("\na closure beside the named forms, {rows} rows of {distinct} keys");
    for threads in [1, 2] {
        let [mut to_named, mut to_fused, mut alone] = [vec![], vec![], vec![]];
        for round in 0..=rounds {
            let [closure, named, fused] =
                [CLOSURE, NAMED, FUSED].map(|(_, pipeline)| run(&text, pipeline, threads, rows));
            if round > 0 {
                to_named.push(closure / named);
                to_fused.push(closure / fused);
                alone.push(closure * 1e9 / rows as f64);
            }
        }
        let [to_named, to_fused, alone] = [to_named, to_fused, alone].map(median);
        println!(
            "{threads} threads: {to_named:.2} x the named form, {to_fused:.2} x the fused one; \
             {alone:.0} ns a row"
        );
    }
}
