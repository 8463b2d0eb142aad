//! How fast a source may be read, where its rate is limited: a bucket that fills with rows as time
//! passes, and that each read empties.
//!
//! What is read is not known before: a read is made as short as the rows that may still come are
//! likely to be long, and what it brings beyond that is waited for before the next one. So over any
//! time the rows are at most those of the rate, those of the bucket, and one read's.

use std::time::Duration;

/// Bytes of a line before any was seen: few, so that the first read does not bring too many.
const LINE_BYTES_ASSUMED: f64 = 16.0;

/// After so many bytes those before count half for the mean length of a line.
const MEAN_BYTES: f64 = (256 << 10) as f64;

/// Until so many bytes were seen, reads are short.
const PROBED_BYTES: f64 = 4_096.0;

/// Bytes of such a read.
const PROBE_BYTES: usize = 512;

/// A read of fewer bytes than this is not worth its call.
const READ_BYTES_MIN: usize = 64;

/// Between two reads so much time passes, that a reader at its limit does not wake for each row.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// The time for which rows are saved up at least: a thread may be late by as much, and the rate
/// holds all the same.
const SAVED_UP_MIN: Duration = Duration::from_millis(100);

/// Reads a clock: the time since the epoch.
pub(crate) type Now = Box<dyn Fn() -> Duration + Send>;

pub(crate) struct Pace {
    // Fixed.
    now: Now,
    /// How long rows are saved up while none come.
    saved_up: Duration,
    // Changing.
    last: Duration,
    /// Rows that may come; below zero after a read that brought more.
    rows: f64,
    /// Of the lines seen, to tell their mean length.
    seen_bytes: f64,
    seen_lines: f64,
}

impl Pace {
    /// Starts with an empty bucket, so that the first batch is as the others.
    pub(crate) fn new(now: Now, interval: Duration) -> Pace {
        let last = now();
        let saved_up = interval.max(SAVED_UP_MIN);
        Pace { now, saved_up, last, rows: 0.0, seen_bytes: LINE_BYTES_ASSUMED, seen_lines: 1.0 }
    }

    /// How many bytes to read now at a rate in rows a second, or how long to wait.
    pub(crate) fn allowance(&mut self, rate: f64) -> Result<usize, Duration> {
        let now = (self.now)();
        let passed = now.saturating_sub(self.last).as_secs_f64();
        self.last = now;
        let most = (rate * self.saved_up.as_secs_f64()).max(1.0);
        self.rows = (self.rows + rate * passed).min(most);
        if self.rows < 1.0 {
            let seconds = (1.0 - self.rows) / rate;
            // No longer than anybody waits, and no number that is too large for a duration.
            let wait = Duration::from_secs_f64(seconds.min(3_600.0));
            return Err(wait.max(PAUSE_MIN));
        }
        let bytes = self.rows * self.seen_bytes / self.seen_lines.max(1.0);
        // Nobody knows yet how long lines are.
        let most = if self.seen_bytes < PROBED_BYTES { PROBE_BYTES } else { usize::MAX };
        Ok((bytes as usize).clamp(READ_BYTES_MIN, most))
    }

    /// So many bytes were read, and so many lines came of them.
    pub(crate) fn took(&mut self, bytes: usize, lines: usize) {
        self.rows -= lines as f64;
        self.seen_bytes += bytes as f64;
        self.seen_lines += lines as f64;
        if self.seen_bytes > MEAN_BYTES {
            self.seen_bytes /= 2.0;
            self.seen_lines /= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn pace() -> (Pace, Arc<AtomicU64>) {
        let millis = Arc::new(AtomicU64::new(0));
        let now = millis.clone();
        let now = Box::new(move || Duration::from_millis(now.load(Ordering::Relaxed)));
        (Pace::new(now, Duration::from_secs(1)), millis)
    }

    /// Whatever lines are like, the rows are those of the rate but for one read's.
    #[test]
    fn keeps_the_rate() {
        for (rate, line_bytes) in [(10.0, 5), (1_000.0, 200), (1e6, 8), (3.5, 70_000)] {
            let (mut pace, millis) = pace();
            let (mut lines, mut left, mut largest) = (0, 0, 0);
            for now in 0..20_000 {
                millis.store(now, Ordering::Relaxed);
                while let Ok(bytes) = pace.allowance(rate) {
                    let bytes = bytes.min(256 << 10);
                    let taken = (left + bytes) / line_bytes;
                    left = (left + bytes) % line_bytes;
                    pace.took(bytes, taken);
                    largest = largest.max(taken);
                    lines += taken;
                }
                let most = rate * now as f64 / 1_000.0 + largest as f64;
                assert!(lines as f64 <= most, "{lines} rows after {now} ms at {rate}/s");
            }
            let expected = rate * 20.0;
            assert!((lines as f64) > 0.97 * expected - 2.0, "{lines} rows of {expected}");
            let allowed = (256 << 10).min((rate * line_bytes as f64) as usize).max(1_100);
            assert!(largest * line_bytes <= 2 * allowed, "{largest} rows in one read at {rate}/s");
        }
    }

    #[test]
    fn saves_up_for_a_while_only() {
        let (mut pace, millis) = pace();
        millis.store(1_000_000, Ordering::Relaxed);
        assert!(pace.allowance(1_000.0).is_ok());
        pace.took(0, 1_000);
        assert!(pace.allowance(1_000.0).is_err());
    }
}
