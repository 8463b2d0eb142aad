//! A table: columns with names, all of the same length.

use std::sync::Arc;

use super::group_by::GroupedTable;
use super::{AggExpr, Bound, Evaluated, Expr, IntoExpr, Schema, Series, Tabular};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Batch, Columns};

/// Rows of columns whose names and types are known when the program runs.
///
/// Made of records by [`Batch::to_table`] or [`from_records`](Self::from_records), or what a
/// [`TableStream`](super::TableStream) gives for a batch time. Its methods say at once what is
/// wrong with an expression, before they look at any row. Cloning shares the columns.
///
/// ```
/// use tidemill::prelude::*;
/// use tidemill::table::{count, mean};
///
/// #[derive(Record)]
/// struct Reading {
///     station: String,
///     celsius: Option<f64>,
/// }
///
/// # let reading = |station: &str, celsius| Reading { station: station.into(), celsius };
/// let readings = [reading("oslo", Some(1.5)), reading("rome", None), reading("oslo", Some(2.5))];
/// let table = Table::from_records(readings)?;
/// let means = table.group_by(["station"])?.agg([mean("celsius"), count()])?;
/// assert_eq!(
///     means.to_string(),
///     "\
/// +-------+-------------+-----+
/// |station|mean(celsius)|count|
/// +-------+-------------+-----+
/// |   oslo|          2.0|    2|
/// |   rome|         NULL|    1|
/// +-------+-------------+-----+
/// "
/// );
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "DataFrame")]
pub struct Table {
    schema: Arc<Schema>,
    columns: Vec<Series>,
    len: usize,
}

impl Table {
    /// A table of these columns; an error if they differ in length, or two have the same name.
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, Series)>) -> Result<Table> {
        let named = columns.into_iter().map(|(name, series)| (name.into(), series));
        let (names, columns): (Vec<String>, Vec<Series>) = named.unzip();
        let types = columns.iter().map(Series::data_type);
        let fields = names.into_iter().zip(types);
        let schema =
            Schema::new(fields.map(|(name, data_type)| super::Field::new(name, data_type)))?;
        let len = columns.first().map_or(0, Series::len);
        if let Some(odd) = columns.iter().position(|column| column.len() != len) {
            let (name, odd) = (schema.fields()[odd].name(), columns[odd].len());
            let first = schema.fields()[0].name();
            let message = format!("column {name:?} has {odd} rows, but {first:?} has {len}");
            return Err(Error::new(ErrorKind::Schema, message));
        }
        Ok(Table { schema: Arc::new(schema), columns, len })
    }

    /// A table of records: columns named after the fields.
    pub fn from_records<T: Tabular>(records: impl IntoIterator<Item = T>) -> Result<Table> {
        records.into_iter().collect::<Batch<T>>().to_table()
    }

    /// Columns that are known to fit the schema.
    pub(crate) fn of(schema: Arc<Schema>, columns: Vec<Series>, len: usize) -> Table {
        debug_assert!(schema.len() == columns.len());
        debug_assert!(columns.iter().all(|column| column.len() == len));
        Table { schema, columns, len }
    }

    /// No rows.
    pub(crate) fn empty(schema: Arc<Schema>) -> Table {
        let columns = schema.fields().iter().map(|field| Series::empty(field.data_type()));
        Table { columns: columns.collect(), schema, len: 0 }
    }

    /// All rows of tables of the same schema, in order; one alone is shared.
    pub(crate) fn concat<'a>(
        schema: &Arc<Schema>,
        parts: impl IntoIterator<Item = &'a Table>,
    ) -> Table {
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let Some(mut all) = parts.next().cloned() else { return Table::empty(schema.clone()) };
        parts.for_each(|part| Columns::append(&mut all, part));
        all.freeze();
        all
    }

    /// The names and types of the columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(crate) fn shared_schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// All columns, in the order of the schema.
    pub fn columns(&self) -> &[Series] {
        &self.columns
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Result<&Series> {
        self.schema.index_of(name).map(|index| &self.columns[index])
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows for which an expression is true; where it is null, it is not.
    pub fn filter(&self, predicate: impl Into<Expr>) -> Result<Table> {
        self.kept(&Bound::predicate(&predicate.into(), &self.schema)?)
    }

    /// What these expressions come to for each row, as the columns of another table.
    pub fn select<E: IntoExpr>(&self, expressions: impl IntoIterator<Item = E>) -> Result<Table> {
        let (schema, bound) = Bound::select(expressions, &self.schema)?;
        self.selected(&Arc::new(schema), &bound)
    }

    /// The table with one column more, or another one of that name.
    #[doc(alias = "withColumn")]
    pub fn with_column(&self, name: impl Into<String>, value: impl Into<Expr>) -> Result<Table> {
        let (schema, bound) = Bound::with_column(name.into(), value.into(), &self.schema)?;
        self.selected(&Arc::new(schema), &bound)
    }

    /// The rows by what these expressions come to, to aggregate each group of them. Nulls are one
    /// group.
    #[doc(alias = "groupBy")]
    pub fn group_by<E: IntoExpr>(
        &self,
        keys: impl IntoIterator<Item = E>,
    ) -> Result<GroupedTable<'_>> {
        GroupedTable::new(self, keys)
    }

    /// Aggregates of all rows: one row.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = AggExpr>) -> Result<Table> {
        self.group_by::<Expr>([])?.agg(aggregates)
    }

    pub(crate) fn kept(&self, predicate: &Bound) -> Result<Table> {
        let rows = match predicate.evaluate(self)? {
            Evaluated::Series(mask) => super::logic::true_rows(&mask)?,
            Evaluated::Literal(literal) if literal.is_true() => return Ok(self.clone()),
            Evaluated::Literal(_) => Vec::new(),
        };
        Ok(if rows.len() == self.len { self.clone() } else { Columns::gather(self, &rows) })
    }

    pub(crate) fn selected(&self, schema: &Arc<Schema>, columns: &[Bound]) -> Result<Table> {
        let columns = columns.iter().map(|column| column.series(self));
        Ok(Table::of(schema.clone(), columns.collect::<Result<_>>()?, self.len))
    }

    pub(crate) fn columns_mut(&mut self) -> &mut [Series] {
        &mut self.columns
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

impl<T: Tabular> Batch<T> {
    /// All rows as a table: columns named after the fields.
    pub fn to_table(&self) -> Result<Table> {
        let schema = Arc::new(super::tabular::schema_of::<T>()?);
        let parts = self.partitions().map(|rows| super::tabular::table_of::<T>(&schema, rows));
        Ok(Table::concat(&schema, &parts.collect::<Result<Vec<_>>>()?))
    }
}
