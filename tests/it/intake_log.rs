//! The intake log: what a source that cannot go back was told is safe survives a stop at once, a
//! crash and a SIGKILL, and is in the state once.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{ErrorKind, IntakeLog, Listen, TestOutput};

use crate::child;
use crate::feed::{DEADLINE, wait_until};

/// A sender with a memory: it gives lines, and keeps each until it is told that it is safe. Clones
/// are the same one, which outlives the program.
#[derive(Clone, Default)]
struct Sender {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// Lines that are not known to be safe, from the one with this number on.
    lines: VecDeque<String>,
    first: u64,
}

impl Sender {
    fn send(&self, lines: impl IntoIterator<Item = u64>) {
        self.kept.lock().unwrap().lines.extend(lines.into_iter().map(|line| line.to_string()));
    }

    /// How many lines are safe.
    fn safe(&self) -> u64 {
        self.kept.lock().unwrap().first
    }

    /// A connection to it, which begins with what is not safe.
    fn connect(&self) -> Connection {
        let next = self.safe();
        Connection { sender: self.clone(), next, due: next, is_ticked: false }
    }
}

struct Connection {
    sender: Sender,
    next: u64,
    /// Lines before this one belong to the batch.
    due: u64,
    is_ticked: bool,
}

impl Receiver for Connection {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let kept = self.sender.kept.lock().unwrap();
        while self.next < self.due {
            if into.is_full() {
                return Ok(Received::More);
            }
            into.push_line(kept.lines[(self.next - kept.first) as usize].as_bytes());
            self.next += 1;
        }
        Ok(Received::Later(Duration::from_secs(1)))
    }

    /// All that was sent before the tick, so that a test knows which batch has it.
    fn tick(&mut self, _time: tidemill::Time) -> io::Result<bool> {
        let kept = self.sender.kept.lock().unwrap();
        self.due = kept.first + kept.lines.len() as u64;
        self.is_ticked = true;
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some(self.next.to_le_bytes().to_vec())
    }

    fn can_resume(&self) -> bool {
        false
    }

    fn acknowledge(&mut self, position: &[u8]) {
        let mut kept = self.sender.kept.lock().unwrap();
        let position = u64::from_le_bytes(position.try_into().unwrap());
        while kept.first < position {
            kept.lines.pop_front().unwrap();
            kept.first += 1;
        }
    }

    fn name(&self) -> String {
        "sender".to_owned()
    }
}

/// How often each line came.
fn counts(
    sender: &Sender,
    directory: &Path,
    every: u32,
    log: Option<IntakeLog>,
) -> (TestContext, TestOutput<(String, i64)>) {
    let t = TestContext::new().unwrap();
    let ssc = t.context();
    ssc.checkpoint(directory, every);
    if let Some(log) = log {
        ssc.intake_log(log);
    }
    let lines = ssc.receiver_stream(sender.connect()).unwrap();
    let counts =
        lines.count_by_value().update_state_by_key("counts.v1", |counts, total: Option<i64>| {
            Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
        });
    let counts = t.output(&counts);
    (t, counts)
}

fn once(lines: std::ops::Range<u64>) -> Vec<(String, i64)> {
    let mut all: Vec<_> = lines.map(|line| (line.to_string(), 1)).collect();
    all.sort();
    all
}

/// What is in the log and in no checkpoint comes again; what is in both, once.
#[test]
fn a_crash() {
    for log in [IntakeLog::synced(), IntakeLog::group_commit(Duration::from_millis(5))] {
        let directory = tempfile::tempdir().unwrap();
        let sender = Sender::default();
        for life in 0..5 {
            let (mut t, counted) = counts(&sender, directory.path(), 2, Some(log));
            for tick in 0..3 {
                let first = life * 300 + tick * 100;
                sender.send(first..first + 100);
                t.tick().unwrap();
                // What was in no checkpoint is in the first batch.
                let last = counted.take_batches().pop().unwrap();
                assert_eq!(sorted(last), once(0..first + 100), "life {life}, tick {tick}");
            }
            wait_until("all is safe", || sender.safe() == (life + 1) * 300);
            let replayed = t.context().metrics().sources[0].log.unwrap().blocks_replayed;
            assert_eq!(replayed, u64::from(life > 0), "the block of the third tick");
            t.context().stop();
        }
    }
}

fn sorted(mut pairs: Vec<(String, i64)>) -> Vec<(String, i64)> {
    pairs.sort();
    pairs
}

