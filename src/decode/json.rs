//! JSON lines: an object in each line, its members by name.
//!
//! simd-json checks the whole line and says where its members are. What they are is not taken from
//! it but from the line itself: a text without escapes is a range of it, and so is a number, which
//! the kernels then read as they read all numbers. So columns are filled without a copy, and
//! numbers are exactly what is written.

use memchr::{memchr, memchr2};
use simd_json::{Buffers, Node, StaticNode, Tape};
use tidemill_kernels::{Span, TimeFormat};

use super::cells::{Cells, Member, Names};
use super::fill::{ABSENT, Kind};
use super::layout::PIECE;
use super::{Decode, Decoder, Reason, Rejects};
use crate::error::Result;
use crate::record::{Record, TextColumn};

/// Objects and arrays within each other that a line may have; one with more is rejected.
const DEPTH_MAX: usize = 128;

/// Lines of one JSON object each: `{"station":"oslo","celsius":-3.5}`.
///
/// Members are found by the names of the record's fields, in any order; others are skipped. A
/// struct within the record is an object within the line. An `Option` is `None` where its member is
/// missing or `null`; other fields must be there. Values have types: a number is not made of a
/// text, nor a text of a number. A timestamp is a text, or, if [`times`](Self::times) are counted
/// since 1970, a number. `Vec<u8>` is the bytes of a text.
///
/// A line is rejected that is not valid JSON, is no object, has a member of the record twice, or
/// is nested more than 128 deep. Numbers past the range of a float are not taken for valid.
///
/// ```
/// use tidemill::prelude::*;
///
/// #[derive(Record)]
/// struct Reading {
///     station: String,
///     celsius: f64,
///     at: Option<Timestamp>,
/// }
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let readings = lines.stream().decode::<Reading>(JsonLines::new());
/// let frost = readings.filter(|reading| reading.celsius < 0.0);
/// let (frost, rejects) = (t.output(&frost), t.output(&readings.rejects()));
/// lines.push([
///     r#"{"at":"2024-02-29T12:00:00Z","station":"oslo","celsius":-3.5}"#,
///     r#"{"station":"rome","celsius":9,"sensor":{"id":7}}"#,
///     r#"{"station":"bonn","celsius":"cold"}"#,
/// ])?;
/// t.tick()?;
/// assert_eq!(frost.take()[0].at, Some("2024-02-29T12:00:00Z".parse()?));
/// let reject = &rejects.take()[0];
/// assert_eq!((&reject.field[..], &reject.reason[..]), ("celsius", "of another type"));
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonLines {
    times: TimeFormat,
}

impl JsonLines {
    /// JSON lines with timestamps in RFC 3339.
    pub fn new() -> JsonLines {
        JsonLines::default()
    }

    /// How timestamps are written.
    #[must_use]
    pub fn times(self, times: TimeFormat) -> JsonLines {
        JsonLines { times }
    }
}

impl<R: Decode> Decoder<R> for JsonLines {
    fn name(&self) -> String {
        "JsonLines".to_owned()
    }

    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut <R as Record>::Columns,
        rejects: &mut Rejects,
    ) -> Result<()> {
        rejects.skip_blank();
        let (text, spans) = lines.to_shared();
        let mut cells = Cells::new::<R>(true);
        let structs = Names::nested(&cells.fields);
        let mut objects: Vec<Object> =
            structs.into_iter().map(|names| Object { names, line: usize::MAX }).collect();
        let (mut buffers, mut tape) = (Buffers::default(), Tape::null());
        // The parser unescapes texts in place.
        let mut scratch = Vec::new();
        for (piece, spans) in spans.chunks(PIECE).enumerate() {
            for (line, span) in (piece * PIECE..).zip(spans) {
                let bytes = &text.bytes()[span.range()];
                scratch.clear();
                scratch.extend_from_slice(bytes);
                let place = Line { bytes, start: span.start, address: scratch.as_ptr().addr() };
                let mut nodes = tape.reset();
                let parsed = simd_json::fill_tape(&mut scratch, &mut buffers, &mut nodes);
                let found = match parsed {
                    // To the parser, a zero may stand for the end of a value.
                    Ok(()) if memchr(0, bytes).is_some() => Err((None, Reason::Syntax)),
                    Ok(()) => {
                        let mut row = Row {
                            line,
                            place,
                            times: self.times,
                            objects: &mut objects,
                            cells: &mut cells,
                        };
                        row.line(&nodes.0)
                    }
                    Err(_) if bytes.trim_ascii().is_empty() => Err((None, Reason::Empty)),
                    Err(_) => Err((None, Reason::Syntax)),
                };
                cells.end_row(line, found, rejects);
                tape = nodes.reset();
            }
            cells.fill::<R>(rows, &text, piece * PIECE, self.times, rejects);
        }
        Ok(())
    }
}

