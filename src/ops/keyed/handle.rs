//! A look at a keyed state from outside of its batches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::SharedTable;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Batch, Key, Record};

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

    /// About how many bytes of memory the state takes, with its keys and with what the batch that
    /// runs has added.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn memory_bytes(&self) -> Result<usize> {
        Ok(self.look()?.memory_bytes())
    }

    /// All keys and their states, in no order. It is a copy, which no batch waits for but one that
    /// is to be committed.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let pairs = t.input::<(String, i64)>();
    /// # let totals = pairs.stream().update_state_by_key("totals.v1", |values, total| {
    /// #     Some(total.unwrap_or(0) + values.iter().sum::<i64>())
    /// # });
    /// # totals.print(3);
    /// # pairs.push([("a".to_string(), 3)])?;
    /// # t.tick()?;
    /// # let ssc = t.context();
    /// let totals = ssc.state_by_key::<String, i64>("totals.v1")?;
    /// assert_eq!(totals.snapshot()?.to_vec(), [("a".to_string(), 3)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub fn snapshot(&self) -> Result<Batch<(K, S)>> {
        Ok(Batch::from_chunks(vec![self.look()?.committed()]))
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
