//! The threads of a running context: receivers that fill blocks, the ticker that cuts batches,
//! and the batch loop that runs them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::MissedBatches;
use super::bus::{Bus, Event};
use super::checkpointer::Checkpointer;
use super::clock::{Clock, Deadline, wake_this_thread_on_time};
use super::context::ContextState;
use super::control::{Control, Cut, Next, Stop};
use super::executor::Executor;
use super::listener::BatchInfo;
use super::monitor::{Monitor, receiver_failed, receiver_news};
use super::outputs;
use super::recovery::Beginning;
use super::warnings::Warnings;
use crate::config::{BATCH_READS_MAX, CHECKPOINT_WAIT_MAX, Limits, STOP_READS_MAX, WAIT_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Input, Output};
use crate::source::intake::{Cutting, Going, Intake, Step, panic_text};
use crate::source::status::News;
use crate::time::Time;

/// What the threads are told at their start.
pub(super) struct Schedule {
    pub(super) control: Arc<Control>,
    pub(super) clock: Clock,
    pub(super) interval: Duration,
    pub(super) beginning: Beginning,
    pub(super) missed: MissedBatches,
    pub(super) threads: usize,
    pub(super) limits: Limits,
}

/// What runs batches.
pub(super) struct Work {
    pub(super) inputs: Vec<Input>,
    pub(super) executor: Executor,
    pub(super) outputs: Vec<Output>,
    pub(super) checkpointer: Option<Checkpointer>,
    pub(super) monitor: Monitor,
}

/// Starts all threads; they end by themselves after a stop or the end of all input.
pub(super) fn start(schedule: Schedule, work: Work) -> Result<()> {
    let receiving = Arc::new(AtomicBool::new(true));
    let intakes = work.monitor.intakes.clone();
    start_all(schedule, work, receiving.clone()).inspect_err(|_| {
        // Those that have started have nobody to work for.
        receiving.store(false, Ordering::Relaxed);
        intakes.iter().filter_map(|intake| intake.log()).for_each(|log| log.end());
    })
}

fn start_all(schedule: Schedule, mut work: Work, receiving: Arc<AtomicBool>) -> Result<()> {
    let inputs = std::mem::take(&mut work.inputs);
    let Schedule { control, clock, interval, beginning, missed, threads, limits } = schedule;
    if beginning.first < beginning.reads_from {
        control.set_catching_up();
    }
    for intake in &work.monitor.intakes {
        if let Some(log) = intake.log() {
            let (intake, control) = (intake.clone(), control.clone());
            let warnings = control.warnings.clone();
            spawn(&warnings, &format!("log of {}", intake.name()), move || {
                let report = |error: Error| {
                    control.record(error.within(&format!("source {}", intake.name())));
                };
                log.run(&|position| intake.acknowledge(position), &report);
            })?;
        }
    }
    let mut receivers = Vec::new();
    for input in &inputs {
        if let Input::Lines(intake) = input
            && !intake.is_bounded()
        {
            let (intake, control) = (intake.clone(), control.clone());
            let receiving = receiving.clone();
            let (bus, clock) = (work.monitor.bus.clone(), clock.clone());
            let intakes = work.monitor.intakes.clone();
            let failed = move |of: &Intake, error: &Error| {
                receiver_failed(&bus, &clock, &intakes, of, error);
            };
            let (bus, clock) = (work.monitor.bus.clone(), work.monitor.clock.clone());
            let intakes = work.monitor.intakes.clone();
            let news = move |of: &Intake, news: News| {
                receiver_news(&bus, &clock, &intakes, of, news);
            };
            let name = format!("receiver {}", intake.name());
            let warnings = control.warnings.clone();
            receivers.push(spawn(&warnings, &name, move || {
                receive(&intake, &control, &receiving, &failed, &news);
            })?);
        }
    }
    let queued_batches_max = limits.queued_batches;
    let (bus, intakes) = (work.monitor.bus.clone(), work.monitor.intakes.clone());
    let ticker = Ticker {
        control: control.clone(),
        clock,
        bus,
        intakes,
        beginning,
        interval,
        missed,
        has_checkpoints: work.checkpointer.is_some(),
        queued_batches_max,
    };
    let warnings = control.warnings.clone();
    spawn(&warnings, "ticker", move || ticker.run(&inputs, receivers, &receiving))?;
    let numbers = move |time| beginning.number_of(time, interval);
    spawn(&warnings, "batches", move || run_batches(&control, work, &numbers, threads))?;
    Ok(())
}

