//! What a batch does to a keyed state, until it is committed: the table itself does not change
//! before, so that whoever looks a state up sees what is committed, and a failed batch is undone by
//! forgetting what it did.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidemill_kernels::Stamped;

use super::changed::Changed;
use super::repeats::Repeats;
use super::table::{Found, ROWS, Slot, Table, Trash, place_of};
use super::time_index::{Links, TimeIndex};
use crate::config::check_retained;
use crate::error::Result;
use crate::record::{Columns, Groups, Key, Record};
use crate::record::{hash_of, too_many_keys};

/// Entries whose memory is asked for before it is their turn.
const ENTRIES_AHEAD: usize = 16;

/// Keys that move out of sparse segments with a batch, beside as many as were removed before it.
const MOVES: usize = if cfg!(test) { 4 } else { 512 };

/// The bit of the stamp of a key that the batch has an entry for; the rest is still the time.
const HAS_ENTRY: u64 = 1 << 63;

/// The latest time that a stamp can be: the next one, with the bit, would be the stamp of a hole.
pub(super) const TIME_MAX: u64 = HAS_ENTRY - 2;

/// The batch's own state of a key.
pub(super) enum New<S> {
    Same,
    Is(S),
    Gone,
}

impl<S: Record> New<S> {
    /// The state as it is now, of which the committed one is given.
    #[inline]
    pub(super) fn current<'a>(&'a self, committed: Option<&'a S>) -> Option<&'a S> {
        match self {
            New::Same => committed,
            New::Is(state) => Some(state),
            New::Gone => None,
        }
    }

    /// Sets the state, and says by how much its bytes change.
    #[inline]
    pub(super) fn set(&mut self, committed: Option<&S>, state: Option<S>) -> isize {
        let bytes = |state: &S| S::byte_len(state.to_ref()) as isize;
        let before = self.current(committed).map_or(0, bytes);
        let added = state.as_ref().map_or(0, bytes) - before;
        *self = state.map_or(New::Gone, New::Is);
        added
    }
}

/// A key that the batch has looked at.
pub(super) struct Entry<S> {
    pub(super) place: Place,
    pub(super) new: New<S>,
}

impl<S> Entry<S> {
    /// The slot of the committed state, as long as that is the state.
    #[inline]
    pub(super) fn same(&self) -> Option<Slot> {
        match (&self.new, self.place) {
            (New::Same, Place::Slot(slot)) => Some(slot),
            _ => None,
        }
    }
}

#[derive(Copy, Clone)]
pub(super) enum Place {
    Slot(Slot),
    /// The number of a key that is not in the table.
    Fresh(u32),
}

/// A key that the batch has brought.
pub(super) struct Fresh<K> {
    pub(super) key: K,
    hash: u64,
    entry: u32,
}

/// A key on its way out of a sparse segment.
struct Move<K> {
    slot: Slot,
    hash: u64,
    key: K,
}

/// What is kept of each slot beside the table.
#[derive(Default)]
pub(super) struct SlotNotes {
    /// The chains of the time index, by segment; none without a timeout.
    next: Vec<Box<[u32]>>,
    has_links: bool,
    /// What has changed since it was saved; nothing if nothing is saved.
    changed: Changed,
    has_changed: bool,
    is_tracking: bool,
}

pub(super) struct BatchState<K: Key, S> {
    pub(super) time: u64,
    pub(super) notes: SlotNotes,
    pub(super) entries: Vec<Entry<S>>,
    pub(super) fresh: Vec<Fresh<K>>,
    /// The keys of the batch's rows, numbered as their entries are.
    groups: K::Groups,
    /// Bytes of keys and states, by what they say of themselves, and by how much they change.
    bytes: usize,
    pub(super) bytes_added: isize,
    /// Numbers of entries, kept for their memory.
    pub(super) scratch: Vec<u32>,
    first_rows: Vec<u32>,
    pub(super) repeats: Repeats,
    removed: Vec<(u64, Slot)>,
    removed_before: usize,
    moves: Vec<Move<K>>,
    /// The sparse segments that are then done, and the row at which the next one goes on.
    cleaned: (usize, usize),
    cleaned_to: usize,
    time_index: Option<TimeIndex>,
    /// Keys that were last touched before it time out in this batch.
    pub(super) threshold: Option<u64>,
    /// Where it was the last time that keys timed out.
    threshold_before: u64,
}

impl SlotNotes {
    /// Makes room for a slot.
    fn reach(&mut self, slot: Slot) {
        let segments = place_of(slot).0 + 1;
        while self.has_links && self.next.len() < segments {
            self.next.push(vec![0; ROWS].into());
        }
        if self.is_tracking {
            self.changed.reach(segments);
        }
    }

