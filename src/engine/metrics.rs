//! What a context has done and holds, as plain values.

use std::path::PathBuf;
use std::time::Duration;

use super::listener::BatchInfo;
use crate::source::{SourceCounts, SourceState};

/// What a context has done so far, and what it holds now: see
/// [`StreamingContext::metrics`](crate::StreamingContext::metrics).
///
/// ```
/// use tidemill::prelude::*;
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let counts = t.output(&lines.stream().count());
/// t.tick()?;
/// let metrics = t.context().metrics();
/// assert_eq!((metrics.batches_completed, metrics.batches_failed), (1, 0));
/// assert_eq!(metrics.processing.last, std::time::Duration::ZERO);
/// # drop(counts);
/// # Ok::<(), tidemill::Error>(())
/// ```
#[doc(alias = "StreamingMetrics")]
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Batches that have run, those that failed among them.
    #[doc(alias = "totalCompletedBatches")]
    pub batches_completed: u64,
    /// Batches of which an operator or an output has failed, other than by being
    /// [skipped](Metrics::outputs_skipped).
    pub batches_failed: u64,
    /// Times that an output was given a batch again that it could not take before.
    pub output_retries: u64,
    /// Batches that an output was left without by [`OnFailure::Skip`](crate::OnFailure::Skip), each
    /// as often as there were such outputs.
    pub outputs_skipped: u64,
    /// Batches that were cut and wait for their turn: at most
    /// [`Limits::queued_batches`](crate::Limits::queued_batches).
    #[doc(alias = "waitingBatches")]
    pub batches_queued: usize,
    /// Whether a batch runs now.
    #[doc(alias = "runningBatches")]
    pub is_running_batch: bool,
    /// The last batch that has run, without its outputs.
    #[doc(alias = "lastCompletedBatch")]
    pub last_batch: Option<BatchInfo>,
    /// How long batches waited.
    #[doc(alias = "lastCompletedBatch_schedulingDelay")]
    pub scheduling: Delays,
    /// How long batches ran.
    #[doc(alias = "lastCompletedBatch_processingDelay")]
    pub processing: Delays,
    /// Both.
    #[doc(alias = "lastCompletedBatch_totalDelay")]
    pub total: Delays,
    /// Of each source of lines, in the order of their making.
    #[doc(alias = "receivers")]
    pub sources: Vec<SourceMetrics>,
    /// Of each operator that remembers, in the order of the plan.
    pub states: Vec<StateMetrics>,
    /// Of the checkpoints.
    pub checkpoints: CheckpointMetrics,
    /// Of the memory account.
    pub memory: MemoryMetrics,
    /// Events that listeners were too slow for.
    pub listener_events_dropped: u64,
    /// Calls of listeners that panicked.
    pub listener_panics: u64,
}

impl Metrics {
    /// Rows that batches took from sources of lines, where they are counted.
    #[doc(alias = "totalProcessedRecords")]
    pub fn rows_processed(&self) -> Option<u64> {
        self.sources.iter().map(|source| source.rows).sum()
    }

    /// Bytes that batches took from sources of lines.
    pub fn bytes_processed(&self) -> u64 {
        self.sources.iter().map(|source| source.bytes_processed).sum()
    }

    /// Bytes that sources of lines have read.
    #[doc(alias = "totalReceivedRecords")]
    pub fn bytes_received(&self) -> u64 {
        self.sources.iter().map(|source| source.counts.bytes).sum()
    }

    /// Lines that sources have dropped.
    pub fn lines_rejected(&self) -> u64 {
        self.sources.iter().map(|source| source.counts.lines_rejected).sum()
    }
}

/// Delays of batches.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delays {
    /// Of the last batch.
    pub last: Duration,
    /// Of all together.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
}

impl Delays {
    pub(super) fn add(&mut self, delay: Duration) {
        self.last = delay;
        self.total = self.total.saturating_add(delay);
        self.max = self.max.max(delay);
    }
}

/// What a source of lines has done, and what it holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SourceMetrics {
    /// Its name.
    pub name: String,
    /// Whether it receives, or tries again what failed.
    pub state: SourceState,
    /// What kept it from receiving last, also where it has recovered since, or why it has ended.
    pub last_error: Option<String>,
    /// Attempts that failed since it last received.
    pub failures: u64,
    /// What it has read, and could not take as it was.
    pub counts: SourceCounts,
    /// The paths that cannot be read now and are tried again, the first 16 of
    /// [all](SourceCounts::paths_unreadable): what they hold is in no batch so far.
    pub unreadable: Vec<PathBuf>,
    /// Rows that batches took of it, where they are counted: with a limit to the rate, from the
    /// first listener on, or where the program [said so](crate::ContextBuilder::count_rows). That
    /// takes a look at each byte, which simple programs would notice.
    #[doc(alias = "numRecords")]
    pub rows: Option<u64>,
    /// Bytes that batches took of it.
    pub bytes_processed: u64,
    /// Rows a second that it may bring now, if that is limited.
    pub rate_limit: Option<f64>,
    /// Blocks that its pool may have.
    pub blocks_max: usize,
    /// Blocks that are being filled, wait, or are held by a batch or the program.
    pub blocks_in_use: usize,
    /// Blocks that are full and wait for their batch.
    pub blocks_queued: usize,
    /// Of its intake log, if it has one.
    pub log: Option<IntakeLogMetrics>,
    /// Whether it has come to its end.
    pub has_ended: bool,
}

/// What a source's intake log has and did.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntakeLogMetrics {
    /// Bytes on disk: at most [`Limits::intake_log_bytes`](crate::Limits::intake_log_bytes), and
    /// the blocks that were in flight then.
    pub bytes: u64,
    /// Blocks of an earlier process that were given again at the start.
    pub blocks_replayed: u64,
    /// Blocks that should have been, and were damaged.
    pub blocks_lost: u64,
    /// Attempts to write that failed; each is made again.
    pub failures: u64,
}

impl SourceMetrics {
    /// Blocks that may be filled at once.
    pub fn blocks_free(&self) -> usize {
        self.blocks_max.saturating_sub(self.blocks_in_use)
    }
}

/// What an operator remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateMetrics {
    /// The name that the program gave it, or that of its stream.
    pub name: String,
    /// Keys that have a state; 0 of operators that do not say.
    #[doc(alias = "numRowsTotal")]
    pub keys: usize,
    /// Bytes of memory; 0 of operators that do not say.
    #[doc(alias = "memoryUsedBytes")]
    pub bytes: usize,
}

/// Bytes in the memory account of a context: see [`memory`](crate::ContextBuilder::memory).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryMetrics {
    /// Bytes that are held now.
    pub held: usize,
    /// The most that were held at once.
    pub peak: usize,
    /// The most that may be held.
    pub max: usize,
}

/// What became of checkpoints.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointMetrics {
    /// Checkpoints that are on disk, or were.
    pub written: u64,
    /// Attempts to write one that failed; each is made again.
    pub failed: u64,
    /// Times that files of checkpoints were read back and checked: one after each checkpoint, in
    /// turn, and at a stop all that the last one stands on.
    pub checked: u64,
    /// Files that were found damaged so. All that they held is then written anew from memory.
    pub damaged: u64,
    /// The number of the last batch that is in a checkpoint, from 1; 0 before the first.
    pub last_batch: u64,
    /// How long the loop took after batches to gather what had changed. Keyed states are read, and
    /// all is written, beside it; a batch that ends before they are read waits for that, as part of
    /// its processing.
    pub gathering: Delays,
}
