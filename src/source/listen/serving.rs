//! Serving the clients of a [`Listen`]: who gets a place, whose turn it is, and when it ends.
//!
//! Invariant: a place that is free is in no queue, and its producer, if it had one, knows of none.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::{LISTENER, Listen};
use crate::config::{ADMISSION_TIME_MAX, RECEIPT_WAIT_MAX};
use crate::source::BlockWriter;
use crate::source::connection::{Connection, Expects, Greeted, Stream};
use crate::source::descriptors::{self, Left};
use crate::source::greeting::Greeting;
use crate::source::read::{Taken, read_once};
use crate::source::readiness::{UNTIL_EVENT, keep_alive};
#[cfg(feature = "tls")]
use crate::source::tls::TlsStream;
use crate::source::transport::Transport;

/// New connections that are taken in before it is the others' turn.
const ACCEPTS_MAX: usize = 64;

/// A pause after the system refused to accept, most likely since it has no descriptors left.
const ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Trouble with clients is said to the log no more often than this: the log is not theirs to fill.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// How often idle connections are looked for at most.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);

impl Listen {
    /// Sorts what has happened since into those to accept and those to read.
    pub(super) fn take_events(&mut self) -> io::Result<()> {
        self.readiness.take(&mut self.events)?;
        for token in self.events.drain(..) {
            if token == LISTENER {
                self.accept_at.get_or_insert_with(Instant::now);
            } else if let Some(Some(connection)) = self.connections.get_mut(token.0)
                && !connection.is_ready
            {
                connection.is_ready = true;
                self.ready.push_back(token.0);
            }
        }
        Ok(())
    }

