//! The vocabulary's operators: which there are, which fields each has, and how a pipeline of them
//! is put together, whatever kind of stream it is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use tidemill::Time;

use super::Checked;
use super::emission::Emissions;
use super::fields::Fields;
use super::functions::{self, Combine, Element};
use super::value::{Value, Valued};

/// One operator of a pipeline.
pub(crate) struct Operator<'a> {
    pub(crate) name: &'a str,
    pub(crate) fields: Fields<'a>,
    /// The only argument of a function.
    pub(crate) arg: Option<Value>,
    /// The name of its state, by the place of the operator.
    pub(crate) state: String,
}

/// Each operator, the fields that it needs, and those that it may have.
const OPERATORS: [(&str, &[&str], &[&str]); 31] = [
    ("map", &["fn"], &["arg"]),
    ("flatMap", &["fn"], &["arg"]),
    ("filter", &["fn"], &["arg"]),
    ("mapValues", &["fn"], &["arg"]),
    ("flatMapValues", &["fn"], &["arg"]),
    ("mapPartitions", &["fn"], &[]),
    ("glom", &[], &[]),
    ("repartition", &["n"], &[]),
    ("groupByKey", &[], &[]),
    ("reduceByKey", &["fn"], &[]),
    ("combineByKey", &["create", "merge", "combine"], &[]),
    ("reduce", &["fn"], &[]),
    ("count", &[], &[]),
    ("countByValue", &[], &[]),
    ("union", &["others"], &[]),
    ("transform", &["fn"], &["arg"]),
    ("transformN", &["fn", "others"], &[]),
    ("transformWith", &["fn", "other"], &[]),
    ("cogroup", &["other"], &[]),
    ("join", &["other"], &[]),
    ("leftOuterJoin", &["other"], &[]),
    ("rightOuterJoin", &["other"], &[]),
    ("fullOuterJoin", &["other"], &[]),
    ("updateStateByKey", &["fn"], &["initial"]),
    ("mapWithState", &["fn"], &["initial", "timeout_ms", "scan_every", "output"]),
    ("window", &["window_ms"], &["slide_ms"]),
    ("reduceByKeyAndWindow", &["fn", "window_ms"], &["slide_ms", "inverse", "filter"]),
    ("reduceByWindow", &["fn", "window_ms"], &["slide_ms", "inverse"]),
    ("countByWindow", &["window_ms"], &["slide_ms"]),
    ("countByValueAndWindow", &["window_ms"], &["slide_ms"]),
    ("groupByKeyAndWindow", &["window_ms"], &["slide_ms"]),
];

impl<'a> Operator<'a> {
    fn new(json: &'a Json, place: &str) -> Checked<Operator<'a>> {
        let name = Fields::new("an operator", json)?.text("op")?;
        let fields = Fields::new(format!("operator {name:?}"), json)?;
        let known = OPERATORS.iter().find(|(known, ..)| *known == name);
        let (_, needed, optional) = known.ok_or_else(|| format!("unknown operator {name:?}"))?;
        fields.only(&[&["op"], needed, optional])?;
        if let Some(missing) = needed.iter().find(|field| fields.get(field).is_none()) {
            return Err(format!("operator {name:?} has no field {missing:?}"));
        }
        let arg = fields.get("arg").map(Value::of_json).transpose()?;
        Ok(Operator { name, fields, arg, state: format!("{name} {place}") })
    }

    /// The name of the function.
    pub(crate) fn function(&self) -> Checked<&'a str> {
        self.fields.text("fn")
    }

    pub(crate) fn element(&self) -> Checked<Element> {
        functions::element(self.function()?, self.arg.as_ref())
    }

    pub(crate) fn combine(&self, field: &str) -> Checked<Combine> {
        functions::combine(self.fields.text(field)?)
    }

    pub(crate) fn inverse(&self) -> Checked<Option<Combine>> {
        let inverse = self.fields.get("inverse");
        inverse.map(|_| functions::inverse(self.fields.text("inverse")?)).transpose()
    }

