//! The group table against an ordered map: every use of it, with the process's seed and with one
//! under which all keys of a length collide.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::text::{each_text, rows};
use super::{Random, naive};
use crate::{HashIndex, Level, Span, Split, TableError, TextBuffer, TextTable};

type Model = BTreeMap<Vec<u8>, i64>;

fn model_of(table: &TextTable) -> Model {
    let mut model = Model::new();
    table.for_each(|key, value| {
        assert!(model.insert(key.to_vec(), value).is_none(), "{key:?} twice")
    });
    assert_eq!(model.len(), table.len());
    model
}

fn counts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Model {
    let mut model = Model::new();
    parts.into_iter().for_each(|part| *model.entry(part.to_vec()).or_default() += 1);
    model
}

fn tables(level: Level, max_keys: usize) -> [TextTable; 2] {
    [TextTable::new_at(level, max_keys), TextTable::colliding_at(level, max_keys)]
}

/// Keys in one text, and their spans.
fn column<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<Span>) {
    let mut text = Vec::new();
    let spans = keys.into_iter().map(|key| {
        text.extend_from_slice(key);
        Span { start: (text.len() - key.len()) as u32, len: key.len() as u32 }
    });
    let spans = spans.collect();
    (text, spans)
}

pub(super) fn all(level: Level) {
    fused_counts(level);
    keys_of_every_length(level);
    growth(level);
    merges(level);
    large_merges(level);
    limits(level);
}

fn fused_counts(level: Level) {
    let mut table = TextTable::new_at(level, 100_000);
    each_text(|name, text| {
        let rows = rows(text);
        for split in [b' ', b'\n', b'\r', 0].map(Split::Byte).into_iter().chain([Split::Whitespace])
        {
            let parts = |row| match split {
                Split::Byte(byte) => naive::split_byte(row, byte),
                Split::Whitespace => naive::split_whitespace(row),
            };
            table.clear();
            table.count_lines(text, split).unwrap();
            let expected = counts(naive::lines(text).into_iter().flat_map(parts));
            let context = || format!("{name} at {level:?}, {split:?}: {}", text.escape_ascii());
            assert_eq!(model_of(&table), expected, "{}", context());
            table.clear();
            table.count_rows(text, &rows, split).unwrap();
            let expected = counts(rows.iter().flat_map(|row| parts(&text[row.range()])));
            assert_eq!(model_of(&table), expected, "{}", context());
        }
    });
}

fn keys_of_every_length(level: Level) {
    // Twins that differ in the last byte, in the first, and by NULs at the end.
    let keys: Vec<Vec<u8>> = (0..260)
        .flat_map(|length| {
            [
                vec![0; length],
                vec![b'k'; length],
                [vec![b'k'; length], vec![b'l']].concat(),
                [vec![b'l'], vec![b'k'; length]].concat(),
            ]
        })
        .collect();
    // The last keys of the text end where it does.
    for last in 0..keys.len() {
        let (text, spans) = column(keys[..=last].iter().map(Vec::as_slice));
        if last % 37 != 0 {
            continue;
        }
        for mut table in tables(level, 10_000) {
            table.count(&text, &spans).unwrap();
            table.count(&text, &spans).unwrap();
            let mut expected = counts(keys[..=last].iter().map(Vec::as_slice));
            expected.values_mut().for_each(|count| *count *= 2);
            assert_eq!(model_of(&table), expected, "{level:?}");
            assert!(table.memory_bytes() > 0);
        }
    }
}

