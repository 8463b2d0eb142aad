//! The estimator of back-pressure: from how long a batch took, how many rows a second the next ones
//! may have. A proportional-integral-derivative controller with Spark's formula and constants.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::time::Time;

/// Estimates the rate at which a source may be read, from what became of its last batches.
///
/// The formula is Spark's (`PIDRateEstimator`). With the rate of processing, which is the rows of a
/// batch by the time that it took, in rows a second:
///
/// * the error is the last rate minus the rate of processing;
/// * the historical error is what has piled up: the scheduling delay, times the rate of processing,
///   by the batch interval;
/// * the change of the error is by the seconds since the last estimate;
/// * the new rate is the last one, minus each of the three times its factor, and never below a
///   minimum.
///
/// The first batch sets the rate to that of its processing, and gives no estimate. Nor does one
/// without rows or without a time, or one that is not later than the last.
///
/// ```
/// use std::time::Duration;
/// use tidemill::{PidRateEstimator, Time};
///
/// let [second, half] = [1_000, 500].map(Duration::from_millis);
/// let mut estimator = PidRateEstimator::new(second, 1.0, 0.2, 0.0, 100.0)?;
/// // 10 000 rows in half a second: the first batch gives no estimate.
/// assert_eq!(estimator.compute(Time::from_millis(1_000), 10_000, half, Duration::ZERO), None);
/// // 10 000 rows in a whole second, half as fast.
/// let rate = estimator.compute(Time::from_millis(2_000), 10_000, second, Duration::ZERO);
/// assert_eq!(rate, Some(10_000.0));
/// # Ok::<(), tidemill::Error>(())
/// ```
#[doc(alias = "PIDRateEstimator")]
#[doc(alias = "RateEstimator")]
#[derive(Clone, Debug)]
pub struct PidRateEstimator {
    // Fixed.
    interval_millis: f64,
    proportional: f64,
    integral: f64,
    derivative: f64,
    min_rate: f64,
    // Changing.
    /// From the first batch on.
    last: Option<Last>,
}

/// What the last estimate came to.
#[derive(Copy, Clone, Debug)]
struct Last {
    time: Time,
    rate: f64,
    error: f64,
}

impl PidRateEstimator {
    /// An estimator for batches of this interval. The factors are Spark's
    /// `spark.streaming.backpressure.pid.proportional` (1.0 there), `integral` (0.2) and `derived`
    /// (0.0), and the least rate, in rows a second, its `minRate` (100).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an interval of zero, a factor that is negative or no number, and a
    /// least rate that is not above zero.
    pub fn new(
        batch_interval: Duration,
        proportional: f64,
        integral: f64,
        derivative: f64,
        min_rate: f64,
    ) -> Result<PidRateEstimator> {
        let config = |message: String| Err(Error::new(ErrorKind::Config, message));
        if batch_interval.is_zero() {
            return config("batch interval of a rate estimator is 0, but must be longer".into());
        }
        let factors =
            [("proportional", proportional), ("integral", integral), ("derivative", derivative)];
        for (name, factor) in factors {
            if !(factor.is_finite() && factor >= 0.0) {
                return config(format!("{name} factor is {factor}, but must be 0 or more"));
            }
        }
        check_rate("min_rate", min_rate)?;
        let interval_millis = millis(batch_interval);
        let last = None;
        Ok(PidRateEstimator { interval_millis, proportional, integral, derivative, min_rate, last })
    }

    /// Takes in a batch that was complete at `time`: its rows, how long they took, and how long the
    /// batch had waited before. Gives the new rate, in rows a second, if there is one.
    pub fn compute(
        &mut self,
        time: Time,
        elements: u64,
        processing_delay: Duration,
        scheduling_delay: Duration,
    ) -> Option<f64> {
        let is_later = self.last.is_none_or(|last| time > last.time);
        if !is_later || elements == 0 || processing_delay.is_zero() {
            return None;
        }
        let processing_rate = elements as f64 / millis(processing_delay) * 1_000.0;
        let Some(last) = self.last else {
            self.last = Some(Last { time, rate: processing_rate, error: 0.0 });
            return None;
        };
        let seconds = (time - last.time).as_millis() as f64 / 1_000.0;
        let error = last.rate - processing_rate;
        let historical = millis(scheduling_delay) * processing_rate / self.interval_millis;
        let change = (error - last.error) / seconds;
        let rate = last.rate
            - self.proportional * error
            - self.integral * historical
            - self.derivative * change;
        let rate = rate.max(self.min_rate);
        self.last = Some(Last { time, rate, error });
        Some(rate)
    }
}

/// Says which rate is none, in rows a second.
pub(super) fn check_rate(name: &str, rate: f64) -> Result<()> {
    if rate.is_finite() && rate > 0.0 {
        return Ok(());
    }
    let message = format!("{name} is {rate} rows a second, but must be above 0");
    Err(Error::new(ErrorKind::Config, message))
}

/// Exact for whole milliseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}
