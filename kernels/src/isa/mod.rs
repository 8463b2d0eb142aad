//! What differs between instruction sets when text is cut: 64 bytes to a mask, and a mask to
//! positions. Each file defines the same functions, so that the loops above are written once.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod baseline;
pub(crate) mod scalar;

/// Bytes a mask speaks of: bit `i` is byte `i`.
pub(crate) const BLOCK: usize = 64;

/// Sixty-four bytes of text.
pub(crate) type Block = [u8; BLOCK];

/// Room that `positions` may write to, whatever the mask.
pub(crate) type Positions = [u32; BLOCK];
