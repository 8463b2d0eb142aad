//! Slots beside a vector of options.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::Slots;

#[test]
fn slots_are_options() {
    let (mut slots, mut options) = (Slots::with_capacity(0), Vec::new());
    let owner = Rc::new(());
    for row in 0..200 {
        let value = (row % 3 != 0).then(|| (row, owner.clone()));
        match value.clone() {
            Some(value) => slots.push(value, row as u64),
            None => slots.push_hole(),
        }
        options.push(value.map(|value| (value, row as u64)));
        if row % 5 == 0 {
            let at = row * 7 % (row + 1);
            assert_eq!(slots.take(at), options[at].take().map(|(value, _)| value));
        }
        if let (Some(slot), Some(option)) = (slots.get_mut(row / 2), &mut options[row / 2]) {
            slot.value_mut().0 += 1000;
            option.0.0 += 1000;
        }
        if let (Some(slot), Some(option)) = (slots.get(row / 3), &mut options[row / 3]) {
            slot.set_stamp(u64::MAX - 1);
            option.1 = u64::MAX - 1;
        }
        let both = slots.iter().map(|slot| slot.map(|slot| (slot.value(), slot.stamp())));
        assert!(both.eq(options.iter().map(|it| it.as_ref().map(|it| (&it.0, it.1)))), "{row}");
    }
    assert!(slots.get(200).is_none() && slots.take(1000).is_none() && slots.len() == 200);
    let held = Rc::strong_count(&owner);
    drop(options);
    let in_slots = Rc::strong_count(&owner) - 1;
    assert_eq!(held - 1, 2 * in_slots, "each value is there once");
    slots.clear();
    assert!(slots.is_empty() && slots.get(0).is_none());
    assert_eq!(Rc::strong_count(&owner), 1);
    slots.push((1, owner.clone()), 0);
    drop(slots);
    assert_eq!(Rc::strong_count(&owner), 1);
}

#[test]
fn no_value_gets_the_stamp_of_a_hole() {
    let mut slots = Slots::with_capacity(1);
    let pushed = catch_unwind(AssertUnwindSafe(|| slots.push(1, u64::MAX)));
    assert!(pushed.is_err() && slots.is_empty());
    slots.push(2, 0);
    let slot = slots.get(0).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| slot.set_stamp(u64::MAX))).is_err());
    assert_eq!((slot.value(), slot.stamp()), (&2, 0));
}

#[test]
fn a_panic_in_a_drop_drops_nothing_twice() {
    struct Panics(Rc<()>, bool);

    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(!self.1, "as told");
        }
    }

    let owner = Rc::new(());
    let mut slots = Slots::with_capacity(3);
    for row in 0..3 {
        slots.push(Panics(owner.clone(), row == 1), 0);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| slots.clear())).is_err());
    assert_eq!(slots.iter().flatten().filter(|it| Rc::ptr_eq(&it.value().0, &owner)).count(), 1);
    drop(slots);
    assert_eq!(Rc::strong_count(&owner), 1);
}
