//! Connections of a server: how many there may be, how long, and what becomes of their
//! descriptors. A checkpoint and a log always have theirs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{IntakeLog, LineOptions, Listen};

#[cfg(target_os = "linux")]
use crate::child;
use crate::feed::{DEADLINE, wait_until};
#[cfg(feature = "cli")]
use crate::shell::{PATIENCE, Running, STREAM};

/// Closes with a reset instead of an end.
#[cfg(all(target_os = "linux", feature = "cli"))]
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// The descriptors of a process.
#[cfg(all(target_os = "linux", feature = "cli"))]
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

/// The batch of the newest checkpoint.
#[cfg(all(target_os = "linux", feature = "cli"))]
fn newest(state: &std::path::Path) -> u64 {
    tidemill::checkpoint::verify(state).ok().and_then(|verified| verified.start).unwrap_or(0)
}

/// A server with a log, whose receipts are those of the log.
fn server(
    listen: Listen,
    options: LineOptions,
    line_bytes: usize,
) -> (StreamingContext, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a folder");
    let limits = Limits { line_bytes, ..Limits::default() };
    let builder = StreamingContext::builder("server").batch_interval(Duration::from_millis(10));
    let ssc = builder.limits(limits).warnings_to_stderr(false).build().expect("a context");
    ssc.text_stream(listen, options).expect("a stream").count().foreach_batch(|_, _| Ok(()));
    ssc.checkpoint(directory.path(), 1000);
    ssc.intake_log(IntakeLog::synced());
    ssc.start().expect("it starts");
    (ssc, directory)
}

fn receipt(receipts: &mut impl BufRead) -> String {
    let mut line = String::new();
    receipts.read_line(&mut line).expect("a receipt");
    line.trim_end().to_owned()
}

/// Idle connections up to the limit of descriptors, and more: checkpoints go on, those that have a
/// place are heard, and those that were refused are told of in the end.
#[test]
#[cfg(all(target_os = "linux", feature = "cli"))]
fn idle_connections_never_stop_checkpoints() {
    let folder = tempfile::tempdir().expect("a folder of ours");
    let state = folder.path().join("state");
    let state_arg = state.to_str().expect("a path of ours");
    for acknowledge in [&["--acknowledge"][..], &[]] {
        let args = [&["wordcount", "--listen", "127.0.0.1:0", "--all"], &STREAM[..], acknowledge];
        let args = [&args.concat()[..], &["--checkpoint", state_arg]].concat();
        let command = Running::start_by_shell("ulimit -n 64; exec", &args);
        let address = command.address();
        let mut first = TcpStream::connect(&address).expect("it listens");
        first.write_all(b"begin\n").expect("it reads");
        command.wait_for(|line| line.contains(",begin,"));
        let idle: Vec<_> =
            (0..200).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
        let refusal = loop {
            let line = command.stderr.recv_timeout(PATIENCE).expect("it tells of refusals");
            if line.contains("refused") {
                break line;
            }
        };
        assert!(refusal.contains("the process may open 64 descriptors (ulimit -n)"), "{refusal}");
        assert!(descriptors(command.id()) <= 64 - 8, "some are left");
        // Each checkpoint has a new file; there are several, with words in each.
        for round in 0..3 {
            let before = newest(&state);
            writeln!(first, "round{round}").expect("it reads");
            command.wait_for(|line| line.contains(&format!(",round{round},")));
            wait_until("a checkpoint", || newest(&state) > before);
        }
        // Places are free again when others leave.
        drop(idle);
        let mut last = TcpStream::connect(&address).expect("it listens");
        wait_until("a place is free", || {
            last.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
            let has_place = last.write_all(b"last\n").is_ok()
                && match last.read(&mut [0; 8]) {
                    Ok(count) => count > 0,
                    Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
                };
            if !has_place {
                last = TcpStream::connect(&address).expect("it listens");
            }
            has_place
        });
        command.wait_for(|line| line.contains(",last,"));
        command.signal("TERM");
        let said = command.stderr_to_the_end().join("\n");
        let (status, _) = command.end();
        assert_eq!(status.code(), Some(4), "{said}");
        assert!(said.contains("senders refused"), "{said}");
        std::fs::remove_dir_all(&state).expect("it is ours");
    }
}

