//! The engine's side of a receiver: fills blocks, queues them sealed, and cuts at ticks.
//!
//! Invariant: sealed blocks and cuts are queued in the order in which their lines came. The queue
//! is bounded: its blocks by the pool, its cuts by the maximum of queued batches.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::counts::{Counters, SourceCounts};
use super::form::Form;
use super::log::{
    Fill, Log, LogCounts, Replay, head_of, number_at, parts_of, position_of, senders_at,
};
use super::pace::{Now, Pace};
use super::status::{News, SourceState, Status};
pub(crate) use super::writer::Going;
use super::{BlockWriter, LineOptions, Received, Receiver, Waiter};
use crate::config::{EAGER_BLOCKS_MAX, EAGER_BYTES_MIN, Limits, WAIT_MAX};
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::memory::Memory;
use crate::record::batch::AnyChunk;
use crate::record::block::{BlockPool, SharedText};
use crate::record::recycled::Recycled;
use crate::record::saved::{push_bytes, take_bytes};
use crate::time::Time;

/// One receiver, its block, and what it has sealed.
pub(crate) struct Intake {
    // Fixed.
    name: String,
    saved_name: String,
    form: Form,
    is_bounded: bool,
    pool: Arc<BlockPool>,
    counters: Arc<Counters>,
    status: Arc<Status>,
    // Changing.
    filling: Mutex<Filling>,
    sealed: Mutex<VecDeque<Sealed>>,
    /// Blocks are worked on as they come, so a block need not be full to be worth sealing.
    is_eager: AtomicBool,
    has_ended: AtomicBool,
    /// The last cut left some of what belongs to its batch to the next one.
    has_rest: AtomicBool,
    leaves_rest: AtomicBool,
    /// Why it has ended, or what it has reported.
    error: Mutex<Option<Error>>,
    /// Rows a second that may be read, as bits; infinite without a limit.
    rate: AtomicU64,
    taken: Taken,
}

/// What the batches took of the source so far.
#[derive(Default)]
struct Taken {
    /// Lines are counted only where somebody wants to know: that takes a look at each byte.
    counts_rows: AtomicBool,
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Rows up to the last cut, and so those of the batch before.
    rows_before: AtomicU64,
    blocks_queued: AtomicUsize,
}

/// How it stands with a source's blocks.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockCounts {
    pub(crate) max: usize,
    pub(crate) in_use: usize,
    pub(crate) queued: usize,
}

struct Filling {
    receiver: Box<dyn Receiver>,
    writer: BlockWriter,
    /// Only of sources with a log.
    logging: Option<Logging>,
    /// Only where the rate is limited.
    pace: Option<Pace>,
    /// The receiver is at its end, and its last lines wait for a block.
    is_ending: bool,
    /// The receiver was called.
    was_read: bool,
    /// A block was sealed since the last cut.
    has_sealed: bool,
}

/// What is sealed goes to a log, too.
struct Logging {
    log: Arc<Log>,
    /// The number of the last block that was sealed.
    last: u64,
    /// The number of the last block that went to the log.
    logged: u64,
    /// Blocks of an earlier process that come before anything new.
    replay: Option<Replay>,
    /// The receiver knows of its senders what belongs to blocks.
    has_senders: bool,
    /// Rows of blocks that are logged with the next one: one read filled them all.
    waiting: Vec<u8>,
    /// Where the receiver stood after what was logged last.
    position: Option<Vec<u8>>,
}

/// What comes again from a log.
enum Again {
    Nothing,
    /// The rest of a block.
    Rest,
    /// A block, and what the receiver knew anew of its senders after it.
    Block(Vec<u8>),
}

enum Sealed {
    Block(SharedText),
    /// The blocks before belong to the batch that was cut here, where the receiver stood so, if it
    /// can say.
    Cut(Option<Vec<u8>>),
}

