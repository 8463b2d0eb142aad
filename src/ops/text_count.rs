//! Counting text: split, hash and count in one pass over a block, with no word column in between.
//!
//! It is also the sum of a constant by key, since that is the count times the constant.

use std::sync::Arc;

use tidemill_kernels::{Split, TextTable};

use super::count_by_value::weigh;
use super::{AnyOperator, Operator, Step, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::block::SharedText;
use crate::record::{Record, check_keys, table_error};

pub(crate) struct TextCount {
    keys_max: usize,
    /// What one occurrence adds.
    weight: i64,
    /// How rows are split first, when that step was fused.
    split: Option<Split>,
}

impl TextCount {
    pub(crate) fn new(keys_max: usize, weight: i64) -> TextCount {
        TextCount { keys_max, weight, split: None }
    }
}

impl Operator for TextCount {
    type Partial = TextTable;

    fn partial(&self) -> TextTable {
        TextTable::new(self.keys_max)
    }

    fn push(&self, table: &mut TextTable, chunk: &AnyChunk) -> Result<()> {
        let text = columns::<String>(chunk);
        let counted = match self.split {
            Some(split) => table.count_rows(text.bytes(), text.spans(), split),
            None => table.count(text.bytes(), text.spans()),
        };
        counted.map_err(table_error)
    }

    fn push_lines(&self, table: &mut TextTable, block: &SharedText) -> Result<()> {
        let split = self.split.expect("takes_lines() saw one");
        table.count_lines(block.bytes(), split).map_err(table_error)
    }

    fn takes_lines(&self) -> bool {
        self.split.is_some()
    }

    fn merge(&self, into: &mut TextTable, later: &mut TextTable) -> Result<()> {
        into.merge(later).map_err(table_error)
    }

    fn emit(&self, table: &mut TextTable, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut pairs = reuse::<<(String, i64) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns");
        let (text, spans) = columns.members.0.parts_mut();
        let counts = columns.members.1.values_mut();
        table.emit(text, spans, counts);
        check_keys(text);
        weigh(counts, self.weight)?;
        Ok(pairs)
    }

    fn clear(&self, table: &mut TextTable) {
        table.clear();
    }

    fn held_bytes(&self, table: &mut TextTable) -> usize {
        table.memory_bytes()
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn is_vectorised(&self) -> bool {
        true
    }

    fn fuse(&self, step: Step) -> Option<AnyOperator> {
        match (step, self.split) {
            (Step::Split(split), None) => {
                let TextCount { keys_max, weight, .. } = *self;
                Some(AnyOperator::new(TextCount { keys_max, weight, split: Some(split) }))
            }
            _ => None,
        }
    }
}
