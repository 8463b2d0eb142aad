//! What a program is told while something goes wrong and the engine goes on: by metrics, by
//! listeners, and on standard error where nobody subscribes to `tracing`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver as Events, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{
    Directory, Follow, Listen, ReceiverInfo, Socket, SourceMetrics, SourceState, StreamingListener,
};

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

/// A context that reads this, what is heard of it, and its lines.
fn reading(
    receiver: impl Receiver,
) -> (StreamingContext, Events<(String, Option<String>)>, Events<String>) {
    let builder = StreamingContext::builder("reading").warnings_to_stderr(false);
    let ssc = builder.batch_interval(TICK).threads(1).build().unwrap();
    let ((sender, heard), (line, lines)) = (sync_channel(64), sync_channel(64));
    ssc.add_listener(Heard(sender));
    ssc.receiver_stream(receiver).unwrap().foreach_batch(move |batch, _| {
        batch.iter().try_for_each(|text| line.send(text.to_owned()))?;
        Ok(())
    });
    ssc.start().unwrap();
    (ssc, heard, lines)
}

/// Waits for trouble of which the error says this, and that it is heard of once; then has it
/// mended, and waits until that is heard, too.
#[track_caller]
fn mended(
    ssc: &StreamingContext,
    heard: &Events<(String, Option<String>)>,
    (path, error): (&Path, &str),
    mend: impl FnOnce(),
) {
    let is_it = |source: &SourceMetrics| {
        source.last_error.as_ref().is_some_and(|last| last.contains(error))
    };
    let metrics = wait_for(ssc, |source| source.failures >= 3 && is_it(source));
    assert_eq!(metrics.state, SourceState::Retrying);
    let (event, heard_error) = heard.recv_timeout(DEADLINE).unwrap();
    let heard_error = heard_error.unwrap();
    assert_eq!(event, "trouble");
    assert!(heard_error.contains(error), "{heard_error}");
    assert!(heard_error.contains(path.to_str().unwrap()), "{heard_error}");
    assert!(heard.try_recv().is_err(), "some attempts are one trouble");
    mend();
    let metrics = wait_for(ssc, |source| source.state == SourceState::Receiving);
    assert_eq!(metrics.failures, 0);
    assert_eq!(heard.recv_timeout(DEADLINE).unwrap().0, "recovered");
}

/// For long enough that it has looked some times.
#[track_caller]
fn stays(ssc: &StreamingContext, state: SourceState) {
    let batches = ssc.metrics().batches_completed;
    while ssc.metrics().batches_completed < batches + 10 {
        assert_eq!(ssc.metrics().sources[0].state, state);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_followed_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (log, other) = (folder.path().join("log"), folder.path().join("other"));
    let follow = Follow::new([&log]).unwrap().poll_every(Duration::from_millis(2));
    let (ssc, heard, lines) = reading(follow.rotated_quiet(Duration::from_millis(2)));
    let next = || lines.recv_timeout(DEADLINE).unwrap();
    // It is awaited, as is what a link leads to.
    stays(&ssc, SourceState::Starting);
    std::os::unix::fs::symlink(&other, &log).unwrap();
    stays(&ssc, SourceState::Starting);
    fs::remove_file(&log).unwrap();

    fs::create_dir(&log).unwrap();
    mended(&ssc, &heard, (&log, "directory"), || {
        fs::remove_dir(&log).unwrap();
        fs::write(&log, "one\n").unwrap();
    });
    assert_eq!(next(), "one");

    // What was read under another name, and nothing under its own.
    fs::rename(&log, &other).unwrap();
    mended(&ssc, &heard, (&log, "No such file"), || fs::rename(&other, &log).unwrap());
    fs::write(&log, "one\ntwo\n").unwrap();
    assert_eq!(next(), "two");

    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink(&other, &log).unwrap();
    std::os::unix::fs::symlink(&log, &other).unwrap();
    mended(&ssc, &heard, (&log, "symbolic links"), || {
        fs::remove_file(&log).unwrap();
        fs::write(&log, "three\n").unwrap();
    });
    assert_eq!(next(), "three");
    ssc.stop();
    assert!(heard.try_recv().is_err() && lines.try_recv().is_err());
}

/// The first one of them is named, with how many others there are.
#[test]
fn several_followed_files_of_which_some_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["good", "first", "second", "awaited"].map(|name| folder.path().join(name));
    let [good, first, second, _] = &paths;
    fs::write(good, "one\n").unwrap();
    let follow = Follow::new(&paths).unwrap().poll_every(Duration::from_millis(2));
    let (ssc, heard, lines) = reading(follow);
    assert_eq!(lines.recv_timeout(DEADLINE).unwrap(), "one");
    stays(&ssc, SourceState::Receiving);
    fs::create_dir(second).unwrap();
    wait_for(&ssc, |source| source.state == SourceState::Retrying);
    fs::create_dir(first).unwrap();
    let both = |source: &SourceMetrics| source.last_error.as_ref().unwrap().contains("1 more");
    let error = wait_for(&ssc, both).last_error.unwrap();
    assert!(error.contains(first.to_str().unwrap()), "{error}");
    // The others are read on.
    fs::write(good, "one\ntwo\n").unwrap();
    assert_eq!(lines.recv_timeout(DEADLINE).unwrap(), "two");
    fs::remove_dir(first).unwrap();
    mended(&ssc, &heard, (second, "directory"), || fs::remove_dir(second).unwrap());
    ssc.stop();
}

