//! Each operator's meaning, on several partitions, on empty batches, and without a batch. Most of
//! the cases are Spark's own.

use tidemill::prelude::*;

use crate::check::{In, Out, check, check_bag, halves, owned, pairs};

const NO_BATCH: &[&str] = &["got no batch from its parent"];

fn four() -> [In<i64>; 3] {
    [halves(&[1, 2, 3, 4]), halves(&[5, 6, 7, 8]), halves(&[9, 10, 11, 12])]
}

/// Spark's input for streams of pairs: the empty string is a key like others.
fn words() -> [In<String>; 3] {
    [halves(&owned::<String, _>(["a", "a", "b"])), halves(&owned(["", ""])), In::Partitions(vec![])]
}

#[test]
fn map() {
    let text = |rows: [i64; 4]| Out::Rows(rows.map(|row| row.to_string()).to_vec());
    let expected = [text([1, 2, 3, 4]), text([5, 6, 7, 8]), text([9, 10, 11, 12])];
    check(|numbers| numbers.map(|number| number.to_string()), &four(), &expected);
    check(
        |numbers| numbers.map(|number| number * 2),
        &[In::Partitions(vec![]), In::Partitions(vec![vec![]]), In::Absent, halves(&[7i64])],
        &[Out::Rows(vec![]), Out::Rows(vec![]), Out::Absent, Out::Rows(vec![14])],
    );
}

#[test]
fn flat_map() {
    check(
        |numbers| {
            numbers.flat_map::<i64, _>(|number, out| {
                out.push(number);
                out.push_owned(2 * number);
            })
        },
        &[halves(&[1i64, 2, 3, 4]), In::Absent, In::Partitions(vec![])],
        &[Out::Rows(vec![1, 2, 2, 4, 3, 6, 4, 8]), Out::Absent, Out::Rows(vec![])],
    );
    // A row may become none.
    check(
        |lines| {
            lines.flat_map::<String, _>(|line: &str, out| {
                line.split(' ').filter(|word| !word.is_empty()).for_each(|word| out.push(word));
            })
        },
        &[halves(&owned::<String, _>(["a  b", "", " ", "c"]))],
        &[Out::Rows(owned(["a", "b", "c"]))],
    );
}

#[test]
fn filter() {
    check(
        |numbers| numbers.filter(|number| number % 2 == 0),
        &four(),
        &[Out::Rows(vec![2, 4]), Out::Rows(vec![6, 8]), Out::Rows(vec![10, 12])],
    );
    // None, all, no batch.
    check(
        |words| words.filter(|word| word.starts_with('a')),
        &[
            halves(&owned::<String, _>(["b", "c"])),
            halves(&owned::<String, _>(["a1", "a2", "a3"])),
            In::Absent,
        ],
        &[Out::Rows(vec![]), Out::Rows(owned(["a1", "a2", "a3"])), Out::Absent],
    );
    let kinds = vec![(1i64, Some("x".to_owned())), (2, None), (3, Some(String::new()))];
    check(
        |pairs| pairs.filter(|(number, _)| number != 2),
        &[halves(&kinds)],
        &[Out::Rows(vec![kinds[0].clone(), kinds[2].clone()])],
    );
}

#[test]
fn split() {
    let check_split = |text: &str, pieces: &[&str]| {
        let input = [In::Partitions(vec![vec![text.to_owned()], vec![]])];
        let pieces = [Out::Rows(owned(pieces.iter().copied()))];
        check(|lines: &DStream<String>| lines.split(b','), &input, &pieces);
        // After a closure the rows are no block's lines.
        check(
            |lines: &DStream<String>| lines.map(|line| line.to_owned()).split(b','),
            &input,
            &pieces,
        );
    };
    check_split("a,b", &["a", "b"]);
    check_split("a,,b", &["a", "", "b"]);
    check_split(",a,", &["", "a", ""]);
    check_split("", &[""]);
    check_split(",", &["", ""]);
    check_split("é,漢字,\0,\n", &["é", "漢字", "\0", "\n"]);
    let long = format!("{},{}", "x".repeat(1_000), "y".repeat(70));
    check_split(&long, &[&"x".repeat(1_000), &"y".repeat(70)]);
    check(|lines| lines.split(b'\n'), &[In::<String>::Absent], &[Out::Absent]);
}

