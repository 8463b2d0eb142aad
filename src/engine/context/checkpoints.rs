//! What a context's program says of checkpoints: where they go, how often, what is logged beside
//! them, and how a context begins from one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::StreamingContext;
use crate::engine::checkpoint::{Checkpoint, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Graph, Kind, NodeId, Physical, Run, TEN_SECONDS_MILLIS};
use crate::source::IntakeLog;
use crate::storage::{Disk, Storage};
use crate::time::Time;

/// The most checkpoints that stand by themselves and are kept: each is as large as all state.
const KEPT_MAX: u32 = 16;

/// Where and how often checkpoints are made.
pub(super) struct Checkpoints {
    pub(super) directory: PathBuf,
    /// Batches between two, if the program has said so.
    pub(super) every: Option<u64>,
    /// Opened before the start, with what is to be gone on from.
    pub(super) opened: Option<(Store, Option<Checkpoint>)>,
}

impl StreamingContext {
    /// Makes a checkpoint after every so many batches, from 1 up, and goes on from the last one at
    /// the start.
    ///
    /// In the directory, which is made if it is not there, is what operators remember, where
    /// sources stand, and under which names; nothing of the program itself. So another version of
    /// it, with operators added, removed or in another order, goes on from there; only names have
    /// to stay. See [`get_or_create`](Self::get_or_create).
    ///
    /// The batches do not wait for the disk, unless a transactional sink does: while a checkpoint
    /// is being written, none is made. A keyed state's next batch waits at its end until the keys
    /// that have changed are read, which the thread that writes does first of all; the more of
    /// them, the longer, and with `Saved<T>` it runs the `Serialize` of each. Until it is written a
    /// checkpoint is in memory, as what has changed and as the file; now and then it is of all that
    /// is kept.
    ///
    /// The directory is for one context at a time, and may have other files.
    ///
    /// After a batch has failed there are no checkpoints until the program awaits again, once it
    /// was told: a program that ends instead finds the batch again after its restart, and one that
    /// goes on goes on without it in the operator or output that failed.
    ///
    /// # Errors
    ///
    /// `start` fails with [`ErrorKind::Checkpoint`] if the directory cannot be used, all that is in
    /// it is damaged, another context uses it, an operator remembers what cannot be saved, two
    /// sources or operators that remember have one [name](crate::DStream::named), or what was saved
    /// is not what the program wants.
    pub fn checkpoint(&self, directory: impl Into<PathBuf>, every: u32) {
        self.check_misuse("set a checkpoint directory");
        if every == 0 {
            let message = "a checkpoint after every 0 batches: the number must be at least 1";
            return self.misused(Error::new(ErrorKind::Config, message));
        }
        let (directory, every) = (directory.into(), Some(u64::from(every)));
        self.building().checkpoints = Some(Checkpoints { directory, every, opened: None });
    }

    /// Keeps so many checkpoints that stand by themselves (default 2, from 1 to 16), each with
    /// those that stand on it. No file is a part of two, so with two the damage of any one of them
    /// loses nothing: a start goes on from the newest point that is whole, and what came after that
    /// is read or given again. With one, damage of a file may be the loss of all.
    ///
    /// Sources and their [logs](Self::intake_log) have to go back as far as the oldest of them, so
    /// more of them take more disk. Files are read back and checked while the program runs, one
    /// after each checkpoint; once one is damaged, all that is remembered is written anew from
    /// memory. [`CheckpointMetrics`](crate::CheckpointMetrics) counts both.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let ssc = StreamingContext::builder("safe").build()?;
    /// ssc.checkpoint(directory, 10);
    /// ssc.keep_checkpoints(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `start` fails with [`ErrorKind::Config`] for other numbers.
    pub fn keep_checkpoints(&self, whole: u32) {
        self.check_misuse("say how many checkpoints are kept");
        if !(1..=KEPT_MAX).contains(&whole) {
            let message = format!(
                "{whole} checkpoints are to be kept, but it must be between 1 and {KEPT_MAX}"
            );
            return self.misused(Error::new(ErrorKind::Config, message));
        }
        self.building().checkpoints_kept = whole as usize;
    }

