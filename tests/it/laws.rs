//! The laws of aggregates: all that come with the engine keep them, on random values, and one that
//! breaks a law is found out.

use proptest::collection::vec;
use proptest::num::f64::{ANY, NORMAL};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tidemill::prelude::*;
use tidemill::{
    Aggregate, DistinctCount, First, Last, Number, Result, SampleStdDev, SampleVariance, Stats,
    StdDev, TopK, Variance, check_laws, check_laws_by,
};

/// Lists of these values, short ones that repeat few values among them.
#[track_caller]
fn check_random<V: std::fmt::Debug>(
    value: impl Strategy<Value = V>,
    laws: impl Fn(&[V]) -> Result<(), String>,
) {
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&vec(value, 0..24), |values| laws(&values).map_err(TestCaseError::fail));
    ran.unwrap_or_else(|error| panic!("{error}"));
}

fn any_text() -> impl Strategy<Value = String> {
    "[abé]{0,3}"
}

fn any_number() -> impl Strategy<Value = Number> {
    let decimal = |(mantissa, scale)| Number::decimal(mantissa, scale);
    prop_oneof![
        (-1_000i64..1_000, 0u8..3).prop_map(decimal),
        (any::<i64>(), 0u8..19).prop_map(decimal),
        (proptest::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]), 0u8..19).prop_map(decimal),
        ANY.prop_map(|float| Number::from_f64(float).unwrap_or_default()),
        proptest::sample::select(vec![f64::MAX, f64::MIN, 5e-324, 0.1])
            .prop_map(|float| Number::from_f64(float).unwrap()),
    ]
}

/// What rounding may make of a result; sums of squares are lost where the values are.
fn close(left: &f64, right: &f64) -> bool {
    left == right || (left.is_nan() && right.is_nan()) || (left - right).abs() <= 1e-6
}

#[test]
fn count() {
    check_random(any_text(), |values| check_laws(&Count, values));
    check_random(any::<f64>(), |values| check_laws(&Count, values));
    let few = || -3i64..3;
    check_random(few(), |values| check_laws(&DistinctCount::new(), values));
    check_random(few(), |values| check_laws(&DistinctCount::new().values_max(3), values));
    check_random(any_text(), |values| check_laws(&DistinctCount::new(), values));
}

#[test]
fn sums_and_means_of_integers() {
    check_random(any::<i64>(), |values| {
        check_laws(&Sum, values)?;
        check_laws(&Mean, values)
    });
    check_random(any::<u64>(), |values| {
        check_laws(&Sum, values)?;
        check_laws(&Mean, values)
    });
    check_random(any::<i8>(), |values| {
        check_laws(&Sum, values)?;
        check_laws(&Mean, values)
    });
}

/// Nothing is rounded before the end, so that floats among them show no order either.
#[test]
fn sums_means_and_stats_of_numbers() {
    check_random(any_number(), |values| {
        check_laws(&Sum, values)?;
        check_laws(&Mean, values)?;
        check_laws(&Stats, values)?;
        check_laws(&(Min, Max, TopK(2)), values)
    });
    check_random(any::<i64>(), |values| check_laws(&Stats, values));
    check_random(any::<u16>(), |values| check_laws(&Stats, values));
    // At one scale and without floats, all of it is in the rows' own cache line.
    let cents = any::<i64>().prop_map(|mantissa| Number::decimal(mantissa, 2));
    check_random(cents, |values| check_laws(&Stats, values));
    let stats: &dyn Aggregate<Number, Partial = _, Output = _> = &Stats;
    assert!(!stats.is_ordered() && !stats.is_invertible());
}

#[test]
fn several_together() {
    check_random(any::<i32>(), |values| {
        check_laws(&(Count, Sum), values)?;
        check_laws(&(Min, Mean, Max, First, Last, TopK(2)), values)
    });
    check_random((-4i32..4).prop_map(f64::from), |values| check_laws(&(Min, Sum, Count), values));
}

