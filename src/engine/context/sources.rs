//! Where a context's streams begin: receivers of lines and records, and queues.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Shared, StreamingContext};
use crate::dstream::DStream;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Input, Kind, Node};
use crate::record::Record;
use crate::record::batch::detach;
use crate::source::form::Form;
use crate::source::intake::Intake;
use crate::source::queue::{Queue, QueueHandle, Take};
use crate::source::quoted::Quoted;
use crate::source::{Directory, LineOptions, Receiver, Socket};

impl StreamingContext {
    /// A stream of the lines that a server sends: connects to `"host:port"`, and connects again
    /// after 2 s when the peer closes or refuses.
    #[doc(alias = "socketTextStream")]
    pub fn socket_text_stream(&self, address: &str) -> Result<DStream<String>> {
        self.receiver_stream(Socket::connect(address)?)
    }

    /// A stream of the lines that any receiver takes in: sockets, files, or one of your own.
    #[doc(alias = "receiverStream")]
    pub fn receiver_stream(&self, receiver: impl Receiver) -> Result<DStream<String>> {
        self.text_stream(receiver, LineOptions::default())
    }

    /// As [`receiver_stream`](Self::receiver_stream), and says what happens to lines that are too
    /// long or not UTF-8, and whether a field in quotes may hold line ends.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the separator of [quoted](LineOptions::quoted) fields is not ASCII,
    /// a quote, or part of a line end.
    pub fn text_stream(
        &self,
        receiver: impl Receiver,
        options: LineOptions,
    ) -> Result<DStream<String>> {
        let form = match options.quoted {
            None => Form::Text,
            Some(separator) => {
                if !separator.is_ascii() || matches!(separator, b'"' | b'\n' | b'\r') {
                    let message = format!(
                        "the separator of quoted fields is byte {separator}, but must be ASCII (0 \
                         to 127), no quote and no part of a line end"
                    );
                    return Err(Error::new(ErrorKind::Config, message));
                }
                let record_bytes_max = self.shared.limits.line_bytes;
                Form::Quoted(Quoted { separator, record_bytes_max })
            }
        };
        self.add_intake(Box::new(receiver), options, form)
    }

