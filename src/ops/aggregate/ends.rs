//! The first and the last value of each key, in the order of their arrival.

use super::{Aggregate, no_values, saves_record};
use crate::error::Result;
use crate::record::Record;

/// The value of each key that came first.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct First;

/// The value of each key that came last.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Last;

impl<V: Record + Clone> Aggregate<V> for First {
    type Partial = Option<V>;
    type Output = V;

    fn identity(&self) -> Option<V> {
        None
    }

    fn add(&self, partial: &mut Option<V>, value: V::Ref<'_>) -> Result<()> {
        partial.get_or_insert_with(|| V::from_ref(value));
        Ok(())
    }

    fn merge(&self, into: &mut Option<V>, later: &Option<V>) -> Result<()> {
        if into.is_none() {
            into.clone_from(later);
        }
        Ok(())
    }

    fn finish(&self, partial: &Option<V>) -> Result<V> {
        partial.clone().ok_or_else(|| no_values("first"))
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn byte_len(&self, partial: &Option<V>) -> usize {
        Option::<V>::byte_len(partial.to_ref())
    }

    saves_record!(Option<V>, Some(format!("first of {}", V::saved_as()?)));
}

impl<V: Record + Clone> Aggregate<V> for Last {
    type Partial = Option<V>;
    type Output = V;

    fn identity(&self) -> Option<V> {
        None
    }

    fn add(&self, partial: &mut Option<V>, value: V::Ref<'_>) -> Result<()> {
        *partial = Some(V::from_ref(value));
        Ok(())
    }

    fn merge(&self, into: &mut Option<V>, later: &Option<V>) -> Result<()> {
        if later.is_some() {
            into.clone_from(later);
        }
        Ok(())
    }

    fn finish(&self, partial: &Option<V>) -> Result<V> {
        partial.clone().ok_or_else(|| no_values("last"))
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn byte_len(&self, partial: &Option<V>) -> usize {
        Option::<V>::byte_len(partial.to_ref())
    }

    saves_record!(Option<V>, Some(format!("last of {}", V::saved_as()?)));
}
