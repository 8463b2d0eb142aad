//! The text buffer: what it says is checked is text, whatever comes in and in whatever pieces.

use proptest::prelude::*;

use crate::{BadUtf8, Span, TextBuffer};

fn span(start: usize, len: usize) -> Span {
    Span { start: start as u32, len: len as u32 }
}

/// The bytes of characters of all lengths, in any order.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"a\xC3\xA9\xE2\x82\xAC\xFF".to_vec()), 0..90)
}

proptest! {
    #[test]
    fn bytes_come_in_any_pieces(
        bytes in pieces(),
        cut in 0usize..90,
    ) {
        let cut = cut.min(bytes.len());
        let mut buffer = TextBuffer::with_capacity(8);
        buffer.extend_from_bytes(&bytes[..cut]);
        let first = buffer.check();
        buffer.extend_from_bytes(&bytes[cut..]);
        let whole = buffer.check();
        prop_assert!(first.is_ok() == std::str::from_utf8(&bytes[..cut]).is_ok());
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                prop_assert_eq!(whole, Ok(()));
                prop_assert_eq!(buffer.checked_str(), text);
            }
            Err(error) => {
                let valid_up_to = error.valid_up_to();
                prop_assert_eq!(whole, Err(BadUtf8 { valid_up_to }));
                prop_assert_eq!(buffer.checked_len(), valid_up_to);
            }
        }
        let lossy = String::from_utf8_lossy(&bytes);
        let replaced = buffer.replace_bad_utf8();
        prop_assert_eq!(buffer.checked_str(), &lossy);
        prop_assert_eq!(buffer.len(), lossy.len());
        let bad = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty());
        prop_assert_eq!(replaced, bad.count());
    }

    #[test]
    fn truncating_keeps_the_checked_prefix_text(text in "[aé€🌊]{0,20}", len in 0usize..90) {
        let mut buffer = TextBuffer::new();
        buffer.push_str(&text);
        buffer.truncate(len);
        let len = len.min(text.len());
        prop_assert_eq!(buffer.bytes(), &text.as_bytes()[..len]);
        prop_assert_eq!(buffer.checked_len(), text.floor_char_boundary(len));
        prop_assert_eq!(buffer.check().is_ok(), text.is_char_boundary(len));
    }

    #[test]
    fn a_tail_moves_with_what_is_known_of_it(
        text in "[aé€]{0,20}",
        from in 0usize..60,
        raw in ".{0,3}",
    ) {
        let mut buffer = TextBuffer::new();
        buffer.push_str(&text);
        buffer.extend_from_bytes(raw.as_bytes());
        let from = from.min(buffer.len());
        let mut into = TextBuffer::new();
        into.push_str("ebb");
        buffer.copy_tail_to(from, &mut into);
        prop_assert_eq!(&into.bytes()[3..], &buffer.bytes()[from..]);
        let is_known = from <= text.len() && text.is_char_boundary(from);
        let known = if is_known { text.len() - from } else { 0 };
        prop_assert_eq!(into.checked_len(), 3 + known);
    }
}

#[test]
fn spare_is_filled_and_advanced_over() {
    let mut buffer = TextBuffer::with_capacity(4);
    assert_eq!((buffer.len(), buffer.capacity(), buffer.is_empty()), (0, 4, true));
    buffer.spare()[..3].copy_from_slice("né".as_bytes());
    buffer.advance(2);
    assert_eq!(buffer.check(), Err(BadUtf8 { valid_up_to: 1 }));
    buffer.advance(1);
    assert_eq!(buffer.check(), Ok(()));
    assert_eq!(buffer.spare().len(), 1);
    assert_eq!(buffer.str(span(1, 2)), "é");
    buffer.clear();
    assert_eq!((buffer.len(), buffer.checked_len(), buffer.capacity()), (0, 0, 4));
}

#[test]
fn text_after_unchecked_bytes_is_unchecked() {
    let mut buffer = TextBuffer::new();
    buffer.extend_from_bytes(b"\xC3");
    buffer.push_str("a");
    assert_eq!(buffer.checked_len(), 0);
    assert_eq!(buffer.check(), Err(BadUtf8 { valid_up_to: 0 }));
    assert_eq!(buffer.replace_bad_utf8(), 1);
    assert_eq!(buffer.checked_str(), "\u{FFFD}a");
}

#[test]
fn wrong_spans_panic() {
    let mut buffer = TextBuffer::new();
    buffer.push_str("né");
    buffer.extend_from_bytes(b"a");
    for (start, len) in [(2, 1), (0, 2), (3, 1), (4, 1), (u32::MAX as usize, 1)] {
        let result = std::panic::catch_unwind(|| buffer.str(span(start, len)).to_owned());
        assert!(result.is_err(), "{start} {len}");
    }
    let mut empty = TextBuffer::new();
    assert!(std::panic::catch_unwind(move || empty.advance(1)).is_err());
}

/// Before any memory is taken for it.
#[test]
fn more_than_spans_can_say() {
    let grow = || TextBuffer::new().reserve(u32::MAX as usize + 1);
    let panic = std::panic::catch_unwind(grow).expect_err("4 GiB are too much");
    let message = panic.downcast_ref::<String>().expect("a message with a value");
    assert!(message.contains("less than 4 GiB"), "{message}");
}
