//! Standard output and standard error, as the process was given them.
//!
//! Invariant: their flags are never changed, as they are shared with whoever started the process. A
//! descriptor that somebody made non-blocking is waited for.

use std::io::{self, Write};

#[cfg(unix)]
use descriptors as system;
#[cfg(not(unix))]
use streams as system;

/// Standard output without a buffer: what a failed write has left is not written at the exit.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { system::write_stdout(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to standard error, as far as it takes something: a message that nobody reads holds up
/// nothing.
pub(crate) fn write_stderr(bytes: &[u8]) {
    system::write_stderr(bytes);
}

/// Whether standard input was closed when the process started.
pub(crate) fn is_stdin_closed() -> bool {
    system::is_stdin_closed()
}

/// Unix: the descriptors themselves.
#[cfg(unix)]
mod descriptors {
    use std::io::{self, IsTerminal};
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{Errno, fcntl_getfd, write};
    use rustix::stdio::{stderr, stdin, stdout};

    static IS_STDIN_CLOSED: AtomicBool = AtomicBool::new(false);
    static IS_STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

    /// Nobody reads standard error: it is not waited for again until it takes something.
    static IS_STDERR_STUCK: AtomicBool = AtomicBool::new(false);

    /// How long a message waits for somebody who reads standard error.
    const STDERR_PATIENCE: Duration = Duration::from_secs(1);

    /// Bytes that a pipe takes at once if it takes any (`PIPE_BUF` on Linux).
    const PIPE_BYTES: usize = 4 << 10;

    // Before `main` Rust's runtime opens /dev/null in the place of descriptors that are closed.
    ctor::declarative::ctor! {
        #[ctor]
        fn note_closed() {
            let is_closed = |fd| matches!(fcntl_getfd(fd), Err(Errno::BADF));
            IS_STDIN_CLOSED.store(is_closed(stdin()), Ordering::Relaxed);
            IS_STDOUT_CLOSED.store(is_closed(stdout()), Ordering::Relaxed);
        }
    }

    pub(super) fn is_stdin_closed() -> bool {
        IS_STDIN_CLOSED.load(Ordering::Relaxed)
    }

    pub(super) fn write_stdout(bytes: &[u8]) -> io::Result<usize> {
        if IS_STDOUT_CLOSED.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is closed"));
        }
        let mut has_waited = false;
        loop {
            match write(stdout(), bytes) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if has_waited {
                        // It is said to take something and does not: do not ask at full speed.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    wait(stdout(), None);
                    has_waited = true;
                }
                written => return Ok(written?),
            }
        }
    }

    pub(super) fn write_stderr(bytes: &[u8]) {
        // Somebody who has stopped a terminal (Ctrl-S) lets it go on.
        let is_terminal = io::stderr().is_terminal();
        for mut piece in bytes.chunks(PIPE_BYTES) {
            while !piece.is_empty() {
                let patience = match IS_STDERR_STUCK.load(Ordering::Relaxed) {
                    _ if is_terminal => None,
                    true => Some(Duration::ZERO),
                    false => Some(STDERR_PATIENCE),
                };
                let is_ready = wait(stderr(), patience);
                IS_STDERR_STUCK.store(!is_ready, Ordering::Relaxed);
                if !is_ready {
                    return;
                }
                match write(stderr(), piece) {
                    Ok(0) => return,
                    Ok(count) => piece = &piece[count..],
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                    Err(_) => return,
                }
            }
        }
    }

    /// Waits until a descriptor takes something or fails, for a while at most; says whether.
    fn wait(fd: BorrowedFd<'_>, patience: Option<Duration>) -> bool {
        let timeout = patience.map(|patience| Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        });
        loop {
            match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], timeout.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                // The write says what is wrong.
                Err(_) => return true,
            }
        }
    }
}

/// Elsewhere: what the standard library gives.
#[cfg(not(unix))]
mod streams {
    use std::io::{self, Write};

    pub(super) fn is_stdin_closed() -> bool {
        false
    }

    pub(super) fn write_stdout(bytes: &[u8]) -> io::Result<usize> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map(|()| bytes.len())
    }

    pub(super) fn write_stderr(bytes: &[u8]) {
        let _ = io::stderr().write_all(bytes);
    }
}
