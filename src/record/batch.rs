//! A batch: what a stream carries for one batch time, in one or more partitions.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Columns, Record};

/// Columns of one partition, with their type forgotten: operators hand these on.
pub(crate) type AnyChunk = Arc<dyn Chunk>;

/// Columns as those see them who do not know their type.
pub(crate) trait Chunk: Any + Send + Sync {
    /// About how many bytes of memory the rows take.
    fn held_bytes(&self) -> usize;
}

impl<C: Columns> Chunk for C {
    fn held_bytes(&self) -> usize {
        self.byte_len()
    }
}

/// A chunk as what it is, if these are its columns.
pub(crate) fn downcast<C: Columns>(chunk: AnyChunk) -> Option<Arc<C>> {
    let any: Arc<dyn Any + Send + Sync> = chunk;
    any.downcast().ok()
}

/// All rows of a stream for one batch time: the place that the RDD has in Spark.
///
/// A partition is a block of a source, or a part of what an operator made. Cloning shares the
/// columns. A batch that is kept holds its blocks, and a source whose blocks are all held stops
/// reading: copy what you keep.
pub struct Batch<T: Record> {
    chunks: Vec<AnyChunk>,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> Batch<T> {
    pub(crate) fn from_chunks(chunks: Vec<AnyChunk>) -> Batch<T> {
        Batch { chunks, record: PhantomData }
    }

    pub(crate) fn into_chunks(self) -> Vec<AnyChunk> {
        self.chunks
    }

    /// Lends chunks as a batch.
    pub(crate) fn lend<R>(chunks: &mut Vec<AnyChunk>, to: impl FnOnce(&Batch<T>) -> R) -> R {
        let batch = Batch::from_chunks(std::mem::take(chunks));
        let done = to(&batch);
        *chunks = batch.into_chunks();
        done
    }

    /// A batch of these partitions, in this order.
    pub fn from_partitions<P: IntoIterator<Item = T>>(
        partitions: impl IntoIterator<Item = P>,
    ) -> Batch<T> {
        let batches = partitions.into_iter().map(|rows| rows.into_iter().collect::<Batch<T>>());
        Batch::from_chunks(batches.flat_map(Batch::into_chunks).collect())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.partitions().map(Columns::len).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.partitions().all(Columns::is_empty)
    }

    /// The columns of each partition.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = &T::Columns> {
        self.chunks.iter().map(columns::<T>)
    }

    /// All rows, partition by partition.
    pub fn iter(&self) -> impl Iterator<Item = T::Ref<'_>> {
        self.partitions().flat_map(|columns| (0..columns.len()).map(|row| columns.get(row)))
    }

    /// All rows as values.
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().map(T::from_ref).collect()
    }
}

/// The columns in a chunk that a stream of `T` carries.
pub(crate) fn columns<T: Record>(chunk: &AnyChunk) -> &T::Columns {
    let any: &dyn Any = &**chunk;
    any.downcast_ref().expect("the typed streams connect operators of one type only")
}

/// A chunk that holds no block and wastes no memory, and its bytes: the same chunk if that is so
/// already.
pub(crate) fn detach<T: Record>(chunk: &AnyChunk) -> (AnyChunk, usize) {
    let rows = columns::<T>(chunk);
    let bytes = rows.byte_len();
    if !rows.is_borrowed() {
        return (chunk.clone(), bytes);
    }
    let mut own = T::Columns::default();
    for row in 0..rows.len() {
        own.push(rows.get(row));
    }
    own.freeze();
    (Arc::new(own), bytes)
}

impl<T: Record> FromIterator<T> for Batch<T> {
    /// A batch of one partition.
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Batch<T> {
        let mut columns = T::Columns::default();
        for row in rows {
            columns.push_owned(row);
        }
        columns.freeze();
        Batch::from_chunks(vec![Arc::new(columns)])
    }
}

impl<T: Record> Clone for Batch<T> {
    fn clone(&self) -> Self {
        Batch::from_chunks(self.chunks.clone())
    }
}

impl<T: Record> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} rows in {} partitions)", self.len(), self.chunks.len())
    }
}
