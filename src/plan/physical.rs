//! From the plan to what runs: which narrow chains run inside of their consumer, which steps fuse
//! into a kernel, and which aggregates take blocks as they arrive.
//!
//! Everything is decided here, once, so that a batch decides nothing.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::{Detach, Graph, History, Input, Kind, NodeId, Transform};
use crate::ops::{AnyOperator, AnyStateful, Narrow, Step};

/// What runs, node by node; the positions are the plan's.
pub(crate) struct Physical {
    pub(crate) nodes: Vec<PhysicalNode>,
    /// The name of each output and the node that it wants.
    pub(crate) outputs: Vec<(String, NodeId)>,
}

impl Physical {
    /// The sources that some output needs.
    pub(crate) fn inputs(&self) -> Vec<Input> {
        let inputs = self.nodes.iter().filter_map(|node| match &node.run {
            Run::Source { input, .. } => Some(input.clone()),
            _ => None,
        });
        inputs.collect()
    }
}

pub(crate) struct PhysicalNode {
    pub(crate) name: String,
    /// The name in checkpoints, if the program has given it one.
    pub(crate) saved_name: Option<String>,
    /// The nodes whose batches it is made of.
    pub(crate) parents: Vec<NodeId>,
    /// It has a batch at every so many batch times.
    pub(crate) slide: NonZeroU64,
    pub(crate) run: Run,
    /// Where its batches are kept, if the program asked for it, and how a chunk is copied there.
    pub(crate) history: Option<(Arc<History>, Detach)>,
}

impl PhysicalNode {
    /// The name of what one of its operators remembers, in checkpoints and metrics.
    pub(crate) fn name_of_state<'a>(&'a self, operator: &'a AnyStateful) -> &'a str {
        self.saved_name.as_deref().or(operator.0.saved_name()).unwrap_or(&self.name)
    }
}

/// How a node comes to its batch.
pub(crate) enum Run {
    /// No output needs it, or it runs inside of its consumer.
    Never,
    Source {
        input: Input,
        /// The wide nodes that take its blocks as they arrive; if there are any, they are all of
        /// its consumers.
        eager: Vec<NodeId>,
        /// Several consumers want columns, so they are made once.
        is_shared: bool,
    },
    /// A narrow chain whose batch is kept, for an output or for several consumers.
    Chain(Vec<ChainStep>),
    Wide(Wide),
    Union,
    Transform(Transform),
    Stateful(AnyStateful),
}

/// A wide operator, and the chains that run before it in the same task.
pub(crate) struct Wide {
    /// A chain for each parent.
    pub(crate) chains: Vec<Vec<ChainStep>>,
    pub(crate) operator: AnyOperator,
    /// The names of the steps that became part of the operator.
    pub(crate) fused: Vec<String>,
    /// It takes a source's blocks as they are, without columns.
    pub(crate) takes_lines: bool,
    pub(crate) is_eager: bool,
}

/// A narrow operator with the name to blame.
#[derive(Clone)]
pub(crate) struct ChainStep {
    pub(crate) name: String,
    pub(crate) operator: Arc<dyn Narrow>,
}

/// Plans how a graph runs.
pub(crate) fn plan(graph: &Graph) -> Physical {
    let consumers = consumers(graph);
    let remembered = remembered(graph);
    let mut planned: Vec<PhysicalNode> = Vec::with_capacity(graph.nodes.len());
    // What each narrow node does, for those that take it into their own task.
    let mut steps: Vec<Option<(NodeId, ChainStep)>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let name = node.name.clone();
        let mut parents = node.parents.clone();
        let mut step = None;
        let run = match node.kind.clone() {
            _ if consumers[id].total() == 0 => Run::Never,
            Kind::Source(input) => {
                Run::Source { input, eager: Vec::new(), is_shared: consumers[id].total() > 1 }
            }
            Kind::Narrow(operator) => {
                step = Some((parents[0], ChainStep { name: name.clone(), operator }));
                if consumers[id].inlines() {
                    Run::Never
                } else {
                    let (base, mut chain) = chain(&consumers, &steps, parents[0]);
                    chain.extend(step.as_ref().map(|(_, step)| step.clone()));
                    parents = vec![base];
                    Run::Chain(chain)
                }
            }
            Kind::Wide(operator) => {
                let chains = parents.iter().map(|&parent| chain(&consumers, &steps, parent));
                let (bases, chains) = chains.unzip();
                parents = bases;
                Run::Wide(wide(chains, operator))
            }
            Kind::Union => Run::Union,
            Kind::Transform(f) => Run::Transform(f),
            Kind::Stateful(operator, _) => Run::Stateful(operator),
        };
        steps.push(step);
        let keeps = |batches| (Arc::new(History::new(batches)), node.detach);
        let history = remembered[id].filter(|_| consumers[id].total() > 0).map(keeps);
        let (saved_name, slide) = (node.saved_name.clone(), node.slide);
        planned.push(PhysicalNode { name, saved_name, parents, slide, run, history });
    }
    let outputs = graph.outputs.iter();
    let outputs = outputs.map(|output| (output.name.clone(), output.parent)).collect();
    let mut physical = Physical { nodes: planned, outputs };
    choose_lines_and_eager(&mut physical);
    physical
}

