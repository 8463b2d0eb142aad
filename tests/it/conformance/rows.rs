//! Streams of values of any shape, which every case can be made of; pairs are pairs of such. They
//! are `Row`s, or `Saved` where a checkpoint has to hold them.

use std::time::Duration;

use tidemill::prelude::*;

use super::Checked;
use super::emission::Emissions;
use super::functions::{self, Combine, Element, Partitioned, Whole, as_bool, as_list, must};
use super::operator::{Operator, Stream};
use super::stateful::{Made, keyed};
use super::value::{AnyValue, Value, Valued, batch_of, partitions_of};

pub(crate) type Any = Row<Value>;

/// A stream of whatever the case has.
#[derive(Clone)]
pub(crate) enum Rows<R: AnyValue> {
    Each(DStream<R>),
    Pairs(DStream<(R, R)>),
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

impl<R: AnyValue> Stream for Rows<R> {
    fn apply(&self, operator: &Operator<'_>, sides: &[Self]) -> Checked<Option<Self>> {
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
        if made.is_none() {
            made = keyed(&self.pairs(), operator)?;
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

/// Anything is a row, and pairs stay pairs.
impl<R: AnyValue> Made for Rows<R> {
    fn of_rows<T: Valued>(stream: &DStream<T>) -> Rows<R> {
        Rows::Each(stream.map(|row| R::of(T::value(row))))
    }

    fn of_pairs<K: Valued, V: Valued>(stream: &DStream<(K, V)>) -> Rows<R> {
        Rows::Pairs(stream.map(|(key, value)| (R::of(K::value(key)), R::of(V::value(value)))))
    }
}

impl<R: AnyValue> Rows<R> {
    pub(crate) fn slide(&self) -> Duration {
        either!(self, stream => stream.slide())
    }

    pub(crate) fn checkpoint(&self, every: Duration) {
        either!(self, stream => drop(stream.checkpoint(every)));
    }

    pub(crate) fn remembered(&self) -> Vec<Time> {
        either!(self, stream => stream.remembered())
    }

    /// As rows that may be anything.
    fn each(&self) -> DStream<R> {
        match self {
            Rows::Each(stream) => stream.clone(),
            Rows::Pairs(stream) => stream.map(|pair| R::of(<(R, R)>::value(pair))),
        }
    }

    /// As pairs, which the rows then have to be.
    fn pairs(&self) -> DStream<(R, R)> {
        match self {
            Rows::Each(stream) => stream.map(pair),
            Rows::Pairs(stream) => stream.clone(),
        }
    }

    fn narrow(&self, operator: &Operator<'_>) -> Checked<Option<Self>> {
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
                Rows::Pairs(self.pairs().map_values(move |value| R::of(must(f(value)))))
            }
            "flatMapValues" => {
                let f = operator.element()?;
                Rows::Pairs(self.pairs().flat_map_values::<R, _>(move |value, out| {
                    for value in must(as_list(&must(f(value)))) {
                        out.push(value);
                    }
                }))
            }
            "mapPartitions" => {
                let f = functions::partitioned(operator.function()?)?;
                Rows::Each(either!(self, stream => map_partitions(stream, f)))
            }
            "glom" => either!(self, stream => Rows::of_rows(&stream.glom())),
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

    fn wide(&self, operator: &Operator<'_>) -> Checked<Option<Self>> {
        Ok(Some(match operator.name {
            "groupByKey" => Rows::of_pairs(&self.pairs().group_by_key()),
            "reduceByKey" => {
                let f = operator.combine("fn")?;
                Rows::Pairs(self.pairs().reduce_by_key(reduce(f)))
            }
            "combineByKey" => {
                let create = functions::element(operator.fields.text("create")?, None)?;
                let (merge, combine) = (operator.combine("merge")?, operator.combine("combine")?);
                Rows::Pairs(self.pairs().combine_by_key::<R, _, _, _>(
                    move |value| R::of(must(create(value))),
                    reduce(merge),
                    reduce(combine),
                ))
            }
            "reduce" => Rows::Each(self.each().reduce(reduce(operator.combine("fn")?))),
            "count" => either!(self, stream => Rows::of_rows(&stream.count())),
            "countByValue" => either!(self, stream => Rows::of_pairs(&stream.count_by_value())),
            _ => return Ok(None),
        }))
    }

    fn of_many(&self, operator: &Operator<'_>, sides: &[Self]) -> Checked<Option<Self>> {
        let all: Vec<&Self> = [self].into_iter().chain(sides).collect();
        let each = || -> Vec<DStream<R>> { all.iter().map(|rows| rows.each()).collect() };
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
            "cogroup" => Rows::of_pairs(&left().cogroup(&right())),
            "join" => Rows::of_pairs(&left().join(&right())),
            "leftOuterJoin" => Rows::of_pairs(&left().left_outer_join(&right())),
            "rightOuterJoin" => Rows::of_pairs(&left().right_outer_join(&right())),
            "fullOuterJoin" => Rows::of_pairs(&left().full_outer_join(&right())),
            _ => return Ok(None),
        }))
    }

    fn windowed(&self, operator: &Operator<'_>) -> Checked<Option<Self>> {
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
                Rows::of_rows(&either!(self, stream => stream.count_by_window(window, slide)))
            }
            "countByValueAndWindow" => either!(self, stream => {
                Rows::of_pairs(&stream.count_by_value_and_window(window, slide))
            }),
            "groupByKeyAndWindow" => {
                Rows::of_pairs(&self.pairs().group_by_key_and_window(window, slide))
            }
            _ => return Ok(None),
        }))
    }
}

fn pair<R: AnyValue>(row: &Value) -> (R, R) {
    let (key, value) = must(row.as_pair());
    (R::of(key.clone()), R::of(value.clone()))
}

fn reduce<R: AnyValue>(
    f: Combine,
) -> impl for<'a> Fn(&'a Value, &'a Value) -> R + Send + Sync + 'static {
    move |left, right| R::of(must(f(left, right)))
}

fn map<T: Valued, R: AnyValue>(stream: &DStream<T>, f: Element) -> DStream<R> {
    stream.map(move |row| R::of(must(f(&T::value(row)))))
}

fn flat_map<T: Valued, R: AnyValue>(stream: &DStream<T>, f: Element) -> DStream<R> {
    stream.flat_map::<R, _>(move |row, out| {
        for value in must(as_list(&must(f(&T::value(row))))) {
            out.push(value);
        }
    })
}

fn filter<T: Valued>(stream: &DStream<T>, f: Element) -> DStream<T> {
    stream.filter(move |row| must(as_bool(&must(f(&T::value(row))))))
}

fn map_partitions<T: Valued, R: AnyValue>(stream: &DStream<T>, f: Partitioned) -> DStream<R> {
    stream.map_partitions::<R, _>(move |rows, out| {
        let rows: Vec<Value> = rows.iter().map(T::value).collect();
        for value in &must(f(&rows)) {
            out.push(value);
        }
    })
}

fn transform<T: Valued, R: AnyValue>(stream: &DStream<T>, f: Whole) -> DStream<R> {
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

/// The batches of a slice.
pub(crate) fn slice<T: Valued>(
    stream: &DStream<T>,
    from: Time,
    to: Time,
) -> tidemill::Result<Vec<Vec<Value>>> {
    let batches = stream.slice(from, to)?;
    Ok(batches.iter().map(|batch| batch.iter().map(T::value).collect()).collect())
}
