//! Closures and receivers that fail: the batch fails with an error that names the operator, and the
//! next batch is right.

use std::io;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{Carry, ContextState, ErrorKind, Waiter};

use crate::check::{In, Out, check_bag, halves};
use crate::feed::{DEADLINE, Feed};
use crate::panics::panic_on_purpose;

/// The number at which the closures of these tests panic.
const BAD: i64 = 13;

fn good(number: i64) -> i64 {
    if number == BAD {
        panic_on_purpose();
    }
    number
}

/// Good batches, with bad ones between: of one partition, of several, with the bad row anywhere.
#[track_caller]
fn check_panics(
    build: fn(&DStream<i64>) -> DStream<i64>,
    good_rows: &[i64],
    message: &'static [&'static str],
) {
    let rows = [1, 2, 3, 4];
    let right = Out::Rows(good_rows.to_vec());
    let wrong = Out::Fails(message);
    let input = [
        halves(&rows),
        halves(&[BAD, 1, 2, BAD]),
        halves(&rows),
        In::Partitions(vec![vec![1, 2], vec![], vec![1, 2, BAD], vec![1]]),
        In::Partitions(vec![vec![BAD, BAD]]),
        halves(&rows),
    ];
    let expected = [right.clone(), wrong.clone(), right.clone(), wrong.clone(), wrong, right];
    check_bag(build, &input, &expected);
}

#[test]
fn panics_in_narrow_operators() {
    let rows = [1, 2, 3, 4];
    check_panics(|n| n.map(good), &rows, &["batch", "operator map panicked: on purpose"]);
    check_panics(
        |n| n.filter(|row| good(row) > 0),
        &rows,
        &["operator filter panicked: on purpose"],
    );
    check_panics(
        |n| n.flat_map::<i64, _>(|row, out| out.push(good(row))),
        &rows,
        &["operator flat_map panicked: on purpose"],
    );
    check_panics(
        |n| n.map(|row| (row, row)).map_values(good).map(|(key, _)| key),
        &rows,
        &["operator map_values panicked: on purpose"],
    );
    check_panics(
        |n| {
            let pairs = n.map(|row| (row, row));
            pairs.flat_map_values::<i64, _>(|row, out| out.push(good(row))).map(|(_, row)| row)
        },
        &rows,
        &["operator flat_map_values panicked: on purpose"],
    );
}

#[test]
fn panics_in_wide_operators() {
    fn add(left: i64, right: i64) -> i64 {
        good(left) + good(right)
    }
    check_panics(|n| n.reduce(add), &[10], &["operator reduce panicked: on purpose"]);
    check_panics(
        |n| n.map(|row| (0i64, row)).reduce_by_key(add).map(|(_, sum)| sum),
        &[10],
        &["operator reduce_by_key panicked: on purpose"],
    );
    // In the chain that runs in the same task, the operator that is to blame is named.
    check_panics(|n| n.map(good).count(), &[4], &["operator map panicked: on purpose"]);
    check_panics(
        |n| n.map(good).count_by_value().map(|(row, _)| row),
        &[1, 2, 3, 4],
        &["operator map panicked: on purpose"],
    );
}

/// In the merge of partials, too: there are two values only when partitions come together.
#[test]
fn a_panic_in_a_merge() {
    let bad = In::Partitions(vec![vec![BAD], vec![1], vec![2]]);
    let input = [bad.clone(), In::Partitions(vec![vec![BAD]]), halves(&[1, 2]), bad];
    check_bag(
        |n: &DStream<i64>| n.reduce(|left, right| good(left) + good(right)),
        &input,
        &[
            Out::Fails(&["operator reduce panicked"]),
            Out::Rows(vec![BAD]),
            Out::Rows(vec![3]),
            Out::Fails(&["operator reduce panicked"]),
        ],
    );
}

