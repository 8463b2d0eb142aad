//! What a stream gave, and how it compares with what a case expects.

use std::sync::{Arc, Mutex};

use tidemill::DStream;
use tidemill::Time;

use super::Checked;
use super::value::{Listed, Value, Valued, partitions_of};

/// One batch that a stream gave.
#[derive(Clone, Debug)]
pub(crate) struct Emission {
    pub(crate) time: Time,
    pub(crate) partitions: usize,
    pub(crate) rows: Vec<Value>,
}

/// The batches that a stream gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Emissions {
    emissions: Arc<Mutex<Vec<Emission>>>,
}

impl Emissions {
    pub(crate) fn collect<T: Valued>(stream: &DStream<T>) -> Emissions {
        let collected = Emissions::default();
        let emissions = collected.emissions.clone();
        stream.foreach_batch(move |batch, time| {
            let partitions = partitions_of(batch);
            let (count, rows) = (partitions.len(), partitions.concat());
            emissions.lock().unwrap().push(Emission { time, partitions: count, rows });
            Ok(())
        });
        collected
    }

    pub(crate) fn take(&self) -> Vec<Emission> {
        std::mem::take(&mut *self.emissions.lock().unwrap())
    }
}

/// Which orders a case leaves free.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// That of the rows of a batch matters.
    pub(crate) of_rows: bool,
    /// That within the value of a pair, where it is a list or a pair of lists, matters.
    pub(crate) of_lists: bool,
}

/// That of states: keys come in any order.
pub(crate) const ANY_ORDER: Order = Order { of_rows: false, of_lists: true };

impl Order {
    /// The rows in a form in which equality is what the case asks for.
    fn normal(self, rows: &[Value]) -> Vec<Value> {
        let mut rows = rows.to_vec();
        if !self.of_lists {
            for row in &mut rows {
                if let Value::List(pair) = row
                    && let [_, Value::List(list)] = &mut pair[..]
                {
                    sort_list(list);
                }
            }
        }
        if !self.of_rows {
            rows.sort();
        }
        rows
    }

    pub(crate) fn check(self, what: &str, expected: &[Value], actual: &[Value]) -> Checked<()> {
        if self.normal(expected) == self.normal(actual) {
            return Ok(());
        }
        Err(format!("{what}: expected {} but got {}", Listed(expected), Listed(actual)))
    }

    /// All batches in turn.
    pub(crate) fn check_all(self, expected: &[Vec<Value>], actual: &[Vec<Value>]) -> Checked<()> {
        if expected.len() != actual.len() {
            let actual = actual.iter().map(|rows| Value::List(rows.clone())).collect::<Vec<_>>();
            let (count, got) = (expected.len(), actual.len());
            return Err(format!("expected {count} emissions but got {got}: {}", Listed(&actual)));
        }
        for (number, (expected, actual)) in (1..).zip(expected.iter().zip(actual)) {
            self.check(&format!("emission {number}"), expected, actual)?;
        }
        Ok(())
    }
}

/// Values of a key, or those of two streams.
fn sort_list(list: &mut [Value]) {
    if let [Value::List(left), Value::List(right)] = list {
        left.sort();
        right.sort();
    } else {
        list.sort();
    }
}
