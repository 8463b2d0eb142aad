//! Totals that a checkpoint keeps: what is in them and what is missing, run after run.

use std::fs;
use std::process::Output;

use crate::shell::{Running, append, assert_fails, assert_success, file, run, text};

/// Runs a subcommand with these arguments, and a checkpoint in the folder.
fn keep(folder: &tempfile::TempDir, args: &[&str]) -> Output {
    let kept = folder.path().join("kept");
    let kept = kept.to_str().expect("a path of ours");
    run(&[args, &["--format", "csv", "--checkpoint", kept]].concat())
}

/// A total that was not whole in one run is not in the next, which reads nothing.
#[test]
fn what_is_missing_is_told_by_later_runs_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = file(&folder, "words", &[b"ok \xFF\n", &[b'x'; 100][..], b"\n"].concat());
    for _ in 0..3 {
        let output = keep(&folder, &["wordcount", &words, "--max-line", "64"]);
        let message = "not whole: 1 word cut at the maximum of 64 bytes (--max-line)";
        assert_fails(&output, 4, &[message]);
    }
    let others = file(&folder, "others", &[b'y'; 200]);
    for _ in 0..2 {
        let output = keep(&folder, &["wordcount", &words, &others, "--max-line", "64"]);
        assert_fails(&output, 4, &["not whole: 2 words cut at the maximum"]);
    }
}

#[test]
fn a_wrong_call_is_told_by_later_runs_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = file(&folder, "wrong", b"a;x\nb;y\n");
    let first = keep(&folder, &["average", &wrong]);
    assert_fails(&first, 4, &["all 2 lines were left out"]);
    let again = keep(&folder, &["average", &wrong]);
    assert_fails(&again, 4, &["all 2 lines were left out"]);
    // With enough good ones the call is none of the wrong ones.
    let right = file(&folder, "right", &b"a;1\n".repeat(30));
    for _ in 0..2 {
        let output = keep(&folder, &["average", &wrong, &right]);
        assert_success(&output);
        assert!(text(&output.stdout).ends_with("a,1,1,1,30\n"), "{}", text(&output.stdout));
    }
}

/// Also of a stream, whose last process reads no line.
#[cfg(unix)]
#[test]
fn what_is_missing_in_running_totals_is_told_by_later_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = file(&folder, "log", &[b"a\n", &[b'x'; 100][..], b"\n"].concat());
    let kept = folder.path().join("kept");
    let args = ["wordcount", "--follow", &log, "--checkpoint", kept.to_str().expect("ours")];
    let args = [&args[..], &crate::shell::STREAM, &["--max-line", "64"]].concat();
    for is_first in [true, false, false] {
        let running = Running::start(&args);
        running.wait_for(|line| line.starts_with("batch_time_ms"));
        if is_first {
            running.wait_for(|line| line.ends_with(",a,1"));
        }
        running.signal("TERM");
        let said = running.stderr_to_the_end();
        let (status, _) = running.end();
        assert_eq!(status.code(), Some(4), "{said:?}");
        let last = said.last().expect("a summary");
        assert!(last.contains("not whole: 1 word cut"), "{said:?}");
    }
}

/// A file is one, by whatever path it is named and whatever else is in the list.
#[test]
fn files_are_known_by_any_path_and_in_any_list() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("below")).expect("a folder of ours");
    let one = file(&folder, "one", b"a\n");
    let two = file(&folder, "two", b"b\n");
    let three = file(&folder, "three", b"c\n");
    let by_another_path = one.replace("/one", "/below/.././one");
    let lists: [(&[&str], &str); 5] = [
        (&[&one, &two], "a,1\nb,1\n"),
        (&[&by_another_path, &two], "a,1\nb,1\n"),
        (&[&three], "a,1\nb,1\nc,1\n"),
        (&[&one, &three, &two], "a,1\nb,1\nc,1\n"),
        (&[&three, &by_another_path], "a,1\nb,1\nc,1\n"),
    ];
    for (list, counts) in lists {
        let output = keep(&folder, &[&["wordcount"], list].concat());
        assert_success(&output);
        assert_eq!(text(&output.stdout), format!("word,count\n{counts}"), "{list:?}");
        // Nor are there words about the clock, however short a run is.
        assert_eq!(text(&output.stderr), "", "{list:?}");
    }
}

/// What came to a file after it was read whole is not read, which is said once, and is missing.
#[test]
fn a_file_that_has_changed_since_it_was_read_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = file(&folder, "words", b"a\n");
    assert_success(&keep(&folder, &["wordcount", &words]));
    append(&words, b"b\n");
    let said = format!("a file that was read has another length: not read: {words}");
    let not_whole = "not whole: 1 file not read, or not to the end";
    for is_first in [true, false] {
        let output = keep(&folder, &["wordcount", &words]);
        assert_fails(&output, 4, &[not_whole]);
        assert_eq!(text(&output.stdout), "word,count\na,1\n");
        let says = text(&output.stderr).contains(&said);
        assert_eq!(says, is_first, "{}", text(&output.stderr));
    }
}

/// What cannot be read when a stream ends is missing in its result; what could be in the end is
/// not.
#[cfg(unix)]
#[test]
fn names_that_cannot_be_read_are_in_the_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = file(&folder, "words", b"a\n");
    let circle = folder.path().join("circle");
    for is_mended in [false, true] {
        let _ = fs::remove_file(&circle);
        std::os::unix::fs::symlink("circle", &circle).expect("a link of ours");
        let path = circle.to_str().expect("a path of ours");
        let running = Running::start(
            &[&["wordcount", "--follow", &words, path], &crate::shell::STREAM[..]].concat(),
        );
        running.wait_for(|line| line.ends_with(",a,1"));
        if is_mended {
            fs::remove_file(&circle).expect("a link of ours");
            append(&circle, b"b\n");
            running.wait_for(|line| line.ends_with(",b,1"));
        }
        running.signal("TERM");
        let said = running.stderr_to_the_end();
        let code = running.end().0.code();
        if is_mended {
            assert_eq!(code, Some(0), "{said:?}");
            continue;
        }
        assert_eq!(code, Some(4), "{said:?}");
        let last = said.last().expect("a summary");
        assert!(last.ends_with("not whole: 1 path that cannot be read"), "{said:?}");
    }
}
