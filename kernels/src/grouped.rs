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

/// What an average wants to know of a group, and its extremes: count, sum, least and greatest value
/// in one row of an accumulator, so that a row of data touches half a cache line and no more.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(C, align(32))]
pub struct Stats {
    /// Number of values.
    pub count: i64,
    /// Their sum, wrapped around at the range of `i64`; see [`stats`].
    pub wrapped_sum: i64,
    /// The least of them, `i64::MAX` if there are none.
    pub min: i64,
    /// The greatest of them, `i64::MIN` if there are none.
    pub max: i64,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats { count: 0, wrapped_sum: 0, min: i64::MAX, max: i64::MIN }
    }
}

impl Stats {
    /// The sum, `carries` being the group's number in the second accumulator of [`stats`].
    ///
    /// ```
    /// use tidemill_kernels::grouped::{Stats, stats};
    ///
    /// let (mut groups, mut carries) = ([Stats::default(); 2], [0; 2]);
    /// stats(&mut groups, &mut carries, &[0, 1, 1], &[3, i64::MAX, i64::MAX]);
    /// assert_eq!(groups[1].sum(carries[1]), 2 * i128::from(i64::MAX));
    /// ```
    pub fn sum(&self, carries: i64) -> i128 {
        i128::from(self.wrapped_sum) + (i128::from(carries) << 64)
    }

    /// Adds another group's values; `carries` and `other_carries` are as in [`Stats::sum`].
    pub fn merge(&mut self, carries: &mut i64, other: &Stats, other_carries: i64) {
        self.count += other.count;
        self.add(carries, other.wrapped_sum);
        *carries += other_carries;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    #[inline(always)]
    fn add(&mut self, carries: &mut i64, value: i64) {
        let (sum, is_wrapped) = self.wrapped_sum.overflowing_add(value);
        self.wrapped_sum = sum;
        if is_wrapped {
            // Two numbers of one sign: theirs.
            *carries += if value < 0 { -1 } else { 1 };
        }
    }
}

/// Takes each value into its group's [`Stats`]. A sum that leaves the range of `i64` wraps around,
/// and how often it did, less how often it came back, is added up in `carries`: sums are exact, and
/// `carries` is touched only by those that are large.
///
/// A new extreme is rare, so it is a branch; where values rise or fall all the time,
/// [`min_i64`] and [`max_i64`] do better.
pub fn stats(acc: &mut [Stats], carries: &mut [i64], ids: &[u32], values: &[i64]) {
    assert_eq!(ids.len(), values.len(), "one id for each value");
    assert_eq!(acc.len(), carries.len(), "carries for each group");
    for (id, value) in ids.iter().zip(values) {
        let group = &mut acc[*id as usize];
        group.count += 1;
        group.add(&mut carries[*id as usize], *value);
        if *value < group.min {
            group.min = *value;
        }
        if *value > group.max {
            group.max = *value;
        }
    }
}

#[inline(always)]
fn each<T: Copy>(acc: &mut [T], ids: &[u32], values: &[T], mut update: impl FnMut(&mut T, T)) {
    assert_eq!(ids.len(), values.len(), "one id for each value");
    for (id, value) in ids.iter().zip(values) {
        update(&mut acc[*id as usize], *value);
    }
}
