//! Makes checkpoints between batches: gathers what has changed, or finds out which keys have, and
//! hands it to the thread that reads these and writes. The batch loop does not wait for checkpoints
//! to be on disk: while one is being written none is made, and the next one has all that has
//! changed since. What it waits for are transactional sinks, whose own files it makes last.
//!
//! Now and then a checkpoint has all there is, from memory. Keyed states are then read first, bit
//! by bit and beside the batches, and what has changed meanwhile is put over that.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::checkpoint::{Beside, Checkpoint, Scanned, Section, Store, Tried, Writer, position_of};
use super::control::Control;
use super::executor::{Executor, Saving};
use super::monitor::Meter;
use super::recovery::{SavedParts, lock, section_of_sink};
use crate::config::CHECKPOINT_WAIT_MAX;
use crate::error::Result;
use crate::memory::MemoryCharge;
use crate::ops::Changes;
use crate::sink::Transaction;
use crate::source::intake::Intake;
use crate::source::log::Fill;
use crate::time::Time;

pub(super) struct Checkpointer {
    // Fixed.
    parts: SavedParts,
    zero: Time,
    interval: Duration,
    /// Batches between two checkpoints.
    every: u64,
    /// Tests know which batches are in a checkpoint.
    waits: bool,
    writer: Writer,
    // Changing.
    /// The number of the last batch that is in a checkpoint, and that of the one before.
    last: u64,
    before: u64,
    /// There was a checkpoint: what has changed since is not all there is.
    has_saved: bool,
    /// The last one was to have all there is.
    was_whole: bool,
    /// That could not be gathered, and who had it does not know: the next one has all there is.
    must_be_whole: bool,
    written: Arc<Mutex<WhenWritten>>,
}

/// How much a checkpoint has.
enum Extent {
    /// What has changed since the one before.
    Changes,
    /// The same, where there was none before.
    First,
    /// All there is; of some states that was read before.
    All(Scanned),
}

/// Who is told when a checkpoint is on disk.
#[derive(Default)]
struct WhenWritten {
    positions: Vec<Stands>,
    sinks: Vec<Arc<Mutex<Transaction>>>,
}

/// Where a source stands in it.
struct Stands {
    intake: Arc<Intake>,
    position: Vec<u8>,
    /// The name by which that is in checkpoints, if a start may have to go back there.
    goes_back_as: Option<String>,
}

/// What a checkpointer is told at its start.
pub(super) struct CheckpointPlan {
    pub(super) store: Store,
    /// Of what is gathered to be written.
    pub(super) charge: MemoryCharge,
    pub(super) parts: SavedParts,
    pub(super) zero: Time,
    pub(super) interval: Duration,
    pub(super) every: u64,
    pub(super) waits: bool,
    /// There was a checkpoint to go on from.
    pub(super) has_saved: bool,
}

impl Checkpointer {
    pub(super) fn start(
        plan: CheckpointPlan,
        last: u64,
        control: Arc<Control>,
        meter: Arc<Meter>,
    ) -> Result<Checkpointer> {
        let CheckpointPlan { store, charge, parts, zero, interval, every, waits, has_saved } = plan;
        let written = Arc::<Mutex<WhenWritten>>::default();
        let tell = written.clone();
        let writer = Writer::start(store, charge, move |tried| {
            let mut metrics = meter.lock();
            let (number, oldest) = match tried {
                Tried::Written(number, oldest) => (number, oldest),
                Tried::Checked(files, damaged) => {
                    metrics.checkpoints.checked += files;
                    metrics.checkpoints.damaged += damaged;
                    return;
                }
                Tried::NotWritten => {
                    metrics.checkpoints.failed += 1;
                    return;
                }
                Tried::NotGathered(error) => {
                    drop(metrics);
                    tracing::error!(%error, "no checkpoint was made");
                    return control.record(error.clone());
                }
            };
            metrics.checkpoints.written += 1;
            metrics.checkpoints.last_batch = number;
            drop(metrics);
            let told = std::mem::take(&mut *lock(&tell));
            for Stands { intake, position, goes_back_as } in told.positions {
                match goes_back_as {
                    // A start may have to go back to the oldest.
                    Some(name) => match position_of(oldest, &name) {
                        [] => {}
                        position => intake.saved(position),
                    },
                    None => intake.saved(&position),
                }
            }
            for sink in told.sinks {
                if let Err(error) = lock(&sink).commit() {
                    tracing::error!(%error, number, "a sink did not commit: it is tried again");
                    control.record(error);
                }
            }
        })?;
        let before = last;
        let (was_whole, must_be_whole) = (false, false);
        Ok(Checkpointer {
            parts,
            zero,
            interval,
            every,
            waits,
            writer,
            last,
            before,
            has_saved,
            was_whole,
            must_be_whole,
            written,
        })
    }

