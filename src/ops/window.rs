//! window: the rows of the last so many batches, oldest first.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Changes, Gather, StateSize, Stateful, Turn};
use crate::config::check_retained;
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns, detach};
use crate::record::saved::{form_of, push_varint, take_len, torn};
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

/// Bytes that a partition takes beside its rows.
const CHUNK_BYTES: usize = 64;

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
    /// The batches that are saved, if somebody saves.
    saved: VecDeque<u64>,
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
            let own = size_of::<Kept>() + chunks.len() * CHUNK_BYTES;
            let bytes = own + bytes.iter().sum::<usize>();
            check_retained(rows.bytes, bytes, self.retained_bytes_max)?;
            turn.memory.check_room(bytes)?;
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

    fn size(&self, rows: &mut Rows) -> StateSize {
        let saved = rows.saved.capacity() * size_of::<u64>();
        StateSize { keys: 0, bytes: rows.bytes + saved }
    }

    fn saved_as(&self) -> Result<String> {
        Ok(format!("batches of {}", form_of::<T>()?))
    }

    /// An entry for each batch: its partitions, each with its rows.
    fn save(&self, rows: &mut Rows, changes: &mut Changes) -> Result<()> {
        let first = rows.batches.front().map_or(u64::MAX, |kept| kept.batch);
        let left = rows.saved.iter().take_while(|&&batch| batch < first).count();
        rows.saved.iter().take(left).for_each(|&batch| changes.remove(batch));
        let last = rows.saved.back().copied();
        let is_saved = |kept: &&Kept| Some(kept.batch) <= last;
        for kept in rows.batches.iter().skip_while(is_saved) {
            changes.put(kept.batch, |out| save_chunks::<T>(&kept.chunks, out));
        }
        // What runs something of the user's has come before.
        let new = rows.batches.iter().map(|kept| kept.batch).filter(|&batch| Some(batch) > last);
        rows.saved.extend(new);
        rows.saved.drain(..left);
        Ok(())
    }

    /// Columns that are kept stay as they are, so whoever reads them needs no copy.
    fn save_all(&self, rows: &mut Rows) -> Result<Gather> {
        rows.saved = rows.batches.iter().map(|kept| kept.batch).collect();
        let all = rows.batches.iter().map(|kept| (kept.batch, kept.chunks.clone()));
        let all: Vec<_> = all.collect();
        Ok(Box::new(move || {
            let mut changes = Changes::whole();
            for (batch, chunks) in all {
                changes.put(batch, |out| save_chunks::<T>(&chunks, out));
            }
            Ok(changes)
        }))
    }

    fn load(&self, rows: &mut Rows, saved: &Changes) -> Result<()> {
        for (batch, bytes) in saved.iter() {
            let Some(mut bytes) = bytes else { continue };
            let (mut chunks, mut kept_bytes): (Vec<AnyChunk>, _) = (Vec::new(), 0);
            for _ in 0..take_len(&mut bytes)? {
                let mut columns = T::Columns::default();
                for _ in 0..take_len(&mut bytes)? {
                    columns.push_owned(T::load(&mut bytes)?);
                }
                columns.freeze();
                kept_bytes += columns.byte_len();
                chunks.push(Arc::new(columns));
            }
            if !bytes.is_empty() {
                return Err(torn());
            }
            kept_bytes += size_of::<Kept>() + chunks.len() * CHUNK_BYTES;
            rows.batches.push_back(Kept { batch, chunks, bytes: kept_bytes });
            rows.bytes += kept_bytes;
            rows.saved.push_back(batch);
        }
        Ok(())
    }
}

/// Appends the partitions of a batch, each with its rows.
fn save_chunks<T: Record>(chunks: &[AnyChunk], out: &mut Vec<u8>) {
    push_varint(chunks.len() as u64, out);
    for rows in chunks.iter().map(columns::<T>) {
        push_varint(rows.len() as u64, out);
        (0..rows.len()).for_each(|row| T::save(rows.get(row), out));
    }
}

impl Rows {
    fn drop_batch(&mut self, pop: impl Fn(&mut VecDeque<Kept>) -> Option<Kept>) {
        self.bytes -= pop(&mut self.batches).map_or(0, |kept| kept.bytes);
    }
}
