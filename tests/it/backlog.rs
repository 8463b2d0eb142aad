//! A consumer that is far too slow: what waits is bounded and visible, and nothing is lost, since
//! the sender has to wait.

use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill::BLOCK_BYTES;
use tidemill::prelude::*;

use crate::child;
use crate::feed::DEADLINE;
use crate::process_memory::bytes_of;

/// Bytes of each line with its end.
const LINE_BYTES: usize = 1_024;

const LIMITS: (usize, usize) = (64, 4);

/// In a process of its own, for the memory is the process's.
#[test]
fn a_slow_consumer_keeps_its_memory() {
    if !child::is_child() {
        child::run("backlog::a_slow_consumer_keeps_its_memory", &[]);
        return;
    }
    let is_long = std::env::var_os("TIDEMILL_LONG").is_some();
    let duration = Duration::from_secs(if is_long { 60 } else { 2 });
    let (blocks, queued_batches) = LIMITS;
    let limits = Limits { blocks, queued_batches, ..Limits::default() };
    let ssc = StreamingContext::builder("slow").batch_interval(Duration::from_millis(20));
    let ssc = ssc.limits(limits).count_rows().threads(1).build().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let lines = ssc.socket_text_stream(&address).unwrap();
    let (is_over, received) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (is_fast, next) = (is_over.clone(), received.clone());
    lines.foreach_batch(move |batch, _| {
        for line in batch.iter() {
            assert_eq!(line.trim_start().parse::<u64>()?, next.fetch_add(1, Ordering::SeqCst));
            // About 10 MB/s, of the hundreds that come.
            if !is_fast.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        Ok(())
    });
    let stopped = is_over.clone();
    let sender = std::thread::spawn(move || {
        let mut to = BufWriter::new(server.accept().unwrap().0);
        let (mut sent, mut line) = (0u64, vec![b' '; LINE_BYTES]);
        line[LINE_BYTES - 1] = b'\n';
        while !stopped.load(Ordering::SeqCst) {
            let digits = sent.to_string();
            line[LINE_BYTES - 1 - digits.len()..LINE_BYTES - 1].copy_from_slice(digits.as_bytes());
            to.write_all(&line).unwrap();
            sent += 1;
        }
        to.flush().unwrap();
        (sent, to)
    });
    let before = resident_bytes();
    ssc.start().unwrap();
    let started = Instant::now();
    let (mut most, mut backlog) = (0, 0);
    // As long as it takes to fill most of the pool, and then for a while.
    while started.elapsed() < duration || backlog <= blocks / 2 {
        assert!(started.elapsed() < duration + DEADLINE, "only {backlog} blocks in use");
        std::thread::sleep(Duration::from_millis(10));
        most = most.max(resident_bytes().saturating_sub(before));
        let metrics = ssc.metrics();
        assert!(metrics.batches_queued <= queued_batches, "{metrics:?}");
        assert!(metrics.sources[0].blocks_in_use <= blocks, "{metrics:?}");
        backlog = backlog.max(metrics.sources[0].blocks_in_use);
    }
    is_over.store(true, Ordering::SeqCst);
    let (sent, connection) = sender.join().unwrap();
    while received.load(Ordering::SeqCst) < sent && started.elapsed() < duration + 2 * DEADLINE {
        std::thread::sleep(Duration::from_millis(10));
    }
    ssc.stop_gracefully();
    ssc.await_termination().unwrap();
    drop(connection);
    assert_eq!(received.load(Ordering::SeqCst), sent, "each line comes once, in order");
    assert_eq!(ssc.metrics().rows_processed(), Some(sent));
    let pool = blocks * BLOCK_BYTES;
    assert!(most <= pool + pool / 10, "{most} bytes, with a pool of {pool}");
}

/// Bytes of the process that are in memory and that it has written: pages of its code come and go
/// with what else the machine does. None on systems that do not say it.
fn resident_bytes() -> usize {
    match cfg!(target_os = "linux") {
        true => bytes_of("self", "RssAnon").expect("it runs") as usize,
        false => 0,
    }
}