    pub(super) fn track(&mut self, segments: usize) {
        self.is_tracking = true;
        self.changed.reach(segments);
    }

    #[inline]
    fn changed(&mut self, slot: Slot) {
        if self.is_tracking {
            self.changed.add(slot);
            self.has_changed = true;
        }
    }

    /// Asks for the memory of a slot's change.
    #[inline]
    fn prefetch(&self, slot: Slot) {
        if self.is_tracking {
            self.changed.prefetch(slot);
        }
    }

    /// What has changed since the last call, to be saved; what changes from now on is noted in
    /// `none`, where nothing is.
    pub(super) fn take_changed(&mut self, none: &mut Changed) -> Changed {
        if !std::mem::take(&mut self.has_changed) {
            return Changed::default();
        }
        let mut fresh = std::mem::take(none);
        fresh.reach(self.changed.segments());
        std::mem::replace(&mut self.changed, fresh)
    }

    /// What was not saved after all has changed.
    pub(super) fn give_back(&mut self, changed: &mut Changed) {
        self.has_changed |= changed.has_room();
        self.changed.add_all(changed);
    }

    fn memory_bytes(&self) -> usize {
        // Twice what has changed, as what was saved keeps its memory.
        2 * self.changed.memory_bytes() + 4 * ROWS * self.next.len()
    }
}

impl Links for SlotNotes {
    fn next(&mut self, slot: Slot) -> &mut u32 {
        let (segment, row) = place_of(slot);
        &mut self.next[segment][row]
    }
}

/// Whether the batch has an entry for a key.
#[inline]
pub(super) fn has_entry<T>(stamped: &Stamped<T>) -> bool {
    stamped.stamp() & HAS_ENTRY != 0
}

/// When a key was last touched before the batch that runs.
#[inline]
pub(super) fn last_touched<T>(stamped: &Stamped<T>) -> u64 {
    stamped.stamp() & !HAS_ENTRY
}

/// Makes a key one that the batch has no entry for.
fn unmark<K: Key, S>(table: &Table<K, S>, slot: Slot) {
    let stamped = table.stamped(slot).expect("a hole has no entry");
    stamped.set_stamp(last_touched(stamped));
}

impl<K: Key, S: Record> BatchState<K, S> {
    pub(super) fn new(timeout_millis: Option<u64>) -> Self {
        let notes = SlotNotes { has_links: timeout_millis.is_some(), ..SlotNotes::default() };
        BatchState {
            time: 0,
            notes,
            entries: Vec::new(),
            fresh: Vec::new(),
            groups: no_groups::<K>(),
            bytes: 0,
            bytes_added: 0,
            scratch: Vec::new(),
            first_rows: Vec::new(),
            repeats: Repeats::default(),
            removed: Vec::new(),
            removed_before: 0,
            moves: Vec::new(),
            cleaned: (0, 0),
            cleaned_to: 0,
            time_index: timeout_millis.map(TimeIndex::new),
            threshold: None,
            threshold_before: 0,
        }
    }

