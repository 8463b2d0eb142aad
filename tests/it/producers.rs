//! Producers that say who they are: whatever becomes of the server and of their connections, each
//! line is counted once. The producer is that of `examples/`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{IntakeLog, LineOptions, Listen, LongLine, TestOutput};

use crate::child;
use crate::feed::DEADLINE;
use crate::random::Random;
use producer::Producer;

#[path = "../../examples/producer.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod producer;

/// Tests look at these.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// What is acknowledged is in the log, and then in a checkpoint.
    Log,
    /// There is nothing but the log, and checkpoints of stops.
    LogAlone,
    /// What is acknowledged is in a checkpoint.
    Checkpoints,
}

/// A port that is free, and stays so if nobody takes it by chance.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A life of a server, which counts each line. Batches come when the test says so.
struct Life {
    t: TestContext,
    counted: TestOutput<(String, i64)>,
    totals: BTreeMap<String, i64>,
    address: SocketAddr,
}

impl Life {
    fn begin(address: &str, directory: &Path, kept: Kept, max: usize) -> Life {
        Life::with(address, directory, kept, max, LineOptions::default(), 1 << 18)
    }

    fn with(
        address: &str,
        directory: &Path,
        kept: Kept,
        max: usize,
        options: LineOptions,
        line_bytes: usize,
    ) -> Life {
        let limits = Limits { line_bytes, ..Limits::default() };
        let builder = StreamingContext::builder("producers").warnings_to_stderr(false);
        let t = TestContext::with(builder.limits(limits)).expect("a context");
        let ssc = t.context();
        let listen = Listen::bind(address).expect("it is free").acknowledging();
        let address = listen.local_addr();
        let lines = ssc.text_stream(listen.producers_max(max), options).expect("a stream");
        let lines = lines.named("lines");
        let counts = lines
            .count_by_value()
            .update_state_by_key("counts.v1", |counts, total: Option<i64>| {
                Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
            });
        ssc.checkpoint(directory, if kept == Kept::LogAlone { 10_000 } else { 2 });
        if kept != Kept::Checkpoints {
            ssc.intake_log(IntakeLog::synced());
        }
        let counted = t.output(&counts);
        t.context().start().expect("it starts");
        Life { t, counted, totals: BTreeMap::new(), address }
    }

    fn tick(&mut self) {
        self.t.tick().expect("the batch succeeds");
        if let Some(last) = self.counted.take_batches().pop() {
            self.totals = last.into_iter().collect();
        }
    }

    /// Batches until so many rows are counted.
    fn tick_until(&mut self, rows: i64) {
        let started = Instant::now();
        while self.totals.values().sum::<i64>() < rows {
            assert!(started.elapsed() < DEADLINE, "{:?}", self.totals);
            self.tick();
        }
    }

    fn connect(&self, greeting: &str) -> BufReader<TcpStream> {
        let mut client = TcpStream::connect(self.address).expect("it listens");
        client.set_read_timeout(Some(DEADLINE)).expect("a time");
        client.write_all(greeting.as_bytes()).expect("it reads");
        BufReader::new(client)
    }
}

fn heard(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).expect("an answer");
    line.trim_end().to_owned()
}

fn once(lines: &[&str]) -> BTreeMap<String, i64> {
    lines.iter().map(|line| ((*line).to_owned(), 1)).collect()
}

