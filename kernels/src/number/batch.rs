//! Rows of decimal text on their way to numbers, in batches: their characters are put into words,
//! and then each step is a loop over all words without a branch, which the compiler makes into
//! vector instructions. Only *plain* rows are done here: a sign or none, digits, and at most one
//! point, in up to sixteen characters. All others are marked and left to the general ways.
//!
//! Eight digits in a word are made a number by three multiplications (Lemire, "Quickly parsing
//! eight digits", 2018); a point is taken out before, by shifting what stands after it.

use crate::Span;

/// Rows of a batch.
pub(crate) const ROWS: usize = 128;

/// Characters of a row that is plain, at most.
const WIDTH: usize = 16;

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW_7: u64 = 0x7F * ONES;

/// Characters are kept as their difference to `0`, in bits, so that digits are their own values
/// and bytes that are not there are zeros.
const ZEROS: u64 = b'0' as u64 * ONES;
const POINTS: u64 = (b'.' ^ b'0') as u64 * ONES;
const MINUS: u64 = (b'-' ^ b'0') as u64;
const PLUS: u64 = (b'+' ^ b'0') as u64;

/// Rows, first as characters, then as numbers.
pub(super) struct Batch {
    /// The first characters, and what of the text follows them.
    chars: [[u8; WIDTH]; ROWS],
    /// Numbers of characters.
    lens: [u64; ROWS],
    /// What the digits say, the point left out.
    pub(super) digits: [u64; ROWS],
    /// All ones where a minus stands before them.
    pub(super) minus: [u64; ROWS],
    /// The place of the point, counted from the end: zero where there is none.
    pub(super) points: [u64; ROWS],
    /// Not zero where a row is not plain; the other fields then mean nothing.
    pub(super) odd: [u64; ROWS],
}

/// One row's numbers.
struct Plain {
    digits: u64,
    minus: u64,
    point: u64,
    odd: u64,
}

impl Batch {
    #[inline(always)]
    pub(super) fn new() -> Batch {
        Batch {
            chars: [[b'0'; WIDTH]; ROWS],
            lens: [1; ROWS],
            digits: [0; ROWS],
            minus: [0; ROWS],
            points: [0; ROWS],
            odd: [0; ROWS],
        }
    }

    /// Takes up to [`ROWS`] rows of `text`.
    #[inline(always)]
    pub(super) fn read(&mut self, text: &[u8], spans: &[Span]) {
        let spans = &spans[..spans.len().min(ROWS)];
        let (mut longest, mut last) = (0, 0);
        for (span, len) in spans.iter().zip(&mut self.lens) {
            longest = longest.max(span.len);
            last = last.max(span.start);
            *len = u64::from(span.len);
        }
        if last as usize + WIDTH <= text.len() {
            for (span, chars) in spans.iter().zip(&mut self.chars) {
                // SAFETY: the condition above: sixteen bytes of text follow every start.
                *chars = unsafe { *text.as_ptr().add(span.start as usize).cast() };
            }
        } else {
            self.load_padded(text, spans);
        }
        if longest <= 8 {
            for row in 0..ROWS {
                let [low, _] = words(&self.chars[row]);
                self.put(row, one_word(low, self.lens[row]));
            }
        } else {
            for row in 0..ROWS {
                let [low, high] = words(&self.chars[row]);
                self.put(row, two_words(low, high, self.lens[row]));
            }
        }
    }

    /// Whether the point stands at the same place in all rows, or in none.
    #[inline(always)]
    pub(super) fn is_uniform(&self) -> bool {
        let first = self.points[0];
        self.points.iter().fold(0, |differ, point| differ | (point ^ first)) == 0
    }

    /// Loads rows near the end of the text.
    #[cold]
    fn load_padded(&mut self, text: &[u8], spans: &[Span]) {
        for (span, chars) in spans.iter().zip(&mut self.chars) {
            let row = &text[span.range()];
            let len = row.len().min(WIDTH);
            chars[..len].copy_from_slice(&row[..len]);
        }
    }

    #[inline(always)]
    fn put(&mut self, row: usize, plain: Plain) {
        self.digits[row] = plain.digits;
        self.minus[row] = plain.minus;
        self.points[row] = plain.point;
        self.odd[row] = plain.odd;
    }
}

/// How many digits follow a point, as [`Batch::points`] has it.
#[inline(always)]
pub(super) fn fraction_len(point: u64) -> u32 {
    // The top bit of byte 7 - n for up to seven digits, four bits lower for eight more; zero has
    // 64 leading zeros, which come to no digits.
    let zeros = point.leading_zeros();
    (zeros >> 3 & 7) + ((zeros & 4) << 1)
}

