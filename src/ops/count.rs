//! count: one row, the number of rows of the batch; 0 for an empty one.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Record, ScalarColumn};

pub(crate) struct CountRows<T> {
    /// An empty batch has no row, and no batch is no error.
    is_zero_silent: bool,
    record: PhantomData<fn(T)>,
}

impl<T: Record> CountRows<T> {
    pub(crate) fn new() -> Self {
        CountRows { is_zero_silent: false, record: PhantomData }
    }

    /// Gives nothing for an empty batch.
    pub(crate) fn without_zero(self) -> Self {
        CountRows { is_zero_silent: true, ..self }
    }
}

impl<T: Record> Operator for CountRows<T> {
    type Partial = i64;

    fn partial(&self) -> i64 {
        0
    }

    fn push(&self, partial: &mut i64, chunk: &AnyChunk) -> Result<()> {
        *partial += columns::<T>(chunk).len() as i64;
        Ok(())
    }

    fn merge(&self, into: &mut i64, later: &mut i64) -> Result<()> {
        *into += *later;
        Ok(())
    }

    fn emit(&self, partial: &mut i64, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut count = reuse::<ScalarColumn<i64>>(last);
        if *partial > 0 || !self.is_zero_silent {
            let columns = Arc::get_mut(&mut count).expect("reuse() gives unshared columns");
            columns.push(*partial);
        }
        Ok(count)
    }

    fn clear(&self, partial: &mut i64) {
        *partial = 0;
    }

    fn held_bytes(&self, _: &mut i64) -> usize {
        0
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn is_vectorised(&self) -> bool {
        true
    }

    fn needs_batch(&self) -> bool {
        !self.is_zero_silent
    }
}
