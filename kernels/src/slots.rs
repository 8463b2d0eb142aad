//! Values by number, with holes and a stamp each: what a keyed state is kept in.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::prefetch_row;

/// The stamp of a hole.
const HOLE: u64 = u64::MAX;

/// Values, or holes where there was one, in a vector, each with a stamp: a number of the caller's
/// that may change while others look at the values. A value and its stamp lie side by side, since
/// memory far away comes by the line; and a hole is told by its stamp, so that a slot takes the
/// value's size and eight bytes.
///
/// ```
/// use tidemill_kernels::Slots;
///
/// let mut slots = Slots::with_capacity(2);
/// slots.push("ebb", 7);
/// slots.push("flow", 8);
/// let flow = slots.get(1).unwrap();
/// flow.set_stamp(9);
/// assert_eq!((flow.value(), flow.stamp()), (&"flow", 9));
/// assert_eq!(slots.take(0), Some("ebb"));
/// assert!(slots.get(0).is_none());
/// ```
pub struct Slots<T> {
    slots: Vec<Stamped<T>>,
}

/// A value in [`Slots`], with its stamp.
pub struct Stamped<T> {
    stamp: AtomicU64,
    /// Initialised unless the stamp is that of a hole, of which nobody outside gets a reference.
    value: MaybeUninit<T>,
}

impl<T> Stamped<T> {
    fn hole() -> Stamped<T> {
        Stamped { stamp: AtomicU64::new(HOLE), value: MaybeUninit::uninit() }
    }

    /// The value.
    #[inline(always)]
    pub fn value(&self) -> &T {
        // SAFETY: `Slots` gives out no hole, and while there is a reference none becomes one:
        // `set_stamp` refuses to make it one, and `take` and `clear` have the slots to themselves.
        unsafe { self.value.assume_init_ref() }
    }

    /// The value, to be changed.
    #[inline(always)]
    pub fn value_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.value.assume_init_mut() }
    }

    /// The stamp. It says nothing of other memory: who reads one that another thread sets finds it
    /// as it was or as it is.
    #[inline(always)]
    pub fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// Sets the stamp.
    ///
    /// # Panics
    ///
    /// If it is `u64::MAX`.
    #[inline(always)]
    pub fn set_stamp(&self, stamp: u64) {
        self.stamp.store(checked(stamp), Ordering::Relaxed);
    }
}

/// A stamp that is not that of a hole.
#[inline(always)]
fn checked(stamp: u64) -> u64 {
    assert_ne!(stamp, HOLE, "this is the stamp of a hole");
    stamp
}

impl<T> Slots<T> {
    /// No slots, and room for so many.
    pub fn with_capacity(capacity: usize) -> Slots<T> {
        Slots { slots: Vec::with_capacity(capacity) }
    }

    /// The number of slots, holes among them.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Appends a value.
    ///
    /// # Panics
    ///
    /// If the stamp is `u64::MAX`.
    pub fn push(&mut self, value: T, stamp: u64) {
        let stamp = AtomicU64::new(checked(stamp));
        self.slots.push(Stamped { stamp, value: MaybeUninit::new(value) });
    }

    /// Appends a hole.
    pub fn push_hole(&mut self) {
        self.slots.push(Stamped::hole());
    }

    /// The value of a slot; nothing in a hole, and past the end.
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<&Stamped<T>> {
        self.slots.get(row).filter(|slot| slot.stamp() != HOLE)
    }

    /// The same, to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, row: usize) -> Option<&mut Stamped<T>> {
        self.slots.get_mut(row).filter(|slot| slot.stamp() != HOLE)
    }

    /// Takes the value out of a slot, which becomes a hole.
    pub fn take(&mut self, row: usize) -> Option<T> {
        let slot = self.get_mut(row)?;
        *slot.stamp.get_mut() = HOLE;
        // SAFETY: the slot was no hole, and is one from now on.
        Some(unsafe { slot.value.assume_init_read() })
    }

    /// All slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&Stamped<T>>> {
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
        self.slots.clear();
    }

    /// Asks for the memory of a slot, so that it is there when it is wanted.
    #[inline(always)]
    pub fn prefetch(&self, row: usize) {
        prefetch_row(&self.slots, row);
    }

    /// Bytes of memory held, without what values own elsewhere.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Stamped<T>>()
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

impl<T: std::fmt::Debug> std::fmt::Debug for Stamped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stamped").field(self.value()).field(&self.stamp()).finish()
    }
}
