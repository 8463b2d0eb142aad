//! State by key, from batch to batch.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::DStream;
use crate::config::{KEPT_MAX, PAUSE_MIN, check_duration};
use crate::error::{Error, ErrorKind};
use crate::ops::{
    AnyStateful, Emitter, GroupByKey, Keyed, KeyedStep, MapWithState, SharedTable, State,
    UpdateState,
};
use crate::plan::Kind;
use crate::record::{Batch, Key, List, Record};
use crate::time::Time;

/// All keys and their states, at each batch: what
/// [`update_state_by_key`](DStream::update_state_by_key) gives. It is a stream of pairs, with a
/// say in what is in it.
pub struct KeyedState<K: Key, S: Record> {
    stream: DStream<(K, S)>,
    table: Arc<SharedTable<K, S>>,
}

/// What [`map_with_state`](DStream::map_with_state) gives: a stream of what the function emits,
/// with a say in its state.
pub struct MappedState<K: Key, S: Record, T: Record> {
    stream: DStream<T>,
    table: Arc<SharedTable<K, S>>,
}

impl<K: Key, V: Record> DStream<(K, V)> {
    /// The state of each key from batch to batch: a function of the values that came for it, in the
    /// order of their arrival, and of its state.
    ///
    /// It is called for every key that has a state or values, at every batch, also where nothing
    /// came and where this stream has no batch; `None` removes the key. All keys and their states
    /// come out, and a checkpoint has all that it was called for. Where that is too much, see
    /// [`KeyedState::touched_only`].
    ///
    /// The name is the one under which the state is in [checkpoints], and under which
    /// [`state_by_key`](crate::StreamingContext::state_by_key) finds it; another version of it
    /// takes another name. A key holds a state until it is removed: up to
    /// [`Limits::distinct_keys`](crate::Limits::distinct_keys) of them, with up to
    /// [`Limits::retained_bytes`](crate::Limits::retained_bytes) together.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let pairs = t.input::<(String, i64)>();
    /// let totals = pairs.stream().update_state_by_key("totals.v1", |values, total| {
    ///     Some(total.unwrap_or(0) + values.iter().sum::<i64>())
    /// });
    /// # let totals = t.output(&totals);
    /// # for value in [1, 2] {
    /// #     pairs.push([("a".to_string(), value)])?;
    /// #     t.tick()?;
    /// # }
    /// # assert_eq!(totals.take(), [("a".to_string(), 1), ("a".to_string(), 3)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// [checkpoints]: crate::StreamingContext::checkpoint
    #[doc(alias = "updateStateByKey")]
    pub fn update_state_by_key<S: Record, F>(&self, name: &str, f: F) -> KeyedState<K, S>
    where
        F: for<'a> Fn(List<'a, V>, Option<S::Ref<'a>>) -> Option<S> + Send + Sync + 'static,
    {
        self.update_state_by_key_with(name, move |_, _, values, state| f(values, state))
    }

    /// As [`update_state_by_key`](Self::update_state_by_key), by a function that also gets the
    /// batch's time and the key.
    #[doc(alias = "updateStateByKey")]
    pub fn update_state_by_key_with<S: Record, F>(&self, name: &str, f: F) -> KeyedState<K, S>
    where
        F: for<'a> Fn(Time, K::Ref<'a>, List<'a, V>, Option<S::Ref<'a>>) -> Option<S>
            + Send
            + Sync
            + 'static,
    {
        let step = UpdateState::<V, F>::new(f);
        let group = GroupByKey::<K, V>::loose(self.keys_max(), step.keys_come_once());
        let grouped: DStream<(K, Vec<V>)> = self.wide("group_by_key", group);
        let (stream, table) = grouped.keyed(format!("update_state_by_key({name})"), name, step);
        KeyedState { stream, table }
    }

    /// Each row in turn, with the state of its key: the function reads, changes or removes it, and
    /// emits what it will.
    ///
    /// Only keys with data are looked at, so the work is that for the batch's rows. It is called in
    /// the order in which rows came, also for those of one key. Types of what is emitted and of the
    /// state have to be said: `map_with_state::<(String, i64), i64, _>`.
    ///
    /// The name is the one under which the state is in [checkpoints], as with
    /// [`update_state_by_key`](Self::update_state_by_key).
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let visits = t.input::<(String, i64)>();
    /// let totals = visits.stream().map_with_state::<(String, i64), i64, _>(
    ///     "totals.v1",
    ///     |key, value, state, out| {
    ///         let total = state.get_option().unwrap_or(0) + value.unwrap_or(0);
    ///         state.update(total);
    ///         out.push((key, total));
    ///     },
    /// );
    /// # let totals = t.output(&totals);
    /// # visits.push([("a".to_string(), 1), ("a".to_string(), 2)])?;
    /// # t.tick()?;
    /// # assert_eq!(totals.take(), [("a".to_string(), 1), ("a".to_string(), 3)]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// [checkpoints]: crate::StreamingContext::checkpoint
    #[doc(alias = "mapWithState")]
    pub fn map_with_state<T: Record, S: Record, F>(&self, name: &str, f: F) -> MappedState<K, S, T>
    where
        F: for<'a, 'b, 'c, 'd> Fn(
                K::Ref<'a>,
                Option<V::Ref<'a>>,
                &'b mut State<'c, S>,
                &'b mut Emitter<'d, T>,
            ) + Send
            + Sync
            + 'static,
    {
        self.map_with_state_at(name, move |_, key, value, state, out| f(key, value, state, out))
    }

    /// As [`map_with_state`](Self::map_with_state), by a function that also gets the batch's time.
    #[doc(alias = "mapWithState")]
    pub fn map_with_state_at<T: Record, S: Record, F>(
        &self,
        name: &str,
        f: F,
    ) -> MappedState<K, S, T>
    where
        F: for<'a, 'b, 'c, 'd> Fn(
                Time,
                K::Ref<'a>,
                Option<V::Ref<'a>>,
                &'b mut State<'c, S>,
                &'b mut Emitter<'d, T>,
            ) + Send
            + Sync
            + 'static,
    {
        let step = MapWithState::<V, T, F>::new(f);
        let (stream, table) = self.keyed(format!("map_with_state({name})"), name, step);
        MappedState { stream, table }
    }

    fn keyed<S: Record, T: Record>(
        &self,
        operator: String,
        name: &str,
        step: impl KeyedStep<K, S>,
    ) -> (DStream<T>, Arc<SharedTable<K, S>>) {
        let table = Arc::new(SharedTable::new(name, self.context.limits()));
        self.context.add_state(name, table.clone());
        let keyed = AnyStateful::new(Keyed { state: table.clone(), step });
        (self.derive(operator, Kind::Stateful(keyed, 0)), table)
    }
}

