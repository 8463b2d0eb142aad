//! Failures of outputs: they never touch state or other outputs, and a policy says how often a
//! batch is tried again and what follows.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver as Events, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{ContextState, ErrorKind, OnFailure, Output, TextFiles, TransactionalFiles};

use crate::feed::{DEADLINE, wait_until};
use crate::panics::panic_on_purpose;
use crate::replay::Tape;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// An output that cannot take the next so many times that it is called.
#[derive(Clone, Default)]
struct Flaky {
    failures: Arc<AtomicUsize>,
    /// The time and the rows of each batch that it took.
    taken: Arc<Mutex<Vec<(u64, Vec<String>)>>>,
    calls: Arc<Mutex<Vec<u64>>>,
}

impl Flaky {
    fn fail(&self, times: usize) {
        self.failures.store(times, Ordering::SeqCst);
    }

    fn on(&self, stream: &DStream<String>) -> Output {
        let own = self.clone();
        stream.foreach_batch(move |batch, time| {
            let seconds = time.millis() / 1_000;
            own.calls.lock().unwrap().push(seconds);
            let fails = own.failures.load(Ordering::SeqCst);
            if fails > 0 {
                own.failures.store(fails - 1, Ordering::SeqCst);
                return Err("503 Service Unavailable".into());
            }
            own.taken.lock().unwrap().push((seconds, batch.to_vec()));
            Ok(())
        })
    }

    fn calls(&self) -> Vec<u64> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn taken(&self) -> Vec<(u64, Vec<String>)> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

fn row(row: &str) -> Vec<String> {
    vec![row.to_owned()]
}

/// Ten rows a batch: the sums of all that remembers, at each batch, where an output of it fails at
/// the second.
fn sums_with(fail: impl Fn(&DStream<i64>, Arc<AtomicUsize>)) -> Vec<Vec<i64>> {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let (long, slide) = (10 * SECOND, SECOND);
    let pairs = numbers.stream().map(|number| (0i64, number));
    let update = |values: &Batch<i64>| values.len() as i64;
    let streams = [
        numbers.stream().count_by_window(long, slide),
        numbers.stream().window(long, slide).count(),
        pairs.count_by_value_and_window(long, slide).map(|(_, count)| count),
        pairs.reduce_by_key_and_window(|a, b| a + b, long, slide).map(|(_, sum)| sum),
        pairs
            .reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, long, slide)
            .map(|(_, sum)| sum),
        pairs
            .update_state_by_key("update.v1", move |values, total: Option<i64>| {
                Some(total.unwrap_or(0) + update(&values.iter().collect()))
            })
            .map(|(_, count)| count),
        pairs
            .map_with_state::<i64, i64, _>("map.v1", |_, _, state, out| {
                let count = state.get_option().unwrap_or(0) + 1;
                state.update(count);
                out.push(count);
            })
            .reduce(i64::max),
    ];
    let batch = Arc::<AtomicUsize>::default();
    let outputs: Vec<_> = streams
        .iter()
        .map(|stream| {
            fail(stream, batch.clone());
            t.output(stream)
        })
        .collect();
    for number in 1..=3 {
        batch.store(number, Ordering::SeqCst);
        numbers.push([1; 10]).unwrap();
        assert_eq!(t.tick().is_err(), number == 2);
    }
    outputs.iter().map(|output| output.take()).collect()
}

#[test]
fn an_outputs_failure_never_touches_state() {
    let error = |stream: &DStream<i64>, batch: Arc<AtomicUsize>| {
        stream.foreach_batch(move |_, _| match batch.load(Ordering::SeqCst) {
            2 => Err("503 Service Unavailable".into()),
            _ => Ok(()),
        });
    };
    let panic = |stream: &DStream<i64>, batch: Arc<AtomicUsize>| {
        stream.foreach_batch(move |_, _| match batch.load(Ordering::SeqCst) {
            2 => panic_on_purpose(),
            _ => Ok(()),
        });
    };
    for sums in sums_with(error).into_iter().chain(sums_with(panic)) {
        // Spark's.
        assert_eq!(sums, [10, 20, 30]);
    }
}

#[test]
fn an_operators_failure_rolls_back_what_it_is_made_of() {
    let fail = |stream: &DStream<i64>, batch: Arc<AtomicUsize>| {
        let fails = stream.map(move |count| match batch.load(Ordering::SeqCst) {
            2 => panic_on_purpose(),
            _ => count,
        });
        fails.foreach_batch(|_, _| Ok(()));
    };
    for sums in sums_with(fail) {
        assert_eq!(sums, [10, 20, 20]);
    }
}

