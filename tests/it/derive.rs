//! Records by `#[derive(Record)]`: through operators, out as rows, text and Arrow arrays, and their
//! columns against a vector of structs.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidemill::arrow2::array::{Array, BinaryArray, PrimitiveArray, StructArray, Utf8Array};
use tidemill::arrow2::datatypes::{DataType, Field};
use tidemill::prelude::*;
use tidemill::{ArrowRecord, Column, Key, List, Ordered, Show, shown};

use crate::check::{In, Out, check, check_bag, halves};

#[derive(Clone, Debug, PartialEq, Record)]
struct Reading {
    station: String,
    celsius: f64,
    at: Option<i64>,
}

/// A key: all its fields are.
#[derive(Clone, Debug, PartialEq, PartialOrd, Record)]
struct Sensor {
    place: String,
    number: u32,
}

/// A field of every kind.
#[derive(Clone, Debug, PartialEq, Record)]
struct Everything {
    number: i32,
    flag: bool,
    text: String,
    bytes: Vec<u8>,
    option: Option<String>,
    list: Vec<Option<f32>>,
    pair: (i64, String),
    unit: (),
    row: Row<BTreeMap<char, u8>>,
    nested: Sensor,
    r#type: Option<Sensor>,
    sensors: Vec<Sensor>,
}

/// Nothing but the trait: no `Clone`, no `Debug`, and a value that has no `Debug` either.
#[derive(Record)]
struct Bare {
    name: String,
    opaque: Row<Opaque>,
}

#[derive(Clone)]
struct Opaque;

fn reading(station: &str, celsius: f64, at: Option<i64>) -> Reading {
    Reading { station: station.into(), celsius, at }
}

fn readings() -> Vec<Reading> {
    vec![
        reading("oslo", 3.5, None),
        reading("rome", 21.0, Some(1)),
        reading("oslo", -2.0, Some(2)),
        reading("", f64::INFINITY, Some(i64::MIN)),
    ]
}

fn sensor(place: &str, number: u32) -> Sensor {
    Sensor { place: place.into(), number }
}

fn everything(number: i32) -> Everything {
    Everything {
        number,
        flag: number % 2 == 0,
        text: "é".repeat(number as usize),
        bytes: vec![0xff; number as usize],
        option: (number > 1).then(|| number.to_string()),
        list: vec![Some(0.5), None][..number as usize % 3].to_vec(),
        pair: (-1, "pair".into()),
        unit: (),
        row: Row(BTreeMap::from([('a', number as u8)])),
        nested: sensor("nested", number as u32),
        r#type: (number > 0).then(|| sensor("", 7)),
        sensors: vec![sensor("many", 1); number as usize],
    }
}

/// Columns of values that were moved in.
fn columns<T: Record>(rows: Vec<T>) -> T::Columns {
    let mut columns = T::Columns::default();
    rows.into_iter().for_each(|row| columns.push_owned(row));
    columns
}

fn values<C: Columns>(columns: &C) -> Vec<C::Record> {
    (0..columns.len()).map(|row| <C::Record as Record>::from_ref(columns.get(row))).collect()
}

#[test]
fn narrow_operators() {
    let rows = readings();
    let input = [halves(&rows), In::Partitions(vec![]), In::Absent];
    let outs = |rows: Vec<Reading>| [Out::Rows(rows), Out::Rows(vec![]), Out::Absent];
    check(
        |readings: &DStream<Reading>| readings.filter(|row| row.celsius > 0.0),
        &input,
        &outs([0, 1, 3].map(|row| rows[row].clone()).to_vec()),
    );
    check(
        |readings: &DStream<Reading>| {
            readings.map(|row| Reading { celsius: row.celsius * 2.0, ..Reading::from_ref(row) })
        },
        &input,
        &outs(rows.iter().map(|r| Reading { celsius: r.celsius * 2.0, ..r.clone() }).collect()),
    );
    // Emitted without owning a thing.
    check(
        |readings: &DStream<Reading>| {
            readings.flat_map::<Reading, _>(|row, out| {
                let ReadingRef { station, celsius, at } = row;
                out.push(ReadingRef { station: station.get(..1).unwrap_or("?"), celsius, at });
                if at.is_none() {
                    out.push(row);
                }
            })
        },
        &input,
        &outs(vec![
            reading("o", 3.5, None),
            rows[0].clone(),
            reading("r", 21.0, Some(1)),
            reading("o", -2.0, Some(2)),
            reading("?", f64::INFINITY, Some(i64::MIN)),
        ]),
    );
}

