//! A class that outgrew the caches: keys and numbers in a [`Log`], and an index of eight bytes a
//! slot over it. A look-up costs two cache misses instead of one, which batches overlap; in turn a
//! new key moves nothing but slots of the index, and memory is 37 bytes for a key of 16 instead of
//! 32 over how full the lines are.
//!
//! The index is sixteen segments chosen by the hash's top bits; each grows alone, at a length that
//! no other has, so that no row waits for more than a sixteenth of it.

use super::hash::Tag;
use super::huge;
use super::log::{Log, Place};
use super::prefetch::prefetch;

/// Top bits of a tag that all keys of a segment share.
const DENSE_BITS: u32 = 4;

/// Segments of an index.
const DENSE_SEGMENTS: usize = 1 << DENSE_BITS;

/// Times its lines that a segment reserves: memory that is not written to costs nothing yet.
const RESERVE: usize = 4;

/// Slots of a line.
pub(super) const SLOTS: usize = 8;

/// What a slot knows of its key: 26 bits of hash, and the six of the tag that say how long it is;
/// never zero.
type Mark = u32;

/// The index of one class, and what it leads to.
#[derive(Clone)]
pub(super) struct Dense<const W: usize> {
    segments: Vec<IndexSegment>,
    log: Log<W>,
    /// Scratch of growth.
    used: Vec<u8>,
}

#[derive(Clone)]
struct IndexSegment {
    lines: Vec<IndexLine>,
    len: usize,
}

/// Slots in one cache line; they are filled from the first on.
#[derive(Copy, Clone)]
#[repr(C, align(64))]
pub(super) struct IndexLine {
    /// Zero in an empty slot.
    pub(super) marks: [Mark; SLOTS],
    pub(super) places: [Place; SLOTS],
}

const _: () = assert!(size_of::<IndexLine>() == 64);

impl IndexLine {
    const EMPTY: IndexLine = IndexLine { marks: [0; SLOTS], places: [0; SLOTS] };
}

/// An empty slot of the index, where a key goes that was not found.
#[derive(Copy, Clone)]
pub(super) struct EmptySlot {
    segment: usize,
    line: usize,
    slot: usize,
}

/// The mark of a tag.
#[inline(always)]
fn mark_of(tag: Tag) -> Mark {
    ((tag << DENSE_BITS) >> 32) as Mark & !0x3F | tag as Mark & 0x3F
}

/// The segment of a tag.
#[inline(always)]
fn segment_of(tag: Tag) -> usize {
    (tag >> (u64::BITS - DENSE_BITS)) as usize
}

impl IndexSegment {
    /// Where the search for `mark` begins: monotone in the mark, as `Segment::home` is in the tag.
    #[inline(always)]
    fn home(&self, mark: Mark) -> usize {
        ((u64::from(mark) * self.lines.len() as u64) >> Mark::BITS) as usize
    }

    #[inline(always)]
    fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.len * 5 > self.lines.len() * SLOTS * 4
    }

    /// Half as many lines again: with growth at 80 in 100, 53 to 80 slots in 100 are full.
    ///
    /// In place, so that only the memory that is added is new: homes only move up, so lines are
    /// emptied from the last on and their keys put into lines that are done.
    #[cold]
    fn grow(&mut self, used: &mut Vec<u8>) {
        let old_lines = self.lines.len();
        let lines = old_lines + old_lines.div_ceil(2);
        if lines > self.lines.capacity() {
            let mut lines = huge::vec_with_capacity(lines, RESERVE * lines);
            lines.extend_from_slice(&self.lines);
            self.lines = lines;
        }
        self.lines.resize(lines, IndexLine::EMPTY);
        // How many slots of each line that is done are used.
        used.clear();
        used.resize(lines, 0);
        let mut left = Vec::new();
        for at in (0..old_lines).rev() {
            let line = std::mem::replace(&mut self.lines[at], IndexLine::EMPTY);
            for (mark, place) in line.marks.into_iter().zip(line.places) {
                if mark == 0 {
                    break;
                }
                let mut into = self.home(mark);
                // Near the first line, and where a cluster wraps around, a key's home is in lines
                // that are not done: such a key has to wait.
                if into < at {
                    left.push((mark, place));
                    continue;
                }
                while into < lines && used[into] as usize == SLOTS {
                    into += 1;
                }
                if into == lines {
                    left.push((mark, place));
                    continue;
                }
                let slot = used[into] as usize;
                self.lines[into].marks[slot] = mark;
                self.lines[into].places[slot] = place;
                used[into] += 1;
            }
        }
        for (mark, place) in left {
            self.put_first(mark, place);
        }
    }

    /// Puts a key that is not there into the first empty slot from its home on.
    #[inline(always)]
    fn put_first(&mut self, mark: Mark, place: Place) {
        let mut at = self.home(mark);
        loop {
            let line = &mut self.lines[at];
            let used: usize = line.marks.iter().map(|mark| usize::from(*mark != 0)).sum();
            if used < SLOTS {
                line.marks[used] = mark;
                line.places[used] = place;
                return;
            }
            at = self.after(at);
        }
    }
}

