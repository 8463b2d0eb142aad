//! Sums and means: of integers exact, of floats in the order of the values.

use super::Aggregate;
use crate::error::{Error, ErrorKind, Result};

/// The sum of each key's values: integers as `i64`, where an overflow fails the batch; floats as
/// `f64`, added in the order of the blocks, so that any number of threads gives the same bits.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum;

/// The mean of each key's values, as `f64`: of integers the exact sum divided once.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Mean;

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
    )*};
}

integers!(i8, i16, i32, i64, u16, u32, u64);
floats!(f32, f64);
