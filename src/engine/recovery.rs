//! What of a program is saved under which name, and how a program goes on from a checkpoint that
//! another process, perhaps of another version of it, has left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::checkpoint::{Checkpoint, Section};
use super::clock::Clock;
use super::executor::Executor;
use crate::config::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::Changes;
use crate::plan::{Input, NodeId, Output, PhysicalNode, Run};
use crate::sink::Transaction;
use crate::source::IntakeLog;
use crate::source::intake::Intake;
use crate::source::log::{self, Counted, Log, LogFiles, number_at};
use crate::storage::Storage;
use crate::time::Time;

/// The form of what a transactional sink has prepared.
const PREPARED: &str = "prepared";

/// What of a program is saved, by name.
pub(super) struct SavedParts {
    pub(super) sources: Vec<SavedSource>,
    pub(super) states: Vec<SavedState>,
    pub(super) sinks: Vec<Arc<Mutex<Transaction>>>,
}

/// Where the logs of sources are, and what is known of them.
pub(super) struct LogPlan<'a> {
    pub(super) storage: &'a Arc<dyn Storage>,
    pub(super) directory: &'a Path,
    pub(super) settings: Option<IntakeLog>,
    /// What the directory's files have in common.
    pub(super) life: u64,
    /// The newest checkpoint, if it is damaged and one before it is used.
    pub(super) passed_over: Option<u64>,
}

/// A source whose position is saved.
pub(super) struct SavedSource {
    pub(super) name: String,
    pub(super) id: NodeId,
    pub(super) intake: Arc<Intake>,
    /// It can go back to where it was.
    pub(super) is_replayable: bool,
    /// It knows of its senders what they send again.
    has_senders: bool,
}

impl SavedSource {
    /// Whether where it stands is in checkpoints.
    pub(super) fn is_saved(&self) -> bool {
        self.goes_back() || self.has_senders
    }

    /// Whether a start from an older checkpoint has again what came after it.
    pub(super) fn goes_back(&self) -> bool {
        self.is_replayable || self.intake.log().is_some()
    }
}

/// An operator that remembers.
pub(super) struct SavedState {
    pub(super) name: String,
    pub(super) id: NodeId,
    /// How it is saved.
    pub(super) form: String,
}

/// What earlier processes had, and this one has again.
pub(super) struct ComesAgain {
    /// All that came after the batch of this time.
    pub(super) after: Time,
    /// The numbers of newer checkpoints that are damaged.
    pub(super) damaged: Vec<u64>,
}

/// Where the batches go on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The time before the first batch of all, in this process or another one.
    pub(super) zero: Time,
    /// The time of the first batch of this process.
    pub(super) first: Time,
    /// The time of the first batch that has what this process reads. Those before it were missed,
    /// and are run without rows.
    pub(super) reads_from: Time,
}

/// Whether no two states or sinks have the same name.
///
/// # Errors
///
/// [`ErrorKind::State`] with the name.
pub(super) fn check_names(nodes: &[PhysicalNode], outputs: &[Output]) -> Result<()> {
    let states = nodes.iter().filter_map(|node| match &node.run {
        Run::Stateful(operator) => operator.0.saved_name().map(str::to_owned),
        _ => None,
    });
    let sinks = outputs.iter().filter_map(Output::transaction);
    match twice(states.chain(sinks.map(|sink| lock(&sink).name().to_owned()))) {
        None => Ok(()),
        Some(name) => {
            let message = format!("two states or sinks have the name {name:?}");
            Err(Error::new(ErrorKind::State, message))
        }
    }
}

/// Whether what is saved can be told apart by name.
fn check_distinct(what: &str, names: impl Iterator<Item = String>) -> Result<()> {
    let Some(name) = twice(names) else { return Ok(()) };
    let message = format!(
        "two {what} are in checkpoints as {name:?}, and a restart could not tell them apart: name \
         the stream of one of them, `.named(\"…\")`"
    );
    Err(Error::new(ErrorKind::Checkpoint, message))
}

