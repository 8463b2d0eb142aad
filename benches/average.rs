//! cargo bench --bench average [-- FILE]
//!
//! Minimum, mean, maximum and count by key of lines `key;decimal`, beside what one writes by hand
//! for just this: a memory map, `memchr`, and one hash table a thread. FILE may be any such lines
//! with one or two digits before the point and one after it; without it a smaller one is made up.
//! The ways take turns on all cores, ratios are taken round by round, more is faster. What each way
//! gives is asserted.

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

mod corpus;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use hashbrown::HashTable;
use memchr::memchr;
use memmap2::Mmap;
use tidemill::prelude::*;
use tidemill::{Files, Number, Stats, SummaryRef};

/// Bytes that a thread takes at a time: few enough that all threads end at about the same time.
const RANGE: usize = 4 << 20;

/// A key with its minimum, mean, maximum and count.
type Answer = (String, [f64; 3], u64);

/// A number as whole units of some power of ten, and how many places that are.
struct Decimal {
    units: i64,
    places: u32,
}

/// What is known of a key's numbers, in whole units of a power of ten.
struct Entry<'a> {
    key: &'a [u8],
    min: i64,
    max: i64,
    sum: i64,
    count: u64,
    places: u32,
}

impl<'a> Entry<'a> {
    fn new(key: &'a [u8], places: u32) -> Entry<'a> {
        Entry { key, min: i64::MAX, max: i64::MIN, sum: 0, count: 0, places }
    }

    #[inline]
    fn add(&mut self, units: i64) {
        self.min = self.min.min(units);
        self.max = self.max.max(units);
        self.sum += units;
        self.count += 1;
    }

    /// As `add`, for a number of any places: the entry takes on the most that came.
    #[inline]
    fn add_decimal(&mut self, mut decimal: Decimal) {
        if decimal.places != self.places {
            self.align(&mut decimal);
        }
        self.min = self.min.min(decimal.units);
        self.max = self.max.max(decimal.units);
        self.sum = self.sum.checked_add(decimal.units).expect("a sum of 18 digits");
        self.count += 1;
    }

    #[cold]
    fn align(&mut self, decimal: &mut Decimal) {
        let scaled = |units: i64, places| {
            units.checked_mul(10i64.pow(places)).expect("numbers of 18 digits in all")
        };
        if decimal.places < self.places {
            decimal.units = scaled(decimal.units, self.places - decimal.places);
            return;
        }
        let places = decimal.places - self.places;
        if self.count > 0 {
            (self.min, self.max) = (scaled(self.min, places), scaled(self.max, places));
            self.sum = scaled(self.sum, places);
        }
        self.places = decimal.places;
    }

    fn merge(&mut self, other: &Entry<'_>) {
        assert_eq!(self.places, other.places, "a key's numbers have the same places everywhere");
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    fn answer(&self) -> Answer {
        let unit = 10i64.pow(self.places);
        // One rounding: both are exact as floats.
        let mean = self.sum as f64 / (unit as f64 * self.count as f64);
        let numbers = [self.min as f64 / unit as f64, mean, self.max as f64 / unit as f64];
        (String::from_utf8(self.key.to_vec()).expect("keys of UTF-8"), numbers, self.count)
    }
}

/// A thread's keys.
type Table<'a> = HashTable<Entry<'a>>;

#[inline]
fn entry<'t, 'a>(table: &'t mut Table<'a>, key: &'a [u8], places: u32) -> &'t mut Entry<'a> {
    table
        .entry(hash(key), |entry| entry.key == key, |entry| hash(entry.key))
        .or_insert_with(|| Entry::new(key, places))
        .into_mut()
}

/// Multiplies and folds eight bytes at a time; the last ones may be counted twice.
#[inline]
fn hash(key: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word) * u128::from(FACTOR);
        (wide >> 64) as u64 ^ wide as u64
    };
    let word = |at: usize| u64::from_le_bytes(key[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| u32::from_le_bytes(key[at..at + 4].try_into().expect("four bytes"));
    let len = key.len();
    match len {
        0..4 => {
            let bytes = key.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte));
            fold(len as u64, bytes)
        }
        4..8 => fold(len as u64, u64::from(half(0)) << 32 | u64::from(half(len - 4))),
        _ => {
            let words = (0..len - 8).step_by(8);
            fold(words.fold(len as u64, |hash, at| fold(hash, word(at))), word(len - 8))
        }
    }
}

