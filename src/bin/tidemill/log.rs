//! What the engine's sources come upon, on standard error: a server that is not there, a
//! connection that broke.
//!
//! Errors are not logged: they end the command, and are its last words.

use std::fmt::{self, Write};
use std::io::{self, IsTerminal};
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::failure::plain;
use crate::terminal;

/// Tells of warnings, and to somebody who watches also of good news.
struct Log {
    level_max: LevelFilter,
    /// The last message: a server that stays away is worth one line, not one for each attempt.
    last: Mutex<String>,
}

/// From here on the engine's warnings are told.
pub(crate) fn install() {
    let is_watched = io::stderr().is_terminal();
    let level_max = if is_watched { LevelFilter::INFO } else { LevelFilter::WARN };
    // It fails if there is a log already, and there is only this.
    let _ = tracing::subscriber::set_global_default(Log { level_max, last: Mutex::default() });
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() != Level::ERROR && *metadata.level() <= self.level_max
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level_max)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let line = plain(&format!("{}{}{}", line.address, line.message, line.details));
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if *last != line {
            terminal::tell(&line);
            *last = line;
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

/// An event as a line: whose it is, its message, then what it says besides.
#[derive(Default)]
struct Line {
    address: String,
    message: String,
    details: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail. Counts of attempts would make each line a new one.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "address" | "peer" => write!(self.address, "{value:?}: "),
            "failures" => Ok(()),
            "error" | "path" => write!(self.details, ": {value:?}"),
            name => write!(self.details, ", {name} {value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "address" => write!(self.address, "{value}: "),
            name => write!(self.details, ", {name} {value}"),
        };
    }
}
