//! Expressions over the columns of a table: a small tree, which says nothing of types yet.

use std::ops;

use super::DataType;
use crate::record::Timestamp;

/// What is computed of the columns of a row: made by [`col`] and [`lit`], and from there by
/// operators and methods. Numbers and texts beside an expression are literals.
///
/// Nulls are as in SQL: what is computed of a null is null, `and` and `or` have three values, and a
/// filter keeps only what is true. Where an `i64` meets an `f64`, it becomes one. `/` is always of
/// floats; what is divided by zero is null, as in Spark. An integer that does not fit an `i64`
/// fails the batch. NaN equals NaN and is greater than all other floats.
///
/// ```
/// use tidemill::table::{col, lit};
///
/// let fahrenheit = col("celsius") * 1.8 + 32.0;
/// assert_eq!(fahrenheit.to_string(), "celsius * 1.8 + 32.0");
/// let is_odd = col("celsius").lt(lit(-50.0)).or(!col("station").starts_with("o"));
/// assert_eq!(is_odd.to_string(), "celsius < -50.0 or not starts_with(station, \"o\")");
/// ```
#[derive(Clone)]
pub struct Expr {
    pub(crate) node: Node,
}

#[derive(Clone)]
pub(crate) enum Node {
    Column(String),
    Literal(Literal),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<[Expr; 2]>),
    IsIn(Box<Expr>, Vec<Expr>),
    Matches(Match, Box<Expr>, String),
    Cast(Box<Expr>, DataType),
    Alias(Box<Expr>, String),
}

/// A value that stands in the program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null(DataType),
    I64(i64),
    F64(f64),
    Bool(bool),
    Text(String),
    Timestamp(Timestamp),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Negative,
    IsNull,
    IsNotNull,
    Length,
    Lower,
    Upper,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    And,
    Or,
}

/// Where a pattern has to be in a text.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    StartsWith,
    EndsWith,
    Contains,
}

/// The column of this name.
pub fn col(name: impl Into<String>) -> Expr {
    Expr { node: Node::Column(name.into()) }
}

/// The same value in each row: an integer, a float, a `bool`, a text, a
/// [`Timestamp`](crate::Timestamp), or an `Option` of these.
pub fn lit(value: impl Into<Expr>) -> Expr {
    value.into()
}

/// What stands for an expression where columns are chosen: a text is a column's name.
///
/// Where values are computed it is a literal: `group_by(["station"])`, but
/// `col("station").eq("oslo")`.
pub trait IntoExpr {
    /// The expression itself.
    fn into_expr(self) -> Expr;
}

impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}

impl IntoExpr for &str {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

impl IntoExpr for String {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

impl Expr {
    /// The same values under another name.
    pub fn alias(self, name: impl Into<String>) -> Expr {
        Expr { node: Node::Alias(Box::new(self), name.into()) }
    }

    /// Whether it equals another one. NaN equals NaN, and -0.0 equals 0.0.
    pub fn eq(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Eq, other)
    }

    /// Whether it differs from another one.
    pub fn not_eq(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::NotEq, other)
    }

