//! print: the first rows of a batch on standard output, in the form that Spark's users know.
//!
//! On a terminal, what is in the rows is escaped where it would steer that; into a pipe or a file
//! it goes as it is.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use super::escape::{escaped, escaped_lines};
use super::stdout::write_stdout;
use crate::record::{Batch, Show, shown};
use crate::time::Time;

const LINE: &str = "-------------------------------------------";

/// Writes the batch in one go, so that what others print stays outside of it.
pub(crate) fn print_batch<T: Show>(
    batch: &Batch<T>,
    time: Time,
    rows_max: usize,
) -> io::Result<()> {
    let is_terminal = io::stdout().is_terminal();
    let mut text = Vec::new();
    writeln!(text, "{LINE}\nTime: {time}\n{LINE}")?;
    let mut rows = batch.iter();
    for row in rows.by_ref().take(rows_max) {
        let row = shown::<T>(row);
        match is_terminal {
            true => writeln!(text, "{}", escaped(&row.to_string()))?,
            false => writeln!(text, "{row}")?,
        }
    }
    if rows.next().is_some() {
        writeln!(text, "...")?;
    }
    writeln!(text)?;
    write_stdout(&text)
}

/// Writes a batch that is a table, under its time.
pub(crate) fn print_table(table: &impl fmt::Display, time: Time) -> io::Result<()> {
    write_table(&format!("{LINE}\nTime: {time}\n{LINE}\n{table}\n"))
}

/// Writes a table, whose lines are what it is made of.
pub(crate) fn write_table(table: &str) -> io::Result<()> {
    match io::stdout().is_terminal() {
        true => write_stdout(escaped_lines(table).as_bytes()),
        false => write_stdout(table.as_bytes()),
    }
}
