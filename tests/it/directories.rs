//! Directories as sources: which files a batch reads, and that each line of them comes once,
//! whatever becomes of the files, of the directory and of the process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use tidemill::prelude::*;
use tidemill::{ContextBuilder, Directory, ErrorKind, Files, TestOutput};

use crate::random::Random;

const SECOND: Duration = Duration::from_secs(1);

/// A directory that files come to.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file that was modified so many milliseconds after the epoch, where a test's clock starts.
    fn write(&self, name: &str, content: impl AsRef<[u8]>, modified: u64) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        self.touch(name, modified);
        path
    }

    fn touch(&self, name: &str, modified: u64) {
        let file = File::options().write(true).open(self.path().join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_millis(modified)).unwrap();
    }
}

fn builder() -> ContextBuilder {
    StreamingContext::builder("directories").batch_interval(SECOND).threads(2)
}

/// A context with few blocks.
fn narrow(threads: usize) -> ContextBuilder {
    builder().threads(threads).limits(Limits { blocks: 2, ..Limits::default() })
}

/// The lines of a directory under a clock that shows so many seconds.
fn lines_since(
    seconds: u32,
    folder: &Folder,
    set: impl Fn(Directory) -> Directory,
) -> (TestContext, TestOutput<String>) {
    let t = TestContext::with(builder()).unwrap();
    t.clock().advance(SECOND * seconds);
    let directory = set(Directory::new(folder.path()).unwrap());
    let lines = t.output(&t.context().receiver_stream(directory).unwrap());
    (t, lines)
}

fn lines(folder: &Folder) -> (TestContext, TestOutput<String>) {
    lines_since(0, folder, |directory| directory)
}

/// What the next batch has.
fn next(t: &mut TestContext, lines: &TestOutput<String>) -> Vec<String> {
    t.tick().unwrap();
    let mut batches = lines.take_batches();
    assert_eq!(batches.len(), 1, "there is always a batch, if an empty one");
    batches.remove(0)
}

const NONE: [&str; 0] = [];

// Which files a batch reads.

#[test]
fn a_file_belongs_to_the_batch_of_its_time() {
    let folder = Folder::new();
    let (mut t, lines) = lines(&folder);
    folder.write("later", "later", 2_001);
    folder.write("b", "b\nb again", 999);
    folder.write("a", "a\n", 1_000);
    folder.write("c", "c", 1_001);
    // The oldest first.
    assert_eq!(next(&mut t, &lines), ["b", "b again", "a"]);
    assert_eq!(next(&mut t, &lines), ["c"]);
    assert_eq!(next(&mut t, &lines), ["later"]);
    assert_eq!(next(&mut t, &lines), NONE);
}

#[test]
fn files_from_before_the_stream_are_read_if_asked_for() {
    let folder = Folder::new();
    folder.write("old", "old", 9_999);
    folder.write("at", "at", 10_000);
    folder.write("new", "new", 10_001);
    let (mut t, lines) = lines_since(10, &folder, |directory| directory);
    assert_eq!(next(&mut t, &lines), ["new"]);
    let (mut t, lines) = lines_since(10, &folder, |directory| directory.new_files_only(false));
    assert_eq!(next(&mut t, &lines), ["old", "at", "new"]);
}

#[test]
fn what_is_older_than_the_window_is_never_read() {
    let folder = Folder::new();
    folder.write("a", "a", 40_999);
    folder.write("b", "b", 41_001);
    let all = |directory: Directory| directory.new_files_only(false);
    let (mut t, lines) = lines_since(100, &folder, all);
    // 101 s - 60 s.
    assert_eq!(next(&mut t, &lines), ["b"]);
    folder.write("moved in", "moved in", 42_000);
    assert_eq!(next(&mut t, &lines), NONE);
    // Rounded up to whole intervals: 101 s - 4 s.
    folder.write("c", "c", 97_001);
    folder.write("d", "d", 97_000);
    let short = |directory: Directory| all(directory).remember(Duration::from_millis(3_001));
    let (mut t, lines) = lines_since(100, &folder, short);
    assert_eq!(next(&mut t, &lines), ["c"]);
    // Files of any time.
    folder.write("epoch", "epoch", 0);
    let (mut t, lines) = lines_since(100, &folder, |d| all(d).remember(Duration::MAX));
    assert_eq!(next(&mut t, &lines), ["epoch", "a", "b", "moved in", "d", "c"]);
    assert_eq!(next(&mut t, &lines), NONE);
}

