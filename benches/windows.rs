//! cargo bench --bench windows [-- --keys N --rows N]
//!
//! What a sliding window costs, beside the tumbling window of the same slide and beside counting
//! the window anew at each slide. Each figure is a mean time for a batch over whole windows, since
//! the two stacks do much of their work once in a window; the ways take turns, and ratios are taken
//! round by round.
//!
//! Each batch has so many rows (100,000 if nothing is said) with so many keys (10,000), every key
//! in every batch, as text and as integers.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{Aggregate, Key, TestInput};

/// A context that runs a batch when told.
struct Way<T: Record> {
    context: TestContext,
    input: TestInput<T>,
    seconds_of_slowest: f64,
}

impl<T: Record> Way<T> {
    fn new<U: Record>(build: impl FnOnce(&DStream<T>) -> DStream<U>) -> Way<T> {
        let builder = StreamingContext::builder("windows").threads(1);
        let context = TestContext::with(builder).expect("valid settings");
        let input = context.input::<T>();
        build(input.stream()).foreach_batch(|batch, _| {
            assert!(!batch.is_empty(), "every batch has keys");
            Ok(())
        });
        Way { context, input, seconds_of_slowest: 0.0 }
    }

    /// Seconds for a batch, on average over so many.
    fn seconds_of_batch(&mut self, batches: &[Batch<T>], count: usize) -> f64 {
        let mut total = 0.0;
        for batch in batches.iter().cycle().take(count) {
            self.input.push_batch(batch.clone()).expect("the queue is empty");
            let start = Instant::now();
            self.context.tick().expect("no batch fails");
            let seconds = start.elapsed().as_secs_f64();
            self.seconds_of_slowest = self.seconds_of_slowest.max(seconds);
            total += seconds;
        }
        total / count as f64
    }
}

/// The size of a run.
struct Size {
    rounds: usize,
    /// Windows in a round.
    windows: usize,
}

/// Compares sliding windows with the tumbling one.
fn compare<K, V, A>(name: &str, batches: &[Batch<(K, V)>], aggregate: A, size: &Size)
where
    K: Key,
    V: Record,
    A: Aggregate<V> + Copy,
{
    let second = Duration::from_secs(1);
    let window = |slides: u32| {
        move |pairs: &DStream<(K, V)>| {
            let stream = pairs.aggregate_by_key_and_window(aggregate, slides * second, second);
            DStream::clone(&stream)
        }
    };
    let mut plain = Way::new(|pairs: &DStream<(K, V)>| pairs.aggregate_by_key(aggregate));
    let mut tumbling = Way::new(window(1));
    let mut sliding = Way::new(window(64));
    let mut long = Way::new(window(1024));
    let mut anew = Way::new(|pairs: &DStream<(K, V)>| {
        pairs.window(64 * second, second).aggregate_by_key(aggregate)
    });
    // Full windows, and warm memory.
    sliding.seconds_of_batch(batches, 128);
    long.seconds_of_batch(batches, 1024 + 64);
    anew.seconds_of_batch(batches, 64);
    sliding.seconds_of_slowest = 0.0;
    let (mut of_plain, mut of_tumbling) = (Vec::new(), Vec::new());
    let (mut to_sliding, mut to_long, mut to_anew) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let slides = 64 * size.windows;
        let base = tumbling.seconds_of_batch(batches, slides);
        let seconds = sliding.seconds_of_batch(batches, slides);
        to_sliding.push(seconds / base);
        to_anew.push(anew.seconds_of_batch(batches, 4) / seconds);
        of_tumbling.push(base);
        of_plain.push(plain.seconds_of_batch(batches, slides) / base);
    }
    // A round of the long window is the whole of it.
    let base = tumbling.seconds_of_batch(batches, 1024);
    to_long.push(long.seconds_of_batch(batches, 1024) / base);
    println!(
        "{name:<22} {:>9.3} ms  {:>6.2} x  {:>6.2} x  {:>6.2} x  {:>7.1} x  {:>9.3} ms",
        corpus::median(of_tumbling) * 1e3,
        corpus::median(of_plain),
        corpus::median(to_sliding),
        corpus::median(to_long),
        corpus::median(to_anew),
        sliding.seconds_of_slowest * 1e3,
    );
}

/// Batches in which all keys come, in another order each.
fn batches<K: Key, V: Record>(
    keys: usize,
    rows: usize,
    pair: impl Fn(usize, i64) -> (K, V),
) -> Vec<Batch<(K, V)>> {
    let batch = |number: usize| {
        let row = |row: usize| {
            let scrambled =
                (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 + 2 * number as u64);
            // Once each key, and then any.
            let key = if row < keys { row } else { (scrambled >> 33) as usize % keys };
            pair(key, (scrambled >> 50) as i64)
        };
        (0..rows).map(row).collect::<Batch<(K, V)>>()
    };
    (0..4).map(batch).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        let value = at.and_then(|at| arguments.get(at + 1));
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let size =
        if is_test { Size { rounds: 1, windows: 1 } } else { Size { rounds: 5, windows: 2 } };
    let (keys, rows) = if is_test { (100, 200) } else { (10_000, 100_000) };
    let (keys, rows) = (number("--keys", keys), number("--rows", rows));

    println!("{}", corpus::machine());
    println!("{rows} rows a batch, {keys} keys, one thread; a batch of the tumbling window, and");
    println!("against it: no window, 64 slides, 1,024 slides; 64 slides anew against 64 slides;");
    println!("and the slowest batch of 64 slides");
    let text = |key: usize| format!("station-{key}");
    let of_text = batches(keys, rows, |key, value| (text(key), value));
    compare("text, sum of integers", &of_text, Sum, &size);
    compare("text, mean of integers", &of_text, Mean, &size);
    compare("text, least integer", &of_text, Min, &size);
    let floats = batches(keys, rows, |key, value| (text(key), value as f64));
    compare("text, sum of floats", &floats, Sum, &size);
    compare("text, mean of floats", &floats, Mean, &size);
    compare("text, own monoid", &of_text, Spread, &size);
    let of_numbers = batches(keys, rows, |key, value| (key as i64, value));
    compare("numbers, sum of integers", &of_numbers, Sum, &size);
    compare("numbers, least integer", &of_numbers, Min, &size);
}

/// A user's own: the distance between the least and the greatest value.
#[derive(Copy, Clone)]
struct Spread;

impl Aggregate<i64> for Spread {
    type Partial = (i64, i64);
    type Output = i64;

    fn identity(&self) -> (i64, i64) {
        (i64::MAX, i64::MIN)
    }

    fn add(&self, partial: &mut (i64, i64), value: i64) -> tidemill::Result<()> {
        *partial = (partial.0.min(value), partial.1.max(value));
        Ok(())
    }

    fn merge(&self, into: &mut (i64, i64), later: &(i64, i64)) -> tidemill::Result<()> {
        *into = (into.0.min(later.0), into.1.max(later.1));
        Ok(())
    }

    fn finish(&self, partial: &(i64, i64)) -> tidemill::Result<i64> {
        Ok(partial.1.wrapping_sub(partial.0))
    }
}
