//! Kernels, each at each level of the machine, on natural language and on log lines; what each run
//! must give is asserted once, before it is measured.
//!
//! `table/bound` is the perfect-hash bound: cut, sixteen masked bytes a key, a hash, a counter that
//! is never compared with a key. The distance of `table/count_lines` to it is the price of being
//! right. Run with `cargo bench --bench kernels`; `KERNELS_TEXT=file` adds a corpus of your own.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidemill_kernels::*;

/// Bytes of each corpus: past the L2 cache.
const BYTES: usize = 4 << 20;

/// Keys no corpus reaches.
const MAX_KEYS: usize = 1 << 24;

/// A text with its rows, made once.
struct Corpus {
    name: &'static str,
    text: Vec<u8>,
    lines: Vec<Span>,
    words: Vec<Span>,
}

impl Corpus {
    fn new(name: &'static str, text: Vec<u8>) -> Corpus {
        let (mut lines, mut words) = (Vec::new(), Vec::new());
        line_spans(&text, &mut lines);
        split_byte(&text, &lines, b' ', &mut words);
        Corpus { name, text, lines, words }
    }

    fn all() -> Vec<Corpus> {
        let kjv = include_bytes!("../tests/data/kjv.txt");
        let kjv = kjv.repeat(BYTES.div_ceil(kjv.len()));
        let mut corpora = vec![Corpus::new("kjv", kjv), Corpus::new("logs", logs())];
        if let Ok(path) = std::env::var("KERNELS_TEXT") {
            corpora.push(Corpus::new("yours", std::fs::read(path).expect("a file to read")));
        }
        corpora
    }

    fn bytes(&self) -> Throughput {
        Throughput::Bytes(self.text.len() as u64)
    }

    fn rows(&self) -> Throughput {
        Throughput::Elements(self.words.len() as u64)
    }
}

/// Log lines with CRLF ends: some words of every line, numbers, and ids longer than 16 bytes.
fn logs() -> Vec<u8> {
    let mut text = Vec::with_capacity(BYTES + 256);
    let mut state = 1u64;
    while text.len() < BYTES {
        // Knuth's linear congruential generator; the high bits are the good ones.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let number = state >> 40;
        let id = number % 5_000;
        let line = format!(
            "0817 10:12:{:02} INFO dfs.DataNode$PacketResponder: Received block blk_{id:019} of \
             size {} from /10.250.{}.{}\r\n",
            number % 60,
            number % 70_000,
            number % 20,
            number % 250,
        );
        text.extend_from_slice(line.as_bytes());
    }
    text
}

/// Measures `run` at each level on each corpus; `expected` is what it must give.
fn each<R: PartialEq + std::fmt::Debug>(
    c: &mut Criterion,
    name: &str,
    throughput: fn(&Corpus) -> Throughput,
    expected: fn(&Corpus) -> R,
    mut run: impl FnMut(Level, &Corpus) -> Box<dyn FnMut(&Corpus) -> R>,
) {
    let mut group = c.benchmark_group(name);
    for corpus in &Corpus::all() {
        group.throughput(throughput(corpus));
        for level in Level::available() {
            let mut kernel = run(level, corpus);
            assert_eq!(kernel(corpus), expected(corpus), "{name} on {} at {level:?}", corpus.name);
            let id = BenchmarkId::new(format!("{level:?}"), corpus.name);
            group.bench_function(id, |bencher| bencher.iter(|| kernel(black_box(corpus))));
        }
    }
    group.finish();
}

