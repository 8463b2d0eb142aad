//! combineByKey: three closures as an aggregate.

use std::marker::PhantomData;

use super::{Aggregate, Folded};
use crate::error::Result;
use crate::record::{Columns, Record};

/// What makes a combiner of the first value, adds a value to one, and merges two.
pub(crate) struct Combine<V, C, N, A, M> {
    create: N,
    merge_value: A,
    merge_combiners: M,
    types: PhantomData<fn(V) -> C>,
}

impl<V, C, N, A, M> Combine<V, C, N, A, M>
where
    V: Record,
    C: Record,
    N: for<'a> Fn(V::Ref<'a>) -> C,
    A: for<'a> Fn(C::Ref<'a>, V::Ref<'a>) -> C,
    M: for<'a> Fn(C::Ref<'a>, C::Ref<'a>) -> C,
{
    pub(crate) fn new(create: N, merge_value: A, merge_combiners: M) -> Self {
        Combine { create, merge_value, merge_combiners, types: PhantomData }
    }
}

impl<V, C, N, A, M> Aggregate<V> for Combine<V, C, N, A, M>
where
    V: Record,
    C: Record,
    N: for<'a> Fn(V::Ref<'a>) -> C + Send + Sync + 'static,
    A: for<'a> Fn(C::Ref<'a>, V::Ref<'a>) -> C + Send + Sync + 'static,
    M: for<'a> Fn(C::Ref<'a>, C::Ref<'a>) -> C + Send + Sync + 'static,
{
    type Partial = Folded<C>;
    type Output = C;

    fn identity(&self) -> Folded<C> {
        Folded(None)
    }

    fn add(&self, partial: &mut Folded<C>, value: V::Ref<'_>) -> Result<()> {
        // The combiner and the value have to be borrowed for as long as each other.
        let value = V::from_ref(value);
        partial.0 = Some(match &partial.0 {
            Some(combiner) => (self.merge_value)(combiner.to_ref(), value.to_ref()),
            None => (self.create)(value.to_ref()),
        });
        Ok(())
    }

    fn add_rows(&self, partials: &mut [Folded<C>], ids: &[u32], values: &V::Columns) -> Result<()> {
        for (row, &id) in ids.iter().enumerate() {
            let Folded(combiner) = &mut partials[id as usize];
            *combiner = Some(match combiner {
                Some(combiner) => (self.merge_value)(combiner.to_ref(), values.get(row)),
                None => (self.create)(values.get(row)),
            });
        }
        Ok(())
    }

    fn merge(&self, into: &mut Folded<C>, later: &Folded<C>) -> Result<()> {
        let Some(later) = &later.0 else { return Ok(()) };
        into.0 = Some(match &into.0 {
            Some(into) => (self.merge_combiners)(into.to_ref(), later.to_ref()),
            None => C::from_ref(later.to_ref()),
        });
        Ok(())
    }

    fn finish(&self, partial: &Folded<C>) -> Result<C> {
        let combiner = partial.0.as_ref().expect("a key that is given out had a value");
        Ok(C::from_ref(combiner.to_ref()))
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn byte_len(&self, partial: &Folded<C>) -> usize {
        Option::<C>::byte_len(partial.0.to_ref())
    }
}
