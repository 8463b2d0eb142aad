//! Output operations that write somewhere, one file each.

mod print;

pub(crate) use print::print_batch;
