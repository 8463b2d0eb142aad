//! `tidemill wordcount`: how often each word comes, in files, pipes and sockets.
//!
//! What ends by itself gives one total at its end; a stream gives one result for each batch. A
//! total is printed only if all of the input is in it, or the exit code says that it is not.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hashbrown::HashMap;
use tidemill::{
    Batch, BoxError, DStream, Error, ErrorKind, Files, Follow, Limits, Listen, Socket, Stdin,
    StreamingContext,
};

use crate::failure::Failure;
use crate::output::{Format, Output, Ranking};
use crate::parse::Split;
use crate::terminal::{self, Bytes, Interrupt, Progress};
use crate::{log, parse};

/// How often the main thread looks for Ctrl-C and shows progress.
const POLL: Duration = Duration::from_millis(25);

/// The batch interval of input that is not cut by time; what ends by itself ends its batch, too.
const WHOLE_INPUT: Duration = Duration::from_secs(60 * 60);

/// Counts words: of FILEs or standard input in total, of streams batch by batch.
///
/// A stream is a socket, files that are followed, or standard input with --interval or --window.
/// The first Ctrl-C ends it: what was received is counted and printed. The second one stops at
/// once.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Files to count, one after another; none, or -, is standard input
    files: Vec<PathBuf>,

    /// Read lines from the server at HOST:PORT; connects again when it closes
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["files", "listen", "follow"])]
    connect: Option<String>,

    /// Read lines from whoever connects to ADDR, such as 127.0.0.1:9999
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["files", "follow"])]
    listen: Option<String>,

    /// Read FILEs and then what is appended to them, also after they were rotated
    #[arg(long, requires = "files")]
    follow: bool,

    /// Time between two batches of a stream, from 1ms to 24h [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    interval: Option<Duration>,

    /// Count over the last TIME, at each slide, rather than in each batch
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    #[arg(conflicts_with = "running")]
    window: Option<Duration>,

    /// Time between two results of --window [default: the interval]
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    #[arg(requires = "window")]
    slide: Option<Duration>,

    /// Where words end: 'whitespace', or one ASCII character such as ',' or '\t', between two of
    /// which there is a word even if it is empty
    #[arg(long, value_name = "HOW", default_value = "whitespace", value_parser = parse::split)]
    #[arg(allow_hyphen_values = true)]
    split: Split,

    /// Threads that count [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Print the N most frequent words
    #[arg(long, value_name = "N", default_value = "10", value_parser = parse::count)]
    top: u64,

    /// Print all words
    #[arg(long, conflicts_with = "top")]
    all: bool,

    /// Print totals since the start rather than each batch's
    #[arg(long)]
    running: bool,

    /// The shape of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
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
  tidemill wordcount --follow /var/log/syslog --window 5m --slide 10s
  tail -f access.log | cut -d' ' -f1 | tidemill wordcount --interval 1s
  tidemill wordcount --listen 127.0.0.1:9999 --interval 500ms --format json | jq .word";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    log::install();
    let interrupt = Interrupt::install()?;
    let source = Source::of(args);
    let is_stream = match source {
        Source::Connect(_) | Source::Listen(_) | Source::Follow => true,
        Source::Stdin => args.interval.is_some() || args.window.is_some(),
        Source::Files => {
            if args.window.is_some() {
                let message = "--window needs a stream: FILEs with --follow, a socket or a pipe";
                return Err(Failure::Usage(message.to_owned()));
            }
            if args.interval.is_some() {
                terminal::tell("--interval does nothing for files without --follow");
            }
            false
        }
    };
    let interval = match (is_stream, args.window) {
        (false, _) => WHOLE_INPUT,
        (true, None) => args.interval.unwrap_or(Duration::from_secs(1)),
        (true, Some(window)) => check_window(args, window)?,
    };
    let mut builder = StreamingContext::builder("wordcount").batch_interval(interval);
    if let Some(threads) = args.threads {
        builder = builder.threads(usize::from(threads));
    }
    let ssc = builder.build()?;
    let (lines, size) = source.open(&ssc, args)?;
    let words = match args.split {
        Split::Whitespace => lines.split_whitespace(),
        Split::Byte(separator) => lines.split(separator),
    };
    let counts = match args.window {
        Some(window) => words.count_by_value_and_window(window, interval),
        None => words.count_by_value(),
    };
    // A table that takes the place of the last one would also wipe out what is being typed.
    let is_typed = source == Source::Stdin && terminal::stdin_is_terminal();
    let may_replace = !args.all && !is_typed;
    let output = Output::new(args.format, is_stream, may_replace);
    let rows_max = (!args.all).then(|| usize::try_from(args.top).unwrap_or(usize::MAX));
    if is_stream {
        run_stream(&ssc, &counts, output, rows_max, args.running, &interrupt)?;
    } else {
        run_whole(&ssc, &counts, output, rows_max, size, &interrupt)?;
    }
    Ok(())
}

