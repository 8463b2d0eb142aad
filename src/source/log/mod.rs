//! The intake log: what sources that cannot go back have received, on disk before it is
//! acknowledged, so that a crash loses none of it.
//!
//! Blocks have numbers, from 1 in the order of their sealing, and a source's position is the number
//! of its last block. A thread writes blocks beside the batches, which never wait for it: a block
//! may be in a batch before it is in the log, but its sender hears of it only after. After a crash
//! those that the checkpoint does not have are given again, from the log, before anything new.

mod files;
mod inspect;
mod replay;
mod segment;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

pub(crate) use files::LogFiles;
pub use inspect::IntakeLogInfo;
pub(crate) use inspect::inspect;
pub(crate) use replay::{Counted, Replay};

use crate::error::{Error, ErrorKind, Result};
use crate::record::block::SharedText;
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};
use writing::Writing;

/// How the intake log is written: see
/// [`StreamingContext::intake_log`](crate::StreamingContext::intake_log).
///
/// ```
/// use std::time::Duration;
/// use tidemill::IntakeLog;
///
/// let strict = IntakeLog::synced();
/// let fast = IntakeLog::group_commit(Duration::from_millis(20));
/// # assert_ne!(strict, fast);
/// ```
#[doc(alias = "spark.streaming.receiver.writeAheadLog.enable")]
#[doc(alias = "WriteAheadLog")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IntakeLog {
    /// How long what is acknowledged may wait for its sync; nothing if it may not.
    window: Option<Duration>,
    accepts_loss: bool,
}

/// The longest window of a group commit.
const WINDOW_MAX: Duration = Duration::from_secs(60);

impl IntakeLog {
    /// Every block is written and synced before it is acknowledged: what was acknowledged survives
    /// a crash of the process and of the machine. One sync serves all blocks that came during the
    /// one before.
    pub fn synced() -> IntakeLog {
        IntakeLog { window: None, accepts_loss: false }
    }

    /// Blocks are acknowledged once they are written, and synced at most this long after. A crash
    /// of the process loses nothing that was acknowledged; one of the machine loses at most what
    /// was acknowledged within the window, and while one sync took.
    pub fn group_commit(window: Duration) -> IntakeLog {
        IntakeLog { window: Some(window), accepts_loss: false }
    }

    /// Goes on where a log is damaged: blocks that were acknowledged and cannot be read are lost,
    /// and reported by [`await_termination`](crate::StreamingContext::await_termination). Without
    /// this the start fails, so that nobody takes a result for whole that is not.
    #[must_use]
    pub fn accept_loss(self) -> IntakeLog {
        IntakeLog { accepts_loss: true, ..self }
    }

    pub(crate) fn accepts_loss(self) -> bool {
        self.accepts_loss
    }

    pub(crate) fn check(self) -> Result<()> {
        match self.window {
            Some(window) if window.is_zero() || window > WINDOW_MAX => {
                let message = format!(
                    "the window of the intake log's group commit is {window:?}, but must be \
                     between 1ns and {WINDOW_MAX:?}"
                );
                Err(Error::new(ErrorKind::Config, message))
            }
            _ => Ok(()),
        }
    }
}

/// The folder of the logs, in that of the checkpoints.
pub(crate) const DIRECTORY: &str = "intake";

/// The log of one source, between those who seal its blocks and the thread that writes them.
pub(crate) struct Log {
    // Fixed.
    window: Option<Duration>,
    bytes_max: u64,
    // Changing.
    state: Mutex<State>,
    /// For the thread that writes.
    work: Condvar,
    /// For those who wait for it.
    news: Condvar,
}

struct State {
    /// Until its thread has them.
    files: Option<LogFiles>,
    /// Sealed and not written; the pool of blocks is their bound.
    queue: VecDeque<Entry>,
    /// The last block that each checkpoint has from which a start may go on: nobody asks for it
    /// again.
    needless: u64,
    counts: LogCounts,
    /// What is to be said of blocks that are gone.
    loss: Option<Error>,
    is_ending: bool,
    has_ended: bool,
}

/// A block to be written.
struct Entry {
    number: u64,
    /// The number of the block before it in the log.
    before: u64,
    /// What comes before the block's rows.
    head: Vec<u8>,
    /// None where lines have come that are no rows, and their senders are to be told.
    block: Option<SharedText>,
    /// Where the receiver stood after it, if it can say.
    position: Option<Vec<u8>>,
}

/// How much of what it may have a log has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// So much that the next checkpoint is to make some of it needless.
    Half,
    /// All: its source is not read until then.
    Full,
}

/// How it stands with a log.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCounts {
    pub(crate) bytes: u64,
    pub(crate) blocks_replayed: u64,
    pub(crate) blocks_lost: u64,
    pub(crate) failures: u64,
}

impl Log {
    pub(crate) fn new(settings: IntakeLog, bytes_max: u64, files: LogFiles) -> Log {
        let counts = LogCounts { bytes: files.bytes(), ..LogCounts::default() };
        let state = State {
            files: Some(files),
            queue: VecDeque::new(),
            needless: 0,
            counts,
            loss: None,
            is_ending: false,
            has_ended: false,
        };
        let (work, news) = (Condvar::new(), Condvar::new());
        Log { window: settings.window, bytes_max, state: Mutex::new(state), work, news }
    }

