//! Output operations that write somewhere, one file each.

mod collect;
mod print;
mod text_files;

pub(crate) use collect::{Delivered, deliver};
pub(crate) use print::{print_batch, print_table};
pub use text_files::TextFiles;
