//! One decimal of any length, exactly: the general way beside the batches, and what says why a row
//! is bad.

use crate::BadKind;

/// The largest scale of a column of decimals: 10 to its power is the last one that an `i64` holds.
pub const MAX_SCALE: u32 = 18;

/// Digits that surely fit a `u64`.
const MAX_DIGITS: u32 = 19;

/// The number that `row` says, times 10 to the power of `scale`.
#[cold]
pub(super) fn parse(row: &[u8], scale: u32) -> Result<i64, BadKind> {
    Decimal::read(row)?.at(i64::from(scale))
}

/// The number that `row` says as an integer and a scale, the least one that has room for all
/// digits: the number is the integer divided by 10 to the power of the scale.
///
/// Bad are the rows that are bad for [`parse_decimal`](crate::parse_decimal) at every scale. This
/// is for single rows whose scale nobody knows; columns are for `parse_decimal`.
///
/// ```
/// use tidemill_kernels::{BadKind, least_decimal};
///
/// assert_eq!(least_decimal(b"-1.250"), Ok((-125, 2)));
/// assert_eq!(least_decimal(b"1e3"), Ok((1000, 0)));
/// assert_eq!(least_decimal(b"1e-19"), Err(BadKind::TooPrecise));
/// ```
#[cold]
pub fn least_decimal(row: &[u8]) -> Result<(i64, u32), BadKind> {
    let decimal = Decimal::read(row)?;
    let scale = if decimal.significand.len == 0 { 0 } else { decimal.exponent.min(0).abs() };
    if scale > i64::from(MAX_SCALE) {
        return Err(BadKind::TooPrecise);
    }
    Ok((decimal.at(scale)?, scale as u32))
}

/// A number as it is written.
struct Decimal {
    is_negative: bool,
    significand: Significand,
    /// The power of ten that the significand is multiplied with.
    exponent: i64,
}

impl Decimal {
    fn read(row: &[u8]) -> Result<Decimal, BadKind> {
        if row.is_empty() {
            return Err(BadKind::Empty);
        }
        let (is_negative, unsigned) = match row {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, row),
        };
        let (before, rest) = split_digits(unsigned);
        let (after, rest) = match rest {
            [b'.', rest @ ..] => split_digits(rest),
            _ => (&[][..], rest),
        };
        if before.is_empty() && after.is_empty() {
            return Err(BadKind::NotANumber);
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', exponent @ ..] => parse_exponent(exponent).ok_or(BadKind::NotANumber)?,
            _ => return Err(BadKind::NotANumber),
        };
        let significand = Significand::of(before.iter().chain(after));
        let exponent = significand.zeros as i64 + exponent - after.len() as i64;
        Ok(Decimal { is_negative, significand, exponent })
    }

    /// The number times 10 to the power of `scale`.
    fn at(&self, scale: i64) -> Result<i64, BadKind> {
        let zeros = self.exponent + scale;
        if self.significand.len == 0 {
            return Ok(0);
        }
        if zeros < 0 {
            return Err(BadKind::TooPrecise);
        }
        if zeros > i64::from(MAX_SCALE) || self.significand.len > MAX_DIGITS {
            return Err(BadKind::OutOfRange);
        }
        let magnitude = i128::from(self.significand.digits) * i128::from(10u64.pow(zeros as u32));
        let number = if self.is_negative { -magnitude } else { magnitude };
        i64::try_from(number).map_err(|_| BadKind::OutOfRange)
    }
}

/// Digits without the zeros before and after them.
#[derive(Default)]
struct Significand {
    /// Their value, if they are few enough.
    digits: u64,
    len: u32,
    /// How many zeros follow.
    zeros: usize,
}

impl Significand {
    fn of<'a>(digits: impl Iterator<Item = &'a u8>) -> Significand {
        let mut significand = Significand::default();
        for digit in digits {
            if *digit != b'0' {
                for _ in 0..significand.zeros.min(MAX_DIGITS as usize + 1) {
                    significand.push(0);
                }
                significand.zeros = 0;
                significand.push(u64::from(digit - b'0'));
            } else if significand.len > 0 {
                significand.zeros += 1;
            }
        }
        significand
    }

    fn push(&mut self, digit: u64) {
        self.len = self.len.saturating_add(1);
        if self.len <= MAX_DIGITS {
            self.digits = self.digits * 10 + digit;
        }
    }
}

/// The digits that `text` begins with, and what follows them.
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(len)
}

/// An exponent; one that no text in a buffer could make up for counts as the largest such.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let magnitude = digits
        .iter()
        .filter(|_| all_digits)
        .fold(0i64, |exponent, digit| (exponent * 10 + i64::from(digit - b'0')).min(1 << 40));
    all_digits.then_some(if is_negative { -magnitude } else { magnitude })
}
