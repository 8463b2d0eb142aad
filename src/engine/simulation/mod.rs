//! The whole engine from a seed: a source that can go back, operators that remember and may be
//! taken out of the program for a while, a sink that commits, functions that panic, a clock that
//! jumps, a disk that fails and forgets, crashes at any batch and restarts, beside a model that
//! only counts.
//!
//! Everything is drawn from the seed but the threads' turns, so that a seed that fails can be run
//! again: `TIDEMILL_SEED=17 cargo test --lib simulation`. `TIDEMILL_SIMULATIONS` sets how many are
//! run.

mod damage;
mod faults;
#[cfg(all(unix, feature = "signals"))]
mod kill_points;
mod model;
mod program;
mod source;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::storage::faulty::FaultyDisk;
use model::Model;
use program::{Life, PARTS, Panic, Part, Program};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Seeds that have failed once, by what was wrong.
const NAMED: [(&str, u64); 0] = [];

#[test]
fn simulation() {
    if let Some(seed) = number("TIDEMILL_SEED") {
        run(seed);
        return;
    }
    for (_, seed) in NAMED {
        run(seed);
    }
    let count = number("TIDEMILL_SIMULATIONS").unwrap_or(20);
    let batches: usize = (0..count).map(run).sum();
    // What is lost or doubled fails.
    eprintln!(
        "simulations: {count} seeds, {batches} batches, 0 lost, 0 doubled \
         (TIDEMILL_SIMULATIONS={count}; TIDEMILL_SEED runs one)"
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Several lives of a program over one disk, and then one in which nothing fails. Gives the number
/// of batches.
fn run(seed: u64) -> usize {
    // Whatever panics says which seed it was.
    let _seed = SaysSeed(seed);
    let mut random = Random::new(seed);
    let disk = FaultyDisk::new(random.next());
    let mut program = Program::new(Arc::new(disk.clone()), Path::new("/"));
    let mut model = Model::default();
    for _ in 0..1 + random.below(8) {
        program.threads = 1 + random.below(2) as usize;
        program.every = 1 + random.below(4) as u32;
        // The clock may have been put back, or time may have passed.
        program.now = Duration::from_secs([0, 0, 30, 3_600, 400_000][random.below(5) as usize]);
        program.parts = parts(&mut random);
        // Of a thousand operations on the disk.
        disk.fail([0, 0, 2, 20, 100][random.below(5) as usize]);
        match Life::begin(&program, &mut model) {
            Ok(life) => live(life, &disk, &mut model, &mut random),
            Err(error) => assert_disk_failed(&error, &disk),
        }
        disk.fail(0);
        if random.below(2) == 0 {
            disk.crash();
        }
    }
    program.parts = PARTS.to_vec();
    let mut life = Life::begin(&program, &mut model).expect("it begins where nothing fails");
    for _ in 0..1 + random.below(5) {
        life.tick(random.below(20), &mut model).expect("a batch where nothing fails");
    }
    life.end(true, &mut model).expect("a stop where nothing fails");
    model.check_files(&*program.storage, &program.out());
    model.len()
}

/// Another version of the program: parts in another order, and some that are not in it. The sink
/// always is: what it has prepared would be lost without it.
fn parts(random: &mut Random) -> Vec<Part> {
    let mut parts = PARTS.to_vec();
    parts.retain(|&part| part == Part::Rows || random.below(6) > 0);
    for index in (1..parts.len()).rev() {
        parts.swap(index, random.below(index as u64 + 1) as usize);
    }
    parts
}

/// Some batches up to a stop, most of them by a crash.
fn live(mut life: Life, disk: &FaultyDisk, model: &mut Model, random: &mut Random) {
    for tick in 0..random.below(12) {
        match random.below(12) {
            0 => life.jump(1 + random.below(6) as u32),
            // Before the first batch nobody could tell what to wait for.
            1 if tick > 0 => life.put_back(1 + random.below(6) as u32),
            _ => {}
        }
        let part = PARTS[random.below(PARTS.len() as u64) as usize];
        life.panic(match random.below(10) {
            0 => Some(Panic::InFunction(part)),
            1 => Some(Panic::InOutput(part)),
            _ => None,
        });
        let lines = [0, 1, 3, 20][random.below(4) as usize];
        // Something else has taken all descriptors for a while.
        disk.run_out(random.below(12) == 0);
        let ticked = life.tick(lines, model);
        disk.run_out(false);
        if let Err(error) = ticked {
            if error.kind() != ErrorKind::Closure {
                assert_disk_failed(&error, disk);
            }
            // The program goes on without the batch where it failed, or ends, and then it comes
            // again. What a disk did not take is not gone on without.
            if disk.failed().is_some() || random.below(2) == 0 {
                break;
            }
        }
    }
    life.panic(None);
    if let Err(error) = life.end(random.below(3) == 0, model) {
        assert_disk_failed(&error, disk);
    }
}

fn assert_disk_failed(error: &Error, disk: &FaultyDisk) {
    let is_known = [ErrorKind::Checkpoint, ErrorKind::Sink].contains(&error.kind());
    assert!(is_known && disk.failed().is_some(), "{error}");
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
struct Random(u64);

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
