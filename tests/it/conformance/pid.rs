//! Cases of the estimator of back-pressure.

use std::time::Duration;

use serde_json::Value as Json;
use tidemill::{ErrorKind, PidRateEstimator, Time};

use super::fields::Fields;
use super::{COMMON, Checked, Verdict};

const PARAMETERS: [&str; 5] = ["batch_ms", "proportional", "integral", "derivative", "min_rate"];
const UPDATE: [&str; 4] = ["time_ms", "num_elements", "processing_delay_ms", "scheduling_delay_ms"];

/// Batches in turn, and the estimate after each.
pub(crate) fn pid(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &PARAMETERS, &["updates", "update_fields", "expected"]])?;
    let fields = case.list("update_fields")?;
    if !fields.iter().map(Json::as_str).eq(UPDATE.map(Some)) {
        return Err(format!("the fields of an update are {fields:?}, not {UPDATE:?}"));
    }
    let parameter = |name: &str| case.get(name).cloned().ok_or_else(|| format!("no {name:?}"));
    let parameters = PARAMETERS.map(parameter).into_iter().collect::<Checked<Vec<Json>>>()?;
    let mut estimator = estimator(&parameters)?.map_err(|error| error.to_string())?;
    let (updates, expected) = (case.list("updates")?, case.list("expected")?);
    if updates.len() != expected.len() {
        return Err(format!("{} updates, but {} are expected", updates.len(), expected.len()));
    }
    for (index, (update, expected)) in updates.iter().zip(expected).enumerate() {
        let update: Vec<i64> = numbers(update, Json::as_i64)?;
        let &[time, elements, processing, scheduling] = &update[..] else {
            return Err(format!("update {index} has not four numbers: {update:?}"));
        };
        // No count and no delay is negative here, by its type; zero is the nearest.
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let delay = |number: i64| Duration::from_millis(count(number));
        let time = u64::try_from(time).map_err(|_| "a time before the epoch")?;
        let actual = estimator.compute(
            Time::from_millis(time),
            count(elements),
            delay(processing),
            delay(scheduling),
        );
        let wanted = match expected {
            Json::Null => None,
            json => Some(json.as_f64().ok_or("an expected rate is no number")?),
        };
        if actual != wanted {
            return Err(format!("after update {index}: expected {wanted:?} but got {actual:?}"));
        }
    }
    Ok(Verdict::Passed { is_typed: false })
}

/// Parameters that have to be refused.
pub(crate) fn pid_invalid(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &["invalid_params"]])?;
    for parameters in case.list("invalid_params")? {
        let parameters = parameters.as_array().ok_or("parameters are a list")?;
        match estimator(parameters)? {
            Ok(_) => return Err(format!("{parameters:?} were not refused")),
            Err(error) if error.kind() == ErrorKind::Config => {}
            Err(error) => return Err(format!("{parameters:?}: {error}")),
        }
    }
    Ok(Verdict::Passed { is_typed: false })
}

/// The estimator of an interval in milliseconds, three factors and a least rate.
fn estimator(parameters: &[Json]) -> Checked<tidemill::Result<PidRateEstimator>> {
    let parameters = numbers(&Json::Array(parameters.to_vec()), Json::as_f64)?;
    let &[interval, proportional, integral, derivative, min_rate] = &parameters[..] else {
        return Err(format!("an estimator has five parameters, not {parameters:?}"));
    };
    let interval = Duration::try_from_secs_f64(interval / 1_000.0).map_err(|e| e.to_string())?;
    Ok(PidRateEstimator::new(interval, proportional, integral, derivative, min_rate))
}

fn numbers<T>(json: &Json, of: impl Fn(&Json) -> Option<T>) -> Checked<Vec<T>> {
    let list = json.as_array().ok_or_else(|| format!("{json} is no list"))?;
    list.iter().map(|json| of(json).ok_or_else(|| format!("{json} is no such number"))).collect()
}
