//! Several aggregates in one pass: a tuple of them is one, whose partials and results are tuples.

use super::Aggregate;
use crate::error::Result;
use crate::record::{Columns, Record};

macro_rules! tuples {
    ($(($($member:ident $index:tt),+))*) => {$(
        impl<V: Record, $($member: Aggregate<V>),+> Aggregate<V> for ($($member,)+) {
            type Partial = ($($member::Partial,)+);
            type Output = ($($member::Output,)+);

            fn identity(&self) -> Self::Partial {
                ($(self.$index.identity(),)+)
            }

            fn add(&self, partial: &mut Self::Partial, value: V::Ref<'_>) -> Result<()> {
                $(self.$index.add(&mut partial.$index, value)?;)+
                Ok(())
            }

            fn merge(&self, into: &mut Self::Partial, later: &Self::Partial) -> Result<()> {
                $(self.$index.merge(&mut into.$index, &later.$index)?;)+
                Ok(())
            }

            fn finish(&self, partial: &Self::Partial) -> Result<Self::Output> {
                Ok(($(self.$index.finish(&partial.$index)?,)+))
            }

            fn add_rows(
                &self,
                partials: &mut [Self::Partial],
                ids: &[u32],
                values: &V::Columns,
            ) -> Result<()> {
                for (row, &id) in ids.iter().enumerate() {
                    let partial = &mut partials[id as usize];
                    $(self.$index.add(&mut partial.$index, values.get(row))?;)+
                }
                Ok(())
            }

            fn is_invertible(&self) -> bool {
                $(self.$index.is_invertible())&&+
            }

            fn unmerge(&self, from: &mut Self::Partial, first: &Self::Partial) -> Result<()> {
                $(self.$index.unmerge(&mut from.$index, &first.$index)?;)+
                Ok(())
            }

            fn byte_len(&self, partial: &Self::Partial) -> usize {
                0 $(+ self.$index.byte_len(&partial.$index))+
            }

            fn is_ordered(&self) -> bool {
                $(self.$index.is_ordered())||+
            }

            fn partial_saved_as(&self) -> Option<String> {
                Some(format!("({})", [$(self.$index.partial_saved_as()?),+].join(", ")))
            }

            fn save_partial(&self, partial: &Self::Partial, out: &mut Vec<u8>) {
                $(self.$index.save_partial(&partial.$index, out);)+
            }

            fn load_partial(&self, from: &mut &[u8]) -> Result<Self::Partial> {
                Ok(($(self.$index.load_partial(from)?,)+))
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
