//! The table of keys and their states.
//!
//! Rows stand in segments of a fixed size, which never move: a table of any size grows by a segment
//! at a time. A row is known by its slot, segment and row in one number. A key that is removed
//! leaves a hole; segments that are mostly holes are emptied a few at a time, their rows moved to
//! the newest segment, and used again.
//!
//! What a batch changes is noted, so that it can be undone. A row without a state is as good as
//! absent: it is taken out of the index when the batch has ended, whichever way.

use super::due::DueTimes;
use super::state::State;
use crate::error::Result;
use crate::ops::Changes;
use crate::record::saved::{push_varint, take_varint, torn};
use crate::record::{Columns, Key, Record, hash_of, too_many_keys};

use tidemill_kernels::HashIndex;

/// Bits of a slot that say the row in its segment.
const ROW_BITS: u32 = 13;

/// Rows of a segment: its memory is a quarter of a megabyte or so, and emptying it takes less than
/// a millisecond.
const SEGMENT_ROWS: usize = 1 << ROW_BITS;

/// Keys that are looked up at once, so that their memory is asked for before it is needed.
const AHEAD: usize = 64;

/// Holes below which nobody moves rows.
const HOLES_MIN: usize = 4 * SEGMENT_ROWS;

/// Where a key is.
pub(super) type Slot = u32;

pub(crate) struct StateTable<K: Key, S> {
    keys_max: usize,
    index: HashIndex,
    segments: Vec<Segment<K, S>>,
    /// Segments without rows.
    empty: Vec<u32>,
    /// The segment that new keys go to.
    open: usize,
    /// Rows of all segments, holes included.
    rows: usize,
    /// Rows that this batch has changed, in order; what was before the first change counts.
    undo: Vec<Undo<S>>,
    /// Keys that are new in this batch.
    fresh: Vec<Slot>,
    /// Rows that have changed since they were last saved, if anybody wants to know.
    changed: Option<Vec<Slot>>,
    /// When idle keys are looked at, if ever.
    pub(super) due: Option<DueTimes>,
    /// The segment that is looked at next for holes.
    sweep: usize,
    /// There was a batch.
    has_begun: bool,
    hashes: Vec<u64>,
}

struct Segment<K: Key, S> {
    keys: K::Columns,
    rows: Vec<Row<S>>,
    live: usize,
}

pub(super) struct Row<S> {
    pub(super) state: Option<S>,
    /// The time of the last batch that had data of the key, in milliseconds.
    touched: u64,
    /// The low bits of the time at which it is looked at next.
    due: u32,
    is_in_undo: bool,
    /// The state of before the batch is in the undo.
    is_state_in_undo: bool,
    is_changed: bool,
}

/// Where changes of one row are noted, so that they can be undone.
pub(super) struct Noted<'a, S> {
    undo: &'a mut Vec<Undo<S>>,
    slot: Slot,
}

struct Undo<S> {
    slot: Slot,
    touched: u64,
    /// What the state was, if it was changed.
    state: Option<Option<S>>,
}

fn slot_of(segment: usize, row: usize) -> Slot {
    (segment << ROW_BITS | row) as Slot
}

fn place_of(slot: Slot) -> (usize, usize) {
    ((slot >> ROW_BITS) as usize, slot as usize & (SEGMENT_ROWS - 1))
}

impl<K: Key, S> Segment<K, S> {
    fn new() -> Self {
        let rows = Vec::with_capacity(SEGMENT_ROWS);
        Segment { keys: K::Columns::default(), rows, live: 0 }
    }

    fn push(&mut self, key: K::Ref<'_>, row: Row<S>) {
        self.keys.push(key);
        self.rows.push(row);
    }
}

