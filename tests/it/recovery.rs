//! Going on from a checkpoint: what a program finds again after a stop or a crash, and what it
//! refuses to go on from.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ErrorKind, TestOutput, TextFiles, TransactionalFiles};

use crate::child;
use crate::replay::Tape;

const SECOND: Duration = Duration::from_secs(1);

/// Word counts of the last three batches, with a checkpoint at every so many batches.
fn counts(tape: &Tape, directory: &Path, every: u32) -> (TestContext, TestOutput<(String, i64)>) {
    let t = TestContext::new().unwrap();
    t.context().checkpoint(directory, every);
    let words = t.context().receiver_stream(tape.player()).unwrap();
    let counts = words.count_by_value_and_window(3 * SECOND, SECOND);
    let counts = t.output(&counts);
    (t, counts)
}

pub(crate) fn pairs(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|&(word, count)| (word.to_owned(), count)).collect()
}

fn tape() -> Tape {
    Tape::new([["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"], ["h"]])
}

/// After a graceful stop nothing comes twice.
#[test]
fn a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let tape = tape();
    let (mut t, counted) = counts(&tape, directory.path(), 100);
    for _ in 0..2 {
        t.tick().unwrap();
    }
    t.context().stop_gracefully();
    // The stop cuts what came since the last tick.
    let last = counted.take_batches().pop().unwrap();
    assert_eq!(last.len(), 3);
    let (mut t, counted) = counts(&tape, directory.path(), 100);
    t.tick().unwrap();
    assert_eq!(counted.take_sorted(), pairs(&[("b", 1), ("c", 1), ("d", 1)]));
}

/// After a crash the batches since the checkpoint come again, with the same state.
#[test]
fn a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let tape = tape();
    let (mut t, counted) = counts(&tape, directory.path(), 2);
    for _ in 0..5 {
        t.tick().unwrap();
    }
    let before = counted.take_batches();
    // A start may have to go back to the one before.
    assert_eq!(tape.acknowledged(), 2);
    let checkpoints = t.context().metrics().checkpoints;
    assert_eq!((checkpoints.written, checkpoints.failed, checkpoints.last_batch), (2, 0, 4));
    drop(t);
    let (mut t, counted) = counts(&tape, directory.path(), 2);
    t.tick().unwrap();
    let mut again = counted.take_batches();
    again[0].sort();
    assert_eq!(again[0], pairs(&[("c", 1), ("d", 1), ("e", 1)]));
    assert_eq!(again[0].len(), before[4].len());
    t.tick().unwrap();
    assert_eq!(counted.take_sorted(), pairs(&[("d", 1), ("e", 1), ("f", 1)]));
}

/// What a program keeps has to be savable, under one name each.
#[test]
fn refusals_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |build: &dyn Fn(&TestContext)| {
        let t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), 1);
        build(&t);
        t.context().start().unwrap_err()
    };
    let rows = refused(&|t| {
        let rows = t.input::<Row<u8>>();
        rows.stream().window(3 * SECOND, SECOND).foreach_batch(|_, _| Ok(()));
    });
    assert_eq!(rows.kind(), ErrorKind::Checkpoint);
    let text = rows.to_string();
    assert!(text.contains("window(3s, 1s)") && text.contains("Row"), "{text}");

    let sinks = refused(&|t| {
        let words = t.input::<String>();
        for _ in 0..2 {
            let files = TransactionalFiles::new(TextFiles::new(directory.path().join("out")));
            words.stream().save_with("out.v1", files);
        }
    });
    assert_eq!(sinks.kind(), ErrorKind::State);
    assert_eq!(sinks.to_string(), r#"two states or sinks have the name "out.v1""#);

    let t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let files = TransactionalFiles::new(TextFiles::new(directory.path().join("out")));
    words.stream().save_with("out.v1", files);
    let error = t.context().start().unwrap_err().to_string();
    assert!(error.contains("save_with(out.v1)") && error.contains("checkpoint("), "{error}");
}

