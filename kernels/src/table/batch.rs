//! Sixty-four rows on their way into the table, in phases: load and hash all keys and ask for their
//! home lines; look each key up in its home line without a branch; take the misses one by one. The
//! phases keep many cache misses in flight at once, and only the last one mispredicts.
//!
//! The line pointers of a batch are good as long as no line has moved since they were made: that
//! is asserted where they are used, once a batch.

use super::class::ShortLine;
use super::hash::{self, MIDDLE, SHORT, Seed, Tag};
use super::prefetch::prefetch;
use super::update::Update;
use super::upsert::{InArena, InSlot, Refusal, Room, upsert};
use super::{TableError, TextTable};
use crate::Span;

/// Rows per batch: the misses are bits of a word.
pub(super) const BATCH: usize = 64;

/// What the level does with a key's words: `keep_first` clears all but the first bytes of sixteen,
/// `same` compares two pairs.
pub(super) struct WordOps<K, S> {
    pub(super) keep_first: K,
    pub(super) same: S,
}

/// A key of up to 16 bytes on its way.
#[derive(Copy, Clone)]
struct Pending {
    words: [u64; 2],
    tag: Tag,
    home: *mut ShortLine,
}

/// A key of 17 to 48 bytes on its way.
#[derive(Copy, Clone, Default)]
pub(super) struct Middle {
    pub(super) words: [u64; 6],
    pub(super) tag: Tag,
}

impl Middle {
    #[inline(always)]
    pub(super) fn load(
        seed: Seed,
        text: &[u8],
        span: Span,
        keep_first: &impl Fn([u64; 2], u32) -> [u64; 2],
    ) -> Middle {
        let words = load_middle(text, span, keep_first);
        Middle { words, tag: seed.middle(words, span.len as usize) }
    }
}

/// Keys whose home lines are on their way from memory.
pub(super) struct Batch {
    keys: [Pending; BATCH],
    /// How many of them were loaded.
    len: usize,
    /// The moves of the short class when the homes were found.
    moves: u64,
}

impl Batch {
    #[inline(always)]
    pub(super) fn new() -> Batch {
        let none = Pending { words: [0; 2], tag: 0, home: std::ptr::null_mut() };
        Batch { keys: [none; BATCH], len: 0, moves: u64::MAX }
    }

    /// Loads and hashes the keys and asks for their home lines.
    #[inline(always)]
    pub(super) fn load(
        &mut self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        ops: &WordOps<impl Fn([u64; 2], u32) -> [u64; 2], impl Sized>,
    ) {
        let seed = table.seed;
        self.len = spans.len().min(BATCH);
        self.moves = table.short.moves();
        let mut segments = table.short.segments_mut();
        let keys = &mut self.keys;
        load_short(text, spans, &ops.keep_first, |index, words, len| {
            let tag = seed.short(words, len);
            let home = segments.home(tag);
            prefetch(home);
            keys[index] = Pending { words, tag, home };
        });
    }

    /// Finds the home lines anew if a line has moved.
    #[inline]
    pub(super) fn refresh(&mut self, table: &mut TextTable) {
        if self.moves != table.short.moves() {
            self.moves = table.short.moves();
            let mut segments = table.short.segments_mut();
            for key in &mut self.keys[..self.len] {
                key.home = segments.home(key.tag);
            }
        }
    }

    /// Updates the keys that are in their home lines, and returns the others.
    #[inline(always)]
    pub(super) fn probe<U: Update>(
        &mut self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        first_row: usize,
        update: &mut U,
        ops: &WordOps<impl Sized, impl Fn(&[u64; 2], &[u64; 2]) -> bool>,
    ) -> Result<u64, TableError> {
        assert!(self.moves == table.short.moves(), "a line moved after its key was loaded");
        assert!(self.len == spans.len(), "a batch is probed with the spans it was loaded with");
        let mut misses = 0u64;
        for (index, key) in self.keys[..self.len].iter().enumerate() {
            // SAFETY: `load` or `refresh` set all of `..self.len` to lines of a table's short
            // class; it is this one's, as `update_lines_at` uses a batch with one table only, and
            // no line has moved since: the first assert above. Nothing else borrows a line now.
            let line = unsafe { &mut *key.home };
            let (slot, found) = line.find(&key.words, key.tag, &ops.same);
            if !update.known(first_row + index, &mut line.values[slot], found) {
                return Err(Refusal::Overflow.at(&text[spans[index].range()]));
            }
            misses |= u64::from(!found) << index;
        }
        Ok(misses)
    }

