//! Integers, floats, bool, timestamps and the unit: rows by value, a column is one vector.

use tidemill_kernels::prefetch_row;

use super::saved::{
    push_signed, push_varint, take_byte, take_fixed, take_signed, take_varint, torn,
};
use super::{Columns, Record, Timestamp};
use crate::error::Result;

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
    ($($scalar:ty, $form:literal, $save:expr, $load:expr;)*) => {$(
        impl Record for $scalar {
            type Ref<'a> = $scalar;
            type Columns = ScalarColumn<$scalar>;

            #[inline]
            fn to_ref(&self) -> $scalar {
                *self
            }

            #[inline]
            fn from_ref(row: $scalar) -> $scalar {
                row
            }

            fn saved_as() -> Option<String> {
                Some($form.to_owned())
            }

            fn save(row: $scalar, out: &mut Vec<u8>) {
                let save: fn($scalar, &mut Vec<u8>) = $save;
                save(row, out);
            }

            fn load(from: &mut &[u8]) -> Result<$scalar> {
                let load: fn(&mut &[u8]) -> Result<$scalar> = $load;
                load(from)
            }
        }

        impl Columns for ScalarColumn<$scalar> {
            type Record = $scalar;

            fn len(&self) -> usize {
                self.values.len()
            }

            #[inline]
            fn get(&self, row: usize) -> $scalar {
                self.values[row]
            }

            #[inline]
            fn prefetch(&self, row: usize) {
                prefetch_row(&self.values, row);
            }

            #[inline]
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

/// What takes four bytes or more and is mostly small is saved in as few as do.
fn narrow<T: TryFrom<N>, N>(number: N) -> Result<T> {
    T::try_from(number).map_err(|_| torn())
}

/// A byte that says one of two things.
pub(super) fn take_bool(from: &mut &[u8]) -> Result<bool> {
    let byte = take_byte(from)?;
    if byte <= 1 { Ok(byte != 0) } else { Err(torn()) }
}

// `u8` alone is no record, so that `Vec<u8>` can be bytes and not a list.
scalars! {
    i8, "i8", |row, out| out.push(row as u8), |from| Ok(take_byte(from)? as i8);
    i16, "i16",
        |row, out| out.extend(row.to_le_bytes()), |from| take_fixed(from).map(i16::from_le_bytes);
    i32, "i32", |row, out| push_signed(row.into(), out), |from| narrow(take_signed(from)?);
    i64, "i64", push_signed, take_signed;
    u16, "u16",
        |row, out| out.extend(row.to_le_bytes()), |from| take_fixed(from).map(u16::from_le_bytes);
    u32, "u32", |row, out| push_varint(row.into(), out), |from| narrow(take_varint(from)?);
    u64, "u64", push_varint, take_varint;
    f32, "f32",
        |row, out| out.extend(row.to_le_bytes()), |from| take_fixed(from).map(f32::from_le_bytes);
    f64, "f64",
        |row, out| out.extend(row.to_le_bytes()), |from| take_fixed(from).map(f64::from_le_bytes);
    bool, "bool", |row, out| out.push(row.into()), take_bool;
    // A byte, so that there cannot be more rows than bytes.
    (), "()", |(), out| out.push(0), |from| take_fixed(from).and_then(|[byte]| match byte {
        0 => Ok(()),
        _ => Err(torn()),
    });
    Timestamp, "timestamp",
        |row, out| out.extend(row.nanos().to_le_bytes()),
        |from| take_fixed(from).map(|bytes| Timestamp::from_nanos(i64::from_le_bytes(bytes)));
}
