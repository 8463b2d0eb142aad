//! The one error of the crate: a kind to act on, and a message with the value and the limit.
//!
//! It is cheap to clone, because a batch's error is both logged and handed to whoever awaits.

use std::fmt;
use std::io;
use std::sync::Arc;

/// What went wrong, as far as a program can act on it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting outside of its range.
    Config,
    /// A call that the context's state does not allow, such as a new operator after the start.
    State,
    /// A source could not be opened or read.
    Source,
    /// A place that an output writes to could not be written.
    Sink,
    /// More of something than its named maximum.
    Limit,
    /// An integer result that does not fit its type.
    Overflow,
    /// An expression over a table that does not fit its columns.
    Schema,
    /// A line that is no row of its record, where the program asked for a failure.
    Decode,
    /// A checkpoint that cannot be written, read, or used by this program.
    Checkpoint,
    /// A user's closure panicked or returned an error.
    Closure,
    /// An operator that needs a batch of each of its parents got none.
    Absent,
}

/// Why a call or a batch failed.
///
/// Displayed, it is the message with its cause, which names the operator or the setting, the value
/// and the limit. [`source`](std::error::Error::source) gives the cause itself, for a program that
/// looks for a type: `source()` of it in turn leads to the first cause.
///
/// ```
/// use std::error::Error as _;
/// use std::io;
///
/// use tidemill::{Error, ErrorKind};
///
/// let full = io::Error::from(io::ErrorKind::StorageFull);
/// let error = Error::caused(ErrorKind::Sink, "cannot write rows.csv", full);
/// assert_eq!(error.to_string(), "cannot write rows.csv: no storage space");
/// let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).unwrap();
/// assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What users' fallible closures return: any error will do, and `?` converts.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// An error with a message of its own; sinks and custom sources use it too.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { inner: Arc::new(Inner { kind, message: message.into(), source: None }) }
    }

    /// An error that another one caused; its text follows the message.
    pub fn caused(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Error {
        let source = Some(Arc::from(source.into()));
        Error { inner: Arc::new(Inner { kind, message: message.into(), source }) }
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The same error with the place where it happened in front of its message.
    pub(crate) fn within(self, place: &str) -> Error {
        let Inner { kind, message, source } = &*self.inner;
        let (message, source) = (format!("{place}: {message}"), source.clone());
        Error { inner: Arc::new(Inner { kind: *kind, message, source }) }
    }
}

/// An I/O error of the same kind with a message in front, which keeps the error as its cause.
pub(crate) fn io_within(message: impl Into<String>, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Error::caused(ErrorKind::Source, message, error))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        match &self.inner.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.inner.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use crate::error::*;

    /// The first cause of an error, and how many errors lead to it.
    fn first_cause(error: &Error) -> (usize, &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        causes.enumerate().last().expect("it has a cause")
    }

    #[test]
    fn a_place_keeps_the_cause_and_tells_it_once() {
        let io = io::Error::new(io::ErrorKind::StorageFull, "no room");
        let error = Error::caused(ErrorKind::Sink, "cannot write rows", io)
            .within("output save")
            .within("batch 1000 ms");
        assert_eq!(error.to_string(), "batch 1000 ms: output save: cannot write rows: no room");
        assert_eq!(error.kind(), ErrorKind::Sink);
        let (depth, cause) = first_cause(&error);
        assert_eq!((depth, cause.to_string().as_str()), (0, "no room"));
        let cause = cause.downcast_ref::<io::Error>().expect("the cause as it was");
        assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn an_io_error_with_a_message_leads_to_the_first_cause() {
        let gone = io::Error::from_raw_os_error(2);
        let error = io_within("cannot read rows", gone);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = Error::caused(ErrorKind::Source, "source files", error).within("batch 7 ms");
        assert_eq!(error.to_string().matches("No such file").count(), 1, "{error}");
        let (_, cause) = first_cause(&error);
        let cause = cause.downcast_ref::<io::Error>().expect("the cause as it was");
        assert_eq!(cause.raw_os_error(), Some(2));
    }
}
