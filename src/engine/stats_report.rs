//! A listener that says from time to time how batches fare.

use std::time::Duration;

use super::listener::{BatchInfo, StreamingListener};

/// Most batches of one report.
const BATCHES_MAX: usize = 1 << 16;

/// Logs the distribution of the delays of the last batches through `tracing`, at the level `info`,
/// once in so many batches.
///
/// ```
/// use tidemill::StatsReport;
/// use tidemill::prelude::*;
///
/// let ssc = StreamingContext::builder("reported").build()?;
/// ssc.add_listener(StatsReport::every(10));
/// # Ok::<(), tidemill::Error>(())
/// ```
#[doc(alias = "StatsReportListener")]
#[derive(Debug)]
pub struct StatsReport {
    // Fixed.
    every: usize,
    // Changing: those since the last report.
    total: Vec<Duration>,
    processing: Vec<Duration>,
}

impl StatsReport {
    /// A report every so many batches, from 1 to 65 536.
    pub fn every(batches: usize) -> StatsReport {
        let every = batches.clamp(1, BATCHES_MAX);
        StatsReport { every, total: Vec::new(), processing: Vec::new() }
    }
}

impl Default for StatsReport {
    /// Every ten batches.
    fn default() -> StatsReport {
        StatsReport::every(10)
    }
}

impl StreamingListener for StatsReport {
    fn on_batch_completed(&mut self, batch: &BatchInfo) {
        self.total.extend(batch.total_delay);
        self.processing.extend(batch.processing_delay);
        if self.total.len() >= self.every {
            let batches = self.total.len();
            let total = distribution(&mut self.total);
            let processing = distribution(&mut self.processing);
            tracing::info!(batches, %total, %processing, "delays");
            self.total.clear();
            self.processing.clear();
        }
    }
}

/// The least, the quartiles and the like, and the greatest.
fn distribution(delays: &mut [Duration]) -> String {
    delays.sort_unstable();
    let Some(last) = delays.len().checked_sub(1) else { return String::new() };
    let percentiles = [0, 5, 10, 25, 50, 75, 90, 95, 100];
    let parts = percentiles.map(|percent| {
        let delay = delays[(last * percent).div_ceil(100)];
        format!("{percent}%: {delay:?}")
    });
    parts.join(", ")
}
