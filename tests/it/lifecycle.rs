//! The life of a streaming context: Spark's own cases, with these differences on purpose: any
//! number of contexts may be active in a process, and a misuse of a stream after the start surfaces
//! from `await_termination`, since the stream's methods have no result.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ContextState, ErrorKind, QueueHandle, Result};

use crate::feed::{DEADLINE, Feed, Feeder};
use crate::panics::panic_on_purpose;

const TICK: Duration = Duration::from_millis(1);

/// A context with a batch each millisecond.
fn context() -> StreamingContext {
    StreamingContext::builder("life").batch_interval(TICK).threads(2).build().unwrap()
}

/// A context with a source that is never at its end, and an output.
fn running() -> (StreamingContext, DStream<i64>, QueueHandle<i64>) {
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    numbers.foreach_batch(|_, _| Ok(()));
    (ssc, numbers, queue)
}

#[track_caller]
fn check_error(result: Result<()>, kind: ErrorKind, text: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

/// What an output says, one message at a time.
fn channel<T>() -> (SyncSender<T>, Receiver<T>) {
    sync_channel(1 << 16)
}

#[test]
fn states() {
    let (ssc, _numbers, _queue) = running();
    assert_eq!(ssc.state(), ContextState::Initialized);
    ssc.start().unwrap();
    assert_eq!(ssc.state(), ContextState::Active);
    ssc.stop();
    assert_eq!(ssc.state(), ContextState::Stopped);
}

#[test]
fn start_twice() {
    let (ssc, _numbers, _queue) = running();
    ssc.start().unwrap();
    ssc.start().unwrap();
    assert_eq!(ssc.state(), ContextState::Active);
    ssc.stop();
}

#[test]
fn stop_twice() {
    for stop in [StreamingContext::stop, StreamingContext::stop_gracefully] {
        let (ssc, _numbers, _queue) = running();
        ssc.start().unwrap();
        stop(&ssc);
        stop(&ssc);
        ssc.stop();
        assert_eq!(ssc.state(), ContextState::Stopped);
    }
}

#[test]
fn stop_before_start() {
    for stop in [StreamingContext::stop, StreamingContext::stop_gracefully] {
        let (ssc, _numbers, _queue) = running();
        stop(&ssc);
        assert_eq!(ssc.state(), ContextState::Stopped);
        ssc.await_termination().unwrap();
    }
}

#[test]
fn start_after_stop() {
    let (ssc, _numbers, _queue) = running();
    ssc.stop();
    check_error(ssc.start(), ErrorKind::State, "start it again after it was stopped");
    let (ssc, _numbers, _queue) = running();
    ssc.start().unwrap();
    ssc.stop();
    check_error(ssc.start(), ErrorKind::State, "start it again after it was stopped");
    assert_eq!(ssc.state(), ContextState::Stopped);
}

#[test]
fn start_without_an_output() {
    let ssc = context();
    let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
    let _unused = numbers.map(|number| number + 1);
    let text = "no output operations registered, so nothing to execute";
    check_error(ssc.start(), ErrorKind::State, text);
    assert_eq!(ssc.state(), ContextState::Stopped);
    ssc.await_termination().unwrap();
}

#[test]
fn no_new_sources_after_the_start() {
    let check_sources = |ssc: &StreamingContext, text: &str| {
        check_error(ssc.queue_stream::<i64>().map(drop), ErrorKind::State, text);
        check_error(ssc.receiver_stream(Feed::new().0).map(drop), ErrorKind::State, text);
        check_error(ssc.socket_text_stream("127.0.0.1:1").map(drop), ErrorKind::State, text);
    };
    let (ssc, _numbers, _queue) = running();
    ssc.start().unwrap();
    check_sources(&ssc, "add a source after its start is not supported");
    ssc.stop();
    check_sources(&ssc, "add a source after its stop is not supported");
    assert_eq!(ssc.source_counts(), []);
}

#[test]
fn no_new_streams_and_outputs_after_the_start() {
    let (ssc, numbers, _queue) = running();
    ssc.start().unwrap();
    let after_start = "after its start is not supported";
    numbers.map(|number| number + 1);
    check_error(ssc.await_termination(), ErrorKind::State, &format!("add a stream {after_start}"));
    numbers.foreach_batch(|_, _| panic!("it must not run"));
    let text = format!("add an output operation {after_start}");
    check_error(ssc.await_termination(), ErrorKind::State, &text);
    // Nothing has happened to what runs.
    assert!(!ssc.await_termination_timeout(Duration::ZERO).unwrap());
    ssc.stop();
    numbers.count();
    check_error(ssc.await_termination(), ErrorKind::State, "add a stream after its stop");
    numbers.print(1);
    check_error(
        ssc.await_termination(),
        ErrorKind::State,
        "add an output operation after its stop",
    );
    ssc.await_termination().unwrap();
}

#[test]
fn any_number_of_contexts() {
    let sum = Arc::new(AtomicU64::new(0));
    let start = |number: i64| {
        let ssc = context();
        let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
        let sum = sum.clone();
        numbers.count_by_value().foreach_batch(move |batch, _| {
            let rows = batch.iter().map(|(number, count)| (number * count) as u64);
            sum.fetch_add(rows.sum(), Ordering::SeqCst);
            Ok(())
        });
        ssc.start().unwrap();
        queue.push([number; 3]).unwrap();
        (ssc, queue)
    };
    let contexts: Vec<_> = (1..=20).map(start).collect();
    for (ssc, _) in &contexts {
        assert_eq!(ssc.state(), ContextState::Active);
    }
    for (ssc, queue) in contexts {
        drop(queue);
        ssc.await_termination().unwrap();
    }
    assert_eq!(sum.load(Ordering::SeqCst), 3 * (1..=20).sum::<u64>());
}

#[test]
fn await_with_a_timeout() {
    let (ssc, _numbers, _queue) = running();
    ssc.start().unwrap();
    assert!(!ssc.await_termination_timeout(Duration::ZERO).unwrap());
    assert!(!ssc.await_termination_timeout(Duration::from_millis(20)).unwrap());
    let stopper = ssc.clone();
    let stopping = thread::spawn(move || stopper.stop());
    assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
    stopping.join().unwrap();
    assert!(ssc.await_termination_timeout(Duration::ZERO).unwrap());
    ssc.await_termination().unwrap();
}

#[test]
fn await_on_other_threads_returns_at_the_stop() {
    let (ssc, _numbers, _queue) = running();
    ssc.start().unwrap();
    let (sender, receiver) = channel();
    for _ in 0..3 {
        let (ssc, sender) = (ssc.clone(), sender.clone());
        thread::spawn(move || sender.send(ssc.await_termination().map(|()| ssc.state())));
    }
    assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err(), "it runs");
    ssc.stop();
    for _ in 0..3 {
        assert_eq!(receiver.recv_timeout(DEADLINE).unwrap().unwrap(), ContextState::Stopped);
    }
}

