//! Delimited text without quotes: a separator always separates.

use memchr::memmem;
use tidemill_kernels::{
    BadRow, FieldCount, Fields, Span, Split, WhiteFields, count_newlines, line_fields, row_fields,
    white_fields,
};

use super::layout::{Field, PIECE, fields, positions, push_fields};
use super::{Block, Decode, Decoder, Rejects, TimeFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::record::block::SharedText;
use crate::record::{Record, TextColumn};

/// Lines of fields with a separator between two, `oslo;-3.5`, by a kernel.
///
/// There are no quotes: what looks like one is part of its field. A line's fields are those of the
/// record, in their order, and no others, unless [`columns`](Self::columns) or
/// [`header`](Self::header) say where they are. Blank lines that are no rows are skipped.
///
/// ```
/// use tidemill::prelude::*;
///
/// #[derive(Record)]
/// struct Reading {
///     station: String,
///     celsius: f64,
/// }
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let readings = lines.stream().decode::<Reading>(Delimited::new(b';'));
/// let warm = readings.filter(|reading| reading.celsius > 0.0);
/// let (warm, rejects) = (t.output(&warm), t.output(&readings.rejects()));
/// lines.push(["oslo;-3.5", "rome;9.0", "bonn;warm"])?;
/// t.tick()?;
/// assert_eq!(warm.take()[0].station, "rome");
/// assert_eq!(rejects.take()[0].reason, "not a number");
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Delimited {
    separator: Split,
    /// Where the record's fields are, from 0 on; by default in their order, and no others.
    columns: Option<Vec<usize>>,
    headers: Vec<String>,
    times: TimeFormat,
}

/// Where fields are, for kernels.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) columns: Vec<u32>,
    pub(super) count: FieldCount,
    /// How many names the header has, if all headers have as many.
    names: Option<u32>,
}

impl Delimited {
    /// Fields with this separator between two, such as `b';'`, `b','` or `b'\t'`.
    ///
    /// With one that is not ASCII, or part of a line end, `start` fails.
    pub fn new(separator: u8) -> Delimited {
        Delimited::split(Split::Byte(separator))
    }

