//! Fields of lines and of rows: the shapes of text, tables with lines of one length or the other,
//! and lines with more separators than a stretch has room for.

use super::text::{each_text, rows};
use super::{Random, naive};
use crate::{BadKind, BadRow, FieldCount, Fields, Level, Span, WhiteFields};

/// Texts of fields, each with the separator it is for.
fn each_case(mut check: impl FnMut(&[u8], u8)) {
    each_text(|_, text| check(text, b' '));
    let mut random = Random(6);
    for width in 1..6 {
        for odd_one_in in [2, 400, usize::MAX] {
            for end in ["\n", "\r\n"] {
                let mut text = String::new();
                for _ in 0..1100 {
                    let is_odd = random.below(odd_one_in) == 0;
                    let width = if is_odd { random.below(8) } else { width };
                    let fields: Vec<&str> =
                        (0..width).map(|_| &"tide mills\r"[..random.below(12)]).collect();
                    text += &fields.join(";");
                    text += if is_odd { "\n" } else { end };
                }
                check(text.as_bytes(), b';');
                check(&text.as_bytes()[..text.len() - 1], b';');
            }
        }
    }
    for separators in [900, 960, 961, 1023, 1024, 1025, 3000] {
        let wide = "x;".repeat(separators);
        for text in [wide.clone(), format!("a;b\n{wide}\r\n\nc;d\n{wide}"), format!("{wide}\n")] {
            check(text.as_bytes(), b';');
        }
    }
}

const FIELDS: [(&[u32], FieldCount); 7] = [
    (&[0], FieldCount::AtLeast(1)),
    (&[0, 1], FieldCount::AtLeast(2)),
    (&[1, 0], FieldCount::Exactly(2)),
    (&[2, 0, 2], FieldCount::Exactly(3)),
    (&[1, 2], FieldCount::AtLeast(3)),
    (&[], FieldCount::Exactly(1)),
    (&[1020, 962], FieldCount::AtLeast(1021)),
];

fn expected(text: &[u8], rows: &[Span], fields: &Fields<'_>) -> (Vec<Vec<Span>>, Vec<BadRow>) {
    let mut columns = vec![Vec::new(); fields.columns.len()];
    let mut bad = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let parts = naive::fields(&text[row.range()], fields);
        if parts.is_none() {
            bad.push(BadRow { row: number as u32, kind: BadKind::Fields });
        }
        for (index, column) in columns.iter_mut().enumerate() {
            let part = parts.as_ref().map_or(Span::default(), |parts| parts[index]);
            column.push(Span { start: row.start + part.start, len: part.len });
        }
    }
    (columns, bad)
}

pub(super) fn line_fields(level: Level) {
    each_case(|text, separator| {
        let lines: Vec<Span> =
            naive::lines(text).into_iter().map(|line| naive::span_in(text, line)).collect();
        for (columns, count) in FIELDS {
            let fields = Fields { separator, columns, count };
            let (expected, expected_bad) = expected(text, &lines, &fields);
            let mut out = vec![Vec::new(); columns.len()];
            let mut bad = Vec::new();
            let number = crate::line_fields_at(level, text, &fields, &mut out, &mut bad);
            assert_eq!(number, lines.len());
            assert!(out == expected, "{fields:?} of \"{}\" at {level:?}", text.escape_ascii());
            assert_eq!(bad, expected_bad);
        }
    });
}

pub(super) fn row_fields(level: Level) {
    each_case(|text, separator| {
        let rows = rows(text);
        for (columns, count) in FIELDS {
            let fields = Fields { separator, columns, count };
            let (expected, expected_bad) = expected(text, &rows, &fields);
            let mut out = vec![Vec::new(); columns.len()];
            let mut bad = Vec::new();
            crate::row_fields_at(level, text, &rows, &fields, &mut out, &mut bad);
            assert!(out == expected, "{fields:?} of \"{}\" at {level:?}", text.escape_ascii());
            assert_eq!(bad, expected_bad);
        }
    });
}

