//! The command as a shell has it: started, fed, watched, and ended if a test forgets it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use tempfile::TempDir;

/// Far longer than anything here takes: only a hang comes to it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A stream with short batches, and totals as CSV whenever they change.
pub(crate) const STREAM: [&str; 5] = ["--running", "--interval", "20ms", "--format", "csv"];

pub(crate) fn tidemill() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tidemill"));
    command.stdin(Stdio::null());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    tidemill().args(args).output().expect("the command starts")
}

/// Runs the command with `input` in a pipe.
pub(crate) fn run_with(input: &[u8], args: &[&str]) -> Output {
    let mut child = tidemill()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the command ends");
    let written = writer.join().expect("no panic");
    // Who refuses the arguments may be gone before.
    assert!(written.is_ok() || !output.status.success(), "all input is read: {written:?}");
    output
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the command prints text")
}

pub(crate) fn assert_success(output: &Output) {
    assert!(output.status.success(), "{} {}", output.status, text(&output.stderr));
}

/// Checks how the command failed: its exit code, and what its message holds.
pub(crate) fn assert_fails(output: &Output, code: i32, parts: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// A running command, its lines as they come, and its end if the test forgets it.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    pub(crate) stderr: Receiver<String>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Running {
        let mut command = tidemill();
        command.args(args);
        Running::spawn(command)
    }

    /// Starts the command by a shell, after these words in its language.
    #[cfg(unix)]
    pub(crate) fn start_by_shell(before: &str, args: &[&str]) -> Running {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before} \"$0\" \"$@\"")]);
        shell.arg(tidemill().get_program()).args(args);
        Running::spawn(shell)
    }

    fn spawn(mut command: Command) -> Running {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let stdout = lines_of(child.stdout.take().expect("a pipe"));
        let stderr = lines_of(child.stderr.take().expect("a pipe"));
        Running { child, stdout, stderr }
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    /// Starts this subcommand with `--listen` and these arguments, and says where it listens.
    pub(crate) fn listen(subcommand: &str, args: &[&str]) -> (Running, String) {
        let mut all = vec![subcommand, "--listen", "127.0.0.1:0"];
        all.extend(args);
        let running = Running::start(&all);
        let address = running.address();
        (running, address)
    }

    /// Where it listens, which is the first that it says.
    pub(crate) fn address(&self) -> String {
        let line = self.stderr.recv_timeout(PATIENCE).expect("it says where it listens");
        let (_, address) = line.split_once("listening on ").expect("an address");
        address.to_owned()
    }

    /// The number of its process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of data for which `is_wanted` says so.
    pub(crate) fn wait_for(&self, mut is_wanted: impl FnMut(&str) -> bool) -> String {
        let mut seen = Vec::new();
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(line) if is_wanted(&line) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error}; before it came {seen:?}"),
            }
        }
    }

    /// What it says on standard error until its end.
    pub(crate) fn stderr_to_the_end(&self) -> Vec<String> {
        self.stderr.iter().collect()
    }

    /// Waits for the end; gives back the data lines that nobody waited for.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = Vec::new();
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error}; before it came {rest:?}"),
            }
        }
        (self.child.wait().expect("the command ends"), rest)
    }

    pub(crate) fn signal(&self, name: &str) {
        send_signal(&self.child, name);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send_signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.expect("kill is there").success());
}

fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

pub(crate) fn file(folder: &TempDir, name: &str, content: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("a folder of ours");
    path.to_str().expect("a path of ours").to_owned()
}

pub(crate) fn append(path: impl AsRef<Path>, content: &[u8]) {
    let file = File::options().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(content)).expect("a file of ours");
}

/// Reads the records of a CSV file, whose fields may hold anything.
pub(crate) fn read_csv(csv: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let (mut record, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut rest = csv.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if is_quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => record.push(std::mem::take(&mut field)),
            '\n' if !is_quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(record.is_empty() && field.is_empty() && !is_quoted, "the last line has an end");
    records
}

/// The word of a row of a stream's totals and its count; the header has none.
#[cfg(unix)]
pub(crate) fn total(row: &str) -> Option<(String, u64)> {
    let [_, word, count] = row.split(',').collect::<Vec<_>>()[..] else { return None };
    Some((word.to_owned(), count.parse().ok()?))
}

/// Lines of so many different words.
pub(crate) fn distinct_words(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("word-{number}\n").into_bytes()).collect()
}

/// A device that takes no bytes, as a full disk.
#[cfg(target_os = "linux")]
pub(crate) fn full_disk() -> File {
    File::options().write(true).open("/dev/full").expect("Linux has it")
}
