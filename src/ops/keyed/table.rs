//! The table of a keyed state: keys and states by slot, and an index from a key's hash to its slot.
//!
//! Slots lie in segments of a fixed size, so that growth moves nothing but a part of the index. A
//! key that is removed leaves a hole; a segment that is mostly holes is emptied bit by bit, and
//! used again.

use std::collections::VecDeque;

use tidemill_kernels::HashIndex;

use crate::record::{Columns, Key};

/// Rows of a segment: as many as are worth an allocation, few enough that a segment is made in no
/// time.
pub(super) const ROWS: usize = if cfg!(test) { 64 } else { 1 << 13 };

/// Keys that a table can hold: with as many holes as keys, slots are numbers of 32 bits.
pub(super) const KEYS_MAX: usize = 1 << 30;

/// The number of a segment, and the row in it.
pub(super) type Slot = u32;

pub(super) fn slot_of(segment: usize, row: usize) -> Slot {
    u32::try_from(segment * ROWS + row).expect("the number of keys is bounded")
}

pub(super) fn place_of(slot: Slot) -> (usize, usize) {
    (slot as usize / ROWS, slot as usize % ROWS)
}

pub(super) struct Table<K: Key, S> {
    index: HashIndex,
    segments: Vec<Segment<K, S>>,
    /// The segment that has room.
    open: Option<usize>,
    /// Segments without a key.
    free: Vec<usize>,
    /// Segments of which half or more is holes, if they still are.
    sparse: VecDeque<usize>,
    live: usize,
}

pub(super) struct Segment<K: Key, S> {
    pub(super) keys: K::Columns,
    /// Nothing where a key was removed.
    pub(super) states: Vec<Option<S>>,
    live: usize,
}

/// What a table has let go of, to be dropped when nobody waits.
pub(super) struct Trash<K: Key, S> {
    pub(super) states: Vec<S>,
    pub(super) segments: Vec<K::Columns>,
    pub(super) keys: Vec<K>,
}

impl<K: Key, S> Table<K, S> {
    pub(super) fn new() -> Self {
        Table {
            index: HashIndex::new(),
            segments: Vec::new(),
            open: None,
            free: Vec::new(),
            sparse: VecDeque::new(),
            live: 0,
        }
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Bytes that belong to keys and the index, and to the states' own size.
    pub(super) fn memory_bytes(&self) -> usize {
        let of_segment = |segment: &Segment<K, S>| {
            segment.keys.byte_len() + segment.states.capacity() * size_of::<Option<S>>()
        };
        self.segments.iter().map(of_segment).sum::<usize>() + self.index.memory_bytes()
    }

    pub(super) fn prefetch(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    pub(super) fn find(&self, hash: u64, key: K::Ref<'_>) -> Option<Slot> {
        self.index.find(hash, |slot| K::same(self.key(slot), key))
    }

    pub(super) fn key(&self, slot: Slot) -> K::Ref<'_> {
        let (segment, row) = place_of(slot);
        self.segments[segment].keys.get(row)
    }

    /// The state of a key, or nothing in a hole.
    pub(super) fn state(&self, slot: Slot) -> Option<&S> {
        let (segment, row) = place_of(slot);
        self.segments.get(segment)?.states.get(row)?.as_ref()
    }

    /// The slots that have a key.
    pub(super) fn slots(&self) -> impl Iterator<Item = (Slot, K::Ref<'_>, &S)> {
        self.segments.iter().enumerate().flat_map(|(number, segment)| {
            let rows = segment.states.iter().enumerate();
            rows.filter_map(move |(row, state)| {
                Some((slot_of(number, row), segment.keys.get(row), state.as_ref()?))
            })
        })
    }

    /// Adds a key that is not there. Nothing of the user's runs.
    pub(super) fn insert(&mut self, hash: u64, key: K, state: S) -> Slot {
        let slot = self.push(key, state);
        self.index.insert(hash, slot);
        slot
    }

    /// Puts a state in the place of another one, which it gives back.
    pub(super) fn replace(&mut self, slot: Slot, state: &mut S) {
        let (segment, row) = place_of(slot);
        let old = self.segments[segment].states[row].as_mut();
        std::mem::swap(old.expect("a hole has no state to replace"), state);
    }

    /// Removes a key, which leaves a hole.
    pub(super) fn remove(&mut self, hash: u64, slot: Slot, trash: &mut Trash<K, S>) {
        let is_there = self.index.remove(hash, slot);
        assert!(is_there, "a key's hash is the same as long as it is there");
        self.live -= 1;
        trash.states.extend(self.take(slot, &mut trash.segments));
    }

    /// Gives a key another slot. Nothing of the user's runs.
    pub(super) fn move_to_end(
        &mut self,
        hash: u64,
        slot: Slot,
        key: K,
        trash: &mut Trash<K, S>,
    ) -> Slot {
        let state = self.take(slot, &mut trash.segments).expect("a hole is not moved");
        self.live -= 1;
        let to = self.push(key, state);
        let is_there = self.index.replace(hash, slot, to);
        assert!(is_there, "a key's hash is the same as long as it is there");
        to
    }

    /// Segments that are worth emptying, and are still those that they were found as.
    pub(super) fn sparse(&self) -> impl Iterator<Item = Option<&Segment<K, S>>> {
        self.sparse.iter().map(|&number| {
            let segment = &self.segments[number];
            let is_sparse = (1..=ROWS / 2).contains(&segment.live) && self.open != Some(number);
            is_sparse.then_some(segment)
        })
    }

    /// The number of the sparse segment at this place.
    pub(super) fn sparse_number(&self, place: usize) -> usize {
        self.sparse[place]
    }

    /// Forgets the first sparse segments, which are done.
    pub(super) fn drop_sparse(&mut self, count: usize) {
        self.sparse.drain(..count);
    }

    fn push(&mut self, key: K, state: S) -> Slot {
        let number = self.open_segment();
        let segment = &mut self.segments[number];
        let row = segment.states.len();
        segment.keys.push_owned(key);
        segment.states.push(Some(state));
        segment.live += 1;
        self.live += 1;
        if row + 1 == ROWS {
            self.open = None;
            self.check_sparse(number);
        }
        slot_of(number, row)
    }

    fn open_segment(&mut self) -> usize {
        if let Some(open) = self.open {
            return open;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            let (keys, states) = (K::Columns::default(), Vec::with_capacity(ROWS));
            self.segments.push(Segment { keys, states, live: 0 });
            self.segments.len() - 1
        });
        self.open = Some(number);
        number
    }

