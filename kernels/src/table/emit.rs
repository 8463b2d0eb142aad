//! A table's keys and numbers out again, as columns or one by one; the order is that of the slots,
//! which differs from process to process, but for ids.

use super::TextTable;
use super::dense::Dense;
use super::hash::{SHORT, len_of};
use super::upsert::in_arena;
use crate::{Span, TextBuffer};

impl TextTable {
    /// Calls `each` with every key and its number, in no particular order.
    pub fn for_each(&self, mut each: impl FnMut(&[u8], i64)) {
        self.short.for_each(|words, mark, value| {
            each(&words.map(u64::to_le_bytes).as_flattened()[..len_of(mark)], value);
        });
        self.middle.for_each(|words, mark, value| {
            each(&words.map(u64::to_le_bytes).as_flattened()[..len_of(mark)], value);
        });
        self.long.for_each(|words, _, value| {
            let key = in_arena(words, &self.arena);
            each(key, value);
        });
    }

    /// Appends every key and its number to columns; rows agree, in no particular order.
    ///
    /// Nothing is allocated where the columns have room for one row more. The keys are checked as
    /// UTF-8 if all of `text` before them was; where they are bytes of something else, they stay
    /// unchecked.
    ///
    /// # Panics
    ///
    /// If `text` would grow to 4 GiB.
    pub fn emit(&self, text: &mut TextBuffer, spans: &mut Vec<Span>, values: &mut Vec<i64>) {
        let rows = self.len();
        // One row more, for what is written of an empty slot before it is skipped.
        let (first_span, first_value) = (spans.len(), values.len());
        spans.resize(first_span + rows + 1, Span::default());
        values.resize(first_value + rows + 1, 0);
        let (new_spans, new_values) = (&mut spans[first_span..], &mut values[first_value..]);
        let mut row = 0;
        self.append_keys(text, |span, value, is_key| {
            new_spans[row] = span;
            new_values[row] = value;
            row += usize::from(is_key);
        });
        spans.truncate(first_span + rows);
        values.truncate(first_value + rows);
    }

    /// Appends the keys of a table of ids to a column, the key of id 0 first, and checks them as
    /// [`emit`](TextTable::emit) does.
    ///
    /// # Panics
    ///
    /// If the numbers are not ids, or `text` would grow to 4 GiB.
    pub fn keys_by_id(&self, text: &mut TextBuffer, spans: &mut Vec<Span>) {
        let (before, keys) = (spans.len(), self.len());
        // One row more, for what is written of an empty slot.
        spans.resize(before + keys + 1, Span::default());
        let by_id = &mut spans[before..];
        self.append_keys(text, |span, id, is_key| {
            by_id[if is_key { id as usize } else { keys }] = span;
        });
        spans.truncate(before + keys);
    }

    /// Appends all keys to `text` and calls `each` with where a key went, its number, and true;
    /// or, for an empty slot, with anything and false: a branch there would be mispredicted half
    /// the time (bench `table/emit`).
    fn append_keys(&self, text: &mut TextBuffer, mut each: impl FnMut(Span, i64, bool)) {
        let start = text.len();
        let bytes = self.key_bytes();
        assert!(u32::try_from(start + bytes).is_ok(), "a column holds less than 4 GiB of keys");
        text.reserve(bytes);
        let spare = text.spare();
        let mut at = 0;
        let mut place = |len: usize, value, is_key| {
            each(Span { start: (start + at) as u32, len: len as u32 }, value, is_key);
            at += len;
            at - len
        };
        for line in self.short.lines() {
            for (words, (tag, value)) in line.keys.iter().zip(line.tags.iter().zip(line.values)) {
                let len = (*tag as usize & 0xFF).saturating_sub(1);
                let at = place(len, value, *tag != 0);
                copy_short(&mut spare[at..], words, len);
            }
        }
        let dense = self.short.dense().map(Dense::log);
        dense.into_iter().for_each(|log| {
            log.for_each(|words, value, mark| {
                let len = len_of(mark);
                let at = place(len, value, true);
                copy_short(&mut spare[at..], words, len);
            });
        });
        self.middle.for_each(|words, mark, value| {
            let len = len_of(mark);
            let at = place(len, value, true);
            let bytes = words.map(u64::to_le_bytes);
            spare[at..at + len].copy_from_slice(&bytes.as_flattened()[..len]);
        });
        self.long.for_each(|words, _, value| {
            let key = in_arena(words, &self.arena);
            let at = place(key.len(), value, true);
            spare[at..at + key.len()].copy_from_slice(key);
        });
        assert_eq!(at, bytes, "the keys' lengths add up");
        text.advance(bytes);
        // Bytes that are no text are the caller's to treat, who knows what the keys are.
        let _ = text.check();
    }

    fn key_bytes(&self) -> usize {
        self.short.key_bytes() + self.middle.key_bytes() + self.long.key_bytes()
    }
}

/// A key of up to 16 bytes to where it goes: all sixteen where they fit, since the next key goes
/// over the padding.
#[inline(always)]
fn copy_short(into: &mut [u8], words: &[u64; 2], len: usize) {
    let bytes = words.map(u64::to_le_bytes);
    let bytes = bytes.as_flattened();
    match into.first_chunk_mut::<SHORT>() {
        Some(into) => into.copy_from_slice(bytes),
        None => into[..len].copy_from_slice(&bytes[..len]),
    }
}
