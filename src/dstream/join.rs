//! Two streams of pairs, brought together by key within each batch.

use std::sync::Arc;

use super::DStream;
use crate::ops::{AnyOperator, Cogroup, JoinSides, Lookup, Needed, Optional, Side};
use crate::plan::Kind;
use crate::record::batch::AnyChunk;
use crate::record::{Columns, Key, List, Record};

impl<K: Key, V: Record> DStream<(K, V)> {
    /// For each key of this stream's batch or of the other's, the values that it has here and
    /// there, each in the order of their arrival.
    ///
    /// Only batches of the same time meet; to join over time, window both streams first. A batch
    /// fails if one of the two has none for its time. Streams of two contexts, or with different
    /// slides, cannot be brought together: `start` says so.
    pub fn cogroup<W: Record>(&self, other: &DStream<(K, W)>) -> DStream<(K, (Vec<V>, Vec<W>))> {
        let operator = AnyOperator::new(Cogroup::<K, V, W>::new(self.keys_max()));
        self.combine("cogroup", [other], Kind::Wide(operator))
    }

    /// Each pair of a value here and a value there that have the same key, batch by batch.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let (clicks, users) = (t.input::<(i64, String)>(), t.input::<(i64, String)>());
    /// let joined = clicks.stream().join(users.stream());
    /// # let joined = t.output(&joined);
    /// # clicks.push([(1, "/home".to_string()), (2, "/help".to_string())])?;
    /// # users.push([(1, "ada".to_string())])?;
    /// # t.tick()?;
    /// # assert_eq!(joined.take(), [(1, ("/home".to_string(), "ada".to_string()))]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// A batch fails that would give more rows than
    /// [`Limits::joined_rows`](crate::Limits::joined_rows). As [`cogroup`](Self::cogroup) in all
    /// else.
    pub fn join<W: Record>(&self, other: &DStream<(K, W)>) -> DStream<(K, (V, W))> {
        self.join_as::<W, Needed, Needed>("join", other)
    }

    /// As [`join`](Self::join), and each value here without one there beside `None`.
    #[doc(alias = "leftOuterJoin")]
    pub fn left_outer_join<W: Record>(
        &self,
        other: &DStream<(K, W)>,
    ) -> DStream<(K, (V, Option<W>))> {
        self.join_as::<W, Needed, Optional>("left_outer_join", other)
    }

    /// As [`join`](Self::join), and each value there without one here beside `None`.
    #[doc(alias = "rightOuterJoin")]
    pub fn right_outer_join<W: Record>(
        &self,
        other: &DStream<(K, W)>,
    ) -> DStream<(K, (Option<V>, W))> {
        self.join_as::<W, Optional, Needed>("right_outer_join", other)
    }

    /// As [`join`](Self::join), and each value here or there without its like beside `None`.
    #[doc(alias = "fullOuterJoin")]
    pub fn full_outer_join<W: Record>(
        &self,
        other: &DStream<(K, W)>,
    ) -> DStream<(K, (Option<V>, Option<W>))> {
        self.join_as::<W, Optional, Optional>("full_outer_join", other)
    }

    /// Each pair of a value here and a row of the table that have the same key.
    ///
    /// The program may replace the table's rows at any time; a batch here sees one state of it. A
    /// batch fails if this stream has none for its time, or if a partition of it would give more
    /// rows than [`Limits::joined_rows`](crate::Limits::joined_rows).
    pub fn join_lookup<W: Record>(&self, lookup: &Lookup<K, W>) -> DStream<(K, (V, W))> {
        let (lookup, rows_max) = (lookup.clone(), self.rows_max());
        let f = move |batches: Vec<Vec<AnyChunk>>, _| {
            let index = lookup.current();
            let join = |chunk| {
                index.join::<V, (K, (V, W))>(chunk, rows_max, |joined, key, left, rows| {
                    rows.iter().for_each(|right| joined.push((key, (left, right))));
                })
            };
            batches[0].iter().map(join).collect()
        };
        self.derive("join_lookup", Kind::Transform(Arc::new(f)))
    }

    /// As [`join_lookup`](Self::join_lookup), and each value whose key is not in the table beside
    /// `None`.
    pub fn left_join_lookup<W: Record>(
        &self,
        lookup: &Lookup<K, W>,
    ) -> DStream<(K, (V, Option<W>))> {
        let (lookup, rows_max) = (lookup.clone(), self.rows_max());
        let f = move |batches: Vec<Vec<AnyChunk>>, _| {
            let index = lookup.current();
            let join = |chunk| {
                index.join::<V, (K, (V, Option<W>))>(chunk, rows_max, |joined, key, left, rows| {
                    or_none(rows).for_each(|right| joined.push((key, (left, right))));
                })
            };
            batches[0].iter().map(join).collect()
        };
        self.derive("left_join_lookup", Kind::Transform(Arc::new(f)))
    }

    fn rows_max(&self) -> usize {
        self.context().limits().joined_rows
    }

    fn join_as<W: Record, L: Side<V>, R: Side<W>>(
        &self,
        name: &str,
        other: &DStream<(K, W)>,
    ) -> DStream<(K, (L::Output, R::Output))> {
        let operator = AnyOperator::new(Cogroup::<K, V, W>::new(self.keys_max()));
        let sides: DStream<(K, (Vec<V>, Vec<W>))> =
            self.combine(name, [other], Kind::Wide(operator));
        sides.narrow("pairs", JoinSides::<K, V, W, L, R>::new(self.rows_max()))
    }
}

/// All items, or `None` once if there are none.
fn or_none<T: Record>(list: List<'_, T>) -> impl Iterator<Item = Option<T::Ref<'_>>> {
    let none = list.is_empty().then_some(None);
    list.iter().map(Some).chain(none)
}
