//! Windows of every kind against recomputation from scratch: random batches, some empty, some
//! absent, some failed, with few keys, many keys and keys that die, for all sorts of windows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{Aggregate, DistinctCount, First, Last, TopK, Variance};

use crate::batches::{Input, Pair, random_inputs};
use crate::check::batch_of;
use crate::panics::panic_on_purpose;
use crate::random::{Random, seeds};

/// A value that a closure panics at.
const POISON: i64 = 666;

/// What an operator says that panics now and then.
const MAY_FAIL: &str = "panicked: on purpose";

/// What the model knows at a batch time: the rows of each batch in the window, oldest first, and
/// of all batches so far.
#[derive(Copy, Clone)]
struct Seen<'a> {
    window: &'a [Vec<Pair>],
    all: &'a [Vec<Pair>],
    span: Span,
}

impl Seen<'_> {
    fn by_key(&self) -> BTreeMap<i64, Vec<i64>> {
        let mut by_key: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for &(key, value) in self.window.iter().flatten() {
            by_key.entry(key).or_default().push(value);
        }
        by_key
    }

    fn each<U>(&self, of_key: impl Fn(&[i64]) -> U) -> Vec<(i64, U)> {
        self.by_key().into_iter().map(|(key, values)| (key, of_key(&values))).collect()
    }

    /// Also the keys that have left.
    fn each_ever<U>(&self, of_key: impl Fn(&[i64]) -> U) -> Vec<(i64, U)> {
        let keys: BTreeSet<i64> = self.ever().map(|&(key, _)| key).collect();
        let by_key = self.by_key();
        let values = |key| by_key.get(&key).map_or(&[][..], Vec::as_slice);
        keys.into_iter().map(|key| (key, of_key(values(key)))).collect()
    }

    /// The rows that have been in any window: where the slide is the larger, some never were.
    fn ever(&self) -> impl Iterator<Item = &Pair> {
        let Span { window, slide } = self.span;
        let is_seen = move |batch: usize| batch + window > batch.next_multiple_of(slide);
        let batches = (1..).zip(self.all).filter(move |&(batch, _)| is_seen(batch));
        batches.flat_map(|(_, rows)| rows)
    }

    fn values(&self) -> Vec<i64> {
        self.window.iter().flatten().map(|&(_, value)| value).collect()
    }
}

/// The window and slide of a test, in batches.
#[derive(Copy, Clone, Debug)]
struct Span {
    window: usize,
    slide: usize,
}

impl Span {
    fn window(self) -> Duration {
        Duration::from_secs(self.window as u64)
    }

    fn slide(self) -> Duration {
        Duration::from_secs(self.slide as u64)
    }

    fn random(random: &mut Random) -> Span {
        // Panes of several batches, slides larger than the window, and tumbling windows among them.
        let unit = random.between(1, 3);
        Span { window: unit * random.between(1, 6), slide: unit * random.between(1, 4) }
    }
}

