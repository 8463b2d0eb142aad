//! `tidemill average`, as scripts meet it: where its lines come from, which fields it takes, that
//! its numbers are exact, and what it says of lines that are none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tempfile::TempDir;

use crate::shell::{
    Running, append, assert_fails, assert_success, file, read_csv, run, run_with, text, tidemill,
};

const ALL_CSV: [&str; 4] = ["average", "--all", "--format", "csv"];

const HEADER: &str = "key,min,mean,max,count\n";

/// What the command prints of `input` in a pipe, as CSV without its header.
#[track_caller]
fn average(input: &str, args: &[&str]) -> String {
    let output = run_with(input.as_bytes(), &[&ALL_CSV[..], args].concat());
    assert_success(&output);
    let printed = text(&output.stdout);
    printed.strip_prefix(HEADER).expect("a header").to_owned()
}

/// Lines of tenths, over several blocks of the engine, and the exact answer.
fn measurements(rows: usize) -> (String, String) {
    let mut state = 7_u64;
    let mut random = move |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let (mut lines, mut stations) = (String::new(), BTreeMap::new());
    for _ in 0..rows {
        let station = format!("station \u{e9} {}", random(300));
        let tenths = random(2_000) as i64 - 1_000;
        let sign = if tenths < 0 { "-" } else { "" };
        lines += &format!("{station};{sign}{}.{}\n", tenths.abs() / 10, tenths.abs() % 10);
        let (min, sum, max, count) = stations.entry(station).or_insert((tenths, 0, tenths, 0));
        (*min, *sum, *max) = (tenths.min(*min), *sum + tenths, tenths.max(*max));
        *count += 1;
    }
    // Tenths and their sums are exact as floats, so there is one rounding in each.
    let decimal = |tenths: i64| tenths as f64 / 10.0;
    let line = |(station, (min, sum, max, count)): (String, (i64, i64, i64, i64))| {
        let mean = sum as f64 / (10 * count) as f64;
        format!("{station},{},{mean},{},{count}\n", decimal(min), decimal(max))
    };
    (lines, stations.into_iter().map(line).collect())
}

// Sources.

#[test]
fn averages_equal_integer_arithmetic_from_files_pipes_and_redirected_input() {
    let folder = TempDir::new().expect("a folder");
    let (lines, expected) = measurements(1_000_000);
    let path = file(&folder, "measurements", lines.as_bytes());
    let expected = format!("{HEADER}{expected}");
    let check = |output: std::process::Output, how: &str| {
        assert_success(&output);
        assert!(text(&output.stdout) == expected, "{how}: the answers differ");
        assert_eq!(text(&output.stderr), "", "{how}");
    };
    check(run(&[&ALL_CSV[..], &[&path]].concat()), "file");
    check(run(&[&ALL_CSV[..], &["--threads", "1", &path]].concat()), "one thread");
    let redirected = File::open(&path).expect("it is there");
    check(tidemill().args(ALL_CSV).stdin(redirected).output().expect("starts"), "redirected");
    check(run_with(lines.as_bytes(), &ALL_CSV), "pipe");
    let (head, tail) = lines.split_at(lines[..1_000_000].rfind('\n').expect("a line end") + 1);
    let parts = [("head", head), ("tail", tail)];
    let parts = parts.map(|(name, part)| file(&folder, name, part.as_bytes()));
    check(run(&[&ALL_CSV[..], &[&parts[0], &parts[1]]].concat()), "two files");
    let headed = file(&folder, "headed", format!("name;celsius\n{lines}").as_bytes());
    let by_name = ["--key", "name", "--value", "celsius", &headed];
    check(run(&[&ALL_CSV[..], &by_name].concat()), "by name");
    let redirected = File::open(&headed).expect("it is there");
    let by_name = tidemill().args(ALL_CSV).args(&by_name[..4]).stdin(redirected).output();
    check(by_name.expect("starts"), "redirected, by name");
}

