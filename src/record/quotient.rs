//! Quotients of wide integers as floats, rounded once: a mean of decimals is the exact mean.
//!
//! An integer past 2^53 as a float is rounded, and a division of two such rounds again; here the
//! quotient is taken in integers, to more bits than a float has, and then rounded.

/// The float that is nearest to `numerator / denominator`, of two the even one; NaN for 0 / 0.
///
/// # Panics
///
/// If `denominator` is 2^127 or more.
pub(crate) fn quotient(numerator: i128, denominator: u128) -> f64 {
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    let magnitude = numerator.unsigned_abs();
    if magnitude <= EXACT && denominator <= EXACT {
        // Both are floats, whose quotient is rounded once.
        return numerator as f64 / denominator as f64;
    }
    assert!(denominator < 1 << 127, "a divisor of 2^127 or more");
    let sign = if numerator < 0 { -1.0 } else { 1.0 };
    let (mut bits, mut rest) = (magnitude / denominator, magnitude % denominator);
    let mut scale = 1.0;
    // Long division, a bit at a time, until there are more bits than a float has.
    while bits < 1 << 64 && rest != 0 {
        rest <<= 1;
        bits = bits << 1 | u128::from(rest >= denominator);
        rest -= if rest >= denominator { denominator } else { 0 };
        scale *= 0.5;
    }
    // What is left shows only in which side of a half it is on. The scale is a power of two.
    sign * (bits | u128::from(rest != 0)) as f64 * scale
}

#[cfg(test)]
mod tests {
    use super::quotient;

    /// Schoolbook division to a thousand digits, and Rust's own `parse` of them.
    fn naive(numerator: i128, denominator: u128) -> f64 {
        let sign = if numerator < 0 { "-" } else { "" };
        let magnitude = numerator.unsigned_abs();
        let mut digits = format!("{sign}{}.", magnitude / denominator);
        let mut rest = magnitude % denominator;
        for _ in 0..1_000 {
            // Ten times a rest is past 128 bits, so a digit is counted by subtractions.
            let (mut digit, mut sum) = (0, 0u128);
            for _ in 0..10 {
                sum += rest;
                if sum >= denominator {
                    sum -= denominator;
                    digit += 1;
                }
            }
            digits.push(char::from(b'0' + digit));
            rest = sum;
        }
        digits.push(if rest == 0 { '0' } else { '1' });
        digits.parse().unwrap()
    }

    #[test]
    fn quotients_are_rounded_once() {
        let mut random = 7u64;
        let mut next = || {
            // Xorshift: any numbers will do.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let check = |numerator: i128, denominator: u128| {
            let (ours, expected) =
                (quotient(numerator, denominator), naive(numerator, denominator));
            assert_eq!(ours.to_bits(), expected.to_bits(), "{numerator} / {denominator}");
        };
        let edges = [1, 2, 3, 10, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, (1 << 54) + 1, 1 << 64];
        for numerator in edges.into_iter().chain([i128::MAX]) {
            for denominator in edges.into_iter().chain([(1 << 123) - 1, i128::MAX]) {
                check(numerator, denominator as u128);
                check(-numerator, denominator as u128);
            }
        }
        check(i128::MIN, 1);
        check(i128::MIN, 3);
        for _ in 0..3_000 {
            let wide = i128::from(next() as i64) << 64 | i128::from(next());
            let divisor = (u128::from(next()) << 64 | u128::from(next())) >> 1;
            let divisor = (divisor >> (next() % 127)).max(1);
            check(wide >> (next() % 128), divisor);
            // Half way between two floats, and a bit beside it.
            let middle = i128::from(next() >> 10 | 1 << 53 | 1);
            let divisor = i128::from(next() >> (1 + next() % 60)) + 1;
            for beside in [-1, 0, 1] {
                check(middle * divisor + beside, divisor as u128 * (1 << (next() % 60)));
            }
        }
        assert!(quotient(0, 0).is_nan());
    }
}
