//! The case of what a function of `mapWithState` may do with its key's state, `state_api`.
//!
//! Spark's handle also says whether it was updated or removed. Ours shows that by what becomes of
//! the state: an update is there after the batch, and after a removal both calls are refused.

use std::time::Duration;

use tidemill::{Error, ErrorKind, Key, State};

use super::fields::Fields;
use super::rows::Any;
use super::run::{THREADS, context};
use super::value::{Value, Valued};
use super::{COMMON, Checked, Verdict};

const STATE: &str = "handle.v1";

/// What a handle stands for, and what is done with it.
#[derive(Clone)]
struct Handle {
    committed: Option<i64>,
    is_timing_out: bool,
    calls: Vec<Call>,
}

#[derive(Copy, Clone, Debug)]
enum Call {
    Get,
    Update(i64),
    Remove,
}

/// What a handle says after its calls, and the state after its batch.
#[derive(Debug)]
struct Seen<S> {
    exists: bool,
    state: Option<S>,
    is_timing_out: bool,
    after: Option<S>,
}

pub(crate) fn state_api(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &["steps"]])?;
    for threads in THREADS {
        let mut handle = None;
        for json in case.list("steps")? {
            let step = Fields::new("a step", json)?;
            let said = ["exists", "getOption", "updated", "removed", "timingOut"];
            step.only(&[&["do", "then_illegal"], &said])?;
            let what = step.text("do")?;
            let handle = next(&mut handle, what)?;
            let within = |fault| format!("{what:?} on {threads} threads: {fault}");
            check::<Any, Any>(&step, handle, threads).map_err(within)?;
            check::<String, i64>(&step, handle, threads).map_err(within)?;
        }
    }
    Ok(Verdict::Passed { is_typed: true })
}

/// The handle after a step: a new one, or the one before with calls more.
fn next<'a>(handle: &'a mut Option<Handle>, what: &str) -> Checked<&'a Handle> {
    for part in what.split("; ") {
        let number = |call: &str| -> Option<i64> {
            part.strip_prefix(call)?.strip_prefix('(')?.strip_suffix(')')?.parse().ok()
        };
        let new = |committed, is_timing_out| Handle { committed, is_timing_out, calls: Vec::new() };
        if let ("new" | "wrap(None)", _) | (_, Some(_)) = (part, number("wrap")) {
            *handle = Some(new(number("wrap"), false));
        } else if let Some(state) = number("wrapTimingOut") {
            *handle = Some(new(Some(state), true));
        } else {
            let call = match (part, number("update")) {
                ("remove()", _) => Call::Remove,
                (_, Some(state)) => Call::Update(state),
                _ => return Err(format!("unknown step {part:?}")),
            };
            handle.as_mut().ok_or("there is no handle yet")?.calls.push(call);
        }
    }
    handle.as_ref().ok_or_else(|| format!("no handle comes of {what:?}"))
}

fn check<K, S>(step: &Fields<'_>, handle: &Handle, threads: usize) -> Checked<()>
where
    K: Valued + Key,
    S: Valued + PartialEq + std::fmt::Debug,
{
    let seen = run::<K, S>(handle, None, threads)?.map_err(|error| error.to_string())?;
    let is_refused = |call| -> Checked<bool> {
        match run::<K, S>(handle, Some(call), threads)? {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Closure => Ok(true),
            Err(error) => Err(error.to_string()),
        }
    };
    let (update, remove) = (is_refused(Call::Update(7))?, is_refused(Call::Remove)?);
    let before = handle.committed.and_then(|state| S::parse(&Value::Int(state)));
    let state = seen.state.as_ref().map_or(Value::Null, |state| S::value(state.to_ref()));
    let is_updated = seen.after.is_some() && seen.after != before;
    let is_removed = update && remove && !seen.is_timing_out && seen.after.is_none();
    for (name, actual) in [
        ("exists", Value::Bool(seen.exists)),
        ("getOption", state),
        ("updated", Value::Bool(is_updated)),
        ("removed", Value::Bool(is_removed)),
        ("timingOut", Value::Bool(seen.is_timing_out)),
    ] {
        let expected = step.get(name).map_or(Ok(Value::Null), Value::of_json)?;
        if expected != actual {
            return Err(format!("{name}: expected {expected} but got {actual}"));
        }
    }
    let illegal = match step.get("then_illegal") {
        Some(_) => step.values("then_illegal")?,
        None => Vec::new(),
    };
    let refused = [(remove, "remove"), (update, "update")].into_iter();
    let refused = refused.filter(|(is_refused, _)| *is_refused).map(|(_, name)| Value::text(name));
    let refused: Vec<Value> = refused.collect();
    if refused != illegal {
        return Err(format!("illegal: expected {illegal:?} but got {refused:?}"));
    }
    if is_refused(Call::Get)? == seen.exists {
        return Err("get() is for states that exist, and for no others".into());
    }
    Ok(())
}

/// A batch in which the calls are made, and then one more. That one may be refused; the others are
/// not, and then the state is as before.
fn run<K, S>(handle: &Handle, more: Option<Call>, threads: usize) -> Checked<Result<Seen<S>, Error>>
where
    K: Valued + Key,
    S: Valued + PartialEq + std::fmt::Debug,
{
    let text = |error: Error| error.to_string();
    let second = Duration::from_secs(1);
    let mut t = context(second, threads)?;
    let input = t.input::<(K, Option<S>)>();
    let state_of = |integer| S::parse(&Value::Int(integer)).expect("states may be integers");
    let calls = handle.calls.clone();
    let mut states = input.stream().map_with_state::<(bool, Option<S>, bool), S, _>(
        STATE,
        move |_, value, state, out| {
            if let Some(Some(committed)) = value {
                return state.update(S::from_ref(committed));
            }
            let does = |state: &mut State<'_, S>, call| match call {
                Call::Get => drop(S::from_ref(state.get())),
                Call::Update(new) => state.update(state_of(new)),
                Call::Remove => state.remove(),
            };
            calls.iter().for_each(|&call| does(state, call));
            let seen = (state.exists(), state.get_option(), state.is_timing_out());
            out.push(seen);
            more.into_iter().for_each(|call| does(state, call));
        },
    );
    if handle.is_timing_out {
        states = states.timeout(second / 2);
    }
    let seen = t.output(&*states);
    let key = || K::parse(&Value::text("key")).expect("keys may be text");
    let committed = handle.committed.map(state_of);
    input.push(committed.clone().map(|state| (key(), Some(state)))).map_err(text)?;
    t.tick().map_err(text)?;
    let looked = t.context().state_by_key::<K, S>(STATE).map_err(text)?;
    let look = || {
        let state = looked.get(key().to_ref()).map_err(text)?;
        let all = looked.snapshot().map_err(text)?.to_vec();
        let is_all = all.iter().map(|(_, state)| state).eq(&state);
        if is_all { Ok(state) } else { Err("a snapshot has another state".to_owned()) }
    };
    if look()? != committed {
        return Err("the state to begin with is another one".into());
    }
    if !handle.is_timing_out {
        input.push([(key(), None)]).map_err(text)?;
    }
    if let Err(error) = t.tick() {
        return if look()? == committed { Ok(Err(error)) } else { Err("a failed change".into()) };
    }
    match &seen.take()[..] {
        [(exists, state, is_timing_out)] => Ok(Ok(Seen {
            exists: *exists,
            state: state.clone(),
            is_timing_out: *is_timing_out,
            after: look()?,
        })),
        others => Err(format!("the function was called {} times", others.len())),
    }
}
