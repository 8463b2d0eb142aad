//! Named aggregates by key: dense ids, and a vector of partial results indexed by id.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_kernels::grouped;

use super::{AnyOperator, Operator, Step, count_operator, reuse};
use crate::error::{Error, ErrorKind, Result};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, Record};

/// How the values of a key become one: start, add, merge, finish.
///
/// Adding is associative over merging, so that parts of a batch may be aggregated apart, in the
/// order of the blocks where that shows.
pub trait Aggregate<V: Record>: Send + Sync + 'static {
    /// What is kept for a key.
    type Partial: Clone + Send + Sync + 'static;
    /// What comes out for a key.
    type Output: Record;

    /// The partial of no value.
    fn identity(&self) -> Self::Partial;

    /// Adds a value. An error fails the batch.
    fn add(&self, partial: &mut Self::Partial, value: V::Ref<'_>) -> Result<()>;

    /// Adds what came later to what came before.
    fn merge(&self, into: &mut Self::Partial, later: &Self::Partial) -> Result<()>;

    /// The result for a key. An error fails the batch.
    fn finish(&self, partial: &Self::Partial) -> Result<Self::Output>;

    /// Adds the value of each row to the partial that the row's id names.
    fn add_rows(
        &self,
        partials: &mut [Self::Partial],
        ids: &[u32],
        values: &V::Columns,
    ) -> Result<()> {
        for (row, &id) in ids.iter().enumerate() {
            self.add(&mut partials[id as usize], values.get(row))?;
        }
        Ok(())
    }

    /// Whether [`unmerge`](Self::unmerge) undoes [`merge`](Self::merge) exactly, so that a window
    /// may take out what leaves it. Floats do not: they round.
    fn is_invertible(&self) -> bool {
        false
    }

    /// Takes what came first out of `from` again. Called only if
    /// [`is_invertible`](Self::is_invertible) says so.
    fn unmerge(&self, _from: &mut Self::Partial, _first: &Self::Partial) -> Result<()> {
        unreachable!("only for aggregates that are invertible")
    }

    /// Bytes that a partial holds, so that windows can keep within their maximum.
    fn byte_len(&self, _partial: &Self::Partial) -> usize {
        size_of::<Self::Partial>()
    }

    /// Whether the order of the values may show in the result's bits, as in sums of floats.
    fn is_ordered(&self) -> bool {
        false
    }

    /// What one row adds to a plain count of rows, if the result is that count times a weight when
    /// every row has the same value (given, if it is an `i64`).
    #[doc(hidden)]
    fn weight(&self, _constant: Option<i64>) -> Option<i64> {
        None
    }
}

/// The number of values of each key.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Count;

/// The sum of each key's values: integers as `i64`, where an overflow fails the batch; floats as
/// `f64`, added in the order of the blocks, so that any number of threads gives the same bits.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum;

/// The least value of each key; of floats by `total_cmp`, so that NaN is the greatest.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Min;

/// The greatest value of each key; of floats by `total_cmp`, so that NaN is the greatest.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Max;

/// The mean of each key's values, as `f64`: of integers the exact sum divided once.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Mean;

impl<V: Record> Aggregate<V> for Count {
    type Partial = i64;
    type Output = i64;

    fn identity(&self) -> i64 {
        0
    }

    fn add(&self, partial: &mut i64, _: V::Ref<'_>) -> Result<()> {
        *partial += 1;
        Ok(())
    }

    fn merge(&self, into: &mut i64, later: &i64) -> Result<()> {
        *into += later;
        Ok(())
    }