    /// Hands a block that was sealed to the thread that writes.
    pub(super) fn push(
        &self,
        number: u64,
        before: u64,
        head: Vec<u8>,
        block: Option<SharedText>,
        position: Option<Vec<u8>>,
    ) {
        let mut state = self.lock();
        if !state.has_ended {
            state.queue.push_back(Entry { number, before, head, block, position });
            self.work.notify_all();
        }
    }

    /// Every checkpoint from which a start may go on has the blocks up to this one.
    pub(super) fn saved(&self, number: u64) {
        let mut state = self.lock();
        state.needless = state.needless.max(number);
        self.work.notify_all();
    }

    /// Whether it has all the bytes that it may have. What is sealed already still comes in.
    pub(super) fn is_full(&self) -> bool {
        self.is_at(Fill::Full)
    }

    /// Whether it has so much of the bytes that it may have.
    pub(super) fn is_at(&self, fill: Fill) -> bool {
        let state = self.lock();
        let part = match fill {
            Fill::Half => self.bytes_max / 2,
            Fill::Full => self.bytes_max,
        };
        state.counts.bytes >= part && !state.has_ended
    }

    /// Waits until it has room, for a while.
    pub(super) fn wait_for_room(&self, timeout: Duration) {
        let is_full = |state: &mut State| state.counts.bytes >= self.bytes_max && !state.has_ended;
        drop(self.news.wait_timeout_while(self.lock(), timeout, is_full));
    }

    pub(super) fn counts(&self) -> LogCounts {
        self.lock().counts
    }

    /// A block was given again, and of those before it so many were not there that should be.
    pub(super) fn replayed(&self, number: u64, lost: u64) {
        self.lock().counts.blocks_replayed += 1;
        self.lose(lost, &format_args!("before block {number}"));
    }

    /// All blocks were given again, and of the last ones so many are not there that should be.
    pub(super) fn replayed_all(&self, lost: u64) {
        self.lose(lost, &"at its end");
    }

    fn lose(&self, lost: u64, place: &dyn Display) {
        if lost == 0 {
            return;
        }
        let mut state = self.lock();
        state.counts.blocks_lost += lost;
        let message = format!("the intake log is damaged: blocks lost {place}: {lost}");
        state.loss = Some(Error::new(ErrorKind::Source, message));
        self.work.notify_all();
    }

    /// Writes blocks until [`finish`](Self::finish), on a thread of its own. What is safe is handed
    /// to `acknowledge`, and what fails to `report`: it is tried again.
    pub(crate) fn run(&self, acknowledge: &dyn Fn(&[u8]), report: &dyn Fn(Error)) {
        let Some(files) = self.lock().files.take() else { return };
        Writing::new(files, self.window, acknowledge, report).run(self);
        let mut state = self.lock();
        state.has_ended = true;
        // Their blocks go back to the pool; nobody was told that they are safe.
        state.queue.clear();
        self.news.notify_all();
    }

    /// Has the thread write what was sealed, and end.
    pub(crate) fn end(&self) {
        self.lock().is_ending = true;
        self.work.notify_all();
    }

    /// As [`end`](Self::end), and waits for it up to a maximum. False if it has not ended by then.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.end();
        let waited = self.news.wait_timeout_while(self.lock(), timeout, |state| !state.has_ended);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0.has_ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What stands for a number of a block among the positions of sources.
const TAG: &[u8] = b"intake log ";

/// The position of a source whose last block has this number, and whose receiver knows this of its
/// senders.
pub(super) fn position_of(number: u64, senders: &[u8]) -> Vec<u8> {
    let mut position = TAG.to_vec();
    push_varint(number, &mut position);
    position.extend_from_slice(senders);
    position
}

/// What the receiver of a source with a log knew of its senders at a position.
pub(super) fn senders_at(position: &[u8]) -> Option<&[u8]> {
    let mut rest = position.strip_prefix(TAG)?;
    take_varint(&mut rest).ok()?;
    Some(rest)
}

/// What the log has before the rows of a block: what its receiver knows anew of its senders, and
/// the rows of blocks before that mean nothing without this one.
pub(super) fn head_of(senders: &[u8], rows: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(senders.len() + rows.len() + 10);
    push_bytes(senders, &mut head);
    head.extend_from_slice(rows);
    head
}

/// What a block in the log says of senders, and its rows.
pub(super) fn parts_of(mut block: &[u8]) -> Result<(&[u8], &[u8])> {
    let senders = take_bytes(&mut block)?;
    Ok((senders, block))
}

/// The number of the last block before a position; 0 for one of a source without a log.
pub(crate) fn number_at(position: &[u8]) -> u64 {
    let number = position.strip_prefix(TAG).and_then(|mut rest| take_varint(&mut rest).ok());
    number.unwrap_or(0)
}
