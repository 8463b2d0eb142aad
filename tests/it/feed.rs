//! A receiver that a test steers: what it delivers, in which pieces, and when.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{Carry, Waiter};

/// How long a test waits for what must come: far longer than it ever takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for what must come.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The receiver; each piece goes through one `fill`, if the block has room for it.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    carry: Carry,
    is_bounded: bool,
}

/// The test's end of a [`Feed`].
pub(crate) struct Feeder(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    has_ended: bool,
}

impl Feed {
    /// A receiver with a thread of its own.
    pub(crate) fn new() -> (Feed, Feeder) {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let feed = Feed { shared: shared.clone(), carry: Carry::default(), is_bounded: false };
        (feed, Feeder(shared))
    }

    /// A receiver that is read by those who process it. All of it has to be sent at the start.
    pub(crate) fn bounded() -> (Feed, Feeder) {
        let (feed, feeder) = Feed::new();
        (Feed { is_bounded: true, ..feed }, feeder)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Feeder {
    /// Hands pieces over, and returns when the receiver has taken them all: the next batch that is
    /// cut then holds their lines.
    pub(crate) fn deliver<P: Into<Vec<u8>>>(&self, pieces: impl IntoIterator<Item = P>) {
        self.send(pieces);
        let is_waiting = |state: &mut State| !state.pieces.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), DEADLINE, is_waiting);
        assert!(!waited.unwrap().1.timed_out(), "the receiver was not called");
    }

    /// Hands pieces over.
    pub(crate) fn send<P: Into<Vec<u8>>>(&self, pieces: impl IntoIterator<Item = P>) {
        self.0.lock().pieces.extend(pieces.into_iter().map(Into::into));
        self.0.changed.notify_all();
    }

    /// Nothing comes after what was handed over.
    pub(crate) fn end(&self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

impl Receiver for Feed {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let mut state = self.shared.lock();
        let Some(mut piece) = state.pieces.pop_front() else {
            if !state.has_ended {
                return Ok(Received::Later(Duration::from_secs(1)));
            }
            into.finish(&mut self.carry);
            return Ok(Received::End);
        };
        let taken = into.fill(&mut self.carry, |room| {
            let count = room.len().min(piece.len());
            room[..count].copy_from_slice(&piece[..count]);
            Ok(count)
        })?;
        let rest = piece.split_off(taken.unwrap_or(0));
        if taken.is_none() || !rest.is_empty() {
            state.pieces.push_front(rest);
        }
        self.shared.changed.notify_all();
        Ok(Received::More)
    }

    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        Some(Box::new(FeedWaiter(self.shared.clone())))
    }

    fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    fn name(&self) -> String {
        "feed".to_owned()
    }
}

struct FeedWaiter(Arc<Shared>);

impl Waiter for FeedWaiter {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let is_idle = |state: &mut State| state.pieces.is_empty() && !state.has_ended;
        drop(self.0.changed.wait_timeout_while(self.0.lock(), timeout, is_idle));
        Ok(())
    }
}
