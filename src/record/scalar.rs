//! Integers, floats, bool, timestamps and the unit: rows by value, a column is one vector.

use super::{Columns, Record, Timestamp};

/// A column of fixed-size values, one after another as in Arrow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalarColumn<T> {
    values: Vec<T>,
}

impl<T> ScalarColumn<T> {
    /// All values, for kernels.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The vector itself, for kernels that append.
    pub(crate) fn values_mut(&mut self) -> &mut Vec<T> {
        &mut self.values
    }
}

impl<T> From<Vec<T>> for ScalarColumn<T> {
    fn from(values: Vec<T>) -> Self {
        ScalarColumn { values }
    }
}

macro_rules! scalars {
    ($($scalar:ty),*) => {$(
        impl Record for $scalar {
            type Ref<'a> = $scalar;
            type Columns = ScalarColumn<$scalar>;

            fn to_ref(&self) -> $scalar {
                *self
            }

            fn from_ref(row: $scalar) -> $scalar {
                row
            }
        }

        impl Columns for ScalarColumn<$scalar> {
            type Record = $scalar;

            fn len(&self) -> usize {
                self.values.len()
            }

            fn get(&self, row: usize) -> $scalar {
                self.values[row]
            }

            fn push(&mut self, row: $scalar) {
                self.values.push(row);
            }

            fn append(&mut self, other: &Self) {
                self.values.extend_from_slice(&other.values);
            }

            fn gather(&self, rows: &[u32]) -> Self {
                rows.iter().map(|&row| self.values[row as usize]).collect::<Vec<_>>().into()
            }

            fn clear(&mut self) {
                self.values.clear();
            }

            fn byte_len(&self) -> usize {
                size_of_val(self.values.as_slice())
            }
        }
    )*};
}

// `u8` alone is no record, so that `Vec<u8>` can be bytes and not a list.
scalars!(i8, i16, i32, i64, u16, u32, u64, f32, f64, bool, (), Timestamp);
