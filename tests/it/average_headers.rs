//! `tidemill average` and the headers of files: each file's own decides whether it is read, also of
//! files that come later, and nothing of one with other columns is counted.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

#[cfg(feature = "compression")]
use crate::compressed_files::gzip;
use crate::shell::{
    PATIENCE, Running, STREAM, append, assert_fails, assert_success, file, run, text,
};

const BY_NAME: [&str; 4] = ["--key", "k", "--value", "v"];

fn folder() -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().to_str().expect("a path of ours").to_owned();
    (folder, path)
}

/// Whether a row has a value that should not have been counted; its first column is a time.
fn has_hundred(line: impl AsRef<str>) -> bool {
    line.as_ref().split_once(',').is_some_and(|(_, row)| row.contains("100"))
}

/// Moves a whole file in.
fn move_in(directory: &str, name: &str, content: &str) {
    let hidden = Path::new(directory).join(format!(".{name}"));
    fs::write(&hidden, content).expect("a folder of ours");
    fs::rename(hidden, Path::new(directory).join(name)).expect("a folder of ours");
}

fn follow(path: &str, more: &[&str]) -> Running {
    Running::start(&[&["average", "--follow", path], &BY_NAME[..], &STREAM[..], more].concat())
}

/// Waits for a line on standard error.
fn wait_told(running: &Running, part: &str) -> String {
    loop {
        let line = running.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {part}"));
        if line.contains(part) {
            return line;
        }
    }
}

/// Ends it by a signal; what it then says, its exit code, and the lines that nobody waited for.
fn end(running: Running) -> (String, Option<i32>, Vec<String>) {
    running.signal("TERM");
    let told = running.stderr_to_the_end().join("\n");
    let (status, rest) = running.end();
    (told, status.code(), rest)
}

#[test]
fn a_file_that_comes_to_a_directory_with_other_columns_is_refused_by_name() {
    let (_folder, path) = folder();
    move_in(&path, "1.csv", "k;v\na;1\n");
    let running = follow(&path, &[]);
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
    move_in(&path, "2.csv", "v;k\n100;a\n200;a\n");
    let told = wait_told(&running, "2.csv");
    for part in ["\"k\" and \"v\"", "columns 2 and 1", "1 and 2 in", "1.csv", "\"v\", \"k\""] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    move_in(&path, "3.csv", "x;y\na;100\n");
    let told = wait_told(&running, "3.csv");
    assert!(told.contains("no column named \"k\": the columns are \"x\", \"y\""), "{told}");
    move_in(&path, "4.csv", "k;v;w\na;100;2\n");
    assert!(wait_told(&running, "4.csv").contains("3 columns"));
    // The next one is read, with a mark before its header, too.
    move_in(&path, "5.csv", "\u{feff}k;v\r\na;3\r\n");
    running.wait_for(|line| line.ends_with(",a,1,2,3,2"));
    let (told, code, rest) = end(running);
    assert_eq!(code, Some(4), "{told}");
    assert!(!rest.iter().any(has_hundred), "{rest:?}");
}

#[test]
fn a_directory_goes_by_its_oldest_file_and_leaves_out_those_with_other_columns() {
    let (_folder, path) = folder();
    let name = |name: &str| format!("{path}/{name}");
    fs::write(name("z"), "k;v\na;1\n").expect("a folder of ours");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(600);
    let oldest = fs::File::options().write(true).open(name("z")).expect("just written");
    oldest.set_modified(old).expect("a file of ours");
    fs::write(name("a"), "v;k\n100;a\n").expect("a folder of ours");
    let running = follow(&path, &[]);
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
    wait_told(&running, "columns 2 and 1");
    let (told, code, _) = end(running);
    assert_eq!(code, Some(4), "{told}");
    // Where no file has the columns, that is the command line's fault.
    let columns = ["--key", "city", "--value", "v"];
    let output = run(&[&["average", "--follow", &path], &columns[..]].concat());
    assert_fails(&output, 2, &["no column named \"city\"", "\"k\", \"v\""]);
}