fn growth(level: Level) {
    // In unit tests a class is dense from 480 keys on, or 240 of the middle class.
    let keys: Vec<Vec<u8>> = (0..6_000u32)
        .map(|number| match number % 7 {
            0 => format!("a key past the first slot size {number}").into_bytes(),
            1 => format!("{number:060} and one for the arena").into_bytes(),
            _ => number.to_string().into_bytes(),
        })
        .collect();
    let (text, spans) = column(keys.iter().map(Vec::as_slice));
    for (table, limit) in tables(level, 10_000).into_iter().zip([keys.len(), 700]) {
        let mut table = table;
        let (spans, keys) = (&spans[..limit], &keys[..limit]);
        let mut ids = vec![7];
        table.ids(&text, spans, &mut ids).unwrap();
        let in_order: Vec<u32> = (0..limit as u32).collect();
        assert_eq!(ids[1..], in_order, "new keys, {level:?}");
        ids.clear();
        table.ids(&text, spans, &mut ids).unwrap();
        assert_eq!(ids, in_order, "known keys, {level:?}");
        let (mut buffer, mut by_id) = (TextBuffer::new(), Vec::new());
        table.keys_by_id(&mut buffer, &mut by_id);
        for (span, key) in by_id.iter().zip(keys) {
            assert_eq!(buffer.str(*span).as_bytes(), key);
        }
        table.clear();
        assert!(table.is_empty());
        table.sum(&text, spans, &vec![3; limit]).unwrap();
        let (mut buffer, mut rows, mut sums) = (TextBuffer::new(), Vec::new(), Vec::new());
        table.emit(&mut buffer, &mut rows, &mut sums);
        let emitted: Model =
            rows.iter().zip(&sums).map(|(row, sum)| (buffer.str(*row).into(), *sum)).collect();
        assert_eq!(emitted, keys.iter().map(|key| (key.clone(), 3)).collect());
        // Some rows of a batch find the table in lines, the others do not.
        for first in [1, 400, 650] {
            table.clear();
            let first = &spans[..first.min(limit)];
            table.count(&text, first).unwrap();
            table.count(&text, spans).unwrap();
            table.count(&text, &spans[limit - 1..]).unwrap();
            let mut expected = counts(keys.iter().map(Vec::as_slice));
            for key in &keys[..first.len()] {
                *expected.get_mut(key).unwrap() += 1;
            }
            *expected.get_mut(&keys[limit - 1]).unwrap() += 1;
            assert_eq!(model_of(&table), expected, "{} first, {level:?}", first.len());
        }
        let held = table.memory_bytes();
        for _ in 0..20 {
            table.clear();
            table.count(&text, &spans[..5]).unwrap();
            assert_eq!(model_of(&table), counts(keys[..5].iter().map(Vec::as_slice)));
        }
        assert!(table.memory_bytes() < held, "memory of a large batch is given back");
    }
}

/// The arena of long keys: not at the first small batch, and with all keys still in place.
#[test]
fn memory_of_a_batch_of_long_keys_is_given_back() {
    let keys: Vec<Vec<u8>> =
        (0..400u32).map(|key| format!("{key:0>width$}", width = 400).into_bytes()).collect();
    let (text, spans) = column(keys.iter().map(Vec::as_slice));
    let mut table = TextTable::new(1_000);
    table.count(&text, &spans).unwrap();
    let held = table.memory_bytes();
    // It grew by little steps, so most of it is keys.
    assert!((text.len()..2 * text.len()).contains(&(held - 40_000)), "{held} of {}", text.len());
    let mut after = Vec::new();
    for _ in 0..20 {
        table.clear();
        table.count(&text, &spans[..5]).unwrap();
        assert_eq!(model_of(&table), counts(keys[..5].iter().map(Vec::as_slice)));
        after.push(table.memory_bytes());
    }
    assert!(after[0] > text.len(), "the next batch may be as large");
    assert!(after[19] < held / 4, "memory of a large batch is given back: {after:?} of {held}");
    // A batch that is as large again finds its room again.
    table.clear();
    table.count(&text, &spans).unwrap();
    assert_eq!(model_of(&table), counts(keys.iter().map(Vec::as_slice)));
}

/// Of many batches some have a key whose search goes on at the first line: that is no reason to
/// grow.
#[test]
fn many_small_batches_hold_no_more_than_one() {
    let mut times: Vec<f64> = (0..7)
        .map(|seed| {
            let mut random = Random(seed);
            let mut table = TextTable::with_seed([0; 4].map(|_| random.next()), 10_000);
            let held: Vec<usize> = (0..1_000u32)
                .map(|batch| {
                    table.clear();
                    let keys: Vec<Vec<u8>> =
                        (0..400).map(|key| format!("{batch} {key}").into_bytes()).collect();
                    let (text, spans) = column(keys.iter().map(Vec::as_slice));
                    table.count(&text, &spans).unwrap();
                    table.memory_bytes()
                })
                .collect();
            held[999] as f64 / held[0] as f64
        })
        .collect();
    // Under one seed in ten these keys are spread so unevenly that some parts have to grow.
    times.sort_by(f64::total_cmp);
    assert!(times[3] < 2.5, "as much as at first, times {times:?}");
}

fn merges(level: Level) {
    let mut random = Random(5);
    let mut model = Model::new();
    let parts: Vec<[TextTable; 2]> = (0..3)
        .map(|_| {
            let keys: Vec<Vec<u8>> =
                (0..200).map(|_| "k".repeat(random.below(70)).into_bytes()).collect();
            let (text, spans) = column(keys.iter().map(Vec::as_slice));
            for key in keys {
                *model.entry(key).or_default() += 1;
            }
            tables(level, 1_000).map(|mut table| {
                table.count(&text, &spans).unwrap();
                table
            })
        })
        .collect();
    for (kind, mut merged) in tables(level, 1_000).into_iter().enumerate() {
        let mut partitions: Vec<TextTable> = (0..5).map(|_| merged.clone()).collect();
        for part in &parts {
            merged.merge(&part[kind]).unwrap();
            for (index, partition) in partitions.iter_mut().enumerate() {
                partition.merge_partition(&part[kind], index as u32, 5).unwrap();
            }
        }
        assert_eq!(model_of(&merged), model, "{level:?}");
        let mut together = Model::new();
        for partition in &partitions {
            for (key, value) in model_of(partition) {
                assert!(together.insert(key, value).is_none(), "a key in two partitions");
            }
        }
        assert_eq!(together, model, "{level:?}");
    }
}

