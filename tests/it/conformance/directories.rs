//! The kinds of cases that are about files that come to a directory: `file_stream`,
//! `binary_records` and `recovery_files`.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidemill::{Directory, TestContext, TestOutput};

use super::emission::Order;
use super::fields::Fields;
use super::run::{THREADS, context};
use super::value::Value;
use super::{COMMON, Checked, Verdict};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes a file that was modified so long after the epoch.
fn write(directory: &Path, name: &str, bytes: &[u8], modified: Duration) -> Checked<()> {
    let path = directory.join(name);
    std::fs::write(&path, bytes).map_err(text)?;
    let file = File::options().write(true).open(&path).map_err(text)?;
    file.set_modified(UNIX_EPOCH + modified).map_err(text)
}

/// Every case on one thread and on several.
fn check_threads(check: impl Fn(usize, &Path) -> Checked<()>) -> Checked<Verdict> {
    for threads in THREADS {
        let directory = TempDir::new().map_err(text)?;
        check(threads, directory.path())
            .map_err(|fault| format!("on {threads} threads: {fault}"))?;
    }
    Ok(Verdict::Passed { is_typed: true })
}

pub(crate) fn file_stream(case: &Fields<'_>) -> Checked<Verdict> {
    let times = ["batch_ms", "stream_created_at_ms", "remember_ms", "batch_times_ms"];
    let expected = ["expected_flat_set", "expected_per_batch", "order_matters"];
    case.only(&[&COMMON, &times, &["new_files_only", "files"], &expected])?;
    check_threads(|threads, directory| {
        let mut t = context(case.millis("batch_ms")?, threads)?;
        t.clock().advance(case.millis("stream_created_at_ms")?);
        let files = Directory::new(directory).map_err(text)?;
        let files = files.new_files_only(case.bool("new_files_only")?);
        let files = files.remember(case.millis("remember_ms")?);
        let lines = t.output(&t.context().receiver_stream(files).map_err(text)?);
        let mut batches = Vec::new();
        for time in case.numbers("batch_times_ms")? {
            for file in case.list("files")? {
                write_visible(directory, &Fields::new("a file", file)?, time)?;
            }
            t.tick().map_err(text)?;
            let now = t.clock().now().millis();
            if now != time {
                return Err(format!("the batch at {time} ms came at {now} ms"));
            }
            batches.extend(lines.take_batches());
        }
        let order = Order { of_rows: case.bool("order_matters")?, of_lists: true };
        let expected = case.batches("expected_per_batch")?;
        let batches = values(&batches)?;
        order.check_all(&expected, &batches)?;
        let flat = case.list("expected_flat_set")?.iter().map(Value::of_json);
        order.check("all batches", &flat.collect::<Checked<Vec<_>>>()?, &batches.concat())
    })
}

/// Writes the file of a case, if it can be seen by then and was not written yet.
fn write_visible(directory: &Path, file: &Fields<'_>, time: u64) -> Checked<()> {
    file.only(&[&["name", "mtime_ms", "visible_from_ms", "lines"]])?;
    let name = file.text("name")?;
    if file.number("visible_from_ms")? > time || directory.join(name).exists() {
        return Ok(());
    }
    let lines = file.list("lines")?.iter().map(|line| line.as_str().ok_or("a line is no text"));
    let lines = lines.collect::<Result<Vec<_>, _>>()?.join("\n");
    write(directory, name, lines.as_bytes(), file.millis("mtime_ms")?)
}

fn values(batches: &[Vec<String>]) -> Checked<Vec<Vec<Value>>> {
    batches.iter().map(|lines| Value::list_of_json(&json!(lines))).collect()
}

/// A file for each batch.
pub(crate) fn binary_records(case: &Fields<'_>) -> Checked<Verdict> {
    let known = ["record_length", "files", "expected_concatenated_per_batch", "order_matters"];
    case.only(&[&COMMON, &known])?;
    let record_bytes = case.number("record_length")? as usize;
    let expected = case.list("expected_concatenated_per_batch")?;
    if !case.bool("order_matters")? {
        return Err("bytes in any order are no records".into());
    }
    check_threads(|threads, directory| {
        let second = Duration::from_secs(1);
        let mut t = context(second, threads)?;
        let records = t.context().binary_records_stream(directory, record_bytes);
        let records = t.output(&records.map_err(text)?);
        let mut batches = Vec::new();
        for (number, file) in (1..).zip(case.list("files")?) {
            let bytes: Vec<u8> = serde_json::from_value(file.clone()).map_err(text)?;
            write(directory, &number.to_string(), &bytes, second * number)?;
            t.tick().map_err(text)?;
            let records = records.take();
            if let Some(record) = records.iter().find(|record| record.len() != record_bytes) {
                return Err(format!("a record is {record:?}"));
            }
            batches.push(json!(records.concat()));
        }
        if batches != expected {
            return Err(format!("expected {expected:?} but got {batches:?}"));
        }
        Ok(())
    })
}