/// A program with the library is left its descriptors, too.
#[test]
#[cfg(target_os = "linux")]
fn connections_of_a_program_leave_descriptors_to_files() {
    use std::sync::atomic::Ordering;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    if !child::is_child() {
        child::run("connections::connections_of_a_program_leave_descriptors_to_files", &[]);
        return;
    }
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(120), ..limits }).expect("it is lowered");
    let listen = Listen::bind(":0").expect("a port");
    let (address, refused) = (listen.local_addr(), listen.connections_refused());
    let (ssc, _directory) = server(listen, LineOptions::default(), 1 << 10);
    let mut clients = Vec::new();
    wait_until("one is refused", || {
        // Each has a descriptor at this end, too.
        clients.push(TcpStream::connect(address).expect("there is a descriptor"));
        refused.load(Ordering::Relaxed) > 0
    });
    let files = std::iter::repeat_with(|| std::fs::File::open("/dev/null"));
    let files: Vec<_> = files.map_while(Result::ok).collect();
    // A quarter of them, but for those of the last clients.
    assert!(files.len() >= 20, "{} of 30 are left", files.len());
    drop(files);
    assert!(clients.len() > 20, "{} have come", clients.len());
    // Those that have a place are heard.
    clients[0].write_all(b"line\n").expect("it reads");
    wait_until("a line", || ssc.metrics().bytes_received() == 5);
    assert!(ssc.metrics().sources[0].counts.connections_refused > 0);
    ssc.stop();
}

/// The command raises its soft limit to the hard one.
#[test]
#[cfg(all(target_os = "linux", feature = "cli"))]
fn the_soft_limit_is_raised() {
    let args = ["wordcount", "--listen", "127.0.0.1:0"];
    let command = Running::start_by_shell("ulimit -Sn 40; ulimit -Hn 300; exec", &args);
    let address = command.address();
    let held: Vec<_> =
        (0..100).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    wait_until("all have places", || descriptors(command.id()) >= 100);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", command.id()));
    let limits = limits.expect("it runs");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(files.split_whitespace().nth(3), Some("300"), "{files}");
    drop(held);
    command.signal("TERM");
    assert!(command.end().0.success(), "nobody was refused");
}

/// A client that resets, that ends without hearing its receipt, or that never reads one: its
/// descriptor comes back.
#[test]
#[cfg(all(target_os = "linux", feature = "cli"))]
fn connections_that_broke_or_ended_give_their_descriptors_back() {
    let folder = tempfile::tempdir().expect("a folder of ours");
    let state = folder.path().join("state");
    let args = ["--acknowledge", "--checkpoint", state.to_str().expect("a path of ours")];
    let (command, address) = Running::listen("wordcount", &[&STREAM[..], &args].concat());
    let mut held = TcpStream::connect(&address).expect("it listens");
    held.write_all(b"begin\n").expect("it reads");
    command.wait_for(|line| line.contains(",begin,"));
    let before = descriptors(command.id());
    let rounds = if std::env::var_os("TIDEMILL_LONG").is_some() { 120 } else { 10 };
    for round in 0..rounds {
        for kind in 0..50 {
            let mut client = TcpStream::connect(&address).expect("it listens");
            let sent: &[u8] = if kind % 2 == 0 { b"line\n" } else { b"line\nunfinished" };
            client.write_all(sent).expect("it reads");
            match kind % 5 {
                0 => reset(client),
                1 => {
                    client.shutdown(Shutdown::Write).expect("it is connected");
                    reset(client);
                }
                2 => {
                    // Without a look at what is there to read.
                    client.shutdown(Shutdown::Write).expect("it is connected");
                }
                3 => {
                    client.shutdown(Shutdown::Read).expect("it is connected");
                    client.write_all(b"more\n").expect("it reads");
                    reset(client);
                }
                _ => drop(client),
            }
        }
        let what = format!("round {round}: as many descriptors as before");
        // The log and the checkpoints have a few now and then.
        wait_until(&what, || descriptors(command.id()) <= before + 2);
    }
    held.write_all(b"end\n").expect("it reads");
    command.wait_for(|line| line.contains(",end,"));
    command.signal("TERM");
    assert!(command.end().0.success());
}