/// Large tables into small ones and the other way round, in parts and in one: keys that come in the
/// order of their hashes must not pile up, and dense classes merge with those in lines.
fn large_merges(level: Level) {
    let key = |number: usize| match number % 5 {
        0 => format!("{number:030}").into_bytes(),
        1 => format!("{number:070}").into_bytes(),
        _ => number.to_string().into_bytes(),
    };
    let tables = [0..5_000, 2_000..2_100, 0..8_000].map(|numbers| {
        let keys: Vec<Vec<u8>> = numbers.map(key).collect();
        let (text, spans) = column(keys.iter().map(Vec::as_slice));
        let mut table = TextTable::new_at(level, 10_000);
        table.count(&text, &spans).unwrap();
        table
    });
    let mut expected = Model::new();
    let mut merged = TextTable::new_at(level, 10_000);
    let mut partitions = vec![merged.clone(); 3];
    for table in &tables {
        for (key, count) in model_of(table) {
            *expected.entry(key).or_default() += count;
        }
        merged.merge(table).unwrap();
        assert_eq!(model_of(&merged), expected, "{level:?}");
        for (index, partition) in partitions.iter_mut().enumerate() {
            partition.merge_partition(table, index as u32, 3).unwrap();
        }
    }
    let partitions = partitions.iter().flat_map(model_of).collect::<Model>();
    assert_eq!(partitions, expected, "{level:?}");
    let mut full = TextTable::new_at(level, 7_999);
    assert_eq!(full.merge(&tables[2]), Err(TableError::Full { limit: 7_999 }));
    assert_eq!(full.len(), 7_999);
}

fn limits(level: Level) {
    let keys: Vec<String> = (0..100).map(|number| "k".repeat(number)).collect();
    let (text, spans) = column(keys.iter().map(String::as_bytes));
    for mut table in tables(level, 60) {
        assert_eq!(table.count(&text, &spans), Err(TableError::Full { limit: 60 }));
        assert_eq!((table.len(), table.max_keys()), (60, 60));
        let mut ids = vec![1];
        assert!(table.ids(&text, &spans, &mut ids).is_err());
        assert_eq!(ids, [1]);
        table.clear();
        table.count(&text, &spans[40..]).unwrap();
        assert_eq!(model_of(&table), counts(keys[40..].iter().map(String::as_bytes)));
    }
    for mut table in tables(level, 10) {
        for length in [3, 20, 60] {
            let key = "k".repeat(length);
            let (text, spans) = column([key.as_bytes(), b"other"]);
            let overflow = Err(TableError::Overflow { key: key.as_bytes().into() });
            table.sum(&text, &spans, &[i64::MAX, 1]).unwrap();
            assert_eq!(table.sum(&text, &spans, &[1, 1]), overflow);
            let other = table.clone();
            assert_eq!(
                table.merge(&other),
                Err(TableError::Overflow { key: key.as_bytes().into() })
            );
            table.clear();
        }
    }
}

/// The index of hashes against an ordered map, with good hashes, with few, and with one.
#[test]
fn hash_index() {
    let hashes: [fn(u64) -> u64; 4] =
        [|key| Random(key).next(), |key| (key % 300) << 55, |key| key << 50, |_| u64::MAX];
    for (kind, hash) in hashes.into_iter().enumerate() {
        let mut index = HashIndex::new();
        let limit = if kind == 0 { 50_000 } else { 1_000 };
        for clears in 0..12 {
            let mut keys: Vec<u64> = Vec::new();
            let mut model: BTreeMap<u64, u32> = BTreeMap::new();
            let mut random = Random(clears);
            let rows = if clears < 2 { limit } else { 10 };
            for _ in 0..rows {
                let key = random.next() % (rows / 2);
                index.prefetch(hash(key));
                let found = index.find(hash(key), |number| keys[number as usize] == key);
                assert_eq!(found, model.get(&key).copied(), "hash {kind}");
                if found.is_none() {
                    let number = keys.len() as u32;
                    match index.search(hash(key), |number| keys[number as usize] == key) {
                        Err(vacancy) if number.is_multiple_of(2) => {
                            index.insert_at(vacancy, hash(key), number);
                        }
                        again => {
                            assert!(again.is_err(), "hash {kind}");
                            index.insert(hash(key), number);
                        }
                    }
                    keys.push(key);
                    model.insert(key, number);
                }
                assert_eq!(index.len(), model.len());
            }
            for (key, number) in &model {
                let found = index.find(hash(*key), |number| keys[number as usize] == *key);
                assert_eq!(found, Some(*number), "hash {kind}");
            }
            index.clear();
            assert!(index.is_empty());
            assert_eq!(index.find(hash(1), |_| true), None);
        }
        assert!(index.memory_bytes() < 100_000, "memory of many keys is given back");
    }
}

