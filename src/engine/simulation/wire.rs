//! A source that cannot go back, from a seed: its sender keeps what it was not told is safe and
//! sends that again, the disk fails and forgets, and the program crashes between any two batches.
//! With the intake log, or with checkpoints alone, every line is counted, and none more often than
//! it was sent: once, where the program remembers how far its sender was.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Random, SaysSeed, assert_disk_failed, number};
use crate::engine::{StreamingContext, TestContext};
use crate::error::{ErrorKind, Result};
use crate::source::{BlockWriter, IntakeLog, Received, Receiver};
use crate::storage::faulty::FaultyDisk;
use crate::time::Time;

/// The end of the wire that outlives the program.
#[derive(Default)]
pub(super) struct Sender {
    /// Lines that are not known to be safe, from the one with the number `first` on.
    pub(super) kept: VecDeque<u64>,
    pub(super) first: u64,
    /// How often each line was sent.
    sent: BTreeMap<u64, i64>,
}

/// The program's end.
struct Wire {
    sender: Arc<Mutex<Sender>>,
    next: u64,
    /// Lines before this one belong to the batch.
    end: u64,
    /// Lines before this one were given by this process or an earlier one, if that is remembered.
    given: Option<u64>,
}

impl Wire {
    fn new(sender: &Arc<Mutex<Sender>>, remembers: bool) -> Wire {
        let first = sender.lock().unwrap().first;
        Wire { sender: sender.clone(), next: first, end: first, given: remembers.then_some(0) }
    }
}

impl Receiver for Wire {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let mut sender = self.sender.lock().unwrap();
        while self.next < self.end {
            if self.given.is_none_or(|given| given <= self.next) {
                into.push_line(self.next.to_string().as_bytes());
            }
            *sender.sent.entry(self.next).or_default() += 1;
            self.next += 1;
            self.given = self.given.map(|given| given.max(self.next));
            // So that a batch has several blocks.
            if self.next.is_multiple_of(3) {
                return Ok(Received::More);
            }
        }
        Ok(Received::Later(Duration::from_millis(1)))
    }

    fn tick(&mut self, _: Time) -> io::Result<bool> {
        let sender = self.sender.lock().unwrap();
        self.end = sender.first + sender.kept.len() as u64;
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some(self.next.to_le_bytes().to_vec())
    }

    fn can_resume(&self) -> bool {
        false
    }

    fn acknowledge(&mut self, position: &[u8]) {
        let position = u64::from_le_bytes(position.try_into().expect("it is ours"));
        let mut sender = self.sender.lock().unwrap();
        while sender.first < position {
            sender.kept.pop_front().expect("it was sent");
            sender.first += 1;
        }
    }

    fn save_senders(&mut self, _: bool) -> Option<Vec<u8>> {
        self.given.map(|given| given.to_le_bytes().to_vec())
    }

    fn load_senders(&mut self, saved: &[u8]) -> io::Result<()> {
        self.given = Some(u64::from_le_bytes(saved.try_into().expect("it is ours")));
        Ok(())
    }

    fn name(&self) -> String {
        "wire".to_owned()
    }
}

/// How often each line was counted, after each batch.
pub(super) type Counted = Arc<Mutex<BTreeMap<u64, i64>>>;

/// Where checkpoints and the log are.
pub(super) const STATE: &str = "/state";

/// The program, with a checkpoint after every so many batches.
pub(super) fn begin(
    disk: &FaultyDisk,
    sender: &Arc<Mutex<Sender>>,
    log: Option<IntakeLog>,
    remembers: bool,
    (threads, every): (usize, u32),
) -> Result<(TestContext, Counted)> {
    let builder = StreamingContext::builder("wired").threads(threads).warnings_to_stderr(false);
    let t = TestContext::with(builder)?;
    let (ssc, counted) = (t.context(), Counted::default());
    ssc.store_on(Arc::new(disk.clone()));
    ssc.checkpoint(Path::new(STATE), every);
    if let Some(log) = log {
        ssc.intake_log(log);
    }
    let lines = ssc.receiver_stream(Wire::new(sender, remembers))?;
    let numbers = lines.map(|line| (line.parse().unwrap_or(u64::MAX), 1i64));
    let counts = numbers.update_state_by_key("counts.v1", |counts, total: Option<i64>| {
        Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
    });
    let seen = counted.clone();
    counts.foreach_batch(move |batch, _| {
        *seen.lock().unwrap() = batch.to_vec().into_iter().collect();
        Ok(())
    });
    ssc.start()?;
    Ok((t, counted))
}

fn run(seed: u64) {
    let _seed = SaysSeed(seed);
    let mut random = Random::new(seed);
    let disk = FaultyDisk::new(random.next());
    let sender = Arc::<Mutex<Sender>>::default();
    // A window is of use against crashes of the process, and a disk that forgets is not one.
    let window = IntakeLog::group_commit(Duration::from_millis(1));
    let (log, forgets) = match random.below(4) {
        0 => (None, true),
        1 => (Some(window), false),
        _ => (Some(IntakeLog::synced()), true),
    };
    let remembers = random.below(2) == 0;
    let mut next = 0;
    let mut send = |lines: u64| {
        sender.lock().unwrap().kept.extend(next..next + lines);
        next += lines;
        next
    };
    let settings = |random: &mut Random| (1 + random.below(2) as usize, 1 + random.below(4) as u32);
    for _ in 0..1 + random.below(6) {
        disk.fail([0, 0, 2, 20, 100][random.below(5) as usize]);
        match begin(&disk, &sender, log, remembers, settings(&mut random)) {
            Err(error) => assert_disk_failed(&error, &disk),
            Ok((mut t, _)) => {
                for _ in 0..random.below(8) {
                    send(random.below(10));
                    if let Err(error) = t.tick() {
                        // The log's own troubles are told as the source's.
                        let is_known =
                            [ErrorKind::Source, ErrorKind::Checkpoint].contains(&error.kind());
                        assert!(is_known && disk.failed().is_some(), "{error}");
                    }
                }
                if random.below(3) == 0 {
                    t.context().stop_gracefully();
                } else {
                    t.context().stop();
                }
            }
        }
        disk.fail(0);
        if forgets && random.below(2) == 0 {
            disk.crash();
        }
    }
    let last = begin(&disk, &sender, log, remembers, settings(&mut random));
    let (mut t, counted) = last.expect("nothing fails now");
    let sent = send(5);
    t.tick().expect("nothing fails now");
    let (counted, sender) = (counted.lock().unwrap(), sender.lock().unwrap());
    assert!(counted.keys().copied().eq(0..sent), "{:?} of {sent}", counted.keys());
    for (line, count) in &*counted {
        let sent = if remembers { 1 } else { sender.sent[line] };
        assert!((1..=sent).contains(count), "{line} is there {count} times, and was sent {sent}");
    }
}

#[test]
fn a_wire() {
    if let Some(seed) = number("TIDEMILL_SEED") {
        return run(seed);
    }
    let count = number("TIDEMILL_SIMULATIONS").unwrap_or(20);
    (0..count).for_each(run);
    eprintln!("simulations of a wire: {count} seeds, 0 lost (TIDEMILL_SIMULATIONS={count})");
}
