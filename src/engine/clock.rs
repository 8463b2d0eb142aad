//! The one place that reads a clock: the wall clock once, at the start, and then a monotonic one.
//! A clock that jumps does not move batches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::time::Time;

/// Batch times that are ahead by up to so much are nothing to warn of: runs that end with their
/// input within an interval put them ahead by as much each.
const AHEAD_UNSAID: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) enum Clock {
    System {
        started: Instant,
        since_epoch: Duration,
        /// Milliseconds that it is ahead of the wall clock.
        ahead: Arc<AtomicU64>,
    },
    Manual(Arc<Mutex<Time>>),
}

impl Clock {
    pub(crate) fn system() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock::System { started: Instant::now(), since_epoch, ahead: Arc::default() }
    }

    pub(crate) fn manual() -> Clock {
        Clock::Manual(Arc::new(Mutex::new(Time::from_millis(0))))
    }

    pub(crate) fn now(&self) -> Time {
        match self {
            Clock::System { started, since_epoch, ahead } => {
                let wall = (*since_epoch + started.elapsed()).as_millis() as u64;
                Time::from_millis(wall + ahead.load(Ordering::Relaxed))
            }
            Clock::Manual(now) => *lock(now),
        }
    }

    /// As [`now`](Self::now), since the epoch, and as exact as there is.
    pub(crate) fn exact(&self) -> Duration {
        match self {
            Clock::System { started, since_epoch, ahead } => {
                let ahead = Duration::from_millis(ahead.load(Ordering::Relaxed));
                *since_epoch + started.elapsed() + ahead
            }
            Clock::Manual(now) => Duration::from_millis(lock(now).millis()),
        }
    }

    /// Moves a test's clock on.
    ///
    /// # Errors
    ///
    /// That there is no such time.
    pub(crate) fn advance(&self, duration: Duration) -> Result<()> {
        let Clock::Manual(now) = self else { return Ok(()) };
        let mut now = lock(now);
        *now = now.checked_add(duration).ok_or_else(|| {
            let message = format!("{duration:?} after {now} is past the last time");
            Error::new(ErrorKind::Config, message)
        })?;
        Ok(())
    }

    /// Puts a test's clock back, as no clock of the system's ever is after its start.
    #[cfg(test)]
    pub(crate) fn put_back(&self, duration: Duration) {
        let Clock::Manual(now) = self else { return };
        let mut now = lock(now);
        *now = now.checked_sub(duration).unwrap_or(Time::from_millis(0));
    }

    /// Goes on from `time`, the last batch's, if it is not that late yet: batch times never come
    /// twice, though the wall clock was put back while nothing ran. Where it is late within an
    /// `interval` it stays, as a graceful stop ends its last batch early by as much. To be called
    /// before anybody waits.
    pub(crate) fn not_before(&self, time: Time, interval: Duration) {
        let now = self.now();
        match self {
            _ if now + interval >= time => {}
            Clock::System { ahead, .. } => {
                let message = "batch times are ahead of the clock: they go on from the last one";
                if time - now > AHEAD_UNSAID {
                    tracing::warn!(%now, last = %time, "{message}");
                } else {
                    tracing::debug!(%now, last = %time, "{message}");
                }
                ahead.fetch_add((time - now).as_millis() as u64, Ordering::Relaxed);
            }
            Clock::Manual(now) => *lock(now) = time,
        }
    }

    /// Whether it stands still until a test moves it.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Clock::Manual(_))
    }

    /// Waits on `wake` until it is called or it is `time`, whichever comes first.
    pub(crate) fn wait<'a, T>(
        &self,
        time: Time,
        guard: MutexGuard<'a, T>,
        wake: &Condvar,
    ) -> MutexGuard<'a, T> {
        let woken = match self {
            Clock::System { started, since_epoch, ahead } => {
                let wall = time.millis().saturating_sub(ahead.load(Ordering::Relaxed));
                let due = Duration::from_millis(wall).saturating_sub(*since_epoch);
                let left = due.saturating_sub(started.elapsed());
                wake.wait_timeout(guard, left).map(|(guard, _)| guard).map_err(|e| e.into_inner().0)
            }
            // Whoever advances the clock wakes.
            Clock::Manual(_) => wake.wait(guard).map_err(|e| e.into_inner()),
        };
        woken.unwrap_or_else(|guard| guard)
    }
}

