//! A position as what has changed since the one before: of a directory with many files most stays
//! the same from one checkpoint to the next.
//!
//! ```text
//! varint: length of the position that it stands on, 0 if it stands by itself
//! and then, until its end, runs of
//! varint: where in that one bytes are kept, varint: how many
//! varint: how many new bytes follow, the bytes
//! ```

use std::ops::Range;

use hashbrown::HashMap;

use crate::error::Result;
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint, torn};

/// Bytes that have to be the same for a match to be found: less than an entry of a file has, more
/// than it takes to say where it is.
const BLOCK_BYTES: usize = 32;

/// The multiplier of the hash that rolls over them: any odd number without a pattern.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bytes that are in both.
#[derive(Copy, Clone)]
struct Kept {
    from: usize,
    to: usize,
    len: usize,
}

/// What makes `after` of `before`.
pub(super) fn between(before: &[u8], after: &[u8]) -> Vec<u8> {
    let prefix = same_len(before.iter().zip(after));
    let suffix = same_len(before[prefix..].iter().rev().zip(after[prefix..].iter().rev()));
    let (before_end, after_end) = (before.len() - suffix, after.len() - suffix);
    let mut kept = vec![Kept { from: 0, to: 0, len: prefix }];
    find_kept((before, prefix..before_end), (after, prefix..after_end), &mut kept);
    kept.push(Kept { from: before_end, to: after_end, len: suffix });
    let mut delta = Vec::new();
    push_varint(before.len() as u64, &mut delta);
    for (at, run) in kept.iter().enumerate() {
        let next = kept.get(at + 1).map_or(after.len(), |next| next.to);
        let new = &after[run.to + run.len..next];
        if run.len + new.len() > 0 {
            push_varint(run.from as u64, &mut delta);
            push_varint(run.len as u64, &mut delta);
            push_bytes(new, &mut delta);
        }
    }
    delta
}

/// The position that a delta makes of the one that it stands on.
pub(super) fn apply(before: &[u8], mut delta: &[u8]) -> Result<Vec<u8>> {
    let (before_len, len) = lens(delta)?;
    if before_len != before.len() as u64 {
        return Err(torn());
    }
    let mut after = Vec::with_capacity(usize::try_from(len).map_err(|_| torn())?);
    take_varint(&mut delta)?;
    while !delta.is_empty() {
        let (kept, new) = take_run(&mut delta)?;
        after.extend_from_slice(before.get(kept).ok_or_else(torn)?);
        after.extend_from_slice(new);
    }
    Ok(after)
}

/// The lengths of the position that a delta stands on, and of the one that it makes.
pub(super) fn lens(mut delta: &[u8]) -> Result<(u64, u64)> {
    let (before_len, mut len) = (take_varint(&mut delta)?, 0u64);
    while !delta.is_empty() {
        let (kept, new) = take_run(&mut delta)?;
        if kept.end as u64 > before_len {
            return Err(torn());
        }
        len = len.checked_add((kept.len() + new.len()) as u64).ok_or_else(torn)?;
    }
    Ok((before_len, len))
}

fn take_run<'a>(delta: &mut &'a [u8]) -> Result<(Range<usize>, &'a [u8])> {
    let mut number = || usize::try_from(take_varint(delta)?).map_err(|_| torn());
    let (from, len) = (number()?, number()?);
    let end = from.checked_add(len).ok_or_else(torn)?;
    Ok((from..end, take_bytes(delta)?))
}

fn same_len<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    pairs.take_while(|(one, other)| one == other).count()
}

