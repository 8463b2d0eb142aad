//! Every open, look, listing, comparison and read of followed files and directories fails once, in
//! each way that may be over in a moment, before and after a restart: each line comes once all the
//! same, since no position is saved that was not read, and what is not known is found out later.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Driver, PATIENCE, append};
use crate::source::open_file::faults::{self, Op};
use crate::source::{Directory, Follow, Receiver};
use crate::time::Time;

const SECOND: Duration = Duration::from_secs(1);

/// EINTR, EIO, ENOMEM and EMFILE of all systems that there is a test on.
const ERRORS: [i32; 4] = [4, 5, 12, 24];

/// Errors, and how often each comes; all of them if there is time.
fn ways() -> Vec<(i32, u32)> {
    match std::env::var_os("TIDEMILL_LONG") {
        Some(_) => ERRORS.into_iter().flat_map(|error| [(error, 1), (error, 4)]).collect(),
        None => vec![(5, 1), (24, 4)],
    }
}

/// Runs this with each operation failing at each time that it is done, once or a few times, until
/// it is not done so often.
fn sweep(run: impl Fn(&dyn Fn())) {
    let mut failed = Vec::new();
    for op in Op::ALL {
        for (error, times) in ways() {
            for after in 0.. {
                assert!(after < 1_000, "{op:?} has no end");
                let context = format!("{op:?} fails {times} times after {after}: error {error}");
                let _context = Says(&context);
                run(&|| faults::fail(op, after, times, error));
                if !faults::end() {
                    break;
                }
                failed.push(op);
            }
        }
    }
    assert!(Op::ALL.iter().all(|op| failed.contains(op)), "{failed:?}");
}

/// Whatever panics says what had failed.
struct Says<'a>(&'a str);

impl Drop for Says<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Lives of a receiver, each of which goes on where the one before stood.
struct Lives<R> {
    start: Box<dyn Fn() -> R>,
    driver: Driver<R>,
    lines: Vec<String>,
}

impl<R: Receiver> Lives<R> {
    fn new(start: impl Fn() -> R + 'static) -> Lives<R> {
        let driver = Driver::new(start());
        Lives { start: Box::new(start), driver, lines: Vec::new() }
    }

    fn restart(&mut self) {
        self.lines.append(&mut self.driver.lines);
        let position = self.driver.receiver.position().unwrap();
        let mut receiver = (self.start)();
        receiver.resume(&position).unwrap();
        self.driver = Driver::new(receiver);
    }