    /// Writes what sources that cannot go back receive to a log in the checkpoint directory, and
    /// tells those who sent it only then: sockets are then at-least-once.
    ///
    /// After a crash what is in the log and not in the checkpoint is given again, before anything
    /// new; state has it exactly once. What a source has not acknowledged is its senders' to send
    /// again: [`Listen::acknowledging`](crate::Listen::acknowledging), or
    /// [`Receiver::acknowledge`](crate::Receiver::acknowledge) of one of your own. Sources that go
    /// back by themselves, such as files, have no log.
    ///
    /// Each source has up to [`Limits::intake_log_bytes`](crate::Limits::intake_log_bytes) on disk;
    /// what all checkpoints have that are [kept](Self::keep_checkpoints) is removed. A disk that
    /// fails holds the source up, and
    /// surfaces from [`await_termination`](Self::await_termination).
    ///
    /// ```
    /// use tidemill::prelude::*;
    /// use tidemill::{IntakeLog, Listen};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let ssc = StreamingContext::builder("safe").build()?;
    /// let lines = ssc.receiver_stream(Listen::bind(":0")?.acknowledging())?;
    /// lines.count().print(1);
    /// ssc.checkpoint(directory, 10);
    /// ssc.intake_log(IntakeLog::synced());
    /// ssc.start()?;
    /// # ssc.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `start` fails with [`ErrorKind::State`] without a checkpoint directory, and with
    /// [`ErrorKind::Checkpoint`] if what the checkpoint needs of a log is gone, or if a log has
    /// what is in no checkpoint and the program has no log any more, or if blocks that were
    /// acknowledged are damaged, unless the settings [accept](IntakeLog::accept_loss) that.
    #[doc(alias = "WriteAheadLog")]
    pub fn intake_log(&self, settings: IntakeLog) {
        self.check_misuse("set an intake log");
        match settings.check() {
            Ok(()) => self.building().intake_log = Some(settings),
            Err(error) => self.misused(error),
        }
    }

    /// The time of the batch after which everything comes again, as the sources can give it: that
    /// of the checkpoint that is gone on from. `None` before the start, and where the program runs
    /// for the first time or has no checkpoints.
    ///
    /// What an earlier process wrote of later batches comes again, perhaps in batches of other
    /// times: a program that writes in closures forgets it before its first batch, which a
    /// [`Sink`](crate::Sink) is told by itself. If an earlier process has left no checkpoint, this
    /// is the time before its first batch.
    ///
    /// With [`get_or_create`](Self::get_or_create) a checkpoint's time is known before the start.
    pub fn recovered_from(&self) -> Option<Time> {
        let building = self.building();
        let opened = building.checkpoints.as_ref().and_then(|own| own.opened.as_ref());
        let checkpoint = opened.and_then(|(_, checkpoint)| checkpoint.as_ref());
        building.recovered_from.or(checkpoint.map(|checkpoint| checkpoint.time))
    }

    /// Gives up a state that is in the checkpoint and no longer in the program, so that a new one
    /// is not taken for the same under another name.
    pub fn forget_state(&self, name: impl Into<String>) {
        self.check_misuse("forget a state");
        self.building().forgotten.push(name.into());
    }

