//! Every limit of the engine, its default, and the reason for it. Nothing that outside data can
//! grow is without one.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// Bytes of one block. Large enough that the work for a block (about 1 ms) outweighs handing it
/// over, small enough that it stays in a core's L2 cache between the read and the kernels.
pub const BLOCK_BYTES: usize = 1 << 20;

/// The longest that lines may be made by [`Limits::line_bytes`]: blocks have to hold a few, and
/// all in flight are to fit in memory.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// Lines of the maximum that a block has room for at least: bad UTF-8 may lengthen a line
/// threefold, and a block must hold it with its carry.
const LINES_IN_BLOCK_MIN: usize = 4;

/// Blocks of a pool unless told otherwise: some 60 ms of the fastest source.
const BLOCKS_DEFAULT: usize = 64;

/// Rows of a join unless told otherwise.
const JOINED_ROWS_DEFAULT: usize = 64 << 20;

/// The most that keys of one operator may take: a column's texts are found by numbers of 32 bits.
const KEY_BYTES_MAX: usize = u32::MAX as usize;

/// Blocks of a pool at least, where they are larger than usual: one is filled while another is
/// being worked on, and two come between.
const LARGE_BLOCKS_MIN: usize = 4;

/// Bytes of the largest block: what claims to be a larger one is none.
pub(crate) const BLOCK_BYTES_MAX: usize = LINES_IN_BLOCK_MIN * LINE_BYTES_MAX;

/// Bytes of the largest block in an intake log: one, with those before it that are logged with it
/// as one read filled them all, and what is known of their senders.
pub(crate) const LOGGED_BYTES_MAX: usize = 4 * BLOCK_BYTES_MAX;

/// The unfinished part of a line that is held whole though it may be cut between words: what is
/// held is moved at each read.
pub(crate) const UNSPLIT_BYTES_MAX: usize = 64 << 10;

/// Bytes asked of one read: past 256 KiB a socket's read gets no faster, and the bytes fall out of
/// the nearest caches before their line ends are searched.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// A block with less room than this is sealed rather than read into.
pub(crate) const ROOM_BYTES_MIN: usize = 64 << 10;

/// Blocks of a source whose blocks are aggregated as they arrive. A full pool is a backlog, and a
/// backlog is latency: two to fill and to work on for each of a few cores are enough.
pub(crate) const EAGER_BLOCKS_MAX: usize = 8;

/// A block with this much is sealed early when its batch is aggregated as it arrives and nothing
/// else is queued: it bounds what is left to do at the tick.
pub(crate) const EAGER_BYTES_MIN: usize = 64 << 10;

/// Different values of one key that a distinct count keeps unless told otherwise: more than a
/// program expects of one key, and with short values less than 100 MB.
pub(crate) const DISTINCT_VALUES_MAX: usize = 1 << 20;

/// Files that a directory source lists or remembers unless told otherwise: each costs a look now
/// and then, and about 500 bytes.
pub(crate) const DIRECTORY_FILES_MAX: usize = 1 << 20;

/// Files that had a followed name before and are read to their ends: each is an open file. As many
/// logs as are rotated in a long pause, and far fewer than the system's open files.
pub(crate) const ROTATED_FILES_MAX: usize = 256;

/// Names that are no longer followed whose places are kept all the same.
pub(crate) const FOLLOWED_NAMES_KEPT_MAX: usize = 1_024;

/// Names of files that were read and are no longer in the list that are kept all the same.
pub(crate) const READ_NAMES_KEPT_MAX: usize = 1 << 20;

/// Bytes of a file's first line that are looked at before the file is read: as many as the longest
/// line may have.
pub(crate) const FIRST_LINE_BYTES_MAX: usize = BLOCK_BYTES / 4;

/// In a directory of so many files each is looked at at every batch: that takes less than 1 ms.
pub(crate) const DIRECTORY_FILES_LOOKED_AT: usize = 256;

/// How often each file of a larger directory is looked at, as one that is changed in place shows in
/// nothing else: 50,000 files take 0.1 s.
pub(crate) const DIRECTORY_LOOK_EVERY: Duration = Duration::from_secs(10);

