//! How a keyed state is saved: an entry for each slot, and one before them.

use std::sync::{Arc, MutexGuard, PoisonError, RwLockWriteGuard};

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::batch::{TIME_MAX, last_touched};
use super::changed::{Changed, WORDS, changed_slots};
use super::table::{Filling, Slot, Table, filled};
use super::{SharedTable, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{Changes, Gather};
use crate::record::saved::{push_varint, take_varint, torn};
use crate::record::{Key, Record, too_many_keys};

/// The entry before the slots': what has begun.
const HEADER: u64 = 0;

/// The entry of the first slot.
const FIRST_SLOT: u64 = 1;

/// Words of changes that are worth another thread.
const WORDS_MIN: usize = if cfg!(test) { 2 } else { 16 * WORDS };

/// Slots whose memory is asked for before the first of them is saved.
const SLOTS_AHEAD: usize = 64;

/// Slots that are read while a commit waits: some 100 µs.
const SCANNED_AT_ONCE: usize = if cfg!(test) { 8 } else { 1 << 10 };

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
    pub(super) fn save(self: &Arc<Self>, changes: &mut Changes) {
        let work = &mut *self.lock();
        let header = work.header();
        if work.saved_header != Some(header) {
            changes.put(HEADER, |out| out.push(header));
        }
        self.begin_gathering(work).save(rayon::current_num_threads(), changes);
        work.saved_header = Some(header);
    }

    /// What gathers the slots that have changed since the last call that came to its end, while
    /// batches go on; commits wait for it. `None` if there is more to save than slots.
    pub(super) fn save_beside(self: &Arc<Self>) -> Option<Gather> {
        let work = &mut *self.lock();
        if work.saved_header != Some(work.header()) {
            return None;
        }
        let gathering = self.begin_gathering(work);
        Some(Box::new(move || {
            let mut changes = Changes::default();
            gathering.save(1, &mut changes);
            Ok(changes)
        }))
    }

    /// What reads all slots, some at a time, while batches go on and commit in between. Of what
    /// changes meanwhile it may have either state: that is among the slots that have changed.
    pub(super) fn scan(self: &Arc<Self>) -> Gather {
        let header = self.lock().header();
        let shared = self.clone();
        Box::new(move || {
            let mut all = Changes::whole();
            all.put(HEADER, |out| out.push(header));
            let mut next = 0;
            loop {
                // A commit waits for these few, and comes before those that follow.
                let table = &*shared.read();
                let Some(slots) = table.next_slots(next, SCANNED_AT_ONCE) else { break };
                next = slots.end;
                let held = slots.filter(|&slot| table.stamped(slot).is_some());
                save_slots(table, held, &mut all);
            }
            Ok(all)
        })
    }

    /// Begins to gather the slots that have changed, with those that were to be saved and were not.
    fn begin_gathering(self: &Arc<Self>, work: &mut Work<K, S>) -> Gathering<K, S> {
        let mut gather = self.lock_gather();
        work.batch.notes.give_back(&mut std::mem::take(&mut gather.not_saved));
        gather.is_on = true;
        let changed = work.batch.notes.take_changed(&mut gather.none);
        Gathering { shared: self.clone(), changed }
    }

    fn lock_gather(&self) -> MutexGuard<'_, GatherState> {
        self.gather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, to be changed, once nobody gathers what has changed in it.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Table<K, S>> {
        drop(self.has_gathered.wait_while(self.lock_gather(), |gather| gather.is_on));
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots that were not saved are those of another table now.
    pub(super) fn forget_gathered(&self) {
        self.lock_gather().not_saved = Changed::default();
    }

    /// Makes a fresh state what was saved.
    pub(super) fn load(&self, saved: &Changes) -> Result<()> {
        let keys = usize::try_from(saved.len()).map_err(|_| torn())?.saturating_sub(1);
        if keys > self.keys_max {
            return Err(too_many_keys(self.keys_max));
        }
        let mut work = Work::new(self.timeout_millis());
        let Work { batch, has_initial, has_started, saved_header, .. } = &mut work;
        let mut bytes = 0;
        let link = |slot, stamp| batch.loaded(slot, stamp);
        let table = filled(keys, link, |filling| {
            for (number, entry) in saved.iter() {
                let Some(entry) = entry else { continue };
                match number.checked_sub(FIRST_SLOT) {
                    Some(slot) => bytes += load_slot(filling, slot, entry)?,
                    None => {
                        let [header] = *entry else { return Err(torn()) };
                        *has_initial = header & HAS_INITIAL != 0;
                        *has_started = header & HAS_STARTED != 0;
                        *saved_header = Some(header);
                    }
                }
            }
            Ok(())
        })?;
        work.batch.has_loaded(bytes);
        let mut own = self.lock();
        self.set_table(table);
        *own = work;
        self.measure(&self.read(), &own);
        Ok(())
    }
}

impl<K: Key, S: Record> Work<K, S> {
    fn header(&self) -> u8 {
        let begun = [(self.has_initial, HAS_INITIAL), (self.has_started, HAS_STARTED)];
        begun.iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum()
    }
}

/// What is being gathered, and what could not be.
#[derive(Default)]
pub(super) struct GatherState {
    /// Until this is over nothing changes.
    is_on: bool,
    /// What was to be saved, and was not.
    not_saved: Changed,
    /// Nothing, kept for its memory: new pages are time of the batch loop's.
    none: Changed,
}

/// Slots that are being saved, of a table that stays as it is until this is dropped. What is not
/// saved then comes with what changes next.
struct Gathering<K: Key, S: Record> {
    shared: Arc<SharedTable<K, S>>,
    changed: Changed,
}

impl<K: Key, S: Record> Gathering<K, S> {
    /// Appends the slots, by as many threads as there are for it.
    fn save(mut self, threads: usize, changes: &mut Changes) {
        let (table, words) = (&*self.shared.read(), self.changed.bits());
        let part = words.len().div_ceil(threads).max(WORDS_MIN);
        if words.len() <= part {
            save_slots(table, changed_slots(0, words), changes);
        } else {
            let parts = words.par_chunks(part).enumerate().map(|(number, words)| {
                let mut of_part = Changes::default();
                save_slots(table, changed_slots(number * part, words), &mut of_part);
                of_part
            });
            parts.collect::<Vec<_>>().iter().for_each(|part| changes.append(part));
        }
        // Only now: had something of the user's panicked, all would still be to be saved.
        let mut none = std::mem::take(&mut self.changed);
        if none.has_room() {
            none.clear();
            self.shared.lock_gather().none = none;
        }
    }
}

impl<K: Key, S: Record> Drop for Gathering<K, S> {
    fn drop(&mut self) {
        let mut gather = self.shared.lock_gather();
        (gather.is_on, gather.not_saved) = (false, std::mem::take(&mut self.changed));
        drop(gather);
        self.shared.has_gathered.notify_all();
    }
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
                    K::save(table.key(slot, stamped), out);
                    S::save(stamped.value().state.to_ref(), out);
                }),
            }
        }
        if count < SLOTS_AHEAD {
            break;
        }
    }
}

/// Puts an entry where it was, and says how many bytes it is.
fn load_slot<K: Key, S: Record>(
    filling: &mut Filling<K, S>,
    slot: u64,
    mut from: &[u8],
) -> Result<usize> {
    let slot = Slot::try_from(slot).ok().filter(|&slot| slot < Slot::MAX - 1).ok_or_else(torn)?;
    let last = take_varint(&mut from)?;
    if last > TIME_MAX {
        return Err(torn());
    }
    let bytes = filling.load(slot, last, &mut from)?;
    if from.is_empty() { Ok(bytes) } else { Err(torn()) }
}
