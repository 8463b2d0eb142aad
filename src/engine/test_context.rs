//! A context for tests: the production loop under a clock that stands still until told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::clock::Clock;
use super::context::{ContextState, StreamingContext};
use super::control::Control;
use crate::config::{KEPT_MAX, check_duration};
use crate::dstream::DStream;
use crate::error::Result;
use crate::record::{Batch, Record};
use crate::source::QueueHandle;
use crate::source::queue::Take;
use crate::time::Time;

/// A streaming context whose batches run when the test says so.
///
/// Its time starts at 0, so batch k has the time k × interval.
///
/// ```
/// use tidemill::prelude::*;
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let counts = t.output(&lines.stream().split_whitespace().count_by_value());
/// lines.push(["a b a"])?;
/// t.tick()?;
/// assert_eq!(counts.take_sorted(), [("a".into(), 2), ("b".into(), 1)]);
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Debug)]
pub struct TestContext {
    context: StreamingContext,
}

/// The clock of a [`TestContext`], which stands still until it is moved.
#[derive(Clone)]
pub struct TestClock {
    context: (Clock, Arc<Control>),
}

impl TestClock {
    /// Moves the clock on, by up to 100 years at a time; with more it stays, and the next tick
    /// fails.
    pub fn advance(&self, duration: Duration) {
        let (clock, control) = &self.context;
        let checked = check_duration("the advance of a clock", duration, Duration::ZERO, KEPT_MAX);
        match checked.and_then(|()| clock.advance(duration)) {
            Ok(()) => control.notify_all(),
            Err(error) => control.record(error),
        }
    }

    /// Puts the clock back.
    #[cfg(test)]
    pub(super) fn put_back(&self, duration: Duration) {
        self.context.0.put_back(duration);
    }

    /// What it shows.
    pub fn now(&self) -> Time {
        self.context.0.now()
    }
}

impl std::fmt::Debug for TestClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestClock({})", self.now())
    }
}

/// The test's end of an input stream. An interval without a push has an empty batch.
pub struct TestInput<T: Record> {
    stream: DStream<T>,
    queue: QueueHandle<T>,
}

/// What an output stream gave, batch by batch.
pub struct TestOutput<T> {
    batches: Arc<Mutex<Vec<Vec<T>>>>,
}

impl TestContext {
    /// A context with batches of one second, and two threads.
    pub fn new() -> Result<TestContext> {
        let builder = StreamingContext::builder("test").batch_interval(Duration::from_secs(1));
        TestContext::with(builder.threads(2))
    }

    /// A context with settings of one's own, and the test's clock.
    pub fn with(builder: super::ContextBuilder) -> Result<TestContext> {
        Ok(TestContext { context: builder.manual_clock().build()? })
    }

    /// The context itself, to add other sources and outputs.
    pub fn context(&self) -> &StreamingContext {
        &self.context
    }

    /// The test's clock, to be moved also while a batch runs: by a closure, as if that took its
    /// time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill::prelude::*;
    ///
    /// let mut t = TestContext::new()?;
    /// let (lines, clock) = (t.input::<String>(), t.clock());
    /// lines.stream().foreach_batch(move |_, _| {
    ///     clock.advance(Duration::from_millis(300));
    ///     Ok(())
    /// });
    /// t.tick()?;
    /// assert_eq!(t.context().metrics().processing.last, Duration::from_millis(300));
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn clock(&self) -> TestClock {
        TestClock { context: self.context.clock() }
    }

    /// An input stream, to be pushed to.
    ///
    /// # Panics
    ///
    /// After the first tick: a running context takes no new source.
    pub fn input<T: Record>(&self) -> TestInput<T> {
        let (stream, queue) = self
            .context
            .add_queue(Take::OneOrEmpty)
            .expect("inputs are added before the first tick");
        TestInput { stream, queue }
    }

    /// Collects what a stream gives.
    pub fn output<T: Record>(&self, stream: &DStream<T>) -> TestOutput<T> {
        let batches: Arc<Mutex<Vec<Vec<T>>>> = Arc::default();
        let collected = batches.clone();
        stream.foreach_batch(move |batch, _| {
            collected.lock().unwrap_or_else(|p| p.into_inner()).push(batch.to_vec());
            Ok(())
        });
        TestOutput { batches }
    }

    /// Moves the clock on by one interval, and returns when the batch of that time is complete.
    ///
    /// Fails as the batch does; the next tick goes on.
    pub fn tick(&mut self) -> Result<()> {
        if self.context.state() == ContextState::Initialized {
            self.context.start()?;
        }
        let time = self.context.advance_clock();
        self.context.control().wait_completed(time);
        self.context.await_termination_timeout(Duration::ZERO).map(drop)
    }
}

impl Drop for TestContext {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl<T: Record> TestInput<T> {
    /// The stream to build on.
    pub fn stream(&self) -> &DStream<T> {
        &self.stream
    }

    /// Queues a batch of these rows, in one partition.
    pub fn push<R: Into<T>>(&self, rows: impl IntoIterator<Item = R>) -> Result<()> {
        self.queue.push(rows)
    }

    /// Queues a batch as it is, with its partitions.
    pub fn push_batch(&self, batch: Batch<T>) -> Result<()> {
        self.queue.push_batch(batch)
    }

    /// Queues an interval in which the source has no batch at all.
    pub fn push_absent(&self) -> Result<()> {
        self.queue.push_absent()
    }
}

impl<T> TestOutput<T> {
    /// All rows since the last call, in order.
    pub fn take(&self) -> Vec<T> {
        self.take_batches().into_iter().flatten().collect()
    }

    /// All rows since the last call, sorted.
    pub fn take_sorted(&self) -> Vec<T>
    where
        T: PartialOrd,
    {
        let mut rows = self.take();
        rows.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        rows
    }

    /// The rows of each batch since the last call. A batch that was absent is not among them.
    pub fn take_batches(&self) -> Vec<Vec<T>> {
        std::mem::take(&mut *self.batches.lock().unwrap_or_else(|p| p.into_inner()))
    }
}

impl<T: Record> std::fmt::Debug for TestInput<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestInput")
    }
}

impl<T> std::fmt::Debug for TestOutput<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestOutput")
    }
}
