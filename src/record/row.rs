//! `Row<T>`: any Rust value in a stream, kept row by row. No kernel runs on it; everything works.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::{ColumnKeys, Columns, HashGroups, Key, Ordered, Record, Show};

/// A value that the engine keeps as it is, without columns.
///
/// For types that are no record of their own: structs, enums, maps. It needs no trait of this
/// crate; `Debug` lets it be printed, `Hash` and `Eq` make it a key. Where bytes are counted, a
/// value counts as its own size, without what it owns elsewhere.
///
/// Checkpoints cannot hold it: what they are to hold derives
/// [`Record`](derive@crate::Record), or is a [`Saved<T>`](crate::Saved).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row<T>(pub T);

/// A column of [`Row`]s: a vector.
#[derive(Debug)]
pub struct RowColumn<T> {
    values: Vec<Row<T>>,
}

/// Makes a struct around a value a record, with a vector of them for its columns.
macro_rules! whole_values {
    ($row:ident, $column:ident, ($($bounds:tt)+) $(, $saving:item)*) => {
        impl<T> Default for $column<T> {
            fn default() -> Self {
                $column { values: Vec::new() }
            }
        }

        impl<T: $($bounds)+> Record for $row<T> {
            type Ref<'a> = &'a T;
            type Columns = $column<T>;

            fn to_ref(&self) -> &T {
                &self.0
            }

            fn from_ref(row: &T) -> $row<T> {
                $row(row.clone())
            }

            $($saving)*
        }

        impl<T: $($bounds)+> Columns for $column<T> {
            type Record = $row<T>;

            fn len(&self) -> usize {
                self.values.len()
            }

            fn get(&self, row: usize) -> &T {
                &self.values[row].0
            }

            fn push(&mut self, row: &T) {
                self.values.push($row(row.clone()));
            }

            fn push_owned(&mut self, value: $row<T>) {
                self.values.push(value);
            }

            fn append(&mut self, other: &Self) {
                self.values.extend_from_slice(&other.values);
            }

            fn gather(&self, rows: &[u32]) -> Self {
                let values = rows.iter().map(|&row| self.values[row as usize].clone());
                $column { values: values.collect() }
            }

            fn clear(&mut self) {
                self.values.clear();
            }

            fn byte_len(&self) -> usize {
                size_of::<T>() * self.values.len()
            }
        }

        impl<T: Hash + Eq + $($bounds)+> Key for $row<T> {
            type Groups = HashGroups<$row<T>>;
            type Store = ColumnKeys<$row<T>>;

            fn hash_ref<H: Hasher>(key: &T, state: &mut H) {
                key.hash(state);
            }

            fn same(left: &T, right: &T) -> bool {
                left == right
            }
        }

        impl<T: Ord + $($bounds)+> Ordered for $row<T> {
            const TIES_SHOW: bool = true;

            fn order(left: &T, right: &T) -> Ordering {
                left.cmp(right)
            }
        }

        impl<T: fmt::Debug + $($bounds)+> Show for $row<T> {
            fn show(row: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(row, f)
            }
        }
    };
}

pub(super) use whole_values;

whole_values!(Row, RowColumn, (Clone + Send + Sync + 'static));