/// A file with a number for each batch, of which one fails, and with it the process.
pub(crate) fn recovery_files(case: &Fields<'_>) -> Checked<Verdict> {
    let files = ["files_before", "crash_during_file", "files_while_down", "files_after"];
    let expected = ["expected_before_crash", "expected_union_of_all_outputs", "order_matters"];
    case.only(&[&COMMON, &["batch_ms", "pipeline"], &files, &expected])?;
    let interval = case.millis("batch_ms")?;
    let window = running_sum(case.list("pipeline")?)?;
    let [before, down, after] =
        ["files_before", "files_while_down", "files_after"].map(|name| case.numbers(name));
    let (before, down, after) = (before?, down?, after?);
    check_threads(|threads, directory| {
        let (incoming, state) = (directory.join("incoming"), directory.join("state"));
        std::fs::create_dir(&incoming).map_err(text)?;
        let mut files = 0;
        let mut come = |number: u64| {
            files += 1;
            // In the middle of the interval.
            let modified = interval * files - interval / 2;
            write(&incoming, &number.to_string(), number.to_string().as_bytes(), modified)
        };
        let life = |crashes_at: Option<u64>| -> Checked<(TestContext, TestOutput<i64>)> {
            let t = context(interval, threads)?;
            t.context().checkpoint(&state, 1);
            let numbers = t.context().text_file_stream(&incoming).map_err(text)?;
            let numbers = numbers.map(|line| line.parse::<i64>().unwrap_or(i64::MIN));
            numbers.foreach_batch(move |batch, _| {
                let crashes = batch.iter().any(|number| Some(number as u64) == crashes_at);
                if crashes { Err("the process dies".into()) } else { Ok(()) }
            });
            let sums = numbers.reduce_by_window(|a, b| a + b, window.0, window.1);
            let sums = t.output(&sums);
            Ok((t, sums))
        };
        let (mut t, sums) = life(Some(case.number("crash_during_file")?))?;
        let mut came = BTreeSet::new();
        for &number in &before {
            come(number)?;
            if t.tick().is_err() {
                // What the batch gave before it failed comes again.
                sums.take();
                break;
            }
            came.extend(sums.take());
        }
        check_sums(case, "expected_before_crash", &came)?;
        drop(t);
        for &number in &down {
            come(number)?;
        }
        let (mut t, sums) = life(None)?;
        t.clock().advance(interval * (before.len() + down.len()) as u32);
        for &number in &after {
            come(number)?;
            t.tick().map_err(text)?;
            came.extend(sums.take());
        }
        check_sums(case, "expected_union_of_all_outputs", &came)
    })
}

fn check_sums(case: &Fields<'_>, name: &str, came: &BTreeSet<i64>) -> Checked<()> {
    let expected: BTreeSet<i64> = case.numbers(name)?.into_iter().map(|sum| sum as i64).collect();
    if *came == expected { Ok(()) } else { Err(format!("{name}: {expected:?}, got {came:?}")) }
}

/// The window and the slide of the one pipeline that cases of files have.
fn running_sum(pipeline: &[Json]) -> Checked<(Duration, Duration)> {
    let [map, reduce] = pipeline else { return Err(format!("unknown pipeline {pipeline:?}")) };
    let reduce = Fields::new("reduceByWindow", reduce)?;
    reduce.only(&[&["op", "fn", "window_ms", "slide_ms"]])?;
    let is_known = *map == json!({"op": "map", "fn": "parse_int"})
        && (reduce.text("op")?, reduce.text("fn")?) == ("reduceByWindow", "sum");
    if !is_known {
        return Err(format!("unknown pipeline {pipeline:?}"));
    }
    Ok((reduce.millis("window_ms")?, reduce.millis("slide_ms")?))
}
