//! The one owner of text: bytes that came in from outside and how far they were checked as UTF-8,
//! so that rows are handed out as `&str` without a check each. `checked <= len <= capacity`, and
//! the first `checked` bytes are valid UTF-8: every method here keeps that, and nothing else can.

use std::fmt;

use crate::{Level, Span, prefetch_row, utf8};

/// Smallest area allocated on growth.
const MIN_CAPACITY: usize = 64;

/// Spans have offsets and lengths of 32 bits.
const MAX_LEN: usize = u32::MAX as usize;

/// Distance at which writing one byte touches every page.
const PAGE: usize = 4096;

/// A byte area filled from the front, with a prefix known to be UTF-8.
///
/// The area is initialised and its pages are touched when it is made, so a receiver that reads into
/// [`spare`](TextBuffer::spare) takes no page fault; [`clear`](TextBuffer::clear) recycles it.
///
/// ```
/// use tidemill_kernels::{Span, TextBuffer};
///
/// let mut buffer = TextBuffer::with_capacity(64);
/// buffer.spare()[..9].copy_from_slice(b"ebb\nflow\n");
/// buffer.advance(9);
/// buffer.check().unwrap();
/// assert_eq!(buffer.str(Span { start: 4, len: 4 }), "flow");
/// ```
#[derive(Clone, Default)]
pub struct TextBuffer {
    area: Vec<u8>,
    len: usize,
    checked: usize,
}

/// Bytes that are not UTF-8, or end within a character.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BadUtf8 {
    /// Offset of the first byte that belongs to no whole character.
    pub valid_up_to: usize,
}

impl fmt::Display for BadUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes from offset {} on are not UTF-8", self.valid_up_to)
    }
}

impl std::error::Error for BadUtf8 {}

impl TextBuffer {
    /// An empty buffer that owns no memory.
    pub fn new() -> TextBuffer {
        TextBuffer::default()
    }

    /// An empty buffer with an area of `capacity` touched bytes.
    pub fn with_capacity(capacity: usize) -> TextBuffer {
        let mut buffer = TextBuffer::new();
        buffer.reallocate(capacity);
        buffer
    }

    /// Bytes filled.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is filled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the area, filled or not.
    pub fn capacity(&self) -> usize {
        self.area.len()
    }

    /// Length of the prefix that is known to be UTF-8.
    pub fn checked_len(&self) -> usize {
        self.checked
    }

