//! Cases of a context's life: each step is done through the public API, and what comes of it is
//! compared with what the case says, in Spark's words.
//!
//! Where a step differs on purpose, our form is what is asserted.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tidemill::prelude::*;
use tidemill::{ContextState, Error, ErrorKind, QueueHandle};

use super::fields::Fields;
use super::run::THREADS;
use super::{COMMON, Checked, Verdict};
use crate::feed::DEADLINE;
use crate::panics::panic_on_purpose;

const SECOND: Duration = Duration::from_secs(1);

/// Cases wait for real; a tenth of Spark's times is as good.
const FASTER: u64 = 10;

pub(crate) fn lifecycle(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &["steps"]])?;
    let steps = case.list("steps")?.iter().map(|json| match json.as_array().map(Vec::as_slice) {
        Some([Json::String(step), Json::String(expected)]) => {
            Ok((step.as_str(), expected.as_str()))
        }
        _ => Err(format!("{json} is no step and what comes of it")),
    });
    let steps = steps.collect::<Checked<Vec<_>>>()?;
    for threads in THREADS {
        let mut life = Life::new(threads)?;
        for &(step, expected) in &steps {
            let within = |fault| format!("step {step:?} on {threads} threads: {fault}");
            let came = life.step(step).map_err(within)?;
            life.compare(&came, expected).map_err(within)?;
        }
    }
    Ok(Verdict::Passed { is_typed: false })
}

/// What came of a step.
enum Came {
    Done,
    Failed(Error),
    /// Whether a context has stopped.
    Stopped(bool),
    /// Rows received and processed.
    Rows {
        received: u64,
        processed: u64,
    },
    /// The first count of a window that lasts longer than the test.
    Counted(i64),
    /// The time between two checkpoints that streams ask for.
    Interval {
        slide: Duration,
        window: Option<Duration>,
        states: Option<Duration>,
    },
    /// The case expects an error and this engine does the thing, on purpose.
    Differs,
}

/// A context, and what belongs to it.
struct Life {
    threads: usize,
    ssc: StreamingContext,
    numbers: Option<(DStream<i64>, QueueHandle<i64>)>,
    /// Other contexts that run beside it.
    others: Vec<Life>,
    stopping: Option<JoinHandle<()>>,
    /// Where checkpoints are made.
    directory: Option<TempDir>,
    received: Arc<AtomicU64>,
    processed: Arc<Mutex<Vec<String>>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.ssc.stop();
    }
}

fn context(threads: usize, interval: Duration) -> Checked<StreamingContext> {
    let builder = StreamingContext::builder("life").batch_interval(interval).threads(threads);
    builder.build().map_err(|error| error.to_string())
}

/// A window that sums, with an inverse.
fn sums(numbers: &DStream<i64>, slide: Duration) -> DStream<i64> {
    let (sum, difference) = (|a, b| a + b, |a, b| a - b);
    numbers.reduce_by_window_with_inverse(sum, difference, slide, slide)
}

/// Makes all files of a directory shorter by half, or one that is none.
fn corrupt(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut is_empty = true;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            is_empty &= bytes.is_empty();
            std::fs::write(&path, &bytes[..bytes.len() / 2])?;
        }
    }
    assert!(!is_empty, "there is no checkpoint to damage");
    Ok(())
}

/// What a call came to.
fn of(result: tidemill::Result<()>) -> Came {
    result.map_or_else(Came::Failed, |()| Came::Done)
}

impl Life {
    fn new(threads: usize) -> Checked<Life> {
        Ok(Life {
            threads,
            ssc: context(threads, Duration::from_millis(100 / FASTER))?,
            numbers: None,
            others: Vec::new(),
            stopping: None,
            directory: None,
            received: Arc::default(),
            processed: Arc::default(),
        })
    }

    fn input(&mut self) -> Checked<&DStream<i64>> {
        if self.numbers.is_none() {
            let queue = self.ssc.queue_stream::<i64>().map_err(|error| error.to_string())?;
            self.numbers = Some(queue);
        }
        Ok(&self.numbers.as_ref().expect("it was made just now").0)
    }

    fn output(&mut self) -> Checked<()> {
        self.input()?.foreach_batch(|_, _| Ok(()));
        Ok(())
    }

