//! Statistics by key as they are shown.

use std::cmp::Ordering;
use std::io::Write;

use tidemill::{Aggregate, Number, Saved, Stats, Summary, Tally};

use crate::output::{self, Report};

/// What the rows are sorted by.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    Key,
    Min,
    Mean,
    Max,
    Count,
}

impl Sort {
    /// Keys by their bytes, numbers from the greatest one, and the same ones by their keys.
    fn compare(self, (key, left): &Line<'_>, (other, right): &Line<'_>) -> Ordering {
        let by_number = match self {
            Sort::Key => Ordering::Equal,
            Sort::Min => right.min.cmp(&left.min),
            Sort::Mean => right.mean.total_cmp(&left.mean),
            Sort::Max => right.max.cmp(&left.max),
            Sort::Count => right.count.cmp(&left.count),
        };
        by_number.then_with(|| key.cmp(other))
    }
}

type Line<'a> = (&'a str, Summary);

/// Keys with their statistics in the order in which they are shown.
pub(crate) struct Averages<'a> {
    lines: Vec<Line<'a>>,
    distinct: usize,
    total: i64,
    /// Digits after the point that a table has for extremes.
    places: usize,
}

/// A table rounds the mean to so many places more than the values have.
const MEAN_PLACES: usize = 2;

/// Values with more places are not filled up with zeros in a table.
const PLACES_MAX: u8 = 6;

/// Floats of this size are printed with an exponent in a table.
const LARGE: f64 = 1e15;

impl<'a> Averages<'a> {
    pub(crate) fn new(
        values: impl Iterator<Item = (&'a str, Saved<Tally>)>,
        sort: Sort,
        rows_max: Option<usize>,
    ) -> Averages<'a> {
        let summary = |tally: &Tally| {
            Aggregate::<Number>::finish(&Stats, tally).expect("a key that is there has a value")
        };
        let mut lines: Vec<Line<'a>> =
            values.map(|(key, tally)| (key, summary(&tally.0))).collect();
        let total = lines.iter().map(|(_, summary)| summary.count).sum();
        let distinct = lines.len();
        output::sort(&mut lines, rows_max, |left, right| sort.compare(left, right));
        let extremes = lines.iter().flat_map(|(_, summary)| [summary.min, summary.max]);
        let places = extremes.filter_map(|number| Some(number.as_decimal()?.1)).max();
        let places = places.unwrap_or_default().min(PLACES_MAX).into();
        Averages { lines, distinct, total, places }
    }
}

impl Report for Averages<'_> {
    const TEXT: &'static str = "key";
    const NUMBERS: &'static [&'static str] = &["min", "mean", "max", "count"];

    fn heading(&self) -> String {
        let values = if self.total == 1 { "value" } else { "values" };
        let keys = if self.distinct == 1 { "key" } else { "keys" };
        format!("{} {values}, {} {keys}", self.total, self.distinct)
    }

    fn len(&self) -> usize {
        self.lines.len()
    }

    fn text(&self, row: usize) -> &str {
        self.lines[row].0
    }

    fn push_number(&self, row: usize, column: usize, out: &mut Vec<u8>) {
        let (_, Summary { min, mean, max, count, .. }) = &self.lines[row];
        // Writing to a vector does not fail.
        let _ = match column {
            0 => write!(out, "{min}"),
            1 => write!(out, "{mean}"),
            2 => write!(out, "{max}"),
            _ => write!(out, "{count}"),
        };
    }

    /// Extremes with the same number of places, and means that are rounded.
    fn push_number_cell(&self, row: usize, column: usize, out: &mut Vec<u8>) {
        let (_, summary) = &self.lines[row];
        match column {
            0 => push_extreme(summary.min, self.places, out),
            1 => push_float(summary.mean, self.places + MEAN_PLACES, out),
            2 => push_extreme(summary.max, self.places, out),
            _ => self.push_number(row, column, out),
        }
    }
}

/// An exact number, filled up with zeros to so many places.
fn push_extreme(number: Number, places: usize, out: &mut Vec<u8>) {
    let Some((_, own)) = number.as_decimal() else {
        return push_float(number.to_f64(), places, out);
    };
    let _ = write!(out, "{number}");
    let missing = places.saturating_sub(own.into());
    if own == 0 && missing > 0 {
        out.push(b'.');
    }
    out.extend(std::iter::repeat_n(b'0', missing));
}

fn push_float(number: f64, places: usize, out: &mut Vec<u8>) {
    let is_small = number != 0.0 && number.abs() < 0.1f64.powi(places as i32);
    let _ = match number.abs() {
        size if size >= LARGE || is_small => write!(out, "{number:.3e}"),
        _ => write!(out, "{number:.places$}"),
    };
}
