//! Narrow transformations: row by row, in order, within each partition.

use std::sync::Arc;

use tidemill_kernels::Split;

use super::DStream;
use crate::config::PARTITIONS_MAX;
use crate::error::{BoxError, Error, ErrorKind};
use crate::ops::{
    Emitter, Filter, FlatMap, Glom, Map, MapPartitions, Narrow, PairWith, Pairs, Partition,
    SplitText, repartition,
};
use crate::plan::Kind;
use crate::record::batch::AnyChunk;
use crate::record::{Batch, Column, Record};
use crate::time::Time;

impl<T: Record> DStream<T> {
    /// Each row through a function.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let lines = t.input::<String>();
    /// let lengths = lines.stream().map(|line| line.len() as i64);
    /// # let lengths = t.output(&lengths);
    /// # lines.push(["a", "bcd"])?;
    /// # t.tick()?;
    /// # assert_eq!(lengths.take(), [1, 3]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn map<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: for<'a> Fn(T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        self.narrow("map", Map::<T, U, F>::new(f))
    }

    /// Each row to any number of rows, which the function emits.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let lines = t.input::<String>();
    /// let words = lines.stream().flat_map::<String, _>(|line, out| {
    ///     for word in line.split(' ') {
    ///         out.push(word);
    ///     }
    /// });
    /// # let words = t.output(&words);
    /// # lines.push(["a b", "c"])?;
    /// # t.tick()?;
    /// # assert_eq!(words.take(), ["a", "b", "c"]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "flatMap")]
    pub fn flat_map<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: for<'a> Fn(T::Ref<'a>, &mut Emitter<'_, U>) + Send + Sync + 'static,
    {
        self.narrow("flat_map", FlatMap::<T, U, F>::new(f))
    }

    /// The rows for which the function says so.
    pub fn filter<F>(&self, f: F) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        self.narrow("filter", Filter::<T, F>::new(f))
    }

    /// Each row as the key of one and the same value: `words.pair_with(1i64)`.
    pub fn pair_with<V: Record>(&self, value: V) -> DStream<(T, V)> {
        self.narrow("pair_with", PairWith::<T, V>::new(value))
    }

    /// Two fields of each row, as a key and its value; nothing is allocated for a row.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// #[derive(Record)]
    /// struct Reading {
    ///     station: String,
    ///     celsius: f64,
    /// }
    ///
    /// let mut t = TestContext::new()?;
    /// let lines = t.input::<String>();
    /// let readings = lines.stream().decode::<Reading>(Delimited::new(b';'));
    /// let means = readings.pairs(Reading::STATION, Reading::CELSIUS).aggregate_by_key(Mean);
    /// let means = t.output(&means);
    /// lines.push(["oslo;-3.5", "rome;9.0", "oslo;-4.5"])?;
    /// t.tick()?;
    /// assert_eq!(means.take_sorted(), [("oslo".to_owned(), -4.0), ("rome".to_owned(), 9.0)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn pairs<K: Record, V: Record>(
        &self,
        key: Column<T, K>,
        value: Column<T, V>,
    ) -> DStream<(K, V)> {
        let name = format!("pairs({}, {})", key.name(), value.name());
        self.narrow(name, Pairs { key, value })
    }

    /// Each partition through a function that emits any number of rows; it is called for empty
    /// partitions, too.
    ///
    /// A partition is a block of a source, or a part of what an operator made.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let numbers = t.input::<i64>();
    /// let numbers_of = numbers.stream();
    /// let sums = numbers_of.map_partitions::<i64, _>(|rows, out| out.push(rows.iter().sum()));
    /// # let sums = t.output(&sums);
    /// # numbers.push_batch(Batch::from_partitions([vec![1i64, 2], vec![3], vec![]]))?;
    /// # t.tick()?;
    /// # assert_eq!(sums.take(), [3, 3, 0]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "mapPartitions")]
    pub fn map_partitions<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: for<'a> Fn(Partition<'a, T>, &mut Emitter<'_, U>) + Send + Sync + 'static,
    {
        self.narrow("map_partitions", MapPartitions::<T, U, F>::new(f))
    }

    /// Each partition as one row, the list of its rows.
    pub fn glom(&self) -> DStream<Vec<T>> {
        self.narrow("glom", Glom::<T>::new())
    }

    /// The same rows in the same order, in exactly so many partitions of about the same size.
    ///
    /// A batch fails if this stream has none for its time. `start` fails unless the number is from
    /// 1 to 65,536.
    pub fn repartition(&self, partitions: usize) -> DStream<T> {
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let message =
                format!("partitions is {partitions}, but must be between 1 and {PARTITIONS_MAX}");
            self.context.misused(Error::new(ErrorKind::Config, message));
        }
        let f = move |batches: Vec<Vec<_>>, _| Ok(repartition::<T>(&batches[0], partitions));
        self.derive(format!("repartition({partitions})"), Kind::Transform(Arc::new(f)))
    }

    /// The rows of this stream, and then those of another, batch by batch. Duplicates stay.
    ///
    /// A batch fails if one of the two has none for its time. Streams of two contexts, or with
    /// different slides, cannot be united: `start` says so.
    pub fn union(&self, other: &DStream<T>) -> DStream<T> {
        self.combine("union", [other], Kind::Union)
    }

    /// Each batch through a function of the whole batch and its time; an error fails the batch.
    ///
    /// It is called once for each batch, on the thread that runs the batches, so what it captures
    /// may change between two calls. A batch fails if this stream has none for its time.
    pub fn transform<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: Fn(Batch<T>, Time) -> Result<Batch<U>, BoxError> + Send + Sync + 'static,
    {
        let f = move |chunks: Vec<_>, time: Time| {
            let batches = chunks.into_iter().map(Batch::from_chunks);
            given_out(batches.map(|batch| f(batch, time)).next())
        };
        self.derive("transform", Kind::Transform(Arc::new(f)))
    }

    /// Each batch of this stream and of another through a function of both, as in
    /// [`transform`](Self::transform).
    #[doc(alias = "transformWith")]
    pub fn transform_with<U: Record, R: Record, F>(&self, other: &DStream<U>, f: F) -> DStream<R>
    where
        F: Fn(Batch<T>, Batch<U>, Time) -> Result<Batch<R>, BoxError> + Send + Sync + 'static,
    {
        let f = move |chunks: Vec<_>, time: Time| {
            let mut chunks = chunks.into_iter();
            let both = chunks.next().zip(chunks.next());
            let both =
                both.map(|(left, right)| (Batch::from_chunks(left), Batch::from_chunks(right)));
            given_out(both.map(|(left, right)| f(left, right, time)))
        };
        self.combine("transform_with", [other], Kind::Transform(Arc::new(f)))
    }

    /// This stream and others united, in this order.
    pub(crate) fn union_all(&self, others: &[DStream<T>]) -> DStream<T> {
        self.combine("union", others, Kind::Union)
    }

    /// The batches of this stream and of others through a function of all of them.
    pub(crate) fn transform_all<U: Record, F>(&self, others: &[DStream<T>], f: F) -> DStream<U>
    where
        F: Fn(Vec<Batch<T>>, Time) -> Result<Batch<U>, BoxError> + Send + Sync + 'static,
    {
        let f = move |chunks: Vec<_>, time: Time| {
            let batches = chunks.into_iter().map(Batch::from_chunks).collect();
            given_out(Some(f(batches, time)))
        };
        self.combine("transform", others, Kind::Transform(Arc::new(f)))
    }

    pub(crate) fn narrow<U: Record>(
        &self,
        name: impl Into<String>,
        operator: impl Narrow,
    ) -> DStream<U> {
        self.derive(name, Kind::Narrow(Arc::new(operator)))
    }
}