#[test]
fn outputs_are_independent() {
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let before = t.output(words.stream());
    let failing = [Flaky::default(), Flaky::default()];
    failing[0].on(words.stream());
    let between = t.output(words.stream());
    failing[1].on(words.stream()).retry(1, Duration::ZERO);
    let after = t.output(&words.stream().window(2 * SECOND, SECOND));
    failing.iter().for_each(|output| output.fail(1));
    words.push(["a"]).unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closure);
    assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
    words.push(["b"]).unwrap();
    t.tick().unwrap();
    assert_eq!(before.take(), ["a", "b"]);
    assert_eq!(between.take(), ["a", "b"]);
    assert_eq!(after.take_batches(), [vec!["a"], vec!["a", "b"]]);
    assert_eq!(failing[0].taken(), [(2, row("b"))]);
    assert_eq!(failing[1].taken(), [(1, row("a")), (2, row("b"))]);
}

#[test]
fn a_retry_gives_the_same_batch_again() {
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let output = Flaky::default();
    output.on(words.stream()).retry(3, Duration::from_millis(1));
    output.fail(3);
    words.push(["a"]).unwrap();
    t.tick().unwrap();
    assert_eq!(output.calls(), [1, 1, 1, 1]);
    assert_eq!(output.taken(), [(1, row("a"))]);
    let metrics = t.context().metrics();
    assert_eq!((metrics.output_retries, metrics.batches_failed), (3, 0));
    // One failure more than there are tries.
    output.fail(4);
    words.push(["b"]).unwrap();
    t.tick().unwrap_err();
    words.push(["c"]).unwrap();
    t.tick().unwrap();
    assert_eq!(output.calls(), [2, 2, 2, 2, 3]);
    assert_eq!(output.taken(), [(3, row("c"))]);
    let metrics = t.context().metrics();
    assert_eq!((metrics.output_retries, metrics.batches_failed), (6, 1));
}

/// Others have the batch before an output is waited for.
#[test]
fn a_retry_holds_up_no_other_output_of_its_batch() {
    let t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let output = Flaky::default();
    let (sender, heard) = sync_channel(8);
    output.on(words.stream()).retry(1, MINUTE);
    let other = Flaky::default();
    other.on(words.stream()).retry(1, Duration::ZERO);
    words.stream().foreach_batch(move |batch, _| Ok(sender.send(batch.to_vec())?));
    output.fail(1);
    other.fail(1);
    words.push(["a"]).unwrap();
    t.context().start().unwrap();
    t.clock().advance(SECOND);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), ["a"]);
    wait_until("the other retry", || !other.taken.lock().unwrap().is_empty());
    assert!(t.context().metrics().is_running_batch && output.taken().is_empty());
    t.context().stop();
}

/// Lines without an end.
struct Endless;

impl Receiver for Endless {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while !into.is_full() {
            into.push_line(&[b'x'; 1_000]);
        }
        Ok(Received::More)
    }
}

#[test]
fn while_a_batch_waits_the_queue_and_the_pool_push_back() {
    let limits = Limits { blocks: 4, queued_batches: 2, ..Limits::default() };
    let builder = StreamingContext::builder("slow").batch_interval(Duration::from_millis(1));
    let ssc = builder.limits(limits).build().unwrap();
    let lines = ssc.receiver_stream(Endless).unwrap();
    let is_broken = Arc::new(AtomicUsize::new(1));
    let (own, rows) = (is_broken.clone(), Arc::<AtomicUsize>::default());
    let taken = rows.clone();
    let output = lines.foreach_batch(move |batch, _| {
        if own.load(Ordering::SeqCst) == 1 {
            return Err("503 Service Unavailable".into());
        }
        taken.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(())
    });
    output.retry(1_000, Duration::from_millis(50));
    ssc.start().unwrap();
    let is_full = || {
        let metrics = ssc.metrics();
        let source = &metrics.sources[0];
        metrics.batches_queued == 2 && source.blocks_in_use == 4 && metrics.output_retries > 1
    };
    wait_until("a full queue and a full pool", is_full);
    let received = ssc.metrics().bytes_received();
    let retries = ssc.metrics().output_retries;
    wait_until("another try", || ssc.metrics().output_retries > retries);
    assert_eq!(ssc.metrics().bytes_received(), received);
    assert_eq!(ssc.metrics().batches_completed, 0);
    is_broken.store(0, Ordering::SeqCst);
    wait_until("more than a pool", || rows.load(Ordering::SeqCst) > 5_000);
    ssc.stop();
    ssc.await_termination().unwrap();
}

