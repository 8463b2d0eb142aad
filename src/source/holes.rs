//! Holes of NUL bytes in files of text: a log that was emptied while its writer kept its offset, or
//! blocks that a crash left unwritten.
//!
//! Invariant: of a hole nothing becomes part of a line, however long it is and however it is read.

use std::io::{self, ErrorKind, Read};

use memchr::memchr;

/// NUL bytes after the beginning of a line that are a hole rather than content: a sector of a disk.
const HOLE_BYTES_MIN: usize = 512;

/// The holes of one file, and what was read of it and not given yet.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Bytes of holes that were passed over.
    bytes: u64,
    /// What was read last is in a hole, which may go on.
    is_within: bool,
    is_told: bool,
    /// NUL bytes within a line that were read last: content, or the beginning of a hole.
    run: usize,
    /// NUL bytes that are content, and come before all else.
    owed: usize,
    /// What comes next.
    ahead: Vec<u8>,
}

impl Holes {
    /// Reads once. NUL bytes at the beginning of a line are a hole, as are [`HOLE_BYTES_MIN`] of
    /// them within one, which they end.
    ///
    /// # Errors
    ///
    /// Those of the reader, and [`ErrorKind::Interrupted`] where nothing of what was read can be
    /// given yet.
    pub(super) fn read(
        &mut self,
        input: &mut impl Read,
        into: &mut [u8],
        is_line_start: bool,
    ) -> io::Result<usize> {
        if self.owed > 0 {
            return Ok(self.give_owed(into));
        }
        let count = match self.ahead.len().min(into.len()) {
            0 => input.read(into)?,
            count => {
                into[..count].copy_from_slice(&self.ahead[..count]);
                self.ahead.drain(..count);
                count
            }
        };
        let bytes = &mut into[..count];
        let left = if self.run > 0 { self.go_on(bytes) } else { self.remove(bytes, is_line_start) };
        // Nothing but a hole is no end.
        if left == 0 && count > 0 { Err(ErrorKind::Interrupted.into()) } else { Ok(left) }
    }

    /// Whether all that was read last was a hole, which may go on.
    pub(super) fn is_within(&self) -> bool {
        self.is_within && self.held() == 0
    }

