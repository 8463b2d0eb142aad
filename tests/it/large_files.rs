//! Files that are larger than what a batch takes, and holes of terabytes in files: no batch and no
//! stop waits for them, and each line comes once, wherever they are cut.
//!
//! A file is large by a hole in it, so that none of this takes a disk or a day. Where holes count,
//! as in UTF-16, it is read by the byte.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tempfile::TempDir;
use tidemill::prelude::*;
use tidemill::{Directory, Files, Follow, LineOptions, TestOutput};

/// What a batch may have of one file, and more.
const LARGE: u64 = 80 << 20;

const TERABYTES: u64 = 2 << 40;

/// Writes a file of so many bytes that has these texts at these places, and holes between.
fn sparse(path: &Path, parts: &[(u64, &str)], len: u64) {
    let mut file = File::create(path).unwrap();
    for (at, text) in parts {
        file.seek(SeekFrom::Start(*at)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    if len > file.metadata().unwrap().len() {
        file.set_len(len).unwrap();
    }
    file.set_modified(UNIX_EPOCH + Duration::from_millis(500)).unwrap();
}

fn numbered(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{number:<999}\n")).collect()
}

fn numbers(lines: &[String]) -> Vec<u32> {
    lines.iter().map(|line| line.trim().parse().unwrap()).collect()
}

/// The folder that is followed, and one beside it for what is kept.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let folder = TempDir::new().unwrap();
    let [incoming, state] = ["incoming", "state"].map(|name| folder.path().join(name));
    fs::create_dir(&incoming).unwrap();
    (folder, incoming, state)
}

fn narrow() -> TestContext {
    let limits = Limits { blocks: 4, ..Limits::default() };
    let builder = StreamingContext::builder("large").batch_interval(Duration::from_secs(1));
    TestContext::with(builder.threads(2).limits(limits)).unwrap()
}

/// A directory whose files count whatever their times.
fn all_of(path: &Path) -> Directory {
    Directory::new(path).unwrap().new_files_only(false).remember(Duration::MAX)
}

/// Ticks until so many lines have come; gives them by batches.
fn ticks(t: &mut TestContext, lines: &TestOutput<String>, count: usize) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    for _ in 0..10_000 {
        t.tick().unwrap();
        batches.extend(lines.take_batches());
        if batches.iter().map(Vec::len).sum::<usize>() >= count {
            return batches;
        }
    }
    panic!("only {:?}", batches.concat());
}

#[test]
fn a_hole_of_terabytes_in_a_file_of_a_directory_is_passed_over() {
    let (_folder, incoming, _) = folders();
    let texts = [(0, "a\nb"), (TERABYTES, "c\n"), (TERABYTES + (1 << 30), "d\n")];
    sparse(&incoming.join("holes"), &texts, 2 * TERABYTES);
    sparse(&incoming.join("small"), &[(0, "e\n")], 0);
    let mut t = narrow();
    let stream = t.context().receiver_stream(all_of(&incoming)).unwrap();
    let lines = t.output(&stream);
    let mut came = ticks(&mut t, &lines, 5).concat();
    came.sort();
    assert_eq!(came, ["a", "b", "c", "d", "e"]);
    let counts = t.context().source_counts()[0];
    assert!(counts.bytes < 1 << 30, "{counts:?}");
    assert_eq!((counts.files_unread, counts.lines_cut), (0, 0));
}

#[test]
fn a_hole_of_terabytes_in_a_followed_file_is_passed_over() {
    let (_folder, incoming, _) = folders();
    let log = incoming.join("log");
    sparse(&log, &[(0, "a\n"), (TERABYTES, "b\n")], 2 * TERABYTES);
    let mut t = narrow();
    let lines = t.output(&t.context().receiver_stream(Follow::new([&log]).unwrap()).unwrap());
    assert_eq!(ticks(&mut t, &lines, 2).concat(), ["a", "b"]);
    // What its writer adds behind the hole that it ends with.
    File::options().append(true).open(&log).unwrap().write_all(b"c\n").unwrap();
    assert_eq!(ticks(&mut t, &lines, 1).concat(), ["c"]);
}

#[test]
fn a_hole_of_terabytes_in_a_file_that_is_read_to_its_end_is_passed_over() {
    let (_folder, incoming, _) = folders();
    let path = incoming.join("file");
    sparse(&path, &[(0, "a\nb"), (TERABYTES, "c")], 2 * TERABYTES);
    let ssc = StreamingContext::builder("bounded").build().unwrap();
    let lines = ssc.receiver_stream(Files::open([path]).unwrap()).unwrap().collect(16);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let came: Vec<String> = lines.iter().flat_map(|(_, lines)| lines).collect();
    assert_eq!(came, ["a", "b", "c"]);
}

