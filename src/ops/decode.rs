//! Lines to the rows of a record, and to those lines that are none.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Narrow, Step};
use crate::decode::{Block, DecodeLog, Decoder, Reason, Reject, RejectColumns, RejectRef, Rejects};
use crate::error::{Error, ErrorKind, Result};
use crate::record::batch::{AnyChunk, columns};
use crate::record::block::{SharedText, lines_fit};
use crate::record::recycled::{Recycled, own};
use crate::record::{Columns, Record, TextColumn};

/// A line after decoding: a row, or a reject.
pub(crate) enum Decoded<R> {
    Row(R),
    Reject(Reject),
}

/// Decoded lines: the rows, and then the rejects.
pub(crate) struct DecodedColumns<R: Record> {
    rows: Arc<R::Columns>,
    rejects: Arc<RejectColumns>,
}

impl<R: Record> Default for DecodedColumns<R> {
    fn default() -> Self {
        DecodedColumns { rows: Arc::default(), rejects: Arc::default() }
    }
}

impl<R: Record> Record for Decoded<R> {
    type Ref<'a> = Result<R::Ref<'a>, RejectRef<'a>>;
    type Columns = DecodedColumns<R>;

    fn to_ref(&self) -> Self::Ref<'_> {
        match self {
            Decoded::Row(row) => Ok(row.to_ref()),
            Decoded::Reject(reject) => Err(reject.to_ref()),
        }
    }

    fn from_ref(row: Self::Ref<'_>) -> Self {
        match row {
            Ok(row) => Decoded::Row(R::from_ref(row)),
            Err(reject) => Decoded::Reject(Reject::from_ref(reject)),
        }
    }
}

impl<R: Record> Columns for DecodedColumns<R> {
    type Record = Decoded<R>;

    fn len(&self) -> usize {
        self.rows.len() + self.rejects.len()
    }

    fn get(&self, row: usize) -> Result<R::Ref<'_>, RejectRef<'_>> {
        match row.checked_sub(self.rows.len()) {
            None => Ok(self.rows.get(row)),
            Some(reject) => Err(self.rejects.get(reject)),
        }
    }

    fn push(&mut self, row: Result<R::Ref<'_>, RejectRef<'_>>) {
        match row {
            Ok(row) => own(&mut self.rows).push(row),
            Err(reject) => own(&mut self.rejects).push(reject),
        }
    }

    fn gather(&self, rows: &[u32]) -> Self {
        let mut gathered = Self::default();
        for &row in rows {
            gathered.push(self.get(row as usize));
        }
        gathered
    }

    fn clear(&mut self) {
        // Who holds a part keeps it.
        match Arc::get_mut(&mut self.rows) {
            Some(rows) => rows.clear(),
            None => self.rows = Arc::default(),
        }
        self.rejects = Arc::default();
    }

    fn freeze(&mut self) {
        own(&mut self.rows).freeze();
        own(&mut self.rejects).freeze();
    }

    fn is_borrowed(&self) -> bool {
        self.rows.is_borrowed() || self.rejects.is_borrowed()
    }

    fn byte_len(&self) -> usize {
        self.rows.byte_len() + self.rejects.byte_len()
    }
}

/// Decodes a chunk of lines.
pub(crate) struct Decode<R, D> {
    decoder: D,
    log: Arc<DecodeLog>,
    /// Where a source cuts lines.
    line_bytes_max: usize,
    record: PhantomData<fn() -> R>,
}

impl<R: Record, D: Decoder<R>> Decode<R, D> {
    pub(crate) fn new(decoder: D, log: Arc<DecodeLog>, line_bytes_max: usize) -> Self {
        Decode { decoder, log, line_bytes_max, record: PhantomData }
    }
}