    /// Bytes that are held beside the table: what is noted of slots, and what the batch that runs
    /// has looked at and added.
    pub(super) fn memory_bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry<S>>();
        let fresh = self.fresh.capacity() * size_of::<Fresh<K>>();
        let numbers = size_of::<u32>() * (self.scratch.capacity() + self.first_rows.capacity());
        let added = usize::try_from(self.bytes_added).unwrap_or(0);
        self.notes.memory_bytes()
            + self.time_index.as_ref().map_or(0, TimeIndex::memory_bytes)
            + entries
            + fresh
            + numbers
            + self.groups.byte_len()
            + added
    }

    /// Bytes of keys and states, by what they say of themselves.
    pub(super) fn said_bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a slot that was loaded where it times out.
    pub(super) fn loaded(&mut self, slot: Slot, last: u64) {
        self.notes.reach(slot);
        if let Some(index) = &mut self.time_index {
            index.link(slot, last, 0, &mut self.notes);
        }
    }

    /// The bytes of all that was loaded.
    pub(super) fn has_loaded(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    /// Begins a batch: finds the keys that shall move out of sparse segments.
    pub(super) fn begin(&mut self, time: u64, table: &Table<K, S>) {
        self.time = time;
        let budget = MOVES + self.removed_before;
        let mut done = self.cleaned_to;
        for (place, slots) in table.sparse().enumerate() {
            for (row, slot) in slots.enumerate().skip(done) {
                if self.moves.len() == budget {
                    self.cleaned = (place, row);
                    return;
                }
                if let Some(stamped) = table.stamped(slot) {
                    let key = table.key(slot, stamped);
                    self.moves.push(Move { slot, hash: hash_of::<K>(key), key: K::from_ref(key) });
                }
            }
            (self.cleaned, done) = ((place + 1, 0), 0);
        }
    }

    /// Appends the number of each key's entry. As long as a batch makes its entries in no other
    /// way, its keys have the numbers of their entries, and each is looked for once.
    pub(super) fn entries_of(
        &mut self,
        table: &Table<K, S>,
        keys: &K::Columns,
        entries: &mut Vec<u32>,
    ) -> Result<()> {
        let before = entries.len();
        self.groups.ids(keys, entries)?;
        let mut first_rows = std::mem::take(&mut self.first_rows);
        first_rows.clear();
        for (row, &entry) in entries[before..].iter().enumerate() {
            if entry as usize == self.entries.len() + first_rows.len() {
                first_rows.push(row as u32);
            }
        }
        let rows = first_rows.iter().map(|&row| {
            let key = keys.get(row as usize);
            (row, key, hash_of::<K>(key))
        });
        table.search(rows, |_, key, hash, found| {
            self.enter_new(key, hash, found);
        });
        self.first_rows = first_rows;
        assert_eq!(self.entries.len(), self.groups.len(), "keys are numbered as they come");
        Ok(())
    }

    /// Makes an entry for a key that was looked for and has none.
    #[inline]
    pub(super) fn enter_new(&mut self, key: K::Ref<'_>, hash: u64, found: Found<'_, K, S>) -> u32 {
        match found {
            Some((slot, stamped)) => self.enter(slot, stamped),
            None => self.enter_fresh(hash, key),
        }
    }

    /// Makes an entry for a key of the table that has none.
    #[inline]
    pub(super) fn enter<T>(&mut self, slot: Slot, stamped: &Stamped<T>) -> u32 {
        let number = self.entries.len() as u32;
        stamped.set_stamp(HAS_ENTRY | stamped.stamp());
        self.entries.push(Entry { place: Place::Slot(slot), new: New::Same });
        number
    }

    /// Makes an entry for a key that is not in the table.
    fn enter_fresh(&mut self, hash: u64, key: K::Ref<'_>) -> u32 {
        let (number, entry) = (self.fresh.len() as u32, self.entries.len() as u32);
        self.fresh.push(Fresh { key: K::from_ref(key), hash, entry });
        self.entries.push(Entry { place: Place::Fresh(number), new: New::Same });
        entry
    }

    /// The keys that may be due, as far as they have no entry and were last touched before the
    /// threshold; some of them twice.
    pub(super) fn due(&self, table: &Table<K, S>) -> Vec<Slot> {
        let (Some(index), Some(threshold)) = (&self.time_index, self.threshold) else {
            return Vec::new();
        };
        let links = &self.notes.next;
        let next = |slot| {
            let (segment, row) = place_of(slot);
            links[segment][row]
        };
        // An entry's mark is later than any time.
        let is_due = |slot: &Slot| table.stamped(*slot).is_some_and(|it| it.stamp() < threshold);
        index.due(threshold, next).filter(is_due).collect()
    }

    /// Ends a turn: the last place where something of the user's runs, and where a limit is one.
    pub(super) fn finish(
        &mut self,
        table: &Table<K, S>,
        keys_max: usize,
        bytes_max: usize,
    ) -> Result<()> {
        let mut created = 0;
        for entry in &self.entries {
            match (&entry.new, entry.place) {
                (New::Gone, Place::Slot(slot)) => {
                    let stamped = table.stamped(slot).expect("a hole has no entry");
                    let key = table.key(slot, stamped);
                    self.removed.push((hash_of::<K>(key), slot));
                    self.bytes_added -= K::byte_len(key) as isize;
                }
                (New::Is(_), Place::Fresh(number)) => {
                    created += 1;
                    let key = self.fresh[number as usize].key.to_ref();
                    self.bytes_added += K::byte_len(key) as isize;
                }
                _ => {}
            }
        }
        if created > self.removed.len() && table.len() + created - self.removed.len() > keys_max {
            return Err(too_many_keys(keys_max));
        }
        match usize::try_from(self.bytes_added) {
            Ok(added) if added > 0 => check_retained(self.bytes, added, bytes_max),
            _ => Ok(()),
        }
    }

    /// Makes what the batch did part of the table. Nothing of the user's runs.
    pub(super) fn commit(&mut self, table: &mut Table<K, S>, is_touching: bool) -> Trash<K, S> {
        let mut trash = Trash { states: Vec::new(), segments: Vec::new(), keys: Vec::new() };
        let time = self.time;
        for at in 0..self.entries.len() {
            if let Some(&Entry { place: Place::Slot(slot), .. }) =
                self.entries.get(at + ENTRIES_AHEAD)
            {
                table.prefetch(slot);
                self.notes.prefetch(slot);
            }
            let entry = &mut self.entries[at];
            let Place::Slot(slot) = entry.place else { continue };
            match &mut entry.new {
                New::Is(state) => {
                    // What it was is dropped with the entry.
                    table.replace(slot, state, time);
                    self.notes.changed(slot);
                }
                New::Same if is_touching => {
                    table.set_stamp(slot, time);
                    self.notes.changed(slot);
                }
                New::Same | New::Gone => unmark(table, slot),
            }
        }
        let removed = self.removed.len();
        for (hash, slot) in self.removed.drain(..) {
            table.remove(hash, slot, &mut trash);
            self.notes.changed(slot);
        }
        self.removed_before = removed;
        let threshold = self.threshold.unwrap_or(self.threshold_before);
        self.threshold_before = threshold;
        // Nobody may take the slot of a key that still is to move.
        let stays = |moved: &mut Move<K>| table.state(moved.slot).is_none();
        trash.keys.extend(self.moves.extract_if(.., stays).map(|moved| moved.key));
        for Move { slot, hash, key } in self.moves.drain(..) {
            let (to, last) = table.move_to_end(hash, slot, key, &mut trash);
            self.notes.changed(slot);
            self.notes.reach(to);
            self.notes.changed(to);
            if let Some(index) = &mut self.time_index {
                index.link_moved(to, last, threshold, &mut self.notes);
            }
        }
        // Only now are they as empty as they become.
        table.drop_sparse(self.cleaned.0);
        self.cleaned_to = self.cleaned.1;
        self.cleaned = (0, self.cleaned_to);
        let mut fresh = self.fresh.drain(..);
        while let Some(Fresh { key, hash, entry }) = fresh.next() {
            if let Some(ahead) = fresh.as_slice().get(ENTRIES_AHEAD) {
                table.prefetch_home(ahead.hash);
            }
            let new = &mut self.entries[entry as usize].new;
            let New::Is(state) = std::mem::replace(new, New::Same) else {
                trash.keys.push(key);
                continue;
            };
            let slot = table.insert(hash, key, state, time);
            self.notes.reach(slot);
            self.notes.changed(slot);
            if let Some(index) = &mut self.time_index {
                index.link(slot, time, threshold, &mut self.notes);
            }
        }
        drop(fresh);
        if let (Some(threshold), Some(index)) = (self.threshold.take(), &mut self.time_index) {
            for slot in index.take_due(threshold, &mut self.notes) {
                if let Some(stamped) = table.stamped(slot) {
                    index.link(slot, stamped.stamp(), threshold, &mut self.notes);
                }
            }
        }
        let bytes_added = std::mem::take(&mut self.bytes_added);
        self.bytes = self.bytes.checked_add_signed(bytes_added).unwrap_or(0);
        trash
    }

    /// Forgets what the batch did.
    pub(super) fn roll_back(&mut self, table: &Table<K, S>) {
        for entry in &self.entries {
            if let Place::Slot(slot) = entry.place {
                unmark(table, slot);
            }
        }
        self.removed.clear();
        self.cleaned = (0, self.cleaned_to);
        self.threshold = None;
        self.bytes_added = 0;
        self.drop_rest();
        drop_each(self.fresh.drain(..));
        drop_each(self.moves.drain(..));
    }

    /// Drops what is left of a batch that is committed or rolled back.
    pub(super) fn drop_rest(&mut self) {
        let (entries, room) = (self.entries.len(), self.entries.capacity());
        if std::mem::needs_drop::<S>() {
            drop_each(self.entries.drain(..));
        } else {
            self.entries.clear();
        }
        let cleared = catch_unwind(AssertUnwindSafe(|| self.groups.clear()));
        // What one large batch needed is not kept for ever.
        let is_idle = room > ROWS && entries < room / 8;
        if is_idle || cleared.is_err() {
            drop_each([std::mem::replace(&mut self.groups, no_groups::<K>())].into_iter());
        }
        if is_idle {
            self.entries.shrink_to(room / 2);
            self.fresh.shrink_to(room / 2);
            self.scratch.shrink_to(room / 2);
            self.first_rows.shrink_to(room / 2);
        }
    }
}

/// Groups of no key: a batch may look at more keys than may have a state after it.
fn no_groups<K: Key>() -> K::Groups {
    K::Groups::new(u32::MAX as usize)
}

/// Drops values of the user's, of which one that panics harms nobody else.
pub(super) fn drop_each<T>(values: impl Iterator<Item = T>) {
    for value in values {
        if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
            tracing::error!("the drop of a key or of its state panicked");
        }
    }
}
