//! Runs batches: takes blocks in as they arrive, and at each batch time brings every node that is
//! needed to its batch, parents first. `outputs.rs` gives the batches to the outputs.
//!
//! A failure stays with its node and those below it for this batch; the next batch starts clean.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fan_out::fan_out;
use super::guard::{guard, lock};
use super::held::Held;
use super::metrics::StateMetrics;
use super::part::{Part, run_chain};
use super::partial::{ORDERED_PARTIALS_KEPT, Partial, merge, ordered_partials};
use crate::config::{Limits, PARALLEL_BYTES_MIN};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Memory;
use crate::ops::{AnyState, AnyStateful, Changes, Gather, Turn};
use crate::plan::{Input, NodeId, Output, OutputRun, Physical, PhysicalNode, Run, Wide};
use crate::record::batch::AnyChunk;
use crate::record::block::SharedText;
use crate::record::recycled::Recycled;
use crate::source::intake::{Intake, Step};
use crate::time::Time;

pub(super) struct Executor {
    // Fixed.
    physical: Physical,
    threads: usize,
    /// Bytes that a stream may keep for the program.
    retained_bytes_max: usize,
    /// What an operator remembered is gone, as of a batch that could be neither done nor undone.
    has_lost_memory: bool,
    /// Sources whose blocks are taken in as they arrive.
    eager: Vec<NodeId>,
    /// Bounded sources whose blocks have to wait for their batch.
    bounded: Vec<Arc<Intake>>,
    // Changing.
    /// The number of the batch, from 1.
    now: u64,
    slots: Vec<Slot>,
    /// The chunks that an output is given, kept for their memory.
    chunks: Vec<AnyChunk>,
}

/// What a node has come to in the current batch.
struct Slot {
    state: SlotState,
    /// An operator that is made of this node's batch has failed.
    has_failed_below: bool,
    parts: Vec<Part>,
    /// For wide nodes: one partial for each thread, or for each run of chunks where order shows.
    partials: Vec<Mutex<Partial>>,
    /// For wide nodes: what each thread's chains wrote to before.
    recycled: Vec<Mutex<Recycled>>,
    /// For stateful nodes: what they remember.
    memory: Option<Mutex<AnyState>>,
    /// For stateful nodes: what was saved before does not count.
    is_saved_whole: bool,
    /// For stateful nodes: what was to be saved, and was not.
    unsaved: Option<Changes>,
    /// For sources: where the receiver stood when the batch was cut, if it can say.
    position: Option<Vec<u8>>,
    /// For wide and stateful nodes: what was emitted last, to be written again.
    last: Option<AnyChunk>,
    /// What of all this is charged to the memory account.
    held: Held,
}

/// What is saved of an operator.
pub(super) enum Saving {
    Done(Changes),
    Beside(Gather),
}

#[derive(Default)]
enum SlotState {
    #[default]
    Absent,
    Present,
    Failed(Error),
}

impl Executor {
    pub(super) fn new(
        physical: Physical,
        threads: usize,
        limits: &Limits,
        memory: &Arc<Memory>,
    ) -> Executor {
        let (mut eager_sources, mut bounded) = (Vec::new(), Vec::new());
        for (id, node) in physical.nodes.iter().enumerate() {
            if let Run::Source { input: Input::Lines(intake), eager, .. } = &node.run {
                if !eager.is_empty() {
                    intake.set_eager();
                    eager_sources.push(id);
                } else if intake.is_bounded() {
                    bounded.push(intake.clone());
                }
            }
        }
        let slots = physical.nodes.iter().map(|node| {
            let held = Held::new(&node.name, memory, limits.key_bytes);
            Slot::new(&node.run, threads, held)
        });
        let slots = slots.collect();
        let (eager, chunks) = (eager_sources, Vec::new());
        Executor {
            physical,
            threads,
            retained_bytes_max: limits.retained_bytes,
            has_lost_memory: false,
            eager,
            bounded,
            now: 0,
            slots,
            chunks,
        }
    }

    /// The number of the last batch.
    pub(super) fn number(&self) -> u64 {
        self.now
    }

    /// Goes on after the batch with this number.
    pub(super) fn go_on_after(&mut self, number: u64) {
        self.now = number;
    }

    /// Where a source's receiver stood when the last batch was cut.
    pub(super) fn position(&self, id: NodeId) -> Option<&[u8]> {
        self.slots[id].position.as_deref()
    }