/// Lines to entries, if all numbers have one digit after the point and one or more before it.
fn tenths<'a>(mut lines: &'a [u8], table: &mut Table<'a>) {
    while let Some(at) = memchr(b';', lines) {
        let number = &lines[at + 1..];
        let (is_negative, mut end) = (number[0] == b'-', usize::from(number[0] == b'-'));
        let mut tenths = 0;
        // It ends at the line's end: no search for that.
        while number[end] != b'.' {
            tenths = tenths * 10 + i64::from(number[end] - b'0');
            end += 1;
        }
        tenths = tenths * 10 + i64::from(number[end + 1] - b'0');
        entry(table, &lines[..at], 1).add(if is_negative { -tenths } else { tenths });
        lines = &number[(end + 3).min(number.len())..];
    }
}

/// As `tenths`, for one or two digits before the point, as the One Billion Row Challenge has them:
/// the number is taken from a word without a branch, as its best entries do it.
fn short_tenths<'a>(mut lines: &'a [u8], table: &mut Table<'a>) {
    while let Some(at) = memchr(b';', lines) {
        let number = &lines[at + 1..];
        let Some(word) = number.first_chunk() else {
            // The last line may not have a word's bytes.
            return tenths(lines, table);
        };
        let word = i64::from_le_bytes(*word);
        // All ones if it is negative; no digit and no point has the bit that `-` has not.
        let sign = (!word << 59) >> 63;
        let point = (!word & 0x1010_1000).trailing_zeros();
        // Digits to fixed places: tens, units, the point, tenths.
        let digits = ((word & !(sign & 0xFF)) << (28 - point)) & 0x0F_000F_0F00;
        let tenths = (digits.wrapping_mul(0x640A_0001) as u64 >> 32 & 0x3FF) as i64;
        entry(table, &lines[..at], 1).add((tenths ^ sign) - sign);
        lines = &number[(point as usize / 8 + 3).min(number.len())..];
    }
}

/// Lines to entries, for any decimals of up to 18 digits, and refuses all else.
fn decimals<'a>(mut lines: &'a [u8], table: &mut Table<'a>) {
    while !lines.is_empty() {
        let end = memchr(b'\n', lines).unwrap_or(lines.len());
        let line = &lines[..end];
        let at = memchr(b';', line).expect("a field for the number");
        let decimal = decimal(&line[at + 1..]).expect("a decimal of up to 18 digits");
        entry(table, &line[..at], decimal.places).add_decimal(decimal);
        lines = &lines[(end + 1).min(lines.len())..];
    }
}

#[inline]
fn decimal(text: &[u8]) -> Option<Decimal> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (mut units, mut point) = (0, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => units = units * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let count = digits.len() - usize::from(point.is_some());
    let places = point.map_or(0, |point| (digits.len() - 1 - point) as u32);
    let units = if digits.len() < text.len() { -units } else { units };
    (1..=18).contains(&count).then_some(Decimal { units, places })
}

/// Ranges of lines by whichever thread is free, a table for each thread, merged at the end.
fn by_hand(
    path: &Path,
    threads: usize,
    read: impl for<'a> Fn(&'a [u8], &mut Table<'a>) + Sync,
) -> Vec<Answer> {
    let file = File::open(path).expect("the file is there");
    // SAFETY: nobody changes the file while the bench runs.
    let map = unsafe { Mmap::map(&file) }.expect("the file can be mapped");
    let text = &map[..];
    // A range begins after the first line end at or behind its place.
    let start_of = |range: usize| match range * RANGE {
        0 => 0,
        at if at >= text.len() => text.len(),
        at => memchr(b'\n', &text[at - 1..]).map_or(text.len(), |end| at + end),
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut table = Table::new();
        loop {
            let range = next.fetch_add(1, Ordering::Relaxed);
            if range * RANGE >= text.len() {
                return table;
            }
            read(&text[start_of(range)..start_of(range + 1)], &mut table);
        }
    };
    let mut whole = Table::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            for part in thread.join().expect("no thread panics") {
                entry(&mut whole, part.key, part.places).merge(&part);
            }
        }
    });
    whole.iter().map(Entry::answer).collect()
}

