//! Sums and extrema: integer extremes, NaN of both signs and zeros of both signs are among the
//! values, and every length is tried around the 32 lanes.

use proptest::prelude::*;

use super::{Random, naive};
use crate::grouped::Stats;
use crate::{Level, grouped};

const LENGTHS: std::ops::Range<usize> = 0..4 * 32 + 3;

fn each_i64(mut check: impl FnMut(&[i64])) {
    let mut random = Random(1);
    let extremes = [i64::MIN, i64::MAX, -1, 0, 1];
    for length in LENGTHS {
        for kind in 0..4 {
            let values: Vec<i64> = (0..length + 3)
                .map(|_| match kind {
                    0 => random.next() as i64 >> 8,
                    1 => extremes[random.below(extremes.len())],
                    2 => i64::MIN,
                    _ => i64::MAX,
                })
                .collect();
            for align in 0..3 {
                check(&values[align..align + length]);
            }
        }
    }
}

fn each_f64(mut check: impl FnMut(&[f64])) {
    let mut random = Random(2);
    let extremes = [f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY, f64::MIN, 1e-310];
    for length in LENGTHS {
        for kind in 0..3 {
            let values: Vec<f64> = (0..length + 3)
                .map(|_| match kind {
                    0 => random.next() as i64 as f64 / 3.0,
                    1 => extremes[random.below(extremes.len())],
                    _ => -0.0,
                })
                .collect();
            for align in 0..3 {
                check(&values[align..align + length]);
            }
        }
    }
}

pub(super) fn sum_i64(level: Level) {
    each_i64(|values| assert_eq!(crate::sum_i64_at(level, values), naive::sum_i64(values)));
}

pub(super) fn min_i64(level: Level) {
    each_i64(|values| assert_eq!(crate::min_i64_at(level, values), naive::min_i64(values)));
}

pub(super) fn max_i64(level: Level) {
    each_i64(|values| assert_eq!(crate::max_i64_at(level, values), naive::max_i64(values)));
}

pub(super) fn sum_f64(level: Level) {
    each_f64(|values| {
        let (sum, expected) = (crate::sum_f64_at(level, values), naive::sum_f64(values));
        // Which NaN an addition of two gives is the compiler's choice.
        assert!(
            sum.to_bits() == expected.to_bits() || sum.is_nan() && expected.is_nan(),
            "{sum} is not {expected} at {level:?} of {values:?}"
        );
    });
}

pub(super) fn min_f64(level: Level) {
    each_f64(|values| {
        let bits = crate::min_f64_at(level, values).map(f64::to_bits);
        assert_eq!(bits, naive::min_f64(values).map(f64::to_bits));
    });
}

pub(super) fn max_f64(level: Level) {
    each_f64(|values| {
        let bits = crate::max_f64_at(level, values).map(f64::to_bits);
        assert_eq!(bits, naive::max_f64(values).map(f64::to_bits));
    });
}

proptest! {
    /// Grouped kernels have no level; a group's rows, picked out, are its naive twin's column.
    #[test]
    fn grouped_is_by_group(rows in prop::collection::vec((0u32..5, any::<i32>()), 0..200)) {
        let ids: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let values: Vec<i64> = rows.iter().map(|row| i64::from(row.1)).collect();
        let floats: Vec<f64> = values.iter().map(|value| *value as f64 / 7.0).collect();
        let mut counts = [0; 5];
        let mut sums = [0; 5];
        let mut float_sums = [0.0; 5];
        let (mut least, mut greatest) = ([i64::MAX; 5], [i64::MIN; 5]);
        let mut float_least = [grouped::MIN_F64_START; 5];
        let mut float_greatest = [grouped::MAX_F64_START; 5];
        grouped::count(&mut counts, &ids);
        prop_assert!(!grouped::add_i64(&mut sums, &ids, &values));
        grouped::add_f64(&mut float_sums, &ids, &floats);
        grouped::min_i64(&mut least, &ids, &values);
        grouped::max_i64(&mut greatest, &ids, &values);
        grouped::min_f64(&mut float_least, &ids, &floats);
        grouped::max_f64(&mut float_greatest, &ids, &floats);
        for group in 0..5 {
            let is_in = |row: &usize| ids[*row] as usize == group;
            let own: Vec<i64> = (0..ids.len()).filter(is_in).map(|row| values[row]).collect();
            let own_floats: Vec<f64> = own.iter().map(|value| *value as f64 / 7.0).collect();
            prop_assert_eq!(counts[group], own.len() as i64);
            prop_assert_eq!(Some(sums[group]), naive::sum_i64(&own));
            prop_assert_eq!(float_sums[group], own_floats.iter().fold(0.0, |a, b| a + b));
            prop_assert_eq!(least[group], naive::min_i64(&own).unwrap_or(i64::MAX));
            prop_assert_eq!(greatest[group], naive::max_i64(&own).unwrap_or(i64::MIN));
            let start = grouped::MIN_F64_START;
            let expected = naive::min_f64(&own_floats).unwrap_or(start);
            prop_assert_eq!(float_least[group].to_bits(), expected.to_bits());
            let start = grouped::MAX_F64_START;
            let expected = naive::max_f64(&own_floats).unwrap_or(start);
            prop_assert_eq!(float_greatest[group].to_bits(), expected.to_bits());
        }
    }
}

#[test]
fn grouped_sums_say_when_they_overflow() {
    let mut sums = [i64::MAX - 1, 0];
    assert!(!grouped::add_i64(&mut sums, &[0, 1], &[1, i64::MIN]));
    assert!(grouped::add_i64(&mut sums, &[1], &[-1]));
}

proptest! {
    /// Sums far past the range, in parts, merged.
    #[test]
    fn stats_are_exact(
        rows in prop::collection::vec((0u32..4, prop_oneof![any::<i64>(), -9..9i64]), 0..200),
        cut in 0usize..200,
    ) {
        let (early, late) = rows.split_at(cut.min(rows.len()));
        let mut parts = [early, late].map(|rows| {
            let ids: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let values: Vec<i64> = rows.iter().map(|row| row.1).collect();
            let (mut groups, mut carries) = ([Stats::default(); 4], [0; 4]);
            grouped::stats(&mut groups, &mut carries, &ids, &values);
            (groups, carries)
        });
        let [(groups, carries), (late, late_carries)] = &mut parts;
        for group in 0..4 {
            groups[group].merge(&mut carries[group], &late[group], late_carries[group]);
            let own = rows.iter().filter(|row| row.0 as usize == group).map(|row| row.1);
            let own: Vec<i64> = own.collect();
            let stats = groups[group];
            prop_assert_eq!(stats.count, own.len() as i64);
            prop_assert_eq!(stats.min, naive::min_i64(&own).unwrap_or(i64::MAX));
            prop_assert_eq!(stats.max, naive::max_i64(&own).unwrap_or(i64::MIN));
            let sum: i128 = own.iter().map(|value| i128::from(*value)).sum();
            prop_assert_eq!(stats.sum(carries[group]), sum);
        }
    }
}
