//! Partition by partition: mapPartitions, glom and repartition.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Emitter, Narrow};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::recycled::{Recycled, own};
use crate::record::{Columns, ListColumn, Record};

/// All rows of one partition, for `map_partitions`.
pub struct Partition<'a, T: Record> {
    columns: &'a T::Columns,
}

impl<'a, T: Record> Partition<'a, T> {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// All rows in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = T::Ref<'a>> {
        (0..self.columns.len()).map(move |row| self.columns.get(row))
    }

    /// The rows as columns, for kernels of one's own.
    pub fn columns(&self) -> &'a T::Columns {
        self.columns
    }
}

impl<T: Record> Clone for Partition<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Record> Copy for Partition<'_, T> {}

impl<T: Record> fmt::Debug for Partition<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({} rows)", self.len())
    }
}

pub(crate) struct MapPartitions<T, U, F>(F, PhantomData<fn(T) -> U>);

impl<T: Record, U: Record, F> MapPartitions<T, U, F>
where
    F: for<'a> Fn(Partition<'a, T>, &mut Emitter<'_, U>),
{
    pub(crate) fn new(f: F) -> Self {
        MapPartitions(f, PhantomData)
    }
}

impl<T, U, F> Narrow for MapPartitions<T, U, F>
where
    T: Record,
    U: Record,
    F: for<'a> Fn(Partition<'a, T>, &mut Emitter<'_, U>) + Send + Sync + 'static,
{
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let mut emitted = recycled.take::<U::Columns>();
        let out = own(&mut emitted);
        let partition = Partition { columns: columns::<T>(chunk) };
        self.0(partition, &mut Emitter::new(out));
        out.freeze();
        Ok(recycled.lend(emitted))
    }
}

/// Each partition as one list.
pub(crate) struct Glom<T>(PhantomData<fn(T)>);

impl<T: Record> Glom<T> {
    pub(crate) fn new() -> Self {
        Glom(PhantomData)
    }
}

impl<T: Record> Narrow for Glom<T> {
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<T>(chunk);
        let mut list = recycled.take::<ListColumn<T>>();
        let out = own(&mut list);
        out.push_rows(rows, 0..rows.len());
        out.freeze();
        Ok(recycled.lend(list))
    }
}

/// The rows of a batch in their order, in exactly `partitions` parts of about the same size.
pub(crate) fn repartition<T: Record>(chunks: &[AnyChunk], partitions: usize) -> Vec<AnyChunk> {
    let batch = || chunks.iter().map(columns::<T>);
    let len: usize = batch().map(Columns::len).sum();
    let mut rows = batch().flat_map(|columns| (0..columns.len()).map(|row| columns.get(row)));
    let parts = (0..partitions).map(|part| {
        let count = (part + 1) * len / partitions - part * len / partitions;
        let mut columns = T::Columns::default();
        rows.by_ref().take(count).for_each(|row| columns.push(row));
        columns.freeze();
        Arc::new(columns) as AnyChunk
    });
    parts.collect()
}
