//! Streams of `Row`s, which any case can be made of; pairs are pairs of rows.

use std::time::Duration;

use tidemill::Key;
use tidemill::prelude::*;

use super::Checked;
use super::emission::Emissions;
use super::functions::{self, Combine, Element, Partitioned, Whole, as_bool, as_list, must};
use super::operator::{Operator, Stream};
use super::value::{Value, Valued, batch_of, partitions_of};

pub(crate) type Any = Row<Value>;
pub(crate) type Pair = (Any, Any);

/// A stream of whatever the case has.
#[derive(Clone)]
pub(crate) enum Rows {
    Each(DStream<Any>),
    Pairs(DStream<Pair>),
}

/// The same for both.
macro_rules! either {
    ($rows:expr, $stream:ident => $body:expr) => {
        match $rows {
            Rows::Each($stream) => $body,
            Rows::Pairs($stream) => $body,
        }
    };
}

/// The same for both, where pairs stay pairs.
macro_rules! same {
    ($rows:expr, $stream:ident => $body:expr) => {
        match $rows {
            Rows::Each($stream) => Rows::Each($body),
            Rows::Pairs($stream) => Rows::Pairs($body),
        }
    };
}

impl Stream for Rows {
    fn apply(&self, operator: &Operator<'_>, sides: &[Rows]) -> Checked<Option<Rows>> {
        let mut made = self.narrow(operator)?;
        if made.is_none() {
            made = self.wide(operator)?;
        }
        if made.is_none() {
            made = self.of_many(operator, sides)?;
        }
        if made.is_none() {
            made = self.windowed(operator)?;
        }
        made.map(Some).ok_or_else(|| format!("operator {:?} has no stream of rows", operator.name))
    }

    fn collect(&self) -> Emissions {
        either!(self, stream => Emissions::collect(stream))
    }

    fn slice(&self, from: Time, to: Time) -> tidemill::Result<Vec<Vec<Value>>> {
        either!(self, stream => slice(stream, from, to))
    }
}

impl Rows {
    pub(crate) fn slide(&self) -> Duration {
        either!(self, stream => stream.slide())
    }

    pub(crate) fn remembered(&self) -> Vec<Time> {
        either!(self, stream => stream.remembered())
    }

    /// As rows that may be anything.
    fn each(&self) -> DStream<Any> {
        match self {
            Rows::Each(stream) => stream.clone(),
            Rows::Pairs(stream) => stream.map(|pair| Row(Pair::value(pair))),
        }
    }

    /// As pairs, which the rows then have to be.
    fn pairs(&self) -> DStream<Pair> {
        match self {
            Rows::Each(stream) => stream.map(pair),
            Rows::Pairs(stream) => stream.clone(),
        }
    }

    fn narrow(&self, operator: &Operator<'_>) -> Checked<Option<Rows>> {
        Ok(Some(match operator.name {
            "map" => {
                let f = operator.element()?;
                Rows::Each(either!(self, stream => map(stream, f)))
            }
            "flatMap" => {
                let f = operator.element()?;
                Rows::Each(either!(self, stream => flat_map(stream, f)))
            }
            "filter" => {
                let f = operator.element()?;
                same!(self, stream => filter(stream, f))
            }
            "mapValues" => {
                let f = operator.element()?;
                Rows::Pairs(self.pairs().map_values(move |value| Row(must(f(value)))))
            }
            "flatMapValues" => {
                let f = operator.element()?;
                Rows::Pairs(self.pairs().flat_map_values::<Any, _>(move |value, out| {
                    for value in must(as_list(&must(f(value)))) {
                        out.push(value);
                    }
                }))
            }
            "mapPartitions" => {
                let f = functions::partitioned(operator.function()?)?;
                Rows::Each(either!(self, stream => map_partitions(stream, f)))
            }
            "glom" => Rows::Each(either!(self, stream => row_of_each(&stream.glom()))),
            "repartition" => {
                let n = operator.fields.number("n")? as usize;
                same!(self, stream => stream.repartition(n))
            }
            "transform" => {
                let f = functions::whole(operator.function()?, operator.arg.as_ref())?;
                Rows::Each(either!(self, stream => transform(stream, f)))
            }
            _ => return Ok(None),
        }))
    }