/// Names in a directory of which it is said that they are not read: enough to see which kind it is.
pub(crate) const SKIPPED_NAMES_SAID_MAX: usize = 16;

/// Descriptors that connections leave to checkpoints, logs and files, and a quarter of the
/// process's limit at most: a checkpoint, its log and a scrub have a few open at a time, and each
/// thread that reads a directory has one.
pub(crate) const DESCRIPTORS_RESERVED_MAX: u64 = 64;

/// How long a client that has ended its side is waited for to take its last receipt, where
/// connections may be idle for longer. Receipts come with checkpoints where there is no log.
pub(crate) const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// Producers that a server remembers unless told otherwise: a checkpoint has about 40 bytes for
/// each.
pub(crate) const PRODUCERS_MAX: usize = 4096;

/// How long a connection may be idle unless told otherwise: longer than a log is quiet at night,
/// as a sender that does not look for the end of its connection loses what it sends next.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// A batch reads what belongs to its time for as long as its interval at most, and no longer than
/// this: it would hold up what others of its sources have.
pub(crate) const BATCH_READS_MAX: Duration = Duration::from_secs(10);

/// How long a graceful stop reads on at most what belongs to its last batch.
pub(crate) const STOP_READS_MAX: Duration = Duration::from_secs(1);

/// Bytes that a batch takes of a directory for each second of its interval, and at least: about
/// what a machine counts in that time.
pub(crate) const DIRECTORY_BATCH_BYTES: u64 = 1 << 30;

/// Bytes of a file up to which it is read in one batch, as Spark has it for all: reading them takes
/// a few hundredths of a second.
pub(crate) const WHOLE_FILE_BYTES_MAX: u64 = 64 << 20;

/// Files that one call of a receiver opens at most: a tick and a stop have to come through between
/// two calls.
pub(crate) const FILES_A_CALL_MAX: usize = 256;

/// Batches that a file waits until there are blocks for all of it: what the program keeps may hold
/// them for ever.
pub(crate) const WAITS_FOR_ROOM_MAX: usize = 16;

/// Paths that cannot be read now which metrics and warnings name: enough to see which they are.
pub(crate) const UNREADABLE_PATHS_NAMED_MAX: usize = 16;

/// How long a receiver's thread waits at most before it looks whether it shall stop.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(50);

/// Bytes of input above which the work on them (about 100 µs) goes parallel: below, waking a second
/// core costs more than it saves.
pub(crate) const PARALLEL_BYTES_MIN: usize = 128 << 10;

/// Rows of the largest columns that a task keeps to write the next chunk's to: a block of short
/// lines has fewer.
pub(crate) const RECYCLED_ROWS_MAX: usize = 1 << 19;

/// Bytes of the largest text that it keeps room for.
pub(crate) const RECYCLED_BYTES_MAX: usize = 8 << 20;

/// How long a stop waits at most for a checkpoint to be on disk, and each batch of a test: as long
/// as a slow disk takes for all of a large state, and not for ever.
pub(crate) const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(30);

/// Retries of an output at most, and the longest wait before one: with both a batch waits for some
/// 16 hours, longer than anybody takes to mend what is at the other end.
pub(crate) const OUTPUT_RETRIES_MAX: u32 = 1_000;
pub(crate) const OUTPUT_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Batches that a channel holds at most: its memory is taken at once.
pub(crate) const COLLECTED_BATCHES_MAX: usize = 1 << 16;

/// Bytes of a compressed file's content that its thread hands over at once, and how many such
/// pieces may wait: as much as a block or two ahead of who counts, and within the caches.
#[cfg(feature = "compression")]
pub(crate) const UNPACK_CHUNK_BYTES: usize = 256 << 10;
pub(crate) const UNPACK_CHUNKS_MAX: usize = 4;

/// The logarithm of the largest window of a Zstandard frame: 128 MiB, what `zstd` itself takes
/// unless told otherwise, so that no file asks for more memory than that.
#[cfg(feature = "compression")]
pub(crate) const UNPACK_WINDOW_LOG_MAX: u32 = 27;

