//! Files as they were before they were compressed: opened by what they hold, whatever their names.
//!
//! A compressed file is unpacked on a thread of its own, so that it costs those who count no time.
//! Invariant: what came before the damage in an archive is given, then one error says what is
//! wrong, and the end comes after that. A thread that dies is an error, never an end.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::links::Links;
#[cfg(test)]
use super::open_file::faults::{self, Op};
use super::pipe::Pipe;
use crate::config::UNPACK_CHUNKS_MAX;
#[cfg(feature = "compression")]
use crate::config::{UNPACK_CHUNK_BYTES, UNPACK_WINDOW_LOG_MAX};

/// The ways of compression that are known by the first bytes of a file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// What compressed files begin with: one of the first bytes, and those after it.
    const MARKS: [(Packing, RangeInclusive<u8>, &[u8]); 3] = [
        // The third byte is the method, of which there is one only.
        (Packing::Gzip, 0x1F..=0x1F, &[0x8B, 0x08]),
        (Packing::Zstd, 0x28..=0x28, &[0xB5, 0x2F, 0xFD]),
        // A frame with what is no content, which some compressors begin with.
        (Packing::Zstd, 0x50..=0x5F, &[0x2A, 0x4D, 0x18]),
    ];

    /// The longest of the marks.
    const MARK_BYTES: usize = 4;

    /// What begins so, if it is compressed.
    fn of(head: &[u8]) -> Option<Packing> {
        let (first, rest) = head.split_first()?;
        let begun = Packing::MARKS
            .iter()
            .find(|(_, firsts, mark)| firsts.contains(first) && rest.starts_with(mark));
        begun.map(|(packing, ..)| *packing)
    }

    /// Whether these bytes are a part of a mark, which more of them may make whole.
    fn may_be(head: &[u8]) -> bool {
        let Some((first, rest)) = head.split_first() else { return true };
        Packing::MARKS.iter().any(|(_, firsts, mark)| {
            firsts.contains(first) && rest.len() < mark.len() && mark.starts_with(rest)
        })
    }
}

/// A file that is open for reading. Offsets are those of its content, unpacked.
pub(super) enum Input {
    Plain(File),
    Packed(Unpacked),
    /// It is read once, as it comes, and never unpacked.
    Pipe(Pipe),
}

/// A compressed file, and the thread that unpacks it once its content is asked for.
pub(super) struct Unpacked {
    // Fixed.
    file: File,
    /// Its name in messages.
    path: PathBuf,
    packing: Packing,
    // Changing.
    running: Option<Running>,
    chunk: Chunk,
    /// Bytes of the chunk that were read.
    at: usize,
    has_ended: bool,
}

struct Running {
    chunks: Receiver<io::Result<Chunk>>,
    thread: JoinHandle<()>,
}

/// Some of the content; an empty one is its end.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Bytes of the compressed file that were read for it and all before it.
    packed: u64,
}

impl Input {
    /// Opens the file at its start; one of fewer bytes than a mark has is plain.
    ///
    /// # Errors
    ///
    /// Those of the system, and [`ErrorKind::Unsupported`] for a compressed file in a build that
    /// cannot unpack it.
    pub(super) fn open(links: &Links, path: &Path) -> io::Result<Input> {
        let mut file = links.open(path)?;
        let mut head = Vec::new();
        (&file).take(Packing::MARK_BYTES as u64).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        match Packing::of(&head) {
            None => Ok(Input::Plain(file)),
            Some(packing) => Unpacked::new(file, path, packing).map(Input::Packed),
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self, Input::Packed(_))
    }

    /// Looks at how a pipe begins: compressed files are no text. False while that has not come.
    pub(super) fn check_pipe(&mut self) -> io::Result<bool> {
        let Input::Pipe(pipe) = self else { return Ok(true) };
        if pipe.is_checked {
            return Ok(true);
        }
        pipe.look();
        let mut head = Vec::new();
        let has_come = loop {
            if !Packing::may_be(&head) {
                break true;
            }
            let mut byte = [0];
            match pipe.read(&mut byte) {
                Ok(0) => break true,
                Ok(_) => head.push(byte[0]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) => return Err(error),
            }
        };
        pipe.go_back();
        refuse_packed(&head)?;
        pipe.is_checked = has_come;
        Ok(has_come)
    }

    /// Has what is read next read again after a [restart](Self::restart): a look from the start.
    pub(super) fn look(&mut self) {
        if let Input::Pipe(pipe) = self {
            pipe.look();
        }
    }

