//! Bytes that outlive the process: how records are saved in checkpoints.

use std::any::type_name;

use super::Record;
use crate::error::{Error, ErrorKind, Result};

/// The bits of eight bytes that say that another byte follows.
const FOLLOWED: u64 = 0x8080_8080_8080_8080;

/// Appends a number as LEB128: seven bits a byte, the least first.
#[inline]
pub(crate) fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    if number >> 56 == 0 {
        // Bytes at once: those that are not zero and the first, all but the last of them followed.
        let bytes = spread(number);
        let bits = 64 - (bytes | 1).leading_zeros();
        let len = bits.div_ceil(8);
        let before = FOLLOWED & !(u64::MAX << (8 * (len - 1)));
        let end = out.len() + len as usize;
        out.extend_from_slice(&(bytes | before).to_le_bytes());
        out.truncate(end);
        return;
    }
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes such a number off the front.
#[inline]
pub(crate) fn take_varint(from: &mut &[u8]) -> Result<u64> {
    if let [byte @ ..0x80, rest @ ..] = *from {
        *from = rest;
        return Ok(u64::from(*byte));
    }
    if let Some(&bytes) = from.first_chunk() {
        let bytes = u64::from_le_bytes(bytes);
        let last = !bytes & FOLLOWED;
        if last != 0 {
            *from = &from[last.trailing_zeros() as usize / 8 + 1..];
            return Ok(gathered(bytes & (last ^ (last - 1)) & !FOLLOWED));
        }
    }
    take_long_varint(from)
}

/// Spreads 56 bits over eight bytes, seven in each.
fn spread(bits: u64) -> u64 {
    let bits = bits & 0x0FFF_FFFF | bits << 4 & 0x0FFF_FFFF << 32;
    let bits = bits & 0x3FFF_0000_3FFF | bits << 2 & 0x3FFF_0000_3FFF << 16;
    bits & 0x007F_007F_007F_007F | bits << 1 & 0x7F00_7F00_7F00_7F00
}

/// The other way round.
fn gathered(bytes: u64) -> u64 {
    let bits = bytes & 0x007F_007F_007F_007F | bytes >> 1 & 0x3F80_3F80_3F80_3F80;
    let bits = bits & 0x3FFF_0000_3FFF | bits >> 2 & 0x3FFF_0000_3FFF << 14;
    bits & 0x0FFF_FFFF | bits >> 4 & 0x0FFF_FFFF << 28
}

/// A number of more bytes, or near the end of all.
#[cold]
fn take_long_varint(from: &mut &[u8]) -> Result<u64> {
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

/// Appends a number of either sign, short if it is near zero.
pub(crate) fn push_signed(number: i64, out: &mut Vec<u8>) {
    push_varint((number << 1 ^ number >> 63) as u64, out);
}

/// Takes such a number off the front.
pub(crate) fn take_signed(from: &mut &[u8]) -> Result<i64> {
    let number = take_varint(from)?;
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}

/// Appends a wide number, short if it is near zero.
pub(crate) fn push_wide(number: i128, out: &mut Vec<u8>) {
    let low = number as i64;
    push_signed(low, out);
    push_signed((number.wrapping_sub(low.into()) >> 64) as i64, out);
}

/// Takes such a number off the front.
pub(crate) fn take_wide(from: &mut &[u8]) -> Result<i128> {
    let low = i128::from(take_signed(from)?);
    Ok((i128::from(take_signed(from)?) << 64).wrapping_add(low))
}

/// Appends bytes, with their number before them.
pub(crate) fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    push_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends what `write` appends, with its length before it.
pub(crate) fn push_len_before(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // Room for the length, as short as it mostly is.
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
    } else {
        let mut prefix = Vec::new();
        push_varint(len as u64, &mut prefix);
        out.splice(at..=at, prefix);
    }
}

/// Takes such bytes off the front.
pub(crate) fn take_bytes<'a>(from: &mut &'a [u8]) -> Result<&'a [u8]> {
    let len = take_len(from)?;
    let (bytes, rest) = from.split_at(len);
    *from = rest;
    Ok(bytes)
}