/// A producer goes on where the server says, over connections and lives of the server, with the
/// log and without.
#[test]
fn a_stream_goes_on_after_a_restart() {
    for kept in [Kept::Log, Kept::LogAlone, Kept::Checkpoints] {
        let directory = tempfile::tempdir().expect("a folder");
        let mut life = Life::begin(":0", directory.path(), kept, 10);
        let mut client = life.connect("TIDEMILL/1 producer=web-1\n");
        assert_eq!(heard(&mut client), "0");
        client.get_mut().write_all(b"a\nb\nhal").expect("it reads");
        life.tick_until(2);
        for _ in 0..4 {
            life.tick();
        }
        if kept != Kept::Checkpoints {
            assert_eq!(heard(&mut client), "4");
        }
        // The end of the connection ends no line, and is no end of the stream.
        drop(client);
        let mut client = life.connect("TIDEMILL/1 from=2 producer=web-1\r\n");
        let safe: usize = heard(&mut client).parse().expect("a number");
        assert!([2, 4].contains(&safe), "{safe}");
        client.get_mut().write_all(&b"a\nb\nhalf\nc\n"[safe..]).expect("it reads");
        life.tick_until(4);
        (0..4).for_each(|_| life.tick());
        life.t.context().stop();
        drop(life);
        let mut life = Life::begin(":0", directory.path(), kept, 10);
        life.tick_until(4);
        let mut client = life.connect("TIDEMILL/1 producer=web-1\n");
        assert_eq!(heard(&mut client), "11", "{kept:?}");
        client.get_mut().write_all(b"d\n").expect("it reads");
        life.tick_until(5);
        assert_eq!(life.totals, once(&["a", "b", "half", "c", "d"]));
        life.t.context().stop();
    }
}

/// What is sent again from before the server's place is passed over, in a line that was cut or
/// split, too.
#[test]
fn bytes_that_were_received_are_passed_over() {
    for (long_line, words) in [
        (LongLine::Cut, "aaaaaaaa next"),
        (LongLine::SplitAtWhitespace, "aaaaaaaa b c d e f g h i next"),
    ] {
        let directory = tempfile::tempdir().expect("a folder");
        let options = LineOptions { long_line, ..LineOptions::default() };
        let stream = b"aaaaaaaaxx b c d e f g h i\nnext\n";
        let begin = || Life::with(":0", directory.path(), Kept::Log, 10, options, 8);
        let mut life = begin();
        // Each connection sends from the start, and one byte more than the one before.
        for end in 1..=stream.len() {
            let mut client = life.connect("TIDEMILL/1 producer=p\n");
            let safe: usize = heard(&mut client).parse().expect("a number");
            assert!(safe == 0 || safe == 27 || safe == stream.len(), "whole lines: {safe}");
            client.get_mut().write_all(&stream[safe..end]).expect("it reads");
            client.get_mut().shutdown(Shutdown::Write).expect("it is connected");
            if end % 5 == 0 {
                // All is read before the next life begins.
                life.tick();
                life.tick();
                life.t.context().stop();
                drop(life);
                life = begin();
            }
        }
        while !life.totals.contains_key("next") {
            life.tick();
        }
        let mut counted = BTreeMap::<String, i64>::new();
        for (line, count) in &life.totals {
            for word in line.split(' ') {
                *counted.entry(word.to_owned()).or_default() += count;
            }
        }
        assert_eq!(counted, once(&words.split(' ').collect::<Vec<_>>()));
        life.t.context().stop();
    }
}

/// The order of the bytes is that of the beginning of the stream, also in later connections.
#[test]
#[cfg(feature = "encoding")]
fn a_stream_in_utf_16_goes_on_in_its_order() {
    let directory = tempfile::tempdir().expect("a folder");
    let encoding = tidemill::Encoding::named("utf-16").expect("a name");
    let options = LineOptions { encoding, ..LineOptions::default() };
    let begin = || Life::with(":0", directory.path(), Kept::LogAlone, 10, options, 1 << 10);
    let bytes = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    let mut life = begin();
    for (round, text) in ["\u{FEFF}first\n", "second\n", "third\n"].into_iter().enumerate() {
        let mut client = life.connect("TIDEMILL/1 producer=p\n");
        heard(&mut client);
        client.get_mut().write_all(&bytes(text)).expect("it reads");
        life.tick_until(round as i64 + 1);
        heard(&mut client);
        if round == 1 {
            life.t.context().stop();
            drop((life, client));
            life = begin();
        }
    }
    assert_eq!(life.totals, once(&["first", "second", "third"]));
    life.t.context().stop();
}

