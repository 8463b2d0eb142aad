//! Windows: what the last so many batches come to, every so often.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::DStream;
use crate::error::{Error, ErrorKind};
use crate::ops::{
    Aggregate, AggregateByKey, AnyStateful, CountRows, Fold, KeptKeys, Merged, Span, Stateful, Sum,
    Unfinished, Window, WindowByKey,
};
use crate::plan::Kind;
use crate::record::{Key, Record};

/// A stream of an aggregate by key over a window, whose keys can be chosen.
///
/// It is a [`DStream`] of pairs in all else.
pub struct KeyWindow<K: Record, U: Record> {
    stream: DStream<(K, U)>,
    kept: Arc<KeptKeys<K, U>>,
}

impl<K: Record, U: Record> KeyWindow<K, U> {
    /// Gives out keys also when their last value has left the window, as Spark does in its windows
    /// with an inverse: a count stays, as 0. It holds for all who use this window.
    ///
    /// The aggregate has to have a result for no values: counts, sums and means have (a mean's is
    /// NaN), and what an inverse leaves; with minima, maxima and their like `start` fails. The
    /// number of keys then only grows, unless [`retain`](Self::retain) refuses some.
    pub fn keep_empty_keys(self) -> KeyWindow<K, U> {
        self.stream.context.check_misuse("keep a window's empty keys");
        if let Err(error) = (self.kept.check_nothing)() {
            self.stream.context.misused(error.within("keep_empty_keys"));
        }
        self.kept.are_empty_kept.store(true, Ordering::Relaxed);
        self
    }

    /// Names the window in checkpoints, as [`DStream::named`]: `"traffic.v1"`. Without a name it
    /// goes by that of its operator, which has the durations in it, so that another window begins
    /// anew.
    ///
    /// A named window may have another length after a restart: a shorter one forgets at once, a
    /// longer one looks back as far as what was kept. The batches of a pane, which is what divides
    /// both the window and the slide, have to stay the same.
    pub fn named(self, name: impl Into<String>) -> KeyWindow<K, U> {
        self.stream.context.set_saved_name(self.stream.node, name.into());
        self
    }

    /// Gives out only the keys for which a function of the key and its result says so; one that it
    /// refuses when no value of it is left in the window is forgotten. It holds for all who use
    /// this window.
    ///
    /// When it is called twice on the same window, `start` fails.
    #[doc(alias = "filterFunc")]
    pub fn retain<F>(self, f: F) -> KeyWindow<K, U>
    where
        F: for<'a> Fn(K::Ref<'a>, U::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        self.stream.context.check_misuse("filter a window's keys");
        if self.kept.retain.set(Box::new(f)).is_err() {
            let message = "a window has one function that says which keys it retains";
            self.stream.context.misused(Error::new(ErrorKind::State, message));
        }
        self
    }
}

impl<K: Record, U: Record> Deref for KeyWindow<K, U> {
    type Target = DStream<(K, U)>;

    fn deref(&self) -> &DStream<(K, U)> {
        &self.stream
    }
}

impl<K: Record, U: Record> fmt::Debug for KeyWindow<K, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.stream, f)
    }
}