#[test]
fn a_log_is_asked_about_its_header_after_each_rotation() {
    let (_folder, path) = folder();
    let log = format!("{path}/log");
    append(&log, b"k;v\na;1\n");
    let running = follow(&log, &[]);
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
    fs::rename(&log, format!("{path}/log.1")).expect("a file of ours");
    append(&log, b"v;k\n100;a\n");
    let told = wait_told(&running, "columns 2 and 1");
    assert!(told.contains(&log), "{told}");
    fs::rename(&log, format!("{path}/log.2")).expect("a file of ours");
    // Its header comes in two parts.
    append(&log, b"k;");
    append(&log, b"v\na;3\n");
    running.wait_for(|line| line.ends_with(",a,1,2,3,2"));
    append(&log, b"a;5\n");
    running.wait_for(|line| line.ends_with(",a,1,3,5,3"));
    let (told, code, rest) = end(running);
    assert_eq!(code, Some(4), "{told}");
    assert!(!rest.iter().any(has_hundred), "{rest:?}");
}

#[test]
fn a_log_that_was_refused_is_asked_again_once_it_is_written_anew() {
    let (_folder, path) = folder();
    let [log, other] = ["log", "other"].map(|name| format!("{path}/{name}"));
    append(&log, b"k;v\na;1\n");
    let running = Running::start(
        &[&["average", "--follow", &log, &other], &BY_NAME[..], &STREAM[..]].concat(),
    );
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
    append(&other, b"v;k\n100;a\n");
    wait_told(&running, "columns 2 and 1");
    append(&other, b"200;a\n");
    fs::write(&other, "k;v\na;3\n").expect("a file of ours");
    running.wait_for(|line| line.ends_with(",a,1,2,3,2"));
    append(&other, b"a;5\n");
    running.wait_for(|line| line.ends_with(",a,1,3,5,3"));
    let (told, code, _) = end(running);
    assert!(!told.contains("columns 2 and 1"), "it is said once: {told}");
    assert_eq!(code, Some(4), "{told}");
}

#[test]
fn headers_are_looked_for_in_the_directories_below() {
    let (_folder, path) = folder();
    fs::create_dir(format!("{path}/below")).expect("a folder of ours");
    move_in(&format!("{path}/below"), "1.csv", "v;k\n7;a\n");
    let running = follow(&path, &["--recursive"]);
    running.wait_for(|line| line.ends_with(",a,7,7,7,1"));
    assert_eq!(end(running).1, Some(0));
}

#[test]
fn a_file_with_a_header_is_waited_for() {
    let (_folder, path) = folder();
    let log = format!("{path}/log");
    for (followed, content) in [(&log, "k;v\na;1\n"), (&format!("{path}/in"), "v;k\n1;a\n")] {
        if followed != &log {
            fs::create_dir(followed).expect("a folder of ours");
        }
        let running = follow(followed, &[]);
        wait_told(&running, "waiting for the first one");
        match followed == &log {
            true => append(&log, content.as_bytes()),
            false => move_in(followed, "1.csv", content),
        }
        running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
        assert_eq!(end(running).1, Some(0));
    }
    // Who has enough of waiting gets an end in good order.
    let running = follow(&format!("{path}/none"), &[]);
    wait_told(&running, "waiting for the first one");
    assert_eq!(end(running).1, Some(0));
}

/// A log of one row that was counted with checkpoints, and what goes on with it.
fn begun(path: &str) -> (String, impl Fn() -> Running) {
    let [log, checkpoint] = ["log", "checkpoint"].map(|name| format!("{path}/{name}"));
    append(&log, b"k;v\na;1\n");
    let followed = log.clone();
    let start = move || follow(&followed, &["--checkpoint", &checkpoint]);
    let running = start();
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
    assert_eq!(end(running).1, Some(0));
    (log, start)
}

#[test]
fn a_restart_goes_on_behind_the_header_and_waits_for_one_where_there_is_no_file() {
    let (_folder, path) = folder();
    let (log, start) = begun(&path);
    append(&log, b"a;3\n");
    let running = start();
    running.wait_for(|line| line.ends_with(",a,1,2,3,2"));
    assert_eq!(end(running).1, Some(0));
    // Rotated away while nothing ran, and no successor yet.
    append(&log, b"a;5\n");
    fs::rename(&log, format!("{path}/log.1")).expect("a file of ours");
    let running = start();
    wait_told(&running, "waiting for the first one");
    append(&log, b"k;v\na;7\n");
    running.wait_for(|line| line.ends_with(",a,1,4,7,4"));
    assert_eq!(end(running).1, Some(0));
}

