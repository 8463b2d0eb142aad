//! One life of the program: from a start over what the disk has to a stop or a crash.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Random;
use super::model::{Model, Seen};
use super::source::Numbers;
use crate::dstream::DStream;
use crate::engine::{StreamingContext, TestContext};
use crate::error::ErrorKind;
use crate::sink::{TextFiles, TransactionalFiles};
use crate::storage::faulty::FaultyDisk;

const SECOND: Duration = Duration::from_secs(1);

/// Batches of the window.
pub(super) const WINDOW: u64 = 3;

/// Where the sink writes.
pub(super) const OUT: &str = "/out/rows";

pub(super) struct Life {
    context: TestContext,
    per_tick: Arc<AtomicU64>,
    seen: Arc<Mutex<Seen>>,
}

impl Life {
    /// Starts the program; nothing where the disk fails, and then the reason is known.
    pub(super) fn begin(
        disk: &Arc<FaultyDisk>,
        directory: &Path,
        model: &mut Model,
        random: &mut Random,
    ) -> Option<Life> {
        let builder = StreamingContext::builder("simulated").threads(1 + random.below(2) as usize);
        let context = TestContext::with(builder).expect("the settings are right");
        let ssc = context.context();
        ssc.store_on(disk.clone());
        ssc.checkpoint(directory, 1 + random.below(4) as u32);
        let per_tick = Arc::new(AtomicU64::new(0));
        let lines = ssc.receiver_stream(Numbers::new(per_tick.clone())).expect("it is building");
        let seen = Arc::<Mutex<Seen>>::default();
        // Another version of the program has its operators in another order.
        let mut parts: Vec<fn(&DStream<String>, &Arc<Mutex<Seen>>, &Arc<FaultyDisk>)> =
            vec![rows, sums, counts, window];
        for index in (1..parts.len()).rev() {
            parts.swap(index, random.below(index as u64 + 1) as usize);
        }
        for part in parts {
            part(&lines, &seen, disk);
        }
        match ssc.start() {
            Ok(()) => {}
            Err(error) => {
                let kinds = [ErrorKind::Checkpoint, ErrorKind::Sink];
                assert!(kinds.contains(&error.kind()) && disk.has_failed(), "{error}");
                return None;
            }
        }
        model.begin();
        // Some time may have passed, and the clock may have been put back.
        for _ in 0..random.below(3) {
            ssc.advance_clock();
        }
        Some(Life { context, per_tick, seen })
    }

    /// One batch; false if it failed.
    pub(super) fn tick(&mut self, model: &mut Model, random: &mut Random) -> bool {
        self.per_tick.store(random.below(20), Ordering::SeqCst);
        let ticked = self.context.tick();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        model.check(seen, ticked.is_ok());
        match ticked {
            Ok(()) => true,
            Err(error) => {
                let kinds = [ErrorKind::Checkpoint, ErrorKind::Sink];
                assert!(kinds.contains(&error.kind()), "{error}");
                false
            }
        }
    }

    pub(super) fn end(self, is_graceful: bool, model: &mut Model) {
        self.per_tick.store(3, Ordering::SeqCst);
        if is_graceful {
            self.context.context().stop_gracefully();
        } else {
            self.context.context().stop();
        }
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let ended = self.context.context().await_termination();
        let is_well = ended.is_ok();
        model.check(seen, is_well);
    }
}

fn number_of(line: &str) -> u64 {
    line.split(' ').next().and_then(|number| number.parse().ok()).expect("a line has a number")
}

fn pairs(lines: &DStream<String>) -> DStream<(String, i64)> {
    lines
        .map(|line| (line.split(' ').nth(1).unwrap_or_default().to_owned(), number_of(line) as i64))
}

/// The rows themselves, to files that are committed with checkpoints.
fn rows(lines: &DStream<String>, seen: &Arc<Mutex<Seen>>, disk: &Arc<FaultyDisk>) {
    let seen = seen.clone();
    lines.foreach_batch(move |batch, time| {
        let numbers = batch.iter().map(number_of).collect();
        seen.lock().unwrap().rows.insert(time, numbers);
        Ok(())
    });
    lines.save_with("rows.v1", TransactionalFiles::on(disk.clone(), TextFiles::new(OUT)));
}

fn sums(lines: &DStream<String>, seen: &Arc<Mutex<Seen>>, _disk: &Arc<FaultyDisk>) {
    let seen = seen.clone();
    let sums = pairs(lines).update_state_by_key("sums.v1", |values, sum: Option<i64>| {
        Some(sum.unwrap_or(0) + values.iter().sum::<i64>())
    });
    sums.foreach_batch(move |batch, time| {
        seen.lock().unwrap().sums.insert(time, batch.to_vec().into_iter().collect());
        Ok(())
    });
}

fn counts(lines: &DStream<String>, seen: &Arc<Mutex<Seen>>, _disk: &Arc<FaultyDisk>) {
    let seen = seen.clone();
    let counts =
        pairs(lines).map_with_state::<(String, i64), i64, _>("counts.v1", |key, _, state, out| {
            let count = state.get_option().unwrap_or(0) + 1;
            state.update(count);
            out.push((key, count));
        });
    counts.snapshots().foreach_batch(move |batch, time| {
        seen.lock().unwrap().counts.insert(time, batch.to_vec().into_iter().collect());
        Ok(())
    });
}

fn window(lines: &DStream<String>, seen: &Arc<Mutex<Seen>>, _disk: &Arc<FaultyDisk>) {
    let seen = seen.clone();
    let keys = pairs(lines).map(|(key, _)| key.to_owned());
    let counts = keys.count_by_value_and_window(WINDOW as u32 * SECOND, SECOND);
    counts.foreach_batch(move |batch, time| {
        seen.lock().unwrap().window.insert(time, batch.to_vec().into_iter().collect());
        Ok(())
    });
}
