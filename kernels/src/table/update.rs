//! Rows into the table. What a row does to its key's number is an [`Update`]; how keys are found is
//! the same for all: batch by batch, and one batch's lines are on their way from memory while
//! the batch before it is looked up.
//!
//! Ids follow the order of rows, because keys are made one by one, in the order of rows.

use super::batch::{BATCH, Batch, Middle, WordOps};
use super::dense_batch::update_dense;
use super::index::SLOTS;
use super::{TableError, TextTable};
use crate::Span;
use crate::multiversion::multiversion;

/// What a row does to its key's number. `row` counts from the start of the call.
pub(super) trait Update {
    /// Does it to `value`, or leaves it as it is unless `found`. False if it would leave its range.
    fn known(&mut self, row: usize, value: &mut i64, found: bool) -> bool;

    /// The value of a new key, before which there were `len`.
    fn first(&mut self, row: usize, len: usize) -> i64;
}

/// Adds one.
pub(super) struct Count;

impl Update for Count {
    #[inline(always)]
    fn known(&mut self, _: usize, value: &mut i64, found: bool) -> bool {
        *value += i64::from(found);
        true
    }

    fn first(&mut self, _: usize, _: usize) -> i64 {
        1
    }
}

/// Adds the row's value.
pub(super) struct Sum<'a> {
    pub(super) values: &'a [i64],
}

impl Update for Sum<'_> {
    #[inline(always)]
    fn known(&mut self, row: usize, value: &mut i64, found: bool) -> bool {
        let addend = if found { self.values[row] } else { 0 };
        match value.checked_add(addend) {
            Some(sum) => {
                *value = sum;
                true
            }
            None => false,
        }
    }

    fn first(&mut self, row: usize, _: usize) -> i64 {
        self.values[row]
    }
}

/// Reads the key's id out.
pub(super) struct Ids<'a> {
    pub(super) out: &'a mut [u32],
}

impl Update for Ids<'_> {
    #[inline(always)]
    fn known(&mut self, row: usize, value: &mut i64, _: bool) -> bool {
        // Writing back what was read looks idle, and keeps the line in the outer cache: on Zen 5
        // lines that leave the L2 clean were found to be dropped (bench `table/ids`).
        *value = std::hint::black_box(*value);
        // Where the key was not found, the row is taken again and written over.
        self.out[row] = *value as u32;
        true
    }

    fn first(&mut self, row: usize, len: usize) -> i64 {
        self.out[row] = u32::try_from(len).expect("fewer than 2^32 keys");
        len as i64
    }
}

/// Takes the rows `spans` of `text`.
pub(super) fn update<U: Update>(
    table: &mut TextTable,
    text: &[u8],
    spans: &[Span],
    update: &mut U,
) -> Result<(), TableError> {
    let first_row = match table.short.dense() {
        None => update_lines_at(table.level, table, text, spans, update)?,
        Some(_) => 0,
    };
    if first_row < spans.len() {
        update_dense_at(table.level, table, text, spans, first_row, update)?;
    }
    Ok(())
}

multiversion! {
    /// Takes rows until the table's short class is dense, and returns how many.
    fn update_lines_at [U: Update] (
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        update: &mut U,
    ) -> Result<usize, TableError>, isa => {
        table.short.open();
        let ops = WordOps {
            keep_first: |words: [u64; 2], len: u32| isa::keep_first(words, len),
            same: |a: &[u64; 2], b: &[u64; 2]| isa::same(a, b),
        };
        let (mut ahead, mut behind) = (&mut Batch::new(), &mut Batch::new());
        let mut middles = [Middle::default(); BATCH];
        let mut first_row = 0;
        let mut before: Option<&[Span]> = None;
        let mut batches = spans.chunks(BATCH);
        loop {
            let batch = batches.next();
            if let Some(batch) = batch {
                ahead.load(table, text, batch, &ops);
            }
            if let Some(before) = before {
                let mut misses = behind.probe(table, text, before, first_row, update, &ops)?;
                if misses != 0 {
                    misses = behind.probe_middles(
                        table, text, before, first_row, misses, &mut middles, update, &ops,
                    )?;
                }
                if misses != 0 {
                    behind.prefetch_misses(table, text, before, misses, &mut middles, &ops);
                    behind.take_misses(table, text, before, first_row, misses, &middles, update)?;
                    if table.short.dense().is_some() {
                        return Ok(first_row + before.len());
                    }
                    ahead.refresh(table);
                }
                first_row += before.len();
            }
            if batch.is_none() {
                return Ok(spans.len());
            }
            before = batch;
            std::mem::swap(&mut ahead, &mut behind);
        }
    }
}

multiversion! {
    /// Takes the rows from `first_row` on into a table whose short class is dense.
    fn update_dense_at [U: Update] (
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        first_row: usize,
        update: &mut U,
    ) -> Result<(), TableError>, isa => {
        let ops = WordOps {
            keep_first: |words: [u64; 2], len: u32| isa::keep_first(words, len),
            same: |a: &[u64; 2], b: &[u64; 2]| isa::same(a, b),
        };
        let equal = |words: &[u32; SLOTS], word: u32| isa::equal_words(words, word);
        update_dense(table, text, spans, first_row, update, &ops, &equal)
    }
}
