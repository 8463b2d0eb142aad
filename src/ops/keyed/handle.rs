//! A look at a keyed state from outside of its batches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::SharedTable;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Key, Record};

/// A look at what a program keeps by key, from any thread, while the stream runs.
///
/// It comes from [`StreamingContext::state_by_key`](crate::StreamingContext::state_by_key); clones
/// look at the same state. What it gives is what is committed: all batches that have succeeded with
/// all of their outputs, and nothing of the one that is running. So a closure of the context
/// itself, its outputs among them, sees the state before its batch. A look-up waits for no batch,
/// but for the moment in which one is committed.
pub struct StateHandle<K: Key, S: Record> {
    table: Arc<SharedTable<K, S>>,
}

impl<K: Key, S: Record> StateHandle<K, S> {
    pub(crate) fn new(table: Arc<SharedTable<K, S>>) -> Self {
        StateHandle { table }
    }

    /// The state of a key, if it has one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`] before the start, when nobody has looked into checkpoints yet.
    pub fn get(&self, key: K::Ref<'_>) -> Result<Option<S>> {
        Ok(self.look()?.get(key))
    }

    /// The number of keys that have a state.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn keys(&self) -> Result<usize> {
        Ok(self.look()?.len())
    }

    /// About how many bytes of memory the state takes, with its keys and without what states own
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn memory_bytes(&self) -> Result<usize> {
        Ok(self.look()?.memory_bytes())
    }

    fn look(&self) -> Result<&SharedTable<K, S>> {
        if self.table.is_begun.load(Ordering::Relaxed) {
            return Ok(&self.table);
        }
        let message = format!("state {:?} cannot be looked up before the start", self.table.name());
        Err(Error::new(ErrorKind::State, message))
    }
}

impl<K: Key, S: Record> Clone for StateHandle<K, S> {
    fn clone(&self) -> Self {
        StateHandle { table: self.table.clone() }
    }
}

impl<K: Key, S: Record> fmt::Debug for StateHandle<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateHandle({:?})", self.table.name())
    }
}
