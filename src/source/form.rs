//! What a source's blocks hold: lines, or records that are all of one length.
//!
//! Invariant: this alone says where rows end, so that who fills a block, who counts its rows and
//! who makes columns of it agree.

use memchr::{memchr, memrchr};
use tidemill_kernels::{Span, count_newlines};

use super::quoted::Quoted;
use crate::record::batch::AnyChunk;
use crate::record::block::{SharedText, lines_fit};
use crate::record::recycled::{Recycled, own};
use crate::record::{BytesColumn, TextColumn};

/// What the rows of a block are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines that are valid UTF-8.
    Text,
    /// Lines of any bytes.
    Bytes,
    /// Lines that are valid UTF-8, with line ends in fields in quotes.
    Quoted(Quoted),
    /// Records of so many bytes, with nothing between two.
    Records(usize),
}

impl Form {
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Form::Text | Form::Quoted(_))
    }

    /// Whether every line end is the end of a row.
    pub(crate) fn is_lines(self) -> bool {
        matches!(self, Form::Text | Form::Bytes)
    }

    /// The line end of the row with which the bytes begin, if it has come. Not for records of one
    /// length.
    pub(crate) fn end(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Form::Quoted(quoted) => quoted.end(bytes),
            _ => memchr(b'\n', bytes),
        }
    }

    /// Whether every row of bytes that are whole rows is within the maximum.
    pub(crate) fn fits(self, bytes: &[u8], line_bytes_max: usize) -> bool {
        let Form::Quoted(quoted) = self else { return lines_fit(bytes, line_bytes_max) };
        let (mut start, mut fits) = (0, true);
        quoted.for_each_end(bytes, |end| {
            fits &= end - start <= line_bytes_max;
            start = end + 1;
        });
        fits
    }

    /// How many of the bytes are whole rows; in the first `held` there is no line end.
    pub(crate) fn whole(self, bytes: &[u8], held: usize) -> usize {
        match self {
            Form::Text | Form::Bytes => {
                memrchr(b'\n', &bytes[held..]).map_or(0, |at| held + at + 1)
            }
            Form::Quoted(quoted) => {
                let mut whole = 0;
                quoted.for_each_end(bytes, |end| whole = end + 1);
                whole
            }
            Form::Records(record_bytes) => bytes.len() / record_bytes * record_bytes,
        }
    }

    /// How many rows the bytes of whole rows are.
    pub(crate) fn rows(self, bytes: &[u8]) -> usize {
        match self {
            Form::Text | Form::Bytes => count_newlines(bytes),
            Form::Quoted(quoted) => {
                let mut rows = 0;
                quoted.for_each_end(bytes, |_| rows += 1);
                rows
            }
            Form::Records(record_bytes) => bytes.len() / record_bytes,
        }
    }

    /// The rows of a block as columns.
    pub(crate) fn columns(self, block: &SharedText, recycled: &mut Recycled) -> AnyChunk {
        if self == Form::Text {
            let mut lines = recycled.take::<TextColumn>();
            own(&mut lines).share_lines(block);
            return recycled.lend(lines);
        }
        if let Form::Quoted(quoted) = self {
            let mut lines = recycled.take::<TextColumn>();
            own(&mut lines).share_spans(block, |spans| spans_of(quoted, block.bytes(), spans));
            return recycled.lend(lines);
        }
        let mut rows = recycled.take::<BytesColumn>();
        match self {
            Form::Records(record_bytes) => own(&mut rows).share_records(block, record_bytes),
            _ => own(&mut rows).share_lines(block),
        }
        recycled.lend(rows)
    }
}

/// Appends where each record lies, without its line end.
fn spans_of(quoted: Quoted, bytes: &[u8], spans: &mut Vec<Span>) {
    let mut start = 0;
    quoted.for_each_end(bytes, |feed| {
        let end = feed - usize::from(bytes[start..feed].ends_with(b"\r"));
        spans.push(Span { start: start as u32, len: (end - start) as u32 });
        start = feed + 1;
    });
}
