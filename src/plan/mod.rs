//! The plan: what the program's streams are and how they hang together, before anything runs.
//!
//! Nodes stand in the order in which they were made, so parents come before children. The plan is
//! data; the engine turns it into what runs, once, at the start.

mod explain;
mod history;
mod physical;

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use explain::explain;
pub(crate) use history::History;
pub(crate) use physical::{ChainStep, Physical, PhysicalNode, Run, Wide, plan};

use crate::error::{Error, ErrorKind, Result};
use crate::ops::{AnyOperator, AnyStateful, Narrow};
use crate::record::batch::AnyChunk;
use crate::sink::{AnySink, OutputPolicy, Transaction};
use crate::source::intake::{Cutting, Intake};
use crate::source::queue::Queue;
use crate::time::Time;

/// Position of a node in its graph.
pub(crate) type NodeId = usize;

/// All streams of a context, and what is done with them.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<Output>,
    /// For how many batches every stream keeps its own, beside what windows keep.
    pub(crate) remembered: Option<u64>,
}

/// One stream.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) parents: Vec<NodeId>,
    pub(crate) kind: Kind,
    /// There is a batch at every so many batch times.
    pub(crate) slide: NonZeroU64,
    pub(crate) detach: Detach,
    /// Milliseconds between two checkpoints, if the program has said so.
    pub(crate) checkpoint_millis: Option<u64>,
    /// The name in checkpoints, if the program has given it one.
    pub(crate) saved_name: Option<String>,
}

/// Copies a chunk out of the blocks of its source, if it lies in one, and says how many bytes it
/// takes then.
pub(crate) type Detach = fn(&AnyChunk) -> (AnyChunk, usize);

#[derive(Clone)]
pub(crate) enum Kind {
    Source(Input),
    Narrow(Arc<dyn Narrow>),
    Wide(AnyOperator),
    Union,
    Transform(Transform),
    /// An operator that remembers, and the batches that it looks back over.
    Stateful(AnyStateful, u64),
}

/// A function of whole batches, one of each parent.
pub(crate) type Transform =
    Arc<dyn Fn(Vec<Vec<AnyChunk>>, Time) -> Result<Vec<AnyChunk>> + Send + Sync>;

/// Where batches come from.
#[derive(Clone)]
pub(crate) enum Input {
    Lines(Arc<Intake>),
    Queue(Arc<Queue>),
}

/// What is done with a stream's batch; it takes the chunks and may give the vector back.
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) parent: NodeId,
    /// What has to hold before the start; an error is the start's.
    pub(crate) check: CheckFn,
    /// Of a batch that it cannot take.
    pub(crate) policy: OutputPolicy,
    pub(crate) run: OutputRun,
}

/// How an output takes a batch.
pub(crate) enum OutputRun {
    Closure(OutputFn),
    Sink(Box<dyn AnySink>),
    /// Together with the checkpoint: whoever writes that commits it, on a thread of its own.
    Transaction(Arc<Mutex<Transaction>>),
}

pub(crate) type CheckFn = Box<dyn Fn() -> Result<()> + Send>;

pub(crate) type OutputFn = Box<dyn FnMut(&mut Vec<AnyChunk>, Time) -> Result<()> + Send>;

impl Output {
    pub(crate) fn new(
        name: impl Into<String>,
        parent: NodeId,
        check: CheckFn,
        run: OutputRun,
    ) -> Output {
        let (name, policy) = (name.into(), OutputPolicy::default());
        Output { name, parent, check, policy, run }
    }

    /// The sink that is committed with checkpoints, if it has one.
    pub(crate) fn transaction(&self) -> Option<Arc<Mutex<Transaction>>> {
        match &self.run {
            OutputRun::Transaction(transaction) => Some(transaction.clone()),
            OutputRun::Closure(_) | OutputRun::Sink(_) => None,
        }
    }
}

