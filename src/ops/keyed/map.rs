//! mapWithState: a function of each pair and its key's state, in the order of their arrival, and
//! one last call for each key that was idle for too long.

use std::marker::PhantomData;
use std::sync::Arc;

use super::batch::Place;
use super::state::State;
use super::{At, Step};
use crate::error::Result;
use crate::ops::{Emitter, Turn, reuse};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Key, Record};
use crate::time::Time;

/// `F` is called with the time, the key, its value, its state, and where rows go.
pub(crate) struct MapWithState<V, T, F>(F, PhantomData<fn(V) -> T>);

impl<V, T, F> MapWithState<V, T, F> {
    pub(crate) fn new(f: F) -> Self {
        MapWithState(f, PhantomData)
    }
}

impl<K, S, V, T, F> Step<K, S> for MapWithState<V, T, F>
where
    K: Key,
    S: Record,
    V: Record,
    T: Record,
    F: for<'a, 'b, 'c, 'd> Fn(
            Time,
            K::Ref<'a>,
            Option<V::Ref<'a>>,
            &'b mut State<'c, S>,
            &'b mut Emitter<'d, T>,
        ) + Send
        + Sync
        + 'static,
{
    const CHECKPOINT_EVERY: Option<u64> = Some(10);

    const IS_ABSENT_FIRST: bool = false;

    fn way(_: bool) -> &'static str {
        "row closure, keys with data"
    }

    fn run(&self, at: At<'_, K, S>, turn: &Turn<'_>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let At { table, batch, .. } = at;
        let mut emitted = reuse::<T::Columns>(last);
        let columns_out = Arc::get_mut(&mut emitted).expect("reuse() gives unshared columns");
        let mut out = Emitter::new(columns_out);
        let mut entries = std::mem::take(&mut batch.scratch);
        for chunk in turn.chunks.unwrap_or_default() {
            let (keys, values) = &columns::<(K, V)>(chunk).members;
            entries.clear();
            batch.entries_of(table, keys, &mut entries)?;
            for (row, &entry) in entries.iter().enumerate() {
                let entry = &mut batch.entries[entry as usize];
                let mut state = State {
                    committed: match entry.place {
                        Place::Slot(slot) => table.state(slot),
                        Place::Fresh(_) => None,
                    },
                    new: &mut entry.new,
                    bytes_added: &mut batch.bytes_added,
                    is_timing_out: false,
                    is_removed: false,
                };
                (self.0)(turn.time, keys.get(row), Some(values.get(row)), &mut state, &mut out);
            }
        }
        batch.scratch = entries;
        for slot in batch.due(table) {
            if batch.has_entry(slot).is_some() {
                continue;
            }
            let entry = batch.enter(slot) as usize;
            let mut state = State {
                committed: table.state(slot),
                new: &mut batch.entries[entry].new,
                bytes_added: &mut batch.bytes_added,
                is_timing_out: true,
                is_removed: false,
            };
            (self.0)(turn.time, table.key(slot), None, &mut state, &mut out);
            state.set(None);
        }
        columns_out.freeze();
        Ok(emitted)
    }
}
