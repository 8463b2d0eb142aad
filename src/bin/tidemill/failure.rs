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
    /// The same, and it was said.
    Arguments,
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

    /// A failure to open a directory of checkpoints.
    pub(crate) fn of_checkpoints(error: Error) -> Failure {
        let message = plain(&error.to_string());
        match error.kind() {
            ErrorKind::Checkpoint if is_of_disk(&error) || message.contains(IN_USE) => {
                Failure::Input(format!("--checkpoint: {message}"))
            }
            ErrorKind::Checkpoint => {
                Failure::Run(format!("{message}; --checkpoint another DIR begins anew"))
            }
            _ => error.into(),
        }
    }

    /// A failure to start.
    pub(crate) fn of_start(error: Error) -> Failure {
        let message = plain(&error.to_string());
        match error.kind() {
            ErrorKind::Checkpoint if is_of_disk(&error) => Failure::Input(message),
            ErrorKind::Checkpoint if message.ends_with(ACCEPT_LOSS) => Failure::Run(message),
            // What the engine advises is for programs.
            ErrorKind::Checkpoint => Failure::Run(format!(
                "{message}; give the arguments that DIR was made with, or --checkpoint another one"
            )),
            _ => error.into(),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::ReaderGone => 0,
            Failure::Run(_) => 1,
            Failure::Usage(_) | Failure::Arguments => 2,
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
            Failure::ReaderGone | Failure::Arguments => None,
        }
    }
}

/// A part of the message of a directory that another process has.
const IN_USE: &str = "are in use by ";

/// Whether the disk refused something.
fn is_of_disk(error: &Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<io::Error>())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error.kind() {
            ErrorKind::Config => Failure::Usage(plain(&error.to_string())),
            ErrorKind::Source => Failure::Input(plain(&error.to_string())),
            _ => Failure::Run(plain(&error.to_string())),
        }
    }
}

/// Advice to programs in the engine's messages, as its beginning and end, and the same for users of
/// the command.
const ADVICE: [(&str, &str, &str); 6] = [
    (" If it was renamed, keep the old name", ").", ""),
    (": call intake_log", "give that up", ""),
    (": call IntakeLog::accept_loss", "without them", ACCEPT_LOSS),
    (": name the stream of one of them", ")`", ""),
    (": call checkpoint(", ")", ": --checkpoint DIR is missing"),
    ("another context", "", "another process"),
];

/// Limits that follow from the memory, and what of it they are.
const MEMORY_LIMITS: [(&str, &str); 4] = [
    ("(ContextBuilder::memory)", "(--memory)"),
    ("(Limits::key_bytes)", "(a half of --memory)"),
    ("(Limits::retained_bytes)", "(a sixth of --memory)"),
    ("(Limits::unfinished_bytes)", "(a sixteenth of --memory)"),
];

/// What goes on all the same.
const ACCEPT_LOSS: &str = "; --accept-loss goes on without them";

/// A message of the engine without the names of its functions and types.
pub(crate) fn plain(message: &str) -> String {
    let mut plain = message.to_owned();
    for (begin, end, instead) in ADVICE {
        let Some(from) = plain.find(begin) else { continue };
        let rest = from + begin.len();
        let Some(len) = plain[rest..].find(end) else { continue };
        plain.replace_range(from..rest + len + end.len(), instead);
    }
    for (limit, option) in MEMORY_LIMITS {
        plain = plain.replace(limit, option);
    }
    // A limit's name: its value is in the message.
    while let Some(range) = limit_name(&plain) {
        plain.replace_range(range, "");
    }
    plain
}

/// Where a limit's name stands, such as ` (Limits::distinct_keys)`.
fn limit_name(message: &str) -> Option<std::ops::Range<usize>> {
    message.match_indices(" (").find_map(|(from, open)| {
        let inside = message[from + open.len()..].split(')').next()?;
        let (owner, name) = inside.split_once("::")?;
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_type = owner.starts_with(|c: char| c.is_ascii_uppercase());
        let end = from + open.len() + inside.len() + 1;
        (is_type && is_name(owner) && is_name(name)).then_some(from..end)
    })
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn messages_speak_the_words_of_the_command() {
        let check = |message, expected: &str| assert_eq!(plain(message), expected);
        check("no such file", "no such file");
        check("from (at [fe80::1]:99)", "from (at [fe80::1]:99)");
        check("than 7 (ContextBuilder::memory); most by a", "than 7 (--memory); most by a");
        check("more than 7 (Limits::key_bytes)", "more than 7 (a half of --memory)");
        check("more keys than 5 (Limits::distinct_keys)", "more keys than 5");
        check("more files than 7 (Directory::files_max): /in", "more files than 7: /in");
        check(
            "it has \"b\". If it was renamed, keep the old name; if not, call forget_state(\"b\"). \
               There is: \"b\"",
            "it has \"b\". There is: \"b\"",
        );
        check(
            "the log has it: call intake_log, or remove its files in /x to give that up",
            "the log has it",
        );
        check(
            "two are \"a\", and could not be told apart: name the stream of one of them, \
               `.named(\"…\")`",
            "two are \"a\", and could not be told apart",
        );
        check(
            "there is none: call checkpoint(directory, every)",
            "there is none: --checkpoint DIR is missing",
        );
        check("in use by another context", "in use by another process");
        check(
            "5 blocks are lost: call IntakeLog::accept_loss to go on without them",
            "5 blocks are lost; --accept-loss goes on without them",
        );
    }
}
