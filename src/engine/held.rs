//! What the nodes of the plan hold, as it is charged to the memory account: while a batch is taken
//! in, between batches, and for the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::{IDLE_BATCHES, IDLE_BYTES_MIN, check_key_bytes};
use crate::error::Result;
use crate::memory::{Memory, MemoryCharge};
use crate::record::batch::AnyChunk;

/// What one node holds.
pub(super) struct Held {
    pub(super) charge: MemoryCharge,
    /// Bytes that its partials may take together.
    key_bytes_max: usize,
    /// Bytes that they take.
    of_partials: AtomicUsize,
    /// What an operator remembers.
    state: usize,
    /// Batches that are kept for the program.
    history: usize,
    /// Columns that were made of the batch.
    chunks: AtomicUsize,
    /// The last result, to be written again.
    last: Reserve,
}

/// Memory that stays for the next batch, until batches have needed far less for a while.
#[derive(Default)]
pub(super) struct Reserve {
    /// The most that was used since it was made.
    bytes: usize,
    idle_batches: u8,
}

impl Reserve {
    /// Notes that a batch has used so many bytes; whether all should be given back.
    pub(super) fn ends_batch(&mut self, used: usize) -> bool {
        let is_idle = self.bytes > IDLE_BYTES_MIN && used < self.bytes / 8;
        self.idle_batches = if is_idle { self.idle_batches + 1 } else { 0 };
        self.idle_batches == IDLE_BATCHES
    }

    pub(super) fn is_worth_a_look(&self) -> bool {
        self.bytes > IDLE_BYTES_MIN
    }
}

impl Held {
    pub(super) fn new(name: &str, memory: &Arc<Memory>, key_bytes_max: usize) -> Held {
        Held {
            charge: memory.charge(format!("operator {name}")),
            key_bytes_max,
            of_partials: AtomicUsize::new(0),
            state: 0,
            history: 0,
            chunks: AtomicUsize::new(0),
            last: Reserve::default(),
        }
    }

    /// A partial uses so many bytes now.
    pub(super) fn partial_uses(&self, reserve: &mut Reserve, bytes: usize) -> Result<()> {
        let more = bytes.saturating_sub(reserve.bytes);
        if more == 0 {
            return Ok(());
        }
        let all = self.of_partials.fetch_add(more, Ordering::Relaxed) + more;
        self.charge.replace(&mut reserve.bytes, bytes)?;
        check_key_bytes(all, self.key_bytes_max)
    }

    /// A partial was dropped, or is about to be.
    pub(super) fn partial_dropped(&self, reserve: &mut Reserve) {
        self.of_partials.fetch_sub(reserve.bytes, Ordering::Relaxed);
        // Less never fails.
        let _ = self.charge.replace(&mut reserve.bytes, 0);
        *reserve = Reserve::default();
    }

    /// Whether as much as a partial uses can be taken again: to merge it into another one, or to
    /// give out what is in it, takes no more.
    pub(super) fn check_room_for(&self, reserve: &Reserve) -> Result<()> {
        self.charge.check_room(reserve.bytes)
    }

    /// The operator remembers so much now.
    pub(super) fn set_state(&mut self, bytes: usize) -> Result<()> {
        self.charge.replace(&mut self.state, bytes)
    }

    pub(super) fn set_history(&mut self, bytes: usize) -> Result<()> {
        self.charge.replace(&mut self.history, bytes)
    }

    /// Columns of so many bytes were made of the batch.
    pub(super) fn add_chunk(&self, bytes: usize) -> Result<()> {
        self.chunks.fetch_add(bytes, Ordering::Relaxed);
        self.charge.replace(&mut 0, bytes)
    }

    /// The batch is over: its columns are gone.
    pub(super) fn drop_chunks(&mut self) {
        let bytes = std::mem::take(self.chunks.get_mut());
        let _ = self.charge.replace(&mut { bytes }, 0);
    }

    /// Keeps a result for its memory, unless results have needed far less of that for a while.
    pub(super) fn keep_last(
        &mut self,
        last: &mut Option<AnyChunk>,
        chunk: &AnyChunk,
    ) -> Result<()> {
        let bytes = chunk.held_bytes();
        let most = bytes.max(self.last.bytes);
        let charged = self.charge.replace(&mut self.last.bytes, most);
        if charged.is_err() || self.last.ends_batch(bytes) {
            self.dropped_last();
            charged?;
            return self.add_chunk(bytes);
        }
        *last = Some(chunk.clone());
        Ok(())
    }

    /// The last result is gone.
    pub(super) fn dropped_last(&mut self) {
        let _ = self.charge.replace(&mut self.last.bytes, 0);
        self.last = Reserve::default();
    }
}
