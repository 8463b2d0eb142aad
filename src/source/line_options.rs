//! What a program says of lines that a source cannot take as they are.

use super::encoding::Encoding;
use super::word_ends::WordEnds;

/// What happens to a line that is not valid UTF-8.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum BadUtf8 {
    /// Each bad sequence becomes U+FFFD, as in `String::from_utf8_lossy`.
    #[default]
    Replace,
    /// The line is dropped.
    Reject,
}

/// What happens to a line longer than [`Limits::line_bytes`](crate::Limits::line_bytes).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum LongLine {
    /// It ends at the maximum; the rest of it is dropped.
    #[default]
    Cut,
    /// The line is dropped.
    Reject,
    /// It is given as several lines, cut between words that white space separates, so that all of
    /// them come, however long the line is. Only a word over the maximum is cut there and the rest
    /// of it dropped, and [counted](crate::SourceCounts::words_cut).
    ///
    /// For streams in which lines count by their words alone: long lines count as several, also
    /// some that are within the maximum, and come before their ends do.
    SplitAtWhitespace,
    /// As [`SplitAtWhitespace`](Self::SplitAtWhitespace), for words that this ASCII character
    /// separates, between two of which there is an empty word. With a line end, or a byte that is
    /// no such character, it is as [`Cut`](Self::Cut).
    SplitAt(u8),
}

impl LongLine {
    pub(super) fn word_ends(self) -> Option<WordEnds> {
        match self {
            LongLine::SplitAtWhitespace => Some(WordEnds::Whitespace),
            // Any other byte may be a part of a character, or of a line end.
            LongLine::SplitAt(byte) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => {
                Some(WordEnds::Byte(byte))
            }
            LongLine::SplitAt(_) | LongLine::Cut | LongLine::Reject => None,
        }
    }
}

/// How a source treats lines that it cannot take as they are; each such line is counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LineOptions {
    /// What happens to bad UTF-8. Streams of bytes check nothing.
    pub bad_utf8: BadUtf8,
    /// What happens to lines over the maximum.
    pub long_line: LongLine,
    /// The separator of fields that may stand in quotes, if any may, as RFC 4180 has them: a line
    /// end within quotes is part of its field, and what is counted and bounded as a line is the
    /// record. For streams of text, to be decoded as [`Csv`](crate::Csv).
    ///
    /// A quote opens a field only where one begins. One that is not closed within the maximum takes
    /// what has come by then, to the end of that line, and counts as a line over the maximum; the
    /// next line is a record again. One that is open where its input ends makes a row that has
    /// `"…` at its end, which `Csv` rejects.
    ///
    /// ```
    /// use tidemill::prelude::*;
    /// use tidemill::{Files, LineOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("places.csv");
    /// std::fs::write(&path, "\"Main\n22\",1.5\nBakken,2\n")?;
    /// let ssc = StreamingContext::builder("places").build()?;
    /// let options = LineOptions { quoted: Some(b','), ..LineOptions::default() };
    /// let records = ssc.text_stream(Files::open([&path])?, options)?;
    /// let places = records.decode::<(String, f64)>(Csv::new(b',')).collect(16);
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let places: Vec<(String, f64)> = places.iter().flat_map(|(_, places)| places).collect();
    /// assert_eq!(places, [("Main\n22".to_owned(), 1.5), ("Bakken".to_owned(), 2.0)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub quoted: Option<u8>,
    /// Encoding of the text that comes in; streams have UTF-8. What a receiver
    /// [pushes](crate::BlockWriter::push_line) is UTF-8 already. Bytes that stand for no character
    /// become U+FFFD, and their lines are [counted](crate::SourceCounts::lines_replaced).
    pub encoding: Encoding,
}
