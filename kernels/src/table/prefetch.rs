//! Asking for a cache line before it is needed: a hint, without an effect on what is computed.

/// Starts to bring the cache lines where a value begins and where it ends, so that they are there
/// when they are wanted. Past the end of the slice, and where nobody wants it, it only costs time.
///
/// ```
/// use tidemill_kernels::prefetch_row;
///
/// prefetch_row(&[1, 2, 3], 2);
/// prefetch_row(&[1, 2, 3], 3);
/// ```
#[inline(always)]
pub fn prefetch_row<T>(values: &[T], row: usize) {
    let place = values.as_ptr().wrapping_add(row);
    prefetch(place);
    // One that is no longer than its alignment is in one line: of others, some reach into the next.
    if size_of::<T>() > align_of::<T>() {
        prefetch(place.cast::<u8>().wrapping_add(size_of::<T>() - 1));
    }
}

/// Starts to bring the cache line where `place` begins.
#[inline(always)]
pub(super) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults nowhere, and SSE is in every x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