/// So much that a pool of blocks does not hold it, from a pipe: it comes in several batches.
#[test]
fn totals_of_several_batches_are_exact() {
    let mut running =
        Running::start(&["average", "--interval", "20ms", "--running", "--format", "csv"]);
    let mut stdin = running.stdin();
    assert_eq!(running.wait_for(|_| true), "batch_time_ms,key,min,mean,max,count");
    for count in 1..=10 {
        stdin.write_all(b"a;0.1\n").expect("it reads");
        running.wait_for(|line| line.ends_with(&format!(",a,0.1,0.1,0.1,{count}")));
    }
    stdin.write_all(b"a;1e300\n").expect("it reads");
    running.wait_for(|line| line.ends_with(",11"));
    stdin.write_all(b"a;-1e300\n").expect("it reads");
    // The large ones leave nothing behind: 1 / 12.
    let line = running.wait_for(|line| line.ends_with(",12"));
    assert_eq!(line.split(',').nth(3), Some("0.08333333333333333"), "{line}");
    drop(stdin);
    assert!(running.end().0.success());
}

#[test]
fn sockets_and_windows() {
    let args = ["--interval", "20ms", "--window", "800ms", "--slide", "200ms", "--format", "csv"];
    let (running, address) = Running::listen("average", &args);
    let mut stream = TcpStream::connect(&address).expect("it listens");
    assert_eq!(running.wait_for(|_| true), "batch_time_ms,key,min,mean,max,count");
    stream.write_all(b"a;1\nb;5\na;2.5\n").expect("it reads");
    let time = |line: String| line.split_once(',').expect("a time").0.parse::<u64>().expect("one");
    let mut last = time(running.wait_for(|line| line.ends_with(",a,1,1.75,2.5,2")));
    // The window of 800 ms is seen four times, and then is empty.
    for _ in 0..3 {
        let next = time(running.wait_for(|line| line.ends_with(",a,1,1.75,2.5,2")));
        assert_eq!(next - last, 200);
        last = next;
    }
    stream.write_all(b"a;7\n").expect("it reads");
    running.wait_for(|line| line.ends_with(",a,7,7,7,1"));
    running.signal("INT");
    assert!(running.end().0.success());
}

#[test]
fn connect_and_follow_with_headers() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("it is bound").to_string();
    let by_name = ["--interval", "20ms", "--running", "--format", "json", "--value", "v"];
    let connect = ["average", "--connect", &address, "--header=n;k;v", "--key=k"];
    let running = Running::start(&[&connect[..], &by_name].concat());
    for expected in ["2,\"mean\":2,\"max\":2,\"count\":1}", "2,\"mean\":3,\"max\":4,\"count\":2}"] {
        let (mut stream, _) = server.accept().expect("it connects");
        // Each connection begins with the header.
        let value = if expected.ends_with("1}") { 2 } else { 4 };
        stream.write_all(format!("n;k;v\n1;a;{value}\n").as_bytes()).expect("it reads");
        drop(stream);
        let line = running.wait_for(|line| line.ends_with(expected));
        assert!(line.contains(",\"key\":\"a\",\"min\":2,"), "{line}");
    }
    running.signal("TERM");
    assert!(running.end().0.success());

    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "log", b"k;v\na;1\n");
    let follow = ["average", "--follow", &path, "--key", "k"];
    let running = Running::start(&[&follow[..], &by_name].concat());
    running.wait_for(|line| line.ends_with("\"max\":1,\"count\":1}"));
    append(&path, b"a;2\n");
    running.wait_for(|line| line.ends_with("\"max\":2,\"count\":2}"));
    std::fs::rename(&path, folder.path().join("log.1")).expect("a file of ours");
    append(&path, b"k;v\na;9\n");
    running.wait_for(|line| line.ends_with("\"max\":9,\"count\":3}"));
    running.signal("INT");
    assert_eq!(running.stderr_to_the_end(), [""; 0], "headers are no rejects");
    assert!(running.end().0.success());
}

