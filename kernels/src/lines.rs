//! Text to lines, the first step of every text source; a line end is `\n` or `\r\n` and belongs to
//! no line, exactly as in `str::lines`.

use crate::Span;
use crate::cut::{Cutter, between, strip_returns};
use crate::isa::{Block, Positions};
use crate::multiversion::multiversion;
use crate::span::assert_spannable;

multiversion! {
    /// Appends the span of each line of `text`.
    ///
    /// A last line without an end is a line too, unless it is empty; a `\r` before anything but
    /// `\n` is content.
    ///
    /// ```
    /// use tidemill_kernels::{Span, line_spans};
    ///
    /// let mut lines = Vec::new();
    /// line_spans(b"ebb\r\nflow", &mut lines);
    /// assert_eq!(lines, [Span { start: 0, len: 3 }, Span { start: 5, len: 4 }]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `text` is 4 GiB or longer.
    pub fn line_spans / line_spans_at(text: &[u8], out: &mut Vec<Span>), isa => {
        assert_spannable(text);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut cutter = Cutter::new();
        let mut carry = 0;
        cutter.start(0);
        let borders = |block: &Block, at: usize| {
            let feeds = isa::equal(block, b'\n');
            let returns = isa::equal(block, b'\r');
            let feed_follows = text.get(at + block.len()) == Some(&b'\n');
            strip_returns(between(feeds), feeds, returns, feed_follows, &mut carry)
        };
        cutter.cut(text, (0, text.len()), 1, borders, positions, out);
        match cutter.open() {
            Some(start) if start < text.len() => cutter.end(text.len()),
            _ => cutter.forget_open(),
        }
        cutter.flush(out);
    }
}

multiversion! {
    /// How many bytes of `text` are `\n`.
    ///
    /// ```
    /// assert_eq!(tidemill_kernels::count_newlines(b"ebb\nflow\nslack"), 2);
    /// ```
    pub fn count_newlines / count_newlines_at(text: &[u8]) -> usize, isa => {
        let (blocks, rest) = text.as_chunks();
        let blocks: usize =
            blocks.iter().map(|block| isa::equal(block, b'\n').count_ones() as usize).sum();
        blocks + rest.iter().filter(|byte| **byte == b'\n').count()
    }
}
