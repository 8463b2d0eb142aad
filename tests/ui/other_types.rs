//! Fields of types that have to say themselves that they are no records.

use std::collections::BTreeMap;

use tidemill::prelude::*;

struct Position {
    x: f64,
    y: f64,
}

#[derive(Record)]
struct Session {
    user: String,
    counts: BTreeMap<String, u64>,
    last: Option<Position>,
}
