//! What a function of `map_with_state` has of its key's state.

use std::fmt;

use super::batch::New;
use crate::record::Record;

/// The state of a key, in a function of [`map_with_state`](crate::DStream::map_with_state).
///
/// A call that is not allowed panics, which fails the batch with an error that names the operator
/// and leaves all states as they were before it.
pub struct State<'a, S: Record> {
    /// Of no interest once there is a new one.
    pub(super) committed: Option<&'a S>,
    pub(super) new: &'a mut New<S>,
    pub(super) bytes_added: &'a mut isize,
    pub(super) is_timing_out: bool,
    pub(super) is_removed: bool,
}

impl<S: Record> State<'_, S> {
    fn current(&self) -> Option<&S> {
        self.new.current(self.committed)
    }

    /// Whether the key has a state.
    pub fn exists(&self) -> bool {
        self.current().is_some()
    }

    /// The state.
    ///
    /// # Panics
    ///
    /// If the key has none.
    pub fn get(&self) -> S::Ref<'_> {
        self.get_option().expect("the key has no state to get(): ask whether it exists() first")
    }

    /// The state, if the key has one.
    #[doc(alias = "getOption")]
    pub fn get_option(&self) -> Option<S::Ref<'_>> {
        self.current().map(Record::to_ref)
    }

    /// Gives the key this state.
    ///
    /// # Panics
    ///
    /// After [`remove`](Self::remove) in the same call, and while the key is timing out.
    pub fn update(&mut self, state: S) {
        self.check("update");
        self.set(Some(state));
    }

    /// Takes the state away, also where there is none.
    ///
    /// # Panics
    ///
    /// After [`remove`](Self::remove) in the same call, and while the key is timing out.
    pub fn remove(&mut self) {
        self.check("remove");
        self.set(None);
        self.is_removed = true;
    }

    /// Whether this is the last call for a key that has been idle for longer than the timeout. It
    /// has no value, and its state is gone afterwards.
    #[doc(alias = "isTimingOut")]
    pub fn is_timing_out(&self) -> bool {
        self.is_timing_out
    }

    fn check(&self, what: &str) {
        assert!(!self.is_removed, "cannot {what} the state of a key after it was removed");
        assert!(!self.is_timing_out, "cannot {what} the state of a key that is timing out");
    }

    /// Also where a call of the function's own would not be allowed.
    pub(super) fn set(&mut self, state: Option<S>) {
        *self.bytes_added += self.new.set(self.committed, state);
    }
}

impl<S: Record> fmt::Debug for State<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exists, is_timing_out) = (self.exists(), self.is_timing_out);
        let mut out = f.debug_struct("State");
        out.field("exists", &exists).field("is_timing_out", &is_timing_out).finish()
    }
}
