//! Listeners: what they are told, in which order, and that nothing of theirs holds up a batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{BatchInfo, OutputOperationInfo, ReceiverInfo, StreamingListener};

use crate::feed::DEADLINE;

/// Keeps what it hears as text.
struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }
}

impl StreamingListener for Journal {
    fn on_streaming_started(&mut self, _: Time) {
        self.note("started".into());
    }

    fn on_receiver_started(&mut self, receiver: &ReceiverInfo) {
        assert!(receiver.is_active);
        self.note(format!("receiver {} started", receiver.id));
    }

    fn on_receiver_error(&mut self, receiver: &ReceiverInfo) {
        let error = receiver.last_error.as_deref().unwrap();
        assert!(receiver.last_error_time.is_some());
        self.note(format!("receiver {} failed: {}", receiver.id, error.contains("out of lines")));
    }

    fn on_receiver_stopped(&mut self, receiver: &ReceiverInfo) {
        assert!(!receiver.is_active);
        self.note(format!("receiver {} stopped", receiver.id));
    }

    fn on_batch_submitted(&mut self, batch: &BatchInfo) {
        assert_eq!((batch.started, batch.ended), (None, None));
        self.note("submitted".into());
    }

    fn on_batch_started(&mut self, batch: &BatchInfo) {
        assert!(batch.started.is_some() && batch.scheduling_delay.is_some());
        self.note("batch started".into());
    }

    fn on_batch_completed(&mut self, batch: &BatchInfo) {
        let (scheduling, processing) = (batch.scheduling_delay, batch.processing_delay);
        assert_eq!(batch.total_delay, Some(scheduling.unwrap() + processing.unwrap()));
        assert_eq!(batch.source_rows, [batch.rows]);
        let outputs = batch.outputs.len();
        self.note(format!("{} rows, {outputs} outputs, {}", batch.rows, batch.has_failed));
    }

    fn on_output_operation_started(&mut self, output: &OutputOperationInfo) {
        assert_eq!((output.ended, output.duration), (None, None));
        self.note(format!("output {} started", output.id));
    }

    fn on_output_operation_completed(&mut self, output: &OutputOperationInfo) {
        assert!(output.duration.is_some() && output.ended.is_some());
        self.note(format!("output {} failed: {}", output.id, output.failure.is_some()));
    }
}

/// Three lines, and then an error.
struct Three;

impl Receiver for Three {
    fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
        (0..3).for_each(|_| into.push_line(b"a line"));
        Err(std::io::Error::other("out of lines"))
    }
}

#[test]
fn events_come_in_order() {
    let ssc = StreamingContext::builder("heard").threads(1).build().unwrap();
    let lines = ssc.receiver_stream(Three).unwrap();
    lines.foreach_batch(|_, _| Ok(()));
    lines.foreach_batch(|_, _| Err("no".into()));
    let journal = Arc::<Mutex<Vec<String>>>::default();
    ssc.add_listener(Journal(journal.clone()));
    let removed = Arc::<Mutex<Vec<String>>>::default();
    let id = ssc.add_listener(Journal(removed.clone()));
    ssc.remove_listener(id);
    ssc.start().unwrap();
    while ssc.await_termination().is_err() {}
    let mut heard = journal.lock().unwrap().clone();
    // Told by a thread of its own.
    let error = heard.iter().position(|event| event == "receiver 0 failed: true");
    heard.remove(error.expect("the error was told"));
    assert_eq!(
        heard,
        [
            "started",
            "receiver 0 started",
            "submitted",
            "batch started",
            "output 0 started",
            "output 0 failed: false",
            "output 1 started",
            "output 1 failed: true",
            "3 rows, 2 outputs, true",
            "receiver 0 stopped",
        ]
    );
    assert!(removed.lock().unwrap().is_empty());
    let metrics = ssc.metrics();
    assert_eq!((metrics.batches_completed, metrics.batches_failed), (1, 1));
    assert_eq!(metrics.last_batch.map(|batch| batch.rows), Some(3));
}

/// Panics, or waits, or stops the context.
struct Bad<F>(F);

impl<F: FnMut() + Send + 'static> StreamingListener for Bad<F> {
    fn on_batch_completed(&mut self, _: &BatchInfo) {
        (self.0)();
    }
}

#[test]
fn a_panic_is_counted() {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let counts = t.output(&numbers.stream().count());
    let heard = Arc::<AtomicU64>::default();
    t.context().add_listener(Bad(|| panic!("a listener's own fault")));
    let count = heard.clone();
    t.context().add_listener(Bad(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    (0..3).for_each(|_| t.tick().unwrap());
    t.context().stop_gracefully();
    assert_eq!(counts.take()[..3], [0, 0, 0]);
    // A stop waits for listeners, but not for ever, and a panic may take long to be printed.
    let started = Instant::now();
    let (mut metrics, mut heard_of) = (t.context().metrics(), 0);
    while [metrics.listener_panics, heard_of] != [metrics.batches_completed; 2] {
        assert!(started.elapsed() < DEADLINE, "{heard_of} calls, {metrics:?}");
        std::thread::sleep(Duration::from_millis(1));
        (metrics, heard_of) = (t.context().metrics(), heard.load(Ordering::SeqCst));
    }
}

#[test]
fn a_listener_that_waits_holds_up_nothing() {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let counts = t.output(&numbers.stream().count());
    let (release, waits) = sync_channel::<()>(0);
    t.context().add_listener(Bad(move || {
        let _ = waits.recv();
    }));
    (0..1_000).for_each(|_| t.tick().unwrap());
    assert_eq!(counts.take().len(), 1_000);
    assert!(t.context().metrics().listener_events_dropped > 1_000);
    drop(release);
}

#[test]
fn a_listener_may_stop_the_context() {
    let ssc = StreamingContext::builder("stopped").batch_interval(Duration::from_millis(5));
    let ssc = ssc.threads(1).build().unwrap();
    let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
    numbers.foreach_batch(|_, _| Ok(()));
    let handle = ssc.clone();
    ssc.add_listener(Bad(move || handle.stop()));
    ssc.start().unwrap();
    assert!(ssc.await_termination_timeout(DEADLINE).unwrap());
}

#[test]
fn listeners_come_and_go_while_it_runs() {
    struct Adder(StreamingContext, SyncSender<u64>);

    impl StreamingListener for Adder {
        fn on_batch_completed(&mut self, batch: &BatchInfo) {
            let (sender, millis) = (self.1.clone(), batch.time.millis());
            let id = self.0.add_listener(Bad(move || {
                let _ = sender.try_send(millis);
            }));
            self.0.remove_listener(id);
        }
    }

    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let _counts = t.output(&numbers.stream().count());
    t.tick().unwrap();
    let (sender, heard) = sync_channel(100);
    t.context().add_listener(Adder(t.context().clone(), sender));
    (0..5).for_each(|_| t.tick().unwrap());
    t.context().stop();
    assert_eq!(heard.iter().count(), 0, "they were gone before they heard anything");
}
