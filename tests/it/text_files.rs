//! `save_as_text_files`: names, contents, whole files only, and what can go wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::tempdir;
use tidemill::prelude::*;
use tidemill::{ContextState, ErrorKind, TextFiles};

use crate::check::{batch_of, pairs};
use crate::panics::panic_on_purpose;
use crate::replay::Tape;

/// All files in a directory and what is in them.
fn files_in(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

#[track_caller]
fn check_files(directory: &Path, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(name, text)| (name.to_string(), text.to_string()));
    assert_eq!(files_in(directory), expected.collect());
}

/// After a crash batches come again with their times, and with other rows.
#[test]
fn a_row_is_in_one_file() {
    let (directory, state) = (tempdir().unwrap(), tempdir().unwrap());
    let run = |batches: &[&[&str]], ticks: usize| {
        let mut t = TestContext::new().unwrap();
        t.context().checkpoint(state.path(), 4);
        let tape = Tape::new(batches.iter().map(|rows| rows.iter().copied()));
        let rows = t.context().receiver_stream(tape.player()).unwrap();
        rows.save_as_text_files(directory.path().join("rows"), "");
        (0..ticks).for_each(|_| t.tick().unwrap());
    };
    run(&[&["a"], &["b"], &["c"], &["d"], &["e"], &["f"], &["g"]], 7);
    assert_eq!(files_in(directory.path()).len(), 7);
    run(&[&[], &[], &[], &[], &[], &["e", "f", "g"], &[], &["h"]], 4);
    let expected = ["a\n", "b\n", "c\n", "d\n", "e\nf\ng\n", "h\n"];
    let files = files_in(directory.path());
    assert_eq!(files.values().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert!(files.contains_key("rows-6000") && files.contains_key("rows-8000"), "{files:?}");
}

#[test]
fn a_file_for_each_batch() {
    let directory = tempdir().unwrap();
    let mut t = TestContext::new().unwrap();
    let counts = t.input::<(String, i64)>();
    let prefix = directory.path().join("counts");
    counts.stream().save_as_text_files(prefix.clone(), "txt");
    counts.stream().save_as_text_files(prefix.with_file_name("plain"), "");
    let all = TextFiles::new(prefix.with_file_name("all")).suffix(".csv").keep_empty();
    counts.stream().save_as_text_files_with(all);
    assert!(t.context().explain().contains("save_as_text_files("));
    counts.push_batch(batch_of(&[pairs([("a", 1), ("é", -2)]), vec![], pairs([("", 3)])])).unwrap();
    t.tick().unwrap();
    // No row, and then no batch.
    t.tick().unwrap();
    counts.push_absent().unwrap();
    t.tick().unwrap();
    counts.push(pairs([("b\nc", 4)])).unwrap();
    t.tick().unwrap();
    check_files(
        directory.path(),
        &[
            ("all-1000.csv", "(a,1)\n(é,-2)\n(,3)\n"),
            ("all-2000.csv", ""),
            ("all-4000.csv", "(b\nc,4)\n"),
            ("counts-1000.txt", "(a,1)\n(é,-2)\n(,3)\n"),
            ("counts-4000.txt", "(b\nc,4)\n"),
            ("plain-1000", "(a,1)\n(é,-2)\n(,3)\n"),
            ("plain-4000", "(b\nc,4)\n"),
        ],
    );
}

/// A prefix that is a directory alone, as Spark takes it.
#[test]
fn a_prefix_that_ends_in_a_directory() {
    let directory = tempdir().unwrap();
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    words.stream().save_as_text_files(directory.path().join(""), "");
    words.push(["a"]).unwrap();
    t.tick().unwrap();
    check_files(directory.path(), &[("-1000", "a\n")]);
}

/// The same batch saved again, and what a crash has left behind.
#[test]
fn running_again_overwrites() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join(".words-1000.txt.tmp"), "half of a lo").unwrap();
    for text in ["a rather long line", "short"] {
        let mut t = TestContext::new().unwrap();
        let words = t.input::<String>();
        words.stream().save_as_text_files(directory.path().join("words"), "txt");
        words.push([text]).unwrap();
        t.tick().unwrap();
        check_files(directory.path(), &[("words-1000.txt", &format!("{text}\n"))]);
    }
}

