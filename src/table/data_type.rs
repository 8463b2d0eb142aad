//! What a column of a table may hold, and one value of it.

use std::fmt;

use crate::record::Timestamp;

/// The type of a column. Each value of any type may be null.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// Integers; those of fewer bits in a record are widened.
    I64,
    /// Floats; `f32` in a record is widened.
    F64,
    /// `true` and `false`.
    Bool,
    /// UTF-8 text.
    Text,
    /// Points in time, in nanoseconds.
    Timestamp,
}

impl DataType {
    pub(crate) fn is_number(self) -> bool {
        matches!(self, DataType::I64 | DataType::F64)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataType::I64 => "i64",
            DataType::F64 => "f64",
            DataType::Bool => "bool",
            DataType::Text => "text",
            DataType::Timestamp => "timestamp",
        })
    }
}

/// One value of a table, by reference.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// An integer.
    I64(i64),
    /// A float.
    F64(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// A point in time.
    Timestamp(Timestamp),
}

impl fmt::Display for Cell<'_> {
    /// As [`Table::show`](super::Table::show) prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::I64(value) => write!(f, "{value}"),
            // `1.0`, not `1`: the reader sees that it is a float.
            Cell::F64(value) => write!(f, "{value:?}"),
            Cell::Bool(value) => write!(f, "{value}"),
            Cell::Text(value) => f.write_str(value),
            Cell::Timestamp(value) => write!(f, "{value}"),
        }
    }
}
