//! The vocabulary's functions over values. A name that is none of them fails by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::value::Value;
use super::{Checked, FAULT};
use crate::panics::panic_on_purpose;

/// A function of one element.
pub(crate) type Element = Arc<dyn Fn(&Value) -> Checked<Value> + Send + Sync>;

/// A function of two elements, or of a result and an element.
pub(crate) type Combine = fn(&Value, &Value) -> Checked<Value>;

/// A function of one partition.
pub(crate) type Partitioned = fn(&[Value]) -> Checked<Vec<Value>>;

/// A function of a whole batch, by partitions; it may give no batch.
pub(crate) type Whole =
    Arc<dyn Fn(Vec<Vec<Value>>) -> Checked<Option<Vec<Vec<Value>>>> + Send + Sync>;

/// The result of a function inside of a stream's closure. One that the function is not made for
/// ends the batch with a text that no case may expect.
pub(crate) fn must<T>(checked: Checked<T>) -> T {
    checked.unwrap_or_else(|fault| panic!("{FAULT}{fault}"))
}

pub(crate) fn element(name: &str, arg: Option<&Value>) -> Checked<Element> {
    let text = name.to_owned();
    let arg = || arg.cloned().ok_or_else(|| format!("function {text:?} needs an arg"));
    Ok(match name {
        "identity" => Arc::new(|x| Ok(x.clone())),
        "to_string" => Arc::new(|x| to_text(x).map(Value::Text)),
        "add" => {
            let arg = arg()?;
            Arc::new(move |x| sum(x, &arg))
        }
        "length" => Arc::new(length),
        "pair_with_const" => {
            let arg = arg()?;
            Arc::new(move |x| Ok(Value::pair(x.clone(), arg.clone())))
        }
        "pair_with_length" => Arc::new(|x| Ok(Value::pair(x.clone(), length(x)?))),
        "swap" => Arc::new(swap),
        "first" => Arc::new(|x| Ok(x.as_pair()?.0.clone())),
        "second" => Arc::new(|x| Ok(x.as_pair()?.1.clone())),
        "upper" => Arc::new(|x| Ok(Value::text(as_text(x)?.to_uppercase()))),
        "field" => {
            let arg = arg()?;
            Arc::new(move |x| field(x, &arg))
        }
        "fail_if_equals" => {
            let arg = arg()?;
            Arc::new(move |x| if *x == arg { panic_on_purpose() } else { Ok(x.clone()) })
        }
        "x_and_double" => Arc::new(|x| Ok(Value::List(vec![x.clone(), sum(x, x)?]))),
        "x_and_plus" => {
            let arg = arg()?;
            Arc::new(move |x| Ok(Value::List(vec![x.clone(), sum(x, &arg)?])))
        }
        "chars" => Arc::new(|x| chars(x).map(Value::List)),
        "suffixes" => {
            let suffixes = arg().map_or(Ok(Vec::new()), |arg| as_list(&arg).map(<[_]>::to_vec))?;
            Arc::new(move |x| {
                let suffixed = suffixes.iter().map(|suffix| sum(x, suffix));
                suffixed.collect::<Checked<_>>().map(Value::List)
            })
        }
        "len_char_pairs" => Arc::new(|x| {
            let length = length(x)?;
            let pairs = chars(x)?.into_iter().map(|char| Value::pair(length.clone(), char));
            Ok(Value::List(pairs.collect()))
        }),
        "value_with_key_chars" => Arc::new(|x| {
            let (key, value) = x.as_pair()?;
            let pairs = chars(key)?.into_iter().map(|char| Value::pair(value.clone(), char));
            Ok(Value::List(pairs.collect()))
        }),
        "is_even" => Arc::new(|x| match x {
            Value::Int(integer) => Ok(Value::Bool(integer % 2 == 0)),
            other => Err(format!("is_even of {other}")),
        }),
        "contains" => {
            let arg = arg()?;
            Arc::new(move |x| contains(x, &arg))
        }
        "key_contains" => {
            let arg = arg()?;
            Arc::new(move |x| contains(x.as_pair()?.0, &arg))
        }
        "value_gt" => {
            let arg = arg()?;
            Arc::new(move |x| is_greater(x.as_pair()?.1, &arg).map(Value::Bool))
        }
        "value_not_zero" => Arc::new(|x| Ok(Value::Bool(is_not_zero(x.as_pair()?.1)))),
        _ => return Err(format!("unknown function {name:?} of an element")),
    })
}

