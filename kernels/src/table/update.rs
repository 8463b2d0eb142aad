//! Rows into the table, 64 at a time in phases: load and hash all keys, then probe each key's home
//! line without a branch, then take the misses one by one, in the order of rows. The phases keep
//! many cache misses in flight, and only the last mispredicts.
//!
//! A row's key is looked for twice at most; ids follow the order of rows, because only the last
//! phase makes keys.

use super::class::{Class, Found, ShortLine, segment_of};
use super::prefetch::prefetch;
use super::hash::{self, MIDDLE, SHORT, Tag};
use super::{TableError, TextTable};
use crate::Span;
use crate::multiversion::multiversion;

/// Rows per batch: the misses are bits of a word.
const BATCH: usize = 64;

/// What a row does to its key's number. `row` counts from the start of the call.
pub(super) trait Update {
    /// Does it to `value`, or nothing unless `found`. False if the value left its range.
    fn known(&mut self, row: usize, value: &mut i64, found: bool) -> bool;

    /// The value of a new key, before which there were `len`.
    fn new(&mut self, row: usize, len: usize) -> i64;
}

pub(super) struct Count;

impl Update for Count {
    #[inline(always)]
    fn known(&mut self, _: usize, value: &mut i64, found: bool) -> bool {
        *value += i64::from(found);
        true
    }

    fn new(&mut self, _: usize, _: usize) -> i64 {
        1
    }
}

pub(super) struct Sum<'a> {
    pub(super) values: &'a [i64],
}

impl Update for Sum<'_> {
    #[inline(always)]
    fn known(&mut self, row: usize, value: &mut i64, found: bool) -> bool {
        let addend = if found { self.values[row] } else { 0 };
        match value.checked_add(addend) {
            Some(sum) => {
                *value = sum;
                true
            }
            None => false,
        }
    }

    fn new(&mut self, row: usize, _: usize) -> i64 {
        self.values[row]
    }
}

pub(super) struct Ids<'a> {
    pub(super) out: &'a mut [u32],
}

impl Update for Ids<'_> {
    #[inline(always)]
    fn known(&mut self, row: usize, value: &mut i64, _: bool) -> bool {
        // Where the key was not found, a later phase writes over it.
        self.out[row] = *value as u32;
        true
    }

    fn new(&mut self, row: usize, len: usize) -> i64 {
        self.out[row] = u32::try_from(len).expect("fewer than 2^32 keys");
        len as i64
    }
}

impl TextTable {
    pub(super) fn update<U: Update>(
        &mut self,
        text: &[u8],
        spans: &[Span],
        update: &mut U,
    ) -> Result<(), TableError> {
        update_at(self.level, self, text, spans, update)
    }
}

multiversion! {
    fn update_at [U: Update] (
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        update: &mut U,
    ) -> Result<(), TableError>, isa => {
        table.short.open();
        let mut batches = [Batch::new(), Batch::new()];
        let mut middles = [([0; 6], 0); BATCH];
        let mut before = None;
        for (index, spans) in spans.chunks(BATCH).enumerate() {
            batches[index % 2].load(table, text, spans, |words, len| isa::keep_first(words, len));
            if let Some(before) = before.replace(spans) {
                let first_row = (index - 1) * BATCH;
                batches[(index - 1) % 2].probe(table, text, before, first_row, update, &mut middles, |a, b| isa::same(a, b), |words, len| isa::keep_first(words, len))?;
                if batches[index % 2].growths != table.short.growths() {
                    batches[index % 2].load(table, text, spans, |words, len| isa::keep_first(words, len));
                }
            }
        }
        if let Some(last) = before {
            let index = (spans.len() - 1) / BATCH;
            batches[index % 2].probe(table, text, last, index * BATCH, update, &mut middles, |a, b| isa::same(a, b), |words, len| isa::keep_first(words, len))?;
        }
        Ok(())
    }
}

/// A key on its way into the table.
#[derive(Copy, Clone)]
struct Pending {
    words: [u64; 2],
    tag: Tag,
    home: *mut ShortLine,
}

/// A batch of keys whose home lines are on their way from memory.
struct Batch {
    keys: [Pending; BATCH],
    growths: u64,
}

