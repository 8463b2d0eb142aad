//! Numbers: exact decimals against digits written out, their columns against plain vectors, and
//! parsing against Rust's own.

use std::cmp::Ordering;

use tidemill::prelude::*;
use tidemill::{Column, Number, NumberColumn, Ordered, Reject, shown};

use crate::random::{Random, seeds};

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

/// The very value, as a sign and digits of fixed width: all of them before and after the point.
fn written_out(number: Number) -> (bool, String) {
    let text = match number.as_decimal() {
        Some(_) => number.to_string(),
        // Every digit of a float's value; the smallest has 1074 after the point.
        None => format!("{:.1080}", number.to_f64()),
    };
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    (text.starts_with('-'), format!("{whole:0>320}{fraction:0<1080}"))
}

fn naive_order(left: Number, right: Number) -> Ordering {
    match (written_out(left), written_out(right)) {
        ((false, left), (false, right)) => left.cmp(&right),
        ((true, left), (true, right)) => right.cmp(&left),
        ((left, _), (right, _)) => right.cmp(&left),
    }
}

/// Numbers of every kind, many of them near each other.
fn any_number(random: &mut Random) -> Number {
    let mantissa = (random.next() as i64) >> random.below(64);
    let decimal = Number::decimal(mantissa, random.below(19) as u8);
    match random.below(6) {
        0 => Number::decimal(random.below(40) as i64 - 20, random.below(3) as u8),
        1 | 2 => decimal,
        3 => Number::from_f64(f64::from_bits(random.next())).unwrap_or_default(),
        // The float nearest to a decimal, or its neighbour.
        4 => Number::from_f64(decimal.to_f64()).unwrap(),
        _ => Number::from_f64(decimal.to_f64().next_up()).unwrap(),
    }
}

#[test]
fn what_a_number_is() {
    for (text, shown, decimal) in [
        ("0", "0", Some((0, 0))),
        ("-0.00", "0", Some((0, 0))),
        ("+1.50", "1.5", Some((15, 1))),
        ("-.5", "-0.5", Some((-5, 1))),
        ("5.", "5", Some((5, 0))),
        ("-0.05", "-0.05", Some((-5, 2))),
        ("1.5e3", "1500", Some((1500, 0))),
        ("100e-3", "0.1", Some((1, 1))),
        ("0e999999999999999999999", "0", Some((0, 0))),
        ("1e-400", "0", Some((0, 0))),
        ("-1e-400", "0", Some((0, 0))),
        ("0.000000000000000001", "0.000000000000000001", Some((1, 18))),
        ("1e-19", "0.0000000000000000001", None),
        ("9223372036854775807", "9223372036854775807", Some((i64::MAX, 0))),
        ("-9223372036854775808", "-9223372036854775808", Some((i64::MIN, 0))),
        ("9223372036854775809", "9223372036854776000", None),
        ("92233720368547758.08", "92233720368547760", Some((92_233_720_368_547_760, 0))),
        ("1e20", "100000000000000000000", None),
        ("0.1000000000000000055511151231257827", "0.1", None),
    ] {
        let number = number(text);
        assert_eq!(number.as_decimal(), decimal, "{text}");
        assert_eq!(number.to_string(), shown, "{text}");
        assert_eq!(tidemill::shown::<Number>(number).to_string(), shown);
        // `+ 0.0`: there is no negative zero.
        let float = text.parse::<f64>().unwrap() + 0.0;
        assert_eq!(number.to_f64().to_bits(), float.to_bits(), "{text}");
    }
    assert_eq!(
        format!("{:>7}|{:07}|{:?}", number("-1.5"), number("-1.5"), number("2.0")),
        "   -1.5|-0001.5|2"
    );
    assert_eq!(number("1.50"), number("1.5"));
    assert_eq!(Number::from_f64(0.5), Some(number("0.5")));
    assert_eq!(Number::from_f64(-0.0), Some(Number::ZERO));
    assert_eq!(Number::from_f64(-(2f64.powi(63))), Some(Number::from(i64::MIN)));
    // A float is what it is: no tenth.
    assert!(Number::from_f64(0.1).unwrap() > number("0.1"));
    assert_eq!(Number::from_f64(f64::INFINITY), None);
    assert_eq!(Number::from_f64(f64::NAN), None);
    for (text, message) in [
        ("", "\"\" is not a number"),
        ("1,5", "\"1,5\" is not a number"),
        ("１", "\"１\" is not a number"),
        ("nan", "\"nan\" is no finite number"),
        ("-inf", "\"-inf\" is no finite number"),
        ("1e400", "\"1e400\" is no finite number"),
    ] {
        assert_eq!(text.parse::<Number>().unwrap_err().to_string(), message);
    }
}

