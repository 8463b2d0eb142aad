//! Output operations: what makes a stream run. They run one after another, in the order in which
//! they were added, on the thread that runs the batches.

use super::DStream;
use crate::error::{BoxError, Error, ErrorKind};
use crate::plan::Output;
use crate::record::{Batch, Record, Show};
use crate::sink::print_batch;
use crate::time::Time;

impl<T: Record> DStream<T> {
    /// Calls a function with each batch and its time, also with empty ones; an error fails the
    /// batch, and the next one comes all the same.
    ///
    /// The batch lends its rows, and its columns as Arrow arrays. What is written under the batch's
    /// time can be written again without harm.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let ssc = StreamingContext::builder("docs").build()?;
    /// # let (words, queue) = ssc.queue_stream::<String>()?;
    /// words.count_by_value().foreach_batch(|batch, time| {
    ///     for (word, count) in batch.iter() {
    ///         println!("{time}: {word} came {count} times");
    ///     }
    ///     Ok(())
    /// });
    /// # queue.push(["a"])?;
    /// # drop(queue);
    /// # ssc.start()?;
    /// # ssc.await_termination()?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "foreachRDD")]
    pub fn foreach_batch<F>(&self, mut f: F)
    where
        F: FnMut(&Batch<T>, Time) -> Result<(), BoxError> + Send + 'static,
    {
        let run = move |chunks: &mut Vec<_>, time: Time| {
            let batch = Batch::<T>::from_chunks(std::mem::take(chunks));
            let called = f(&batch, time);
            *chunks = batch.into_chunks();
            called.map_err(|error| Error::caused(ErrorKind::Closure, "the closure failed", error))
        };
        self.add_output("foreach_batch", run);
    }

    /// Prints the batch's time and its first rows to standard output, as Spark does.
    #[doc(alias = "pprint")]
    pub fn print(&self, rows_max: usize)
    where
        T: Show,
    {
        let run = move |chunks: &mut Vec<_>, time: Time| {
            let batch = Batch::<T>::from_chunks(std::mem::take(chunks));
            let printed = print_batch(&batch, time, rows_max);
            *chunks = batch.into_chunks();
            printed.map_err(|error| {
                Error::caused(ErrorKind::Closure, "cannot write to standard output", error)
            })
        };
        self.add_output(&format!("print({rows_max})"), run);
    }

    fn add_output<F>(&self, name: &str, run: F)
    where
        F: FnMut(&mut Vec<crate::record::batch::AnyChunk>, Time) -> Result<(), Error>
            + Send
            + 'static,
    {
        let (name, parent) = (name.to_owned(), self.node);
        self.context.add_output(Output { name, parent, run: Box::new(run) });
    }
}
