//! What text and bytes share: one value buffer, and a span of it for each row.
//!
//! Splitting a column yields new spans over the same buffer; only appending needs a buffer of
//! one's own.

use std::borrow::Cow;
use std::sync::Arc;

use tidemill_kernels::{Span, TextBuffer, prefetch_row};

use super::block::SharedText;
use crate::config::RECYCLED_BYTES_MAX;

#[derive(Debug, Default)]
pub(super) struct Slices {
    values: Values,
    spans: Vec<Span>,
}

#[derive(Debug)]
enum Values {
    /// Being appended to.
    Owned(TextBuffer),
    /// A receiver's block, or a frozen buffer; never written again.
    Shared(SharedText),
}

impl Default for Values {
    fn default() -> Values {
        Values::Owned(TextBuffer::new())
    }
}

impl Values {
    #[inline]
    fn buffer(&self) -> &TextBuffer {
        match self {
            Values::Owned(buffer) => buffer,
            Values::Shared(shared) => shared,
        }
    }
}

impl Slices {
    pub(super) fn shared(values: SharedText, spans: Vec<Span>) -> Slices {
        Slices { values: Values::Shared(values), spans }
    }

    /// Makes empty slices ranges of a shared buffer, to be appended.
    pub(super) fn share_from(&mut self, values: &SharedText) -> &mut Vec<Span> {
        self.clear();
        self.values = Values::Shared(values.clone());
        &mut self.spans
    }

    /// Appends ranges of a shared buffer, without copying where all rows are ranges of it.
    pub(super) fn share(&mut self, values: &SharedText, spans: &[Span]) {
        if self.spans.is_empty() {
            self.values = Values::Shared(values.clone());
        }
        match &self.values {
            Values::Shared(shared) if shared.is_same(values) => {
                self.spans.extend_from_slice(spans);
            }
            _ => self.append(&Slices::shared(values.clone(), spans.to_vec())),
        }
    }

    /// The rows as ranges of a shared buffer: a copy, where they are being appended to.
    pub(super) fn to_shared(&self) -> (SharedText, Cow<'_, [Span]>) {
        match &self.values {
            Values::Shared(shared) => (shared.clone(), Cow::Borrowed(&self.spans)),
            Values::Owned(_) => {
                let Slices { values, spans } = self.with_spans(self.spans.clone());
                let Values::Shared(shared) = values else { unreachable!("with_spans() shares") };
                (shared, Cow::Owned(spans))
            }
        }
    }

