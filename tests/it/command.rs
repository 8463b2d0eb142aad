//! The command, as scripts meet it: what it prints, what it exits with, and what it does when its
//! input, its output or its user goes away.
//!
//! Nothing waits for a fixed time where it can wait for what it wants to see.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::shell::{
    PATIENCE, Running, append, assert_fails, assert_success, distinct_words, file, read_csv, run,
    run_with, send_signal, text, tidemill,
};

const ALL_CSV: [&str; 4] = ["wordcount", "--all", "--format", "csv"];

// The naive model.

fn counts<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<(String, i64)> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.to_owned()).or_insert(0) += 1;
    }
    let mut sorted: Vec<(String, i64)> = counts.into_iter().collect();
    // Stable, so ties stay in the order of the words.
    sorted.sort_by_key(|(_, count)| -count);
    sorted
}

fn lines(input: &[u8]) -> Vec<String> {
    let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let decoded = lines.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    decoded.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

fn naive(input: &[u8]) -> Vec<(String, i64)> {
    let lines = lines(input);
    counts(lines.iter().flat_map(|line| line.split_whitespace()))
}

/// The counts of bounded input, given as CSV.
fn csv_counts(output: &Output) -> Vec<(String, i64)> {
    assert_success(output);
    let mut records = read_csv(&text(&output.stdout)).into_iter();
    assert_eq!(records.next().expect("a header"), ["word", "count"]);
    records.map(|record| (record[0].clone(), record[1].parse().expect("a number"))).collect()
}

/// Words of a few letters, some with what needs care, over several blocks of the engine.
fn large_text() -> Vec<u8> {
    let mut state = 7_u64;
    let mut random = move |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut text = Vec::new();
    while text.len() < 3 << 20 {
        let number = random(20_000) * random(3);
        let line = match random(50) {
            0 => format!("say \"{number}\", then\t{number},{number}\r\n"),
            1 => format!("größe\u{3000}{number} \u{1F30A}\n"),
            2 => "\n".to_owned(),
            _ => format!(
                "w{number} x{} a-word-of-more-than-sixteen-bytes-{}\n",
                number % 97,
                random(9)
            ),
        };
        text.extend_from_slice(line.as_bytes());
    }
    text
}

// Counting.

#[test]
fn counts_equal_the_naive_model_from_files_pipes_and_redirected_input() {
    let large = large_text();
    // More than a table begins with, each word twice and far apart.
    let distinct = distinct_words(150_000).repeat(2);
    let inputs: [&[u8]; 15] = [
        b"",
        b"\n",
        b"a",
        b"a b a\n",
        b"no end at the end a\na",
        b"crlf a\r\nb a\r\n\r\na\r\n",
        b"lone\rreturn a\n",
        b"nul \0 a\0b a\n",
        b"  spaces \t and\x0b\x0ctabs  \n \n",
        "Unicode\u{a0}spaces\u{2003}a größe 東京 東京\n".as_bytes(),
        b"bad \xff\xfe utf8 \xc3\n\xc3\xa4 fine\n",
        b"\xef\xbb\xbfbom a\n",
        b"\"quoted\", a,b \"\n",
        &large,
        &distinct,
    ];
    let folder = TempDir::new().expect("a folder");
    for input in inputs {
        let shown = String::from_utf8_lossy(&input[..input.len().min(60)]).into_owned();
        // A byte-order mark at the start is none of the text.
        let expected = naive(input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input));
        let path = file(&folder, "input", input);
        let by_file = tidemill().args(ALL_CSV).arg(&path).output().expect("starts");
        assert_eq!(csv_counts(&by_file), expected, "file: {shown:?}");
        let redirected = File::open(&path).expect("it is there");
        let by_redirect = tidemill().args(ALL_CSV).stdin(redirected).output().expect("starts");
        assert_eq!(csv_counts(&by_redirect), expected, "redirected: {shown:?}");
        assert_eq!(csv_counts(&run_with(input, &ALL_CSV)), expected, "pipe: {shown:?}");
    }
}

#[test]
fn one_thread_and_many_print_the_same() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "input", &large_text());
    let print = |threads: &str| {
        let output = run(&["wordcount", "--all", "--format", "csv", "--threads", threads, &path]);
        assert_success(&output);
        output.stdout
    };
    assert!(print("1") == print("4"), "the bytes differ");
}

