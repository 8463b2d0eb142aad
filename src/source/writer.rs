//! The writing end of a block: where receivers put what they read.
//!
//! Invariant: between two calls the block holds whole lines only, each within the maximum and, for
//! text, valid UTF-8. So a tick can cut it anywhere between two calls.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::{memchr, memrchr};
use tidemill_kernels::{TextBuffer, count_newlines};

use super::Carry;
use crate::config::{BLOCK_BYTES, READ_BYTES, ROOM_BYTES_MIN};
use crate::record::block::{BlockPool, SharedText, lines_fit};

#[cfg(test)]
mod tests;

/// What happens to a line that is not valid UTF-8.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum BadUtf8 {
    /// Each bad sequence becomes U+FFFD, as in `String::from_utf8_lossy`.
    #[default]
    Replace,
    /// The line is dropped.
    Reject,
}

/// What happens to a line longer than [`Limits::line_bytes`](crate::Limits::line_bytes).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum LongLine {
    /// It ends at the maximum; the rest of it is dropped.
    #[default]
    Cut,
    /// The line is dropped.
    Reject,
}

/// How a source treats lines that it cannot take as they are; each such line is counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LineOptions {
    /// What happens to bad UTF-8. Streams of bytes check nothing.
    pub bad_utf8: BadUtf8,
    /// What happens to lines over the maximum.
    pub long_line: LongLine,
}

/// What a source has taken in so far, and what it could not take as it was.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Bytes that were read.
    pub bytes: u64,
    /// Lines in which bad UTF-8 was replaced.
    pub lines_replaced: u64,
    /// Lines that were cut at the maximum.
    pub lines_cut: u64,
    /// Lines that were dropped, for either reason.
    pub lines_rejected: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes: AtomicU64,
    lines_replaced: AtomicU64,
    lines_cut: AtomicU64,
    lines_rejected: AtomicU64,
}

impl Counters {
    pub(crate) fn get(&self) -> SourceCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SourceCounts {
            bytes: read(&self.bytes),
            lines_replaced: read(&self.lines_replaced),
            lines_cut: read(&self.lines_cut),
            lines_rejected: read(&self.lines_rejected),
        }
    }
}

fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

/// Where a writer stood.
pub(crate) struct Mark {
    bytes: usize,
    filled: usize,
    excess: usize,
}

/// Room in a block for a [`Receiver`](super::Receiver) to write lines to.
pub struct BlockWriter {
    // Fixed.
    pool: Arc<BlockPool>,
    counters: Arc<Counters>,
    options: LineOptions,
    /// Whether lines are checked as UTF-8: not so for streams of bytes.
    is_text: bool,
    line_bytes_max: usize,
    // Changing.
    block: Option<Arc<TextBuffer>>,
    /// Whole lines that found no room: at most one call's worth. They open the next block.
    excess: Vec<u8>,
    /// An unfinished line found no room in the block, though a shorter one might.
    is_closed: bool,
    /// Bytes that this call of the receiver may still read: an endless line never fills a block,
    /// and the tick has to come through all the same.
    bytes_left: usize,
    /// The source's rate is limited: when `bytes_left` are used up the block counts as full.
    is_limited: bool,
}

