//! Records of every kind: through operators, out by rows, and out as Arrow arrays.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::mpsc::sync_channel;

use tidemill::arrow2::array::{
    Array, BinaryArray, BooleanArray, ListArray, NullArray, PrimitiveArray, StructArray, Utf8Array,
};
use tidemill::arrow2::datatypes::{DataType, Field, TimeUnit};
use tidemill::arrow2::offset::{Offsets, OffsetsBuffer};
use tidemill::prelude::*;
use tidemill::{ArrowRecord, List, Show, shown};

use crate::check::{In, Out, check, halves};

/// Rows come out of operators as they went in: copied by `map`, emitted by reference, gathered by
/// `filter`, as values of a key.
#[track_caller]
fn check_rows<T: Record + Clone + PartialEq + Debug>(rows: &[T]) {
    let input = [halves(rows), In::Partitions(vec![])];
    let expected = [Out::Rows(rows.to_vec()), Out::Rows(vec![])];
    check(|stream: &DStream<T>| stream.map(|row| T::from_ref(row)), &input, &expected);
    check(
        |stream: &DStream<T>| stream.flat_map::<T, _>(|row, out| out.push(row)),
        &input,
        &expected,
    );
    // The first row is left out, so that the others are gathered.
    check(
        |stream: &DStream<T>| {
            let pairs = stream.pair_with(1i64);
            let first = std::sync::atomic::AtomicBool::new(true);
            pairs
                .transform(|batch, _| Ok(batch.to_vec().into_iter().collect()))
                .filter(move |_| !first.swap(false, std::sync::atomic::Ordering::SeqCst))
                .map(|(row, _)| T::from_ref(row))
        },
        &input[..1],
        &[Out::Rows(rows[1..].to_vec())],
    );
    check(
        |stream: &DStream<T>| {
            let groups = stream.map(|row| (0i64, T::from_ref(row))).group_by_key();
            groups.flat_map::<T, _>(|(_, rows): (_, List<'_, T>), out| {
                rows.iter().for_each(|row| out.push(row));
            })
        },
        &input[..1],
        &expected[..1],
    );
}

/// As [`check_rows`], and the array that the columns make.
#[track_caller]
fn check_array<T: ArrowRecord + Clone + PartialEq + Debug>(rows: &[T], expected: Box<dyn Array>) {
    check_rows(rows);
    // Once as pushed, once as an operator built them, once gathered from more rows than these.
    let twice: Vec<T> = rows.iter().chain(rows).cloned().collect();
    let second_half = move |stream: &DStream<T>, len: usize| {
        let seen = std::sync::atomic::AtomicUsize::new(0);
        stream.filter(move |_| seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= len)
    };
    let (sender, receiver) = sync_channel(3);
    let mut t = TestContext::new().unwrap();
    let (once, doubled) = (t.input::<T>(), t.input::<T>());
    let gathered = second_half(doubled.stream(), rows.len());
    for stream in [once.stream(), &once.stream().map(|row| T::from_ref(row)), &gathered] {
        let sender = sender.clone();
        stream.foreach_batch(move |batch, _| {
            sender.send(batch.to_arrow())?;
            Ok(())
        });
    }
    once.push(rows.to_vec()).unwrap();
    doubled.push(twice).unwrap();
    t.tick().unwrap();
    for _ in 0..3 {
        let arrays: Vec<Box<dyn Array>> = receiver.try_recv().unwrap();
        assert_eq!(arrays.len(), 1, "one array for each partition");
        assert_eq!(arrays[0].data_type(), expected.data_type());
        assert!(arrays[0] == expected, "\n  actual: {:?}\nexpected: {expected:?}", arrays[0]);
    }
}

