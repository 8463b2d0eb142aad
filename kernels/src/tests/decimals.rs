//! Text to numbers against Rust's own `parse`, and decimals against digits written out: texts at
//! the limits, texts of random shape and texts that are nearly numbers, in columns of every length
//! around a batch. `TIDEMILL_SEEDS=n` runs n columns of all shapes instead of four.

use super::{Random, naive};
use crate::{BadKind, BadRow, Level, Span};

/// Rows of a batch.
const BATCH: usize = crate::number::ROWS;

/// Texts at the limits of something.
const EDGES: &[&str] = &[
    "",
    "0",
    "-0",
    "+0",
    "-0.0",
    "+1",
    "-1",
    "+",
    "-",
    ".",
    "-.",
    "+.",
    "..",
    "1..",
    ".1.",
    "1.2.3",
    "--1",
    "+-1",
    "-+1",
    ".5",
    "-.5",
    "5.",
    "+5.",
    "1_000",
    "1,5",
    " 1",
    "1 ",
    "\t1",
    "1\0",
    "\0",
    "0x10",
    "１",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "1e",
    "1e+",
    "e5",
    ".e5",
    "1.e5",
    ".5e1",
    "1e5.0",
    "1e400",
    "-1e400",
    "1e-400",
    "1e308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "2.2250738585072011e-308",
    "4.9e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "0e99999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "inf",
    "-inf",
    "INFINITY",
    "nan",
    "-NaN",
    "infinit",
    "in",
    "/",
    ":",
    "1/",
    "1:",
    "12345678",
    "-1234567",
    "-12345678",
    "123456789",
    "1234567.",
    "12345678.",
    ".1234567",
    ".12345678",
    "0000000000000000000000000000000001",
    "-00000000000000.50",
    "00000000000000000000.00000000000000000000",
    "1234567890123456",
    "-123456789012345",
    "-1234567890123456",
    "12345678901234567",
    "1.50000000000000000000000000",
    "1.50000000000000000000000001",
    "100000000000000000000000000000000000000e-38",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994",
    "9007199254740995",
    "9007199254740993.00000000000000000000000000001",
    "900719925474099.3",
    "9.00719925474099",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "+9223372036854775807",
    "92233720368547758.07",
    "92233720368547758.08",
    "-92233720368547758.08",
    "9.223372036854775807",
    "-9.223372036854775809",
    "999999999999999999",
    "1000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1234567890123456789012345678901234567890",
    "0.1",
    "0.30000000000000004",
    "0.000001",
    "123456.7",
    "99.9",
    "-99.9",
];

/// One text, of one shape or the other.
fn text(random: &mut Random) -> Vec<u8> {
    let mut digits = |limit: usize| -> Vec<u8> {
        let len = random.below(limit);
        (0..len).map(|_| b'0' + random.below(10) as u8).collect()
    };
    let (short, long, more) = (digits(6), digits(24), digits(10));
    let sign: &[u8] = [&b""[..], b"", b"-", b"+"][random.below(4)];
    match random.below(10) {
        0 => EDGES[random.below(EDGES.len())].into(),
        1 => [sign, &short, b".", &more[..more.len().min(2)]].concat(),
        2 => [sign, &short, b".", &more].concat(),
        3 => [sign, &long].concat(),
        4 => [sign, &long, b".", &more].concat(),
        5 => [sign, &b"0000000000"[..random.below(11)], &more, b".", &short].concat(),
        6 => [sign, &short, b".", &more, b"e", sign, &short[..short.len().min(3)]].concat(),
        7 => halfway(random),
        8 => {
            let edge = i128::from([i64::MIN, i64::MAX, 0][random.below(3)]);
            (edge + random.below(5) as i128 - 2).to_string().into()
        }
        _ => {
            let mut text = [sign, &short, b".", &more].concat();
            let place = random.below(text.len());
            let bytes = b"0.+-eE :/_\0\x80\xB0\xFF";
            text[place] = bytes[random.below(bytes.len())];
            text
        }
    }
}

/// The middle between two neighbouring floats, or a bit beside it.
fn halfway(random: &mut Random) -> Vec<u8> {
    let odd = u128::from(random.next() >> 10 | 1 << 53 | 1);
    let halvings = random.below(30);
    // An integer by 2^n has n digits after the point.
    let mut text = (odd * 5u128.pow(halvings as u32)).to_string();
    if halvings > 0 {
        text = format!("{text:0>width$}", width = halvings + 1);
        text.insert(text.len() - halvings, '.');
        text.push(['0', '1', '5'][random.below(3)]);
    }
    text.into()
}