    fn finish(&self, partial: &i64) -> Result<i64> {
        Ok(*partial)
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn unmerge(&self, from: &mut i64, first: &i64) -> Result<()> {
        *from -= first;
        Ok(())
    }

    fn add_rows(&self, partials: &mut [i64], ids: &[u32], _: &V::Columns) -> Result<()> {
        grouped::count(partials, ids);
        Ok(())
    }

    fn weight(&self, _: Option<i64>) -> Option<i64> {
        Some(1)
    }
}

fn sum_overflow(sum: i128) -> Error {
    let message = format!("the sum of a key is {sum}, which does not fit an i64");
    Error::new(ErrorKind::Overflow, message)
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Aggregate<$int> for Sum {
            // Wider than any sum of rows in memory: whether the batch fails does not depend on the
            // order in which its parts were added.
            type Partial = i128;
            type Output = i64;

            fn identity(&self) -> i128 {
                0
            }

            fn add(&self, partial: &mut i128, value: $int) -> Result<()> {
                *partial += i128::from(value);
                Ok(())
            }

            fn merge(&self, into: &mut i128, later: &i128) -> Result<()> {
                *into += later;
                Ok(())
            }

            fn finish(&self, partial: &i128) -> Result<i64> {
                i64::try_from(*partial).map_err(|_| sum_overflow(*partial))
            }

            fn is_invertible(&self) -> bool {
                true
            }

            fn unmerge(&self, from: &mut i128, first: &i128) -> Result<()> {
                *from -= first;
                Ok(())
            }

            fn weight(&self, constant: Option<i64>) -> Option<i64> {
                constant
            }
        }

        impl Aggregate<$int> for Mean {
            type Partial = (i128, i64);
            type Output = f64;

            fn identity(&self) -> (i128, i64) {
                (0, 0)
            }

            fn add(&self, partial: &mut (i128, i64), value: $int) -> Result<()> {
                *partial = (partial.0 + i128::from(value), partial.1 + 1);
                Ok(())
            }

            fn merge(&self, into: &mut (i128, i64), later: &(i128, i64)) -> Result<()> {
                *into = (into.0 + later.0, into.1 + later.1);
                Ok(())
            }

            fn finish(&self, partial: &(i128, i64)) -> Result<f64> {
                Ok(partial.0 as f64 / partial.1 as f64)
            }

            fn is_invertible(&self) -> bool {
                true
            }

            fn unmerge(&self, from: &mut (i128, i64), first: &(i128, i64)) -> Result<()> {
                *from = (from.0 - first.0, from.1 - first.1);
                Ok(())
            }
        }

        extremes!($int, <$int>::MAX, <$int>::MIN);
    )*};
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Aggregate<$float> for Sum {
            type Partial = f64;
            type Output = f64;

            fn identity(&self) -> f64 {
                // The one zero that changes no value that is added to it.
                -0.0
            }

            fn add(&self, partial: &mut f64, value: $float) -> Result<()> {
                *partial += f64::from(value);
                Ok(())
            }

            fn merge(&self, into: &mut f64, later: &f64) -> Result<()> {
                *into += later;
                Ok(())
            }

            fn finish(&self, partial: &f64) -> Result<f64> {
                Ok(*partial)
            }

            fn is_ordered(&self) -> bool {
                true
            }
        }

        impl Aggregate<$float> for Mean {
            type Partial = (f64, i64);
            type Output = f64;

            fn identity(&self) -> (f64, i64) {
                (-0.0, 0)
            }

            fn add(&self, partial: &mut (f64, i64), value: $float) -> Result<()> {
                *partial = (partial.0 + f64::from(value), partial.1 + 1);
                Ok(())
            }

            fn merge(&self, into: &mut (f64, i64), later: &(f64, i64)) -> Result<()> {
                *into = (into.0 + later.0, into.1 + later.1);
                Ok(())
            }

            fn finish(&self, partial: &(f64, i64)) -> Result<f64> {
                Ok(partial.0 / partial.1 as f64)
            }

            fn is_ordered(&self) -> bool {
                true
            }
        }

        // The ends of the total order are the NaNs of all ones.
        extremes!($float, <$float>::from_bits(!0 >> 1), <$float>::from_bits(!0));
    )*};
}

macro_rules! extremes {
    ($value:ty, $greatest:expr, $least:expr) => {
        extreme!(Min, $value, $greatest, is_lt);
        extreme!(Max, $value, $least, is_gt);
    };
}

