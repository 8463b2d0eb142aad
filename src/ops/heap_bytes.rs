//! Bytes that aggregates of keys own beside their own size, such as texts and sets of values.
//!
//! To ask each of them after each chunk would cost as much as the aggregating. So they are asked
//! again only when as many bytes have come as a part of what they had; in between what has come
//! counts as kept.

use super::Aggregate;
use crate::record::Record;

/// Bytes that come at least before the partials are asked again.
const COME_MIN: usize = 1 << 20;

/// The part of what they had that has to come.
const COME_PARTS: usize = 4;

/// What the partials of one table own elsewhere, as far as that is known.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct HeapBytes {
    measured: usize,
    come: usize,
}

impl HeapBytes {
    /// Values of so many bytes have come.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.come += bytes;
    }

    /// What other partials own was merged in.
    pub(crate) fn merge(&mut self, later: &HeapBytes) {
        self.come += later.measured + later.come;
    }

    /// About how many bytes these partials own elsewhere.
    pub(crate) fn of<'a, V: Record, A: Aggregate<V>>(
        &mut self,
        aggregate: &A,
        partials: impl Iterator<Item = &'a A::Partial>,
    ) -> usize {
        if !std::mem::needs_drop::<A::Partial>() {
            return 0;
        }
        if self.come > COME_MIN.max(self.measured / COME_PARTS) {
            let own = size_of::<A::Partial>();
            let heap = partials.map(|partial| aggregate.byte_len(partial).saturating_sub(own));
            *self = HeapBytes { measured: heap.sum(), come: 0 };
        }
        self.measured + self.come
    }
}
