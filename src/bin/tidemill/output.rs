//! Counted words as a table, as CSV, or as JSON lines.
//!
//! Each batch is put together in memory and written at once: no row costs an allocation or a
//! system call, and a reader never sees half a batch of ours.

use std::cmp::Reverse;
use std::io::{self, IsTerminal, Write};

use rayon::slice::ParallelSliceMut;
use tidemill::Time;

use crate::terminal;

/// The shape of the output.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: most frequent first, long words shortened
    Table,
    /// A header, then a line for each word
    Csv,
    /// An object for each word, one a line
    Json,
}

/// From so many words on, sorting on several cores is worth waking them.
const PARALLEL_ROWS_MIN: usize = 1 << 17;

/// A word of a table is shortened to this where the width is unknown.
const WORD_COLUMNS_MAX: usize = 100;

/// Columns of a table before the word.
const COUNT_COLUMNS: usize = 12;

/// Words in the order in which they are shown.
#[derive(Debug)]
pub(crate) struct Ranking<'a> {
    rows: Vec<Row<'a>>,
    distinct: usize,
    total: i64,
}

#[derive(Debug)]
struct Row<'a> {
    count: i64,
    /// The word's first bytes as a number: it decides most ties without a look at the word.
    prefix: u64,
    word: &'a str,
}

impl<'a> Ranking<'a> {
    /// Sorts the most frequent `rows_max` words first, ties by word.
    pub(crate) fn new(
        words: impl Iterator<Item = (&'a str, i64)>,
        rows_max: Option<usize>,
    ) -> Ranking<'a> {
        let mut rows: Vec<Row<'a>> =
            words.map(|(word, count)| Row { count, prefix: prefix(word), word }).collect();
        let total = rows.iter().map(|row| row.count).sum();
        let distinct = rows.len();
        let key = |row: &Row<'a>| (Reverse(row.count), row.prefix, row.word);
        if let Some(rows_max) = rows_max
            && rows_max < rows.len()
        {
            rows.select_nth_unstable_by(rows_max, |a, b| key(a).cmp(&key(b)));
            rows.truncate(rows_max);
        }
        if rows.len() < PARALLEL_ROWS_MIN {
            rows.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        } else {
            rows.par_sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        }
        Ranking { rows, distinct, total }
    }
}

fn prefix(word: &str) -> u64 {
    let mut first = [0; 8];
    let len = word.len().min(8);
    first[..len].copy_from_slice(&word.as_bytes()[..len]);
    u64::from_be_bytes(first)
}

/// Writes rankings to standard output.
#[derive(Debug)]
pub(crate) struct Output {
    // Fixed.
    format: Format,
    is_stream: bool,
    is_terminal: bool,
    /// Each table takes the place of the one before.
    is_replacing: bool,
    // Changing.
    text: Vec<u8>,
    has_begun: bool,
    /// Lines of the table that the next one replaces.
    lines_shown: usize,
}

impl Output {
    pub(crate) fn new(format: Format, is_stream: bool, may_replace: bool) -> Output {
        let is_terminal = io::stdout().is_terminal();
        let is_replacing = is_stream && may_replace && is_terminal && format == Format::Table;
        let (text, has_begun, lines_shown) = (Vec::new(), false, 0);
        Output { format, is_stream, is_terminal, is_replacing, text, has_begun, lines_shown }
    }

    /// Whether a batch without words is shown, too: only where it replaces what is not true now.
    pub(crate) fn shows_empty(&self) -> bool {
        self.is_replacing
    }

