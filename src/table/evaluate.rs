//! Expressions evaluated, a whole column at a time: what runs on each value is a loop over slices.

use super::bind::Kind;
use super::expr::{Binary, Literal, Unary};
use super::{Bound, Cell, DataType, Series, Table, arithmetic, cast, compare, logic, matching};
use crate::error::Result;
use crate::record::{Buffer, Columns, TextColumn};

/// What an expression comes to: a value for each row, or one for all.
#[derive(Clone, Debug)]
pub(crate) enum Evaluated {
    Series(Series),
    Literal(Literal),
}

/// One side of an operator: the values of a column, or one for all rows.
#[derive(Copy, Clone)]
pub(crate) enum Side<'a, T> {
    Rows(&'a [T]),
    One(T),
}

/// The result for each row; at least one side has rows.
pub(crate) fn zip<T: Copy, U>(sides: [Side<'_, T>; 2], mut f: impl FnMut(T, T) -> U) -> Vec<U> {
    match sides {
        [Side::Rows(left), Side::Rows(right)] => {
            left.iter().zip(right).map(|(&left, &right)| f(left, right)).collect()
        }
        [Side::Rows(left), Side::One(right)] => left.iter().map(|&left| f(left, right)).collect(),
        [Side::One(left), Side::Rows(right)] => right.iter().map(|&right| f(left, right)).collect(),
        [Side::One(left), Side::One(right)] => vec![f(left, right)],
    }
}

/// The rows that have values on both sides.
pub(crate) fn both_valid(left: &Evaluated, right: &Evaluated) -> Option<Buffer<bool>> {
    match (left.validity(), right.validity()) {
        (Some(left), Some(right)) => {
            Some(zip([Side::Rows(left), Side::Rows(right)], |left, right| left & right).into())
        }
        (one, other) => one.or(other).cloned(),
    }
}

impl Evaluated {
    pub(crate) fn validity(&self) -> Option<&Buffer<bool>> {
        match self {
            Evaluated::Series(series) => series.validity(),
            Evaluated::Literal(_) => None,
        }
    }

    /// As many rows as that.
    fn into_series(self, data_type: DataType, len: usize) -> Series {
        match self {
            Evaluated::Series(series) => series,
            Evaluated::Literal(Literal::Null(_)) => Series::nulls(data_type, len),
            Evaluated::Literal(Literal::I64(value)) => vec![value; len].into(),
            Evaluated::Literal(Literal::F64(value)) => vec![value; len].into(),
            Evaluated::Literal(Literal::Bool(value)) => vec![value; len].into(),
            Evaluated::Literal(Literal::Timestamp(value)) => vec![value; len].into(),
            Evaluated::Literal(Literal::Text(value)) => {
                let mut text = TextColumn::default();
                (0..len).for_each(|_| text.push(&value));
                text.into()
            }
        }
    }
}

impl Bound {
    /// The value for each row of the table.
    pub(crate) fn series(&self, table: &Table) -> Result<Series> {
        Ok(self.evaluate(table)?.into_series(self.data_type, table.len()))
    }

    pub(crate) fn evaluate(&self, table: &Table) -> Result<Evaluated> {
        let of = match &self.kind {
            Kind::Column(index) => return Ok(Evaluated::Series(table.columns()[*index].clone())),
            Kind::Literal(literal) => return Ok(Evaluated::Literal(literal.clone())),
            Kind::Binary(operator, sides) => return self.binary(*operator, sides, table),
            Kind::Unary(_, of) | Kind::IsIn(of, _) | Kind::Matches(_, of, _) | Kind::Cast(of) => of,
        };
        // One value is a column of one row.
        let (of, is_one) = match of.evaluate(table)? {
            Evaluated::Series(series) => (series, false),
            literal => (literal.into_series(of.data_type, 1), true),
        };
        let series = match &self.kind {
            Kind::Unary(Unary::Not, _) => logic::not(&of),
            Kind::Unary(Unary::Negative, _) => arithmetic::negative(&of, &self.text)?,
            Kind::Unary(Unary::IsNull, _) => logic::is_null(&of),
            Kind::Unary(Unary::IsNotNull, _) => logic::not(&logic::is_null(&of)),
            Kind::Unary(operator, _) => matching::unary(*operator, &of),
            Kind::IsIn(_, literals) => compare::is_in(&of, literals),
            Kind::Matches(place, _, finder) => matching::matches(*place, &of, finder),
            _ => cast::cast(&of, self.data_type, &self.text)?,
        };
        Ok(if is_one { self.one(&series) } else { Evaluated::Series(series) })
    }

    fn binary(&self, operator: Binary, sides: &[Bound; 2], table: &Table) -> Result<Evaluated> {
        let [left, right] = [sides[0].evaluate(table)?, sides[1].evaluate(table)?];
        let is_one = matches!((&left, &right), (Evaluated::Literal(_), Evaluated::Literal(_)));
        // Beside a column of the table, null for all rows is null; `and` and `or` know better.
        let len = if is_one { 1 } else { table.len() };
        let [left, right] = [left, right].map(|side| match side {
            Evaluated::Literal(Literal::Null(of)) => Evaluated::Series(Series::nulls(of, len)),
            side => side,
        });
        let (left, right) = if is_one {
            (Evaluated::Series(left.into_series(sides[0].data_type, 1)), right)
        } else {
            (left, right)
        };
        let series = match operator {
            Binary::And | Binary::Or => {
                let [left, right] = [left, right].map(|side| side.into_series(DataType::Bool, len));
                logic::and_or(operator, &left, &right)
            }
            Binary::Add
            | Binary::Subtract
            | Binary::Multiply
            | Binary::Divide
            | Binary::Remainder => arithmetic::arithmetic(operator, &left, &right, &self.text)?,
            _ => compare::compare(operator, &left, &right),
        };
        Ok(if is_one { self.one(&series) } else { Evaluated::Series(series) })
    }

    /// The only value of a column.
    fn one(&self, series: &Series) -> Evaluated {
        Evaluated::Literal(match series.get(0) {
            Cell::Null => Literal::Null(self.data_type),
            Cell::I64(value) => Literal::I64(value),
            Cell::F64(value) => Literal::F64(value),
            Cell::Bool(value) => Literal::Bool(value),
            Cell::Text(value) => Literal::Text(value.to_owned()),
            Cell::Timestamp(value) => Literal::Timestamp(value),
        })
    }
}
