//! cargo bench --bench delimited
//!
//! Delimited text to columns, beside what one writes by hand: fields by `memchr`, numbers by Rust's
//! `parse`. The text is in pieces that fit the outer cache, as blocks do. The ways take turns, and
//! ratios are taken round by round; more is faster. What each way gives is asserted first.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::hint::black_box;
use std::time::Instant;

use tidemill_kernels::*;

/// Bytes of a piece of text.
const PIECE: usize = 256 << 10;

/// One way to do the work, and what it gave.
type Way<'a, R> = (String, Box<dyn FnMut() -> R + 'a>);

/// What is measured, and how often.
struct Harness {
    rounds: usize,
    runs: usize,
}

impl Harness {
    /// Compares the first way with all others, each of which does `rows` rows a run.
    fn compare<R: PartialEq>(&self, what: &str, rows: usize, mut ways: Vec<Way<'_, R>>) {
        let expected = (ways[0].1)();
        for (name, way) in &mut ways {
            assert!(way() == expected, "{what}: {name} gives something else");
        }
        let mut nanos = vec![Vec::new(); ways.len()];
        for _ in 0..self.rounds {
            for ((_, way), nanos) in ways.iter_mut().zip(&mut nanos) {
                let start = Instant::now();
                for _ in 0..self.runs {
                    black_box(way());
                }
                nanos.push(start.elapsed().as_secs_f64() * 1e9 / (self.runs * rows) as f64);
            }
        }
        println!("{what}");
        for ((name, _), own) in ways.iter().zip(&nanos) {
            let ratios = nanos[0].iter().zip(own).map(|(first, own)| first / own).collect();
            let (ratio, own) = (corpus::median(ratios), corpus::median(own.clone()));
            println!("    {name:34} {own:6.2} ns a row   {ratio:5.2} x");
        }
    }
}

/// Numbers that are the same in every run (Knuth's linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// Lines of some text.
fn lines(mut line: impl FnMut(&mut Random) -> String) -> Vec<u8> {
    let mut random = Random(1);
    let mut text = Vec::with_capacity(PIECE + 256);
    while text.len() < PIECE {
        text.extend_from_slice(line(&mut random).as_bytes());
        text.push(b'\n');
    }
    text
}

/// Lines of a key, of 413, and a decimal with one digit after the point.
fn measurements() -> Vec<u8> {
    lines(|random| {
        let sign = ["", "", "", "-"][random.below(4) as usize];
        let key = random.below(413);
        let name = &"abcdefghijklmnop"[..3 + (key % 11) as usize];
        format!("{name}{key};{sign}{}.{}", random.below(50), random.below(10))
    })
}

/// A checksum that no way can do without reading every span.
fn sum_of(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.start) ^ u64::from(span.len) << 32).sum()
}

fn fields_by_hand(text: &[u8], wanted: [usize; 2], out: &mut [Vec<Span>; 2]) {
    out.iter_mut().for_each(Vec::clear);
    let (mut start, mut field) = (0, 0);
    for at in memchr::memchr2_iter(b';', b'\n', text) {
        if let Some(column) = wanted.iter().position(|column| *column == field) {
            out[column].push(Span { start: start as u32, len: (at - start) as u32 });
        }
        field = if text[at] == b'\n' { 0 } else { field + 1 };
        start = at + 1;
    }
}

