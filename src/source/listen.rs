//! Lines from TCP clients: a server to which many connect, and whose lines make one stream.
//!
//! Invariant: the connections take turns, one read each, and share the block that is being filled;
//! a connection of its own has an unfinished line only. So neither a fast client nor a thousand
//! slow ones keep the others waiting, and none holds a block.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};

use super::read::{Taken, read_once};
use super::readiness::{Readiness, UNTIL_EVENT, keep_alive};
use super::receipt::{Receipt, Receipts};
use super::{BlockWriter, Carry, Received, Receiver, Waiter};
use crate::error::{Error, ErrorKind, Result};

/// Below the 1024 descriptors that many systems give a process there is no room for more.
const CONNECTIONS_MAX: usize = 1024;

/// New connections that are taken in before it is the others' turn.
const ACCEPTS_MAX: usize = 64;

/// A pause after the system refused to accept, most likely since it has no descriptors left.
const ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Trouble with clients is said to the log no more often than this: the log is not theirs to fill.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// A pause after a client had no room for what it was to be told.
const TELL_AGAIN: Duration = Duration::from_millis(20);

/// Connection `n` has token `n`.
const LISTENER: Token = Token(usize::MAX);

/// A TCP server that reads lines from all who connect.
///
/// A client's unfinished last line is a line of its own when the client closes, and is dropped when
/// the connection breaks. Lines of one client stay in order; those of several interleave.
///
/// ```
/// use tidemill::Listen;
///
/// let listen = Listen::bind(":0")?.connections_max(100);
/// println!("send lines to {}", listen.local_addr());
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Listen {
    // Fixed.
    /// As it was asked for.
    address: String,
    local: SocketAddr,
    connections_max: usize,
    ends_with_last: bool,
    acknowledges: bool,
    refused: Arc<AtomicU64>,
    readiness: Readiness,
    // Changing.
    listener: TcpListener,
    /// When to accept again, if there may be somebody to accept.
    accept_at: Option<Instant>,
    complain_at: Instant,
    /// What was not said yet, as something else was shortly before.
    unsaid: Option<String>,
    connections: Vec<Option<Connection>>,
    /// Free places in `connections`.
    free: Vec<usize>,
    /// Connections that may have something to read, each once, in the order of their turns.
    ready: VecDeque<usize>,
    events: Vec<Token>,
    /// Connections so far.
    connected: u64,
    /// Whether some connection could not be told yet how far it is.
    is_telling: bool,
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    carry: Carry,
    /// Whether it is among the ready ones.
    is_ready: bool,
    receipt: Receipt,
}

