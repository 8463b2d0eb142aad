//! Sources: where streams begin. A [`Receiver`] moves bytes from outside into blocks; everything
//! else (threads, blocks, ticks, back-pressure) is the engine's.
//!
//! Invariant: what a receiver reads goes straight into a block and is moved once at most, as the
//! unfinished last line of what was read.

mod carry;
mod connection;
mod counts;
mod descriptors;
mod directory;
mod encoding;
mod files;
mod first_line;
mod follow;
pub(crate) mod form;
mod greeting;
mod holes;
mod identity;
pub(crate) mod intake;
mod line_options;
mod links;
mod listen;
mod listing;
pub(crate) mod log;
mod open_file;
mod own_output;
pub(crate) mod pace;
mod picks;
mod pipe;
mod producers;
pub(crate) mod queue;
pub(crate) mod quoted;
mod read;
mod readiness;
mod receipt;
mod rotation;
mod secret;
mod socket;
pub(crate) mod status;
mod stdin;
mod tail;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod unpack;
mod whole_file;
mod word_ends;
mod writer;

use std::io;
use std::time::Duration;

pub use carry::Carry;
pub use counts::SourceCounts;
pub use directory::Directory;
pub use encoding::Encoding;
pub use files::Files;
pub use first_line::FirstLine;
pub use follow::Follow;
pub use line_options::{BadUtf8, LineOptions, LongLine};
pub use listen::Listen;
pub use log::{IntakeLog, IntakeLogInfo};
pub use queue::QueueHandle;
pub use socket::Socket;
pub use status::SourceState;
pub use stdin::Stdin;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use writer::BlockWriter;

use crate::time::Time;

/// A source of lines: polled, never blocking.
///
/// The engine calls [`receive`](Receiver::receive) on a thread that belongs to the receiver,
/// again and again, with room to write in; between two calls it may cut the batch. A source that
/// can only block wants a thread of its own and a bounded channel that `receive` empties.
///
/// ```
/// use std::time::Duration;
/// use tidemill::prelude::*;
///
/// /// Counts down, one line at each call.
/// struct Countdown(u32);
///
/// impl Receiver for Countdown {
///     fn receive(&mut self, into: &mut BlockWriter) -> std::io::Result<Received> {
///         if self.0 == 0 {
///             return Ok(Received::End);
///         }
///         into.push_line(format!("{} to go", self.0).as_bytes());
///         self.0 -= 1;
///         Ok(Received::More)
///     }
/// }
///
/// let ssc = StreamingContext::builder("countdown").build()?;
/// ssc.receiver_stream(Countdown(3))?.count().print(10);
/// ssc.start()?;
/// ssc.await_termination()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
pub trait Receiver: Send + 'static {
    /// Moves what is there now into the writer, until it is full or nothing is left, and never
    /// waits for more.
    ///
    /// An error ends the source; it surfaces from `await_termination`, and what was received
    /// before it is processed.
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received>;

    /// What the receiver's thread waits on after [`Received::Later`]; without one it sleeps.
    ///
    /// Asked once, before the first `receive`.
    fn waiter(&mut self) -> Option<Box<dyn Waiter>> {
        None
    }

    /// Whether the input has an end that will come without waiting for anybody, as a file's does.
    ///
    /// Such a source is read by the threads that process it, as fast as they can; it never says
    /// [`Received::Later`].
    fn is_bounded(&self) -> bool {
        false
    }

    /// Where the receiver stands: after the last line that it gave, whole or not, so that one that
    /// [resumes](Self::resume) there gives the line after it, and none twice. `None` for sources
    /// that cannot go back and tell nobody how far they have come, such as plain sockets.
    ///
    /// Asked between two calls of `receive`, whenever a batch is cut; it should take little time.
    fn position(&self) -> Option<Vec<u8>> {
        None
    }

    /// Whether a later receiver like this one can [resume](Self::resume) at a position. One that
    /// has positions only to [acknowledge](Self::acknowledge) them to its senders cannot.
    fn can_resume(&self) -> bool {
        self.position().is_some()
    }

    /// Goes to where an earlier receiver like this one [stood](Self::position). Called before the
    /// first `receive`, if at all.
    ///
    /// # Errors
    ///
    /// What keeps it from going there: the start fails with it.
    fn resume(&mut self, _position: &[u8]) -> io::Result<()> {
        Err(io::Error::other("this receiver cannot go back"))
    }

    /// What was received up to this position is safe, so that whoever sent it need not keep it: it
    /// is in the [intake log](crate::IntakeLog), or in all checkpoints that a start may go on
    /// from.
    /// Of a receiver that cannot [resume](Self::can_resume) and has no log it is in the newest
    /// checkpoint; where that is damaged later, a start fails. Called between two calls of
    /// `receive`, from any thread.
    fn acknowledge(&mut self, _position: &[u8]) {}

    /// Saves what the receiver knows of its senders, so that it can tell what one of them sends
    /// again after a restart: all of it, or what has changed since the last call that asked for
    /// that. `None` for a receiver that knows nothing of its senders.
    ///
    /// All of it goes into checkpoints, and the changes into the [intake log](crate::IntakeLog)
    /// with the block that they belong to: asked between two calls of `receive`, when all that was
    /// received is in blocks. For receivers that cannot [resume](Self::can_resume).
    fn save_senders(&mut self, _all: bool) -> Option<Vec<u8>> {
        None
    }

    /// Takes in what an earlier receiver like this one has [saved](Self::save_senders): all of the
    /// checkpoint's, and then each change that the intake log has after it. Called before the first
    /// `receive`.
    ///
    /// # Errors
    ///
    /// What is wrong with what was saved: the source ends with it.
    fn load_senders(&mut self, _saved: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Checks the receiver's settings. Called once, when its stream is made, before all else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the value and the limit, for a setting
    /// that is outside of its range: the stream is then not made.
    fn check(&self) -> crate::error::Result<()> {
        Ok(())
    }

    /// The receiver belongs to a context from now on, whose clock shows this time and whose batches
    /// are so far apart. Called once, before it is read.
    fn attach(&mut self, _now: Time, _interval: Duration) {}

    /// The batch of this time is about to be cut. Returns whether there is more that belongs to
    /// it: `receive` is then called until it says that there is nothing, before the batch is cut.
    ///
    /// For sources that go by the batch's time, as [directories](Directory) do.
    fn tick(&mut self, _time: Time) -> io::Result<bool> {
        Ok(false)
    }

    /// The source's name in messages and in `explain`.
    fn name(&self) -> String {
        "receiver".to_owned()
    }

    /// The name under which its position is in checkpoints, unless its stream is
    /// [named](crate::DStream::named). It stays the same when what is read changes.
    fn saved_name(&self) -> String {
        self.name()
    }
}

/// What a [`Receiver`] has to say after a call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// There may be more at once: call again.
    More,
    /// Nothing now: call again after at most this long, or when the [`Waiter`] returns.
    Later(Duration),
    /// There will never be more.
    End,
}

/// Waits until a receiver may have something, on the receiver's own thread.
pub trait Waiter: Send + 'static {
    /// Returns when there may be something to receive, or after `timeout` at the latest.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;
}
