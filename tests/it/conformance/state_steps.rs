//! Cases of what a record does to the state of its key, `state_step` and `state_multi`: the states
//! before it, and when they were touched last, and the same afterwards.
//!
//! When a key was touched is known by when it times out. So a program makes the states, runs the
//! batch in question and leaves a checkpoint; another one goes on from that with a timeout, and
//! waits for each key to time out.

use std::path::Path;
use std::slice;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{Error, Key, Saved};

use super::emission::ANY_ORDER;
use super::fields::Fields;
use super::functions::must;
use super::run::{THREADS, context};
use super::value::{Addend, Value, Valued};
use super::{COMMON, Checked, Verdict};

const BATCH: [&str; 5] = ["fn", "batch_time", "initial", "data", "expected_states"];

/// The state's name, which both programs have.
const STATE: &str = "state.v1";

/// A batch, and what there is before and after it.
struct Step {
    /// What a value says.
    command: fn(&Value) -> Checked<Command>,
    time: u64,
    initial: Vec<Touched>,
    /// Keys and values.
    data: Vec<Value>,
    /// Keys idle for longer are removed.
    timeout: Option<Duration>,
    /// Only if keys time out at all.
    is_scanned: bool,
    expected: Vec<Touched>,
    /// What else is expected: what is emitted, what times out, what is removed.
    told: Option<[Vec<Value>; 3]>,
}

/// A state, and when its key was touched.
struct Touched {
    key: Value,
    state: Value,
    last: u64,
}

/// What a record has the function do.
enum Command {
    Nothing,
    Emit,
    /// By one, from zero up.
    Increment,
    Remove,
}

/// What a row of the trial tells.
const EMITTED: i64 = 0;
const TIMED_OUT: i64 = 1;
const REMOVED: i64 = 2;

/// One key, of which the case gives states and values only.
pub(crate) fn state_step(case: &Fields<'_>) -> Checked<Verdict> {
    let told = ["expected_output", "expected_timed_out", "expected_removed"];
    case.only(&[&COMMON, &BATCH, &["key", "timeout_threshold", "full_scan"], &told])?;
    let (key, time) = (Value::text(case.text("key")?), case.number("batch_time")?);
    let threshold = case.get("timeout_threshold").map(|_| case.number("timeout_threshold"));
    let timeout = match threshold.transpose()? {
        None => None,
        Some(threshold) => Some(time.checked_sub(threshold).ok_or("a threshold to come")?),
    };
    let with_key = |states: Vec<Value>| -> Vec<Value> {
        let with_key = |state: Value| match state {
            Value::List(items) => Value::List([slice::from_ref(&key), &items[..]].concat()),
            other => other,
        };
        states.into_iter().map(with_key).collect()
    };
    let data = case.values("data")?.into_iter().map(|value| Value::pair(key.clone(), value));
    check(&Step {
        command: command(case)?,
        time,
        initial: touched(with_key(case.values("initial")?))?,
        data: data.collect(),
        timeout: timeout.map(Duration::from_millis),
        is_scanned: case.bool("full_scan")?,
        expected: touched(with_key(case.values("expected_states")?))?,
        told: Some([case.values(told[0])?, case.values(told[1])?, case.values(told[2])?]),
    })
}

/// Several keys, without a timeout.
pub(crate) fn state_multi(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &BATCH])?;
    check(&Step {
        command: command(case)?,
        time: case.number("batch_time")?,
        initial: touched(case.values("initial")?)?,
        data: case.values("data")?,
        timeout: None,
        is_scanned: false,
        expected: touched(case.values("expected_states")?)?,
        told: None,
    })
}