#[test]
fn sums_means_and_variances_of_floats() {
    let tame = || prop_oneof![-1e3..1e3f64, 1e6..1e6 + 10.0, (-2..2i32).prop_map(f64::from)];
    check_random(tame(), |values| {
        check_laws_by(&Sum, values, close)?;
        check_laws_by(&Mean, values, close)?;
        check_laws_by(&StdDev, values, |a, b| close(&(a / 1e3), &(b / 1e3)))?;
        check_laws_by(&SampleStdDev, values, |a, b| close(&(a / 1e3), &(b / 1e3)))?;
        check_laws_by(&Variance, values, |a, b| close(&(a / 1e6), &(b / 1e6)))?;
        check_laws_by(&SampleVariance, values, |a, b| close(&(a / 1e6), &(b / 1e6)))
    });
    // Powers of two that are near each other are added without rounding.
    check_random((-4i32..4).prop_map(|power| 2f64.powi(power)), |values| check_laws(&Sum, values));
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0].to_vec();
    check_random(proptest::sample::select(special), |values| {
        check_laws(&Sum, values)?;
        check_laws(&Mean, values)
    });
}

#[test]
fn extremes_and_ends() {
    fn all<V: tidemill::Ordered + Clone + PartialEq + std::fmt::Debug>(
        values: &[V],
    ) -> Result<(), String> {
        check_laws(&Min, values)?;
        check_laws(&Max, values)?;
        check_laws(&First, values)?;
        check_laws(&Last, values)?;
        check_laws(&TopK(0), values)?;
        check_laws(&TopK(1), values)?;
        check_laws(&TopK(3), values)?;
        check_laws(&TopK(100), values)
    }
    check_random(any::<i64>(), all);
    check_random(prop_oneof![ANY, NORMAL, -2.0..2.0], all);
    check_random(any_text(), all);
    check_random((0i64..3, any_text()), all);
    check_random(proptest::option::of(vec(0i64..3, 0..3)), all);
    check_random(vec(any::<u8>(), 0..3), all);
    check_random((0u64..5).prop_map(Row), all);
}

/// A sum that does one thing wrong.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Broken {
    Nothing,
    Identity,
    MergeDropsLater,
    MergeDropsEarlier,
    MergeIsNotAssociative,
    AddIsNotMerge,
    AddRowsSkipsTheLast,
    AddRowsMixesGroups,
    Unmerge,
    UnmergeKeepsCount,
    OrderShows,
    MergeFails,
    SaveForgets,
    SaveIsEmpty,
    LoadTakesMore,
    LoadGuesses,
}

/// Sum and count; the order shows in nothing but the last value, which only one of them gives out.
impl Aggregate<i64> for Broken {
    type Partial = (i64, i64, i64);
    type Output = (i64, i64);

    fn identity(&self) -> (i64, i64, i64) {
        (i64::from(*self == Broken::Identity), 0, 0)
    }

    fn add(&self, partial: &mut (i64, i64, i64), value: i64) -> Result<()> {
        let value = if *self == Broken::AddIsNotMerge { value + partial.1 } else { value };
        *partial = (partial.0 + value, partial.1 + 1, value);
        Ok(())
    }

    fn merge(&self, into: &mut (i64, i64, i64), later: &(i64, i64, i64)) -> Result<()> {
        let last = if later.1 == 0 { into.2 } else { later.2 };
        *into = match self {
            Broken::MergeDropsLater if into.1 > 0 => *into,
            Broken::MergeDropsEarlier if later.1 > 0 => *later,
            // The mean of two means is no mean of all.
            Broken::MergeIsNotAssociative if into.1 > 0 && later.1 > 0 => {
                ((into.0 + later.0) / 2, into.1 + later.1, last)
            }
            Broken::MergeFails if into.1 > 2 && later.1 > 2 => {
                return Err(tidemill::Error::new(tidemill::ErrorKind::Limit, "too many"));
            }
            _ => (into.0 + later.0, into.1 + later.1, last),
        };
        Ok(())
    }

    fn finish(&self, partial: &(i64, i64, i64)) -> Result<(i64, i64)> {
        let second = if *self == Broken::OrderShows { partial.2 } else { partial.1 };
        Ok((partial.0, second))
    }

