//! Holes of NUL bytes in files of text: a log that was emptied while its writer kept its offset, or
//! blocks that a crash left unwritten.
//!
//! Invariant: of a hole nothing becomes part of a line, however long it is and however it is read.

use memchr::memchr;

/// NUL bytes after the beginning of a line that are a hole rather than content: a sector of a disk.
const HOLE_BYTES_MIN: usize = 512;

/// The holes of one file.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Bytes of holes that were passed over.
    bytes: u64,
    is_told: bool,
}

impl Holes {
    /// Removes holes from what was read, and gives the number of bytes that are left. NUL bytes at
    /// the beginning of a line are a hole, as are [`HOLE_BYTES_MIN`] of them within one, which they
    /// end.
    pub(super) fn remove(&mut self, bytes: &mut [u8], mut is_line_start: bool) -> usize {
        let Some(mut at) = memchr(0, bytes) else { return bytes.len() };
        let mut kept = 0;
        let mut done = 0;
        loop {
            // Nothing between `done` and `at` is NUL.
            bytes.copy_within(done..at, kept);
            kept += at - done;
            is_line_start = if at > done { bytes[at - 1] == b'\n' } else { is_line_start };
            let len = bytes[at..].iter().take_while(|&&byte| byte == 0).count();
            if is_line_start || len >= HOLE_BYTES_MIN {
                self.bytes += len as u64;
                if !is_line_start {
                    bytes[kept] = b'\n';
                    kept += 1;
                    is_line_start = true;
                }
            } else {
                bytes.copy_within(at..at + len, kept);
                kept += len;
            }
            done = at + len;
            match memchr(0, &bytes[done..]) {
                Some(next) => at = done + next,
                None => break,
            }
        }
        bytes.copy_within(done.., kept);
        kept + bytes.len() - done
    }

    /// The bytes that were passed over so far, to be told once.
    pub(super) fn take_told(&mut self) -> Option<u64> {
        let is_news = self.bytes > 0 && !self.is_told;
        self.is_told |= is_news;
        is_news.then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of these pieces, of which each is read by itself.
    fn left(pieces: &[&[u8]]) -> (Vec<u8>, u64) {
        let (mut holes, mut left) = (Holes::default(), Vec::<u8>::new());
        for piece in pieces {
            let mut piece = piece.to_vec();
            let is_line_start = left.last().is_none_or(|&byte| byte == b'\n');
            let len = holes.remove(&mut piece, is_line_start);
            left.extend_from_slice(&piece[..len]);
        }
        (left, holes.bytes)
    }

    #[test]
    fn holes_are_no_part_of_lines() {
        let hole = [0; 600];
        let check = |pieces: &[&[u8]], expected: &[u8], bytes: u64| {
            assert_eq!(left(pieces), (expected.to_vec(), bytes), "{pieces:?}");
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
    }
}
