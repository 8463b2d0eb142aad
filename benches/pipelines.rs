//! From memory to counts: what a pipeline costs a byte, fused, by closures, and by key.
//!
//! Each run makes a context, reads the whole corpus as bounded input, and ends; every pipeline has
//! to give the expected total. Latency is not measured here: see `latency.rs`.

mod corpus;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidemill::prelude::*;

type Pipeline = fn(&DStream<String>) -> DStream<(String, i64)>;

const PIPELINES: [(&str, Pipeline); 5] = [
    ("split.count_by_value", |lines| lines.split(b' ').count_by_value()),
    ("split.pair_with.sum", |lines| lines.split(b' ').pair_with(1i64).aggregate_by_key(Sum)),
    ("split.map.sum", |lines| {
        let pairs = lines.split(b' ').flat_map::<(String, i64), _>(|word, out| out.push((word, 1)));
        pairs.aggregate_by_key(Sum)
    }),
    ("split.reduce_by_key", |lines| lines.split(b' ').pair_with(1i64).reduce_by_key(|a, b| a + b)),
    ("flat_map.reduce_by_key", |lines| {
        let words = lines.flat_map::<String, _>(|line, out| {
            for word in line.split(' ') {
                out.push(word);
            }
        });
        words.pair_with(1i64).reduce_by_key(|a, b| a + b)
    }),
];

/// Runs the pipeline over the whole text, and gives the sum of all counts.
fn run(text: &Arc<Vec<u8>>, pipeline: Pipeline, threads: usize) -> i64 {
    let ssc = corpus::bounded_context(threads).expect("valid settings");
    let lines = ssc.receiver_stream(corpus::Memory::new(text.clone())).expect("not started");
    let total = Arc::new(AtomicI64::new(0));
    let sum = total.clone();
    pipeline(&lines).foreach_batch(move |batch, _| {
        sum.fetch_add(batch.iter().map(|(_, count)| count).sum(), Ordering::Relaxed);
        Ok(())
    });
    ssc.start().expect("starts");
    ssc.await_termination().expect("no batch fails");
    total.load(Ordering::Relaxed)
}

fn pipelines(criterion: &mut Criterion) {
    let text = corpus::kjv(32 << 20);
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let expected: usize = lines.map(|line| line.split(|&byte| byte == b' ').count()).sum();
    let mut group = criterion.benchmark_group("pipelines/kjv");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
    for (name, pipeline) in PIPELINES {
        for threads in [1, 2] {
            assert_eq!(run(&text, pipeline, threads), expected as i64, "{name} is wrong");
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter(|| run(&text, pipeline, threads));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, pipelines);
criterion_main!(benches);
