//! Values by number, with holes: a vector of options that spends a bit on each.

use std::mem::MaybeUninit;

use crate::table::prefetch_row;

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Values, or holes where there was one, in a vector. A value takes its own size and a bit,
/// where an `Option` mostly takes up to eight bytes more.
///
/// ```
/// use tidemill_kernels::Slots;
///
/// let mut slots = Slots::with_capacity(2);
/// slots.push(Some("ebb"));
/// slots.push(Some("flow"));
/// assert_eq!(slots.take(0), Some("ebb"));
/// assert_eq!(slots.iter().collect::<Vec<_>>(), [None, Some(&"flow")]);
/// ```
pub struct Slots<T> {
    /// Those with a set bit are initialised.
    values: Vec<MaybeUninit<T>>,
    /// A bit for each value: whether it is there.
    full: Vec<u64>,
}

impl<T> Slots<T> {
    /// No slots, and room for so many.
    pub fn with_capacity(capacity: usize) -> Slots<T> {
        let full = Vec::with_capacity(capacity.div_ceil(BITS));
        Slots { values: Vec::with_capacity(capacity), full }
    }

    /// The number of slots, holes among them.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Appends a slot.
    pub fn push(&mut self, value: Option<T>) {
        let row = self.values.len();
        if row.is_multiple_of(BITS) {
            self.full.push(0);
        }
        let is_full = value.is_some();
        self.values.push(value.map_or(MaybeUninit::uninit(), MaybeUninit::new));
        // Only now, as the bit says that the value is there.
        self.full[row / BITS] |= u64::from(is_full) << (row % BITS);
    }

    /// The value of a slot; nothing in a hole, and past the end.
    pub fn get(&self, row: usize) -> Option<&T> {
        // SAFETY: the bit says that the value is there.
        self.is_full(row).then(|| unsafe { self.values[row].assume_init_ref() })
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, row: usize) -> Option<&mut T> {
        // SAFETY: the bit says that the value is there.
        self.is_full(row).then(|| unsafe { self.values[row].assume_init_mut() })
    }

    /// Takes the value out of a slot, which becomes a hole.
    pub fn take(&mut self, row: usize) -> Option<T> {
        if !self.is_full(row) {
            return None;
        }
        self.full[row / BITS] &= !(1 << (row % BITS));
        // SAFETY: the bit said that the value was there, and does so no longer.
        Some(unsafe { self.values[row].assume_init_read() })
    }

    /// All slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&T>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Drops all values, and keeps the memory. Where a drop panics, values after it are not
    /// dropped.
    pub fn clear(&mut self) {
        if std::mem::needs_drop::<T>() {
            for row in 0..self.len() {
                drop(self.take(row));
            }
        }
        self.values.clear();
        self.full.clear();
    }

    /// Asks for the memory of a slot, so that it is there when it is wanted.
    #[inline]
    pub fn prefetch(&self, row: usize) {
        prefetch_row(&self.values, row);
    }

    /// Bytes of memory held, without what values own elsewhere.
    pub fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.full.capacity() * size_of::<u64>()
    }

    fn is_full(&self, row: usize) -> bool {
        self.full.get(row / BITS).is_some_and(|word| word >> (row % BITS) & 1 != 0)
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> std::fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slots({})", self.len())
    }
}
