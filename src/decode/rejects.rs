//! Lines that are no rows: where a decoder reports them, and what the program gets to see.

use super::Reason;
use crate::record::{Columns, Record, TextColumn};

/// A line that is no row of the record asked for.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
#[record(crate = crate)]
pub struct Reject {
    /// The line, whole.
    pub line: String,
    /// The name of the field that is at fault; empty where it is the line.
    pub field: String,
    /// [`Reason`] in words.
    pub reason: String,
}

/// Where a decoder reports the lines of a chunk that are no rows.
#[derive(Debug, Default)]
pub struct Rejects {
    rows: Vec<Rejected>,
    /// The names of fields, which many rejects share.
    fields: Vec<String>,
    skipped: Vec<u32>,
    /// Whether lines without anything but white space are not at fault.
    skips_blank: bool,
}

#[derive(Copy, Clone, Debug)]
struct Rejected {
    row: u32,
    field: u32,
    reason: Reason,
}

impl Rejects {
    /// Reports a line by its number among those that are being decoded, with the name of the field
    /// that is at fault, if it is one. Of several reports of a line the first one of its first
    /// field counts.
    pub fn push(&mut self, row: usize, field: &str, reason: Reason) {
        let known = self.fields.iter().position(|known| known == field);
        let field = known.unwrap_or_else(|| {
            self.fields.push(field.to_owned());
            self.fields.len() - 1
        });
        self.rows.push(Rejected { row: row as u32, field: field as u32, reason });
    }

    /// Takes a line out that is neither a row nor at fault, such as a header.
    pub fn skip(&mut self, row: usize) {
        self.skipped.push(row as u32);
    }

    /// From here on lines that are reported and have nothing but white space in them are skipped: a
    /// line that nobody wrote anything on is no fault. One that was cut may have more.
    pub(crate) fn skip_blank(&mut self) {
        self.skips_blank = true;
    }

    /// Whether all lines are rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.skipped.is_empty()
    }

    /// Brings what was reported in order: one report for each line, and none for those skipped.
    pub(crate) fn settle(&mut self, lines: &TextColumn) {
        self.rows.sort_by_key(|rejected| rejected.row);
        self.rows.dedup_by_key(|rejected| rejected.row);
        if self.skips_blank {
            let reported = self.rows.iter().filter(|rejected| rejected.reason != Reason::TooLong);
            let is_blank = |row: &u32| lines.get(*row as usize).trim_ascii().is_empty();
            self.skipped.extend(reported.map(|rejected| rejected.row).filter(is_blank));
        }
        self.skipped.sort_unstable();
        self.skipped.dedup();
        let skipped = &self.skipped;
        self.rows.retain(|rejected| skipped.binary_search(&rejected.row).is_err());
    }

    pub(crate) fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// The numbers of the lines among `lines` that are rows, once settled.
    pub(crate) fn accepted(&self, lines: usize) -> Vec<u32> {
        let mut out: Vec<u32> = self.rows.iter().map(|rejected| rejected.row).collect();
        out.extend(&self.skipped);
        out.sort_unstable();
        let mut out = out.into_iter().peekable();
        (0..lines as u32).filter(|row| out.next_if_eq(row).is_none()).collect()
    }

    /// Line number, field and reason of each reject, once settled.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &str, Reason)> {
        let named = |rejected: &Rejected| {
            let field = self.fields[rejected.field as usize].as_str();
            (rejected.row as usize, field, rejected.reason)
        };
        self.rows.iter().map(named)
    }

    /// The rejects as records; the lines share the bytes of `lines`.
    pub(crate) fn columns(&self, lines: &TextColumn) -> RejectColumns {
        let rows: Vec<u32> = self.rows.iter().map(|rejected| rejected.row).collect();
        let mut columns = RejectColumns { line: lines.gather(&rows), ..RejectColumns::default() };
        for (_, field, reason) in self.iter() {
            columns.field.push(field);
            columns.reason.push(reason.as_str());
        }
        columns.freeze();
        columns
    }
}