#[test]
fn several_files_are_counted_together_and_do_not_run_into_each_other() {
    let folder = TempDir::new().expect("a folder");
    let first = file(&folder, "first", b"a b");
    let second = file(&folder, "second", b"a c\n");
    let output = run(&["wordcount", "--all", "--format", "csv", &first, &second]);
    assert_eq!(text(&output.stdout), "word,count\na,2\nb,1\nc,1\n");
}

#[test]
fn csv_is_quoted_where_it_must_be_and_sorted_by_count_then_word() {
    let output = run_with(b"b a,a say\"so\" b plain a,a zz aa\n", &ALL_CSV);
    let expected = "word,count\n\"a,a\",2\nb,2\naa,1\nplain,1\n\"say\"\"so\"\"\",1\nzz,1\n";
    assert_eq!(text(&output.stdout), expected);
    assert!(output.stderr.is_empty());
}

#[test]
fn empty_input_gives_a_header_and_no_rows() {
    let output = run(&ALL_CSV);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "word,count\n");
    let output = run(&["wordcount", "--format", "json"]);
    assert_success(&output);
    assert!(output.stdout.is_empty());
}

#[test]
fn bad_utf8_is_replaced_and_told() {
    let output = run_with(b"a\xff\n", &ALL_CSV);
    assert_eq!(csv_counts(&output), [("a\u{FFFD}".to_owned(), 1)]);
    assert!(text(&output.stderr).contains("1 line"), "{}", text(&output.stderr));
}

#[test]
fn a_line_over_the_maximum_is_cut_and_told() {
    let mut input = vec![b'x'; 1 << 20];
    input.extend_from_slice(b"\na\n");
    let output = run_with(&input, &ALL_CSV);
    assert_fails(&output, 4, &["not whole", "262144 bytes"]);
    assert_eq!(text(&output.stdout), format!("word,count\na,1\n{},1\n", "x".repeat(256 << 10)));
}

#[test]
fn split_at_a_character_keeps_empty_words() {
    let input = b"a,,b\n\n,\nx y,a";
    let lines = lines(input);
    let expected = counts(lines.iter().flat_map(|line| line.split(',')));
    let split = |how: &str| {
        let args = ["wordcount", "--all", "--format", "csv", "--split", how];
        csv_counts(&run_with(input, &args))
    };
    assert_eq!(split(","), expected);
    assert_eq!(split("y").len(), 5);
    let tabs =
        run_with(b"a b\tc\t\n", &["wordcount", "--all", "--format", "csv", "--split", r"\t"]);
    assert_eq!(text(&tabs.stdout), "word,count\n,1\na b,1\nc,1\n");
    let dash = run_with(b"a-b", &["wordcount", "--all", "--format", "csv", "--split", "-"]);
    assert_eq!(text(&dash.stdout), "word,count\na,1\nb,1\n");
}

#[test]
fn top_prints_the_most_frequent() {
    let input = b"c b a c b a d d d e f g h i j k l m n o p";
    let print = |args: &[&str]| text(&run_with(input, args).stdout);
    let csv = print(&["wordcount", "--top", "3", "--format", "csv"]);
    assert_eq!(csv, "word,count\nd,3\na,2\nb,2\n");
    let default = print(&["wordcount", "--format", "csv"]);
    assert_eq!(default.lines().count(), 17);
}

#[test]
fn a_table_shows_counts_words_and_nothing_that_steers_a_terminal() {
    let output = run_with(b"a a \x1b[2Jb\n", &["wordcount"]);
    let table = text(&output.stdout);
    assert!(table.starts_with("3 words, 2 distinct\n"), "{table}");
    let cells: Vec<&str> = table.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(cells, ["2", "a"]);
    assert!(!table.contains('\x1b'));
}

#[test]
fn json_is_one_object_a_line() {
    let input = "plain \"quoted\" back\\slash bell\u{7} größe plain\n";
    let args = ["wordcount", "--all", "--format", "json"];
    let output = run_with(input.as_bytes(), &args);
    assert_success(&output);
    let printed = text(&output.stdout);
    let read: Vec<(String, i64)> = printed.lines().map(read_json).collect();
    assert_eq!(read, naive(input.as_bytes()));
}