    /// So many bytes more of it were found to be a hole, and not read.
    pub(super) fn skipped(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Bytes that were read and not given yet.
    pub(super) fn held(&self) -> usize {
        self.run + self.owed + self.ahead.len()
    }

    /// Forgets what was not given yet: the input is read from another place on.
    pub(super) fn forget(&mut self) {
        (self.run, self.owed) = (0, 0);
        self.ahead.clear();
    }

    /// The NUL bytes that a line ends with that has no end.
    pub(super) fn take_run(&mut self) -> usize {
        std::mem::take(&mut self.run)
    }

    /// Decides about NUL bytes that were read before. They are given by themselves, and what comes
    /// after them next, so that what was given and what was read are the same up to there.
    fn go_on(&mut self, bytes: &mut [u8]) -> usize {
        let leading = bytes.iter().take_while(|&&byte| byte == 0).count();
        self.run += leading;
        let is_hole = self.run >= HOLE_BYTES_MIN;
        if bytes.is_empty() || leading == bytes.len() && !is_hole {
            return 0;
        }
        self.ahead.splice(..0, bytes[leading..].iter().copied());
        let run = std::mem::take(&mut self.run);
        if is_hole {
            self.bytes += run as u64;
            self.is_within = leading == bytes.len();
            bytes[0] = b'\n';
            return 1;
        }
        self.owed = run;
        self.give_owed(bytes)
    }

    fn give_owed(&mut self, into: &mut [u8]) -> usize {
        let count = self.owed.min(into.len());
        into[..count].fill(0);
        self.owed -= count;
        count
    }

    /// Removes holes from what was read, and gives the number of bytes that are left.
    fn remove(&mut self, bytes: &mut [u8], mut is_line_start: bool) -> usize {
        let Some(mut at) = memchr(0, bytes) else {
            self.is_within &= bytes.is_empty();
            return bytes.len();
        };
        let (mut kept, mut done) = (0, 0);
        loop {
            // Nothing between `done` and `at` is NUL.
            bytes.copy_within(done..at, kept);
            kept += at - done;
            is_line_start = if at > done { bytes[at - 1] == b'\n' } else { is_line_start };
            let len = bytes[at..].iter().take_while(|&&byte| byte == 0).count();
            done = at + len;
            self.is_within = false;
            if is_line_start || len >= HOLE_BYTES_MIN {
                self.bytes += len as u64;
                self.is_within = done == bytes.len();
                if !is_line_start {
                    bytes[kept] = b'\n';
                    kept += 1;
                    is_line_start = true;
                }
            } else if done == bytes.len() {
                self.run = len;
            } else {
                bytes.copy_within(at..done, kept);
                kept += len;
            }
            match memchr(0, &bytes[done..]) {
                Some(next) => at = done + next,
                None => break,
            }
        }
        bytes.copy_within(done.., kept);
        kept + bytes.len() - done
    }

    /// The bytes that were passed over so far, to be told once: when the first hole has ended, or
    /// all has.
    pub(super) fn take_told(&mut self, has_ended: bool) -> Option<u64> {
        let is_news = self.bytes > 0 && !self.is_told && (has_ended || !self.is_within);
        self.is_told |= is_news;
        is_news.then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of these pieces, of which each is read by itself, into so much room.
    fn left(pieces: &[&[u8]], room: usize) -> (Vec<u8>, u64) {
        let (mut holes, mut left) = (Holes::default(), Vec::<u8>::new());
        let mut read = 0;
        for piece in pieces {
            let mut input = *piece;
            while !input.is_empty() || holes.owed > 0 || !holes.ahead.is_empty() {
                let is_line_start = left.last().is_none_or(|&byte| byte == b'\n');
                let mut into = vec![0; room];
                let before = input.len();
                let given = holes.read(&mut input, &mut into, is_line_start);
                read += before - input.len();
                match given {
                    Ok(count) => left.extend_from_slice(&into[..count]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
                }
                // A place within a line is where it is in the input.
                let line = left.rsplit(|&byte| byte == b'\n').next().unwrap();
                let all = pieces.concat();
                let end = read - holes.held();
                assert!(line.is_empty() || all[..end].ends_with(line), "{line:?} before {end}");
            }
        }
        left.resize(left.len() + holes.take_run(), 0);
        (left, holes.bytes)
    }

    #[test]
    fn holes_are_no_part_of_lines() {
        let hole = [0; 600];
        let check = |pieces: &[&[u8]], expected: &[u8], bytes: u64| {
            for room in [10_000, 700, 100, 3, 1] {
                let found = left(pieces, room);
                assert_eq!(found, (expected.to_vec(), bytes), "{pieces:?} by {room}");
            }
        };
        check(&[b"a\nb\n"], b"a\nb\n", 0);
        check(&[b"a\0b\n"], b"a\0b\n", 0);
        check(&[b"\0\0a\n\0b\n\0"], b"a\nb\n", 4);
        check(&[b"a\n\0", b"\0\0", b"\0b\n"], b"a\nb\n", 4);
        check(&[b"a", &hole, b"b\n"], b"a\nb\n", 600);
        check(
            &[&[b"a\nb", &hole[..], b"c\0d\n", &hole[..], b"e"].concat()],
            b"a\nb\nc\0d\ne",
            1_200,
        );
        check(&[&hole, &hole, b"a\n"], b"a\n", 1_200);
        // However it is read.
        let half = [0; 300];
        check(&[b"a", &half, &half, b"b\n"], b"a\nb\n", 600);
        check(&[b"a", &half, b"b\n"], &[b"a", &half[..], b"b\n"].concat(), 0);
        check(
            &[b"a", &half[..100], &half[..100], b"b\0"],
            &[b"a", &half[..200], b"b\0"].concat(),
            0,
        );
        check(&[b"a\0"], b"a\0", 0);
        check(&[b"a\0\nb\0", b"\n\0"], b"a\0\nb\0\n", 1);
    }
}
