//! Results as a table, as CSV, or as JSON lines.
//!
//! Each batch is put together in memory and written at once: no row costs an allocation or a
//! system call, and a reader never sees half a batch of ours.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::{self, IsTerminal, Write};

use rayon::slice::ParallelSliceMut;
use tidemill::__command::escaped;
use tidemill::Time;

use crate::cells::{columns, push_cell, push_csv_field, push_cut, push_json_text, push_number};
use crate::failure::Failure;
use crate::stdio::Stdout;
use crate::terminal;

/// The shape of the output.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: long words shortened
    Table,
    /// A header, then a line for each row
    Csv,
    /// An object for each row, one a line
    Json,
}

/// From so many rows on, sorting on several cores is worth waking them.
const PARALLEL_ROWS_MIN: usize = 1 << 17;

/// A word of a table is shortened to this where the width is unknown.
const TEXT_COLUMNS_MAX: usize = 100;

/// Columns of a table that a number takes at least.
const NUMBER_COLUMNS_MIN: usize = 10;

/// What is shown: rows in their order, each of them a text and numbers.
pub(crate) trait Report {
    /// What the text is called.
    const TEXT: &'static str;

    /// What the numbers are called.
    const NUMBERS: &'static [&'static str];

    /// What stands above a table.
    fn heading(&self) -> String;

    /// The number of rows.
    fn len(&self) -> usize;

    fn text(&self, row: usize) -> &str;

    /// One of the numbers as CSV and JSON have it.
    fn push_number(&self, row: usize, column: usize, out: &mut Vec<u8>);

    /// One of the numbers as a table has it.
    fn push_number_cell(&self, row: usize, column: usize, out: &mut Vec<u8>) {
        self.push_number(row, column, out);
    }
}

/// Sorts rows of which only the first `rows_max` are of interest, and removes the others.
pub(crate) fn sort<T: Send>(
    rows: &mut Vec<T>,
    rows_max: Option<usize>,
    compare: impl Fn(&T, &T) -> Ordering + Sync,
) {
    if let Some(rows_max) = rows_max
        && rows_max < rows.len()
    {
        rows.select_nth_unstable_by(rows_max, &compare);
        rows.truncate(rows_max);
    }
    if rows.len() < PARALLEL_ROWS_MIN {
        rows.sort_unstable_by(compare);
    } else {
        rows.par_sort_unstable_by(compare);
    }
}

/// Writes results to standard output.
#[derive(Debug)]
pub(crate) struct Output {
    // Fixed.
    format: Format,
    is_stream: bool,
    is_terminal: bool,
    is_for_spreadsheet: bool,
    /// Each table takes the place of the one before.
    is_replacing: bool,
    // Changing.
    text: Vec<u8>,
    has_begun: bool,
    /// Lines of the table that the next one replaces.
    lines_shown: usize,
    /// Columns of the widest of them.
    columns_shown: usize,
}

impl Output {
    pub(crate) fn new(format: Format, is_stream: bool, may_replace: bool) -> Output {
        let is_terminal = io::stdout().is_terminal();
        let can_replace = is_terminal && terminal::knows_escapes();
        Output {
            format,
            is_stream,
            is_terminal,
            is_for_spreadsheet: false,
            is_replacing: is_stream && may_replace && can_replace && format == Format::Table,
            text: Vec::new(),
            has_begun: false,
            lines_shown: 0,
            columns_shown: 0,
        }
    }

    /// Whether CSV is for a spreadsheet.
    pub(crate) fn for_spreadsheet(self, is_for_spreadsheet: bool) -> Output {
        Output { is_for_spreadsheet, ..self }
    }

    /// Whether a batch without rows is shown, too: only where it replaces what is not true now.
    pub(crate) fn shows_empty(&self) -> bool {
        self.is_replacing
    }

    /// Writes what comes before all rows: readers of a stream learn the columns before any come.
    pub(crate) fn start<R: Report>(&mut self) -> io::Result<()> {
        self.push_header::<R>();
        self.flush()
    }

    /// Writes a batch's result, or of bounded input the only one.
    pub(crate) fn write<R: Report>(&mut self, time: Option<Time>, report: &R) -> io::Result<()> {
        self.push_header::<R>();
        match self.format {
            Format::Table => self.push_table(time, report),
            Format::Csv => self.push_csv(time, report),
            Format::Json => self.push_json(time, report),
        }
        self.flush()
    }

