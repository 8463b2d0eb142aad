//! The streaming context: what a program builds its streams in, starts, awaits and stops.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::MissedBatches;
use super::bus::Bus;
use super::checkpoint::CHAINS_KEPT;
use super::checkpointer::{CheckpointPlan, Checkpointer};
use super::clock::Clock;
use super::control::{Control, Stop};
use super::executor::Executor;
use super::first_start::{began_before, forget_beginning};
use super::listener::{ListenerId, StreamingListener};
use super::metrics::{MemoryMetrics, Metrics};
use super::monitor::{Meter, Monitor, source_metrics};
use super::outputs;
use super::rate::{BackPressure, RateSettings, Rates};
use super::recovery::{Beginning, ComesAgain, LogPlan, SavedParts, check_names};
use super::scheduler::{self, Schedule, Work};
use super::warnings::Warnings;
use crate::config::{
    KEPT_MAX, Limits, MACHINE_BYTES_UNKNOWN, MACHINE_PARTS, MEMORY_BYTES_MIN, check_duration,
    check_memory,
};
use crate::dstream::DStream;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::memory::{Memory, MemoryCharge};
use crate::ops::{SharedTable, StateHandle};
use crate::plan::{Graph, History, Node, NodeId, Output, explain, plan};
use crate::record::batch::AnyChunk;
use crate::record::{Batch, Key, Record};
use crate::sink::OutputPolicy;
use crate::source::intake::Intake;
use crate::source::{IntakeLog, SourceCounts};
use crate::storage::{Disk, Storage, memory_bytes};
use crate::time::Time;

mod checkpoints;
mod sources;

use checkpoints::{Checkpoints, checkpoint_every, open};

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
    memory: Arc<Memory>,
    clock: Clock,
    control: Arc<Control>,
    rates: RateSettings,
    counts_rows: bool,
    missed: MissedBatches,
    bus: Arc<Bus>,
    meter: Arc<Meter>,
    building: Mutex<Building>,
}

struct Building {
    graph: Graph,
    intakes: Vec<Arc<Intake>>,
    /// A misuse that a method without a result could not report; `start` does.
    error: Option<Error>,
    /// The plan as text, once the plan is the engine's.
    explanation: Option<String>,
    /// What each stream remembers, and the time before the first batch: once it has started.
    histories: Vec<Option<Arc<History>>>,
    zero: Option<Time>,
    /// The time of the first batch: once it has started.
    first: Option<Time>,
    /// The batch after which everything comes again: once it is starting.
    recovered_from: Option<Time>,
    checkpoints: Option<Checkpoints>,
    /// How what is received is logged, if it is.
    intake_log: Option<IntakeLog>,
    /// Where they are written.
    storage: Arc<dyn Storage>,
    /// States that the program gives up.
    forgotten: Vec<String>,
    /// Whole checkpoints that are kept.
    checkpoints_kept: usize,
    /// Tables of states, by name.
    states: BTreeMap<String, Arc<dyn Any + Send + Sync>>,
}

impl Building {
    fn new() -> Building {
        Building {
            graph: Graph::default(),
            intakes: Vec::new(),
            error: None,
            explanation: None,
            histories: Vec::new(),
            zero: None,
            first: None,
            recovered_from: None,
            checkpoints: None,
            intake_log: None,
            storage: Arc::new(Disk::Private),
            forgotten: Vec::new(),
            checkpoints_kept: CHAINS_KEPT,
            states: BTreeMap::new(),
        }
    }
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
    limits: Option<Limits>,
    memory: Option<usize>,
    rates: RateSettings,
    counts_rows: bool,
    missed: MissedBatches,
    warns_on_stderr: bool,
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

    /// The maxima of everything that outside data can grow (default
    /// [`Limits::for_memory`] of the context's [`memory`](Self::memory)).
    pub fn limits(mut self, limits: Limits) -> ContextBuilder {
        self.limits = Some(limits);
        self
    }

    /// Bytes of memory that the context may hold for data, all together, from 16 MiB up (default:
    /// half of the machine's memory, or of what the control group of the process may use): blocks
    /// of sources, keys and what is kept by key, windows and other state, rows that are grouped,
    /// sorted and joined, queues, unfinished lines, results, and what is gathered for checkpoints.
    ///
    /// A batch that would need more fails, with those who hold most, and the next one goes on from
    /// the state before it; sources are read more slowly before that, and pushes to queues are
    /// refused. The process needs some memory besides: its code and stacks, gaps that the allocator
    /// leaves, and what closures keep, unless the program
    /// [charges](StreamingContext::charge_memory) it. With the defaults that is less than 64 MiB
    /// and an eighth of the maximum. Several contexts in a process have a maximum each.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// let ssc = StreamingContext::builder("small").memory(512 << 20).build()?;
    /// assert_eq!(ssc.metrics().memory.max, 512 << 20);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "spark.executor.memory")]
    pub fn memory(mut self, bytes: usize) -> ContextBuilder {
        self.memory = Some(bytes);
        self
    }

