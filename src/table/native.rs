//! Types that columns are made of, and the partials of aggregates as one type.

use super::Series;
use super::series::Values;
use crate::ops::Moments;
use crate::record::{Buffer, Record, ScalarColumn, TextColumn, Timestamp};

/// A record that is what one type of columns holds.
pub(crate) trait Native: Record {
    /// The values of a column, to be read row by row.
    type Rows<'a>: Copy;

    fn rows(series: &Series) -> Self::Rows<'_>;

    fn at<'a>(rows: Self::Rows<'a>, row: usize) -> Self::Ref<'a>;

    /// What stands where there is no value.
    fn placeholder() -> Self;

    fn series(columns: Self::Columns, validity: Option<Buffer<bool>>) -> Series;
}

macro_rules! scalars {
    ($($scalar:ty, $values:ident;)*) => {$(
        impl Native for $scalar {
            type Rows<'a> = &'a [$scalar];

            fn rows(series: &Series) -> &[$scalar] {
                match series.values() {
                    Values::$values(values) => values,
                    _ => unreachable!("types were checked"),
                }
            }

            fn at<'a>(rows: Self::Rows<'a>, row: usize) -> Self::Ref<'a> {
                rows[row]
            }

            fn placeholder() -> $scalar {
                <$scalar>::default()
            }

            fn series(
                mut columns: ScalarColumn<$scalar>,
                validity: Option<Buffer<bool>>,
            ) -> Series {
                let values = std::mem::take(columns.values_mut());
                Series::new(Values::$values(values.into()), validity)
            }
        }
    )*};
}

scalars! {
    i64, I64;
    f64, F64;
    bool, Bool;
}

impl Native for Timestamp {
    type Rows<'a> = &'a [i64];

    fn rows(series: &Series) -> &[i64] {
        match series.values() {
            Values::Timestamp(nanos) => nanos,
            _ => unreachable!("types were checked"),
        }
    }

    fn at<'a>(rows: Self::Rows<'a>, row: usize) -> Self::Ref<'a> {
        Timestamp::from_nanos(rows[row])
    }

    fn placeholder() -> Timestamp {
        Timestamp::default()
    }

    fn series(mut columns: ScalarColumn<Timestamp>, validity: Option<Buffer<bool>>) -> Series {
        let times = std::mem::take(columns.values_mut());
        Series::new(Series::from(times).values().clone(), validity)
    }
}

impl Native for String {
    type Rows<'a> = &'a TextColumn;

    fn rows(series: &Series) -> &TextColumn {
        match series.values() {
            Values::Text(text) => text,
            _ => unreachable!("types were checked"),
        }
    }

    fn at<'a>(rows: Self::Rows<'a>, row: usize) -> Self::Ref<'a> {
        crate::record::Columns::get(rows, row)
    }

    fn placeholder() -> String {
        String::new()
    }

    fn series(columns: TextColumn, validity: Option<Buffer<bool>>) -> Series {
        Series::new(Series::from(columns).values().clone(), validity)
    }
}

/// A partial of one of the aggregates: one type for all, so that a row of a window's pane has no
/// pointer for each of them.
#[derive(Clone, Debug)]
pub(crate) enum StoredState {
    I64(i64),
    I128(i128),
    IntegerMean((i128, i64)),
    F64(f64),
    FloatMean((f64, i64)),
    Moments(Moments),
    OneI64(Option<i64>),
    OneF64(Option<f64>),
    OneBool(Option<bool>),
    OneTime(Option<Timestamp>),
    OneText(Option<String>),
    Floats(Vec<f64>),
}

/// What [`StoredState`] can hold.
pub(crate) trait Stored: Sized {
    fn into_stored(self) -> StoredState;
    fn from_stored(state: &StoredState) -> &Self;
    fn from_stored_mut(state: &mut StoredState) -> &mut Self;
}

macro_rules! stored {
    ($($partial:ty, $variant:ident;)*) => {$(
        impl Stored for $partial {
            fn into_stored(self) -> StoredState {
                StoredState::$variant(self)
            }

            fn from_stored(state: &StoredState) -> &Self {
                match state {
                    StoredState::$variant(partial) => partial,
                    _ => unreachable!("a function gets its own partials only"),
                }
            }

            fn from_stored_mut(state: &mut StoredState) -> &mut Self {
                match state {
                    StoredState::$variant(partial) => partial,
                    _ => unreachable!("a function gets its own partials only"),
                }
            }
        }
    )*};
}

stored! {
    i64, I64;
    i128, I128;
    (i128, i64), IntegerMean;
    f64, F64;
    (f64, i64), FloatMean;
    Moments, Moments;
    Option<i64>, OneI64;
    Option<f64>, OneF64;
    Option<bool>, OneBool;
    Option<Timestamp>, OneTime;
    Option<String>, OneText;
    Vec<f64>, Floats;
}