/// Keys that come, go and change their numbers, with good hashes, with few, and with one.
#[test]
fn hash_index_that_forgets() {
    let hashes: [fn(u64) -> u64; 4] = [
        |key| Random(key).next(),
        |key| (key % 97) << 53,
        // All in the last lines of a segment, from where clusters wrap around.
        |key| 0x0FFF_FFFF_0000_0000 | key << 6,
        |_| u64::MAX,
    ];
    for (kind, hash) in hashes.into_iter().enumerate() {
        let keys_max = if kind == 0 { 20_000 } else { 400 };
        let mut index = HashIndex::new();
        let mut model: BTreeMap<u64, u32> = BTreeMap::new();
        let mut key_of: Vec<u64> = Vec::new();
        let mut random = Random(kind as u64);
        for _ in 0..8 * keys_max {
            let key = random.next() % keys_max;
            let found = index.find(hash(key), |number| key_of[number as usize] == key);
            assert_eq!(found, model.get(&key).copied(), "hash {kind}");
            match (found, random.next() % 4) {
                (None, _) => {
                    index.insert(hash(key), key_of.len() as u32);
                    model.insert(key, key_of.len() as u32);
                    key_of.push(key);
                }
                (Some(number), 0) => {
                    let by = key_of.len() as u32;
                    assert!(index.replace(hash(key), number, by));
                    model.insert(key, by);
                    key_of.push(key);
                }
                (Some(number), _) => {
                    assert!(index.remove(hash(key), number));
                    assert!(!index.remove(hash(key), number), "it is gone");
                    model.remove(&key);
                }
            }
            assert_eq!(index.len(), model.len());
        }
        let mut guessed = [0; 2];
        for key in 0..keys_max {
            let found = index.find(hash(key), |number| key_of[number as usize] == key);
            assert_eq!(found, model.get(&key).copied(), "hash {kind}");
            let guesses = [index.guess(hash(key)), index.guess_after(hash(key))];
            for (guess, guessed) in guesses.iter().zip(&mut guessed) {
                *guessed += usize::from(guess.is_some() && *guess == found);
            }
            let is_there = |guess: &u32| model.contains_key(&key_of[*guess as usize]);
            assert!(guesses.iter().flatten().all(is_there), "guesses are of keys that are there");
        }
        if kind == 0 {
            let [home, after] = guessed;
            assert!(after > 0 && 100 * (home + after) > 98 * model.len(), "{guessed:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn ids_are_in_order_of_first_appearance(
        keys in prop::collection::vec("[ab\0]{0,3}|a{14,18}|b{46,50}", 0..400),
    ) {
        let (text, spans) = column(keys.iter().map(String::as_bytes));
        for level in Level::available() {
            for mut table in tables(level, 1_000) {
                let mut ids = Vec::new();
                table.ids(&text, &spans, &mut ids).unwrap();
                let mut seen: Vec<&str> = Vec::new();
                let expected: Vec<u32> = keys.iter().map(|key| {
                    let id = seen.iter().position(|other| other == key);
                    id.unwrap_or_else(|| { seen.push(key); seen.len() - 1 }) as u32
                }).collect();
                prop_assert_eq!(&ids, &expected);
            }
        }
    }

    #[test]
    fn sums_are_by_key(
        rows in prop::collection::vec(("[ab]{0,2}|c{15,18}", any::<i32>()), 0..300),
    ) {
        let (text, spans) = column(rows.iter().map(|row| row.0.as_bytes()));
        let values: Vec<i64> = rows.iter().map(|row| i64::from(row.1)).collect();
        let mut expected = Model::new();
        for (key, value) in &rows {
            *expected.entry(key.clone().into_bytes()).or_default() += i64::from(*value);
        }
        for level in Level::available() {
            for mut table in tables(level, 1_000) {
                table.sum(&text, &spans, &values).unwrap();
                prop_assert_eq!(&model_of(&table), &expected);
            }
        }
    }
}