#[test]
fn integers_and_floats() {
    macro_rules! check_scalars {
        ($($scalar:ty: $values:expr),* $(,)?) => {$(
            let values: Vec<$scalar> = $values.to_vec();
            check_array(&values, PrimitiveArray::from_vec(values.clone()).boxed());
        )*};
    }
    check_scalars! {
        i8: [i8::MIN, 0, i8::MAX],
        i16: [i16::MIN, 0, i16::MAX],
        i32: [i32::MIN, 0, i32::MAX],
        i64: [i64::MIN, 0, i64::MAX],
        u16: [0, 1, u16::MAX],
        u32: [0, 1, u32::MAX],
        u64: [0, 1, u64::MAX],
        f32: [f32::MIN, -0.0, f32::INFINITY],
        f64: [f64::MIN, -0.0, f64::INFINITY],
    }
}

#[test]
fn bools_and_units() {
    check_array(&[true, false, true], BooleanArray::from_slice([true, false, true]).boxed());
    check_array(&[(), (), ()], NullArray::new(DataType::Null, 3).boxed());
}

#[test]
fn text_and_bytes() {
    let text = ["", "a", "é漢🌊\0", &"x".repeat(300)];
    check_array(&text.map(String::from), Utf8Array::<i64>::from_slice(text).boxed());
    let bytes: [&[u8]; 4] = [b"", b"\xff\0", b"abc", &[7; 300]];
    check_array(&bytes.map(<[u8]>::to_vec), BinaryArray::<i64>::from_slice(bytes).boxed());
}

#[test]
fn options() {
    let numbers = [Some(1i64), None, Some(3), None];
    check_array(&numbers, PrimitiveArray::from(numbers).boxed());
    let text = [None, Some("a".to_owned()), Some(String::new())];
    check_array(&text, Utf8Array::<i64>::from([None, Some("a"), Some("")]).boxed());
    let nothing: [Option<bool>; 2] = [None, None];
    check_array(&nothing, BooleanArray::from([None, None]).boxed());
    check_rows(&[Some(Some(1i64)), Some(None), None]);
}

#[test]
fn tuples() {
    let rows = [("a".to_owned(), 1i64, true), (String::new(), -1, false)];
    let arrays = vec![
        Utf8Array::<i64>::from_slice(["a", ""]).boxed(),
        PrimitiveArray::from_vec(vec![1i64, -1]).boxed(),
        BooleanArray::from_slice([true, false]).boxed(),
    ];
    let types = arrays.iter().map(|array| array.data_type().clone()).enumerate();
    let fields = types.map(|(index, data_type)| Field::new(index.to_string(), data_type, true));
    let fields = fields.collect();
    check_array(&rows, StructArray::new(DataType::Struct(fields), arrays, None).boxed());
    check_rows(&[(1i8,), (2,)]);
    check_rows(&[(1i8, 2i16, 3i32, 4i64, 5u16, (6u32, "nested".to_owned()))]);
}

#[test]
fn lists() {
    let rows = [vec![1i64, 2], vec![], vec![3]];
    let item = Field::new("item", DataType::Int64, true);
    let array = ListArray::<i64>::new(
        DataType::LargeList(Box::new(item)),
        OffsetsBuffer::from(Offsets::try_from_lengths([2, 0, 1].into_iter()).unwrap()),
        PrimitiveArray::from_vec(vec![1i64, 2, 3]).boxed(),
        None,
    );
    check_array(&rows, array.boxed());
    check_rows(&[vec![vec!["a".to_owned()], vec![]], vec![]]);
    check_rows(&[Some(vec![(1i64, Some("a".to_owned()))]), None]);
}

#[test]
fn rows_of_any_type() {
    #[derive(Clone, Debug, PartialEq)]
    enum Event {
        Login { user: String },
        Amounts(BTreeMap<i64, f64>),
    }
    let amounts = BTreeMap::from([(1, 0.5), (2, f64::MAX)]);
    let rows = [
        Row(Event::Login { user: "a".to_owned() }),
        Row(Event::Amounts(amounts)),
        Row(Event::Login { user: String::new() }),
    ];
    check_rows(&rows);
    check_rows(&[(1i64, rows[0].clone()), (2, rows[1].clone())]);
    check_rows(&[vec![rows[0].clone()], vec![]]);
}

