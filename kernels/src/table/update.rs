//! Rows into the table, 64 at a time in phases: load and hash all keys, then probe each key's home
//! line without a branch, then take the misses one by one, in the order of rows. The phases keep
//! many cache misses in flight, and only the last mispredicts.
//!
//! A row's key is looked for twice at most; ids follow the order of rows, because only the last
//! phase makes keys.

use super::class::{Class, Found};
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

    /// One row, wherever its key is or goes.
    fn update_key<U: Update>(
        &mut self,
        key: &[u8],
        row: usize,
        update: &mut U,
    ) -> Result<(), TableError> {
        let room = Room { len: self.len(), max_keys: self.max_keys };
        let arena = &mut self.arena;
        match key.len() {
            0..=SHORT => {
                let words = hash::load_padded(key);
                let tag = self.seed.short(words, key.len());
                update_in(&mut self.short, tag, InSlot(words), arena, room, row, update)
            }
            ..=MIDDLE => {
                let words = hash::load_padded(key);
                let tag = self.seed.middle(words, key.len());
                update_in(&mut self.middle, tag, InSlot(words), arena, room, row, update)
            }
            _ => {
                let tag = self.seed.long(key);
                update_in(&mut self.long, tag, InArena(key), arena, room, row, update)
            }
        }
        .map_err(|refusal| refusal.with_key(|| key.into()))
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
        let mut batch = Batch::new();
        for (index, spans) in spans.chunks(BATCH).enumerate() {
            batch.load(table, text, spans);
            batch.probe(table, text, spans, index * BATCH, update)?;
        }
        Ok(())
    }
}

/// Keys on their way into the table.
struct Batch {
    words: [[u64; 2]; BATCH],
    tags: [Tag; BATCH],
    homes: [u32; BATCH],
    /// The rows whose keys are past a short slot.
    longer: u64,
}

impl Batch {
    #[inline(always)]
    fn new() -> Batch {
        Batch { words: [[0; 2]; BATCH], tags: [0; BATCH], homes: [0; BATCH], longer: 0 }
    }

    /// Loads and hashes the keys and asks for their home lines.
    #[inline(always)]
    fn load(&mut self, table: &TextTable, text: &[u8], spans: &[Span]) {
        self.longer = 0;
        for (index, span) in spans.iter().enumerate() {
            let (start, len) = (span.start as usize, span.len as usize);
            assert!(span.end() <= text.len(), "{span:?} reaches past {} bytes", text.len());
            let words = hash::load_short(text, start, len.min(SHORT));
            let tag = table.seed.short(words, len.min(SHORT));
            let home = table.short.home(tag);
            table.short.prefetch(tag, home);
            self.words[index] = words;
            self.tags[index] = tag;
            self.homes[index] = home;
            self.longer |= u64::from(len > SHORT) << index;
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
    ) -> Result<(), TableError> {
        let mut misses = self.longer;
        for index in 0..spans.len() {
            let tag = self.tags[index];
            let line = table.short.line_mut(tag, self.homes[index]);
            let (slot, found) = line.find(&self.words[index], tag);
            let found = found & (self.longer >> index & 1 == 0);
            if !update.known(first_row + index, &mut line.values[slot], found) {
                let key = || text[spans[index].range()].into();
                return Err(Refusal::Overflow.with_key(key));
            }
            misses |= u64::from(!found) << index;
        }
        while misses != 0 {
            let index = misses.trailing_zeros() as usize;
            misses &= misses - 1;
            let (row, key) = (first_row + index, || &text[spans[index].range()]);
            if self.longer >> index & 1 == 1 {
                table.update_key(key(), row, update)?;
            } else {
                let room = Room { len: table.len(), max_keys: table.max_keys };
                let stored = InSlot(self.words[index]);
                let (class, arena) = (&mut table.short, &mut table.arena);
                update_in(class, self.tags[index], stored, arena, room, row, update)
                    .map_err(|refusal| refusal.with_key(|| key().into()))?;
            }
        }
        Ok(())
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
