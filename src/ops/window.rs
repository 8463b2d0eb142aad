//! window: the rows of the last so many batches, oldest first.

use std::collections::VecDeque;
use std::marker::PhantomData;

use super::{Stateful, Turn};
use crate::config::check_retained;
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns, detach};
use crate::record::{Columns, Record};

/// How far a window looks back and how often it is given out, in batch times.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Span {
    pub(crate) window: u64,
    pub(crate) slide: u64,
}

impl Span {
    /// Whether a batch has left the window that ends at `now`.
    pub(super) fn has_left(&self, batch: u64, now: u64) -> bool {
        batch + self.window <= now
    }

    /// Whether a batch is in any window: where the slide is the larger, some are between two.
    pub(super) fn is_seen(&self, batch: u64) -> bool {
        !self.has_left(batch, batch.next_multiple_of(self.slide))
    }
}

pub(crate) struct Window<T> {
    span: Span,
    retained_bytes_max: usize,
    record: PhantomData<fn(T)>,
}

/// The batches in the window, oldest first.
#[derive(Default)]
pub(crate) struct Rows {
    batches: VecDeque<Kept>,
    bytes: usize,
    /// The last batch is not committed yet.
    is_pending: bool,
}

struct Kept {
    batch: u64,
    chunks: Vec<AnyChunk>,
    bytes: usize,
}

impl<T: Record> Window<T> {
    pub(crate) fn new(span: Span, retained_bytes_max: usize) -> Self {
        Window { span, retained_bytes_max, record: PhantomData }
    }
}

impl<T: Record> Stateful for Window<T> {
    type State = Rows;

    fn state(&self) -> Rows {
        Rows::default()
    }

    fn way(&self) -> &'static str {
        "rows kept"
    }

    fn take_turn(&self, rows: &mut Rows, turn: Turn<'_>) -> Result<()> {
        while rows.batches.front().is_some_and(|kept| self.span.has_left(kept.batch, turn.now)) {
            rows.drop_batch(VecDeque::pop_front);
        }
        if let Some(chunks) = turn.chunks.filter(|_| self.span.is_seen(turn.now)) {
            // Partitions without rows would only pile up while nothing comes.
            let has_rows = |chunk: &&AnyChunk| !columns::<T>(chunk).is_empty();
            let chunks = chunks.iter().filter(has_rows).map(detach::<T>);
            let (chunks, bytes): (Vec<_>, Vec<_>) = chunks.unzip();
            let bytes = bytes.iter().sum();
            check_retained(rows.bytes, bytes, self.retained_bytes_max)?;
            if !chunks.is_empty() {
                rows.batches.push_back(Kept { batch: turn.now, chunks, bytes });
                rows.bytes += bytes;
                rows.is_pending = true;
            }
        }
        if let Some(out) = turn.out {
            out.extend(rows.batches.iter().flat_map(|kept| kept.chunks.iter().cloned()));
        }
        Ok(())
    }

    fn commit(&self, rows: &mut Rows) {
        rows.is_pending = false;
    }

    fn roll_back(&self, rows: &mut Rows) {
        if std::mem::take(&mut rows.is_pending) {
            rows.drop_batch(VecDeque::pop_back);
        }
    }
}

impl Rows {
    fn drop_batch(&mut self, pop: impl Fn(&mut VecDeque<Kept>) -> Option<Kept>) {
        self.bytes -= pop(&mut self.batches).map_or(0, |kept| kept.bytes);
    }
}
