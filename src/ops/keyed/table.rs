//! The table of a keyed state: keys and states by slot, and an index from a key's hash to its slot.
//!
//! Slots do not move, so that growth moves nothing but a part of the index. A key that is removed
//! leaves a hole; a segment, so many slots, that is mostly holes is emptied bit by bit, and used
//! again.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tidemill_kernels::{HashIndex, Slots, Stamped};

use crate::error::{Error, ErrorKind, Result};
use crate::record::{Key, KeyStore, Record, hash_of};

/// Rows of a segment: as many as are worth an allocation for their keys, few enough that a segment
/// is emptied soon.
pub(super) const ROWS: usize = if cfg!(test) { 64 } else { 1 << 13 };

/// Keys that a table can hold: with as many holes as keys, slots are numbers of 32 bits.
pub(super) const KEYS_MAX: usize = 1 << 30;

/// The number of a segment, and the row in it.
pub(super) type Slot = u32;

#[inline]
pub(super) fn slot_of(segment: usize, row: usize) -> Slot {
    u32::try_from(segment * ROWS + row).expect("the number of keys is bounded")
}

#[inline]
pub(super) fn place_of(slot: Slot) -> (usize, usize) {
    (slot as usize / ROWS, slot as usize % ROWS)
}

/// Keys that wait until the index has asked for its memory.
const HASHED_AHEAD: usize = 64;

pub(super) struct Table<K: Key, S> {
    index: HashIndex,
    /// Nothing where a key was removed. A stamp is when the key was last touched, in milliseconds,
    /// and while a batch runs, whether it has an entry for the key.
    slots: Slots<Held<K, S>>,
    segments: Vec<Segment<K>>,
    /// The segment that has room.
    open: Option<usize>,
    /// Segments without a key.
    free: Vec<usize>,
    /// Segments of which half or more is holes, if they still are; each of them once.
    sparse: VecDeque<usize>,
    live: usize,
    /// Bytes that keys of segments that are full have beside their slots.
    key_bytes: usize,
}

/// So many slots in a row, and what their keys have beside them.
struct Segment<K: Key> {
    keys: K::Store,
    /// Slots that have had a key since the segment was last empty, or that never get one.
    len: usize,
    live: usize,
    /// Bytes that its keys have beside their slots, once there is no room for more.
    key_bytes: usize,
    /// It is among the sparse ones.
    is_listed: bool,
}

/// What a slot holds: a key, or where it is, and its state.
pub(super) struct Held<K: Key, S> {
    place: Place<K>,
    pub(super) state: S,
}

type Place<K> = <<K as Key>::Store as KeyStore<K>>::Place;

/// What was found of a key: its slot, and what is there.
pub(super) type Found<'a, K, S> = Option<(Slot, &'a Stamped<Held<K, S>>)>;

/// A key that is looked for, and where it probably is.
#[derive(Copy, Clone)]
struct Search<R> {
    row: u32,
    key: R,
    hash: u64,
    guess: Option<Slot>,
}

impl<K: Key> Segment<K> {
    fn new() -> Self {
        Segment { keys: K::Store::default(), len: 0, live: 0, key_bytes: 0, is_listed: false }
    }
}

/// What a table has let go of, to be dropped when nobody waits.
pub(super) struct Trash<K: Key, S> {
    pub(super) states: Vec<S>,
    pub(super) segments: Vec<K::Store>,
    pub(super) keys: Vec<K>,
}

impl<K: Key, S> Table<K, S> {
    pub(super) fn new() -> Self {
        Table {
            index: HashIndex::new(),
            slots: Slots::new(),
            segments: Vec::new(),
            open: None,
            free: Vec::new(),
            sparse: VecDeque::new(),
            live: 0,
            key_bytes: 0,
        }
    }