/// Of two connections of a producer the newer one counts.
#[test]
fn a_newer_connection_of_a_producer_takes_the_place_of_the_older() {
    let directory = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(":0", directory.path(), Kept::Log, 10);
    let mut old = life.connect("TIDEMILL/1 producer=p\na\n");
    assert_eq!(heard(&mut old), "0");
    life.tick_until(1);
    assert_eq!(heard(&mut old), "2");
    let mut new = life.connect("TIDEMILL/1 producer=p from=2\n");
    assert_eq!(heard(&mut new), "2");
    assert_eq!(heard(&mut old), "", "it is disconnected");
    new.get_mut().write_all(b"b\n").expect("it reads");
    life.tick_until(2);
    assert_eq!(life.totals, once(&["a", "b"]));
    life.t.context().stop();
}

/// The one that was idle for longest is forgotten, begins where it says, and loses nothing.
#[test]
fn no_more_producers_are_remembered_than_may_be() {
    let directory = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(":0", directory.path(), Kept::Log, 2);
    let mut rows = 0;
    let mut send = |life: &mut Life, id: &str, from: u64, expected: &str| {
        let mut client = life.connect(&format!("TIDEMILL/1 producer={id} from={from}\n"));
        assert_eq!(heard(&mut client), expected, "{id} from {from}");
        client.get_mut().write_all(b"x\n").expect("it reads");
        rows += 1;
        life.tick_until(rows);
        let safe = heard(&mut client);
        assert_eq!(safe.parse::<u64>().expect("a number"), from + 2);
    };
    send(&mut life, "a", 0, "0");
    send(&mut life, "b", 0, "0");
    send(&mut life, "a", 2, "2");
    send(&mut life, "c", 0, "0");
    // It is `b` that is gone: `a` is known.
    let mut client = life.connect("TIDEMILL/1 producer=a\n");
    assert_eq!(heard(&mut client), "4");
    let mut client = life.connect("TIDEMILL/1 producer=c\n");
    assert_eq!(heard(&mut client), "2");
    let mut third = life.connect("TIDEMILL/1 producer=d\n");
    let answer = heard(&mut third);
    assert!(answer.starts_with("refused as many producers"), "{answer}");
    drop(client);
    life.t.context().stop();
    drop(life);
    let mut life = Life::begin(":0", directory.path(), Kept::Log, 2);
    let mut client = life.connect("TIDEMILL/1 producer=b from=2\n");
    life.tick_until(4);
    life.tick();
    assert_eq!(heard(&mut client), "2", "it begins anew");
    assert_eq!(life.totals.values().sum::<i64>(), 4);
    life.t.context().stop();
}

#[test]
fn wrong_greetings_are_refused_with_the_reason() {
    let directory = tempfile::tempdir().expect("a folder");
    let mut life = Life::begin(":0", directory.path(), Kept::Log, 2);
    for (greeting, reason) in [
        ("TIDEMILL/2 producer=a\n", "begins with TIDEMILL/1"),
        ("TIDEMILL/1 producer=a b\n", "no field \"b\""),
        ("TIDEMILL/1 producer=a from=-1\n", "up to 2^62"),
    ] {
        let mut client = life.connect(greeting);
        let answer = heard(&mut client);
        assert!(answer.starts_with("refused ") && answer.contains(reason), "{answer}");
        assert_eq!(heard(&mut client), "");
    }
    assert_eq!(life.t.context().metrics().sources[0].counts.connections_refused, 3);
    // What is no greeting is data, also what only looks like one for a while.
    let plain = life.connect("TIDE\nTIDEMI");
    plain.get_ref().shutdown(Shutdown::Write).expect("it is connected");
    life.tick_until(2);
    assert_eq!(life.totals, once(&["TIDE", "TIDEMI"]));
    life.t.context().stop();
}