fn cutting(c: &mut Criterion) {
    let newlines = |corpus: &Corpus| corpus.text.iter().filter(|byte| **byte == b'\n').count();
    each(c, "count_newlines", Corpus::bytes, newlines, |level, _| {
        Box::new(move |corpus| count_newlines_at(level, &corpus.text))
    });
    each(
        c,
        "is_ascii",
        Corpus::bytes,
        |corpus| corpus.text.is_ascii(),
        |level, _| Box::new(move |corpus| is_ascii_at(level, &corpus.text)),
    );
    each(
        c,
        "line_spans",
        Corpus::bytes,
        |corpus| corpus.lines.len(),
        |level, _| {
            let mut out = Vec::new();
            Box::new(move |corpus| {
                out.clear();
                line_spans_at(level, &corpus.text, &mut out);
                out.len()
            })
        },
    );
    each(
        c,
        "split_byte",
        Corpus::bytes,
        |corpus| corpus.words.len(),
        |level, _| {
            let mut out = Vec::new();
            Box::new(move |corpus| {
                out.clear();
                split_byte_at(level, &corpus.text, &corpus.lines, b' ', &mut out);
                out.len()
            })
        },
    );
    let words = |corpus: &Corpus| String::from_utf8_lossy(&corpus.text).split_whitespace().count();
    each(c, "split_whitespace", Corpus::bytes, words, |level, _| {
        let mut out = Vec::new();
        Box::new(move |corpus| {
            out.clear();
            split_whitespace_at(level, &corpus.text, &corpus.lines, &mut out);
            out.len()
        })
    });
}

/// The perfect-hash bound; gives how many keys it counted.
fn bound(corpus: &Corpus, spans: &mut Vec<Span>, counts: &mut [u64; 1 << 16]) -> usize {
    let text = &corpus.text;
    let mut keys = 0;
    for start in (0..text.len()).step_by(8192) {
        let len = (text.len() - start).min(8192) as u32;
        spans.clear();
        split_byte(text, &[Span { start: start as u32, len }], b' ', spans);
        for span in spans.iter() {
            let Some(key) = text[span.start as usize..].first_chunk() else { continue };
            let keep = u128::MAX.checked_shr(128 - 8 * span.len.min(16)).unwrap_or(0);
            let words = u128::from_le_bytes(*key) & keep;
            let (low, high) = (words as u64, (words >> 64) as u64);
            let product =
                u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xBF58_476D_1CE4_E5B9);
            let hash = product as u64 ^ (product >> 64) as u64;
            counts[(hash >> 48) as usize] += 1;
        }
        keys += spans.len();
    }
    keys
}