    /// The number of segments.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Bytes that belong to keys and the index, and to the states' own size.
    pub(super) fn memory_bytes(&self) -> usize {
        let open = self.open.map_or(0, |open| self.segments[open].keys.byte_len());
        self.key_bytes + open + self.slots.memory_bytes() + self.index.memory_bytes()
    }

    /// Asks for the memory where the search for a key begins.
    pub(super) fn prefetch_home(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Asks for the memory of a slot.
    #[inline]
    pub(super) fn prefetch(&self, slot: Slot) {
        self.slots.prefetch(slot as usize);
    }

    /// Asks for the memory of a slot whose key is wanted, too.
    #[inline]
    pub(super) fn prefetch_with_key(&self, slot: Slot) {
        self.prefetch(slot);
        let (segment, row) = place_of(slot);
        self.segments[segment].keys.prefetch_place(row);
    }

    /// Asks for the memory of a key, once its slot is there.
    #[inline]
    pub(super) fn prefetch_key(&self, slot: Slot) {
        let (segment, row) = place_of(slot);
        let keys = &self.segments[segment].keys;
        if !keys.is_inline() {
            let stamped = self.stamped(slot);
            stamped.iter().for_each(|stamped| keys.prefetch(&stamped.value().place, row));
        }
    }

    /// The slot of a key, and what is there.
    pub(super) fn find(&self, hash: u64, key: K::Ref<'_>) -> Found<'_, K, S> {
        let mut found = None;
        let slot = self.index.find(hash, |slot| {
            found = self.stamped_of(slot, key);
            found.is_some()
        });
        slot.zip(found)
    }

    /// Looks for the keys of these rows, of which the hashes are given, and calls `each` with what
    /// was found of each.
    pub(super) fn search<'a>(
        &'a self,
        mut rows: impl Iterator<Item = (u32, K::Ref<'a>, u64)>,
        mut each: impl FnMut(u32, K::Ref<'a>, u64, Found<'a, K, S>),
    ) {
        let mut searches = [None; HASHED_AHEAD];
        // A pass for each step that waits for memory, so that the misses of several keys overlap.
        loop {
            let hashed = searches.iter_mut().zip(&mut rows).map(|(search, (row, key, hash))| {
                self.index.prefetch(hash);
                *search = Some(Search { row, key, hash, guess: None });
            });
            let count = hashed.count();
            let searches = &mut searches[..count];
            for Search { hash, guess, .. } in searches.iter_mut().flatten() {
                *guess = self.index.guess(*hash);
                guess.iter().for_each(|&slot| self.prefetch_with_key(slot));
            }
            // Few keys are not where their search begins, but one that waits alone waits long.
            for Search { hash, guess, .. } in searches.iter_mut().flatten() {
                if guess.is_none() {
                    *guess = self.index.guess_after(*hash);
                    guess.iter().for_each(|&slot| self.prefetch_with_key(slot));
                }
            }
            let guesses = searches.iter().flatten().filter_map(|search| search.guess);
            guesses.for_each(|slot| self.prefetch_key(slot));
            for &Search { row, key, hash, guess } in searches.iter().flatten() {
                let guessed = guess.and_then(|slot| Some((slot, self.stamped_of(slot, key)?)));
                each(row, key, hash, guessed.or_else(|| self.find(hash, key)));
            }
            if count < HASHED_AHEAD {
                break;
            }
        }
    }

    /// The state of a slot with its stamp, if it is that of this key.
    #[inline]
    fn stamped_of(&self, slot: Slot, key: K::Ref<'_>) -> Option<&Stamped<Held<K, S>>> {
        self.stamped(slot).filter(|stamped| K::same(self.key(slot, stamped), key))
    }

    /// The key of a slot, of which what is there is given.
    #[inline]
    pub(super) fn key<'a>(&'a self, slot: Slot, stamped: &'a Stamped<Held<K, S>>) -> K::Ref<'a> {
        let (segment, row) = place_of(slot);
        self.segments[segment].keys.get(&stamped.value().place, row)
    }

    /// The state of a key, or nothing in a hole.
    #[inline]
    pub(super) fn state(&self, slot: Slot) -> Option<&S> {
        self.stamped(slot).map(|stamped| &stamped.value().state)
    }

    /// The state of a key with its stamp, or nothing in a hole.
    #[inline]
    pub(super) fn stamped(&self, slot: Slot) -> Option<&Stamped<Held<K, S>>> {
        self.slots.get(slot as usize)
    }

    /// The slots that have a key.
    pub(super) fn slots(&self) -> impl Iterator<Item = (Slot, K::Ref<'_>, &Stamped<Held<K, S>>)> {
        self.segments.iter().enumerate().flat_map(|(number, segment)| {
            let first = number * ROWS;
            let rows = self.slots.range(first..first + segment.len).enumerate();
            rows.filter_map(move |(row, stamped)| {
                let key = segment.keys.get(&stamped?.value().place, row);
                Some((slot_of(number, row), key, stamped?))
            })
        })
    }

    /// The slots from this one on that were ever filled, holes among them: up to so many, and of
    /// one segment. `None` after the last one.
    pub(super) fn next_slots(&self, from: Slot, count_max: usize) -> Option<Range<Slot>> {
        let (first, mut row) = place_of(from);
        for (number, segment) in self.segments.iter().enumerate().skip(first) {
            if row < segment.len {
                let end = segment.len.min(row + count_max);
                return Some(slot_of(number, row)..slot_of(number, 0) + end as Slot);
            }
            row = 0;
        }
        None
    }

    /// Adds a key that is not there. Nothing of the user's runs.
    pub(super) fn insert(&mut self, hash: u64, key: K, state: S, stamp: u64) -> Slot {
        let slot = self.push(key, state, stamp);
        self.index.insert(hash, slot);
        slot
    }

    /// Puts a state in the place of another one, which it gives back.
    pub(super) fn replace(&mut self, slot: Slot, state: &mut S, stamp: u64) {
        let old = self.slots.get_mut(slot as usize).expect("a hole has no state to replace");
        std::mem::swap(&mut old.value_mut().state, state);
        old.set_stamp(stamp);
    }

    /// Sets the stamp of a key that is there.
    #[inline]
    pub(super) fn set_stamp(&self, slot: Slot, stamp: u64) {
        self.stamped(slot).expect("a hole has no stamp").set_stamp(stamp);
    }

    /// Removes a key, which leaves a hole.
    pub(super) fn remove(&mut self, hash: u64, slot: Slot, trash: &mut Trash<K, S>) {
        let is_there = self.index.remove(hash, slot);
        assert!(is_there, "a key's hash is the same as long as it is there");
        self.live -= 1;
        trash.states.extend(self.take(slot, &mut trash.segments));
    }

    /// Gives a key another slot, and says its stamp. Nothing of the user's runs.
    pub(super) fn move_to_end(
        &mut self,
        hash: u64,
        slot: Slot,
        key: K,
        trash: &mut Trash<K, S>,
    ) -> (Slot, u64) {
        let stamp = self.stamped(slot).expect("a hole is not moved").stamp();
        let state = self.take(slot, &mut trash.segments).expect("as it was just now");
        self.live -= 1;
        let to = self.push(key, state, stamp);
        let is_there = self.index.replace(hash, slot, to);
        assert!(is_there, "a key's hash is the same as long as it is there");
        (to, stamp)
    }

    /// The slots of segments that are worth emptying; none of one that is no longer.
    pub(super) fn sparse(&self) -> impl Iterator<Item = Range<Slot>> {
        self.sparse.iter().map(|&number| {
            let rows = if self.is_sparse(number) { self.segments[number].len } else { 0 };
            let first = slot_of(number, 0);
            first..first + rows as Slot
        })
    }

    fn is_sparse(&self, number: usize) -> bool {
        (1..=ROWS / 2).contains(&self.segments[number].live) && self.open != Some(number)
    }

    /// Forgets the first sparse segments, which are done; one that was filled and is sparse again
    /// comes after all others.
    pub(super) fn drop_sparse(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.sparse.pop_front().expect("no more are done than there are");
            self.segments[number].is_listed = false;
            self.check_sparse(number);
        }
    }

    fn push(&mut self, key: K, state: S, stamp: u64) -> Slot {
        let number = self.open_segment();
        let slot = slot_of(number, self.segments[number].len);
        let place = self.segments[number].keys.push(key);
        self.put(slot, place, state, stamp);
        if self.segments[number].len == ROWS {
            self.open = None;
            self.close(number);
            self.check_sparse(number);
        }
        slot
    }

    /// Fills the next slot of a segment.
    fn put(&mut self, slot: Slot, place: Place<K>, state: S, stamp: u64) {
        self.slots.put(slot as usize, Held { place, state }, stamp);
        let segment = &mut self.segments[place_of(slot).0];
        segment.len += 1;
        segment.live += 1;
        self.live += 1;
    }

    fn open_segment(&mut self) -> usize {
        if let Some(open) = self.open {
            return open;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.segments.push(Segment::new());
            self.segments.len() - 1
        });
        self.open = Some(number);
        number
    }

