//! Keys: records that can be grouped by. Grouping is two parts: keys become dense ids, and plain
//! vectors indexed by id hold whatever is kept for each key.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::OnceLock;

use hashbrown::DefaultHashBuilder;
use tidemill_kernels::{HashIndex, TextTable, Vacancy, same_bytes};

use super::{CellKeys, ColumnKeys, Columns, InlineKeys, KeyStore, Record, TextColumn, Timestamp};
use crate::error::{Error, ErrorKind, Result};

/// A record with an equality and a hash, so that rows can be grouped by it.
///
/// Text, bytes, integers, bool, `Option` and tuples of keys, structs of keys that derive `Record`,
/// and [`Row<T>`](crate::Row) and [`Saved<T>`](crate::Saved) of any `T: Hash + Eq`.
pub trait Key: Record {
    /// The table that gives each distinct key its dense id.
    type Groups: Groups<Self>;

    /// Where a keyed state keeps keys.
    type Store: KeyStore<Self>;

    /// Feeds the key to a hasher.
    fn hash_ref<H: Hasher>(key: Self::Ref<'_>, state: &mut H);

    /// Whether two keys are equal.
    fn same(left: Self::Ref<'_>, right: Self::Ref<'_>) -> bool;
}

/// Distinct keys and their dense ids, numbered in order of first appearance.
pub trait Groups<K: Key>: Send + 'static {
    /// A table that refuses the key after `keys_max`.
    fn new(keys_max: usize) -> Self;

    /// Appends the id of each key.
    fn ids(&mut self, keys: &K::Columns, ids: &mut Vec<u32>) -> Result<()>;

    /// The number of distinct keys.
    fn len(&self) -> usize;

    /// Whether there is no key yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends all keys, in the order of their ids.
    fn keys(&self, keys: &mut K::Columns);

    /// Forgets all keys and keeps the memory.
    fn clear(&mut self);

    /// About how many bytes of memory are held.
    fn byte_len(&self) -> usize;
}

/// Keys that are hashed before the first of them is looked up.
const HASHED_AHEAD: usize = 64;

/// Keys up to which the index, of about 12 bytes for each, is in the L1 cache anyway.
const IN_CACHE: usize = 1 << 11;

/// Ids for any key: the distinct keys as columns, and an index of their positions.
pub struct HashGroups<K: Key> {
    keys_max: usize,
    keys: K::Columns,
    ids: HashIndex,
}

/// Ids for text, by the kernel's table.
pub struct TextGroups {
    table: TextTable,
}

/// One seed for the process: an attacker cannot know it, and all tables agree.
#[inline]
fn seed() -> &'static DefaultHashBuilder {
    static SEED: OnceLock<DefaultHashBuilder> = OnceLock::new();
    SEED.get_or_init(DefaultHashBuilder::default)
}

#[inline]
pub(crate) fn hash_of<K: Key>(key: K::Ref<'_>) -> u64 {
    let mut hasher = seed().build_hasher();
    K::hash_ref(key, &mut hasher);
    hasher.finish()
}

/// The error of one key too many.
pub(crate) fn too_many_keys(keys_max: usize) -> Error {
    let message =
        format!("more distinct keys than the maximum of {keys_max} (Limits::distinct_keys)");
    Error::new(ErrorKind::Limit, message)
}

impl<K: Key> HashGroups<K> {
    /// A key that was not found. Nothing of the user's runs between its becoming one of the keys
    /// and its getting an id, so that a panic in an equality or a hash leaves both in agreement.
    fn add(&mut self, key: K::Ref<'_>, hash: u64, vacancy: Vacancy) -> Result<u32> {
        let id = self.ids.len();
        if id >= self.keys_max {
            return Err(too_many_keys(self.keys_max));
        }
        self.keys.push(key);
        self.ids.insert_at(vacancy, hash, id as u32);
        Ok(id as u32)
    }
}

impl<K: Key> Groups<K> for HashGroups<K> {
    fn new(keys_max: usize) -> Self {
        HashGroups { keys_max, keys: K::Columns::default(), ids: HashIndex::new() }
    }

