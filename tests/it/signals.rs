//! Stops by signal: what was received is processed, and the process ends well and soon.

use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill::prelude::*;

use crate::child;

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
    let ssc = StreamingContext::builder("signals")
        .batch_interval(Duration::from_millis(100))
        .threads(1)
        .build()
        .unwrap();
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

#[test]
fn signals_lose_nothing() {
    if child::is_child() {
        return count_until_a_signal();
    }
    let times = if std::env::var_os("TIDEMILL_LONG").is_some() { 200 } else { 5 };
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for turn in 0..times {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["signals::signals_lose_nothing", "--exact", "--test-threads=1"])
            .env("TIDEMILL_TEST_CHILD", "1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(turn);
        // Not before its handlers stand.
        std::thread::sleep(Duration::from_millis(300 + (random >> 33) % 400));
        let name = if turn % 2 == 0 { "-TERM" } else { "-INT" };
        let kill = Command::new("kill").args([name, &process.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let sent = Instant::now();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if sent.elapsed() > Duration::from_secs(3) {
                process.kill().unwrap();
                panic!("the process of turn {turn} does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "turn {turn}: {status}");
    }
}
