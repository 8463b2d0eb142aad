//! What a source's blocks hold: lines, or records that are all of one length.
//!
//! Invariant: this alone says where rows end, so that who fills a block, who counts its rows and
//! who makes columns of it agree.

use memchr::memrchr;
use tidemill_kernels::count_newlines;

use crate::record::batch::AnyChunk;
use crate::record::block::SharedText;
use crate::record::recycled::{Recycled, own};
use crate::record::{BytesColumn, TextColumn};

/// What the rows of a block are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines that are valid UTF-8.
    Text,
    /// Lines of any bytes.
    Bytes,
    /// Records of so many bytes, with nothing between two.
    Records(usize),
}

impl Form {
    /// How many of the bytes are whole rows; in the first `held` there is no line end.
    pub(crate) fn whole(self, bytes: &[u8], held: usize) -> usize {
        match self {
            Form::Text | Form::Bytes => {
                memrchr(b'\n', &bytes[held..]).map_or(0, |at| held + at + 1)
            }
            Form::Records(record_bytes) => bytes.len() / record_bytes * record_bytes,
        }
    }

    /// How many rows the bytes of whole rows are.
    pub(crate) fn rows(self, bytes: &[u8]) -> usize {
        match self {
            Form::Text | Form::Bytes => count_newlines(bytes),
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
        let mut rows = recycled.take::<BytesColumn>();
        match self {
            Form::Records(record_bytes) => own(&mut rows).share_records(block, record_bytes),
            _ => own(&mut rows).share_lines(block),
        }
        recycled.lend(rows)
    }
}
