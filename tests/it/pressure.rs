//! Back-pressure and maxima: what is received too fast waits at the sender, what is too long is
//! cut, what is too much is refused; and nothing is lost.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{BLOCK_BYTES, Carry, ErrorKind, LineOptions, LongLine, SourceCounts};

use crate::child;
use crate::feed::{DEADLINE, Feed};
use crate::process_memory::bytes_of;

/// Gives numbered lines of a kilobyte, as fast as the blocks take them.
struct Numbers {
    next: u64,
    end: u64,
    received: Arc<AtomicU64>,
}

/// Bytes of each line with its end.
const LINE_BYTES: u64 = 1_024;

impl Receiver for Numbers {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while !into.is_full() && self.next < self.end {
            into.push_line(format!("{:>1$}", self.next, LINE_BYTES as usize - 1).as_bytes());
            self.received.fetch_add(LINE_BYTES, Ordering::SeqCst);
            self.next += 1;
        }
        Ok(if self.next < self.end { Received::More } else { Received::End })
    }
}

fn number(line: &str) -> u64 {
    line.trim_start().parse().unwrap()
}

#[test]
fn a_slow_consumer_slows_the_receiver() {
    const LINES: u64 = 20_000;
    let limits = Limits { blocks: 4, ..Limits::default() };
    let ssc = StreamingContext::builder("slow").batch_interval(Duration::from_millis(1));
    let ssc = ssc.limits(limits).threads(2).build().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let lines = Numbers { next: 0, end: LINES, received: received.clone() };
    let lines = ssc.receiver_stream(lines).unwrap();
    let (sender, batches) = sync_channel(1 << 16);
    let mut processed = 0;
    lines.foreach_batch(move |batch, time| {
        let rows: Vec<u64> = batch.iter().map(number).collect();
        if !rows.is_empty() {
            // The first time it is so slow that the pool surely runs empty.
            let lead = || received.load(Ordering::SeqCst) - processed;
            let deadline = DEADLINE.as_millis();
            for _ in 0..if processed == 0 { deadline } else { 3 } {
                if processed == 0 && lead() >= 3 * BLOCK_BYTES as u64 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if processed == 0 {
                assert!(lead() >= 3 * BLOCK_BYTES as u64, "the receiver goes on meanwhile");
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(lead() <= 5 * BLOCK_BYTES as u64, "{} bytes ahead", lead());
            processed += rows.len() as u64 * LINE_BYTES;
        }
        sender.send((time.millis(), rows))?;
        Ok(())
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let batches: Vec<(u64, Vec<u64>)> = batches.iter().collect();
    let times: Vec<u64> = batches.iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted_by(|left, right| left + 1 == *right), "no time is skipped: {times:?}");
    let rows = batches.iter().flat_map(|(_, rows)| rows.iter().copied());
    assert!(rows.eq(0..LINES), "each line comes once, in order");
}

/// The same where blocks are counted as they arrive, while an output keeps the loop from it.
#[test]
fn a_blocked_output_slows_the_receiver() {
    const LINES: u64 = 20_000;
    let limits = Limits { blocks: 2, ..Limits::default() };
    let builder = StreamingContext::builder("blocked").limits(limits).threads(2);
    let ssc = builder.batch_interval(Duration::from_millis(1)).build().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let lines = Numbers { next: 0, end: LINES, received: received.clone() };
    let counts = ssc.receiver_stream(lines).unwrap().split_whitespace().count_by_value();
    let (sender, distinct) = sync_channel(1 << 16);
    let mut counted = 0;
    counts.foreach_batch(move |batch, _| {
        counted += batch.iter().map(|(_, count)| count as u64).sum::<u64>();
        std::thread::sleep(Duration::from_millis(3));
        // Blocks of the next batches fill the pool; those of this one are counted.
        let lead = received.load(Ordering::SeqCst) - counted * LINE_BYTES;
        assert!(lead <= 3 * BLOCK_BYTES as u64, "{lead} bytes ahead");
        sender.send(batch.len() as u64)?;
        Ok(())
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    assert_eq!(distinct.iter().sum::<u64>(), LINES);
}

/// A bounded source does not wait for ticks: its batch closes when the pool is empty.
#[test]
fn bounded_input_larger_than_the_pool() {
    struct Bounded(Numbers);

    impl Receiver for Bounded {
        fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
            self.0.receive(into)
        }

        fn is_bounded(&self) -> bool {
            true
        }
    }

    const LINES: u64 = 10_000;
    for is_eager in [false, true] {
        let limits = Limits { blocks: 3, ..Limits::default() };
        let builder = StreamingContext::builder("bounded").limits(limits).threads(2);
        let ssc = builder.batch_interval(Duration::from_secs(3_600)).build().unwrap();
        let lines = Numbers { next: 0, end: LINES, received: Arc::default() };
        let lines = ssc.receiver_stream(Bounded(lines)).unwrap();
        let (sender, sums) = sync_channel(1 << 16);
        let counts = if is_eager {
            lines.count()
        } else {
            lines.map(|_| 1i64).reduce(|left, right| left + right)
        };
        counts.foreach_batch(move |batch, _| {
            sender.send(batch.iter().sum::<i64>())?;
            Ok(())
        });
        ssc.start().unwrap();
        assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
        let sums: Vec<i64> = sums.iter().collect();
        assert_eq!(sums.iter().sum::<i64>(), LINES as i64);
        // One, or two if the hour ends meanwhile.
        assert_eq!(is_eager, sums.len() <= 2, "{sums:?}");
    }
}

/// Batches that the program keeps hold their blocks, and reading stops until it lets go.
#[test]
fn batches_that_are_kept_hold_up_the_receiver() {
    const LINES: u64 = 8_000;
    let limits = Limits { blocks: 2, ..Limits::default() };
    let ssc = StreamingContext::builder("kept").batch_interval(Duration::from_millis(1));
    let ssc = ssc.limits(limits).build().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let lines = Numbers { next: 0, end: LINES, received: received.clone() };
    let kept: Arc<Mutex<VecDeque<Batch<String>>>> = Arc::default();
    let keeper = kept.clone();
    ssc.receiver_stream(lines).unwrap().foreach_batch(move |batch, _| {
        if !batch.is_empty() {
            keeper.lock().unwrap().push_back(batch.clone());
        }
        Ok(())
    });
    ssc.start().unwrap();
    let (mut rows, mut processed) = (Vec::new(), 0);
    while processed < LINES * LINE_BYTES {
        let Some(batch) = kept.lock().unwrap().pop_front() else {
            // It may end now, with a batch that has come meanwhile.
            let has_ended = ssc.await_termination_timeout(Duration::from_millis(1)).unwrap();
            assert!(!has_ended || !kept.lock().unwrap().is_empty());
            continue;
        };
        let ahead = received.load(Ordering::SeqCst) - processed;
        assert!(ahead <= 3 * BLOCK_BYTES as u64, "{ahead} bytes ahead");
        rows.extend(batch.iter().map(number));
        processed = rows.len() as u64 * LINE_BYTES;
    }
    assert!(rows.into_iter().eq(0..LINES));
    assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
}

/// Pushes more lines at a time than a block holds, without a look whether it is full.
struct Heedless {
    calls: u64,
    ends_at_once: bool,
    called: SyncSender<()>,
}

const HEEDLESS_LINES: u64 = 1_500;

impl Receiver for Heedless {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        if self.calls == 0 {
            return Ok(Received::Later(Duration::from_millis(1)));
        }
        for _ in 0..HEEDLESS_LINES {
            into.push_line(&[b'x'; LINE_BYTES as usize - 1]);
        }
        self.calls -= 1;
        self.called.send(()).unwrap();
        let is_last = self.ends_at_once && self.calls == 0;
        Ok(if is_last { Received::End } else { Received::More })
    }
}

/// Lines for which there is no block when the stop comes are in a batch all the same.
#[test]
fn a_graceful_stop_with_an_empty_pool() {
    let limits = Limits { blocks: 2, ..Limits::default() };
    let t = TestContext::with(StreamingContext::builder("stop").limits(limits)).unwrap();
    let (called, calls) = sync_channel(16);
    let heedless = Heedless { calls: 2, ends_at_once: false, called };
    let lines = t.context().receiver_stream(heedless).unwrap();
    let counts = t.output(&lines.map(|line| line.len() as i64));
    t.context().start().unwrap();
    for _ in 0..2 {
        calls.recv_timeout(DEADLINE).unwrap();
    }
    t.context().stop_gracefully();
    assert_eq!(counts.take().len() as u64, 2 * HEEDLESS_LINES);
}

/// The last lines wait for a block; the receiver that has said it is at its end is not called for
/// them.
#[test]
fn an_end_with_an_empty_pool() {
    let limits = Limits { blocks: 2, ..Limits::default() };
    let ssc = StreamingContext::builder("end").limits(limits);
    let ssc = ssc.batch_interval(Duration::from_millis(1)).build().unwrap();
    let (called, calls) = sync_channel(16);
    let heedless = Heedless { calls: 3, ends_at_once: true, called };
    let (sender, counts) = sync_channel(1 << 16);
    ssc.receiver_stream(heedless).unwrap().map(|_| 1i64).foreach_batch(move |batch, _| {
        sender.send(batch.len() as u64)?;
        Ok(())
    });
    ssc.start().unwrap();
    assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 3 * HEEDLESS_LINES);
    assert_eq!(calls.try_iter().count(), 3);
}

/// One line of so many bytes, and then a short one.
struct OneLine {
    left: u64,
    carry: Carry,
}

impl Receiver for OneLine {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        if self.left == 0 {
            into.finish(&mut self.carry);
            into.push_line(b"short");
            return Ok(Received::End);
        }
        let left = self.left;
        let read = into.fill(&mut self.carry, |room| {
            let count = left.min(room.len() as u64) as usize;
            room[..count].fill(b'x');
            if count as u64 == left {
                room[count - 1] = b'\n';
            }
            Ok(count)
        })?;
        self.left -= read.unwrap_or(0) as u64;
        Ok(Received::More)
    }
}

/// The most memory that this process has had, in bytes: without the pages of the program's own
/// file, of which the first use of any code brings some. `None` on systems that have no such file;
/// on one that has, a test that cannot measure fails.
fn memory_max() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let bytes = |line| bytes_of("self", line).expect("it runs");
    Some(bytes("VmHWM").saturating_sub(bytes("RssFile")))
}