impl Batch {
    #[inline(always)]
    fn new() -> Batch {
        let none = Pending { words: [0; 2], tag: 0, home: std::ptr::null_mut() };
        Batch { keys: [none; BATCH], growths: 0 }
    }

    /// Loads and hashes the keys and asks for their home lines. `keep_first` is the level's own.
    #[inline(always)]
    fn load(
        &mut self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        keep_first: impl Fn([u64; 2], u32) -> [u64; 2],
    ) {
        let reach = spans.iter().fold(0, |reach, span| {
            reach.max(u64::from(span.start) + u64::from(span.len.max(SHORT as u32)))
        });
        if reach <= text.len() as u64 {
            self.load_with(table, spans, |span, len| {
                // SAFETY: `reach`, just above, found 16 bytes of text from every start on.
                let chunk = unsafe { &*text.as_ptr().add(span.start as usize).cast() };
                keep_first(hash::words(chunk), len)
            });
        } else {
            // Near the end of the text sixteen bytes may not be there.
            self.load_with(table, spans, |span, _| {
                let key = &text[span.range()];
                hash::load_padded(&key[..key.len().min(SHORT)])
            });
        }
    }

    #[inline(always)]
    fn load_with(
        &mut self,
        table: &mut TextTable,
        spans: &[Span],
        load: impl Fn(Span, u32) -> [u64; 2],
    ) {
        let seed = table.seed;
        self.growths = table.short.growths();
        let segments = table.short.opened_mut();
        for (span, key) in spans.iter().zip(&mut self.keys) {
            let len = span.len.min(SHORT as u32 + 1);
            let words = load(*span, len);
            let tag = seed.short(words, len);
            let home = segments[segment_of(tag)].home_ptr(tag);
            prefetch(home);
            *key = Pending { words, tag, home };
        }
    }

    /// Updates the keys that are in their home lines, then the others.
    #[inline(always)]
    fn probe<U: Update>(
        &self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        first_row: usize,
        update: &mut U,
        middles: &mut [([u64; 6], Tag); BATCH],
        same: impl Fn(&[u64; 2], &[u64; 2]) -> bool,
        keep_first: impl Fn([u64; 2], u32) -> [u64; 2],
    ) -> Result<(), TableError> {
        assert!(self.growths == table.short.growths(), "lines moved since they were looked up");
        let mut misses = 0u64;
        for (index, key) in self.keys.iter().enumerate().take(spans.len()) {
            // SAFETY: xx
            let line = unsafe { &mut *key.home };
            let (slot, found) = line.find(&key.words, key.tag, &same);
            if !update.known(first_row + index, &mut line.values[slot], found) {
                let key = || text[spans[index].range()].into();
                return Err(Refusal::Overflow.with_key(key));
            }
            misses |= u64::from(!found) << index;
        }
        self.prefetch_misses(table, text, spans, misses, middles, keep_first);
        while misses != 0 {
            let index = misses.trailing_zeros() as usize;
            misses &= misses - 1;
            let (row, span) = (first_row + index, spans[index]);
            let room = Room { len: table.len(), max_keys: table.max_keys };
            let arena = &mut table.arena;
            let result = match span.len as usize {
                0..=SHORT => {
                    let Pending { words, tag, .. } = self.keys[index];
                    update_in(&mut table.short, tag, InSlot(words), arena, room, row, update)
                }
                ..=MIDDLE => {
                    let (words, tag) = middles[index];
                    update_in(&mut table.middle, tag, InSlot(words), arena, room, row, update)
                }
                _ => {
                    let key = &text[span.range()];
                    let tag = table.seed.long(key);
                    update_in(&mut table.long, tag, InArena(key), arena, room, row, update)
                }
            };
            result.map_err(|refusal| refusal.with_key(|| text[span.range()].into()))?;
        }
        Ok(())
    }

