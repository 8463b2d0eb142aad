//! What is fast on every machine of an architecture, for code that runs without a level: single
//! look-ups, where choosing one would cost more than it gives.

/// Which of eight words are `word`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn equal_words(words: &[u32; 8], word: u32) -> u32 {
    // SAFETY: SSE2 is in every x86-64.
    unsafe { equal_words_sse2(words, word) }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use super::scalar::equal_words;

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn equal_words_sse2(words: &[u32; 8], word: u32) -> u32 {
    use std::arch::x86_64::*;
    let wanted = _mm_set1_epi32(word as i32);
    let (halves, _) = words.as_chunks::<4>();
    let [low, high] = [0, 1].map(|half| {
        // SAFETY: `half` indexes an array of 16 bytes, all of them read.
        let words = unsafe { _mm_loadu_si128(halves[half].as_ptr().cast()) };
        _mm_cmpeq_epi32(words, wanted)
    });
    // Two bytes for each word, and then one.
    let equal = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
    _mm_movemask_epi8(equal) as u32
}
