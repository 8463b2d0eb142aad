//! Lines with numbers, as many at each tick as the simulation says, and again from where it stood.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::source::{BlockWriter, Received, Receiver};
use crate::time::Time;

/// Keys of the lines.
pub(super) const KEYS: u64 = 13;

/// A line is `number key`, and the number says the key.
pub(super) fn key_of(number: u64) -> String {
    format!("k{}", number.wrapping_mul(0x9E37_79B9) % KEYS)
}

pub(super) struct Numbers {
    /// The number of the next line.
    next: u64,
    /// The line before which the next batch ends.
    end: u64,
    per_tick: Arc<AtomicU64>,
}

impl Numbers {
    pub(super) fn new(per_tick: Arc<AtomicU64>) -> Numbers {
        Numbers { next: 0, end: 0, per_tick }
    }
}

impl Receiver for Numbers {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        while self.next < self.end {
            if into.is_full() {
                return Ok(Received::More);
            }
            into.push_line(format!("{} {}", self.next, key_of(self.next)).as_bytes());
            self.next += 1;
        }
        Ok(Received::Later(Duration::from_secs(1)))
    }

    fn tick(&mut self, _time: Time) -> io::Result<bool> {
        self.end = self.next + self.per_tick.load(Ordering::SeqCst);
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some(self.next.to_le_bytes().to_vec())
    }

    fn resume(&mut self, position: &[u8]) -> io::Result<()> {
        self.next = u64::from_le_bytes(position.try_into().map_err(io::Error::other)?);
        self.end = self.next;
        Ok(())
    }

    fn name(&self) -> String {
        "numbers".to_owned()
    }
}
