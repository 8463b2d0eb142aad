//! `tidemill average`: minimum, mean, maximum and count by key of delimited lines, in files, pipes
//! and sockets.

use std::sync::Arc;

use tidemill::{
    Aggregate, Csv, DStream, DecodedStream, Delimited, Error, ErrorKind, LineOptions, Number,
    Reason, Reject, RejectCount, Saved, Stats, Tally,
};

use crate::averages::{Averages, Sort};
use crate::failure::Failure;
use crate::guess::Call;
use crate::header::{self, Cut, Header, Layout};
use crate::input::{self, Ask, Lines, Window};
use crate::job::{self, Job};
use crate::missing::Counts;
use crate::parse::{self, Field, Split};
use crate::summary::signed;
use crate::tallies::Tallies;
use crate::terminal;

/// Averages numbers by key: of FILEs or standard input in total, of streams batch by batch.
///
/// A line has fields with a delimiter between two, such as `oslo;-3.5`; of each key it prints the
/// minimum, mean, maximum and count of its values. A stream is a socket, files and directories that
/// are followed, or standard input with --interval or --window. The first Ctrl-C ends it: what was
/// received is counted and printed. The second one stops at once.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    input: input::Args,

    /// What stands between two fields: one ASCII character, such as ',' or '\t', or 'whitespace':
    /// any run of it, as in what vmstat, ps and ls -l print
    #[arg(long, value_name = "C", default_value = ";", value_parser = parse::delimiter)]
    #[arg(allow_hyphen_values = true)]
    delimiter: Split,

    /// Fields may stand in quotes, as in CSV: `"Main, 22",1.5`. A line end within quotes is part of
    /// its field
    #[arg(long)]
    quoted: bool,

    /// The field that is the key: its number, from 1 up, or its name in the header. With a header a
    /// number is a name first; #2 is the second field whatever its name
    #[arg(long, value_name = "FIELD", default_value = "1", value_parser = parse::field)]
    #[arg(allow_hyphen_values = true)]
    key: Field,

    /// The field that is the value: its number or name, as of the key
    #[arg(long, value_name = "FIELD", default_value = "2", value_parser = parse::field)]
    #[arg(allow_hyphen_values = true)]
    value: Field,

    /// The first line of each file, or TEXT, is a header: lines equal to it are skipped, and all
    /// others have as many fields. A file that comes later with other columns is left out. Names of
    /// fields imply it; sockets need TEXT
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "")]
    header: Option<String>,

    /// Fail at the first line that has no number where the value should be
    #[arg(long)]
    strict: bool,

    /// What rows are sorted by: keys from the least one, all else from the greatest one
    #[arg(long, value_enum, default_value = "key")]
    sort: Sort,

    #[command(flatten)]
    job: job::Args,
}

const AFTER_HELP: &str = "\
A value is a finite number with nothing around it. What has up to 18 digits is taken as it is
written, and all else as the nearest float. Sums of both are exact, so that the mean is the exact
mean, rounded once to the nearest float; it is printed with as many digits as tell it from other
floats. A table rounds it further, to two places more than the values have. Lines without a value
are left out: standard error says how many there were, why, and shows one. Blank lines do not
count. If every line was left out, or 9 in 10 of at least 10, the exit code is 4, and standard error
says what may have been meant.

With a header of names between white space, the last column takes what is left of its line.

CSV and JSON of a stream have the batch's time before each key, in milliseconds since 1970:
batch_time_ms. A window that ends at that time has what came in the TIME before it; the first ones
are not full yet, and the last one ends with the input.

Examples:
  tidemill average measurements.txt
  tidemill average --all --format csv measurements.txt > averages.csv
  tidemill average --delimiter , --quoted --key station --value celsius 2025.csv 2026.csv
  tidemill average --sort mean --top 3 --delimiter '\\t' --key 4 --value 7 table.tsv
  ps aux | tidemill average --delimiter whitespace --key USER --value RSS --sort mean
  tidemill generate measurements --rate 10k | tidemill average --window 10s --slide 1s
  tidemill average --follow incoming/ --running --checkpoint ~/incoming.averages
  tidemill average --listen 127.0.0.1:9999 --interval 500ms --format json | jq .mean";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = job::begin()?;
    let mut input = args.input.input()?;
    let has_names = args.key.is_name() || args.value.is_name();
    let header = match args.header.as_deref() {
        None if !has_names => Header::Absent,
        None | Some("") => Header::First,
        Some(text) => Header::Given(text),
    };
    let wanted = [("--key", &args.key), ("--value", &args.value)];
    let cut = Cut { delimiter: args.delimiter, is_quoted: args.quoted };
    if cut.is_quoted {
        match cut.delimiter {
            Split::Byte(b'"') => {
                return Err(Failure::Usage("--delimiter is the quote of --quoted".to_owned()));
            }
            Split::Whitespace => {
                let message = "--quoted needs one character as --delimiter, not white space";
                return Err(Failure::Usage(message.to_owned()));
            }
            Split::Byte(_) => {}
        }
    }
    let Some(layout) = header::layout(&mut input, header, wanted, cut, &interrupt)? else {
        return Ok(());
    };
    let has_header = header != Header::Absent;
    let (is_strict, sort) = (args.strict, args.sort);
    let asks = header == Header::First;
    let wanted = [args.key.clone(), args.value.clone()];
    let average = Average { layout, cut, wanted, has_header, asks, is_strict, sort, decoded: None };
    job::run(average, input, &args.job, &interrupt)
}

