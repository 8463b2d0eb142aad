//! The command on directories that are followed: killed at any moment and started again, it ends
//! with exact totals.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::shell::{
    PATIENCE, Running, append, assert_fails, file, run, send_signal, text, tidemill,
};

/// Moves a whole file in, as those do who write to such a directory.
fn move_in(directory: &Path, name: &str, content: &str) {
    let hidden = directory.join(format!(".{name}"));
    fs::write(&hidden, content).expect("a folder of ours");
    fs::rename(hidden, directory.join(name)).expect("a folder of ours");
}

#[test]
fn totals_are_exact_however_often_it_is_killed() {
    let folder = TempDir::new().expect("a folder");
    let [incoming, counts] = ["incoming", "counts"].map(|name| folder.path().join(name));
    fs::create_dir(&incoming).expect("a folder of ours");
    let log = file(&folder, "log", b"log all\n");
    let start = || {
        let [incoming, counts] = [&incoming, &counts].map(|path| path.to_str().expect("ours"));
        let twice = [incoming, &format!("{incoming}/"), &log, &log];
        let args = [&["wordcount", "--follow"], &twice[..], &["--running", "--checkpoint", counts]];
        let args = args.concat();
        Running::start(&[&args[..], &["--interval", "20ms", "--format", "csv", "--all"]].concat())
    };
    let mut expected = BTreeMap::from([("all".to_owned(), 1), ("log".to_owned(), 1)]);
    let mut come = |number: usize| {
        // One with more lines than are read in a moment.
        let lines = if number.is_multiple_of(4) { 50_000 } else { 10 };
        move_in(&incoming, &format!("{number}"), &format!("all w{number}\n").repeat(lines));
        *expected.entry("all".to_owned()).or_insert(0) += lines;
        expected.insert(format!("w{number}"), lines);
    };
    // What is there before counts, too.
    come(0);
    for life in 1..6 {
        let running = start();
        come(2 * life);
        // Killed at moments of all kinds: before anything came, and after.
        if life % 2 == 0 {
            running.wait_for(|line| line.contains(",all,"));
        }
        drop(running);
        come(2 * life + 1);
    }
    append(&log, b"log\n");
    *expected.get_mut("log").expect("just put in") += 1;
    let running = start();
    running.wait_for(|line| line.ends_with(",log,2"));
    running.signal("TERM");
    let (status, rest) = running.end();
    assert!(status.success(), "{status}");
    let time_of = |line: &String| line.split_once(',').map(|(time, _)| time.to_owned());
    let last = rest.last().and_then(time_of).expect("the last totals");
    let totals = rest.iter().filter(|line| line.starts_with(&format!("{last},")));
    let totals: BTreeMap<String, usize> = totals
        .map(|line| {
            let (word, count) = line[last.len() + 1..].split_once(',').expect("a word and a count");
            (word.to_owned(), count.parse().expect("a number"))
        })
        .collect();
    assert_eq!(totals, expected);
}

#[test]
fn checkpoints_are_not_kept_among_what_is_read() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path().to_str().expect("ours");
    let inside = format!("{folder}/.");
    let output = run(&["wordcount", "--follow", folder, "--checkpoint", &inside, "--running"]);
    assert_fails(&output, 2, &["another DIR than one that is followed"]);
}

#[test]
fn average_knows_the_headers_of_files_in_a_directory() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().to_str().expect("a path of ours");
    let args = ["average", "--follow", path, "--running", "--interval", "20ms", "--format", "csv"];
    let args = [&args[..], &["--delimiter", ",", "--key", "city", "--value", "c"]].concat();
    move_in(folder.path(), "1.csv", "city,c\noslo,1\n");
    let running = Running::start(&args);
    running.wait_for(|line| line.contains(",oslo,1"));
    move_in(folder.path(), "2.csv", "city,c\noslo,3\n");
    let line = running.wait_for(|line| line.ends_with(",2"));
    assert!(line.ends_with(",oslo,1,2,3,2"), "{line}");
    running.signal("TERM");
    assert!(running.end().0.success());
}

/// Starts the command with its output in a file.
fn start_into(out: &Path, args: &[&str]) -> Child {
    let out = File::options().append(true).create(true).open(out).expect("a file of ours");
    tidemill().args(args).stdout(out).stderr(Stdio::piped()).spawn().expect("the command starts")
}

