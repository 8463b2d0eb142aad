//! Aggregates by key over a window: keys as dense ids, and the panes of the window as arrays over
//! them.
//!
//! A pane is what came for each key in so many batches that windows begin and end between panes
//! only. Whatever has an exact inverse is kept as one total a key: a pane is merged in when it
//! comes and taken out when it leaves. All else goes by two stacks (Tangwongsan, Hirzel and
//! Schneider, "General incremental sliding-window aggregation", VLDB 2015), turned sideways: the
//! stacks of all keys stand side by side, so that each pane is a row of them.
//!
//! ```text
//!              oldest                                                newest
//!   panes      [ . . . . . . . . . ]   [ . . . . . . . . . . ]   [ open ]
//!              older: merged from      newer: merged from the pane after the boundary
//!              each pane up to the     up to the newest
//!              boundary
//! ```
//!
//! A pane before the boundary holds, for each of its keys, what `older` becomes when it leaves, so
//! leaving merges nothing. When the last of them has left, all panes but the open one
//! move before the boundary. That is the work of a whole window at once, so the keys are dealt out
//! to phases, each with a boundary of its own, and the boundaries move at different times.

mod saved;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::Hasher;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use saved::Log;

use super::window::Span;
use super::{Aggregate, Changes, Gather, StateSize, Stateful, Turn, reuse};
use crate::config::check_retained;
use crate::error::{Error, ErrorKind, Result};
use crate::record::batch::{AnyChunk, columns};
use crate::record::saved::{form_of, name_of};
use crate::record::{Columns, Groups, Key, Record};

/// Dead keys below which nobody cleans up.
const DEAD_KEYS_MIN: usize = 1024;

/// Phases that the keys are dealt out to where there are boundaries: a batch then does about one
/// part in so many of the work of moving them.
const PHASES: usize = 64;

/// Bytes that the allocator takes for the three vectors of a pane beside what is in them.
const PANE_BYTES: usize = 3 * 16;

/// No row of the open pane is this key's.
const NO_SLOT: u32 = u32::MAX;

pub(crate) struct WindowByKey<K: Key, V, A: Aggregate<V>>
where
    V: Record,
{
    aggregate: Arc<A>,
    span: Span,
    /// Batches in a pane.
    pane: u64,
    keys_max: usize,
    retained_bytes_max: usize,
    kept: Arc<KeptKeys<K, A::Output>>,
    pair: PhantomData<fn(K, V)>,
}

/// Which keys are given out besides those with values in the window; the program may say so until
/// the start.
pub(crate) struct KeptKeys<K: Record, U: Record> {
    pub(crate) are_empty_kept: AtomicBool,
    /// Whether a key without values has a result.
    pub(crate) check_nothing: Box<dyn Fn() -> Result<()> + Send + Sync>,
    pub(crate) retain: OnceLock<Retain<K, U>>,
}

type Retain<K, U> = Box<
    dyn for<'a> Fn(<K as Record>::Ref<'a>, <U as Record>::Ref<'a>) -> bool + Send + Sync + 'static,
>;

/// All panes of a window.
pub(crate) struct Panes<K: Key, P> {
    groups: K::Groups,
    /// The keys by id.
    keys: K::Columns,
    states: Vec<KeyState>,
    /// How many keys are given out.
    shown: usize,
    /// By id: what the panes before the phase's boundary come to; of invertible aggregates, none.
    older: Vec<P>,
    /// By id: what the panes after it come to; of invertible aggregates, all panes.
    newer: Vec<P>,
    /// Panes that are closed, oldest first.
    panes: VecDeque<Pane<P>>,
    /// The pane that batches are merged into: its rows, by phase.
    open: Vec<Rows<P>>,
    open_number: u64,
    open_bytes: usize,
    phases: Vec<Phase>,
    /// Rows of all panes before their boundaries.
    older_rows: usize,
    /// Of invertible aggregates: a batch has failed, and nobody knows what `newer` is.
    are_totals_stale: bool,
    /// The phase whose boundary is being moved.
    moving: Option<usize>,
    /// How the batch that is not committed yet is undone, entry by entry.
    undo: Vec<Undo<P>>,
    bytes: usize,
    /// What was saved and what was not, if somebody saves.
    log: Option<Box<Log<K>>>,
    // Scratch.
    ids: Vec<u32>,
    /// While a boundary is moved: what `older` becomes again when each row leaves.
    saved: Vec<P>,
    /// What `newer` becomes, row by row.
    fresh: Vec<P>,
    spare: Vec<Pane<P>>,
}

