//! What each kernel means, in one line each: the runner compares every level with these.

use std::num::IntErrorKind;

use chrono::DateTime;

use crate::{BadKind, FieldCount, Fields, Span, TimeFormat, WhiteFields};

pub(super) fn lines(text: &[u8]) -> Vec<&[u8]> {
    let ended = text.split_inclusive(|byte| *byte == b'\n');
    ended
        .map(|line| match line {
            [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => line,
            line => line,
        })
        .collect()
}

pub(super) fn split_byte(row: &[u8], separator: u8) -> Vec<&[u8]> {
    row.split(|byte| *byte == separator).collect()
}

pub(super) fn split_whitespace(row: &[u8]) -> Vec<&[u8]> {
    let text = text_of_same_length(row);
    text.split_whitespace()
        .map(|part| &row[span_in(text.as_bytes(), part.as_bytes()).range()])
        .collect()
}

/// The text, with an `x` for each byte that is not UTF-8.
fn text_of_same_length(bytes: &[u8]) -> String {
    bytes
        .utf8_chunks()
        .map(|chunk| chunk.valid().to_owned() + &"x".repeat(chunk.invalid().len()))
        .collect()
}

pub(super) fn count_newlines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

pub(super) fn is_ascii(text: &[u8]) -> bool {
    text.is_ascii()
}

pub(super) fn valid_up_to(text: &[u8]) -> usize {
    std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len)
}

pub(super) fn sum_i64(values: &[i64]) -> Option<i64> {
    i64::try_from(values.iter().map(|value| i128::from(*value)).sum::<i128>()).ok()
}

pub(super) fn sum_f64(values: &[f64]) -> f64 {
    let mut sums: Vec<f64> =
        (0..32).map(|lane| values.iter().skip(lane).step_by(32).fold(0.0, |a, b| a + b)).collect();
    while sums.len() > 1 {
        let upper = sums.split_off(sums.len() / 2);
        sums = sums.iter().zip(upper).map(|(a, b)| a + b).collect();
    }
    sums[0]
}

pub(super) fn min_i64(values: &[i64]) -> Option<i64> {
    values.iter().copied().min()
}

pub(super) fn max_i64(values: &[i64]) -> Option<i64> {
    values.iter().copied().max()
}

pub(super) fn min_f64(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

pub(super) fn max_f64(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

/// Where `part`, a slice of `text`, lies in it.
pub(super) fn span_in(text: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    Span { start: start as u32, len: part.len() as u32 }
}

pub(super) fn fields(row: &[u8], fields: &Fields<'_>) -> Option<Vec<Span>> {
    let parts = split_byte(row, fields.separator);
    let is_good = match fields.count {
        FieldCount::AtLeast(count) => parts.len() >= count as usize,
        FieldCount::Exactly(count) => parts.len() == count as usize,
    };
    let wanted = fields.columns.iter().map(|column| span_in(row, parts[*column as usize]));
    is_good.then(|| wanted.collect())
}

pub(super) fn white_fields(row: &[u8], fields: &WhiteFields<'_>) -> Option<Vec<Span>> {
    let is_white = |byte: &u8| matches!(byte, 9..=13 | b' ');
    let words = row.split(is_white).filter(|word| !word.is_empty());
    let mut words: Vec<Span> = words.map(|word| span_in(row, word)).collect();
    if let Some(rest) = fields.rest.map(|rest| rest as usize).filter(|rest| *rest < words.len()) {
        words[rest].len = words[words.len() - 1].end() as u32 - words[rest].start;
        words.truncate(rest + 1);
    }
    let is_good = match fields.count {
        FieldCount::AtLeast(count) => words.len() >= count as usize,
        FieldCount::Exactly(count) => words.len() == count as usize,
    };
    is_good.then(|| fields.columns.iter().map(|column| words[*column as usize]).collect())
}

pub(super) fn parse_i64(row: &[u8]) -> Result<i64, BadKind> {
    let text = std::str::from_utf8(row).map_err(|_| BadKind::NotANumber)?;
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::Empty => BadKind::Empty,
        IntErrorKind::InvalidDigit => BadKind::NotANumber,
        _ => BadKind::OutOfRange,
    })
}