#[test]
fn unions_and_windows() {
    let (first, second) = (readings(), vec![reading("bern", 0.0, None)]);
    let input = [halves(&first), In::Partitions(vec![]), halves(&second)];
    check(
        |readings: &DStream<Reading>| {
            let cold = readings.filter(|row| row.celsius <= 0.0);
            readings.filter(|row| row.celsius > 0.0).union(&cold)
        },
        &input,
        &[
            Out::Rows([0, 1, 3, 2].map(|row| first[row].clone()).to_vec()),
            Out::Rows(vec![]),
            Out::Rows(second.clone()),
        ],
    );
    check(
        |readings: &DStream<Reading>| {
            readings.window(Duration::from_secs(2), Duration::from_secs(1))
        },
        &input,
        &[Out::Rows(first.clone()), Out::Rows(first.clone()), Out::Rows(second.clone())],
    );
}

#[test]
fn keys_and_values() {
    let rows = [("a", 1), ("b", 1), ("a", 2), ("a", 1)];
    let sensors = rows.map(|(place, number)| sensor(place, number));
    check_bag(
        |sensors: &DStream<Sensor>| sensors.count_by_value(),
        &[halves(&sensors)],
        &[Out::Rows(vec![(sensor("a", 1), 2), (sensor("a", 2), 1), (sensor("b", 1), 1)])],
    );
    check_bag(
        |readings: &DStream<Reading>| {
            let by_station = readings.map(|row| (row.station.to_owned(), Reading::from_ref(row)));
            // What a closure chooses of two rows may be either.
            let later = by_station.reduce_by_key(|left, right| {
                Reading::from_ref(if left.at >= right.at { left } else { right })
            });
            let grouped = by_station.group_by_key().map(|(station, rows)| {
                let sum = rows.iter().map(|row| row.celsius).sum::<f64>();
                (station.to_owned(), reading("sum", sum, Some(rows.len() as i64)))
            });
            later.union(&grouped)
        },
        &[halves(&readings()[..3])],
        &[Out::Rows(vec![
            ("oslo".to_owned(), reading("oslo", -2.0, Some(2))),
            ("rome".to_owned(), reading("rome", 21.0, Some(1))),
            ("oslo".to_owned(), reading("sum", 1.5, Some(2))),
            ("rome".to_owned(), reading("sum", 21.0, Some(1))),
        ])],
    );
}

#[test]
fn sorted_rows() {
    let rows = readings();
    check(
        |readings: &DStream<Reading>| readings.sort_by(|a, b| a.celsius.total_cmp(&b.celsius)),
        &[halves(&rows)],
        &[Out::Rows([2, 0, 1, 3].map(|row| rows[row].clone()).to_vec())],
    );
    // By station, then by temperature.
    check(
        |readings: &DStream<Reading>| readings.sorted(),
        &[halves(&rows)],
        &[Out::Rows([3, 2, 0, 1].map(|row| rows[row].clone()).to_vec())],
    );
    check(
        |readings: &DStream<Reading>| readings.top(1),
        &[halves(&rows)],
        &[Out::Rows(vec![rows[1].clone()])],
    );
}

