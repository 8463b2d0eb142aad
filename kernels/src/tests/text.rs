//! Lines and splits: the shapes are cut at every length up to four blocks, around a piece of the
//! fused kernels, and at several alignments; some cuts leave half a character, on purpose.

use super::{Random, naive};
use crate::isa::BLOCK;
use crate::{Level, Span, TextBuffer};

/// Bytes of text that the fused kernels cut at a time.
const PIECE: usize = crate::split::TextSplitter::PIECE;

/// Text where something is always at a border: of a block, of a piece, of a slot's size.
pub(super) fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let mut random = Random(3);
    let longest = 2 * PIECE + 80;
    let cycle = |pattern: &str| pattern.bytes().cycle().take(longest).collect::<Vec<u8>>();
    let mut picks = |alphabet: &[&[u8]]| {
        let mut text = Vec::new();
        while text.len() < longest {
            text.extend_from_slice(alphabet[random.below(alphabet.len())]);
        }
        text
    };
    let long = |length: usize| "k".repeat(length);
    let lengths = [15, 16, 17, 31, 32, 33, 47, 48, 49, 200];
    let long_tokens: Vec<String> = lengths.map(|length| long(length) + " ").to_vec();
    let long_tokens: Vec<&[u8]> = long_tokens.iter().map(|token| token.as_bytes()).collect();
    let spaces = [
        "\u{85}", "\u{A0}", "\u{1680}", "\u{2000}", "\u{200A}", "\u{2028}", "\u{2029}", "\u{202F}",
        "\u{205F}", "\u{3000}",
    ];
    // No spaces, though they look like one: neighbours, and other characters of the same lead.
    let no_spaces =
        ["\u{84}", "\u{A1}", "\u{1681}", "\u{200B}", "\u{2060}", "\u{3001}", "é", "日", "🌊"];
    let unicode: Vec<&[u8]> =
        spaces.iter().chain(&no_spaces).chain(&["a", " "]).map(|text| text.as_bytes()).collect();
    vec![
        ("separators", cycle(" ")),
        ("none", cycle("x")),
        ("feeds", cycle("\n")),
        ("returns and feeds", cycle("\r\n")),
        ("lone returns", cycle("\r")),
        ("words", cycle("the tide is in\nand out again \n")),
        ("crlf everywhere", picks(&[b"\r", b"\n", b"\r\n", b"a", b" "])),
        (
            "ascii white",
            picks(&[b"\t", b"\n", b"\x0B", b"\x0C", b"\r", b" ", b"\x08", b"\x0E", b"ab"]),
        ),
        ("long tokens", picks(&long_tokens)),
        ("nuls", picks(&[b"\0", b"\0\0", b"a\0", b"a", b" ", b"\n"])),
        ("unicode", picks(&unicode)),
        ("no utf-8", picks(&[b"\xE2", b"\x80", b"\xC2", b"\x85", b"\xFF", b"a", b" ", b"\n"])),
    ]
}

/// Calls `check` with each shape, cut to each length at each alignment.
pub(super) fn each_text(mut check: impl FnMut(&str, &[u8])) {
    let around_pieces = [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1];
    for (name, shape) in shapes() {
        let mut cut = |align: usize, length: usize| {
            // A copy of its own, so that a read past the end is one past the allocation.
            let text = shape[align..align + length].to_vec();
            check(name, &text);
        };
        for align in [0, 1, 31, 63] {
            (0..=4 * BLOCK).for_each(|length| cut(align, length));
        }
        around_pieces.into_iter().for_each(|length| cut(63, length));
    }
}

/// Rows of a text: its lines, and ranges that overlap and leave gaps.
pub(super) fn rows(text: &[u8]) -> Vec<Span> {
    let mut rows: Vec<Span> =
        naive::lines(text).into_iter().map(|line| naive::span_in(text, line)).collect();
    let third = (text.len() / 3) as u32;
    rows.push(Span { start: third, len: third });
    rows.push(Span { start: 0, len: text.len() as u32 });
    rows.push(Span { start: text.len() as u32, len: 0 });
    rows
}

pub(super) fn line_spans(level: Level) {
    each_text(|name, text| {
        let mut spans = vec![Span::default()];
        crate::line_spans_at(level, text, &mut spans);
        let expected: Vec<Span> =
            naive::lines(text).into_iter().map(|line| naive::span_in(text, line)).collect();
        assert_eq!(spans[1..], expected, "{name} at {level:?}: {:?}", text.escape_ascii());
    });
}

pub(super) fn count_newlines(level: Level) {
    each_text(|name, text| {
        let count = crate::count_newlines_at(level, text);
        assert_eq!(count, naive::count_newlines(text), "{name} at {level:?}");
    });
}

pub(super) fn is_ascii(level: Level) {
    each_text(|name, text| {
        let is_ascii = crate::is_ascii_at(level, text);
        assert_eq!(is_ascii, naive::is_ascii(text), "{name} at {level:?}");
    });
}

pub(super) fn check(level: Level) {
    each_text(|name, text| {
        let mut buffer = TextBuffer::new();
        buffer.extend_from_bytes(text);
        let valid = match buffer.check_at(level) {
            Ok(()) => text.len(),
            Err(bad) => bad.valid_up_to,
        };
        assert_eq!(valid, naive::valid_up_to(text), "{name} at {level:?}");
        assert_eq!(valid, buffer.checked_len());
    });
}

pub(super) fn split_byte(level: Level) {
    each_text(|name, text| {
        let rows = rows(text);
        for separator in [b' ', b'\n', b'\r', 0] {
            let mut spans = vec![Span::default()];
            crate::split_byte_at(level, text, &rows, separator, &mut spans);
            let parts =
                rows.iter().flat_map(|row| naive::split_byte(&text[row.range()], separator));
            let expected: Vec<Span> = parts.map(|part| naive::span_in(text, part)).collect();
            assert_eq!(spans[1..], expected, "{name} at {level:?}: {:?}", text.escape_ascii());
        }
    });
}

pub(super) fn split_whitespace(level: Level) {
    each_text(|name, text| {
        let rows = rows(text);
        let mut spans = vec![Span::default()];
        crate::split_whitespace_at(level, text, &rows, &mut spans);
        let parts = rows.iter().flat_map(|row| naive::split_whitespace(&text[row.range()]));
        let expected: Vec<Span> = parts.map(|part| naive::span_in(text, part)).collect();
        assert_eq!(spans[1..], expected, "{name} at {level:?}: {:?}", text.escape_ascii());
    });
}

#[test]
fn lines_are_those_of_str() {
    for (_, shape) in shapes() {
        let Ok(text) = std::str::from_utf8(&shape) else { continue };
        let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        assert_eq!(naive::lines(text.as_bytes()), lines);
    }
}