    pub(super) fn accept(&mut self, into: &mut BlockWriter) {
        if self.accept_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        // Counted once for all that come now: it takes a look at each descriptor.
        let mut left = None;
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let left = left.get_or_insert_with(|| descriptors::left_after(&stream));
                    self.connect(stream, peer, left, into);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.accept_at = None;
                        return;
                    }
                    // Whoever gave up while waiting; the next may still be there.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.complain(format!("cannot accept: {error}"));
                        self.accept_at = Some(Instant::now() + ACCEPT_AFTER);
                        return;
                    }
                },
            }
        }
    }

    /// Takes a client in, if there is a place for it; `left` are the descriptors for connections.
    fn connect(
        &mut self,
        mut stream: TcpStream,
        peer: SocketAddr,
        left: &mut Option<Left>,
        into: &mut BlockWriter,
    ) {
        let has_place = |listen: &Listen, left: &Option<Left>| {
            let count = listen.connections.len() - listen.free.len();
            count < listen.connections_max && left.as_ref().is_none_or(|left| left.count > 0)
        };
        if !has_place(self, left) && self.remove_waiting() {
            left.iter_mut().for_each(|left| left.count += 1);
        }
        if !has_place(self, left) {
            return self.refuse(peer, left.as_ref(), into);
        }
        if let Err(error) = keep_alive(&stream) {
            tracing::debug!(%peer, %error, "cannot keep a connection alive");
        }
        let place = self.free.pop().unwrap_or(self.connections.len());
        let registry = self.readiness.registry();
        if let Err(error) = registry.register(&mut stream, Token(place), Interest::READABLE) {
            self.free.extend((place < self.connections.len()).then_some(place));
            return self.complain(format!("cannot poll {peer}: {error}"));
        }
        let transport = match self.transport(stream) {
            Ok(transport) => transport,
            Err(error) => {
                self.free.extend((place < self.connections.len()).then_some(place));
                return self.complain(format!("cannot serve {peer}: {error}"));
            }
        };
        tracing::debug!(%peer, "connected");
        self.connected += 1;
        left.iter_mut().for_each(|left| left.count -= 1);
        if place == self.connections.len() {
            self.connections.push(None);
        }
        let expects = match (&self.secret, self.acknowledges) {
            (Some(_), _) => Expects::Secret,
            (None, true) => Expects::Greeting,
            (None, false) => Expects::Data,
        };
        let stream = Stream::new(transport);
        let connection = Connection::new(stream, peer, self.connected, expects, Instant::now());
        self.connections[place] = Some(connection);
        self.ready.push_back(place);
    }

    #[cfg(feature = "tls")]
    fn transport(&self, stream: TcpStream) -> io::Result<Transport> {
        let Some(config) = &self.tls else { return Ok(Transport::Plain(stream)) };
        Ok(Transport::Tls(Box::new(TlsStream::server(stream, config.clone())?)))
    }

    #[cfg(not(feature = "tls"))]
    fn transport(&self, stream: TcpStream) -> io::Result<Transport> {
        Ok(Transport::Plain(stream))
    }

    fn refuse(&mut self, peer: SocketAddr, left: Option<&Left>, into: &mut BlockWriter) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        into.count_refused();
        let maximum = self.connections_max;
        let why = match left.filter(|left| left.count <= 0) {
            Some(Left { limit, reserve, .. }) => format!(
                "the process may open {limit} descriptors (ulimit -n), and the last {reserve} are \
                 kept for checkpoints, logs and files"
            ),
            None => format!("{maximum} connections are the maximum"),
        };
        self.complain(format!("refused {peer}: {why} ({refused} refused so far)"));
    }

    /// Lets the connection at `place` read once; returns whether there was room for it to do so.
    pub(super) fn read(&mut self, place: usize, now: Instant, into: &mut BlockWriter) -> bool {
        let Some(connection) = &mut self.connections[place] else { return true };
        if connection.receipt.has_ended() {
            connection.is_ready = false;
            if connection.has_broken() {
                tracing::debug!(peer = %connection.peer, "broke before its last receipt");
                self.remove(place);
            }
            return true;
        }
        if connection.may_greet() {
            self.hear(place, now, into);
            return true;
        }
        let is_skipping = connection.is_skipping();
        let taken = match is_skipping {
            true => connection.skip(now),
            false => read_once(&mut connection.stream, &mut connection.carry, into),
        };
        match taken {
            Ok(Taken::Bytes(_)) if is_skipping => self.ready.push_back(place),
            Ok(Taken::Bytes(count)) => {
                connection.took(count, now);
                if let Some(producer) = &connection.producer {
                    let receipt = &connection.receipt;
                    let given = connection.carry.standing(receipt.read());
                    self.producers.took(producer, given, receipt.whole(), connection.carry.order);
                }
                self.ready.push_back(place);
                self.hold(place, into);
            }
            Ok(Taken::Nothing) => {
                connection.is_ready = false;
                if connection.idle_for(now) >= self.idle_timeout {
                    self.end_idle(place, into);
                }
            }
            Ok(Taken::NoRoom) => {
                // It has not had its turn.
                self.ready.push_front(place);
                return false;
            }
            Ok(Taken::End) => {
                connection.is_ready = false;
                connection.end(into);
                tracing::debug!(peer = %connection.peer, "disconnected");
                if !self.acknowledges || connection.receipt.is_done() {
                    self.remove(place);
                }
            }
            Err(error) => self.end_broken(place, &error, into),
        }
        true
    }

    /// Lets the connection at `place` read once to find a greeting.
    fn hear(&mut self, place: usize, now: Instant, into: &mut BlockWriter) {
        let Some(connection) = &mut self.connections[place] else { return };
        match connection.greet(now) {
            Ok(Greeted::More) => self.ready.push_back(place),
            Ok(Greeted::Nothing) => {
                connection.is_ready = false;
                if connection.idle_for(now) >= self.idle_timeout {
                    self.end_idle(place, into);
                }
            }
            Ok(Greeted::Greeting(Greeting { secret, producer, from })) => {
                if self.secret.is_some() && self.secret != secret {
                    return self.refuse_greeting(place, "it did not say the secret", into);
                }
                if producer.is_some() && !self.acknowledges {
                    return self.refuse_greeting(place, "nothing is acknowledged here", into);
                }
                self.ready.push_back(place);
                if let Some(producer) = producer {
                    self.go_on(place, producer, from, into);
                }
            }
            Ok(Greeted::Wrong(reason)) => self.refuse_greeting(place, &reason, into),
            Err(error) => self.end_broken(place, &error, into),
        }
    }

    /// The client at `place` is a producer, and goes on with its stream.
    fn go_on(&mut self, place: usize, producer: String, from: u64, into: &mut BlockWriter) {
        let Some(start) = self.producers.greet(&producer, from, place) else {
            let reason = "as many producers are connected as are remembered";
            return self.refuse_greeting(place, reason, into);
        };
        let Some(connection) = &mut self.connections[place] else { return };
        let peer = connection.peer;
        tracing::debug!(%peer, producer, ?start, "a producer greets");
        if start.missing > 0 {
            let missing = start.missing;
            self.complain(format!(
                "producer {producer} goes on at byte {from} of its stream, and {missing} bytes \
                 before that were not received: they are lost"
            ));
        }
        if let Some(connection) = &mut self.connections[place] {
            connection.go_on(producer, start);
        }
        if let Some(replaced) = start.replaced {
            self.remove(replaced);
        }
        self.tell(place, Instant::now());
    }

    fn refuse_greeting(&mut self, place: usize, reason: &str, into: &mut BlockWriter) {
        let Some(connection) = &mut self.connections[place] else { return };
        // One that does not take it will see that it is disconnected.
        let _ = connection.stream.write(format!("refused {reason}\n").as_bytes());
        self.refuse_client(place, reason, into);
    }

    /// Disconnects a client of which nothing is taken.
    fn refuse_client(&mut self, place: usize, reason: &str, into: &mut BlockWriter) {
        let Some(connection) = &self.connections[place] else { return };
        let peer = connection.peer;
        self.refused.fetch_add(1, Ordering::Relaxed);
        into.count_refused();
        self.complain(format!("refused {peer}: {reason}"));
        self.remove(place);
    }

    fn end_broken(&mut self, place: usize, error: &io::Error, into: &mut BlockWriter) {
        let Some(connection) = &self.connections[place] else { return };
        if connection.stream.is_handshaking() {
            let reason = error.to_string();
            return self.refuse_client(place, &reason, into);
        }
        let message = format!("the connection of {} broke: {error}", connection.peer);
        into.count_broken();
        self.complain(message);
        self.remove(place);
    }

    /// Disconnects a client that was idle for too long.
    fn end_idle(&mut self, place: usize, into: &mut BlockWriter) {
        let Some(connection) = &mut self.connections[place] else { return };
        // What was not acknowledged is the client's to send again.
        if !self.acknowledges {
            into.finish(&mut connection.carry);
        }
        let (peer, timeout) = (connection.peer, self.idle_timeout);
        self.complain(format!("disconnected {peer}: it was idle for {timeout:?}"));
        self.remove(place);
    }

    /// Has idle connections read once more, and lets go of those that take no receipt.
    pub(super) fn look_for_idle(&mut self, now: Instant, into: &mut BlockWriter) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + self.look_every();
        for place in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[place] else { continue };
            if let Some(owed) = connection.owes_after(ADMISSION_TIME_MAX, now) {
                let reason = format!("{owed} within {ADMISSION_TIME_MAX:?}");
                self.refuse_client(place, &reason, into);
                continue;
            }
            let idle_for = connection.idle_for(now);
            if !connection.receipt.has_ended() {
                if idle_for >= self.idle_timeout && !connection.is_ready {
                    connection.is_ready = true;
                    self.ready.push_back(place);
                }
            } else if idle_for >= self.idle_timeout.min(RECEIPT_WAIT_MAX) {
                let peer = connection.peer;
                self.complain(format!(
                    "disconnected {peer}: it could not be told for {idle_for:?} what is safe"
                ));
                self.remove(place);
            }
        }
    }

    pub(super) fn look_every(&self) -> Duration {
        (self.idle_timeout / 4).clamp(LOOK_EVERY_MIN, UNTIL_EVENT)
    }

    /// Makes place by letting go of the client that waits longest for its last receipt, if any
    /// does.
    fn remove_waiting(&mut self) -> bool {
        let now = Instant::now();
        let waiting = (0..self.connections.len()).filter_map(|place| {
            let connection = self.connections[place].as_ref()?;
            connection.receipt.has_ended().then(|| (connection.idle_for(now), place))
        });
        let Some((_, place)) = waiting.max() else { return false };
        self.remove(place);
        true
    }

    /// Counts the unfinished line of a connection, and closes the one with the longest where all
    /// together are too long: whole lines of others need the memory.
    fn hold(&mut self, place: usize, into: &mut BlockWriter) {
        let Some(connection) = &mut self.connections[place] else { return };
        let held = connection.carry.memory_bytes();
        if held == connection.unfinished {
            return;
        }
        self.unfinished = self.unfinished - connection.unfinished + held;
        connection.unfinished = held;
        while let Err(max) = into.hold_unfinished(self.unfinished) {
            let connections = self.connections.iter().enumerate();
            let held = connections.filter_map(|(at, one)| Some((one.as_ref()?, at)));
            let Some((longest, at)) = held.max_by_key(|(one, _)| one.unfinished) else { return };
            let (peer, bytes, all) = (longest.peer, longest.unfinished, self.unfinished);
            self.refused.fetch_add(1, Ordering::Relaxed);
            into.count_refused();
            self.complain(format!(
                "closed {peer}: unfinished lines take {all} bytes, more than the maximum of {max} \
                 (Limits::unfinished_bytes), and its own is the longest with {bytes}"
            ));
            self.remove(at);
        }
    }

    fn remove(&mut self, place: usize) {
        let Some(connection) = self.connections[place].take() else { return };
        self.unfinished -= connection.unfinished;
        if connection.is_ready {
            // Its place in the queue would be the next one's.
            self.ready.retain(|&ready| ready != place);
        }
        if let Some(producer) = connection.producer {
            self.producers.leave(&producer, place);
        }
        self.free.push(place);
    }

    fn complain(&mut self, message: String) {
        self.unsaid = Some(message);
        self.say();
    }

    /// Says what went wrong last, if nothing was said shortly before.
    pub(super) fn say(&mut self) {
        let now = Instant::now();
        if now >= self.complain_at
            && let Some(message) = self.unsaid.take()
        {
            self.complain_at = now + COMPLAIN_EVERY;
            tracing::warn!(address = %self.local, "{message}");
        }
    }

    /// Whether nobody is left of those who came, but for some that wait for their last receipt.
    pub(super) fn is_over(&self) -> bool {
        let mut connections = self.connections.iter().flatten();
        self.ends_with_last
            && self.accept_at.is_none()
            && self.connected > 0
            && connections.all(|connection| connection.receipt.has_ended())
    }

    /// Tells the client at a place what it has not heard yet, as far as it listens.
    pub(super) fn tell(&mut self, place: usize, now: Instant) {
        let Some(connection) = &mut self.connections[place] else { return };
        match connection.tell(now) {
            Ok(is_told) => self.is_telling |= !is_told,
            Err(error) => {
                // What it has sent before is of use, and reading shows that it has gone.
                connection.receipt.give_up();
                if !connection.is_ready {
                    connection.is_ready = true;
                    self.ready.push_back(place);
                }
                let peer = connection.peer;
                self.complain(format!("cannot acknowledge to {peer}: {error}"));
            }
        }
        if self.connections[place].as_ref().is_some_and(|c| c.receipt.is_done()) {
            self.remove(place);
        }
    }
}
