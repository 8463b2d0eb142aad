//! Standard input: a file that is read like any other, or a pipe or terminal that is waited for.

use std::io;
use std::path::Path;

use super::open_file::OpenFile;
use super::pipe::{Pipe, Pipes, UNTIL_MORE};
use super::read::Taken;
use super::{BlockWriter, Received, Receiver, Waiter};
use crate::error::{Error, ErrorKind, Result};

/// What it is called in messages.
pub(super) const STDIN: &str = "standard input";

/// The process's standard input, as lines, until its end.
///
/// Redirected from a file it is bounded and read as fast as can be; from a pipe or a terminal it is
/// read as it comes. Nothing else in the process, nor another process that has the same input,
/// should read it meanwhile: each would get a part. Text that begins as compressed files do ends
/// the source with an error: only [files](super::Files) are unpacked.
///
/// ```no_run
/// use tidemill::Stdin;
///
/// let stdin = Stdin::open()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Stdin {
    pipes: Pipes,
    is_bounded: bool,
    input: OpenFile,
}

impl Stdin {
    /// A source of the lines of standard input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`] if there is no standard input, or it can be neither read nor polled.
    pub fn open() -> Result<Stdin> {
        Stdin::over(Pipes::stdin).map_err(|error| {
            Error::caused(ErrorKind::Source, format!("cannot read {STDIN}"), error)
        })
    }

    /// Whether a path stands for standard input, as `-` and `/dev/stdin` do.
    pub fn is_called(path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        path.as_os_str() == "-" || path == Path::new("/dev/stdin")
    }

    pub(super) fn over(open: impl FnOnce(&Pipes) -> io::Result<Pipe>) -> io::Result<Stdin> {
        let pipes = Pipes::new()?;
        let input = open(&pipes)?;
        let is_bounded = input.is_always_ready();
        Ok(Stdin { pipes, is_bounded, input: OpenFile::of_pipe(input, Path::new(STDIN)) })
    }
}

impl Receiver for Stdin {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        loop {
            match self.input.read(into)? {
                Taken::Bytes(_) => {}
                // No event was used up.
                Taken::NoRoom => return Ok(Received::More),
                Taken::Nothing if self.is_bounded => return Ok(Received::More),
                Taken::Nothing => return Ok(Received::Later(UNTIL_MORE)),
                Taken::End => {
                    self.input.finish(into, &STDIN);
                    return Ok(Received::End);
                }
            }
        }
    }

    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        if self.is_bounded { None } else { self.pipes.waiter() }
    }

    fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    fn name(&self) -> String {
        STDIN.to_owned()
    }
}
