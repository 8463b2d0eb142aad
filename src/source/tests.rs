//! The receivers against files, pipes and peers that misbehave, by the loop that drives them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::form::Form;
use super::*;
use crate::config::BLOCK_BYTES;
use crate::memory::Memory;
use crate::record::block::BlockPool;

mod directory;
mod faults;
mod follow;

/// How long a test waits for what must come; it only matters when it does not.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the engine does to a receiver, on one thread, with the lines kept.
struct Driver<R> {
    receiver: R,
    waiter: Option<Box<dyn Waiter>>,
    writer: BlockWriter,
    lines: Vec<String>,
    has_ended: bool,
}

impl<R: Receiver> Driver<R> {
    fn new(mut receiver: R) -> Driver<R> {
        let pool = BlockPool::new(4, BLOCK_BYTES, Memory::unlimited().charge("blocks"));
        let writer = BlockWriter::new(pool, LineOptions::default(), Form::Text, BLOCK_BYTES / 4);
        let waiter = receiver.waiter();
        Driver { receiver, waiter, writer, lines: Vec::new(), has_ended: false }
    }

    /// Receives once; returns for how long there is nothing to do.
    fn step(&mut self) -> io::Result<Duration> {
        assert!(self.writer.open(), "all blocks were given back");
        if self.writer.is_full() {
            self.seal();
            return Ok(Duration::ZERO);
        }
        let received = self.receiver.receive(&mut self.writer)?;
        self.seal();
        Ok(match received {
            Received::More => Duration::ZERO,
            Received::Later(duration) => duration,
            Received::End => {
                while self.writer.has_excess() {
                    assert!(self.writer.open());
                    self.seal();
                }
                self.has_ended = true;
                Duration::ZERO
            }
        })
    }

    fn seal(&mut self) {
        if let Some(block) = self.writer.seal() {
            let text = std::str::from_utf8(block.bytes()).expect("blocks of text are text");
            assert!(text.ends_with('\n'), "blocks hold whole lines");
            self.lines.extend(text.lines().map(str::to_owned));
        }
    }

    fn wait(&mut self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        let duration = duration.min(Duration::from_millis(10));
        match &mut self.waiter {
            Some(waiter) => waiter.wait(duration).unwrap(),
            None => std::thread::sleep(duration),
        }
    }

    fn run_until(&mut self, is_done: impl Fn(&Driver<R>) -> bool) {
        let start = Instant::now();
        while !is_done(self) {
            assert!(start.elapsed() < PATIENCE, "in vain; so far {:?}", self.lines);
            let duration = self.step().unwrap();
            if !is_done(self) {
                self.wait(duration);
            }
        }
    }

    fn run_to_end(&mut self) -> &[String] {
        self.run_until(|driver| driver.has_ended);
        &self.lines
    }

    fn expect(&mut self, lines: &[&str]) {
        self.run_until(|driver| driver.lines.len() >= lines.len());
        assert_eq!(self.lines, lines);
    }

    /// Receives until there has been nothing to receive for a while.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 5 {
            let before = self.lines.len();
            let duration = self.step().unwrap();
            self.wait(duration);
            let is_quiet = self.lines.len() == before && !duration.is_zero();
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn socket(address: &str) -> Driver<Socket> {
    let delay = Duration::from_millis(5);
    Driver::new(Socket::connect(address).unwrap().reconnect_after(delay))
}

/// Closes with a reset instead of an end.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Accepts while the driver keeps connecting.
fn accept(listener: &TcpListener, driver: &mut Driver<Socket>) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return stream;
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        assert!(start.elapsed() < PATIENCE, "nobody connects");
        let duration = driver.step().unwrap();
        driver.wait(duration);
    }
}

/// Positions are kept under these names.
#[test]
fn a_path_has_one_name() {
    let follow = Follow::new(["./none/./a", "none/a", "none//a"]).unwrap();
    assert_eq!(follow.name(), "follow none/a");
    assert!(Follow::new(["."]).is_err());
    // Of directories these are absolute.
    let here = std::env::current_dir().unwrap();
    let name = |path: &Path| format!("directory {}", path.display());
    assert_eq!(Directory::new("./src/").unwrap().name(), name(&here.join("src")));
    assert_eq!(Directory::new(".").unwrap().name(), name(&here));
}

