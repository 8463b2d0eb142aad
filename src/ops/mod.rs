//! Physical operators: what the streams' plan runs, one file each.
//!
//! Narrow operators turn a chunk into a chunk. Wide ones are partial → exchange → merge: partials
//! take chunks in, on any thread; merging two gives a third; the last one is emitted. No operator
//! knows a clock, a socket or a thread.

mod aggregate;
mod aggregate_by_key;
mod changes;
mod cogroup;
mod combine;
mod count;
mod count_by_value;
mod decode;
mod flat_map;
mod group_by_key;
mod heap_bytes;
mod join;
mod keyed;
mod lookup;
mod narrow;
mod partials;
mod partitions;
mod reduce;
mod sort;
mod stateful;
mod text_count;
mod window;
mod window_by_key;

use std::any::{Any, TypeId};
use std::sync::Arc;

use tidemill_kernels::Split;

pub use aggregate::{
    Aggregate, Candidates, Count, DistinctCount, DistinctValues, First, Last, Max, Mean, Min,
    Moments, SampleStdDev, SampleVariance, Stats, StdDev, Sum, Summary, SummaryColumns, SummaryRef,
    Tally, TopK, Total, Variance, check_laws, check_laws_by,
};
pub(crate) use aggregate_by_key::AggregateByKey;
pub(crate) use changes::Changes;
pub(crate) use cogroup::Cogroup;
pub(crate) use combine::Combine;
pub(crate) use count::CountRows;
use count_by_value::CountByValue;
pub(crate) use decode::{Accepted, Decode, Decoded, Rejected};
pub use flat_map::Emitter;
pub(crate) use flat_map::{FlatMap, FlatMapValues};
pub(crate) use group_by_key::GroupByKey;
pub(crate) use heap_bytes::HeapBytes;
pub(crate) use join::{JoinSides, Needed, Optional, Side};
pub(crate) use keyed::{Keyed, MapWithState, SharedTable, Step as KeyedStep, UpdateState};
pub use keyed::{State, StateHandle};
pub use lookup::Lookup;
pub(crate) use narrow::{Filter, Map, MapValues, PairWith, Pairs, SplitText};
pub(crate) use partials::{Fold, Folded, Merged, Unfinished};
pub use partitions::Partition;
pub(crate) use partitions::{Glom, MapPartitions, repartition};
pub(crate) use reduce::Reduce;
pub(crate) use sort::{Order, Sort, Top};
pub use stateful::StateSize;
pub(crate) use stateful::{AnyState, AnyStateful, Gather, Stateful, Turn};
use text_count::TextCount;
pub(crate) use window::{Span, Window};
pub(crate) use window_by_key::{KeptKeys, WindowByKey};

use crate::error::Result;
use crate::record::Key;
use crate::record::batch::{AnyChunk, downcast};
use crate::record::block::SharedText;
use crate::record::recycled::Recycled;

/// Turns one chunk into one chunk, row by row or by a kernel, without memory of other chunks.
pub(crate) trait Narrow: Send + Sync + 'static {
    /// `recycled` has columns to write to, and gets them back.
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk>;

    /// As [`apply`](Self::apply), to a block of whole lines, of which no columns were made; nothing
    /// where it needs those.
    fn apply_lines(
        &self,
        _block: &SharedText,
        _recycled: &mut Recycled,
    ) -> Result<Option<AnyChunk>> {
        Ok(None)
    }

    /// What it does, if a wide operator may know it and do it in the same pass.
    fn step(&self) -> Step {
        Step::Closure
    }
}

/// A narrow operator as `explain` and fusion see it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Closure,
    /// Nothing of the user's, and nothing that fuses.
    Named,
    Split(Split),
    /// Every row becomes a pair with one value: this one, if it is an `i64`.
    PairWith(Option<i64>),
    /// The pairs of what was brought together by key.
    Join,
}

/// Takes whole batches in by parts, and gives one batch out.
pub(crate) trait Operator: Send + Sync + 'static {
    /// What was taken in so far: by one thread, or of one chunk.
    type Partial: Send + 'static;

    fn partial(&self) -> Self::Partial;

    /// Takes a chunk in.
    fn push(&self, partial: &mut Self::Partial, chunk: &AnyChunk) -> Result<()>;

    /// Takes in a chunk of the second stream, where there are two.
    fn push_other(&self, _partial: &mut Self::Partial, _chunk: &AnyChunk) -> Result<()> {
        unreachable!("only for operators of two streams")
    }

    /// Takes in a block of whole lines, of which no columns were made.
    fn push_lines(&self, _partial: &mut Self::Partial, _block: &SharedText) -> Result<()> {
        unreachable!("only for operators that take lines")
    }

    /// Whether [`push_lines`](Self::push_lines) may be called.
    fn takes_lines(&self) -> bool {
        false
    }

    /// Adds what came later to what came before.
    fn merge(&self, into: &mut Self::Partial, later: &mut Self::Partial) -> Result<()>;

    /// Gives the result out. `last` is what the operator gave for the batch before, to be written
    /// again when nobody else holds it.
    fn emit(&self, partial: &mut Self::Partial, last: Option<AnyChunk>) -> Result<AnyChunk>;

    /// Makes a partial as good as new, and keeps its memory.
    fn clear(&self, partial: &mut Self::Partial);

    /// Bytes of memory that are used in a partial, without room for more: what was used once is
    /// taken to be held until the partial is made anew. Asked for after each chunk, so it takes no
    /// longer for many keys than for few.
    fn held_bytes(&self, partial: &mut Self::Partial) -> usize;

    /// Whether the order of the chunks may show in the result.
    fn is_ordered(&self) -> bool;

    /// Whether nothing of the user's runs in it, so that it may run before the batch is cut.
    fn is_vectorised(&self) -> bool;

    /// Whether it fails without a batch, where others have no batch either.
    fn needs_batch(&self) -> bool {
        false
    }

    /// The operator that does the step before it and itself in one pass, if there is one.
    fn fuse(&self, _step: Step) -> Option<AnyOperator> {
        None
    }
}

