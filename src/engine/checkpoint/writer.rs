//! The thread that writes checkpoints, beside the batch loop, and gathers what can be gathered
//! there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::{Checkpoint, Section, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::MemoryCharge;
use crate::ops::{Changes, Gather};

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

/// What was read of all that sections hold, by their places: whole once what has changed since the
/// checkpoint before is put over it.
pub(in crate::engine) type Scanned = Vec<(usize, Changes)>;

/// What was done.
pub(in crate::engine) enum Tried<'a> {
    /// The checkpoint of this batch is on disk. The oldest that a start may have to use has sources
    /// stand here, by name.
    Written(u64, &'a [(String, Vec<u8>)]),
    /// It is tried again.
    NotWritten,
    /// There is no checkpoint to write.
    NotGathered(&'a Error),
    /// So many files were read back, and so many were damaged.
    Checked(u64, u64),
}

/// What the thread is to do.
enum Job {
    Write {
        checkpoint: Checkpoint,
        beside: Vec<Beside>,
        scanned: Scanned,
    },
    /// Read all that these hold.
    Scan(Vec<Beside>),
    /// Read back what the next checkpoint would stand on.
    Check,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Of what was gathered and is not written yet. It is no more than what is remembered, which
    /// has its own maximum, so that no checkpoint fails for it; but a batch may.
    charge: MemoryCharge,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    scanned: Option<Scanned>,
    /// What was gathered for a checkpoint that could not be made.
    not_made: Option<Vec<Section>>,
    is_busy: bool,
    /// The next checkpoint is to have all there is.
    wants_whole: bool,
    /// What the next one would stand on is damaged.
    is_newest_damaged: bool,
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
        charge: MemoryCharge,
        on_tried: impl FnMut(Tried<'_>) + Send + 'static,
    ) -> Result<Writer> {
        // It begins with a look at what is there.
        let state = Mutex::new(State { is_busy: true, ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), charge });
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
        state.job.is_none() && !state.is_busy && !state.has_ended
    }

    /// Whether the next checkpoint is to have all there is.
    pub(in crate::engine) fn wants_whole(&self) -> bool {
        self.shared.lock().wants_whole
    }

    /// Whether what the next checkpoint would stand on was found damaged.
    pub(in crate::engine) fn is_newest_damaged(&self) -> bool {
        self.shared.lock().is_newest_damaged
    }

    /// What was read of all sections since they were given to [`scan`](Writer::scan).
    pub(in crate::engine) fn take_scanned(&self) -> Option<Scanned> {
        self.shared.lock().scanned.take()
    }

    /// Waits until it is idle; false if it is not by then, or fails time and again.
    pub(in crate::engine) fn wait_idle(&self, timeout: Duration) -> bool {
        let is_busy = |state: &State| (state.job.is_some() || state.is_busy) && !state.has_ended;
        let is_hopeful = |state: &mut State| is_busy(state) && state.failures < FAILURES_MAX;
        let waited =
            self.shared.changed.wait_timeout_while(self.shared.lock(), timeout, is_hopeful);
        let state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        !is_busy(&state) && !state.has_ended
    }

    /// Has the rest of a checkpoint gathered, put over what was scanned, and all of it written,
    /// once the thread is [woken](Writer::wake); to be called when it is idle.
    pub(in crate::engine) fn submit(
        &self,
        checkpoint: Checkpoint,
        beside: Vec<Beside>,
        scanned: Scanned,
    ) {
        let held = checkpoint.byte_len() + bytes_of(&scanned);
        let _ = self.shared.charge.set(held);
        self.shared.lock().job = Some(Job::Write { checkpoint, beside, scanned });
    }

    /// Has all read that sections hold, once the thread is woken; to be called when it is idle.
    pub(in crate::engine) fn scan(&self, beside: Vec<Beside>) {
        self.shared.lock().job = Some(Job::Scan(beside));
    }

    /// Has all read back that the next checkpoint would stand on, and waits for that; to be called
    /// when it is idle.
    pub(in crate::engine) fn check(&self, timeout: Duration) {
        self.shared.lock().job = Some(Job::Check);
        self.wake();
        self.wait_idle(timeout);
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

/// Bytes of what was read.
fn bytes_of(scanned: &Scanned) -> usize {
    scanned.iter().map(|(_, changes)| changes.bytes().len()).sum()
}

/// Puts what has changed over all that was read while it did.
fn put_over(scanned: Scanned, sections: &mut [Section]) {
    for (section, all) in scanned {
        let changes = &mut sections[section].changes;
        *changes = all.then(changes).without_removed();
    }
}

/// A thread's work, with the store that it alone has.
struct Work<'a, F> {
    shared: &'a Shared,
    store: Store,
    on_tried: F,
}

impl Shared {
    fn run(&self, store: Store, on_tried: impl FnMut(Tried<'_>)) {
        Work { shared: self, store, on_tried }.run();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<F: FnMut(Tried<'_>)> Work<'_, F> {
    fn run(mut self) {
        match self.store.find_older() {
            Ok(0) => {}
            Ok(damaged) => (self.on_tried)(Tried::Checked(0, damaged)),
            Err(error) => tracing::warn!(%error, "older checkpoints were not looked at"),
        }
        self.be_idle();
        let is_waiting = |state: &mut State| state.job.is_none() && !state.is_ending;
        loop {
            let waited = self.shared.changed.wait_while(self.shared.lock(), is_waiting);
            let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            let Some(job) = state.job.take() else { return };
            (state.is_busy, state.error) = (true, None);
            drop(state);
            match job {
                Job::Write { checkpoint, beside, scanned } => {
                    if !self.write(checkpoint, beside, scanned) {
                        return;
                    }
                }
                Job::Scan(beside) => self.scan(beside),
                Job::Check => {
                    let (files, checked) = self.store.check_newest();
                    self.tell_checked(files, checked);
                    self.be_idle();
                }
            }
        }
    }

    fn be_idle(&self) {
        let mut state = self.shared.lock();
        state.is_busy = false;
        state.wants_whole = self.store.wants_whole();
        state.is_newest_damaged = self.store.is_newest_damaged();
        drop(state);
        self.shared.changed.notify_all();
    }

    fn tell_checked(&mut self, files: u64, checked: Result<()>) {
        if let Err(error) = &checked {
            tracing::warn!(%error, "a checkpoint is damaged: all is written anew from memory");
        }
        (self.on_tried)(Tried::Checked(files, checked.is_err().into()));
    }

    fn scan(&mut self, beside: Vec<Beside>) {
        let scan = |Beside { section, gather }| Ok((section, gather()?));
        let scanned: Result<Scanned> = beside.into_iter().map(scan).collect();
        match scanned {
            Ok(scanned) => {
                let _ = self.shared.charge.set(bytes_of(&scanned));
                self.shared.lock().scanned = Some(scanned);
            }
            Err(error) => {
                (self.on_tried)(Tried::NotGathered(&error));
                self.shared.lock().error = Some(error);
            }
        }
        self.be_idle();
    }

    /// Writes a checkpoint; false if it could not, and the thread is to end.
    fn write(&mut self, mut checkpoint: Checkpoint, beside: Vec<Beside>, scanned: Scanned) -> bool {
        if let Err(error) = gather(&mut checkpoint, beside) {
            (self.on_tried)(Tried::NotGathered(&error));
            let mut state = self.shared.lock();
            (state.not_made, state.error) = (Some(checkpoint.sections), Some(error));
            drop(state);
            self.be_idle();
            return true;
        }
        // Put together, one beside the other.
        let _ = self.shared.charge.set(checkpoint.byte_len() + 2 * bytes_of(&scanned));
        put_over(scanned, &mut checkpoint.sections);
        // It is encoded as a whole, and read back so.
        let bytes = 2 * checkpoint.byte_len();
        let _ = self.shared.charge.set(bytes);
        let written = self.store.write(&checkpoint);
        if let Err(error) = written {
            let number = checkpoint.number;
            tracing::warn!(%error, number, "a checkpoint was not written: it is tried again");
            (self.on_tried)(Tried::NotWritten);
            let (beside, scanned) = (Vec::new(), Vec::new());
            let mut state = self.shared.lock();
            state.job = Some(Job::Write { checkpoint, beside, scanned });
            state.error = Some(error);
            (state.is_busy, state.failures) = (false, state.failures.saturating_add(1));
            let is_over = state.is_ending && state.failures >= FAILURES_MAX;
            drop(state);
            self.shared.changed.notify_all();
            if !is_over {
                std::thread::sleep(RETRY_AFTER);
            }
            return !is_over;
        }
        let number = checkpoint.number;
        // It may be as large as all that is kept.
        drop(checkpoint);
        if let Err(error) = self.store.tidy() {
            tracing::warn!(%error, "old checkpoints were not removed: it is tried again");
        }
        (self.on_tried)(Tried::Written(number, self.store.oldest_positions()));
        if let Some(checked) = self.store.check_next() {
            self.tell_checked(1, checked);
        }
        let _ = self.shared.charge.set(0);
        self.shared.lock().failures = 0;
        self.be_idle();
        true
    }
}
