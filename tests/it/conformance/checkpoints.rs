//! Cases of checkpoints: what comes after a crash and a restart, `recovery`, and how often streams
//! that remember ask for them, `table`.

use std::time::Duration;

use tidemill::Error;
use tidemill::prelude::*;

use super::emission::Order;
use super::fields::Fields;
use super::operator::Stream;
use super::run::{Check, Outcome, Run, Setting, Start, THREADS, check_runs, context};
use super::streams::order;
use super::value::Value;
use super::{COMMON, Checked, Verdict};

/// The batches of a stream before a crash and after the restart.
struct Recovery {
    order: Order,
    before: Vec<Vec<Value>>,
    /// With the batch that was the last one before the crash.
    after: Vec<Vec<Value>>,
}

pub(crate) fn recovery(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["pipeline", "run_batches_then_crash", "order_matters"];
    let expected = ["expected_before", "expected_after_restart"];
    case.only(&[&COMMON, &Setting::FIELDS, &known, &expected])?;
    let (before, after) = (case.batches(expected[0])?, case.batches(expected[1])?);
    if case.number("run_batches_then_crash")? != before.len() as u64 {
        return Err(format!("{} batches are expected before the crash", before.len()));
    }
    let setting = Setting::new(case)?.replayed()?;
    if before.len() + after.len() != setting.input_batches() + 1 {
        return Err("each batch is expected, and the last one before the crash twice".into());
    }
    let check = Recovery { order: order(case)?, before, after };
    check_runs(&setting, case.list("pipeline")?, &check)
}

impl Check for Recovery {
    /// Spark has the last batch again, since its checkpoint of it says that it was begun. Ours is
    /// made after a batch, so what comes again is what came since the last one: that batch where it
    /// is not in one, nothing where it is, and everything where there is none.
    fn check<S: Stream>(&self, start: &Start<'_, S>) -> Checked<Option<()>> {
        let batches = self.before.len() as u32;
        let all_but_last = match batches {
            1 => 2,
            2 => return Err("there is no interval of which one checkpoint is before two".into()),
            more => more - 1,
        };
        for every in [all_but_last, 1, batches + 1] {
            if self.crash_and_restart(start, every)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

impl Recovery {
    /// With a checkpoint at every so many batches.
    fn crash_and_restart<S: Stream>(
        &self,
        start: &Start<'_, S>,
        every: u32,
    ) -> Checked<Option<()>> {
        let within = |fault| format!("a checkpoint at every {every} batches: {fault}");
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let set_up = |t: &TestContext| t.context().checkpoint(directory.path(), every);
        let Some(mut run) = start(&set_up)? else { return Ok(None) };
        let saved = self.before.len() / every as usize * every as usize;
        self.compare("before", &mut run, &self.before).map_err(within)?;
        let last = run.t.context().metrics().checkpoints.last_batch;
        if last != saved as u64 {
            return Err(within(format!("the last one is of batch {last}, not of {saved}")));
        }
        drop(run);
        let Some(mut run) = start(&set_up)? else { return Ok(None) };
        let (_, before) = self.before.split_last().ok_or("there is no batch before the crash")?;
        let expected = [before, &self.after].concat().split_off(saved);
        self.compare("after the restart", &mut run, &expected).map_err(within).map(Some)
    }

    fn compare<S: Stream>(
        &self,
        when: &str,
        run: &mut Run<S>,
        expected: &[Vec<Value>],
    ) -> Checked<()> {
        let Outcome { emissions, errors } = run.tick(expected.len())?;
        if !errors.is_empty() {
            return Err(format!("no batch shall fail, but these do: {errors:?}"));
        }
        let rows: Vec<_> = emissions.into_iter().map(|emission| emission.rows).collect();
        self.order.check_all(expected, &rows).map_err(|fault| format!("{when}: {fault}"))
    }
}

/// Makes a stream that remembers, and an output of it. Sets an interval, or none, and says which
/// one it is.
type Remembering = fn(&DStream<(i64, i64)>, Option<Duration>) -> Option<Duration>;

fn map_with_state(pairs: &DStream<(i64, i64)>, every: Option<Duration>) -> Option<Duration> {
    asked(&pairs.map_with_state::<i64, i64, _>("state.v1", |_, _, _, _| {}), every)
}

fn update_state_by_key(pairs: &DStream<(i64, i64)>, every: Option<Duration>) -> Option<Duration> {
    asked(&pairs.update_state_by_key::<i64, _>("state.v1", |_, sum| sum), every)
}

fn window(pairs: &DStream<(i64, i64)>, every: Option<Duration>) -> Option<Duration> {
    let (sum, difference) = (|a, b| a + b, |a, b| a - b);
    let numbers = pairs.map(|(_, number)| number);
    let slide = pairs.slide();
    asked(&numbers.reduce_by_window_with_inverse(sum, difference, slide, slide), every)
}

fn asked(stream: &DStream<impl tidemill::Record>, every: Option<Duration>) -> Option<Duration> {
    if let Some(every) = every {
        stream.checkpoint(every);
    }
    stream.foreach_batch(|_, _| Ok(()));
    stream.checkpoint_interval()
}

pub(crate) fn table(case: &Fields<'_>) -> Checked<Verdict> {
    case.only(&[&COMMON, &["rows", "rule"]])?;
    let streams: &[Remembering] = match case.get("rule").map(|_| case.text("rule")).transpose()? {
        None => &[map_with_state],
        Some("ceil10") => &[update_state_by_key, window],
        Some(rule) => return Err(format!("unknown rule {rule:?}")),
    };
    for json in case.list("rows")? {
        let row = Fields::new("a row", json)?;
        row.only(&[&["batch_ms", "explicit_ms", "expected_ms"]])?;
        let interval = row.millis("batch_ms")?;
        let every = row.get("explicit_ms").map(|_| row.millis("explicit_ms")).transpose()?;
        let expected = row.millis("expected_ms")?;
        for (stream, threads) in streams.iter().flat_map(|stream| THREADS.map(|n| (stream, n))) {
            let mut t = context(interval, threads)?;
            let pairs = t.input();
            let actual = stream(pairs.stream(), every);
            if actual != Some(expected) {
                return Err(format!("expected {expected:?} but got {actual:?}"));
            }
            made_every(&mut t, interval, expected).map_err(|fault| format!("{json}: {fault}"))?;
        }
    }
    Ok(Verdict::Passed { is_typed: false })
}

/// Whether checkpoints are made so often where nobody says more of them.
fn made_every(t: &mut TestContext, interval: Duration, every: Duration) -> Checked<()> {
    let text = |error: Error| error.to_string();
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let context = t.context().clone();
    StreamingContext::get_or_create(directory.path(), || Ok(context)).map_err(text)?;
    let batches = (every.as_millis() / interval.as_millis()) as u64;
    for batch in 1..=2 * batches {
        t.tick().map_err(text)?;
        let (last, expected) =
            (t.context().metrics().checkpoints.last_batch, batch / batches * batches);
        if last != expected {
            return Err(format!("after batch {batch} the last checkpoint is of {last}"));
        }
    }
    Ok(())
}
