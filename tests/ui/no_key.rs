//! A struct is a key, has an order and can be printed where all its fields are.

use tidemill::prelude::*;

#[derive(Record)]
struct Reading {
    station: String,
    celsius: f64,
}

#[derive(Record)]
struct Table {
    rows: Row<Opaque>,
}

#[derive(Clone)]
struct Opaque;

pub fn build(readings: &DStream<Reading>, tables: &DStream<Table>) {
    readings.count_by_value();
    tables.sorted();
    tables.print(10);
}
