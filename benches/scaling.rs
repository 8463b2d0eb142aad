//! cargo bench --bench scaling [-- FILE]
//!
//! One to two threads: the word count of a text in memory by one thread, by two, and by two engines
//! of one thread each that share nothing but the machine. The last is the bound: cores that share
//! caches, or are siblings, slow each other down whatever the program does.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::sync::Arc;
use std::time::Instant;

/// Counts the words of the whole text.
fn count(text: &Arc<Vec<u8>>, threads: usize) {
    let ssc = corpus::bounded_context(threads).expect("valid settings");
    let lines = ssc.receiver_stream(corpus::Memory::new(text.clone())).expect("not started");
    lines.split(b' ').count_by_value().foreach_batch(|batch, _| {
        assert!(!batch.is_empty(), "the text has words");
        Ok(())
    });
    ssc.start().expect("starts");
    ssc.await_termination().expect("no batch fails");
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let (rounds, bytes) = if is_test { (1, 4 << 20) } else { (11, 256 << 20) };
    let text = match &file {
        Some(file) => {
            let text = std::fs::read(file).expect("a file that can be read");
            Arc::new(text.repeat((bytes / text.len()).max(1)))
        }
        None => corpus::kjv(bytes),
    };
    let (mut scaled, mut bound, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let one = seconds(|| count(&text, 1));
        let two = seconds(|| count(&text, 2));
        let apart = seconds(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| count(&text, 1));
                scope.spawn(|| count(&text, 1));
            });
        });
        alone.push(text.len() as f64 / one / 1e9);
        scaled.push(one / two);
        bound.push(2.0 * one / apart);
    }
    println!("{}", corpus::machine());
    println!("one thread                    {:.2} GB/s", corpus::median(alone));
    println!("two threads                   {:.2} x one", corpus::median(scaled));
    println!("two engines of one, the bound {:.2} x one", corpus::median(bound));
}
