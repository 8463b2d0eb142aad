//! cargo run --release --example custom_aggregate -- [--batches N]
//!
//! An aggregate of one's own: a histogram of latencies by endpoint, in powers of two, whose laws
//! are checked before it is used; checkpoints may hold it. Each batch prints where half of the
//! requests and where 99 % of them end. It runs for `--batches` (default 3).

#![expect(clippy::print_stdout, reason = "a report on standard output is what it is for")]

use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{Aggregate, Result, check_laws};

/// How many values had so many bits: bucket `b` holds those from 2^(b-1) to 2^b - 1.
struct Histogram;

impl Aggregate<u32> for Histogram {
    type Partial = [i64; 33];
    type Output = Vec<i64>;

    fn identity(&self) -> [i64; 33] {
        [0; 33]
    }

    fn add(&self, partial: &mut [i64; 33], value: u32) -> Result<()> {
        partial[(u32::BITS - value.leading_zeros()) as usize] += 1;
        Ok(())
    }

    fn merge(&self, into: &mut [i64; 33], later: &[i64; 33]) -> Result<()> {
        into.iter_mut().zip(later).for_each(|(into, later)| *into += later);
        Ok(())
    }

    fn finish(&self, partial: &[i64; 33]) -> Result<Vec<i64>> {
        Ok(partial.to_vec())
    }

    // Counts can be taken out again, so a window of an hour costs no more than one of a second.
    fn is_invertible(&self) -> bool {
        true
    }

    fn unmerge(&self, from: &mut [i64; 33], first: &[i64; 33]) -> Result<()> {
        from.iter_mut().zip(first).for_each(|(from, first)| *from -= first);
        Ok(())
    }

    fn partial_saved_as(&self) -> Option<String> {
        Some("histogram by powers of two".to_owned())
    }

    fn save_partial(&self, partial: &[i64; 33], out: &mut Vec<u8>) {
        partial.iter().for_each(|count| i64::save(*count, out));
    }

    fn load_partial(&self, from: &mut &[u8]) -> Result<[i64; 33]> {
        let mut partial = [0; 33];
        partial.iter_mut().try_for_each(|count| i64::load(from).map(|saved| *count = saved))?;
        Ok(partial)
    }
}

/// The end of the bucket that the value at this share of all values is in.
fn quantile(buckets: &[i64], share: f64) -> u64 {
    let wanted = (buckets.iter().sum::<i64>() as f64 * share).ceil() as i64;
    let mut seen = 0;
    let reached = buckets.iter().position(|count| {
        seen += count;
        seen >= wanted
    });
    (1 << reached.unwrap_or(0)) - 1
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // What sources come upon, such as a server that is not there, goes to standard error.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let batches = std::env::args().skip_while(|a| a != "--batches").nth(1);
    let batches: u32 = batches.map_or(Ok(3), |n| n.parse())?;
    check_laws(&Histogram, &[0, 1, 7, 8, 9, 1000, u32::MAX])?;
    let ssc =
        StreamingContext::builder("latencies").batch_interval(Duration::from_millis(20)).build()?;
    let (requests, queue) = ssc.queue_stream::<(String, u32)>()?;
    requests.aggregate_by_key(Histogram).foreach_batch(|batch, time| {
        for (endpoint, buckets) in batch.iter() {
            let buckets: Vec<i64> = buckets.iter().collect();
            let (half, most) = (quantile(&buckets, 0.5), quantile(&buckets, 0.99));
            println!("{time}: {endpoint}: half within {half} µs, 99 % within {most} µs");
        }
        Ok(())
    });
    ssc.start()?;
    for batch in 1..=batches {
        let latency = |request: u32| 50 * batch + 20_000_000 / (1 + request * 7919 % 10_007);
        queue
            .push((0..10_000).map(|n| (["/", "/search"][n as usize % 2].to_owned(), latency(n))))?;
    }
    drop(queue);
    ssc.await_termination()?;
    Ok(())
}