/// By the library: from files to a summary for each key.
fn by_engine(path: &Path, threads: usize) -> Vec<Answer> {
    let ssc = corpus::bounded_context(threads).expect("valid settings");
    let files = Files::open([path]).expect("the file is there");
    let lines = ssc.receiver_stream(files).expect("not started yet");
    let readings = lines.decode::<(String, Number)>(Delimited::new(b';'));
    let (tell, told) = sync_channel(1);
    readings.aggregate_by_key(Stats).foreach_batch(move |batch, _| {
        let answer = |(key, summary): (&str, SummaryRef<'_>)| {
            let SummaryRef { count, min, mean, max, .. } = summary;
            (key.to_owned(), [min.to_f64(), mean, max.to_f64()], count as u64)
        };
        Ok(tell.send(batch.iter().map(answer).collect())?)
    });
    ssc.start().expect("a program that can run");
    let answers = told.recv().expect("a batch");
    ssc.await_termination().expect("no batch fails");
    assert!(told.recv().is_err(), "it is one batch");
    answers
}

/// One way to do the work.
type Way<'a> = (&'a str, Box<dyn Fn() -> Vec<Answer> + 'a>);

fn compare(path: &Path, threads: usize, rounds: usize) {
    let ways: [Way<'_>; 4] = [
        ("by hand, tenths", Box::new(|| by_hand(path, threads, tenths))),
        ("by hand, short tenths", Box::new(|| by_hand(path, threads, short_tenths))),
        ("by hand, any decimals", Box::new(|| by_hand(path, threads, decimals))),
        ("decode, aggregate_by_key", Box::new(|| by_engine(path, threads))),
    ];
    let sorted = |way: &Way<'_>| {
        let mut answers = (way.1)();
        answers.sort_by(|a, b| a.0.cmp(&b.0));
        answers
    };
    let expected = sorted(&ways[0]);
    for way in &ways[1..] {
        assert!(sorted(way) == expected, "{} gives something else", way.0);
    }
    let bytes = std::fs::metadata(path).expect("the file is there").len() as f64;
    let rows: u64 = expected.iter().map(|(.., count)| count).sum();
    println!("{:.1} MB, {rows} rows, {} keys, {threads} threads", bytes / 1e6, expected.len());
    let mut seconds = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        for ((_, way), seconds) in ways.iter().zip(&mut seconds) {
            let start = Instant::now();
            let answers = way();
            seconds.push(start.elapsed().as_secs_f64());
            assert_eq!(answers.len(), expected.len());
        }
    }
    for ((name, _), own) in ways.iter().zip(&seconds) {
        let ratios = seconds[0].iter().zip(own).map(|(first, own)| first / own).collect();
        let (ratio, own) = (corpus::median(ratios), corpus::median(own.clone()));
        println!(
            "    {name:24} {:7.1} ms  {:6.2} GB/s  {ratio:5.2} x",
            own * 1e3,
            bytes / own / 1e9
        );
    }
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}", corpus::machine());
    if let Some(file) = file {
        return compare(Path::new(&file), threads, 11);
    }
    let (bytes, rounds) = if is_test { (1 << 20, 1) } else { (64 << 20, 15) };
    for keys in [413, 10_000] {
        let mut file = tempfile::NamedTempFile::new().expect("a folder for temporary files");
        let text = corpus::measurements(bytes, keys);
        std::io::Write::write_all(&mut file, &text).expect("room for the text");
        compare(file.path(), threads, rounds);
    }
}
