//! Output operations: what makes a stream run. They run one after another, in the order in which
//! they were added, on the thread that runs the batches.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use super::{DStream, Output};
use crate::config::COLLECTED_BATCHES_MAX;
use crate::error::{BoxError, Error, ErrorKind};
use crate::plan::{self, CheckFn, OutputRun};
use crate::record::{Batch, Record, Show};
use crate::sink::{
    Delivered, Sink, TextFiles, Transaction, TransactionalSink, any_sink, deliver, print_batch,
};
use crate::time::Time;

impl<T: Record> DStream<T> {
    /// Calls a function with each batch and its time, also with empty ones. The batch lends its
    /// rows, and its columns as Arrow arrays.
    ///
    /// A function that returns an error or panics is an output that has failed. The batch stays in
    /// all states and windows, as in Spark, other outputs have it, and the next batch comes all the
    /// same; what the function has done until then stays done. The [`Output`] that is returned says
    /// how often the function is called again for the batch, and what follows.
    ///
    /// After a crash the rows since the last checkpoint come again, perhaps in batches of other
    /// times: write to a [`Sink`](crate::Sink) that forgets what came later, or ask
    /// [`recovered_from`](crate::StreamingContext::recovered_from) at the start.
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
    pub fn foreach_batch<F>(&self, mut f: F) -> Output
    where
        F: FnMut(&Batch<T>, Time) -> Result<(), BoxError> + Send + 'static,
    {
        let run = move |chunks: &mut Vec<_>, time: Time| {
            let called = Batch::lend(chunks, |batch| f(batch, time));
            called.map_err(|error| Error::caused(ErrorKind::Closure, "the closure failed", error))
        };
        self.add_output("foreach_batch", no_check(), run)
    }

    /// Prints the batch's time and its first rows to standard output, as Spark does. On a terminal,
    /// control characters and those that override the direction of text are escaped; a pipe gets
    /// the rows as they are.
    #[doc(alias = "pprint")]
    pub fn print(&self, rows_max: usize) -> Output
    where
        T: Show,
    {
        let run = move |chunks: &mut Vec<_>, time: Time| {
            let printed = Batch::<T>::lend(chunks, |batch| print_batch(batch, time, rows_max));
            printed.map_err(|error| {
                Error::caused(ErrorKind::Sink, "cannot write to standard output", error)
            })
        };
        self.add_output(&format!("print({rows_max})"), no_check(), run)
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
    pub fn save_as_text_files(&self, prefix: impl Into<PathBuf>, suffix: &str) -> Output
    where
        T: Show,
    {
        self.save_as_text_files_with(TextFiles::new(prefix).suffix(suffix))
    }

    /// Saves batches as text files, as [`TextFiles`] says.
    ///
    /// A file has its name only when all of it is on disk: it is written under a hidden name in the
    /// same directory, synced and renamed. The same batch written again replaces it, or removes it
    /// if it has no rows any more. Rows are not escaped: text with line ends takes several lines.
    ///
    /// A start that goes on from a [checkpoint](crate::StreamingContext::checkpoint) removes the
    /// files of later batches, whose rows come again, perhaps under other times. Without
    /// checkpoints all files stay.
    ///
    /// `start` fails with [`ErrorKind::Sink`](crate::ErrorKind::Sink) if the directory is not
    /// there; what goes wrong later is a failure of the [`Output`].
    #[doc(alias = "saveAsTextFiles")]
    pub fn save_as_text_files_with(&self, files: TextFiles) -> Output
    where
        T: Show,
    {
        let name = format!("save_as_text_files({})", files.prefix().display());
        let (checked, run) = (files.clone(), OutputRun::Sink(any_sink::<T>(files)));
        self.add(plan::Output::new(name, self.node, Box::new(move || checked.check()), run))
    }

    /// Writes batches to a [`Sink`], which is told at the start after which batch everything comes
    /// again: with the batch's time as a key it has each row once, also after a crash.
    #[doc(alias = "ForeachWriter")]
    pub fn write_to(&self, sink: impl Sink<T>) -> Output {
        let run = OutputRun::Sink(any_sink(sink));
        self.add(plan::Output::new("write_to", self.node, no_check(), run))
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
                let rows = Batch::<T>::lend(chunks, Batch::to_vec);
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
    pub fn save_with(&self, name: &str, sink: impl TransactionalSink<T>) -> Output {
        let transaction = Arc::new(Mutex::new(Transaction::new(name, sink)));
        let run = OutputRun::Transaction(transaction);
        self.add(plan::Output::new(format!("save_with({name})"), self.node, no_check(), run))
    }

    pub(crate) fn add_output<F>(&self, name: &str, check: CheckFn, run: F) -> Output
    where
        F: FnMut(&mut Vec<crate::record::batch::AnyChunk>, Time) -> Result<(), Error>
            + Send
            + 'static,
    {
        let run = OutputRun::Closure(Box::new(run));
        self.add(plan::Output::new(name, self.node, check, run))
    }

    fn add(&self, output: plan::Output) -> Output {
        let number = self.context.add_output(output);
        Output { context: self.context.clone(), number }
    }
}

/// Of an output that cannot be wrong before it runs.
fn no_check() -> CheckFn {
    Box::new(|| Ok(()))
}
