//! cargo bench --bench joins [-- --rows N]
//!
//! A join of two streams beside the two `group_by_key`s that it is made of: a million rows each in
//! a batch if nothing is said, with a row for each key, with four, and with skewed keys. The ways
//! take turns, and ratios are taken round by round.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::time::Instant;

use tidemill::prelude::*;
use tidemill::{Key, TestInput};

/// A context with two inputs that runs a batch when told.
struct Way<K: Key> {
    context: TestContext,
    inputs: [TestInput<(K, i64)>; 2],
}

impl<K: Key> Way<K> {
    fn new(threads: usize, build: impl FnOnce([&DStream<(K, i64)>; 2])) -> Way<K> {
        let builder = StreamingContext::builder("joins").threads(threads);
        let context = TestContext::with(builder).expect("valid settings");
        let inputs = [context.input(), context.input()];
        build([inputs[0].stream(), inputs[1].stream()]);
        Way { context, inputs }
    }

    fn seconds(&mut self, batches: &[Batch<(K, i64)>; 2]) -> f64 {
        for (input, batch) in self.inputs.iter().zip(batches) {
            input.push_batch(batch.clone()).expect("the queue is empty");
        }
        let start = Instant::now();
        self.context.tick().expect("no batch fails");
        start.elapsed().as_secs_f64()
    }
}

fn consume<T: Record>(stream: &DStream<T>) {
    stream.foreach_batch(|batch, _| {
        assert!(!batch.is_empty(), "both sides have rows");
        Ok(())
    });
}

fn compare<K: Key>(name: &str, threads: usize, rounds: usize, batches: &[Batch<(K, i64)>; 2]) {
    let mut groups = Way::new(threads, |[left, right]| {
        consume(&left.group_by_key());
        consume(&right.group_by_key());
    });
    let mut join = Way::new(threads, |[left, right]| consume(&left.join(right)));
    let mut cogroup = Way::new(threads, |[left, right]| consume(&left.cogroup(right)));
    for way in [&mut groups, &mut join, &mut cogroup] {
        way.seconds(batches);
    }
    let (mut base, mut joined, mut cogrouped) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let seconds = groups.seconds(batches);
        joined.push(join.seconds(batches) / seconds);
        cogrouped.push(cogroup.seconds(batches) / seconds);
        base.push(seconds);
    }
    println!(
        "{name:<34} {threads} {:>9.1} ms  {:>5.2} x  {:>5.2} x",
        corpus::median(base) * 1e3,
        corpus::median(cogrouped),
        corpus::median(joined)
    );
}

/// A batch for each side, in partitions of 64 Ki rows, with keys of the numbers that are made of
/// random ones.
fn batches<K: Key>(
    rows: usize,
    key: impl Fn(u64) -> K,
    numbers: [&dyn Fn(u64) -> u64; 2],
) -> [Batch<(K, i64)>; 2] {
    let batch = |side: usize| {
        let row = |row: usize| {
            let scrambled = (row + (side << 40) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (key(numbers[side](scrambled as u64 >> 20)), row as i64)
        };
        let parts = (0..rows).step_by(1 << 16).map(|at| (at..rows.min(at + (1 << 16))).map(row));
        Batch::from_partitions(parts)
    };
    [batch(0), batch(1)]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let at = arguments.iter().position(|argument| argument == "--rows");
    let rows = at.and_then(|at| arguments.get(at + 1)).map(|rows| rows.parse().expect("a number"));
    let rows: usize = rows.unwrap_or(if is_test { 1_000 } else { 1_000_000 });
    let rounds = if is_test { 1 } else { 7 };

    println!("{}", corpus::machine());
    println!("{rows} rows a side; two group_by_keys, and against them: cogroup, join");
    let count = rows as u64;
    let unique = |scrambled: u64| scrambled % count;
    let fourfold = |scrambled: u64| scrambled % (count / 4);
    // About Zipf's: the key of rank r comes about 1/r as often. The other side has each key about
    // once, since a skewed join with itself is a square.
    let skewed = |scrambled: u64| {
        let share = (scrambled % (1 << 20)) as f64 / f64::from(1 << 20);
        (count as f64).powf(share) as u64
    };
    for threads in [1, 2] {
        let number = |n: u64| n as i64;
        let text = |n: u64| format!("key {n:09}");
        let shapes: [(&str, [&dyn Fn(u64) -> u64; 2]); 3] = [
            ("a row a key", [&unique, &unique]),
            ("4 rows a key", [&fourfold, &fourfold]),
            ("skewed with unique", [&skewed, &unique]),
        ];
        for (name, numbers) in shapes {
            let name = |keys: &str| format!("{keys}, {name}");
            compare(&name("numbers"), threads, rounds, &batches(rows, number, numbers));
            compare(&name("text"), threads, rounds, &batches(rows, text, numbers));
        }
    }
}
