//! Batch time: milliseconds since the Unix epoch, aligned to multiples of the batch interval.
//!
//! A batch of time T holds what was cut at T, so its rows came in (T - interval, T].

use std::fmt;
use std::time::Duration;

/// The time of a batch, in whole milliseconds since the Unix epoch.
///
/// It names the batch: output that is written under it can be written again without harm.
///
/// Durations are taken in whole milliseconds here; what is below one is cut off. As with
/// [`Duration`] itself, arithmetic that leaves the range panics, and the `checked` forms do not.
///
/// ```
/// use std::time::Duration;
/// use tidemill::Time;
///
/// let (time, second) = (Time::from_millis(3_500), Duration::from_secs(1));
/// assert_eq!(time + second, Time::from_millis(4_500));
/// assert_eq!(time - second, Time::from_millis(2_500));
/// assert_eq!(time - Time::from_millis(500), Duration::from_secs(3));
/// assert_eq!(time.floor(second), Time::from_millis(3_000));
/// ```
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
    ///
    /// # Panics
    ///
    /// If `interval` is below a millisecond.
    pub fn floor(self, interval: Duration) -> Time {
        let interval = step_millis(interval);
        Time { millis: self.millis / interval * interval }
    }

    /// Whether the time is a whole number of intervals after the epoch.
    ///
    /// ```
    /// # use {std::time::Duration, tidemill::Time};
    /// assert!(Time::from_millis(1_000).is_multiple_of(Duration::from_millis(5)));
    /// assert!(!Time::from_millis(1_000).is_multiple_of(Duration::from_millis(6)));
    /// ```
    ///
    /// # Panics
    ///
    /// If `interval` is below a millisecond.
    #[doc(alias = "isMultipleOf")]
    pub fn is_multiple_of(self, interval: Duration) -> bool {
        self.millis.is_multiple_of(step_millis(interval))
    }

    /// This time and the ones after it, a step apart, before `end`.
    ///
    /// ```
    /// # use {std::time::Duration, tidemill::Time};
    /// let [start, end] = [1_000, 1_100].map(Time::from_millis);
    /// let times = start.until(end, Duration::from_millis(50));
    /// assert!(times.eq([1_000, 1_050].map(Time::from_millis)));
    /// ```
    ///
    /// # Panics
    ///
    /// If `step` is below a millisecond: it would never come to the end.
    pub fn until(self, end: Time, step: Duration) -> impl Iterator<Item = Time> + Clone {
        self.steps(step_millis(step)).take_while(move |&time| time < end)
    }

    /// This time and the ones after it, a step apart, up to `end` itself.
    ///
    /// ```
    /// # use {std::time::Duration, tidemill::Time};
    /// let [start, end] = [1_000, 1_100].map(Time::from_millis);
    /// let times = start.to(end, Duration::from_millis(50));
    /// assert!(times.eq([1_000, 1_050, 1_100].map(Time::from_millis)));
    /// ```
    ///
    /// # Panics
    ///
    /// If `step` is below a millisecond: it would never come to the end.
    pub fn to(self, end: Time, step: Duration) -> impl Iterator<Item = Time> + Clone {
        self.steps(step_millis(step)).take_while(move |&time| time <= end)
    }

    /// The time so much later, unless it is past the last one.
    pub fn checked_add(self, duration: Duration) -> Option<Time> {
        let millis = u64::try_from(duration.as_millis()).ok()?;
        self.millis.checked_add(millis).map(Time::from_millis)
    }

    /// The time so much earlier, unless it is before the epoch.
    pub fn checked_sub(self, duration: Duration) -> Option<Time> {
        let millis = u64::try_from(duration.as_millis()).ok()?;
        self.millis.checked_sub(millis).map(Time::from_millis)
    }

    fn steps(self, step: u64) -> impl Iterator<Item = Time> + Clone {
        let next = move |time: &Time| time.millis.checked_add(step).map(Time::from_millis);
        std::iter::successors(Some(self), next)
    }
}

/// A duration that times are divided by.
fn step_millis(step: Duration) -> u64 {
    assert!(step >= Duration::from_millis(1), "a step is {step:?}, but must be at least 1ms");
    // A longer one than all of time is as good as all of time.
    u64::try_from(step.as_millis()).unwrap_or(u64::MAX)
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

    /// # Panics
    ///
    /// If the result is past the last time.
    fn add(self, duration: Duration) -> Time {
        let later = self.checked_add(duration);
        later.unwrap_or_else(|| panic!("{duration:?} after {self} is past the last time"))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Time;

    /// # Panics
    ///
    /// If the result is before the epoch.
    fn sub(self, duration: Duration) -> Time {
        let earlier = self.checked_sub(duration);
        earlier.unwrap_or_else(|| panic!("{duration:?} before {self} is before the epoch"))
    }
}

impl std::ops::Sub for Time {
    type Output = Duration;

    /// # Panics
    ///
    /// If `earlier` is the later one: durations are never negative.
    fn sub(self, earlier: Time) -> Duration {
        let millis = self.millis.checked_sub(earlier.millis);
        let millis = millis.unwrap_or_else(|| panic!("{earlier} is after {self}"));
        Duration::from_millis(millis)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.millis)
    }
}