impl<T: Record> DStream<T> {
    /// The rows of the batches of the last `window`, oldest first, at every `slide`.
    ///
    /// The window that ends at time t has the batches with times in (t - `window`, t]. The first
    /// one comes after one `slide`, with what there is by then. Rows that are kept are copied out
    /// of their blocks, up to [`Limits::retained_bytes`](crate::Limits::retained_bytes). What is
    /// counted or aggregated over the window is better named: `count_by_value_and_window` and its
    /// like keep a number for each key instead of the rows.
    ///
    /// Both durations have to be multiples of this stream's own [`slide`](Self::slide): `start`
    /// fails otherwise.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let numbers = t.input::<i64>();
    /// let last_two = numbers.stream().window(Duration::from_secs(2), Duration::from_secs(1));
    /// # let last_two = t.output(&last_two);
    /// # for number in 1..=3i64 {
    /// #     numbers.push([number])?;
    /// #     t.tick()?;
    /// # }
    /// # assert_eq!(last_two.take_batches(), [vec![1], vec![1, 2], vec![2, 3]]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn window(&self, window: Duration, slide: Duration) -> DStream<T> {
        let name = format!("window({window:?}, {slide:?})");
        let span = self.span(&name, window, slide);
        self.stateful(name, span, Window::<T>::new(span, self.retained_bytes_max()))
    }

    /// The number of rows in the last `window`, at every `slide`, as one row: none before the first
    /// row has come, and 0 once all rows have left.
    #[doc(alias = "countByWindow")]
    pub fn count_by_window(&self, window: Duration, slide: Duration) -> DStream<i64> {
        let counts: DStream<i64> = self.wide("count", CountRows::<T>::new().without_zero());
        counts.window_of_all("count_by_window", Sum, window, slide, true)
    }

    /// All rows of the last `window` as one, by an associative function, at every `slide`: nothing
    /// when there are none.
    #[doc(alias = "reduceByWindow")]
    pub fn reduce_by_window<F>(&self, f: F, window: Duration, slide: Duration) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T + Send + Sync + 'static,
    {
        let (f, reduced) = self.reduce_shared(f);
        let fold = Fold { reduce: f, inverse: None };
        reduced.window_of_all("reduce_by_window", fold, window, slide, false)
    }

    /// As [`reduce_by_window`](Self::reduce_by_window), where `inverse(all, first)` takes out of
    /// the result what leaves the window: nothing before the first row has come, and then always
    /// one row.
    #[doc(alias = "reduceByWindow")]
    pub fn reduce_by_window_with_inverse<F, I>(
        &self,
        f: F,
        inverse: I,
        window: Duration,
        slide: Duration,
    ) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T + Send + Sync + 'static,
        I: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T + Send + Sync + 'static,
    {
        let (f, reduced) = self.reduce_shared(f);
        let fold = Fold { reduce: f, inverse: Some(Box::new(inverse)) };
        reduced.window_of_all("reduce_by_window", fold, window, slide, true)
    }

    /// Each distinct row of the last `window` and how often it is there, at every `slide`.
    ///
    /// The work for a slide is that for its own rows and for each distinct one in the window, but
    /// not for the rows before.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let lines = t.input::<String>();
    /// let words = lines.stream().split_whitespace();
    /// let (window, slide) = (Duration::from_secs(60), Duration::from_secs(1));
    /// let counts = words.count_by_value_and_window(window, slide);
    /// # let counts = t.output(&counts);
    /// # for line in ["a b", "a"] {
    /// #     lines.push([line])?;
    /// #     t.tick()?;
    /// # }
    /// # let expected = [vec![("a".to_string(), 1), ("b".to_string(), 1)],
    /// #     vec![("a".to_string(), 2), ("b".to_string(), 1)]];
    /// # let mut batches = counts.take_batches();
    /// # batches.iter_mut().for_each(|batch| batch.sort());
    /// # assert_eq!(batches, expected);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "countByValueAndWindow")]
    pub fn count_by_value_and_window(&self, window: Duration, slide: Duration) -> DStream<(T, i64)>
    where
        T: Key,
    {
        let counts = self.count_by_value();
        counts.window_by_key("count_by_value_and_window", Sum, window, slide).stream
    }

    fn reduce_shared<F>(&self, f: F) -> (Arc<F>, DStream<T>)
    where
        F: for<'a> Fn(T::Ref<'a>, T::Ref<'a>) -> T + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let reduce = f.clone();
        (f, self.reduce(move |left, right| reduce(left, right)))
    }

    /// A window over rows that all belong together: one key for all.
    fn window_of_all<A: Aggregate<T>>(
        &self,
        name: &str,
        aggregate: A,
        window: Duration,
        slide: Duration,
        is_kept_empty: bool,
    ) -> DStream<A::Output> {
        let keyed: DStream<((), T)> = self.map(|row| ((), T::from_ref(row)));
        let mut all = keyed.window_by_key(name, aggregate, window, slide);
        if is_kept_empty {
            all = all.keep_empty_keys();
        }
        all.map(|(_, result)| A::Output::from_ref(result))
    }

    fn stateful<U: Record>(
        &self,
        name: impl Into<String>,
        span: Span,
        operator: impl Stateful,
    ) -> DStream<U> {
        let kind = Kind::Stateful(AnyStateful::new(operator), span.window);
        let slide = NonZeroU64::new(span.slide).expect("span() gives slides from 1 up");
        self.derive_sliding(name, kind, slide)
    }

    /// The window in batch times; what is no multiple of the stream's slide is refused.
    fn span(&self, name: &str, window: Duration, slide: Duration) -> Span {
        let batches = self
            .batches("window", window)
            .and_then(|window| self.batches("slide", slide).map(|slide| Span { window, slide }));
        batches.unwrap_or_else(|message| {
            let error = Error::new(ErrorKind::Config, format!("{name}: {message}"));
            self.context.misused(error);
            let slide = self.context.batches_of_slide(self.node).get();
            Span { window: slide, slide }
        })
    }

    fn batches(&self, what: &str, duration: Duration) -> Result<u64, String> {
        let own = self.slide();
        if duration.is_zero() || !duration.as_nanos().is_multiple_of(own.as_nanos()) {
            return Err(format!(
                "the {what} is {duration:?}, but must be a multiple of the slide of the stream \
                 that it looks at, which is {own:?}"
            ));
        }
        let batches = self.context.batches_in(duration);
        u32::try_from(batches).map(u64::from).map_err(|_| {
            format!("the {what} is {duration:?} or {batches} batches, but at most {}", u32::MAX)
        })
    }

    fn retained_bytes_max(&self) -> usize {
        self.context.limits().retained_bytes
    }
}

