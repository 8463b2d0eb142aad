//! `tidemill wordcount`: how often each word comes, in files, pipes and sockets.

use std::cmp::Reverse;

use tidemill::{DStream, Error, ErrorKind, LineOptions, LongLine};

use crate::cells;
use crate::failure::Failure;
use crate::input::{self, Lines, Window};
use crate::job::{self, Job};
use crate::output::{self, Report};
use crate::parse::{self, Split};

/// Counts words: of FILEs or standard input in total, of streams batch by batch.
///
/// A stream is a socket, files and directories that are followed, or standard input with --interval
/// or --window.
/// The first Ctrl-C ends it: what was received is counted and printed. The second one stops at
/// once.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    input: input::Args,

    /// Where words end: 'whitespace', or one ASCII character such as ',' or '\t', between two of
    /// which there is a word even if it is empty
    #[arg(long, value_name = "HOW", default_value = "whitespace", value_parser = parse::split)]
    #[arg(allow_hyphen_values = true)]
    split: Split,

    #[command(flatten)]
    job: job::Args,
}

const AFTER_HELP: &str = "\
Words are sorted by their counts, most frequent first, and then by themselves. CSV and JSON of a
stream have the batch's time before each word, in milliseconds since 1970: batch_time_ms. A window
that ends at that time has what came in the TIME before it; the first ones are not full yet, and the
last one ends with the input.

Examples:
  tidemill wordcount server.log
  tidemill wordcount --all --format csv *.txt > words.csv
  tidemill wordcount --follow /var/log/syslog --interval 5s --running
  tidemill wordcount --follow /var/log/syslog --running --checkpoint ~/syslog.counts
  tidemill wordcount --follow /var/log/syslog --window 5m --slide 10s
  tidemill wordcount --follow incoming/ --running --checkpoint ~/incoming.counts
  tail -f access.log | cut -d' ' -f1 | tidemill wordcount --interval 1s
  tidemill wordcount --listen 127.0.0.1:9999 --interval 500ms --format json | jq .word";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = job::begin()?;
    let input = args.input.input()?;
    job::run(WordCount { split: args.split }, input, &args.job, &interrupt)
}

/// Lines to counts by word.
struct WordCount {
    split: Split,
}

impl Job for WordCount {
    const NAME: &'static str = "wordcount";
    const KEYS: &'static str = "words";

    type Value = i64;
    type Report<'a> = Ranking<'a>;

    fn values(
        &mut self,
        lines: &DStream<String>,
        window: Option<Window>,
    ) -> DStream<(String, i64)> {
        let words = match self.split {
            Split::Whitespace => lines.split_whitespace(),
            Split::Byte(separator) => lines.split(separator),
        };
        match window {
            Some(Window { length, slide }) => words.count_by_value_and_window(length, slide),
            None => words.count_by_value(),
        }
    }

    /// Words count, and lines do not.
    fn lines(&self) -> Lines {
        let long_line = match self.split {
            Split::Whitespace => LongLine::SplitAtWhitespace,
            Split::Byte(separator) => LongLine::SplitAt(separator),
        };
        let options = LineOptions { long_line, ..LineOptions::default() };
        Lines { options, ..Lines::default() }
    }

    fn totals_of(&self) -> String {
        match self.split {
            Split::Whitespace => "--split whitespace".to_owned(),
            Split::Byte(byte) => format!("--split {}", byte.escape_ascii()),
        }
    }

    fn merge(word: &str, total: &mut i64, count: i64) -> Result<(), Error> {
        // As the engine's own sums: an overflow is an error, not a wrong number.
        *total = total.checked_add(count).ok_or_else(|| {
            Error::new(ErrorKind::Overflow, format!("the count of {word:?} is too large"))
        })?;
        Ok(())
    }

    fn report<'a>(
        &self,
        counts: impl Iterator<Item = (&'a str, i64)>,
        rows_max: Option<usize>,
    ) -> Ranking<'a> {
        Ranking::new(counts, rows_max)
    }
}

/// Words in the order in which they are shown.
struct Ranking<'a> {
    rows: Vec<Row<'a>>,
    distinct: usize,
    total: i64,
}

struct Row<'a> {
    count: i64,
    /// The word's first bytes as a number: it decides most ties without a look at the word.
    prefix: u64,
    word: &'a str,
}

impl<'a> Ranking<'a> {
    /// Sorts the most frequent `rows_max` words first, ties by word.
    fn new(words: impl Iterator<Item = (&'a str, i64)>, rows_max: Option<usize>) -> Ranking<'a> {
        let mut rows: Vec<Row<'a>> =
            words.map(|(word, count)| Row { count, prefix: prefix(word), word }).collect();
        let total = rows.iter().map(|row| row.count).sum();
        let distinct = rows.len();
        let key = |row: &Row<'a>| (Reverse(row.count), row.prefix, row.word);
        output::sort(&mut rows, rows_max, |a, b| key(a).cmp(&key(b)));
        Ranking { rows, distinct, total }
    }
}

fn prefix(word: &str) -> u64 {
    let mut first = [0; 8];
    let len = word.len().min(8);
    first[..len].copy_from_slice(&word.as_bytes()[..len]);
    u64::from_be_bytes(first)
}

impl Report for Ranking<'_> {
    const TEXT: &'static str = "word";
    const NUMBERS: &'static [&'static str] = &["count"];

    fn heading(&self) -> String {
        let noun = if self.total == 1 { "word" } else { "words" };
        format!("{} {noun}, {} distinct", self.total, self.distinct)
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn text(&self, row: usize) -> &str {
        self.rows[row].word
    }

    fn push_number(&self, row: usize, _column: usize, out: &mut Vec<u8>) {
        // A count is never negative.
        cells::push_number(self.rows[row].count.unsigned_abs(), out);
    }
}
