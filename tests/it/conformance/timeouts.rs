//! Cases of keys that time out, `stream_weak`: of these Spark asserts only what comes out at all.
//! When it does is asserted, too, both by Spark's scan of every so many batches and by ours.

use std::collections::BTreeMap;

use serde_json::json;

use super::emission::{ANY_ORDER, Order};
use super::fields::Fields;
use super::operator::Stream;
use super::run::{Check, Outcome, Setting, Start, check_runs};
use super::streams::{Expected, order, with_last_state};
use super::value::Value;
use super::{COMMON, Checked, Verdict};

pub(crate) fn stream_weak(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["pipeline", "num_batches", "order_matters", "assert"];
    case.only(&[&COMMON, &Setting::FIELDS, &known, &["spark_actual", "eager_alternative"]])?;
    let (setting, pipeline) = (Setting::new(case)?, case.list("pipeline")?);
    let order = order(case)?;
    let batches = case.number("num_batches")? as usize;
    let facts = case.fields("assert")?;
    facts.only(&[&["flattened_output_bag", "some_snapshot_equals", "last_snapshot_equals"]])?;
    let bag = facts.values("flattened_output_bag")?;
    let snapshots = Snapshots {
        batches,
        some: facts.values("some_snapshot_equals")?,
        last: facts.values("last_snapshot_equals")?,
    };
    let (spark, eager) = (case.fields("spark_actual")?, case.fields("eager_alternative")?);
    spark.only(&[&["full_scan_every_batches", "timeout_output_at_batch"]])?;
    eager.only(&[&["timeout_output_at_batch"]])?;
    let every = json!(spark.number("full_scan_every_batches")?);
    let lazy = with_last_state(pipeline, "scan_every", every)?;
    let mut verdict = Verdict::Passed { is_typed: false };
    for (timings, pipeline) in [(spark, &lazy[..]), (eager, pipeline)] {
        let at = timings.fields("timeout_output_at_batch")?;
        let emissions = emissions(&at, batches)?;
        Order { of_rows: false, ..order }.check("all outputs", &bag, &emissions.concat())?;
        let expected = Expected::batches(order, setting.interval(), emissions);
        check_runs(&setting, pipeline, &expected)?;
        let pipeline = with_last_state(pipeline, "output", json!("snapshots"))?;
        verdict = check_runs(&setting, &pipeline, &snapshots)?;
    }
    Ok(verdict)
}

/// What each batch gives, of which it is said at which batch each key comes.
fn emissions(at: &Fields<'_>, batches: usize) -> Checked<Vec<Vec<Value>>> {
    let mut by_batch: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for (key, batch) in at.iter() {
        let batch = batch.as_u64().filter(|batch| (1..=batches as u64).contains(batch));
        let batch = batch.ok_or_else(|| format!("{key:?} times out at no batch"))?;
        by_batch.entry(batch).or_default().push(Value::text(key));
    }
    Ok((1..=batches as u64).map(|batch| by_batch.remove(&batch).unwrap_or_default()).collect())
}

/// What is known of the states after each batch.
struct Snapshots {
    batches: usize,
    /// Those after one of the batches.
    some: Vec<Value>,
    last: Vec<Value>,
}

impl Check for Snapshots {
    fn check<S: Stream>(&self, start: &Start<'_, S>) -> Checked<Option<()>> {
        let Some(mut run) = start(&|_| {})? else { return Ok(None) };
        let Outcome { emissions, errors } = run.tick(self.batches)?;
        if !errors.is_empty() || emissions.len() != self.batches {
            return Err(format!("not each batch has its states: {errors:?}"));
        }
        let compared: Vec<Checked<()>> = emissions
            .iter()
            .map(|emission| ANY_ORDER.check("some snapshot", &self.some, &emission.rows))
            .collect();
        if !compared.iter().any(Result::is_ok) {
            return compared.into_iter().collect::<Checked<()>>().map(Some);
        }
        let last = emissions.last().ok_or("there is no batch")?;
        ANY_ORDER.check("the last snapshot", &self.last, &last.rows).map(Some)
    }
}