/// What is known of a key beside its aggregate.
#[derive(Copy, Clone)]
struct KeyState {
    /// The panes that have values of it, the open one included.
    live: u32,
    /// Its row in the open pane, among those of its phase.
    slot: u32,
    phase: u8,
    /// It is given out without values, too.
    is_kept: bool,
}

/// Keys whose boundaries move together.
#[derive(Copy, Clone, Default, PartialEq)]
struct Phase {
    /// The number of the first pane after the boundary.
    boundary: u64,
    /// A pane after the boundary has left, so `newer` is wrong until the boundary is moved.
    is_stale: bool,
}

/// What came for each key in the batches of one pane, phase by phase.
struct Pane<P> {
    number: u64,
    rows: Rows<P>,
    /// Where the rows of each phase end.
    ends: Vec<u32>,
    /// Rows that were taken out already.
    taken_out: usize,
    bytes: usize,
}

/// What came for some keys.
struct Rows<P> {
    ids: Vec<u32>,
    partials: Vec<P>,
    /// Of the open pane, where more than one chunk may come for it and the order shows: what
    /// `newer` was before it. So `newer` is merged pane by pane, and a restart, which knows nothing
    /// else, gives the same bits.
    bases: Vec<P>,
}

struct Undo<P> {
    id: u32,
    was_kept: bool,
    /// What it was; totals are made again instead.
    newer: Option<P>,
    /// The key's row in the open pane, if there was one.
    row: Option<P>,
    /// The bytes of that row before and after.
    bytes: (usize, usize),
}

impl KeyState {
    fn new(phase: usize) -> KeyState {
        KeyState { live: 0, slot: NO_SLOT, phase: phase as u8, is_kept: false }
    }

    fn is_shown(&self) -> bool {
        self.live > 0 || self.is_kept
    }
}

impl<K: Record, U: Record> KeptKeys<K, U> {
    pub(crate) fn new(check_nothing: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        let are_empty_kept = AtomicBool::new(false);
        let check_nothing = Box::new(check_nothing);
        KeptKeys { are_empty_kept, check_nothing, retain: OnceLock::new() }
    }
}

impl<P> Default for Rows<P> {
    fn default() -> Self {
        Rows { ids: Vec::new(), partials: Vec::new(), bases: Vec::new() }
    }
}

impl<P> Default for Pane<P> {
    fn default() -> Self {
        Pane { number: 0, rows: Rows::default(), ends: Vec::new(), taken_out: 0, bytes: 0 }
    }
}

impl<P> Pane<P> {
    /// Where the rows of a phase are.
    fn range(&self, phase: usize) -> Range<usize> {
        let start = if phase == 0 { 0 } else { self.ends[phase - 1] };
        start as usize..self.ends[phase] as usize
    }

