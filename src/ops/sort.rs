//! Rows in order, all of them or the greatest ones: chunks are sorted apart, and then merged.
//!
//! Rows that tie stay in the order of their arrival, so that any number of threads gives the same.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Operator, reuse};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::{Columns, Record};

/// Rows taken in at least before [`Top`] sorts its candidates again.
const CANDIDATES_MIN: usize = 64;

/// What compares rows, and what the engine has to know of it.
pub(crate) struct Order<F> {
    pub(crate) compare: F,
    /// Whether rows that tie may differ, so that their order shows.
    pub(crate) ties_show: bool,
    /// Whether it is a closure of the program.
    pub(crate) is_closure: bool,
}

/// All rows, the least first.
pub(crate) struct Sort<T, F> {
    order: Order<F>,
    record: PhantomData<fn(T) -> T>,
}

/// The so many greatest rows, the greatest first.
pub(crate) struct Top<T, F> {
    rows_max: usize,
    order: Order<F>,
    record: PhantomData<fn(T) -> T>,
}

/// A chunk, and its rows in order.
pub(crate) struct SortedChunk {
    chunk: AnyChunk,
    rows: Vec<u32>,
}

/// The rows that may be among the greatest.
pub(crate) struct Candidates<T: Record> {
    /// Once it was cut, the greatest so far, the greatest first; then what came later.
    rows: T::Columns,
    /// Whether rows were left out, so that the first ones are a bar to others.
    was_cut: bool,
}

impl<T: Record, F> Sort<T, F> {
    pub(crate) fn new(order: Order<F>) -> Self {
        Sort { order, record: PhantomData }
    }
}

impl<T, F> Operator for Sort<T, F>
where
    T: Record,
    F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> Ordering + Send + Sync + 'static,
{
    type Partial = Vec<SortedChunk>;

    fn partial(&self) -> Vec<SortedChunk> {
        Vec::new()
    }

    fn push(&self, partial: &mut Vec<SortedChunk>, chunk: &AnyChunk) -> Result<()> {
        let all = columns::<T>(chunk);
        // Each row is looked up once, and not at each comparison.
        let mut rows: Vec<(T::Ref<'_>, u32)> =
            (0..all.len()).map(|row| (all.get(row), row as u32)).collect();
        rows.sort_by(|(a, _), (b, _)| (self.order.compare)(*a, *b));
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        partial.push(SortedChunk { chunk: chunk.clone(), rows });
        Ok(())
    }

    fn merge(&self, into: &mut Vec<SortedChunk>, later: &mut Vec<SortedChunk>) -> Result<()> {
        into.append(later);
        Ok(())
    }

    fn emit(&self, partial: &mut Vec<SortedChunk>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        // Into memory of its own: what was emitted stays until the next batch, and would keep a
        // source's blocks from it.
        let mut sorted = reuse::<T::Columns>(last);
        let rows = Arc::get_mut(&mut sorted).expect("reuse() gives unshared columns");
        let mut all: Vec<T::Ref<'_>> = Vec::new();
        for run in &*partial {
            let chunk = columns::<T>(&run.chunk);
            all.extend(run.rows.iter().map(|&row| chunk.get(row as usize)));
        }
        if partial.len() > 1 {
            // The standard library's sort finds the runs, and merges them.
            all.sort_by(|a, b| (self.order.compare)(*a, *b));
        }
        all.into_iter().for_each(|row| rows.push(row));
        Ok(sorted)
    }

    fn clear(&self, partial: &mut Vec<SortedChunk>) {
        partial.clear();
    }

    fn held_bytes(&self, partial: &mut Vec<SortedChunk>) -> usize {
        // There are few: each chunk has a partial until they are merged.
        partial.iter().map(|run| run.chunk.held_bytes() + size_of_val(&*run.rows)).sum()
    }

    fn is_ordered(&self) -> bool {
        // A chunk is sorted by itself, so each has a partial.
        true
    }

    fn is_vectorised(&self) -> bool {
        !self.order.is_closure
    }
}

impl<T, F> Top<T, F>
where
    T: Record,
    F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> Ordering,
{
    pub(crate) fn new(rows_max: usize, order: Order<F>) -> Self {
        Top { rows_max, order, record: PhantomData }
    }

    fn add_all(&self, candidates: &mut Candidates<T>, more: &T::Columns) {
        let Some(bar) = self.rows_max.checked_sub(1) else { return };
        let enough = self.rows_max.saturating_add(self.rows_max.max(CANDIDATES_MIN));
        let Candidates { rows, was_cut } = candidates;
        for row in 0..more.len() {
            if *was_cut && (self.order.compare)(more.get(row), rows.get(bar)).is_le() {
                continue;
            }
            rows.push(more.get(row));
            if rows.len() >= enough {
                *rows = rows.gather(&self.greatest(rows));
                *was_cut = true;
            }
        }
    }

    /// The positions of the greatest rows, the greatest first.
    fn greatest(&self, rows: &T::Columns) -> Vec<u32> {
        let mut greatest: Vec<u32> = (0..rows.len() as u32).collect();
        greatest.sort_by(|&a, &b| (self.order.compare)(rows.get(b as usize), rows.get(a as usize)));
        greatest.truncate(self.rows_max);
        greatest
    }
}

impl<T, F> Operator for Top<T, F>
where
    T: Record,
    F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> Ordering + Send + Sync + 'static,
{
    type Partial = Candidates<T>;

    fn partial(&self) -> Candidates<T> {
        Candidates { rows: T::Columns::default(), was_cut: false }
    }

    fn push(&self, partial: &mut Candidates<T>, chunk: &AnyChunk) -> Result<()> {
        self.add_all(partial, columns::<T>(chunk));
        Ok(())
    }

    fn merge(&self, into: &mut Candidates<T>, later: &mut Candidates<T>) -> Result<()> {
        self.add_all(into, &later.rows);
        Ok(())
    }

    fn emit(&self, partial: &mut Candidates<T>, last: Option<AnyChunk>) -> Result<AnyChunk> {
        let mut top = reuse::<T::Columns>(last);
        let rows = Arc::get_mut(&mut top).expect("reuse() gives unshared columns");
        let greatest = self.greatest(&partial.rows);
        greatest.iter().for_each(|&row| rows.push(partial.rows.get(row as usize)));
        Ok(top)
    }

    fn clear(&self, partial: &mut Candidates<T>) {
        partial.rows.clear();
        partial.was_cut = false;
    }

    fn held_bytes(&self, partial: &mut Candidates<T>) -> usize {
        partial.rows.byte_len()
    }

    fn is_ordered(&self) -> bool {
        self.order.ties_show
    }

    fn is_vectorised(&self) -> bool {
        !self.order.is_closure
    }
}