#[test]
fn the_first_signal_prints_what_was_received() {
    let mut running = Running::start(&ALL_CSV);
    let mut stdin = running.stdin();
    stdin.write_all(b"a;1\na;2\n").expect("it reads");
    // Nothing tells when the lines have been received.
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    let (status, rest) = running.end();
    assert!(status.success(), "{status}");
    assert_eq!(rest, ["key,min,mean,max,count", "a,1,1.5,2,2"]);
    drop(stdin);
    // A header that does not come is not waited for longer than its user does.
    let mut running = Running::start(&["average", "--header"]);
    let stdin = running.stdin();
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    assert_eq!(running.end().0.code(), Some(130));
    drop(stdin);
}

// Fields.

#[test]
fn fields_by_number_and_by_name() {
    let lines = "x\ty\tx,2\n7\ta\t1\n8\ta\t2\n";
    let tabs = |args: &[&str]| average(lines, &[&["--delimiter", r"\t"], args].concat());
    assert_eq!(tabs(&["--header", "--key", "2", "--value", "1"]), "a,7,7.5,8,2\n");
    assert_eq!(tabs(&["--key", "y", "--value", "x,2"]), "a,1,1.5,2,2\n");
    assert_eq!(tabs(&["--key", "y", "--value=1"]), "a,7,7.5,8,2\n");
    // The text of a header may be given, and then comes anywhere or not at all.
    assert_eq!(average("a;1\nk;v\na;2\n", &["--header=k;v", "--value", "v"]), "a,1,1.5,2,2\n");
    assert_eq!(average("a;1;z\n;3\n", &[]), ",3,3,3,1\na,1,1,1,1\n");
    // A byte order mark is no part of a name, and a carriage return none of the line.
    let marked = "\u{FEFF}k;v\r\na;1\r\n";
    assert_eq!(average(marked, &["--key", "k", "--value", "v"]), "a,1,1,1,1\n");
    assert_eq!(average("1;2\n1;4\n", &["--key", "1", "--value", "1"]), "1,1,1,1,2\n");
    assert_eq!(average("", &["--key", "k"]), "");
}

#[test]
fn fields_in_quotes() {
    let lines = "\"k, \"\"1\"\"\",v\n\"a,b\",1\n\"a,b\",\"2\"\nc,3\n\"d,4\n";
    let args = ["--delimiter", ",", "--quoted", "--key", "k, \"1\"", "--value", "v"];
    let output = run_with(lines.as_bytes(), &[&ALL_CSV[..], &args].concat());
    assert_success(&output);
    assert_eq!(text(&output.stdout), format!("{HEADER}\"a,b\",1,1.5,2,2\nc,3,3,3,1\n"));
    let told = text(&output.stderr);
    assert!(told.contains("1 line left out (a quote that is not closed"), "{told}");
    // Without the option a quote is a character as all others.
    assert_eq!(average("\"a;1\n", &[]), "\"\"\"a\",1,1,1,1\n");
    let output = run(&["average", "--delimiter=,", "--quoted", "--header=\"k,v,\"w,2"]);
    assert_fails(&output, 2, &["quote"]);
    assert_fails(&run(&["average", "--quoted", "--delimiter", "\""]), 2, &["--delimiter", "quote"]);
}

#[test]
fn headers_that_do_not_fit_exit_with_2_and_name_the_file_and_its_columns() {
    let folder = TempDir::new().expect("a folder");
    let name = |name: &str, content: &[u8]| file(&folder, name, content);
    let first = name("first", b"k;v\na;1\n");
    let longer = name("longer", b"k;v;w\na;3;5\n");
    let other = name("other", b"v;k\n1;a\n");
    let twice = name("twice", b"k;v;v\n");
    let empty = name("empty", b"");
    let by_name =
        |args: &[&str]| run(&[&ALL_CSV[..], &["--key", "k", "--value", "v"], args].concat());
    let output = by_name(&[&first, &empty, &longer]);
    assert_success(&output);
    assert_eq!(text(&output.stdout), format!("{HEADER}a,1,2,3,2\n"));
    let refused = |args: &[&str], parts: &[&str]| assert_fails(&by_name(args), 2, parts);
    refused(&[&first, &other], &[&first, &other, "\"k\"", "\"v\", \"k\""]);
    refused(&[&twice], &[&twice, "--value", "2 columns named \"v\"", "\"k\", \"v\", \"v\""]);
    refused(&["--header=a;b"], &["--key", "--header", "no column named \"k\"", "\"a\", \"b\""]);
    refused(&["--listen", "127.0.0.1:0"], &["--header=TEXT"]);
    let output = run(&["average", "--value", "w", &first]);
    assert_fails(&output, 2, &["--value", &first, "\"w\"", "\"k\", \"v\""]);
    let output = run(&["average", "--header", "--value", "3", &first]);
    assert_fails(&output, 2, &["--value", &first, "no column 3", "\"k\", \"v\""]);
    assert_fails(&run(&["average", "--header", "/no/such/file"]), 3, &["/no/such/file"]);
    let long = name("long", &[b'x'; 300_000]);
    assert_fails(&run(&["average", "--header", &long]), 2, &[&long, "262144 bytes"]);
}