fn command(case: &Fields<'_>) -> Checked<fn(&Value) -> Checked<Command>> {
    match case.text("fn")? {
        "command" => Ok(|value| match value {
            Value::Text(text) => match text.as_str() {
                "noop" => Ok(Command::Nothing),
                "get-state" => Ok(Command::Emit),
                "update-state" => Ok(Command::Increment),
                "remove-state" => Ok(Command::Remove),
                _ => Err(format!("unknown command {text:?}")),
            },
            other => Err(format!("{other} is no command")),
        }),
        "code_0noop_1inc_2remove" => Ok(|value| match value {
            Value::Int(0) => Ok(Command::Nothing),
            Value::Int(1) => Ok(Command::Increment),
            Value::Int(2) => Ok(Command::Remove),
            other => Err(format!("unknown code {other}")),
        }),
        name => Err(format!("unknown function {name:?} of a step")),
    }
}

/// Keys, states and times.
fn touched(states: Vec<Value>) -> Checked<Vec<Touched>> {
    let touched = |state| match state {
        Value::List(items) => match <[Value; 3]>::try_from(items) {
            Ok([key, state, Value::Int(last)]) if last >= 0 => {
                Ok(Touched { key, state, last: last as u64 })
            }
            _ => Err("a state has a key, itself and a time".to_owned()),
        },
        other => Err(format!("{other} is no state")),
    };
    states.into_iter().map(touched).collect()
}

fn check(step: &Step) -> Checked<Verdict> {
    let mut is_typed = false;
    for threads in THREADS {
        let within = |fault: String| format!("{threads} threads: {fault}");
        type Any = Saved<Value>;
        tried::<Any, Any, Any>(step, threads).map_err(within)?.ok_or("any value is a row")?;
        for typed in [tried::<String, i64, i64>, tried::<String, String, i64>] {
            is_typed |= typed(step, threads).map_err(within)?.is_some();
        }
    }
    Ok(Verdict::Passed { is_typed })
}

/// With keys, values and states of these types, if they are of these.
fn tried<K, V, S>(step: &Step, threads: usize) -> Checked<Option<()>>
where
    K: Valued + Key,
    V: Valued,
    S: Addend,
{
    let initial = step.initial.iter().map(|touched| {
        Some((touched.last, (K::parse(&touched.key)?, (S::parse(&touched.state), None))))
    });
    let Some(initial) = initial.collect::<Option<Vec<(u64, Fed<K, V, S>)>>>() else {
        return Ok(None);
    };
    let data = step.data.iter().map(|pair| {
        let (key, value) = pair.as_pair()?;
        Ok(K::parse(key).zip(V::parse(value)).map(|(key, value)| (key, (None, Some(value)))))
    });
    let Some(data) = data.collect::<Checked<Option<Vec<Fed<K, V, S>>>>>()? else {
        return Ok(None);
    };
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let told = trial(step, threads, directory.path(), initial, data)?;
    for (number, what) in [(EMITTED, "output"), (TIMED_OUT, "timed out"), (REMOVED, "removed")] {
        let told: Vec<Value> = told
            .iter()
            .filter(|(kind, _)| *kind == number)
            .map(|(_, state)| S::value(state.to_ref()))
            .collect();
        if let Some(expected) = &step.told {
            ANY_ORDER.check(what, &expected[number as usize], &told)?;
        }
    }
    let row = |key: Value, state: Value, last: u64| {
        Value::List(vec![key, state, Value::Int(last as i64)])
    };
    let expected: Vec<Value> = step
        .expected
        .iter()
        .map(|touched| row(touched.key.clone(), touched.state.clone(), touched.last))
        .collect();
    let actual: Vec<Value> = asked::<K, V, S>(step, threads, directory.path())?
        .into_iter()
        .map(|(last, (key, state))| row(K::value(key.to_ref()), S::value(state.to_ref()), last))
        .collect();
    ANY_ORDER.check("states", &expected, &actual).map(Some)
}

/// A key with a state to begin with, or with a value.
type Fed<K, V, S> = (K, (Option<S>, Option<V>));

/// Batches between the epoch and the step's are as long as all times are multiples of.
fn interval(step: &Step) -> Duration {
    let times = step.initial.iter().chain(&step.expected).map(|touched| touched.last);
    let common = times.fold(step.time, |mut common, mut time| {
        while time != 0 {
            (common, time) = (time, common % time);
        }
        common
    });
    Duration::from_millis(common)
}

