//! The instruction sets a kernel may use, because one binary runs on machines that differ; a level
//! that reaches an `unsafe` call has always passed through [`Level::supported`].

use std::sync::OnceLock;

/// How far a kernel may reach into the instruction set.
///
/// The same call gives the same answer at every level; only the time differs.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// Portable Rust: the only level off x86-64.
    Scalar,
    /// AVX2 with BMI1, BMI2, LZCNT and POPCNT.
    Avx2,
    /// AVX-512 F, BW, DQ, VL, VBMI and VBMI2, and all of [`Level::Avx2`].
    Avx512,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Level; 3] = [Level::Scalar, Level::Avx2, Level::Avx512];

    /// The level in use: what the machine has, looked up once per process.
    ///
    /// The environment variable `KERNELS_LEVEL` (`scalar`, `avx2` or `avx512`) caps it, to compare
    /// levels and to rule SIMD out when hunting a bug. Any other value is no cap.
    pub fn current() -> Level {
        static CURRENT: OnceLock<Level> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let cap = match std::env::var("KERNELS_LEVEL").as_deref() {
                Ok("scalar") => Level::Scalar,
                Ok("avx2") => Level::Avx2,
                _ => Level::Avx512,
            };
            cap.min(detected())
        })
    }

    /// The levels up to [`Level::current`], lowest first: what a test has to run.
    pub fn available() -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(|level| *level <= Level::current())
    }

    /// This level, lowered to [`Level::current`] where it asks for more.
    pub fn supported(self) -> Level {
        self.min(Level::current())
    }
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Level {
    // The same lists as the `target_feature` attributes in `multiversion.rs` and `isa/`.
    macro_rules! all {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    if !all!("avx2" "bmi1" "bmi2" "lzcnt" "popcnt") {
        return Level::Scalar;
    }
    if !all!("avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vbmi" "avx512vbmi2") {
        return Level::Avx2;
    }
    Level::Avx512
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Level {
    Level::Scalar
}
