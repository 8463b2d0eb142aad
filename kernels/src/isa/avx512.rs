//! A block in one register, and set bits to positions by compressing the numbers 0 to 63: no loop
//! over bits, and no branch for up to 32 of them.

use std::arch::x86_64::*;

use super::{Block, Positions};

/// The bytes equal to `byte`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn equal(block: &Block, byte: u8) -> u64 {
    _mm512_cmpeq_epi8_mask(load(block), _mm512_set1_epi8(byte as i8))
}

/// The ASCII bytes of White_Space: tab, line feed, vertical tab, form feed, return and space.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn ascii_white(block: &Block) -> u64 {
    let from_9 = _mm512_sub_epi8(load(block), _mm512_set1_epi8(9));
    _mm512_cmplt_epu8_mask(from_9, _mm512_set1_epi8(5)) | equal(block, b' ')
}

/// The bytes that can begin a Unicode space past ASCII: C2, and E1 to E3.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn wide_white_leads(block: &Block) -> u64 {
    let bytes = load(block);
    if _mm512_movepi8_mask(bytes) == 0 {
        return 0;
    }
    let from_e1 = _mm512_sub_epi8(bytes, _mm512_set1_epi8(0xE1u8 as i8));
    _mm512_cmplt_epu8_mask(from_e1, _mm512_set1_epi8(3)) | equal(block, 0xC2)
}

/// Writes `base` + the index of each set bit of `mask`, in order; what follows them is junk.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
pub(crate) fn positions(mask: u64, base: u32, out: &mut Positions) {
    const INDEXES: Block = {
        let mut indexes = [0; 64];
        let mut index = 0;
        while index < 64 {
            indexes[index] = index as u8;
            index += 1;
        }
        indexes
    };
    // To a register, then stored: compression straight to memory is microcoded on Zen.
    let packed = _mm512_maskz_compress_epi8(mask, load(&INDEXES));
    let base = _mm512_set1_epi32(base as i32);
    let (quarters, _) = out.as_chunks_mut::<16>();
    store(&mut quarters[0], widen(_mm512_castsi512_si128(packed), base));
    store(&mut quarters[1], widen(_mm512_extracti32x4_epi32::<1>(packed), base));
    if mask.count_ones() > 32 {
        store(&mut quarters[2], widen(_mm512_extracti32x4_epi32::<2>(packed), base));
        store(&mut quarters[3], widen(_mm512_extracti32x4_epi32::<3>(packed), base));
    }
}

/// Which of eight words are `word`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(crate) fn equal_words(words: &[u32; 8], word: u32) -> u32 {
    // SAFETY: the words are 32 bytes, all of them read.
    let words = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
    u32::from(_mm256_cmpeq_epi32_mask(words, _mm256_set1_epi32(word as i32)))
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
#[target_feature(enable = "avx512f")]
fn widen(indexes: __m128i, base: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_cvtepu8_epi32(indexes), base)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(block: &Block) -> __m512i {
    // SAFETY: the block is 64 bytes, all of them read.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [u32; 16], positions: __m512i) {
    // SAFETY: `out` is 64 bytes, all of them written.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), positions) }
}
