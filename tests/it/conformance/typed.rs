//! Streams of typed columns: integers, text, pairs of these, and what operators make of them. A
//! function or operator that is not for columns of a type makes none, and the case then runs on
//! `Row` alone.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{Emitter, Key, Record};

use super::Checked;
use super::emission::Emissions;
use super::operator::{Operator, Stream};
use super::rows::slice;
use super::stateful::{Made, keyed};
use super::value::{Addend, Idle, Value, Valued};
use crate::panics::panic_on_purpose;

/// A stream whose type is known to the operators only.
#[derive(Clone)]
pub(crate) struct Typed {
    stream: Arc<dyn AnyStream>,
    /// Named aggregates instead of closures, where there are.
    is_vectorised: bool,
}

/// What can be done with a stream of any type without a new one.
trait AnyStream: Any {
    fn as_any(&self) -> &dyn Any;
    fn slide(&self) -> Duration;
    fn collect(&self) -> Emissions;
    fn slice(&self, from: Time, to: Time) -> tidemill::Result<Vec<Vec<Value>>>;
    fn identity(&self) -> Typed;
    fn count(&self) -> Typed;
    fn repartition(&self, n: usize) -> Typed;
    fn united(&self, others: &[Typed]) -> Option<Typed>;
    fn reordered(&self, others: &[Typed], order: Vec<usize>) -> Option<Typed>;
    fn fail_to_transform(&self) -> Typed;
    fn window(&self, window: Duration, slide: Duration) -> Typed;
    fn count_by_window(&self, window: Duration, slide: Duration) -> Typed;
}

impl<T: Valued> AnyStream for DStream<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn slide(&self) -> Duration {
        self.slide()
    }

    fn collect(&self) -> Emissions {
        Emissions::collect(self)
    }

    fn slice(&self, from: Time, to: Time) -> tidemill::Result<Vec<Vec<Value>>> {
        slice(self, from, to)
    }

    fn identity(&self) -> Typed {
        typed(self.map(|row| T::from_ref(row)))
    }

    fn count(&self) -> Typed {
        typed(self.count())
    }

    fn repartition(&self, n: usize) -> Typed {
        typed(self.repartition(n))
    }

    fn united(&self, others: &[Typed]) -> Option<Typed> {
        let streams = same_type(self, others)?;
        Some(typed(match &streams[..] {
            [left, right] => left.union(right),
            _ => self.context().union(&streams),
        }))
    }

    fn reordered(&self, others: &[Typed], order: Vec<usize>) -> Option<Typed> {
        let streams = same_type(self, others)?;
        Some(typed(self.context().transform(&streams, move |batches, _| {
            let rows = order.iter().map(|&index| batches[index].to_vec());
            Ok(Batch::from_partitions(rows))
        })))
    }

    fn fail_to_transform(&self) -> Typed {
        let fails = |_: Batch<T>, _| -> Result<Batch<T>, tidemill::BoxError> {
            Err("the function gave no batch".into())
        };
        typed(self.transform(fails))
    }

    fn window(&self, window: Duration, slide: Duration) -> Typed {
        typed(self.window(window, slide))
    }

    fn count_by_window(&self, window: Duration, slide: Duration) -> Typed {
        typed(self.count_by_window(window, slide))
    }
}

fn same_type<T: Valued>(first: &DStream<T>, others: &[Typed]) -> Option<Vec<DStream<T>>> {
    let others = others.iter().map(|other| other.of::<T>().cloned());
    [Some(first.clone())].into_iter().chain(others).collect()
}

/// A stream of columns; closures, unless it is told otherwise.
fn typed<T: Valued>(stream: DStream<T>) -> Typed {
    Typed { stream: Arc::new(stream), is_vectorised: false }
}

/// What a function of a scalar column gives.
enum Function<T: Valued> {
    Int(Box<dyn for<'a> Fn(T::Ref<'a>) -> i64 + Send + Sync>),
    Text(Box<dyn for<'a> Fn(T::Ref<'a>) -> String + Send + Sync>),
}

