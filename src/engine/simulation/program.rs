//! One life of the program: from a start over what the disk has to a stop or a crash.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::model::{Model, Seen};
use super::source::{Feed, Numbers, Position, number_of};
use crate::config::Limits;
use crate::dstream::DStream;
use crate::engine::{Metrics, StreamingContext, TestContext};
use crate::error::Result;
use crate::ops::Sum;
use crate::record::Batch;
use crate::sink::{TextFiles, TransactionalFiles};
use crate::storage::Storage;
use crate::time::Time;

const SECOND: Duration = Duration::from_secs(1);

const WINDOW: Duration = Duration::from_secs(3);
pub(super) const WINDOW_MILLIS: u64 = WINDOW.as_millis() as u64;

const TIMEOUT: Duration = Duration::from_secs(4);
pub(super) const TIMEOUT_MILLIS: u64 = TIMEOUT.as_millis() as u64;

/// What the program is made of, each with a state or sink of its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The lines themselves, to files that are committed with checkpoints.
    Rows,
    /// Sums by key, of all keys at each batch.
    Sums,
    /// Counts by key, of keys with data.
    Touched,
    /// Counts that time out.
    Counts,
    /// Counts of the last batches.
    Window,
    /// One large state, so that chains of checkpoints are short.
    Bulk,
}

/// All of them but [`Part::Bulk`], which takes its time.
pub(super) const PARTS: [Part; 5] =
    [Part::Rows, Part::Sums, Part::Touched, Part::Counts, Part::Window];

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Rows => "rows.v1",
            Part::Sums => "sums.v1",
            Part::Touched => "touched.v1",
            Part::Counts => "counts.v1",
            Part::Window => "window.v1",
            Part::Bulk => "bulk.v1",
        }
    }
}

/// What a part begins with.
pub(super) fn initial(part: Part) -> Vec<(String, i64)> {
    let states: &[(&str, i64)] = match part {
        Part::Sums => &[("k1", 100), ("idle", 5)],
        Part::Touched => &[("k2", 11), ("idle", 1)],
        Part::Counts => &[("k3", 3), ("idle", 4)],
        Part::Rows | Part::Window | Part::Bulk => &[],
    };
    states.iter().map(|&(key, state)| (key.to_owned(), state)).collect()
}

/// Bytes of the large state: two checkpoints with it are more than a chain has.
const BULK_BYTES: usize = 600 << 10;

/// A version of the program, and where it is run.
pub(super) struct Program {
    pub(super) storage: Arc<dyn Storage>,
    directory: PathBuf,
    pub(super) threads: usize,
    /// Batches between two checkpoints.
    pub(super) every: u32,
    /// In the order of their making.
    pub(super) parts: Vec<Part>,
    /// What the clock shows at the start.
    pub(super) now: Duration,
}

impl Program {
    /// All of it, in this directory.
    pub(super) fn new(storage: Arc<dyn Storage>, directory: &Path) -> Program {
        let (directory, parts) = (directory.to_owned(), PARTS.to_vec());
        Program { storage, directory, threads: 1, every: 1, parts, now: Duration::ZERO }
    }

    /// Where checkpoints are.
    pub(super) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Where the lines are saved.
    pub(super) fn out(&self) -> PathBuf {
        self.directory.join("out")
    }
}

/// Where the user's code is to panic: in a part's function, or in what is given its output.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Panic {
    InFunction(Part),
    InOutput(Part),
}

/// What the program's closures and the simulation share.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    panics: Mutex<Option<Panic>>,
}

impl Shared {
    fn call(&self, this: Panic, time: Time) {
        if *self.panics.lock().unwrap() == Some(this) {
            let mut seen = self.seen.lock().unwrap();
            match this {
                Panic::InFunction(part) => seen.failed.insert((part, time)),
                Panic::InOutput(part) => seen.unseen.insert((part, time)),
            };
            drop(seen);
            resume_unwind(Box::new("on purpose"));
        }
    }

    fn see(&self, part: Part, time: Time, pairs: impl Iterator<Item = (String, i64)>) {
        self.call(Panic::InOutput(part), time);
        self.seen.lock().unwrap().outputs.entry((part, time)).or_default().extend(pairs);
    }
}

pub(super) struct Life {
    context: TestContext,
    feed: Arc<Feed>,
    shared: Arc<Shared>,
}

impl Life {
    /// Starts the program over what is there.
    pub(super) fn begin(program: &Program, model: &mut Model) -> Result<Life> {
        let limits = Limits { missed_batches: 5, ..Limits::default() };
        // What fails here fails on purpose.
        let builder = StreamingContext::builder("simulated")
            .threads(program.threads)
            .limits(limits)
            .warnings_to_stderr(false);
        let context = TestContext::with(builder)?;
        let ssc = context.context();
        ssc.store_on(program.storage.clone());
        ssc.checkpoint(program.state(), program.every);
        let gone = PARTS.iter().filter(|part| !program.parts.contains(part));
        gone.for_each(|part| ssc.forget_state(part.name()));
        context.clock().advance(program.now);
        let (feed, shared) = (Arc::<Feed>::default(), Arc::<Shared>::default());
        let lines = ssc.receiver_stream(Numbers::new(feed.clone()))?;
        for part in &program.parts {
            match part {
                Part::Rows => rows(&lines, &shared, program),
                Part::Sums => sums(&lines, &shared),
                Part::Touched => touched(&lines, &shared),
                Part::Counts => counts(&lines, &shared),
                Part::Window => window(&lines, &shared),
                Part::Bulk => bulk(&lines, &shared),
            }
        }
        ssc.start()?;
        // Batches of times that were missed are not the source's.
        let time = ssc.recovered_from().map_or(0, Time::millis);
        let next = feed.resumed.lock().unwrap().next;
        model.begin(&program.parts, Position { time, next });
        Ok(Life { context, feed, shared })
    }

