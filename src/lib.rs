//! tidemill: Spark Streaming's model on one machine, on columns.
//!
//! Receivers fill columnar blocks, and at each batch interval vectorised kernels grind what came
//! in: word counts, sums and means by key, or closures of your own.
//!
//! ```text
//!  socket, file, queue ─► Receiver ─► Block ──────► Batch ─► Operators ──► Output operation
//!                         reads into   columns       sealed,   kernels over    bytes out, or
//!                         the block's  being filled  all of    slices, one     your closure
//!                         own memory                 (T-i, T]  call a chunk
//!                         ◄──────── emptied blocks go back to a fixed pool: the back-pressure
//! ```
//!
//! The word count, fed by `nc -lk 9999`:
//!
//! ```no_run
//! use std::time::Duration;
//! use tidemill::prelude::*;
//!
//! // What sources come upon, such as a server that is not there, goes to standard error.
//! tracing_subscriber::fmt().with_writer(std::io::stderr).init();
//!
//! let ssc = StreamingContext::builder("words").batch_interval(Duration::from_secs(1)).build()?;
//! let lines = ssc.socket_text_stream("127.0.0.1:9999")?;
//! lines.split_whitespace().count_by_value().print(10);
//! ssc.start()?;
//! ssc.await_termination()?;
//! # Ok::<(), tidemill::Error>(())
//! ```
//!
//! Warnings go to `tracing`. Where no subscriber is set up when a context starts, those of lost or
//! delayed data go to standard error, each once:
//! [`warnings_to_stderr`](ContextBuilder::warnings_to_stderr) turns that off.
//!
//! Start with [`StreamingContext`] and [`DStream`]; [`Record`] says what a stream may carry,
//! [`Receiver`] how to write a source of your own, and [`TestContext`] how to test a program
//! without sleeping.

// The C Data Interface has raw pointers, and one module, which says so, handles them.
#![cfg_attr(not(feature = "arrow"), forbid(unsafe_code))]
#![cfg_attr(feature = "arrow", deny(unsafe_code))]

mod config;
mod decode;
mod dstream;
mod engine;
mod error;
mod memory;
mod ops;
mod plan;
mod record;
mod sink;
mod source;
mod storage;
pub mod table;
mod time;

#[cfg(feature = "arrow")]
pub use arrow_array;
pub use config::{BLOCK_BYTES, Limits};
#[cfg(feature = "json")]
pub use decode::JsonLines;
#[cfg(feature = "regex")]
pub use decode::{AccessLog, AccessLogColumns, AccessLogRef, Pattern};
pub use decode::{
    Csv, Decode, DecodeCounts, DecodeValue, Decoder, Delimited, KeyValue, Reason, Reject,
    RejectColumns, RejectCount, RejectRef, Rejects, TimeFormat,
};
pub use dstream::{DStream, DecodedStream, KeyWindow, KeyedState, MappedState, Output};
pub use engine::{
    BackPressure, BatchInfo, CheckpointMetrics, ContextBuilder, ContextState, Delays,
    IntakeLogMetrics, ListenerId, MemoryMetrics, Metrics, MissedBatches, OutputOperationInfo,
    PidRateEstimator, ReceiverInfo, SourceMetrics, StateMetrics, StatsReport, StreamingContext,
    StreamingListener, TestClock, TestContext, TestInput, TestOutput,
};
pub use error::{BoxError, Error, ErrorKind, Result};
pub use memory::MemoryCharge;
pub use ops::{
    Aggregate, Candidates, Count, DistinctCount, DistinctValues, Emitter, First, Last, Lookup, Max,
    Mean, Min, Moments, Partition, SampleStdDev, SampleVariance, State, StateHandle, StateSize,
    Stats, StdDev, Sum, Summary, SummaryColumns, SummaryRef, Tally, TopK, Total, Variance,
    check_laws, check_laws_by,
};
pub use record::{
    ArrowRecord, Batch, BytesColumn, CellKeys, Column, ColumnKeys, Columns, Groups, HashGroups,
    InlineKeys, Key, KeyStore, List, ListColumn, Number, NumberColumn, OptionColumn, Ordered,
    Record, Row, RowColumn, Saved, SavedColumn, ScalarColumn, Show, TextColumn, TextGroups,
    Timestamp, TupleColumns, arrow2, shown,
};
pub use sink::{OnFailure, Sink, TextFiles, TransactionalFiles, TransactionalSink};
#[cfg(feature = "tls")]
pub use source::Tls;
pub use source::{
    BadUtf8, BlockWriter, Carry, Directory, Encoding, Files, FirstLine, Follow, IntakeLog,
    LineOptions, Listen, LongLine, QueueHandle, Received, Receiver, Socket, SourceCounts,
    SourceState, Stdin, Waiter,
};
pub use time::Time;

/// What is in a directory of checkpoints.
pub mod checkpoint {
    pub use crate::engine::{
        CheckpointInfo, SectionInfo, SourceInfo, Verified, inspect, intake_logs, verify,
    };
    pub use crate::source::IntakeLogInfo;
}

/// What the code of `#[derive(Record)]` needs, and no program.
#[doc(hidden)]
pub mod __derive {
    pub use crate::decode::{Block, Fill, Kind, Texts};
    pub use crate::record::saved::saved_fields;
    pub use crate::record::{ArrowArray, struct_array};
    pub use crate::table::{member_fields, member_series};

    /// Compiles if this is a record.
    pub const fn is_record<T: crate::Record>() {}
}

/// What the command needs, and no program.
#[doc(hidden)]
pub mod __command {
    pub use crate::sink::{escaped, escaped_lines, steers};
}

/// What most programs need: `use tidemill::prelude::*`.
pub mod prelude {
    #[cfg(feature = "json")]
    pub use crate::JsonLines;
    #[cfg(feature = "regex")]
    pub use crate::Pattern;
    pub use crate::table::{Table, TableStream, col, lit};
    pub use crate::{
        Aggregate, Batch, BlockWriter, Columns, Count, Csv, DStream, Delimited, DistinctCount,
        Emitter, First, KeyValue, Last, Limits, Lookup, Max, Mean, Min, Received, Receiver, Record,
        Row, Saved, StdDev, StreamingContext, Sum, TestContext, Time, Timestamp, TopK, Variance,
    };
}

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
