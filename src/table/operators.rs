//! What streams of tables run, chunk by chunk.

use std::marker::PhantomData;
use std::sync::Arc;

use super::group_by::{GroupBy, States};
use super::{Bound, Schema, TableRow, Tabular, tabular};
use crate::error::Result;
use crate::ops::{Narrow, Step};
use crate::record::Row;
use crate::record::batch::{AnyChunk, columns};
use crate::record::recycled::Recycled;

/// Records to tables.
pub(crate) struct ToTable<T> {
    pub(crate) schema: Arc<Schema>,
    pub(crate) record: PhantomData<fn(T)>,
}

/// The rows for which an expression is true.
pub(crate) struct Filter(pub(crate) Bound);

/// Columns of expressions.
pub(crate) struct Select {
    pub(crate) schema: Arc<Schema>,
    pub(crate) columns: Vec<Bound>,
}

/// The results of a window: keys and states to one table.
pub(crate) struct FinishStates(pub(crate) Arc<GroupBy>);

impl<T: Tabular> Narrow for ToTable<T> {
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        Ok(Arc::new(tabular::table_of::<T>(&self.schema, columns::<T>(chunk))?))
    }

    fn step(&self) -> Step {
        Step::Named
    }
}

impl Narrow for Filter {
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        Ok(Arc::new(columns::<TableRow>(chunk).kept(&self.0)?))
    }

    fn step(&self) -> Step {
        Step::Named
    }
}

impl Narrow for Select {
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        let table = columns::<TableRow>(chunk);
        Ok(Arc::new(table.selected(&self.schema, &self.columns)?))
    }

    fn step(&self) -> Step {
        Step::Named
    }
}

impl Narrow for FinishStates {
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        let (keys, states) = &columns::<(TableRow, Row<States>)>(chunk).members;
        Ok(Arc::new(self.0.finish_states(keys, states)?))
    }

    fn step(&self) -> Step {
        Step::Named
    }
}