fn fields(harness: &Harness) {
    let wide = lines(|random| {
        let mut field = || {
            let digits = random.below(30);
            random.below(1 << digits).to_string()
        };
        let fields: [String; 10] = std::array::from_fn(|_| field());
        fields.join(";")
    });
    let ragged = lines(|random| "field;".repeat(2 + random.below(3) as usize));
    let cases = [
        ("fields 0 and 1 of 2", measurements(), [0, 1]),
        ("fields 2 and 7 of 10", wide, [2, 7]),
        ("fields 0 and 1 of 3 to 5", ragged, [0, 1]),
    ];
    for (name, text, wanted) in &cases {
        let columns = wanted.map(|column| column as u32);
        let least = columns[1] + 1;
        let fields =
            Fields { separator: b';', columns: &columns, count: FieldCount::AtLeast(least) };
        let (text, fields) = (&text[..], &fields);
        let mut out = [Vec::new(), Vec::new()];
        let mut ways: Vec<Way<'_, [u64; 2]>> = vec![(
            "by hand, memchr2".into(),
            Box::new(move || {
                fields_by_hand(text, *wanted, &mut out);
                [sum_of(&out[0]), sum_of(&out[1])]
            }),
        )];
        for level in Level::available() {
            let (mut out, mut bad) = ([Vec::new(), Vec::new()], Vec::new());
            ways.push((
                format!("line_fields, {level:?}"),
                Box::new(move || {
                    out.iter_mut().for_each(Vec::clear);
                    line_fields_at(level, text, fields, &mut out, &mut bad);
                    [sum_of(&out[0]), sum_of(&out[1])]
                }),
            ));
        }
        for level in Level::available() {
            let (mut out, mut bad, mut rows) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
            ways.push((
                format!("line_spans, row_fields, {level:?}"),
                Box::new(move || {
                    rows.clear();
                    out.iter_mut().for_each(Vec::clear);
                    line_spans_at(level, text, &mut rows);
                    row_fields_at(level, text, &rows, fields, &mut out, &mut bad);
                    [sum_of(&out[0]), sum_of(&out[1])]
                }),
            ));
        }
        harness.compare(name, count_newlines(text), ways);
    }
}

/// Compares a kernel with Rust's `parse` on the lines of `text`.
fn numbers<T>(
    harness: &Harness,
    what: &str,
    text: &[u8],
    parse: impl Fn(&str) -> T,
    kernel: impl Fn(Level, &[u8], &[Span], &mut Vec<T>, &mut Vec<BadRow>) + Copy,
    bits: impl Fn(&T) -> u64 + Copy,
) {
    let mut rows = Vec::new();
    line_spans(text, &mut rows);
    let (rows, valid) = (&rows[..], std::str::from_utf8(text).expect("ASCII"));
    let sum = |numbers: &[T]| numbers.iter().map(bits).fold(0, u64::wrapping_add);
    let mut out = Vec::new();
    let mut ways: Vec<Way<'_, u64>> = vec![(
        "by hand, str::parse".into(),
        Box::new(|| {
            out.clear();
            out.extend(rows.iter().map(|row| parse(&valid[row.range()])));
            sum(&out)
        }),
    )];
    for level in Level::available() {
        let (mut out, mut bad) = (Vec::new(), Vec::new());
        ways.push((
            format!("kernel, {level:?}"),
            Box::new(move || {
                out.clear();
                kernel(level, text, rows, &mut out, &mut bad);
                assert!(bad.is_empty());
                sum(&out)
            }),
        ));
    }
    harness.compare(what, rows.len(), ways);
}

fn integers(harness: &Harness) {
    let small = lines(|random| (random.below(200_000) as i64 - 100_000).to_string());
    let times = lines(|random| format!("17{:011}", random.below(100_000_000_000)));
    let long = lines(|random| format!("17{:017}", random.below(u64::MAX)));
    let cases = [("up to 6 digits", small), ("13 digits", times), ("19 digits", long)];
    for (name, text) in &cases {
        let parse = |row: &str| row.parse().expect("an integer");
        let kernel = parse_i64_at;
        numbers(harness, &format!("parse_i64, {name}"), text, parse, kernel, |n| *n as u64);
    }
}

fn floats_and_decimals(harness: &Harness) {
    let temperatures = lines(|random| {
        let sign = ["", "-"][random.below(2) as usize];
        format!("{sign}{}.{}", random.below(100), random.below(10))
    });
    let prices = lines(|random| format!("{}.{:02}", random.below(1_000_000), random.below(100)));
    let mixed = lines(|random| {
        let places = random.below(4) as usize;
        format!("{:.places$}", random.below(1_000_000) as f64 / 1e3)
    });
    let full = lines(|random| (random.below(1 << 31) as f64 / 3e9).to_string());
    let cases = [
        ("one place", temperatures, 1),
        ("two places, up to 9 characters", prices, 2),
        ("up to three places", mixed, 3),
        ("all digits of a float", full, 18),
    ];
    for (name, text, scale) in &cases {
        let parse = |row: &str| row.parse().expect("a float");
        let name_of = |kernel| format!("{kernel}, {name}");
        numbers(harness, &name_of("parse_f64"), text, parse, parse_f64_at, |n: &f64| n.to_bits());
        let unit = 10f64.powi(*scale);
        let scale = *scale as u32;
        if scale <= 3 {
            // By hand, what most write: a float, rounded to the unit.
            let parse = |row: &str| {
                let number: f64 = row.parse().expect("a float");
                (number * unit).round() as i64
            };
            let kernel = |level, text: &[u8], rows: &[Span], out: &mut _, bad: &mut _| {
                parse_decimal_at(level, text, rows, scale, out, bad);
            };
            numbers(harness, &name_of("parse_decimal"), text, parse, kernel, |n| *n as u64);
        }
    }
}

