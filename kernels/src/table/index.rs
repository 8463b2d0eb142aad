//! An index of eight bytes a slot: from the hash of a key to the key's number, or whatever else 32
//! bits may say of where it is. Who asks compares the key; the index knows 32 bits of its hash.
//!
//! Sixty-four segments, chosen by the hash's top bits, grow apart, each at a length that no other
//! has, so that no row waits for more than a part of it; and they grow by what is in them, without
//! a look at any key.

use super::hash::Tag;
use super::prefetch::prefetch;
use crate::huge;

/// Top bits of a tag that all keys of a segment share.
const INDEX_BITS: u32 = 6;

/// Segments of an index.
const INDEX_SEGMENTS: usize = 1 << INDEX_BITS;

/// Lines of a segment whose memory is not worth time: all of them fill an L2 cache.
const SMALL_LINES: usize = 256;

/// Times its lines that a segment reserves: memory that is not written to costs nothing yet.
const RESERVE: usize = 4;

/// Slots of a line.
pub(crate) const SLOTS: usize = 8;

/// Clears of a nearly empty index before its memory shrinks.
const IDLE_CLEARS: u8 = 8;

/// What a slot knows of its key: 26 bits of hash and the last six of the tag, which are not zero.
type Mark = u32;

/// Marks and numbers of any number of keys.
#[derive(Clone)]
pub(crate) struct Index {
    segments: [IndexSegment; INDEX_SEGMENTS],
    len: usize,
    idle_clears: u8,
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
struct IndexLine {
    /// Zero in an empty slot.
    marks: [Mark; SLOTS],
    numbers: [u32; SLOTS],
}

const _: () = assert!(size_of::<IndexLine>() == 64);

impl IndexLine {
    const EMPTY: IndexLine = IndexLine { marks: [0; SLOTS], numbers: [0; SLOTS] };

    /// The number in the first slot that has this mark.
    #[inline(always)]
    fn first(&self, mark: Mark, equal: impl Fn(&[u32; SLOTS], u32) -> u32) -> Option<u32> {
        let candidates = equal(&self.marks, mark);
        (candidates != 0).then(|| self.numbers[candidates.trailing_zeros() as usize])
    }

    /// How many slots are used.
    #[inline(always)]
    fn used(&self) -> usize {
        self.marks.iter().map(|mark| usize::from(*mark != 0)).sum()
    }
}

/// An empty slot of the index, where a key goes that was not found.
#[derive(Copy, Clone)]
pub(crate) struct EmptySlot {
    segment: usize,
    line: usize,
    slot: usize,
}

/// The mark of a tag.
#[inline(always)]
fn mark_of(tag: Tag) -> Mark {
    ((tag << INDEX_BITS) >> 32) as Mark & !0x3F | tag as Mark & 0x3F
}

/// The segment of a tag.
#[inline(always)]
fn segment_of(tag: Tag) -> usize {
    (tag >> (u64::BITS - INDEX_BITS)) as usize
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

    /// Half as many lines again: with growth at 80 in 100, 53 to 80 slots in 100 are full. As long
    /// as the segment is small, twice as many; then once by what spreads the segments, which have
    /// all come to the same length so far, evenly over such a step.
    ///
    /// In place, so that only the memory that is added is new: homes only move up, so lines are
    /// emptied from the last on and their keys put into lines that are done.
    #[cold]
    fn grow(&mut self, number: usize, used: &mut Vec<u8>) {
        let old_lines = self.lines.len();
        let step = match old_lines {
            ..SMALL_LINES => old_lines,
            SMALL_LINES => old_lines / 4 + old_lines * 5 / 8 * number / INDEX_SEGMENTS,
            _ => old_lines.div_ceil(2),
        };
        let lines = old_lines + step;
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
            for (mark, number) in line.marks.into_iter().zip(line.numbers) {
                if mark == 0 {
                    break;
                }
                let mut into = self.home(mark);
                // Near the first line, and where a cluster wraps around, a key's home is in lines
                // that are not done: such a key has to wait.
                if into < at {
                    left.push((mark, number));
                    continue;
                }
                while into < lines && used[into] as usize == SLOTS {
                    into += 1;
                }
                if into == lines {
                    left.push((mark, number));
                    continue;
                }
                let slot = used[into] as usize;
                self.lines[into].marks[slot] = mark;
                self.lines[into].numbers[slot] = number;
                used[into] += 1;
            }
        }
        for (mark, number) in left {
            self.put_first(mark, number);
        }
    }

