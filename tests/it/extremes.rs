//! Extremes in every public setter: zero, one, the greatest value, negative ones, NaN and
//! infinities are errors that name the value and the limit, or work as documented. Nothing panics.
//!
//! The list of setters is checked against the sources: a new one that takes a duration or a number
//! has to be walked here, or to be exempt for a reason.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tidemill::table::{col, quantile};
use tidemill::{
    BackPressure, Batch, Csv, DStream, Delimited, Directory, DistinctCount, Error, ErrorKind,
    Files, Follow, IntakeLog, Limits, Listen, MappedState, PidRateEstimator, Record, Result,
    Socket, State, StatsReport, StreamingContext, TestContext, Time, TopK,
};

const NANO: Duration = Duration::from_nanos(1);
const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const DURATIONS: [Duration; 7] =
    [Duration::ZERO, NANO, MILLI, SECOND, DAY, Duration::from_millis(u64::MAX), Duration::MAX];

const NUMBERS: [usize; 6] = [0, 1, 2, 1 << 16, u32::MAX as usize, usize::MAX];

const FLOATS: [f64; 11] = [
    0.0,
    -0.0,
    -1.0,
    5e-324,
    1.0,
    1e308,
    f64::MAX,
    f64::MIN,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Setters with a duration or a number that are walked below, by file.
const WALKED: [(&str, &[&str]); 23] = [
    ("decode/csv.rs", &["columns", "new"]),
    ("decode/delimited.rs", &["columns", "new"]),
    ("dstream/mod.rs", &["checkpoint"]),
    ("dstream/narrow.rs", &["repartition", "split"]),
    ("dstream/output.rs", &["collect", "print"]),
    ("dstream/output_handle.rs", &["retry"]),
    ("dstream/state.rs", &["spark_timeout_scan", "timeout"]),
    ("dstream/wide.rs", &["top", "top_by"]),
    (
        "dstream/window.rs",
        &[
            "aggregate_by_key_and_window",
            "count_by_value_and_window",
            "count_by_window",
            "group_by_key_and_window",
            "reduce_by_key_and_window",
            "reduce_by_key_and_window_with_inverse",
            "reduce_by_window",
            "reduce_by_window_with_inverse",
            "window",
        ],
    ),
    (
        "engine/context.rs",
        &[
            "await_termination_timeout",
            "batch_interval",
            "max_rate",
            "memory",
            "remember",
            "threads",
        ],
    ),
    ("engine/context/checkpoints.rs", &["checkpoint", "keep_checkpoints"]),
    ("engine/context/sources.rs", &["binary_records_stream", "record_stream"]),
    ("engine/pid.rs", &["compute", "new"]),
    ("engine/stats_report.rs", &["every"]),
    ("engine/test_context.rs", &["advance"]),
    ("ops/aggregate/count.rs", &["values_max"]),
    ("source/directory.rs", &["files_max", "remember"]),
    ("source/follow.rs", &["poll_every", "rotated_quiet"]),
    ("source/listen.rs", &["connections_max", "idle_timeout", "producers_max"]),
    ("source/log/mod.rs", &["group_commit"]),
    ("source/socket.rs", &["reconnect_after"]),
    ("table/aggregate.rs", &["quantile"]),
    ("table/stream.rs", &["show", "window"]),
];

/// Functions with a duration or a number that set nothing, each with its reason.
const EXEMPT: [(&str, &[&str], &str); 14] = [
    ("config.rs", &["for_memory"], "gives limits for every number; build checks them"),
    ("memory.rs", &["set"], "takes every number; what is past the maximum is an error"),
    ("record/column.rs", &["new"], "an index, made by derived code"),
    (
        "time.rs",
        &["checked_add", "checked_sub", "floor", "from_millis", "is_multiple_of", "to", "until"],
        "arithmetic, documented: a step below a millisecond panics as a division by 0",
    ),
    (
        "record/number.rs",
        &["decimal", "from_f64"],
        "a literal: its scale is documented to panic past 18",
    ),
    ("record/timestamp.rs", &["from_nanos"], "takes every number"),
    ("record/list.rs", &["get"], "an index, with an option as its result"),
    ("record/bridge.rs", &["struct_array"], "for derived code"),
    ("record/saved.rs", &["saved_fields"], "for derived code"),
    ("table/series.rs", &["get", "is_null"], "an index, documented as that of a slice"),
    ("table/rows.rs", &["get"], "an index, documented as that of a slice"),
    ("table/show.rs", &["show", "shown"], "a maximum: every number is one"),
    ("table/tabular.rs", &["member_fields", "member_series"], "for derived code"),
    ("decode/rejects.rs", &["push", "skip"], "a row's position, given by a decoder"),
];

#[test]
fn every_setter_is_walked() {
    let mut listed = BTreeSet::new();
    let walked = WALKED.iter().map(|(file, names)| (*file, *names));
    let exempt = EXEMPT.iter().map(|(file, names, _)| (*file, *names));
    for (file, names) in walked.chain(exempt) {
        listed.extend(names.iter().map(|name| format!("{file} {name}")));
    }
    let mut found = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.extend((name != "bin").then_some(path));
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(setters(&text).map(|setter| format!("{name} {setter}")));
            }
        }
    }
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not walked: {new:#?}, not there: {gone:#?}");
}