/// Without the log, lines are safe with the checkpoint that has them.
#[test]
fn only_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let sender = Sender::default();
    let (mut t, counted) = counts(&sender, directory.path(), 2, None);
    for tick in 0..3 {
        sender.send(tick * 10..tick * 10 + 10);
        t.tick().unwrap();
    }
    assert_eq!(sorted(counted.take_batches().pop().unwrap()), once(0..30));
    assert_eq!(sender.safe(), 20);
    t.context().stop();
    let (mut t, counted) = counts(&sender, directory.path(), 2, None);
    t.tick().unwrap();
    assert_eq!(sorted(counted.take_batches().pop().unwrap()), once(0..30));
}

#[test]
fn refusals() {
    let sender = Sender::default();
    let t = TestContext::new().unwrap();
    let lines = t.context().receiver_stream(sender.connect()).unwrap();
    lines.print(1);
    t.context().intake_log(IntakeLog::synced());
    let error = t.context().start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("call checkpoint(directory, every)"), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let window = IntakeLog::group_commit(Duration::from_secs(61));
    let (mut t, _counted) = counts(&sender, directory.path(), 1, Some(window));
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("is 61s, but must be between"), "{error}");

    // A log that nobody would read.
    let (mut t, _counted) = counts(&sender, directory.path(), 100, Some(IntakeLog::synced()));
    sender.send(0..10);
    t.tick().unwrap();
    wait_until("it is safe", || sender.safe() == 10);
    t.context().stop();
    let (mut t, _counted) = counts(&sender, directory.path(), 100, None);
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("has what is in no checkpoint"), "{error}");
    // It has not been touched.
    let (mut t, counted) = counts(&sender, directory.path(), 100, Some(IntakeLog::synced()));
    t.tick().unwrap();
    assert_eq!(sorted(counted.take()), once(0..10));
}

/// A block that is damaged is lost, alone, wherever it is: the start fails, unless that is
/// accepted, and then the program is told.
#[test]
fn damage() {
    damaged_at(b"15\n", once(10..20), "blocks lost before block 3: 1");
    damaged_at(b"25\n", once(20..30), "blocks lost at its end: 1");
}

/// With a bit changed where the log has `found` the rows of `lost` are.
fn damaged_at(found: &[u8], lost: Vec<(String, i64)>, what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let sender = Sender::default();
    let (mut t, _counted) = counts(&sender, directory.path(), 100, Some(IntakeLog::synced()));
    for tick in 0..3 {
        sender.send(tick * 10..tick * 10 + 10);
        t.tick().unwrap();
    }
    wait_until("it is safe", || sender.safe() == 30);
    t.context().stop();
    let files = std::fs::read_dir(directory.path().join("intake")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    // Beside it is what says up to where it was synced.
    let files = files.filter(|path| path.extension().is_none_or(|it| it != "marks"));
    let [file] = &files.collect::<Vec<_>>()[..] else { panic!("the log is in one file") };
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(3).position(|bytes| bytes == found).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let (mut t, counted) = counts(&sender, directory.path(), 100, Some(IntakeLog::synced()));
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("1 blocks that were acknowledged are lost"), "{error}");
    assert!(counted.take().is_empty());
    drop(t);
    let accepting = Some(IntakeLog::synced().accept_loss());
    let (mut t, counted) = counts(&sender, directory.path(), 100, accepting);
    // The tick may fail with it, or whoever awaits afterwards.
    let mut told = t.tick();
    let whole = once(0..30).into_iter().filter(|row| !lost.contains(row)).collect();
    assert_eq!(sorted(counted.take()), sorted(whole));
    wait_until("it is told", || {
        if told.is_ok() {
            told = t.context().await_termination_timeout(Duration::ZERO).map(drop);
        }
        told.is_err()
    });
    let error = told.unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
    assert_eq!(t.context().metrics().sources[0].log.unwrap().blocks_lost, 1);
}

/// What a checkpoint alone has kept for a sender is gone with that: a start that falls back says
/// so.
#[test]
fn what_was_acknowledged_by_a_damaged_checkpoint_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let sender = Sender::default();
    let (mut t, _counted) = counts(&sender, directory.path(), 1, None);
    for tick in 0..4 {
        sender.send(tick * 10..tick * 10 + 10);
        t.tick().unwrap();
    }
    assert_eq!(sender.safe(), 40);
    t.context().stop();
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().contains("checkpoint-"));
    let newest = paths.iter().max().unwrap();
    std::fs::write(newest, "tide").unwrap();
    let (mut t, counted) = counts(&sender, directory.path(), 1, None);
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let message = error.to_string();
    assert!(message.contains("checkpoint 4 is damaged, and 3 is used"), "{message}");
    assert!(message.contains("\"sender\""), "{message}");
    assert!(counted.take().is_empty());
    drop(t);
    let accepting = Some(IntakeLog::synced().accept_loss());
    let (mut t, counted) = counts(&sender, directory.path(), 1, accepting);
    t.tick().unwrap();
    assert_eq!(sorted(counted.take()), sorted(once(0..30)));
}

