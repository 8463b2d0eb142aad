//! countByValue for any key: dense ids, and a count for each.

use std::sync::Arc;

use tidemill_kernels::grouped;

use super::{Operator, reuse};
use crate::error::{Error, ErrorKind, Result};
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Groups, Key, Record};

pub(crate) struct CountByValue<K> {
    keys_max: usize,
    /// What one occurrence adds.
    weight: i64,
    key: std::marker::PhantomData<fn(K)>,
}

pub(crate) struct Counts<K: Key> {
    groups: K::Groups,
    counts: Vec<i64>,
    // Scratch.
    ids: Vec<u32>,
}

impl<K: Key> CountByValue<K> {
    pub(crate) fn new(keys_max: usize, weight: i64) -> Self {
        CountByValue { keys_max, weight, key: std::marker::PhantomData }
    }
}

impl<K: Key> Operator for CountByValue<K> {
    type Partial = Counts<K>;

    fn partial(&self) -> Counts<K> {
        Counts { groups: K::Groups::new(self.keys_max), counts: Vec::new(), ids: Vec::new() }
    }

    fn push(&self, partial: &mut Counts<K>, chunk: &AnyChunk) -> Result<()> {
        partial.ids.clear();
        partial.groups.ids(columns::<K>(chunk), &mut partial.ids)?;
        partial.counts.resize(partial.groups.len(), 0);
        grouped::count(&mut partial.counts, &partial.ids);
        Ok(())
    }

    fn merge(&self, into: &mut Counts<K>, later: &mut Counts<K>) -> Result<()> {
        let mut keys = K::Columns::default();
        later.groups.keys(&mut keys);
        into.ids.clear();
        into.groups.ids(&keys, &mut into.ids)?;
        into.counts.resize(into.groups.len(), 0);
        // Counts of rows in memory do not overflow an i64.
        let _ = grouped::add_i64(&mut into.counts, &into.ids, &later.counts);
        Ok(())
    }

    fn emit(&self, partial: &mut Counts<K>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut pairs = reuse::<<(K, i64) as Record>::Columns>(last);
        let columns = Arc::get_mut(&mut pairs).expect("reuse() gives unshared columns");
        partial.groups.keys(&mut columns.members.0);
        let counts = columns.members.1.values_mut();
        counts.extend_from_slice(&partial.counts);
        weigh(counts, self.weight)?;
        Ok(pairs)
    }

    fn clear(&self, partial: &mut Counts<K>) {
        partial.groups.clear();
        partial.counts.clear();
    }

    fn held_bytes(&self, partial: &mut Counts<K>) -> usize {
        partial.groups.byte_len() + size_of_val(&*partial.counts) + size_of_val(&*partial.ids)
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn is_vectorised(&self) -> bool {
        true
    }
}

/// Counts times the weight: the sum by key of a constant.
pub(super) fn weigh(counts: &mut [i64], weight: i64) -> Result<()> {
    if weight == 1 {
        return Ok(());
    }
    for count in counts {
        *count = count.checked_mul(weight).ok_or_else(|| {
            let message = format!("{count} times {weight} does not fit an i64");
            Error::new(ErrorKind::Overflow, message)
        })?;
    }
    Ok(())
}
