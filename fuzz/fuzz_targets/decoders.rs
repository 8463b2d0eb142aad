//! Lines that no program has written, in every format: each is a row, a reject or blank, and what
//! is a number to Rust is the same number here.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tidemill::prelude::*;
use tidemill::{AccessLog, Decode, DecodeCounts, Decoder, KeyValue, Number, Pattern, TestOutput};

#[derive(Clone, Debug, Record)]
struct Place {
    street: String,
}

#[derive(Clone, Debug, Record)]
struct Reading {
    station: String,
    celsius: f64,
    count: Option<i64>,
    place: Place,
    is_valid: bool,
    at: Option<Timestamp>,
    price: Option<Number>,
    raw: Vec<u8>,
}

type Numbers = (String, f64, Option<i64>, Option<Number>);

/// A format with its stream, which is kept from input to input.
struct Format {
    test: TestContext,
    lines: tidemill::TestInput<String>,
    rows: Box<dyn Fn() -> Vec<String>>,
    rejects: TestOutput<tidemill::Reject>,
    counts: Box<dyn Fn() -> DecodeCounts>,
    /// Rows, rejects and lines skipped so far.
    before: u64,
}

impl Format {
    fn new<R: Decode + Clone + std::fmt::Debug>(decoder: impl Decoder<R>) -> Format {
        let test = TestContext::new().expect("a context");
        let lines = test.input::<String>();
        let decoded = lines.stream().decode::<R>(decoder);
        let (rows, rejects) = (test.output(&decoded), test.output(&decoded.rejects()));
        let rows = Box::new(move || rows.take().iter().map(|row| format!("{row:?}")).collect());
        let counts = Box::new(move || decoded.counts());
        Format { test, lines, rows, rejects, counts, before: 0 }
    }

    /// What the lines are read as, once each of them is accounted for.
    fn decode(&mut self, lines: &[&str]) -> Vec<String> {
        self.lines.push(lines.iter().map(|line| (*line).to_owned())).expect("room for the lines");
        self.test.tick().expect("a batch of rows and rejects");
        let (rows, rejects) = ((self.rows)(), self.rejects.take());
        let counts = (self.counts)();
        let rejected: u64 = counts.rejected.iter().map(|reject| reject.lines).sum();
        let seen = counts.rows + rejected + counts.skipped;
        assert_eq!(seen - self.before, lines.len() as u64, "{lines:?}: {rows:?}, {rejects:?}");
        self.before = seen;
        rows
    }
}

thread_local! {
    static FORMATS: RefCell<Vec<Format>> = RefCell::new(vec![
        Format::new::<Numbers>(Delimited::new(b';')),
        Format::new::<Reading>(JsonLines::new()),
        Format::new::<Reading>(KeyValue::new()),
        Format::new::<Numbers>(Csv::new(b',')),
        Format::new::<Numbers>(Delimited::whitespace()),
        Format::new::<(String, Timestamp, Vec<u8>)>(Csv::new(b';')),
        Format::new::<Place>(Pattern::new(r"^(?<street>\w+) (?<number>\d+)$")),
        Format::new::<AccessLog>(Pattern::combined_log()),
    ]);
}

fuzz_target!(|data: &[u8]| {
    let Some((&format, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.split('\n').take(256).collect();
    FORMATS.with_borrow_mut(|formats| {
        let format = format as usize % formats.len();
        let rows = formats[format].decode(&lines);
        if format == 0 {
            let numbers = lines.iter().filter_map(|line| {
                let fields: Vec<&str> = line.split(';').collect();
                fields.get(1)?.trim().parse::<f64>().ok().filter(|number| number.is_finite())
            });
            let numbers: Vec<String> = numbers.map(|number| format!("{number:?}")).collect();
            // A row's number is one of them, in order.
            let mut numbers = numbers.iter();
            for row in &rows {
                let is_it = |number: &&String| row.contains(&format!("\", {number}, "));
                assert!(numbers.any(|number| is_it(&number)), "{row} of {lines:?}");
            }
        }
    });
});
