//! Whether a file is the one that was read, and whether what was read still stands in it.
//!
//! Device and inode are a hint: a number is given to another file once the first one is gone, and
//! the same file has other numbers after `rsync`, `sed -i`, or on a volume that was mounted again.
//! The proof is what the file holds: its first bytes, and those just before the offset up to which
//! it was read.
//!
//! Invariant: a proof is of bytes that were read, as they were when they were read, never of what
//! the file has held since.

use std::fs::{File, Metadata};
use std::io::{self, Read};
#[cfg(not(unix))]
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(test)]
use super::open_file::faults::{self, Op};
use crate::error::Result;
use crate::record::saved::{push_varint, take_varint};

/// Bytes at the beginning of a file, and before the offset, that prove what it is.
const PROOF_BYTES: usize = 1024;

/// Device and inode of a file, which stay the same when it is renamed.
///
/// On other systems than Unix the time of its creation, to the nanosecond.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// That of what has no name to be found by.
    pub(super) const UNKNOWN: FileId = FileId(0, 0);

    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> FileId {
        use std::os::unix::fs::MetadataExt;
        FileId(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> FileId {
        let created = metadata.created().unwrap_or(UNIX_EPOCH);
        let since = created.duration_since(UNIX_EPOCH).unwrap_or_default();
        FileId(since.as_secs(), since.subsec_nanos().into())
    }

    pub(super) fn save(self, out: &mut Vec<u8>) {
        push_varint(self.0, out);
        push_varint(self.1, out);
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<FileId> {
        Ok(FileId(take_varint(from)?, take_varint(from)?))
    }
}

/// The first and the last bytes that were read of a file, kept while it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Witness {
    /// Bytes that were read.
    offset: u64,
    /// The first of them.
    head: Vec<u8>,
    /// The last of them.
    tail: Vec<u8>,
}

/// Checksums of the first and the last bytes that were read of a file.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Proof {
    /// Bytes that were read.
    pub(super) offset: u64,
    head: u32,
    tail: u32,
}

/// The comparison of a file with a [`Proof`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was read still stands before the offset.
    Same,
    /// The file has fewer bytes than were read.
    Shorter,
    /// It holds other bytes than those that were read.
    Rewritten,
}

impl Witness {
    /// A witness of a file as if it had been read up to `offset`, and what was found to be in it.
    ///
    /// # Errors
    ///
    /// Those of reading, and [`io::ErrorKind::UnexpectedEof`] if the file ends before.
    pub(super) fn at(file: &File, offset: u64) -> io::Result<Witness> {
        let len = offset.min(PROOF_BYTES as u64) as usize;
        let (mut head, mut tail) = (vec![0; len], vec![0; len]);
        read_exact_at(file, 0, &mut head)?;
        read_exact_at(file, offset - len as u64, &mut tail)?;
        Ok(Witness { offset, head, tail })
    }

