//! Numbers: each operator is one loop over both columns. An overflow at a row without a value is
//! none, since what stands there means nothing.

use super::Series;
use super::evaluate::{Evaluated, Side, both_valid, zip};
use super::expr::{Binary, Literal};
use super::series::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Buffer;

/// Both sides are of one type of numbers.
pub(crate) fn arithmetic(
    operator: Binary,
    left: &Evaluated,
    right: &Evaluated,
    text: &str,
) -> Result<Series> {
    let validity = both_valid(left, right);
    if let (Some(left), Some(right)) = (i64s(left), i64s(right)) {
        return integers(operator, [left, right], validity, text);
    }
    let sides = [f64s(left), f64s(right)];
    let (values, validity) = match operator {
        Binary::Add => (zip(sides, |left, right| left + right), validity),
        Binary::Subtract => (zip(sides, |left, right| left - right), validity),
        Binary::Multiply => (zip(sides, |left, right| left * right), validity),
        // By zero is null, so that no infinity comes of it.
        Binary::Divide => {
            let validity = without_zeros(validity, sides, |right| right == 0.0);
            (zip(sides, |left, right| left / right), validity)
        }
        _ => {
            let validity = without_zeros(validity, sides, |right| right == 0.0);
            (zip(sides, |left, right| left % right), validity)
        }
    };
    Ok(Series::new(Values::F64(values.into()), validity))
}

fn integers(
    operator: Binary,
    sides: [Side<'_, i64>; 2],
    validity: Option<Buffer<bool>>,
    text: &str,
) -> Result<Series> {
    let mut is_past = false;
    let mut validity = validity;
    let mut track = |(value, overflow): (i64, bool)| {
        is_past |= overflow;
        value
    };
    let values = match operator {
        Binary::Add => zip(sides, |left, right| track(left.overflowing_add(right))),
        Binary::Subtract => zip(sides, |left, right| track(left.overflowing_sub(right))),
        Binary::Multiply => zip(sides, |left, right| track(left.overflowing_mul(right))),
        _ => {
            validity = without_zeros(validity, sides, |right| right == 0);
            // The least integer by -1 leaves nothing, although its quotient would not fit.
            zip(sides, |left, right| if right == 0 { 0 } else { left.wrapping_rem(right) })
        }
    };
    if is_past {
        check_overflow(operator, sides, validity.as_deref(), text)?;
    }
    Ok(Series::new(Values::I64(values.into()), validity))
}

/// An error if a result of a row with values does not fit.
fn check_overflow(
    operator: Binary,
    sides: [Side<'_, i64>; 2],
    validity: Option<&[bool]>,
    text: &str,
) -> Result<()> {
    let fits = |left: i64, right: i64| match operator {
        Binary::Add => left.checked_add(right).is_some(),
        Binary::Subtract => left.checked_sub(right).is_some(),
        _ => left.checked_mul(right).is_some(),
    };
    let past = zip(sides, |left, right| (!fits(left, right)).then_some((left, right)));
    let mut rows = past.into_iter().enumerate();
    let past = rows.find_map(|(row, past)| past.filter(|_| validity.is_none_or(|all| all[row])));
    match past {
        Some((left, right)) => {
            let (sign, _) = operator.sign();
            Err(overflow(text, &format!("{left} {sign} {right}")))
        }
        None => Ok(()),
    }
}

pub(crate) fn overflow(text: &str, value: &str) -> Error {
    Error::new(ErrorKind::Overflow, format!("{text}: {value} does not fit an i64"))
}

pub(crate) fn negative(of: &Series, text: &str) -> Result<Series> {
    let values = match of.values() {
        Values::F64(values) => {
            Values::F64(values.iter().map(|value| -value).collect::<Vec<_>>().into())
        }
        Values::I64(values) => {
            let least = values.iter().position(|&value| value == i64::MIN);
            if least.is_some()
                && (0..of.len()).any(|row| !of.is_null(row) && values[row] == i64::MIN)
            {
                return Err(overflow(text, "-(-9223372036854775808)"));
            }
            let values = values.iter().map(|value| value.wrapping_neg());
            Values::I64(values.collect::<Vec<_>>().into())
        }
        _ => unreachable!("types were checked"),
    };
    Ok(Series::new(values, of.validity().cloned()))
}

/// The rows that are valid and whose right side is not zero.
fn without_zeros<T: Copy>(
    validity: Option<Buffer<bool>>,
    sides: [Side<'_, T>; 2],
    is_zero: impl Fn(T) -> bool,
) -> Option<Buffer<bool>> {
    if let [_, Side::One(right)] = sides
        && !is_zero(right)
    {
        return validity;
    }
    let mut valid = zip(sides, |_, right| !is_zero(right));
    if let Some(validity) = validity {
        valid.iter_mut().zip(&*validity).for_each(|(valid, is_valid)| *valid &= is_valid);
    }
    Some(valid.into())
}

fn i64s(side: &Evaluated) -> Option<Side<'_, i64>> {
    match side {
        Evaluated::Series(series) => series.i64s().ok().map(Side::Rows),
        Evaluated::Literal(Literal::I64(value)) => Some(Side::One(*value)),
        Evaluated::Literal(_) => None,
    }
}

fn f64s(side: &Evaluated) -> Side<'_, f64> {
    match side {
        Evaluated::Series(series) => Side::Rows(series.f64s().expect("types were checked")),
        Evaluated::Literal(Literal::F64(value)) => Side::One(*value),
        Evaluated::Literal(_) => unreachable!("types were checked"),
    }
}
