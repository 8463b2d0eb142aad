//! Fields that formats find line by line, on their way to columns: ranges of the line where it has
//! the value as it is, and copies where it has not.

use std::sync::Arc;

use hashbrown::HashMap;
use tidemill_kernels::{Span, TextBuffer, TimeFormat};

use super::fill::{ABSENT, Kind};
use super::layout::{Field, fields, for_each_field};
use super::{Decode, Reason, Rejects, Texts};
use crate::record::block::SharedText;

/// The fields of some lines, column by column. Each column has at most one value more than there
/// are whole rows.
pub(super) struct Cells {
    pub(super) fields: Vec<Field>,
    columns: Vec<Column>,
    rows: usize,
    /// What the copies are ranges of.
    copied: Vec<u8>,
    /// Whether values have types: a text may be empty then, and what is no number of a field's type
    /// is still a number.
    is_typed: bool,
}

#[derive(Default)]
struct Column {
    spans: Vec<Span>,
    /// Rows that are not ranges of the lines' text.
    copies: Vec<(usize, Span)>,
}

impl Cells {
    pub(super) fn new<R: Decode>(is_typed: bool) -> Cells {
        let fields = fields::<R>();
        let columns = fields.iter().map(|_| Column::default()).collect();
        Cells { fields, columns, rows: 0, copied: Vec::new(), is_typed }
    }

    #[cfg(feature = "json")]
    pub(super) fn is_optional(&self, field: usize) -> bool {
        self.fields[field].is_optional
    }

    pub(super) fn kind(&self, field: usize) -> Kind {
        self.fields[field].kind
    }

    /// Sets a field of the row to a range of the lines' text, or to [`ABSENT`] if it is optional.
    pub(super) fn set(&mut self, field: usize, span: Span) -> Result<(), Reason> {
        let column = &mut self.columns[field];
        if column.spans.len() > self.rows {
            return Err(Reason::Duplicate);
        }
        column.spans.push(span);
        Ok(())
    }

    /// Sets a field of the row to a text of its own.
    pub(super) fn set_copy(&mut self, field: usize, text: &str) -> Result<(), Reason> {
        self.set(field, Span::default())?;
        let span = Span { start: self.copied.len() as u32, len: text.len() as u32 };
        self.copied.extend_from_slice(text.as_bytes());
        self.columns[field].copies.push((self.rows, span));
        Ok(())
    }

    /// Ends the row of line `line`, which is rejected if a field was at fault or is missing.
    pub(super) fn end_row(
        &mut self,
        line: usize,
        found: Result<(), (Option<usize>, Reason)>,
        rejects: &mut Rejects,
    ) {
        let mut is_rejected = found.is_err();
        if let Err((field, reason)) = found {
            let field = field.map_or("", |field| &self.fields[field].name);
            rejects.push(line, field, reason);
        }
        self.rows += 1;
        for (field, column) in self.fields.iter().zip(&mut self.columns) {
            if column.spans.len() < self.rows {
                if !field.is_optional && !is_rejected {
                    rejects.push(line, &field.name, Reason::Missing);
                    is_rejected = true;
                }
                column.spans.push(if field.is_optional { ABSENT } else { Span::default() });
            }
        }
    }

    /// Fills the columns with the rows, which are those of the lines from `first` on, and is empty
    /// then.
    pub(super) fn fill<R: Decode>(
        &mut self,
        rows: &mut R::Columns,
        text: &SharedText,
        first: usize,
        times: TimeFormat,
        rejects: &mut Rejects,
    ) {
        let (mut columns, mut bad) = (self.columns.iter_mut(), Vec::<(u32, Reason)>::new());
        let (copied, is_typed) = (&self.copied, self.is_typed);
        for_each_field(R::fill(rows), "", &mut |name, fill| {
            let column = columns.next().expect("a column for each field");
            let own = column.copy(text, copied);
            let text = own.as_ref().unwrap_or(text);
            fill.push_texts(&Texts { text, spans: &column.spans, times, is_typed }, &mut bad);
            for (row, reason) in bad.drain(..) {
                let is_number = is_typed && reason == Reason::NotANumber;
                let reason = if is_number { Reason::Type } else { reason };
                rejects.push(first + row as usize, name, reason);
            }
            column.spans.clear();
            column.copies.clear();
        });
        self.copied.clear();
        self.rows = 0;
    }
}

impl Column {
    /// Where rows are copies, a text that has all rows; the spans are ranges of it then.
    fn copy(&mut self, text: &SharedText, copied: &[u8]) -> Option<SharedText> {
        if self.copies.is_empty() {
            return None;
        }
        let len: usize = self.spans.iter().map(|span| span.len as usize).sum();
        let mut own = TextBuffer::with_capacity(len + copied.len());
        let mut copies = self.copies.iter().peekable();
        for (row, span) in self.spans.iter_mut().enumerate() {
            let bytes = match copies.next_if(|(copied, _)| *copied == row) {
                Some((_, span)) => &copied[span.range()],
                None if *span == ABSENT => continue,
                None => &text.bytes()[span.range()],
            };
            *span = Span { start: own.len() as u32, len: bytes.len() as u32 };
            own.extend_from_bytes(bytes);
        }
        assert!(own.check().is_ok(), "text after text is text");
        Some(SharedText::from(Arc::new(own)))
    }
}

/// What a name in a line stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Field(usize),
    /// A struct, by the number of its names.
    #[cfg(feature = "json")]
    Struct(usize),
}

/// Names of fields, looked up in the order of a line. Lines mostly have the same names in the same
/// order, so those of the line before are tried first.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<String, Member>,
    seen: Vec<(String, Option<Member>)>,
}

/// Names of a line that are remembered, and their length.
const SEEN_MAX: usize = 64;
const SEEN_LEN_MAX: usize = 64;

impl Names {
    /// All fields by their full names.
    pub(super) fn flat(fields: &[Field]) -> Names {
        let known = fields.iter().enumerate();
        let known = known.map(|(index, field)| (field.name.clone(), Member::Field(index)));
        Names { known: known.collect(), seen: Vec::new() }
    }

    /// The fields by struct: the first names are the record's own.
    #[cfg(feature = "json")]
    pub(super) fn nested(fields: &[Field]) -> Vec<Names> {
        let mut all = vec![Names::default()];
        for (index, field) in fields.iter().enumerate() {
            let (mut at, mut rest) = (0, &field.name[..]);
            while let Some((outer, inner)) = rest.split_once('.') {
                let next = all.len();
                let known = all[at].known.entry_ref(outer);
                let Member::Struct(found) = *known.or_insert(Member::Struct(next)) else {
                    unreachable!("a member is a struct or a field")
                };
                if found == next {
                    all.push(Names::default());
                }
                (at, rest) = (found, inner);
            }
            all[at].known.insert(rest.to_owned(), Member::Field(index));
        }
        all
    }

    /// The member of this name, which is the `place`th of the line.
    pub(super) fn find(&mut self, place: usize, name: &str) -> Option<Member> {
        if let Some((seen, member)) = self.seen.get(place)
            && seen == name
        {
            return *member;
        }
        let member = self.known.get(name).copied();
        if place < SEEN_MAX && name.len() <= SEEN_LEN_MAX {
            if place == self.seen.len() {
                self.seen.push((name.to_owned(), member));
            } else if let Some((seen, old)) = self.seen.get_mut(place) {
                seen.clear();
                seen.push_str(name);
                *old = member;
            }
        }
        member
    }
}
