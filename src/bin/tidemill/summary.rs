//! The closing summary: what of the input is not in the result as it was.
//!
//! Invariant: the last line on standard error says what the exit code says.

use std::path::PathBuf;

use tidemill::SourceCounts;

use crate::failure::Failure;
use crate::missing::Counts;
use crate::terminal;

/// What is missing in a result.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    missing: Vec<String>,
}

/// What all sources together could not take as it was, by kind, with the lines that were cut if the
/// job knows better than they do.
pub(crate) fn missing(counts: &[SourceCounts], lines_cut: Option<u64>, max_line: usize) -> Counts {
    let total = |count: fn(&SourceCounts) -> u64| signed(total(counts, count));
    let at_maximum = format!("cut at the maximum of {max_line} bytes (--max-line)");
    let cut = lines_cut.map_or_else(|| total(|counts| counts.lines_cut), signed);
    let unread = total(|counts| counts.files_unread) - total(|counts| counts.files_recovered);
    Counts::from([
        (format!("line {at_maximum}"), cut),
        (format!("word {at_maximum}"), total(|counts| counts.words_cut)),
        ("line dropped".to_owned(), total(|counts| counts.lines_rejected)),
        ("file not read, or not to the end".to_owned(), unread),
        ("sender refused".to_owned(), total(|counts| counts.connections_refused)),
    ])
}

impl Summary {
    /// The summary of what is missing, and of what the sources cannot read by now. Repaired lines
    /// are told at once, and links that nobody asked for: nothing of them is missing.
    pub(crate) fn of(
        missing: &Counts,
        counts: &[SourceCounts],
        unreadable: impl Iterator<Item = PathBuf>,
    ) -> Summary {
        let replaced = total(counts, |counts| counts.lines_replaced);
        if replaced > 0 {
            let lines = counted(replaced, "line");
            terminal::tell(format_args!(
                "{lines} with bad UTF-8: each bad sequence counts as U+FFFD"
            ));
        }
        let links = total(counts, |counts| counts.links_skipped);
        if links > 0 {
            let (links, were) =
                (counted(links, "symbolic link"), if links == 1 { "was" } else { "were" });
            terminal::tell(format_args!("{links} {were} not followed (--follow-links)"));
        }
        let mut summary = Summary::default();
        for (kind, count) in missing {
            let (noun, what) = kind.split_once(' ').unwrap_or((kind, ""));
            summary.push(u64::try_from(*count).unwrap_or(0), noun, what);
        }
        for path in unreadable {
            let path = path.display();
            terminal::tell(format_args!("it cannot be read, and is not in the result: {path}"));
        }
        summary.push(
            total(counts, |counts| counts.paths_unreadable),
            "path",
            "that cannot be read",
        );
        summary
    }

    /// Adds what the job itself found missing.
    pub(crate) fn add(&mut self, missing: Option<String>) {
        self.missing.extend(missing);
    }

    fn push(&mut self, count: u64, noun: &str, what: &str) {
        if count > 0 {
            self.missing.push(format!("{} {what}", counted(count, noun)));
        }
    }

    /// The end of the job. A failure has the last word, and the summary comes before it.
    pub(crate) fn close(self, ended: Result<(), Failure>) -> Result<(), Failure> {
        if self.missing.is_empty() {
            return ended;
        }
        let message = format!("the result is not whole: {}", self.missing.join("; "));
        match ended {
            Ok(()) => Err(Failure::NotWhole(message)),
            Err(failure) => {
                terminal::tell(message);
                Err(failure)
            }
        }
    }
}

/// A count as one that may go down.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn total(counts: &[SourceCounts], count: fn(&SourceCounts) -> u64) -> u64 {
    counts.iter().map(count).sum()
}

/// A number of things: `1 line`, `2 lines`.
fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
