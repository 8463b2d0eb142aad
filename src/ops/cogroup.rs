//! cogroup: all values of each key of two streams, each side in the order of its arrival. Joins are
//! made of it.

use std::marker::PhantomData;
use std::sync::Arc;

use super::group_by_key::push_grouped;
use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, Record};

pub(crate) struct Cogroup<K, V, W> {
    keys_max: usize,
    sides: PhantomData<fn(K, V, W)>,
}

pub(crate) struct Cogrouped<K: Key, V: Record, W: Record> {
    groups: K::Groups,
    left: Side<V>,
    right: Side<W>,
}

/// The values of one stream as they came, and the id of each one's key.
struct Side<V: Record> {
    values: V::Columns,
    ids: Vec<u32>,
}

impl<V: Record> Side<V> {
    fn new() -> Self {
        Side { values: V::Columns::default(), ids: Vec::new() }
    }

    fn append(&mut self, later: &Side<V>, new_ids: &[u32]) {
        self.ids.extend(later.ids.iter().map(|&id| new_ids[id as usize]));
        self.values.append(&later.values);
    }

    fn clear(&mut self) {
        self.values.clear();
        self.ids.clear();
    }

    fn held_bytes(&self) -> usize {
        self.values.byte_len() + size_of_val(&*self.ids)
    }
}

impl<K: Key, V: Record, W: Record> Cogroup<K, V, W> {
    pub(crate) fn new(keys_max: usize) -> Self {
        Cogroup { keys_max, sides: PhantomData }
    }
}

impl<K: Key, V: Record, W: Record> Operator for Cogroup<K, V, W> {
    type Partial = Cogrouped<K, V, W>;

    fn partial(&self) -> Self::Partial {
        let groups = K::Groups::new(self.keys_max);
        Cogrouped { groups, left: Side::new(), right: Side::new() }
    }

    fn push(&self, partial: &mut Self::Partial, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        partial.groups.ids(&pairs.members.0, &mut partial.left.ids)?;
        partial.left.values.append(&pairs.members.1);
        Ok(())
    }

    fn push_other(&self, partial: &mut Self::Partial, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, W)>(chunk);
        partial.groups.ids(&pairs.members.0, &mut partial.right.ids)?;
        partial.right.values.append(&pairs.members.1);
        Ok(())
    }

    fn merge(&self, into: &mut Self::Partial, later: &mut Self::Partial) -> Result<()> {
        let (mut keys, mut new_ids) = (K::Columns::default(), Vec::new());
        later.groups.keys(&mut keys);
        into.groups.ids(&keys, &mut new_ids)?;
        into.left.append(&later.left, &new_ids);
        into.right.append(&later.right, &new_ids);
        Ok(())
    }

    fn emit(&self, partial: &mut Self::Partial, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut groups = reuse::<<(K, (Vec<V>, Vec<W>)) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut groups).expect("reuse() gives unshared columns");
        let sides = &mut columns.members.1.members;
        partial.groups.keys(&mut columns.members.0);
        let count = partial.groups.len();
        push_grouped(&mut sides.0, &partial.left.values, &partial.left.ids, count);
        push_grouped(&mut sides.1, &partial.right.values, &partial.right.ids, count);
        // A join gathers rows of it without copying text.
        columns.freeze();
        Ok(groups)
    }

    fn clear(&self, partial: &mut Self::Partial) {
        partial.groups.clear();
        partial.left.clear();
        partial.right.clear();
    }

    fn held_bytes(&self, partial: &mut Self::Partial) -> usize {
        partial.groups.byte_len() + partial.left.held_bytes() + partial.right.held_bytes()
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn is_vectorised(&self) -> bool {
        true
    }

    fn needs_batch(&self) -> bool {
        true
    }
}
