//! Which slots have changed since they were saved.
//!
//! The batch loop appends them to a list, as long as there are few: it is written from one end to
//! the other, where a bit for each slot lies here and there. Whoever saves makes bits of it, which
//! say each slot once and in ascending order.

use tidemill_kernels::prefetch_row;

use super::table::{ROWS, Slot};

/// Words of the bits of a segment's slots.
pub(super) const WORDS: usize = ROWS / 64;

/// Slots that have changed: a list, and a bit for each slot where the list would take more memory
/// than the bits do.
#[derive(Default)]
pub(super) struct Changed {
    listed: Vec<Slot>,
    words: Vec<u64>,
}

impl Changed {
    /// Whether there is room for slots; without, there is none that has changed.
    pub(super) fn has_room(&self) -> bool {
        !self.words.is_empty()
    }

    /// Segments that there is room for.
    pub(super) fn segments(&self) -> usize {
        self.words.len() / WORDS
    }

    /// Makes room for the slots of so many segments.
    pub(super) fn reach(&mut self, segments: usize) {
        if self.segments() < segments {
            self.words.resize(segments * WORDS, 0);
        }
    }

    #[inline]
    fn is_list_full(&self) -> bool {
        size_of_val(&*self.listed) >= size_of_val(&*self.words)
    }

    /// Asks for the memory that a slot's change is noted in.
    #[inline]
    pub(super) fn prefetch(&self, slot: Slot) {
        // A walk through page tables for memory that is not wanted takes as long as any.
        if self.is_list_full() {
            prefetch_row(&self.words, slot as usize / 64);
        }
    }

    /// Adds a slot that there is room for; one that is there already may come again.
    #[inline]
    pub(super) fn add(&mut self, slot: Slot) {
        if self.is_list_full() {
            set(&mut self.words, slot);
        } else {
            self.listed.push(slot);
        }
    }

    /// Adds those of another one.
    pub(super) fn add_all(&mut self, other: &mut Changed) {
        self.reach(other.segments());
        self.words.iter_mut().zip(other.bits()).for_each(|(word, bits)| *word |= bits);
    }

    /// A bit for each slot.
    pub(super) fn bits(&mut self) -> &[u64] {
        self.listed.drain(..).for_each(|slot| set(&mut self.words, slot));
        &self.words
    }

    /// Forgets all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.listed.clear();
        self.words.fill(0);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Slot>() * self.listed.capacity() + size_of::<u64>() * self.words.capacity()
    }
}

#[inline]
fn set(words: &mut [u64], slot: Slot) {
    words[slot as usize / 64] |= 1 << (slot % 64);
}

/// The slots whose bits are set, in ascending order, where there are words before these.
pub(super) fn changed_slots(before: usize, words: &[u64]) -> impl Iterator<Item = Slot> {
    (before..).zip(words).flat_map(|(number, &word)| {
        let mut bits = word;
        std::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros())?;
            bits &= bits - 1;
            Some(number as Slot * 64 + bit)
        })
    })
}