    /// Goes back to the start of the content; of a pipe, of which nothing but a look was taken.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        match self {
            Input::Plain(file) => file.seek(SeekFrom::Start(0)).map(drop),
            Input::Packed(unpacked) => unpacked.restart(),
            Input::Pipe(pipe) => {
                pipe.go_back();
                Ok(())
            }
        }
    }

    /// Passes over a hole at the place where the file is read next, if there is one that the file
    /// system knows of, and says how many bytes that were.
    pub(super) fn skip_hole(&mut self) -> io::Result<u64> {
        match self {
            Input::Plain(file) => skip_hole(file),
            Input::Packed(_) | Input::Pipe(_) => Ok(0),
        }
    }

    /// What the system knows of the file itself, compressed or not.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Input::Plain(file) => file.metadata(),
            Input::Packed(unpacked) => unpacked.file.metadata(),
            Input::Pipe(pipe) => pipe.metadata(),
        }
    }

    /// Bytes of the file itself that were read for `offset` bytes of its content, which were given.
    pub(super) fn consumed(&self, offset: u64) -> u64 {
        match self {
            Input::Plain(_) | Input::Pipe(_) => offset,
            Input::Packed(unpacked) => unpacked.chunk.packed,
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        #[cfg(test)]
        faults::check(Op::Read)?;
        match self {
            Input::Plain(file) => file.read(into),
            Input::Packed(unpacked) => unpacked.read(into),
            Input::Pipe(pipe) => pipe.read(into),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn skip_hole(file: &mut File) -> io::Result<u64> {
    use rustix::fs::{SeekFrom as To, seek};
    use rustix::io::Errno;
    let at = file.stream_position()?;
    // What is written behind it from here on is not passed over.
    let len = file.metadata()?.len();
    let to = match seek(&*file, To::Data(at)) {
        Ok(data) => data.min(len),
        // Nothing else is in the file.
        Err(Errno::NXIO) => len,
        // Not every file system knows of holes.
        Err(_) => at,
    };
    let to = to.max(at);
    file.seek(SeekFrom::Start(to))?;
    Ok(to - at)
}

/// Elsewhere holes are read as the NUL bytes that they stand for.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn skip_hole(_: &mut File) -> io::Result<u64> {
    Ok(0)
}

/// Refuses text that begins as compressed files do, where it cannot be unpacked.
fn refuse_packed(head: &[u8]) -> io::Result<()> {
    let Some(packing) = Packing::of(head) else { return Ok(()) };
    let (name, program) = match packing {
        Packing::Gzip => ("gzip", "gzip -dc"),
        Packing::Zstd => ("Zstandard", "zstd -dc"),
    };
    let message = format!(
        "it is compressed by {name}, and unpacked only where it is named as a file: send it \
         through {program}"
    );
    Err(io::Error::new(ErrorKind::InvalidData, message))
}

/// Waits for the thread where it is not that far, as one waits for a disk.
impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.has_ended {
            return Ok(0);
        }
        if self.at == self.chunk.bytes.len() {
            let next = self.next();
            self.has_ended = next.as_ref().map_or(true, |chunk| chunk.bytes.is_empty());
            (self.chunk, self.at) = (next?, 0);
        }
        let rest = &self.chunk.bytes[self.at..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Unpacked {
    fn new(file: File, path: &Path, packing: Packing) -> io::Result<Unpacked> {
        if cfg!(not(feature = "compression")) {
            let message = format!("it is a {packing:?} archive: this build lacks `compression`");
            return Err(io::Error::new(ErrorKind::Unsupported, message));
        }
        let (path, chunk) = (path.to_owned(), Chunk::default());
        Ok(Unpacked { file, path, packing, running: None, chunk, at: 0, has_ended: false })
    }

    fn next(&mut self) -> io::Result<Chunk> {
        let running = match &self.running {
            Some(running) => running,
            None => {
                let (sender, chunks) = sync_channel(UNPACK_CHUNKS_MAX);
                let thread = spawn(self.file.try_clone()?, &self.path, self.packing, sender)?;
                self.running.insert(Running { chunks, thread })
            }
        };
        running.chunks.recv().unwrap_or_else(|_| {
            Err(io::Error::other("the thread that unpacks the file has failed"))
        })
    }

    /// Begins anew.
    fn restart(&mut self) -> io::Result<()> {
        if let Some(Running { chunks, thread }) = self.running.take() {
            // The thread ends when nobody takes what it gives. Until then it moves the place in the
            // file, which is the same one for both. Its panic has been told of by now.
            drop(chunks);
            let _ = thread.join();
        }
        self.file.seek(SeekFrom::Start(0))?;
        (self.chunk, self.at, self.has_ended) = (Chunk::default(), 0, false);
        Ok(())
    }
}

#[cfg(not(feature = "compression"))]
fn spawn(
    _: File,
    _: &Path,
    _: Packing,
    _: SyncSender<io::Result<Chunk>>,
) -> io::Result<JoinHandle<()>> {
    Err(ErrorKind::Unsupported.into())
}

/// Starts the thread. It ends when it has read the file, or nobody takes what it gives any more.
#[cfg(feature = "compression")]
fn spawn(
    file: File,
    path: &Path,
    packing: Packing,
    sender: SyncSender<io::Result<Chunk>>,
) -> io::Result<JoinHandle<()>> {
    let path = path.to_owned();
    std::thread::Builder::new().name("unpack".to_owned()).spawn(move || {
        let mut content = Content { sender, path, chunk: Vec::new(), packed: 0, is_wanted: true };
        let unpacked = unpack(file, packing, &mut content);
        content.end(unpacked);
    })
}

/// The sending end: brings the content into chunks.
#[cfg(feature = "compression")]
struct Content {
    sender: SyncSender<io::Result<Chunk>>,
    path: PathBuf,
    chunk: Vec<u8>,
    packed: u64,
    is_wanted: bool,
}

#[cfg(feature = "compression")]
impl Content {
    /// Takes in all that the decoder gives, or as much as is wanted.
    fn take<R: Read>(&mut self, decoder: &mut R, packed: impl Fn(&R) -> u64) -> io::Result<()> {
        while self.is_wanted {
            let len = self.chunk.len();
            self.chunk.resize(UNPACK_CHUNK_BYTES, 0);
            let read = decoder.read(&mut self.chunk[len..]);
            self.chunk.truncate(len + *read.as_ref().unwrap_or(&0));
            self.packed = packed(decoder);
            match read {
                Ok(0) => return Ok(()),
                Ok(_) if self.chunk.len() == UNPACK_CHUNK_BYTES => self.send(),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn send(&mut self) {
        let chunk = Chunk { bytes: std::mem::take(&mut self.chunk), packed: self.packed };
        self.is_wanted &= self.sender.send(Ok(chunk)).is_ok();
    }

    fn end(mut self, unpacked: io::Result<()>) {
        if !self.chunk.is_empty() {
            self.send();
        }
        let end = unpacked.map(|()| Chunk { bytes: Vec::new(), packed: self.packed });
        // Nobody may want it any more.
        let _ = self.sender.send(end);
    }
}

#[cfg(feature = "compression")]
use decoders::unpack;

#[cfg(feature = "compression")]
mod decoders {
    use std::fs::File;
    use std::io::{self, BufRead, BufReader, ErrorKind, Read};

    use flate2::bufread::GzDecoder;

    use super::{Content, Packing, UNPACK_WINDOW_LOG_MAX};
    use crate::error::io_within;

    /// Counts the bytes that the decoders have taken.
    struct Counted {
        file: BufReader<File>,
        read: u64,
    }

    impl Read for Counted {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.file.read(into)?;
            self.read += count as u64;
            Ok(count)
        }
    }

    impl BufRead for Counted {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            self.file.fill_buf()
        }

        fn consume(&mut self, count: usize) {
            self.read += count as u64;
            self.file.consume(count);
        }
    }

    pub(super) fn unpack(file: File, packing: Packing, into: &mut Content) -> io::Result<()> {
        let file = Counted { file: BufReader::with_capacity(64 << 10, file), read: 0 };
        let unpacked = match packing {
            Packing::Gzip => gunzip(file, into),
            Packing::Zstd => unpack_zstd(file, into),
        };
        unpacked.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), "the archive is truncated: what came before is kept")
            }
            _ => io_within("the archive is damaged: what came before is kept", error),
        })
    }

    /// Members, one after another. As for `gzip`, zeros after the last are padding and other bytes
    /// are ignored, with a warning.
    fn gunzip(mut file: Counted, into: &mut Content) -> io::Result<()> {
        loop {
            let mut member = GzDecoder::new(file);
            into.take(&mut member, |member| member.get_ref().read)?;
            if !into.is_wanted {
                return Ok(());
            }
            file = member.into_inner();
            let mut head = Vec::new();
            loop {
                file.by_ref().take(1).read_to_end(&mut head)?;
                match head.as_slice() {
                    [] => return Ok(()),
                    // Padding, up to what may come after it.
                    [0] => head.clear(),
                    _ => break,
                }
            }
            file.by_ref().take(Packing::MARK_BYTES as u64 - 1).read_to_end(&mut head)?;
            if Packing::of(&head) != Some(Packing::Gzip) {
                let path = into.path.display();
                tracing::warn!(%path, "what stands after the end of a gzip archive is ignored");
                return Ok(());
            }
            file.file.seek_relative(-(head.len() as i64))?;
            file.read -= head.len() as u64;
        }
    }

    /// Frames, one after another, as `zstd` reads them.
    fn unpack_zstd(file: Counted, into: &mut Content) -> io::Result<()> {
        let mut frames = zstd::stream::read::Decoder::with_buffer(file)?;
        frames.window_log_max(UNPACK_WINDOW_LOG_MAX)?;
        into.take(&mut frames, |frames| frames.get_ref().read)
    }
}

#[cfg(all(test, feature = "compression"))]
pub(super) mod tests;
