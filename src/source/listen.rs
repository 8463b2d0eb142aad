//! Lines from TCP clients: a server to which many connect, and whose lines make one stream.
//!
//! Invariant: the connections take turns, one read each, and share the block that is being filled;
//! a connection of its own has an unfinished line only. So neither a fast client nor a thousand
//! slow ones keep the others waiting, and none holds a block.

mod serving;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Interest, Token};

use super::connection::Connection;
use super::producers::Producers;
use super::readiness::Readiness;
use super::receipt::{Receipts, Whose};
use super::secret::Secret;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::{BlockWriter, Received, Receiver, Waiter};
use crate::config::{IDLE_TIMEOUT, PRODUCERS_MAX};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::made_up;

/// Each connection has a descriptor, and memory for an unfinished line.
const CONNECTIONS_MAX: usize = 1024;

/// A pause after a client had no room for what it was to be told.
const TELL_AGAIN: Duration = Duration::from_millis(20);

/// Connection `n` has token `n`.
const LISTENER: Token = Token(usize::MAX);

/// A TCP server that reads lines from all who connect.
///
/// A client's unfinished last line is a line of its own when the client closes, and is dropped when
/// the connection breaks. Lines of one client stay in order; those of several interleave.
///
/// Clients are refused beyond [`connections_max`](Listen::connections_max), and where the process
/// has no descriptor left for them: a quarter of its limit (`ulimit -n`), and 64 at most, are kept
/// for checkpoints, logs and files. A refused client is disconnected at once, logged, and counted.
/// A client that is idle for [`idle_timeout`](Listen::idle_timeout) is disconnected.
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
    idle_timeout: Duration,
    ends_with_last: bool,
    acknowledges: bool,
    /// What each client has to say first.
    secret: Option<Secret>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
    refused: Arc<AtomicU64>,
    readiness: Readiness,
    /// Made up, so that positions tell which server they are of.
    server: u64,
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
    producers: Producers,
    /// Connections so far.
    connected: u64,
    /// Whether some connection could not be told yet how far it is.
    is_telling: bool,
    /// When to look for idle connections.
    look_at: Instant,
    /// Bytes that the unfinished lines of all connections take.
    unfinished: usize,
}