/// Whoever awaits is told of a failure; the batches go on, and so may the awaiter.
#[test]
fn errors_of_batches_surface_while_later_batches_go_on() {
    let check_failure = |build: fn(&DStream<String>) -> DStream<String>, text: &str| {
        let ssc = context();
        let (feed, feeder) = Feed::new();
        let (sender, receiver) = channel();
        build(&ssc.receiver_stream(feed).unwrap()).foreach_batch(move |batch, _| {
            batch.to_vec().into_iter().try_for_each(|row| sender.send(row))?;
            Ok(())
        });
        ssc.start().unwrap();
        for round in ["first", "second"] {
            feeder.deliver(["bad\n"]);
            check_error(ssc.await_termination(), ErrorKind::Closure, text);
            assert_eq!(ssc.state(), ContextState::Active);
            feeder.deliver([format!("{round}\n")]);
            assert_eq!(receiver.recv_timeout(DEADLINE).unwrap(), round);
        }
        assert!(!ssc.await_termination_timeout(Duration::ZERO).unwrap(), "each is told once");
        ssc.stop();
        ssc.await_termination().unwrap();
    };
    fn good(line: &str) -> String {
        if line == "bad" {
            panic_on_purpose();
        }
        line.to_owned()
    }
    check_failure(|lines| lines.map(good), "operator map panicked: on purpose");
    check_failure(
        |lines| {
            lines.transform(|batch, _| {
                if batch.iter().any(|line| line == "bad") {
                    return Err("on purpose".into());
                }
                Ok(batch)
            })
        },
        "operator transform: the closure failed: on purpose",
    );
}

/// An error that nobody awaited in time is not lost.
#[test]
fn an_error_surfaces_after_the_end() {
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    numbers.foreach_batch(|_, _| Err("on purpose".into()));
    queue.push([1i64]).unwrap();
    drop(queue);
    ssc.start().unwrap();
    while ssc.state() != ContextState::Stopped {
        thread::yield_now();
    }
    check_error(ssc.await_termination(), ErrorKind::Closure, "on purpose");
    ssc.await_termination().unwrap();
}