macro_rules! extreme {
    ($name:ty, $value:ty, $identity:expr, $wins:ident) => {
        impl Aggregate<$value> for $name {
            type Partial = $value;
            type Output = $value;

            fn identity(&self) -> $value {
                $identity
            }

            fn add(&self, partial: &mut $value, value: $value) -> Result<()> {
                if value.order(partial).$wins() {
                    *partial = value;
                }
                Ok(())
            }

            fn merge(&self, into: &mut $value, later: &$value) -> Result<()> {
                Aggregate::<$value>::add(self, into, *later)
            }

            fn finish(&self, partial: &$value) -> Result<$value> {
                Ok(*partial)
            }
        }
    };
}

/// The order of minima and maxima: total, of floats too.
trait TotalOrder {
    fn order(&self, other: &Self) -> std::cmp::Ordering;
}

macro_rules! total_order {
    ($cmp:ident: $($scalar:ty),*) => {$(
        impl TotalOrder for $scalar {
            fn order(&self, other: &Self) -> std::cmp::Ordering {
                self.$cmp(other)
            }
        }
    )*};
}

total_order!(cmp: i8, i16, i32, i64, u16, u32, u64);
total_order!(total_cmp: f32, f64);
integers!(i8, i16, i32, i64, u16, u32, u64);
floats!(f32, f64);

pub(crate) struct AggregateByKey<K, V, A> {
    aggregate: A,
    keys_max: usize,
    pair: PhantomData<fn(K, V)>,
}

pub(crate) struct Aggregates<K: Key, P> {
    groups: K::Groups,
    partials: Vec<P>,
    // Scratch.
    ids: Vec<u32>,
}

impl<K: Key, V: Record, A: Aggregate<V>> AggregateByKey<K, V, A> {
    pub(crate) fn new(aggregate: A, keys_max: usize) -> Self {
        AggregateByKey { aggregate, keys_max, pair: PhantomData }
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> Operator for AggregateByKey<K, V, A> {
    type Partial = Aggregates<K, A::Partial>;

    fn partial(&self) -> Self::Partial {
        Aggregates { groups: K::Groups::new(self.keys_max), partials: vec![], ids: vec![] }
    }

    fn push(&self, partial: &mut Self::Partial, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        partial.ids.clear();
        partial.groups.ids(&pairs.members.0, &mut partial.ids)?;
        partial.partials.resize(partial.groups.len(), self.aggregate.identity());
        self.aggregate.add_rows(&mut partial.partials, &partial.ids, &pairs.members.1)
    }

    fn merge(&self, into: &mut Self::Partial, later: &mut Self::Partial) -> Result<()> {
        let mut keys = K::Columns::default();
        later.groups.keys(&mut keys);
        into.ids.clear();
        into.groups.ids(&keys, &mut into.ids)?;
        into.partials.resize(into.groups.len(), self.aggregate.identity());
        for (&id, later) in into.ids.iter().zip(&later.partials) {
            self.aggregate.merge(&mut into.partials[id as usize], later)?;
        }
        Ok(())
    }

    fn emit(&self, partial: &mut Self::Partial, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut pairs = reuse::<<(K, A::Output) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns");
        partial.groups.keys(&mut columns.members.0);
        for partial in &partial.partials {
            columns.members.1.push_owned(self.aggregate.finish(partial)?);
        }
        Ok(pairs)
    }

    fn clear(&self, partial: &mut Self::Partial) {
        partial.groups.clear();
        partial.partials.clear();
    }

    fn is_ordered(&self) -> bool {
        self.aggregate.is_ordered()
    }

    fn is_vectorised(&self) -> bool {
        true
    }

    fn fuse(&self, step: Step) -> Option<AnyOperator> {
        let Step::PairWith(constant) = step else { return None };
        let weight = self.aggregate.weight(constant)?;
        Some(count_operator::<K>(self.keys_max, weight))
    }
}