/// Public functions of a source file that take a duration or a number.
fn setters(text: &str) -> impl Iterator<Item = &str> {
    const TYPES: [&str; 9] =
        [": Duration", ": usize", ": u64", ": u32", ": u16", ": u8", ": i64", ": f64", "NonZero"];
    // Also the second half of a pair, and lists of positions.
    let starts = ["pub fn ", "pub const fn "].into_iter();
    starts.flat_map(move |start| {
        text.split(start).skip(1).filter_map(|rest| {
            let name = &rest[..rest.find(['(', '<'])?];
            let signature = &rest[..rest.find(['{', ';'])?];
            let arguments = signature.split(") ->").next()?;
            let takes =
                TYPES.iter().any(|of| arguments.contains(of)) || arguments.contains("Vec<usize>");
            takes.then_some(name)
        })
    })
}

/// Runs one case. A panic fails the test and says of what; else it gives the case's own result.
#[track_caller]
fn calm<R>(what: &str, value: impl Debug, run: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| panic!("{what} panics with {value:?}"))
}

/// A case that has to be an error of the settings, which names what is wrong.
#[track_caller]
fn refused<R>(what: &str, value: impl Debug, part: &str, run: impl FnOnce() -> Result<R>) {
    match calm(what, &value, run) {
        Ok(_) => panic!("{what} takes {value:?}"),
        Err(error) => {
            let text = said(&error);
            assert!(text.contains(part), "{what} with {value:?} says {text}");
            let is_setting = [ErrorKind::Config, ErrorKind::Schema].contains(&error.kind());
            assert!(is_setting, "{what} with {value:?} says {text}");
        }
    }
}

#[track_caller]
fn fine<R>(what: &str, value: impl Debug, run: impl FnOnce() -> Result<R>) -> R {
    match calm(what, &value, run) {
        Ok(done) => done,
        Err(error) => panic!("{what} refuses {value:?}: {}", said(&error)),
    }
}

/// An error with all of its causes.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn context() -> Result<StreamingContext> {
    StreamingContext::builder("extremes").batch_interval(Duration::from_millis(5)).build()
}

/// Three batches of what a program makes of pairs.
fn three_batches(make: impl FnOnce(&TestContext, &DStream<(String, i64)>)) -> Result<()> {
    let mut t = TestContext::new()?;
    let pairs = t.input::<(String, i64)>();
    make(&t, pairs.stream());
    for number in 0..3 {
        pairs.push([("a".to_string(), number), ("b".to_string(), i64::MAX)])?;
        t.tick()?;
    }
    t.context().stop_gracefully();
    t.context().await_termination()
}

