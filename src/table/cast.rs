//! Values as another type.

use std::fmt::Write;

use super::arithmetic::overflow;
use super::series::Values;
use super::{DataType, Series};
use crate::error::Result;
use crate::record::{Columns, TextColumn};

/// The first float that is greater than all of `i64`; its negative is the least of them.
const PAST_I64: f64 = 9_223_372_036_854_775_808.0;

pub(crate) fn cast(of: &Series, to: DataType, text: &str) -> Result<Series> {
    let values = match (of.values(), to) {
        (Values::I64(values), DataType::F64) => {
            Values::F64(values.iter().map(|&value| value as f64).collect::<Vec<_>>().into())
        }
        (Values::F64(values), DataType::I64) => {
            let is_past = |value: f64| !(-PAST_I64..PAST_I64).contains(&value);
            let rows = 0..values.len();
            let past = rows.filter(|&row| is_past(values[row])).find(|&row| !of.is_null(row));
            if let Some(row) = past {
                return Err(overflow(text, &format!("{:?}", values[row])));
            }
            Values::I64(values.iter().map(|&value| value as i64).collect::<Vec<_>>().into())
        }
        (Values::Bool(values), DataType::I64) => {
            Values::I64(values.iter().map(|&value| value.into()).collect::<Vec<_>>().into())
        }
        (Values::Bool(values), DataType::F64) => {
            Values::F64(values.iter().map(|&value| value.into()).collect::<Vec<_>>().into())
        }
        (Values::I64(values), DataType::Bool) => {
            Values::Bool(values.iter().map(|&value| value != 0).collect::<Vec<_>>().into())
        }
        (Values::F64(values), DataType::Bool) => {
            Values::Bool(values.iter().map(|&value| value != 0.0).collect::<Vec<_>>().into())
        }
        (Values::Timestamp(nanos), DataType::I64) => Values::I64(nanos.clone()),
        (Values::I64(nanos), DataType::Timestamp) => Values::Timestamp(nanos.clone()),
        (_, DataType::Text) => written(of).values().clone(),
        _ => return Ok(of.clone()),
    };
    Ok(Series::new(values, of.validity().cloned()))
}

fn written(of: &Series) -> Series {
    let (mut column, mut text) = (TextColumn::default(), String::new());
    for cell in of.iter() {
        text.clear();
        let _ = write!(text, "{cell}");
        column.push(&text);
    }
    column.into()
}
