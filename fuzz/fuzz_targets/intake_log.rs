//! A start from an intake log that no program has written, with right checksums.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidemill_fuzz::edit::Edit;
use tidemill_fuzz::{Left, seal};

static LEFT: OnceLock<Left> = OnceLock::new();

fuzz_target!(
    init: {
        let left = Left::by_the_program("intake/", seal::intake_log);
        LEFT.set(left).ok().expect("it is set once");
    },
    |edits: Vec<(u8, Vec<Edit>)>| LEFT.get().expect("it was set").start_edited(&edits)
);
