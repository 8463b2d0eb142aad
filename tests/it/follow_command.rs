//! The command on logs that are followed: each word counts once, whatever becomes of the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::shell::{Running, append};

/// A folder with logs, and the totals of a command that is started and stopped again and again.
struct Logs {
    folder: TempDir,
    /// The arguments after `--follow`.
    followed: Vec<String>,
}

impl Logs {
    fn new(followed: &[&str]) -> Logs {
        let folder = TempDir::new().expect("a folder");
        let path = |name: &&str| folder.path().join(name).to_str().expect("ours").to_owned();
        let followed = followed.iter().map(path).collect();
        Logs { folder, followed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        append(self.path(name), text.as_bytes());
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("a folder of ours");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("a folder of ours");
    }

    fn start(&self) -> Running {
        let kept = self.path("kept");
        let mut args = vec!["wordcount", "--follow"];
        args.extend(self.followed.iter().map(String::as_str));
        args.extend(["--running", "--checkpoint", kept.to_str().expect("ours")]);
        args.extend(["--interval", "20ms", "--format", "csv", "--all", "--rotated-quiet", "1s"]);
        Running::start(&args)
    }

    /// Runs until this word has this count, then to its end; gives the last totals, and what was
    /// said.
    #[track_caller]
    fn totals(&self, word: &str, count: u64) -> (BTreeMap<String, u64>, Vec<String>) {
        let running = self.start();
        let seen = running.wait_for(|line| line.ends_with(&format!(",{word},{count}")));
        end(running, vec![seen])
    }
}

/// Stops the command; gives the last totals, and what was said.
fn end(running: Running, mut lines: Vec<String>) -> (BTreeMap<String, u64>, Vec<String>) {
    running.signal("TERM");
    let said = running.stderr_to_the_end();
    let (status, rest) = running.end();
    assert!(status.success(), "{status}: {said:?}");
    lines.extend(rest);
    let mut totals = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.starts_with("batch_time_ms")) {
        let [_, word, count] = line.splitn(3, ',').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        // Later totals take the place of earlier ones.
        totals.insert(word.to_owned(), count.parse().expect("a count"));
    }
    (totals, said)
}