/// Runs `build` over random batches and compares each batch that comes with the model's.
#[track_caller]
fn check<U>(build: impl Fn(&DStream<Pair>, Span) -> DStream<U>, model: impl Fn(&Seen<'_>) -> Vec<U>)
where
    U: Record + Clone + Debug + PartialEq,
{
    for seed in seeds(60) {
        let mut random = Random::new(seed);
        let span = Span::random(&mut random);
        let inputs = random_inputs(&mut random);
        let threads = random.between(1, 3);
        check_inputs(&inputs, span, threads, &build, &model, &format!("seed {seed}"));
    }
}

fn check_inputs<U>(
    inputs: &[Input],
    span: Span,
    threads: usize,
    build: &impl Fn(&DStream<Pair>, Span) -> DStream<U>,
    model: &impl Fn(&Seen<'_>) -> Vec<U>,
    what: &str,
) where
    U: Record + Clone + Debug + PartialEq,
{
    let mut t = TestContext::with(StreamingContext::builder("windows").threads(threads)).unwrap();
    let source = t.input::<Pair>();
    let output = t.output(&build(source.stream(), span));
    let mut all: Vec<Vec<Pair>> = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let now = index + 1;
        match input {
            None => source.push_absent().unwrap(),
            Some(partitions) => source.push_batch(batch_of(partitions)).unwrap(),
        }
        let rows: Vec<Pair> = input.iter().flatten().flatten().copied().collect();
        if rows.iter().any(|&(_, value)| value == POISON) {
            let error = t.tick().expect_err("a poisoned batch fails").to_string();
            assert!(error.contains("operator") && error.contains("panicked"), "{what}: {error}");
            // It is as if it had not been.
            all.push(Vec::new());
            output.take_batches();
            continue;
        }
        if let Err(error) = t.tick() {
            let message = error.to_string();
            assert!(message.contains(MAY_FAIL), "{what}, batch {now}: {message}");
            all.push(Vec::new());
            output.take_batches();
            continue;
        }
        all.push(rows);
        let mut batches = output.take_batches();
        if now % span.slide != 0 {
            assert!(batches.is_empty(), "{what}, batch {now} is not due");
            continue;
        }
        let window = &all[now.saturating_sub(span.window)..];
        let mut expected = model(&Seen { window, all: &all, span });
        assert_eq!(batches.len(), 1, "{what}, batch {now}");
        let mut rows = batches.pop().unwrap();
        for rows in [&mut expected, &mut rows] {
            rows.sort_by_cached_key(|row| format!("{row:?}"));
        }
        assert_eq!(rows, expected, "{what}, {span:?}, {threads} threads, batch {now}");
    }
}

#[test]
fn window() {
    check(|pairs, span| pairs.window(span.window(), span.slide()), |seen| seen.window.concat());
    // In order, from the oldest batch to the newest.
    check(
        |pairs, span| {
            let texts = pairs.map(|(key, value)| format!("{key}:{value} "));
            texts.window(span.window(), span.slide()).reduce(|left, right| format!("{left}{right}"))
        },
        |seen| {
            let rows = seen.window.iter().flatten();
            let text: String = rows.map(|(key, value)| format!("{key}:{value} ")).collect();
            if text.is_empty() { vec![] } else { vec![text] }
        },
    );
}

#[test]
fn group_by_key_and_window() {
    check(
        |pairs, span| pairs.group_by_key_and_window(span.window(), span.slide()),
        |seen| seen.each(<[i64]>::to_vec),
    );
}

#[test]
fn count_by_window() {
    check(
        |pairs, span| pairs.count_by_window(span.window(), span.slide()),
        |seen| {
            let has_begun = seen.ever().next().is_some();
            if has_begun { vec![seen.values().len() as i64] } else { vec![] }
        },
    );
}

#[test]
fn reduce_by_window() {
    // Not commutative: the order of the batches shows.
    check(
        |pairs, span| {
            let texts = pairs.map(|(_, value)| format!("{value} "));
            let joined = |left: &str, right: &str| format!("{left}{right}");
            texts.reduce_by_window(joined, span.window(), span.slide())
        },
        |seen| {
            let text: String = seen.values().iter().map(|value| format!("{value} ")).collect();
            if text.is_empty() { vec![] } else { vec![text] }
        },
    );
    check(
        |pairs, span| {
            let values = pairs.map(|(_, value)| value);
            let (window, slide) = (span.window(), span.slide());
            values.reduce_by_window_with_inverse(|a, b| a + b, |a, b| a - b, window, slide)
        },
        |seen| {
            let has_begun = seen.ever().next().is_some();
            if has_begun { vec![seen.values().iter().sum()] } else { vec![] }
        },
    );
}

#[test]
fn count_by_value_and_window() {
    check(
        |pairs, span| {
            let keys = pairs.map(|(key, _)| key);
            keys.count_by_value_and_window(span.window(), span.slide())
        },
        |seen| seen.each(|values| values.len() as i64),
    );
    check(
        |pairs, span| {
            let keys = pairs.map(|(key, _)| format!("key {key}"));
            keys.count_by_value_and_window(span.window(), span.slide())
        },
        |seen| {
            let counts = seen.each(|values| values.len() as i64).into_iter();
            counts.map(|(key, count)| (format!("key {key}"), count)).collect()
        },
    );
}

/// Those with an inverse and those without.
#[test]
fn aggregate_by_key_and_window() {
    fn check_aggregate<A, U>(aggregate: A, model: impl Fn(&[i64]) -> U)
    where
        A: Aggregate<i64, Output = U> + Copy,
        U: Record + Clone + Debug + PartialEq,
    {
        check(
            |pairs, span| {
                let (window, slide) = (span.window(), span.slide());
                DStream::clone(&pairs.aggregate_by_key_and_window(aggregate, window, slide))
            },
            |seen| seen.each(&model),
        );
    }
    check_aggregate(Count, |values| values.len() as i64);
    check_aggregate(Sum, |values| values.iter().sum());
    check_aggregate(Mean, |values| values.iter().sum::<i64>() as f64 / values.len() as f64);
    check_aggregate(Min, |values| *values.iter().min().unwrap());
    check_aggregate(Max, |values| *values.iter().max().unwrap());
    check_aggregate(First, |values| values[0]);
    check_aggregate(Last, |values| values[values.len() - 1]);
    check_aggregate(DistinctCount::new(), |values| {
        values.iter().collect::<BTreeSet<_>>().len() as i64
    });
    check_aggregate(TopK(3), |values| {
        let mut values = values.to_vec();
        values.sort_by(|left, right| right.cmp(left));
        values.truncate(3);
        values
    });
    // Rounded, since each way to merge the parts rounds in its own way.
    check(
        |pairs, span| {
            let (window, slide) = (span.window(), span.slide());
            let variances = pairs.aggregate_by_key_and_window(Variance, window, slide);
            variances.map_values(|variance| (variance * 1e6).round())
        },
        |seen| {
            seen.each(|values| {
                let mean = values.iter().sum::<i64>() as f64 / values.len() as f64;
                let squares = values.iter().map(|&value| (value as f64 - mean).powi(2));
                (squares.sum::<f64>() / values.len() as f64 * 1e6).round()
            })
        },
    );
    // Together, with an inverse for all of them, and with one that has none.
    check_aggregate((Count, Sum), |values| (values.len() as i64, values.iter().sum::<i64>()));
    check_aggregate((Sum, Max), |values| (values.iter().sum(), *values.iter().max().unwrap()));
    // Sums of halves are exact, in whatever order.
    check(
        |pairs, span| {
            let halves = pairs.map_values(|value| value as f64 / 2.0);
            let (window, slide) = (span.window(), span.slide());
            DStream::clone(&halves.aggregate_by_key_and_window(Sum, window, slide))
        },
        |seen| seen.each(|values| values.iter().sum::<i64>() as f64 / 2.0),
    );
}

#[test]
fn reduce_by_key_and_window() {
    check(
        |pairs, span| {
            let texts = pairs.map_values(|value| format!("{value} "));
            let joined = |left: &str, right: &str| format!("{left}{right}");
            texts.reduce_by_key_and_window(joined, span.window(), span.slide())
        },
        |seen| seen.each(|values| values.iter().map(|value| format!("{value} ")).collect()),
    );
}

#[test]
fn reduce_by_key_and_window_with_inverse() {
    let sums = |pairs: &DStream<Pair>, span: Span| {
        let (window, slide) = (span.window(), span.slide());
        pairs.reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, window, slide)
    };
    check(
        |pairs, span| DStream::clone(&sums(pairs, span)),
        |seen| seen.each(|values| values.iter().sum::<i64>()),
    );
    // A key that came between two windows was in none.
    check(
        |pairs, span| DStream::clone(&sums(pairs, span).keep_empty_keys()),
        |seen| seen.each_ever(|values| values.iter().sum::<i64>()),
    );
    check(
        |pairs, span| DStream::clone(&sums(pairs, span).retain(|key, sum| key % 2 == 0 && sum > 0)),
        |seen| {
            let mut sums = seen.each(|values| values.iter().sum::<i64>());
            sums.retain(|&(key, sum)| key % 2 == 0 && sum > 0);
            sums
        },
    );
    // What is refused when it is empty is forgotten, and shows again when it has values again.
    check(
        |pairs, span| {
            let kept = sums(pairs, span).keep_empty_keys();
            DStream::clone(&kept.retain(|_, sum| sum != 0))
        },
        |seen| {
            let mut sums = seen.each(|values| values.iter().sum::<i64>());
            sums.retain(|&(_, sum)| sum != 0);
            sums
        },
    );
}

/// The inner window's slide is the unit of the outer one.
#[test]
fn windows_over_windows() {
    for seed in seeds(60) {
        let mut random = Random::new(seed);
        let (inner, times) = (Span::random(&mut random), Span::random(&mut random));
        let outer = Span { window: inner.slide * times.window, slide: inner.slide * times.slide };
        let inputs = random_inputs(&mut random);
        // The windows of the inner stream that the outer one sees, one after the other.
        let rows = |seen: &Seen<'_>| -> Vec<Pair> {
            let now = seen.all.len();
            let ends =
                (now.saturating_sub(outer.window) + 1..=now).filter(|end| end % inner.slide == 0);
            let of = |end: usize| seen.all[end.saturating_sub(inner.window)..end].concat();
            ends.flat_map(of).collect()
        };
        let build = |pairs: &DStream<Pair>, span: Span| {
            let windows = pairs.window(inner.window(), inner.slide());
            windows.window(span.window(), span.slide())
        };
        check_inputs(&inputs, outer, 2, &build, &rows, &format!("seed {seed}, {inner:?}"));
        let build = |pairs: &DStream<Pair>, span: Span| {
            let windows = pairs.window(inner.window(), inner.slide());
            let (window, slide) = (span.window(), span.slide());
            DStream::clone(&windows.aggregate_by_key_and_window(Max, window, slide))
        };
        let model = |seen: &Seen<'_>| {
            let rows = [rows(seen)];
            Seen { window: &rows, ..*seen }.each(|values| *values.iter().max().unwrap())
        };
        check_inputs(&inputs, outer, 1, &build, &model, &format!("seed {seed}, {inner:?}"));
    }
}

