//! Keyed state: a state for each key, from batch to batch. `update_state_by_key` and
//! `map_with_state` are two steps over the same table.
//!
//! The table holds what is committed, and whoever looks a state up sees that. A batch writes beside
//! it (`batch.rs`), so a failed batch is forgotten, and what a batch did becomes part of the table
//! in a commit in which nothing of the user's runs.

mod batch;
mod changed;
mod handle;
mod map;
mod repeats;
mod saved;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod time_index;
mod update;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use batch::{BatchState, New, Place, drop_each};
pub use handle::StateHandle;
pub(crate) use map::MapWithState;
use saved::GatherState;
pub use state::State;
use table::{KEYS_MAX, Slot, Table};
pub(crate) use update::UpdateState;

use crate::config::Limits;
use crate::error::Result;
use crate::ops::{Changes, Gather, StateSize, Stateful, Turn};
use crate::record::batch::AnyChunk;
use crate::record::hash_of;
use crate::record::{Columns, Key, Record};

/// A named state by key, which an operator changes and anybody may look at.
pub(crate) struct SharedTable<K: Key, S: Record> {
    name: String,
    keys_max: usize,
    bytes_max: usize,
    pub(crate) settings: Settings<K, S>,
    /// What is committed. Only the batch loop writes, and while nothing of the user's runs.
    table: RwLock<Table<K, S>>,
    /// The program's part is over.
    is_begun: AtomicBool,
    /// The batch loop's own.
    work: Mutex<Work<K, S>>,
    memory_bytes: AtomicUsize,
    /// Of what has changed and is read beside the batches.
    gather: Mutex<GatherState>,
    has_gathered: Condvar,
}

/// What the program says of a state before the start.
pub(crate) struct Settings<K, S> {
    initial: Mutex<Vec<Arc<Vec<(K, S)>>>>,
    /// Milliseconds after which idle keys are removed, or 0.
    pub(crate) timeout_millis: AtomicU64,
    /// Keys time out in batches whose number is a multiple of this.
    pub(crate) scan_every: AtomicU64,
    pub(crate) is_touched_only: AtomicBool,
}

/// What the operator does with a batch.
struct Work<K: Key, S: Record> {
    batch: BatchState<K, S>,
    /// The initial state is in the table.
    has_initial: bool,
    /// There was a batch.
    has_started: bool,
    /// The turn was one of a batch.
    starts: bool,
    /// What was saved of the two.
    saved_header: Option<u8>,
}

/// What is done with a batch and the states of its keys.
pub(crate) trait Step<K: Key, S: Record>: Send + Sync + 'static {
    /// Batches between two checkpoints, where the program says nothing.
    const CHECKPOINT_EVERY: Option<u64>;

    /// Whether without a batch of the parent, and before the first one, there is none.
    const IS_ABSENT_FIRST: bool;

    /// How it runs, for `explain`.
    fn way(is_touched_only: bool) -> &'static str;

    /// Runs the user's function, and gives the operator's own batch.
    fn run(&self, at: At<'_, K, S>, turn: &Turn<'_>, last: Option<AnyChunk>) -> Result<AnyChunk>;
}

/// Where a step finds states, and leaves its own.
pub(crate) struct At<'a, K: Key, S: Record> {
    table: &'a Table<K, S>,
    batch: &'a mut BatchState<K, S>,
    settings: &'a Settings<K, S>,
    /// Distinct keys that a batch may have, where its rows were not counted before.
    keys_max: usize,
}

/// A step with its state.
pub(crate) struct Keyed<K: Key, S: Record, D> {
    pub(crate) state: Arc<SharedTable<K, S>>,
    pub(crate) step: D,
}

impl<K: Key, S: Record> SharedTable<K, S> {
    pub(crate) fn new(name: &str, limits: &Limits) -> Self {
        let settings = Settings {
            initial: Mutex::default(),
            timeout_millis: AtomicU64::new(0),
            scan_every: AtomicU64::new(1),
            is_touched_only: AtomicBool::new(false),
        };
        SharedTable {
            name: name.to_owned(),
            keys_max: limits.distinct_keys.min(KEYS_MAX),
            bytes_max: limits.retained_bytes,
            settings,
            table: RwLock::new(Table::new()),
            is_begun: AtomicBool::new(false),
            work: Mutex::new(Work::new(None)),
            memory_bytes: AtomicUsize::new(0),
            gather: Mutex::default(),
            has_gathered: Condvar::new(),
        }
    }

