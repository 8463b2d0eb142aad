//! Batch time: milliseconds since the Unix epoch, aligned to multiples of the batch interval.
//!
//! A batch of time T holds what was cut at T, so its rows came in (T - interval, T].

use std::fmt;
use std::time::Duration;

/// The time of a batch, in whole milliseconds since the Unix epoch.
///
/// It names the batch: output that is written under it can be written again without harm.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    millis: u64,
}

impl Time {
    /// The time so many milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Time {
        Time { millis }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// The latest multiple of `interval` that is not after this time.
    pub(crate) fn floor(self, interval: Duration) -> Time {
        let interval = interval.as_millis() as u64;
        Time { millis: self.millis / interval * interval }
    }
}

impl Time {
    /// The latest time that is a number of steps from `zero` and not after this one.
    pub(crate) fn floor_from(self, zero: Time, step: Duration) -> Time {
        let step = step.as_millis() as u64;
        let since = self.millis.saturating_sub(zero.millis);
        Time { millis: zero.millis + since / step * step }
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time { millis: self.millis + duration.as_millis() as u64 }
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time { millis: self.millis - duration.as_millis() as u64 }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.millis)
    }
}
