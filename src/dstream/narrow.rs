//! Narrow transformations: row by row, in order, within each partition.

use std::sync::Arc;

use tidemill_kernels::Split;

use super::DStream;
use crate::error::{BoxError, Error, ErrorKind};
use crate::ops::{Emitter, Filter, FlatMap, Map, Narrow, PairWith, SplitText};
use crate::plan::Kind;
use crate::record::{Batch, Record};
use crate::time::Time;

impl<T: Record> DStream<T> {
    /// Each row through a function.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let lines = t.input::<String>();
    /// let lengths = lines.stream().map(|line| line.len() as i64);
    /// # let lengths = t.output(&lengths);
    /// # lines.push(["a", "bcd"])?;
    /// # t.tick()?;
    /// # assert_eq!(lengths.take(), [1, 3]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn map<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: for<'a> Fn(T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        self.narrow("map", Map::<T, U, F>::new(f))
    }

    /// Each row to any number of rows, which the function emits.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let lines = t.input::<String>();
    /// let words = lines.stream().flat_map::<String, _>(|line, out| {
    ///     for word in line.split(' ') {
    ///         out.push(word);
    ///     }
    /// });
    /// # let words = t.output(&words);
    /// # lines.push(["a b", "c"])?;
    /// # t.tick()?;
    /// # assert_eq!(words.take(), ["a", "b", "c"]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "flatMap")]
    pub fn flat_map<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: for<'a> Fn(T::Ref<'a>, &mut Emitter<'_, U>) + Send + Sync + 'static,
    {
        self.narrow("flat_map", FlatMap::<T, U, F>::new(f))
    }

    /// The rows for which the function says so.
    pub fn filter<F>(&self, f: F) -> DStream<T>
    where
        F: for<'a> Fn(T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        self.narrow("filter", Filter::<T, F>::new(f))
    }

    /// Each row as the key of one and the same value: `words.pair_with(1i64)`.
    pub fn pair_with<V: Record>(&self, value: V) -> DStream<(T, V)> {
        self.narrow("pair_with", PairWith::<T, V>::new(value))
    }

    /// The rows of this stream, and then those of another, batch by batch. Duplicates stay.
    ///
    /// A batch fails if one of the two has none for its time. Streams of two contexts cannot be
    /// united: `start` says so.
    pub fn union(&self, other: &DStream<T>) -> DStream<T> {
        if !self.context.is_same(&other.context) {
            let (left, right) = (self.context.name(), other.context.name());
            let message = format!("union of streams of two contexts, {left:?} and {right:?}");
            self.context.misused(Error::new(ErrorKind::State, message));
            return self.clone();
        }
        let parents = vec![self.node, other.node];
        let node = self.context.add_node("union".to_owned(), parents, Kind::Union);
        DStream::new(self.context.clone(), node)
    }

    /// Each batch through a function of the whole batch and its time; an error fails the batch.
    ///
    /// It is called once for each batch, on the thread that runs the batches, so what it captures
    /// may change between two calls. A batch fails if this stream has none for its time.
    pub fn transform<U: Record, F>(&self, f: F) -> DStream<U>
    where
        F: Fn(Batch<T>, Time) -> Result<Batch<U>, BoxError> + Send + Sync + 'static,
    {
        let f = move |chunks: Vec<_>, time: Time| match f(Batch::from_chunks(chunks), time) {
            Ok(batch) => Ok(batch.into_chunks()),
            Err(error) => Err(Error::caused(ErrorKind::Closure, "the closure failed", error)),
        };
        self.derive("transform", Kind::Transform(Arc::new(f)))
    }

    pub(super) fn narrow<U: Record>(
        &self,
        name: impl Into<String>,
        operator: impl Narrow,
    ) -> DStream<U> {
        self.derive(name, Kind::Narrow(Arc::new(operator)))
    }
}

impl DStream<String> {
    /// The pieces of each row between separators, by a kernel; empty ones are kept.
    ///
    /// As Python's `str.split(sep)`: `"a,,b"` has three pieces, and an empty row has one, empty.
    ///
    /// # Panics
    ///
    /// If the separator is not ASCII: it would cut characters in two.
    pub fn split(&self, separator: u8) -> DStream<String> {
        assert!(
            separator.is_ascii(),
            "separator is byte {separator}, but must be ASCII (0 to 127)"
        );
        let name = format!("split({:?})", char::from(separator));
        self.narrow(name, SplitText(Split::Byte(separator)))
    }

    /// The words of each row between white space, by a kernel; there are no empty ones.
    ///
    /// White space is Unicode's, as in `str::split_whitespace`.
    pub fn split_whitespace(&self) -> DStream<String> {
        self.narrow("split_whitespace", SplitText(Split::Whitespace))
    }
}
