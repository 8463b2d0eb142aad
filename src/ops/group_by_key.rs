//! groupByKey: all values of each key in the order of their arrival, by a counting sort over ids.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, ListColumn, Record};

pub(crate) struct GroupByKey<K, V> {
    keys_max: usize,
    pair: PhantomData<fn(K, V)>,
}

pub(crate) struct Grouped<K: Key, V: Record> {
    groups: K::Groups,
    /// The values as they came, and the id of each one's key.
    values: V::Columns,
    ids: Vec<u32>,
}

impl<K: Key, V: Record> GroupByKey<K, V> {
    pub(crate) fn new(keys_max: usize) -> Self {
        GroupByKey { keys_max, pair: PhantomData }
    }
}

impl<K: Key, V: Record> Operator for GroupByKey<K, V> {
    type Partial = Grouped<K, V>;

    fn partial(&self) -> Grouped<K, V> {
        let groups = K::Groups::new(self.keys_max);
        Grouped { groups, values: V::Columns::default(), ids: Vec::new() }
    }

    fn push(&self, partial: &mut Grouped<K, V>, chunk: &AnyChunk) -> Result<()> {
        let pairs = columns::<(K, V)>(chunk);
        partial.groups.ids(&pairs.members.0, &mut partial.ids)?;
        partial.values.append(&pairs.members.1);
        Ok(())
    }

    fn merge(&self, into: &mut Grouped<K, V>, later: &mut Grouped<K, V>) -> Result<()> {
        let (mut keys, mut ids) = (K::Columns::default(), Vec::new());
        later.groups.keys(&mut keys);
        into.groups.ids(&keys, &mut ids)?;
        into.ids.extend(later.ids.iter().map(|&id| ids[id as usize]));
        into.values.append(&later.values);
        Ok(())
    }

    fn emit(&self, partial: &mut Grouped<K, V>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut groups = reuse::<<(K, Vec<V>) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut groups).expect("reuse() gives unshared columns");
        partial.groups.keys(&mut columns.members.0);
        let count = partial.groups.len();
        push_grouped(&mut columns.members.1, &partial.values, &partial.ids, count);
        Ok(groups)
    }

    fn clear(&self, partial: &mut Grouped<K, V>) {
        partial.groups.clear();
        partial.values.clear();
        partial.ids.clear();
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn is_vectorised(&self) -> bool {
        true
    }
}

/// Appends a list for each of `count` ids: the values whose id it is, in their order.
pub(super) fn push_grouped<V: Record>(
    lists: &mut ListColumn<V>,
    values: &V::Columns,
    ids: &[u32],
    count: usize,
) {
    // Where each id's rows begin; then the rows, each moving its id's place on by one.
    let mut ends = vec![0u32; count + 1];
    for &id in ids {
        ends[id as usize + 1] += 1;
    }
    for id in 1..ends.len() {
        ends[id] += ends[id - 1];
    }
    let mut rows = vec![0u32; ids.len()];
    for (row, &id) in ids.iter().enumerate() {
        rows[ends[id as usize] as usize] = row as u32;
        ends[id as usize] += 1;
    }
    lists.push_lists(values, &rows, &ends[..count]);
}
