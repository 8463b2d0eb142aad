//! Columns of text to columns of numbers. What a text means is Rust's own `parse`, bit for bit; a
//! decimal is an integer in units of the column's scale, so that sums of decimals are exact.
//!
//! Plain rows are done in batches, each step for all rows at once; the rows that are not plain, few
//! of them as a rule, go one by one through the general way, which is also what decides that a
//! row is bad.

mod batch;
mod decimal;

use std::num::IntErrorKind;

use crate::multiversion::multiversion;
use crate::{BadKind, BadRow, Span};
use batch::{Batch, fraction_len, sixteen_digits};

pub(crate) use batch::ROWS;
pub use decimal::{MAX_SCALE, least_decimal};

multiversion! {
    /// Appends the integer that each row says, exactly as `str::parse::<i64>` reads it.
    ///
    /// A row that says none is appended to `bad`, and 0 to `out` in its place.
    ///
    /// ```
    /// use tidemill_kernels::{BadKind, Span, parse_i64};
    ///
    /// let rows = [Span { start: 0, len: 2 }, Span { start: 3, len: 3 }];
    /// let (mut numbers, mut bad) = (Vec::new(), Vec::new());
    /// parse_i64(b"-7 1.5", &rows, &mut numbers, &mut bad);
    /// assert_eq!(numbers, [-7, 0]);
    /// assert_eq!((bad[0].row, bad[0].kind), (1, BadKind::NotANumber));
    /// ```
    ///
    /// # Panics
    ///
    /// If a row reaches past `text`.
    pub fn parse_i64 / parse_i64_at(
        text: &[u8],
        rows: &[Span],
        out: &mut Vec<i64>,
        bad: &mut Vec<BadRow>,
    ), isa => {
        each_batch(text, rows, out, bad, |batch| {
            let mut numbers = [0; ROWS];
            for (row, number) in numbers.iter_mut().enumerate() {
                *number = signed(batch.digits[row], batch.minus[row]);
                batch.odd[row] |= batch.points[row];
            }
            numbers
        }, general_i64);
    }
}

multiversion! {
    /// Appends the float that each row says, exactly as `str::parse::<f64>` reads it.
    ///
    /// A row that says none is appended to `bad`, and 0 to `out` in its place. As in Rust, a number
    /// past the largest float is infinite, and `inf` and `nan` are numbers.
    ///
    /// ```
    /// use tidemill_kernels::{Span, parse_f64};
    ///
    /// let (mut numbers, mut bad) = (Vec::new(), Vec::new());
    /// parse_f64(b"-7.25", &[Span { start: 0, len: 5 }], &mut numbers, &mut bad);
    /// assert_eq!((numbers, bad), (vec![-7.25], vec![]));
    /// ```
    ///
    /// # Panics
    ///
    /// If a row reaches past `text`.
    pub fn parse_f64 / parse_f64_at(
        text: &[u8],
        rows: &[Span],
        out: &mut Vec<f64>,
        bad: &mut Vec<BadRow>,
    ), isa => {
        // The quotient of two integers that a float holds exactly is rounded once, and so right
        // (Clinger, "How to read floating point numbers accurately", 1990).
        const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
        each_batch(text, rows, out, bad, |batch| {
            let mut numbers = [0.0; ROWS];
            for row in 0..ROWS {
                batch.odd[row] |= EXACT.wrapping_sub(batch.digits[row]) >> 63;
            }
            if batch.is_uniform() {
                let unit = UNITS[fraction_len(batch.points[0]) as usize];
                for (row, number) in numbers.iter_mut().enumerate() {
                    *number = with_sign(batch.digits[row] as f64 / unit, batch.minus[row]);
                }
            } else {
                for (row, number) in numbers.iter_mut().enumerate() {
                    let unit = UNITS[fraction_len(batch.points[row]) as usize];
                    *number = with_sign(batch.digits[row] as f64 / unit, batch.minus[row]);
                }
            }
            numbers
        }, general_f64);
    }
}

multiversion! {
    /// Appends the number that each row says, times 10 to the power of `scale`: an integer, and
    /// exactly what the row says.
    ///
    /// Everything finite that `str::parse::<f64>` reads is a number here too, exponents included. A
    /// row that is not, or whose number times the power is no integer or no `i64`, is appended to
    /// `bad`, and 0 to `out` in its place.
    ///
    /// ```
    /// use tidemill_kernels::{BadKind, Span, parse_decimal};
    ///
    /// let row = |start, len| Span { start, len };
    /// let (mut cents, mut bad) = (Vec::new(), Vec::new());
    /// parse_decimal(b"-1.5 2.125", &[row(0, 4), row(5, 5)], 2, &mut cents, &mut bad);
    /// assert_eq!(cents, [-150, 0]);
    /// assert_eq!((bad[0].row, bad[0].kind), (1, BadKind::TooPrecise));
    /// ```
    ///
    /// # Panics
    ///
    /// If `scale` is past [`MAX_SCALE`] or a row reaches past `text`.
    pub fn parse_decimal / parse_decimal_at(
        text: &[u8],
        rows: &[Span],
        scale: u32,
        out: &mut Vec<i64>,
        bad: &mut Vec<BadRow>,
    ), isa => {
        decimals(text, rows, scale, out, bad);
    }
}

