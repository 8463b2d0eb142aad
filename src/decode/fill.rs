//! Columns that decoders fill, with their types behind one object-safe trait.

use tidemill_kernels::{Span, TimeFormat};

use super::Reason;
use crate::record::block::SharedText;
use crate::record::{Columns, OptionColumn, Record, TupleColumns};

/// A record that text can be decoded into.
///
/// Numbers, `bool`, [`Timestamp`](crate::Timestamp), `String`, `Vec<u8>` and options of these;
/// tuples and structs of them, structs within structs too:
/// [`#[derive(Record)]`](derive@crate::Record) implements it where all fields have it. Formats
/// with names call the fields of a struct within a struct `place.street`, and those of a tuple
/// `0`, `1` and so on.
pub trait Decode: Record {
    /// The columns, to be filled.
    #[doc(hidden)]
    fn fill(columns: &mut Self::Columns) -> &mut dyn Fill;
}

/// A [`Decode`] that is one value and no struct, and so may be within an `Option`.
pub trait DecodeValue: Decode {}

/// Columns that are filled, row by row or field by field.
#[doc(hidden)]
pub trait Fill {
    /// The names of a struct's members; none of a single value.
    fn members(&self) -> &'static [&'static str] {
        &[]
    }

    /// The columns of a member.
    fn member(&mut self, index: usize) -> &mut dyn Fill {
        unreachable!("a value has no member {index}")
    }

    /// Whether a row may be absent.
    fn is_optional(&self) -> bool {
        false
    }

    /// What a single value is.
    fn kind(&self) -> Kind {
        Kind::Struct
    }

    /// Appends a row for each text; one that is no value is reported by its number among them.
    fn push_texts(&mut self, _texts: &Texts<'_>, _bad: &mut Vec<(u32, Reason)>) {
        unreachable!("texts are values, and fill no struct")
    }
}

/// One field of many lines.
#[doc(hidden)]
#[derive(Copy, Clone, Debug)]
pub struct Texts<'a> {
    pub(crate) text: &'a SharedText,
    pub(crate) spans: &'a [Span],
    pub(crate) times: TimeFormat,
    /// Whether an empty text is a value, and only [`ABSENT`] is none.
    pub(crate) is_typed: bool,
}

/// A row of an optional field that is not there.
pub(crate) const ABSENT: Span = Span { start: u32::MAX, len: 0 };

/// Kinds of values, as far as formats tell them apart.
#[doc(hidden)]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Struct,
    Number,
    Bool,
    Text,
    Time,
}

impl<'a> Texts<'a> {
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.text.bytes()
    }

    pub(crate) fn str(&self, row: usize) -> &'a str {
        self.text.str(self.spans[row])
    }
}

impl<T: DecodeValue> DecodeValue for Option<T> {}

impl<T: DecodeValue> Decode for Option<T> {
    fn fill(columns: &mut OptionColumn<T>) -> &mut dyn Fill {
        columns
    }
}

/// An empty text is an absent value, unless the format has types.
impl<T: DecodeValue> Fill for OptionColumn<T> {
    fn is_optional(&self) -> bool {
        true
    }

    fn kind(&self) -> Kind {
        T::fill(&mut T::Columns::default()).kind()
    }

    fn push_texts(&mut self, texts: &Texts<'_>, bad: &mut Vec<(u32, Reason)>) {
        let is_present = |span: &Span| span.len > 0 || texts.is_typed && *span != ABSENT;
        let present = texts.spans.iter().copied().filter(is_present).collect::<Vec<_>>();
        let (first, first_bad) = (self.values().len(), bad.len());
        T::fill(self.values_mut()).push_texts(&Texts { spans: &present, ..*texts }, bad);
        self.push_slots(first, texts.spans.iter().map(is_present));
        if bad.len() > first_bad {
            // Numbers among those present to numbers among all.
            let rows = texts.spans.iter().zip(0u32..).filter(|(span, _)| is_present(span));
            let rows: Vec<u32> = rows.map(|(_, row)| row).collect();
            for (row, _) in &mut bad[first_bad..] {
                *row = rows[*row as usize];
            }
        }
    }
}

macro_rules! tuples {
    ($(($($member:ident $index:tt),+))*) => {$(
        impl<$($member: Decode),+> Decode for ($($member,)+) {
            fn fill(columns: &mut Self::Columns) -> &mut dyn Fill {
                columns
            }
        }

        impl<$($member: Columns),+> Fill for TupleColumns<($($member,)+)>
        where
            $($member::Record: Decode),+
        {
            fn members(&self) -> &'static [&'static str] {
                &[$(stringify!($index)),+]
            }

            fn member(&mut self, index: usize) -> &mut dyn Fill {
                match index {
                    $($index => <$member::Record as Decode>::fill(&mut self.members.$index),)+
                    _ => unreachable!("a tuple has no member {index}"),
                }
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
