//! `tidemill checkpoint`, as scripts meet it: what it says of checkpoints, and its exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tidemill::IntakeLog;
use tidemill::checkpoint::{inspect, intake_logs, verify};
use tidemill::prelude::*;

use crate::feed::Feed;
use crate::replay::Tape;
use crate::shell::{Running, STREAM, append, assert_fails, assert_success, file, run, text};

const SECOND: Duration = Duration::from_secs(1);

/// A directory with the checkpoints of four batches, and their files.
fn checkpoints() -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().expect("a directory of ours");
    let mut t = TestContext::new().unwrap();
    t.context().checkpoint(directory.path(), 1);
    let tape = Tape::new([["a"], ["b"], ["c"], ["d"]]);
    let words = t.context().receiver_stream(tape.player()).unwrap();
    let counts = words.count_by_value_and_window(3 * SECOND, SECOND);
    let _counts = t.output(&counts);
    for _ in 0..4 {
        t.tick().unwrap();
    }
    drop(t);
    let files = files(directory.path());
    assert!(files.len() >= 4, "{files:?}");
    (directory, files)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of ours");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().contains("checkpoint-"));
    files.sort();
    files
}

fn checkpoint(action: &str, directory: &Path) -> std::process::Output {
    run(&["checkpoint", action, directory.to_str().expect("a path of ours")])
}

#[test]
fn whole_ones() {
    let (directory, paths) = checkpoints();
    let found = inspect(directory.path()).unwrap();
    assert_eq!(found.len(), paths.len());
    assert_eq!((found[0].stands_on, found[1].stands_on), (None, None));
    assert_eq!(found[2].stands_on, Some(found[1].number));
    for (info, path) in found.iter().zip(&paths) {
        assert_eq!(info.bytes, fs::metadata(path).unwrap().len());
        assert!(info.damage.is_none() && info.time.is_some(), "{info:?}");
        assert_eq!((info.sources.len(), info.sections.len()), (1, 1), "{info:?}");
    }
    let newest = found[found.len() - 1].number;
    let verified = verify(directory.path()).unwrap();
    assert_eq!((verified.checkpoints, verified.damaged), (found.len() as u64, 0));
    assert_eq!(verified.start, Some(newest));

    let output = checkpoint("verify", directory.path());
    assert_success(&output);
    let expected = format!("{} read, in 2 chains; a start would use {newest}\n", found.len());
    assert_eq!(text(&output.stdout), expected);
    let output = checkpoint("inspect", directory.path());
    assert_success(&output);
    let printed = text(&output.stdout);
    assert!(printed.contains(&format!("\nin checkpoint {newest}\n")), "{printed}");
    assert!(printed.contains(&found[0].sections[0].name), "{printed}");
    assert_eq!(printed.matches("whole\n").count(), found.len(), "{printed}");
    // Nothing was changed.
    assert_eq!(files(directory.path()), paths);
}

#[test]
fn damaged_ones() {
    let (directory, paths) = checkpoints();
    let found = inspect(directory.path()).unwrap();
    let at = paths.len() - 2;
    let mut bytes = fs::read(&paths[at]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&paths[at], bytes).unwrap();
    let verified = verify(directory.path()).unwrap();
    assert_eq!((verified.damaged, verified.start), (2, Some(found[at - 1].number)));
    let damaged = found[at].number;
    for action in ["verify", "inspect"] {
        let output = checkpoint(action, directory.path());
        let checksum = format!("checkpoint {damaged} is damaged: its checksum is wrong");
        let stands = format!("checkpoint {damaged}, on which it stands, is not whole");
        assert_fails(&output, 4, &[&checksum, &stands]);
        assert!(!output.stdout.is_empty());
    }
    for path in &paths {
        fs::write(path, "tide").unwrap();
    }
    assert_eq!(verify(directory.path()).unwrap().start, None);
    let output = checkpoint("verify", directory.path());
    assert_fails(&output, 1, &["is damaged"]);
    assert!(text(&output.stdout).contains("none is whole"));
}

