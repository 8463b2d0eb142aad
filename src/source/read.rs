//! One read into a block, and what it came to: the part that all sources of bytes have in common.
//!
//! Invariant: one call makes at most one system call, so that sources with many inputs can take
//! turns.

use std::io::{self, ErrorKind, Read};

use super::{BlockWriter, Carry};

/// What one read came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// So many bytes; zero if a signal came first. There may be more at once.
    Bytes(usize),
    /// Nothing there now.
    Nothing,
    /// The input has ended; its unfinished last line is still in the carry.
    End,
    /// Nothing was read, since the block is full.
    NoRoom,
}

/// Reads once, as much as one read may, and takes in the lines.
pub(super) fn read_once(
    input: &mut impl Read,
    carry: &mut Carry,
    into: &mut BlockWriter,
) -> io::Result<Taken> {
    if into.is_full() {
        return Ok(Taken::NoRoom);
    }
    match into.fill(carry, |room| input.read(room)) {
        Ok(Some(0)) => Ok(Taken::End),
        Ok(Some(count)) => Ok(Taken::Bytes(count)),
        Ok(None) => Ok(Taken::NoRoom),
        Err(error) => match error.kind() {
            ErrorKind::Interrupted => Ok(Taken::Bytes(0)),
            ErrorKind::WouldBlock => Ok(Taken::Nothing),
            _ => Err(error),
        },
    }
}
