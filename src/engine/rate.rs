//! Back-pressure by rate: how many rows a second each source may bring, fixed or by what became of
//! the batches before.
//!
//! It comes on top of the pool's bound, which holds in any case: blocks bound what is in memory,
//! rates bound how long what is in memory will take.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::pid::{PidRateEstimator, check_rate};
use crate::error::Result;
use crate::source::intake::Intake;
use crate::time::Time;

/// How back-pressure finds the rate of each source: see [`PidRateEstimator`], and the context
/// builder's `back_pressure`.
///
/// ```
/// use tidemill::BackPressure;
/// use tidemill::prelude::*;
///
/// let settings = BackPressure { initial_rate: 5_000.0, ..BackPressure::default() };
/// let ssc = StreamingContext::builder("careful").back_pressure(settings).build()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
#[doc(alias = "spark.streaming.backpressure.enabled")]
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct BackPressure {
    /// Rows a second of each source until the first estimate (default 10 000). Spark has no limit
    /// here unless told so, which makes the first batch a huge one.
    #[doc(alias = "initialRate")]
    pub initial_rate: f64,
    /// Rows a second that a source may bring however slow batches are (default 100).
    #[doc(alias = "minRate")]
    pub min_rate: f64,
    /// The weight of the error itself (default 1).
    pub proportional: f64,
    /// The weight of what has piled up (default 0.2).
    pub integral: f64,
    /// The weight of the error's change (default 0).
    #[doc(alias = "derived")]
    pub derivative: f64,
}

impl Default for BackPressure {
    fn default() -> BackPressure {
        BackPressure {
            initial_rate: 10_000.0,
            min_rate: 100.0,
            proportional: 1.0,
            integral: 0.2,
            derivative: 0.0,
        }
    }
}

/// What the program asked for.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct RateSettings {
    pub(super) max_rate: Option<f64>,
    pub(super) back_pressure: Option<BackPressure>,
}

impl RateSettings {
    pub(super) fn check(&self, interval: Duration) -> Result<()> {
        if let Some(max_rate) = self.max_rate {
            check_rate("max_rate", max_rate)?;
        }
        if let Some(settings) = &self.back_pressure {
            check_rate("initial_rate", settings.initial_rate)?;
            settings.estimator(interval)?;
        }
        Ok(())
    }
}

impl BackPressure {
    fn estimator(&self, interval: Duration) -> Result<PidRateEstimator> {
        let BackPressure { proportional, integral, derivative, min_rate, .. } = *self;
        PidRateEstimator::new(interval, proportional, integral, derivative, min_rate)
    }
}

/// The rates of all sources of lines.
pub(super) struct Rates {
    max_rate: f64,
    /// One for each source, in their order; none without back-pressure.
    estimators: Vec<PidRateEstimator>,
}

impl Rates {
    /// Limits the sources as the program asked, before anything is read.
    pub(super) fn start(
        settings: RateSettings,
        intakes: &[Arc<Intake>],
        clock: &Clock,
        interval: Duration,
    ) -> Result<Rates> {
        let max_rate = settings.max_rate.unwrap_or(f64::INFINITY);
        let initial = settings.back_pressure.map(|settings| settings.initial_rate);
        let rate = initial.unwrap_or(f64::INFINITY).min(max_rate);
        let mut estimators = Vec::new();
        for intake in intakes.iter().filter(|_| rate.is_finite()) {
            let clock = clock.clone();
            intake.limit(rate, Box::new(move || clock.exact()), interval);
            if let Some(settings) = &settings.back_pressure {
                estimators.push(settings.estimator(interval)?);
            }
        }
        Ok(Rates { max_rate, estimators })
    }

    /// A batch is complete: the rates may change. `rows` are those of each source.
    pub(super) fn after_batch(
        &mut self,
        time: Time,
        intakes: &[Arc<Intake>],
        rows: &[u64],
        processing_delay: Duration,
        scheduling_delay: Duration,
    ) {
        for ((estimator, intake), &rows) in self.estimators.iter_mut().zip(intakes).zip(rows) {
            let rate = estimator.compute(time, rows, processing_delay, scheduling_delay);
            if let Some(rate) = rate {
                intake.set_rate(rate.min(self.max_rate));
                tracing::trace!(source = intake.name(), rate, "a new rate");
            }
        }
    }
}