    /// The limits that follow from the context's [`memory`](Self::memory), to set some of them:
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// let builder = StreamingContext::builder("long lines").memory(1 << 30);
    /// let limits = Limits { line_bytes: 1 << 20, ..builder.derived_limits() };
    /// let ssc = builder.limits(limits).build()?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn derived_limits(&self) -> Limits {
        Limits::for_memory(self.memory_bytes())
    }

    /// The memory that was asked for, or a part of what there is.
    fn memory_bytes(&self) -> usize {
        self.memory.unwrap_or_else(|| {
            let part = memory_bytes().unwrap_or(MACHINE_BYTES_UNKNOWN) / MACHINE_PARTS;
            usize::try_from(part).unwrap_or(isize::MAX as usize).max(MEMORY_BYTES_MIN)
        })
    }

    /// Rows a second that each source of lines may bring (default: no limit), over any time but for
    /// what one read brings, and after a silence what it saved up in one interval.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// let ssc = StreamingContext::builder("gentle").max_rate(50_000.0).build()?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "spark.streaming.receiver.maxRate")]
    pub fn max_rate(mut self, rows_a_second: f64) -> ContextBuilder {
        self.rates.max_rate = Some(rows_a_second);
        self
    }

    /// Lets each source of lines bring as many rows a second as the batches before could process,
    /// and never more than [`max_rate`](Self::max_rate). Off by default: then only the pool of
    /// blocks holds a source back.
    #[doc(alias = "spark.streaming.backpressure.enabled")]
    pub fn back_pressure(mut self, settings: BackPressure) -> ContextBuilder {
        self.rates.back_pressure = Some(settings);
        self
    }

    /// Counts the rows of sources of lines for the [metrics](StreamingContext::metrics), also where
    /// nothing else needs them.
    pub fn count_rows(mut self) -> ContextBuilder {
        self.counts_rows = true;
        self
    }

    /// What becomes of batch times that pass while no batch can be cut (default
    /// [`MissedBatches::Each`]).
    ///
    /// ```
    /// use tidemill::MissedBatches;
    /// use tidemill::prelude::*;
    ///
    /// let ssc = StreamingContext::builder("totals").missed_batches(MissedBatches::One).build()?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn missed_batches(mut self, missed: MissedBatches) -> ContextBuilder {
        self.missed = missed;
        self
    }

    /// Whether what loses or delays data is told on standard error where the program has set up no
    /// `tracing` subscriber when the context starts (default: yes). Each is told once, with other
    /// numbers again after 10 s, and never many at a time.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// let ssc = StreamingContext::builder("silent").warnings_to_stderr(false).build()?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn warnings_to_stderr(mut self, are_wanted: bool) -> ContextBuilder {
        self.warns_on_stderr = are_wanted;
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
        let memory = self.memory_bytes();
        check_memory(memory)?;
        let limits = self.limits.unwrap_or_else(|| Limits::for_memory(memory));
        limits.check()?;
        self.rates.check(interval)?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(1024);
        let threads = self.threads.unwrap_or_else(cores);
        if !(1..=1024).contains(&threads) {
            return config(format!("threads is {threads}, but must be between 1 and 1024"));
        }
        let clock = if self.is_manual { Clock::manual() } else { Clock::system() };
        let warnings = Warnings::new(self.warns_on_stderr, &clock);
        let shared = Shared {
            name: self.name,
            interval,
            threads,
            limits,
            memory: Memory::new(memory),
            clock,
            control: Arc::new(Control::new(limits.queued_batches, warnings)),
            rates: self.rates,
            counts_rows: self.counts_rows,
            missed: self.missed,
            bus: Arc::default(),
            meter: Arc::default(),
            building: Mutex::new(Building::new()),
        };
        Ok(StreamingContext { shared: Arc::new(shared) })
    }
}

