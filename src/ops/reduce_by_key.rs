//! reduceByKey with a closure: dense ids, and a value for each that the closure folds.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, Record};

pub(crate) struct ReduceByKey<K, V, F> {
    reduce: F,
    keys_max: usize,
    pair: PhantomData<fn(K, V) -> V>,
}

pub(crate) struct Folds<K: Key, V> {
    groups: K::Groups,
    values: Vec<V>,
    // Scratch.
    ids: Vec<u32>,
}

impl<K, V, F> ReduceByKey<K, V, F>
where
    K: Key,
    V: Record,
    F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V,
{
    pub(crate) fn new(reduce: F, keys_max: usize) -> Self {
        ReduceByKey { reduce, keys_max, pair: PhantomData }
    }
}

impl<K, V, F> Operator for ReduceByKey<K, V, F>
where
    K: Key,
    V: Record,
    F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
{
    type Partial = Folds<K, V>;

    fn partial(&self) -> Folds<K, V> {
        Folds { groups: K::Groups::new(self.keys_max), values: vec![], ids: vec![] }
    }

    fn push(&self, partial: &mut Folds<K, V>, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        partial.ids.clear();
        partial.groups.ids(&pairs.members.0, &mut partial.ids)?;
        for (row, &id) in partial.ids.iter().enumerate() {
            let value = pairs.members.1.get(row);
            // Ids are dense and in order of first appearance: a new key's is the next one.
            match partial.values.get(id as usize) {
                Some(folded) => {
                    let folded = (self.reduce)(folded.to_ref(), value);
                    partial.values[id as usize] = folded;
                }
                None => partial.values.push(V::from_ref(value)),
            }
        }
        Ok(())
    }

    fn merge(&self, into: &mut Folds<K, V>, later: &mut Folds<K, V>) -> Result<()> {
        let mut keys = K::Columns::default();
        later.groups.keys(&mut keys);
        into.ids.clear();
        into.groups.ids(&keys, &mut into.ids)?;
        for (&id, later) in into.ids.iter().zip(later.values.drain(..)) {
            match into.values.get(id as usize) {
                Some(folded) => {
                    let folded = (self.reduce)(folded.to_ref(), later.to_ref());
                    into.values[id as usize] = folded;
                }
                None => into.values.push(later),
            }
        }
        Ok(())
    }

    fn emit(&self, partial: &mut Folds<K, V>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut pairs = reuse::<<(K, V) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns");
        partial.groups.keys(&mut columns.members.0);
        for value in partial.values.drain(..) {
            columns.members.1.push_owned(value);
        }
        Ok(pairs)
    }

    fn clear(&self, partial: &mut Folds<K, V>) {
        partial.groups.clear();
        partial.values.clear();
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn is_vectorised(&self) -> bool {
        false
    }
}
