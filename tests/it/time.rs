//! Batch times: aligned, in order, none skipped, and each row in the batch that was cut after it
//! came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidemill::prelude::*;

use crate::feed::{DEADLINE, Feed};

#[test]
fn test_batches_have_multiples_of_the_interval() {
    for millis in [1, 250, 1_000, 86_400_000] {
        let builder =
            StreamingContext::builder("time").batch_interval(Duration::from_millis(millis));
        let mut t = TestContext::with(builder).unwrap();
        let numbers = t.input::<i64>();
        let times: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let seen = times.clone();
        let stamped =
            numbers.stream().transform(|_, time| Ok([time.millis()].into_iter().collect()));
        stamped.foreach_batch(move |batch, time| {
            seen.lock().unwrap().push((batch.iter().next().unwrap(), time.millis()));
            Ok(())
        });
        for batch in 1..=5 {
            t.tick().unwrap();
            assert_eq!(*times.lock().unwrap(), [(batch * millis, batch * millis)]);
            times.lock().unwrap().clear();
        }
    }
}

#[test]
fn time_as_text_and_in_order() {
    let (early, late) = (Time::from_millis(999), Time::from_millis(1_000));
    assert!(early < late);
    assert_eq!(late.to_string(), "1000 ms");
    assert_eq!((early + Duration::from_millis(1)).millis(), 1_000);
}

/// Under the wall clock the first batch is the next multiple of the interval.
#[test]
fn batches_are_aligned_to_the_epoch() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let ssc = StreamingContext::builder("time").batch_interval(Duration::from_millis(7));
    let ssc = ssc.build().unwrap();
    let (feed, _feeder) = Feed::new();
    let (sender, receiver) = sync_channel(16);
    ssc.receiver_stream(feed).unwrap().foreach_batch(move |_, time| {
        sender.send(time.millis())?;
        Ok(())
    });
    let before = now();
    ssc.start().unwrap();
    let times: Vec<u64> = receiver.iter().take(5).collect();
    // The output waits for a place among 16 messages, and then for nobody.
    drop(receiver);
    ssc.stop();
    assert!(times.iter().all(|time| time % 7 == 0), "{times:?}");
    assert!(times.is_sorted_by(|left, right| left + 7 == *right), "{times:?}");
    // It is as late as this process was, but the time comes after the start.
    assert!(times[0] > before && times[4] <= now() + 7, "{before} {times:?}");
}

/// Batches that are late all come, in order: the first with the data, the others empty.
#[test]
fn late_batches_are_not_skipped() {
    let (feed, feeder) = Feed::new();
    let ssc = StreamingContext::builder("time").batch_interval(Duration::from_millis(1));
    let limits = Limits { queued_batches: 4, ..Limits::default() };
    let ssc = ssc.limits(limits).build().unwrap();
    let (sender, receiver) = sync_channel(1 << 16);
    let (gate, gate_receiver) = sync_channel::<()>(1);
    ssc.receiver_stream(feed).unwrap().foreach_batch(move |batch, time| {
        sender.send((time.millis(), batch.to_vec()))?;
        // Only the first batch waits: then the other end is gone.
        let _ = gate_receiver.recv();
        Ok(())
    });
    ssc.start().unwrap();
    let next = || receiver.recv_timeout(DEADLINE).unwrap();
    let mut batches: Vec<(u64, Vec<String>)> = vec![next()];
    // Far more ticks pass than may queue up: then cutting pauses, and this line comes too late for
    // those that were cut, and in time for the first one after.
    std::thread::sleep(Duration::from_millis(50));
    feeder.deliver(["late\n"]);
    drop(gate);
    let has_data = |(_, rows): &(u64, Vec<String>)| !rows.is_empty();
    while batches.len() < 100 || !batches.iter().any(has_data) {
        batches.push(next());
    }
    ssc.stop();
    assert!(batches.is_sorted_by(|(left, _), (right, _)| left + 1 == *right), "{batches:?}");
    let with_data: Vec<usize> =
        (0..batches.len()).filter(|&index| has_data(&batches[index])).collect();
    // After the batch that waits, at most four that queue, and one that may just have been cut.
    assert!(with_data.len() == 1 && (1..=6).contains(&with_data[0]), "{with_data:?}");
    assert_eq!(batches[with_data[0]].1, ["late"]);
}

/// With several sources behind in their batches, each row stays in the batch that was cut after it
/// came: none is pulled into an earlier one.
#[test]
fn rows_of_several_sources_stay_in_their_batches() {
    let ssc = StreamingContext::builder("time").batch_interval(Duration::from_millis(1));
    let ssc = ssc.build().unwrap();
    let ((feed_a, a), (feed_b, b)) = (Feed::new(), Feed::new());
    let sources = [feed_a, feed_b].map(|feed| ssc.receiver_stream(feed).unwrap());
    /// For each number, the time of the batch that it came in.
    type Times = Arc<Mutex<Vec<(u64, u64)>>>;
    let times: [Times; 2] = Default::default();
    for (source, times) in sources.iter().zip(times.clone()) {
        source.split_whitespace().count_by_value().foreach_batch(move |batch, time| {
            let numbers = batch.iter().map(|(word, _)| word.parse().unwrap());
            times.lock().unwrap().extend(numbers.map(|number: u64| (number, time.millis())));
            Ok(())
        });
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let is_fast = is_over.clone();
    sources[0].count().foreach_batch(move |_, _| {
        // Always behind, while rows come.
        if !is_fast.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    });
    ssc.start().unwrap();
    for number in 0..200u64 {
        // At each tick the first source is cut before the second. So what comes to the second one
        // before it comes to the first is in the same batch, or in an earlier one.
        b.deliver([format!("{number}\n")]);
        a.deliver([format!("{number}\n")]);
        std::thread::sleep(Duration::from_micros(500));
    }
    is_over.store(true, Ordering::SeqCst);
    ssc.stop_gracefully();
    let [times_a, times_b] = times.map(|times| {
        let mut times = times.lock().unwrap().clone();
        times.sort();
        times
    });
    assert_eq!((times_a.len(), times_b.len()), (200, 200));
    for (a, b) in times_a.iter().zip(&times_b) {
        assert!(b.1 <= a.1, "number {} came in {} and in {}", a.0, a.1, b.1);
    }
}