/// The longest batch interval: a day.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl StreamingContext {
    /// Starts the building of a context; the name stands in its messages.
    pub fn builder(name: impl Into<String>) -> ContextBuilder {
        ContextBuilder {
            name: name.into(),
            interval: Duration::from_secs(1),
            threads: None,
            limits: None,
            memory: None,
            rates: RateSettings::default(),
            counts_rows: false,
            missed: MissedBatches::default(),
            warns_on_stderr: true,
            is_manual: false,
        }
    }

    /// The rows of several streams, in their order, batch by batch: see [`DStream::union`].
    ///
    /// # Panics
    ///
    /// If there is no stream.
    pub fn union<T: Record>(&self, streams: &[DStream<T>]) -> DStream<T> {
        let (first, others) = streams.split_first().expect("a union of at least one stream");
        self.check_own(first, "union");
        first.union_all(others)
    }

    /// The batches of several streams through a function of all of them and their time: see
    /// [`DStream::transform`].
    ///
    /// # Panics
    ///
    /// If there is no stream.
    pub fn transform<T: Record, U: Record, F>(&self, streams: &[DStream<T>], f: F) -> DStream<U>
    where
        F: Fn(Vec<Batch<T>>, Time) -> Result<Batch<U>, BoxError> + Send + Sync + 'static,
    {
        let (first, others) = streams.split_first().expect("a transform of at least one stream");
        self.check_own(first, "transform");
        first.transform_all(others, f)
    }

    fn check_own<T: Record>(&self, stream: &DStream<T>, what: &str) {
        if !self.is_same(stream.context()) {
            let (own, other) = (self.name(), stream.context().name());
            let message = format!("{what} in context {own:?} of a stream of context {other:?}");
            self.misused(Error::new(ErrorKind::State, message));
        }
    }

    /// Makes every stream that an output needs keep its batches for this long, and longer where a
    /// window looks back over it, so that [`DStream::slice`] can give them.
    ///
    /// Every stream's batches are then made, also those that would otherwise run fused into the
    /// next step: for looking at a program, not for its speed. Each stream keeps up to
    /// [`Limits::retained_bytes`]; what comes beyond that fails its batch. The duration is rounded
    /// up to whole batches, and can be set before the start; with one of more than 100 years
    /// `start` fails.
    pub fn remember(&self, duration: Duration) {
        self.check_misuse("remember batches");
        if let Err(error) = check_duration("remember", duration, Duration::ZERO, KEPT_MAX) {
            return self.misused(error);
        }
        let interval = self.shared.interval.as_millis();
        let batches = duration.as_millis().div_ceil(interval).max(1);
        self.building().graph.remembered =
            Some(u64::try_from(batches).unwrap_or(u64::MAX).min(u32::MAX.into()));
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

    /// What the context has done so far, and what it holds now.
    #[doc(alias = "StreamingMetrics")]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.shared.meter.lock().clone();
        metrics.batches_queued = self.shared.control.queued();
        metrics.sources =
            self.building().intakes.iter().map(|intake| source_metrics(intake)).collect();
        (metrics.listener_events_dropped, metrics.listener_panics) = self.shared.bus.losses();
        let (held, peak, max) = self.shared.memory.counts();
        metrics.memory = MemoryMetrics { held, peak, max };
        metrics
    }

    /// Tells a listener what happens from now on. Rows are counted from then on, if they were not.
    #[doc(alias = "addStreamingListener")]
    pub fn add_listener(&self, listener: impl StreamingListener) -> ListenerId {
        let id = self.shared.bus.add(Box::new(listener));
        self.building().intakes.iter().for_each(|intake| intake.count_rows());
        if self.state() == ContextState::Active
            && let Err(error) = self.shared.bus.start(&self.shared.control)
        {
            tracing::error!(%error, "listeners hear nothing");
        }
        id
    }

    /// Tells the listener nothing more, but for what it is being told just now.
    #[doc(alias = "removeStreamingListener")]
    pub fn remove_listener(&self, listener: ListenerId) {
        self.shared.bus.remove(listener);
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
            self.drop_outputs();
            control.enter(ContextState::Stopped);
        })
    }

    /// Whoever waits at the other end of a channel sees its end, as after a run.
    fn drop_outputs(&self) {
        let outputs = std::mem::take(&mut self.building().graph.outputs);
        // What they hold may look at the context while it is dropped.
        drop(outputs);
    }

    fn start_threads(&self) -> Result<()> {
        let _warnings = self.shared.control.warnings.on_this_thread();
        let mut building = self.building();
        if let Some(error) = building.error.take() {
            return Err(error);
        }
        if building.graph.outputs.is_empty() {
            let message = "no output operations registered, so nothing to execute";
            return Err(Error::new(ErrorKind::State, message));
        }
        for output in &building.graph.outputs {
            (output.check)().map_err(|error| error.within(&format!("output {}", output.name)))?;
        }
        let physical = plan(&building.graph);
        building.explanation = Some(explain(&physical));
        let histories = physical.nodes.iter();
        building.histories =
            histories.map(|node| node.history.as_ref().map(|(kept, _)| kept.clone())).collect();
        let own = building.checkpoints.as_ref().and_then(|checkpoints| checkpoints.every);
        let every = checkpoint_every(&building.graph, &physical, self.shared.interval, own)?;
        let mut outputs = std::mem::take(&mut building.graph.outputs);
        let (checkpoints, forgotten) =
            (building.checkpoints.take(), std::mem::take(&mut building.forgotten));
        let (storage, intake_log) = (building.storage.clone(), building.intake_log);
        let kept = building.checkpoints_kept;
        drop(building);
        let inputs = physical.inputs();
        check_names(&physical.nodes, &outputs)?;
        let parts = checkpoints.is_some().then(|| SavedParts::of(&physical.nodes, &outputs));
        let parts = parts.transpose()?;
        let Shared { clock, interval, threads, limits, control, missed, .. } = &*self.shared;
        let missed_max = match missed {
            MissedBatches::Each => limits.missed_batches,
            MissedBatches::One => 0,
        };
        let mut executor = Executor::new(physical, *threads, limits, &self.shared.memory);
        let (mut beginning, mut checkpointer) = (None, None);
        if let (Some(checkpoints), Some(parts)) = (checkpoints, parts) {
            let Checkpoints { directory, opened, .. } = checkpoints;
            let (mut store, checkpoint) = match opened {
                Some(opened) => opened,
                None => open(storage.clone(), &directory)?,
            };
            let checkpoint = checkpoint.as_ref();
            let began = Beginning::of(checkpoint, clock, *interval, missed_max)?;
            store.keep(kept);
            let logs = LogPlan {
                storage: &storage,
                directory: &directory,
                settings: intake_log,
                life: store.life(),
                passed_over: store.passed_over(),
            };
            parts.open_logs(checkpoint, &logs, limits)?;
            let comes_again = match checkpoint {
                Some(checkpoint) => {
                    forget_beginning(&*storage, &directory);
                    let damaged = store.newer_than(checkpoint.number)?;
                    Some(ComesAgain { after: checkpoint.time, damaged })
                }
                None => began_before(&*storage, &directory, began.zero)?
                    .map(|after| ComesAgain { after, damaged: Vec::new() }),
            };
            self.building().recovered_from = comes_again.as_ref().map(|again| again.after);
            parts.restore(checkpoint, &forgotten, comes_again.as_ref(), &mut executor)?;
            let last = began.number_before(*interval);
            executor.go_on_after(last);
            let plan = CheckpointPlan {
                store,
                charge: self.charge_memory("a checkpoint"),
                parts,
                zero: began.zero,
                interval: *interval,
                every,
                waits: clock.is_manual(),
                has_saved: checkpoint.is_some(),
            };
            checkpointer =
                Some(Checkpointer::start(plan, last, control.clone(), self.shared.meter.clone())?);
            beginning = Some(began);
        } else if let Some(sink) = outputs.iter().find(|output| output.transaction().is_some()) {
            let message = format!(
                "output {} is committed with checkpoints, and there is no directory for them: \
                 call checkpoint(directory, every)",
                sink.name
            );
            return Err(Error::new(ErrorKind::State, message));
        }
        if beginning.is_none() && intake_log.is_some() {
            let message = "the intake log is in the directory of checkpoints, and there is none: \
                           call checkpoint(directory, every)";
            return Err(Error::new(ErrorKind::State, message));
        }
        let beginning = match beginning {
            Some(beginning) => beginning,
            None => Beginning::of(None, clock, *interval, 0)?,
        };
        outputs::recover(&mut outputs, self.recovered_from())?;
        let schedule = Schedule {
            control: control.clone(),
            clock: clock.clone(),
            interval: *interval,
            beginning,
            missed: *missed,
            threads: *threads,
            limits: *limits,
        };
        // Before anything runs: a test's clock may move as soon as this returns.
        let mut building = self.building();
        (building.zero, building.first) = (Some(beginning.zero), Some(beginning.first));
        drop(building);
        let intakes = self.building().intakes.clone();
        let Shared { bus, meter, rates, .. } = &*self.shared;
        let rates = Rates::start(*rates, &intakes, clock, *interval)?;
        if self.shared.counts_rows || bus.is_heard() {
            intakes.iter().for_each(|intake| intake.count_rows());
        }
        bus.start(control)?;
        let monitor =
            Monitor::new(clock.clone(), bus.clone(), meter.clone(), intakes, rates, *interval);
        monitor.streaming_started();
        let work = Work { inputs, executor, outputs, checkpointer, monitor };
        scheduler::start(schedule, work)?;
        Ok(())
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
    ///
    /// The last batch is cut early, under the time of the next tick. With checkpoints a later
    /// process goes on after that time; if it is stopped before that has come, it cuts no batch
    /// ahead of the clock: what its sources can give again (files, and sockets with an
    /// [intake log](Self::intake_log)) is left to the next process, and comes in the batch of that
    /// time. So batch times never run ahead by two intervals, however often a program is stopped.
    /// Only what cannot be given again, and the end of input that ends by itself, has a batch in
    /// any case.
    ///
    /// What belongs to the last batch of a [directory](crate::Directory) is read for a second at
    /// most. With checkpoints the next process goes on with the rest, within a file, too; without
    /// them it is warned of.
    ///
    /// Where batches keep up that is within an interval and two seconds. Batches that wait for
    /// their turn are run, however long they take, and the last checkpoint is waited for up to 30
    /// seconds.
    pub fn stop_gracefully(&self) {
        self.stop_with(Stop::Gracefully);
    }

    fn stop_with(&self, stop: Stop) {
        let control = &self.shared.control;
        if self.begin_stop(stop) && !control.owns_this_thread() {
            control.wait_over();
        }
    }

    /// Says that the context shall stop, and waits for nothing; false if it never started.
    pub(super) fn begin_stop(&self, stop: Stop) -> bool {
        if self.shared.control.stop_before_start() {
            self.drop_outputs();
            return false;
        }
        self.shared.control.stop(stop);
        true
    }

    /// Gives the context for as long as the program or the engine has it.
    #[cfg(all(unix, feature = "signals"))]
    pub(super) fn weak(&self) -> impl Fn() -> Option<StreamingContext> + Send + 'static {
        let shared = Arc::downgrade(&self.shared);
        move || shared.upgrade().map(|shared| StreamingContext { shared })
    }

    #[cfg(all(unix, feature = "signals"))]
    pub(super) fn shared_control(&self) -> Arc<Control> {
        self.shared.control.clone()
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

    /// A charge for what the program keeps beside the engine, of nothing so far. The name stands in
    /// errors of whoever finds the [maximum](ContextBuilder::memory) used up.
    pub fn charge_memory(&self, name: impl Into<String>) -> MemoryCharge {
        self.shared.memory.charge(name)
    }

    /// Tells whether the context shall stop at once, and does not keep it alive.
    pub(crate) fn stop_signal(&self) -> impl Fn() -> bool + Send + 'static {
        let control = self.shared.control.clone();
        move || control.is_stopping_at_once()
    }

    /// Has checkpoints written to another disk than the machine's.
    #[cfg(test)]
    pub(super) fn store_on(&self, storage: Arc<dyn Storage>) {
        self.building().storage = storage;
    }

    pub(super) fn control(&self) -> &Control {
        &self.shared.control
    }

    /// Moves a test's clock on by an interval, or to the first batch if that comes later, and says
    /// which batch time it shows then.
    pub(super) fn advance_clock(&self) -> Time {
        let building = self.building();
        let (zero, first) = (building.zero, building.first);
        drop(building);
        let Shared { clock, control, interval, .. } = &*self.shared;
        let mut advanced = clock.advance(*interval);
        if let Some(first) = first.filter(|&first| clock.now() < first) {
            advanced = advanced.and_then(|()| clock.advance(first - clock.now()));
        }
        if let Err(error) = advanced {
            control.record(error);
        }
        control.notify_all();
        clock.now().floor_from(zero.unwrap_or(Time::from_millis(0)), *interval)
    }

    pub(super) fn clock(&self) -> (Clock, Arc<Control>) {
        (self.shared.clock.clone(), self.shared.control.clone())
    }

    /// Adds a stream; a misuse surfaces from `start` or, after the start, from `await_termination`.
    pub(crate) fn add_node(&self, node: Node) -> NodeId {
        self.check_misuse("add a stream");
        self.building().graph.add(node)
    }

    /// Keeps the error of a call without a result that comes after the start.
    pub(crate) fn check_misuse(&self, what: &str) {
        if let Err(error) = self.check_building(what) {
            self.misused(error);
        }
    }

    /// How many batch times lie between two batches of a stream.
    pub(crate) fn batches_of_slide(&self, node: NodeId) -> NonZeroU64 {
        self.building().graph.nodes[node].slide
    }

    /// A state that may be looked up under this name.
    pub(crate) fn add_state<K: Key, S: Record>(&self, name: &str, table: Arc<SharedTable<K, S>>) {
        self.building().states.insert(name.to_owned(), table);
    }

    /// What [`update_state_by_key`](DStream::update_state_by_key) or
    /// [`map_with_state`](DStream::map_with_state) keeps under this name, to be looked up from any
    /// thread while the stream runs.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let pairs = t.input::<(String, i64)>();
    /// # let totals = pairs.stream().update_state_by_key("totals.v1", |values, total| {
    /// #     Some(total.unwrap_or(0) + values.iter().sum::<i64>())
    /// # });
    /// # totals.print(3);
    /// # pairs.push([("a".to_string(), 3)])?;
    /// # t.tick()?;
    /// # let ssc = t.context();
    /// let totals = ssc.state_by_key::<String, i64>("totals.v1")?;
    /// assert_eq!(totals.get("a")?, Some(3));
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`] if there is no such state, or it is one of other types.
    pub fn state_by_key<K: Key, S: Record>(&self, name: &str) -> Result<StateHandle<K, S>> {
        let table = self.building().states.get(name).cloned();
        let Some(table) = table else {
            let names: Vec<String> = self.building().states.keys().cloned().collect();
            let message = format!("context {:?} has no state {name:?}, but {names:?}", self.name());
            return Err(Error::new(ErrorKind::State, message));
        };
        let Ok(table) = table.downcast::<SharedTable<K, S>>() else {
            let (key, state) = (std::any::type_name::<K>(), std::any::type_name::<S>());
            let message = format!("state {name:?} is not one of {key} to {state}");
            return Err(Error::new(ErrorKind::State, message));
        };
        Ok(StateHandle::new(table))
    }

    pub(crate) fn slide_of(&self, node: NodeId) -> Duration {
        let millis = self.shared.interval.as_millis() as u64 * self.batches_of_slide(node).get();
        Duration::from_millis(millis)
    }

    /// How many batch times a duration takes.
    pub(crate) fn batches_in(&self, duration: Duration) -> u128 {
        duration.as_millis() / self.shared.interval.as_millis()
    }

    /// The batches that a stream remembers from one time to another.
    pub(crate) fn slice(&self, node: NodeId, from: Time, to: Time) -> Result<Vec<Vec<AnyChunk>>> {
        let slide = self.slide_of(node);
        let building = self.building();
        let Some(zero) = building.zero else {
            let message = format!("cannot slice a stream of {:?} before its start", self.name());
            return Err(Error::new(ErrorKind::State, message));
        };
        let Some(Some(history)) = building.histories.get(node) else { return Ok(Vec::new()) };
        let floor = |time: Time| zero.max(time.floor_from(zero, slide));
        Ok(history.slice(floor(from), floor(to)))
    }

    pub(crate) fn remembered(&self, node: NodeId) -> Vec<Time> {
        let building = self.building();
        let history = building.histories.get(node);
        history.and_then(Option::as_ref).map(|history| history.times()).unwrap_or_default()
    }

    /// Adds an output operation, as [`add_node`](Self::add_node) adds a stream, and says which it
    /// is.
    pub(crate) fn add_output(&self, output: Output) -> usize {
        if let Err(error) = self.check_building("add an output operation") {
            self.misused(error);
            return usize::MAX;
        }
        let outputs = &mut self.building().graph.outputs;
        outputs.push(output);
        outputs.len() - 1
    }

    /// Changes the failure policy of an output.
    pub(crate) fn change_output(&self, number: usize, change: impl FnOnce(&mut OutputPolicy)) {
        self.check_misuse("change an output");
        if let Some(output) = self.building().graph.outputs.get_mut(number) {
            change(&mut output.policy);
        }
    }

    /// Keeps an error of a method that has no result.
    pub(crate) fn misused(&self, error: Error) {
        let _warnings = self.shared.control.warnings.on_this_thread();
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
            ContextState::Active => Err(self.state_error(&format!("{what} after its start"))),
            ContextState::Stopped => Err(self.state_error(&format!("{what} after its stop"))),
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