#[test]
fn every_kind_of_field() {
    let rows: Vec<Everything> = (0..9).map(everything).collect();
    check(
        |stream: &DStream<Everything>| {
            let pushed = stream.flat_map::<Everything, _>(|row, out| out.push(row));
            pushed.map(|row| Everything::from_ref(row)).filter(|row| row.number != 4)
        },
        &[halves(&rows), In::Partitions(vec![])],
        &[Out::Rows([&rows[..4], &rows[5..]].concat()), Out::Rows(vec![])],
    );
    check(
        |stream: &DStream<Everything>| {
            let groups = stream.map(|row| (row.flag, Everything::from_ref(row))).group_by_key();
            let rows =
                groups.flat_map::<Everything, _>(|(_, rows): (_, List<'_, Everything>), out| {
                    rows.iter().for_each(|r| out.push(r))
                });
            rows.sort_by(|left, right| left.number.cmp(&right.number))
        },
        &[halves(&rows)],
        &[Out::Rows(rows.clone())],
    );
}

#[test]
fn structs_with_no_other_trait() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<Bare>();
    let names =
        t.output(&input.stream().filter(|row| row.name > "a").map(|row| row.name.len() as i64));
    let bare = |name: &str| Bare { name: name.into(), opaque: Row(Opaque) };
    input.push([bare("a"), bare("bb"), bare("ccc")]).unwrap();
    t.tick().unwrap();
    assert_eq!(names.take(), [2, 3]);
    let Opaque = bare("a").to_ref().opaque;
}

#[test]
fn columns_by_name() {
    fn check_token<R: Record, T: Record>(token: Column<R, T>, name: &str, index: usize) {
        let copy = token;
        assert_eq!((token.name(), copy.index()), (name, index));
        assert_eq!(format!("{token:?}"), format!("Column({name})"));
    }
    check_token(Reading::STATION, "station", 0);
    check_token(Reading::CELSIUS, "celsius", 1);
    check_token(Everything::TYPE, "type", 10);
    let batch: Batch<Reading> = readings().into_iter().collect();
    let columns = batch.partitions().next().unwrap();
    assert_eq!(columns.column(Reading::CELSIUS).values(), [3.5, 21.0, -2.0, f64::INFINITY]);
    assert_eq!(columns.column(Reading::STATION).get(1), "rome");
    assert_eq!(Reading::AT.of(columns).get(2), Some(2));
    let columns = crate::derive::columns(vec![everything(2)]);
    assert_eq!(columns.column(Everything::NESTED).column(Sensor::NUMBER).values(), [2]);
}

/// As Spark prints a case class.
#[test]
fn rows_as_text() {
    #[track_caller]
    fn check_text<T: Show>(row: T, expected: &str) {
        assert_eq!(shown::<T>(row.to_ref()).to_string(), expected);
    }
    check_text(reading("oslo", 3.5, None), "Reading(oslo,3.5,None)");
    check_text((sensor("a", 1), Some(sensor("b", 2))), "(Sensor(a,1),Some(Sensor(b,2)))");
    let everything = everything(1);
    let text = "Everything(1,false,é,\\xff,None,[Some(0.5)],(-1,pair),(),{'a': 1},\
                Sensor(nested,1),Some(Sensor(,7)),[Sensor(many,1)])";
    check_text(everything, text);
    let reading = reading("oslo", 3.5, None);
    let expected = r#"ReadingRef { station: "oslo", celsius: 3.5, at: None }"#;
    assert_eq!(format!("{:?}", reading.to_ref()), expected);
    assert_eq!(format!("{:?}", columns(vec![reading])), "ReadingColumns(1 rows)");
}

