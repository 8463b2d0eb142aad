//! Writes to standard output that succeed only if all of it was written: one that is non-blocking
//! is waited for, and one that is closed is an error.

use std::io::{self, Write};

/// Writes all of it in one go, after what the program itself has printed so far.
#[cfg(unix)]
pub(crate) fn write_stdout(text: &[u8]) -> io::Result<()> {
    use std::os::fd::AsFd;

    let mut out = io::stdout().lock();
    let fd = out.as_fd().try_clone_to_owned()?;
    // The handle of the standard library takes a descriptor that is closed for one that takes all.
    let mut file = std::fs::File::from(fd);
    while let Err(error) = out.flush() {
        wait_for_room(error, &file)?;
    }
    write_waiting(&mut file, text)
}

#[cfg(not(unix))]
pub(crate) fn write_stdout(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

#[cfg(unix)]
fn write_waiting(file: &mut std::fs::File, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match file.write(text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => text = &text[count..],
            Err(error) => wait_for_room(error, file)?,
        }
    }
    Ok(())
}

/// Waits until there may be room, if that is what the error is about.
#[cfg(unix)]
fn wait_for_room(error: io::Error, file: &std::fs::File) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => match poll(&mut [PollFd::new(file, PollFlags::OUT)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        },
        _ => Err(error),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    /// A reader that comes late has all of it, though the pipe has no room for that.
    #[test]
    fn what_is_non_blocking_is_waited_for() {
        let (mut read, write) = io::pipe().unwrap();
        let write = OwnedFd::from(write);
        rustix::io::ioctl_fionbio(&write, true).unwrap();
        let text = vec![b'x'; 1 << 20];
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            read.read_to_end(&mut all).map(|_| all)
        });
        write_waiting(&mut std::fs::File::from(write), &text).unwrap();
        assert!(reader.join().unwrap().unwrap() == text);
    }
}
