//! Files of a directory that cannot be read for now.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Driver;
use crate::source::open_file::faults::fail_opens;
use crate::source::{Directory, Receiver};
use crate::time::Time;

const SECOND: Duration = Duration::from_secs(1);

/// Gives what the next batch has, and how many files cannot be read for now.
fn next(driver: &mut Driver<Directory>, time: &mut Time) -> (Vec<String>, u64) {
    *time = *time + SECOND;
    driver.receiver.tick(*time).unwrap();
    driver.step().unwrap();
    let counts = driver.writer.counters().get();
    assert_eq!(counts.files_unread, 0);
    (std::mem::take(&mut driver.lines), counts.paths_unreadable)
}

/// It is none of the file's faults that there are too many open ones.
#[test]
fn a_file_that_cannot_be_opened_for_now_is_read_later() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(folder.path().join(name), format!("{name}\n")).unwrap();
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut time = Time::from_millis(since.as_millis() as u64 + 1_000);
    let start = |time| {
        let mut directory = Directory::new(folder.path()).unwrap().new_files_only(false);
        directory.attach(time, SECOND);
        directory
    };
    let mut driver = Driver::new(start(time));
    fail_opens(2);
    assert_eq!(next(&mut driver, &mut time), (vec!["c".to_owned()], 2));
    fail_opens(2);
    assert_eq!(next(&mut driver, &mut time), (vec![], 2));
    // It is what a restart goes on with, too.
    let mut again = start(time);
    again.resume(&driver.receiver.position().unwrap()).unwrap();
    let mut again = Driver::new(again);
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(next(&mut again, &mut time), (both.clone(), 0));
    assert_eq!(next(&mut driver, &mut time), (both, 0));
    // A name that was read has another file, which cannot be compared for now.
    fs::write(folder.path().join(".d"), "d\n").unwrap();
    fs::rename(folder.path().join(".d"), folder.path().join("a")).unwrap();
    fail_opens(1);
    assert_eq!(next(&mut driver, &mut time), (vec![], 1));
    let named = driver.writer.status().unreadable();
    assert_eq!(named, [folder.path().join("a")]);
    assert_eq!(next(&mut driver, &mut time), (vec!["d".to_owned()], 0));
    assert_eq!(next(&mut driver, &mut time), (vec![], 0));
}
