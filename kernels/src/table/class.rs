//! The slots of one class of keys, open addressing with linear probing: lines of 64 bytes, so that
//! a probe touches one cache line, in 64 segments chosen by the hash's top bits, so that no growth
//! moves more than a segment and a share of the segments is a share of the keys.
//!
//! Nothing is ever removed, so a key is found between its home line and the first empty slot after.

use std::ops::Range;

use super::hash::Tag;

/// Segments per class: the top bits of a tag choose.
pub(super) const SEGMENTS: usize = 64;
const SEGMENT_BITS: u32 = SEGMENTS.trailing_zeros();

/// Clears of a nearly empty segment before its memory shrinks.
const IDLE_CLEARS: u8 = 8;

/// Lines of a segment that is made.
const MIN_LINES: usize = 4;

/// Lines from which a segment trades speed for memory: 64 of them are past the L2 cache.
const DENSE_LINES: usize = 2048;

/// Slots of `S` keys with `W` words each, in one cache line.
#[derive(Copy, Clone)]
#[repr(C, align(64))]
pub(super) struct Line<const W: usize, const S: usize> {
    keys: [[u64; W]; S],
    /// Zero in an empty slot.
    tags: [Tag; S],
    pub(super) values: [i64; S],
}

const _: () = assert!(size_of::<Line<2, 2>>() == 64 && size_of::<Line<6, 1>>() == 64);

impl<const W: usize, const S: usize> Line<W, S> {
    const EMPTY: Self = Line { keys: [[0; W]; S], tags: [0; S], values: [0; S] };

    /// Which slot has the key, and whether one has: a slot in any case, without a branch.
    ///
    /// Of two slots with this tag only the last is looked at, so a key of which two share 56 bits
    /// of hash may be missed here.
    #[inline(always)]
    pub(super) fn find(&self, key: &[u64; W], tag: Tag, same: impl Fn(&[u64; W], &[u64; W]) -> bool) -> (usize, bool) {
        let slot = (1..S).fold(0, |slot, other| if self.tags[other] == tag { other } else { slot });
        let found = (self.tags[slot] == tag) & same(&self.keys[slot], key);
        (slot, found)
    }
}

/// Lines of the keys whose tags begin with the segment's number.
#[derive(Clone)]
pub(super) struct Segment<const W: usize, const S: usize> {
    lines: Vec<Line<W, S>>,
    len: usize,
    idle_clears: u8,
}

/// All slots of one class.
#[derive(Clone)]
pub(super) struct Class<const W: usize, const S: usize> {
    /// None until they are [opened](Class::open), then [`SEGMENTS`].
    segments: Vec<Segment<W, S>>,
    len: usize,
    growths: u64,
}

pub(super) type ShortLine = Line<2, 2>;

/// A slot of a class.
#[derive(Copy, Clone)]
pub(super) struct Place {
    segment: usize,
    line: usize,
    slot: usize,
}

/// What [`Class::search`] found: the key, or the empty slot where it would go.
pub(super) enum Found {
    Key(Place),
    Empty(Place),
}