/// Reads `{"word":"…","count":…}`.
fn read_json(line: &str) -> (String, i64) {
    let rest = line.strip_prefix("{\"word\":\"").expect("a word first");
    let (word, count) = rest.rsplit_once("\",\"count\":").expect("a count second");
    let count = count.strip_suffix('}').expect("the object's end");
    let (mut plain, mut chars) = (String::new(), word.chars());
    while let Some(c) = chars.next() {
        assert!(c != '"' && !c.is_control(), "unescaped {c:?} in {line}");
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next().expect("an escape") {
            'u' => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).expect("four hex digits");
                plain.push(char::from_u32(code).expect("a character"));
            }
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            c @ ('"' | '\\') => plain.push(c),
            c => panic!("\\{c} in {line}"),
        }
    }
    (plain, count.parse().expect("a number"))
}

// What cannot be done.

#[test]
fn input_that_cannot_be_read_exits_with_3_and_names_it() {
    let folder = TempDir::new().expect("a folder");
    assert_fails(&run(&["wordcount", "/no/such/file"]), 3, &["/no/such/file", "No such file"]);
    let path = folder.path().to_str().expect("a path of ours");
    assert_fails(&run(&["wordcount", path]), 3, &[path]);
    let fine = file(&folder, "fine", b"a\n");
    let output = run(&["wordcount", &fine, "/no/such/file"]);
    assert_fails(&output, 3, &["/no/such/file"]);
    assert!(output.stdout.is_empty(), "no total of a part of the input");
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_exits_with_3() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "secret", b"a\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("a file of ours");
    if File::open(&path).is_ok() {
        return eprintln!("not tested: this user may read everything");
    }
    assert_fails(&run(&["wordcount", &path]), 3, &[&path, "ermission denied"]);
}