/// What whoever cuts a batch has to say while the receiver is read for it.
pub(crate) struct Cutting<'a> {
    /// Called when a block was sealed, and where there is none.
    pub(crate) notify: &'a dyn Fn(),
    /// Asked before each step.
    pub(crate) going: &'a dyn Fn() -> Going,
}

/// What one call of the receiver came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A block was sealed.
    Sealed,
    /// Something may have been read.
    More,
    Later(Duration),
    /// The source's rate allows no more before this.
    Limited(Duration),
    /// All blocks are in use.
    NoBlock,
    Ended,
}

impl Logging {
    /// Writes the next block that an earlier process left.
    fn replay(&mut self, writer: &mut BlockWriter) -> Result<Again> {
        let Some(replay) = &mut self.replay else { return Ok(Again::Nothing) };
        if writer.filled() > 0 {
            return Ok(Again::Rest);
        }
        match replay.next()? {
            Some(block) => {
                self.log.replayed(block.number, block.lost);
                self.last = block.number;
                let (senders, rows) = parts_of(block.bytes)?;
                writer.take_again(rows);
                Ok(Again::Block(senders.to_vec()))
            }
            None => {
                self.log.replayed_all(replay.lost_at_end());
                self.logged = replay.greatest();
                self.replay = None;
                Ok(Again::Nothing)
            }
        }
    }

    /// A block was sealed, with what the receiver knows anew of its senders, if it can say: then
    /// all that it has received is in blocks.
    fn sealed(&mut self, block: &SharedText, position: Option<Vec<u8>>, senders: Option<Vec<u8>>) {
        // What comes from the log does not go there again.
        if self.replay.is_some() {
            return;
        }
        // Numbers that the log has are not given again.
        self.last = self.last.max(self.logged) + 1;
        if self.has_senders && senders.is_none() {
            // After a crash the log would have a part of what a sender is asked for again.
            return self.waiting.extend_from_slice(block.bytes());
        }
        self.push(Some(block.clone()), position, senders);
    }

    /// What was received since the last block gave no rows. Its senders are told of it, too, if
    /// there is any.
    fn stands_at(&mut self, position: Option<Vec<u8>>, senders: Option<Vec<u8>>) {
        self.last = self.last.max(self.logged) + 1;
        self.push(None, position, senders);
    }

    fn has_moved_to(&self, position: &Option<Vec<u8>>) -> bool {
        let is_news = position.as_ref().is_some_and(|position| !position.is_empty());
        self.replay.is_none() && is_news && *position != self.position
    }

    fn push(
        &mut self,
        block: Option<SharedText>,
        position: Option<Vec<u8>>,
        senders: Option<Vec<u8>>,
    ) {
        let head = head_of(&senders.unwrap_or_default(), &std::mem::take(&mut self.waiting));
        self.position = position.clone();
        self.log.push(self.last, self.logged, head, block, position);
        self.logged = self.last;
    }
}

impl Intake {
    pub(crate) fn new(
        receiver: Box<dyn Receiver>,
        options: LineOptions,
        form: Form,
        limits: &Limits,
        memory: &Arc<Memory>,
    ) -> Intake {
        let charge = memory.charge(format!("blocks of {}", receiver.name()));
        let pool = BlockPool::new(limits.pool_blocks(), limits.block_bytes(), charge);
        let mut writer = BlockWriter::new(pool.clone(), options, form, limits.line_bytes);
        let unfinished = memory.charge(format!("unfinished lines of {}", receiver.name()));
        writer.bound_unfinished(unfinished, limits.unfinished_bytes);
        Intake {
            name: receiver.name(),
            saved_name: receiver.saved_name(),
            form,
            is_bounded: receiver.is_bounded(),
            pool,
            counters: writer.counters(),
            status: writer.status().clone(),
            filling: Mutex::new(Filling {
                receiver,
                writer,
                logging: None,
                pace: None,
                is_ending: false,
                was_read: false,
                has_sealed: false,
            }),
            sealed: Mutex::new(VecDeque::with_capacity(limits.blocks + limits.queued_batches + 1)),
            is_eager: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            has_rest: AtomicBool::new(false),
            leaves_rest: AtomicBool::new(false),
            error: Mutex::new(None),
            rate: AtomicU64::new(f64::INFINITY.to_bits()),
            taken: Taken::default(),
        }
    }

