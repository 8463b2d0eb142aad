//! Tables: expressions and aggregates against an evaluator that goes row by row, windows against
//! recomputation, and what is said of those that do not fit.

mod expressions;
mod grouping;
mod naive;
mod streams;

use tidemill::prelude::*;
use tidemill::table::{Cell, DataType, count, max, mean, quantile};
use tidemill::{ErrorKind, Result, Timestamp};

#[derive(Record)]
struct Place {
    street: String,
    number: Option<u32>,
}

#[derive(Record)]
struct Visit {
    name: String,
    place: Place,
    again: Option<Place>,
    score: f32,
    flags: (bool, Option<Option<i8>>),
}

fn visits() -> Table {
    let place = |street: &str, number| Place { street: street.into(), number };
    let visit = |name: &str, place, again, score, flags| Visit {
        name: name.into(),
        place,
        again,
        score,
        flags,
    };
    let visits = [
        visit("ann", place("Via Appia", Some(1)), None, 0.5, (true, Some(Some(-7)))),
        visit(
            "a name that is longer than twenty characters",
            place("Karl Johans gate", None),
            Some(place("漢字\n\t", Some(u32::MAX))),
            f32::NAN,
            (false, Some(None)),
        ),
        visit("", place("", None), Some(place("x", None)), -1.5, (false, None)),
    ];
    Table::from_records(visits).unwrap()
}

#[test]
fn records_become_columns() {
    let table = visits();
    assert_eq!(
        table.schema().to_string(),
        "name: text, place.street: text, place.number: i64, again.street: text, \
         again.number: i64, score: f64, flags._1: bool, flags._2: i64"
    );
    assert_eq!(table.column("place.number").unwrap().null_count(), 2);
    assert_eq!(table.column("score").unwrap().f64s().unwrap()[0], 0.5);
    let scalars = Table::from_records([1i64, 2]).unwrap();
    assert_eq!(scalars.schema().to_string(), "value: i64");
    let pairs = Table::from_records([("a".to_owned(), 1u64)]).unwrap();
    assert_eq!(pairs.schema().to_string(), "_1: text, _2: i64");
    assert_eq!(Table::from_records(Vec::<(i64, bool)>::new()).unwrap().schema().len(), 2);
    let error = Table::from_records([(0u64, 1u64 << 63)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overflow);
    assert_eq!(
        error.to_string(),
        "_2: 9223372036854775808 does not fit an i64, of which columns of a table are"
    );
}

#[test]
fn shown_as_spark_does() {
    let table = visits();
    let names = ["name", "place.street", "place.number", "again.street", "again.number", "score"];
    assert_eq!(
        table.select(names).unwrap().to_string(),
        "\
+--------------------+----------------+------------+------------+------------+-----+
|                name|    place.street|place.number|again.street|again.number|score|
+--------------------+----------------+------------+------------+------------+-----+
|                 ann|       Via Appia|           1|        NULL|        NULL|  0.5|
|a name that is lo...|Karl Johans gate|        NULL|      漢字\\n\\t|  4294967295|  NaN|
|                    |                |        NULL|           x|        NULL| -1.5|
+--------------------+----------------+------------+------------+------------+-----+
"
    );
    let short = table.select(["flags._1"]).unwrap();
    assert_eq!(
        short.shown(1).to_string(),
        "\
+--------+
|flags._1|
+--------+
|    true|
+--------+
only showing top 1 row
"
    );
    let empty = Table::from_records(Vec::<i64>::new()).unwrap();
    assert_eq!(empty.to_string(), "+-----+\n|value|\n+-----+\n+-----+\n");
    let many = Table::from_records(0..25i64).unwrap().to_string();
    assert!(many.ends_with("|   19|\n+-----+\nonly showing top 20 rows\n"), "{many}");
}

#[test]
fn what_does_not_fit_is_said() {
    let table = visits();
    let check = |result: Result<Table>, expected: &str| {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Schema, expected.to_owned()));
    };
    let small = table.select(["name", "score"]).unwrap();
    check(
        small.filter(col("scores").gt(1)),
        "there is no column \"scores\"; the columns are name, score",
    );
    check(
        small.filter((col("score") + 1).gt(col("name"))),
        "score + 1 > name: that cannot be done with f64 and text",
    );
    check(small.filter(col("score")), "filter(score): it is f64, but must be bool");
    check(
        small.with_column("x", -col("name").lower()),
        "-lower(name): that cannot be done with text",
    );
    check(
        small.filter(col("score").starts_with("a")),
        "starts_with(score, \"a\"): that cannot be done with f64",
    );
    check(
        small.filter(col("name").is_in([lit("a"), lit(1)])),
        "name in (\"a\", 1): that cannot be done with text and i64",
    );
    check(small.filter(col("name").is_in([col("name")])), "name in (name): is_in takes literals");
    check(
        small.select([col("name"), col("score").alias("name")]),
        "two columns are named \"name\"",
    );
    check(
        small.select([col("name").cast(DataType::I64)]),
        "cast(name, i64): that cannot be done with text",
    );
    check(small.agg([mean("name")]), "mean(name): that cannot be done with text");
    check(
        small.agg([max("mane")]),
        "max(mane): there is no column \"mane\"; the columns are name, score",
    );
    check(
        small.agg([quantile("score", 1.5)]),
        "quantile(score, 1.5): the quantile is 1.5, but must be from 0 to 1",
    );
    check(
        small.group_by(["nam"]).and_then(|grouped| grouped.agg([count()])),
        "group_by: there is no column \"nam\"; the columns are name, score",
    );
    let columns = [("a", vec![1i64].into()), ("b", vec![1i64, 2].into())];
    check(Table::new(columns), "column \"b\" has 2 rows, but \"a\" has 1");
}

