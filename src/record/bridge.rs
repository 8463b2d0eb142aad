//! Batches as Arrow arrays, and these to and from arrow-rs: the only unsafe code of the engine.
//!
//! A stream's columns lie as Arrow wants them, but for text, whose rows may be anywhere in a block:
//! one gather brings them in order, here, at the boundary, and nowhere else.

pub use arrow2;
use arrow2::array::{
    Array, BinaryArray, BooleanArray, ListArray, NullArray, PrimitiveArray, StructArray, Utf8Array,
};
use arrow2::bitmap::Bitmap;
use arrow2::datatypes::{DataType, Field, TimeUnit};
use arrow2::offset::OffsetsBuffer;

use super::{
    Batch, BytesColumn, Columns, ListColumn, Number, NumberColumn, OptionColumn, Record,
    ScalarColumn, TextColumn, Timestamp,
};

/// A record whose columns can be given out as an Arrow array: all but [`Row`](super::Row).
pub trait ArrowRecord: Record {
    /// One array of all rows; of a tuple or a struct, a struct array with a field for each member.
    fn to_arrow(columns: &Self::Columns) -> Box<dyn Array>;
}

/// What [`ArrowRecord::to_arrow`] gives, for code that has no arrow2 at hand.
pub type ArrowArray = Box<dyn Array>;

/// The arrays of a record's fields, with their names, as one.
pub fn struct_array<const N: usize>(columns: [(&str, ArrowArray); N]) -> ArrowArray {
    let (fields, arrays) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    StructArray::new(DataType::Struct(fields), arrays, None).boxed()
}

impl<T: ArrowRecord> Batch<T> {
    /// The columns of each partition as an Arrow array; a tuple or a struct is a struct array.
    ///
    /// ```
    /// use tidemill::arrow2::array::PrimitiveArray;
    /// use tidemill::prelude::*;
    ///
    /// let batch: Batch<i64> = [1, 2, 3].into_iter().collect();
    /// let arrays = batch.to_arrow();
    /// let integers = arrays[0].as_any().downcast_ref::<PrimitiveArray<i64>>().unwrap();
    /// assert_eq!(integers.values().as_slice(), [1, 2, 3]);
    /// ```
    pub fn to_arrow(&self) -> Vec<Box<dyn Array>> {
        self.partitions().map(T::to_arrow).collect()
    }
}

macro_rules! primitives {
    ($($scalar:ty),*) => {$(
        impl ArrowRecord for $scalar {
            fn to_arrow(columns: &ScalarColumn<$scalar>) -> Box<dyn Array> {
                PrimitiveArray::from_vec(columns.values().to_vec()).boxed()
            }
        }
    )*};
}

primitives!(i8, i16, i32, i64, u16, u32, u64, f32, f64);

// Arrow's decimals have no room for the numbers that are none.
impl ArrowRecord for Number {
    fn to_arrow(columns: &NumberColumn) -> Box<dyn Array> {
        let rows = (0..columns.len()).map(|row| columns.get(row).to_f64());
        PrimitiveArray::from_vec(rows.collect()).boxed()
    }
}

impl ArrowRecord for bool {
    fn to_arrow(columns: &ScalarColumn<bool>) -> Box<dyn Array> {
        BooleanArray::from_slice(columns.values()).boxed()
    }
}

impl ArrowRecord for Timestamp {
    fn to_arrow(columns: &ScalarColumn<Timestamp>) -> Box<dyn Array> {
        let nanos: Vec<i64> = columns.values().iter().map(|time| time.nanos()).collect();
        let data_type = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".to_owned()));
        PrimitiveArray::from_vec(nanos).to(data_type).boxed()
    }
}

impl ArrowRecord for () {
    fn to_arrow(columns: &ScalarColumn<()>) -> Box<dyn Array> {
        NullArray::new(DataType::Null, columns.len()).boxed()
    }
}

// Blocks are below 4 GiB, but many rows may share bytes: offsets are the large kind.
impl ArrowRecord for String {
    fn to_arrow(columns: &TextColumn) -> Box<dyn Array> {
        let rows: Vec<&str> = (0..columns.len()).map(|row| columns.get(row)).collect();
        Utf8Array::<i64>::from_slice(rows).boxed()
    }
}

impl ArrowRecord for Vec<u8> {
    fn to_arrow(columns: &BytesColumn) -> Box<dyn Array> {
        let rows: Vec<&[u8]> = (0..columns.len()).map(|row| columns.get(row)).collect();
        BinaryArray::<i64>::from_slice(rows).boxed()
    }
}

impl<T: ArrowRecord> ArrowRecord for Option<T> {
    fn to_arrow(columns: &OptionColumn<T>) -> Box<dyn Array> {
        // An absent row takes no place among the values; Arrow wants some value there.
        let slots: Vec<Option<usize>> = (0..columns.len()).map(|row| columns.slot(row)).collect();
        let values = T::to_arrow(columns.values());
        if values.is_empty() {
            return arrow2::array::new_null_array(values.data_type().clone(), slots.len());
        }
        let mut growable =
            arrow2::array::growable::make_growable(&[values.as_ref()], true, slots.len());
        for slot in slots {
            match slot {
                Some(slot) => growable.extend(0, slot, 1),
                None => growable.extend_validity(1),
            }
        }
        growable.as_box()
    }
}

