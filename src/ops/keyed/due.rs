//! When keys are looked at whether they have been idle for too long: by the time of their last
//! data, so that a key that is idle costs nothing until then.
//!
//! A key stands in one place: where it was due when it was put there. Data that comes later does
//! not move it; when its turn comes it is put where it is due by then. So each key is looked at
//! once a timeout, whatever comes.

use std::collections::BTreeMap;

use super::table::Slot;

pub(super) struct DueTimes {
    timeout_millis: u64,
    /// By the first time in milliseconds at which it is not yet over.
    slots: BTreeMap<u64, Vec<Slot>>,
    /// What was taken out in this batch.
    taken: Vec<(u64, Vec<Slot>)>,
    /// Who of them is put where it is due by now, when the batch stands.
    again: Vec<Slot>,
}

impl DueTimes {
    pub(super) fn new(timeout_millis: u64) -> DueTimes {
        DueTimes { timeout_millis, slots: BTreeMap::new(), taken: Vec::new(), again: Vec::new() }
    }

    pub(super) fn timeout_millis(&self) -> u64 {
        self.timeout_millis
    }

    /// Puts a key where it is due after its last data, and gives the mark of that place.
    pub(super) fn add(&mut self, slot: Slot, touched: u64) -> u32 {
        let due = touched.saturating_add(self.timeout_millis);
        self.slots.entry(due).or_default().push(slot);
        mark_of(due)
    }

    /// Takes out the keys whose place is before this time, each with its mark.
    pub(super) fn take(&mut self, now: u64) -> Vec<(Slot, u32)> {
        let mut due = Vec::new();
        while let Some(entry) = self.slots.first_entry()
            && *entry.key() < now
        {
            let (time, slots) = entry.remove_entry();
            due.extend(slots.iter().map(|&slot| (slot, mark_of(time))));
            self.taken.push((time, slots));
        }
        due
    }

    /// The key had data since it was put there.
    pub(super) fn again(&mut self, slot: Slot) {
        self.again.push(slot);
    }

    /// The batch stands: who is to be put somewhere again.
    pub(super) fn commit(&mut self) -> Vec<Slot> {
        self.taken.clear();
        std::mem::take(&mut self.again)
    }

    pub(super) fn roll_back(&mut self) {
        self.again.clear();
        for (time, slots) in self.taken.drain(..) {
            self.slots.entry(time).or_default().extend(slots);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.values().map(|slots| slots.capacity() * size_of::<Slot>()).sum()
    }
}

/// What a row knows of its place; zero for none.
fn mark_of(due: u64) -> u32 {
    due as u32 | 1
}
