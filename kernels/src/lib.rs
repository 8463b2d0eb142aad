//! The kernels of tidemill: functions over slices that cut text, count keys and sum columns, with
//! the instruction set chosen at run time. They know nothing of streams, batches or threads.
//!
//! Every public kernel `x` has a twin `x_at(level, …)`, which runs it at a given [`Level`] in the
//! same process; all levels give the same answer. All `unsafe` of tidemill is in this crate.
//!
//! ```
//! use tidemill_kernels::{Split, TextTable};
//!
//! let mut words = TextTable::new(1_000);
//! words.count_lines(b"ebb flow\nebb slack\n", Split::Whitespace).unwrap();
//! let mut counts = Vec::new();
//! words.for_each(|word, count| counts.push((String::from_utf8_lossy(word).into_owned(), count)));
//! counts.sort();
//! assert_eq!(counts, [("ebb".into(), 2), ("flow".into(), 1), ("slack".into(), 1)]);
//! ```

mod bad_row;
mod cell;
mod cut;
mod extrema;
mod fields;
pub mod grouped;
mod hash_index;
mod huge;
mod isa;
mod key_decimals;
mod level;
mod lines;
mod multiversion;
mod number;
mod same;
mod slots;
mod span;
mod split;
mod sum;
mod table;
mod text_buffer;
mod timestamp;
mod utf8;
mod white;
mod white_fields;

pub use bad_row::{BadKind, BadRow};
pub use cell::{BytesCell, TextCell};
pub use extrema::{
    max_f64, max_f64_at, max_i64, max_i64_at, min_f64, min_f64_at, min_i64, min_i64_at,
};
pub use fields::{FieldCount, Fields, line_fields, line_fields_at, row_fields, row_fields_at};
pub use hash_index::{HashIndex, Vacancy};
pub use key_decimals::{key_decimals, key_decimals_at};
pub use level::Level;
pub use lines::{count_newlines, count_newlines_at, line_spans, line_spans_at};
pub use number::{
    MAX_SCALE, least_decimal, parse_decimal, parse_decimal_at, parse_f64, parse_f64_at, parse_i64,
    parse_i64_at,
};
pub use same::same_bytes;
pub use slots::{Slots, Stamped};
pub use span::Span;
pub use split::{Split, split_byte, split_byte_at, split_whitespace, split_whitespace_at};
pub use sum::{sum_f64, sum_f64_at, sum_i64, sum_i64_at};
pub use table::{TableError, TextTable, prefetch_row};
pub use text_buffer::{BadUtf8, TextBuffer};
pub use timestamp::{TimeFormat, parse_timestamps, parse_timestamps_at};
pub use utf8::{is_ascii, is_ascii_at};
pub use white_fields::{WhiteFields, white_fields, white_fields_at};

#[cfg(test)]
mod tests;
