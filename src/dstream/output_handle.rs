//! Handle of an output operation, to say what happens to a batch that it cannot take.

use std::fmt;
use std::time::Duration;

use super::StreamingContext;
use crate::config::{OUTPUT_BACKOFF_MAX, OUTPUT_RETRIES_MAX};
use crate::error::{Error, ErrorKind};
use crate::sink::OnFailure;

/// An output operation of a stream, such as [`foreach_batch`](crate::DStream::foreach_batch) adds:
/// sets its failure policy.
///
/// An output fails when its function returns an error or panics, or when what it writes to cannot
/// be written. That never touches state: operators and windows keep the batch, and other outputs
/// have it. Without a policy the output is not tried again, and the batch
/// [fails](OnFailure::Fail).
///
/// ```
/// use std::time::Duration;
/// use tidemill::OnFailure;
/// use tidemill::prelude::*;
///
/// # let mut t = TestContext::new()?;
/// # let words = t.input::<String>();
/// # fn post(_: &Batch<(String, i64)>) -> Result<(), tidemill::BoxError> { Ok(()) }
/// words
///     .stream()
///     .count_by_value()
///     .foreach_batch(|counts, _| post(counts))
///     .retry(5, Duration::from_millis(200))
///     .on_failure(OnFailure::Skip);
/// # words.push(["a"])?;
/// # t.tick()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone)]
pub struct Output {
    pub(super) context: StreamingContext,
    /// Which of the context's outputs it is.
    pub(super) number: usize,
}

impl Output {
    /// Gives the output a batch that it could not take again, up to `times` times (at most 1,000),
    /// first after `backoff` (at most one minute), and then after twice as long each time, up to
    /// one minute.
    ///
    /// The next batches wait in the meantime, and with full queues and pools the sources are not
    /// read. Other outputs have the batch before. A graceful stop ends the wait after one more
    /// try, and a stop at once without one. The wait is real time, also in a
    /// [`TestContext`](crate::TestContext).
    ///
    /// # Errors
    ///
    /// `start` fails with [`ErrorKind::Config`](crate::ErrorKind::Config) beyond these maxima.
    pub fn retry(self, times: u32, backoff: Duration) -> Output {
        if times > OUTPUT_RETRIES_MAX || backoff > OUTPUT_BACKOFF_MAX {
            let message = format!(
                "an output is to be tried again {times} times, first after {backoff:?}, but at \
                 most {OUTPUT_RETRIES_MAX} times, first after up to {OUTPUT_BACKOFF_MAX:?}, are \
                 possible"
            );
            self.context.misused(Error::new(ErrorKind::Config, message));
            return self;
        }
        self.context.change_output(self.number, |policy| {
            (policy.retries, policy.backoff) = (times, backoff);
        });
        self
    }

    /// Sets what follows once all retries have failed (default [`OnFailure::Fail`]).
    pub fn on_failure(self, on_failure: OnFailure) -> Output {
        self.context.change_output(self.number, |policy| policy.on_failure = on_failure);
        self
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({})", self.number)
    }
}