/// Gives lines without an end, and as fast as it is asked.
struct Endless(u64);

impl Receiver for Endless {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while !into.is_full() {
            into.push_line(format!("{:<1000}", self.0).as_bytes());
            self.0 += 1;
        }
        Ok(Received::More)
    }
}

/// A log that is full holds its source up until a checkpoint makes some of it needless, which is
/// then made after the next batch, however seldom there are others.
#[test]
fn a_full_log() {
    let maximum = 64 << 20;
    let run = |every| {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { intake_log_bytes: maximum, blocks: 4, ..Limits::default() };
        let ssc = StreamingContext::builder("full").batch_interval(Duration::from_millis(20));
        let ssc = ssc.limits(limits).build().unwrap();
        ssc.checkpoint(directory.path(), every);
        ssc.intake_log(IntakeLog::group_commit(Duration::from_secs(60)));
        let next = Arc::new(Mutex::new(0u64));
        ssc.receiver_stream(Endless(0)).unwrap().foreach_batch(move |batch, _| {
            let mut next = next.lock().unwrap();
            for line in batch.iter() {
                assert_eq!(line.split(' ').next(), Some(next.to_string().as_str()));
                *next += 1;
            }
            Ok(())
        });
        ssc.start().unwrap();
        (ssc, directory)
    };
    let log_bytes = |ssc: &StreamingContext| ssc.metrics().sources[0].log.unwrap().bytes;
    let bytes_max = maximum + (4 << 20) + (1 << 20);

    for every in [1, u32::MAX] {
        let (ssc, _directory) = run(every);
        wait_until("more comes than the log holds", || {
            assert!(log_bytes(&ssc) < bytes_max, "{} bytes", log_bytes(&ssc));
            ssc.metrics().bytes_processed() > 3 * maximum
        });
        ssc.stop();
        ssc.await_termination().unwrap();
    }
}

