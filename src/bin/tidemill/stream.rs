//! Results of a stream: each batch's, or totals whenever they have changed and at the end.
//!
//! Invariant: a batch whose result could not be written has failed, so that no checkpoint claims
//! that it was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill::{Batch, BoxError, MemoryCharge, StateHandle, Time};

use crate::failure::Failure;
use crate::job::{Job, Sizes};
use crate::output::Output;
use crate::totals::{Totals, rows};

/// What is shown of a stream.
pub(crate) enum Shown<J: Job> {
    /// What each batch came to.
    Batches,
    /// Totals since the start of this process.
    Added(Totals<J>),
    /// Totals that a checkpoint keeps: each batch has all of them. `before` is what an earlier
    /// process has left.
    Kept {
        totals: Option<Batch<(String, J::Value)>>,
        has_changed: Arc<AtomicBool>,
        before: Option<Left<J>>,
    },
}

/// The totals of the checkpoint that this process goes on from.
pub(crate) struct Left<J: Job> {
    pub(crate) totals: StateHandle<String, J::Value>,
    /// The time of their batch.
    pub(crate) time: Time,
}

/// Prints the results of a stream.
pub(crate) struct Printer<J: Job> {
    // Fixed.
    job: Arc<J>,
    rows_max: Option<usize>,
    /// Of the result while it is put together.
    charge: MemoryCharge,
    // Changing.
    output: Output,
    shown: Shown<J>,
    /// The time of the last batch whose totals were not printed, as they were the same.
    unprinted: Option<Time>,
    /// Why nothing can be written any more.
    failure: Option<Failure>,
}

impl<J: Job> Printer<J> {
    pub(crate) fn new(
        job: Arc<J>,
        output: Output,
        shown: Shown<J>,
        rows_max: Option<usize>,
        charge: MemoryCharge,
    ) -> Printer<J> {
        Printer { job, rows_max, charge, output, shown, unprinted: None, failure: None }
    }

    /// Prints what comes before all results.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        self.output.start::<J::Report<'_>>().map_err(|error| Failure::of_output(&error))
    }

    /// Prints the result of a batch.
    ///
    /// # Errors
    ///
    /// What could not be added to totals or written: the batch fails with it.
    pub(crate) fn take(
        &mut self,
        batch: &Batch<(String, J::Value)>,
        time: Time,
    ) -> Result<(), BoxError> {
        let has_news = match &mut self.shown {
            Shown::Batches => !batch.is_empty() || self.output.shows_empty(),
            Shown::Added(totals) => {
                totals.add(batch)?;
                !batch.is_empty()
            }
            Shown::Kept { totals, has_changed, .. } => {
                *totals = Some(batch.clone());
                has_changed.swap(false, Ordering::Relaxed)
            }
        };
        if !has_news {
            self.unprinted = Some(time);
            return Ok(());
        }
        self.unprinted = None;
        let sizes = match &self.shown {
            Shown::Added(totals) => totals.sizes(),
            _ => Sizes::of(rows::<J>(batch)),
        };
        self.charge.set(sizes.report_bytes(self.rows_max))?;
        let report = match &self.shown {
            Shown::Added(totals) => self.job.report(totals.iter(), self.rows_max),
            _ => self.job.report(rows::<J>(batch), self.rows_max),
        };
        self.output.write(Some(time), &report).map_err(|error| {
            self.failure = Some(Failure::of_output(&error));
            error.into()
        })
    }

    /// Prints the totals at the end, unless the last batch did, and says how the stream has ended.
    pub(crate) fn end(&mut self, ended: Result<(), Failure>) -> Result<(), Failure> {
        // The engine's error for it is the same in other words.
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        ended?;
        // Stopped before its first batch: the totals are those that it began with.
        if let Shown::Kept { totals: totals @ None, before: Some(before), .. } = &mut self.shown {
            *totals = Some(before.totals.snapshot()?);
            self.unprinted = Some(before.time);
        }
        let Some(time) = self.unprinted else { return Ok(()) };
        let report = match &self.shown {
            Shown::Added(totals) if !totals.is_empty() => {
                self.job.report(totals.iter(), self.rows_max)
            }
            Shown::Kept { totals: Some(totals), .. } if !totals.is_empty() => {
                self.job.report(rows::<J>(totals), self.rows_max)
            }
            _ => return Ok(()),
        };
        self.output.write(Some(time), &report).map_err(|error| Failure::of_output(&error))
    }
}