    /// Makes what an operator remembers what was saved of it.
    pub(super) fn load(&mut self, id: NodeId, saved: &Changes) -> Result<()> {
        let bytes = self.with_memory(id, |operator, memory| {
            operator.0.load(memory, saved)?;
            Ok(operator.0.size(memory).bytes)
        })?;
        self.slots[id].is_saved_whole = false;
        self.slots[id].held.set_state(bytes)
    }

    /// From now on operators keep what they need to tell what has changed.
    pub(super) fn track_changes(&mut self) -> Result<()> {
        for id in 0..self.slots.len() {
            if self.slots[id].memory.is_some() {
                self.with_memory(id, |operator, memory| {
                    operator.0.track_changes(memory);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// What has changed of what an operator remembers since the last call, or what gathers it.
    pub(super) fn save(&mut self, id: NodeId) -> Result<Saving> {
        let slot = &self.slots[id];
        if !slot.is_saved_whole && slot.unsaved.is_none() {
            let gather =
                self.with_memory(id, |operator, memory| Ok(operator.0.save_beside(memory)))?;
            if let Some(gather) = gather {
                return Ok(Saving::Beside(self.guarded(id, gather)));
            }
        }
        let mut changes = Changes::default();
        if self.slots[id].is_saved_whole {
            changes.forget_all();
        }
        self.with_memory(id, |operator, memory| operator.0.save(memory, &mut changes))?;
        self.slots[id].is_saved_whole = false;
        Ok(Saving::Done(match self.slots[id].unsaved.take() {
            Some(unsaved) => unsaved.then(&changes),
            None => changes,
        }))
    }

    /// What reads all that an operator remembers, bit by bit, beside the batches, if it takes that.
    pub(super) fn scan(&mut self, id: NodeId) -> Result<Option<Gather>> {
        let scan = self.with_memory(id, |operator, memory| Ok(operator.0.scan(memory)))?;
        Ok(scan.map(|scan| self.guarded(id, scan)))
    }

    /// What gathers all that an operator remembers after this batch, whatever was saved before.
    pub(super) fn save_all(&mut self, id: NodeId) -> Result<Gather> {
        let gather = self.with_memory(id, |operator, memory| operator.0.save_all(memory))?;
        let slot = &mut self.slots[id];
        (slot.is_saved_whole, slot.unsaved) = (false, None);
        Ok(self.guarded(id, gather))
    }

    fn guarded(&self, id: NodeId, gather: Gather) -> Gather {
        let name = self.physical.nodes[id].name.clone();
        Box::new(move || guard(&name, gather))
    }

    /// Takes changes back that were not saved after all.
    pub(super) fn take_back(&mut self, id: NodeId, changes: Changes) {
        self.slots[id].unsaved = Some(changes);
    }

    fn with_memory<T>(
        &mut self,
        id: NodeId,
        run: impl FnOnce(&AnyStateful, &mut AnyState) -> Result<T>,
    ) -> Result<T> {
        let node = &self.physical.nodes[id];
        let (Run::Stateful(operator), Some(memory)) = (&node.run, &mut self.slots[id].memory)
        else {
            unreachable!("called for stateful nodes only");
        };
        let memory = memory.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        guard(&node.name, || run(operator, memory))
    }

    /// Whether there is input that waits for nobody.
    pub(super) fn has_bounded_input(&self) -> bool {
        let eager = self.eager.iter().map(|&id| self.intake(id));
        let mut all = eager.filter(|intake| intake.is_bounded()).chain(&self.bounded);
        all.any(|intake| !intake.has_ended())
    }

    /// How long the rates of all bounded sources that have not ended forbid reading them, if so.
    pub(super) fn limited_for(&self) -> Option<Duration> {
        let eager = self.eager.iter().map(|&id| self.intake(id));
        let bounded = eager.filter(|intake| intake.is_bounded()).chain(&self.bounded);
        let mut shortest: Option<Duration> = None;
        for intake in bounded.filter(|intake| !intake.has_ended()) {
            let limited = intake.limited_for()?;
            shortest = Some(shortest.map_or(limited, |shortest| shortest.min(limited)));
        }
        shortest
    }

    /// How much the operators remember, each at its place.
    pub(super) fn measure_states(&mut self, into: &mut Vec<StateMetrics>) {
        let mut measured = 0;
        for (node, slot) in self.physical.nodes.iter().zip(&mut self.slots) {
            let (Run::Stateful(operator), Some(memory)) = (&node.run, &mut slot.memory) else {
                continue;
            };
            let memory = memory.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            let size = operator.0.size(memory);
            if into.len() == measured {
                let name = node.name_of_state(operator).to_owned();
                into.push(StateMetrics { name, ..StateMetrics::default() });
            }
            (into[measured].keys, into[measured].bytes) = (size.keys, size.bytes);
            measured += 1;
        }
    }

    /// What bounded sources have reported, and why they have ended, where that was an error.
    pub(super) fn take_errors(&self, record: &mut impl FnMut(Error, &Intake)) {
        for id in 0..self.physical.nodes.len() {
            if let Run::Source { input: Input::Lines(intake), .. } = &self.physical.nodes[id].run
                && intake.is_bounded()
                && let Some(error) = intake.take_error()
            {
                record(error, intake);
            }
        }
    }

    /// Takes in the blocks that have arrived, and reads bounded input, until a batch is due or
    /// there is nothing more. Returns whether a bounded source has filled all its blocks.
    pub(super) fn take_in(&self, is_due: &(impl Fn() -> bool + Sync)) -> bool {
        let is_large = self.eager.iter().any(|&id| self.intake(id).is_bounded());
        if is_large {
            fan_out(self.threads, &|thread| self.take_in_on(thread, is_due));
        } else {
            // One block is not worth waking a second core.
            let mut taken = 0;
            while !is_due() && self.take_in_one(0) {
                taken += 1;
                if taken > 1 {
                    fan_out(self.threads, &|thread| self.take_in_on(thread, is_due));
                }
            }
        }
        let mut is_out_of_blocks = false;
        for intake in &self.bounded {
            while !is_due() {
                match intake.step() {
                    Step::Sealed | Step::More => {}
                    Step::Later(_) | Step::Limited(_) | Step::Ended => break,
                    Step::NoBlock if intake.has_sealed() => {
                        is_out_of_blocks = true;
                        break;
                    }
                    // The program holds all of them.
                    Step::NoBlock => intake.wait_for_block(),
                }
            }
        }
        is_out_of_blocks
    }

    fn take_in_on(&self, thread: usize, is_due: &(impl Fn() -> bool + Sync)) {
        while !is_due() {
            if self.take_in_one(thread) {
                continue;
            }
            // Only a source that waits for nobody is read here.
            let read = self.eager.iter().map(|&id| self.intake(id)).any(|intake| {
                intake.is_bounded() && matches!(intake.step(), Step::Sealed | Step::More)
            });
            if !read {
                return;
            }
        }
    }

    /// Takes in one block of any source; returns whether there was one.
    fn take_in_one(&self, thread: usize) -> bool {
        self.eager.iter().any(|&source| self.take_in_from(source, thread))
    }

    fn take_in_from(&self, source: NodeId, thread: usize) -> bool {
        let Some(block) = self.intake(source).pop() else { return false };
        self.push_block(source, &block, thread);
        true
    }

    fn push_block(&self, source: NodeId, block: &SharedText, thread: usize) {
        let Run::Source { eager, .. } = &self.physical.nodes[source].run else { return };
        let part = Part::Lines(block.clone(), self.intake(source).clone());
        for &id in eager {
            if let Run::Wide(wide) = &self.physical.nodes[id].run {
                self.push_part(id, wide, 0, &part, thread, &self.slots[id].partials[thread]);
            }
        }
    }

    /// Takes a part of the parent at a position in.
    fn push_part(
        &self,
        id: NodeId,
        wide: &Wide,
        parent: usize,
        part: &Part,
        thread: usize,
        partial: &Mutex<Partial>,
    ) {
        let partial = &mut *lock(partial);
        if partial.has_failed() {
            return;
        }
        let slot = &self.slots[id];
        let mut recycled = lock(&slot.recycled[thread]);
        let chained = run_chain(&wide.chains[parent], part, wide.takes_lines, &mut recycled);
        let name = &self.physical.nodes[id].name;
        partial.push(name, &wide.operator, &slot.held, chained, parent == 0);
        recycled.reclaim();
    }

    /// Runs the operators of the batch that was cut at `time`, and hands each error to `record`.
    pub(super) fn run_operators(&mut self, time: Time, record: &mut impl FnMut(Error)) {
        self.now += 1;
        for id in 0..self.physical.nodes.len() {
            let state = self.run_node(id, time);
            if let SlotState::Failed(error) = &state
                && !self.physical.nodes[id].parents.iter().any(|&parent| self.has_failed(parent))
            {
                record(error.clone());
            }
            self.slots[id].state = state;
        }
    }

    /// Ends the batch, after its outputs: commits what the operators remember, or rolls it back in
    /// an operator that failed and in all that it is made of. A failed output changes neither.
    pub(super) fn end_batch(&mut self, time: Time, record: &mut impl FnMut(Error)) {
        for id in (0..self.physical.nodes.len()).rev() {
            let node = &self.physical.nodes[id];
            let slot = &mut self.slots[id];
            let has_failed = slot.has_failed_below || matches!(slot.state, SlotState::Failed(_));
            if let (Run::Stateful(operator), Some(memory)) = (&node.run, &mut slot.memory) {
                let memory = memory.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
                let ended = guard(&node.name, || {
                    if has_failed {
                        operator.0.roll_back(memory);
                    } else {
                        operator.0.commit(memory);
                    }
                    Ok(())
                });
                if let Err(error) = ended {
                    // Nobody knows what it remembers now.
                    *memory = operator.0.state();
                    self.has_lost_memory = true;
                    record(error.within(&format!("batch {time}: its memory is lost")));
                }
            }
            if has_failed {
                for &parent in &node.parents {
                    self.slots[parent].has_failed_below = true;
                }
            }
            if let Err(error) = self.remember(id, time) {
                record(error);
            }
            self.clear(id);
            self.measure_state(id);
        }
    }

    /// Whether an operator has lost what it remembered, so that what is in checkpoints is better.
    pub(super) fn has_lost_memory(&self) -> bool {
        self.has_lost_memory
    }

    /// Keeps the node's batch for the program, if it asked for it.
    fn remember(&mut self, id: NodeId, time: Time) -> Result<()> {
        let node = &self.physical.nodes[id];
        let Some((history, detach)) = &node.history else { return Ok(()) };
        let slot = &mut self.slots[id];
        let is_present = matches!(slot.state, SlotState::Present);
        let kept = guard("remember", || {
            let chunks = slot.parts.iter().map(|part| detach(&part.columns()));
            let batch = is_present.then(|| (time, chunks.collect()));
            history.keep(self.now, batch, self.retained_bytes_max)?;
            slot.held.set_history(history.byte_len()).inspect_err(|_| {
                let _ = slot.held.set_history(history.forget_last());
            })
        });
        kept.map_err(|error| error.within(&format!("batch {time}: stream {}", node.name)))
    }

    /// Makes a node ready for the next batch.
    fn clear(&mut self, id: NodeId) {
        let slot = &mut self.slots[id];
        slot.parts.clear();
        slot.state = SlotState::Absent;
        slot.has_failed_below = false;
        slot.held.drop_chunks();
        let Run::Wide(wide) = &self.physical.nodes[id].run else { return };
        if wide.operator.0.is_ordered() {
            // What one large batch needed is not kept for ever.
            for partial in slot.partials.drain(ORDERED_PARTIALS_KEPT.min(slot.partials.len())..) {
                let partial = partial.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
                partial.drop_from(&slot.held);
            }
        }
        for partial in &mut slot.partials {
            let partial = partial.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            partial.end_batch(&wide.operator, &slot.held);
        }
    }

    /// What an operator remembers after the batch; a batch that would have been too much has
    /// failed.
    fn measure_state(&mut self, id: NodeId) {
        let Slot { memory, held, .. } = &mut self.slots[id];
        let (Run::Stateful(operator), Some(memory)) = (&self.physical.nodes[id].run, memory) else {
            return;
        };
        let memory = memory.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = guard("measure", || held.set_state(operator.0.size(memory).bytes));
    }

    fn has_failed(&self, id: NodeId) -> bool {
        matches!(self.slots[id].state, SlotState::Failed(_))
    }

    fn run_node(&mut self, id: NodeId, time: Time) -> SlotState {
        let node = &self.physical.nodes[id];
        // A stateful node looks at every batch of its parent, and may give fewer.
        let is_due = self.now.is_multiple_of(node.slide.get());
        match node.run {
            Run::Never => return SlotState::Absent,
            Run::Source { .. } => return self.run_source(id, time),
            Run::Stateful(_) => {}
            _ if !is_due => return SlotState::Absent,
            _ => {}
        }
        let failure = node.parents.iter().find_map(|&parent| match &self.slots[parent].state {
            SlotState::Failed(error) => Some(error.clone()),
            _ => None,
        });
        if let Some(error) = failure {
            self.reset_partials(id);
            return SlotState::Failed(error);
        }
        let is_absent = |&parent: &NodeId| matches!(self.slots[parent].state, SlotState::Absent);
        let is_stateful = matches!(node.run, Run::Stateful(_));
        if !is_stateful && node.parents.iter().any(is_absent) {
            return without_batch(node, time);
        }
        let ran = match &node.run {
            Run::Chain(_) => self.run_chain_node(id),
            Run::Wide(_) => self.run_wide(id),
            Run::Union => {
                let parents = node.parents.iter();
                Ok(parents.flat_map(|&parent| self.slots[parent].parts.clone()).collect())
            }
            Run::Transform(_) => self.run_transform(id, time),
            Run::Stateful(_) => match self.run_stateful(id, time, is_due) {
                Ok(None) => return SlotState::Absent,
                Ok(Some(parts)) => Ok(parts),
                Err(error) => Err(error),
            },
            Run::Never | Run::Source { .. } => unreachable!("returned above"),
        };
        match ran {
            Ok(parts) if is_due => {
                self.slots[id].parts = parts;
                SlotState::Present
            }
            Ok(_) => SlotState::Absent,
            Err(error) => SlotState::Failed(error.within(&format!("batch {time}"))),
        }
    }

    fn run_source(&mut self, id: NodeId, time: Time) -> SlotState {
        let Run::Source { input, eager, is_shared } = &self.physical.nodes[id].run else {
            unreachable!("called for sources only");
        };
        match input {
            Input::Queue(queue) => {
                let Some(chunks) = queue.take() else { return SlotState::Absent };
                let slot = &mut self.slots[id];
                // The queue held as much until now.
                let bytes = chunks.iter().map(|chunk| chunk.held_bytes()).sum();
                let _ = slot.held.add_chunk(bytes);
                slot.parts.extend(chunks.into_iter().map(Part::Columns));
            }
            Input::Lines(intake) if !eager.is_empty() => {
                // What the tick cut off; the rest has been taken in. Other sources may have passed
                // their cut, so that what stands in front there belongs to the next batch.
                if self.take_in_from(id, 0) && self.take_in_from(id, 0) {
                    fan_out(self.threads, &|thread| while self.take_in_from(id, thread) {});
                }
                self.slots[id].position = intake.pass_cut();
            }
            Input::Lines(intake) => {
                let mut parts = std::mem::take(&mut self.slots[id].parts);
                while let Some(block) = intake.pop() {
                    parts.push(Part::Lines(block, intake.clone()));
                }
                let position = intake.pass_cut();
                let failed = Mutex::new(None);
                if *is_shared {
                    let held = &self.slots[id].held;
                    self.for_each_part(&mut parts, &|part| {
                        if lock(&failed).is_some() {
                            return;
                        }
                        let chunk = part.columns();
                        match held.add_chunk(chunk.held_bytes()) {
                            Ok(()) => *part = Part::Columns(chunk),
                            Err(error) => *lock(&failed) = Some(error),
                        }
                    });
                }
                self.slots[id].parts = parts;
                self.slots[id].position = position;
                if let Some(error) = lock(&failed).take() {
                    let name = &self.physical.nodes[id].name;
                    let within = format!("batch {time}: source {name}");
                    return SlotState::Failed(error.within(&within));
                }
            }
        }
        SlotState::Present
    }

    fn run_chain_node(&mut self, id: NodeId) -> Result<Vec<Part>> {
        let node = &self.physical.nodes[id];
        let Run::Chain(steps) = &node.run else { unreachable!("called for chains only") };
        let parts = self.slots[node.parents[0]].parts.iter();
        let mut parts: Vec<Result<Part>> = parts.cloned().map(Ok).collect();
        let held = &self.slots[id].held;
        self.for_each_part(&mut parts, &|part| {
            if let Ok(input) = part {
                let made = run_chain(steps, input, false, &mut Recycled::default());
                *part = made.and_then(|part| {
                    held.add_chunk(part.held_bytes())
                        .map_err(|error| error.within(&format!("operator {}", node.name)))?;
                    Ok(part)
                });
            }
        });
        parts.into_iter().collect()
    }

    fn run_wide(&mut self, id: NodeId) -> Result<Vec<Part>> {
        let mut partials = std::mem::take(&mut self.slots[id].partials);
        let node = &self.physical.nodes[id];
        let Run::Wide(wide) = &node.run else { unreachable!("called for wide nodes only") };
        if !wide.is_eager {
            self.push_parts(id, wide, &mut partials);
        }
        let Slot { partials: kept, last, parts, held, .. } = &mut self.slots[id];
        let merged = guard(&node.name, || {
            let chunk = merge(&wide.operator, &mut partials, held, last.take())?;
            held.keep_last(last, &chunk)?;
            Ok(chunk)
        });
        *kept = partials;
        match merged {
            Ok(chunk) => {
                let mut parts = std::mem::take(parts);
                parts.push(Part::Columns(chunk));
                Ok(parts)
            }
            Err(error) => {
                held.dropped_last();
                self.reset_partials(id);
                Err(error)
            }
        }
    }

    /// Takes all parts of all parents in.
    fn push_parts(&self, id: NodeId, wide: &Wide, partials: &mut Vec<Mutex<Partial>>) {
        let parents = &self.physical.nodes[id].parents;
        let parts_of = |parent: usize| self.slots[parents[parent]].parts.as_slice();
        let first = parts_of(0).len();
        let count = first + if parents.len() > 1 { parts_of(1).len() } else { 0 };
        // The parts of the second parent come after those of the first.
        let part = |index: usize| match index.checked_sub(first) {
            None => (0, &parts_of(0)[index]),
            Some(index) => (1, &parts_of(1)[index]),
        };
        // Where order shows, neighbours go into one partial; how many does not depend on the
        // threads, so that any number of them gives the same bits.
        let is_ordered = wide.operator.0.is_ordered();
        let runs = if is_ordered { ordered_partials(count) } else { count };
        if is_ordered {
            let missing = runs.max(1).saturating_sub(partials.len());
            partials.extend((0..missing).map(|_| Mutex::new(Partial::new(&wide.operator))));
        }
        let partials = &partials[..];
        let next = AtomicUsize::new(0);
        let push_parts = |thread: usize| {
            while let Some(run) = claim(&next, runs) {
                let partial = if is_ordered { run } else { thread };
                for index in run * count / runs..(run + 1) * count / runs {
                    let (parent, part) = part(index);
                    self.push_part(id, wide, parent, part, thread, &partials[partial]);
                }
            }
        };
        if is_large((0..count).map(|index| part(index).1)) {
            fan_out(self.threads, &push_parts);
        } else {
            push_parts(0);
        }
    }

    fn run_stateful(&mut self, id: NodeId, time: Time, is_due: bool) -> Result<Option<Vec<Part>>> {
        let node = &self.physical.nodes[id];
        let Run::Stateful(operator) = &node.run else {
            unreachable!("called for stateful nodes only");
        };
        let parent = &self.slots[node.parents[0]];
        let is_present = matches!(parent.state, SlotState::Present);
        let chunks: Vec<AnyChunk> = parent.parts.iter().map(Part::columns).collect();
        let (mut out, mut is_absent) = (Vec::new(), false);
        let Slot { memory, last, held, .. } = &mut self.slots[id];
        let memory = memory.as_mut().expect("a stateful node has its state");
        let memory = memory.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let turn = Turn {
            now: self.now,
            time,
            chunks: is_present.then_some(&chunks),
            out: is_due.then_some(&mut out),
            is_absent: &mut is_absent,
            last: if is_due { last.take() } else { None },
            memory: &held.charge,
        };
        let taken = guard(&node.name, || operator.0.take_turn(memory, turn));
        if is_due && taken.is_err() {
            held.dropped_last();
        }
        taken?;
        guard(&node.name, || held.set_state(operator.0.size(memory).bytes))?;
        if is_absent {
            return Ok(None);
        }
        if let [chunk] = out.as_slice() {
            guard(&node.name, || held.keep_last(last, chunk))?;
        }
        Ok(Some(out.into_iter().map(Part::Columns).collect()))
    }

    /// After a failure nobody knows what a partial holds.
    fn reset_partials(&mut self, id: NodeId) {
        let Run::Wide(wide) = &self.physical.nodes[id].run else { return };
        let Slot { partials, held, .. } = &mut self.slots[id];
        for partial in partials {
            let partial = partial.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            partial.make_anew(&wide.operator, held);
        }
    }

    fn run_transform(&mut self, id: NodeId, time: Time) -> Result<Vec<Part>> {
        let node = &self.physical.nodes[id];
        let Run::Transform(f) = &node.run else { unreachable!("called for transforms only") };
        let columns = |&parent: &NodeId| self.slots[parent].parts.iter().map(Part::columns);
        let batches = node.parents.iter().map(|parent| columns(parent).collect()).collect();
        let held = &self.slots[id].held;
        let transformed = guard(&node.name, || {
            let transformed = f(batches, time)?;
            held.add_chunk(transformed.iter().map(|chunk| chunk.held_bytes()).sum())?;
            Ok(transformed)
        })?;
        Ok(transformed.into_iter().map(Part::Columns).collect())
    }

    /// Gives an output its batch, if there is one; it may be called again for the same batch.
    pub(super) fn run_output(&mut self, output: &mut Output, time: Time) -> Result<()> {
        let slot = &self.slots[output.parent];
        if !matches!(slot.state, SlotState::Present) {
            return Ok(());
        }
        self.chunks.clear();
        self.chunks.extend(slot.parts.iter().map(Part::columns));
        let chunks = &mut self.chunks;
        let ran = guard(&output.name, || match &mut output.run {
            OutputRun::Closure(run) => run(chunks, time),
            OutputRun::Sink(sink) => sink.write(chunks, time),
            OutputRun::Transaction(transaction) => lock(transaction).write(chunks, time),
        });
        self.chunks.clear();
        ran.map_err(|error| error.within(&format!("batch {time}")))
    }

    /// Calls `work` for each part, on all threads if that is worth it.
    fn for_each_part<P: PartWeight>(&self, parts: &mut [P], work: &(impl Fn(&mut P) + Sync)) {
        let bytes: usize = parts.iter().map(PartWeight::weight).sum();
        if parts.len() < 2 || bytes < PARALLEL_BYTES_MIN {
            return parts.iter_mut().for_each(work);
        }
        use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
        parts.par_iter_mut().for_each(work);
    }

    fn intake(&self, source: NodeId) -> &Arc<Intake> {
        match &self.physical.nodes[source].run {
            Run::Source { input: Input::Lines(intake), .. } => intake,
            _ => unreachable!("only sources of lines are asked for"),
        }
    }
}

/// Whether there is enough work for more than one thread.
fn is_large<'a>(parts: impl ExactSizeIterator<Item = &'a Part>) -> bool {
    parts.len() > 1 && parts.map(Part::byte_len).sum::<usize>() >= PARALLEL_BYTES_MIN
}

/// What becomes of a node of which a parent has no batch: most have none either.
fn without_batch(node: &PhysicalNode, time: Time) -> SlotState {
    let needs_batch = match &node.run {
        Run::Union | Run::Transform(_) => true,
        Run::Wide(wide) => wide.operator.0.needs_batch(),
        _ => false,
    };
    if !needs_batch {
        return SlotState::Absent;
    }
    let message = format!("batch {time}: operator {} got no batch from its parent", node.name);
    SlotState::Failed(Error::new(ErrorKind::Absent, message))
}

/// What a part weighs when work is shared out.
trait PartWeight: Send {
    fn weight(&self) -> usize;
}

impl PartWeight for Part {
    fn weight(&self) -> usize {
        self.byte_len()
    }
}

impl PartWeight for Result<Part> {
    fn weight(&self) -> usize {
        self.as_ref().map_or(0, Part::byte_len)
    }
}

impl Slot {
    fn new(run: &Run, threads: usize, held: Held) -> Slot {
        let (mut partials, mut recycled) = (Vec::new(), Vec::new());
        if let Run::Wide(wide) = run {
            recycled.resize_with(threads, Mutex::default);
            if !wide.operator.0.is_ordered() {
                partials.resize_with(threads, || Mutex::new(Partial::new(&wide.operator)));
            }
        }
        let memory = if let Run::Stateful(operator) = run {
            Some(Mutex::new(operator.0.state()))
        } else {
            None
        };
        Slot {
            state: SlotState::Absent,
            has_failed_below: false,
            parts: Vec::new(),
            partials,
            recycled,
            memory,
            is_saved_whole: true,
            unsaved: None,
            position: None,
            last: None,
            held,
        }
    }
}

/// The next index below `end`, if there is one left.
fn claim(next: &AtomicUsize, end: usize) -> Option<usize> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    (index < end).then_some(index)
}