impl BlockWriter {
    pub(crate) fn new(
        pool: Arc<BlockPool>,
        options: LineOptions,
        is_text: bool,
        line_bytes_max: usize,
    ) -> BlockWriter {
        BlockWriter {
            pool,
            counters: Arc::default(),
            options,
            is_text,
            line_bytes_max,
            block: None,
            excess: Vec::new(),
            is_closed: false,
            bytes_left: 0,
            is_limited: false,
        }
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Whether the block takes nothing more; the receiver returns, and is called with a fresh one.
    ///
    /// Lines that are pushed nevertheless are kept, but nothing except the receiver's looking here
    /// bounds how many.
    pub fn is_full(&self) -> bool {
        self.is_block_full() || (self.is_limited && self.bytes_left == 0)
    }

    /// As [`is_full`](Self::is_full), where that is for want of room.
    pub(crate) fn is_block_full(&self) -> bool {
        match &self.block {
            Some(block) => {
                self.is_closed
                    || !self.excess.is_empty()
                    || block.capacity() - block.len() < ROOM_BYTES_MIN
            }
            None => true,
        }
    }

    /// Takes in what `read` reads, and gives back how many bytes that were.
    ///
    /// `read` gets the free part of the block, after the unfinished line of `carry`, and says how
    /// much of it it filled; the last line, if it has no end yet, goes to `carry`. An error of
    /// `read` is passed on, with nothing changed. Gives `None`, without a call to `read`, when the
    /// block has no room, or this call of the receiver has read a block's worth of an endless line:
    /// then return [`Received::More`](super::Received::More).
    pub fn fill(
        &mut self,
        carry: &mut Carry,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        if self.bytes_left == 0 {
            return Ok(None);
        }
        if self.is_block_full() || !self.has_room_after(carry) {
            // Were the block not given up here, the receiver would be called with it for ever.
            self.is_closed = self.block.is_some();
            return Ok(None);
        }
        let block = writable(&mut self.block);
        let (from, head) = (block.len(), carry.bytes.len());
        let room = block.spare();
        let read_max = if self.is_limited { READ_BYTES.min(self.bytes_left) } else { READ_BYTES };
        let end = room.len().min(head + read_max);
        room[..head].copy_from_slice(&carry.bytes);
        let count = read(&mut room[head..end])?;
        assert!(count <= end - head, "a read filled more than it was given");
        add(&self.counters.bytes, count);
        self.bytes_left = self.bytes_left.saturating_sub(count);
        let (fresh, whole) = (&room[..head + count], memrchr(b'\n', &room[head..head + count]));
        let whole = whole.map_or(0, |at| head + at + 1);
        let is_plain = !carry.skipping
            && fresh.len() - whole <= self.line_bytes_max
            && lines_fit(&fresh[..whole], self.line_bytes_max);
        if !is_plain {
            let fresh = fresh.to_vec();
            self.fill_slowly(carry, &fresh);
            return Ok(Some(count));
        }
        carry.keep(&fresh[whole..]);
        block.advance(whole);
        if self.is_text && block.check().is_err() {
            let lines = block.bytes()[from..].to_vec();
            block.truncate(from);
            self.push_lines(&lines);
        }
        Ok(Some(count))
    }

    /// Takes the unfinished line as a line: its input has ended.
    pub fn finish(&mut self, carry: &mut Carry) {
        if !carry.bytes.is_empty() {
            let line = std::mem::take(&mut carry.bytes);
            self.push_line(&line);
        }
        carry.clear();
    }

    /// Appends one line, given without its end. A line end inside of it makes it several lines, and
    /// a `\r` at its end counts as part of that end.
    pub fn push_line(&mut self, line: &[u8]) {
        if self.is_limited {
            self.bytes_left = self.bytes_left.saturating_sub(line.len() + 1);
        }
        let is_short = line.len() <= self.line_bytes_max;
        if is_short && let Some(block) = &mut self.block {
            let block = Arc::get_mut(block).expect("a block that is filled is not shared");
            let from = block.len();
            let room = block.spare();
            if self.excess.is_empty() && room.len() > line.len() {
                room[..line.len()].copy_from_slice(line);
                room[line.len()] = b'\n';
                block.advance(line.len() + 1);
                if !self.is_text || block.check().is_ok() {
                    return;
                }
                block.truncate(from);
            }
        }
        let mut lines = line.to_vec();
        lines.push(b'\n');
        self.push_lines(&lines);
    }

    /// Takes in whole lines that were taken in before, perhaps by other options.
    pub(crate) fn take_again(&mut self, lines: &[u8]) {
        let is_plain = lines.ends_with(b"\n")
            && lines_fit(lines, self.line_bytes_max)
            && (!self.is_text || std::str::from_utf8(lines).is_ok());
        if is_plain { self.append(lines) } else { self.push_lines(lines) }
    }

    /// Makes ready for a call of the receiver: gives the writer a block, if it has none and one is
    /// free. Returns whether it has one.
    pub(crate) fn open(&mut self) -> bool {
        self.bytes_left = BLOCK_BYTES;
        self.is_limited = false;
        if self.block.is_none() {
            self.block = self.pool.take();
            self.is_closed = false;
        }
        let has_block = self.block.is_some();
        if has_block && !self.excess.is_empty() {
            let excess = std::mem::take(&mut self.excess);
            self.append(&excess);
        }
        has_block
    }

    /// Has the next call of the receiver bring about so many bytes, and says where it starts.
    pub(crate) fn limit(&mut self, bytes: usize) -> Mark {
        self.bytes_left = bytes.min(BLOCK_BYTES);
        self.is_limited = true;
        Mark { bytes: self.bytes_left, filled: self.filled(), excess: self.excess.len() }
    }

    /// Bytes and lines that have come since.
    pub(crate) fn taken_since(&self, mark: Mark) -> (usize, usize) {
        let lines =
            self.block.as_ref().map_or(0, |block| count_newlines(&block.bytes()[mark.filled..]));
        let excess = count_newlines(&self.excess[mark.excess..]);
        (mark.bytes - self.bytes_left, lines + excess)
    }

    /// The filled block, if there is anything in it.
    pub(crate) fn seal(&mut self) -> Option<SharedText> {
        if self.block.as_ref().is_none_or(|block| block.is_empty()) {
            return None;
        }
        self.block.take().map(|block| self.pool.seal(block))
    }

    /// Whether a read after this unfinished line would be worth its while.
    fn has_room_after(&self, carry: &Carry) -> bool {
        self.block.as_ref().is_some_and(|block| {
            block.capacity() - block.len() >= carry.bytes.len() + ROOM_BYTES_MIN / 2
        })
    }

    /// Bytes in the block.
    pub(crate) fn filled(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.len())
    }

