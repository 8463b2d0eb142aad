//! Operators with a state by key, written once for rows of any shape and for columns.

use tidemill::prelude::*;
use tidemill::{Key, KeyedState, MappedState, State};

use super::Checked;
use super::functions::must;
use super::operator::Operator;
use super::value::{Addend, Idle, Valued};

/// What a stream becomes in a case, whatever it is one of.
pub(crate) trait Made: Sized {
    fn of_rows<T: Valued>(stream: &DStream<T>) -> Self;
    fn of_pairs<K: Valued, V: Valued>(stream: &DStream<(K, V)>) -> Self;
}

/// The stream that an operator with a state makes of pairs, if it is such an operator, and begins
/// with states of the type that its function keeps.
pub(crate) fn keyed<K, V, M>(pairs: &DStream<(K, V)>, operator: &Operator<'_>) -> Checked<Option<M>>
where
    K: Addend + Key,
    V: Addend,
    M: Made,
{
    match operator.name {
        "updateStateByKey" => updated(pairs, operator),
        "mapWithState" => mapped(pairs, operator),
        _ => Ok(None),
    }
}

fn updated<K, V, M>(pairs: &DStream<(K, V)>, operator: &Operator<'_>) -> Checked<Option<M>>
where
    K: Addend + Key,
    V: Addend,
    M: Made,
{
    let name = &operator.state;
    match operator.function()? {
        "running_sum" => {
            let sums = pairs.update_state_by_key::<V, _>(name, |values, sum| {
                values.iter().fold(sum.map(V::from_ref), |sum, value| {
                    Some(match sum {
                        Some(sum) => V::sum(sum.to_ref(), value),
                        None => V::from_ref(value),
                    })
                })
            });
            begun(sums, operator)
        }
        "append_values" => {
            let lists = pairs.update_state_by_key::<Vec<V>, _>(name, |values, list| {
                let before = list.into_iter().flat_map(|list| list.iter());
                Some(before.chain(values.iter()).map(V::from_ref).collect())
            });
            begun(lists, operator)
        }
        "add_batch_time_if_data" => {
            let times = pairs.update_state_by_key_with::<i64, _>(name, |time, _, values, sum| {
                let sum = sum.unwrap_or(0);
                Some(if values.is_empty() { sum } else { sum + time.millis() as i64 })
            });
            begun(times, operator)
        }
        "count_expire_after_2_idle" => {
            let counts = pairs.update_state_by_key::<Idle, _>(name, |values, state| {
                let integer = |value| i64::parse(&V::value(value)).ok_or("no integer".to_owned());
                let sum: i64 = values.iter().map(|value| must(integer(value))).sum();
                let Idle { counter, idle } =
                    state.map_or(Idle { counter: 0, idle: 0 }, Idle::from_ref);
                let idle = if sum == 0 { idle + 1 } else { 0 };
                (idle < 2).then_some(Idle { counter: counter + sum, idle })
            });
            begun(counts, operator)
        }
        name => Err(format!("unknown function {name:?} of updateStateByKey")),
    }
}

fn begun<K, S, M>(state: KeyedState<K, S>, operator: &Operator<'_>) -> Checked<Option<M>>
where
    K: Valued + Key,
    S: Valued,
    M: Made,
{
    Ok(operator.initial()?.map(|initial| M::of_pairs(&*state.initial(initial))))
}

fn mapped<K, V, M>(pairs: &DStream<(K, V)>, operator: &Operator<'_>) -> Checked<Option<M>>
where
    K: Addend + Key,
    V: Addend,
    M: Made,
{
    let name = &operator.state;
    match operator.function()? {
        "sum_emit_sum" => {
            let sums = pairs.map_with_state::<V, V, _>(name, |_, value, state, out| {
                out.push(sum_up(value, state).to_ref());
            });
            set(sums, operator, M::of_rows)
        }
        "sum_emit_key_twice" => {
            let keys = pairs.map_with_state::<K, V, _>(name, |key, value, state, out| {
                sum_up(value, state);
                out.push(K::sum(key, key).to_ref());
            });
            set(keys, operator, M::of_rows)
        }
        "sum_emit_pair" => {
            let sums = pairs.map_with_state::<(K, V), V, _>(name, |key, value, state, out| {
                let pair = (K::from_ref(key), sum_up(value, state));
                out.push(pair.to_ref());
            });
            set(sums, operator, M::of_pairs)
        }
        "sum_emit_none" => {
            let nothing = pairs.map_with_state::<V, V, _>(name, |_, value, state, _| {
                sum_up(value, state);
            });
            set(nothing, operator, M::of_rows)
        }
        "toggle_remove_emit_key" => {
            let keys = pairs.map_with_state::<K, V, _>(name, |key, value, state, out| {
                if state.exists() {
                    state.remove();
                    out.push(key);
                } else if let Some(value) = value {
                    state.update(V::from_ref(value));
                }
            });
            set(keys, operator, M::of_rows)
        }
        "set1_emit_key_on_timeout" => {
            let keys = pairs.map_with_state::<K, i64, _>(name, |key, value, state, out| {
                if value.is_some() {
                    state.update(1);
                }
                if state.is_timing_out() {
                    out.push(key);
                }
            });
            set(keys, operator, M::of_rows)
        }
        name => Err(format!("unknown function {name:?} of mapWithState")),
    }
}

/// Adds a value to a state.
fn sum_up<V: Addend>(value: Option<V::Ref<'_>>, state: &mut State<'_, V>) -> V {
    let sum = match (value, state.get_option()) {
        (Some(value), Some(sum)) => V::sum(value, sum),
        (Some(value), None) => V::from_ref(value),
        (None, Some(sum)) => V::from_ref(sum),
        (None, None) => unreachable!("a call has a value or a state"),
    };
    state.update(sum.clone());
    sum
}

/// What the operator says beside its function, and which of its streams it gives.
fn set<K, S, T, M>(
    mut mapped: MappedState<K, S, T>,
    operator: &Operator<'_>,
    made: fn(&DStream<T>) -> M,
) -> Checked<Option<M>>
where
    K: Valued + Key,
    S: Valued,
    T: Valued,
    M: Made,
{
    let Some(initial) = operator.initial()? else { return Ok(None) };
    mapped = mapped.initial(initial);
    let fields = &operator.fields;
    if fields.get("timeout_ms").is_some() {
        mapped = mapped.timeout(fields.millis("timeout_ms")?);
    }
    if fields.get("scan_every").is_some() {
        mapped = mapped.spark_timeout_scan(fields.number("scan_every")? as u32);
    }
    match fields.get("output").map(|_| fields.text("output")).transpose()? {
        None => Ok(Some(made(&mapped))),
        Some("snapshots") => Ok(Some(M::of_pairs(&mapped.snapshots()))),
        Some(other) => Err(format!("unknown output {other:?} of mapWithState")),
    }
}