#[test]
fn addresses_that_cannot_be_had_exit_with_3() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    assert_fails(&run(&["wordcount", "--listen", &address]), 3, &[&address, "in use"]);
    assert_fails(&run(&["generate", "words", "--listen", &address]), 3, &[&address, "in use"]);
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_value_and_the_limit() {
    let refused = |args: &[&str], parts: &[&str]| assert_fails(&run(args), 2, parts);
    refused(&["wordcount", "--interval", "0ms"], &["'0ms'", "1ms", "24h"]);
    refused(&["wordcount", "--interval", "0"], &["'0'", "1ms", "24h"]);
    refused(&["wordcount", "--interval", "-1s"], &["'-1s'", "1ms", "24h"]);
    refused(&["wordcount", "--interval", "soon"], &["'soon'", "1ms", "24h"]);
    refused(&["wordcount", "--interval", "25h"], &["'25h'", "1ms", "24h"]);
    refused(&["wordcount", "--window", "2s", "--interval", "3s"], &["--window", "2s", "3s"]);
    refused(
        &["wordcount", "--window", "6s", "--interval", "3s", "--slide", "4s"],
        &["--slide", "4s", "3s"],
    );
    refused(&["wordcount", "--window", "5s", "--slide", "2s"], &["--window", "5s", "2s"]);
    refused(&["wordcount", "--slide", "1s"], &["--window"]);
    refused(&["wordcount", "--window", "2s", "--running"], &["--running"]);
    refused(&["wordcount", "--window", "2s", "Cargo.toml"], &["--window", "--follow"]);
    refused(&["wordcount", "--threads", "0"], &["0", "1..=1024"]);
    refused(&["wordcount", "--top", "0"], &["0", "from 1 up"]);
    refused(&["wordcount", "--split", "ab"], &["'ab'", "one ASCII character"]);
    refused(&["wordcount", "--split", "é"], &["'é'", "one ASCII character"]);
    refused(&["wordcount", "--follow"], &["FILE"]);
    refused(&["wordcount", "--listen", "nonsense"], &["nonsense"]);
    refused(&["wordcount", "--connect", "nonsense"], &["nonsense"]);
    refused(&["wordcount", "--top", "3", "--all"], &["--all"]);
    refused(&["wordcount", "--format", "xml"], &["xml", "csv"]);
    refused(&["generate", "words", "--keys", "5M"], &["5000000", "4194304"]);
    refused(&["generate", "words", "--rate", "0"], &["'0'", "from 1 up"]);
    refused(&["no-such-command"], &["no-such-command"]);
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = text(&run(&["--help"]).stdout);
    for part in ["tidemill demo", "tidemill wordcount", "tidemill generate", "Exit codes:"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    for command in ["demo", "wordcount", "generate"] {
        let help = text(&run(&[command, "--help"]).stdout);
        assert!(help.contains("Examples:"), "{help}");
    }
    let version = text(&run(&["--version"]).stdout);
    assert_eq!(version, format!("tidemill {}\n", env!("CARGO_PKG_VERSION")));
}

// Streams.

/// The columns of a stream's CSV line: batch time, word, count.
fn columns(line: &str) -> (u64, String, i64) {
    let columns: Vec<&str> = line.split(',').collect();
    let number = "a number";
    (columns[0].parse().expect(number), columns[1].to_owned(), columns[2].parse().expect(number))
}

/// A word is counted in each window that it lies in, and then is gone.
#[test]
fn windows_slide() {
    let args = ["wordcount", "--interval", "20ms", "--window", "800ms", "--slide", "200ms"];
    let mut running = Running::start(&[&args[..], &["--format", "csv"]].concat());
    let mut stdin = running.stdin();
    assert_eq!(running.wait_for(|_| true), "batch_time_ms,word,count");
    stdin.write_all(b"a b a\n").expect("it reads");
    let (mut last, word, count) = columns(&running.wait_for(|_| true));
    assert_eq!((word.as_str(), count), ("a", 2));
    for _ in 0..3 {
        let (time, word, count) = columns(&running.wait_for(|line| !line.ends_with(",b,1")));
        assert_eq!((time - last, word.as_str(), count), (200, "a", 2));
        last = time;
    }
    stdin.write_all(b"c\n").expect("it reads");
    let (time, ..) = columns(&running.wait_for(|line| line.ends_with(",c,1")));
    assert!(time > last);
    // From now on alone.
    stdin.write_all(b"a\n").expect("it reads");
    running.wait_for(|line| line.ends_with(",a,1"));
    drop(stdin);
    let (status, _) = running.end();
    assert!(status.success());
}

/// What came after the last whole slide is in a last window.
#[test]
fn the_last_window_ends_with_the_input() {
    let args = ["wordcount", "--window", "1h", "--slide", "30m", "--format", "csv"];
    let mut running = Running::start(&args);
    running.stdin().write_all(b"a b a").expect("it reads");
    assert_eq!(running.wait_for(|_| true), "batch_time_ms,word,count");
    assert_eq!(columns(&running.wait_for(|_| true)).1, "a");
    let (status, _) = running.end();
    assert!(status.success());
}

#[test]
fn a_stream_has_batch_times_and_running_totals_go_on() {
    let args = ["wordcount", "--interval", "20ms", "--running", "--format", "csv"];
    let mut running = Running::start(&args);
    let mut stdin = running.stdin();
    assert_eq!(running.wait_for(|_| true), "batch_time_ms,word,count");
    stdin.write_all(b"a b a\n").expect("it reads");
    let (first, ..) = columns(&running.wait_for(|line| line.ends_with(",a,2")));
    assert_eq!(first % 20, 0, "batch times are multiples of the interval");
    stdin.write_all(b"a\n").expect("it reads");
    let (second, ..) = columns(&running.wait_for(|line| line.ends_with(",a,3")));
    assert!(second > first);
    // The last line has no end but the input's.
    stdin.write_all(b"b b b").expect("it reads");
    drop(stdin);
    running.wait_for(|line| line.ends_with(",b,4"));
    let (status, _) = running.end();
    assert!(status.success());
}

#[test]
fn each_batch_stands_for_itself_without_running() {
    let mut running = Running::start(&["wordcount", "--interval", "20ms", "--format", "json"]);
    let mut stdin = running.stdin();
    for _ in 0..2 {
        stdin.write_all(b"a\n").expect("it reads");
        let line = running.wait_for(|_| true);
        assert!(line.starts_with("{\"batch_time_ms\":"), "{line}");
        assert!(line.ends_with(",\"word\":\"a\",\"count\":1}"), "{line}");
    }
    drop(stdin);
    let (status, rest) = running.end();
    assert!(status.success());
    assert_eq!(rest, [""; 0]);
}

/// A thousand connections, or as many as descriptors allow: other tests need some, too.
fn slow_senders() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = files.and_then(|line| line.split_whitespace().next()?.parse().ok());
    soft.unwrap_or(1_024usize).saturating_sub(300).min(1_000)
}