#[test]
fn order_and_equality() {
    let order = |a: (&str, u32), b: (&str, u32)| {
        Sensor::order(sensor(a.0, a.1).to_ref(), sensor(b.0, b.1).to_ref())
    };
    assert_eq!(order(("a", 2), ("b", 1)), Ordering::Less);
    assert_eq!(order(("a", 2), ("a", 1)), Ordering::Greater);
    assert_eq!(order(("a", 1), ("a", 1)), Ordering::Equal);
    assert!(Sensor::same(sensor("a", 1).to_ref(), sensor("a", 1).to_ref()));
    assert!(!Sensor::same(sensor("a", 1).to_ref(), sensor("a", 2).to_ref()));
    assert!(!Sensor::same(sensor("a", 1).to_ref(), sensor("b", 1).to_ref()));
    // Values of a Rust type may differ where neither is less.
    #[derive(Record)]
    struct Opaque {
        number: i64,
        row: Row<i64>,
    }
    const { assert!(Opaque::TIES_SHOW && !Sensor::TIES_SHOW && !Reading::TIES_SHOW) };
    let opaque = |number, row| Opaque { number, row: Row(row) };
    let (first, second) = (opaque(1, 2), opaque(1, 3));
    assert_eq!(Opaque::order(first.to_ref(), second.to_ref()), Ordering::Less);
}

fn array_of_struct(fields: Vec<(&str, Box<dyn Array>)>) -> Box<dyn Array> {
    let of =
        |(name, array): &(&str, Box<dyn Array>)| Field::new(*name, array.data_type().clone(), true);
    let data_type = DataType::Struct(fields.iter().map(of).collect());
    let arrays = fields.into_iter().map(|(_, array)| array).collect();
    StructArray::new(data_type, arrays, None).boxed()
}

#[track_caller]
fn check_array<T: ArrowRecord>(rows: Vec<T>, expected: Box<dyn Array>) {
    let array = T::to_arrow(&columns(rows));
    assert_eq!(array.data_type(), expected.data_type());
    assert!(array == expected, "\n  actual: {array:?}\nexpected: {expected:?}");
}

