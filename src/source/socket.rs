//! Lines from a TCP server: a client that connects, and connects again whenever the peer is gone.
//!
//! Spark's `socketTextStream`. Invariant: nothing the peer does is an error of the source; each
//! failure closes the connection, is logged, and is followed by another attempt.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Answer, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};
#[cfg(feature = "tls")]
use rustls::{ClientConfig, pki_types::ServerName};

use super::read::{Taken, read_once};
use super::readiness::{Readiness, UNTIL_EVENT, keep_alive};
#[cfg(feature = "tls")]
use super::tls::{Tls, TlsStream, server_name};
use super::transport::Transport;
use super::{BlockWriter, Carry, Received, Receiver, Waiter};
use crate::config::{ADMISSION_TIME_MAX, PAUSE_MAX, PAUSE_MIN, check_duration};
use crate::error::{Error, ErrorKind, Result};

/// As Spark's `receiverRestartDelay`.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// The system itself would try for minutes while another address of the name may answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a running name look-up is asked for its answer.
const LOOK_UP_POLL: Duration = Duration::from_millis(5);

/// There is one connection at a time.
const CONNECTION: Token = Token(0);

/// A TCP client that reads lines, and reconnects for as long as the stream runs.
///
/// The name is looked up at each attempt, so a server that moves is found again, and every address
/// of the name is tried in turn. When the peer closes, its unfinished last line is a line of its
/// own; when the connection breaks, that line is dropped, since it may be half a record. What was
/// sent while nobody was connected is the peer's to keep: a socket gives at-most-once.
///
/// ```no_run
/// use std::time::Duration;
/// use tidemill::Socket;
///
/// let socket = Socket::connect("localhost:9999")?.reconnect_after(Duration::from_millis(500));
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Socket {
    // Fixed.
    address: String,
    host: String,
    port: u16,
    reconnect_after: Duration,
    readiness: Readiness,
    #[cfg(feature = "tls")]
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    // Changing.
    state: State,
    /// Until when the server of the open connection has to have shown who it is.
    handshake_until: Option<Instant>,
    carry: Carry,
    /// Addresses of the running attempt that were not tried yet, the next one last.
    untried: Vec<SocketAddr>,
    /// Attempts that failed since there was a connection.
    failures: u64,
    events: Vec<Token>,
}

enum State {
    /// Not connected until then.
    Down(Instant),
    LookingUp(Answer<io::Result<Vec<SocketAddr>>>),
    Connecting(TcpStream, Instant),
    /// Connected; the flag says that there may be something to read.
    Open(Transport, bool),
}

impl Socket {
    /// A client of the server at `address`, `HOST:PORT` or `[IPV6]:PORT`.
    ///
    /// The first attempt to connect is made when the stream runs, and it is no error if the server
    /// is not there yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the address is no host with a port; [`ErrorKind::Source`] if the
    /// system has no means left to poll.
    pub fn connect(address: impl Into<String>) -> Result<Socket> {
        let address = address.into();
        let Some((host, port)) = split_address(&address) else {
            let message = format!("socket address {address:?} is not HOST:PORT");
            return Err(Error::new(ErrorKind::Config, message));
        };
        let readiness = Readiness::new().map_err(|error| {
            Error::caused(ErrorKind::Source, format!("cannot poll socket {address}"), error)
        })?;
        Ok(Socket {
            host: host.to_owned(),
            port,
            address,
            reconnect_after: RECONNECT_AFTER,
            readiness,
            #[cfg(feature = "tls")]
            tls: None,
            handshake_until: None,
            state: State::Down(Instant::now()),
            carry: Carry::default(),
            untried: Vec::new(),
            failures: 0,
            events: Vec::new(),
        })
    }

    /// Waits this long (default 2 s, from 1 ms to 24 h) between the end of a connection and the
    /// next attempt. The stream is not made with another one.
    pub fn reconnect_after(mut self, delay: Duration) -> Socket {
        self.reconnect_after = delay;
        self
    }

