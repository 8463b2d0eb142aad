//! `Row<T>`: any Rust value in a stream, kept row by row. No kernel runs on it; everything works.

use super::{Columns, Record};

/// A value that the engine keeps as it is, without columns.
///
/// For types that are no record of their own: structs, enums, maps. It needs no trait of this
/// crate; `Debug` lets it be printed, `Hash` and `Eq` make it a key. Where bytes are counted, a
/// value counts as its own size, without what it owns elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row<T>(pub T);

/// A column of [`Row`]s: a vector.
#[derive(Debug)]
pub struct RowColumn<T> {
    values: Vec<Row<T>>,
}

impl<T> Default for RowColumn<T> {
    fn default() -> Self {
        RowColumn { values: Vec::new() }
    }
}

impl<T: Clone + Send + Sync + 'static> Record for Row<T> {
    type Ref<'a> = &'a T;
    type Columns = RowColumn<T>;

    fn to_ref(&self) -> &T {
        &self.0
    }

    fn from_ref(row: &T) -> Row<T> {
        Row(row.clone())
    }
}

impl<T: Clone + Send + Sync + 'static> Columns for RowColumn<T> {
    type Record = Row<T>;

    fn len(&self) -> usize {
        self.values.len()
    }

    fn get(&self, row: usize) -> &T {
        &self.values[row].0
    }

    fn push(&mut self, row: &T) {
        self.values.push(Row(row.clone()));
    }

    fn push_owned(&mut self, value: Row<T>) {
        self.values.push(value);
    }

    fn append(&mut self, other: &Self) {
        self.values.extend_from_slice(&other.values);
    }

    fn gather(&self, rows: &[u32]) -> Self {
        RowColumn { values: rows.iter().map(|&row| self.values[row as usize].clone()).collect() }
    }

    fn clear(&mut self) {
        self.values.clear();
    }

    fn byte_len(&self) -> usize {
        size_of::<T>() * self.values.len()
    }
}
