//! Thirty-two bytes at a time, two registers a block; set bits become positions one `tzcnt` each.

use std::arch::x86_64::*;

use super::{Block, Positions};

/// The bytes equal to `byte`.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn equal(block: &Block, byte: u8) -> u64 {
    let wanted = _mm256_set1_epi8(byte as i8);
    mask(load(block).map(|half| _mm256_cmpeq_epi8(half, wanted)))
}

/// The ASCII bytes of White_Space: tab, line feed, vertical tab, form feed, return and space.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn ascii_white(block: &Block) -> u64 {
    // 9..=13 come to the five least signed bytes.
    let to_least = _mm256_set1_epi8(i8::MIN.wrapping_sub(9));
    let past = _mm256_set1_epi8(i8::MIN + 5);
    let space = _mm256_set1_epi8(b' ' as i8);
    mask(load(block).map(|half| {
        let control = _mm256_cmpgt_epi8(past, _mm256_add_epi8(half, to_least));
        _mm256_or_si256(control, _mm256_cmpeq_epi8(half, space))
    }))
}

/// The bytes that can begin a Unicode space past ASCII: C2, and E1 to E3.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn wide_white_leads(block: &Block) -> u64 {
    let halves = load(block);
    if mask(halves) == 0 {
        return 0;
    }
    let c2 = _mm256_set1_epi8(0xC2u8 as i8);
    // E1..=E3 come to the three least signed bytes.
    let to_least = _mm256_set1_epi8(i8::MIN.wrapping_sub(0xE1u8 as i8));
    let past = _mm256_set1_epi8(i8::MIN + 3);
    mask(halves.map(|half| {
        let three = _mm256_cmpgt_epi8(past, _mm256_add_epi8(half, to_least));
        _mm256_or_si256(three, _mm256_cmpeq_epi8(half, c2))
    }))
}

/// Writes `base` + the index of each set bit of `mask`, in order; what follows them is junk.
#[inline]
#[target_feature(enable = "bmi1,popcnt")]
pub(crate) fn positions(mut mask: u64, base: u32, out: &mut Positions) {
    let count = mask.count_ones() as usize;
    // Eight at a time, set or not: a branch per eight bits instead of one per bit, as in simdjson.
    for chunk in out.as_chunks_mut::<8>().0.iter_mut().take(count.div_ceil(8)) {
        for position in chunk {
            *position = base.wrapping_add(mask.trailing_zeros());
            mask &= mask.wrapping_sub(1);
        }
    }
}

/// Which of eight words are `word`.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn equal_words(words: &[u32; 8], word: u32) -> u32 {
    // SAFETY: the words are 32 bytes, all of them read.
    let words = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
    let equal = _mm256_cmpeq_epi32(words, _mm256_set1_epi32(word as i32));
    _mm256_movemask_ps(_mm256_castsi256_ps(equal)) as u32
}

/// The first `len` of sixteen bytes, the others zero; all of them where `len` is larger.
#[inline]
#[target_feature(enable = "bmi2")]
pub(crate) fn keep_first([a, b]: [u64; 2], len: u32) -> [u64; 2] {
    // `bzhi` keeps everything from 64 bits on.
    let bits = 8 * len;
    [_bzhi_u64(a, bits), _bzhi_u64(b, bits.saturating_sub(64))]
}

/// Whether two pairs of words are the same.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn same(a: &[u64; 2], b: &[u64; 2]) -> bool {
    // SAFETY: both are 16 bytes, all of them read.
    let (a, b) =
        unsafe { (_mm_loadu_si128(a.as_ptr().cast()), _mm_loadu_si128(b.as_ptr().cast())) };
    let difference = _mm_xor_si128(a, b);
    _mm_testz_si128(difference, difference) == 1
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &Block) -> [__m256i; 2] {
    let (halves, _) = block.as_chunks::<32>();
    [0, 1].map(|half| {
        // SAFETY: `half` indexes an array of 32 bytes, all of them read.
        unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) }
    })
}

/// The sign bits of 64 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn mask([low, high]: [__m256i; 2]) -> u64 {
    let low = _mm256_movemask_epi8(low) as u32;
    let high = _mm256_movemask_epi8(high) as u32;
    u64::from(low) | u64::from(high) << 32
}