#[test]
fn socket_reads_and_reconnects() {
    let (listener, address) = server();
    let mut driver = socket(&address);
    let mut stream = accept(&listener, &mut driver);
    stream.write_all(b"a\nb\r\nunfin").unwrap();
    driver.expect(&["a", "b"]);
    stream.write_all(b"ished\nlast").unwrap();
    driver.expect(&["a", "b", "unfinished"]);
    drop(stream);
    driver.expect(&["a", "b", "unfinished", "last"]);
    let mut stream = accept(&listener, &mut driver);
    stream.write_all(b"c\n").unwrap();
    driver.expect(&["a", "b", "unfinished", "last", "c"]);
}

#[test]
fn socket_finds_names() {
    let (listener, address) = server();
    let mut driver = socket(&address.replace("127.0.0.1", "localhost"));
    let mut stream = accept(&listener, &mut driver);
    stream.write_all(b"a\n").unwrap();
    driver.expect(&["a"]);
}

#[test]
fn socket_survives_a_reset_and_drops_the_torn_line() {
    let (listener, address) = server();
    let mut driver = socket(&address);
    let mut stream = accept(&listener, &mut driver);
    stream.write_all(b"a\ntorn").unwrap();
    driver.expect(&["a"]);
    reset(stream);
    let mut stream = accept(&listener, &mut driver);
    stream.write_all(b"b\n").unwrap();
    driver.expect(&["a", "b"]);
}

#[test]
fn socket_waits_for_a_server_that_refuses() {
    // Bound, and so nobody else's, but not listening yet.
    let server = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    server.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = server.local_addr().unwrap().as_socket().unwrap().to_string();
    let mut driver = socket(&address);
    driver.run_until(|driver| driver.receiver.failures() >= 2);
    server.listen(1).unwrap();
    let listener = TcpListener::from(server);
    let mut stream = accept(&listener, &mut driver);
    stream.write_all(b"a\n").unwrap();
    driver.expect(&["a"]);
    assert_eq!(driver.receiver.failures(), 0);
}

#[test]
fn socket_goes_on_after_a_name_that_is_none() {
    let mut driver = socket(&format!("{}:9", "x".repeat(300)));
    driver.run_until(|driver| driver.receiver.failures() >= 2);
}

#[test]
fn socket_takes_addresses_only() {
    for address in [
        "",
        "host",
        "host:",
        ":9",
        "host:port",
        "host:0",
        "host:65536",
        "::1:9",
        "[::1:9",
        "[x]:9",
        "a b:9",
    ] {
        let error = Socket::connect(address).err().expect(address);
        assert_eq!(error.kind(), crate::ErrorKind::Config);
        assert!(error.to_string().contains("HOST:PORT"), "{error}");
    }
    for address in ["host:9", "10.0.0.1:65535", "[::1]:9"] {
        Socket::connect(address).unwrap();
    }
}

#[test]
fn socket_reads_more_than_all_blocks_hold() {
    let (listener, address) = server();
    let mut driver = socket(&address);
    let stream = accept(&listener, &mut driver);
    let sender = std::thread::spawn(move || {
        let mut stream = io::BufWriter::with_capacity(100_000, stream);
        for n in 0..700_000 {
            writeln!(stream, "line {n}").unwrap();
        }
    });
    driver.run_until(|driver| driver.lines.len() == 700_000);
    sender.join().unwrap();
    assert!(driver.lines.iter().enumerate().all(|(n, line)| *line == format!("line {n}")));
}

fn listen() -> (Listen, SocketAddr) {
    let listen = Listen::bind(":0").unwrap();
    let address = listen.local_addr();
    assert!(address.ip().is_loopback());
    (listen, address)
}