    /// Limits the source to so many rows a second. To be called before the first step.
    pub(crate) fn limit(&self, rate: f64, now: Now, interval: Duration) {
        self.set_rate(rate);
        self.count_rows();
        lock(&self.filling).pace = Some(Pace::new(now, interval));
    }

    /// Changes the rate of a source that is limited.
    pub(crate) fn set_rate(&self, rate: f64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
    }

    /// Rows a second that may be read; infinite without a limit.
    pub(crate) fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// How long its rate forbids reading it, if it does.
    pub(crate) fn limited_for(&self) -> Option<Duration> {
        let rate = self.rate();
        if rate.is_infinite() {
            return None;
        }
        lock(&self.filling).pace.as_mut().and_then(|pace| pace.allowance(rate).err())
    }

    /// Counts rows from now on.
    pub(crate) fn count_rows(&self) {
        self.taken.counts_rows.store(true, Ordering::Relaxed);
    }

    /// Rows that batches took since they are counted, and bytes.
    pub(crate) fn taken(&self) -> (Option<u64>, u64) {
        let rows = self.taken.rows.load(Ordering::Relaxed);
        let counts_rows = self.taken.counts_rows.load(Ordering::Relaxed);
        (counts_rows.then_some(rows), self.taken.bytes.load(Ordering::Relaxed))
    }

    /// Rows that came since the last call; to be called after [`pass_cut`](Self::pass_cut), when
    /// they are those of the batch.
    pub(crate) fn rows_of_batch(&self) -> u64 {
        let rows = self.taken.rows.load(Ordering::Relaxed);
        rows - self.taken.rows_before.swap(rows, Ordering::Relaxed)
    }