#[test]
fn names_are_filtered() {
    let folder = Folder::new();
    folder.write(".hidden", "hidden", 500);
    folder.write("a.log", "a", 500);
    folder.write("b.txt", "b", 500);
    let (mut t, plain) = lines(&folder);
    assert_eq!(next(&mut t, &plain), ["a", "b"]);
    let is_wanted = |path: &Path| !path.to_string_lossy().ends_with(".txt");
    let (mut t, filtered) = lines_since(0, &folder, |directory| directory.filter(is_wanted));
    assert_eq!(next(&mut t, &filtered), ["hidden", "a"]);
}

#[cfg(unix)]
#[test]
fn only_files_of_the_directory_itself_are_read() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    fs::create_dir(folder.path().join("below")).unwrap();
    folder.write("below/file", "below", 500);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
    let (mut t, lines) = lines_since(0, &folder, |directory| directory.follow_links(true));
    assert_eq!(next(&mut t, &lines), NONE);
    // A link to a file is as good as the file where links are followed, and a name need not be
    // text.
    std::os::unix::fs::symlink("below/file", folder.path().join("link")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"n\xff\n\xfe");
    fs::rename(folder.write("name", "any name", 600), folder.path().join(name)).unwrap();
    assert_eq!(next(&mut t, &lines), ["below", "any name"]);
    assert_eq!(t.context().source_counts()[0].files_unread, 0);
    assert_eq!(t.context().source_counts()[0].links_skipped, 0);
}

/// They are counted while they are there.
#[cfg(unix)]
#[test]
fn links_are_not_followed_unless_asked() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("below")).unwrap();
    folder.write("below/file", "below", 500);
    for (target, name) in [("below/file", "file"), ("below", "folder"), ("nowhere", "dangling")] {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("below/file", folder.path().join(".hidden")).unwrap();
    let (mut t, lines) = lines_since(0, &folder, |directory| directory.recursive(true));
    assert_eq!(next(&mut t, &lines), ["below"]);
    let counts = t.context().source_counts()[0];
    assert_eq!((counts.links_skipped, counts.files_unread), (3, 0));
    fs::remove_file(folder.path().join("folder")).unwrap();
    assert_eq!(next(&mut t, &lines), NONE);
    assert_eq!(t.context().source_counts()[0].links_skipped, 2);
}

#[test]
fn a_file_is_read_once_while_it_is_remembered() {
    let folder = Folder::new();
    let (mut t, lines) = lines_since(0, &folder, |directory| directory.remember(5 * SECOND));
    folder.write("a", "a", 500);
    assert_eq!(next(&mut t, &lines), ["a"]);
    // What is appended within the window is not read.
    folder.write("a", "a\nmore", 1_500);
    assert_eq!(next(&mut t, &lines), NONE);
    fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
    assert_eq!(next(&mut t, &lines), NONE);
    folder.touch("b", 3_500);
    for _ in 4..=8 {
        assert_eq!(next(&mut t, &lines), NONE);
    }
    // At 9 s the window begins at 4 s.
    assert_eq!(next(&mut t, &lines), NONE);
    folder.write("b", "anew", 9_500);
    assert_eq!(next(&mut t, &lines), ["anew"]);
}

/// However long the window: what is gone for a minute is not remembered.
#[test]
fn names_that_are_gone_are_forgotten() {
    let folder = Folder::new();
    let forever = |directory: Directory| directory.remember(Duration::MAX);
    let (mut t, lines) = lines_since(0, &folder, forever);
    folder.write("a", "a", 500);
    folder.write("stays", "stays", 600);
    assert_eq!(next(&mut t, &lines), ["a", "stays"]);
    fs::remove_file(folder.path().join("a")).unwrap();
    for _ in 2..=61 {
        assert_eq!(next(&mut t, &lines), NONE);
    }
    folder.write("a", "another", 500);
    folder.touch("stays", 61_500);
    assert_eq!(next(&mut t, &lines), ["another"]);
}

#[test]
fn lines_do_not_span_files() {
    let folder = Folder::new();
    let (mut t, lines) = lines(&folder);
    for (name, content) in [("a", "1"), ("b", "2\r\n"), ("c", ""), ("d", "\n"), ("e", "3\n4")] {
        folder.write(name, content, 500);
    }
    assert_eq!(next(&mut t, &lines), ["1", "2", "", "3", "4"]);
}