/// What sources have logged is shown and checked, too.
#[test]
fn intake_logs_of_sources() {
    let directory = tempfile::tempdir().expect("a directory of ours");
    let mut t = TestContext::new().unwrap();
    t.context().checkpoint(directory.path(), 100);
    t.context().intake_log(IntakeLog::synced());
    let (feed, feeder) = Feed::new();
    let lines = t.context().receiver_stream(feed).unwrap();
    let counts = t.output(&lines.count());
    for number in 0..3 {
        let line = [format!("line {number}\n")];
        // The first tick starts the receiver.
        if number == 0 {
            feeder.send(line)
        } else {
            feeder.deliver(line)
        }
        t.tick().unwrap();
    }
    t.context().stop();
    drop(counts);
    let found = intake_logs(directory.path()).unwrap();
    let [log] = found.as_slice() else { panic!("one source has a log: {found:?}") };
    assert_eq!((log.source.as_str(), log.files, log.lost), ("feed", 1, 0));
    assert!(log.blocks >= 2 && log.last == log.blocks, "{log:?}");
    let expected = format!("intake log of feed: {0} whole blocks, up to {0}\n", log.blocks);
    let output = checkpoint("verify", directory.path());
    assert_success(&output);
    assert!(text(&output.stdout).ends_with(&expected));
    let output = checkpoint("inspect", directory.path());
    assert_success(&output);
    assert!(text(&output.stdout).contains("\nin intake logs\n"));

    let entries = fs::read_dir(directory.path().join("intake")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_none_or(|it| it != "marks"));
    let [path] = &paths.collect::<Vec<_>>()[..] else { panic!("the log is in one file") };
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(4).position(|bytes| bytes == b"line").unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    let output = checkpoint("verify", directory.path());
    assert_fails(&output, 4, &["the intake log of feed is damaged: 1 blocks are lost"]);
}

/// As long as there is one that stands by itself and no other, it has a copy.
#[test]
fn a_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = file(&folder, "words", b"a b a\n");
    let kept = folder.path().join("kept");
    let args = ["wordcount", &words, "--format", "csv", "--checkpoint", kept.to_str().unwrap()];
    let first = run(&args);
    assert_success(&first);
    let [own, copy] = &files(&kept)[..] else { panic!("one and its copy") };
    assert!(copy.to_string_lossy().ends_with(".copy"), "{copy:?}");
    fs::write(own, "tide").unwrap();
    let verified = verify(&kept).unwrap();
    assert_eq!((verified.damaged, verified.start.is_some()), (1, true));
    let output = checkpoint("verify", &kept);
    assert_fails(&output, 4, &["a start would use its copy"]);
    let again = run(&args);
    assert_success(&again);
    assert_eq!(text(&again.stdout), text(&first.stdout));
    assert_success(&checkpoint("verify", &kept));
}

/// How many stand by themselves in a directory.
fn whole(directory: &Path) -> usize {
    inspect(directory).unwrap().iter().filter(|info| info.stands_on.is_none()).count()
}

/// Runs running totals until a line is there, and stops them as a service is stopped.
fn follow(log: &str, kept: &Path, more: &[&str], until: &str) -> Vec<String> {
    let args = ["wordcount", "--follow", log, "--checkpoint", kept.to_str().expect("ours")];
    let running = Running::start(&[&args[..], &STREAM, more].concat());
    running.wait_for(|line| line.ends_with(until));
    running.signal("TERM");
    let said = running.stderr_to_the_end();
    assert!(running.end().0.success(), "{said:?}");
    said
}

/// As many are kept as were asked for.
#[test]
fn so_many_are_kept() {
    for (asked, expected) in [(None, 2), (Some("1"), 1), (Some("3"), 3)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, kept) = (file(&folder, "log", b"a\n"), folder.path().join("kept"));
        let more = asked.map_or(vec![], |asked| vec!["--keep-checkpoints", asked]);
        for run in 1..=5 {
            follow(&log, &kept, &more, &format!(",a,{run}"));
            append(&log, b"a\n");
        }
        assert_eq!(whole(&kept), expected, "{asked:?}");
    }
    for wrong in ["0", "17", "x"] {
        let args = ["wordcount", "log", "--checkpoint", "kept", "--keep-checkpoints", wrong];
        assert_fails(&run(&args), 2, &["--keep-checkpoints"]);
    }
}

/// Three keys of many have changed, and a checkpoint has those and no others.
#[test]
fn a_checkpoint_of_running_totals_has_only_what_has_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let words: String = (0..5_000).map(|word| format!("word{word}\n")).collect();
    let (log, kept) = (file(&folder, "log", words.as_bytes()), folder.path().join("kept"));
    // The first two have all there is.
    for word in ["word77", "first", "second"] {
        if word != "word77" {
            append(&log, format!("{word}\n").as_bytes());
        }
        follow(&log, &kept, &["--all"], &format!(",{word},1"));
    }
    append(&log, b"one two word3\n");
    follow(&log, &kept, &["--all"], ",word3,2");
    let found = inspect(&kept).unwrap();
    let newest = found.last().unwrap();
    assert!(newest.stands_on.is_some(), "{newest:?}");
    let totals = newest.sections.iter().find(|section| section.name.starts_with("totals of"));
    let totals = totals.expect("there are totals");
    assert!(!totals.is_whole && (3..=4).contains(&totals.entries), "{totals:?}");
    // And nothing is missing in them.
    append(&log, b"last\n");
    follow(&log, &kept, &["--all"], ",word4999,1");
}

