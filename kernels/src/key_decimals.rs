//! Lines of a key and a decimal, the input of every average by key, to keys and numbers in one
//! call: a stretch of lines is cut, and its decimals are parsed while the stretch is in cache.

use crate::fields::Lines;
use crate::isa::{Block, Positions};
use crate::multiversion::multiversion;
use crate::number::decimals;
use crate::{BadRow, Fields, Span};

multiversion! {
    /// Appends the key of each line of `text` to `keys` and its decimal, as
    /// [`parse_decimal`](crate::parse_decimal) reads it at `scale`, to `numbers`.
    ///
    /// `fields` has two columns, the key's and the decimal's. Only good lines get into the columns;
    /// the others are appended to `bad`, with their numbers among all lines. Returns the number of
    /// lines, good or bad.
    ///
    /// ```
    /// use tidemill_kernels::{FieldCount, Fields, key_decimals};
    ///
    /// let fields = Fields { separator: b';', columns: &[0, 1], count: FieldCount::Exactly(2) };
    /// let (mut keys, mut numbers, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    /// let text = b"ebb;-1.5\nflow;high\nebb;20\n";
    /// assert_eq!(key_decimals(text, &fields, 1, &mut keys, &mut numbers, &mut bad), 3);
    /// assert_eq!(numbers, [-15, 200]);
    /// assert_eq!((keys.len(), bad[0].row), (2, 1));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`line_fields`](crate::line_fields) and [`parse_decimal`](crate::parse_decimal), and if
    /// there are not two columns.
    pub fn key_decimals / key_decimals_at(
        text: &[u8],
        fields: &Fields<'_>,
        scale: u32,
        keys: &mut Vec<Span>,
        numbers: &mut Vec<i64>,
        bad: &mut Vec<BadRow>,
    ) -> usize, isa => {
        let [key, decimal] = *fields.columns else {
            panic!("a key and a decimal are two columns, not {}", fields.columns.len());
        };
        let equal = |block: &Block, byte| isa::equal(block, byte);
        let positions = |mask, base, into: &mut Positions| isa::positions(mask, base, into);
        let mut lines = Lines::new(text, fields);
        let (mut texts, mut bad_numbers) = (Vec::new(), Vec::new());
        while lines.next(&equal, &positions) {
            let (first_key, first_number) = (keys.len(), numbers.len());
            lines.append(key as usize, keys);
            texts.clear();
            lines.append(decimal as usize, &mut texts);
            decimals(text, &texts, scale, numbers, &mut bad_numbers);
            if !bad_numbers.is_empty() {
                let first_bad = bad.len();
                lines.report(bad);
                report_numbers(&bad_numbers, lines.number, first_bad, bad);
                remove(&bad_numbers, first_key, keys);
                remove(&bad_numbers, first_number, numbers);
                bad_numbers.clear();
            }
        }
        lines.number
    }
}

/// Appends bad numbers of a stretch that begins with line `first_line`, in order among its lines
/// that are bad for their fields and were appended from `first_bad` on.
///
/// Those lines have an empty decimal and so are among the bad numbers, too.
#[cold]
fn report_numbers(
    bad_numbers: &[BadRow],
    first_line: usize,
    first_bad: usize,
    bad: &mut Vec<BadRow>,
) {
    let fields = bad.split_off(first_bad);
    let mut fields = fields.iter().peekable();
    for number in bad_numbers {
        let number = BadRow::new(first_line + number.row as usize, number.kind);
        let same_row = fields.next_if(|line| line.row == number.row);
        bad.push(*same_row.unwrap_or(&number));
    }
}

/// Removes the bad rows of a stretch from a column where it begins at `first`.
#[cold]
fn remove<T: Copy>(bad: &[BadRow], first: usize, column: &mut Vec<T>) {
    let mut bad = bad.iter().peekable();
    let mut end = first;
    for (row, index) in (first..column.len()).enumerate() {
        if bad.next_if(|bad| bad.row as usize == row).is_none() {
            column[end] = column[index];
            end += 1;
        }
    }
    column.truncate(end);
}