// Much of it.

/// Lines with their numbers, of 1,000 bytes each.
fn numbered(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{number:<999}\n")).collect()
}

fn numbers(lines: &[String]) -> Vec<u32> {
    lines.iter().map(|line| line.trim().parse().unwrap()).collect()
}

/// Files larger than all blocks, whether blocks are worked on as they come or not.
#[test]
fn a_file_larger_than_the_blocks_comes_in_several_batches() {
    let folder = Folder::new();
    folder.write("large", numbered(0..5_000), 500);
    folder.write("next", numbered(5_000..5_010), 600);
    for threads in [1, 3] {
        let mut t = TestContext::with(narrow(threads)).unwrap();
        let stream = t.context().text_file_stream(folder.path()).unwrap();
        let lines = t.output(&stream);
        let mut came = Vec::new();
        let mut batches = 0;
        while came.len() < 5_010 {
            batches += 1;
            assert!(batches < 100, "only {} lines came", came.len());
            t.tick().unwrap();
            came.extend(lines.take());
        }
        assert!(batches > 2, "all came in {batches} batches of two blocks");
        assert!(numbers(&came).into_iter().eq(0..5_010));
        // Blocks that are taken in as they come hold nothing up.
        let mut t = TestContext::with(narrow(threads)).unwrap();
        let stream = t.context().text_file_stream(folder.path()).unwrap();
        let counts = t.output(&stream.count_by_value());
        t.tick().unwrap();
        let counts = counts.take();
        assert_eq!(counts.len(), 5_010);
        assert!(counts.iter().all(|(_, count)| *count == 1));
    }
}

#[test]
fn many_files() {
    let folder = Folder::new();
    for number in 0..3_000 {
        folder.write(&format!("{number}"), format!("{number}"), 500 + number % 700);
    }
    let (mut t, lines) = lines(&folder);
    let mut came = next(&mut t, &lines);
    came.extend(next(&mut t, &lines));
    assert_eq!(came.len(), 3_000);
    let mut came = numbers(&came);
    came.sort();
    assert!(came.into_iter().eq(0..3_000));
    let (mut t, _lines) = lines_since(0, &folder, |directory| directory.files_max(2_999));
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    let message = error.to_string();
    assert!(message.contains("2999") && message.contains("files_max"), "{message}");
}

#[test]
fn a_rate_limits_batches_and_loses_nothing() {
    let folder = Folder::new();
    folder.write("a", numbered(0..1_000), 500);
    folder.write("b", numbered(1_000..2_500), 600);
    let mut t = TestContext::with(builder().max_rate(400.0)).unwrap();
    let lines = t.output(&t.context().text_file_stream(folder.path()).unwrap());
    let mut came = Vec::new();
    for batch in 1..=20 {
        let lines = next(&mut t, &lines);
        assert!(lines.len() < 500, "batch {batch} has {} lines", lines.len());
        came.extend(lines);
        if batch == 3 {
            assert!(came.len() > 800, "only {} lines in three batches", came.len());
        }
    }
    assert!(numbers(&came).into_iter().eq(0..2_500));
}

/// What was picked is processed before the end, whatever the blocks and the rate.
#[test]
fn a_graceful_stop_reads_to_the_end() {
    let folder = Folder::new();
    folder.write("large", numbered(0..4_000), 500);
    for builder in [narrow(2), narrow(2).max_rate(1_000.0)] {
        let t = TestContext::with(builder).unwrap();
        let lines = t.output(&t.context().text_file_stream(folder.path()).unwrap());
        t.context().start().unwrap();
        t.context().stop_gracefully();
        assert_eq!(lines.take().len(), 4_000);
    }
}

// What goes wrong.

/// A file of five blocks where there are two, and behind it what waits for its turn.
fn behind_a_large_file(folder: &Folder, names: &[&str]) -> (TestContext, TestOutput<String>) {
    folder.write("0", numbered(0..5_000), 500);
    for name in names {
        folder.write(name, name, 600);
    }
    let t = TestContext::with(narrow(2)).unwrap();
    let lines = t.output(&t.context().text_file_stream(folder.path()).unwrap());
    (t, lines)
}

