//! reduce: one row, the fold of all rows in order; none for an empty batch.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Record};

pub(crate) struct Reduce<T, F>(F, PhantomData<fn(T) -> T>);

impl<T: Record, F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T> Reduce<T, F> {
    pub(crate) fn new(f: F) -> Self {
        Reduce(f, PhantomData)
    }
}

impl<T, F> Operator for Reduce<T, F>
where
    T: Record,
    F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T + Send + Sync + 'static,
{
    type Partial = Option<T>;

    fn partial(&self) -> Option<T> {
        None
    }

    fn push(&self, partial: &mut Option<T>, chunk: &AnyChunk) -> Result<()> {
        let rows = columns::<T>(chunk);
        for row in 0..rows.len() {
            let row = rows.get(row);
            *partial = Some(match partial {
                Some(folded) => self.0(folded.to_ref(), row),
                None => T::from_ref(row),
            });
        }
        Ok(())
    }

    fn merge(&self, into: &mut Option<T>, later: &mut Option<T>) -> Result<()> {
        *into = match (into.take(), later.take()) {
            (Some(into), Some(later)) => Some(self.0(into.to_ref(), later.to_ref())),
            (into, later) => into.or(later),
        };
        Ok(())
    }

    fn emit(&self, partial: &mut Option<T>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut reduced = reuse::<T::Columns>(last);
        let columns = Arc::get_mut(&mut reduced).expect("reuse() gives unshared columns");
        if let Some(row) = partial.take() {
            columns.push_owned(row);
        }
        Ok(reduced)
    }

    fn clear(&self, partial: &mut Option<T>) {
        *partial = None;
    }

    fn held_bytes(&self, partial: &mut Option<T>) -> usize {
        partial.as_ref().map_or(0, |row| T::byte_len(row.to_ref()))
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn is_vectorised(&self) -> bool {
        false
    }
}
