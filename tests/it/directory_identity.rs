//! Files of a directory are known by what they hold: a test for each row of the table in the docs
//! of `Directory`.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tempfile::TempDir;
use tidemill::prelude::*;
use tidemill::{Directory, FirstLine, Receiver, TestOutput};

const SECOND: Duration = Duration::from_secs(1);
const NONE: [&str; 0] = [];

/// Writes a file that was modified so many milliseconds after the epoch, where a test's clock
/// starts, and moves it in.
fn move_in(folder: &Path, name: &str, content: impl AsRef<[u8]>, modified: u64) {
    let hidden = folder.join(".hidden");
    fs::write(&hidden, content).unwrap();
    touch(&hidden, modified);
    fs::rename(hidden, folder.join(name)).unwrap();
}

fn touch(path: &Path, modified: u64) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_millis(modified)).unwrap();
}

/// All lines of a directory, whatever the times of its files, under a clock that shows so many
/// seconds, with checkpoints or without.
fn life(directory: Directory, state: Option<&TempDir>, now: u32) -> Life {
    let limits = Limits { blocks: 2, ..Limits::default() };
    let builder = StreamingContext::builder("identity").batch_interval(SECOND).threads(2);
    let t = TestContext::with(builder.limits(limits)).unwrap();
    if let Some(state) = state {
        t.context().checkpoint(state.path(), 1);
    }
    t.clock().advance(SECOND * now);
    let all = directory.new_files_only(false).remember(Duration::MAX);
    let lines = t.output(&t.context().receiver_stream(all).unwrap());
    Life { t, lines }
}

struct Life {
    t: TestContext,
    lines: TestOutput<String>,
}

impl Life {
    fn of(folder: &TempDir) -> Life {
        life(Directory::new(folder.path()).unwrap(), None, 0)
    }

    /// What the next batch has.
    fn next(&mut self) -> Vec<String> {
        self.t.tick().unwrap();
        self.lines.take_batches().concat()
    }

    fn files_unread(&self) -> u64 {
        self.t.context().source_counts()[0].files_unread
    }
}

#[test]
fn another_file_under_a_name_that_was_read_is_read() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::of(&folder);
    move_in(folder.path(), "a", "one\n", 500);
    assert_eq!(life.next(), ["one"]);
    // Of the same length and time, and longer, moved in and written in place.
    move_in(folder.path(), "a", "two\n", 500);
    assert_eq!(life.next(), ["two"]);
    fs::write(folder.path().join("a"), "three\nfour\n").unwrap();
    touch(&folder.path().join("a"), 1_500);
    assert_eq!(life.next(), ["three", "four"]);
    assert_eq!(life.next(), NONE);
}

#[test]
fn the_same_bytes_under_a_name_that_was_read_are_known() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::of(&folder);
    move_in(folder.path(), "a", "one\ntwo\n", 500);
    assert_eq!(life.next(), ["one", "two"]);
    move_in(folder.path(), "a", "one\ntwo\n", 1_500);
    assert_eq!(life.next(), NONE);
    // With more behind them only that is read.
    move_in(folder.path(), "a", "one\ntwo\nthree\n", 1_600);
    assert_eq!(life.next(), ["three"]);
    assert_eq!(life.next(), NONE);
}

#[test]
fn what_is_appended_to_a_file_that_was_read_is_not_read() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::of(&folder);
    move_in(folder.path(), "a", "one\n", 500);
    assert_eq!(life.next(), ["one"]);
    let file = File::options().append(true).open(folder.path().join("a")).unwrap();
    for _ in 0..2 {
        std::io::Write::write_all(&mut &file, b"two\n").unwrap();
        assert_eq!(life.next(), NONE);
        assert_eq!(life.next(), NONE);
        // It is missing, however often it grows.
        assert_eq!(life.files_unread(), 1);
    }
}

