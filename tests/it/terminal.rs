//! The command on a terminal: nothing is wider than it, also when it is very narrow or was made
//! narrower, and a dumb one gets no escape sequences.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;

use crate::shell::{PATIENCE, assert_success, file, run, send_signal, tidemill};

/// A terminal, and what was written to it.
struct Terminal {
    master: OwnedFd,
    slave: Option<OwnedFd>,
    written: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    fn new(columns: u16, rows: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it is ours");
        let written = Arc::new(Mutex::new(String::new()));
        let mut output = File::from(master.try_clone().expect("a descriptor"));
        let collected = written.clone();
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It fails when nobody has the terminal any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                *collected.lock().unwrap() += &String::from_utf8_lossy(&bytes[..count]);
            }
        });
        let terminal = Terminal { master, slave: Some(slave), written, reader: Some(reader) };
        terminal.resize(columns, rows);
        terminal
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("it is ours");
    }

    fn slave(&self) -> Stdio {
        Stdio::from(self.slave.as_ref().expect("still open").try_clone().expect("a descriptor"))
    }

    /// Waits for the end of the command, which succeeds; gives all that it has written here.
    fn end(mut self, mut child: Child) -> String {
        self.slave = None;
        let status = child.wait().expect("it ends");
        self.reader.take().expect("one reader").join().expect("no panic");
        let written = self.written.lock().unwrap().clone();
        assert!(status.success(), "{status}: {written}");
        written
    }

    /// Waits until something is written after the first `from` bytes; gives the end of all.
    fn wait_for(&self, from: usize, what: &str) -> usize {
        let start = Instant::now();
        loop {
            let written = self.written.lock().unwrap().clone();
            if written[from..].contains(what) {
                return written.len();
            }
            assert!(start.elapsed() < PATIENCE, "no {what:?} in {written:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A command whose output and messages go to a terminal that has this name.
fn on(terminal: &Terminal, name: &str, args: &[&str]) -> Command {
    let mut command = tidemill();
    command.args(args).env("TERM", name).stdout(terminal.slave()).stderr(terminal.slave());
    command
}

/// The lines that stood on the terminal one after another, without escape sequences.
fn lines(written: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        if c != '\x1b' {
            plain.push(c);
            continue;
        }
        // Up to the letter that ends it.
        rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
    }
    plain.split(['\r', '\n']).map(str::to_owned).collect()
}

fn assert_fits(written: &str, columns: usize) {
    for line in lines(written) {
        // Letters of other scripts are two columns wide, but for the sign of a cut.
        let wide = line.chars().filter(|c| !c.is_ascii() && *c != '…').count();
        let width = line.chars().count() + wide;
        assert!(width <= columns, "{width} columns on {columns}: {line:?}");
    }
}

#[test]
fn tables_fit_terminals_of_every_width() {
    let folder = TempDir::new().expect("a folder");
    let values =
        (0..30).map(|key| format!("{}{key};{key}.25\n", "a long key 東京 größe ".repeat(9)));
    let values = file(&folder, "values", values.collect::<String>().as_bytes());
    let kept = folder.path().join("kept");
    let kept = kept.to_str().expect("a path of ours");
    assert_success(&run(&["average", "--checkpoint", kept, &values]));
    let commands = [
        &["average", &values][..],
        &["wordcount", "--split", ";", &values],
        &["checkpoint", "inspect", kept],
        &["checkpoint", "verify", kept],
    ];
    for args in commands {
        for columns in [1, 2, 3, 5, 9, 10, 20, 40, 80, 200] {
            for rows in [1, 24] {
                let terminal = Terminal::new(columns, rows);
                let child = on(&terminal, "xterm", args).spawn().expect("it starts");
                let written = terminal.end(child);
                assert_fits(&written, columns.into());
                assert!(lines(&written).iter().any(|line| !line.is_empty()), "{args:?}");
            }
        }
    }
    let terminal = Terminal::new(30, 24);
    let child = on(&terminal, "xterm", &["demo", "--seconds", "1", "--interval", "5s"]).spawn();
    assert_fits(&terminal.end(child.expect("it starts")), 30);
}

/// Enough to read that it takes a while, and what the terminal got of it.
fn progress(columns: u16, name: &str) -> String {
    let folder = TempDir::new().expect("a folder");
    let mut mebibytes = 4;
    loop {
        let path = folder.path().join("words");
        std::fs::write(&path, b"\"words\";1\n".repeat((mebibytes << 20) / 10)).expect("ours");
        let terminal = Terminal::new(columns, 24);
        // Not the fastest that there is.
        let args = ["average", "--quoted", "--threads", "1", path.to_str().expect("ours")];
        let start = Instant::now();
        let mut command = on(&terminal, name, &args);
        let child = command.stdout(Stdio::null()).spawn().expect("it starts");
        drop(command);
        let written = terminal.end(child);
        // Far longer than it takes until progress is shown.
        if start.elapsed() > Duration::from_secs(1) || mebibytes > 256 {
            return written;
        }
        mebibytes *= 2;
    }
}

#[test]
fn progress_fits_and_leaves_no_trace() {
    for columns in [80, 50, 20, 3, 1] {
        let written = progress(columns, "xterm");
        // The last column stays free.
        assert_fits(&written, usize::from(columns).max(1) - 1);
        assert!(!written.contains('\n'), "{written:?}");
        assert!(written.ends_with("\r\x1b[K"), "{written:?}");
        assert_eq!(written.contains("[=") || written.contains("[ "), columns == 80, "{written:?}");
        assert_eq!(written.contains(" %"), columns >= 20, "{written:?}");
    }
}

/// A stream whose tables take each other's place, fed line by line.
#[test]
fn a_table_is_cut_to_the_width_of_now() {
    let terminal = Terminal::new(80, 24);
    let args = ["wordcount", "--interval", "20ms", "--running"];
    let mut command = on(&terminal, "xterm", &args);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    drop(command);
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut feed = |line: &str| stdin.write_all(line.as_bytes()).expect("it reads");
    feed(&format!("{}\n", "first".repeat(12)));
    let end = terminal.wait_for(0, &"first".repeat(12));
    feed("second\n");
    let end = terminal.wait_for(end, "second");
    let wide = terminal.written.lock().unwrap().clone();
    assert!(wide.contains("\x1b[2A\x1b[J"), "the second table is where the first was: {wide:?}");
    terminal.resize(25, 24);
    feed("third\n");
    let end = terminal.wait_for(end, "third");
    // Lines that are wider than the terminal now may stand in several of its lines: they stay.
    let narrow = terminal.written.lock().unwrap()[wide.len()..].to_owned();
    assert!(!narrow.contains("\x1b["), "{narrow:?}");
    feed("fourth\n");
    terminal.wait_for(end, "fourth");
    send_signal(&child, "TERM");
    let written = terminal.end(child);
    assert_fits(&written[wide.len()..], 25);
    assert!(written[wide.len()..].contains("\x1b[4A\x1b[J"), "{written:?}");
}

#[test]
fn a_dumb_terminal_gets_no_escape_sequences() {
    for name in ["dumb", ""] {
        assert_eq!(progress(80, name), "");
        let terminal = Terminal::new(80, 24);
        let mut command = on(&terminal, name, &["wordcount", "--interval", "20ms"]);
        if name.is_empty() {
            command.env_remove("TERM");
        }
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        drop(command);
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut end = 0;
        for word in ["first", "second"] {
            stdin.write_all(format!("{word}\n").as_bytes()).expect("it reads");
            end = terminal.wait_for(end, word);
        }
        send_signal(&child, "INT");
        let written = terminal.end(child);
        assert!(!written.contains('\x1b'), "{written:?}");
        // One table after another.
        assert_eq!(written.matches("1 word, 1 distinct\r\n").count(), 2, "{written:?}");
    }
}

/// What is said while the progress stands is readable, and the progress goes on after it.
#[test]
fn messages_stand_in_lines_of_their_own() {
    let folder = TempDir::new().expect("a folder");
    let mut words = b"some words\n".repeat((32 << 20) / 11);
    words.extend_from_slice(b"bad \xff\n");
    let words = file(&folder, "words", &words);
    let terminal = Terminal::new(60, 24);
    let mut command = on(&terminal, "xterm", &["wordcount", "--threads", "1", &words]);
    let child = command.stdout(Stdio::null()).spawn().expect("it starts");
    drop(command);
    let written = terminal.end(child);
    let shown = lines(&written);
    let said = shown.iter().find(|line| line.contains("bad UTF-8")).expect("it is said");
    assert!(said.starts_with("tidemill: 1 line with bad UTF-8"), "{said}");
}

/// Escapes that clear the screen and set its title, in 7 and in 8 bits, and what turns text around.
const HOSTILE: &str = "a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{9b}31md\u{7f}e\u{8}f\u{202e}g\u{2066}h";

/// Fails if something in a text would steer a terminal, other than line ends of the terminal's.
#[track_caller]
fn assert_calm(written: &str) {
    let is_wrong = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\r'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!written.contains(is_wrong), "{written:?}");
}

#[test]
fn words_and_names_steer_no_terminal_in_any_format() {
    let folder = TempDir::new().expect("a folder");
    let words = file(&folder, "words", format!("{HOSTILE}\n{HOSTILE}\n").as_bytes());
    let numbers = file(&folder, "numbers", format!("{HOSTILE};1\n").as_bytes());
    let named = file(&folder, &format!("{HOSTILE}.gz"), b"\x1f\x8b\x08 no archive");
    let missing = folder.path().join(format!("missing-{HOSTILE}"));
    let missing = missing.to_str().expect("a path of ours");
    let option = format!("--{HOSTILE}");
    let mut calls: Vec<Vec<&str>> = vec![
        vec!["wordcount", missing],
        vec!["wordcount", &named],
        vec!["wordcount", &option],
        vec!["wordcount", "--top", HOSTILE, &words],
        vec!["checkpoint", "inspect", missing],
        vec!["average", "--key", HOSTILE, "--header", &numbers],
    ];
    for format in ["table", "csv", "json"] {
        calls.push(vec!["wordcount", "--all", "--format", format, &words]);
        calls.push(vec!["average", "--all", "--format", format, &numbers]);
    }
    for call in calls {
        let mut terminal = Terminal::new(200, 50);
        let mut command = tidemill();
        command.args(&call).stdout(terminal.slave()).stderr(terminal.slave());
        let mut child = command.spawn().expect("the command starts");
        drop(command);
        terminal.slave = None;
        child.wait().expect("it ends");
        terminal.reader.take().expect("one reader").join().expect("no panic");
        let written = terminal.written.lock().unwrap().clone();
        assert!(written.contains("title"), "{call:?}: {written:?}");
        assert_calm(&written);
    }
}

/// A program's rows, tables and warnings on a terminal; into a pipe rows go as they are.
#[test]
fn what_a_program_prints_steers_no_terminal() {
    use crate::child;
    use tidemill::prelude::*;

    #[derive(Record)]
    struct Line {
        text: String,
    }

    const TEST: &str = "terminal::what_a_program_prints_steers_no_terminal";
    if child::is_child() {
        let mut t = TestContext::new().unwrap();
        let lines = t.input::<String>();
        lines.stream().print(1);
        lines.stream().map(|line| (line.to_owned(), 1i64)).print(1);
        let table = lines.stream().map(|text| Line { text: text.to_owned() }).to_table();
        table.show(1);
        lines.push([HOSTILE]).unwrap();
        t.tick().unwrap();
        // What is wrong is told where nobody subscribes.
        let ssc = StreamingContext::builder(HOSTILE).build().unwrap();
        let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
        drop(numbers.collect(0));
        return;
    }
    let terminal = Terminal::new(200, 50);
    let mut command = child::command(TEST);
    command.arg("--color=never").stdout(terminal.slave()).stderr(terminal.slave());
    let child = command.spawn().expect("it starts");
    drop(command);
    let written = terminal.end(child);
    assert!(written.matches("]0;title").count() >= 3, "{written:?}");
    assert_calm(&written);
    let piped = child::run(TEST, &[]);
    assert!(piped.contains(&format!("\n{HOSTILE}\n")), "{piped:?}");
}
