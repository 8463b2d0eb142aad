//! Keys of up to sixteen bytes where a reference to them would be, and longer ones elsewhere: a key
//! that lies beside what is kept for it costs no line of memory of its own.
//!
//! That short strings are kept in place of the reference is from Umbra (Neumann and Freitag, CIDR
//! 2020); that the last byte of text, which is never above 0xBF in UTF-8, may say the length of
//! what is shorter is from the crate compact_str.

use crate::{Span, TextBuffer};

/// Bytes of a cell.
const LEN: usize = 16;

/// The last byte of a cell whose key is shorter is this and the length; of one whose key is
/// sixteen bytes it is the last of these, which is less.
const SHORTER: u8 = 0xC0;

/// The last byte of a cell whose key is elsewhere.
const ELSEWHERE: u8 = 0xFF;

/// Up to sixteen bytes, or where in a [`TextBuffer`] there are more; sixteen whose last one is
/// above 0xBF are there, too.
///
/// Each use has to be with the buffer with which the cell was made: another one has other bytes
/// there, or none.
#[derive(Copy, Clone, Debug)]
#[repr(C, align(8))]
pub struct BytesCell {
    bytes: [u8; LEN],
}

/// Up to sixteen bytes of text, or where in a [`TextBuffer`] there are more.
///
/// ```
/// use tidemill_kernels::{TextBuffer, TextCell};
///
/// let mut long = TextBuffer::new();
/// let (ebb, flow) = (TextCell::new("ebb", &mut long), TextCell::new("flow, at last", &mut long));
/// let slack = TextCell::new("a slack that is long", &mut long);
/// assert_eq!((ebb.str(&long), flow.str(&long)), ("ebb", "flow, at last"));
/// assert_eq!((slack.str(&long), long.len()), ("a slack that is long", 20));
/// ```
#[derive(Copy, Clone, Debug)]
#[repr(transparent)]
pub struct TextCell(BytesCell);

impl BytesCell {
    /// A cell of these bytes, which are appended to the buffer if they do not fit.
    ///
    /// # Panics
    ///
    /// If the buffer would hold 4 GiB.
    #[inline]
    pub fn new(bytes: &[u8], long: &mut TextBuffer) -> BytesCell {
        BytesCell::in_place(bytes).unwrap_or_else(|| {
            let start = long.len();
            long.extend_from_bytes(bytes);
            BytesCell::elsewhere(start, long)
        })
    }

    #[inline]
    fn in_place(bytes: &[u8]) -> Option<BytesCell> {
        let mut cell = [0; LEN];
        match bytes.len() {
            len @ ..LEN => {
                cell[..len].copy_from_slice(bytes);
                cell[LEN - 1] = SHORTER | len as u8;
            }
            LEN if bytes[LEN - 1] < SHORTER => cell.copy_from_slice(bytes),
            _ => return None,
        }
        Some(BytesCell { bytes: cell })
    }

    /// The cell of what the buffer has from `start` on.
    fn elsewhere(start: usize, long: &TextBuffer) -> BytesCell {
        // A buffer is shorter than 4 GiB.
        let (start, len) = (start as u32, (long.len() - start) as u32);
        let mut bytes = [ELSEWHERE; LEN];
        bytes[..4].copy_from_slice(&start.to_ne_bytes());
        bytes[4..8].copy_from_slice(&len.to_ne_bytes());
        BytesCell { bytes }
    }

    /// The bytes in the cell, or where they are.
    #[inline(always)]
    fn get(&self) -> Result<&[u8], Span> {
        match self.bytes[LEN - 1] {
            ..SHORTER => Ok(&self.bytes),
            ELSEWHERE => {
                let [a, b, c, d, e, f, g, h, ..] = self.bytes;
                let (start, len) = (u32::from_ne_bytes([a, b, c, d]), [e, f, g, h]);
                Err(Span { start, len: u32::from_ne_bytes(len) })
            }
            last => Ok(&self.bytes[..usize::from(last ^ SHORTER)]),
        }
    }

    /// The bytes.
    ///
    /// # Panics
    ///
    /// If they are elsewhere, and not in this buffer.
    #[inline]
    pub fn bytes<'a>(&'a self, long: &'a TextBuffer) -> &'a [u8] {
        self.get().unwrap_or_else(|span| &long.bytes()[span.range()])
    }

    /// Asks for the memory of bytes that are elsewhere, so that it is there when it is wanted.
    #[inline]
    pub fn prefetch(&self, long: &TextBuffer) {
        if let Err(span) = self.get() {
            long.prefetch(span);
        }
    }
}

impl TextCell {
    /// A cell of this text, which is appended to the buffer if it does not fit.
    ///
    /// # Panics
    ///
    /// If the buffer would hold 4 GiB.
    #[inline]
    pub fn new(text: &str, long: &mut TextBuffer) -> TextCell {
        let cell = BytesCell::in_place(text.as_bytes()).unwrap_or_else(|| {
            let start = long.len();
            long.push_str(text);
            BytesCell::elsewhere(start, long)
        });
        TextCell(cell)
    }

    /// The text.
    ///
    /// # Panics
    ///
    /// If it is elsewhere, and this buffer has no text there.
    #[inline]
    pub fn str<'a>(&'a self, long: &'a TextBuffer) -> &'a str {
        match self.0.get() {
            // SAFETY: a cell of text is made by `new` only, and never changed: what is in place is
            // the `str` that it was given.
            Ok(bytes) => unsafe { str::from_utf8_unchecked(bytes) },
            Err(span) => long.str(span),
        }
    }

    /// Asks for the memory of text that is elsewhere, so that it is there when it is wanted.
    #[inline]
    pub fn prefetch(&self, long: &TextBuffer) {
        self.0.prefetch(long);
    }
}