/// Batches of which some fail, in a closure that stands somewhere: before the window, in it, or
/// after it. Each leaves the window as it was.
#[test]
fn failed_batches() {
    fn check_poisoned<U>(
        build: impl Fn(&DStream<Pair>, Span) -> DStream<U>,
        model: impl Fn(&Seen<'_>) -> Vec<U>,
    ) where
        U: Record + Clone + Debug + PartialEq,
    {
        for seed in seeds(60) {
            let mut random = Random::new(seed);
            let span = Span::random(&mut random);
            // Failures in a batch that is not due would need no window to be given out.
            let span = Span { slide: 1, ..span };
            let mut inputs = random_inputs(&mut random);
            for partitions in inputs.iter_mut().flatten() {
                if random.below(4) == 0
                    && let Some(rows) = partitions.first_mut()
                {
                    let at = random.below(rows.len() + 1);
                    rows.insert(at, (random.below(3) as i64, POISON));
                }
            }
            check_inputs(&inputs, span, 2, &build, &model, &format!("seed {seed}"));
        }
    }
    fn sip(value: i64) -> i64 {
        if value == POISON { panic_on_purpose() } else { value }
    }
    let max = |values: &[i64]| *values.iter().max().unwrap();
    // Before.
    check_poisoned(
        |pairs, span| {
            let sipped = pairs.map_values(sip);
            let (window, slide) = (span.window(), span.slide());
            DStream::clone(&sipped.aggregate_by_key_and_window(Max, window, slide))
        },
        |seen| seen.each(max),
    );
    // After, with each kind of window.
    check_poisoned(
        |pairs, span| {
            let (window, slide) = (span.window(), span.slide());
            let maxima = pairs.aggregate_by_key_and_window(Max, window, slide);
            maxima.map_values(sip)
        },
        |seen| seen.each(max),
    );
    check_poisoned(
        |pairs, span| pairs.window(span.window(), span.slide()).map_values(sip),
        |seen| seen.window.concat(),
    );
    // In the window's own merging, where sums are tall: of values, of what leaves, of what comes.
    let tall = |sum: i64| if sum.abs() >= POISON / 2 { panic_on_purpose() } else { sum };
    check_poisoned(
        move |pairs, span| {
            let (window, slide) = (span.window(), span.slide());
            let small = pairs.map_values(|value| if value == POISON { value } else { value / 50 });
            DStream::clone(
                &small
                    .reduce_by_key_and_window_with_inverse(
                        move |a, b| tall(a) + tall(b),
                        move |a, b| tall(a) - tall(b),
                        window,
                        slide,
                    )
                    .keep_empty_keys()
                    .retain(move |_, sum| tall(sum) != 0),
            )
        },
        move |seen| {
            let mut sums = seen.each(|values| values.iter().map(|value| value / 50).sum::<i64>());
            sums.retain(|&(_, sum)| sum != 0);
            sums
        },
    );
    check_poisoned(
        move |pairs, span| {
            let (window, slide) = (span.window(), span.slide());
            let small = pairs.map_values(|value| if value == POISON { value } else { value / 50 });
            small
                .reduce_by_key_and_window(move |a, b| tall(a) + tall(b), window, slide)
                .map_values(tall)
        },
        |seen| seen.each(|values| values.iter().map(|value| value / 50).sum::<i64>()),
    );
}

/// A closure that panics at any of its calls: when batches are reduced, when panes are merged, when
/// they leave, and when the window is given out. Nothing is lost but the batch of that call.
#[test]
fn a_panic_at_any_call() {
    use std::sync::atomic::{AtomicU64, Ordering};

    fn check_calls(
        build: impl Fn(&DStream<Pair>, Span, Panicky) -> DStream<Pair>,
        model: impl Fn(&Seen<'_>) -> Vec<Pair>,
    ) {
        for seed in seeds(200) {
            let mut random = Random::new(seed);
            let span = Span::random(&mut random);
            let inputs = random_inputs(&mut random);
            let panicky = Panicky { seed, one_in: 40 + seed % 200 };
            let build = |pairs: &DStream<Pair>, span: Span| build(pairs, span, panicky);
            check_inputs(&inputs, span, 1, &build, &model, &format!("seed {seed}"));
        }
    }

    /// Panics at one call in so many.
    #[derive(Copy, Clone)]
    struct Panicky {
        seed: u64,
        one_in: u64,
    }

    impl Panicky {
        fn on(self, f: fn(i64, i64) -> i64) -> impl Fn(i64, i64) -> i64 + Send + Sync + 'static {
            let calls = AtomicU64::new(self.seed << 32);
            move |left, right| {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                if Random::new(call).next().is_multiple_of(self.one_in) {
                    panic_on_purpose();
                }
                f(left, right)
            }
        }
    }

    check_calls(
        |pairs, span, panicky| {
            let (window, slide) = (span.window(), span.slide());
            let first = panicky.on(|left, _| left);
            pairs.map_values(|value| value).reduce_by_key_and_window(first, window, slide)
        },
        |seen| seen.each(|values| values[0]),
    );
    check_calls(
        |pairs, span, panicky| {
            let (window, slide) = (span.window(), span.slide());
            let (sum, difference) = (panicky.on(|a, b| a + b), panicky.on(|a, b| a - b));
            let sums = pairs.reduce_by_key_and_window_with_inverse(sum, difference, window, slide);
            DStream::clone(&sums)
        },
        |seen| seen.each(|values| values.iter().sum()),
    );
    check_calls(
        |pairs, span, panicky| {
            let (window, slide) = (span.window(), span.slide());
            let (sum, difference) = (panicky.on(|a, b| a + b), |a, b| a - b);
            let sums = pairs.reduce_by_key_and_window_with_inverse(sum, difference, window, slide);
            DStream::clone(&sums.keep_empty_keys())
        },
        |seen| seen.each_ever(|values| values.iter().sum()),
    );
    // A key of a batch that failed was never there.
    check_calls(
        |pairs, span, panicky| {
            let (window, slide) = (span.window(), span.slide());
            let maxima = pairs.aggregate_by_key_and_window(Count, window, slide).keep_empty_keys();
            let never = panicky.on(|count, _| count);
            maxima.map_values(move |count| never(count, 0))
        },
        |seen| seen.each_ever(|values| values.len() as i64),
    );
}

/// An inverse that fails for a value fails one batch, and not all that come after it.
#[test]
fn an_inverse_that_always_fails() {
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<Pair>();
    let (window, slide) = (Duration::from_secs(3), Duration::from_secs(1));
    let difference =
        |all: i64, first: i64| if first == 13 { panic_on_purpose() } else { all - first };
    let sums = pairs.stream().reduce_by_key_and_window_with_inverse(
        |a, b| a + b,
        difference,
        window,
        slide,
    );
    let output = t.output(&sums);
    let values = [1i64, 13, 3, 4, 5, 6, 7, 8, 9];
    let mut sums = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        pairs.push([(7i64, value)]).unwrap();
        // The 13 of the second batch leaves at the fifth.
        assert_eq!(t.tick().is_err(), index == 4, "batch {index}");
        sums.extend(output.take().into_iter().map(|(_, sum)| sum));
    }
    // Without the batch that failed.
    assert_eq!(sums, [1, 14, 17, 20, 4 + 6, 6 + 7, 6 + 7 + 8, 7 + 8 + 9]);
}

