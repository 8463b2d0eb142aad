//! Values of any shape, as the files of cases have them, and the records that they make.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tidemill::prelude::*;
use tidemill::{Key, List, Record, Row, Saved};

use super::Checked;
use super::functions::{self, must};

/// What a case says that a stream carries. Equality is exact: 1 is not 1.0, and floats are compared
/// by their bits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(Float),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

/// A float as its bits, so that it has an equality, an order of some kind, and a hash.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Float {
    bits: u64,
}

impl Float {
    pub(crate) fn get(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

impl Value {
    pub(crate) fn float(float: f64) -> Value {
        Value::Float(Float { bits: float.to_bits() })
    }

    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    pub(crate) fn pair(key: Value, value: Value) -> Value {
        Value::List(vec![key, value])
    }

    pub(crate) fn of_json(json: &Json) -> Checked<Value> {
        Ok(match json {
            Json::Null => Value::Null,
            Json::Bool(is_true) => Value::Bool(*is_true),
            Json::String(text) => Value::text(text),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Value::Int(integer),
                (None, Some(float)) if number.is_f64() => Value::float(float),
                _ => return Err(format!("number {number} is neither an i64 nor an f64")),
            },
            Json::Array(items) => {
                Value::List(items.iter().map(Value::of_json).collect::<Checked<_>>()?)
            }
            Json::Object(fields) => {
                let field =
                    |(name, value): (&String, _)| Ok((name.clone(), Value::of_json(value)?));
                Value::Map(fields.iter().map(field).collect::<Checked<_>>()?)
            }
        })
    }

    /// The values of a list.
    pub(crate) fn list_of_json(json: &Json) -> Checked<Vec<Value>> {
        match Value::of_json(json)? {
            Value::List(items) => Ok(items),
            other => Err(format!("{other} is no list")),
        }
    }

    /// The key and the value of a pair.
    pub(crate) fn as_pair(&self) -> Checked<(&Value, &Value)> {
        match self {
            Value::List(items) if items.len() == 2 => Ok((&items[0], &items[1])),
            other => Err(format!("{other} is no pair")),
        }
    }
}

/// As JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(is_true) => write!(f, "{is_true}"),
            Value::Int(integer) => write!(f, "{integer}"),
            Value::Float(float) => write!(f, "{:?}", float.get()),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(items) => write!(f, "{}", Listed(items)),
            Value::Map(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{name:?}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A list of values as text.
pub(crate) struct Listed<'a>(pub(crate) &'a [Value]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, item) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{item}")?;
        }
        f.write_str("]")
    }
}

/// A record that has a value, and that a value may be.
pub(crate) trait Valued: Record + Clone {
    fn value(row: Self::Ref<'_>) -> Value;

    /// The value as such a record, if it is one.
    fn parse(value: &Value) -> Option<Self>;
}

impl Valued for i64 {
    fn value(row: i64) -> Value {
        Value::Int(row)
    }

    fn parse(value: &Value) -> Option<i64> {
        if let Value::Int(integer) = value { Some(*integer) } else { None }
    }
}

impl Valued for String {
    fn value(row: &str) -> Value {
        Value::text(row)
    }

    fn parse(value: &Value) -> Option<String> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }
}

/// A record of which two can be added.
pub(crate) trait Addend: Valued {
    fn sum(left: Self::Ref<'_>, right: Self::Ref<'_>) -> Self;
}

/// A record around a value of any shape.
pub(crate) trait AnyValue: Addend + Key + for<'a> Record<Ref<'a> = &'a Value> {
    fn of(value: Value) -> Self;
}

macro_rules! any_value {
    ($($record:ident),*) => {$(
        impl Valued for $record<Value> {
            fn value(row: &Value) -> Value {
                row.clone()
            }

            fn parse(value: &Value) -> Option<Self> {
                Some($record(value.clone()))
            }
        }

        impl Addend for $record<Value> {
            fn sum(left: &Value, right: &Value) -> Self {
                $record(must(functions::sum(left, right)))
            }
        }

        impl AnyValue for $record<Value> {
            fn of(value: Value) -> Self {
                $record(value)
            }
        }
    )*};
}

any_value!(Row, Saved);

impl<T: Valued> Valued for Option<T> {
    fn value(row: Option<T::Ref<'_>>) -> Value {
        row.map_or(Value::Null, T::value)
    }

    fn parse(value: &Value) -> Option<Option<T>> {
        if *value == Value::Null { Some(None) } else { T::parse(value).map(Some) }
    }
}

impl<T: Valued> Valued for Vec<T> {
    fn value(row: List<'_, T>) -> Value {
        Value::List(row.iter().map(T::value).collect())
    }

    fn parse(value: &Value) -> Option<Vec<T>> {
        let Value::List(items) = value else { return None };
        items.iter().map(T::parse).collect()
    }
}

impl<A: Valued, B: Valued> Valued for (A, B) {
    fn value(row: (A::Ref<'_>, B::Ref<'_>)) -> Value {
        Value::pair(A::value(row.0), B::value(row.1))
    }

    fn parse(value: &Value) -> Option<(A, B)> {
        let (first, second) = value.as_pair().ok()?;
        A::parse(first).zip(B::parse(second))
    }
}

/// A state: a sum of integers, and for how many batches in turn nothing was added to it.
#[derive(Clone, Record)]
pub(crate) struct Idle {
    pub(crate) counter: i64,
    pub(crate) idle: i64,
}

impl Valued for Idle {
    fn value(row: IdleRef<'_>) -> Value {
        let fields = [("counter", row.counter), ("idle", row.idle)];
        Value::Map(fields.map(|(name, number)| (name.to_owned(), Value::Int(number))).into())
    }

    fn parse(value: &Value) -> Option<Idle> {
        let Value::Map(fields) = value else { return None };
        let field = |name| fields.get(name).and_then(i64::parse);
        Some(Idle { counter: field("counter")?, idle: field("idle")? })
    }
}

/// A batch as values, partition by partition.
pub(crate) fn partitions_of<T: Valued>(batch: &Batch<T>) -> Vec<Vec<Value>> {
    let partitions = batch.partitions();
    let values = |columns: &T::Columns| -> Vec<Value> {
        (0..columns.len()).map(|row| T::value(columns.get(row))).collect()
    };
    partitions.map(values).collect()
}

/// A batch of these partitions; the values are known to be such records.
pub(crate) fn batch_of<T: Valued>(partitions: &[Vec<Value>]) -> Checked<Batch<T>> {
    let parse =
        |value: &Value| T::parse(value).ok_or_else(|| format!("{value} is of another type"));
    let rows = |values: &Vec<Value>| values.iter().map(parse).collect::<Checked<Vec<T>>>();
    Ok(Batch::from_partitions(partitions.iter().map(rows).collect::<Checked<Vec<_>>>()?))
}
