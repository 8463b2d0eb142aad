//! Whether two keys are the same bytes, with no look at what lies behind them.

/// Whether these are the same bytes. What the machine's library does for any length reads whole
/// registers where it can, and of a short key what comes after it, too: a line of memory more, of
/// which the wait is longer than all else if nobody has asked for it.
///
/// ```
/// use tidemill_kernels::same_bytes;
///
/// assert!(same_bytes(b"ebb", b"ebb"));
/// assert!(!same_bytes(b"ebb", b"flow"));
/// ```
#[inline(always)]
pub fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        0 => true,
        1..4 => {
            let (middle, last) = (left.len() / 2, left.len() - 1);
            let differs = |at: usize| left[at] ^ right[at];
            differs(0) | differs(middle) | differs(last) == 0
        }
        4..8 => same_ends(left, right, u32::from_ne_bytes),
        8..=16 => same_ends(left, right, u64::from_ne_bytes),
        17..=32 => same_ends(left, right, u128::from_ne_bytes),
        _ => left == right,
    }
}

/// Whether the first bytes are the same and the last, which are all: `N` to twice as many.
#[inline(always)]
fn same_ends<const N: usize, W: PartialEq>(
    left: &[u8],
    right: &[u8],
    word: impl Fn([u8; N]) -> W,
) -> bool {
    let first = |bytes: &[u8]| bytes.first_chunk().copied().map(&word);
    let last = |bytes: &[u8]| bytes.last_chunk().copied().map(&word);
    (first(left) == first(right)) & (last(left) == last(right))
}