/// What an average by key takes, step by step.
fn by_key(harness: &Harness) {
    let text = &measurements()[..];
    let fields = &Fields { separator: b';', columns: &[0, 1], count: FieldCount::Exactly(2) };
    let valid = std::str::from_utf8(text).expect("ASCII");
    let sum = |numbers: &[i64]| numbers.iter().map(|n| *n as u64).fold(0, u64::wrapping_add);
    let (mut out, mut numbers) = ([Vec::new(), Vec::new()], Vec::new());
    let mut ways: Vec<Way<'_, u64>> = vec![(
        "by hand, memchr2 and str::parse".into(),
        Box::new(move || {
            fields_by_hand(text, [0, 1], &mut out);
            numbers.clear();
            numbers.extend(out[1].iter().map(|row| {
                let number: f64 = valid[row.range()].parse().expect("a float");
                (number * 10.0).round() as i64
            }));
            sum(&numbers)
        }),
    )];
    for level in Level::available() {
        let (mut out, mut numbers) = ([Vec::new(), Vec::new()], Vec::new());
        let mut bad = Vec::new();
        ways.push((
            format!("line_fields, parse_decimal, {level:?}"),
            Box::new(move || {
                out.iter_mut().for_each(Vec::clear);
                numbers.clear();
                line_fields_at(level, text, fields, &mut out, &mut bad);
                parse_decimal_at(level, text, &out[1], 1, &mut numbers, &mut bad);
                sum(&numbers)
            }),
        ));
    }
    let read = |level, keys: &mut Vec<Span>, numbers: &mut Vec<i64>| {
        keys.clear();
        numbers.clear();
        let mut bad = Vec::new();
        key_decimals_at(level, text, fields, 1, keys, numbers, &mut bad);
        assert!(bad.is_empty());
    };
    for level in Level::available() {
        let (mut keys, mut numbers) = (Vec::new(), Vec::new());
        ways.push((
            format!("key_decimals, {level:?}"),
            Box::new(move || {
                read(level, &mut keys, &mut numbers);
                sum(&numbers)
            }),
        ));
    }
    for way in ["TextTable::ids", "ids, grouped::stats", "ids, four kernels of grouped"] {
        let (mut keys, mut numbers, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let mut table = TextTable::new(1_000);
        let (mut groups, mut carries) = ([grouped::Stats::default(); 413], [0; 413]);
        let (mut sums, mut counts) = ([0; 413], [0; 413]);
        let (mut least, mut greatest) = ([i64::MAX; 413], [i64::MIN; 413]);
        ways.push((
            format!("key_decimals, {way}"),
            Box::new(move || {
                read(Level::current(), &mut keys, &mut numbers);
                ids.clear();
                table.ids(text, &keys, &mut ids).expect("room for all keys");
                if way == "ids, grouped::stats" {
                    grouped::stats(&mut groups, &mut carries, &ids, &numbers);
                } else if way != "TextTable::ids" {
                    grouped::count(&mut counts, &ids);
                    assert!(!grouped::add_i64(&mut sums, &ids, &numbers));
                    grouped::min_i64(&mut least, &ids, &numbers);
                    grouped::max_i64(&mut greatest, &ids, &numbers);
                }
                sum(&numbers)
            }),
        ));
    }
    harness.compare("key;decimal", count_newlines(text), ways);
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let harness =
        if is_test { Harness { rounds: 1, runs: 1 } } else { Harness { rounds: 15, runs: 60 } };
    println!("{}", corpus::machine());
    fields(&harness);
    integers(&harness);
    floats_and_decimals(&harness);
    by_key(&harness);
}