#[test]
fn arrow_arrays() {
    let check_readings = |rows: Vec<Reading>| {
        let stations: Vec<&str> = rows.iter().map(|row| row.station.as_str()).collect();
        let celsius: Vec<f64> = rows.iter().map(|row| row.celsius).collect();
        let at: Vec<Option<i64>> = rows.iter().map(|row| row.at).collect();
        let expected = array_of_struct(vec![
            ("station", Utf8Array::<i64>::from_slice(stations).boxed()),
            ("celsius", PrimitiveArray::from_vec(celsius).boxed()),
            ("at", PrimitiveArray::from(at).boxed()),
        ]);
        check_array(rows, expected);
    };
    check_readings(readings());
    check_readings(vec![]);

    #[derive(Record)]
    struct Packet {
        r#type: Vec<u8>,
        from: Sensor,
    }
    let from = array_of_struct(vec![
        ("place", Utf8Array::<i64>::from_slice(["a", "b"]).boxed()),
        ("number", PrimitiveArray::from_vec(vec![1u32, 2]).boxed()),
    ]);
    let bytes: [&[u8]; 2] = [b"\xff", b""];
    let types = BinaryArray::<i64>::from_slice(bytes).boxed();
    check_array(
        vec![
            Packet { r#type: vec![0xff], from: sensor("a", 1) },
            Packet { r#type: vec![], from: sensor("b", 2) },
        ],
        array_of_struct(vec![("type", types), ("from", from)]),
    );
}

#[test]
fn lengths_in_bytes() {
    let short = reading("oslo", 0.0, None);
    let long = reading(&"oslo".repeat(100), 0.0, None);
    let grown = Reading::byte_len(long.to_ref()) - Reading::byte_len(short.to_ref());
    assert_eq!(grown, 396);
    let (few, many) = (columns(vec![short.clone()]), columns(vec![short; 100]));
    assert!(few.byte_len() > 0);
    assert_eq!(many.byte_len(), 100 * few.byte_len());
    assert_eq!(ReadingColumns::default().byte_len(), 0);
}

/// What is done with columns while they are built and handed on.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<Everything>),
    PushOwned(Vec<Everything>),
    Append(Vec<Everything>),
    Gather(Vec<prop::sample::Index>),
    Freeze,
    Clear,
}

prop_compose! {
    fn any_everything()(
        number in any::<i32>(),
        flag in any::<bool>(),
        text in "\\PC{0,8}",
        bytes in vec(any::<u8>(), 0..8),
        option in prop::option::of(".{0,4}"),
        list in vec(prop::option::of(-1e9f32..1e9), 0..4),
        pair in (any::<i64>(), ".{0,4}"),
        row in prop::collection::btree_map(any::<char>(), any::<u8>(), 0..3),
        sensors in vec(("[a-c]{0,2}", any::<u32>()), 1..4),
    ) -> Everything {
        let sensors: Vec<Sensor> =
            sensors.into_iter().map(|(place, number)| Sensor { place, number }).collect();
        Everything {
            number, flag, text, bytes, option, list, pair,
            unit: (),
            row: Row(row),
            nested: sensors[0].clone(),
            r#type: sensors.get(1).cloned(),
            sensors,
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let rows = || vec(any_everything(), 0..8);
    prop_oneof![
        3 => rows().prop_map(Step::Push),
        3 => rows().prop_map(Step::PushOwned),
        2 => rows().prop_map(Step::Append),
        2 => vec(any::<prop::sample::Index>(), 0..12).prop_map(Step::Gather),
        1 => Just(Step::Freeze),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Columns hold what a vector of structs does.
    #[test]
    fn columns_are_structs(steps in vec(any_step(), 0..12)) {
        let mut columns = EverythingColumns::default();
        let mut model: Vec<Everything> = Vec::new();
        for step in steps {
            match step {
                Step::Push(rows) => {
                    rows.iter().for_each(|row| columns.push(row.to_ref()));
                    model.extend(rows);
                }
                Step::PushOwned(rows) => {
                    rows.iter().for_each(|row| columns.push_owned(row.clone()));
                    model.extend(rows);
                }
                Step::Append(rows) => {
                    columns.append(&crate::derive::columns(rows.clone()));
                    model.extend(rows);
                }
                Step::Gather(rows) if !model.is_empty() => {
                    let rows: Vec<usize> = rows.iter().map(|row| row.index(model.len())).collect();
                    let positions: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                    columns = columns.gather(&positions);
                    model = rows.iter().map(|&row| model[row].clone()).collect();
                }
                Step::Gather(_) => columns = columns.gather(&[]),
                Step::Freeze => columns.freeze(),
                Step::Clear => {
                    columns.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(columns.len(), model.len());
            prop_assert_eq!(columns.is_empty(), model.is_empty());
            prop_assert_eq!(values(&columns), model.clone());
        }
    }
}

/// Rows that are kept are copied out of the blocks that they lie in.
#[test]
fn rows_that_borrow() {
    let mut kept = columns(vec![everything(3), everything(4)]);
    assert!(!kept.is_borrowed());
    kept.freeze();
    assert!(!kept.is_borrowed());
    // Little is left of much text.
    let mut long = columns(vec![sensor(&"x".repeat(1_000), 1), sensor("y", 2)]);
    long.freeze();
    assert!(long.gather(&[1]).is_borrowed());
}

/// Many rows, in blocks and by several threads, as a vector of structs has them.
#[test]
fn many_rows() {
    let row = |number: i64| {
        reading(["oslo", "rome", "bern"][number as usize % 3], number as f64, Some(number))
    };
    let rows: Vec<Reading> = (0..20_000).map(row).collect();
    let expected = |station: &str| {
        let of_station = rows.iter().filter(|row| row.station == station && row.celsius >= 5.0);
        of_station.map(|row| row.celsius).sum::<f64>()
    };
    let sums = ["bern", "oslo", "rome"].map(|station| (station.to_owned(), expected(station)));
    check_bag(
        |readings: &DStream<Reading>| {
            let warm = readings.filter(|row| row.celsius >= 5.0);
            warm.map(|row| (row.station.to_owned(), row.celsius)).aggregate_by_key(Sum)
        },
        &[In::Partitions(rows.chunks(3_000).map(<[Reading]>::to_vec).collect())],
        &[Out::Rows(sums.to_vec())],
    );
}