    /// After a batch: makes a checkpoint if one is due and the last one is on disk. It is written
    /// once the writer is [woken](Checkpointer::wake_writer).
    pub(super) fn after_batch(&mut self, executor: &mut Executor, time: Time) -> Result<()> {
        if self.waits {
            self.writer.wait_idle(CHECKPOINT_WAIT_MAX);
        }
        if !self.writer.is_idle() {
            return Ok(());
        }
        self.take_back(executor);
        // What sources wait for comes at once.
        let is_due = executor.number() >= self.last + self.every
            || (executor.number() > self.last && self.has_log(Fill::Full));
        if !is_due || !self.make(executor, time, self.waits)? {
            return Ok(());
        }
        if self.waits {
            self.wake_writer();
            self.writer.wait_idle(CHECKPOINT_WAIT_MAX);
        }
        Ok(())
    }

    fn has_log(&self, fill: Fill) -> bool {
        self.parts.sources.iter().any(|source| source.intake.has_log_at(fill))
    }

    /// Has the checkpoint written, if there is one: when nobody waits for the loop any more.
    pub(super) fn wake_writer(&self) {
        if !self.writer.is_idle() {
            self.writer.wake();
        }
    }

    /// Takes back what was gathered for a checkpoint that was not made after all.
    fn take_back(&mut self, executor: &mut Executor) {
        let Some(sections) = self.writer.take_not_made() else { return };
        self.last = self.before;
        self.must_be_whole |= self.was_whole;
        for (state, section) in self.parts.states.iter().zip(sections) {
            executor.take_back(state.id, section.changes);
        }
    }

    /// After the last batch: makes a checkpoint of it, if its time is known, and waits until it is
    /// on disk, up to a maximum. What it stands on is read back first: where that is damaged, it
    /// has all there is.
    pub(super) fn finish(mut self, executor: &mut Executor, last: Option<Time>) -> Result<()> {
        if let Some(time) = last
            && self.writer.wait_idle(CHECKPOINT_WAIT_MAX)
        {
            self.take_back(executor);
            self.writer.check(CHECKPOINT_WAIT_MAX);
            if executor.number() > self.last || self.writer.is_newest_damaged() {
                self.make(executor, time, true)?;
            }
        }
        self.writer.finish(CHECKPOINT_WAIT_MAX)
    }