/// Memory that a context may hold at least: a few blocks and tables, and something to hold in them.
pub(crate) const MEMORY_BYTES_MIN: usize = 16 << 20;

/// Memory that the machine is taken to have where the system does not say.
pub(crate) const MACHINE_BYTES_UNKNOWN: u64 = 4 << 30;

/// The part of the machine's memory, or of its control group's, that one context may hold unless
/// told otherwise: as much again is left to the system's file cache, to what the program has
/// itself, and to what no account sees, such as the allocator's gaps.
pub(crate) const MACHINE_PARTS: u64 = 2;

/// The memory from which [`Limits::default`] is derived.
const MEMORY_BYTES_DEFAULT: usize = 12 << 30;

/// The part of its memory that the blocks of one source may take: far more than a source needs to
/// be read at full speed, and little beside what is made of them.
const POOL_PARTS: usize = 16;

/// The part that one operator may take for keys and rows: a batch's result is made while they are
/// still there, so the whole would never do.
const KEY_PARTS: usize = 2;

/// The part that what one operator or stream keeps may take: while it is there it is given out, and
/// for a checkpoint gathered, encoded and read back.
const RETAINED_PARTS: usize = 6;

/// The part that the unfinished lines of one source's connections may take: whoever connects can
/// send them and never end them, so they must not take what is needed for whole lines.
const UNFINISHED_PARTS: usize = 16;

/// The part that one queue of a program may take.
const QUEUE_PARTS: usize = 8;

/// Bytes of memory for each row that a join may give: its numbers, and where its texts are.
const JOINED_ROW_BYTES: usize = 64;

/// Blocks of a pool that need no room in the memory account: a source that cannot be read at all
/// would never come to its end.
pub(crate) const POOL_BLOCKS_MIN: usize = 2;

/// Batches in a row that need far less memory than what is kept for the next one, before that is
/// given back.
pub(crate) const IDLE_BATCHES: u8 = 8;

/// Bytes of a result that are kept for the next batch however little that needs.
pub(crate) const IDLE_BYTES_MIN: usize = 1 << 20;

const _: () = assert!(READ_BYTES * 2 <= BLOCK_BYTES && ROOM_BYTES_MIN <= READ_BYTES);
const _: () = assert!(BLOCK_BYTES <= BLOCK_BYTES_MAX && LOGGED_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(UNSPLIT_BYTES_MAX + READ_BYTES <= BLOCK_BYTES);

/// The maxima of one streaming context. Change them with the context builder's `limits`.
///
/// All that a context holds is in one account of bytes besides, whose maximum is the builder's
/// [`memory`](crate::ContextBuilder::memory). Limits that a program does not set are parts of it,
/// by [`for_memory`](Limits::for_memory); the defaults named here are for 12 GiB.
///
/// ```
/// use tidemill::prelude::*;
/// let limits = Limits { distinct_keys: 1_000_000, ..Limits::default() };
/// let ssc = StreamingContext::builder("small").limits(limits).build()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks of 1 MiB in the pool of each receiver (default 64): its bytes in flight. An empty
    /// pool stops the reading, and so the sender. Where long lines need larger blocks they are
    /// fewer, for the same bytes, but at least 4.
    pub blocks: usize,
    /// Bytes of one line (default 256 KiB, at most 64 MiB). Longer ones are cut or rejected, and
    /// counted. A block has four times as many, if that is more than 1 MiB.
    pub line_bytes: usize,
    /// Distinct keys that one operator may hold (default 64 Mi); one more fails the batch.
    pub distinct_keys: usize,
    /// Bytes that one operator may hold of a batch (default and at most 4 GiB less one byte):
    /// keys with their counts and aggregates, and rows that it sorts, groups or joins. More fails
    /// the batch.
    pub key_bytes: usize,
    /// Rows that a join may give for one batch (default 64 Mi); more fails the batch. A key's rows
    /// on both sides multiply, so a few senders could otherwise ask for any number.
    pub joined_rows: usize,
    /// Bytes that one operator or stream may keep beyond a batch (default 2 GiB): rows and panes
    /// of windows, and batches that the context remembers. More fails the batch.
    pub retained_bytes: usize,
    /// Bytes of the lines that the connections of one [`Listen`](crate::Listen) have begun and not
    /// ended, all together (default 768 MiB). With more, the connection that has the longest is
    /// closed, reported and counted as refused.
    pub unfinished_bytes: usize,
    /// Batches that were cut and wait for their turn (default 8); then cutting pauses.
    pub queued_batches: usize,
    /// Batches whose times passed while the program did not run that are run after a restart
    /// (default 1,000), with rows of directories only; times before them have no batch. With
    /// [`MissedBatches::One`](crate::MissedBatches::One) there are none.
    pub missed_batches: usize,
    /// Bytes on disk of each source's intake log (default 4 GiB, at least 64 MiB). It has what came
    /// since the oldest checkpoint that is [kept](crate::StreamingContext::keep_checkpoints). With
    /// half as many, each checkpoint is one of all there is, so that older ones are not kept as
    /// long; with all, one is made after the next batch, whatever was said of how often, and the
    /// source is not read until that makes some of them needless. Blocks that are in flight may
    /// pass it.
    pub intake_log_bytes: u64,
    /// Rows that a queue stream holds before its pushes are refused (default 16 Mi).
    pub queued_rows: usize,
    /// Bytes that a queue stream holds before its pushes are refused (default 1.5 GiB).
    pub queued_bytes: usize,
}