    /// Writes what comes before all rows: readers of a stream learn the columns before any come.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.push_header();
        self.flush()
    }

    /// Writes a batch's words, or of bounded input the only ones.
    pub(crate) fn write(&mut self, time: Option<Time>, ranking: &Ranking<'_>) -> io::Result<()> {
        self.push_header();
        match self.format {
            Format::Table => self.push_table(time, ranking),
            Format::Csv => self.push_csv(time, ranking),
            Format::Json => self.push_json(time, ranking),
        }
        self.flush()
    }

    fn push_header(&mut self) {
        if self.format == Format::Csv && !self.has_begun {
            let time: &[u8] = if self.is_stream { b"batch_time_ms," } else { b"" };
            self.text.extend_from_slice(time);
            self.text.extend_from_slice(b"word,count\n");
            self.has_begun = true;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.text).and_then(|()| stdout.flush());
        self.text.clear();
        written
    }

    fn push_csv(&mut self, time: Option<Time>, ranking: &Ranking<'_>) {
        let mut time_column = Vec::new();
        if let Some(time) = time {
            push_number(time.millis(), &mut time_column);
            time_column.push(b',');
        }
        let out = &mut self.text;
        for row in &ranking.rows {
            out.extend_from_slice(&time_column);
            push_csv_field(row.word, out);
            out.push(b',');
            push_count(row.count, out);
            out.push(b'\n');
        }
    }

    fn push_json(&mut self, time: Option<Time>, ranking: &Ranking<'_>) {
        let mut head = b"{".to_vec();
        if let Some(time) = time {
            head.extend_from_slice(b"\"batch_time_ms\":");
            push_number(time.millis(), &mut head);
            head.push(b',');
        }
        head.extend_from_slice(b"\"word\":\"");
        let out = &mut self.text;
        for row in &ranking.rows {
            out.extend_from_slice(&head);
            push_json_text(row.word, out);
            out.extend_from_slice(b"\",\"count\":");
            push_count(row.count, out);
            out.extend_from_slice(b"}\n");
        }
    }

    fn push_table(&mut self, time: Option<Time>, ranking: &Ranking<'_>) {
        let size = if self.is_terminal { terminal::stdout_size() } else { None };
        let (columns, lines) = size.unwrap_or((COUNT_COLUMNS + WORD_COLUMNS_MAX, usize::MAX));
        if self.lines_shown > 0 && !terminal::has_spoken() {
            // What was typed, such as ^C, stands in the last line: go to its start first.
            let up = self.lines_shown;
            self.text.extend_from_slice(format!("\r\x1b[{up}A\x1b[J").as_bytes());
        } else if self.is_stream && self.has_begun {
            self.text.push(b'\n');
        }
        self.has_begun = true;
        let out = &mut self.text;
        if let Some(time) = time {
            push_time_of_day(time, out);
        }
        let Ranking { rows, distinct, total } = ranking;
        let noun = if *total == 1 { "word" } else { "words" };
        out.extend_from_slice(format!("{total} {noun}, {distinct} distinct\n").as_bytes());
        // The heading and the line with the cursor take room, too.
        let fitting = if self.is_replacing { lines.saturating_sub(2) } else { usize::MAX };
        let word_columns = columns.saturating_sub(COUNT_COLUMNS).max(8);
        for row in rows.iter().take(fitting) {
            let digits = out.len();
            push_count(row.count, out);
            let width = out.len() - digits;
            // Right-aligned: the count was written first to learn its width.
            let pad = (COUNT_COLUMNS - 2).saturating_sub(width);
            out.extend(std::iter::repeat_n(b' ', pad));
            out[digits..].rotate_right(pad);
            out.extend_from_slice(b"  ");
            push_cell(row.word, word_columns, out);
            out.push(b'\n');
        }
        if self.is_replacing {
            self.lines_shown = 1 + rows.len().min(fitting);
        }
    }
}

/// A count, which is never negative.
fn push_count(count: i64, out: &mut Vec<u8>) {
    push_number(count.unsigned_abs(), out);
}

fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// As RFC 4180 has it: quoted if it holds what ends a field or a line.
fn push_csv_field(word: &str, out: &mut Vec<u8>) {
    if !word.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return out.extend_from_slice(word.as_bytes());
    }
    out.push(b'"');
    for byte in word.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn push_json_text(word: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in word.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
            }
            byte => out.push(byte),
        }
    }
}

/// A word in so many columns of a terminal at most. What would steer the terminal is shown as an
/// escape, so that a log line cannot.
fn push_cell(word: &str, columns_max: usize, out: &mut Vec<u8>) {
    if word.is_empty() {
        return out.extend_from_slice(b"(empty)");
    }
    let mut columns = 0;
    for (at, c) in word.char_indices() {
        let start = out.len();
        let is_last = at + c.len_utf8() == word.len();
        // Characters that are not ASCII may be two columns wide.
        let width = if c.is_control() {
            out.extend(c.escape_default().map(|escaped| escaped as u8));
            out.len() - start
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            if c.is_ascii() { 1 } else { 2 }
        };
        let room = columns_max - columns;
        if width > room || (width == room && !is_last) {
            out.truncate(start);
            return out.extend_from_slice("…".as_bytes());
        }
        columns += width;
    }
}

fn push_time_of_day(time: Time, out: &mut Vec<u8>) {
    out.extend_from_slice(time_of_day(time).as_bytes());
    out.extend_from_slice(b"  ");
}

/// The time of day of a batch, such as `12:34:56.500 UTC`.
pub(crate) fn time_of_day(time: Time) -> String {
    let millis = time.millis() % (24 * 60 * 60 * 1000);
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} UTC")
}
