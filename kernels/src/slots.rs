//! Values by number, with holes and a stamp each: what a keyed state is kept in.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::huge::{self, Room};
use crate::table::prefetch_row;

/// The stamp of a hole.
const HOLE: u64 = u64::MAX;

/// Slots that there is memory for at first.
const SLOTS_MIN: usize = 4;

/// Values, or holes where there was one, by number, each with a stamp: a number of the caller's
/// that may change while others look at the values. A value and its stamp lie side by side, since
/// memory far away comes by the line; and a hole is told by its stamp, so that a slot takes the
/// value's size and eight bytes.
///
/// Slots lie in huge pages where there is more than half a page of them: values that are asked for
/// in no order mostly wait for page tables otherwise. A page never moves, so that growth costs a
/// page fault now and then.
///
/// ```
/// use tidemill_kernels::Slots;
///
/// let mut slots = Slots::new();
/// slots.put(0, "ebb", 7);
/// slots.put(1, "flow", 8);
/// let flow = slots.get(1).unwrap();
/// flow.set_stamp(9);
/// assert_eq!((flow.value(), flow.stamp()), (&"flow", 9));
/// assert_eq!(slots.take(0), Some("ebb"));
/// assert!(slots.get(0).is_none());
/// ```
pub struct Slots<T> {
    /// Of which the first may be no page yet.
    pages: Vec<Room<Stamped<T>>>,
    len: usize,
}

/// A value in [`Slots`], with its stamp.
pub struct Stamped<T> {
    stamp: AtomicU64,
    /// Initialised unless the stamp is that of a hole, of which nobody outside gets a reference.
    value: MaybeUninit<T>,
}

impl<T> Stamped<T> {
    /// The value.
    #[inline(always)]
    pub fn value(&self) -> &T {
        // SAFETY: `Slots` gives out no hole, and while there is a reference none becomes one:
        // `set_stamp` refuses to make it one, and `take` has the slots to itself.
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
    /// Slots of a page.
    const PAGE: usize = match huge::BYTES / size_of::<Stamped<T>>() {
        0 => 1,
        rows => rows,
    };

    /// No slots; memory comes as they do.
    pub fn new() -> Slots<T> {
        Slots { pages: Vec::new(), len: 0 }
    }

    /// The number of slots, holes among them.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a value into a hole, or behind the last slot.
    ///
    /// # Panics
    ///
    /// If there is a value, if the slot is farther behind, or if the stamp is `u64::MAX`.
    pub fn put(&mut self, row: usize, value: T, stamp: u64) {
        let slot =
            Stamped { stamp: AtomicU64::new(checked(stamp)), value: MaybeUninit::new(value) };
        if row == self.len {
            self.push(slot);
        } else {
            let hole = self.slot_mut(row).expect("a slot comes behind the last one");
            assert_eq!(hole.stamp(), HOLE, "the slot has a value");
            *hole = slot;
        }
    }

    /// Appends a hole.
    pub fn push_hole(&mut self) {
        self.push(Stamped { stamp: AtomicU64::new(HOLE), value: MaybeUninit::uninit() });
    }

    fn push(&mut self, slot: Stamped<T>) {
        let (page, within) = (self.len / Self::PAGE, self.len % Self::PAGE);
        if self.pages.get(page).is_none_or(|page| within == page.values().len()) {
            self.grow();
        }
        self.pages[page].values_mut()[within].write(slot);
        self.len += 1;
    }

    /// Adds a page, or what is there is no page yet, and is moved to one or to what is twice as
    /// large.
    #[cold]
    fn grow(&mut self) {
        let held = self.memory_bytes() / size_of::<Stamped<T>>();
        if held >= Self::PAGE {
            self.pages.push(Room::new(Self::PAGE));
            return;
        }
        let wanted = (2 * held).max(SLOTS_MIN);
        let mut room = Room::new(if wanted > Self::PAGE / 2 { Self::PAGE } else { wanted });
        if let Some(old) = self.pages.pop() {
            let (from, to) = (old.values(), room.values_mut());
            // SAFETY: these are two rooms, of which the new one is larger; what was in the old one
            // is only in the new one from now on.
            unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from.as_ptr(), from.len()) };
        }
        self.pages.push(room);
    }

    #[inline(always)]
    fn slot(&self, row: usize) -> Option<&Stamped<T>> {
        if row >= self.len {
            return None;
        }
        let slot = &self.pages[row / Self::PAGE].values()[row % Self::PAGE];
        // SAFETY: all slots before `len` have been written.
        Some(unsafe { slot.assume_init_ref() })
    }

    #[inline(always)]
    fn slot_mut(&mut self, row: usize) -> Option<&mut Stamped<T>> {
        if row >= self.len {
            return None;
        }
        let slot = &mut self.pages[row / Self::PAGE].values_mut()[row % Self::PAGE];
        // SAFETY: as above.
        Some(unsafe { slot.assume_init_mut() })
    }

    /// The value of a slot; nothing in a hole, and behind the last slot.
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<&Stamped<T>> {
        self.slot(row).filter(|slot| slot.stamp() != HOLE)
    }

    /// The same, to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, row: usize) -> Option<&mut Stamped<T>> {
        self.slot_mut(row).filter(|slot| slot.stamp() != HOLE)
    }

    /// Takes the value out of a slot, which becomes a hole.
    pub fn take(&mut self, row: usize) -> Option<T> {
        let slot = self.get_mut(row)?;
        *slot.stamp.get_mut() = HOLE;
        // SAFETY: the slot was no hole, and is one from now on.
        Some(unsafe { slot.value.assume_init_read() })
    }

    /// The slots of these rows as far as they are there, in order.
    pub fn range(&self, rows: Range<usize>) -> impl Iterator<Item = Option<&Stamped<T>>> {
        let start = rows.start.min(self.len);
        let rows = start..rows.end.clamp(start, self.len);
        let pages = rows.start / Self::PAGE..rows.end.div_ceil(Self::PAGE);
        pages.flat_map(move |page| {
            let within = |row: usize| row.saturating_sub(page * Self::PAGE).min(Self::PAGE);
            let slots = &self.pages[page].values()[within(rows.start)..within(rows.end)];
            slots.iter().map(|slot| {
                // SAFETY: all slots before `len` have been written.
                let slot = unsafe { slot.assume_init_ref() };
                (slot.stamp() != HOLE).then_some(slot)
            })
        })
    }

    /// Asks for the memory of a slot, so that it is there when it is wanted.
    #[inline(always)]
    pub fn prefetch(&self, row: usize) {
        if let Some(page) = self.pages.get(row / Self::PAGE) {
            prefetch_row(page.values(), row % Self::PAGE);
        }
    }

    /// Bytes of memory held, without what values own elsewhere.
    pub fn memory_bytes(&self) -> usize {
        self.pages.iter().map(|page| size_of_val(page.values())).sum()
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots::new()
    }
}

impl<T> Drop for Slots<T> {
    /// Drops all values. Where a drop panics, values after it are not dropped.
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            for row in 0..self.len {
                drop(self.take(row));
            }
        }
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
