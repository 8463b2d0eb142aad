//! A program that knows the crate by another name.

use mill::prelude::*;

/// A keyed value.
#[derive(Record)]
#[record(crate = mill)]
pub struct Pair {
    pub key: String,
    pub values: Vec<Option<i64>>,
    pub row: mill::Row<char>,
}

pub fn build(pairs: &DStream<Pair>) -> DStream<(i64, i64)> {
    pairs.map(|pair| (pair.values.len() as i64, 1)).aggregate_by_key(Sum)
}