    /// Makes a slot a hole.
    fn take(&mut self, slot: Slot, trash: &mut Vec<K::Store>) -> Option<S> {
        let number = place_of(slot).0;
        let segment = &mut self.segments[number];
        let held = self.slots.take(slot as usize);
        segment.live -= 1;
        if self.open != Some(number) {
            if segment.live == 0 {
                trash.push(std::mem::take(&mut segment.keys));
                segment.len = 0;
                self.key_bytes -= std::mem::take(&mut segment.key_bytes);
                self.free.push(number);
            } else if segment.live == ROWS / 2 {
                self.check_sparse(number);
            }
        }
        held.map(|held| held.state)
    }

    /// Counts the keys of a segment that gets no more of them.
    fn close(&mut self, number: usize) {
        let segment = &mut self.segments[number];
        segment.key_bytes = segment.keys.byte_len();
        self.key_bytes += segment.key_bytes;
    }

    /// Lists a segment that may have become sparse.
    fn check_sparse(&mut self, number: usize) {
        if self.is_sparse(number) && !self.segments[number].is_listed {
            self.segments[number].is_listed = true;
            self.sparse.push_back(number);
        }
    }
}

/// Fills a new table with keys whose slots are known, in their order.
pub(super) struct Filling<K: Key, S> {
    table: Table<K, S>,
    /// Keys that the index does not know yet.
    added: Vec<Added>,
    indexing: SyncSender<Vec<Added>>,
}