#[inline(always)]
fn words(chars: &[u8; WIDTH]) -> [u64; 2] {
    let (words, _) = chars.as_chunks();
    [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
}

/// Up to eight characters, the first in the lowest byte of `chars`.
#[inline(always)]
fn one_word(chars: u64, len: u64) -> Plain {
    let room = 64u64.wrapping_sub(8 * len);
    let chars = (chars ^ ZEROS) & u64::MAX >> (room & 63);
    let sign = Sign::of(chars);
    // A sign becomes a leading zero.
    let chars = if sign.is_there() { chars & !0xFF } else { chars };
    let points = zero_bytes(chars ^ POINTS);
    let before = (points >> 7).wrapping_sub(1);
    let digits = chars & before | chars >> 8 & !before;
    let has_point = u64::from(points != 0);
    let digits = digits << (room.wrapping_add(8 * has_point) & 63);
    let no_digit = u64::from(len.wrapping_sub(u64::from(sign.is_there()) + has_point) == 0);
    Plain {
        digits: eight_digits(digits),
        minus: sign.minus(),
        point: points << (room & 63),
        odd: len.wrapping_sub(1) >> 3
            | past_nine(digits)
            | points & points.wrapping_sub(1)
            | no_digit,
    }
}

/// Up to sixteen characters, the first in the lowest byte of `low`.
#[inline(always)]
fn two_words(low: u64, high: u64, len: u64) -> Plain {
    let in_low = len.min(8);
    let in_high = len.wrapping_sub(in_low).min(8);
    let low = (low ^ ZEROS) & u64::MAX >> (64u64.wrapping_sub(8 * in_low) & 63);
    // In two steps, as a shift by 64 is none.
    let keep = (1u64 << (4 * in_high) << (4 * in_high)).wrapping_sub(1);
    let high = (high ^ ZEROS) & keep;
    let sign = Sign::of(low);
    let low = if sign.is_there() { low & !0xFF } else { low };
    let (low_points, high_points) = (zero_bytes(low ^ POINTS), zero_bytes(high ^ POINTS));
    let low_before = (low_points >> 7).wrapping_sub(1);
    let high_before = if low_points != 0 { 0 } else { (high_points >> 7).wrapping_sub(1) };
    let digits_low = low & low_before | (low >> 8 | high << 56) & !low_before;
    let digits_high = high & high_before | high >> 8 & !high_before;
    let has_point = u64::from(low_points | high_points != 0);
    let room = 128u64.wrapping_sub(8 * len);
    let (digits_low, digits_high) =
        shift_up(digits_low, digits_high, room.wrapping_add(8 * has_point));
    let (low_point, high_point) = shift_up(low_points, high_points, room);
    let no_digit = u64::from(len.wrapping_sub(u64::from(sign.is_there()) + has_point) == 0);
    let points = low_points | high_points >> 4;
    Plain {
        digits: eight_digits(digits_low) * 100_000_000 + eight_digits(digits_high),
        minus: sign.minus(),
        point: high_point | low_point >> 4,
        odd: len.wrapping_sub(1) >> 4
            | past_nine(digits_low)
            | past_nine(digits_high)
            | points & points.wrapping_sub(1)
            | no_digit,
    }
}

/// What stands in the first byte.
#[derive(Copy, Clone)]
struct Sign {
    first: u64,
}

impl Sign {
    #[inline(always)]
    fn of(chars: u64) -> Sign {
        Sign { first: chars & 0xFF }
    }

    #[inline(always)]
    fn is_there(self) -> bool {
        (self.first == MINUS) | (self.first == PLUS)
    }

    #[inline(always)]
    fn minus(self) -> u64 {
        if self.first == MINUS { u64::MAX } else { 0 }
    }
}

/// A pair of words shifted up by fewer than 128 bits.
#[inline(always)]
fn shift_up(low: u64, high: u64, bits: u64) -> (u64, u64) {
    let within = bits & 63;
    let (up, over) = (low << within, low >> 1 >> (63 - within));
    if bits & 64 == 0 { (up, high << within | over) } else { (0, up) }
}

/// The number that eight digits say, the first in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    (fours & 0xFFFF_FFFF) * 10_000 + (fours >> 32)
}

/// The number that sixteen digits say, if they are digits.
#[inline]
pub(super) fn sixteen_digits(digits: &[u8; WIDTH]) -> Option<u64> {
    let [low, high] = words(digits).map(|word| word ^ ZEROS);
    let is_number = past_nine(low) | past_nine(high) == 0;
    is_number.then(|| eight_digits(low) * 100_000_000 + eight_digits(high))
}

/// Not zero if a byte is past nine.
#[inline(always)]
fn past_nine(digits: u64) -> u64 {
    // A sum can carry only out of a byte that has its top bit set itself.
    (digits.wrapping_add(0x76 * ONES) | digits) & !LOW_7
}

/// The top bit of each byte of `word` that is zero (Hacker's Delight, 6-1).
#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_7) + LOW_7) | word | LOW_7)
}