    /// The rows of a phase, and beside each the pane itself.
    fn rows_of(&self, phase: usize) -> impl Iterator<Item = (&Self, usize)> {
        self.range(phase).map(move |row| (self, row))
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> WindowByKey<K, V, A> {
    pub(crate) fn new(
        aggregate: Arc<A>,
        span: Span,
        keys_max: usize,
        retained_bytes_max: usize,
        kept: Arc<KeptKeys<K, A::Output>>,
    ) -> Self {
        let (mut pane, mut rest) = (span.window, span.slide);
        while rest > 0 {
            (pane, rest) = (rest, pane % rest);
        }
        let pair = PhantomData;
        WindowByKey { aggregate, span, pane, keys_max, retained_bytes_max, kept, pair }
    }

    /// Closes the open pane if `now` belongs to another.
    fn close_pane(&self, panes: &mut Panes<K, A::Partial>, now: u64) {
        let number = now.div_ceil(self.pane);
        if panes.open_number == number {
            return;
        }
        self.log_open(panes);
        self.drop_left(panes);
        let mut closed = panes.spare.pop().unwrap_or_default();
        closed.number = std::mem::replace(&mut panes.open_number, number);
        for rows in &mut panes.open {
            for &id in &rows.ids {
                panes.states[id as usize].slot = NO_SLOT;
            }
            closed.rows.ids.append(&mut rows.ids);
            closed.rows.partials.append(&mut rows.partials);
            rows.bases.clear();
            closed.ends.push(closed.rows.ids.len() as u32);
        }
        // There may be millions of panes, and most are small.
        let spare = trim(&mut closed.rows.ids) + trim(&mut closed.rows.partials);
        let ends = trim(&mut closed.ends) + size_of_val(&*closed.ends);
        let own = PANE_BYTES + size_of::<Pane<A::Partial>>() + spare + ends;
        closed.bytes = std::mem::take(&mut panes.open_bytes) + own;
        panes.bytes += own;
        if closed.rows.ids.is_empty() {
            panes.bytes -= closed.bytes;
            panes.recycle(closed);
        } else {
            panes.panes.push_back(closed);
        }
    }

    /// Takes out the panes that have left the window.
    fn take_out(&self, panes: &mut Panes<K, A::Partial>, now: u64) -> Result<()> {
        let has_left = |pane: &Pane<_>| self.span.has_left(pane.number * self.pane, now);
        while panes.panes.front().is_some_and(has_left) {
            if self.aggregate.is_invertible() {
                self.unmerge_first(panes)?;
            } else {
                self.restore_before_first(panes);
            }
            panes.drop_first();
        }
        if self.aggregate.is_invertible() {
            return if panes.are_totals_stale { self.total_again(panes) } else { Ok(()) };
        }
        // At first all boundaries are at the beginning; each phase then moves its own once, at
        // another time than the others.
        let window = (self.span.window / self.pane).max(1);
        for phase in 0..PHASES {
            let Phase { boundary, is_stale } = panes.phases[phase];
            let is_turn = panes.open_number % window == phase as u64 % window;
            if is_stale || (boundary == 0 && is_turn) {
                self.move_boundary(panes, phase)?;
            }
        }
        Ok(())
    }

    /// Makes `older` what it is without the first pane; what that pane left in `newer` goes when
    /// the boundary is moved.
    fn restore_before_first(&self, panes: &mut Panes<K, A::Partial>) {
        let Some(first) = panes.panes.front_mut() else { return };
        // What runs something of the user's comes before the first change, here and below.
        panes.fresh.clear();
        for phase in 0..PHASES {
            if first.number >= panes.phases[phase].boundary {
                let states = first.rows.ids[first.range(phase)].iter().map(|&id| id as usize);
                let in_open = |id: usize| self.in_open(&panes.open[phase], &panes.states[id]);
                panes.fresh.extend(states.map(in_open));
            }
        }
        // Nothing below fails.
        let mut fresh = panes.fresh.drain(..);
        for phase in 0..PHASES {
            let range = first.range(phase);
            let is_older = first.number < panes.phases[phase].boundary;
            panes.older_rows -= if is_older { range.len() } else { 0 };
            panes.phases[phase].is_stale |= !is_older && !range.is_empty();
            for row in range {
                let id = first.rows.ids[row] as usize;
                if is_older {
                    std::mem::swap(&mut panes.older[id], &mut first.rows.partials[row]);
                } else {
                    panes.newer[id] = fresh.next().expect("one was made for each row");
                }
                let state = &mut panes.states[id];
                state.live -= 1;
                panes.shown -= usize::from(!state.is_shown());
                if let Some(log) = &mut panes.log
                    && state.live == 0
                    && state.is_kept
                {
                    log.emptied(id as u32);
                }
            }
        }
    }

    /// Takes the first pane out of the totals. Where an error or panic stops it, the totals are
    /// made again in the next turn, without the inverse.
    fn unmerge_first(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        let Some(first) = panes.panes.front_mut() else { return Ok(()) };
        while let Some(&id) = first.rows.ids.get(first.taken_out) {
            let id = id as usize;
            let state = &mut panes.states[id];
            let partial = &first.rows.partials[first.taken_out];
            let is_last = state.live == 1;
            if is_last && !state.is_kept {
                panes.newer[id] = self.aggregate.identity();
            } else if !panes.are_totals_stale {
                self.aggregate.unmerge(&mut panes.newer[id], partial)?;
            } else if is_last {
                // What a kept key is without values is a value less itself.
                state.is_kept = false;
                let mut nothing = partial.clone();
                if self.aggregate.unmerge(&mut nothing, partial).is_ok() {
                    panes.newer[id] = nothing;
                    state.is_kept = true;
                }
            }
            state.live -= 1;
            panes.shown -= usize::from(!state.is_shown());
            first.taken_out += 1;
            if let Some(log) = &mut panes.log
                && state.live == 0
                && state.is_kept
            {
                log.emptied(id as u32);
            }
        }
        Ok(())
    }

    /// Makes the totals from all panes, after a batch that failed.
    fn total_again(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        for (total, state) in panes.newer.iter_mut().zip(&panes.states) {
            // What a kept key is without values, nobody has changed.
            if state.live > 0 || !state.is_kept {
                *total = self.aggregate.identity();
            }
        }
        let closed = panes.panes.iter().map(|pane| (&pane.rows, pane.taken_out));
        for (rows, taken_out) in closed.chain(panes.open.iter().map(|rows| (rows, 0))) {
            for (&id, partial) in rows.ids.iter().zip(&rows.partials).skip(taken_out) {
                self.aggregate.merge(&mut panes.newer[id as usize], partial)?;
            }
        }
        panes.are_totals_stale = false;
        Ok(())
    }

    /// Moves all closed panes before a phase's boundary, from the newest to the oldest. No pane is
    /// before it, so `older` is empty for its keys.
    fn move_boundary(&self, panes: &mut Panes<K, A::Partial>, phase: usize) -> Result<()> {
        panes.moving = Some(phase);
        for pane in panes.panes.iter().rev() {
            let range = pane.range(phase);
            let rows = pane.rows.ids[range.clone()].iter().zip(&pane.rows.partials[range]);
            for (&id, partial) in rows {
                let older = &mut panes.older[id as usize];
                let mut merged = partial.clone();
                self.aggregate.merge(&mut merged, older)?;
                panes.saved.push(std::mem::replace(older, merged));
            }
        }
        panes.fresh.clear();
        let (mut old_bytes, mut new_bytes) = (0, 0);
        for (pane, row) in panes.panes.iter().rev().flat_map(|pane| pane.rows_of(phase)) {
            let state = &panes.states[pane.rows.ids[row] as usize];
            old_bytes += self.aggregate.byte_len(&pane.rows.partials[row]);
            new_bytes += self.aggregate.byte_len(&panes.saved[panes.fresh.len()]);
            panes.fresh.push(self.in_open(&panes.open[phase], state));
        }
        check_retained(panes.bytes - old_bytes, new_bytes, self.retained_bytes_max)?;
        let bases = vec![self.aggregate.identity(); panes.open[phase].bases.len()];
        // Nothing below fails.
        panes.open[phase].bases = bases;
        panes.moving = None;
        panes.older_rows += panes.saved.len();
        let mut made = panes.saved.drain(..).zip(panes.fresh.drain(..));
        for pane in panes.panes.iter_mut().rev() {
            for row in pane.range(phase) {
                let (saved, newer) = made.next().expect("they were made for each row");
                let partial = &mut pane.rows.partials[row];
                pane.bytes -= self.aggregate.byte_len(partial);
                pane.bytes += self.aggregate.byte_len(&saved);
                *partial = saved;
                panes.newer[pane.rows.ids[row] as usize] = newer;
            }
        }
        panes.bytes = panes.bytes - old_bytes + new_bytes;
        panes.phases[phase] = Phase { boundary: panes.open_number, is_stale: false };
        Ok(())
    }

    /// What the open pane has of a key.
    fn in_open(&self, open: &Rows<A::Partial>, state: &KeyState) -> A::Partial {
        let partial = open.partials.get(state.slot as usize);
        partial.cloned().unwrap_or_else(|| self.aggregate.identity())
    }

    /// Merges a chunk into the open pane, where each of its keys stands once.
    fn merge_chunk(
        &self,
        panes: &mut Panes<K, A::Partial>,
        chunk: &AnyChunk,
        has_bases: bool,
    ) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        self.find_ids(panes, &pairs.members.0)?;
        let is_invertible = self.aggregate.is_invertible();
        let are_empty_kept = self.are_empty_kept();
        let ids = std::mem::take(&mut panes.ids);
        for (row, &id) in ids.iter().enumerate() {
            if id as usize == panes.states.len() {
                self.add_key(panes, pairs.members.0.get(row));
            }
            let state = &mut panes.states[id as usize];
            let newer = &mut panes.newer[id as usize];
            let open = &mut panes.open[usize::from(state.phase)];
            let mut partial = self.aggregate.identity();
            self.aggregate.add(&mut partial, pairs.members.1.get(row))?;
            let before = open.partials.get(state.slot as usize);
            let mut merged = before.cloned();
            if let Some(merged) = &mut merged {
                self.aggregate.merge(merged, &partial)?;
            }
            // Totals are merged in place: after a failure they are made again.
            let is_empty_kept = state.is_kept && state.live == 0;
            let total = if is_invertible && !is_empty_kept {
                self.aggregate.merge(newer, &partial)?;
                None
            } else {
                let (mut total, added) = match (open.bases.get(state.slot as usize), &merged) {
                    (Some(base), Some(merged)) => (base.clone(), merged),
                    _ => (newer.clone(), &partial),
                };
                self.aggregate.merge(&mut total, added)?;
                Some(total)
            };
            let base = (has_bases && before.is_none()).then(|| newer.clone());
            let old_bytes = before.map_or(0, |before| self.row_bytes(before));
            let merged = merged.unwrap_or(partial);
            let bytes = (old_bytes, self.row_bytes(&merged));
            check_retained(panes.bytes - bytes.0, bytes.1, self.retained_bytes_max)?;
            // Nothing below fails.
            let was_kept = state.is_kept;
            let newer = total.map(|total| std::mem::replace(newer, total));
            let row = if state.slot == NO_SLOT {
                panes.shown += usize::from(!state.is_shown());
                state.slot = open.ids.len() as u32;
                state.live += 1;
                open.ids.push(id);
                open.partials.push(merged);
                open.bases.extend(base);
                None
            } else {
                Some(std::mem::replace(&mut open.partials[state.slot as usize], merged))
            };
            panes.open_bytes = panes.open_bytes - bytes.0 + bytes.1;
            panes.bytes = panes.bytes - bytes.0 + bytes.1;
            state.is_kept |= are_empty_kept;
            panes.undo.push(Undo { id, was_kept, newer, row, bytes });
        }
        panes.ids = ids;
        Ok(())
    }

    /// Adds a key that has the next id.
    fn add_key(&self, panes: &mut Panes<K, A::Partial>, key: K::Ref<'_>) {
        let newer = self.aggregate.identity();
        let older = (!self.aggregate.is_invertible()).then(|| self.aggregate.identity());
        let phase = if panes.phases.len() == 1 { 0 } else { phase_of::<K>(key) };
        panes.keys.push(key);
        panes.states.push(KeyState::new(phase));
        panes.newer.push(newer);
        panes.older.extend(older);
    }

    /// Whether the open pane has to know what `newer` was before it, if a batch has so many chunks.
    fn has_bases(&self, chunks: usize) -> bool {
        let is_once = self.pane == 1 && chunks <= 1;
        !is_once && self.aggregate.is_ordered() && !self.aggregate.is_invertible()
    }

    fn are_empty_kept(&self) -> bool {
        self.kept.are_empty_kept.load(Ordering::Relaxed)
    }

    fn row_bytes(&self, partial: &A::Partial) -> usize {
        self.aggregate.byte_len(partial) + size_of::<u32>()
    }

    /// Gives each key its id; cleans dead keys up if there are too many.
    fn find_ids(&self, panes: &mut Panes<K, A::Partial>, keys: &K::Columns) -> Result<()> {
        panes.ids.clear();
        let found = panes.groups.ids(keys, &mut panes.ids);
        match found {
            Err(error) if error.kind() == ErrorKind::Limit && panes.shown < panes.states.len() => {
                self.drop_dead_keys(panes)?;
                panes.ids.clear();
                panes.groups.ids(keys, &mut panes.ids)
            }
            found => found,
        }
    }

    /// Numbers the keys anew without those that nothing is left of.
    fn drop_dead_keys(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        let shown = (0..).zip(&panes.states).filter(|(_, state)| state.is_shown());
        let shown: Vec<u32> = shown.map(|(id, _)| id).collect();
        let mut keys = K::Columns::default();
        let mut new_ids = vec![NO_SLOT; panes.states.len()];
        for (new, &old) in (0..).zip(&shown) {
            keys.push(panes.keys.get(old as usize));
            new_ids[old as usize] = new;
        }
        let groups = groups_of::<K>(&keys, self.keys_max)?;
        // Nothing below fails.
        (panes.keys, panes.groups) = (keys, groups);
        panes.states = shown.iter().map(|&id| panes.states[id as usize]).collect();
        for by_id in [&mut panes.older, &mut panes.newer] {
            let mut old = std::mem::take(by_id).into_iter().zip(&new_ids);
            by_id.extend(old.by_ref().filter(|(_, new)| **new != NO_SLOT).map(|(old, _)| old));
        }
        let closed = panes.panes.iter_mut().flat_map(|pane| {
            // Of a pane that is half taken out, the first rows are no longer anybody's.
            let taken_out = pane.taken_out;
            pane.rows.ids[taken_out..].iter_mut()
        });
        let ids = closed.chain(panes.open.iter_mut().flat_map(|rows| &mut rows.ids));
        for id in ids.chain(panes.undo.iter_mut().map(|undo| &mut undo.id)) {
            *id = new_ids[*id as usize];
        }
        if let Some(log) = &mut panes.log {
            log.renumber(&new_ids);
        }
        Ok(())
    }

    /// What the window comes to for a key.
    fn result(&self, panes: &Panes<K, A::Partial>, id: usize) -> Result<A::Output> {
        if panes.older_rows == 0 {
            return self.aggregate.finish(&panes.newer[id]);
        }
        let mut all = panes.older[id].clone();
        self.aggregate.merge(&mut all, &panes.newer[id])?;
        self.aggregate.finish(&all)
    }

    fn emit(&self, panes: &mut Panes<K, A::Partial>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut pairs = reuse::<<(K, A::Output) as Record>::Columns>(last);
        let out = &mut Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns").members;
        if let Some(retain) = self.kept.retain.get() {
            for id in 0..panes.states.len() {
                if !panes.states[id].is_shown() {
                    continue;
                }
                let (key, result) = (panes.keys.get(id), self.result(panes, id)?);
                if retain(key, result.to_ref()) {
                    out.0.push(key);
                    out.1.push_owned(result);
                } else if panes.states[id].live == 0 {
                    if let Some(log) = &mut panes.log {
                        log.forgotten(key);
                    }
                    panes.states[id].is_kept = false;
                    panes.newer[id] = self.aggregate.identity();
                    panes.shown -= 1;
                }
            }
        } else if panes.shown == panes.states.len() {
            out.0.append(&panes.keys);
            for id in 0..panes.states.len() {
                out.1.push_owned(self.result(panes, id)?);
            }
        } else {
            for id in 0..panes.states.len() {
                if panes.states[id].is_shown() {
                    out.0.push(panes.keys.get(id));
                    out.1.push_owned(self.result(panes, id)?);
                }
            }
        }
        Ok(pairs)
    }
}

impl<K: Key, P> Panes<K, P> {
    /// Bytes of memory: panes, keys with what all panes come to for them, and what is noted for
    /// checkpoints.
    fn memory_bytes(&self) -> usize {
        let keys = self.groups.byte_len() + self.keys.byte_len() + size_of_val(&*self.states);
        let totals = (self.older.len() + self.newer.len()) * size_of::<P>();
        // What all panes come to owns no more elsewhere than they do.
        let owned = if std::mem::needs_drop::<P>() { self.bytes } else { 0 };
        let log = self.log.as_ref().map_or(0, |log| log.memory_bytes());
        let undo = self.undo.capacity() * size_of::<Undo<P>>();
        self.bytes + keys + totals + owned + log + undo
    }