    pub(crate) fn window_filter(&self) -> Checked<Option<fn(&Value) -> bool>> {
        let filter = self.fields.get("filter");
        filter.map(|_| functions::window_filter(self.fields.text("filter")?)).transpose()
    }

    /// The window and the slide; the slide may be the parent's.
    pub(crate) fn span(&self, parent: Duration) -> Checked<(Duration, Duration)> {
        let slide = self.fields.get("slide_ms").map(|_| self.fields.millis("slide_ms"));
        Ok((self.fields.millis("window_ms")?, slide.transpose()?.unwrap_or(parent)))
    }

    /// The states that it begins with, if they are of these types; none of them is of any.
    pub(crate) fn initial<K: Valued, S: Valued>(&self) -> Checked<Option<Vec<(K, S)>>> {
        if self.fields.get("initial").is_none() {
            return Ok(Some(Vec::new()));
        }
        let states = self.fields.values("initial")?;
        states.iter().try_for_each(|state| state.as_pair().map(drop))?;
        Ok(states.iter().map(<(K, S)>::parse).collect())
    }

    /// The streams beside this one: where each comes from, and its own pipeline.
    fn sides(&self) -> Checked<Vec<(&'a str, &'a [Json])>> {
        let side = |fields: Fields<'a>| -> Checked<_> {
            fields.only(&[&["source", "pipeline"]])?;
            Ok((fields.text("source")?, fields.list("pipeline")?))
        };
        if self.fields.get("other").is_some() {
            return Ok(vec![side(self.fields.fields("other")?)?]);
        }
        if self.fields.get("others").is_none() {
            return Ok(Vec::new());
        }
        let others = self.fields.list("others")?.iter();
        others.map(|json| side(Fields::new(format!("a side of {:?}", self.name), json)?)).collect()
    }
}

/// The names of all operators.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, ..)| *name)
}

/// All operators of a pipeline, with those of its sides.
pub(crate) fn operators(pipeline: &[Json]) -> Checked<Vec<Operator<'_>>> {
    let mut all = Vec::new();
    for json in pipeline {
        let operator = Operator::new(json, "")?;
        for (_, pipeline) in operator.sides()? {
            all.extend(operators(pipeline)?);
        }
        all.push(operator);
    }
    Ok(all)
}

/// A stream that operators can be put on.
pub(crate) trait Stream: Sized + Clone {
    /// The stream that the operator makes of this one and of its sides; none if it is not for
    /// streams of this type.
    fn apply(&self, operator: &Operator<'_>, sides: &[Self]) -> Checked<Option<Self>>;

    /// Begins to collect what the stream gives.
    fn collect(&self) -> Emissions;

    /// The batches of a while, once the context has started.
    fn slice(&self, from: Time, to: Time) -> tidemill::Result<Vec<Vec<Value>>>;
}

/// The stream that a pipeline makes; none if it is not for streams of these types.
pub(crate) fn build<S: Stream>(
    pipeline: &[Json],
    start: &S,
    sources: &BTreeMap<String, S>,
) -> Checked<Option<S>> {
    build_at("", pipeline, start, sources)
}

fn build_at<S: Stream>(
    place: &str,
    pipeline: &[Json],
    start: &S,
    sources: &BTreeMap<String, S>,
) -> Checked<Option<S>> {
    let mut stream = start.clone();
    for (index, json) in pipeline.iter().enumerate() {
        let place = format!("{place}/{index}");
        let operator = Operator::new(json, &place)?;
        let mut sides = Vec::new();
        for (number, (name, pipeline)) in operator.sides()?.into_iter().enumerate() {
            let source = if name == "self" { Some(&stream) } else { sources.get(name) };
            let source = source.ok_or_else(|| format!("unknown source {name:?}"))?;
            let place = format!("{place}.{number}");
            let Some(side) = build_at(&place, pipeline, source, sources)? else { return Ok(None) };
            sides.push(side);
        }
        let Some(next) = stream.apply(&operator, &sides)? else { return Ok(None) };
        stream = next;
    }
    Ok(Some(stream))
}