    /// Runs until so many lines have come, each a life of its own where `restarts` says so.
    fn run_until(&mut self, count: usize, restarts: bool, mut look: impl FnMut(&mut R)) {
        let start = Instant::now();
        while self.lines.len() < count {
            assert!(start.elapsed() < PATIENCE, "in vain; so far {:?}", self.lines);
            look(&mut self.driver.receiver);
            // One for each of the files that may be open.
            for _ in 0..4 {
                self.driver.step().unwrap();
            }
            self.lines.append(&mut self.driver.lines);
            if restarts {
                self.restart();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All lines have come, and each once.
    fn check(mut self, expected: &[&str]) {
        self.lines.sort();
        assert_eq!(self.lines, expected);
        assert_eq!(self.driver.writer.counters().get().files_unread, 0);
    }
}

fn rename(folder: &Path, from: &str, to: &str) {
    fs::rename(folder.join(from), folder.join(to)).unwrap();
}

/// A log that is rotated twice, once between two lives and once in one.
fn follow(fail_first: bool, restarts: bool, fail: &dyn Fn()) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let log = folder.join("log");
    let path = log.clone();
    append(&log, "a\n");
    let start = move || {
        let follow = Follow::new([&path]).unwrap();
        follow.poll_every(Duration::from_millis(1)).rotated_quiet(Duration::from_secs(3_600))
    };
    let mut lives = Lives::new(start);
    lives.run_until(1, false, |_| {});
    if fail_first {
        fail();
    }
    append(&log, "b\n");
    lives.run_until(2, restarts, |_| {});
    append(&log, "c\n");
    rename(folder, "log", "log.1");
    append(&log, "d\n");
    lives.run_until(4, restarts, |_| {});
    if !fail_first {
        fail();
    }
    append(&log, "e\n");
    rename(folder, "log.1", "log.2");
    rename(folder, "log", "log.1");
    append(&log, "f\n");
    lives.restart();
    lives.run_until(6, restarts, |_| {});
    // Copied and emptied.
    append(&log, "g\n");
    fs::copy(&log, folder.join("log.0")).unwrap();
    fs::write(&log, "hh\n").unwrap();
    lives.run_until(8, restarts, |_| {});
    append(&log, "i\n");
    lives.run_until(9, false, |_| {});
    lives.check(&["a", "b", "c", "d", "e", "f", "g", "hh", "i"]);
}

#[test]
fn no_fault_of_a_followed_file_has_a_line_counted_twice_or_lost() {
    sweep(|fail| follow(true, false, fail));
}

#[test]
fn no_fault_of_a_followed_file_after_a_restart_has_a_line_counted_twice_or_lost() {
    sweep(|fail| follow(false, false, fail));
}

/// Whatever position is saved while something fails.
#[test]
fn no_position_of_a_followed_file_is_saved_that_was_not_read() {
    sweep(|fail| follow(true, true, fail));
}

/// Files that come, are renamed, and leave their names to others.
fn directory(restarts: bool, fail: &dyn Fn()) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut time = Time::from_millis(since.as_millis() as u64 + 10_000);
    let (root, begin) = (folder.to_owned(), time);
    let start = move || {
        let mut directory = Directory::new(&root).unwrap().new_files_only(false);
        directory.attach(begin, SECOND);
        directory
    };
    let mut lives = Lives::new(start);
    let mut tick = |directory: &mut Directory| {
        time = time + SECOND;
        directory.tick(time).unwrap();
    };
    let write = |name: &str, text: &str| {
        fs::write(folder.join(".new"), text).unwrap();
        rename(folder, ".new", name);
    };
    write("1", "a\n");
    lives.run_until(1, false, &mut tick);
    fail();
    write("2", "b\n");
    write("3", "c\n");
    lives.run_until(3, restarts, &mut tick);
    // One takes the name of one that goes on under another.
    rename(folder, "1", "4");
    write("1", "d\n");
    rename(folder, "2", "5");
    lives.run_until(4, restarts, &mut tick);
    lives.restart();
    write("6", "e\n");
    lives.run_until(5, restarts, &mut tick);
    for _ in 0..5 {
        tick(&mut lives.driver.receiver);
        lives.driver.step().unwrap();
    }
    lives.lines.append(&mut lives.driver.lines);
    lives.check(&["a", "b", "c", "d", "e"]);
}

#[test]
fn no_fault_of_a_directory_has_a_line_counted_twice_or_lost() {
    sweep_of_directory(false);
}

#[test]
fn no_position_of_a_directory_is_saved_that_was_not_read() {
    sweep_of_directory(true);
}

fn sweep_of_directory(restarts: bool) {
    for op in [Op::Open, Op::Compare, Op::Read] {
        for (error, times) in ways() {
            for after in 0..1_000 {
                let context = format!("{op:?} fails {times} times after {after}: error {error}");
                let _context = Says(&context);
                directory(restarts, &|| faults::fail(op, after, times, error));
                if !faults::end() {
                    break;
                }
            }
        }
    }
}

/// Lives at random, each with something that fails for a moment, of a log that is rotated:
/// `TIDEMILL_LIVES` says how many, and `TIDEMILL_SEED` which.
#[test]
fn lives_under_read_faults() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (seed, count) = (number("TIDEMILL_SEED").unwrap_or(1), number("TIDEMILL_LIVES"));
    let count = count.unwrap_or(40);
    let context = format!("TIDEMILL_SEED={seed} TIDEMILL_LIVES={count}");
    let _context = Says(&context);
    // Xorshift64 (Marsaglia 2003).
    let mut state = seed | 1;
    let mut below = move |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let log = folder.join("log");
    let path = log.clone();
    let mut lives = Lives::new(move || {
        let follow = Follow::new([&path]).unwrap();
        follow.poll_every(Duration::ZERO).rotated_quiet(Duration::from_secs(3_600))
    });
    let (mut written, mut failed) = (0, 0);
    for _ in 0..count {
        let op = Op::ALL[below(5) as usize];
        faults::fail(op, below(12) as u32, 1 + below(4) as u32, ERRORS[below(4) as usize]);
        for _ in 0..below(20) {
            append(&log, &format!("{written}\n"));
            written += 1;
            if below(3) == 0 {
                lives.driver.step().unwrap();
            }
        }
        if below(4) == 0 {
            failed += u64::from(faults::end());
            lives.run_until(written, false, |_| {});
            let _ = fs::remove_file(folder.join("log.1"));
            if log.exists() {
                rename(folder, "log", "log.1");
            }
        }
        lives.restart();
    }
    faults::end();
    lives.run_until(written, false, |_| {});
    for _ in 0..10 {
        lives.driver.step().unwrap();
    }
    lives.lines.append(&mut lives.driver.lines);
    let mut ids: Vec<usize> = lives.lines.iter().map(|line| line.parse().unwrap()).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    let (lost, doubled) = (written - ids.len(), all - ids.len());
    eprintln!(
        "lives under read faults: {count} lives, {failed} of them with faults that were met before \
         a rotation, {written} rows, {lost} lost, {doubled} doubled ({context})"
    );
    assert_eq!((lost, doubled), (0, 0));
}