impl Listen {
    /// A server at `HOST:PORT`; without a host, as in `:9999` or `9999`, for this machine only.
    /// Port 0 lets the system choose; [`local_addr`](Listen::local_addr) says what it chose.
    ///
    /// From here on clients may connect; they are heard when the stream runs. At an address that
    /// other machines reach, such as `0.0.0.0:9999`, anybody there may send, unless there is a
    /// [`secret`](Listen::secret) or clients need [certificates](Listen::tls).
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
            idle_timeout: IDLE_TIMEOUT,
            ends_with_last: false,
            acknowledges: false,
            secret: None,
            #[cfg(feature = "tls")]
            tls: None,
            refused: Arc::default(),
            readiness,
            server: made_up(),
            listener,
            accept_at: Some(now),
            complain_at: now,
            unsaid: None,
            connections: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            events: Vec::new(),
            producers: Producers::new(PRODUCERS_MAX),
            connected: 0,
            is_telling: false,
            look_at: now,
            unfinished: 0,
        })
    }

    /// Tells each client how much of what it sent is safe: it may read lines with a number, and of
    /// the bytes that it has sent over this connection so many have arrived for good. One that
    /// keeps what comes after them and sends that again, when it connects again, loses nothing:
    /// at-least-once.
    ///
    /// Whole lines only are acknowledged: bytes of a line once its line end has come, however long
    /// the line is and whether it was cut, split or rejected meanwhile. A client that ends its own
    /// side of the connection ends its last line with it; of records of one length, an unfinished
    /// one is never acknowledged.
    ///
    /// Safe is what is in the [intake log](crate::StreamingContext::intake_log) or, without one, in
    /// a checkpoint, of which damage is then damage of that; without either there are no such
    /// lines. A client that has ended its own side hears the rest before it is disconnected. It is
    /// waited for until it has heard all, for the
    /// [idle timeout](Listen::idle_timeout) and 10 minutes at most, and not where another client
    /// needs its place. One that breaks the connection is disconnected at once.
    ///
    /// ```text
    /// client: 1 a⏎ 2 b⏎ 3         server: 8⏎
    /// client: ␣c⏎                 server: 12⏎
    /// ```
    ///
    /// # Producers
    ///
    /// A client that says who it is loses nothing and is counted once, though it sends again what
    /// was not acknowledged: exactly-once. Its first line is a greeting:
    ///
    /// ```text
    /// client: TIDEMILL/1 producer=web-1 from=0⏎     server: 8⏎
    /// client: 3 c⏎                                  server: 12⏎
    /// ```
    ///
    /// The bytes that a producer ever sends are one stream, over all of its connections, without
    /// the greetings. All numbers are offsets in it. The server answers a greeting with the offset
    /// up to which the stream is safe. The producer goes on from there, byte for byte as it was.
    /// Bytes that the server has received already are passed over, also after a restart: how far
    /// each producer is goes into checkpoints and the intake log, with the rows it belongs to.
    ///
    /// * `producer=ID`: 1 to 64 ASCII characters without white space. No two producers may have the
    ///   same; one that begins a new stream takes a new id. Of two connections with the same id the
    ///   newer one counts, and the other is disconnected.
    /// * `from=OFFSET` (default 0): the producer has its stream from this offset on, and no longer
    ///   what was before. A producer that the server does not know begins there. Where the server
    ///   knows it and has less, what is between is lost, and the server warns of it.
    ///
    /// A producer's line counts with its line end: the end of its connection ends no line. The
    /// server remembers [`producers_max`](Listen::producers_max) of them. A greeting that it does
    /// not take is answered with `refused`, a space, and the reason, and counted as a refused
    /// connection. A client whose data begins with `TIDEMILL/` cannot do without a greeting;
    /// `TIDEMILL/1⏎` is one that says nothing. To a server that does not acknowledge, the greeting
    /// of a producer is data. `examples/producer.rs` is a producer.
    pub fn acknowledging(mut self) -> Listen {
        self.acknowledges = true;
        self
    }

    /// Takes at most so many connections at a time (default 1024, at least 1), and fewer where the
    /// process may not open as many descriptors. Whoever comes beyond is disconnected at once,
    /// logged, and counted.
    pub fn connections_max(mut self, connections_max: usize) -> Listen {
        self.connections_max = connections_max.max(1);
        self
    }

    /// Remembers at most so many [producers](Listen::acknowledging) (default 4096, at most 65,536):
    /// one more takes the place of the one that is not connected for longest. Of one that was
    /// forgotten, what it sends again is counted again.
    pub fn producers_max(mut self, producers_max: usize) -> Listen {
        self.producers.set_max(producers_max.clamp(1, 1 << 16));
        self
    }

    /// Disconnects a client that was idle for this long (default 1 h, at least 1 ms): nothing came
    /// from it, and nothing could be told to it. `Duration::MAX` has connections stay for ever.
    ///
    /// To the client it is an orderly end, and its unfinished line is a line of its own, as when it
    /// closes itself. Where the server is [`acknowledging`](Listen::acknowledging), the unfinished
    /// line is dropped: it was not acknowledged, and is the client's to send again.
    ///
    /// A client that does not look whether the connection has ended loses what it sends next, so
    /// the time should be longer than senders are ever quiet. One whose machine is gone is noticed
    /// within minutes, whatever this time is.
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Listen {
        self.idle_timeout = idle_timeout.max(Duration::from_millis(1));
        self
    }

    /// Takes nothing of a client but what comes after the secret, which its first line has to say:
    ///
    /// ```text
    /// client: TIDEMILL/1 secret=SECRET⏎
    /// ```
    ///
    /// The line may have the fields of a [producer](Listen::acknowledging), too, and is not among
    /// the bytes that are acknowledged. A client that says
    /// anything else, or does not say it within 10 s, is answered with `refused` and a reason,
    /// disconnected, told and counted as refused. No message has the secret, and comparing it takes
    /// as long whatever of it is right.
    ///
    /// Who is on the way can read it, and what is sent: with [`tls`](Listen::tls) they cannot.
    ///
    /// ```
    /// use tidemill::Listen;
    ///
    /// let listen = Listen::bind(":0")?.secret("pohjoistuuli-ja-aurinko-2041")?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] unless it is of 1 to 256 ASCII characters without white space.
    pub fn secret(mut self, secret: impl Into<String>) -> Result<Listen> {
        self.secret = Some(Secret::new(secret)?);
        Ok(self)
    }

    /// Takes clients by TLS only, as these settings say: with an
    /// [identity](Tls::identity), which clients check, and where they have an
    /// [authority](Tls::authority), from clients with a certificate of it only.
    ///
    /// A client that cannot do that, or does not within 10 s, is disconnected, told and counted as
    /// refused. One whose connection ends without a `close_notify` has broken it, since somebody
    /// may have cut off the rest: its unfinished line is dropped, and it is counted as broken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if there is no identity, or its key is not that of its certificate.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, settings: &Tls) -> Result<Listen> {
        self.tls = Some(settings.server()?);
        Ok(self)
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

    /// How many were refused, for being too many or for their greeting: to be kept and looked at
    /// while the stream runs.
    pub fn connections_refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }
}

