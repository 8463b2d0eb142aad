//! A file of the intake log as bytes.
//!
//! ```text
//! header   magic 8, version 4, length of the source's name 4, the name, checksum 4 of all before
//! block    marker 4, length 4, number 8, number of the block before 8, checksum 4 of the file's
//!          salt and all but the marker, the bytes: its head and its rows
//! mark     the same of no bytes, with the block's number twice: all up to it was synced
//! ```
//!
//! Numbers are little-endian. They may leave some out: blocks that came into a checkpoint and never
//! into the log; the number of the block before tells those from blocks that were lost. A block
//! that is damaged or torn is passed over: the search for the next marker finds what comes after
//! it, and its checksum says whether it is one. The salt is in the file's name: one half is made up
//! for it, so that no data that comes can hold what is taken for a block, and the other one tells
//! the directory whose log it is. The mark after the last block
//! tells one that was damaged later from one that was never written to its end. Beside each file is
//! one with the same header and marks only, so that a file that is cut short is known by that.

use std::ops::Range;

use memchr::memmem;

use crate::config::LOGGED_BYTES_MAX;

const MAGIC: &[u8; 8] = b"tidelog\n";

/// Changes with what is in the files.
const VERSION: u32 = 4;

/// Begins a block. No text has these bytes, so they are seldom found where no block begins.
const MARKER: [u8; 4] = [0xFF, 0xFE, 0xB1, 0x0C];

/// No block has a greater number: what comes after it can still be counted.
const NUMBER_MAX: u64 = 1 << 62;

/// Bytes before those of the block.
pub(super) const PREFIX_BYTES: usize = 28;

/// What a file begins with.
pub(super) fn header(source: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(source.len() as u32).to_le_bytes());
    bytes.extend_from_slice(source.as_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// What is said by the header of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header<'a> {
    /// The name of the source.
    Source(&'a str),
    /// Another version than this program's.
    Version(u32),
    /// It is torn or damaged. What comes after it may be whole.
    Unreadable,
}

/// The header, and where the blocks begin.
pub(super) fn read_header(bytes: &[u8]) -> (Header<'_>, usize) {
    let unreadable = (Header::Unreadable, 0);
    let Some(rest) = bytes.strip_prefix(MAGIC) else { return unreadable };
    let (Some(version), Some(len)) = (word(rest, 0), word(rest, 4)) else { return unreadable };
    let end = MAGIC.len() + 8 + len as usize;
    let Some(checksum) = word(bytes, end) else { return unreadable };
    if crc32fast::hash(&bytes[..end]) != checksum {
        return unreadable;
    }
    if version != VERSION {
        return (Header::Version(version), end + 4);
    }
    match std::str::from_utf8(&bytes[MAGIC.len() + 8..end]) {
        Ok(source) => (Header::Source(source), end + 4),
        Err(_) => unreadable,
    }
}

/// What says that all up to a block was synced.
pub(super) fn mark(salt: u64, number: u64) -> [u8; PREFIX_BYTES] {
    prefix(salt, number, number, &[], &[])
}

/// What is written before the bytes of a block, its head and its rows.
pub(super) fn prefix(
    salt: u64,
    number: u64,
    before: u64,
    head: &[u8],
    rows: &[u8],
) -> [u8; PREFIX_BYTES] {
    let mut prefix = [0; PREFIX_BYTES];
    prefix[..4].copy_from_slice(&MARKER);
    prefix[4..8].copy_from_slice(&((head.len() + rows.len()) as u32).to_le_bytes());
    prefix[8..16].copy_from_slice(&number.to_le_bytes());
    prefix[16..24].copy_from_slice(&before.to_le_bytes());
    let checksum = checksum(salt, &prefix[4..24], head, rows);
    prefix[24..].copy_from_slice(&checksum.to_le_bytes());
    prefix
}

/// A whole block in a file, or a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    /// The number of the block before it.
    pub(super) before: u64,
    /// Where its bytes are.
    pub(super) range: Range<usize>,
}

impl Block {
    pub(super) fn is_mark(&self) -> bool {
        self.before == self.number
    }
}

/// The next whole block or mark at or after a place, in a file with this salt.
pub(super) fn next_block(salt: u64, bytes: &[u8], mut at: usize) -> Option<Block> {
    loop {
        at += memmem::find(bytes.get(at..)?, &MARKER)?;
        if let Some(found) = block_at(salt, bytes, at) {
            return Some(found);
        }
        at += 1;
    }
}

fn block_at(salt: u64, bytes: &[u8], at: usize) -> Option<Block> {
    let prefix = bytes.get(at..at + PREFIX_BYTES)?;
    let len = word(prefix, 4)? as usize;
    // More is no block of ours, and need not be hashed.
    if len > LOGGED_BYTES_MAX {
        return None;
    }
    let from = at + PREFIX_BYTES;
    let block = bytes.get(from..from + len)?;
    let number = |at| Some(u64::from_le_bytes(prefix[at..at + 8].try_into().ok()?));
    let (number, before) = (number(8)?, number(16)?);
    let is_possible = number <= NUMBER_MAX && before <= number && (before < number || len == 0);
    let is_whole = is_possible && checksum(salt, &prefix[4..24], &[], block) == word(prefix, 24)?;
    is_whole.then_some(Block { number, before, range: from..from + len })
}

fn checksum(salt: u64, prefix: &[u8], head: &[u8], rows: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(prefix);
    hasher.update(head);
    hasher.update(rows);
    hasher.finalize()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}
