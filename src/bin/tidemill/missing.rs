//! What is missing in totals that a checkpoint keeps: it is kept with them, since a later run that
//! finds nothing wrong prints the same totals.
//!
//! Invariant: it is committed with the batch whose totals lack it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidemill::{Batch, DStream, Error, Record, StateHandle, StreamingContext};

/// Numbers of things by their kind, such as `line left out`: the noun first. Of what an earlier
/// process found missing and this one did not, there may be less than none.
pub(crate) type Counts = BTreeMap<String, i64>;

/// What was counted before this process, and what of its own was added to that.
pub(crate) struct Missing {
    state: StateHandle<String, i64>,
    added: Arc<Mutex<Counts>>,
}

impl Missing {
    /// Keeps what `count` gives beside these totals.
    pub(crate) fn beside<V: Record>(
        ssc: &StreamingContext,
        totals: &DStream<(String, V)>,
        name: &str,
        count: impl Fn() -> Counts + Send + Sync + 'static,
    ) -> Result<Missing, Error> {
        let added = Arc::<Mutex<Counts>>::default();
        let of_batches = added.clone();
        // After the batch's totals, so that what was found while they were worked out is in it.
        let news = totals.transform(move |_, _| {
            let (now, mut added) = (count(), lock(&of_batches));
            let before = std::mem::replace(&mut *added, now);
            Ok(added
                .iter()
                .map(|(kind, now)| (kind.clone(), now - before.get(kind).unwrap_or(&0)))
                .filter(|(_, more)| *more != 0)
                .collect::<Batch<(String, i64)>>())
        });
        let name = format!("missing in {name}");
        let kept = news.update_state_by_key(&name, |more, total| {
            Some(more.iter().fold(total.unwrap_or(0), i64::saturating_add))
        });
        kept.touched_only().foreach_batch(|_, _| Ok(()));
        Ok(Missing { state: ssc.state_by_key(&name)?, added })
    }

    /// What is missing by now, of which this process has counted `now`.
    pub(crate) fn all(&self, now: Counts) -> Counts {
        // Before the start there is nothing that could be missing.
        let Ok(kept) = self.state.snapshot() else { return now };
        let (mut all, added) = (now, lock(&self.added));
        for (kind, count) in kept.iter() {
            let before = count - added.get(kind).unwrap_or(&0);
            *all.entry(kind.to_owned()).or_default() += before;
        }
        all
    }
}

fn lock(counts: &Mutex<Counts>) -> std::sync::MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
