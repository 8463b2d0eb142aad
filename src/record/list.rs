//! Lists: `Vec<T>` as one column of all items, and where each row's items end.

use std::fmt;
use std::ops::Range;

use super::saved::{push_varint, take_len};
use super::{Columns, Record};
use crate::error::Result;

/// A column of lists.
#[derive(Debug)]
pub struct ListColumn<T: Record> {
    items: T::Columns,
    /// (first item, number of items) of each row.
    rows: Vec<(u32, u32)>,
}

/// One row of a list column, or a borrowed `Vec`: what closures get for a `Vec<T>`.
pub struct List<'a, T: Record> {
    items: Items<'a, T>,
}

enum Items<'a, T: Record> {
    Columns { items: &'a T::Columns, start: usize, len: usize },
    Slice(&'a [T]),
}

impl<T: Record> ListColumn<T> {
    pub(crate) fn items(&self) -> &T::Columns {
        &self.items
    }

    pub(crate) fn row(&self, row: usize) -> (usize, usize) {
        (self.rows[row].0 as usize, self.rows[row].1 as usize)
    }

    /// The items of a row, as positions in [`items`](Self::items).
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        let (start, len) = self.row(row);
        start..start + len
    }

    /// Appends a row of these positions of another column.
    pub(crate) fn push_rows(&mut self, items: &T::Columns, rows: impl Iterator<Item = usize>) {
        let start = self.items.len();
        for row in rows {
            self.items.push(items.get(row));
        }
        self.rows.push((start as u32, (self.items.len() - start) as u32));
    }

    /// Appends a row for each row of another column, with that alone.
    pub(crate) fn push_each(&mut self, items: &T::Columns) {
        let first = self.items.len() as u32;
        self.items.append(items);
        self.rows.extend((first..self.items.len() as u32).map(|item| (item, 1)));
    }

    /// Appends rows of these positions of another column, each up to one of the ends.
    pub(crate) fn push_lists(&mut self, items: &T::Columns, positions: &[u32], ends: &[u32]) {
        let first = self.items.len() as u32;
        positions.iter().for_each(|&position| self.items.push(items.get(position as usize)));
        let starts = std::iter::once(0).chain(ends.iter().copied());
        self.rows.extend(starts.zip(ends).map(|(start, end)| (first + start, end - start)));
    }
}

impl<'a, T: Record> List<'a, T> {
    /// The list without items.
    pub(crate) const EMPTY: List<'a, T> = List { items: Items::Slice(&[]) };

    /// The number of items.
    pub fn len(&self) -> usize {
        match self.items {
            Items::Columns { len, .. } => len,
            Items::Slice(items) => items.len(),
        }
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at this position, if there is one.
    pub fn get(&self, index: usize) -> Option<T::Ref<'a>> {
        match self.items {
            Items::Columns { items, start, len } => (index < len).then(|| items.get(start + index)),
            Items::Slice(items) => items.get(index).map(T::to_ref),
        }
    }

    /// All items in order.
    pub fn iter(self) -> impl Iterator<Item = T::Ref<'a>> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

impl<T: Record> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Record> Copy for List<'_, T> {}

impl<T: Record> Clone for Items<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Record> Copy for Items<'_, T> {}

impl<'a, T: Record> fmt::Debug for List<'a, T>
where
    T::Ref<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Record> Default for ListColumn<T> {
    fn default() -> Self {
        ListColumn { items: T::Columns::default(), rows: Vec::new() }
    }
}

impl<T: Record> Record for Vec<T> {
    type Ref<'a> = List<'a, T>;
    type Columns = ListColumn<T>;

    fn to_ref(&self) -> List<'_, T> {
        List { items: Items::Slice(self) }
    }

    fn from_ref(row: List<'_, T>) -> Vec<T> {
        row.iter().map(T::from_ref).collect()
    }

    fn byte_len(row: List<'_, T>) -> usize {
        size_of::<Vec<T>>() + row.iter().map(T::byte_len).sum::<usize>()
    }

    fn saved_as() -> Option<String> {
        Some(format!("[{}]", T::saved_as()?))
    }

    fn save(row: List<'_, T>, out: &mut Vec<u8>) {
        push_varint(row.len() as u64, out);
        row.iter().for_each(|item| T::save(item, out));
    }

    fn load(from: &mut &[u8]) -> Result<Vec<T>> {
        let len = take_len(from)?;
        (0..len).map(|_| T::load(from)).collect()
    }
}

impl<T: Record> Columns for ListColumn<T> {
    type Record = Vec<T>;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, row: usize) -> List<'_, T> {
        let (start, len) = self.row(row);
        List { items: Items::Columns { items: &self.items, start, len } }
    }

    fn push(&mut self, row: List<'_, T>) {
        let start = self.items.len() as u32;
        for item in row.iter() {
            self.items.push(item);
        }
        self.rows.push((start, row.len() as u32));
    }

    fn push_owned(&mut self, value: Vec<T>) {
        self.rows.push((self.items.len() as u32, value.len() as u32));
        for item in value {
            self.items.push_owned(item);
        }
    }

    fn append(&mut self, other: &Self) {
        let start = self.items.len() as u32;
        self.items.append(&other.items);
        self.rows.extend(other.rows.iter().map(|&(first, len)| (start + first, len)));
    }

    fn gather(&self, rows: &[u32]) -> Self {
        let mut gathered = Self::default();
        for &row in rows {
            gathered.push(self.get(row as usize));
        }
        gathered
    }

    fn clear(&mut self) {
        self.items.clear();
        self.rows.clear();
    }

    fn freeze(&mut self) {
        self.items.freeze();
    }

    fn is_borrowed(&self) -> bool {
        self.items.is_borrowed()
    }

    fn byte_len(&self) -> usize {
        self.items.byte_len() + 8 * self.rows.len()
    }
}
