//! Named aggregates by key: what they give, at the ends of their types, and the same bits for any
//! number of threads.

use std::fmt::Debug;

use tidemill::prelude::*;
use tidemill::{Aggregate, ErrorKind};

use crate::check::{In, Out, batch_of, check_bag, pairs};
use crate::random::Random;

/// Aggregates the values of one key, in one partition and cut everywhere into two.
#[track_caller]
fn check_values<V, A, U>(aggregate: A, values: &[V], expected: Out<U>)
where
    V: Record + Clone,
    A: Aggregate<V, Output = U> + Copy,
    U: Record + Clone + PartialEq + Debug,
{
    let rows: Vec<(String, V)> =
        values.iter().map(|value| ("key".to_owned(), value.clone())).collect();
    let expected = match expected {
        Out::Rows(rows) => Out::Rows(rows.into_iter().map(|row| ("key".to_owned(), row)).collect()),
        Out::Absent => Out::Absent,
        Out::Fails(texts) => Out::Fails(texts),
    };
    for cut in 0..=rows.len() {
        let (head, tail) = rows.split_at(cut);
        check_bag(
            |pairs: &DStream<(String, V)>| pairs.aggregate_by_key(aggregate),
            &[In::Partitions(vec![head.to_vec(), tail.to_vec()])],
            std::slice::from_ref(&expected),
        );
    }
}

fn one<U>(value: U) -> Out<U> {
    Out::Rows(vec![value])
}

#[test]
fn count() {
    check_values(Count, &[1i64, 2, 3], one(3));
    check_values(Count, &["a".to_owned(), String::new()], one(2));
    check_values(Count, &[Row(()), Row(()), Row(())], one(3));
    check_values(Count, &[None, Some(1i64)], one(2));
}

#[test]
fn sum() {
    check_values(Sum, &[1i64, 2, 3], one(6));
    check_values(Sum, &[i8::MAX, i8::MAX, -1], one(253));
    check_values(Sum, &[i32::MIN, i32::MIN], one(-(1 << 32)));
    check_values(Sum, &[u32::MAX, u32::MAX], one(2 * i64::from(u32::MAX)));
    check_values(Sum, &[u16::MAX, 1], one(65_536));
    check_values(Sum, &[1.5f64, -0.25], one(1.25));
    check_values(Sum, &[1.5f32, -0.25], one(1.25));
    check_values(Sum, &[i64::MIN, i64::MAX], one(-1));
    let negative_zero = |sum: f64| sum == 0.0 && sum.is_sign_negative();
    check_bag(
        |pairs| pairs.aggregate_by_key(Sum).map_values(negative_zero),
        &[In::Partitions(vec![pairs([("a", -0.0f64)]), pairs([("b", 0.0)])])],
        &[Out::Rows(pairs([("a", true), ("b", false)]))],
    );
}

#[test]
fn extremes() {
    check_values(Min, &[3i64, -1, 2], one(-1));
    check_values(Max, &[3i64, -1, 2], one(3));
    check_values(Min, &[i64::MAX], one(i64::MAX));
    check_values(Max, &[i64::MIN], one(i64::MIN));
    check_values(Max, &[0u64, u64::MAX], one(u64::MAX));
    check_values(Min, &[i8::MAX, i8::MIN], one(i8::MIN));
    check_values(Min, &[1.5f32, -2.5], one(-2.5));
    check_values(Max, &[f64::NEG_INFINITY, f64::MIN], one(f64::MIN));
    check_values(Min, &[f64::INFINITY], one(f64::INFINITY));
}

/// NaN is the greatest value, and -0.0 is less than 0.0.
#[test]
fn extremes_of_floats_are_by_total_order() {
    check_values(Min, &[f64::NAN, 1.0], one(1.0));
    check_values(Min, &[1.0, f64::NAN, f64::INFINITY], one(1.0));
    fn check_bits(values: &[f64], min: f64, max: f64) {
        let rows: Vec<(i64, f64)> = values.iter().map(|&value| (0, value)).collect();
        for cut in 0..=rows.len() {
            let (head, tail) = rows.split_at(cut);
            check_bag(
                |pairs: &DStream<(i64, f64)>| {
                    let bits = |value: f64| value.to_bits();
                    let min = pairs.aggregate_by_key(Min).map_values(bits);
                    min.union(&pairs.aggregate_by_key(Max).map_values(bits))
                },
                &[In::Partitions(vec![head.to_vec(), tail.to_vec()])],
                &[Out::Rows(vec![(0, min.to_bits()), (0, max.to_bits())])],
            );
        }
    }
    check_bits(&[1.0, f64::NAN, 2.0], 1.0, f64::NAN);
    check_bits(&[f64::NAN], f64::NAN, f64::NAN);
    check_bits(&[0.0, -0.0], -0.0, 0.0);
    check_bits(&[f64::NEG_INFINITY, -f64::NAN], -f64::NAN, f64::NEG_INFINITY);
}