    /// Connects by TLS to a server whose certificate is for the host of the address and comes from
    /// an authority that these settings trust. Without it whoever is on the way can read the lines,
    /// and change them.
    ///
    /// A server that does not prove who it is within 10 s is disconnected, as is one whose
    /// certificate is not that; then comes the next attempt.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the settings trust no authority, or the host is no name that a
    /// certificate can have.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, settings: &Tls) -> Result<Socket> {
        self.tls = Some((settings.client()?, server_name(&self.host)?));
        Ok(self)
    }

    #[cfg(test)]
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Takes the step that is due; `None` asks for the next one at once.
    fn advance(&mut self, into: &mut BlockWriter) -> Option<Received> {
        let now = Instant::now();
        match std::mem::replace(&mut self.state, State::Down(now)) {
            State::Down(until) if now < until => {
                self.state = State::Down(until);
                Some(Received::Later(until - now))
            }
            State::Down(_) => {
                into.status().connecting();
                self.look_up(into)
            }
            State::LookingUp(answer) => match answer.try_recv() {
                Ok(Ok(addresses)) => {
                    self.untried = addresses;
                    self.untried.reverse();
                    self.connect_next(io::ErrorKind::AddrNotAvailable.into(), into)
                }
                Ok(Err(error)) => self.fail(&error, into),
                Err(TryRecvError::Empty) => {
                    self.state = State::LookingUp(answer);
                    Some(Received::Later(LOOK_UP_POLL))
                }
                Err(TryRecvError::Disconnected) => self.fail(&io::ErrorKind::Other.into(), into),
            },
            State::Connecting(stream, until) => match is_connected(&stream) {
                Ok(true) => self.open(stream, into),
                Ok(false) if now < until => {
                    self.state = State::Connecting(stream, until);
                    Some(Received::Later(until - now))
                }
                Ok(false) => self.connect_next(io::ErrorKind::TimedOut.into(), into),
                Err(error) => self.connect_next(error, into),
            },
            State::Open(stream, is_readable) => {
                let is_readable = is_readable || !self.events.is_empty();
                Some(if is_readable { self.read(stream, into) } else { self.wait(stream, into) })
            }
        }
    }

    /// Starts an attempt. Looking up a name blocks, so it has a thread of its own.
    fn look_up(&mut self, into: &mut BlockWriter) -> Option<Received> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            self.untried = vec![SocketAddr::new(ip, self.port)];
            return self.connect_next(io::ErrorKind::AddrNotAvailable.into(), into);
        }
        let (sender, answer) = sync_channel(1);
        let (host, port) = (self.host.clone(), self.port);
        let look_up = move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // Nobody is there any more if the source was dropped in the meantime.
            drop(sender.send(addresses));
        };
        match std::thread::Builder::new().name("name look-up".to_owned()).spawn(look_up) {
            Ok(_) => {
                self.state = State::LookingUp(answer);
                None
            }
            Err(error) => self.fail(&error, into),
        }
    }

    /// Starts to connect to the next address; `error` says what became of the one before.
    fn connect_next(&mut self, mut error: io::Error, into: &mut BlockWriter) -> Option<Received> {
        while let Some(address) = self.untried.pop() {
            let interests = Interest::READABLE | Interest::WRITABLE;
            let started = TcpStream::connect(address).and_then(|mut stream| {
                self.readiness.registry().register(&mut stream, CONNECTION, interests)?;
                Ok(stream)
            });
            match started {
                Ok(stream) => {
                    self.state = State::Connecting(stream, Instant::now() + CONNECT_TIMEOUT);
                    return None;
                }
                Err(failed) => error = failed,
            }
        }
        self.fail(&error, into)
    }

    fn open(&mut self, mut stream: TcpStream, into: &mut BlockWriter) -> Option<Received> {
        if let Err(error) = keep_alive(&stream) {
            tracing::warn!(address = self.address, %error, "cannot keep a socket alive");
        }
        let registry = self.readiness.registry();
        if let Err(error) = registry.reregister(&mut stream, CONNECTION, Interest::READABLE) {
            return self.fail(&error, into);
        }
        let stream = match self.transport(stream) {
            Ok(stream) => stream,
            Err(error) => return self.fail(&error, into),
        };
        self.handshake_until = Some(Instant::now() + ADMISSION_TIME_MAX);
        self.untried.clear();
        self.note_handshake(&stream, into);
        self.state = State::Open(stream, true);
        None
    }

    #[cfg(feature = "tls")]
    fn transport(&self, stream: TcpStream) -> io::Result<Transport> {
        let Some((config, server)) = &self.tls else { return Ok(Transport::Plain(stream)) };
        let stream = TlsStream::client(stream, config.clone(), server.clone())?;
        Ok(Transport::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    fn transport(&self, stream: TcpStream) -> io::Result<Transport> {
        Ok(Transport::Plain(stream))
    }

    /// Says that there is a connection, once the server has shown who it is.
    fn note_handshake(&mut self, stream: &Transport, into: &mut BlockWriter) {
        if self.handshake_until.is_some() && !stream.is_handshaking() {
            self.handshake_until = None;
            self.failures = 0;
            into.status().recovered();
            tracing::info!(address = self.address, "connected");
        }
    }

    fn read(&mut self, mut stream: Transport, into: &mut BlockWriter) -> Received {
        let error = loop {
            let taken = read_once(&mut stream, &mut self.carry, into);
            self.note_handshake(&stream, into);
            match taken {
                Ok(Taken::Bytes(_)) => {}
                Ok(Taken::Nothing) => return self.wait(stream, into),
                Ok(Taken::NoRoom) => {
                    // No new event will come for what is there already.
                    self.state = State::Open(stream, true);
                    return Received::More;
                }
                Ok(Taken::End) => {
                    into.finish(&mut self.carry);
                    break io::Error::other("the peer closed the connection");
                }
                Err(error) => {
                    self.carry.clear();
                    into.count_broken();
                    break error;
                }
            }
        };
        // A closed socket leaves the poll by itself.
        drop(stream);
        self.retry(&error, into)
    }

    fn wait(&mut self, stream: Transport, into: &mut BlockWriter) -> Received {
        if self.handshake_until.is_some_and(|until| Instant::now() >= until) {
            drop(stream);
            let message = format!("TLS: the server said nothing for {ADMISSION_TIME_MAX:?}");
            into.count_broken();
            self.failures += 1;
            return self.retry(&io::Error::new(io::ErrorKind::TimedOut, message), into);
        }
        self.state = State::Open(stream, false);
        Received::Later(UNTIL_EVENT)
    }

    fn fail(&mut self, error: &io::Error, into: &mut BlockWriter) -> Option<Received> {
        self.failures += 1;
        Some(self.retry(error, into))
    }

    fn retry(&mut self, error: &io::Error, into: &mut BlockWriter) -> Received {
        into.status().trouble(&error.to_string());
        let (address, failures, delay) = (&self.address, self.failures, self.reconnect_after);
        tracing::warn!(address, failures, %error, "no connection; next attempt in {delay:?}");
        self.state = State::Down(Instant::now() + delay);
        Received::Later(delay)
    }
}

impl Receiver for Socket {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        self.events.clear();
        if !matches!(self.state, State::Open(_, true)) {
            self.readiness.take(&mut self.events)?;
        }
        loop {
            if let Some(received) = self.advance(into) {
                return Ok(received);
            }
        }
    }

    fn check(&self) -> Result<()> {
        check_duration("reconnect_after", self.reconnect_after, PAUSE_MIN, PAUSE_MAX)
    }

    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        Some(self.readiness.waiter())
    }

    fn name(&self) -> String {
        format!("socket {}", self.address)
    }
}

/// Host and port of `HOST:PORT` or `[IPV6]:PORT`.
fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bare {
        Some(ip) => ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        None => {
            !host.is_empty()
                && !host.contains([':', '[', ']'])
                && !host.contains(char::is_whitespace)
        }
    };
    is_host.then_some((bare.unwrap_or(host), port))
}

/// Whether connecting has come to its end; the error if it was a bad one.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // When the server is away, the system may choose its very port for this end.
        Ok(peer) if stream.local_addr()? == peer => Err(io::Error::other("connected to itself")),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}
