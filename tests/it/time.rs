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

#[test]
fn arithmetic_of_times() {
    let (time, millis) = (Time::from_millis, Duration::from_millis);
    assert_eq!(time(1_350).floor(millis(200)), time(1_200));
    assert_eq!(time(199).floor(millis(200)), time(0));
    assert_eq!(time(u64::MAX).floor(Duration::MAX), time(u64::MAX));
    assert!(time(0).is_multiple_of(millis(7)) && !time(8).is_multiple_of(millis(7)));
    assert_eq!(time(1_000) - millis(1_000), time(0));
    assert_eq!(time(1_000) - time(1_000), Duration::ZERO);
    // What is below a millisecond does not count.
    assert_eq!(time(5) + Duration::from_micros(1_999), time(6));
    assert_eq!(time(5).floor(Duration::from_micros(2_999)), time(4));
    assert_eq!(time(5).checked_add(Duration::MAX), None);
    assert_eq!(time(u64::MAX).checked_add(millis(1)), None);
    assert_eq!(time(u64::MAX - 1).checked_add(millis(1)), Some(time(u64::MAX)));
    assert_eq!(time(5).checked_sub(millis(6)), None);
    assert_eq!(time(5).checked_sub(millis(5)), Some(time(0)));
}

#[test]
fn times_a_step_apart() {
    let check = |[start, end, step]: [u64; 3], until: &[u64], to: &[u64]| {
        let (start, end) = (Time::from_millis(start), Time::from_millis(end));
        let step = Duration::from_millis(step);
        let until: Vec<Time> = until.iter().copied().map(Time::from_millis).collect();
        let to: Vec<Time> = to.iter().copied().map(Time::from_millis).collect();
        assert_eq!(start.until(end, step).collect::<Vec<_>>(), until);
        assert_eq!(start.to(end, step).collect::<Vec<_>>(), to);
    };
    check([1_000, 1_100, 100], &[1_000], &[1_000, 1_100]);
    check([1_000, 1_000, 100], &[], &[1_000]);
    check([1_000, 1_100, 30], &[1_000, 1_030, 1_060, 1_090], &[1_000, 1_030, 1_060, 1_090]);
    check([1_001, 1_000, 1], &[], &[]);
    // The last time has none after it.
    check([u64::MAX - 1, u64::MAX, 1], &[u64::MAX - 1], &[u64::MAX - 1, u64::MAX]);
    check([1, u64::MAX, u64::MAX], &[1], &[1]);
}

#[test]
#[should_panic(expected = "a step is 999µs, but must be at least 1ms")]
fn a_step_below_a_millisecond() {
    let _ = Time::from_millis(1).until(Time::from_millis(2), Duration::from_micros(999));
}

#[test]
#[should_panic(expected = "a step is 0ns, but must be at least 1ms")]
fn a_multiple_of_nothing() {
    Time::from_millis(1).is_multiple_of(Duration::ZERO);
}

#[test]
#[should_panic(expected = "2s before 1000 ms is before the epoch")]
fn a_time_before_the_epoch() {
    let _ = Time::from_millis(1_000) - Duration::from_secs(2);
}

#[test]
#[should_panic(expected = "2 ms is after 1 ms")]
fn a_negative_duration() {
    let _ = Time::from_millis(1) - Time::from_millis(2);
}

#[test]
#[should_panic(expected = "1ms after 18446744073709551615 ms is past the last time")]
fn a_time_past_the_last() {
    let _ = Time::from_millis(u64::MAX) + Duration::from_millis(1);
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
