//! The unfinished last line of one connection or file, kept until its end comes.

use super::encoding::{Encoding, Order};
use crate::error::Result;
use crate::record::saved::{push_varint, take_varint};

/// A carry lets go of more memory than this as soon as it can: there is one for each connection,
/// and one long line should not cost its memory for as long as the connection lives.
const CARRY_BYTES_KEPT: usize = 16 << 10;

/// The bytes after the last line end that was read; a receiver keeps one for each of its inputs.
///
/// A new one, and one that was [cleared](Self::clear) or [finished](super::BlockWriter::finish),
/// stands at the start of an input: of text a byte-order mark there (U+FEFF in UTF-8) is dropped.
///
/// Its size is bounded by the source's longest line, and two bytes for what may be its line end.
#[derive(Debug, Default)]
pub struct Carry {
    pub(super) bytes: Vec<u8>,
    /// A line that was too long has been dealt with; the rest of it is still coming. Where lines
    /// are cut between words it is the rest of a word, and `bytes` what may begin its end.
    pub(super) skipping: bool,
    /// What was read is past a byte-order mark, or what is none: a mark begins an input.
    pub(super) has_begun: bool,
    /// What was decoded, if not UTF-8, and the part of a character that may come after it.
    pub(super) encoding: Encoding,
    pub(super) undecoded: Vec<u8>,
    /// The order of the bytes, once that is known.
    pub(super) order: Option<Order>,
    /// Bytes that were read since the last row end, with those of a line that was cut already.
    pub(super) unended: u64,
}

/// A place between two lines of an input, or in a line that was too long.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) offset: u64,
    pub(super) is_skipping: bool,
}

impl Standing {
    pub(super) fn save(self, out: &mut Vec<u8>) {
        push_varint(self.offset << 1 | u64::from(self.is_skipping), out);
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<Standing> {
        let number = take_varint(from)?;
        Ok(Standing { offset: number >> 1, is_skipping: number & 1 == 1 })
    }
}

impl Carry {
    /// Whether no unfinished line is held.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.skipping && self.undecoded.is_empty()
    }

    /// Bytes of memory that are held for the unfinished line.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.undecoded.capacity()
    }

    /// Forgets the unfinished line: after a reset it will never be finished.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.undecoded.clear();
        (self.skipping, self.has_begun, self.order) = (false, false, None);
        self.unended = 0;
    }

    /// Where the first line begins that was not given yet, after so many bytes of the input, and
    /// whether that is in the rest of a line that was dealt with.
    pub(super) fn standing(&self, read: u64) -> Standing {
        let held = self.encoding.bytes_of(&self.bytes) + self.undecoded.len();
        let offset = read - held as u64;
        Standing { offset, is_skipping: self.skipping }
    }

    /// Goes on from there in an input that begins so.
    pub(super) fn resume(&mut self, standing: Standing, head: &[u8]) {
        self.resume_in_order(standing, Some(Order::of(head)));
    }

    /// Goes on from there in an input whose bytes are in this order, if that is known.
    pub(super) fn resume_in_order(&mut self, standing: Standing, order: Option<Order>) {
        self.clear();
        self.skipping = standing.is_skipping;
        self.has_begun = standing.offset > 0;
        self.order = order.filter(|_| self.has_begun);
    }

    /// Holds this unfinished line in the place of the one before.
    pub(super) fn keep(&mut self, line: &[u8]) {
        if self.bytes.capacity() > CARRY_BYTES_KEPT && line.len() <= CARRY_BYTES_KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(line);
    }
}
