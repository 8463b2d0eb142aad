//! Why the command ends early, and the exit code that says so to scripts.

use std::error::Error as _;
use std::io;

use tidemill::{Error, ErrorKind};

/// An end other than the usual one. The codes are listed in `tidemill --help`.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A batch failed, or its result could not be written.
    Run(String),
    /// The command line asks for what there is not.
    Usage(String),
    /// An input or an address could not be opened or read.
    Input(String),
    /// The result was printed, and something of the input is missing in it.
    NotWhole(String),
    /// Interrupted before the end of the input.
    Interrupted(String),
    /// Whoever read the output has gone, as `head` does: they have what they wanted.
    ReaderGone,
}

impl Failure {
    /// A failure to write to standard output.
    pub(crate) fn of_output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Run(format!("cannot write to standard output: {error}")),
        }
    }

    /// A failure to start: a directory of checkpoints that cannot be had is an input.
    pub(crate) fn of_start(error: Error) -> Failure {
        let is_of_disk = error.source().is_some_and(|cause| cause.is::<io::Error>());
        match error.kind() {
            ErrorKind::Checkpoint if is_of_disk => Failure::Input(error.to_string()),
            // What the engine advises is for programs.
            ErrorKind::Checkpoint => Failure::Run(format!(
                "{error}; give the arguments that DIR was made with, or --checkpoint another one"
            )),
            _ => error.into(),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::ReaderGone => 0,
            Failure::Run(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Input(_) => 3,
            Failure::NotWhole(_) => 4,
            Failure::Interrupted(_) => 130,
        }
    }

    /// What to say on standard error, if anything.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Failure::Run(message)
            | Failure::Usage(message)
            | Failure::Input(message)
            | Failure::NotWhole(message)
            | Failure::Interrupted(message) => Some(message),
            Failure::ReaderGone => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error.kind() {
            ErrorKind::Config => Failure::Usage(error.to_string()),
            ErrorKind::Source => Failure::Input(error.to_string()),
            _ => Failure::Run(error.to_string()),
        }
    }
}
