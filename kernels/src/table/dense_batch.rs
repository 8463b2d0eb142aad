//! Sixty-four rows on their way into a dense table, in three phases, each for another batch: ask
//! for the lines of the index; look at them and ask for the entries; compare the keys. So the cache
//! misses of both steps overlap.
//!
//! What the second phase finds is a guess: the third compares the key, and searches where it is
//! another.

use super::batch::{BATCH, Middle, WordOps, load_short};
use super::hash::{MIDDLE, SHORT, Tag};
use super::index::SLOTS;
use super::log::Place;
use super::update::Update;
use super::upsert::{InArena, InSlot, Refusal, Room, upsert, upsert_dense};
use super::{TableError, TextTable};
use crate::Span;

/// A key of up to 16 bytes on its way.
#[derive(Copy, Clone)]
struct Pending {
    words: [u64; 2],
    tag: Tag,
    guess: Option<Place>,
}

/// Rows of a batch.
struct DenseBatch<'a> {
    spans: &'a [Span],
    first_row: usize,
    keys: [Pending; BATCH],
    middles: [Middle; BATCH],
}

impl<'a> DenseBatch<'a> {
    #[inline(always)]
    fn new() -> Self {
        let none = Pending { words: [0; 2], tag: 0, guess: None };
        let middles = [Middle::default(); BATCH];
        DenseBatch { spans: &[], first_row: 0, keys: [none; BATCH], middles }
    }

    /// Loads and hashes the keys and asks for their lines of the index.
    #[inline(always)]
    fn load(
        &mut self,
        table: &TextTable,
        text: &[u8],
        (spans, first_row): (&'a [Span], usize),
        ops: &WordOps<impl Fn([u64; 2], u32) -> [u64; 2], impl Sized>,
    ) {
        (self.spans, self.first_row) = (spans, first_row);
        let (seed, dense) = (table.seed, table.short.dense().expect("a dense table"));
        let keys = &mut self.keys;
        load_short(text, spans, &ops.keep_first, |index, words, len| {
            let tag = seed.short(words, len);
            dense.prefetch_home(tag);
            keys[index] = Pending { words, tag, guess: None };
        });
    }

    /// Looks at the lines and asks for the entries.
    #[inline(always)]
    fn guess(
        &mut self,
        table: &mut TextTable,
        text: &[u8],
        ops: &WordOps<impl Fn([u64; 2], u32) -> [u64; 2], impl Sized>,
        equal: &impl Fn(&[u32; SLOTS], u32) -> u32,
    ) {
        let dense = table.short.dense().expect("a dense table");
        for key in &mut self.keys[..self.spans.len()] {
            key.guess = dense.prefetch_entry(key.tag, equal);
        }
        for (span, middle) in self.spans.iter().zip(&mut self.middles) {
            if span.len as usize > SHORT && span.len as usize <= MIDDLE {
                *middle = Middle::load(table.seed, text, *span, &ops.keep_first);
                table.middle.prefetch_home(middle.tag);
            }
        }
    }

    /// Updates or makes the keys, in the order of rows.
    #[inline(always)]
    fn take<U: Update>(
        &mut self,
        table: &mut TextTable,
        text: &[u8],
        update: &mut U,
        ops: &WordOps<impl Sized, impl Fn(&[u64; 2], &[u64; 2]) -> bool>,
        equal: &impl Fn(&[u32; SLOTS], u32) -> u32,
    ) -> Result<(), TableError> {
        for (index, span) in self.spans.iter().enumerate() {
            let row = self.first_row + index;
            let Pending { words, tag, guess } = self.keys[index];
            if let Some(place) = guess {
                // The mark in the index had the key's length.
                let dense = table.short.dense_mut().expect("a dense table");
                if (ops.same)(dense.words(place), &words) {
                    if !dense.change(place, |value| update.known(row, value, true)) {
                        return Err(Refusal::Overflow.at(&text[span.range()]));
                    }
                    continue;
                }
            }
            let room = Room { len: table.len(), max_keys: table.max_keys };
            let arena = &mut table.arena;
            match span.len as usize {
                len @ ..=SHORT => {
                    let key = InSlot { words, len };
                    upsert_dense(&mut table.short, tag, key, arena, room, row, update, equal)
                }
                len @ ..=MIDDLE => {
                    let Middle { words, tag } = self.middles[index];
                    upsert(&mut table.middle, tag, InSlot { words, len }, arena, room, row, update)
                }
                _ => {
                    let key = &text[span.range()];
                    let tag = table.seed.long(key);
                    upsert(&mut table.long, tag, InArena { key }, arena, room, row, update)
                }
            }
            .map_err(|refusal| refusal.at(&text[span.range()]))?;
        }
        Ok(())
    }
}

/// Takes the rows from `first_row` on into a table whose short class is dense.
#[inline(always)]
pub(super) fn update_dense<U: Update>(
    table: &mut TextTable,
    text: &[u8],
    spans: &[Span],
    first_row: usize,
    update: &mut U,
    ops: &WordOps<impl Fn([u64; 2], u32) -> [u64; 2], impl Fn(&[u64; 2], &[u64; 2]) -> bool>,
    equal: &impl Fn(&[u32; SLOTS], u32) -> u32,
) -> Result<(), TableError> {
    let [mut loaded, mut guessed, mut taken] =
        [&mut DenseBatch::new(), &mut DenseBatch::new(), &mut DenseBatch::new()];
    let rows = (first_row..).step_by(BATCH);
    let mut batches = spans[first_row..].chunks(BATCH).zip(rows);
    loop {
        match batches.next() {
            Some(batch) => loaded.load(table, text, batch, ops),
            None => loaded.spans = &[],
        }
        guessed.guess(table, text, ops, equal);
        taken.take(table, text, update, ops, equal)?;
        if loaded.spans.is_empty() && guessed.spans.is_empty() {
            return Ok(());
        }
        (loaded, guessed, taken) = (taken, loaded, guessed);
    }
}