/// What is noted of a key that is in the table, to be put into its indexes.
#[derive(Copy, Clone)]
struct Added {
    hash: u64,
    stamp: u64,
    slot: Slot,
}

/// Keys that the thread of the indexes is given at once, and how many times it may be behind.
const ADDED: usize = 1 << 12;
const ADDED_BEHIND: usize = 8;

/// A table of as many keys as `fill` adds, of which there are about so many. A thread of its own
/// puts them into the index and gives `link` their slots and stamps: that waits for memory here and
/// there, and `fill` reads what comes in order.
pub(super) fn filled<K: Key, S: Record>(
    keys: usize,
    link: impl FnMut(Slot, u64) + Send,
    fill: impl FnOnce(&mut Filling<K, S>) -> Result<()>,
) -> Result<Table<K, S>> {
    std::thread::scope(|scope| {
        let (indexing, added) = sync_channel(ADDED_BEHIND);
        let thread = std::thread::Builder::new().name("index of a state".to_owned());
        let index =
            thread.spawn_scoped(scope, move || index_of(keys, added, link)).map_err(|error| {
                Error::caused(ErrorKind::State, "cannot start the thread of an index", error)
            })?;
        let mut filling = Filling { table: Table::new(), added: Vec::new(), indexing };
        fill(&mut filling)?;
        let mut table = filling.finish();
        table.index = index.join().expect("nothing of the user's runs there");
        Ok(table)
    })
}

