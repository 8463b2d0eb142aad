//! Warnings of slow batches and of lines that were not taken as they are: the first at once, and
//! then one in a while, with how many there were since.

use std::sync::Arc;
use std::time::Duration;

use crate::source::intake::Intake;

/// The least time between two warnings of a kind.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What is warned of after a batch.
pub(super) struct Troubles {
    // Fixed.
    interval: Duration,
    // Changing.
    slow: Since,
    slowest: Duration,
    lines: Since,
    /// Lines of all sources that were warned of: replaced, cut, and rejected.
    warned: [u64; 3],
}

/// Since when something was not warned of, and how often it came.
#[derive(Default)]
struct Since {
    warned: Option<Duration>,
    count: u64,
}

impl Since {
    /// Whether it is to be warned of now.
    fn is_due(&self, now: Duration) -> bool {
        self.warned.is_none_or(|warned| now >= warned + WARN_EVERY)
    }
}

impl Troubles {
    pub(super) fn new(interval: Duration) -> Troubles {
        let (slow, lines) = (Since::default(), Since::default());
        Troubles { interval, slow, slowest: Duration::ZERO, lines, warned: [0; 3] }
    }

    /// A batch has ended, so long after its cut.
    pub(super) fn after_batch(&mut self, now: Duration, total: Duration, intakes: &[Arc<Intake>]) {
        // Input that waits for nobody is late for nobody.
        let is_bounded = |intake: &Arc<Intake>| intake.is_bounded();
        if total > self.interval && !intakes.iter().any(is_bounded) {
            self.slow.count += 1;
            self.slowest = self.slowest.max(total);
            if self.slow.is_due(now) {
                let (batches, interval) = (self.slow.count, self.interval);
                let slowest = std::mem::take(&mut self.slowest);
                tracing::warn!(
                    batches,
                    ?slowest,
                    ?interval,
                    "batches take longer than the interval: results are late, and in the end \
                     sources are held back"
                );
                self.slow = Since { warned: Some(now), count: 0 };
            }
        }
        let mut lines = [0; 3];
        for counts in intakes.iter().filter(|intake| !intake.is_bounded()).map(|i| i.counts()) {
            let of_it = [counts.lines_replaced, counts.lines_cut, counts.lines_rejected];
            lines.iter_mut().zip(of_it).for_each(|(all, own)| *all += own);
        }
        if lines != self.warned && self.lines.is_due(now) {
            let [replaced, cut, rejected] = std::array::from_fn(|at| lines[at] - self.warned[at]);
            tracing::warn!(replaced, cut, rejected, "lines could not be taken as they are");
            (self.lines.warned, self.warned) = (Some(now), lines);
        }
    }
}
