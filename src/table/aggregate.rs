//! Aggregates as they are written: a function, and what it is a function of.

use std::fmt;

use super::function::Function;
use super::{Bound, DataType, Expr, IntoExpr, Schema};
use crate::error::{Error, ErrorKind, Result};

/// An aggregate of the rows of a group: made by [`mean`], [`sum`], [`count`] and the like.
///
/// Nulls are passed over. Where a group has no value, the aggregate is null, but for counts.
#[derive(Clone)]
pub struct AggExpr {
    kind: AggKind,
    of: Option<Expr>,
    alias: Option<String>,
}

#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum AggKind {
    Count,
    Mean,
    Sum,
    Min,
    Max,
    Std,
    Variance,
    First,
    Last,
    Quantile(f64),
}

/// An aggregate that was checked against a schema.
pub(crate) struct BoundAgg {
    pub(crate) function: Box<dyn Function>,
    /// None if it counts rows.
    pub(crate) of: Option<Bound>,
    pub(crate) name: String,
    /// The type of what it gives.
    pub(crate) data_type: DataType,
    pub(crate) kind: AggKind,
}

/// The number of rows, with or without values.
pub fn count() -> AggExpr {
    AggExpr { kind: AggKind::Count, of: None, alias: None }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(of: impl IntoExpr) -> AggExpr {
            AggExpr { kind: AggKind::$kind, of: Some(of.into_expr()), alias: None }
        }
    )*};
}

functions! {
    /// The number of values that are not null.
    count_of Count;
    /// The mean as `f64`; of integers the exact sum, divided once.
    #[doc(alias = "avg")]
    mean Mean;
    /// The sum: of integers exact, and an error for the batch if it does not fit an `i64`.
    sum Sum;
    /// The least value. NaN is the greatest float.
    min Min;
    /// The greatest value. NaN is the greatest float.
    max Max;
    /// The standard deviation of a sample, as Spark's `stddev`: null for a single value.
    #[doc(alias = "stddev")]
    std Std;
    /// The variance of a sample, as Spark's `variance`: null for a single value.
    variance Variance;
    /// The value that came first.
    first First;
    /// The value that came last.
    last Last;
}

/// The value below which so much of all lies, from 0 to 1: exact, and linear between two values as
/// Spark's `percentile`. The median is `quantile("x", 0.5)`.
///
/// All values of a group are kept until the batch is given out, and over a window the rows of the
/// whole window, up to [`Limits::retained_bytes`](crate::Limits::retained_bytes).
#[doc(alias = "percentile")]
pub fn quantile(of: impl IntoExpr, q: f64) -> AggExpr {
    AggExpr { kind: AggKind::Quantile(q), of: Some(of.into_expr()), alias: None }
}

impl AggExpr {
    /// The name of the column that it becomes, `mean(celsius)` unless it is said.
    pub fn alias(self, name: impl Into<String>) -> AggExpr {
        AggExpr { alias: Some(name.into()), ..self }
    }

    pub(crate) fn name(&self) -> String {
        self.alias.clone().unwrap_or_else(|| self.to_string())
    }

    pub(crate) fn bound(&self, schema: &Schema) -> Result<BoundAgg> {
        let of = self.of.as_ref().map(|of| Bound::new(of, schema)).transpose();
        let of = of.map_err(|error| error.within(&self.to_string()))?;
        if let AggKind::Quantile(q) = self.kind
            && !(0.0..=1.0).contains(&q)
        {
            let message = format!("{self}: the quantile is {q:?}, but must be from 0 to 1");
            return Err(Error::new(ErrorKind::Schema, message));
        }
        let data_type = of.as_ref().map(|of| of.data_type);
        let Some((function, output)) = super::function::function_of(self.kind, data_type) else {
            let data_type = data_type.map_or(String::new(), |of| of.to_string());
            let message = format!("{self}: that cannot be done with {data_type}");
            return Err(Error::new(ErrorKind::Schema, message));
        };
        Ok(BoundAgg { function, of, name: self.name(), data_type: output, kind: self.kind })
    }
}

impl fmt::Display for AggExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            AggKind::Count => "count",
            AggKind::Mean => "mean",
            AggKind::Sum => "sum",
            AggKind::Min => "min",
            AggKind::Max => "max",
            AggKind::Std => "std",
            AggKind::Variance => "variance",
            AggKind::First => "first",
            AggKind::Last => "last",
            AggKind::Quantile(_) => "quantile",
        };
        match (&self.of, self.kind) {
            (None, _) => f.write_str(name),
            (Some(of), AggKind::Quantile(q)) => write!(f, "{name}({of}, {q:?})"),
            (Some(of), _) => write!(f, "{name}({of})"),
        }
    }
}

impl fmt::Debug for AggExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AggExpr({self})")
    }
}
