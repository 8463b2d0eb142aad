//! A class that outgrew the caches: keys and numbers in a [`Log`], and an [`Index`] over it. A
//! look-up costs two cache misses instead of one, which batches overlap; in turn a new key moves
//! nothing but slots of the index, and memory is 37 bytes for a key of 16 instead of 32 over how
//! full the lines are.

use super::hash::Tag;
use super::index::{EmptySlot, Index, SLOTS};
use super::log::{Log, Place};

/// The keys of one class in the order of their arrival, and where they are by hash.
#[derive(Clone)]
pub(super) struct Dense<const W: usize> {
    index: Index,
    log: Log<W>,
}

impl<const W: usize> Dense<W> {
    /// An empty class with room for so many keys in the index.
    pub(super) fn with_room(keys: usize) -> Self {
        Dense { index: Index::with_room(keys), log: Log::new() }
    }

    /// Asks for the line of the index where the search for `tag` begins.
    #[inline(always)]
    pub(super) fn prefetch_home(&self, tag: Tag) {
        self.index.prefetch(tag);
    }

    /// Asks for what a look-up of the tag will need past that line, which should have come: the
    /// entry of the first slot with its mark, whose place it returns, or the next line.
    #[inline(always)]
    pub(super) fn prefetch_entry(
        &self,
        tag: Tag,
        equal: impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Option<Place> {
        let place = self.index.guess(tag, equal)?;
        self.log.prefetch(place);
        Some(place)
    }

    /// Looks for the key that has `tag` and whose words `is_key` accepts.
    #[inline(always)]
    pub(super) fn search(
        &self,
        tag: Tag,
        is_key: impl Fn(&[u64; W]) -> bool,
        equal: impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Result<Place, EmptySlot> {
        self.index.search(tag, |place| is_key(self.log.words(place)), equal)
    }

    /// Puts a new key into the slot where its search ended.
    #[inline(always)]
    pub(super) fn insert(&mut self, empty: EmptySlot, words: [u64; W], tag: Tag, value: i64) {
        let place = self.log.push(words, value, tag as u8);
        self.index.insert(empty, tag, place);
    }

    /// Changes the number of an entry; returns what `change` does.
    #[inline(always)]
    pub(super) fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut i64) -> R) -> R {
        self.log.change(place, change)
    }

    /// The words of an entry's key.
    #[inline(always)]
    pub(super) fn words(&self, place: Place) -> &[u64; W] {
        self.log.words(place)
    }

    /// All entries.
    pub(super) fn log(&self) -> &Log<W> {
        &self.log
    }

    /// Puts a key that is known to be new.
    pub(super) fn insert_new(&mut self, words: [u64; W], tag: Tag, value: i64) {
        let place = self.log.push(words, value, tag as u8);
        self.index.insert_new(tag, place);
    }

    /// Forgets the keys and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.log.clear();
        self.index.clear();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.log.memory_bytes()
    }
}
