//! Why a line was rejected.

use std::fmt;

use tidemill_kernels::BadKind;

/// Why a line is no row of the record that it should be.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It has not the number of fields asked for.
    Fields,
    /// A field is not there.
    Missing,
    /// Nothing stands where a value should.
    Empty,
    /// What stands there is no number of the field's type.
    NotANumber,
    /// It is infinite, no number by name (`nan`), or past the largest float.
    NotFinite,
    /// It is past the range of the field's type.
    OutOfRange,
    /// It has more digits after the point than the field's type holds.
    TooPrecise,
    /// It is neither `true` nor `false`.
    NotABool,
    /// It is no time in the format asked for.
    NotATime,
    /// A quote is not closed, or stands where none may.
    Quote,
    /// The line is not in the format at all.
    Syntax,
    /// The same field is there twice.
    Duplicate,
    /// It is nested too deeply.
    Depth,
    /// It is of another type than the field.
    Type,
    /// The pattern does not match.
    NoMatch,
    /// It is as long as a line may be ([`Limits::line_bytes`](crate::Limits::line_bytes)), so that
    /// its end may have been cut off, and what stands there is not what was sent.
    TooLong,
}

impl Reason {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Fields => "another number of fields",
            Reason::Missing => "a field is missing",
            Reason::Empty => "empty",
            Reason::NotANumber => "not a number",
            Reason::NotFinite => "not a finite number",
            Reason::OutOfRange => "out of range",
            Reason::TooPrecise => "too many digits after the point",
            Reason::NotABool => "neither true nor false",
            Reason::NotATime => "not a time",
            Reason::Quote => "a quote that is not closed, or in the wrong place",
            Reason::Syntax => "not in the format",
            Reason::Duplicate => "the field is there twice",
            Reason::Depth => "nested too deeply",
            Reason::Type => "of another type",
            Reason::NoMatch => "no match",
            Reason::TooLong => "as long as a line may be, and so maybe cut",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<BadKind> for Reason {
    fn from(kind: BadKind) -> Reason {
        match kind {
            BadKind::Fields => Reason::Fields,
            BadKind::Empty => Reason::Empty,
            BadKind::NotANumber => Reason::NotANumber,
            BadKind::OutOfRange => Reason::OutOfRange,
            BadKind::TooPrecise => Reason::TooPrecise,
            BadKind::NotATime => Reason::NotATime,
        }
    }
}
