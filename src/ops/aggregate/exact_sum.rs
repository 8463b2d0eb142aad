//! Sums without any rounding: of floats, of decimals, and of both together.
//!
//! The sum is an integer wide enough for the smallest float and the largest, as Kulisch proposed
//! (Kulisch and Miranker, "The arithmetic of the digital computer: a new approach", SIAM Review 28,
//! 1986; Neal, "Fast exact summation using small and large superaccumulators", arXiv:1505.05571,
//! 2015, has faster ways for long columns of floats). So it does not depend on the order of what is
//! added, and what comes out is the exact result, rounded once.

use crate::error::Result;
use crate::record::saved::{push_signed, take_signed};
use crate::record::{Number, TENS, parts};

/// The greatest scale of a decimal, whose unit is 10^-18.
const SCALE: u8 = (TENS.len() - 1) as u8;
const UNIT: i64 = TENS[SCALE as usize];

/// The place of the bit that stands for 10^-18: there are 1,074 to the smallest float, and 64 more
/// to round by.
const POINT: usize = 1_074 + 64;

/// The largest float has 2,098 bits before the smallest float's, the decimal unit has 60, and
/// 2^63 of them and a sign have 64.
const WORDS: usize = (64 + 2_098 + 60 + 64usize).div_ceil(64);

/// An exact sum.
#[derive(Clone, Debug)]
pub(super) struct ExactSum {
    /// The sum times 10^18 × 2^1138 in two's complement, the lowest word first.
    words: [u64; WORDS],
}

impl ExactSum {
    pub(super) fn new() -> ExactSum {
        ExactSum { words: [0; WORDS] }
    }

    /// Adds a finite float.
    pub(super) fn add_float(&mut self, value: f64) {
        let (mantissa, exponent) = parts(value);
        let place = (POINT as i32 + exponent) as usize;
        self.add(i128::from(mantissa) * i128::from(UNIT), place);
    }

    /// Adds `mantissa / 10^scale`.
    pub(super) fn add_decimal(&mut self, mantissa: i128, scale: u8) {
        let factor = i128::from(TENS[usize::from(SCALE - scale)]);
        self.add(i128::from(mantissa as u64) * factor, POINT);
        self.add((mantissa >> 64) * factor, POINT + 64);
    }

    /// Adds an integer at this place.
    fn add(&mut self, value: i128, place: usize) {
        let bits = place % 64;
        let (low, high) = (value << bits, value >> 64 >> (64 - bits));
        let addend = [low as u64, (low >> 64) as u64, high as u64];
        let sign = (value >> 127) as u64;
        let mut carry = false;
        for (index, word) in self.words[place / 64..].iter_mut().enumerate() {
            // A carry into ones goes on as one, and nothing changes.
            if index >= addend.len() && carry == (sign != 0) {
                break;
            }
            let addend = addend.get(index).copied().unwrap_or(sign);
            (*word, carry) = word.carrying_add(addend, carry);
        }
    }

    pub(super) fn merge(&mut self, other: &ExactSum) {
        let mut carry = false;
        for (word, other) in self.words.iter_mut().zip(other.words) {
            (*word, carry) = word.carrying_add(other, carry);
        }
    }

    pub(super) fn unmerge(&mut self, other: &ExactSum) {
        let mut borrow = false;
        for (word, other) in self.words.iter_mut().zip(other.words) {
            (*word, borrow) = word.borrowing_sub(other, borrow);
        }
    }

    /// The sum, if it is a decimal.
    pub(super) fn decimal(&self) -> Option<Number> {
        // In units of 10^-18 it then is an integer, and one that an `i128` holds.
        let is_whole = !self.any_below(POINT);
        let units = i128::from(self.word_at(POINT)) | i128::from(self.word_at(POINT + 64)) << 64;
        let mut again = ExactSum::new();
        again.add(units, POINT);
        if is_whole && again.words == self.words { decimal(units, SCALE) } else { None }
    }

    /// The float that is nearest to the sum divided by `count`, which is not zero.
    pub(super) fn quotient(&self, count: u64) -> f64 {
        let is_negative = self.words[WORDS - 1] >> 63 != 0;
        let mut magnitude = ExactSum::new();
        if is_negative {
            magnitude.unmerge(self);
        } else {
            magnitude = self.clone();
        }
        let is_inexact = magnitude.divide(count) | magnitude.divide(UNIT as u64);
        let float = magnitude.round(is_inexact);
        if is_negative { -float } else { float }
    }

    /// Appends the words, short where they are only a sign.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.words.iter().for_each(|&word| push_signed(word as i64, out));
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<ExactSum> {
        let mut sum = ExactSum::new();
        for word in &mut sum.words {
            *word = take_signed(from)? as u64;
        }
        Ok(sum)
    }

    /// Divides what is not negative; whether something is left.
    fn divide(&mut self, divisor: u64) -> bool {
        let (mut rest, divisor) = (0, u128::from(divisor));
        for word in self.words.iter_mut().rev() {
            let part = rest << 64 | u128::from(*word);
            *word = (part / divisor) as u64;
            rest = part % divisor;
        }
        rest != 0
    }

    /// The nearest float, of two the even one, once the unit is 2^-1138; `and_more` says that a
    /// part of one is missing.
    fn round(&self, and_more: bool) -> f64 {
        const SMALLEST: usize = 64;
        const FRACTION: usize = f64::MANTISSA_DIGITS as usize - 1;
        let Some(top) = (0..WORDS).rev().find(|&word| self.words[word] != 0) else { return 0.0 };
        let top = 64 * top + self.words[top].ilog2() as usize;
        let last = top.saturating_sub(FRACTION).max(SMALLEST);
        let mantissa = self.word_at(last);
        let is_half = self.word_at(last - 1) & 1 != 0;
        let is_up = is_half && (mantissa & 1 != 0 || and_more || self.any_below(last - 1));
        // The leading bit adds one to the exponent, and so does a carry out of the mantissa.
        let bits = ((last - SMALLEST) << FRACTION) as u64 + mantissa + u64::from(is_up);
        f64::from_bits(bits.min(f64::INFINITY.to_bits()))
    }

    /// The 64 bits from this place on.
    fn word_at(&self, place: usize) -> u64 {
        let word = |index: usize| u128::from(self.words.get(index).copied().unwrap_or(0));
        let (index, bits) = (place / 64, place % 64);
        ((word(index) | word(index + 1) << 64) >> bits) as u64
    }

    /// Whether there is a bit below this place.
    fn any_below(&self, place: usize) -> bool {
        let (whole, bits) = (place / 64, place % 64);
        self.words[..whole].iter().any(|&word| word != 0)
            || self.words[whole] << (63 - bits) << 1 != 0
    }
}

/// The number `mantissa / 10^scale` if it is a decimal.
pub(super) fn decimal(mut mantissa: i128, mut scale: u8) -> Option<Number> {
    loop {
        if let Ok(mantissa) = i64::try_from(mantissa) {
            return Some(Number::decimal(mantissa, scale));
        }
        if scale == 0 || mantissa % 10 != 0 {
            return None;
        }
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
}
