//! Producers that say who they are: how far each one's stream has come, so that what one sends
//! again is not counted again.
//!
//! Invariant: of a producer's stream every byte before `given` was given to a block once, and none
//! after it. What is told is `safe`, which covers whole lines only and is never past `given`. The
//! table goes into checkpoints, and its changes into the intake log with the block they belong to.

use std::collections::{BTreeMap, BTreeSet};

use super::carry::Standing;
use super::encoding::Order;
use super::greeting::OFFSET_MAX;
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};

/// All producers that are remembered.
#[derive(Debug)]
pub(super) struct Producers {
    // Fixed.
    max: usize,
    // Changing.
    known: BTreeMap<String, Producer>,
    /// The number of the last greeting or goodbye.
    uses: u64,
    /// Those whose places have changed since they were last asked for.
    changed: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Producer {
    /// Up to where its stream was given to blocks.
    given: Standing,
    /// Bytes of its stream that are whole lines.
    whole: u64,
    /// The order of its bytes, once that is known.
    order: Option<Order>,
    safe: u64,
    /// The number of its last greeting or goodbye.
    used: u64,
    /// The place of its connection.
    place: Option<usize>,
}

/// How a producer's connection begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// What it is told: its stream comes from here on.
    pub(super) safe: u64,
    /// Its stream is given to blocks from here on.
    pub(super) given: Standing,
    /// Bytes of its stream that are whole lines.
    pub(super) whole: u64,
    /// The order of its bytes, once that is known.
    pub(super) order: Option<Order>,
    /// The place of the connection that it had.
    pub(super) replaced: Option<usize>,
    /// Bytes that it no longer has, and that were not received.
    pub(super) missing: u64,
}

impl Producers {
    pub(super) fn new(max: usize) -> Producers {
        let (known, changed) = Default::default();
        Producers { max, known, uses: 0, changed }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// A producer has connected at a place, and has its stream from an offset on. None if so many
    /// others are connected as are remembered.
    pub(super) fn greet(&mut self, id: &str, from: u64, place: usize) -> Option<Start> {
        if !self.known.contains_key(id) {
            if !self.make_room() {
                return None;
            }
            // Nothing is known of what was before.
            self.known.insert(id.to_owned(), Producer::at(from));
        }
        self.uses += 1;
        let producer = self.known.get_mut(id)?;
        let missing = from.saturating_sub(producer.given.offset);
        let replaced = producer.place;
        if missing > 0 {
            *producer = Producer::at(from);
        }
        (producer.place, producer.used) = (Some(place), self.uses);
        let safe = producer.safe.max(from);
        let Producer { given, whole, order, .. } = *producer;
        Some(Start { safe, given, whole, order, replaced, missing })
    }

    /// The connection of a producer at this place has ended.
    pub(super) fn leave(&mut self, id: &str, place: usize) {
        self.uses += 1;
        if let Some(producer) = self.known.get_mut(id)
            && producer.place == Some(place)
        {
            (producer.place, producer.used) = (None, self.uses);
        }
    }

    /// A producer's stream has come so far.
    pub(super) fn took(&mut self, id: &str, given: Standing, whole: u64, order: Option<Order>) {
        let Some(producer) = self.known.get_mut(id) else { return };
        if (producer.given, producer.whole, producer.order) != (given, whole, order) {
            (producer.given, producer.whole, producer.order) = (given, whole, order);
            if !self.changed.contains(id) {
                self.changed.insert(id.to_owned());
            }
        }
    }

    /// So much of a producer's stream is safe; gives the place of its connection if that is news.
    pub(super) fn note_safe(&mut self, id: &str, bytes: u64) -> Option<usize> {
        let producer = self.known.get_mut(id)?;
        if bytes <= producer.safe || bytes > producer.whole {
            return None;
        }
        producer.safe = bytes;
        producer.place
    }

    /// Producers with whole lines that are not known to be safe, and how many bytes those are.
    pub(super) fn unsafe_yet(&self) -> impl Iterator<Item = (&str, u64)> {
        let producers = self.known.iter().filter(|(_, producer)| producer.whole > producer.safe);
        producers.map(|(id, producer)| (id.as_str(), producer.whole))
    }

    /// All of them, or those that have changed since the last call of this kind.
    pub(super) fn save(&mut self, all: bool) -> Vec<u8> {
        let mut saved = Vec::new();
        if all {
            self.known.iter().for_each(|(id, producer)| producer.save(id, &mut saved));
            return saved;
        }
        for id in std::mem::take(&mut self.changed) {
            if let Some(producer) = self.known.get(&id) {
                producer.save(&id, &mut saved);
            }
        }
        saved
    }

    /// Takes in those that were saved. All that was saved of them is safe.
    pub(super) fn load(&mut self, mut saved: &[u8]) -> Result<()> {
        while !saved.is_empty() {
            let (id, producer) = Producer::load(&mut saved)?;
            self.uses = self.uses.max(producer.used);
            if self.known.contains_key(&id) || self.make_room() {
                self.known.insert(id, producer);
            }
        }
        Ok(())
    }

    /// Forgets the one that is not connected for longest, if there is no room for one more; whether
    /// there is by then.
    fn make_room(&mut self) -> bool {
        while self.known.len() >= self.max {
            let idle = self.known.iter().filter(|(_, producer)| producer.place.is_none());
            let Some((id, _)) = idle.min_by_key(|(_, producer)| producer.used) else {
                return false;
            };
            let id = id.clone();
            tracing::debug!(producer = id, "forgotten for another one");
            self.changed.remove(&id);
            self.known.remove(&id);
        }
        true
    }
}

impl Producer {
    /// One of which nothing is known but that it begins here.
    fn at(offset: u64) -> Producer {
        let given = Standing { offset, is_skipping: false };
        Producer { given, whole: offset, safe: offset, ..Producer::default() }
    }