    /// A case that begins with its start has an input and an output before.
    fn start(&mut self) -> Checked<Came> {
        if self.numbers.is_none() && self.ssc.state() == ContextState::Initialized {
            self.output()?;
        }
        Ok(of(self.ssc.start()))
    }

    fn step(&mut self, step: &str) -> Checked<Came> {
        if let Some(timeout) = in_parentheses(step, "awaitTerminationOrTimeout") {
            // Only one that shall pass without a stop is worth waiting for.
            let timeout = Duration::from_millis(timeout.parse().map_err(|_| "no timeout")?);
            let timeout = if timeout < Duration::from_secs(1) { timeout / 10 } else { DEADLINE };
            let awaited = self.ssc.await_termination_timeout(timeout);
            return Ok(awaited.map_or_else(Came::Failed, Came::Stopped));
        }
        if let Some(directory) = in_parentheses(step, "getOrCreate") {
            return self.get_or_create(directory);
        }
        if let Some(times) = in_parentheses(step, "slice") {
            let times = times.split_once(',').ok_or("no two times")?;
            let time = |text: &str| text.parse().map(Time::from_millis).map_err(|_| "no time");
            let (from, to) = (time(times.0)?, time(times.1)?);
            return Ok(of(self.input()?.slice(from, to).map(drop)));
        }
        match step {
            "create" => {}
            "create_input" | "create+input" => drop(self.input()?.clone()),
            "create+output" | "add_input+output" => self.output()?,
            "start" | "A.start" => return self.start(),
            "stop" => self.ssc.stop(),
            "state" => {}
            "add_op" => return self.add_after(),
            "B.start" => {
                let mut other = Life::new(self.threads)?;
                let came = other.start()?;
                let both = [self.ssc.state(), other.ssc.state()];
                self.others.push(other);
                return Ok(match came {
                    Came::Done if both == [ContextState::Active; 2] => Came::Differs,
                    other => other,
                });
            }
            "persist" => {
                let numbers = self.input()?.clone();
                numbers.persist();
                return Ok(of(self.ssc.await_termination_timeout(Duration::ZERO).map(drop)));
            }
            "checkpoint(interval)" => {
                let numbers = self.input()?.clone();
                numbers.checkpoint(SECOND);
                return Ok(of(self.ssc.await_termination_timeout(Duration::ZERO).map(drop)));
            }
            // A tenth of a slide, and more than one.
            "checkpoint interval < slide" => return self.start_with_interval(SECOND / 10),
            "checkpoint interval not a multiple of slide" => {
                return self.start_with_interval(SECOND + SECOND / 10);
            }
            "default interval" => {
                let numbers = self.input()?;
                let window = sums(numbers, SECOND).checkpoint_interval();
                let slow = numbers.window(2 * SECOND, 2 * SECOND).pair_with(1i64);
                let states = slow.map_with_state::<i64, i64, _>("slow.v1", |_, _, _, _| {});
                let states = states.checkpoint_interval();
                return Ok(Came::Interval { slide: SECOND, window, states });
            }
            "stateful op without checkpoint dir" => {
                let mut other = Life::new(self.threads)?;
                sums(other.input()?, SECOND).foreach_batch(|_, _| Ok(()));
                return Ok(match other.ssc.start() {
                    Ok(()) => Came::Differs,
                    Err(error) => Came::Failed(error),
                });
            }
            "stop from another thread" => {
                let ssc = self.ssc.clone();
                self.stopping = Some(thread::spawn(move || ssc.stop()));
            }
            "awaitTermination" => return Ok(of(self.ssc.await_termination())),
            "start job whose map raises E" => {
                let mapped = self.input()?.map(|_| -> i64 { panic_on_purpose() });
                mapped.foreach_batch(|_, _| Ok(()));
                return self.start_with_a_row();
            }
            "start job whose transform raises E" => {
                let input = self.input()?;
                let fails = |_: Batch<i64>, _| -> Result<Batch<i64>, tidemill::BoxError> {
                    Err("on purpose".into())
                };
                input.transform(fails).foreach_batch(|_, _| Ok(()));
                return self.start_with_a_row();
            }
            "start receiver emitting a counter, batch 100 ms" => {
                let receiver = Counter(self.received.clone());
                return self.start_receiver(receiver);
            }
            "start receiver 15 records at 1/s whose onStop blocks until done; \
             gracefulStopTimeout=20000 s" => {
                let receiver = Slow(self.received.clone());
                return self.start_receiver(receiver);
            }
            "wait 500 ms" => thread::sleep(Duration::from_millis(500 / FASTER)),
            "stop(graceful)" => return Ok(self.stop_gracefully()),
            "wait 500 ms; stop(graceful)" => {
                thread::sleep(Duration::from_millis(500 / FASTER));
                return Ok(self.stop_gracefully());
            }
            _ => return Err("unknown step".into()),
        }
        Ok(Came::Done)
    }

