//! Variances and standard deviations, by a mean that moves with the values.
//!
//! A sum of squares less the square of the sum loses all digits where the values are large beside
//! their spread. So each value moves the mean, and adds to the squared distances from it what
//! Welford found ("Note on a method for calculating corrected sums of squares and products",
//! Technometrics 4, 1962); two parts are merged by the formula of Chan, Golub and LeVeque
//! ("Algorithms for computing the sample variance", The American Statistician 37, 1983).

use super::Aggregate;
use crate::error::Result;
use crate::record::Record;

/// The variance of each key's values as `f64`: the mean of the squared distances from their mean.
///
/// 0 for one value. NaN where NaN or an infinity is among the values. Integers past 2^53 are
/// rounded to `f64` first. Values are added in the order of the blocks, so that any number of
/// threads gives the same bits.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "variance")]
pub struct Variance;

/// The standard deviation of each key's values as `f64`: the square root of [`Variance`].
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "stdev")]
pub struct StdDev;

/// The variance that each key's values let one expect of all there could be, as `f64`: the sum of
/// the squared distances from their mean, divided by one less than their number.
///
/// NaN for one value, which says nothing of a spread; for the rest see [`Variance`].
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "sampleVariance")]
pub struct SampleVariance;

/// The square root of [`SampleVariance`] as `f64`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "sampleStdev")]
pub struct SampleStdDev;

/// What is kept of a key's values for its variance.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Moments {
    count: i64,
    mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn merge(&mut self, later: &Moments) {
        if self.count == 0 || later.count == 0 {
            // The bits of the other stay as they are.
            if self.count == 0 {
                *self = *later;
            }
            return;
        }
        let count = self.count + later.count;
        let share = later.count as f64 / count as f64;
        let apart = later.mean - self.mean;
        self.squares += later.squares + apart * apart * self.count as f64 * share;
        self.mean += apart * share;
        self.count = count;
    }

    /// The sum of squares for each of so many values.
    fn squares_by(&self, count: i64) -> f64 {
        if count > 0 { self.squares / count as f64 } else { f64::NAN }
    }

    fn variance(&self) -> f64 {
        self.squares_by(self.count)
    }

    fn std_dev(&self) -> f64 {
        self.variance().sqrt()
    }

    fn sample_variance(&self) -> f64 {
        self.squares_by(self.count - 1)
    }

    fn sample_std_dev(&self) -> f64 {
        self.sample_variance().sqrt()
    }
}

macro_rules! moments {
    ($number:ty: $($name:ident $finish:ident),*) => {$(
        impl Aggregate<$number> for $name {
            type Partial = Moments;
            type Output = f64;

            fn identity(&self) -> Moments {
                Moments::default()
            }

            fn add(&self, partial: &mut Moments, value: $number) -> Result<()> {
                partial.add(value as f64);
                Ok(())
            }

            fn merge(&self, into: &mut Moments, later: &Moments) -> Result<()> {
                into.merge(later);
                Ok(())
            }

            fn finish(&self, partial: &Moments) -> Result<f64> {
                Ok(partial.$finish())
            }

            fn is_ordered(&self) -> bool {
                true
            }

            fn partial_saved_as(&self) -> Option<String> {
                Some("moments".to_owned())
            }

            fn save_partial(&self, partial: &Moments, out: &mut Vec<u8>) {
                <(i64, f64, f64)>::save((partial.count, partial.mean, partial.squares), out);
            }

            fn load_partial(&self, from: &mut &[u8]) -> Result<Moments> {
                let (count, mean, squares) = <(i64, f64, f64)>::load(from)?;
                Ok(Moments { count, mean, squares })
            }
        }
    )*};
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        moments! {
            $number:
            Variance variance, StdDev std_dev,
            SampleVariance sample_variance, SampleStdDev sample_std_dev
        }
    )*};
}

numbers!(i8, i16, i32, i64, u16, u32, u64, f32, f64);