    /// Makes a slot a hole.
    fn take(&mut self, slot: Slot, trash: &mut Vec<K::Columns>) -> Option<S> {
        let (number, row) = place_of(slot);
        let segment = &mut self.segments[number];
        let state = segment.states[row].take();
        segment.live -= 1;
        if self.open != Some(number) {
            if segment.live == 0 {
                trash.push(std::mem::take(&mut segment.keys));
                segment.states.clear();
                self.free.push(number);
            } else if segment.live == ROWS / 2 {
                self.sparse.push_back(number);
            }
        }
        state
    }

    /// Of a segment that is no longer open.
    fn check_sparse(&mut self, number: usize) {
        if self.segments[number].live <= ROWS / 2 {
            self.sparse.push_back(number);
        }
    }
}

/// Fills a new table with keys whose slots are known, in their order.
pub(super) struct Filling<K: Key, S> {
    table: Table<K, S>,
    /// Keys that the index does not know yet.
    hashed: Vec<(u64, Slot)>,
}

/// Keys that wait until the index has asked for its memory.
const HASHED_AHEAD: usize = 64;

impl<K: Key, S> Filling<K, S> {
    pub(super) fn new(keys: usize) -> Self {
        let index = HashIndex::with_room(keys);
        Filling { table: Table { index, ..Table::new() }, hashed: Vec::new() }
    }

    /// Adds the key of a slot that comes after all before.
    pub(super) fn add(&mut self, slot: Slot, hash: u64, key: K, state: S) {
        let (number, row) = place_of(slot);
        let Table { segments, live, index, .. } = &mut self.table;
        while segments.len() <= number {
            let (keys, states) = (K::Columns::default(), Vec::with_capacity(ROWS));
            segments.push(Segment { keys, states, live: 0 });
        }
        let segment = &mut segments[number];
        while segment.states.len() < row {
            // A hole has some key, too, of which nobody knows.
            segment.keys.push(key.to_ref());
            segment.states.push(None);
        }
        segment.keys.push_owned(key);
        segment.states.push(Some(state));
        segment.live += 1;
        *live += 1;
        index.prefetch(hash);
        self.hashed.push((hash, slot));
        if self.hashed.len() == HASHED_AHEAD {
            self.insert_hashed();
        }
    }

    pub(super) fn finish(mut self) -> Table<K, S> {
        self.insert_hashed();
        let table = &mut self.table;
        let last = table.segments.len().checked_sub(1);
        for number in 0..table.segments.len() {
            if Some(number) == last && table.segments[number].states.len() < ROWS {
                table.open = Some(number);
            } else if table.segments[number].live == 0 {
                table.free.push(number);
            } else {
                table.check_sparse(number);
            }
        }
        self.table
    }

    fn insert_hashed(&mut self) {
        for (hash, slot) in self.hashed.drain(..) {
            self.table.index.insert(hash, slot);
        }
    }
}

#[cfg(test)]
impl<K: Key, S> Table<K, S> {
    /// Slots that there is memory for.
    pub(super) fn slots_len(&self) -> usize {
        self.segments.len() * ROWS
    }

    /// Whether the counts are what they count.
    pub(super) fn is_consistent(&self) -> bool {
        let count = |segment: &Segment<K, S>| segment.states.iter().flatten().count();
        let are_live = self.segments.iter().all(|segment| {
            let are_all = segment.keys.len() == segment.states.len();
            are_all && count(segment) == segment.live
        });
        let live: usize = self.segments.iter().map(count).sum();
        let are_free = self.free.iter().all(|&number| self.segments[number].states.is_empty());
        are_live && are_free && live == self.live && live == self.index.len()
    }
}
