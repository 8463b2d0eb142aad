//! Lines to typed rows.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::DStream;
use crate::decode::{DecodeCounts, DecodeLog, Decoder, Reject};
use crate::ops::{Accepted, Decode, Decoded, Rejected};
use crate::record::Record;

/// A stream of rows that lines were decoded into, and of those lines that are none.
///
/// It is a [`DStream`] of the rows in all else.
pub struct DecodedStream<R: Record> {
    rows: DStream<R>,
    decoded: DStream<Decoded<R>>,
    log: Arc<DecodeLog>,
}

impl<R: Record> DecodedStream<R> {
    /// The lines that are no rows, each with the reason.
    ///
    /// Whether anybody asks for them or not, they are counted: see [`counts`](Self::counts).
    pub fn rejects(&self) -> DStream<Reject> {
        self.decoded.narrow("rejects", Rejected::<R>(PhantomData))
    }

    /// Fails the batch of a line that is no row. It holds for all who use this stream.
    #[must_use]
    pub fn fail_on_reject(self) -> DecodedStream<R> {
        self.rows.context.check_misuse("make a stream fail on rejects");
        self.log.fails_on_reject.store(true, Ordering::Relaxed);
        self
    }

    /// What the decoder has come upon since the start: rows, and lines that were rejected, by
    /// reason and with samples. It counts lines as they are decoded, those of batches that fail
    /// too.
    pub fn counts(&self) -> DecodeCounts {
        self.log.counts()
    }
}

impl<R: Record> Deref for DecodedStream<R> {
    type Target = DStream<R>;

    fn deref(&self) -> &DStream<R> {
        &self.rows
    }
}

impl<R: Record> Clone for DecodedStream<R> {
    fn clone(&self) -> Self {
        let DecodedStream { rows, decoded, log } = self;
        DecodedStream { rows: rows.clone(), decoded: decoded.clone(), log: log.clone() }
    }
}

impl<R: Record> fmt::Debug for DecodedStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.rows, f)
    }
}

impl DStream<String> {
    /// Each line as a row of a record, by a format: [`Delimited`](crate::Delimited) text,
    /// [`Csv`](crate::Csv) with quotes, `JsonLines`, [`KeyValue`](crate::KeyValue) logs, a
    /// `Pattern`, or a [`Decoder`] of your own.
    ///
    /// A line that is no row is never dropped in silence: it is counted, with a sample, and goes
    /// to [`rejects`](DecodedStream::rejects), or fails its batch if the program asks for that by
    /// [`fail_on_reject`](DecodedStream::fail_on_reject).
    ///
    /// A blank line, with nothing but ASCII white space in it, is no fault: where it is no row of
    /// `R` either, the formats that are here skip it. An empty line is a row of one text or one
    /// `Option`, and `"\t\t"` one of three texts between tabs.
    ///
    /// A line of about [`Limits::line_bytes`](crate::Limits::line_bytes) may be one that its source
    /// has cut, and is rejected rather than read.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// # let input = t.input::<String>();
    /// # let lines = input.stream();
    /// // By position, as members of a tuple; by name, as fields of a struct.
    /// let readings = lines.decode::<(String, f64)>(Delimited::new(b';'));
    /// let means = readings.aggregate_by_key(Mean);
    /// # let means = t.output(&means);
    /// # input.push(["a;1", "a;2", "a"])?;
    /// # t.tick()?;
    /// # assert_eq!(means.take(), [("a".to_owned(), 1.5)]);
    /// let counts = readings.counts();
    /// assert_eq!((counts.rows, counts.rejected[0].lines), (2, 1));
    /// assert_eq!(counts.rejected[0].samples[0].line, "a");
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn decode<R: Record>(&self, decoder: impl Decoder<R>) -> DecodedStream<R> {
        let name = format!("decode {}", decoder.name());
        if let Err(error) = decoder.check() {
            self.context.misused(error.within(&name));
        }
        let log = Arc::new(DecodeLog::default());
        let line_bytes_max = self.context.limits().line_bytes;
        let decode = Decode::new(decoder, log.clone(), line_bytes_max);
        let decoded: DStream<Decoded<R>> = self.narrow(name, decode);
        let rows = decoded.narrow("rows", Accepted::<R>(PhantomData));
        DecodedStream { rows, decoded, log }
    }
}