/// A batch that waits for a minute when the context is told to stop.
fn stopped_while_it_waits(
    directory: &Path,
    tape: &Tape,
    policy: OnFailure,
    stop: impl Fn(&StreamingContext),
) -> (TestContext, Flaky) {
    let t = TestContext::new().unwrap();
    t.context().checkpoint(directory, 1);
    let lines = t.context().receiver_stream(tape.player()).unwrap();
    let output = Flaky::default();
    output.on(&lines).retry(1_000, MINUTE).on_failure(policy);
    output.fail(usize::MAX);
    t.context().start().unwrap();
    t.clock().advance(SECOND);
    wait_until("a failure", || output.calls.lock().unwrap().len() == 1);
    let started = Instant::now();
    stop(t.context());
    assert!(started.elapsed() < MINUTE / 2, "the stop waited for the output");
    assert_eq!(t.context().state(), ContextState::Stopped);
    (t, output)
}

#[test]
fn a_stop_ends_the_wait() {
    let tape = Tape::new([["a"], ["b"]]);
    for policy in [OnFailure::Fail, OnFailure::Stop] {
        for stop in [StreamingContext::stop, StreamingContext::stop_gracefully] {
            let directory = tempfile::tempdir().unwrap();
            let (t, output) = stopped_while_it_waits(directory.path(), &tape, policy, stop);
            t.context().await_termination().unwrap_err();
            drop(t);
            // A graceful stop tries once more; another batch may be cut by it.
            assert!(output.calls().len() <= 4);
            // What was not taken comes again.
            let mut t = TestContext::new().unwrap();
            t.context().checkpoint(directory.path(), 1);
            let lines = t.context().receiver_stream(tape.player()).unwrap();
            let output = t.output(&lines);
            t.tick().unwrap();
            t.tick().unwrap();
            assert_eq!(output.take(), ["a", "b"]);
        }
    }
}

/// A program over a tape, with a state and an output that may fail.
struct Life {
    t: TestContext,
    output: Flaky,
    totals: tidemill::TestOutput<i64>,
}

impl Life {
    fn begin(tape: &Tape, directory: &Path, policy: Option<OnFailure>) -> Life {
        let t = TestContext::new().unwrap();
        t.context().checkpoint(directory, 1);
        let lines = t.context().receiver_stream(tape.player()).unwrap();
        let output = Flaky::default();
        let handle = output.on(&lines);
        if let Some(policy) = policy {
            handle.on_failure(policy);
        }
        let totals = lines.map(|_| (0i64, 1i64)).update_state_by_key("totals.v1", |ones, total| {
            Some(total.unwrap_or(0) + ones.iter().sum::<i64>())
        });
        let totals = t.output(&totals.map(|(_, total)| total));
        Life { t, output, totals }
    }
}

/// Also where nothing is said of it.
#[test]
fn fail_keeps_state_and_makes_no_checkpoint_until_the_program_awaits() {
    for policy in [None, Some(OnFailure::Fail)] {
        let directory = tempfile::tempdir().unwrap();
        let tape = Tape::new([["a"], ["b"], ["c"], ["d"], ["e"]]);
        let mut life = Life::begin(&tape, directory.path(), policy);
        life.t.tick().unwrap();
        life.output.fail(1);
        let error = life.t.tick().unwrap_err();
        assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
        assert_eq!(life.totals.take(), [1, 2], "state keeps the batch");
        let checkpoints = life.t.context().metrics().checkpoints.written;
        assert_eq!(checkpoints, 1, "none of the batch that failed");
        // The program ends, and has the batch again.
        drop(life);
        let mut life = Life::begin(&tape, directory.path(), policy);
        life.output.fail(1);
        life.t.tick().unwrap_err();
        assert_eq!(life.output.calls(), [2]);
        // It awaits again, at the end of the next tick, and goes on without the batch there.
        life.t.tick().unwrap();
        life.t.tick().unwrap();
        assert_eq!(life.totals.take(), [2, 3, 4]);
        drop(life);
        let mut life = Life::begin(&tape, directory.path(), policy);
        life.t.tick().unwrap();
        assert_eq!(life.output.taken(), [(5, row("e"))], "after a checkpoint");
        assert_eq!(life.totals.take(), [5]);
    }
}

/// Sees what is warned of.
#[derive(Clone)]
struct Warnings(SyncSender<String>);

