//! The thread that writes a log.

use std::time::{Duration, Instant};

use super::{Entry, Log, LogFiles};
use crate::error::{Error, ErrorKind};

/// How long it waits before it tries again to write what it could not.
const RETRY_AFTER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 200 });

/// How long it sleeps when nothing happens.
const IDLE: Duration = Duration::from_secs(60 * 60);

pub(super) struct Writing<'a> {
    // Fixed.
    window: Option<Duration>,
    acknowledge: &'a dyn Fn(&[u8]),
    report: &'a dyn Fn(Error),
    // Changing.
    files: LogFiles,
    /// Blocks that were not acknowledged, and how many of them are written.
    held: Vec<Entry>,
    written: usize,
    /// Since when there is something acknowledged that was not synced.
    unsynced_since: Option<Instant>,
    /// Files are removed that have blocks up to this one only.
    pruned: u64,
    is_failing: bool,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        files: LogFiles,
        window: Option<Duration>,
        acknowledge: &'a dyn Fn(&[u8]),
        report: &'a dyn Fn(Error),
    ) -> Writing<'a> {
        Writing {
            window,
            acknowledge,
            report,
            files,
            held: Vec::new(),
            written: 0,
            unsynced_since: None,
            pruned: 0,
            is_failing: false,
        }
    }

    pub(super) fn run(mut self, log: &Log) {
        loop {
            let (needless, is_ending) = self.wait(log);
            let written = self.write(is_ending).and_then(|()| self.prune(needless));
            let mut state = log.lock();
            state.counts.bytes = self.files.bytes();
            state.counts.failures += u64::from(written.is_err());
            let is_done = is_ending && (state.queue.is_empty() || written.is_err());
            drop(state);
            log.news.notify_all();
            match written {
                Ok(()) => self.is_failing = false,
                Err(error) => {
                    self.fail(error);
                    if !is_done {
                        // It ends early only if the end comes.
                        let state = log.lock();
                        drop(log.work.wait_timeout_while(state, RETRY_AFTER, |s| !s.is_ending));
                    }
                }
            }
            if is_done {
                return;
            }
        }
    }

    /// Waits for something to do, and takes in what was sealed.
    fn wait(&mut self, log: &Log) -> (u64, bool) {
        let timeout = match (self.window, self.unsynced_since) {
            _ if self.is_failing => Duration::ZERO,
            (Some(window), Some(since)) => window.saturating_sub(since.elapsed()),
            _ => IDLE,
        };
        let pruned = self.pruned;
        let waited = log.work.wait_timeout_while(log.lock(), timeout, |state| {
            let is_idle = state.queue.is_empty() && state.needless <= pruned;
            is_idle && state.loss.is_none() && !state.is_ending
        });
        let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        self.held.extend(state.queue.drain(..));
        let (needless, is_ending, loss) = (state.needless, state.is_ending, state.loss.take());
        drop(state);
        if let Some(loss) = loss {
            (self.report)(loss);
        }
        (needless, is_ending)
    }

    /// Writes what is held, and acknowledges what is safe.
    fn write(&mut self, is_ending: bool) -> Result<(), Error> {
        let failed = |error| Error::caused(ErrorKind::Source, "cannot write the intake log", error);
        while let Some(entry) = self.held.get(self.written) {
            let Entry { number, before, head, block, .. } = entry;
            let rows = block.as_ref().map_or(&[][..], |block| block.bytes());
            self.files.append(*number, *before, head, rows).map_err(failed)?;
            self.written += 1;
        }
        let Some(window) = self.window else {
            if !self.held.is_empty() {
                self.files.sync().map_err(failed)?;
                self.acknowledge_held();
                self.files.mark().map_err(failed)?;
            }
            return Ok(());
        };
        if !self.held.is_empty() {
            self.unsynced_since.get_or_insert_with(Instant::now);
            self.acknowledge_held();
        }
        let is_due =
            self.unsynced_since.is_some_and(|since| is_ending || since.elapsed() >= window);
        if is_due {
            self.unsynced_since = None;
            self.files.sync().map_err(|error| {
                let message = format!(
                    "cannot sync the intake log: what was acknowledged in the last {window:?} may \
                     be lost if the machine crashes now"
                );
                Error::caused(ErrorKind::Source, message, error)
            })?;
            self.files.mark().map_err(failed)?;
        }
        Ok(())
    }

    fn acknowledge_held(&mut self) {
        let last = self.held.iter().rev().find_map(|entry| entry.position.as_deref());
        if let Some(position) = last {
            (self.acknowledge)(position);
        }
        self.held.clear();
        self.written = 0;
    }

    fn prune(&mut self, needless: u64) -> Result<(), Error> {
        if needless <= self.pruned {
            return Ok(());
        }
        let pruned = self.files.prune(needless);
        pruned.map_err(|error| {
            Error::caused(ErrorKind::Source, "cannot remove old files of the intake log", error)
        })?;
        self.pruned = needless;
        Ok(())
    }

    /// Nobody knows what of the file is whole: what is held is written again, to another one.
    fn fail(&mut self, error: Error) {
        tracing::error!(%error, "the intake log: it is tried again");
        self.files.abandon();
        self.written = 0;
        if !std::mem::replace(&mut self.is_failing, true) {
            (self.report)(error);
        }
    }
}