/// A row that takes more room than it came in may be in two blocks: both are in the log or none.
#[test]
fn lines_that_grow_past_a_block_are_logged_as_one() {
    let directory = tempfile::tempdir().expect("a folder");
    let begin = || Life::begin(":0", directory.path(), Kept::Log, 2);
    let mut life = begin();
    // Each bad byte takes three; all of it is read at once or in a few pieces.
    let mut stream = Vec::new();
    for line in 0..4_000 {
        stream.extend_from_slice(format!("{line} ").as_bytes());
        stream.extend_from_slice(&[0xFF; 500]);
        stream.push(b'\n');
    }
    for round in 0..4 {
        let mut client = life.connect("TIDEMILL/1 producer=p\n");
        let safe: usize = heard(&mut client).parse().expect("a number");
        let rest = stream[safe..].to_vec();
        let mut sender = client.get_ref().try_clone().expect("a socket");
        let sender = std::thread::spawn(move || {
            // It may be disconnected before.
            let _ = sender.write_all(&rest);
        });
        for _ in 0..=round {
            life.tick();
        }
        life.t.context().stop();
        drop((life, client));
        sender.join().expect("no panic");
        life = begin();
    }
    let mut client = life.connect("TIDEMILL/1 producer=p\n");
    let safe: usize = heard(&mut client).parse().expect("a number");
    let rest = stream[safe..].to_vec();
    let mut sender = client.get_ref().try_clone().expect("a socket");
    let sender = std::thread::spawn(move || sender.write_all(&rest).expect("it reads"));
    life.tick_until(4_000);
    sender.join().expect("no panic");
    (0..3).for_each(|_| life.tick());
    assert_eq!(life.totals.len(), 4_000);
    assert!(life.totals.values().all(|&count| count == 1));
    life.t.context().stop();
}

/// How often a server is killed; `TIDEMILL_KILLS` says another number.
fn kills() -> u64 {
    match std::env::var("TIDEMILL_KILLS").map(|kills| kills.parse().expect("a number")) {
        Ok(kills) => kills,
        Err(_) if std::env::var_os("TIDEMILL_LONG").is_some() => 20,
        Err(_) => 6,
    }
}

const DIRECTORY: &str = "TIDEMILL_TEST_DIRECTORY";
const ADDRESS: &str = "TIDEMILL_TEST_ADDRESS";
const WITHOUT_LOG: &str = "TIDEMILL_TEST_WITHOUT_LOG";

/// A program that counts what producers send, until it is killed or asked to stop.
fn serve(directory: &Path, address: &str, has_log: bool) {
    let builder = StreamingContext::builder("server").warnings_to_stderr(false);
    let builder = builder.batch_interval(Duration::from_millis(10));
    let ssc = builder.build().expect("a context");
    let listen = Listen::bind(address).expect("it is free").acknowledging();
    let lines = ssc.receiver_stream(listen).expect("a stream");
    let counts =
        lines.count_by_value().update_state_by_key("counts.v1", |counts, total: Option<i64>| {
            Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
        });
    let totals = directory.join("totals");
    counts.foreach_batch(move |batch, _| {
        let lines: String = batch.iter().map(|(line, count)| format!("{line} {count}\n")).collect();
        std::fs::write(&totals, lines)?;
        Ok(())
    });
    ssc.checkpoint(directory.join("state"), 3);
    if has_log {
        ssc.intake_log(IntakeLog::synced());
    }
    ssc.stop_gracefully_on_signals().expect("signals");
    ssc.start().expect("it starts");
    ssc.await_termination().expect("it ends well");
}

