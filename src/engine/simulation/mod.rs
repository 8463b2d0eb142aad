//! The whole engine from a seed: a source that can go back, operators that remember, a sink that
//! commits, a disk that fails and forgets, crashes at any batch and restarts, beside a model that
//! only counts.
//!
//! Everything is drawn from the seed but the threads' turns, so that a seed that fails can be run
//! again: `TIDEMILL_SEED=17 cargo test --lib simulation`. `TIDEMILL_SIMULATIONS` sets how many are
//! run.

mod model;
mod program;
mod source;

use std::path::Path;
use std::sync::Arc;

use crate::storage::faulty::FaultyDisk;
use model::Model;
use program::Life;

/// Seeds that have failed once, by what was wrong.
const NAMED: [(&str, u64); 0] = [];

#[test]
fn simulation() {
    if let Some(seed) = number("TIDEMILL_SEED") {
        return run(seed);
    }
    for (_, seed) in NAMED {
        run(seed);
    }
    for seed in 0..number("TIDEMILL_SIMULATIONS").unwrap_or(20) {
        run(seed);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Several lives of a program over one disk, and then one in which nothing fails.
fn run(seed: u64) {
    // Whatever panics says which seed it was.
    let _seed = SaysSeed(seed);
    let mut random = Random::new(seed);
    let disk = Arc::new(FaultyDisk::new(random.next()));
    let directory = Path::new("/state");
    let mut model = Model::default();
    let lives = 1 + random.below(8);
    for _ in 0..lives {
        // Of a thousand operations on the disk.
        let faults = [0, 0, 2, 20, 100][random.below(5) as usize];
        disk.fail(faults);
        let ticks = random.below(12);
        if let Some(mut life) = Life::begin(&disk, directory, &mut model, &mut random) {
            for _ in 0..ticks {
                if !life.tick(&mut model, &mut random) {
                    break;
                }
            }
            life.end(random.below(3) == 0, &mut model);
        }
        disk.fail(0);
        if random.below(2) == 0 {
            disk.crash();
        }
    }
    let mut life = Life::begin(&disk, directory, &mut model, &mut random)
        .expect("it begins where nothing fails");
    for _ in 0..1 + random.below(5) {
        assert!(life.tick(&mut model, &mut random), "a batch failed though nothing else did");
    }
    life.end(true, &mut model);
    model.check_files(&disk);
}

struct SaysSeed(u64);

impl Drop for SaysSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} failed: TIDEMILL_SEED={0} runs it again", self.0);
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
