//! The suite itself, tried on cases that it has to fail: a suite that cannot fail proves nothing.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::functions::{self, element};
use super::{Verdict, cases, judge, own_folder};

/// The case fails, and what is said of it names this.
#[track_caller]
fn check_failed(case: &Json, texts: &[&str]) {
    match judge(case) {
        Verdict::Failed(fault) => {
            let missing = texts.iter().find(|&&text| !fault.contains(text));
            assert_eq!(missing, None, "the fault is: {fault}");
        }
        other => panic!("{other:?}, but it has to fail: {case}"),
    }
}

#[track_caller]
fn check_passed(case: &Json) {
    let verdict = judge(case);
    assert!(matches!(verdict, Verdict::Passed { .. }), "{verdict:?}: {case}");
}

/// The case with some fields changed; null takes one away.
fn with(case: &Json, changes: Json) -> Json {
    let mut case = case.clone();
    for (name, value) in changes.as_object().unwrap() {
        case[name.as_str()] = value.clone();
    }
    case.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    case
}

fn mapped() -> Json {
    json!({
        "name": "map", "kind": "stream", "batch_ms": 1000, "partitions": 2,
        "inputs": [[1, 2], [], [3]], "pipeline": [{"op": "map", "fn": "add", "arg": 1}],
        "expected": [[2, 3], [], [4]], "order_matters": true, "num_batches": 3,
    })
}

#[test]
fn a_wrong_expectation_fails_with_its_difference() {
    let case = mapped();
    check_passed(&case);
    let expect = |expected: Json| with(&case, json!({ "expected": expected }));
    let text = "emission 1: expected [2, 4] but got [2, 3]";
    check_failed(&expect(json!([[2, 4], [], [4]])), &["Rows on 1 threads", text]);
    check_failed(&expect(json!([[3, 2], [], [4]])), &["emission 1: expected [3, 2]"]);
    check_failed(&expect(json!([[2, 3], [4]])), &["expected 2 emissions but got 3"]);
    check_failed(&expect(json!([[2, 3], [], [4], []])), &["expected 4 emissions but got 3"]);
    check_failed(&expect(json!([[2, 3], [], [4, 4]])), &["emission 3"]);
    check_failed(&expect(json!([[2, 3], [], [4.0]])), &["expected [4.0] but got [4]"]);
    check_failed(&expect(json!([[2, 3], [], ["4"]])), &["expected [\"4\"] but got [4]"]);
    // In any order, but as often.
    let bag = with(&case, json!({ "order_matters": false }));
    check_passed(&with(&bag, json!({ "expected": [[3, 2], [], [4]] })));
    check_failed(&with(&bag, json!({ "expected": [[3, 3, 2], [], [4]] })), &["emission 1"]);
    check_failed(&with(&bag, json!({ "expected": [[2, 2], [], [4]] })), &["emission 1"]);
}