impl<S> Noted<'_, S> {
    /// The batch at this time has data of the key.
    pub(super) fn touch(&mut self, row: &mut Row<S>, time: u64) {
        let before = std::mem::replace(&mut row.touched, time);
        if !std::mem::replace(&mut row.is_in_undo, true) {
            self.undo.push(Undo { slot: self.slot, touched: before, state: None });
        }
    }

    /// Sets or removes a state; the row was touched before.
    pub(super) fn set(&mut self, row: &mut Row<S>, state: Option<S>) {
        let before = std::mem::replace(&mut row.state, state);
        if !std::mem::replace(&mut row.is_state_in_undo, true) {
            self.undo.push(Undo { slot: self.slot, touched: row.touched, state: Some(before) });
        }
    }
}

impl<S> Row<S> {
    fn new(state: Option<S>, touched: u64) -> Row<S> {
        Row {
            state,
            touched,
            due: 0,
            is_in_undo: false,
            is_state_in_undo: false,
            is_changed: false,
        }
    }
}

impl<K: Key, S: Record> StateTable<K, S> {
    pub(super) fn new(keys_max: usize) -> Self {
        StateTable {
            keys_max,
            index: HashIndex::new(),
            segments: vec![Segment::new()],
            empty: Vec::new(),
            open: 0,
            rows: 0,
            undo: Vec::new(),
            fresh: Vec::new(),
            changed: None,
            due: None,
            sweep: 0,
            has_begun: false,
            hashes: Vec::new(),
        }
    }

    /// Makes it a new table with these keys, whose last data will have come with the first batch.
    pub(super) fn begin(&mut self, keys_max: usize, initial: &[(K, S)], timeout: Option<u64>) {
        *self = StateTable::new(keys_max);
        self.due = timeout.map(DueTimes::new);
        for (key, state) in initial {
            let key = key.to_ref();
            // One too many of them is refused with the first key that comes.
            if let Ok(slot) = self.slot(key, hash_of::<K>(key)) {
                self.row_mut(slot).state = Some(S::from_ref(state.to_ref()));
            }
        }
        self.fresh.clear();
    }

