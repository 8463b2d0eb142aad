//! Groups of rows and their aggregates: a wide operator over tables, and the same on one table.

use std::sync::Arc;

use super::aggregate::{AggKind, BoundAgg};
use super::function::{Accumulator, State};
use super::groups::TableGroups;
use super::{AggExpr, Bound, Expr, Field, IntoExpr, Schema, Table, TableRow};
use crate::error::{Error, Result};
use crate::ops::{Aggregate, Operator};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Record, Row, RowColumn, TupleColumns};

/// Keys and aggregates that were checked against the schema of the rows.
pub(crate) struct GroupBy {
    keys: Vec<Bound>,
    key_schema: Arc<Schema>,
    pub(crate) aggregates: Arc<[BoundAgg]>,
    /// The keys and then the aggregates.
    pub(crate) schema: Arc<Schema>,
    keys_max: usize,
}

/// The aggregates of the groups that came so far.
pub(crate) struct Grouped {
    groups: TableGroups,
    accumulators: Vec<Box<dyn Accumulator>>,
    // Scratch.
    ids: Vec<u32>,
}

impl GroupBy {
    pub(crate) fn new(
        keys: &[Expr],
        aggregates: impl IntoIterator<Item = AggExpr>,
        schema: &Schema,
        keys_max: usize,
    ) -> Result<GroupBy> {
        let within = |error: Error| error.within("group_by");
        let (key_schema, keys) = Bound::select(keys.iter().cloned(), schema).map_err(within)?;
        let aggregates = aggregates.into_iter().map(|aggregate| aggregate.bound(schema));
        let aggregates: Arc<[BoundAgg]> = aggregates.collect::<Result<_>>()?;
        let results = aggregates.iter().map(|agg| Field::new(&agg.name, agg.data_type));
        let all = Schema::new(key_schema.fields().iter().cloned().chain(results))?;
        let (key_schema, schema) = (Arc::new(key_schema), Arc::new(all));
        Ok(GroupBy { keys, key_schema, aggregates, schema, keys_max })
    }

    /// Whether what is kept of a group grows with its rows, so that a window rather keeps the rows.
    pub(crate) fn grows(&self) -> bool {
        self.aggregates.iter().any(|agg| matches!(agg.kind, AggKind::Quantile(_)))
    }

    pub(crate) fn grouped(&self) -> Grouped {
        let groups = TableGroups::of(&self.key_schema, self.keys_max);
        let accumulators = self.aggregates.iter().map(|agg| agg.function.accumulator());
        Grouped { groups, accumulators: accumulators.collect(), ids: Vec::new() }
    }

    pub(crate) fn add(&self, grouped: &mut Grouped, rows: &Table) -> Result<()> {
        let keys = rows.selected(&self.key_schema, &self.keys)?;
        grouped.ids.clear();
        grouped.groups.ids(&keys, &mut grouped.ids)?;
        let groups = grouped.groups.len();
        for (agg, accumulator) in self.aggregates.iter().zip(&mut grouped.accumulators) {
            let values = agg.of.as_ref().map(|of| of.series(rows)).transpose()?;
            accumulator.add(groups, &grouped.ids, values.as_ref())?;
        }
        Ok(())
    }

    fn merge(&self, into: &mut Grouped, later: &Grouped) -> Result<()> {
        let keys = Table::of(self.key_schema.clone(), later.groups.columns(), later.groups.len());
        into.ids.clear();
        into.groups.ids(&keys, &mut into.ids)?;
        let groups = into.groups.len();
        for (into_one, later) in into.accumulators.iter_mut().zip(&later.accumulators) {
            into_one.merge(groups, &into.ids, &**later)?;
        }
        Ok(())
    }

    pub(crate) fn finish(&self, grouped: &mut Grouped) -> Result<Table> {
        if self.keys.is_empty() && grouped.groups.is_empty() {
            return self.of_nothing();
        }
        let mut columns = grouped.groups.columns();
        for (agg, accumulator) in self.aggregates.iter().zip(&grouped.accumulators) {
            let series = accumulator.finish();
            columns.push(series.map_err(|error| error.within(&agg.name))?);
        }
        Ok(Table::of(self.schema.clone(), columns, grouped.groups.len()))
    }
}

impl GroupBy {
    /// The one row of all rows where there is none.
    fn of_nothing(&self) -> Result<Table> {
        let columns = self.aggregates.iter().map(|agg| {
            let nothing = agg.function.identity();
            agg.function.finish(&mut std::iter::once(&nothing))
        });
        Ok(Table::of(self.schema.clone(), columns.collect::<Result<_>>()?, 1))
    }

    /// The results of groups whose states went through a window.
    pub(crate) fn finish_states(&self, keys: &Table, states: &RowColumn<States>) -> Result<Table> {
        if states.is_empty() {
            let is_one = self.keys.is_empty();
            return if is_one { self.of_nothing() } else { Ok(Table::empty(self.schema.clone())) };
        }
        let mut columns = keys.columns().to_vec();
        for (index, agg) in self.aggregates.iter().enumerate() {
            let mut of_agg = (0..states.len()).map(|row| &states.get(row)[index]);
            let series = agg.function.finish(&mut of_agg);
            columns.push(series.map_err(|error| error.within(&agg.name))?);
        }
        Ok(Table::of(self.schema.clone(), columns, states.len()))
    }
}

