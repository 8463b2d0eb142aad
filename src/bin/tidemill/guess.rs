//! What a wrong call of `average` was most likely meant to be, from lines that were left out.

use tidemill::{Reason, RejectCount};

use crate::header::{Cut, names};
use crate::parse::Split;

/// What else may stand between two fields.
const SPLITS: [Split; 6] = [
    Split::Byte(b','),
    Split::Byte(b';'),
    Split::Byte(b'\t'),
    Split::Byte(b'|'),
    Split::Byte(b':'),
    Split::Whitespace,
];

/// What was asked for, and what came of it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) cut: Cut,
    pub(crate) has_header: bool,
    /// Positions of the key and the value, from 0 on.
    pub(crate) fields: [usize; 2],
    /// Lines that became rows.
    pub(crate) rows: u64,
    /// Those that did not, in this process and before it.
    pub(crate) left_out: u64,
    /// Those of this process.
    pub(crate) rejected: &'a [RejectCount],
}

/// Lines of which nearly all may have to be left out before it is an error.
const LINES_MIN: u64 = 10;

impl Call<'_> {
    /// Whether every line was left out, or at least 9 in 10 of 10 or more.
    fn is_wrong(&self) -> bool {
        let (rejected, rows) = (self.left_out, self.rows);
        rejected > 0 && (rows == 0 || rejected + rows >= LINES_MIN && rejected / 9 >= rows)
    }

    /// What to say of a call that is wrong.
    pub(crate) fn verdict(&self) -> Option<String> {
        if !self.is_wrong() {
            return None;
        }
        let (rejected, all) = (self.left_out, self.left_out + self.rows);
        let were = if all == 1 {
            "the only line was".to_owned()
        } else if rejected == all {
            format!("all {all} lines were")
        } else {
            format!("{rejected} of {all} lines were")
        };
        let guess = self.guess().map_or(String::new(), |guess| format!(": {guess}"));
        Some(format!("{were} left out{guess}"))
    }

    fn samples(&self) -> Vec<&str> {
        let samples = self.rejected.iter().flat_map(|rejected| &rejected.samples);
        samples.map(|sample| sample.line.as_str()).collect()
    }

    fn guess(&self) -> Option<String> {
        let samples = self.samples();
        let Cut { delimiter, is_quoted } = self.cut;
        let fields = |line: &str| names(line, self.cut);
        let [key, value] = self.fields;
        let last = key.max(value);
        let counts: Vec<usize> = samples.iter().map(|line| fields(line).len()).collect();
        let (least, most) = (*counts.iter().min()?, *counts.iter().max()?);
        if !is_quoted && samples.iter().all(|line| line.starts_with('"')) {
            let split = self.other_split(&samples, true).filter(|_| most <= last);
            let (split, _) = split.unwrap_or((delimiter, most));
            let other = if split == delimiter { "" } else { &format!(" --delimiter {split}") };
            return Some(format!("fields are in quotes; --quoted{other}?"));
        }
        if most <= last {
            if let Some((split, count)) = self.other_split(&samples, is_quoted) {
                let noun = if count == 1 { "field" } else { "fields" };
                let by = match split {
                    Split::Whitespace => "white space".to_owned(),
                    Split::Byte(_) => format!("'{split}'"),
                };
                return Some(format!("{count} {noun} by {by}; --delimiter {split}?"));
            }
            let have = if least == most { format!("{most}") } else { format!("{least} to {most}") };
            let noun = if most == 1 { "field" } else { "fields" };
            let asked = if key >= most { "key" } else { "value" };
            let number = if key >= most { key } else { value } + 1;
            return Some(format!("lines have {have} {noun} by '{delimiter}'; --{asked} {number}?"));
        }
        if self.rejected.first().is_some_and(|rejected| rejected.reason == Reason::Fields) {
            let have = if least == most { format!("{most}") } else { format!("{least} to {most}") };
            return Some(format!("lines have {have} fields, the header has another number"));
        }
        let is_number_at = |at: usize, change: fn(&str) -> String| {
            samples.iter().all(|line| fields(line).get(at).is_some_and(|f| is_number(&change(f))))
        };
        if is_number_at(value, |field| field.trim_matches('"').to_owned()) {
            return Some("fields are in quotes; --quoted?".to_owned());
        }
        if is_number_at(value, |field| field.trim().to_owned()) {
            return Some(
                "values have white space around them, which is no part of a number".into(),
            );
        }
        if is_number_at(value, |field| field.replacen(',', ".", 1)) {
            return Some("values have a decimal comma, and numbers have a point".to_owned());
        }
        let other = (0..least).find(|at| *at != key && is_number_at(*at, str::to_owned));
        if let Some(other) = other {
            return Some(format!("field {} is a number; --value {}?", other + 1, other + 1));
        }
        let is_alone = self.left_out == 1 && !self.has_header;
        is_alone.then(|| "a header? --header".to_owned())
    }

    /// What cuts all samples into the same number of fields, at least of those that are wanted.
    fn other_split(&self, samples: &[&str], is_quoted: bool) -> Option<(Split, usize)> {
        let [key, value] = self.fields;
        let cut = |delimiter: Split| {
            let rows = samples.iter().map(|line| names(line, Cut { delimiter, is_quoted }));
            let rows: Vec<Vec<String>> = rows.collect();
            let count = rows.iter().map(Vec::len).min()?;
            let is_even = rows.iter().all(|row| row.len() == count);
            let has_values = rows.iter().all(|row| row.get(value).is_some_and(|f| is_number(f)));
            (count > key.max(value)).then_some((has_values, is_even, delimiter, count))
        };
        let others = SPLITS.into_iter().filter(|split| *split != self.cut.delimiter);
        // The first of the best.
        let found = others.filter_map(cut).rev();
        let (.., split, count) =
            found.max_by_key(|(has_values, is_even, ..)| (*has_values, *is_even))?;
        Some((split, count))
    }
}

/// Whether a field is a value.
fn is_number(field: &str) -> bool {
    field.parse::<f64>().is_ok_and(f64::is_finite)
}
