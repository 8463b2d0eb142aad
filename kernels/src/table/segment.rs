//! One segment of a class: lines of 64 bytes, so that a look at a key's home touches one cache
//! line, with linear probing from there. It grows in place and so touches only the memory it adds.
//!
//! Between a key's home line and the line where it lies there is no empty slot.

use super::hash::Tag;

/// Top bits of a tag that all keys of a segment share.
pub(super) const SEGMENT_BITS: u32 = 6;

/// Lines of a segment that is made.
const MIN_LINES: usize = 4;

/// Lines past its home where a key is far from it: with half the slots full, one in a billion is.
const FAR: usize = 16;

/// Clears of a nearly empty segment before its memory shrinks.
const IDLE_CLEARS: u8 = 8;

/// Slots of `S` keys with `W` words each, in one cache line.
#[derive(Copy, Clone)]
#[repr(C, align(64))]
pub(super) struct Line<const W: usize, const S: usize> {
    pub(super) keys: [[u64; W]; S],
    /// Zero in an empty slot; a line's slots are filled from the first on.
    pub(super) tags: [Tag; S],
    pub(super) values: [i64; S],
}

const _: () = assert!(size_of::<Line<2, 2>>() == 64 && size_of::<Line<6, 1>>() == 64);

impl<const W: usize, const S: usize> Line<W, S> {
    const EMPTY: Self = Line { keys: [[0; W]; S], tags: [0; S], values: [0; S] };

    /// Which slot has the key, and whether one has: a slot in any case, without a branch.
    ///
    /// Of two slots with this tag only the last is looked at, so a key may be missed here if it
    /// shares 56 bits of hash with its neighbour.
    #[inline(always)]
    pub(super) fn find(
        &self,
        key: &[u64; W],
        tag: Tag,
        same: impl Fn(&[u64; W], &[u64; W]) -> bool,
    ) -> (usize, bool) {
        let slot = (1..S).fold(0, |slot, other| if self.tags[other] == tag { other } else { slot });
        (slot, (self.tags[slot] == tag) & same(&self.keys[slot], key))
    }

    #[inline]
    pub(super) fn put(&mut self, slot: usize, key: [u64; W], tag: Tag, value: i64) {
        self.keys[slot] = key;
        self.tags[slot] = tag;
        self.values[slot] = value;
    }

    /// Puts the key of another line's slot into the first empty slot; false if there is none.
    #[inline]
    fn take_over(&mut self, from: &Self, slot: usize) -> bool {
        match self.tags.iter().position(|tag| *tag == 0) {
            Some(empty) => {
                self.put(empty, from.keys[slot], from.tags[slot], from.values[slot]);
                true
            }
            None => false,
        }
    }
}

/// Lines of the keys whose tags begin with the segment's number.
#[derive(Clone)]
pub(super) struct Segment<const W: usize, const S: usize> {
    /// A power of two.
    pub(super) lines: Vec<Line<W, S>>,
    pub(super) len: usize,
    idle_clears: u8,
}

impl<const W: usize, const S: usize> Segment<W, S> {
    pub(super) fn new() -> Self {
        Segment::with_lines(MIN_LINES)
    }

    fn with_lines(lines: usize) -> Self {
        Segment { lines: vec![Line::EMPTY; lines], len: 0, idle_clears: 0 }
    }

    /// The number of the line where the search for `tag` begins: below the number of lines, and
    /// monotone in the tag (Lemire, "Fast random integer generation in an interval", 2019), so that
    /// any number of lines will do.
    #[inline(always)]
    pub(super) fn home(&self, tag: Tag) -> usize {
        let within = tag << SEGMENT_BITS;
        ((u128::from(within) * self.lines.len() as u128) >> 64) as usize
    }

    /// The line where a search goes on.
    #[inline(always)]
    pub(super) fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// Whether the next key has to wait for more lines: at half the slots.
    ///
    /// Or where a key came to lie `far` from home, which happens when keys arrive in the order of
    /// their hashes, as out of another table: they would all pile up on the first lines until there
    /// are lines for half of those to come.
    #[inline]
    pub(super) fn is_full(&self, far: bool) -> bool {
        let slots = self.lines.len() * S;
        self.len * 2 > slots || far && self.len * 16 > slots
    }

    /// Whether `line` is far from the home of `tag`.
    #[inline]
    pub(super) fn is_far(&self, tag: Tag, line: usize) -> bool {
        let home = self.home(tag);
        // A search that ends goes on at the first line.
        let lines = if line < home { line + self.lines.len() - home } else { line - home };
        lines > FAR
    }

    /// Doubles the lines.
    pub(super) fn grow(&mut self) {
        self.spread(2 * self.lines.len());
    }

    /// Adds lines in place: homes only move up, so lines are emptied from the last on and their
    /// keys put into lines that are done.
    fn spread(&mut self, lines: usize) {
        let old_lines = self.lines.len();
        self.lines.resize(lines, Line::EMPTY);
        let mut left = Vec::new();
        for at in (0..old_lines).rev() {
            let line = std::mem::replace(&mut self.lines[at], Line::EMPTY);
            for slot in (0..S).filter(|slot| line.tags[*slot] != 0) {
                let home = self.home(line.tags[slot]);
                // Near the first line, and where a cluster wraps around, a key's home is in lines
                // that are not done: such a key has to wait.
                let mut done =
                    if home < at { [].iter_mut() } else { self.lines[home..].iter_mut() };
                if !done.any(|into| into.take_over(&line, slot)) {
                    left.push((line, slot));
                }
            }
        }
        for (line, slot) in left {
            let mut at = self.home(line.tags[slot]);
            while !self.lines[at].take_over(&line, slot) {
                at = self.after(at);
            }
        }
    }

    /// Forgets the keys. A segment that stays nearly empty for some clears gives memory back.
    pub(super) fn clear(&mut self) {
        let slots = self.lines.len() * S;
        let is_idle = self.lines.len() > MIN_LINES && self.len * 16 < slots;
        self.idle_clears = if is_idle { self.idle_clears + 1 } else { 0 };
        if self.idle_clears == IDLE_CLEARS {
            // Room for four times the keys at half full.
            *self = Segment::with_lines((self.len * 8 / S).max(MIN_LINES).next_power_of_two());
        } else if self.len > 0 {
            self.lines.fill(Line::EMPTY);
            self.len = 0;
        }
    }
}