#[test]
fn a_queue_ends_when_its_handles_are_gone() {
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let (sender, receiver) = channel();
    numbers.foreach_batch(move |batch, _| {
        sender.send(batch.to_vec())?;
        Ok(())
    });
    let other = queue.clone();
    for number in 0..50i64 {
        queue.push([number]).unwrap();
    }
    drop(queue);
    ssc.start().unwrap();
    other.push([50i64]).unwrap();
    drop(other);
    ssc.await_termination().unwrap();
    // Each push is a batch of its own, and in an interval without one there is none.
    let expected: Vec<Vec<i64>> = (0..=50).map(|number| vec![number]).collect();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), expected);
}

/// All that is queued is one batch; nothing queued is an empty one.
#[test]
fn a_queue_that_is_taken_all_at_once() {
    let mut t = TestContext::new().unwrap();
    let (numbers, queue) = t.context().queue_stream_all::<i64>().unwrap();
    let rows = t.output(&numbers);
    let partitions = t.output(&numbers.glom());
    queue.push([1i64]).unwrap();
    queue.push_batch(Batch::from_partitions([vec![2i64, 3], vec![], vec![4]])).unwrap();
    t.tick().unwrap();
    assert_eq!(rows.take_batches(), [[1, 2, 3, 4]]);
    assert_eq!(partitions.take(), [vec![1], vec![2, 3], vec![], vec![4]]);
    t.tick().unwrap();
    assert_eq!(rows.take_batches(), [[0i64; 0]]);
    // An interval without a batch gives way to a batch, before or after it.
    for pushes in [[true, false], [false, true]] {
        for is_batch in pushes {
            if is_batch { queue.push([5i64]).unwrap() } else { queue.push_absent().unwrap() }
        }
        t.tick().unwrap();
        assert_eq!(rows.take_batches(), [[5]]);
    }
    queue.push_absent().unwrap();
    queue.push_absent().unwrap();
    t.tick().unwrap();
    assert!(rows.take_batches().is_empty());
    t.tick().unwrap();
    assert_eq!(rows.take_batches(), [[0i64; 0]]);
}

/// The rows that were taken count no more; the stream ends with what is left.
#[test]
fn a_queue_that_is_taken_all_at_once_ends() {
    let ssc = StreamingContext::builder("life").batch_interval(Duration::from_secs(3600));
    let limits = Limits { queued_rows: 3, ..Limits::default() };
    let ssc = ssc.limits(limits).build().unwrap();
    let (numbers, queue) = ssc.queue_stream_all::<i64>().unwrap();
    let (sender, receiver) = channel();
    numbers.foreach_batch(move |batch, _| {
        sender.send(batch.to_vec())?;
        Ok(())
    });
    queue.push([1i64, 2]).unwrap();
    queue.push([3i64]).unwrap();
    check_error(queue.push([4i64]), ErrorKind::Limit, "takes no 1 more: the maximum is 3");
    ssc.start().unwrap();
    ssc.stop_gracefully();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [[1, 2, 3]]);
    queue.push([4i64; 3]).unwrap();
}

/// A source, and an output that holds its first batch until told to go on.
struct Gated {
    feeder: Feeder,
    /// Says that the output holds its first batch.
    entered: Receiver<()>,
    gate: SyncSender<()>,
    seen: Arc<Mutex<Vec<String>>>,
}

fn gated(ssc: &StreamingContext) -> Gated {
    let (feed, feeder) = Feed::new();
    let lines = ssc.receiver_stream(feed).unwrap();
    let (entered_sender, entered) = channel();
    let (gate, gate_receiver) = channel();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let rows = seen.clone();
    let mut is_first = true;
    lines.foreach_batch(move |batch, _| {
        if batch.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut is_first) {
            entered_sender.send(())?;
            gate_receiver.recv_timeout(DEADLINE)?;
        }
        rows.lock().unwrap().extend(batch.to_vec());
        Ok(())
    });
    Gated { feeder, entered, gate, seen }
}

