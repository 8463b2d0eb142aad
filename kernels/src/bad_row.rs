//! Rows that are not what they should be. Data from outside never stops a kernel: a bad row is
//! named by number and kind, in a list that costs nothing while it is empty.

use std::fmt;

/// A row that could not be taken as asked.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// The row's number, from the first row of the call on.
    pub row: u32,
    /// What is wrong with it.
    pub kind: BadKind,
}

/// What is wrong with a row.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum BadKind {
    /// It has not the number of fields asked for.
    Fields,
    /// Nothing stands where a number should.
    Empty,
    /// What stands there is not a number.
    NotANumber,
    /// The number is past the range of the type.
    OutOfRange,
    /// The number has digits past the column's scale.
    TooPrecise,
    /// What stands there is not a time.
    NotATime,
}

impl fmt::Display for BadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadKind::Fields => "not the number of fields asked for",
            BadKind::Empty => "an empty field where a number should be",
            BadKind::NotANumber => "not a number",
            BadKind::OutOfRange => "a number past the range of its type",
            BadKind::TooPrecise => "a number with digits past the scale of its column",
            BadKind::NotATime => "not a time",
        })
    }
}

impl BadRow {
    #[cold]
    pub(crate) fn new(row: usize, kind: BadKind) -> BadRow {
        BadRow { row: u32::try_from(row).expect("fewer than 2^32 rows"), kind }
    }
}
