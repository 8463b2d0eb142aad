//! Eight bytes at a time in a `u64`, for machines without the rest and as their oracle's neighbour;
//! the tests for a zero byte are the exact ones of Hacker's Delight (6-1), free of false positives.

use super::{Block, Positions};

const LOW_7: u64 = 0x7F7F_7F7F_7F7F_7F7F;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The bytes equal to `byte`.
#[inline(always)]
pub(crate) fn equal(block: &Block, byte: u8) -> u64 {
    words(block, |word| zero_bytes(word ^ (ONES * u64::from(byte))))
}

/// The ASCII bytes of White_Space: tab, line feed, vertical tab, form feed, return and space.
#[inline(always)]
pub(crate) fn ascii_white(block: &Block) -> u64 {
    words(block, |word| {
        // 9..=13 come to 0..=4 by the subtraction; seven bits and a carry say who is below five.
        let low = word & LOW_7;
        let from_9 = low + ONES * (0x80 - 9);
        let from_14 = low + ONES * (0x80 - 14);
        let control = from_9 & !from_14 & !word & !LOW_7;
        control | zero_bytes(word ^ (ONES * 0x20))
    })
}

/// The bytes that can begin a Unicode space past ASCII: C2, and E1 to E3.
#[inline(always)]
pub(crate) fn wide_white_leads(block: &Block) -> u64 {
    if words(block, |word| word & !LOW_7) == 0 {
        return 0;
    }
    [0xC2, 0xE1, 0xE2, 0xE3].into_iter().fold(0, |mask, lead| mask | equal(block, lead))
}

/// Writes `base` + the index of each set bit of `mask`, in order; what follows them is junk.
#[inline(always)]
pub(crate) fn positions(mut mask: u64, base: u32, out: &mut Positions) {
    let mut index = 0;
    while mask != 0 {
        out[index] = base + mask.trailing_zeros();
        index += 1;
        mask &= mask - 1;
    }
}

/// The mask of a block, from a function that sets the top bit of each byte that counts.
#[inline(always)]
fn words(block: &Block, top_bits: impl Fn(u64) -> u64) -> u64 {
    let (chunks, _) = block.as_chunks::<8>();
    chunks.iter().enumerate().fold(0, |mask, (index, chunk)| {
        let tops = top_bits(u64::from_le_bytes(*chunk)) >> 7;
        // The product's top byte gathers the eight bits, the lowest byte's first.
        mask | (tops.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index)
    })
}

/// The top bit of each byte of `word` that is zero.
#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_7) + LOW_7) | word | LOW_7)
}

/// Which of eight words are `word`.
#[inline(always)]
pub(crate) fn equal_words(words: &[u32; 8], word: u32) -> u32 {
    let bits = words.iter().enumerate().map(|(index, other)| u32::from(*other == word) << index);
    bits.fold(0, |mask, bit| mask | bit)
}

/// The first `len` of sixteen bytes, the others zero; all of them where `len` is larger.
#[inline(always)]
pub(crate) fn keep_first([a, b]: [u64; 2], len: u32) -> [u64; 2] {
    let [keep_a, keep_b] = KEEP[len.min(16) as usize];
    [a & keep_a, b & keep_b]
}

/// Whether two pairs of words are the same.
#[inline(always)]
pub(crate) fn same(a: &[u64; 2], b: &[u64; 2]) -> bool {
    ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0
}

/// For each length, the bits of two words that belong to it.
static KEEP: [[u64; 2]; 17] = {
    let mut keep = [[0; 2]; 17];
    let mut len = 1;
    while len <= 16 {
        let bits = u128::MAX >> (128 - 8 * len);
        keep[len] = [bits as u64, (bits >> 64) as u64];
        len += 1;
    }
    keep
};