pub(super) fn parse_f64(row: &[u8]) -> Result<f64, BadKind> {
    let kind = if row.is_empty() { BadKind::Empty } else { BadKind::NotANumber };
    std::str::from_utf8(row).ok().and_then(|text| text.parse().ok()).ok_or(kind)
}

/// Writes the number out, with its point `scale` digits further on.
pub(super) fn parse_decimal(row: &[u8], scale: u32) -> Result<i64, BadKind> {
    parse_f64(row)?;
    let text = std::str::from_utf8(row).expect("a float is text").to_ascii_lowercase();
    if !text.contains(|c: char| c.is_ascii_digit()) {
        // Infinite, or not a number by name.
        return Err(BadKind::NotANumber);
    }
    let (significand, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let sign = if significand.starts_with('-') { "-" } else { "" };
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches(['+', '-']));
    if digits.bytes().all(|digit| digit == b'0') {
        return Ok(0);
    }
    // Further than any text here, and not so far that it cannot be written out.
    let far = if exponent.starts_with('-') { -200 } else { 200 };
    let exponent: i128 = exponent.parse().unwrap_or(far);
    let point = (whole.trim_start_matches(['+', '-']).len() as i128
        + exponent.clamp(-200, 200)
        + i128::from(scale)) as isize;
    let zeros = "0".repeat(300);
    let (before, after) = if point <= 0 {
        (String::new(), zeros[..point.unsigned_abs()].to_owned() + &digits)
    } else {
        let padded = digits + &zeros[..point as usize];
        let (before, after) = padded.split_at(point as usize);
        (before.to_owned(), after.to_owned())
    };
    if after.bytes().any(|digit| digit != b'0') {
        return Err(BadKind::TooPrecise);
    }
    let before = before.trim_start_matches('0');
    format!("{sign}0{before}").parse().map_err(|_| BadKind::OutOfRange)
}

/// By a calendar that takes more than this: its leap seconds and digits below a nanosecond are
/// looked for first.
pub(super) fn parse_timestamp(row: &[u8], format: TimeFormat) -> Result<i64, BadKind> {
    if let Some(scale) = format.scale() {
        return parse_decimal(row, scale);
    }
    let kind = if row.is_empty() { BadKind::Empty } else { BadKind::NotATime };
    let text = std::str::from_utf8(row).ok().filter(|text| text.is_ascii()).ok_or(kind)?;
    let (shape, seconds) = if format == TimeFormat::Rfc3339 {
        ("0000-00-00T00:00:00", 17)
    } else {
        ("00/Aaa/0000:00:00:00 +0000", 18)
    };
    let is_of_shape = text.len() >= shape.len()
        && shape.chars().zip(text.chars()).all(|(shape, char)| match shape {
            '0' => char.is_ascii_digit(),
            'A' => char.is_ascii_uppercase(),
            'a' => char.is_ascii_lowercase(),
            'T' => "Tt ".contains(char),
            '+' => "+-".contains(char),
            _ => char == shape,
        });
    if !is_of_shape || &text[seconds..seconds + 2] == "60" {
        return Err(kind);
    }
    let time = if format == TimeFormat::Rfc3339 {
        DateTime::parse_from_rfc3339(text)
    } else if text.len() == shape.len() {
        DateTime::parse_from_str(text, "%d/%b/%Y:%H:%M:%S %z")
    } else {
        return Err(kind);
    };
    let time = time.map_err(|_| kind)?;
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let fraction = fraction.chars().take_while(char::is_ascii_digit);
    if fraction.skip(9).any(|digit| digit != '0') {
        return Err(BadKind::TooPrecise);
    }
    time.timestamp_nanos_opt().ok_or(BadKind::OutOfRange)
}
