//! Batch times that pass while no batch can be cut: after a restart, a pause, or slow batches.

/// What becomes of batch times that pass while no batch can be cut: while the program does not run,
/// is paused, or runs batches that take longer than the interval.
///
/// After a restart what is read belongs to the batch that is cut next, in either way. Windows are
/// those of the clock: what left them in times without a batch is not in them.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum MissedBatches {
    /// Each of them has a batch, as in Spark, so that each time stands in the output once: up to
    /// [`Limits::missed_batches`](crate::Limits::missed_batches) after a restart, which have the
    /// rows of sources that go by the batch's time, as directories do, and no others, and all while
    /// the program runs, of which the first has what was received.
    #[default]
    Each,
    /// They have none: the next batch has all that came. After a restart an output does not come to
    /// the times that are left out: a [`Sink`](crate::Sink) is told what to forget.
    One,
}
