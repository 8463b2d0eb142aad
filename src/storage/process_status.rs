//! What the system says of this process, in a file of its own (`/proc`): it is read here, as the
//! engine reads no files itself.

/// Signals that were ignored when this was asked, signal `n` as bit `n - 1`; none where the system
/// does not say.
pub(crate) fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
