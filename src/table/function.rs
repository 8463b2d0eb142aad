//! Aggregates over columns: the crate's named aggregates, with a state for each group, and no
//! value where a group has none.
//!
//! A state has two forms. While rows come in, the states of all groups stand in one vector for
//! each function ([`Accumulator`]). Where they go on to a window, each group has its own
//! ([`State`]), so that panes can be merged key by key.

use std::any::Any;
use std::marker::PhantomData;

use tidemill_kernels::grouped;

use super::aggregate::AggKind;
use super::native::{Native, Stored, StoredState};
use super::quantile::Quantile;
use super::{DataType, Series};
use crate::error::Result;
use crate::ops::{
    Aggregate, First, HeapBytes, Last, Max, Mean, Min, SampleStdDev, SampleVariance, Sum,
};
use crate::record::{Columns, Ordered, Record, Timestamp};

/// What an aggregate has of one group, when it goes on to a window.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// How many values there were.
    pub(crate) values: i64,
    pub(crate) stored: StoredState,
}

/// A named aggregate of values of one type.
pub(crate) trait Function: Send + Sync + 'static {
    fn accumulator(&self) -> Box<dyn Accumulator>;
    fn identity(&self) -> State;
    fn merge(&self, into: &mut State, later: &State) -> Result<()>;
    fn unmerge(&self, from: &mut State, first: &State) -> Result<()>;
    fn is_invertible(&self) -> bool;
    fn is_ordered(&self) -> bool;
    fn byte_len(&self, state: &State) -> usize;
    /// The results, in the order of the states.
    fn finish(&self, states: &mut dyn Iterator<Item = &State>) -> Result<Series>;
}

/// The states of all groups, by id.
pub(crate) trait Accumulator: Any + Send {
    /// Adds each row to its group, of which there are so many by now. Without values, rows count.
    fn add(&mut self, groups: usize, ids: &[u32], values: Option<&Series>) -> Result<()>;
    /// Adds what another of the same kind has: its groups have these ids here.
    fn merge(&mut self, groups: usize, ids: &[u32], later: &dyn Accumulator) -> Result<()>;
    fn state(&self, group: usize) -> State;
    fn finish(&self) -> Result<Series>;
    fn clear(&mut self);
    /// About how many bytes of memory are used.
    fn held_bytes(&mut self) -> usize;
    fn as_any(&self) -> &dyn Any;
}

/// The function for values of this type, and the type of its results; none if there is none.
pub(crate) fn function_of(
    kind: AggKind,
    of: Option<DataType>,
) -> Option<(Box<dyn Function>, DataType)> {
    let Some(of) = of.filter(|_| kind != AggKind::Count) else {
        return Some((Box::new(Counts), DataType::I64));
    };
    match of {
        DataType::I64 => integers(kind),
        DataType::F64 => floats(kind),
        DataType::Bool => ends::<bool>(kind, of),
        DataType::Text => ends::<String>(kind, of),
        DataType::Timestamp => ends::<Timestamp>(kind, of),
    }
}

/// What all types of values have.
fn ends<V>(kind: AggKind, of: DataType) -> Option<(Box<dyn Function>, DataType)>
where
    V: Native + Ordered + Clone,
    Option<V>: Stored,
{
    let function = match kind {
        AggKind::Min => named::<V, _>(Min, 1),
        AggKind::Max => named::<V, _>(Max, 1),
        AggKind::First => named::<V, _>(First, 1),
        AggKind::Last => named::<V, _>(Last, 1),
        _ => return None,
    };
    Some((function, of))
}

/// What only numbers have besides.
macro_rules! numbers {
    ($name:ident $number:ty, $of:ident) => {
        fn $name(kind: AggKind) -> Option<(Box<dyn Function>, DataType)> {
            let function = match kind {
                AggKind::Sum => return Some((named::<$number, _>(Sum, 1), DataType::$of)),
                AggKind::Mean => named::<$number, _>(Mean, 1),
                AggKind::Std => named::<$number, _>(SampleStdDev, 2),
                AggKind::Variance => named::<$number, _>(SampleVariance, 2),
                AggKind::Quantile(q) => named::<$number, _>(Quantile(q), 1),
                _ => return ends::<$number>(kind, DataType::$of),
            };
            Some((function, DataType::F64))
        }
    };
}

