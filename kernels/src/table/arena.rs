//! The bytes of long keys, one after the other.
//!
//! Invariant: it has little more room than it uses, and after a large batch gives back what batches
//! no longer need.

use std::ops::Deref;

/// Bytes up to which the arena doubles, and that it keeps however few are used.
const SMALL: usize = if cfg!(test) { 1 << 10 } else { 8 << 20 };

/// A larger arena grows by one part in so many. It is moved by its pages' addresses, without
/// copying, where the system can; room that nobody has written to takes no memory.
const GROWTH_PARTS: usize = 8;

/// Clears of a nearly empty arena before its memory shrinks.
const IDLE_CLEARS: u8 = 8;

#[derive(Clone, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    idle_clears: u8,
}

impl Arena {
    /// Appends a key; returns where it begins.
    pub(super) fn push(&mut self, key: &[u8]) -> u64 {
        let offset = self.bytes.len();
        if self.bytes.capacity() - offset < key.len() {
            self.grow(key.len());
        }
        self.bytes.extend_from_slice(key);
        offset as u64
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let len = self.bytes.len();
        let step = if len < SMALL { len } else { len / GROWTH_PARTS };
        self.bytes.reserve_exact(step.max(more));
    }

    /// Forgets the keys. An arena that stays nearly empty for some clears gives memory back.
    pub(super) fn clear(&mut self) {
        let (used, room) = (self.bytes.len(), self.bytes.capacity());
        let is_idle = room > SMALL && used < room / 8;
        self.idle_clears = if is_idle { self.idle_clears + 1 } else { 0 };
        self.bytes.clear();
        if self.idle_clears == IDLE_CLEARS {
            self.bytes = Vec::with_capacity(2 * used);
            self.idle_clears = 0;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Deref for Arena {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
