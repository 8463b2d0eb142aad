//! Texts and numbers as CSV, JSON and terminals have them.

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

/// As RFC 4180 has it: quoted if it holds what ends a field or a line.
pub(crate) fn push_csv_field(word: &str, out: &mut Vec<u8>) {
    if !word.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return out.extend_from_slice(word.as_bytes());
    }
    out.push(b'"');
    for byte in word.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

pub(crate) fn push_json_text(word: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in word.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
            }
            byte => out.push(byte),
        }
    }
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
        let width = if c.is_control() {
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
    use super::{columns, push_cut};

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