    /// Empties a slot, and moves up a key from behind it that the slot was in the way of, so that
    /// every search still ends where it should.
    fn empty(&mut self, mut at: usize, mut slot: usize) {
        loop {
            let line = &mut self.lines[at];
            let used = line.used();
            line.marks[slot] = line.marks[used - 1];
            line.numbers[slot] = line.numbers[used - 1];
            line.marks[used - 1] = 0;
            if used < SLOTS {
                return;
            }
            // The line was full: whoever came later may stand behind it.
            let hole = at;
            let Some(found) = self.displaced_from(hole) else { return };
            let (mark, number) =
                (self.lines[found.0].marks[found.1], self.lines[found.0].numbers[found.1]);
            self.lines[hole].marks[SLOTS - 1] = mark;
            self.lines[hole].numbers[SLOTS - 1] = number;
            (at, slot) = found;
        }
    }

    /// A key in the full lines after this one, and the line that ends them, that would stand in
    /// this line had it had room.
    fn displaced_from(&self, hole: usize) -> Option<(usize, usize)> {
        let lines = self.lines.len();
        let mut at = self.after(hole);
        while at != hole {
            let line = &self.lines[at];
            let used = line.used();
            // As far as its home is before `at`, so far it was moved on.
            let distance = (at + lines - hole) % lines;
            let is_displaced =
                |slot: &usize| (at + lines - self.home(line.marks[*slot])) % lines >= distance;
            if let Some(slot) = (0..used).find(is_displaced) {
                return Some((at, slot));
            }
            if used < SLOTS {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Puts a key that is not there into the first empty slot from its home on.
    #[inline(always)]
    fn put_first(&mut self, mark: Mark, number: u32) {
        let mut at = self.home(mark);
        loop {
            let line = &mut self.lines[at];
            let used = line.used();
            if used < SLOTS {
                line.marks[used] = mark;
                line.numbers[used] = number;
                return;
            }
            at = self.after(at);
        }
    }
}

impl Index {
    /// An empty index with room for so many keys.
    pub(crate) fn with_room(keys: usize) -> Self {
        let per_segment = keys.div_ceil(INDEX_SEGMENTS);
        let segments = std::array::from_fn(|number| {
            // Growth is by half each time; the first sizes are spread over such a step.
            let slots = per_segment * 5 / 4;
            let lines = (slots + slots * number / (2 * INDEX_SEGMENTS)) / SLOTS + 1;
            let mut segment = huge::vec_with_capacity(lines, RESERVE * lines);
            segment.resize(lines, IndexLine::EMPTY);
            IndexSegment { lines: segment, len: 0 }
        });
        Index { segments, len: 0, idle_clears: 0, used: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The line where the search for a tag begins.
    #[inline(always)]
    fn home(&self, tag: Tag) -> &IndexLine {
        let segment = &self.segments[segment_of(tag)];
        &segment.lines[segment.home(mark_of(tag))]
    }

    /// Asks for the home line of a tag.
    #[inline(always)]
    pub(crate) fn prefetch(&self, tag: Tag) {
        prefetch(self.home(tag));
    }

    /// The number in the first slot of the home line that has the tag's mark: a guess. Where there
    /// is none, the next line is asked for.
    #[inline(always)]
    pub(crate) fn guess(&self, tag: Tag, equal: impl Fn(&[u32; SLOTS], u32) -> u32) -> Option<u32> {
        let line = self.home(tag);
        let guess = line.first(mark_of(tag), equal);
        if guess.is_none() {
            prefetch(std::ptr::from_ref(line).wrapping_add(1));
        }
        guess
    }

    /// The same of the line after, if the home line is full.
    #[inline(always)]
    pub(crate) fn guess_after(
        &self,
        tag: Tag,
        equal: impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Option<u32> {
        let (segment, mark) = (&self.segments[segment_of(tag)], mark_of(tag));
        let home = segment.home(mark);
        if segment.lines[home].marks[SLOTS - 1] == 0 {
            return None;
        }
        segment.lines[segment.after(home)].first(mark, equal)
    }

    /// Looks for the number that has the mark of `tag` and that `is_key` accepts. `equal` says
    /// which of the words in a line are one.
    #[inline(always)]
    pub(crate) fn search(
        &self,
        tag: Tag,
        mut is_key: impl FnMut(u32) -> bool,
        equal: impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Result<u32, EmptySlot> {
        let number = segment_of(tag);
        let mark = mark_of(tag);
        let segment = &self.segments[number];
        let mut at = segment.home(mark);
        loop {
            let line = &segment.lines[at];
            let mut candidates = equal(&line.marks, mark);
            while candidates != 0 {
                let number = line.numbers[candidates.trailing_zeros() as usize];
                if is_key(number) {
                    return Ok(number);
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

    /// Puts a number into the slot where the search for its tag ended.
    #[inline(always)]
    pub(crate) fn insert(&mut self, empty: EmptySlot, tag: Tag, number: u32) {
        let segment = &mut self.segments[empty.segment];
        let line = &mut segment.lines[empty.line];
        line.marks[empty.slot] = mark_of(tag);
        line.numbers[empty.slot] = number;
        self.added(empty.segment);
    }

    /// Puts the number of a key that is known to be new.
    pub(crate) fn insert_new(&mut self, tag: Tag, number: u32) {
        let segment = segment_of(tag);
        self.segments[segment].put_first(mark_of(tag), number);
        self.added(segment);
    }

    /// Takes a number with its tag out; false if it is not there.
    pub(crate) fn remove(&mut self, tag: Tag, number: u32) -> bool {
        let Some((at, slot)) = self.slot_of(tag, number) else { return false };
        let segment = &mut self.segments[segment_of(tag)];
        segment.empty(at, slot);
        segment.len -= 1;
        self.len -= 1;
        true
    }

    /// Puts another number in the place of one; false if that is not there.
    pub(crate) fn replace(&mut self, tag: Tag, number: u32, by: u32) -> bool {
        let Some((at, slot)) = self.slot_of(tag, number) else { return false };
        self.segments[segment_of(tag)].lines[at].numbers[slot] = by;
        true
    }

    /// The line and slot of a number in the segment of its tag.
    fn slot_of(&self, tag: Tag, number: u32) -> Option<(usize, usize)> {
        let (segment, mark) = (&self.segments[segment_of(tag)], mark_of(tag));
        let home = segment.home(mark);
        let mut at = home;
        loop {
            let line = &segment.lines[at];
            let is_it = |slot: &usize| line.marks[*slot] == mark && line.numbers[*slot] == number;
            if let Some(slot) = (0..SLOTS).find(is_it) {
                return Some((at, slot));
            }
            at = segment.after(at);
            if line.used() < SLOTS || at == home {
                return None;
            }
        }
    }

    #[inline(always)]
    fn added(&mut self, number: usize) {
        self.len += 1;
        let segment = &mut self.segments[number];
        segment.len += 1;
        if segment.is_full() {
            segment.grow(number, &mut self.used);
        }
    }

    /// Forgets the keys. An index that stays nearly empty for some clears gives memory back.
    pub(crate) fn clear(&mut self) {
        let slots: usize = self.segments.iter().map(|segment| segment.lines.len() * SLOTS).sum();
        let is_idle = slots > 16 * SLOTS * INDEX_SEGMENTS && self.len * 16 < slots;
        self.idle_clears = if is_idle { self.idle_clears + 1 } else { 0 };
        if self.idle_clears == IDLE_CLEARS {
            *self = Index::with_room(4 * self.len);
        }
        for segment in &mut self.segments {
            if segment.len > 0 {
                segment.lines.fill(IndexLine::EMPTY);
                segment.len = 0;
            }
        }
        self.len = 0;
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let lines = self.segments.iter().map(|segment| {
            let bytes = segment.lines.len() * size_of::<IndexLine>();
            // In huge pages the last one is there as a whole.
            if bytes < huge::BYTES { bytes } else { bytes.next_multiple_of(huge::BYTES) }
        });
        lines.sum::<usize>() + self.used.capacity()
    }
}