#[test]
fn listen_takes_many_connections() {
    let (listen, address) = listen();
    let mut driver = Driver::new(listen.ends_with_last());
    let mut clients = Vec::new();
    while clients.len() < 300 {
        clients.push(TcpStream::connect(address).unwrap());
        // Or the system's queue of those to accept gets full.
        driver.step().unwrap();
    }
    for (n, client) in clients.iter_mut().enumerate() {
        write!(client, "hello {n}\nbye").unwrap();
    }
    driver.run_until(|driver| driver.lines.len() == 300);
    for (n, client) in clients.iter_mut().enumerate() {
        write!(client, " {n}").unwrap();
    }
    drop(clients);
    let mut lines = driver.run_to_end().to_vec();
    let mut expected: Vec<_> =
        (0..300).flat_map(|n| [format!("hello {n}"), format!("bye {n}")]).collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
}

#[test]
fn listen_hears_the_slow_beside_the_fast() {
    let (listen, address) = listen();
    let mut driver = Driver::new(listen);
    let mut fast = TcpStream::connect(address).unwrap();
    let sender = std::thread::spawn(move || {
        let text = "fast\n".repeat(20_000);
        while fast.write_all(text.as_bytes()).is_ok() {}
    });
    driver.run_until(|driver| driver.lines.len() > 100_000);
    // These come while the fast one never lets the receiver wait.
    let mut slow: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut slow {
        client.write_all(b"slow\n").unwrap();
    }
    driver.lines.clear();
    let start = Instant::now();
    let mut heard = 0;
    while heard < slow.len() {
        assert!(start.elapsed() < PATIENCE, "heard {heard}");
        driver.step().unwrap();
        heard += driver.lines.drain(..).filter(|line| line == "slow").count();
    }
    drop(driver);
    sender.join().unwrap();
}

#[test]
fn listen_refuses_those_beyond_the_maximum() {
    let (listen, address) = listen();
    let refused = listen.connections_refused();
    let mut driver = Driver::new(listen.connections_max(2));
    let mut first = TcpStream::connect(address).unwrap();
    let mut second = TcpStream::connect(address).unwrap();
    first.write_all(b"1\n").unwrap();
    driver.expect(&["1"]);
    second.write_all(b"2\n").unwrap();
    driver.expect(&["1", "2"]);
    let third = TcpStream::connect(address).unwrap();
    driver.run_until(|_| refused.load(Ordering::Relaxed) == 1);
    drop(third);
    reset(second);
    driver.settle();
    // A place is free again.
    let mut fourth = TcpStream::connect(address).unwrap();
    fourth.write_all(b"4").unwrap();
    fourth.shutdown(Shutdown::Write).unwrap();
    driver.expect(&["1", "2", "4"]);
    first.write_all(b"still here\n").unwrap();
    driver.expect(&["1", "2", "4", "still here"]);
    assert_eq!(refused.load(Ordering::Relaxed), 1);
}

#[test]
fn listen_drops_the_torn_line_of_a_reset() {
    let (listen, address) = listen();
    let mut driver = Driver::new(listen.ends_with_last());
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"whole\ntorn").unwrap();
    driver.expect(&["whole"]);
    reset(client);
    assert_eq!(driver.run_to_end(), ["whole"]);
}

#[test]
fn listen_says_why_it_cannot() {
    let (_listener, address) = server();
    let error = Listen::bind(&address).err().unwrap();
    assert_eq!(error.kind(), crate::ErrorKind::Source);
    assert!(error.to_string().contains(&address), "{error}");
    for address in ["", "host", "127.0.0.1:port", "65536"] {
        let error = Listen::bind(address).err().expect(address);
        assert_eq!(error.kind(), crate::ErrorKind::Config, "{error}");
    }
}

#[test]
fn files_are_read_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let long = "x".repeat(300_000);
    fs::write(path("a"), "one\ntwo").unwrap();
    fs::write(path("b"), "").unwrap();
    fs::write(path("c"), format!("three\r\n\n{long}")).unwrap();
    fs::write(path("d"), "four\n").unwrap();
    let files = Files::open(["a", "b", "c", "d"].map(path)).unwrap();
    let (total, progress) = (files.bytes_total(), files.progress());
    assert!(files.is_bounded());
    let mut driver = Driver::new(files);
    let cut = &long[..BLOCK_BYTES / 4];
    assert_eq!(driver.run_to_end(), ["one", "two", "three", "", cut, "four"]);
    assert_eq!(progress.load(Ordering::Relaxed), total);
    assert_eq!(driver.receiver.receive(&mut driver.writer).unwrap(), Received::End);
}