/// What a function of whole batches gave, for the engine.
fn given_out<U: Record>(
    result: Option<Result<Batch<U>, BoxError>>,
) -> Result<Vec<AnyChunk>, Error> {
    match result.expect("a transform is called with a batch of each of its parents") {
        Ok(batch) => Ok(batch.into_chunks()),
        Err(error) => Err(Error::caused(ErrorKind::Closure, "the closure failed", error)),
    }
}

impl DStream<String> {
    /// The pieces of each row between separators, by a kernel; empty ones are kept.
    ///
    /// As Python's `str.split(sep)`: `"a,,b"` has three pieces, and an empty row has one, empty.
    ///
    /// # Panics
    ///
    /// If the separator is not ASCII: it would cut characters in two.
    pub fn split(&self, separator: u8) -> DStream<String> {
        assert!(
            separator.is_ascii(),
            "separator is byte {separator}, but must be ASCII (0 to 127)"
        );
        let name = format!("split({:?})", char::from(separator));
        self.narrow(name, SplitText(Split::Byte(separator)))
    }

    /// The words of each row between white space, by a kernel; there are no empty ones.
    ///
    /// White space is Unicode's, as in `str::split_whitespace`.
    pub fn split_whitespace(&self) -> DStream<String> {
        self.narrow("split_whitespace", SplitText(Split::Whitespace))
    }
}
