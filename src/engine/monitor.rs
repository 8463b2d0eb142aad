//! What the batch loop says of itself as it goes: to the metrics, to listeners, to `tracing`, and
//! to the rates of the sources.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::bus::{Bus, Event};
use super::clock::Clock;
use super::listener::{BatchInfo, OutputOperationInfo, ReceiverInfo, time_of};
use super::metrics::{IntakeLogMetrics, Metrics, SourceMetrics, StateMetrics};
use super::rate::Rates;
use super::troubles::Troubles;
use crate::error::Error;
use crate::source::intake::Intake;
use crate::source::status::News;
use crate::time::Time;

/// What has been counted, to be read by the program at any time.
#[derive(Default)]
pub(super) struct Meter {
    metrics: Mutex<Metrics>,
}

impl Meter {
    pub(super) fn lock(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What a source has done, and what it holds.
pub(super) fn source_metrics(intake: &Intake) -> SourceMetrics {
    let ((rows, bytes_processed), blocks) = (intake.taken(), intake.blocks());
    let (state, last_error, failures) = intake.status();
    SourceMetrics {
        name: intake.name().to_owned(),
        state,
        last_error,
        failures,
        counts: intake.counts(),
        unreadable: intake.unreadable(),
        rows,
        bytes_processed,
        rate_limit: Some(intake.rate()).filter(|rate| rate.is_finite()),
        blocks_max: blocks.max,
        blocks_in_use: blocks.in_use,
        blocks_queued: blocks.queued,
        log: intake.log_counts().map(|counts| IntakeLogMetrics {
            bytes: counts.bytes,
            blocks_replayed: counts.blocks_replayed,
            blocks_lost: counts.blocks_lost,
            failures: counts.failures,
        }),
        has_ended: intake.has_ended(),
    }
}

pub(super) struct Monitor {
    // Fixed.
    pub(super) clock: Clock,
    pub(super) bus: Arc<Bus>,
    pub(super) meter: Arc<Meter>,
    pub(super) intakes: Vec<Arc<Intake>>,
    // Changing.
    rates: Rates,
    /// Rows of the batch, of each source.
    rows: Vec<u64>,
    /// How long blocks were worked on as they came, since the last batch.
    early_work: Duration,
    batch: Option<Running>,
    troubles: Troubles,
}

/// The batch that runs.
struct Running {
    info: BatchInfo,
    submitted: Duration,
    started: Duration,
    span: tracing::Span,
}

impl Monitor {
    pub(super) fn new(
        clock: Clock,
        bus: Arc<Bus>,
        meter: Arc<Meter>,
        intakes: Vec<Arc<Intake>>,
        rates: Rates,
        interval: Duration,
    ) -> Monitor {
        let rows = vec![0; intakes.len()];
        let early_work = Duration::ZERO;
        let (batch, troubles) = (None, Troubles::new(interval));
        Monitor { clock, bus, meter, intakes, rates, rows, early_work, batch, troubles }
    }

    /// Blocks are worked on before their batch is due.
    pub(super) fn take_in<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let from = self.clock.exact();
        let result = run();
        self.early_work += self.clock.exact().saturating_sub(from);
        result
    }

    /// The span that it runs in.
    pub(super) fn batch_started(&mut self, time: Time, submitted: Duration) -> tracing::Span {
        let started = self.clock.exact();
        let span = tracing::debug_span!(
            "batch",
            time = time.millis(),
            rows = tracing::field::Empty,
            scheduling_delay = tracing::field::Empty,
            processing_delay = tracing::field::Empty,
        );
        let mut info = BatchInfo::submitted(time, submitted);
        info.started = Some(time_of(started));
        info.scheduling_delay = Some(started.saturating_sub(submitted));
        info.early_work = std::mem::take(&mut self.early_work);
        self.meter.lock().is_running_batch = true;
        self.bus.tell(|| Event::BatchStarted(info.clone()));
        self.batch = Some(Running { info, submitted, started, span: span.clone() });
        span
    }

    /// An output is about to run; gives back when.
    pub(super) fn output_started(&mut self, id: usize, name: &str) -> Duration {
        let now = self.clock.exact();
        if let Some(batch) = &self.batch {
            let batch_time = batch.info.time;
            self.bus.tell(|| Event::OutputStarted(output_info(batch_time, id, name, now)));
        }
        now
    }

    pub(super) fn output_ended(
        &mut self,
        id: usize,
        name: &str,
        started: Duration,
        failure: Option<&Error>,
    ) {
        if !self.bus.is_heard() {
            return;
        }
        let ended = self.clock.exact();
        let Some(batch) = &mut self.batch else { return };
        let mut info = output_info(batch.info.time, id, name, started);
        (info.ended, info.duration) = (Some(time_of(ended)), Some(ended.saturating_sub(started)));
        info.failure = failure.map(ToString::to_string);
        batch.info.outputs.push(info.clone());
        self.bus.tell(|| Event::OutputCompleted(info));
    }

    /// An output is given its batch again.
    pub(super) fn output_retried(&self) {
        self.meter.lock().output_retries += 1;
    }

    /// An output is left without its batch.
    pub(super) fn output_skipped(&self) {
        self.meter.lock().outputs_skipped += 1;
    }

    /// `measure` says what operators remember.
    pub(super) fn batch_ended(
        &mut self,
        has_failed: bool,
        measure: impl FnOnce(&mut Vec<StateMetrics>),
    ) {
        let Some(Running { mut info, submitted, started, span }) = self.batch.take() else {
            return;
        };
        let ended = self.clock.exact();
        for (rows, intake) in self.rows.iter_mut().zip(&self.intakes) {
            *rows = intake.rows_of_batch();
        }
        let scheduling = started.saturating_sub(submitted);
        let processing = ended.saturating_sub(started);
        let total = scheduling + processing;
        info.rows = self.rows.iter().sum();
        info.ended = Some(time_of(ended));
        info.processing_delay = Some(processing);
        info.total_delay = Some(total);
        // Where nobody counts them, they are not 0.
        if self.intakes.iter().any(|intake| intake.taken().0.is_some()) {
            span.record("rows", info.rows);
        }
        span.record("scheduling_delay", tracing::field::debug(scheduling));
        span.record("processing_delay", tracing::field::debug(processing));
        tracing::debug!(
            "Total delay: {:.3} s for time {} (execution: {:.3} s)",
            total.as_secs_f64(),
            info.time,
            processing.as_secs_f64()
        );
        // What was done early was done for the batch, too.
        let work = processing + info.early_work;
        self.rates.after_batch(time_of(ended), &self.intakes, &self.rows, work, scheduling);
        info.has_failed = has_failed;
        self.troubles.after_batch(ended, total, &self.intakes);
        if self.bus.is_heard() {
            info.source_rows.clone_from(&self.rows);
            self.bus.tell(|| Event::BatchCompleted(info.clone()));
            info.outputs = Vec::new();
        }
        let mut metrics = self.meter.lock();
        // Where nobody listens, no memory is asked for.
        let before = metrics.last_batch.take();
        info.source_rows = before.map_or_else(Vec::new, |before| before.source_rows);
        info.source_rows.clone_from(&self.rows);
        metrics.batches_completed += 1;
        metrics.batches_failed += u64::from(has_failed);
        metrics.is_running_batch = false;
        metrics.scheduling.add(scheduling);
        metrics.processing.add(processing);
        metrics.total.add(total);
        metrics.last_batch = Some(info);
        measure(&mut metrics.states);
    }

    /// A checkpoint was made of what a batch has left, or would have been.
    pub(super) fn gathered(&self, started: Duration) {
        let duration = self.clock.exact().saturating_sub(started);
        self.meter.lock().checkpoints.gathering.add(duration);
    }

    /// Sources of lines have started, and with them the context.
    pub(super) fn streaming_started(&self) {
        self.bus.tell(|| Event::StreamingStarted(time_of(self.clock.exact())));
        for (id, intake) in self.intakes.iter().enumerate() {
            self.bus.tell(|| Event::ReceiverStarted(receiver_info(id, intake, true)));
        }
    }

    /// The last batch has run.
    pub(super) fn streaming_ended(&self) {
        for (id, intake) in self.intakes.iter().enumerate() {
            self.bus.tell(|| Event::ReceiverStopped(receiver_info(id, intake, false)));
        }
        self.bus.end();
    }
}

/// A source has ended with an error, or reports one.
pub(super) fn receiver_failed(
    bus: &Bus,
    clock: &Clock,
    intakes: &[Arc<Intake>],
    of: &Intake,
    error: &Error,
) {
    let Some(id) = intakes.iter().position(|intake| std::ptr::eq(&**intake, of)) else { return };
    bus.tell(|| {
        let mut info = receiver_info(id, of, !of.has_ended());
        info.last_error = Some(error.to_string());
        info.last_error_time = Some(time_of(clock.exact()));
        Event::ReceiverError(info)
    });
}

/// A source cannot receive for now, or can again.
pub(super) fn receiver_news(
    bus: &Bus,
    clock: &Clock,
    intakes: &[Arc<Intake>],
    of: &Intake,
    news: News,
) {
    let Some(id) = intakes.iter().position(|intake| std::ptr::eq(&**intake, of)) else { return };
    bus.tell(|| {
        let mut info = receiver_info(id, of, true);
        match news {
            News::Trouble(error) => {
                info.last_error = Some(error);
                info.last_error_time = Some(time_of(clock.exact()));
                Event::ReceiverTrouble(info)
            }
            News::Recovered => Event::ReceiverRecovered(info),
        }
    });
}

fn receiver_info(id: usize, intake: &Intake, is_active: bool) -> ReceiverInfo {
    let name = intake.name().to_owned();
    ReceiverInfo { id, name, is_active, last_error: None, last_error_time: None }
}

fn output_info(batch_time: Time, id: usize, name: &str, started: Duration) -> OutputOperationInfo {
    let (name, started) = (name.to_owned(), time_of(started));
    OutputOperationInfo {
        batch_time,
        id,
        name,
        started,
        ended: None,
        duration: None,
        failure: None,
    }
}
