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
//! leaving runs nothing of the user's. When the last of them has left, all panes but the open one
//! move before the boundary.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::window::Span;
use super::{Aggregate, Stateful, Turn, reuse};
use crate::config::check_retained;
use crate::error::{ErrorKind, Result};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, Record};

/// Dead keys below which nobody cleans up.
const DEAD_KEYS_MIN: usize = 1024;

/// No row of the open pane is this key's.
const NO_SLOT: u32 = u32::MAX;

pub(crate) struct WindowByKey<K: Key, V, A: Aggregate<V>>
where
    V: Record,
{
    aggregate: A,
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
    /// By id: what the panes before the boundary come to.
    older: Vec<P>,
    /// By id: what the panes after the boundary come to; of invertible aggregates, all panes.
    newer: Vec<P>,
    /// Panes that are closed, oldest first.
    panes: VecDeque<Pane<P>>,
    /// How many of them are before the boundary.
    older_panes: usize,
    /// Panes that have left are still in `newer`, since moving the boundary failed.
    is_newer_stale: bool,
    /// The boundary is being moved.
    is_moving: bool,
    /// The pane that batches are merged into.
    open: Pane<P>,
    /// How the batch that is not committed yet is undone, entry by entry.
    undo: Vec<Undo<P>>,
    bytes: usize,
    // Scratch.
    ids: Vec<u32>,
    spare: Vec<Pane<P>>,
}

/// What is known of a key beside its aggregate.
#[derive(Copy, Clone)]
struct KeyState {
    /// The panes that have values of it, the open one included.
    live: u32,
    /// Its row in the open pane.
    slot: u32,
    /// It is given out without values, too.
    is_kept: bool,
}

/// What came for each key in the batches of one pane.
struct Pane<P> {
    number: u64,
    ids: Vec<u32>,
    partials: Vec<P>,
    /// While the boundary is moved: what `older` becomes again when the pane leaves.
    saved: Vec<P>,
    /// Rows that were taken out already.
    taken_out: usize,
    bytes: usize,
}

struct Undo<P> {
    id: u32,
    was_kept: bool,
    newer: P,
    /// The key's row in the open pane, if there was one.
    row: Option<P>,
}

impl KeyState {
    const NEW: KeyState = KeyState { live: 0, slot: NO_SLOT, is_kept: false };

    fn is_shown(&self) -> bool {
        self.live > 0 || self.is_kept
    }
}

impl<K: Record, U: Record> Default for KeptKeys<K, U> {
    fn default() -> Self {
        KeptKeys { are_empty_kept: AtomicBool::new(false), retain: OnceLock::new() }
    }
}

impl<P> Default for Pane<P> {
    fn default() -> Self {
        let (ids, partials, saved) = (Vec::new(), Vec::new(), Vec::new());
        Pane { number: 0, ids, partials, saved, taken_out: 0, bytes: 0 }
    }
}