/// Columns, first of few shapes and then of all.
fn each_column(mut check: impl FnMut(&[u8], &[Span])) {
    let mut random = Random(5);
    let mut column = |texts: &mut dyn Iterator<Item = Vec<u8>>, gap: &[u8]| {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for text in texts {
            spans.push(Span { start: bytes.len() as u32, len: text.len() as u32 });
            bytes.extend([&text, gap].concat());
        }
        // What follows the last row is at times nothing.
        bytes.truncate(bytes.len().saturating_sub(gap.len()));
        check(&bytes, &spans);
    };
    for length in (0..2 * BATCH + 3).filter(|length| length % BATCH < 5 || length % 50 == 0) {
        for (before, after) in [(1, 0), (2, 1), (4, 2), (5, 9), (9, 0), (13, 2)] {
            let mut plain = (0..length).map(|_| {
                let number = random.next() % 10u64.pow(before) * 10u64.pow(after);
                let number = (number + random.next() % 10u64.pow(after)).to_string();
                let (whole, fraction) =
                    number.split_at(number.len().saturating_sub(after as usize));
                let point = if after > 0 { "." } else { "" };
                [["", "-"][random.below(2)], whole, point, fraction].concat().into()
            });
            column(&mut plain, b"\n");
        }
        column(&mut (0..length).map(|_| text(&mut random)), b"");
    }
    for gap in [&b""[..], b"\n", b"0123456789abcdefgh"] {
        column(&mut EDGES.iter().map(|edge| edge.as_bytes().to_vec()), gap);
    }
    let seeds = std::env::var("TIDEMILL_SEEDS").map_or(4, |seeds| seeds.parse().expect("a number"));
    for _ in 0..seeds {
        column(&mut (0..1_000).map(|_| text(&mut random)), b";");
    }
}

/// Runs a kernel on all columns and compares it with its naive twin, row by row.
fn check<T: Copy + Default + std::fmt::Debug>(
    mut kernel: impl FnMut(&[u8], &[Span], &mut Vec<T>, &mut Vec<BadRow>),
    naive: impl Fn(&[u8]) -> Result<T, BadKind>,
    same: impl Fn(T, T) -> bool,
) {
    each_column(|text, rows| {
        let (mut numbers, mut bad) = (vec![T::default()], Vec::new());
        kernel(text, rows, &mut numbers, &mut bad);
        assert_eq!(numbers.len(), 1 + rows.len());
        let mut expected_bad = Vec::new();
        for (row, (span, number)) in rows.iter().zip(&numbers[1..]).enumerate() {
            let text = &text[span.range()];
            let expected = naive(text).unwrap_or_else(|kind| {
                expected_bad.push(BadRow { row: row as u32, kind });
                T::default()
            });
            let text = text.escape_ascii();
            assert!(same(*number, expected), "\"{text}\" is {expected:?}, not {number:?}");
        }
        assert_eq!(bad, expected_bad);
    });
}

pub(super) fn parse_i64(level: Level) {
    check(
        |text, rows, out, bad| crate::parse_i64_at(level, text, rows, out, bad),
        naive::parse_i64,
        |a, b| a == b,
    );
}

pub(super) fn parse_f64(level: Level) {
    check(
        |text, rows, out, bad| crate::parse_f64_at(level, text, rows, out, bad),
        naive::parse_f64,
        |a, b| a.to_bits() == b.to_bits(),
    );
}

pub(super) fn parse_decimal(level: Level) {
    for scale in [0, 1, 2, 6, 9, 17, 18] {
        check(
            |text, rows, out, bad| crate::parse_decimal_at(level, text, rows, scale, out, bad),
            |row| naive::parse_decimal(row, scale),
            |a, b| a == b,
        );
    }
}

#[test]
fn what_a_decimal_is() {
    let cases = [
        ("12.50", 2, Ok(1250)),
        ("-0.05", 2, Ok(-5)),
        ("1e3", 1, Ok(10_000)),
        ("1.5e-1", 2, Ok(15)),
        ("-9223372036854775808", 0, Ok(i64::MIN)),
        ("9223372036854775808", 0, Err(BadKind::OutOfRange)),
        ("0.001", 2, Err(BadKind::TooPrecise)),
        ("0.0010", 3, Ok(1)),
        ("", 0, Err(BadKind::Empty)),
        ("nan", 0, Err(BadKind::NotANumber)),
    ];
    for (text, scale, expected) in cases {
        assert_eq!(naive::parse_decimal(text.as_bytes(), scale), expected, "{text}");
    }
}

#[test]
fn least_decimals() {
    let mut random = Random(11);
    let random = (0..20_000).map(|_| text(&mut random));
    for row in EDGES.iter().map(|edge| edge.as_bytes().to_vec()).chain(random) {
        let at = |scale| naive::parse_decimal(&row, scale).map(|number| (number, scale));
        let expected = (0..=crate::MAX_SCALE).map(at).find(Result::is_ok).unwrap_or(at(0));
        let least = crate::least_decimal(&row);
        match expected {
            // Past the range at one scale, too precise at the next: either will do.
            Err(BadKind::OutOfRange | BadKind::TooPrecise) => {
                assert!(matches!(least, Err(BadKind::OutOfRange | BadKind::TooPrecise)));
            }
            expected => assert_eq!(least, expected, "{}", row.escape_ascii()),
        }
    }
}