#[test]
fn the_other_expectations_of_a_stream() {
    let case = mapped();
    let sane = json!({ "sane_alternative": [[2, 3]] });
    check_failed(&with(&case, sane), &["no window with an inverse"]);
    let passes = json!({ "emit_at_batches": [1, 2, 3], "expected_num_partitions": [2, 2, 2] });
    check_passed(&with(&case, passes));
    let late = json!({ "emit_at_batches": [1, 2, 4] });
    check_failed(&with(&case, late), &["emitted at batches: expected [1, 2, 4] but got [1, 2, 3]"]);
    let parts = json!({ "expected_num_partitions": [2, 2, 1] });
    check_failed(&with(&case, parts), &["numbers of partitions: expected [2, 2, 1]"]);
    let error = json!({ "expect_error_at_batch": 2 });
    check_failed(&with(&case, error), &["batches [2] shall fail, but these do: []"]);
    let nonempty = with(&case, json!({ "collect": "nonempty" }));
    check_failed(&nonempty, &["expected 3 emissions but got 2"]);
    check_passed(&with(&nonempty, json!({ "expected": [[2, 3], [4]] })));
    // A failure that nobody expects, and one at another batch.
    let fails = json!({
        "pipeline": [{"op": "map", "fn": "fail_if_equals", "arg": 3}],
        "expected": [[1, 2], []], "failed_batches": [3],
    });
    let fails = with(&case, fails);
    check_passed(&fails);
    check_failed(&with(&fails, json!({ "failed_batches": null })), &["batches [] shall fail"]);
    check_failed(&with(&fails, json!({ "failed_batches": [2] })), &["batches [2] shall fail"]);
    // A window's lists.
    let groups = json!({
        "inputs": [[["a", 1], ["a", 2]]], "pipeline": [{"op": "groupByKey"}], "num_batches": 1,
        "expected": [[["a", [2, 1]]]],
    });
    let groups = with(&case, groups);
    check_failed(&groups, &["expected [[\"a\", [2, 1]]] but got [[\"a\", [1, 2]]]"]);
    check_failed(&with(&groups, json!({ "inner": "list" })), &["emission 1"]);
    check_passed(&with(&groups, json!({ "inner": "bag" })));
    let other = json!({ "inner": "bag", "expected": [[["a", [2, 2]]]] });
    check_failed(&with(&groups, other), &["emission 1"]);
}

#[test]
fn what_is_not_known_fails_by_name() {
    let case = mapped();
    let pipeline = |operators: Json| with(&case, json!({ "pipeline": operators }));
    check_failed(&with(&case, json!({ "kind": "novel" })), &["unknown kind \"novel\""]);
    check_failed(&with(&case, json!({ "twist": 1 })), &["unknown field \"twist\" of the case"]);
    check_failed(&with(&case, json!({ "inner": "x" })), &["unknown inner \"x\""]);
    check_failed(&with(&case, json!({ "collect": "x" })), &["unknown collect \"x\""]);
    check_failed(&with(&case, json!({ "inputs": null })), &["no field \"inputs\""]);
    check_failed(&with(&case, json!({ "num_batches": null })), &["no field \"num_batches\""]);
    check_failed(&pipeline(json!([{"op": "twist"}])), &["unknown operator \"twist\""]);
    let field = json!([{"op": "count", "n": 1}]);
    check_failed(&pipeline(field), &["unknown field \"n\" of operator \"count\""]);
    let missing = json!([{"op": "repartition"}]);
    check_failed(&pipeline(missing), &["operator \"repartition\" has no field \"n\""]);
    let source = json!([{"op": "union", "others": [{"source": "inputs9", "pipeline": []}]}]);
    check_failed(&pipeline(source), &["unknown source \"inputs9\""]);
    let side = json!([{"op": "union", "others": [{"source": "self", "pipeline": [{"op": "x"}]}]}]);
    check_failed(&pipeline(side), &["unknown operator \"x\""]);
    for operator in [
        json!({"op": "map", "fn": "twist"}),
        json!({"op": "flatMap", "fn": "twist"}),
        json!({"op": "filter", "fn": "twist"}),
        json!({"op": "mapValues", "fn": "twist"}),
        json!({"op": "flatMapValues", "fn": "twist"}),
        json!({"op": "mapPartitions", "fn": "twist"}),
        json!({"op": "reduceByKey", "fn": "twist"}),
        json!({"op": "reduce", "fn": "twist"}),
        json!({"op": "combineByKey", "create": "twist", "merge": "sum", "combine": "sum"}),
        json!({"op": "combineByKey", "create": "identity", "merge": "twist", "combine": "sum"}),
        json!({"op": "combineByKey", "create": "identity", "merge": "sum", "combine": "twist"}),
        json!({"op": "transform", "fn": "twist"}),
        json!({"op": "transformN", "fn": "twist", "others": [{"source": "self", "pipeline": []}]}),
        json!({"op": "transformWith", "fn": "twist", "other": {"source": "self", "pipeline": []}}),
        json!({"op": "reduceByKeyAndWindow", "fn": "twist", "window_ms": 1000}),
        json!({"op": "reduceByKeyAndWindow", "fn": "sum", "inverse": "twist", "window_ms": 1000}),
        json!({"op": "reduceByKeyAndWindow", "fn": "sum", "inverse": "subtract",
            "filter": "twist", "window_ms": 1000}),
        json!({"op": "updateStateByKey", "fn": "twist"}),
        json!({"op": "mapWithState", "fn": "twist"}),
        json!({"op": "mapWithState", "fn": "sum_emit_sum", "output": "twist"}),
        json!({"op": "reduceByWindow", "fn": "twist", "window_ms": 1000}),
        json!({"op": "reduceByWindow", "fn": "sum", "inverse": "twist", "window_ms": 1000}),
    ] {
        check_failed(&pipeline(json!([operator])), &["unknown", "\"twist\""]);
    }
}

