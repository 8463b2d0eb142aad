//! Names in checkpoints: what a program finds again when its streams come in another order, and
//! what has to be named.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ErrorKind, Follow};

use crate::recovery::pairs;
use crate::replay::Tape;

const SECOND: Duration = Duration::from_secs(1);

/// The totals of each file after what it has, for streams in this order.
fn totals(directory: &Path, names: &[&str]) -> Vec<Vec<(String, i64)>> {
    let mut t = TestContext::new().unwrap();
    t.context().checkpoint(directory.join("checkpoints"), 1);
    let totals: Vec<_> = names
        .iter()
        .map(|name| {
            let follow = Follow::new([directory.join(name)]).unwrap();
            let lines = t.context().receiver_stream(follow).unwrap().named(*name);
            let counts = lines.split_whitespace().count_by_value();
            let totals = counts
                .update_state_by_key(&format!("totals of {name}"), |counts, total| {
                    Some(total.unwrap_or(0) + counts.iter().sum::<i64>())
                });
            t.output(&totals)
        })
        .collect();
    for _ in 0..2 {
        t.tick().unwrap();
    }
    t.context().stop_gracefully();
    totals.iter().map(|totals| totals.take_batches().pop().unwrap_or_default()).collect()
}

#[test]
fn sources_in_another_order() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        use std::io::Write;
        let path = directory.path().join(name);
        let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write("a", "a a a\n");
    write("b", "b b\n");
    let sorted = |names: &[&str]| {
        let mut totals = totals(directory.path(), names);
        totals.iter_mut().for_each(|totals| totals.sort());
        totals
    };
    let (a, b) = (pairs(&[("a", 3)]), pairs(&[("b", 2)]));
    assert_eq!(sorted(&["a", "b"]), [a.clone(), b.clone()]);
    assert_eq!(sorted(&["b", "a"]), [b, a.clone()]);
    write("b", "b\n");
    assert_eq!(sorted(&["b", "a"]), [pairs(&[("b", 3)]), a.clone()]);
    // One goes, and comes back as one that is new.
    assert_eq!(sorted(&["a"])[0], a);
    assert_eq!(sorted(&["b", "a"]), [pairs(&[("b", 3)]), a]);
}

#[test]
fn windows_in_another_order() {
    let directory = tempfile::tempdir().unwrap();
    let tapes = ["a", "b"].map(|line| Tape::new(vec![[line]; 9]));
    let run = |order: [usize; 2]| {
        let mut t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), 1);
        let counts = order.map(|which| {
            let lines = t.context().receiver_stream(tapes[which].player()).unwrap();
            let name = ["of a", "of b"][which];
            let counts = lines.named(name).count_by_value_and_window(9 * SECOND, SECOND);
            t.output(&counts.named(name))
        });
        t.tick().unwrap();
        counts.map(|counts| counts.take_batches().pop().unwrap())
    };
    assert_eq!(run([0, 1]), [pairs(&[("a", 1)]), pairs(&[("b", 1)])]);
    assert_eq!(run([1, 0]), [pairs(&[("b", 2)]), pairs(&[("a", 2)])]);
    assert_eq!(run([0, 1]), [pairs(&[("a", 3)]), pairs(&[("b", 3)])]);
}

/// What a restart could not tell apart is not started at all, as far as there are checkpoints.
#[test]
fn refusals() {
    let directory = tempfile::tempdir().unwrap();
    let started = |has_checkpoints: bool, build: &dyn Fn(&TestContext)| {
        let t = TestContext::new().unwrap();
        if has_checkpoints {
            t.context().checkpoint(directory.path().join("checkpoints"), 1);
        }
        build(&t);
        t.context().start()
    };
    let path = directory.path().join("log");
    fs::write(&path, "").unwrap();
    let follow = |t: &TestContext| {
        t.context().receiver_stream(Follow::new([path.clone()]).unwrap()).unwrap()
    };
    let count = |lines: &DStream<String>| lines.count_by_window(2 * SECOND, SECOND);
    let builds: [(&dyn Fn(&TestContext), &[&str]); 5] = [
        (
            &|t| (0..2).for_each(|_| drop(follow(t).print(1))),
            &["two sources", "\"follow\"", ".named("],
        ),
        (
            &|t| {
                let lines = follow(t);
                (0..2).for_each(|_| drop(count(&lines).print(1)));
            },
            &["two states, windows or sinks", "count_by_window(2s, 1s)", ".named("],
        ),
        (
            &|t| {
                let lines = follow(t);
                count(&lines).named("one").print(1);
                count(&lines).named("one").print(1);
            },
            &["\"one\""],
        ),
        (&|t| drop(follow(t).named("one").named("two").print(1)), &["\"one\"", "\"two\""]),
        (
            &|t| drop(follow(t).union(&follow(t)).named("both").print(1)),
            &["union", "several streams", "\"both\""],
        ),
    ];
    for (number, (build, parts)) in builds.into_iter().enumerate() {
        let error = started(true, build).unwrap_err();
        for part in parts {
            assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
        }
        let is_always_wrong = number >= 3;
        let kind = if is_always_wrong { ErrorKind::State } else { ErrorKind::Checkpoint };
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(started(false, build).is_err(), is_always_wrong, "build {number}");
    }
}
