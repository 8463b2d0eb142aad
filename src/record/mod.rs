//! Records and their columns: what a stream's type may be, and how its rows lie in memory.
//!
//! A record type has a columnar form in Arrow's layout; rows come out of it by reference and go
//! into it by value or by reference, so a closure over words allocates nothing. Invariant: columns
//! that are shared are never written.

pub(crate) mod batch;
pub(crate) mod block;
pub(crate) mod bridge;
mod bytes;
mod key;
mod list;
mod option;
mod order;
mod row;
mod scalar;
mod show;
mod slices;
mod text;
mod tuple;

pub use batch::Batch;
pub use bridge::{ArrowRecord, arrow2};
pub use bytes::BytesColumn;
pub use key::{Groups, HashGroups, Key, TextGroups};
pub(crate) use key::{check_keys, hash_of, table_error};
pub use list::{List, ListColumn};
pub use option::OptionColumn;
pub use order::Ordered;
pub use row::{Row, RowColumn};
pub use scalar::ScalarColumn;
pub use show::{Show, shown};
pub use text::TextColumn;
pub use tuple::TupleColumns;

/// A type that a stream can carry.
///
/// Scalars come by value, `String` as `&str`, `Vec<u8>` as `&[u8]`; `Option`, tuples and lists are
/// made of these, and [`Row`] carries any other Rust value.
pub trait Record: Sized + Send + Sync + 'static {
    /// One row, by value or by reference into the columns.
    type Ref<'a>: Copy;
    /// Many rows, column by column.
    type Columns: Columns<Record = Self>;

    /// This value as a row.
    fn to_ref(&self) -> Self::Ref<'_>;

    /// A row as a value of its own.
    fn from_ref(row: Self::Ref<'_>) -> Self;

    /// About how many bytes a value of this row takes, with what it owns.
    fn byte_len(_row: Self::Ref<'_>) -> usize {
        size_of::<Self>()
    }
}

/// The columnar form of a [`Record`]: appended to while it is built, read-only once shared.
pub trait Columns: Default + Send + Sync + 'static {
    /// The type of one row.
    type Record: Record<Columns = Self>;

    /// The number of rows.
    fn len(&self) -> usize;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at this position. Panics past the end.
    fn get(&self, row: usize) -> <Self::Record as Record>::Ref<'_>;

    /// Appends a row.
    fn push(&mut self, row: <Self::Record as Record>::Ref<'_>);

    /// Appends a value; [`Row`] moves it in, the others copy it.
    fn push_owned(&mut self, value: Self::Record) {
        self.push(value.to_ref());
    }

    /// Appends all rows of other columns.
    fn append(&mut self, other: &Self) {
        for row in 0..other.len() {
            self.push(other.get(row));
        }
    }

    /// The rows at these positions, in this order; text keeps sharing its bytes.
    fn gather(&self, rows: &[u32]) -> Self;

    /// Removes all rows and keeps the memory.
    fn clear(&mut self);

    /// Makes the bytes of text shareable, so that later splits copy nothing.
    fn freeze(&mut self) {}

    /// Whether the rows lie in memory that has to go back to somebody, or is much larger than they
    /// are, so that who keeps them copies them.
    fn is_borrowed(&self) -> bool {
        false
    }

    /// About how many bytes the rows take, to judge what the work on them costs.
    fn byte_len(&self) -> usize;
}
