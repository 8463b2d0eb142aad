//! How a window by key is saved: what came for each key in each pane, before stacks or totals make
//! something else of it. From that the window is put together again.
//!
//! Entries are numbered by batches. One holds the rows of the open pane that have changed since the
//! entry before, each with all that the pane has of its key, so of two of one key the later one
//! counts; once most of a pane's entries are of keys that later ones have, too, the pane is written
//! anew. A pane that closes is written first, since moving a boundary overwrites it, and the
//! entries of panes that have left go. What was written is kept in memory, without the keys, until
//! then, so that all of it can be written again. Invariant: it is never read by a save of what has
//! changed, which costs no more than that.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{NO_SLOT, PHASES, Panes, Phase, WindowByKey};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{Aggregate, Changes, Gather};
use crate::record::saved::{push_varint, take_varint, torn};
use crate::record::{Columns, Groups, Key, Record};

/// The entry with the phases' boundaries: past the numbers of all batches.
const BOUNDARIES: u64 = 1 << 62;

/// Added to the number of a batch: the keys that have lost their last value and are kept, and those
/// that no longer are.
const KEPT: u64 = 1 << 63;

/// Bytes that an entry takes until it is saved, beside what is in it.
const UNSAVED_BYTES: usize = 64;

/// Rows that may be superseded before anything is written anew.
const SUPERSEDED_MIN: usize = 1024;

/// What was saved of a window, and what has changed since.
pub(super) struct Log<K: Key> {
    /// The number of the batch.
    pub(super) now: u64,
    /// Rows of the open pane that have changed: their phases and places.
    touched: Vec<(u8, u32)>,
    /// The last batch that has changed one.
    touched_at: u64,
    /// The entries that the panes are in, oldest first.
    entries: VecDeque<Entry>,
    /// Entries to put, or to remove, at the next save.
    unsaved: BTreeMap<u64, Option<Vec<u8>>>,
    unsaved_bytes: usize,
    /// Bytes of the rows of all entries.
    entry_bytes: usize,
    /// The last batch that has a saved entry.
    saved_to: u64,
    boundaries: Vec<Phase>,
    /// The pane that is being written down, or was when something could not be saved.
    begun: Option<u64>,
    /// The last pane that is not there as a whole for that reason: until it has left there are no
    /// checkpoints.
    torn: Option<u64>,
    /// Keys that have lost their last value and are kept, some of them perhaps no longer.
    emptied: Vec<u32>,
    /// Keys that were kept so, and are not.
    forgotten: K::Columns,
    kept_entries: Vec<u64>,
    kept_rows: usize,
    is_kept_stale: bool,
}

struct Entry {
    batch: u64,
    rows: Arc<SavedRows>,
}

/// Rows of an entry as they were written, but for their keys.
#[derive(Clone, Default)]
struct SavedRows {
    /// The ids of their keys; [`NO_SLOT`] of a key that is gone, as the entry soon is.
    ids: Vec<u32>,
    /// Where the bytes of each end.
    ends: Vec<usize>,
    partials: Vec<u8>,
}

impl SavedRows {
    fn push(&mut self, id: u32, partial: &[u8]) {
        self.ids.push(id);
        self.partials.extend_from_slice(partial);
        self.ends.push(self.partials.len());
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn byte_len(&self) -> usize {
        self.ids.len() * (size_of::<u32>() + size_of::<usize>()) + self.partials.len()
    }

    /// Appends all rows as they are in an entry.
    fn save<K: Key>(&self, keys: &K::Columns, out: &mut Vec<u8>) {
        let mut start = 0;
        for (&id, &end) in self.ids.iter().zip(&self.ends) {
            if id != NO_SLOT {
                K::save(keys.get(id as usize), out);
                out.extend_from_slice(&self.partials[start..end]);
            }
            start = end;
        }
    }
}

impl<K: Key> Default for Log<K> {
    fn default() -> Self {
        Log {
            now: 0,
            touched: Vec::new(),
            touched_at: 0,
            entries: VecDeque::new(),
            unsaved: BTreeMap::new(),
            unsaved_bytes: 0,
            entry_bytes: 0,
            saved_to: 0,
            boundaries: Vec::new(),
            begun: None,
            torn: None,
            emptied: Vec::new(),
            forgotten: K::Columns::default(),
            kept_entries: Vec::new(),
            kept_rows: 0,
            is_kept_stale: false,
        }
    }
}

impl<K: Key> Log<K> {
    /// Rows of the open pane have changed, of so many.
    pub(super) fn touch(&mut self, rows: impl Iterator<Item = (u8, u32)>, all: usize) {
        let before = self.touched.len();
        self.touched.extend(rows);
        if self.touched.len() > before {
            self.touched_at = self.now;
        }
        // Also if nobody saves for long.
        if self.touched.len() > 2 * all + SUPERSEDED_MIN {
            self.settle();
        }
    }