    fn save(&self, id: &str, out: &mut Vec<u8>) {
        push_bytes(id.as_bytes(), out);
        self.given.save(out);
        push_varint(self.given.offset - self.whole, out);
        let orders = [None, Some(Order::Little), Some(Order::Big)];
        let order = orders.iter().position(|&order| order == self.order);
        push_varint(order.unwrap_or(0) as u64, out);
        push_varint(self.used, out);
    }

    fn load(from: &mut &[u8]) -> Result<(String, Producer)> {
        let id = String::from_utf8(take_bytes(from)?.to_vec()).map_err(|_| damaged())?;
        let given = Standing::load(from)?;
        if given.offset > OFFSET_MAX {
            return Err(damaged());
        }
        let whole = given.offset.checked_sub(take_varint(from)?).ok_or_else(damaged)?;
        let order = match take_varint(from)? {
            0 => None,
            1 => Some(Order::Little),
            2 => Some(Order::Big),
            _ => return Err(damaged()),
        };
        let used = take_varint(from)?.min(u64::MAX >> 1);
        Ok((id, Producer { given, whole, order, safe: whole, used, place: None }))
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Checkpoint, "what is saved of producers is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(offset: u64) -> Standing {
        Standing { offset, is_skipping: false }
    }

    fn ids(producers: &Producers) -> Vec<&str> {
        producers.known.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_one_that_is_idle_for_longest_is_forgotten() {
        let mut producers = Producers::new(3);
        for (place, id) in ["a", "b", "c"].into_iter().enumerate() {
            producers.greet(id, 0, place).expect("there is room");
        }
        assert_eq!(producers.greet("d", 0, 3), None, "all are connected");
        producers.leave("b", 1);
        producers.leave("a", 0);
        // A goodbye of a connection that was replaced says nothing.
        producers.leave("c", 7);
        producers.greet("d", 0, 3).expect("b makes room");
        assert_eq!(ids(&producers), ["a", "c", "d"]);
        // It is the same after a restart, with less room.
        producers.leave("d", 3);
        let mut after = Producers::new(2);
        after.load(&producers.save(true)).expect("it is whole");
        assert_eq!(ids(&after).len(), 2);
        assert!(ids(&after).contains(&"d"));
    }

    #[test]
    fn a_stream_goes_on_where_it_was() {
        let mut producers = Producers::new(3);
        let start = producers.greet("a", 0, 5).expect("there is room");
        let none = Start {
            safe: 0,
            given: standing(0),
            whole: 0,
            order: None,
            replaced: None,
            missing: 0,
        };
        assert_eq!(start, none);
        producers.took("a", Standing { offset: 25, is_skipping: true }, 20, Some(Order::Big));
        assert_eq!(producers.note_safe("a", 21), None, "no whole line");
        assert_eq!(producers.note_safe("a", 10), Some(5));
        assert_eq!(producers.note_safe("a", 10), None, "it is known");
        assert_eq!(producers.unsafe_yet().collect::<Vec<_>>(), [("a", 20)]);
        let given = Standing { offset: 25, is_skipping: true };
        let again = producers.greet("a", 4, 6).expect("it is known");
        let order = Some(Order::Big);
        let start = Start { safe: 10, given, whole: 20, order, replaced: Some(5), missing: 0 };
        assert_eq!(again, start);
        let changes = producers.save(false);
        assert!(producers.save(false).is_empty());
        let mut after = Producers::new(3);
        after.load(&changes).expect("it is whole");
        let again = after.greet("a", 0, 0).expect("it is known");
        assert_eq!(again, Start { safe: 20, replaced: None, ..start });
        let ahead = after.greet("a", 100, 0).expect("it is known");
        assert_eq!((ahead.safe, ahead.given, ahead.missing), (100, standing(100), 75));
    }

    #[test]
    fn damage_is_an_error() {
        let mut producers = Producers::new(3);
        producers.greet("producer", 300, 0).expect("there is room");
        let saved = producers.save(true);
        for len in 1..saved.len() {
            assert!(Producers::new(3).load(&saved[..len]).is_err(), "{len}");
        }
        for at in 0..saved.len() {
            for bit in 0..8 {
                let mut saved = saved.clone();
                saved[at] ^= 1 << bit;
                // Whatever it says: no panic, nor in what comes after it.
                let mut producers = Producers::new(3);
                if producers.load(&saved).is_ok() {
                    producers.greet("producer", 0, 0).expect("there is room");
                }
            }
        }
    }
}
