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
        // Characters that are not ASCII may be two columns wide.
        let width = if c.is_control() {
            out.extend(c.escape_default().map(|escaped| escaped as u8));
            out.len() - start
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            if c.is_ascii() { 1 } else { 2 }
        };
        let room = columns_max - columns;
        if width > room || (width == room && !is_last) {
            out.truncate(start);
            return out.extend_from_slice("…".as_bytes());
        }
        columns += width;
    }
}
