//! Queue streams: batches that the program pushes itself, and that intervals take one by one or
//! all together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::config::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::MemoryCharge;
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
    bytes_max: usize,
    take: Take,
    /// Of what is queued, and what was cut and waits for its batch.
    charge: MemoryCharge,
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
    queued: VecDeque<Queued>,
    /// What was cut for batches that wait for their turn, one entry each.
    cut: VecDeque<Queued>,
    rows: usize,
    bytes: usize,
}

/// A batch, or an interval without one.
struct Queued {
    batch: Option<Vec<AnyChunk>>,
    rows: usize,
    bytes: usize,
}

impl Queued {
    fn new(batch: Option<Vec<AnyChunk>>, rows: usize) -> Queued {
        let chunks = batch.iter().flatten();
        let chunks = chunks.map(|chunk| chunk.held_bytes() + size_of::<AnyChunk>());
        // Batches without a row take memory, too.
        let bytes = size_of::<Queued>() + chunks.sum::<usize>();
        Queued { batch, rows, bytes }
    }

    /// Of an interval for which nothing was queued: there are few, and they are not counted.
    fn nothing(batch: Option<Vec<AnyChunk>>) -> Queued {
        Queued { batch, rows: 0, bytes: 0 }
    }
}

impl Queue {
    pub(crate) fn new<T: Record>(
        limits: &Limits,
        charge: MemoryCharge,
        take: Take,
    ) -> (Arc<Queue>, QueueHandle<T>) {
        let (state, handles) = (Mutex::default(), AtomicUsize::new(1));
        let (rows_max, bytes_max) = (limits.queued_rows, limits.queued_bytes);
        let queue = Arc::new(Queue { rows_max, bytes_max, take, charge, state, handles });
        (queue.clone(), QueueHandle { queue, record: std::marker::PhantomData })
    }

    fn push(&self, batch: Option<Vec<AnyChunk>>, rows: usize) -> Result<()> {
        let queued = Queued::new(batch, rows);
        let bytes = queued.bytes;
        let mut state = self.lock();
        let refuse = |held: usize, more: usize, what: &str, max: usize| {
            let message = format!(
                "a queue stream of {held} {what} takes no {more} more: the maximum is {max} \
                 (Limits::queued_{what})"
            );
            Err(Error::new(ErrorKind::Limit, message))
        };
        if state.rows + rows > self.rows_max || state.queued.len() >= self.rows_max {
            return refuse(state.rows, rows, "rows", self.rows_max);
        }
        if state.bytes.saturating_add(bytes) > self.bytes_max {
            return refuse(state.bytes, bytes, "bytes", self.bytes_max);
        }
        self.charge.check_room(bytes)?;
        state.rows += rows;
        state.bytes += bytes;
        state.queued.push_back(queued);
        self.charge.set(state.bytes)
    }

    pub(crate) fn cut(&self) {
        let mut state = self.lock();
        let next = match (self.take, state.queued.is_empty()) {
            (Take::One, true) => Queued::nothing(None),
            (Take::OneOrEmpty | Take::All, true) => Queued::nothing(Some(Vec::new())),
            (Take::One | Take::OneOrEmpty, false) => {
                state.queued.pop_front().expect("it is not empty")
            }
            (Take::All, false) => {
                let all = state.queued.drain(..).reduce(|mut all, next| {
                    all.rows += next.rows;
                    all.bytes += next.bytes;
                    // With nothing but intervals without a batch, this is one.
                    match (&mut all.batch, next.batch) {
                        (Some(all), Some(next)) => all.extend(next),
                        (None, next @ Some(_)) => all.batch = next,
                        (_, None) => {}
                    }
                    all
                });
                all.expect("it is not empty")
            }
        };
        state.rows -= next.rows;
        state.cut.push_back(next);
    }

    /// Cuts a batch that takes nothing of what is queued.
    pub(crate) fn cut_empty(&self) {
        let empty = (self.take != Take::One).then(Vec::new);
        self.lock().cut.push_back(Queued::nothing(empty));
    }

    pub(crate) fn take(&self) -> Option<Vec<AnyChunk>> {
        let mut state = self.lock();
        let cut = state.cut.pop_front().expect("each batch was cut");
        state.bytes -= cut.bytes;
        let _ = self.charge.set(state.bytes);
        cut.batch
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 && self.lock().queued.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().queued.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T: Record> QueueHandle<T> {
    /// Queues a batch of these rows, in one partition.
    ///
    /// Fails with [`ErrorKind::Limit`] when the queue then held more rows than
    /// [`Limits::queued_rows`](crate::Limits::queued_rows), more bytes than
    /// [`Limits::queued_bytes`](crate::Limits::queued_bytes), or the context more than its
    /// [`memory`](crate::ContextBuilder::memory).
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
        self.queue.push(Some(batch.into_chunks()), rows)
    }

    /// Queues an interval without a batch, before the batches that are pushed after it.
    ///
    /// Where all is taken at once it gives way to the batches of the same interval.
    pub fn push_absent(&self) -> Result<()> {
        self.queue.push(None, 0)
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