impl<P> Pane<P> {
    fn clear(&mut self) {
        self.ids.clear();
        self.partials.clear();
        self.saved.clear();
        self.taken_out = 0;
        self.bytes = 0;
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> WindowByKey<K, V, A> {
    pub(crate) fn new(
        aggregate: A,
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
        if panes.open.number == number {
            return;
        }
        let mut next = panes.spare.pop().unwrap_or_default();
        next.number = number;
        let closed = std::mem::replace(&mut panes.open, next);
        for &id in &closed.ids {
            panes.states[id as usize].slot = NO_SLOT;
        }
        if closed.ids.is_empty() {
            panes.recycle(closed);
        } else {
            panes.panes.push_back(closed);
        }
    }

    /// Takes out the panes that have left the window.
    fn take_out(&self, panes: &mut Panes<K, A::Partial>, now: u64) -> Result<()> {
        let has_left = |pane: &Pane<_>| self.span.has_left(pane.number * self.pane, now);
        if self.aggregate.is_invertible() {
            while panes.panes.front().is_some_and(has_left) {
                self.unmerge_first(panes)?;
                panes.drop_first();
            }
            return Ok(());
        }
        while panes.older_panes > 0 && panes.panes.front().is_some_and(has_left) {
            let Some(first) = panes.panes.front_mut() else { break };
            for (&id, saved) in first.ids.iter().zip(first.partials.drain(..)) {
                panes.older[id as usize] = saved;
            }
            panes.older_panes -= 1;
            panes.drop_first_of_keys();
        }
        while panes.panes.front().is_some_and(has_left) {
            panes.is_newer_stale = true;
            panes.drop_first_of_keys();
        }
        if panes.is_newer_stale {
            self.move_boundary(panes)?;
        }
        Ok(())
    }

    /// Takes the first pane out of the totals. What an error or panic stops goes on in the next
    /// turn, at the row where it stopped.
    fn unmerge_first(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        let Some(first) = panes.panes.front_mut() else { return Ok(()) };
        while let Some(&id) = first.ids.get(first.taken_out) {
            let id = id as usize;
            let state = &mut panes.states[id];
            if state.live == 1 && !state.is_kept {
                panes.newer[id] = self.aggregate.identity();
                panes.shown -= 1;
            } else {
                let mut total = panes.newer[id].clone();
                self.aggregate.unmerge(&mut total, &first.partials[first.taken_out])?;
                panes.newer[id] = total;
            }
            state.live -= 1;
            first.taken_out += 1;
        }
        Ok(())
    }

    /// Moves all closed panes before the boundary, from the newest to the oldest.
    fn move_boundary(&self, panes: &mut Panes<K, A::Partial>) -> Result<()> {
        panes.is_moving = true;
        for pane in panes.panes.iter_mut().rev() {
            for (&id, partial) in pane.ids.iter().zip(&pane.partials) {
                let older = &mut panes.older[id as usize];
                let mut merged = partial.clone();
                self.aggregate.merge(&mut merged, older)?;
                pane.saved.push(std::mem::replace(older, merged));
            }
        }
        // Nothing below fails.
        for pane in &mut panes.panes {
            std::mem::swap(&mut pane.partials, &mut pane.saved);
            pane.saved.clear();
        }
        panes.older_panes = panes.panes.len();
        panes.newer.fill_with(|| self.aggregate.identity());
        for (&id, partial) in panes.open.ids.iter().zip(&panes.open.partials) {
            panes.newer[id as usize] = partial.clone();
        }
        panes.is_newer_stale = false;
        panes.is_moving = false;
        Ok(())
    }

    /// Merges a chunk into the open pane, where each of its keys stands once.
    fn merge_chunk(&self, panes: &mut Panes<K, A::Partial>, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        self.find_ids(panes, &pairs.members.0)?;
        let are_empty_kept = self.kept.are_empty_kept.load(Ordering::Relaxed);
        let ids = std::mem::take(&mut panes.ids);
        for (row, &id) in ids.iter().enumerate() {
            if id as usize == panes.states.len() {
                panes.keys.push(pairs.members.0.get(row));
                panes.states.push(KeyState::NEW);
                panes.newer.push(self.aggregate.identity());
                if !self.aggregate.is_invertible() {
                    panes.older.push(self.aggregate.identity());
                }
            }
            let state = &mut panes.states[id as usize];
            let newer = &mut panes.newer[id as usize];
            let mut partial = self.aggregate.identity();
            self.aggregate.add(&mut partial, pairs.members.1.get(row))?;
            let mut total = newer.clone();
            self.aggregate.merge(&mut total, &partial)?;
            let bytes = self.aggregate.byte_len(&partial) + size_of::<u32>();
            check_retained(panes.bytes, bytes, self.retained_bytes_max)?;
            let open = &mut panes.open;
            let merged = if state.slot == NO_SLOT {
                None
            } else {
                let mut merged = open.partials[state.slot as usize].clone();
                self.aggregate.merge(&mut merged, &partial)?;
                Some(merged)
            };
            // Nothing below fails.
            let was_kept = state.is_kept;
            let newer = std::mem::replace(newer, total);
            let row = match merged {
                None => {
                    panes.shown += usize::from(!state.is_shown());
                    state.slot = open.ids.len() as u32;
                    state.live += 1;
                    open.ids.push(id);
                    open.partials.push(partial);
                    open.bytes += bytes;
                    panes.bytes += bytes;
                    None
                }
                Some(merged) => {
                    Some(std::mem::replace(&mut open.partials[state.slot as usize], merged))
                }
            };
            state.is_kept |= are_empty_kept;
            panes.undo.push(Undo { id, was_kept, newer, row });
        }
        panes.ids = ids;
        Ok(())
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
            pane.ids[taken_out..].iter_mut()
        });
        let ids = closed.chain(&mut panes.open.ids);
        for id in ids.chain(panes.undo.iter_mut().map(|undo| &mut undo.id)) {
            *id = new_ids[*id as usize];
        }
        Ok(())
    }

