//! Runs a case's pipeline: sources of its inputs, a batch at each tick, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use tidemill::prelude::*;
use tidemill::{Error, ErrorKind, Saved, TestInput};

use super::emission::{Emission, Emissions};
use super::fields::Fields;
use super::functions::must;
use super::operator::{Stream, build};
use super::rows::Rows;
use super::typed::Typed;
use super::value::{AnyValue, Value, Valued, batch_of};
use super::{Checked, FAULT, Verdict};
use crate::replay::Tape;

/// Each case runs on so many threads in turn.
pub(crate) const THREADS: [usize; 2] = [1, 2];

/// What a case's streams are made of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Of values of any shape.
    Rows,
    /// Typed columns and closures.
    Columns,
    /// Typed columns and named aggregates where there are.
    Vectorised,
}

/// The batches of a source, in turn; none where it has none.
type Inputs = Vec<Option<Vec<Value>>>;

/// What the runs of a case have in common.
#[derive(Clone)]
pub(crate) struct Setting {
    interval: Duration,
    partitions: usize,
    inputs: BTreeMap<&'static str, Inputs>,
    /// The sources, where they are such as can go back.
    tapes: BTreeMap<&'static str, Tape>,
}

/// A started run.
pub(crate) struct Run<S> {
    pub(crate) t: TestContext,
    pub(crate) stream: S,
    emissions: Emissions,
    sources: Vec<Box<dyn Source>>,
    setting: Setting,
    ticks: usize,
}

/// What came of a number of intervals.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) emissions: Vec<Emission>,
    /// The intervals whose batch failed, and why.
    pub(crate) errors: Vec<(u64, String)>,
}

trait Source {
    fn push(&self, partitions: Option<&[Vec<Value>]>) -> Checked<()>;
    fn name(&self) -> &'static str;
}

struct Named<T: Valued> {
    name: &'static str,
    input: TestInput<T>,
}

