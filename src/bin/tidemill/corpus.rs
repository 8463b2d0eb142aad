//! Made-up lines: Zipf-like words, or measurements of stations.
//!
//! Making a line costs more than sending one, so a buffer of lines is made once and repeated; it
//! holds every key at least once, however rare.

use memchr::{memchr_iter, memrchr};

/// Bytes of lines that are made before they repeat. Stays in the last-level cache of most machines.
const CORPUS_BYTES: usize = 8 << 20;

/// The most keys: every key stands in the buffer, so they bound its size (some 256 MiB).
pub(crate) const KEYS_MAX: u64 = 4 << 20;

/// At least so many draws for each key, so that what is common stays common.
const DRAWS_PER_KEY_MIN: u64 = 8;

/// Bytes handed out at once: large enough that a write's cost is the copy, small enough that a
/// clock looked at between two writes is accurate.
const PIECE_BYTES: usize = 256 << 10;

/// What the lines are.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Lines of some ten words, the most frequent twice as frequent as the next, and so on
    Words,
    /// Lines such as `brako;12.3`: a station and its temperature
    Measurements,
}

/// Lines to send, again and again.
#[derive(Debug)]
pub(crate) struct Corpus {
    bytes: Vec<u8>,
}

impl Corpus {
    /// Lines over `keys` distinct keys; no more than `lines_max`, if that many are enough.
    pub(crate) fn new(kind: Kind, keys: u64, seed: u64, lines_max: Option<u64>) -> Corpus {
        let turn = (500_000 / keys).clamp(DRAWS_PER_KEY_MIN, 128);
        let mut draw = Draw { random: Random(seed), keys, turn, made: 0 };
        let mut bytes = Vec::new();
        let mut lines = 0;
        let is_enough =
            |bytes: &[u8], made: u64| bytes.len() >= CORPUS_BYTES && made >= keys * turn;
        while lines < lines_max.unwrap_or(u64::MAX) && !is_enough(&bytes, draw.made) {
            match kind {
                Kind::Words => draw.push_words(&mut bytes),
                Kind::Measurements => draw.push_measurement(&mut bytes),
            }
            lines += 1;
        }
        Corpus { bytes }
    }

    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { bytes: &self.bytes, at: 0 }
    }
}

/// A place in the lines.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next lines, whole ones, at least one and at most so many; and how many they are.
    pub(crate) fn take(&mut self, lines_max: u64) -> (&'a [u8], u64) {
        let rest = &self.bytes[self.at..];
        // Lines are far shorter than a piece, so a piece holds a line end.
        let end = rest.len().min(PIECE_BYTES);
        let piece = &rest[..memrchr(b'\n', &rest[..end]).map_or(end, |at| at + 1)];
        let count = memchr_iter(b'\n', piece).count() as u64;
        let (piece, count) = if count <= lines_max {
            (piece, count)
        } else {
            let last = memchr_iter(b'\n', piece).nth(lines_max as usize - 1);
            (&piece[..last.map_or(piece.len(), |at| at + 1)], lines_max)
        };
        self.at = (self.at + piece.len()) % self.bytes.len();
        (piece, count)
    }
}

/// Draws keys and writes lines of them.
struct Draw {
    random: Random,
    keys: u64,
    /// Each so-manieth key is not drawn, but the next in turn: so all of them come.
    turn: u64,
    made: u64,
}

impl Draw {
    fn push_words(&mut self, out: &mut Vec<u8>) {
        for word in 0..5 + self.random.below(11) {
            if word > 0 {
                out.push(b' ');
            }
            let rank = self.key(Random::zipf);
            push_name(rank, out);
        }
        out.push(b'\n');
    }

    fn push_measurement(&mut self, out: &mut Vec<u8>) {
        let station = self.key(Random::below);
        push_name(station, out);
        // The sum of two uniform numbers: most days are mild. From -40.0 to 59.9.
        let tenths = (self.random.below(500) + self.random.below(501)) as i64 - 400;
        let sign = if tenths < 0 { "-" } else { "" };
        let tenths = tenths.unsigned_abs();
        out.extend_from_slice(format!(";{sign}{}.{}\n", tenths / 10, tenths % 10).as_bytes());
    }

    /// A key by `distribution`, or the one whose turn it is.
    fn key(&mut self, distribution: impl Fn(&mut Random, u64) -> u64) -> u64 {
        self.made += 1;
        if self.made.is_multiple_of(self.turn) {
            return (self.made / self.turn - 1) % self.keys;
        }
        distribution(&mut self.random, self.keys)
    }
}

/// SplitMix64: all the randomness that made-up words need, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A rank below `end` whose logarithm is uniform: rank r comes about 1/(r+1) as often as 0.
    fn zipf(&mut self, end: u64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = ((end + 1) as f64).powf(uniform) as u64 - 1;
        rank.min(end - 1)
    }
}

/// The name of a key: one syllable for the first 125, two for the next 15,625, and so on.
///
/// An onset has no vowel and a syllable ends in its only one, so no two keys share a name.
fn push_name(key: u64, out: &mut Vec<u8>) {
    const ONSETS: [&str; 25] = [
        "t", "s", "n", "r", "l", "d", "m", "h", "k", "f", "b", "g", "p", "w", "v", "th", "st",
        "br", "ch", "tr", "gr", "sh", "pl", "kr", "str",
    ];
    const VOWELS: &[u8; 5] = b"eaoiu";
    let mut rest = key + 1;
    while rest > 0 {
        rest -= 1;
        let syllable = (rest % 125) as usize;
        out.extend_from_slice(ONSETS[syllable / 5].as_bytes());
        out.push(VOWELS[syllable % 5]);
        rest /= 125;
    }
}
