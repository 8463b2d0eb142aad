//! Truth with three values: true, false and null.

use super::Series;
use super::expr::Binary;
use super::series::Values;
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn not(of: &Series) -> Series {
    let values = truth(of).iter().map(|value| !value).collect::<Vec<_>>();
    Series::new(Values::Bool(values.into()), of.validity().cloned())
}

pub(crate) fn is_null(of: &Series) -> Series {
    match of.validity() {
        None => vec![false; of.len()].into(),
        Some(validity) => validity.iter().map(|valid| !valid).collect::<Vec<_>>().into(),
    }
}

/// One side that is false decides an `and`, and one that is true an `or`, whatever the other is.
pub(crate) fn and_or(operator: Binary, left: &Series, right: &Series) -> Series {
    let decisive = operator == Binary::Or;
    let (left_truth, right_truth) = (truth(left), truth(right));
    let pairs = left_truth.iter().zip(right_truth);
    let values = match operator {
        Binary::Or => pairs.map(|(left, right)| left | right).collect::<Vec<_>>(),
        _ => pairs.map(|(left, right)| left & right).collect::<Vec<_>>(),
    };
    if left.validity().is_none() && right.validity().is_none() {
        return values.into();
    }
    // Where a side is null, any value stands, which must not decide.
    let rows = 0..values.len();
    let row = |row: usize| {
        let (is_left, is_right) = (!left.is_null(row), !right.is_null(row));
        let decides = |is_valid: bool, value: bool| is_valid && value == decisive;
        let is_decided = decides(is_left, left_truth[row]) || decides(is_right, right_truth[row]);
        (if is_decided { decisive } else { !decisive }, is_decided || (is_left && is_right))
    };
    let (values, validity): (Vec<bool>, Vec<bool>) = rows.map(row).unzip();
    Series::new(Values::Bool(values.into()), Some(validity.into()))
}

/// The positions of the rows that are true.
pub(crate) fn true_rows(of: &Series) -> Result<Vec<u32>> {
    let values = truth(of);
    if u32::try_from(values.len()).is_err() {
        let message = format!("a table of {} rows, but {} is the most", values.len(), u32::MAX);
        return Err(Error::new(ErrorKind::Limit, message));
    }
    // Every position is written, and the next overwrites it unless it stays: nothing to predict.
    let mut rows = vec![0; values.len()];
    let mut len = 0;
    match of.validity() {
        None => {
            for (row, &value) in (0..).zip(values) {
                rows[len] = row;
                len += usize::from(value);
            }
        }
        Some(validity) => {
            for (row, (&value, &valid)) in (0..).zip(values.iter().zip(&**validity)) {
                rows[len] = row;
                len += usize::from(value & valid);
            }
        }
    }
    rows.truncate(len);
    Ok(rows)
}

fn truth(of: &Series) -> &[bool] {
    match of.values() {
        Values::Bool(values) => values,
        _ => unreachable!("types were checked"),
    }
}
