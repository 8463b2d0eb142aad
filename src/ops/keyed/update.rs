//! updateStateByKey: the values of a batch and the state of each key become its next state.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::saved_as;
use super::shared::SharedTable;
use super::table::{Slot, StateTable};
use crate::error::Result;
use crate::ops::{Changes, StateSize, Stateful, Turn, reuse};
use crate::record::batch::columns;
use crate::record::{Columns, Key, List, Record};
use crate::time::Time;

/// `F` is called with the time, the key, its values and its state.
pub(crate) struct UpdateState<K: Key, V, S: Record, F> {
    name: String,
    table: Arc<SharedTable<K, S>>,
    settings: Arc<UpdateSettings<K, S>>,
    keys_max: usize,
    f: F,
    values: PhantomData<fn(V)>,
}

/// What the program may say until the start.
pub(crate) struct UpdateSettings<K: Record, S: Record> {
    pub(crate) touched_only: AtomicBool,
    pub(crate) initial: Mutex<Vec<(K, S)>>,
}

impl<K: Record, S: Record> Default for UpdateSettings<K, S> {
    fn default() -> Self {
        UpdateSettings { touched_only: AtomicBool::new(false), initial: Mutex::default() }
    }
}

impl<K, V, S, F> UpdateState<K, V, S, F>
where
    K: Key,
    V: Record,
    S: Record,
    F: for<'a> Fn(Time, K::Ref<'a>, List<'a, V>, Option<S::Ref<'a>>) -> Option<S>
        + Send
        + Sync
        + 'static,
{
    pub(crate) fn new(
        name: &str,
        keys_max: usize,
        table: Arc<SharedTable<K, S>>,
        settings: Arc<UpdateSettings<K, S>>,
        f: F,
    ) -> Self {
        UpdateState { name: name.to_owned(), table, settings, keys_max, f, values: PhantomData }
    }

    fn update(&self, table: &mut StateTable<K, S>, slot: Slot, values: List<'_, V>, time: Time) {
        let old = table.state(slot).map(S::to_ref);
        let new = (self.f)(time, table.key(slot), values, old);
        table.update(slot, time.millis(), new);
    }

    fn emit(&self, table: &StateTable<K, S>, slots: Option<&[Slot]>, turn: &mut Turn<'_>) {
        let Some(out) = &mut turn.out else { return };
        let mut pairs = reuse::<<(K, S) as Record>::Columns>(turn.last.take());
        let (keys, states) =
            &mut Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns").members;
        match slots {
            None => table.append_all(keys, states),
            Some(slots) => {
                for &slot in slots {
                    if let Some(state) = table.state(slot) {
                        keys.push(table.key(slot));
                        states.push(state.to_ref());
                    }
                }
            }
        }
        out.push(pairs);
    }
}

impl<K, V, S, F> Stateful for UpdateState<K, V, S, F>
where
    K: Key,
    V: Record,
    S: Record,
    F: for<'a> Fn(Time, K::Ref<'a>, List<'a, V>, Option<S::Ref<'a>>) -> Option<S>
        + Send
        + Sync
        + 'static,
{
    type State = Arc<SharedTable<K, S>>;

    fn state(&self) -> Self::State {
        let initial = self.settings.initial.lock().unwrap_or_else(|p| p.into_inner());
        self.table.end(|table| table.begin(self.keys_max, &initial, None));
        self.table.clone()
    }

    fn way(&self) -> &'static str {
        match self.settings.touched_only.load(Ordering::Relaxed) {
            true => "row closure, keys with data",
            false => "row closure, all keys",
        }
    }

    fn take_turn(&self, state: &mut Self::State, mut turn: Turn<'_>) -> Result<()> {
        let mut table = state.lock();
        let table = &mut *table;
        if turn.chunks.is_none() && !table.has_begun() {
            *turn.is_absent = true;
            return Ok(());
        }
        table.set_begun(turn.time.millis());
        let mut slots = Vec::new();
        for chunk in turn.chunks.unwrap_or_default() {
            let pairs = columns::<(K, Vec<V>)>(chunk);
            let (keys, values) = &pairs.members;
            let before = slots.len();
            for begin in (0..keys.len()).step_by(StateTable::<K, S>::AHEAD) {
                table.slots(keys, &mut slots, begin)?;
                for row in begin..slots.len() - before {
                    self.update(table, slots[before + row], values.get(row), turn.time);
                }
            }
        }
        if self.settings.touched_only.load(Ordering::Relaxed) {
            self.emit(table, Some(&slots), &mut turn);
            return Ok(());
        }
        for (first, rows) in table.slot_ends() {
            for slot in first..first + rows as Slot {
                if table.state(slot).is_some() && !table.is_touched(slot) {
                    self.update(table, slot, List::EMPTY, turn.time);
                }
            }
        }
        self.emit(table, None, &mut turn);
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
        state.lock().load(self.keys_max, None, saved)
    }

    fn size(&self, state: &mut Self::State) -> StateSize {
        state.size()
    }
}
