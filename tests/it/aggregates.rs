//! Named aggregates by key: what they give, at the ends of their types, and the same bits for any
//! number of threads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use tidemill::prelude::*;
use tidemill::{
    Aggregate, DistinctCount, ErrorKind, First, Last, Ordered, SampleStdDev, SampleVariance,
    StdDev, TopK, Variance,
};

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

/// NaN of any sign is the greatest value, and -0.0 is less than 0.0.
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
    check_bits(&[f64::NEG_INFINITY, -f64::NAN], f64::NEG_INFINITY, -f64::NAN);
    check_bits(&[f64::NAN, -f64::NAN, f64::INFINITY], f64::INFINITY, f64::NAN);
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
fn extremes_of_whatever_has_an_order() {
    let text = |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| t.to_string()).collect() };
    check_values(Min, &text(&["b", "a", "ab", "é"]), one("a".to_owned()));
    check_values(Max, &text(&["b", "a", "ab", "é"]), one("é".to_owned()));
    check_values(Min, &text(&["a", ""]), one(String::new()));
    check_values(Max, &[vec![1u8], vec![1, 0], vec![]], one(vec![1u8, 0]));
    check_values(Max, &[false, true, false], one(true));
    check_values(Min, &[Some(3i64), None, Some(-1)], one(None));
    check_values(Max, &[Some(3i64), None, Some(-1)], one(Some(3)));
    check_values(Min, &[(2i64, 1.5f64), (1, f64::NAN), (1, 2.0)], one((1, 2.0)));
    check_values(Max, &[vec![1i64, 2], vec![2], vec![1, 2, 3]], one(vec![2]));
    check_values(Min, &[Row('b'), Row('a')], one(Row('a')));
}

/// A value whose second part its order does not see.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Tied(i64, &'static str);

