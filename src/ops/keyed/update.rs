//! updateStateByKey: a function of each key's values in the batch and its state before.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::{Entry, New, has_entry};
use super::repeats::WithKey;
use super::{At, Step};
use crate::error::Result;
use crate::ops::{Turn, reuse};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Key, List, ListColumn, Record, TupleColumns, too_many_keys};
use crate::time::Time;

/// Rows of a key, in a batch's mean, from which on it is worth while to group them first: a row
/// that was grouped is a search less in a table that no cache holds.
const ONCE_MAX: usize = 2;

/// `F` is called with the time, the key, its values and its state.
pub(crate) struct UpdateState<V, F> {
    f: F,
    /// Whether most keys of a batch come once, so that it is not worth while to group them first:
    /// as it was in the last batch.
    keys_come_once: Arc<AtomicBool>,
    values: PhantomData<fn(V)>,
}

impl<V, F> UpdateState<V, F> {
    pub(crate) fn new(f: F) -> Self {
        UpdateState { f, keys_come_once: Arc::default(), values: PhantomData }
    }

    /// Whether the batch to come may have lists of values for a key more than once, and should.
    pub(crate) fn keys_come_once(&self) -> Arc<AtomicBool> {
        self.keys_come_once.clone()
    }

    /// Gives a key its new state, emits that, and says by how much its bytes change.
    fn update<'a, K, S>(
        &self,
        time: Time,
        (key, old): (K::Ref<'a>, Option<&'a S>),
        values: List<'a, V>,
        new: &mut New<S>,
        out: &mut TupleColumns<(K::Columns, S::Columns)>,
    ) -> isize
    where
        K: Key,
        S: Record,
        V: Record,
        F: Fn(Time, K::Ref<'a>, List<'a, V>, Option<S::Ref<'a>>) -> Option<S>,
    {
        let state = (self.f)(time, key, values, old.map(Record::to_ref));
        if let Some(state) = &state {
            out.members.0.push(key);
            out.members.1.push(state.to_ref());
        }
        new.set(old, state)
    }
}

impl<K, S, V, F> Step<K, S> for UpdateState<V, F>
where
    K: Key,
    S: Record,
    V: Record,
    F: for<'a> Fn(Time, K::Ref<'a>, List<'a, V>, Option<S::Ref<'a>>) -> Option<S>
        + Send
        + Sync
        + 'static,
{
    const CHECKPOINT_EVERY: Option<u64> = None;

    const IS_ABSENT_FIRST: bool = true;

    fn way(is_touched_only: bool) -> &'static str {
        if is_touched_only { "row closure, keys with data" } else { "row closure, all keys" }
    }

    fn run(
        &self,
        At { table, batch, settings, keys_max }: At<'_, K, S>,
        turn: &Turn<'_>,
        last: Option<AnyChunk>,
    ) -> Result<AnyChunk> {
        let last_bytes = last.as_ref().map_or(0, |last| last.held_bytes());
        let mut emitted = reuse::<<(K, S) as Record>::Columns>(last);
        let out = Arc::get_mut(&mut emitted).expect("reuse() gives unshared columns");
        let chunks = turn.chunks.unwrap_or_default();
        assert!(chunks.len() <= 1, "a wide operator, which is before this one, gives one chunk");
        for chunk in chunks {
            // States, entries and what is given out: about twice what has come.
            turn.memory.check_room(2 * chunk.held_bytes())?;
            let (keys, values) = &columns::<(K, Vec<V>)>(chunk).members;
            let mut repeats = std::mem::take(&mut batch.repeats);
            repeats.read::<K>(keys);
            let hashes = repeats.hashes().iter().enumerate();
            let rows = hashes.map(|(row, &hash)| (row as u32, keys.get(row), hash));
            let mut of_all = ListColumn::<V>::default();
            table.search(rows, |row, key, hash, found| {
                let with_key = repeats.with_key::<K>(keys, row);
                if matches!(with_key, WithKey::Later) {
                    return;
                }
                let entry = batch.enter_new(key, hash, found) as usize;
                let (new, row) = (&mut batch.entries[entry].new, row as usize);
                // A key stays the one that it was first, whatever else is equal to it.
                let held = || match found {
                    Some((slot, stamped)) => {
                        (table.key(slot, stamped), Some(&stamped.value().state))
                    }
                    None => (keys.get(row), None),
                };
                batch.bytes_added += if let WithKey::First(later) = with_key {
                    let rows = std::iter::once(row).chain(later.map(|row| row as usize));
                    of_all.clear();
                    of_all.push_rows(values.items(), rows.flat_map(|row| values.range(row)));
                    self.update::<K, S>(turn.time, held(), of_all.get(0), new, out)
                } else {
                    self.update::<K, S>(turn.time, held(), values.get(row), new, out)
                };
            });
            batch.repeats = repeats;
            if batch.entries.len() > keys_max {
                return Err(too_many_keys(keys_max));
            }
            if keys.len() > 0 {
                let come_once = values.items().len() < ONCE_MAX * batch.entries.len();
                self.keys_come_once.store(come_once, Ordering::Relaxed);
            }
        }
        if !settings.is_touched_only.load(Ordering::Relaxed) {
            // An entry for each key, and all of them given out, to where they were the last time.
            let emitted = table.memory_bytes().saturating_sub(last_bytes);
            turn.memory.check_room(table.len() * size_of::<Entry<S>>() + emitted)?;
            for (slot, key, stamped) in table.slots() {
                if !has_entry(stamped) {
                    let found = (key, Some(&stamped.value().state));
                    let entry = batch.enter(slot, stamped) as usize;
                    let new = &mut batch.entries[entry].new;
                    batch.bytes_added +=
                        self.update::<K, S>(turn.time, found, List::EMPTY, new, out);
                }
            }
        }
        out.freeze();
        Ok(emitted)
    }
}
