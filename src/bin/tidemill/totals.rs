//! Results of several batches as one.

use hashbrown::HashMap;
use tidemill::{Batch, BoxError, Error, ErrorKind, Limits, Record};

use crate::job::Job;

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
    pub(crate) fn add(&mut self, batch: &Batch<(String, J::Value)>) -> Result<(), BoxError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self {
            Whole::Nothing => *self = Whole::One(batch.clone()),
            Whole::One(first) => {
                let mut totals = Totals::default();
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
}

impl<J: Job> Default for Totals<J> {
    fn default() -> Totals<J> {
        Totals { values: HashMap::new() }
    }
}

impl<J: Job> Totals<J> {
    pub(crate) fn add(&mut self, batch: &Batch<(String, J::Value)>) -> Result<(), Error> {
        let distinct_max = Limits::default().distinct_keys;
        for (key, value) in rows::<J>(batch) {
            match self.values.get_mut(key) {
                Some(total) => J::merge(key, total, value)?,
                None => {
                    self.values.insert(key.to_owned(), value);
                }
            }
        }
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