/// A struct of the record, to be found as an object.
struct Object {
    names: Names,
    /// The last line that it was in.
    line: usize,
}

/// A line, and where its copy is in which the parser found its texts.
struct Line<'a> {
    bytes: &'a [u8],
    /// Where it begins in the text of all lines.
    start: u32,
    address: usize,
}

/// A line on its way to a row.
struct Row<'a> {
    line: usize,
    place: Line<'a>,
    times: TimeFormat,
    objects: &'a mut [Object],
    cells: &'a mut Cells,
}

/// What is wrong with a line, and with which field.
type Fault = (Option<usize>, Reason);

impl Row<'_> {
    fn line(&mut self, nodes: &[Node<'_>]) -> Result<(), Fault> {
        if !self.place.surrogates_are_pairs() {
            return Err((None, Reason::Syntax));
        }
        if nodes.len() > DEPTH_MAX && depth(nodes) > DEPTH_MAX {
            return Err((None, Reason::Depth));
        }
        match nodes.first() {
            Some(Node::Object { .. }) => self.object(nodes, 0),
            _ => Err((None, Reason::Type)),
        }
    }

    /// Takes the members of the object that the nodes begin with. It calls itself as deep as
    /// structs are nested in the record.
    fn object(&mut self, nodes: &[Node<'_>], object: usize) -> Result<(), Fault> {
        let line = std::mem::replace(&mut self.objects[object].line, self.line);
        if line == self.line {
            return Err((None, Reason::Duplicate));
        }
        let mut rest = &nodes[1..len(nodes)];
        let mut place = 0;
        while let [Node::String(name), value @ ..] = rest {
            let member = self.objects[object].names.find(place, name);
            match (member, &value[0]) {
                (None, _) => {}
                (Some(Member::Field(field)), node) => {
                    self.field(field, name, node).map_err(|reason| (Some(field), reason))?;
                }
                (Some(Member::Struct(inner)), Node::Object { .. }) => self.object(value, inner)?,
                (Some(Member::Struct(inner)), Node::Static(StaticNode::Null)) => {
                    self.object(&[Node::Object { len: 0, count: 0 }], inner)?;
                }
                (Some(Member::Struct(_)), _) => return Err((None, Reason::Type)),
            }
            rest = &value[len(value)..];
            place += 1;
        }
        Ok(())
    }

    fn field(&mut self, field: usize, name: &str, node: &Node<'_>) -> Result<(), Reason> {
        let kind = match self.cells.kind(field) {
            Kind::Time if self.times.scale().is_some() => Kind::Number,
            Kind::Time => Kind::Text,
            kind => kind,
        };
        match (node, kind) {
            (Node::String(text), Kind::Text) => match self.place.span_of(text) {
                Some(span) => self.cells.set(field, span),
                None => self.cells.set_copy(field, text),
            },
            (Node::Static(StaticNode::Null), _) if self.cells.is_optional(field) => {
                self.cells.set(field, ABSENT)
            }
            (Node::Static(StaticNode::Null), _) => Err(Reason::Missing),
            (Node::Static(StaticNode::Bool(_)), Kind::Bool) => {
                self.cells.set(field, self.place.value_after(name))
            }
            (Node::Static(StaticNode::Bool(_)), _) => Err(Reason::Type),
            (Node::Static(_), Kind::Number) => self.cells.set(field, self.place.value_after(name)),
            _ => Err(Reason::Type),
        }
    }
}

impl Line<'_> {
    /// Where a text begins that the parser found.
    fn offset(&self, text: &str) -> usize {
        text.as_ptr().addr() - self.address
    }

    /// The range of a text in the text of all lines, if it is written there without an escape.
    fn span_of(&self, text: &str) -> Option<Span> {
        let (start, len) = (self.offset(text), text.len());
        let is_plain =
            self.bytes[start + len] == b'"' && self.bytes[start..][..len] == *text.as_bytes();
        is_plain.then_some(Span { start: self.start + start as u32, len: len as u32 })
    }

    /// The range of the number, or of `true` or `false`, that the member of this name is.
    fn value_after(&self, name: &str) -> Span {
        let start = self.offset(name);
        let end = start + self.text_len(start);
        let is_before = |byte: &u8| matches!(byte, b':' | b' ' | b'\t' | b'\n' | b'\r');
        let is_after = |byte: &u8| is_before(byte) || matches!(byte, b',' | b'}');
        let rest = &self.bytes[end + 1..];
        let before = rest.iter().take_while(|byte| is_before(byte)).count();
        let len = rest[before..].iter().take_while(|byte| !is_after(byte)).count();
        Span { start: self.start + (end + 1 + before) as u32, len: len as u32 }
    }

    /// Whether escapes come in pairs where one alone is no character, which the parser lets pass.
    fn surrogates_are_pairs(&self) -> bool {
        let mut rest = self.bytes;
        while let Some(at) = memchr(b'\\', rest) {
            // Both, so that what follows an escaped backslash is no escape.
            let (escape, after) = rest[at..].split_at(2.min(rest.len() - at));
            rest = after;
            if escape != b"\\u" {
                continue;
            }
            match (unit(rest), rest.get(4..).and_then(|rest| rest.strip_prefix(b"\\u"))) {
                (Some(0xD800..0xDC00), Some(low)) if matches!(unit(low), Some(0xDC00..0xE000)) => {
                    rest = low;
                }
                (Some(0xD800..0xE000) | None, _) => return false,
                _ => {}
            }
        }
        true
    }

    /// How long the text that begins here is, as it is written.
    fn text_len(&self, start: usize) -> usize {
        let mut len = 0;
        // The parser has found an end.
        while let Some(at) = memchr2(b'"', b'\\', &self.bytes[start + len..]) {
            len += at;
            if self.bytes[start + len] == b'"' {
                break;
            }
            len += 2;
        }
        len
    }
}

/// The unit of UTF-16 that four hexadecimal digits say.
fn unit(digits: &[u8]) -> Option<u16> {
    digits.first_chunk::<4>()?.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// How many nodes the first of these is.
fn len(nodes: &[Node<'_>]) -> usize {
    match nodes[0] {
        Node::Object { count, .. } | Node::Array { count, .. } => 1 + count,
        _ => 1,
    }
}

/// How many objects and arrays are in each other, at most.
fn depth(nodes: &[Node<'_>]) -> usize {
    let (mut ends, mut deepest) = (Vec::new(), 0);
    for (at, node) in nodes.iter().enumerate() {
        while ends.last().is_some_and(|end| *end <= at) {
            ends.pop();
        }
        if let Node::Object { .. } | Node::Array { .. } = node {
            ends.push(at + len(&nodes[at..]));
            deepest = deepest.max(ends.len());
        }
    }
    deepest
}
