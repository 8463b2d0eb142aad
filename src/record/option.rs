//! `Option<T>`: the values, and whether each is there.

use super::scalar::take_bool;
use super::{Columns, Record};
use crate::error::Result;

/// A column with absent rows. An absent row takes no place among the values.
#[derive(Debug)]
pub struct OptionColumn<T: Record> {
    values: T::Columns,
    /// The position of the row's value, or [`ABSENT`].
    slots: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl<T: Record> OptionColumn<T> {
    /// Rows of which some are there, with the values of those.
    pub(crate) fn new(values: T::Columns, are_present: impl Iterator<Item = bool>) -> Self {
        let mut next = 0..values.len() as u32;
        let slot = |is_present| if is_present { next.next() } else { None }.unwrap_or(ABSENT);
        let slots = are_present.map(slot).collect();
        OptionColumn { values, slots }
    }

    pub(crate) fn values(&self) -> &T::Columns {
        &self.values
    }

    /// The values, to be appended to; [`push_slots`](Self::push_slots) says whose they are.
    pub(crate) fn values_mut(&mut self) -> &mut T::Columns {
        &mut self.values
    }

    /// Appends rows of which some are there: those whose values were appended from `first` on.
    pub(crate) fn push_slots(&mut self, first: usize, are_present: impl IntoIterator<Item = bool>) {
        let mut next = first as u32;
        self.slots.extend(are_present.into_iter().map(|is_present| {
            let slot = if is_present { next } else { ABSENT };
            next += u32::from(is_present);
            slot
        }));
    }

    /// The position of the row's value among [`values`](Self::values).
    pub(crate) fn slot(&self, row: usize) -> Option<usize> {
        (self.slots[row] != ABSENT).then_some(self.slots[row] as usize)
    }
}

impl<T: Record> Default for OptionColumn<T> {
    fn default() -> Self {
        OptionColumn { values: T::Columns::default(), slots: Vec::new() }
    }
}

impl<T: Record> Record for Option<T> {
    type Ref<'a> = Option<T::Ref<'a>>;
    type Columns = OptionColumn<T>;

    fn to_ref(&self) -> Option<T::Ref<'_>> {
        self.as_ref().map(T::to_ref)
    }

    fn from_ref(row: Option<T::Ref<'_>>) -> Option<T> {
        row.map(T::from_ref)
    }

    fn byte_len(row: Option<T::Ref<'_>>) -> usize {
        row.map_or(size_of::<Option<T>>(), T::byte_len)
    }

    fn saved_as() -> Option<String> {
        Some(format!("{}?", T::saved_as()?))
    }

    fn save(row: Option<T::Ref<'_>>, out: &mut Vec<u8>) {
        out.push(row.is_some().into());
        if let Some(value) = row {
            T::save(value, out);
        }
    }

    fn load(from: &mut &[u8]) -> Result<Option<T>> {
        if take_bool(from)? { T::load(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Record> Columns for OptionColumn<T> {
    type Record = Option<T>;

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn get(&self, row: usize) -> Option<T::Ref<'_>> {
        self.slot(row).map(|slot| self.values.get(slot))
    }

    fn push(&mut self, row: Option<T::Ref<'_>>) {
        self.slots.push(if row.is_some() { self.values.len() as u32 } else { ABSENT });
        if let Some(value) = row {
            self.values.push(value);
        }
    }

    fn push_owned(&mut self, row: Option<T>) {
        self.slots.push(if row.is_some() { self.values.len() as u32 } else { ABSENT });
        if let Some(value) = row {
            self.values.push_owned(value);
        }
    }

    fn copy_from(&mut self, other: &Self) {
        self.values.copy_from(&other.values);
        self.slots.clone_from(&other.slots);
    }

    fn gather(&self, rows: &[u32]) -> Self {
        let mut gathered = Self::default();
        for &row in rows {
            gathered.push(self.get(row as usize));
        }
        gathered
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.values.clear();
    }

    fn freeze(&mut self) {
        self.values.freeze();
    }

    fn is_borrowed(&self) -> bool {
        self.values.is_borrowed()
    }

    fn byte_len(&self) -> usize {
        self.values.byte_len() + 4 * self.slots.len()
    }
}