fn spawn(
    warnings: &Warnings,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let warnings = warnings.clone();
    let run = move || {
        let _warnings = warnings.on_this_thread();
        run();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| {
        Error::caused(ErrorKind::State, format!("cannot start the thread {name:?}"), error)
    })
}

/// A receiver's thread: reads until told to stop, and waits where nothing is to be read.
fn receive(
    intake: &Intake,
    control: &Control,
    receiving: &AtomicBool,
    failed: &dyn Fn(&Intake, &Error),
    news: &dyn Fn(&Intake, News),
) {
    wake_this_thread_on_time();
    control.own_this_thread();
    let mut waiter = intake.waiter();
    if !control.wait_caught_up() {
        return;
    }
    while receiving.load(Ordering::Relaxed) {
        let step = intake.step();
        if let Some(error) = intake.take_error() {
            failed(intake, &error);
            control.record(error);
        }
        if let Some(of_it) = intake.take_news() {
            news(intake, of_it);
        }
        match step {
            Step::Sealed => control.notify_blocks(),
            Step::More => {}
            Step::NoBlock => intake.wait_for_block(),
            // Not by the waiter, which would find at once what must not be read yet.
            Step::Limited(duration) => std::thread::sleep(duration.min(WAIT_MAX)),
            Step::Later(duration) => {
                let duration = duration.min(WAIT_MAX);
                match &mut waiter {
                    Some(waiter) => {
                        if let Err(error) = waiter.wait(duration) {
                            tracing::warn!(%error, source = intake.name(), "waiting failed");
                            std::thread::sleep(duration);
                        }
                    }
                    None => std::thread::sleep(duration),
                }
            }
            Step::Ended => {
                control.notify_all();
                return;
            }
        }
    }
}

struct Ticker {
    control: Arc<Control>,
    clock: Clock,
    bus: Arc<Bus>,
    intakes: Vec<Arc<Intake>>,
    beginning: Beginning,
    interval: Duration,
    missed: MissedBatches,
    has_checkpoints: bool,
    queued_batches_max: usize,
}

impl Ticker {
    /// Cuts a batch at each multiple of the interval. Where some come late, each of them is cut,
    /// the first with what was received and the others empty, or one for all of them.
    fn run(self, inputs: &[Input], receivers: Vec<JoinHandle<()>>, receiving: &AtomicBool) {
        wake_this_thread_on_time();
        let mut time = self.catch_up(inputs);
        let have_ended = || !inputs.is_empty() && inputs.iter().all(Input::has_ended);
        let last = loop {
            match self.control.wait_for_cut(time, &self.clock, self.queued_batches_max, have_ended)
            {
                Cut::Batch => {
                    if self.missed == MissedBatches::One {
                        time = time.max(self.due());
                    }
                    self.cut(inputs, time);
                }
                last => break last,
            }
            time = time + self.interval;
        };
        receiving.store(false, Ordering::Relaxed);
        for receiver in receivers {
            // It ends within `WAIT_MAX`, or has panicked, which its intake has recorded.
            let _ = receiver.join();
        }
        if last == Cut::Last && !self.keeps_rest(inputs, time, have_ended()) {
            let due = self.due();
            if self.missed == MissedBatches::One && time <= due {
                time = if due < self.clock.now() { due + self.interval } else { due };
            }
            self.cut_rest(inputs, time);
        }
        self.control.set_cut_last();
    }

    /// The last batch time that has come.
    fn due(&self) -> Time {
        self.clock.now().floor_from(self.beginning.zero, self.interval)
    }

    /// Cuts the batches of times that passed before the start, before anything is read, and says
    /// which time comes next.
    fn catch_up(&self, inputs: &[Input]) -> Time {
        let Beginning { first: mut time, reads_from, .. } = self.beginning;
        while time < reads_from
            && self.control.wait_for_room(self.queued_batches_max)
            && !self.control.is_stopping()
        {
            self.each(inputs, |input, cutting| input.cut_missed(time, cutting));
            self.submit(time);
            time = time + self.interval;
        }
        self.control.set_caught_up();
        time
    }

