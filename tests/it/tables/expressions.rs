//! Random expressions over random tables, against the evaluator that goes row by row.

use tidemill::ErrorKind;
use tidemill::prelude::*;
use tidemill::table::DataType;

use super::naive::{Kind, Sample, Value, random_expr};
use crate::random::{Random, seeds};

#[test]
fn expressions_against_rows() {
    let mut failed = 0;
    let mut compared = 0;
    for seed in seeds(300) {
        let random = &mut Random::new(seed);
        let len = [0, 1, 2, 17, 64][random.below(5)];
        let rows: Vec<Sample> = (0..len).map(|_| Sample::random(random)).collect();
        let table = Table::from_records(rows.clone()).unwrap();
        for _ in 0..8 {
            let kind = [Kind::I64, Kind::F64, Kind::Bool, Kind::Text][random.below(4)];
            let both = random_expr(random, kind, 3);
            let text = format!("seed {seed}: {}", both.expr);
            let expected: Result<Vec<Value>, _> = rows.iter().map(&both.evaluate).collect();
            let selected = table.select([both.expr.clone().alias("r")]);
            match (expected, selected) {
                (Ok(expected), Ok(selected)) => {
                    let given = selected.column("r").unwrap();
                    let given: Vec<Value> = given.iter().map(Value::of).collect();
                    assert_eq!(given, expected, "{text}");
                    compared += 1;
                }
                (expected, Err(error)) => {
                    // A constant that does not fit fails also where there is no row.
                    assert!(expected.is_err() || rows.is_empty(), "{text}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Overflow, "{text}: {error}");
                    failed += 1;
                    continue;
                }
                (Err(error), Ok(_)) => panic!("{text}: {error} expected"),
            }
            if kind == Kind::Bool {
                let kept = table.filter(both.expr).unwrap();
                let expected = rows.iter().map(|row| (both.evaluate)(row).unwrap());
                let expected = expected.filter(|value| *value == Value::Bool(true)).count();
                assert_eq!(kept.len(), expected, "{text}");
            }
        }
    }
    assert!(compared > failed, "{compared} were compared, and {failed} failed as they should");
}

/// Rows that stay are the same rows.
#[test]
fn filters_keep_whole_rows() {
    for seed in seeds(50) {
        let random = &mut Random::new(seed);
        let rows: Vec<Sample> = (0..random.below(60)).map(|_| Sample::random(random)).collect();
        let table = Table::from_records(rows.clone()).unwrap();
        let kept = table.filter(col("b").gt_eq(0).and(col("t").is_not_null())).unwrap();
        let expected = rows.into_iter();
        let expected = expected.filter(|row| row.b.is_some_and(|b| b >= 0) && row.t.is_some());
        let expected = Table::from_records(expected).unwrap();
        assert_eq!(kept.shown(100).to_string(), expected.shown(100).to_string(), "seed {seed}");
    }
}

#[test]
fn expressions_are_written_as_they_are_read() {
    let check = |expr: tidemill::table::Expr, expected: &str| {
        assert_eq!(expr.to_string(), expected);
    };
    check((col("a") + 1) * 2, "(a + 1) * 2");
    check(col("a") - (col("b") - 1), "a - (b - 1)");
    check(1.0 / -col("a") % 2, "1.0 / -a % 2");
    check(!(col("a").eq("x").and(true)), "not (a == \"x\" and true)");
    check(col("a").lt(1).eq(col("b").or(false)), "(a < 1) == (b or false)");
    check(col("a").between(1, 2), "a >= 1 and a <= 2");
    check((col("a") + 1).is_null().or(col("b").is_in([1, 2])), "a + 1 is null or b in (1, 2)");
    check(col("a").cast(DataType::Text).length().alias("n"), "length(cast(a, text)) as n");
    check(lit(None::<i64>) + 1, "null + 1");
}

#[test]
fn casts() {
    let table = Table::from_records([(1.9, true), (-1.9, false)]).unwrap();
    let cast = |name: &str, to| table.select([col(name).cast(to).alias("r")]);
    let integers = cast("_1", DataType::I64).unwrap();
    assert_eq!(integers.column("r").unwrap().i64s().unwrap(), [1, -1]);
    let truth = cast("_2", DataType::I64).unwrap();
    assert_eq!(truth.column("r").unwrap().i64s().unwrap(), [1, 0]);
    let texts = cast("_1", DataType::Text).unwrap();
    assert_eq!(texts.column("r").unwrap().get(1).to_string(), "-1.9");
    for past in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, -1e19] {
        let table = Table::from_records([Some(past), None]).unwrap();
        let error = table.select([col("value").cast(DataType::I64)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overflow);
    }
    let least = Table::from_records([-9_223_372_036_854_775_808.0]).unwrap();
    let least = least.select([col("value").cast(DataType::I64).alias("r")]).unwrap();
    assert_eq!(least.column("r").unwrap().i64s().unwrap(), [i64::MIN]);
}
