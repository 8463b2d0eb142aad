//! Quantiles, exact: all values are kept, and selection finds those beside the position asked for.

use crate::error::Result;
use crate::ops::Aggregate;
use crate::record::Ordered;

/// The value below which so much of all lies, between 0 and 1.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Quantile(pub(crate) f64);

macro_rules! quantiles {
    ($($number:ty),*) => {$(
        impl Aggregate<$number> for Quantile {
            type Partial = Vec<f64>;
            type Output = f64;

            fn identity(&self) -> Vec<f64> {
                Vec::new()
            }

            fn add(&self, partial: &mut Vec<f64>, value: $number) -> Result<()> {
                partial.push(value as f64);
                Ok(())
            }

            fn merge(&self, into: &mut Vec<f64>, later: &Vec<f64>) -> Result<()> {
                into.extend_from_slice(later);
                Ok(())
            }

            fn finish(&self, partial: &Vec<f64>) -> Result<f64> {
                Ok(quantile(partial.clone(), self.0))
            }

            fn byte_len(&self, partial: &Vec<f64>) -> usize {
                size_of::<Vec<f64>>() + size_of_val(partial.as_slice())
            }
        }
    )*};
}

quantiles!(i64, f64);

/// Of values that are at least one, in the order of [`Ordered`]; linear between two of them.
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    let position = q * (values.len() - 1) as f64;
    let below = position.floor();
    let order = |left: &f64, right: &f64| f64::order(*left, *right);
    let (_, &mut low, above) = values.select_nth_unstable_by(below as usize, order);
    let share = position - below;
    match above.iter().copied().min_by(order) {
        // Infinities at both ends of nothing would give NaN.
        Some(high) if share > 0.0 => low * (1.0 - share) + high * share,
        _ => low,
    }
}
