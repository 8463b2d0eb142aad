//! From lines to results on standard output: what all subcommands that read do alike.
//!
//! What ends by itself gives one total at its end; a stream gives one result for each batch. A
//! total is printed only if all of the input is in it, or the exit code says that it is not.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tidemill::{
    DStream, Error, IntakeLog, Limits, MissedBatches, OnFailure, Record, StreamingContext, Time,
    checkpoint,
};

use crate::failure::Failure;
use crate::input::{Extent, Input, Lines, Source, Window, is_same};
use crate::log;
use crate::missing::{Counts, Missing};
use crate::output::{Format, Output, Report};
use crate::parse;
use crate::stream::{Left, Printer, Shown};
use crate::summary::{self, Summary};
use crate::terminal::{self, Bytes, Interrupt, Progress};
use crate::totals::{Totals, Whole, rows};

/// How often the main thread looks for Ctrl-C and shows progress.
const POLL: Duration = Duration::from_millis(25);

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Threads that count [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// The most memory for data: blocks of input, keys and their values, windows, totals and
    /// results; with a unit of 1024, such as 512M or 2G. A batch that needs more fails. The process
    /// takes up to 64M and an eighth besides [default: half of what the machine or the control
    /// group has]
    #[arg(long, value_name = "BYTES", value_parser = parse::memory)]
    memory: Option<usize>,

    /// Print the first N rows [default: 10 as a table; all as CSV and JSON]
    #[arg(long, value_name = "N", value_parser = parse::count)]
    top: Option<u64>,

    /// Print all rows
    #[arg(long, conflicts_with = "top")]
    all: bool,

    /// Print totals since the start rather than each batch's, when they have changed and at the end
    #[arg(long)]
    running: bool,

    /// Keep totals, how far files were read and what sockets brought in DIR, and go on from there
    /// when started again with the same arguments. A file that was read whole is not read again,
    /// whatever becomes of it. A followed file is known again by what it holds, under whatever name
    /// it has. A batch whose output could not be written, or not all of it, is printed again by the
    /// next run
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,

    /// With --checkpoint: keep N whole copies of the totals in DIR, made one after another, with
    /// what has changed since each. With 2 or more no single damaged file loses anything
    #[arg(long, value_name = "N", requires = "checkpoint", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
    keep_checkpoints: u32,

    /// With --checkpoint and a socket: go on where what was received and kept in DIR is damaged,
    /// and count without it. Without this the start fails
    #[arg(long, requires = "checkpoint")]
    accept_loss: bool,

    /// The shape of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    /// With --format csv: what a spreadsheet would take for a formula, as it begins with =, +, - or
    /// @, gets a ' before it
    #[arg(long)]
    spreadsheet: bool,
}

/// The batch interval of whole files with --checkpoint, and the least time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Rows of a table unless told otherwise.
const TABLE_ROWS: u64 = 10;

impl Args {
    /// Who reads a table sees its first rows; a program is not told that there were more.
    fn rows_max(&self) -> Option<usize> {
        let top = self.top.or((self.format == Format::Table).then_some(TABLE_ROWS));
        top.filter(|_| !self.all).map(|top| usize::try_from(top).unwrap_or(usize::MAX))
    }
}

/// What a subcommand works out of lines: a value for each key.
pub(crate) trait Job: Send + Sync + 'static {
    /// The name of the program.
    const NAME: &'static str;

    /// What the keys are called, of which there may be too many.
    const KEYS: &'static str;

    /// Bytes that a line may have over the maximum before its source cuts it, so that one within
    /// the maximum is told from one that was cut.
    const LINE_BYTES_SPARE: usize = 0;

    /// What is known of a key in a batch, or in several.
    type Value: Record;

    /// What is shown of them.
    type Report<'a>: Report;

    /// How its lines are cut, and who decides about the first ones.
    fn lines(&self) -> Lines {
        Lines::default()
    }

    /// The values of each batch, or of each window.
    fn values(
        &mut self,
        lines: &DStream<String>,
        window: Option<Window>,
    ) -> DStream<(String, Self::Value)>;

    /// The arguments that say what the totals are of: with others there would be other totals.
    fn totals_of(&self) -> String;

    /// Adds to a key's value another one.
    fn merge(key: &str, total: &mut Self::Value, value: Self::Value) -> Result<(), Error>;

    /// The first `rows_max` rows in the order in which they are shown.
    fn report<'a>(
        &self,
        values: impl Iterator<Item = (&'a str, Self::Value)>,
        rows_max: Option<usize>,
    ) -> Self::Report<'a>;

    /// A batch's error as the user of the command has it.
    fn failure(&self, error: Error) -> Failure {
        error.into()
    }

    /// Lines that were left out for their length, if that is not what the sources count.
    fn lines_cut(&self) -> Option<u64> {
        None
    }

    /// What it has counted of the lines, by kind, for its verdict.
    fn counted(&self) -> Counts {
        Counts::default()
    }

    /// Says at the end what it came upon in the lines of this process.
    fn tell(&self) {}

    /// What makes the result not whole, if anything does, by what was counted of all lines, which
    /// it takes out: it becomes a part of the last message and exit code 4.
    fn verdict(&self, _counted: &mut Counts) -> Option<String> {
        None
    }
}