/// What could not be read, and then could, is not missing any more, in this process or a later one.
#[test]
fn a_file_that_can_be_read_after_all_is_not_missing() {
    for is_restarted in [false, true] {
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let run = |now| {
            let directory = Directory::new(folder.path()).unwrap();
            let directory = directory.first_line(|_, line| match line {
                "good" => FirstLine::Data,
                _ => FirstLine::Refuse("it is bad".to_owned()),
            });
            life(directory, Some(&state), now)
        };
        let counts = |life: &Life| {
            let counts = life.t.context().source_counts()[0];
            [counts.files_unread, counts.files_recovered]
        };
        let mut life = run(0);
        move_in(folder.path(), "a", "bad\n", 500);
        assert_eq!(life.next(), NONE);
        assert_eq!(counts(&life), [1, 0]);
        if is_restarted {
            drop(life);
            life = run(1);
        }
        fs::write(folder.path().join("a"), "good\nlines\n").unwrap();
        touch(&folder.path().join("a"), 1_500);
        assert_eq!(life.next(), ["good", "lines"]);
        assert_eq!(counts(&life), [u64::from(!is_restarted), 1]);
    }
}

#[test]
fn files_that_are_renamed_are_known_also_while_nothing_ran() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let run = |now| life(Directory::new(folder.path()).unwrap(), Some(&state), now);
    let mut life = run(0);
    for number in 0..5 {
        move_in(folder.path(), &format!("{number}"), format!("line {number}\n"), 500 + number);
    }
    assert_eq!(life.next().len(), 5);
    let rename = |from: &str, to: &str| {
        fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    };
    rename("0", "zero");
    assert_eq!(life.next(), NONE);
    drop(life);
    rename("1", "one");
    rename("2", "0");
    move_in(folder.path(), "new", "new\n", 1_500);
    let mut life = run(2);
    assert_eq!(life.next(), ["new"]);
    assert_eq!(life.next(), NONE);
}

/// Copies of all files, as another volume has them: other numbers, the same names and bytes.
#[test]
fn a_volume_that_is_away_and_comes_back_is_known() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let [here, away] = ["here", "away"].map(|name| folder.path().join(name));
    fs::create_dir(&here).unwrap();
    for number in 0..5 {
        move_in(&here, &format!("{number}"), format!("line {number}\n"), 500 + number);
    }
    let run = |now| life(Directory::new(&here).unwrap(), Some(&state), now);
    let mut life = run(0);
    assert_eq!(life.next().len(), 5);
    // An empty directory, where the volume is mounted, for longer than a minute.
    fs::rename(&here, &away).unwrap();
    fs::create_dir(&here).unwrap();
    for _ in 0..100 {
        assert_eq!(life.next(), NONE);
    }
    drop(life);
    let mut life = run(101);
    assert_eq!(life.next(), NONE);
    for file in fs::read_dir(&away).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), here.join(file.file_name())).unwrap();
    }
    move_in(&here, "new", "new\n", 101_500);
    assert_eq!(life.next(), ["new"]);
    assert_eq!(life.next(), NONE);
}

#[test]
fn a_file_that_was_being_read_and_was_renamed_goes_on() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let run = |now| life(Directory::new(folder.path()).unwrap(), Some(&state), now);
    let content: String = (0..5_000).map(|number| format!("{number:<999}\n")).collect();
    move_in(folder.path(), "large", &content, 500);
    let mut life = run(0);
    let mut came = life.next();
    assert!(came.len() < 4_000);
    drop(life);
    fs::rename(folder.path().join("large"), folder.path().join("moved")).unwrap();
    let mut life = run(1);
    for _ in 0..20 {
        came.extend(life.next());
    }
    let numbers = came.iter().map(|line| line.trim().parse::<u32>().unwrap());
    assert!(numbers.eq(0..5_000));
    assert_eq!(life.files_unread(), 0);
}

