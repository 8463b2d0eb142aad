//! The one error of the crate: a kind to act on, and a message with the value and the limit.
//!
//! It is cheap to clone, because a batch's error is both logged and handed to whoever awaits.

use std::fmt;
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
/// The message stands by itself: it names the operator or the setting, the value, and the limit.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
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
        let source = Some(source.into());
        Error { inner: Arc::new(Inner { kind, message: message.into(), source }) }
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    pub(crate) fn within(self, place: &str) -> Error {
        let kind = self.kind();
        Error::new(kind, format!("{place}: {self}"))
    }
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
