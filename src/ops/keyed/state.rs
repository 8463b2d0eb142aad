//! What `map_with_state` hands to its closure: the state of one key.

use std::fmt;

use super::table::{Noted, Row};
use crate::record::Record;

/// The state of a key, to be read, changed or removed.
///
/// What is not allowed panics, and so fails the batch: the value of a state that is not there, a
/// change after it was removed, and a change of one that is timing out.
pub struct State<'a, S: Record> {
    pub(super) row: &'a mut Row<S>,
    pub(super) noted: Noted<'a, S>,
    pub(super) time: u64,
    pub(super) is_timing_out: bool,
    pub(super) is_removed: bool,
}

impl<S: Record> State<'_, S> {
    /// Whether there is a state.
    pub fn exists(&self) -> bool {
        self.row.state.is_some()
    }

    /// The state.
    ///
    /// # Panics
    ///
    /// If there is none: [`get_option`](Self::get_option) says so.
    pub fn get(&self) -> S::Ref<'_> {
        self.get_option().expect("a state that exists: this key has none")
    }

    /// The state, if there is one.
    #[doc(alias = "getOption")]
    pub fn get_option(&self) -> Option<S::Ref<'_>> {
        self.row.state.as_ref().map(S::to_ref)
    }

    /// Makes this the state.
    ///
    /// # Panics
    ///
    /// After [`remove`](Self::remove), and while timing out.
    pub fn update(&mut self, state: S) {
        self.check("updated");
        self.noted.touch(self.row, self.time);
        self.noted.set(self.row, Some(state));
    }

    /// Removes the state, if there is one.
    ///
    /// # Panics
    ///
    /// When called again, and while timing out.
    pub fn remove(&mut self) {
        self.check("removed");
        self.noted.touch(self.row, self.time);
        self.noted.set(self.row, None);
        self.is_removed = true;
    }

    /// Whether this is the last call for the key, since it was idle for longer than the timeout: it
    /// has no value, and its state is removed after the call.
    #[doc(alias = "isTimingOut")]
    pub fn is_timing_out(&self) -> bool {
        self.is_timing_out
    }

    /// The key had data.
    pub(super) fn refresh(&mut self) {
        self.noted.touch(self.row, self.time);
    }

    /// Its time is over.
    pub(super) fn drop_timed_out(mut self) {
        self.refresh();
        self.noted.set(self.row, None);
    }

    fn check(&self, what: &str) {
        assert!(!self.is_removed, "a state cannot be {what} after it was removed");
        assert!(!self.is_timing_out, "a state cannot be {what} while it is timing out");
    }
}

impl<'a, S: Record> fmt::Debug for State<'a, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("exists", &self.exists())
            .field("is_timing_out", &self.is_timing_out)
            .finish()
    }
}
