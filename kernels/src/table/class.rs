//! All keys of one class: in lines, as long as these fit the outer caches, and then in a [`Dense`].
//! The lines are 64 segments chosen by the hash's top bits, so that no growth moves more than a
//! segment.
//!
//! Nothing is ever removed, so a key is found between its home line and the first empty slot after.

use std::convert::Infallible;

use super::dense::Dense;
use super::hash::Tag;
use super::index::EmptySlot;
use super::prefetch::prefetch;
use super::segment::{Line, SEGMENT_BITS, Segment};
use crate::isa::baseline::equal_words;

/// Segments per class: the top bits of a tag choose.
const SEGMENTS: usize = 1 << SEGMENT_BITS;

/// Lines of a class before it becomes dense: 8 MiB, which is past the L2 cache of most cores. In
/// tests few keys are enough.
const LINES_MAX: usize = if cfg!(test) { 1 << 9 } else { 1 << 17 };

/// Clears of a nearly empty dense class before it goes back to lines.
const IDLE_CLEARS: u8 = 8;

/// All slots of one class.
#[derive(Clone)]
pub(super) struct Class<const W: usize, const S: usize> {
    /// None until they are [opened](Class::open), then [`SEGMENTS`]; none again once it is dense.
    segments: Vec<Segment<W, S>>,
    dense: Option<Dense<W>>,
    idle_clears: u8,
    len: usize,
    key_bytes: usize,
    moves: u64,
}

/// The line of the class that the batches look into.
pub(super) type ShortLine = Line<2, 2>;

/// All segments of an opened class: as an array, so that the top bits of a tag are in bounds.
pub(super) struct Segments<'a, const W: usize, const S: usize> {
    all: &'a mut [Segment<W, S>; SEGMENTS],
}

