//! Named aggregates: how the values of a key become one. A file for each family of them.
//!
//! What has to hold for each, `laws.rs` says and checks.

mod count;
mod ends;
mod exact_sum;
mod exact_total;
mod extremes;
mod laws;
mod moments;
mod stats;
mod sum;
mod together;

pub use count::{Count, DistinctCount, DistinctValues};
pub use ends::{First, Last};
pub use exact_total::Total;
pub use extremes::{Candidates, Max, Min, TopK};
pub use laws::{check_laws, check_laws_by};
pub use moments::{Moments, SampleStdDev, SampleVariance, StdDev, Variance};
pub use stats::{Stats, Summary, SummaryColumns, SummaryRef, Tally};
pub use sum::{Mean, Sum};

use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::torn;
use crate::record::{Columns, Record};

/// How the values of a key become one: start, add, merge, finish.
///
/// Adding is associative over merging, so that parts of a batch may be aggregated apart, in the
/// order of the blocks where that shows. [`check_laws`] checks on values of yours that it is so.
///
/// A tuple of up to six aggregates is one that does them all in one pass: `(Min, Mean, Max)` gives
/// three values for each key.
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

    /// The result for a key. An error fails the batch. A key has a value, but in a window that
    /// keeps empty keys, where the partial may be that of no value.
    fn finish(&self, partial: &Self::Partial) -> Result<Self::Output>;

    /// Whether a key without values has a result.
    #[doc(hidden)]
    fn check_nothing(&self) -> Result<()> {
        self.finish(&self.identity()).map(drop)
    }

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

    /// How partials are saved in checkpoints, in words that name what they are of, such as
    /// `min of i64`: what was saved in another form is refused. `None`, as it is by default, if
    /// they cannot be saved; a window of such an aggregate cannot be in a checkpoint.
    fn partial_saved_as(&self) -> Option<String> {
        None
    }

    /// Appends a partial in the form that [`partial_saved_as`](Self::partial_saved_as) names, as
    /// one byte or more.
    fn save_partial(&self, _partial: &Self::Partial, _out: &mut Vec<u8>) {}

    /// Takes a partial that was [saved](Self::save_partial) off the front. It never panics,
    /// whatever the bytes are, and makes no more of them than they can hold.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] for bytes that are no such partial.
    fn load_partial(&self, _from: &mut &[u8]) -> Result<Self::Partial> {
        Err(torn())
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

/// Saves partials that are records of their own, by the words that name them.
macro_rules! saves_record {
    ($partial:ty, $form:expr) => {
        fn partial_saved_as(&self) -> Option<String> {
            $form
        }

        fn save_partial(&self, partial: &$partial, out: &mut Vec<u8>) {
            <$partial as crate::record::Record>::save(
                <$partial as crate::record::Record>::to_ref(partial),
                out,
            );
        }

        fn load_partial(&self, from: &mut &[u8]) -> Result<$partial> {
            <$partial as crate::record::Record>::load(from)
        }
    };
}

use saves_record;

/// The error of those that have nothing to give for a key without values.
fn no_values(what: &str) -> Error {
    Error::new(ErrorKind::State, format!("a key without values has no {what} one"))
}
