//! Pipes, terminals and devices: what is read once, as it comes, to its end.
//!
//! Invariant: the descriptor's own flags are never changed where it is shared with the shell and
//! whoever else has it, as standard input is: non-blocking mode set there would break them. A read
//! is made only when the system has said that there is something, and only one.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::Waiter;

#[cfg(unix)]
use polled as system;
#[cfg(not(unix))]
use threaded as system;

/// How long a source may be left alone that has read what there is of a pipe.
pub(super) const UNTIL_MORE: Duration = system::UNTIL_MORE;

/// What the pipes of one source are waited for with.
#[derive(Clone)]
pub(super) struct Pipes(system::Pipes);

/// A pipe that is being read. What is [looked at](Self::look) is read again.
pub(super) struct Pipe {
    input: system::Input,
    /// What was looked at.
    head: Vec<u8>,
    /// Bytes of it that were given.
    at: usize,
    is_looked_at: bool,
    has_ended: bool,
    /// It was found not to begin as compressed files do.
    pub(super) is_checked: bool,
}

impl Pipes {
    pub(super) fn new() -> io::Result<Pipes> {
        system::Pipes::new().map(Pipes)
    }

    /// The process's standard input, whatever it is but a directory.
    pub(super) fn stdin(&self) -> io::Result<Pipe> {
        self.0.stdin().map(Pipe::over)
    }

    /// Opens a named pipe or a device, without waiting for who writes to it.
    pub(super) fn open(&self, path: &Path) -> io::Result<Pipe> {
        self.0.open(path).map(Pipe::over)
    }

    #[cfg(all(test, unix))]
    pub(super) fn over(&self, fd: std::os::fd::BorrowedFd<'_>) -> io::Result<Pipe> {
        self.0.over(fd).map(Pipe::over)
    }

    /// The waiting end, for the receiver's thread.
    pub(super) fn waiter(&self) -> Option<Box<dyn Waiter>> {
        self.0.waiter()
    }
}

impl Pipe {
    fn over(input: system::Input) -> Pipe {
        Pipe {
            input,
            head: Vec::new(),
            at: 0,
            is_looked_at: false,
            has_ended: false,
            is_checked: false,
        }
    }

    /// Whether there is something to read whenever it is asked for, as of a file.
    pub(super) fn is_always_ready(&self) -> bool {
        self.input.is_always_ready()
    }

    /// Keeps what is read from here on, until it [goes back](Self::go_back) to it.
    pub(super) fn look(&mut self) {
        self.is_looked_at = true;
    }

    /// Goes back to the start of what was looked at.
    pub(super) fn go_back(&mut self) {
        (self.at, self.is_looked_at) = (0, false);
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.input.metadata()
    }
}

/// Gives [`WouldBlock`](io::ErrorKind::WouldBlock) where there is nothing now.
impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.head[self.at..];
        if !rest.is_empty() {
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            self.at += count;
            return Ok(count);
        }
        if !self.is_looked_at {
            (self.head, self.at) = (Vec::new(), 0);
        }
        // A terminal would go on after its end.
        if self.has_ended || into.is_empty() {
            return Ok(0);
        }
        let count = self.input.read(into)?;
        self.has_ended = count == 0;
        if self.is_looked_at {
            self.head.extend_from_slice(&into[..count]);
            self.at = self.head.len();
        }
        Ok(count)
    }
}

/// Bytes that are left of standard input, if it is a file.
pub(super) fn rest_of_stdin() -> Option<u64> {
    system::rest_of_stdin()
}

