//! Lines of `key=value` pairs, as many programs log.

use memchr::memchr2;
use tidemill_kernels::{Span, TimeFormat};

use super::cells::{Cells, Member, Names};
use super::fill::Kind;
use super::layout::PIECE;
use super::{Decode, Decoder, Reason, Rejects};
use crate::error::Result;
use crate::record::{Record, TextColumn};

/// Pairs of a key and a value with spaces or tabs between them: `level=warn msg="it's \"full\""`.
///
/// Keys are the names of the record's fields, in any order, those of structs within it with a
/// point, `place.street`; other pairs are skipped. A value with spaces stands in quotes, with `\"`
/// for a quote and `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t` and `\u00e9` as in JSON. A key
/// without `=` is `true` for a `bool` and empty for all else. An empty value and a missing key are
/// `None` of an `Option`; other fields must be there. Blank lines are skipped.
///
/// ```
/// use tidemill::prelude::*;
///
/// #[derive(Record)]
/// struct Request {
///     path: String,
///     status: u16,
///     cached: Option<bool>,
/// }
///
/// let mut t = TestContext::new()?;
/// let lines = t.input::<String>();
/// let requests = lines.stream().decode::<Request>(KeyValue::new());
/// let (rows, rejects) = (t.output(&requests), t.output(&requests.rejects()));
/// lines.push([r#"path="/a b" took=3ms status=200 cached"#, r#"status=404 path="/c"#])?;
/// t.tick()?;
/// let row = &rows.take()[0];
/// assert_eq!((&row.path[..], row.status, row.cached), ("/a b", 200, Some(true)));
/// assert_eq!(rejects.take()[0].reason, "a quote that is not closed, or in the wrong place");
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyValue {
    times: TimeFormat,
}

impl KeyValue {
    /// Pairs with timestamps in RFC 3339.
    pub fn new() -> KeyValue {
        KeyValue::default()
    }

    /// How timestamps are written.
    #[must_use]
    pub fn times(self, times: TimeFormat) -> KeyValue {
        KeyValue { times }
    }
}

impl<R: Decode> Decoder<R> for KeyValue {
    fn name(&self) -> String {
        "KeyValue".to_owned()
    }

    fn decode(
        &self,
        lines: &TextColumn,
        rows: &mut <R as Record>::Columns,
        rejects: &mut Rejects,
    ) -> Result<()> {
        rejects.skip_blank();
        let (text, spans) = lines.to_shared();
        let mut cells = Cells::new::<R>(false);
        let mut names = Names::flat(&cells.fields);
        for (piece, spans) in spans.chunks(PIECE).enumerate() {
            for (line, span) in (piece * PIECE..).zip(spans) {
                let pairs = Pairs { line: text.str(*span), at: 0 };
                let found = take_pairs(pairs, span.start, &mut names, &mut cells);
                cells.end_row(line, found, rejects);
            }
            cells.fill::<R>(rows, &text, piece * PIECE, self.times, rejects);
        }
        Ok(())
    }
}

fn take_pairs(
    pairs: Pairs<'_>,
    start: u32,
    names: &mut Names,
    cells: &mut Cells,
) -> Result<(), (Option<usize>, Reason)> {
    let line = pairs.line;
    for (place, pair) in pairs.enumerate() {
        let (key, value) = pair.map_err(|reason| (None, reason))?;
        let Some(Member::Field(field)) = names.find(place, key) else { continue };
        match value {
            Value::None if cells.kind(field) == Kind::Bool => cells.set_copy(field, "true"),
            Value::None => cells.set(field, Span { start, len: 0 }),
            Value::Plain(at, len) => {
                cells.set(field, Span { start: start + at as u32, len: len as u32 })
            }
            Value::Escaped(at, len) => match unescaped(&line[at..][..len]) {
                Some(text) => cells.set_copy(field, &text),
                None => Err(Reason::Syntax),
            },
        }
        .map_err(|reason| (Some(field), reason))?;
    }
    // A line without a pair is no record, even if all of its fields may be missing.
    if line.trim_ascii().is_empty() { Err((None, Reason::Empty)) } else { Ok(()) }
}

/// A value, as a place in the line and a length.
enum Value {
    None,
    Plain(usize, usize),
    Escaped(usize, usize),
}

/// The pairs of a line.
struct Pairs<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a str, Value), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.line.as_bytes();
        let spaces = bytes[self.at..].iter().take_while(|byte| is_space(**byte)).count();
        self.at += spaces;
        if self.at == bytes.len() {
            return None;
        }
        Some(self.pair(bytes))
    }
}

impl<'a> Pairs<'a> {
    fn pair(&mut self, bytes: &[u8]) -> Result<(&'a str, Value), Reason> {
        let start = self.at;
        let is_key = |byte: &u8| !is_space(*byte) && !matches!(*byte, b'=' | b'"');
        self.at += bytes[start..].iter().take_while(|byte| is_key(byte)).count();
        let key = &self.line[start..self.at];
        match bytes.get(self.at) {
            Some(b'"') => return Err(Reason::Quote),
            Some(b'=') if key.is_empty() => return Err(Reason::Syntax),
            Some(b'=') => self.at += 1,
            _ => return Ok((key, Value::None)),
        }
        if bytes.get(self.at) == Some(&b'"') {
            return Ok((key, self.quoted(bytes)?));
        }
        let start = self.at;
        let len = bytes[start..].iter().take_while(|byte| !is_space(**byte)).count();
        self.at += len;
        if bytes[start..][..len].contains(&b'"') {
            return Err(Reason::Quote);
        }
        Ok((key, Value::Plain(start, len)))
    }

    /// Takes a value with the quotes around it.
    fn quoted(&mut self, bytes: &[u8]) -> Result<Value, Reason> {
        let start = self.at + 1;
        let (mut end, mut is_escaped) = (start, false);
        loop {
            end +=
                memchr2(b'"', b'\\', bytes.get(end..).unwrap_or_default()).ok_or(Reason::Quote)?;
            if bytes[end] == b'"' {
                break;
            }
            is_escaped = true;
            end += 2;
        }
        self.at = end + 1;
        if bytes.get(self.at).is_some_and(|byte| !is_space(*byte)) {
            return Err(Reason::Quote);
        }
        let len = end - start;
        Ok(if is_escaped { Value::Escaped(start, len) } else { Value::Plain(start, len) })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A text with its escapes replaced, if they are such.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        out.push(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = unit(&mut rest)?;
                // A character past the first 65,536 is written as two units.
                let second = if (0xD800..0xDC00).contains(&first) {
                    rest = rest.strip_prefix("\\u")?;
                    Some(unit(&mut rest)?)
                } else {
                    None
                };
                let units = [first, second.unwrap_or_default()];
                let units = &units[..1 + usize::from(second.is_some())];
                char::decode_utf16(units.iter().copied()).next()?.ok()?
            }
            _ => return None,
        });
    }
    out.push_str(rest);
    Some(out)
}

/// Takes four hexadecimal digits.
fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| are_digits)
}
