//! Expressions and aggregates row by row, in the plainest way: what the columns are compared with.

use std::cmp::Ordering;

use tidemill::prelude::*;
use tidemill::table::{Cell, Expr};
use tidemill::{Error, Ordered};

use crate::random::Random;

/// One value, or none.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    I64(i64),
    F64(f64),
    Bool(bool),
    Text(String),
}

/// NaN is NaN, and zeros differ by their sign, so that bits are compared.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::F64(left), Value::F64(right)) => f64::order(*left, *right).is_eq(),
            (Value::I64(left), Value::I64(right)) => left == right,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Text(left), Value::Text(right)) => left == right,
            (left, right) => left.is_null() && right.is_null(),
        }
    }
}

impl Value {
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub(super) fn of(cell: Cell<'_>) -> Value {
        match cell {
            Cell::I64(value) => Value::I64(value),
            Cell::F64(value) => Value::F64(value),
            Cell::Bool(value) => Value::Bool(value),
            Cell::Text(value) => Value::Text(value.to_owned()),
            _ => Value::Null,
        }
    }

    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Value::I64(value) => Some(*value as f64),
            Value::F64(value) => Some(*value),
            _ => None,
        }
    }
}

/// A row of the tables that the tests make.
#[derive(Record, Clone, Debug)]
pub(super) struct Sample {
    pub(super) a: i64,
    pub(super) b: Option<i64>,
    pub(super) x: f64,
    pub(super) y: Option<f64>,
    pub(super) p: bool,
    pub(super) q: Option<bool>,
    pub(super) s: String,
    pub(super) t: Option<String>,
}

impl Sample {
    pub(super) fn random(random: &mut Random) -> Sample {
        let texts = ["", "a", "ab", "Åb", "banana", "ana", "a text that is longer than that"];
        let floats =
            [0.0, -0.0, 1.5, -2.25, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3.0];
        let integer = |random: &mut Random| match random.below(12) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => 0,
            _ => random.below(7) as i64 - 3,
        };
        let text = |random: &mut Random| texts[random.below(texts.len())].to_owned();
        let float = |random: &mut Random| floats[random.below(floats.len())];
        Sample {
            a: integer(random),
            b: (random.below(3) > 0).then(|| integer(random)),
            x: float(random),
            y: (random.below(3) > 0).then(|| float(random)),
            p: random.below(2) == 0,
            q: (random.below(3) > 0).then(|| random.below(2) == 0),
            s: text(random),
            t: (random.below(3) > 0).then(|| text(random)),
        }
    }

    pub(super) fn get(&self, name: &str) -> Value {
        let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
        match name {
            "a" => Value::I64(self.a),
            "b" => or_null(self.b.map(Value::I64)),
            "x" => Value::F64(self.x),
            "y" => or_null(self.y.map(Value::F64)),
            "p" => Value::Bool(self.p),
            "q" => or_null(self.q.map(Value::Bool)),
            "s" => Value::Text(self.s.clone()),
            _ => or_null(self.t.clone().map(Value::Text)),
        }
    }
}

/// The type of an expression.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Kind {
    I64,
    F64,
    Bool,
    Text,
}

type Evaluate = Box<dyn Fn(&Sample) -> Result<Value, Error>>;

/// An expression, and what it comes to for a row.
pub(super) struct Both {
    pub(super) expr: Expr,
    pub(super) evaluate: Evaluate,
}

fn overflow() -> Error {
    Error::new(tidemill::ErrorKind::Overflow, "past i64")
}

fn unary(of: Both, expr: Expr, f: impl Fn(Value) -> Result<Value, Error> + 'static) -> Both {
    let evaluate = Box::new(move |row: &Sample| match (of.evaluate)(row)? {
        Value::Null => Ok(Value::Null),
        value => f(value),
    });
    Both { expr, evaluate }
}

