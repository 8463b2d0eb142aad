//! The fields of a record as formats see them: by position, or by name.

use tidemill_kernels::Span;

use super::fill::Kind;
use super::{Decode, Fill, Reason, Rejects, Texts, TimeFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::record::block::SharedText;

/// A field that is one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// With the names of the structs that it is in: `place.street`.
    pub(super) name: String,
    pub(super) is_optional: bool,
    pub(super) kind: Kind,
}

/// The fields of `R`, those of structs within it too, in their order.
pub(super) fn fields<R: Decode>() -> Vec<Field> {
    let (mut columns, mut fields) = (R::Columns::default(), Vec::new());
    for_each_field(R::fill(&mut columns), "", &mut |name, fill| {
        let (name, is_optional, kind) = (name.to_owned(), fill.is_optional(), fill.kind());
        fields.push(Field { name, is_optional, kind });
    });
    fields
}

pub(super) fn for_each_field(
    fill: &mut dyn Fill,
    name: &str,
    visit: &mut dyn FnMut(&str, &mut dyn Fill),
) {
    let members = fill.members();
    if members.is_empty() {
        return visit(name, fill);
    }
    for (index, member) in members.iter().enumerate() {
        let name = if name.is_empty() { (*member).to_owned() } else { format!("{name}.{member}") };
        for_each_field(fill.member(index), &name, visit);
    }
}

/// Where each field is among names that a format has.
pub(super) fn positions<'a>(
    fields: &[Field],
    names: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Result<Vec<u32>> {
    let names: Vec<&str> = names.into_iter().collect();
    let position = |field: &Field| {
        let mut found = names.iter().zip(0..).filter(|(name, _)| **name == field.name);
        match (found.next(), found.next()) {
            (Some((_, position)), None) => Ok(position),
            (None, _) => Err(Error::new(
                ErrorKind::Config,
                format!("{what} has no {:?}; there are {names:?}", field.name),
            )),
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::Config,
                format!("{what} has {:?} more than once: {names:?}", field.name),
            )),
        }
    };
    fields.iter().map(position).collect()
}

/// Lines that are cut before their fields are filled: what was cut is still in cache then.
pub(super) const PIECE: usize = 4096;

/// Appends a row for each line, from line `first` on, of the texts of each field, and reports those
/// that are none.
pub(super) fn push_fields<R: Decode>(
    rows: &mut R::Columns,
    text: &SharedText,
    columns: &[Vec<Span>],
    first: usize,
    times: TimeFormat,
    rejects: &mut Rejects,
) {
    let (mut columns, mut bad) = (columns.iter(), Vec::<(u32, Reason)>::new());
    for_each_field(R::fill(rows), "", &mut |name, fill| {
        let spans = columns.next().expect("a column of texts for each field");
        fill.push_texts(&Texts { text, spans, times, is_typed: false }, &mut bad);
        for (row, reason) in bad.drain(..) {
            rejects.push(first + row as usize, name, reason);
        }
    });
}