    /// A window with such a checkpoint interval, in a context of its own.
    fn start_with_interval(&self, interval: Duration) -> Checked<Came> {
        let mut other = Life::new(self.threads)?;
        sums(other.input()?, SECOND).checkpoint(interval).foreach_batch(|_, _| Ok(()));
        Ok(of(other.ssc.start()))
    }

    /// A context that counts a window's rows, over what was left in a directory.
    fn get_or_create(&mut self, what: &str) -> Checked<Came> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => tempfile::tempdir().map_err(|error| wrong(&error))?,
        };
        let path = directory.path().join("checkpoints");
        let is_corrupt = what.starts_with("corrupt dir");
        if is_corrupt {
            corrupt(&path).map_err(|error| wrong(&error))?;
        }
        let (sender, counts) = sync_channel(64);
        let create = || {
            let ssc = context(self.threads, Duration::from_millis(10))
                .map_err(|text| Error::new(ErrorKind::Config, text))?;
            let (numbers, queue) = ssc.queue_stream_all::<i64>()?;
            numbers
                .count_by_window(60 * SECOND, Duration::from_millis(10))
                .foreach_batch(move |batch, _| Ok(sender.try_send(batch.iter().sum::<i64>())?));
            Ok((ssc, queue))
        };
        let mut queue = None;
        let create = || {
            let (ssc, pushes) = create()?;
            queue = Some(pushes);
            Ok(ssc)
        };
        let made = if what.ends_with("createOnError=true") {
            StreamingContext::get_or_create_on_error(&path, create)
        } else {
            StreamingContext::get_or_create(&path, create)
        };
        self.directory = Some(directory);
        let ssc = match made {
            Ok(ssc) => ssc,
            Err(error) => return Ok(Came::Failed(error)),
        };
        let started = ssc.start();
        let first = counts.recv_timeout(DEADLINE).map_err(|error| wrong(&error))?;
        let pushed = queue.expect("the context was created").push([1i64]);
        // The stop takes in what was pushed, and makes a checkpoint.
        ssc.stop_gracefully();
        started.and(pushed).map_err(|error| wrong(&error))?;
        Ok(Came::Counted(first))
    }

    /// New inputs, streams and outputs, each of which has to fail.
    fn add_after(&mut self) -> Checked<Came> {
        let (numbers, _) = self.numbers.as_ref().ok_or("nothing to add to")?;
        let mut failed = vec![self.ssc.queue_stream::<i64>().map(drop)];
        numbers.map(|number| number + 1);
        failed.push(self.ssc.await_termination_timeout(Duration::ZERO).map(drop));
        numbers.foreach_batch(|_, _| Ok(()));
        failed.push(self.ssc.await_termination_timeout(Duration::ZERO).map(drop));
        let first = failed.into_iter().reduce(|first, next| match (first, next) {
            (Err(first), Err(_)) => Err(first),
            _ => Ok(()),
        });
        Ok(of(first.expect("several things were added")))
    }

    fn start_with_a_row(&mut self) -> Checked<Came> {
        let (_, queue) = self.numbers.as_ref().ok_or("no input")?;
        queue.push([1i64]).map_err(|error| error.to_string())?;
        Ok(of(self.ssc.start()))
    }

    fn start_receiver(&mut self, receiver: impl Receiver) -> Checked<Came> {
        let lines = self.ssc.receiver_stream(receiver).map_err(|error| error.to_string())?;
        let processed = self.processed.clone();
        lines.foreach_batch(move |batch, _| {
            processed.lock().unwrap().extend(batch.to_vec());
            Ok(())
        });
        Ok(of(self.ssc.start()))
    }

    fn stop_gracefully(&mut self) -> Came {
        self.ssc.stop_gracefully();
        let received = self.received.load(Ordering::SeqCst);
        Came::Rows { received, processed: self.processed.lock().unwrap().len() as u64 }
    }

    /// Whether this is what the case says in its own words.
    fn compare(&mut self, came: &Came, expected: &str) -> Checked<()> {
        let state = match self.ssc.state() {
            ContextState::Initialized => "INITIALIZED",
            ContextState::Active => "ACTIVE",
            ContextState::Stopped => "STOPPED",
        };
        let is_met = match (came, expected) {
            (Came::Differs, "error: IllegalState" | "error at start") => true,
            (Came::Counted(0), "new context") => true,
            // Our settings are the program's, which is run: checkpoints hold data only.
            (
                Came::Counted(1..),
                "recovered context, old config restored, create function not called",
            ) => true,
            (Came::Failed(error), "error") => error.kind() == ErrorKind::Checkpoint,
            (Came::Failed(error), "error at start") => {
                error.kind() == ErrorKind::Config
                    && error.to_string().contains("must be a multiple")
            }
            (
                Came::Interval { slide, window: Some(window), states: Some(states) },
                "smallest multiple of slide >= 10 s (mapWithState: 10 x slide)",
            ) => {
                let is_least = *window >= 10 * SECOND && *window < 10 * SECOND + *slide;
                // Its slide is twice the window's.
                is_least && *states == 20 * *slide
            }
            (Came::Done, "ok" | "returns") => true,
            (Came::Done, expected) => {
                expected.strip_suffix(" (warning)").unwrap_or(expected) == state
            }
            (Came::Stopped(has_stopped), "true" | "false") => *has_stopped == (expected == "true"),
            (Came::Failed(error), "raises E") => {
                error.kind() == ErrorKind::Closure && error.to_string().contains("on purpose")
            }
            (Came::Failed(error), expected) => {
                let named = expected.strip_prefix("error: ");
                named.is_some_and(|named| error.kind() == ErrorKind::State && says(error, named))
            }
            (
                Came::Rows { received, processed },
                "processed == received (off by at most the 1 record in flight)",
            ) => *received > 0 && received.abs_diff(*processed) <= 1,
            (Came::Rows { received, processed }, "all 15 records processed") => {
                (*received, *processed) == (15, 15)
            }
            _ => false,
        };
        if is_met {
            return Ok(());
        }
        let came = match came {
            Came::Done => format!("it did; the context is {state}"),
            Came::Differs => "it did, unlike Spark".into(),
            Came::Failed(error) => format!("error {error:?}"),
            Came::Counted(rows) => format!("a context that counts {rows} rows"),
            Came::Interval { slide, window, states } => {
                format!("{window:?} and {states:?} for a slide of {slide:?}")
            }
            Came::Stopped(has_stopped) => format!("{has_stopped}"),
            Came::Rows { received, processed } => format!("{processed} of {received} rows"),
        };
        Err(format!("expected {expected:?} but got: {came}"))
    }
}

