//! The closing summary: what of the input is not in the result as it was.
//!
//! Invariant: the last line on standard error says what the exit code says.

use tidemill::SourceCounts;

use crate::failure::Failure;
use crate::terminal;

/// What is missing in a result, by kind.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    missing: Vec<String>,
}

impl Summary {
    /// The summary of all sources together, with the lines that were cut if the job knows better
    /// than they do. Repaired lines are told at once: nothing of them is missing.
    pub(crate) fn of(counts: &[SourceCounts], lines_cut: Option<u64>, max_line: usize) -> Summary {
        let total = |count: fn(&SourceCounts) -> u64| counts.iter().map(count).sum::<u64>();
        let replaced = total(|counts| counts.lines_replaced);
        if replaced > 0 {
            let lines = counted(replaced, "line");
            terminal::tell(format_args!(
                "{lines} with bad UTF-8: each bad sequence counts as U+FFFD"
            ));
        }
        let mut summary = Summary::default();
        let cut = lines_cut.unwrap_or_else(|| total(|counts| counts.lines_cut));
        let rejected = total(|counts| counts.lines_rejected);
        let unread = total(|counts| counts.files_unread);
        let words_cut = total(|counts| counts.words_cut);
        let at_maximum = format!("cut at the maximum of {max_line} bytes (--max-line)");
        summary.push(cut, "line", &at_maximum);
        summary.push(words_cut, "word", &at_maximum);
        summary.push(rejected, "line", "dropped");
        summary.push(unread, "file", "not read, or not to the end");
        summary.push(total(|counts| counts.connections_refused), "sender", "refused");
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

/// A number of things: `1 line`, `2 lines`.
fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