pub(super) fn white_fields(level: Level) {
    each_text(|_, text| {
        let rows = rows(text);
        for (columns, count) in FIELDS {
            for rest in [None, Some(0), Some(1), Some(2)] {
                let fields = WhiteFields { columns, count, rest };
                let (mut expected, mut expected_bad) = (vec![Vec::new(); columns.len()], vec![]);
                for (number, row) in rows.iter().enumerate() {
                    let parts = naive::white_fields(&text[row.range()], &fields);
                    if parts.is_none() {
                        expected_bad.push(BadRow { row: number as u32, kind: BadKind::Fields });
                    }
                    for (index, column) in expected.iter_mut().enumerate() {
                        let part = parts.as_ref().map_or(Span::default(), |parts| parts[index]);
                        column.push(Span { start: row.start + part.start, len: part.len });
                    }
                }
                let (mut out, mut bad) = (vec![Vec::new(); columns.len()], Vec::new());
                crate::white_fields_at(level, text, &rows, &fields, &mut out, &mut bad);
                assert!(out == expected, "{fields:?} of \"{}\"", text.escape_ascii());
                assert_eq!(bad, expected_bad);
            }
        }
    });
}

pub(super) fn key_decimals(level: Level) {
    let mut random = Random(7);
    let values: [&[u8]; 9] =
        [b"1.5", b"-20.25", b"0", b"1.125", b"", b"high", b"1e30", b"12345678901234", b"7"];
    for (rows, choices) in [(0, 1), (1, 3), (127, 3), (128, 3), (1100, 3), (1100, 9), (5000, 4)] {
        for end in [&b"\n"[..], b"\r\n"] {
            let mut text = Vec::new();
            for _ in 0..rows {
                let value = values[random.below(choices)];
                let odd = if choices > 3 { random.below(20) } else { 2 };
                let line: &[&[u8]] = match odd {
                    0 => &[b"no value"],
                    1 => &[b"a;1;surplus"],
                    _ => &[&b"slack"[..random.below(6)], b";", value],
                };
                text.extend(line.concat());
                text.extend(end);
            }
            for count in [FieldCount::AtLeast(2), FieldCount::Exactly(2)] {
                let fields = Fields { separator: b';', columns: &[0, 1], count };
                check_key_decimals(level, &text, &fields);
                check_key_decimals(level, text.strip_suffix(end).unwrap_or(&text), &fields);
                check_key_decimals(level, &text, &Fields { columns: &[1, 0], ..fields });
            }
        }
    }
}

fn check_key_decimals(level: Level, text: &[u8], fields: &Fields<'_>) {
    let (mut keys, mut numbers) = (vec![Span::default()], vec![0, 0]);
    let mut bad = Vec::new();
    let lines = crate::key_decimals_at(level, text, fields, 2, &mut keys, &mut numbers, &mut bad);
    assert_eq!(lines, naive::lines(text).len());
    let (mut expected, mut expected_bad) = (Vec::new(), Vec::new());
    for (row, line) in naive::lines(text).into_iter().enumerate() {
        let decimal = match naive::fields(line, fields) {
            None => Err(BadKind::Fields),
            Some(spans) => naive::parse_decimal(&line[spans[1].range()], 2)
                .map(|decimal| (&line[spans[0].range()], decimal)),
        };
        match decimal {
            Ok(good) => expected.push(good),
            Err(kind) => expected_bad.push(BadRow { row: row as u32, kind }),
        }
    }
    let keys = keys[1..].iter().map(|key| &text[key.range()]);
    let found: Vec<(&[u8], i64)> = keys.zip(numbers[2..].iter().copied()).collect();
    assert_eq!(found.len() + 2, numbers.len());
    assert!(found == expected, "at {level:?}: {:?}", text.escape_ascii());
    assert_eq!(bad, expected_bad);
}

#[test]
fn what_cannot_be_asked_for() {
    let fields = |separator, columns, count| Fields { separator, columns, count };
    let run = |fields: Fields<'static>, columns: usize| {
        std::panic::catch_unwind(|| {
            let mut out = vec![Vec::new(); columns];
            crate::line_fields(b"a;b\n", &fields, &mut out, &mut Vec::new());
        })
    };
    assert!(run(fields(b';', &[1], FieldCount::AtLeast(2)), 1).is_ok());
    assert!(run(fields(b';', &[1], FieldCount::AtLeast(2)), 2).is_err());
    assert!(run(fields(b';', &[2], FieldCount::AtLeast(2)), 1).is_err());
    assert!(run(fields(b'\n', &[1], FieldCount::AtLeast(2)), 1).is_err());
}