impl<const W: usize> Dense<W> {
    /// An empty index with room for so many keys.
    pub(super) fn with_room(keys: usize) -> Self {
        let per_segment = keys.div_ceil(DENSE_SEGMENTS);
        let segments = (0..DENSE_SEGMENTS)
            .map(|number| {
                // Growth is by half each time; the first sizes are spread over such a step.
                let slots = per_segment * 5 / 4;
                let lines = (slots + slots * number / (2 * DENSE_SEGMENTS)) / SLOTS + 1;
                let mut segment = huge::vec_with_capacity(lines, RESERVE * lines);
                segment.resize(lines, IndexLine::EMPTY);
                IndexSegment { lines: segment, len: 0 }
            })
            .collect();
        Dense { segments, log: Log::new(), used: Vec::new() }
    }

    /// The line where the search for a tag begins.
    #[inline(always)]
    pub(super) fn home(&self, tag: Tag) -> &IndexLine {
        let segment = &self.segments[segment_of(tag)];
        &segment.lines[segment.home(mark_of(tag))]
    }

    /// Asks for the home line of a tag.
    #[inline(always)]
    pub(super) fn prefetch_home(&self, tag: Tag) {
        prefetch(self.home(tag));
    }

    /// Asks for what a look-up of the tag will need past the home line, which should have come:
    /// the entry of the first slot with its mark or, where there is none, the next line. Returns
    /// the entry's place.
    #[inline(always)]
    pub(super) fn prefetch_entry(
        &self,
        tag: Tag,
        equal: impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Option<Place> {
        let line = self.home(tag);
        let candidates = equal(&line.marks, mark_of(tag));
        if candidates == 0 {
            prefetch(std::ptr::from_ref(line).wrapping_add(1));
            return None;
        }
        let place = line.places[candidates.trailing_zeros() as usize];
        self.log.prefetch(place);
        Some(place)
    }

    /// Looks for the key that has `tag` and whose words `is_key` accepts. `equal` says which of the
    /// words in a line are one.
    #[inline(always)]
    pub(super) fn search(
        &self,
        tag: Tag,
        is_key: impl Fn(&[u64; W]) -> bool,
        equal: impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Result<Place, EmptySlot> {
        let number = segment_of(tag);
        let mark = mark_of(tag);
        let segment = &self.segments[number];
        let mut at = segment.home(mark);
        loop {
            let line = &segment.lines[at];
            let mut candidates = equal(&line.marks, mark);
            while candidates != 0 {
                let place = line.places[candidates.trailing_zeros() as usize];
                if is_key(self.log.entry(place).0) {
                    return Ok(place);
                }
                candidates &= candidates - 1;
            }
            let empty = equal(&line.marks, 0);
            if empty != 0 {
                let slot = empty.trailing_zeros() as usize;
                return Err(EmptySlot { segment: number, line: at, slot });
            }
            at = segment.after(at);
        }
    }

    /// Puts a new key into the slot where its search ended.
    #[inline(always)]
    pub(super) fn insert(&mut self, empty: EmptySlot, words: [u64; W], tag: Tag, value: i64) {
        let place = self.log.push(words, value, tag as u8);
        let segment = &mut self.segments[empty.segment];
        let line = &mut segment.lines[empty.line];
        line.marks[empty.slot] = mark_of(tag);
        line.places[empty.slot] = place;
        segment.len += 1;
        if segment.is_full() {
            segment.grow(&mut self.used);
        }
    }

    /// Changes the number of an entry; what `change` returns, too.
    #[inline(always)]
    pub(super) fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut i64) -> R) -> R {
        self.log.change(place, change)
    }

    /// The words of an entry's key.
    #[inline(always)]
    pub(super) fn words(&self, place: Place) -> &[u64; W] {
        self.log.entry(place).0
    }

    /// All entries.
    pub(super) fn log(&self) -> &Log<W> {
        &self.log
    }

    /// Puts a key that is known to be new.
    pub(super) fn insert_new(&mut self, words: [u64; W], tag: Tag, value: i64) {
        let place = self.log.push(words, value, tag as u8);
        let segment = &mut self.segments[segment_of(tag)];
        segment.put_first(mark_of(tag), place);
        segment.len += 1;
        if segment.is_full() {
            segment.grow(&mut self.used);
        }
    }

    /// Forgets the keys and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.log.clear();
        for segment in &mut self.segments {
            segment.lines.fill(IndexLine::EMPTY);
            segment.len = 0;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lines: usize = self.segments.iter().map(|segment| segment.lines.len()).sum();
        lines * size_of::<IndexLine>()
            + self.segments.capacity() * size_of::<IndexSegment>()
            + self.used.capacity()
            + self.log.memory_bytes()
    }
}
