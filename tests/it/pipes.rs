//! Pipes, devices and standard input among the files that the command reads.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::{TempDir, tempdir};

use crate::shell::{Running, STREAM, append, assert_fails, assert_success, run, run_with, text};

const CSV: [&str; 4] = ["wordcount", "--format", "csv", "--all"];

fn fifo(directory: &TempDir, name: &str) -> PathBuf {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let path = directory.path().join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Writes from a thread of its own, since opening waits for who reads.
fn feed(path: &Path, content: &str) -> std::thread::JoinHandle<()> {
    let (path, content) = (path.to_owned(), content.to_owned());
    std::thread::spawn(move || std::fs::write(path, content).unwrap())
}

/// Runs a script of bash in which `$0` is the command.
fn bash(script: &str, directory: &TempDir) -> Output {
    Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_tidemill")])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("bash is there")
}

#[test]
fn pipes_and_standard_input_take_their_turn_among_files() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "b c").unwrap();
    let (first, last) = (fifo(&directory, "first"), fifo(&directory, "last"));
    let writers = [feed(&first, "a a\na"), feed(&last, "c c c")];
    let paths = [&first, &file, &last].map(|path| path.to_str().unwrap());
    let args = [&CSV[..], &[paths[0], paths[1], "/dev/null", "-", paths[2]]].concat();
    let output = run_with(b"d d\nd d d", &args);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "word,count\nd,5\nc,4\na,3\nb,1\n");
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

#[test]
fn what_a_shell_gives_in_the_place_of_a_file_is_read() {
    let directory = tempdir().unwrap();
    std::fs::write(directory.path().join("a.txt"), "a\nb b").unwrap();
    let check = |script: &str, rows: &str| {
        let output = bash(script, &directory);
        assert_success(&output);
        assert_eq!(text(&output.stdout), rows, "{script}");
    };
    let count = "\"$0\" wordcount --format csv";
    check(&format!("{count} <(echo c c c) a.txt <(echo b)"), "word,count\nb,3\nc,3\na,1\n");
    check(&format!("echo c | {count} /dev/stdin a.txt"), "word,count\nb,2\na,1\nc,1\n");
    check(&format!("{count} /dev/stdin < a.txt"), "word,count\nb,2\na,1\n");
    // What was read before is not read again, and the second time there is nothing.
    check(&format!("(read; {count} - -) < a.txt"), "word,count\nb,2\n");
    check(&format!("{count} /dev/null"), "word,count\n");
    check(
        &format!("{count} --follow <(echo c c) --interval 10ms | cut -d, -f2,3"),
        "word,count\nc,2\n",
    );
    check(
        &format!("echo c | {count} --follow - --interval 10ms | cut -d, -f2,3"),
        "word,count\nc,1\n",
    );
    check(&format!("{count} --interval 10ms <(echo c) | cut -d, -f2,3"), "word,count\nc,1\n");
}

#[test]
fn each_pipe_has_its_own_header() {
    let directory = tempdir().unwrap();
    std::fs::write(directory.path().join("a.csv"), "k,v\na,1\n").unwrap();
    let average = "\"$0\" average --format csv --delimiter , --key k --value v";
    let check = |files: &str, rows: &str| {
        let output = bash(&format!("{average} {files}"), &directory);
        assert_success(&output);
        assert_eq!(text(&output.stdout), format!("key,min,mean,max,count\n{rows}"), "{files}");
    };
    check("<(printf 'k,v\nb,2\n') <(printf 'k,v\nc,3\n')", "b,2,2,2,1\nc,3,3,3,1\n");
    check("<(printf 'v,k\n2,b\n') <(printf '')", "b,2,2,2,1\n");
    check("a.csv - <<< $'k,v\nb,2'", "a,1,1,1,1\nb,2,2,2,1\n");
    check("--quoted - <<< $'\"k\",\"v\"\nb,2'", "b,2,2,2,1\n");
    // One that comes later with other columns.
    let output = bash(&format!("{average} a.csv <(printf 'v,k\n2,b\n')"), &directory);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(text(&output.stdout), "key,min,mean,max,count\na,1,1,1,1\n");
    assert!(text(&output.stderr).contains("are the columns 2 and 1"), "{output:?}");
}

#[test]
fn a_pipe_that_nobody_writes_to_can_be_interrupted() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "a").unwrap();
    let (file, pipe) = (file.to_str().unwrap(), fifo(&directory, "pipe"));
    let pipe = pipe.to_str().unwrap();
    for args in [&["wordcount", file, pipe][..], &["average", "--key", "k", pipe]] {
        let running = Running::start(args);
        std::thread::sleep(std::time::Duration::from_millis(200));
        running.signal("INT");
        let said = running.stderr_to_the_end();
        assert!(said.iter().any(|line| line.contains("interrupted before")), "{said:?}");
        assert_eq!(running.end().0.code(), Some(130));
    }
}

#[test]
fn a_pipe_beside_followed_files_ends_by_itself() {
    let directory = tempdir().unwrap();
    let log = directory.path().join("log");
    append(&log, b"a\n");
    let pipe = fifo(&directory, "pipe");
    let paths = [&log, &pipe].map(|path| path.to_str().unwrap());
    let args = [&["wordcount", "--follow"][..], &paths, &STREAM].concat();
    let running = Running::start(&args);
    running.wait_for(|line| line.ends_with(",a,1"));
    feed(&pipe, "a").join().unwrap();
    running.wait_for(|line| line.ends_with(",a,2"));
    append(&log, b"a\n");
    running.wait_for(|line| line.ends_with(",a,3"));
}

#[test]
fn a_non_blocking_standard_input_is_waited_for() {
    for args in [&["wordcount"][..], &["average", "--delimiter", " ", "--key", "k", "--value", "v"]]
    {
        let (reader, mut writer) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(args).args(["--format", "csv"]).stdin(reader).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        drop(command);
        for part in ["k", " v\nk", " 1\n", "k 1"] {
            std::thread::sleep(std::time::Duration::from_millis(50));
            writer.write_all(part.as_bytes()).unwrap();
        }
        drop(writer);
        let output = child.wait_with_output().unwrap();
        assert_success(&output);
        let rows = text(&output.stdout);
        let expected = match args[0] {
            "wordcount" => "word,count\nk,3\n1,2\nv,1\n",
            _ => "key,min,mean,max,count\nk,1,1,1,2\n",
        };
        assert_eq!(rows, expected);
    }
}

#[test]
fn what_a_pipe_cannot_do_is_told() {
    let directory = tempdir().unwrap();
    let pipe = fifo(&directory, "pipe");
    let (pipe, kept) = (pipe.to_str().unwrap(), directory.path().join("kept"));
    let kept = kept.to_str().unwrap();
    let output = run(&["wordcount", pipe, "--checkpoint", kept]);
    assert_fails(&output, 2, &["a pipe cannot be read again"]);
    let output = run(&["wordcount", "--follow", "-", "--checkpoint", kept]);
    assert_fails(&output, 2, &["a pipe cannot be read again"]);
    let output = run_with(&[0x28, 0xB5, 0x2F, 0xFD, 1, 2, 3], &["wordcount"]);
    assert_fails(&output, 3, &["zstd -dc"]);
}
