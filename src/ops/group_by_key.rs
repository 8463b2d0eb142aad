//! groupByKey: all values of each key in the order of their arrival, by a counting sort over ids.
//!
//! Where the next operator brings equal keys together itself, and most keys of a batch come once,
//! rows go through as they are: a table of the batch's keys would be made for little. That a stage
//! of partial groups is left out where it joins few rows is known from databases ("adaptive partial
//! aggregation", in Presto and others).

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Groups, Key, ListColumn, Record};

pub(crate) struct GroupByKey<K, V> {
    keys_max: usize,
    /// Whether rows may go through as they are, which is the next operator's to say; without it
    /// they never do.
    goes_through: Option<Arc<AtomicBool>>,
    pair: PhantomData<fn(K, V)>,
}

pub(crate) struct Grouped<K: Key, V: Record> {
    groups: K::Groups,
    /// The values as they came, and the id of each one's key.
    values: V::Columns,
    ids: Vec<u32>,
    /// The keys as they came, where rows go through; there are no groups and no ids then.
    keys: K::Columns,
}

impl<K: Key, V: Record> Grouped<K, V> {
    fn goes_through(&self) -> bool {
        self.keys.len() > 0
    }
}

impl<K: Key, V: Record> GroupByKey<K, V> {
    pub(crate) fn new(keys_max: usize) -> Self {
        GroupByKey { keys_max, goes_through: None, pair: PhantomData }
    }

    /// One whose keys may come several times in a batch, where `goes_through` says so.
    pub(crate) fn loose(keys_max: usize, goes_through: Arc<AtomicBool>) -> Self {
        GroupByKey { keys_max, goes_through: Some(goes_through), pair: PhantomData }
    }
}

impl<K: Key, V: Record> Operator for GroupByKey<K, V> {
    type Partial = Grouped<K, V>;

    fn partial(&self) -> Grouped<K, V> {
        let groups = K::Groups::new(self.keys_max);
        let (keys, values) = (K::Columns::default(), V::Columns::default());
        Grouped { groups, values, ids: Vec::new(), keys }
    }

    fn push(&self, partial: &mut Grouped<K, V>, chunk: &AnyChunk) -> Result<()> {
        let (keys, values) = &columns::<(K, V)>(chunk).members;
        if self.goes_through.as_ref().is_some_and(|it| it.load(Ordering::Relaxed)) {
            partial.keys.append(keys);
        } else {
            partial.groups.ids(keys, &mut partial.ids)?;
        }
        partial.values.append(values);
        Ok(())
    }

    fn merge(&self, into: &mut Grouped<K, V>, later: &mut Grouped<K, V>) -> Result<()> {
        let (mut keys, mut ids) = (K::Columns::default(), Vec::new());
        later.groups.keys(&mut keys);
        into.groups.ids(&keys, &mut ids)?;
        into.ids.extend(later.ids.iter().map(|&id| ids[id as usize]));
        into.keys.append(&later.keys);
        into.values.append(&later.values);
        Ok(())
    }

    fn emit(&self, partial: &mut Grouped<K, V>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut groups = reuse::<<(K, Vec<V>) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut groups).expect("reuse() gives unshared columns");
        let (keys, lists) = &mut columns.members;
        if partial.goes_through() {
            // The batch before it decides, which has ended when it begins.
            assert!(partial.ids.is_empty(), "all rows of a batch go through, or none does");
            std::mem::swap(keys, &mut partial.keys);
            lists.push_each(&partial.values);
        } else {
            partial.groups.keys(keys);
            push_grouped(lists, &partial.values, &partial.ids, partial.groups.len());
        }
        Ok(groups)
    }

    fn clear(&self, partial: &mut Grouped<K, V>) {
        partial.groups.clear();
        partial.values.clear();
        partial.ids.clear();
        partial.keys.clear();
    }

    fn held_bytes(&self, partial: &mut Grouped<K, V>) -> usize {
        let rows = partial.keys.byte_len() + partial.values.byte_len();
        partial.groups.byte_len() + size_of_val(&*partial.ids) + rows
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

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::record::Batch;

    /// What was said before each chunk, and from which chunk on there is another partial.
    fn grouped(said: &[bool], second: usize) -> Vec<(String, Vec<i64>)> {
        let goes_through: Arc<AtomicBool> = Arc::default();
        let operator = GroupByKey::<String, i64>::loose(100, goes_through.clone());
        let mut partials = [operator.partial(), operator.partial()];
        let mut last = None;
        // Twice, with the memory of the first time.
        for _ in 0..2 {
            for (number, &said) in said.iter().enumerate() {
                goes_through.store(said, Ordering::Relaxed);
                let pairs = (0..4).map(|row| (format!("k{}", row % 3), (4 * number + row) as i64));
                let chunks = pairs.collect::<Batch<(String, i64)>>().into_chunks();
                let partial = &mut partials[usize::from(number >= second)];
                chunks.iter().for_each(|chunk| operator.push(partial, chunk).unwrap());
            }
            let [into, later] = &mut partials;
            operator.merge(into, later).unwrap();
            last = Some(operator.emit(into, last).unwrap());
            partials.iter_mut().for_each(|partial| operator.clear(partial));
        }
        let chunk = last.expect("it gives one chunk");
        let lists = columns::<(String, Vec<i64>)>(&chunk);
        (0..lists.len()).map(|row| <(String, Vec<i64>)>::from_ref(lists.get(row))).collect()
    }

    #[test]
    fn rows_go_through_or_are_grouped() {
        let whole = |chunks: i64| -> Vec<(String, Vec<i64>)> {
            let of = |key: i64| (0..4 * chunks).filter(move |value| value % 4 % 3 == key);
            (0..3).map(|key| (format!("k{key}"), of(key).collect())).collect()
        };
        let rows = |chunks: i64| -> Vec<(String, Vec<i64>)> {
            let row = |value| (format!("k{}", value % 4 % 3), vec![value]);
            (0..4 * chunks).map(row).collect()
        };
        for second in 0..=3 {
            assert_eq!(grouped(&[false; 3], second), whole(3));
            assert_eq!(grouped(&[true; 3], second), rows(3));
            // That there is no such batch is not taken on trust.
            for said in [[true, false, false], [false, false, true]] {
                assert!(catch_unwind(|| grouped(&said, second)).is_err());
            }
        }
    }
}
