//! A table's keys and numbers out again, as columns or one by one; the order is that of the slots,
//! which differs from process to process, but for ids.

use std::convert::Infallible;
use std::ops::Range;

use super::TextTable;
use super::class::SEGMENTS;
use super::hash::{SHORT, Tag, len_of};
use super::upsert::in_arena;
use crate::{Span, TextBuffer};

impl TextTable {
    /// Calls `each` with every key and its number, in no particular order.
    pub fn for_each(&self, mut each: impl FnMut(&[u8], i64)) {
        let Ok(()) = self.try_for_each_in::<Infallible>(0..SEGMENTS, |key, _, value| {
            each(key, value);
            Ok(())
        });
    }

    /// Appends every key and its number to columns; rows agree, in no particular order.
    ///
    /// Nothing is allocated where the columns have room. The keys are checked as UTF-8 if all of
    /// `text` before them was; where they are bytes of something else, they stay unchecked.
    ///
    /// # Panics
    ///
    /// If `text` would grow to 4 GiB.
    pub fn emit(&self, text: &mut TextBuffer, spans: &mut Vec<Span>, values: &mut Vec<i64>) {
        spans.reserve(self.len());
        values.reserve(self.len());
        self.append_keys(text, |span, value| {
            spans.push(span);
            values.push(value);
        });
    }

    /// Appends the keys of a table of ids to a column, the key of id 0 first, and checks them as
    /// [`emit`](TextTable::emit) does.
    ///
    /// # Panics
    ///
    /// If the numbers are not ids, or `text` would grow to 4 GiB.
    pub fn keys_by_id(&self, text: &mut TextBuffer, spans: &mut Vec<Span>) {
        let before = spans.len();
        spans.resize(before + self.len(), Span::default());
        let by_id = &mut spans[before..];
        self.append_keys(text, |span, id| {
            let id = usize::try_from(id).expect("ids are not negative");
            by_id[id] = span;
        });
    }

    /// Appends all keys to `text` and calls `each` with where a key went, and its number.
    fn append_keys(&self, text: &mut TextBuffer, mut each: impl FnMut(Span, i64)) {
        let start = text.len();
        let bytes = self.key_bytes();
        assert!(u32::try_from(start + bytes).is_ok(), "a column holds less than 4 GiB of keys");
        text.reserve(bytes);
        let spare = text.spare();
        let mut at = 0;
        let mut place = |len: usize, value| {
            each(Span { start: (start + at) as u32, len: len as u32 }, value);
            at += len;
            at - len
        };
        let Ok(()) = self.short.try_for_each_in::<Infallible>(0..SEGMENTS, |words, tag, value| {
            let len = len_of(tag);
            let at = place(len, value);
            let bytes = words.map(u64::to_le_bytes);
            let bytes = bytes.as_flattened();
            // All sixteen bytes at once where they fit: the next key goes over the padding.
            match spare[at..].first_chunk_mut::<SHORT>() {
                Some(into) => into.copy_from_slice(bytes),
                None => spare[at..at + len].copy_from_slice(&bytes[..len]),
            }
            Ok(())
        });
        let Ok(()) = self.middle.try_for_each_in::<Infallible>(0..SEGMENTS, |words, tag, value| {
            let len = len_of(tag);
            let at = place(len, value);
            let bytes = words.map(u64::to_le_bytes);
            spare[at..at + len].copy_from_slice(&bytes.as_flattened()[..len]);
            Ok(())
        });
        let Ok(()) = self.long.try_for_each_in::<Infallible>(0..SEGMENTS, |words, _, value| {
            let key = in_arena(words, &self.arena);
            let at = place(key.len(), value);
            spare[at..at + key.len()].copy_from_slice(key);
            Ok(())
        });
        assert_eq!(at, bytes, "the keys' lengths add up");
        text.advance(bytes);
        // Bytes that are no text are the caller's to treat, who knows what the keys are.
        let _ = text.check();
    }

    fn key_bytes(&self) -> usize {
        self.short.key_bytes() + self.middle.key_bytes() + self.long.key_bytes()
    }

    /// Calls `each` with key, tag and number of all keys in `segments`, until it fails.
    pub(super) fn try_for_each_in<E>(
        &self,
        segments: Range<usize>,
        mut each: impl FnMut(&[u8], Tag, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.short.try_for_each_in(segments.clone(), |words, tag, value| {
            let bytes = words.map(u64::to_le_bytes);
            each(&bytes.as_flattened()[..len_of(tag)], tag, value)
        })?;
        self.middle.try_for_each_in(segments.clone(), |words, tag, value| {
            let bytes = words.map(u64::to_le_bytes);
            each(&bytes.as_flattened()[..len_of(tag)], tag, value)
        })?;
        self.long.try_for_each_in(segments, |words, tag, value| {
            each(in_arena(words, &self.arena), tag, value)
        })
    }
}