/// A context with this source reads one line of it, or stops after a while without one.
fn read_some(lines: impl FnOnce(&StreamingContext) -> Result<DStream<String>>) -> Result<()> {
    let ssc = context()?;
    let counts = lines(&ssc)?.count().collect(64);
    ssc.start()?;
    for _ in 0..3 {
        let _batch = counts.recv();
    }
    // Who waits for room in a channel is not held up.
    drop(counts);
    ssc.stop_gracefully();
    ssc.await_termination()
}

#[test]
fn settings_of_a_context() {
    for value in DURATIONS {
        let run = || StreamingContext::builder("x").batch_interval(value).build();
        match value {
            MILLI | SECOND | DAY => drop(fine("batch_interval", value, run)),
            _ => refused("batch_interval", value, "batch", run),
        }
    }
    for value in NUMBERS {
        let run = || StreamingContext::builder("x").threads(value).build();
        match value {
            1..=1024 => drop(fine("threads", value, run)),
            _ => refused("threads", value, "between 1 and 1024", run),
        }
    }
    for value in FLOATS {
        let run = || context_with(|builder| builder.max_rate(value));
        match value.is_finite() && value > 0.0 {
            true => fine("max_rate", value, run),
            false => refused("max_rate", value, "max_rate", run),
        }
    }
}

/// Builds a context and has it read a file of one line.
fn context_with(
    set: impl FnOnce(tidemill::ContextBuilder) -> tidemill::ContextBuilder,
) -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder of ours");
    let path = folder.path().join("log");
    std::fs::write(&path, "a\n").expect("a file of ours");
    let builder = StreamingContext::builder("x").batch_interval(Duration::from_millis(5));
    let ssc = set(builder).build()?;
    let counts = ssc.receiver_stream(Follow::new([path])?)?.count().collect(64);
    ssc.start()?;
    let _batch = counts.recv();
    drop(counts);
    ssc.stop();
    ssc.await_termination()
}

#[test]
fn fields_of_back_pressure() {
    let fields: [(&str, fn(&mut BackPressure) -> &mut f64); 5] = [
        ("initial_rate", |settings| &mut settings.initial_rate),
        ("min_rate", |settings| &mut settings.min_rate),
        ("proportional", |settings| &mut settings.proportional),
        ("integral", |settings| &mut settings.integral),
        ("derivative", |settings| &mut settings.derivative),
    ];
    for (name, field) in fields {
        for value in FLOATS {
            let mut settings = BackPressure::default();
            *field(&mut settings) = value;
            let run = || context_with(|builder| builder.back_pressure(settings));
            let is_factor = !name.ends_with("rate");
            match value.is_finite() && (value > 0.0 || (is_factor && value == 0.0)) {
                true => fine(name, value, run),
                false => refused(name, value, name, run),
            }
        }
    }
}

/// Rates are numbers whatever batches are like.
#[test]
fn estimates_of_rates() {
    for interval in DURATIONS {
        for factor in FLOATS {
            let made = calm("PidRateEstimator::new", (interval, factor), || {
                PidRateEstimator::new(interval, factor, factor, factor, factor)
            });
            let Ok(mut estimator) = made else { continue };
            for rows in [0, 1, u64::MAX] {
                for delay in DURATIONS {
                    for time in [0, 1, u64::MAX] {
                        let time = Time::from_millis(time);
                        let rate = estimator.compute(time, rows, delay, delay);
                        assert!(rate.is_none_or(|rate| rate >= factor), "{rate:?}");
                    }
                }
            }
        }
        let made = PidRateEstimator::new(interval, 1.0, 0.2, 0.0, 100.0);
        assert_eq!(made.is_err(), interval.is_zero());
    }
}

