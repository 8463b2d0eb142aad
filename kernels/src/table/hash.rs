//! Keys to words and words to tags: a key of up to 48 bytes is its own words, zero-padded, and its
//! tag is 56 bits of hash over a byte for the length, so a key never equals a shorter twin that it
//! extends by NULs. The seed is random, once per process: tables of one process can be merged, and
//! nobody outside can choose keys that collide.
//!
//! The hash is the folded multiplication of wyhash (Wang Yi) and foldhash (Orson Peters).

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// Longest key that fits the two words of a short slot.
pub(super) const SHORT: usize = 16;

/// Longest key that fits the six words of a middle slot.
pub(super) const MIDDLE: usize = 48;

/// The hash of a key without its lowest byte, which says how long the key is; never zero.
pub(super) type Tag = u64;

/// The length byte of keys that do not fit a slot.
const LONG_MARK: u64 = 0xFF;

/// The process's random numbers.
#[derive(Copy, Clone, Debug)]
pub(super) struct Seed {
    words: [u64; 4],
    #[cfg(test)]
    collide: bool,
}

impl Seed {
    pub(super) fn of_process() -> Seed {
        static WORDS: OnceLock<[u64; 4]> = OnceLock::new();
        Seed::of(*WORDS.get_or_init(|| {
            let entropy = RandomState::new();
            [0, 1, 2, 3].map(|index| entropy.hash_one(index))
        }))
    }

    /// The seed of random words.
    pub(super) fn of(words: [u64; 4]) -> Seed {
        Seed {
            // Odd, so that no multiplication loses a bit.
            words: words.map(|word| word | 1),
            #[cfg(test)]
            collide: false,
        }
    }

    /// A seed under which all keys of one length have one tag.
    #[cfg(test)]
    pub(super) fn colliding() -> Seed {
        Seed { collide: true, ..Seed::of_process() }
    }

    /// The tag of a key of up to 16 bytes. With a length of 17, which stands for every longer key,
    /// it is a tag that no slot of the short class has.
    #[inline(always)]
    pub(super) fn short(&self, words: [u64; 2], len: u32) -> Tag {
        self.tag(self.two(words), u64::from(len) + 1)
    }

    /// The tag of a key of 17 to 48 bytes.
    #[inline(always)]
    pub(super) fn middle(&self, [a, b, c, d, e, f]: [u64; 6], len: usize) -> Tag {
        let hash = self.more(self.more(self.two([a, b]), [c, d]), [e, f]);
        self.tag(hash, len as u64 + 1)
    }

    /// The tag of a longer key.
    pub(super) fn long(&self, key: &[u8]) -> Tag {
        let (chunks, _) = key.as_chunks::<16>();
        let chunks = chunks.iter().chain(key.last_chunk());
        let hash = chunks.fold(key.len() as u64, |hash, chunk| self.more(hash, words(chunk)));
        self.tag(hash, LONG_MARK)
    }

    #[inline(always)]
    fn two(&self, [a, b]: [u64; 2]) -> u64 {
        folded_product(a ^ self.words[0], b ^ self.words[1])
    }

    #[inline(always)]
    fn more(&self, hash: u64, [a, b]: [u64; 2]) -> u64 {
        folded_product(hash ^ a ^ self.words[2], b ^ self.words[3])
    }

    #[inline(always)]
    fn tag(&self, hash: u64, length_mark: u64) -> Tag {
        #[cfg(test)]
        if self.collide {
            return length_mark;
        }
        hash & !0xFF | length_mark
    }
}

#[inline(always)]
fn folded_product(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The length of a key in a slot, from its tag's length mark.
#[inline(always)]
pub(super) fn len_of(mark: u8) -> usize {
    usize::from(mark) - 1
}

/// The words of a key of any length up to theirs, zero-padded.
#[inline]
pub(super) fn load_padded<const W: usize>(key: &[u8]) -> [u64; W] {
    let mut words = [0; W];
    let (chunks, rest) = key.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words[chunks.len()] = u64::from_le_bytes(last);
    }
    words
}

#[inline(always)]
pub(super) fn words(chunk: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*chunk);
    [both as u64, (both >> 64) as u64]
}
