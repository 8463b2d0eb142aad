//! A table that the program holds, for streams to be joined with.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::config::check_joined;
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Key, List, ListColumn, Record};

/// Rows by key that the program holds, and may replace at any time, for
/// [`DStream::join_lookup`](crate::DStream::join_lookup).
///
/// It is a handle: clones are the same table. For a batch, an operator sees one state of it, from
/// the first row to the last.
///
/// ```
/// # use tidemill::prelude::*;
/// # let mut t = TestContext::new()?;
/// # let clicks = t.input::<(i64, String)>();
/// let users = Lookup::new([(1i64, "ada".to_string())]);
/// let joined = clicks.stream().join_lookup(&users);
/// # let joined = t.output(&joined);
/// # clicks.push([(1i64, "/home".to_string())])?;
/// # t.tick()?;
/// # assert_eq!(joined.take(), [(1, ("/home".to_string(), "ada".to_string()))]);
/// // At any time, on any thread:
/// users.replace([(1, "ada".to_string()), (2, "bob".to_string())]);
/// # clicks.push([(2i64, "/help".to_string())])?;
/// # t.tick()?;
/// # assert_eq!(joined.take(), [(2, ("/help".to_string(), "bob".to_string()))]);
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Lookup<K: Key, W: Record> {
    index: Arc<Mutex<Arc<Index<K, W>>>>,
}

/// One state of the table.
pub(crate) struct Index<K: Key, W: Record> {
    /// The distinct keys, and the rows of each.
    keys: K::Columns,
    rows: ListColumn<W>,
    positions: HashTable<u32>,
    seed: DefaultHashBuilder,
}

impl<K: Key, W: Record> Lookup<K, W> {
    /// A table of these rows; a key may have several, and keeps their order.
    pub fn new(rows: impl IntoIterator<Item = (K, W)>) -> Lookup<K, W> {
        Lookup { index: Arc::new(Mutex::new(Arc::new(Index::new(rows)))) }
    }

    /// Puts these rows in the place of all rows, from the next batch on.
    pub fn replace(&self, rows: impl IntoIterator<Item = (K, W)>) {
        // The lock is for the exchange alone: nobody waits while the index is made.
        let index = Arc::new(Index::new(rows));
        *self.lock() = index;
    }

    /// The table as it is now.
    pub(crate) fn current(&self) -> Arc<Index<K, W>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Index<K, W>>> {
        self.index.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<K: Key, W: Record> Index<K, W> {
    fn new(rows: impl IntoIterator<Item = (K, W)>) -> Index<K, W> {
        let seed = DefaultHashBuilder::default();
        let (mut keys, mut positions) = (K::Columns::default(), HashTable::<u32>::new());
        let mut values: Vec<Vec<W>> = Vec::new();
        for (key, value) in rows {
            let key = key.to_ref();
            let found =
                positions.find(hash::<K>(&seed, key), |&at| K::same(keys.get(at as usize), key));
            match found {
                Some(&at) => values[at as usize].push(value),
                None => {
                    positions.insert_unique(hash::<K>(&seed, key), values.len() as u32, |&at| {
                        hash::<K>(&seed, keys.get(at as usize))
                    });
                    keys.push(key);
                    values.push(vec![value]);
                }
            }
        }
        let mut rows = ListColumn::default();
        values.into_iter().for_each(|values| rows.push_owned(values));
        Index { keys, rows, positions, seed }
    }

    /// All rows of a key.
    pub(crate) fn rows(&self, key: K::Ref<'_>) -> List<'_, W> {
        let same = |&at: &u32| K::same(self.keys.get(at as usize), key);
        match self.positions.find(hash::<K>(&self.seed, key), same) {
            Some(&at) => self.rows.get(at as usize),
            None => List::EMPTY,
        }
    }

    /// What `push` makes of each row of a chunk of pairs and of its key's rows here.
    pub(crate) fn join<V: Record, U: Record>(
        &self,
        chunk: &AnyChunk,
        rows_max: usize,
        push: impl for<'a> Fn(&mut U::Columns, K::Ref<'a>, V::Ref<'a>, List<'a, W>),
    ) -> Result<AnyChunk> {
        let pairs = columns::<(K, V)>(chunk);
        let mut joined = U::Columns::default();
        for row in 0..pairs.len() {
            let (key, value) = pairs.get(row);
            let rows = self.rows(key);
            check_joined(joined.len() + rows.len(), rows_max)?;
            push(&mut joined, key, value, rows);
        }
        joined.freeze();
        Ok(Arc::new(joined))
    }
}

fn hash<K: Key>(seed: &DefaultHashBuilder, key: K::Ref<'_>) -> u64 {
    let mut hasher = seed.build_hasher();
    K::hash_ref(key, &mut hasher);
    hasher.finish()
}

impl<K: Key, W: Record> Clone for Lookup<K, W> {
    fn clone(&self) -> Self {
        Lookup { index: self.index.clone() }
    }
}

impl<K: Key, W: Record> fmt::Debug for Lookup<K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lookup({} keys)", self.current().keys.len())
    }
}