/// The sum of all counts, once the table was read out.
fn total(table: &TextTable) -> i64 {
    let mut total = 0;
    table.for_each(|_, count| total += count);
    total
}

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("table/bound");
    for corpus in &Corpus::all() {
        let (mut spans, mut counts) = (Vec::new(), Box::new([0; 1 << 16]));
        assert!(bound(corpus, &mut spans, &mut counts) >= corpus.words.len() - corpus.lines.len());
        group.throughput(corpus.rows());
        group.bench_function(corpus.name, |bencher| {
            bencher.iter(|| bound(black_box(corpus), &mut spans, &mut counts));
        });
    }
    group.finish();

    let distinct = |corpus: &Corpus| {
        let mut words: Vec<&[u8]> =
            corpus.words.iter().map(|word| &corpus.text[word.range()]).collect();
        words.sort_unstable();
        words.dedup();
        words.len()
    };
    // The keys are known from the second run on: the steady state.
    each(c, "table/count_lines", Corpus::rows, distinct, |level, corpus| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        table.count_lines(&corpus.text, Split::Byte(b' ')).expect("room for all keys");
        assert_eq!(total(&table), corpus.words.len() as i64);
        Box::new(move |corpus| {
            table.count_lines(&corpus.text, Split::Byte(b' ')).expect("room for all keys");
            table.len()
        })
    });
    each(c, "table/count_lines_new_keys", Corpus::rows, distinct, |level, _| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        Box::new(move |corpus| {
            table.clear();
            table.count_lines(&corpus.text, Split::Byte(b' ')).expect("room for all keys");
            table.len()
        })
    });
    each(c, "table/count_rows", Corpus::rows, distinct, |level, _| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        Box::new(move |corpus| {
            let split = Split::Byte(b' ');
            table.count_rows(&corpus.text, &corpus.lines, split).expect("room for all keys");
            table.len()
        })
    });
    each(c, "table/count", Corpus::rows, distinct, |level, _| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        Box::new(move |corpus| {
            table.count(&corpus.text, &corpus.words).expect("room for all keys");
            table.len()
        })
    });
    each(c, "table/sum", Corpus::rows, distinct, |level, corpus| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        let ones = vec![1; corpus.words.len()];
        Box::new(move |corpus| {
            table.sum(&corpus.text, &corpus.words, &ones).expect("room for all keys");
            table.len()
        })
    });
    each(c, "table/ids", Corpus::rows, distinct, |level, _| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        let mut ids = Vec::new();
        Box::new(move |corpus| {
            ids.clear();
            table.ids(&corpus.text, &corpus.words, &mut ids).expect("room for all keys");
            table.len()
        })
    });
    each(c, "table/merge_known_keys", Corpus::rows, distinct, |level, corpus| {
        let mut part = TextTable::new_at(level, MAX_KEYS);
        part.count(&corpus.text, &corpus.words).expect("room for all keys");
        let mut merged = part.clone();
        Box::new(move |_| {
            merged.merge(&part).expect("room for all keys");
            merged.len()
        })
    });
    each(c, "table/emit", Corpus::rows, distinct, |level, corpus| {
        let mut table = TextTable::new_at(level, MAX_KEYS);
        table.count(&corpus.text, &corpus.words).expect("room for all keys");
        let (mut text, mut spans, mut values) = (TextBuffer::new(), Vec::new(), Vec::new());
        Box::new(move |_| {
            text.clear();
            spans.clear();
            values.clear();
            table.emit(&mut text, &mut spans, &mut values);
            spans.len()
        })
    });
}

fn columns(c: &mut Criterion) {
    let values: Vec<i64> = (0..1 << 16).collect();
    let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
    let ids: Vec<u32> = values.iter().map(|value| (value * 7919 % 1000) as u32).collect();
    let last = values.len() as i64 - 1;
    let sum: i64 = values.iter().sum();
    let mut group = c.benchmark_group("columns");
    group.throughput(Throughput::Elements(values.len() as u64));
    for level in Level::available() {
        assert_eq!(sum_i64_at(level, &values), Some(sum));
        assert_eq!(sum_f64_at(level, &floats), sum as f64);
        assert_eq!(max_i64_at(level, &values), Some(last));
        assert_eq!(max_f64_at(level, &floats), Some(last as f64));
        let mut bench = |name, kernel: &dyn Fn() -> f64| {
            let id = BenchmarkId::new(name, format!("{level:?}"));
            group.bench_function(id, |bencher| bencher.iter(kernel));
        };
        bench("sum_i64", &|| sum_i64_at(level, black_box(&values)).unwrap_or(0) as f64);
        bench("sum_f64", &|| sum_f64_at(level, black_box(&floats)));
        bench("max_i64", &|| max_i64_at(level, black_box(&values)).unwrap_or(0) as f64);
        bench("max_f64", &|| max_f64_at(level, black_box(&floats)).unwrap_or(0.0));
    }
    let mut sums = vec![0; 1000];
    assert!(!grouped::add_i64(&mut sums, &ids, &values));
    assert_eq!(sum_i64(&sums), sum_i64(&values));
    group.bench_function("grouped::add_i64", |bencher| {
        bencher.iter(|| grouped::add_i64(&mut sums, black_box(&ids), black_box(&values)));
    });
    let mut sums = vec![0.0; 1000];
    group.bench_function("grouped::add_f64", |bencher| {
        bencher.iter(|| grouped::add_f64(&mut sums, black_box(&ids), black_box(&floats)));
    });
    group.finish();
}

criterion_group!(benches, cutting, table, columns);
criterion_main!(benches);
