//! From the plan to what runs: which narrow chains run inside of their consumer, which steps fuse
//! into a kernel, and which aggregates take blocks as they arrive.
//!
//! Everything is decided here, once, so that a batch decides nothing.

use std::sync::Arc;

use super::{Graph, Input, Kind, NodeId, Transform};
use crate::ops::{AnyOperator, Narrow, Step};

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
    pub(crate) run: Run,
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
    Chain {
        base: NodeId,
        steps: Vec<ChainStep>,
    },
    Wide(Wide),
    Union(Vec<NodeId>),
    Transform {
        parent: NodeId,
        f: Transform,
    },
}

/// A wide operator, and the chain that runs before it in the same task.
pub(crate) struct Wide {
    pub(crate) base: NodeId,
    pub(crate) steps: Vec<ChainStep>,
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
    let nodes = &graph.nodes;
    let mut planned: Vec<PhysicalNode> = Vec::with_capacity(nodes.len());
    // What each narrow node does, for those that take it into their own task.
    let mut steps: Vec<Option<(NodeId, ChainStep)>> = Vec::with_capacity(nodes.len());
    for (id, node) in nodes.iter().enumerate() {
        let (name, parents) = (node.name.clone(), node.parents.clone());
        let mut step = None;
        let run = match node.kind.clone() {
            _ if consumers[id].total() == 0 => Run::Never,
            Kind::Source(input) => {
                Run::Source { input, eager: Vec::new(), is_shared: consumers[id].total() > 1 }
            }
            Kind::Narrow(operator) => {
                step = Some((parents[0], ChainStep { name: name.clone(), operator }));
                let is_inlined = consumers[id].chains == 1 && consumers[id].batches == 0;
                if is_inlined {
                    Run::Never
                } else {
                    let (base, mut chain) = chain(&consumers, &steps, parents[0]);
                    chain.extend(step.as_ref().map(|(_, step)| step.clone()));
                    Run::Chain { base, steps: chain }
                }
            }
            Kind::Wide(operator) => Run::Wide(wide(&consumers, &steps, parents[0], operator)),
            Kind::Union => Run::Union(parents),
            Kind::Transform(f) => Run::Transform { parent: parents[0], f },
        };
        steps.push(step);
        planned.push(PhysicalNode { name, run });
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
    /// Whoever needs the batch as it is: outputs, unions, transforms.
    batches: usize,
}

impl Consumers {
    fn total(&self) -> usize {
        self.chains + self.batches
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

/// The nearest node at or above `id` whose batch is kept, and the steps from there to `id`.
fn chain(
    consumers: &[Consumers],
    steps: &[Option<(NodeId, ChainStep)>],
    mut id: NodeId,
) -> (NodeId, Vec<ChainStep>) {
    let mut chain = Vec::new();
    while let Some((parent, step)) = &steps[id]
        && consumers[id].total() == 1
    {
        chain.push(step.clone());
        id = *parent;
    }
    chain.reverse();
    (id, chain)
}

fn wide(
    consumers: &[Consumers],
    all_steps: &[Option<(NodeId, ChainStep)>],
    parent: NodeId,
    mut operator: AnyOperator,
) -> Wide {
    let (base, mut steps) = chain(consumers, all_steps, parent);
    let mut fused = Vec::new();
    while let Some(fusion) = steps.last().and_then(|step| operator.0.fuse(step.operator.step())) {
        operator = fusion;
        fused.extend(steps.pop().map(|step| step.name));
    }
    fused.reverse();
    Wide { base, steps, operator, fused, takes_lines: false, is_eager: false }
}

fn choose_lines_and_eager(physical: &mut Physical) {
    for source in 0..physical.nodes.len() {
        if !matches!(&physical.nodes[source].run, Run::Source { input: Input::Lines(_), .. }) {
            continue;
        }
        let mut wides = Vec::new();
        let mut others = physical.outputs.iter().filter(|(_, parent)| *parent == source).count();
        for (id, node) in physical.nodes.iter_mut().enumerate() {
            match &mut node.run {
                Run::Wide(wide) if wide.base == source => {
                    wide.takes_lines = wide.steps.is_empty() && wide.operator.0.takes_lines();
                    wides.push(id);
                }
                Run::Chain { base, .. } if *base == source => others += 1,
                Run::Union(parents) if parents.contains(&source) => others += 1,
                Run::Transform { parent, .. } if *parent == source => others += 1,
                _ => {}
            }
        }
        let is_eager = others == 0 && wides.iter().all(|&id| can_be_eager(&physical.nodes[id].run));
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
fn can_be_eager(run: &Run) -> bool {
    let Run::Wide(wide) = run else { return false };
    let is_named = |step: &ChainStep| step.operator.step() != Step::Closure;
    wide.operator.0.is_vectorised()
        && !wide.operator.0.is_ordered()
        && wide.steps.iter().all(is_named)
}
