//! The plan as text: a tree for each output, down to its sources, and the way each step runs.

use std::fmt::Write;

use super::physical::{ChainStep, PhysicalNode, Wide};
use super::{Input, NodeId, Physical, Run};
use crate::ops::Step;

/// A tree for each output. Numbered lines are batches that come to be; lines without a number run
/// inside of the numbered one above them. What several outputs use is drawn once.
pub(crate) fn explain(physical: &Physical) -> String {
    let mut tree = Tree {
        nodes: &physical.nodes,
        is_drawn: vec![false; physical.nodes.len()],
        text: String::new(),
    };
    for (name, parent) in &physical.outputs {
        let _ = writeln!(tree.text, "{name}");
        tree.draw(*parent, "", true);
    }
    tree.text
}

struct Tree<'a> {
    nodes: &'a [PhysicalNode],
    is_drawn: Vec<bool>,
    text: String,
}

impl Tree<'_> {
    /// Draws a node as a child of the line above, and what it is made of below it.
    fn draw(&mut self, id: NodeId, margin: &str, is_last: bool) {
        let node = &self.nodes[id];
        if std::mem::replace(&mut self.is_drawn[id], true) {
            self.line(margin, is_last, &format!("#{id} {}, as above", node.name));
            return;
        }
        let steps: &[ChainStep] = if let Run::Chain(steps) = &node.run { steps } else { &[] };
        let title = match steps.split_last() {
            // A chain is named by its last step, and the others follow.
            Some((last, _)) => step_line(last),
            None => title(node),
        };
        let margin = self.line(margin, is_last, &format!("#{id} {title}"));
        let before = &steps[..steps.len().saturating_sub(1)];
        let chains: &[Vec<ChainStep>] =
            if let Run::Wide(wide) = &node.run { &wide.chains } else { &[] };
        for (index, &parent) in node.parents.iter().enumerate() {
            let chain = chains.get(index).map_or(before, Vec::as_slice);
            let mut margin = margin.clone();
            let mut is_last = index + 1 == node.parents.len();
            for step in chain.iter().rev() {
                margin = self.line(&margin, is_last, &step_line(step));
                is_last = true;
            }
            self.draw(parent, &margin, is_last);
        }
    }

    /// Draws one line; returns the margin of what hangs below it.
    fn line(&mut self, margin: &str, is_last: bool, title: &str) -> String {
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let _ = writeln!(self.text, "{margin}{branch}{title}");
        format!("{margin}{below}")
    }
}

fn title(node: &PhysicalNode) -> String {
    let name = &node.name;
    match &node.run {
        Run::Never | Run::Chain(_) => name.clone(),
        Run::Source { input, eager, .. } => {
            let kind = match input {
                Input::Lines(intake) if intake.is_bounded() => "bounded blocks",
                Input::Lines(_) => "blocks",
                Input::Queue(_) => "queued batches",
            };
            let when = if eager.is_empty() { "" } else { ", taken in as they arrive" };
            format!("{name} [{kind}{when}]")
        }
        Run::Wide(wide) => wide_title(name, wide),
        Run::Union => name.clone(),
        Run::Transform(_) => format!("{name} [batch closure]"),
        Run::Stateful(operator) => format!("{name} [{}]", operator.0.way()),
    }
}

fn wide_title(name: &str, wide: &Wide) -> String {
    let way = match (wide.fused.is_empty(), wide.operator.0.is_vectorised()) {
        (false, _) => "fused",
        (true, true) => "vectorised",
        (true, false) => "row closure",
    };
    let fused: String = wide.fused.iter().map(|step| format!("{step} + ")).collect();
    format!("{fused}{name} [{way}]")
}

fn step_line(step: &ChainStep) -> String {
    match step.operator.step() {
        Step::Closure => format!("{} [row closure]", step.name),
        _ => format!("{} [vectorised]", step.name),
    }
}