#[test]
fn split_at_half_a_character() {
    let t = TestContext::new().unwrap();
    let lines = t.input::<String>();
    let panic = std::panic::catch_unwind(|| drop(lines.stream().split(0xe9))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(text, "separator is byte 233, but must be ASCII (0 to 127)");
}

#[test]
fn split_whitespace() {
    let check_words = |text: &str, words: &[&str]| {
        let input = [In::Partitions(vec![vec![text.to_owned()], vec![]])];
        let words = [Out::Rows(owned(words.iter().copied()))];
        check(|lines: &DStream<String>| lines.split_whitespace(), &input, &words);
        check(
            |lines: &DStream<String>| lines.map(|line| line.to_owned()).split_whitespace(),
            &input,
            &words,
        );
    };
    check_words("a b", &["a", "b"]);
    check_words("  a\t\u{b}\u{c}\r\nb ", &["a", "b"]);
    check_words("", &[]);
    check_words(" \t", &[]);
    check_words("a\u{a0}b\u{3000}漢\u{200b}字\u{85}c", &["a", "b", "漢\u{200b}字", "c"]);
    check_words("a\0b \0", &["a\0b", "\0"]);
    check(|lines| lines.split_whitespace(), &[In::<String>::Absent], &[Out::Absent]);
}

#[test]
fn pair_with() {
    let input = [halves(&owned::<String, _>(["a", "", "a"])), In::Absent, In::Partitions(vec![])];
    let expected =
        [Out::Rows(pairs([("a", 1i64), ("", 1), ("a", 1)])), Out::Absent, Out::Rows(vec![])];
    check(|words| words.pair_with(1i64), &input, &expected);
    check(
        |numbers| numbers.pair_with("same".to_owned()),
        &[halves(&[1i64, 2])],
        &[Out::Rows(vec![(1, "same".to_owned()), (2, "same".to_owned())])],
    );
}

#[test]
fn map_values() {
    check_bag(
        |words| {
            let counts = words.pair_with(1i64).reduce_by_key(|left, right| left + right);
            counts.map_values(|count| count + 10)
        },
        &words(),
        &[
            Out::Rows(pairs([("a", 12), ("b", 11)])),
            Out::Rows(pairs([("", 12)])),
            Out::Rows(vec![]),
        ],
    );
    check(
        |pairs| pairs.map_values(|text| text.len() as i64),
        &[halves(&[(1i64, "ab".to_owned()), (2, String::new())]), In::Absent],
        &[Out::Rows(vec![(1, 2i64), (2, 0)]), Out::Absent],
    );
}

#[test]
fn flat_map_values() {
    check_bag(
        |words| {
            let counts = words.pair_with(1i64).reduce_by_key(|left, right| left + right);
            counts.flat_map_values::<i64, _>(|count, out| {
                out.push(count);
                out.push(count + 10);
            })
        },
        &words(),
        &[
            Out::Rows(pairs([("a", 2), ("a", 12), ("b", 1), ("b", 11)])),
            Out::Rows(pairs([("", 2), ("", 12)])),
            Out::Rows(vec![]),
        ],
    );
    // A value may become none, and its key goes with it.
    check(
        |pairs| {
            pairs.flat_map_values::<String, _>(|text: &str, out| {
                text.split(',').filter(|piece| !piece.is_empty()).for_each(|piece| out.push(piece));
            })
        },
        &[halves(&[(1i64, "a,b".to_owned()), (2, String::new()), (3, "c".to_owned())]), In::Absent],
        &[
            Out::Rows(vec![(1, "a".to_owned()), (1, "b".to_owned()), (3, "c".to_owned())]),
            Out::Absent,
        ],
    );
}

#[test]
fn union() {
    check(
        |numbers| numbers.union(&numbers.map(|number| number + 4)),
        &[halves(&[1i64, 2, 3, 4]), In::Partitions(vec![]), In::Absent, halves(&[1])],
        &[
            Out::Rows(vec![1, 2, 3, 4, 5, 6, 7, 8]),
            Out::Rows(vec![]),
            Out::Fails(&["operator union", "got no batch", "batch 3000 ms"]),
            Out::Rows(vec![1, 5]),
        ],
    );
    // Three, and one of them twice.
    check(
        |numbers| numbers.union(&numbers.map(|number| number + 4)).union(numbers),
        &[halves(&[1i64, 2])],
        &[Out::Rows(vec![1, 2, 5, 6, 1, 2])],
    );
}

#[test]
fn union_with_a_stream_that_has_no_batch() {
    let mut t = TestContext::new().unwrap();
    let (left, right) = (t.input::<i64>(), t.input::<i64>());
    let output = t.output(&left.stream().union(right.stream()));
    left.push([1i64]).unwrap();
    right.push_absent().unwrap();
    assert!(t.tick().unwrap_err().to_string().contains(NO_BATCH[0]));
    // An interval without a push is an empty batch, not an absent one.
    left.push([2i64]).unwrap();
    t.tick().unwrap();
    assert_eq!(output.take_batches(), [[2]]);
}

#[test]
fn union_of_two_contexts() {
    let (left, right) = (TestContext::new().unwrap(), TestContext::new().unwrap());
    let (input, stranger) = (left.input::<i64>(), right.input::<i64>());
    left.output(&input.stream().union(stranger.stream()));
    let error = left.context().start().unwrap_err();
    assert!(error.to_string().contains("union of streams of two contexts"), "{error}");
}

#[test]
fn count() {
    check(
        |numbers| numbers.count(),
        &[
            In::Partitions(vec![]),
            In::Partitions(vec![vec![], vec![]]),
            halves(&[1i64]),
            halves(&[1, 2, 3, 4, 5]),
            In::Absent,
            halves(&[1, 2]),
        ],
        &[
            Out::Rows(vec![0]),
            Out::Rows(vec![0]),
            Out::Rows(vec![1]),
            Out::Rows(vec![5]),
            Out::Fails(&["operator count", "got no batch"]),
            Out::Rows(vec![2]),
        ],
    );
}

#[test]
fn reduce() {
    check(
        |numbers| numbers.reduce(|left, right| left + right),
        &[four().to_vec(), vec![In::Partitions(vec![]), In::Absent]].concat(),
        &[
            Out::Rows(vec![10]),
            Out::Rows(vec![26]),
            Out::Rows(vec![42]),
            Out::Rows(vec![]),
            Out::Absent,
        ],
    );
    // In order, from the first partition to the last, also where some are empty.
    check(
        |words| words.reduce(|left, right| format!("{left}{right}")),
        &[In::Partitions(vec![
            vec![],
            owned(["a", "b"]),
            vec![],
            owned::<String, _>(["c"]),
            owned(["d", "e"]),
        ])],
        &[Out::Rows(owned(["abcde"]))],
    );
}

#[test]
fn count_by_value() {
    check_bag(
        |numbers| numbers.count_by_value(),
        &[halves(&[1i64]), halves(&[1, 1, 1]), halves(&[1, 2]), halves(&[1, 1, 2, 2]), In::Absent],
        &[
            Out::Rows(vec![(1, 1)]),
            Out::Rows(vec![(1, 3)]),
            Out::Rows(vec![(1, 1), (2, 1)]),
            Out::Rows(vec![(1, 2), (2, 2)]),
            Out::Absent,
        ],
    );
    check_bag(
        |words| words.count_by_value(),
        &words(),
        &[
            Out::Rows(pairs([("a", 2i64), ("b", 1)])),
            Out::Rows(pairs([("", 2)])),
            Out::Rows(vec![]),
        ],
    );
}

/// Every kind of key groups as its equality says.
#[test]
fn keys_of_every_kind() {
    fn check_key<K: tidemill::Key + Clone + PartialEq + std::fmt::Debug>(a: K, b: K) {
        let rows = [a.clone(), b.clone(), b.clone(), a.clone(), b.clone()];
        check_bag(
            |keys: &DStream<K>| keys.count_by_value(),
            &[halves(&rows)],
            &[Out::Rows(vec![(a.clone(), 2), (b.clone(), 3)])],
        );
        check_bag(
            |keys: &DStream<K>| keys.pair_with(2i32).reduce_by_key(|left, right| left * right),
            &[halves(&rows)],
            &[Out::Rows(vec![(a, 4), (b, 8)])],
        );
    }
    check_key(-1i8, i8::MIN);
    check_key(0i16, 1);
    check_key(0i32, i32::MIN);
    check_key(0u16, u16::MAX);
    check_key(0u32, 1);
    check_key(0u64, u64::MAX);
    check_key(false, true);
    check_key("x".repeat(15), "x".repeat(16));
    check_key("x".repeat(32), "x".repeat(33));
    check_key(vec![0u8, 255], vec![]);
    check_key(None, Some(0i64));
    check_key(Some(String::new()), None);
    check_key(("a".to_owned(), 1i64), ("a".to_owned(), 2));
    check_key(("ab".to_owned(), "c".to_owned()), ("a".to_owned(), "bc".to_owned()));
    check_key(Row(std::cmp::Ordering::Less), Row(std::cmp::Ordering::Greater));
    check_key(Row(vec!['a']), Row(vec![]));
}

#[test]
fn reduce_by_key() {
    check_bag(
        |words| words.pair_with(1i64).reduce_by_key(|left, right| left + right),
        &[words().to_vec(), vec![In::Absent]].concat(),
        &[
            Out::Rows(pairs([("a", 2), ("b", 1)])),
            Out::Rows(pairs([("", 2)])),
            Out::Rows(vec![]),
            Out::Absent,
        ],
    );
    // Values are folded in the order of their arrival.
    let text = |key: &'static str, value: &str| (key.to_owned(), value.to_owned());
    check_bag(
        |pairs| pairs.reduce_by_key(|left, right| format!("{left}{right}")),
        &[In::Partitions(vec![
            vec![text("k", "a"), text("l", "x"), text("k", "b")],
            vec![],
            vec![text("l", "y")],
            vec![text("k", "c"), text("k", "d")],
        ])],
        &[Out::Rows(vec![text("k", "abcd"), text("l", "xy")])],
    );
}

#[test]
fn group_by_key() {
    check_bag(
        |words| words.pair_with(1i64).group_by_key(),
        &[words().to_vec(), vec![In::Absent]].concat(),
        &[
            Out::Rows(pairs([("a", vec![1, 1]), ("b", vec![1])])),
            Out::Rows(pairs([("", vec![1, 1])])),
            Out::Rows(vec![]),
            Out::Absent,
        ],
    );
    // In the order of their arrival, over all partitions.
    check_bag(
        |pairs| pairs.group_by_key(),
        &[In::Partitions(vec![
            vec![(1i64, "a".to_owned()), (2, "x".to_owned()), (1, "b".to_owned())],
            vec![(2, "y".to_owned())],
            vec![(1, "c".to_owned())],
        ])],
        &[Out::Rows(vec![(1, owned(["a", "b", "c"])), (2, owned::<String, _>(["x", "y"]))])],
    );
}

#[test]
fn transform() {
    let text = |rows: [i64; 4]| Out::Rows(rows.map(|row| row.to_string()).to_vec());
    check(
        |numbers: &DStream<i64>| {
            numbers.transform(|batch, _| Ok(batch.iter().map(|row| row.to_string()).collect()))
        },
        &[halves(&[1, 2, 3, 4]), halves(&[5, 6, 7, 8]), In::Absent, In::Partitions(vec![])],
        &[
            text([1, 2, 3, 4]),
            text([5, 6, 7, 8]),
            Out::Fails(&["operator transform", "got no batch"]),
            Out::Rows(vec![]),
        ],
    );
    // It sees the partitions and the time; an error fails the batch, and the next one comes.
    check(
        |numbers: &DStream<i64>| {
            numbers.transform(|batch, time| {
                if batch.is_empty() {
                    return Err("nothing to do".into());
                }
                let (partitions, rows) = (batch.partitions().len() as i64, batch.len() as i64);
                Ok([partitions, rows, time.millis() as i64].into_iter().collect())
            })
        },
        &[halves(&[1, 2, 3]), In::Partitions(vec![]), In::Partitions(vec![vec![7]])],
        &[
            Out::Rows(vec![2, 3, 1000]),
            Out::Fails(&["operator transform", "the closure failed", "nothing to do"]),
            Out::Rows(vec![1, 1, 3000]),
        ],
    );
    // A batch may go on as it is.
    check(
        |numbers| numbers.transform(|batch, _| Ok(batch)),
        &four()[..1],
        &[Out::Rows(vec![1, 2, 3, 4])],
    );
}

#[test]
fn a_stream_that_is_used_twice() {
    let mut t = TestContext::new().unwrap();
    let lines = t.input::<String>();
    let words = lines.stream().split_whitespace();
    let long = t.output(&words.filter(|word| word.len() > 1).count_by_value());
    let all = t.output(&words.count());
    let text = t.output(&words);
    lines.push(["a bb a", "bb cc"]).unwrap();
    t.tick().unwrap();
    assert_eq!(long.take_sorted(), pairs([("bb", 2), ("cc", 1)]));
    assert_eq!(all.take(), [5]);
    assert_eq!(text.take(), ["a", "bb", "a", "bb", "cc"]);
}
