//! `collect`: batches in their order, a full channel that holds up the engine but no stop, and
//! receivers that go.

use std::sync::mpsc::{RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ContextState, ErrorKind};

use crate::feed::DEADLINE;

/// Long enough for a batch that is not held up.
const A_WHILE: Duration = Duration::from_millis(50);

fn context() -> StreamingContext {
    let interval = Duration::from_millis(1);
    StreamingContext::builder("collect").batch_interval(interval).threads(2).build().unwrap()
}

#[test]
fn batches_with_their_times() {
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let batches = words.stream().collect(8);
    words.push(["a", "b"]).unwrap();
    t.tick().unwrap();
    t.tick().unwrap();
    words.push_absent().unwrap();
    t.tick().unwrap();
    words.push(["c"]).unwrap();
    t.tick().unwrap();
    let at = |seconds: u64, rows: &[&str]| {
        (Time::from_millis(1000 * seconds), rows.iter().map(|row| row.to_string()).collect())
    };
    let collected: Vec<(Time, Vec<String>)> = batches.try_iter().collect();
    assert_eq!(collected, [at(1, &["a", "b"]), at(2, &[]), at(4, &["c"])]);
    assert_eq!(batches.try_recv(), Err(TryRecvError::Empty));
    drop(t);
    assert_eq!(batches.try_recv(), Err(TryRecvError::Disconnected));
}

/// A full channel holds up the batches, and in the end whoever pushes; all comes in order.
#[test]
fn a_full_channel_pushes_back() {
    let limits = Limits { queued_batches: 2, queued_rows: 10, ..Limits::default() };
    let interval = Duration::from_millis(1);
    let builder = StreamingContext::builder("full").batch_interval(interval).limits(limits);
    let ssc = builder.build().unwrap();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let batches = numbers.collect(1);
    ssc.start().unwrap();
    let mut pushed = 0;
    let mut refused = 0;
    // Refused for so long that it cannot be by chance.
    while refused < 20 {
        match queue.push([pushed]) {
            Ok(()) => (pushed, refused) = (pushed + 1, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Limit);
                refused += 1;
            }
        }
        thread::sleep(Duration::from_millis(3));
    }
    // One is in the channel, one waits for room, and a few wait for their batch.
    assert!((10..40).contains(&pushed), "{pushed} batches were not held up");
    drop(queue);
    let (times, rows): (Vec<Time>, Vec<Vec<i64>>) = batches.iter().unzip();
    assert_eq!(rows.concat(), (0..pushed).collect::<Vec<_>>());
    // Times without a push have no batch.
    assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
    ssc.await_termination().unwrap();
}

/// Runs `body` with a context whose batch waits for room in a channel that nobody reads.
fn with_full_channel(body: impl FnOnce(&StreamingContext)) {
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let batches = numbers.collect(1);
    let (sender, ran) = sync_channel(16);
    numbers.foreach_batch(move |batch, _| Ok(sender.send(batch.to_vec())?));
    queue.push([1i64]).unwrap();
    queue.push([2i64]).unwrap();
    ssc.start().unwrap();
    assert_eq!(ran.recv_timeout(DEADLINE), Ok(vec![1]));
    // The second one has no room in the channel, so the outputs after it have to wait.
    assert_eq!(ran.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout));
    body(&ssc);
    assert_eq!(ssc.state(), ContextState::Stopped);
    // What had room is there, and then the end.
    assert_eq!(batches.iter().map(|(_, rows)| rows).collect::<Vec<_>>(), [[1]]);
    // The batch that ran has run to its end.
    assert_eq!(ran.iter().collect::<Vec<_>>(), [[2]]);
}

#[test]
fn a_stop_with_a_full_channel() {
    with_full_channel(|ssc| {
        ssc.stop();
        ssc.await_termination().unwrap();
    });
}

/// A graceful stop waits for the reader; a stop at once overtakes it.
#[test]
fn a_stop_overtakes_a_graceful_one() {
    with_full_channel(|ssc| {
        let graceful = ssc.clone();
        let stopper = thread::spawn(move || graceful.stop_gracefully());
        assert!(!ssc.await_termination_timeout(A_WHILE).unwrap());
        ssc.stop();
        stopper.join().unwrap();
    });
}

