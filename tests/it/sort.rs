//! `sorted`, `sort_by`, `top` and `top_by`: against the standard library's sort, on any batches.

use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use tidemill::prelude::*;
use tidemill::{ErrorKind, Ordered};

use crate::check::{In, Out, check, halves, owned};

/// Runs `body` on random batches of these rows: partitions, empty ones, and no batch.
#[track_caller]
fn check_random<T: Record + Clone + std::fmt::Debug>(
    row: impl Strategy<Value = T>,
    body: impl Fn(&[In<T>]),
) {
    let partitions = vec(prop_oneof![1 => Just(vec![]), 4 => vec(row, 0..150)], 0..5);
    let batch = prop_oneof![1 => Just(In::Absent), 6 => partitions.prop_map(In::Partitions)];
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&vec(batch, 1..4), |batches| {
        body(&batches);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// What comes out if `f` is done to all rows of each batch.
fn expected<T: Clone>(input: &[In<T>], f: impl Fn(&mut Vec<T>)) -> Vec<Out<T>> {
    let of_batch = |batch: &In<T>| match batch {
        In::Absent => Out::Absent,
        In::Partitions(partitions) => {
            let mut rows = partitions.concat();
            f(&mut rows);
            Out::Rows(rows)
        }
    };
    input.iter().map(of_batch).collect()
}

fn order<T: Ordered>(left: &T, right: &T) -> Ordering {
    T::order(left.to_ref(), right.to_ref())
}

#[test]
fn sorted() {
    fn check_sorted<T: Ordered + Clone + PartialEq + std::fmt::Debug>(input: &[In<T>]) {
        check(|rows| rows.sorted(), input, &expected(input, |rows| rows.sort_by(order)));
    }
    check_random(any::<i64>(), check_sorted);
    check_random(0i64..4, check_sorted);
    check_random(Just(7i64), check_sorted);
    check_random("[abé]{0,3}", check_sorted);
    check_random((0i64..3, "[ab]{0,2}"), check_sorted);
    check_random(proptest::option::of(vec(0i64..3, 0..3)), check_sorted);
    check_random(vec(any::<u8>(), 0..3), check_sorted);
}

/// NaN of any sign comes last, and -0.0 before 0.0.
#[test]
fn floats() {
    let rows = [f64::NAN, 1.0, -f64::NAN, f64::INFINITY, 0.0, -0.0, f64::NEG_INFINITY];
    let sorted = [f64::NEG_INFINITY, -0.0, 0.0, 1.0, f64::INFINITY, -f64::NAN, f64::NAN];
    let mut greatest = sorted;
    greatest.reverse();
    let bits = |rows: &[f64]| [Out::Rows(rows.iter().map(|row| row.to_bits()).collect())];
    check(|rows| rows.sorted().map(f64::to_bits), &[halves(&rows)], &bits(&sorted));
    check(|rows| rows.top(3).map(f64::to_bits), &[halves(&rows)], &bits(&greatest[..3]));
}

/// Rows with few keys, of which each is unlike all others.
fn ties() -> impl Strategy<Value = (i64, i64)> {
    (0i64..4, any::<i64>())
}

#[test]
fn sort_by() {
    check_random(ties(), |input| {
        let expected = expected(input, |rows| rows.sort_by_key(|row| -row.0));
        check(|rows| rows.sort_by(|(left, _), (right, _)| right.cmp(&left)), input, &expected);
    });
    check_random("[abé]{0,5}", |input| {
        let expected = expected(input, |rows| rows.sort_by_key(String::len));
        check(|rows| rows.sort_by(|left, right| left.len().cmp(&right.len())), input, &expected);
    });
    // All rows tie.
    check_random(any::<i64>(), |input| {
        check(|rows| rows.sort_by(|_, _| Ordering::Equal), input, &expected(input, |_| {}));
    });
}

#[test]
fn top() {
    fn check_top<T: Ordered + Clone + PartialEq + std::fmt::Debug>(input: &[In<T>]) {
        for n in [0, 1, 3, 70, usize::MAX] {
            let expected = expected(input, |rows| {
                rows.sort_by(|left, right| order(right, left));
                rows.truncate(n);
            });
            check(|rows| rows.top(n), input, &expected);
        }
    }
    check_random(any::<i64>(), check_top);
    check_random(0i64..4, check_top);
    check_random("[abé]{0,3}", check_top);
    check_random(any::<i32>().prop_map(Row), check_top);
}

#[test]
fn top_by() {
    check_random(ties(), |input| {
        for n in [0, 1, 5, 80] {
            let expected = expected(input, |rows| {
                rows.sort_by_key(|row| -row.0);
                rows.truncate(n);
            });
            check(
                |rows| rows.top_by(n, |(left, _), (right, _)| left.cmp(&right)),
                input,
                &expected,
            );
        }
    });
}

/// A type whose order does not see all of it: what ties stays in the order of its arrival.
#[test]
fn ties_of_rust_values() {
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Tied(i64, usize);

    impl PartialOrd for Tied {
        fn partial_cmp(&self, other: &Tied) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Tied {
        fn cmp(&self, other: &Tied) -> Ordering {
            self.0.cmp(&other.0)
        }
    }

    let rows: Vec<Row<Tied>> = (0..600).map(|row| Row(Tied(row as i64 % 3, row))).collect();
    let partitions = rows.chunks(50).map(<[_]>::to_vec).collect();
    let input = [In::Partitions(partitions)];
    check(|rows| rows.sorted(), &input, &expected(&input, |rows| rows.sort()));
    let greatest = expected(&input, |rows| {
        rows.sort_by(|left, right| right.cmp(left));
        rows.truncate(70);
    });
    check(|rows| rows.top(70), &input, &greatest);
}

/// Rows in rising order are the worst case of `top`: each is greater than all before.
#[test]
fn rising_and_falling_rows() {
    let rows: Vec<i64> = (0..20_000).collect();
    let falling: Vec<i64> = rows.iter().rev().copied().collect();
    let greatest: Vec<i64> = falling[..100].to_vec();
    let input = [halves(&rows), halves(&falling)];
    check(|rows| rows.top(100), &input, &[Out::Rows(greatest.clone()), Out::Rows(greatest)]);
    check(|rows| rows.sorted(), &input, &[Out::Rows(rows.clone()), Out::Rows(rows)]);
}

/// The least words of a stream of lines; and the most frequent ones.
#[test]
fn with_other_operators() {
    let lines = [halves(&owned::<String, _>(["b a", "c b", "a b"])), In::Partitions(vec![])];
    let pair = |word: &str, count| (word.to_owned(), count);
    check(
        |lines: &DStream<String>| {
            let counts = lines.split_whitespace().count_by_value();
            counts.top_by(2, |(a, count_a), (b, count_b)| count_a.cmp(&count_b).then(b.cmp(a)))
        },
        &lines,
        &[Out::Rows(vec![pair("b", 3), pair("a", 2)]), Out::Rows(vec![])],
    );
    check(
        |lines: &DStream<String>| lines.split_whitespace().top(3),
        &lines,
        &[Out::Rows(owned(["c", "b", "b"])), Out::Rows(vec![])],
    );
}

/// A panic fails the batch, names the operator, and leaves nothing for the next one.
#[test]
fn a_panic_in_an_order() {
    let mut t = TestContext::new().unwrap();
    let numbers = t.input::<i64>();
    let compare = |left: i64, right: i64| {
        if left.max(right) > 9 {
            crate::panics::panic_on_purpose();
        }
        left.cmp(&right)
    };
    let sorted = t.output(&numbers.stream().sort_by(compare));
    let top = t.output(&numbers.stream().top_by(2, compare));
    for rows in [vec![2i64, 1, 3], vec![5, 10], vec![7, 6, 8]] {
        numbers.push(rows).unwrap();
    }
    t.tick().unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closure);
    assert!(error.to_string().contains("operator sort_by panicked"), "{error}");
    t.tick().unwrap();
    assert_eq!(sorted.take_batches(), [[1, 2, 3], [6, 7, 8]]);
    assert_eq!(top.take_batches(), [[3, 2], [8, 7]]);
}