impl Receiver for Listen {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        self.take_events()?;
        self.accept(into);
        let now = Instant::now();
        self.look_for_idle(now, into);
        if self.unsaid.is_some() {
            self.say();
        }
        if std::mem::take(&mut self.is_telling) {
            (0..self.connections.len()).for_each(|place| self.tell(place, now));
        }
        for _ in 0..self.ready.len() {
            let Some(place) = self.ready.pop_front() else { break };
            if !self.read(place, now, into) {
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
            None => Received::Later(self.look_every()),
        })
    }

    /// How far each client's lines have come, where it has not been told.
    fn position(&self) -> Option<Vec<u8>> {
        if !self.acknowledges {
            return None;
        }
        let mut receipts = Receipts::new(self.server);
        for (place, connection) in self.connections.iter().enumerate() {
            if let Some(Connection { receipt, producer: None, .. }) = connection {
                receipts.push(place, receipt);
            }
        }
        for (producer, whole) in self.producers.unsafe_yet() {
            receipts.push_producer(producer, whole);
        }
        Some(receipts.into_bytes())
    }

    /// Connections do not outlive the process.
    fn can_resume(&self) -> bool {
        false
    }

    fn acknowledge(&mut self, position: &[u8]) {
        let now = Instant::now();
        for (whose, bytes) in Receipts::of(self.server, position) {
            let place = match whose {
                Whose::Connection(place, _) => Some(place),
                Whose::Producer(id) => self.producers.note_safe(id, bytes),
            };
            let Some(place) = place else { continue };
            let Some(Some(Connection { receipt, .. })) = self.connections.get_mut(place) else {
                continue;
            };
            let is_news = match whose {
                Whose::Connection(_, number) => receipt.note_safe(number, bytes),
                Whose::Producer(_) => receipt.note_safe_bytes(bytes),
            };
            if is_news {
                self.tell(place, now);
            }
        }
    }

    /// How far the streams of producers have come.
    fn save_senders(&mut self, all: bool) -> Option<Vec<u8>> {
        self.acknowledges.then(|| self.producers.save(all))
    }

    fn load_senders(&mut self, saved: &[u8]) -> io::Result<()> {
        self.producers.load(saved).map_err(io::Error::other)
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
