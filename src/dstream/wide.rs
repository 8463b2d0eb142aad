//! Transformations of a whole batch: to fewer rows, or to rows in order.

use std::cmp::Ordering;

use super::DStream;
use crate::ops::{AnyOperator, CountRows, Operator, Order, Reduce, Sort, Top, count_operator};
use crate::plan::Kind;
use crate::record::{Key, Ordered, Record};

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

    /// The rows of each batch from the least to the greatest, in the order of [`Ordered`].
    ///
    /// Rows that tie and yet differ stay in the order of their arrival.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let words = t.input::<String>();
    /// let counts = words.stream().count_by_value().sorted();
    /// # let counts = t.output(&counts);
    /// # words.push(["b", "a", "b"])?;
    /// # t.tick()?;
    /// # assert_eq!(counts.take(), [("a".to_string(), 1), ("b".to_string(), 2)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "sortByKey")]
    pub fn sorted(&self) -> DStream<T>
    where
        T: Ordered,
    {
        self.wide("sorted", Sort::<T, _>::new(by_rows::<T>()))
    }

    /// The rows of each batch from the least to the greatest, by an order of your own.
    ///
    /// Rows that tie stay in the order of their arrival. The closure has to be a total order;
    /// where it contradicts itself, the batch may fail.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let words = t.input::<String>();
    /// let counts = words.stream().count_by_value();
    /// // The most frequent first, and among those of the same count by the alphabet.
    /// let ranking = counts.sort_by(|(word_a, count_a), (word_b, count_b)| {
    ///     count_b.cmp(&count_a).then(word_a.cmp(word_b))
    /// });
    /// # let ranking = t.output(&ranking);
    /// # words.push(["c", "a", "b", "b"])?;
    /// # t.tick()?;
    /// # let pair = |word: &str, count: i64| (word.to_string(), count);
    /// # assert_eq!(ranking.take(), [pair("b", 2), pair("a", 1), pair("c", 1)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "sortBy")]
    pub fn sort_by<F>(&self, f: F) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.wide("sort_by", Sort::<T, F>::new(by_closure(f)))
    }

    /// The `n` greatest rows of each batch, the greatest first, in the order of [`Ordered`]; all
    /// of them if there are fewer.
    ///
    /// It keeps about twice as many rows while it reads, so that it is cheaper than to sort all.
    /// Equal rows are all given. Rows that tie and yet differ stay in the order of their arrival,
    /// and those that came first go before those that came later where not all have room.
    #[doc(alias = "takeOrdered")]
    pub fn top(&self, n: usize) -> DStream<T>
    where
        T: Ordered,
    {
        self.wide(&format!("top({n})"), Top::<T, _>::new(n, by_rows::<T>()))
    }

    /// The `n` greatest rows of each batch, the greatest first, by an order of your own.
    ///
    /// Rows that tie stay in the order of their arrival, and those that came first go before those
    /// that came later where not all have room. The closure has to be a total order; where it
    /// contradicts itself, the batch may fail.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let words = t.input::<String>();
    /// let most_frequent = words.stream().count_by_value().top_by(1, |(_, a), (_, b)| a.cmp(&b));
    /// # let most_frequent = t.output(&most_frequent);
    /// # words.push(["a", "b", "b"])?;
    /// # t.tick()?;
    /// # assert_eq!(most_frequent.take(), [("b".to_string(), 2)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn top_by<F>(&self, n: usize, f: F) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.wide(&format!("top_by({n})"), Top::<T, F>::new(n, by_closure(f)))
    }

    pub(crate) fn wide<U: Record>(&self, name: &str, operator: impl Operator) -> DStream<U> {
        self.derive(name, Kind::Wide(AnyOperator::new(operator)))
    }
}

/// The order that the rows have by themselves.
fn by_rows<T: Ordered>() -> Order<impl for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> Ordering> {
    Order { compare: T::order, ties_show: T::TIES_SHOW, is_closure: false }
}

fn by_closure<F>(compare: F) -> Order<F> {
    Order { compare, ties_show: true, is_closure: true }
}
