//! Lines with numbers, as many at each tick as the simulation says, and again from where it stood.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::record::saved::{push_varint, take_varint};
use crate::source::{BlockWriter, Received, Receiver};
use crate::time::Time;

/// Keys of the lines.
const KEYS: u64 = 13;

/// A line is `number key`, and the number says the key.
pub(super) fn key_of(number: u64) -> String {
    format!("k{}", number.wrapping_mul(0x9E37_79B9) % KEYS)
}

pub(super) fn number_of(line: &str) -> u64 {
    line.split(' ').next().and_then(|number| number.parse().ok()).expect("a line has a number")
}

/// Where the lines stand after a batch.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The time of the batch, in milliseconds.
    pub(super) time: u64,
    /// The number of the next line.
    pub(super) next: u64,
}

/// What the simulation and the source say to each other.
#[derive(Default)]
pub(super) struct Feed {
    /// Lines that come with the next tick.
    pub(super) per_tick: AtomicU64,
    /// From where it went on, if not from the first line.
    pub(super) resumed: Mutex<Position>,
    /// What was said to be in a checkpoint.
    pub(super) acknowledged: Mutex<Position>,
}

pub(super) struct Numbers {
    position: Position,
    /// The line before which the next batch ends.
    end: u64,
    feed: Arc<Feed>,
}

impl Numbers {
    pub(super) fn new(feed: Arc<Feed>) -> Numbers {
        Numbers { position: Position::default(), end: 0, feed }
    }
}

impl Position {
    fn load(mut bytes: &[u8]) -> crate::error::Result<Position> {
        Ok(Position { time: take_varint(&mut bytes)?, next: take_varint(&mut bytes)? })
    }
}

impl Receiver for Numbers {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while self.position.next < self.end {
            if into.is_full() {
                return Ok(Received::More);
            }
            let number = self.position.next;
            into.push_line(format!("{number} {}", key_of(number)).as_bytes());
            self.position.next += 1;
        }
        Ok(Received::Later(Duration::from_millis(1)))
    }

    fn tick(&mut self, time: Time) -> io::Result<bool> {
        self.position.time = time.millis();
        self.end = self.position.next + self.feed.per_tick.load(Ordering::SeqCst);
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        push_varint(self.position.time, &mut bytes);
        push_varint(self.position.next, &mut bytes);
        Some(bytes)
    }

    fn resume(&mut self, position: &[u8]) -> io::Result<()> {
        self.position = Position::load(position).map_err(io::Error::other)?;
        self.end = self.position.next;
        *self.feed.resumed.lock().unwrap() = self.position;
        Ok(())
    }

    fn acknowledge(&mut self, position: &[u8]) {
        *self.feed.acknowledged.lock().unwrap() = Position::load(position).expect("it is ours");
    }

    fn name(&self) -> String {
        "numbers".to_owned()
    }
}
