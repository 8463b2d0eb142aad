//! A stop by SIGTERM or SIGINT: what was received is processed first.
//!
//! Nothing runs inside of the signal's handler but a write to a pipe; a thread reads it.

use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::context::{ContextState, StreamingContext};
use super::control::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::ignored_signals;

/// How long a signal may wait until it is looked at.
const LOOK: Duration = Duration::from_millis(20);

impl StreamingContext {
    /// From here on SIGTERM and SIGINT (Ctrl-C) stop the context: the first one gracefully, so
    /// that what was received is processed, and a second one at once.
    ///
    /// The program goes on after [`await_termination`](Self::await_termination) and ends as it
    /// likes. These signals do not end the process any more, not even after the context has
    /// stopped. Each context of a process that calls this stops. A signal that is sent twice
    /// within 20 ms may count once.
    ///
    /// A signal that is ignored at this call stays ignored, as with `nohup`, for a process that a
    /// shell script runs in the background, or after `trap '' INT`; on Linux, where that is known.
    ///
    /// ```
    /// use tidemill::prelude::*;
    ///
    /// let ssc = StreamingContext::builder("polite").build()?;
    /// ssc.stop_gracefully_on_signals()?;
    /// # ssc.stop();
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`] if the system refuses the handlers or the thread that waits for them.
    #[doc(alias = "stopGracefullyOnShutdown")]
    pub fn stop_gracefully_on_signals(&self) -> Result<()> {
        let ignored = ignored_signals();
        let mut wanted = vec![SIGINT, SIGTERM];
        wanted.retain(|signal| ignored & 1 << (signal - 1) == 0);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut signals = Signals::new(wanted).map_err(|error| {
            Error::caused(ErrorKind::State, "cannot handle SIGTERM and SIGINT", error)
        })?;
        let (context, control) = (self.weak(), self.shared_control());
        let watch = move || {
            let mut is_stopping = false;
            while !control.is_over_within(LOOK) {
                for signal in signals.pending() {
                    let stop = if is_stopping { Stop::Now } else { Stop::Gracefully };
                    tracing::info!(signal, ?stop, "a signal stops the context");
                    is_stopping = true;
                    match context() {
                        Some(context) => {
                            context.begin_stop(stop);
                        }
                        // The program has let go of it, but its threads go on.
                        None => control.stop(stop),
                    }
                }
                // It will never start, and so never stop.
                if control.context_state() == ContextState::Initialized && context().is_none() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".into());
        thread.spawn(watch).map(drop).map_err(|error| {
            Error::caused(ErrorKind::State, "cannot start the thread \"signals\"", error)
        })
    }
}
