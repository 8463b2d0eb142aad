//! Listeners: who is told what a context does, and what.

use std::time::Duration;

use crate::time::Time;

/// Is told what a context does: starts, receivers, batches and output operations.
///
/// Listeners have a thread of their own, so that a slow one holds up no batch; events that it is
/// too slow for are dropped once 1,024 wait, and [counted](crate::Metrics). A panic in a listener
/// is logged and counted, and the next event comes. To stop the context in here only says so, and
/// does not wait.
///
/// ```
/// use std::sync::mpsc::{SyncSender, sync_channel};
/// use tidemill::prelude::*;
/// use tidemill::{BatchInfo, StreamingListener};
///
/// struct Rows(SyncSender<u64>);
///
/// impl StreamingListener for Rows {
///     fn on_batch_completed(&mut self, batch: &BatchInfo) {
///         let _ = self.0.try_send(batch.rows);
///     }
/// }
///
/// # struct Three(u32);
/// # impl Receiver for Three {
/// #     fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
/// #         for _ in 0..3 { into.push_line(b"a line") }
/// #         Ok(Received::End)
/// #     }
/// # }
/// let ssc = StreamingContext::builder("heard").build()?;
/// ssc.receiver_stream(Three(3))?.count().print(10);
/// let (sender, rows) = sync_channel(100);
/// ssc.add_listener(Rows(sender));
/// ssc.start()?;
/// ssc.await_termination()?;
/// assert_eq!(rows.iter().sum::<u64>(), 3);
/// # Ok::<(), tidemill::Error>(())
/// ```
pub trait StreamingListener: Send + 'static {
    /// The context has started.
    #[doc(alias = "onStreamingStarted")]
    fn on_streaming_started(&mut self, _time: Time) {}

    /// A source of lines is read from now on.
    #[doc(alias = "onReceiverStarted")]
    fn on_receiver_started(&mut self, _receiver: &ReceiverInfo) {}

    /// A source of lines has ended with an error.
    #[doc(alias = "onReceiverError")]
    fn on_receiver_error(&mut self, _receiver: &ReceiverInfo) {}

    /// A source of lines cannot receive for now, and tries again, as a socket whose server is not
    /// there, or a followed file that cannot be read: told the first time, and then once in 10 s at
    /// most until it has recovered.
    fn on_receiver_trouble(&mut self, _receiver: &ReceiverInfo) {}

    /// A source of lines receives again.
    fn on_receiver_recovered(&mut self, _receiver: &ReceiverInfo) {}

    /// A source of lines has ended, or is read no more.
    #[doc(alias = "onReceiverStopped")]
    fn on_receiver_stopped(&mut self, _receiver: &ReceiverInfo) {}

    /// A batch was cut, and waits for its turn.
    #[doc(alias = "onBatchSubmitted")]
    fn on_batch_submitted(&mut self, _batch: &BatchInfo) {}

    /// A batch begins to run.
    #[doc(alias = "onBatchStarted")]
    fn on_batch_started(&mut self, _batch: &BatchInfo) {}

    /// A batch has run, whether it failed or not.
    #[doc(alias = "onBatchCompleted")]
    fn on_batch_completed(&mut self, _batch: &BatchInfo) {}

    /// An output operation of a batch begins.
    #[doc(alias = "onOutputOperationStarted")]
    fn on_output_operation_started(&mut self, _output: &OutputOperationInfo) {}

    /// An output operation of a batch has ended, whether it failed or not.
    #[doc(alias = "onOutputOperationCompleted")]
    fn on_output_operation_completed(&mut self, _output: &OutputOperationInfo) {}
}

/// Which listener it is, to take it away again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(super) u64);

/// A batch, as far as it has come.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchInfo {
    /// The batch's time.
    #[doc(alias = "batchTime")]
    pub time: Time,
    /// Rows that it has from sources of lines; known when it is complete.
    #[doc(alias = "numRecords")]
    pub rows: u64,
    /// The same of each source, in the order of their making; known when it is complete.
    #[doc(alias = "streamIdToInputInfo")]
    pub source_rows: Vec<u64>,
    /// When it was cut.
    #[doc(alias = "submissionTime")]
    pub submitted: Time,
    /// When it began to run.
    #[doc(alias = "processingStartTime")]
    pub started: Option<Time>,
    /// When it had run.
    #[doc(alias = "processingEndTime")]
    pub ended: Option<Time>,
    /// From the cut until it began to run.
    #[doc(alias = "schedulingDelay")]
    pub scheduling_delay: Option<Duration>,
    /// How long it ran.
    #[doc(alias = "processingDelay")]
    pub processing_delay: Option<Duration>,
    /// Both together.
    #[doc(alias = "totalDelay")]
    pub total_delay: Option<Duration>,
    /// How long its rows were worked on before the cut, as they came.
    pub early_work: Duration,
    /// Its output operations, as far as they have ended.
    #[doc(alias = "outputOperationInfos")]
    pub outputs: Vec<OutputOperationInfo>,
    /// Whether an operator or an output of it has failed.
    pub has_failed: bool,
}

impl BatchInfo {
    pub(super) fn submitted(time: Time, at: Duration) -> BatchInfo {
        BatchInfo {
            time,
            rows: 0,
            source_rows: Vec::new(),
            submitted: time_of(at),
            started: None,
            ended: None,
            scheduling_delay: None,
            processing_delay: None,
            total_delay: None,
            early_work: Duration::ZERO,
            outputs: Vec::new(),
            has_failed: false,
        }
    }
}

/// The time so long after the epoch, to the millisecond.
pub(super) fn time_of(since_epoch: Duration) -> Time {
    Time::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// A source of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverInfo {
    /// Which source of lines it is, from 0, in the order of their making.
    #[doc(alias = "streamId")]
    pub id: usize,
    /// Its name.
    pub name: String,
    /// Whether it is read.
    #[doc(alias = "active")]
    pub is_active: bool,
    /// Why it has ended, if that was an error, or cannot receive for now.
    #[doc(alias = "lastErrorMessage")]
    pub last_error: Option<String>,
    /// When that was.
    #[doc(alias = "lastErrorTime")]
    pub last_error_time: Option<Time>,
}

/// An output operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputOperationInfo {
    /// The batch's time.
    pub batch_time: Time,
    /// Which output it is, from 0, in the order of their making.
    pub id: usize,
    /// Its name.
    pub name: String,
    /// When it began.
    #[doc(alias = "startTime")]
    pub started: Time,
    /// When it ended.
    #[doc(alias = "endTime")]
    pub ended: Option<Time>,
    /// How long it took, once it has ended.
    pub duration: Option<Duration>,
    /// Why it failed, if it did, with its last retry.
    #[doc(alias = "failureReason")]
    pub failure: Option<String>,
}