#[test]
fn a_directory_that_cannot_be_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("in"), folder.path().join("away"));
    let (ssc, heard, lines) = reading({
        let directory = Directory::awaited(&path).new_files_only(false);
        directory.follow_links(true)
    });
    stays(&ssc, SourceState::Starting);
    fs::create_dir(&path).unwrap();
    wait_for(&ssc, |source| source.state == SourceState::Receiving);
    fs::rename(&path, &away).unwrap();
    mended(&ssc, &heard, (&path, "No such file"), || fs::rename(&away, &path).unwrap());
    fs::rename(&path, &away).unwrap();
    fs::write(&path, "").unwrap();
    mended(&ssc, &heard, (&path, "Not a directory"), || {
        fs::remove_file(&path).unwrap();
        fs::rename(&away, &path).unwrap();
    });
    // A file that cannot be looked at, while others are read.
    let link = path.join("link");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    mended(&ssc, &heard, (&link, "symbolic links"), || {
        fs::write(path.join(".one"), "one\n").unwrap();
        fs::rename(path.join(".one"), path.join("one")).unwrap();
        assert_eq!(lines.recv_timeout(DEADLINE).unwrap(), "one");
        assert_eq!(ssc.metrics().sources[0].state, SourceState::Retrying);
        fs::remove_file(&link).unwrap();
    });
    // Names that are left out do not matter.
    std::os::unix::fs::symlink(&link, path.join(".hidden")).unwrap();
    stays(&ssc, SourceState::Receiving);
    ssc.stop();
    // One that was there when the stream was made is not awaited.
    let (ssc, heard, _lines) = reading({
        let directory = Directory::new(&path).unwrap();
        fs::rename(&path, &away).unwrap();
        directory
    });
    mended(&ssc, &heard, (&path, "No such file"), || fs::rename(&away, &path).unwrap());
    ssc.stop();
}

/// It is not tried again, so the source receives all the same.
#[cfg(feature = "compression")]
#[test]
fn a_file_that_is_given_up_is_the_last_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.gz");
    fs::write(&path, b"\x1f\x8b\x08 and nothing that it could be unpacked to").unwrap();
    let directory = Directory::new(folder.path()).unwrap().new_files_only(false);
    let follow = Follow::new([&path]).unwrap();
    let check = |(ssc, heard, _lines): (StreamingContext, Events<_>, Events<_>)| {
        let metrics = wait_for(&ssc, |source| source.counts.files_unread == 1);
        let error = metrics.last_error.unwrap();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        stays(&ssc, SourceState::Receiving);
        assert!(heard.try_recv().is_err());
        ssc.stop();
    };
    check(reading(directory));
    check(reading(follow));
}

/// One that says nothing receives from its first call on, and one that fails has ended.
#[test]
fn states_of_other_sources() {
    let ssc = StreamingContext::builder("states").batch_interval(TICK).threads(1).build().unwrap();
    let (feed, feeder) = Feed::new();
    ssc.receiver_stream(feed).unwrap().foreach_batch(|_, _| Ok(()));
    ssc.start().unwrap();
    feeder.deliver(["a\n"]);
    // The line is there before its call has ended.
    wait_for(&ssc, |source| source.state == SourceState::Receiving);
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

/// However often it is looked for.
#[test]
fn what_is_missing_is_warned_of_once() {
    let test = "trouble::what_is_missing_is_warned_of_once";
    if !child::is_child() {
        let lines = said(test, "missing");
        for warning in ["cannot follow a file", "cannot list a directory"] {
            let count = lines.iter().filter(|line| line.contains(warning)).count();
            assert_eq!(count, 1, "{warning}: {lines:?}");
        }
        assert!(lines.iter().all(|line| !line.contains("tries again")), "{lines:?}");
        return;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (folder.path().join("log"), folder.path().join("in"));
    let follow = Follow::new([&log]).unwrap().poll_every(Duration::from_millis(2));
    fs::create_dir(&path).unwrap();
    let directory = Directory::new(&path).unwrap();
    // A name that is awaited, and then a directory: a file in its place is another trouble.
    fs::remove_dir(&path).unwrap();
    let (of_log, of_path) = (reading(follow), reading(directory));
    stays(&of_log.0, SourceState::Starting);
    wait_for(&of_path.0, |source| source.failures >= 5);
    of_log.0.stop();
    of_path.0.stop();
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
