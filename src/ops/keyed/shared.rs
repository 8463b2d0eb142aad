//! A table that the batch loop changes and any thread may look into.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};

use super::table::StateTable;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::StateSize;
use crate::record::{Key, Record};

/// The state of an operator. It is locked for a turn, in which the user's functions run, and for a
/// look-up.
pub(crate) struct SharedTable<K: Key, S: Record> {
    table: Mutex<StateTable<K, S>>,
    /// A batch was committed or rolled back.
    ended: Condvar,
}

impl<K: Key, S: Record> SharedTable<K, S> {
    pub(crate) fn new(keys_max: usize) -> Arc<Self> {
        let table = Mutex::new(StateTable::new(keys_max));
        Arc::new(SharedTable { table, ended: Condvar::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, StateTable<K, S>> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends the batch, and wakes who waits for that.
    pub(super) fn end(&self, end: impl FnOnce(&mut StateTable<K, S>)) {
        end(&mut self.lock());
        self.ended.notify_all();
    }

    /// Appends all keys and their states, as they are now.
    pub(crate) fn append_all(&self, keys: &mut K::Columns, states: &mut S::Columns) {
        self.lock().append_all(keys, states);
    }

    pub(super) fn size(&self) -> StateSize {
        let table = self.lock();
        StateSize { keys: table.len(), bytes: table.memory_bytes() }
    }

    /// The table as the last batch has left it.
    fn committed(&self) -> MutexGuard<'_, StateTable<K, S>> {
        let is_in_batch = |table: &mut StateTable<K, S>| table.is_in_batch();
        let waited = self.ended.wait_while(self.lock(), is_in_batch);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A look at what a program keeps by key, from any thread, while the stream runs.
///
/// It comes from [`StreamingContext::state`](crate::StreamingContext::state_by_key); clones look at the
/// same state. What it gives is what the last batch has left: a look-up while a batch changes the
/// state waits for the end of that batch. Outputs of the context itself see the state with their
/// batch; its other closures, which run while the state changes, are refused.
pub struct StateHandle<K: Key, S: Record> {
    table: Arc<SharedTable<K, S>>,
    is_own_thread: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl<K: Key, S: Record> StateHandle<K, S> {
    pub(crate) fn new(
        table: Arc<SharedTable<K, S>>,
        is_own_thread: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        StateHandle { table, is_own_thread }
    }

    /// The state of a key, if it has one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`] in a closure that runs while the state changes.
    pub fn get(&self, key: K::Ref<'_>) -> Result<Option<S>> {
        let table = self.look()?;
        let slot = table.find(key);
        Ok(slot.and_then(|slot| table.state(slot)).map(|state| S::from_ref(state.to_ref())))
    }

    /// The number of keys that have a state.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn keys(&self) -> Result<usize> {
        Ok(self.look()?.len())
    }

    fn look(&self) -> Result<MutexGuard<'_, StateTable<K, S>>> {
        if !(self.is_own_thread)() {
            return Ok(self.table.committed());
        }
        match self.table.table.try_lock() {
            Ok(table) => Ok(table),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let message = "a state cannot be looked up by a closure that runs while it changes";
                Err(Error::new(ErrorKind::State, message))
            }
        }
    }
}

impl<K: Key, S: Record> Clone for StateHandle<K, S> {
    fn clone(&self) -> Self {
        StateHandle { table: self.table.clone(), is_own_thread: self.is_own_thread.clone() }
    }
}

impl<K: Key, S: Record> fmt::Debug for StateHandle<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateHandle")
    }
}