impl<K: Key, S: Record> KeyedState<K, S> {
    /// Begins with these states, which the function gets with the first batch, data or not; a
    /// checkpoint takes their place.
    #[doc(alias = "initialRDD")]
    pub fn initial(self, states: impl IntoIterator<Item = (K, S)>) -> KeyedState<K, S> {
        self.stream.context.check_misuse("begin with states");
        self.table.add_initial(states);
        self
    }

    /// Calls the function only for keys with data, and gives out only those: the work is that for
    /// the batch's rows, however many keys have a state.
    pub fn touched_only(self) -> KeyedState<K, S> {
        self.stream.context.check_misuse("change what is updated");
        self.table.settings.is_touched_only.store(true, Ordering::Relaxed);
        self
    }
}

impl<K: Key, S: Record, T: Record> MappedState<K, S, T> {
    /// Begins with these states, as if their last data had come with the first batch; a checkpoint
    /// takes their place.
    #[doc(alias = "initialState")]
    pub fn initial(self, states: impl IntoIterator<Item = (K, S)>) -> MappedState<K, S, T> {
        self.stream.context.check_misuse("begin with states");
        self.table.add_initial(states);
        self
    }

    /// Removes keys without data for longer than this, after a last call of the function, without a
    /// value, in which [`State::is_timing_out`] says so. From 1 ms to 100 years: `start` fails with
    /// another one.
    ///
    /// That is looked for in every batch, and costs an idle key nothing until then. What comes for
    /// a key in the batch in which it would be removed keeps it.
    pub fn timeout(self, timeout: Duration) -> MappedState<K, S, T> {
        self.stream.context.check_misuse("set a timeout");
        if let Err(error) = check_duration("a timeout", timeout, PAUSE_MIN, KEPT_MAX) {
            self.stream.context.misused(error);
        }
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.table.settings.timeout_millis.store(millis, Ordering::Relaxed);
        self
    }

    /// Looks for keys that time out at every so many batches only, from 1 up, as Spark does
    /// whenever it makes a checkpoint (by default every ten). Data that comes late then revives
    /// what timed out.
    pub fn spark_timeout_scan(self, batches: u32) -> MappedState<K, S, T> {
        self.stream.context.check_misuse("set a timeout");
        if batches == 0 {
            let message = "a scan for timeouts every 0 batches: the number must be at least 1";
            self.stream.context.misused(Error::new(ErrorKind::Config, message));
        }
        self.table.settings.scan_every.store(u64::from(batches.max(1)), Ordering::Relaxed);
        self
    }

    /// All keys and their states after each batch.
    #[doc(alias = "stateSnapshots")]
    pub fn snapshots(&self) -> DStream<(K, S)> {
        let table = self.table.clone();
        self.stream.transform(move |_, _| Ok(Batch::from_chunks(vec![table.snapshot()])))
    }
}

impl<K: Key, S: Record> Deref for KeyedState<K, S> {
    type Target = DStream<(K, S)>;

    fn deref(&self) -> &DStream<(K, S)> {
        &self.stream
    }
}

impl<K: Key, S: Record, T: Record> Deref for MappedState<K, S, T> {
    type Target = DStream<T>;

    fn deref(&self) -> &DStream<T> {
        &self.stream
    }
}

impl<K: Key, S: Record> fmt::Debug for KeyedState<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.stream, f)
    }
}

impl<K: Key, S: Record, T: Record> fmt::Debug for MappedState<K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.stream, f)
    }
}