    /// The buffer that is being appended to, if there is one.
    pub(super) fn owned_mut(&mut self) -> Option<&mut TextBuffer> {
        if let Values::Owned(buffer) = &mut self.values { Some(buffer) } else { None }
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    #[inline]
    pub(super) fn buffer(&self) -> &TextBuffer {
        self.values.buffer()
    }

    #[inline]
    pub(super) fn get_str(&self, row: usize) -> &str {
        self.buffer().str(self.spans[row])
    }

    #[inline]
    pub(super) fn get_bytes(&self, row: usize) -> &[u8] {
        &self.buffer().bytes()[self.spans[row].range()]
    }

    /// Asks for the memory of a row.
    #[inline]
    pub(super) fn prefetch(&self, row: usize) {
        if let Some(span) = self.spans.get(row) {
            self.buffer().prefetch(*span);
        }
    }

    /// Asks for where a row is.
    #[inline]
    pub(super) fn prefetch_place(&self, row: usize) {
        prefetch_row(&self.spans, row);
    }

    #[inline]
    pub(super) fn push_str(&mut self, row: &str) {
        let buffer = self.own();
        let start = buffer.len() as u32;
        buffer.push_str(row);
        self.spans.push(Span { start, len: row.len() as u32 });
    }

    #[inline]
    pub(super) fn push_bytes(&mut self, row: &[u8]) {
        let buffer = self.own();
        let start = buffer.len() as u32;
        buffer.extend_from_bytes(row);
        self.spans.push(Span { start, len: row.len() as u32 });
    }

    pub(super) fn append(&mut self, other: &Slices) {
        let bytes = other.spans.iter().map(|span| span.len as usize).sum::<usize>();
        let source = other.buffer().bytes();
        self.own();
        let Values::Owned(buffer) = &mut self.values else { unreachable!("just made one's own") };
        let mut start = buffer.len() as u32;
        // Rows that lie one after the other, as they do in a buffer of one's own, go at once.
        let is_dense = bytes == source.len()
            && other.spans.first().is_none_or(|first| first.start == 0)
            && other.spans.windows(2).all(|rows| rows[0].start + rows[0].len == rows[1].start);
        if is_dense {
            buffer.extend_from_bytes(source);
        }
        for span in &other.spans {
            if !is_dense {
                buffer.extend_from_bytes(&source[span.range()]);
            }
            self.spans.push(Span { start, len: span.len });
            start += span.len;
        }
    }

    /// The parts to append whole columns to: what is appended to the buffer is not checked yet.
    pub(super) fn parts_mut(&mut self) -> (&mut TextBuffer, &mut Vec<Span>) {
        self.own();
        match &mut self.values {
            Values::Owned(buffer) => (buffer, &mut self.spans),
            Values::Shared(_) => unreachable!("own() leaves an owned buffer"),
        }
    }

    /// Other rows of the same bytes: shares a shared buffer, copies an owned one.
    pub(super) fn with_spans(&self, spans: Vec<Span>) -> Slices {
        match &self.values {
            Values::Shared(shared) => Slices::shared(shared.clone(), spans),
            Values::Owned(buffer) => {
                let mut copy = TextBuffer::with_capacity(buffer.len());
                copy.extend_from_bytes(buffer.bytes());
                // Bytes that were never text stay unchecked.
                let _ = copy.check();
                Slices::shared(SharedText::from(Arc::new(copy)), spans)
            }
        }
    }

    pub(super) fn gather(&self, rows: &[u32]) -> Slices {
        let spans = rows.iter().map(|&row| self.spans[row as usize]);
        if let Values::Shared(shared) = &self.values {
            return Slices::shared(shared.clone(), spans.collect());
        }
        let bytes = spans.clone().map(|span| span.len as usize).sum();
        let mut copy = TextBuffer::with_capacity(bytes);
        let mut copied = Vec::with_capacity(rows.len());
        for span in spans {
            copied.push(Span { start: copy.len() as u32, len: span.len });
            copy.extend_from_bytes(&self.buffer().bytes()[span.range()]);
        }
        let _ = copy.check();
        Slices { values: Values::Owned(copy), spans: copied }
    }

    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.values = match std::mem::take(&mut self.values) {
            Values::Owned(buffer) => Values::Owned(buffer),
            Values::Shared(shared) => {
                let own = shared.into_own();
                let own = own.filter(|buffer| buffer.capacity() <= RECYCLED_BYTES_MAX);
                Values::Owned(own.unwrap_or_default())
            }
        };
        self.own().clear();
    }

    pub(super) fn freeze(&mut self) {
        if let Values::Owned(buffer) = &mut self.values {
            let buffer = std::mem::take(buffer);
            self.values = Values::Shared(SharedText::from(Arc::new(buffer)));
        }
    }

    pub(super) fn is_borrowed(&self) -> bool {
        let Values::Shared(shared) = &self.values else { return false };
        let used: usize = self.spans.iter().map(|span| span.len as usize).sum();
        shared.is_pooled() || 2 * used < shared.len()
    }

    pub(super) fn byte_len(&self) -> usize {
        if let Values::Owned(text) = &self.values {
            // Rows were appended, so they are all there is.
            return text.len() + 8 * self.spans.len();
        }
        self.spans.iter().map(|span| span.len as usize).sum::<usize>() + 8 * self.spans.len()
    }

    /// An owned buffer to append to; a shared one is copied.
    #[inline]
    fn own(&mut self) -> &mut TextBuffer {
        if matches!(self.values, Values::Shared(_)) {
            self.copy();
        }
        match &mut self.values {
            Values::Owned(buffer) => buffer,
            Values::Shared(_) => unreachable!("just replaced"),
        }
    }

    /// Makes the buffer one's own, row by row.
    #[cold]
    fn copy(&mut self) {
        let mut copy = TextBuffer::new();
        for span in &mut self.spans {
            let start = copy.len() as u32;
            copy.extend_from_bytes(&self.values.buffer().bytes()[span.range()]);
            span.start = start;
        }
        let _ = copy.check();
        self.values = Values::Owned(copy);
    }
}