#[test]
fn numbers_are_ordered_by_value() {
    for seed in seeds(20) {
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let (left, right) = (any_number(&mut random), any_number(&mut random));
            let again = match left.as_decimal() {
                Some((mantissa, scale)) if mantissa.unsigned_abs() < 1 << 40 && scale < 12 => {
                    Number::decimal(mantissa * 1_000_000, scale + 6)
                }
                _ => left,
            };
            for (left, right) in [(left, right), (right, left), (left, left), (left, again)] {
                let expected = naive_order(left, right);
                assert_eq!(Number::order(left, right), expected, "seed {seed}: {left} {right}");
                assert_eq!(left == right, expected.is_eq());
            }
        }
    }
}

#[test]
fn a_decimal_is_rounded_once() {
    for seed in seeds(20) {
        let mut random = Random::new(seed);
        for _ in 0..1_000 {
            let mantissa = (random.next() as i64) >> random.below(64);
            let scale = random.below(19) as u8;
            let expected: f64 = format!("{mantissa}e-{scale}").parse().unwrap();
            assert_eq!(Number::decimal(mantissa, scale).to_f64(), expected, "{mantissa}e-{scale}");
        }
    }
}

/// What a column gives out, and that of a plain vector.
#[track_caller]
fn check_column(column: &NumberColumn, numbers: &[Number]) {
    let rows: Vec<Number> = (0..column.len()).map(|row| column.get(row)).collect();
    assert_eq!(rows, numbers);
}

#[test]
fn columns_are_vectors() {
    for seed in seeds(50) {
        let mut random = Random::new(seed);
        let few_scales = random.below(2) == 0;
        let mut next = move || match few_scales {
            true => Number::decimal(random.below(1_000) as i64 - 500, random.below(4) as u8),
            false => any_number(&mut random),
        };
        let mut random = Random::new(!seed);
        let (mut column, mut numbers) = (NumberColumn::default(), Vec::new());
        for _ in 0..40 {
            match random.below(8) {
                0 => {
                    column.clear();
                    numbers.clear();
                }
                1 => {
                    let more: Vec<Number> = (0..random.below(5)).map(|_| next()).collect();
                    let mut other = NumberColumn::default();
                    more.iter().for_each(|&number| other.push(number));
                    column.append(&other);
                    numbers.extend(more);
                }
                2 if !numbers.is_empty() => {
                    let rows: Vec<u32> =
                        (0..random.below(9)).map(|_| random.below(numbers.len()) as u32).collect();
                    column = column.gather(&rows);
                    numbers = rows.iter().map(|&row| numbers[row as usize]).collect();
                }
                _ => {
                    let number = next();
                    column.push(number);
                    numbers.push(number);
                }
            }
            check_column(&column, &numbers);
        }
        assert!(!few_scales || column.scale() <= 3);
    }
}

