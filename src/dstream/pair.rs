//! Streams of pairs: by key, and over values.

use super::DStream;
use super::window::name_of;
use crate::ops::{
    Aggregate, AggregateByKey, Emitter, FlatMapValues, GroupByKey, MapValues, ReduceByKey,
};
use crate::record::{Key, Record};

impl<K: Record, V: Record> DStream<(K, V)> {
    /// Each value through a function; the keys stay.
    #[doc(alias = "mapValues")]
    pub fn map_values<U: Record, F>(&self, f: F) -> DStream<(K, U)>
    where
        F: for<'a> Fn(V::Ref<'a>) -> U + Send + Sync + 'static,
    {
        self.narrow("map_values", MapValues::<K, V, U, F>::new(f))
    }

    /// Each value to any number of values, which the function emits, each with the key.
    #[doc(alias = "flatMapValues")]
    pub fn flat_map_values<U: Record, F>(&self, f: F) -> DStream<(K, U)>
    where
        F: for<'a> Fn(V::Ref<'a>, &mut Emitter<'_, U>) + Send + Sync + 'static,
    {
        self.narrow("flat_map_values", FlatMapValues::<K, V, U, F>::new(f))
    }
}

impl<K: Key, V: Record> DStream<(K, V)> {
    /// The values of each key of a batch as one, by an associative function.
    ///
    /// Values are folded in the order of their arrival.
    /// [`aggregate_by_key`](Self::aggregate_by_key) does the common ones by kernels.
    #[doc(alias = "reduceByKey")]
    pub fn reduce_by_key<F>(&self, f: F) -> DStream<(K, V)>
    where
        F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
    {
        self.wide("reduce_by_key", ReduceByKey::<K, V, F>::new(f, self.keys_max()))
    }

    /// The values of each key of a batch by a named aggregate: [`Count`], [`DistinctCount`],
    /// [`Sum`], [`Mean`], [`Min`], [`Max`], [`TopK`], [`First`], [`Last`], [`Variance`],
    /// [`StdDev`], [`SampleVariance`], [`SampleStdDev`], or an [`Aggregate`] of your own.
    ///
    /// [`Count`]: crate::Count
    /// [`DistinctCount`]: crate::DistinctCount
    /// [`Sum`]: crate::Sum
    /// [`Mean`]: crate::Mean
    /// [`Min`]: crate::Min
    /// [`Max`]: crate::Max
    /// [`TopK`]: crate::TopK
    /// [`First`]: crate::First
    /// [`Last`]: crate::Last
    /// [`Variance`]: crate::Variance
    /// [`StdDev`]: crate::StdDev
    /// [`SampleVariance`]: crate::SampleVariance
    /// [`SampleStdDev`]: crate::SampleStdDev
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let readings = t.input::<(String, f64)>();
    /// let means = readings.stream().aggregate_by_key(Mean);
    /// # let means = t.output(&means);
    /// # readings.push([("a".to_string(), 1.0), ("a".to_string(), 2.0)])?;
    /// # t.tick()?;
    /// # assert_eq!(means.take(), [("a".to_string(), 1.5)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn aggregate_by_key<A: Aggregate<V>>(&self, aggregate: A) -> DStream<(K, A::Output)> {
        let operator = AggregateByKey::<K, V, A>::new(aggregate, self.keys_max());
        self.wide(&format!("aggregate_by_key({})", name_of::<A>()), operator)
    }

    /// All values of each key of a batch, in the order of their arrival.
    #[doc(alias = "groupByKey")]
    pub fn group_by_key(&self) -> DStream<(K, Vec<V>)> {
        self.wide("group_by_key", GroupByKey::<K, V>::new(self.keys_max()))
    }

    pub(super) fn keys_max(&self) -> usize {
        self.context().limits().distinct_keys
    }
}
