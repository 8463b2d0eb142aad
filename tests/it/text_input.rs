//! Text as it is out there: byte-order marks, long lines, and how many rows are printed.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use tempfile::tempdir;
use tidemill::prelude::*;
use tidemill::{Files, LineOptions, LongLine, SourceCounts};

use crate::shell::{Running, STREAM, append, assert_fails, assert_success, run, run_with, text};

const CSV: [&str; 3] = ["--format", "csv", "--all"];

fn wordcount(input: &[u8], args: &[&str]) -> String {
    let output = run_with(input, &[&["wordcount"][..], &CSV, args].concat());
    assert_success(&output);
    text(&output.stdout)
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> String {
    std::fs::write(path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_word() {
    let directory = tempdir().unwrap();
    assert_eq!(wordcount("\u{FEFF}oslo rome".as_bytes(), &[]), "word,count\noslo,1\nrome,1\n");
    let paths = ["a", "b"].map(|name| write(&directory.path().join(name), "\u{FEFF}oslo\n"));
    let output = run(&["wordcount", "--format", "csv", &paths[0], &paths[1]]);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "word,count\noslo,2\n");
}

#[test]
fn a_byte_order_mark_begins_each_connection_and_rotated_file() {
    let (running, address) = Running::listen("wordcount", &STREAM);
    for count in 1..=2 {
        let mut connection = TcpStream::connect(&address).unwrap();
        connection.write_all("\u{FEFF}oslo\n".as_bytes()).unwrap();
        drop(connection);
        running.wait_for(|line| line.ends_with(&format!(",oslo,{count}")));
    }
    let directory = tempdir().unwrap();
    let (log, old) = (directory.path().join("log"), directory.path().join("log.1"));
    let path = write(&log, "\u{FEFF}oslo\n");
    let running = Running::start(&[&["wordcount", "--follow", &path][..], &STREAM].concat());
    running.wait_for(|line| line.ends_with(",oslo,1"));
    std::fs::rename(&log, old).unwrap();
    write(&log, "\u{FEFF}oslo\n");
    running.wait_for(|line| line.ends_with(",oslo,2"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_key() {
    let averages = "key,min,mean,max,count\noslo,1,1.5,2,2\n";
    let output = run_with(
        "\u{FEFF}oslo;1\noslo;2\n".as_bytes(),
        &["average", "--format", "csv", "--header=key;value"],
    );
    assert_success(&output);
    assert_eq!(text(&output.stdout), averages);
}

/// Words of a line that no block holds, and how often each comes.
fn long_line(bytes: usize, separator: &str) -> (String, usize) {
    let words = ["oslo", "rome", "köln", "x"].join(separator) + separator;
    let times = bytes / words.len() + 1;
    (words.repeat(times), times)
}

#[test]
fn a_long_line_of_words_counts_exactly() {
    let directory = tempdir().unwrap();
    // The last of them is no white space in ASCII.
    for separator in [" ", "\t", "\r", "\u{3000}", "\u{85}"] {
        let (line, times) = long_line(5 << 20, separator);
        let expected = format!("word,count\nköln,{times}\noslo,{times}\nrome,{times}\nx,{times}\n");
        let path = write(&directory.path().join("line"), &line);
        let output = run(&["wordcount", "--format", "csv", &path]);
        assert_success(&output);
        let sorted = |text: &str| {
            let mut lines: Vec<&str> = text.lines().skip(1).collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        assert_eq!(sorted(&text(&output.stdout)), sorted(&expected), "{separator:?}");
        assert_eq!(sorted(&wordcount(line.as_bytes(), &[])), sorted(&expected), "{separator:?}");
    }
}

#[test]
fn a_long_line_of_words_between_separators_counts_empty_ones_too() {
    let line = "a,,b b,".repeat(400_000);
    let expected = "word,count\n\"\",400001\na,400000\nb b,400000\n";
    assert_eq!(wordcount(line.as_bytes(), &["--split", ","]), expected.replace("\"\"", ""));
    let output = run_with(line.as_bytes(), &["wordcount", "--split", ","]);
    assert_success(&output);
}

#[test]
fn only_a_word_over_the_maximum_is_cut_and_the_exit_code_says_so() {
    let input = ["aaaa bbbbbbbb cc ", &"d".repeat(3_000_000), " ee\nff bbbbb\n"].concat();
    let args = [&["wordcount", "--max-line", "4"][..], &CSV].concat();
    let output = run_with(input.as_bytes(), &args);
    assert_fails(&output, 4, &["not whole", "3 words cut at the maximum of 4 bytes (--max-line)"]);
    let expected = "word,count\nbbbb,2\naaaa,1\ncc,1\ndddd,1\nee,1\nff,1\n";
    assert_eq!(text(&output.stdout), expected);
    let whole = [&["wordcount", "--max-line", "3M"][..], &CSV].concat();
    let output = run_with(input.as_bytes(), &whole);
    assert_success(&output);
    assert!(text(&output.stdout).contains(&"d".repeat(3_000_000)));
}

#[test]
fn the_longest_line_of_records_is_an_option() {
    let input = ["oslo;1\n", &"k".repeat(300_000), ";2\nrome;3\n"].concat();
    let output = run_with(input.as_bytes(), &["average", "--format", "csv"]);
    assert_fails(&output, 4, &["1 line cut at the maximum of 262144 bytes (--max-line)"]);
    let output = run_with(input.as_bytes(), &["average", "--format", "csv", "--max-line", "1M"]);
    assert_success(&output);
    assert_eq!(text(&output.stdout).lines().count(), 4);
    // Within the maximum a line counts, whatever its length; one byte more and it is left out.
    for max in ["9", "6", "5"] {
        let args = ["average", "--format", "csv", "--max-line", max];
        let output = run_with("a;1234\nb;3\nå;5\n".as_bytes(), &args);
        let rest = "b,3,3,3,1\nå,5,5,5,1\n";
        if max == "5" {
            assert_fails(&output, 4, &["1 line cut at the maximum of 5 bytes (--max-line)"]);
            assert_eq!(text(&output.stdout), format!("key,min,mean,max,count\n{rest}"));
        } else {
            assert_success(&output);
            let rows = format!("key,min,mean,max,count\na,1234,1234,1234,1\n{rest}");
            assert_eq!(text(&output.stdout), rows);
        }
    }
    for bytes in ["0", "65M", "-1", "1.5k", "k", "", "18446744073709551616"] {
        let output = run(&["average", &format!("--max-line={bytes}")]);
        assert_fails(&output, 2, &["from 1 to 64M"]);
    }
    let help = text(&run(&["help", "average"]).stdout);
    assert!(help.contains("--max-line <BYTES>"), "{help}");
}

#[test]
fn a_restart_goes_on_within_a_long_line_of_words() {
    let directory = tempdir().unwrap();
    let (line, times) = long_line(3 << 20, " ");
    let log = directory.path().join("log");
    let (half, rest) = line.split_at(line.len() / 2);
    let path = write(&log, half);
    let checkpoint = directory.path().join("ck");
    let checkpoint = checkpoint.to_str().unwrap();
    let args =
        [&["wordcount", "--follow", &path, "--checkpoint", checkpoint][..], &STREAM].concat();
    let running = Running::start(&args);
    running.wait_for(|line| line.contains(",rome,"));
    running.signal("TERM");
    assert!(running.end().0.success());
    let mut file = std::fs::File::options().append(true).open(&log).unwrap();
    file.write_all(rest.as_bytes()).unwrap();
    file.write_all(b"\n").unwrap();
    let running = Running::start(&args);
    for word in ["köln", "oslo", "rome", "x"] {
        running.wait_for(|line| line.ends_with(&format!(",{word},{times}")));
    }
    running.signal("TERM");
    assert!(running.end().0.success());
}

#[test]
fn a_stream_of_lines_has_the_pieces_of_long_ones() {
    let directory = tempdir().unwrap();
    let path = write(&directory.path().join("words"), "aa bb cc dd\nee\n");
    let limits = Limits { line_bytes: 5, ..Limits::default() };
    let ssc = StreamingContext::builder("pieces").limits(limits).build().unwrap();
    let options = LineOptions { long_line: LongLine::SplitAtWhitespace, ..LineOptions::default() };
    let lines = ssc.text_stream(Files::open([path]).unwrap(), options).unwrap();
    let words = lines.split_whitespace().collect(16);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let words: Vec<String> = words.iter().flat_map(|(_, words)| words).collect();
    assert_eq!(words, ["aa", "bb", "cc", "dd", "ee"]);
    assert_eq!(ssc.source_counts(), [SourceCounts { bytes: 15, ..SourceCounts::default() }]);
}

#[test]
fn csv_and_json_have_all_rows_unless_fewer_are_asked_for() {
    let words: String = (0..25).map(|n| format!("w{n:02} ")).collect();
    let rows = |args: &[&str]| {
        let output = run_with(words.as_bytes(), &[&["wordcount"][..], args].concat());
        assert_success(&output);
        text(&output.stdout).lines().filter(|line| line.contains('w')).count()
    };
    assert_eq!(rows(&["--format", "csv"]), 1 + 25);
    assert_eq!(rows(&["--format", "json"]), 25);
    assert_eq!(rows(&["--format", "csv", "--top", "3"]), 1 + 3);
    assert_eq!(rows(&["--format", "json", "--top", "3"]), 3);
    assert_eq!(rows(&["--format", "json", "--all"]), 25);
    let table = run_with(words.as_bytes(), &["wordcount"]);
    assert_eq!(text(&table.stdout).matches("w0").count(), 10);
    assert_eq!(text(&table.stdout).matches("w1").count(), 0);
}

#[cfg(feature = "encoding")]
#[test]
fn text_that_is_not_utf_8_is_decoded() {
    let directory = tempdir().unwrap();
    let wide = |text: &str| -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()
    };
    assert_eq!(wordcount(b"Etn\xE9 Etn\xE9\n", &["--encoding", "latin1"]), "word,count\nEtné,2\n");
    let marked = wide("\u{FEFF}Åsa b\nb");
    assert_eq!(wordcount(&marked, &["--encoding", "UTF-16"]), "word,count\nb,2\nÅsa,1\n");
    let csv = write(&directory.path().join("a.csv"), wide("\u{FEFF}ort;°C\r\nÅs;-3,5\nÅs;2\n"));
    let output = run(&[
        "average",
        "--encoding",
        "utf-16",
        "--key",
        "ort",
        "--value",
        "°C",
        "--format",
        "csv",
        &csv,
    ]);
    assert_success(&output);
    assert_eq!(text(&output.stdout), "key,min,mean,max,count\nÅs,2,2,2,1\n");
    // Without it the bytes are no text.
    let output = run_with(b"Etn\xE9\n", &[&["wordcount"][..], &CSV].concat());
    assert_eq!(text(&output.stdout), "word,count\nEtn\u{FFFD},1\n");
    for (name, part) in [("ebcdic", "no encoding"), ("shift_jis", "several bytes")] {
        let output = run(&["wordcount", "--encoding", name, &csv]);
        assert_fails(&output, 2, &["--encoding", name, part]);
    }
}

#[cfg(all(unix, feature = "encoding"))]
#[test]
fn a_restart_goes_on_in_encoded_text() {
    let directory = tempdir().unwrap();
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let log = write(&directory.path().join("log"), wide("\u{FEFF}é ß\nhalf"));
    let kept = directory.path().join("kept");
    let kept = ["--encoding", "utf-16", "--checkpoint", kept.to_str().unwrap()];
    let args = [&["wordcount", "--follow", &log][..], &kept, &STREAM].concat();
    let running = Running::start(&args);
    running.wait_for(|line| line.ends_with(",ß,1"));
    running.signal("TERM");
    assert!(running.end().0.success());
    append(&log, &wide(" half\né\n"));
    let running = Running::start(&args);
    for total in [",half,2", ",é,2", ",ß,1"] {
        running.wait_for(|line| line.ends_with(total));
    }
}
