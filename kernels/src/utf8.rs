//! Is it ASCII, and if not, is it UTF-8: asked once, where bytes come in, so that no row is checked
//! again. The sign bits answer for most text; only a stretch with one set is decoded.

use crate::multiversion::multiversion;

/// Bytes tested between two looks at the result: long enough to vectorise, short enough that text
/// with an early accent is left soon.
const STRETCH: usize = 512;

multiversion! {
    /// Whether no byte has its sign bit set.
    ///
    /// ```
    /// assert!(tidemill_kernels::is_ascii(b"tide"));
    /// assert!(!tidemill_kernels::is_ascii("Ebbe und Flöt".as_bytes()));
    /// ```
    pub fn is_ascii / is_ascii_at(bytes: &[u8]) -> bool, isa => {
        ascii_prefix(bytes) == bytes.len()
    }
}

multiversion! {
    /// Checks `bytes`, and says where the first bad or unfinished character begins if there is one.
    pub(crate) fn check_utf8_at(bytes: &[u8]) -> Result<(), usize>, isa => {
        // A stretch ends between two bytes of ASCII or before its first other byte, so on a border
        // of characters: what is left can be decoded alone.
        let ascii = ascii_prefix(bytes);
        if ascii == bytes.len() {
            return Ok(());
        }
        decode(&bytes[ascii..]).map_err(|valid| ascii + valid)
    }
}

/// Length of a prefix without sign bits: everything, or some whole stretches.
#[inline(always)]
fn ascii_prefix(bytes: &[u8]) -> usize {
    let (stretches, rest) = bytes.as_chunks::<STRETCH>();
    for (index, stretch) in stretches.iter().enumerate() {
        if has_sign(stretch) {
            return index * STRETCH;
        }
    }
    if has_sign(rest) { bytes.len() - rest.len() } else { bytes.len() }
}

#[inline(always)]
fn has_sign(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |or, byte| or | byte) >= 0x80
}

fn decode(bytes: &[u8]) -> Result<(), usize> {
    // The fast flavour says only yes or no; a buffer with a bad byte is rare, so it is read twice.
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.valid_up_to()),
    }
}
