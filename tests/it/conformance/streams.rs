//! The kinds of cases that are about what streams give: `stream`, `foreach_counts`,
//! `construct_error`, `queue` and `slice`.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tidemill::prelude::*;
use tidemill::{Error, ErrorKind};

use super::emission::{ANY_ORDER, Emission, Emissions, Order};
use super::fields::Fields;
use super::operator::{Stream, operators};
use super::rows::Any;
use super::run::{self, Check, Outcome, Setting, Start, THREADS, check_runs};
use super::value::{Value, Valued};
use super::{COMMON, Checked, Verdict};

/// What a `stream` case expects.
pub(crate) struct Expected {
    order: Order,
    batches: usize,
    interval: Duration,
    emissions: Vec<Vec<Value>>,
    is_nonempty_only: bool,
    /// Only the first ones are known.
    is_beginning: bool,
    emitted_at: Option<Vec<u64>>,
    partitions: Option<Vec<u64>>,
    failed: Vec<u64>,
}

impl Expected {
    /// These batches, one in each interval, in any number of partitions.
    pub(crate) fn batches(order: Order, interval: Duration, emissions: Vec<Vec<Value>>) -> Self {
        Expected {
            order,
            batches: emissions.len(),
            interval,
            emissions,
            is_nonempty_only: false,
            is_beginning: false,
            emitted_at: None,
            partitions: None,
            failed: Vec::new(),
        }
    }
}

impl Check for Expected {
    fn check<S: Stream>(&self, start: &Start<'_, S>) -> Checked<Option<()>> {
        let Some(mut run) = start(&|_| {})? else { return Ok(None) };
        let Outcome { mut emissions, errors } = run.tick(self.batches)?;
        if !errors.iter().map(|(batch, _)| batch).eq(&self.failed) {
            return Err(format!("batches {:?} shall fail, but these do: {errors:?}", self.failed));
        }
        if self.is_nonempty_only {
            emissions.retain(|emission| !emission.rows.is_empty());
        }
        if self.is_beginning {
            emissions.truncate(self.emissions.len());
        }
        let rows: Vec<_> = emissions.iter().map(|emission| emission.rows.clone()).collect();
        self.order.check_all(&self.emissions, &rows)?;
        let millis = self.interval.as_millis() as u64;
        let at = |emission: &Emission| emission.time.millis() / millis;
        check_numbers("emitted at batches", &self.emitted_at, emissions.iter().map(at))?;
        let partitions = emissions.iter().map(|emission| emission.partitions as u64);
        check_numbers("numbers of partitions", &self.partitions, partitions).map(Some)
    }
}

