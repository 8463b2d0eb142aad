//! Random batches of pairs: some empty, some absent, with one key, with few keys of which some come
//! more often, with many keys, and with keys that never come again.

use crate::random::Random;

pub(crate) type Pair = (i64, i64);

/// A batch: its partitions, or none.
pub(crate) type Input = Option<Vec<Vec<Pair>>>;

/// Batches with keys that come and go.
pub(crate) fn random_inputs(random: &mut Random) -> Vec<Input> {
    let keys = [1, 3, 40, 3_000][random.below(4)];
    let batches = random.between(3, 30);
    let input = |random: &mut Random, batch: usize| match random.below(8) {
        0 => None,
        1 => Some(vec![vec![]]),
        kind => {
            let rows = if keys > 1_000 { 400 } else { 12 };
            // Sometimes keys that never come again, so that dead ones pile up.
            let base = if kind == 2 { 10_000 * batch } else { 0 };
            let row = |random: &mut Random| {
                // The lesser of two: small keys come more often.
                let key = random.below(keys).min(random.below(keys));
                let key = (base + key) as i64;
                (key, random.below(100) as i64 - 50)
            };
            let partition = |random: &mut Random| -> Vec<Pair> {
                (0..random.below(rows)).map(|_| row(random)).collect()
            };
            Some((0..random.between(1, 3)).map(|_| partition(random)).collect())
        }
    };
    (0..batches).map(|batch| input(random, batch)).collect()
}