#[test]
fn tables_of_columns() {
    let table = Table::new([("a", vec![1i64, 2].into()), ("b", vec![0.5, 1.5].into())]).unwrap();
    let sums = table.select([(col("a") + col("b")).alias("sum"), col("a") * 2]).unwrap();
    assert_eq!(sums.column("sum").unwrap().f64s().unwrap(), [1.5, 3.5]);
    assert_eq!(sums.column("a * 2").unwrap().i64s().unwrap(), [2, 4]);
    assert!(sums.column("a * 2").unwrap().f64s().is_err());
    let error = table.with_column("c", col("a") + i64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overflow);
    assert_eq!(
        error.to_string(),
        "a + 9223372036854775807: 1 + 9223372036854775807 does not fit an i64"
    );
}

#[test]
fn times() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (noon, later) = (time("2024-02-29T12:00:00Z"), time("2024-02-29T12:00:00.25Z"));
    let rows = [(Some(noon), 1i64), (None, 2), (Some(later), 3), (Some(noon), 4)];
    let table = Table::from_records(rows).unwrap();
    assert_eq!(table.schema().to_string(), "_1: timestamp, _2: i64");
    for from in [lit("2024-02-29T13:00:00.1+01:00"), lit(time("2024-02-29T12:00:00.1Z"))] {
        let late = table.filter(col("_1").gt_eq(from)).unwrap();
        assert_eq!(late.column("_2").unwrap().i64s().unwrap(), [3]);
    }
    let by_time = table.group_by(["_1"]).unwrap().agg([count(), max("_1").alias("max")]).unwrap();
    assert_eq!(
        by_time.select(["_1", "count"]).unwrap().shown(2).to_string(),
        "\
+--------------------+-----+
|                  _1|count|
+--------------------+-----+
|2024-02-29T12:00:00Z|    2|
|                NULL|    1|
+--------------------+-----+
only showing top 2 rows
"
    );
    let nanos = table.select([col("_1").cast(DataType::I64).alias("n")]).unwrap();
    assert_eq!(nanos.column("n").unwrap().i64s().unwrap()[0], noon.nanos());
    let back = nanos.select([col("n").cast(DataType::Timestamp)]).unwrap();
    assert_eq!(back.columns()[0].get(2), Cell::Timestamp(later));
    let error = table.filter(col("_1").lt("noon")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.to_string().contains("\"noon\""), "{error}");
    assert!(table.select([col("_1") + 1]).is_err());
}