/// One that has ended and that nothing can be told, as no checkpoint and no log makes anything
/// safe, is waited for no longer than the idle timeout, and not where others need its place.
#[test]
fn clients_that_wait_for_a_receipt_that_never_comes_are_disconnected() {
    let run = |listen: Listen| {
        let address = listen.local_addr();
        let builder = StreamingContext::builder("server").warnings_to_stderr(false);
        let ssc = builder.batch_interval(Duration::from_millis(10)).build().expect("a context");
        ssc.receiver_stream(listen).expect("a stream").count().foreach_batch(|_, _| Ok(()));
        ssc.start().expect("it starts");
        (ssc, address)
    };
    let ended = |address| {
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(b"line\n").expect("it reads");
        client.shutdown(Shutdown::Write).expect("it is connected");
        client.set_read_timeout(Some(DEADLINE)).expect("a time");
        client
    };
    let listen = || Listen::bind(":0").expect("a port").acknowledging();
    let (ssc, address) = run(listen().idle_timeout(Duration::from_millis(50)));
    assert_eq!(ended(address).read(&mut [0; 8]).expect("an end"), 0);
    ssc.stop();

    let listen = listen().connections_max(3);
    let refused = listen.connections_refused();
    let (ssc, address) = run(listen);
    let mut waiting: Vec<TcpStream> = (1..=20)
        .map(|count| {
            let client = ended(address);
            wait_until("it is read", || ssc.metrics().bytes_received() == count * 5);
            client
        })
        .collect();
    let mut live = TcpStream::connect(address).expect("it listens");
    live.write_all(b"line\n").expect("it reads");
    wait_until("all lines are there", || ssc.metrics().bytes_received() == 21 * 5);
    let gone = waiting.iter_mut().map(|client| {
        client.set_nonblocking(true).expect("a socket");
        usize::from(matches!(client.read(&mut [0; 8]), Ok(0)))
    });
    assert!(gone.sum::<usize>() >= 17, "there are three places");
    assert_eq!(refused.load(std::sync::atomic::Ordering::Relaxed), 0);
    ssc.stop();
}

/// A client that sends nothing is disconnected after the idle timeout, one that sends is not.
#[test]
fn idle_connections_are_closed() {
    let listen = Listen::bind(":0").expect("a port").idle_timeout(Duration::from_millis(200));
    let address = listen.local_addr();
    let (ssc, _directory) = server(listen, LineOptions::default(), 1 << 10);
    let mut busy = TcpStream::connect(address).expect("it listens");
    let mut idle = TcpStream::connect(address).expect("it listens");
    idle.write_all(b"unfinished").expect("it reads");
    idle.set_read_timeout(Some(Duration::from_millis(10))).expect("a time");
    let mut sent = 0;
    wait_until("the idle one is disconnected", || {
        busy.write_all(b"line\n").expect("it is never idle");
        sent += 5;
        matches!(idle.read(&mut [0; 8]), Ok(0))
    });
    busy.write_all(b"line\n").expect("it is not disconnected");
    let all = sent + 5 + 10;
    wait_until("all is received", || ssc.metrics().bytes_received() == all);
    ssc.stop();
}