#[test]
fn fields_of_limits() {
    let fields: [(&str, fn(&mut Limits, usize)); 9] = [
        ("blocks", |limits, value| limits.blocks = value),
        ("line_bytes", |limits, value| limits.line_bytes = value),
        ("distinct_keys", |limits, value| limits.distinct_keys = value),
        ("joined_rows", |limits, value| limits.joined_rows = value),
        ("retained_bytes", |limits, value| limits.retained_bytes = value),
        ("queued_batches", |limits, value| limits.queued_batches = value),
        ("missed_batches", |limits, value| limits.missed_batches = value),
        ("intake_log_bytes", |limits, value| limits.intake_log_bytes = value as u64),
        ("queued_rows", |limits, value| limits.queued_rows = value),
    ];
    for (name, set) in fields {
        for value in NUMBERS {
            let mut limits = Limits::default();
            set(&mut limits, value);
            if let Err(error) = calm(name, value, || context_with(|builder| builder.limits(limits)))
            {
                let text = said(&error);
                assert!(text.contains(&format!("{name} is {value}")), "{name} {value}: {text}");
            }
        }
        let mut limits = Limits::default();
        set(&mut limits, usize::MAX);
        refused(name, usize::MAX, "must be between", || {
            context_with(|builder| builder.limits(limits))
        });
    }
}

#[test]
fn windows() {
    type Make = fn(&DStream<(String, i64)>, Duration, Duration);
    let makers: [(&str, Make); 10] = [
        ("window", |pairs, window, slide| drop(pairs.window(window, slide).print(0))),
        ("count_by_window", |pairs, window, slide| {
            pairs.count_by_window(window, slide).print(0);
        }),
        ("reduce_by_window", |pairs, window, slide| {
            let values = pairs.map(|(_, value)| value);
            values.reduce_by_window(|a, b| a.max(b), window, slide).print(0);
        }),
        ("reduce_by_window_with_inverse", |pairs, window, slide| {
            let values = pairs.map(|(_, value)| value % 10);
            let sums = |a, b| a + b;
            values.reduce_by_window_with_inverse(sums, |a, b| a - b, window, slide).print(0);
        }),
        ("count_by_value_and_window", |pairs, window, slide| {
            pairs.count_by_value_and_window(window, slide).print(0);
        }),
        ("reduce_by_key_and_window", |pairs, window, slide| {
            pairs.reduce_by_key_and_window(|a, b| a.max(b), window, slide).print(0);
        }),
        ("reduce_by_key_and_window_with_inverse", |pairs, window, slide| {
            let small = pairs.map_values(|value| value % 10);
            let sums = small.reduce_by_key_and_window_with_inverse(
                |a, b| a + b,
                |a, b| a - b,
                window,
                slide,
            );
            sums.print(0);
        }),
        ("group_by_key_and_window", |pairs, window, slide| {
            pairs.group_by_key_and_window(window, slide).count().print(0);
        }),
        ("aggregate_by_key_and_window", |pairs, window, slide| {
            pairs.aggregate_by_key_and_window(tidemill::Max, window, slide).print(0);
        }),
        ("window of tables", |pairs, window, slide| {
            let table = rows_of(pairs).to_table().window(window, slide);
            table.group_by([col("key")]).agg([tidemill::table::count()]).show(0);
        }),
    ];
    for (name, make) in makers {
        for window in DURATIONS {
            for slide in DURATIONS {
                let run = || three_batches(|_, pairs| make(pairs, window, slide));
                match [window, slide].iter().all(|time| [SECOND, DAY].contains(time)) {
                    true => fine(name, (window, slide), run),
                    false => refused(name, (window, slide), "the ", run),
                }
            }
        }
    }
    // One that others are made of, and the last number of batches.
    let most = SECOND * u32::MAX;
    for (window, slide) in [(most, SECOND), (SECOND, most), (most, most)] {
        fine("windows of windows", (window, slide), || {
            three_batches(|_, pairs| {
                pairs.window(window, slide).window(most, slide).count().print(0);
            })
        });
    }
    refused("window", most + SECOND, "at most 4294967295", || {
        three_batches(|_, pairs| drop(pairs.window(most + SECOND, SECOND).print(0)))
    });
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Row {
    key: String,
    value: i64,
}

fn remembering(pairs: &DStream<(String, i64)>) -> MappedState<String, i64, (String, i64)> {
    pairs.map_with_state("s", |key, value, state: &mut State<'_, i64>, out| {
        if !state.is_timing_out() {
            state.update(1);
        }
        out.push((key, value.unwrap_or_default()));
    })
}

