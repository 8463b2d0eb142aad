//! Bytes that outlive the process: how records are saved in checkpoints.

use crate::error::{Error, ErrorKind, Result};

/// Appends a number as LEB128: seven bits a byte, the least first.
pub(crate) fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes such a number off the front.
pub(crate) fn take_varint(from: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first().ok_or_else(torn)?;
        *from = rest;
        let bits = u64::from(byte & 0x7F);
        if bits << shift >> shift != bits {
            break;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(torn())
}

/// The error of saved bytes that nobody has written so.
pub(crate) fn torn() -> Error {
    Error::new(ErrorKind::Checkpoint, "what was saved is torn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back() {
        for number in [0, 1, 127, 128, 1 << 62, u64::MAX] {
            let mut bytes = Vec::new();
            push_varint(number, &mut bytes);
            let mut rest = bytes.as_slice();
            assert_eq!(take_varint(&mut rest).unwrap(), number);
            assert!(rest.is_empty());
            assert!(take_varint(&mut &bytes[..bytes.len() - 1]).is_err());
        }
        assert!(take_varint(&mut [0xFF; 11].as_slice()).is_err());
    }
}
