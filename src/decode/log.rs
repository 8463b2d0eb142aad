//! What decoders came upon: counts, and samples of what was rejected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::{Reason, Reject, Rejects};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Columns, TextColumn};

/// Rejects that are kept of each reason.
const SAMPLES_MAX: usize = 3;

/// Bytes of a line that are kept in a sample, and shown in an error.
const SAMPLE_BYTES_MAX: usize = 200;

/// What a decoder has come upon since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Lines that became rows.
    pub rows: u64,
    /// Lines that were skipped: headers, and blank ones.
    pub skipped: u64,
    /// Lines that were rejected, the most frequent reason first.
    pub rejected: Vec<RejectCount>,
}

/// Lines that were rejected for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectCount {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub lines: u64,
    /// Three of them at most, their lines cut to 200 bytes.
    pub samples: Vec<Reject>,
}

/// Where the threads that decode write what they come upon.
#[derive(Default)]
pub(crate) struct DecodeLog {
    pub(crate) fails_on_reject: AtomicBool,
    rows: AtomicU64,
    skipped: AtomicU64,
    /// By reason, in the order of their declaration.
    rejected: Mutex<BTreeMap<usize, RejectCount>>,
}

impl DecodeLog {
    /// Adds lines that became rows.
    pub(crate) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Adds a chunk's rejects; fails if there are any where there may be none.
    pub(crate) fn add_rejects(&self, lines: &TextColumn, rejects: &Rejects) -> Result<()> {
        self.skipped.fetch_add(rejects.skipped() as u64, Ordering::Relaxed);
        let mut counts = self.lock();
        for (row, field, reason) in rejects.iter() {
            let count = counts.entry(reason as usize).or_insert_with(|| RejectCount {
                reason,
                lines: 0,
                samples: Vec::new(),
            });
            count.lines += 1;
            if count.samples.len() < SAMPLES_MAX {
                let line = cut(lines.get(row)).to_owned();
                let (field, reason) = (field.to_owned(), reason.to_string());
                count.samples.push(Reject { line, field, reason });
            }
        }
        match rejects.iter().next() {
            Some((row, field, reason)) if self.fails_on_reject.load(Ordering::Relaxed) => {
                let field = if field.is_empty() { "" } else { &format!("field {field}: ") };
                let message = format!("{field}{reason}, in line {:?}", cut(lines.get(row)));
                Err(Error::new(ErrorKind::Decode, message))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn counts(&self) -> DecodeCounts {
        let mut rejected: Vec<RejectCount> = self.lock().values().cloned().collect();
        rejected.sort_by_key(|count| std::cmp::Reverse(count.lines));
        DecodeCounts {
            rows: self.rows.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            rejected,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, RejectCount>> {
        self.rejected.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The first bytes of a line, without half a character at the end.
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(SAMPLE_BYTES_MAX)]
}
