//! The streaming context: what a program builds its streams in, starts, awaits and stops.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::clock::Clock;
use super::control::{Control, Stop};
use super::scheduler::{self, Schedule};
use crate::config::Limits;
use crate::dstream::DStream;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Graph, Input, Kind, NodeId, Output, explain, plan};
use crate::record::Record;
use crate::source::intake::Intake;
use crate::source::queue::{Queue, QueueHandle};
use crate::source::{LineOptions, Receiver, Socket, SourceCounts};

/// A streaming application: its sources, streams and outputs, and the threads that run them.
///
/// It is a handle: clones are the same context. There may be any number of contexts in a process.
#[derive(Clone)]
pub struct StreamingContext {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    interval: Duration,
    threads: usize,
    limits: Limits,
    clock: Clock,
    control: Arc<Control>,
    building: Mutex<Building>,
}

#[derive(Default)]
struct Building {
    graph: Graph,
    intakes: Vec<Arc<Intake>>,
    /// A misuse that a method without a result could not report; `start` does.
    error: Option<Error>,
    /// The plan as text, once the plan is the engine's.
    explanation: Option<String>,
}

/// Where a context is in its life.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ContextState {
    /// Being built.
    Initialized,
    /// Running.
    Active,
    /// At its end; it cannot be started again.
    Stopped,
}

/// The settings of a context to be.
#[derive(Clone, Debug)]
pub struct ContextBuilder {
    name: String,
    interval: Duration,
    threads: Option<usize>,
    limits: Limits,
    is_manual: bool,
}

impl ContextBuilder {
    /// The time between two batches, in whole milliseconds from 1 up (default 1 s).
    pub fn batch_interval(mut self, interval: Duration) -> ContextBuilder {
        self.interval = interval;
        self
    }

    /// Threads that work on batches (default: one for each core), from 1 to 1024.
    pub fn threads(mut self, threads: usize) -> ContextBuilder {
        self.threads = Some(threads);
        self
    }

    /// The maxima of everything that outside data can grow.
    pub fn limits(mut self, limits: Limits) -> ContextBuilder {
        self.limits = limits;
        self
    }

    pub(super) fn manual_clock(mut self) -> ContextBuilder {
        self.is_manual = true;
        self
    }

    /// Checks all settings; an error names the value and the limit.
    pub fn build(self) -> Result<StreamingContext> {
        let config = |message: String| Err(Error::new(ErrorKind::Config, message));
        let interval = self.interval;
        if interval < Duration::from_millis(1) || interval > INTERVAL_MAX {
            return config(format!(
                "batch interval is {interval:?}, but must be between 1ms and {INTERVAL_MAX:?}"
            ));
        }
        if !interval.subsec_nanos().is_multiple_of(1_000_000) {
            return config(format!(
                "batch interval is {interval:?}, but batch times are whole milliseconds"
            ));
        }
        self.limits.check()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(1024);
        let threads = self.threads.unwrap_or_else(cores);
        if !(1..=1024).contains(&threads) {
            return config(format!("threads is {threads}, but must be between 1 and 1024"));
        }
        let clock = if self.is_manual { Clock::manual() } else { Clock::system() };
        let shared = Shared {
            name: self.name,
            interval,
            threads,
            limits: self.limits,
            clock,
            control: Arc::new(Control::new(self.limits.queued_batches)),
            building: Mutex::default(),
        };
        Ok(StreamingContext { shared: Arc::new(shared) })
    }
}

