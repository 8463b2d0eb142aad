//! Where a record ends whose fields may stand in quotes, and hold line ends there.
//!
//! Invariant: what is framed so begins at the start of a record, and in a block each record is
//! closed, so that whoever reads it finds the same ends without a look at what came before.

use memchr::{memchr, memchr_iter, memchr2, memrchr};

const QUOTE: u8 = b'"';

/// What a record ends with whose last field has a quote that is never closed: a quote and no end of
/// a field, which no reader of quotes takes for a record.
pub(super) const CLOSING: &[u8] = "\"…".as_bytes();

/// Records by RFC 4180: a line end within quotes is part of its field.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quoted {
    /// What stands between two fields: a quote opens one only behind it, or at a record's start.
    pub(crate) separator: u8,
    /// A record with an open quote ends at its first line end past so many bytes, so that one that
    /// is never closed takes no more than a record may.
    pub(crate) record_bytes_max: usize,
}

/// Where a record ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum End {
    /// At this line end.
    At(usize),
    /// Further on.
    Missing { is_open: bool },
}

impl Quoted {
    /// The line end of the record with which the bytes begin, if it has come.
    pub(super) fn end(self, bytes: &[u8]) -> Option<usize> {
        let feed = memchr(b'\n', bytes)?;
        if memchr(QUOTE, &bytes[..feed]).is_none() {
            return Some(feed);
        }
        match self.find_end(bytes) {
            End::At(end) => Some(end),
            End::Missing { .. } => None,
        }
    }

    /// Whether a record that ends here ends within quotes.
    pub(super) fn is_open(self, record: &[u8]) -> bool {
        let whole = Quoted { record_bytes_max: usize::MAX, ..self };
        whole.find_end(record) == End::Missing { is_open: true }
    }

    /// Calls `take` with the line end of each record that has come.
    pub(super) fn for_each_end(self, bytes: &[u8], mut take: impl FnMut(usize)) {
        let mut at = 0;
        while at < bytes.len() {
            let quote = memchr(QUOTE, &bytes[at..]).map_or(bytes.len(), |quote| at + quote);
            // Lines before the one with the next quote.
            let plain = memrchr(b'\n', &bytes[at..quote]).map_or(at, |end| at + end + 1);
            memchr_iter(b'\n', &bytes[at..plain]).for_each(|end| take(at + end));
            if quote == bytes.len() {
                return;
            }
            let End::At(end) = self.find_end(&bytes[plain..]) else { return };
            take(plain + end);
            at = plain + end + 1;
        }
    }

    fn find_end(self, bytes: &[u8]) -> End {
        let mut at = 0;
        loop {
            if bytes.get(at) == Some(&QUOTE) {
                at += 1;
                loop {
                    let quote = memchr(QUOTE, &bytes[at..]).map(|quote| at + quote);
                    let within = quote.unwrap_or(bytes.len());
                    let past = at.max(self.record_bytes_max.saturating_add(1)).min(within);
                    if let Some(end) = memchr(b'\n', &bytes[past..within]) {
                        return End::At(past + end);
                    }
                    let Some(quote) = quote else { return End::Missing { is_open: true } };
                    at = quote + 1;
                    if bytes.get(at) != Some(&QUOTE) {
                        break;
                    }
                    at += 1;
                }
            }
            // The rest of the field, whatever quotes are in it.
            match memchr2(self.separator, b'\n', &bytes[at..]) {
                Some(end) if bytes[at + end] == b'\n' => return End::At(at + end),
                Some(end) => at += end + 1,
                None => return End::Missing { is_open: false },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of records, byte by byte.
    fn naive(bytes: &[u8], separator: u8, max: usize) -> (Vec<usize>, bool) {
        let (mut ends, mut start) = (Vec::new(), 0);
        let (mut is_start, mut is_open) = (true, false);
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if is_open {
                if byte == QUOTE && bytes.get(at + 1) == Some(&QUOTE) {
                    at += 1;
                } else if byte == QUOTE {
                    is_open = false;
                } else if byte == b'\n' && at - start > max {
                    (is_open, is_start, start) = (false, true, at + 1);
                    ends.push(at);
                }
            } else if byte == b'\n' {
                (is_start, start) = (true, at + 1);
                ends.push(at);
            } else {
                is_open = byte == QUOTE && is_start;
                is_start = byte == separator;
            }
            at += 1;
        }
        (ends, is_open)
    }

    /// All texts of these bytes up to a length.
    #[test]
    fn ends_are_those_of_a_look_at_each_byte() {
        const BYTES: [u8; 4] = [b'"', b';', b'\n', b'a'];
        for len in 0..9 {
            for number in 0..4_usize.pow(len) {
                let byte = |place| BYTES[number / 4_usize.pow(place) % 4];
                let bytes: Vec<u8> = (0..len).map(byte).collect();
                for record_bytes_max in [0, 3, 100] {
                    let quoted = Quoted { separator: b';', record_bytes_max };
                    let mut ends = Vec::new();
                    quoted.for_each_end(&bytes, |end| ends.push(end));
                    let (expected, is_open) = naive(&bytes, b';', record_bytes_max);
                    let text = bytes.escape_ascii();
                    assert_eq!(ends, expected, "{text}, maximum {record_bytes_max}");
                    assert_eq!(quoted.end(&bytes), expected.first().copied(), "{text}");
                    let rest = &bytes[expected.last().map_or(0, |end| end + 1)..];
                    assert_eq!(quoted.is_open(rest), is_open, "{text}");
                }
            }
        }
    }
}
