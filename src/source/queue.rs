//! Queue streams: batches that the program pushes itself, and that intervals take one by one or
//! all together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::record::batch::AnyChunk;
use crate::record::{Batch, Columns, Record};

/// The pushing end of a queue stream; the stream ends when all handles are gone and it is empty.
///
/// Each pushed batch is one batch of the stream, and in an interval without one the stream has no
/// batch, which is not the same as an empty batch; unless the stream is one that takes
/// [all at once](crate::StreamingContext::queue_stream_all).
pub struct QueueHandle<T: Record> {
    queue: Arc<Queue>,
    record: std::marker::PhantomData<fn() -> T>,
}

pub(crate) struct Queue {
    rows_max: usize,
    take: Take,
    state: Mutex<State>,
    handles: AtomicUsize,
}

/// What an interval takes of what is queued.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The next batch; without one the interval has none.
    One,
    /// The next batch; without one the interval has an empty one.
    OneOrEmpty,
    /// All batches as one; without any the interval has an empty one.
    All,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Option<(Vec<AnyChunk>, usize)>>,
    /// What was cut for batches that wait for their turn, one entry each.
    cut: VecDeque<Option<Vec<AnyChunk>>>,
    rows: usize,
}

impl Queue {
    pub(crate) fn new<T: Record>(rows_max: usize, take: Take) -> (Arc<Queue>, QueueHandle<T>) {
        let (state, handles) = (Mutex::default(), AtomicUsize::new(1));
        let queue = Arc::new(Queue { rows_max, take, state, handles });
        (queue.clone(), QueueHandle { queue, record: std::marker::PhantomData })
    }

    fn push(&self, batch: Option<(Vec<AnyChunk>, usize)>) -> Result<()> {
        let rows = batch.as_ref().map_or(0, |(_, rows)| *rows);
        let mut state = self.lock();
        let (held, rows_max) = (state.rows, self.rows_max);
        // Empty batches take memory, too: there may be as many as rows.
        if held + rows > rows_max || state.batches.len() >= rows_max {
            let message = format!(
                "a queue stream of {held} rows takes no {rows} more: the maximum is {rows_max} \
                 (Limits::queued_rows)"
            );
            return Err(Error::new(ErrorKind::Limit, message));
        }
        state.rows += rows;
        state.batches.push_back(batch);
        Ok(())
    }

    pub(crate) fn cut(&self) {
        let mut state = self.lock();
        let next = match (self.take, state.batches.is_empty()) {
            (Take::One, true) => None,
            (Take::OneOrEmpty | Take::All, true) => Some((Vec::new(), 0)),
            (Take::One | Take::OneOrEmpty, false) => state.batches.pop_front().flatten(),
            // With nothing but intervals without a batch, this is one.
            (Take::All, false) => state.batches.drain(..).flatten().reduce(|mut all, next| {
                all.0.extend(next.0);
                (all.0, all.1 + next.1)
            }),
        };
        state.rows -= next.as_ref().map_or(0, |(_, rows)| *rows);
        state.cut.push_back(next.map(|(chunks, _)| chunks));
    }

    /// Cuts a batch that takes nothing of what is queued.
    pub(crate) fn cut_empty(&self) {
        let empty = (self.take != Take::One).then(Vec::new);
        self.lock().cut.push_back(empty);
    }

    pub(crate) fn take(&self) -> Option<Vec<AnyChunk>> {
        self.lock().cut.pop_front().expect("each batch was cut")
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 && self.lock().batches.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().batches.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T: Record> QueueHandle<T> {
    /// Queues a batch of these rows, in one partition.
    ///
    /// Fails with [`ErrorKind::Limit`] when the queue then held more rows than
    /// [`Limits::queued_rows`](crate::Limits::queued_rows).
    pub fn push<R: Into<T>>(&self, rows: impl IntoIterator<Item = R>) -> Result<()> {
        let mut columns = T::Columns::default();
        for row in rows {
            columns.push_owned(row.into());
        }
        columns.freeze();
        self.push_batch(Batch::from_chunks(vec![Arc::new(columns)]))
    }

    /// Queues a batch as it is, with its partitions.
    pub fn push_batch(&self, batch: Batch<T>) -> Result<()> {
        let rows = batch.len();
        self.queue.push(Some((batch.into_chunks(), rows)))
    }

    /// Queues an interval without a batch, before the batches that are pushed after it.
    ///
    /// Where all is taken at once it gives way to the batches of the same interval.
    pub fn push_absent(&self) -> Result<()> {
        self.queue.push(None)
    }
}

impl<T: Record> Clone for QueueHandle<T> {
    fn clone(&self) -> Self {
        self.queue.handles.fetch_add(1, Ordering::Relaxed);
        QueueHandle { queue: self.queue.clone(), record: self.record }
    }
}

impl<T: Record> Drop for QueueHandle<T> {
    fn drop(&mut self) {
        self.queue.handles.fetch_sub(1, Ordering::Release);
    }
}