    /// Adds states to those that are there before the first batch.
    pub(crate) fn add_initial(&self, states: impl IntoIterator<Item = (K, S)>) {
        let states: Vec<(K, S)> = states.into_iter().collect();
        let mut initial = self.settings.initial.lock().unwrap_or_else(PoisonError::into_inner);
        initial.push(Arc::new(states));
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// The committed state of a key.
    fn get(&self, key: K::Ref<'_>) -> Option<S> {
        let hash = hash_of::<K>(key);
        let table = self.read();
        let (_, stamped) = table.find(hash, key)?;
        Some(S::from_ref(stamped.value().state.to_ref()))
    }

    /// The number of keys.
    fn len(&self) -> usize {
        self.read().len()
    }

    /// Bytes of memory held: keys, index, times, states, and what a batch has added.
    fn memory_bytes(&self) -> usize {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// All keys and their states after the batch that is running.
    pub(crate) fn snapshot(&self) -> AnyChunk {
        let (work, table) = (self.lock(), self.read());
        let mut pairs = <(K, S) as Record>::Columns::default();
        let out = &mut pairs.members;
        let mut entries: Vec<(Slot, &New<S>)> = Vec::new();
        for entry in &work.batch.entries {
            if let Place::Slot(slot) = entry.place {
                entries.push((slot, &entry.new));
            }
        }
        entries.sort_unstable_by_key(|&(slot, _)| slot);
        let mut entries = entries.into_iter().peekable();
        for (slot, key, stamped) in table.slots() {
            let state = match entries.next_if(|&(of, _)| of == slot) {
                None | Some((_, New::Same)) => &stamped.value().state,
                Some((_, New::Is(state))) => state,
                Some((_, New::Gone)) => continue,
            };
            out.0.push(key);
            out.1.push(state.to_ref());
        }
        for entry in &work.batch.entries {
            if let (Place::Fresh(number), New::Is(state)) = (entry.place, &entry.new) {
                out.0.push(work.batch.fresh[number as usize].key.to_ref());
                out.1.push(state.to_ref());
            }
        }
        pairs.freeze();
        Arc::new(pairs)
    }

    /// All keys and their committed states.
    fn committed(&self) -> AnyChunk {
        let table = self.read();
        let mut pairs = <(K, S) as Record>::Columns::default();
        for (_, key, stamped) in table.slots() {
            pairs.members.0.push(key);
            pairs.members.1.push(stamped.value().state.to_ref());
        }
        pairs.freeze();
        Arc::new(pairs)
    }

    fn timeout_millis(&self) -> Option<u64> {
        let millis = self.settings.timeout_millis.load(Ordering::Relaxed);
        (millis > 0).then_some(millis)
    }

    fn read(&self) -> RwLockReadGuard<'_, Table<K, S>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Work<K, S>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_table(&self, new: Table<K, S>) {
        let mut table = self.write();
        let old = std::mem::replace(&mut *table, new);
        drop(table);
        self.forget_gathered();
        drop_each([old].into_iter());
    }

    fn measure(&self, table: &Table<K, S>, work: &Work<K, S>) {
        // What the table knows of are keys, and the states' own size.
        let known = table.memory_bytes();
        let bytes = known.max(work.batch.said_bytes()) + work.batch.memory_bytes();
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Puts the batch's states into the table.
    fn commit(&self, work: &mut Work<K, S>) {
        let is_touching = self.timeout_millis().is_some();
        let mut table = self.write();
        let trash = work.batch.commit(&mut table, is_touching);
        drop(table);
        drop_each(trash.states.into_iter());
        drop_each(trash.segments.into_iter());
        drop_each(trash.keys.into_iter());
        work.batch.drop_rest();
        self.measure(&self.read(), work);
    }

    /// Puts the initial state into the table: it is the state before the first batch.
    fn put_initial(&self, work: &mut Work<K, S>, time: u64) -> Result<()> {
        let initial = self.settings.initial.lock().unwrap_or_else(PoisonError::into_inner).clone();
        work.batch.time = time;
        let pairs = || initial.iter().flat_map(|states| &**states);
        let (mut keys, mut entries) = (K::Columns::default(), Vec::new());
        pairs().for_each(|(key, _)| keys.push(key.to_ref()));
        let table = self.read();
        work.batch.entries_of(&table, &keys, &mut entries)?;
        for ((_, state), entry) in pairs().zip(entries) {
            let new = &mut work.batch.entries[entry as usize].new;
            work.batch.bytes_added += new.set(None, Some(S::from_ref(state.to_ref())));
        }
        work.batch.finish(&table, self.keys_max, self.bytes_max)?;
        drop(table);
        self.commit(work);
        work.has_initial = true;
        Ok(())
    }
}

impl<K: Key, S: Record> Work<K, S> {
    fn new(timeout_millis: Option<u64>) -> Self {
        Work {
            batch: BatchState::new(timeout_millis),
            has_initial: false,
            has_started: false,
            starts: false,
            saved_header: None,
        }
    }
}

impl<K: Key, S: Record, D: Step<K, S>> Stateful for Keyed<K, S, D> {
    /// What is kept is in the operator, where it can be looked up.
    type State = ();

    fn state(&self) {
        let mut work = self.state.lock();
        let old = std::mem::replace(&mut *work, Work::new(self.state.timeout_millis()));
        drop_each([old].into_iter());
        self.state.set_table(Table::new());
        self.state.is_begun.store(true, Ordering::Relaxed);
        self.state.measure(&self.state.read(), &work);
    }

    fn way(&self) -> &'static str {
        D::way(self.state.settings.is_touched_only.load(Ordering::Relaxed))
    }

    fn take_turn(&self, _: &mut (), mut turn: Turn<'_>) -> Result<()> {
        let SharedTable { settings, keys_max, bytes_max, .. } = &*self.state;
        let work = &mut *self.state.lock();
        if D::IS_ABSENT_FIRST && !work.has_started && turn.chunks.is_none() {
            *turn.is_absent = true;
            return Ok(());
        }
        if !work.has_initial {
            self.state.put_initial(work, turn.time.millis())?;
        }
        work.starts = true;
        let table = &*self.state.read();
        let batch = &mut work.batch;
        if turn.now.is_multiple_of(settings.scan_every.load(Ordering::Relaxed)) {
            let timeout = self.state.timeout_millis();
            batch.threshold = timeout.and_then(|timeout| turn.time.millis().checked_sub(timeout));
        }
        batch.begin(turn.time.millis(), table);
        let last = turn.last.take();
        let at = At { table, batch, settings, keys_max: *keys_max };
        let chunk = self.step.run(at, &turn, last)?;
        batch.finish(table, *keys_max, *bytes_max)?;
        self.state.measure(table, work);
        if let Some(out) = turn.out {
            out.push(chunk);
        }
        Ok(())
    }

    fn commit(&self, _: &mut ()) {
        let work = &mut *self.state.lock();
        work.has_started |= std::mem::take(&mut work.starts);
        self.state.commit(work);
    }

    fn roll_back(&self, _: &mut ()) {
        let work = &mut *self.state.lock();
        work.starts = false;
        let table = &*self.state.read();
        work.batch.roll_back(table);
        self.state.measure(table, work);
    }

    fn saved_name(&self) -> Option<&str> {
        Some(&self.state.name)
    }

    fn checkpoint_every(&self) -> Option<u64> {
        D::CHECKPOINT_EVERY
    }

    fn size(&self, _: &mut ()) -> StateSize {
        StateSize { keys: self.state.len(), bytes: self.state.memory_bytes() }
    }

    fn saved_as(&self) -> Result<String> {
        saved::form::<K, S>()
    }

    fn track_changes(&self, _: &mut ()) {
        let segments = self.state.read().segments();
        self.state.lock().batch.notes.track(segments);
    }

    fn save(&self, _: &mut (), changes: &mut Changes) -> Result<()> {
        self.state.save(changes);
        Ok(())
    }

    fn save_beside(&self, _: &mut ()) -> Option<Gather> {
        self.state.save_beside()
    }

    fn scan(&self, _: &mut ()) -> Option<Gather> {
        Some(self.state.scan())
    }

    fn load(&self, _: &mut (), saved: &Changes) -> Result<()> {
        self.state.load(saved)
    }
}