/// From here on Ctrl-C ends the job in good order, and the engine's warnings are told.
pub(crate) fn begin() -> Result<Interrupt, Failure> {
    log::install();
    Interrupt::install()
}

/// Runs the job to the end of its input.
pub(crate) fn run<J: Job>(
    mut job: J,
    mut input: Input<'_>,
    args: &Args,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut interval = input.interval;
    if args.spreadsheet && args.format != Format::Csv {
        return Err(Failure::Usage("--spreadsheet needs --format csv".to_owned()));
    }
    if let Some(directory) = &args.checkpoint {
        if let Source::Follow(paths, _) = input.source
            && paths.iter().any(|path| is_same(path, directory))
        {
            let message = "--checkpoint needs another DIR than one that is followed";
            return Err(Failure::Usage(message.to_owned()));
        }
        if input.source.has_pipe() {
            let message = "--checkpoint needs FILEs or a socket: a pipe cannot be read again";
            return Err(Failure::Usage(message.to_owned()));
        }
        // What ends by itself is cut by time, too, so that there is something to keep before.
        interval = if input.is_stream { interval } else { CHECKPOINT_EVERY };
    }
    let line_bytes = (input.max_line + J::LINE_BYTES_SPARE).min(parse::LINE_BYTES_MAX);
    // What was missed is one result, not many that are the same.
    let mut builder = StreamingContext::builder(J::NAME)
        .batch_interval(interval)
        .missed_batches(MissedBatches::One);
    if let Some(memory) = args.memory {
        builder = builder.memory(memory);
    }
    let limits = builder.derived_limits();
    builder = builder.limits(Limits { line_bytes, ..limits });
    if let Some(threads) = args.threads {
        builder = builder.threads(usize::from(threads));
    }
    let ssc = match &args.checkpoint {
        // First of all, so that another process which has the directory is told before anything
        // else happens.
        Some(directory) => StreamingContext::get_or_create(directory, || {
            let ssc = builder.build()?;
            let every = (CHECKPOINT_EVERY.as_millis() / interval.as_millis()).max(1);
            ssc.checkpoint(directory, u32::try_from(every).unwrap_or(u32::MAX));
            ssc.keep_checkpoints(args.keep_checkpoints);
            Ok(ssc)
        })
        .map_err(Failure::of_checkpoints)?,
        None => builder.build()?,
    };
    let (lines, extent) = input.open(&ssc, job.lines(), args.checkpoint.as_deref())?;
    let mut values = job.values(&lines, input.window);
    let job = Arc::new(job);
    let has_changed = Arc::new(AtomicBool::new(false));
    let (mut left, mut missing) = (None, None);
    if let Some(directory) = &args.checkpoint {
        if input.source.is_socket() {
            let log = IntakeLog::synced();
            ssc.intake_log(if args.accept_loss { log.accept_loss() } else { log });
        }
        let name = format!("{TOTALS_OF}{} {}", J::NAME, job.totals_of());
        let has_totals = args.running || !input.is_stream;
        let time = check_totals(directory, has_totals.then_some(&name))?;
        if has_totals {
            values = totals_of::<J>(&values, &name, &has_changed);
            let totals = ssc.state_by_key(&name)?;
            left = time.map(|time| Left { totals, time });
            let (job, handle, max_line) = (job.clone(), ssc.clone(), input.max_line);
            let count = move || counted(&*job, &handle, max_line);
            missing = Some(Missing::beside(&ssc, &values, &name, count)?);
        }
    }
    // A table that takes the place of the last one would also wipe out what is being typed.
    let may_replace = !args.all && !input.source.is_typed();
    let output = Output::new(args.format, input.is_stream, may_replace);
    let output = output.for_spreadsheet(args.spreadsheet);
    let run = Run {
        job,
        ssc,
        values,
        has_changed,
        left,
        missing,
        extent,
        max_line: input.max_line,
        is_listed: input.source.is_listed(),
        args,
        interrupt,
    };
    if input.is_stream { run.stream(output) } else { run.whole(output) }
}

/// What the name of a state with totals begins with; the arguments follow.
const TOTALS_OF: &str = "totals of ";

