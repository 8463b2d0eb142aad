//! Files that are followed: each row of the table in the docs of [`Follow`], while it runs and
//! across restarts.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Driver, append};
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};
use crate::source::identity::FileId;
use crate::source::{Follow, Receiver, SourceState};

const LOOK: Duration = Duration::from_millis(1);

/// A rotated file is left soon, or not at all in the time of a test.
const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_secs(3_600);

/// Follows one file, quickly, and leaves rotated ones soon.
fn follow(path: &Path) -> Driver<Follow> {
    Driver::new(Follow::new([path]).unwrap().poll_every(LOOK).rotated_quiet(SOON))
}

/// A log, and the lives of what follows it.
struct Log {
    folder: tempfile::TempDir,
    position: Option<Vec<u8>>,
}

impl Log {
    fn new() -> Log {
        Log { folder: tempfile::tempdir().unwrap(), position: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        append(&self.path(name), text);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Goes on where the last life stood.
    fn start(&self, name: &str) -> Driver<Follow> {
        let mut driver = follow(&self.path(name));
        if let Some(position) = &self.position {
            driver.receiver.resume(position).unwrap();
        }
        driver
    }

    /// One life, which gives these lines and no more.
    #[track_caller]
    fn life(&mut self, name: &str, lines: &[&str]) {
        let mut driver = self.start(name);
        if !lines.is_empty() {
            driver.run_until(|driver| driver.lines.len() >= lines.len());
        }
        driver.settle();
        std::thread::sleep(2 * SOON);
        driver.settle();
        assert_eq!(driver.lines, lines);
        self.position = driver.receiver.position();
    }
}

/// Lines that are longer together than what a proof looks at.
fn many(from: usize, count: usize) -> (String, Vec<String>) {
    let lines: Vec<String> = (from..from + count).map(|number| format!("line {number}")).collect();
    (lines.iter().map(|line| format!("{line}\n")).collect(), lines)
}

fn strs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

// While it runs.

#[test]
fn what_is_appended_is_read() {
    let log = Log::new();
    log.append("log", "one\ntw");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    log.append("log", "o\nthree\n");
    driver.expect(&["one", "two", "three"]);
}

#[test]
fn it_may_begin_at_the_end() {
    let log = Log::new();
    let (old, new) = (log.path("old"), log.path("new"));
    append(&old, "skipped\n");
    let follow = Follow::new([&old, &new]).unwrap().from_end();
    let mut driver = Driver::new(follow.poll_every(LOOK));
    append(&old, "one\n");
    driver.expect(&["one"]);
    // What comes later is new from its start.
    append(&new, "two\n");
    driver.expect(&["one", "two"]);
}

#[test]
fn a_renamed_file_is_finished_and_the_next_one_begun() {
    let log = Log::new();
    log.append("log", "one\n");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    // All of it between two looks.
    log.append("log", "two\nunfinished");
    log.rename("log", "log.1");
    log.append("log", "three\n");
    // The line may go on, as long as the file is not quiet.
    driver.expect(&["one", "two", "three", "unfinished"]);
}

#[test]
fn a_renamed_file_is_read_until_it_has_been_quiet() {
    let log = Log::new();
    log.append("log", "one\n");
    let follow = Follow::new([log.path("log")]).unwrap();
    let mut driver = Driver::new(follow.poll_every(LOOK).rotated_quiet(NEVER));
    driver.expect(&["one"]);
    log.rename("log", "log.1");
    log.append("log", "");
    driver.settle();
    // Its writer has not been told yet.
    log.append("log.1", "tw");
    driver.settle();
    log.append("log.1", "o\n");
    driver.expect(&["one", "two"]);
    log.append("log", "three\n");
    driver.expect(&["one", "two", "three"]);
    log.append("log.1", "four\n");
    driver.expect(&["one", "two", "three", "four"]);
}

#[test]
fn a_quiet_rotated_file_is_left() {
    let log = Log::new();
    log.append("log", "one\n");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    log.rename("log", "log.1");
    driver.settle();
    log.append("log.1", "two\n");
    driver.expect(&["one", "two"]);
    log.append("log", "three\n");
    driver.expect(&["one", "two", "three"]);
    std::thread::sleep(2 * SOON);
    driver.settle();
    log.append("log.1", "nobody's\n");
    driver.settle();
    log.append("log", "four\n");
    driver.expect(&["one", "two", "three", "four"]);
}

/// However long they may be quiet, no more of them are open than the maximum.
#[test]
fn the_oldest_of_many_rotated_files_are_left() {
    let log = Log::new();
    let mut follow = Follow::new([log.path("log")]).unwrap();
    follow.tails[0].rotated_max = 8;
    // Long enough for all of them to be read in between.
    let look = Duration::from_millis(100);
    let mut driver = Driver::new(follow.poll_every(look).rotated_quiet(NEVER));
    let count = 20;
    for number in 0..count {
        log.append("log", &format!("{number}\n"));
        driver.run_until(|driver| driver.lines.len() > number);
        log.rename("log", &format!("log-{number:08}"));
    }
    log.append("log", "last\n");
    driver.run_until(|driver| driver.lines.len() > count);
    driver.settle();
    // The first one was left, the one before the last is still read.
    log.append("log-00000000", "too late\n");
    log.append(&format!("log-{:08}", count - 1), "late\n");
    driver.run_until(|driver| driver.lines.len() > count + 1);
    driver.settle();
    assert_eq!(driver.lines[count..], ["last", "late"]);
}

/// A look comes before all rotated files were read once more; they take turns with the current one.
#[test]
fn many_rotated_files_do_not_keep_the_current_one_from_being_read() {
    let log = Log::new();
    let follow = Follow::new([log.path("log")]).unwrap();
    let mut driver = Driver::new(follow.poll_every(Duration::ZERO).rotated_quiet(NEVER));
    for number in 0..5 {
        log.append("log", &format!("{number}\n"));
        driver.run_until(|driver| driver.lines.len() > number);
        log.rename("log", &format!("log-{number:08}"));
    }
    log.append("log", "last\n");
    driver.expect(&["0", "1", "2", "3", "4", "last"]);
}

#[test]
fn a_truncated_file_is_begun_again() {
    let log = Log::new();
    log.append("log", "first line\nunfinished");
    let mut driver = log.start("log");
    driver.expect(&["first line"]);
    driver.settle();
    fs::write(log.path("log"), "again\n").unwrap();
    driver.expect(&["first line", "unfinished", "again"]);
    log.append("log", "more\n");
    driver.expect(&["first line", "unfinished", "again", "more"]);
}

/// It has grown past its old length before it was looked at.
#[test]
fn a_file_that_is_written_anew_and_longer_is_begun_again() {
    let log = Log::new();
    log.append("log", "one\n");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    driver.settle();
    fs::write(log.path("log"), "two\nthree\nfour\n").unwrap();
    driver.expect(&["one", "two", "three", "four"]);
}

#[test]
fn truncation_and_rename_may_come_while_nobody_looks() {
    let log = Log::new();
    log.append("log", "a long first line\n");
    let mut driver = log.start("log");
    driver.expect(&["a long first line"]);
    fs::write(log.path("log"), "short\n").unwrap();
    log.rename("log", "log.1");
    log.append("log", "new\n");
    driver.expect(&["a long first line", "short", "new"]);
}

#[test]
fn a_copy_is_read_on_when_the_file_was_emptied() {
    let log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    let mut driver = log.start("log");
    driver.expect(&strs(&lines));
    driver.settle();
    log.append("log", "before the copy\nunfin");
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    fs::write(log.path("log"), "after\n").unwrap();
    let mut expected = strs(&lines);
    expected.extend(["before the copy", "after", "unfin"]);
    driver.expect(&expected);
}

#[test]
fn files_in_between_are_read_when_it_was_rotated_more_than_once() {
    for names in [["log.3", "log.2", "log.1"], ["log-20260101", "log-20260102", "log-20260103"]] {
        let log = Log::new();
        log.append("log", "one\n");
        // An older one, and another log.
        log.append("log.4", "read before\n");
        log.append("log-20251231", "read before\n");
        log.append("log.err", "another\n");
        let mut driver = log.start("log");
        driver.expect(&["one"]);
        log.append("log", "two\n");
        log.rename("log", names[0]);
        log.append(names[1], "three\n");
        log.append(names[2], "four\n");
        log.append("log", "five\n");
        driver.expect(&["one", "two", "three", "four", "five"]);
        driver.settle();
        driver.expect(&["one", "two", "three", "four", "five"]);
    }
}

#[test]
fn files_come_and_go() {
    let log = Log::new();
    let mut driver = log.start("log");
    driver.settle();
    log.append("log", "one\nunfinished");
    driver.expect(&["one"]);
    driver.settle();
    log.remove("log");
    driver.expect(&["one", "unfinished"]);
    driver.settle();
    log.append("log", "two\n");
    driver.expect(&["one", "unfinished", "two"]);
    // Gone and back between two looks.
    log.remove("log");
    log.append("log", "three\n");
    driver.expect(&["one", "unfinished", "two", "three"]);
    // A directory in its place is waited out, too.
    log.remove("log");
    fs::create_dir(log.path("log")).unwrap();
    driver.settle();
    fs::remove_dir(log.path("log")).unwrap();
    log.append("log", "four\n");
    driver.expect(&["one", "unfinished", "two", "three", "four"]);
}

#[test]
fn a_name_that_is_missing_for_a_moment_is_no_new_file() {
    let log = Log::new();
    log.append("log", "one\n");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    log.rename("log", "aside");
    driver.settle();
    log.rename("aside", "log");
    driver.settle();
    log.append("log", "two\n");
    driver.expect(&["one", "two"]);
}

/// It is trouble once it has lasted for longer than a rotation does.
#[test]
fn a_name_that_is_missing_for_a_moment_is_no_trouble() {
    for (quiet, expected) in [(NEVER, SourceState::Receiving), (SOON, SourceState::Retrying)] {
        let log = Log::new();
        log.append("log", "one\n");
        let follow = Follow::new([log.path("log")]).unwrap().poll_every(LOOK);
        let mut driver = Driver::new(follow.rotated_quiet(quiet));
        driver.expect(&["one"]);
        let state = |driver: &Driver<Follow>| driver.writer.status().now().0;
        for forget in [|log: &Log| log.rename("log", "log.1"), |log: &Log| log.remove("log")] {
            assert_eq!(state(&driver), SourceState::Receiving);
            forget(&log);
            // Looks before and after it has been quiet.
            for pause in [2 * SOON, Duration::ZERO] {
                for _ in 0..10 {
                    let duration = driver.step().unwrap();
                    driver.wait(duration);
                }
                std::thread::sleep(pause);
            }
            assert_eq!(state(&driver), expected);
            let before = driver.lines.len();
            log.append("log", "two\n");
            driver.run_until(|driver| driver.lines.len() > before);
        }
        assert_eq!(driver.lines, ["one", "two", "two"]);
    }
}

#[test]
fn the_same_bytes_under_another_inode_go_on() {
    let log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    let mut driver = log.start("log");
    driver.expect(&strs(&lines));
    fs::copy(log.path("log"), log.path("copy")).unwrap();
    log.append("copy", "new\n");
    log.rename("copy", "log");
    let mut expected = strs(&lines);
    expected.push("new");
    driver.expect(&expected);
    driver.settle();
    driver.expect(&expected);
}

#[test]
fn several_files_are_read_in_turns() {
    let log = Log::new();
    let paths: Vec<_> = (0..5).map(|number| log.path(&format!("log{number}"))).collect();
    for path in &paths {
        append(path, &"line\n".repeat(200_000));
    }
    let follow = Follow::new(&paths).unwrap().poll_every(LOOK);
    let mut driver = Driver::new(follow);
    driver.run_until(|driver| driver.lines.len() == 1_000_000);
    append(&paths[3], "last\n");
    driver.run_until(|driver| driver.lines.len() == 1_000_001);
    assert_eq!(driver.lines.last().unwrap(), "last");
}

#[test]
fn a_file_that_comes_to_another_followed_name_is_read_once() {
    for names in [["log", "log.1", "log.2"], ["log.2", "log.1", "log"]] {
        let mut log = Log::new();
        let paths = names.map(|name| log.path(name));
        let start = |log: &Log| {
            let follow = Follow::new(&paths).unwrap().rotated_quiet(SOON);
            let mut driver = Driver::new(follow.poll_every(LOOK));
            if let Some(position) = &log.position {
                driver.receiver.resume(position).unwrap();
            }
            driver
        };
        let expect = |driver: &mut Driver<Follow>, lines: &[&str]| {
            driver.run_until(|driver| driver.lines.len() >= lines.len());
            driver.settle();
            driver.lines.sort();
            assert_eq!(driver.lines, lines, "{names:?}");
            driver.lines.clear();
        };
        log.append("log", "c\n");
        log.append("log.1", "b\n");
        log.append("log.2", "a\n");
        let mut driver = start(&log);
        expect(&mut driver, &["a", "b", "c"]);
        // Its writer goes on with it for a while.
        log.rename("log.2", "log.3");
        log.rename("log.1", "log.2");
        log.rename("log", "log.1");
        log.append("log", "e\n");
        log.append("log.1", "d\n");
        expect(&mut driver, &["d", "e"]);
        log.append("log.1", "f\n");
        log.append("log", "g\n");
        expect(&mut driver, &["f", "g"]);
        // While the new one is not there yet.
        log.rename("log.1", "log.2");
        log.rename("log", "log.1");
        log.append("log.1", "h\n");
        expect(&mut driver, &["h"]);
        log.append("log", "i\n");
        expect(&mut driver, &["i"]);
        log.position = driver.receiver.position();
        drop(driver);
        // And while nothing runs.
        log.rename("log.1", "log.2");
        log.rename("log", "log.1");
        log.append("log.1", "j\n");
        log.append("log", "k\n");
        expect(&mut start(&log), &["j", "k"]);
    }
}

#[test]
fn a_directory_is_no_file() {
    let log = Log::new();
    let error = Follow::new([log.folder.path()]).err().unwrap();
    assert_eq!(error.kind(), crate::error::ErrorKind::Source);
    assert!(error.to_string().contains(log.folder.path().to_str().unwrap()), "{error}");
}

// Across restarts.

#[test]
fn another_file_with_its_inode_is_not_it() {
    let mut log = Log::new();
    log.append("log", "one\n");
    log.append("other", "not this\n");
    log.life("log", &["one"]);
    // As if the number of the one had been given to the other.
    log.remove("log");
    let position = log.position.take().unwrap();
    let mut id = Vec::new();
    FileId::of(&fs::metadata(log.path("other")).unwrap()).save(&mut id);
    log.position = Some(with_id(&position, &id));
    log.append("log", "new\n");
    log.life("log", &["new"]);
}

/// A position of one file, with another identity in it.
fn with_id(position: &[u8], id: &[u8]) -> Vec<u8> {
    let rest = &mut &position[..];
    let mut out = Vec::new();
    push_varint(take_varint(rest).unwrap(), &mut out);
    push_bytes(take_bytes(rest).unwrap(), &mut out);
    let places = &mut take_bytes(rest).unwrap();
    let mut changed = Vec::new();
    push_varint(take_varint(places).unwrap(), &mut changed);
    FileId::load(places).unwrap();
    changed.extend_from_slice(id);
    changed.extend_from_slice(places);
    push_bytes(&changed, &mut out);
    out
}

#[test]
fn a_link_whose_file_was_rotated() {
    let mut log = Log::new();
    fs::create_dir(log.path("target")).unwrap();
    log.append("target/real.log", "one\n");
    std::os::unix::fs::symlink(log.path("target/real.log"), log.path("link")).unwrap();
    log.life("link", &["one"]);
    log.append("target/real.log", "two\n");
    log.rename("target/real.log", "target/real.log.1");
    log.append("target/real.log", "three\n");
    log.life("link", &["two", "three"]);
    // The link is set to other files, of which one was never seen.
    log.append("target/real.log", "four\n");
    for (name, text) in [("app-01.log", "a\n"), ("app-02.log", "b\n"), ("app-03.log", "c\n")] {
        log.append(&format!("target/{name}"), text);
    }
    let relink = |name: &str| {
        log.remove("link");
        std::os::unix::fs::symlink(log.path(name), log.path("link")).unwrap();
    };
    relink("target/app-01.log");
    log.life("link", &["four", "a"]);
    log.append("target/app-01.log", "a2\n");
    log.remove("link");
    std::os::unix::fs::symlink(log.path("target/app-03.log"), log.path("link")).unwrap();
    log.life("link", &["a2", "b", "c"]);
}

/// Device and inode are others, as on a volume that was mounted again, or after `rsync`.
#[test]
fn the_same_bytes_under_other_numbers_go_on() {
    let mut log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    log.life("log", &strs(&lines));
    for number in 0..3 {
        fs::copy(log.path("log"), log.path("copy")).unwrap();
        let new = format!("new {number}");
        log.append("copy", &format!("{new}\n"));
        log.rename("copy", "log");
        log.life("log", &[&new]);
    }
}

#[test]
fn a_file_that_was_written_anew_with_the_same_beginning() {
    let mut log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    log.life("log", &strs(&lines));
    // The same first bytes, then others, and longer.
    let (other, others) = many(1_000, 600);
    fs::write(log.path("log"), format!("{}{other}", &text[..text.len() / 2])).unwrap();
    let half = text[..text.len() / 2].to_owned() + &other;
    let expected: Vec<&str> = half.lines().collect();
    assert!(expected.len() > 700 && others.len() == 600);
    log.life("log", &expected);
}

#[test]
fn a_place_is_kept_until_the_file_is_seen() {
    let mut log = Log::new();
    fs::create_dir(log.path("volume")).unwrap();
    log.append("volume/log", "one\n");
    log.life("volume/log", &["one"]);
    // Not mounted, twice.
    log.rename("volume", "elsewhere");
    log.life("volume/log", &[]);
    log.life("volume/log", &[]);
    // It comes while nothing runs.
    log.rename("elsewhere", "volume");
    log.append("volume/log", "two\n");
    log.life("volume/log", &["two"]);
    // It comes later than the start.
    log.rename("volume", "elsewhere");
    log.append("elsewhere/log", "three\n");
    let mut driver = log.start("volume/log");
    driver.settle();
    log.rename("elsewhere", "volume");
    driver.expect(&["three"]);
    driver.settle();
    driver.expect(&["three"]);
}

/// The name is not followed for one life.
#[test]
fn a_place_is_kept_while_the_name_is_not_followed() {
    let mut log = Log::new();
    log.append("log", "one\n");
    log.append("other", "a\n");
    log.life("log", &["one"]);
    log.life("other", &["a"]);
    log.append("log", "two\n");
    log.life("log", &["two"]);
}

#[test]
fn rotated_while_nothing_ran() {
    let mut log = Log::new();
    log.append("log", "one\nunfin");
    log.life("log", &["one"]);
    log.append("log", "ished\n");
    log.rename("log", "log.1");
    log.life("log", &["unfinished"]);
    // Still without a successor.
    log.append("log.1", "two\n");
    log.life("log", &["two"]);
    log.append("log", "three\n");
    log.life("log", &["three"]);
    for _ in 0..2 {
        log.append("log", "four\n");
        for number in (1..5).rev() {
            let _ = fs::rename(
                log.path(&format!("log.{number}")),
                log.path(&format!("log.{}", number + 1)),
            );
        }
        log.rename("log", "log.1");
    }
    log.append("log", "five\n");
    log.life("log", &["four", "four", "five"]);
    log.life("log", &[]);
}

#[test]
fn the_file_in_between_is_read_though_the_followed_one_is_gone() {
    let mut log = Log::new();
    log.append("log.1", "read before\n");
    log.append("log", "one\n");
    log.life("log", &["one"]);
    log.remove("log.1");
    log.remove("log");
    std::thread::sleep(Duration::from_millis(20));
    log.append("log.1", "between\n");
    log.append("log", "two\n");
    log.life("log", &["between", "two"]);
}

#[test]
fn copied_and_emptied_while_nothing_ran() {
    let mut log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    log.life("log", &strs(&lines));
    log.append("log", "two\n");
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    fs::write(log.path("log"), "three\n").unwrap();
    log.life("log", &["two", "three"]);
}

/// A rotated file that was not quiet yet at the stop is read on.
#[test]
fn a_rotated_file_is_read_on_after_a_restart() {
    let mut log = Log::new();
    log.append("log", "one\n");
    let follow = Follow::new([log.path("log")]).unwrap();
    let mut driver = Driver::new(follow.poll_every(LOOK).rotated_quiet(NEVER));
    driver.expect(&["one"]);
    log.rename("log", "log.1");
    log.append("log", "two\n");
    driver.expect(&["one", "two"]);
    log.position = driver.receiver.position();
    log.append("log.1", "late\n");
    log.append("log", "three\n");
    log.life("log", &["late", "three"]);
    log.life("log", &[]);
}

#[test]
fn a_name_is_one_however_it_is_written() {
    let log = Log::new();
    log.append("log", "one\n");
    fs::create_dir(log.path("sub")).unwrap();
    std::os::unix::fs::symlink(log.folder.path(), log.path("linked")).unwrap();
    std::os::unix::fs::symlink(log.path("log"), log.path("link")).unwrap();
    let names = ["log", "./log", "linked/log", "link"].map(|name| log.path(name));
    let mut driver = Driver::new(Follow::new(&names).unwrap().poll_every(LOOK));
    driver.expect(&["one"]);
    driver.settle();
    driver.expect(&["one"]);
    let position = driver.receiver.position().unwrap();
    log.append("log", "two\n");
    for name in &names[..3] {
        let mut driver = follow(name);
        driver.receiver.resume(&position).unwrap();
        driver.expect(&["two"]);
        driver.settle();
        driver.expect(&["two"]);
    }
}

#[test]
fn a_position_of_another_version_is_refused() {
    let log = Log::new();
    let mut driver = log.start("log");
    let error = driver.receiver.resume(&[5, b'/', b'a']).unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
}

/// A file that was emptied while its writer kept its offset: the hole is no part of a line.
#[test]
fn a_hole_is_passed_over() {
    let mut log = Log::new();
    log.append("log", "one\n");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    driver.settle();
    let mut file = OpenOptions::new().write(true).open(log.path("log")).unwrap();
    file.set_len(0).unwrap();
    file.seek(SeekFrom::Start(1 << 20)).unwrap();
    file.write_all(b"two\n").unwrap();
    driver.expect(&["one", "two"]);
    driver.settle();
    log.position = driver.receiver.position();
    log.append("log", "three\n");
    log.life("log", &["three"]);
}

#[cfg(feature = "compression")]
fn gzip(path: &Path) {
    let packed = crate::source::unpack::tests::gzip(&fs::read(path).unwrap());
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    fs::write(&name, packed).unwrap();
    OpenOptions::new().append(true).open(name).unwrap().set_modified(modified).unwrap();
    fs::remove_file(path).unwrap();
}

#[cfg(feature = "compression")]
#[test]
fn rotated_and_compressed_while_nothing_ran() {
    let mut log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    log.append("log", "unfin");
    log.life("log", &strs(&lines));
    log.append("log", "ished\ntwo\n");
    log.rename("log", "log.2");
    log.append("log.1", "three\n");
    gzip(&log.path("log.2"));
    gzip(&log.path("log.1"));
    log.append("log", "four\n");
    log.life("log", &["unfinished", "two", "three", "four"]);
    log.life("log", &[]);
}

/// Compressed in its place: its successor is not there yet, or is.
#[cfg(feature = "compression")]
#[test]
fn compressed_in_its_place() {
    let mut log = Log::new();
    log.append("log", "one\n");
    log.life("log", &["one"]);
    log.append("log", "two\n");
    gzip(&log.path("log"));
    log.append("log", "three\n");
    log.life("log", &["two", "three"]);
}

/// While it runs, what is compressed is still open.
#[cfg(feature = "compression")]
#[test]
fn rotated_and_compressed_while_it_runs() {
    let log = Log::new();
    log.append("log", "one\n");
    let mut driver = log.start("log");
    driver.expect(&["one"]);
    log.append("log", "two\n");
    log.rename("log", "log.2");
    log.append("log.1", "three\n");
    gzip(&log.path("log.1"));
    gzip(&log.path("log.2"));
    log.append("log", "four\n");
    driver.expect(&["one", "two", "three", "four"]);
    driver.settle();
    driver.expect(&["one", "two", "three", "four"]);
}

#[cfg(feature = "compression")]
#[test]
fn a_compressed_file_is_read_once() {
    let mut log = Log::new();
    let (text, lines) = many(0, 500);
    log.append("log", &text);
    gzip(&log.path("log"));
    log.life("log.gz", &strs(&lines));
    log.life("log.gz", &[]);
}

/// What a rotated file has lost is not read; of one that was read to its end that is nothing.
#[test]
fn a_rotated_file_that_is_gone_is_missed_unless_it_was_read_to_its_end() {
    for (rest, missed) in [("", 0), ("a line without its end", 1)] {
        let log = Log::new();
        let patient = || Follow::new([log.path("log")]).unwrap().poll_every(LOOK);
        let mut driver = Driver::new(patient().rotated_quiet(NEVER));
        log.append("log", "one\n");
        driver.expect(&["one"]);
        log.rename("log", "log.1");
        log.append("log.1", rest);
        log.append("log", "two\n");
        driver.expect(&["one", "two"]);
        driver.settle();
        let position = driver.receiver.position().unwrap();
        log.remove("log.1");
        let mut driver = Driver::new(patient());
        driver.receiver.resume(&position).unwrap();
        driver.settle();
        assert!(driver.lines.is_empty(), "{:?}", driver.lines);
        assert_eq!(driver.writer.counters().get().files_unread, missed);
    }
}

/// Logs that begin alike are no copies of one another: what is gone is not looked for in those that
/// are known.
#[test]
fn a_rotated_file_that_is_gone_is_none_that_begins_as_it_did() {
    let log = Log::new();
    let patient = || Follow::new([log.path("log")]).unwrap().poll_every(LOOK);
    let mut driver = Driver::new(patient().rotated_quiet(NEVER));
    log.append("log", "start\n");
    driver.expect(&["start"]);
    log.rename("log", "log.1");
    log.append("log", "start\ntwo\n");
    driver.expect(&["start", "start", "two"]);
    driver.settle();
    let position = driver.receiver.position().unwrap();
    log.rename("log", "log.1");
    log.append("log", "three\n");
    let mut driver = Driver::new(patient());
    driver.receiver.resume(&position).unwrap();
    driver.expect(&["three"]);
    driver.settle();
    driver.expect(&["three"]);
}

/// Nor is the log itself one that is gone, where it begins as that did.
#[test]
fn a_log_that_begins_as_one_that_is_gone_is_read_from_its_start() {
    let log = Log::new();
    let patient = || Follow::new([log.path("log")]).unwrap().poll_every(LOOK);
    let mut driver = Driver::new(patient().rotated_quiet(NEVER));
    log.append("log", "start\n");
    driver.expect(&["start"]);
    log.rename("log", "log.1");
    log.append("log", "two\n");
    driver.expect(&["start", "two"]);
    driver.settle();
    let position = driver.receiver.position().unwrap();
    log.rename("log", "log.1");
    log.append("log", "start\nthree\n");
    let mut driver = Driver::new(patient());
    driver.receiver.resume(&position).unwrap();
    driver.expect(&["start", "three"]);
    driver.settle();
    driver.expect(&["start", "three"]);
}

/// However long nothing came before it was rotated: the writer may take a moment to open the new
/// one.
#[test]
fn a_log_that_was_quiet_before_it_was_rotated_is_read_on() {
    let log = Log::new();
    let quiet = Duration::from_millis(500);
    let follow = Follow::new([log.path("log")]).unwrap().poll_every(LOOK);
    let mut driver = Driver::new(follow.rotated_quiet(quiet));
    log.append("log", "one\n");
    driver.expect(&["one"]);
    std::thread::sleep(quiet);
    driver.settle();
    log.rename("log", "log.1");
    log.append("log", "");
    driver.settle();
    log.append("log.1", "late\n");
    driver.expect(&["one", "late"]);
}

/// A backup of a log that was written again beside it is no log that was rotated, while it runs and
/// across restarts; a log that begins as the one before is another one.
#[test]
fn a_backup_beside_the_same_bytes() {
    let (text, _) = many(0, 300);
    // Names of backups, at any size; others where it is too much to be by chance; and logs that
    // are rotated have numbers, however alike they are.
    let cases = [
        ("log.bak", "one\n", true),
        ("log~", "one\n", true),
        ("log.orig", "one\n", true),
        ("other", &text, true),
        ("log.old", "one two three four\n", true),
        ("other", "one\n", false),
        ("log.old", "one\n", false),
        ("log.1", "one\n", false),
        ("log.1", &text, false),
    ];
    for (name, text, is_backup) in cases {
        for is_running in [true, false] {
            let mut log = Log::new();
            let lines: Vec<&str> = text.lines().collect();
            log.append("log", text);
            if !is_running {
                log.life("log", &lines);
            }
            let mut driver = log.start("log");
            if is_running {
                driver.expect(&lines);
            }
            log.rename("log", name);
            if is_running {
                // The name is missing for a moment.
                driver.settle();
            }
            log.append("copy", &format!("{text}new\n"));
            log.rename("copy", "log");
            if !is_running {
                driver = log.start("log");
            }
            let again: &[&str] = if is_backup { &[] } else { &lines };
            let before: &[&str] = if is_running { &lines } else { &[] };
            driver.expect(&[before, again, &["new"]].concat());
            driver.settle();
            driver.expect(&[before, again, &["new"]].concat());
        }
    }
}

/// It was copied after it was written on under another inode: the copy has what nobody saw.
#[test]
fn a_copy_of_what_took_the_place_of_a_log_is_read_on() {
    let log = Log::new();
    let (text, lines) = many(0, 100);
    log.append("log", &text);
    let mut driver = log.start("log");
    driver.expect(&strs(&lines));
    log.append("other", &format!("{text}two\n"));
    log.rename("other", "log");
    log.append("log", "three\n");
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    fs::write(log.path("log"), "four\n").unwrap();
    let mut expected = strs(&lines);
    expected.extend(["two", "three", "four"]);
    driver.expect(&expected);
}

#[cfg(feature = "compression")]
#[test]
fn an_archive_that_another_one_takes_the_place_of() {
    let mut log = Log::new();
    let (text, lines) = many(0, 500);
    let (other_text, other_lines) = many(7_000, 900);
    for (name, text) in [("log", &text), ("other", &other_text)] {
        log.append(name, text);
        gzip(&log.path(name));
    }
    let mut driver = log.start("log.gz");
    driver.expect(&strs(&lines));
    log.rename("other.gz", "log.gz");
    let all = [lines, other_lines].concat();
    driver.expect(&strs(&all));
    driver.settle();
    log.position = driver.receiver.position();
    log.life("log.gz", &[]);
}
