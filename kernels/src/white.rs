//! Unicode's spaces past ASCII, because `str::split_whitespace` knows them: found as byte patterns,
//! which in valid UTF-8 stand nowhere but where the character does.

use crate::isa::BLOCK;

/// Length of the Unicode space past ASCII at the start of `bytes`, if there is one.
#[inline]
pub(crate) fn wide_white_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        // U+0085 and U+00A0.
        [0xC2, 0x85 | 0xA0, ..] => Some(2),
        // U+1680; U+2000 to 200A, 2028, 2029, 202F; U+205F; U+3000.
        [0xE1, 0x9A, 0x80, ..]
        | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..]
        | [0xE2, 0x81, 0x9F, ..]
        | [0xE3, 0x80, 0x80, ..] => Some(3),
        _ => None,
    }
}

/// The bytes of `row`'s block at `at` that belong to a Unicode space which begins in it, and, in
/// the second number, the bytes of the next block that do.
///
/// `leads` are the block's bytes that may begin one.
#[cold]
pub(crate) fn wide_white(row: &[u8], at: usize, mut leads: u64) -> (u64, u64) {
    let mut white = 0u128;
    while leads != 0 {
        let index = leads.trailing_zeros() as usize;
        leads &= leads - 1;
        if let Some(len) = row.get(at + index..).and_then(wide_white_len) {
            white |= ((1 << len) - 1) << index;
        }
    }
    (white as u64, (white >> BLOCK) as u64)
}
