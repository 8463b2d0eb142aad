//! Slots beside a vector of options.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::Random;
use crate::Slots;

/// A value of a size of its own, so that few or many slots fill a page, and its owner.
#[derive(Clone, PartialEq, Debug)]
struct Wide<const N: usize>(usize, [u8; N], Rc<()>);

/// Puts, takes and changes values, so many rows long.
fn check<const N: usize>(rows: usize) {
    let owner = Rc::new(());
    let value = |number| Wide(number, [number as u8; N], owner.clone());
    let mut random = Random(N as u64);
    let (mut slots, mut options) = (Slots::new(), Vec::new());
    for row in 0..rows {
        if row % 3 == 0 {
            slots.push_hole();
            options.push(None);
        } else {
            slots.put(row, value(row), row as u64);
            options.push(Some((value(row), row as u64)));
        }
        let mut any = || random.below(row + 1);
        let at = any();
        match options[at].take() {
            Some((value, _)) => assert_eq!(slots.take(at), Some(value)),
            None => {
                slots.put(at, value(rows + row), 5);
                options[at] = Some((value(rows + row), 5));
            }
        }
        let at = any();
        if let (Some(slot), Some(option)) = (slots.get_mut(at), &mut options[at]) {
            slot.value_mut().0 += 1000;
            option.0.0 += 1000;
        }
        let at = any();
        if let (Some(slot), Some(option)) = (slots.get(at), &mut options[at]) {
            slot.set_stamp(u64::MAX - 1);
            option.1 = u64::MAX - 1;
        }
        slots.prefetch(at + any());
        if (row + 1).is_power_of_two() || row + 1 == rows {
            let (start, end) = (any(), any());
            for range in [0..row + 1, 0..2 * rows, start..end, start..row + 1, end..end] {
                let is_there = range.start..range.end.min(row + 1).max(range.start);
                let both =
                    slots.range(range.clone()).map(|it| it.map(|it| (it.value(), it.stamp())));
                let options = options[is_there].iter();
                assert!(
                    both.eq(options.map(|it| it.as_ref().map(|it| (&it.0, it.1)))),
                    "{range:?}"
                );
            }
        }
    }
    assert!(slots.get(rows).is_none() && slots.take(rows + 1000).is_none());
    assert_eq!(slots.len(), rows);
    let held = Rc::strong_count(&owner) - 1;
    drop(options);
    assert_eq!(held, 2 * (Rc::strong_count(&owner) - 1), "each value is there once");
    drop(slots);
    assert_eq!(Rc::strong_count(&owner), 1);
}

#[test]
fn slots_are_options() {
    check::<0>(200);
    check::<100>(50_000);
    check::<70_000>(100);
    // Values that are more than half a page, and more than one, on a stack that has room for them.
    let wide = std::thread::Builder::new().stack_size(1 << 28).spawn(|| {
        check::<1_500_000>(5);
        check::<3_000_000>(3);
    });
    wide.unwrap().join().unwrap();
}

#[test]
fn memory_comes_as_slots_do() {
    let mut slots = Slots::new();
    let mut held = 0;
    for row in 0..1_000_000 {
        slots.put(row, row as u64, 0);
        let bytes = 16 * (row + 1);
        if slots.memory_bytes() != held {
            held = slots.memory_bytes();
            assert!(held <= (2 * bytes + 64).min(bytes + (2 << 20)), "{held} for {row}");
        }
        assert!(held >= bytes);
    }
}

#[test]
fn a_page_never_moves() {
    let mut slots = Slots::new();
    let mut places = Vec::new();
    for row in 0..500_000 {
        slots.put(row, row as u64, 0);
        // As soon as there is more than half a page of them.
        if 16 * row > 1 << 20 {
            places.push((row, std::ptr::from_ref(slots.get(row).unwrap())));
        }
    }
    assert!(places.iter().all(|&(row, place)| std::ptr::eq(slots.get(row).unwrap(), place)));
    assert_eq!(places[0].1.addr() % (2 << 20), 16 * places[0].0, "it begins where a huge one can");
}

#[test]
fn what_there_is_stays_as_it_is() {
    let mut slots = Slots::new();
    let put = |slots: &mut Slots<i32>, row: usize, stamp: u64| {
        catch_unwind(AssertUnwindSafe(|| slots.put(row, 1, stamp))).is_ok()
    };
    assert!(!put(&mut slots, 0, u64::MAX) && slots.is_empty(), "the stamp of a hole");
    slots.put(0, 2, 0);
    let slot = slots.get(0).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| slot.set_stamp(u64::MAX))).is_err());
    assert_eq!((slot.value(), slot.stamp()), (&2, 0));
    assert!(!put(&mut slots, 0, 1), "there is a value");
    assert!(!put(&mut slots, 2, 1), "there is no slot before it");
    assert_eq!((slots.len(), slots.take(0)), (1, Some(2)));
    assert!(put(&mut slots, 0, 1) && put(&mut slots, 1, 1));
}

#[test]
fn a_panic_in_a_drop_drops_nothing_twice() {
    struct Panics(Rc<Cell<usize>>, bool);

    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(!self.1, "as told");
        }
    }

    let drops = Rc::new(Cell::new(0));
    let mut slots = Slots::new();
    for row in 0..3 {
        slots.put(row, Panics(drops.clone(), row == 1), 0);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(slots.take(1)))).is_err());
    assert!(slots.get(1).is_none() && drops.get() == 1);
    slots.put(1, Panics(drops.clone(), true), 0);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(slots))).is_err());
    assert_eq!(drops.get(), 3, "the one after it is not dropped at all");
}
