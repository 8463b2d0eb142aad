//! Columns of tables as arrays of arrow2, and back. Numbers go without copying either way; text is
//! gathered on its way out, and copied in one piece on its way in.

use std::sync::Arc;

use arrow2::array::{Array, BooleanArray, MutableUtf8ValuesArray, PrimitiveArray, Utf8Array};
use arrow2::bitmap::Bitmap;
use arrow2::datatypes::{DataType, TimeUnit};
use arrow2::offset::Offset;
use arrow2::types::NativeType;
use tidemill_kernels::{Span, TextBuffer};

use super::block::SharedText;
use super::{Buffer, Columns, TextColumn};

/// What an array may come in as.
pub(crate) enum Imported {
    I64(Buffer<i64>),
    F64(Buffer<f64>),
    Bool(Buffer<bool>),
    Text(TextColumn),
    /// Nanoseconds.
    Timestamp(Buffer<i64>),
}

fn bitmap(validity: Option<&[bool]>) -> Option<Bitmap> {
    validity.map(|validity| validity.iter().copied().collect())
}

fn primitive<T: NativeType>(
    data_type: DataType,
    values: &Buffer<T>,
    validity: Option<&[bool]>,
) -> Box<dyn Array> {
    PrimitiveArray::new(data_type, values.to_arrow(), bitmap(validity)).boxed()
}

pub(crate) fn of_i64s(values: &Buffer<i64>, validity: Option<&[bool]>) -> Box<dyn Array> {
    primitive(DataType::Int64, values, validity)
}

pub(crate) fn of_f64s(values: &Buffer<f64>, validity: Option<&[bool]>) -> Box<dyn Array> {
    primitive(DataType::Float64, values, validity)
}

pub(crate) fn of_timestamps(nanos: &Buffer<i64>, validity: Option<&[bool]>) -> Box<dyn Array> {
    let data_type = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".to_owned()));
    primitive(data_type, nanos, validity)
}

pub(crate) fn of_bools(values: &[bool], validity: Option<&[bool]>) -> Box<dyn Array> {
    let values = values.iter().copied().collect();
    BooleanArray::new(DataType::Boolean, values, bitmap(validity)).boxed()
}

pub(crate) fn of_text(text: &TextColumn, validity: Option<&[bool]>) -> Box<dyn Array> {
    let bytes = text.spans().iter().map(|span| span.len as usize).sum();
    // Rows may share bytes: offsets are the large kind.
    let mut array = MutableUtf8ValuesArray::<i64>::with_capacities(text.len(), bytes);
    (0..text.len()).for_each(|row| array.push(text.get(row)));
    let array: Utf8Array<i64> = array.into();
    array.with_validity(bitmap(validity)).boxed()
}

/// The values of an array, and which of them are there; none if tables have no such type, or a
/// value does not fit theirs.
pub(crate) fn import(array: &dyn Array) -> Option<(Imported, Option<Vec<bool>>)> {
    let validity = array.validity().map(|validity| validity.iter().collect::<Vec<bool>>());
    let valid = validity.as_deref();
    let values = match array.data_type() {
        DataType::Int64 => Imported::I64(shared(array)?),
        DataType::Float64 => Imported::F64(shared(array)?),
        DataType::Int8 => Imported::I64(widened::<i8>(array)?),
        DataType::Int16 => Imported::I64(widened::<i16>(array)?),
        DataType::Int32 => Imported::I64(widened::<i32>(array)?),
        DataType::UInt8 => Imported::I64(widened::<u8>(array)?),
        DataType::UInt16 => Imported::I64(widened::<u16>(array)?),
        DataType::UInt32 => Imported::I64(widened::<u32>(array)?),
        DataType::UInt64 => {
            let values = primitives::<u64>(array)?.values().iter().enumerate();
            let is_valid = |row: usize| valid.is_none_or(|valid| valid[row]);
            let fitting = values.map(|(row, &value)| match i64::try_from(value) {
                Ok(value) => Some(value),
                Err(_) => (!is_valid(row)).then_some(0),
            });
            Imported::I64(fitting.collect::<Option<Vec<i64>>>()?.into())
        }
        DataType::Float32 => {
            let values = primitives::<f32>(array)?.values().iter();
            Imported::F64(values.map(|&value| value.into()).collect::<Vec<f64>>().into())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Imported::Timestamp(shared(array)?),
        DataType::Timestamp(unit, _) => {
            let nanos = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                _ => 1_000,
            };
            let values = primitives::<i64>(array)?.values().iter().enumerate();
            let is_valid = |row: usize| valid.is_none_or(|valid| valid[row]);
            let fitting = values.map(|(row, value)| match value.checked_mul(nanos) {
                None => (!is_valid(row)).then_some(0),
                value => value,
            });
            Imported::Timestamp(fitting.collect::<Option<Vec<i64>>>()?.into())
        }
        DataType::Boolean => {
            let array = array.as_any().downcast_ref::<BooleanArray>()?;
            Imported::Bool(array.values().iter().collect::<Vec<bool>>().into())
        }
        DataType::Utf8 => Imported::Text(text::<i32>(array)?),
        DataType::LargeUtf8 => Imported::Text(text::<i64>(array)?),
        _ => return None,
    };
    Some((values, validity))
}

fn primitives<T: NativeType>(array: &dyn Array) -> Option<&PrimitiveArray<T>> {
    array.as_any().downcast_ref()
}

fn shared<T: NativeType>(array: &dyn Array) -> Option<Buffer<T>> {
    primitives::<T>(array).map(|array| Buffer::Shared(array.values().clone()))
}

fn widened<T: NativeType + Into<i64>>(array: &dyn Array) -> Option<Buffer<i64>> {
    let values = primitives::<T>(array)?.values().iter();
    Some(values.map(|&value| value.into()).collect::<Vec<i64>>().into())
}

/// None if it is longer than a buffer of text may be.
fn text<O: Offset>(array: &dyn Array) -> Option<TextColumn> {
    let array = array.as_any().downcast_ref::<Utf8Array<O>>()?;
    let offsets = array.offsets().buffer();
    let (first, last) = (offsets.first()?.to_usize(), offsets.last()?.to_usize());
    u32::try_from(last - first).ok()?;
    let mut buffer = TextBuffer::with_capacity(last - first);
    buffer.extend_from_bytes(&array.values()[first..last]);
    buffer.check().ok()?;
    let span = |ends: &[O]| {
        let (start, end) = (ends[0].to_usize(), ends[1].to_usize());
        Span { start: (start - first) as u32, len: (end - start) as u32 }
    };
    let spans: Vec<Span> = offsets.windows(2).map(span).collect();
    // That a row begins and ends between characters, whoever made the array may not have checked.
    let is_text = spans.iter().all(|span| buffer.checked_str().get(span.range()).is_some());
    is_text.then(|| TextColumn::from_shared(SharedText::from(Arc::new(buffer)), spans))
}