/// A client reads how much of its is safe; one that has ended hears the rest.
#[test]
fn receipts() {
    let directory = tempfile::tempdir().unwrap();
    let ssc = StreamingContext::builder("receipts").batch_interval(Duration::from_millis(10));
    let ssc = ssc.build().unwrap();
    let listen = Listen::bind(":0").unwrap().acknowledging().ends_with_last();
    let address = listen.local_addr();
    ssc.receiver_stream(listen).unwrap().count().foreach_batch(|_, _| Ok(()));
    ssc.checkpoint(directory.path(), 1000);
    ssc.intake_log(IntakeLog::synced());
    ssc.start().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let other = TcpStream::connect(address).unwrap();
    let mut receipts = BufReader::new(client.try_clone().unwrap());
    let mut receipt = || {
        let mut line = String::new();
        receipts.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    // Not of a line that has no end yet.
    client.write_all(b"one\ntw").unwrap();
    assert_eq!(receipt(), "4");
    client.write_all(b"o\n").unwrap();
    assert_eq!(receipt(), "8");
    client.write_all(b"the last").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(receipt(), "16");
    // And then it is disconnected.
    assert_eq!(receipt(), "");
    drop(other);
    ssc.await_termination().unwrap();
}

/// What the child does: counts lines that clients send, with all means not to lose one.
fn serve(directory: &Path) {
    let ssc = StreamingContext::builder("server")
        .batch_interval(Duration::from_millis(10))
        .threads(1)
        .build()
        .unwrap();
    let listen = Listen::bind(":0").unwrap().acknowledging();
    let address = listen.local_addr().to_string();
    let lines = ssc.receiver_stream(listen).unwrap();
    let counts =
        lines.count_by_value().update_state_by_key("counts.v1", |counts, total: Option<i64>| {
            Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
        });
    let totals = directory.join("totals");
    counts.foreach_batch(move |batch, _| {
        let mut text = String::new();
        for (line, count) in batch.iter() {
            text.push_str(&format!("{line} {count}\n"));
        }
        std::fs::write(&totals, text)?;
        Ok(())
    });
    ssc.checkpoint(directory.join("state"), 3);
    ssc.intake_log(IntakeLog::synced());
    #[cfg(feature = "signals")]
    ssc.stop_gracefully_on_signals().unwrap();
    ssc.start().unwrap();
    // A name that is whole or not there.
    std::fs::write(directory.join("address.new"), address).unwrap();
    std::fs::rename(directory.join("address.new"), directory.join("address")).unwrap();
    ssc.await_termination().unwrap();
}

const DIRECTORY: &str = "TIDEMILL_TEST_DIRECTORY";

/// The server is killed at random moments while a client sends lines with numbers, keeps what it
/// was not told is safe, and sends that again: each number is counted, and those that it was told
/// of before the connection broke, once.
#[test]
#[cfg(all(unix, feature = "signals"))]
fn kills() {
    if child::is_child() {
        return serve(Path::new(&std::env::var(DIRECTORY).unwrap()));
    }
    let directory = tempfile::tempdir().unwrap();
    let kills = if std::env::var_os("TIDEMILL_LONG").is_some() { 50 } else { 5 };
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    // Lines that were sent and are not known to be safe, and the first number of those to come.
    let (mut kept, mut next) = (VecDeque::<u64>::new(), 0);
    let mut sent_again = BTreeMap::<u64, i64>::new();
    for kill in 0..=kills {
        let (mut server, mut client) = start(directory.path());
        client.set_nonblocking(true).unwrap();
        // What the last connection left open goes first.
        let mut unsent: VecDeque<u64> = kept.clone();
        unsent.iter().for_each(|&number| *sent_again.entry(number).or_default() += 1);
        if kill == kills {
            // Once it is safe, so is all that comes from the log before it.
            unsent.push_back(next);
            kept.push_back(next);
            next += 1;
        }
        let (mut safe, mut told, mut line) = (0, Vec::new(), Vec::new());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill);
        let lasts = Duration::from_millis(20 + (random >> 33) % 150);
        let started = Instant::now();
        let is_last = kill == kills;
        loop {
            if !is_last && started.elapsed() > lasts {
                break;
            }
            if is_last && unsent.is_empty() && kept.is_empty() && line.is_empty() {
                break;
            }
            assert!(started.elapsed() < DEADLINE, "{} lines are not safe", kept.len());
            if line.is_empty() {
                if unsent.is_empty() && !is_last {
                    unsent.push_back(next);
                    kept.push_back(next);
                    next += 1;
                }
                if let Some(number) = unsent.pop_front() {
                    line = format!("{number}\n").into_bytes();
                }
            }
            match client.write(&line) {
                Ok(count) => drop(line.drain(..count)),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            let mut bytes = [0; 4096];
            match io::Read::read(&mut client, &mut bytes) {
                Ok(count) => told.extend_from_slice(&bytes[..count]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            while let Some(end) = told.iter().position(|&byte| byte == b'\n') {
                let receipt: Vec<u8> = told.drain(..=end).collect();
                let receipt: usize = std::str::from_utf8(&receipt).unwrap().trim().parse().unwrap();
                while safe < receipt {
                    let number = kept.pop_front().expect("no more is safe than was sent");
                    safe += number.to_string().len() + 1;
                }
                assert_eq!(safe, receipt, "receipts cover whole lines");
            }
        }
        if is_last {
            let pid = server.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            assert!(server.wait().unwrap().success());
        } else {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
    assert!(next > 0);
    let totals = std::fs::read_to_string(directory.path().join("totals")).unwrap();
    let totals: BTreeMap<u64, i64> = totals
        .lines()
        .map(|line| {
            let (number, count) = line.split_once(' ').unwrap();
            (number.parse().unwrap(), count.parse().unwrap())
        })
        .collect();
    for number in 0..next {
        let count = totals.get(&number).copied().unwrap_or(0);
        let again = sent_again.get(&number).copied().unwrap_or(0);
        assert!(count >= 1, "line {number} of {next} is lost");
        assert!(
            count <= 1 + again,
            "line {number} is there {count} times, and was sent {again} more"
        );
    }
    assert_eq!(totals.len() as u64, next);
}

/// A server over what its directory has, and a connection to it.
#[cfg(all(unix, feature = "signals"))]
fn start(directory: &Path) -> (Child, TcpStream) {
    let address = directory.join("address");
    let _ = std::fs::remove_file(&address);
    let server = Command::new(std::env::current_exe().unwrap())
        .args(["intake_log::kills", "--exact", "--test-threads=1"])
        .env("TIDEMILL_TEST_CHILD", "1")
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the server listens", || address.exists());
    let address = std::fs::read_to_string(address).unwrap();
    (server, TcpStream::connect(address).unwrap())
}