fn rows_of(pairs: &DStream<(String, i64)>) -> DStream<Row> {
    pairs.map(|(key, value)| Row { key: key.to_owned(), value })
}

#[test]
fn times_that_streams_keep() {
    for value in DURATIONS {
        let is_kept = value <= DAY;
        let run = || {
            three_batches(|t, pairs| {
                t.context().remember(value);
                pairs.print(0);
            })
        };
        match is_kept {
            true => fine("remember", value, run),
            false => refused("remember", value, "remember is", run),
        }
        let run = || {
            three_batches(|_, pairs| {
                let states = remembering(pairs);
                states.timeout(value).print(0);
            })
        };
        match is_kept && value >= MILLI {
            true => fine("timeout", value, run),
            false => refused("timeout", value, "a timeout is", run),
        }
        let folder = tempfile::tempdir().unwrap();
        let run = || {
            three_batches(|t, pairs| {
                t.context().checkpoint(folder.path(), 1);
                pairs.count_by_window(SECOND, SECOND).checkpoint(value).print(0);
            })
        };
        match value {
            SECOND | DAY => fine("DStream::checkpoint", value, run),
            // All of it is whole seconds, but for what it has below.
            _ => refused("DStream::checkpoint", value, "the checkpoint interval", run),
        }
    }
}

#[test]
fn outputs_that_are_tried_again() {
    for times in NUMBERS.map(|times| u32::try_from(times).unwrap_or(u32::MAX)) {
        for backoff in DURATIONS {
            let run = || {
                three_batches(|_, pairs| {
                    pairs.foreach_batch(|_, _| Ok(())).retry(times, backoff);
                })
            };
            match times <= 1_000 && backoff <= 60 * SECOND {
                true => fine("retry", (times, backoff), run),
                false => refused("retry", (times, backoff), "at most 1000 times", run),
            }
        }
    }
}