    /// The filled bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.area[..self.len]
    }

    /// The unfilled part of the area, to be written to and then [`advance`](TextBuffer::advance)d
    /// over. It never grows.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.area[self.len..]
    }

    /// Counts the first `n` bytes of [`spare`](TextBuffer::spare) as filled, and not checked.
    ///
    /// # Panics
    ///
    /// If the spare part is shorter.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.area.len() - self.len, "advanced {n} bytes past the spare part");
        self.len += n;
    }

    /// Appends text, growing by doubling. It counts as checked if all before it does.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        let all_checked = self.checked == self.len;
        self.extend_from_bytes(text.as_bytes());
        if all_checked {
            self.checked = self.len;
        }
    }

    /// Appends bytes that are not checked yet, growing by doubling.
    #[inline]
    pub fn extend_from_bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.area[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Makes the spare part at least `additional` bytes, growing by doubling.
    ///
    /// # Panics
    ///
    /// If it would hold 4 GiB or more, here as in all that appends: spans have 32 bits.
    #[inline]
    pub fn reserve(&mut self, additional: usize) {
        if additional > self.area.len() - self.len {
            let needed = self.len.checked_add(additional).filter(|&needed| needed <= MAX_LEN);
            let needed = needed.expect("a text buffer holds less than 4 GiB");
            self.reallocate(needed.max(MAX_LEN.min(self.area.len() * 2)).max(MIN_CAPACITY));
        }
    }

    /// Checks what is not checked yet.
    ///
    /// On an error the valid part counts as checked. A character cut off by the end is an error at
    /// its first byte: the caller knows whether more is to come.
    ///
    /// # Errors
    ///
    /// [`BadUtf8`] if there is a bad or unfinished character.
    pub fn check(&mut self) -> Result<(), BadUtf8> {
        self.check_at(Level::current())
    }

    /// [`check`](TextBuffer::check) at `level`: for tests and benches.
    ///
    /// # Errors
    ///
    /// As `check`.
    pub fn check_at(&mut self, level: Level) -> Result<(), BadUtf8> {
        match utf8::check_utf8_at(level, &self.area[self.checked..self.len]) {
            Ok(()) => {
                self.checked = self.len;
                Ok(())
            }
            Err(valid) => {
                self.checked += valid;
                Err(BadUtf8 { valid_up_to: self.checked })
            }
        }
    }

    /// The text of a row.
    ///
    /// # Panics
    ///
    /// If the span reaches past the checked prefix or cuts a character.
    #[inline]
    pub fn str(&self, span: Span) -> &str {
        // `get` of a `str` checks range and character borders.
        match self.checked_str().get(span.range()) {
            Some(text) => text,
            None => self.not_checked(span),
        }
    }

    /// Asks for the memory of a row, so that it is there when it is wanted.
    #[inline]
    pub fn prefetch(&self, span: Span) {
        prefetch_row(&self.area, span.start as usize);
        // Where text ends is looked at, too, and may be in another line.
        prefetch_row(&self.area, span.range().end);
    }

    /// The checked prefix.
    #[inline]
    pub fn checked_str(&self) -> &str {
        let checked = &self.area[..self.checked];
        // SAFETY: `checked` is raised only by `check_at`, which found these bytes valid, by
        // `push_str`, which copied a `str` to its end, and by `replace_bad_utf8`, which rebuilds
        // all from `str`s; `truncate` lowers it to a border of characters, and the filled bytes
        // are never handed out mutably.
        unsafe { std::str::from_utf8_unchecked(checked) }
    }

    /// Forgets the bytes from `len` on; no effect if there are none. A checked character that
    /// would be cut stays in, unchecked, as far as it is kept.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        if len < self.checked {
            self.checked = self.checked_str().floor_char_boundary(len);
        }
        self.len = len;
    }

    /// Forgets all bytes and keeps the area.
    pub fn clear(&mut self) {
        self.len = 0;
        self.checked = 0;
    }

    /// Appends the bytes from `from` on, an unfinished last line say, to `into`, which grows if it
    /// must. What was checked here counts as checked there if all before it does.
    ///
    /// # Panics
    ///
    /// If `from` is past the end.
    pub fn copy_tail_to(&self, from: usize, into: &mut TextBuffer) {
        match self.checked_str().get(from..) {
            Some(checked) => {
                into.push_str(checked);
                into.extend_from_bytes(&self.area[self.checked..self.len]);
            }
            None => into.extend_from_bytes(&self.bytes()[from..]),
        }
    }

    /// Checks what is not checked yet and puts U+FFFD in the place of each bad sequence, as
    /// [`String::from_utf8_lossy`] does. Returns how many it placed; the buffer grows if it must,
    /// and offsets past the first replacement move.
    pub fn replace_bad_utf8(&mut self) -> usize {
        if self.check().is_ok() {
            return 0;
        }
        let bad = self.area[self.checked..self.len].to_vec();
        self.len = self.checked;
        let mut replaced = 0;
        for chunk in bad.utf8_chunks() {
            self.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.push_str("\u{FFFD}");
                replaced += 1;
            }
        }
        replaced
    }

    /// Moves the filled bytes to an area of `capacity` bytes, at least as large as this one.
    fn reallocate(&mut self, capacity: usize) {
        let mut area = vec![0; capacity];
        for page in area.iter_mut().step_by(PAGE) {
            // A zeroed allocation is not backed by memory until it is written to, and the
            // compiler must not drop a write of zero to zeroes.
            *std::hint::black_box(page) = 0;
        }
        area[..self.len].copy_from_slice(&self.area[..self.len]);
        self.area = area;
    }

    #[cold]
    fn not_checked(&self, span: Span) -> ! {
        panic!("{span:?} is not text within the {} checked bytes", self.checked)
    }
}

impl fmt::Debug for TextBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextBuffer")
            .field("len", &self.len)
            .field("checked", &self.checked)
            .field("capacity", &self.area.len())
            .finish()
    }
}
