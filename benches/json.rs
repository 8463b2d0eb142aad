//! cargo bench --bench json
//!
//! JSON lines to five columns, beside what simd-json takes for its own tape of each line, which is
//! the bound: a tape has all values, but in no column. Lines of key=value pairs and of a web
//! server's log are here too, beside the regular expression that says the same, and fields in
//! quotes. The ways take turns, and ratios are taken round by round; more is faster.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::hint::black_box;
use std::time::Instant;

use tidemill::prelude::*;
use tidemill::{AccessLog, Decode, Decoder, Rejects, TextColumn};

/// One way to do the work, and how many rows it gives.
type Way<'a> = (&'a str, Box<dyn FnMut() -> usize + 'a>);

#[derive(Record)]
struct Reading {
    at: Timestamp,
    station: String,
    celsius: f64,
    count: i64,
    is_valid: bool,
}

/// Lines of a piece of text: a block of a file.
const LINES: usize = 8_000;

/// Numbers that are the same in every run (Knuth's linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// Lines of some text, as a source gives them.
fn lines(mut line: impl FnMut(&mut Random) -> String) -> TextColumn {
    let mut random = Random(1);
    let mut lines = TextColumn::default();
    (0..LINES).for_each(|_| lines.push(&line(&mut random)));
    lines.freeze();
    lines
}

fn compare(what: &str, is_test: bool, lines: &TextColumn, mut ways: Vec<Way<'_>>) {
    let (rounds, runs) = if is_test { (1, 1) } else { (15, 10) };
    let mut nanos = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for ((name, way), nanos) in ways.iter_mut().zip(&mut nanos) {
            let start = Instant::now();
            for _ in 0..runs {
                assert_eq!(black_box(way()), LINES, "{what}: {name} gives fewer rows");
            }
            nanos.push(start.elapsed().as_secs_f64() * 1e9 / (runs * LINES) as f64);
        }
    }
    println!("{what}, {} bytes a line", lines.byte_len() / LINES - 8);
    for ((name, _), own) in ways.iter().zip(&nanos) {
        let ratios = nanos[0].iter().zip(own).map(|(first, own)| first / own).collect();
        let (ratio, own) = (corpus::median(ratios), corpus::median(own.clone()));
        println!("    {name:34} {own:7.1} ns a row   {ratio:5.2} x");
    }
}

/// Rows that a format gives, into columns that are used again.
fn decoded<'a, R: Decode>(
    decoder: impl Decoder<R> + 'a,
    lines: &'a TextColumn,
) -> Box<dyn FnMut() -> usize + 'a> {
    let mut rows = R::Columns::default();
    Box::new(move || {
        rows.clear();
        let mut rejects = Rejects::default();
        decoder.decode(lines, &mut rows, &mut rejects).expect("a format that fits");
        assert!(rejects.is_empty());
        rows.len()
    })
}

/// Values that each line is parsed to.
fn parsed<'a>(
    lines: &'a TextColumn,
    mut parse: impl FnMut(&str) -> bool + 'a,
) -> Box<dyn FnMut() -> usize + 'a> {
    Box::new(move || (0..lines.len()).filter(|line| parse(lines.get(*line))).count())
}

fn json(is_test: bool) {
    let five = |random: &mut Random| {
        let mut below = |limit| random.below(limit);
        let at = format!("2024-02-{:02}T{:02}:{:02}:{:02}", 1 + below(28), below(24), below(60), 7);
        let (millis, station, celsius) = (below(1_000), below(413), below(500) as f64 / 10.0);
        let (count, is_valid) = (below(100_000), below(2) == 0);
        format!(
            "{{\"at\":\"{at}.{millis:03}Z\",\"station\":\"station{station}\",\
             \"celsius\":{celsius:?},\"count\":{count},\"is_valid\":{is_valid}"
        )
    };
    let plain = lines(|random| five(random) + "}");
    let more = lines(|random| {
        let id = random.below(1 << 31);
        let tags = "[\"north\",\"coast\",{\"height\":17.25}]";
        format!("{},\"id\":{id},\"note\":\"a \\\"b\\\" \\u00e9\",\"tags\":{tags}}}", five(random))
    });
    for (what, lines) in [("five members, all wanted", &plain), ("five of eight members", &more)] {
        let (mut buffers, mut scratch) = (simd_json::Buffers::default(), Vec::new());
        let tape = parsed(lines, move |line| {
            scratch.clear();
            scratch.extend_from_slice(line.as_bytes());
            simd_json::to_tape_with_buffers(&mut scratch, &mut buffers).is_ok()
        });
        let value = parsed(lines, |line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        let columns = decoded::<Reading>(JsonLines::new(), lines);
        let ways: Vec<Way<'_>> = vec![
            ("simd-json, its tape", tape),
            ("serde_json, its value", value),
            ("JsonLines, five columns", columns),
        ];
        compare(&format!("JSON, {what}"), is_test, lines, ways);
    }
}