/// Makes the states, runs the batch, and leaves a checkpoint. Gives what the function told in it.
fn trial<K, V, S>(
    step: &Step,
    threads: usize,
    directory: &Path,
    initial: Vec<(u64, Fed<K, V, S>)>,
    data: Vec<Fed<K, V, S>>,
) -> Checked<Vec<(i64, S)>>
where
    K: Valued + Key,
    V: Valued,
    S: Addend,
{
    let text = |error: Error| error.to_string();
    let interval = interval(step);
    let batches = step.time / interval.as_millis() as u64;
    let mut t = context(interval, threads)?;
    t.context().checkpoint(directory, batches as u32);
    let rows = t.input::<Fed<K, V, S>>();
    let command = step.command;
    let integer = |integer: i64| S::parse(&Value::Int(integer)).ok_or("states are integers");
    let [zero, one, none] = [integer(0)?, integer(1)?, integer(-1)?];
    let mut states =
        rows.stream().map_with_state::<(i64, S), S, _>(STATE, move |_, value, state, out| {
            match value {
                None => out.push((TIMED_OUT, state.get())),
                Some((Some(initial), _)) => state.update(S::from_ref(initial)),
                Some((None, value)) => match must(command(&Option::<V>::value(value))) {
                    Command::Nothing => {}
                    Command::Emit if state.exists() => out.push((EMITTED, state.get())),
                    Command::Emit => out.push((EMITTED, none.to_ref())),
                    Command::Increment => {
                        let state_after = match state.get_option() {
                            Some(state) => S::sum(state, one.to_ref()),
                            None => zero.clone(),
                        };
                        state.update(state_after);
                    }
                    Command::Remove => {
                        if let Some(state) = state.get_option() {
                            out.push((REMOVED, state));
                        }
                        state.remove();
                    }
                },
            }
        });
    if let Some(timeout) = step.timeout {
        states = states.timeout(timeout);
        if !step.is_scanned {
            states = states.spark_timeout_scan(u32::MAX);
        }
    }
    let told = t.output(&*states);
    for batch in 1..=batches {
        let time = batch * interval.as_millis() as u64;
        // What was touched at the batch's own time is made in it, before its data.
        let made = initial.iter().filter(|(last, _)| *last == time).map(|(_, row)| row.clone());
        let data = if batch == batches { &data[..] } else { &[] };
        told.take();
        rows.push(made.chain(data.iter().cloned())).map_err(text)?;
        t.tick().map_err(text)?;
    }
    Ok(told.take())
}

/// Goes on from the checkpoint, and gives what times out with the time at which it was touched.
fn asked<K, V, S>(step: &Step, threads: usize, directory: &Path) -> Checked<Vec<(u64, (K, S))>>
where
    K: Valued + Key,
    V: Valued,
    S: Valued,
{
    let interval = interval(step);
    // The first batch is the one after the step's: nothing has timed out by then.
    let timeout = Duration::from_millis(step.time);
    let mut t = context(interval, threads)?;
    t.context().checkpoint(directory, u32::MAX);
    let rows = t.input::<Fed<K, V, S>>();
    let states = rows.stream().map_with_state::<(K, S), S, _>(STATE, |key, _, state, out| {
        let pair = (K::from_ref(key), S::from_ref(state.get()));
        out.push(pair.to_ref());
    });
    let asked = t.output(&*states.timeout(timeout));
    let mut touched = Vec::new();
    for _ in 0..=step.time / interval.as_millis() as u64 {
        t.tick().map_err(|error| error.to_string())?;
        let last = (t.clock().now() - timeout - interval).millis();
        touched.extend(asked.take().into_iter().map(|state| (last, state)));
    }
    let left = t.context().state_by_key::<K, S>(STATE).and_then(|states| states.keys());
    match left.map_err(|error| error.to_string())? {
        0 => Ok(touched),
        left => Err(format!("{left} keys do not time out")),
    }
}