/// Another version of a program: operators are known by their names, wherever they stand.
#[test]
fn another_version() {
    let directory = tempfile::tempdir().unwrap();
    let tape = tape();
    let run = |build: &dyn Fn(&TestContext, &DStream<String>)| {
        let mut t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), 1);
        let words = t.context().receiver_stream(tape.player()).unwrap();
        build(&t, &words);
        t.tick()
    };
    let two = |words: &DStream<String>| words.count_by_value_and_window(2 * SECOND, SECOND);
    let five = |words: &DStream<String>| words.count_by_value_and_window(5 * SECOND, SECOND);
    run(&|_, words| drop(two(words).foreach_batch(|_, _| Ok(())))).unwrap();
    // One more, before the one that was there.
    let (added, kept) = (std::cell::Cell::new(None), std::cell::Cell::new(None));
    run(&|t, words| {
        added.set(Some(t.output(&five(words))));
        kept.set(Some(t.output(&two(words))));
    })
    .unwrap();
    assert_eq!(added.take().unwrap().take_sorted(), pairs(&[("b", 1)]));
    assert_eq!(kept.take().unwrap().take_sorted(), pairs(&[("a", 1), ("b", 1)]));
    // One less.
    run(&|t, words| added.set(Some(t.output(&five(words))))).unwrap();
    assert_eq!(added.take().unwrap().take_sorted(), pairs(&[("b", 1), ("c", 1)]));
    // One that was there, under another name or instead of another one: who can tell?
    let error = run(&|_, words| drop(two(words).foreach_batch(|_, _| Ok(())))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let text = error.to_string();
    for part in ["(2s, 1s)", "(5s, 1s)", "forget_state(", "There is: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    run(&|t, words| {
        t.context().forget_state("count_by_value_and_window(5s, 1s)");
        kept.set(Some(t.output(&two(words))));
    })
    .unwrap();
    // Nothing came back of what was removed before.
    assert_eq!(kept.take().unwrap().take_sorted(), pairs(&[("d", 1)]));
    // Another interval is another time for all that is kept.
    let builder = StreamingContext::builder("other").batch_interval(2 * SECOND);
    let t = TestContext::with(builder).unwrap();
    t.context().checkpoint(directory.path(), 1);
    let words = t.context().receiver_stream(tape.player()).unwrap();
    words.count().foreach_batch(|_, _| Ok(()));
    let error = t.context().start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let text = error.to_string();
    assert!(text.contains("1s") && text.contains("2s"), "{text}");
}

/// Files of a sink are seen once they are in a checkpoint, and once.
#[test]
fn transactional_files() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let tape = tape();
    let start = || {
        let t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path().join("state"), 3);
        let words = t.context().receiver_stream(tape.player()).unwrap();
        let files = TextFiles::new(out.join("words")).suffix("txt");
        words.save_with("words.v1", TransactionalFiles::new(files));
        t
    };
    let seen = || {
        let entries = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        let text = |name: &String| std::fs::read_to_string(out.join(name)).unwrap();
        names.iter().map(text).collect::<String>()
    };
    let mut t = start();
    for _ in 0..2 {
        t.tick().unwrap();
    }
    assert_eq!(seen(), "");
    for _ in 0..3 {
        t.tick().unwrap();
    }
    assert_eq!(seen(), "a\nb\nc\n");
    drop(t);
    let mut t = start();
    // What was pending is gone, and comes again.
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 5);
    t.tick().unwrap();
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4);
    t.context().stop_gracefully();
    assert!(seen().starts_with("a\nb\nc\nd\n"), "{}", seen());
}

/// It is told at once, by name, and before anything of it runs.
#[test]
fn a_second_process_on_one_directory() {
    const DIRECTORY: &str = "TIDEMILL_TEST_DIRECTORY";
    const HOLDER: &str = "TIDEMILL_TEST_HOLDER";
    if child::is_child() {
        let directory = std::env::var(DIRECTORY).unwrap();
        let t = TestContext::new().unwrap();
        t.context().checkpoint(&directory, 1);
        let words = t.context().receiver_stream(tape().player()).unwrap();
        words.foreach_batch(|_, _| panic!("it must not run"));
        let error = t.context().start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        let (text, holder) = (error.to_string(), std::env::var(HOLDER).unwrap());
        assert!(text.contains(&format!("in use by process {holder}")), "{text}");
        assert!(text.contains(&directory), "{text}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _counted) = counts(&tape(), directory.path(), 1);
    first.tick().unwrap();
    let path = directory.path().to_str().unwrap();
    let holder = std::process::id().to_string();
    child::run(
        "recovery::a_second_process_on_one_directory",
        &[(DIRECTORY, path), (HOLDER, &holder)],
    );
    first.tick().unwrap();
}

/// A directory may have other files, and is for one context at a time.
#[test]
fn a_directory_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let number = "0".repeat(19) + "7";
    let ours = format!("checkpoint-{number}.tmp");
    let others = ["thesis.tmp", "checkpoint-7", "checkpoint-7.tmp", "checkpoint-x.tmp"];
    for name in others.into_iter().chain([ours.as_str()]) {
        fs::write(directory.path().join(name), "precious").unwrap();
    }
    fs::create_dir(directory.path().join("directory.tmp")).unwrap();
    let tape = tape();
    let (mut first, _) = counts(&tape, directory.path(), 1);
    first.tick().unwrap();
    assert!(others.iter().all(|name| directory.path().join(name).exists()));
    assert!(!directory.path().join(ours).exists(), "it was begun and not finished");
    let (second, _) = counts(&tape, directory.path(), 1);
    let error = second.context().start().unwrap_err();
    assert!(error.to_string().contains("in use by another context of this process"), "{error}");
    drop(first);
    let (mut third, counted) = counts(&tape, directory.path(), 1);
    third.tick().unwrap();
    assert_eq!(counted.take_sorted(), pairs(&[("a", 1), ("b", 1)]));
}
