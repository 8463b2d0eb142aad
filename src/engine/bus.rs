//! The way from what happens to who listens: a bounded queue, and a thread that empties it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::control::Control;
use super::listener::{
    BatchInfo, ListenerId, OutputOperationInfo, ReceiverInfo, StreamingListener,
};
use crate::error::{Error, ErrorKind, Result};
use crate::source::intake::panic_text;
use crate::time::Time;

/// Events that wait for the listeners at most: some seconds of the shortest batches.
const EVENTS_MAX: usize = 1_024;

/// How long the end of a context waits for its listeners to hear of it.
const END_WAIT_MAX: Duration = Duration::from_millis(500);

pub(super) enum Event {
    StreamingStarted(Time),
    ReceiverStarted(ReceiverInfo),
    ReceiverError(ReceiverInfo),
    ReceiverTrouble(ReceiverInfo),
    ReceiverRecovered(ReceiverInfo),
    ReceiverStopped(ReceiverInfo),
    BatchSubmitted(BatchInfo),
    BatchStarted(BatchInfo),
    BatchCompleted(BatchInfo),
    OutputStarted(OutputOperationInfo),
    OutputCompleted(OutputOperationInfo),
}

type Listeners = Vec<(ListenerId, Box<dyn StreamingListener>)>;

#[derive(Default)]
pub(super) struct Bus {
    state: Mutex<State>,
    /// Whether anybody listens, to be asked without the lock.
    is_heard: AtomicBool,
    dropped: AtomicU64,
    panics: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Those that are being called are not among them.
    listeners: Listeners,
    /// Taken away while they were being called.
    removed: Vec<ListenerId>,
    added: u64,
    sender: Option<SyncSender<Event>>,
    /// Tells when the thread has ended.
    end: Option<Receiver<()>>,
    has_ended: bool,
}

impl Bus {
    pub(super) fn add(&self, listener: Box<dyn StreamingListener>) -> ListenerId {
        let mut state = self.lock();
        state.added += 1;
        let id = ListenerId(state.added);
        if !state.has_ended {
            state.listeners.push((id, listener));
            self.is_heard.store(true, Ordering::Relaxed);
        }
        id
    }

    pub(super) fn remove(&self, id: ListenerId) {
        let mut state = self.lock();
        match state.listeners.iter().position(|(own, _)| *own == id) {
            // Dropped after the lock: it is the user's.
            Some(index) => {
                let removed = state.listeners.remove(index);
                drop(state);
                drop(removed);
            }
            None if id.0 <= state.added && !state.removed.contains(&id) => state.removed.push(id),
            None => {}
        }
    }

    /// Starts the thread, if there is somebody to be told and it has not started yet.
    pub(super) fn start(self: &Arc<Self>, control: &Arc<Control>) -> Result<()> {
        let mut state = self.lock();
        if state.listeners.is_empty() || state.sender.is_some() || state.has_ended {
            return Ok(());
        }
        let (sender, events) = sync_channel(EVENTS_MAX);
        let (ended, end) = sync_channel(1);
        let (bus, control) = (self.clone(), control.clone());
        let run = move || {
            control.own_this_thread();
            let _warnings = control.warnings.on_this_thread();
            for event in events {
                bus.deliver(&event);
            }
            drop(std::mem::take(&mut bus.lock().listeners));
            drop(ended);
        };
        let thread = std::thread::Builder::new().name("listeners".to_owned());
        thread.spawn(run).map_err(|error| {
            Error::caused(ErrorKind::State, "cannot start the thread of listeners", error)
        })?;
        (state.sender, state.end) = (Some(sender), Some(end));
        Ok(())
    }

    pub(super) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// Tells the listeners what happened, if there are any; never waits for them.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if !self.is_heard() {
            return;
        }
        let Some(sender) = self.lock().sender.clone() else { return };
        if let Err(TrySendError::Full(_)) = sender.try_send(event())
            && self.dropped.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!("listeners are too slow: events are dropped");
        }
    }

    /// Nothing will happen any more: waits for the listeners, for a while.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        self.is_heard.store(false, Ordering::Relaxed);
        state.sender = None;
        let end = state.end.take();
        let rest = if end.is_none() { std::mem::take(&mut state.listeners) } else { Vec::new() };
        drop(state);
        drop(rest);
        if let Some(end) = end {
            // By its sender's drop.
            let _ = end.recv_timeout(END_WAIT_MAX);
        }
    }

    /// Events that found no room, and calls that panicked.
    pub(super) fn losses(&self) -> (u64, u64) {
        (self.dropped.load(Ordering::Relaxed), self.panics.load(Ordering::Relaxed))
    }

    /// Without the lock: a listener may add and remove others.
    fn deliver(&self, event: &Event) {
        let mut listeners = std::mem::take(&mut self.lock().listeners);
        for (id, listener) in &mut listeners {
            if self.lock().removed.contains(id) {
                continue;
            }
            let called = catch_unwind(AssertUnwindSafe(|| call(&mut **listener, event)));
            if let Err(panic) = called {
                self.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(panic = panic_text(&*panic), "a listener panicked");
            }
        }
        let mut state = self.lock();
        let removed = std::mem::take(&mut state.removed);
        let (mut kept, mut gone): (Listeners, Listeners) = (Vec::new(), Vec::new());
        for listener in listeners {
            if removed.contains(&listener.0) { &mut gone } else { &mut kept }.push(listener);
        }
        kept.append(&mut state.listeners);
        state.listeners = kept;
        drop(state);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn call(listener: &mut dyn StreamingListener, event: &Event) {
    match event {
        Event::StreamingStarted(time) => listener.on_streaming_started(*time),
        Event::ReceiverStarted(receiver) => listener.on_receiver_started(receiver),
        Event::ReceiverError(receiver) => listener.on_receiver_error(receiver),
        Event::ReceiverTrouble(receiver) => listener.on_receiver_trouble(receiver),
        Event::ReceiverRecovered(receiver) => listener.on_receiver_recovered(receiver),
        Event::ReceiverStopped(receiver) => listener.on_receiver_stopped(receiver),
        Event::BatchSubmitted(batch) => listener.on_batch_submitted(batch),
        Event::BatchStarted(batch) => listener.on_batch_started(batch),
        Event::BatchCompleted(batch) => listener.on_batch_completed(batch),
        Event::OutputStarted(output) => listener.on_output_operation_started(output),
        Event::OutputCompleted(output) => listener.on_output_operation_completed(output),
    }
}
