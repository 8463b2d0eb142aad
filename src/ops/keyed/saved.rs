//! How a keyed state is saved: an entry for each slot, and one before them.

use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use super::batch::{BatchState, SlotNotes};
use super::table::{Filling, Slot, Table, filled};
use super::{SharedTable, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Changes;
use crate::record::saved::{push_varint, take_varint, torn};
use crate::record::{Key, Record};
use crate::record::{hash_of, too_many_keys};

/// The entry before the slots': what has begun.
const HEADER: u64 = 0;

/// The entry of the first slot.
const FIRST_SLOT: u64 = 1;

/// Segments that are worth another thread.
const SEGMENTS_MIN: usize = if cfg!(test) { 2 } else { 16 };

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
        let begun = [(work.has_initial, HAS_INITIAL), (work.has_started, HAS_STARTED)];
        let header = begun.iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum();
        if work.saved_header != Some(header) {
            changes.put(HEADER, |out| out.push(header));
        }
        let (table, notes) = (&*table, &work.batch.notes);
        let segments = notes.changed_segments();
        let part = segments.len().div_ceil(rayon::current_num_threads()).max(SEGMENTS_MIN);
        if segments.len() <= part {
            save_segments(table, notes, &segments, changes);
        } else {
            let parts = segments.par_chunks(part).map(|segments| {
                let mut part = Changes::default();
                save_segments(table, notes, segments, &mut part);
                part
            });
            parts.collect::<Vec<_>>().iter().for_each(|part| changes.append(part));
        }
        // What runs something of the user's has come before: had it panicked, all of this would
        // still be to be saved.
        work.saved_header = Some(header);
        work.batch.notes.saved();
        Ok(())
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

fn save_segments<K: Key, S: Record>(
    table: &Table<K, S>,
    notes: &SlotNotes,
    segments: &[usize],
    changes: &mut Changes,
) {
    let mut slots = segments.iter().flat_map(|&segment| notes.changed_slots(segment));
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
                    push_varint(stamped.stamp(), out);
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