    /// The witness of what a reader gives up to `offset`, which is read; fewer bytes if it ends
    /// before.
    pub(super) fn of_reader(mut reader: impl Read, offset: u64) -> io::Result<Witness> {
        let mut witness = Witness::default();
        let mut buffer = vec![0; 64 << 10];
        while witness.offset < offset {
            let room =
                buffer.len().min(usize::try_from(offset - witness.offset).unwrap_or(usize::MAX));
            match reader.read(&mut buffer[..room]) {
                Ok(0) => break,
                Ok(count) => witness.saw(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(witness)
    }

    /// Adds the bytes that were read next.
    pub(super) fn saw(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        let missing = (PROOF_BYTES - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        let last = &bytes[bytes.len().saturating_sub(PROOF_BYTES)..];
        let kept = (PROOF_BYTES - last.len()).min(self.tail.len());
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(last);
    }

    /// Adds NUL bytes that were not read, as they are known to be there.
    pub(super) fn saw_hole(&mut self, bytes: u64) {
        let last = bytes.min(PROOF_BYTES as u64);
        self.saw(&[0; PROOF_BYTES][..last as usize]);
        self.offset += bytes - last;
    }

    /// Bytes that were read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The first bytes that were read.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn proof(&self) -> Proof {
        let [head, tail] = [&self.head, &self.tail].map(|bytes| crc32fast::hash(bytes));
        Proof { offset: self.offset, head, tail }
    }
}

impl Proof {
    /// Compares a file with what was read. One of which nothing was read is any file.
    pub(super) fn check(&self, file: &File) -> io::Result<Verdict> {
        if metadata(file)?.len() < self.offset {
            return Ok(Verdict::Shorter);
        }
        match Witness::at(file, self.offset) {
            Ok(witness) => Ok(self.compare(&witness)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // It was truncated in between, or a device that fails gave less than it has.
                if metadata(file)?.len() < self.offset {
                    return Ok(Verdict::Shorter);
                }
                let message = "it gives fewer bytes than it has";
                Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
            }
            Err(error) => Err(error),
        }
    }

    /// Compares what was found up to the offset with what was read.
    pub(super) fn compare(&self, found: &Witness) -> Verdict {
        match found.proof() {
            proof if proof == *self => Verdict::Same,
            proof if proof.offset < self.offset => Verdict::Shorter,
            _ => Verdict::Rewritten,
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        push_varint(self.offset, out);
        push_varint(self.head.into(), out);
        push_varint(self.tail.into(), out);
    }

    pub(super) fn load(from: &mut &[u8]) -> Result<Proof> {
        let offset = take_varint(from)?;
        // What does not fit compares as other bytes.
        let mut checksum = || Ok(take_varint(from)? as u32);
        Ok(Proof { offset, head: checksum()?, tail: checksum()? })
    }
}

fn metadata(file: &File) -> io::Result<Metadata> {
    #[cfg(test)]
    faults::check(Op::Stat)?;
    file.metadata()
}

/// Reads without moving the place at which the file is read next.
#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    #[cfg(test)]
    faults::check(Op::Compare)?;
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let before = file.stream_position()?;
    file.seek(SeekFrom::Start(offset))?;
    let read = file.read_exact(into);
    file.seek(SeekFrom::Start(before))?;
    read
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    /// Text without repetitions, so that no part of it looks like another.
    fn text(len: usize) -> Vec<u8> {
        (0u32..).flat_map(|number| format!("{number}\n").into_bytes()).take(len).collect()
    }

    #[test]
    fn a_witness_is_the_same_however_the_bytes_came() {
        for len in [0, 1, 1023, 1024, 1025, 2047, 2048, 5000] {
            let text = text(len);
            let whole = Witness::at(&file(&text), len as u64).unwrap();
            for step in [1, 7, 1024, 3000, 10_000] {
                let mut witness = Witness::default();
                text.chunks(step).for_each(|bytes| witness.saw(bytes));
                assert_eq!(witness, whole, "{len} bytes by {step}");
            }
            assert_eq!(Witness::of_reader(&text[..], len as u64).unwrap(), whole);
            let mut holed = [&text[..], &vec![0; len]].concat();
            let file = file(&holed);
            let mut witness = whole;
            witness.saw_hole(len as u64);
            assert_eq!(witness, Witness::at(&file, 2 * len as u64).unwrap());
            holed.push(1);
            witness.saw(&[1]);
            assert_eq!(witness, Witness::of_reader(&holed[..], u64::MAX).unwrap());
        }
    }

    #[test]
    fn what_was_read_still_stands_or_not() {
        let read = text(5000);
        let proof = Witness::at(&file(&read), 4000).unwrap().proof();
        let check = |content: &[u8]| proof.check(&file(content)).unwrap();
        assert_eq!(check(&read), Verdict::Same);
        assert_eq!(check(&read[..4000]), Verdict::Same);
        assert_eq!(check(&read[..3999]), Verdict::Shorter);
        assert_eq!(check(&[]), Verdict::Shorter);
        for changed in [0, 1023, 2976, 3999] {
            let mut other = read.clone();
            other[changed] ^= 1;
            assert_eq!(check(&other), Verdict::Rewritten, "byte {changed}");
        }
        // After the offset anything may stand.
        let mut longer = read.clone();
        longer[4000] ^= 1;
        longer.extend_from_slice(b"more");
        assert_eq!(check(&longer), Verdict::Same);
    }

    #[test]
    fn a_proof_comes_back_as_it_was_saved() {
        let proof = Witness::at(&file(&text(3000)), 2500).unwrap().proof();
        let mut saved = Vec::new();
        proof.save(&mut saved);
        let rest = &mut &saved[..];
        assert_eq!(Proof::load(rest).unwrap(), proof);
        assert!(rest.is_empty());
        for len in 0..saved.len() {
            assert!(Proof::load(&mut &saved[..len]).is_err(), "{len} bytes of it");
        }
    }
}