/// A list may be another one in each run: places in files are kept until they are in it again.
#[test]
fn files_that_were_begun_are_gone_on_with_in_any_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Longer than what a receiver gives at once, so that it stops in between.
    let long = |name: &str| -> Vec<String> {
        (0..BLOCK_BYTES / 8).map(|number| format!("{name} {number}")).collect()
    };
    for name in ["a", "b"] {
        fs::write(path(name), long(name).join("\n")).unwrap();
    }
    fs::write(path("c"), "c\n").unwrap();
    let start = |names: &[&str], position: &Option<Vec<u8>>| {
        let mut files = Files::open(names.iter().map(|name| path(name))).unwrap();
        if let Some(position) = position {
            files.resume(position).unwrap();
        }
        Driver::new(files)
    };
    let (mut position, mut lines) = (None, Vec::new());
    // Two are begun, and are not in the list when the third is read.
    for (names, steps) in [(&["a", "c"][..], 3), (&["b"], 3), (&["c"], 0), (&["c", "b", "a"], 0)] {
        let mut driver = start(names, &position);
        if steps == 0 {
            driver.run_to_end();
        }
        for _ in 0..steps {
            driver.step().unwrap();
        }
        lines.append(&mut driver.lines);
        position = driver.receiver.position();
    }
    for name in ["a", "b"] {
        let own: Vec<&String> = lines.iter().filter(|line| line.starts_with(name)).collect();
        assert_eq!(own, long(name).iter().collect::<Vec<_>>());
    }
    assert_eq!(lines.iter().filter(|line| *line == "c").count(), 1);
    let mut driver = start(&["a", "b", "c", "a"], &position);
    assert_eq!(driver.run_to_end(), long("a"), "only what is in the list once more");
}

#[test]
fn files_are_looked_at_when_opened() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (path, cause) in [(missing.as_path(), "No such file"), (folder.path(), "directory")] {
        let error = Files::open([path]).err().unwrap();
        assert_eq!(error.kind(), crate::ErrorKind::Source);
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains(cause), "{text}");
    }
}

#[test]
fn a_file_that_has_gone_ends_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "one\n").unwrap();
    let mut driver = Driver::new(Files::open([&path]).unwrap());
    fs::remove_file(&path).unwrap();
    let error = driver.step().unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[cfg(unix)]
mod stdin {
    use std::fs::File;
    use std::io::pipe;
    use std::os::fd::AsFd;

    use super::*;

    fn over(fd: impl AsFd) -> io::Result<Stdin> {
        Stdin::over(|pipes| pipes.over(fd.as_fd()))
    }

    #[test]
    fn a_pipe_is_read_as_it_comes() {
        let (reader, mut writer) = pipe().unwrap();
        let stdin = over(&reader).unwrap();
        assert!(!stdin.is_bounded());
        let mut driver = Driver::new(stdin);
        driver.settle();
        writer.write_all(b"a\nb").unwrap();
        driver.expect(&["a"]);
        // Nothing is there: a read would block for ever.
        driver.settle();
        writer.write_all(b"c\nlast").unwrap();
        driver.expect(&["a", "bc"]);
        drop(writer);
        assert_eq!(driver.run_to_end(), ["a", "bc", "last"]);
    }

    #[test]
    fn a_pipe_may_be_full_and_closed_before_the_first_read() {
        let (reader, mut writer) = pipe().unwrap();
        let mut driver = Driver::new(over(&reader).unwrap());
        drop(reader);
        let sender = std::thread::spawn(move || {
            for n in 0..300_000 {
                writer.write_all(format!("line {n}\n").as_bytes()).unwrap();
            }
        });
        let lines = driver.run_to_end();
        assert_eq!(lines.len(), 300_000);
        assert!(lines.iter().enumerate().all(|(n, line)| *line == format!("line {n}")));
        sender.join().unwrap();
    }

