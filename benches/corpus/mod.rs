//! What the benches of whole pipelines run on, and how they measure: text in memory, a receiver
//! that hands it out, and the median of ratios that are taken in turn.

#![allow(dead_code, reason = "each bench is a crate of its own and uses a part of this")]

use std::io;
use std::sync::Arc;

use tidemill::prelude::*;
use tidemill::{Carry, Result};

/// Whole lines of natural language, of about this size.
pub(crate) fn kjv(bytes: usize) -> Arc<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kjv.txt");
    let text = std::fs::read(path).expect("the repository holds it");
    Arc::new(text.repeat(bytes.div_ceil(text.len())))
}

/// Lines of eight words, of so many distinct ones.
pub(crate) fn words(bytes: usize, distinct: u64) -> Arc<Vec<u8>> {
    let (mut text, mut state) = (Vec::with_capacity(bytes + 128), 1u64);
    while text.len() < bytes {
        for word in 0..8 {
            // Knuth's linear congruential generator; the high bits are the good ones.
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let end = if word == 7 { '\n' } else { ' ' };
            text.extend_from_slice(format!("w{}{end}", (state >> 33) % distinct).as_bytes());
        }
    }
    Arc::new(text)
}

/// Lines such as `station 17;-3.4`, of so many stations, in no order.
pub(crate) fn measurements(bytes: usize, stations: u64) -> Vec<u8> {
    let (mut text, mut state) = (Vec::with_capacity(bytes + 128), 1u64);
    let mut below = |end: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % end
    };
    while text.len() < bytes {
        let (station, tenths) = (below(stations), below(1_000) as i64 - 300);
        let (sign, size) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
        let line = format!("station {station};{sign}{}.{}\n", size / 10, size % 10);
        text.extend_from_slice(line.as_bytes());
    }
    text
}

/// A bounded source that reads from memory, so that a bench measures no file system.
pub(crate) struct Memory {
    text: Arc<Vec<u8>>,
    position: usize,
    carry: Carry,
}

impl Memory {
    pub(crate) fn new(text: Arc<Vec<u8>>) -> Memory {
        Memory { text, position: 0, carry: Carry::default() }
    }
}

impl Receiver for Memory {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let rest = &self.text[self.position..];
        if rest.is_empty() {
            into.finish(&mut self.carry);
            return Ok(Received::End);
        }
        let count = into.fill(&mut self.carry, |room| {
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })?;
        self.position += count.unwrap_or(0);
        Ok(Received::More)
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

/// A context for a bounded run: one batch, at the end of the input.
pub(crate) fn bounded_context(threads: usize) -> Result<StreamingContext> {
    let interval = std::time::Duration::from_secs(3600);
    StreamingContext::builder("bench").batch_interval(interval).threads(threads).build()
}

/// What a bench of several sections was called with: `--test`, and names of sections.
pub(crate) struct Arguments {
    all: Vec<String>,
    pub(crate) is_test: bool,
}

impl Arguments {
    pub(crate) fn new() -> Arguments {
        let all: Vec<String> = std::env::args().skip(1).collect();
        let is_test = all.iter().any(|argument| argument == "--test");
        Arguments { all, is_test }
    }

    /// Whether a section is to run: all do if none is named.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        let mut names = self.all.iter().filter(|argument| !argument.starts_with("--")).peekable();
        names.peek().is_none() || names.any(|wanted| wanted == name)
    }

    /// What follows this prefix in one of the arguments.
    pub(crate) fn option(&self, prefix: &str) -> Option<&str> {
        self.all.iter().find_map(|argument| argument.strip_prefix(prefix))
    }

    /// A number of the environment's, in the place of the usual one; a test has its own.
    pub(crate) fn number(&self, variable: &str, test: usize, bench: usize) -> usize {
        let set = std::env::var(variable).ok().and_then(|number| number.parse().ok());
        if self.is_test { test } else { set.unwrap_or(bench) }
    }
}

/// Seconds that the process's threads, those that have ended among them, have had a processor for:
/// what others do on a machine that is shared shows in it less than in what the clock says.
pub(crate) fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A bijection that looks random: the finaliser of SplitMix64 (Steele, Lea and Flood).
pub(crate) fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What the figures were taken on: goes to the head of a record.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("# {} x {cores} cores, Linux {}", model.unwrap_or("unknown"), kernel.trim())
}