impl Node {
    pub(crate) fn new(
        name: impl Into<String>,
        parents: Vec<NodeId>,
        kind: Kind,
        slide: NonZeroU64,
        detach: Detach,
    ) -> Node {
        let name = name.into();
        let (checkpoint_millis, saved_name) = (None, None);
        Node { name, parents, kind, slide, detach, checkpoint_millis, saved_name }
    }

    /// Batches between two checkpoints that the stream asks for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the program has asked for what is no multiple of the slide.
    pub(crate) fn checkpoint_every(&self, interval: Duration) -> Result<Option<u64>> {
        let slide = self.slide.get();
        let slide_millis = slide * interval.as_millis() as u64;
        if let Some(millis) = self.checkpoint_millis {
            if millis == 0 || !millis.is_multiple_of(slide_millis) {
                let message = format!(
                    "the checkpoint interval of {} is {millis} ms, but must be a multiple of its \
                     slide, which is {slide_millis} ms",
                    self.name
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
            return Ok(Some(millis / slide_millis * slide));
        }
        Ok(match &self.kind {
            Kind::Stateful(operator, _) => {
                let slides = operator.0.checkpoint_every();
                Some(slides.unwrap_or_else(|| TEN_SECONDS_MILLIS.div_ceil(slide_millis)) * slide)
            }
            _ => None,
        })
    }
}

/// As Spark has it for streams that remember.
pub(crate) const TEN_SECONDS_MILLIS: u64 = 10_000;

impl Graph {
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Names the source or the operator that remembers that is nearest on the way of a stream.
    pub(crate) fn set_saved_name(&mut self, stream: NodeId, name: String) -> Result<()> {
        let mut at = stream;
        while !matches!(self.nodes[at].kind, Kind::Source(_) | Kind::Stateful(..)) {
            let [parent] = *self.nodes[at].parents else {
                let stream = &self.nodes[stream].name;
                let message = format!("{stream} comes from several streams: name those ({name:?})");
                return Err(Error::new(ErrorKind::State, message));
            };
            at = parent;
        }
        let node = &mut self.nodes[at];
        let own = match &node.kind {
            Kind::Stateful(operator, _) => operator.0.saved_name().map(str::to_owned),
            _ => None,
        };
        if let Some(named) = node.saved_name.clone().or(own) {
            let message = format!("{} is named {named:?}, not {name:?}", node.name);
            return Err(Error::new(ErrorKind::State, message));
        }
        node.saved_name = Some(name);
        Ok(())
    }
}

impl Input {
    /// Ends the batch of this time; who cuts is told of what can be worked on before that.
    pub(crate) fn cut(&self, time: Time, cutting: &Cutting<'_>) {
        match self {
            Input::Lines(intake) => intake.cut(time, cutting),
            Input::Queue(queue) => queue.cut(),
        }
    }

    /// Ends the batch of a time that passed before anything was read. It has the rows of sources
    /// that go by the batch's time, as directories do, and no others.
    pub(crate) fn cut_missed(&self, time: Time, cutting: &Cutting<'_>) {
        match self {
            Input::Lines(intake) => intake.cut(time, cutting),
            Input::Queue(queue) => queue.cut_empty(),
        }
    }

    /// Whether what came since the last cut, if anything did, is given again after a restart from
    /// a checkpoint of the batch before that cut.
    pub(crate) fn keeps_rest(&self) -> bool {
        match self {
            Input::Lines(intake) => intake.keeps_rest(),
            Input::Queue(queue) => queue.is_empty(),
        }
    }

    /// Ends one batch more, with what [still waits](Self::has_rest) for one.
    pub(crate) fn cut_rest(&self, cutting: &Cutting<'_>) {
        match self {
            Input::Lines(intake) => intake.cut_rest(cutting),
            Input::Queue(queue) => queue.cut(),
        }
    }

    /// Whether something that came before the last cut still waits for a batch.
    pub(crate) fn has_rest(&self) -> bool {
        match self {
            Input::Lines(intake) => intake.has_rest(),
            Input::Queue(queue) => !queue.is_empty(),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Input::Lines(intake) => intake.has_ended(),
            Input::Queue(queue) => queue.has_ended(),
        }
    }
}
