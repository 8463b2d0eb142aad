//! What the engine's threads and the program's say to each other: which batches are due, whether
//! to stop, what went wrong.
//!
//! One lock, never held while anything runs. The queue of due batches has a maximum.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::Duration;

use super::clock::Clock;
use super::context::ContextState;
use super::warnings::Warnings;
use crate::config::WAIT_MAX;
use crate::error::Error;
use crate::time::Time;

pub(super) struct Control {
    state: Mutex<State>,
    /// For the thread that runs batches.
    work: Condvar,
    /// For the thread that cuts.
    tick: Condvar,
    /// For those who await.
    news: Condvar,
    /// Whether a batch is due, or none will be: to be asked between two blocks without the lock.
    is_due: AtomicBool,
    /// The engine's threads that run users' code: they must not wait for their own end.
    own_threads: Mutex<Vec<ThreadId>>,
    /// Where warnings go that nobody else hears.
    pub(super) warnings: Warnings,
}

struct State {
    context: ContextState,
    /// With the time since the epoch when each was cut.
    due: VecDeque<(Time, Duration)>,
    stop: Option<Stop>,
    /// No batch will be cut any more.
    has_cut_last: bool,
    /// A block was sealed since somebody looked.
    has_blocks: bool,
    /// Batches of times that passed before the start are still to be cut: nothing is read yet.
    is_catching_up: bool,
    /// A bounded source's blocks are all in use: cut what there is.
    wants_cut: bool,
    /// The time of the last batch that has run.
    completed: Option<Time>,
    /// Errors that nobody has awaited yet, the first only: later ones are logged.
    error: Option<Error>,
    /// A batch has failed, and the program has not said yet that it goes on all the same.
    has_failed: bool,
}

/// How to stop.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// What was received is processed.
    Gracefully,
    /// The batch that runs is the last one.
    Now,
}

/// What the batch loop shall do next.
pub(super) enum Next {
    /// Which was cut so long after the epoch.
    Batch(Time, Duration),
    /// Blocks may have arrived.
    Blocks,
    Stop,
}

/// Why the ticker goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Batch,
    Last,
    Never,
}

impl Control {
    pub(super) fn new(queued_batches_max: usize, warnings: Warnings) -> Control {
        let state = State {
            context: ContextState::Initialized,
            due: VecDeque::with_capacity(queued_batches_max + 1),
            stop: None,
            has_cut_last: false,
            has_blocks: false,
            is_catching_up: false,
            wants_cut: false,
            completed: None,
            error: None,
            has_failed: false,
        };
        let (work, tick, news) = (Condvar::new(), Condvar::new(), Condvar::new());
        Control {
            state: Mutex::new(state),
            work,
            tick,
            news,
            is_due: AtomicBool::new(false),
            own_threads: Mutex::default(),
            warnings,
        }
    }

    pub(super) fn context_state(&self) -> ContextState {
        self.lock().context
    }

    /// Says that this thread is one of the engine's.
    pub(super) fn own_this_thread(&self) {
        self.lock_own_threads().push(std::thread::current().id());
    }

    pub(super) fn owns_this_thread(&self) -> bool {
        self.lock_own_threads().contains(&std::thread::current().id())
    }

    fn lock_own_threads(&self) -> MutexGuard<'_, Vec<ThreadId>> {
        self.own_threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn enter(&self, context: ContextState) {
        self.lock().context = context;
        self.news.notify_all();
    }