/// With blocks that are worked on as they come, which hold nothing up.
#[test]
fn a_file_that_is_larger_than_a_batch_takes_holds_up_no_batch() {
    let (_folder, incoming, _) = folders();
    let text = numbered(0..30_000);
    sparse(&incoming.join("large"), &[(0, "0 first\n"), (LARGE, &text)], 0);
    let mut t = narrow();
    let stream = t.context().receiver_stream(all_of(&incoming)).unwrap();
    let counts = t.output(&stream.count());
    let (mut came, mut batches) = (0, 0);
    while came < 30_001 {
        t.tick().unwrap();
        let of_batch: u64 = counts.take().into_iter().map(|count| count as u64).sum();
        assert!(of_batch <= 30_000, "all of it is in one batch");
        came += of_batch;
        batches += 1;
        assert!(batches < 10_000, "only {came} lines came");
    }
    assert_eq!(came, 30_001);
}

/// Small files are in one batch each, though there are more of them than there are blocks for.
#[test]
fn a_small_file_belongs_to_one_batch() {
    let (_folder, incoming, _) = folders();
    for file in 0..12 {
        let lines = numbered(file * 900..(file + 1) * 900);
        sparse(&incoming.join(format!("{file:02}")), &[(0, &lines)], 0);
    }
    let mut t = narrow();
    let lines = t.output(&t.context().receiver_stream(all_of(&incoming)).unwrap());
    let batches = ticks(&mut t, &lines, 12 * 900);
    assert!(batches.iter().filter(|lines| !lines.is_empty()).count() > 1, "{}", batches.len());
    for lines in &batches {
        assert_eq!(lines.len() % 900, 0, "a part of a file");
    }
    assert!(numbers(&batches.concat()).into_iter().eq(0..12 * 900));
}

/// Stops in it, kills in it, and goes on: rows of all forms come once.
#[test]
fn a_large_file_goes_on_where_it_was_cut() {
    for is_graceful in [true, false] {
        let (_folder, incoming, state) = folders();
        let path = incoming.join("large");
        sparse(&path, &[(0, &numbered(0..1)), (LARGE, &numbered(1..20_000))], 0);
        let (mut came, mut lives) = (Vec::new(), 0);
        while came.len() < 20_000 {
            lives += 1;
            assert!(lives < 1_000, "only {} lines came", came.len());
            let mut t = narrow();
            t.context().checkpoint(&state, 1);
            let lines = t.output(&t.context().receiver_stream(all_of(&incoming)).unwrap());
            for _ in 0..lives.min(3) {
                t.tick().unwrap();
            }
            // Its checkpoint is there once a stop has waited for it.
            let mut of_life = lines.take();
            if is_graceful {
                t.context().stop_gracefully();
                of_life.extend(lines.take());
            } else {
                t.context().stop();
            }
            // What no checkpoint has comes again.
            if let Some(first) = of_life.first() {
                came.truncate(numbers(std::slice::from_ref(first))[0] as usize);
            }
            came.extend(of_life);
        }
        assert!(lives > 2, "it is cut, in {lives} lives");
        assert!(numbers(&came).into_iter().eq(0..20_000));
    }
}

#[test]
fn a_large_file_that_is_changed_while_it_is_read() {
    let (_folder, incoming, state) = folders();
    let path = incoming.join("large");
    sparse(&path, &[(0, &numbered(0..1)), (LARGE, &numbered(1..10_000))], 0);
    sparse(&incoming.join("next"), &[(0, "next\n")], 0);
    let start = || {
        let mut t = narrow();
        t.context().checkpoint(&state, 1);
        let lines = t.output(&t.context().receiver_stream(all_of(&incoming)).unwrap());
        t.tick().unwrap();
        (t, lines)
    };
    let (t, lines) = start();
    t.context().stop_gracefully();
    let came = lines.take().len();
    assert!((1..10_000).contains(&came), "{came} lines of the file");
    // Written anew while nothing runs: what was read of it is not in it any more.
    sparse(&path, &[(0, "new\n")], 0);
    let (mut t, lines) = start();
    let mut rest = ticks(&mut t, &lines, 0).concat();
    for _ in 0..10 {
        t.tick().unwrap();
        rest.extend(lines.take());
    }
    assert!(rest.contains(&"next".to_owned()), "{rest:?}");
    let unread = t.context().source_counts()[0].files_unread;
    assert!(rest.contains(&"new".to_owned()) || unread == 1, "{unread}: {rest:?}");
}