    #[test]
    fn a_file_is_bounded_and_read_from_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "skipped\none\ntwo").unwrap();
        let mut file = File::open(&path).unwrap();
        io::copy(&mut io::Read::take(&mut file, 8), &mut io::sink()).unwrap();
        let stdin = over(&file).unwrap();
        assert!(stdin.is_bounded());
        assert_eq!(Driver::new(stdin).run_to_end(), ["one", "two"]);
    }

    #[test]
    fn a_device_that_cannot_be_polled_is_bounded() {
        let stdin = over(File::open("/dev/null").unwrap()).unwrap();
        assert!(Driver::new(stdin).run_to_end().is_empty());
    }

    #[test]
    fn a_directory_is_refused() {
        assert!(over(File::open("/").unwrap()).is_err());
    }
}

#[cfg(unix)]
mod pipes {
    use std::io::pipe;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    use super::*;
    use crate::source::open_file::open_regular;

    fn fifo(folder: &tempfile::TempDir, name: &str) -> PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = folder.path().join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    /// Writes from a thread of its own: opening waits for who reads.
    fn feed(path: &Path, text: &'static str) -> std::thread::JoinHandle<()> {
        let path = path.to_owned();
        std::thread::spawn(move || fs::write(path, text).unwrap())
    }

    /// As where a pipe takes the name of a file between a look and the opening.
    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = open_regular(&fifo(&folder, "pipe")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn pipes_take_their_turn_among_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one\ntwo").unwrap();
        let [first, last] = ["first", "last"].map(|name| fifo(&folder, name));
        let files = Files::open([&first, &file, &PathBuf::from("/dev/null"), &last]).unwrap();
        assert!(!files.is_bounded() && files.position().is_none());
        assert_eq!(files.bytes_total(), 7);
        let progress = files.progress();
        let mut driver = Driver::new(files);
        // Nobody has opened it for writing yet: that is no end.
        driver.settle();
        let writers = [feed(&first, "\u{FEFF}zero\nhalf"), feed(&last, "three\n")];
        let expected = ["zero", "half", "one", "two", "three"];
        assert_eq!(driver.run_to_end(), expected);
        assert_eq!(progress.load(Ordering::Relaxed), 7);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }

    #[test]
    fn a_look_at_the_first_line_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [empty, named, other] = ["empty", "named", "other"].map(|name| fifo(&folder, name));
        let mut files = Files::open([&empty, &named, &other]).unwrap();
        let writers = [feed(&empty, ""), feed(&named, "\"a\n\";b\r\n1;2\n"), feed(&other, "3;4")];
        let is_open = |line: &str| line.matches('"').count() % 2 == 1;
        let first = files.wait_for_first_line(Encoding::UTF_8, is_open).unwrap();
        assert_eq!(first, Some((named, "\"a\n\";b".to_owned())));
        let files = files.first_line(|_, line| match line {
            "\"a" => FirstLine::More,
            "\"a\n\";b" => FirstLine::Skip,
            _ => FirstLine::Refuse("it has no header".to_owned()),
        });
        let mut driver = Driver::new(files);
        assert_eq!(driver.run_to_end(), ["1;2"]);
        assert_eq!(driver.writer.counters().get().files_unread, 1);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }

    #[test]
    fn a_pipe_of_another_process_is_read_by_its_descriptor() {
        let (reader, mut writer) = pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let mut driver = Driver::new(Files::open([path]).unwrap());
        driver.settle();
        writer.write_all(b"one\ntw").unwrap();
        driver.expect(&["one"]);
        writer.write_all(b"o").unwrap();
        drop(writer);
        assert_eq!(driver.run_to_end(), ["one", "two"]);
    }

    #[test]
    fn what_is_compressed_is_no_text_in_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder, "fifo");
        let mut driver = Driver::new(Files::open([&path]).unwrap());
        driver.settle();
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        // Byte by byte: its beginning is no text either.
        for byte in [0x1F, 0x8B, 0x08] {
            driver.settle();
            assert!(driver.lines.is_empty());
            writer.write_all(&[byte]).unwrap();
        }
        let start = Instant::now();
        let error = loop {
            assert!(start.elapsed() < PATIENCE);
            match driver.step() {
                Ok(duration) => driver.wait(duration),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("gzip -dc") && error.contains(path.to_str().unwrap()), "{error}");
        assert!(driver.lines.is_empty());
    }
}
