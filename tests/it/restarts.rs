//! The times of batches over restarts and pauses: what is read belongs to a batch of now, a
//! graceful stop pushes no time ahead, and times that passed have a batch each or none.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver as Heard, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{IntakeLog, MissedBatches};

use crate::feed::{DEADLINE, Feed};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(600);

/// Lines that are there to be read at any time, and again from any of them.
#[derive(Clone, Default)]
struct Shelf {
    lines: Arc<Mutex<Vec<String>>>,
    read: Arc<AtomicUsize>,
}

struct Reader {
    shelf: Shelf,
    next: usize,
}

impl Shelf {
    fn reader(&self) -> Reader {
        Reader { shelf: self.clone(), next: 0 }
    }

    fn push(&self, line: impl ToString) {
        self.lines.lock().unwrap().push(line.to_string());
    }

    /// Waits until all lines were read.
    fn wait(&self) {
        let (started, lines) = (Instant::now(), self.lines.lock().unwrap().len());
        while self.read.load(Ordering::SeqCst) < lines {
            assert!(started.elapsed() < DEADLINE, "nobody reads");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Receiver for Reader {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let lines = self.shelf.lines.lock().unwrap();
        for line in &lines[self.next..] {
            into.push_line(line.as_bytes());
        }
        self.next = lines.len();
        self.shelf.read.store(self.next, Ordering::SeqCst);
        Ok(Received::Later(Duration::from_millis(1)))
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some((self.next as u64).to_le_bytes().to_vec())
    }

    fn resume(&mut self, position: &[u8]) -> io::Result<()> {
        self.next = u64::from_le_bytes(position.try_into().map_err(io::Error::other)?) as usize;
        self.shelf.read.store(0, Ordering::SeqCst);
        Ok(())
    }

    fn name(&self) -> String {
        "shelf".to_owned()
    }
}

/// The seconds of a batch's time, and its rows.
type Seen = (u64, Vec<String>);

/// A process that is started when the clock shows this: what it reads, and its batches.
fn start(
    directory: &Path,
    (interval, missed): (Duration, MissedBatches),
    now: Duration,
    build: impl FnOnce(&StreamingContext) -> DStream<String>,
) -> (TestContext, Heard<Seen>) {
    let builder = StreamingContext::builder("restarts").batch_interval(interval).threads(1);
    let t = TestContext::with(builder.missed_batches(missed)).unwrap();
    t.clock().advance(now);
    t.context().checkpoint(directory, 1);
    let (sender, batches) = sync_channel(1 << 12);
    build(t.context()).foreach_batch(move |batch, time| {
        sender.send((time.millis() / 1_000, batch.to_vec()))?;
        Ok(())
    });
    t.context().start().unwrap();
    (t, batches)
}

fn stop(t: TestContext, batches: Heard<Seen>) -> Vec<Seen> {
    t.context().stop_gracefully();
    t.context().await_termination().unwrap();
    drop(t);
    batches.iter().collect()
}

fn rows(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|&row| row.to_owned()).collect()
}

const EACH: (Duration, MissedBatches) = (INTERVAL, MissedBatches::Each);

/// Each of them stops within the interval in which it was started.
#[test]
fn a_hundred_stops_within_an_interval_push_no_time_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::default();
    let mut seen = Vec::new();
    for life in 0..100 {
        let now = 3 * MINUTE + life * SECOND;
        let reader = shelf.reader();
        let (t, batches) =
            start(directory.path(), EACH, now, |ssc| ssc.receiver_stream(reader).unwrap());
        shelf.push(life);
        shelf.wait();
        seen.extend(stop(t, batches));
    }
    assert_eq!(seen, [(600, rows(&["0"]))]);
    // Then one runs on.
    let (mut t, batches) = start(directory.path(), EACH, 5 * MINUTE, |ssc| {
        ssc.receiver_stream(shelf.reader()).unwrap()
    });
    shelf.wait();
    t.tick().unwrap();
    assert_eq!(t.clock().now().millis(), 1_200_000);
    seen.extend(stop(t, batches));
    let times: Vec<u64> = seen.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [600, 1_200, 1_800], "the last one ends early again");
    let lines: Vec<String> = seen.into_iter().flat_map(|(_, rows)| rows).collect();
    assert_eq!(lines, *shelf.lines.lock().unwrap());
}

/// A process that is started in the interval after that goes on with the clock.
#[test]
fn what_is_read_after_a_stop_belongs_to_now() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::default();
    let mut seen = Vec::new();
    for life in 0..20 {
        let reader = shelf.reader();
        let now = 3 * MINUTE + life * INTERVAL;
        let (t, batches) =
            start(directory.path(), EACH, now, |ssc| ssc.receiver_stream(reader).unwrap());
        shelf.push(life);
        shelf.wait();
        seen.extend(stop(t, batches));
    }
    let expected = (0..20).map(|life: u64| ((life + 1) * 600, vec![life.to_string()]));
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