#[test]
fn files_that_cannot_be_read_are_counted_and_left_out() {
    let folder = Folder::new();
    let (mut t, lines) = behind_a_large_file(&folder, &["1", "2", "3"]);
    t.tick().unwrap();
    // One vanishes, and one is no file any more.
    fs::remove_file(folder.path().join("1")).unwrap();
    fs::remove_file(folder.path().join("2")).unwrap();
    fs::create_dir(folder.path().join("2")).unwrap();
    for _ in 0..20 {
        t.tick().unwrap();
    }
    let came = lines.take();
    assert_eq!((came.len(), came[5_000].as_str()), (5_001, "3"));
    assert_eq!(t.context().source_counts()[0].files_unread, 2);
}

#[test]
fn files_that_are_renamed_before_they_are_read_are_not_missing() {
    let folder = Folder::new();
    let (mut t, lines) = behind_a_large_file(&folder, &["1", "2", "3"]);
    t.tick().unwrap();
    // One gets another name, and one is away for so long that it is given up.
    fs::rename(folder.path().join("1"), folder.path().join("one")).unwrap();
    let elsewhere = TempDir::new_in(folder.path().parent().unwrap()).unwrap();
    let away = elsewhere.path().join("2");
    fs::rename(folder.path().join("2"), &away).unwrap();
    for _ in 0..20 {
        t.tick().unwrap();
    }
    let counts = t.context().source_counts()[0];
    assert_eq!((counts.files_unread, counts.files_recovered), (1, 0));
    fs::rename(&away, folder.path().join("two")).unwrap();
    for _ in 0..3 {
        t.tick().unwrap();
    }
    let came = lines.take();
    assert_eq!(came.len(), 5_003);
    assert_eq!(came[5_000..], ["1", "3", "2"]);
    let counts = t.context().source_counts()[0];
    assert_eq!((counts.files_unread, counts.files_recovered), (1, 1));
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_left_out() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.write("secret", "secret", 500);
    folder.write("fine", "fine", 600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&path).is_ok() {
        return eprintln!("not tested: this user may read everything");
    }
    let (mut t, lines) = lines(&folder);
    assert_eq!(next(&mut t, &lines), ["fine"]);
    assert_eq!(t.context().source_counts()[0].files_unread, 1);
}

#[test]
fn a_directory_that_is_not_there() {
    let folder = Folder::new();
    let missing = folder.path().join("missing");
    let file = folder.write("file", "", 0);
    let ssc = builder().build().unwrap();
    for path in [missing, file] {
        let error = ssc.text_file_stream(&path).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(ssc.binary_records_stream(&path, 1).is_err());
    }
}

/// However long it is away: what came meanwhile is read.
#[test]
fn a_directory_that_comes_back() {
    let folder = Folder::new();
    let (here, away) = (folder.path().join("here"), folder.path().join("away"));
    fs::create_dir(&here).unwrap();
    let mut t = TestContext::with(builder()).unwrap();
    let stream = Directory::new(&here).unwrap().remember(3 * SECOND);
    let lines = t.output(&t.context().receiver_stream(stream).unwrap());
    folder.write("here/a", "a", 500);
    assert_eq!(next(&mut t, &lines), ["a"]);
    fs::rename(&here, &away).unwrap();
    for _ in 2..=100 {
        assert_eq!(next(&mut t, &lines), NONE);
    }
    folder.write("away/b", "b", 1_500);
    folder.write("away/c", "c", 50_000);
    fs::rename(&away, &here).unwrap();
    assert_eq!(next(&mut t, &lines), ["b", "c"]);
}

/// Batches that run ahead of the clock, as where a source beside it has an end, lose no files.
#[test]
fn beside_a_source_with_an_end() {
    let folder = Folder::new();
    let bounded = TempDir::new().unwrap();
    let path = bounded.path().join("bounded");
    fs::write(&path, numbered(0..20_000)).unwrap();
    let limits = Limits { blocks: 2, ..Limits::default() };
    let interval = Duration::from_secs(24 * 60 * 60);
    let ssc = StreamingContext::builder("ahead").batch_interval(interval).limits(limits);
    let ssc = ssc.build().unwrap();
    let directory = Directory::new(folder.path()).unwrap().new_files_only(false);
    let files = ssc.receiver_stream(directory).unwrap();
    let large = ssc.receiver_stream(Files::open([path]).unwrap()).unwrap();
    let (dropped, lines) = (folder.path().join("file"), files.collect(64));
    let mut batches = 0;
    large.foreach_batch(move |_, _| {
        batches += 1;
        if batches == 5 {
            // Days after now, by the batches' times.
            fs::write(&dropped, "came")?;
        }
        Ok(())
    });
    ssc.start().unwrap();
    let came = std::iter::from_fn(|| lines.recv_timeout(crate::feed::DEADLINE).ok());
    let came = came.flat_map(|(_, lines)| lines).next();
    assert_eq!(came.as_deref(), Some("came"));
    ssc.stop();
}

