//! Rows of tables as records, so that a stream can carry tables: windows, unions and outputs then
//! do with them what they do with all else.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::groups::TableGroups;
use super::{Cell, Table};
use crate::record::{ColumnKeys, Columns, Key, Record, Show};

/// One row of a [`Table`], as a value.
#[derive(Clone)]
pub struct TableRow {
    /// A table of this row alone.
    table: Table,
}

/// One row of a [`Table`], by reference.
#[derive(Copy, Clone)]
pub struct TableRowRef<'a> {
    table: &'a Table,
    row: usize,
}

impl TableRow {
    /// The value of a column, by its position. Panics past the end.
    pub fn get(&self, column: usize) -> Cell<'_> {
        self.to_ref().get(column)
    }
}

impl<'a> TableRowRef<'a> {
    /// The table that the row is in.
    pub fn table(self) -> &'a Table {
        self.table
    }

    /// The value of a column, by its position. Panics past the end.
    pub fn get(self, column: usize) -> Cell<'a> {
        self.table.columns()[column].get(self.row)
    }

    /// All values in order.
    pub fn cells(self) -> impl ExactSizeIterator<Item = Cell<'a>> {
        self.table.columns().iter().map(move |column| column.get(self.row))
    }
}

impl Record for TableRow {
    type Ref<'a> = TableRowRef<'a>;
    type Columns = Table;

    fn to_ref(&self) -> TableRowRef<'_> {
        TableRowRef { table: &self.table, row: 0 }
    }

    fn from_ref(row: TableRowRef<'_>) -> TableRow {
        let mut table = Table::default();
        table.push(row);
        TableRow { table }
    }

    fn byte_len(row: TableRowRef<'_>) -> usize {
        let text = row.cells().map(|cell| if let Cell::Text(text) = cell { text.len() } else { 0 });
        size_of::<Cell<'_>>() * row.cells().len() + text.sum::<usize>()
    }
}

/// A table that has no columns and no rows takes the columns of the first that is appended to it.
impl Columns for Table {
    type Record = TableRow;

    fn len(&self) -> usize {
        Table::len(self)
    }

    fn get(&self, row: usize) -> TableRowRef<'_> {
        assert!(row < Table::len(self), "row {row} of a table of {}", Table::len(self));
        TableRowRef { table: self, row }
    }

    fn push(&mut self, row: TableRowRef<'_>) {
        self.adopt(row.table);
        for (column, cell) in self.columns_mut().iter_mut().zip(row.cells()) {
            column.push(cell);
        }
        self.set_len(Table::len(self) + 1);
    }

    fn append(&mut self, other: &Table) {
        self.adopt(other);
        for (column, more) in self.columns_mut().iter_mut().zip(other.columns()) {
            column.append(more);
        }
        self.set_len(Table::len(self) + Table::len(other));
    }

    fn gather(&self, rows: &[u32]) -> Table {
        let columns = self.columns().iter().map(|column| column.gather(rows)).collect();
        Table::of(self.shared_schema().clone(), columns, rows.len())
    }

    fn clear(&mut self) {
        for column in self.columns_mut() {
            column.clear();
        }
        self.set_len(0);
    }

    fn freeze(&mut self) {
        for column in self.columns_mut() {
            column.freeze();
        }
    }

    fn is_borrowed(&self) -> bool {
        self.columns().iter().any(|column| column.is_borrowed())
    }

    fn byte_len(&self) -> usize {
        self.columns().iter().map(|column| column.byte_len()).sum()
    }
}

impl Table {
    /// Takes the columns of a table whose rows are to be appended.
    ///
    /// Streams of tables of several schemas are refused before they run, and so this panics where
    /// the schemas differ.
    fn adopt(&mut self, other: &Table) {
        if self.is_empty() && self.schema().is_empty() {
            *self = Table::empty(other.shared_schema().clone());
        }
        let is_same = Arc::ptr_eq(self.shared_schema(), other.shared_schema());
        assert!(is_same || self.schema() == other.schema(), "rows of another schema are appended");
    }
}

impl Key for TableRow {
    type Groups = TableGroups;
    type Store = ColumnKeys<TableRow>;

    fn hash_ref<H: Hasher>(key: TableRowRef<'_>, state: &mut H) {
        for cell in key.cells() {
            match cell {
                Cell::Null => state.write_u8(0),
                Cell::I64(value) => value.hash(state),
                Cell::F64(value) => float_bits(value).hash(state),
                Cell::Bool(value) => value.hash(state),
                Cell::Text(value) => value.hash(state),
                Cell::Timestamp(value) => value.hash(state),
            }
        }
    }

    fn same(left: TableRowRef<'_>, right: TableRowRef<'_>) -> bool {
        left.cells().zip(right.cells()).all(same_cell)
    }
}

/// Equal as keys: null is null, and NaN is NaN.
fn same_cell((left, right): (Cell<'_>, Cell<'_>)) -> bool {
    match (left, right) {
        (Cell::F64(left), Cell::F64(right)) => float_bits(left) == float_bits(right),
        (left, right) => left == right,
    }
}

/// The same bits for floats that are one key: there is one NaN and one zero.
pub(crate) fn float_bits(value: f64) -> i64 {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    value.to_bits() as i64
}

impl Show for TableRow {
    fn show(row: TableRowRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, cell) in row.cells().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{cell}")?;
        }
        f.write_str("]")
    }
}

impl PartialEq for TableRow {
    fn eq(&self, other: &TableRow) -> bool {
        self.to_ref().cells().eq(other.to_ref().cells())
    }
}

impl fmt::Debug for TableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TableRow::show(self.to_ref(), f)
    }
}

impl fmt::Debug for TableRowRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TableRow::show(*self, f)
    }
}