/// Who wants a node's batch.
#[derive(Clone, Default)]
struct Consumers {
    /// Narrow and wide operators, which may run the node's own chain in their task.
    chains: usize,
    /// Whoever needs the batch as it is: outputs, unions, transforms, windows, the program.
    batches: usize,
}

impl Consumers {
    fn total(&self) -> usize {
        self.chains + self.batches
    }

    /// Whether a narrow node runs inside of its only consumer.
    fn inlines(&self) -> bool {
        self.chains == 1 && self.batches == 0
    }
}

fn consumers(graph: &Graph) -> Vec<Consumers> {
    let mut consumers = vec![Consumers::default(); graph.nodes.len()];
    for output in &graph.outputs {
        consumers[output.parent].batches += 1;
    }
    // Children before parents: a node that nobody wants wants nothing itself.
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        if consumers[id].total() == 0 {
            continue;
        }
        if graph.remembered.is_some() {
            consumers[id].batches += 1;
        }
        let is_chain = matches!(node.kind, Kind::Narrow(_) | Kind::Wide(_));
        for &parent in &node.parents {
            if is_chain {
                consumers[parent].chains += 1;
            } else {
                consumers[parent].batches += 1;
            }
        }
    }
    consumers
}

/// For how many batch times each stream keeps its batches, if the program asked for it: at least
/// for a slide, and as long as its children keep theirs and look back over it.
fn remembered(graph: &Graph) -> Vec<Option<u64>> {
    let own = |slide: NonZeroU64| graph.remembered.map(|batches| batches.max(slide.get()));
    let mut remembered: Vec<_> = graph.nodes.iter().map(|node| own(node.slide)).collect();
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        let looks_back = if let Kind::Stateful(_, batches) = node.kind { batches } else { 0 };
        for &parent in &node.parents {
            let for_child = remembered[id].map(|batches| batches + looks_back);
            remembered[parent] = remembered[parent].max(for_child);
        }
    }
    remembered
}

/// The nearest node at or above `id` whose batch is kept, and the steps from there to `id`.
fn chain(
    consumers: &[Consumers],
    steps: &[Option<(NodeId, ChainStep)>],
    mut id: NodeId,
) -> (NodeId, Vec<ChainStep>) {
    let mut chain = Vec::new();
    while let Some((parent, step)) = &steps[id]
        && consumers[id].inlines()
    {
        chain.push(step.clone());
        id = *parent;
    }
    chain.reverse();
    (id, chain)
}

fn wide(mut chains: Vec<Vec<ChainStep>>, mut operator: AnyOperator) -> Wide {
    let mut fused = Vec::new();
    if let [steps] = chains.as_mut_slice() {
        let fusion = |step: Option<&ChainStep>, operator: &AnyOperator| {
            step.and_then(|step| operator.0.fuse(step.operator.step()))
        };
        while let Some(fusion) = fusion(steps.last(), &operator) {
            operator = fusion;
            fused.extend(steps.pop().map(|step| step.name));
        }
    }
    fused.reverse();
    Wide { chains, operator, fused, takes_lines: false, is_eager: false }
}

fn choose_lines_and_eager(physical: &mut Physical) {
    for source in 0..physical.nodes.len() {
        let node = &physical.nodes[source];
        if !matches!(&node.run, Run::Source { input: Input::Lines(_), .. }) {
            continue;
        }
        let mut wides = Vec::new();
        let is_output = physical.outputs.iter().any(|(_, parent)| *parent == source);
        let mut is_eager = !is_output && node.history.is_none();
        for (id, node) in physical.nodes.iter_mut().enumerate() {
            if !node.parents.contains(&source) {
                continue;
            }
            match &mut node.run {
                Run::Never => {}
                Run::Wide(wide) => {
                    let has_steps = wide.chains.iter().any(|chain| !chain.is_empty());
                    wide.takes_lines = !has_steps && wide.operator.0.takes_lines();
                    is_eager &= can_be_eager(wide);
                    wides.push(id);
                }
                _ => is_eager = false,
            }
        }
        for &id in wides.iter().filter(|_| is_eager) {
            if let Run::Wide(wide) = &mut physical.nodes[id].run {
                wide.is_eager = true;
            }
        }
        if let Run::Source { eager, .. } = &mut physical.nodes[source].run
            && is_eager
        {
            *eager = wides;
        }
    }
}

/// Whether blocks may be taken in before the batch is cut: nothing of the user's runs early, and
/// which thread took which block does not show.
fn can_be_eager(wide: &Wide) -> bool {
    let is_named = |step: &ChainStep| step.operator.step() != Step::Closure;
    wide.operator.0.is_vectorised()
        && !wide.operator.0.is_ordered()
        && wide.chains.iter().flatten().all(is_named)
}
