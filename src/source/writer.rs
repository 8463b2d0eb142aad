//! The writing end of a block: where receivers put what they read.
//!
//! Invariant: between two calls the block holds whole lines only, each within the maximum and, for
//! text, valid UTF-8; or whole records, where those have a length. So a tick can cut it anywhere
//! between two calls.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::{memchr, memmem};
use tidemill_kernels::TextBuffer;

use super::counts::Counters;
use super::encoding::{Encoding, Order, Other, bytes_for};
use super::form::Form;
use super::status::Status;
use super::word_ends::{WordEnds, end_line};
use super::{Carry, LineOptions};
use crate::config::{READ_BYTES, ROOM_BYTES_MIN, UNREADABLE_PATHS_NAMED_MAX, UNSPLIT_BYTES_MAX};
use crate::error::BoxError;
use crate::memory::MemoryCharge;
use crate::record::block::{BlockPool, SharedText};

mod judge;
#[cfg(test)]
mod tests;

/// How a batch goes on with what its receiver has for it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    /// All of it is read.
    All,
    /// What is too large for a batch is left to the next one.
    Parts,
    /// The batch is due: all that can be left to the next one is.
    Due,
    /// Nobody will run the batch.
    Over,
}

/// U+FEFF in UTF-8, which some programs put before a text.
const BYTE_ORDER_MARK: [u8; 3] = *b"\xEF\xBB\xBF";

/// Reads as much as there is room for in `encoded`, and decodes it. Gives the bytes that were read,
/// those of the text, and the lines with what stood for no character.
fn decode(
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    other: Other,
    carry: &mut Carry,
    encoded: &mut [u8],
    into: &mut [u8],
) -> io::Result<(usize, usize, usize)> {
    let held = carry.undecoded.len();
    encoded[..held].copy_from_slice(&carry.undecoded);
    let count = read(&mut encoded[held..])?;
    assert!(count <= encoded.len() - held, "a read filled more than it was given");
    let bytes = &encoded[..held + count];
    // Two bytes say in which order they are.
    if carry.order.is_none() && bytes.len() >= 2 {
        carry.order = Some(Order::of(bytes));
    }
    let order = other.order().or(carry.order);
    let whole = order.map_or(0, |order| other.whole(bytes, order));
    let (bytes, rest) = bytes.split_at(whole);
    let (len, has_bad) = order.map_or((0, false), |order| other.decode(bytes, order, into));
    carry.encoding = Encoding::of(other);
    carry.undecoded.clear();
    carry.undecoded.extend_from_slice(rest);
    let is_bad = |line: &&[u8]| memmem::find(line, "\u{FFFD}".as_bytes()).is_some();
    let lines_bad = match has_bad {
        true => into[..len].split(|&byte| byte == b'\n').filter(is_bad).count(),
        false => 0,
    };
    Ok((count, len, lines_bad))
}