/// Whether our error says what Spark's says.
fn says(error: &Error, named: &str) -> bool {
    let text = error.to_string().to_lowercase();
    match named.split_once(" '") {
        Some((_, quoted)) => text.contains(&quoted.trim_end_matches('\'').to_lowercase()),
        None => match named {
            "IllegalState (already stopped)" => text.contains("stop"),
            "IllegalState" | "UnsupportedOperation" => text.contains("not supported"),
            // The stream of a context that has not started.
            "has not been initialized" => text.contains("start"),
            _ => false,
        },
    }
}

fn in_parentheses<'a>(step: &'a str, call: &str) -> Option<&'a str> {
    step.strip_prefix(call)?.strip_prefix('(')?.strip_suffix(')')
}

/// Emits a number at a time, without an end.
struct Counter(Arc<AtomicU64>);

impl Receiver for Counter {
    fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        into.push_line(number.to_string().as_bytes());
        Ok(Received::Later(Duration::from_millis(1)))
    }
}

/// Emits 15 records, slowly, in one call that a stop has to wait for.
struct Slow(Arc<AtomicU64>);

impl Receiver for Slow {
    fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
        for number in 0..15 {
            into.push_line(format!("{number}").as_bytes());
            self.0.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1_000 / FASTER / 10));
        }
        Ok(Received::End)
    }
}