/// Reads when the system says that there is something to read.
#[cfg(unix)]
mod polled {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io::{self, ErrorKind, Read, Seek};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Token};
    use rustix::fs::OFlags;

    use crate::source::Waiter;
    use crate::source::readiness::{Readiness, UNTIL_EVENT};

    pub(super) const UNTIL_MORE: Duration = UNTIL_EVENT;

    #[derive(Clone)]
    pub(super) struct Pipes {
        readiness: Arc<Readiness>,
        /// Pipes that were found to be ready, and have not read since.
        ready: Arc<Mutex<Vec<Token>>>,
        /// Pipes that were opened. A number is not given again, as descriptors are, so that what
        /// was told of one pipe is not taken for news of the next.
        opened: Arc<AtomicUsize>,
    }

    pub(super) struct Input {
        // Fixed.
        file: File,
        token: Token,
        /// Without them it is always ready.
        pipes: Option<Pipes>,
        // Changing.
        /// Whether one read will not block.
        is_readable: bool,
    }

    impl Pipes {
        pub(super) fn new() -> io::Result<Pipes> {
            let readiness = Arc::new(Readiness::new()?);
            Ok(Pipes { readiness, ready: Arc::default(), opened: Arc::default() })
        }

        pub(super) fn waiter(&self) -> Option<Box<dyn Waiter>> {
            Some(self.readiness.waiter())
        }

        pub(super) fn stdin(&self) -> io::Result<Input> {
            self.over(io::stdin().as_fd())
        }

        pub(super) fn over(&self, fd: BorrowedFd<'_>) -> io::Result<Input> {
            self.input(File::from(fd.try_clone_to_owned()?))
        }

        pub(super) fn open(&self, path: &Path) -> io::Result<Input> {
            // It is nobody else's: only here, and so that a named pipe is not waited for.
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            self.input(OpenOptions::new().read(true).custom_flags(flags).open(path)?)
        }

        fn input(&self, file: File) -> io::Result<Input> {
            if file.metadata()?.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            let fd = file.as_raw_fd();
            let token = Token(self.opened.fetch_add(1, Ordering::Relaxed));
            let registry = self.readiness.registry();
            let pipes = match registry.register(&mut SourceFd(&fd), token, Interest::READABLE) {
                Ok(()) => Some(self.clone()),
                // Linux's answer for files and for devices such as /dev/null.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
                Err(error) => return Err(error),
            };
            Ok(Input { file, token, pipes, is_readable: false })
        }

        /// Whether this one has become ready since the last call for it.
        fn take_ready(&self, token: Token) -> io::Result<bool> {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            self.readiness.take(&mut ready)?;
            // Another one may have been told of again and again before its turn.
            ready.sort_unstable();
            ready.dedup();
            let before = ready.len();
            ready.retain(|other| *other != token);
            Ok(ready.len() < before)
        }
    }

    impl Input {
        pub(super) fn is_always_ready(&self) -> bool {
            self.pipes.is_none()
        }

        pub(super) fn metadata(&self) -> io::Result<Metadata> {
            self.file.metadata()
        }

        /// Asks for a new event even if what is there now has not changed since the last one:
        /// another read might block, and there is no asking the input itself.
        fn rearm(&mut self) -> io::Result<()> {
            let Some(pipes) = &self.pipes else { return Ok(()) };
            self.is_readable = false;
            let fd = self.file.as_raw_fd();
            let registry = pipes.readiness.registry();
            registry.reregister(&mut SourceFd(&fd), self.token, Interest::READABLE)
        }
    }

    impl Read for Input {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if let Some(pipes) = &self.pipes {
                self.is_readable = self.is_readable || pipes.take_ready(self.token)?;
                if !self.is_readable {
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
            let read = self.file.read(into);
            self.rearm()?;
            read
        }
    }

    impl Drop for Input {
        fn drop(&mut self) {
            if let Some(pipes) = &self.pipes {
                // Standard input stays open, and would be told of for ever. That it cannot be
                // taken out of the list matters to nobody.
                let fd = self.file.as_raw_fd();
                let _ = pipes.readiness.registry().deregister(&mut SourceFd(&fd));
            }
        }
    }

    pub(super) fn rest_of_stdin() -> Option<u64> {
        let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
        let metadata = stdin.metadata().ok().filter(Metadata::is_file)?;
        Some(metadata.len().saturating_sub(stdin.stream_position().ok()?))
    }
}

/// Reads on a thread of its own, where standard input cannot be polled.
#[cfg(not(unix))]
mod threaded {
    use std::fs::Metadata;
    use std::io::{self, ErrorKind, Read};
    use std::path::Path;
    use std::sync::mpsc::{Receiver as Chunks, SyncSender, TryRecvError, sync_channel};
    use std::time::Duration;

    use crate::source::Waiter;

    /// Bytes of one read. At most four reads wait at a time, so that they stay in the caches.
    const CHUNK_BYTES: usize = 64 << 10;
    const CHUNKS_MAX: usize = 4;

    /// How often the thread is asked for what it has read.
    pub(super) const UNTIL_MORE: Duration = Duration::from_millis(1);

    #[derive(Clone)]
    pub(super) struct Pipes;

    pub(super) struct Input {
        chunks: Chunks<io::Result<Vec<u8>>>,
        /// What was not given yet.
        rest: Vec<u8>,
    }

    impl Pipes {
        pub(super) fn new() -> io::Result<Pipes> {
            Ok(Pipes)
        }

        pub(super) fn waiter(&self) -> Option<Box<dyn Waiter>> {
            None
        }

        pub(super) fn stdin(&self) -> io::Result<Input> {
            let (sender, chunks) = sync_channel(CHUNKS_MAX);
            // It may wait for input for ever, so nobody waits for it.
            std::thread::Builder::new()
                .name("standard input".to_owned())
                .spawn(move || read_chunks(&mut io::stdin().lock(), &sender))?;
            Ok(Input { chunks, rest: Vec::new() })
        }

        pub(super) fn open(&self, _: &Path) -> io::Result<Input> {
            Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
        }
    }

    impl Input {
        pub(super) fn is_always_ready(&self) -> bool {
            false
        }

        pub(super) fn metadata(&self) -> io::Result<Metadata> {
            Err(ErrorKind::Unsupported.into())
        }
    }

    impl Read for Input {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.rest.is_empty() {
                self.rest = match self.chunks.try_recv() {
                    Ok(chunk) => chunk?,
                    Err(TryRecvError::Empty) => return Err(ErrorKind::WouldBlock.into()),
                    Err(TryRecvError::Disconnected) => return Ok(0),
                };
            }
            let count = self.rest.len().min(into.len());
            into[..count].copy_from_slice(&self.rest[..count]);
            self.rest.drain(..count);
            Ok(count)
        }
    }

    pub(super) fn rest_of_stdin() -> Option<u64> {
        None
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
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.send(read).is_err() || is_last {
                return;
            }
        }
    }
}
