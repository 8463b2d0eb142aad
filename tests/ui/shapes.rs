//! Structs without named fields, and what is no struct.

use tidemill::prelude::*;

#[derive(Record)]
struct Point(f64, f64);

#[derive(Record)]
struct Tick;

#[derive(Record)]
struct Nothing {}

#[derive(Record)]
union Bits {
    float: f32,
    word: u32,
}