#[test]
#[cfg(feature = "cli")]
fn idle_connections_of_the_command_are_closed_and_told() {
    let args = [&STREAM[..], &["--idle-timeout", "100ms"]].concat();
    let (command, address) = Running::listen("wordcount", &args);
    let mut idle = TcpStream::connect(&address).expect("it listens");
    idle.write_all(b"whole\nhalf").expect("it reads");
    idle.set_read_timeout(Some(DEADLINE)).expect("a time");
    assert_eq!(idle.read(&mut [0; 8]).expect("an end"), 0);
    // As where it had ended by itself.
    command.wait_for(|line| line.contains(",half,"));
    let line = command.stderr.recv_timeout(PATIENCE).expect("it is told");
    assert!(line.contains("it was idle for 100ms"), "{line}");
    // Nobody else is.
    let (never, address) = Running::listen("wordcount", &["--idle-timeout", "never"]);
    let mut idle = TcpStream::connect(&address).expect("it listens");
    idle.set_read_timeout(Some(Duration::from_millis(300))).expect("a time");
    idle.read(&mut [0; 8]).expect_err("it stays");
    for command in [command, never] {
        command.signal("TERM");
        while command.stderr.recv_timeout(PATIENCE)
            != Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
        {}
        assert!(command.end().0.success());
    }
    let output = crate::shell::run(&["wordcount", "--listen", ":0", "--idle-timeout", "0s"]);
    crate::shell::assert_fails(&output, 2, &["'0s'", "between 1ms and 24h, or never"]);
}

/// Bytes of a line are acknowledged when its line end has come, whatever becomes of the line.
#[test]
#[cfg(feature = "encoding")]
fn whole_lines_only_are_acknowledged() {
    use tidemill::LongLine::{Cut, Reject, SplitAt, SplitAtWhitespace};

    for long_line in [Cut, Reject, SplitAtWhitespace, SplitAt(b';')] {
        for name in ["utf-8", "utf-16le", "utf-16"] {
            let encoding = tidemill::Encoding::named(name).expect("a name");
            let options = LineOptions { long_line, encoding, ..LineOptions::default() };
            whole_lines_only(options, name != "utf-8");
        }
    }
    let quoted = LineOptions { quoted: Some(b','), ..LineOptions::default() };
    whole_lines_only(quoted, false);
}

fn whole_lines_only(options: LineOptions, is_wide: bool) {
    let listen = Listen::bind(":0").expect("a port").acknowledging();
    let address = listen.local_addr();
    let (ssc, _directory) = server(listen, options, 1 << 10);
    let bytes = |text: &str| match is_wide {
        false => text.as_bytes().to_vec(),
        true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    };
    let connect = || {
        let client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(DEADLINE)).expect("a time");
        BufReader::new(client)
    };
    let mut client = connect();
    // A mark at the beginning is no line.
    let first = bytes("\u{FEFF}hello\r\n");
    client.get_mut().write_all(&first).expect("it reads");
    assert_eq!(receipt(&mut client), first.len().to_string());
    let (mut sent, mut received) = (first.len(), first.len());
    // Longer than a line may be and than what is read at once; half of a line end ends none.
    for part in ["x".repeat(300_000), "word; ".repeat(50_000), "\r".to_owned()] {
        let part = bytes(&part);
        client.get_mut().write_all(&part).expect("it reads");
        (sent, received) = (sent + part.len(), received + part.len());
        wait_until("it is received", || ssc.metrics().bytes_received() == received as u64);
        // Receipts of both come from one block of the log, this one's first.
        let (mut other, line) = (connect(), bytes("x\n"));
        other.get_mut().write_all(&line).expect("it reads");
        received += line.len();
        assert_eq!(receipt(&mut other), line.len().to_string());
        client.get_ref().set_nonblocking(true).expect("a socket");
        let told = client.read(&mut [0; 8]).expect_err("nothing is told");
        assert_eq!(told.kind(), std::io::ErrorKind::WouldBlock, "{options:?}");
        client.get_ref().set_nonblocking(false).expect("a socket");
    }
    let end = bytes("\n");
    client.get_mut().write_all(&end).expect("it reads");
    assert_eq!(receipt(&mut client), (sent + end.len()).to_string(), "{options:?}");
    // Who ends the connection ends the line.
    let last = bytes("last");
    client.get_mut().write_all(&last).expect("it reads");
    client.get_ref().shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(receipt(&mut client), (sent + end.len() + last.len()).to_string());
    assert_eq!(receipt(&mut client), "");
    ssc.stop();
}