#[test]
fn panics_in_closures_of_whole_batches() {
    check_panics(
        |n| n.transform(|batch, _| Ok(batch.iter().map(good).collect())),
        &[1, 2, 3, 4],
        &["operator transform panicked: on purpose"],
    );
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let before = t.output(numbers.stream());
    numbers.stream().foreach_batch(|batch, _| {
        batch.iter().for_each(|number| assert_eq!(good(number), number));
        Ok(())
    });
    let after = t.output(numbers.stream());
    for row in [1, BAD, 2] {
        numbers.push([row]).unwrap();
        let ticked = t.tick();
        if row == BAD {
            let error = ticked.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closure);
            let text = "batch 2000 ms: operator foreach_batch panicked: on purpose";
            assert_eq!(error.to_string(), text);
        } else {
            ticked.unwrap();
        }
        // What other outputs write stays.
        assert_eq!((before.take(), after.take()), (vec![row], vec![row]));
    }
}

/// A failure takes along what depends on it, and nothing else.
#[test]
fn a_failure_stays_in_its_branch() {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let checked = numbers.stream().map(good);
    let sums = t.output(&checked.reduce(|left, right| left + right));
    let both = t.output(&numbers.stream().union(&checked));
    let all = t.output(&numbers.stream().count());
    numbers.push([1i64, BAD]).unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.to_string(), "batch 1000 ms: operator map panicked: on purpose");
    assert_eq!((sums.take_batches().len(), both.take_batches().len()), (0, 0));
    assert_eq!(all.take(), [2]);
    numbers.push([1i64, 2]).unwrap();
    t.tick().unwrap();
    assert_eq!((sums.take(), both.take(), all.take()), (vec![3], vec![1, 2, 1, 2], vec![2]));
}

/// Blocks that are taken in as they arrive fail the batch that they belong to, and no other.
#[test]
fn a_limit_on_blocks_that_are_taken_in_early() {
    let limits = Limits { distinct_keys: 3, ..Limits::default() };
    let mut t =
        TestContext::with(StreamingContext::builder("few").limits(limits).threads(2)).unwrap();
    let (feed, feeder) = Feed::new();
    let lines = t.context().receiver_stream(feed).unwrap();
    let counts = t.output(&lines.split_whitespace().count_by_value());
    t.context().start().unwrap();
    // More than two blocks, so that most of it is taken in before the tick.
    let many: String = (0..220_000).map(|number| format!("word{number} ")).collect();
    let many = many.replace("0 ", "0\n") + "\n";
    assert!(many.len() > 2 << 20);
    for _ in 0..2 {
        feeder.deliver(["a b c\n"]);
        t.tick().unwrap();
        let row = |word: &str| (word.to_owned(), 1);
        assert_eq!(counts.take_sorted(), [row("a"), row("b"), row("c")]);
        feeder.deliver([many.as_str()]);
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        let text = "more distinct keys than the maximum of 3 (Limits::distinct_keys)";
        assert!(error.to_string().contains(text), "{error}");
        assert!(counts.take().is_empty());
    }
}

/// Gives some lines, and then does what the test says.
struct Faulty {
    lines: i64,
    fault: fn(&mut BlockWriter) -> io::Result<Received>,
    is_bounded: bool,
}

impl Receiver for Faulty {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        if self.lines == 0 {
            return (self.fault)(into);
        }
        into.push_line(b"line");
        self.lines -= 1;
        Ok(Received::More)
    }

    fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    fn name(&self) -> String {
        "faulty".to_owned()
    }
}