/// The longest batch interval: a day.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl StreamingContext {
    /// Starts the building of a context; the name stands in its messages.
    pub fn builder(name: impl Into<String>) -> ContextBuilder {
        let (interval, limits) = (Duration::from_secs(1), Limits::default());
        ContextBuilder { name: name.into(), interval, threads: None, limits, is_manual: false }
    }

    /// A stream of the lines that a server sends: connects to `"host:port"`, and connects again
    /// after 2 s when the peer closes or refuses.
    #[doc(alias = "socketTextStream")]
    pub fn socket_text_stream(&self, address: &str) -> Result<DStream<String>> {
        self.receiver_stream(Socket::connect(address)?)
    }

    /// A stream of the lines that any receiver takes in: sockets, files, or one of your own.
    #[doc(alias = "receiverStream")]
    pub fn receiver_stream(&self, receiver: impl Receiver) -> Result<DStream<String>> {
        self.text_stream(receiver, LineOptions::default())
    }

    /// As [`receiver_stream`](Self::receiver_stream), and says what happens to lines that are too
    /// long or not UTF-8.
    pub fn text_stream(
        &self,
        receiver: impl Receiver,
        options: LineOptions,
    ) -> Result<DStream<String>> {
        self.add_intake(Box::new(receiver), options, true)
    }

    /// A stream of lines as bytes: nobody checks whether they are text.
    pub fn byte_stream(
        &self,
        receiver: impl Receiver,
        options: LineOptions,
    ) -> Result<DStream<Vec<u8>>> {
        self.add_intake(Box::new(receiver), options, false)
    }

    /// A stream of batches that the program pushes itself, one for each interval.
    #[doc(alias = "queueStream")]
    pub fn queue_stream<T: Record>(&self) -> Result<(DStream<T>, QueueHandle<T>)> {
        self.add_queue(false)
    }

    pub(super) fn add_queue<T: Record>(
        &self,
        is_never_absent: bool,
    ) -> Result<(DStream<T>, QueueHandle<T>)> {
        self.check_building("a source")?;
        let (queue, handle) = Queue::new(self.shared.limits.queued_rows, is_never_absent);
        let kind = Kind::Source(Input::Queue(queue));
        let node = self.building().graph.add("queue".to_owned(), Vec::new(), kind);
        Ok((DStream::new(self.clone(), node), handle))
    }

    fn add_intake<T: Record>(
        &self,
        receiver: Box<dyn Receiver>,
        options: LineOptions,
        is_text: bool,
    ) -> Result<DStream<T>> {
        self.check_building("a source")?;
        let intake = Arc::new(Intake::new(receiver, options, is_text, &self.shared.limits));
        let mut building = self.building();
        building.intakes.push(intake.clone());
        let name = intake.name().to_owned();
        let kind = Kind::Source(Input::Lines(intake));
        let node = building.graph.add(name, Vec::new(), kind);
        drop(building);
        Ok(DStream::new(self.clone(), node))
    }

    /// Where the context is in its life.
    #[doc(alias = "getState")]
    pub fn state(&self) -> ContextState {
        self.shared.control.context_state()
    }

    /// The name that the context was built with.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What each source of lines has taken in so far, and could not take as it was, in the order
    /// of their making.
    pub fn source_counts(&self) -> Vec<SourceCounts> {
        self.building().intakes.iter().map(|intake| intake.counts()).collect()
    }

    /// The plan as text: each stream, where it comes from, and the way it runs (`fused`,
    /// `vectorised`, `row closure`).
    pub fn explain(&self) -> String {
        let building = self.building();
        building.explanation.clone().unwrap_or_else(|| explain(&plan(&building.graph)))
    }

    /// Starts the receivers and the batches. Does nothing when already active.
    ///
    /// Fails without an output operation, after a stop, and with whatever was wrong in building
    /// the streams; the context then is stopped.
    pub fn start(&self) -> Result<()> {
        let control = &self.shared.control;
        match control.activate() {
            Ok(()) => {}
            Err(ContextState::Stopped) => {
                return Err(self.state_error("start it again after it was stopped"));
            }
            Err(_) => {
                tracing::warn!(context = self.name(), "already started");
                return Ok(());
            }
        }
        self.start_threads().inspect_err(|_| {
            control.enter(ContextState::Stopped);
        })
    }

    fn start_threads(&self) -> Result<()> {
        let mut building = self.building();
        if let Some(error) = building.error.take() {
            return Err(error);
        }
        if building.graph.outputs.is_empty() {
            let message = "no output operations registered, so nothing to execute";
            return Err(Error::new(ErrorKind::State, message));
        }
        let physical = plan(&building.graph);
        building.explanation = Some(explain(&physical));
        let outputs = std::mem::take(&mut building.graph.outputs);
        drop(building);
        let schedule = Schedule {
            control: self.shared.control.clone(),
            clock: self.shared.clock.clone(),
            interval: self.shared.interval,
            threads: self.shared.threads,
            queued_batches_max: self.shared.limits.queued_batches,
        };
        scheduler::start(schedule, physical, outputs)
    }

    /// Stops at once: the batch that runs is the last one, and what else was received is dropped.
    /// Returns when all is over, except inside of a closure or receiver of the context itself,
    /// where it only says so.
    pub fn stop(&self) {
        self.stop_with(Stop::Now);
    }

    /// Stops the receivers, and then, when what they have received is processed, the rest. Returns
    /// when all is over, except inside of a closure or receiver of the context itself, where it
    /// only says so.
    pub fn stop_gracefully(&self) {
        self.stop_with(Stop::Gracefully);
    }

    fn stop_with(&self, stop: Stop) {
        let control = &self.shared.control;
        if control.stop_before_start() {
            return;
        }
        control.stop(stop);
        if !control.owns_this_thread() {
            control.wait_over();
        }
    }

    /// Blocks until the context has stopped: by `stop`, or because all input has ended.
    ///
    /// Fails with the first error of a batch since the last call; the batches after it go on, and
    /// so may the caller, by calling again.
    #[doc(alias = "awaitTermination")]
    pub fn await_termination(&self) -> Result<()> {
        self.shared.control.wait_stopped(None).map(drop)
    }

    /// As [`await_termination`](Self::await_termination), for a while: whether it has stopped.
    #[doc(alias = "awaitTerminationOrTimeout")]
    pub fn await_termination_timeout(&self, timeout: Duration) -> Result<bool> {
        self.shared.control.wait_stopped(Some(timeout))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(super) fn control(&self) -> &Control {
        &self.shared.control
    }

    pub(super) fn advance_clock(&self) {
        self.shared.clock.advance(self.shared.interval);
        self.shared.control.notify_all();
    }

    /// Adds a stream; a misuse surfaces from `start` or, after the start, from `await_termination`.
    pub(crate) fn add_node(&self, name: String, parents: Vec<NodeId>, kind: Kind) -> NodeId {
        if let Err(error) = self.check_building("a stream") {
            self.misused(error);
        }
        self.building().graph.add(name, parents, kind)
    }

    /// Adds an output operation, as [`add_node`](Self::add_node) adds a stream.
    pub(crate) fn add_output(&self, output: Output) {
        match self.check_building("an output operation") {
            Ok(()) => self.building().graph.outputs.push(output),
            Err(error) => self.misused(error),
        }
    }

    /// Keeps an error of a method that has no result.
    pub(crate) fn misused(&self, error: Error) {
        tracing::error!(context = self.name(), %error, "a stream is used wrongly");
        if self.state() == ContextState::Initialized {
            self.building().error.get_or_insert(error);
        } else {
            self.shared.control.record(error);
        }
    }

    pub(crate) fn is_same(&self, other: &StreamingContext) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    fn check_building(&self, what: &str) -> Result<()> {
        match self.state() {
            ContextState::Initialized => Ok(()),
            ContextState::Active => Err(self.state_error(&format!("add {what} after its start"))),
            ContextState::Stopped => Err(self.state_error(&format!("add {what} after its stop"))),
        }
    }

    fn state_error(&self, what: &str) -> Error {
        let message = format!(
            "cannot change streaming context {:?}: to {what} is not supported",
            self.name()
        );
        Error::new(ErrorKind::State, message)
    }

    fn building(&self) -> MutexGuard<'_, Building> {
        self.shared.building.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for StreamingContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, interval) = (self.name(), self.shared.interval);
        f.debug_struct("StreamingContext")
            .field("name", &name)
            .field("interval", &interval)
            .field("state", &self.state())
            .finish()
    }
}