/// 64 MiB; with `TIDEMILL_LONG`, 1 GiB.
#[test]
fn a_line_without_an_end() {
    if !child::is_child() {
        child::run("pressure::a_line_without_an_end", &[]);
        return;
    }
    let is_long = std::env::var_os("TIDEMILL_LONG").is_some();
    let bytes: u64 = if is_long { 1 << 30 } else { 64 << 20 };
    for long_line in [LongLine::Cut, LongLine::Reject] {
        let before = memory_max();
        let limits = Limits { blocks: 4, line_bytes: 100_000, ..Limits::default() };
        let ssc = StreamingContext::builder("long").limits(limits).threads(1);
        let ssc = ssc.batch_interval(Duration::from_millis(10)).build().unwrap();
        let receiver = OneLine { left: bytes, carry: Carry::default() };
        let options = LineOptions { long_line, ..LineOptions::default() };
        let lines = ssc.text_stream(receiver, options).unwrap();
        let (sender, rows) = sync_channel(16);
        lines.foreach_batch(move |batch, _| {
            batch.iter().try_for_each(|row| {
                assert!(row == "short" || row.bytes().all(|byte| byte == b'x'));
                sender.send(row.len())
            })?;
            Ok(())
        });
        ssc.start().unwrap();
        ssc.await_termination().unwrap();
        let mut counts = SourceCounts { bytes, ..SourceCounts::default() };
        match long_line {
            LongLine::Cut => {
                counts.lines_cut = 1;
                assert_eq!(rows.iter().collect::<Vec<_>>(), [100_000, 5]);
            }
            LongLine::Reject => {
                counts.lines_rejected = 1;
                assert_eq!(rows.iter().collect::<Vec<_>>(), [5]);
            }
            LongLine::SplitAtWhitespace | LongLine::SplitAt(_) => unreachable!("not asked for"),
        }
        assert_eq!(ssc.source_counts(), [counts]);
        if let (Some(before), Some(after)) = (before, memory_max()) {
            // The system counts in strides, so that a maximum may even seem to shrink.
            let grown = after.saturating_sub(before);
            assert!(grown <= 16 << 20, "memory grew from {before} to {after} bytes");
        }
    }
}