impl<const W: usize, const S: usize> Segments<'_, W, S> {
    /// The line where the search for `tag` begins: a line of the class until lines
    /// [move](Class::moves).
    #[inline(always)]
    pub(super) fn home(&mut self, tag: Tag) -> *mut Line<W, S> {
        let segment = &mut self.all[segment_of(tag)];
        let home = segment.home(tag);
        // `Segment::home` is below the number of lines.
        segment.lines.as_mut_ptr().wrapping_add(home)
    }
}

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
        Class { segments: Vec::new(), dense: None, idle_clears: 0, len: 0, key_bytes: 0, moves: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all keys.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// How often lines have moved, or may have.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lines: usize = self.segments.iter().map(|segment| segment.lines.len()).sum();
        lines * size_of::<Line<W, S>>()
            + self.segments.capacity() * size_of::<Segment<W, S>>()
            + self.dense.as_ref().map_or(0, Dense::memory_bytes)
    }

    /// Makes the segments, if they are not there yet.
    pub(super) fn open(&mut self) {
        if self.segments.is_empty() && self.dense.is_none() {
            self.segments = vec![Segment::new(); SEGMENTS];
            self.moves += 1;
        }
    }

    /// The segments, to find the home lines of many keys.
    #[inline(always)]
    pub(super) fn segments_mut(&mut self) -> Segments<'_, W, S> {
        Segments { all: self.segments.first_chunk_mut().expect("an opened class") }
    }

    /// The line where the search for `tag` begins, of an opened class.
    #[inline(always)]
    pub(super) fn home_mut(&mut self, tag: Tag) -> &mut Line<W, S> {
        let segment = &mut self.segments_mut().all[segment_of(tag)];
        let home = segment.home(tag);
        &mut segment.lines[home]
    }

    /// Asks for the line where the search for `tag` begins.
    #[inline]
    pub(super) fn prefetch_home(&mut self, tag: Tag) {
        if let Some(dense) = &self.dense {
            return dense.prefetch_home(tag);
        }
        self.open();
        prefetch(self.segments_mut().home(tag));
    }

    /// Asks for what comes after the home line, if the class is dense: see
    /// [`Dense::prefetch_entry`].
    #[inline]
    pub(super) fn prefetch_entry(&self, tag: Tag) {
        if let Some(dense) = &self.dense {
            dense.prefetch_entry(tag, equal_words);
        }
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
            line = segment.after(line);
        }
    }

    #[inline]
    pub(super) fn value_mut(&mut self, place: Place) -> &mut i64 {
        &mut self.segments[place.segment].lines[place.line].values[place.slot]
    }

    /// Puts a new key of `len` bytes into the empty slot where its search ended.
    pub(super) fn insert(&mut self, place: Place, key: [u64; W], tag: Tag, value: i64, len: usize) {
        let segment = &mut self.segments[place.segment];
        segment.lines[place.line].put(place.slot, key, tag, value);
        segment.len += 1;
        self.len += 1;
        self.key_bytes += len;
        if segment.is_full(segment.is_far(tag, place.line)) {
            self.grow(place.segment);
        }
    }

    /// The dense form, if it has come to that.
    #[inline(always)]
    pub(super) fn dense(&self) -> Option<&Dense<W>> {
        self.dense.as_ref()
    }

    #[inline(always)]
    pub(super) fn dense_mut(&mut self) -> Option<&mut Dense<W>> {
        self.dense.as_mut()
    }

    /// Puts a new key of `len` bytes into the empty slot where its search in the dense form ended.
    #[inline(always)]
    pub(super) fn insert_dense(
        &mut self,
        empty: EmptySlot,
        key: [u64; W],
        tag: Tag,
        value: i64,
        len: usize,
    ) {
        let dense = self.dense.as_mut().expect("what was searched");
        dense.insert(empty, key, tag, value);
        self.len += 1;
        self.key_bytes += len;
    }

    /// Somewhat less than half of the slots: where the first segments want to double again.
    const LINES_KEYS_MAX: usize = LINES_MAX * S / 2 / 8 * 7;

    /// Gives a segment more lines or, where all of them want some, makes the class dense.
    #[cold]
    fn grow(&mut self, segment: usize) {
        self.moves += 1;
        if self.len <= Self::LINES_KEYS_MAX {
            return self.segments[segment].grow();
        }
        let mut dense = Dense::with_room(2 * self.len);
        let Ok(()) = self.try_for_each_in_lines::<Infallible>(|words, tag, value| {
            dense.insert_new(*words, tag, value);
            Ok(())
        });
        self.segments = Vec::new();
        self.dense = Some(dense);
        self.idle_clears = 0;
    }

    /// All lines but those of segments without a key.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line<W, S>> {
        let segments = self.segments.iter().filter(|segment| segment.len > 0);
        segments.flat_map(|segment| &segment.lines)
    }

    /// Calls `each` with key words, length mark and value of all keys.
    pub(super) fn for_each(&self, mut each: impl FnMut(&[u64; W], u8, i64)) {
        let Ok(()) = self.try_for_each_in_lines::<Infallible>(|words, tag, value| {
            each(words, tag as u8, value);
            Ok(())
        });
        if let Some(dense) = &self.dense {
            dense.log().for_each(|words, value, mark| each(words, mark, value));
        }
    }

    /// Calls `each` with key words, tag and value of all keys that are in lines, until it fails.
    pub(super) fn try_for_each_in_lines<E>(
        &self,
        mut each: impl FnMut(&[u64; W], Tag, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        for segment in self.segments.iter().filter(|segment| segment.len > 0) {
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

    /// Forgets the keys. What stays nearly empty for some clears gives memory back, so that one
    /// large batch does not make every later clear slow.
    pub(super) fn clear(&mut self) {
        for segment in &mut self.segments {
            segment.clear();
        }
        if let Some(dense) = &mut self.dense {
            let is_idle = self.len * 4 < Self::LINES_KEYS_MAX;
            self.idle_clears = if is_idle { self.idle_clears + 1 } else { 0 };
            if self.idle_clears == IDLE_CLEARS {
                *self = Class { moves: self.moves, ..Class::new() };
            } else if self.len > 0 {
                dense.clear();
            }
        }
        self.len = 0;
        self.key_bytes = 0;
        self.moves += 1;
    }
}

/// The segment of a tag.
#[inline(always)]
fn segment_of(tag: Tag) -> usize {
    (tag >> (u64::BITS - SEGMENT_BITS)) as usize
}
