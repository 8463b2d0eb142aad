//! What the command does where its output cannot be written: nothing is lost that a checkpoint
//! could keep, and the exit code says it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

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
    // No batch is so slow that it is told.
    let demo = ["demo", "--seconds", "60", "--interval", "5s"];
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
    // An archive that ends in its head.
    file(&folder, "broken", b"\x1f\x8b\x08\0\0\0");
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

#[test]
fn a_second_instance_on_a_checkpoint_directory_is_told_before_any_output() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", b"a\n");
    let kept = kept(&folder, "kept");
    let args = followed(&log, &kept, &["--running", "--format", "csv"]);
    let first = Running::start(&args);
    first.wait_for(|line| line.ends_with(",a,1"));
    let output = run(&args);
    assert_fails(&output, 3, &["--checkpoint", &kept, "in use by process"]);
    assert!(text(&output.stderr).starts_with("tidemill: another process uses these checkpoints"));
    assert_eq!(text(&output.stdout), "");
    // It holds nothing that another listener would want, either.
    let listen = ["wordcount", "--listen", "127.0.0.1:0", "--checkpoint", &kept];
    let output = run(&listen);
    assert_fails(&output, 3, &[&kept]);
    assert!(!text(&output.stderr).contains("listening"));
    first.signal("TERM");
    assert!(first.end().0.success());
}

#[test]
fn a_start_that_fails_prints_no_header_and_names_no_function() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", b"a;1\n");
    let [damaged, windows, totals] = ["damaged", "windows", "totals"].map(|n| kept(&folder, n));
    assert_success(&run(&["wordcount", "--checkpoint", &damaged, &log]));
    for entry in std::fs::read_dir(&damaged).expect("a folder of ours") {
        let path = entry.expect("a folder of ours").path();
        if path.to_string_lossy().contains("checkpoint-") {
            std::fs::write(path, b"tide").expect("a file of ours");
        }
    }
    let csv = ["--format", "csv", "--interval", "20ms"];
    let window = [&csv[..], &["--window", "1h", "--checkpoint", &windows]].concat();
    let running = [&csv[..], &["--running", "--checkpoint", &totals]].concat();
    let follow = |more: &[&'static str], args: &[&str]| {
        [&["wordcount", "--follow", &log], args, more].concat().join(" ")
    };
    for args in [&window, &running] {
        let all: Vec<&str> = [&["wordcount", "--follow", &log][..], args].concat();
        let first = Running::start(&all);
        first.wait_for(|line| line.ends_with("a;1,1"));
        first.signal("TERM");
        assert!(first.end().0.success());
    }
    let failing = [
        (1, follow(&[], &["--format", "csv", "--checkpoint", &damaged])),
        (1, follow(&["--format", "csv", "--interval", "30ms"], &["--checkpoint", &windows])),
        (2, follow(&["--split", ","], &running)),
        (2, follow(&["--window", "3h", "--format", "csv"], &["--checkpoint", &totals])),
        (3, format!("wordcount --listen nowhere.invalid:1 --format csv --checkpoint {totals}2")),
        (3, format!("average --format csv {log} {log}.none")),
    ];
    for (code, line) in &failing {
        let args: Vec<&str> = line.split(' ').collect();
        let output = run(&args);
        assert_fails(&output, *code, &[]);
        let said = text(&output.stderr);
        assert_eq!(text(&output.stdout), "", "{line}");
        let names = ["::", "()", "call ", "forget_state", "intake_log", "named(", "context"];
        for name in names {
            assert!(!said.contains(name), "{name} in {said:?} of {line}");
        }
    }
}

// Descriptors as they come.

/// Runs the command by a shell, which redirects as `redirections` say.
#[cfg(unix)]
fn run_by_shell(args: &[&str], redirections: &str) -> Output {
    let command = tidemill();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirections}")]);
    shell.arg(command.get_program()).args(args).stdin(Stdio::null());
    shell.output().expect("there is a shell")
}

