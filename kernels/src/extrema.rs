//! Minima and maxima of whole columns. Floats are in `f64::total_cmp`'s order, where every value
//! has its place, so that the answer does not depend on the order of rows.

use crate::multiversion::multiversion;

/// Independent extrema per loop, to keep several vector operations in flight at 512 bits.
const LANES: usize = 32;

multiversion! {
    /// The least value, or `None` of no values.
    pub fn min_i64 / min_i64_at(values: &[i64]) -> Option<i64>, isa => {
        fold(values, i64::MAX, |value| value, |a, b| a.min(b))
    }
}

multiversion! {
    /// The greatest value, or `None` of no values.
    pub fn max_i64 / max_i64_at(values: &[i64]) -> Option<i64>, isa => {
        fold(values, i64::MIN, |value| value, |a, b| a.max(b))
    }
}

multiversion! {
    /// The least value in the total order, or `None` of no values.
    ///
    /// That is `f64::total_cmp`'s: -0 is below +0, a NaN above everything, and a NaN with its sign
    /// bit set below everything.
    ///
    /// ```
    /// assert_eq!(tidemill_kernels::min_f64(&[f64::NAN, 2.0, 1.0]), Some(1.0));
    /// ```
    pub fn min_f64 / min_f64_at(values: &[f64]) -> Option<f64>, isa => {
        fold(values, i64::MAX, total_order, |a, b| a.min(b)).map(from_total_order)
    }
}

multiversion! {
    /// The greatest value in the total order, or `None` of no values.
    ///
    /// That is `f64::total_cmp`'s: -0 is below +0, a NaN above everything, and a NaN with its sign
    /// bit set below everything.
    ///
    /// ```
    /// assert!(tidemill_kernels::max_f64(&[f64::NAN, 2.0]).unwrap().is_nan());
    /// ```
    pub fn max_f64 / max_f64_at(values: &[f64]) -> Option<f64>, isa => {
        fold(values, i64::MIN, total_order, |a, b| a.max(b)).map(from_total_order)
    }
}

#[inline(always)]
fn fold<T: Copy>(
    values: &[T],
    identity: i64,
    key: impl Fn(T) -> i64,
    pick: impl Fn(i64, i64) -> i64,
) -> Option<i64> {
    if values.is_empty() {
        return None;
    }
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [identity; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = pick(lanes[lane], key(chunk[lane]));
        }
    }
    let rest = rest.iter().map(|value| key(*value));
    Some(rest.chain(lanes).fold(identity, pick))
}

/// An integer that orders as `total_cmp` orders the value: negative ones have their bits turned.
#[inline(always)]
pub(crate) fn total_order(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

#[inline(always)]
pub(crate) fn from_total_order(order: i64) -> f64 {
    // The turning leaves the sign and so undoes itself.
    f64::from_bits((order ^ ((order >> 63) as u64 >> 1) as i64) as u64)
}
