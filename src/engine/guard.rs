//! Calls of what may be a program's own code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::source::intake::panic_text;

/// Runs what may run a user's closure: a panic becomes an error that names the operator.
pub(super) fn guard<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.within(&format!("operator {name}"))),
        Err(panic) => {
            let message = format!("operator {name} panicked: {}", panic_text(&*panic));
            Err(Error::new(ErrorKind::Closure, message))
        }
    }
}

/// What a mutex holds, also where a panic has poisoned it: what may panic leaves it sound.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
