//! Outputs that are committed together with a checkpoint, so that what is seen of them is there
//! exactly once.
//!
//! Two phases, as in Flink's sinks: what batches bring is written where nobody sees it; with each
//! checkpoint it is made last and named in the checkpoint; and once the checkpoint is on disk, it
//! becomes visible. A crash anywhere between leaves either a checkpoint that names it, and then it
//! becomes visible after the restart, or none, and then it is thrown away and its batches come
//! again. Where a restart goes on from an older checkpoint, since the newest one is damaged, the
//! transactions that were committed after it are taken back, or the start is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::record::batch::AnyChunk;
use crate::record::{Batch, Record};
use crate::time::Time;

/// A place for batches that commits them together with the checkpoint: see
/// [`DStream::save_with`](crate::DStream::save_with).
///
/// [`TransactionalFiles`](crate::TransactionalFiles) is one over files. In a database, `write`
/// inserts into a table that nobody reads, and `commit` moves the rows.
pub trait TransactionalSink<T: Record>: Send + 'static {
    /// Takes a batch into the open transaction, where nobody sees it yet. After an error nothing
    /// of the batch is in it.
    fn write(&mut self, batch: &Batch<T>, time: Time) -> Result<(), BoxError>;

    /// Makes the open transaction last, still unseen, and begins the next one. What it gives goes
    /// into the checkpoint, and names the transaction to [`commit`](Self::commit). After an error
    /// the transaction is still open.
    fn prepare(&mut self) -> Result<Vec<u8>, BoxError>;

    /// The checkpoint is on disk: makes the transaction visible. It may be called again for one
    /// that was committed, after an error or a restart, and then changes nothing.
    fn commit(&mut self, prepared: &[u8]) -> Result<(), BoxError>;

    /// Commits the transactions that the checkpoint names, mostly one, and throws away all else
    /// that was written and is not visible. Called once, at the start; without a checkpoint there
    /// are none. What is visible of later transactions is [taken back](Self::take_back) before.
    fn recover(&mut self, prepared: &[Vec<u8>]) -> Result<(), BoxError>;

    /// Takes back what was committed of batches later than `after`, and says whether the sink can
    /// do that.
    ///
    /// Called at the start, before [`recover`](Self::recover), with the time of the batch after
    /// which everything comes again. Something later was committed only if the newest checkpoint is
    /// damaged or gone, and an older one is gone on from: rows that are visible would come a second
    /// time. A sink knows them by the batch times that it wrote beside the rows; what it takes back
    /// is best kept aside, as readers may have had it.
    ///
    /// A sink that cannot take back gives `false`, as it does by default. Then `start` fails if the
    /// newest checkpoint is damaged, and names it.
    fn take_back(&mut self, _after: Time) -> Result<bool, BoxError> {
        Ok(false)
    }
}

/// A [`TransactionalSink`] with its type forgotten, and what it is doing.
pub(crate) struct Transaction {
    name: String,
    sink: Box<dyn Erased>,
    /// What was prepared and is not committed yet, oldest first: more than one only after an error.
    prepared: Vec<Vec<u8>>,
    /// So many of these are in the checkpoint that is being written.
    named: usize,
}

trait Erased: Send {
    fn write(&mut self, chunks: &mut Vec<AnyChunk>, time: Time) -> Result<(), BoxError>;
    fn prepare(&mut self) -> Result<Vec<u8>, BoxError>;
    fn commit(&mut self, prepared: &[u8]) -> Result<(), BoxError>;
    fn recover(&mut self, prepared: &[Vec<u8>]) -> Result<(), BoxError>;
    fn take_back(&mut self, after: Time) -> Result<bool, BoxError>;
}

struct Typed<T, S> {
    sink: S,
    record: std::marker::PhantomData<fn(T)>,
}

impl<T: Record, S: TransactionalSink<T>> Erased for Typed<T, S> {
    fn write(&mut self, chunks: &mut Vec<AnyChunk>, time: Time) -> Result<(), BoxError> {
        Batch::lend(chunks, |batch| self.sink.write(batch, time))
    }

    fn prepare(&mut self) -> Result<Vec<u8>, BoxError> {
        self.sink.prepare()
    }

    fn commit(&mut self, prepared: &[u8]) -> Result<(), BoxError> {
        self.sink.commit(prepared)
    }

    fn recover(&mut self, prepared: &[Vec<u8>]) -> Result<(), BoxError> {
        self.sink.recover(prepared)
    }

    fn take_back(&mut self, after: Time) -> Result<bool, BoxError> {
        self.sink.take_back(after)
    }
}

impl Transaction {
    pub(crate) fn new<T: Record>(name: &str, sink: impl TransactionalSink<T>) -> Transaction {
        let sink = Typed { sink, record: std::marker::PhantomData };
        let (name, sink) = (name.to_owned(), Box::new(sink));
        Transaction { name, sink, prepared: Vec::new(), named: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn write(&mut self, chunks: &mut Vec<AnyChunk>, time: Time) -> Result<()> {
        self.guarded("write to", |sink| sink.write(chunks, time))
    }

    /// Ends the transaction for a checkpoint that is about to be made, which gets all that is not
    /// committed yet.
    pub(crate) fn prepare(&mut self) -> Result<&[Vec<u8>]> {
        let prepared = self.guarded("prepare", |sink| sink.prepare())?;
        self.prepared.push(prepared);
        Ok(&self.prepared)
    }

    /// All that is prepared is in a checkpoint that is going to be written.
    pub(crate) fn submit(&mut self) {
        self.named = self.prepared.len();
    }

    /// That checkpoint is on disk. What cannot be committed is tried again with the next one.
    pub(crate) fn commit(&mut self) -> Result<()> {
        while self.named > 0 {
            let first = std::mem::take(&mut self.prepared[0]);
            let committed = self.guarded("commit", |sink| sink.commit(&first));
            if let Err(error) = committed {
                self.prepared[0] = first;
                return Err(error);
            }
            self.prepared.remove(0);
            self.named -= 1;
        }
        Ok(())
    }

    pub(crate) fn recover(&mut self, prepared: &[Vec<u8>]) -> Result<()> {
        self.guarded("recover", |sink| sink.recover(prepared))
    }

    /// What was committed of later batches is not seen any more; `damaged` are the numbers of newer
    /// checkpoints that cannot be gone on from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Sink`] if it cannot be taken back, and may be there.
    pub(crate) fn take_back(&mut self, after: Time, damaged: &[u64]) -> Result<()> {
        if self.guarded("take back from", |sink| sink.take_back(after))? || damaged.is_empty() {
            return Ok(());
        }
        let (name, numbers) = (&self.name, damaged.iter().map(u64::to_string));
        let numbers = numbers.collect::<Vec<_>>().join(", ");
        let message = format!(
            "sink {name:?} cannot take back what it has committed of batches after {after}, which \
             come again as the checkpoints of the batches with these numbers are damaged: \
             {numbers}. Take it back by hand, and remove these checkpoints"
        );
        Err(Error::new(ErrorKind::Sink, message))
    }

    fn guarded<T>(
        &mut self,
        what: &str,
        run: impl FnOnce(&mut dyn Erased) -> Result<T, BoxError>,
    ) -> Result<T> {
        let ran = catch_unwind(AssertUnwindSafe(|| run(&mut *self.sink)));
        let cause = match ran {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => "it panicked".into(),
        };
        Err(Error::caused(ErrorKind::Sink, format!("cannot {what} sink {:?}", self.name), cause))
    }
}
