//! updateStateByKey: a function of each key's values in the batch and its state before.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch::{HASHED_AHEAD, New, Place, has_entry};
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
        let state = (self.0)(time, key, values, old.map(Record::to_ref));
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
        for chunk in turn.chunks.unwrap_or_default() {
            // The operator before has brought a key's values together.
            let (keys, values) = &columns::<(K, Vec<V>)>(chunk).members;
            let mut rows = [0; HASHED_AHEAD];
            for first in (0..keys.len()).step_by(HASHED_AHEAD) {
                let rows = &mut rows[..(keys.len() - first).min(HASHED_AHEAD)];
                (first as u32..).zip(&mut *rows).for_each(|(number, row)| *row = number);
                let entered = batch.entries.len();
                batch.enter_rows(table, keys, rows);
                for (entry, row) in batch.entries[entered..].iter_mut().zip(first..) {
                    let found = match entry.place {
                        Place::Slot(slot) => {
                            let (key, state) = table.get(slot);
                            (key, Some(state))
                        }
                        Place::Fresh(number) => (batch.fresh[number as usize].key.to_ref(), None),
                    };
                    batch.bytes_added +=
                        self.update::<K, S>(turn.time, found, values.get(row), &mut entry.new, out);
                }
            }
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