/// Zeros that count: no hole is passed over, and a stop comes through all the same.
#[test]
fn a_stop_does_not_wait_for_terabytes_that_count() {
    let records = |ssc: &StreamingContext, path: &Path| {
        let records = ssc.record_stream(all_of(path), 512);
        records.unwrap().count().foreach_batch(|_, _| Ok(()));
    };
    let utf_16 = |ssc: &StreamingContext, path: &Path| {
        let encoding = tidemill::Encoding::named("utf-16le").unwrap();
        let options = LineOptions { encoding, ..LineOptions::default() };
        ssc.text_stream(all_of(path), options).unwrap().count().foreach_batch(|_, _| Ok(()));
    };
    type Add<'a> = &'a dyn Fn(&StreamingContext, &Path);
    let ways: [Add<'_>; 2] = [&records, &utf_16];
    for add in &ways[..if cfg!(feature = "encoding") { 2 } else { 1 }] {
        for is_graceful in [true, false] {
            let (_folder, incoming, state) = folders();
            sparse(&incoming.join("zeros"), &[], TERABYTES);
            let ssc = StreamingContext::builder("zeros").batch_interval(Duration::from_millis(20));
            let ssc = ssc.build().unwrap();
            ssc.checkpoint(&state, 1);
            add(&ssc, &incoming);
            ssc.start().unwrap();
            let batches = || ssc.metrics().batches_completed;
            let end = Instant::now() + crate::feed::DEADLINE;
            while batches() < 5 {
                assert!(Instant::now() < end, "{} batches", batches());
                std::thread::sleep(Duration::from_millis(5));
            }
            if is_graceful {
                ssc.stop_gracefully()
            } else {
                ssc.stop()
            }
            ssc.await_termination().unwrap();
        }
    }
}

#[cfg(feature = "cli")]
mod command {
    use super::*;
    use crate::shell::{Running, append, run};

    fn text(path: &Path) -> &str {
        path.to_str().unwrap()
    }

    const STREAM: [&str; 6] = ["--running", "--interval", "20ms", "--format", "csv", "--all"];

    #[test]
    fn counts_what_is_behind_a_hole_of_terabytes() {
        let (_folder, incoming, state) = folders();
        let path = incoming.join("holes");
        sparse(&path, &[(0, "a\n"), (TERABYTES, "b\n")], 2 * TERABYTES);
        let output = run(&["wordcount", "--format", "csv", text(&path)]);
        let out = crate::shell::text(&output.stdout);
        assert!(out.contains("a,1\n") && out.contains("b,1\n"), "{out}");
        let args = ["wordcount", "--follow", text(&incoming), "--checkpoint", text(&state)];
        for (name, more) in [("first", "c"), ("second", "d")] {
            let running = Running::start(&[&args[..], &STREAM].concat());
            sparse(&incoming.join(name), &[(TERABYTES, &format!("{more}\n"))], 2 * TERABYTES);
            let mut seen = Vec::new();
            running.wait_for(|line| {
                seen.push(line.to_owned());
                line.ends_with(&format!(",{more},1"))
            });
            running.signal("TERM");
            let (status, rest) = running.end();
            assert!(status.success(), "{status}");
            seen.extend(rest);
            assert!(!seen.iter().any(|line| line.ends_with(",2")), "{seen:?}");
        }
    }

    /// A file that takes hours to read, whose zeros count.
    #[cfg(feature = "encoding")]
    #[test]
    fn other_totals_and_a_stop_come_through_while_terabytes_are_read() {
        let (folder, incoming, state) = folders();
        sparse(&incoming.join("zeros"), &[], TERABYTES);
        let log = folder.path().join("log");
        fs::write(&log, "").unwrap();
        let args = ["wordcount", "--follow", text(&log), text(&incoming)];
        let args = [&args[..], &STREAM, &["--encoding", "utf-16le"]].concat();
        let args = [&args[..], &["--checkpoint", text(&state)]].concat();
        for life in 1..4 {
            let running = Running::start(&args);
            let line: Vec<u8> = "w\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
            append(&log, &line);
            running.wait_for(|line| line.ends_with(&format!(",w,{life}")));
            running.signal(if life == 2 { "KILL" } else { "TERM" });
            let (status, _) = running.end();
            // A line over the maximum is told of.
            assert!(status.code().is_none_or(|code| [0, 4].contains(&code)), "{status}");
            if life == 2 {
                // Whether a checkpoint had it is a matter of its moment.
                break;
            }
        }
    }
}
