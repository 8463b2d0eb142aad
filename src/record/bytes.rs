//! Bytes: `Vec<u8>` in streams, `&[u8]` in closures; as text, but nobody checks them.

use tidemill_kernels::{Span, line_spans};

use super::block::SharedText;
use super::saved::{push_bytes, take_bytes};
use super::slices::Slices;
use super::{Columns, Record};
use crate::error::Result;

/// A column of byte strings: ranges of one buffer.
#[derive(Debug, Default)]
pub struct BytesColumn {
    slices: Slices,
}

impl BytesColumn {
    /// Makes an empty column the lines of a block.
    pub(crate) fn share_lines(&mut self, block: &SharedText) {
        line_spans(block.bytes(), self.slices.share_from(block));
    }

    /// Makes an empty column the records of a block, each of so many bytes.
    pub(crate) fn share_records(&mut self, block: &SharedText, record_bytes: usize) {
        let (records, len) = (block.len() / record_bytes, record_bytes as u32);
        let spans = self.slices.share_from(block);
        // A block is far shorter than what 32 bits count.
        spans.extend((0..records as u32).map(|record| Span { start: record * len, len }));
    }

    /// Appends ranges of a shared buffer, without copying where all rows are ranges of it.
    pub(crate) fn share(&mut self, values: &SharedText, spans: &[Span]) {
        self.slices.share(values, spans);
    }
}

impl Record for Vec<u8> {
    type Ref<'a> = &'a [u8];
    type Columns = BytesColumn;

    fn to_ref(&self) -> &[u8] {
        self
    }

    fn from_ref(row: &[u8]) -> Vec<u8> {
        row.to_owned()
    }

    fn byte_len(row: &[u8]) -> usize {
        size_of::<Vec<u8>>() + row.len()
    }

    fn saved_as() -> Option<String> {
        Some("bytes".to_owned())
    }

    fn save(row: &[u8], out: &mut Vec<u8>) {
        push_bytes(row, out);
    }

    fn load(from: &mut &[u8]) -> Result<Vec<u8>> {
        take_bytes(from).map(<[u8]>::to_vec)
    }
}

impl Columns for BytesColumn {
    type Record = Vec<u8>;

    fn len(&self) -> usize {
        self.slices.len()
    }

    #[inline]
    fn get(&self, row: usize) -> &[u8] {
        self.slices.get_bytes(row)
    }

    #[inline]
    fn prefetch(&self, row: usize) {
        self.slices.prefetch(row);
    }

    #[inline]
    fn prefetch_place(&self, row: usize) {
        self.slices.prefetch_place(row);
    }

    #[inline]
    fn push(&mut self, row: &[u8]) {
        self.slices.push_bytes(row);
    }

    fn append(&mut self, other: &Self) {
        self.slices.append(&other.slices);
    }

    fn copy_from(&mut self, other: &Self) {
        let (values, spans) = other.slices.to_shared();
        self.slices.share_from(&values).extend_from_slice(&spans);
    }

    fn gather(&self, rows: &[u32]) -> Self {
        BytesColumn { slices: self.slices.gather(rows) }
    }

    fn clear(&mut self) {
        self.slices.clear();
    }

    fn freeze(&mut self) {
        self.slices.freeze();
    }

    fn is_borrowed(&self) -> bool {
        self.slices.is_borrowed()
    }

    fn byte_len(&self) -> usize {
        self.slices.byte_len()
    }
}
