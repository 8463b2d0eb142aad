//! `count_by_key`, `combine_by_key` and `reduce_by_key`: against a fold over each key's values.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::test_runner::{Config, TestRunner};
use tidemill::ErrorKind;
use tidemill::prelude::*;

use crate::check::{In, Out, check_bag, halves, pairs};
use crate::panics::panic_on_purpose;

#[test]
fn count_by_key() {
    let input = [
        halves(&pairs([("a", 1.0), ("b", f64::NAN), ("a", 1.0)])),
        In::Partitions(vec![]),
        In::Absent,
        In::Partitions(vec![vec![], pairs([("", 0.0)])]),
    ];
    let expected = [
        Out::Rows(pairs([("a", 2i64), ("b", 1)])),
        Out::Rows(vec![]),
        Out::Absent,
        Out::Rows(pairs([("", 1)])),
    ];
    check_bag(|pairs| pairs.count_by_key(), &input, &expected);
    // After `pair_with` it is a count of the words themselves.
    let t = TestContext::new().unwrap();
    let words = t.input::<String>();
    words.stream().split_whitespace().pair_with(()).count_by_key().print(0);
    let plan = t.context().explain();
    assert!(plan.contains("fused") && plan.contains("count_by_key"), "{plan}");
}

#[test]
fn combine_by_key() {
    let input = [
        halves(&pairs([("a", 1i64), ("b", 7), ("a", 2), ("a", 3)])),
        In::Partitions(vec![]),
        In::Absent,
        halves(&pairs([("a", 4i64)])),
    ];
    let combiner = |text: &str| text.to_owned();
    check_bag(
        |pairs| {
            pairs.combine_by_key::<String, _, _, _>(
                |value| format!("[{value}"),
                |combiner, value| format!("{combiner},{value}"),
                |combiner, later| format!("{combiner} {later}"),
            )
        },
        &input,
        &[
            Out::Rows(pairs([("a", combiner("[1 [2,3")), ("b", combiner("[7"))])),
            Out::Rows(vec![]),
            Out::Absent,
            Out::Rows(pairs([("a", combiner("[4"))])),
        ],
    );
    let t = TestContext::new().unwrap();
    let numbers = t.input::<(i64, i64)>();
    numbers.stream().combine_by_key::<i64, _, _, _>(|v| v, |c, v| c + v, |a, b| a + b).print(0);
    let plan = t.context().explain();
    let line = plan.lines().find(|line| line.contains("combine_by_key")).unwrap();
    assert!(line.contains("row closure"), "{plan}");
}

/// Values and parts are combined in the order of their arrival, so joining them is a fold, whatever
/// the partitions and threads.
#[test]
fn random_batches_in_the_order_of_arrival() {
    let row = (0i64..6, "[a-z]{0,2}");
    let partitions = || vec(vec(row.clone(), 0..40), 0..6);
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let two_batches = (partitions(), partitions()).prop_map(|(first, second)| [first, second]);
    let ran = TestRunner::new(config).run(&two_batches, |batches| {
        let input = batches.clone().map(In::Partitions);
        let by_key = |f: &dyn Fn(&mut String, &str)| {
            batches.clone().map(|partitions| {
                let mut folded: BTreeMap<i64, String> = BTreeMap::new();
                for (key, value) in partitions.into_iter().flatten() {
                    match folded.get_mut(&key) {
                        Some(folded) => f(folded, &value),
                        None => drop(folded.insert(key, value)),
                    }
                }
                Out::Rows(folded.into_iter().collect::<Vec<_>>())
            })
        };
        let joined = by_key(&|folded, value| folded.push_str(value));
        check_bag(|pairs| pairs.reduce_by_key(|a, b| format!("{a}{b}")), &input, &joined);
        let lists = |pairs: &DStream<(i64, String)>| {
            let lists = pairs.combine_by_key::<Vec<String>, _, _, _>(
                |value| vec![value.to_owned()],
                |list, value| list.iter().chain([value]).map(str::to_owned).collect(),
                |list, later| list.iter().chain(later.iter()).map(str::to_owned).collect(),
            );
            lists.map_values(|list| list.iter().collect::<String>())
        };
        check_bag(lists, &input, &joined);
        let rows = |pairs: &DStream<(i64, String)>| {
            let rows = pairs.combine_by_key::<Row<Vec<String>>, _, _, _>(
                |value| Row(vec![value.to_owned()]),
                |list, value| Row([list.as_slice(), &[value.to_owned()]].concat()),
                |list, later| Row([list.as_slice(), later].concat()),
            );
            rows.map_values(|list| list.concat())
        };
        check_bag(rows, &input, &joined);
        let last = by_key(&|folded, value| value.clone_into(folded));
        check_bag(|pairs| pairs.reduce_by_key(|_, b| b.to_owned()), &input, &last);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// Each of the three may panic; the batch fails, and the next one starts with nothing.
#[test]
fn a_panic_in_any_of_the_three() {
    for panicking in ["create", "value", "combiners"] {
        let fail = move |place: &str, value: i64| {
            if place == panicking && value >= 100 {
                panic_on_purpose();
            }
        };
        let mut t = TestContext::new().unwrap();
        let numbers = t.input::<(i64, i64)>();
        let sums = t.output(&numbers.stream().combine_by_key::<i64, _, _, _>(
            move |value| {
                fail("create", value);
                value
            },
            move |sum, value| {
                fail("value", sum + value);
                sum + value
            },
            move |sum, later| {
                fail("combiners", sum + later);
                sum + later
            },
        ));
        let batch = |n: i64| Batch::from_partitions([vec![(0, n), (0, n)], vec![(0, n), (0, n)]]);
        numbers.push_batch(batch(1)).unwrap();
        t.tick().unwrap();
        numbers.push_batch(batch(100)).unwrap();
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closure);
        assert!(error.to_string().contains("operator combine_by_key panicked"), "{error}");
        numbers.push_batch(batch(2)).unwrap();
        t.tick().unwrap();
        assert_eq!(sums.take(), [(0, 4), (0, 8)], "{panicking}");
    }
}