impl Default for Limits {
    /// The limits of a context with 12 GiB of memory.
    fn default() -> Limits {
        Limits::for_memory(MEMORY_BYTES_DEFAULT)
    }
}

impl Limits {
    /// The limits of a context that may hold so many bytes of memory, as one has that sets none:
    /// half of them for what one operator holds of a batch, and a sixth for what it keeps; a
    /// sixteenth for a source's blocks, 64 MiB at most, and for unfinished lines; an eighth for a
    /// queue; a row of a join for each 64 bytes.
    ///
    /// ```
    /// use tidemill::prelude::*;
    /// let limits = Limits { line_bytes: 1 << 20, ..Limits::for_memory(512 << 20) };
    /// let ssc = StreamingContext::builder("small").memory(512 << 20).limits(limits).build()?;
    /// assert_eq!(limits.key_bytes, 256 << 20);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn for_memory(bytes: usize) -> Limits {
        Limits {
            blocks: (bytes / POOL_PARTS / BLOCK_BYTES).clamp(POOL_BLOCKS_MIN, BLOCKS_DEFAULT),
            line_bytes: 256 << 10,
            distinct_keys: 64 << 20,
            key_bytes: (bytes / KEY_PARTS).clamp(1, KEY_BYTES_MAX),
            joined_rows: (bytes / JOINED_ROW_BYTES).clamp(1, JOINED_ROWS_DEFAULT),
            retained_bytes: bytes / RETAINED_PARTS,
            unfinished_bytes: bytes / UNFINISHED_PARTS,
            queued_batches: 8,
            missed_batches: 1_000,
            intake_log_bytes: 4 << 30,
            queued_rows: 16 << 20,
            queued_bytes: bytes / QUEUE_PARTS,
        }
    }

    /// Bytes of a block that holds lines of the maximum.
    pub(crate) fn block_bytes(&self) -> usize {
        BLOCK_BYTES.max(LINES_IN_BLOCK_MIN * self.line_bytes)
    }

    /// Blocks of a pool: of larger ones fewer.
    pub(crate) fn pool_blocks(&self) -> usize {
        let bytes = self.blocks * BLOCK_BYTES;
        self.blocks.min((bytes / self.block_bytes()).max(LARGE_BLOCKS_MIN))
    }

    /// Says which limit is outside of its range, and what the range is.
    pub(crate) fn check(&self) -> Result<()> {
        // A receiver fills one block while at least one other is being worked on.
        range("blocks", self.blocks, 2, 1 << 16)?;
        range("line_bytes", self.line_bytes, 1, LINE_BYTES_MAX)?;
        range("distinct_keys", self.distinct_keys, 1, u32::MAX as usize)?;
        range("key_bytes", self.key_bytes, 1, KEY_BYTES_MAX)?;
        range("joined_rows", self.joined_rows, 1, u32::MAX as usize)?;
        range("retained_bytes", self.retained_bytes, 0, isize::MAX as usize)?;
        range("unfinished_bytes", self.unfinished_bytes, 0, isize::MAX as usize)?;
        range("queued_batches", self.queued_batches, 1, 1 << 16)?;
        range("missed_batches", self.missed_batches, 0, 1 << 24)?;
        // Files of the log are removed as wholes, and the newest ones stay.
        range(
            "intake_log_bytes",
            usize::try_from(self.intake_log_bytes).unwrap_or(usize::MAX),
            64 << 20,
            isize::MAX as usize,
        )?;
        range("queued_rows", self.queued_rows, 1, u32::MAX as usize)?;
        range("queued_bytes", self.queued_bytes, 1, isize::MAX as usize)
    }
}