    fn wide(&self, operator: &Operator<'_>) -> Checked<Option<Rows>> {
        Ok(Some(match operator.name {
            "groupByKey" => values_as_rows(&self.pairs().group_by_key()),
            "reduceByKey" => {
                let f = operator.combine("fn")?;
                Rows::Pairs(self.pairs().reduce_by_key(reduce(f)))
            }
            "combineByKey" => {
                let create = functions::element(operator.fields.text("create")?, None)?;
                let (merge, combine) = (operator.combine("merge")?, operator.combine("combine")?);
                Rows::Pairs(self.pairs().combine_by_key::<Any, _, _, _>(
                    move |value| Row(must(create(value))),
                    reduce(merge),
                    reduce(combine),
                ))
            }
            "reduce" => Rows::Each(self.each().reduce(reduce(operator.combine("fn")?))),
            "count" => Rows::Each(either!(self, stream => row_of_each(&stream.count()))),
            "countByValue" => either!(self, stream => counted(&stream.count_by_value())),
            _ => return Ok(None),
        }))
    }

    fn of_many(&self, operator: &Operator<'_>, sides: &[Rows]) -> Checked<Option<Rows>> {
        let all: Vec<&Rows> = [self].into_iter().chain(sides).collect();
        let each = || -> Vec<DStream<Any>> { all.iter().map(|rows| rows.each()).collect() };
        let other = sides.first().unwrap_or(self);
        let (left, right) = (|| self.pairs(), || other.pairs());
        Ok(Some(match operator.name {
            "union" => {
                let pairs = all.iter().map(|rows| match rows {
                    Rows::Pairs(stream) => Some(stream.clone()),
                    Rows::Each(_) => None,
                });
                match pairs.collect::<Option<Vec<_>>>() {
                    Some(pairs) => Rows::Pairs(united(&pairs)),
                    None => Rows::Each(united(&each())),
                }
            }
            "transformN" => {
                let f = functions::of_many(operator.function()?)?;
                let each = each();
                Rows::Each(each[0].context().transform(&each, move |batches, _| {
                    let batches: Vec<_> = batches.iter().map(partitions_of).collect();
                    Ok(must(batch_of(&must(f(&batches)))))
                }))
            }
            "transformWith" => {
                let f = functions::of_two(operator.function()?)?;
                Rows::Each(self.each().transform_with(&other.each(), move |left, right, _| {
                    let (left, right) = (partitions_of(&left), partitions_of(&right));
                    Ok(must(batch_of(&must(f(left, right)))))
                }))
            }
            "cogroup" => values_as_rows(&left().cogroup(&right())),
            "join" => values_as_rows(&left().join(&right())),
            "leftOuterJoin" => values_as_rows(&left().left_outer_join(&right())),
            "rightOuterJoin" => values_as_rows(&left().right_outer_join(&right())),
            "fullOuterJoin" => values_as_rows(&left().full_outer_join(&right())),
            _ => return Ok(None),
        }))
    }

