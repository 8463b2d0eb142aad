//! Rows to the spans of their parts, without a copy: parts are ranges of the same buffer. How a
//! whole text and its rows are cut is written once here, for splitting and for fused counting.

use crate::Span;
use crate::cut::{Borders, Cutter, between, runs, strip_returns};
use crate::isa::{Block, Positions};
use crate::multiversion::multiversion;
use crate::span::assert_spannable;
use crate::white::wide_white;

/// Where a row is cut.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Split {
    /// At each such byte, empty strings kept: Python's `str.split(separator)`.
    Byte(u8),
    /// At runs of White_Space, no empty strings: Rust's `str::split_whitespace`.
    Whitespace,
}

multiversion! {
    /// Appends the parts of each row, cut at each `separator`.
    ///
    /// Empty strings are kept and an empty row is one empty string, as in Python's
    /// `str.split(separator)`.
    ///
    /// ```
    /// use tidemill_kernels::{Span, split_byte};
    ///
    /// let mut parts = Vec::new();
    /// split_byte(b"a;;b", &[Span { start: 0, len: 4 }], b';', &mut parts);
    /// let lengths: Vec<u32> = parts.iter().map(|part| part.len).collect();
    /// assert_eq!(lengths, [1, 0, 1]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a row reaches past `text`, or `text` is 4 GiB or longer.
    pub fn split_byte / split_byte_at(
        text: &[u8],
        rows: &[Span],
        separator: u8,
        out: &mut Vec<Span>,
    ), isa => {
        assert_spannable(text);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut cutter = Cutter::new();
        for row in rows {
            assert!(row.end() <= text.len(), "{row:?} reaches past {} bytes", text.len());
            cutter.make_room(out);
            cutter.start(row.start as usize);
            let borders = |block: &Block, _: usize| {
                between(isa::equal(block, separator))
            };
            cutter.cut(text, (row.start as usize, row.end()), 1, borders, positions, out);
            cutter.end(row.end());
        }
        cutter.flush(out);
    }
}

multiversion! {
    /// Appends the parts of each row between runs of White_Space.
    ///
    /// In valid UTF-8 this is Rust's `str::split_whitespace`, Unicode's spaces included; bytes of
    /// anything else are no space.
    ///
    /// ```
    /// use tidemill_kernels::{Span, split_whitespace};
    ///
    /// let mut parts = Vec::new();
    /// split_whitespace(b"  ebb \t flow", &[Span { start: 0, len: 12 }], &mut parts);
    /// assert_eq!(parts, [Span { start: 2, len: 3 }, Span { start: 8, len: 4 }]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a row reaches past `text`, or `text` is 4 GiB or longer.
    pub fn split_whitespace / split_whitespace_at(
        text: &[u8],
        rows: &[Span],
        out: &mut Vec<Span>,
    ), isa => {
        assert_spannable(text);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut cutter = Cutter::new();
        for row in rows {
            assert!(row.end() <= text.len(), "{row:?} reaches past {} bytes", text.len());
            let mut gap = Gap::before_row();
            let row_text = &text[..row.end()];
            cutter.make_room(out);
            let borders = |block: &Block, at: usize| {
                let leads = isa::wide_white_leads(block);
                gap.borders(row_text, at, isa::ascii_white(block), leads)
            };
            cutter.cut(text, (row.start as usize, row.end()), 0, borders, positions, out);
            if cutter.open().is_some() {
                cutter.end(row.end());
            }
        }
        cutter.flush(out);
    }
}

/// What lies between two runs, carried from block to block.
#[derive(Copy, Clone)]
pub(crate) struct Gap {
    /// 1 where the byte before the block was white.
    before: u64,
    /// Bytes of the block that belong to a space begun in the block before.
    begun: u64,
}

impl Gap {
    #[inline(always)]
    fn before_row() -> Gap {
        Gap { before: 1, begun: 0 }
    }

    #[inline(always)]
    fn borders(&mut self, row: &[u8], at: usize, ascii: u64, leads: u64) -> Borders {
        let mut white = ascii | self.begun;
        self.begun = 0;
        if leads != 0 {
            let (wide, begun) = wide_white(row, at, leads);
            white |= wide;
            self.begun = begun;
        }
        runs(white, &mut self.before)
    }
}

/// The cut of a whole text of lines at `split` and at line ends, a piece of text at a time so that
/// its parts are used while they are in cache.
pub(crate) struct TextSplitter {
    split: Split,
    at: usize,
    /// Start of the part that the pieces before have left open.
    open: Option<usize>,
    moved_end: u64,
    gap: Gap,
}

impl TextSplitter {
    /// Bytes of text per piece: whole blocks.
    pub(crate) const PIECE: usize = 128 * size_of::<Block>();

    /// # Panics
    ///
    /// If `text` is 4 GiB or longer.
    pub(crate) fn new(text: &[u8], split: Split) -> TextSplitter {
        assert_spannable(text);
        // Under a byte, a part is open wherever a line is.
        let open = (matches!(split, Split::Byte(_)) && !text.is_empty()).then_some(0);
        TextSplitter { split, at: 0, open, moved_end: 0, gap: Gap::before_row() }
    }

    /// Appends the parts that end in the next piece of `text`; false if there is none left.
    pub(crate) fn next(&mut self, level: crate::Level, text: &[u8], out: &mut Vec<Span>) -> bool {
        if self.at >= text.len() {
            return false;
        }
        match self.split {
            Split::Byte(separator) => cut_fields_at(level, text, separator, self, out),
            Split::Whitespace => cut_words_at(level, text, self, out),
        }
        true
    }

    fn piece(&self, text: &[u8]) -> (usize, usize) {
        (self.at, text.len().min(self.at + Self::PIECE))
    }
}

multiversion! {
    fn cut_fields_at(
        text: &[u8],
        separator: u8,
        splitter: &mut TextSplitter,
        out: &mut Vec<Span>,
    ), isa => {
        let piece = splitter.piece(text);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut cutter = Cutter::new();
        if let Some(start) = splitter.open {
            cutter.start(start);
        }
        let mut carry = splitter.moved_end;
        let borders = |block: &Block, at: usize| {
            let feeds = isa::equal(block, b'\n');
            let returns = isa::equal(block, b'\r');
            let feed_follows = text.get(at + block.len()) == Some(&b'\n');
            let separators = isa::equal(block, separator) | feeds;
            strip_returns(between(separators), feeds, returns, feed_follows, &mut carry)
        };
        cutter.cut(text, piece, 1, borders, positions, out);
        splitter.moved_end = carry;
        if piece.1 == text.len() {
            // A line end closes the last line; without one, its last part ends here.
            if text.ends_with(b"\n") {
                cutter.forget_open();
            } else {
                cutter.end(text.len());
            }
        }
        splitter.open = cutter.open();
        cutter.flush(out);
        splitter.at = piece.1;
    }
}

multiversion! {
    fn cut_words_at(text: &[u8], splitter: &mut TextSplitter, out: &mut Vec<Span>), isa => {
        let piece = splitter.piece(text);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut cutter = Cutter::new();
        if let Some(start) = splitter.open {
            cutter.start(start);
        }
        let mut gap = splitter.gap;
        let borders = |block: &Block, at: usize| {
            gap.borders(text, at, isa::ascii_white(block), isa::wide_white_leads(block))
        };
        cutter.cut(text, piece, 0, borders, positions, out);
        splitter.gap = gap;
        if piece.1 == text.len() && cutter.open().is_some() {
            cutter.end(text.len());
        }
        splitter.open = cutter.open();
        cutter.flush(out);
        splitter.at = piece.1;
    }
}
