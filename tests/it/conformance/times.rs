//! Cases of arithmetic on batch times and durations.

use std::time::Duration;

use tidemill::Time;

use super::fields::Fields;
use super::value::Value;
use super::{COMMON, Checked, Verdict};

pub(crate) fn time(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &["op", "args", "expected"]])?;
    let (op, args) = (case.text("op")?, case.numbers("args")?);
    let expected = case.get("expected").ok_or("nothing is expected")?;
    let expected = Value::of_json(expected)?;
    let name = case.text("name")?;
    let actual = match name.split(' ').next() {
        Some("Time") => of_times(op, &args)?,
        Some("Duration") => vec![of_durations(op, &args)?],
        _ => return Err(format!("{name:?} is neither about a Time nor a Duration")),
    };
    match actual.iter().find(|&actual| *actual != expected) {
        Some(actual) => Err(format!("expected {expected} but got {actual}")),
        None => Ok(Verdict::Passed { is_typed: false }),
    }
}

/// The result, in each of the ways in which a program would ask for it.
fn of_times(op: &str, args: &[u64]) -> Checked<Vec<Value>> {
    let times: Vec<Time> = args.iter().copied().map(Time::from_millis).collect();
    let durations: Vec<Duration> = args.iter().copied().map(Duration::from_millis).collect();
    let millis = |time: Time| Value::Int(time.millis() as i64);
    let all = |times: &mut dyn Iterator<Item = Time>| Value::List(times.map(millis).collect());
    Ok(vec![match (op, &times[..], &durations[..]) {
        ("floor", &[time, _], &[_, interval]) => millis(time.floor(interval)),
        ("isMultipleOf", &[time, _], &[_, interval]) => Value::Bool(time.is_multiple_of(interval)),
        ("plus", &[time, _], &[_, duration]) => millis(time + duration),
        ("minus", &[time, earlier], &[_, duration]) => {
            return Ok(vec![millis(time - duration), of_duration(time - earlier)]);
        }
        ("until", &[time, end, _], &[.., step]) => all(&mut time.until(end, step)),
        ("to", &[time, end, _], &[.., step]) => all(&mut time.to(end, step)),
        ("min", &[left, right], _) => millis(left.min(right)),
        ("max", &[left, right], _) => millis(left.max(right)),
        (op, &[left, right], _) => compared(op, left, right)?,
        _ => return Err(unknown(op, args)),
    }])
}

fn of_durations(op: &str, args: &[u64]) -> Checked<Value> {
    let durations: Vec<Duration> = args.iter().copied().map(Duration::from_millis).collect();
    Ok(match (op, &durations[..]) {
        ("isZero", &[duration]) => Value::Bool(duration.is_zero()),
        ("plus", &[left, right]) => of_duration(left + right),
        ("minus", &[left, right]) => of_duration(left - right),
        ("times", &[duration, _]) => {
            of_duration(duration * u32::try_from(args[1]).map_err(|_| unknown(op, args))?)
        }
        ("div", &[left, right]) => Value::float(left.div_duration_f64(right)),
        // A duration is to another as the time so long after the epoch is.
        ("isMultipleOf", &[_, interval]) => {
            Value::Bool(Time::from_millis(args[0]).is_multiple_of(interval))
        }
        ("min", &[left, right]) => of_duration(left.min(right)),
        ("max", &[left, right]) => of_duration(left.max(right)),
        (op, &[left, right]) => compared(op, left, right)?,
        _ => return Err(unknown(op, args)),
    })
}

fn compared<T: PartialOrd>(op: &str, left: T, right: T) -> Checked<Value> {
    Ok(Value::Bool(match op {
        "less" => left < right,
        "lessEq" => left <= right,
        "greater" => left > right,
        "greaterEq" => left >= right,
        _ => return Err(format!("unknown operation {op:?} on times")),
    }))
}

fn of_duration(duration: Duration) -> Value {
    Value::Int(duration.as_millis() as i64)
}

fn unknown(op: &str, args: &[u64]) -> String {
    format!("unknown operation {op:?} on times, of {args:?}")
}
