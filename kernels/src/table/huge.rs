//! Memory in huge pages, where the system gives them when it is asked: a page fault and an entry of
//! the TLB for 2 MiB instead of 4 KiB. Where it does not, everything works as before.

/// The size of a huge page on x86-64 and on most of aarch64.
const BYTES: usize = 2 << 20;

/// A huge page of words, zero at first.
pub(super) struct HugePage {
    words: Box<Words>,
}

#[repr(C, align(2097152))]
struct Words([u64; HugePage::WORDS]);

const _: () = assert!(align_of::<Words>() == BYTES && size_of::<Words>() == BYTES);

impl HugePage {
    /// Words of a page.
    pub(super) const WORDS: usize = BYTES / size_of::<u64>();

    pub(super) fn new() -> HugePage {
        let mut words = Box::<Words>::new_uninit();
        advise(words.as_mut_ptr().cast(), BYTES);
        // Only now: it is the first touch that makes the pages.
        // SAFETY: the box owns the memory of one `Words`, all of which is written.
        unsafe { words.as_mut_ptr().write_bytes(0, 1) };
        // SAFETY: words of zeros are words.
        HugePage { words: unsafe { words.assume_init() } }
    }

    #[inline(always)]
    pub(super) fn words(&self) -> &[u64; HugePage::WORDS] {
        &self.words.0
    }

    #[inline(always)]
    pub(super) fn words_mut(&mut self) -> &mut [u64; HugePage::WORDS] {
        &mut self.words.0
    }
}

impl Clone for HugePage {
    fn clone(&self) -> HugePage {
        let mut page = HugePage::new();
        page.words_mut().copy_from_slice(self.words());
        page
    }
}

/// An empty vector with room for `capacity` values, of which `len` come at once: in huge pages if
/// these fill one.
pub(super) fn vec_with_capacity<T: Copy>(len: usize, capacity: usize) -> Vec<T> {
    let mut vec = Vec::with_capacity(capacity);
    if len * size_of::<T>() >= BYTES {
        let room = vec.spare_capacity_mut();
        advise(room.as_mut_ptr().cast(), size_of_val(room));
    }
    vec
}

/// Asks for huge pages in this memory. A wish: whether it is granted shows in nothing but time.
fn advise(start: *mut u8, bytes: usize) {
    let to_border = start.align_offset(BYTES);
    let whole = bytes.saturating_sub(to_border) / BYTES * BYTES;
    if whole == 0 {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        let start = start.wrapping_add(to_border);
        // SAFETY: the advice changes no byte, and the range lies within memory of the caller's.
        let _ = unsafe { madvise(start.cast(), whole, Advice::LinuxHugepage) };
    }
}
