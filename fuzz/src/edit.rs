//! Changes to a file that was genuine: what a fuzzer finds by itself in years, it finds beside what
//! is right in seconds.

use arbitrary::Arbitrary;

/// One change. Places are taken modulo the file's length.
#[derive(Arbitrary, Clone, Debug)]
pub enum Edit {
    /// Another byte in the place of one.
    Byte(u16, u8),
    /// Another number of eight bytes, as lengths, times and numbers are.
    Word(u16, u64),
    /// Another number of four bytes.
    HalfWord(u16, u32),
    /// Bytes that go.
    Cut(u16, u8),
    /// Bytes that come.
    Insert(u16, Vec<u8>),
    /// Bytes that come again, elsewhere.
    Copy {
        /// From where.
        from: u16,
        /// How many.
        len: u8,
        /// Before which.
        to: u16,
    },
    /// All after a place goes.
    Truncate(u16),
}

impl Edit {
    /// Makes the change.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let at = |place: u16| place as usize % (len + 1);
        match self {
            Edit::Byte(place, byte) => put(bytes, at(*place), &[*byte]),
            Edit::Word(place, word) => put(bytes, at(*place), &word.to_le_bytes()),
            Edit::HalfWord(place, word) => put(bytes, at(*place), &word.to_le_bytes()),
            Edit::Cut(place, count) => {
                let from = at(*place);
                bytes.drain(from..len.min(from + *count as usize));
            }
            Edit::Insert(place, new) => {
                let from = at(*place);
                bytes.splice(from..from, new.iter().copied());
            }
            Edit::Copy { from, len: count, to } => {
                let from = at(*from);
                let copied = bytes[from..len.min(from + *count as usize)].to_vec();
                let to = at(*to);
                bytes.splice(to..to, copied);
            }
            Edit::Truncate(place) => bytes.truncate(at(*place)),
        }
    }
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..].iter_mut().zip(new).for_each(|(byte, new)| *byte = *new);
}
