//! SIGKILL and SIGTERM at random moments of the command with `--checkpoint`: started again with
//! the same arguments it comes to the totals of a run that nobody has disturbed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tidemill::checkpoint::verify;

use crate::random::Random;
use crate::shell::{PATIENCE, Running, assert_success, file, run, send_signal, text, tidemill};

/// How long a life lasts at most: checkpoints are made each second.
const LIFE_MILLIS: usize = 1_800;

/// Runs a subcommand whose output has keys in its first column, and counts in this one.
fn check_totals(args: &[&str], input: &str, count_column: usize) {
    let folder = tempfile::tempdir().expect("a folder of ours");
    let input = file(&folder, "input", input.as_bytes());
    let state = file(&folder, "state", b"");
    std::fs::remove_file(&state).expect("it is ours");
    // One thread, so that it takes a while.
    let same = ["--running", "--all", "--format", "csv", "--threads", "1", &input];
    let undisturbed = run(&[args, &same].concat());
    assert_success(&undisturbed);
    let expected = text(&undisturbed.stdout);
    let args = [args, &same, &["--checkpoint", &state]].concat();
    let mut random = Random::new(args.len() as u64);
    let lives = if std::env::var_os("TIDEMILL_LONG").is_some() { 20 } else { 4 };
    for life in 0..lives {
        let mut command = tidemill();
        command.args(&args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the command starts");
        let (started, before) = (Instant::now(), newest(&state));
        let lasts = Duration::from_millis(random.below(LIFE_MILLIS) as u64);
        let is_killed = life % 3 != 1;
        let mut has_ended = false;
        // A signal is caught for certain once there is another checkpoint.
        while !has_ended && (started.elapsed() < lasts || (!is_killed && newest(&state) <= before))
        {
            std::thread::sleep(Duration::from_millis(5));
            has_ended = child.try_wait().expect("it is ours").is_some();
        }
        match has_ended {
            true => {}
            false if is_killed => child.kill().expect("it is ours"),
            false => send_signal(&child, "TERM"),
        }
        let output = child.wait_with_output().expect("the command ends");
        match output.status.code() {
            None => assert!(is_killed, "life {life}: {}", output.status),
            Some(0) => assert_eq!(text(&output.stdout), expected),
            // What was counted until the signal is printed before the end.
            Some(130) => check_part(&text(&output.stdout), &expected, count_column),
            Some(code) => panic!("life {life} ended with {code}"),
        }
    }
    // To the end, and again, when there is nothing more to read.
    for _ in 0..2 {
        let output = run(&args);
        assert_success(&output);
        assert_eq!(text(&output.stdout), expected);
    }
}

/// The newest checkpoint, if there is one.
fn newest(state: &str) -> Option<u64> {
    verify(state).ok().and_then(|verified| verified.start)
}

/// A header, and counts of known keys, none of which is above its total.
fn check_part(part: &str, whole: &str, column: usize) {
    let counts = |csv: &str| -> Vec<(String, u64)> {
        let fields = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        fields.map(|fields| (fields[0].to_owned(), fields[column].parse().unwrap())).collect()
    };
    assert_eq!(part.lines().next(), whole.lines().next());
    let whole = counts(whole);
    for (key, count) in counts(part) {
        let (_, total) = whole.iter().find(|(known, _)| *known == key).expect("a known key");
        assert!(count <= *total, "{key}: {count} of {total}");
    }
}

fn lines() -> u64 {
    if std::env::var_os("TIDEMILL_LONG").is_some() { 1_500_000 } else { 300_000 }
}

#[test]
fn words() {
    let mut input = String::new();
    (0..lines()).for_each(|id| writeln!(input, "w{} x{} all", id % 1_000, id % 7).unwrap());
    check_totals(&["wordcount"], &input, 1);
}

#[test]
fn averages() {
    let mut input = String::new();
    (0..lines()).for_each(|id| writeln!(input, "k{};{}.{}", id % 100, id % 977, id % 10).unwrap());
    check_totals(&["average"], &input, 4);
}

/// What a sender was told is safe is in the totals, whatever becomes of the command.
#[test]
fn a_socket() {
    let folder = tempfile::tempdir().expect("a folder of ours");
    let state = folder.path().join("state");
    let state = state.to_str().expect("a path of ours");
    let args = ["--running", "--all", "--format", "csv", "--interval", "20ms", "--acknowledge"];
    let args = [&args[..], &["--checkpoint", state]].concat();
    let mut random = Random::new(1);
    let lives: usize = if std::env::var_os("TIDEMILL_LONG").is_some() { 20 } else { 4 };
    for life in 0..lives {
        let (command, address) = Running::listen("wordcount", &args);
        let mut sender = TcpStream::connect(address).expect("it listens");
        sender.set_read_timeout(Some(PATIENCE)).expect("a time");
        let lines: String = (0..50).map(|line| format!("life{life} all {line}\n")).collect();
        sender.write_all(lines.as_bytes()).expect("it reads");
        let mut receipts = BufReader::new(sender).lines();
        let mut safe = 0;
        while safe < lines.len() {
            safe = receipts.next().expect("a receipt").expect("a line").parse().expect("a number");
        }
        std::thread::sleep(Duration::from_millis(random.below(60) as u64));
        command.signal("KILL");
    }
    let (command, _) = Running::listen("wordcount", &args);
    // What no checkpoint had comes again, and nothing twice.
    let total = format!(",all,{}", 50 * lives);
    command.wait_for(|line| line.ends_with(&total));
    command.signal("TERM");
    let (status, rest) = command.end();
    assert!(status.success());
    let last = rest.iter().rfind(|line| line.contains(",all,")).unwrap_or(&total);
    assert!(last.ends_with(&total), "{last}");
}