/// A partial with its type forgotten.
pub(crate) type AnyPartial = Box<dyn Any + Send>;

/// An operator with its types forgotten.
#[derive(Clone)]
pub(crate) struct AnyOperator(pub(crate) Arc<dyn Erased>);

impl AnyOperator {
    pub(crate) fn new(operator: impl Operator) -> AnyOperator {
        AnyOperator(Arc::new(operator))
    }
}

/// The operator that counts equal keys, times a weight: text has one of its own.
pub(crate) fn count_operator<K: Key>(keys_max: usize, weight: i64) -> AnyOperator {
    if TypeId::of::<K>() == TypeId::of::<String>() {
        AnyOperator::new(TextCount::new(keys_max, weight))
    } else {
        AnyOperator::new(CountByValue::<K>::new(keys_max, weight))
    }
}

/// [`Operator`] as the executor calls it, one virtual call a chunk.
pub(crate) trait Erased: Send + Sync {
    fn partial(&self) -> AnyPartial;
    fn push(&self, partial: &mut AnyPartial, chunk: &AnyChunk) -> Result<()>;
    fn push_other(&self, partial: &mut AnyPartial, chunk: &AnyChunk) -> Result<()>;
    fn push_lines(&self, partial: &mut AnyPartial, block: &SharedText) -> Result<()>;
    fn takes_lines(&self) -> bool;
    fn merge(&self, into: &mut AnyPartial, later: &mut AnyPartial) -> Result<()>;
    fn emit(&self, partial: &mut AnyPartial, last: Option<AnyChunk>) -> Result<AnyChunk>;
    fn clear(&self, partial: &mut AnyPartial);
    fn held_bytes(&self, partial: &mut AnyPartial) -> usize;
    fn is_ordered(&self) -> bool;
    fn is_vectorised(&self) -> bool;
    fn needs_batch(&self) -> bool;
    fn fuse(&self, step: Step) -> Option<AnyOperator>;
}

fn typed<O: Operator>(partial: &mut AnyPartial) -> &mut O::Partial {
    partial.downcast_mut().expect("an operator gets its own partials only")
}

impl<O: Operator> Erased for O {
    fn partial(&self) -> AnyPartial {
        Box::new(Operator::partial(self))
    }

    fn push(&self, partial: &mut AnyPartial, chunk: &AnyChunk) -> Result<()> {
        Operator::push(self, typed::<O>(partial), chunk)
    }

    fn push_other(&self, partial: &mut AnyPartial, chunk: &AnyChunk) -> Result<()> {
        Operator::push_other(self, typed::<O>(partial), chunk)
    }

    fn push_lines(&self, partial: &mut AnyPartial, block: &SharedText) -> Result<()> {
        Operator::push_lines(self, typed::<O>(partial), block)
    }

    fn takes_lines(&self) -> bool {
        Operator::takes_lines(self)
    }

    fn merge(&self, into: &mut AnyPartial, later: &mut AnyPartial) -> Result<()> {
        Operator::merge(self, typed::<O>(into), typed::<O>(later))
    }

    fn emit(&self, partial: &mut AnyPartial, last: Option<AnyChunk>) -> Result<AnyChunk> {
        Operator::emit(self, typed::<O>(partial), last)
    }

    fn clear(&self, partial: &mut AnyPartial) {
        Operator::clear(self, typed::<O>(partial));
    }

    fn held_bytes(&self, partial: &mut AnyPartial) -> usize {
        Operator::held_bytes(self, typed::<O>(partial))
    }

    fn is_ordered(&self) -> bool {
        Operator::is_ordered(self)
    }

    fn is_vectorised(&self) -> bool {
        Operator::is_vectorised(self)
    }

    fn needs_batch(&self) -> bool {
        Operator::needs_batch(self)
    }

    fn fuse(&self, step: Step) -> Option<AnyOperator> {
        Operator::fuse(self, step)
    }
}

/// Columns to write a result to: the last ones if nobody else holds them, or new ones.
fn reuse<C: crate::record::Columns>(last: Option<AnyChunk>) -> Arc<C> {
    let mut columns = match last.and_then(downcast::<C>) {
        Some(columns) => columns,
        None => return Arc::new(C::default()),
    };
    match Arc::get_mut(&mut columns) {
        Some(last) => last.clear(),
        None => columns = Arc::new(C::default()),
    }
    columns
}