/// What a function of a scalar column emits.
enum FlatFunction<T: Valued> {
    Int(Box<dyn for<'a> Fn(T::Ref<'a>, &mut Emitter<'_, i64>) + Send + Sync>),
    Text(Box<dyn for<'a> Fn(T::Ref<'a>, &mut Emitter<'_, String>) + Send + Sync>),
    Pair(Box<dyn for<'a> Fn(T::Ref<'a>, &mut Emitter<'_, (i64, String)>) + Send + Sync>),
}

/// A function that says yes or no.
type Test<T> = Box<dyn for<'a> Fn(<T as Record>::Ref<'a>) -> bool + Send + Sync>;

/// The types whose columns have functions.
trait Scalar: Addend + Key + Ord {
    fn function(name: &str, arg: Option<&Value>) -> Option<Function<Self>>;
    fn flat_function(name: &str, arg: Option<&Value>) -> Option<FlatFunction<Self>>;
    fn test(name: &str, arg: Option<&Value>) -> Option<Test<Self>>;
    /// Whether there are differences, zeros and totals.
    const IS_NUMBER: bool;
    fn difference(left: Self::Ref<'_>, right: Self::Ref<'_>) -> Self;
    fn is_zero(value: Self::Ref<'_>) -> bool;
    fn zero() -> Self;
}

impl Scalar for i64 {
    fn function(name: &str, arg: Option<&Value>) -> Option<Function<i64>> {
        let arg = arg.and_then(i64::parse);
        Some(match (name, arg) {
            ("to_string", _) => Function::Text(Box::new(|x| x.to_string())),
            ("add", Some(arg)) => Function::Int(Box::new(move |x| x + arg)),
            ("identity", _) => Function::Int(Box::new(|x| x)),
            ("fail_if_equals", Some(arg)) => {
                Function::Int(Box::new(move |x| if x == arg { panic_on_purpose() } else { x }))
            }
            _ => return None,
        })
    }

    fn flat_function(name: &str, arg: Option<&Value>) -> Option<FlatFunction<i64>> {
        Some(match (name, arg.and_then(i64::parse)) {
            ("x_and_double", _) => FlatFunction::Int(Box::new(|x, out| {
                out.push(x);
                out.push(2 * x);
            })),
            ("x_and_plus", Some(arg)) => FlatFunction::Int(Box::new(move |x, out| {
                out.push(x);
                out.push(x + arg);
            })),
            _ => return None,
        })
    }

    fn test(name: &str, _arg: Option<&Value>) -> Option<Test<i64>> {
        if name == "is_even" { Some(Box::new(|x| x % 2 == 0)) } else { None }
    }

    const IS_NUMBER: bool = true;

    fn difference(left: i64, right: i64) -> i64 {
        left - right
    }

    fn is_zero(value: i64) -> bool {
        value == 0
    }

    fn zero() -> i64 {
        0
    }
}

impl Scalar for String {
    fn function(name: &str, arg: Option<&Value>) -> Option<Function<String>> {
        let arg = arg.and_then(String::parse);
        Some(match (name, arg) {
            ("to_string" | "identity", _) => Function::Text(Box::new(|x| x.to_owned())),
            ("add", Some(arg)) => Function::Text(Box::new(move |x| format!("{x}{arg}"))),
            ("upper", _) => Function::Text(Box::new(|x| x.to_uppercase())),
            ("length", _) => Function::Int(Box::new(|x| x.chars().count() as i64)),
            ("fail_if_equals", Some(arg)) => {
                Function::Text(Box::new(
                    move |x| {
                        if x == arg { panic_on_purpose() } else { x.to_owned() }
                    },
                ))
            }
            _ => return None,
        })
    }

    fn flat_function(name: &str, arg: Option<&Value>) -> Option<FlatFunction<String>> {
        Some(match name {
            "chars" => FlatFunction::Text(Box::new(push_chars)),
            "suffixes" => {
                let suffixes = arg.map_or(Some(Vec::new()), Vec::<String>::parse)?;
                FlatFunction::Text(Box::new(move |x, out| {
                    for suffix in &suffixes {
                        out.push(&format!("{x}{suffix}"));
                    }
                }))
            }
            "len_char_pairs" => FlatFunction::Pair(Box::new(|x, out| {
                let length = x.chars().count() as i64;
                for char in x.chars() {
                    out.push((length, char.encode_utf8(&mut [0; 4])));
                }
            })),
            _ => return None,
        })
    }

    fn test(name: &str, arg: Option<&Value>) -> Option<Test<String>> {
        let arg = arg.and_then(String::parse)?;
        if name == "contains" { Some(Box::new(move |x| x.contains(&arg))) } else { None }
    }

    const IS_NUMBER: bool = false;

    fn difference(_: &str, _: &str) -> String {
        unreachable!("text is no number")
    }

    fn is_zero(_: &str) -> bool {
        false
    }

    fn zero() -> String {
        unreachable!("text is no number")
    }
}

impl Addend for i64 {
    fn sum(left: i64, right: i64) -> i64 {
        left + right
    }
}

impl Addend for String {
    fn sum(left: &str, right: &str) -> String {
        format!("{left}{right}")
    }
}

fn push_chars(text: &str, out: &mut Emitter<'_, String>) {
    for char in text.chars() {
        out.push(char.encode_utf8(&mut [0; 4]));
    }
}

/// With the stream as one of scalars, if it is one.
macro_rules! with_scalars {
    ($typed:expr, $stream:ident => $body:expr) => {
        if let Some($stream) = $typed.of::<i64>() {
            $body
        } else if let Some($stream) = $typed.of::<String>() {
            $body
        } else {
            None
        }
    };
}

/// With the stream as one of pairs of scalars, if it is one.
macro_rules! with_pairs {
    ($typed:expr, $stream:ident => $body:expr) => {
        if let Some($stream) = $typed.of::<(i64, i64)>() {
            $body
        } else if let Some($stream) = $typed.of::<(i64, String)>() {
            $body
        } else if let Some($stream) = $typed.of::<(String, i64)>() {
            $body
        } else if let Some($stream) = $typed.of::<(String, String)>() {
            $body
        } else {
            None
        }
    };
}

impl Stream for Typed {
    fn apply(&self, operator: &Operator<'_>, sides: &[Typed]) -> Checked<Option<Typed>> {
        let mut made = self.whole(operator, sides)?;
        if made.is_none() {
            made = with_scalars!(self, stream => scalars(stream, operator)?);
        }
        if made.is_none() {
            made = with_pairs!(self, stream => pairs(stream, operator, self.is_vectorised)?);
        }
        if made.is_none() {
            made = with_pairs!(self, stream => keyed(stream, operator)?);
        }
        if made.is_none() {
            made = self.counter(operator)?;
        }
        if let (None, [other]) = (&made, sides) {
            made = with_pairs!(self, stream => paired(stream, other, operator)?);
        }
        Ok(made.map(|made| Typed { is_vectorised: self.is_vectorised, ..made }))
    }

    fn collect(&self) -> Emissions {
        self.stream.collect()
    }

    fn slice(&self, from: Time, to: Time) -> tidemill::Result<Vec<Vec<Value>>> {
        self.stream.slice(from, to)
    }
}

impl Made for Typed {
    fn of_rows<T: Valued>(stream: &DStream<T>) -> Typed {
        typed(stream.clone())
    }

    fn of_pairs<K: Valued, V: Valued>(stream: &DStream<(K, V)>) -> Typed {
        typed(stream.clone())
    }
}

impl Typed {
    pub(crate) fn new<T: Valued>(stream: &DStream<T>, is_vectorised: bool) -> Typed {
        Typed { is_vectorised, ..typed(stream.clone()) }
    }

    fn of<T: Valued>(&self) -> Option<&DStream<T>> {
        self.stream.as_any().downcast_ref()
    }

    /// The field of a state that is a record with several.
    fn counter(&self, operator: &Operator<'_>) -> Checked<Option<Typed>> {
        let counter = Some(Value::text("counter"));
        if operator.name != "mapValues"
            || operator.function()? != "field"
            || operator.arg != counter
        {
            return Ok(None);
        }
        let states = self.of::<(String, Idle)>();
        Ok(states.map(|states| typed(states.map_values(|state| state.counter))))
    }

    /// What does not ask what the stream is made of.
    fn whole(&self, operator: &Operator<'_>, sides: &[Typed]) -> Checked<Option<Typed>> {
        let stream = &self.stream;
        let function = || operator.function();
        Ok(match operator.name {
            "map" if function()? == "identity" => Some(stream.identity()),
            "count" => Some(stream.count()),
            "repartition" => Some(stream.repartition(operator.fields.number("n")? as usize)),
            "union" => stream.united(sides),
            "transformWith" if function()? == "union" => stream.reordered(sides, vec![0, 1]),
            "transformN" if function()? == "union_all" => {
                stream.reordered(sides, (0..=sides.len()).collect())
            }
            "transformN" if function()? == "union_2_3_1" => stream.reordered(sides, vec![1, 2, 0]),
            "transform" if function()? == "return_null" => Some(stream.fail_to_transform()),
            "window" => {
                let (window, slide) = operator.span(stream.slide())?;
                Some(stream.window(window, slide))
            }
            "countByWindow" => {
                let (window, slide) = operator.span(stream.slide())?;
                Some(stream.count_by_window(window, slide))
            }
            _ => None,
        })
    }
}

fn scalars<T: Scalar>(stream: &DStream<T>, operator: &Operator<'_>) -> Checked<Option<Typed>> {
    let arg = operator.arg.as_ref();
    let span = || operator.span(stream.slide());
    let function = || operator.function();
    let sum = |left: T::Ref<'_>, right: T::Ref<'_>| T::sum(left, right);
    let difference = |left: T::Ref<'_>, right: T::Ref<'_>| T::difference(left, right);
    Ok(match operator.name {
        "map" => mapped(stream, function()?, arg),
        "flatMap" => T::flat_function(function()?, arg).map(|f| match f {
            FlatFunction::Int(f) => typed(stream.flat_map::<i64, _>(f)),
            FlatFunction::Text(f) => typed(stream.flat_map::<String, _>(f)),
            FlatFunction::Pair(f) => typed(stream.flat_map::<(i64, String), _>(f)),
        }),
        "filter" => T::test(function()?, arg).map(|f| typed(stream.filter(f))),
        "mapPartitions" => match function()? {
            "sum" if T::IS_NUMBER => Some(typed(stream.map_partitions::<T, _>(|rows, out| {
                let total = rows.iter().fold(T::zero(), |sum, row| T::sum(sum.to_ref(), row));
                out.push(total.to_ref());
            }))),
            "concat_upper" => {
                let text = (stream as &dyn Any).downcast_ref::<DStream<String>>();
                text.map(|text| {
                    typed(text.map_partitions::<String, _>(|rows, out| {
                        out.push(&rows.iter().map(str::to_uppercase).collect::<String>());
                    }))
                })
            }
            _ => None,
        },
        "glom" => Some(typed(stream.glom())),
        "reduce" if function()? == "sum" => Some(typed(stream.reduce(sum))),
        "countByValue" => Some(typed(stream.count_by_value())),
        "transform" => transformed(stream, function()?, arg),
        "reduceByWindow" if function()? == "sum" => {
            let (window, slide) = span()?;
            match operator.inverse()? {
                None => Some(typed(stream.reduce_by_window(sum, window, slide))),
                Some(_) if !T::IS_NUMBER => None,
                Some(_) => Some(typed(
                    stream.reduce_by_window_with_inverse(sum, difference, window, slide),
                )),
            }
        }
        "countByValueAndWindow" => {
            let (window, slide) = span()?;
            Some(typed(stream.count_by_value_and_window(window, slide)))
        }
        _ => None,
    })
}

fn mapped<T: Scalar>(stream: &DStream<T>, name: &str, arg: Option<&Value>) -> Option<Typed> {
    match (name, arg) {
        ("pair_with_const", Some(Value::Int(arg))) => Some(typed(stream.pair_with(*arg))),
        ("pair_with_const", Some(Value::Text(arg))) => Some(typed(stream.pair_with(arg.clone()))),
        ("pair_with_length", _) => match T::function("length", None)? {
            Function::Int(f) => Some(typed(stream.map(move |x| (T::from_ref(x), f(x))))),
            Function::Text(_) => None,
        },
        _ => T::function(name, arg).map(|f| match f {
            Function::Int(f) => typed(stream.map(f)),
            Function::Text(f) => typed(stream.map(f)),
        }),
    }
}

fn transformed<T: Scalar>(stream: &DStream<T>, name: &str, arg: Option<&Value>) -> Option<Typed> {
    /// Each row of a batch, and its partitions stay.
    fn each<T: Scalar, U: Valued>(
        stream: &DStream<T>,
        f: impl for<'a> Fn(T::Ref<'a>) -> U + Send + Sync + 'static,
    ) -> Typed {
        typed(stream.transform(move |batch, _| {
            let partitions = batch.partitions();
            Ok(Batch::from_partitions(partitions.map(|columns| {
                (0..columns.len()).map(|row| f(columns.get(row))).collect::<Vec<U>>()
            })))
        }))
    }
    match name {
        "map_to_string" | "map_add" => {
            T::function(name.strip_prefix("map_")?, arg).map(|f| match f {
                Function::Int(f) => each(stream, f),
                Function::Text(f) => each(stream, f),
            })
        }
        "cartesian_self" => Some(typed(stream.transform(|batch, _| {
            let rows = batch.to_vec();
            let with_all = |x: &T| rows.iter().map(|y| (x.clone(), y.clone())).collect::<Vec<_>>();
            Ok(rows.iter().flat_map(with_all).collect::<Batch<(T, T)>>())
        }))),
        _ => None,
    }
}

fn pairs<K: Scalar, V: Scalar>(
    stream: &DStream<(K, V)>,
    operator: &Operator<'_>,
    is_vectorised: bool,
) -> Checked<Option<Typed>> {
    let arg = operator.arg.as_ref();
    let span = || operator.span(stream.slide());
    let function = || operator.function();
    let sum = |left: V::Ref<'_>, right: V::Ref<'_>| V::sum(left, right);
    let difference = |left: V::Ref<'_>, right: V::Ref<'_>| V::difference(left, right);
    let vectorised = || {
        let numbers = (stream as &dyn Any).downcast_ref::<DStream<(K, i64)>>();
        numbers.filter(|_| is_vectorised)
    };
    Ok(match operator.name {
        "map" => match function()? {
            "swap" => Some(typed(stream.map(|(k, v)| (V::from_ref(v), K::from_ref(k))))),
            "first" => Some(typed(stream.map(|(k, _)| K::from_ref(k)))),
            "second" => Some(typed(stream.map(|(_, v)| V::from_ref(v)))),
            _ => None,
        },
        "flatMap" if function()? == "value_with_key_chars" => text_keys(stream).map(|stream| {
            typed(stream.flat_map::<(V, String), _>(|(key, value), out| {
                for (at, char) in key.char_indices() {
                    out.push((value, &key[at..at + char.len_utf8()]));
                }
            }))
        }),
        "filter" => filtered(stream, function()?, arg),
        "mapValues" => V::function(function()?, arg).map(|f| match f {
            Function::Int(f) => typed(stream.map_values(f)),
            Function::Text(f) => typed(stream.map_values(f)),
        }),
        "flatMapValues" => V::flat_function(function()?, arg).and_then(|f| match f {
            FlatFunction::Int(f) => Some(typed(stream.flat_map_values::<i64, _>(f))),
            FlatFunction::Text(f) => Some(typed(stream.flat_map_values::<String, _>(f))),
            FlatFunction::Pair(_) => None,
        }),
        "mapPartitions" if function()? == "swap_each" => {
            Some(typed(stream.map_partitions::<(V, K), _>(|rows, out| {
                rows.iter().for_each(|(key, value)| out.push((value, key)));
            })))
        }
        "glom" => Some(typed(stream.glom())),
        "countByValue" => Some(typed(stream.count_by_value())),
        "groupByKey" => Some(typed(stream.group_by_key())),
        "reduceByKey" if function()? == "sum" => Some(match vectorised() {
            Some(numbers) => typed(numbers.aggregate_by_key(Sum)),
            None => typed(stream.reduce_by_key(sum)),
        }),
        "combineByKey" => {
            let [create, merge, combine] =
                ["create", "merge", "combine"].map(|field| operator.fields.text(field));
            combined(stream, [create?, merge?, combine?])
        }
        "transform" => match function()? {
            "map_first" => Some(typed(stream.transform(|batch, _| {
                Ok(batch.iter().map(|(key, _)| K::from_ref(key)).collect::<Batch<K>>())
            }))),
            "sort_by_key" => Some(typed(stream.transform(|batch, _| {
                let mut rows = batch.to_vec();
                rows.sort_by(|(left, _), (right, _)| left.cmp(right));
                Ok(rows.into_iter().collect::<Batch<(K, V)>>())
            }))),
            _ => None,
        },
        "countByValueAndWindow" => {
            let (window, slide) = span()?;
            Some(typed(stream.count_by_value_and_window(window, slide)))
        }
        "groupByKeyAndWindow" => {
            let (window, slide) = span()?;
            Some(typed(stream.group_by_key_and_window(window, slide)))
        }
        "reduceByKeyAndWindow" if function()? == "sum" => {
            let (window, slide) = span()?;
            let has_filter = operator.window_filter()?.is_some();
            if operator.inverse()?.is_none() {
                return Ok(Some(match vectorised() {
                    Some(numbers) => {
                        typed(numbers.aggregate_by_key_and_window(Sum, window, slide).clone())
                    }
                    None => typed(stream.reduce_by_key_and_window(sum, window, slide)),
                }));
            }
            if !V::IS_NUMBER {
                return Ok(None);
            }
            Some(match vectorised() {
                Some(numbers) => {
                    let sums = numbers.aggregate_by_key_and_window(Sum, window, slide);
                    typed(match has_filter {
                        true => sums.retain(|_, sum| sum != 0).clone(),
                        false => sums.keep_empty_keys().clone(),
                    })
                }
                None => {
                    let sums = stream
                        .reduce_by_key_and_window_with_inverse(sum, difference, window, slide);
                    typed(match has_filter {
                        true => sums.retain(|_, sum| !V::is_zero(sum)).clone(),
                        false => sums.keep_empty_keys().clone(),
                    })
                }
            })
        }
        _ => None,
    })
}

fn text_keys<K: Scalar, V: Scalar>(stream: &DStream<(K, V)>) -> Option<&DStream<(String, V)>> {
    (stream as &dyn Any).downcast_ref()
}

fn filtered<K: Scalar, V: Scalar>(
    stream: &DStream<(K, V)>,
    name: &str,
    arg: Option<&Value>,
) -> Option<Typed> {
    match name {
        "key_contains" => {
            let (stream, part) = (text_keys(stream)?, String::parse(arg?)?);
            Some(typed(stream.filter(move |(key, _)| key.contains(&part))))
        }
        "value_gt" => {
            let least = V::parse(arg?)?;
            Some(typed(stream.filter(move |(_, value)| V::from_ref(value) > least)))
        }
        "value_not_zero" => Some(typed(stream.filter(|(_, value)| !V::is_zero(value)))),
        _ => None,
    }
}

fn combined<K: Scalar, V: Scalar>(stream: &DStream<(K, V)>, functions: [&str; 3]) -> Option<Typed> {
    let append = |left: &str, right: &str| format!("{left}{right}");
    match functions {
        ["identity", "sum", "sum"] => Some(typed(stream.combine_by_key::<V, _, _, _>(
            |value| V::from_ref(value),
            |left, right| V::sum(left, right),
            |left, right| V::sum(left, right),
        ))),
        ["to_string", "append_as_string", "append_as_string" | "sum"] => {
            let text = || match V::function("to_string", None)? {
                Function::Text(f) => Some(f),
                Function::Int(_) => None,
            };
            let (create, text) = (text()?, text()?);
            Some(typed(stream.combine_by_key::<String, _, _, _>(
                create,
                move |left, right| format!("{left}{}", text(right)),
                append,
            )))
        }
        _ => None,
    }
}

/// A stream of pairs with another one.
fn paired<K: Scalar, V: Scalar>(
    left: &DStream<(K, V)>,
    right: &Typed,
    operator: &Operator<'_>,
) -> Checked<Option<Typed>> {
    if let Some(right) = right.of::<(K, i64)>() {
        return paired_with(left, right, operator);
    }
    match right.of::<(K, String)>() {
        Some(right) => paired_with(left, right, operator),
        None => Ok(None),
    }
}

fn paired_with<K: Scalar, V: Scalar, W: Scalar>(
    left: &DStream<(K, V)>,
    right: &DStream<(K, W)>,
    operator: &Operator<'_>,
) -> Checked<Option<Typed>> {
    Ok(match operator.name {
        "cogroup" => Some(typed(left.cogroup(right))),
        "join" => Some(typed(left.join(right))),
        "leftOuterJoin" => Some(typed(left.left_outer_join(right))),
        "rightOuterJoin" => Some(typed(left.right_outer_join(right))),
        "fullOuterJoin" => Some(typed(left.full_outer_join(right))),
        "transformWith" if operator.function()? == "join" => {
            Some(typed(left.transform_with(right, |left, right, _| {
                let mut rows = Vec::new();
                for (key, value) in left.iter() {
                    for (_, other) in right.iter().filter(|(other, _)| K::same(key, *other)) {
                        rows.push((K::from_ref(key), (V::from_ref(value), W::from_ref(other))));
                    }
                }
                Ok(rows.into_iter().collect::<Batch<(K, (V, W))>>())
            })))
        }
        _ => None,
    })
}