/// Whatever is damaged while it runs, all had been in memory, and is there after a SIGTERM.
#[test]
fn checkpoints_that_are_damaged_while_the_command_runs_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, kept) = (file(&folder, "log", b"a b\n"), folder.path().join("kept"));
    let kept_arg = kept.to_str().expect("ours");
    let args = ["wordcount", "--follow", &log, "--checkpoint", kept_arg];
    let args = [&args[..], &STREAM].concat();
    follow(&log, &kept, &[], ",b,1");
    append(&log, b"a\n");
    follow(&log, &kept, &[], ",a,2");
    let running = Running::start(&args);
    append(&log, b"a\n");
    running.wait_for(|line| line.ends_with(",a,3"));
    for path in files(&kept) {
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    running.signal("TERM");
    let said = running.stderr_to_the_end().join("\n");
    assert!(running.end().0.success(), "{said}");
    assert!(said.contains("is damaged: all is written anew from memory"), "{said}");
    append(&log, b"b\n");
    follow(&log, &kept, &["--all"], ",b,2");
    let newest = verify(&kept).unwrap();
    assert!(newest.start.is_some(), "{newest:?}");
    let whole = run(&["wordcount", &log, "--format", "csv"]);
    assert_eq!(text(&whole.stdout), "word,count\na,3\nb,2\n");
}

#[test]
fn what_cannot_be_read() {
    let directory = tempfile::tempdir().expect("a directory of ours");
    assert_fails(&checkpoint("verify", directory.path()), 3, &["there are no checkpoints in"]);
    let missing = directory.path().join("missing");
    assert_fails(&checkpoint("inspect", &missing), 3, &["missing"]);
    assert!(!missing.exists());
    assert_fails(&run(&["checkpoint", "verify"]), 2, &["DIR"]);
}

/// Totals are kept for the arguments that they are of, and not lost by others.
#[test]
fn totals_of_other_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = file(&folder, "words", b"a b,a\n");
    let kept = folder.path().join("kept");
    let kept = kept.to_str().expect("a path of ours");
    let count = |args: &[&str]| {
        let all = ["wordcount", &words, "--format", "csv", "--checkpoint", kept];
        run(&[&all[..], args].concat())
    };
    assert_success(&count(&[]));
    let totals = "totals of wordcount --split whitespace";
    assert_fails(&count(&["--split", ","]), 2, &[kept, totals]);
    assert_fails(&run(&["average", &words, "--checkpoint", kept]), 2, &[kept, totals]);
    let followed = ["wordcount", "--follow", &words, "--checkpoint", kept];
    assert_fails(&run(&followed), 2, &[kept, totals, "--running"]);
    let another = ["another one", "\"files\""];
    assert_fails(&run(&[&followed[..], &["--running"]].concat()), 1, &another);
    // Nothing was lost meanwhile.
    let output = count(&[]);
    assert_success(&output);
    assert!(text(&output.stdout).contains("a,1") && text(&output.stdout).contains("\"b,a\",1"));
}

#[test]
fn directories_that_cannot_be_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = file(&folder, "words", b"a\n");
    for directory in [words.clone(), format!("{words}/kept")] {
        let output = run(&["wordcount", &words, "--checkpoint", &directory]);
        assert_fails(&output, 3, &[&directory]);
    }
}

/// What a log's rotation has put out of reach is told.
#[test]
fn a_file_that_was_rotated_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = file(&folder, "log", b"first\n");
    let kept = folder.path().join("kept");
    let kept = kept.to_str().expect("a path of ours");
    let args = ["wordcount", "--follow", &log, "--running", "--checkpoint", kept];
    let start =
        || Running::start(&[&args[..], &["--interval", "20ms", "--format", "csv"]].concat());
    let running = start();
    running.wait_for(|line| line.ends_with("first,1"));
    running.signal("TERM");
    assert!(running.end().0.success());
    fs::rename(&log, format!("{log}.2")).unwrap();
    // Files that are written within one tick of the file system's clock look as old as each other.
    std::thread::sleep(Duration::from_millis(50));
    file(&folder, "log.1", b"second\n");
    file(&folder, "log", b"third\n");
    let running = start();
    running.wait_for(|line| line.ends_with("third,1"));
    running.signal("TERM");
    let said = running.stderr_to_the_end().join("\n");
    assert!(said.contains("rotated more than once") && said.contains("log.1"), "{said}");
    assert!(running.end().0.success());
}
