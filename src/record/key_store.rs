//! Where a keyed state keeps its keys: beside the state as far as a key has a fixed size, so that
//! the memory of a key and of its state comes at once.

use std::fmt;
use std::marker::PhantomData;

use tidemill_kernels::{BytesCell, TextBuffer, TextCell};

use super::saved::{take_bytes, torn};
use super::{Columns, Key};
use crate::error::Result;

/// Keys of a part of a keyed state. Each has a place, which lies beside its state and says where
/// the key is or what it is; the rest of it is here.
///
/// What a program's own type needs is [`ColumnKeys`].
pub trait KeyStore<K: Key>: Default + Send + Sync + 'static {
    /// What lies beside the state.
    type Place: Copy + Send + Sync + 'static;

    /// Adds a key, and gives its place. Keys have rows from 0 on, in the order in which they come.
    fn push(&mut self, key: K) -> Self::Place;

    /// Adds a key as [`Record::save`](super::Record::save) has written it, which is taken off the
    /// front.
    ///
    /// # Errors
    ///
    /// As [`Record::load`](super::Record::load); no key is added then.
    fn load(&mut self, from: &mut &[u8]) -> Result<Self::Place> {
        K::load(from).map(|key| self.push(key))
    }

    /// Adds a row of which nobody will ask for the key. Where there has to be one, any will do.
    fn push_hole(&mut self, _any: K::Ref<'_>) {}

    /// The key of a row that was added with this place.
    fn get<'a>(&'a self, place: &'a Self::Place, row: usize) -> K::Ref<'a>;

    /// Whether the places are the keys, so that there is nothing to ask for once they are there.
    #[inline]
    fn is_inline(&self) -> bool {
        false
    }

    /// Asks for what [`prefetch`](Self::prefetch) has to read beside the place.
    fn prefetch_place(&self, _row: usize) {}

    /// Asks for the memory of a key, so that it is there when it is wanted.
    fn prefetch(&self, _place: &Self::Place, _row: usize) {}

    /// About how many bytes the keys take here.
    fn byte_len(&self) -> usize;
}

/// Keys that are their own place: numbers.
pub struct InlineKeys<K>(PhantomData<fn(K)>);

/// Text and bytes: a place is a key of up to sixteen bytes, or says where there are more, as a
/// [`TextCell`] and a [`BytesCell`] do.
#[derive(Debug, Default)]
pub struct CellKeys {
    /// Those that do not fit, one after the other.
    long: TextBuffer,
}

/// Keys of any type in their columns, at their rows.
pub struct ColumnKeys<K: Key> {
    keys: K::Columns,
}

impl<K> Default for InlineKeys<K> {
    fn default() -> Self {
        InlineKeys(PhantomData)
    }
}

impl<K: for<'a> Key<Ref<'a> = K> + Copy> KeyStore<K> for InlineKeys<K> {
    type Place = K;

    #[inline]
    fn push(&mut self, key: K) -> K {
        key
    }

    #[inline]
    fn get<'a>(&'a self, place: &'a K, _row: usize) -> K {
        *place
    }

    #[inline]
    fn is_inline(&self) -> bool {
        true
    }

    fn byte_len(&self) -> usize {
        0
    }
}

impl KeyStore<String> for CellKeys {
    type Place = TextCell;

    fn push(&mut self, key: String) -> TextCell {
        TextCell::new(&key, &mut self.long)
    }

    fn load(&mut self, from: &mut &[u8]) -> Result<TextCell> {
        let key = str::from_utf8(take_bytes(from)?).map_err(|_| torn())?;
        Ok(TextCell::new(key, &mut self.long))
    }

    #[inline]
    fn get<'a>(&'a self, place: &'a TextCell, _row: usize) -> &'a str {
        place.str(&self.long)
    }

    #[inline]
    fn is_inline(&self) -> bool {
        self.long.is_empty()
    }

    #[inline]
    fn prefetch(&self, place: &TextCell, _row: usize) {
        place.prefetch(&self.long);
    }

    fn byte_len(&self) -> usize {
        self.long.len()
    }
}

impl KeyStore<Vec<u8>> for CellKeys {
    type Place = BytesCell;

    fn push(&mut self, key: Vec<u8>) -> BytesCell {
        BytesCell::new(&key, &mut self.long)
    }

    fn load(&mut self, from: &mut &[u8]) -> Result<BytesCell> {
        Ok(BytesCell::new(take_bytes(from)?, &mut self.long))
    }

    #[inline]
    fn get<'a>(&'a self, place: &'a BytesCell, _row: usize) -> &'a [u8] {
        place.bytes(&self.long)
    }

    #[inline]
    fn is_inline(&self) -> bool {
        self.long.is_empty()
    }

    #[inline]
    fn prefetch(&self, place: &BytesCell, _row: usize) {
        place.prefetch(&self.long);
    }

    fn byte_len(&self) -> usize {
        self.long.len()
    }
}

impl<K: Key> Default for ColumnKeys<K> {
    fn default() -> Self {
        ColumnKeys { keys: K::Columns::default() }
    }
}

impl<K: Key> KeyStore<K> for ColumnKeys<K> {
    type Place = ();

    fn push(&mut self, key: K) {
        self.keys.push_owned(key);
    }

    fn push_hole(&mut self, any: K::Ref<'_>) {
        self.keys.push(any);
    }

    #[inline]
    fn get<'a>(&'a self, _place: &'a (), row: usize) -> K::Ref<'a> {
        self.keys.get(row)
    }

    #[inline]
    fn prefetch_place(&self, row: usize) {
        self.keys.prefetch_place(row);
    }

    #[inline]
    fn prefetch(&self, _place: &(), row: usize) {
        self.keys.prefetch(row);
    }

    fn byte_len(&self) -> usize {
        self.keys.byte_len()
    }
}

impl<K> fmt::Debug for InlineKeys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InlineKeys")
    }
}

impl<K: Key> fmt::Debug for ColumnKeys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColumnKeys({})", self.keys.len())
    }
}