/// Bytes that drip in on many connections neither hold up a sender at full speed nor get lost.
#[test]
fn listen_counts_a_thousand_slow_senders_beside_a_fast_one() {
    const CHUNKS: usize = 5;
    let (running, address) = Running::listen(
        "wordcount",
        &["--interval", "50ms", "--running", "--format", "csv", "--all"],
    );
    let mut slow: Vec<_> =
        (0..slow_senders()).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    let mut fast = TcpStream::connect(&address).expect("it listens");
    let chunk = "fast\n".repeat(200_000);
    // The lines of the slow ones are open all the time that the fast one sends.
    for byte in b"slow\n" {
        for sender in &mut slow {
            sender.write_all(&[*byte]).expect("sent");
        }
        fast.write_all(chunk.as_bytes()).expect("sent");
    }
    let (fast_count, slow_count) = (CHUNKS * 200_000, slow.len());
    let (mut has_fast, mut has_slow) = (false, false);
    running.wait_for(|line| {
        has_fast |= line.ends_with(&format!(",fast,{fast_count}"));
        has_slow |= line.ends_with(&format!(",slow,{slow_count}"));
        has_fast && has_slow
    });
    running.signal("INT");
    assert!(running.end().0.success());
}

#[test]
fn listen_counts_several_senders() {
    let (running, address) = Running::listen(
        "wordcount",
        &["--interval", "20ms", "--running", "--format", "csv", "--all"],
    );
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let line = format!("all from-{sender}\n");
                    // In pieces, so that the senders' lines meet inside of the engine.
                    let (head, tail) = line.as_bytes().split_at(5);
                    stream.write_all(head).and_then(|()| stream.write_all(tail)).expect("sent");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("no panic");
    }
    running.wait_for(|line| line.ends_with(",all,400"));
    for sender in 0..4 {
        running.wait_for(|line| line.ends_with(&format!(",from-{sender},100")));
    }
    running.signal("INT");
    assert!(running.end().0.success());
}

#[test]
fn connect_connects_again() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("it is bound").to_string();
    let args = ["wordcount", "--connect", &address, "--interval", "20ms", "--running"];
    let running = Running::start(&[&args[..], &["--format", "csv"]].concat());
    for expected in [",a,1", ",a,2"] {
        let (mut stream, _) = server.accept().expect("it connects");
        stream.write_all(b"a\n").expect("it reads");
        drop(stream);
        running.wait_for(|line| line.ends_with(expected));
    }
    running.signal("TERM");
    assert!(running.end().0.success());
}

#[test]
fn the_first_signal_prints_what_was_received() {
    // The batch would end in an hour.
    let (running, address) = Running::listen("wordcount", &["--interval", "1h", "--format", "csv"]);
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"a b a\n").expect("it reads");
    // Nothing tells when the line has been received.
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let (status, rest) = running.end();
    assert!(status.success(), "{status}");
    let words: Vec<&str> =
        rest.iter().filter_map(|line| line.split_once(',')).map(|(_, words)| words).collect();
    assert_eq!(words, ["word,count", "a,2", "b,1"]);
}

#[test]
fn an_open_pipe_without_interval_is_counted_at_the_first_signal() {
    let mut running = Running::start(&ALL_CSV);
    let mut stdin = running.stdin();
    stdin.write_all(b"a b a\n").expect("it reads");
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let (status, rest) = running.end();
    assert!(status.success(), "{status}");
    assert_eq!(rest, ["word,count", "a,2", "b,1"]);
    drop(stdin);
}

#[test]
fn the_second_signal_ends_the_command_at_once() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "words", &distinct_words(200_000));
    let mut child = tidemill()
        .args(["wordcount", "--all", &path])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    // It prints, and nobody reads on: it would hang.
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 10]).expect("some output");
    send_signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(50));
    send_signal(&child, "INT");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        assert!(start.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(130));
}