/// A record that is not whole is never acknowledged.
#[test]
fn whole_records_only_are_acknowledged() {
    let listen = Listen::bind(":0").expect("a port").acknowledging();
    let address = listen.local_addr();
    let directory = tempfile::tempdir().expect("a folder");
    let builder = StreamingContext::builder("records").warnings_to_stderr(false);
    let ssc = builder.batch_interval(Duration::from_millis(10)).build().expect("a context");
    ssc.record_stream(listen, 4).expect("a stream").count().foreach_batch(|_, _| Ok(()));
    ssc.checkpoint(directory.path(), 1000);
    ssc.intake_log(IntakeLog::synced());
    ssc.start().expect("it starts");
    let client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).expect("a time");
    let mut client = BufReader::new(client);
    for (part, safe) in [(&b"12345"[..], "4"), (b"678", "8"), (b"9ABC\n", "12")] {
        client.get_mut().write_all(part).expect("it reads");
        assert_eq!(receipt(&mut client), safe);
    }
    client.get_ref().shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(receipt(&mut client), "");
    ssc.stop();
}

/// A process that has no descriptor left waits, rather than asking again and again, and hears who
/// has come in the meantime when there is one again.
#[test]
#[cfg(target_os = "linux")]
fn accepting_waits_where_no_descriptor_is_left() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use rustix::time::{ClockId, clock_gettime};

    if !child::is_child() {
        child::run("connections::accepting_waits_where_no_descriptor_is_left", &[]);
        return;
    }
    let builder = StreamingContext::builder("server").warnings_to_stderr(false);
    let ssc = builder.batch_interval(Duration::from_secs(10)).build().expect("a context");
    let listen = Listen::bind(":0").expect("a port");
    let address = listen.local_addr();
    ssc.receiver_stream(listen).expect("a stream").count().foreach_batch(|_, _| Ok(()));
    ssc.start().expect("it starts");
    let mut first = TcpStream::connect(address).expect("it listens");
    first.write_all(b"line\n").expect("it reads");
    wait_until("a line", || ssc.metrics().bytes_received() == 5);
    let names = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let numbers = names.map(|name| name.expect("a name").file_name().into_string());
    let last = numbers.map(|name| name.expect("a number").parse::<u64>().expect("a number")).max();
    let limits = getrlimit(Resource::Nofile);
    // One for the client, if none of those below is free, and the system gives the lowest.
    let _held: Vec<_> = std::iter::from_fn(|| {
        let file = std::fs::File::open("/dev/null").ok()?;
        let is_below = std::os::fd::AsRawFd::as_raw_fd(&file) as u64 <= last?;
        is_below.then_some(file)
    })
    .collect();
    let current = last.map(|last| last + 2);
    setrlimit(Resource::Nofile, Rlimit { current, ..limits }).expect("it is lowered");
    let mut second = TcpStream::connect(address).expect("the system takes it");
    second.write_all(b"line\n").expect("the system takes it");
    let used = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let before = used();
    std::thread::sleep(Duration::from_secs(1));
    assert!(used() - before < Duration::from_millis(500), "it spins");
    assert_eq!(ssc.metrics().bytes_received(), 5);
    setrlimit(Resource::Nofile, limits).expect("it is raised");
    wait_until("the second one is heard", || ssc.metrics().bytes_received() == 10);
    ssc.stop();
}
