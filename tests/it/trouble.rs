//! What a program is told while something goes wrong and the engine goes on: by metrics, by
//! listeners, and on standard error where nobody subscribes to `tracing`.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{Listen, ReceiverInfo, Socket, SourceMetrics, SourceState, StreamingListener};

use crate::child;
use crate::feed::{DEADLINE, Feed};

const TICK: Duration = Duration::from_millis(5);

/// Waits until the only source's metrics are so.
fn wait_for(ssc: &StreamingContext, is_so: impl Fn(&SourceMetrics) -> bool) -> SourceMetrics {
    let started = Instant::now();
    loop {
        let metrics = ssc.metrics().sources.remove(0);
        if is_so(&metrics) {
            return metrics;
        }
        assert!(started.elapsed() < DEADLINE, "{metrics:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An address at which nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A context whose server is not there.
fn alone(builder: tidemill::ContextBuilder, address: &str) -> StreamingContext {
    let ssc = builder.batch_interval(TICK).threads(1).build().unwrap();
    let socket = Socket::connect(address).unwrap().reconnect_after(Duration::from_millis(2));
    ssc.receiver_stream(socket).unwrap().foreach_batch(|_, _| Ok(()));
    ssc
}

struct Heard(SyncSender<(String, Option<String>)>);

impl StreamingListener for Heard {
    fn on_receiver_trouble(&mut self, receiver: &ReceiverInfo) {
        assert!(receiver.is_active && receiver.last_error_time.is_some());
        let _ = self.0.try_send(("trouble".to_owned(), receiver.last_error.clone()));
    }

    fn on_receiver_recovered(&mut self, receiver: &ReceiverInfo) {
        let _ = self.0.try_send(("recovered".to_owned(), receiver.last_error.clone()));
    }
}

#[test]
fn a_socket_that_cannot_connect() {
    let address = free_address();
    let builder = StreamingContext::builder("alone").warnings_to_stderr(false);
    let ssc = alone(builder, &address);
    let (sender, heard) = sync_channel(64);
    ssc.add_listener(Heard(sender));
    assert_eq!(ssc.metrics().sources[0].state, SourceState::Starting);
    ssc.start().unwrap();
    let metrics = wait_for(&ssc, |source| source.failures >= 5);
    assert_eq!(metrics.state, SourceState::Retrying);
    let refused = metrics.last_error.unwrap();
    assert!(refused.contains("refused"), "{refused}");
    let (event, error) = heard.recv_timeout(DEADLINE).unwrap();
    assert_eq!((event.as_str(), error.as_deref()), ("trouble", Some(refused.as_str())));
    assert!(heard.try_recv().is_err(), "five attempts are one trouble");

    let server = TcpListener::bind(&address).unwrap();
    let connection = server.accept().unwrap();
    let metrics = wait_for(&ssc, |source| source.state == SourceState::Receiving);
    assert_eq!(metrics.failures, 0);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap().0, "recovered");
    drop((connection, server));
    wait_for(&ssc, |source| source.state == SourceState::Retrying);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap().0, "trouble");
    ssc.stop();
}

/// One that says nothing receives from its first call on, and one that fails has ended.
#[test]
fn states_of_other_sources() {
    let ssc = StreamingContext::builder("states").batch_interval(TICK).threads(1).build().unwrap();
    let (feed, feeder) = Feed::new();
    ssc.receiver_stream(feed).unwrap().foreach_batch(|_, _| Ok(()));
    ssc.start().unwrap();
    feeder.deliver(["a\n"]);
    assert_eq!(wait_for(&ssc, |_| true).state, SourceState::Receiving);
    feeder.end();
    ssc.await_termination().unwrap();
    assert_eq!(wait_for(&ssc, |_| true).state, SourceState::Ended);
}

/// All of them, however many come at once.
#[test]
fn senders_that_were_refused_are_counted() {
    let ssc = StreamingContext::builder("full").batch_interval(TICK).warnings_to_stderr(false);
    let ssc = ssc.threads(1).build().unwrap();
    let listen = Listen::bind("127.0.0.1:0").unwrap().connections_max(1);
    let (address, refused) = (listen.local_addr(), listen.connections_refused());
    ssc.receiver_stream(listen).unwrap().foreach_batch(|_, _| Ok(()));
    ssc.start().unwrap();
    let senders: Vec<_> = (0..31).map(|_| TcpStream::connect(address).unwrap()).collect();
    let metrics = wait_for(&ssc, |source| source.counts.connections_refused == 30);
    assert_eq!(metrics.counts.connections_broken, 0);
    assert_eq!(refused.load(std::sync::atomic::Ordering::Relaxed), 30);
    drop(senders);
    ssc.stop();
}

/// Set in the child: what it does.
const MODE: &str = "TIDEMILL_TEST_TROUBLE";

/// What a child says on standard error.
fn said(test: &str, mode: &str) -> Vec<String> {
    let output = child::command(test).env(MODE, mode).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{mode}: {said}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn warnings_go_to_standard_error_where_nobody_subscribes() {
    let test = "trouble::warnings_go_to_standard_error_where_nobody_subscribes";
    if !child::is_child() {
        let lines = said(test, "nobody");
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("tidemill: no connection"), "{line}");
        assert!(line.contains("127.0.0.1:") && line.contains("refused"), "{line}");
        assert_eq!(said(test, "nobody wants them"), Vec::<String>::new());
        let lines = said(test, "subscribed");
        assert!(lines.len() >= 3, "each attempt is the subscriber's: {lines:?}");
        assert!(lines.iter().all(|line| line.contains("WARN")), "{lines:?}");
        return;
    }
    let mode = std::env::var(MODE).unwrap();
    if mode == "subscribed" {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let builder = StreamingContext::builder("alone");
    let ssc = alone(builder.warnings_to_stderr(mode != "nobody wants them"), &free_address());
    ssc.start().unwrap();
    wait_for(&ssc, |source| source.failures >= 5);
    ssc.stop();
}

/// The first at once, and then at a bounded rate.
#[test]
fn slow_batches_and_rejected_lines_are_warned_of() {
    let test = "trouble::slow_batches_and_rejected_lines_are_warned_of";
    if !child::is_child() {
        let lines = said(test, "slow");
        let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(of("batches take longer than the interval"), 2, "{lines:?}");
        assert_eq!(of("lines could not be taken as they are"), 1, "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("cut 1")), "{lines:?}");
        return;
    }
    let limits = Limits { line_bytes: 10, ..Limits::default() };
    let builder = StreamingContext::builder("slow").batch_interval(Duration::from_secs(1));
    let mut t = TestContext::with(builder.threads(1).limits(limits)).unwrap();
    let (feed, feeder) = Feed::new();
    let (clock, mut slow) = (t.clock(), 0..8);
    t.context().receiver_stream(feed).unwrap().foreach_batch(move |_, _| {
        // Twelve seconds together.
        if slow.next().is_some() {
            clock.advance(Duration::from_millis(1_500));
        }
        Ok(())
    });
    t.context().start().unwrap();
    feeder.deliver(["a line of more than ten bytes\n"]);
    for _ in 0..6 {
        t.tick().unwrap();
    }
}
