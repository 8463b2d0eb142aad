//! Text to the spans of its pieces, for every kind of cut: each 64 bytes become a mask of starts
//! and a mask of ends, and masks become positions. A cut differs from the next only in its masks,
//! and the n-th end always belongs to the n-th start.
//!
//! Structural positions by mask and compression are simdjson's (Langdale and Lemire, "Parsing
//! gigabytes of JSON per second", 2019).

use crate::Span;
use crate::isa::{BLOCK, Block, Positions};

/// Positions kept before they are made into spans: a few blocks' worth, and small to initialise.
const ROOM: usize = 512;

/// A block's borders: bit `i` of `starts` is a piece that starts at byte `i` + the cutter's shift,
/// bit `i` of `ends` one that ends before byte `i`.
#[derive(Copy, Clone)]
pub(crate) struct Borders {
    pub(crate) starts: u64,
    pub(crate) ends: u64,
}

/// Collects borders and hands them out as spans.
pub(crate) struct Cutter {
    starts: [u32; ROOM],
    start_count: usize,
    ends: [u32; ROOM],
    end_count: usize,
}

impl Cutter {
    #[inline(always)]
    pub(crate) fn new() -> Cutter {
        Cutter { starts: [0; ROOM], start_count: 0, ends: [0; ROOM], end_count: 0 }
    }

    /// Adds one start, outside the masks.
    #[inline(always)]
    pub(crate) fn start(&mut self, at: usize) {
        self.starts[self.start_count] = at as u32;
        self.start_count += 1;
    }

    /// Adds one end, outside the masks.
    #[inline(always)]
    pub(crate) fn end(&mut self, at: usize) {
        self.ends[self.end_count] = at as u32;
        self.end_count += 1;
    }

    /// The last start, if its end has not come.
    #[inline(always)]
    pub(crate) fn open(&self) -> Option<usize> {
        let is_open = self.start_count > self.end_count;
        is_open.then(|| self.starts[self.start_count - 1] as usize)
    }

    /// Takes back the last start, whose end has not come.
    #[inline(always)]
    pub(crate) fn forget_open(&mut self) {
        self.start_count = self.end_count;
    }

    /// Adds the borders of the blocks of `text[from..to]`; `to` is past `from` by whole blocks
    /// unless the text, or the row, ends there.
    #[inline(always)]
    pub(crate) fn cut(
        &mut self,
        text: &[u8],
        (from, to): (usize, usize),
        shift: u32,
        mut borders: impl FnMut(&Block, usize) -> Borders,
        positions: impl Fn(u64, u32, &mut Positions),
        out: &mut Vec<Span>,
    ) {
        let mut at = from;
        while at < to {
            let mut padded = [0; BLOCK];
            let block = match text[at..].first_chunk() {
                Some(block) => block,
                None => {
                    padded[..text.len() - at].copy_from_slice(&text[at..]);
                    &padded
                }
            };
            let within = if to - at < BLOCK { (1 << (to - at)) - 1 } else { u64::MAX };
            let Borders { starts, ends } = borders(block, at);
            let (starts, ends) = (starts & within, ends & within);
            self.make_room(out);
            let into_ends: &mut Positions =
                self.ends[self.end_count..].first_chunk_mut().expect("room was made");
            let into_starts: &mut Positions =
                self.starts[self.start_count..].first_chunk_mut().expect("room was made");
            let end_count = ends.count_ones() as usize;
            positions(ends, at as u32, into_ends);
            if starts == ends {
                // Between separators every end is followed by a start: no need to find both. Two
                // steps at least, as the number of steps is then nearly always the same.
                let (from, _) = into_ends.as_chunks::<16>();
                let (into, _) = into_starts.as_chunks_mut::<16>();
                for (into, from) in into.iter_mut().zip(from).take(end_count.div_ceil(16).max(2)) {
                    *into = from.map(|end| end.wrapping_add(shift));
                }
            } else {
                positions(starts, at as u32 + shift, into_starts);
            }
            self.start_count += starts.count_ones() as usize;
            self.end_count += end_count;
            at += BLOCK;
        }
    }

    /// Makes room for one block's borders and two more.
    #[inline(always)]
    pub(crate) fn make_room(&mut self, out: &mut Vec<Span>) {
        if self.start_count.max(self.end_count) > ROOM - BLOCK - 2 {
            self.flush(out);
        }
    }

    /// Appends the finished pieces to `out`; an open start stays.
    #[inline(always)]
    pub(crate) fn flush(&mut self, out: &mut Vec<Span>) {
        debug_assert!(self.end_count <= self.start_count && self.start_count <= self.end_count + 1);
        let ends = &self.ends[..self.end_count];
        let pairs = self.starts.iter().zip(ends);
        out.extend(pairs.map(|(&start, &end)| Span { start, len: end - start }));
        if self.start_count > self.end_count {
            self.starts[0] = self.starts[self.end_count];
        }
        self.start_count -= self.end_count;
        self.end_count = 0;
    }
}

/// Borders where each byte of `separators` ends one piece and starts the next.
#[inline(always)]
pub(crate) fn between(separators: u64) -> Borders {
    Borders { starts: separators, ends: separators }
}

/// Moves the ends at line feeds one byte ahead where a carriage return stands before them.
///
/// `returns` are the block's carriage returns and `feed_follows` whether a line feed is the next
/// byte after the block. `carry` is 1 where the last block ended with a moved end, and is updated.
#[inline(always)]
pub(crate) fn strip_returns(
    borders: Borders,
    feeds: u64,
    returns: u64,
    feed_follows: bool,
    carry: &mut u64,
) -> Borders {
    let moved = returns & (feeds >> 1 | u64::from(feed_follows) << (BLOCK - 1));
    let ends = borders.ends & !(moved << 1 | *carry) | moved;
    *carry = moved >> (BLOCK - 1);
    Borders { starts: borders.starts, ends }
}

/// Borders of the runs of bytes outside `white`. `in_gap` is 1 where the byte before the block was
/// white, and is updated.
#[inline(always)]
pub(crate) fn runs(white: u64, in_gap: &mut u64) -> Borders {
    let after_white = white << 1 | *in_gap;
    *in_gap = white >> (BLOCK - 1);
    Borders { starts: !white & after_white, ends: white & !after_white }
}
