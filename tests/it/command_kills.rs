//! SIGKILL and SIGTERM at random moments of the command with `--checkpoint`: started again with
//! the same arguments it comes to the totals of a run that nobody has disturbed.

use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::shell::{assert_success, file, run, send_signal, text, tidemill};

/// How long a life lasts at most: checkpoints are made each second.
const LIFE_MILLIS: usize = 1_800;

/// Rows of CSV, of which the first field is the key, and this one a count.
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
        let (started, lasts) =
            (Instant::now(), Duration::from_millis(random.below(LIFE_MILLIS) as u64));
        while started.elapsed() < lasts && child.try_wait().expect("it is ours").is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let is_killed = life % 3 != 1;
        if is_killed {
            child.kill().expect("it is ours");
        } else {
            send_signal(&child, "TERM");
        }
        let output = child.wait_with_output().expect("the command ends");
        match output.status.code() {
            None => assert!(output.status.signal() == Some(9) || lasts < STARTING),
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

/// Before this a signal may end the command as any other.
const STARTING: Duration = Duration::from_millis(500);

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