/// A source that fails ends; what came before is processed, and other sources go on.
#[test]
fn receivers_that_fail() {
    let check_fault = |fault: fn(&mut BlockWriter) -> io::Result<Received>, kind, text: &str| {
        for (is_bounded, is_eager) in [(false, false), (false, true), (true, false), (true, true)] {
            let ssc = StreamingContext::builder("faults").threads(2);
            let ssc = ssc.batch_interval(Duration::from_millis(1)).build().unwrap();
            let lines = ssc.receiver_stream(Faulty { lines: 5, fault, is_bounded }).unwrap();
            let (numbers, queue) = ssc.queue_stream::<i64>().unwrap();
            let counts = if is_eager { lines.count() } else { lines.map(|line| line.len() as i64) };
            let (sender, received) = sync_channel(1 << 16);
            for stream in [counts, numbers] {
                let sender = sender.clone();
                stream.foreach_batch(move |batch, _| {
                    batch.iter().try_for_each(|row| sender.send(row))?;
                    Ok(())
                });
            }
            drop(sender);
            ssc.start().unwrap();
            let error = ssc.await_termination().unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (kind, text.to_owned()));
            queue.push([100i64]).unwrap();
            drop(queue);
            ssc.await_termination().unwrap();
            let sum: i64 = received.iter().sum();
            assert_eq!(sum, 100 + if is_eager { 5 } else { 20 });
        }
    };
    check_fault(
        |_| Err(io::Error::other("the cable is out")),
        ErrorKind::Source,
        "source faulty: the cable is out",
    );
    check_fault(|_| panic_on_purpose(), ErrorKind::Closure, "receiver faulty panicked: on purpose");
    // Within a read, when some of the block is written.
    check_fault(
        |into| {
            into.fill(&mut Carry::default(), |room| {
                room[..5].copy_from_slice(b"junk\n");
                panic_on_purpose()
            })?;
            Ok(Received::More)
        },
        ErrorKind::Closure,
        "receiver faulty panicked: on purpose",
    );
    check_fault(
        |into| {
            into.fill(&mut Carry::default(), |room| {
                room[..5].copy_from_slice(b"junk\n");
                Err(io::ErrorKind::ConnectionReset.into())
            })?;
            Ok(Received::More)
        },
        ErrorKind::Source,
        "source faulty: connection reset",
    );
}

/// Without a waiter, or with one that fails, the engine calls again after a while.
#[test]
fn receivers_that_have_nothing_for_a_while() {
    struct Slow {
        calls: u64,
        has_waiter: bool,
    }

    struct BrokenWaiter;

    impl Waiter for BrokenWaiter {
        fn wait(&mut self, _: Duration) -> io::Result<()> {
            Err(io::Error::other("broken"))
        }
    }

    impl Receiver for Slow {
        fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
            self.calls += 1;
            match self.calls {
                // Long, but no reason to sleep through a stop.
                1 | 3 => Ok(Received::Later(Duration::from_secs(3_600))),
                2 => Ok(Received::More),
                4..10 => {
                    into.push_line(format!("call {}", self.calls).as_bytes());
                    Ok(Received::Later(Duration::ZERO))
                }
                _ => Ok(Received::End),
            }
        }

        fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
            self.has_waiter.then(|| Box::new(BrokenWaiter) as Box<dyn Waiter>)
        }
    }

    for has_waiter in [false, true] {
        let ssc = StreamingContext::builder("slow").batch_interval(Duration::from_millis(1));
        let ssc = ssc.build().unwrap();
        let (sender, received) = sync_channel(1 << 16);
        ssc.receiver_stream(Slow { calls: 0, has_waiter }).unwrap().foreach_batch(
            move |batch, _| {
                batch.to_vec().into_iter().try_for_each(|row| sender.send(row))?;
                Ok(())
            },
        );
        ssc.start().unwrap();
        assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
        let expected: Vec<String> = (4..10).map(|call| format!("call {call}")).collect();
        assert_eq!(received.iter().collect::<Vec<_>>(), expected);
    }
}

/// A source that waits for long does not hold up the end.
#[test]
fn a_stop_while_a_receiver_has_nothing() {
    let ssc = StreamingContext::builder("idle").batch_interval(Duration::from_secs(3_600));
    let ssc = ssc.build().unwrap();
    let idle = Faulty {
        lines: 0,
        fault: |_| Ok(Received::Later(Duration::from_secs(3_600))),
        is_bounded: false,
    };
    ssc.receiver_stream(idle).unwrap().foreach_batch(|_, _| Ok(()));
    ssc.start().unwrap();
    let stopper = ssc.clone();
    let stopping = std::thread::spawn(move || stopper.stop_gracefully());
    assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
    stopping.join().unwrap();
    assert_eq!(ssc.state(), ContextState::Stopped);
}