// Across the ends of processes.

/// A life of a program whose state says how often each line came.
fn counted(folder: &Folder, state: &Path, now: u64) -> TestContext {
    let limits = Limits { blocks: 2, missed_batches: 20, ..Limits::default() };
    let t = TestContext::with(builder().limits(limits)).unwrap();
    t.context().checkpoint(state, 1);
    t.clock().advance(Duration::from_millis(now));
    let lines = t.context().text_file_stream(folder.path()).unwrap();
    let seen = lines.pair_with(1i64).update_state_by_key("seen.v1", |ones, seen| {
        Some(seen.unwrap_or(0) + ones.iter().sum::<i64>())
    });
    seen.touched_only().foreach_batch(|_, _| Ok(()));
    t
}

/// Processes that die at any batch, in the middle of large files too, while files go on to come:
/// in the end the state has each line once.
#[test]
fn state_has_each_line_once_across_crashes() {
    for seed in crate::random::seeds(2) {
        let mut random = Random::new(seed);
        let (folder, state) = (Folder::new(), TempDir::new().unwrap());
        let (mut now, mut files, mut lines) = (0, 0, 0);
        let mut come = |random: &mut Random, after: u64, until: u64| {
            for _ in 0..random.below(4) {
                // Now and then one that takes several batches.
                let count = [3, 3, 3, 4_000][random.below(4)];
                let modified = after + 1 + random.below((until - after) as usize) as u64;
                folder.write(&format!("{files}"), numbered(lines..lines + count), modified);
                (files, lines) = (files + 1, lines + count);
            }
        };
        for life in 0..5 {
            let mut t = counted(&folder, state.path(), now);
            for _ in 0..1 + random.below(4) {
                come(&mut random, now, now + 1_000);
                t.tick().unwrap();
                now += 1_000;
            }
            drop(t);
            // Once for longer than names are remembered and missed batches are run.
            let down = if life == 3 { 100_000 } else { 1_000 * random.below(3) as u64 };
            if down > 0 {
                come(&mut random, now, now + down);
            }
            now += down;
        }
        let mut t = counted(&folder, state.path(), now);
        for _ in 0..30 {
            t.tick().unwrap();
        }
        let seen = t.context().state_by_key::<String, i64>("seen.v1").unwrap();
        for line in 0..lines {
            let times = seen.get(&format!("{line:<999}")).unwrap();
            assert_eq!(times, Some(1), "seed {seed}: line {line} of {lines}");
        }
    }
}

/// A file that another process had begun, and that is not there any more, or is another one.
#[test]
fn a_file_that_is_not_what_it_was() {
    for other in [None, Some("short\n".to_owned()), Some(numbered(7..5_007))] {
        let (folder, state) = (Folder::new(), TempDir::new().unwrap());
        let run = |now: u32| {
            let t = TestContext::with(narrow(2)).unwrap();
            t.context().checkpoint(state.path(), 1);
            t.clock().advance(SECOND * now);
            let lines = t.output(&t.context().text_file_stream(folder.path()).unwrap());
            (t, lines)
        };
        let path = folder.write("large", numbered(0..5_000), 500);
        folder.write("next", "next", 600);
        let (mut t, lines) = run(0);
        assert!(next(&mut t, &lines).len() < 4_000);
        drop(t);
        match other {
            None => fs::remove_file(&path).unwrap(),
            Some(content) => drop(folder.write("large", content, 500)),
        }
        let (mut t, lines) = run(1);
        assert_eq!(next(&mut t, &lines), ["next"]);
        assert_eq!(t.context().source_counts()[0].files_unread, 1);
    }
}

