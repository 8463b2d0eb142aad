//! The partials of a wide operator: one for each thread, or for each run of neighbouring chunks
//! where order shows. They are filled, merged in order, and cleared for the next batch.

use std::sync::Mutex;

use super::guard::guard;
use super::held::{Held, Reserve};
use super::part::Part;
use crate::error::{Error, Result};
use crate::ops::{AnyOperator, AnyPartial};
use crate::record::batch::AnyChunk;

/// Partials that an operator keeps where order shows.
pub(super) const ORDERED_PARTIALS_KEPT: usize = 64;

/// How many partials take in so many parts where order shows: enough for the threads to share, and
/// few, since each key is merged once for each partial that has it.
pub(super) fn ordered_partials(parts: usize) -> usize {
    parts.min(4.max(parts / 8))
}

pub(super) struct Partial {
    partial: AnyPartial,
    is_used: bool,
    error: Option<Error>,
    reserve: Reserve,
}

impl Partial {
    pub(super) fn new(operator: &AnyOperator) -> Partial {
        let (partial, reserve) = (operator.0.partial(), Reserve::default());
        Partial { partial, is_used: false, error: None, reserve }
    }

    /// Gives back what it holds.
    pub(super) fn make_anew(&mut self, operator: &AnyOperator, held: &Held) {
        let mut old = std::mem::replace(self, Partial::new(operator));
        held.partial_dropped(&mut old.reserve);
    }

    pub(super) fn drop_from(mut self, held: &Held) {
        held.partial_dropped(&mut self.reserve);
    }

    /// Whether something could not be taken in: the batch fails with it.
    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Takes a part of the first parent or of another one in, or the error that it came to.
    pub(super) fn push(
        &mut self,
        name: &str,
        operator: &AnyOperator,
        held: &Held,
        part: Result<Part>,
        is_of_first: bool,
    ) {
        let Partial { partial, is_used, error, reserve } = self;
        *is_used = true;
        let pushed = part.and_then(|part| {
            guard(name, || {
                match &part {
                    Part::Lines(block, _) => operator.0.push_lines(partial, block)?,
                    Part::Columns(chunk) if is_of_first => operator.0.push(partial, chunk)?,
                    Part::Columns(chunk) => operator.0.push_other(partial, chunk)?,
                }
                held.partial_uses(reserve, operator.0.held_bytes(partial))
            })
        });
        if pushed.is_err() {
            // What it holds is of no use to the batch, and may be what others need.
            let _ = guard("clear", || {
                *partial = operator.0.partial();
                Ok(())
            });
            held.partial_dropped(reserve);
        }
        *error = pushed.err();
    }

    /// Clears it for the next batch, or gives its memory back where batches have needed far less of
    /// it for a while.
    pub(super) fn end_batch(&mut self, operator: &AnyOperator, held: &Held) {
        let is_used = std::mem::take(&mut self.is_used);
        let is_held = self.reserve.is_worth_a_look();
        if !is_used && !is_held {
            return;
        }
        let Partial { partial, reserve, .. } = self;
        let cleared = guard("clear", || {
            let used = if is_used && is_held { operator.0.held_bytes(partial) } else { 0 };
            if is_used {
                operator.0.clear(partial);
            }
            Ok(is_held && reserve.ends_batch(used))
        });
        if cleared.unwrap_or(true) {
            self.make_anew(operator, held);
        }
    }
}

/// Merges all partials into the first, in order, and emits it.
pub(super) fn merge(
    operator: &AnyOperator,
    partials: &mut [Mutex<Partial>],
    held: &Held,
    last: Option<AnyChunk>,
) -> Result<AnyChunk> {
    let (first, others) = partials.split_first_mut().expect("a wide node has a partial");
    let first = first.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(error) = first.error.take() {
        return Err(error);
    }
    for other in others {
        let other = other.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(error) = other.error.take() {
            return Err(error);
        }
        if other.is_used && !first.is_used {
            std::mem::swap(first, other);
        } else if other.is_used {
            held.check_room_for(&other.reserve)?;
            operator.0.merge(&mut first.partial, &mut other.partial)?;
            held.partial_uses(&mut first.reserve, operator.0.held_bytes(&mut first.partial))?;
            if held.check_room_for(&first.reserve).is_err() {
                other.make_anew(operator, held);
            }
        }
    }
    held.check_room_for(&first.reserve)?;
    operator.0.emit(&mut first.partial, last)
}