#[test]
fn a_graceful_stop_delivers_all() {
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let batches = numbers.collect(1);
    for number in 0..20i64 {
        queue.push([number]).unwrap();
    }
    ssc.start().unwrap();
    let stopped = ssc.clone();
    let stopper = thread::spawn(move || stopped.stop_gracefully());
    let rows: Vec<Vec<i64>> = batches.iter().map(|(_, rows)| rows).collect();
    assert_eq!(rows.concat(), (0..20).collect::<Vec<_>>());
    stopper.join().unwrap();
}

/// Nobody wants the batches any more: the context runs on, whether one waited for room or not.
#[test]
fn a_receiver_that_is_dropped() {
    for waits in [false, true] {
        let ssc = context();
        let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
        let batches = numbers.collect(1);
        let total = Arc::new(Mutex::new(0));
        let sum = total.clone();
        numbers.foreach_batch(move |batch, _| {
            *sum.lock().unwrap() += batch.iter().sum::<i64>();
            Ok(())
        });
        for number in 0..50i64 {
            queue.push([number]).unwrap();
        }
        drop(queue);
        if !waits {
            drop(batches);
            ssc.start().unwrap();
        } else {
            ssc.start().unwrap();
            assert!(!ssc.await_termination_timeout(A_WHILE).unwrap());
            drop(batches);
        }
        ssc.await_termination().unwrap();
        assert_eq!(*total.lock().unwrap(), 49 * 50 / 2);
    }
}

/// A context that never ran leaves nobody waiting.
#[test]
fn a_receiver_of_a_context_that_never_ran() {
    let ssc = context();
    let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
    let batches = numbers.collect(0);
    ssc.stop();
    assert!(batches.recv().is_err());
    // Its start has failed.
    let ssc = context();
    let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
    let batches = numbers.collect(1);
    numbers.save_as_text_files("/there/is/no/such/directory/numbers", "");
    ssc.start().unwrap_err();
    assert!(batches.recv().is_err());
    // It was dropped.
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let batches = numbers.collect(1);
    drop((ssc, numbers, queue));
    assert!(batches.recv().is_err());
}

/// Outputs run one after another, in the order of their making, one batch at a time.
#[test]
fn outputs_run_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let ssc = context();
    let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
    let (events, happened) = sync_channel(1 << 10);
    let log = |name: &'static str| {
        let events = events.clone();
        move |batch: &Batch<i64>, _: Time| {
            let rows = batch.to_vec();
            events.send((name, "begins", rows.clone()))?;
            thread::yield_now();
            events.send((name, "ends", rows))?;
            Ok(())
        }
    };
    let doubled = numbers.map(|number| 2 * number);
    numbers.foreach_batch(log("first"));
    let collected = doubled.collect(1 << 10);
    doubled.foreach_batch(log("second"));
    numbers.save_as_text_files(directory.path().join("numbers"), "");
    let saved = directory.path().to_owned();
    numbers.foreach_batch(move |batch, time| {
        // The outputs before this one have done their work for this batch, and not for later ones.
        let path = saved.join(format!("numbers-{}", time.millis()));
        assert_eq!(path.exists(), !batch.is_empty());
        let later = saved.join(format!("numbers-{}", time.millis() + 1));
        assert!(!later.exists());
        Ok(())
    });
    numbers.foreach_batch(log("third"));
    drop(events);
    for number in 0..30i64 {
        queue.push([number]).unwrap();
    }
    drop(queue);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let mut expected = Vec::new();
    for number in 0..30 {
        for (name, row) in [("first", number), ("second", 2 * number), ("third", number)] {
            expected.extend([(name, "begins", vec![row]), (name, "ends", vec![row])]);
        }
    }
    let happened: Vec<_> = happened.iter().filter(|(.., rows)| !rows.is_empty()).collect();
    assert_eq!(happened, expected);
    let collected = collected.iter().filter(|(_, rows)| !rows.is_empty());
    let rows: Vec<i64> = collected.flat_map(|(_, rows)| rows).collect();
    assert_eq!(rows, (0..30).map(|number| 2 * number).collect::<Vec<_>>());
}
