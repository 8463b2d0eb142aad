//! Escapes in the place of characters that steer a terminal: what comes from outside must not clear
//! the screen, set its title, or turn around what stands beside it.
//!
//! Invariant: what is escaped holds no control character and none that overrides the direction of
//! text, so it can only be read.

use std::borrow::Cow;

/// Whether a character steers a terminal (C0, DEL and C1) or overrides the direction of what stands
/// beside it (U+202A to U+202E and U+2066 to U+2069).
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A text with escapes, such as `\u{1b}`, in the place of what would steer a terminal, line ends
/// among it.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, |_| false)
}

/// As [`escaped`], for a text of several lines, whose ends stay.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    escaped_but(text, |c| c == '\n')
}

fn escaped_but(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_special = |c: char| steers(c) && !stays(c);
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if is_special(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_escaped_steers_a_terminal() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            let is_special = matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0x202a..=0x202e)
                || matches!(u32::from(c), 0x2066..=0x2069);
            assert_eq!(escaped(&text) != text, is_special, "{c:?}");
            assert!(!escaped(&text).contains(steers), "{c:?}");
            assert_eq!(escaped_lines(&text) != text, is_special && c != '\n', "{c:?}");
        }
        assert_eq!(escaped("\u{1b}]0;x\u{7}\u{9b}2J\n"), r"\u{1b}]0;x\u{7}\u{9b}2J\n");
        assert_eq!(escaped_lines("größe\n\u{202e}東京\n"), "größe\n\\u{202e}東京\n");
    }
}
