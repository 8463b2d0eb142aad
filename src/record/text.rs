//! Text: `String` in streams, `&str` in closures, one buffer and a span for each row in memory.

use std::borrow::Cow;

use tidemill_kernels::{Span, Split, TextBuffer, line_spans, split_byte, split_whitespace};

use super::block::SharedText;
use super::saved::{push_bytes, take_bytes, torn};
use super::slices::Slices;
use super::{Columns, Record};
use crate::error::Result;

/// A column of text: ranges of one shared buffer that was checked as UTF-8 when it came in.
#[derive(Debug, Default)]
pub struct TextColumn {
    slices: Slices,
}

impl TextColumn {
    /// Rows that are ranges of a shared buffer.
    pub(crate) fn from_shared(values: SharedText, spans: Vec<Span>) -> TextColumn {
        TextColumn { slices: Slices::shared(values, spans) }
    }

    /// The bytes that the spans point into.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.slices.buffer().bytes()
    }

    /// The rows as ranges of a buffer that is shared; rows that are still being built are copied.
    pub(crate) fn to_shared(&self) -> (SharedText, Cow<'_, [Span]>) {
        self.slices.to_shared()
    }

    /// Appends ranges of a shared buffer, without copying where all rows are ranges of it.
    pub(crate) fn share(&mut self, values: &SharedText, spans: &[Span]) {
        self.slices.share(values, spans);
        if let Some(buffer) = self.slices.owned_mut() {
            assert!(buffer.check().is_ok(), "text after text is text");
        }
    }

    /// Where each row lies.
    pub(crate) fn spans(&self) -> &[Span] {
        self.slices.spans()
    }

    /// The buffer and spans to append to; the caller checks the buffer afterwards.
    pub(crate) fn parts_mut(&mut self) -> (&mut TextBuffer, &mut Vec<Span>) {
        self.slices.parts_mut()
    }

    /// Makes an empty column the pieces of all rows, over the same bytes.
    pub(crate) fn split(&self, split: Split, into: &mut TextColumn) {
        let (text, rows) = self.to_shared();
        let spans = into.slices.share_from(&text);
        match split {
            Split::Byte(separator) => split_byte(text.bytes(), &rows, separator, spans),
            Split::Whitespace => split_whitespace(text.bytes(), &rows, spans),
        }
    }

    /// Makes an empty column the lines of a block.
    pub(crate) fn share_lines(&mut self, block: &SharedText) {
        self.share_spans(block, |spans| line_spans(block.bytes(), spans));
    }

    /// Makes an empty column the ranges of a block that `find` appends.
    pub(crate) fn share_spans(&mut self, block: &SharedText, find: impl FnOnce(&mut Vec<Span>)) {
        find(self.slices.share_from(block));
    }
}

impl Record for String {
    type Ref<'a> = &'a str;
    type Columns = TextColumn;

    #[inline]
    fn to_ref(&self) -> &str {
        self
    }

    fn from_ref(row: &str) -> String {
        row.to_owned()
    }

    fn byte_len(row: &str) -> usize {
        size_of::<String>() + row.len()
    }

    fn saved_as() -> Option<String> {
        Some("text".to_owned())
    }

    fn save(row: &str, out: &mut Vec<u8>) {
        push_bytes(row.as_bytes(), out);
    }

    fn load(from: &mut &[u8]) -> Result<String> {
        str::from_utf8(take_bytes(from)?).map(str::to_owned).map_err(|_| torn())
    }
}

impl Columns for TextColumn {
    type Record = String;

    fn len(&self) -> usize {
        self.slices.len()
    }

    #[inline]
    fn get(&self, row: usize) -> &str {
        self.slices.get_str(row)
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
    fn push(&mut self, row: &str) {
        self.slices.push_str(row);
    }

    fn append(&mut self, other: &Self) {
        self.slices.append(&other.slices);
        let (buffer, _) = self.slices.parts_mut();
        assert!(buffer.check().is_ok(), "text after text is text");
    }

    fn copy_from(&mut self, other: &Self) {
        let (values, spans) = other.slices.to_shared();
        self.slices.share_from(&values).extend_from_slice(&spans);
    }

    fn gather(&self, rows: &[u32]) -> Self {
        TextColumn { slices: self.slices.gather(rows) }
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