/// Each directory goes on where it was, in whatever order a program has them.
#[test]
fn directories_are_known_by_their_paths() {
    let (first, second) = (Folder::new(), Folder::new());
    let (state, third) = (TempDir::new().unwrap(), Folder::new());
    let run = |folders: [&Folder; 2], now: u32| {
        let t = TestContext::with(builder()).unwrap();
        t.context().checkpoint(state.path(), 1);
        t.clock().advance(SECOND * now);
        let streams =
            folders.map(|folder| t.context().text_file_stream(folder.path()).expect("it is there"));
        let lines = t.output(&t.context().union(&streams));
        (t, lines)
    };
    first.write("a", "first a", 500);
    second.write("a", "second a", 500);
    let (mut t, lines) = run([&first, &second], 0);
    assert_eq!(next(&mut t, &lines), ["first a", "second a"]);
    drop(t);
    second.write("b", "second b", 1_500);
    let (mut t, lines) = run([&second, &first], 1);
    assert_eq!(next(&mut t, &lines), ["second b"]);
    drop(t);
    let (mut t, _lines) = run([&second, &third], 1);
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let message = error.to_string();
    for folder in [&first, &third] {
        assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
    }
}

// Records of one length.

/// Records of any bytes and lengths, over several blocks.
#[test]
fn records_hold_any_byte() {
    for record_bytes in [1, 10, 1_000, 100_003, Limits::default().line_bytes] {
        let folder = Folder::new();
        let mut random = Random::new(record_bytes as u64);
        let count = if record_bytes == 1 { 300_000 } else { 3 * (1 << 20) / record_bytes };
        let mut bytes = vec![0; count * record_bytes];
        bytes.iter_mut().for_each(|byte| *byte = [b'\n', b'\r', 0, 0xff][random.below(4)]);
        let middle = count / 2 * record_bytes;
        folder.write("a", &bytes[..middle], 500);
        folder.write("b", &bytes[middle..], 600);
        let mut t = TestContext::with(builder()).unwrap();
        let records = t.context().binary_records_stream(folder.path(), record_bytes).unwrap();
        let (records, counts) = (t.output(&records), t.output(&records.count()));
        t.tick().unwrap();
        let records = records.take();
        assert!(records.iter().map(Vec::as_slice).eq(bytes.chunks(record_bytes)));
        assert_eq!(counts.take(), [count as i64]);
    }
}

/// What is no whole record at the end of a file is an error, and nothing else is lost.
#[test]
fn a_file_that_ends_within_a_record() {
    let folder = Folder::new();
    folder.write("a", "aaaabbbb\ncc", 500);
    folder.write("b", "dddd", 600);
    let mut t = TestContext::with(builder()).unwrap();
    let records = t.output(&t.context().binary_records_stream(folder.path(), 4).unwrap());
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    let message = error.to_string();
    let path = folder.path().join("a");
    for part in [path.to_str().unwrap(), "3 bytes", "record of 4"] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert_eq!(records.take(), ["aaaa", "bbbb", "dddd"].map(Vec::from));
    assert_eq!(t.context().source_counts()[0].lines_rejected, 1);
    folder.write("c", "eeee", 1_500);
    t.tick().unwrap();
    assert_eq!(records.take(), ["eeee"].map(Vec::from));
}

#[test]
fn records_go_on_after_a_crash() {
    let (folder, state) = (Folder::new(), TempDir::new().unwrap());
    let bytes = numbered(0..5_000);
    folder.write("large", &bytes, 500);
    let run = |now: u32| {
        let t = TestContext::with(narrow(2)).unwrap();
        t.context().checkpoint(state.path(), 1);
        t.clock().advance(SECOND * now);
        let records = t.output(&t.context().binary_records_stream(folder.path(), 7).unwrap());
        (t, records)
    };
    let mut came = Vec::new();
    for now in 0..50 {
        let (mut t, records) = run(now);
        if let Err(error) = t.tick() {
            assert!(error.to_string().contains("5 bytes"), "{error}");
        }
        came.extend(records.take());
    }
    let whole = bytes.len() / 7 * 7;
    assert_eq!(bytes.len() - whole, 5);
    assert!(came.concat() == bytes.as_bytes()[..whole]);
}

#[test]
fn lengths_that_records_cannot_have() {
    let folder = Folder::new();
    let ssc = builder().build().unwrap();
    let max = Limits::default().line_bytes;
    for length in [0, max + 1] {
        let error = ssc.binary_records_stream(folder.path(), length).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let message = error.to_string();
        for part in [&length.to_string(), &max.to_string(), "line_bytes"] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
    ssc.binary_records_stream(folder.path(), max).unwrap();
}
