//! Acknowledgements of one connection: how much of what its client has sent is safe, and telling it
//! so.
//!
//! Invariant: an acknowledgement covers whole lines only, and never goes back. Of several that a
//! slow client has not read, the last is told.

use std::io::{self, Write};

use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};

/// One connection's bytes, or those of its producer's stream, from the beginning.
#[derive(Debug)]
pub(super) struct Receipt {
    /// The number of the connection, for its place may be another one's by then.
    connection: u64,
    read: u64,
    /// Bytes of whole lines.
    whole: u64,
    safe: u64,
    told: u64,
    /// The rest of what the client had no room for.
    rest: Vec<u8>,
    has_ended: bool,
    is_deaf: bool,
    /// All that was written has gone out.
    is_flushed: bool,
}

impl Receipt {
    pub(super) fn new(connection: u64) -> Receipt {
        let (read, whole, safe, told) = (0, 0, 0, 0);
        let (rest, has_ended, is_deaf, is_flushed) = (Vec::new(), false, false, true);
        Receipt { connection, read, whole, safe, told, rest, has_ended, is_deaf, is_flushed }
    }

    /// Goes on with a producer's stream, of which the client is told that so much is safe, and of
    /// which so much is whole lines that were received.
    pub(super) fn go_on(&mut self, safe: u64, whole: u64) {
        (self.read, self.whole, self.safe, self.told) = (safe, whole, safe, safe);
        self.rest = format!("{safe}\n").into_bytes();
    }

    /// So many bytes were read, of which so many are after the last line end.
    pub(super) fn took(&mut self, count: usize, unended: u64) {
        self.read += count as u64;
        self.whole = self.read - unended;
    }

    /// So many bytes were read that had been received before.
    pub(super) fn took_again(&mut self, count: usize) {
        self.read += count as u64;
    }

    /// Offset of the last byte that was read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// The client sends nothing more.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// The same, which ends its last line; so many bytes are no whole record.
    pub(super) fn end_with_line(&mut self, dropped: u64) {
        self.whole = self.read - dropped;
        self.has_ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Nothing can be told to it.
    pub(super) fn give_up(&mut self) {
        self.is_deaf = true;
    }

    /// Whether the client has ended and nothing is left to tell it.
    pub(super) fn is_done(&self) -> bool {
        self.has_ended
            && (self.is_deaf || self.told == self.whole && self.rest.is_empty() && self.is_flushed)
    }

    /// Notes that bytes of a connection are safe; whether that is news of this one.
    pub(super) fn note_safe(&mut self, connection: u64, bytes: u64) -> bool {
        connection == self.connection && self.note_safe_bytes(bytes)
    }

    /// Notes that bytes are safe; whether that is news.
    pub(super) fn note_safe_bytes(&mut self, bytes: u64) -> bool {
        let is_news = bytes > self.safe && !self.is_deaf;
        if is_news {
            self.safe = bytes;
        }
        is_news
    }

    /// Whether the client has not been told something that it could be.
    pub(super) fn has_news(&self) -> bool {
        !self.is_deaf && (self.told != self.safe || !self.rest.is_empty())
    }

    /// Writes what the client has not been told; whether it has been told all by then.
    pub(super) fn tell(&mut self, to: &mut impl Write) -> io::Result<bool> {
        while self.has_news() {
            if self.rest.is_empty() {
                self.rest = format!("{}\n", self.safe).into_bytes();
                self.told = self.safe;
            }
            match to.write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.rest.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // What was taken by TLS may not have gone out.
        self.is_flushed = match to.flush() {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error),
        };
        Ok(self.is_flushed)
    }
}

/// Whose bytes are acknowledged.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose<'a> {
    /// A connection's, by its place and number.
    Connection(usize, u64),
    /// Those of a producer's stream, by its id.
    Producer(&'a str),
}

/// The whole lines that clients have given and that are not known to be safe, as the position of
/// their source.
///
/// It begins with a number that is the server's own: a checkpoint may have the position of one that
/// ran before, whose connections had the same numbers.
pub(super) struct Receipts {
    server: u64,
    bytes: Vec<u8>,
}

impl Receipts {
    pub(super) fn new(server: u64) -> Receipts {
        Receipts { server, bytes: Vec::new() }
    }

    fn begin(&mut self, place: u64) -> &mut Vec<u8> {
        if self.bytes.is_empty() {
            push_varint(self.server, &mut self.bytes);
        }
        push_varint(place, &mut self.bytes);
        &mut self.bytes
    }

    /// Adds those of a connection.
    pub(super) fn push(&mut self, place: usize, receipt: &Receipt) {
        if receipt.whole > receipt.safe && !receipt.is_deaf {
            let bytes = self.begin(place as u64 + 1);
            push_varint(receipt.connection, bytes);
            push_varint(receipt.whole, bytes);
        }
    }

    /// Adds those of a producer.
    pub(super) fn push_producer(&mut self, id: &str, whole: u64) {
        let bytes = self.begin(0);
        push_bytes(id.as_bytes(), bytes);
        push_varint(whole, bytes);
    }

    /// Nothing where nobody is to be told anything.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What a position of this server has, in the order in which it was added.
    pub(super) fn of(server: u64, mut position: &[u8]) -> impl Iterator<Item = (Whose<'_>, u64)> {
        let is_own = take_varint(&mut position).is_ok_and(|number| number == server);
        std::iter::from_fn(move || {
            let place = take_varint(&mut position).ok().filter(|_| is_own)?;
            let whose = match place.checked_sub(1) {
                Some(place) => {
                    let connection = take_varint(&mut position).ok()?;
                    Whose::Connection(usize::try_from(place).ok()?, connection)
                }
                None => Whose::Producer(std::str::from_utf8(take_bytes(&mut position).ok()?).ok()?),
            };
            Some((whose, take_varint(&mut position).ok()?))
        })
    }
}