#[test]
fn numbers_of_streams() {
    for value in NUMBERS {
        let run = || three_batches(|_, pairs| drop(pairs.repartition(value).count().print(0)));
        match value {
            1..=65_536 => fine("repartition", value, run),
            _ => refused("repartition", value, "between 1 and 65536", run),
        }
        let run = || {
            three_batches(|_, pairs| {
                // Nobody takes a batch out of it.
                drop(pairs.collect(value));
            })
        };
        match value {
            1..=65_536 => fine("collect", value, run),
            _ => refused("collect", value, "between 1 and 65536", run),
        }
        for every in [value as u32, (value as u32).wrapping_sub(1)] {
            let folder = tempfile::tempdir().unwrap();
            let run = || {
                three_batches(|t, pairs| {
                    t.context().checkpoint(folder.path(), every);
                    let states = remembering(pairs);
                    states.print(0);
                })
            };
            let kept = every;
            let keep = || {
                three_batches(|t, pairs| {
                    t.context().keep_checkpoints(kept);
                    pairs.print(0);
                })
            };
            match kept {
                1..=2 => fine("keep_checkpoints", kept, keep),
                _ => refused("keep_checkpoints", kept, "must be between 1 and", keep),
            }
            match every {
                0 => refused("checkpoint", every, "at least 1", run),
                _ => fine("checkpoint", every, run),
            }
            let run = || {
                three_batches(|_, pairs| {
                    let states = remembering(pairs);
                    states.spark_timeout_scan(every).print(0);
                })
            };
            match every {
                0 => refused("spark_timeout_scan", every, "at least 1", run),
                _ => fine("spark_timeout_scan", every, run),
            }
        }
        // As documented every number is fine.
        fine("top, print and the like", value, || {
            three_batches(|t, pairs| {
                pairs.top(value).print(value);
                pairs.top_by(value, |a, b| a.cmp(&b)).print(0);
                pairs.aggregate_by_key(TopK(value)).print(0);
                rows_of(pairs).to_table().show(value);
                t.context().add_listener(StatsReport::every(value));
            })
        });
        let counted = calm("values_max", value, || {
            three_batches(|_, pairs| {
                pairs.aggregate_by_key(DistinctCount::new().values_max(value)).print(0);
            })
        });
        if let Err(error) = counted {
            assert!(value == 0 && error.kind() == ErrorKind::Limit, "{value}: {}", said(&error));
        }
        let slices = calm("slice", value, || {
            let mut t = TestContext::new()?;
            let numbers = t.input::<i64>();
            t.context().remember(SECOND);
            numbers.stream().print(0);
            t.tick()?;
            let [from, to] = [0, value as u64].map(Time::from_millis);
            numbers.stream().slice(to, from)?;
            numbers.stream().slice(from, to)
        });
        slices.unwrap();
    }
    for separator in 0..=u8::MAX {
        let run = || {
            three_batches(|_, pairs| {
                pairs.map(|(key, _)| key.to_owned()).split(separator).print(0);
            })
        };
        // Any other is documented to panic: the program has it as a literal.
        if separator.is_ascii() {
            fine("split", separator, run);
        }
    }
    for q in FLOATS {
        let run = || {
            three_batches(|_, pairs| {
                rows_of(pairs).to_table().agg([quantile("value", q)]).show(0);
            })
        };
        match (0.0..=1.0).contains(&q) {
            true => fine("quantile", q, run),
            false => refused("quantile", q, "from 0 to 1", run),
        }
    }
}

#[test]
fn settings_of_decoders() {
    for separator in 0..=u8::MAX {
        let is_fit = separator.is_ascii() && !matches!(separator, b'\n' | b'\r');
        let run = || {
            three_batches(|_, pairs| {
                let lines = pairs.map(|(key, value)| format!("{key},{value}"));
                lines.decode::<Row>(Delimited::new(separator)).print(0);
            })
        };
        match is_fit {
            true => fine("Delimited::new", separator, run),
            false => refused("Delimited::new", separator, "separator", run),
        }
        let run = || {
            three_batches(|_, pairs| {
                let lines = pairs.map(|(key, value)| format!("{key},{value}"));
                lines.decode::<Row>(Csv::new(separator)).print(0);
            })
        };
        match is_fit && separator != b'"' {
            true => fine("Csv::new", separator, run),
            false => refused("Csv::new", separator, "separator", run),
        }
    }
    for value in NUMBERS {
        for columns in [vec![value, 0], vec![value; 2], vec![value], vec![]] {
            // What is no column of the line is the lines' fault.
            let _ = calm("columns", &columns, || {
                three_batches(|_, pairs| {
                    let lines = pairs.map(|(key, value)| format!("{key},{value}"));
                    lines.decode::<Row>(Delimited::new(b',').columns(columns.clone())).print(0);
                    lines.decode::<Row>(Csv::new(b',').columns(columns.clone())).print(0);
                })
            });
        }
    }
    refused("columns", usize::MAX, "the last one possible", || {
        three_batches(|_, pairs| {
            let lines = pairs.map(|(key, _)| key.to_owned());
            lines.decode::<Row>(Csv::new(b',').columns([usize::MAX, 0])).print(0);
        })
    });
}

