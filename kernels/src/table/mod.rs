//! Keys to numbers: the group table. A key is bytes, a number its count, its sum or its dense id;
//! keys lie in the slots themselves up to 48 bytes, in an arena past that, and a table holds at
//! most the keys it was made for, whatever the data.

mod arena;
mod batch;
mod class;
mod dense;
mod dense_batch;
mod emit;
mod hash;
mod index;
mod log;
mod merge;
mod prefetch;
mod segment;
mod update;
mod upsert;

use std::fmt;

use crate::split::TextSplitter;
use crate::{Level, Span, Split, line_spans_at, split_byte_at, split_whitespace_at};
use arena::Arena;
use class::Class;
use hash::Seed;
pub(crate) use index::{EmptySlot, Index};
pub use prefetch::prefetch_row;
use update::{Count, Ids, Sum, update};

/// The most keys of any table: as many as dense classes can tell apart.
const KEYS_MAX: usize = log::Log::<6>::MAX;

/// Rows whose ids are written at a time.
const IDS_ROWS: usize = 4096;

/// A table from keys to `i64`, for one use at a time: counts, sums or dense ids.
///
/// ```
/// use tidemill_kernels::{Span, TextTable};
///
/// let mut table = TextTable::new(100);
/// let row = |start, len| Span { start, len };
/// table.count(b"ebb flow ebb", &[row(0, 3), row(4, 4), row(9, 3)]).unwrap();
/// assert_eq!(table.len(), 2);
/// ```
#[derive(Clone)]
pub struct TextTable {
    // Fixed.
    level: Level,
    max_keys: usize,
    seed: Seed,
    // Changing.
    short: Class<2, 2>,
    middle: Class<6, 1>,
    /// Keys in the arena: the words are offset and length.
    long: Class<2, 2>,
    arena: Arena,
    // Scratch.
    rows: Vec<Span>,
    spans: Vec<Span>,
}

/// Why rows were not taken. Some of the rows of the call have been, in no particular order; the
/// table itself is sound and can be read, cleared and used on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableError {
    /// A row's key is new, and the table has all the keys it may have.
    Full {
        /// The number of keys that the table was made for.
        limit: usize,
    },
    /// A number left the range of `i64`.
    Overflow {
        /// Whose number.
        key: Box<[u8]>,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Full { limit } => write!(f, "more than {limit} distinct keys"),
            TableError::Overflow { key } => {
                write!(f, "the sum of key \"{}\" is past the range of i64", key.escape_ascii())
            }
        }
    }
}

impl std::error::Error for TableError {}

impl TextTable {
    /// An empty table for up to `max_keys` keys; memory comes as keys do.
    pub fn new(max_keys: usize) -> TextTable {
        TextTable::new_at(Level::current(), max_keys)
    }