#[test]
fn a_graceful_stop_processes_all_that_was_received() {
    let ssc = context();
    let Gated { feeder, entered, gate, seen } = gated(&ssc);
    ssc.start().unwrap();
    feeder.deliver(["first\n"]);
    entered.recv_timeout(DEADLINE).unwrap();
    let mut sent = vec!["first".to_owned()];
    for number in 0..200 {
        feeder.deliver([format!("line {number}\n")]);
        sent.push(format!("line {number}"));
    }
    let stopper = ssc.clone();
    let stopping = thread::spawn(move || stopper.stop_gracefully());
    // What runs and what waits keeps it from being over.
    assert!(!ssc.await_termination_timeout(Duration::from_millis(20)).unwrap());
    gate.send(()).unwrap();
    assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
    stopping.join().unwrap();
    assert_eq!(*seen.lock().unwrap(), sent);
}

/// The same for what waits in a queue, of which each push is a batch of its own.
#[test]
fn a_graceful_stop_empties_queues() {
    let ssc = StreamingContext::builder("life").batch_interval(Duration::from_secs(3600));
    let ssc = ssc.build().unwrap();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let (sender, receiver) = channel();
    numbers.foreach_batch(move |batch, time| {
        sender.send((batch.to_vec(), time.millis()))?;
        Ok(())
    });
    for number in 0..100i64 {
        queue.push([number]).unwrap();
    }
    ssc.start().unwrap();
    ssc.stop_gracefully();
    let batches: Vec<(Vec<i64>, u64)> = receiver.iter().collect();
    let rows: Vec<i64> = batches.iter().flat_map(|(rows, _)| rows.clone()).collect();
    assert_eq!(rows, (0..100).collect::<Vec<_>>());
    assert!(batches.is_sorted_by(|(_, left), (_, right)| left + 3_600_000 == *right));
}

#[test]
fn a_stop_at_once_drops_what_waits() {
    let ssc = context();
    let Gated { feeder, entered, gate, seen } = gated(&ssc);
    ssc.start().unwrap();
    feeder.deliver(["first\n"]);
    entered.recv_timeout(DEADLINE).unwrap();
    feeder.deliver(["second\n"]);
    let stopper = ssc.clone();
    let stopping = thread::spawn(move || stopper.stop());
    // It waits for the batch that runs.
    assert!(!ssc.await_termination_timeout(Duration::from_millis(20)).unwrap());
    gate.send(()).unwrap();
    stopping.join().unwrap();
    assert_eq!(*seen.lock().unwrap(), ["first"]);
    assert_eq!(ssc.state(), ContextState::Stopped);
}

#[test]
fn a_stop_at_once_overtakes_a_graceful_one() {
    let ssc = context();
    let Gated { feeder, entered, gate, seen } = gated(&ssc);
    ssc.start().unwrap();
    feeder.deliver(["first\n"]);
    entered.recv_timeout(DEADLINE).unwrap();
    feeder.deliver(["second\n"]);
    let (graceful, at_once) = (ssc.clone(), ssc.clone());
    let stopping = thread::spawn(move || graceful.stop_gracefully());
    assert!(!ssc.await_termination_timeout(Duration::from_millis(20)).unwrap());
    let also_stopping = thread::spawn(move || at_once.stop());
    assert!(!ssc.await_termination_timeout(Duration::from_millis(20)).unwrap());
    gate.send(()).unwrap();
    stopping.join().unwrap();
    also_stopping.join().unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1, "{seen:?}");
}

#[test]
fn stop_from_an_output() {
    for stop in [StreamingContext::stop, StreamingContext::stop_gracefully] {
        let ssc = context();
        let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
        let (sender, receiver) = channel();
        let stopper = ssc.clone();
        numbers.foreach_batch(move |batch, _| {
            sender.send(batch.to_vec())?;
            stop(&stopper);
            Ok(())
        });
        ssc.start().unwrap();
        queue.push([1i64]).unwrap();
        ssc.await_termination().unwrap();
        assert_eq!(ssc.state(), ContextState::Stopped);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [[1]]);
    }
}

#[test]
fn outputs_run_in_the_order_of_their_making() {
    let (sender, receiver) = channel();
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let doubled = numbers.stream().map(|number| 2 * number);
    for (name, stream) in [("a", &doubled), ("b", numbers.stream()), ("c", &doubled)] {
        let sender = sender.clone();
        stream.foreach_batch(move |batch, time| {
            sender.send((name, batch.to_vec(), time.millis()))?;
            Ok(())
        });
    }
    numbers.push([1i64]).unwrap();
    t.tick().unwrap();
    t.tick().unwrap();
    let rows: Vec<_> = receiver.try_iter().collect();
    let batch = |name, rows: &[i64], time: u64| (name, rows.to_vec(), time);
    assert_eq!(
        rows,
        [
            batch("a", &[2], 1000),
            batch("b", &[1], 1000),
            batch("c", &[2], 1000),
            batch("a", &[], 2000),
            batch("b", &[], 2000),
            batch("c", &[], 2000)
        ]
    );
}

