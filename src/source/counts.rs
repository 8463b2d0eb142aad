//! Counts of what a source has taken in and could not take as it was: as its writer keeps them, and
//! as they are given out.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a source has taken in so far, and what it could not take as it was.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Bytes that were read.
    pub bytes: u64,
    /// Lines in which bad UTF-8 was replaced.
    pub lines_replaced: u64,
    /// Lines that were cut at the maximum.
    pub lines_cut: u64,
    /// Words that were cut at the maximum, where lines are cut between words.
    pub words_cut: u64,
    /// Lines that were dropped, for either reason, and records of another length than theirs.
    pub lines_rejected: u64,
    /// Files that could not be read, or not to their ends, or of which something came too late.
    pub files_unread: u64,
    /// Files that were counted as [unread](Self::files_unread), perhaps by an earlier process, and
    /// could be read to their ends after all.
    pub files_recovered: u64,
    /// Names and directories that cannot be read now, and are tried again: those that are there,
    /// without the permission, say.
    pub paths_unreadable: u64,
    /// Symbolic links in a directory that are there now and are not
    /// [followed](crate::Directory::follow_links).
    pub links_skipped: u64,
    /// Connections that a server ended at once: beyond its maximum or the process's descriptors, or
    /// with a greeting that it does not take.
    pub connections_refused: u64,
    /// Connections that broke, of a server's clients or a client's own: an unfinished line is lost.
    pub connections_broken: u64,
}

/// The same while a writer counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) bytes: AtomicU64,
    pub(super) lines_replaced: AtomicU64,
    pub(super) lines_cut: AtomicU64,
    pub(super) words_cut: AtomicU64,
    pub(super) lines_rejected: AtomicU64,
    pub(super) files_unread: AtomicU64,
    pub(super) files_recovered: AtomicU64,
    pub(super) paths_unreadable: AtomicU64,
    pub(super) links_skipped: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    pub(super) connections_broken: AtomicU64,
}

impl Counters {
    pub(crate) fn get(&self) -> SourceCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SourceCounts {
            bytes: read(&self.bytes),
            lines_replaced: read(&self.lines_replaced),
            lines_cut: read(&self.lines_cut),
            words_cut: read(&self.words_cut),
            lines_rejected: read(&self.lines_rejected),
            files_unread: read(&self.files_unread),
            files_recovered: read(&self.files_recovered),
            paths_unreadable: read(&self.paths_unreadable),
            links_skipped: read(&self.links_skipped),
            connections_refused: read(&self.connections_refused),
            connections_broken: read(&self.connections_broken),
        }
    }
}
