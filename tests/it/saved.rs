//! What is saved comes back, bit for bit, and what nobody saved is refused.

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tidemill::prelude::*;
use tidemill::{ErrorKind, Number};

/// A row and all there is of it, floats by their bits, as it stands in columns too.
#[derive(Clone, Debug, Record)]
struct Reading {
    station: String,
    celsius: f64,
    r#type: Option<Place>,
}

#[derive(Clone, Debug, Record)]
struct Place {
    street: Vec<u8>,
    numbers: Vec<(u32, bool)>,
}

#[track_caller]
fn run<T: Debug>(values: impl Strategy<Value = T>, test: impl Fn(&T) -> Result<(), String>) {
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let ran =
        TestRunner::new(config).run(&values, |value| test(&value).map_err(TestCaseError::fail));
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// Saves rows, from columns and from values, and loads them: `bits` says what shows all of a row.
#[track_caller]
fn check<T, B>(form: &str, rows: impl Strategy<Value = T>, bits: impl Fn(&T) -> B)
where
    T: Record + Debug,
    B: Debug + PartialEq,
{
    assert_eq!(T::saved_as().as_deref(), Some(form));
    run(vec(rows, 1..6), |rows| {
        let (mut columns, mut bytes, mut again) = (T::Columns::default(), Vec::new(), Vec::new());
        for row in rows {
            columns.push(row.to_ref());
            T::save(row.to_ref(), &mut bytes);
        }
        (0..rows.len()).for_each(|row| T::save(columns.get(row), &mut again));
        if bytes.len() < rows.len() {
            return Err("a row takes a byte".to_owned());
        }
        let (loaded, rest) = load_all::<T>(&bytes, rows.len())?;
        let expected: Vec<B> = rows.iter().map(&bits).collect();
        if rest != 0 || loaded.iter().map(&bits).ne(expected) {
            return Err(format!("{loaded:?} came back, and {rest} bytes were left"));
        }
        let (loaded, _) = load_all::<T>(&again, rows.len())?;
        let expected: Vec<B> =
            (0..rows.len()).map(|row| bits(&T::from_ref(columns.get(row)))).collect();
        if loaded.iter().map(&bits).ne(expected) {
            return Err(format!("{loaded:?} came back out of columns"));
        }
        (0..bytes.len()).try_for_each(|end| match load_all::<T>(&bytes[..end], rows.len()) {
            Ok(_) => Err(format!("{end} of {} bytes were enough", bytes.len())),
            Err(_) => Ok(()),
        })
    });
    // Whatever the bytes are, they are rows or torn, and rows are not more than bytes.
    run(vec(any::<u8>(), 0..40), |bytes| load_all::<T>(bytes, 3).map(drop).or(Ok(())));
    let endless: [&[u8]; 3] =
        [&[0xFF; 40], &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F], &[1, 0xFE, 0xFF, 0x7F]];
    endless.iter().for_each(|bytes| drop(load_all::<T>(bytes, 3)));
}

fn load_all<T: Record>(bytes: &[u8], rows: usize) -> Result<(Vec<T>, usize), String> {
    let mut rest = bytes;
    let loaded = (0..rows).map(|_| T::load(&mut rest)).collect::<tidemill::Result<Vec<T>>>();
    let loaded = loaded.map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        error.to_string()
    })?;
    Ok((loaded, rest.len()))
}

fn any_f64() -> impl Strategy<Value = f64> {
    let special = [-0.0, f64::NAN, -f64::NAN, f64::from_bits(0x7FF0_0000_0000_0001), 5e-324];
    prop_oneof![any::<u64>().prop_map(f64::from_bits), proptest::sample::select(special.to_vec())]
}

fn any_place() -> impl Strategy<Value = Place> {
    (vec(any::<u8>(), 0..4), vec((any::<u32>(), any::<bool>()), 0..3))
        .prop_map(|(street, numbers)| Place { street, numbers })
}

#[test]
fn scalars() {
    check("i8", any::<i8>(), |&row| row);
    check("i16", any::<i16>(), |&row| row);
    check("i32", any::<i32>(), |&row| row);
    check("i64", prop_oneof![any::<i64>(), -200i64..200], |&row| row);
    check("u16", any::<u16>(), |&row| row);
    check("u32", any::<u32>(), |&row| row);
    check("u64", prop_oneof![any::<u64>(), 0u64..200], |&row| row);
    check("f32", any::<u32>().prop_map(f32::from_bits), |row| row.to_bits());
    check("f64", any_f64(), |row| row.to_bits());
    check("bool", any::<bool>(), |&row| row);
    check("()", proptest::strategy::Just(()), |&row| row);
    check("timestamp", any::<i64>().prop_map(Timestamp::from_nanos), |&row| row);
}

#[test]
fn numbers_stay_what_they_are() {
    let decimals =
        (any::<i64>(), 0u8..19).prop_map(|(mantissa, scale)| Number::decimal(mantissa, scale));
    let floats = any_f64().prop_map(|float| Number::from_f64(float).unwrap_or_default());
    check("number", prop_oneof![decimals, floats], |row| {
        (row.as_decimal(), row.to_f64().to_bits(), row.to_string())
    });
}

