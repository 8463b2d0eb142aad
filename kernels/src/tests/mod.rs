//! Every kernel against its naive twin: at every level of the machine, at every length around its
//! block, at several alignments, on text of adversarial shape. A kernel that is not in [`KERNELS`]
//! fails [`no_kernel_is_skipped`].

mod buffer;
mod cells;
mod decimals;
mod fields;
mod naive;
mod numbers;
mod same;
mod slots;
mod table;
mod text;
mod timestamps;

use crate::Level;

/// A kernel's check: runs it at a level on all cases.
type Check = fn(Level);

/// Every public kernel with a level, and its check.
const KERNELS: &[(&str, Check)] = &[
    ("count_newlines_at", text::count_newlines),
    ("is_ascii_at", text::is_ascii),
    ("key_decimals_at", fields::key_decimals),
    ("line_fields_at", fields::line_fields),
    ("line_spans_at", text::line_spans),
    ("max_f64_at", numbers::max_f64),
    ("max_i64_at", numbers::max_i64),
    ("min_f64_at", numbers::min_f64),
    ("min_i64_at", numbers::min_i64),
    ("parse_decimal_at", decimals::parse_decimal),
    ("parse_f64_at", decimals::parse_f64),
    ("parse_i64_at", decimals::parse_i64),
    ("parse_timestamps_at", timestamps::parse_timestamps),
    ("row_fields_at", fields::row_fields),
    ("split_byte_at", text::split_byte),
    ("split_whitespace_at", text::split_whitespace),
    ("sum_f64_at", numbers::sum_f64),
    ("sum_i64_at", numbers::sum_i64),
    ("white_fields_at", fields::white_fields),
    ("check_at", text::check),
    ("new_at", table::all),
];

#[test]
fn kernels_agree_with_their_naive_twins() {
    for level in Level::available() {
        for (_, check) in KERNELS {
            check(level);
        }
    }
    let levels: Vec<Level> = Level::available().collect();
    report(&format!("kernels ran at {levels:?} of {:?}", Level::ALL));
}

#[test]
fn no_kernel_is_skipped() {
    let sources = [
        include_str!("../lib.rs"),
        include_str!("../text_buffer.rs").split("mod tests").next().unwrap(),
        include_str!("../table/mod.rs"),
    ];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mentioned = sources.iter().flat_map(|source| {
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.flat_map(|line| line.split(|c| !is_name(c)).filter(|word| word.ends_with("_at")))
    });
    // What these files name without defining a public kernel.
    let inner = ["check_utf8_at", "colliding_at"];
    for name in mentioned.filter(|name| !inner.contains(name)) {
        assert!(KERNELS.iter().any(|(kernel, _)| *kernel == name), "{name} has no check");
    }
}

/// Says what ran, past the harness's capture: a machine without a level must not pass silently.
#[expect(clippy::print_stdout, reason = "which levels ran is the test's other result")]
fn report(message: &str) {
    println!("{message}");
}

/// Numbers that are the same in every run (SplitMix64, by Steele, Lea and Flood).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
