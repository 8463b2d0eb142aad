//! Tables and batches to and from arrow-rs: the same values, over the same memory.

use std::sync::Arc;

use tidemill::ErrorKind;
use tidemill::Timestamp;
use tidemill::arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int64Array,
    LargeStringArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use tidemill::prelude::*;
use tidemill::table::Cell;

use crate::random::{Random, seeds};

#[derive(Record, Clone, Debug, PartialEq)]
struct Sample {
    integer: i64,
    float: Option<f64>,
    text: Option<String>,
    is_odd: Option<bool>,
    time: Option<Timestamp>,
}

fn samples(random: &mut Random, len: usize) -> Vec<Sample> {
    let sample = |random: &mut Random| {
        let number = random.next() as i64;
        let mut some = |percent: usize| random.below(100) < percent;
        Sample {
            integer: number,
            float: some(80).then_some(number as f64 / 7.0),
            text: some(80).then(|| format!("漢{}", number % 1000)),
            is_odd: some(80).then_some(number % 2 != 0),
            time: some(80).then_some(Timestamp::from_nanos(number)),
        }
    };
    (0..len).map(|_| sample(random)).collect()
}

fn array<T: Clone + 'static>(batch: &RecordBatch, name: &str) -> T {
    batch.column_by_name(name).unwrap().as_any().downcast_ref::<T>().unwrap().clone()
}

#[test]
fn arrow_tables_go_there_and_back() {
    for seed in seeds(30) {
        let random = &mut Random::new(seed);
        let len = [0, 1, 7, 8, 9, 64, 100][random.below(7)];
        let samples = samples(random, len);
        let table = Table::from_records(samples.clone()).unwrap();
        let batch = table.to_record_batch().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (len, 5), "seed {seed}");
        for (row, sample) in samples.iter().enumerate() {
            let text = array::<LargeStringArray>(&batch, "text");
            let given = text.is_valid(row).then(|| text.value(row).to_owned());
            assert_eq!(given, sample.text, "seed {seed}, row {row}");
            let time = array::<TimestampNanosecondArray>(&batch, "time");
            let given = time.is_valid(row).then(|| Timestamp::from_nanos(time.value(row)));
            assert_eq!(given, sample.time, "seed {seed}, row {row}");
            let is_odd = array::<BooleanArray>(&batch, "is_odd");
            let given = is_odd.is_valid(row).then(|| is_odd.value(row));
            assert_eq!(given, sample.is_odd, "seed {seed}, row {row}");
        }
        // Also of a part, which does not begin where its memory does.
        let start = random.below(len + 1);
        let part = batch.slice(start, random.below(len + 1 - start));
        let given = Table::from_record_batch(&part).unwrap();
        let expected = samples[start..start + part.num_rows()].to_vec();
        let expected = Table::from_records(expected).unwrap();
        assert_eq!(given.schema(), expected.schema());
        let (given, expected) = (given.shown(len), expected.shown(len));
        assert_eq!(given.to_string(), expected.to_string(), "seed {seed}");
    }
}

#[test]
fn arrow_numbers_are_not_copied() {
    let table = Table::from_records((0..1_000i64).map(|i| (i, Some(i as f64)))).unwrap();
    let batch = table.to_record_batch().unwrap();
    let (integers, floats) =
        (array::<Int64Array>(&batch, "_1"), array::<Float64Array>(&batch, "_2"));
    let own = (table.columns()[0].i64s().unwrap(), table.columns()[1].f64s().unwrap());
    assert_eq!(integers.values().as_ptr(), own.0.as_ptr());
    assert_eq!(floats.values().as_ptr(), own.1.as_ptr());
    // And back: the memory outlives all that it came through.
    let (first, second) = (own.0.as_ptr(), own.1.as_ptr());
    drop(table);
    let part = batch.slice(10, 100);
    let back = Table::from_record_batch(&part).unwrap();
    drop((batch, part, integers, floats));
    let own = (back.columns()[0].i64s().unwrap(), back.columns()[1].f64s().unwrap());
    assert_eq!(own.0.as_ptr(), first.wrapping_add(10));
    assert_eq!(own.1.as_ptr(), second.wrapping_add(10));
    assert_eq!((own.0[0], own.1[99]), (10, 109.0));
    let sums = back.filter(col("_1").lt(12)).unwrap().with_column("x", col("_1") + 1).unwrap();
    assert_eq!(sums.column("x").unwrap().i64s().unwrap(), [11, 12]);
}

#[test]
fn arrow_types_that_are_widened() {
    let columns: [(&str, ArrayRef); 6] = [
        ("i8", Arc::new(Int8Array::from(vec![Some(-8), None]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(1), None]))),
        ("f32", Arc::new(Float32Array::from(vec![0.5, -0.5]))),
        ("text", Arc::new(StringArray::from(vec![Some("é"), None]))),
        ("ms", Arc::new(TimestampMillisecondArray::from(vec![Some(1_500), None]))),
        ("null", Arc::new(Int64Array::from(vec![None, None]))),
    ];
    let table = Table::from_record_batch(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    assert_eq!(
        table.schema().to_string(),
        "i8: i64, u64: i64, f32: f64, text: text, ms: timestamp, null: i64"
    );
    let row: Vec<Cell<'_>> = table.columns().iter().map(|column| column.get(0)).collect();
    let time = Cell::Timestamp(Timestamp::from_nanos(1_500_000_000));
    let expected = [Cell::I64(-8), Cell::I64(1), Cell::F64(0.5), Cell::Text("é"), time, Cell::Null];
    assert_eq!(row, expected);
    let filled = table.filter(col("i8").is_null()).unwrap();
    assert_eq!(filled.column("f32").unwrap().f64s().unwrap(), [-0.5]);
}

#[test]
fn arrow_types_that_tables_do_not_have() {
    let check = |array: ArrayRef, expected: &str| {
        let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
        let error = Table::from_record_batch(&batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert_eq!(error.to_string(), expected);
    };
    check(
        Arc::new(BinaryArray::from(vec![&b"a"[..]])),
        "column \"c\": its type is Binary, and a table has none with all of its values",
    );
    check(
        Arc::new(UInt64Array::from(vec![u64::MAX])),
        "column \"c\": its type is UInt64, and a table has none with all of its values",
    );
    let empty = Table::new(Vec::<(String, tidemill::table::Series)>::new()).unwrap();
    let batch = empty.to_record_batch().unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (0, 0));
}

#[test]
fn arrow_batches_of_records() {
    let samples = samples(&mut Random::new(1), 20);
    let batch: Batch<Sample> = samples.iter().cloned().collect();
    let arrays = batch.to_arrow_rs().unwrap();
    let records = arrays[0].as_any().downcast_ref::<StructArray>().unwrap();
    assert_eq!((arrays.len(), records.len(), records.num_columns()), (1, 20, 5));
    let table = Table::from_record_batch(&RecordBatch::from(records.clone())).unwrap();
    assert_eq!(table.to_string(), Table::from_records(samples).unwrap().to_string());
}
