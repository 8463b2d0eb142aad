//! Sinks that have each batch at least once, and that forget at a start what comes again.
//!
//! The time of a batch alone is no key: after a restart rows come again in batches of other times
//! where some times were left out. So a sink is told after which batch everything comes again.

use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::record::batch::AnyChunk;
use crate::record::{Batch, Record};
use crate::time::Time;

/// A place that batches are written to under their times: see
/// [`DStream::write_to`](crate::DStream::write_to).
///
/// A sink that replaces what stands under a batch's time and deletes in `recover` what stands under
/// later times has each row once after any crash, if its sources can be read again and the context
/// has a [checkpoint directory](crate::StreamingContext::checkpoint). Until the rows have come
/// again it has fewer; a [`TransactionalSink`](crate::TransactionalSink) never shows that.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
///
/// use tidemill::prelude::*;
/// use tidemill::{BoxError, Sink};
///
/// /// As in a database: `DELETE … WHERE time > after`, and `REPLACE`.
/// #[derive(Clone, Default)]
/// struct Rows(Arc<Mutex<BTreeMap<Time, Vec<String>>>>);
///
/// impl Sink<String> for Rows {
///     fn write(&mut self, batch: &Batch<String>, time: Time) -> Result<(), BoxError> {
///         self.0.lock().unwrap().insert(time, batch.to_vec());
///         Ok(())
///     }
///
///     fn recover(&mut self, after: Option<Time>) -> Result<(), BoxError> {
///         self.0.lock().unwrap().retain(|time, _| Some(*time) <= after);
///         Ok(())
///     }
/// }
///
/// let (mut t, table) = (TestContext::new()?, Rows::default());
/// let words = t.input::<String>();
/// words.stream().write_to(table.clone());
/// words.push(["a", "b"])?;
/// t.tick()?;
/// assert_eq!(table.0.lock().unwrap()[&Time::from_millis(1_000)], ["a", "b"]);
/// # Ok::<(), tidemill::Error>(())
/// ```
pub trait Sink<T: Record>: Send + 'static {
    /// Writes a batch, also an empty one, in the place of what stands under its time.
    ///
    /// # Errors
    ///
    /// Any error, or a panic, is a failure of the [`Output`](crate::Output), which may call this
    /// again with the same batch.
    fn write(&mut self, batch: &Batch<T>, time: Time) -> Result<(), BoxError>;

    /// Forgets what was written of batches later than `after`: everything that came after that
    /// batch comes again, perhaps in batches of other times.
    ///
    /// Called once, at the start, before the first batch. Without anything to go on from there is
    /// no such batch (`None`): all that the sources can give comes, as in a program that runs for
    /// the first time.
    ///
    /// # Errors
    ///
    /// `start` fails with any error, or a panic.
    fn recover(&mut self, after: Option<Time>) -> Result<(), BoxError>;
}

/// A [`Sink`] with its type forgotten.
pub(crate) trait AnySink: Send {
    fn write(&mut self, chunks: &mut Vec<AnyChunk>, time: Time) -> Result<()>;
    fn recover(&mut self, after: Option<Time>) -> Result<()>;
}

struct Typed<T, S> {
    sink: S,
    record: std::marker::PhantomData<fn(T)>,
}

/// Forgets the type of a sink.
pub(crate) fn any_sink<T: Record>(sink: impl Sink<T>) -> Box<dyn AnySink> {
    Box::new(Typed { sink, record: std::marker::PhantomData })
}

impl<T: Record, S: Sink<T>> AnySink for Typed<T, S> {
    fn write(&mut self, chunks: &mut Vec<AnyChunk>, time: Time) -> Result<()> {
        let written = Batch::lend(chunks, |batch| self.sink.write(batch, time));
        written.map_err(|error| own(error, "the sink failed"))
    }

    fn recover(&mut self, after: Option<Time>) -> Result<()> {
        self.sink.recover(after).map_err(|error| own(error, "the sink cannot recover"))
    }
}

/// An error of the crate as it is, and any other one as the cause of one.
fn own(error: BoxError, what: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::caused(ErrorKind::Sink, what, error),
    }
}