fn map(totals: &[(&str, u64)]) -> BTreeMap<String, u64> {
    totals.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

#[test]
fn removed_logs_whose_inode_another_file_has() {
    let logs = Logs::new(&["log"]);
    logs.append("log", "old\n");
    logs.totals("old", 1);
    // The file system gives the number to the next file that is made.
    logs.remove("log");
    logs.append("other", "not this\n");
    logs.append("log", "new\n");
    let (totals, _) = logs.totals("new", 1);
    assert_eq!(totals, map(&[("new", 1), ("old", 1)]));
}

#[test]
fn rotated_beside_the_target_of_a_link_while_nothing_ran() {
    let logs = Logs::new(&["link"]);
    fs::create_dir(logs.path("target")).expect("a folder of ours");
    logs.append("target/log", "a\n");
    std::os::unix::fs::symlink(logs.path("target/log"), logs.path("link")).expect("a link");
    logs.totals("a", 1);
    logs.append("target/log", "b\n");
    logs.rename("target/log", "target/log.1");
    logs.append("target/log", "c\n");
    let (totals, _) = logs.totals("c", 1);
    assert_eq!(totals, map(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[test]
fn the_same_bytes_under_a_new_inode_while_nothing_ran() {
    let logs = Logs::new(&["log"]);
    logs.append("log", "a a a\n");
    logs.totals("a", 3);
    fs::copy(logs.path("log"), logs.path("new")).expect("a folder of ours");
    logs.rename("new", "log");
    logs.append("log", "b\n");
    let (totals, _) = logs.totals("b", 1);
    assert_eq!(totals, map(&[("a", 3), ("b", 1)]));
}

#[test]
fn rewritten_with_the_same_beginning_while_nothing_ran() {
    let logs = Logs::new(&["log"]);
    let same = "a ".repeat(150);
    logs.append("log", &format!("{same}\nold\n"));
    logs.totals("old", 1);
    fs::write(logs.path("log"), format!("{same}\nnew new\nmore\n")).expect("a folder of ours");
    let (totals, said) = logs.totals("more", 1);
    // Noticed, and read from its start.
    assert_eq!(totals, map(&[("a", 300), ("more", 1), ("new", 2), ("old", 1)]));
    let is_named = |line: &String| line.contains("read from its start") && line.contains("log");
    assert!(said.iter().any(is_named), "{said:?}");
}

#[test]
fn missing_at_the_start_and_there_later() {
    let logs = Logs::new(&["volume/log"]);
    fs::create_dir(logs.path("volume")).expect("a folder of ours");
    logs.append("volume/log", "a\n");
    logs.totals("a", 1);
    logs.rename("volume", "away");
    let running = logs.start();
    let said = running.stderr.recv_timeout(crate::shell::PATIENCE).expect("it says so");
    assert!(said.contains("volume/log"), "{said}");
    logs.append("away/log", "b\n");
    logs.rename("away", "volume");
    let seen = running.wait_for(|line| line.ends_with(",b,1"));
    end(running, vec![seen]);
    logs.append("volume/log", "c\n");
    let (totals, _) = logs.totals("c", 1);
    assert_eq!(totals, map(&[("a", 1), ("b", 1), ("c", 1)]));
}

#[test]
fn a_writer_that_goes_on_with_a_rotated_file() {
    let logs = Logs::new(&["log"]);
    logs.append("log", "a\n");
    let running = logs.start();
    running.wait_for(|line| line.ends_with(",a,1"));
    logs.rename("log", "log.1");
    logs.append("log", "new\n");
    running.wait_for(|line| line.ends_with(",new,1"));
    logs.append("log.1", "late\n");
    let seen = running.wait_for(|line| line.ends_with(",late,1"));
    let (totals, _) = end(running, vec![seen]);
    assert_eq!(totals.get("late"), Some(&1));
}

#[test]
fn rotated_twice_while_it_was_stopped() {
    let logs = Logs::new(&["log"]);
    logs.append("log", "a\n");
    let running = logs.start();
    running.wait_for(|line| line.ends_with(",a,1"));
    running.signal("STOP");
    logs.append("log", "b\n");
    logs.rename("log", "log.2");
    logs.append("log.1", "c\n");
    logs.append("log", "d\n");
    running.signal("CONT");
    let seen = running.wait_for(|line| line.ends_with(",d,1"));
    let (_, said) = end(running, vec![seen]);
    assert!(said.iter().any(|line| line.contains("log.1")), "{said:?}");
    logs.append("log", "e\n");
    let (totals, _) = logs.totals("e", 1);
    assert_eq!(totals, map(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]));
}

#[test]
fn emptied_while_its_writer_kept_its_offset() {
    use std::io::{Seek, SeekFrom, Write};
    let logs = Logs::new(&["log"]);
    logs.append("log", "a\n");
    let running = logs.start();
    running.wait_for(|line| line.ends_with(",a,1"));
    let mut file = fs::File::options().write(true).open(logs.path("log")).expect("it is there");
    file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(300_000))).expect("a file of ours");
    file.write_all(b"b c\n").expect("a file of ours");
    let seen = running.wait_for(|line| line.ends_with(",b,1"));
    let (totals, said) = end(running, vec![seen]);
    assert_eq!(totals.get("c"), Some(&1), "{totals:?}");
    assert!(totals.keys().all(|word| !word.contains('\0')), "{totals:?}");
    let is_said = |line: &String| line.contains("hole of NUL") && line.contains("log");
    assert!(said.iter().any(is_said), "{said:?}");
}

#[test]
fn one_file_by_several_names() {
    let logs = Logs::new(&["log", "./log", "sub/../log"]);
    fs::create_dir(logs.path("sub")).expect("a folder of ours");
    logs.append("log", "a\n");
    let (totals, _) = logs.totals("a", 1);
    assert_eq!(totals, map(&[("a", 1)]));
    logs.append("log", "b\n");
    let (totals, _) = logs.totals("b", 1);
    assert_eq!(totals, map(&[("a", 1), ("b", 1)]));
}

/// Totals are printed at the end, also by a process that is stopped before its first batch, as most
/// of these are: the one before them has ended the interval early.
#[test]
fn totals_of_a_checkpoint_are_printed_where_no_batch_ran() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("ours").to_owned();
    let log = path("log");
    let start = |kept: &str| {
        let args = ["wordcount", "--follow", &log, "--running", "--checkpoint", kept];
        Running::start(&[&args[..], &["--interval", "2s", "--format", "csv"]].concat())
    };
    let life = |kept: &str| {
        let running = start(kept);
        assert_eq!(running.wait_for(|_| true), "batch_time_ms,word,count");
        running.signal("TERM");
        let (status, lines) = running.end();
        assert!(status.success(), "{status}");
        let rows = lines.iter().map(|line| line.split_once(',').expect("columns").1.to_owned());
        rows.collect::<Vec<String>>()
    };
    // Nothing has come so far, and there are no totals.
    for _ in 0..2 {
        assert_eq!(life(&path("nothing")), Vec::<String>::new());
    }
    append(Path::new(&log), b"a b a\n");
    let kept = path("kept");
    let running = start(&kept);
    running.wait_for(|line| line.ends_with(",a,2"));
    let (totals, _) = end(running, Vec::new());
    assert_eq!(totals, map(&[("a", 2), ("b", 1)]), "they come again at the end");
    for _ in 0..5 {
        assert_eq!(life(&kept), ["a,2", "b,1"]);
    }
}
