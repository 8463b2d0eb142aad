//! Records as rows of a table: which columns a type has, and how its own become them.

use std::sync::Arc;

use tidemill_kernels::Span;

use super::series::Values;
use super::{DataType, Field, Schema, Series, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{
    Buffer, Columns, Number, OptionColumn, Record, ScalarColumn, TextColumn, Timestamp,
};

/// A record whose fields can be the columns of a [`Table`].
///
/// Numbers, `bool`, `String` and `Timestamp` are a column; `Option` is one with nulls; tuples have
/// the columns `_1`, `_2` and so on, as in Spark, and structs that derive `Record` those of their
/// fields, where a struct in a struct gives `place.street`. A stream of single values has the
/// column `value`.
pub trait Tabular: Record {
    /// The names and types of the columns; one without a name is the value itself.
    fn fields() -> Vec<Field>;

    /// The columns of these rows, one for each field.
    fn series(columns: &Self::Columns) -> Result<Vec<Series>>;
}

/// The fields of members, which are named after them.
pub fn member_fields<const N: usize>(members: [(&str, Vec<Field>); N]) -> Vec<Field> {
    let fields = members.into_iter().flat_map(|(member, fields)| {
        fields.into_iter().map(move |field| field.within(member)).collect::<Vec<_>>()
    });
    fields.collect()
}

/// The columns of members; an error says which member it was.
pub fn member_series<const N: usize>(
    members: [(&str, Result<Vec<Series>>); N],
) -> Result<Vec<Series>> {
    let mut all = Vec::with_capacity(N);
    for (member, series) in members {
        all.extend(series.map_err(|error| error.within(member))?);
    }
    Ok(all)
}

/// The schema of a table of such records.
pub(crate) fn schema_of<T: Tabular>() -> Result<Schema> {
    let named = |field: Field| if field.name().is_empty() { field.within("value") } else { field };
    Schema::new(T::fields().into_iter().map(named))
}

pub(crate) fn table_of<T: Tabular>(schema: &Arc<Schema>, rows: &T::Columns) -> Result<Table> {
    Ok(Table::of(schema.clone(), T::series(rows)?, rows.len()))
}

fn value(data_type: DataType) -> Vec<Field> {
    vec![Field::new("", data_type)]
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Tabular for $int {
            fn fields() -> Vec<Field> {
                value(DataType::I64)
            }

            fn series(columns: &ScalarColumn<$int>) -> Result<Vec<Series>> {
                let values = columns.values().iter().map(|&value| i64::from(value));
                Ok(vec![values.collect::<Vec<i64>>().into()])
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u16, u32);

impl Tabular for u64 {
    fn fields() -> Vec<Field> {
        value(DataType::I64)
    }

    fn series(columns: &ScalarColumn<u64>) -> Result<Vec<Series>> {
        if let Some(&large) = columns.values().iter().find(|&&value| value > i64::MAX as u64) {
            let message = format!("{large} does not fit an i64, of which columns of a table are");
            return Err(Error::new(ErrorKind::Overflow, message));
        }
        let values = columns.values().iter().map(|&value| value as i64);
        Ok(vec![values.collect::<Vec<i64>>().into()])
    }
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Tabular for $float {
            fn fields() -> Vec<Field> {
                value(DataType::F64)
            }

            fn series(columns: &ScalarColumn<$float>) -> Result<Vec<Series>> {
                let values = columns.values().iter().map(|&value| f64::from(value));
                Ok(vec![values.collect::<Vec<f64>>().into()])
            }
        }
    )*};
}

floats!(f32, f64);

/// As `f64`, each rounded once.
impl Tabular for Number {
    fn fields() -> Vec<Field> {
        value(DataType::F64)
    }

    fn series(columns: &<Number as Record>::Columns) -> Result<Vec<Series>> {
        let values = (0..columns.len()).map(|row| columns.get(row).to_f64());
        Ok(vec![values.collect::<Vec<f64>>().into()])
    }
}

impl Tabular for bool {
    fn fields() -> Vec<Field> {
        value(DataType::Bool)
    }

    fn series(columns: &ScalarColumn<bool>) -> Result<Vec<Series>> {
        Ok(vec![columns.values().to_vec().into()])
    }
}

impl Tabular for Timestamp {
    fn fields() -> Vec<Field> {
        value(DataType::Timestamp)
    }

    fn series(columns: &ScalarColumn<Timestamp>) -> Result<Vec<Series>> {
        Ok(vec![columns.values().to_vec().into()])
    }
}

impl Tabular for String {
    fn fields() -> Vec<Field> {
        value(DataType::Text)
    }

    fn series(columns: &TextColumn) -> Result<Vec<Series>> {
        let (text, spans) = columns.to_shared();
        Ok(vec![TextColumn::from_shared(text, spans.into_owned()).into()])
    }
}

impl<T: Tabular> Tabular for Option<T> {
    fn fields() -> Vec<Field> {
        T::fields()
    }

    fn series(columns: &OptionColumn<T>) -> Result<Vec<Series>> {
        let present = T::series(columns.values())?;
        let slots = || (0..columns.len()).map(|row| columns.slot(row));
        let is_dense = columns.values().len() == columns.len();
        let spread = |series: Series| if is_dense { series } else { spread(&series, slots()) };
        Ok(present.into_iter().map(spread).collect())
    }
}

/// A row for each slot: the value at that position, or none.
fn spread(series: &Series, slots: impl Iterator<Item = Option<usize>> + Clone) -> Series {
    fn fixed<T: Copy + Default>(
        values: &[T],
        slots: impl Iterator<Item = Option<usize>>,
    ) -> Buffer<T> {
        slots.map(|slot| slot.map_or(T::default(), |slot| values[slot])).collect::<Vec<T>>().into()
    }
    let valid = |slot: Option<usize>| slot.is_some_and(|slot| !series.is_null(slot));
    let validity = slots.clone().map(valid).collect::<Vec<bool>>().into();
    let values = match series.values() {
        Values::I64(values) => Values::I64(fixed(values, slots)),
        Values::F64(values) => Values::F64(fixed(values, slots)),
        Values::Bool(values) => Values::Bool(fixed(values, slots)),
        Values::Timestamp(values) => Values::Timestamp(fixed(values, slots)),
        Values::Text(text) => {
            let (shared, spans) = text.to_shared();
            let spans = slots.map(|slot| slot.map_or(Span { start: 0, len: 0 }, |at| spans[at]));
            Values::Text(Arc::new(TextColumn::from_shared(shared, spans.collect())))
        }
    };
    Series::new(values, Some(validity))
}

macro_rules! tuples {
    ($(($($member:ident $index:tt $name:literal),+))*) => {$(
        impl<$($member: Tabular),+> Tabular for ($($member,)+) {
            fn fields() -> Vec<Field> {
                member_fields([$(($name, $member::fields())),+])
            }

            fn series(columns: &Self::Columns) -> Result<Vec<Series>> {
                member_series([$(($name, $member::series(&columns.members.$index))),+])
            }
        }
    )*};
}

tuples! {
    (A 0 "_1")
    (A 0 "_1", B 1 "_2")
    (A 0 "_1", B 1 "_2", C 2 "_3")
    (A 0 "_1", B 1 "_2", C 2 "_3", D 3 "_4")
    (A 0 "_1", B 1 "_2", C 2 "_3", D 3 "_4", E 4 "_5")
    (A 0 "_1", B 1 "_2", C 2 "_3", D 3 "_4", E 4 "_5", F 5 "_6")
}
