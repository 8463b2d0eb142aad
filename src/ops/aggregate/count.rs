//! Counts: of all values, and of those that differ.

use std::fmt;

use hashbrown::HashTable;
use tidemill_kernels::grouped;

use super::{Aggregate, saves_record};
use crate::config::DISTINCT_VALUES_MAX;
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_varint, take_len};
use crate::record::{Columns, Key, Record, hash_of};

/// The number of values of each key.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Count;

/// How many different values each key has, exactly: a set of them is kept for each key.
///
/// A set holds up to 1 Mi values unless [`values_max`](Self::values_max) says otherwise; one more
/// fails the batch with [`ErrorKind::Limit`](crate::ErrorKind::Limit).
///
/// ```
/// # use tidemill::prelude::*;
/// use tidemill::DistinctCount;
///
/// # let mut t = TestContext::new()?;
/// # let visits = t.input::<(String, String)>();
/// let visitors = visits.stream().aggregate_by_key(DistinctCount::new().values_max(10_000));
/// # let visitors = t.output(&visitors);
/// # visits.push([("/", "ann"), ("/", "bob"), ("/", "ann")].map(|(a, b)| (a.into(), b.into())))?;
/// # t.tick()?;
/// # assert_eq!(visitors.take(), [("/".to_string(), 2)]);
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct DistinctCount {
    values_max: usize,
}

/// The different values of a key: what [`DistinctCount`] keeps for it.
pub struct DistinctValues<V: Record> {
    values: V::Columns,
    /// The positions of the values.
    table: HashTable<u32>,
}

impl<V: Record> Aggregate<V> for Count {
    type Partial = i64;
    type Output = i64;

    fn identity(&self) -> i64 {
        0
    }

    fn add(&self, partial: &mut i64, _: V::Ref<'_>) -> Result<()> {
        *partial += 1;
        Ok(())
    }

    fn merge(&self, into: &mut i64, later: &i64) -> Result<()> {
        *into += later;
        Ok(())
    }

    fn finish(&self, partial: &i64) -> Result<i64> {
        Ok(*partial)
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn unmerge(&self, from: &mut i64, first: &i64) -> Result<()> {
        *from -= first;
        Ok(())
    }

    fn add_rows(&self, partials: &mut [i64], ids: &[u32], _: &V::Columns) -> Result<()> {
        grouped::count(partials, ids);
        Ok(())
    }

    fn weight(&self, _: Option<i64>) -> Option<i64> {
        Some(1)
    }

    saves_record!(i64, Some("count".to_owned()));
}

impl DistinctCount {
    /// With the default maximum of values of a key.
    pub fn new() -> DistinctCount {
        DistinctCount { values_max: DISTINCT_VALUES_MAX }
    }

    /// With a maximum of one's own; past 2^32 - 1 there is no more room.
    pub fn values_max(self, values_max: usize) -> DistinctCount {
        DistinctCount { values_max: values_max.min(u32::MAX as usize) }
    }
}

impl Default for DistinctCount {
    fn default() -> DistinctCount {
        DistinctCount::new()
    }
}

impl<V: Key> Aggregate<V> for DistinctCount {
    type Partial = DistinctValues<V>;
    type Output = i64;

    fn identity(&self) -> DistinctValues<V> {
        DistinctValues { values: V::Columns::default(), table: HashTable::new() }
    }

    fn add(&self, partial: &mut DistinctValues<V>, value: V::Ref<'_>) -> Result<()> {
        let DistinctValues { values, table } = partial;
        let hash = hash_of::<V>(value);
        if table.find(hash, |&at| V::same(values.get(at as usize), value)).is_some() {
            return Ok(());
        }
        if values.len() >= self.values_max {
            let message = format!(
                "more distinct values of a key than the maximum of {} (DistinctCount::values_max)",
                self.values_max
            );
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let at = values.len() as u32;
        table.insert_unique(hash, at, |&at| hash_of::<V>(values.get(at as usize)));
        values.push(value);
        Ok(())
    }

    fn merge(&self, into: &mut DistinctValues<V>, later: &DistinctValues<V>) -> Result<()> {
        for at in 0..later.values.len() {
            self.add(into, later.values.get(at))?;
        }
        Ok(())
    }

    fn finish(&self, partial: &DistinctValues<V>) -> Result<i64> {
        Ok(partial.values.len() as i64)
    }

    fn byte_len(&self, partial: &DistinctValues<V>) -> usize {
        let table = partial.table.capacity() * (size_of::<u32>() + 1);
        size_of::<DistinctValues<V>>() + partial.values.byte_len() + table
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some(format!("distinct {}", V::saved_as()?))
    }

    fn save_partial(&self, partial: &DistinctValues<V>, out: &mut Vec<u8>) {
        push_varint(partial.values.len() as u64, out);
        (0..partial.values.len()).for_each(|at| V::save(partial.values.get(at), out));
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<DistinctValues<V>> {
        let mut partial = self.identity();
        for _ in 0..take_len(from)? {
            self.add(&mut partial, V::load(from)?.to_ref())?;
        }
        Ok(partial)
    }
}

impl<V: Record> Clone for DistinctValues<V> {
    fn clone(&self) -> Self {
        let mut values = V::Columns::default();
        for at in 0..self.values.len() {
            values.push(self.values.get(at));
        }
        DistinctValues { values, table: self.table.clone() }
    }
}

impl<V: Record> fmt::Debug for DistinctValues<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinctValues({})", self.values.len())
    }
}
