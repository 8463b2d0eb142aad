//! Aggregates by key: dense ids, and a vector of partial results indexed by id.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Aggregate, AnyOperator, HeapBytes, Operator, Step, count_operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, Record};

pub(crate) struct AggregateByKey<K, V, A> {
    aggregate: A,
    keys_max: usize,
    is_closure: bool,
    pair: PhantomData<fn(K, V)>,
}

pub(crate) struct Aggregates<K: Key, P> {
    groups: K::Groups,
    partials: Vec<P>,
    heap: HeapBytes,
    // Scratch.
    ids: Vec<u32>,
}

impl<K: Key, V: Record, A: Aggregate<V>> AggregateByKey<K, V, A> {
    pub(crate) fn new(aggregate: A, keys_max: usize) -> Self {
        AggregateByKey { aggregate, keys_max, is_closure: false, pair: PhantomData }
    }

    /// With closures of the program for an aggregate.
    pub(crate) fn of_closure(aggregate: A, keys_max: usize) -> Self {
        AggregateByKey { is_closure: true, ..AggregateByKey::new(aggregate, keys_max) }
    }
}

impl<K: Key, V: Record, A: Aggregate<V>> Operator for AggregateByKey<K, V, A> {
    type Partial = Aggregates<K, A::Partial>;

    fn partial(&self) -> Self::Partial {
        let (groups, heap) = (K::Groups::new(self.keys_max), HeapBytes::default());
        Aggregates { groups, partials: vec![], heap, ids: vec![] }
    }

    fn push(&self, partial: &mut Self::Partial, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        partial.ids.clear();
        partial.groups.ids(&pairs.members.0, &mut partial.ids)?;
        partial.partials.resize(partial.groups.len(), self.aggregate.identity());
        if std::mem::needs_drop::<A::Partial>() {
            partial.heap.add(pairs.members.1.byte_len());
        }
        self.aggregate.add_rows(&mut partial.partials, &partial.ids, &pairs.members.1)
    }

    fn merge(&self, into: &mut Self::Partial, later: &mut Self::Partial) -> Result<()> {
        let mut keys = K::Columns::default();
        later.groups.keys(&mut keys);
        into.ids.clear();
        into.groups.ids(&keys, &mut into.ids)?;
        into.partials.resize(into.groups.len(), self.aggregate.identity());
        for (&id, later) in into.ids.iter().zip(&later.partials) {
            self.aggregate.merge(&mut into.partials[id as usize], later)?;
        }
        into.heap.merge(&later.heap);
        Ok(())
    }

    fn emit(&self, partial: &mut Self::Partial, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut pairs = reuse::<<(K, A::Output) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns");
        partial.groups.keys(&mut columns.members.0);
        for partial in &partial.partials {
            columns.members.1.push_owned(self.aggregate.finish(partial)?);
        }
        Ok(pairs)
    }

    fn clear(&self, partial: &mut Self::Partial) {
        partial.groups.clear();
        partial.partials.clear();
        partial.heap = HeapBytes::default();
    }

    fn held_bytes(&self, partial: &mut Self::Partial) -> usize {
        let heap = partial.heap.of(&self.aggregate, partial.partials.iter());
        let rows = size_of_val(&*partial.partials) + size_of_val(&*partial.ids);
        partial.groups.byte_len() + rows + heap
    }

    fn is_ordered(&self) -> bool {
        self.aggregate.is_ordered()
    }

    fn is_vectorised(&self) -> bool {
        !self.is_closure
    }

    fn fuse(&self, step: Step) -> Option<AnyOperator> {
        let Step::PairWith(constant) = step else { return None };
        let weight = self.aggregate.weight(constant)?;
        Some(count_operator::<K>(self.keys_max, weight))
    }
}
