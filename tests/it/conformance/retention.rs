//! Cases of which batches streams hold, and for how long: `retention`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidemill::TestInput;
use tidemill::prelude::*;

use super::fields::Fields;
use super::operator::{Stream, build};
use super::rows::Rows;
use super::run::{THREADS, context};
use super::value::Value;
use super::{COMMON, Checked, Verdict};

/// Streams may have to be in a checkpoint.
type Any = Saved<Value>;

pub(crate) fn retention(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["graph", "num_batches", "context_remember_ms"];
    let expected = ["expected_remember_ms", "expected_present_ms", "expected_absent_ms"];
    case.only(&[&COMMON, &["batch_ms"], &known, &expected])?;
    let graph = case.text("graph")?;
    let (graph, every) = match graph.split_once(", checkpoint every ") {
        None => (graph, None),
        Some((graph, every)) => (graph, Some(seconds(every).ok_or("no interval")?)),
    };
    let remember = case.get("context_remember_ms").map(|_| case.millis("context_remember_ms"));
    let mut remember = remember.transpose()?;
    for threads in THREADS {
        let within = |fault| format!("{threads} threads: {fault}");
        let run = |remember| Retained::run(case, graph, every, remember, threads);
        if let (None, Some(every)) = (remember, every) {
            // Spark keeps batches of what it makes checkpoints of for twice as long as there is
            // between two. Ours hold the states themselves, so no batches are kept for them:
            // whoever wants as many as Spark keeps asks for them.
            run(None).and_then(|retained| retained.check_none()).map_err(within)?;
            remember = Some(2 * every);
        }
        run(remember).and_then(|retained| retained.check(case)).map_err(within)?;
    }
    Ok(Verdict::Passed { is_typed: false })
}

/// Streams after a number of batches.
struct Retained {
    streams: BTreeMap<String, Rows<Any>>,
    now: Time,
    /// What remembers still runs.
    _running: (TestContext, TestInput<Any>),
}

impl Retained {
    fn run(
        case: &Fields<'_>,
        graph: &str,
        every: Option<Duration>,
        remember: Option<Duration>,
        threads: usize,
    ) -> Checked<Retained> {
        let text = |error: tidemill::Error| error.to_string();
        let interval = case.millis("batch_ms")?;
        let mut t = context(interval, threads)?;
        if let Some(remember) = remember {
            t.context().remember(remember);
        }
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        if every.is_some() {
            t.context().checkpoint(directory.path(), u32::MAX);
        }
        let input = t.input::<Any>();
        let streams = named_streams(graph, Rows::Each(input.stream().clone()), every)?;
        let batches = case.number("num_batches")?;
        for number in 0..batches {
            input.push([Saved(Value::Int(number as i64))]).map_err(text)?;
            t.tick().map_err(text)?;
        }
        if let Some(every) = every {
            let every = (every.as_millis() / interval.as_millis()) as u64;
            let last = t.context().metrics().checkpoints.last_batch;
            if last != batches / every * every {
                return Err(format!("the last checkpoint is of batch {last}"));
            }
        }
        Ok(Retained { streams, now: t.clock().now(), _running: (t, input) })
    }

    fn remembered(&self, name: &str) -> Checked<(Duration, Vec<Time>)> {
        let stream = self.streams.get(name);
        let stream = stream.ok_or_else(|| format!("no stream is called {name:?}"))?;
        Ok((stream.slide(), stream.remembered()))
    }

    fn check_none(&self) -> Checked<()> {
        for name in self.streams.keys() {
            let (_, actual) = self.remembered(name)?;
            if !actual.is_empty() {
                return Err(format!("{name} remembers {actual:?}, and nobody has asked for it"));
            }
        }
        Ok(())
    }

    fn check(&self, case: &Fields<'_>) -> Checked<()> {
        for (name, json) in case.fields("expected_remember_ms")?.iter() {
            let remember = json.as_u64().ok_or("a time to remember is no number")?;
            let remember = Duration::from_millis(remember);
            let (slide, actual) = self.remembered(name)?;
            let held = (Time::from_millis(0) + slide).to(self.now, slide);
            let held: Vec<Time> = held.filter(|&time| time + remember > self.now).collect();
            if held != actual {
                return Err(format!("{name} remembers {actual:?} but shall {held:?}"));
            }
        }
        for (field, is_present) in [("expected_present_ms", true), ("expected_absent_ms", false)] {
            let fields = case.fields(field)?;
            for (name, _) in fields.iter() {
                let (_, remembered) = self.remembered(name)?;
                for millis in fields.numbers(name)? {
                    if remembered.contains(&Time::from_millis(millis)) != is_present {
                        return Err(format!(
                            "{field}: {millis} of {name}, which has {remembered:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The streams of `input -> map -> window(2s,1s) [w1]`, by their labels or the operators' names.
/// The last one asks for checkpoints, if one does.
fn named_streams(
    graph: &str,
    input: Rows<Any>,
    every: Option<Duration>,
) -> Checked<BTreeMap<String, Rows<Any>>> {
    let mut streams = BTreeMap::new();
    let mut steps = graph.split(" -> ");
    if steps.next() != Some("input") {
        return Err(format!("graph {graph:?} does not begin with its input"));
    }
    let mut last = input;
    for step in steps {
        let labelled = step.strip_suffix(']').and_then(|step| step.split_once(" ["));
        let (step, label) = labelled.unwrap_or((step, step));
        let operator = operator(step).ok_or_else(|| format!("unknown step {step:?} of a graph"))?;
        last = build(&[operator], &last, &BTreeMap::new())?.ok_or("rows are for every operator")?;
        streams.insert(label.to_owned(), last.clone());
    }
    if let Some(every) = every {
        last.checkpoint(every);
    }
    last.collect();
    Ok(streams)
}

fn operator(step: &str) -> Option<Json> {
    let Some(span) = step.strip_prefix("window(") else {
        return match step {
            "map" => Some(json!({"op": "map", "fn": "identity"})),
            "map pair" => Some(json!({"op": "map", "fn": "pair_with_const", "arg": 1})),
            "updateStateByKey" => Some(json!({"op": step, "fn": "running_sum"})),
            _ => None,
        };
    };
    let (window, slide) = span.strip_suffix(')')?.split_once(',')?;
    let millis = |text| seconds(text).map(|duration| duration.as_millis() as u64);
    Some(json!({"op": "window", "window_ms": millis(window)?, "slide_ms": millis(slide)?}))
}

/// As `3s`.
fn seconds(text: &str) -> Option<Duration> {
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}