    fn ids(&mut self, keys: &K::Columns, ids: &mut Vec<u32>) -> Result<()> {
        ids.reserve(keys.len());
        let mut hashes = [0; HASHED_AHEAD];
        for first in (0..keys.len()).step_by(HASHED_AHEAD) {
            let rows = first..keys.len().min(first + HASHED_AHEAD);
            for (row, hash) in rows.clone().zip(&mut hashes) {
                *hash = hash_of::<K>(keys.get(row));
                if self.keys.len() > IN_CACHE {
                    self.ids.prefetch(*hash);
                }
            }
            for (row, &hash) in rows.zip(&hashes) {
                let key = keys.get(row);
                let known = &self.keys;
                let found = self.ids.search(hash, |id| K::same(known.get(id as usize), key));
                ids.push(match found {
                    Ok(id) => id,
                    Err(vacancy) => self.add(key, hash, vacancy)?,
                });
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn keys(&self, keys: &mut K::Columns) {
        for id in 0..self.keys.len() {
            keys.push(self.keys.get(id));
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.ids.clear();
    }

    fn byte_len(&self) -> usize {
        self.keys.byte_len() + self.ids.memory_bytes()
    }
}

impl Groups<String> for TextGroups {
    fn new(keys_max: usize) -> Self {
        TextGroups { table: TextTable::new(keys_max) }
    }

    fn ids(&mut self, keys: &TextColumn, ids: &mut Vec<u32>) -> Result<()> {
        self.table.ids(keys.bytes(), keys.spans(), ids).map_err(table_error)
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    fn keys(&self, keys: &mut TextColumn) {
        let (text, spans) = keys.parts_mut();
        self.table.keys_by_id(text, spans);
        check_keys(text);
    }

    fn clear(&mut self) {
        self.table.clear();
    }

    fn byte_len(&self) -> usize {
        self.table.memory_bytes()
    }
}

/// Keys went into a table as checked text, so they come out as text.
pub(crate) fn check_keys(text: &mut tidemill_kernels::TextBuffer) {
    assert!(text.check().is_ok(), "a table's keys are the text that went in");
}

/// The kernel's error in the words of the engine.
pub(crate) fn table_error(error: tidemill_kernels::TableError) -> Error {
    match error {
        tidemill_kernels::TableError::Full { limit } => too_many_keys(limit),
        tidemill_kernels::TableError::Overflow { key } => {
            let key = String::from_utf8_lossy(&key).into_owned();
            Error::new(ErrorKind::Overflow, format!("the sum of key {key:?} does not fit an i64"))
        }
    }
}

impl Key for String {
    type Groups = TextGroups;
    type Store = CellKeys;

    fn hash_ref<H: Hasher>(key: &str, state: &mut H) {
        key.hash(state);
    }

    #[inline]
    fn same(left: &str, right: &str) -> bool {
        same_bytes(left.as_bytes(), right.as_bytes())
    }
}

impl Key for Vec<u8> {
    type Groups = HashGroups<Vec<u8>>;
    type Store = CellKeys;

    fn hash_ref<H: Hasher>(key: &[u8], state: &mut H) {
        key.hash(state);
    }

    #[inline]
    fn same(left: &[u8], right: &[u8]) -> bool {
        same_bytes(left, right)
    }
}

macro_rules! scalars {
    ($($scalar:ty),*) => {$(
        impl Key for $scalar {
            type Groups = HashGroups<$scalar>;
            type Store = InlineKeys<$scalar>;

            fn hash_ref<H: Hasher>(key: $scalar, state: &mut H) {
                key.hash(state);
            }

            fn same(left: $scalar, right: $scalar) -> bool {
                left == right
            }
        }
    )*};
}

scalars!(i8, i16, i32, i64, u16, u32, u64, bool, (), Timestamp);

impl<T: Key> Key for Option<T> {
    type Groups = HashGroups<Option<T>>;
    type Store = ColumnKeys<Option<T>>;

    fn hash_ref<H: Hasher>(key: Option<T::Ref<'_>>, state: &mut H) {
        key.is_some().hash(state);
        if let Some(key) = key {
            T::hash_ref(key, state);
        }
    }

    fn same(left: Option<T::Ref<'_>>, right: Option<T::Ref<'_>>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => T::same(left, right),
            (None, None) => true,
            _ => false,
        }
    }
}

macro_rules! tuples {
    ($(($($member:ident $index:tt),+))*) => {$(
        impl<$($member: Key),+> Key for ($($member,)+) {
            type Groups = HashGroups<($($member,)+)>;
            type Store = ColumnKeys<($($member,)+)>;

            fn hash_ref<HASHER: Hasher>(key: Self::Ref<'_>, state: &mut HASHER) {
                $($member::hash_ref(key.$index, state);)+
            }

            fn same(left: Self::Ref<'_>, right: Self::Ref<'_>) -> bool {
                $($member::same(left.$index, right.$index))&&+
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

impl<K: Key> fmt::Debug for HashGroups<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashGroups({} keys)", self.keys.len())
    }
}

impl fmt::Debug for TextGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextGroups({} keys)", self.table.len())
    }
}