    fn push_header<R: Report>(&mut self) {
        if self.format == Format::Csv && !self.has_begun {
            let time: &[u8] = if self.is_stream { b"batch_time_ms," } else { b"" };
            self.text.extend_from_slice(time);
            self.text.extend_from_slice(R::TEXT.as_bytes());
            for name in R::NUMBERS {
                self.text.push(b',');
                self.text.extend_from_slice(name.as_bytes());
            }
            self.text.push(b'\n');
            self.has_begun = true;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = Stdout.write_all(&self.text);
        self.text.clear();
        written
    }

    fn push_csv<R: Report>(&mut self, time: Option<Time>, report: &R) {
        let mut time_column = Vec::new();
        if let Some(time) = time {
            push_number(time.millis(), &mut time_column);
            time_column.push(b',');
        }
        let Output { text: out, is_terminal, is_for_spreadsheet, .. } = self;
        for row in 0..report.len() {
            out.extend_from_slice(&time_column);
            let text = report.text(row);
            let text = if *is_terminal { escaped(text) } else { Cow::Borrowed(text) };
            push_csv_field(&text, *is_for_spreadsheet, out);
            for column in 0..R::NUMBERS.len() {
                out.push(b',');
                report.push_number(row, column, out);
            }
            out.push(b'\n');
        }
    }

    fn push_json<R: Report>(&mut self, time: Option<Time>, report: &R) {
        let mut head = b"{".to_vec();
        if let Some(time) = time {
            head.extend_from_slice(b"\"batch_time_ms\":");
            push_number(time.millis(), &mut head);
            head.push(b',');
        }
        head.extend_from_slice(format!("\"{}\":\"", R::TEXT).as_bytes());
        let names: Vec<String> = R::NUMBERS.iter().map(|name| format!(",\"{name}\":")).collect();
        let Output { text: out, is_terminal, .. } = self;
        for row in 0..report.len() {
            out.extend_from_slice(&head);
            push_json_text(report.text(row), *is_terminal, out);
            out.push(b'"');
            for (column, name) in names.iter().enumerate() {
                out.extend_from_slice(name.as_bytes());
                report.push_number(row, column, out);
            }
            out.extend_from_slice(b"}\n");
        }
    }

    fn push_table<R: Report>(&mut self, time: Option<Time>, report: &R) {
        // Asked each time: it may have changed.
        let size = terminal::stdout_size();
        let (columns_max, lines_max) = size.unwrap_or((usize::MAX, usize::MAX));
        // Lines that are wider than the terminal has become may take two of its lines or one.
        let is_in_place = self.lines_shown > 0 && self.columns_shown <= columns_max;
        if is_in_place && !terminal::has_spoken() {
            // What was typed, such as ^C, stands in the last line: go to its start first.
            let up = self.lines_shown;
            self.text.extend_from_slice(format!("\r\x1b[{up}A\x1b[J").as_bytes());
        } else if self.is_stream && self.has_begun {
            self.text.push(b'\n');
        }
        self.has_begun = true;
        let time = time.map_or(String::new(), |time| format!("{}  ", time_of_day(time)));
        let mut lines = vec![format!("{time}{}", report.heading()).into_bytes()];
        // One number needs no name.
        let has_names = R::NUMBERS.len() > 1;
        // The heading, the names, and the line with the cursor take room, too.
        let head = 1 + usize::from(has_names);
        let fitting =
            if self.is_replacing { lines_max.saturating_sub(head + 1) } else { usize::MAX };
        let rows = report.len().min(fitting);
        let widths = widths(report, rows);
        let number_columns: usize = widths.iter().map(|width| width + 2).sum();
        let text_columns = match size {
            Some((columns, _)) => columns.saturating_sub(number_columns).max(8),
            None => TEXT_COLUMNS_MAX,
        };
        if has_names {
            let mut line = Vec::new();
            for (name, width) in R::NUMBERS.iter().zip(&widths) {
                push_right(*width, &mut line, |out| out.extend_from_slice(name.as_bytes()));
                line.extend_from_slice(b"  ");
            }
            line.extend_from_slice(R::TEXT.as_bytes());
            lines.push(line);
        }
        self.columns_shown = 0;
        for line in lines {
            self.push_line(line, columns_max);
        }
        for row in 0..rows {
            let mut line = Vec::new();
            for (column, width) in widths.iter().enumerate() {
                push_right(*width, &mut line, |out| report.push_number_cell(row, column, out));
                line.extend_from_slice(b"  ");
            }
            push_cell(report.text(row), text_columns, &mut line);
            self.push_line(line, columns_max);
        }
        if self.is_replacing {
            self.lines_shown = head + rows;
        }
    }

    /// Adds a line, cut to the width of the terminal.
    fn push_line(&mut self, line: Vec<u8>, columns_max: usize) {
        let line = String::from_utf8_lossy(&line);
        push_cut(&line, columns_max, &mut self.text);
        self.text.push(b'\n');
        self.columns_shown = self.columns_shown.max(columns(&line).min(columns_max));
    }
}

/// Writes lines to standard output, on a terminal cut to its width.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let columns_max = terminal::stdout_size().map_or(usize::MAX, |(columns, _)| columns);
    let mut out = Vec::new();
    for line in text.lines() {
        push_cut(line, columns_max, &mut out);
        out.push(b'\n');
    }
    Stdout.write_all(&out).map_err(|error| Failure::of_output(&error))
}

/// How wide the numbers of the first `rows` are.
fn widths<R: Report>(report: &R, rows: usize) -> Vec<usize> {
    let mut cell = Vec::new();
    let mut width = |row, column| {
        cell.clear();
        report.push_number_cell(row, column, &mut cell);
        cell.len()
    };
    let mut widest = |column| (0..rows).map(|row| width(row, column)).max().unwrap_or_default();
    (0..R::NUMBERS.len()).map(|column| widest(column).max(NUMBER_COLUMNS_MIN)).collect()
}

/// What is pushed, with blanks before it up to this width.
fn push_right(width: usize, out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    push(out);
    // It was written first to learn its width.
    let pad = width.saturating_sub(out.len() - start);
    out.extend(std::iter::repeat_n(b' ', pad));
    out[start..].rotate_right(pad);
}

/// The time of day of a batch, such as `12:34:56.500 UTC`.
pub(crate) fn time_of_day(time: Time) -> String {
    let millis = time.millis() % (24 * 60 * 60 * 1000);
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} UTC")
}