    /// Whether it is less than another one.
    pub fn lt(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Lt, other)
    }

    /// Whether it is less than another one, or equals it.
    pub fn lt_eq(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::LtEq, other)
    }

    /// Whether it is greater than another one.
    pub fn gt(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Gt, other)
    }

    /// Whether it is greater than another one, or equals it.
    pub fn gt_eq(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::GtEq, other)
    }

    /// Whether it is at least `from` and at most `to`.
    pub fn between(self, from: impl Into<Expr>, to: impl Into<Expr>) -> Expr {
        self.clone().gt_eq(from).and(self.lt_eq(to))
    }

    /// Whether it is one of these values, which are literals.
    #[doc(alias = "isin")]
    pub fn is_in<V: Into<Expr>>(self, values: impl IntoIterator<Item = V>) -> Expr {
        let values = values.into_iter().map(Into::into).collect();
        Expr { node: Node::IsIn(Box::new(self), values) }
    }

    /// Whether both are true: false where one is, else null where one is.
    pub fn and(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::And, other)
    }

    /// Whether one of both is true: true where one is, else null where one is.
    pub fn or(self, other: impl Into<Expr>) -> Expr {
        self.binary(Binary::Or, other)
    }

    /// Whether it has no value.
    #[doc(alias = "isNull")]
    pub fn is_null(self) -> Expr {
        self.unary(Unary::IsNull)
    }

    /// Whether it has a value.
    #[doc(alias = "isNotNull")]
    pub fn is_not_null(self) -> Expr {
        self.unary(Unary::IsNotNull)
    }

    /// Whether a text begins so.
    pub fn starts_with(self, pattern: impl Into<String>) -> Expr {
        self.matches(Match::StartsWith, pattern)
    }

    /// Whether a text ends so.
    pub fn ends_with(self, pattern: impl Into<String>) -> Expr {
        self.matches(Match::EndsWith, pattern)
    }

    /// Whether this is somewhere in a text.
    pub fn contains(self, pattern: impl Into<String>) -> Expr {
        self.matches(Match::Contains, pattern)
    }

    /// The number of a text's characters.
    pub fn length(self) -> Expr {
        self.unary(Unary::Length)
    }

    /// A text in lower case.
    pub fn lower(self) -> Expr {
        self.unary(Unary::Lower)
    }

    /// A text in upper case.
    pub fn upper(self) -> Expr {
        self.unary(Unary::Upper)
    }

    /// The values as another type: between integers, floats (cut towards zero, and an error where
    /// they do not fit) and `bool` (0 and 1), between timestamps and integers as nanoseconds, and
    /// anything as text.
    pub fn cast(self, to: DataType) -> Expr {
        Expr { node: Node::Cast(Box::new(self), to) }
    }

    /// What the column is called that it becomes.
    pub(crate) fn name(&self) -> String {
        match &self.node {
            Node::Column(name) | Node::Alias(_, name) => name.clone(),
            _ => self.to_string(),
        }
    }

    fn unary(self, operator: Unary) -> Expr {
        Expr { node: Node::Unary(operator, Box::new(self)) }
    }

    fn binary(self, operator: Binary, other: impl Into<Expr>) -> Expr {
        Expr { node: Node::Binary(operator, Box::new([self, other.into()])) }
    }

    fn matches(self, place: Match, pattern: impl Into<String>) -> Expr {
        Expr { node: Node::Matches(place, Box::new(self), pattern.into()) }
    }
}

macro_rules! arithmetic {
    ($($operator:ident $method:ident $binary:ident),*) => {$(
        impl<E: Into<Expr>> ops::$operator<E> for Expr {
            type Output = Expr;

            fn $method(self, other: E) -> Expr {
                self.binary(Binary::$binary, other)
            }
        }

        arithmetic!(of numbers: $operator $method: i64 f64 i32);
    )*};
    (of numbers: $operator:ident $method:ident: $($number:ty)*) => {$(
        impl ops::$operator<Expr> for $number {
            type Output = Expr;

            fn $method(self, other: Expr) -> Expr {
                ops::$operator::$method(lit(self), other)
            }
        }
    )*};
}

arithmetic!(Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide, Rem rem Remainder);

impl ops::Not for Expr {
    type Output = Expr;

    fn not(self) -> Expr {
        self.unary(Unary::Not)
    }
}

impl ops::Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        self.unary(Unary::Negative)
    }
}

macro_rules! literals {
    ($($value:ty, $data_type:ident, $name:ident => $literal:expr;)*) => {$(
        impl From<$value> for Expr {
            fn from($name: $value) -> Expr {
                Expr { node: Node::Literal(Literal::$data_type($literal)) }
            }
        }

        impl From<Option<$value>> for Expr {
            fn from(value: Option<$value>) -> Expr {
                match value {
                    Some(value) => value.into(),
                    None => Expr { node: Node::Literal(Literal::Null(DataType::$data_type)) },
                }
            }
        }
    )*};
}

literals! {
    i64, I64, value => value;
    i32, I64, value => value.into();
    u32, I64, value => value.into();
    f64, F64, value => value;
    f32, F64, value => value.into();
    bool, Bool, value => value;
    &str, Text, value => value.to_owned();
    String, Text, value => value;
    Timestamp, Timestamp, value => value;
}

impl Literal {
    pub(crate) fn is_true(&self) -> bool {
        *self == Literal::Bool(true)
    }

    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Literal::Null(data_type) => *data_type,
            Literal::I64(_) => DataType::I64,
            Literal::F64(_) => DataType::F64,
            Literal::Bool(_) => DataType::Bool,
            Literal::Text(_) => DataType::Text,
            Literal::Timestamp(_) => DataType::Timestamp,
        }
    }
}