    /// Updates those misses that are keys of the middle class in their home lines, and returns the
    /// others. Apart from the short keys, so that no branch depends on a key's length.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the middles are scratch of the caller's loop")]
    pub(super) fn probe_middles<U: Update>(
        &self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        first_row: usize,
        mut misses: u64,
        middles: &mut [Middle; BATCH],
        update: &mut U,
        ops: &WordOps<impl Fn([u64; 2], u32) -> [u64; 2], impl Fn(&[u64; 2], &[u64; 2]) -> bool>,
    ) -> Result<u64, TableError> {
        if table.middle.dense().is_some() || table.middle.len() == 0 {
            return Ok(misses);
        }
        let mut wanted = 0u64;
        for index in ones(misses) {
            let past_16 = spans[index].len.wrapping_sub(SHORT as u32 + 1);
            wanted |= u64::from(past_16 < (MIDDLE - SHORT) as u32) << index;
        }
        for index in ones(wanted) {
            middles[index] = Middle::load(table.seed, text, spans[index], &ops.keep_first);
            table.middle.prefetch_home(middles[index].tag);
        }
        let same = |a: &[u64; 6], b: &[u64; 6]| {
            let ((a, _), (b, _)) = (a.as_chunks(), b.as_chunks());
            (ops.same)(&a[0], &b[0]) & (ops.same)(&a[1], &b[1]) & (ops.same)(&a[2], &b[2])
        };
        for index in ones(wanted) {
            let Middle { words, tag } = middles[index];
            let line = table.middle.home_mut(tag);
            let (slot, found) = line.find(&words, tag, same);
            if !update.known(first_row + index, &mut line.values[slot], found) {
                return Err(Refusal::Overflow.at(&text[spans[index].range()]));
            }
            misses &= !(u64::from(found) << index);
        }
        Ok(misses)
    }

    /// Asks for the lines that the misses will need: the one after home for a short key; home for
    /// one of the middle class, which is loaded and hashed here.
    #[inline(always)]
    pub(super) fn prefetch_misses(
        &self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        misses: u64,
        middles: &mut [Middle; BATCH],
        ops: &WordOps<impl Fn([u64; 2], u32) -> [u64; 2], impl Sized>,
    ) {
        for index in ones(misses) {
            let len = spans[index].len as usize;
            if len <= SHORT {
                prefetch(self.keys[index].home.wrapping_add(1));
            } else if len <= MIDDLE {
                middles[index] = Middle::load(table.seed, text, spans[index], &ops.keep_first);
                table.middle.prefetch_home(middles[index].tag);
            }
        }
    }

    /// Updates or makes the keys that were not in their home lines.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the middles are scratch of the caller's loop")]
    pub(super) fn take_misses<U: Update>(
        &self,
        table: &mut TextTable,
        text: &[u8],
        spans: &[Span],
        first_row: usize,
        misses: u64,
        middles: &[Middle; BATCH],
        update: &mut U,
    ) -> Result<(), TableError> {
        for index in ones(misses) {
            let (row, span) = (first_row + index, spans[index]);
            let room = Room { len: table.len(), max_keys: table.max_keys };
            let arena = &mut table.arena;
            match span.len as usize {
                len @ ..=SHORT => {
                    let Pending { words, tag, .. } = self.keys[index];
                    upsert(&mut table.short, tag, InSlot { words, len }, arena, room, row, update)
                }
                len @ ..=MIDDLE => {
                    let Middle { words, tag } = middles[index];
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

/// The positions of the bits that are set.
#[inline(always)]
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = bits.trailing_zeros() as usize;
        (bits != 0).then(|| {
            bits &= bits - 1;
            index
        })
    })
}

/// Calls `each` with the index of every row, the first words of its key and its length. Of a key
/// of more than 16 bytes the length is 17: it is looked up by its first bytes and never found.
#[inline(always)]
pub(super) fn load_short(
    text: &[u8],
    spans: &[Span],
    keep_first: &impl Fn([u64; 2], u32) -> [u64; 2],
    mut each: impl FnMut(usize, [u64; 2], u32),
) {
    let reach = spans.iter().fold(0, |reach, span| {
        reach.max(u64::from(span.start) + u64::from(span.len.max(SHORT as u32)))
    });
    let is_inside = reach <= text.len() as u64;
    let spans = spans.iter().take(BATCH).enumerate();
    if is_inside {
        for (index, span) in spans {
            let len = span.len.min(SHORT as u32 + 1);
            // SAFETY: `reach`, just above, found sixteen bytes of text from every start on.
            let chunk = unsafe { &*text.as_ptr().add(span.start as usize).cast() };
            each(index, keep_first(hash::words(chunk), len), len);
        }
    } else {
        // Near the end of the text sixteen bytes may not be there.
        for (index, span) in spans {
            let key = &text[span.range()];
            let words = hash::load_padded(&key[..key.len().min(SHORT)]);
            each(index, words, span.len.min(SHORT as u32 + 1));
        }
    }
}

/// The words of a key of 17 to 48 bytes.
#[inline(always)]
fn load_middle(
    text: &[u8],
    span: Span,
    keep_first: &impl Fn([u64; 2], u32) -> [u64; 2],
) -> [u64; 6] {
    match text[span.start as usize..].first_chunk::<MIDDLE>() {
        Some(chunk) => {
            let (parts, _) = chunk.as_chunks();
            let past_16 = span.len - SHORT as u32;
            let [a, b] = hash::words(&parts[0]);
            let [c, d] = keep_first(hash::words(&parts[1]), past_16.min(16));
            let [e, f] = keep_first(hash::words(&parts[2]), past_16.saturating_sub(16));
            [a, b, c, d, e, f]
        }
        None => hash::load_padded(&text[span.range()]),
    }
}
