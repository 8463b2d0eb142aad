//! Long runs of the command, which `.ci/long` starts: kills at random moments by the hundred, and a
//! soak. Each prints one line with what it has counted. `TIDEMILL_SEED` runs one again,
//! `TIDEMILL_KILLS` and `TIDEMILL_SOAK_SECONDS` say how long it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::random::Random;
use crate::shell::{PATIENCE, Running, append, send_signal, tidemill, total};

/// Keys of the lines, which have them in turn.
const KEYS: usize = 1_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Lines of known keys, by how often each key was written.
#[derive(Default)]
struct Lines {
    next: usize,
    counts: BTreeMap<String, u64>,
}

impl Lines {
    /// A line of its own for each call.
    fn next(&mut self) -> String {
        let key = format!("k{}", self.next % KEYS);
        self.next += 1;
        let line = format!("all {key}\n");
        for word in ["all".to_owned(), key] {
            *self.counts.entry(word).or_default() += 1;
        }
        line
    }

    fn some(&mut self, count: usize) -> String {
        (0..count).map(|_| self.next()).collect()
    }

    fn total(&self) -> u64 {
        self.next as u64
    }

    /// Rows that the totals lack, and that they have too many.
    fn compare(&self, totals: &BTreeMap<String, u64>) -> (u64, u64) {
        let (mut lost, mut doubled) = (0, 0);
        for (word, count) in self.counts.iter().filter(|(word, _)| *word != "all") {
            let found = totals.get(word).copied().unwrap_or(0);
            lost += count.saturating_sub(found);
            doubled += found.saturating_sub(*count);
        }
        (lost, doubled)
    }
}

/// Totals of a command's last life, until all is there or nothing more comes, and how it ended.
fn last_totals(mut child: Child, all: u64) -> (BTreeMap<String, u64>, ExitStatus) {
    let stdout = child.stdout.take().expect("a pipe");
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.for_each(|line| drop(sender.send(line)));
    });
    let mut totals = BTreeMap::new();
    let mut take = |line: String| {
        totals.extend(total(&line));
        totals.get("all").copied().unwrap_or(0)
    };
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        if take(line) >= all {
            break;
        }
    }
    // What is too much may come yet.
    std::thread::sleep(Duration::from_millis(300));
    send_signal(&child, "TERM");
    for line in lines {
        take(line);
    }
    reader.join().expect("no panic");
    (totals, child.wait().expect("it ends"))
}