/// How long a client or a server may take to show who it is, by its part of a TLS handshake and by
/// the secret: a slow line needs less, and it has a place meanwhile.
pub(crate) const ADMISSION_TIME_MAX: Duration = Duration::from_secs(10);

/// The shortest pause that a setting may ask for between two attempts or looks: below it a thread
/// would do nothing else.
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The longest pause, which is also the longest batch interval.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest time that batches or idle states may be kept by a setting: 100 years. Whatever is
/// added to a clock stays far below the last time that a clock can show.
pub(crate) const KEPT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Partitions of one batch that a program may ask for: each is a chunk of columns of its own.
pub(crate) const PARTITIONS_MAX: usize = 1 << 16;

/// Says which duration is outside of its range, and what the range is.
pub(crate) fn check_duration(
    name: &str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let message = format!("{name} is {value:?}, but must be between {min:?} and {max:?}");
    Err(Error::new(ErrorKind::Config, message))
}

/// Says when the memory of a context is outside of its range.
pub(crate) fn check_memory(bytes: usize) -> Result<()> {
    let max = isize::MAX as usize;
    if (MEMORY_BYTES_MIN..=max).contains(&bytes) {
        return Ok(());
    }
    let message = format!(
        "memory is {bytes} bytes, but must be between {MEMORY_BYTES_MIN} and {max} \
         (ContextBuilder::memory)"
    );
    Err(Error::new(ErrorKind::Config, message))
}

fn range(name: &str, value: usize, min: usize, max: usize) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let message = format!("limit {name} is {value}, but must be between {min} and {max}");
    Err(Error::new(ErrorKind::Config, message))
}

/// Says when a join would give more than [`Limits::joined_rows`].
pub(crate) fn check_joined(rows: usize, max: usize) -> Result<()> {
    if rows <= max {
        return Ok(());
    }
    let message = format!(
        "a join would give {rows} rows, more than the maximum of {max} (Limits::joined_rows)"
    );
    Err(Error::new(ErrorKind::Limit, message))
}

/// Says when an operator holds more of a batch than [`Limits::key_bytes`].
pub(crate) fn check_key_bytes(held: usize, max: usize) -> Result<()> {
    if held <= max {
        return Ok(());
    }
    let message = format!(
        "{held} bytes of keys and rows are held for a batch, more than the maximum of {max} \
         (Limits::key_bytes)"
    );
    Err(Error::new(ErrorKind::Limit, message))
}

/// Says when what is kept would pass [`Limits::retained_bytes`].
pub(crate) fn check_retained(kept: usize, more: usize, max: usize) -> Result<()> {
    if kept.saturating_add(more) <= max {
        return Ok(());
    }
    let message = format!(
        "{kept} bytes are kept already, and {more} more would pass the maximum of {max} \
         (Limits::retained_bytes)"
    );
    Err(Error::new(ErrorKind::Limit, message))
}