#[test]
fn wrong_arguments_exit_with_2_and_name_the_value_and_the_limit() {
    let refused = |args: &[&str], parts: &[&str]| {
        assert_fails(&run(&[&["average"], args].concat()), 2, parts);
    };
    refused(&["--delimiter", "ab"], &["'ab'", "one ASCII character"]);
    refused(&["--delimiter", r"\n"], &["no line end"]);
    refused(&["--key", "0"], &["'0'", "from 1 to 1048576"]);
    refused(&["--value", "1048577"], &["'1048577'", "from 1 to 1048576"]);
    refused(&["--sort", "sum"], &["'sum'", "count"]);
    refused(&["--window", "5s", "--slide", "2s"], &["--window", "5s", "2s"]);
    refused(&["--window", "2s", "--running"], &["--running"]);
    refused(&["--top", "3", "--all"], &["--all"]);
}

// Numbers.

#[test]
fn sums_are_exact() {
    assert_eq!(average(&"a;0.1\n".repeat(10), &[]), "a,0.1,0.1,0.1,10\n");
    // 18 digits, and sums that no integer of 64 bits holds.
    let large = "a;999999999999999999\n".repeat(20) + &"b;-0.000000000000000001\n".repeat(3);
    let expected = "a,999999999999999999,1000000000000000000,999999999999999999,20\n\
                    b,-0.000000000000000001,-0.000000000000000001,-0.000000000000000001,3\n";
    assert_eq!(average(&large, &[]), expected);
    // Different places of the same key, and what is no decimal of 18 digits beside what is.
    let mixed = "a;1\na;0.25\na;-1.250\na;0\nb;1e300\nb;1\nb;-1e300\nb;2\n";
    let expected = format!("a,-1.25,0,1,4\nb,-1{0},0.75,1{0},4\n", "0".repeat(300));
    assert_eq!(average(mixed, &[]), expected);
    assert_eq!(average("a;-0.0\n", &[]), "a,0,0,0,1\n");
    assert_eq!(average("a;1\na;0\na;0\n", &[]), "a,0,0.3333333333333333,1,3\n");
}

#[test]
fn lines_without_a_value_are_counted_by_reason_with_a_sample() {
    let lines = "a;1\nb\nc;\nd;x\ne;nan\nf;1e400\ng; 1\nh;1\u{1b}[2J\n\ni;1,5\n";
    let output = run_with(lines.as_bytes(), &ALL_CSV);
    assert_success(&output);
    assert_eq!(text(&output.stdout), format!("{HEADER}a,1,1,1,1\n"));
    let told = text(&output.stderr);
    let reasons = [
        "4 lines left out (not a number), such as \"d;x\"",
        "2 lines left out (not a finite number), such as \"e;nan\"",
        "1 line left out (another number of fields), such as \"b\"",
        "1 line left out (empty), such as \"c;\"",
    ];
    for reason in reasons {
        assert!(told.contains(reason), "{reason} is not in {told}");
    }
    assert!(!told.contains('\u{1b}'), "a line does not steer the terminal");
    let strict = run_with(b"a;1\na;x\na;2\n", &["average", "--strict"]);
    assert_fails(&strict, 1, &["--strict: not a number, in line \"a;x\""]);
    assert_eq!(text(&strict.stdout), "", "no total of a part of the input");
    // Where a header says how many fields there are, a line with others has its value who knows
    // where.
    let surplus = run_with(b"k;v\na;b;1\na;2;3\na;4\n", &[&ALL_CSV[..], &["--header"]].concat());
    assert_eq!(text(&surplus.stdout), format!("{HEADER}a,4,4,4,1\n"));
    assert!(text(&surplus.stderr).contains("2 lines left out (another number of fields)"));
}

