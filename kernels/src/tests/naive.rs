//! What each kernel means, in one line each: the runner compares every level with these.

use crate::Span;

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
