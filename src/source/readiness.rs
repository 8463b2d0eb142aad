//! What the sources that poll share: one `mio::Poll`, waited on by the receiver's thread and asked
//! without waiting by `receive`.
//!
//! A source that always has something to read is never waited for, so `receive` must be able to
//! ask about the other connections itself. Invariant: an event is kept until `receive` takes it,
//! because mio reports each change once only; a poll with events left over is not made, which
//! bounds them by one poll's.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use super::Waiter;

/// Events of one poll; more of them come with the next.
const EVENTS_MAX: usize = 1024;

/// How long a connection is silent before its peer is asked whether it is still there, and then
/// how often: without it a peer whose machine vanished would be waited for for ever.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

/// How long a receiver says it may be left alone when only an event can bring it something.
pub(super) const UNTIL_EVENT: Duration = Duration::from_secs(1);

/// The readiness of all that was registered.
pub(super) struct Readiness {
    registry: Registry,
    poller: Arc<Mutex<Poller>>,
}

struct Poller {
    poll: Poll,
    events: Events,
    ready: Vec<Token>,
}

impl Readiness {
    pub(super) fn new() -> io::Result<Readiness> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let events = Events::with_capacity(EVENTS_MAX);
        let poller = Poller { poll, events, ready: Vec::with_capacity(EVENTS_MAX) };
        Ok(Readiness { registry, poller: Arc::new(Mutex::new(poller)) })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Moves to `into` the tokens of what has become ready; there may be false ones.
    pub(super) fn take(&self, into: &mut Vec<Token>) -> io::Result<()> {
        let mut poller = match self.poller.try_lock() {
            Ok(poller) => poller,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The waiter waits on another thread, and will keep what it sees.
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        poller.poll(Duration::ZERO)?;
        into.append(&mut poller.ready);
        Ok(())
    }

    /// The waiting end, for the receiver's thread.
    pub(super) fn waiter(&self) -> Box<dyn Waiter> {
        Box::new(PollWaiter(self.poller.clone()))
    }
}

impl Poller {
    fn poll(&mut self, timeout: Duration) -> io::Result<()> {
        if !self.ready.is_empty() {
            return Ok(());
        }
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        self.ready.extend(self.events.iter().map(|event| event.token()));
        Ok(())
    }
}

struct PollWaiter(Arc<Mutex<Poller>>);

impl Waiter for PollWaiter {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        lock(&self.0).poll(timeout)
    }
}

fn lock(poller: &Mutex<Poller>) -> MutexGuard<'_, Poller> {
    poller.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has the system find out when the peer has vanished without a word.
pub(super) fn keep_alive(stream: &mio::net::TcpStream) -> io::Result<()> {
    let (time, interval) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
