//! `tidemill average`, called with what does not fit its input: it says so, guesses what was meant,
//! and its exit code is not that of a result.

use std::io::Write;

use crate::shell::{Running, assert_fails, assert_success, run_with, text};

/// Nearly every line was left out, and it says these things.
#[track_caller]
fn told(input: &str, args: &[&str], parts: &[&str]) {
    let output = run_with(input.as_bytes(), &[&["average"], args].concat());
    assert_fails(&output, 4, parts);
    assert!(!text(&output.stdout).is_empty(), "what there is is printed");
}

#[test]
fn another_delimiter_is_guessed() {
    told("oslo,1\nrome,2\n", &[], &["all 2 lines", "2 fields by ','; --delimiter ,?"]);
    told("oslo,x,1\nrome,y,2\n", &["--value", "3"], &["3 fields by ','; --delimiter ,?"]);
    told("oslo\t1\nrome\t2\n", &[], &[r"2 fields by '\t'; --delimiter \t?"]);
    told("oslo;1\nrome;2\n", &["--delimiter", ","], &["2 fields by ';'; --delimiter ;?"]);
    told("oslo  1\nrome   2\n", &[], &["2 fields by white space; --delimiter whitespace?"]);
    told("\"a\",\"1\"\n\"b\",\"2\"\n", &[], &["quotes; --quoted --delimiter ,?"]);
}

#[test]
fn another_field_is_guessed() {
    told("a;b;1\nc;d;2\n", &["--key", "9"], &["lines have 3 fields by ';'; --key 9?"]);
    told("a;b;1\nc;d\n", &["--value", "4"], &["lines have 2 to 3 fields", "--value 4?"]);
    told("a;b;1\nc;d;2\n", &[], &["field 3 is a number; --value 3?"]);
}

#[test]
fn quotes_headers_and_other_numbers_are_guessed() {
    told("\"a\";\"1\"\n\"b\";\"2\"\n", &[], &["--quoted?"]);
    told("a;\"1\"\nb;\"2\"\n", &[], &["--quoted?"]);
    told("key;value\n", &[], &["the only line", "a header? --header"]);
    told("a;1,5\nb;2,5\n", &[], &["decimal comma"]);
    told("a; 1\nb; 2\n", &[], &["white space around"]);
    told("k;v\na;1;2\nb;3;4\n", &["--header"], &["3 fields", "the header"]);
    told("k;v\na,1\nb,3\n", &["--header"], &["2 fields by ','; --delimiter ,?"]);
}

#[test]
fn nearly_every_line_is_as_bad_as_every_one() {
    let lines = |good: usize, bad: usize| "a;1\n".repeat(good) + &"b,1\n".repeat(bad);
    told(&lines(1, 9), &[], &["9 of 10 lines were left out", "--delimiter ,?"]);
    told(&lines(100, 900), &[], &["900 of 1000 lines were left out"]);
    for (good, bad) in [(1, 8), (2, 9), (101, 900), (1, 0)] {
        let output = run_with(lines(good, bad).as_bytes(), &["average"]);
        assert_success(&output);
        assert_eq!(text(&output.stderr).contains("left out"), bad > 0);
    }
}

#[test]
fn streams_say_it_at_their_end() {
    let mut running = Running::start(&["average", "--interval", "20ms", "--format", "csv"]);
    let mut stdin = running.stdin();
    stdin.write_all(b"oslo,1\nrome,2\n").expect("it reads");
    drop(stdin);
    let told = running.stderr_to_the_end().join("\n");
    assert!(told.ends_with("2 fields by ','; --delimiter ,?"), "{told}");
    assert_eq!(running.end().0.code(), Some(4));
}
