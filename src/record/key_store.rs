//! Where a keyed state keeps its keys: beside the state as far as a key has a fixed size, so that
//! the memory of a key and of its state comes at once.

use std::fmt;
use std::marker::PhantomData;

use tidemill_kernels::{Span, TextBuffer};

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

    /// Whether the place is the key, so that there is nothing to ask for once it is there.
    const IS_INLINE: bool = false;

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

    /// Asks for what [`prefetch`](Self::prefetch) has to read beside the place.
    fn prefetch_place(&self, _row: usize) {}

    /// Asks for the memory of a key, so that it is there when it is wanted.
    fn prefetch(&self, _place: &Self::Place, _row: usize) {}

    /// About how many bytes the keys take here.
    fn byte_len(&self) -> usize;
}

/// Keys that are their own place: numbers.
pub struct InlineKeys<K>(PhantomData<fn(K)>);

/// Text and bytes one after the other; the place is a range of them.
#[derive(Debug, Default)]
pub struct SpannedKeys {
    bytes: TextBuffer,
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

    const IS_INLINE: bool = true;

    #[inline]
    fn push(&mut self, key: K) -> K {
        key
    }

    #[inline]
    fn get<'a>(&'a self, place: &'a K, _row: usize) -> K {
        *place
    }

    fn byte_len(&self) -> usize {
        0
    }
}

impl SpannedKeys {
    fn push_str(&mut self, key: &str) -> Span {
        let start = self.bytes.len();
        self.bytes.push_str(key);
        self.span_from(start)
    }

    fn push_bytes(&mut self, key: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_bytes(key);
        self.span_from(start)
    }

    /// The span of what was appended since the buffer had this length: less than 4 GiB.
    fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, len: (self.bytes.len() - start) as u32 }
    }
}

impl KeyStore<String> for SpannedKeys {
    type Place = Span;

    fn push(&mut self, key: String) -> Span {
        self.push_str(&key)
    }

    fn load(&mut self, from: &mut &[u8]) -> Result<Span> {
        str::from_utf8(take_bytes(from)?).map(|key| self.push_str(key)).map_err(|_| torn())
    }

    #[inline]
    fn get<'a>(&'a self, place: &'a Span, _row: usize) -> &'a str {
        self.bytes.str(*place)
    }

    #[inline]
    fn prefetch(&self, place: &Span, _row: usize) {
        self.bytes.prefetch(*place);
    }

    fn byte_len(&self) -> usize {
        self.bytes.len()
    }
}

impl KeyStore<Vec<u8>> for SpannedKeys {
    type Place = Span;

    fn push(&mut self, key: Vec<u8>) -> Span {
        self.push_bytes(&key)
    }

    fn load(&mut self, from: &mut &[u8]) -> Result<Span> {
        take_bytes(from).map(|key| self.push_bytes(key))
    }

    #[inline]
    fn get<'a>(&'a self, place: &'a Span, _row: usize) -> &'a [u8] {
        &self.bytes.bytes()[place.range()]
    }

    #[inline]
    fn prefetch(&self, place: &Span, _row: usize) {
        self.bytes.prefetch(*place);
    }

    fn byte_len(&self) -> usize {
        self.bytes.len()
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
