//! Memory in huge pages, where the system gives them when it is asked: a page fault and an entry of
//! the TLB for 2 MiB instead of 4 KiB. Where it does not, everything works as before.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// The size of a huge page on x86-64 and on most of aarch64.
pub(crate) const BYTES: usize = 2 << 20;

/// Room for values, which it neither reads nor drops: in huge pages that nothing else lies in, if
/// it would fill more than half of one.
pub(crate) struct Room<T> {
    start: NonNull<T>,
    capacity: usize,
}

// SAFETY: the room is nobody else's, as a vector's is.
unsafe impl<T: Send> Send for Room<T> {}

// SAFETY: as above.
unsafe impl<T: Sync> Sync for Room<T> {}

impl<T> Room<T> {
    pub(crate) fn new(capacity: usize) -> Room<T> {
        let layout = Self::layout(capacity);
        if layout.size() == 0 {
            return Room { start: NonNull::dangling(), capacity };
        }
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc(layout) });
        let start = start.unwrap_or_else(|| handle_alloc_error(layout));
        advise(start.as_ptr(), layout.size());
        Room { start: start.cast(), capacity }
    }

    fn layout(capacity: usize) -> Layout {
        let layout = Layout::array::<T>(capacity).expect("no room is as large as half of memory");
        if layout.size() <= BYTES / 2 {
            return layout;
        }
        layout.align_to(BYTES).expect("it is a power of two").pad_to_align()
    }

    pub(crate) fn values(&self) -> &[MaybeUninit<T>] {
        // SAFETY: this is the room, or there is none and it has no bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.capacity) }
    }

    pub(crate) fn values_mut(&mut self) -> &mut [MaybeUninit<T>] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.capacity) }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.capacity);
        if layout.size() > 0 {
            // SAFETY: this is what was allocated, by the same layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

/// A huge page of words, zero at first.
pub(crate) struct HugePage {
    words: Room<u64>,
}

impl HugePage {
    /// Words of a page.
    pub(crate) const WORDS: usize = BYTES / size_of::<u64>();

    pub(crate) fn new() -> HugePage {
        let mut words = Room::new(Self::WORDS);
        words.values_mut().fill(MaybeUninit::new(0));
        HugePage { words }
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64; HugePage::WORDS] {
        // SAFETY: all words of the page have been written.
        unsafe { &*self.words.values().as_ptr().cast() }
    }

    #[inline(always)]
    pub(crate) fn words_mut(&mut self) -> &mut [u64; HugePage::WORDS] {
        // SAFETY: as above.
        unsafe { &mut *self.words.values_mut().as_mut_ptr().cast() }
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
pub(crate) fn vec_with_capacity<T: Copy>(len: usize, capacity: usize) -> Vec<T> {
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
