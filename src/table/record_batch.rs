//! Tables to and from arrow-rs.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};

use super::series::Values;
use super::{Series, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::record::array::{self, Imported};
use crate::record::{from_arrow_rs, to_arrow_rs};

impl Table {
    /// The table as a `RecordBatch` of arrow-rs: integers, floats and timestamps over the same
    /// memory, text by one gather.
    ///
    /// ```
    /// use tidemill::arrow_array::Array;
    /// use tidemill::prelude::*;
    ///
    /// let table = Table::from_records([("oslo".to_owned(), -3.5), ("rome".to_owned(), 9.0)])?;
    /// let batch = table.to_record_batch()?;
    /// assert_eq!((batch.num_rows(), batch.schema().field(1).name().as_str()), (2, "_2"));
    /// let back = Table::from_record_batch(&batch)?;
    /// assert_eq!(back.to_string(), table.to_string());
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn to_record_batch(&self) -> Result<RecordBatch> {
        let arrays = self.columns().iter().map(|series| to_arrow_rs(array_of(series)));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let fields = self.schema().fields().iter().zip(&arrays);
        let fields =
            fields.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options);
        batch.map_err(|error| Error::caused(ErrorKind::Schema, "no record batch", error))
    }

    /// A table of the columns of a `RecordBatch` of arrow-rs: `Int64`, `Float64` and timestamps in
    /// nanoseconds over the same memory; smaller numbers are widened, and text is copied.
    ///
    /// An error says which column a table cannot have.
    pub fn from_record_batch(batch: &RecordBatch) -> Result<Table> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        let schema = batch.schema();
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            let within = |error: Error| error.within(&format!("column {:?}", field.name()));
            let array = from_arrow_rs(array).map_err(within)?;
            let Some((values, validity)) = array::import(&*array) else {
                let message = format!(
                    "column {:?}: its type is {}, and a table has none with all of its values",
                    field.name(),
                    field.data_type()
                );
                return Err(Error::new(ErrorKind::Schema, message));
            };
            let values = match values {
                Imported::I64(values) => Values::I64(values),
                Imported::F64(values) => Values::F64(values),
                Imported::Bool(values) => Values::Bool(values),
                Imported::Text(text) => Values::Text(Arc::new(text)),
                Imported::Timestamp(nanos) => Values::Timestamp(nanos),
            };
            columns.push((field.name(), Series::new(values, validity.map(Into::into))));
        }
        let mut table = Table::new(columns)?;
        table.set_len(batch.num_rows());
        Ok(table)
    }
}

fn array_of(series: &Series) -> crate::record::ArrowArray {
    let validity = series.validity().map(|validity| &**validity);
    match series.values() {
        Values::I64(values) => array::of_i64s(values, validity),
        Values::F64(values) => array::of_f64s(values, validity),
        Values::Bool(values) => array::of_bools(values, validity),
        Values::Text(text) => array::of_text(text, validity),
        Values::Timestamp(nanos) => array::of_timestamps(nanos, validity),
    }
}

impl TryFrom<&Table> for RecordBatch {
    type Error = Error;

    fn try_from(table: &Table) -> Result<RecordBatch> {
        table.to_record_batch()
    }
}

impl TryFrom<&RecordBatch> for Table {
    type Error = Error;

    fn try_from(batch: &RecordBatch) -> Result<Table> {
        Table::from_record_batch(batch)
    }
}