fn check_numbers(
    what: &str,
    expected: &Option<Vec<u64>>,
    actual: impl Iterator<Item = u64>,
) -> Checked<()> {
    let actual: Vec<u64> = actual.collect();
    match expected {
        Some(expected) if *expected != actual => {
            Err(format!("{what}: expected {expected:?} but got {actual:?}"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn order(case: &Fields<'_>) -> Checked<Order> {
    let of_lists = match case.get("inner").map(|_| case.text("inner")).transpose()? {
        None | Some("list") => true,
        Some("bag") => false,
        Some(other) => return Err(format!("unknown inner {other:?}")),
    };
    Ok(Order { of_rows: case.bool("order_matters")?, of_lists })
}

const STREAM: [&str; 11] = [
    "pipeline",
    "expected",
    "order_matters",
    "num_batches",
    "inner",
    "collect",
    "expect_error_at_batch",
    "failed_batches",
    "sane_alternative",
    "expected_num_partitions",
    "emit_at_batches",
];

pub(crate) fn stream(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &Setting::FIELDS, &STREAM, &["expected_state_snapshots"]])?;
    let pipeline = case.list("pipeline")?;
    let operators = operators(pipeline)?;
    let optional = |name| case.get(name).map(|_| case.numbers(name)).transpose();
    let is_nonempty_only = match case.get("collect").map(|_| case.text("collect")).transpose()? {
        None => false,
        Some("nonempty") => true,
        Some(other) => return Err(format!("unknown collect {other:?}")),
    };
    let mut failed = optional("failed_batches")?.unwrap_or_default();
    if case.get("expect_error_at_batch").is_some() {
        failed.push(case.number("expect_error_at_batch")?);
    }
    let setting = Setting::new(case)?;
    let mut expected = Expected {
        batches: case.number("num_batches")? as usize,
        is_nonempty_only,
        emitted_at: optional("emit_at_batches")?,
        partitions: optional("expected_num_partitions")?,
        failed,
        ..Expected::batches(order(case)?, setting.interval(), case.batches("expected")?)
    };
    if case.get("sane_alternative").is_some() {
        // Values that cancel each other out fail a batch in Spark. Here none fails, and each gives
        // what a window that is computed anew gives.
        expected.emissions = case.batches("sane_alternative")?;
        expected.is_beginning = true;
        expected.emitted_at = None;
        expected.failed.clear();
        if !operators.iter().any(|operator| operator.fields.get("inverse").is_some()) {
            return Err("a sane alternative to what is no window with an inverse".into());
        }
        let slides =
            operators.iter().filter_map(|operator| operator.fields.millis("slide_ms").ok());
        let slide = slides.chain([setting.interval()]).max().expect("one is there");
        let intervals = slide.as_millis().div_ceil(setting.interval().as_millis()) as usize;
        expected.batches = expected.batches.max(expected.emissions.len() * intervals);
    }
    let mut verdict = check_runs(&setting, pipeline, &expected)?;
    if case.get("expected_state_snapshots").is_some() {
        let snapshots = case.batches("expected_state_snapshots")?;
        let snapshots = Expected {
            batches: expected.batches,
            ..Expected::batches(ANY_ORDER, setting.interval(), snapshots)
        };
        let pipeline = with_last_state(pipeline, "output", json!("snapshots"))?;
        verdict = check_runs(&setting, &pipeline, &snapshots)?;
    }
    Ok(verdict)
}

/// The pipeline with a field more of its last operator, which has to be `mapWithState`.
pub(crate) fn with_last_state(pipeline: &[Json], field: &str, value: Json) -> Checked<Vec<Json>> {
    let mut pipeline = pipeline.to_vec();
    match pipeline.last_mut() {
        Some(Json::Object(operator)) if operator["op"] == "mapWithState" => {
            operator.insert(field.to_owned(), value);
            Ok(pipeline)
        }
        _ => Err("the last operator is not mapWithState, whose states shall be looked at".into()),
    }
}

/// How often an output is called, and with how many rows.
struct Counts {
    batches: usize,
    calls: u64,
    rows: u64,
}

impl Check for Counts {
    fn check<S: Stream>(&self, start: &Start<'_, S>) -> Checked<Option<()>> {
        let Some(mut run) = start(&|_| {})? else { return Ok(None) };
        let Outcome { emissions, errors } = run.tick(self.batches)?;
        if !errors.is_empty() {
            return Err(format!("no batch shall fail, but these do: {errors:?}"));
        }
        let calls = emissions.len() as u64;
        let rows = emissions.iter().map(|emission| emission.rows.len() as u64).sum::<u64>();
        if (calls, rows) != (self.calls, self.rows) {
            let Counts { calls: expected, rows: of, .. } = self;
            return Err(format!(
                "expected {expected} calls with {of} rows, got {calls} with {rows}"
            ));
        }
        Ok(Some(()))
    }
}

pub(crate) fn foreach_counts(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["num_batches", "expected_counts", "pipeline", "order_matters"];
    case.only(&[&COMMON, &Setting::FIELDS, &known])?;
    let expected = case.fields("expected_counts")?;
    expected.only(&[&["batches", "elements"]])?;
    let counts = Counts {
        batches: case.number("num_batches")? as usize,
        calls: expected.number("batches")?,
        rows: expected.number("elements")?,
    };
    check_runs(&Setting::new(case)?, pipeline_or_none(case)?, &counts)
}

fn pipeline_or_none<'a>(case: &Fields<'a>) -> Checked<&'a [Json]> {
    if case.get("pipeline").is_some() { case.list("pipeline") } else { Ok(&[]) }
}

pub(crate) fn construct_error(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &Setting::FIELDS, &["pipelines"]])?;
    let setting = Setting::new(case)?;
    for (pipeline, threads) in case.list("pipelines")?.iter().zip(THREADS.iter().cycle()) {
        let operators_of = pipeline.as_array().ok_or("a pipeline is no list")?;
        let error = match run::rows::<Any>(&setting, operators_of, *threads, &|_| {})? {
            Ok(_) => return Err(format!("{pipeline} was accepted")),
            Err(error) => error,
        };
        if !matches!(error.kind(), ErrorKind::Config | ErrorKind::State) {
            return Err(format!("{pipeline} failed by {:?}: {error}", error.kind()));
        }
        // One who reads it has to see which of the values it is.
        let all = operators(operators_of)?;
        let spans = all.iter().filter_map(|operator| operator.span(setting.interval()).ok());
        let mut durations = spans.flat_map(|(window, slide)| [window, slide]);
        if !durations.any(|duration| error.to_string().contains(&format!("{duration:?}"))) {
            return Err(format!("{pipeline} failed without its values: {error}"));
        }
    }
    Ok(Verdict::Passed { is_typed: false })
}