    /// What the window comes to for a key.
    fn result(&self, panes: &Panes<K, A::Partial>, id: usize) -> Result<A::Output> {
        if panes.older_panes == 0 {
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
    /// Drops the first pane, of which the keys know already.
    fn drop_first(&mut self) {
        if let Some(first) = self.panes.pop_front() {
            self.bytes -= first.bytes;
            self.recycle(first);
        }
    }

    /// Drops the first pane, also from what is known of its keys.
    fn drop_first_of_keys(&mut self) {
        let Some(first) = self.panes.front() else { return };
        for &id in &first.ids {
            let state = &mut self.states[id as usize];
            state.live -= 1;
            self.shown -= usize::from(!state.is_shown());
        }
        self.drop_first();
    }

    /// Keeps a pane's memory.
    fn recycle(&mut self, mut pane: Pane<P>) {
        pane.clear();
        self.spare.push(pane);
        // One to open next, and one to spare.
        self.spare.truncate(2);
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> Stateful for WindowByKey<K, V, A> {
    type State = Panes<K, A::Partial>;

    fn state(&self) -> Panes<K, A::Partial> {
        Panes {
            groups: K::Groups::new(self.keys_max),
            keys: K::Columns::default(),
            states: Vec::new(),
            shown: 0,
            older: Vec::new(),
            newer: Vec::new(),
            panes: VecDeque::new(),
            older_panes: 0,
            is_newer_stale: false,
            is_moving: false,
            open: Pane::default(),
            undo: Vec::new(),
            bytes: 0,
            ids: Vec::new(),
            spare: Vec::new(),
        }
    }

    fn way(&self) -> &'static str {
        if self.aggregate.is_invertible() { "panes, by inverse" } else { "panes, by two stacks" }
    }

    fn take_turn(&self, panes: &mut Panes<K, A::Partial>, turn: Turn<'_>) -> Result<()> {
        // Before the panes leave: what dies with them may come again with this batch.
        let dead = panes.states.len() - panes.shown;
        if dead > panes.shown.max(DEAD_KEYS_MIN) {
            self.drop_dead_keys(panes)?;
        }
        self.close_pane(panes, turn.now);
        self.take_out(panes, turn.now)?;
        if self.span.is_seen(turn.now) {
            for chunk in turn.chunks.unwrap_or_default() {
                self.merge_chunk(panes, chunk)?;
            }
        }
        if let Some(out) = turn.out {
            out.push(self.emit(panes, turn.last)?);
        }
        Ok(())
    }

    fn commit(&self, panes: &mut Panes<K, A::Partial>) {
        panes.undo.clear();
    }

    fn roll_back(&self, panes: &mut Panes<K, A::Partial>) {
        if std::mem::take(&mut panes.is_moving) {
            // There was no pane before the boundary.
            panes.older.fill_with(|| self.aggregate.identity());
            panes.panes.iter_mut().for_each(|pane| pane.saved.clear());
        }
        while let Some(Undo { id, was_kept, newer, row }) = panes.undo.pop() {
            let state = &mut panes.states[id as usize];
            panes.newer[id as usize] = newer;
            state.is_kept = was_kept;
            if let Some(row) = row {
                panes.open.partials[state.slot as usize] = row;
                continue;
            }
            state.slot = NO_SLOT;
            state.live -= 1;
            panes.shown -= usize::from(!state.is_shown());
            panes.open.ids.pop();
            if let Some(partial) = panes.open.partials.pop() {
                let bytes = self.aggregate.byte_len(&partial) + size_of::<u32>();
                panes.open.bytes -= bytes;
                panes.bytes -= bytes;
            }
        }
        if panes.groups.len() != panes.states.len()
            && let Ok(groups) = groups_of::<K>(&panes.keys, self.keys_max)
        {
            panes.groups = groups;
        }
    }
}

/// The table of these keys, all different, with their positions as ids.
fn groups_of<K: Key>(keys: &K::Columns, keys_max: usize) -> Result<K::Groups> {
    let mut groups = K::Groups::new(keys_max);
    groups.ids(keys, &mut Vec::new())?;
    Ok(groups)
}
