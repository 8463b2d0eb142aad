//! The public streams: typed handles on nodes of the plan. They only build; nothing runs here.

mod decode;
mod join;
mod narrow;
mod output;
mod output_handle;
mod pair;
mod state;
mod wide;
mod window;

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::engine::StreamingContext;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Kind, Node, NodeId};
use crate::record::batch::detach;
use crate::record::{Batch, Record};
use crate::time::Time;

pub use decode::DecodedStream;
pub use output_handle::Output;
pub use state::{KeyedState, MappedState};
pub use window::KeyWindow;

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

    /// The time between two of its batches: the batch interval, or the slide of the window that it
    /// is made of.
    pub fn slide(&self) -> Duration {
        self.context.slide_of(self.node)
    }

    /// The stream itself.
    ///
    /// A batch that several outputs or operators use is computed once in any case, and dropped
    /// when the last of them has it; who wants it for longer asks for
    /// [`remember`](StreamingContext::remember). So there is nothing to do here but to refuse a
    /// context that runs, as Spark does.
    #[doc(alias = "persist")]
    pub fn cache(&self) -> DStream<T> {
        self.context.check_misuse("cache a stream");
        self.clone()
    }

    /// As [`cache`](Self::cache).
    pub fn persist(&self) -> DStream<T> {
        self.cache()
    }

    /// Names what the stream comes from in checkpoints: the operator that remembers, or the source,
    /// that is nearest to it on its way.
    ///
    /// A checkpoint knows the program's sources, windows and states by name, and a name stays where
    /// streams come in another order, so it says which is which. States always have one; a window
    /// without goes by its operator and durations, and a source by its kind or address. Where that
    /// is the same for two of them, a context with checkpoints does not start until one is named.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let (first, second) = (directory.path().join("a.log"), directory.path().join("b.log"));
    /// # for path in [&first, &second] { std::fs::write(path, "").unwrap(); }
    /// use tidemill::Follow;
    ///
    /// # let ssc = StreamingContext::builder("two logs").build()?;
    /// # ssc.checkpoint(directory.path().join("checkpoints"), 10);
    /// let requests = ssc.receiver_stream(Follow::new([first])?)?.named("requests");
    /// let errors = ssc.receiver_stream(Follow::new([second])?)?.named("errors");
    /// # requests.union(&errors).count().foreach_batch(|_, _| Ok(()));
    /// # ssc.start()?;
    /// # ssc.stop();
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// A name that is already given, or one for what comes from several streams, is an error of
    /// `start`.
    pub fn named(&self, name: impl Into<String>) -> DStream<T> {
        self.context.set_saved_name(self.node, name.into());
        self.clone()
    }

    /// Makes checkpoints this often, where the context makes them at all: a multiple of this
    /// stream's [`slide`](Self::slide).
    ///
    /// A checkpoint is of all states of a context, so the shortest interval that any of its streams
    /// or [`StreamingContext::checkpoint`] asks for holds for all. A stream that no output needs
    /// asks for nothing.
    pub fn checkpoint(&self, interval: Duration) -> DStream<T> {
        self.context.set_checkpoint_interval(self.node, interval);
        self.clone()
    }

    /// The time between two checkpoints that this stream asks for: what was
    /// [set](Self::checkpoint), or for one that remembers as many slides as take ten seconds, and
    /// ten after `map_with_state`.
    pub fn checkpoint_interval(&self) -> Option<Duration> {
        self.context.checkpoint_interval(self.node)
    }

    /// The stream's batches from one time to another, both inclusive, oldest first.
    ///
    /// Times between two batches stand for the batch before. What is given are the batches that
    /// are still there: see [`remember`](StreamingContext::remember). A stream of which no output
    /// is made has none. Fails before the start.
    pub fn slice(&self, from: Time, to: Time) -> Result<Vec<Batch<T>>> {
        let batches = self.context.slice(self.node, from, to)?;
        Ok(batches.into_iter().map(Batch::from_chunks).collect())
    }

    /// The times of the batches that [`slice`](Self::slice) can give, oldest first.
    pub fn remembered(&self) -> Vec<Time> {
        self.context.remembered(self.node)
    }

    fn derive<U: Record>(&self, name: impl Into<String>, kind: Kind) -> DStream<U> {
        self.derive_sliding(name, kind, self.context.batches_of_slide(self.node))
    }

    fn derive_sliding<U: Record>(
        &self,
        name: impl Into<String>,
        kind: Kind,
        slide: NonZeroU64,
    ) -> DStream<U> {
        let (name, parents) = (name.into(), vec![self.node]);
        let detach = detach::<U>;
        let node = self.context.add_node(Node::new(name, parents, kind, slide, detach));
        DStream::new(self.context.clone(), node)
    }

    /// A stream of this one's batches and those of others, which have to be of the same context
    /// and to have the same slide.
    fn combine<'a, V: Record, U: Record>(
        &self,
        name: &str,
        others: impl IntoIterator<Item = &'a DStream<V>>,
        kind: Kind,
    ) -> DStream<U> {
        let mut parents = vec![self.node];
        for other in others {
            // The misuse stops the start; until then the plan is at least whole.
            let is_fit = self.check_fit(name, other);
            parents.push(if is_fit { other.node } else { self.node });
        }
        let slide = self.context.batches_of_slide(self.node);
        let (name, detach) = (name.to_owned(), detach::<U> as _);
        let node = self.context.add_node(Node::new(name, parents, kind, slide, detach));
        DStream::new(self.context.clone(), node)
    }

    fn check_fit<V: Record>(&self, name: &str, other: &DStream<V>) -> bool {
        let message = if !self.context.is_same(&other.context) {
            let (left, right) = (self.context.name(), other.context.name());
            format!("{name} of streams of two contexts, {left:?} and {right:?}")
        } else if self.slide() != other.slide() {
            let (left, right) = (self.slide(), other.slide());
            format!("{name} of streams with different slides, {left:?} and {right:?}")
        } else {
            return true;
        };
        self.context.misused(Error::new(ErrorKind::State, message));
        false
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
