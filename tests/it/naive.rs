//! The naive model of the engine: a row at a time, with the standard library's strings, no kernels
//! and no threads. What it says is what the engine has to say.

use std::collections::BTreeMap;

/// The lines of what came in: each ends at `\n` or `\r\n`, the last one perhaps at the end. Bad
/// UTF-8 is replaced, line by line.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    // What follows the last line end is a line only if there is something.
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let text = |line: &&[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        String::from_utf8_lossy(line).into_owned()
    };
    lines.iter().map(text).collect()
}

/// The pieces of all lines between separators, empty ones too.
pub(crate) fn split(lines: &[String], separator: char) -> Vec<&str> {
    lines.iter().flat_map(|line| line.split(separator)).collect()
}

/// The words of all lines.
pub(crate) fn split_whitespace(lines: &[String]) -> Vec<&str> {
    lines.iter().flat_map(|line| line.split_whitespace()).collect()
}

/// Each distinct row and `weight` times how often it is there, sorted.
pub(crate) fn counts<S: AsRef<str>>(
    rows: impl IntoIterator<Item = S>,
    weight: i64,
) -> Vec<(String, i64)> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let row = row.as_ref();
        match counts.get_mut(row) {
            Some(count) => *count += weight,
            None => drop(counts.insert(row.to_owned(), weight)),
        }
    }
    counts.into_iter().collect()
}

#[test]
fn line_ends() {
    let check = |text: &str, expected: &[&str]| assert_eq!(lines(text.as_bytes()), expected);
    check("", &[]);
    check("\n", &[""]);
    check("a", &["a"]);
    check("a\n", &["a"]);
    check("a\r\nb\r\r\n\r\n", &["a", "b\r", ""]);
    check("a\n\nb\r", &["a", "", "b"]);
}