/// A [`Table`] with its rows in groups: see [`Table::group_by`].
#[derive(Clone, Debug)]
pub struct GroupedTable<'a> {
    table: &'a Table,
    keys: Vec<Expr>,
}

impl<'a> GroupedTable<'a> {
    pub(crate) fn new<E: IntoExpr>(
        table: &'a Table,
        keys: impl IntoIterator<Item = E>,
    ) -> Result<GroupedTable<'a>> {
        let keys: Vec<Expr> = keys.into_iter().map(IntoExpr::into_expr).collect();
        Bound::select(keys.iter().cloned(), table.schema())
            .map_err(|error| error.within("group_by"))?;
        Ok(GroupedTable { table, keys })
    }

    /// One row for each group: the keys, and then these aggregates, in the order in which the
    /// groups came.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = AggExpr>) -> Result<Table> {
        let schema = self.table.schema();
        // A table's rows are counted in 32 bits, and there are no more keys than rows.
        let group_by = GroupBy::new(&self.keys, aggregates, schema, u32::MAX as usize)?;
        let mut grouped = group_by.grouped();
        group_by.add(&mut grouped, self.table)?;
        group_by.finish(&mut grouped)
    }
}

/// Gives the aggregates of a batch.
pub(crate) struct Finished(pub(crate) Arc<GroupBy>);

/// Gives the states of a batch, for a window.
pub(crate) struct Unfinished(pub(crate) Arc<GroupBy>);

/// The states of one group, in the order of the aggregates.
pub(crate) type States = Box<[State]>;

macro_rules! operator {
    ($name:ident, $group_by:ident, $partial:ident => $emit:expr) => {
        impl Operator for $name {
            type Partial = Grouped;

            fn partial(&self) -> Grouped {
                self.0.grouped()
            }

            fn push(&self, partial: &mut Grouped, chunk: &AnyChunk) -> Result<()> {
                self.0.add(partial, columns::<TableRow>(chunk))
            }

            fn merge(&self, into: &mut Grouped, later: &mut Grouped) -> Result<()> {
                self.0.merge(into, later)
            }

            fn emit(&self, $partial: &mut Grouped, _: Option<AnyChunk>) -> Result<AnyChunk> {
                let $group_by = &self.0;
                $emit
            }

            fn clear(&self, partial: &mut Grouped) {
                partial.groups.clear();
                partial.accumulators.iter_mut().for_each(|one| one.clear());
            }

            fn held_bytes(&self, partial: &mut Grouped) -> usize {
                let states = partial.accumulators.iter_mut().map(|one| one.held_bytes());
                let ids = size_of_val(&*partial.ids);
                partial.groups.byte_len() + states.sum::<usize>() + ids
            }

            fn is_ordered(&self) -> bool {
                self.0.aggregates.iter().any(|agg| agg.function.is_ordered())
            }

            fn is_vectorised(&self) -> bool {
                true
            }
        }
    };
}

operator!(Finished, group_by, partial => Ok(Arc::new(group_by.finish(partial)?)));
operator!(Unfinished, group_by, partial => {
    let len = partial.groups.len();
    let keys = Table::of(group_by.key_schema.clone(), partial.groups.columns(), len);
    let mut states = <Row<States> as Record>::Columns::default();
    for group in 0..len {
        let all = partial.accumulators.iter().map(|one| one.state(group));
        states.push_owned(Row(all.collect()));
    }
    Ok(Arc::new(TupleColumns { members: (keys, states) }))
});

/// Merges the states of batches, key by key.
pub(crate) struct MergeStates(pub(crate) Arc<GroupBy>);

impl Aggregate<Row<States>> for MergeStates {
    type Partial = States;
    type Output = Row<States>;

    fn identity(&self) -> States {
        self.0.aggregates.iter().map(|agg| agg.function.identity()).collect()
    }

    fn add(&self, partial: &mut States, value: &States) -> Result<()> {
        self.merge(partial, value)
    }

    fn merge(&self, into: &mut States, later: &States) -> Result<()> {
        let states = into.iter_mut().zip(later);
        for (agg, (into, later)) in self.0.aggregates.iter().zip(states) {
            agg.function.merge(into, later)?;
        }
        Ok(())
    }

    fn finish(&self, partial: &States) -> Result<Row<States>> {
        Ok(Row(partial.clone()))
    }

    fn is_invertible(&self) -> bool {
        self.0.aggregates.iter().all(|agg| agg.function.is_invertible())
    }

    fn unmerge(&self, from: &mut States, first: &States) -> Result<()> {
        let states = from.iter_mut().zip(first);
        for (agg, (from, first)) in self.0.aggregates.iter().zip(states) {
            agg.function.unmerge(from, first)?;
        }
        Ok(())
    }

    fn byte_len(&self, partial: &States) -> usize {
        let states = self.0.aggregates.iter().zip(partial);
        size_of::<States>() + states.map(|(agg, state)| agg.function.byte_len(state)).sum::<usize>()
    }

    fn is_ordered(&self) -> bool {
        self.0.aggregates.iter().any(|agg| agg.function.is_ordered())
    }
}
