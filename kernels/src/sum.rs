//! Sums of whole columns. A sum of integers is the true one or none; a sum of floats adds in one
//! fixed order of lanes, so that every level and every machine gives the same bits.

use crate::multiversion::multiversion;

/// Independent sums per loop, to keep several vector additions in flight at 512 bits.
const LANES: usize = 32;

multiversion! {
    /// The sum, or `None` if it does not fit an `i64`; sums on the way may leave the range.
    ///
    /// ```
    /// use tidemill_kernels::sum_i64;
    ///
    /// assert_eq!(sum_i64(&[i64::MAX, 1, -1]), Some(i64::MAX));
    /// assert_eq!(sum_i64(&[i64::MAX, 1]), None);
    /// ```
    pub fn sum_i64 / sum_i64_at(values: &[i64]) -> Option<i64>, isa => {
        // Halves are summed apart, as unsigned numbers of 32 bits: no lane can overflow within a
        // part of 2^31 values, and the loop has no branch.
        let mut total = 0i128;
        for part in values.chunks(1 << 31) {
            let (chunks, rest) = part.as_chunks::<LANES>();
            let mut low = [0u64; LANES];
            let mut high = [0u64; LANES];
            for chunk in chunks {
                for lane in 0..LANES {
                    let biased = chunk[lane] as u64 ^ 1 << 63;
                    low[lane] += biased & 0xFFFF_FFFF;
                    high[lane] += biased >> 32;
                }
            }
            let low: i128 = low.into_iter().map(i128::from).sum();
            let high: i128 = high.into_iter().map(i128::from).sum();
            let bias = (chunks.len() * LANES) as i128 * (1 << 63);
            total += (high << 32) + low - bias;
            total += rest.iter().copied().map(i128::from).sum::<i128>();
        }
        i64::try_from(total).ok()
    }
}

multiversion! {
    /// The sum, added in a fixed order: value `i` goes to sum `i % 32`, then the 32 sums are folded
    /// in halves.
    ///
    /// ```
    /// assert_eq!(tidemill_kernels::sum_f64(&[0.5, 0.25]), 0.75);
    /// ```
    pub fn sum_f64 / sum_f64_at(values: &[f64]) -> f64, isa => {
        let (chunks, rest) = values.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for chunk in chunks {
            for lane in 0..LANES {
                sums[lane] += chunk[lane];
            }
        }
        for (sum, value) in sums.iter_mut().zip(rest) {
            *sum += value;
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        sums[0]
    }
}