/// What a value's clone, or an aggregate of one's own, does wrong costs one batch.
#[test]
fn a_panic_in_any_function_of_an_aggregate() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The greatest value, of a type whose clone panics now and then, as all else here.
    #[derive(Clone)]
    struct Greatest(Nervous);

    #[derive(Clone)]
    struct Nervous {
        calls: Arc<AtomicU64>,
        one_in: u64,
    }

    struct Shy(i64, Nervous);

    impl Nervous {
        fn call(&self) {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            if Random::new(call).next().is_multiple_of(self.one_in) {
                panic_on_purpose();
            }
        }
    }

    impl Clone for Shy {
        fn clone(&self) -> Shy {
            self.1.call();
            Shy(self.0, self.1.clone())
        }
    }

    impl Aggregate<i64> for Greatest {
        type Partial = Shy;
        type Output = i64;

        fn identity(&self) -> Shy {
            self.0.call();
            Shy(i64::MIN, self.0.clone())
        }

        fn add(&self, partial: &mut Shy, value: i64) -> tidemill::Result<()> {
            self.0.call();
            partial.0 = partial.0.max(value);
            Ok(())
        }

        fn merge(&self, into: &mut Shy, later: &Shy) -> tidemill::Result<()> {
            self.0.call();
            into.0 = into.0.max(later.0);
            Ok(())
        }

        fn finish(&self, partial: &Shy) -> tidemill::Result<i64> {
            self.0.call();
            Ok(partial.0)
        }
    }

    for seed in seeds(200) {
        let mut random = Random::new(seed);
        let span = Span::random(&mut random);
        let inputs = random_inputs(&mut random);
        let calls = Arc::new(AtomicU64::new(seed << 32));
        let nervous = Nervous { calls, one_in: 300 + 20 * seed };
        let build = |pairs: &DStream<Pair>, span: Span| {
            let (window, slide) = (span.window(), span.slide());
            let greatest = Greatest(nervous.clone());
            DStream::clone(&pairs.aggregate_by_key_and_window(greatest, window, slide))
        };
        let model = |seen: &Seen<'_>| seen.each(|values| *values.iter().max().unwrap());
        check_inputs(&inputs, span, 1, &build, &model, &format!("seed {seed}"));
    }
}