#[test]
fn settings_of_sources() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "a\nb\n").unwrap();
    for value in DURATIONS {
        fine("idle_timeout", value, || {
            read_some(|ssc| ssc.receiver_stream(Listen::bind(":0")?.idle_timeout(value)))
        });
        let run = || {
            read_some(|ssc| {
                // Nobody listens there.
                let socket = Socket::connect("127.0.0.1:1")?.reconnect_after(value);
                ssc.receiver_stream(socket)
            })
        };
        match (MILLI..=DAY).contains(&value) {
            true => fine("reconnect_after", value, run),
            false => refused("reconnect_after", value, "between 1ms and 86400s", run),
        }
        let run = || read_some(|ssc| ssc.receiver_stream(Follow::new([&path])?.poll_every(value)));
        match (MILLI..=DAY).contains(&value) {
            true => fine("poll_every", value, run),
            false => refused("poll_every", value, "between 1ms and 86400s", run),
        }
        fine("rotated_quiet", value, || {
            read_some(|ssc| ssc.receiver_stream(Follow::new([&path])?.rotated_quiet(value)))
        });
        fine("Directory::remember", value, || {
            read_some(|ssc| ssc.receiver_stream(Directory::new(folder.path())?.remember(value)))
        });
        let run = || {
            let checkpoints = tempfile::tempdir().unwrap();
            let ssc = context()?;
            ssc.receiver_stream(Listen::bind(":0")?)?.print(0);
            ssc.checkpoint(checkpoints.path(), 1);
            ssc.intake_log(IntakeLog::group_commit(value));
            ssc.start()?;
            ssc.stop();
            ssc.await_termination()
        };
        match (NANO..=SECOND).contains(&value) {
            true => fine("group_commit", value, run),
            false => refused("group_commit", value, "between 1ns and 60s", run),
        }
        let ssc = context().unwrap();
        let (numbers, _queue) = ssc.queue_stream::<i64>().unwrap();
        numbers.print(0);
        let stopping = ssc.clone();
        ssc.start().unwrap();
        let stopper = std::thread::spawn(move || stopping.stop());
        fine("await_termination_timeout", value, || {
            // The longest of these waits end with the context.
            ssc.await_termination_timeout(value)
        });
        stopper.join().unwrap();
    }
    for value in NUMBERS {
        fine("producers_max", value, || {
            read_some(|ssc| {
                ssc.receiver_stream(Listen::bind(":0")?.acknowledging().producers_max(value))
            })
        });
        fine("connections_max", value, || {
            read_some(|ssc| ssc.receiver_stream(Listen::bind(":0")?.connections_max(value)))
        });
        let files = || Directory::new(folder.path()).map(|source| source.files_max(value));
        let read = calm("files_max", value, || read_some(|ssc| ssc.receiver_stream(files()?)));
        assert_eq!(read.is_err(), value == 0, "files_max {value}");
        let is_fit = (1..=Limits::default().line_bytes).contains(&value);
        let run = || {
            read_some(|ssc| {
                let records = ssc.record_stream(Files::open([&path])?, value)?;
                Ok(records.map(|bytes| bytes.len().to_string()))
            })
        };
        let read = calm("record_stream", value, run);
        assert!(is_fit || read.is_err(), "record_stream {value}");
        let run = || {
            read_some(|ssc| {
                let records = ssc.binary_records_stream(folder.path(), value)?;
                Ok(records.map(|bytes| bytes.len().to_string()))
            })
        };
        let read = calm("binary_records_stream", value, run);
        assert!(is_fit || read.is_err(), "binary_records_stream {value}");
    }
}