    /// A stream of lines as bytes: nobody checks whether they are text.
    pub fn byte_stream(
        &self,
        receiver: impl Receiver,
        options: LineOptions,
    ) -> Result<DStream<Vec<u8>>> {
        if options.quoted.is_some() {
            let message = "fields in quotes are for streams of text, not of bytes";
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.add_intake(Box::new(receiver), options, Form::Bytes)
    }

    /// A stream of records of so many bytes each, with nothing between two: any byte may be in
    /// them.
    ///
    /// What an input ends with and is no whole record is dropped, counted as
    /// [rejected](crate::SourceCounts::lines_rejected), and an error that surfaces from
    /// [`await_termination`](Self::await_termination) while the stream goes on.
    ///
    /// ```
    /// use tidemill::Files;
    /// use tidemill::prelude::*;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("samples");
    /// std::fs::write(&path, [1, 0, b'\n', 0, 255, 1])?;
    ///
    /// let ssc = StreamingContext::builder("samples").build()?;
    /// let records = ssc.record_stream(Files::open([path])?, 2)?;
    /// let numbers = records.map(|bytes| i64::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    /// let numbers = numbers.collect(16);
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// assert!(numbers.iter().flat_map(|(_, numbers)| numbers).eq([1, 10, 511]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the length is 0, or more than
    /// [`Limits::line_bytes`](crate::Limits::line_bytes).
    pub fn record_stream(
        &self,
        receiver: impl Receiver,
        record_bytes: usize,
    ) -> Result<DStream<Vec<u8>>> {
        let max = self.shared.limits.line_bytes;
        if !(1..=max).contains(&record_bytes) {
            let message = format!(
                "the length of records is {record_bytes}, but must be between 1 and {max} \
                 (Limits::line_bytes)"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let form = Form::Records(record_bytes);
        self.add_intake(Box::new(receiver), LineOptions::default(), form)
    }

    /// A stream of the lines of files that come to a directory, each read once and whole:
    /// [`Directory`] says which, and when.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use tidemill::prelude::*;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let mut t = TestContext::new()?;
    /// let lines = t.output(&t.context().text_file_stream(directory)?);
    ///
    /// let path = directory.join("first.log");
    /// std::fs::write(&path, "one\ntwo")?;
    /// // A test's clock starts in 1970.
    /// let modified = UNIX_EPOCH + Duration::from_millis(500);
    /// std::fs::File::options().write(true).open(&path)?.set_modified(modified)?;
    /// t.tick()?;
    /// assert_eq!(lines.take(), ["one", "two"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path, if there is no such directory.
    #[doc(alias = "textFileStream")]
    #[doc(alias = "fileStream")]
    pub fn text_file_stream(&self, directory: impl Into<PathBuf>) -> Result<DStream<String>> {
        self.receiver_stream(Directory::new(directory)?)
    }

    /// A [stream of records](Self::record_stream) of files that come to a directory, each read
    /// once and whole: [`Directory`] says which, and when.
    ///
    /// # Errors
    ///
    /// Those of [`record_stream`](Self::record_stream), and [`ErrorKind::Source`], with the path,
    /// if there is no such directory.
    #[doc(alias = "binaryRecordsStream")]
    pub fn binary_records_stream(
        &self,
        directory: impl Into<PathBuf>,
        record_bytes: usize,
    ) -> Result<DStream<Vec<u8>>> {
        self.record_stream(Directory::new(directory)?, record_bytes)
    }

    /// A stream of batches that the program pushes itself, one for each interval.
    #[doc(alias = "queueStream")]
    pub fn queue_stream<T: Record>(&self) -> Result<(DStream<T>, QueueHandle<T>)> {
        self.add_queue(Take::One)
    }

    /// A stream of batches that the program pushes itself, where each interval has all that were
    /// pushed until then as one batch, in their order; an empty one when there were none.
    ///
    /// ```
    /// # use tidemill::prelude::*;
    /// # let mut t = TestContext::new()?;
    /// let (numbers, queue) = t.context().queue_stream_all::<i64>()?;
    /// let counts = t.output(&numbers.count());
    /// queue.push([1i64, 2])?;
    /// queue.push([3i64])?;
    /// t.tick()?;
    /// assert_eq!(counts.take(), [3]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    #[doc(alias = "queueStream")]
    #[doc(alias = "oneAtATime")]
    pub fn queue_stream_all<T: Record>(&self) -> Result<(DStream<T>, QueueHandle<T>)> {
        self.add_queue(Take::All)
    }

    pub(in crate::engine) fn add_queue<T: Record>(
        &self,
        take: Take,
    ) -> Result<(DStream<T>, QueueHandle<T>)> {
        self.check_building("add a source")?;
        let (queue, handle) = Queue::new(&self.shared.limits, self.charge_memory("a queue"), take);
        let node = self.building().graph.add(source::<T>("queue".to_owned(), Input::Queue(queue)));
        Ok((DStream::new(self.clone(), node), handle))
    }

    fn add_intake<T: Record>(
        &self,
        mut receiver: Box<dyn Receiver>,
        options: LineOptions,
        form: Form,
    ) -> Result<DStream<T>> {
        self.check_building("add a source")?;
        receiver.check().map_err(|error| error.within(&format!("source {}", receiver.name())))?;
        receiver.attach(self.shared.clock.now(), self.shared.interval);
        let Shared { limits, memory, .. } = &*self.shared;
        let intake = Arc::new(Intake::new(receiver, options, form, limits, memory));
        let mut building = self.building();
        building.intakes.push(intake.clone());
        let name = intake.name().to_owned();
        let node = building.graph.add(source::<T>(name, Input::Lines(intake)));
        drop(building);
        Ok(DStream::new(self.clone(), node))
    }
}

/// A stream that comes from outside.
fn source<T: Record>(name: String, input: Input) -> Node {
    let (parents, kind, detach) = (Vec::new(), Kind::Source(input), detach::<T>);
    Node::new(name, parents, kind, NonZeroU64::MIN, detach)
}
