//! The least and the greatest values of each key, of anything that has an order.

use super::{Aggregate, no_values, saves_record};
use crate::error::Result;
use crate::record::saved::{push_varint, torn};
use crate::record::{Ordered, Record};

/// The least value of each key, in the order of [`Ordered`]: of floats, NaN is the greatest.
///
/// Of values that tie, the first one that came.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Min;

/// The greatest value of each key, in the order of [`Ordered`]: of floats, NaN is the greatest.
///
/// Of values that tie, the first one that came.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Max;

/// The so many greatest values of each key as a list, the greatest first, in the order of
/// [`Ordered`]; all of them if there are fewer.
///
/// Equal values are all given. Values that tie and yet differ stand in the order of their arrival,
/// and those that came first go before those that came later where not all have room.
///
/// ```
/// # use tidemill::prelude::*;
/// use tidemill::TopK;
///
/// # let mut t = TestContext::new()?;
/// # let scores = t.input::<(String, i64)>();
/// let best = scores.stream().aggregate_by_key(TopK(2));
/// # let best = t.output(&best);
/// # scores.push([7, 9, 8].map(|score| ("ann".to_string(), score)))?;
/// # t.tick()?;
/// # assert_eq!(best.take(), [("ann".to_string(), vec![9, 8])]);
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TopK(
    /// How many values.
    pub usize,
);

/// What [`TopK`] keeps of a key's values: never more than twice as many as it gives out.
#[derive(Clone, Debug)]
pub struct Candidates<V> {
    /// Once it was cut, the greatest so far, the greatest first; then what came later.
    values: Vec<V>,
    /// Whether values were left out, so that the first ones are a bar to others.
    was_cut: bool,
}

macro_rules! extreme {
    ($name:ident, $what:literal, $wins:ident) => {
        impl<V: Ordered + Clone> Aggregate<V> for $name {
            type Partial = Option<V>;
            type Output = V;

            fn identity(&self) -> Option<V> {
                None
            }

            fn add(&self, partial: &mut Option<V>, value: V::Ref<'_>) -> Result<()> {
                match partial {
                    Some(known) if !V::order(value, known.to_ref()).$wins() => {}
                    _ => *partial = Some(V::from_ref(value)),
                }
                Ok(())
            }

            fn merge(&self, into: &mut Option<V>, later: &Option<V>) -> Result<()> {
                match later {
                    Some(later) => Aggregate::<V>::add(self, into, later.to_ref()),
                    None => Ok(()),
                }
            }

            fn finish(&self, partial: &Option<V>) -> Result<V> {
                partial.clone().ok_or_else(|| no_values($what))
            }

            fn is_ordered(&self) -> bool {
                V::TIES_SHOW
            }

            fn byte_len(&self, partial: &Option<V>) -> usize {
                Option::<V>::byte_len(partial.to_ref())
            }

            saves_record!(Option<V>, Some(format!("{} of {}", $what, V::saved_as()?)));
        }
    };
}

extreme!(Min, "least", is_lt);
extreme!(Max, "greatest", is_gt);

impl<V: Ordered + Clone> Aggregate<V> for TopK {
    type Partial = Candidates<V>;
    type Output = Vec<V>;

    fn identity(&self) -> Candidates<V> {
        Candidates { values: Vec::new(), was_cut: false }
    }

    fn add(&self, partial: &mut Candidates<V>, value: V::Ref<'_>) -> Result<()> {
        let TopK(k) = *self;
        let bar = if partial.was_cut { k.checked_sub(1) } else { None };
        let is_below = |at: usize| V::order(value, partial.values[at].to_ref()).is_le();
        if k == 0 || bar.is_some_and(is_below) {
            return Ok(());
        }
        partial.values.push(V::from_ref(value));
        if partial.values.len() >= k.saturating_mul(2) {
            sort(&mut partial.values);
            partial.values.truncate(k);
            partial.was_cut = true;
        }
        Ok(())
    }

    fn merge(&self, into: &mut Candidates<V>, later: &Candidates<V>) -> Result<()> {
        for value in &later.values {
            self.add(into, value.to_ref())?;
        }
        Ok(())
    }

    fn finish(&self, partial: &Candidates<V>) -> Result<Vec<V>> {
        let mut values = partial.values.clone();
        sort(&mut values);
        values.truncate(self.0);
        Ok(values)
    }

    fn is_ordered(&self) -> bool {
        V::TIES_SHOW
    }

    fn byte_len(&self, partial: &Candidates<V>) -> usize {
        let values = partial.values.iter().map(|value| V::byte_len(value.to_ref()));
        size_of::<Candidates<V>>() + values.sum::<usize>()
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some(format!("top {} of {}", self.0, V::saved_as()?))
    }

    fn save_partial(&self, partial: &Candidates<V>, out: &mut Vec<u8>) {
        bool::save(partial.was_cut, out);
        push_varint(partial.values.len() as u64, out);
        partial.values.iter().for_each(|value| V::save(value.to_ref(), out));
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<Candidates<V>> {
        let (was_cut, values) = <(bool, Vec<V>)>::load(from)?;
        let is_bar_missing = was_cut && values.len() < self.0.max(1);
        if is_bar_missing { Err(torn()) } else { Ok(Candidates { values, was_cut }) }
    }
}

/// The greatest first; what ties stays in its order.
fn sort<V: Ordered>(values: &mut [V]) {
    values.sort_by(|left, right| V::order(right.to_ref(), left.to_ref()));
}