    /// From now on the user's code panics here.
    pub(super) fn panic(&self, panic: Option<Panic>) {
        *self.shared.panics.lock().unwrap() = panic;
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.context.context().metrics()
    }

    /// The clock jumps forward by so many intervals.
    pub(super) fn jump(&self, intervals: u32) {
        self.context.clock().advance(intervals * SECOND);
    }

    /// The clock is put back.
    pub(super) fn put_back(&self, intervals: u32) {
        self.context.clock().put_back(intervals * SECOND);
    }

    /// One batch with so many lines, or as many as are due.
    pub(super) fn tick(&mut self, lines: u64, model: &mut Model) -> Result<()> {
        self.feed.per_tick.store(lines, Ordering::SeqCst);
        let ticked = self.context.tick();
        self.check(model);
        ticked
    }

    /// A stop, gracefully or at once, and what had gone wrong until then.
    pub(super) fn end(self, is_graceful: bool, model: &mut Model) -> Result<()> {
        model.end();
        self.feed.per_tick.store(3, Ordering::SeqCst);
        if is_graceful {
            self.context.context().stop_gracefully();
        } else {
            self.context.context().stop();
        }
        self.check(model);
        self.context.context().await_termination()
    }

    fn check(&self, model: &mut Model) {
        let seen = std::mem::take(&mut *self.shared.seen.lock().unwrap());
        model.check(seen, *self.feed.acknowledged.lock().unwrap());
    }
}

fn pairs(lines: &DStream<String>) -> DStream<(String, i64)> {
    lines
        .map(|line| (line.split(' ').nth(1).unwrap_or_default().to_owned(), number_of(line) as i64))
}

fn see(stream: &DStream<(String, i64)>, part: Part, shared: &Arc<Shared>) {
    let shared = shared.clone();
    stream.foreach_batch(move |batch: &Batch<(String, i64)>, time| {
        shared.see(part, time, batch.to_vec().into_iter());
        Ok(())
    });
}

fn rows(lines: &DStream<String>, shared: &Arc<Shared>, program: &Program) {
    let shared = shared.clone();
    lines.foreach_batch(move |batch, time| {
        let numbers = batch.iter().map(number_of).collect();
        shared.seen.lock().unwrap().rows.insert(time, numbers);
        shared.call(Panic::InOutput(Part::Rows), time);
        Ok(())
    });
    let files = TextFiles::new(program.out().join("rows"));
    lines.save_with(Part::Rows.name(), TransactionalFiles::on(program.storage.clone(), files));
}

fn sums(lines: &DStream<String>, shared: &Arc<Shared>) {
    let (part, own) = (Part::Sums, shared.clone());
    let sums = pairs(lines).update_state_by_key_with(
        part.name(),
        move |time, _, values, sum: Option<i64>| {
            own.call(Panic::InFunction(part), time);
            let sum = sum.unwrap_or(0) + values.iter().sum::<i64>();
            (sum % 7 != 0).then_some(sum)
        },
    );
    see(&sums.initial(initial(part)), part, shared);
}

fn touched(lines: &DStream<String>, shared: &Arc<Shared>) {
    let (part, own) = (Part::Touched, shared.clone());
    let counts = pairs(lines).update_state_by_key_with(
        part.name(),
        move |time, _, values, count: Option<i64>| {
            own.call(Panic::InFunction(part), time);
            let count = count.unwrap_or(0) + values.len() as i64;
            (count % 5 != 0).then_some(count)
        },
    );
    see(&counts.touched_only().initial(initial(part)), part, shared);
}

fn counts(lines: &DStream<String>, shared: &Arc<Shared>) {
    let (part, own) = (Part::Counts, shared.clone());
    let counts = pairs(lines).map_with_state_at::<(String, i64), i64, _>(
        part.name(),
        move |time, key, value, state, out| {
            own.call(Panic::InFunction(part), time);
            let count = state.get_option().unwrap_or(0);
            if value.is_none() {
                return out.push((key, -count));
            }
            match (count + 1) % 9 {
                0 => state.remove(),
                _ => state.update(count + 1),
            }
            out.push((key, count + 1));
        },
    );
    let counts = counts.timeout(TIMEOUT).initial(initial(part));
    see(&counts, part, shared);
    see(&counts.snapshots().map(|(key, count)| (format!("all {key}"), count)), part, shared);
}

fn window(lines: &DStream<String>, shared: &Arc<Shared>) {
    let keys = pairs(lines).map(|(key, _)| key.to_owned());
    let counts = keys.pair_with(1i64).aggregate_by_key_and_window(Sum, WINDOW, SECOND);
    see(&counts.named(Part::Window.name()), Part::Window, shared);
}

fn bulk(lines: &DStream<String>, shared: &Arc<Shared>) {
    let part = Part::Bulk;
    let counts = lines.map(|_| (String::new(), 1i64)).update_state_by_key(
        part.name(),
        |values, text: Option<&str>| {
            let count = text.map_or(0, |text| number_of(text) as usize) + values.len();
            Some(format!("{count} {}", "x".repeat(BULK_BYTES)))
        },
    );
    let counts = counts.touched_only();
    see(&counts.map(|(key, text)| (key.to_owned(), number_of(text) as i64)), part, shared);
}
