//! A program in a process of its own that follows a file, and ends in any way and at any moment:
//! for tests that start it again until all lines are through, and then count each line.
//!
//! Lines have ids from 0 up. The program checks them by what it remembers: an id that is lost or
//! there twice fails a batch, and with it the process.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tidemill::checkpoint::verify;
use tidemill::prelude::*;
use tidemill::{Follow, TextFiles, TransactionalFiles};

use crate::child;
use crate::random::Random;

/// In the child: where all of it is, and at how many lines it ends.
const DIRECTORY: &str = "TIDEMILL_LIVES_DIRECTORY";
const LINES: &str = "TIDEMILL_LIVES_LINES";

pub(crate) const INTERVAL: Duration = Duration::from_millis(10);

/// Keys of the lines, which have them in turn.
const KEYS: u64 = 13;

/// The file that is written once the program has taken in as many lines as it was to.
const TOTALS: &str = "totals";

/// What the child does, until it is killed, told to stop, or has all lines.
pub(crate) fn live() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let lines_max = std::env::var(LINES).map_or(u64::MAX, |lines| lines.parse().unwrap());
    let ssc = StreamingContext::builder("lives").batch_interval(INTERVAL).threads(2);
    let ssc = ssc.build().unwrap();
    ssc.stop_gracefully_on_signals().unwrap();
    ssc.checkpoint(directory.join("state"), 1);
    let follow = Follow::new([directory.join("input")]).unwrap();
    let lines = ssc.receiver_stream(follow.poll_every(Duration::from_millis(2))).unwrap();
    let files = TransactionalFiles::new(TextFiles::new(directory.join("out").join("rows")));
    lines.save_with("rows.v1", files);
    lines.save_as_text_files(directory.join("plain").join("rows"), "");

    let pairs = lines.map(|line| {
        let id: u64 = line.parse().expect("a line is an id");
        (id % KEYS, id)
    });
    // Of each key the last id: the next one is known.
    let last = pairs.map_with_state::<u64, u64, _>("last.v1", |key, id, last, _| {
        let id = id.expect("nothing times out");
        let expected = last.get_option().map_or(key, |last| last + KEYS);
        assert_eq!(id, expected, "the next id of key {key}");
        last.update(id);
    });
    last.foreach_batch(|_, _| Ok(()));
    lines.window(5 * INTERVAL, INTERVAL).foreach_batch(|batch, _| {
        let ids: Vec<u64> = batch.iter().map(|line| line.parse().unwrap()).collect();
        match ids.is_sorted_by(|id, next| id + 1 == *next) {
            true => Ok(()),
            false => Err(format!("the window has {ids:?}").into()),
        }
    });
    let totals = pairs.update_state_by_key("totals.v1", |ids, total: Option<(u64, u64)>| {
        let (count, sum) = total.unwrap_or_default();
        Some((count + ids.len() as u64, sum + ids.iter().sum::<u64>()))
    });
    let handle = ssc.clone();
    totals.foreach_batch(move |batch, _| {
        let text: String =
            batch.iter().map(|(key, (count, sum))| format!("{key} {count} {sum}\n")).collect();
        if batch.iter().map(|(_, (count, _))| count).sum::<u64>() >= lines_max {
            fs::write(directory.join(TOTALS), text)?;
            handle.stop_gracefully();
        }
        Ok(())
    });
    ssc.start().unwrap();
    // The parent waits for this.
    eprintln!("{STARTED}");
    ssc.await_termination().unwrap();
}

/// Where the lines are saved: committed with checkpoints, and replaced.
const OUTPUTS: [&str; 2] = ["out", "plain"];

/// What a child says once it runs.
const STARTED: &str = "it has started";

/// The lives of the program, and the file that it follows.
pub(crate) struct Lives {
    /// The test that calls [`live`] in a child.
    test: &'static str,
    directory: TempDir,
    /// Lines that were begun, of which the last one may have no end yet.
    text: String,
    written: usize,
    ids: u64,
}

impl Lives {
    pub(crate) fn new(test: &'static str) -> Lives {
        let directory = tempfile::tempdir().unwrap();
        for name in OUTPUTS {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let lives = Lives { test, directory, text: String::new(), written: 0, ids: 0 };
        lives.write(b"");
        lives
    }

    fn write(&self, bytes: &[u8]) {
        let path = self.directory.path().join("input");
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(bytes).unwrap();
    }

    /// The number of the batch of the newest checkpoint that is whole.
    pub(crate) fn checkpoint(&self) -> u64 {
        let state = self.directory.path().join("state");
        verify(state).ok().and_then(|verified| verified.start).unwrap_or(0)
    }

    /// Appends some bytes of some lines.
    pub(crate) fn append(&mut self, random: &mut Random) {
        for _ in 0..random.below(300) {
            self.text.push_str(&format!("{}\n", self.ids));
            self.ids += 1;
        }
        let end = self.text.len() - random.below(6).min(self.text.len() - self.written);
        self.write(&self.text.as_bytes()[self.written..end]);
        self.written = end;
    }

    /// Begins another life, and waits until its batches run.
    pub(crate) fn start(&self) -> Child {
        let mut process = self.spawn(&[]);
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let has_started = lines.any(|line| line.unwrap() == STARTED);
        assert!(has_started, "{}", process.wait().unwrap());
        // What else it says, it says if something is wrong.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{}", line.unwrap())));
        process
    }

    pub(crate) fn spawn(&self, variables: &[(&str, &str)]) -> Child {
        let mut command = child::command(self.test);
        command.env(DIRECTORY, self.directory.path()).envs(variables.iter().copied());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A last life, to the end of all lines, and what has come of each of them.
    pub(crate) fn finish(self) {
        self.write(&self.text.as_bytes()[self.written..]);
        let output = self.spawn(&[(LINES, &self.ids.to_string())]).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut expected = BTreeMap::new();
        for id in 0..self.ids {
            let (count, sum) = expected.entry(id % KEYS).or_insert((0, 0));
            (*count, *sum) = (*count + 1, *sum + id);
        }
        let totals = fs::read_to_string(self.directory.path().join(TOTALS)).unwrap();
        let mut totals: Vec<&str> = totals.lines().collect();
        totals.sort();
        let expected = expected.iter().map(|(key, (count, sum))| format!("{key} {count} {sum}"));
        let mut expected: Vec<String> = expected.collect();
        expected.sort();
        assert_eq!(totals, expected);
        for name in OUTPUTS {
            let ids = ids_in(&self.directory.path().join(name));
            assert_eq!(ids, (0..self.ids).collect::<Vec<_>>(), "{name}");
        }
    }
}

/// The ids in the files of a directory, sorted.
fn ids_in(directory: &Path) -> Vec<u64> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("rows-"), "{name} is left over");
        ids.extend(fs::read_to_string(&path).unwrap().lines().map(|id| id.parse::<u64>().unwrap()));
    }
    ids.sort();
    ids
}