#[test]
fn mean() {
    check_values(Mean, &[1i64, 2], one(1.5));
    check_values(Mean, &[i64::MAX, i64::MAX, i64::MAX], one(i64::MAX as f64));
    check_values(Mean, &[i64::MIN, i64::MAX], one(-0.5));
    check_values(Mean, &[u64::MAX, u64::MAX], one(u64::MAX as f64));
    check_values(Mean, &[1.0f64, 2.0, 6.0], one(3.0));
    check_values(Mean, &[1.0f32, 2.0], one(1.5));
}

#[test]
fn batches_without_rows() {
    let input = [In::Partitions(vec![]), In::Partitions(vec![vec![]]), In::Absent];
    let nothing = [Out::Rows(vec![]), Out::Rows(vec![]), Out::Absent];
    check_bag(|pairs: &DStream<(String, i64)>| pairs.aggregate_by_key(Sum), &input, &nothing);
    check_bag(|pairs: &DStream<(String, i64)>| pairs.aggregate_by_key(Count), &input, &nothing);
    let input = [In::Partitions(vec![]), In::Partitions(vec![vec![]]), In::Absent];
    let nothing = [Out::Rows(vec![]), Out::Rows(vec![]), Out::Absent];
    check_bag(|pairs: &DStream<(String, f64)>| pairs.aggregate_by_key(Mean), &input, &nothing);
}

/// The sum of a constant is a count times it, which the engine makes use of.
#[test]
fn sum_of_a_constant() {
    let words: Vec<String> = ["a", "b", "a", "a"].map(String::from).to_vec();
    let input = [In::Partitions(vec![words[..1].to_vec(), words[1..].to_vec()])];
    for constant in [1, 3, 0, -2, i64::MAX / 3, i64::MIN / 3] {
        check_bag(
            |words: &DStream<String>| words.pair_with(constant).aggregate_by_key(Sum),
            &input,
            &[Out::Rows(pairs([("a", 3 * constant), ("b", constant)]))],
        );
    }
    check_bag(
        |words: &DStream<String>| words.pair_with(2.5f64).aggregate_by_key(Sum),
        &input,
        &[Out::Rows(pairs([("a", 7.5), ("b", 2.5)]))],
    );
    check_bag(
        |words: &DStream<String>| words.pair_with(7i64).aggregate_by_key(Count),
        &input,
        &[Out::Rows(pairs([("a", 3i64), ("b", 1)]))],
    );
}

const OVERFLOW: &[&str] = &["aggregate_by_key(Sum)", "does not fit an i64"];

#[test]
fn an_overflow_fails_the_batch() {
    check_values::<i64, _, i64>(Sum, &[i64::MAX, 1], Out::Fails(OVERFLOW));
    check_values::<i64, _, i64>(Sum, &[-1, i64::MIN], Out::Fails(OVERFLOW));
    check_values::<u64, _, i64>(Sum, &[u64::MAX], Out::Fails(OVERFLOW));
    // What matters is the sum, not the way to it.
    check_values::<i64, _, i64>(Sum, &[i64::MAX, 1, -1], Out::Rows(vec![i64::MAX]));
    let key = |value: i64| In::Partitions(vec![pairs([("key", value)]), pairs([("key", value)])]);
    check_bag(
        |pairs: &DStream<(String, i64)>| pairs.aggregate_by_key(Sum),
        &[key(i64::MAX), key(1), key(i64::MIN), key(2)],
        &[
            Out::Fails(OVERFLOW),
            Out::Rows(pairs([("key", 2)])),
            Out::Fails(OVERFLOW),
            Out::Rows(pairs([("key", 4)])),
        ],
    );
    // Also where a count times a constant stands for the sum.
    check_bag(
        |words: &DStream<String>| words.pair_with(i64::MAX / 2).aggregate_by_key(Sum),
        &[
            In::Partitions(vec![vec!["a".to_owned(); 2], vec!["a".to_owned()]]),
            In::Partitions(vec![vec!["a".to_owned()]]),
        ],
        &[Out::Fails(OVERFLOW), Out::Rows(pairs([("a", i64::MAX / 2)]))],
    );
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<(i64, i64)>();
    t.output(&numbers.stream().aggregate_by_key(Sum));
    numbers.push([(0i64, i64::MAX), (0, 1)]).unwrap();
    assert_eq!(t.tick().unwrap_err().kind(), ErrorKind::Overflow);
}