#[test]
fn a_column_finds_its_scale_and_keeps_it() {
    let mut column = NumberColumn::default();
    for text in ["1", "2.5", "1e18"] {
        column.push(number(text));
    }
    // A quintillion of tenths is past an i64, so it stands by itself.
    assert_eq!(column.scale(), 1);
    check_column(&column, &["1", "2.5", "1e18"].map(number));
    (0..100).for_each(|_| column.push(number("3.25")));
    assert_eq!(column.scale(), 2);
    column.clear();
    assert_eq!((column.scale(), column.len()), (2, 0));
    column = NumberColumn::default();
    // The least integer has no room at all.
    column.push(Number::from(i64::MIN));
    column.push(number("-9223372036854775807.5"));
    check_column(
        &column,
        &[i64::MIN.to_string(), (-(2f64.powi(63))).to_string()].map(|t| number(&t)),
    );
    column.clear();
    // Too many that do not fit: the next chunk shall find a scale of its own.
    column.push(number("0.000000000000000001"));
    (0..100).for_each(|_| column.push(number("99.9")));
    assert_eq!(column.scale(), 18);
    assert_eq!(column.get(100), number("99.9"));
    column.clear();
    assert_eq!(column.scale(), 0);
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Sale {
    price: Number,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Sales {
    shop: String,
    total: Number,
    least: Option<Number>,
    all: Vec<Number>,
}

#[test]
fn numbers_are_fields() {
    let mut sales = SaleColumns::default();
    sales.push(SaleRef { price: number("1.5") });
    sales.push_owned(Sale { price: number("0.25") });
    let price: Column<Sale, Number> = Sale::PRICE;
    assert_eq!(sales.column(price).scale(), 2);
    let first: Number = sales.get(0).price;
    assert_eq!(first, number("1.5"));
    assert_eq!(shown::<Sale>(sales.get(0)).to_string(), "Sale(1.5)");
    let batch: Batch<Sale> = [Sale { price: number("-0.1") }].into_iter().collect();
    assert_eq!(format!("{:?}", batch.to_arrow()), "[StructArray[{price: -0.1}]]");
    let all = vec![number("1e300"), number("2")];
    let of_shop = Sales { shop: "ebb".into(), total: all[0], least: Some(all[1]), all };
    assert_eq!(Sales::from_ref(of_shop.to_ref()), of_shop);
    assert!(Sales::order(of_shop.to_ref(), of_shop.to_ref()).is_eq());
}

#[test]
fn texts_to_numbers() {
    let lines = [
        "1.5;1",
        "-0;",
        "1e300;1e-300",
        ";",
        "nan;1",
        "1e400;1",
        "1;x",
        "99.90;123456789012345678901",
        "2.0000001;0.1",
        "１;1",
        "1e17;9",
    ];
    let mut t = TestContext::new().unwrap();
    let input = t.input::<String>();
    let decoded = input.stream().decode::<(Number, Option<Number>)>(Delimited::new(b';'));
    let (rows, rejects) = (t.output(&decoded), t.output(&decoded.rejects()));
    // More rows than are parsed at once.
    for times in [1, 700] {
        let all = lines.iter().cycle().take(times * lines.len());
        input.push(all.map(|line| (*line).to_owned())).unwrap();
        t.tick().unwrap();
        let good = [
            ("1.5", Some("1")),
            ("0", None),
            ("1e300", Some("1e-300")),
            ("99.9", Some("123456789012345678901")),
            ("2.0000001", Some("0.1")),
            ("1e17", Some("9")),
        ];
        let good = good.map(|(first, second)| (number(first), second.map(number)));
        let expected: Vec<_> = good.iter().cycle().take(times * good.len()).copied().collect();
        assert_eq!(rows.take(), expected);
        let reject = |line: &str, field: &str, reason: &str| Reject {
            line: line.into(),
            field: field.into(),
            reason: reason.into(),
        };
        let bad = [
            reject(";", "0", "empty"),
            reject("nan;1", "0", "not a finite number"),
            reject("1e400;1", "0", "not a finite number"),
            reject("1;x", "1", "not a number"),
            reject("１;1", "0", "not a number"),
        ];
        assert_eq!(rejects.take()[..bad.len()], bad);
    }
}