    /// Whether a graceful stop leaves what was received since the last batch to the next process.
    ///
    /// A stop cuts its last batch early, under the time of the next tick. Where that was done
    /// before in this interval, by an earlier process, one more batch would be ahead of the clock
    /// by an interval, and by another one at each further stop. So there is none where all sources
    /// give what came again. Input that has ended is no stop: whoever waits for it sees its end.
    fn keeps_rest(&self, inputs: &[Input], time: Time, have_ended: bool) -> bool {
        let is_ahead = time > self.due() + self.interval;
        // Of all inputs, as each has something to do for it.
        let is_kept = |inputs: &[Input]| {
            inputs.iter().map(Input::keeps_rest).fold(true, |all, kept| all & kept)
        };
        self.has_checkpoints && is_ahead && !have_ended && is_kept(inputs)
    }

    /// The last batch, and as many more as it takes for what a queue stream still holds, and for
    /// what found no block. Files are read on for a moment only, and large ones not at all where
    /// the next process goes on in them.
    fn cut_rest(&self, inputs: &[Input], mut time: Time) {
        let end = Deadline::after(STOP_READS_MAX);
        let going = || match self.control.stopping() {
            Some(Stop::Now) => Going::Over,
            _ if end.has_passed() => Going::Due,
            // What is large is cut where it is, and goes on there.
            _ if self.has_checkpoints => Going::Parts,
            _ => Going::All,
        };
        let notify = || self.control.notify_blocks();
        let cutting = Cutting { notify: &notify, going: &going };
        for input in inputs {
            input.cut(time, &cutting);
        }
        self.submit(time);
        while inputs.iter().any(Input::has_rest) {
            time = time + self.interval;
            if !self.control.wait_for_room(self.queued_batches_max) {
                return;
            }
            for input in inputs {
                if let Input::Lines(intake) = input
                    && intake.has_rest()
                {
                    intake.wait_for_block();
                }
            }
            for input in inputs {
                input.cut_rest(&cutting);
            }
            self.submit(time);
        }
        for intake in self.intakes.iter().filter(|intake| intake.leaves_rest()) {
            let source = intake.name();
            match self.has_checkpoints {
                true => tracing::info!(source, "a stop leaves files to the next start"),
                false => {
                    tracing::warn!(source, "a stop leaves files that are not read to their end")
                }
            }
        }
    }

    fn cut(&self, inputs: &[Input], time: Time) {
        self.each(inputs, |input, cutting| input.cut(time, cutting));
        self.submit(time);
    }

