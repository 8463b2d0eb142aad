//! Text to times against a calendar that others keep: every day of four centuries, the limits of
//! the range, and times of random shape with characters changed, left out and doubled.
//! `TIDEMILL_SEEDS=n` runs n columns instead of four.

use super::{Random, naive};
use crate::{BadKind, BadRow, Level, Span, TimeFormat};

const FORMATS: [TimeFormat; 6] = [
    TimeFormat::Rfc3339,
    TimeFormat::Seconds,
    TimeFormat::Millis,
    TimeFormat::Micros,
    TimeFormat::Nanos,
    TimeFormat::CommonLog,
];

/// Texts at the limits of something, and such as are nearly times.
const EDGES: &[&str] = &[
    "",
    "Z",
    "1970-01-01T00:00:00Z",
    "1970-01-01t00:00:00z",
    "1970-01-01 00:00:00Z",
    "1970-01-01_00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01T00:00Z",
    "1970-01-01",
    "1970-01-01T24:00:00Z",
    "1970-01-01T23:60:00Z",
    "1990-12-31T23:59:60Z",
    "1990-12-31T23:59:61Z",
    "1970-00-01T00:00:00Z",
    "1970-13-01T00:00:00Z",
    "1970-01-00T00:00:00Z",
    "1970-01-32T00:00:00Z",
    "1970-04-31T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "0000-02-29T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "1677-09-21T00:12:43.145224192Z",
    "1677-09-21T00:12:43.145224191Z",
    "2262-04-11T23:47:16.854775807Z",
    "2262-04-11T23:47:16.854775808Z",
    "2262-04-12T00:47:16.854775807+01:00",
    "2262-04-12T00:47:16.854775808+01:00",
    "1969-12-31T23:59:59.999999999Z",
    "2024-02-29T13:55:36.Z",
    "2024-02-29T13:55:36.5Z",
    "2024-02-29T13:55:36,5Z",
    "2024-02-29T13:55:36.5",
    "2024-02-29T13:55:36.1234567890Z",
    "2024-02-29T13:55:36.1234567891Z",
    "2024-02-29T13:55:36.1234567891",
    "2024-02-29T13:55:36.12345678910000000000000000000000000000Z",
    "9999-02-28T13:55:36.1234567891Z",
    "2024-02-29T13:55:36+01:00",
    "2024-02-29T13:55:36-01:30",
    "2024-02-29T13:55:36-00:00",
    "2024-02-29T13:55:36+23:59",
    "2024-02-29T13:55:36+24:00",
    "2024-02-29T13:55:36+01:60",
    "2024-02-29T13:55:36+0100",
    "2024-02-29T13:55:36+01",
    "2024-02-29T13:55:36 +01:00",
    "2024-02-29T13:55:36\u{2212}01:00",
    "2024-02-29T13:55:36ZZ",
    " 2024-02-29T13:55:36Z",
    "2024-02-29T13:55:36Z ",
    "+2024-02-29T13:55:36Z",
    "-024-02-29T13:55:36Z",
    "2024-2-29T13:55:36Z",
    "２024-02-29T13:55:36Z",
    "10/Oct/2000:13:55:36 -0700",
    "29/Feb/2023:13:55:36 +0000",
    "10/oct/2000:13:55:36 -0700",
    "10/OCT/2000:13:55:36 -0700",
    "10/Okt/2000:13:55:36 -0700",
    "1/Oct/2000:13:55:36 -0700",
    "10/Oct/2000:13:55:60 -0700",
    "10/Oct/2000:13:55:36 0700",
    "10/Oct/2000:13:55:36 -07:00",
    "10/Oct/2000:13:55:36 -0760",
    "10/Oct/2000:13:55:36 -2400",
    "10/Oct/2000:13:55:36_-0700",
    "10/Oct/2300:13:55:36 -0700",
    "[10/Oct/2000:13:55:36 -0700]",
    "0",
    "-1",
    "1700000000",
    "1700000000.123456789",
    "1700000000.1234567890",
    "1700000000.1234567891",
    "1.7e9",
    "9223372036",
    "9223372037",
    "9223372036.854775807",
    "9223372036.854775808",
    "9223372036854775807",
    "9223372036854775808",
    "nan",
    "inf",
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// One time in a format, hardly ever outside of the range, at times with a number that is.
fn time(random: &mut Random, format: TimeFormat) -> String {
    let odd = random.below(8);
    let mut below = |limit: usize, part: usize| {
        // One part in eight is just outside of what it may be.
        random.below(limit) + if part == odd { random.below(3) } else { 0 }
    };
    let (year, month, day) = (1670 + below(600, 6), 1 + below(12, 0), 1 + below(31, 1));
    let (hour, minute, second) = (below(24, 2), below(60, 3), below(60, 4));
    let (offset_hour, offset_minute) = (below(24, 5), below(60, 5));
    let sign = ['+', '-'][random.below(2)];
    match format {
        TimeFormat::Rfc3339 => {
            let separator = ['T', 'T', 't', ' '][random.below(4)];
            let digits = (random.next() as u32).to_string() + &random.below(1_000).to_string();
            let len = random.below(digits.len());
            let fraction = if len > 0 { format!(".{}", &digits[..len]) } else { String::new() };
            let offset = match random.below(4) {
                0 | 1 => "Z".to_owned(),
                2 => "z".to_owned(),
                _ => format!("{sign}{offset_hour:02}:{offset_minute:02}"),
            };
            let date = format!("{year}-{month:02}-{day:02}{separator}");
            format!("{date}{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
        }
        TimeFormat::CommonLog => {
            let month = MONTHS.get(month - 1).copied().unwrap_or("Ja\0");
            let date = format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02}");
            format!("{date} {sign}{offset_hour:02}{offset_minute:02}")
        }
        _ => {
            let number = (random.next() as i64 >> random.below(63)).to_string();
            if random.below(2) == 0 { number } else { format!("{number}.{}", random.below(1_000)) }
        }
    }
}

/// Such a time, one in two with a character changed, left out or doubled.
fn text(random: &mut Random, format: TimeFormat) -> Vec<u8> {
    let mut text = time(random, format).into_bytes();
    let place = random.below(text.len());
    match random.below(6) {
        0 => {
            let bytes = b"0123456789:-+/.TZt z\0\x80\xB0\xFF";
            text[place] = bytes[random.below(bytes.len())];
        }
        1 => drop(text.remove(place)),
        2 => text.insert(place, text[place]),
        _ => {}
    }
    text
}

/// Compares a column with the naive twin, row by row.
fn check(level: Level, format: TimeFormat, texts: impl Iterator<Item = Vec<u8>>) {
    let (mut bytes, mut rows) = (Vec::new(), Vec::new());
    for text in texts {
        rows.push(Span { start: bytes.len() as u32, len: text.len() as u32 });
        bytes.extend(text);
    }
    let (mut times, mut bad) = (vec![7], Vec::new());
    crate::parse_timestamps_at(level, &bytes, &rows, format, &mut times, &mut bad);
    assert_eq!(times.len(), 1 + rows.len());
    let mut expected_bad = Vec::new();
    for (row, (span, time)) in rows.iter().zip(&times[1..]).enumerate() {
        let text = &bytes[span.range()];
        let expected = naive::parse_timestamp(text, format).unwrap_or_else(|kind| {
            expected_bad.push(BadRow { row: row as u32, kind });
            0
        });
        let found = bad.iter().find(|bad| bad.row == row as u32);
        let text = text.escape_ascii();
        assert_eq!(found, expected_bad.last().filter(|bad| bad.row == row as u32), "\"{text}\"");
        assert_eq!(*time, expected, "\"{text}\" in {format:?}");
    }
    assert_eq!(bad, expected_bad);
}

pub(super) fn parse_timestamps(level: Level) {
    let mut random = Random(6);
    let seeds = std::env::var("TIDEMILL_SEEDS").map_or(4, |seeds| seeds.parse().expect("a number"));
    for format in FORMATS {
        check(level, format, EDGES.iter().map(|edge| edge.as_bytes().to_vec()));
        for length in 0..5 {
            check(level, format, (0..length).map(|_| text(&mut random, format)));
        }
        for _ in 0..seeds {
            check(level, format, (0..1_000).map(|_| text(&mut random, format)));
        }
    }
}

/// The 29th to the 32nd of all months are among them, so that no February is wrong.
#[test]
fn every_day() {
    for year in (1677..2263).step_by(if cfg!(debug_assertions) { 7 } else { 1 }) {
        let days = (1..=12).flat_map(|month| (0..=32).map(move |day| (month, day)));
        let times = days.map(|(month, day)| format!("{year}-{month:02}-{day:02}T12:00:00Z"));
        check(Level::current(), TimeFormat::Rfc3339, times.map(String::into_bytes));
    }
}

#[test]
fn what_a_time_is() {
    let cases = [
        ("2001-09-09T01:46:40Z", TimeFormat::Rfc3339, Ok(1_000_000_000_000_000_000)),
        ("2001-09-09T03:46:40.5+02:00", TimeFormat::Rfc3339, Ok(1_000_000_000_500_000_000)),
        ("1000000000.5", TimeFormat::Seconds, Ok(1_000_000_000_500_000_000)),
        ("1000000000500", TimeFormat::Millis, Ok(1_000_000_000_500_000_000)),
        ("1000000000500000", TimeFormat::Micros, Ok(1_000_000_000_500_000_000)),
        ("1000000000500000000", TimeFormat::Nanos, Ok(1_000_000_000_500_000_000)),
        ("0.5", TimeFormat::Nanos, Err(BadKind::TooPrecise)),
        ("09/Sep/2001:03:46:40 +0200", TimeFormat::CommonLog, Ok(1_000_000_000_000_000_000)),
        ("1990-12-31T23:59:60Z", TimeFormat::Rfc3339, Err(BadKind::NotATime)),
        ("2263-01-01T00:00:00Z", TimeFormat::Rfc3339, Err(BadKind::OutOfRange)),
        ("2024-02-29T13:55:36.1234567891Z", TimeFormat::Rfc3339, Err(BadKind::TooPrecise)),
    ];
    for (text, format, expected) in cases {
        assert_eq!(naive::parse_timestamp(text.as_bytes(), format), expected, "{text}");
    }
}
