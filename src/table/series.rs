//! One column of a table: its values, and which of them are there.

use std::sync::Arc;

use super::{Cell, DataType};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Buffer, Columns, TextColumn, Timestamp};

/// A column of a table. Cloning one that is not being appended to copies no values.
#[derive(Clone, Debug)]
pub struct Series {
    values: Values,
    /// Whether each value is there; none if all are. Where one is not, some value stands.
    validity: Option<Buffer<bool>>,
}

/// The values of a column, also where there is none.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    I64(Buffer<i64>),
    F64(Buffer<f64>),
    Bool(Buffer<bool>),
    Text(Arc<TextColumn>),
    /// Nanoseconds, as [`Timestamp`] has them.
    Timestamp(Buffer<i64>),
}

/// The same expression for each type of values that lie in a buffer, and another for text.
macro_rules! by_type {
    ($values:expr, $buffer:pat => $fixed:expr, $text:pat => $other:expr) => {
        match $values {
            Values::I64($buffer) => $fixed,
            Values::F64($buffer) => $fixed,
            Values::Bool($buffer) => $fixed,
            Values::Timestamp($buffer) => $fixed,
            Values::Text($text) => $other,
        }
    };
}

impl Series {
    /// No rows, to append to.
    pub(crate) fn empty(data_type: DataType) -> Series {
        let values = match data_type {
            DataType::I64 => Values::I64(Buffer::default()),
            DataType::F64 => Values::F64(Buffer::default()),
            DataType::Bool => Values::Bool(Buffer::default()),
            DataType::Text => Values::Text(Arc::default()),
            DataType::Timestamp => Values::Timestamp(Buffer::default()),
        };
        Series { values, validity: None }
    }

    pub(crate) fn new(values: Values, validity: Option<Buffer<bool>>) -> Series {
        let validity = validity.filter(|validity| validity.contains(&false));
        Series { values, validity }
    }

