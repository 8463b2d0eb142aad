//! Transformations of a whole batch to fewer rows.

use super::DStream;
use crate::ops::{AnyOperator, CountRows, Operator, Reduce, count_operator};
use crate::plan::Kind;
use crate::record::{Key, Record};

impl<T: Record> DStream<T> {
    /// The number of rows of each batch, as one row; 0 for an empty batch.
    pub fn count(&self) -> DStream<i64> {
        self.wide("count", CountRows::<T>::new())
    }

    /// All rows of each batch as one, by an associative function; nothing for an empty batch.
    pub fn reduce<F>(&self, f: F) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T + Send + Sync + 'static,
    {
        self.wide("reduce", Reduce::<T, F>::new(f))
    }

    /// Each distinct row of a batch and how often it is there, in no particular order.
    ///
    /// After `split` or `split_whitespace` the two run as one kernel, and blocks of lines are
    /// counted as they arrive.
    #[doc(alias = "countByValue")]
    pub fn count_by_value(&self) -> DStream<(T, i64)>
    where
        T: Key,
    {
        let operator = count_operator::<T>(self.context.limits().distinct_keys, 1);
        self.derive("count_by_value", Kind::Wide(operator))
    }

    pub(super) fn wide<U: Record>(&self, name: &str, operator: impl Operator) -> DStream<U> {
        self.derive(name, Kind::Wide(AnyOperator::new(operator)))
    }
}
