//! The engine: the context that programs hold, its clock and threads, and what runs a batch.
//!
//! Nothing below knows it. Threads: one a receiver, one that cuts at ticks, one that runs the
//! batches, and the helpers of the pool that the last one enters.

mod bus;
mod checkpoint;
mod checkpointer;
mod clock;
mod context;
mod control;
mod executor;
mod fan_out;
mod first_start;
mod guard;
mod held;
mod listener;
mod metrics;
mod missed;
mod monitor;
mod outputs;
mod part;
mod partial;
mod pid;
mod rate;
mod recovery;
mod scheduler;
#[cfg(all(unix, feature = "signals"))]
mod signals;
#[cfg(test)]
mod simulation;
mod stats_report;
mod test_context;
mod troubles;
mod warnings;

pub use checkpoint::{
    CheckpointInfo, SectionInfo, SourceInfo, Verified, inspect, intake_logs, verify,
};
pub use context::{ContextBuilder, ContextState, StreamingContext};
pub use listener::{BatchInfo, ListenerId, OutputOperationInfo, ReceiverInfo, StreamingListener};
pub use metrics::{
    CheckpointMetrics, Delays, IntakeLogMetrics, MemoryMetrics, Metrics, SourceMetrics,
    StateMetrics,
};
pub use missed::MissedBatches;
pub use pid::PidRateEstimator;
pub use rate::BackPressure;
pub use stats_report::StatsReport;
pub use test_context::{TestClock, TestContext, TestInput, TestOutput};
