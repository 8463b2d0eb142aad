//! What the command does where its output cannot be written: nothing is lost that a checkpoint
//! could keep, and the exit code says it.

use std::io::{Read, Write};
use std::process::Stdio;

use tempfile::TempDir;

#[cfg(target_os = "linux")]
use crate::shell::full_disk;
use crate::shell::{
    Running, assert_fails, assert_success, distinct_words, file, run, run_with, text, tidemill,
};

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "words", &distinct_words(200_000));
    let demo = ["demo", "--seconds", "60", "--interval", "20ms"];
    for args in [&["wordcount", "--all", &path][..], &["generate", "words"], &demo] {
        let mut child = tidemill()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut first = [0; 10];
        child.stdout.take().expect("a pipe").read_exact(&mut first).expect("some output");
        // The reading end is closed here.
        let output = child.wait_with_output().expect("it ends");
        assert_success(&output);
        assert_eq!(text(&output.stderr), "");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_exits_with_1_and_says_so() {
    for args in [&["wordcount"][..], &["wordcount", "--format", "csv"], &["generate", "words"]] {
        let output = tidemill().args(args).stdout(full_disk()).output().expect("starts");
        assert_fails(&output, 1, &["standard output", "No space left"]);
    }
    let mut child = tidemill()
        .args(["wordcount", "--interval", "10ms", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(full_disk())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"a\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends though its input does not");
    assert_fails(&output, 1, &["standard output", "No space left"]);
    drop(stdin);
}

/// Runs a stream whose output takes nothing, so that it ends.
#[cfg(target_os = "linux")]
fn run_full(args: &[&str]) {
    let output = tidemill().args(args).stdout(full_disk()).output().expect("starts");
    assert_fails(&output, 1, &["standard output", "No space left"]);
}

/// The arguments of a stream from `log`, which has checkpoints in `kept`.
fn followed<'a>(log: &'a str, kept: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["wordcount", "--follow", log, "--checkpoint", kept, "--interval", "20ms", "--all"];
    [&args[..], more].concat()
}

fn kept(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path of ours").to_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn a_batch_that_a_full_disk_did_not_take_comes_again() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", b"word\n");
    let json: &[&str] = &["--format", "json"];
    let ways = [
        (json.to_vec(), "\"word\":\"word\",\"count\":1}"),
        ([json, &["--running"]].concat(), "\"word\":\"word\",\"count\":1}"),
        ([json, &["--window", "1h", "--slide", "20ms"]].concat(), "\"count\":1}"),
        (vec!["--format", "csv"], ",word,1"),
        (vec![], "1  word"),
    ];
    for (number, (way, expected)) in ways.iter().enumerate() {
        let kept = kept(&folder, &format!("kept{number}"));
        let args = followed(&log, &kept, way);
        run_full(&args);
        run_full(&args);
        let running = Running::start(&args);
        running.wait_for(|line| line.ends_with(expected));
        running.signal("TERM");
        assert!(running.end().0.success());
    }
}

#[test]
fn a_batch_whose_reader_has_gone_comes_again() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", &distinct_words(100_000));
    let kept = kept(&folder, "kept");
    let args = followed(&log, &kept, &["--format", "csv"]);
    // First nothing of it is read, and then some: it comes again whole.
    for bytes in [0, 1_000] {
        let mut child =
            tidemill().args(&args).stdout(Stdio::piped()).spawn().expect("the command starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut vec![0; bytes]).expect("some output");
        drop(stdout);
        assert!(child.wait().expect("it ends").success());
    }
    let running = Running::start(&args);
    let mut words = 0;
    running.wait_for(|line| {
        words += usize::from(line.contains(",word-"));
        words == 100_000
    });
    running.signal("TERM");
    assert!(running.end().0.success());
}