/// Whether the totals in a directory are those that are wanted now: the engine lets go of a state
/// that a program no longer has, and these would be gone. Gives the time of the batch with which
/// the program goes on, if there is a checkpoint.
fn check_totals(directory: &Path, wanted: Option<&String>) -> Result<Option<Time>, Failure> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let checkpoints =
        checkpoint::inspect(directory).map_err(|error| Failure::Input(error.to_string()))?;
    let start = checkpoints.iter().rfind(|info| info.damage.is_none());
    let mut names = start.iter().flat_map(|info| &info.sections).map(|section| &section.name);
    match names.find(|name| name.starts_with(TOTALS_OF) && Some(*name) != wanted) {
        None => Ok(start.and_then(|start| start.time)),
        Some(other) => Err(Failure::Usage(format!(
            "--checkpoint {} has the {other}, which these arguments would lose: give those again \
             (and --running, unless it is for whole files), or another DIR",
            directory.display()
        ))),
    }
}

/// What is known of each key since the beginning, in this process and those before it. Sets
/// `has_changed` in a batch that adds something. Only keys of the batch are touched, so that a
/// checkpoint has those and no others.
fn totals_of<J: Job>(
    values: &DStream<(String, J::Value)>,
    name: &str,
    has_changed: &Arc<AtomicBool>,
) -> DStream<(String, J::Value)> {
    let has_changed = has_changed.clone();
    let totals = values.map_with_state::<u64, J::Value, _>(name, move |key, value, state, _| {
        let Some(value) = value.map(J::Value::from_ref) else { return };
        // Looked at first: threads that all write to it would wait for each other.
        if !has_changed.load(Ordering::Relaxed) {
            has_changed.store(true, Ordering::Relaxed);
        }
        state.update(match state.get_option().map(J::Value::from_ref) {
            None => value,
            Some(mut total) => {
                // An error fails the batch, as any of a function that cannot give one.
                J::merge(key, &mut total, value).unwrap_or_else(|e| panic!("{e}"));
                total
            }
        });
    });
    totals.snapshots()
}

/// What this process has counted so far, of what is not in the result as it was and for the job's
/// verdict.
fn counted(job: &impl Job, ssc: &StreamingContext, max_line: usize) -> Counts {
    let mut counted = summary::missing(&ssc.source_counts(), job.lines_cut(), max_line);
    counted.extend(job.counted());
    counted
}

/// A job that is about to start.
struct Run<'a, J: Job> {
    job: Arc<J>,
    ssc: StreamingContext,
    values: DStream<(String, J::Value)>,
    /// Something was added to the totals that a checkpoint keeps.
    has_changed: Arc<AtomicBool>,
    /// The totals of the checkpoint, if there is one.
    left: Option<Left<J>>,
    /// What is missing in them.
    missing: Option<Missing>,
    extent: Option<Extent>,
    max_line: usize,
    /// Whether it reads files that were named.
    is_listed: bool,
    args: &'a Args,
    interrupt: &'a Interrupt,
}

