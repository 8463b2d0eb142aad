//! Tables into one: how the partial tables of threads and blocks become a result. A partition is a
//! range of segments, so N threads can each merge their own from the same tables.

use std::ops::Range;

use super::class::SEGMENTS;
use super::update::Update;
use super::upsert::{InArena, InSlot, Room, in_arena, upsert};
use super::{TableError, TextTable};

/// Adds a value to a key's number.
struct Add(i64);

impl Update for Add {
    fn known(&mut self, _: usize, value: &mut i64, _: bool) -> bool {
        match value.checked_add(self.0) {
            Some(sum) => {
                *value = sum;
                true
            }
            None => false,
        }
    }

    fn first(&mut self, _: usize, _: usize) -> i64 {
        self.0
    }
}

impl TextTable {
    /// Adds the numbers of `other` to those of the same keys here.
    ///
    /// For counts and sums; ids of two tables have nothing to do with each other.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`], or [`TableError::Overflow`].
    pub fn merge(&mut self, other: &TextTable) -> Result<(), TableError> {
        self.merge_segments(other, 0..SEGMENTS)
    }

    /// [`merge`](TextTable::merge) for the keys of one partition of `of`: tables of one process
    /// agree on the partition of a key, so that threads can each merge one, without a lock.
    ///
    /// Past 64 partitions, some are empty.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`], or [`TableError::Overflow`].
    ///
    /// # Panics
    ///
    /// Unless `partition < of`.
    pub fn merge_partition(
        &mut self,
        other: &TextTable,
        partition: u32,
        of: u32,
    ) -> Result<(), TableError> {
        assert!(partition < of, "partition {partition} of {of}");
        let border = |partition: usize| SEGMENTS * partition / of as usize;
        let segments = border(partition as usize)..border(partition as usize + 1);
        self.merge_segments(other, segments)
    }

    fn merge_segments(
        &mut self,
        other: &TextTable,
        segments: Range<usize>,
    ) -> Result<(), TableError> {
        let Self { short, middle, long, arena, max_keys, .. } = self;
        let room = |len| Room { len, max_keys: *max_keys };
        let others = middle.len() + long.len();
        other.short.try_for_each_in(segments.clone(), |words, tag, value| {
            let (room, key) = (room(short.len() + others), InSlot::of(words, tag));
            upsert(short, tag, key, arena, room, 0, &mut Add(value))
                .map_err(|refusal| refusal.at(&key.bytes()))
        })?;
        let others = short.len() + long.len();
        other.middle.try_for_each_in(segments.clone(), |words, tag, value| {
            let (room, key) = (room(middle.len() + others), InSlot::of(words, tag));
            upsert(middle, tag, key, arena, room, 0, &mut Add(value))
                .map_err(|refusal| refusal.at(&key.bytes()))
        })?;
        let others = short.len() + middle.len();
        other.long.try_for_each_in(segments, |words, tag, value| {
            let key = in_arena(words, &other.arena);
            let room = room(long.len() + others);
            upsert(long, tag, InArena { key }, arena, room, 0, &mut Add(value))
                .map_err(|refusal| refusal.at(key))
        })
    }
}