impl<K: Key, V: Record> DStream<(K, V)> {
    /// The values of each key in the last `window` as one, by an associative function, at every
    /// `slide`. A key whose last value has left is gone.
    ///
    /// Each batch is reduced once; the panes of the window are then merged by two stacks, so that
    /// the work for a slide does not depend on the length of the window. That holds for results of
    /// a fixed size; where they grow with the rows, as in joined text, so do the work and what is
    /// kept, up to [`Limits::retained_bytes`](crate::Limits::retained_bytes).
    #[doc(alias = "reduceByKeyAndWindow")]
    pub fn reduce_by_key_and_window<F>(
        &self,
        f: F,
        window: Duration,
        slide: Duration,
    ) -> DStream<(K, V)>
    where
        F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
    {
        let (f, reduced) = self.reduce_by_key_shared(f);
        let fold = Fold { reduce: f, inverse: None };
        reduced.window_by_key("reduce_by_key_and_window", fold, window, slide).stream
    }

    /// As [`reduce_by_key_and_window`](Self::reduce_by_key_and_window), where
    /// `inverse(all, first)` takes out of a key's result what leaves the window.
    ///
    /// A key whose last value has left is gone, whatever its result;
    /// [`keep_empty_keys`](KeyWindow::keep_empty_keys) keeps it, as Spark does.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let pairs = t.input::<(String, i64)>();
    /// let (window, slide) = (Duration::from_secs(2), Duration::from_secs(1));
    /// let sums = pairs
    ///     .stream()
    ///     .reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, window, slide);
    /// # let sums = t.output(&sums);
    /// # for value in [1, 2, 4] {
    /// #     pairs.push([("a".to_string(), value)])?;
    /// #     t.tick()?;
    /// # }
    /// # let sums: Vec<i64> = sums.take().into_iter().map(|(_, sum)| sum).collect();
    /// # assert_eq!(sums, [1, 3, 6]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "reduceByKeyAndWindow")]
    pub fn reduce_by_key_and_window_with_inverse<F, I>(
        &self,
        f: F,
        inverse: I,
        window: Duration,
        slide: Duration,
    ) -> KeyWindow<K, V>
    where
        F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
        I: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
    {
        let (f, reduced) = self.reduce_by_key_shared(f);
        let fold = Fold { reduce: f, inverse: Some(Box::new(inverse)) };
        reduced.window_by_key("reduce_by_key_and_window", fold, window, slide)
    }

