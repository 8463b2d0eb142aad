//! Fields of lines and of rows: the shapes of text, tables with lines of one length or the other,
//! and lines with more separators than a stretch has room for.

use super::text::{each_text, rows};
use super::{Random, naive};
use crate::{BadKind, BadRow, FieldCount, Fields, Level, Span};

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
