//! updateStateByKey: a function of each key's values in the batch and its state before.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch::{HASHED_AHEAD, Place, has_entry};
use super::{At, Step};
use crate::error::Result;
use crate::ops::{Turn, reuse};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Key, List, Record, TupleColumns};
use crate::time::Time;

/// `F` is called with the time, the key, its values and its state.
pub(crate) struct UpdateState<V, F>(F, PhantomData<fn(V)>);

impl<V, F> UpdateState<V, F> {
    pub(crate) fn new(f: F) -> Self {
        UpdateState(f, PhantomData)
    }

    /// Gives the key of an entry its new state, and emits that.
    fn update<K, S>(
        &self,
        at: &mut At<'_, K, S>,
        time: Time,
        entry: usize,
        values: List<'_, V>,
        out: &mut TupleColumns<(K::Columns, S::Columns)>,
    ) where
        K: Key,
        S: Record,
        V: Record,
        F: for<'a> Fn(Time, K::Ref<'a>, List<'a, V>, Option<S::Ref<'a>>) -> Option<S>,
    {
        let entry = &mut at.batch.entries[entry];
        let (key, old) = match entry.place {
            Place::Slot(slot) => {
                let (key, state) = at.table.get(slot);
                (key, Some(state))
            }
            Place::Fresh(number) => (at.batch.fresh[number as usize].key.to_ref(), None),
        };
        let new = (self.0)(time, key, values, old.map(Record::to_ref));
        if let Some(new) = &new {
            out.members.0.push(key);
            out.members.1.push(new.to_ref());
        }
        at.batch.bytes_added += entry.new.set(old, new);
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
        mut at: At<'_, K, S>,
        turn: &Turn<'_>,
        last: Option<AnyChunk>,
    ) -> Result<AnyChunk> {
        let mut emitted = reuse::<<(K, S) as Record>::Columns>(last);
        let out = Arc::get_mut(&mut emitted).expect("reuse() gives unshared columns");
        for chunk in turn.chunks.unwrap_or_default() {
            // The operator before has brought a key's values together.
            let (keys, values) = &columns::<(K, Vec<V>)>(chunk).members;
            let mut rows = [0; HASHED_AHEAD];
            for first in (0..keys.len()).step_by(HASHED_AHEAD) {
                let rows = &mut rows[..(keys.len() - first).min(HASHED_AHEAD)];
                (first as u32..).zip(&mut *rows).for_each(|(number, row)| *row = number);
                let entry = at.batch.entries.len();
                at.batch.enter_rows(at.table, keys, rows);
                for (entry, row) in (entry..).zip(first..first + rows.len()) {
                    self.update(&mut at, turn.time, entry, values.get(row), out);
                }
            }
        }
        if !at.settings.is_touched_only.load(Ordering::Relaxed) {
            let table = at.table;
            for (slot, _, stamped) in table.slots() {
                if !has_entry(stamped) {
                    let entry = at.batch.enter(slot, stamped) as usize;
                    self.update(&mut at, turn.time, entry, List::EMPTY, out);
                }
            }
        }
        out.freeze();
        Ok(emitted)
    }
}