#[test]
fn settings_out_of_range() {
    let check_interval = |interval: Duration, text: &str| {
        let built = StreamingContext::builder("life").batch_interval(interval).build();
        check_error(built.map(drop), ErrorKind::Config, text);
    };
    let day = Duration::from_secs(86_400);
    check_interval(Duration::ZERO, "batch interval is 0ns, but must be between 1ms and 86400s");
    check_interval(Duration::from_micros(500), "batch interval is 500µs, but must be between 1ms");
    check_interval(day + TICK, "batch interval is 86400.001s, but must be between 1ms and 86400s");
    check_interval(Duration::from_micros(1_500), "batch interval is 1.5ms, but batch times are");
    for interval in [TICK, day] {
        StreamingContext::builder("life").batch_interval(interval).build().unwrap();
    }
    let check_threads = |threads: usize| {
        let built = StreamingContext::builder("life").threads(threads).build();
        let text = format!("threads is {threads}, but must be between 1 and 1024");
        check_error(built.map(drop), ErrorKind::Config, &text);
    };
    check_threads(0);
    check_threads(1_025);
}

#[test]
fn limits_out_of_range() {
    let check_limit = |limits: Limits, text: &str| {
        let built = StreamingContext::builder("life").limits(limits).build();
        check_error(built.map(drop), ErrorKind::Config, text);
    };
    let limits = Limits::default();
    check_limit(
        Limits { blocks: 1, ..limits },
        "limit blocks is 1, but must be between 2 and 65536",
    );
    check_limit(Limits { blocks: 65_537, ..limits }, "limit blocks is 65537");
    check_limit(Limits { line_bytes: 0, ..limits }, "limit line_bytes is 0");
    check_limit(
        Limits { line_bytes: 67_108_865, ..limits },
        "limit line_bytes is 67108865, but must be between 1 and 67108864",
    );
    check_limit(Limits { distinct_keys: 0, ..limits }, "limit distinct_keys is 0");
    check_limit(Limits { distinct_keys: 1 << 33, ..limits }, "limit distinct_keys is 8589934592");
    check_limit(Limits { queued_batches: 0, ..limits }, "limit queued_batches is 0");
    check_limit(Limits { queued_batches: 65_537, ..limits }, "limit queued_batches is 65537");
    check_limit(Limits { queued_rows: 0, ..limits }, "limit queued_rows is 0");
    check_limit(
        Limits { intake_log_bytes: (64 << 20) - 1, ..limits },
        "limit intake_log_bytes is 67108863, but must be between 67108864 and",
    );
    let least = Limits {
        blocks: 2,
        line_bytes: 1,
        distinct_keys: 1,
        key_bytes: 1,
        joined_rows: 1,
        retained_bytes: 0,
        unfinished_bytes: 0,
        queued_batches: 1,
        missed_batches: 0,
        intake_log_bytes: 64 << 20,
        queued_rows: 1,
        queued_bytes: 1,
    };
    StreamingContext::builder("life").limits(least).build().unwrap();
}

/// Handles come and go; the context runs until it is stopped or all of its input has ended.
#[test]
fn handles_are_not_the_context() {
    let (ssc, numbers, queue) = running();
    assert_eq!(ssc.name(), "life");
    let other = ssc.clone();
    drop(ssc);
    other.start().unwrap();
    assert_eq!(numbers.context().state(), ContextState::Active);
    drop((queue, other));
    numbers.context().await_termination().unwrap();
}

/// A closure that runs on a helper of the pool must not wait for the pool's end either.
#[test]
fn stop_from_a_closure() {
    for stop in [StreamingContext::stop, StreamingContext::stop_gracefully] {
        let ssc = context();
        let (lines, queue) = ssc.queue_stream::<String>().unwrap();
        let stopper = ssc.clone();
        let mapped = lines.map(move |line| {
            stop(&stopper);
            line.len() as i64
        });
        mapped.foreach_batch(|_, _| Ok(()));
        ssc.start().unwrap();
        // Partitions enough for every thread to have one.
        let partition = || vec!["x".repeat(1 << 10); 1 << 10];
        queue.push_batch(Batch::from_partitions((0..8).map(|_| partition()))).unwrap();
        ssc.await_termination().unwrap();
        assert_eq!(ssc.state(), ContextState::Stopped);
    }
}