/// A test's clock stays where it is, and the next tick says why.
#[test]
fn a_clock_of_tests() {
    for value in DURATIONS.into_iter().filter(|value| *value > DAY) {
        let run = || {
            let mut t = TestContext::new()?;
            let numbers = t.input::<i64>();
            numbers.stream().print(0);
            t.tick()?;
            t.clock().advance(value);
            assert_eq!(t.clock().now(), Time::from_millis(1_000));
            t.tick()
        };
        refused("TestClock::advance", value, "the advance of a clock is", run);
    }
}

/// A batch of a program's own has as many partitions as it likes, none among them.
#[test]
fn batches_of_no_partition() {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    numbers.stream().repartition(3).print(0);
    numbers.push_batch(Batch::from_partitions::<Vec<i64>>([])).unwrap();
    t.tick().unwrap();
}

/// The command says what is wrong, with the value, before it reads anything.
#[cfg(feature = "cli")]
#[test]
fn options_of_the_command() {
    use crate::shell::{assert_success, file, run, text};

    let folder = TempDir::new().unwrap();
    let input = &file(&folder, "log", b"a;1\nb;2\n");
    let durations = ["--interval", "--window", "--slide", "--rotated-quiet"];
    let counts = ["--top", "--threads", "--max-line"];
    let values = [
        "0",
        "0s",
        "0ms",
        "1",
        "-1",
        "-1s",
        "1ms",
        "99999999999999h",
        "1e308",
        "1e308s",
        "NaN",
        "inf",
        "-inf",
        "18446744073709551615",
        "18446744073709551616h",
        "9223372036854775807ms",
        "",
        " ",
        "1.0e-308s",
        "584942417y",
    ];
    let check = |args: &[&str], value: &str| {
        let output = run(args);
        let code = output.status.code();
        let message = text(&output.stderr);
        assert!(matches!(code, Some(0 | 2 | 4)), "{args:?} ends with {code:?}: {message}");
        assert!(!message.contains("panicked"), "{args:?}: {message}");
        if code == Some(2) {
            // The value, or what the option needs.
            let option = args[args.len().saturating_sub(2)..].iter().find(|a| a.starts_with("--"));
            let name = option.and_then(|option| option.split('=').next()).unwrap_or_default();
            let is_named = message.contains(value.trim()) && message.contains(name);
            let is_missing = ["--follow", "--window <TIME>"].iter().any(|a| message.contains(a));
            assert!(is_named || is_missing, "{args:?}: {message}");
        }
    };
    for value in values {
        for option in durations {
            // Without a stream these do nothing or are refused, once their values are fine.
            let option = format!("{option}={value}");
            for subcommand in ["wordcount", "average"] {
                check(&[subcommand, &option, input], value);
            }
        }
        for option in counts {
            let option = format!("{option}={value}");
            check(&["wordcount", &option, input], value);
            check(&["average", &option, input], value);
        }
        for option in ["--key", "--value"] {
            let output = run(&["average", &format!("{option}={value}"), input]);
            let message = text(&output.stderr);
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 2 | 3 | 4)), "{option} {value}: {code:?} {message}");
            assert!(!message.contains("panicked"), "{option} {value}: {message}");
        }
        for option in ["--lines", "--keys", "--seed"] {
            check(&["generate", "words", "--seconds", "0.01", &format!("{option}={value}")], value);
        }
        for option in ["--rate", "--seconds"] {
            check(&["generate", "words", "--lines", "1", &format!("{option}={value}")], value);
        }
    }
    for option in ["--window", "--interval", "--slide"] {
        let output = run(&["wordcount", &format!("{option}=99999999999999h"), input]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("99999999999999h") && message.contains("24h"), "{message}");
    }
    // As many lines as there can be, for longer than one second.
    let most = u64::MAX.to_string();
    let output = run(&["generate", "words", "--rate", &most, "--lines", "5", "--seconds", "2"]);
    assert_success(&output);
    assert_eq!(text(&output.stdout).lines().count(), 5);
    let output = run(&["demo", "--seconds", "1.2", "--rate", &most, "--interval", "20ms"]);
    assert_success(&output);
}
