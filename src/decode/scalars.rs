//! Single values: text to numbers, by kernels where there is one.

use tidemill_kernels::{BadRow, parse_f64, parse_i64};

use super::fill::Kind;
use super::{Decode, DecodeValue, Fill, Reason, Texts};
use crate::record::{BytesColumn, Record, ScalarColumn, TextColumn};

/// What filling a single value needs to know of it.
trait Scalar: Record<Columns = ScalarColumn<Self>> + Copy + Default {
    const KIND: Kind = Kind::Number;

    fn of_texts(texts: &Texts<'_>, out: &mut Vec<Self>, bad: &mut Vec<(u32, Reason)>);
}

macro_rules! decode {
    ($($scalar:ty),*) => {$(
        impl DecodeValue for $scalar {}

        impl Decode for $scalar {
            fn fill(columns: &mut ScalarColumn<$scalar>) -> &mut dyn Fill {
                columns
            }
        }
    )*};
}

decode!(i8, i16, i32, i64, u16, u32, u64, f32, f64, bool);

impl<T: Scalar> Fill for ScalarColumn<T> {
    fn kind(&self) -> Kind {
        T::KIND
    }

    fn push_texts(&mut self, texts: &Texts<'_>, bad: &mut Vec<(u32, Reason)>) {
        T::of_texts(texts, self.values_mut(), bad);
    }
}

/// One value for each text by a function of it.
fn each<T: Default>(
    texts: &Texts<'_>,
    out: &mut Vec<T>,
    bad: &mut Vec<(u32, Reason)>,
    parse: impl Fn(&str) -> Result<T, Reason>,
) {
    out.extend((0..texts.spans.len()).map(|row| {
        parse(texts.str(row)).unwrap_or_else(|reason| {
            bad.push((row as u32, reason));
            T::default()
        })
    }));
}

pub(super) fn report(rows: &[BadRow], bad: &mut Vec<(u32, Reason)>) {
    bad.extend(rows.iter().map(|bad| (bad.row, Reason::from(bad.kind))));
}

impl Scalar for i64 {
    fn of_texts(texts: &Texts<'_>, out: &mut Vec<i64>, bad: &mut Vec<(u32, Reason)>) {
        let mut bad_rows = Vec::new();
        parse_i64(texts.bytes(), texts.spans, out, &mut bad_rows);
        report(&bad_rows, bad);
    }
}

macro_rules! narrow_integers {
    ($($int:ty),*) => {$(
        impl Scalar for $int {
            fn of_texts(texts: &Texts<'_>, out: &mut Vec<$int>, bad: &mut Vec<(u32, Reason)>) {
                let (mut wide, mut reported) = (Vec::new(), Vec::new());
                i64::of_texts(texts, &mut wide, &mut reported);
                out.extend(wide.iter().zip(0..).map(|(&value, row)| {
                    <$int>::try_from(value).unwrap_or_else(|_| {
                        reported.push((row, Reason::OutOfRange));
                        0
                    })
                }));
                bad.append(&mut reported);
            }
        }
    )*};
}

narrow_integers!(i8, i16, i32, u16, u32);

impl Scalar for u64 {
    fn of_texts(texts: &Texts<'_>, out: &mut Vec<u64>, bad: &mut Vec<(u32, Reason)>) {
        let (mut wide, mut reported) = (Vec::new(), Vec::new());
        i64::of_texts(texts, &mut wide, &mut reported);
        // Past an i64 there is as much again.
        reported.retain(|&(row, reason)| {
            let text = texts.str(row as usize);
            let large = text.parse::<u64>().ok().filter(|_| reason == Reason::OutOfRange);
            wide[row as usize] = large.unwrap_or_default() as i64;
            large.is_none()
        });
        let negative = wide
            .iter()
            .zip(0..)
            .filter(|&(&value, row)| value < 0 && texts.str(row as usize).starts_with('-'));
        reported.extend(negative.map(|(_, row)| (row, Reason::OutOfRange)));
        bad.append(&mut reported);
        out.extend(wide.iter().map(|&value| value as u64));
    }
}

impl Scalar for f64 {
    fn of_texts(texts: &Texts<'_>, out: &mut Vec<f64>, bad: &mut Vec<(u32, Reason)>) {
        let (first, mut bad_rows) = (out.len(), Vec::new());
        parse_f64(texts.bytes(), texts.spans, out, &mut bad_rows);
        report(&bad_rows, bad);
        let numbers = &out[first..];
        // One pass that vectorises; hardly ever a second one.
        if numbers.iter().fold(false, |any, number| any | !number.is_finite()) {
            let infinite = numbers.iter().zip(0..).filter(|(number, _)| !number.is_finite());
            bad.extend(infinite.map(|(_, row)| (row, Reason::NotFinite)));
        }
    }
}

impl Scalar for f32 {
    // Not through an f64: that would round twice.
    fn of_texts(texts: &Texts<'_>, out: &mut Vec<f32>, bad: &mut Vec<(u32, Reason)>) {
        each(texts, out, bad, |text| match text.parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) => Err(Reason::NotFinite),
            Err(_) if text.is_empty() => Err(Reason::Empty),
            Err(_) => Err(Reason::NotANumber),
        });
    }
}

impl Scalar for bool {
    const KIND: Kind = Kind::Bool;

    fn of_texts(texts: &Texts<'_>, out: &mut Vec<bool>, bad: &mut Vec<(u32, Reason)>) {
        each(texts, out, bad, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            "" => Err(Reason::Empty),
            _ => Err(Reason::NotABool),
        });
    }
}

macro_rules! texts {
    ($($record:ty, $columns:ty);*) => {$(
        impl DecodeValue for $record {}

        impl Decode for $record {
            fn fill(columns: &mut $columns) -> &mut dyn Fill {
                columns
            }
        }

        impl Fill for $columns {
            fn kind(&self) -> Kind {
                Kind::Text
            }

            // Nothing is copied: the rows are ranges of the block.
            fn push_texts(&mut self, texts: &Texts<'_>, _: &mut Vec<(u32, Reason)>) {
                self.share(texts.text, texts.spans);
            }
        }
    )*};
}

texts! {
    String, TextColumn;
    Vec<u8>, BytesColumn
}