/// A name that comes a second time.
fn twice(mut names: impl Iterator<Item = String>) -> Option<String> {
    let mut known = BTreeSet::new();
    names.find_map(|name| known.replace(name))
}

impl SavedParts {
    /// Names all that is saved. What the program has not named itself goes by the name of its
    /// stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] with the operator that remembers what cannot be saved, or with a
    /// name that two have: which is which would be a matter of their order.
    pub(super) fn of(nodes: &[PhysicalNode], outputs: &[Output]) -> Result<SavedParts> {
        let (mut sources, mut states) = (Vec::new(), Vec::new());
        for (id, node) in nodes.iter().enumerate() {
            match &node.run {
                Run::Source { input: Input::Lines(intake), .. } => {
                    let is_replayable = intake.is_replayable();
                    let named = node.saved_name.as_deref();
                    let name = named.unwrap_or(intake.saved_name()).to_owned();
                    let (intake, has_senders) = (intake.clone(), intake.has_senders());
                    sources.push(SavedSource { name, id, intake, is_replayable, has_senders });
                }
                Run::Stateful(operator) => {
                    let name = node.name_of_state(operator).to_owned();
                    let form = operator.0.saved_as().map_err(|error| {
                        error.within(&format!("operator {} cannot be in a checkpoint", node.name))
                    })?;
                    states.push(SavedState { name, id, form });
                }
                _ => {}
            }
        }
        let sinks: Vec<_> = outputs.iter().filter_map(|output| output.transaction()).collect();
        let parts = SavedParts { sources, states, sinks };
        let sources = parts.sources.iter().filter(|source| source.is_saved());
        check_distinct("sources", sources.map(|source| source.name.clone()))?;
        check_distinct("states, windows or sinks", parts.section_names().into_iter())?;
        Ok(parts)
    }

    fn section_names(&self) -> Vec<String> {
        let states = self.states.iter().map(|state| state.name.clone());
        states.chain(self.sinks.iter().map(|sink| lock(sink).name().to_owned())).collect()
    }

    /// Gives each source that cannot go back its log, with what is in it and not in the checkpoint.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if a log cannot be read, if something that was acknowledged is
    /// gone, or if the program has no log and would lose what is in it.
    pub(super) fn open_logs(
        &self,
        checkpoint: Option<&Checkpoint>,
        plan: &LogPlan<'_>,
        limits: &Limits,
    ) -> Result<()> {
        let directory = plan.directory.join(log::DIRECTORY);
        if plan.settings.is_some() {
            check_distinct("sources", self.sources.iter().map(|source| source.name.clone()))?;
        }
        for source in self.sources.iter().filter(|source| !source.is_replayable) {
            let refuse = |message: String| Err(Error::new(ErrorKind::Checkpoint, message));
            let position = checkpoint.and_then(|checkpoint| position_in(checkpoint, &source.name));
            let saved = position.map_or(0, number_at);
            let files = LogFiles::open(plan.storage.clone(), &directory, &source.name, plan.life)?;
            let mut replay = files.replay_after(saved);
            let (name, place) = (&source.name, directory.display());
            let Some(settings) = plan.settings else {
                if replay.count()? != Counted::default() {
                    return refuse(format!(
                        "the intake log of source {name:?} has what is in no checkpoint: call \
                         intake_log, or remove its files in {place} to give that up"
                    ));
                }
                if let (Some(newest), Some(used)) = (plan.passed_over, checkpoint)
                    && source.intake.acknowledges()
                {
                    return refuse(format!(
                        "checkpoint {newest} is damaged, and {} is used: what source {name:?} \
                         acknowledged in between is lost. With an intake log there is nothing to \
                         lose: call IntakeLog::accept_loss on one to go on without them",
                        used.number
                    ));
                }
                continue;
            };
            if !settings.accepts_loss() {
                // Read once more, so that what is lost is known before anything happens.
                if let Counted { lost, first_lost: Some((first, last)), .. } =
                    files.replay_after(saved).count()?
                {
                    return refuse(format!(
                        "the intake log of source {name:?} in {place} is damaged, and {lost} \
                         blocks that were acknowledged are lost, such as {first} to {last}: call \
                         IntakeLog::accept_loss to go on without them"
                    ));
                }
                if saved > 0 && files.is_empty() {
                    return refuse(format!(
                        "the intake log of source {name:?} in {place} is gone, and the checkpoint \
                         has its blocks up to {saved} only: call IntakeLog::accept_loss to go on \
                         without them"
                    ));
                }
            }
            files.make_directory()?;
            let log = Log::new(settings, limits.intake_log_bytes, files);
            source.intake.log_to(Arc::new(log), replay);
        }
        Ok(())
    }