/// A function that is not for such values is no failure that a case may expect.
#[test]
fn values_that_a_function_is_not_for() {
    let expected = json!({ "expect_error_at_batch": 1, "expected": [[], []] });
    let case = with(&mapped(), expected);
    for operator in [
        json!({"op": "map", "fn": "upper"}),
        json!({"op": "map", "fn": "swap"}),
        json!({"op": "filter", "fn": "identity"}),
        json!({"op": "flatMap", "fn": "identity"}),
        json!({"op": "reduceByKey", "fn": "sum"}),
        json!({"op": "transform", "fn": "sort_by_key"}),
        json!({"op": "join", "other": {"source": "self", "pipeline": []}}),
    ] {
        let case = with(&case, json!({ "pipeline": [operator] }));
        check_failed(&case, &["conformance fault: "]);
    }
    check_failed(
        &with(&mapped(), json!({ "inputs": [[1], [9_999_999_999_999_999_999u64]] })),
        &["9999999999999999999 is neither an i64 nor an f64"],
    );
}

#[test]
fn wrong_expectations_of_the_other_kinds() {
    let counts = json!({
        "name": "counts", "kind": "foreach_counts", "batch_ms": 1000, "inputs": [[1, 2], []],
        "num_batches": 3, "expected_counts": {"batches": 3, "elements": 2},
    });
    check_passed(&counts);
    let wrong = |batches: u64, elements: u64| {
        let expected = json!({ "batches": batches, "elements": elements });
        json!({ "expected_counts": expected })
    };
    check_failed(&with(&counts, wrong(2, 2)), &["expected 2 calls with 2 rows, got 3 with 2"]);
    check_failed(&with(&counts, wrong(3, 3)), &["expected 3 calls with 3 rows, got 3 with 2"]);
    let window = |window: u64| json!([{"op": "window", "window_ms": window, "slide_ms": 1000}]);
    let refused = json!({
        "name": "refused", "kind": "construct_error", "batch_ms": 1000,
        "pipelines": [window(1500)],
    });
    check_passed(&refused);
    let fits = json!({ "pipelines": [window(1500), window(2000)] });
    check_failed(&with(&refused, fits), &["was accepted", "2000"]);
    let queue = json!({
        "name": "queue", "kind": "queue", "batch_ms": 1000, "one_at_a_time": true,
        "enqueued_before_batch": [[[1], [2]], []], "expected": [[1], [2]], "order_matters": true,
    });
    check_passed(&queue);
    check_failed(&with(&queue, json!({ "expected": [[1, 2]] })), &["expected 1 emissions"]);
    check_failed(&with(&queue, json!({ "one_at_a_time": false })), &["expected 2 emissions"]);
    let slice = json!({
        "name": "slice", "kind": "slice", "batch_ms": 1000, "inputs": [[1], [2]], "offset_ms": 0,
        "queries": [{"from_ms": 0, "to_ms": 1000, "expected": [1]}], "order_matters": true,
    });
    check_passed(&slice);
    let query = json!([{"from_ms": 0, "to_ms": 1000, "expected": [1, 2]}]);
    let text = "slice from 0 ms to 1000 ms: expected [1, 2] but got [1]";
    check_failed(&with(&slice, json!({ "queries": query })), &[text]);
    let time = json!({
        "name": "Time floor", "kind": "time", "op": "floor", "args": [1350, 200], "expected": 1200,
    });
    check_passed(&time);
    check_failed(&with(&time, json!({ "expected": 1000 })), &["expected 1000 but got 1200"]);
    check_failed(&with(&time, json!({ "expected": 1200.0 })), &["expected 1200.0 but got 1200"]);
    check_failed(&with(&time, json!({ "op": "twist" })), &["unknown operation \"twist\""]);
    check_failed(&with(&time, json!({ "name": "Clock floor" })), &["\"Clock floor\" is neither"]);
}

