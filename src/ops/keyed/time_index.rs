//! When keys are due to time out: slots by the time at which their keys were last touched.
//!
//! Each slot is in one chain, and a key that is touched stays where it is: only when the chain's
//! time has come is it looked at, and then it times out or goes to the chain of its real time. So
//! a batch costs nothing for keys that are not due. What becomes of a slot, whether its key is
//! removed or it gets another one that is newer, changes nothing in the chains: it is then looked
//! at too early. Only where it gets an older one, from a segment that is emptied, is that noted
//! apart.

use std::collections::BTreeMap;

use super::table::Slot;

/// Chains of a timeout, beside those of a time to the millisecond that are due next.
const CHAINS: u64 = 4096;

/// What follows a slot that is in no chain.
const UNLINKED: u32 = 0;

/// What follows the last slot of a chain.
const END: u32 = u32::MAX;

pub(super) struct TimeIndex {
    /// Times are rounded down to multiples of this many milliseconds, as long as that is not due.
    granule: u64,
    /// The first slot of each chain, plus one.
    heads: BTreeMap<u64, u32>,
    /// Slots that are in a chain that may come too late for the keys that moved there, by the times
    /// of those. A key that is touched again is younger than the chain.
    moved: BTreeMap<u64, Vec<Slot>>,
}

/// What stands for a slot in the chains: the next slot, plus one.
pub(super) trait Links {
    fn next(&mut self, slot: Slot) -> &mut u32;
}

impl TimeIndex {
    pub(super) fn new(timeout_millis: u64) -> TimeIndex {
        TimeIndex {
            granule: (timeout_millis / CHAINS).max(1),
            heads: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// Puts a slot into the chain of its time, unless it is in one.
    pub(super) fn link(&mut self, slot: Slot, last: u64, threshold: u64, links: &mut impl Links) {
        let next = links.next(slot);
        if *next != UNLINKED {
            return;
        }
        let coarse = last - last % self.granule;
        let time = if coarse < threshold { last } else { coarse };
        let head = self.heads.entry(time).or_insert(END);
        *next = std::mem::replace(head, slot + 1);
    }

    /// Puts a slot whose key comes from another one into the chain of its time.
    pub(super) fn link_moved(
        &mut self,
        slot: Slot,
        last: u64,
        threshold: u64,
        links: &mut impl Links,
    ) {
        if *links.next(slot) == UNLINKED {
            self.link(slot, last, threshold, links);
        } else {
            self.moved.entry(last).or_default().push(slot);
        }
    }

    /// All slots that may have been touched last before this time, some of them twice.
    pub(super) fn due(
        &self,
        threshold: u64,
        mut next: impl FnMut(Slot) -> u32,
    ) -> impl Iterator<Item = Slot> {
        let mut heads = self.heads.range(..threshold);
        let mut at = END;
        let moved = self.moved.range(..threshold).flat_map(|(_, slots)| slots.iter().copied());
        let linked = std::iter::from_fn(move || {
            if at == END {
                at = *heads.next()?.1;
            }
            let slot = at - 1;
            at = next(slot);
            Some(slot)
        });
        linked.chain(moved)
    }

    /// Takes the slots that are due out of their chains.
    pub(super) fn take_due(&mut self, threshold: u64, links: &mut impl Links) -> Vec<Slot> {
        let later = self.heads.split_off(&threshold);
        // What of these is still there was touched since.
        self.moved = self.moved.split_off(&threshold);
        let mut due = Vec::new();
        for (_, mut at) in std::mem::replace(&mut self.heads, later) {
            while at != END {
                due.push(at - 1);
                at = std::mem::replace(links.next(at - 1), UNLINKED);
            }
        }
        due
    }

    pub(super) fn memory_bytes(&self) -> usize {
        // A node of the map is two thirds full.
        let moved = self.moved.values().map(|slots| 40 + slots.capacity() * size_of::<Slot>());
        self.heads.len() * size_of::<(u64, u32)>() * 3 / 2 + moved.sum::<usize>()
    }
}