/// Lines that were left out, and those that became rows.
const LEFT_OUT: &str = "line left out";
const ROWS: &str = "line read";

/// Lines to statistics by key.
struct Average {
    layout: Layout,
    cut: Cut,
    /// The key and the value, as they were asked for.
    wanted: [Field; 2],
    has_header: bool,
    /// Whether each file begins with a header.
    asks: bool,
    is_strict: bool,
    sort: Sort,
    /// What was made of the lines, once there are any.
    decoded: Option<DecodedStream<(String, Number)>>,
}

impl Average {
    fn decode(&self, lines: &DStream<String>) -> DecodedStream<(String, Number)> {
        let Layout { fields, headers, .. } = &self.layout;
        let plain = match self.cut.delimiter {
            Split::Byte(separator) if self.cut.is_quoted => {
                let csv = Csv::new(separator).columns(*fields);
                return lines.decode(headers.iter().fold(csv, |csv, header| csv.header(header)));
            }
            Split::Byte(separator) => Delimited::new(separator),
            Split::Whitespace => Delimited::whitespace(),
        };
        let plain = plain.columns(*fields);
        lines.decode(headers.iter().fold(plain, |plain, header| plain.header(header)))
    }

    fn rejected(&self) -> Vec<RejectCount> {
        self.decoded.as_ref().map(|decoded| decoded.counts().rejected).unwrap_or_default()
    }
}

impl Job for Average {
    const NAME: &'static str = "average";
    const KEYS: &'static str = "keys";
    /// Rows may be shorter by a character where they were cut.
    const LINE_BYTES_SPARE: usize = 4;

    // Not what is printed: that is rounded, and of several batches it could not be put together.
    type Value = Saved<Tally>;
    type Report<'a> = Averages<'a>;

    fn lines(&self) -> Lines {
        let quoted = match self.cut.delimiter {
            Split::Byte(separator) if self.cut.is_quoted => Some(separator),
            _ => None,
        };
        let options = LineOptions { quoted, ..LineOptions::default() };
        let (layout, wanted, cut) = (self.layout.clone(), self.wanted.clone(), self.cut);
        let first_line = self.asks.then(|| -> Ask {
            Arc::new(move |_, line| {
                let [key, value] = &wanted;
                layout.judge([("--key", key), ("--value", value)], cut, line)
            })
        });
        Lines { options, first_line }
    }

    fn values(
        &mut self,
        lines: &DStream<String>,
        window: Option<Window>,
    ) -> DStream<(String, Saved<Tally>)> {
        let mut decoded = self.decode(lines);
        if self.is_strict {
            decoded = decoded.fail_on_reject();
        }
        let values = match window {
            Some(Window { length, slide }) => {
                (*decoded.aggregate_by_key_and_window(Tallies, length, slide)).clone()
            }
            None => decoded.aggregate_by_key(Tallies),
        };
        self.decoded = Some(decoded);
        values
    }

    fn totals_of(&self) -> String {
        // As they were asked for: a column keeps its name where it moves.
        let ([key, value], Cut { delimiter, is_quoted }) = (&self.wanted, self.cut);
        let quoted = if is_quoted { " --quoted" } else { "" };
        format!("--delimiter {delimiter}{quoted} --key {key} --value {value}")
    }

    fn merge(_: &str, total: &mut Saved<Tally>, value: Saved<Tally>) -> Result<(), Error> {
        Aggregate::<Number>::merge(&Stats, &mut total.0, &value.0)
    }

    fn report<'a>(
        &self,
        values: impl Iterator<Item = (&'a str, Saved<Tally>)>,
        rows_max: Option<usize>,
    ) -> Averages<'a> {
        Averages::new(values, self.sort, rows_max)
    }

    fn failure(&self, error: Error) -> Failure {
        let rejected = self.rejected();
        let sample = rejected.first().and_then(|rejected| rejected.samples.first());
        match sample {
            // The engine's message names an operator, and a field by its place in the pair.
            Some(Reject { line, reason, .. }) if error.kind() == ErrorKind::Decode => {
                Failure::Run(format!("--strict: {reason}, in line {line:?}"))
            }
            _ => error.into(),
        }
    }

    fn lines_cut(&self) -> Option<u64> {
        let of = |rejected: &&RejectCount| rejected.reason == Reason::TooLong;
        Some(self.rejected().iter().filter(of).map(|rejected| rejected.lines).sum())
    }

    fn counted(&self) -> Counts {
        let rejected = self.rejected().iter().map(|rejected| rejected.lines).sum();
        let rows = self.decoded.as_ref().map_or(0, |decoded| decoded.counts().rows);
        Counts::from(
            [(LEFT_OUT, rejected), (ROWS, rows)].map(|(kind, n)| (kind.to_owned(), signed(n))),
        )
    }

    fn tell(&self) {
        for rejected in self.rejected() {
            let (lines, reason) = (rejected.lines, rejected.reason);
            let noun = if lines == 1 { "line" } else { "lines" };
            let sample = rejected.samples.first().map_or("", |sample| sample.line.as_str());
            terminal::tell(format_args!("{lines} {noun} left out ({reason}), such as {sample:?}"));
        }
    }

    fn verdict(&self, counted: &mut Counts) -> Option<String> {
        let call = Call {
            cut: self.cut,
            has_header: self.has_header,
            fields: self.layout.fields,
            rows: counted.remove(ROWS)?.unsigned_abs(),
            left_out: counted.remove(LEFT_OUT)?.unsigned_abs(),
            rejected: &self.rejected(),
        };
        call.verdict()
    }
}
