//! Streams of tables: each method adds a step to the plan, as those of [`DStream`] do.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::group_by::{Finished, GroupBy, MergeStates, States, Unfinished};
use super::operators::{Filter, FinishStates, Select, ToTable};
use super::{AggExpr, Bound, Expr, IntoExpr, Schema, Table, TableRow, Tabular, tabular};
use crate::dstream::{DStream, Output};
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::ops::Narrow;
use crate::record::batch::AnyChunk;
use crate::record::{Batch, Row};
use crate::sink::print_table;
use crate::time::Time;

/// A stream of tables: one for each batch time, all with the same columns.
///
/// Made by [`DStream::to_table`]. Its methods check expressions when they are called, against the
/// columns that there are; what is wrong with one, [`start`](crate::StreamingContext::start) says.
///
/// ```
/// use std::time::Duration;
/// use tidemill::prelude::*;
/// use tidemill::table::{count, max, mean, quantile};
///
/// #[derive(Record)]
/// struct Reading {
///     station: String,
///     celsius: f64,
/// }
///
/// let mut t = TestContext::new()?;
/// let readings = t.input::<Reading>();
/// let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
/// let table = readings
///     .stream()
///     .to_table()
///     .filter(col("celsius").gt(-50.0).and(col("station").starts_with("o")))
///     .with_column("fahrenheit", col("celsius") * 1.8 + 32.0)
///     .window(minute, second)
///     .group_by(["station"])
///     .agg([mean("fahrenheit").alias("mean"), max("celsius"), count()]);
/// table.foreach_batch(|table, time| {
///     assert_eq!(table.column("mean")?.f64s()?, [41.0]);
///     println!("{time}:\n{table}");
///     Ok(())
/// });
/// # let reading = |station: &str, celsius| Reading { station: station.into(), celsius };
/// readings.push([reading("oslo", 4.5), reading("rome", 20.0), reading("oslo", 5.5)])?;
/// t.tick()?;
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone)]
pub struct TableStream {
    stream: DStream<TableRow>,
    schema: Arc<Schema>,
    /// A window that nobody has looked at yet. Steps row by row may as well run before it, and an
    /// aggregate does better than to keep the rows.
    window: Option<(Duration, Duration)>,
}

/// A [`TableStream`] with its rows in groups: see [`TableStream::group_by`].
#[derive(Clone, Debug)]
pub struct GroupedStream {
    table: TableStream,
    keys: Vec<Expr>,
}

impl<T: Tabular> DStream<T> {
    /// The stream as one of tables: columns named after the fields of its records, those of a
    /// tuple `_1`, `_2` and so on, and of single values `value`.
    #[doc(alias = "toDF")]
    pub fn to_table(&self) -> TableStream {
        let schema = tabular::schema_of::<T>().unwrap_or_else(|error| {
            self.context().misused(error.within("to_table"));
            Schema::default()
        });
        let schema = Arc::new(schema);
        let operator = ToTable::<T> { schema: schema.clone(), record: PhantomData };
        TableStream { stream: self.narrow("to_table", operator), schema, window: None }
    }
}

impl TableStream {
    /// The names and types of the columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The tables' rows as a stream of records, for all that a [`DStream`] can do besides.
    pub fn stream(&self) -> DStream<TableRow> {
        match self.window {
            Some((window, slide)) => self.stream.window(window, slide),
            None => self.stream.clone(),
        }
    }

    /// The rows for which an expression is true; where it is null, it is not.
    pub fn filter(&self, predicate: impl Into<Expr>) -> TableStream {
        let predicate = predicate.into();
        let name = format!("filter({predicate})");
        match Bound::predicate(&predicate, &self.schema) {
            Ok(bound) => self.step(name, self.schema.clone(), Filter(bound)),
            Err(error) => self.misused(error),
        }
    }

    /// What these expressions come to for each row, as columns.
    pub fn select<E: IntoExpr>(&self, expressions: impl IntoIterator<Item = E>) -> TableStream {
        let expressions: Vec<Expr> = expressions.into_iter().map(IntoExpr::into_expr).collect();
        let names: Vec<String> = expressions.iter().map(Expr::to_string).collect();
        let name = format!("select({})", names.join(", "));
        self.selected(name, Bound::select(expressions, &self.schema))
    }

    /// The tables with one column more, or another one of that name.
    #[doc(alias = "withColumn")]
    pub fn with_column(&self, name: impl Into<String>, value: impl Into<Expr>) -> TableStream {
        let (name, value) = (name.into(), value.into());
        let title = format!("with_column({name}, {value})");
        self.selected(title, Bound::with_column(name, value, &self.schema))
    }

    /// The rows of the last `window`, at every `slide`, as in [`DStream::window`].
    ///
    /// Aggregates of it keep what a batch comes to for each group instead of the rows, but for
    /// [`quantile`](super::quantile).
    pub fn window(&self, window: Duration, slide: Duration) -> TableStream {
        TableStream { stream: self.stream(), window: Some((window, slide)), ..self.clone() }
    }

