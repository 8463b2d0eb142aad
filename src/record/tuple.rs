//! Tuples of records: a column for each member.

use super::{Columns, Record};
use crate::error::Result;

macro_rules! tuples {
    ($(($($member:ident $index:tt),+))*) => {$(
        impl<$($member: Record),+> Record for ($($member,)+) {
            type Ref<'a> = ($($member::Ref<'a>,)+);
            type Columns = TupleColumns<($($member::Columns,)+)>;

            fn to_ref(&self) -> Self::Ref<'_> {
                ($(self.$index.to_ref(),)+)
            }

            fn from_ref(row: Self::Ref<'_>) -> Self {
                ($($member::from_ref(row.$index),)+)
            }

            fn byte_len(row: Self::Ref<'_>) -> usize {
                0 $(+ $member::byte_len(row.$index))+
            }

            fn saved_as() -> Option<String> {
                Some(format!("({})", [$($member::saved_as()?),+].join(", ")))
            }

            fn save(row: Self::Ref<'_>, out: &mut Vec<u8>) {
                $($member::save(row.$index, out);)+
            }

            fn load(from: &mut &[u8]) -> Result<Self> {
                Ok(($($member::load(from)?,)+))
            }
        }

        impl<$($member: Columns),+> Columns for TupleColumns<($($member,)+)> {
            type Record = ($($member::Record,)+);

            fn len(&self) -> usize {
                self.members.0.len()
            }

            fn get(&self, row: usize) -> <Self::Record as Record>::Ref<'_> {
                ($(self.members.$index.get(row),)+)
            }

            fn prefetch(&self, row: usize) {
                $(self.members.$index.prefetch(row);)+
            }

            fn prefetch_place(&self, row: usize) {
                $(self.members.$index.prefetch_place(row);)+
            }

            fn push(&mut self, row: <Self::Record as Record>::Ref<'_>) {
                $(self.members.$index.push(row.$index);)+
            }

            fn push_owned(&mut self, value: Self::Record) {
                $(self.members.$index.push_owned(value.$index);)+
            }

            fn append(&mut self, other: &Self) {
                $(self.members.$index.append(&other.members.$index);)+
            }

            fn copy_from(&mut self, other: &Self) {
                $(self.members.$index.copy_from(&other.members.$index);)+
            }

            fn gather(&self, rows: &[u32]) -> Self {
                TupleColumns { members: ($(self.members.$index.gather(rows),)+) }
            }

            fn clear(&mut self) {
                $(self.members.$index.clear();)+
            }

            fn freeze(&mut self) {
                $(self.members.$index.freeze();)+
            }

            fn is_borrowed(&self) -> bool {
                $(self.members.$index.is_borrowed())||+
            }

            fn byte_len(&self) -> usize {
                0 $(+ self.members.$index.byte_len())+
            }
        }
    )*};
}

/// The columns of a tuple, one for each member, all of the same length.
#[derive(Debug, Default)]
pub struct TupleColumns<M> {
    pub(crate) members: M,
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