#[test]
fn names_that_are_taken_over_at_once_are_no_new_files() {
    for is_stopped in [false, true] {
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let path = |name: &str| folder.path().join(name);
        let begin = |now| life(Directory::new(folder.path()).unwrap(), Some(&state), now);
        let mut life = begin(0);
        move_in(folder.path(), "log", "one\n", 500);
        move_in(folder.path(), "log.1", "old\n", 400);
        assert_eq!(life.next(), ["old", "one"]);
        if is_stopped {
            drop(life);
            life = begin(1);
        }
        // Each name leads to another file, and one of them is new.
        fs::rename(path("log.1"), path("log.2")).unwrap();
        fs::rename(path("log"), path("log.1")).unwrap();
        move_in(folder.path(), "log", "two\n", 1_500);
        assert_eq!(life.next(), ["two"], "stopped: {is_stopped}");
        fs::rename(path("log.1"), path("kept")).unwrap();
        fs::rename(path("log.2"), path("log.1")).unwrap();
        fs::rename(path("kept"), path("log.2")).unwrap();
        assert_eq!(life.next(), NONE);
        // What was appended is not read, as where the name stays.
        let mut file = File::options().append(true).open(path("log")).unwrap();
        std::io::Write::write_all(&mut file, b"more\n").unwrap();
        fs::rename(path("log"), path("log.3")).unwrap();
        move_in(folder.path(), "log", "three\n", 2_500);
        assert_eq!(life.next(), ["three"]);
        drop(life);
        assert_eq!(begin(5).next(), NONE);
    }
}

#[cfg(feature = "compression")]
#[test]
fn a_file_that_is_compressed_where_it_is_is_known() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut life = Life::of(&folder);
    let text: String = (0..5_000).map(|number| format!("{number}\n")).collect();
    move_in(folder.path(), "log", &text, 500);
    assert_eq!(life.next().len(), 5_000);
    move_in(folder.path(), "log.gz", crate::compressed_files::gzip(text.as_bytes()), 500);
    fs::remove_file(path("log")).unwrap();
    assert_eq!(life.next(), NONE);
    // And unpacked again, under a name that is taken.
    move_in(folder.path(), "log", "new\n", 2_000);
    assert_eq!(life.next(), ["new"]);
    fs::remove_file(path("log.gz")).unwrap();
    move_in(folder.path(), "log", &text, 500);
    assert_eq!(life.next(), NONE);
    // Another archive with that time.
    move_in(folder.path(), "b.gz", crate::compressed_files::gzip(b"other\n"), 500);
    assert_eq!(life.next(), ["other"]);
}

#[test]
fn two_files_with_the_same_bytes_are_two() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::of(&folder);
    move_in(folder.path(), "a", "same\n", 500);
    move_in(folder.path(), "b", "same\n", 500);
    assert_eq!(life.next(), ["same", "same"]);
    move_in(folder.path(), "c", "same\n", 500);
    assert_eq!(life.next(), ["same"]);
    // One that comes after another one has gone is another one, by its time.
    fs::remove_file(folder.path().join("a")).unwrap();
    move_in(folder.path(), "d", "same\n", 2_500);
    assert_eq!(life.next(), ["same"]);
}

#[test]
fn an_empty_file_is_read_once_there_is_something_in_it() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::of(&folder);
    move_in(folder.path(), "a", "", 500);
    assert_eq!(life.next(), NONE);
    fs::write(folder.path().join("a"), "content\n").unwrap();
    touch(&folder.path().join("a"), 1_500);
    assert_eq!(life.next(), ["content"]);
}

#[test]
fn a_file_whose_time_is_ahead_waits_two_batches() {
    let folder = TempDir::new().unwrap();
    let mut life = Life::of(&folder);
    move_in(folder.path(), "ahead", "ahead\n", 3_600_000);
    move_in(folder.path(), "now", "now\n", 500);
    assert_eq!(life.next(), ["now"]);
    assert_eq!(life.next(), NONE);
    // And as long as two batches take: missed ones may come at once.
    let end = Instant::now() + crate::feed::DEADLINE;
    let mut came = life.next();
    while came.is_empty() {
        assert!(Instant::now() < end, "it is not read");
        std::thread::sleep(SECOND / 10);
        came = life.next();
    }
    assert_eq!(came, ["ahead"]);
    assert_eq!(life.next(), NONE);
}