    /// From initialized to active; otherwise gives back the state that stands in the way.
    pub(super) fn activate(&self) -> Result<(), ContextState> {
        let mut state = self.lock();
        match state.context {
            ContextState::Initialized => {
                state.context = ContextState::Active;
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Stops a context that never started; false if it did.
    pub(super) fn stop_before_start(&self) -> bool {
        let mut state = self.lock();
        let is_before = state.context == ContextState::Initialized;
        if is_before {
            state.context = ContextState::Stopped;
            self.news.notify_all();
        }
        is_before
    }

    /// Waits until the context has stopped, whatever went wrong.
    pub(super) fn wait_over(&self) {
        let is_running = |state: &mut State| state.context != ContextState::Stopped;
        drop(self.news.wait_while(self.lock(), is_running));
    }

    /// As [`wait_over`](Self::wait_over), for a while: whether the context has stopped.
    #[cfg(all(unix, feature = "signals"))]
    pub(super) fn is_over_within(&self, timeout: Duration) -> bool {
        let is_running = |state: &mut State| state.context != ContextState::Stopped;
        match self.news.wait_timeout_while(self.lock(), timeout, is_running) {
            Ok((state, _)) => state.context == ContextState::Stopped,
            Err(poisoned) => poisoned.into_inner().0.context == ContextState::Stopped,
        }
    }

    pub(super) fn stop(&self, stop: Stop) {
        let mut state = self.lock();
        // A stop at once overtakes a graceful one, not the other way.
        if state.stop != Some(Stop::Now) {
            state.stop = Some(stop);
        }
        if stop == Stop::Now {
            state.due.clear();
            self.is_due.store(true, Ordering::Relaxed);
        }
        self.work.notify_all();
        self.tick.notify_all();
        self.news.notify_all();
    }

    /// Whether the context shall stop, and how.
    pub(super) fn stopping(&self) -> Option<Stop> {
        self.lock().stop
    }

    pub(super) fn is_stopping_at_once(&self) -> bool {
        self.lock().stop == Some(Stop::Now)
    }

    /// Tells the batch loop that a block was sealed.
    pub(super) fn notify_blocks(&self) {
        self.lock().has_blocks = true;
        self.work.notify_one();
    }

    /// Tells both loops to look again: a source has ended, or the clock was moved.
    pub(super) fn notify_all(&self) {
        self.lock().has_blocks = true;
        self.work.notify_all();
        self.tick.notify_all();
    }

    /// Asks for a batch before its time, since all blocks are in use.
    pub(super) fn request_cut(&self) {
        self.lock().wants_cut = true;
        self.tick.notify_all();
    }

    /// Tells the ticker that a bounded source may have ended.
    pub(super) fn notify_ticker(&self) {
        drop(self.lock());
        self.tick.notify_all();
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    /// Waits until the batch at `time` may be cut.
    pub(super) fn wait_for_cut(
        &self,
        time: Time,
        clock: &Clock,
        queued_max: usize,
        have_ended: impl Fn() -> bool,
    ) -> Cut {
        let mut state = self.lock();
        loop {
            if state.stop == Some(Stop::Now) {
                return Cut::Never;
            }
            if state.due.len() < queued_max {
                if state.stop == Some(Stop::Gracefully) || have_ended() {
                    return Cut::Last;
                }
                if std::mem::take(&mut state.wants_cut) || clock.now() >= time {
                    return Cut::Batch;
                }
                state = clock.wait(time, state, &self.tick);
            } else {
                state = self.tick.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
    }

    /// Batches that were cut and wait.
    pub(super) fn queued(&self) -> usize {
        self.lock().due.len()
    }

    /// Waits until another batch may be queued; false when none shall be.
    pub(super) fn wait_for_room(&self, queued_max: usize) -> bool {
        let is_full =
            |state: &mut State| state.due.len() >= queued_max && state.stop != Some(Stop::Now);
        let waited = self.tick.wait_while(self.lock(), is_full);
        let state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        state.stop != Some(Stop::Now)
    }

    /// Nothing is read before [`set_caught_up`](Self::set_caught_up).
    pub(super) fn set_catching_up(&self) {
        self.lock().is_catching_up = true;
    }

    /// The batches of all times that passed before the start were cut.
    pub(super) fn set_caught_up(&self) {
        self.lock().is_catching_up = false;
        self.work.notify_all();
        self.news.notify_all();
    }

    /// Waits until sources may be read; true at once in most cases, false when the context stops.
    pub(super) fn wait_caught_up(&self) -> bool {
        let is_waiting = |state: &mut State| state.is_catching_up && state.stop.is_none();
        let waited = self.news.wait_while(self.lock(), is_waiting);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner()).stop.is_none()
    }

    /// Waits for a while, or until the context shall stop: how, if it shall.
    pub(super) fn pause(&self, duration: Duration) -> Option<Stop> {
        let goes_on = |state: &mut State| state.stop.is_none();
        match self.news.wait_timeout_while(self.lock(), duration, goes_on) {
            Ok((state, _)) => state.stop,
            Err(poisoned) => poisoned.into_inner().0.stop,
        }
    }

    /// Whether the context shall stop, in either way.
    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stop.is_some()
    }

    /// The batch at `time` was cut.
    pub(super) fn push_due(&self, time: Time, now: Duration) {
        let mut state = self.lock();
        state.due.push_back((time, now));
        self.is_due.store(true, Ordering::Relaxed);
        self.work.notify_one();
    }

    pub(super) fn set_cut_last(&self) {
        self.lock().has_cut_last = true;
        self.work.notify_one();
    }

    /// Waits for something to do; with `is_busy`, finds it at once, or after a `pause`.
    pub(super) fn next(&self, is_busy: bool, mut pause: Option<Duration>) -> Next {
        let mut state = self.lock();
        loop {
            if state.stop == Some(Stop::Now) {
                return Next::Stop;
            }
            if let Some((time, cut)) = state.due.pop_front() {
                self.is_due.store(!state.due.is_empty(), Ordering::Relaxed);
                self.tick.notify_all();
                return Next::Batch(time, cut);
            }
            if state.has_cut_last {
                return Next::Stop;
            }
            // Without blocks a busy source has to wait for the cut.
            let is_busy = is_busy && !state.wants_cut && !state.is_catching_up;
            if std::mem::take(&mut state.has_blocks) || (is_busy && pause.is_none()) {
                return Next::Blocks;
            }
            if let Some(pause) = pause.take_if(|_| is_busy) {
                let waited = self.work.wait_timeout(state, pause.min(WAIT_MAX));
                state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
                continue;
            }
            state = self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    pub(super) fn complete_batch(&self, time: Time) {
        self.lock().completed = Some(time);
        self.news.notify_all();
    }

    /// Records why a batch has failed.
    pub(super) fn record_failed(&self, error: Error) {
        self.lock().has_failed = true;
        self.record(error);
    }

    /// Whether a batch has failed and the program has not awaited again since it was told: if it
    /// ends instead, the batch is to come again after its restart.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    pub(super) fn record(&self, error: Error) {
        let mut state = self.lock();
        if state.error.is_none() {
            state.error = Some(error);
        }
        self.news.notify_all();
    }

    /// Waits until the batch at this time is complete, or the context has stopped.
    pub(super) fn wait_completed(&self, time: Time) {
        let mut state = self.lock();
        while state.completed < Some(time) && state.context != ContextState::Stopped {
            state = self.news.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Waits until the context has stopped (true), an error is recorded, or time is up (false).
    pub(super) fn wait_stopped(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        let is_waiting =
            |state: &mut State| state.error.is_none() && state.context != ContextState::Stopped;
        let mut state = self.lock();
        // Who was told of a failure and awaits again goes on without that batch.
        state.has_failed &= state.error.is_some();
        let mut state = match timeout {
            None => self.news.wait_while(state, is_waiting),
            Some(timeout) => match self.news.wait_timeout_while(state, timeout, is_waiting) {
                Ok((state, _)) => Ok(state),
                Err(poisoned) => Ok(poisoned.into_inner().0),
            },
        }
        .unwrap_or_else(|poisoned| poisoned.into_inner());
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(state.context == ContextState::Stopped),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