impl Listen {
    /// A server at `HOST:PORT`; without a host, as in `:9999` or `9999`, for this machine only.
    /// Port 0 lets the system choose; [`local_addr`](Listen::local_addr) says what it chose.
    ///
    /// From here on clients may connect; they are heard when the stream runs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the address is none; [`ErrorKind::Source`], with the address and
    /// the cause, if it cannot be had, as when its port is taken.
    pub fn bind(address: impl AsRef<str>) -> Result<Listen> {
        let address = address.as_ref();
        let cannot = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::InvalidInput => ErrorKind::Config,
                _ => ErrorKind::Source,
            };
            Error::caused(kind, format!("cannot listen at {address:?}"), error)
        };
        let mut listener = bind_first(address).map_err(cannot)?;
        let local = listener.local_addr().map_err(cannot)?;
        let readiness = Readiness::new().map_err(cannot)?;
        let registry = readiness.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE).map_err(cannot)?;
        let now = Instant::now();
        Ok(Listen {
            address: address.to_owned(),
            local,
            connections_max: CONNECTIONS_MAX,
            ends_with_last: false,
            acknowledges: false,
            refused: Arc::default(),
            readiness,
            listener,
            accept_at: Some(now),
            complain_at: now,
            unsaid: None,
            connections: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            events: Vec::new(),
            connected: 0,
            is_telling: false,
        })
    }

    /// Tells each client how much of what it sent is safe: it may read lines with a number, and of
    /// the bytes that it has sent over this connection so many have arrived for good, in whole
    /// lines. One that keeps what comes after them and sends that again, when it connects again,
    /// loses nothing: at-least-once.
    ///
    /// Safe is what is in the [intake log](crate::StreamingContext::intake_log) or, without one, in
    /// a checkpoint; without either there are no such lines. A client that has ended its own side
    /// hears the rest before it is disconnected.
    ///
    /// ```text
    /// client: 1 a⏎ 2 b⏎ 3         server: 8⏎
    /// client: ␣c⏎                 server: 12⏎
    /// ```
    pub fn acknowledging(mut self) -> Listen {
        self.acknowledges = true;
        self
    }

    /// Takes at most so many connections at a time (default 1024, at least 1). Whoever comes beyond
    /// is disconnected at once, logged, and counted.
    pub fn connections_max(mut self, connections_max: usize) -> Listen {
        self.connections_max = connections_max.max(1);
        self
    }

    /// Ends the source when somebody has connected and then the last one has gone.
    pub fn ends_with_last(mut self) -> Listen {
        self.ends_with_last = true;
        self
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many were refused for being too many: to be kept and looked at while the stream runs.
    pub fn connections_refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }

    /// Sorts what has happened since into those to accept and those to read.
    fn take_events(&mut self) -> io::Result<()> {
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

    fn accept(&mut self, into: &mut BlockWriter) {
        if self.accept_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok((stream, peer)) => self.connect(stream, peer, into),
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

    fn connect(&mut self, mut stream: TcpStream, peer: SocketAddr, into: &mut BlockWriter) {
        let count = self.connections.len() - self.free.len();
        if count == self.connections_max {
            let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
            let limit = self.connections_max;
            into.count_refused();
            self.complain(format!(
                "refused {peer}: {limit} connections are the maximum ({refused} refused so far)"
            ));
            return;
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
        tracing::debug!(%peer, "connected");
        self.connected += 1;
        let receipt = Receipt::new(self.connected);
        let carry = Carry::default();
        let connection = Connection { stream, peer, carry, is_ready: true, receipt };
        if place == self.connections.len() {
            self.connections.push(None);
        }
        self.connections[place] = Some(connection);
        self.ready.push_back(place);
    }

    /// Lets the connection at `place` read once; returns whether there was room for it to do so.
    fn read(&mut self, place: usize, into: &mut BlockWriter) -> bool {
        let Some(connection) = &mut self.connections[place] else { return true };
        match read_once(&mut connection.stream, &mut connection.carry, into) {
            Ok(Taken::Bytes(count)) => {
                connection.receipt.took(count);
                self.ready.push_back(place);
            }
            Ok(Taken::Nothing) => connection.is_ready = false,
            Ok(Taken::NoRoom) => {
                // It has not had its turn.
                self.ready.push_front(place);
                return false;
            }
            Ok(Taken::End) => {
                into.finish(&mut connection.carry);
                tracing::debug!(peer = %connection.peer, "disconnected");
                connection.receipt.end();
                if !self.acknowledges || connection.receipt.is_done() {
                    self.remove(place);
                }
            }
            Err(error) => {
                let message = format!("the connection of {} broke: {error}", connection.peer);
                into.count_broken();
                self.complain(message);
                self.remove(place);
            }
        }
        true
    }

    fn remove(&mut self, place: usize) {
        self.connections[place] = None;
        self.free.push(place);
    }

    fn complain(&mut self, message: String) {
        self.unsaid = Some(message);
        self.say();
    }

    /// Says what went wrong last, if nothing was said shortly before.
    fn say(&mut self) {
        let now = Instant::now();
        if now >= self.complain_at
            && let Some(message) = self.unsaid.take()
        {
            self.complain_at = now + COMPLAIN_EVERY;
            tracing::warn!(address = %self.local, "{message}");
        }
    }

    /// Whether nobody is left of those who came, but for some that wait for their last receipt.
    fn is_over(&self) -> bool {
        let mut connections = self.connections.iter().flatten();
        self.ends_with_last
            && self.accept_at.is_none()
            && self.connected > 0
            && connections.all(|connection| connection.receipt.has_ended())
    }

    /// Tells the client at a place what it has not heard yet, as far as it listens.
    fn tell(&mut self, place: usize) {
        let Some(connection) = &mut self.connections[place] else { return };
        match connection.receipt.tell(&mut connection.stream) {
            Ok(is_told) => {
                self.is_telling |= !is_told;
                if connection.receipt.is_done() {
                    self.remove(place);
                }
            }
            Err(error) => {
                // Whatever else it sends is of use; that it hears nothing is its own to notice.
                connection.receipt.give_up();
                let (peer, has_ended) = (connection.peer, connection.receipt.has_ended());
                self.complain(format!("cannot acknowledge to {peer}: {error}"));
                if has_ended {
                    self.remove(place);
                }
            }
        }
    }
}

impl Receiver for Listen {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        self.take_events()?;
        self.accept(into);
        if self.unsaid.is_some() {
            self.say();
        }
        if std::mem::take(&mut self.is_telling) {
            (0..self.connections.len()).for_each(|place| self.tell(place));
        }
        for _ in 0..self.ready.len() {
            let Some(place) = self.ready.pop_front() else { break };
            if !self.read(place, into) {
                return Ok(Received::More);
            }
        }
        if self.is_over() {
            return Ok(Received::End);
        }
        Ok(match self.accept_at {
            _ if !self.ready.is_empty() => Received::More,
            Some(at) => match at.checked_duration_since(Instant::now()) {
                Some(pause) => Received::Later(pause),
                None => Received::More,
            },
            None if self.is_telling => Received::Later(TELL_AGAIN),
            None => Received::Later(UNTIL_EVENT),
        })
    }

    /// How far each client's lines have come, where it has not been told.
    fn position(&self) -> Option<Vec<u8>> {
        if !self.acknowledges {
            return None;
        }
        let mut receipts = Receipts::default();
        for (place, connection) in self.connections.iter().enumerate() {
            if let Some(Connection { receipt, carry, .. }) = connection {
                receipts.push(place, receipt, carry);
            }
        }
        Some(receipts.into_bytes())
    }

    /// Connections do not outlive the process.
    fn can_resume(&self) -> bool {
        false
    }

    fn acknowledge(&mut self, position: &[u8]) {
        for (place, connection, bytes) in Receipts::of(position) {
            if let Some(Some(found)) = self.connections.get_mut(place)
                && found.receipt.note_safe(connection, bytes)
            {
                self.tell(place);
            }
        }
    }

    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        Some(self.readiness.waiter())
    }

    fn name(&self) -> String {
        format!("listen {}", self.local)
    }

    fn saved_name(&self) -> String {
        format!("listen {}", self.address)
    }
}

/// Listens at the first address of the name that can be had.
fn bind_first(address: &str) -> io::Result<TcpListener> {
    let port = address.strip_prefix(':').unwrap_or(address);
    let addresses = match port.parse::<u16>() {
        Ok(port) => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
        Err(_) => address.to_socket_addrs()?.collect(),
    };
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