pub(crate) fn combine(name: &str) -> Checked<Combine> {
    match name {
        "sum" => Ok(sum),
        "append_as_string" => Ok(append_as_string),
        _ => Err(format!("unknown function {name:?} that reduces")),
    }
}

pub(crate) fn inverse(name: &str) -> Checked<Combine> {
    match name {
        "subtract" => Ok(subtract),
        _ => Err(format!("unknown inverse {name:?}")),
    }
}

/// Which keys of a window stay.
pub(crate) fn window_filter(name: &str) -> Checked<fn(&Value) -> bool> {
    match name {
        "value_not_zero" => Ok(is_not_zero),
        _ => Err(format!("unknown filter {name:?} of a window")),
    }
}

pub(crate) fn partitioned(name: &str) -> Checked<Partitioned> {
    match name {
        "sum" => Ok(|rows| {
            let total = rows.iter().try_fold(Value::Int(0), |total, row| sum(&total, row))?;
            Ok(vec![total])
        }),
        "concat_upper" => Ok(|rows| {
            let rows = rows.iter().map(|row| as_text(row).map(str::to_uppercase));
            Ok(vec![Value::Text(rows.collect::<Checked<String>>()?)])
        }),
        "swap_each" => Ok(|rows| rows.iter().map(swap).collect()),
        _ => Err(format!("unknown function {name:?} of mapPartitions")),
    }
}

pub(crate) fn whole(name: &str, arg: Option<&Value>) -> Checked<Whole> {
    Ok(match name {
        "map_to_string" => mapped(element("to_string", None)?),
        "map_add" => mapped(element("add", arg)?),
        "map_first" => mapped(Arc::new(|x| match x {
            Value::List(items) if !items.is_empty() => Ok(items[0].clone()),
            other => Err(format!("first of {other}")),
        })),
        "return_null" => Arc::new(|_| Ok(None)),
        "sort_by_key" => Arc::new(|partitions| {
            let mut rows = partitions.concat();
            for row in &rows {
                row.as_pair()?;
            }
            rows.sort_by(|left, right| left.as_pair().unwrap().0.cmp(right.as_pair().unwrap().0));
            Ok(Some(vec![rows]))
        }),
        "cartesian_self" => Arc::new(|partitions| {
            let rows = partitions.concat();
            let with_all = |x: &Value| -> Vec<Value> {
                rows.iter().map(|y| Value::pair(x.clone(), y.clone())).collect()
            };
            Ok(Some(vec![rows.iter().flat_map(with_all).collect()]))
        }),
        _ => return Err(format!("unknown function {name:?} of transform")),
    })
}

fn mapped(f: Element) -> Whole {
    Arc::new(move |partitions| {
        let partition = |rows: &Vec<Value>| rows.iter().map(|row| f(row)).collect();
        partitions.iter().map(partition).collect::<Checked<_>>().map(Some)
    })
}

/// A function of two batches, each by partitions.
type OfTwo = fn(Vec<Vec<Value>>, Vec<Vec<Value>>) -> Checked<Vec<Vec<Value>>>;

pub(crate) fn of_two(name: &str) -> Checked<OfTwo> {
    match name {
        "union" => Ok(|left, right| Ok([left, right].concat())),
        "join" => Ok(|left, right| Ok(vec![joined(left, right)?])),
        _ => Err(format!("unknown function {name:?} of transformWith")),
    }
}

/// A function of the batches of several streams.
type OfMany = fn(&[Vec<Vec<Value>>]) -> Checked<Vec<Vec<Value>>>;

pub(crate) fn of_many(name: &str) -> Checked<OfMany> {
    match name {
        "union_all" => Ok(|batches| Ok(batches.concat())),
        "union_2_3_1" => Ok(|batches| match batches {
            [first, second, third] => Ok([&second[..], third, first].concat()),
            _ => Err(format!("union_2_3_1 of {} streams", batches.len())),
        }),
        "union_first_two_pair_self_join_third" => Ok(|batches| match batches {
            [first, second, third] => {
                let both = [&first[..], second].concat().concat();
                let pairs = both.into_iter().map(|x| Value::pair(x.clone(), x)).collect();
                Ok(vec![joined(vec![pairs], third.clone())?])
            }
            _ => Err(format!("union_first_two_pair_self_join_third of {} streams", batches.len())),
        }),
        _ => Err(format!("unknown function {name:?} of transformN")),
    }
}