/// A program with the library is killed at random moments: with the log and without, nothing is
/// lost and nothing doubled.
#[test]
fn kills_of_a_program_double_and_lose_nothing() {
    use std::process::{Child, Stdio};

    if child::is_child() {
        let variable = |name| std::env::var(name).expect("it is set");
        let has_log = std::env::var_os(WITHOUT_LOG).is_none();
        return serve(Path::new(&variable(DIRECTORY)), &variable(ADDRESS), has_log);
    }
    let kills = kills();
    for has_log in [true, false] {
        let folder = tempfile::tempdir().expect("a folder of ours");
        let address = free_address();
        let start = || -> Child {
            let mut server = child::command("producers::kills_of_a_program");
            server.env(DIRECTORY, folder.path()).env(ADDRESS, &address);
            if !has_log {
                server.env(WITHOUT_LOG, "");
            }
            let server = server.stdout(Stdio::null()).stderr(Stdio::null());
            server.spawn().expect("it starts")
        };
        let mut random = Random::new(11);
        let mut producer = Producer::new(&address, "producer");
        let mut sent = 0;
        for _ in 0..kills {
            let mut server = start();
            let (started, lasts) = (Instant::now(), 100 + random.below(500) as u64);
            while started.elapsed() < Duration::from_millis(lasts) {
                // As many as are counted one by one in a short time.
                if producer.kept() < 1 << 13 {
                    producer.send(&format!("line {sent}")).expect("nothing is refused");
                    sent += 1;
                }
                producer.wait().expect("nothing is refused");
            }
            server.kill().expect("it is ours");
            server.wait().expect("it is ours");
        }
        let mut server = start();
        producer.send("last").expect("nothing is refused");
        producer.finish().expect("nothing is refused");
        // What is safe is in the totals once there is a batch with what comes from the log.
        crate::shell::send_signal(&server, "TERM");
        assert!(server.wait().expect("it ends").success());
        let totals = std::fs::read_to_string(folder.path().join("totals")).expect("there are some");
        let totals: BTreeMap<&str, i64> = totals
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(line, count)| (line, count.parse().expect("a number")))
            .collect();
        let doubled: i64 = totals.values().map(|count| count - 1).sum();
        let lost = sent + 1 - totals.len();
        eprintln!("{kills} kills: {doubled} doubled and {lost} lost of {sent} lines");
        assert!((0..sent).all(|number| totals.contains_key(&*format!("line {number}"))));
        assert_eq!((doubled, lost), (0, 0), "of {sent}");
    }
}

/// Lines of a stream: each with words that are counted, and one that all have.
fn line(number: u64) -> String {
    format!("w{} x{} all", number % 997, number % 101)
}

/// The command is killed at random moments while producers send on, connect again and send again
/// what was not acknowledged: none of it is lost, none doubled.
#[test]
fn kills_of_the_command_double_and_lose_nothing() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::shell::{self, Running};

    let folder = tempfile::tempdir().expect("a folder of ours");
    let state = folder.path().join("state");
    let address = free_address();
    let args = ["wordcount", "--listen", &address, "--running", "--all", "--format", "csv"];
    let args = [&args[..], &["--interval", "20ms", "--acknowledge", "--checkpoint"]].concat();
    let args = [&args[..], &[state.to_str().expect("a path of ours")]].concat();
    let has_ended = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..2)
        .map(|id| {
            let (address, has_ended) = (address.clone(), has_ended.clone());
            std::thread::spawn(move || {
                let mut producer = Producer::new(&address, &format!("producer-{id}"));
                let mut sent = 0;
                while !has_ended.load(Ordering::Relaxed) {
                    if producer.kept() < 1 << 16 {
                        producer.send(&line(sent)).expect("nothing is refused");
                        sent += 1;
                    } else {
                        producer.wait().expect("nothing is refused");
                    }
                    if sent.is_multiple_of(50) {
                        producer.step().expect("nothing is refused");
                    }
                }
                producer.finish().expect("nothing is refused");
                sent
            })
        })
        .collect();
    let mut random = Random::new(7);
    let kills = kills();
    for _ in 0..kills {
        let command = Running::start(&args);
        command.address();
        // Past the first checkpoints, now and then.
        std::thread::sleep(Duration::from_millis(random.below(1_500) as u64));
        command.signal("KILL");
    }
    let command = Running::start(&args);
    command.address();
    has_ended.store(true, Ordering::Relaxed);
    let sent: Vec<u64> = producers.into_iter().map(|p| p.join().expect("no panic")).collect();
    command.signal("TERM");
    let (status, rows) = command.end();
    assert!(status.success());
    let mut expected = BTreeMap::<String, u64>::new();
    for line in sent.iter().flat_map(|&sent| 0..sent).map(line) {
        for word in line.split(' ') {
            match expected.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(expected.insert(word.to_owned(), 1)),
            }
        }
    }
    // The last totals are of all words.
    let counted: BTreeMap<_, _> = rows.iter().filter_map(|row| shell::total(row)).collect();
    let total: u64 = sent.iter().sum();
    let doubled = counted["all"].saturating_sub(total);
    let lost = total.saturating_sub(counted["all"]);
    eprintln!("{kills} kills: {doubled} doubled and {lost} lost of {total} lines");
    assert_eq!((doubled, lost), (0, 0), "of {total}");
    assert_eq!(counted, expected);
}
