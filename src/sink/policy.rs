//! Failure policy of an output: how often a batch is tried again, and what follows if that does
//! not help. The engine carries it out (`engine/outputs.rs`).

use std::time::Duration;

/// Consequence of an output that could not take a batch, once all its
/// [retries](crate::Output::retry) have failed.
///
/// In each case operators and windows keep the batch, and other outputs have it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Fails the batch. The error surfaces from
    /// [`await_termination`](crate::StreamingContext::await_termination), and no checkpoint is made
    /// until the program awaits again: a program that ends instead has the batch again after its
    /// restart, and one that goes on goes on without it in this output.
    #[default]
    Fail,
    /// Leaves the batch out of this output, with a warning, and counts it in
    /// [`Metrics::outputs_skipped`](crate::Metrics::outputs_skipped). The batch has not failed.
    Skip,
    /// Fails the batch and stops the context as a crash does: no further batch runs and no
    /// checkpoint is made. After a restart the batches since the last checkpoint come again.
    Stop,
}

/// Number of retries, the wait before the first of them, and the consequence at the end.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct OutputPolicy {
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
    pub(crate) on_failure: OnFailure,
}
