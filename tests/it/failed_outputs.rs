//! Batches whose output could not be written: they have failed, are in no checkpoint, and come
//! again after a restart, with nothing twice in state.

use std::fs;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::prelude::*;
use tidemill::{ErrorKind, TextFiles, TransactionalFiles};

use crate::child;
use crate::feed::DEADLINE;
use crate::panics::panic_on_purpose;
use crate::replay::Tape;

const SECOND: Duration = Duration::from_secs(1);

/// Adds the output that fails, if it is to.
type Build<'a> = &'a dyn Fn(&DStream<String>);

/// What a program has seen: the rows of each batch, and the totals by key after each.
type Seen = Arc<Mutex<Vec<(Vec<String>, Vec<(String, i64)>)>>>;

fn program(tape: &Tape, directory: &Path, build: Build<'_>) -> (TestContext, Seen) {
    let t = TestContext::new().unwrap();
    t.context().checkpoint(directory, 1);
    let lines = t.context().receiver_stream(tape.player()).unwrap();
    build(&lines);
    let (seen, rows) = (Seen::default(), Arc::<Mutex<Vec<String>>>::default());
    let own = rows.clone();
    lines.foreach_batch(move |batch, _| {
        *own.lock().unwrap() = batch.to_vec();
        Ok(())
    });
    let totals = lines.pair_with(1i64).update_state_by_key("totals.v1", |counts, total| {
        Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
    });
    let all = seen.clone();
    totals.foreach_batch(move |batch, _| {
        let mut totals = batch.to_vec();
        totals.sort();
        all.lock().unwrap().push((std::mem::take(&mut rows.lock().unwrap()), totals));
        Ok(())
    });
    (t, seen)
}

fn totals(words: &[&str]) -> Vec<(String, i64)> {
    words.iter().map(|&word| (word.to_owned(), 1)).collect()
}

/// The second batch fails, and the program ends; after a restart it comes again.
fn comes_again(build: Build<'_>, set_broken: &dyn Fn(bool), kind: ErrorKind) {
    for is_graceful in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let tape = Tape::new([["a"], ["b"], ["c"], ["d"], ["e"]]);
        set_broken(false);
        let (mut t, _) = program(&tape, directory.path(), build);
        t.tick().unwrap();
        set_broken(true);
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        set_broken(false);
        // Another batch goes well before the program hears of the failure, if it ever does.
        t.clock().advance(SECOND);
        let started = Instant::now();
        while t.context().metrics().batches_completed < 3 {
            assert!(started.elapsed() < DEADLINE);
            std::thread::sleep(Duration::from_millis(1));
        }
        if is_graceful {
            t.context().stop_gracefully();
        }
        drop(t);
        let (mut t, seen) = program(&tape, directory.path(), build);
        t.tick().unwrap();
        t.tick().unwrap();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        let row = |row: &str| vec![row.to_owned()];
        assert_eq!(
            seen,
            [(row("b"), totals(&["a", "b"])), (row("c"), totals(&["a", "b", "c"]))],
            "{is_graceful}"
        );
    }
}

#[test]
fn an_error_of_a_closure() {
    let is_broken = Arc::<AtomicBool>::default();
    let build = |lines: &DStream<String>| {
        let is_broken = is_broken.clone();
        lines.foreach_batch(move |_, _| match is_broken.load(Ordering::SeqCst) {
            true => Err("nobody takes it".into()),
            false => Ok(()),
        });
    };
    let set = |broken| is_broken.store(broken, Ordering::SeqCst);
    comes_again(&build, &set, ErrorKind::Closure);
}

#[test]
fn a_panic_of_a_closure() {
    let is_broken = Arc::<AtomicBool>::default();
    let build = |lines: &DStream<String>| {
        let is_broken = is_broken.clone();
        lines.foreach_batch(move |_, _| {
            if is_broken.load(Ordering::SeqCst) {
                panic_on_purpose();
            }
            Ok(())
        });
    };
    let set = |broken| is_broken.store(broken, Ordering::SeqCst);
    comes_again(&build, &set, ErrorKind::Closure);
}

/// Of both kinds: the directory is gone.
#[test]
fn text_files_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let set = |broken| match broken {
        true => fs::remove_dir_all(&out).unwrap(),
        false => fs::create_dir_all(&out).unwrap(),
    };
    let plain = |lines: &DStream<String>| drop(lines.save_as_text_files(out.join("lines"), ""));
    comes_again(&plain, &set, ErrorKind::Sink);
    let transactional = |lines: &DStream<String>| {
        let files = TransactionalFiles::new(TextFiles::new(out.join("lines")));
        lines.save_with("lines.v1", files);
    };
    comes_again(&transactional, &set, ErrorKind::Sink);
}

/// A stop at once comes while a batch waits for room in its channel: the batch is in nobody's
/// hands, and so in no checkpoint.
#[test]
fn a_batch_that_a_stop_at_once_drops() {
    let directory = tempfile::tempdir().unwrap();
    let tape = Tape::new([["a"], ["b"], ["c"]]);
    let channel = Mutex::new(None);
    let build = |lines: &DStream<String>| {
        *channel.lock().unwrap() = Some(lines.collect(1));
    };
    let (mut t, _) = program(&tape, directory.path(), &build);
    t.tick().unwrap();
    t.clock().advance(SECOND);
    let started = Instant::now();
    while !t.context().metrics().is_running_batch {
        assert!(started.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(1));
    }
    t.context().stop();
    t.context().await_termination().unwrap();
    let taken: Vec<String> =
        channel.lock().unwrap().take().unwrap().iter().flat_map(|(_, rows)| rows).collect();
    assert_eq!(taken, ["a"]);
    drop(t);
    let (mut t, seen) = program(&tape, directory.path(), &build);
    t.tick().unwrap();
    assert_eq!(seen.lock().unwrap()[0], (vec!["b".to_owned()], totals(&["a", "b"])));
}

/// Set in the child: which output it has.
#[cfg(target_os = "linux")]
const OUTPUT: &str = "TIDEMILL_TEST_OUTPUT";

/// Of `print` and of a table's `show`: a standard output that takes nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output() {
    if !child::is_child() {
        for output in ["print", "show", "show of a table"] {
            child::run("failed_outputs::a_full_standard_output", &[(OUTPUT, output)]);
        }
        return;
    }
    let output = std::env::var(OUTPUT).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let tape = Tape::new([["a"], ["b"]]);
    let table = |lines: &DStream<String>| lines.pair_with(1i64).to_table();
    let build = |lines: &DStream<String>| {
        match output.as_str() {
            "print" => lines.print(10),
            "show" => table(lines).show(10),
            _ => table(lines).foreach_batch(|table, _| Ok(table.show(10)?)),
        };
    };
    // What says how a test went has its own back afterwards.
    let own = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for _ in 0..2 {
        rustix::stdio::dup2_stdout(&full).unwrap();
        let (mut t, seen) = program(&tape, directory.path(), &build);
        let ticked = t.tick();
        rustix::stdio::dup2_stdout(&own).unwrap();
        let error = ticked.unwrap_err().to_string();
        assert!(error.contains("No space left on device"), "{error}");
        assert_eq!(seen.lock().unwrap()[0], (vec!["a".to_owned()], totals(&["a"])));
    }
}
