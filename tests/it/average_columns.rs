//! `tidemill average`: which columns are taken, by number and by name, and how lines are cut into
//! them.

use crate::shell::{assert_fails, assert_success, run_with, text};

const ALL_CSV: [&str; 4] = ["average", "--all", "--format", "csv"];

const HEADER: &str = "key,min,mean,max,count\n";

/// What the command prints of `input`, without its header, and what it says.
#[track_caller]
fn average(input: &str, args: &[&str]) -> (String, String) {
    let output = run_with(input.as_bytes(), &[&ALL_CSV[..], args].concat());
    assert_success(&output);
    let printed = text(&output.stdout);
    (printed.strip_prefix(HEADER).expect("a header").to_owned(), text(&output.stderr))
}

#[track_caller]
fn check(input: &str, args: &[&str], expected: &str) {
    assert_eq!(average(input, args), (expected.to_owned(), String::new()), "{args:?}");
}

#[test]
fn a_column_whose_name_is_a_number_is_found_by_it() {
    let lines = "city;2023;2024;2\noslo;1;2;9\noslo;3;4;9\n";
    check(lines, &["--header", "--value", "2024"], "oslo,2,3,4,2\n");
    check(lines, &["--key", "city", "--value", "2023"], "oslo,1,2,3,2\n");
    check(lines, &["--header=city;2023;2024;2", "--value", "2024"], "oslo,2,3,4,2\n");
    // What is no name is a number, and #N is never a name.
    check(lines, &["--header", "--key", "1", "--value", "3"], "oslo,2,3,4,2\n");
    check(lines, &["--header", "--value", "#2"], "oslo,1,2,3,2\n");
    check("oslo;1\n", &["--key", "#1", "--value", "#2"], "oslo,1,1,1,1\n");
    // Past any position, and zero, too.
    check("k;20240101\na;1\n", &["--header", "--value", "20240101"], "a,1,1,1,1\n");
    check("0;v\na;1\n", &["--header", "--key", "0", "--value", "v"], "a,1,1,1,1\n");
    check("k;2.5\na;1\n", &["--key", "k", "--value", "2.5"], "a,1,1,1,1\n");
}

