//! From hashes to numbers, for keys that the caller holds: the index of the group table for keys
//! that are no text.

use crate::isa::baseline::equal_words;
use crate::table::{EmptySlot, Index};

/// Numbers of keys by hash, of which the top bits matter most. The keys themselves, and what makes
/// two of them equal, are the caller's; the index grows without a look at them, a part at a time.
///
/// ```
/// use tidemill_kernels::HashIndex;
///
/// let keys = ["ebb", "flow"];
/// let mut index = HashIndex::new();
/// let hash = |key: &str| key.len() as u64;
/// for (number, key) in keys.iter().enumerate() {
///     index.insert(hash(key), number as u32);
/// }
/// assert_eq!(index.find(hash("flow"), |number| keys[number as usize] == "flow"), Some(1));
/// assert_eq!(index.find(hash("neap"), |number| keys[number as usize] == "neap"), None);
/// ```
#[derive(Clone)]
pub struct HashIndex {
    index: Index,
}

/// Where the search for a key that is not there ended.
#[derive(Copy, Clone)]
pub struct Vacancy(EmptySlot);

/// A hash as the index wants it: not zero in the last six bits.
#[inline(always)]
fn tag(hash: u64) -> u64 {
    hash | 1
}

impl HashIndex {
    /// An empty index; memory comes as keys do.
    pub fn new() -> HashIndex {
        HashIndex { index: Index::with_room(0) }
    }

    /// An empty index with the memory for so many keys.
    pub fn with_room(keys: usize) -> HashIndex {
        HashIndex { index: Index::with_room(keys) }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks for the memory where the search for a hash begins, so that it is there when it is
    /// wanted, some dozens of keys later.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.index.prefetch(tag(hash));
    }

    /// A number that may be the one that [`find`](HashIndex::find) would look at first, without a
    /// look at any key: a guess, so that the key's memory can be asked for.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.index.guess(tag(hash), equal_words)
    }

    /// Where [`guess`](HashIndex::guess) found nothing, and some dozens of keys later: the same of
    /// where [`find`](HashIndex::find) would look next.
    #[inline]
    pub fn guess_after(&self, hash: u64) -> Option<u32> {
        self.index.guess_after(tag(hash), equal_words)
    }

    /// The number that was [inserted](HashIndex::insert) with this hash and that `is_key` accepts.
    #[inline]
    pub fn find(&self, hash: u64, is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        self.index.search(tag(hash), is_key, equal_words).ok()
    }

    /// The number that [`find`](HashIndex::find) would find, or where that of a new key goes as
    /// long as the index does not change.
    #[inline]
    pub fn search(&self, hash: u64, is_key: impl FnMut(u32) -> bool) -> Result<u32, Vacancy> {
        self.index.search(tag(hash), is_key, equal_words).map_err(Vacancy)
    }

    /// Adds the number of a key where the search for its hash ended.
    #[inline]
    pub fn insert_at(&mut self, vacancy: Vacancy, hash: u64, number: u32) {
        self.index.insert(vacancy.0, tag(hash), number);
    }

    /// Adds the number of a key that [`find`](HashIndex::find) did not find.
    #[inline]
    pub fn insert(&mut self, hash: u64, number: u32) {
        self.index.insert_new(tag(hash), number);
    }

    /// Takes out a number that was inserted with this hash; false if there is none.
    pub fn remove(&mut self, hash: u64, number: u32) -> bool {
        self.index.remove(tag(hash), number)
    }

    /// Puts another number in the place of one that was inserted with this hash; false if there is
    /// none.
    pub fn replace(&mut self, hash: u64, number: u32, by: u32) -> bool {
        self.index.replace(tag(hash), number, by)
    }

    /// Forgets the keys and keeps the memory; some clears after many keys, memory that is no longer
    /// used is given back.
    pub fn clear(&mut self) {
        self.index.clear();
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.index.memory_bytes()
    }
}

impl Default for HashIndex {
    fn default() -> HashIndex {
        HashIndex::new()
    }
}

impl std::fmt::Debug for Vacancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vacancy")
    }
}

impl std::fmt::Debug for HashIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashIndex({} keys)", self.len())
    }
}