    /// A table that works at `level`, or at the best below it that the machine has: for tests and
    /// benches.
    pub fn new_at(level: Level, max_keys: usize) -> TextTable {
        TextTable {
            level: level.supported(),
            max_keys: max_keys.min(KEYS_MAX),
            seed: Seed::of_process(),
            short: Class::new(),
            middle: Class::new(),
            long: Class::new(),
            arena: Arena::default(),
            rows: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// A table in which all keys of one length collide.
    #[cfg(test)]
    pub(crate) fn colliding_at(level: Level, max_keys: usize) -> TextTable {
        TextTable { seed: Seed::colliding(), ..TextTable::new_at(level, max_keys) }
    }

    /// A table with a seed of its own, for what not every seed shows.
    #[cfg(test)]
    pub(crate) fn with_seed(words: [u64; 4], max_keys: usize) -> TextTable {
        TextTable { seed: Seed::of(words), ..TextTable::new(max_keys) }
    }

    /// Adds one to the number of each row's key.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`].
    ///
    /// # Panics
    ///
    /// If a span reaches past `text`, here as in every method that takes spans.
    pub fn count(&mut self, text: &[u8], spans: &[Span]) -> Result<(), TableError> {
        update(self, text, spans, &mut Count)
    }

    /// Adds a value to the number of each row's key.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`], or [`TableError::Overflow`] where a sum leaves the range of `i64` on
    /// its way through the rows.
    ///
    /// # Panics
    ///
    /// If there is not one value for each span.
    pub fn sum(&mut self, text: &[u8], spans: &[Span], values: &[i64]) -> Result<(), TableError> {
        assert_eq!(spans.len(), values.len(), "one value for each span");
        update(self, text, spans, &mut Sum { values })
    }

    /// Appends the dense id of each row's key to `out`: a new key gets the number of keys before
    /// it, so ids are in the order of first appearance.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`]; `out` is then as long as before.
    pub fn ids(
        &mut self,
        text: &[u8],
        spans: &[Span],
        out: &mut Vec<u32>,
    ) -> Result<(), TableError> {
        let before = out.len();
        out.reserve(spans.len());
        // A part at a time, so that the room is in cache when it is written to again.
        for spans in spans.chunks(IDS_ROWS) {
            let part = out.len();
            out.resize(part + spans.len(), 0);
            let ids = &mut Ids { out: &mut out[part..] };
            if let Err(error) = update(self, text, spans, ids) {
                out.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Counts the parts of every line of a whole text: the same as
    /// [`line_spans`](crate::line_spans), a split and [`count`](TextTable::count), without the
    /// columns in between.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`].
    ///
    /// # Panics
    ///
    /// If `text` is 4 GiB or longer.
    pub fn count_lines(&mut self, text: &[u8], split: Split) -> Result<(), TableError> {
        if split == Split::Byte(b'\r') {
            // Half a line end: a byte that separates or not, as its follower says.
            let mut rows = std::mem::take(&mut self.rows);
            rows.clear();
            line_spans_at(self.level, text, &mut rows);
            let result = self.count_rows(text, &rows, split);
            self.rows = rows;
            return result;
        }
        let mut splitter = TextSplitter::new(text, split);
        self.with_scratch(|table, spans| {
            while splitter.next(table.level, text, spans) {
                table.count(text, spans)?;
                spans.clear();
            }
            Ok(())
        })
    }

    /// Counts the parts of every row: the same as a split and [`count`](TextTable::count), without
    /// the column in between.
    ///
    /// # Errors
    ///
    /// [`TableError::Full`].
    pub fn count_rows(
        &mut self,
        text: &[u8],
        rows: &[Span],
        split: Split,
    ) -> Result<(), TableError> {
        self.with_scratch(|table, spans| {
            for rows in pieces(rows) {
                match split {
                    Split::Byte(byte) => split_byte_at(table.level, text, rows, byte, spans),
                    Split::Whitespace => split_whitespace_at(table.level, text, rows, spans),
                }
                table.count(text, spans)?;
                spans.clear();
            }
            Ok(())
        })
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.short.len() + self.middle.len() + self.long.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys it may have.
    pub fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// Forgets the keys and keeps the memory; some clears after a large batch, memory that is no
    /// longer used is given back.
    pub fn clear(&mut self) {
        self.short.clear();
        self.middle.clear();
        self.long.clear();
        self.arena.clear();
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.short.memory_bytes()
            + self.middle.memory_bytes()
            + self.long.memory_bytes()
            + self.arena.memory_bytes()
            + (self.rows.capacity() + self.spans.capacity()) * size_of::<Span>()
    }

    fn with_scratch<R>(&mut self, body: impl FnOnce(&mut TextTable, &mut Vec<Span>) -> R) -> R {
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        let result = body(self, &mut spans);
        self.spans = spans;
        result
    }
}

impl fmt::Debug for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextTable")
            .field("len", &self.len())
            .field("max_keys", &self.max_keys)
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}

/// Rows in pieces of so much text that their parts stay in cache.
fn pieces(rows: &[Span]) -> impl Iterator<Item = &[Span]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take_while(|row| {
                let is_in = bytes < TextSplitter::PIECE;
                bytes += row.len as usize + 1;
                is_in
            })
            .count();
        let piece = rest.split_off(..count)?;
        (!piece.is_empty()).then_some(piece)
    })
}