impl<const W: usize, const S: usize> Class<W, S> {
    pub(super) fn new() -> Self {
        Class { segments: Vec::new(), len: 0, growths: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn growths(&self) -> u64 {
        self.growths
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lines: usize = self.segments.iter().map(|segment| segment.lines.capacity()).sum();
        lines * size_of::<Line<W, S>>() + self.segments.capacity() * size_of::<Segment<W, S>>()
    }

    /// Makes the segments, if they are not there yet.
    pub(super) fn open(&mut self) {
        if self.segments.is_empty() {
            self.segments = vec![Segment::with_lines(MIN_LINES); SEGMENTS];
        }
    }

    /// All segments, as an array so that the top bits of a tag are always in bounds.
    #[inline(always)]
    pub(super) fn opened(&self) -> &[Segment<W, S>; SEGMENTS] {
        self.segments.first_chunk().expect("an opened class")
    }

    /// All segments, to look into and update.
    #[inline(always)]
    pub(super) fn opened_mut(&mut self) -> &mut [Segment<W, S>; SEGMENTS] {
        self.segments.first_chunk_mut().expect("an opened class")
    }

    /// Looks for the key whose slot has `tag` and of which `is_key` is true.
    pub(super) fn search(&self, tag: Tag, is_key: impl Fn(&[u64; W]) -> bool) -> Found {
        let index = segment_of(tag);
        let segment = &self.segments[index];
        let mut line = segment.home(tag);
        loop {
            let Line { keys, tags, .. } = &segment.lines[line];
            for slot in 0..S {
                let place = Place { segment: index, line, slot };
                if tags[slot] == 0 {
                    return Found::Empty(place);
                }
                if tags[slot] == tag && is_key(&keys[slot]) {
                    return Found::Key(place);
                }
            }
            line = if line + 1 == segment.lines.len() { 0 } else { line + 1 };
        }
    }

    #[inline]
    pub(super) fn value_mut(&mut self, place: Place) -> &mut i64 {
        &mut self.segments[place.segment].lines[place.line].values[place.slot]
    }

    /// Puts a new key into the empty slot where its search ended.
    pub(super) fn insert(&mut self, place: Place, key: [u64; W], tag: Tag, value: i64) {
        let segment = &mut self.segments[place.segment];
        segment.lines[place.line].put(place.slot, key, tag, value);
        segment.len += 1;
        self.len += 1;
        if segment.is_full() {
            segment.grow();
            self.growths += 1;
        }
    }

    /// Calls `each` with key words, tag and value of all keys in `segments`, until it fails.
    pub(super) fn try_for_each_in<E>(
        &self,
        segments: Range<usize>,
        mut each: impl FnMut(&[u64; W], Tag, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        for segment in self.segments.get(segments).unwrap_or_default() {
            if segment.len == 0 {
                continue;
            }
            for line in &segment.lines {
                for slot in 0..S {
                    if line.tags[slot] != 0 {
                        each(&line.keys[slot], line.tags[slot], line.values[slot])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets the keys. A segment that stays nearly empty for some clears gives memory back, so
    /// that one large batch does not make every later clear slow.
    pub(super) fn clear(&mut self) {
        for segment in &mut self.segments {
            segment.clear();
        }
        self.len = 0;
    }
}

impl<const W: usize, const S: usize> Line<W, S> {
    #[inline]
    fn put(&mut self, slot: usize, key: [u64; W], tag: Tag, value: i64) {
        self.keys[slot] = key;
        self.tags[slot] = tag;
        self.values[slot] = value;
    }
}

impl<const W: usize, const S: usize> Segment<W, S> {
    fn with_lines(lines: usize) -> Self {
        Segment { lines: vec![Line::EMPTY; lines], len: 0, idle_clears: 0 }
    }

    /// The number of the line where the search for `tag` begins, monotone in the tag (Lemire, "Fast
    /// random integer generation in an interval", 2019), so that any number of lines will do.
    #[inline(always)]
    pub(super) fn home(&self, tag: Tag) -> usize {
        let within = tag << SEGMENT_BITS;
        ((u128::from(within) * self.lines.len() as u128) >> 64) as usize
    }

    #[inline(always)]
    pub(super) fn home_ptr(&mut self, tag: Tag) -> *mut Line<W, S> {
        let home = self.home(tag);
        self.lines.as_mut_ptr().wrapping_add(home)
    }

    fn slots(&self) -> usize {
        self.lines.len() * S
    }

    /// Whether the next key has to wait for more lines: at half the slots while they are in cache,
    /// at seven eighths from then on.
    fn is_full(&self) -> bool {
        if self.lines.len() < DENSE_LINES {
            self.len * 2 > self.slots()
        } else {
            self.len * 8 > self.slots() * 7
        }
    }

    fn grow(&mut self) {
        let lines = self.lines.len();
        let lines = if lines < DENSE_LINES { lines * 2 } else { lines + lines / 5 };
        let old = std::mem::replace(&mut self.lines, vec![Line::EMPTY; lines]);
        for line in &old {
            for slot in 0..S {
                if line.tags[slot] != 0 {
                    self.put_new(line.keys[slot], line.tags[slot], line.values[slot]);
                }
            }
        }
    }

    /// Puts a key that is not there into the first empty slot from its home on.
    fn put_new(&mut self, key: [u64; W], tag: Tag, value: i64) {
        let mut at = self.home(tag);
        loop {
            let line = &mut self.lines[at];
            for slot in 0..S {
                if line.tags[slot] == 0 {
                    return line.put(slot, key, tag, value);
                }
            }
            at = if at + 1 == self.lines.len() { 0 } else { at + 1 };
        }
    }

    fn clear(&mut self) {
        let is_idle = self.lines.len() > MIN_LINES && self.len * 16 < self.slots();
        self.idle_clears = if is_idle { self.idle_clears + 1 } else { 0 };
        if self.idle_clears == IDLE_CLEARS {
            // Room for four times the keys at half full.
            let lines = (self.len * 8).div_ceil(S).max(MIN_LINES);
            *self = Segment::with_lines(lines.min(self.lines.len()));
        } else if self.len > 0 {
            self.lines.fill(Line::EMPTY);
            self.len = 0;
        }
    }
}

/// The segment of a tag.
#[inline(always)]
pub(super) fn segment_of(tag: Tag) -> usize {
    (tag >> (u64::BITS - SEGMENT_BITS)) as usize
}