/// Where rows are no lines, the last row end is where the unfinished row begins.
fn note_row_end(form: Form, carry: &mut Carry, whole: usize) {
    if whole > 0 && !carry.skipping && !form.is_lines() {
        let held = carry.encoding.bytes_of(&carry.bytes) + carry.undecoded.len();
        carry.unended = held as u64;
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
    status: Arc<Status>,
    options: LineOptions,
    form: Form,
    line_bytes_max: usize,
    /// Where lines are cut between words.
    word_ends: Option<WordEnds>,
    // Changing.
    block: Option<Arc<TextBuffer>>,
    /// What was read and is not decoded yet.
    encoded: Vec<u8>,
    /// Whole lines that found no room: at most one call's worth. They open the next block.
    excess: Vec<u8>,
    /// An unfinished line found no room in the block, though a shorter one might.
    is_closed: bool,
    /// Bytes that this call of the receiver may still read: an endless line never fills a block,
    /// and the tick has to come through all the same.
    bytes_left: usize,
    /// Bytes of holes that this call may still pass over, for the same reason.
    holes_left: usize,
    /// How the batch goes on.
    going: Going,
    /// The receiver leaves to the next batch what it has for this one.
    leaves_rest: bool,
    /// Blocks are worked on as they come, and so come back while a batch is received.
    is_eager: bool,
    /// The source's rate is limited: when `bytes_left` are used up the block counts as full.
    is_limited: bool,
    /// What the receiver has to report, and nobody has asked for yet.
    report: Option<BoxError>,
    /// Unfinished lines of connections, and how many bytes they may take together.
    unfinished: Option<(MemoryCharge, usize)>,
}

impl BlockWriter {
    pub(crate) fn new(
        pool: Arc<BlockPool>,
        options: LineOptions,
        form: Form,
        line_bytes_max: usize,
    ) -> BlockWriter {
        BlockWriter {
            pool,
            counters: Arc::default(),
            status: Arc::default(),
            options,
            form,
            line_bytes_max,
            word_ends: options.long_line.word_ends().filter(|_| form.is_lines()),
            block: None,
            encoded: Vec::new(),
            excess: Vec::new(),
            is_closed: false,
            bytes_left: 0,
            holes_left: 0,
            going: Going::All,
            leaves_rest: false,
            is_eager: false,
            is_limited: false,
            report: None,
            unfinished: None,
        }
    }

    /// Charges the unfinished lines of a receiver with connections, and bounds them.
    pub(crate) fn bound_unfinished(&mut self, charge: MemoryCharge, bytes_max: usize) {
        self.unfinished = Some((charge, bytes_max));
    }

    /// The unfinished lines of all connections take so many bytes now. Gives the maximum where that
    /// is too much.
    pub(super) fn hold_unfinished(&mut self, bytes: usize) -> std::result::Result<(), usize> {
        let Some((charge, bytes_max)) = &self.unfinished else { return Ok(()) };
        // Whoever needs memory for whole lines says where there is none.
        let _ = charge.set(bytes);
        if bytes <= *bytes_max { Ok(()) } else { Err(*bytes_max) }
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Whether lines of text are written to it, rather than bytes or records.
    pub(super) fn is_text(&self) -> bool {
        self.form.is_text()
    }

    /// Whether records of one length are written to it.
    pub(super) fn has_records(&self) -> bool {
        matches!(self.form, Form::Records(_))
    }

    /// How the text is encoded that is written to it.
    pub(super) fn encoding(&self) -> Encoding {
        if self.form.is_text() { self.options.encoding } else { Encoding::UTF_8 }
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

    /// Counts bytes of a hole that were read and passed over.
    pub(super) fn pass_over(&mut self, bytes: usize) {
        self.holes_left = self.holes_left.saturating_sub(bytes);
    }

    /// Whether this call of the receiver may pass over more of a hole.
    pub(super) fn may_pass_over(&self) -> bool {
        self.holes_left > 0
    }

    /// Has the receiver give no more than this of what it has for the batch.
    pub(crate) fn set_going(&mut self, going: Going) {
        self.going = going;
    }

    pub(super) fn going(&self) -> Going {
        self.going
    }

    /// Says that the receiver leaves something of the batch to the next one.
    pub(super) fn leave_rest(&mut self) {
        self.leaves_rest = true;
    }

    pub(crate) fn take_rest(&mut self) -> bool {
        std::mem::take(&mut self.leaves_rest)
    }

    /// Blocks are worked on as they come.
    pub(crate) fn set_eager(&mut self) {
        self.is_eager = true;
    }

    /// Bytes of lines that find room before the batch is cut, with a margin for what blocks lose at
    /// their ends, and as many as a batch has room for at all. None where blocks come back.
    pub(super) fn room(&self) -> Option<(u64, u64)> {
        if self.is_eager {
            return None;
        }
        let (max, in_use) = self.pool.counts();
        let here = self.block.as_ref().map_or(0, |block| block.capacity() - block.len());
        let bytes = |blocks: usize, here: usize| (blocks * self.pool.block_bytes() + here) as u64;
        let [now, all] = [bytes(max.saturating_sub(in_use), here), bytes(max, 0)];
        Some((now / 4 * 3, all / 4 * 3))
    }

    /// Takes in what `read` reads, and gives back how many bytes that were.
    ///
    /// `read` gets the free part of the block, after the unfinished line of `carry`, and says how
    /// much of it it filled; the last line, if it has no end yet, goes to `carry`. In streams of
    /// [records of one length](crate::StreamingContext::record_stream) the same is done with what
    /// is no whole record yet. An error of `read` is passed on, with nothing changed. Gives `None`,
    /// without a call to `read`, when the block has no room, or this call of the receiver has read
    /// a block's worth of an endless line: then return
    /// [`Received::More`](super::Received::More).
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
        let encoding = self.encoding();
        let block = writable(&mut self.block);
        let (from, head) = (block.len(), carry.bytes.len());
        let room = block.spare();
        let read_max = match self.is_limited {
            true => READ_BYTES.min(self.bytes_left),
            // As much again as a long line has so far, or its bytes would be moved too often.
            false => READ_BYTES.max(head),
        };
        let end = room.len().min(head + read_max);
        room[..head].copy_from_slice(&carry.bytes);
        let (count, decoded) = match encoding.other() {
            None => {
                let free = &mut room[head..end];
                let count = read(free)?;
                assert!(count <= free.len(), "a read filled more than it was given");
                (count, count)
            }
            Some(other) => {
                // There is room for more than one character.
                let max = bytes_for(room.len() - head).min(carry.undecoded.len() + read_max);
                if self.encoded.len() < max {
                    self.encoded.resize(max, 0);
                }
                let (encoded, free) = (&mut self.encoded[..max], &mut room[head..]);
                let (count, decoded, lines_bad) = decode(read, other, carry, encoded, free)?;
                add(&self.counters.lines_replaced, lines_bad);
                (count, decoded)
            }
        };
        add(&self.counters.bytes, count);
        self.bytes_left = self.bytes_left.saturating_sub(count);
        let mut filled = head + decoded;
        if self.form.is_text() && !carry.has_begun {
            carry.has_begun =
                filled >= BYTE_ORDER_MARK.len() || !BYTE_ORDER_MARK.starts_with(&room[..filled]);
            if room[..filled].starts_with(&BYTE_ORDER_MARK) {
                room.copy_within(BYTE_ORDER_MARK.len()..filled, 0);
                filled -= BYTE_ORDER_MARK.len();
            }
        }
        let fresh = &mut room[..filled];
        // A part of a mark may have been held, but never a line end.
        let held = head.min(filled);
        let mut whole = self.form.whole(fresh, held);
        carry.unended += count as u64;
        if whole > 0 && self.form.is_lines() {
            // Before long lines are cut: their pieces are no whole lines.
            carry.unended = (encoding.bytes_of(&fresh[whole..]) + carry.undecoded.len()) as u64;
        }
        let fits = match self.word_ends {
            Some(ends) => {
                let rest = &mut fresh[whole..];
                if !carry.skipping && rest.len() > self.line_bytes_max.min(UNSPLIT_BYTES_MAX) {
                    // In what was held, if it is that long, there is none.
                    let known = if whole == 0 && held > UNSPLIT_BYTES_MAX { held - 3 } else { 0 };
                    let end = rest.len() - ends.held(rest);
                    let found = ends.last_to_write(&rest[known..end]);
                    if let Some((at, len)) = found.filter(|&(at, _)| at > 0 || known == 0) {
                        end_line(&mut rest[known + at..][..len]);
                        whole += known + at + len;
                    }
                }
                self.form.fits(&fresh[..whole], self.line_bytes_max)
                    || ends.fit(&fresh[..whole], self.line_bytes_max)
            }
            None => self.form.fits(&fresh[..whole], self.line_bytes_max),
        };
        let fresh = &room[..filled];
        let is_plain = matches!(self.form, Form::Records(_))
            || !carry.skipping && fits && fresh.len() - whole <= self.line_bytes_max;
        if !is_plain {
            let fresh = fresh.to_vec();
            self.fill_slowly(carry, &fresh);
            note_row_end(self.form, carry, whole);
            return Ok(Some(count));
        }
        carry.keep(&fresh[whole..]);
        note_row_end(self.form, carry, whole);
        block.advance(whole);
        if self.form.is_text() && block.check().is_err() {
            let lines = block.bytes()[from..].to_vec();
            block.truncate(from);
            self.push_lines(&lines);
        }
        Ok(Some(count))
    }

    /// Takes the unfinished line as a line: its input has ended. An unfinished record is dropped,
    /// counted and [reported](Self::report).
    pub fn finish(&mut self, carry: &mut Carry) {
        self.finish_as(carry, &"the input");
    }

    /// As [`finish`](Self::finish), for an input of this name.
    pub(super) fn finish_as(&mut self, carry: &mut Carry, name: &dyn Display) {
        let mut line = std::mem::take(&mut carry.bytes);
        if !carry.undecoded.is_empty() {
            // A part of a character.
            line.extend_from_slice("\u{FFFD}".as_bytes());
            add(&self.counters.lines_replaced, 1);
        }
        let is_skipping = carry.skipping;
        carry.clear();
        if is_skipping {
            let has_word = self.word_ends.is_some_and(|ends| ends.held(&line) > 0);
            line.clear();
            if has_word {
                return self.push_line(&line);
            }
        }
        match self.form {
            _ if line.is_empty() => {}
            Form::Records(record_bytes) => {
                let left = line.len();
                self.reject_record(format!(
                    "{name} ends with {left} bytes that are no record of {record_bytes}"
                ));
            }
            Form::Text | Form::Bytes | Form::Quoted(_) => self.push_line(&line),
        }
    }

    /// Says that something is wrong though the source goes on: the first such error since the
    /// program awaited last surfaces from `await_termination`, and listeners hear of it.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// struct Sensor(u32);
    ///
    /// impl Receiver for Sensor {
    ///     fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
    ///         self.0 += 1;
    ///         match self.0 {
    ///             1 => into.push_line(b"21.5"),
    ///             2 => into.report("the sensor gave no value"),
    ///             3 => into.push_line(b"21.6"),
    ///             _ => return Ok(Received::End),
    ///         }
    ///         Ok(Received::More)
    ///     }
    /// }
    ///
    /// let ssc = StreamingContext::builder("sensor").build()?;
    /// let lines = ssc.receiver_stream(Sensor(0))?.collect(16);
    /// ssc.start()?;
    /// let error = ssc.await_termination().unwrap_err();
    /// assert!(error.to_string().contains("the sensor gave no value"));
    /// ssc.await_termination()?;
    /// assert_eq!(lines.iter().flat_map(|(_, lines)| lines).count(), 2);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "reportError")]
    pub fn report(&mut self, error: impl Into<BoxError>) {
        let error = error.into();
        tracing::error!(%error, "a source reports an error");
        self.report.get_or_insert(error);
    }

    /// Says that the source cannot receive now and tries again: its
    /// [metrics](crate::SourceMetrics) say so until it has [recovered](Self::recovered), listeners
    /// hear of it, and it is warned of, the first time and then once in 10 s at most.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill::prelude::*;
    ///
    /// struct Sensor(u32);
    ///
    /// impl Receiver for Sensor {
    ///     fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
    ///         self.0 += 1;
    ///         if self.0 == 1 {
    ///             into.trouble("the sensor does not answer");
    ///             return Ok(Received::Later(Duration::from_millis(1)));
    ///         }
    ///         into.recovered();
    ///         into.push_line(b"21.5");
    ///         Ok(Received::End)
    ///     }
    /// }
    ///
    /// let ssc = StreamingContext::builder("sensor").warnings_to_stderr(false).build()?;
    /// ssc.receiver_stream(Sensor(0))?.count().print(10);
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let error = ssc.metrics().sources[0].last_error.clone();
    /// assert_eq!(error.as_deref(), Some("the sensor does not answer"));
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn trouble(&mut self, error: impl Into<BoxError>) {
        let error = error.into();
        if self.status.trouble(&error.to_string()) {
            tracing::warn!(%error, "a source cannot receive; it tries again");
        }
    }

    /// Says that the source receives, again or for the first time.
    pub fn recovered(&mut self) {
        if self.status.recovered() {
            tracing::info!("a source receives again");
        }
    }

    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Counts senders that found no place.
    pub(super) fn count_refused(&mut self) {
        add(&self.counters.connections_refused, 1);
    }

    /// Counts a connection that broke.
    pub(super) fn count_broken(&mut self) {
        add(&self.counters.connections_broken, 1);
    }

    pub(crate) fn take_report(&mut self) -> Option<BoxError> {
        self.report.take()
    }

    /// Counts a file that could not be read, or not to its end.
    pub(super) fn count_unread_file(&mut self) {
        add(&self.counters.files_unread, 1);
    }

    /// Counts a file that was counted as unread, and was read to its end after all.
    pub(super) fn count_recovered_file(&mut self) {
        add(&self.counters.files_recovered, 1);
    }

    /// Says which names and directories cannot be read now, and are tried again.
    pub(super) fn set_unreadable_paths(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut paths = paths.into_iter();
        let named: Vec<PathBuf> = paths.by_ref().take(UNREADABLE_PATHS_NAMED_MAX).collect();
        let all = (named.len() + paths.count()) as u64;
        let before = self.counters.paths_unreadable.swap(all, Ordering::Relaxed);
        if (before, all) != (0, 0) {
            self.status.set_unreadable(named);
        }
    }

    /// Says how many links the last look found that are not followed.
    pub(super) fn set_skipped_links(&mut self, links: u64) {
        self.counters.links_skipped.store(links, Ordering::Relaxed);
    }

    /// Appends one line, given without its end. A line end inside of it makes it several lines, and
    /// a `\r` at its end counts as part of that end. In streams of records it is a record.
    pub fn push_line(&mut self, line: &[u8]) {
        if let Form::Records(record_bytes) = self.form {
            return self.push_record(line, record_bytes);
        }
        if self.is_limited {
            self.bytes_left = self.bytes_left.saturating_sub(line.len() + 1);
        }
        // A quote may be open at the end.
        let is_plain = self.form.is_lines() || memchr(b'"', line).is_none();
        if is_plain
            && line.len() <= self.line_bytes_max
            && let Some(block) = &mut self.block
        {
            let block = Arc::get_mut(block).expect("a block that is filled is not shared");
            let from = block.len();
            let room = block.spare();
            if self.excess.is_empty() && room.len() > line.len() {
                room[..line.len()].copy_from_slice(line);
                room[line.len()] = b'\n';
                block.advance(line.len() + 1);
                if !self.form.is_text() || block.check().is_ok() {
                    return;
                }
                block.truncate(from);
            }
        }
        let mut lines = line.to_vec();
        lines.push(b'\n');
        self.push_lines(&lines);
    }

    /// Takes in whole rows that were taken in before, perhaps by other options.
    pub(crate) fn take_again(&mut self, lines: &[u8]) {
        if let Form::Records(record_bytes) = self.form {
            for record in lines.chunks(record_bytes) {
                self.push_record(record, record_bytes);
            }
            return;
        }
        let is_plain = lines.ends_with(b"\n")
            && self.form.whole(lines, 0) == lines.len()
            && self.form.fits(lines, self.line_bytes_max)
            && (!self.form.is_text() || std::str::from_utf8(lines).is_ok());
        if is_plain { self.append(lines) } else { self.push_lines(lines) }
    }

    /// Makes ready for a call of the receiver: gives the writer a block, if it has none and one is
    /// free. Returns whether it has one.
    pub(crate) fn open(&mut self) -> bool {
        self.bytes_left = self.pool.block_bytes();
        self.holes_left = self.bytes_left;
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
        self.bytes_left = bytes.min(self.pool.block_bytes());
        self.is_limited = true;
        Mark { bytes: self.bytes_left, filled: self.filled(), excess: self.excess.len() }
    }

    /// Bytes and lines that have come since.
    pub(crate) fn taken_since(&self, mark: Mark) -> (usize, usize) {
        let block = self.block.as_ref();
        let rows = block.map_or(0, |block| self.form.rows(&block.bytes()[mark.filled..]));
        let excess = self.form.rows(&self.excess[mark.excess..]);
        (mark.bytes - self.bytes_left, rows + excess)
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

    fn push_record(&mut self, record: &[u8], record_bytes: usize) {
        if self.is_limited {
            self.bytes_left = self.bytes_left.saturating_sub(record.len());
        }
        if record.len() == record_bytes {
            return self.append(record);
        }
        let len = record.len();
        self.reject_record(format!("a record has {len} bytes, but must have {record_bytes}"));
    }

    /// Drops what is no record.
    #[cold]
    fn reject_record(&mut self, reason: String) {
        add(&self.counters.lines_rejected, 1);
        self.report(reason);
    }

    /// Appends whole rows that may be taken as they are; those without room wait.
    fn append(&mut self, lines: &[u8]) {
        let mut fits = 0;
        if let Some(block) = &mut self.block
            && self.excess.is_empty()
        {
            let block = Arc::get_mut(block).expect("a block that is filled is not shared");
            let room = block.spare();
            fits = lines.len().min(room.len());
            if fits < lines.len() {
                fits = self.form.whole(&lines[..fits], 0);
            }
            room[..fits].copy_from_slice(&lines[..fits]);
            block.advance(fits);
            assert!(!self.form.is_text() || block.check().is_ok(), "lines were judged before");
        }
        self.excess.extend_from_slice(&lines[fits..]);
    }
}

fn writable(block: &mut Option<Arc<TextBuffer>>) -> &mut TextBuffer {
    let block = block.as_mut().expect("a writer that is not full has a block");
    Arc::get_mut(block).expect("a block that is filled is not shared")
}
