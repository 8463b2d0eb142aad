//! Gives a batch to the outputs, in the order of their making, and carries out their failure
//! policies. Outputs are independent: each has had the batch once before one of them is waited for.
//!
//! The batch waits for retries, and with it the queue of batches and the pools of the sources, so
//! that senders are held back. A stop ends the wait: at once, or gracefully after one more try.

use std::time::Duration;

use super::control::{Control, Stop};
use super::executor::Executor;
use super::guard::guard;
use super::monitor::Monitor;
use crate::config::OUTPUT_BACKOFF_MAX;
use crate::error::{Error, Result};
use crate::plan::{Output, OutputRun};
use crate::sink::OnFailure;
use crate::time::Time;

/// An output that could not take the batch, and is tried again.
struct Waiting {
    id: usize,
    /// When its first try began.
    started: Duration,
    error: Error,
    retries_left: u32,
    /// The wait before its next try, and what is left of it.
    backoff: Duration,
    wait: Duration,
}

impl Waiting {
    fn warn(&self, name: &str) {
        if self.retries_left > 0 {
            tracing::warn!(error = %self.error, name, "an output failed and is tried again");
        }
    }
}

/// Tells the sinks among the outputs after which batch everything comes again.
///
/// # Errors
///
/// That of a sink, with the output's name.
pub(super) fn recover(outputs: &mut [Output], after: Option<Time>) -> Result<()> {
    for output in outputs {
        if let OutputRun::Sink(sink) = &mut output.run {
            guard(&output.name, || sink.recover(after))?;
        }
    }
    Ok(())
}

/// Runs all outputs of a batch, and hands the errors of those that fail it to `record`.
pub(super) fn run(
    executor: &mut Executor,
    outputs: &mut [Output],
    time: Time,
    monitor: &mut Monitor,
    control: &Control,
    record: &mut impl FnMut(Error),
) {
    let mut waiting = Vec::new();
    for (id, output) in outputs.iter_mut().enumerate() {
        let started = monitor.output_started(id, &output.name);
        match executor.run_output(output, time) {
            Ok(()) => monitor.output_ended(id, &output.name, started, None),
            Err(error) => {
                let (retries_left, backoff) = (output.policy.retries, output.policy.backoff);
                let wait = backoff;
                let failed = Waiting { id, started, error, retries_left, backoff, wait };
                failed.warn(&output.name);
                waiting.push(failed);
            }
        }
    }
    let mut stop = None;
    while !waiting.is_empty() {
        // Those without a retry left end here, so that a stop of one ends the wait of others.
        let is_over = |failed: &mut Waiting| failed.retries_left == 0 || stop == Some(Stop::Now);
        for failed in waiting.extract_if(.., is_over) {
            give_up(&outputs[failed.id], failed, time, monitor, control, record);
        }
        let Some(wait) = waiting.iter().map(|failed| failed.wait).min() else { break };
        stop = control.pause(wait);
        if stop == Some(Stop::Now) {
            continue;
        }
        for failed in &mut waiting {
            failed.wait = failed.wait.saturating_sub(wait);
            if stop.is_some() {
                // Nobody waits any more: this is the last try.
                (failed.wait, failed.retries_left) = (Duration::ZERO, 1);
            }
        }
        waiting.retain_mut(|failed| {
            failed.wait > Duration::ZERO || !is_taken(failed, outputs, executor, time, monitor)
        });
    }
}

/// Tries an output again, whether it takes the batch now.
fn is_taken(
    failed: &mut Waiting,
    outputs: &mut [Output],
    executor: &mut Executor,
    time: Time,
    monitor: &mut Monitor,
) -> bool {
    let output = &mut outputs[failed.id];
    monitor.output_retried();
    match executor.run_output(output, time) {
        Ok(()) => {
            monitor.output_ended(failed.id, &output.name, failed.started, None);
            true
        }
        Err(error) => {
            failed.error = error;
            failed.retries_left -= 1;
            failed.backoff = failed.backoff.saturating_mul(2).min(OUTPUT_BACKOFF_MAX);
            failed.wait = failed.backoff;
            failed.warn(&output.name);
            false
        }
    }
}

/// An output does not get this batch.
fn give_up(
    output: &Output,
    failed: Waiting,
    time: Time,
    monitor: &mut Monitor,
    control: &Control,
    record: &mut impl FnMut(Error),
) {
    let Waiting { id, started, error, .. } = failed;
    monitor.output_ended(id, &output.name, started, Some(&error));
    match output.policy.on_failure {
        OnFailure::Fail => record(error),
        OnFailure::Skip => {
            let name = &output.name;
            tracing::warn!(%error, %time, name, "an output failed and is left without the batch");
            monitor.output_skipped();
        }
        OnFailure::Stop => {
            record(error);
            control.stop(Stop::Now);
        }
    }
}