#[test]
fn lines_around_the_maximum() {
    let check_lines = |text: &str, long_line, expected: &[&str], cut: u64, rejected: u64| {
        let limits = Limits { line_bytes: 5, ..Limits::default() };
        let mut t = TestContext::with(StreamingContext::builder("max").limits(limits)).unwrap();
        let (feed, feeder) = Feed::new();
        let options = LineOptions { long_line, ..LineOptions::default() };
        let lines = t.context().text_stream(feed, options).unwrap();
        let output = t.output(&lines);
        t.context().start().unwrap();
        feeder.deliver([text]);
        feeder.deliver(text.as_bytes().chunks(1).map(<[u8]>::to_vec));
        t.tick().unwrap();
        assert_eq!(output.take(), expected.repeat(2), "{text:?}");
        let counts = t.context().source_counts()[0];
        assert_eq!((counts.lines_cut, counts.lines_rejected), (2 * cut, 2 * rejected), "{text:?}");
        assert_eq!(counts.bytes, 2 * text.len() as u64);
    };
    let all = ["12345", "1234", ""];
    check_lines("12345\r\n1234\n\n", LongLine::Cut, &all, 0, 0);
    check_lines("12345\r\n1234\n\n", LongLine::Reject, &all, 0, 0);
    check_lines("a\n123456\nb\n", LongLine::Cut, &["a", "12345", "b"], 1, 0);
    check_lines("a\n123456\nb\n", LongLine::Reject, &["a", "b"], 0, 1);
    // No half character stays.
    check_lines("1234é\n", LongLine::Cut, &["1234"], 1, 0);
}

#[test]
fn more_rows_than_a_queue_holds() {
    let limits = Limits { queued_rows: 10, ..Limits::default() };
    let mut t = TestContext::with(StreamingContext::builder("queue").limits(limits)).unwrap();
    let numbers = t.input::<i64>();
    let output = t.output(numbers.stream());
    let check_refused = |rows: usize, held: usize| {
        let error = numbers.push(vec![0i64; rows]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let text = format!(
            "a queue stream of {held} rows takes no {rows} more: the maximum is 10 \
             (Limits::queued_rows)"
        );
        assert_eq!(error.to_string(), text);
    };
    check_refused(11, 0);
    numbers.push(0..4i64).unwrap();
    numbers.push(4..10i64).unwrap();
    check_refused(1, 10);
    t.tick().unwrap();
    check_refused(5, 6);
    numbers.push(10..14i64).unwrap();
    for _ in 0..2 {
        t.tick().unwrap();
    }
    assert_eq!(output.take(), (0..14).collect::<Vec<_>>());
    // Batches without rows are no way around it.
    for _ in 0..5 {
        numbers.push([0i64; 0]).unwrap();
        numbers.push_absent().unwrap();
    }
    check_refused(0, 0);
    assert!(numbers.push_absent().is_err());
}
