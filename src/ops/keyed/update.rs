//! updateStateByKey: a function of each key's values in the batch and its state before.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::{ENTRIES_AHEAD, Entry, New, Place, comes_again, has_entry};
use super::{At, Step};
use crate::error::Result;
use crate::ops::{Turn, reuse};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Key, List, ListColumn, Record, TupleColumns};
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
        At { table, batch, settings }: At<'_, K, S>,
        turn: &Turn<'_>,
        last: Option<AnyChunk>,
    ) -> Result<AnyChunk> {
        let mut emitted = reuse::<<(K, S) as Record>::Columns>(last);
        let out = Arc::get_mut(&mut emitted).expect("reuse() gives unshared columns");
        let chunks = turn.chunks.unwrap_or_default();
        assert!(chunks.len() <= 1, "a wide operator, which is before this one, gives one chunk");
        for chunk in chunks {
            let (keys, values) = &columns::<(K, Vec<V>)>(chunk).members;
            batch.enter_rows(table, keys);
            let mut all = ListColumn::<V>::default();
            for at in 0..batch.entries.len() {
                let ahead = batch.entries.get(at + ENTRIES_AHEAD);
                ahead.and_then(Entry::same).iter().for_each(|&slot| table.prefetch(slot));
                let (place, row) = (batch.entries[at].place, batch.first_rows[at] as usize);
                let (state, comes_again) = match place {
                    Place::Slot(slot) => {
                        let stamped = table.stamped(slot).expect("a hole has no entry");
                        (Some(&stamped.value().state), comes_again(stamped))
                    }
                    Place::Fresh(number) => (None, batch.fresh[number as usize].comes_again),
                };
                let list = if comes_again {
                    let again = batch.rows_again(place).map(|row| row as usize);
                    let rows = std::iter::once(row).chain(again);
                    all.clear();
                    all.push_rows(values.items(), rows.flat_map(|row| values.range(row)));
                    all.get(0)
                } else {
                    values.get(row)
                };
                let (found, new) = ((keys.get(row), state), &mut batch.entries[at].new);
                batch.bytes_added += self.update::<K, S>(turn.time, found, list, new, out);
            }
            let come_once = values.items().len() < ONCE_MAX * batch.entries.len();
            self.keys_come_once.store(come_once, Ordering::Relaxed);
        }
        if !settings.is_touched_only.load(Ordering::Relaxed) {
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
