//! The public streams: typed handles on nodes of the plan. They only build; nothing runs here.

mod narrow;
mod output;
mod pair;
mod wide;

use std::fmt;
use std::marker::PhantomData;

use crate::engine::StreamingContext;
use crate::plan::{Kind, NodeId};
use crate::record::Record;

/// A discretised stream: one batch of `T` for each batch time.
///
/// Each method adds a step to the context's plan and gives the stream that comes out of it.
/// Nothing runs before the context starts, and then only what an output operation needs. It is a
/// handle: cloning it copies no data, and a batch that is used twice is computed once.
pub struct DStream<T: Record> {
    context: StreamingContext,
    node: NodeId,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> DStream<T> {
    pub(crate) fn new(context: StreamingContext, node: NodeId) -> DStream<T> {
        DStream { context, node, record: PhantomData }
    }

    /// The context that the stream belongs to.
    pub fn context(&self) -> &StreamingContext {
        &self.context
    }

    fn derive<U: Record>(&self, name: impl Into<String>, kind: Kind) -> DStream<U> {
        let node = self.context.add_node(name.into(), vec![self.node], kind);
        DStream::new(self.context.clone(), node)
    }
}

impl<T: Record> Clone for DStream<T> {
    fn clone(&self) -> Self {
        DStream::new(self.context.clone(), self.node)
    }
}

impl<T: Record> fmt::Debug for DStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DStream(#{} of {:?})", self.node, self.context.name())
    }
}
