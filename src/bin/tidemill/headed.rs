//! A format whose lines have a header.

use memchr::memchr_iter;
use tidemill::{Columns, Decoder, Reason, Record, Rejects, Result, TextColumn};

/// A format, lines that are skipped since they are headers, and what these say of all others.
pub(crate) struct Headed<D> {
    pub(crate) format: D,
    pub(crate) headers: Vec<String>,
    /// The delimiter, and how often it is in a line.
    pub(crate) delimiters: Option<(u8, usize)>,
}

impl<R: Record, D: Decoder<R>> Decoder<R> for Headed<D> {
    fn name(&self) -> String {
        format!("{} with a header", self.format.name())
    }

    fn check(&self) -> Result<()> {
        self.format.check()
    }

    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut R::Columns,
        rejects: &mut Rejects,
    ) -> Result<()> {
        // First, since of several rejects of a line the first one counts: a value that stands in
        // another place than the header says is no wrong value.
        for row in 0..lines.len() {
            let line = lines.get(row);
            if self.headers.iter().any(|header| header == line) {
                rejects.skip(row);
            } else if let Some((delimiter, count)) = self.delimiters
                && memchr_iter(delimiter, line.as_bytes()).count() != count
            {
                rejects.push(row, "", Reason::Fields);
            }
        }
        self.format.decode(lines, rows, rejects)
    }
}