    /// Makes the program's states, sources and sinks what the checkpoint says, or as new without
    /// one. `forgotten` are the names of states that the program gives up. Sinks are told what of
    /// theirs `comes_again`, if this is not the first start.
    pub(super) fn restore(
        &self,
        checkpoint: Option<&Checkpoint>,
        forgotten: &[String],
        comes_again: Option<&ComesAgain>,
        executor: &mut Executor,
    ) -> Result<()> {
        let none = Vec::new();
        let saved = checkpoint.map_or(&none, |checkpoint| &checkpoint.sections);
        let sections: BTreeMap<&str, &Section> =
            saved.iter().map(|section| (section.name.as_str(), section)).collect();
        if let Some(checkpoint) = checkpoint {
            self.check_sections(checkpoint, &sections, forgotten)?;
        }
        for state in &self.states {
            let Some(section) = sections.get(state.name.as_str()) else { continue };
            executor
                .load(state.id, &section.changes)
                .map_err(|error| error.within(&format!("state {:?}", state.name)))?;
        }
        for source in &self.sources {
            let position = checkpoint.and_then(|checkpoint| position_in(checkpoint, &source.name));
            if let Some(position) = position {
                source.intake.resume(position)?;
            }
        }
        for sink in &self.sinks {
            let mut sink = lock(sink);
            let section = sections.get(sink.name()).map(|section| &section.changes);
            let prepared: Vec<Vec<u8>> = section.map_or_else(Vec::new, |changes| {
                changes.iter().filter_map(|(_, bytes)| bytes.map(<[u8]>::to_vec)).collect()
            });
            if let Some(ComesAgain { after, damaged }) = comes_again {
                sink.take_back(*after, damaged)?;
            }
            sink.recover(&prepared)?;
        }
        executor.track_changes()
    }

    /// What was saved has to be the program's, in its form; and what the program has anew must not
    /// look like what was saved under another name.
    fn check_sections(
        &self,
        checkpoint: &Checkpoint,
        sections: &BTreeMap<&str, &Section>,
        forgotten: &[String],
    ) -> Result<()> {
        let refuse = |message: String| -> Result<()> {
            let number = checkpoint.number;
            let message = format!("the checkpoint of batch {number}: {message}");
            Err(Error::new(ErrorKind::Checkpoint, message))
        };
        for SavedState { name, form, .. } in &self.states {
            let Some(section) = sections.get(name.as_str()) else { continue };
            if section.form != *form {
                let saved = &section.form;
                return refuse(format!(
                    "state {name:?} was saved as {saved}, and is {form} in this program; give it \
                     another name to begin anew"
                ));
            }
        }
        let names = self.section_names();
        self.check_renamed(
            "state",
            &names,
            &sections.keys().copied().collect::<Vec<_>>(),
            forgotten,
        )
        .and_then(|()| {
            let saved = self.sources.iter().filter(|source| source.is_saved());
            let names: Vec<String> = saved.map(|source| source.name.clone()).collect();
            let saved: Vec<&str> =
                checkpoint.sources.iter().map(|(name, _)| name.as_str()).collect();
            self.check_renamed("source", &names, &saved, forgotten)
        })
        .or_else(refuse)
    }