    /// Whether lines wait for a block.
    pub(crate) fn has_excess(&self) -> bool {
        !self.excess.is_empty()
    }

    /// Takes in `fresh`, the carry and what was read after it, with a line over the maximum in it.
    #[cold]
    fn fill_slowly(&mut self, carry: &mut Carry, mut fresh: &[u8]) {
        if carry.skipping {
            let Some(at) = memchr(b'\n', fresh) else { return };
            fresh = &fresh[at + 1..];
            carry.skipping = false;
        }
        let whole = memrchr(b'\n', fresh).map_or(0, |at| at + 1);
        let (lines, rest) = fresh.split_at(whole);
        self.push_lines(lines);
        // One byte more: it may be the `\r` of a line end.
        if rest.len() <= self.line_bytes_max + 1 {
            return carry.keep(rest);
        }
        carry.clear();
        carry.skipping = true;
        // No cut and no verdict looks further than this.
        self.push_lines(&rest[..self.line_bytes_max + 2]);
    }

    /// Appends lines that need a second look, each by the source's options.
    fn push_lines(&mut self, lines: &[u8]) {
        let mut taken = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.judge(line, &mut taken);
        }
        self.append(&taken);
    }

    /// Appends the line as it may be taken, if it may.
    fn judge(&self, line: &[u8], taken: &mut Vec<u8>) {
        let rejects_long = self.options.long_line == LongLine::Reject;
        if rejects_long && line.len() > self.line_bytes_max {
            return add(&self.counters.lines_rejected, 1);
        }
        let head = self.cut(line);
        let is_bad = self.is_text && std::str::from_utf8(head).is_err();
        if is_bad && self.options.bad_utf8 == BadUtf8::Reject {
            return add(&self.counters.lines_rejected, 1);
        }
        let replaced = is_bad.then(|| String::from_utf8_lossy(head));
        // The replacement may be longer than what it replaces.
        let text = replaced.as_ref().map_or(head, |text| text.as_bytes());
        if rejects_long && text.len() > self.line_bytes_max {
            return add(&self.counters.lines_rejected, 1);
        }
        if is_bad {
            add(&self.counters.lines_replaced, 1);
        }
        if line.len().max(text.len()) > self.line_bytes_max {
            add(&self.counters.lines_cut, 1);
        }
        let text = self.cut(text);
        taken.extend_from_slice(text);
        if text.ends_with(b"\r") {
            // Content, which would be part of the line end if it stood right before it.
            taken.push(b'\r');
        }
        taken.push(b'\n');
    }

    /// As much of the line as the maximum allows; of text, no half character.
    fn cut<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if line.len() <= self.line_bytes_max {
            return line;
        }
        let continues = |&end: &usize| self.is_text && line[end] & 0xC0 == 0x80;
        // A character has at most four bytes; what has more continuations is not text.
        let ends = (0..=self.line_bytes_max).rev().take(4);
        let end = ends.into_iter().find(|end| !continues(end)).unwrap_or(self.line_bytes_max);
        &line[..end]
    }

    /// Appends whole lines that may be taken as they are; those without room wait.
    fn append(&mut self, lines: &[u8]) {
        let mut fits = 0;
        if let Some(block) = &mut self.block
            && self.excess.is_empty()
        {
            let block = Arc::get_mut(block).expect("a block that is filled is not shared");
            let room = block.spare();
            fits = lines.len().min(room.len());
            if fits < lines.len() {
                fits = memrchr(b'\n', &lines[..fits]).map_or(0, |at| at + 1);
            }
            room[..fits].copy_from_slice(&lines[..fits]);
            block.advance(fits);
            assert!(!self.is_text || block.check().is_ok(), "lines were judged before");
        }
        self.excess.extend_from_slice(&lines[fits..]);
    }
}

fn writable(block: &mut Option<Arc<TextBuffer>>) -> &mut TextBuffer {
    let block = block.as_mut().expect("a writer that is not full has a block");
    Arc::get_mut(block).expect("a block that is filled is not shared")
}
