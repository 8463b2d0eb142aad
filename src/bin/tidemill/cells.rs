//! Texts and numbers as CSV, JSON and terminals have them.

use tidemill::__command::steers;

pub(crate) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// As RFC 4180 has it: quoted if it holds what ends a field or a line. For a spreadsheet, which
/// would take some fields for formulas, those begin with a quote.
pub(crate) fn push_csv_field(word: &str, is_for_spreadsheet: bool, out: &mut Vec<u8>) {
    let is_formula = is_for_spreadsheet && word.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard: &[u8] = if is_formula { b"'" } else { b"" };
    if !word.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(guard);
        return out.extend_from_slice(word.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(guard);
    for byte in word.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A text within quotes. On a terminal all that would steer it is an escape, not only what has to
/// be.
pub(crate) fn push_json_text(word: &str, is_for_terminal: bool, out: &mut Vec<u8>) {
    let is_special = |c: char| matches!(c, '"' | '\\') || c < ' ' || is_for_terminal && steers(c);
    let mut rest = word;
    while let Some(at) = rest.find(is_special) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut special = special.chars();
        match special.next() {
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            // None of them is beyond U+FFFF.
            Some(c) => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            None => {}
        }
        rest = special.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// A word in so many columns of a terminal at most. What would steer the terminal is shown as an
/// escape, so that a log line cannot.
pub(crate) fn push_cell(word: &str, columns_max: usize, out: &mut Vec<u8>) {
    if word.is_empty() {
        return out.extend_from_slice(b"(empty)");
    }
    let mut columns = 0;
    for (at, c) in word.char_indices() {
        let start = out.len();
        let is_last = at + c.len_utf8() == word.len();
        let width = if steers(c) {
            out.extend(c.escape_default().map(|escaped| escaped as u8));
            out.len() - start
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            width(c)
        };
        let room = columns_max - columns;
        if width > room || (width == room && !is_last) {
            out.truncate(start);
            return out.extend_from_slice("…".as_bytes());
        }
        columns += width;
    }
}

/// A line in so many columns of a terminal at most.
pub(crate) fn push_cut(line: &str, columns_max: usize, out: &mut Vec<u8>) {
    if columns(line) <= columns_max {
        return out.extend_from_slice(line.as_bytes());
    }
    let mut room = columns_max;
    for c in line.chars() {
        // The last column is for the sign that something is missing.
        if width(c) >= room {
            break;
        }
        room -= width(c);
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if room > 0 {
        out.extend_from_slice("…".as_bytes());
    }
}

/// Columns of a terminal that a line takes at most.
pub(crate) fn columns(line: &str) -> usize {
    line.chars().map(width).sum()
}

/// Characters that are not ASCII may be two columns wide, but for the one of our own.
fn width(c: char) -> usize {
    if c.is_ascii() || c == '…' { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use tidemill::__command::escaped;

    use super::{columns, push_cell, push_csv_field, push_cut, push_json_text};

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("text")
    }

    /// C0, DEL, C1 and what turns text around, in each of the shapes.
    #[test]
    fn nothing_steers_a_terminal() {
        let cases = [
            ("\u{1b}[31m", "\\u{1b}[31m", "\\u001b[31m"),
            ("\u{7f}\u{9b}2J", "\\u{7f}\\u{9b}2J", "\\u007f\\u009b2J"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}", "a\\u202eb\\u2066"),
            ("a\tb", "a\\tb", "a\\tb"),
            ("größe 東京", "größe 東京", "größe 東京"),
        ];
        for (word, shown, json) in cases {
            assert_eq!(escaped(word), shown);
            assert_eq!(pushed(|out| push_cell(word, 100, out)), shown);
            assert_eq!(pushed(|out| push_json_text(word, true, out)), json);
        }
        // A program has it as it is, but for what JSON wants.
        assert_eq!(pushed(|out| push_json_text("\u{1b}\u{7f}\"", false, out)), "\\u001b\u{7f}\\\"");
    }

    #[test]
    fn formulas_are_text_for_spreadsheets() {
        let field = |word, is_for| pushed(|out| push_csv_field(word, is_for, out));
        for (word, plain, guarded) in [
            ("=1+1", "=1+1", "'=1+1"),
            ("@x", "@x", "'@x"),
            ("-1,\"x\"", "\"-1,\"\"x\"\"\"", "\"'-1,\"\"x\"\"\""),
            ("\t=1", "\t=1", "'\t=1"),
            ("a=1", "a=1", "a=1"),
            ("", "", ""),
        ] {
            assert_eq!((field(word, false), field(word, true)), (plain.into(), guarded.into()));
        }
    }

    #[test]
    fn lines_are_never_wider_than_the_terminal() {
        for line in ["", "a", "ab", "abc def", "größe 東京 a", "…", "東"] {
            for columns_max in 0..20 {
                let mut cut = Vec::new();
                push_cut(line, columns_max, &mut cut);
                let cut = String::from_utf8(cut).expect("text");
                assert!(columns(&cut) <= columns_max, "{cut:?} in {columns_max}");
                assert_eq!(cut == line, columns(line) <= columns_max, "{cut:?} in {columns_max}");
            }
        }
    }
}