    /// Fields with any run of white space between two, as `vmstat`, `ps` and `ls -l` print them:
    /// spaces, tabs and what else of ASCII is white. What a line begins or ends with is part of no
    /// field, and so no field is empty.
    ///
    /// The last column of a [`header`](Self::header) takes what is left of its line, such as a
    /// command with its arguments. A header is known again by its names, however far apart.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// #[derive(Record)]
    /// struct Process {
    ///     pid: u32,
    ///     command: String,
    /// }
    ///
    /// let mut t = TestContext::new()?;
    /// let lines = t.input::<String>();
    /// let format = Delimited::whitespace().header("pid time command");
    /// let processes = t.output(&lines.stream().decode::<Process>(format));
    /// lines.push(["  pid time command", "    1 0:02 init", " 4711 1:00 cc -o a  a.c"])?;
    /// t.tick()?;
    /// let commands: Vec<String> = processes.take().into_iter().map(|row| row.command).collect();
    /// assert_eq!(commands, ["init", "cc -o a  a.c"]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn whitespace() -> Delimited {
        Delimited::split(Split::Whitespace)
    }

    fn split(separator: Split) -> Delimited {
        Delimited { separator, columns: None, headers: Vec::new(), times: TimeFormat::default() }
    }

    /// The positions of the record's fields in a line, from 0 on; a line may have others.
    #[must_use]
    pub fn columns(self, columns: impl Into<Vec<usize>>) -> Delimited {
        Delimited { columns: Some(columns.into()), ..self }
    }

    /// The header of the lines: the record's fields are where it has their names, unless
    /// [`columns`](Self::columns) says where, and each line has as many fields as it. Lines that
    /// are equal to it are skipped, wherever they are.
    ///
    /// Called again it adds a header, for files that begin with different ones. All must have the
    /// record's fields at the same positions; if they have not as many fields as each other, a line
    /// may have any number that holds the record's.
    #[must_use]
    pub fn header(mut self, header: impl Into<String>) -> Delimited {
        self.headers.push(header.into());
        self
    }

    /// How timestamps are written: RFC 3339 unless this says otherwise.
    #[must_use]
    pub fn times(self, times: TimeFormat) -> Delimited {
        Delimited { times, ..self }
    }

    pub(super) fn time_format(&self) -> TimeFormat {
        self.times
    }

    fn plan<R: Decode>(&self) -> Result<Plan> {
        self.plan_with::<R>(|header| {
            Ok(match self.separator {
                Split::Byte(byte) => header.split(char::from(byte)).map(str::to_owned).collect(),
                Split::Whitespace => header.split_ascii_whitespace().map(str::to_owned).collect(),
            })
        })
    }

    /// Where the record's fields are, with the names that a header has.
    pub(super) fn plan_with<R: Decode>(
        &self,
        mut names: impl FnMut(&str) -> Result<Vec<String>>,
    ) -> Result<Plan> {
        if let Split::Byte(separator) = self.separator
            && (!separator.is_ascii() || matches!(separator, b'\n' | b'\r'))
        {
            let message = format!(
                "the separator is byte {separator}, but must be ASCII (0 to 127) and no part of a \
                 line end"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let fields = fields::<R>();
        let len = fields.len() as u32;
        let chosen = self.columns.as_deref().map(|columns| chosen(&fields, columns)).transpose()?;
        let mut plan: Option<Plan> = None;
        for header in &self.headers {
            let names = names(header)?;
            let names: Vec<&str> = names.iter().map(|name| &name[..]).collect();
            let columns = match &chosen {
                Some(columns) => columns.clone(),
                None => positions(&fields, names.iter().copied(), "the header")?,
            };
            let (last, count) = (last(&columns), names.len() as u32);
            if last >= count {
                let message = format!("column {last}, but the header has {count}: {names:?}");
                return Err(Error::new(ErrorKind::Config, message));
            }
            let Some(plan) = &mut plan else {
                let names = Some(count);
                plan = Some(Plan { columns, count: FieldCount::Exactly(count), names });
                continue;
            };
            if columns != plan.columns {
                let message = format!("another header has the fields elsewhere than {names:?}");
                return Err(Error::new(ErrorKind::Config, message));
            }
            if plan.count != FieldCount::Exactly(count) {
                (plan.count, plan.names) = (FieldCount::AtLeast(last + 1), None);
            }
        }
        let without_header = || match chosen {
            Some(columns) => {
                Plan { count: FieldCount::AtLeast(last(&columns) + 1), columns, names: None }
            }
            None => {
                Plan { columns: (0..len).collect(), count: FieldCount::Exactly(len), names: None }
            }
        };
        Ok(plan.unwrap_or_else(without_header))
    }

    /// Appends a row for each line, from line `first` on, of what it was cut into.
    pub(super) fn push<R: Decode>(
        &self,
        rows: &mut R::Columns,
        text: &SharedText,
        cut: &[Vec<Span>],
        bad: &mut Vec<BadRow>,
        first: usize,
        rejects: &mut Rejects,
    ) {
        for bad in bad.drain(..) {
            rejects.push(first + bad.row as usize, "", bad.kind.into());
        }
        push_fields::<R>(rows, text, cut, first, self.times, rejects);
    }

    /// Skips the lines that are headers.
    pub(super) fn skip_headers(&self, bytes: &[u8], lines: &[Span], rejects: &mut Rejects) {
        if self.headers.is_empty() {
            return;
        }
        let is_header = |line: &Span| {
            let is_line = |header: &String| match self.separator {
                Split::Byte(_) => {
                    line.len as usize == header.len() && bytes[line.range()] == *header.as_bytes()
                }
                Split::Whitespace => are_same_words(&bytes[line.range()], header.as_bytes()),
            };
            self.headers.iter().any(is_line)
        };
        let headers = lines.iter().enumerate().filter(|(_, line)| is_header(line));
        headers.for_each(|(row, _)| rejects.skip(row));
    }

    /// As [`skip_headers`](Self::skip_headers), of whole lines that nobody has cut: a search for
    /// the header costs less than a look at each line.
    fn find_headers(&self, lines: &[u8], rejects: &mut Rejects) {
        for header in &self.headers {
            let (mut row, mut counted) = (0, 0);
            for at in memmem::find_iter(lines, header) {
                let is_start = at == 0 || lines[at - 1] == b'\n';
                let rest = &lines[at + header.len()..];
                let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
                if is_start && (rest.is_empty() || rest[0] == b'\n') {
                    row += count_newlines(&lines[counted..at]);
                    counted = at;
                    rejects.skip(row);
                }
            }
        }
    }
}

/// Whether two lines have the same words, whatever white space is between them.
fn are_same_words(line: &[u8], other: &[u8]) -> bool {
    // Most lines differ in their first words.
    let words = |line| <[u8]>::split(line, u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words(line).eq(words(other))
}

/// The columns asked for, which must be one for each field.
fn chosen(fields: &[Field], columns: &[usize]) -> Result<Vec<u32>> {
    if columns.len() != fields.len() {
        let names: Vec<&str> = fields.iter().map(|field| &field.name[..]).collect();
        let (given, len) = (columns.len(), fields.len());
        let message = format!("{given} columns for the {len} fields {names:?}");
        return Err(Error::new(ErrorKind::Config, message));
    }
    let limited = |&column: &usize| match u32::try_from(column) {
        Ok(column) if column < COLUMNS_MAX => Ok(column),
        _ => Err(Error::new(
            ErrorKind::Config,
            format!("column {column}, but the last one possible is {COLUMNS_MAX} - 1"),
        )),
    };
    columns.iter().map(limited).collect()
}

fn last(columns: &[u32]) -> u32 {
    columns.iter().max().copied().unwrap_or_default()
}

/// Bytes of lines that are cut before their fields are filled, as [`PIECE`] is of lines.
const PIECE_BYTES: usize = 64 << 10;

/// The length of the whole lines in front that are about so many bytes, at least of one.
fn piece_len(lines: &[u8]) -> usize {
    let Some((head, tail)) = lines.split_at_checked(PIECE_BYTES) else { return lines.len() };
    let last = memchr::memrchr(b'\n', head).map(|end| end + 1);
    let first = || memchr::memchr(b'\n', tail).map_or(lines.len(), |end| PIECE_BYTES + end + 1);
    last.unwrap_or_else(first)
}

/// Fields that a line may have before those that are wanted.
const COLUMNS_MAX: u32 = 1 << 20;

impl<R: Decode> Decoder<R> for Delimited {
    fn name(&self) -> String {
        match self.separator {
            Split::Byte(byte) => format!("Delimited({:?})", char::from(byte)),
            Split::Whitespace => "Delimited::whitespace".to_owned(),
        }
    }

    fn check(&self) -> Result<()> {
        self.plan::<R>().map(drop)
    }

    // An empty header is found everywhere, and one with a line end is no line.
    fn takes_blocks(&self) -> bool {
        matches!(self.separator, Split::Byte(_))
            && self
                .headers
                .iter()
                .all(|header| !header.is_empty() && !header.contains(['\r', '\n']))
    }

    fn decode_block(
        &self,
        &Block(text): &Block<'_>,
        rows: &mut <R as Record>::Columns,
        rejects: &mut Rejects,
    ) -> Result<usize> {
        let Split::Byte(separator) = self.separator else {
            unreachable!("blocks are taken of lines with a separator of one byte")
        };
        let Plan { columns, count, .. } = self.plan::<R>()?;
        rejects.skip_blank();
        let fields = Fields { separator, columns: &columns, count };
        let (mut cut, mut bad) = (vec![Vec::<Span>::new(); columns.len()], Vec::new());
        let (mut lines, mut rest) = (0, text.bytes());
        while !rest.is_empty() {
            let start = (text.len() - rest.len()) as u32;
            let piece = rest.split_off(..piece_len(rest)).expect("a part of what is left");
            cut.iter_mut().for_each(Vec::clear);
            let len = line_fields(piece, &fields, &mut cut, &mut bad);
            for span in cut.iter_mut().flatten() {
                span.start += start;
            }
            self.push::<R>(rows, text, &cut, &mut bad, lines, rejects);
            lines += len;
        }
        self.find_headers(text.bytes(), rejects);
        Ok(lines)
    }

    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut <R as Record>::Columns,
        rejects: &mut Rejects,
    ) -> Result<()> {
        let Plan { columns, count, names } = self.plan::<R>()?;
        rejects.skip_blank();
        let (text, spans) = lines.to_shared();
        let (mut cut, mut bad) = (vec![Vec::new(); columns.len()], Vec::<BadRow>::new());
        for (piece, spans) in spans.chunks(PIECE).enumerate() {
            cut.iter_mut().for_each(Vec::clear);
            match self.separator {
                Split::Byte(separator) => {
                    let fields = Fields { separator, columns: &columns, count };
                    row_fields(text.bytes(), spans, &fields, &mut cut, &mut bad);
                }
                Split::Whitespace => {
                    let rest = names.and_then(|names| names.checked_sub(1));
                    let fields = WhiteFields { columns: &columns, count, rest };
                    white_fields(text.bytes(), spans, &fields, &mut cut, &mut bad);
                }
            }
            self.push::<R>(rows, &text, &cut, &mut bad, piece * PIECE, rejects);
        }
        self.skip_headers(text.bytes(), &spans, rejects);
        Ok(())
    }
}