    /// The rows of these tables, and then those of others with the same columns, batch by batch.
    pub fn union(&self, other: &TableStream) -> TableStream {
        if self.schema != other.schema {
            let message = format!("union of tables of ({}) and ({})", self.schema, other.schema);
            return self.misused(Error::new(ErrorKind::Schema, message));
        }
        let stream = self.stream().union(&other.stream());
        TableStream { stream, schema: self.schema.clone(), window: None }
    }

    /// The rows by what these expressions come to, to aggregate each group of them. Nulls are one
    /// group.
    #[doc(alias = "groupBy")]
    pub fn group_by<E: IntoExpr>(&self, keys: impl IntoIterator<Item = E>) -> GroupedStream {
        let keys = keys.into_iter().map(IntoExpr::into_expr).collect();
        GroupedStream { table: self.clone(), keys }
    }

    /// Aggregates of all rows: one row for each batch.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = AggExpr>) -> TableStream {
        self.group_by::<Expr>([]).agg(aggregates)
    }

    /// Calls a function with the table of each batch and its time, also with empty ones; an error
    /// is a failure of the [`Output`], as in [`DStream::foreach_batch`].
    #[doc(alias = "foreachBatch")]
    pub fn foreach_batch<F>(&self, mut f: F) -> Output
    where
        F: FnMut(&Table, Time) -> Result<(), BoxError> + Send + 'static,
    {
        let schema = self.schema.clone();
        self.stream().foreach_batch(move |batch, time| f(&table_of(&schema, batch), time))
    }

    /// Prints the time of each batch and its first rows to standard output, as Spark's `show` does.
    #[doc(alias = "print")]
    pub fn show(&self, rows_max: usize) -> Output {
        let schema = self.schema.clone();
        let run = move |chunks: &mut Vec<AnyChunk>, time: Time| {
            let printed = Batch::lend(chunks, |batch| {
                print_table(&table_of(&schema, batch).shown(rows_max), time)
            });
            printed.map_err(|error| {
                Error::caused(ErrorKind::Sink, "cannot write to standard output", error)
            })
        };
        self.stream().add_output(&format!("show({rows_max})"), Box::new(|| Ok(())), run)
    }

    fn selected(&self, name: String, selected: Result<(Schema, Vec<Bound>)>) -> TableStream {
        match selected {
            Ok((schema, columns)) => {
                let schema = Arc::new(schema);
                self.step(name, schema.clone(), Select { schema, columns })
            }
            Err(error) => self.misused(error),
        }
    }

    /// A step row by row, which runs before a window that nobody has looked at.
    fn step(&self, name: String, schema: Arc<Schema>, operator: impl Narrow) -> TableStream {
        TableStream { stream: self.stream.narrow(name, operator), schema, window: self.window }
    }

    /// Keeps the error for the start; the plan stays whole until then.
    fn misused(&self, error: Error) -> TableStream {
        self.stream.context().misused(error);
        self.clone()
    }
}

impl GroupedStream {
    /// One row for each group of a batch: the keys, and then these aggregates, in no particular
    /// order.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = AggExpr>) -> TableStream {
        let GroupedStream { table, keys } = self;
        let aggregates: Vec<AggExpr> = aggregates.into_iter().collect();
        let stream = &table.stream;
        let keys_max = stream.context().limits().distinct_keys;
        let group_by = GroupBy::new(keys, aggregates.iter().cloned(), &table.schema, keys_max);
        let group_by = match group_by {
            Ok(group_by) => Arc::new(group_by),
            Err(error) => return table.misused(error),
        };
        let schema = group_by.schema.clone();
        let names = |all: Vec<String>| all.join(", ");
        let aggregates = names(aggregates.iter().map(AggExpr::to_string).collect());
        let name = match names(keys.iter().map(Expr::to_string).collect()) {
            keys if keys.is_empty() => format!("agg({aggregates})"),
            keys => format!("group_by({keys}).agg({aggregates})"),
        };
        let stream = match table.window {
            None => stream.wide(&name, Finished(group_by)),
            Some(_) if group_by.grows() => table.stream().wide(&name, Finished(group_by)),
            Some((window, slide)) => {
                let states: DStream<(TableRow, Row<States>)> =
                    stream.wide(&name, Unfinished(group_by.clone()));
                let merge = MergeStates(group_by.clone());
                let merged = states.window_by_key("window", merge, window, slide);
                merged.narrow("table", FinishStates(group_by))
            }
        };
        TableStream { stream, schema, window: None }
    }
}

/// All partitions of a batch as one table.
fn table_of(schema: &Arc<Schema>, batch: &Batch<TableRow>) -> Table {
    Table::concat(schema, batch.partitions())
}

impl fmt::Debug for TableStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableStream({})", self.schema)
    }
}