/// An end that comes in the time of the machine, whatever a test's clock shows.
#[derive(Copy, Clone)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(duration: Duration) -> Deadline {
        Deadline(Instant::now() + duration)
    }

    pub(super) fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Has the calling thread woken on time: Linux may delay a sleep by 50 µs, to wake several at once.
pub(crate) fn wake_this_thread_on_time() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        tracing::debug!(%error, "the timer slack stays as it is");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TestContext;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A clock that was started when the wall clock showed so much.
    fn started_at(since_epoch: Duration) -> Clock {
        Clock::System { started: Instant::now(), since_epoch, ahead: Arc::default() }
    }

    /// After a start nothing reads the wall clock; between two runs it may have jumped.
    #[test]
    fn a_wall_clock_that_jumps_repeats_no_batch() {
        let interval = Duration::from_millis(100);
        let mut last = started_at(10 * HOUR).now().floor(interval);
        for wall in [9 * HOUR, 10 * HOUR, 8 * HOUR] {
            let clock = started_at(wall);
            clock.not_before(last, interval);
            // An hour back: nobody waits for longer than between two batches.
            assert!(clock.now() + interval >= last, "{wall:?}");
            assert!(clock.now() <= last, "{wall:?}");
            last = last + interval;
        }
        let clock = started_at(12 * HOUR);
        clock.not_before(last, interval);
        assert_eq!(clock.now().floor(interval), Time::from_millis(12 * 3_600_000));
    }

    /// However often a program stops in good order and starts again, its clock does not run ahead.
    #[test]
    fn a_last_batch_that_was_early_sets_no_clock_on() {
        let interval = HOUR;
        let clock = started_at(10 * HOUR + HOUR / 2);
        clock.not_before(Time::from_millis(11 * 3_600_000), interval);
        assert_eq!(clock.now().floor(interval), Time::from_millis(10 * 3_600_000));
        clock.not_before(Time::from_millis(12 * 3_600_000), interval);
        assert_eq!(clock.now().floor(interval), Time::from_millis(12 * 3_600_000));
    }

    #[test]
    fn a_running_clock_never_goes_back() {
        let clock = started_at(10 * HOUR);
        let mut last = (clock.now(), clock.exact());
        for _ in 0..10_000 {
            let now = (clock.now(), clock.exact());
            assert!(now >= last);
            last = now;
        }
    }

    /// The engine while it runs, under a clock that jumps all the same: each time has its batch,
    /// once and in order, and each row is in one of them.
    #[test]
    fn an_hour_forward_and_back() {
        const BATCHES: u64 = 3_600;
        let mut t = TestContext::new().unwrap();
        let rows = t.input::<i64>();
        let times = Arc::<Mutex<Vec<(Time, usize)>>>::default();
        let seen = times.clone();
        rows.stream().foreach_batch(move |batch, time| {
            seen.lock().unwrap().push((time, batch.len()));
            Ok(())
        });
        let clock = t.clock();
        let mut tick = || {
            rows.push([1]).unwrap();
            t.tick().unwrap();
        };
        tick();
        clock.advance(HOUR);
        tick();
        clock.put_back(HOUR);
        for _ in 0..BATCHES {
            tick();
        }
        // All that was pushed while no time was new.
        t.context().stop_gracefully();
        let times = times.lock().unwrap();
        let numbers = times.iter().map(|(time, _)| time.millis() / 1_000);
        assert!(numbers.eq(1..=times.len() as u64), "a batch each second");
        assert!(times.len() as u64 > 2 * BATCHES);
        assert_eq!(times.iter().map(|(_, rows)| rows).sum::<usize>() as u64, BATCHES + 2);
    }
}
