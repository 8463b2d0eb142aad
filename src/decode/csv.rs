//! Delimited text in which fields may stand in quotes.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use memchr::memchr;
use tidemill_kernels::{FieldCount, Fields, Span, TimeFormat, row_fields};

use super::cells::Cells;
use super::delimited::{Delimited, Plan};
use super::layout::PIECE;
use super::{Decode, Decoder, Reason, Rejects};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Record, TextColumn};

/// Lines of fields with a separator between two, some in quotes: `"Main, 22",oslo`.
///
/// Quotes are those of RFC 4180: a field that begins with one ends with one, and has two for each
/// that is part of it. A record is one line: a field that is still open at its end is a reject, and
/// so is a line with a quote anywhere else. Lines without quotes are as fast as those of
/// [`Delimited`], which see for where fields are.
///
/// ```
/// use tidemill::prelude::*;
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let csv = Csv::new(b',').columns([1, 0]);
/// let names = lines.stream().decode::<(String, String)>(csv);
/// let (names, rejects) = (t.output(&names), t.output(&names.rejects()));
/// lines.push(["ebb,\"the \"\"ebb\"\", that is\"", "flow,\"the flow"])?;
/// t.tick()?;
/// assert_eq!(names.take(), [("the \"ebb\", that is".to_owned(), "ebb".to_owned())]);
/// assert_eq!(rejects.take()[0].reason, "a quote that is not closed, or in the wrong place");
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    separator: u8,
    delimited: Delimited,
}

const QUOTE: u8 = b'"';

impl Csv {
    /// Fields with this separator between two, such as `b','`, `b';'` or `b'\t'`.
    ///
    /// With one that is not ASCII, a quote, or part of a line end, `start` fails.
    pub fn new(separator: u8) -> Csv {
        Csv { separator, delimited: Delimited::new(separator) }
    }

    /// The positions of the record's fields in a line, from 0 on; a line may have others.
    #[must_use]
    pub fn columns(self, columns: impl Into<Vec<usize>>) -> Csv {
        Csv { delimited: self.delimited.columns(columns), ..self }
    }

    /// The header of the lines, as that of [`Delimited::header`].
    #[must_use]
    pub fn header(self, header: impl Into<String>) -> Csv {
        Csv { delimited: self.delimited.header(header), ..self }
    }

    /// How timestamps are written: RFC 3339 unless this says otherwise.
    #[must_use]
    pub fn times(self, times: TimeFormat) -> Csv {
        Csv { delimited: self.delimited.times(times), ..self }
    }

    fn plan<R: Decode>(&self) -> Result<Plan> {
        if self.separator == QUOTE {
            let message = "the separator of fields in quotes is the quote";
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.delimited.plan_with::<R>(|header| {
            let mut cutter = Cutter::new(self.separator);
            cutter.cut(header.as_bytes()).map_err(|_| {
                let message = format!("the header has an open quote, or one too many: {header:?}");
                Error::new(ErrorKind::Config, message)
            })?;
            let name = |index: usize| String::from_utf8_lossy(cutter.text(index)).into_owned();
            Ok((0..cutter.fields.len()).map(name).collect())
        })
    }
}

impl<R: Decode> Decoder<R> for Csv {
    fn name(&self) -> String {
        format!("Csv({:?})", char::from(self.separator))
    }

    fn check(&self) -> Result<()> {
        self.plan::<R>().map(drop)
    }

    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut <R as Record>::Columns,
        rejects: &mut Rejects,
    ) -> Result<()> {
        let Plan { columns, count, .. } = self.plan::<R>()?;
        rejects.skip_blank();
        let (text, spans) = lines.to_shared();
        let (bytes, separator) = (text.bytes(), self.separator);
        let fields = Fields { separator, columns: &columns, count };
        let (mut cut, mut bad) = (vec![Vec::new(); columns.len()], Vec::new());
        let (mut cells, mut cutter) = (Cells::new::<R>(false), Cutter::new(separator));
        let mut plain = Vec::new();
        for (piece, spans) in spans.chunks(PIECE).enumerate() {
            let first = piece * PIECE;
            cut.iter_mut().for_each(Vec::clear);
            bad.clear();
            plain.clear();
            plain.extend(spans.iter().filter(|line| !has_quote(&bytes[line.range()])));
            row_fields(bytes, &plain, &fields, &mut cut, &mut bad);
            if plain.len() == spans.len() {
                self.delimited.push::<R>(rows, &text, &cut, &mut bad, first, rejects);
                continue;
            }
            let (mut plain, mut bad) = (0.., bad.iter().peekable());
            for (line, span) in (first..).zip(spans) {
                let quoted = &bytes[span.range()];
                let found = if has_quote(quoted) {
                    cutter.take(quoted, span.start, &columns, count, &mut cells)
                } else {
                    let row = plain.next().expect("there are no more lines than this");
                    match bad.next_if(|bad| bad.row as usize == row) {
                        Some(bad) => Err((None, bad.kind.into())),
                        None => (0..columns.len()).try_for_each(|field| {
                            let found = cells.set(field, cut[field][row]);
                            found.map_err(|reason| (Some(field), reason))
                        }),
                    }
                };
                cells.end_row(line, found, rejects);
            }
            cells.fill::<R>(rows, &text, first, self.delimited.time_format(), rejects);
        }
        self.delimited.skip_headers(bytes, &spans, rejects);
        Ok(())
    }
}