#[test]
fn directories_below_are_read_if_asked_for() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let deep = folder.path().join("below/deeper");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(folder.path().join(".below")).unwrap();
    move_in(&deep, "a", "deep\n", 500);
    move_in(folder.path(), "a", "top\n", 400);
    move_in(&folder.path().join(".below"), "a", "hidden\n", 500);
    assert_eq!(Life::of(&folder).next(), ["top"]);
    let run = |now| life(Directory::new(folder.path()).unwrap().recursive(true), Some(&state), now);
    let mut life = run(0);
    assert_eq!(life.next(), ["top", "deep"]);
    drop(life);
    fs::rename(folder.path().join("below"), folder.path().join("moved")).unwrap();
    move_in(&folder.path().join("moved/deeper"), "b", "new\n", 1_500);
    let mut life = run(1);
    assert_eq!(life.next(), ["new"]);
    let few = Directory::new(folder.path()).unwrap().recursive(true).files_max(4);
    let error = self::life(few, None, 2).t.tick().unwrap_err();
    assert!(error.to_string().contains("files_max"), "{error}");
}

#[cfg(unix)]
#[test]
fn pipes_and_sockets_are_left_out() {
    let folder = TempDir::new().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink(&pipe, folder.path().join("link")).unwrap();
    move_in(folder.path(), "a", "file\n", 500);
    let mut life = Life::of(&folder);
    assert_eq!(life.next(), ["file"]);
    assert_eq!(life.files_unread(), 0);
}

#[test]
fn a_directory_that_is_missing_at_a_restart_is_waited_for() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let [here, away] = ["here", "away"].map(|name| folder.path().join(name));
    fs::create_dir(&here).unwrap();
    move_in(&here, "a", "one\n", 500);
    let mut before = life(Directory::new(&here).unwrap(), Some(&state), 0);
    assert_eq!(before.next(), ["one"]);
    drop(before);
    fs::rename(&here, &away).unwrap();
    assert!(Directory::new(&here).is_err());
    let mut life = life(Directory::awaited(&here), Some(&state), 1);
    for _ in 0..100 {
        assert_eq!(life.next(), NONE);
    }
    move_in(&away, "b", "two\n", 1_500);
    fs::rename(&away, &here).unwrap();
    assert_eq!(life.next(), ["two"]);
}

#[test]
fn ways_to_write_a_directory_are_one_source() {
    let here = std::env::current_dir().unwrap();
    let name = Directory::awaited(here.join("incoming")).name();
    for path in ["incoming", "./incoming", "incoming/", ".//incoming/."] {
        assert_eq!(Directory::awaited(path).name(), name);
    }
}

#[test]
fn a_checkpoint_has_of_many_names_what_has_changed() {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for number in 0..2_000 {
        move_in(folder.path(), &format!("a-long-name-{number:08}"), "x\n", 500);
    }
    let mut life = life(Directory::new(folder.path()).unwrap(), Some(&state), 0);
    assert_eq!(life.next().len(), 2_000);
    life.next();
    life.next();
    move_in(folder.path(), "new", "new\n", 2_500);
    assert_eq!(life.next(), ["new"]);
    let infos = tidemill::checkpoint::inspect(state.path()).unwrap();
    let [first, .., idle, new] = infos.as_slice() else { panic!("{infos:?}") };
    assert!(first.bytes > 60_000 && first.sources[0].position_bytes > 60_000);
    assert!(idle.bytes < 400 && new.bytes < 500, "{} and {} bytes", idle.bytes, new.bytes);
    assert!(new.sources[0].position_bytes > idle.sources[0].position_bytes);
}