#[cfg(unix)]
#[test]
fn a_closed_standard_output_is_an_error_where_there_is_something_to_write() {
    let folder = TempDir::new().expect("a folder");
    let words = file(&folder, "words", b"a b a\n");
    let kept = kept(&folder, "kept");
    assert_success(&run(&["wordcount", "--checkpoint", &kept, &words]));
    let with_output = [
        &["wordcount", &words][..],
        &["wordcount", "--format", "json", &words],
        &["wordcount", "--follow", &words, "--format", "csv"],
        &["generate", "words", "--lines", "5"],
        &["demo", "--seconds", "1"],
        &["checkpoint", "verify", &kept],
        &["--help"],
        &["wordcount", "--help"],
        &["--version"],
    ];
    for args in with_output {
        let output = run_by_shell(args, ">&-");
        assert_fails(&output, 1, &["cannot write to standard output: it is closed"]);
        // Nobody wants it.
        let null = File::options().read(true).write(true).open("/dev/null").expect("there is one");
        if args[0] != "demo" && !args.contains(&"--follow") {
            let output = tidemill().args(args).stdout(null).output().expect("starts");
            assert_success(&output);
        }
    }
    assert_success(&run_by_shell(&["wordcount", "--format", "json"], ">&-"));
    // What can only be read from is no output, either.
    let other = file(&folder, "other", b"");
    let output = run_by_shell(&["wordcount", &words], &format!("1<{other}"));
    assert_fails(&output, 1, &["standard output"]);
    let output = run_by_shell(&["wordcount"], "<&-");
    assert_fails(&output, 3, &["standard input: it is closed"]);
}

#[cfg(target_os = "linux")]
#[test]
fn help_and_checkpoints_on_a_full_disk_exit_with_1() {
    let folder = TempDir::new().expect("a folder");
    let words = file(&folder, "words", b"a b a\n");
    let kept = kept(&folder, "kept");
    assert_success(&run(&["wordcount", "--checkpoint", &kept, &words]));
    for args in [&["--help"][..], &["checkpoint", "inspect", &kept], &["demo", "--seconds", "1"]] {
        run_full(args);
    }
}

/// A pipe whose writing end is non-blocking.
#[cfg(unix)]
fn non_blocking_pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).expect("it is ours");
    (reader.into(), writer.into())
}

#[cfg(unix)]
#[test]
fn non_blocking_output_is_waited_for() {
    let folder = TempDir::new().expect("a folder");
    let words = file(&folder, "words", &distinct_words(100_000));
    let generate = ["generate", "words", "--lines", "50k"];
    let whole = ["wordcount", "--all", "--format", "csv", &words];
    for args in [&generate[..], &whole] {
        let expected = run(args);
        assert_success(&expected);
        let (mut reader, writer) = non_blocking_pipe();
        let child = tidemill().args(args).stdout(writer).stderr(Stdio::piped()).spawn();
        let child = child.expect("the command starts");
        let mut printed = Vec::new();
        // The pipe is full before anybody reads.
        std::thread::sleep(std::time::Duration::from_millis(300));
        reader.read_to_end(&mut printed).expect("a pipe of ours");
        let output = child.wait_with_output().expect("it ends");
        assert_success(&output);
        assert!(printed == expected.stdout, "{} of {}", printed.len(), expected.stdout.len());
    }
    // And a stream.
    let (reader, writer) = non_blocking_pipe();
    let args = ["wordcount", "--follow", &words, "--all", "--format", "csv", "--interval", "20ms"];
    let mut child = tidemill().args(args).stdout(writer).spawn().expect("starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    let words = lines.map_while(Result::ok).filter(|line| line.contains(",word-"));
    assert_eq!(words.take(100_000).count(), 100_000);
    child.kill().and_then(|()| child.wait()).expect("it is ours");
}

#[cfg(target_os = "linux")]
#[test]
fn standard_error_that_takes_nothing_breaks_nothing() {
    let folder = TempDir::new().expect("a folder");
    let words = file(&folder, "words", b"a\xff b\n");
    let args = ["wordcount", "--format", "csv", &words];
    let expected = "word,count\na\u{FFFD},1\nb,1\n";
    for redirection in ["2>&-", "2>/dev/full"] {
        let output = run_by_shell(&args, redirection);
        assert_success(&output);
        assert_eq!(text(&output.stdout), expected);
    }
    // Pipes that are full, and nobody reads.
    for is_blocking in [false, true] {
        let (_reader, mut writer) = non_blocking_pipe();
        while writer.write(&[b'x'; 4096]).is_ok() {}
        if is_blocking {
            let none = rustix::fs::OFlags::empty();
            rustix::fs::fcntl_setfl(&writer, none).expect("it is ours");
        }
        let output = tidemill().args(args).stderr(writer).output().expect("it starts and ends");
        assert!(output.status.success());
        assert_eq!(text(&output.stdout), expected);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", b"a\n");
    let args = ["wordcount", "--follow", &log, "--running", "--format", "csv"];
    let args = [&args[..], &["--interval", "20ms"]].concat();
    let running = Running::start_by_shell("trap '' INT; exec", &args);
    running.wait_for(|line| line.ends_with(",a,1"));
    // Two of them would end it at once.
    for count in 2..4 {
        running.signal("INT");
        crate::shell::append(&log, b"a\n");
        running.wait_for(|line| line.ends_with(&format!(",a,{count}")));
    }
    running.signal("TERM");
    assert!(running.end().0.success());
}
