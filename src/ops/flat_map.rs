//! flatMap: each row emits any number of rows into the next column, without a vector in between.

use std::fmt;
use std::marker::PhantomData;

use super::Narrow;
use crate::error::Result;
use crate::record::batch::{AnyChunk, columns};
use crate::record::recycled::{Recycled, own};
use crate::record::{Columns, Record};

/// Where a `flat_map` closure puts its rows.
pub struct Emitter<'a, U: Record> {
    columns: &'a mut U::Columns,
}

impl<'a, U: Record> Emitter<'a, U> {
    pub(super) fn new(columns: &'a mut U::Columns) -> Self {
        Emitter { columns }
    }

    /// Emits a row given by reference: `out.push("word")`.
    pub fn push(&mut self, row: U::Ref<'_>) {
        self.columns.push(row);
    }

    /// Emits a row given by value.
    pub fn push_owned(&mut self, row: U) {
        self.columns.push_owned(row);
    }
}

impl<U: Record> fmt::Debug for Emitter<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emitter({} rows)", self.columns.len())
    }
}

pub(crate) struct FlatMap<T, U, F>(F, PhantomData<fn(T) -> U>);

impl<T: Record, U: Record, F: Fn(T::Ref<'_>, &mut Emitter<'_, U>)> FlatMap<T, U, F> {
    pub(crate) fn new(f: F) -> Self {
        FlatMap(f, PhantomData)
    }
}

impl<T, U, F> Narrow for FlatMap<T, U, F>
where
    T: Record,
    U: Record,
    F: Fn(T::Ref<'_>, &mut Emitter<'_, U>) + Send + Sync + 'static,
{
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<T>(chunk);
        let mut emitted = recycled.take::<U::Columns>();
        let columns = own(&mut emitted);
        let mut out = Emitter { columns };
        for row in 0..rows.len() {
            self.0(rows.get(row), &mut out);
        }
        columns.freeze();
        Ok(recycled.lend(emitted))
    }
}

pub(crate) struct FlatMapValues<K, V, U, F>(F, PhantomData<fn(K, V) -> U>);

impl<K, V, U, F> FlatMapValues<K, V, U, F>
where
    K: Record,
    V: Record,
    U: Record,
    F: Fn(V::Ref<'_>, &mut Emitter<'_, U>),
{
    pub(crate) fn new(f: F) -> Self {
        FlatMapValues(f, PhantomData)
    }
}

impl<K, V, U, F> Narrow for FlatMapValues<K, V, U, F>
where
    K: Record,
    V: Record,
    U: Record,
    F: Fn(V::Ref<'_>, &mut Emitter<'_, U>) + Send + Sync + 'static,
{
    fn apply(&self, chunk: &AnyChunk, recycled: &mut Recycled) -> Result<AnyChunk> {
        let rows = columns::<(K, V)>(chunk);
        let mut emitted = recycled.take::<<(K, U) as Record>::Columns>();
        let out = own(&mut emitted);
        for row in 0..rows.len() {
            let (key, value) = rows.get(row);
            self.0(value, &mut Emitter { columns: &mut out.members.1 });
            // The key stands beside each value that its row emitted.
            while out.members.0.len() < out.members.1.len() {
                out.members.0.push(key);
            }
        }
        out.freeze();
        Ok(recycled.lend(emitted))
    }
}
