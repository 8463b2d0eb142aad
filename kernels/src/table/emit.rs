//! A table's keys and numbers out again, as columns or one by one; the order is that of the slots,
//! which differs from process to process, but for ids.

use std::convert::Infallible;
use std::ops::Range;

use super::TextTable;
use super::class::SEGMENTS;
use super::hash::{Tag, len_of};
use super::update::in_arena;
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
        self.for_each(|key, value| {
            spans.push(append(text, key));
            values.push(value);
        });
        // Bytes that are no text are the caller's to treat, who knows what the keys are.
        let _ = text.check();
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
        self.for_each(|key, id| {
            let id = usize::try_from(id).expect("ids are not negative");
            by_id[id] = append(text, key);
        });
        let _ = text.check();
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

/// Appends a key that may or may not be UTF-8.
#[inline]
fn append(text: &mut TextBuffer, key: &[u8]) -> Span {
    let start = text.len();
    assert!(u32::try_from(start + key.len()).is_ok(), "keys of 4 GiB and more");
    text.extend_from_bytes(key);
    Span { start: start as u32, len: key.len() as u32 }
}