impl tracing::field::Visit for &Warnings {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = self.0.try_send(format!("{field} {value:?}"));
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut &*self);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn skip_is_reported_and_counted() {
    let (sender, warnings): (_, Events<String>) = sync_channel(64);
    let directory = tempfile::tempdir().unwrap();
    let tape = Tape::new([["a"], ["b"], ["c"]]);
    let mut life = Life::begin(&tape, directory.path(), Some(OnFailure::Skip));
    life.t.tick().unwrap();
    life.output.fail(1);
    life.t.tick().unwrap();
    assert_eq!(life.totals.take(), [1, 2]);
    let metrics = life.t.context().metrics();
    assert_eq!((metrics.outputs_skipped, metrics.batches_failed), (1, 0));
    assert_eq!(metrics.checkpoints.written, 2, "the batch is in one");
    drop(life);
    let mut life = Life::begin(&tape, directory.path(), Some(OnFailure::Skip));
    life.t.tick().unwrap();
    assert_eq!(life.output.taken(), [(3, row("c"))], "it does not come again");
    drop(life);
    // What is told, by a batch loop that this thread's subscriber hears.
    let heard = crate::child::is_child();
    if heard {
        tracing::subscriber::set_global_default(Warnings(sender)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut life = Life::begin(&tape, directory.path(), Some(OnFailure::Skip));
        life.output.fail(1);
        life.t.tick().unwrap();
        let told: Vec<String> = warnings.try_iter().collect();
        for part in ["is left without the batch", "foreach_batch", "503 Service Unavailable"] {
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:?}");
        }
    } else {
        crate::child::run("output_policy::skip_is_reported_and_counted", &[]);
    }
}

#[test]
fn stop_is_as_by_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let tape = Tape::new([["a"], ["b"], ["c"]]);
    let mut life = Life::begin(&tape, directory.path(), Some(OnFailure::Stop));
    life.t.tick().unwrap();
    life.output.fail(1);
    let error = life.t.tick().unwrap_err();
    assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
    life.t.context().await_termination().unwrap();
    assert_eq!(life.t.context().state(), ContextState::Stopped);
    assert_eq!(life.t.context().metrics().batches_completed, 2, "no further batch");
    assert_eq!(life.t.context().metrics().checkpoints.written, 1, "no checkpoint");
    drop(life);
    let mut life = Life::begin(&tape, directory.path(), Some(OnFailure::Stop));
    life.t.tick().unwrap();
    life.t.tick().unwrap();
    let rows: Vec<_> = life.output.taken().into_iter().map(|(_, rows)| rows).collect();
    assert_eq!(rows, [row("b"), row("c")]);
    assert_eq!(life.totals.take(), [2, 3]);
}

/// The policy is that of each kind of output.
#[test]
fn every_output_has_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let builds: [&dyn Fn(&DStream<String>) -> Output; 3] = [
        &|lines| lines.save_as_text_files(out.join("lines"), "txt"),
        &|lines| lines.save_as_text_files_with(TextFiles::new(out.join("lines")).keep_empty()),
        &|lines| {
            let files = TransactionalFiles::new(TextFiles::new(out.join("lines")));
            lines.save_with("lines.v1", files)
        },
    ];
    for build in builds {
        std::fs::create_dir_all(&out).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let tape = Tape::new([["a"], ["b"], ["c"]]);
        let mut t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), 1);
        let lines = t.context().receiver_stream(tape.player()).unwrap();
        build(&lines).retry(2, Duration::from_millis(1)).on_failure(OnFailure::Skip);
        t.tick().unwrap();
        std::fs::remove_dir_all(&out).unwrap();
        t.tick().ok();
        let metrics = t.context().metrics();
        assert_eq!((metrics.output_retries, metrics.outputs_skipped), (2, 1));
        assert_eq!(metrics.batches_failed, 0);
    }
}

#[test]
fn a_policy_beyond_its_maximum_fails_the_start() {
    let says = "at most 1000 times, first after up to 60s";
    for (times, backoff) in [(u32::MAX, SECOND), (1, Duration::MAX), (1_001, SECOND)] {
        let mut t = TestContext::new().unwrap();
        t.input::<String>().stream().print(1).retry(times, backoff);
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(says), "{error}");
    }
    let mut t = TestContext::new().unwrap();
    t.input::<String>().stream().foreach_batch(|_, _| Ok(())).retry(1_000, MINUTE);
    t.tick().unwrap();
}
