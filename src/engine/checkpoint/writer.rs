//! The thread that writes checkpoints, beside the batch loop, and gathers what can be gathered
//! there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::{Checkpoint, Section, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Gather;

/// How long it waits before it tries again to write what it could not. Disks of tests fail often.
const RETRY_AFTER: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 200 });

/// How often it has to fail in a row that whoever stops waits no longer.
const FAILURES_MAX: u32 = if cfg!(test) { 100 } else { 3 };

pub(in crate::engine) struct Writer {
    shared: Arc<Shared>,
}

/// What gathers a section that is empty so far, by its place in the checkpoint.
pub(in crate::engine) struct Beside {
    pub(in crate::engine) section: usize,
    pub(in crate::engine) gather: Gather,
}

/// What became of an attempt.
pub(in crate::engine) enum Tried<'a> {
    /// The checkpoint of this batch is on disk.
    Written(u64),
    /// It is tried again.
    NotWritten,
    /// There is no checkpoint to write.
    NotGathered(&'a Error),
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is to be written, until it is.
    checkpoint: Option<Checkpoint>,
    /// What is to be gathered before.
    beside: Vec<Beside>,
    /// What was gathered for a checkpoint that could not be made.
    not_made: Option<Vec<Section>>,
    is_writing: bool,
    /// Attempts that failed, since one did not.
    failures: u32,
    is_ending: bool,
    has_ended: bool,
    error: Option<Error>,
}

impl Writer {
    /// Starts the thread, which calls `on_tried` after each attempt.
    pub(in crate::engine) fn start(
        store: Store,
        on_tried: impl FnMut(Tried<'_>) + Send + 'static,
    ) -> Result<Writer> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let thread = shared.clone();
        // Who hears of warnings here hears of those of the thread.
        let heard_by = tracing::dispatcher::get_default(Clone::clone);
        let spawned = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
            let _heard = tracing::dispatcher::set_default(&heard_by);
            let ran = catch_unwind(AssertUnwindSafe(|| thread.run(store, on_tried)));
            let mut state = thread.lock();
            state.has_ended = true;
            if ran.is_err() {
                let message = "the thread that writes checkpoints panicked";
                state.error = Some(Error::new(ErrorKind::Checkpoint, message));
            }
            thread.changed.notify_all();
        });
        spawned.map_err(|error| {
            Error::caused(ErrorKind::State, "cannot start the thread of checkpoints", error)
        })?;
        Ok(Writer { shared })
    }

    /// Whether another checkpoint can be taken.
    pub(in crate::engine) fn is_idle(&self) -> bool {
        let state = self.shared.lock();
        state.checkpoint.is_none() && !state.is_writing && !state.has_ended
    }

    /// Waits until it is idle; false if it is not by then, or fails time and again.
    pub(in crate::engine) fn wait_idle(&self, timeout: Duration) -> bool {
        let is_busy =
            |state: &State| (state.checkpoint.is_some() || state.is_writing) && !state.has_ended;
        let is_hopeful = |state: &mut State| is_busy(state) && state.failures < FAILURES_MAX;
        let waited =
            self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, is_hopeful);
        let state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        !is_busy(&state) && !state.has_ended
    }

    /// Has the rest of a checkpoint gathered and all of it written, once the thread is
    /// [woken](Writer::wake); to be called when it is idle.
    pub(in crate::engine) fn submit(&self, checkpoint: Checkpoint, beside: Vec<Beside>) {
        let mut state = self.shared.lock();
        (state.checkpoint, state.beside) = (Some(checkpoint), beside);
    }

    /// Wakes the thread, which may then run in the place of who does it for some milliseconds.
    pub(in crate::engine) fn wake(&self) {
        self.shared.changed.notify_all();
    }

    /// The sections of a checkpoint that was submitted and not made, since one of them could not
    /// be gathered: that and those after it are empty.
    pub(in crate::engine) fn take_not_made(&self) -> Option<Vec<Section>> {
        self.shared.lock().not_made.take()
    }

    /// Waits until what was submitted is on disk, or will not be, and ends the thread.
    pub(in crate::engine) fn finish(self, timeout: Duration) -> Result<()> {
        let mut state = self.shared.lock();
        state.is_ending = true;
        self.shared.changed.notify_all();
        let waited =
            self.shared.changed.wait_timeout_while(state, timeout, |state| !state.has_ended);
        let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        match state.error.take() {
            Some(error) => Err(error),
            None if state.has_ended => Ok(()),
            None => {
                let message = format!("a checkpoint was not written within {timeout:?}");
                Err(Error::new(ErrorKind::Checkpoint, message))
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().is_ending = true;
        self.shared.changed.notify_all();
    }
}

/// Fills the sections that are empty so far.
fn gather(checkpoint: &mut Checkpoint, beside: Vec<Beside>) -> Result<()> {
    beside.into_iter().try_for_each(|Beside { section, gather }| {
        checkpoint.sections[section].changes = gather()?;
        Ok(())
    })
}

impl Shared {
    fn run(&self, mut store: Store, mut on_tried: impl FnMut(Tried<'_>)) {
        let is_waiting = |state: &mut State| state.checkpoint.is_none() && !state.is_ending;
        loop {
            let waited = self.changed.wait_while(self.lock(), is_waiting);
            let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            let Some(mut checkpoint) = state.checkpoint.take() else { return };
            (state.is_writing, state.error) = (true, None);
            let beside = std::mem::take(&mut state.beside);
            drop(state);
            if let Err(error) = gather(&mut checkpoint, beside) {
                on_tried(Tried::NotGathered(&error));
                let mut state = self.lock();
                state.not_made = Some(checkpoint.sections);
                (state.is_writing, state.error) = (false, Some(error));
                drop(state);
                self.changed.notify_all();
                continue;
            }
            let written = store.write(&checkpoint);
            if let Err(error) = written {
                let number = checkpoint.number;
                tracing::warn!(%error, number, "a checkpoint was not written: it is tried again");
                on_tried(Tried::NotWritten);
                let mut state = self.lock();
                (state.checkpoint, state.error) = (Some(checkpoint), Some(error));
                (state.is_writing, state.failures) = (false, state.failures.saturating_add(1));
                let is_over = state.is_ending && state.failures >= FAILURES_MAX;
                drop(state);
                self.changed.notify_all();
                if is_over {
                    return;
                }
                std::thread::sleep(RETRY_AFTER);
                continue;
            }
            on_tried(Tried::Written(checkpoint.number));
            if store.is_long()
                && let Err(error) = store.merge()
            {
                tracing::warn!(%error, "checkpoints could not be merged: it is tried again");
            }
            let mut state = self.lock();
            (state.is_writing, state.failures) = (false, 0);
            drop(state);
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
