//! Tables: columns with names and types that are known when the program runs, and expressions over
//! them. What other systems call a DataFrame, of one batch ([`Table`]) or of a stream of them
//! ([`TableStream`]).
//!
//! An expression ([`Expr`]) is checked against the columns when it is given, and then evaluated a
//! column at a time. A stream of tables is a stream of records like any other, whose record is a
//! row of a table: windows, unions and outputs are those of [`DStream`](crate::DStream).

mod aggregate;
mod arithmetic;
mod bind;
mod cast;
mod compare;
mod data_type;
mod evaluate;
mod expr;
mod frame;
mod function;
mod group_by;
mod groups;
mod logic;
mod matching;
mod native;
mod operators;
mod quantile;
#[cfg(feature = "arrow")]
mod record_batch;
mod rows;
mod schema;
mod series;
mod show;
mod stream;
mod tabular;
mod written;

pub use aggregate::{
    AggExpr, count, count_of, first, last, max, mean, min, quantile, std, sum, variance,
};
use bind::Bound;
pub use data_type::{Cell, DataType};
use evaluate::Evaluated;
pub use expr::{Expr, IntoExpr, col, lit};
pub use frame::Table;
pub use group_by::GroupedTable;
pub use groups::TableGroups;
pub use rows::{TableRow, TableRowRef};
pub use schema::{Field, Schema};
pub use series::Series;
pub use stream::{GroupedStream, TableStream};
pub use tabular::Tabular;
#[doc(hidden)]
pub use tabular::{member_fields, member_series};
