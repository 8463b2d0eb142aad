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
        slots.push(value.clone());
        options.push(value);
        if row % 5 == 0 {
            let at = row * 7 % (row + 1);
            assert_eq!(slots.take(at), options[at].take());
        }
        if let (Some(slot), Some(option)) = (slots.get_mut(row / 2), &mut options[row / 2]) {
            (slot.0, option.0) = (slot.0 + 1000, option.0 + 1000);
        }
        assert!(slots.iter().eq(options.iter().map(Option::as_ref)), "{row}");
    }
    assert!(slots.get(200).is_none() && slots.take(1000).is_none() && slots.len() == 200);
    let held = Rc::strong_count(&owner);
    drop(options);
    let in_slots = Rc::strong_count(&owner) - 1;
    assert_eq!(held - 1, 2 * in_slots, "each value is there once");
    slots.clear();
    assert_eq!((Rc::strong_count(&owner), slots.len(), slots.get(0)), (1, 0, None));
    slots.push(Some((1, owner.clone())));
    drop(slots);
    assert_eq!(Rc::strong_count(&owner), 1);
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
        slots.push(Some(Panics(owner.clone(), row == 1)));
    }
    assert!(catch_unwind(AssertUnwindSafe(|| slots.clear())).is_err());
    assert_eq!(slots.iter().flatten().filter(|it| Rc::ptr_eq(&it.0, &owner)).count(), 1);
    drop(slots);
    assert_eq!(Rc::strong_count(&owner), 1);
}
