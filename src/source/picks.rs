//! Which files of a directory a batch reads: Spark's rules, and what has to be remembered for them.
//!
//! Invariant: what a listing could pick again is remembered. Below the floor nothing is picked, and
//! the floor never goes down, so what is forgotten below it never comes twice.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::time::Duration;

use crate::config::DIRECTORY_FILES_MAX;
use crate::error::Result;
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};
use crate::time::Time;

/// Spark's `spark.streaming.fileStream.minRememberDuration`.
const REMEMBER: Duration = Duration::from_secs(60);

/// A file that is gone from the directory is forgotten after this time, however long the window: a
/// directory may be away for a moment, and each of its files with it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

pub(super) struct Picks {
    // Fixed.
    pub(super) new_files_only: bool,
    pub(super) remember: Duration,
    pub(super) files_max: usize,
    interval: Duration,
    // Changing.
    /// Files that were last modified then or before are not picked any more, if there are any such.
    floor: Option<Duration>,
    /// When the directory was listed last, or the stream was made.
    listed: Time,
    picked: BTreeMap<OsString, Picked>,
}

struct Picked {
    /// Since the epoch, as of the last listing that had it.
    modified: Duration,
    /// The time of that listing.
    seen: Time,
    /// It still has to be read, at least in part.
    is_pending: bool,
}

impl Default for Picks {
    fn default() -> Picks {
        Picks {
            new_files_only: true,
            remember: REMEMBER,
            files_max: DIRECTORY_FILES_MAX,
            interval: Duration::ZERO,
            floor: None,
            listed: Time::from_millis(0),
            picked: BTreeMap::new(),
        }
    }
}

impl Picks {
    /// The stream is made now; what it remembers is whole intervals.
    pub(super) fn begin(&mut self, now: Time, interval: Duration) {
        let intervals = self.remember.as_nanos().div_ceil(interval.as_nanos());
        let millis = u64::try_from(intervals.saturating_mul(interval.as_millis()));
        self.remember = millis.map_or(Duration::MAX, Duration::from_millis);
        (self.interval, self.listed) = (interval, now);
        self.floor = self.new_files_only.then(|| since_epoch(now));
    }

    /// Of the files that the directory has, with the times at which they were modified, those that
    /// belong to the batch of `time`, the oldest first. `now` is what the clock shows that files
    /// have their times from.
    pub(super) fn pick(
        &mut self,
        time: Time,
        now: Duration,
        files: Vec<(OsString, Duration)>,
    ) -> io::Result<Vec<OsString>> {
        self.raise_floor(time, now);
        let mut fresh = Vec::new();
        for (name, modified) in files {
            if let Some(picked) = self.picked.get_mut(&name) {
                (picked.modified, picked.seen) = (modified, time);
            } else if self.floor < Some(modified) && modified <= since_epoch(time) {
                fresh.push((modified, name));
            }
        }
        self.listed = time;
        let floor = self.floor;
        self.picked.retain(|_, picked| {
            let may_come_again =
                floor < Some(picked.modified) && picked.seen + FORGOTTEN_AFTER > time;
            picked.is_pending || may_come_again
        });
        self.check_max(self.picked.len() + fresh.len())?;
        fresh.sort();
        let names = fresh.into_iter().map(|(modified, name)| {
            let picked = Picked { modified, seen: time, is_pending: true };
            self.picked.insert(name.clone(), picked);
            name
        });
        Ok(names.collect())
    }

    /// The window that is looked back over begins before `time`; earlier after times at which
    /// nothing was listed, and where batches run ahead of the clock.
    fn raise_floor(&mut self, time: Time, now: Duration) {
        let end = since_epoch(time.min(self.listed + self.interval)).min(now);
        self.floor = self.floor.max(end.checked_sub(self.remember));
    }

    /// # Errors
    ///
    /// More files than the maximum.
    pub(super) fn check_max(&self, files: usize) -> io::Result<()> {
        let max = self.files_max;
        if files <= max {
            return Ok(());
        }
        let message = format!("more files than the maximum of {max} (Directory::files_max)");
        Err(io::Error::other(message))
    }

    /// A file that was picked was read, or cannot be.
    pub(super) fn done(&mut self, name: &OsStr) {
        if let Some(picked) = self.picked.get_mut(name) {
            picked.is_pending = false;
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        push_varint(self.floor.map_or(0, |floor| nanos(floor) + 1), out);
        push_varint(self.listed.millis(), out);
        push_varint(self.picked.len() as u64, out);
        for (name, picked) in &self.picked {
            push_bytes(name.as_encoded_bytes(), out);
            push_varint(nanos(picked.modified) << 1 | u64::from(picked.is_pending), out);
        }
    }

    pub(super) fn load(&mut self, from: &mut &[u8]) -> Result<()> {
        self.floor = take_varint(from)?.checked_sub(1).map(Duration::from_nanos);
        self.listed = Time::from_millis(take_varint(from)?);
        for _ in 0..take_varint(from)? {
            let (name, number) = (name_of(take_bytes(from)?), take_varint(from)?);
            let (modified, is_pending) = (Duration::from_nanos(number >> 1), number & 1 == 1);
            let picked = Picked { modified, seen: self.listed, is_pending };
            self.picked.insert(name, picked);
        }
        Ok(())
    }
}

fn since_epoch(time: Time) -> Duration {
    Duration::from_millis(time.millis())
}

/// 63 bits last until 2262; what claims to be later is as good as that.
fn nanos(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX >> 1)
}

/// The name that has these bytes.
#[cfg(unix)]
pub(super) fn name_of(bytes: &[u8]) -> OsString {
    <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes).to_owned()
}

/// Elsewhere a name that is not Unicode is not found again.
#[cfg(not(unix))]
pub(super) fn name_of(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