impl<T: ArrowRecord> ArrowRecord for Vec<T> {
    fn to_arrow(columns: &ListColumn<T>) -> Box<dyn Array> {
        let items = T::to_arrow(columns.items());
        let lengths = (0..columns.len()).map(|row| columns.row(row).1);
        let field = Field::new("item", items.data_type().clone(), true);
        let offsets = arrow2::offset::Offsets::try_from_lengths(lengths)
            .expect("lengths in memory add up to less than an i64 holds");
        let data_type = DataType::LargeList(Box::new(field));
        ListArray::<i64>::new(data_type, OffsetsBuffer::from(offsets), items, None::<Bitmap>)
            .boxed()
    }
}

macro_rules! tuples {
    ($(($($member:ident $index:tt),+))*) => {$(
        impl<$($member: ArrowRecord),+> ArrowRecord for ($($member,)+) {
            fn to_arrow(columns: &Self::Columns) -> Box<dyn Array> {
                struct_array([
                    $((stringify!($index), $member::to_arrow(&columns.members.$index))),+
                ])
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// Arrays of arrow2 to and from arrow-rs, by the C Data Interface: both have its structs, each its
/// own, with the layout that the interface's text fixes. The memory stays where it is, and goes
/// when the last of both sides lets go of it.
#[cfg(feature = "arrow")]
mod interface {
    #![expect(unsafe_code, reason = "the C Data Interface is made of raw pointers")]

    use std::mem::transmute;

    use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
    use arrow_array::{Array as _, ArrayRef, make_array};
    use arrow2::array::Array;
    use arrow2::datatypes::Field;
    use arrow2::ffi;

    use crate::error::{BoxError, Error, ErrorKind, Result};

    /// An array for arrow-rs, over the same memory.
    pub(crate) fn to_arrow_rs(array: Box<dyn Array>) -> Result<ArrayRef> {
        let field = Field::new("", array.data_type().clone(), true);
        // SAFETY: both are `repr(C)` with the fields of the C Data Interface's `ArrowSchema` in
        // their order, and have no others. Who gets it releases it, by the function in it.
        let schema: FFI_ArrowSchema = unsafe { transmute(ffi::export_field_to_c(&field)) };
        // SAFETY: as above, of `ArrowArray`.
        let array: FFI_ArrowArray = unsafe { transmute(ffi::export_array_to_c(array)) };
        // SAFETY: arrow2 exports what the interface asks for: an array whose buffers have the
        // lengths that its type says, unchanged for as long as it is not released.
        let data = unsafe { from_ffi(array, &schema) };
        Ok(make_array(data.map_err(foreign)?))
    }

    /// An array of arrow-rs for here, over the same memory.
    pub(crate) fn from_arrow_rs(array: &ArrayRef) -> Result<Box<dyn Array>> {
        let (array, schema) = to_ffi(&array.to_data()).map_err(foreign)?;
        // SAFETY: both are `repr(C)` with the fields of the C Data Interface's `ArrowSchema` in
        // their order, and have no others. Who gets it releases it, by the function in it.
        let schema: ffi::ArrowSchema = unsafe { transmute(schema) };
        // SAFETY: as above, of `ArrowArray`.
        let array: ffi::ArrowArray = unsafe { transmute(array) };
        // SAFETY: arrow-rs exports a schema whose strings end, and that is not released yet.
        let field = unsafe { ffi::import_field_from_c(&schema) }.map_err(foreign)?;
        // SAFETY: arrow-rs exports an array of the type that the schema says, whose buffers are
        // aligned, as long as that type asks for, and unchanged for as long as it is not released.
        unsafe { ffi::import_array_from_c(array, field.data_type) }.map_err(foreign)
    }

    /// What one side says of a type that it does not have.
    fn foreign(error: impl Into<BoxError>) -> Error {
        Error::caused(ErrorKind::Schema, "the array does not go between Arrow's crates", error)
    }
}

#[cfg(feature = "arrow")]
pub(crate) use interface::{from_arrow_rs, to_arrow_rs};

#[cfg(feature = "arrow")]
impl<T: ArrowRecord> Batch<T> {
    /// The columns of each partition as an array of arrow-rs; a tuple or a struct is a struct
    /// array.
    ///
    /// ```
    /// use tidemill::arrow_array::{Array, Int64Array};
    /// use tidemill::prelude::*;
    ///
    /// let batch: Batch<i64> = [1, 2, 3].into_iter().collect();
    /// let arrays = batch.to_arrow_rs()?;
    /// let integers = arrays[0].as_any().downcast_ref::<Int64Array>().unwrap();
    /// assert_eq!(integers.values(), &[1, 2, 3]);
    /// # Ok::<(), tidemill::Error>(())
    /// ```
    pub fn to_arrow_rs(&self) -> crate::error::Result<Vec<arrow_array::ArrayRef>> {
        self.partitions().map(|columns| to_arrow_rs(T::to_arrow(columns))).collect()
    }
}