/// Finds what of one range is in the other, as `rsync` does: blocks of the first are looked for at
/// each place of the second, by a hash that rolls on.
fn find_kept(
    (before, from): (&[u8], Range<usize>),
    (after, to): (&[u8], Range<usize>),
    kept: &mut Vec<Kept>,
) {
    if from.len().min(to.len()) < BLOCK_BYTES {
        return;
    }
    let mut blocks = HashMap::new();
    for at in from.clone().step_by(BLOCK_BYTES).filter(|at| at + BLOCK_BYTES <= from.end) {
        blocks.entry(hash(&before[at..at + BLOCK_BYTES])).or_insert(at);
    }
    // What the oldest byte of a block is multiplied with in its hash.
    let oldest = MULTIPLIER.wrapping_pow(BLOCK_BYTES as u32 - 1);
    let (mut at, mut end) = (to.start, to.start);
    let mut rolling = hash(&after[at..at + BLOCK_BYTES]);
    loop {
        let block = blocks.get(&rolling).copied();
        let len = block.map_or(0, |from_at| {
            same_len(before[from_at..from.end].iter().zip(&after[at..to.end]))
        });
        let step = if let Some(from_at) = block
            && len >= BLOCK_BYTES
        {
            let earlier = before[from.start..from_at].iter().rev().zip(after[end..at].iter().rev());
            let earlier = same_len(earlier);
            kept.push(Kept { from: from_at - earlier, to: at - earlier, len: len + earlier });
            end = at + len;
            len
        } else {
            1
        };
        if at + step + BLOCK_BYTES > to.end {
            return;
        }
        rolling = if step == 1 {
            let without = rolling.wrapping_sub(u64::from(after[at]).wrapping_mul(oldest));
            let next = u64::from(after[at + BLOCK_BYTES]);
            without.wrapping_mul(MULTIPLIER).wrapping_add(next)
        } else {
            hash(&after[at + step..at + step + BLOCK_BYTES])
        };
        at += step;
    }
}

fn hash(block: &[u8]) -> u64 {
    let push = |hash: u64, &byte: &u8| hash.wrapping_mul(MULTIPLIER).wrapping_add(byte.into());
    block.iter().fold(0, push)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A position of files: entries of about fifty bytes.
    fn entries(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
        let entry = |number: u32| format!("{:>24}{number:>8}{:>16}", number ^ 0x5A5A, number * 7);
        numbers.flat_map(|number| entry(number).into_bytes()).collect()
    }

    #[track_caller]
    fn check(before: &[u8], after: &[u8]) -> usize {
        let delta = between(before, after);
        assert_eq!(lens(&delta).unwrap(), (before.len() as u64, after.len() as u64));
        assert!(apply(before, &delta).unwrap() == after);
        for end in 0..delta.len().min(64) {
            // A piece of it is never all of it, and no panic.
            assert!(apply(before, &delta[..end]).map_or(true, |piece| piece != after));
        }
        assert!(apply(&[before, &[0]].concat(), &delta).is_err());
        delta.len()
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_all_that_is_written() {
        let all = entries(0..10_000);
        assert!(check(&[], &all) < all.len() + 10);
        assert!(check(&all, &all) < 16);
        assert!(check(&all, &[]) < 8);
        // At the end, at the front, in the middle, and all at once.
        assert!(check(&all, &entries(0..10_001)) < 80);
        assert!(check(&all, &entries(7..10_000)) < 16);
        let holes = |number: &u32| ![77, 5_000, 8_001].contains(number);
        let later = entries((3..10_000).filter(holes).chain(20_000..20_002));
        assert!(check(&all, &later) < 300);
        // Other tails, which change each time.
        let [one, other] = [1u8, 2].map(|tail| [&all[..], &[tail; 9]].concat());
        assert!(check(&one, &other) < 40);
        let moved = [&all[all.len() / 2..], &all[..all.len() / 2]].concat();
        assert!(check(&all, &moved) < 100);
    }

    #[test]
    fn any_bytes_come_back() {
        let mut random = 1u64;
        let mut next = |end: usize| {
            // Xorshift64 (Marsaglia 2003).
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % end as u64) as usize
        };
        for _ in 0..2_000 {
            let letters = 1 + next(3);
            let mut bytes = |max: usize| {
                let len = next(max);
                (0..len).map(|_| next(letters) as u8).collect::<Vec<u8>>()
            };
            let before = bytes(200);
            let mut after = before.clone();
            let new = bytes(70);
            let at = next(before.len() + 1);
            let end = at + next(before.len() - at + 1);
            after.splice(at..end, new);
            check(&before, &after);
            check(&after, &before[at..]);
        }
    }

    #[test]
    fn a_delta_of_anything_else_is_torn() {
        let delta = between(b"0123456789", b"01234567");
        assert!(apply(b"0123", &delta).is_err());
        for len in 0..4 {
            let _ = lens(&[0xFF; 11][..len]).unwrap_err();
        }
        // More is kept than there is.
        let mut beyond = Vec::new();
        [4, 2, 3, 0].iter().for_each(|&number| push_varint(number, &mut beyond));
        assert!(apply(b"abcd", &beyond).is_err() && lens(&beyond).is_err());
    }
}