numbers!(integers i64, I64);
numbers!(floats f64, F64);

fn named<V: Native, A: Aggregate<V> + Clone>(aggregate: A, values_min: i64) -> Box<dyn Function>
where
    A::Partial: Stored,
    A::Output: Native,
{
    Box::new(Named { aggregate, values_min, value: PhantomData::<fn(V)> })
}

/// One of the crate's aggregates as a function of a column.
struct Named<V, A> {
    aggregate: A,
    /// With fewer values there is no result.
    values_min: i64,
    value: PhantomData<fn(V)>,
}

/// What one group has.
#[derive(Clone)]
struct Slot<P> {
    partial: P,
    values: i64,
}

/// The groups of [`Named`].
struct Slots<V: Native, A: Aggregate<V>> {
    aggregate: A,
    values_min: i64,
    slots: Vec<Slot<A::Partial>>,
    heap: HeapBytes,
}

impl<V: Native, A: Aggregate<V> + Clone> Function for Named<V, A>
where
    A::Partial: Stored,
    A::Output: Native,
{
    fn accumulator(&self) -> Box<dyn Accumulator> {
        let (aggregate, values_min) = (self.aggregate.clone(), self.values_min);
        let (slots, heap) = (Vec::new(), HeapBytes::default());
        Box::new(Slots::<V, A> { aggregate, values_min, slots, heap })
    }

    fn identity(&self) -> State {
        State { values: 0, stored: self.aggregate.identity().into_stored() }
    }

    fn merge(&self, into: &mut State, later: &State) -> Result<()> {
        into.values += later.values;
        let later = A::Partial::from_stored(&later.stored);
        self.aggregate.merge(A::Partial::from_stored_mut(&mut into.stored), later)
    }

    fn unmerge(&self, from: &mut State, first: &State) -> Result<()> {
        from.values -= first.values;
        let first = A::Partial::from_stored(&first.stored);
        self.aggregate.unmerge(A::Partial::from_stored_mut(&mut from.stored), first)
    }

    fn is_invertible(&self) -> bool {
        self.aggregate.is_invertible()
    }

    fn is_ordered(&self) -> bool {
        self.aggregate.is_ordered()
    }

    fn byte_len(&self, state: &State) -> usize {
        let owned = self.aggregate.byte_len(A::Partial::from_stored(&state.stored));
        size_of::<State>() + owned.saturating_sub(size_of::<A::Partial>())
    }

    fn finish(&self, states: &mut dyn Iterator<Item = &State>) -> Result<Series> {
        finished(
            &self.aggregate,
            self.values_min,
            states.map(|state| (A::Partial::from_stored(&state.stored), state.values)),
        )
    }
}

/// The results, null where there were too few values.
fn finished<'a, V: Native, A: Aggregate<V>>(
    aggregate: &A,
    values_min: i64,
    groups: impl Iterator<Item = (&'a A::Partial, i64)>,
) -> Result<Series>
where
    A::Output: Native,
{
    let mut columns = <A::Output as Record>::Columns::default();
    let mut validity = Vec::new();
    for (partial, values) in groups {
        validity.push(values >= values_min);
        columns.push_owned(if values >= values_min {
            aggregate.finish(partial)?
        } else {
            A::Output::placeholder()
        });
    }
    Ok(A::Output::series(columns, Some(validity.into())))
}

impl<V: Native, A: Aggregate<V> + Clone> Slots<V, A> {
    fn grow(&mut self, groups: usize) {
        self.slots.resize(groups, Slot { partial: self.aggregate.identity(), values: 0 });
    }
}