/// The interval of the batches for a window: its slide, so that the last batch, which is cut where
/// the input ends, is given out with the window.
fn check_window(args: &Args, window: Duration) -> Result<Duration, Failure> {
    let interval = args.interval.or(args.slide).unwrap_or(Duration::from_secs(1));
    let slide = args.slide.unwrap_or(interval);
    check_multiple("--slide", slide, "--interval", interval)?;
    check_multiple("--window", window, "--slide", slide)?;
    Ok(slide)
}

fn check_multiple(name: &str, time: Duration, of: &str, unit: Duration) -> Result<(), Failure> {
    if time.as_millis().is_multiple_of(unit.as_millis()) {
        return Ok(());
    }
    let message = format!("{name} is {time:?}, but must be a multiple of {of}, which is {unit:?}");
    Err(Failure::Usage(message))
}

/// Where the lines come from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Source<'a> {
    Connect(&'a str),
    Listen(&'a str),
    Follow,
    Files,
    Stdin,
}

impl<'a> Source<'a> {
    fn of(args: &'a Args) -> Source<'a> {
        match args {
            Args { connect: Some(address), .. } => Source::Connect(address),
            Args { listen: Some(address), .. } => Source::Listen(address),
            Args { follow: true, .. } => Source::Follow,
            Args { files, .. } if files.is_empty() => Source::Stdin,
            Args { files, .. } if files.len() == 1 && files[0].as_os_str() == "-" => Source::Stdin,
            _ => Source::Files,
        }
    }

    /// The lines, and of files how many bytes there are to read.
    fn open(
        self,
        ssc: &StreamingContext,
        args: &Args,
    ) -> Result<(DStream<String>, Option<u64>), Failure> {
        let mut size = None;
        let lines = match self {
            Source::Connect(address) => ssc.receiver_stream(Socket::connect(address)?),
            Source::Listen(address) => {
                let listen = Listen::bind(address)?;
                terminal::tell(format_args!("listening on {}", listen.local_addr()));
                ssc.receiver_stream(listen)
            }
            Source::Follow => ssc.receiver_stream(Follow::new(&args.files)?),
            Source::Files => {
                let files = Files::open(&args.files)?;
                size = Some(files.bytes_total());
                ssc.receiver_stream(files)
            }
            Source::Stdin => {
                size = terminal::stdin_file_size();
                ssc.receiver_stream(Stdin::open()?)
            }
        };
        Ok((lines?, size))
    }
}

/// One result for each batch.
fn run_stream(
    ssc: &StreamingContext,
    counts: &DStream<(String, i64)>,
    mut output: Output,
    rows_max: Option<usize>,
    is_running: bool,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    output.start().map_err(|error| Failure::of_output(&error))?;
    let failed = Arc::new(Mutex::new(None));
    let (fail, handle) = (failed.clone(), ssc.clone());
    let mut totals = Totals::default();
    counts.foreach_batch(move |batch, time| {
        if batch.is_empty() && !output.shows_empty() {
            return Ok(());
        }
        let written = if is_running {
            totals.add(batch)?;
            output.write(Some(time), &Ranking::new(totals.iter(), rows_max))
        } else {
            output.write(Some(time), &Ranking::new(batch.iter(), rows_max))
        };
        if let Err(error) = written {
            // There is nobody to write the next batches for.
            *lock(&fail) = Some(Failure::of_output(&error));
            handle.stop();
        }
        Ok(())
    });
    ssc.start()?;
    let ended = await_end(ssc, interrupt, &mut Progress::new(0));
    if let Some(failure) = lock(&failed).take() {
        return Err(failure);
    }
    tell_of_lines(ssc);
    ended.map(drop)
}

/// One result, at the end of the input.
fn run_whole(
    ssc: &StreamingContext,
    counts: &DStream<(String, i64)>,
    mut output: Output,
    rows_max: Option<usize>,
    size: Option<u64>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let whole = Arc::new(Mutex::new(Whole::Nothing));
    let sink = whole.clone();
    counts.foreach_batch(move |batch, _| lock(&sink).add(batch));
    ssc.start()?;
    let mut progress = Progress::new(size.unwrap_or(0));
    let ended = await_end(ssc, interrupt, &mut progress);
    progress.clear();
    let was_interrupted = ended?;
    let whole = lock(&whole);
    let ranking = match &*whole {
        Whole::Nothing => Ranking::new(std::iter::empty(), rows_max),
        Whole::One(batch) => Ranking::new(batch.iter(), rows_max),
        Whole::Many(totals) => Ranking::new(totals.iter(), rows_max),
    };
    output.write(None, &ranking).map_err(|error| Failure::of_output(&error))?;
    tell_of_lines(ssc);
    let read = bytes_read(ssc);
    match size {
        Some(size) if was_interrupted && read < size => {
            let (read, size) = (Bytes(read as f64), Bytes(size as f64));
            Err(Failure::Interrupted(format!("interrupted: counted {read} of {size} only")))
        }
        _ => Ok(()),
    }
}

/// Waits for the end of the input, a failure, or Ctrl-C; says whether it was that.
fn await_end(
    ssc: &StreamingContext,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Result<bool, Failure> {
    loop {
        match ssc.await_termination_timeout(POLL) {
            Ok(true) => return Ok(false),
            Ok(false) if interrupt.is_wanted() => {
                terminal::clear_line();
                ssc.stop_gracefully();
                ssc.await_termination()?;
                return Ok(true);
            }
            Ok(false) => progress.show(bytes_read(ssc)),
            Err(error) => {
                ssc.stop_gracefully();
                return Err(error.into());
            }
        }
    }
}

fn bytes_read(ssc: &StreamingContext) -> u64 {
    ssc.source_counts().iter().map(|counts| counts.bytes).sum()
}

/// Says which lines were not counted as they were.
fn tell_of_lines(ssc: &StreamingContext) {
    let tell = |lines: u64, what: &str| {
        let noun = if lines == 1 { "line" } else { "lines" };
        if lines > 0 {
            terminal::tell(format_args!("{lines} {noun} {what}"));
        }
    };
    let line_bytes = Limits::default().line_bytes;
    for counts in ssc.source_counts() {
        tell(counts.lines_replaced, "with bad UTF-8: each bad sequence counts as U+FFFD");
        tell(counts.lines_cut, &format!("cut at the maximum of {line_bytes} bytes"));
        tell(counts.lines_rejected, "dropped");
    }
}

/// The counts of a whole input. It is one batch unless it came slowly or ran out of blocks, and
/// then it is not worth copying.
#[derive(Debug)]
enum Whole {
    Nothing,
    One(Batch<(String, i64)>),
    Many(Totals),
}

impl Whole {
    fn add(&mut self, batch: &Batch<(String, i64)>) -> Result<(), BoxError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self {
            Whole::Nothing => *self = Whole::One(batch.clone()),
            Whole::One(first) => {
                let mut totals = Totals::default();
                totals.add(first)?;
                totals.add(batch)?;
                *self = Whole::Many(totals);
            }
            Whole::Many(totals) => totals.add(batch)?,
        }
        Ok(())
    }
}

/// Counts over several batches.
#[derive(Debug, Default)]
struct Totals {
    counts: HashMap<String, i64>,
}

impl Totals {
    fn add(&mut self, batch: &Batch<(String, i64)>) -> Result<(), Error> {
        let distinct_max = Limits::default().distinct_keys;
        for (word, count) in batch.iter() {
            // As the engine's own sums: an overflow is an error, not a wrong number.
            let total = self.counts.entry_ref(word).or_insert(0);
            *total = total.checked_add(count).ok_or_else(|| {
                Error::new(ErrorKind::Overflow, format!("the count of {word:?} is too large"))
            })?;
        }
        if self.counts.len() > distinct_max {
            let message = format!("more than {distinct_max} distinct words");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.counts.iter().map(|(word, &count)| (word.as_str(), count))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