#[test]
fn follow_goes_on_after_a_rotation() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "log", b"first\n");
    let args = ["wordcount", "--follow", &path, "--interval", "20ms", "--running"];
    let running = Running::start(&[&args[..], &["--format", "csv", "--all"]].concat());
    running.wait_for(|line| line.ends_with(",first,1"));
    append(&path, b"old a\n");
    running.wait_for(|line| line.ends_with(",a,1"));
    fs::rename(&path, folder.path().join("log.1")).expect("a file of ours");
    append(&path, b"new a\n");
    running.wait_for(|line| line.ends_with(",a,2"));
    running.wait_for(|line| line.ends_with(",new,1"));
    append(&path, b"newer a\n");
    running.wait_for(|line| line.ends_with(",a,3"));
    running.signal("INT");
    assert!(running.end().0.success());
}

// Made-up lines.

#[test]
fn generate_is_repeatable_and_has_all_keys() {
    let print = |args: &[&str]| {
        let output = run(&[&["generate"], args].concat());
        assert_success(&output);
        text(&output.stdout)
    };
    let words = print(&["words", "--lines", "2k", "--keys", "50"]);
    assert_eq!(words, print(&["words", "--lines", "2k", "--keys", "50"]));
    assert_ne!(words, print(&["words", "--lines", "2k", "--keys", "50", "--seed", "2"]));
    assert_eq!(words.lines().count(), 2000);
    let counted = naive(words.as_bytes());
    assert_eq!(counted.len(), 50);
    assert!(counted[0].1 > 3 * counted[9].1, "some words are far more frequent than others");
    let measurements = print(&["measurements", "--lines", "5k", "--keys", "7"]);
    let stations = counts(measurements.lines().map(|line| {
        let (station, value) = line.split_once(';').expect("a station and a value");
        let (_, tenths) = value.split_once('.').expect("one decimal");
        assert_eq!(tenths.len(), 1, "{line}");
        value.parse::<f64>().expect("a number");
        station
    }));
    assert_eq!(stations.len(), 7);
}

#[test]
fn generate_keeps_its_rate_and_ends_in_time() {
    let start = Instant::now();
    let output = run(&["generate", "words", "--rate", "1k", "--lines", "300"]);
    assert_eq!(text(&output.stdout).lines().count(), 300);
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    let output = run(&["generate", "words", "--rate", "100", "--seconds", "0.2"]);
    let lines = text(&output.stdout).lines().count();
    // A slow machine sends fewer, but none sends more.
    assert!((1..=21).contains(&lines), "{lines}");
}

#[test]
fn generate_feeds_wordcount_over_sockets() {
    let words = run(&["generate", "words", "--lines", "20k"]).stdout;
    let (word, count) = naive(&words)[0].clone();
    let end = format!(",{word},{count}");

    let (counting, address) =
        Running::listen("wordcount", &["--interval", "20ms", "--running", "--format", "csv"]);
    assert_success(&run(&["generate", "words", "--lines", "20k", "--connect", &address]));
    counting.wait_for(|line| line.ends_with(&end));
    drop(counting);

    let args = ["generate", "words", "--lines", "20k", "--listen", "127.0.0.1:0"];
    let serving = Running::start(&args);
    let line = serving.stderr.recv_timeout(PATIENCE).expect("it says where it listens");
    let (_, address) = line.split_once("listening on ").expect("an address");
    let args = ["wordcount", "--connect", address, "--interval", "20ms", "--running"];
    let counting = Running::start(&[&args[..], &["--format", "csv"]].concat());
    counting.wait_for(|line| line.ends_with(&end));
    assert!(serving.end().0.success(), "it ends when the last connection has got its lines");
}

#[test]
fn demo_ends_with_throughput_and_latency() {
    let output = run(&["demo", "--seconds", "1", "--interval", "100ms", "--rate", "10k"]);
    assert_success(&output);
    let printed = text(&output.stdout);
    for part in ["throughput", "latency", "p50", "p99", "max"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert!(printed.lines().filter(|line| line.contains(" UTC ")).count() >= 5, "{printed}");
}
