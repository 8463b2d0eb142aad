//! The engine: the context that programs hold, its clock and threads, and what runs a batch.
//!
//! Nothing below knows it. Threads: one a receiver, one that cuts at ticks, one that runs the
//! batches, and the helpers of the pool that the last one enters.

mod checkpoint;
mod checkpointer;
mod clock;
mod context;
mod control;
mod executor;
mod fan_out;
mod recovery;
mod scheduler;
#[cfg(test)]
mod simulation;
mod test_context;

pub use context::{ContextBuilder, ContextState, StreamingContext};
pub use test_context::{TestContext, TestInput, TestOutput};