impl PartialOrd for Tied {
    fn partial_cmp(&self, other: &Tied) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tied {
    fn cmp(&self, other: &Tied) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

#[test]
fn of_values_that_tie_the_first_one_counts() {
    let values = [(2, "a"), (1, "b"), (2, "c"), (1, "d"), (2, "e")].map(|(n, t)| Row(Tied(n, t)));
    let [a, b, c, d, e] = values;
    check_values(Min, &values, one(b));
    check_values(Max, &values, one(a));
    check_values(TopK(2), &values, one(vec![a, c]));
    check_values(TopK(4), &values, one(vec![a, c, e, b]));
    check_values(TopK(9), &values, one(vec![a, c, e, b, d]));
    check_values(Max, &values.map(|value| (value, 0i64)), one((a, 0)));
}

#[test]
fn ends() {
    check_values(First, &[3i64, 1, 2], one(3));
    check_values(Last, &[3i64, 1, 2], one(2));
    check_values(First, &["a".to_owned(), String::new()], one("a".to_owned()));
    check_values(Last, &["a".to_owned(), String::new()], one(String::new()));
    check_values(First, &[None, Some(1i64)], one(None));
    check_values(Last, &[vec![1i64], vec![]], one(vec![]));
    check_values(Last, &[Row('a'), Row('b')], one(Row('b')));
}

#[test]
fn distinct_count() {
    check_values(DistinctCount::new(), &[1i64, 2, 1, 2, 1], one(2));
    let text = ["a", "", "b", "", "a"].map(String::from);
    check_values(DistinctCount::default(), &text, one(3));
    check_values(DistinctCount::new(), &[None, Some(1i64), None], one(2));
    check_values(DistinctCount::new(), &[(1i64, true), (1, false), (1, true)], one(2));
    check_values(DistinctCount::new(), &[Row('a'), Row('a')], one(1));
    // One value more than the maximum fails the batch, wherever it came from.
    let limited = DistinctCount::new().values_max(2);
    check_values(limited, &[1i64, 2, 2, 1], one(2));
    const LIMIT: &[&str] = &["aggregate_by_key(DistinctCount)", "maximum of 2", "values_max"];
    check_values(limited, &[1i64, 2, 2, 3], Out::Fails(LIMIT));
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(i64, i64)>();
    let counts = t.output(&pairs.stream().aggregate_by_key(limited));
    pairs.push([(0i64, 1), (0, 2), (1, 1), (0, 3)]).unwrap();
    assert_eq!(t.tick().unwrap_err().kind(), ErrorKind::Limit);
    // The next batch starts with no value.
    pairs.push([(0i64, 4), (0, 5), (1, 6)]).unwrap();
    t.tick().unwrap();
    assert_eq!(counts.take_sorted(), [(0, 2), (1, 1)]);
}

#[test]
fn top_k() {
    check_values(TopK(2), &[3i64, 1, 4, 1, 5], one(vec![5, 4]));
    check_values(TopK(1), &[1i64, 2, 3, 4, 5, 6], one(vec![6]));
    check_values(TopK(3), &[7i64, 7, 1, 7, 7], one(vec![7, 7, 7]));
    check_values(TopK(9), &[1i64, 2], one(vec![2, 1]));
    check_values(TopK(0), &[1i64, 2], one(vec![]));
    check_values(TopK(usize::MAX), &[1i64, 2], one(vec![2, 1]));
    let text = ["b", "a", "é", ""].map(String::from);
    check_values(TopK(2), &text, one(vec!["é".to_owned(), "b".to_owned()]));
    // NaN is greater than all numbers; values are given as they are.
    let bits = |values: tidemill::List<'_, f64>| values.iter().map(f64::to_bits).collect();
    check_bag(
        |pairs: &DStream<(i64, f64)>| {
            pairs.aggregate_by_key(TopK(3)).map_values::<Vec<u64>, _>(bits)
        },
        &[In::Partitions(vec![vec![(0, 0.0), (0, -0.0)], vec![(0, f64::NAN), (0, -1.0)]])],
        &[Out::Rows(vec![(0, [f64::NAN, 0.0, -0.0].map(f64::to_bits).to_vec())])],
    );
}

/// A float that is equal to those that rounding may have made of it, and NaN to NaN.
#[derive(Copy, Clone, Debug)]
struct Close(f64);

impl PartialEq for Close {
    fn eq(&self, other: &Close) -> bool {
        let (left, right) = (self.0, other.0);
        let apart = (left - right).abs();
        left == right || (left.is_nan() && right.is_nan()) || apart <= 1e-9 * left.abs()
    }
}

#[test]
fn variances() {
    fn check<V: Record + Clone>(values: &[V], population: f64, sample: f64)
    where
        Variance: Aggregate<V, Output = f64>,
        SampleVariance: Aggregate<V, Output = f64>,
        StdDev: Aggregate<V, Output = f64>,
        SampleStdDev: Aggregate<V, Output = f64>,
    {
        let rows: Vec<(i64, V)> = values.iter().map(|value| (0, value.clone())).collect();
        for cut in 0..=rows.len() {
            let (head, tail) = rows.split_at(cut);
            check_bag(
                |pairs: &DStream<(i64, V)>| {
                    let close = |number: f64| Row(Close(number));
                    let variance = pairs.aggregate_by_key(Variance).map_values(close);
                    let sample = pairs.aggregate_by_key(SampleVariance).map_values(close);
                    let std_dev = pairs.aggregate_by_key(StdDev).map_values(close);
                    let sample_dev = pairs.aggregate_by_key(SampleStdDev).map_values(close);
                    let all = variance.union(&sample).union(&std_dev).union(&sample_dev);
                    // The rows' order among each other has to show: all keys are the same.
                    all.group_by_key()
                },
                &[In::Partitions(vec![head.to_vec(), tail.to_vec()])],
                &[Out::Rows(vec![(
                    0,
                    [population, sample, population.sqrt(), sample.sqrt()]
                        .map(|number| Row(Close(number)))
                        .to_vec(),
                )])],
            );
        }
    }
    check(&[2i64, 4, 4, 4, 5, 5, 7, 9], 4.0, 32.0 / 7.0);
    check(&[1.0f64, 2.0, 4.0], 14.0 / 9.0, 7.0 / 3.0);
    check(&[0.5f32, -0.5], 0.25, 0.5);
    check(&[i8::MIN, i8::MAX], 127.5 * 127.5, 127.5 * 127.5 * 2.0);
    check(&[u64::MAX, u64::MAX], 0.0, 0.0);
    // One value has no spread, and says nothing of that of others.
    check(&[7i64], 0.0, f64::NAN);
    check(&[7.5f64], 0.0, f64::NAN);
    // Far from zero, where the sum of squares would lose every digit of the spread.
    check(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0], 22.5, 30.0);
    check(&[-1e15f64, -1e15 + 2.0], 1.0, 2.0);
    check(&[1.0, f64::NAN, 2.0], f64::NAN, f64::NAN);
    check(&[1.0, f64::INFINITY], f64::NAN, f64::NAN);
    check(&[1e300, -1e300], f64::INFINITY, f64::INFINITY);
}

/// Random batches against what one would write down for a list of values; floats are among the
/// values with all that is special about them.
#[test]
fn random_batches() {
    fn check_model<V, A, U>(
        aggregate: A,
        partitions: &[Vec<(i64, V)>],
        model: impl Fn(&[V]) -> A::Output,
        shown: impl for<'a> Fn(<A::Output as Record>::Ref<'a>) -> U + Send + Sync + Copy + 'static,
    ) where
        V: Record + Clone,
        A: Aggregate<V> + Copy,
        U: Record + Clone + Debug + PartialEq,
    {
        let mut values: BTreeMap<i64, Vec<V>> = BTreeMap::new();
        for (key, value) in partitions.iter().flatten() {
            values.entry(*key).or_default().push(value.clone());
        }
        let rows = values.into_iter().map(|(key, values)| (key, shown(model(&values).to_ref())));
        check_bag(
            |pairs: &DStream<(i64, V)>| pairs.aggregate_by_key(aggregate).map_values(shown),
            &[In::Partitions(partitions.to_vec()), In::Partitions(vec![])],
            &[Out::Rows(rows.collect()), Out::Rows(vec![])],
        );
    }
    fn sorted<V: Ordered + Clone>(values: &[V]) -> Vec<V> {
        let mut values = values.to_vec();
        values.sort_by(|left, right| V::order(right.to_ref(), left.to_ref()));
        values
    }
    fn squares(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean).powi(2)).sum()
    }
    let special = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX];
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let (rows_max, span) = (random.between(0, 40), random.between(1, 30));
        let mut partitions = |value: &mut dyn FnMut(&mut Random) -> f64| -> Vec<Vec<(i64, f64)>> {
            let mut row = |_| (random.below(4) as i64, value(&mut random));
            (0..3).map(|part| (0..rows_max * part / 2).map(&mut row).collect()).collect()
        };
        let numbers = partitions(&mut |random| 1e6 + random.below(span) as f64 / 8.0);
        let floats = partitions(&mut |random| match random.below(3) {
            0 => special[random.below(special.len())],
            _ => random.below(span) as f64 - 5.0,
        });
        let texts: Vec<Vec<(i64, String)>> = numbers
            .iter()
            .map(|rows| rows.iter().map(|(key, n)| (*key, "x".repeat(*n as usize % 7))).collect())
            .collect();

        check_model(First, &floats, |values| values[0], f64::to_bits);
        check_model(Last, &floats, |values| values[values.len() - 1], f64::to_bits);
        check_model(Max, &floats, |values| sorted(values)[0], f64::to_bits);
        check_model(Min, &floats, |values| *sorted(values).last().unwrap(), f64::to_bits);
        let bits =
            |list: tidemill::List<'_, f64>| list.iter().map(f64::to_bits).collect::<Vec<_>>();
        for k in [0, 1, 3, 50] {
            let top = |values: &[f64]| sorted(values).into_iter().take(k).collect();
            check_model(TopK(k), &floats, top, bits);
        }
        let close = |number: f64| Row(Close(number));
        let count = |values: &[f64]| values.len() as f64;
        check_model(Variance, &numbers, |v| squares(v) / count(v), close);
        check_model(StdDev, &numbers, |v| (squares(v) / count(v)).sqrt(), close);
        check_model(SampleVariance, &numbers, |v| squares(v) / (count(v) - 1.0), close);
        check_model(SampleStdDev, &numbers, |v| (squares(v) / (count(v) - 1.0)).sqrt(), close);
        let owned = |text: &str| text.to_owned();
        check_model(Min, &texts, |v| v.iter().min().unwrap().clone(), owned);
        check_model(Max, &texts, |v| v.iter().max().unwrap().clone(), owned);
        let distinct = |v: &[String]| v.iter().collect::<BTreeSet<_>>().len() as i64;
        check_model(DistinctCount::new(), &texts, distinct, |count| count);
    }
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
        let all = all.union(&rows.stream().aggregate_by_key(Variance));
        let all = all.union(&rows.stream().aggregate_by_key(SampleStdDev));
        let all = all.union(&rows.stream().aggregate_by_key(First));
        let all = all.union(&rows.stream().aggregate_by_key(Last));
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
    assert_eq!(expected.len(), 7 * 7 + 1);
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
