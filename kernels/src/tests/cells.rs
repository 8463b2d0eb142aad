//! Cells beside the keys that they were made of.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{BytesCell, TextBuffer, TextCell};

#[test]
fn cells_are_what_they_were_made_of() {
    assert_eq!((size_of::<TextCell>(), align_of::<TextCell>()), (16, 8));
    // Characters of one to four bytes, of which the last ones reach each end of what a byte can be.
    let characters = ['a', '\0', '\u{7f}', '\u{80}', '\u{7ff}', '\u{fff}', '\u{10ffff}', '\u{bf}'];
    let mut texts = Vec::new();
    for character in characters {
        for prefix in 0..70 {
            for suffix in 0..3 {
                texts.push(format!(
                    "{}{}",
                    "x".repeat(prefix),
                    String::from(character).repeat(suffix)
                ));
            }
        }
    }
    let mut long = TextBuffer::new();
    let cells: Vec<TextCell> = texts.iter().map(|text| TextCell::new(text, &mut long)).collect();
    for (cell, text) in cells.iter().zip(&texts) {
        cell.prefetch(&long);
        assert_eq!(cell.str(&long), text);
    }
    let elsewhere = texts.iter().map(String::len).filter(|&len| len > 16).sum::<usize>();
    assert_eq!(long.len(), elsewhere, "what fits is in its cell");
}

#[test]
fn cells_of_bytes_are_what_they_were_made_of() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for last in 0..=255 {
        for len in [1, 7, 8, 15, 16, 17, 40] {
            let mut bytes = vec![0xFF; len];
            bytes[len - 1] = last;
            all.push(bytes);
        }
    }
    all.push(Vec::new());
    let mut long = TextBuffer::new();
    let cells: Vec<BytesCell> = all.iter().map(|bytes| BytesCell::new(bytes, &mut long)).collect();
    for (cell, bytes) in cells.iter().zip(&all) {
        cell.prefetch(&long);
        assert_eq!(cell.bytes(&long), bytes);
    }
    let is_elsewhere = |bytes: &&Vec<u8>| bytes.len() > 16 || bytes.len() == 16 && bytes[15] > 0xBF;
    let elsewhere = all.iter().filter(is_elsewhere).map(Vec::len).sum::<usize>();
    assert_eq!(long.len(), elsewhere);
}

#[test]
fn a_cell_is_of_its_buffer() {
    let cell = TextCell::new("an ebb that is long", &mut TextBuffer::new());
    assert!(catch_unwind(AssertUnwindSafe(|| cell.str(&TextBuffer::new()).len())).is_err());
    let mut bytes = TextBuffer::new();
    bytes.extend_from_bytes(&[0xFF; 40]);
    assert!(catch_unwind(AssertUnwindSafe(|| cell.str(&bytes).len())).is_err(), "no text");
}