fn has_quote(line: &[u8]) -> bool {
    memchr(QUOTE, line).is_some()
}

/// Cuts a line with quotes. csv-core reads it, and reads anything; that nothing but a field in
/// quotes had quotes is checked here.
struct Cutter {
    separator: u8,
    reader: Reader,
    /// The fields without their quotes, and where each ends.
    texts: Vec<u8>,
    ends: Vec<usize>,
    fields: Vec<Quoted>,
}

/// A field of the line.
#[derive(Copy, Clone)]
struct Quoted {
    /// Where it is in the line, without the quotes around it.
    span: Span,
    /// Whether quotes in it are doubled.
    is_doubled: bool,
}

impl Cutter {
    fn new(separator: u8) -> Cutter {
        let mut reader = ReaderBuilder::new();
        // A return within a line is a character as all others.
        let reader = reader.delimiter(separator).terminator(Terminator::Any(b'\n')).build();
        Cutter { separator, reader, texts: vec![], ends: vec![], fields: vec![] }
    }

    /// A field without its quotes.
    fn text(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.texts[start..self.ends[index]]
    }

    fn cut(&mut self, line: &[u8]) -> Result<(), Reason> {
        let count = self.read(line);
        self.fields.clear();
        let mut at = 0;
        for index in 0..count {
            let text = self.text(index);
            let is_quoted = line.get(at) == Some(&QUOTE);
            let doubled = text.iter().filter(|byte| **byte == QUOTE).count();
            let start = at + usize::from(is_quoted);
            let end = start + text.len() + if is_quoted { doubled } else { 0 };
            let raw = line.get(start..end).ok_or(Reason::Quote)?;
            let is_same = match doubled {
                0 => raw == text,
                _ => is_quoted && undoubled(raw).eq(text.iter().copied()),
            };
            at = end + usize::from(is_quoted);
            let is_closed = !is_quoted || line.get(end) == Some(&QUOTE);
            let next = line.get(at);
            let is_ended =
                if index + 1 == count { at == line.len() } else { next == Some(&self.separator) };
            if !is_same || !is_closed || !is_ended {
                return Err(Reason::Quote);
            }
            at += 1;
            let span = Span { start: start as u32, len: (end - start) as u32 };
            self.fields.push(Quoted { span, is_doubled: doubled > 0 });
        }
        Ok(())
    }

    /// Reads a line, and gives the number of its fields.
    fn read(&mut self, line: &[u8]) -> usize {
        self.reader.reset();
        self.texts.resize(self.texts.len().max(line.len()), 0);
        // There are as many separators at most as there are bytes.
        self.ends.resize(self.ends.len().max(line.len() + 1), 0);
        let (mut read, mut written, mut count) = (0, 0, 0);
        // An empty line first, which is skipped: what looks like the mark of a file's first bytes
        // is text after that. Nothing at the end says that there is no more.
        for mut input in [b"\n", line, b""] {
            loop {
                let (result, taken, wrote, ended) = self.reader.read_record(
                    input,
                    &mut self.texts[written..],
                    &mut self.ends[count..],
                );
                (read, written, count) = (read + taken, written + wrote, count + ended);
                input = &input[taken..];
                match result {
                    ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                        unreachable!("what was read is no longer than what was written")
                    }
                    _ if input.is_empty() => break,
                    _ => {}
                }
            }
        }
        debug_assert_eq!(read, line.len() + 1, "all of the line was read");
        count
    }

    /// Takes the wanted fields of a line.
    fn take(
        &mut self,
        line: &[u8],
        start: u32,
        columns: &[u32],
        count: FieldCount,
        cells: &mut Cells,
    ) -> Result<(), (Option<usize>, Reason)> {
        self.cut(line).map_err(|reason| (None, reason))?;
        let is_allowed = match count {
            FieldCount::AtLeast(least) => self.fields.len() >= least as usize,
            FieldCount::Exactly(exact) => self.fields.len() == exact as usize,
        };
        if !is_allowed {
            return Err((None, Reason::Fields));
        }
        for (field, column) in columns.iter().enumerate() {
            let Quoted { span, is_doubled } = self.fields[*column as usize];
            let set = if is_doubled {
                let text = std::str::from_utf8(self.text(*column as usize));
                cells.set_copy(field, text.expect("text without some of its quotes is text"))
            } else {
                cells.set(field, Span { start: start + span.start, ..span })
            };
            set.map_err(|reason| (Some(field), reason))?;
        }
        Ok(())
    }
}

/// The bytes with one quote for two; one that stands alone ends them.
fn undoubled(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || match rest {
        [QUOTE, QUOTE, after @ ..] => {
            rest = after;
            Some(QUOTE)
        }
        [QUOTE, ..] | [] => None,
        [byte, after @ ..] => {
            rest = after;
            Some(*byte)
        }
    })
}
