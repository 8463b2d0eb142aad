//! The conformance suite: Spark's own cases as data, built through the public API and compared
//! exactly. `tests/vectors/README.md` says what is in a case and how time passes in it.
//!
//! A case passes if all of its runs do: on `Row`, or `Saved` where a checkpoint has to hold it, on
//! typed columns where there are any, and each on one thread and on two. Nothing is skipped: what
//! is not known fails by its name.

mod checkpoints;
mod directories;
mod emission;
mod fields;
mod functions;
mod lifecycle;
mod operator;
mod pid;
mod proof;
mod retention;
mod rows;
mod run;
mod state_handle;
mod state_steps;
mod stateful;
mod streams;
mod timeouts;
mod times;
mod typed;
mod value;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use fields::Fields;

/// A result, or what is wrong.
type Checked<T> = Result<T, String>;

/// What the text of a panic begins with that no case may expect.
const FAULT: &str = "conformance fault: ";

/// Fields that say where a case is from.
const COMMON: [&str; 4] = ["name", "kind", "source", "notes"];

/// What becomes of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passed {
        /// On typed columns, too.
        is_typed: bool,
    },
    Failed(String),
}

/// A case and what became of it.
struct Judged {
    /// The file and the case.
    name: String,
    verdict: Verdict,
}

#[test]
fn conformance() {
    let judged = judge_folder(&folder());
    report(&judged);
    let failed = judged.iter().filter(|judged| matches!(judged.verdict, Verdict::Failed(_)));
    assert_eq!(failed.count(), 0, "cases failed; they are listed above");
    assert!(!judged.is_empty(), "there is no case in {}", folder().display());
}

/// Where the cases are.
fn folder() -> PathBuf {
    match std::env::var_os("TIDEMILL_VECTORS") {
        Some(folder) => folder.into(),
        None => own_folder(),
    }
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The cases of each file of a folder, in the order of their names.
fn cases(folder: &Path) -> Vec<(String, Checked<Vec<Json>>)> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: &PathBuf| -> Checked<Vec<Json>> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        match serde_json::from_str(&text).map_err(|error| error.to_string())? {
            Json::Array(cases) => Ok(cases),
            _ => Err("it is no list of cases".into()),
        }
    };
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), read(path))).collect()
}

fn judge_folder(folder: &Path) -> Vec<Judged> {
    let mut judged = Vec::new();
    for (file, cases) in cases(folder) {
        match cases {
            Err(fault) => judged.push(Judged { name: file, verdict: Verdict::Failed(fault) }),
            Ok(cases) => judged.extend(cases.iter().map(|case| {
                let name = case.get("name").and_then(Json::as_str).unwrap_or("without a name");
                Judged { name: format!("{file}:{name}"), verdict: judge(case) }
            })),
        }
    }
    judged
}

/// Runs a case.
fn judge(case: &Json) -> Verdict {
    // What the API refuses by a panic fails the case, too.
    let examined = catch_unwind(AssertUnwindSafe(|| examine(case)));
    match examined {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(fault)) => Verdict::Failed(fault),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Verdict::Failed(format!("it panicked: {}", text.unwrap_or("without a text")))
        }
    }
}

fn examine(case: &Json) -> Checked<Verdict> {
    let case = Fields::new("the case", case)?;
    match case.text("kind")? {
        "stream" => streams::stream(&case),
        "foreach_counts" => streams::foreach_counts(&case),
        "construct_error" => streams::construct_error(&case),
        "queue" => streams::queue(&case),
        "slice" => streams::slice(&case),
        "retention" => retention::retention(&case),
        "time" => times::time(&case),
        "lifecycle" => lifecycle::lifecycle(&case),
        "stream_weak" => timeouts::stream_weak(&case),
        "state_step" => state_steps::state_step(&case),
        "state_multi" => state_steps::state_multi(&case),
        "state_api" => state_handle::state_api(&case),
        "recovery" => checkpoints::recovery(&case),
        "table" => checkpoints::table(&case),
        "pid" => pid::pid(&case),
        "pid_invalid" => pid::pid_invalid(&case),
        "file_stream" => directories::file_stream(&case),
        "binary_records" => directories::binary_records(&case),
        "recovery_files" => directories::recovery_files(&case),
        kind => Err(format!("unknown kind {kind:?}")),
    }
}

/// Says what became of the cases, also where the test passes.
fn report(judged: &[Judged]) {
    let (mut passed, mut failed) = (0, Vec::new());
    for Judged { name, verdict } in judged {
        match verdict {
            Verdict::Passed { .. } => passed += 1,
            Verdict::Failed(fault) => {
                failed.push(format!("  failed   {name}\n           {fault}\n"))
            }
        }
    }
    let summary = format!(
        "\nconformance: {} cases, {passed} passed, {} failed\n{}",
        judged.len(),
        failed.len(),
        failed.concat(),
    );
    // Not by a macro: the test harness would keep it to itself.
    std::io::stdout().write_all(summary.as_bytes()).expect("a report can be written");
}
