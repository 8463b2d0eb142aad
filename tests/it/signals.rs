//! Stops by signal: what was received is processed, and the process ends well and soon.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill::prelude::*;

use crate::child;
use crate::feed::DEADLINE;
use crate::lives::{self, Lives};
use crate::random::Random;

const INTERVAL: Duration = Duration::from_millis(100);

/// Gives numbers from 0 up, a few at a time.
struct Numbers {
    given: Arc<AtomicU64>,
}

impl Receiver for Numbers {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        for _ in 0..10 {
            if !into.is_full() {
                let id = self.given.fetch_add(1, Ordering::SeqCst);
                into.push_line(id.to_string().as_bytes());
            }
        }
        Ok(Received::Later(Duration::from_millis(1)))
    }
}

/// What the child does: counts until a signal, and then says whether nothing is missing.
fn count_until_a_signal() {
    let ssc =
        StreamingContext::builder("signals").batch_interval(INTERVAL).threads(1).build().unwrap();
    ssc.stop_gracefully_on_signals().unwrap();
    let (given, counted) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let lines = ssc.receiver_stream(Numbers { given: given.clone() }).unwrap();
    let seen = counted.clone();
    lines.foreach_batch(move |batch, _| {
        for line in batch.iter() {
            // In their order, so that none is there twice or not at all.
            assert_eq!(line.parse::<u64>()?, seen.fetch_add(1, Ordering::SeqCst));
        }
        Ok(())
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    assert_eq!(counted.load(Ordering::SeqCst), given.load(Ordering::SeqCst));
}

/// How many stops there are.
fn times() -> usize {
    if std::env::var_os("TIDEMILL_LONG").is_some() { 200 } else { 5 }
}

/// Stops processes by signals.
#[derive(Default)]
struct Stops {
    ended: usize,
    late: usize,
}

impl Stops {
    fn stop(&mut self, mut process: Child, interval: Duration) {
        let name = if self.ended.is_multiple_of(2) { "-TERM" } else { "-INT" };
        let kill = Command::new("kill").args([name, &process.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let sent = Instant::now();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if sent.elapsed() > DEADLINE {
                process.kill().unwrap();
                panic!("the process of stop {} does not end", self.ended);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "stop {}: {status}", self.ended);
        self.ended += 1;
        self.late += usize::from(sent.elapsed() > interval + Duration::from_secs(2));
    }

    /// A machine with much else to do may be late now and then.
    fn check(&self) {
        assert!(self.late <= self.ended / 10, "{} of {} stops were late", self.late, self.ended);
    }
}

#[test]
fn signals_lose_nothing() {
    if child::is_child() {
        return count_until_a_signal();
    }
    let (mut random, mut stops) = (Random::new(1), Stops::default());
    for _ in 0..times() {
        let mut command = child::command("signals::signals_lose_nothing");
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        // Not before its handlers stand.
        std::thread::sleep(Duration::from_millis(300 + random.below(400) as u64));
        stops.stop(process, INTERVAL);
    }
    stops.check();
}

/// What was ignored when the process started stays ignored; the other signal stops it.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    const TEST: &str = "signals::a_signal_that_is_ignored_stays_ignored";
    if child::is_child() {
        let ssc = StreamingContext::builder("deaf").batch_interval(INTERVAL).threads(1);
        let ssc = ssc.build().unwrap();
        ssc.stop_gracefully_on_signals().unwrap();
        let lines = ssc.receiver_stream(Numbers { given: Arc::default() }).unwrap();
        lines.foreach_batch(|_, time| {
            eprintln!("a batch at {time}");
            Ok(())
        });
        ssc.start().unwrap();
        return ssc.await_termination().unwrap();
    }
    let own = child::command(TEST);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$0\" \"$@\""]).arg(own.get_program());
    command.args(own.get_args()).envs(own.get_envs().filter_map(|(name, v)| Some((name, v?))));
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut batches = lines.map(Result::unwrap).filter(|line| line.starts_with("a batch"));
    batches.next().expect("it runs");
    let send = |name: &str| {
        let sent = Command::new("kill").args([name, &process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    send("-INT");
    assert_eq!(batches.by_ref().take(10).count(), 10, "it runs on");
    send("-TERM");
    batches.for_each(drop);
    assert!(process.wait().unwrap().success());
}

/// With a state, a window and a sink: whatever moment a stop comes at, each line counts once.
#[test]
fn stops_and_restarts() {
    if child::is_child() {
        return lives::live();
    }
    let (mut random, mut stops) = (Random::new(2), Stops::default());
    let mut lives = Lives::new("signals::stops_and_restarts");
    for _ in 0..times() {
        lives.append(&mut random);
        let process = lives.start();
        for _ in 0..random.below(3) {
            std::thread::sleep(Duration::from_millis(random.below(30) as u64));
            lives.append(&mut random);
        }
        stops.stop(process, lives::INTERVAL);
    }
    stops.check();
    lives.finish();
}
