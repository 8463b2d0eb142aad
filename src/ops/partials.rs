//! Aggregates in two stages: a batch gives a partial for each key, and a window merges partials.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Aggregate;
use crate::error::Result;
use crate::record::{Columns, Record, Row};

/// The first stage: an aggregate that gives its partials out as they are.
pub(crate) struct Unfinished<A>(pub(crate) Arc<A>);

/// The second stage: takes in what [`Unfinished`] gave out, and finishes it.
pub(crate) struct Merged<V, A>(pub(crate) Arc<A>, pub(crate) PhantomData<fn(V)>);

impl<V: Record, A: Aggregate<V>> Aggregate<V> for Unfinished<A> {
    type Partial = A::Partial;
    type Output = Row<A::Partial>;

    fn identity(&self) -> A::Partial {
        self.0.identity()
    }

    fn add(&self, partial: &mut A::Partial, value: V::Ref<'_>) -> Result<()> {
        self.0.add(partial, value)
    }

    fn merge(&self, into: &mut A::Partial, later: &A::Partial) -> Result<()> {
        self.0.merge(into, later)
    }

    fn finish(&self, partial: &A::Partial) -> Result<Row<A::Partial>> {
        Ok(Row(partial.clone()))
    }

    fn add_rows(
        &self,
        partials: &mut [A::Partial],
        ids: &[u32],
        values: &V::Columns,
    ) -> Result<()> {
        self.0.add_rows(partials, ids, values)
    }

    fn is_ordered(&self) -> bool {
        self.0.is_ordered()
    }
}

impl<V: Record, A: Aggregate<V>> Aggregate<Row<A::Partial>> for Merged<V, A> {
    type Partial = A::Partial;
    type Output = A::Output;

    fn identity(&self) -> A::Partial {
        self.0.identity()
    }

    fn add(&self, partial: &mut A::Partial, value: &A::Partial) -> Result<()> {
        self.0.merge(partial, value)
    }

    fn merge(&self, into: &mut A::Partial, later: &A::Partial) -> Result<()> {
        self.0.merge(into, later)
    }

    fn finish(&self, partial: &A::Partial) -> Result<A::Output> {
        self.0.finish(partial)
    }

    fn is_invertible(&self) -> bool {
        self.0.is_invertible()
    }

    fn unmerge(&self, from: &mut A::Partial, first: &A::Partial) -> Result<()> {
        self.0.unmerge(from, first)
    }

    fn byte_len(&self, partial: &A::Partial) -> usize {
        self.0.byte_len(partial)
    }

    fn is_ordered(&self) -> bool {
        self.0.is_ordered()
    }

    fn partial_saved_as(&self) -> Option<String> {
        self.0.partial_saved_as()
    }

    fn save_partial(&self, partial: &A::Partial, out: &mut Vec<u8>) {
        self.0.save_partial(partial, out);
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<A::Partial> {
        self.0.load_partial(from)
    }
}

/// A closure as an aggregate, with another one for its inverse if there is one.
pub(crate) struct Fold<V: Record, F> {
    pub(crate) reduce: Arc<F>,
    pub(crate) inverse: Option<Inverse<V>>,
}

/// What undoes a fold.
pub(crate) type Inverse<V> = Box<
    dyn for<'a> Fn(<V as Record>::Ref<'a>, <V as Record>::Ref<'a>) -> V + Send + Sync + 'static,
>;

/// The values folded so far; none at first.
pub(crate) struct Folded<V>(pub(super) Option<V>);

impl<V: Record> Clone for Folded<V> {
    fn clone(&self) -> Self {
        Folded(self.0.as_ref().map(|value| V::from_ref(value.to_ref())))
    }
}

impl<V, F> Aggregate<V> for Fold<V, F>
where
    V: Record,
    F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
{
    type Partial = Folded<V>;
    type Output = V;

    fn identity(&self) -> Folded<V> {
        Folded(None)
    }

    fn add(&self, partial: &mut Folded<V>, value: V::Ref<'_>) -> Result<()> {
        self.merge(partial, &Folded(Some(V::from_ref(value))))
    }

    // Of rows in columns no value has to be made.
    fn add_rows(&self, partials: &mut [Folded<V>], ids: &[u32], values: &V::Columns) -> Result<()> {
        for (row, &id) in ids.iter().enumerate() {
            let Folded(folded) = &mut partials[id as usize];
            *folded = Some(match folded {
                Some(folded) => (self.reduce)(folded.to_ref(), values.get(row)),
                None => V::from_ref(values.get(row)),
            });
        }
        Ok(())
    }

    fn merge(&self, into: &mut Folded<V>, later: &Folded<V>) -> Result<()> {
        let Some(later) = &later.0 else { return Ok(()) };
        into.0 = Some(match &into.0 {
            Some(into) => (self.reduce)(into.to_ref(), later.to_ref()),
            None => V::from_ref(later.to_ref()),
        });
        Ok(())
    }

    fn finish(&self, partial: &Folded<V>) -> Result<V> {
        let value = partial.0.as_ref().expect("a key that is given out had a value");
        Ok(V::from_ref(value.to_ref()))
    }

    fn check_nothing(&self) -> Result<()> {
        // What is left when the inverse has taken out all values.
        Ok(())
    }

    fn is_invertible(&self) -> bool {
        self.inverse.is_some()
    }

    fn unmerge(&self, from: &mut Folded<V>, first: &Folded<V>) -> Result<()> {
        if let (Some(inverse), Some(all), Some(first)) = (&self.inverse, &from.0, &first.0) {
            from.0 = Some(inverse(all.to_ref(), first.to_ref()));
        }
        Ok(())
    }

    fn byte_len(&self, partial: &Folded<V>) -> usize {
        Option::<V>::byte_len(partial.0.to_ref())
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some(format!("folded {}", V::saved_as()?))
    }

    fn save_partial(&self, partial: &Folded<V>, out: &mut Vec<u8>) {
        Option::<V>::save(partial.0.to_ref(), out);
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<Folded<V>> {
        Option::<V>::load(from).map(Folded)
    }
}
