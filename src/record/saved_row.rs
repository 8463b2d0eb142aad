//! `Saved<T>`: any Rust value in a stream, as [`Row`](super::Row), that checkpoints can hold.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::row::whole_values;
use super::saved::{name_of, push_len_before, take_bytes, torn};
use super::shape::shape_of;
use super::{ColumnKeys, Columns, HashGroups, Key, Ordered, Record, Show};
use crate::error::Result;

/// A value that the engine keeps as it is, without columns, and that checkpoints can hold.
///
/// As [`Row`](crate::Row), for types with serde's `Serialize` and `Deserialize`: state, keys and
/// what windows keep may be made of it. Checkpoints hold it in the format of
/// [postcard](https://docs.rs/postcard), and beside it the names and types of the fields, so that a
/// type whose fields have changed is refused with both, and not taken for the old one. Of an enum
/// that looks at the names of all variants and into the first one; what else changes in an enum
/// needs another name for the state.
///
/// A format that is not made to be read without knowing the type cannot do what some of serde's
/// attributes ask for: `flatten`, `untagged`, `tag` and `skip_serializing_if`.
///
/// ```
/// use std::collections::BTreeMap;
/// use tidemill::{Record, Saved};
///
/// type Tags = Saved<BTreeMap<String, u64>>;
/// let tags: Tags = Saved([("blue".to_owned(), 2)].into());
/// let mut bytes = Vec::new();
/// Tags::save(tags.to_ref(), &mut bytes);
/// assert_eq!(Tags::load(&mut bytes.as_slice())?, tags);
/// assert_eq!(Tags::saved_as().unwrap(), "postcard of {text => u64}");
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// # Panics
///
/// Saving panics where the type's `Serialize` fails, which fails the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Saved<T>(pub T);

/// A column of [`Saved`] values: a vector.
#[derive(Debug)]
pub struct SavedColumn<T> {
    values: Vec<Saved<T>>,
}

whole_values!(
    Saved,
    SavedColumn,
    (Serialize + DeserializeOwned + Clone + Send + Sync + 'static),
    fn saved_as() -> Option<String> {
        let shape = shape_of::<T>();
        Some(format!("postcard of {}", if shape.is_empty() { name_of::<T>() } else { shape }))
    },
    fn save(row: &T, out: &mut Vec<u8>) {
        push_len_before(out, |out| {
            if let Err(error) = postcard::serialize_with_flavor(row, Appended(out)) {
                panic!("a {} cannot be saved: {error}", name_of::<T>());
            }
        });
    },
    fn load(from: &mut &[u8]) -> Result<Saved<T>> {
        match postcard::take_from_bytes(take_bytes(from)?) {
            Ok((value, [])) => Ok(Saved(value)),
            _ => Err(torn()),
        }
    }
);

/// Writes to the end of what is there.
struct Appended<'a>(&'a mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
