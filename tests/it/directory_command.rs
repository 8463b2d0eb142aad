//! The command on directories that are followed: killed at any moment and started again, it ends
//! with exact totals.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::shell::{Running, append, assert_fails, file, run};

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