    /// A key has lost its last value, and is kept.
    pub(super) fn emptied(&mut self, id: u32) {
        if !self.is_kept_stale {
            self.emptied.push(id);
        }
    }

    /// A key without values is no longer kept.
    pub(super) fn forgotten(&mut self, key: K::Ref<'_>) {
        if !self.is_kept_stale {
            self.forgotten.push(key);
        }
    }

    /// Keeps what is known of kept keys within the number of keys.
    pub(super) fn bound(&mut self, keys: usize) {
        if self.emptied.len() + self.forgotten.len() > 2 * keys + SUPERSEDED_MIN {
            self.is_kept_stale = true;
            self.emptied.clear();
            self.forgotten.clear();
        }
    }

    /// The keys have other ids.
    pub(super) fn renumber(&mut self, new_ids: &[u32]) {
        self.emptied.iter_mut().for_each(|id| *id = new_ids[*id as usize]);
        self.emptied.retain(|&id| id != NO_SLOT);
        for entry in &mut self.entries {
            let ids = &mut Arc::make_mut(&mut entry.rows).ids;
            ids.iter_mut().filter(|id| **id != NO_SLOT).for_each(|id| *id = new_ids[*id as usize]);
        }
    }

    fn push_entry(&mut self, entry: Entry) {
        self.entry_bytes += entry.rows.byte_len();
        self.entries.push_back(entry);
    }

    /// An entry is no longer kept.
    fn popped(&mut self, entry: &Entry) {
        self.entry_bytes -= entry.rows.byte_len();
        self.drop_entry(entry.batch);
    }

    /// About how many bytes of memory are held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.touched.capacity() * size_of::<(u8, u32)>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.entry_bytes
            + self.unsaved.len() * UNSAVED_BYTES
            + self.unsaved_bytes
            + self.emptied.capacity() * size_of::<u32>()
            + self.forgotten.byte_len()
            + self.kept_entries.capacity() * size_of::<u64>()
    }

    /// Has an entry saved, or removed, with the next checkpoint.
    fn put(&mut self, number: u64, bytes: Option<Vec<u8>>) {
        self.unsaved_bytes += bytes.as_ref().map_or(0, Vec::len);
        self.forget(number);
        self.unsaved.insert(number, bytes);
    }

    /// Does not save an entry after all.
    fn forget(&mut self, number: u64) {
        let before = self.unsaved.remove(&number).flatten();
        self.unsaved_bytes -= before.map_or(0, |bytes| bytes.len());
    }

    fn drop_entry(&mut self, batch: u64) {
        if batch > self.saved_to {
            self.forget(batch);
        } else {
            self.put(batch, None);
        }
    }

