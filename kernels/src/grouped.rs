//! Accumulators by group: row `i` goes to `acc[ids[i]]`. Ids are dense, so an accumulator is a
//! plain vector; rows are taken in order, so float sums have the same bits everywhere.
//!
//! There is no level here: the time goes to reaching `acc`, one row after the other.
//!
//! Every function panics if `ids` and `values` differ in length or an id is past `acc`.

use crate::extrema::total_order;

/// Where an accumulator of [`min_f64`] starts: nothing is greater in the total order.
pub const MIN_F64_START: f64 = f64::from_bits(0x7FFF_FFFF_FFFF_FFFF);

/// Where an accumulator of [`max_f64`] starts: nothing is less in the total order.
pub const MAX_F64_START: f64 = f64::from_bits(0xFFFF_FFFF_FFFF_FFFF);

/// Adds one for each row.
pub fn count(acc: &mut [i64], ids: &[u32]) {
    for id in ids {
        acc[*id as usize] += 1;
    }
}

/// Adds each value; true if a sum left the range of `i64`, after which `acc` holds wrapped sums.
///
/// ```
/// let mut sums = [0, 0];
/// let overflow = tidemill_kernels::grouped::add_i64(&mut sums, &[1, 0, 1], &[10, 20, 30]);
/// assert_eq!((sums, overflow), ([20, 40], false));
/// ```
#[must_use]
pub fn add_i64(acc: &mut [i64], ids: &[u32], values: &[i64]) -> bool {
    let mut overflow = false;
    each(acc, ids, values, |sum, value| {
        let (next, wrapped) = sum.overflowing_add(value);
        *sum = next;
        overflow |= wrapped;
    });
    overflow
}

/// Adds each value, in the order of rows.
pub fn add_f64(acc: &mut [f64], ids: &[u32], values: &[f64]) {
    each(acc, ids, values, |sum, value| *sum += value);
}

/// Keeps each group's least value; start from `i64::MAX`.
pub fn min_i64(acc: &mut [i64], ids: &[u32], values: &[i64]) {
    each(acc, ids, values, |least, value| *least = value.min(*least));
}

/// Keeps each group's greatest value; start from `i64::MIN`.
pub fn max_i64(acc: &mut [i64], ids: &[u32], values: &[i64]) {
    each(acc, ids, values, |greatest, value| *greatest = value.max(*greatest));
}

/// Keeps each group's least value in the order of `f64::total_cmp`; start from [`MIN_F64_START`].
pub fn min_f64(acc: &mut [f64], ids: &[u32], values: &[f64]) {
    each(acc, ids, values, |least, value| {
        if total_order(value) < total_order(*least) {
            *least = value;
        }
    });
}

/// Keeps each group's greatest value in the order of `f64::total_cmp`; start from
/// [`MAX_F64_START`].
pub fn max_f64(acc: &mut [f64], ids: &[u32], values: &[f64]) {
    each(acc, ids, values, |greatest, value| {
        if total_order(value) > total_order(*greatest) {
            *greatest = value;
        }
    });
}

#[inline(always)]
fn each<T: Copy>(acc: &mut [T], ids: &[u32], values: &[T], mut update: impl FnMut(&mut T, T)) {
    assert_eq!(ids.len(), values.len(), "one id for each value");
    for (id, value) in ids.iter().zip(values) {
        update(&mut acc[*id as usize], *value);
    }
}