/// Who lists the directory finds whole files only, of the first run or of the second one.
#[test]
fn nobody_sees_half_a_file() {
    const ROWS: usize = 20_000;
    const BATCHES: usize = 8;
    let directory = tempdir().unwrap();
    let (is_over, directory) = (AtomicBool::new(false), directory.path());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !is_over.load(Ordering::Relaxed) {
                for entry in fs::read_dir(directory).unwrap() {
                    let entry = entry.unwrap();
                    if entry.file_name().to_string_lossy().starts_with('.') {
                        continue;
                    }
                    let text = fs::read_to_string(entry.path()).unwrap();
                    let lines: Vec<&str> = text.lines().collect();
                    assert_eq!(lines.len(), ROWS);
                    assert!(lines.iter().all(|line| *line == lines[0]) && text.ends_with('\n'));
                    seen += 1;
                }
            }
            seen
        });
        for run in ["first", "second"] {
            let mut t = TestContext::new().unwrap();
            let words = t.input::<String>();
            words.stream().save_as_text_files(directory.join("words"), "txt");
            for batch in 0..BATCHES {
                words.push(vec![format!("batch {batch} of the {run} run"); ROWS]).unwrap();
                t.tick().unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0, "the reader came too late");
    });
    assert_eq!(files_in(directory).len(), BATCHES);
}

#[test]
fn without_a_directory_there_is_no_start() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for missing in [directory.path().join("missing"), file] {
        let ssc = StreamingContext::builder("files").build().unwrap();
        let (words, _queue) = ssc.queue_stream::<String>().unwrap();
        words.save_as_text_files(missing.join("words"), "txt");
        let error = ssc.start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        let message = error.to_string();
        assert!(message.contains(missing.to_str().unwrap()), "{message}");
        assert!(message.contains("output save_as_text_files("), "{message}");
        assert_eq!(ssc.state(), ContextState::Stopped);
    }
    // It need not be there before the start.
    let late = directory.path().join("late");
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    words.stream().save_as_text_files(late.join("words"), "");
    fs::create_dir(&late).unwrap();
    words.push(["a"]).unwrap();
    t.tick().unwrap();
    check_files(&late, &[("words-1000", "a\n")]);
}

/// A batch that cannot be saved fails by itself; later ones are saved, and nothing is left behind.
#[test]
fn errors_of_batches() {
    let directory = tempdir().unwrap();
    let place = directory.path().join("place");
    fs::create_dir(&place).unwrap();
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    words.stream().save_as_text_files(place.join("words"), "txt");
    let seen = t.output(words.stream());
    for word in ["a", "b", "c", "d"] {
        words.push([word]).unwrap();
    }
    // Something else has the name.
    fs::create_dir(place.join("words-1000.txt")).unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert!(error.to_string().contains("words-1000.txt"), "{error}");
    assert!(error.to_string().contains("batch 1000 ms"), "{error}");
    fs::remove_dir(place.join("words-1000.txt")).unwrap();
    check_files(&place, &[]);
    // The directory is gone.
    fs::remove_dir(&place).unwrap();
    let error = t.tick().unwrap_err();
    assert!(error.to_string().contains("words-2000.txt"), "{error}");
    fs::create_dir(&place).unwrap();
    t.tick().unwrap();
    t.tick().unwrap();
    check_files(&place, &[("words-3000.txt", "c\n"), ("words-4000.txt", "d\n")]);
    // Other outputs had all batches.
    assert_eq!(seen.take(), ["a", "b", "c", "d"]);
}

/// A value that cannot be printed leaves no file, half or hidden.
#[test]
fn a_panic_while_a_row_is_written() {
    #[derive(Clone)]
    struct Shy(bool);

    impl std::fmt::Debug for Shy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            if self.0 {
                panic_on_purpose();
            }
            f.write_str("shy")
        }
    }

    let directory = tempdir().unwrap();
    let mut t = TestContext::new().unwrap();
    let rows = t.input::<Row<Shy>>();
    rows.stream().save_as_text_files(directory.path().join("rows"), "");
    rows.push([Row(Shy(false)), Row(Shy(true))]).unwrap();
    rows.push([Row(Shy(false))]).unwrap();
    assert_eq!(t.tick().unwrap_err().kind(), ErrorKind::Closure);
    check_files(directory.path(), &[]);
    t.tick().unwrap();
    check_files(directory.path(), &[("rows-2000", "shy\n")]);
}