/// What a source cannot give again is in the log.
#[test]
fn stops_with_an_intake_log_push_no_time_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for life in 0..10 {
        let (feed, feeder) = Feed::new();
        let (t, batches) = start(directory.path(), EACH, 3 * MINUTE + life * SECOND, |ssc| {
            ssc.intake_log(IntakeLog::synced());
            ssc.receiver_stream(feed).unwrap()
        });
        feeder.deliver([format!("{life}\n")]);
        seen.extend(stop(t, batches));
    }
    assert_eq!(seen, [(600, rows(&["0"]))]);
    let (feed, _feeder) = Feed::new();
    let (mut t, batches) = start(directory.path(), EACH, 5 * MINUTE, |ssc| {
        ssc.intake_log(IntakeLog::synced());
        ssc.receiver_stream(feed).unwrap()
    });
    let started = Instant::now();
    while t.context().metrics().sources[0].log.unwrap().blocks_replayed < 9 {
        assert!(started.elapsed() < DEADLINE, "{:?}", t.context().metrics());
        std::thread::sleep(Duration::from_millis(1));
    }
    t.tick().unwrap();
    seen.extend(stop(t, batches));
    let lines: Vec<String> = seen.into_iter().flat_map(|(_, rows)| rows).collect();
    assert_eq!(lines, (0..10).map(|life| life.to_string()).collect::<Vec<_>>());
}

/// What nobody can give again has its batch in any case, and what did not come has none.
#[test]
fn a_stop_loses_nothing_of_what_cannot_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for life in 0..4 {
        let (feed, feeder) = Feed::new();
        let (t, batches) =
            start(directory.path(), EACH, 3 * MINUTE, |ssc| ssc.receiver_stream(feed).unwrap());
        if life != 1 {
            feeder.deliver([format!("{life}\n")]);
        }
        seen.extend(stop(t, batches));
    }
    let lines: Vec<String> = seen.iter().flat_map(|(_, rows)| rows.clone()).collect();
    assert_eq!(lines, ["0", "2", "3"]);
    assert_eq!(seen.len(), 3, "{seen:?}");
}

/// Counts of the last three seconds, and batches, where a second process starts this late.
fn after_a_pause(missed: MissedBatches, now: Duration) -> (Vec<Seen>, Vec<Seen>) {
    let directory = tempfile::tempdir().unwrap();
    let (shelf, counts) = (Shelf::default(), Arc::<Mutex<Vec<Seen>>>::default());
    let build = |ssc: &StreamingContext, counts: Arc<Mutex<Vec<Seen>>>| {
        let lines = ssc.receiver_stream(shelf.reader()).unwrap();
        lines.count_by_window(3 * SECOND, SECOND).foreach_batch(move |batch, time| {
            let rows = batch.iter().map(|count| count.to_string()).collect();
            counts.lock().unwrap().push((time.millis() / 1_000, rows));
            Ok(())
        });
        lines
    };
    let kind = (SECOND, missed);
    let (mut t, batches) =
        start(directory.path(), kind, Duration::ZERO, |ssc| build(ssc, Arc::default()));
    shelf.push("before");
    shelf.wait();
    t.tick().unwrap();
    t.context().stop();
    drop((t, batches));
    shelf.push("meanwhile");
    let (mut t, batches) = start(directory.path(), kind, now, |ssc| build(ssc, counts.clone()));
    shelf.wait();
    t.tick().unwrap();
    t.context().stop();
    drop(t);
    let counts = std::mem::take(&mut *counts.lock().unwrap());
    (batches.iter().collect(), counts)
}

#[test]
fn times_that_were_missed_have_a_batch_each() {
    let (batches, counts) = after_a_pause(MissedBatches::Each, 5 * SECOND);
    let empty = |time: u64| (time, Vec::new());
    let expected = [empty(2), empty(3), empty(4), empty(5), (6, rows(&["meanwhile"]))];
    assert_eq!(batches, expected);
    let count = |time: u64, count: &str| (time, rows(&[count]));
    let expected = [count(2, "1"), count(3, "1"), count(4, "0"), count(5, "0"), count(6, "1")];
    assert_eq!(counts, expected);
}

#[test]
fn times_that_were_missed_have_one_batch_together() {
    let (batches, counts) = after_a_pause(MissedBatches::One, 5 * SECOND);
    assert_eq!(batches, [(6, rows(&["meanwhile"]))]);
    assert_eq!(counts, [(6, rows(&["1"]))], "what came before has left the window");
    let (batches, counts) = after_a_pause(MissedBatches::One, 2 * SECOND);
    assert_eq!(batches, [(3, rows(&["meanwhile"]))]);
    assert_eq!(counts, [(3, rows(&["2"]))]);
}

/// A pause of the process is one of its batches; windows go on with the clock.
#[test]
fn a_pause_while_it_runs_has_one_batch() {
    let builder = StreamingContext::builder("paused").batch_interval(SECOND).threads(1);
    let mut t = TestContext::with(builder.missed_batches(MissedBatches::One)).unwrap();
    let (feed, feeder) = Feed::new();
    let lines = t.context().receiver_stream(feed).unwrap();
    let (sender, counts) = sync_channel(64);
    lines.count_by_window(3 * SECOND, SECOND).foreach_batch(move |batch, time| {
        sender.send((time.millis() / 1_000, batch.to_vec()))?;
        Ok(())
    });
    t.tick().unwrap();
    feeder.deliver(["a\n", "b\n"]);
    t.tick().unwrap();
    feeder.deliver(["c\n"]);
    t.clock().advance(4 * SECOND);
    let heard = |_| counts.recv_timeout(DEADLINE).unwrap();
    let heard: Vec<_> = (0..3).map(heard).collect();
    assert_eq!(heard, [(1, vec![]), (2, vec![2]), (6, vec![1])]);
    t.tick().unwrap();
    assert_eq!(counts.recv_timeout(DEADLINE).unwrap(), (7, vec![1]));
}
