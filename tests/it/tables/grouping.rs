//! Aggregates of groups of random rows, against the plainest computation.

use std::collections::BTreeMap;

use tidemill::prelude::*;
use tidemill::table::{
    AggExpr, count, count_of, first, last, max, mean, min, quantile, std, sum, variance,
};
use tidemill::{ErrorKind, Ordered};

use super::naive::{Sample, Value};
use crate::random::{Random, seeds};

/// All aggregates of the columns of a sample.
pub(super) fn aggregates() -> Vec<AggExpr> {
    vec![
        count(),
        count_of("b"),
        sum("b").alias("sum"),
        mean("b").alias("mean"),
        min("b"),
        max("y").alias("max_y"),
        min("y").alias("min_y"),
        first("t"),
        last("t"),
        max("t"),
        min("q"),
        std("b"),
        variance("b"),
        quantile("y", 0.5).alias("median"),
        quantile("b", 0.9),
        sum(col("b").is_not_null().cast(tidemill::table::DataType::I64)).alias("present"),
    ]
}

/// What [`aggregates`] come to for these rows; none if a sum does not fit.
pub(super) fn naive(rows: &[Sample]) -> Option<Vec<Value>> {
    let b: Vec<i64> = rows.iter().filter_map(|row| row.b).collect();
    let y: Vec<f64> = rows.iter().filter_map(|row| row.y).collect();
    let t: Vec<String> = rows.iter().filter_map(|row| row.t.clone()).collect();
    let q: Vec<bool> = rows.iter().filter_map(|row| row.q).collect();
    let total = b.iter().map(|&b| i128::from(b)).sum::<i128>();
    let sum = i64::try_from(total).ok()?;
    let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
    let some_b = |value: f64| if b.is_empty() { Value::Null } else { Value::F64(value) };
    let mean = total as f64 / b.len() as f64;
    let variance = match b.len() {
        0 | 1 => Value::Null,
        len => {
            let squares = b.iter().map(|&b| (b as f64 - mean).powi(2)).sum::<f64>();
            Value::F64(squares / (len - 1) as f64)
        }
    };
    let std = match &variance {
        Value::F64(variance) => Value::F64(variance.sqrt()),
        _ => Value::Null,
    };
    let b_floats = b.iter().map(|&b| b as f64).collect();
    Some(vec![
        Value::I64(rows.len() as i64),
        Value::I64(b.len() as i64),
        if b.is_empty() { Value::Null } else { Value::I64(sum) },
        some_b(mean),
        or_null(b.iter().min().map(|&b| Value::I64(b))),
        or_null(y.iter().copied().max_by(|l, r| f64::order(*l, *r)).map(Value::F64)),
        or_null(y.iter().copied().min_by(|l, r| f64::order(*l, *r)).map(Value::F64)),
        or_null(t.first().cloned().map(Value::Text)),
        or_null(t.last().cloned().map(Value::Text)),
        or_null(t.iter().max().cloned().map(Value::Text)),
        or_null(q.iter().min().copied().map(Value::Bool)),
        std,
        variance,
        percentile(y, 0.5),
        percentile(b_floats, 0.9),
        Value::I64(b.len() as i64),
    ])
}

fn percentile(mut values: Vec<f64>, q: f64) -> Value {
    values.sort_by(|l, r| f64::order(*l, *r));
    let Some(last) = values.len().checked_sub(1) else { return Value::Null };
    let position = q * last as f64;
    let (low, high) = (values[position.floor() as usize], values[position.ceil() as usize]);
    let share = position - position.floor();
    Value::F64(if share > 0.0 { low * (1.0 - share) + high * share } else { low })
}

/// Sums of squares are added in another order.
pub(super) fn assert_alike(given: &[Value], expected: &[Value], text: &str) {
    assert_eq!(given.len(), expected.len(), "{text}");
    for (index, (given, expected)) in given.iter().zip(expected).enumerate() {
        let is_alike = match (given, expected) {
            (Value::F64(left), Value::F64(right)) if left.is_finite() && right.is_finite() => {
                (left - right).abs() <= 1e-9 * left.abs().max(right.abs())
            }
            _ => given == expected,
        };
        assert!(is_alike, "{text}, column {index}: {given:?} is not {expected:?}");
    }
}