#[test]
fn lists_by_reference() {
    let check_lists = |rows: &[Vec<i64>], expected: &[(i64, Option<i64>)]| {
        check(
            |lists: &DStream<Vec<i64>>| {
                lists.map(|list| (list.len() as i64, list.get(1).filter(|_| !list.is_empty())))
            },
            &[halves(rows)],
            &[Out::Rows(expected.to_vec())],
        );
    };
    check_lists(&[vec![1, 2], vec![], vec![3]], &[(2, Some(2)), (0, None), (1, None)]);
}

/// As Spark prints them.
#[test]
fn rows_as_text() {
    fn check_text<T: Show>(row: T, expected: &str) {
        assert_eq!(shown::<T>(row.to_ref()).to_string(), expected);
    }
    check_text(("word".to_owned(), 2i64), "(word,2)");
    check_text(1.0f64, "1.0");
    check_text(vec![("a".to_owned(), None), (String::new(), Some(1i64))], "[(a,None),(,Some(1))]");
    check_text(vec![b'a', 0xff], "a\\xff");
    check_text(Row(Some('x')), "Some('x')");
    check_text((true, ()), "(true,())");
}

#[test]
fn timestamps() {
    let nanos = [i64::MIN, -1, 0, 1, 1_709_211_336_500_000_000, i64::MAX];
    let expected = PrimitiveArray::from_vec(nanos.to_vec());
    let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    check_array(&nanos.map(Timestamp::from_nanos), expected.to(utc).boxed());
    let texts = [
        "1677-09-21T00:12:43.145224192Z",
        "1969-12-31T23:59:59.999999999Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000000001Z",
        "2024-02-29T12:55:36.500Z",
        "2262-04-11T23:47:16.854775807Z",
    ];
    for (nanos, text) in nanos.into_iter().zip(texts) {
        let time = Timestamp::from_nanos(nanos);
        assert_eq!(shown::<Timestamp>(time).to_string(), text);
        assert_eq!(text.parse::<Timestamp>().unwrap(), time);
    }
    // Every day there is, and so every month and every kind of year.
    for day in -106_751..106_751i64 {
        let time = Timestamp::from_nanos(day * 86_400_000_000_000 + 86_399_000_001_000);
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }
    let message = |text: &str| text.parse::<Timestamp>().unwrap_err().to_string();
    assert!(message("2023-02-29T12:55:36Z").contains("\"2023-02-29T12:55:36Z\": not a time"));
    assert!(message(&"漢".repeat(1 << 20)).len() < 200);
}

#[test]
fn timestamps_are_fields_and_keys() {
    #[derive(Record, Clone, Debug, PartialEq)]
    struct Visit {
        page: String,
        at: Timestamp,
        until: Option<Timestamp>,
    }
    let visit = |page: &str, at: &str| {
        let at = at.parse().unwrap();
        Visit { page: page.into(), at, until: Some(at) }
    };
    let visits = [visit("/", "2024-02-29T00:00:00Z"), visit("/a", "2023-02-28T00:00:00Z")];
    check_rows(&visits);
    let mut t = TestContext::new().unwrap();
    let input = t.input::<Visit>();
    let latest = input.stream().map(|visit| (visit.at, visit.at)).aggregate_by_key(Max);
    let latest = t.output(&latest);
    let first = input.stream().reduce(|a, b| {
        let first = if a.at < b.at { a } else { b };
        Visit::from_ref(first)
    });
    let first = t.output(&first);
    input.push(visits.to_vec()).unwrap();
    t.tick().unwrap();
    assert_eq!(latest.take_sorted()[1], (visits[0].at, visits[0].at));
    assert_eq!(first.take(), [visits[1].clone()]);
}
