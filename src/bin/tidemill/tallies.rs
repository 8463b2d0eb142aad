//! Statistics of a batch that can be put together with those of others, without any rounding.

use tidemill::{Aggregate, Number, Result, Saved, Stats, Tally};

/// [`Stats`] before their end.
pub(crate) struct Tallies;

/// The same for numbers.
fn stats() -> &'static impl Aggregate<Number, Partial = Tally> {
    &Stats
}

impl Aggregate<Number> for Tallies {
    type Partial = Tally;
    type Output = Saved<Tally>;

    fn identity(&self) -> Tally {
        stats().identity()
    }

    fn add(&self, tally: &mut Tally, value: Number) -> Result<()> {
        stats().add(tally, value)
    }

    fn add_rows(
        &self,
        tallies: &mut [Tally],
        ids: &[u32],
        values: &<Number as tidemill::Record>::Columns,
    ) -> Result<()> {
        stats().add_rows(tallies, ids, values)
    }

    fn merge(&self, into: &mut Tally, later: &Tally) -> Result<()> {
        stats().merge(into, later)
    }

    fn finish(&self, tally: &Tally) -> Result<Saved<Tally>> {
        Ok(Saved(tally.clone()))
    }

    fn byte_len(&self, tally: &Tally) -> usize {
        stats().byte_len(tally)
    }
}