/// The rows of a table by what stands in the columns before `keys`.
pub(super) fn by_key(table: &Table, keys: usize) -> BTreeMap<String, Vec<Value>> {
    let rows = 0..table.len();
    let by_key = rows.map(|row| {
        let cells: Vec<Value> =
            table.columns().iter().map(|column| Value::of(column.get(row))).collect();
        (key_of(&cells[..keys]), cells[keys..].to_vec())
    });
    let by_key: Vec<_> = by_key.collect();
    let len = by_key.len();
    let by_key: BTreeMap<_, _> = by_key.into_iter().collect();
    assert_eq!(by_key.len(), len, "each key stands once");
    by_key
}

/// As text: there is one NaN, and one zero.
fn key_of(cells: &[Value]) -> String {
    let normal = |cell: &Value| match cell {
        Value::F64(value) => format!("{:?}", value + 0.0),
        cell => format!("{cell:?}"),
    };
    cells.iter().map(normal).collect::<Vec<_>>().join("|")
}

/// The same groups, in the plainest way.
pub(super) fn groups_of(rows: &[Sample], keys: &[&str]) -> BTreeMap<String, Vec<Sample>> {
    let mut groups: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for row in rows {
        let cells: Vec<Value> = keys.iter().map(|key| row.get(key)).collect();
        groups.entry(key_of(&cells)).or_default().push(row.clone());
    }
    groups
}

pub(super) const KEYS: [&[&str]; 9] = [
    &["s"],
    &["t"],
    &["a"],
    &["b"],
    &["y"],
    &["q"],
    &["s", "b"],
    &["q", "t", "x"],
    &["p", "q", "t", "b"],
];

#[test]
fn groups_against_rows() {
    for seed in seeds(200) {
        let random = &mut Random::new(seed);
        let rows: Vec<Sample> = (0..random.below(80)).map(|_| Sample::random(random)).collect();
        let keys = KEYS[random.below(KEYS.len())];
        let table = Table::from_records(rows.clone()).unwrap();
        let given = table.group_by(keys.iter().copied()).unwrap().agg(aggregates());
        let expected = groups_of(&rows, keys).into_iter();
        let expected: Option<BTreeMap<_, _>> =
            expected.map(|(key, rows)| naive(&rows).map(|all| (key, all))).collect();
        let text = format!("seed {seed}: by {keys:?}");
        let Some(expected) = expected else {
            assert_eq!(given.unwrap_err().kind(), ErrorKind::Overflow, "{text}");
            continue;
        };
        let given = by_key(&given.unwrap(), keys.len());
        assert!(given.keys().eq(expected.keys()), "{text}");
        for (key, given) in &given {
            assert_alike(given, &expected[key], &format!("{text}, key {key}"));
        }
    }
}

#[test]
fn all_rows_are_one_group() {
    let nothing = Table::from_records(Vec::<Sample>::new()).unwrap();
    let one = nothing.agg(aggregates()).unwrap();
    assert_eq!(one.len(), 1);
    let cells: Vec<Value> = one.columns().iter().map(|column| Value::of(column.get(0))).collect();
    let mut expected = naive(&[]).unwrap();
    // A sum of nothing.
    *expected.last_mut().unwrap() = Value::Null;
    assert_eq!(cells, expected);
    let grouped = nothing.group_by(["s", "t"]).unwrap().agg([count()]).unwrap();
    assert_eq!((grouped.len(), grouped.schema().len()), (0, 3));
    // Without aggregates what is left are the different keys.
    let rows = [("a".to_owned(), 1i64), ("b".to_owned(), 2), ("a".to_owned(), 1)];
    let distinct = Table::from_records(rows).unwrap().group_by(["_1", "_2"]).unwrap().agg([]);
    assert_eq!(distinct.unwrap().len(), 2);
}

/// Ids are given out in the order in which keys came, also when null comes late.
#[test]
fn groups_stand_in_the_order_of_their_arrival() {
    let rows = [Some("b"), Some("a"), Some("b"), None, Some("c"), None, Some("a")];
    let rows = rows.map(|row| (row.map(str::to_owned), 1i64));
    let table = Table::from_records(rows).unwrap();
    let counts = table.group_by(["_1"]).unwrap().agg([count()]).unwrap();
    assert_eq!(
        counts.to_string(),
        "\
+----+-----+
|  _1|count|
+----+-----+
|   b|    2|
|   a|    2|
|NULL|    2|
|   c|    1|
+----+-----+
"
    );
}
