//! One partition of a batch on its way from operator to operator, and the chains of narrow ones
//! that it goes through in one piece.

use std::sync::Arc;

use super::guard::guard;
use crate::config::PARALLEL_BYTES_MIN;
use crate::error::Result;
use crate::plan::ChainStep;
use crate::record::batch::AnyChunk;
use crate::record::block::SharedText;
use crate::record::recycled::Recycled;
use crate::source::intake::Intake;

/// One partition on its way.
#[derive(Clone)]
pub(super) enum Part {
    /// A block of rows, of which columns are made when somebody wants them.
    Lines(SharedText, Arc<Intake>),
    Columns(AnyChunk),
}

impl Part {
    /// The part as columns, which are whoever's wants to keep them.
    pub(super) fn columns(&self) -> AnyChunk {
        self.columns_of(&mut Recycled::default())
    }

    pub(super) fn columns_of(&self, recycled: &mut Recycled) -> AnyChunk {
        match self {
            Part::Lines(block, intake) => intake.rows(block, recycled),
            Part::Columns(chunk) => chunk.clone(),
        }
    }

    /// Bytes of columns that were made.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Part::Lines(..) => 0,
            Part::Columns(chunk) => chunk.held_bytes(),
        }
    }

    /// About how much work there is in it; nobody asks small chunks for more than their presence.
    pub(super) fn byte_len(&self) -> usize {
        match self {
            Part::Lines(block, _) => block.len(),
            Part::Columns(_) => PARALLEL_BYTES_MIN / 2,
        }
    }
}

/// Runs a chain over a part; without steps, lines stay lines if they may.
pub(super) fn run_chain(
    steps: &[ChainStep],
    part: &Part,
    keep_lines: bool,
    recycled: &mut Recycled,
) -> Result<Part> {
    let has_lines = matches!(part, Part::Lines(_, intake) if intake.has_lines());
    if keep_lines {
        return Ok(if has_lines { part.clone() } else { Part::Columns(part.columns_of(recycled)) });
    }
    let (mut steps, mut chunk) = (steps.iter(), None);
    if let (Part::Lines(block, _), Some(first)) = (part, steps.as_slice().first())
        && has_lines
    {
        chunk = guard(&first.name, || first.operator.apply_lines(block, recycled))?;
        if chunk.is_some() {
            steps.next();
        }
    }
    let mut chunk = chunk.unwrap_or_else(|| part.columns_of(recycled));
    for step in steps {
        chunk = guard(&step.name, || step.operator.apply(&chunk, recycled))?;
    }
    Ok(Part::Columns(chunk))
}