    /// The values of each key in the last `window` by an [`Aggregate`], at every `slide`. A key
    /// whose last value has left is gone.
    ///
    /// Aggregates with an exact inverse (counts, sums and means of integers) keep one total for
    /// each key; others, floats among them, are merged by two stacks and never subtracted. Either
    /// way the work for a slide does not depend on the length of the window, as long as partials
    /// have a fixed size. Those that grow, as of [`DistinctCount`](crate::DistinctCount), are kept
    /// for each pane: a batch that would pass
    /// [`Limits::retained_bytes`](crate::Limits::retained_bytes) fails.
    #[doc(alias = "reduceByKeyAndWindow")]
    pub fn aggregate_by_key_and_window<A: Aggregate<V>>(
        &self,
        aggregate: A,
        window: Duration,
        slide: Duration,
    ) -> KeyWindow<K, A::Output> {
        let aggregate = Arc::new(aggregate);
        let operator =
            AggregateByKey::<K, V, _>::new(Unfinished(aggregate.clone()), self.keys_max());
        let partials = self.wide(&format!("aggregate_by_key({})", name_of::<A>()), operator);
        let name = format!("aggregate_by_key_and_window({})", name_of::<A>());
        let merged = Merged::<V, A>(aggregate, PhantomData);
        partials.window_by_key(&name, merged, window, slide)
    }

    /// All values of each key in the last `window`, oldest batch first, at every `slide`.
    #[doc(alias = "groupByKeyAndWindow")]
    pub fn group_by_key_and_window(
        &self,
        window: Duration,
        slide: Duration,
    ) -> DStream<(K, Vec<V>)> {
        self.window(window, slide).group_by_key()
    }

    fn reduce_by_key_shared<F>(&self, f: F) -> (Arc<F>, DStream<(K, V)>)
    where
        F: for<'a> Fn(V::Ref<'a>, V::Ref<'a>) -> V + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let reduce = f.clone();
        (f, self.reduce_by_key(move |left, right| reduce(left, right)))
    }

    pub(crate) fn window_by_key<A: Aggregate<V>>(
        &self,
        name: &str,
        aggregate: A,
        window: Duration,
        slide: Duration,
    ) -> KeyWindow<K, A::Output> {
        // Beside an aggregate's name the durations stand in the same brackets.
        let name = match name.strip_suffix(')') {
            Some(named) => format!("{named}, {window:?}, {slide:?})"),
            None => format!("{name}({window:?}, {slide:?})"),
        };
        let span = self.span(&name, window, slide);
        let aggregate = Arc::new(aggregate);
        let checked = aggregate.clone();
        let kept = Arc::new(KeptKeys::new(move || checked.check_nothing()));
        let (keys_max, bytes_max) = (self.keys_max(), self.retained_bytes_max());
        let operator =
            WindowByKey::<K, V, A>::new(aggregate, span, keys_max, bytes_max, kept.clone());
        KeyWindow { stream: self.stateful(name, span, operator), kept }
    }
}

/// The name of an aggregate's type, or of each in a tuple, without paths.
pub(super) fn name_of<A>() -> String {
    let name = std::any::type_name::<A>();
    let parts = name.split_inclusive(['(', ')', ',', ' ', '<', '>']);
    parts.map(|part| part.rsplit("::").next().unwrap_or(part)).collect()
}