#[test]
fn wrong_expectations_of_what_is_held() {
    let case = json!({
        "name": "held", "kind": "retention", "batch_ms": 1000, "num_batches": 6,
        "graph": "input -> map -> window(2s,1s) [w]", "context_remember_ms": 2000,
        "expected_remember_ms": {"w": 2000, "map": 4000},
        "expected_present_ms": {"w": [6000]}, "expected_absent_ms": {"w": [4000]},
    });
    check_passed(&case);
    let longer = json!({ "expected_remember_ms": {"w": 3000} });
    check_failed(&with(&case, longer), &["w remembers"]);
    let present = json!({ "expected_present_ms": {"w": [4000]} });
    check_failed(&with(&case, present), &["expected_present_ms: 4000 of w"]);
    let absent = json!({ "expected_absent_ms": {"w": [6000]} });
    check_failed(&with(&case, absent), &["expected_absent_ms: 6000 of w"]);
    let label = json!({ "expected_absent_ms": {"x": [6000]} });
    check_failed(&with(&case, label), &["is called \"x\""]);
    let graph = json!({ "graph": "input -> twist" });
    check_failed(&with(&case, graph), &["unknown step \"twist\""]);
}

#[test]
fn wrong_expectations_of_states() {
    let step = json!({
        "name": "step", "kind": "state_step", "fn": "command", "key": "k", "batch_time": 2000,
        "initial": [[3, 1000]], "data": ["update-state", "get-state"], "full_scan": true,
        "timeout_threshold": 1000, "expected_states": [[4, 2000]], "expected_output": [4],
        "expected_timed_out": [], "expected_removed": [],
    });
    check_passed(&step);
    let states = |states: Json| with(&step, json!({ "expected_states": states }));
    let got = "but got [[\"k\", 4, 2000]]";
    check_failed(&states(json!([[4, 1000]])), &["states: expected [[\"k\", 4, 1000]]", got]);
    check_failed(&states(json!([[3, 2000]])), &["states: expected [[\"k\", 3, 2000]]", got]);
    check_failed(&states(json!([])), &["states: expected []", got]);
    let scan = json!({ "timeout_threshold": 1001, "data": [] });
    let idle = with(&step, scan);
    check_failed(&idle, &["output: expected [4] but got []"]);
    let idle = with(&idle, json!({ "expected_output": [] }));
    check_failed(&idle, &["timed out: expected [] but got [3]"]);
    // Nobody times out where nobody looks.
    let unscanned = json!({ "full_scan": false, "expected_states": [[3, 1000]] });
    check_passed(&with(&idle, unscanned));
    check_failed(&with(&step, json!({ "data": ["twist"] })), &["unknown command \"twist\""]);
    check_failed(&with(&step, json!({ "fn": "twist" })), &["unknown function \"twist\""]);
    let handle = |step: Json| json!({ "name": "api", "kind": "state_api", "steps": [step] });
    let said = json!({ "do": "wrap(1)", "exists": true, "getOption": 1, "updated": false,
        "removed": false, "timingOut": false });
    check_passed(&handle(said.clone()));
    let two = json!({ "getOption": 2 });
    check_failed(&handle(with(&said, two)), &["getOption: expected 2 but got 1"]);
    let illegal = json!({ "then_illegal": ["remove"] });
    check_failed(&handle(with(&said, illegal)), &["illegal: expected [\"remove\"] but got []"]);
    check_failed(&handle(with(&said, json!({ "do": "twist" }))), &["unknown step \"twist\""]);
}