/// Waits for a line in a file that somebody writes.
fn wait_for_line(path: &Path, is_wanted: impl Fn(&str) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !fs::read_to_string(path).is_ok_and(|text| text.lines().any(&is_wanted)) {
        assert!(Instant::now() < end, "{:?}", fs::read_to_string(path));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(unix)]
#[test]
fn output_in_a_followed_directory_is_not_input() {
    let folder = TempDir::new().expect("a folder");
    let (path, out) = (folder.path().to_str().expect("ours"), folder.path().join("out.csv"));
    let args = ["wordcount", "--follow", path, "--running", "--interval", "20ms", "--all"];
    let child = start_into(&out, &[&args[..], &["--format", "csv"]].concat());
    for (name, total) in [("1", ",all,1"), ("2", ",all,2"), ("3", ",all,3")] {
        move_in(folder.path(), name, "all\n");
        wait_for_line(&out, |line| line.ends_with(total));
    }
    send_signal(&child, "TERM");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let message = text(&output.stderr);
    assert_eq!(message.matches("out.csv").count(), 1, "{message}");
    for line in fs::read_to_string(&out).expect("the output").lines() {
        assert!(line.contains(",all,") || line.starts_with("batch_time"), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_input_and_output_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let log = file(&folder, "log", b"some words\n");
    for args in [&["wordcount", &log][..], &["wordcount", "--follow", &log]] {
        let output = start_into(Path::new(&log), args).wait_with_output().expect("it ends");
        assert_fails(&output, 2, &[&log, "standard output"]);
    }
    assert_eq!(fs::read(&log).expect("the log"), b"some words\n");
}

#[test]
fn directories_below_are_said_once_or_read() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().to_str().expect("ours");
    let below = folder.path().join("below");
    fs::create_dir_all(below.join("deeper")).expect("a folder of ours");
    move_in(folder.path(), "1", "top\n");
    move_in(&below.join("deeper"), "1", "deep\n");
    let args = ["wordcount", "--follow", path, "--running", "--interval", "20ms", "--all"];
    let args = [&args[..], &["--format", "csv"]].concat();
    let running = Running::start(&args);
    running.wait_for(|line| line.ends_with(",top,1"));
    move_in(folder.path(), "2", "top\n");
    running.wait_for(|line| line.ends_with(",top,2"));
    running.signal("TERM");
    let said = running.stderr_to_the_end().join("\n");
    assert_eq!(said.matches(below.to_str().expect("ours")).count(), 1, "{said}");
    // Checkpoints below are not among what is read.
    let counts = below.join("counts");
    let counts = counts.to_str().expect("ours");
    let args = [&args[..], &["--recursive", "--checkpoint", counts]].concat();
    for deep in [1, 2] {
        let running = Running::start(&args);
        running.wait_for(|line| line.ends_with(&format!(",deep,{deep}")));
        running.signal("TERM");
        let (status, rest) = running.end();
        assert!(status.success() && rest.iter().all(|line| !line.contains("tidemill")));
        move_in(&below, &format!("{deep}"), "deep\n");
    }
}

#[test]
fn a_directory_that_is_missing_at_a_restart_is_waited_for() {
    let folder = TempDir::new().expect("a folder");
    let [here, away, counts] = ["here", "away", "counts"].map(|name| folder.path().join(name));
    fs::create_dir(&here).expect("a folder of ours");
    move_in(&here, "1", "word\n");
    let path = here.to_str().expect("ours");
    let args = ["wordcount", "--running", "--interval", "20ms", "--format", "csv", "--all"];
    let kept = ["--checkpoint", counts.to_str().expect("ours"), "--follow"];
    let args = [&args[..], &kept].concat();
    let running = Running::start(&[&args[..], &[path]].concat());
    running.wait_for(|line| line.ends_with(",word,1"));
    running.signal("TERM");
    assert!(running.end().0.success());
    fs::rename(&here, &away).expect("a folder of ours");
    // With a slash and without; and one that nobody knows is an error.
    let unknown = format!("{path}.unknown/");
    assert_fails(&run(&[&args[..], &[&unknown]].concat()), 3, &[&unknown[..unknown.len() - 1]]);
    for (number, path) in [(2, path.to_owned()), (3, format!("{path}/."))] {
        let running = Running::start(&[&args[..], &[&path]].concat());
        let line = running.stderr.recv_timeout(PATIENCE).expect("it says so");
        assert!(line.contains("here"), "{line}");
        move_in(&away, &format!("{number}"), "word\n");
        fs::rename(&away, &here).expect("a folder of ours");
        running.wait_for(|line| line.ends_with(&format!(",word,{number}")));
        running.signal("TERM");
        assert!(running.end().0.success());
        fs::rename(&here, &away).expect("a folder of ours");
    }
}

#[test]
fn another_file_under_a_name_that_was_read_is_counted() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().to_str().expect("ours");
    let args = ["wordcount", "--follow", path, "--running", "--interval", "20ms", "--all"];
    let running = Running::start(&[&args[..], &["--format", "csv"]].concat());
    move_in(folder.path(), "1", "one\n");
    running.wait_for(|line| line.ends_with(",one,1"));
    move_in(folder.path(), "1", "two\n");
    running.wait_for(|line| line.ends_with(",two,1"));
    // Hours ahead of the clock.
    move_in(folder.path(), ".2", "three\n");
    let ahead = SystemTime::now() + Duration::from_secs(36_000);
    let file = File::options().append(true).open(folder.path().join(".2")).expect("ours");
    file.set_modified(ahead).expect("a file of ours");
    fs::rename(folder.path().join(".2"), folder.path().join("2")).expect("a file of ours");
    running.wait_for(|line| line.ends_with(",three,1"));
    running.signal("TERM");
    let said = running.stderr_to_the_end().join("\n");
    assert!(said.contains("another file") && said.contains("ahead"), "{said}");
}