/// Each pair of the left with each of the right that has its key.
pub(crate) fn joined(left: Vec<Vec<Value>>, right: Vec<Vec<Value>>) -> Checked<Vec<Value>> {
    let mut by_key: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for pair in right.into_iter().flatten() {
        let (key, value) = pair.as_pair()?;
        by_key.entry(key.clone()).or_default().push(value.clone());
    }
    let mut pairs = Vec::new();
    for pair in left.into_iter().flatten() {
        let (key, value) = pair.as_pair()?;
        for other in by_key.get(key).into_iter().flatten() {
            pairs.push(Value::pair(key.clone(), Value::pair(value.clone(), other.clone())));
        }
    }
    Ok(pairs)
}

/// Numbers are added; text and lists are appended.
pub(crate) fn sum(left: &Value, right: &Value) -> Checked<Value> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            left.checked_add(*right).map(Value::Int).ok_or("a sum does not fit an i64".into())
        }
        (Value::Text(left), Value::Text(right)) => Ok(Value::Text(format!("{left}{right}"))),
        (Value::List(left), Value::List(right)) => Ok(Value::List([&left[..], right].concat())),
        _ => Ok(Value::float(as_float(left)? + as_float(right)?)),
    }
}

fn subtract(left: &Value, right: &Value) -> Checked<Value> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => {
            left.checked_sub(*right).map(Value::Int).ok_or("a difference fits no i64".into())
        }
        _ => Ok(Value::float(as_float(left)? - as_float(right)?)),
    }
}

fn append_as_string(text: &Value, value: &Value) -> Checked<Value> {
    Ok(Value::Text(format!("{}{}", as_text(text)?, to_text(value)?)))
}

fn swap(pair: &Value) -> Checked<Value> {
    let (first, second) = pair.as_pair()?;
    Ok(Value::pair(second.clone(), first.clone()))
}

fn field(value: &Value, name: &Value) -> Checked<Value> {
    let found = match (value, name) {
        (Value::Map(fields), Value::Text(name)) => fields.get(name),
        (Value::List(items), Value::Int(index)) => {
            usize::try_from(*index).ok().and_then(|index| items.get(index))
        }
        _ => None,
    };
    found.cloned().ok_or_else(|| format!("{value} has no field {name}"))
}

fn contains(value: &Value, part: &Value) -> Checked<Value> {
    match (value, part) {
        (Value::Text(text), Value::Text(part)) => Ok(Value::Bool(text.contains(part.as_str()))),
        (Value::List(items), part) => Ok(Value::Bool(items.contains(part))),
        _ => Err(format!("whether {value} contains {part}")),
    }
}

fn is_greater(left: &Value, right: &Value) -> Checked<bool> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(left > right),
        (Value::Text(left), Value::Text(right)) => Ok(left > right),
        _ => Ok(as_float(left)? > as_float(right)?),
    }
}

fn is_not_zero(value: &Value) -> bool {
    match value {
        Value::Int(integer) => *integer != 0,
        Value::Float(float) => float.get() != 0.0,
        _ => true,
    }
}

fn length(value: &Value) -> Checked<Value> {
    let length = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(items) => items.len(),
        other => return Err(format!("length of {other}")),
    };
    Ok(Value::Int(length as i64))
}

fn chars(value: &Value) -> Checked<Vec<Value>> {
    Ok(as_text(value)?.chars().map(Value::text).collect())
}

/// Only what Scala and Python write alike.
fn to_text(value: &Value) -> Checked<String> {
    match value {
        Value::Int(integer) => Ok(integer.to_string()),
        Value::Text(text) => Ok(text.clone()),
        Value::Float(float) if (1e-3..1e7).contains(&float.get().abs()) || float.get() == 0.0 => {
            Ok(format!("{:?}", float.get()))
        }
        other => Err(format!("the text of {other}")),
    }
}

fn as_text(value: &Value) -> Checked<&str> {
    if let Value::Text(text) = value { Ok(text) } else { Err(format!("{value} is no text")) }
}

pub(crate) fn as_list(value: &Value) -> Checked<&[Value]> {
    if let Value::List(items) = value { Ok(items) } else { Err(format!("{value} is no list")) }
}

pub(crate) fn as_bool(value: &Value) -> Checked<bool> {
    if let Value::Bool(is_true) = value { Ok(*is_true) } else { Err(format!("{value} is no bool")) }
}

fn as_float(value: &Value) -> Checked<f64> {
    match value {
        Value::Int(integer) => Ok(*integer as f64),
        Value::Float(float) => Ok(float.get()),
        other => Err(format!("{other} is no number")),
    }
}