#[test]
fn wrong_expectations_after_a_crash() {
    let case = json!({
        "name": "crash", "kind": "recovery", "batch_ms": 1000, "inputs": [["a"], ["a"], ["a"], []],
        "pipeline": [{"op": "map", "fn": "pair_with_const", "arg": 1},
            {"op": "updateStateByKey", "fn": "running_sum"}],
        "run_batches_then_crash": 3, "order_matters": false,
        "expected_before": [[["a", 1]], [["a", 2]], [["a", 3]]],
        "expected_after_restart": [[["a", 3]], [["a", 3]]],
    });
    check_passed(&case);
    let after = |batches: Json| with(&case, json!({ "expected_after_restart": batches }));
    let texts = ["a checkpoint at every 2 batches: after the restart: emission 1"];
    check_failed(&after(json!([[["a", 1]], [["a", 3]]])), &texts);
    check_failed(&after(json!([[["a", 3]], [["a", 4]]])), &["emission 2"]);
    check_failed(&after(json!([[["a", 3]]])), &["each batch is expected"]);
    let fewer = json!({ "run_batches_then_crash": 2 });
    check_failed(&with(&case, fewer), &["3 batches are expected before"]);
}

#[test]
fn wrong_expectations_of_a_life() {
    let life = |steps: Json| json!({ "name": "life", "kind": "lifecycle", "steps": steps });
    check_passed(&life(json!([["create+output", "ok"], ["start", "ACTIVE"]])));
    let check = |steps: Json, text: &str| check_failed(&life(steps), &[text]);
    check(json!([["twist", "ok"]]), "step \"twist\" on 1 threads: unknown step");
    check(json!([["create+output", "ok"], ["start", "STOPPED"]]), "it did; the context is ACTIVE");
    check(json!([["start", "ok"], ["start", "error: IllegalState"]]), "it did");
    check(json!([["start", "ok"], ["stop", "ok"], ["start", "ok"]]), "error State");
    check(json!([["start", "ok"], ["awaitTerminationOrTimeout(500)", "true"]]), "got: false");
    check(json!([["start", "ok"], ["awaitTerminationOrTimeout(500)", "raises E"]]), "got: false");
    check(json!([["create+input", "ok"], ["add_op", "error: IllegalState"]]), "it did");
    check(
        json!([["create+input", "ok"], ["start", "error: IllegalArgument 'twist'"]]),
        "no output",
    );
    check(json!([["A.start", "ok"], ["B.start", "ok"]]), "it did, unlike Spark");
    check(json!([["default interval", "ok"]]), "Some(10s) and Some(20s) for a slide of 1s");
    let receiver = "start receiver emitting a counter, batch 100 ms";
    let stop = json!([[receiver, "ok"], ["stop(graceful)", "all 15 records processed"]]);
    check(stop, "rows");
}

