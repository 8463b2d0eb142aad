//! The command's resident memory stays within `--memory` and what its manual names besides,
//! whatever comes. A test that cannot measure fails.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process_memory::bytes_of;
use crate::shell::{Running, tidemill};

const MEMORY: u64 = 64 << 20;

/// What the process takes besides: 64 MiB and an eighth.
const SLACK: u64 = (64 << 20) + MEMORY / 8;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Feeds the command, unless it ends before; gives its peak, its exit code, and its last words.
fn fed(args: &[&str], feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send) -> Ended {
    let mut command = tidemill();
    command.args(args).args(["--memory", "64M", "--threads", "2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = BufWriter::with_capacity(1 << 16, child.stdin.take().expect("a pipe"));
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut stderr = child.stderr.take().expect("a pipe");
    std::thread::scope(|scope| {
        // It ends with a broken pipe when the command does.
        scope.spawn(move || feed(&mut stdin));
        scope.spawn(move || io::copy(&mut stdout, &mut io::sink()));
        let said = scope.spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).expect("text");
            said
        });
        let (mut most, begun) = (0, Instant::now());
        let status = loop {
            most = most.max(bytes_of(&child.id().to_string(), "VmHWM").unwrap_or(0));
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                child.kill().expect("a child");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert!(most > 0, "the system does not say how much memory a process has had");
        let said = said.join().expect("no panic");
        Ended { peak: most, code: status.code(), said }
    })
}

struct Ended {
    peak: u64,
    code: Option<i32>,
    said: String,
}

impl Ended {
    /// It failed for want of memory, and says so, in the words of the command.
    #[track_caller]
    fn assert_within(&self) {
        let Ended { peak, code, said } = self;
        assert_eq!(*code, Some(1), "{said}");
        assert!(said.contains("--memory"), "{said}");
        assert!(!said.contains("Limits::") && !said.contains("ContextBuilder"), "{said}");
        assert!(*peak <= MEMORY + SLACK, "{peak} bytes: {said}");
    }
}

/// So many thousand lines, each made of a word of so many bytes that comes once.
fn distinct(
    thousands: usize,
    bytes: usize,
    line: impl Fn(&str) -> String + Send,
) -> impl FnOnce(&mut dyn Write) -> io::Result<()> + Send {
    move |out| {
        for number in 0..1_000 * thousands {
            out.write_all(line(&format!("{number:0>bytes$}")).as_bytes())?;
        }
        out.flush()
    }
}

fn word(word: &str) -> String {
    format!("{word}\n")
}

#[test]
fn distinct_long_words_end_in_a_clear_failure_within_the_memory() {
    fed(&["wordcount"], distinct(40, 4_096, word)).assert_within();
}

#[test]
fn distinct_short_words_end_so_too() {
    fed(&["wordcount"], distinct(1_500, 12, word)).assert_within();
}

#[test]
fn running_totals_end_so_too() {
    let args = ["wordcount", "--running", "--interval", "20ms", "--top", "1"];
    fed(&args, distinct(120, 1_000, word)).assert_within();
}

#[test]
fn state_by_key_with_checkpoints_ends_so_too() {
    let directory = TempDir::new().unwrap();
    // Standard input cannot be read again, but a file can.
    let words = directory.path().join("words");
    distinct(100, 1_000, word)(&mut BufWriter::new(File::create(&words).unwrap())).unwrap();
    let checkpoints = directory.path().join("checkpoints");
    let args = ["--running", "--interval", "20ms", "--top", "1"];
    let paths = [words.to_str().unwrap(), "--checkpoint", checkpoints.to_str().unwrap()];
    let all = [&["wordcount", "--follow"][..], &paths, &args].concat();
    fed(&all, |_| Ok(())).assert_within();
}

#[test]
fn averages_of_many_keys_end_so_too() {
    let line = |key: &str| format!("{key};1.5\n");
    fed(&["average"], distinct(100, 1_000, line)).assert_within();
    let args = ["average", "--running", "--interval", "20ms", "--top", "1"];
    fed(&args, distinct(400, 50, line)).assert_within();
}

#[test]
fn a_window_of_an_hour_that_slides_each_millisecond_ends_so_too() {
    let args = ["wordcount", "--window", "1h", "--slide", "1ms", "--top", "1"];
    fed(&args, distinct(600, 20, word)).assert_within();
}

/// Many senders that never end their lines: those with the longest are closed, and whoever sends
/// whole lines is counted.
#[test]
fn unfinished_lines_of_all_connections_are_bounded_together() {
    let args = ["--memory", "64M", "--running", "--interval", "20ms", "--format", "csv"];
    let (running, address) = Running::listen("wordcount", &args);
    // A sixteenth of the memory is 4 MiB: some 40 of these.
    let line = vec![b'x'; 100_000];
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        // Those that were closed need not take all of it.
        let _ = stream.write_all(&line);
        slow.push(stream);
    }
    let mut whole = TcpStream::connect(&address).expect("it listens");
    whole.write_all(b"whole lines\n").unwrap();
    running.wait_for(|line| line.ends_with("lines,1"));
    running.signal("INT");
    let said = running.stderr_to_the_end();
    let (status, _) = running.end();
    assert_eq!(status.code(), Some(4), "{said:?}");
    assert!(said.iter().any(|line| line.contains("a sixteenth of --memory")), "{said:?}");
    assert!(said.last().unwrap().contains("refused"), "{said:?}");
    drop(slow);
}

#[test]
fn memory_that_is_none_is_refused() {
    for text in ["0", "15M", "much", "1.5G"] {
        let output = tidemill().args(["wordcount", "--memory", text]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("from 16M up"), "{said}");
    }
}
