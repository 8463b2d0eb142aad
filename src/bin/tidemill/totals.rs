//! Results of several batches as one.

use hashbrown::HashMap;
use tidemill::{Batch, BoxError, Error, ErrorKind, Limits, MemoryCharge, Record, StreamingContext};

use crate::job::{Job, Sizes};

/// The keys of a batch and what is known of them.
pub(crate) fn rows<J: Job>(
    batch: &Batch<(String, J::Value)>,
) -> impl Iterator<Item = (&str, J::Value)> {
    batch.iter().map(|(key, value)| (key, J::Value::from_ref(value)))
}

/// The result of a whole input. It is one batch unless it came slowly or ran out of blocks, and
/// then it is not worth copying.
pub(crate) enum Whole<J: Job> {
    Nothing,
    One(Batch<(String, J::Value)>),
    Many(Totals<J>),
}

impl<J: Job> Whole<J> {
    pub(crate) fn add(
        &mut self,
        batch: &Batch<(String, J::Value)>,
        ssc: &StreamingContext,
    ) -> Result<(), BoxError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self {
            Whole::Nothing => *self = Whole::One(batch.clone()),
            Whole::One(first) => {
                let mut totals = Totals::new(ssc);
                totals.add(first)?;
                totals.add(batch)?;
                *self = Whole::Many(totals);
            }
            Whole::Many(totals) => totals.add(batch)?,
        }
        Ok(())
    }
}

/// What is known of each key after several batches.
pub(crate) struct Totals<J: Job> {
    values: HashMap<String, J::Value>,
    /// Bytes of the keys, and of the longest.
    key_bytes: usize,
    longest: usize,
    charge: MemoryCharge,
}

/// Bytes that the allocator takes for a key beside what is in it.
const ALLOCATION_BYTES: usize = 16;

/// Keys that are added before their memory is charged.
const KEYS_UNCHARGED_MAX: usize = 1 << 10;

impl<J: Job> Totals<J> {
    pub(crate) fn new(ssc: &StreamingContext) -> Totals<J> {
        let charge = ssc.charge_memory("totals");
        Totals { values: HashMap::new(), key_bytes: 0, longest: 0, charge }
    }

    /// Charges the keys and values that there are.
    fn charge(&self) -> Result<(), Error> {
        // A table is between seven sixteenths and seven eighths full, and grows into another one.
        let slots = 3 * self.values.len() * (size_of::<(String, J::Value)>() + 1);
        let allocations = self.values.len() * ALLOCATION_BYTES;
        self.charge.set(self.key_bytes + allocations + slots)
    }

    /// How much there is to make a result of.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes { rows: self.values.len(), text: self.key_bytes, longest: self.longest }
    }

    pub(crate) fn add(&mut self, batch: &Batch<(String, J::Value)>) -> Result<(), Error> {
        let distinct_max = Limits::default().distinct_keys;
        for (key, value) in rows::<J>(batch) {
            match self.values.get_mut(key) {
                Some(total) => J::merge(key, total, value)?,
                None => {
                    self.key_bytes += key.len();
                    self.longest = self.longest.max(key.len());
                    self.values.insert(key.to_owned(), value);
                    if self.values.len().is_multiple_of(KEYS_UNCHARGED_MAX) {
                        self.charge()?;
                    }
                }
            }
        }
        self.charge()?;
        if self.values.len() > distinct_max {
            let message = format!("more than {distinct_max} distinct {}", J::KEYS);
            return Err(Error::new(ErrorKind::Limit, message));
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, J::Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), J::Value::from_ref(value.to_ref())))
    }
}
