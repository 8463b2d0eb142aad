//! Joins: the pairs of each key's values on two sides, from what cogroup brought together.
//!
//! Rows are chosen by position first, and each column is then gathered at once: text shares its
//! bytes, so a key that joins a thousand times is there once.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Narrow;
use crate::config::check_joined;
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::recycled::Recycled;
use crate::record::{Columns, ListColumn, OptionColumn, Record, TupleColumns};

/// Stands for the value of a side that has none.
const ABSENT: u32 = u32::MAX;

/// Whether a side of a join may miss.
pub(crate) trait Side<V: Record>: Send + Sync + 'static {
    const MAY_MISS: bool;
    type Output: Record;

    /// The values at these positions, of which some may be [`ABSENT`] if the side may miss.
    fn gather(values: &V::Columns, rows: &[u32]) -> <Self::Output as Record>::Columns;
}

/// Both sides have to have the key.
pub(crate) struct Needed;

/// A key that the side does not have stands beside `None`.
pub(crate) struct Optional;

impl<V: Record> Side<V> for Needed {
    const MAY_MISS: bool = false;
    type Output = V;

    fn gather(values: &V::Columns, rows: &[u32]) -> V::Columns {
        values.gather(rows)
    }
}

impl<V: Record> Side<V> for Optional {
    const MAY_MISS: bool = true;
    type Output = Option<V>;

    fn gather(values: &V::Columns, rows: &[u32]) -> OptionColumn<V> {
        let present: Vec<u32> = rows.iter().copied().filter(|&row| row != ABSENT).collect();
        OptionColumn::new(values.gather(&present), rows.iter().map(|&row| row != ABSENT))
    }
}

/// The pairs of what a cogroup gave.
pub(crate) struct JoinSides<K, V, W, L, R> {
    rows_max: usize,
    sides: PhantomData<fn(K, V, W, L, R)>,
}

impl<K, V, W, L, R> JoinSides<K, V, W, L, R> {
    pub(crate) fn new(rows_max: usize) -> Self {
        JoinSides { rows_max, sides: PhantomData }
    }
}

impl<K, V, W, L, R> Narrow for JoinSides<K, V, W, L, R>
where
    K: Record,
    V: Record,
    W: Record,
    L: Side<V>,
    R: Side<W>,
{
    fn apply(&self, chunk: &AnyChunk, _: &mut Recycled) -> Result<AnyChunk> {
        let groups = columns::<(K, (Vec<V>, Vec<W>))>(chunk);
        let (keys, (left, right)) = (&groups.members.0, &groups.members.1.members);
        let of_side = |len: usize, may_miss: bool| if may_miss { len.max(1) } else { len };
        let of_group = |group| {
            let (left, right) = (left.row(group).1, right.row(group).1);
            of_side(left, L::MAY_MISS).saturating_mul(of_side(right, R::MAY_MISS))
        };
        let count = (0..keys.len()).map(of_group).fold(0usize, usize::saturating_add);
        check_joined(count, self.rows_max)?;
        let fresh = || Vec::with_capacity(count);
        let (mut of_key, mut of_left, mut of_right) = (fresh(), fresh(), fresh());
        for group in 0..keys.len() {
            for left in rows(left, group, L::MAY_MISS) {
                for right in rows(right, group, R::MAY_MISS) {
                    of_key.push(group as u32);
                    of_left.push(left);
                    of_right.push(right);
                }
            }
        }
        let values = TupleColumns {
            members: (L::gather(left.items(), &of_left), R::gather(right.items(), &of_right)),
        };
        let mut joined = TupleColumns { members: (keys.gather(&of_key), values) };
        joined.freeze();
        Ok(Arc::new(joined))
    }

    fn step(&self) -> super::Step {
        super::Step::Join
    }
}

/// The positions of a list's items, or the absent one if there are none and the side may miss.
fn rows<T: Record>(
    lists: &ListColumn<T>,
    row: usize,
    may_miss: bool,
) -> impl Iterator<Item = u32> + Clone {
    let range = lists.range(row);
    let absent = (range.is_empty() && may_miss).then_some(ABSENT);
    (range.start as u32..range.end as u32).chain(absent)
}
