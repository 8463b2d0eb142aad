//! Records and their columns: what a stream's type may be, and how its rows lie in memory.
//!
//! A record type has a columnar form in Arrow's layout; rows come out of it by reference and go
//! into it by value or by reference, so a closure over words allocates nothing. Invariant: columns
//! that are shared are never written.

#[cfg(feature = "arrow")]
pub(crate) mod array;
pub(crate) mod batch;
pub(crate) mod block;
pub(crate) mod bridge;
mod buffer;
mod bytes;
mod column;
mod key;
mod key_store;
mod list;
mod number;
mod option;
mod order;
mod quotient;
pub(crate) mod recycled;
mod row;
pub(crate) mod saved;
mod saved_row;
mod scalar;
mod shape;
mod show;
mod slices;
mod text;
mod timestamp;
mod tuple;

use crate::error::Result;

pub use batch::Batch;
pub use bridge::{ArrowArray, ArrowRecord, arrow2, struct_array};
#[cfg(feature = "arrow")]
pub(crate) use bridge::{from_arrow_rs, to_arrow_rs};
pub(crate) use buffer::Buffer;
pub use bytes::BytesColumn;
pub use column::Column;
pub use key::{Groups, HashGroups, Key, TextGroups};
pub(crate) use key::{check_keys, hash_of, table_error, too_many_keys};
pub use key_store::{CellKeys, ColumnKeys, InlineKeys, KeyStore};
pub use list::{List, ListColumn};
pub use number::{Number, NumberColumn};
pub(crate) use number::{TENS, parts};
pub use option::OptionColumn;
pub use order::Ordered;
pub(crate) use quotient::quotient;
pub use row::{Row, RowColumn};
pub use saved_row::{Saved, SavedColumn};
pub use scalar::ScalarColumn;
pub use show::{Show, shown};
pub use text::TextColumn;
pub use timestamp::Timestamp;
pub use tuple::TupleColumns;

/// Makes a struct a [`Record`](trait@Record): each field is a column.
///
/// Fields are integers (but `u8`, `usize` and those of 128 bits), floats, [`Number`], `bool`,
/// [`Timestamp`], `String`, `Vec<u8>` for bytes, `Option`, `Vec` and tuples of these, structs that
/// derive `Record` themselves, and [`Row<T>`] or [`Saved<T>`] for all else. The struct needs no
/// other trait.
///
/// ```
/// use tidemill::prelude::*;
///
/// #[derive(Record)]
/// struct Reading {
///     station: String,
///     celsius: f64,
///     at: Option<i64>,
/// }
///
/// let mut t = TestContext::new()?;
/// let readings = t.input::<Reading>();
/// // Rows come as `ReadingRef`s: text as `&str`, numbers by value.
/// let frost = readings.stream().filter(|row| row.celsius < 0.0);
/// let coldest = frost.map(|row| (row.station.to_owned(), row.celsius)).aggregate_by_key(Min);
/// let counts = t.output(&coldest);
/// # let reading = |station: &str, celsius| Reading { station: station.into(), celsius, at: None };
/// readings.push([reading("oslo", -3.5), reading("rome", 9.0), reading("oslo", -7.0)])?;
/// t.tick()?;
/// assert_eq!(counts.take(), [("oslo".to_owned(), -7.0)]);
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// What it makes of `Reading`, all as visible as the struct, and its fields as the struct's fields:
///
/// * `ReadingRef<'a>`, which closures get, and which can be written to
///   [emit](crate::Emitter::push) a row without owning what is in it. It is `Copy`, and `Debug`
///   where its fields are.
/// * `ReadingColumns`, of a column for each field.
/// * A [`Column`] for each field: `Reading::CELSIUS`.
/// * [`Show`], [`Ordered`], [`Key`], [`ArrowRecord`] and [`Decode`](crate::Decode), each if all
///   fields have it. Rows print as Spark prints a case class, `Reading(oslo,3.5,None)`; they are
///   ordered and hashed field by field; as Arrow they are a struct array with the fields' names;
///   formats [decode](crate::DStream::decode) lines into them.
///
/// ```
/// use tidemill::{Columns, Record, shown};
///
/// #[derive(Record)]
/// struct Place {
///     street: String,
///     number: u32,
/// }
///
/// let mut places = PlaceColumns::default();
/// places.push(PlaceRef { street: "Karl Johans gate", number: 22 });
/// places.push_owned(Place { street: "Via Appia".into(), number: 1 });
/// assert_eq!(places.column(Place::NUMBER).values(), [22, 1]);
/// assert_eq!(shown::<Place>(places.get(0)).to_string(), "Place(Karl Johans gate,22)");
/// ```
///
/// A program that knows this crate by another name says so: `#[record(crate = mill)]`.
pub use tidemill_derive::Record;

/// A type that a stream can carry.
///
/// Scalars come by value, `String` as `&str`, `Vec<u8>` as `&[u8]`; `Option`, tuples and lists are
/// made of these, [`#[derive(Record)]`](derive@Record) makes columns of a struct's fields, and
/// [`Row`] carries any other Rust value; so does [`Saved`], which checkpoints can hold.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record: streams and columns cannot carry it",
    label = "no record",
    note = "records are integers but `u8`, floats, `bool`, `String`, `Vec<u8>` for bytes, and \
            `Option`, `Vec` and tuples of records",
    note = "a struct with named fields becomes one by `#[derive(Record)]`",
    note = "`Row<{Self}>` carries any value that is `Clone + Send + Sync + 'static` as it is"
)]
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

    /// How rows are saved in checkpoints, in words such as `(text, i64)`: what was saved in another
    /// form is refused. `None` for what cannot be saved, such as [`Row`] of any type.
    fn saved_as() -> Option<String> {
        None
    }

    /// Appends a row in the form that [`saved_as`](Self::saved_as) names, as one byte or more.
    fn save(_row: Self::Ref<'_>, _out: &mut Vec<u8>) {}

    /// Takes a row that was [saved](Self::save) off the front. It never panics, whatever the bytes
    /// are, and makes no more of them than they can hold.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) for bytes that are no such row.
    fn load(_from: &mut &[u8]) -> Result<Self> {
        Err(saved::form_of::<Self>().map_or_else(|cannot| cannot, |_| saved::torn()))
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

    /// The column of one field: `columns.column(Reading::CELSIUS)`.
    fn column<T: Record>(&self, column: Column<Self::Record, T>) -> &T::Columns {
        column.of(self)
    }

    /// The row at this position. Panics past the end.
    fn get(&self, row: usize) -> <Self::Record as Record>::Ref<'_>;

    /// Asks for the memory of a row, so that it is there when it is wanted. Never more than a hint.
    fn prefetch(&self, _row: usize) {}

    /// Asks for what [`prefetch`](Self::prefetch) has to read, where a column says elsewhere where
    /// its rows are.
    fn prefetch_place(&self, _row: usize) {}

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

    /// Makes these the rows of other columns; text keeps sharing its bytes.
    fn copy_from(&mut self, other: &Self) {
        self.clear();
        self.append(other);
    }

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
