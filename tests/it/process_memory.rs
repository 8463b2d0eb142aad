//! The memory of a process, as Linux tells.

/// Bytes of a line of `/proc/<process>/status`, such as `VmHWM`, where `process` is a number or
/// `self`; `None` where the system says nothing of it, as of a process that has ended. A test that
/// cannot measure has to fail.
pub(crate) fn bytes_of(process: &str, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let text = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))?;
    let kib: u64 = text.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
