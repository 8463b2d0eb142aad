//! Compressed files, known by what they hold, as FILEs, in directories and where they are followed.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::tempdir;
use tidemill::prelude::*;
use tidemill::{Directory, Files};

use crate::shell::{Running, assert_fails, assert_success, run, text};

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 3).unwrap()
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> String {
    std::fs::write(path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Lines that do not compress to almost nothing.
fn lines(count: u64) -> String {
    (0..count).map(|n| format!("{:x} all\n", n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20)).collect()
}

#[test]
fn compressed_files_count_as_what_they_hold_whatever_their_names() {
    let directory = tempdir().unwrap();
    let paths = [
        write(&directory.path().join("a.gz"), gzip("\u{FEFF}oslo rome\n".as_bytes())),
        write(&directory.path().join("b.log"), zstd(b"oslo")),
        write(&directory.path().join("c.gz"), "oslo\n"),
        write(&directory.path().join("d.zst"), [gzip(b"os"), gzip(b"lo\n")].concat()),
        write(&directory.path().join("e.gz"), ""),
    ];
    let mut args = vec!["wordcount", "--format", "csv"];
    args.extend(paths.iter().map(String::as_str));
    let output = run(&args);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "word,count\noslo,4\nrome,1\n");
}

#[test]
fn a_truncated_archive_keeps_what_came_before_and_says_so() {
    let directory = tempdir().unwrap();
    let content = lines(100_000);
    let other = write(&directory.path().join("other"), "other\n");
    for (name, archive) in [("a.gz", gzip(content.as_bytes())), ("a.zst", zstd(content.as_bytes()))]
    {
        let path = write(&directory.path().join(name), &archive[..archive.len() / 2]);
        let output = run(&["wordcount", "--format", "csv", "--top", "1", &path, &other]);
        assert_fails(&output, 4, &[&path, "truncated", "1 file not read"]);
        let counted = text(&output.stdout);
        let count: usize = counted.trim_end().rsplit(',').next().unwrap().parse().unwrap();
        assert!((20_000..80_000).contains(&count), "{counted}");
        let output = run(&["wordcount", "--format", "json", &path, &other]);
        assert!(text(&output.stdout).contains("\"other\""), "the next file is read");
    }
}

#[test]
fn progress_is_that_of_the_packed_bytes() {
    let directory = tempdir().unwrap();
    let archive = gzip(lines(100_000).as_bytes());
    let paths = ["a", "b"].map(|name| write(&directory.path().join(name), &archive));
    let files = Files::open(paths).unwrap();
    let (total, progress) = (files.bytes_total(), files.progress());
    assert_eq!(total, 2 * archive.len() as u64);
    let ssc = StreamingContext::builder("packed").build().unwrap();
    let counts = ssc.receiver_stream(files).unwrap().count().collect(16);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    assert_eq!(counts.iter().flat_map(|(_, rows)| rows).sum::<i64>(), 200_000);
    assert_eq!(progress.load(std::sync::atomic::Ordering::Relaxed), total);
}

#[test]
fn a_restart_goes_on_within_an_archive() {
    let directory = tempdir().unwrap();
    let content = lines(300_000);
    let path = write(&directory.path().join("a.gz"), gzip(content.as_bytes()));
    let checkpoints = directory.path().join("ck");
    // One batch has as many lines as fit in the few blocks.
    let counted = |stop_early: bool| {
        let limits = Limits { blocks: 2, ..Limits::default() };
        let ssc = StreamingContext::builder("archive")
            .limits(limits)
            .batch_interval(Duration::from_millis(20))
            .build()
            .unwrap();
        let files = Files::open([path.clone()]).unwrap();
        let lines = ssc.receiver_stream(files).unwrap();
        // What has to be kept until its batch is cut fills the blocks.
        let totals = lines.map(|_| ((), 1i64)).update_state_by_key("totals", |ones, total| {
            Some(total.unwrap_or(0i64) + ones.iter().sum::<i64>())
        });
        let totals = totals.collect(1_000);
        ssc.checkpoint(&checkpoints, 1);
        ssc.start().unwrap();
        let mut last = 0;
        for (_, rows) in totals.iter() {
            last = rows.first().map_or(last, |(_, total)| *total);
            if stop_early && last > 0 {
                break;
            }
        }
        drop(totals);
        ssc.stop_gracefully();
        let _ = ssc.await_termination();
        last
    };
    assert!(counted(true) > 0);
    assert_eq!(counted(false), 300_000);
}

#[test]
fn archives_in_a_directory_are_read_and_damaged_ones_told() {
    let directory = tempdir().unwrap();
    write(&directory.path().join("a.gz"), gzip(b"one\ntwo\n"));
    write(&directory.path().join("b.zst"), zstd(b"three\n"));
    let damaged = gzip(b"four\n");
    write(&directory.path().join("c.gz"), &damaged[..damaged.len() - 3]);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        // A test's clock starts in 1970.
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_millis(500)).unwrap();
    }
    let mut t = TestContext::new().unwrap();
    let all = Directory::new(directory.path()).unwrap().new_files_only(false);
    let stream = t.context().receiver_stream(all.remember(Duration::MAX)).unwrap();
    let lines = t.output(&stream);
    let mut seen = Vec::new();
    for _ in 0..3 {
        t.tick().unwrap();
        seen.extend(lines.take());
    }
    seen.sort();
    assert_eq!(seen, ["four", "one", "three", "two"]);
    assert_eq!(t.context().source_counts()[0].files_unread, 1);
}

#[test]
fn a_followed_archive_is_read_once() {
    let directory = tempdir().unwrap();
    let path = write(&directory.path().join("a.gz"), gzip(lines(1_000).as_bytes()));
    let log = write(&directory.path().join("log"), "one\n");
    let running = Running::start(&[
        "wordcount",
        "--follow",
        &path,
        &log,
        "--interval",
        "50ms",
        "--running",
        "--format",
        "csv",
    ]);
    running.wait_for(|line| line.ends_with(",all,1000"));
    let mut file = std::fs::File::options().append(true).open(&log).unwrap();
    file.write_all(b"last\n").unwrap();
    running.wait_for(|line| line.ends_with(",last,1"));
    running.signal("TERM");
    let (status, rest) = running.end();
    assert!(status.success());
    assert!(!rest.iter().any(|line| line.contains(",all,") && !line.ends_with(",all,1000")));
}