#[test]
fn a_name_and_a_position_that_differ_are_told() {
    let lines = "city;2023;2024;2\noslo;1;2;9\n";
    let (printed, told) = average(lines, &["--header", "--value", "2"]);
    assert_eq!(printed, "oslo,9,9,9,1\n");
    for part in ["--value 2", "at 4", "standard input", "'#2'"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    // Where both are one there is nothing to tell.
    check("city;2\noslo;1\n", &["--header", "--value", "2"], "oslo,1,1,1,1\n");
}

#[test]
fn a_column_that_is_not_there_exits_with_2_and_lists_the_columns() {
    let refused = |args: &[&str], parts: &[&str]| {
        let output = run_with(b"city;2023;2024\noslo;1;2\n", &[&ALL_CSV[..], args].concat());
        assert_fails(&output, 2, parts);
    };
    let columns = "the columns are \"city\", \"2023\", \"2024\"";
    refused(&["--header", "--value", "2025"], &["--value", "no column 2025", columns]);
    refused(&["--header", "--value", "#4"], &["--value", "no column 4", columns]);
    refused(&["--key", "town"], &["--key", "no column named \"town\"", columns]);
    refused(&["--header", "--value", &"9".repeat(40)], &["--value", "no column 999", columns]);
    refused(&["--value", "#0"], &["'#0'", "from 1 to 1048576"]);
    refused(&["--value", "0"], &["'0'", "from 1 to 1048576"]);
    refused(&["--value", "1048577"], &["'1048577'", "from 1 to 1048576"]);
}

#[test]
fn fields_between_runs_of_white_space() {
    let white = ["--delimiter", "whitespace"];
    let check = |input: &str, args: &[&str], expected: &str| {
        check(input, &[&white[..], args].concat(), expected);
    };
    let ps = "USER       PID %CPU COMMAND\n\
              root         1  0.5 /sbin/init splash\n\
              ann       4711 12.5 vi a b\n\
              root       200  1.5 [kworker/0:0]\n";
    check(ps, &["--key", "USER", "--value", "%CPU"], "ann,12.5,12.5,12.5,1\nroot,0.5,1,1.5,2\n");
    let last = "/sbin/init splash,1,1,1,1\n[kworker/0:0],200,200,200,1\nvi a b,4711,4711,4711,1\n";
    check(ps, &["--key", "COMMAND", "--value", "PID"], last);
    let ls = "-rw-r--r-- 1 ann users  100 Jan  1 00:00 a file\n\
              -rw-r--r-- 1 bob users   20 Jan  1 00:00 b\n\
              -rw-r--r-- 1 ann users  300 Jan  1 00:00 c\n";
    check(ls, &["--key", "3", "--value", "5"], "ann,100,200,300,2\nbob,20,20,20,1\n");
    // As vmstat does: white space in front, and the header again and again.
    let vmstat = " r  b   free\n 1  0  100\n 2  0   50\n r  b   free\n 1  0  200\r\n\n";
    check(vmstat, &["--key", "r", "--value", "free"], "1,100,150,200,2\n2,50,50,50,1\n");
    check(
        vmstat,
        &["--header=r b free", "--key", "b", "--value", "3"],
        "0,50,116.66666666666667,200,3\n",
    );
    let quoted = run_with(b"", &["average", "--delimiter", "whitespace", "--quoted"]);
    assert_fails(&quoted, 2, &["--quoted", "--delimiter"]);
}

#[test]
fn a_quoted_field_that_spans_lines_is_one_field() {
    let quoted = ["--delimiter", ",", "--quoted"];
    let check = |input: &str, args: &[&str], expected: &str| {
        check(input, &[&quoted[..], args].concat(), expected);
    };
    check("\"a\nb\",1.5\n", &[], "\"a\nb\",1.5,1.5,1.5,1\n");
    check("\"a\nc,9\n\",1\r\nc,2\n", &[], "\"a\nc,9\n\",1,1,1,1\nc,2,2,2,1\n");
    // A byte-order mark is before the quote, and no part of the field or the header.
    check("\u{FEFF}\"a\nb\",1.5\n", &[], "\"a\nb\",1.5,1.5,1.5,1\n");
    let marked = "\u{FEFF}\"k\",\"v\"\na,1\n";
    check(marked, &["--key", "k", "--value", "v"], "a,1,1,1,1\n");
    check(marked, &["--header=\"k\",\"v\"", "--value", "v"], "a,1,1,1,1\n");
    // A note that nobody asked for.
    check("\"x\ny,7\nz\",k,1\n\"\",k,2\n", &["--key", "2", "--value", "3"], "k,1,1.5,2,2\n");
    // In a header, too, of a pipe and of TEXT.
    let lines = "\"the\nkey\",v\nk,1\n\"the\nkey\",v\nk,2\n";
    check(lines, &["--key", "the\nkey", "--value", "v"], "k,1,1.5,2,2\n");
    check(&lines[12..], &["--header=\"the\nkey\",v", "--value", "v"], "k,1,1.5,2,2\n");
}

#[test]
fn a_quote_that_is_never_closed_is_told() {
    let args = [&ALL_CSV[..], &["--delimiter", ",", "--quoted"]].concat();
    let output = run_with(b"a,1\nb,2\n\"c,3\nd,4\n", &args);
    assert_success(&output);
    assert_eq!(text(&output.stdout), format!("{HEADER}a,1,1,1,1\nb,2,2,2,1\n"));
    let told = text(&output.stderr);
    assert!(told.contains("1 line left out (a quote that is not closed"), "{told}");
    assert!(told.contains(r#"\"c,3\nd,4"#), "{told}");
}

#[test]
fn blank_lines_are_no_bad_lines() {
    check("\na;1\n\n  \n\t\na;2\r\n\r\n", &[], "a,1,1.5,2,2\n");
    check("k;v\n\na;1\n", &["--header"], "a,1,1,1,1\n");
    check("\n\"a\";1\n \n", &["--quoted"], "a,1,1,1,1\n");
    check("a;1\n\n", &["--strict"], "a,1,1,1,1\n");
    check("\n\n", &[], "");
}
