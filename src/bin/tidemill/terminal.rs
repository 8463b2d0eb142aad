//! What is said beside the data: messages and progress on standard error, and Ctrl-C.
//!
//! Nothing here fails: who cannot be told is not told.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::Failure;

/// Something was said since the flag was last taken: what stands on the terminal has moved.
static HAS_SPOKEN: AtomicBool = AtomicBool::new(false);

/// Says what went wrong, or what a script or somebody who watches wants to know.
pub(crate) fn tell(message: impl fmt::Display) {
    HAS_SPOKEN.store(true, Ordering::Relaxed);
    // One write, so that it stays in one piece beside what others say.
    let _ = io::stderr().write_all(format!("tidemill: {message}\n").as_bytes());
}

/// Whether something was said since the last call.
pub(crate) fn has_spoken() -> bool {
    HAS_SPOKEN.swap(false, Ordering::Relaxed) && io::stderr().is_terminal()
}

/// Removes what stands in the line of a terminal, such as the `^C` of who pressed it.
pub(crate) fn clear_line() {
    if io::stderr().is_terminal() {
        let _ = io::stderr().write_all(b"\r\x1b[K");
    }
}

/// Whether somebody types the input.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// What is still to be read of the file that standard input was redirected from, if it was.
#[cfg(unix)]
pub(crate) fn stdin_file_size() -> Option<u64> {
    use std::io::Seek;
    use std::os::fd::AsFd;

    let mut stdin = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let metadata = stdin.metadata().ok()?;
    let position = stdin.stream_position().ok()?;
    metadata.is_file().then_some(metadata.len().saturating_sub(position))
}

/// Elsewhere it is not asked; then there is no progress to show.
#[cfg(not(unix))]
pub(crate) fn stdin_file_size() -> Option<u64> {
    None
}

/// Columns and rows of the terminal that standard output is, if it is one.
pub(crate) fn stdout_size() -> Option<(usize, usize)> {
    let size = terminal_size::terminal_size_of(io::stdout())?;
    Some((usize::from(size.0.0), usize::from(size.1.0)))
}

/// Whether somebody wants the command to end: by Ctrl-C or a polite kill.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    is_wanted: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on the first signal is only noted; the second one ends the process.
    pub(crate) fn install() -> Result<Interrupt, Failure> {
        let is_wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
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

/// How far the reading of files has come, on standard error if that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    bytes_total: u64,
    is_shown: bool,
    has_written: bool,
}

impl Progress {
    /// Input that is read sooner than this shows no progress.
    const PATIENCE: Duration = Duration::from_millis(300);

    pub(crate) fn new(bytes_total: u64) -> Progress {
        let is_shown = bytes_total > 0 && io::stderr().is_terminal();
        Progress { start: Instant::now(), bytes_total, is_shown, has_written: false }
    }

    pub(crate) fn show(&mut self, bytes: u64) {
        let elapsed = self.start.elapsed();
        if !self.is_shown || elapsed < Progress::PATIENCE {
            return;
        }
        let share = (bytes as f64 / self.bytes_total as f64).clamp(0.0, 1.0);
        let filled = (share * 30.0) as usize;
        let per_second = bytes as f64 / elapsed.as_secs_f64();
        let left = self.bytes_total.saturating_sub(bytes) as f64 / per_second.max(1.0);
        let line = format!(
            "\r[{:=<filled$}{:empty$}] {:3.0} %  {} of {}, {}/s, {left:.1} s left\x1b[K",
            "",
            "",
            share * 100.0,
            Bytes(bytes as f64),
            Bytes(self.bytes_total as f64),
            Bytes(per_second),
            empty = 30 - filled,
        );
        let _ = io::stderr().write_all(line.as_bytes());
        self.has_written = true;
    }

    /// Leaves no trace.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.has_written) {
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