impl<R: Record, D: Decoder<R>> Decode<R, D> {
    /// Takes out of the rows what was rejected of so many lines.
    fn settle<L: Borrow<TextColumn>>(
        &self,
        decoded: &mut DecodedColumns<R>,
        mut rejects: Rejects,
        len: usize,
        lines: impl FnOnce() -> L,
    ) -> Result<()> {
        let rows = own(&mut decoded.rows);
        check_rows(&self.decoder, rows.len(), len)?;
        if rejects.is_empty() {
            rows.freeze();
            self.log.add_rows(len);
            return Ok(());
        }
        let lines = lines();
        rejects.settle(lines.borrow());
        *rows = rows.gather(&rejects.accepted(len));
        rows.freeze();
        *own(&mut decoded.rejects) = rejects.columns(lines.borrow());
        self.log.add_rows(rows.len());
        self.log.add_rejects(lines.borrow(), &rejects)
    }
}

impl<R: Record, D: Decoder<R>> Narrow for Decode<R, D> {
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let lines = columns::<String>(chunk);
        let mut decoded = recycled.take::<DecodedColumns<R>>();
        let mut rejects = Rejects::default();
        reject_cut(lines, self.line_bytes_max, &mut rejects);
        self.decoder.decode(lines, own(&mut own(&mut decoded).rows), &mut rejects)?;
        self.settle(own(&mut decoded), rejects, lines.len(), || lines)?;
        Ok(recycled.lend(decoded))
    }

    fn apply_lines(&self, block: &SharedText, recycled: &mut Recycled) -> Result<Option<AnyChunk>> {
        // Where a line may have been cut, each is looked at.
        let reach = self.line_bytes_max.saturating_sub(CUT_SHORT_MAX + 1);
        if !self.decoder.takes_blocks() || !lines_fit(block.bytes(), reach) {
            return Ok(None);
        }
        let mut decoded = recycled.take::<DecodedColumns<R>>();
        let mut rejects = Rejects::default();
        let rows = own(&mut own(&mut decoded).rows);
        let len = self.decoder.decode_block(&Block(block), rows, &mut rejects)?;
        let lines = || {
            let mut lines = TextColumn::default();
            lines.share_lines(block);
            lines
        };
        self.settle(own(&mut decoded), rejects, len, lines)?;
        Ok(Some(recycled.lend(decoded)))
    }

    fn step(&self) -> Step {
        Step::Named
    }
}

/// Bytes by which a line that was cut may be shorter than the maximum: those of a character that
/// did not fit.
const CUT_SHORT_MAX: usize = 3;

/// Rejects the lines that may have been cut, before anything is read out of what is left of them.
fn reject_cut(lines: &TextColumn, line_bytes_max: usize, rejects: &mut Rejects) {
    for (row, span) in lines.spans().iter().enumerate() {
        let short = line_bytes_max.wrapping_sub(span.len as usize);
        if short <= CUT_SHORT_MAX {
            rejects.push(row, "", Reason::TooLong);
        }
    }
}

/// A decoder of the program's may forget a row.
fn check_rows<R: Record>(decoder: &impl Decoder<R>, rows: usize, lines: usize) -> Result<()> {
    if rows == lines {
        return Ok(());
    }
    let name = decoder.name();
    let message = format!("{name} gave {rows} rows for {lines} lines, but must give one for each");
    Err(Error::new(ErrorKind::Closure, message))
}

/// What became rows.
pub(crate) struct Accepted<R>(pub(crate) PhantomData<fn() -> R>);

/// What did not.
pub(crate) struct Rejected<R>(pub(crate) PhantomData<fn() -> R>);

impl<R: Record> Narrow for Accepted<R> {
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        Ok(columns::<Decoded<R>>(chunk).rows.clone())
    }

    fn step(&self) -> Step {
        Step::Named
    }
}

impl<R: Record> Narrow for Rejected<R> {
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        Ok(columns::<Decoded<R>>(chunk).rejects.clone())
    }

    fn step(&self) -> Step {
        Step::Named
    }
}