impl<J: Job> Run<'_, J> {
    /// One result for each batch, or totals whenever they have changed.
    fn stream(mut self, output: Output) -> Result<(), Failure> {
        let shown = match (self.args.running, &self.args.checkpoint) {
            (false, _) => Shown::Batches,
            (true, None) => Shown::Added(Totals::new(&self.ssc)),
            (true, Some(_)) => {
                let (has_changed, before) = (self.has_changed.clone(), self.left.take());
                Shown::Kept { totals: None, has_changed, before }
            }
        };
        let charge = self.ssc.charge_memory("the result");
        let rows_max = self.args.rows_max();
        let printer = Printer::new(self.job.clone(), output, shown, rows_max, charge);
        let printer = Arc::new(Mutex::new(printer));
        let print = printer.clone();
        let printed = self.values.foreach_batch(move |batch, time| lock(&print).take(batch, time));
        // There is nobody to write the next batches for. Where there are checkpoints this one
        // comes again: neither it nor what follows is committed.
        printed.on_failure(OnFailure::Stop);
        self.ssc.start().map_err(Failure::of_start)?;
        // Only now: a start that fails prints nothing.
        if let Err(failure) = lock(&printer).begin() {
            self.ssc.stop();
            return Err(failure);
        }
        let ended = self.await_end(&mut Progress::new(0)).map(drop);
        let ended = lock(&printer).end(ended);
        self.close(ended)
    }

    /// One result, at the end of the input.
    fn whole(self, mut output: Output) -> Result<(), Failure> {
        let whole = Arc::new(Mutex::new(Whole::<J>::Nothing));
        let (sink, handle) = (whole.clone(), self.ssc.clone());
        let are_totals = self.args.checkpoint.is_some();
        self.values.foreach_batch(move |batch, _| {
            if are_totals {
                *lock(&sink) = Whole::One(batch.clone());
                return Ok(());
            }
            lock(&sink).add(batch, &handle)
        });
        self.ssc.start().map_err(Failure::of_start)?;
        let size = self.extent.as_ref().map(|extent| extent.total);
        let mut progress = Progress::new(size.unwrap_or(0));
        let ended = self.await_end(&mut progress);
        progress.clear();
        let was_interrupted = match ended {
            Ok(was_interrupted) => was_interrupted,
            Err(failure) => return self.close(Err(failure)),
        };
        let (whole, rows_max) = (lock(&whole), self.args.rows_max());
        let charge = self.ssc.charge_memory("the result");
        let room = match &*whole {
            Whole::Nothing => Ok(()),
            // The engine does not hold these rows any more.
            Whole::One(batch) => {
                let sizes = Sizes::of(rows::<J>(batch));
                let own = sizes.text + sizes.rows * (8 + size_of::<J::Value>());
                charge.set(own + sizes.report_bytes(rows_max))
            }
            Whole::Many(totals) => charge.set(totals.sizes().report_bytes(rows_max)),
        };
        if let Err(error) = room {
            return self.close(Err(error.into()));
        }
        let report = match &*whole {
            Whole::Nothing => self.job.report(std::iter::empty(), rows_max),
            Whole::One(batch) => self.job.report(rows::<J>(batch), rows_max),
            Whole::Many(totals) => self.job.report(totals.iter(), rows_max),
        };
        let read = self.bytes_read();
        let ended = match (output.write(None, &report), size) {
            (Err(error), _) => Err(Failure::of_output(&error)),
            (Ok(()), Some(size)) if was_interrupted && read < size => {
                let (read, size) = (Bytes(read as f64), Bytes(size as f64));
                Err(Failure::Interrupted(format!("interrupted: counted {read} of {size} only")))
            }
            (Ok(()), None) if was_interrupted && self.is_listed => {
                let message = "interrupted before the end of the last FILE";
                Err(Failure::Interrupted(message.to_owned()))
            }
            _ => Ok(()),
        };
        self.close(ended)
    }

    /// Says at the end what of the input is not in the result as it was. That goes into the exit
    /// code, unless the job failed.
    fn close(&self, ended: Result<(), Failure>) -> Result<(), Failure> {
        if matches!(ended, Err(Failure::ReaderGone)) {
            return ended;
        }
        let counted = counted(&*self.job, &self.ssc, self.max_line);
        let mut missing = match &self.missing {
            Some(kept) => kept.all(counted),
            None => counted,
        };
        let verdict = self.job.verdict(&mut missing);
        let unreadable = self.ssc.metrics().sources.into_iter().flat_map(|it| it.unreadable);
        let mut summary = Summary::of(&missing, &self.ssc.source_counts(), unreadable);
        self.job.tell();
        summary.add(verdict);
        summary.close(ended)
    }

    /// Waits for the end of the input, a failure, or Ctrl-C; says whether it was that.
    fn await_end(&self, progress: &mut Progress) -> Result<bool, Failure> {
        loop {
            match self.ssc.await_termination_timeout(POLL) {
                Ok(true) => return Ok(false),
                Ok(false) if self.interrupt.is_wanted() => {
                    terminal::clear_line();
                    self.ssc.stop_gracefully();
                    let ended = self.ssc.await_termination();
                    return ended.map(|()| true).map_err(|error| self.job.failure(error));
                }
                Ok(false) => progress.show(self.bytes_read()),
                Err(error) => {
                    self.ssc.stop_gracefully();
                    return Err(self.job.failure(error));
                }
            }
        }
    }

    fn bytes_read(&self) -> u64 {
        if let Some(Extent { read, .. }) = &self.extent {
            return read.load(Ordering::Relaxed);
        }
        self.ssc.source_counts().iter().map(|counts| counts.bytes).sum()
    }
}

/// Bytes of a row while rows are sorted, and of its numbers in the output.
const ROW_BYTES: usize = 64;

/// How much rows hold, as far as a result is made of it.
#[derive(Copy, Clone, Default)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    /// Bytes of all keys, and of the longest.
    pub(crate) text: usize,
    pub(crate) longest: usize,
}

impl Sizes {
    pub(crate) fn of<'a, V>(rows: impl Iterator<Item = (&'a str, V)>) -> Sizes {
        let mut sizes = Sizes::default();
        for (key, _) in rows {
            sizes.rows += 1;
            sizes.text += key.len();
            sizes.longest = sizes.longest.max(key.len());
        }
        sizes
    }

    /// Bytes that it takes to sort the rows and to put the output together.
    pub(crate) fn report_bytes(self, rows_max: Option<usize>) -> usize {
        let Sizes { rows, text, longest } = self;
        let shown = rows_max.map_or(text, |max| text.min(max.saturating_mul(longest)));
        shown + rows * ROW_BYTES
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
