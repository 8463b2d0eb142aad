//! How much of what a client has sent is safe, and telling it so.
//!
//! Invariant: what is told covers whole lines only, and never goes back. Of several receipts that
//! a slow client has not read, the last is told.

use std::io::{self, Write};

use super::Carry;
use crate::record::saved::{push_varint, take_varint};

/// One connection's bytes, from its beginning.
#[derive(Debug)]
pub(super) struct Receipt {
    /// The number of the connection, for its place may be another one's by then.
    connection: u64,
    read: u64,
    safe: u64,
    told: u64,
    /// The rest of a line that the client had no room for.
    rest: Vec<u8>,
    has_ended: bool,
    is_deaf: bool,
}

impl Receipt {
    pub(super) fn new(connection: u64) -> Receipt {
        let (read, safe, told) = (0, 0, 0);
        let (rest, has_ended, is_deaf) = (Vec::new(), false, false);
        Receipt { connection, read, safe, told, rest, has_ended, is_deaf }
    }

    /// So many bytes were read.
    pub(super) fn took(&mut self, count: usize) {
        self.read += count as u64;
    }

    /// The client sends nothing more.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Nothing can be told to it.
    pub(super) fn give_up(&mut self) {
        self.is_deaf = true;
    }

    /// Whether the client has ended and knows that all of its bytes are safe.
    pub(super) fn is_done(&self) -> bool {
        self.has_ended && self.told == self.read && self.rest.is_empty()
    }

    /// Notes that bytes are safe; whether that is news of this connection.
    pub(super) fn note_safe(&mut self, connection: u64, bytes: u64) -> bool {
        let is_news = connection == self.connection && bytes > self.safe && !self.is_deaf;
        if is_news {
            self.safe = bytes;
        }
        is_news
    }

    /// Writes what the client has not been told; whether it has been told all by then.
    pub(super) fn tell(&mut self, to: &mut impl Write) -> io::Result<bool> {
        loop {
            if self.rest.is_empty() {
                if self.told == self.safe || self.is_deaf {
                    return Ok(true);
                }
                writeln!(self.rest, "{}", self.safe)?;
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
    }
}

/// The receipts of several connections as the position of their source.
#[derive(Default)]
pub(super) struct Receipts(Vec<u8>);

impl Receipts {
    /// Adds what a connection has given, but for its unfinished line, unless it is known to be
    /// safe.
    pub(super) fn push(&mut self, place: usize, receipt: &Receipt, carry: &Carry) {
        let bytes = carry.standing(receipt.read).offset;
        if bytes > receipt.safe && !receipt.is_deaf {
            push_varint(place as u64, &mut self.0);
            push_varint(receipt.connection, &mut self.0);
            push_varint(bytes, &mut self.0);
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Places, connections and their bytes.
    pub(super) fn of(mut position: &[u8]) -> impl Iterator<Item = (usize, u64, u64)> {
        std::iter::from_fn(move || {
            let place = take_varint(&mut position).ok()?;
            let connection = take_varint(&mut position).ok()?;
            let bytes = take_varint(&mut position).ok()?;
            Some((usize::try_from(place).ok()?, connection, bytes))
        })
    }
}
