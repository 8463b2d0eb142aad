//! Output operations: what makes a stream run. They run one after another, in the order in which
//! they were added, on the thread that runs the batches.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use super::DStream;
use crate::config::COLLECTED_BATCHES_MAX;
use crate::error::{BoxError, Error, ErrorKind};
use crate::plan::{CheckFn, Output, OutputRun};
use crate::record::{Batch, Record, Show};
use crate::sink::{Delivered, TextFiles, Transaction, TransactionalSink, deliver, print_batch};
use crate::time::Time;

impl<T: Record> DStream<T> {
    /// Calls a function with each batch and its time, also with empty ones; an error fails the
    /// batch, and the next one comes all the same.
    ///
    /// The batch lends its rows, and its columns as Arrow arrays. After a crash the batches since
    /// the last checkpoint come again with the same times, and what sources can read again is
    /// shared out among them anew: who replaces what stands under a batch's time, also by nothing
    /// where it is empty, has each row once, as long as no time is
    /// [left out](crate::Limits::missed_batches).
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
        self.add_output("foreach_batch", no_check(), run);
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
                Error::caused(ErrorKind::Sink, "cannot write to standard output", error)
            })
        };
        self.add_output(&format!("print({rows_max})"), no_check(), run);
    }

    /// Saves each batch that has rows as a text file `prefix-TIME_IN_MS.suffix`, one row a line as
    /// [`print`](Self::print) writes it: see [`save_as_text_files_with`].
    ///
    /// An empty suffix is none.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let out = directory.path();
    /// # let mut t = TestContext::new()?;
    /// # let words = t.input::<String>();
    /// words.stream().count_by_value().save_as_text_files(out.join("words"), "txt");
    /// # words.push(["a", "a"])?;
    /// # t.tick()?;
    /// assert_eq!(std::fs::read_to_string(out.join("words-1000.txt"))?, "(a,2)\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`save_as_text_files_with`]: Self::save_as_text_files_with
    #[doc(alias = "saveAsTextFiles")]
    pub fn save_as_text_files(&self, prefix: impl Into<PathBuf>, suffix: &str)
    where
        T: Show,
    {
        self.save_as_text_files_with(TextFiles::new(prefix).suffix(suffix));
    }

    /// Saves batches as text files, as [`TextFiles`] says.
    ///
    /// A file has its name only when all of it is on disk: it is written under a hidden name in the
    /// same directory, synced and renamed. The same batch written again replaces it, or removes it
    /// if it has no rows any more. Rows are not escaped: text with line ends takes several lines.
    ///
    /// `start` fails with [`ErrorKind::Sink`](crate::ErrorKind::Sink) if the directory is not
    /// there; what goes wrong later fails the batch.
    #[doc(alias = "saveAsTextFiles")]
    pub fn save_as_text_files_with(&self, files: TextFiles)
    where
        T: Show,
    {
        let name = format!("save_as_text_files({})", files.prefix().display());
        let checked = files.clone();
        let run = move |chunks: &mut Vec<_>, time: Time| {
            let batch = Batch::<T>::from_chunks(std::mem::take(chunks));
            let saved = files.save(&batch, time);
            *chunks = batch.into_chunks();
            saved
        };
        self.add_output(&name, Box::new(move || checked.check()), run);
    }

    /// Sends each batch, its time and its rows, also empty ones, into a channel that holds up to
    /// `capacity` of them, from 1 to 65,536: `start` fails with another number.
    ///
    /// When the channel is full, the batches wait until somebody takes one out of it, and so in the
    /// end the sources: take them on another thread than the one that stops gracefully or awaits. A
    /// stop at once does not wait, and drops the batch that found no room. When the receiver is
    /// dropped, the output does nothing more; when the context stops, the receiver comes to its
    /// end.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let ssc = StreamingContext::builder("docs")
    /// #     .batch_interval(std::time::Duration::from_millis(5))
    /// #     .build()?;
    /// # let (words, queue) = ssc.queue_stream::<String>()?;
    /// let counts = words.count_by_value().collect(16);
    /// # queue.push(["a", "a"])?;
    /// # drop(queue);
    /// ssc.start()?;
    /// for (time, rows) in counts {
    ///     println!("{time}: {rows:?}");
    /// }
    /// # ssc.await_termination()?;
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn collect(&self, capacity: usize) -> Receiver<(Time, Vec<T>)> {
        if !(1..=COLLECTED_BATCHES_MAX).contains(&capacity) {
            let max = COLLECTED_BATCHES_MAX;
            let message = format!("collect({capacity}): must be between 1 and {max} batches");
            self.context.misused(Error::new(ErrorKind::Config, message));
        }
        let (sender, receiver) = sync_channel(capacity.clamp(1, COLLECTED_BATCHES_MAX));
        let is_stopping = self.context.stop_signal();
        let mut is_open = true;
        let run = move |chunks: &mut Vec<_>, time: Time| {
            if is_open {
                let batch = Batch::<T>::from_chunks(std::mem::take(chunks));
                let rows = batch.to_vec();
                *chunks = batch.into_chunks();
                is_open = deliver(&sender, (time, rows), &is_stopping) == Delivered::Open;
            }
            Ok(())
        };
        self.add_output(&format!("collect({capacity})"), no_check(), run);
        receiver
    }

    /// Writes batches to a sink that commits them together with the context's checkpoints: what is
    /// seen of it is there exactly once, also after a crash.
    ///
    /// A batch is seen once the checkpoint that comes after it is on disk, so the latency is the
    /// time between two checkpoints. The name is how the checkpoint knows the sink again; it has to
    /// be another one than those of states and other sinks. `start` fails without a
    /// [checkpoint directory](crate::StreamingContext::checkpoint).
    pub fn save_with(&self, name: &str, sink: impl TransactionalSink<T>) {
        let transaction = Arc::new(Mutex::new(Transaction::new(name, sink)));
        let (parent, check) = (self.node, no_check());
        let name = format!("save_with({name})");
        let run = OutputRun::Transaction(transaction);
        self.context.add_output(Output { name, parent, check, run });
    }

    pub(crate) fn add_output<F>(&self, name: &str, check: CheckFn, run: F)
    where
        F: FnMut(&mut Vec<crate::record::batch::AnyChunk>, Time) -> Result<(), Error>
            + Send
            + 'static,
    {
        let (name, parent) = (name.to_owned(), self.node);
        let run = OutputRun::Closure(Box::new(run));
        self.context.add_output(Output { name, parent, check, run });
    }
}

/// Of an output that cannot be wrong before it runs.
fn no_check() -> CheckFn {
    Box::new(|| Ok(()))
}