/// The totals of whole files are in the checkpoint, so they are printed again.
#[cfg(target_os = "linux")]
#[test]
fn totals_of_whole_files_that_were_not_written_are_printed_by_the_next_run() {
    let folder = TempDir::new().expect("a folder");
    let words = file(&folder, "words", b"a b a\n");
    let kept = kept(&folder, "kept");
    let args = ["wordcount", "--format", "csv", "--checkpoint", &kept, &words];
    run_full(&args);
    let output = run(&args);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "word,count\na,2\nb,1\n");
}

#[test]
fn running_totals_are_printed_when_they_change_and_at_the_end() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", b"a\n");
    let [kept_here, none] = [kept(&folder, "kept"), String::new()];
    for kept in [&kept_here, &none] {
        let mut args = vec!["wordcount", "--follow", &log, "--running", "--interval", "20ms"];
        args.extend(["--format", "csv"]);
        if !kept.is_empty() {
            args.extend(["--checkpoint", kept]);
        }
        let running = Running::start(&args);
        running.wait_for(|line| line.ends_with(",a,1"));
        // Intervals without news.
        std::thread::sleep(std::time::Duration::from_millis(300));
        running.signal("TERM");
        let (status, rest) = running.end();
        assert!(status.success());
        assert!(rest.len() == 1 && rest[0].ends_with(",a,1"), "{rest:?}");
    }
    // After a restart nothing is repeated but the totals at the end.
    let args = followed(&log, &kept_here, &["--running", "--format", "csv"]);
    let running = Running::start(&args);
    running.wait_for(|line| line == "batch_time_ms,word,count");
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal("TERM");
    let (status, rest) = running.end();
    assert!(status.success());
    assert!(rest.len() == 1 && rest[0].ends_with(",a,1"), "{rest:?}");
}

// What is missing.

/// The last line on standard error.
fn last_words(stderr: &[u8]) -> String {
    text(stderr).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn what_is_missing_is_in_the_exit_code_and_the_last_line() {
    let folder = TempDir::new().expect("a folder");
    let long = [&b"x".repeat(1 << 20)[..], b"\nbad \xff\n"].concat();
    let path = file(&folder, "long", &long);
    let from_pipe = ["wordcount", "--interval", "20ms", "--format", "csv"];
    let with_checkpoint = ["wordcount", "--checkpoint", &kept(&folder, "kept"), &path];
    for args in [&["wordcount", &path][..], &with_checkpoint, &from_pipe] {
        let reads_pipe = args.contains(&"--interval");
        let output = if reads_pipe { run_with(&long, args) } else { run(args) };
        assert_fails(&output, 4, &["1 line with bad UTF-8"]);
        let last = last_words(&output.stderr);
        assert!(last.contains("the result is not whole: 1 ") && last.contains("262144"), "{last}");
        assert!(!output.stdout.is_empty());
    }
    // Repaired lines are all there.
    let output = run_with(b"bad \xff\n", &from_pipe);
    assert_success(&output);
    assert!(last_words(&output.stderr).contains("U+FFFD"));
}

#[cfg(target_os = "linux")]
#[test]
fn files_of_a_directory_that_could_not_be_read_are_in_the_exit_code_after_a_signal() {
    let folder = TempDir::new().expect("a folder");
    file(&folder, "fine", b"a\n");
    // Its reading fails for every user.
    std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("broken")).expect("ours");
    let path = folder.path().to_str().expect("a path of ours");
    for signal in ["INT", "TERM"] {
        let args = ["wordcount", "--follow", path, "--interval", "20ms", "--running"];
        let running = Running::start(&[&args[..], &["--format", "csv"]].concat());
        running.wait_for(|line| line.ends_with(",a,1"));
        // Told when it was tried.
        let told = running.stderr.iter().find(|line| line.contains("broken"));
        assert!(told.is_some());
        running.signal(signal);
        let said = running.stderr_to_the_end();
        assert_eq!(running.end().0.code(), Some(4), "{said:?}");
        let last = said.last().expect("last words");
        assert!(last.contains("not whole: 1 file not read"), "{last}");
    }
}
