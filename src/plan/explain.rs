//! The plan as text: each stream, where it comes from, and the way it runs.

use std::fmt::Write;

use super::physical::ChainStep;
use super::{Input, Physical, Run};
use crate::ops::Step;

/// One line for each node that runs: position, name, parents, and how.
pub(crate) fn explain(physical: &Physical) -> String {
    let mut text = String::new();
    for (id, node) in physical.nodes.iter().enumerate() {
        let name = &node.name;
        let line = match &node.run {
            Run::Never => continue,
            Run::Source { input, eager, .. } => {
                let kind = match input {
                    Input::Lines(intake) if intake.is_bounded() => "bounded blocks",
                    Input::Lines(_) => "blocks",
                    Input::Queue(_) => "queued batches",
                };
                let when = if eager.is_empty() { "" } else { ", taken in as they arrive" };
                format!("{name}  [{kind}{when}]")
            }
            Run::Chain { base, steps } => format!("{}  <- #{base}", chain(steps)),
            Run::Wide(wide) => {
                let mut parts: Vec<String> = Vec::new();
                if !wide.steps.is_empty() {
                    parts.push(chain(&wide.steps));
                }
                let way = match (wide.fused.is_empty(), wide.operator.0.is_vectorised()) {
                    (false, _) => "fused",
                    (true, true) => "vectorised",
                    (true, false) => "row closure",
                };
                let fused: String = wide.fused.iter().map(|step| format!("{step} + ")).collect();
                parts.push(format!("{fused}{name} [{way}]"));
                format!("{}  <- #{}", parts.join(" -> "), wide.base)
            }
            Run::Union(parents) => format!("{name}  <- {}", numbers(parents)),
            Run::Transform { parent, .. } => format!("{name} [batch closure]  <- #{parent}"),
        };
        let _ = writeln!(text, "#{id} {line}");
    }
    for (name, parent) in &physical.outputs {
        let _ = writeln!(text, "output {name}  <- #{parent}");
    }
    text
}

fn chain(steps: &[ChainStep]) -> String {
    let step = |step: &ChainStep| match step.operator.step() {
        Step::Closure => format!("{} [row closure]", step.name),
        Step::Split(_) | Step::PairWith(_) => format!("{} [vectorised]", step.name),
    };
    steps.iter().map(step).collect::<Vec<_>>().join(" -> ")
}

fn numbers(ids: &[usize]) -> String {
    ids.iter().map(|id| format!("#{id}")).collect::<Vec<_>>().join(", ")
}
