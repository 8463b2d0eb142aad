//! A row of a text column, because rows are ranges of a shared buffer and copying them is the cost
//! that columns avoid; a span says nothing of the buffer it belongs to, so each use checks it.

use std::ops::Range;

/// A range of a value buffer below 4 GiB: where a row of a text column starts, and its length.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// Offset just past the last byte.
    #[inline]
    pub fn end(self) -> usize {
        self.start as usize + self.len as usize
    }

    /// The bytes' range, to index a buffer with.
    #[inline]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end()
    }
}

/// Panics unless every offset into `text` fits a [`Span`].
#[inline]
pub(crate) fn assert_spannable(text: &[u8]) {
    assert!(
        u32::try_from(text.len()).is_ok(),
        "a value buffer holds less than 4 GiB, this one {} bytes",
        text.len()
    );
}
