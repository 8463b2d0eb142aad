//! mapWithState: each row in turn, with the state of its key.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::saved_as;
use super::shared::SharedTable;
use super::state::State;
use super::table::StateTable;
use crate::error::Result;
use crate::ops::{Changes, Emitter, StateSize, Stateful, Turn, reuse};
use crate::record::batch::columns;
use crate::record::{Columns, Key, Record};
use crate::time::Time;

/// `F` is called with the time, the key, its value, its state, and where rows go.
pub(crate) struct MapWithState<K: Key, V, S: Record, T, F> {
    name: String,
    table: Arc<SharedTable<K, S>>,
    settings: Arc<MapSettings<K, S>>,
    keys_max: usize,
    f: F,
    rows: PhantomData<fn(V) -> T>,
}

/// What the program may say until the start.
pub(crate) struct MapSettings<K: Record, S: Record> {
    /// Milliseconds after which idle keys are removed, or 0.
    pub(crate) timeout_millis: AtomicU64,
    /// Batches between two looks for them.
    pub(crate) scan_every: AtomicU64,
    pub(crate) initial: Mutex<Vec<(K, S)>>,
}

impl<K: Record, S: Record> Default for MapSettings<K, S> {
    fn default() -> Self {
        let (timeout_millis, scan_every) = (AtomicU64::new(0), AtomicU64::new(1));
        MapSettings { timeout_millis, scan_every, initial: Mutex::default() }
    }
}

impl<K, V, S, T, F> MapWithState<K, V, S, T, F>
where
    K: Key,
    V: Record,
    S: Record,
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
    pub(crate) fn new(
        name: &str,
        keys_max: usize,
        table: Arc<SharedTable<K, S>>,
        settings: Arc<MapSettings<K, S>>,
        f: F,
    ) -> Self {
        MapWithState { name: name.to_owned(), table, settings, keys_max, f, rows: PhantomData }
    }

    fn timeout(&self) -> Option<u64> {
        Some(self.settings.timeout_millis.load(Ordering::Relaxed)).filter(|&millis| millis > 0)
    }

    /// The last call for keys that were idle for too long.
    fn time_out(&self, table: &mut StateTable<K, S>, time: Time, out: &mut Emitter<'_, T>) {
        for slot in table.take_due(time.millis()) {
            let (key, mut state) = table.entry(slot, time.millis());
            state.is_timing_out = true;
            (self.f)(time, key, None, &mut state, out);
            state.drop_timed_out();
        }
    }
}

impl<K, V, S, T, F> Stateful for MapWithState<K, V, S, T, F>
where
    K: Key,
    V: Record,
    S: Record,
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
    type State = Arc<SharedTable<K, S>>;

    fn state(&self) -> Self::State {
        let initial = self.settings.initial.lock().unwrap_or_else(|p| p.into_inner());
        self.table.end(|table| table.begin(self.keys_max, &initial, self.timeout()));
        self.table.clone()
    }

    fn way(&self) -> &'static str {
        "row closure, keys with data"
    }

    fn take_turn(&self, state: &mut Self::State, turn: Turn<'_>) -> Result<()> {
        let mut table = state.lock();
        let table = &mut *table;
        let millis = turn.time.millis();
        table.set_begun(millis);
        let mut rows = reuse::<T::Columns>(turn.last);
        let mut out =
            Emitter::new(Arc::get_mut(&mut rows).expect("reuse() gives unshared columns"));
        let has_timeout = self.timeout().is_some();
        let mut slots = Vec::with_capacity(StateTable::<K, S>::AHEAD);
        for chunk in turn.chunks.unwrap_or_default() {
            let pairs = columns::<(K, V)>(chunk);
            let (keys, values) = &pairs.members;
            for begin in (0..keys.len()).step_by(StateTable::<K, S>::AHEAD) {
                slots.clear();
                table.slots(keys, &mut slots, begin)?;
                for (row, &slot) in (begin..).zip(&slots) {
                    let (key, mut state) = table.entry(slot, millis);
                    (self.f)(turn.time, key, Some(values.get(row)), &mut state, &mut out);
                    if has_timeout && state.exists() {
                        state.refresh();
                    }
                }
            }
        }
        let scan_every = self.settings.scan_every.load(Ordering::Relaxed);
        if has_timeout && turn.now.is_multiple_of(scan_every) {
            self.time_out(table, turn.time, &mut out);
        }
        if let Some(out) = turn.out {
            Arc::get_mut(&mut rows).expect("nobody else has them yet").freeze();
            out.push(rows);
        }
        Ok(())
    }

    fn commit(&self, state: &mut Self::State) {
        state.end(StateTable::commit);
    }

    fn roll_back(&self, state: &mut Self::State) {
        state.end(StateTable::roll_back);
    }

    fn saved_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn checkpoint_every(&self) -> Option<u64> {
        Some(10)
    }

    fn saved_as(&self) -> Result<String> {
        saved_as::<K, S>()
    }

    fn track_changes(&self, state: &mut Self::State) {
        state.lock().track_changes();
    }

    fn save(&self, state: &mut Self::State, changes: &mut Changes) -> Result<()> {
        state.lock().save(changes);
        Ok(())
    }

    fn load(&self, state: &mut Self::State, saved: &Changes) -> Result<()> {
        state.lock().load(self.keys_max, self.timeout(), saved)
    }

    fn size(&self, state: &mut Self::State) -> StateSize {
        state.size()
    }
}
