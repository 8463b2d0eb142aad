//! Expressions as text, for names of columns, errors and `explain`: as they are read, with brackets
//! where they are needed.

use std::fmt;

use super::Expr;
use super::expr::{Binary, Literal, Match, Node, Unary};

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null(_) => f.write_str("null"),
            Literal::I64(value) => write!(f, "{value}"),
            Literal::F64(value) => write!(f, "{value:?}"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Text(value) => write!(f, "{value:?}"),
            Literal::Timestamp(value) => write!(f, "{value}"),
        }
    }
}

impl Binary {
    /// As it is written, and how strongly it binds.
    pub(crate) fn sign(self) -> (&'static str, u8) {
        match self {
            Binary::Or => ("or", 1),
            Binary::And => ("and", 2),
            Binary::Eq => ("==", 4),
            Binary::NotEq => ("!=", 4),
            Binary::Lt => ("<", 4),
            Binary::LtEq => ("<=", 4),
            Binary::Gt => (">", 4),
            Binary::GtEq => (">=", 4),
            Binary::Add => ("+", 5),
            Binary::Subtract => ("-", 5),
            Binary::Multiply => ("*", 6),
            Binary::Divide => ("/", 6),
            Binary::Remainder => ("%", 6),
        }
    }
}

impl Match {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Match::StartsWith => "starts_with",
            Match::EndsWith => "ends_with",
            Match::Contains => "contains",
        }
    }
}

impl Expr {
    /// How strongly what stands outermost binds.
    fn strength(&self) -> u8 {
        match &self.node {
            Node::Binary(operator, _) => operator.sign().1,
            Node::Unary(Unary::Not, _) => 3,
            Node::IsIn(..) | Node::Unary(Unary::IsNull | Unary::IsNotNull, _) => 4,
            Node::Unary(Unary::Negative, _) => 7,
            _ => 8,
        }
    }

    /// In brackets where it binds less strongly than what stands around it.
    fn operand(&self, strength: u8) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            if self.strength() < strength { write!(f, "({self})") } else { write!(f, "{self}") }
        })
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Column(name) => f.write_str(name),
            Node::Literal(literal) => write!(f, "{literal}"),
            Node::Unary(Unary::Not, of) => write!(f, "not {}", of.operand(3)),
            Node::Unary(Unary::Negative, of) => write!(f, "-{}", of.operand(8)),
            Node::Unary(Unary::IsNull, of) => write!(f, "{} is null", of.operand(5)),
            Node::Unary(Unary::IsNotNull, of) => write!(f, "{} is not null", of.operand(5)),
            Node::Unary(Unary::Length, of) => write!(f, "length({of})"),
            Node::Unary(Unary::Lower, of) => write!(f, "lower({of})"),
            Node::Unary(Unary::Upper, of) => write!(f, "upper({of})"),
            Node::Binary(operator, of) => {
                let (sign, strength) = operator.sign();
                let [left, right] = &**of;
                // What binds as strongly goes from left to right; comparisons do not chain.
                let left_strength = if strength == 4 { 5 } else { strength };
                let (left, right) = (left.operand(left_strength), right.operand(strength + 1));
                write!(f, "{left} {sign} {right}")
            }
            Node::IsIn(of, values) => {
                let values: Vec<String> = values.iter().map(Expr::to_string).collect();
                write!(f, "{} in ({})", of.operand(5), values.join(", "))
            }
            Node::Matches(place, of, pattern) => {
                write!(f, "{}({of}, {pattern:?})", place.name())
            }
            Node::Cast(of, to) => write!(f, "cast({of}, {to})"),
            Node::Alias(of, name) => write!(f, "{} as {name}", of.operand(1)),
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({self})")
    }
}
