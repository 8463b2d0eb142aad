//! Which rows of a batch have a key that another one has, too: known before the first of them is
//! looked up, so that a key's function can be called at once, while its state is in the cache.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::table::ROWS;
use crate::record::{Columns, Key, hash_of};

/// The rows of a batch, by the hashes of their keys.
#[derive(Default)]
pub(super) struct Repeats {
    hashes: Vec<u64>,
    /// The first row of each hash.
    first_rows: HashTable<u32>,
    /// The first row of each row's hash, where there are several, or `ALONE`.
    first_of: Vec<u32>,
    /// The rows that are not the first ones of their hashes, after those first ones.
    again: Vec<(u32, u32)>,
}

/// A row whose hash no other one has. A batch has fewer rows.
const ALONE: u32 = u32::MAX;

/// The rows with a row's key.
pub(super) enum WithKey<R> {
    /// It is the only one.
    One,
    /// It is the first one, and these follow.
    First(R),
    /// It is not the first one.
    Later,
}

impl Repeats {
    /// Reads the keys of a batch.
    pub(super) fn read<K: Key>(&mut self, keys: &K::Columns) {
        // What one large batch needed is not kept for ever, nor emptied for small ones.
        if self.hashes.capacity() > 8 * keys.len().max(ROWS) {
            *self = Repeats::default();
        }
        let Repeats { hashes, first_rows, first_of, again } = self;
        hashes.clear();
        first_rows.clear();
        first_of.clear();
        again.clear();
        hashes.extend((0..keys.len()).map(|row| hash_of::<K>(keys.get(row))));
        first_of.resize(hashes.len(), ALONE);
        first_rows.reserve(hashes.len(), |&row| hashes[row as usize]);
        for (row, &hash) in hashes.iter().enumerate() {
            let hash_of_row = |&row: &u32| hashes[row as usize];
            match first_rows.entry(hash, |row| hash_of_row(row) == hash, hash_of_row) {
                Entry::Vacant(vacant) => drop(vacant.insert(row as u32)),
                Entry::Occupied(first) => {
                    let first = *first.get();
                    first_of[first as usize] = first;
                    first_of[row] = first;
                    again.push((first, row as u32));
                }
            }
        }
        again.sort_unstable();
    }

    /// The hash of each row's key.
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The rows with the key of this one, which are found among those with its hash.
    #[inline]
    pub(super) fn with_key<'a, K: Key>(
        &'a self,
        keys: &'a K::Columns,
        row: u32,
    ) -> WithKey<impl Iterator<Item = u32> + use<'a, K>> {
        let first = self.first_of[row as usize];
        if first == ALONE {
            return WithKey::One;
        }
        let start = self.again.partition_point(|&(of, _)| of < first);
        let again = self.again[start..].iter().take_while(move |&&(of, _)| of == first);
        let all = std::iter::once(first).chain(again.map(|&(_, row)| row));
        // A row has its own key even where an equality of a program's own says otherwise.
        let is_same = move |&other: &u32| {
            other == row || K::same(keys.get(other as usize), keys.get(row as usize))
        };
        let mut rows = all.filter(is_same).peekable();
        match rows.next() {
            Some(first) if first == row && rows.peek().is_none() => WithKey::One,
            Some(first) if first == row => WithKey::First(rows),
            _ => WithKey::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{Hash, Hasher};

    use super::*;
    use crate::record::{Record, Row};

    /// One whose hash says next to nothing, as a program's own may.
    #[derive(Clone, PartialEq, Eq)]
    struct Poor(u64);

    impl Hash for Poor {
        fn hash<H: Hasher>(&self, state: &mut H) {
            (self.0 % 2).hash(state);
        }
    }

    fn check<K: Key>(repeats: &mut Repeats, numbers: &[u64], key: impl Fn(u64) -> K) {
        let mut keys = K::Columns::default();
        numbers.iter().for_each(|&number| keys.push(key(number).to_ref()));
        repeats.read::<K>(&keys);
        assert_eq!(repeats.hashes().len(), numbers.len());
        for (row, number) in numbers.iter().enumerate() {
            assert_eq!(repeats.hashes()[row], hash_of::<K>(keys.get(row)));
            let rows = (0u32..).zip(numbers).filter(|(_, other)| *other == number);
            let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
            match repeats.with_key::<K>(&keys, row as u32) {
                WithKey::One => assert_eq!(rows, [row as u32]),
                WithKey::First(later) => {
                    assert!(rows.len() > 1 && rows[0] == row as u32);
                    assert!(later.eq(rows[1..].iter().copied()));
                }
                WithKey::Later => assert!(rows[0] < row as u32),
            }
        }
    }

    #[test]
    fn what_a_large_batch_needed_is_given_back() {
        let mut repeats = Repeats::default();
        let large: Vec<u64> = (0..100 * ROWS as u64).collect();
        check_all(&mut repeats, &large);
        let held = |repeats: &Repeats| (repeats.hashes.capacity(), repeats.first_rows.capacity());
        assert!(held(&repeats).0 >= large.len() && held(&repeats).1 >= large.len());
        check_all(&mut repeats, &large[..20 * ROWS]);
        assert!(held(&repeats).0 >= large.len(), "as long as it is of use");
        check_all(&mut repeats, &large[..1]);
        assert!(held(&repeats).0 < ROWS && held(&repeats).1 < ROWS);
    }

    /// All of these numbers are other ones.
    fn check_all(repeats: &mut Repeats, numbers: &[u64]) {
        let mut keys = <u64 as Record>::Columns::default();
        numbers.iter().for_each(|&number| keys.push(number));
        repeats.read::<u64>(&keys);
        for row in 0..numbers.len() as u32 {
            assert!(matches!(repeats.with_key::<u64>(&keys, row), WithKey::One));
        }
    }

    #[test]
    fn rows_with_the_same_key() {
        let mut repeats = Repeats::default();
        let mut random = 1u64;
        for distinct in [1, 2, 7, 40, 1000, 1 << 40] {
            for len in [0, 1, 2, 63, 200] {
                let numbers: Vec<u64> = (0..len)
                    .map(|_| {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (random >> 20) % distinct
                    })
                    .collect();
                check(&mut repeats, &numbers, |number| number);
                check(&mut repeats, &numbers, |number| number.to_string());
                check(&mut repeats, &numbers, |number| Row(Poor(number)));
            }
        }
    }
}
