//! Where a line of words may be cut: at what stands between two words.
//!
//! Invariant: a cut puts a line end in the place of one separator, so no word comes or goes by it.

use memchr::{memchr2, memrchr, memrchr_iter};

/// What stands between words.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum WordEnds {
    /// White space as Unicode has it, any run of it.
    Whitespace,
    /// Each of these bytes: between two of them there is an empty word.
    Byte(u8),
}

impl WordEnds {
    /// The last place at which a line end may be written over the separator in `text`, and the
    /// separator's bytes. `text` is the start of a line, or what comes after no such place.
    pub(super) fn last_to_write(self, text: &[u8]) -> Option<(usize, usize)> {
        match self {
            WordEnds::Byte(separator) => memrchr_iter(separator, text)
                // A `\r` before a line end would count as a part of that.
                .find(|&at| at == 0 || text[at - 1] != b'\r')
                .map(|at| (at, 1)),
            WordEnds::Whitespace => self.last(text),
        }
    }

    /// The last separator in `text`, and its bytes.
    pub(super) fn last(self, text: &[u8]) -> Option<(usize, usize)> {
        match self {
            WordEnds::Byte(separator) => memrchr(separator, text).map(|at| (at, 1)),
            WordEnds::Whitespace => (0..text.len()).rev().find_map(|at| white_at(text, at)),
        }
    }

    /// The end of the first word in `text`: a separator or a line end, and its bytes.
    pub(super) fn first(self, text: &[u8]) -> Option<(usize, usize)> {
        match self {
            WordEnds::Byte(separator) => memchr2(separator, b'\n', text).map(|at| (at, 1)),
            WordEnds::Whitespace => (0..text.len()).find_map(|at| white_at(text, at)),
        }
    }

    /// How many bytes at the end of `text` are a separator that is no place for a cut yet: there is
    /// an empty word after it if the input ends.
    pub(super) fn held(self, text: &[u8]) -> usize {
        match self {
            WordEnds::Byte(separator) => usize::from(text.last() == Some(&separator)),
            WordEnds::Whitespace => 0,
        }
    }

    /// How many bytes at the end of `text` may be the beginning of a separator.
    pub(super) fn begun(self, text: &[u8]) -> usize {
        match (self, text) {
            (WordEnds::Byte(_), _) => self.held(text),
            (_, [.., 0xE1..=0xE3, 0x80 | 0x81 | 0x9A]) => 2,
            (_, [.., 0xC2 | 0xE1..=0xE3]) => 1,
            _ => 0,
        }
    }

    /// The last separator that begins within the first `max + 1` bytes of `text`, and its bytes.
    pub(super) fn last_within(self, text: &[u8], max: usize) -> Option<(usize, usize)> {
        // One that begins at the maximum may have three bytes.
        let mut reaches = [max + 3, max + 2, max + 1, max].into_iter();
        reaches.find_map(|reach| {
            let found = self.last(&text[..reach.min(text.len())]);
            found.filter(|&(at, _)| at <= max)
        })
    }

    /// Whether no word in whole lines is longer than the maximum.
    pub(super) fn fit(self, lines: &[u8], word_bytes_max: usize) -> bool {
        let mut rest = lines;
        // From one end to the last within its reach: few steps, and short ones.
        while rest.len() > word_bytes_max {
            let separator = self.last_within(rest, word_bytes_max).map_or(0, |(at, len)| at + len);
            let reach = (word_bytes_max + 1).min(rest.len()).max(separator);
            let line = memrchr(b'\n', &rest[separator..reach]).map_or(0, |at| at + 1);
            if separator + line == 0 {
                return false;
            }
            rest = &rest[separator + line..];
        }
        true
    }
}

/// Puts a line end in the place of a separator of words.
pub(super) fn end_line(separator: &mut [u8]) {
    // Of a wide one the rest becomes white space, which is no word either.
    separator.fill(b' ');
    if let Some(last) = separator.last_mut() {
        *last = b'\n';
    }
}

/// The white space that begins there, and its bytes.
#[inline]
fn white_at(text: &[u8], at: usize) -> Option<(usize, usize)> {
    match text[at] {
        byte if byte.is_ascii() => is_white(byte).then_some((at, 1)),
        _ => wide_white_len(&text[at..]).map(|len| (at, len)),
    }
}

/// ASCII's white space; the vertical tab is among it for `char`, though not for `u8`.
fn is_white(byte: u8) -> bool {
    char::from(byte).is_whitespace()
}

/// Length of the white space past ASCII at the start of `text`, as a pattern of bytes: in text it
/// stands nowhere but where the character does.
fn wide_white_len(text: &[u8]) -> Option<usize> {
    let len = match text.first()? {
        0xC2 => 2,
        0xE1..=0xE3 => 3,
        _ => return None,
    };
    let character = std::str::from_utf8(text.get(..len)?).ok()?.chars().next()?;
    character.is_whitespace().then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_what_splitting_takes_for_it() {
        let mut buffer = [0; 4];
        for character in (0..=0x3_FFFF).filter_map(char::from_u32) {
            let text = character.encode_utf8(&mut buffer).as_bytes();
            let expected = character.is_whitespace().then_some((0, text.len()));
            assert_eq!(WordEnds::Whitespace.first(text), expected, "{character:?}");
            assert_eq!(WordEnds::Whitespace.last(text), expected, "{character:?}");
            if expected.is_some() {
                let begun =
                    (1..text.len()).all(|len| WordEnds::Whitespace.begun(&text[..len]) == len);
                assert!(begun, "{character:?}");
            }
        }
    }

    #[test]
    fn words_fit_or_not() {
        let white = WordEnds::Whitespace;
        assert!(white.fit(b"abc abc abc\nabc\n", 3));
        assert!(white.fit("abc\u{3000}abc\n".as_bytes(), 3));
        assert!(!white.fit(b"abc abcd abc\n", 3));
        assert!(!white.fit(b"abc\nabcd\n", 3));
        assert!(WordEnds::Byte(b',').fit(b"abc,,abc\n,\n", 3));
        assert!(!WordEnds::Byte(b',').fit(b"abc,a bc\n", 3));
    }

    #[test]
    fn a_line_is_not_cut_after_a_carriage_return() {
        assert_eq!(WordEnds::Byte(b',').last_to_write(b"a,b\r,c"), Some((1, 1)));
        assert_eq!(WordEnds::Byte(b',').last_to_write(b",b\r,"), Some((0, 1)));
        assert_eq!(WordEnds::Whitespace.last_to_write(b"a \r b"), Some((3, 1)));
    }
}
