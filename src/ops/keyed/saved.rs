//! How a keyed state is saved: an entry for each slot, and one before them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::batch::{BatchState, WORDS, changed_slots, last_touched};
use super::table::{Filling, Slot, Table, filled};
use super::{SharedTable, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{Changes, Gather};
use crate::record::saved::{push_varint, take_varint, torn};
use crate::record::{Key, Record};
use crate::record::{hash_of, too_many_keys};

/// The entry before the slots': what has begun.
const HEADER: u64 = 0;

/// The entry of the first slot.
const FIRST_SLOT: u64 = 1;

/// Words of changes that are worth another thread.
const WORDS_MIN: usize = if cfg!(test) { 2 } else { 16 * WORDS };

/// Slots whose memory is asked for before the first of them is saved.
const SLOTS_AHEAD: usize = 64;

const HAS_INITIAL: u8 = 1;
const HAS_STARTED: u8 = 2;

/// The form in which a state of these types is saved.
pub(super) fn form<K: Key, S: Record>() -> Result<String> {
    let of = |what: &str, form: Option<String>, name: &str| {
        form.ok_or_else(|| {
            let message = format!(
                "its {what} of type {name} cannot be saved: derive Record for it, or carry it as \
                 Saved, by serde"
            );
            Error::new(ErrorKind::Checkpoint, message)
        })
    };
    let key = of("key", K::saved_as(), std::any::type_name::<K>())?;
    let state = of("state", S::saved_as(), std::any::type_name::<S>())?;
    Ok(format!("{key} -> {state}"))
}

impl<K: Key, S: Record> SharedTable<K, S> {
    /// Appends the slots that have changed since the last call that came to its end.
    pub(super) fn save(&self, changes: &mut Changes) -> Result<()> {
        let (work, table) = (&mut *self.lock(), self.read());
        let header = work.header();
        if work.saved_header != Some(header) {
            changes.put(HEADER, |out| out.push(header));
        }
        let mut changed = self.take_changed(work);
        let words = &changed.words;
        let part = words.len().div_ceil(rayon::current_num_threads()).max(WORDS_MIN);
        if words.len() <= part {
            save_slots(&table, changed_slots(0, words), changes);
        } else {
            let table = &*table;
            let parts = words.par_chunks(part).enumerate().map(|(number, words)| {
                let mut of_part = Changes::default();
                save_slots(table, changed_slots(number * part, words), &mut of_part);
                of_part
            });
            parts.collect::<Vec<_>>().iter().for_each(|part| changes.append(part));
        }
        // What runs something of the user's has come before: had it panicked, all of this would
        // still be to be saved.
        work.saved_header = Some(header);
        changed.are_saved();
        Ok(())
    }

    /// What gathers the slots that have changed since the last call that came to its end, while
    /// batches go on. Their commits wait for it.
    pub(super) fn save_beside(self: &Arc<Self>) -> Option<Gather> {
        let work = &mut *self.lock();
        if work.saved_header != Some(work.header()) {
            return None;
        }
        let changed = self.take_changed(work);
        let gathering = Gathering { changed, _gate: Gate::close(self.clone()) };
        let shared = self.clone();
        Some(Box::new(move || {
            // All of it: the gate, too.
            let mut gathering = gathering;
            let mut changes = Changes::default();
            let slots = changed_slots(0, &gathering.changed.words);
            save_slots(&shared.read(), slots, &mut changes);
            gathering.changed.are_saved();
            Ok(changes)
        }))
    }

    /// Which slots have changed, with those that were to be saved and were not.
    fn take_changed(&self, work: &mut Work<K, S>) -> Changed {
        let not_saved = std::mem::take(&mut *lock(&self.not_saved));
        work.batch.notes.give_back(&not_saved);
        Changed { words: work.batch.notes.take_changed(), not_saved: self.not_saved.clone() }
    }

    /// Makes a fresh state what was saved.
    pub(super) fn load(&self, saved: &Changes) -> Result<()> {
        let keys = usize::try_from(saved.len()).map_err(|_| torn())?.saturating_sub(1);
        if keys > self.keys_max {
            return Err(too_many_keys(self.keys_max));
        }
        let mut work = Work::new(self.timeout_millis());
        let table = filled(keys, |filling| {
            for (number, bytes) in saved.iter() {
                let Some(mut from) = bytes else { continue };
                let Some(slot) = number.checked_sub(FIRST_SLOT) else {
                    let [header] = *from else { return Err(torn()) };
                    work.has_initial = header & HAS_INITIAL != 0;
                    work.has_started = header & HAS_STARTED != 0;
                    work.saved_header = Some(header);
                    continue;
                };
                let slot = Slot::try_from(slot).ok().filter(|&slot| slot < Slot::MAX - 1);
                load_slot(filling, &mut work.batch, slot.ok_or_else(torn)?, &mut from)?;
            }
            Ok(())
        })?;
        let mut own = self.lock();
        self.set_table(table);
        *own = work;
        self.measure(&own);
        Ok(())
    }
}

impl<K: Key, S: Record> Work<K, S> {
    fn header(&self) -> u8 {
        let begun = [(self.has_initial, HAS_INITIAL), (self.has_started, HAS_STARTED)];
        begun.iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum()
    }
}

/// Slots that are being saved; unless they are, they come back with those that change next.
struct Changed {
    /// A bit for each slot.
    words: Vec<u64>,
    not_saved: Arc<Mutex<Vec<u64>>>,
}

impl Changed {
    fn are_saved(&mut self) {
        self.words.clear();
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if !self.words.is_empty() {
            *lock(&self.not_saved) = std::mem::take(&mut self.words);
        }
    }
}

/// Keeps a table as it is until it is dropped.
struct Gate<K: Key, S: Record> {
    shared: Arc<SharedTable<K, S>>,
}

impl<K: Key, S: Record> Gate<K, S> {
    fn close(shared: Arc<SharedTable<K, S>>) -> Self {
        *lock(&shared.is_gathering) = true;
        Gate { shared }
    }
}

impl<K: Key, S: Record> Drop for Gate<K, S> {
    fn drop(&mut self) {
        *lock(&self.shared.is_gathering) = false;
        self.shared.has_gathered.notify_all();
    }
}

/// In this order they are dropped: what was not saved has come back when the table may change.
struct Gathering<K: Key, S: Record> {
    changed: Changed,
    _gate: Gate<K, S>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn save_slots<K: Key, S: Record>(
    table: &Table<K, S>,
    mut slots: impl Iterator<Item = Slot>,
    changes: &mut Changes,
) {
    let mut ahead = [0; SLOTS_AHEAD];
    loop {
        let count = ahead.iter_mut().zip(&mut slots).map(|(ahead, slot)| *ahead = slot).count();
        // A pass for each step that waits for memory, so that the misses of several slots overlap.
        let slots = &ahead[..count];
        slots.iter().for_each(|&slot| table.prefetch_with_key(slot));
        slots.iter().for_each(|&slot| table.prefetch_key(slot));
        for &slot in slots {
            let number = FIRST_SLOT + u64::from(slot);
            match table.stamped(slot) {
                None => changes.remove(number),
                Some(stamped) => changes.put(number, |out| {
                    push_varint(last_touched(stamped), out);
                    K::save(table.key(slot), out);
                    S::save(stamped.value().state.to_ref(), out);
                }),
            }
        }
        if count < SLOTS_AHEAD {
            break;
        }
    }
}

fn load_slot<K: Key, S: Record>(
    filling: &mut Filling<K, S>,
    batch: &mut BatchState<K, S>,
    slot: Slot,
    from: &mut &[u8],
) -> Result<()> {
    let last = take_varint(from)?;
    let (key, state) = (K::load(from)?, S::load(from)?);
    if !from.is_empty() || last >> 63 != 0 {
        return Err(torn());
    }
    let bytes = K::byte_len(key.to_ref()) + S::byte_len(state.to_ref());
    let hash = hash_of::<K>(key.to_ref());
    filling.add(slot, hash, key, state, last);
    batch.loaded(slot, last, bytes);
    Ok(())
}