    /// There is a batch, the first one or another.
    pub(super) fn set_begun(&mut self, time: u64) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let live: Vec<Slot> = self.live().collect();
        for slot in live {
            self.row_mut(slot).touched = time;
            self.set_due(slot);
        }
    }

    /// Whether there was a batch.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory held, without what states own elsewhere.
    pub(super) fn memory_bytes(&self) -> usize {
        let segment = |segment: &Segment<K, S>| {
            segment.keys.byte_len() + segment.rows.capacity() * size_of::<Row<S>>()
        };
        let segments: usize = self.segments.iter().map(segment).sum();
        let slots = self.undo.capacity() * size_of::<Undo<S>>()
            + self.changed.as_ref().map_or(0, |changed| changed.capacity() * size_of::<Slot>());
        let due = self.due.as_ref().map_or(0, DueTimes::memory_bytes);
        self.index.memory_bytes() + segments + slots + due
    }

    /// Whether the batch has changed anything yet.
    pub(super) fn is_in_batch(&self) -> bool {
        !self.undo.is_empty() || !self.fresh.is_empty()
    }

    fn row(&self, slot: Slot) -> &Row<S> {
        let (segment, row) = place_of(slot);
        &self.segments[segment].rows[row]
    }

    fn row_mut(&mut self, slot: Slot) -> &mut Row<S> {
        let (segment, row) = place_of(slot);
        &mut self.segments[segment].rows[row]
    }

    pub(super) fn key(&self, slot: Slot) -> K::Ref<'_> {
        let (segment, row) = place_of(slot);
        self.segments[segment].keys.get(row)
    }

    pub(super) fn state(&self, slot: Slot) -> Option<&S> {
        self.row(slot).state.as_ref()
    }

    /// Whether the batch has touched the row already.
    pub(super) fn is_touched(&self, slot: Slot) -> bool {
        self.row(slot).is_in_undo
    }

    /// The slots of these rows of keys, all of which are in the table then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) for one key too many.
    pub(super) fn slots(
        &mut self,
        keys: &K::Columns,
        slots: &mut Vec<Slot>,
        begin: usize,
    ) -> Result<()> {
        let end = keys.len().min(begin + AHEAD);
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.extend((begin..end).map(|row| hash_of::<K>(keys.get(row))));
        hashes.iter().for_each(|&hash| self.index.prefetch(hash));
        let mut found = Ok(());
        for (row, &hash) in (begin..end).zip(&hashes) {
            match self.slot(keys.get(row), hash) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    found = Err(error);
                    break;
                }
            }
        }
        self.hashes = hashes;
        found
    }

    /// How many rows [`slots`](Self::slots) looks up.
    pub(super) const AHEAD: usize = AHEAD;

    /// The slot of a key, if it is there.
    pub(super) fn find(&self, key: K::Ref<'_>) -> Option<Slot> {
        self.find_hashed(key, hash_of::<K>(key))
    }

    fn find_hashed(&self, key: K::Ref<'_>, hash: u64) -> Option<Slot> {
        self.index.find(hash, |slot| K::same(self.key(slot), key))
    }

    fn slot(&mut self, key: K::Ref<'_>, hash: u64) -> Result<Slot> {
        if let Some(slot) = self.find_hashed(key, hash) {
            return Ok(slot);
        }
        if self.index.len() >= self.keys_max {
            return Err(too_many_keys(self.keys_max));
        }
        let slot = self.push(key, Row::new(None, 0));
        self.index.insert(hash, slot);
        self.fresh.push(slot);
        Ok(slot)
    }

    /// Appends a row to the open segment.
    fn push(&mut self, key: K::Ref<'_>, row: Row<S>) -> Slot {
        if self.segments[self.open].rows.len() == SEGMENT_ROWS {
            self.open = match self.empty.pop() {
                Some(segment) => segment as usize,
                None => {
                    self.segments.push(Segment::new());
                    self.segments.len() - 1
                }
            };
        }
        let segment = &mut self.segments[self.open];
        segment.live += 1;
        self.rows += 1;
        segment.push(key, row);
        slot_of(self.open, segment.rows.len() - 1)
    }

    /// The batch at this time has data of the key, whose state is this from now on.
    pub(super) fn update(&mut self, slot: Slot, time: u64, state: Option<S>) {
        let (segment, row) = place_of(slot);
        let row = &mut self.segments[segment].rows[row];
        let mut noted = Noted { undo: &mut self.undo, slot };
        noted.touch(row, time);
        noted.set(row, state);
    }

    /// A key and its state, to be changed by the batch at this time.
    pub(super) fn entry(&mut self, slot: Slot, time: u64) -> (K::Ref<'_>, State<'_, S>) {
        let (segment, row) = place_of(slot);
        let segment = &mut self.segments[segment];
        let noted = Noted { undo: &mut self.undo, slot };
        let row_of_slot = &mut segment.rows[row];
        let state =
            State { row: row_of_slot, noted, time, is_timing_out: false, is_removed: false };
        (segment.keys.get(row), state)
    }

    /// All slots that have a state, in ascending order.
    fn live(&self) -> impl Iterator<Item = Slot> {
        self.segments.iter().enumerate().flat_map(|(number, segment)| {
            let rows = segment.rows.iter().enumerate();
            rows.filter(|(_, row)| row.state.is_some()).map(move |(row, _)| slot_of(number, row))
        })
    }

    /// Slots there may be, in ascending order.
    pub(super) fn slot_ends(&self) -> Vec<(Slot, usize)> {
        let segments = self.segments.iter().enumerate();
        segments.map(|(number, segment)| (slot_of(number, 0), segment.rows.len())).collect()
    }

    /// Appends all keys and their states.
    pub(super) fn append_all(&self, keys: &mut K::Columns, states: &mut S::Columns) {
        for segment in &self.segments {
            for (number, row) in segment.rows.iter().enumerate() {
                if let Some(state) = &row.state {
                    keys.push(segment.keys.get(number));
                    states.push(state.to_ref());
                }
            }
        }
    }

    /// The batch stands.
    pub(super) fn commit(&mut self) {
        for Undo { slot, state, .. } in std::mem::take(&mut self.undo) {
            let has_due = self.due.is_some();
            let row = self.row_mut(slot);
            (row.is_in_undo, row.is_state_in_undo) = (false, false);
            self.note(slot);
            if has_due && self.row(slot).due == 0 {
                self.set_due(slot);
            }
            if self.row(slot).state.is_none() && state.is_some() {
                self.forget(slot);
            }
        }
        self.forget_fresh();
        let again = self.due.as_mut().map_or_else(Vec::new, DueTimes::commit);
        for slot in again {
            if self.row(slot).state.is_some() {
                self.set_due(slot);
            }
        }
        self.sweep();
    }

    /// All is as before the batch.
    pub(super) fn roll_back(&mut self) {
        while let Some(Undo { slot, touched, state }) = self.undo.pop() {
            let row = self.row_mut(slot);
            (row.is_in_undo, row.is_state_in_undo) = (false, false);
            row.touched = touched;
            if let Some(state) = state {
                row.state = state;
            }
        }
        self.forget_fresh();
        if let Some(due) = &mut self.due {
            due.roll_back();
        }
    }

    /// Keys that came and have no state are gone again.
    fn forget_fresh(&mut self) {
        for slot in std::mem::take(&mut self.fresh) {
            if self.row(slot).state.is_none() {
                self.forget(slot);
            }
        }
    }

    /// Takes a key without a state out of the index; its row is a hole.
    fn forget(&mut self, slot: Slot) {
        let hash = hash_of::<K>(self.key(slot));
        if self.index.remove(hash, slot) {
            self.row_mut(slot).due = 0;
            self.leave(slot);
        }
    }

    /// A row of the segment is a hole; the last one empties it.
    fn leave(&mut self, slot: Slot) {
        let (number, _) = place_of(slot);
        let segment = &mut self.segments[number];
        segment.live -= 1;
        if segment.live == 0 && number != self.open {
            self.rows -= segment.rows.len();
            segment.rows.clear();
            segment.keys.clear();
            self.empty.push(number as u32);
        }
    }

    /// The row has changed since it was saved.
    fn note(&mut self, slot: Slot) {
        let (segment, row) = place_of(slot);
        if let Some(changed) = &mut self.changed {
            let row = &mut self.segments[segment].rows[row];
            if !std::mem::replace(&mut row.is_changed, true) {
                changed.push(slot);
            }
        }
    }

    /// Has an idle key looked at when its time is over.
    fn set_due(&mut self, slot: Slot) {
        let touched = self.row(slot).touched;
        if let Some(due) = &mut self.due {
            let mark = due.add(slot, touched);
            self.row_mut(slot).due = mark;
        }
    }

    /// The keys whose last data came too long before this time, each once.
    pub(super) fn take_due(&mut self, now: u64) -> Vec<Slot> {
        let Some(due) = &mut self.due else { return Vec::new() };
        let timeout = due.timeout_millis();
        let mut over = Vec::new();
        for (slot, mark) in due.take(now) {
            let (segment, row) = place_of(slot);
            // Slots are used again: is it the key that was put there?
            let row = self.segments.get(segment).and_then(|segment| segment.rows.get(row));
            let Some(row) = row.filter(|row| row.state.is_some() && row.due == mark) else {
                continue;
            };
            if row.touched.saturating_add(timeout) < now {
                over.push(slot);
            } else {
                due.again(slot);
            }
        }
        over
    }

    /// Moves the rows of segments that are mostly holes, as many as a batch can bear.
    fn sweep(&mut self) {
        let holes = self.rows - self.index.len();
        if holes < HOLES_MIN || holes < self.index.len() {
            return;
        }
        // More than came in this batch, so that holes grow fewer.
        let mut budget = SEGMENT_ROWS;
        for _ in 0..self.segments.len() {
            self.sweep = (self.sweep + 1) % self.segments.len();
            let segment = &self.segments[self.sweep];
            let is_worth_it = segment.live * 2 <= segment.rows.len() && segment.live > 0;
            if self.sweep == self.open || !is_worth_it {
                continue;
            }
            budget = budget.saturating_sub(segment.live);
            self.empty_segment(self.sweep);
            if budget == 0 {
                return;
            }
        }
    }

    fn empty_segment(&mut self, number: usize) {
        let segment = std::mem::replace(&mut self.segments[number], Segment::new());
        self.rows -= segment.rows.len();
        for (row, content) in segment.rows.into_iter().enumerate() {
            let (slot, key) = (slot_of(number, row), segment.keys.get(row));
            let was_changed = content.is_changed;
            if content.state.is_some() {
                let moved = self.push(key, Row { is_changed: false, due: 0, ..content });
                self.index.replace(hash_of::<K>(key), slot, moved);
                self.note(moved);
                if self.due.is_some() {
                    self.set_due(moved);
                }
            }
            if let Some(changed) = &mut self.changed
                && !was_changed
            {
                changed.push(slot);
            }
        }
        self.empty.push(number as u32);
    }

    /// From now on changes are known, and all that there is counts as changed unless it was loaded.
    pub(super) fn track_changes(&mut self) {
        self.changed = Some(Vec::new());
        if !self.has_begun {
            let live: Vec<Slot> = self.live().collect();
            live.into_iter().for_each(|slot| self.note(slot));
        }
    }

    /// What has changed since the last time.
    pub(super) fn save(&mut self, changes: &mut Changes) {
        let Some(mut changed) = self.changed.take() else { return };
        changed.sort_unstable();
        changed.dedup();
        for slot in changed.drain(..) {
            let (segment, row) = place_of(slot);
            let segment = &mut self.segments[segment];
            let Some(content) = segment.rows.get_mut(row) else {
                changes.remove(slot.into());
                continue;
            };
            content.is_changed = false;
            match &content.state {
                None => changes.remove(slot.into()),
                Some(state) => changes.put(slot.into(), |out| {
                    push_varint(content.touched, out);
                    K::save(segment.keys.get(row), out);
                    S::save(state.to_ref(), out);
                }),
            }
        }
        self.changed = Some(changed);
    }

    /// Makes the table what was saved.
    pub(super) fn load(
        &mut self,
        keys_max: usize,
        timeout: Option<u64>,
        saved: &Changes,
    ) -> Result<()> {
        self.begin(keys_max, &[], timeout);
        self.has_begun = true;
        for (slot, bytes) in saved.iter() {
            let Some(mut bytes) = bytes else { continue };
            let touched = take_varint(&mut bytes)?;
            let (key, state) = (K::load(&mut bytes)?, S::load(&mut bytes)?);
            let slot = Slot::try_from(slot).map_err(|_| torn())?;
            self.put(slot, key.to_ref(), Row::new(Some(state), touched))?;
        }
        // Segments in between that had no rows.
        let empty = |number: &usize| self.segments[*number].rows.is_empty();
        let last = self.segments.len() - 1;
        self.empty = (0..last).filter(empty).map(|number| number as u32).collect();
        self.open = last;
        Ok(())
    }

    /// A row at a slot after all others.
    fn put(&mut self, slot: Slot, key: K::Ref<'_>, row: Row<S>) -> Result<()> {
        if self.index.len() >= self.keys_max {
            return Err(too_many_keys(self.keys_max));
        }
        let (number, at) = place_of(slot);
        while self.segments.len() <= number {
            self.segments.push(Segment::new());
        }
        let segment = &mut self.segments[number];
        let before = segment.rows.len();
        while segment.rows.len() < at {
            segment.push(key, Row::new(None, 0));
        }
        segment.push(key, row);
        segment.live += 1;
        self.rows += segment.rows.len() - before;
        self.index.insert(hash_of::<K>(key), slot);
        if self.due.is_some() {
            self.set_due(slot);
        }
        Ok(())
    }
}