fn index_of(
    keys: usize,
    added: Receiver<Vec<Added>>,
    mut link: impl FnMut(Slot, u64),
) -> HashIndex {
    let mut index = HashIndex::with_room(keys);
    for all in added {
        for some in all.chunks(HASHED_AHEAD) {
            some.iter().for_each(|added| index.prefetch(added.hash));
            for &Added { hash, slot, stamp } in some {
                index.insert(hash, slot);
                link(slot, stamp);
            }
        }
    }
    index
}

impl<K: Key, S: Record> Filling<K, S> {
    /// Adds the key and the state of a slot that comes after all before, as they were saved, and
    /// says how many bytes they are by what they say of themselves.
    pub(super) fn load(&mut self, slot: Slot, stamp: u64, from: &mut &[u8]) -> Result<usize> {
        let (number, row) = place_of(slot);
        let Table { segments, slots, .. } = &mut self.table;
        while segments.len() <= number {
            segments.push(Segment::new());
        }
        while slots.len() < slot as usize {
            slots.push_hole();
        }
        let segment = &mut segments[number];
        if segment.len < row {
            let mut ahead = *from;
            let key = K::load(&mut ahead)?;
            while segment.len < row {
                segment.keys.push_hole(key.to_ref());
                segment.len += 1;
            }
        }
        let (place, state) = (segment.keys.load(from)?, S::load(from)?);
        let key = segment.keys.get(&place, row);
        let bytes = K::byte_len(key) + S::byte_len(state.to_ref());
        self.added.push(Added { hash: hash_of::<K>(key), stamp, slot });
        self.table.put(slot, place, state, stamp);
        if self.added.len() == ADDED {
            self.send_added();
        }
        Ok(bytes)
    }

    /// The table without its index, the last of which is on its way.
    fn finish(mut self) -> Table<K, S> {
        self.send_added();
        let table = &mut self.table;
        let last = table.segments.len().checked_sub(1);
        for number in 0..table.segments.len() {
            if Some(number) == last && table.segments[number].len < ROWS {
                table.open = Some(number);
            } else if table.segments[number].live == 0 {
                table.free.push(number);
            } else {
                table.close(number);
                table.check_sparse(number);
            }
        }
        self.table
    }

    fn send_added(&mut self) {
        let added = std::mem::replace(&mut self.added, Vec::with_capacity(ADDED));
        self.indexing.send(added).expect("it takes all until there are no more");
    }
}

#[cfg(test)]
impl<K: Key, S> Table<K, S> {
    /// Slots that there is memory for.
    pub(super) fn slots_len(&self) -> usize {
        self.segments.len() * ROWS
    }

    /// Slots of segments with a key.
    pub(super) fn slots_in_use(&self) -> usize {
        self.segments.iter().filter(|segment| segment.live > 0).count() * ROWS
    }

    /// Whether the counts are what they count.
    pub(super) fn is_consistent(&self) -> bool {
        let count = |number: &usize| {
            let (first, segment) = (number * ROWS, &self.segments[*number]);
            self.slots.range(first..first + segment.len).flatten().count()
        };
        let bytes: usize = self.segments.iter().map(|segment| segment.keys.byte_len()).sum();
        let open = self.open.map_or(0, |open| self.segments[open].keys.byte_len());
        let are_live = (0..self.segments.len()).all(|it| count(&it) == self.segments[it].live);
        let live = self.slots.range(0..self.slots.len()).flatten().count();
        let are_free = self.free.iter().all(|&number| self.segments[number].len == 0);
        are_live
            && are_free
            && bytes == self.key_bytes + open
            && live == self.live
            && live == self.index.len()
    }
}