    /// Submits a checkpoint; false if it has to wait for a batch, or for states to be read first,
    /// unless that is waited for.
    fn make(&mut self, executor: &mut Executor, time: Time, waits: bool) -> Result<bool> {
        let mut sources = Vec::new();
        let mut positions = Vec::new();
        for source in &self.parts.sources {
            match executor.position(source.id) {
                Some(position) => {
                    let position = position.to_vec();
                    if source.is_saved() {
                        sources.push((source.name.clone(), position.clone()));
                    }
                    let goes_back_as = source.goes_back().then(|| source.name.clone());
                    positions.push(Stands {
                        intake: source.intake.clone(),
                        position,
                        goes_back_as,
                    });
                }
                // Some of its lines are in no batch yet: the next one will do.
                None if source.is_saved() => return Ok(false),
                None => {}
            }
        }
        let Some(extent) = self.extent(executor, waits)? else { return Ok(false) };
        let is_whole = !matches!(extent, Extent::Changes);
        let (sections, beside, scanned) = self.sections(executor, extent)?;
        let (zero, interval, number) = (self.zero, self.interval, executor.number());
        let sinks = self.parts.sinks.clone();
        sinks.iter().for_each(|sink| lock(sink).submit());
        *lock(&self.written) = WhenWritten { positions, sinks };
        self.before = std::mem::replace(&mut self.last, number);
        (self.has_saved, self.was_whole, self.must_be_whole) = (true, is_whole, false);
        let checkpoint = Checkpoint { number, time, zero, interval, sources, sections, is_whole };
        self.writer.submit(checkpoint, beside, scanned);
        Ok(true)
    }

    /// How much the next checkpoint is to have. `None` while states are read for that.
    fn extent(&mut self, executor: &mut Executor, waits: bool) -> Result<Option<Extent>> {
        if !self.has_saved {
            return Ok(Some(Extent::First));
        }
        if let Some(scanned) = self.writer.take_scanned() {
            return Ok(Some(Extent::All(scanned)));
        }
        // A log has what came since the oldest chain began.
        if !self.writer.wants_whole() && !self.must_be_whole && !self.has_log(Fill::Half) {
            return Ok(Some(Extent::Changes));
        }
        let mut scans = Vec::new();
        for (section, state) in self.parts.states.iter().enumerate() {
            let scan = executor.scan(state.id)?;
            scans.extend(scan.map(|gather| Beside { section, gather }));
        }
        if scans.is_empty() {
            return Ok(Some(Extent::All(Vec::new())));
        }
        self.writer.scan(scans);
        if !waits {
            return Ok(None);
        }
        self.writer.wake();
        self.writer.wait_idle(CHECKPOINT_WAIT_MAX);
        Ok(self.writer.take_scanned().map(Extent::All))
    }

    /// All states and sinks, those of states that are gathered beside the batches empty so far;
    /// when one of them fails, the others keep theirs for the next time.
    fn sections(
        &mut self,
        executor: &mut Executor,
        extent: Extent,
    ) -> Result<(Vec<Section>, Vec<Beside>, Scanned)> {
        let mut saved: Vec<Changes> = Vec::new();
        let (mut sinks, mut beside) = (Vec::new(), Vec::new());
        let is_all = matches!(extent, Extent::All(_));
        let scanned = if let Extent::All(scanned) = extent { scanned } else { Vec::new() };
        let gathered = self.parts.states.iter().enumerate().try_for_each(|(section, state)| {
            let is_scanned = scanned.iter().any(|(scanned, _)| *scanned == section);
            let saving = match is_all && !is_scanned {
                true => Saving::Beside(executor.save_all(state.id)?),
                false => executor.save(state.id)?,
            };
            saved.push(match saving {
                Saving::Done(changes) => changes,
                Saving::Beside(gather) => {
                    beside.push(Beside { section, gather });
                    Changes::default()
                }
            });
            Ok(())
        });
        let gathered = gathered.and_then(|()| {
            for sink in &self.parts.sinks {
                sinks.push(section_of_sink(sink)?);
            }
            Ok(())
        });
        if let Err(error) = gathered {
            for (state, changes) in self.parts.states.iter().zip(saved) {
                executor.take_back(state.id, changes);
            }
            self.must_be_whole |= is_all;
            return Err(error);
        }
        let states = self.parts.states.iter().zip(saved);
        let states = states.map(|(state, changes)| Section {
            name: state.name.clone(),
            form: state.form.clone(),
            changes,
        });
        Ok((states.chain(sinks).collect(), beside, scanned))
    }
}
