//! Sums and means: of integers and decimals exact, of floats in the order of the values.

use super::exact_total::{Total, add_numbers, take_count};
use super::{Aggregate, saves_record};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_wide, take_wide, torn};
use crate::record::{Number, NumberColumn, Record, quotient};

/// The sum of each key's values: integers as `i64`, where an overflow fails the batch; floats as
/// `f64`, added in the order of the blocks, so that any number of threads gives the same bits.
///
/// The sum of [`Number`]s is exact if it is a decimal, and otherwise the float nearest to the exact
/// sum; one past the largest float fails the batch.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum;

/// The mean of each key's values, as `f64`: of integers and [`Number`]s the exact mean, rounded
/// once.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Mean;

fn sum_overflow(sum: i128) -> Error {
    let message = format!("the sum of a key is {sum}, which does not fit an i64");
    Error::new(ErrorKind::Overflow, message)
}

/// Takes a sum that more values than there will ever be can be added to.
fn take_sum(from: &mut &[u8]) -> Result<i128> {
    let sum = take_wide(from)?;
    if sum.unsigned_abs() < 1 << 126 { Ok(sum) } else { Err(torn()) }
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

            fn partial_saved_as(&self) -> Option<String> {
                Some("sum of integers".to_owned())
            }

            fn save_partial(&self, partial: &i128, out: &mut Vec<u8>) {
                push_wide(*partial, out);
            }

            fn load_partial(&self, from: &mut &[u8]) -> Result<i128> {
                take_sum(from)
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
                Ok(quotient(partial.0, partial.1 as u128))
            }

            fn is_invertible(&self) -> bool {
                true
            }

            fn unmerge(&self, from: &mut (i128, i64), first: &(i128, i64)) -> Result<()> {
                *from = (from.0 - first.0, from.1 - first.1);
                Ok(())
            }

            fn partial_saved_as(&self) -> Option<String> {
                Some("mean of integers".to_owned())
            }

            fn save_partial(&self, partial: &(i128, i64), out: &mut Vec<u8>) {
                push_wide(partial.0, out);
                i64::save(partial.1, out);
            }

            fn load_partial(&self, from: &mut &[u8]) -> Result<(i128, i64)> {
                Ok((take_sum(from)?, take_count(from)?))
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

            saves_record!(f64, Some("sum of floats".to_owned()));
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

            saves_record!((f64, i64), Some("mean of floats".to_owned()));
        }
    )*};
}

impl Aggregate<Number> for Sum {
    type Partial = Total;
    type Output = Number;

    fn identity(&self) -> Total {
        Total::default()
    }

    fn add(&self, partial: &mut Total, value: Number) -> Result<()> {
        partial.add(value);
        Ok(())
    }

    fn merge(&self, into: &mut Total, later: &Total) -> Result<()> {
        into.merge(later);
        Ok(())
    }

    fn finish(&self, partial: &Total) -> Result<Number> {
        partial.sum().map_err(|sum| {
            let message = format!("the sum of a key is {sum}, past the largest f64");
            Error::new(ErrorKind::Overflow, message)
        })
    }

    fn add_rows(&self, partials: &mut [Total], ids: &[u32], values: &NumberColumn) -> Result<()> {
        add_numbers(partials, ids, values, Total::add_decimal, Total::add);
        Ok(())
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn unmerge(&self, from: &mut Total, first: &Total) -> Result<()> {
        from.unmerge(first);
        Ok(())
    }

    fn byte_len(&self, partial: &Total) -> usize {
        size_of::<Total>() + partial.heap_len()
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some("sum of numbers".to_owned())
    }

    fn save_partial(&self, partial: &Total, out: &mut Vec<u8>) {
        partial.save(out);
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<Total> {
        Total::load(from)
    }
}

impl Aggregate<Number> for Mean {
    type Partial = (Total, i64);
    type Output = f64;

    fn identity(&self) -> (Total, i64) {
        (Total::default(), 0)
    }

    fn add(&self, partial: &mut (Total, i64), value: Number) -> Result<()> {
        partial.0.add(value);
        partial.1 += 1;
        Ok(())
    }

    fn merge(&self, into: &mut (Total, i64), later: &(Total, i64)) -> Result<()> {
        into.0.merge(&later.0);
        into.1 += later.1;
        Ok(())
    }

    fn finish(&self, partial: &(Total, i64)) -> Result<f64> {
        Ok(partial.0.mean(partial.1))
    }

    fn add_rows(
        &self,
        partials: &mut [(Total, i64)],
        ids: &[u32],
        values: &NumberColumn,
    ) -> Result<()> {
        let add_mantissa = |partial: &mut (Total, i64), mantissa, scale| {
            partial.0.add_decimal(mantissa, scale);
            partial.1 += 1;
        };
        let add = |partial: &mut (Total, i64), number| {
            partial.0.add(number);
            partial.1 += 1;
        };
        add_numbers(partials, ids, values, add_mantissa, add);
        Ok(())
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn unmerge(&self, from: &mut (Total, i64), first: &(Total, i64)) -> Result<()> {
        from.0.unmerge(&first.0);
        from.1 -= first.1;
        Ok(())
    }

    fn byte_len(&self, partial: &(Total, i64)) -> usize {
        size_of::<(Total, i64)>() + partial.0.heap_len()
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some("mean of numbers".to_owned())
    }

    fn save_partial(&self, partial: &(Total, i64), out: &mut Vec<u8>) {
        partial.0.save(out);
        i64::save(partial.1, out);
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<(Total, i64)> {
        Ok((Total::load(from)?, take_count(from)?))
    }
}

integers!(i8, i16, i32, i64, u16, u32, u64);
floats!(f32, f64);
