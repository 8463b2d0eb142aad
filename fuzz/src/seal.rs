//! Checksums, put right after a file was edited: else the fuzzer would only ever see that they are
//! wrong. Where they are, `src/engine/checkpoint/format.rs` and `src/source/log/segment.rs` say.

use std::path::Path;

const CHECKPOINT_HEADER: usize = 96;

/// Makes the body's length and both checksums of a checkpoint right.
pub fn checkpoint(_: &Path, bytes: &mut Vec<u8>) {
    let Some((header, body)) = bytes.split_at_mut_checked(CHECKPOINT_HEADER) else { return };
    header[80..88].copy_from_slice(&(body.len() as u64).to_le_bytes());
    header[88..92].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&header[..92]);
    header[92..].copy_from_slice(&checksum.to_le_bytes());
}

const MARKER: [u8; 4] = [0xFF, 0xFE, 0xB1, 0x0C];
const PREFIX: usize = 28;

/// Makes the checksums of a log's header and of its blocks right, as long as their lengths are.
pub fn intake_log(path: &Path, bytes: &mut Vec<u8>) {
    let salt = path.file_stem().and_then(|stem| stem.to_str()?.rsplit('-').next());
    let Some(salt) = salt.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else { return };
    let mut at = seal_header(bytes).unwrap_or(0);
    while let Some(found) = bytes[at..].windows(4).position(|four| four == MARKER) {
        at += found;
        at = seal_block(bytes, at, salt).unwrap_or(at + 1);
    }
}

/// Returns where the header ends.
fn seal_header(bytes: &mut [u8]) -> Option<usize> {
    let end = 16 + word(bytes, 12)? as usize;
    let checksum = crc32fast::hash(bytes.get(..end)?);
    bytes.get_mut(end..end + 4)?.copy_from_slice(&checksum.to_le_bytes());
    Some(end + 4)
}

/// Returns where the block ends.
fn seal_block(bytes: &mut [u8], at: usize, salt: u64) -> Option<usize> {
    let end = at + PREFIX + word(bytes, at + 4)? as usize;
    let block = bytes.get(at + PREFIX..end)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&bytes[at + 4..at + 24]);
    hasher.update(block);
    let checksum = hasher.finalize();
    bytes[at + 24..at + PREFIX].copy_from_slice(&checksum.to_le_bytes());
    Some(end)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
