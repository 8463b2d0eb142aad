//! A program with a source that can go back and one that cannot, and every kind of state.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemill::prelude::*;
use tidemill::{IntakeLog, Limits, Number, Result, Stats, TextFiles, Time, TransactionalFiles};

const SECOND: Duration = Duration::from_secs(1);

/// Runs some batches, and ends as a crash does: after a checkpoint that is not the last batch.
///
/// # Errors
///
/// Whatever the start or a batch fails with.
pub fn run(directory: &Path, batches: u32) -> Result<()> {
    // The pool's memory is written to at the start: a small one makes many starts a second.
    let limits = Limits { blocks: 2, ..Limits::default() };
    let builder =
        StreamingContext::builder("fuzzed").batch_interval(SECOND).threads(1).limits(limits);
    let mut t = TestContext::with(builder.warnings_to_stderr(false))?;
    t.context().checkpoint(directory.join("checkpoints"), 2);
    t.context().intake_log(IntakeLog::group_commit(SECOND));
    let gone = t.context().receiver_stream(Counter::new("gone"))?;
    let again = t.context().receiver_stream(Counter::new("again"))?;
    states(&t, &gone);
    windows(&t, &again);
    let files = TransactionalFiles::new(TextFiles::new(directory.join("out")));
    gone.save_with("files.v1", files);
    for _ in 0..batches {
        t.tick()?;
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Session {
    words: Vec<String>,
    since: Option<u64>,
}

fn states(t: &TestContext, lines: &DStream<String>) {
    let counts = lines.count_by_value();
    t.output(&counts.update_state_by_key("counts.v1", |counts, total: Option<i64>| {
        Some(total.unwrap_or(0).wrapping_add(counts.iter().fold(0, |a, b| a.wrapping_add(b))))
    }));
    let numbers = lines.map(|line| (line.len() as i64 % 5, line.to_owned()));
    let sessions =
        numbers.update_state_by_key::<Saved<Session>, _>("sessions.v1", |words, kept| {
            let begun = || Session { words: Vec::new(), since: Some(7) };
            let mut session = kept.cloned().unwrap_or_else(begun);
            session.words.extend(words.iter().map(str::to_owned));
            let len = session.words.len();
            session.words.drain(..len.saturating_sub(3));
            Some(Saved(session))
        });
    t.output(&sessions);
}

fn windows(t: &TestContext, lines: &DStream<String>) {
    let pairs = lines.map(|line| (line[..1].to_owned(), line.len() as i64));
    t.output(&lines.window(3 * SECOND, SECOND));
    t.output(&lines.count_by_window(2 * SECOND, SECOND));
    t.output(&lines.count_by_value_and_window(4 * SECOND, 2 * SECOND));
    let (add, less) = (|a: i64, b: i64| a.wrapping_add(b), |a: i64, b: i64| a.wrapping_sub(b));
    let sums = pairs.reduce_by_key_and_window_with_inverse(add, less, 3 * SECOND, SECOND);
    t.output(&sums.keep_empty_keys().named("sums.v1"));
    let floats = pairs.map_values(|value| value as f64 / 7.0);
    t.output(&floats.aggregate_by_key_and_window((Sum, Variance), 3 * SECOND, SECOND));
    let numbers = pairs.map_values(|value| Number::decimal(value, 2));
    t.output(&numbers.aggregate_by_key_and_window(Stats, 3 * SECOND, SECOND));
    let tops = (TopK(2), DistinctCount::new(), Last);
    t.output(&pairs.aggregate_by_key_and_window(tops, 4 * SECOND, SECOND));
    t.output(&pairs.group_by_key_and_window(2 * SECOND, 2 * SECOND));
}

/// Three lines at each tick; one of this name is known by it, and `gone` cannot go back.
struct Counter {
    name: &'static str,
    next: u64,
    due: u64,
}

impl Counter {
    fn new(name: &'static str) -> Counter {
        Counter { name, next: 0, due: 0 }
    }
}

impl Receiver for Counter {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while self.next < self.due {
            if into.is_full() {
                return Ok(Received::More);
            }
            into.push_line(format!("{}{}", self.name, self.next % 11).as_bytes());
            self.next += 1;
        }
        Ok(Received::Later(SECOND))
    }

    fn tick(&mut self, _: Time) -> io::Result<bool> {
        self.due = self.next.saturating_add(3);
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some(self.next.to_le_bytes().to_vec())
    }

    fn can_resume(&self) -> bool {
        self.name != "gone"
    }

    fn resume(&mut self, position: &[u8]) -> io::Result<()> {
        let position = position.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        self.next = u64::from_le_bytes(position);
        Ok(())
    }

    fn name(&self) -> String {
        self.name.to_owned()
    }
}