fn binary(
    left: Both,
    right: Both,
    expr: Expr,
    f: impl Fn(Value, Value) -> Result<Value, Error> + 'static,
) -> Both {
    let evaluate = Box::new(move |row: &Sample| {
        // Both sides first: an overflow in one of them fails the batch.
        let sides = ((left.evaluate)(row)?, (right.evaluate)(row)?);
        match sides {
            (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
            (left, right) => f(left, right),
        }
    });
    Both { expr, evaluate }
}

/// An expression of this type.
pub(super) fn random_expr(random: &mut Random, kind: Kind, depth: usize) -> Both {
    if depth == 0 || random.below(5) == 0 {
        return leaf(random, kind);
    }
    match kind {
        Kind::I64 => integer(random, depth),
        Kind::F64 => float(random, depth),
        Kind::Bool => truth(random, depth),
        Kind::Text => {
            let of = random_expr(random, Kind::Text, depth - 1);
            let is_lower = random.below(2) == 0;
            let expr = if is_lower { of.expr.clone().lower() } else { of.expr.clone().upper() };
            unary(of, expr, move |value| match value {
                Value::Text(text) if is_lower => Ok(Value::Text(text.to_lowercase())),
                Value::Text(text) => Ok(Value::Text(text.to_uppercase())),
                other => Ok(other),
            })
        }
    }
}

fn leaf(random: &mut Random, kind: Kind) -> Both {
    let (names, value) = match kind {
        Kind::I64 => (["a", "b"], Value::I64(random.below(5) as i64 - 2)),
        Kind::F64 => (["x", "y"], Value::F64(random.below(5) as f64 - 2.0)),
        Kind::Bool => (["p", "q"], Value::Bool(random.below(2) == 0)),
        Kind::Text => (["s", "t"], Value::Text("ana".to_owned())),
    };
    let is_null = random.below(12) == 0;
    if random.below(3) > 0 {
        let name = names[random.below(2)];
        return Both { expr: col(name), evaluate: Box::new(move |row| Ok(row.get(name))) };
    }
    let expr = match &value {
        Value::I64(value) => lit((!is_null).then_some(*value)),
        Value::F64(value) => lit((!is_null).then_some(*value)),
        Value::Bool(value) => lit((!is_null).then_some(*value)),
        Value::Text(value) => lit((!is_null).then(|| value.clone())),
        Value::Null => unreachable!(),
    };
    let value = if is_null { Value::Null } else { value };
    Both { expr, evaluate: Box::new(move |_| Ok(value.clone())) }
}

fn integer(random: &mut Random, depth: usize) -> Both {
    if random.below(6) == 0 {
        let of = random_expr(random, Kind::Text, depth - 1);
        let expr = of.expr.clone().length();
        return unary(of, expr, |value| match value {
            Value::Text(text) => Ok(Value::I64(text.chars().count() as i64)),
            other => Ok(other),
        });
    }
    let left = random_expr(random, Kind::I64, depth - 1);
    if random.below(6) == 0 {
        let expr = -left.expr.clone();
        return unary(left, expr, |value| match value {
            Value::I64(value) => value.checked_neg().map(Value::I64).ok_or_else(overflow),
            other => Ok(other),
        });
    }
    let right = random_expr(random, Kind::I64, depth - 1);
    let (l, r) = (left.expr.clone(), right.expr.clone());
    let operator = random.below(4);
    let expr = match operator {
        0 => l + r,
        1 => l - r,
        2 => l * r,
        _ => l % r,
    };
    binary(left, right, expr, move |left, right| {
        let (Value::I64(left), Value::I64(right)) = (left, right) else { unreachable!() };
        let result = match operator {
            0 => left.checked_add(right),
            1 => left.checked_sub(right),
            2 => left.checked_mul(right),
            _ if right == 0 => return Ok(Value::Null),
            _ => Some(left.wrapping_rem(right)),
        };
        result.map(Value::I64).ok_or_else(overflow)
    })
}

fn number(random: &mut Random, depth: usize) -> Both {
    let kind = if random.below(2) == 0 { Kind::I64 } else { Kind::F64 };
    random_expr(random, kind, depth)
}

fn float(random: &mut Random, depth: usize) -> Both {
    let operator = random.below(5);
    // One side may be an integer, which becomes a float.
    let (mut left, mut right) =
        (random_expr(random, Kind::F64, depth - 1), number(random, depth - 1));
    if operator == 3 && random.below(2) == 0 {
        left = random_expr(random, Kind::I64, depth - 1);
    } else if random.below(2) == 0 {
        (left, right) = (right, left);
    }
    let (l, r) = (left.expr.clone(), right.expr.clone());
    let expr = match operator {
        0 => l + r,
        1 => l - r,
        2 => l * r,
        3 => l / r,
        _ => l % r,
    };
    binary(left, right, expr, move |left, right| {
        let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
        Ok(match operator {
            0 => Value::F64(left + right),
            1 => Value::F64(left - right),
            2 => Value::F64(left * right),
            _ if right == 0.0 => Value::Null,
            3 => Value::F64(left / right),
            _ => Value::F64(left % right),
        })
    })
}

fn truth(random: &mut Random, depth: usize) -> Both {
    match random.below(6) {
        0 => connective(random, depth),
        1 => {
            let of = random_expr(random, Kind::Bool, depth - 1);
            let expr = !of.expr.clone();
            unary(of, expr, |value| match value {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                other => Ok(other),
            })
        }
        2 => {
            let kind = [Kind::I64, Kind::F64, Kind::Bool, Kind::Text][random.below(4)];
            let of = random_expr(random, kind, depth - 1);
            let is_null = random.below(2) == 0;
            let expr = if is_null { of.expr.is_null() } else { of.expr.is_not_null() };
            let evaluate = of.evaluate;
            let evaluate =
                Box::new(move |row: &Sample| Ok(Value::Bool(evaluate(row)?.is_null() == is_null)));
            Both { expr, evaluate }
        }
        3 => matching(random, depth),
        4 => is_in(random, depth),
        _ => comparison(random, depth),
    }
}

fn connective(random: &mut Random, depth: usize) -> Both {
    let left = random_expr(random, Kind::Bool, depth - 1);
    let right = random_expr(random, Kind::Bool, depth - 1);
    let is_and = random.below(2) == 0;
    let expr = match is_and {
        true => left.expr.and(right.expr),
        false => left.expr.or(right.expr),
    };
    let (left, right) = (left.evaluate, right.evaluate);
    let evaluate = Box::new(move |row: &Sample| {
        let decisive = Value::Bool(!is_and);
        let sides = [left(row)?, right(row)?];
        Ok(match sides {
            [left, right] if left == decisive || right == decisive => decisive,
            [left, right] if left.is_null() || right.is_null() => Value::Null,
            _ => Value::Bool(is_and),
        })
    });
    Both { expr, evaluate }
}

fn matching(random: &mut Random, depth: usize) -> Both {
    let of = random_expr(random, Kind::Text, depth - 1);
    let pattern = ["", "a", "an", "b", "NA"][random.below(5)];
    let place = random.below(3);
    let expr = match place {
        0 => of.expr.clone().starts_with(pattern),
        1 => of.expr.clone().ends_with(pattern),
        _ => of.expr.clone().contains(pattern),
    };
    unary(of, expr, move |value| {
        let Value::Text(text) = value else { unreachable!() };
        Ok(Value::Bool(match place {
            0 => text.starts_with(pattern),
            1 => text.ends_with(pattern),
            _ => text.contains(pattern),
        }))
    })
}

fn is_in(random: &mut Random, depth: usize) -> Both {
    let of = random_expr(random, Kind::I64, depth - 1);
    let has_null = random.below(3) == 0;
    let values: Vec<Option<i64>> =
        [Some(1), Some(-2), Some(i64::MAX)].into_iter().chain(has_null.then_some(None)).collect();
    let expr = of.expr.clone().is_in(values);
    unary(of, expr, move |value| {
        let is_found = [1, -2, i64::MAX].into_iter().any(|known| value == Value::I64(known));
        Ok(if !is_found && has_null { Value::Null } else { Value::Bool(is_found) })
    })
}

fn comparison(random: &mut Random, depth: usize) -> Both {
    let (left, right) = match random.below(4) {
        0 => (number(random, depth - 1), number(random, depth - 1)),
        kind => {
            let kind = [Kind::I64, Kind::Bool, Kind::Text][kind - 1];
            (random_expr(random, kind, depth - 1), random_expr(random, kind, depth - 1))
        }
    };
    let operator = random.below(6);
    let (l, r) = (left.expr.clone(), right.expr.clone());
    let expr = match operator {
        0 => l.eq(r),
        1 => l.not_eq(r),
        2 => l.lt(r),
        3 => l.lt_eq(r),
        4 => l.gt(r),
        _ => l.gt_eq(r),
    };
    binary(left, right, expr, move |left, right| {
        let order = order(&left, &right);
        Ok(Value::Bool(match operator {
            0 => order.is_eq(),
            1 => order.is_ne(),
            2 => order.is_lt(),
            3 => order.is_le(),
            4 => order.is_gt(),
            _ => order.is_ge(),
        }))
    })
}

/// As SQL compares: zeros are equal, and NaN is the greatest.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::I64(left), Value::I64(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        _ => {
            let zero = |value: &Value| value.as_f64().unwrap() + 0.0;
            f64::order(zero(left), zero(right))
        }
    }
}
