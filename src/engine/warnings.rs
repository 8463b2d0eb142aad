//! Warnings on standard error, for programs that have set up no `tracing` subscriber: what loses or
//! delays data is said there, and not to nobody.
//!
//! It is a subscriber for single threads, those of the engine, and only where there is no other one
//! when they start: so nothing is told twice, and other crates' events are not its business.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::dispatcher::{self, DefaultGuard, Dispatch};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Event, Level, Metadata, Subscriber};

use super::clock::Clock;
use crate::sink::escaped;

/// One that differs in its details only, such as a number, is told again after this at the
/// earliest.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Lines in any [`TELL_EVERY`]: trouble of a thousand sources is one trouble.
const LINES_MAX: u32 = 50;

/// Warnings that are remembered, so as not to be told again.
const REMEMBERED_MAX: usize = 1_024;

/// Warnings of a context to standard error, unless it wants none.
#[derive(Clone)]
pub(super) struct Warnings {
    /// A panic leaves nothing in it half done.
    dispatch: Option<Arc<AssertUnwindSafe<Dispatch>>>,
}

impl Warnings {
    pub(super) fn new(are_wanted: bool, clock: &Clock) -> Warnings {
        let told = Mutex::default();
        let to_stderr = || {
            let to_stderr = ToStderr { clock: clock.clone(), told };
            Arc::new(AssertUnwindSafe(Dispatch::new(to_stderr)))
        };
        Warnings { dispatch: are_wanted.then(to_stderr) }
    }

    /// From here on to the guard's drop this thread's warnings are told, if nobody else hears them.
    pub(super) fn on_this_thread(&self) -> Option<DefaultGuard> {
        let is_heard = dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>());
        self.dispatch.as_ref().filter(|_| !is_heard).map(|own| dispatcher::set_default(own))
    }

    /// The same for as long as the thread runs.
    pub(super) fn keep_on_this_thread(&self) {
        KEPT.set(self.on_this_thread());
    }
}

thread_local! {
    /// The guard of a thread that is the pool's and not ours to wrap.
    static KEPT: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

struct ToStderr {
    clock: Clock,
    told: Mutex<Told>,
}

/// What was told already.
#[derive(Default)]
struct Told {
    /// By what they are about: their last line, and when that was told.
    lines: BTreeMap<String, (String, Duration)>,
    /// Lines since then.
    count: u32,
    since: Duration,
}

impl Told {
    /// Whether a line is to be told now.
    fn is_new(&mut self, about: String, line: &str, now: Duration) -> bool {
        if let Some((last, at)) = self.lines.get(&about)
            && (last == line || now < *at + TELL_EVERY)
        {
            return false;
        }
        if now >= self.since + TELL_EVERY {
            (self.since, self.count) = (now, 0);
        }
        if self.count >= LINES_MAX {
            return false;
        }
        self.count += 1;
        if self.lines.len() >= REMEMBERED_MAX {
            self.lines.clear();
        }
        self.lines.insert(about, (line.to_owned(), now));
        true
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    metadata.is_event()
        && *metadata.level() <= Level::WARN
        && (target == "tidemill" || target.starts_with("tidemill::"))
}

impl Subscriber for ToStderr {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, about, details } = line;
        let about = format!("{message}{about}");
        let text = format!("{about}{details}");
        let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if told.is_new(about, &text, self.clock.exact()) {
            // One write, so that it stays in one piece. Who cannot be told is not told. File names
            // and what peers send are in it.
            let text = escaped(&text);
            let _ = io::stderr().write_all(format!("tidemill: {text}\n").as_bytes());
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as a line: its message, what it is about, and then what may differ the next time.
#[derive(Default)]
struct Line {
    message: String,
    about: String,
    details: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Each attempt would make a new line.
            "failures" => Ok(()),
            name @ ("address" | "source" | "path" | "peer" | "name") => {
                write!(self.about, ", {name} {value:?}")
            }
            "error" => write!(self.details, ": {value:?}"),
            name => write!(self.details, ", {name} {value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_numbers_only_is_told_now_and_then() {
        let second = Duration::from_secs(1);
        let mut told = Told::default();
        let mut tell = |about: &str, line: &str, at: u32| {
            told.is_new(about.to_owned(), line, 100 * second + at * second)
        };
        assert!(tell("slow", "slow: 1", 0));
        assert!(!tell("slow", "slow: 2", 9) && tell("slow", "slow: 3", 10));
        // The same again is told once.
        assert!(tell("gone", "gone", 11) && !tell("gone", "gone", 1_000));
        let lines = (0..1_000).filter(|n| tell(&n.to_string(), "another", 2_000)).count();
        assert_eq!(lines, LINES_MAX as usize);
        assert!(tell("last", "last", 2_010));
    }

    /// A process may have any number of contexts, one after the other.
    #[test]
    fn a_context_that_is_gone_has_left_nothing_behind() {
        let mut t = crate::TestContext::new().unwrap();
        let numbers = t.input::<i64>();
        numbers.stream().foreach_batch(|_, _| Ok(()));
        t.tick().unwrap();
        let own = t.context().control().warnings.dispatch.clone();
        let left = own.as_ref().map(Arc::downgrade).expect("warnings are wanted");
        drop((own, numbers, t));
        // Its threads may still be about to end.
        let ends = (0..10_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            left.strong_count() == 0
        });
        assert!(ends, "{} hold what a context has", left.strong_count());
    }
}
