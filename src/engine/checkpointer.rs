//! Makes checkpoints between batches: gathers what has changed, or finds out which keys have, and
//! hands it to the thread that reads these and writes. The batch loop does not wait for checkpoints
//! to be on disk: while one is being written none is made, and the next one has all that has
//! changed since. What it waits for are transactional sinks, whose own files it makes last.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::checkpoint::{Beside, Checkpoint, Section, Store, Tried, Writer};
use super::control::Control;
use super::executor::{Executor, Saving};
use super::monitor::Meter;
use super::recovery::{SavedParts, lock, section_of_sink};
use crate::config::CHECKPOINT_WAIT_MAX;
use crate::error::Result;
use crate::ops::Changes;
use crate::sink::Transaction;
use crate::source::intake::Intake;
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
    written: Arc<Mutex<WhenWritten>>,
}

/// Who is told when a checkpoint is on disk.
#[derive(Default)]
struct WhenWritten {
    positions: Vec<(Arc<Intake>, Vec<u8>)>,
    sinks: Vec<Arc<Mutex<Transaction>>>,
}

/// What a checkpointer is told at its start.
pub(super) struct CheckpointPlan {
    pub(super) store: Store,
    pub(super) parts: SavedParts,
    pub(super) zero: Time,
    pub(super) interval: Duration,
    pub(super) every: u64,
    pub(super) waits: bool,
}

impl Checkpointer {
    pub(super) fn start(
        plan: CheckpointPlan,
        last: u64,
        control: Arc<Control>,
        meter: Arc<Meter>,
    ) -> Result<Checkpointer> {
        let CheckpointPlan { store, parts, zero, interval, every, waits } = plan;
        let written = Arc::<Mutex<WhenWritten>>::default();
        let tell = written.clone();
        let writer = Writer::start(store, move |tried| {
            let mut metrics = meter.lock();
            let number = match tried {
                Tried::Written(number) => number,
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
            for (intake, position) in told.positions {
                intake.saved(&position);
            }
            for sink in told.sinks {
                if let Err(error) = lock(&sink).commit() {
                    tracing::error!(%error, number, "a sink did not commit: it is tried again");
                    control.record(error);
                }
            }
        })?;
        let before = last;
        Ok(Checkpointer { parts, zero, interval, every, waits, writer, last, before, written })
    }

    /// After a batch: makes a checkpoint if one is due and the last one is on disk. It is written
    /// once the writer is [woken](Checkpointer::wake_writer).
    pub(super) fn after_batch(&mut self, executor: &mut Executor, time: Time) -> Result<()> {
        if !self.writer.is_idle() {
            return Ok(());
        }
        self.take_back(executor);
        if executor.number() < self.last + self.every {
            return Ok(());
        }
        self.make(executor, time)?;
        if self.waits {
            self.wake_writer();
            self.writer.wait_idle(CHECKPOINT_WAIT_MAX);
        }
        Ok(())
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
        for (state, section) in self.parts.states.iter().zip(sections) {
            executor.take_back(state.id, section.changes);
        }
    }

    /// After the last batch: makes a checkpoint of it, if its time is known, and waits until it is
    /// on disk, up to a maximum.
    pub(super) fn finish(mut self, executor: &mut Executor, last: Option<Time>) -> Result<()> {
        if let Some(time) = last
            && self.writer.wait_idle(CHECKPOINT_WAIT_MAX)
        {
            self.take_back(executor);
            if executor.number() > self.last {
                self.make(executor, time)?;
            }
        }
        self.writer.finish(CHECKPOINT_WAIT_MAX)
    }

    fn make(&mut self, executor: &mut Executor, time: Time) -> Result<()> {
        let mut sources = Vec::new();
        let mut positions = Vec::new();
        for source in &self.parts.sources {
            match executor.position(source.id) {
                Some(position) => {
                    if source.is_saved() {
                        sources.push((source.name.clone(), position.to_vec()));
                    }
                    positions.push((source.intake.clone(), position.to_vec()));
                }
                // Some of its lines are in no batch yet: the next one will do.
                None if source.is_saved() => return Ok(()),
                None => {}
            }
        }
        let (sections, beside) = self.sections(executor)?;
        let (zero, interval, number) = (self.zero, self.interval, executor.number());
        let sinks = self.parts.sinks.clone();
        sinks.iter().for_each(|sink| lock(sink).submit());
        *lock(&self.written) = WhenWritten { positions, sinks };
        self.before = std::mem::replace(&mut self.last, number);
        let checkpoint = Checkpoint { number, time, zero, interval, sources, sections };
        self.writer.submit(checkpoint, beside);
        Ok(())
    }

    /// All states and sinks, those of states that are gathered beside the batches empty so far;
    /// when one of them fails, the others keep theirs for the next time.
    fn sections(&self, executor: &mut Executor) -> Result<(Vec<Section>, Vec<Beside>)> {
        let mut saved: Vec<Changes> = Vec::new();
        let (mut sinks, mut beside) = (Vec::new(), Vec::new());
        let gathered = self.parts.states.iter().enumerate().try_for_each(|(section, state)| {
            saved.push(match executor.save(state.id)? {
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
            return Err(error);
        }
        let states = self.parts.states.iter().zip(saved);
        let states = states.map(|(state, changes)| Section {
            name: state.name.clone(),
            form: state.form.clone(),
            changes,
        });
        Ok((states.chain(sinks).collect(), beside))
    }
}
