//! One client of a [`Listen`](super::Listen): its stream, its greeting, its unfinished line, and
//! when it was last heard.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::greeting::{GREETING_BYTES_MAX, Greeting, Heard, hear};
use super::producers::Start;
use super::read::Taken;
use super::receipt::Receipt;
use super::transport::Transport;
use super::{BlockWriter, Carry};

/// Bytes that are read at once of what was received before.
const SKIPPED_BYTES: usize = 64 << 10;

/// The bytes of a client: the one place that knows which kind of stream they come by.
pub(super) struct Stream {
    transport: Transport,
    /// Bytes that were read to find a greeting and are data.
    head: Vec<u8>,
}

pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    pub(super) carry: Carry,
    /// Whether it is among the ready ones.
    pub(super) is_ready: bool,
    pub(super) receipt: Receipt,
    /// Bytes that its unfinished line took when it was last counted.
    pub(super) unfinished: usize,
    /// The first bytes of a client that may still greet.
    greeting: Option<Vec<u8>>,
    /// The id of the producer that the client is.
    pub(super) producer: Option<String>,
    /// Bytes to come that were received by an earlier connection of the producer.
    skip: u64,
    /// When something was last read from it or told to it.
    moved_at: Instant,
    connected_at: Instant,
    /// Whether it has to say the secret in its greeting.
    needs_secret: bool,
}

/// What the first bytes of a client are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    Data,
    /// A greeting, or data.
    Greeting,
    /// A greeting with the secret.
    Secret,
}

/// What a read of a client that may greet came to.
pub(super) enum Greeted {
    /// There may be more to read.
    More,
    /// Nothing there now.
    Nothing,
    Greeting(Greeting),
    Wrong(String),
}

impl Stream {
    pub(super) fn new(transport: Transport) -> Stream {
        Stream { transport, head: Vec::new() }
    }

    /// Whether the client has not shown yet who it is.
    pub(super) fn is_handshaking(&self) -> bool {
        self.transport.is_handshaking()
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() {
            return self.transport.read(into);
        }
        let count = self.head.len().min(into.len());
        into[..count].copy_from_slice(&self.head[..count]);
        self.head.drain(..count);
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.transport.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}

impl Connection {
    /// A connection that was just made, with its number. Its client may greet first.
    pub(super) fn new(
        stream: Stream,
        peer: SocketAddr,
        number: u64,
        expects: Expects,
        now: Instant,
    ) -> Connection {
        Connection {
            stream,
            peer,
            carry: Carry::default(),
            is_ready: true,
            receipt: Receipt::new(number),
            unfinished: 0,
            greeting: (expects != Expects::Data).then(Vec::new),
            producer: None,
            skip: 0,
            moved_at: now,
            connected_at: now,
            needs_secret: expects == Expects::Secret,
        }
    }

    /// Whether the client has taken longer than `max` to show who it is; what it owes.
    pub(super) fn owes_after(&self, max: Duration, now: Instant) -> Option<&'static str> {
        if now.saturating_duration_since(self.connected_at) < max || self.receipt.has_ended() {
            None
        } else if self.stream.is_handshaking() {
            Some("its TLS handshake was not done")
        } else if self.needs_secret && self.greeting.is_some() {
            Some("it did not say the secret")
        } else {
            None
        }
    }

    /// Whether its first bytes have not come yet.
    pub(super) fn may_greet(&self) -> bool {
        self.greeting.is_some()
    }

    /// Reads once to find a greeting. What is none is read as data later.
    pub(super) fn greet(&mut self, now: Instant) -> io::Result<Greeted> {
        let Some(first) = &mut self.greeting else { return Ok(Greeted::More) };
        let mut bytes = [0; GREETING_BYTES_MAX];
        let count = match self.stream.read(&mut bytes[first.len()..]) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Greeted::More),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Greeted::Nothing),
            Err(error) => return Err(error),
        };
        self.moved_at = now;
        let from = first.len();
        first.extend_from_slice(&bytes[from..from + count]);
        match hear(first) {
            Heard::Unfinished if count > 0 => return Ok(Greeted::More),
            Heard::Unfinished | Heard::Data if self.needs_secret && !first.is_empty() => {
                let reason = "its first line is not TIDEMILL/1 secret=… with the secret";
                return Ok(Greeted::Wrong(reason.to_owned()));
            }
            // An input that ends so early is data.
            Heard::Unfinished | Heard::Data => {}
            Heard::Wrong(reason) => return Ok(Greeted::Wrong(reason)),
            Heard::Greeting(greeting, len) => {
                self.stream.head = first.split_off(len);
                self.greeting = None;
                return Ok(Greeted::Greeting(greeting));
            }
        }
        self.stream.head = self.greeting.take().unwrap_or_default();
        Ok(Greeted::More)
    }

    /// Goes on with the stream of a producer.
    pub(super) fn go_on(&mut self, producer: String, start: Start) {
        self.producer = Some(producer);
        self.receipt.go_on(start.safe, start.whole);
        self.skip = start.given.offset - start.safe;
        self.carry.resume_in_order(start.given, start.order);
        self.carry.unended = start.given.offset - start.whole;
    }

    /// Whether what comes next was received before.
    pub(super) fn is_skipping(&self) -> bool {
        self.skip > 0
    }

    /// Reads some of what was received before.
    pub(super) fn skip(&mut self, now: Instant) -> io::Result<Taken> {
        let mut bytes = [0; SKIPPED_BYTES];
        let max = usize::try_from(self.skip).map_or(SKIPPED_BYTES, |skip| skip.min(SKIPPED_BYTES));
        match self.stream.read(&mut bytes[..max]) {
            Ok(0) => Ok(Taken::End),
            Ok(count) => {
                self.skip -= count as u64;
                self.receipt.took_again(count);
                self.moved_at = now;
                Ok(Taken::Bytes(count))
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Ok(Taken::Bytes(0)),
                ErrorKind::WouldBlock => Ok(Taken::Nothing),
                _ => Err(error),
            },
        }
    }

    /// So many bytes were read and given to the block.
    pub(super) fn took(&mut self, count: usize, now: Instant) {
        self.receipt.took(count, self.carry.unended);
        self.moved_at = now;
    }

    /// The client has ended its side. That ends its last line, but not that of a producer, which
    /// sends it again.
    pub(super) fn end(&mut self, into: &mut BlockWriter) {
        if self.producer.is_some() {
            return self.receipt.end();
        }
        let dropped = if into.has_records() { self.carry.unended } else { 0 };
        into.finish(&mut self.carry);
        self.receipt.end_with_line(dropped);
    }

    /// Tells the client what it has not heard yet, as far as it listens; whether it has heard all
    /// by then.
    pub(super) fn tell(&mut self, now: Instant) -> io::Result<bool> {
        let had_news = self.receipt.has_news();
        let is_told = self.receipt.tell(&mut self.stream)?;
        if had_news && is_told {
            self.moved_at = now;
        }
        Ok(is_told)
    }

    /// Whether a client that has ended its side has broken the connection since.
    pub(super) fn has_broken(&mut self) -> bool {
        let read = self.stream.transport.read_raw(&mut [0; 64]);
        let passes = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
        read.is_err_and(|error| !passes.contains(&error.kind()))
    }

    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.moved_at)
    }
}
