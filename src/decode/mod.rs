//! Text lines to typed columns: formats cut lines into fields, and columns are filled field by
//! field, by kernels.
//!
//! A format is written once for all records (`Fill` is object safe), and gives a row for each line,
//! whatever is in it; rows that are none are reported, and taken out of the columns afterwards.

#[cfg(feature = "regex")]
mod access_log;
mod cells;
mod csv;
mod delimited;
mod fill;
#[cfg(feature = "json")]
mod json;
mod key_value;
mod layout;
mod log;
mod number;
#[cfg(feature = "regex")]
mod pattern;
mod reason;
mod rejects;
mod scalars;
mod times;

#[cfg(feature = "regex")]
pub use access_log::{AccessLog, AccessLogColumns, AccessLogRef};
pub use csv::Csv;
pub use delimited::Delimited;
pub use fill::{Decode, DecodeValue, Fill, Kind, Texts};
#[cfg(feature = "json")]
pub use json::JsonLines;
pub use key_value::KeyValue;
pub(crate) use log::DecodeLog;
pub use log::{DecodeCounts, RejectCount};
#[cfg(feature = "regex")]
pub use pattern::Pattern;
pub use reason::Reason;
pub use rejects::{Reject, RejectColumns, RejectRef, Rejects};
pub use tidemill_kernels::TimeFormat;

use crate::error::Result;
use crate::record::block::SharedText;
use crate::record::{Record, TextColumn};

/// A block of whole lines.
#[doc(hidden)]
#[derive(Copy, Clone, Debug)]
pub struct Block<'a>(pub(crate) &'a SharedText);

/// A format: how lines of text become rows of `R`.
///
/// Those that are here decode into any [`Decode`]. A program with a format of its own implements it
/// for its records and hands it to [`DStream::decode`](crate::DStream::decode).
///
/// ```
/// use tidemill::prelude::*;
/// use tidemill::{Decoder, Reason, Rejects, TextColumn};
///
/// /// Two characters: a letter and a digit.
/// struct Codes;
///
/// impl Decoder<(String, i64)> for Codes {
///     fn name(&self) -> String {
///         "Codes".into()
///     }
///
///     fn decode(
///         &self,
///         lines: &TextColumn,
///         rows: &mut <(String, i64) as Record>::Columns,
///         rejects: &mut Rejects,
///     ) -> tidemill::Result<()> {
///         for row in 0..lines.len() {
///             let parsed = lines.get(row).split_at_checked(1);
///             let parsed = parsed.and_then(|(key, digit)| Some((key, digit.parse().ok()?)));
///             // A row for each line, also for one that is none.
///             rows.push(parsed.unwrap_or_default());
///             if parsed.is_none() {
///                 rejects.push(row, "", Reason::NoMatch);
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let codes = lines.stream().decode::<(String, i64)>(Codes);
/// let codes = t.output(&codes);
/// lines.push(["a1", "?", "b2"])?;
/// t.tick()?;
/// assert_eq!(codes.take(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
/// # Ok::<(), tidemill::Error>(())
/// ```
pub trait Decoder<R: Record>: Send + Sync + 'static {
    /// What `explain` calls it.
    fn name(&self) -> String;

    /// Whether its settings fit the record; an error is the start's.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Whether [`decode_block`](Self::decode_block) may be called.
    #[doc(hidden)]
    fn takes_blocks(&self) -> bool {
        false
    }

    /// As [`decode`](Self::decode), of a block of whole lines, and gives the number of lines.
    #[doc(hidden)]
    fn decode_block(
        &self,
        _block: &Block<'_>,
        _rows: &mut R::Columns,
        _rejects: &mut Rejects,
    ) -> Result<usize> {
        unreachable!("only for decoders that take blocks")
    }

    /// Appends exactly one row for each line. A line that is no row of `R` gets any row, and is
    /// reported, which takes that out again. An error fails the batch.
    ///
    /// It is called on any thread, and maybe before the batch is cut, for lines that have come.
    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut R::Columns,
        rejects: &mut Rejects,
    ) -> Result<()>;
}
