//! Output operations that write somewhere, one file each.

mod at_least_once;
mod collect;
mod escape;
mod policy;
mod print;
mod stdout;
mod text_files;
mod transaction;
mod transactional_files;

pub use at_least_once::Sink;
pub(crate) use at_least_once::{AnySink, any_sink};
pub(crate) use collect::{Delivered, deliver};
pub use escape::{escaped, escaped_lines, steers};
pub use policy::OnFailure;
pub(crate) use policy::OutputPolicy;
pub(crate) use print::{print_batch, print_table, write_table};
pub use text_files::TextFiles;
pub(crate) use transaction::Transaction;
pub use transaction::TransactionalSink;
pub use transactional_files::TransactionalFiles;
