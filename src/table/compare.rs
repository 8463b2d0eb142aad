//! Comparisons: two columns of one type, or a column and a value, to a column of truth.

use super::Series;
use super::evaluate::{Evaluated, Side, both_valid, zip};
use super::expr::{Binary, Literal};
use super::series::Values;
use crate::record::{Columns, TextColumn};

pub(crate) fn compare(operator: Binary, left: &Evaluated, right: &Evaluated) -> Series {
    let validity = both_valid(left, right);
    let truth = match (operand(left), operand(right)) {
        (Operand::I64(left), Operand::I64(right)) => ordered(operator, [left, right]),
        (Operand::Bool(left), Operand::Bool(right)) => ordered(operator, [left, right]),
        (Operand::F64(left), Operand::F64(right)) => floats(operator, [left, right]),
        (Operand::Text(left), Operand::Text(right)) => texts(operator, left, right),
        _ => unreachable!("types were checked"),
    };
    Series::new(Values::Bool(truth.into()), validity)
}

/// One side of a comparison.
enum Operand<'a> {
    I64(Side<'a, i64>),
    F64(Side<'a, f64>),
    Bool(Side<'a, bool>),
    Text(Text<'a>),
}

#[derive(Copy, Clone)]
enum Text<'a> {
    Rows(&'a TextColumn),
    One(&'a str),
}

impl<'a> Text<'a> {
    fn get(self, row: usize) -> &'a [u8] {
        match self {
            Text::Rows(text) => &text.bytes()[text.spans()[row].range()],
            Text::One(text) => text.as_bytes(),
        }
    }
}

fn operand(side: &Evaluated) -> Operand<'_> {
    match side {
        Evaluated::Series(series) => match series.values() {
            Values::I64(values) | Values::Timestamp(values) => Operand::I64(Side::Rows(values)),
            Values::F64(values) => Operand::F64(Side::Rows(values)),
            Values::Bool(values) => Operand::Bool(Side::Rows(values)),
            Values::Text(text) => Operand::Text(Text::Rows(text)),
        },
        Evaluated::Literal(literal) => match literal {
            Literal::I64(value) => Operand::I64(Side::One(*value)),
            Literal::F64(value) => Operand::F64(Side::One(*value)),
            Literal::Bool(value) => Operand::Bool(Side::One(*value)),
            Literal::Text(value) => Operand::Text(Text::One(value)),
            Literal::Timestamp(value) => Operand::I64(Side::One(value.nanos())),
            Literal::Null(_) => unreachable!("null became a column"),
        },
    }
}

fn ordered<T: Ord + Copy>(operator: Binary, sides: [Side<'_, T>; 2]) -> Vec<bool> {
    match operator {
        Binary::Eq => zip(sides, |left, right| left == right),
        Binary::NotEq => zip(sides, |left, right| left != right),
        Binary::Lt => zip(sides, |left, right| left < right),
        Binary::LtEq => zip(sides, |left, right| left <= right),
        Binary::Gt => zip(sides, |left, right| left > right),
        _ => zip(sides, |left, right| left >= right),
    }
}

/// NaN is the greatest, and equals itself.
fn floats(operator: Binary, sides: [Side<'_, f64>; 2]) -> Vec<bool> {
    // Without branches, so that several are compared at once.
    let eq = |left: f64, right: f64| (left == right) | (left.is_nan() & right.is_nan());
    let lt = |left: f64, right: f64| (left < right) | (!left.is_nan() & right.is_nan());
    match operator {
        Binary::Eq => zip(sides, eq),
        Binary::NotEq => zip(sides, |left, right| !eq(left, right)),
        Binary::Lt => zip(sides, lt),
        Binary::LtEq => zip(sides, |left, right| !lt(right, left)),
        Binary::Gt => zip(sides, |left, right| lt(right, left)),
        _ => zip(sides, |left, right| !lt(left, right)),
    }
}

fn texts(operator: Binary, left: Text<'_>, right: Text<'_>) -> Vec<bool> {
    let len = match (left, right) {
        (Text::Rows(text), _) | (_, Text::Rows(text)) => text.len(),
        _ => 1,
    };
    // UTF-8 has the order of its characters.
    let pairs = (0..len).map(|row| (left.get(row), right.get(row)));
    match operator {
        Binary::Eq => pairs.map(|(left, right)| left == right).collect(),
        Binary::NotEq => pairs.map(|(left, right)| left != right).collect(),
        Binary::Lt => pairs.map(|(left, right)| left < right).collect(),
        Binary::LtEq => pairs.map(|(left, right)| left <= right).collect(),
        Binary::Gt => pairs.map(|(left, right)| left > right).collect(),
        _ => pairs.map(|(left, right)| left >= right).collect(),
    }
}

/// True where one of the values is equal; else null where one of them is.
pub(crate) fn is_in(of: &Series, literals: &[Literal]) -> Series {
    let has_null = literals.iter().any(|literal| matches!(literal, Literal::Null(_)));
    let literals = literals.iter().filter(|literal| !matches!(literal, Literal::Null(_)));
    let column = Evaluated::Series(of.clone());
    let mut found = vec![false; of.len()];
    for literal in literals {
        let one = compare(Binary::Eq, &column, &Evaluated::Literal(literal.clone()));
        let Values::Bool(equal) = one.values() else { unreachable!("it is a comparison") };
        found.iter_mut().zip(&**equal).for_each(|(found, equal)| *found |= equal);
    }
    let validity = match (of.validity(), has_null) {
        (validity, false) => validity.cloned(),
        (None, true) => Some(found.clone().into()),
        (Some(valid), true) => {
            Some(zip([Side::Rows(valid), Side::Rows(&found)], |valid, found| valid & found).into())
        }
    };
    Series::new(Values::Bool(found.into()), validity)
}