#[test]
fn a_restart_goes_by_the_columns_of_now() {
    let (_folder, path) = folder();
    let (log, start) = begun(&path);
    // The columns changed places, and a line more came before.
    append(&log, b"100;9\n");
    fs::rename(&log, format!("{path}/log.1")).expect("a file of ours");
    append(&log, b"v;k\n3;a\n");
    let running = start();
    running.wait_for(|line| line.ends_with(",a,1,2,3,2"));
    let (told, code, rest) = end(running);
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("columns 1 and 2, but 2 and 1"), "{told}");
    assert!(!rest.iter().any(has_hundred), "{rest:?}");
}

#[test]
fn what_the_command_writes_is_no_header() {
    let (_folder, path) = folder();
    let args = [&["average", "--follow", &path, &path], &BY_NAME[..], &STREAM].concat();
    let running = Running::start_by_shell("exec 2>\"$4\"/err; exec", &args);
    let told = Path::new(&path).join("err");
    let start = std::time::Instant::now();
    while !fs::read_to_string(&told).is_ok_and(|told| told.contains("waiting")) {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    move_in(&path, "1.csv", "k;v\na;1\n");
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
}

#[test]
fn files_that_are_named_have_to_fit() {
    let (folder, _) = folder();
    let first = file(&folder, "first", b"k;v\na;1\n");
    let other = file(&folder, "other", b"v;k\n1;a\n");
    for args in [&["average"][..], &["average", "--follow"]] {
        let output = run(&[args, &BY_NAME[..], &[&first, &other]].concat());
        assert_fails(&output, 2, &[&other, "columns 2 and 1", &first]);
        assert_eq!(text(&output.stdout), "");
    }
    // One without a header is no file with columns.
    let bare = file(&folder, "bare", b"a;1\nb;2\n");
    let output = run(&[&["average"], &BY_NAME[..], &[&first, &bare]].concat());
    assert_fails(&output, 2, &[&bare, "no column named \"k\"", "\"a\", \"1\""]);
}

#[cfg(feature = "compression")]
#[test]
fn headers_of_compressed_files_are_read() {
    let (folder, _) = folder();
    let packed = file(&folder, "packed", &gzip(b"k;v\na;1\na;2\n"));
    let output = run(&[&["average", "--format", "csv"], &BY_NAME[..], &[&packed]].concat());
    assert_success(&output);
    assert_eq!(text(&output.stdout), "key,min,mean,max,count\na,1,1.5,2,2\n");
}

/// A blank line is none, also before a header.
#[test]
fn blank_lines_before_a_header() {
    let folder = TempDir::new().expect("a folder");
    for blank in ["\n", "\r\n\n  \n", "\u{FEFF}\n\n"] {
        let log = file(&folder, "log", format!("{blank}k;v\n\na;1\n").as_bytes());
        let output = run(&[&["average", &log, "--format", "csv"], &BY_NAME[..]].concat());
        assert_success(&output);
        assert_eq!(text(&output.stdout), "key,min,mean,max,count\na,1,1,1,1\n", "{blank:?}");
        let quoted = [&["average", &log, "--format", "csv", "--quoted"], &BY_NAME[..]].concat();
        assert_eq!(text(&run(&quoted).stdout), text(&output.stdout), "{blank:?}");
    }
    // Of a file that is followed, too, whose header comes later.
    let log = file(&folder, "grows", b"\n");
    let running = follow(&log, &[]);
    append(&log, b"\nk;v\nb;2\n");
    running.wait_for(|line| line.ends_with(",b,2,2,2,1"));
    assert_eq!(end(running).1, Some(0));
}

/// Of what was read to its end nothing can be left out, whatever the columns are by now.
#[test]
fn a_rotated_file_that_was_read_is_not_left_out() {
    let (folder, path) = folder();
    let log = file(&folder, "log", b"k;v\na;1\n");
    let kept = format!("{path}/kept");
    let running = follow(&log, &["--checkpoint", &kept]);
    running.wait_for(|line| line.ends_with(",a,1,1,1,1"));
    assert_eq!(end(running).1, Some(0));
    fs::rename(&log, format!("{log}.1")).expect("a file of ours");
    file(&folder, "log", b"v;k\n5;a\n");
    for is_first in [true, false] {
        let running = follow(&log, &["--checkpoint", &kept]);
        running.wait_for(|line| line.starts_with("batch_time_ms"));
        if is_first {
            running.wait_for(|line| line.ends_with(",a,1,3,5,2"));
        }
        let (told, code, _) = end(running);
        assert!(!told.contains("left out"), "{told}");
        assert_eq!(code, Some(0), "{told}");
    }
}