impl<T: Valued> Source for Named<T> {
    fn push(&self, partitions: Option<&[Vec<Value>]>) -> Checked<()> {
        let pushed = match partitions {
            Some(partitions) => self.input.push_batch(batch_of(partitions)?),
            None => self.input.push_absent(),
        };
        pushed.map_err(|error| error.to_string())
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

const SOURCES: [&str; 3] = ["inputs", "inputs2", "inputs3"];

impl Setting {
    /// The fields that it reads.
    pub(crate) const FIELDS: [&str; 5] = ["batch_ms", "partitions", "inputs", "inputs2", "inputs3"];

    pub(crate) fn new(case: &Fields<'_>) -> Checked<Setting> {
        let mut inputs = BTreeMap::new();
        for name in SOURCES {
            if case.get(name).is_some() {
                let batch = |json: &Json| match json {
                    Json::Null => Ok(None),
                    json => Value::list_of_json(json).map(Some),
                };
                inputs.insert(name, case.list(name)?.iter().map(batch).collect::<Checked<_>>()?);
            }
        }
        if case.text("kind")? != "construct_error" {
            case.list("inputs")?;
        }
        inputs.entry("inputs").or_default();
        let partitions = case.get("partitions").map(|_| case.number("partitions"));
        let partitions = partitions.transpose()?.unwrap_or(1) as usize;
        let (interval, tapes) = (case.millis("batch_ms")?, BTreeMap::new());
        Ok(Setting { interval, partitions, inputs, tapes })
    }

    /// With sources that go on where they stood.
    pub(crate) fn replayed(mut self) -> Checked<Setting> {
        for (name, batches) in &self.inputs {
            let batches = batches.iter().map(|batch| {
                let batch = batch.as_ref().ok_or("a source that goes back has all batches")?;
                Ok(batch.iter().map(Value::to_string).collect())
            });
            self.tapes.insert(name, Tape::new(batches.collect::<Checked<Vec<Vec<String>>>>()?));
        }
        Ok(self)
    }

    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    pub(crate) fn input_batches(&self) -> usize {
        self.inputs["inputs"].len()
    }

    /// The values of a source, all batches of it.
    fn values(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.inputs[name].iter().flatten().flatten()
    }

    /// Cut at the same places as Spark cuts what it is given.
    fn partitioned(&self, batch: &[Value]) -> Vec<Vec<Value>> {
        let (len, n) = (batch.len(), self.partitions);
        (0..n).map(|index| batch[index * len / n..(index + 1) * len / n].to_vec()).collect()
    }
}

pub(crate) fn context(interval: Duration, threads: usize) -> Checked<TestContext> {
    let builder = StreamingContext::builder("conformance");
    let builder = builder.batch_interval(interval).threads(threads);
    TestContext::with(builder).map_err(|error| error.to_string())
}

/// What a case makes of runs, whatever their streams are made of.
pub(crate) trait Check {
    /// Nothing, if no run starts since its streams are not for such a form.
    fn check<S: Stream>(&self, start: &Start<'_, S>) -> Checked<Option<()>>;
}

/// Starts a run of a context that is set up by a function.
pub(crate) type Start<'a, S> = dyn Fn(&dyn Fn(&TestContext)) -> Checked<Option<Run<S>>> + 'a;

/// Every form on every number of threads; fails at the first difference.
pub(crate) fn check_runs(
    setting: &Setting,
    pipeline: &[Json],
    check: &impl Check,
) -> Checked<Verdict> {
    let mut is_typed = false;
    for threads in THREADS {
        for form in [Form::Rows, Form::Columns, Form::Vectorised] {
            let within = |fault: String| format!("{form:?} on {threads} threads: {fault}");
            let checked = match form {
                Form::Rows if setting.tapes.is_empty() => check.check(&|set_up| {
                    rows::<Row<Value>>(setting, pipeline, threads, set_up).and_then(started)
                }),
                // What goes on from a checkpoint has to be in one.
                Form::Rows => check.check(&|set_up| {
                    rows::<Saved<Value>>(setting, pipeline, threads, set_up).and_then(started)
                }),
                Form::Columns | Form::Vectorised => check.check(&|set_up| {
                    let is_vectorised = form == Form::Vectorised;
                    let run = columns(setting, pipeline, threads, is_vectorised, set_up)?;
                    run.map_or(Ok(None), started)
                }),
            };
            is_typed |= checked.map_err(within)?.is_some() && form != Form::Rows;
        }
    }
    Ok(Verdict::Passed { is_typed })
}

fn started<S>(run: Result<Run<S>, Error>) -> Checked<Option<Run<S>>> {
    run.map(Some).map_err(|error| format!("the start failed: {error}"))
}

/// Starts the run of a pipeline over values of any shape; `set_up` may set the context up.
pub(crate) fn rows<R: AnyValue>(
    setting: &Setting,
    pipeline: &[Json],
    threads: usize,
    set_up: &dyn Fn(&TestContext),
) -> Checked<Result<Run<Rows<R>>, Error>> {
    let t = context(setting.interval, threads)?;
    set_up(&t);
    let (mut sources, mut streams) = (Vec::<Box<dyn Source>>::new(), BTreeMap::new());
    for &name in setting.inputs.keys() {
        let mut values = setting.values(name).peekable();
        let are_pairs =
            values.peek().is_some() && values.all(|value| <(R, R)>::parse(value).is_some());
        let stream = if are_pairs {
            Rows::Pairs(source(&t, setting, name, &mut sources)?)
        } else {
            Rows::Each(source(&t, setting, name, &mut sources)?)
        };
        streams.insert(name.to_owned(), stream);
    }
    let stream = build(pipeline, &streams["inputs"], &streams)?;
    let stream = stream.ok_or("rows are for every operator")?;
    Ok(start(t, stream, sources, setting))
}

/// Starts the run of a pipeline over typed columns, if it is for them.
fn columns(
    setting: &Setting,
    pipeline: &[Json],
    threads: usize,
    is_vectorised: bool,
    set_up: &dyn Fn(&TestContext),
) -> Checked<Option<Result<Run<Typed>, Error>>> {
    // Values of a source are of one type, unless there are none: then it may be any.
    let types: Vec<Vec<MakeTyped>> =
        setting.inputs.keys().map(|name| fits(setting, name)).collect();
    let mut choice = vec![0; types.len()];
    loop {
        if types.iter().zip(&choice).any(|(types, &index)| index >= types.len()) {
            return Ok(None);
        }
        let t = context(setting.interval, threads)?;
        set_up(&t);
        let (mut sources, mut streams) = (Vec::new(), BTreeMap::new());
        for ((&name, types), &index) in setting.inputs.keys().zip(&types).zip(&choice) {
            let stream = types[index](&t, setting, name, &mut sources, is_vectorised)?;
            streams.insert(name.to_owned(), stream);
        }
        if let Some(stream) = build(pipeline, &streams["inputs"], &streams)? {
            return Ok(Some(start(t, stream, sources, setting)));
        }
        // The next combination.
        let mut place = choice.len() - 1;
        choice[place] += 1;
        while place > 0 && choice[place] >= types[place].len() {
            choice[place] = 0;
            place -= 1;
            choice[place] += 1;
        }
    }
}

type MakeTyped =
    fn(&TestContext, &Setting, &'static str, &mut Vec<Box<dyn Source>>, bool) -> Checked<Typed>;

/// The types that all values of a source are of.
fn fits(setting: &Setting, name: &str) -> Vec<MakeTyped> {
    let mut types = Vec::new();
    macro_rules! try_types {
        ($($record:ty),* $(,)?) => {$(
            if setting.values(name).all(|value| <$record>::parse(value).is_some()) {
                types.push((|t, setting, name, sources, is_vectorised| {
                    let stream = source::<$record>(t, setting, name, sources)?;
                    Ok(Typed::new(&stream, is_vectorised))
                }) as MakeTyped);
            }
        )*};
    }
    try_types!(i64, String, (i64, i64), (i64, String), (String, i64), (String, String));
    try_types!(Vec<i64>, Vec<String>);
    types
}

fn source<T: Valued>(
    t: &TestContext,
    setting: &Setting,
    name: &'static str,
    sources: &mut Vec<Box<dyn Source>>,
) -> Checked<DStream<T>> {
    if let Some(tape) = setting.tapes.get(name) {
        let lines = t.context().receiver_stream(tape.player());
        let lines = lines.map_err(|error| error.to_string())?;
        return Ok(lines.map(|line| {
            let value = serde_json::from_str(line).map_err(|error| error.to_string());
            let value = must(value.and_then(|json| Value::of_json(&json)));
            T::parse(&value).expect("all values of a source are of its type")
        }));
    }
    let input = t.input::<T>();
    let stream = input.stream().clone();
    sources.push(Box::new(Named { name, input }));
    Ok(stream)
}

fn start<S: Stream>(
    t: TestContext,
    stream: S,
    sources: Vec<Box<dyn Source>>,
    setting: &Setting,
) -> Result<Run<S>, Error> {
    let emissions = stream.collect();
    t.context().start()?;
    Ok(Run { t, stream, emissions, sources, setting: setting.clone(), ticks: 0 })
}

impl<S: Stream> Run<S> {
    /// Runs so many intervals.
    pub(crate) fn tick(&mut self, intervals: usize) -> Checked<Outcome> {
        let mut outcome = Outcome::default();
        for _ in 0..intervals {
            for source in &self.sources {
                let batch = self.setting.inputs[source.name()].get(self.ticks);
                // After the last one there are empty batches, of as many partitions as ever.
                let batch = batch.map_or(Some(&[][..]), |batch| batch.as_deref());
                let partitions = batch.map(|batch| self.setting.partitioned(batch));
                source.push(partitions.as_deref())?;
            }
            self.ticks += 1;
            if let Err(error) = self.t.tick() {
                let batch = self.ticks as u64;
                outcome.errors.push((batch, checked_error(&error)?));
            }
            outcome.emissions.extend(self.emissions.take());
        }
        Ok(outcome)
    }
}

/// The text of an error that a case may expect.
fn checked_error(error: &Error) -> Checked<String> {
    let text = error.to_string();
    let is_fault = text.contains(FAULT);
    if is_fault || !matches!(error.kind(), ErrorKind::Closure | ErrorKind::Absent) {
        return Err(text);
    }
    Ok(text)
}