    fn add_rows(
        &self,
        partials: &mut [(i64, i64, i64)],
        ids: &[u32],
        values: &<i64 as Record>::Columns,
    ) -> Result<()> {
        let skipped = usize::from(*self == Broken::AddRowsSkipsTheLast);
        let rows = ids.iter().zip(values.values());
        for (&id, &value) in rows.take(ids.len().saturating_sub(skipped)) {
            let id = if *self == Broken::AddRowsMixesGroups { 0 } else { id };
            self.add(&mut partials[id as usize], value)?;
        }
        Ok(())
    }

    fn is_invertible(&self) -> bool {
        true
    }

    fn unmerge(&self, from: &mut (i64, i64, i64), first: &(i64, i64, i64)) -> Result<()> {
        match self {
            Broken::Unmerge => {}
            Broken::UnmergeKeepsCount => from.0 -= first.0,
            // What was last stays so unless all is taken out.
            _ if from.1 == first.1 => *from = self.identity(),
            _ => *from = (from.0 - first.0, from.1 - first.1, from.2),
        }
        Ok(())
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some("broken".to_owned())
    }

    fn save_partial(&self, partial: &(i64, i64, i64), out: &mut Vec<u8>) {
        let sum = if *self == Broken::SaveForgets { 0 } else { partial.0 };
        if *self != Broken::SaveIsEmpty {
            <(i64, i64, i64)>::save((sum, partial.1, partial.2), out);
        }
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<(i64, i64, i64)> {
        let loaded = <(i64, i64, i64)>::load(from);
        match self {
            Broken::LoadTakesMore => i64::load(from).and(loaded),
            Broken::LoadGuesses => loaded.or(Ok((0, 0, 0))),
            _ => loaded,
        }
    }
}

#[test]
fn an_aggregate_that_breaks_a_law_is_found_out() {
    let values = [3i64, 1, 4, 1, 5, 9, 2, 6];
    assert_eq!(check_laws(&Broken::Nothing, &values), Ok(()));
    for (broken, law) in [
        (Broken::Identity, "the identity is not neutral"),
        (Broken::MergeDropsLater, "adding values is not merging their partials"),
        (Broken::MergeDropsEarlier, "adding values is not merging their partials"),
        (Broken::MergeIsNotAssociative, "merge is not associative"),
        (Broken::AddIsNotMerge, "adding values is not merging their partials"),
        (Broken::AddRowsSkipsTheLast, "add_rows is not add, row by row"),
        (Broken::AddRowsMixesGroups, "add_rows is not add, row by row"),
        (Broken::Unmerge, "unmerge does not undo merge"),
        (Broken::UnmergeKeepsCount, "unmerge does not undo merge"),
        (Broken::OrderShows, "the order of the values shows"),
        (Broken::MergeFails, "merge is not associative"),
        (Broken::SaveForgets, "what is saved does not come back"),
        (Broken::SaveIsEmpty, "what is saved does not come back"),
        (Broken::LoadTakesMore, "what is saved does not come back"),
        (Broken::LoadGuesses, "what is saved does not come back"),
    ] {
        let error = check_laws(&broken, &values).expect_err(&format!("{broken:?}"));
        assert!(error.starts_with(law), "{broken:?}: {error}");
    }
    // It says where, and what the two ways give.
    assert_eq!(
        check_laws(&Broken::MergeDropsLater, &[2, 3]).unwrap_err(),
        "adding values is not merging their partials: with 2 values cut at 1 a + b gives \
         Ok((2, 1)), but all values gives Ok((5, 2))"
    );
}

/// Long lists are not cut everywhere, and the check stays quick.
#[test]
fn many_values() {
    let values: Vec<i64> = (0..10_000).collect();
    check_laws(&Sum, &values).unwrap();
    check_laws(&Broken::MergeDropsLater, &values).unwrap_err();
    check_laws::<i64, _>(&Sum, &[]).unwrap();
}

/// A float sum is ordered: the laws hold but for rounding, which the plain check does not allow.
#[test]
fn rounding_is_for_the_caller_to_allow() {
    let values = [0.1, 0.2, 0.3, 0.4];
    assert!(check_laws(&Sum, &values).is_err());
    check_laws_by(&Sum, &values, close).unwrap();
}