    fn windowed(&self, operator: &Operator<'_>) -> Checked<Option<Rows>> {
        if operator.fields.get("window_ms").is_none() {
            return Ok(None);
        }
        let (window, slide) = operator.span(self.slide())?;
        Ok(Some(match operator.name {
            "window" => same!(self, stream => stream.window(window, slide)),
            "reduceByKeyAndWindow" => {
                let (pairs, f) = (self.pairs(), reduce(operator.combine("fn")?));
                let Some(inverse) = operator.inverse()? else {
                    if operator.fields.get("filter").is_some() {
                        return Err("a window has a filter but no inverse".into());
                    }
                    return Ok(Some(Rows::Pairs(pairs.reduce_by_key_and_window(f, window, slide))));
                };
                let inverse = reduce(inverse);
                let reduced =
                    pairs.reduce_by_key_and_window_with_inverse(f, inverse, window, slide);
                let reduced = match operator.window_filter()? {
                    Some(filter) => reduced.retain(move |_, value| filter(value)),
                    None => reduced.keep_empty_keys(),
                };
                Rows::Pairs(reduced.clone())
            }
            "reduceByWindow" => {
                let (each, f) = (self.each(), reduce(operator.combine("fn")?));
                Rows::Each(match operator.inverse()? {
                    Some(inverse) => {
                        each.reduce_by_window_with_inverse(f, reduce(inverse), window, slide)
                    }
                    None => each.reduce_by_window(f, window, slide),
                })
            }
            "countByWindow" => {
                let counts = either!(self, stream => stream.count_by_window(window, slide));
                Rows::Each(row_of_each(&counts))
            }
            "countByValueAndWindow" => either!(self, stream => {
                counted(&stream.count_by_value_and_window(window, slide))
            }),
            "groupByKeyAndWindow" => {
                values_as_rows(&self.pairs().group_by_key_and_window(window, slide))
            }
            _ => return Ok(None),
        }))
    }
}

fn pair(row: &Value) -> Pair {
    let (key, value) = must(row.as_pair());
    (Row(key.clone()), Row(value.clone()))
}

fn reduce(f: Combine) -> impl for<'a> Fn(&'a Value, &'a Value) -> Any + Send + Sync + 'static {
    move |left, right| Row(must(f(left, right)))
}

fn map<T: Valued>(stream: &DStream<T>, f: Element) -> DStream<Any> {
    stream.map(move |row| Row(must(f(&T::value(row)))))
}

fn row_of_each<T: Valued>(stream: &DStream<T>) -> DStream<Any> {
    stream.map(|row| Row(T::value(row)))
}

fn flat_map<T: Valued>(stream: &DStream<T>, f: Element) -> DStream<Any> {
    stream.flat_map::<Any, _>(move |row, out| {
        for value in must(as_list(&must(f(&T::value(row))))) {
            out.push(value);
        }
    })
}

fn filter<T: Valued>(stream: &DStream<T>, f: Element) -> DStream<T> {
    stream.filter(move |row| must(as_bool(&must(f(&T::value(row))))))
}

fn map_partitions<T: Valued>(stream: &DStream<T>, f: Partitioned) -> DStream<Any> {
    stream.map_partitions::<Any, _>(move |rows, out| {
        let rows: Vec<Value> = rows.iter().map(T::value).collect();
        for value in &must(f(&rows)) {
            out.push(value);
        }
    })
}

fn transform<T: Valued>(stream: &DStream<T>, f: Whole) -> DStream<Any> {
    stream.transform(move |batch, _| match must(f(partitions_of(&batch))) {
        Some(partitions) => Ok(must(batch_of(&partitions))),
        None => Err("the function gave no batch".into()),
    })
}

fn united<T: Valued>(streams: &[DStream<T>]) -> DStream<T> {
    match streams {
        [left, right] => left.union(right),
        _ => streams[0].context().union(streams),
    }
}

/// Keys may be rows or pairs.
fn counted<T: Valued + Key>(counts: &DStream<(T, i64)>) -> Rows {
    Rows::Pairs(counts.map(|(key, count)| (Row(T::value(key)), Row(Value::Int(count)))))
}

fn values_as_rows<V: Valued>(pairs: &DStream<(Any, V)>) -> Rows {
    Rows::Pairs(pairs.map_values(|value| Row(V::value(value))))
}

/// The batches of a slice.
pub(crate) fn slice<T: Valued>(
    stream: &DStream<T>,
    from: Time,
    to: Time,
) -> tidemill::Result<Vec<Vec<Value>>> {
    let batches = stream.slice(from, to)?;
    Ok(batches.iter().map(|batch| batch.iter().map(T::value).collect()).collect())
}
