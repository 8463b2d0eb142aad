//! Streams of pairs: by key, and over values.

use std::sync::Arc;

use super::DStream;
use super::window::name_of;
use crate::ops::{
    Aggregate, AggregateByKey, Combine, Count, Emitter, FlatMapValues, Fold, GroupByKey, MapValues,
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
        let fold = Fold { reduce: Arc::new(f), inverse: None };
        self.wide("reduce_by_key", AggregateByKey::<K, V, _>::of_closure(fold, self.keys_max()))
    }

    /// The values of each key of a batch as one of another type, by three functions: one makes a
    /// combiner of a key's first value, one adds a value to a combiner, and one merges two of them.
    ///
    /// Parts of a batch are combined apart and then merged, values and parts in the order of their
    /// arrival. Where the program does the same in several places,
    /// [`aggregate_by_key`](Self::aggregate_by_key) with an [`Aggregate`] of its own gives that a
    /// name, and changes what it keeps in place.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let words = t.input::<(i64, String)>();
    /// // The number of words of each key, and how long they are together.
    /// let lengths = words.stream().combine_by_key::<(i64, i64), _, _, _>(
    ///     |word| (1, word.len() as i64),
    ///     |(count, total), word| (count + 1, total + word.len() as i64),
    ///     |(count_a, total_a), (count_b, total_b)| (count_a + count_b, total_a + total_b),
    /// );
    /// # let lengths = t.output(&lengths);
    /// # words.push([(1, "a".to_string()), (1, "bcd".to_string())])?;
    /// # t.tick()?;
    /// # assert_eq!(lengths.take(), [(1, (2, 4))]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "combineByKey")]
    pub fn combine_by_key<C, F, G, H>(
        &self,
        create: F,
        merge_value: G,
        merge_combiners: H,
    ) -> DStream<(K, C)>
    where
        C: Record,
        F: for<'a> Fn(V::Ref<'a>) -> C + Send + Sync + 'static,
        G: for<'a> Fn(C::Ref<'a>, V::Ref<'a>) -> C + Send + Sync + 'static,
        H: for<'a> Fn(C::Ref<'a>, C::Ref<'a>) -> C + Send + Sync + 'static,
    {
        let combine = Combine::<V, C, F, G, H>::new(create, merge_value, merge_combiners);
        let operator = AggregateByKey::<K, V, _>::of_closure(combine, self.keys_max());
        self.wide("combine_by_key", operator)
    }

    /// The number of values of each key of a batch, in no particular order: `aggregate_by_key` with
    /// [`Count`], under the name that Spark's users look for.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let orders = t.input::<(String, f64)>();
    /// let counts = orders.stream().count_by_key();
    /// # let counts = t.output(&counts);
    /// # orders.push([("a".to_string(), 1.0), ("a".to_string(), 2.0)])?;
    /// # t.tick()?;
    /// # assert_eq!(counts.take(), [("a".to_string(), 2)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "countByKey")]
    pub fn count_by_key(&self) -> DStream<(K, i64)> {
        let operator = AggregateByKey::<K, V, _>::new(Count, self.keys_max());
        self.wide("count_by_key", operator)
    }

    /// The values of each key of a batch by a named aggregate: [`Count`], [`DistinctCount`],
    /// [`Sum`], [`Mean`], [`Min`], [`Max`], [`TopK`], [`First`], [`Last`], [`Variance`],
    /// [`StdDev`], [`SampleVariance`], [`SampleStdDev`], or an [`Aggregate`] of your own.
    ///
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
    /// // Several in one pass.
    /// let ranges = readings.stream().aggregate_by_key((Min, Mean, Max));
    /// # let (means, ranges) = (t.output(&means), t.output(&ranges));
    /// # readings.push([("a".to_string(), 1.0), ("a".to_string(), 2.0)])?;
    /// # t.tick()?;
    /// # assert_eq!(means.take(), [("a".to_string(), 1.5)]);
    /// # assert_eq!(ranges.take(), [("a".to_string(), (1.0, 1.5, 2.0))]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "aggregateByKey")]
    pub fn aggregate_by_key<A: Aggregate<V>>(&self, aggregate: A) -> DStream<(K, A::Output)> {
        let operator = AggregateByKey::<K, V, A>::new(aggregate, self.keys_max());
        self.wide(&format!("aggregate_by_key({})", name_of::<A>()), operator)
    }

    /// All values of each key of a batch, in the order of their arrival.
    #[doc(alias = "groupByKey")]
    pub fn group_by_key(&self) -> DStream<(K, Vec<V>)> {
        self.wide("group_by_key", GroupByKey::<K, V>::new(self.keys_max()))
    }

    pub(crate) fn keys_max(&self) -> usize {
        self.context().limits().distinct_keys
    }
}
