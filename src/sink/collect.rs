//! Batches into a bounded channel: a full one holds up the batches, but never a stop.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

/// How long is slept at first and at most before a full channel is tried again: short enough that
/// nobody sees it in a batch, long enough that waiting costs no processor time.
const WAIT: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(2));

/// Whether anybody will want more.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    Open,
    /// The other end of the channel is gone.
    Closed,
}

/// Sends a value, and waits while the channel is full; gives up when told to stop.
pub(crate) fn deliver<T>(
    sender: &SyncSender<T>,
    mut value: T,
    is_stopping: impl Fn() -> bool,
) -> Delivered {
    let (mut wait, wait_max) = WAIT;
    loop {
        match sender.try_send(value) {
            Ok(()) => return Delivered::Open,
            Err(TrySendError::Disconnected(_)) => return Delivered::Closed,
            Err(TrySendError::Full(_)) if is_stopping() => return Delivered::Open,
            Err(TrySendError::Full(back)) => value = back,
        }
        std::thread::sleep(wait);
        wait = wait_max.min(wait * 2);
    }
}