/// The body of [`parse_decimal`], for other kernels to have in theirs.
#[inline(always)]
pub(crate) fn decimals(
    text: &[u8],
    rows: &[Span],
    scale: u32,
    out: &mut Vec<i64>,
    bad: &mut Vec<BadRow>,
) {
    assert!(scale <= MAX_SCALE, "a scale of {scale} is past the largest, {MAX_SCALE}");
    let plain = |batch: &mut Batch| {
        let mut numbers = [0; ROWS];
        if batch.is_uniform() {
            let (factor, limit) = factor(scale, batch.points[0]);
            for (row, number) in numbers.iter_mut().enumerate() {
                let digits = batch.digits[row];
                *number = signed(digits.wrapping_mul(factor), batch.minus[row]);
                batch.odd[row] |= limit.wrapping_sub(digits) >> 63;
            }
        } else {
            for (row, number) in numbers.iter_mut().enumerate() {
                let (factor, limit) = factor(scale, batch.points[row]);
                let digits = batch.digits[row];
                *number = signed(digits.wrapping_mul(factor), batch.minus[row]);
                batch.odd[row] |= limit.wrapping_sub(digits) >> 63;
            }
        }
        numbers
    };
    each_batch(text, rows, out, bad, plain, |row| decimal::parse(row, scale));
}

/// Makes rows into numbers: `plain` those of a batch, `general` the ones that the batch or `plain`
/// marked as odd.
#[inline(always)]
fn each_batch<T: Copy + Default>(
    text: &[u8],
    rows: &[Span],
    out: &mut Vec<T>,
    bad: &mut Vec<BadRow>,
    plain: impl Fn(&mut Batch) -> [T; ROWS],
    general: impl Fn(&[u8]) -> Result<T, BadKind>,
) {
    let mut batch = Batch::new();
    out.reserve(rows.len());
    for (index, spans) in rows.chunks(ROWS).enumerate() {
        batch.read(text, spans);
        let mut numbers = plain(&mut batch);
        // All rows are looked at, loaded or not, so that the number of steps is fixed.
        if batch.odd.iter().fold(0, |any, odd| any | odd) != 0 {
            for (row, span) in spans.iter().enumerate().filter(|(row, _)| batch.odd[*row] != 0) {
                numbers[row] = match general(&text[span.range()]) {
                    Ok(number) => number,
                    Err(kind) => {
                        bad.push(BadRow::new(index * ROWS + row, kind));
                        T::default()
                    }
                };
            }
        }
        out.extend_from_slice(&numbers[..spans.len()]);
    }
}

#[inline(always)]
fn signed(magnitude: u64, minus: u64) -> i64 {
    (magnitude ^ minus).wrapping_sub(minus) as i64
}

#[inline(always)]
fn with_sign(magnitude: f64, minus: u64) -> f64 {
    f64::from_bits(magnitude.to_bits() | minus << 63)
}

/// Powers of ten by the digits after a point.
static UNITS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// What digits with a point there are multiplied with to be at `scale`, and the largest digits for
/// which that stays in range. Digits past the scale may be zeros, which is for the general way to
/// find out: nothing but zero is in range then.
#[inline(always)]
fn factor(scale: u32, point: u64) -> (u64, u64) {
    FACTORS[scale.saturating_add(16).wrapping_sub(fraction_len(point)) as usize & 63]
}

/// For each scale + 16 less the digits after the point.
static FACTORS: [(u64, u64); 64] = {
    let mut factors = [(0, 0); 64];
    let mut power = 0;
    while power <= MAX_SCALE {
        let factor = 10u64.pow(power);
        factors[power as usize + 16] = (factor, i64::MAX as u64 / factor);
        power += 1;
    }
    factors
};

fn general_i64(row: &[u8]) -> Result<i64, BadKind> {
    if let Some(number) = long_i64(row) {
        return Ok(number);
    }
    let text = ascii(row).ok_or(BadKind::NotANumber)?;
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::Empty => BadKind::Empty,
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => BadKind::OutOfRange,
        _ => BadKind::NotANumber,
    })
}

/// An integer of 17 to 19 digits, nanoseconds say, if the row is one in range.
#[inline]
fn long_i64(row: &[u8]) -> Option<i64> {
    let (minus, digits) = match row {
        [b'-', digits @ ..] => (u64::MAX, digits),
        _ => (0, row),
    };
    if !(17..=19).contains(&digits.len()) {
        return None;
    }
    let first = sixteen_digits(digits.first_chunk()?)?;
    let magnitude = digits[16..].iter().try_fold(first, |number, digit| {
        let digit = digit ^ b'0';
        (digit <= 9).then(|| number * 10 + u64::from(digit))
    })?;
    (magnitude <= i64::MAX as u64).then(|| signed(magnitude, minus))
}

fn general_f64(row: &[u8]) -> Result<f64, BadKind> {
    if row.is_empty() {
        return Err(BadKind::Empty);
    }
    ascii(row).and_then(|text| text.parse().ok()).ok_or(BadKind::NotANumber)
}

/// The row as text: only ASCII is part of a number.
#[inline]
fn ascii(row: &[u8]) -> Option<&str> {
    // SAFETY: ASCII is UTF-8.
    row.is_ascii().then(|| unsafe { std::str::from_utf8_unchecked(row) })
}
