//! Tables as text, in the form that Spark's users know.

use std::fmt;
use std::io;

use super::Table;
use crate::sink::write_table;

/// Rows that a table shows unless told otherwise.
const ROWS: usize = 20;

/// Characters of a value that are shown; the last three of them are dots where there are more.
const CHARACTERS_MAX: usize = 20;

/// A column is at least so wide.
const WIDTH_MIN: usize = 3;

impl Table {
    /// Prints the first rows to standard output, as Spark's `show` does: values are cut at 20
    /// characters and stand at the right. On a terminal, characters that would steer it are
    /// escaped.
    pub fn show(&self, rows_max: usize) -> io::Result<()> {
        write_table(&self.shown(rows_max).to_string())
    }

    /// What [`show`](Self::show) prints, to be formatted with `{}`; the table itself is formatted
    /// as its first 20 rows.
    pub fn shown(&self, rows_max: usize) -> impl fmt::Display {
        Shown { table: self, rows_max }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shown(ROWS), f)
    }
}

struct Shown<'a> {
    table: &'a Table,
    rows_max: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table;
        let rows = table.len().min(self.rows_max);
        // Column by column: the name, and then the rows.
        let columns = table.schema().fields().iter().zip(table.columns()).map(|(field, series)| {
            let cells = (0..rows).map(|row| cut(series.get(row).to_string()));
            std::iter::once(cut(field.name().to_owned())).chain(cells).collect::<Vec<_>>()
        });
        let columns: Vec<Vec<String>> = columns.collect();
        let width = |column: &Vec<String>| column.iter().map(|text| text.chars().count()).max();
        let widths: Vec<usize> =
            columns.iter().map(|column| width(column).unwrap_or(0).max(WIDTH_MIN)).collect();
        let rule = || widths.iter().map(|&width| "-".repeat(width)).collect::<Vec<_>>().join("+");
        writeln!(f, "+{}+", rule())?;
        for line in 0..=rows {
            let cells = columns.iter().zip(&widths).map(|(column, &width)| {
                let text = &column[line];
                format!("{text:>width$}")
            });
            writeln!(f, "|{}|", cells.collect::<Vec<_>>().join("|"))?;
            if line == 0 {
                writeln!(f, "+{}+", rule())?;
            }
        }
        writeln!(f, "+{}+", rule())?;
        if rows < table.len() {
            let plural = if rows == 1 { "row" } else { "rows" };
            writeln!(f, "only showing top {rows} {plural}")?;
        }
        Ok(())
    }
}

/// A value on one line, and no longer than it may be.
fn cut(text: String) -> String {
    let text = text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    if text.chars().count() <= CHARACTERS_MAX {
        return text;
    }
    text.chars().take(CHARACTERS_MAX - 3).chain("...".chars()).collect()
}