pub(crate) fn queue(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["one_at_a_time", "enqueued_before_batch", "expected", "order_matters"];
    case.only(&[&COMMON, &["batch_ms"], &known])?;
    let batches = case.list("enqueued_before_batch")?.iter().map(|json| {
        let items = json.as_array().ok_or("what is queued is no list")?;
        items.iter().map(Value::list_of_json).collect::<Checked<Vec<_>>>()
    });
    let batches = batches.collect::<Checked<Vec<_>>>()?;
    let mut is_typed = false;
    for threads in THREADS {
        queued::<Any>(case, &batches, threads).expect("any value is a row")?;
        for typed in [queued::<i64>, queued::<String>, queued::<(String, i64)>] {
            if let Some(checked) = typed(case, &batches, threads) {
                checked?;
                is_typed = true;
            }
        }
    }
    Ok(Verdict::Passed { is_typed })
}

/// With rows of this type, if they are of it.
fn queued<T: Valued>(
    case: &Fields<'_>,
    batches: &[Vec<Vec<Value>>],
    threads: usize,
) -> Option<Checked<()>> {
    let parse = |item: &Vec<Value>| item.iter().map(T::parse).collect::<Option<Vec<T>>>();
    let parse_all = |items: &Vec<Vec<Value>>| items.iter().map(parse).collect::<Option<Vec<_>>>();
    let batches = batches.iter().map(parse_all).collect::<Option<Vec<_>>>()?;
    let run = || {
        let text = |error: Error| error.to_string();
        let mut t = run::context(case.millis("batch_ms")?, threads)?;
        let is_one_at_a_time = case.bool("one_at_a_time")?;
        let (stream, queue) = if is_one_at_a_time {
            t.context().queue_stream::<T>().map_err(text)?
        } else {
            t.context().queue_stream_all::<T>().map_err(text)?
        };
        let emissions = Emissions::collect(&stream);
        let mut rows = Vec::new();
        for items in batches {
            let queued = items.len();
            for item in items {
                queue.push(item).map_err(text)?;
            }
            t.tick().map_err(text)?;
            let emitted = emissions.take();
            if !is_one_at_a_time && queued == 0 && emitted.len() != 1 {
                return Err("with nothing queued there is one batch, an empty one".into());
            }
            rows.extend(emitted.into_iter().map(|emission| emission.rows));
        }
        // Spark's tests leave empty batches out of their comparison.
        rows.retain(|rows| !rows.is_empty());
        order(case)?.check_all(&case.batches("expected")?, &rows)
    };
    Some(run().map_err(|fault: String| format!("{threads} threads: {fault}")))
}

/// Slices, once all batches have been.
struct Slices {
    order: Order,
    batches: usize,
    remembered: Duration,
    queries: Vec<(Time, Time, Vec<Value>)>,
}

impl Check for Slices {
    fn check<S: Stream>(&self, start: &Start<'_, S>) -> Checked<Option<()>> {
        let Some(mut run) = start(&|t| t.context().remember(self.remembered))? else {
            return Ok(None);
        };
        let Outcome { errors, .. } = run.tick(self.batches)?;
        if !errors.is_empty() {
            return Err(format!("no batch shall fail, but these do: {errors:?}"));
        }
        for (from, to, expected) in &self.queries {
            let sliced = run.stream.slice(*from, *to).map_err(|error| error.to_string())?;
            self.order.check(&format!("slice from {from} to {to}"), expected, &sliced.concat())?;
        }
        Ok(Some(()))
    }
}

pub(crate) fn slice(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["offset_ms", "queries", "order_matters", "pipeline"];
    case.only(&[&COMMON, &Setting::FIELDS, &known])?;
    let setting = Setting::new(case)?;
    let offset = case.get("offset_ms").map(|_| case.number("offset_ms"));
    let offset = offset.transpose()?.unwrap_or(0);
    let query = |json: &Json| {
        let query = Fields::new("a query", json)?;
        query.only(&[&["from_ms", "to_ms", "expected"]])?;
        let expected = query.get("expected").ok_or("a query expects nothing")?;
        let time = |name| -> Checked<Time> { Ok(Time::from_millis(query.number(name)? + offset)) };
        Ok((time("from_ms")?, time("to_ms")?, Value::list_of_json(expected)?))
    };
    let queries = case.list("queries")?.iter().map(query).collect::<Checked<Vec<_>>>()?;
    // Spark makes the batches of a slice that are not there yet; here they have to be there.
    let last = queries.iter().map(|(_, to, _)| to.millis()).max().unwrap_or(0);
    let interval = setting.interval();
    let batches = setting.input_batches().max((last / interval.as_millis() as u64) as usize);
    let remembered = interval * (batches as u32 + 1);
    let check = Slices { order: order(case)?, batches, remembered, queries };
    check_runs(&setting, pipeline_or_none(case)?, &check)
}