    /// Refuses something new where something is gone.
    fn check_renamed(
        &self,
        what: &str,
        names: &[String],
        saved: &[&str],
        forgotten: &[String],
    ) -> Result<(), String> {
        let is_in = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let gone: Vec<&str> = saved
            .iter()
            .copied()
            .filter(|name| !is_in(names, name) && !is_in(forgotten, name))
            .collect();
        let new = names.iter().find(|name| !saved.contains(&name.as_str()));
        if let (Some(new), [first, ..]) = (new, gone.as_slice()) {
            let there: Vec<String> = saved.iter().map(|name| format!("{name:?}")).collect();
            let there = there.join(", ");
            return Err(format!(
                "the program has a {what} {new:?} that is not in it, and it has {first:?}, which \
                 is not in the program. If it was renamed, keep the old name; if not, call \
                 forget_state({first:?}). There is: {there}"
            ));
        }
        for name in gone {
            tracing::warn!(name, what, "no longer in the program, and dropped from checkpoints");
        }
        Ok(())
    }
}

impl Beginning {
    /// Where the batches begin, or go on from a checkpoint. What is read now belongs to the time
    /// that comes next, or to the one after the checkpoint's where a graceful stop was ahead of the
    /// clock. Of the times that passed in between each has a batch, up to `missed_max`, or none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if the checkpoint's batches have another interval: what windows
    /// keep would stand for other times.
    pub(super) fn of(
        checkpoint: Option<&Checkpoint>,
        clock: &Clock,
        interval: Duration,
        missed_max: usize,
    ) -> Result<Beginning> {
        let Some(checkpoint) = checkpoint else {
            let zero = clock.now().floor(interval);
            let first = zero + interval;
            return Ok(Beginning { zero, first, reads_from: first });
        };
        if checkpoint.interval != interval {
            let message = format!(
                "the checkpoint is one of batches of {:?}, and this program's are of {interval:?}",
                checkpoint.interval
            );
            return Err(Error::new(ErrorKind::Checkpoint, message));
        }
        clock.not_before(checkpoint.time, interval);
        let due = checkpoint.time.max(clock.now().floor_from(checkpoint.zero, interval));
        let missed = (due - checkpoint.time).as_millis() / interval.as_millis();
        let skipped = missed.saturating_sub(missed_max as u128) as u64;
        if skipped > 0 && missed_max > 0 {
            tracing::warn!(missed, skipped, "more batches were missed than are run now");
        }
        let millis = interval.as_millis() as u64 * (skipped + 1);
        let first = checkpoint.time + Duration::from_millis(millis);
        Ok(Beginning { zero: checkpoint.zero, first, reads_from: due + interval })
    }

    /// The number of the batch at this time, from 1.
    pub(super) fn number_of(&self, time: Time, interval: Duration) -> u64 {
        ((time - self.zero).as_millis() / interval.as_millis()) as u64
    }

    /// How many batches there were before.
    pub(super) fn number_before(&self, interval: Duration) -> u64 {
        self.number_of(self.first, interval) - 1
    }
}

fn position_in<'a>(checkpoint: &'a Checkpoint, source: &str) -> Option<&'a [u8]> {
    let mut sources = checkpoint.sources.iter();
    sources.find(|(name, _)| name == source).map(|(_, position)| position.as_slice())
}

/// What a sink has prepared, as a section.
pub(super) fn section_of_sink(sink: &Mutex<Transaction>) -> Result<Section> {
    let mut sink = lock(sink);
    let name = sink.name().to_owned();
    let mut changes = Changes::default();
    changes.forget_all();
    for (number, prepared) in (0..).zip(sink.prepare()?) {
        changes.put(number, |out| out.extend_from_slice(prepared));
    }
    Ok(Section { name, form: PREPARED.to_owned(), changes })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
