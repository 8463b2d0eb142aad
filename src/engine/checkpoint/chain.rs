//! A checkpoint that stands by itself and those that stand on it: put together at a start, and
//! found again among what is older.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::mpsc::{Receiver, sync_channel};

use super::format::{self, Decoded, HEADER_BYTES, Header, Positions};
use super::store::{Store, Unread};
use super::{Checkpoint, Section};
use crate::error::Result;

/// Checkpoints that stand on one that stands by itself: a restart reads them all, and damage of one
/// is damage of those after it. A source's log has what came since the oldest chain began.
const DELTAS_MAX: usize = 64;

/// What the changes may come to before all is written again: as much as all of it, so that what
/// is written twice is as much as what is written once; but at least so many bytes.
const DELTA_BYTES_MIN: u64 = 1 << 20;

/// One file of a chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) bytes: u64,
    /// There is a second file of the same.
    pub(super) has_copy: bool,
    /// When it was written or read back last, in the order of these.
    pub(super) turn: u64,
}

/// Files of which each stands on the one before, and the first by itself.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    /// Where sources stand in the first.
    pub(super) positions: Positions,
    /// One of its files is not what was written.
    pub(super) is_damaged: bool,
}

impl Chain {
    pub(super) fn new(first: Link, positions: Positions) -> Chain {
        Chain { links: vec![first], positions, is_damaged: false }
    }

    /// Whether nothing more is to stand on it.
    pub(super) fn is_long(&self) -> bool {
        let Some((first, deltas)) = self.links.split_first() else { return false };
        let bytes: u64 = deltas.iter().map(|delta| delta.bytes).sum();
        deltas.len() >= DELTAS_MAX || bytes > first.bytes.max(DELTA_BYTES_MIN)
    }

    fn is_stood_on(&self, by: (u64, u64)) -> bool {
        let last = self.links.last().map(|link| (link.number, link.id));
        !self.is_damaged && last == Some(by)
    }
}

impl Store {
    /// Finds the chains that are older than the newest, and says how many of their files are
    /// damaged. That takes as long as to read them all, so a start does not wait for it.
    pub(super) fn find_older(&mut self) -> Result<u64> {
        let Some(newest) = self.chains.first().and_then(|chain| chain.links.first()) else {
            return Ok(0);
        };
        let (mut older, mut damaged) = (Vec::<Chain>::new(), 0);
        for &number in self.numbers()?.range(..newest.number) {
            let Decoded { header, deltas, .. } = match self.read(number, None) {
                Ok(decoded) => decoded,
                Err(Unread::Damaged(error) | Unread::Disk(error)) => {
                    tracing::warn!(%error, "an older checkpoint is damaged");
                    older.last_mut().into_iter().for_each(|chain| chain.is_damaged = true);
                    damaged += 1;
                    continue;
                }
            };
            match header.predecessor {
                None => match format::apply(&Vec::new(), deltas) {
                    Ok(positions) => older.push(Chain::new(link(&header), positions)),
                    Err(_) => damaged += 1,
                },
                Some(before) => {
                    let chain = older.last_mut();
                    // What stands on nothing that is here is of no use.
                    chain.into_iter().for_each(|chain| match chain.is_stood_on(before) {
                        true => chain.links.push(link(&header)),
                        false => chain.is_damaged = true,
                    });
                }
            }
        }
        older.append(&mut self.chains);
        self.chains = older;
        Ok(damaged)
    }

    /// A checkpoint, put together, and all that it stands on. A thread of its own puts what was
    /// read together while the next one is read, and the last of them is by far the largest.
    ///
    /// Those that stand on what is damaged come to the `useless`, so that nobody reads on there.
    pub(super) fn read_chain(
        &self,
        number: u64,
        useless: &mut BTreeSet<(u64, u64)>,
    ) -> Result<(Chain, Checkpoint), Unread> {
        let mut links: Vec<Link> = Vec::new();
        let mut deltas = Vec::new();
        let read = std::thread::scope(|scope| {
            let (is_read, read) = sync_channel(DELTAS_MAX);
            let thread = std::thread::Builder::new().name("checkpoints".to_owned());
            let later = thread.spawn_scoped(scope, move || together(read)).map_err(|error| {
                Unread::Disk(self.cannot("start a thread for the checkpoints in", error))
            })?;
            let (mut next, mut id) = (number, None);
            loop {
                let Decoded { header, checkpoint, deltas: own } = self.read(next, id)?;
                if links.last().is_some_and(|later| next >= later.number) {
                    return Err(Unread::Damaged(self.damaged(next, "what stands on it is older")));
                }
                let link = link(&header);
                if useless.contains(&(link.number, link.id)) {
                    return Err(Unread::Damaged(
                        self.damaged(next, "what it stands on is not whole"),
                    ));
                }
                links.push(link);
                deltas.push(own);
                let Some((predecessor, its_id)) = header.predecessor else {
                    drop(is_read);
                    let later = later.join().expect("what was read is in order");
                    return Ok((checkpoint, later));
                };
                is_read.send(checkpoint).expect("it takes all until there are no more");
                (next, id) = (predecessor, Some(its_id));
            }
        });
        // From the first on, as each stands on the one before.
        let mut deltas = deltas.into_iter().rev();
        let of_first = deltas.next().map_or(Ok(Vec::new()), |own| format::apply(&Vec::new(), own));
        let positions = of_first.and_then(|of_first| {
            let all = deltas.try_fold(of_first.clone(), |before, own| format::apply(&before, own));
            Ok((of_first, all?))
        });
        let read = read.and_then(|read| {
            let what = "where its sources stand does not fit to what it stands on";
            let positions = positions.map_err(|_| Unread::Damaged(self.damaged(number, what)))?;
            Ok((read, positions))
        });
        if let Err(Unread::Damaged(_)) = read {
            useless.extend(links.iter().map(|link| (link.number, link.id)));
        }
        let ((first, later), (of_first, positions)) = read?;
        let mut whole = match later {
            Some(changes) => then(first, changes),
            None => first,
        };
        for section in &mut whole.sections {
            section.changes = mem::take(&mut section.changes).without_removed();
        }
        whole.sources = positions;
        links.reverse();
        Ok((Chain { links, positions: of_first, is_damaged: false }, whole))
    }
}

fn link(header: &Header) -> Link {
    let bytes = HEADER_BYTES as u64 + header.body_len;
    Link { number: header.number, id: header.stamp.id, bytes, has_copy: false, turn: 0 }
}

/// Checkpoints that come with the newest first, as one: those of as many are put together, so that
/// a change is copied once for each time that the number of them doubles.
fn together(newest_first: Receiver<Checkpoint>) -> Option<Checkpoint> {
    let mut runs: Vec<(usize, Checkpoint)> = Vec::new();
    for checkpoint in newest_first {
        let mut run = (1, checkpoint);
        while let Some((count, later)) = runs.pop_if(|(count, _)| *count == run.0) {
            run = (count + run.0, then(run.1, later));
        }
        runs.push(run);
    }
    runs.into_iter().map(|(_, run)| run).rev().reduce(then)
}

/// A checkpoint and the next one as one.
fn then(earlier: Checkpoint, mut later: Checkpoint) -> Checkpoint {
    let mut before: BTreeMap<String, Section> =
        earlier.sections.into_iter().map(|section| (section.name.clone(), section)).collect();
    for section in &mut later.sections {
        if let Some(before) = before.remove(&section.name)
            && before.form == section.form
        {
            section.changes = before.changes.then(&section.changes);
        } else {
            // What an older one may have of it was gone in between.
            section.changes.be_whole();
        }
    }
    later
}