    /// Asks for the lines that the misses will need: the one after home for a short key, home for
    /// one of the middle class, which is loaded and hashed here.
    #[inline(always)]
    fn prefetch_misses(
        &self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        mut misses: u64,
        middles: &mut [([u64; 6], Tag); BATCH],
        keep_first: impl Fn([u64; 2], u32) -> [u64; 2],
    ) {
        while misses != 0 {
            let index = misses.trailing_zeros() as usize;
            misses &= misses - 1;
            match spans[index].len as usize {
                0..=SHORT => prefetch(self.keys[index].home.wrapping_add(1)),
                len @ ..=MIDDLE => {
                    let start = spans[index].start as usize;
                    let words = match text[start..].first_chunk::<MIDDLE>() {
                        Some(chunk) => {
                            let (parts, _) = chunk.as_chunks();
                            let [a, b] = hash::words(&parts[0]);
                            let [c, d] = keep_first(hash::words(&parts[1]), (len - 16).min(16) as u32);
                            let [e, f] = keep_first(hash::words(&parts[2]), len.saturating_sub(32) as u32);
                            [a, b, c, d, e, f]
                        }
                        None => hash::load_padded(&text[spans[index].range()]),
                    };
                    let tag = table.seed.middle(words, len);
                    middles[index] = (words, tag);
                    table.middle.open();
                    prefetch(table.middle.opened_mut()[segment_of(tag)].home_ptr(tag));
                }
                _ => {}
            }
        }
    }
}

/// A key as a class keeps it.
pub(super) trait Stored<const W: usize> {
    /// Whether a slot of the same tag with these words has this key.
    fn is(&self, words: &[u64; W], arena: &[u8]) -> bool;

    /// The words for a slot of its own.
    fn store(&self, arena: &mut Vec<u8>) -> [u64; W];
}

/// All of the key, zero-padded; its tag says the length.
pub(super) struct InSlot<const W: usize>(pub(super) [u64; W]);

impl<const W: usize> Stored<W> for InSlot<W> {
    #[inline(always)]
    fn is(&self, words: &[u64; W], _: &[u8]) -> bool {
        *words == self.0
    }

    fn store(&self, _: &mut Vec<u8>) -> [u64; W] {
        self.0
    }
}

/// Offset and length in the arena.
pub(super) struct InArena<'a>(pub(super) &'a [u8]);

impl Stored<2> for InArena<'_> {
    #[inline(always)]
    fn is(&self, words: &[u64; 2], arena: &[u8]) -> bool {
        in_arena(words, arena) == self.0
    }

    fn store(&self, arena: &mut Vec<u8>) -> [u64; 2] {
        let offset = arena.len() as u64;
        arena.extend_from_slice(self.0);
        [offset, self.0.len() as u64]
    }
}

/// The key that a slot of the long class stands for.
#[inline(always)]
pub(super) fn in_arena<'a>(&[offset, len]: &[u64; 2], arena: &'a [u8]) -> &'a [u8] {
    &arena[offset as usize..][..len as usize]
}

/// How many keys the table has and may have.
#[derive(Copy, Clone)]
pub(super) struct Room {
    pub(super) len: usize,
    pub(super) max_keys: usize,
}

/// A [`TableError`] before its key was copied.
pub(super) enum Refusal {
    Full { limit: usize },
    Overflow,
}

impl Refusal {
    #[cold]
    pub(super) fn with_key(self, key: impl FnOnce() -> Box<[u8]>) -> TableError {
        match self {
            Refusal::Full { limit } => TableError::Full { limit },
            Refusal::Overflow => TableError::Overflow { key: key() },
        }
    }
}

/// One row's key in its class: updates it, or makes it.
#[inline]
pub(super) fn update_in<const W: usize, const S: usize, U: Update>(
    class: &mut Class<W, S>,
    tag: Tag,
    key: impl Stored<W>,
    arena: &mut Vec<u8>,
    room: Room,
    row: usize,
    update: &mut U,
) -> Result<(), Refusal> {
    class.open();
    match class.search(tag, |words| key.is(words, arena)) {
        Found::Key(place) => {
            let is_in_range = update.known(row, class.value_mut(place), true);
            if is_in_range { Ok(()) } else { Err(Refusal::Overflow) }
        }
        Found::Empty(_) if room.len >= room.max_keys => Err(Refusal::Full { limit: room.max_keys }),
        Found::Empty(place) => {
            class.insert(place, key.store(arena), tag, update.new(row, room.len));
            Ok(())
        }
    }
}
