//! A source that can go back: lines by the batch that they belong to, and given again after a
//! restart from where it stood.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::Time;
use tidemill::prelude::*;

/// Lines for each batch; the program may add more while it runs. Clones are the same source.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    batches: Arc<Mutex<Vec<Vec<String>>>>,
    acknowledged: Arc<Mutex<usize>>,
}

/// Gives a tape's batches, one at each tick, and none twice.
pub(crate) struct Player {
    tape: Tape,
    /// The batch whose lines come next.
    next: usize,
    /// Batches that are due.
    due: usize,
}

impl Tape {
    pub(crate) fn new<L: Into<String>>(
        batches: impl IntoIterator<Item = impl IntoIterator<Item = L>>,
    ) -> Tape {
        let tape = Tape::default();
        batches.into_iter().for_each(|batch| tape.push(batch));
        tape
    }

    pub(crate) fn push<L: Into<String>>(&self, batch: impl IntoIterator<Item = L>) {
        self.batches.lock().unwrap().push(batch.into_iter().map(Into::into).collect());
    }

    /// A source of all batches, from the first on.
    pub(crate) fn player(&self) -> Player {
        Player { tape: self.clone(), next: 0, due: 0 }
    }

    /// How many batches a checkpoint has.
    pub(crate) fn acknowledged(&self) -> usize {
        *self.acknowledged.lock().unwrap()
    }
}

impl Receiver for Player {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let batches = self.tape.batches.lock().unwrap();
        while self.next < self.due {
            if into.is_full() {
                return Ok(Received::More);
            }
            for line in batches.get(self.next).into_iter().flatten() {
                into.push_line(line.as_bytes());
            }
            self.next += 1;
        }
        Ok(Received::Later(Duration::from_secs(1)))
    }

    fn tick(&mut self, _time: Time) -> io::Result<bool> {
        self.due = self.next + 1;
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some((self.next as u64).to_le_bytes().to_vec())
    }

    fn resume(&mut self, position: &[u8]) -> io::Result<()> {
        let position = position.try_into().map_err(io::Error::other)?;
        self.next = u64::from_le_bytes(position) as usize;
        self.due = self.next;
        Ok(())
    }

    fn acknowledge(&mut self, position: &[u8]) {
        let position = position.try_into().unwrap();
        *self.tape.acknowledged.lock().unwrap() = u64::from_le_bytes(position) as usize;
    }

    fn name(&self) -> String {
        "tape".to_owned()
    }
}