impl<V: Native, A: Aggregate<V> + Clone> Accumulator for Slots<V, A>
where
    A::Partial: Stored,
    A::Output: Native,
{
    fn add(&mut self, groups: usize, ids: &[u32], values: Option<&Series>) -> Result<()> {
        self.grow(groups);
        let values = values.expect("only a count has no values");
        let rows = V::rows(values);
        if std::mem::needs_drop::<A::Partial>() {
            self.heap.add(values.byte_len());
        }
        let Slots { aggregate, slots, .. } = self;
        let mut add = |row: usize, id: u32| {
            let slot = &mut slots[id as usize];
            slot.values += 1;
            aggregate.add(&mut slot.partial, V::at(rows, row))
        };
        match values.validity() {
            None => ids.iter().enumerate().try_for_each(|(row, &id)| add(row, id)),
            Some(validity) => {
                let valid = ids.iter().enumerate().filter(|&(row, _)| validity[row]);
                valid.into_iter().try_for_each(|(row, &id)| add(row, id))
            }
        }
    }

    fn merge(&mut self, groups: usize, ids: &[u32], later: &dyn Accumulator) -> Result<()> {
        self.grow(groups);
        let later: &Self = later.as_any().downcast_ref().expect("they are of one function");
        for (&id, later) in ids.iter().zip(&later.slots) {
            let slot = &mut self.slots[id as usize];
            slot.values += later.values;
            self.aggregate.merge(&mut slot.partial, &later.partial)?;
        }
        self.heap.merge(&later.heap);
        Ok(())
    }

    fn state(&self, group: usize) -> State {
        let Slot { partial, values } = self.slots[group].clone();
        State { values, stored: partial.into_stored() }
    }

    fn finish(&self) -> Result<Series> {
        let slots = self.slots.iter().map(|slot| (&slot.partial, slot.values));
        finished(&self.aggregate, self.values_min, slots)
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.heap = HeapBytes::default();
    }

    fn held_bytes(&mut self) -> usize {
        let partials = self.slots.iter().map(|slot| &slot.partial);
        size_of_val(&*self.slots) + self.heap.of(&self.aggregate, partials)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The number of rows, or of values.
struct Counts;

#[derive(Default)]
struct Counted(Vec<i64>);

impl Function for Counts {
    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(Counted::default())
    }

    fn identity(&self) -> State {
        State { values: 0, stored: 0i64.into_stored() }
    }

    fn merge(&self, into: &mut State, later: &State) -> Result<()> {
        into.values += later.values;
        Ok(())
    }

    fn unmerge(&self, from: &mut State, first: &State) -> Result<()> {
        from.values -= first.values;
        Ok(())
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn byte_len(&self, _: &State) -> usize {
        size_of::<State>()
    }

    fn finish(&self, states: &mut dyn Iterator<Item = &State>) -> Result<Series> {
        Ok(states.map(|state| state.values).collect::<Vec<i64>>().into())
    }
}

impl Accumulator for Counted {
    fn add(&mut self, groups: usize, ids: &[u32], values: Option<&Series>) -> Result<()> {
        self.0.resize(groups, 0);
        match values.and_then(Series::validity) {
            None => grouped::count(&mut self.0, ids),
            Some(validity) => {
                for (&id, &valid) in ids.iter().zip(&**validity) {
                    self.0[id as usize] += i64::from(valid);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, groups: usize, ids: &[u32], later: &dyn Accumulator) -> Result<()> {
        self.0.resize(groups, 0);
        let later: &Self = later.as_any().downcast_ref().expect("they are of one function");
        for (&id, later) in ids.iter().zip(&later.0) {
            self.0[id as usize] += later;
        }
        Ok(())
    }

    fn state(&self, group: usize) -> State {
        State { values: self.0[group], ..Counts.identity() }
    }

    fn finish(&self) -> Result<Series> {
        Ok(self.0.clone().into())
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn held_bytes(&mut self) -> usize {
        size_of_val(&*self.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
