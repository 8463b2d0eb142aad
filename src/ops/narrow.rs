//! Row by row: map, filter, pairs, and the splitting kernels.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_kernels::Split;

use super::{Narrow, Step};
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::recycled::{Recycled, own};
use crate::record::{Column, Columns, Record, TextColumn};

pub(crate) struct Map<T, U, F>(F, PhantomData<fn(T) -> U>);

impl<T: Record, U: Record, F: Fn(T::Ref<'_>) -> U> Map<T, U, F> {
    pub(crate) fn new(f: F) -> Self {
        Map(f, PhantomData)
    }
}

impl<T, U, F> Narrow for Map<T, U, F>
where
    T: Record,
    U: Record,
    F: Fn(T::Ref<'_>) -> U + Send + Sync + 'static,
{
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<T>(chunk);
        let mut mapped = recycled.take::<U::Columns>();
        let out = own(&mut mapped);
        for row in 0..rows.len() {
            out.push_owned(self.0(rows.get(row)));
        }
        out.freeze();
        Ok(recycled.lend(mapped))
    }
}

pub(crate) struct MapValues<K, V, U, F>(F, PhantomData<fn(K, V) -> U>);

impl<K: Record, V: Record, U: Record, F: Fn(V::Ref<'_>) -> U> MapValues<K, V, U, F> {
    pub(crate) fn new(f: F) -> Self {
        MapValues(f, PhantomData)
    }
}

impl<K, V, U, F> Narrow for MapValues<K, V, U, F>
where
    K: Record,
    V: Record,
    U: Record,
    F: Fn(V::Ref<'_>) -> U + Send + Sync + 'static,
{
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<(K, V)>(chunk);
        let mut mapped = recycled.take::<<(K, U) as Record>::Columns>();
        let out = own(&mut mapped);
        for row in 0..rows.len() {
            let (key, value) = rows.get(row);
            out.members.0.push(key);
            out.members.1.push_owned(self.0(value));
        }
        out.freeze();
        Ok(recycled.lend(mapped))
    }
}

pub(crate) struct Filter<T, F>(F, PhantomData<fn(T)>);

impl<T: Record, F: Fn(T::Ref<'_>) -> bool> Filter<T, F> {
    pub(crate) fn new(f: F) -> Self {
        Filter(f, PhantomData)
    }
}

impl<T, F> Narrow for Filter<T, F>
where
    T: Record,
    F: Fn(T::Ref<'_>) -> bool + Send + Sync + 'static,
{
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<T>(chunk);
        let kept = |&row: &u32| self.0(rows.get(row as usize));
        let kept: Vec<u32> = (0..rows.len() as u32).filter(kept).collect();
        if kept.len() == rows.len() {
            return Ok(chunk.clone());
        }
        let mut gathered = rows.gather(&kept);
        gathered.freeze();
        Ok(recycled.lend(Arc::new(gathered)))
    }
}

/// Lines into words, by a kernel.
pub(crate) struct SplitText(pub(crate) Split);

impl Narrow for SplitText {
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let text: &TextColumn = columns::<String>(chunk);
        let mut pieces = recycled.take::<TextColumn>();
        text.split(self.0, own(&mut pieces));
        Ok(recycled.lend(pieces))
    }

    fn step(&self) -> Step {
        Step::Split(self.0)
    }
}

/// Two fields of every row, as a key and its value.
pub(crate) struct Pairs<R: Record, K: Record, V: Record> {
    pub(crate) key: Column<R, K>,
    pub(crate) value: Column<R, V>,
}

impl<R: Record, K: Record, V: Record> Narrow for Pairs<R, K, V> {
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<R>(chunk);
        let mut pairs = recycled.take::<<(K, V) as Record>::Columns>();
        let out = own(&mut pairs);
        out.members.0.copy_from(self.key.of(rows));
        out.members.1.copy_from(self.value.of(rows));
        out.freeze();
        Ok(recycled.lend(pairs))
    }

    fn step(&self) -> Step {
        Step::Named
    }
}

/// Every row as the key of one and the same value.
pub(crate) struct PairWith<T, V>(V, PhantomData<fn(T)>);

impl<T: Record, V: Record> PairWith<T, V> {
    pub(crate) fn new(value: V) -> Self {
        PairWith(value, PhantomData)
    }
}

impl<T: Record, V: Record> Narrow for PairWith<T, V> {
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<T>(chunk);
        let mut pairs = recycled.take::<<(T, V) as Record>::Columns>();
        let out = own(&mut pairs);
        out.members.0.copy_from(rows);
        for _ in 0..rows.len() {
            out.members.1.push(self.0.to_ref());
        }
        out.freeze();
        Ok(recycled.lend(pairs))
    }

    fn step(&self) -> Step {
        Step::PairWith((&self.0 as &dyn std::any::Any).downcast_ref().copied())
    }
}