fn start(args: &[&str], is_last: bool) -> Child {
    let mut command = tidemill();
    // Why the last one fails is told.
    command.args(args).stderr(if is_last { Stdio::inherit() } else { Stdio::null() });
    command.stdout(if is_last { Stdio::piped() } else { Stdio::null() });
    command.spawn().expect("the command starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

/// A folder, what is followed in it, and where checkpoints are.
fn folder() -> (TempDir, PathBuf, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let [input, state] = ["input", "state"].map(|name| folder.path().join(name));
    (folder, input, state)
}

const STREAM: [&str; 7] =
    ["--running", "--interval", "20ms", "--format", "csv", "--all", "--checkpoint"];

/// Kills the command at random moments while `come` has lines come, and starts it again.
fn kill(what: &str, input: &Path, state: &Path, mut come: impl FnMut(&mut Lines, &mut Random)) {
    let (seed, kills) = (number("TIDEMILL_SEED", 1), number("TIDEMILL_KILLS", 10));
    let (mut random, mut lines) = (Random::new(seed), Lines::default());
    let args = [&["wordcount", "--follow", text(input)], &STREAM[..], &[text(state)]].concat();
    for _ in 0..kills {
        let mut child = start(&args, false);
        // Checkpoints are made each second.
        let end = Instant::now() + Duration::from_millis(random.below(1_300) as u64);
        while Instant::now() < end {
            come(&mut lines, &mut random);
            std::thread::sleep(Duration::from_millis(random.below(60) as u64));
        }
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
    }
    come(&mut lines, &mut random);
    let rows = lines.total();
    let (totals, status) = last_totals(start(&args, true), rows);
    let (lost, doubled) = lines.compare(&totals);
    eprintln!(
        "kills of {what}: {kills} kills, {rows} rows, {lost} lost, {doubled} doubled \
         (TIDEMILL_SEED={seed} TIDEMILL_KILLS={kills})"
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "long: .ci/long runs it"]
fn kills_of_directories() {
    let (_folder, input, state) = folder();
    fs::create_dir(&input).expect("a folder of ours");
    let mut files = 0;
    let incoming = input.clone();
    kill("directories", &input, &state, move |lines, random| {
        let hidden = incoming.join(".new");
        let count = if random.below(50) == 0 { 100_000 } else { random.below(300) };
        fs::write(&hidden, lines.some(count)).expect("a file of ours");
        fs::rename(&hidden, incoming.join(format!("{files}"))).expect("a file of ours");
        files += 1;
        // One that was read, or will be, goes on under another name.
        let name = incoming.join(format!("{}", random.below(files)));
        if random.below(5) == 0 && name.exists() {
            let other = incoming.join(format!("renamed-{files}"));
            fs::rename(name, other).expect("a file of ours");
        }
    });
}

#[test]
#[ignore = "long: .ci/long runs it"]
fn kills_of_followed_files() {
    let (folder, input, state) = folder();
    let folder = folder.path().to_owned();
    fs::write(&input, "").expect("a file of ours");
    let (log, mut rotations) = (input.clone(), 0);
    // No life is as long as a rotated file has to be quiet before its place is given up, and there
    // is room for 256 of them: some 190 rotations in all.
    let one_in = (number("TIDEMILL_KILLS", 10) as usize / 9).max(20);
    kill("followed files", &input, &state, move |lines, random| {
        let text = lines.some(random.below(400));
        // Not all of a line at once.
        let (head, rest) = text.split_at(text.len() - random.below(text.len().clamp(1, 9)));
        append(&log, head.as_bytes());
        append(&log, rest.as_bytes());
        // Before its first checkpoint nobody knows that it was followed.
        let is_known = fs::read_dir(folder.join("state")).is_ok_and(|mut all| {
            let is_it =
                |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"checkpoint-");
            all.any(|it| it.is_ok_and(|it| is_it(&it.file_name())))
        });
        if is_known && random.below(one_in) == 0 {
            // The highest number is the oldest, and stays: nothing is gone.
            for number in (1..=rotations).rev() {
                let name = |number| folder.join(format!("input.{number}"));
                fs::rename(name(number), name(number + 1)).expect("a file of ours");
            }
            rotations += 1;
            fs::rename(&log, folder.join("input.1")).expect("a file of ours");
            fs::write(&log, "").expect("a file of ours");
        }
    });
}

/// What a sender was told is safe is there; what it was not told of it sends again.
#[test]
#[ignore = "long: .ci/long runs it"]
fn kills_of_acknowledged_connections() {
    let (_folder, _, state) = folder();
    let (seed, kills) = (number("TIDEMILL_SEED", 1), number("TIDEMILL_KILLS", 10));
    let (mut random, mut lines) = (Random::new(seed), Lines::default());
    let args = [&STREAM[..], &[text(&state), "--acknowledge"]].concat();
    let (mut kept, mut sent_again) = (Vec::<String>::new(), 0);
    for life in 0..=kills {
        let (command, address) = Running::listen("wordcount", &args);
        let mut sender = TcpStream::connect(address).expect("it listens");
        sent_again += kept.len() as u64;
        kept.extend((0..random.below(300)).map(|_| lines.next()));
        let is_last = life == kills;
        let wait = if is_last { PATIENCE } else { Duration::from_millis(5) };
        sender.set_read_timeout(Some(wait)).expect("a time");
        sender.write_all(kept.concat().as_bytes()).expect("it reads");
        let mut receipts = Vec::new();
        let all: usize = kept.iter().map(String::len).sum();
        let end = Instant::now() + Duration::from_millis(random.below(300) as u64);
        let mut buffer = [0; 4096];
        while safe(&receipts) < all && (is_last || Instant::now() < end) {
            match sender.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => receipts.extend_from_slice(&buffer[..count]),
                Err(_) => {}
            }
        }
        if is_last {
            assert_eq!(safe(&receipts), all, "the last life takes all");
            command.signal("TERM");
            let (status, rest) = command.end();
            assert!(status.success(), "{status}");
            // The last totals are of all words.
            let totals = rest.iter().filter_map(|line| total(line)).collect();
            let (rows, (lost, doubled)) = (lines.total(), lines.compare(&totals));
            eprintln!(
                "kills of acknowledged connections: {kills} kills, {rows} rows, {lost} lost, \
                 {doubled} doubled of {sent_again} that were sent again \
                 (TIDEMILL_SEED={seed} TIDEMILL_KILLS={kills})"
            );
            assert!(lost == 0 && doubled <= sent_again);
            return;
        }
        command.signal("KILL");
        // What it had said before.
        while let Ok(count @ 1..) = sender.read(&mut buffer) {
            receipts.extend_from_slice(&buffer[..count]);
        }
        let mut rest = safe(&receipts);
        kept.retain(|line| {
            let is_safe = rest >= line.len();
            rest = if is_safe { rest - line.len() } else { 0 };
            !is_safe
        });
    }
}

/// Bytes that the last whole receipt says are safe.
fn safe(receipts: &[u8]) -> usize {
    let text = std::str::from_utf8(receipts).expect("receipts are text");
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    whole.lines().last().map_or(0, |line| line.trim().parse().expect("a number"))
}

/// Bytes of memory that a process has.
fn resident(child: &Child) -> u64 {
    crate::process_memory::bytes_of(&child.id().to_string(), "VmRSS").expect("it runs")
}

#[test]
#[ignore = "long: .ci/long runs it"]
fn soak() {
    let seconds = number("TIDEMILL_SOAK_SECONDS", 10);
    let (folder, incoming, state) = folder();
    fs::create_dir(&incoming).expect("a folder of ours");
    let log = folder.path().join("log");
    fs::write(&log, "").expect("a file of ours");
    let follow = ["wordcount", "--follow", text(&log), text(&incoming)];
    let args = [&follow[..], &STREAM, &[text(&state)]].concat();
    let mut child = start(&args, true);
    // What it prints is of the last totals only.
    let mut stdout = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(&mut stdout).lines().map_while(Result::ok);
        lines.by_ref().for_each(drop);
    });
    let mut lines = Lines::default();
    let (started, mut early) = (Instant::now(), 0);
    let duration = Duration::from_secs(seconds);
    for round in 0_u64.. {
        if started.elapsed() >= duration {
            break;
        }
        append(&log, lines.some(500).as_bytes());
        if round.is_multiple_of(10) {
            let hidden = incoming.join(".new");
            // One line more than there are keys: the same bytes under a name that was read would be
            // the file that was read, and each name is used again.
            fs::write(&hidden, lines.some(KEYS + 1)).expect("a file of ours");
            fs::rename(&hidden, incoming.join(format!("{}", round % 5_000))).expect("ours");
        }
        if round % 500 == 499 {
            fs::rename(&log, folder.path().join("log.1")).expect("a file of ours");
            fs::write(&log, "").expect("a file of ours");
        }
        std::thread::sleep(Duration::from_millis(10));
        if early == 0 && started.elapsed() >= duration / 5 {
            early = resident(&child);
        }
    }
    let late = resident(&child);
    send_signal(&child, "TERM");
    assert!(child.wait().expect("it ends").success());
    reader.join().expect("no panic");
    let rows = lines.total();
    let (totals, status) = last_totals(start(&args, true), rows);
    let (lost, doubled) = lines.compare(&totals);
    eprintln!(
        "soak: {seconds} s, {rows} rows, {lost} lost, {doubled} doubled, {} MiB after a fifth of \
         it and {} MiB at the end (TIDEMILL_SOAK_SECONDS={seconds})",
        early >> 20,
        late >> 20
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(status.success(), "{status}");
    assert!(late < 2 * early.max(64 << 20), "its memory grows");
}
