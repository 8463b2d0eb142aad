//! The process's descriptors, and how many of them are left for connections.
//!
//! Invariant: connections never take the last ones. A process that has none left can write no
//! checkpoint and no log, and can open no file of its input.

use mio::net::TcpStream;

use crate::config::DESCRIPTORS_RESERVED_MAX;

/// Descriptors that connections may still take.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Less than none where the reserve is touched already.
    pub(super) count: i64,
    /// The process's limit.
    pub(super) limit: u64,
    /// How many of the limit are reserved for files.
    pub(super) reserve: u64,
}

/// How many descriptors connections may still take beside `newest`, which was opened last, if the
/// process has a limit.
pub(super) fn left_after(newest: &TcpStream) -> Option<Left> {
    let limit = limit()?;
    // The system gives the lowest that is free.
    let open = open().unwrap_or_else(|| number_of(newest));
    let reserve = reserve_of(limit);
    let count = i64::try_from(limit - reserve).unwrap_or(i64::MAX);
    Some(Left { count: count.saturating_sub_unsigned(open.saturating_sub(1)), limit, reserve })
}

/// The reserve of a process with this limit.
fn reserve_of(limit: u64) -> u64 {
    DESCRIPTORS_RESERVED_MAX.min(limit / 4)
}

/// The process's limit of open descriptors; none where it has no limit.
#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(unix)]
fn number_of(stream: &TcpStream) -> u64 {
    u64::try_from(std::os::fd::AsRawFd::as_raw_fd(stream)).unwrap_or(0)
}

#[cfg(not(unix))]
fn number_of(_: &TcpStream) -> u64 {
    0
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

/// How many descriptors are open, if the system says so.
fn open() -> Option<u64> {
    let listed = std::fs::read_dir("/dev/fd").ok()?.count() as u64;
    // The listing itself has one of them.
    listed.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_has_a_small_reserve() {
        assert_eq!(reserve_of(1 << 20), DESCRIPTORS_RESERVED_MAX);
        assert_eq!(reserve_of(1024), DESCRIPTORS_RESERVED_MAX);
        assert_eq!(reserve_of(64), 16);
        assert_eq!(reserve_of(0), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn open_descriptors_are_counted() {
        let before = open().expect("Linux lists them");
        let held: Vec<_> =
            (0..100).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        // Other tests open and close some at the same time.
        let after = open().expect("Linux lists them");
        assert!(after > before + 50, "{after} after {before}");
        drop(held);
    }
}
