//! Tables into one: how the partial tables of threads and blocks become a result. A partition is a
//! range of tags, so N threads can each merge their own from the same tables.

use super::class::Class;
use super::hash::{Tag, len_of};
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
        self.merge_if(other, |_| true)
    }

    /// [`merge`](TextTable::merge) for the keys of one partition of `of`: tables of one process
    /// agree on the partition of a key, so that threads can each merge one, without a lock.
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
        self.merge_if(other, |tag| {
            (u128::from(tag) * u128::from(of)) >> 64 == u128::from(partition)
        })
    }

    fn merge_if(
        &mut self,
        other: &TextTable,
        is_in: impl Fn(Tag) -> bool + Copy,
    ) -> Result<(), TableError> {
        let Self { seed, short, middle, long, arena, max_keys, .. } = self;
        let room = |len| Room { len, max_keys: *max_keys };
        let others = middle.len() + long.len();
        let tag_of = |words: &_, mark| seed.short(*words, len_of(mark) as u32);
        each_key(&other.short, tag_of, is_in, short, |short, words, tag, value| {
            let (room, key) = (room(short.len() + others), InSlot::of(words, tag));
            upsert(short, tag, key, arena, room, 0, &mut Add(value))
                .map_err(|refusal| refusal.at(&key.bytes()))
        })?;
        let others = short.len() + long.len();
        let tag_of = |words: &_, mark| seed.middle(*words, len_of(mark));
        each_key(&other.middle, tag_of, is_in, middle, |middle, words, tag, value| {
            let (room, key) = (room(middle.len() + others), InSlot::of(words, tag));
            upsert(middle, tag, key, arena, room, 0, &mut Add(value))
                .map_err(|refusal| refusal.at(&key.bytes()))
        })?;
        let others = short.len() + middle.len();
        let tag_of = |words: &_, _| seed.long(in_arena(words, &other.arena));
        each_key(&other.long, tag_of, is_in, long, |long, words, tag, value| {
            let key = in_arena(words, &other.arena);
            let room = room(long.len() + others);
            upsert(long, tag, InArena { key }, arena, room, 0, &mut Add(value))
                .map_err(|refusal| refusal.at(key))
        })
    }
}

/// Keys of a dense class that are merged at a time, while the lines for the next ones are on their
/// way from memory.
const AHEAD: usize = 64;

/// Calls `each` with `into` and every key of `from` whose tag `is_in` accepts.
#[inline(always)]
fn each_key<const W: usize, const S: usize>(
    from: &Class<W, S>,
    tag_of: impl Fn(&[u64; W], u8) -> Tag,
    is_in: impl Fn(Tag) -> bool,
    into: &mut Class<W, S>,
    mut each: impl FnMut(&mut Class<W, S>, &[u64; W], Tag, i64) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let Some(dense) = from.dense() else {
        return from.try_for_each_in_lines(|words, tag, value| {
            if is_in(tag) { each(into, words, tag, value) } else { Ok(()) }
        });
    };
    let mut waiting = Vec::with_capacity(AHEAD);
    let mut take = |into: &mut Class<W, S>, waiting: &mut Vec<([u64; W], Tag, i64)>| {
        for (_, tag, _) in waiting.iter() {
            into.prefetch_entry(*tag);
        }
        waiting.drain(..).try_for_each(|(words, tag, value)| each(into, &words, tag, value))
    };
    dense.log().try_for_each(|words, value, mark| {
        let tag = tag_of(words, mark);
        if !is_in(tag) {
            return Ok(());
        }
        into.prefetch_home(tag);
        waiting.push((*words, tag, value));
        if waiting.len() < AHEAD { Ok(()) } else { take(into, &mut waiting) }
    })?;
    take(into, &mut waiting)
}
