//! The thread that writes checkpoints, beside the batch loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::{Checkpoint, Store};
use crate::error::{Error, ErrorKind, Result};

/// How long it waits before it tries again to write what it could not. Disks of tests fail often.
const RETRY_AFTER: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 200 });

pub(in crate::engine) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is to be written, until it is.
    checkpoint: Option<Checkpoint>,
    is_writing: bool,
    is_ending: bool,
    has_ended: bool,
    error: Option<Error>,
}

impl Writer {
    /// Starts the thread; `on_written` is called there with the number of each checkpoint that is
    /// on disk, and with `None` for an attempt that failed.
    pub(in crate::engine) fn start(
        store: Store,
        on_written: impl FnMut(Option<u64>) + Send + 'static,
    ) -> Result<Writer> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let thread = shared.clone();
        let spawned = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
            let ran = catch_unwind(AssertUnwindSafe(|| thread.run(store, on_written)));
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

    /// Waits until it is idle; false if it is not by then.
    pub(in crate::engine) fn wait_idle(&self, timeout: Duration) -> bool {
        let is_busy = |state: &mut State| {
            (state.checkpoint.is_some() || state.is_writing) && !state.has_ended
        };
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, is_busy);
        let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        !is_busy(&mut state) && !state.has_ended
    }

    /// Has a checkpoint written; to be called when it is idle.
    pub(in crate::engine) fn submit(&self, checkpoint: Checkpoint) {
        self.shared.lock().checkpoint = Some(checkpoint);
        self.shared.changed.notify_all();
    }

    /// Waits until what was submitted is on disk, and ends the thread.
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

impl Shared {
    fn run(&self, mut store: Store, mut on_written: impl FnMut(Option<u64>)) {
        let is_waiting = |state: &mut State| state.checkpoint.is_none() && !state.is_ending;
        loop {
            let waited = self.changed.wait_while(self.lock(), is_waiting);
            let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            let Some(checkpoint) = state.checkpoint.take() else { return };
            (state.is_writing, state.error) = (true, None);
            drop(state);
            let written = store.write(&checkpoint);
            if let Err(error) = written {
                tracing::error!(%error, number = checkpoint.number, "a checkpoint was not written");
                on_written(None);
                let mut state = self.lock();
                (state.checkpoint, state.error) = (Some(checkpoint), Some(error));
                state.is_writing = false;
                if state.is_ending {
                    return;
                }
                let is_ending = |state: &mut State| !state.is_ending;
                let waited = self.changed.wait_timeout_while(state, RETRY_AFTER, is_ending);
                drop(waited.unwrap_or_else(|poisoned| poisoned.into_inner()));
                continue;
            }
            on_written(Some(checkpoint.number));
            if store.is_long()
                && let Err(error) = store.merge()
            {
                tracing::warn!(%error, "checkpoints could not be merged: it is tried again");
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
