//! The fields of a case or of an operator: what is there, what has to be, and what must not be,
//! since a field that nobody reads is a check that nobody makes.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::Checked;
use super::value::Value;

/// A JSON object and its name in messages.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    what: String,
    map: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(what: impl Into<String>, json: &'a Json) -> Checked<Fields<'a>> {
        let what = what.into();
        match json {
            Json::Object(map) => Ok(Fields { what, map }),
            other => Err(format!("{what} is no object: {other}")),
        }
    }

    /// Fails by name for a field that is not among these.
    pub(crate) fn only(&self, known: &[&[&str]]) -> Checked<()> {
        match self.map.keys().find(|name| !known.concat().contains(&name.as_str())) {
            Some(name) => Err(format!("unknown field {name:?} of {}", self.what)),
            None => Ok(()),
        }
    }

    /// The field, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Json> {
        self.map.get(name).filter(|json| !json.is_null())
    }

    fn need(&self, name: &str) -> Checked<&'a Json> {
        self.get(name).ok_or_else(|| format!("{} has no field {name:?}", self.what))
    }

    fn typed<T>(&self, name: &str, what: &str, of: impl Fn(&'a Json) -> Option<T>) -> Checked<T> {
        let json = self.need(name)?;
        of(json).ok_or_else(|| format!("field {name:?} of {} is no {what}: {json}", self.what))
    }

    pub(crate) fn text(&self, name: &str) -> Checked<&'a str> {
        self.typed(name, "text", Json::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Checked<u64> {
        self.typed(name, "number from 0 up", Json::as_u64)
    }

    pub(crate) fn bool(&self, name: &str) -> Checked<bool> {
        self.typed(name, "bool", Json::as_bool)
    }

    pub(crate) fn list(&self, name: &str) -> Checked<&'a [Json]> {
        self.typed(name, "list", |json| json.as_array().map(Vec::as_slice))
    }

    pub(crate) fn fields(&self, name: &str) -> Checked<Fields<'a>> {
        Fields::new(format!("field {name:?} of {}", self.what), self.need(name)?)
    }

    pub(crate) fn millis(&self, name: &str) -> Checked<Duration> {
        self.number(name).map(Duration::from_millis)
    }

    /// A list of values.
    pub(crate) fn values(&self, name: &str) -> Checked<Vec<Value>> {
        self.list(name)?.iter().map(Value::of_json).collect()
    }

    /// A list of lists of values.
    pub(crate) fn batches(&self, name: &str) -> Checked<Vec<Vec<Value>>> {
        self.list(name)?.iter().map(Value::list_of_json).collect()
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, name: &str) -> Checked<Vec<u64>> {
        let number = |json: &Json| {
            json.as_u64().ok_or_else(|| format!("{json} in {name:?} is no number from 0 up"))
        };
        self.list(name)?.iter().map(number).collect()
    }

    /// The fields and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Json)> {
        self.map.iter().map(|(name, json)| (name.as_str(), json))
    }
}
