//! Rates of sources: the maximum, and back-pressure by the estimator, under a clock that stands
//! still until the test or a closure moves it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Batches, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{BackPressure, ContextBuilder, ErrorKind};

use crate::feed::DEADLINE;

/// Gives numbers without end, as fast as they are taken.
struct Endless {
    next: u64,
    given: Arc<AtomicU64>,
}

impl Receiver for Endless {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while !into.is_full() {
            into.push_line(self.next.to_string().as_bytes());
            self.next += 1;
        }
        self.given.store(self.next, Ordering::SeqCst);
        Ok(Received::More)
    }
}

/// A context, its source, and the rows of each batch.
struct Limited {
    t: TestContext,
    given: Arc<AtomicU64>,
    rows: Batches<u64>,
    /// How long each row takes.
    row_micros: Arc<AtomicU64>,
}

const INTERVAL: Duration = Duration::from_secs(1);

fn limited(settings: impl FnOnce(ContextBuilder) -> ContextBuilder) -> Limited {
    let builder = StreamingContext::builder("limited").batch_interval(INTERVAL).threads(1);
    let t = TestContext::with(settings(builder)).unwrap();
    let given = Arc::<AtomicU64>::default();
    let source = Endless { next: 0, given: given.clone() };
    let lines = t.context().receiver_stream(source).unwrap();
    let (sender, rows) = sync_channel(1_000);
    let row_micros = Arc::<AtomicU64>::default();
    let (clock, micros, mut left) = (t.clock(), row_micros.clone(), 0);
    let expected = Mutex::new(0);
    lines.foreach_batch(move |batch, _| {
        for line in batch.iter() {
            let mut expected = expected.lock().unwrap();
            assert_eq!(line.parse::<u64>()?, *expected);
            *expected += 1;
        }
        left += batch.len() as u64 * micros.load(Ordering::SeqCst);
        clock.advance(Duration::from_millis(left / 1_000));
        left %= 1_000;
        sender.send(batch.len() as u64)?;
        Ok(())
    });
    Limited { t, given, rows, row_micros }
}

impl Limited {
    /// Waits until the source has given so many rows: the thread that reads it is another one.
    fn wait_given(&self, rows: u64) {
        for _ in 0..DEADLINE.as_millis() {
            if self.given.load(Ordering::SeqCst) >= rows {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{} rows of {rows}", self.given.load(Ordering::SeqCst));
    }

    /// Waits until the source gives no more, which it does soon while the clock stands still.
    fn wait_settled(&self) {
        let (mut before, mut rounds) = (0, 0);
        while rounds < 20 {
            std::thread::sleep(Duration::from_millis(5));
            let given = self.given.load(Ordering::SeqCst);
            rounds = if given == before { rounds + 1 } else { 0 };
            before = given;
        }
    }
}

#[test]
fn a_source_keeps_its_maximum() {
    const RATE: u64 = 20_000;
    let mut limited = limited(|builder| builder.max_rate(RATE as f64));
    let mut total = 0;
    for second in 1..=10 {
        limited.t.tick().unwrap();
        // What the second brings is read after it, since the clock stands still before.
        limited.wait_given(RATE * second * 97 / 100);
        let rows = limited.rows.recv().unwrap();
        total += rows;
        let given = limited.given.load(Ordering::SeqCst);
        assert!(given <= RATE * second * 103 / 100, "{given} rows after {second} s");
    }
    limited.t.tick().unwrap();
    total += limited.rows.recv().unwrap();
    assert!((RATE * 97 / 10..=RATE * 103 / 10 + RATE).contains(&total), "{total} rows");
    let metrics = limited.t.context().metrics();
    assert_eq!(metrics.sources[0].rate_limit, Some(RATE as f64));
    assert_eq!(metrics.rows_processed(), Some(total));
    assert_eq!(metrics.batches_completed, 11);
}

#[test]
fn the_first_batch_is_not_huge() {
    let initial = BackPressure { initial_rate: 1_000.0, ..BackPressure::default() };
    let mut limited = limited(|builder| builder.back_pressure(initial));
    limited.t.tick().unwrap();
    limited.wait_given(900);
    limited.t.tick().unwrap();
    limited.wait_given(1_800);
    let rows: Vec<u64> = limited.rows.try_iter().collect();
    assert!(rows.iter().all(|&rows| rows <= 1_100), "{rows:?}");
}

/// The rate goes to what can be processed, from above and from below, and not over the maximum.
#[test]
fn the_rate_follows_the_batches() {
    let settings = BackPressure { initial_rate: 1_000.0, ..BackPressure::default() };
    let mut limited = limited(|builder| builder.back_pressure(settings).max_rate(50_000.0));
    let mut rates = Vec::new();
    let mut run = |row_micros: u64, batches: usize| {
        limited.row_micros.store(row_micros, Ordering::SeqCst);
        for _ in 0..batches {
            let before = limited.given.load(Ordering::SeqCst);
            limited.t.tick().unwrap();
            limited.wait_given(before + 1);
            limited.wait_settled();
            while limited.rows.try_recv().is_ok() {}
            rates.push(limited.t.context().metrics().sources[0].rate_limit.unwrap());
        }
        *rates.last().unwrap()
    };
    // 100 µs a row: 10 000 rows a second.
    let medium = run(100, 8);
    // Then 500 µs: 2 000 rows a second.
    let slow = run(500, 8);
    // Then 10 µs: as many as the maximum allows.
    let fast = run(10, 8);
    assert!((5_000.0..=10_500.0).contains(&medium), "{rates:?}");
    assert!((100.0..=2_100.0).contains(&slow), "{rates:?}");
    assert!((20_000.0..=50_000.0).contains(&fast), "{rates:?}");
}

/// A file with a limit is read over several batches, to its end.
#[test]
fn a_bounded_source_keeps_its_maximum() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.txt");
    let text: String = (0..5_000).map(|number| format!("{number}\n")).collect();
    std::fs::write(&path, text).unwrap();
    let builder = StreamingContext::builder("file").max_rate(1_000.0).threads(1);
    let t = TestContext::with(builder).unwrap();
    let lines = t.context().receiver_stream(tidemill::Files::open([path]).unwrap()).unwrap();
    let (sender, rows) = sync_channel(1_000);
    lines.foreach_batch(move |batch, _| Ok(sender.send(batch.len())?));
    t.context().start().unwrap();
    let clock = t.clock();
    while !t.context().await_termination_timeout(Duration::from_millis(5)).unwrap() {
        clock.advance(Duration::from_millis(100));
    }
    let rows: Vec<usize> = rows.iter().collect();
    assert_eq!(rows.iter().sum::<usize>(), 5_000);
    assert!(rows.len() >= 4 && rows.iter().all(|&rows| rows <= 2_200), "{rows:?}");
}

#[test]
fn bad_rates_are_refused() {
    let build = |settings: &dyn Fn(ContextBuilder) -> ContextBuilder| {
        settings(StreamingContext::builder("bad")).build().map(drop).unwrap_err()
    };
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = build(&|builder| builder.max_rate(rate));
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("max_rate"), "{error}");
        let settings = BackPressure { initial_rate: rate, ..BackPressure::default() };
        assert_eq!(build(&|builder| builder.back_pressure(settings)).kind(), ErrorKind::Config);
    }
    let settings = BackPressure { integral: -1.0, ..BackPressure::default() };
    assert_eq!(build(&|builder| builder.back_pressure(settings)).kind(), ErrorKind::Config);
}
