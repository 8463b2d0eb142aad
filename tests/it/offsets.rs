//! Where files stand in a checkpoint: whatever the process comes to, each line comes once.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{ErrorKind, Files, Follow};

use crate::random::Random;

/// Lines of all kinds: short and empty ones, one that is cut, line ends of both kinds.
fn text(random: &mut Random, lines: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..lines {
        let long = [0, 0, 0, 3, 50, 700][random.below(6)];
        text.extend_from_slice(format!("{number} {}", "x".repeat(long)).as_bytes());
        text.extend_from_slice(if random.below(4) == 0 { b"\r\n" } else { b"\n" });
    }
    // The last line has no end.
    text.extend_from_slice(b"end");
    text
}

/// The lines as a source gives them.
fn lines(text: &[u8], line_bytes: usize) -> Vec<String> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines().map(|line| line[..line.len().min(line_bytes)].to_owned()).collect()
}

/// Reads files in lives of a few batches each, which end as by a crash, and gives what came of
/// those batches that are in a checkpoint.
fn read_in_lives(paths: &[PathBuf], directory: &Path, random: &mut Random) -> Vec<String> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    for life in 0.. {
        assert!(life < 1_000, "it does not come to the end");
        let limits = Limits { blocks: 2, line_bytes: 500, ..Limits::default() };
        let ssc = StreamingContext::builder("lives").limits(limits).build().unwrap();
        ssc.checkpoint(directory, 1);
        let lines = ssc.receiver_stream(Files::open(paths).unwrap()).unwrap();
        let (handle, batches_max) = (ssc.clone(), 1 + random.below(4));
        // A state of the number of lines says which of them are in the checkpoint.
        let count = lines.map(|_| ((), 1i64)).update_state_by_key("lines.v1", |ones, count| {
            Some(count.unwrap_or(0) + ones.len() as i64)
        });
        let (seen, all) = (kept.clone(), kept.clone());
        lines.foreach_batch(move |batch, _| {
            seen.lock().unwrap().push(batch.to_vec());
            Ok(())
        });
        let mut batches = 0;
        count.foreach_batch(move |batch, _| {
            let count: i64 = batch.iter().map(|((), count)| count).sum();
            let mut all = all.lock().unwrap();
            // What came before this batch and is not in the state was not in the checkpoint.
            let last = all.pop().unwrap();
            let before = count as usize - last.len();
            let mut rows: Vec<String> = all.drain(..).flatten().collect();
            assert!(rows.len() >= before, "{before} lines were in the checkpoint, not {rows:?}");
            rows.truncate(before);
            all.push(rows);
            all.push(last);
            batches += 1;
            if batches > batches_max {
                handle.stop();
            }
            Ok(())
        });
        ssc.start().unwrap();
        ssc.await_termination().unwrap();
        if batches_max > 3 && ssc.source_counts()[0].bytes == 0 {
            break;
        }
    }
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    kept.into_iter().flatten().collect()
}

#[test]
fn files() {
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        let mut expected = Vec::new();
        for number in 0..3 {
            let path = directory.path().join(format!("{number}.log"));
            let text = text(&mut random, 20_000);
            expected.extend(lines(&text, 500));
            fs::write(&path, text).unwrap();
            paths.push(path);
        }
        let state = directory.path().join("state");
        let came = read_in_lives(&paths, &state, &mut random);
        assert_eq!(came.len(), expected.len(), "seed {seed}");
        assert!(came == expected, "seed {seed}");
        // One more file, first in the list: it alone is read.
        let more = directory.path().join("more.log");
        fs::write(&more, "one\ntwo\n").unwrap();
        paths.insert(0, more);
        let ssc = StreamingContext::builder("more").build().unwrap();
        ssc.checkpoint(&state, 1);
        ssc.forget_state("lines.v1");
        let rows = ssc.receiver_stream(Files::open(&paths).unwrap()).unwrap().collect(16);
        ssc.start().unwrap();
        ssc.await_termination().unwrap();
        let rows: Vec<String> = rows.iter().flat_map(|(_, rows)| rows).collect();
        assert_eq!(rows, ["one", "two"]);
    }
}

/// A file that is another one by now is not gone on with.
#[test]
fn another_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let (text, state) = ("line\n".repeat(1 << 20), directory.path().join("state"));
    fs::write(&path, &text).unwrap();
    let start = || {
        let limits = Limits { blocks: 2, ..Limits::default() };
        let ssc = StreamingContext::builder("another").limits(limits).build().unwrap();
        ssc.checkpoint(&state, 1);
        let lines = ssc.receiver_stream(Files::open([&path]).unwrap()).unwrap();
        let (handle, mut batches) = (ssc.clone(), 0);
        lines.foreach_batch(move |_, _| {
            batches += 1;
            if batches == 2 {
                handle.stop();
            }
            Ok(())
        });
        ssc.start().map(|()| ssc)
    };
    start().unwrap().await_termination().unwrap();
    for other in ["short\n".to_owned(), text.replace('l', "L")] {
        fs::write(&path, other).unwrap();
        let error = start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.to_string().contains("a.log"), "{error}");
    }
}

/// A followed file goes on where it stood, also when it has another name by then.
#[test]
fn followed_files() {
    let directory = tempfile::tempdir().unwrap();
    let (path, state) = (directory.path().join("a.log"), directory.path().join("state"));
    let append = |text: &str| {
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    };
    let run = |expected: &[&str]| {
        let interval = Duration::from_millis(5);
        let ssc = StreamingContext::builder("follow").batch_interval(interval).build().unwrap();
        ssc.checkpoint(&state, 1);
        // One file, however often and in what way it is named.
        let again = directory.path().join(".").join("a.log");
        let follow = Follow::new([&path, &path, &again]).unwrap();
        let follow = follow.poll_every(Duration::from_millis(1));
        let rows = ssc.receiver_stream(follow).unwrap().collect(1_024);
        ssc.start().unwrap();
        let mut came = Vec::new();
        while came.len() < expected.len() {
            came.extend(rows.recv_timeout(crate::feed::DEADLINE).unwrap().1);
        }
        let taken = std::thread::spawn(move || rows.iter().flat_map(|(_, rows)| rows).count());
        ssc.stop_gracefully();
        assert_eq!(came, expected);
        assert_eq!(taken.join().unwrap(), 0, "more came than was there");
    };
    append("a\nb\nunfin");
    run(&["a", "b"]);
    append("ished\nc\n");
    run(&["unfinished", "c"]);
    append("d\n");
    fs::rename(&path, directory.path().join("a.log.1")).unwrap();
    append("e\n");
    run(&["d", "e"]);
    fs::remove_file(&path).unwrap();
    append("f\n");
    run(&["f"]);
}
