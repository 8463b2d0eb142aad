//! Columns by name: a small value that stands for one field of a record.

use std::fmt;

use super::Record;

/// One column of the records `R`, whose rows are of `T`: its name, its position, and the way to it.
///
/// `#[derive(Record)]` makes one for each field, `Reading::CELSIUS`; who writes the columns of a
/// record by hand makes them with [`new`](Self::new). [`Columns::column`](super::Columns::column)
/// goes there.
///
/// ```
/// use tidemill::prelude::*;
///
/// #[derive(Record)]
/// struct Reading {
///     station: String,
///     celsius: f64,
/// }
///
/// let reading = Reading { station: "oslo".into(), celsius: 3.5 };
/// let batch: Batch<Reading> = [reading].into_iter().collect();
/// let columns = batch.partitions().next().unwrap();
/// assert_eq!(columns.column(Reading::CELSIUS).values(), [3.5]);
/// assert_eq!(Reading::CELSIUS.name(), "celsius");
/// assert_eq!(Reading::CELSIUS.index(), 1);
/// ```
pub struct Column<R: Record, T: Record> {
    name: &'static str,
    index: usize,
    reach: fn(&R::Columns) -> &T::Columns,
}

impl<R: Record, T: Record> Column<R, T> {
    /// The column of this name at this position among those of the record, counted from 0.
    pub const fn new(
        name: &'static str,
        index: usize,
        reach: fn(&R::Columns) -> &T::Columns,
    ) -> Column<R, T> {
        Column { name, index, reach }
    }

    /// The name of the field, without `r#`.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The position of the field in the struct, from 0.
    pub const fn index(self) -> usize {
        self.index
    }

    /// The column itself.
    pub fn of(self, columns: &R::Columns) -> &T::Columns {
        (self.reach)(columns)
    }
}

impl<R: Record, T: Record> Clone for Column<R, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record, T: Record> Copy for Column<R, T> {}

impl<R: Record, T: Record> fmt::Debug for Column<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column({})", self.name)
    }
}