/// Takes the number of things that follow, each of which takes a byte at least: whatever the bytes
/// are, nobody reads or makes room for more than they could hold.
pub(crate) fn take_len(from: &mut &[u8]) -> Result<usize> {
    let len = take_varint(from)?;
    usize::try_from(len).ok().filter(|&len| len <= from.len()).ok_or_else(torn)
}

/// Takes a byte off the front.
pub(crate) fn take_byte(from: &mut &[u8]) -> Result<u8> {
    take_fixed(from).map(|[byte]| byte)
}

/// Takes so many bytes off the front.
pub(crate) fn take_fixed<const N: usize>(from: &mut &[u8]) -> Result<[u8; N]> {
    let (&bytes, rest) = from.split_first_chunk().ok_or_else(torn)?;
    *from = rest;
    Ok(bytes)
}

/// How a struct is saved: `{station: text, celsius: f64}`.
pub fn saved_fields<const N: usize>(fields: [(&str, Option<String>); N]) -> Option<String> {
    let fields = fields.into_iter().map(|(name, form)| Some(format!("{name}: {}", form?)));
    Some(format!("{{{}}}", fields.collect::<Option<Vec<_>>>()?.join(", ")))
}

/// How rows of this type are saved.
///
/// # Errors
///
/// [`ErrorKind::Checkpoint`] if they cannot be.
pub(crate) fn form_of<T: Record>() -> Result<String> {
    T::saved_as().ok_or_else(|| {
        let name = name_of::<T>();
        let message = format!(
            "a checkpoint cannot hold `{name}`: it holds structs that derive `Record`, and as \
             `Saved<T>` in the place of `Row<T>` whatever has serde's traits"
        );
        Error::new(ErrorKind::Checkpoint, message)
    })
}

/// The name of a type without paths, which nobody should have to keep.
pub(crate) fn name_of<T: ?Sized>() -> String {
    let name = type_name::<T>();
    let parts = name.split_inclusive(|at: char| !at.is_alphanumeric() && !"_:".contains(at));
    parts.map(|part| part.rsplit("::").next().unwrap_or(part)).collect()
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
        let near = (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1, (1 << bit) + 1]);
        for number in near.chain([0, 0x0102_0408_1020_4081, u64::MAX]) {
            let mut bytes = vec![9; 3];
            push_varint(number, &mut bytes);
            let bytes = bytes.split_off(3);
            let bits = u64::BITS - number.leading_zeros();
            assert_eq!(bytes.len() as u32, bits.div_ceil(7).max(1), "{number}");
            assert!(bytes.iter().rev().skip(1).all(|byte| byte & 0x80 != 0));
            for follows in 0..10 {
                let mut rest = &[&bytes[..], &vec![0xFF; follows]].concat()[..];
                assert_eq!(take_varint(&mut rest).unwrap(), number);
                assert_eq!(rest.len(), follows);
            }
            assert!(take_varint(&mut &bytes[..bytes.len() - 1]).is_err());
        }
        assert!(take_varint(&mut [0xFF; 11].as_slice()).is_err());
    }

    #[test]
    fn wide_numbers_come_back() {
        let half = i128::from(i64::MAX);
        for number in [0, -1, half, half + 1, -half - 2, i128::MAX, i128::MIN, i128::MIN + 1] {
            let mut bytes = Vec::new();
            push_wide(number, &mut bytes);
            assert_eq!(take_wide(&mut bytes.as_slice()).unwrap(), number);
        }
    }

    #[test]
    fn numbers_of_either_sign_come_back() {
        for (number, len) in [(0, 1), (-1, 1), (63, 1), (-64, 1), (i64::MIN, 10), (i64::MAX, 10)] {
            let mut bytes = Vec::new();
            push_signed(number, &mut bytes);
            assert_eq!(bytes.len(), len);
            assert_eq!(take_signed(&mut bytes.as_slice()).unwrap(), number);
        }
    }
}
