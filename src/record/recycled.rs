//! Columns to be written again: what a task makes of one chunk has the size of what it made of the
//! chunk before, and fresh pages cost more than most kernels that fill them.

use std::any::{Any, TypeId};
use std::sync::Arc;

use super::Columns;
use super::batch::{AnyChunk, downcast};
use crate::config::RECYCLED_ROWS_MAX;

/// The columns that one task has made, kept for the next chunk once nobody else holds them.
#[derive(Default)]
pub(crate) struct Recycled {
    made: Vec<Made>,
}

struct Made {
    columns: AnyChunk,
    record: TypeId,
    /// Whether they are empty and nobody holds them.
    is_free: bool,
    /// Empties them, if nobody else holds them and they are worth keeping.
    clear: fn(&mut AnyChunk) -> bool,
}

impl Recycled {
    /// Empty columns that nobody else holds.
    pub(crate) fn take<C: Columns>(&mut self) -> Arc<C> {
        let record = TypeId::of::<C>();
        let free = self.made.iter().position(|made| made.is_free && made.record == record);
        let columns = free.map(|index| downcast(self.made.swap_remove(index).columns));
        columns.flatten().unwrap_or_default()
    }

    /// Columns that are done, to come back here when nobody holds them any more.
    pub(crate) fn lend<C: Columns>(&mut self, columns: Arc<C>) -> AnyChunk {
        let made = Made {
            columns: columns.clone(),
            record: TypeId::of::<C>(),
            is_free: false,
            clear: clear::<C>,
        };
        self.made.push(made);
        columns
    }

    /// Takes back what was lent, and lets go of blocks; what somebody holds stays theirs.
    pub(crate) fn reclaim(&mut self) {
        self.made.retain_mut(|made| {
            made.is_free = made.is_free || (made.clear)(&mut made.columns);
            made.is_free
        });
    }
}

fn clear<C: Columns>(columns: &mut AnyChunk) -> bool {
    let columns = Arc::get_mut(columns).and_then(|columns| {
        let any: &mut dyn Any = columns;
        any.downcast_mut::<C>()
    });
    let worth = columns.filter(|columns| columns.len() <= RECYCLED_ROWS_MAX);
    worth.map(Columns::clear).is_some()
}

/// Columns that [`Recycled::take`] or `Arc::default` gave, to be filled.
pub(crate) fn own<C>(columns: &mut Arc<C>) -> &mut C {
    Arc::get_mut(columns).expect("columns are shared only once they are filled")
}
