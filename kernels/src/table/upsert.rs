//! One key into its class, found or made: the careful way, for misses and for merging. A new key is
//! made only where the table has room for it.

use super::TableError;
use super::arena::Arena;
use super::class::{Class, Found};
use super::hash::{Tag, len_of};
use super::index::SLOTS;
use super::update::Update;
use crate::isa::baseline::equal_words;

/// A key as a class keeps it.
pub(super) trait Stored<const W: usize> {
    /// Whether a slot of the same tag with these words has this key.
    fn is(&self, words: &[u64; W], arena: &[u8]) -> bool;

    /// The words for a slot of its own.
    fn store(&self, arena: &mut Arena) -> [u64; W];

    /// The key's length.
    fn len(&self) -> usize;
}

/// All of the key, zero-padded.
#[derive(Copy, Clone)]
pub(super) struct InSlot<const W: usize> {
    pub(super) words: [u64; W],
    pub(super) len: usize,
}

impl<const W: usize> InSlot<W> {
    /// The key of a slot.
    #[inline(always)]
    pub(super) fn of(words: &[u64; W], tag: Tag) -> Self {
        InSlot { words: *words, len: len_of(tag as u8) }
    }

    /// The key's bytes.
    #[cold]
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.words.map(u64::to_le_bytes).as_flattened()[..self.len].to_vec()
    }
}

impl<const W: usize> Stored<W> for InSlot<W> {
    #[inline(always)]
    fn is(&self, words: &[u64; W], _: &[u8]) -> bool {
        // The tags are the same, so the lengths are.
        *words == self.words
    }

    fn store(&self, _: &mut Arena) -> [u64; W] {
        self.words
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// Offset and length in the arena.
pub(super) struct InArena<'a> {
    pub(super) key: &'a [u8],
}

impl Stored<2> for InArena<'_> {
    #[inline(always)]
    fn is(&self, words: &[u64; 2], arena: &[u8]) -> bool {
        in_arena(words, arena) == self.key
    }

    fn store(&self, arena: &mut Arena) -> [u64; 2] {
        [arena.push(self.key), self.key.len() as u64]
    }

    fn len(&self) -> usize {
        self.key.len()
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

/// A [`TableError`] that knows no key yet.
pub(super) enum Refusal {
    Full { limit: usize },
    Overflow,
}

impl Refusal {
    #[cold]
    pub(super) fn at(self, key: &[u8]) -> TableError {
        match self {
            Refusal::Full { limit } => TableError::Full { limit },
            Refusal::Overflow => TableError::Overflow { key: key.into() },
        }
    }
}

/// Updates the key of one row, or makes it.
#[inline(always)]
pub(super) fn upsert<const W: usize, const S: usize, U: Update>(
    class: &mut Class<W, S>,
    tag: Tag,
    key: impl Stored<W>,
    arena: &mut Arena,
    room: Room,
    row: usize,
    update: &mut U,
) -> Result<(), Refusal> {
    if class.dense().is_some() {
        return upsert_dense_apart(class, tag, key, arena, room, row, update);
    }
    class.open();
    match class.search(tag, |words| key.is(words, arena)) {
        Found::Key(place) => {
            let is_in_range = update.known(row, class.value_mut(place), true);
            if is_in_range { Ok(()) } else { Err(Refusal::Overflow) }
        }
        Found::Empty(_) if room.len >= room.max_keys => Err(Refusal::Full { limit: room.max_keys }),
        Found::Empty(place) => {
            let value = update.first(row, room.len);
            class.insert(place, key.store(arena), tag, value, key.len());
            Ok(())
        }
    }
}

/// [`upsert_dense`] where no level is at hand, and out of the way of small tables.
#[cold]
fn upsert_dense_apart<const W: usize, const S: usize, U: Update>(
    class: &mut Class<W, S>,
    tag: Tag,
    key: impl Stored<W>,
    arena: &mut Arena,
    room: Room,
    row: usize,
    update: &mut U,
) -> Result<(), Refusal> {
    upsert_dense(class, tag, key, arena, room, row, update, equal_words)
}

/// [`upsert`] into a class that is dense; `equal` is the level's.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "those of upsert, and the level's primitive")]
pub(super) fn upsert_dense<const W: usize, const S: usize, U: Update>(
    class: &mut Class<W, S>,
    tag: Tag,
    key: impl Stored<W>,
    arena: &mut Arena,
    room: Room,
    row: usize,
    update: &mut U,
    equal: impl Fn(&[u32; SLOTS], u32) -> u32,
) -> Result<(), Refusal> {
    let dense = class.dense_mut().expect("the caller looked");
    match dense.search(tag, |words| key.is(words, arena), equal) {
        Ok(place) => {
            let is_in_range = dense.change(place, |value| update.known(row, value, true));
            if is_in_range { Ok(()) } else { Err(Refusal::Overflow) }
        }
        Err(_) if room.len >= room.max_keys => Err(Refusal::Full { limit: room.max_keys }),
        Err(empty) => {
            let value = update.first(row, room.len);
            class.insert_dense(empty, key.store(arena), tag, value, key.len());
            Ok(())
        }
    }
}