#[test]
fn text_and_bytes() {
    check("text", "[aé漢🌊\0]{0,5}", String::clone);
    check("bytes", vec(any::<u8>(), 0..200), Vec::clone);
    assert!(String::load(&mut [1, 0xFF].as_slice()).is_err(), "no UTF-8");
}

#[test]
fn what_is_made_of_others() {
    check("i64?", any::<Option<i64>>(), |&row| row);
    check("text??", any::<Option<Option<String>>>(), Option::clone);
    check("[text]", vec("[ab]{0,2}", 0..4), Vec::clone);
    check("[[()]]", vec(vec(proptest::strategy::Just(()), 0..9), 0..4), Vec::clone);
    check("(text)", any::<String>().prop_map(|text| (text,)), Clone::clone);
    check("(text, [i64?], u16)", any::<(String, Vec<Option<i64>>, u16)>(), Clone::clone);
}

#[test]
fn derived_structs() {
    let form = "{station: text, celsius: f64, type: {street: bytes, numbers: [(u32, bool)]}?}";
    let readings = (any::<String>(), any_f64(), proptest::option::of(any_place()))
        .prop_map(|(station, celsius, r#type)| Reading { station, celsius, r#type });
    check(form, readings, |row| {
        let place = row.r#type.clone().map(|place| (place.street, place.numbers));
        (row.station.clone(), row.celsius.to_bits(), place)
    });
}

#[test]
fn values_that_serde_knows() {
    type Tags = BTreeMap<String, Vec<Option<i64>>>;
    check(
        "postcard of {text => [i64?]}",
        btree_map("[ab]{0,2}", vec(any::<Option<i64>>(), 0..3), 0..3).prop_map(Saved::<Tags>),
        Clone::clone,
    );
    check("postcard of ()", proptest::strategy::Just(Saved(())), |&row| row);
    check(
        "[(postcard of (f64, bool))?]",
        vec(any::<Option<u64>>(), 0..4).prop_map(|bits| {
            bits.into_iter()
                .map(|bits| bits.map(|bits| (Saved((f64::from_bits(bits), true)),)))
                .collect::<Vec<_>>()
        }),
        |row| {
            row.iter().map(|at| at.map(|(Saved((float, _)),)| float.to_bits())).collect::<Vec<_>>()
        },
    );
    // Longer than one byte can say.
    let long = Saved("x".repeat(1_000));
    let mut bytes = Vec::new();
    Saved::save(long.to_ref(), &mut bytes);
    assert_eq!(Saved::<String>::load(&mut bytes.as_slice()).unwrap(), long);
    // A byte too many is not the value that was saved.
    assert!(Saved::<i8>::load(&mut [2, 1, 1].as_slice()).is_err());
}

#[test]
fn saved_values_tell_what_they_are() {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Session {
        user: String,
        pages: Vec<(u32, f64)>,
        device: Option<Device>,
        parent: Option<Box<Session>>,
    }

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    enum Device {
        Phone { model: String },
        Other(u8),
        Unknown,
    }

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Odd(std::num::NonZeroU32, i8);

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    enum Tree {
        Node(Box<Tree>, Box<Tree>),
        Leaf,
    }

    let form = |form: Option<String>| form.unwrap();
    let device = "Device <Phone | Other | Unknown> {model: text}?";
    let session = form(Saved::<Session>::saved_as());
    let first = format!(
        "postcard of Session {{user: text, pages: [(u32, f64)], device: {device}, parent: "
    );
    assert!(session.starts_with(&first), "{session}");
    assert!(session.len() < 600);
    // What cannot be zero is known as far as that.
    assert_eq!(form(Saved::<Odd>::saved_as()), "postcard of Odd(u32)");
    assert!(form(Saved::<Tree>::saved_as()).starts_with("postcard of Tree <Node | Leaf>"));
    assert_eq!(form(Saved::<serde_json::Value>::saved_as()), "postcard of Value");
}

#[test]
fn saved_values_do_what_rows_do() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<(Saved<(u8, String)>, i64)>();
    let sums = t.output(&input.stream().aggregate_by_key(Sum));
    let shown =
        input.stream().map(|(key, _)| tidemill::shown::<Saved<(u8, String)>>(key).to_string());
    let shown = t.output(&shown);
    let greatest =
        t.output(&input.stream().map(|(key, _)| ((), Saved(key.clone()))).aggregate_by_key(Max));
    let key = |text: &str| Saved((7u8, text.to_owned()));
    input.push([(key("b"), 1), (key("a"), 2), (key("b"), 3)]).unwrap();
    t.tick().unwrap();
    assert_eq!(sums.take_sorted(), [(key("a"), 2), (key("b"), 4)]);
    assert_eq!(shown.take()[0], r#"(7, "b")"#);
    assert_eq!(greatest.take(), [((), key("b"))]);
}

#[test]
fn rows_of_any_type_cannot_be_saved() {
    assert_eq!(Row::<i64>::saved_as(), None);
    assert_eq!(<(String, Vec<Row<i64>>)>::saved_as(), None);
    let error = Row::<i64>::load(&mut [].as_slice()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("cannot hold `Row<i64>`"), "{error}");
}