    /// The context that `create` makes, with its checkpoints in this directory: it begins anew
    /// where there is none, and goes on from the last one where there is.
    ///
    /// `create` always runs, since checkpoints hold data and names and never code; that differs
    /// from Spark. If it [says](Self::checkpoint) nothing of checkpoints, one is made after as many
    /// batches as take ten seconds.
    ///
    /// # Errors
    ///
    /// Those of `create`, and those of [`checkpoint`](Self::checkpoint) that do not need the
    /// streams.
    #[doc(alias = "getOrCreate")]
    pub fn get_or_create(
        directory: impl Into<PathBuf>,
        create: impl FnOnce() -> Result<StreamingContext>,
    ) -> Result<StreamingContext> {
        let directory = directory.into();
        let context = create()?;
        let mut building = context.building();
        if let Some(Checkpoints { directory: own, .. }) = &building.checkpoints
            && *own != directory
        {
            let message = format!(
                "the checkpoints of context {:?} go to {own:?}, and not to {directory:?}",
                context.name()
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let every = building.checkpoints.as_ref().and_then(|own| own.every);
        let _warnings = context.shared.control.warnings.on_this_thread();
        let opened = Some(open(building.storage.clone(), &directory)?);
        building.checkpoints = Some(Checkpoints { directory, every, opened });
        drop(building);
        Ok(context)
    }

    /// As [`get_or_create`](Self::get_or_create), but where all that is in the directory is
    /// damaged, or of another version of this crate, it is put aside under another name and the
    /// context begins anew.
    #[doc(alias = "createOnError")]
    pub fn get_or_create_on_error(
        directory: impl Into<PathBuf>,
        create: impl FnOnce() -> Result<StreamingContext>,
    ) -> Result<StreamingContext> {
        let directory = directory.into();
        if let Err(error) = open(Arc::new(Disk::Private), &directory) {
            let aside = put_aside(&directory)?;
            tracing::error!(%error, ?aside, "checkpoints cannot be read and were put aside");
        }
        StreamingContext::get_or_create(directory, create)
    }

    pub(crate) fn set_checkpoint_interval(&self, node: NodeId, interval: Duration) {
        self.check_misuse("set a checkpoint interval");
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.building().graph.nodes[node].checkpoint_millis = Some(millis);
    }

    /// Names what a stream's batches come from in checkpoints.
    pub(crate) fn set_saved_name(&self, node: NodeId, name: String) {
        self.check_misuse("name a stream");
        let named = self.building().graph.set_saved_name(node, name);
        if let Err(error) = named {
            self.misused(error);
        }
    }

    pub(crate) fn checkpoint_interval(&self, mut node: NodeId) -> Option<Duration> {
        let interval = self.shared.interval;
        let building = self.building();
        let nodes = &building.graph.nodes;
        loop {
            match nodes[node].checkpoint_every(interval) {
                Ok(Some(batches)) => {
                    let millis = batches.saturating_mul(interval.as_millis() as u64);
                    return Some(Duration::from_millis(millis));
                }
                // A step after what remembers asks for what that does.
                Ok(None) if matches!(nodes[node].kind, Kind::Narrow(_)) => {
                    node = nodes[node].parents[0];
                }
                _ => return None,
            }
        }
    }
}

/// The checkpoints of a directory, and the last one.
pub(super) fn open(
    storage: Arc<dyn Storage>,
    directory: &Path,
) -> Result<(Store, Option<Checkpoint>)> {
    let mut store = Store::open(storage, directory)?;
    let checkpoint = store.latest()?;
    Ok((store, checkpoint))
}

/// Batches between two checkpoints: the fewest that the program asks for, or that suit the streams
/// that run.
pub(super) fn checkpoint_every(
    graph: &Graph,
    physical: &Physical,
    interval: Duration,
    own: Option<u64>,
) -> Result<u64> {
    let (mut asked, mut suits) = (own, None);
    for (node, planned) in graph.nodes.iter().zip(&physical.nodes) {
        let every = node.checkpoint_every(interval)?;
        if matches!(planned.run, Run::Never) {
            continue;
        }
        let least = if node.checkpoint_millis.is_some() { &mut asked } else { &mut suits };
        *least = least.iter().copied().chain(every).min();
    }
    let ten_seconds = TEN_SECONDS_MILLIS.div_ceil(interval.as_millis() as u64);
    Ok(asked.or(suits).unwrap_or(ten_seconds))
}

/// Gives a directory a name of which there is none.
fn put_aside(directory: &Path) -> Result<PathBuf> {
    let cannot = |error| {
        let message = format!("cannot put {} aside", directory.display());
        Error::caused(ErrorKind::Checkpoint, message, error)
    };
    for number in 1.. {
        let mut aside = OsString::from(directory);
        aside.push(format!(".damaged-{number}"));
        let aside = PathBuf::from(aside);
        if Disk::Private.list(&aside).is_err() {
            Disk::Private.rename(directory, &aside).map_err(cannot)?;
            return Ok(aside);
        }
    }
    unreachable!("there is always another number")
}