    pub(crate) fn blocks(&self) -> BlockCounts {
        let queued = self.taken.blocks_queued.load(Ordering::Relaxed);
        let (max, in_use) = self.pool.counts();
        BlockCounts { max, in_use, queued }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn saved_name(&self) -> &str {
        &self.saved_name
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    pub(crate) fn counts(&self) -> SourceCounts {
        self.counters.get()
    }

    pub(crate) fn set_eager(&self) {
        self.is_eager.store(true, Ordering::Relaxed);
        lock(&self.filling).writer.set_eager();
        self.pool.limit(EAGER_BLOCKS_MAX);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Why it has ended, or what it has reported since the last call.
    pub(crate) fn take_error(&self) -> Option<Error> {
        lock(&self.error).take()
    }

    /// Trouble and recovery since the last call.
    pub(crate) fn take_news(&self) -> Option<News> {
        self.status.take_news()
    }

    /// Whether it receives, its last error, and attempts that failed since it last did.
    pub(crate) fn status(&self) -> (SourceState, Option<String>, u64) {
        let (state, error, failures) = self.status.now();
        (if self.has_ended() { SourceState::Ended } else { state }, error, failures)
    }

    /// The first of the paths that cannot be read now, and are tried again.
    pub(crate) fn unreadable(&self) -> Vec<PathBuf> {
        self.status.unreadable()
    }

    pub(crate) fn waiter(&self) -> Option<Box<dyn Waiter>> {
        lock(&self.filling).receiver.waiter()
    }

    /// Waits for a free block and for room in the log, for a while.
    pub(crate) fn wait_for_block(&self) {
        match self.log() {
            Some(log) if log.is_full() => log.wait_for_room(WAIT_MAX),
            _ => self.pool.wait(WAIT_MAX),
        }
    }

    /// Lets the receiver read once.
    pub(crate) fn step(&self) -> Step {
        let filling = &mut *lock(&self.filling);
        if self.has_ended() {
            return Step::Ended;
        }
        if !filling.writer.open() {
            return Step::NoBlock;
        }
        if filling.is_ending {
            return self.end(filling);
        }
        // Lines without room in the last block may have filled this one, too.
        if filling.writer.is_block_full() {
            self.seal(filling);
            return Step::Sealed;
        }
        if let Some(logging) = &mut filling.logging {
            match logging.replay(&mut filling.writer) {
                Ok(Again::Nothing) if logging.log.is_full() => return Step::NoBlock,
                Ok(Again::Nothing) => {}
                Ok(again) => {
                    if let Again::Block(senders) = again
                        && let Err(error) = self.load_senders(filling, &senders)
                    {
                        return self.fail(filling, error);
                    }
                    self.seal(filling);
                    return Step::Sealed;
                }
                Err(error) => return self.fail(filling, error),
            }
        }
        let Filling { receiver, writer, pace, .. } = filling;
        let mark = match pace.as_mut().map(|pace| pace.allowance(self.rate())) {
            None => None,
            Some(Ok(bytes)) => Some(writer.limit(bytes)),
            Some(Err(wait)) => return Step::Limited(wait),
        };
        let received = self.guarded(|| receiver.receive(writer));
        if let Some(report) = writer.take_report() {
            let report = self.caused(report);
            self.status.failed(report.to_string());
            lock(&self.error).get_or_insert(report);
        }
        if let (Some(pace), Some(mark)) = (pace, mark) {
            let (bytes, lines) = writer.taken_since(mark);
            pace.took(bytes, lines);
        }
        match received {
            Ok(received) => {
                if !filling.was_read {
                    filling.was_read = true;
                    self.status.was_read();
                }
                let is_due = writer.is_block_full() || self.is_worth_sealing(writer);
                let is_sealed = is_due && self.seal(filling);
                match received {
                    Received::End => self.end(filling),
                    _ if is_sealed => Step::Sealed,
                    Received::More => Step::More,
                    Received::Later(duration) => Step::Later(duration),
                }
            }
            Err(error) => self.fail(filling, error),
        }
    }

    /// What the receiver comes to; a panic is an error, too.
    fn guarded<T>(&self, run: impl FnOnce() -> io::Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.caused(error)),
            Err(panic) => Err(Error::new(
                ErrorKind::Closure,
                format!("receiver {} panicked: {}", self.name, panic_text(&*panic)),
            )),
        }
    }

    fn caused(&self, error: impl Into<BoxError>) -> Error {
        Error::caused(ErrorKind::Source, format!("source {}", self.name), error)
    }

    /// Ends the source with an error.
    fn fail(&self, filling: &mut Filling, error: Error) -> Step {
        self.give_up(filling, error);
        self.end(filling)
    }

    /// Has the source end, with an error, at its next step.
    fn give_up(&self, filling: &mut Filling, error: Error) {
        tracing::error!(%error, "a source has ended");
        self.status.failed(error.to_string());
        *lock(&self.error) = Some(error);
        filling.is_ending = true;
    }

    /// Ends the batch of this time here: what was received so far belongs to it, and what the
    /// receiver has for this time.
    pub(crate) fn cut(&self, time: Time, cutting: &Cutting<'_>) {
        let has_more = self.tick(time);
        self.cut_after(has_more, cutting);
    }

    /// Ends one batch more with what the last one left, at whatever rate.
    pub(crate) fn cut_rest(&self, cutting: &Cutting<'_>) {
        lock(&self.filling).pace = None;
        self.cut_after(self.has_rest.load(Ordering::Relaxed), cutting);
    }

    /// Whether the last cut left something that the receiver could have given to the next process,
    /// which goes on there with checkpoints only.
    pub(crate) fn leaves_rest(&self) -> bool {
        self.leaves_rest.load(Ordering::Relaxed)
    }

    fn cut_after(&self, mut has_more: bool, cutting: &Cutting<'_>) {
        let (mut has_rest, mut going) = (false, (cutting.going)());
        {
            let writer = &mut lock(&self.filling).writer;
            writer.take_rest();
            // However late it is, there is something of it in each batch.
            writer.set_going(if going == Going::Due { Going::Parts } else { going });
        }
        while has_more && going != Going::Over {
            let step = self.step();
            going = (cutting.going)();
            has_more = match step {
                Step::Sealed => {
                    (cutting.notify)();
                    true
                }
                Step::More => true,
                // Blocks that are worked on as they come are soon there again.
                Step::NoBlock if self.is_eager.load(Ordering::Relaxed) && !self.is_log_full() => {
                    (cutting.notify)();
                    self.wait_for_block();
                    true
                }
                Step::NoBlock | Step::Limited(_) | Step::Later(_) | Step::Ended => false,
            };
            // It belongs to the next batch.
            has_rest = matches!(step, Step::NoBlock | Step::Limited(_)) && !has_more;
            lock(&self.filling).writer.set_going(going);
        }
        let is_log_full = self.is_log_full();
        let filling = &mut *lock(&self.filling);
        filling.writer.set_going(Going::All);
        let is_left = filling.writer.take_rest();
        has_rest |= is_left && going == Going::All;
        self.leaves_rest.store(is_left && !has_rest, Ordering::Relaxed);
        self.has_rest.store(has_rest && !is_log_full, Ordering::Relaxed);
        self.flush(filling);
        self.push_cut(filling);
    }

    /// Ends a batch here, whatever was received is not in a block yet.
    fn push_cut(&self, filling: &mut Filling) {
        let position = match &filling.logging {
            // Lines that found no block belong to the next batch, but not to what is received
            // later.
            _ if filling.writer.has_excess() => None,
            None => self.position_with_senders(filling),
            Some(_) => {
                let senders = self.senders(filling, true).unwrap_or_default();
                filling.logging.as_ref().map(|logging| position_of(logging.last, &senders))
            }
        };
        filling.has_sealed = false;
        lock(&self.sealed).push_back(Sealed::Cut(position));
    }

    /// Whether a restart from the last cut has again what came since. What goes to a log is handed
    /// to it for that. Input that ends by itself is not kept: its batches are not bound to ticks,
    /// and its end is to be seen.
    pub(crate) fn keeps_rest(&self) -> bool {
        let filling = &mut *lock(&self.filling);
        if self.is_bounded && !self.has_ended() {
            return false;
        }
        if filling.logging.is_some() {
            self.flush(filling);
            return !filling.writer.has_excess();
        }
        let has_come = filling.has_sealed || filling.writer.filled() > 0;
        filling.receiver.can_resume() || !(has_come || filling.writer.has_excess())
    }

    /// Where the receiver stands, if it can say.
    fn position(&self, filling: &mut Filling) -> Option<Vec<u8>> {
        match self.guarded(|| Ok(filling.receiver.position())) {
            Ok(position) => position,
            Err(error) => {
                self.give_up(filling, error);
                None
            }
        }
    }

    /// What the receiver knows of its senders, or what has changed of that.
    fn senders(&self, filling: &mut Filling, all: bool) -> Option<Vec<u8>> {
        match self.guarded(|| Ok(filling.receiver.save_senders(all))) {
            Ok(senders) => senders,
            Err(error) => {
                self.give_up(filling, error);
                None
            }
        }
    }

    fn load_senders(&self, filling: &mut Filling, senders: &[u8]) -> Result<()> {
        match senders {
            [] => Ok(()),
            senders => self.guarded(|| filling.receiver.load_senders(senders)),
        }
    }

    /// Where the receiver stands, and what it knows of its senders there, if it knows anything.
    fn position_with_senders(&self, filling: &mut Filling) -> Option<Vec<u8>> {
        let position = self.position(filling);
        let Some(senders) = self.senders(filling, true) else { return position };
        let mut all = SENDERS_TAG.to_vec();
        push_bytes(&senders, &mut all);
        all.extend_from_slice(&position.unwrap_or_default());
        Some(all)
    }

    /// Whether the receiver knows of its senders what has to be in checkpoints.
    pub(crate) fn has_senders(&self) -> bool {
        let filling = &mut *lock(&self.filling);
        self.senders(filling, true).is_some()
    }

    /// Whether the receiver can go back to where it was.
    pub(crate) fn is_replayable(&self) -> bool {
        lock(&self.filling).receiver.can_resume()
    }

    /// Has all that is sealed go to a log, after all that another process left there. To be called
    /// before the first step.
    pub(crate) fn log_to(&self, log: Arc<Log>, replay: Replay) {
        let (last, has_senders) = (replay.last(), self.has_senders());
        let filling = &mut *lock(&self.filling);
        let position = self.position(filling);
        let (logged, replay, waiting) = (0, Some(replay), Vec::new());
        let logging = Logging { log, last, logged, replay, has_senders, waiting, position };
        filling.logging = Some(logging);
    }

    pub(crate) fn log(&self) -> Option<Arc<Log>> {
        lock(&self.filling).logging.as_ref().map(|logging| logging.log.clone())
    }

    pub(crate) fn log_counts(&self) -> Option<LogCounts> {
        self.log().map(|log| log.counts())
    }

    fn is_log_full(&self) -> bool {
        self.has_log_at(Fill::Full)
    }

    /// Whether it has a log with so much in it.
    pub(crate) fn has_log_at(&self, fill: Fill) -> bool {
        self.log().is_some_and(|log| log.is_at(fill))
    }

    /// Whether its receiver tells senders what is safe, and cannot go back: without a log that is
    /// what the newest checkpoint has.
    pub(crate) fn acknowledges(&self) -> bool {
        let filling = &mut *lock(&self.filling);
        !filling.receiver.can_resume() && self.position(filling).is_some()
    }

    /// Goes to where an earlier receiver stood, if it can. To be called before the first step.
    pub(crate) fn resume(&self, position: &[u8]) -> Result<()> {
        let filling = &mut *lock(&self.filling);
        let resumed = match filling.receiver.can_resume() {
            true => filling.receiver.resume(position),
            false => {
                let senders =
                    senders_at(position).or_else(|| Some(parts_with_senders(position)?.0));
                let senders = senders.unwrap_or_default();
                self.load_senders(filling, senders).map_err(io::Error::other)
            }
        };
        resumed.map_err(|error| {
            let message = format!("source {} cannot go back to where it was", self.name);
            Error::caused(ErrorKind::Source, message, error)
        })
    }

    /// What was received up to here is in each checkpoint from which a start may go on; or, of a
    /// source that is in none, in the newest.
    pub(crate) fn saved(&self, position: &[u8]) {
        match self.log() {
            // Who sent it was told when it was in the log.
            Some(log) => log.saved(number_at(position)),
            None => match parts_with_senders(position) {
                Some((_, position)) => self.acknowledge(position),
                None => self.acknowledge(position),
            },
        }
    }

    /// What was received up to here need not be sent again.
    pub(crate) fn acknowledge(&self, position: &[u8]) {
        let filling = &mut *lock(&self.filling);
        let told = self.guarded(|| {
            filling.receiver.acknowledge(position);
            Ok(())
        });
        if let Err(error) = told {
            self.give_up(filling, error);
        }
    }

    /// Whether the receiver has more for the batch of this time.
    fn tick(&self, time: Time) -> bool {
        let filling = &mut *lock(&self.filling);
        if self.has_ended() {
            return false;
        }
        match self.guarded(|| filling.receiver.tick(time)) {
            Ok(has_more) => has_more,
            Err(error) => {
                self.fail(filling, error);
                false
            }
        }
    }

    /// Whether a cut left something that belongs to its batch to the next one, for want of blocks
    /// or because of the rate.
    pub(crate) fn has_rest(&self) -> bool {
        self.has_rest.load(Ordering::Relaxed) || lock(&self.filling).writer.has_excess()
    }

    /// Whether there is anything to make a batch of.
    pub(crate) fn has_sealed(&self) -> bool {
        !lock(&self.sealed).is_empty()
    }

    /// The next block of the batch that is being received or worked on.
    pub(crate) fn pop(&self) -> Option<SharedText> {
        let mut sealed = lock(&self.sealed);
        match sealed.front() {
            Some(Sealed::Block(_)) => match sealed.pop_front() {
                Some(Sealed::Block(block)) => {
                    drop(sealed);
                    self.take_in(&block);
                    Some(block)
                }
                _ => unreachable!("it was in front"),
            },
            _ => None,
        }
    }

    /// Removes the cut that stands in front, after all blocks before it were taken, and says where
    /// the receiver stood.
    pub(crate) fn pass_cut(&self) -> Option<Vec<u8>> {
        match lock(&self.sealed).pop_front() {
            Some(Sealed::Cut(position)) => position,
            _ => panic!("a batch ends with its cut"),
        }
    }

    fn take_in(&self, block: &SharedText) {
        let taken = &self.taken;
        taken.blocks_queued.fetch_sub(1, Ordering::Relaxed);
        taken.bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        if taken.counts_rows.load(Ordering::Relaxed) {
            let rows = self.form.rows(block.bytes());
            taken.rows.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    /// Whether every line end in a block is the end of a row.
    pub(crate) fn has_lines(&self) -> bool {
        self.form.is_lines()
    }

    /// The rows of a block as columns.
    pub(crate) fn rows(&self, block: &SharedText, recycled: &mut Recycled) -> AnyChunk {
        self.form.columns(block, recycled)
    }

    fn is_worth_sealing(&self, writer: &BlockWriter) -> bool {
        self.is_eager.load(Ordering::Relaxed)
            && !self.is_bounded
            && writer.filled() >= EAGER_BYTES_MIN
            && lock(&self.sealed).is_empty()
    }

    fn seal(&self, filling: &mut Filling) -> bool {
        let Some(block) = filling.writer.seal() else { return false };
        if filling.logging.is_some() {
            // Where the receiver stands, there are lines that are in no block.
            let (position, senders) = match filling.writer.has_excess() {
                true => (None, None),
                false => (self.position(filling), self.senders(filling, false)),
            };
            if let Some(logging) = &mut filling.logging {
                logging.sealed(&block, position, senders);
            }
        }
        filling.has_sealed = true;
        self.taken.blocks_queued.fetch_add(1, Ordering::Relaxed);
        lock(&self.sealed).push_back(Sealed::Block(block));
        true
    }

    /// Seals all that was received, as far as there are blocks for it.
    fn flush(&self, filling: &mut Filling) {
        self.seal(filling);
        while filling.writer.has_excess() && filling.writer.open() {
            self.seal(filling);
        }
        if filling.logging.is_none() || filling.writer.has_excess() {
            return;
        }
        let position = self.position(filling);
        if filling.logging.as_ref().is_some_and(|logging| logging.has_moved_to(&position)) {
            let senders = self.senders(filling, false);
            if let Some(logging) = &mut filling.logging {
                logging.stands_at(position, senders);
            }
        }
    }

    fn end(&self, filling: &mut Filling) -> Step {
        filling.is_ending = true;
        self.flush(filling);
        if filling.writer.has_excess() {
            return Step::NoBlock;
        }
        self.has_ended.store(true, Ordering::Release);
        Step::Ended
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Begins the position of a source without a log whose receiver knows something of its senders.
const SENDERS_TAG: &[u8] = b"senders ";

/// What such a receiver knows of its senders, and where it stands.
fn parts_with_senders(position: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = position.strip_prefix(SENDERS_TAG)?;
    let senders = take_bytes(&mut rest).ok()?;
    Some((senders, rest))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return text;
    }
    panic.downcast_ref::<String>().map_or("a value that is no text", String::as_str)
}