    /// Rows without values.
    pub(crate) fn nulls(data_type: DataType, len: usize) -> Series {
        let values = match data_type {
            DataType::I64 => Values::I64(vec![0; len].into()),
            DataType::F64 => Values::F64(vec![0.0; len].into()),
            DataType::Bool => Values::Bool(vec![false; len].into()),
            DataType::Text => {
                let mut text = TextColumn::default();
                (0..len).for_each(|_| text.push(""));
                text.freeze();
                Values::Text(Arc::new(text))
            }
            DataType::Timestamp => Values::Timestamp(vec![0; len].into()),
        };
        Series::new(values, Some(vec![false; len].into()))
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn validity(&self) -> Option<&Buffer<bool>> {
        self.validity.as_ref()
    }

    /// The type of the values.
    pub fn data_type(&self) -> DataType {
        match self.values {
            Values::I64(_) => DataType::I64,
            Values::F64(_) => DataType::F64,
            Values::Bool(_) => DataType::Bool,
            Values::Text(_) => DataType::Text,
            Values::Timestamp(_) => DataType::Timestamp,
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        by_type!(&self.values, values => values.len(), text => text.len())
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows have no value.
    pub fn null_count(&self) -> usize {
        self.validity().map_or(0, |validity| validity.iter().filter(|valid| !**valid).count())
    }

    /// Whether this row has no value. Panics past the end.
    pub fn is_null(&self, row: usize) -> bool {
        self.validity().is_some_and(|validity| !validity[row])
    }

    /// The value at this position. Panics past the end.
    pub fn get(&self, row: usize) -> Cell<'_> {
        match &self.values {
            _ if self.is_null(row) => Cell::Null,
            Values::I64(values) => Cell::I64(values[row]),
            Values::F64(values) => Cell::F64(values[row]),
            Values::Bool(values) => Cell::Bool(values[row]),
            Values::Text(text) => Cell::Text(text.get(row)),
            Values::Timestamp(values) => Cell::Timestamp(Timestamp::from_nanos(values[row])),
        }
    }

    /// All values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Cell<'_>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// All integers, for kernels: where a row is null, any number stands.
    pub fn i64s(&self) -> Result<&[i64]> {
        match &self.values {
            Values::I64(values) => Ok(values),
            _ => Err(self.is_no(DataType::I64)),
        }
    }

    /// All floats, for kernels: where a row is null, any number stands.
    pub fn f64s(&self) -> Result<&[f64]> {
        match &self.values {
            Values::F64(values) => Ok(values),
            _ => Err(self.is_no(DataType::F64)),
        }
    }

    fn is_no(&self, asked: DataType) -> Error {
        let message = format!("a column of {} was asked for {asked}", self.data_type());
        Error::new(ErrorKind::Schema, message)
    }

    /// Appends a value, which is null or of the column's type.
    pub(crate) fn push(&mut self, cell: Cell<'_>) {
        let len = self.len();
        match (&mut self.values, cell) {
            (Values::I64(values), Cell::I64(value)) => values.own().push(value),
            (Values::F64(values), Cell::F64(value)) => values.own().push(value),
            (Values::Bool(values), Cell::Bool(value)) => values.own().push(value),
            (Values::Text(text), Cell::Text(value)) => own_text(text).push(value),
            (Values::Timestamp(values), Cell::Timestamp(time)) => values.own().push(time.nanos()),
            (Values::Text(text), Cell::Null) => own_text(text).push(""),
            (Values::I64(values) | Values::Timestamp(values), Cell::Null) => values.own().push(0),
            (Values::F64(values), Cell::Null) => values.own().push(0.0),
            (Values::Bool(values), Cell::Null) => values.own().push(false),
            _ => unreachable!("schemas were compared before"),
        }
        let is_null = cell == Cell::Null;
        if self.validity.is_none() && is_null {
            self.validity = Some(Buffer::Owned(vec![true; len]));
        }
        if let Some(validity) = &mut self.validity {
            validity.own().push(!is_null);
        }
    }

    /// Appends all rows of a column of the same type.
    pub(crate) fn append(&mut self, other: &Series) {
        let len = self.len();
        if len == 0 {
            *self = other.clone();
            return;
        }
        match (&mut self.values, &other.values) {
            (Values::I64(values), Values::I64(more))
            | (Values::Timestamp(values), Values::Timestamp(more)) => {
                values.own().extend_from_slice(more)
            }
            (Values::F64(values), Values::F64(more)) => values.own().extend_from_slice(more),
            (Values::Bool(values), Values::Bool(more)) => values.own().extend_from_slice(more),
            (Values::Text(text), Values::Text(more)) => own_text(text).append(more),
            _ => unreachable!("schemas were compared before"),
        }
        if self.validity.is_none() && other.validity.is_some() {
            self.validity = Some(Buffer::Owned(vec![true; len]));
        }
        if let Some(validity) = &mut self.validity {
            match other.validity() {
                Some(more) => validity.own().extend_from_slice(more),
                None => validity.own().resize(len + other.len(), true),
            }
        }
    }

    /// The rows at these positions; text keeps sharing its bytes.
    pub(crate) fn gather(&self, rows: &[u32]) -> Series {
        let values = match &self.values {
            Values::I64(values) => Values::I64(gathered(values, rows)),
            Values::F64(values) => Values::F64(gathered(values, rows)),
            Values::Bool(values) => Values::Bool(gathered(values, rows)),
            Values::Timestamp(values) => Values::Timestamp(gathered(values, rows)),
            Values::Text(text) => {
                let mut text = text.gather(rows);
                text.freeze();
                Values::Text(Arc::new(text))
            }
        };
        Series::new(values, self.validity().map(|validity| gathered(validity, rows)))
    }

    pub(crate) fn clear(&mut self) {
        self.validity = None;
        by_type!(&mut self.values, values => values.clear(), text => own_text(text).clear());
    }

    /// Makes the values shareable.
    pub(crate) fn freeze(&mut self) {
        self.validity.iter_mut().for_each(Buffer::freeze);
        by_type!(&mut self.values, values => values.freeze(), text => {
            // Text that others have is frozen.
            if let Some(text) = Arc::get_mut(text) {
                text.freeze();
            }
        });
    }

    pub(crate) fn is_borrowed(&self) -> bool {
        by_type!(&self.values, _ => false, text => text.is_borrowed())
    }

    pub(crate) fn byte_len(&self) -> usize {
        let bytes =
            by_type!(&self.values, values => size_of_val(&**values), text => text.byte_len());
        bytes + self.validity().map_or(0, |validity| validity.len())
    }
}

impl From<Vec<i64>> for Series {
    fn from(values: Vec<i64>) -> Series {
        Series::new(Values::I64(values.into()), None)
    }
}

impl From<Vec<f64>> for Series {
    fn from(values: Vec<f64>) -> Series {
        Series::new(Values::F64(values.into()), None)
    }
}

impl From<Vec<bool>> for Series {
    fn from(values: Vec<bool>) -> Series {
        Series::new(Values::Bool(values.into()), None)
    }
}

impl From<Vec<Timestamp>> for Series {
    fn from(times: Vec<Timestamp>) -> Series {
        let nanos = times.into_iter().map(Timestamp::nanos).collect::<Vec<i64>>();
        Series::new(Values::Timestamp(nanos.into()), None)
    }
}

impl From<TextColumn> for Series {
    fn from(mut text: TextColumn) -> Series {
        text.freeze();
        Series::new(Values::Text(Arc::new(text)), None)
    }
}

fn gathered<T: Copy>(values: &[T], rows: &[u32]) -> Buffer<T> {
    rows.iter().map(|&row| values[row as usize]).collect::<Vec<_>>().into()
}

/// The column to append to; one that others have is copied.
fn own_text(text: &mut Arc<TextColumn>) -> &mut TextColumn {
    if Arc::get_mut(text).is_none() {
        let mut copy = TextColumn::default();
        copy.append(text);
        *text = Arc::new(copy);
    }
    Arc::get_mut(text).expect("just made one's own")
}
