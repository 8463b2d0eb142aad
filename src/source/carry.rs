//! The unfinished last line of one connection or file, kept until its end comes.

/// A carry lets go of more memory than this as soon as it can: there is one for each connection,
/// and one long line should not cost its memory for as long as the connection lives.
const CARRY_BYTES_KEPT: usize = 16 << 10;

/// The bytes after the last line end that was read; a receiver keeps one for each of its inputs.
///
/// Its size is bounded by the source's longest line, and two bytes for what may be its line end.
#[derive(Debug, Default)]
pub struct Carry {
    pub(super) bytes: Vec<u8>,
    /// A line that was too long has been dealt with; the rest of it is still coming.
    pub(super) skipping: bool,
}

impl Carry {
    /// Whether no unfinished line is held.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.skipping
    }

    /// Forgets the unfinished line: after a reset it will never be finished.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.skipping = false;
    }

    /// Holds this unfinished line in the place of the one before.
    pub(super) fn keep(&mut self, line: &[u8]) {
        if self.bytes.capacity() > CARRY_BYTES_KEPT && line.len() <= CARRY_BYTES_KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(line);
    }
}
