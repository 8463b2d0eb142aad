//! Parameters of types and lifetimes.

use tidemill::prelude::*;

#[derive(Record)]
struct Timed<T> {
    at: i64,
    value: T,
}

#[derive(Record)]
struct Line<'a> {
    text: &'a str,
}
