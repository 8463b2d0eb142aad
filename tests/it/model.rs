//! The model test: random streams and real text, cut at every possible byte, counted in every way
//! and by any number of threads, are counted as the naive model counts them.
//!
//! `TIDEMILL_SEEDS=n` runs more random streams. A failure names the seed, and `TIDEMILL_SEED=s`
//! runs that one alone.

use tidemill::prelude::*;
use tidemill::{ContextBuilder, TestOutput};
use tidemill_kernels::Level;

use crate::child;
use crate::feed::{Feed, Feeder};
use crate::naive;
use crate::random::{Random, seeds};

/// A way to count, which the engine may run as it likes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Way {
    /// Fused: no columns, and blocks are taken in as they arrive.
    Split,
    Words,
    /// Fused with the pairing, too.
    WeightedWords,
    /// Not fused: a closure stands between.
    Mapped,
    /// A closure at the end.
    Reduced,
    /// A kernel each, since the words are wanted twice.
    Shared,
}

/// What runs as blocks arrive.
const EAGER: [Way; 3] = [Way::Split, Way::Words, Way::WeightedWords];
/// What waits for the batch, because one of them does.
const MIXED: [Way; 6] =
    [Way::Split, Way::Words, Way::WeightedWords, Way::Mapped, Way::Reduced, Way::Shared];
const THREADS: [usize; 3] = [1, 2, 4];

type Counts = Vec<(String, i64)>;

impl Way {
    fn stream(self, lines: &DStream<String>) -> DStream<(String, i64)> {
        match self {
            Way::Split => lines.split(b' ').count_by_value(),
            Way::Words => lines.split_whitespace().count_by_value(),
            Way::WeightedWords => lines.split_whitespace().pair_with(3i64).aggregate_by_key(Sum),
            Way::Mapped => lines.map(|line| line.to_owned()).split(b' ').count_by_value(),
            Way::Reduced => {
                lines.split_whitespace().pair_with(1i64).reduce_by_key(|left, right| left + right)
            }
            Way::Shared => {
                let words = lines.split(b' ');
                let (some, others) =
                    (words.filter(|word| word.len() < 7), words.filter(|word| word.len() >= 7));
                some.union(&others).count_by_value()
            }
        }
    }

    fn model(self, lines: &[String]) -> Counts {
        match self {
            Way::Split | Way::Mapped | Way::Shared => naive::counts(naive::split(lines, ' '), 1),
            Way::Words | Way::Reduced => naive::counts(naive::split_whitespace(lines), 1),
            Way::WeightedWords => naive::counts(naive::split_whitespace(lines), 3),
        }
    }
}

/// An engine that counts one source in several ways.
struct Counter {
    context: TestContext,
    feeder: Feeder,
    outputs: Vec<(Way, TestOutput<(String, i64)>)>,
}

impl Counter {
    fn new(ways: &[Way], threads: usize) -> Counter {
        Counter::with(ways, threads, Feed::new())
    }

    fn with(ways: &[Way], threads: usize, (feed, feeder): (Feed, Feeder)) -> Counter {
        let context = TestContext::with(builder(threads)).unwrap();
        let lines = context.context().receiver_stream(feed).unwrap();
        let outputs =
            ways.iter().map(|&way| (way, context.output(&way.stream(&lines)))).collect::<Vec<_>>();
        context.context().start().unwrap();
        Counter { context, feeder, outputs }
    }

    /// Delivers pieces, cuts the batch, and compares it with the model of `lines`.
    fn check(&mut self, pieces: Vec<&[u8]>, lines: &[String], place: &str) {
        self.feeder.deliver(pieces);
        self.context.tick().unwrap();
        self.compare(lines, 1, place);
    }

    /// Compares what came since the last time with `times` times the model of `lines`.
    fn compare(&self, lines: &[String], times: i64, place: &str) {
        for (way, output) in &self.outputs {
            let mut expected = way.model(lines);
            expected.iter_mut().for_each(|(_, count)| *count *= times);
            let counted = output.take_sorted();
            assert!(
                counted == expected,
                "{place}, {way:?} at level {:?}\n counted: {counted:?}\nexpected: {expected:?}",
                Level::current()
            );
        }
    }
}

fn builder(threads: usize) -> ContextBuilder {
    StreamingContext::builder("model").threads(threads)
}

/// Text of everything that is hard to cut: empty lines, both line ends, characters of several
/// bytes, spaces of all kinds, NULs, tokens around the sizes at which the table changes its ways,
/// and, if asked for, bytes that are no text. It ends in a line end.
fn adversarial(random: &mut Random, len: usize, is_text: bool) -> Vec<u8> {
    const LETTERS: [&str; 8] = ["a", "b", "Z", "0", "é", "漢", "🌊", "\0"];
    const BAD: [&[u8]; 6] = [b"\xff", b"\x80", b"\xc3", b"\xe6\xbc", b"\xf0\x9f\x8c", b"\xed\xa0"];
    const SPACES: [&str; 9] = [
        "\t", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{2003}", "\u{2028}", "\u{3000}", "\u{200b}",
    ];
    let word = |random: &mut Random, len: usize| -> String {
        (0..len).map(|_| random.pick(&LETTERS)).collect()
    };
    let mut words: Vec<String> = (0..12)
        .map(|_| {
            let len = random.between(1, 7);
            word(random, len)
        })
        .collect();
    words.extend((15..=40).step_by(3).map(|len| word(random, len)));
    words.extend((15..=17).chain(31..=33).map(|len| "x".repeat(len)));
    words.push("y".repeat(300));
    let mut text = Vec::new();
    while text.len() < len {
        match random.below(32) {
            0..14 => text.extend_from_slice(words[random.below(words.len())].as_bytes()),
            14..21 => text.push(b' '),
            21..23 => text.extend_from_slice(random.pick(&SPACES).as_bytes()),
            23..26 => text.push(b'\n'),
            26..28 => text.extend_from_slice(b"\r\n"),
            28 => text.push(b'\r'),
            29 => text.extend_from_slice(b"\n\n"),
            _ if is_text => text.push(b' '),
            _ => text.extend_from_slice(random.pick(&BAD)),
        }
    }
    text.push(b'\n');
    text
}