/// Of what each case expects, something is changed: then it fails.
#[test]
fn no_case_passes_with_something_else() {
    let mut tried = 0;
    for (file, cases) in cases(&own_folder()) {
        for case in cases.unwrap() {
            let is_checked = matches!(judge(&case), Verdict::Passed { .. });
            // A life's outcomes are words.
            if !is_checked || case["kind"] == "lifecycle" {
                continue;
            }
            for changed in changes(&case) {
                let verdict = judge(&changed);
                let name = &case["name"];
                assert!(matches!(verdict, Verdict::Failed(_)), "{file}:{name} passes as {changed}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "only {tried} changes");
}

/// The case with something else for each of its expectations.
fn changes(case: &Json) -> Vec<Json> {
    let mut changed = Vec::new();
    let mut change = |field: &str, value: Json| changed.push(with(case, json!({ field: value })));
    let compared =
        if case.get("sane_alternative").is_some() { "sane_alternative" } else { "expected" };
    match &case[compared] {
        Json::Array(emissions) if case["kind"] != "time" => {
            for other in other_lists(emissions) {
                // How a sane window goes on, a case need not say.
                if compared == "expected" || other.len() >= emissions.len() {
                    change(compared, json!(other));
                }
            }
        }
        Json::Null => {}
        other => change(compared, other_value(other)),
    }
    for field in EXPECTATIONS {
        match &case[field] {
            Json::Array(list) => {
                other_lists(list).into_iter().for_each(|other| change(field, json!(other)));
            }
            Json::Object(fields) => {
                for (name, value) in fields {
                    change(field, with(&case[field], json!({ name: other_value(value) })));
                }
            }
            _ => {}
        }
    }
    for (list, fields) in [("steps", &STEP[..]), ("rows", &["expected_ms"])] {
        for (index, step) in case[list].as_array().into_iter().flatten().enumerate() {
            for &field in fields {
                let other = match &step[field] {
                    Json::Null if field == "then_illegal" => json!(["remove"]),
                    value => other_value(value),
                };
                let mut steps = case[list].clone();
                steps[index] = with(step, json!({ field: other }));
                change(list, steps);
            }
        }
    }
    match case["kind"].as_str().unwrap() {
        // Where Spark fails and we do not, its failures are not what is compared.
        "stream" if compared == "expected" => change("failed_batches", json!([1, 2, 3])),
        "foreach_counts" => change("expected_counts", json!({"batches": 0, "elements": 0})),
        "construct_error" => change("pipelines", json!([[]])),
        "retention" => {
            for (name, millis) in case["expected_remember_ms"].as_object().unwrap() {
                // By the longest slide, so that there is one batch more.
                let longer = json!({ name: millis.as_u64().unwrap() + 2_000 });
                change("expected_remember_ms", with(&case["expected_remember_ms"], longer));
            }
        }
        "file_stream" => {
            change("expected_flat_set", json!(["surplus"]));
            change("expected_per_batch", json!([["surplus"]]));
            change("stream_created_at_ms", json!(0));
            if case["new_files_only"] == false {
                change("remember_ms", json!(2_000));
            }
        }
        "binary_records" => change("expected_concatenated_per_batch", json!([[0]])),
        "recovery_files" => {
            change("expected_before_crash", json!([1]));
            change("expected_union_of_all_outputs", json!([1, 3]));
            change("files_while_down", json!([4]));
        }
        "slice" => {
            change("queries", json!([{"from_ms": 0, "to_ms": 9000, "expected": ["surplus"]}]));
        }
        _ => {}
    }
    changed
}

/// Expectations beside `expected`: lists, or fields with a list or a value each.
const EXPECTATIONS: [&str; 11] = [
    "expected_state_snapshots",
    "expected_states",
    "expected_output",
    "expected_timed_out",
    "expected_removed",
    "expected_before",
    "expected_after_restart",
    "assert",
    "spark_actual",
    "eager_alternative",
    "expected_present_ms",
];

/// What is said of a handle after each step.
const STEP: [&str; 6] = ["exists", "getOption", "updated", "removed", "timingOut", "then_illegal"];

/// A list with more, with less, and with something else in it.
fn other_lists(list: &[Json]) -> Vec<Vec<Json>> {
    let mut others = vec![[list, &[json!(["surplus"])]].concat()];
    if let Some((_, fewer)) = list.split_last() {
        others.push(fewer.to_vec());
        let index = list.len() / 2;
        let mut other = list.to_vec();
        other[index] = other_value(&other[index]);
        others.push(other);
    }
    others
}

/// Another value of the same kind, of a list one that ends otherwise.
fn other_value(value: &Json) -> Json {
    match value {
        Json::Bool(is_true) => json!(!is_true),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => json!(integer + 1),
            None => json!(number.as_f64().unwrap() + 1.0),
        },
        Json::Array(items) => match items.split_last() {
            Some((last, others)) => json!([others, &[other_value(last)]].concat()),
            None => json!(["surplus"]),
        },
        Json::Object(fields) => match fields.iter().next() {
            Some((name, first)) => with(value, json!({ name: other_value(first) })),
            None => json!({ "surplus": 1 }),
        },
        Json::Null | Json::String(_) => json!("surplus"),
    }
}

/// Kinds of cases whose streams may be of columns.
const ABOUT_STREAMS: [&str; 7] =
    ["stream", "stream_weak", "foreach_counts", "queue", "slice", "recovery", "state_step"];

/// Cases that are for typed columns run on them, and all but these are.
#[test]
fn cases_on_typed_columns() {
    let mut untyped = BTreeSet::new();
    for (_, cases) in cases(&own_folder()) {
        for case in cases.unwrap() {
            let is_about_streams = ABOUT_STREAMS.contains(&case["kind"].as_str().unwrap());
            if is_about_streams && judge(&case) == (Verdict::Passed { is_typed: false }) {
                untyped.insert(case["name"].as_str().unwrap().to_owned());
            }
        }
    }
    let expected = [
        "floats are exact",
        "keys of any shape",
        "map field",
        "numbers of any kind",
        "transformN union_first_two_pair_self_join_third",
        "values of any shape",
    ];
    assert_eq!(untyped.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// The vocabulary is in the cases: no operator or function is there that none of them tries.
#[test]
fn every_word_is_tried() {
    let mut words = BTreeSet::new();
    for (_, cases) in cases(&own_folder()) {
        for case in cases.unwrap() {
            collect_words(&case, &mut words);
        }
    }
    let text = [include_str!("functions.rs"), include_str!("stateful.rs")].concat();
    let quoted = |line: &str| -> Vec<String> {
        let head = line.split("=>").next().unwrap_or("");
        head.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let arms =
        text.lines().filter(|line| line.trim_start().starts_with('"') && line.contains("=>"));
    let functions: BTreeSet<String> = arms.flat_map(quoted).collect();
    assert!(functions.len() > 30, "{functions:?}");
    let operators = super::operator::names().map(str::to_owned);
    let missing: Vec<_> =
        functions.into_iter().chain(operators).filter(|word| !words.contains(word)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

fn collect_words(json: &Json, words: &mut BTreeSet<String>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                let is_word = ["op", "fn", "create", "merge", "combine", "inverse", "filter"];
                if let (true, Some(word)) = (is_word.contains(&name.as_str()), value.as_str()) {
                    words.insert(word.to_owned());
                }
                collect_words(value, words);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect_words(item, words)),
        _ => {}
    }
}

#[test]
fn functions_over_values() {
    let value = |json: Json| super::value::Value::of_json(&json).unwrap();
    let apply = |name: &str, arg: Json, x: Json| {
        let arg = Some(value(arg)).filter(|arg| *arg != value(Json::Null));
        element(name, arg.as_ref()).and_then(|f| f(&value(x)))
    };
    assert_eq!(apply("add", json!(1.5), json!(1)), Ok(value(json!(2.5))));
    assert_eq!(apply("add", json!(1), json!(i64::MAX)), Err("a sum does not fit an i64".into()));
    assert_eq!(apply("to_string", json!(null), json!(1.0)), Ok(value(json!("1.0"))));
    assert!(apply("to_string", json!(null), json!([1])).is_err());
    assert!(apply("add", json!(null), json!(1)).is_err_and(|text| text.contains("needs an arg")));
    assert_eq!(apply("length", json!(null), json!("é漢")), Ok(value(json!(2))));
    let subtract = functions::inverse("subtract").unwrap();
    assert_eq!(subtract(&value(json!(1)), &value(json!(0.5))), Ok(value(json!(0.5))));
    // 0.1 + 0.2 in bits.
    let sum = functions::combine("sum").unwrap();
    let sum = sum(&value(json!(0.1)), &value(json!(0.2))).unwrap();
    assert_eq!(sum, value(serde_json::from_str("0.30000000000000004").unwrap()));
    assert_ne!(sum, value(json!(0.3)));
}