    fn settle(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> WindowByKey<K, V, A> {
    fn pane_of(&self, batch: u64) -> u64 {
        batch.div_ceil(self.pane)
    }

    /// Drops the entries of panes that have left.
    pub(super) fn drop_left(&self, panes: &mut Panes<K, A::Partial>) {
        let Some(log) = panes.log.as_deref_mut() else { return };
        let now = log.now;
        let has_left =
            |entry: &Entry| self.span.has_left(entry.batch.next_multiple_of(self.pane), now);
        while log.entries.front().is_some_and(has_left) {
            let entry = log.entries.pop_front();
            entry.iter().for_each(|entry| log.popped(entry));
        }
        log.torn = log.torn.filter(|pane| !self.span.has_left(pane * self.pane, now));
    }

    /// Writes down what has changed of the open pane. Where a type cannot be saved after all, that
    /// fails one batch or checkpoint, and not each one that follows.
    pub(super) fn log_open(&self, panes: &mut Panes<K, A::Partial>) {
        let Some(log) = panes.log.as_deref_mut().filter(|log| !log.touched.is_empty()) else {
            return;
        };
        if log.begun.replace(panes.open_number) == Some(panes.open_number) {
            log.torn = log.begun.take();
            log.touched.clear();
            return;
        }
        let all: usize = panes.open.iter().map(|rows| rows.ids.len()).sum();
        if log.touched.len() < all {
            log.settle();
        }
        let is_open = |entry: &&Entry| self.pane_of(entry.batch) == panes.open_number;
        let entries = log.entries.iter().rev().take_while(is_open);
        let (entries, rows) =
            entries.fold((0, 0), |(n, rows), entry| (n + 1, rows + entry.rows.len()));
        let changed = log.touched.len();
        let is_anew = changed >= all || rows + changed > 2 * all + SUPERSEDED_MIN;
        let (mut bytes, mut saved) = (Vec::new(), SavedRows::default());
        let mut save = |phase: u8, slot: u32| {
            let rows = &panes.open[usize::from(phase)];
            let id = rows.ids[slot as usize];
            K::save(panes.keys.get(id as usize), &mut bytes);
            let start = bytes.len();
            self.aggregate.save_partial(&rows.partials[slot as usize], &mut bytes);
            saved.push(id, &bytes[start..]);
        };
        if is_anew {
            for (phase, rows) in (0..).zip(&panes.open) {
                (0..rows.ids.len() as u32).for_each(|slot| save(phase, slot));
            }
        } else {
            log.touched.iter().for_each(|&(phase, slot)| save(phase, slot));
        }
        // Nothing below fails.
        for _ in 0..if is_anew { entries } else { 0 } {
            let entry = log.entries.pop_back();
            entry.iter().for_each(|entry| log.popped(entry));
        }
        log.begun = None;
        log.touched.clear();
        let entry = Entry { batch: log.touched_at, rows: Arc::new(saved) };
        log.push_entry(entry);
        log.put(log.touched_at, Some(bytes));
    }

    /// Writes down which keys are kept without values.
    fn log_kept(&self, panes: &mut Panes<K, A::Partial>) {
        let Some(log) = panes.log.as_deref_mut() else { return };
        let changes = log.emptied.len() + log.forgotten.len();
        if changes == 0 && !log.is_kept_stale {
            return;
        }
        let all = panes.states.len();
        let is_anew = log.is_kept_stale || log.kept_rows + changes > 2 * all + SUPERSEDED_MIN;
        let mut bytes = Vec::new();
        let mut rows = 0;
        if is_anew {
            log.emptied = (0..all as u32).collect();
        } else {
            log.emptied.sort_unstable();
            log.emptied.dedup();
            // What was forgotten may have come again, and been emptied.
            for row in 0..log.forgotten.len() {
                K::save(log.forgotten.get(row), &mut bytes);
                bool::save(false, &mut bytes);
                rows += 1;
            }
        }
        let identity = self.aggregate.identity();
        for id in log.emptied.iter().map(|&id| id as usize) {
            let state = &panes.states[id];
            if state.live == 0 && state.is_kept {
                K::save(panes.keys.get(id), &mut bytes);
                bool::save(true, &mut bytes);
                let is_invertible = self.aggregate.is_invertible();
                let nothing = if is_invertible { &panes.newer[id] } else { &identity };
                self.aggregate.save_partial(nothing, &mut bytes);
                rows += 1;
            }
        }
        // Nothing below fails.
        log.emptied.clear();
        log.forgotten.clear();
        if std::mem::take(&mut log.is_kept_stale) || is_anew {
            log.kept_rows = 0;
            let entries = std::mem::take(&mut log.kept_entries);
            entries.into_iter().for_each(|number| log.put(number, None));
        }
        if rows > 0 {
            log.kept_rows += rows;
            log.kept_entries.push(KEPT | log.now);
            log.put(KEPT | log.now, Some(bytes));
        }
    }

    pub(super) fn save_log(
        &self,
        panes: &mut Panes<K, A::Partial>,
        changes: &mut Changes,
    ) -> Result<()> {
        self.log_panes(panes)?;
        self.log_kept(panes);
        let Some(log) = &mut panes.log else { return Ok(()) };
        if log.boundaries != panes.phases && !self.aggregate.is_invertible() {
            log.put(BOUNDARIES, Some(boundaries(&panes.phases)));
            log.boundaries.clone_from(&panes.phases);
        }
        log.unsaved_bytes = 0;
        for (number, bytes) in std::mem::take(&mut log.unsaved) {
            match bytes {
                Some(bytes) => changes.put(number, |out| out.extend_from_slice(&bytes)),
                None => changes.remove(number),
            }
        }
        log.saved_to = log.entries.back().map_or(log.saved_to, |entry| entry.batch);
        Ok(())
    }

    /// What writes all panes again, as they were written.
    pub(super) fn save_whole_log(&self, panes: &mut Panes<K, A::Partial>) -> Result<Gather> {
        self.log_panes(panes)?;
        let Some(log) = &mut panes.log else { return Ok(Box::new(|| Ok(Changes::whole()))) };
        // As after a save: only what changes from now on is to be written.
        log.unsaved.clear();
        log.unsaved_bytes = 0;
        log.emptied.clear();
        log.forgotten.clear();
        log.is_kept_stale = false;
        log.saved_to = log.entries.back().map_or(log.saved_to, |entry| entry.batch);
        log.boundaries.clone_from(&panes.phases);
        let mut keys = K::Columns::default();
        keys.append(&panes.keys);
        let entries = log.entries.iter().map(|entry| (entry.batch, entry.rows.clone()));
        let entries: Vec<_> = entries.collect();
        let is_invertible = self.aggregate.is_invertible();
        let boundaries = (!is_invertible).then(|| boundaries(&panes.phases));
        let kept = (0..).zip(&panes.states).filter(|(_, state)| state.live == 0 && state.is_kept);
        let nothing = |id: usize| match is_invertible {
            true => panes.newer[id].clone(),
            false => self.aggregate.identity(),
        };
        let kept: Vec<_> = kept.map(|(id, _)| (id, nothing(id))).collect();
        log.kept_rows = kept.len();
        let kept_number = KEPT | log.now;
        log.kept_entries = if kept.is_empty() { Vec::new() } else { vec![kept_number] };
        let aggregate = self.aggregate.clone();
        Ok(Box::new(move || {
            let mut all = Changes::whole();
            for (batch, rows) in entries {
                all.put(batch, |out| rows.save::<K>(&keys, out));
            }
            if let Some(boundaries) = boundaries {
                all.put(BOUNDARIES, |out| out.extend_from_slice(&boundaries));
            }
            if !kept.is_empty() {
                all.put(kept_number, |out| {
                    for (id, nothing) in &kept {
                        K::save(keys.get(*id), out);
                        bool::save(true, out);
                        aggregate.save_partial(nothing, out);
                    }
                });
            }
            Ok(all)
        }))
    }

    /// Writes down all that has changed of panes.
    fn log_panes(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        self.drop_left(panes);
        self.log_open(panes);
        if panes.log.as_ref().is_some_and(|log| log.torn.is_some()) {
            let message = "a checkpoint cannot hold something that is in a window of it";
            return Err(Error::new(ErrorKind::Checkpoint, message));
        }
        Ok(())
    }

    pub(super) fn load_log(&self, panes: &mut Panes<K, A::Partial>, saved: &Changes) -> Result<()> {
        let mut log = Box::<Log<K>>::default();
        for (number, bytes) in saved.iter() {
            let Some(mut bytes) = bytes else { continue };
            if number >= KEPT {
                let rows = self.load_kept(panes, bytes)?;
                log.kept_entries.push(number);
                log.kept_rows += rows;
            } else if number == BOUNDARIES {
                for phase in &mut panes.phases {
                    let number = take_varint(&mut bytes)?;
                    *phase = Phase { boundary: number >> 1, is_stale: number & 1 != 0 };
                }
            } else {
                let rows = self.load_rows(panes, number, bytes)?;
                log.push_entry(Entry { batch: number, rows: Arc::new(rows) });
                log.saved_to = number;
            }
        }
        log.boundaries.clone_from(&panes.phases);
        // What is open may be what was before the boundaries.
        let boundary = panes.phases.iter().map(|phase| phase.boundary).max().unwrap_or(0);
        if boundary > panes.open_number {
            let batch = boundary.checked_mul(self.pane).ok_or_else(torn)?;
            self.close_pane(panes, batch);
        }
        if self.aggregate.is_invertible() {
            self.total_again(panes)?;
        } else {
            self.stack_again(panes)?;
        }
        panes.shown = panes.states.iter().filter(|state| state.is_shown()).count();
        panes.log = Some(log);
        Ok(())
    }

    /// Takes in an entry of a pane, and gives its rows.
    fn load_rows(
        &self,
        panes: &mut Panes<K, A::Partial>,
        batch: u64,
        mut bytes: &[u8],
    ) -> Result<SavedRows> {
        if batch == 0 || batch >= BOUNDARIES {
            return Err(torn());
        }
        self.close_pane(panes, batch);
        let (mut keys, mut rows) = (K::Columns::default(), Vec::new());
        while !bytes.is_empty() {
            keys.push_owned(K::load(&mut bytes)?);
            let before = bytes;
            let partial = self.aggregate.load_partial(&mut bytes)?;
            rows.push((partial, &before[..before.len() - bytes.len()]));
        }
        self.find_loaded(panes, &keys)?;
        let are_empty_kept = self.are_empty_kept();
        let mut saved = SavedRows::default();
        for (row, (partial, bytes)) in rows.into_iter().enumerate() {
            let id = panes.ids[row];
            saved.push(id, bytes);
            let state = &mut panes.states[id as usize];
            let open = &mut panes.open[usize::from(state.phase)];
            let added = self.row_bytes(&partial);
            let before = match open.partials.get_mut(state.slot as usize) {
                Some(before) => self.row_bytes(&std::mem::replace(before, partial)),
                None => {
                    state.slot = open.ids.len() as u32;
                    state.live += 1;
                    state.is_kept |= are_empty_kept;
                    open.ids.push(id);
                    open.partials.push(partial);
                    0
                }
            };
            panes.open_bytes = panes.open_bytes - before + added;
            panes.bytes = panes.bytes - before + added;
        }
        Ok(saved)
    }

    /// Takes in an entry of the keys that are kept without values.
    fn load_kept(&self, panes: &mut Panes<K, A::Partial>, mut bytes: &[u8]) -> Result<usize> {
        let (mut keys, mut rows) = (K::Columns::default(), Vec::new());
        while !bytes.is_empty() {
            keys.push_owned(K::load(&mut bytes)?);
            let is_kept = bool::load(&mut bytes)?;
            rows.push(if is_kept { Some(self.aggregate.load_partial(&mut bytes)?) } else { None });
        }
        self.find_loaded(panes, &keys)?;
        let count = rows.len();
        for (row, nothing) in rows.into_iter().enumerate() {
            let id = panes.ids[row] as usize;
            let state = &mut panes.states[id];
            // What a key has values in is no longer without any.
            if state.live == 0 {
                state.is_kept = nothing.is_some() && self.are_empty_kept();
                panes.newer[id] = nothing.unwrap_or_else(|| self.aggregate.identity());
            }
        }
        Ok(count)
    }

    /// Gives each loaded key its id.
    fn find_loaded(&self, panes: &mut Panes<K, A::Partial>, keys: &K::Columns) -> Result<()> {
        panes.ids.clear();
        panes.groups.ids(keys, &mut panes.ids)?;
        for row in 0..keys.len() {
            if panes.ids[row] as usize == panes.states.len() {
                self.add_key(panes, keys.get(row));
            }
        }
        Ok(())
    }

    /// Makes both stacks of the panes, each as it was.
    fn stack_again(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        for pane in panes.panes.iter_mut().rev() {
            for phase in 0..PHASES {
                if pane.number >= panes.phases[phase].boundary {
                    continue;
                }
                for row in pane.range(phase) {
                    let older = &mut panes.older[pane.rows.ids[row] as usize];
                    let partial = &mut pane.rows.partials[row];
                    let mut merged = partial.clone();
                    self.aggregate.merge(&mut merged, older)?;
                    let before = self.aggregate.byte_len(partial);
                    *partial = std::mem::replace(older, merged);
                    let after = self.aggregate.byte_len(partial);
                    pane.bytes = pane.bytes - before + after;
                    panes.bytes = panes.bytes - before + after;
                    panes.older_rows += 1;
                }
            }
        }
        for pane in &panes.panes {
            for phase in 0..PHASES {
                if pane.number >= panes.phases[phase].boundary {
                    for row in pane.range(phase) {
                        let newer = &mut panes.newer[pane.rows.ids[row] as usize];
                        self.aggregate.merge(newer, &pane.rows.partials[row])?;
                    }
                }
            }
        }
        let has_bases = self.has_bases(1);
        for rows in &mut panes.open {
            for (&id, partial) in rows.ids.iter().zip(&rows.partials) {
                let newer = &mut panes.newer[id as usize];
                rows.bases.extend(has_bases.then(|| newer.clone()));
                self.aggregate.merge(newer, partial)?;
            }
        }
        Ok(())
    }
}

/// The entry with the phases' boundaries.
fn boundaries(phases: &[Phase]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Phase { boundary, is_stale } in phases {
        push_varint(boundary << 1 | u64::from(*is_stale), &mut bytes);
    }
    bytes
}