#[test]
fn random_text_cut_at_every_byte() {
    for seed in seeds(3) {
        let mut random = Random::new(seed);
        let text = adversarial(&mut random, 600, seed % 3 != 1);
        let threads = THREADS[seed as usize % THREADS.len()];
        for ways in [EAGER.as_slice(), &MIXED] {
            let mut counter = Counter::new(ways, threads);
            for at in 0..=text.len() {
                check_cut(&mut counter, &text, at, &format!("TIDEMILL_SEED={seed} at {at}"));
            }
        }
    }
}

/// Two reads of one batch, and then two batches; each line belongs to the batch of its end.
fn check_cut(counter: &mut Counter, text: &[u8], at: usize, place: &str) {
    let (head, tail) = text.split_at(at);
    counter.check(vec![head, tail], &naive::lines(text), place);
    let whole = head.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    counter.check(vec![head], &naive::lines(&text[..whole]), place);
    counter.check(vec![tail], &naive::lines(&text[whole..]), place);
}

#[test]
fn random_text_byte_by_byte() {
    for seed in seeds(3) {
        let mut random = Random::new(!seed);
        let text = adversarial(&mut random, 2_000, seed % 2 == 0);
        let mut counter = Counter::new(&MIXED, 2);
        let place = format!("TIDEMILL_SEED={seed}");
        counter.check(text.chunks(1).collect(), &naive::lines(&text), &place);
        // Batches of no byte and of a few.
        let mut start = 0;
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(random.between(0, 20).min(rest.len()));
            rest = later;
            let seen = text.len() - rest.len();
            let whole = text[..seen].iter().rposition(|&byte| byte == b'\n');
            let end = whole.map_or(0, |end| end + 1);
            counter.check(vec![piece], &naive::lines(&text[start..end]), &place);
            start = end;
        }
    }
}

#[test]
fn last_line_without_an_end() {
    for text in ["", "a", "a b\nc", "a\n", "a\r", "a\n\r", "\n", "漢字 a"] {
        for (ways, pair) in [
            (EAGER.as_slice(), Feed::new()),
            (&EAGER, Feed::bounded()),
            (&MIXED, Feed::new()),
            (&MIXED, Feed::bounded()),
        ] {
            pair.1.send(text.as_bytes().chunks(1));
            pair.1.end();
            let counter = Counter::with(ways, 2, pair);
            counter.context.context().await_termination().unwrap();
            counter.compare(&naive::lines(text.as_bytes()), 1, text);
        }
    }
}

/// Delivers `text` so many times, in random pieces and batches, by each number of threads, as an
/// endless and as a bounded source.
fn check_large(text: &[u8], times: usize, seed: u64) {
    let lines = naive::lines(text);
    let mut random = Random::new(seed);
    let stream = text.repeat(times);
    for (ways, threads) in [(EAGER.as_slice(), 1), (&EAGER, 4), (&MIXED, 2)] {
        let place = format!("TIDEMILL_SEED={seed}, {threads} threads");
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(random.between(1, 200_000).min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        let counter = Counter::with(ways, threads, Feed::bounded());
        counter.feeder.send(pieces.iter().copied());
        counter.feeder.end();
        counter.context.context().await_termination().unwrap();
        counter.compare(&lines, times as i64, &format!("bounded, {place}"));
        let mut counter = Counter::new(ways, threads);
        counter.feeder.deliver(pieces);
        counter.context.tick().unwrap();
        counter.compare(&lines, times as i64, &place);
    }
}

#[test]
fn random_text_of_many_blocks() {
    for seed in seeds(1) {
        let text = adversarial(&mut Random::new(seed), 60_000, seed % 2 == 0);
        check_large(&text, 20, seed);
    }
}

#[test]
fn real_text() {
    let text = include_bytes!("../data/kjv.txt");
    check_large(text, 20, 0);
    let lines = naive::lines(text);
    let mut counter = Counter::new(&MIXED, 2);
    counter.check(text.chunks(4_001).collect(), &lines, "kjv.txt");
}

/// The other tests of this file run at the highest level that the machine has.
#[test]
fn every_level() {
    if child::is_child() {
        eprintln!("the model test runs at level {:?}", Level::current());
        return;
    }
    for level in ["scalar", "avx2"] {
        child::run("model::", &[("KERNELS_LEVEL", level)]);
    }
}
