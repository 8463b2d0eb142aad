//! Standard input: a file that is read like any other, or a pipe or terminal that is waited for.
//!
//! Invariant: the descriptor's own flags are never changed, since it is shared with the shell and
//! whoever else has it: non-blocking mode set here would break them. A read is made only when the
//! system has said that there is something, and only one.

use std::io;

use super::{BlockWriter, Received, Receiver, Waiter};
use crate::error::{Error, ErrorKind, Result};

/// The process's standard input, as lines, until its end.
///
/// Redirected from a file it is bounded and read as fast as can be; from a pipe or a terminal it is
/// read as it comes. Nothing else in the process, nor another process that has the same input,
/// should read it meanwhile: each would get a part.
///
/// ```no_run
/// use tidemill::Stdin;
///
/// let stdin = Stdin::open()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Stdin {
    input: Input,
}

impl Stdin {
    /// A source of the lines of standard input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`] if there is no standard input, or it can be neither read nor polled.
    pub fn open() -> Result<Stdin> {
        let input = Input::open().map_err(|error| {
            Error::caused(ErrorKind::Source, "cannot read standard input", error)
        })?;
        Ok(Stdin { input })
    }

    #[cfg(all(test, unix))]
    pub(super) fn over(fd: impl std::os::fd::AsFd) -> io::Result<Stdin> {
        Ok(Stdin { input: Input::over(fd.as_fd())? })
    }
}

impl Receiver for Stdin {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        self.input.receive(into)
    }

    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        self.input.waiter()
    }

    fn is_bounded(&self) -> bool {
        self.input.is_bounded()
    }

    fn name(&self) -> String {
        "standard input".to_owned()
    }
}

#[cfg(unix)]
use polled::Input;
#[cfg(not(unix))]
use threaded::Input;

/// Reads when the system says that there is something to read.
#[cfg(unix)]
mod polled {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Token};

    use crate::source::read::{Taken, read_once};
    use crate::source::readiness::{Readiness, UNTIL_EVENT};
    use crate::source::{BlockWriter, Carry, Received, Waiter};

    const INPUT: Token = Token(0);

    pub(super) struct Input {
        // Fixed.
        file: File,
        /// Without it the input is bounded.
        readiness: Option<Readiness>,
        // Changing.
        carry: Carry,
        /// Whether one read will not block.
        is_readable: bool,
        has_ended: bool,
        events: Vec<Token>,
    }

    impl Input {
        pub(super) fn open() -> io::Result<Input> {
            Input::over(io::stdin().as_fd())
        }

        pub(super) fn over(fd: BorrowedFd<'_>) -> io::Result<Input> {
            let file = File::from(fd.try_clone_to_owned()?);
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            let readiness = match metadata.is_file() {
                true => None,
                false => readiness(&file)?,
            };
            Ok(Input {
                file,
                readiness,
                carry: Carry::default(),
                is_readable: false,
                has_ended: false,
                events: Vec::new(),
            })
        }

        pub(super) fn is_bounded(&self) -> bool {
            self.readiness.is_none()
        }

        pub(super) fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
            self.readiness.as_ref().map(Readiness::waiter)
        }

        pub(super) fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
            while !self.has_ended {
                if !self.may_read()? {
                    return Ok(Received::Later(UNTIL_EVENT));
                }
                match read_once(&mut self.file, &mut self.carry, into)? {
                    // No event was used up.
                    Taken::NoRoom => return Ok(Received::More),
                    Taken::Bytes(_) | Taken::Nothing => self.rearm()?,
                    Taken::End => {
                        into.finish(&mut self.carry);
                        self.has_ended = true;
                    }
                }
            }
            Ok(Received::End)
        }

        fn may_read(&mut self) -> io::Result<bool> {
            let Some(readiness) = &self.readiness else { return Ok(true) };
            if !self.is_readable {
                readiness.take(&mut self.events)?;
                self.is_readable = !self.events.is_empty();
                self.events.clear();
            }
            Ok(self.is_readable)
        }

        /// Asks for a new event even if what is there now has not changed since the last one:
        /// another read might block, and there is no asking the input itself.
        fn rearm(&mut self) -> io::Result<()> {
            let Some(readiness) = &self.readiness else { return Ok(()) };
            self.is_readable = false;
            let fd = self.file.as_raw_fd();
            readiness.registry().reregister(&mut SourceFd(&fd), INPUT, Interest::READABLE)
        }
    }

    /// The readiness of the input, unless it is of a kind that is always ready.
    fn readiness(file: &File) -> io::Result<Option<Readiness>> {
        let readiness = Readiness::new()?;
        let fd = file.as_raw_fd();
        match readiness.registry().register(&mut SourceFd(&fd), INPUT, Interest::READABLE) {
            Ok(()) => Ok(Some(readiness)),
            // Linux's answer for files and for devices such as /dev/null.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads on a thread of its own, where standard input cannot be polled.
#[cfg(not(unix))]
mod threaded {
    use std::io::{self, Read};
    use std::sync::mpsc::{Receiver as Chunks, SyncSender, TryRecvError, sync_channel};
    use std::time::Duration;

    use crate::source::{BlockWriter, Carry, Received, Waiter};

    /// Bytes of one read. At most four reads wait at a time, so that they stay in the caches.
    const CHUNK_BYTES: usize = 64 << 10;
    const CHUNKS_MAX: usize = 4;

    /// How often the thread is asked for what it has read.
    const ASK_EVERY: Duration = Duration::from_millis(1);

    pub(super) struct Input {
        chunks: Chunks<io::Result<Vec<u8>>>,
        /// What did not fit in the block yet.
        rest: Vec<u8>,
        carry: Carry,
        has_ended: bool,
    }

    impl Input {
        pub(super) fn open() -> io::Result<Input> {
            let (sender, chunks) = sync_channel(CHUNKS_MAX);
            // It may wait for input for ever, so nobody waits for it.
            std::thread::Builder::new()
                .name("standard input".to_owned())
                .spawn(move || read_chunks(&mut io::stdin().lock(), &sender))?;
            Ok(Input { chunks, rest: Vec::new(), carry: Carry::default(), has_ended: false })
        }

        pub(super) fn is_bounded(&self) -> bool {
            false
        }

        pub(super) fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
            None
        }

        pub(super) fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
            while !self.has_ended {
                if into.is_full() {
                    return Ok(Received::More);
                }
                if self.rest.is_empty() {
                    match self.chunks.try_recv() {
                        Ok(chunk) => self.rest = chunk?,
                        Err(TryRecvError::Empty) => return Ok(Received::Later(ASK_EVERY)),
                        Err(TryRecvError::Disconnected) => {
                            into.finish(&mut self.carry);
                            self.has_ended = true;
                        }
                    }
                    continue;
                }
                let rest = &self.rest;
                let filled = into.fill(&mut self.carry, |room| {
                    let count = rest.len().min(room.len());
                    room[..count].copy_from_slice(&rest[..count]);
                    Ok(count)
                })?;
                self.rest.drain(..filled.unwrap_or(0));
            }
            Ok(Received::End)
        }
    }

    /// Hands on what is read until the input ends, fails, or nobody listens any more.
    fn read_chunks(input: &mut impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = match input.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.send(read).is_err() || is_last {
                return;
            }
        }
    }
}