    /// Drops the first pane, of which the keys know already.
    fn drop_first(&mut self) {
        if let Some(first) = self.panes.pop_front() {
            self.bytes -= first.bytes;
            self.recycle(first);
        }
    }

    /// Keeps a pane's memory.
    fn recycle(&mut self, mut pane: Pane<P>) {
        pane.rows.ids.clear();
        pane.rows.partials.clear();
        pane.ends.clear();
        pane.taken_out = 0;
        self.spare.push(pane);
        // One to close next, and one to spare.
        self.spare.truncate(2);
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> Stateful for WindowByKey<K, V, A> {
    type State = Panes<K, A::Partial>;

    fn state(&self) -> Panes<K, A::Partial> {
        let phases = if self.aggregate.is_invertible() { 1 } else { PHASES };
        Panes {
            groups: K::Groups::new(self.keys_max),
            keys: K::Columns::default(),
            states: Vec::new(),
            shown: 0,
            older: Vec::new(),
            newer: Vec::new(),
            panes: VecDeque::new(),
            open: (0..phases).map(|_| Rows::default()).collect(),
            open_number: 0,
            open_bytes: 0,
            phases: vec![Phase::default(); phases],
            older_rows: 0,
            are_totals_stale: false,
            moving: None,
            undo: Vec::new(),
            bytes: 0,
            log: None,
            ids: Vec::new(),
            saved: Vec::new(),
            fresh: Vec::new(),
            spare: Vec::new(),
        }
    }

    fn way(&self) -> &'static str {
        if self.aggregate.is_invertible() { "panes, by inverse" } else { "panes, by two stacks" }
    }

    fn take_turn(&self, panes: &mut Panes<K, A::Partial>, turn: Turn<'_>) -> Result<()> {
        if let Some(log) = &mut panes.log {
            log.now = turn.now;
            log.bound(panes.states.len());
        }
        // Before the panes leave: what dies with them may come again with this batch.
        let dead = panes.states.len() - panes.shown;
        if dead > panes.shown.max(DEAD_KEYS_MIN) {
            self.drop_dead_keys(panes)?;
        }
        self.close_pane(panes, turn.now);
        self.take_out(panes, turn.now)?;
        if self.span.is_seen(turn.now) {
            let chunks = turn.chunks.unwrap_or_default();
            let has_bases = self.has_bases(chunks.len());
            for chunk in chunks {
                // Rows of the pane, and how to undo them: about twice what has come.
                turn.memory.check_room(2 * chunk.held_bytes())?;
                self.merge_chunk(panes, chunk, has_bases)?;
            }
        }
        if let Some(out) = turn.out {
            let bytes = panes.keys.byte_len() + panes.shown * size_of::<A::Output>();
            let before = turn.last.as_ref().map_or(0, |last| last.held_bytes());
            turn.memory.check_room(bytes.saturating_sub(before))?;
            out.push(self.emit(panes, turn.last)?);
        }
        Ok(())
    }

    fn commit(&self, panes: &mut Panes<K, A::Partial>) {
        if let Some(log) = &mut panes.log {
            let states = panes.undo.iter().map(|undo| &panes.states[undo.id as usize]);
            let all = panes.open.iter().map(|rows| rows.ids.len()).sum();
            log.touch(states.map(|state| (state.phase, state.slot)), all);
        }
        panes.undo.clear();
    }

    fn roll_back(&self, panes: &mut Panes<K, A::Partial>) {
        if let Some(phase) = panes.moving.take() {
            // There was no pane before the boundary.
            for pane in &panes.panes {
                for &id in &pane.rows.ids[pane.range(phase)] {
                    panes.older[id as usize] = self.aggregate.identity();
                }
            }
            panes.saved.clear();
        }
        panes.are_totals_stale = self.aggregate.is_invertible();
        while let Some(Undo { id, was_kept, newer, row, bytes }) = panes.undo.pop() {
            let state = &mut panes.states[id as usize];
            let open = &mut panes.open[usize::from(state.phase)];
            if let Some(newer) = newer {
                panes.newer[id as usize] = newer;
            }
            panes.open_bytes = panes.open_bytes - bytes.1 + bytes.0;
            panes.bytes = panes.bytes - bytes.1 + bytes.0;
            let was_shown = state.is_shown();
            state.is_kept = was_kept;
            match row {
                Some(row) => open.partials[state.slot as usize] = row,
                None => {
                    state.slot = NO_SLOT;
                    state.live -= 1;
                    open.ids.pop();
                    open.partials.pop();
                    open.bases.pop();
                }
            }
            panes.shown -= usize::from(was_shown && !state.is_shown());
        }
        if panes.groups.len() != panes.states.len()
            && let Ok(groups) = groups_of::<K>(&panes.keys, self.keys_max)
        {
            panes.groups = groups;
        }
    }

    fn size(&self, panes: &mut Panes<K, A::Partial>) -> StateSize {
        StateSize { keys: panes.shown, bytes: panes.memory_bytes() }
    }

    fn saved_as(&self) -> Result<String> {
        let partial = self.aggregate.partial_saved_as().ok_or_else(|| {
            let name = name_of::<A::Partial>();
            let message = format!(
                "a checkpoint cannot hold `{name}`, what is kept for a key: an aggregate of your \
                 own says how by `partial_saved_as`, and values are saved if they derive `Record` \
                 or are a `Saved<T>` in the place of a `Row<T>`"
            );
            Error::new(ErrorKind::Checkpoint, message)
        })?;
        let batches = if self.pane == 1 { "batch" } else { "batches" };
        Ok(format!("panes of {} {batches} by {}: {partial}", self.pane, form_of::<K>()?))
    }

    fn track_changes(&self, panes: &mut Panes<K, A::Partial>) {
        panes.log.get_or_insert_default();
    }

    fn save(&self, panes: &mut Panes<K, A::Partial>, changes: &mut Changes) -> Result<()> {
        self.save_log(panes, changes)
    }

    fn save_all(&self, panes: &mut Panes<K, A::Partial>) -> Result<Gather> {
        self.save_whole_log(panes)
    }

    fn load(&self, panes: &mut Panes<K, A::Partial>, saved: &Changes) -> Result<()> {
        self.load_log(panes, saved)
    }
}

/// Gives back most of the room that is not used; returns the bytes of the rest.
fn trim<T>(values: &mut Vec<T>) -> usize {
    let len = values.len();
    if values.capacity() > len + len / 2 + 8 {
        values.shrink_to_fit();
    }
    (values.capacity() - len) * size_of::<T>()
}

/// The phase of a key: always the same, so that after a restart boundaries lie where they did.
fn phase_of<K: Key>(key: K::Ref<'_>) -> usize {
    /// FNV-1a: short, and nobody's to change.
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
            }
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }
    let mut hasher = Fnv(0xCBF2_9CE4_8422_2325);
    K::hash_ref(key, &mut hasher);
    // The upper bits depend on all of the key.
    (hasher.finish() >> 32) as usize % PHASES
}

/// The table of these keys, all different, with their positions as ids.
fn groups_of<K: Key>(keys: &K::Columns, keys_max: usize) -> Result<K::Groups> {
    let mut groups = K::Groups::new(keys_max);
    groups.ids(keys, &mut Vec::new())?;
    Ok(groups)
}