/// Floats are added in the order of the blocks, whoever adds them.
#[test]
fn sums_of_floats_have_the_same_bits_for_any_number_of_threads() {
    let mut random = Random::new(7);
    let mut value = || {
        let mantissa = random.next() as i64 as f64 / i64::MAX as f64;
        mantissa * 10f64.powi(random.between(0, 40) as i32 - 20)
    };
    let partition = |_| (0..500).map(|row| (row % 7, value())).collect();
    let partitions: Vec<Vec<(i64, f64)>> = (0..16).map(partition).collect();
    let batch = batch_of(&partitions);
    let bits = |threads: usize| {
        let builder = StreamingContext::builder("floats").threads(threads);
        let mut t = TestContext::with(builder).unwrap();
        let rows = t.input::<(i64, f64)>();
        let sums = rows.stream().aggregate_by_key(Sum);
        let all = sums.union(&rows.stream().aggregate_by_key(Mean));
        let all = all.union(&rows.stream().reduce_by_key(|left, right| left + right));
        let total = rows.stream().map(|(_, value)| value).reduce(|left, right| left + right);
        let output = t.output(&all.union(&total.map(|sum| (99, sum))));
        rows.push_batch(batch.clone()).unwrap();
        t.tick().unwrap();
        let rows = output.take().into_iter().map(|(key, value)| (key, value.to_bits()));
        let mut rows: Vec<(i64, u64)> = rows.collect();
        rows.sort();
        rows
    };
    let expected = bits(1);
    assert_eq!(expected.len(), 3 * 7 + 1);
    for threads in [2, 3, 4, 8].repeat(8) {
        assert_eq!(bits(threads), expected, "{threads} threads");
    }
}

/// An aggregate of one's own, as the trait allows it.
#[test]
fn an_aggregate_of_ones_own() {
    #[derive(Clone, Copy)]
    struct Longest;

    impl Aggregate<String> for Longest {
        type Partial = String;
        type Output = String;

        fn identity(&self) -> String {
            String::new()
        }

        fn add(&self, partial: &mut String, value: &str) -> tidemill::Result<()> {
            if value.len() > partial.len() {
                *partial = value.to_owned();
            }
            Ok(())
        }

        fn merge(&self, into: &mut String, later: &String) -> tidemill::Result<()> {
            self.add(into, later)
        }

        fn finish(&self, partial: &String) -> tidemill::Result<String> {
            Ok(partial.clone())
        }
    }

    let values = ["a", "bbb", "cc", ""].map(String::from);
    check_values(Longest, &values, one("bbb".to_owned()));
}

/// One key more than the maximum fails the batch, names the limit, and leaves nothing behind.
#[test]
fn more_keys_than_the_maximum() {
    type Pairs = DStream<(String, i64)>;
    let keys = |range: std::ops::Range<i64>| -> Vec<(String, i64)> {
        range.map(|key| (format!("key {key}"), key)).collect()
    };
    let halves = |range: std::ops::Range<i64>| {
        let middle = (range.start + range.end) / 2;
        In::Partitions(vec![keys(range.start..middle), keys(middle..range.end)])
    };
    let input =
        [halves(0..1_000), halves(0..1_001), halves(7..9), halves(500..1_700), halves(3..4)];
    let counted = |range: std::ops::Range<i64>| Out::Rows(vec![range.end - range.start]);
    let limit = Out::Fails(&["1000", "Limits::distinct_keys", "operator"]);
    let expected = [counted(0..1_000), limit.clone(), counted(7..9), limit.clone(), counted(3..4)];
    type Operator = fn(&Pairs) -> DStream<i64>;
    let operators: [(&str, Operator); 6] = [
        ("text", |pairs| pairs.map(|(key, _)| key.to_owned()).count_by_value().count()),
        ("integers", |pairs| pairs.map(|(_, value)| value).count_by_value().count()),
        ("sum", |pairs| pairs.aggregate_by_key(Sum).count()),
        ("floats", |pairs| pairs.map_values(|value| value as f64).aggregate_by_key(Sum).count()),
        ("reduce", |pairs| pairs.reduce_by_key(|left, _| left).count()),
        ("group", |pairs| pairs.group_by_key().count()),
    ];
    for (name, operator) in operators {
        eprintln!("{name}");
        check_bag(operator, &input, &expected);
    }
}