fn pairs(is_test: bool) {
    let lines = lines(|random| {
        let mut below = |limit| random.below(limit);
        let at = format!("2024-02-{:02}T{:02}:{:02}:07Z", 1 + below(28), below(24), below(60));
        let (count, is_valid) = (below(100_000), below(2) == 0);
        format!(
            "at={at} level=info msg=\"a reading\" station=station{} celsius={:?} count={count} \
             is_valid={is_valid}",
            below(413),
            below(500) as f64 / 10.0
        )
    });
    let expression = concat!(
        r"^at=(?<at>\S+) .* station=(?<station>\S+) celsius=(?<celsius>\S+) ",
        r"count=(?<count>\S+) is_valid=(?<is_valid>\S+)$",
    );
    let ways: Vec<Way<'_>> = vec![
        ("Pattern, five columns", decoded::<Reading>(Pattern::new(expression), &lines)),
        ("KeyValue, five columns", decoded::<Reading>(KeyValue::new(), &lines)),
    ];
    compare("key=value", is_test, &lines, ways);
}

fn logs(is_test: bool) {
    let lines = lines(|random| {
        let mut below = |limit| random.below(limit);
        let host = format!("10.{}.{}.{}", below(256), below(256), below(256));
        let time = format!("{:02}/Oct/2000:13:{:02}:{:02} -0700", 1 + below(31), below(60), 7);
        let (path, status, bytes) = (below(5_000), 200 + below(4) * 100, below(100_000));
        format!(
            "{host} - - [{time}] \"GET /page/{path}?x=1 HTTP/1.1\" {status} {bytes} \
             \"http://host.example/\" \"Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0\""
        )
    });
    let expression = concat!(
        r#"^(?<host>[^ ]+) [^ ]+ (?:-|(?<user>[^ ]+)) \[(?<time>[^\]]+)\] "#,
        r#""(?<method>[^ "]+) (?<path>[^ "]+) (?<protocol>[^ "]+)" "#,
        r#"(?<status>[^ ]+) (?:-|(?<bytes>[^ ]+)) "[^"]*" "[^"]*"$"#,
    );
    let expression = Pattern::new(expression).times(tidemill::TimeFormat::CommonLog);
    let ways: Vec<Way<'_>> = vec![
        ("Pattern, eight columns", decoded::<AccessLog>(expression, &lines)),
        ("combined_log, eight columns", decoded::<AccessLog>(Pattern::combined_log(), &lines)),
    ];
    compare("combined log", is_test, &lines, ways);
}

fn quotes(is_test: bool) {
    let fields = |random: &mut Random| -> [String; 5] {
        let at = format!("2024-02-{:02}T10:{:02}:00Z", 1 + random.below(28), random.below(60));
        let celsius = format!("{:?}", random.below(500) as f64 / 10.0);
        let (station, count) = (random.below(413), random.below(100_000));
        [at, format!("station{station}"), celsius, count.to_string(), "true".to_owned()]
    };
    let plain = lines(|random| fields(random).join(","));
    let quoted = lines(|random| {
        let [at, station, celsius, count, is_valid] = fields(random);
        format!("{at},\"{station}, \"\"north\"\"\",{celsius},\"{count}\",{is_valid}")
    });
    let ways: Vec<Way<'_>> = vec![
        ("Delimited, no quotes", decoded::<Reading>(Delimited::new(b','), &plain)),
        ("Csv, no quotes", decoded::<Reading>(Csv::new(b','), &plain)),
        ("Csv, two fields in quotes", decoded::<Reading>(Csv::new(b','), &quoted)),
    ];
    compare("fields in quotes", is_test, &plain, ways);
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    println!("{}", corpus::machine());
    json(is_test);
    pairs(is_test);
    logs(is_test);
    quotes(is_test);
}