// Output.

#[test]
fn csv_json_and_tables() {
    let lines = b"c,\"d;1.5\nb;2\nb;-0.25\nb;1\na;3\n";
    let print = |args: &[&str]| text(&run_with(lines, &[&["average"], args].concat()).stdout);
    let csv = print(&["--format", "csv"]);
    let records = read_csv(&csv);
    assert_eq!(records[0], ["key", "min", "mean", "max", "count"]);
    assert_eq!(records[2], ["b", "-0.25", "0.9166666666666666", "2", "3"]);
    assert_eq!(records[3], ["c,\"d", "1.5", "1.5", "1.5", "1"]);
    assert!(csv.ends_with("\"c,\"\"d\",1.5,1.5,1.5,1\n"), "{csv}");
    let json = print(&["--format", "json", "--sort", "count", "--top", "1"]);
    let expected = r#"{"key":"b","min":-0.25,"mean":0.9166666666666666,"max":2,"count":3}"#;
    assert_eq!(json, format!("{expected}\n"));
    let json = print(&["--format", "json"]);
    let expected = r#"{"key":"c,\"d","min":1.5,"mean":1.5,"max":1.5,"count":1}"#;
    assert_eq!(json.lines().last(), Some(expected));
    let expected = "\
5 values, 3 keys
       min        mean         max       count  key
      3.00      3.0000        3.00           1  a
     -0.25      0.9167        2.00           3  b
      1.50      1.5000        1.50           1  c,\"d
";
    assert_eq!(print(&[]), expected);
    // As many places as the rows need that are shown.
    let first = print(&["--sort", "mean", "--top", "1"]);
    assert!(first.ends_with("\n         3        3.00           3           1  a\n"), "{first}");
    let large = text(&run_with(b"a;1e300\na;0\n", &["average"]).stdout);
    let cells: Vec<&str> = large.lines().last().expect("a row").split_whitespace().collect();
    assert_eq!(cells, ["0", "5.000e299", "1.000e300", "2", "a"]);
}

#[test]
fn sorted_by_what_is_asked_for_and_then_by_key() {
    let lines = "b;1\nb;9\na;1\na;9\nc;2\nc;2\nc;2\nd;20\n";
    let keys = |sort: &str| -> String {
        average(lines, &["--sort", sort]).lines().map(|line| &line[..1]).collect()
    };
    assert_eq!(keys("key"), "abcd");
    assert_eq!(keys("min"), "dcab");
    assert_eq!(keys("mean"), "dabc");
    assert_eq!(keys("max"), "dabc");
    assert_eq!(keys("count"), "cabd");
}

#[test]
fn empty_input_gives_a_header_and_no_rows() {
    assert_eq!(text(&run(&ALL_CSV).stdout), HEADER);
    assert_eq!(
        text(&run(&["average"]).stdout),
        "0 values, 0 keys\n       min        mean         max       count  key\n"
    );
    let help = text(&run(&["average", "--help"]).stdout);
    assert!(help.contains("Examples:") && help.contains("exact"), "{help}");
}

#[test]
fn generated_measurements_come_over_a_socket() {
    let (running, address) =
        Running::listen("average", &["--interval", "20ms", "--running", "--format", "csv"]);
    let args = ["generate", "measurements", "--lines", "5k", "--keys", "1", "--connect", &address];
    assert_success(&run(&args));
    let line = running.wait_for(|line| line.ends_with(",5000"));
    let mean = line.split(',').nth(3).and_then(|mean| mean.parse::<f64>().ok());
    assert!(mean.is_some_and(|mean| (0.0..20.0).contains(&mean)), "{line}");
    running.signal("INT");
    assert!(running.end().0.success());
}
