//! What is said beside the data: messages and progress on standard error, and Ctrl-C.
//!
//! Nothing here fails: who cannot be told is not told.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use terminal_size::terminal_size_of;
use tidemill::__command::escaped;

use crate::cells::push_cut;
use crate::failure::Failure;
use crate::stdio::write_stderr;

/// Something was said since the flag was last taken: what stands on the terminal has moved.
static HAS_SPOKEN: AtomicBool = AtomicBool::new(false);

/// A line with the progress stands on the terminal.
static HAS_PROGRESS: AtomicBool = AtomicBool::new(false);

/// Goes to the start of the line and removes what stands in it.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Columns of a terminal that does not say how many it has.
const COLUMNS_DEFAULT: usize = 80;

/// Says what went wrong, or what a script or somebody who watches wants to know. Names and lines in
/// it steer no terminal.
pub(crate) fn tell(message: impl fmt::Display) {
    HAS_SPOKEN.store(true, Ordering::Relaxed);
    let has_progress = HAS_PROGRESS.swap(false, Ordering::Relaxed);
    let clear = if has_progress { CLEAR_LINE } else { "" };
    // One write, so that it stays in one piece beside what others say.
    let message = message.to_string();
    write_stderr(format!("{clear}tidemill: {}\n", escaped(&message)).as_bytes());
}

/// Whether something was said since the last call.
pub(crate) fn has_spoken() -> bool {
    HAS_SPOKEN.swap(false, Ordering::Relaxed) && io::stderr().is_terminal()
}

/// Removes what stands in the line of a terminal, such as the `^C` of who pressed it.
pub(crate) fn clear_line() {
    HAS_PROGRESS.store(false, Ordering::Relaxed);
    if io::stderr().is_terminal() && knows_escapes() {
        write_stderr(CLEAR_LINE.as_bytes());
    }
}

/// Whether the terminal takes escape sequences: not if it is a dumb one or nobody says what it is.
pub(crate) fn knows_escapes() -> bool {
    std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// Whether somebody types the input.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Columns and rows of the terminal that standard output is at the moment, if it is one.
pub(crate) fn stdout_size() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| match terminal_size_of(stdout) {
        Some((columns, rows)) => (usize::from(columns.0), usize::from(rows.0)),
        None => (COLUMNS_DEFAULT, usize::MAX),
    })
}

/// Columns of the terminal that standard error is at the moment.
fn stderr_columns() -> usize {
    terminal_size_of(io::stderr()).map_or(COLUMNS_DEFAULT, |(columns, _)| columns.0.into())
}

/// Whether somebody wants the command to end: by Ctrl-C or a polite kill.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    is_wanted: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on the first signal is only noted; the second one ends the process. A signal that
    /// was ignored when the process started stays ignored, as for all that a shell starts after
    /// `trap '' INT`; Linux says which ones these are.
    pub(crate) fn install() -> Result<Interrupt, Failure> {
        let is_wanted = Arc::new(AtomicBool::new(false));
        let ignored = ignored_signals();
        for signal in [SIGINT, SIGTERM] {
            if ignored >> (signal - 1) & 1 == 1 {
                continue;
            }
            // In this order: the first action finds the flag as it was before the signal.
            flag::register_conditional_shutdown(signal, 128 + signal, is_wanted.clone())
                .and_then(|_| flag::register(signal, is_wanted.clone()))
                .map_err(|error| Failure::Run(format!("cannot handle signals: {error}")))?;
        }
        Ok(Interrupt { is_wanted })
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }
}

/// The signals that are ignored, a bit for each from 1 on; none where nothing says it.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// How far the reading of files has come, on standard error if that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    bytes_total: u64,
    is_shown: bool,
    last: Option<Instant>,
}

impl Progress {
    /// Input that is read sooner than this shows no progress.
    const PATIENCE: Duration = Duration::from_millis(300);

    /// Time between two lines: as fast as one can read.
    const PAUSE: Duration = Duration::from_millis(100);

    /// The widest bar, and the narrowest that says something.
    const BAR_COLUMNS: std::ops::RangeInclusive<usize> = 10..=30;

    pub(crate) fn new(bytes_total: u64) -> Progress {
        // Without escapes the last line could not be removed.
        let is_shown = bytes_total > 0 && io::stderr().is_terminal() && knows_escapes();
        Progress { start: Instant::now(), bytes_total, is_shown, last: None }
    }

    pub(crate) fn show(&mut self, bytes: u64) {
        let elapsed = self.start.elapsed();
        let is_early = self.last.is_some_and(|last| last.elapsed() < Progress::PAUSE);
        if !self.is_shown || elapsed < Progress::PATIENCE || is_early {
            return;
        }
        self.last = Some(Instant::now());
        // The last column stays free: some terminals go on to the next line after it.
        let line = self.line(bytes, elapsed, stderr_columns().saturating_sub(1));
        HAS_PROGRESS.store(true, Ordering::Relaxed);
        write_stderr(format!("\r{line}\x1b[K").as_bytes());
    }

    /// The line in so many columns at most: as much of a bar as there is room for, then numbers.
    fn line(&self, bytes: u64, elapsed: Duration, columns: usize) -> String {
        let share = (bytes as f64 / self.bytes_total as f64).clamp(0.0, 1.0);
        let per_second = bytes as f64 / elapsed.as_secs_f64();
        let left = self.bytes_total.saturating_sub(bytes) as f64 / per_second.max(1.0);
        let numbers = format!(
            "{:3.0} %  {} of {}, {}/s, {left:.1} s left",
            share * 100.0,
            Bytes(bytes as f64),
            Bytes(self.bytes_total as f64),
            Bytes(per_second),
        );
        let (least, most) = Progress::BAR_COLUMNS.into_inner();
        // The bar's own ends and a blank take three.
        let bar = columns.saturating_sub(numbers.len() + 3).min(most);
        if bar >= least {
            let filled = (share * bar as f64) as usize;
            return format!("[{:=<filled$}{:empty$}] {numbers}", "", "", empty = bar - filled);
        }
        let mut line = Vec::new();
        push_cut(&numbers, columns, &mut line);
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Leaves no trace.
    pub(crate) fn clear(&mut self) {
        if HAS_PROGRESS.load(Ordering::Relaxed) {
            clear_line();
        }
    }
}

/// A number of bytes as people write it: `1.25 GB`.
pub(crate) struct Bytes(pub(crate) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1e9 => write!(f, "{:.2} GB", bytes / 1e9),
            bytes if bytes >= 1e6 => write!(f, "{:.1} MB", bytes / 1e6),
            bytes if bytes >= 1e3 => write!(f, "{:.1} kB", bytes / 1e3),
            bytes => write!(f, "{bytes:.0} B"),
        }
    }
}
