//! print: the first rows of a batch on standard output, in the form that Spark's users know.

use std::fmt;
use std::io::{self, Write};

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
    let mut text = Vec::new();
    writeln!(text, "{LINE}\nTime: {time}\n{LINE}")?;
    let mut rows = batch.iter();
    for row in rows.by_ref().take(rows_max) {
        writeln!(text, "{}", shown::<T>(row))?;
    }
    if rows.next().is_some() {
        writeln!(text, "...")?;
    }
    writeln!(text)?;
    write_stdout(&text)
}

/// Writes a batch that is a table, under its time.
pub(crate) fn print_table(table: &impl fmt::Display, time: Time) -> io::Result<()> {
    write_stdout(format!("{LINE}\nTime: {time}\n{LINE}\n{table}\n").as_bytes())
}