    /// Cuts each input, which may read its share of the interval for what belongs to the batch.
    fn each(&self, inputs: &[Input], cut: impl Fn(&Input, &Cutting<'_>)) {
        let share = self.interval.min(BATCH_READS_MAX) / inputs.len().max(1) as u32;
        let notify = || self.control.notify_blocks();
        for input in inputs {
            let until = self.clock.exact() + share;
            let going = || self.going(until);
            cut(input, &Cutting { notify: &notify, going: &going });
        }
    }

    /// Whether a batch that is being cut goes on reading: not once a stop is wanted.
    fn going(&self, until: Duration) -> Going {
        match self.control.stopping() {
            Some(Stop::Now) => Going::Over,
            Some(Stop::Gracefully) => Going::Due,
            None if self.clock.exact() >= until => Going::Due,
            None => Going::Parts,
        }
    }

    /// Queues the batch that was cut.
    fn submit(&self, time: Time) {
        for intake in &self.intakes {
            if let Some(error) = intake.take_error() {
                receiver_failed(&self.bus, &self.clock, &self.intakes, intake, &error);
                self.control.record(error);
            }
        }
        let now = self.clock.exact();
        self.bus.tell(|| Event::BatchSubmitted(BatchInfo::submitted(time, now)));
        self.control.push_due(time, now);
    }
}

/// The batch loop's thread: a member of the pool that it enters for large work.
fn run_batches(
    control: &Arc<Control>,
    mut work: Work,
    numbers: &dyn Fn(Time) -> u64,
    threads: usize,
) {
    control.own_this_thread();
    // What a pool is told outlives it where this thread is a member, and keeps nothing alive.
    let helped = Arc::downgrade(control);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .thread_name(|index| format!("tidemill {index}"))
        .start_handler(move |_| {
            if let Some(helped) = helped.upgrade() {
                helped.own_this_thread();
                helped.warnings.keep_on_this_thread();
            }
        })
        .build();
    let _pool = match pool {
        Ok(pool) => pool,
        Err(error) => {
            control.record(Error::caused(ErrorKind::State, "cannot start the thread pool", error));
            control.stop(Stop::Now);
            control.enter(ContextState::Stopped);
            return;
        }
    };
    let ran = catch_unwind(AssertUnwindSafe(|| run_loop(control, &mut work, numbers)));
    if let Err(panic) = ran {
        // All that runs something of the user's is guarded, so this is ours: say it, and end.
        let message = format!("the batch loop panicked: {}", panic_text(&*panic));
        control.record(Error::new(ErrorKind::State, message));
        control.stop(Stop::Now);
    }
    for intake in &work.monitor.intakes {
        if let Some(log) = intake.log()
            && !log.finish(CHECKPOINT_WAIT_MAX)
        {
            let message =
                format!("the intake log of {} was not written within its time", intake.name());
            control.record(Error::new(ErrorKind::Source, message));
        }
    }
    // Whoever waits at the other end of a channel sees its end; tables may be freed after that.
    drop(work.outputs);
    work.monitor.streaming_ended();
    control.enter(ContextState::Stopped);
    drop(work.executor);
}

/// Runs what is due until nothing more will be. `numbers` says which batch stands at a time.
fn run_loop(control: &Arc<Control>, work: &mut Work, numbers: &dyn Fn(Time) -> u64) {
    let Work { executor, outputs, checkpointer, monitor, .. } = work;
    let mut last = None;
    loop {
        match control.next(executor.has_bounded_input(), executor.limited_for()) {
            Next::Batch(time, cut) => {
                let span = monitor.batch_started(time, cut);
                let entered = span.enter();
                let mut has_failed = false;
                // Times that were left out count, too: what left windows in them is gone.
                executor.go_on_after(numbers(time) - 1);
                let mut record = |error| {
                    tracing::error!(%error, "a batch has failed");
                    control.record_failed(error);
                    has_failed = true;
                };
                executor.run_operators(time, &mut record);
                outputs::run(executor, outputs, time, monitor, control, &mut record);
                // After the outputs: nobody waits for this.
                executor.end_batch(time, &mut record);
                monitor.batch_ended(has_failed, |states| executor.measure_states(states));
                drop(entered);
                if control.is_stopping_at_once() {
                    // As by a crash: an output may have given up in the middle of the batch.
                } else if checkpointer.is_some() && executor.has_lost_memory() {
                    // As by a crash: a restart has all of it, unless this is saved.
                    control.stop(Stop::Now);
                } else if let Some(checkpointer) = checkpointer
                    && !control.has_failed()
                {
                    let started = monitor.clock.exact();
                    if let Err(error) = checkpointer.after_batch(executor, time) {
                        tracing::error!(%error, %time, "no checkpoint was made");
                        control.record(error);
                    }
                    monitor.gathered(started);
                }
                last = Some(time);
                control.complete_batch(time);
                if let Some(checkpointer) = checkpointer {
                    checkpointer.wake_writer();
                }
            }
            Next::Blocks => {
                let is_out_of_blocks = monitor.take_in(|| executor.take_in(&|| control.is_due()));
                executor.take_errors(&mut |error, intake| {
                    receiver_failed(&monitor.bus, &monitor.clock, &monitor.intakes, intake, &error);
                    control.record(error);
                });
                if is_out_of_blocks {
                    control.request_cut();
                } else if !executor.has_bounded_input() {
                    control.notify_ticker();
                }
            }
            Next::Stop => break,
        }
    }
    if let Some(checkpointer) = checkpointer.take() {
        // A stop at once is as a crash: what is on disk is what there is. And a batch that has
        // failed comes again.
        let last = last.filter(|_| !control.is_stopping_at_once() && !control.has_failed());
        if let Err(error) = checkpointer.finish(executor, last) {
            tracing::error!(%error, "the last checkpoint was not written");
            control.record(error);
        }
    }
}
