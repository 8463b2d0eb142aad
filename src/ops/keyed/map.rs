//! mapWithState: a function of each pair and its key's state, in the order of their arrival, and
//! one last call for each key that was idle for too long.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_kernels::prefetch_row;

use super::batch::has_entry;
use super::state::State;
use super::{At, Step};
use crate::error::Result;
use crate::ops::{Emitter, Turn, reuse};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Key, Record};
use crate::time::Time;

/// Rows whose states are asked for before it is their turn.
const ROWS_AHEAD: usize = 16;

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
            // States and entries: about twice what has come.
            turn.memory.check_room(2 * chunk.held_bytes())?;
            let (keys, values) = &columns::<(K, V)>(chunk).members;
            entries.clear();
            batch.entries_of(table, keys, &mut entries)?;
            for (row, &entry) in entries.iter().enumerate() {
                if let Some(&later) = entries.get(row + 2 * ROWS_AHEAD) {
                    prefetch_row(&batch.entries, later as usize);
                }
                if let Some(&later) = entries.get(row + ROWS_AHEAD)
                    && let Some(slot) = batch.entries[later as usize].same()
                {
                    table.prefetch(slot);
                }
                let entry = &mut batch.entries[entry as usize];
                let mut state = State {
                    committed: entry.same().and_then(|slot| table.state(slot)),
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
            // Some are named twice.
            let Some(stamped) = table.stamped(slot).filter(|it| !has_entry(it)) else {
                continue;
            };
            let entry = batch.enter(slot, stamped) as usize;
            let mut state = State {
                committed: Some(&stamped.value().state),
                new: &mut batch.entries[entry].new,
                bytes_added: &mut batch.bytes_added,
                is_timing_out: true,
                is_removed: false,
            };
            (self.0)(turn.time, table.key(slot, stamped), None, &mut state, &mut out);
            state.set(None);
        }
        columns_out.freeze();
        Ok(emitted)
    }
}
